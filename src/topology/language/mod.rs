//! The maps of the language with their fields: what editors complete, explain and check while a file is written.
//!
//! [`schema`] gives it as JSON Schema, draft 7. It knows the form only: names that refer to each other, types and expressions are
//! the checker's. Where a field takes a variable, `${…}` stands for any value. A test holds the maps to those that the checker
//! takes, field by field.

mod maps;

use maps::MAPS;
use serde_json::{Map as Object, Value as Json, json};

/// A map with fixed fields.
struct Map {
    /// As other maps refer to it.
    name: &'static str,
    /// As findings name it.
    what: &'static str,
    about: &'static str,
    fields: &'static [Field],
}

/// A field of a map.
struct Field {
    name: &'static str,
    required: bool,
    kind: Kind,
    about: &'static str,
}

/// What may be written as a value.
enum Kind {
    /// Anything: a template, a literal.
    Any,
    Null,
    /// Text, also a number or a truth value that stands for text.
    Text,
    /// Text that is not filled in, of this form.
    Word(&'static str),
    Bool,
    Int(i64, i64),
    Number,
    Duration,
    /// An expression; YAML's own numbers and truth values are some.
    Expr,
    /// A JSON Schema, or the name of a file with one.
    Schema,
    /// One of these words.
    One(&'static [&'static str]),
    /// A map of the language, by name.
    Of(&'static str),
    /// A list.
    List(&'static Kind),
    /// One, or a list.
    Some(&'static Kind),
    /// A map whose keys are the user's, of this form.
    Keyed(&'static str, &'static Kind),
    Either(&'static [Kind]),
}

const NAME: &str = "^[a-z][a-z0-9-]{0,62}$";
const IDENT: &str = "^[a-zA-Z_][a-zA-Z0-9_]*$";
const TOPIC: &str = "^[a-zA-Z0-9._-]{1,249}$";
const TYPE: &str = "^[A-Za-z][A-Za-z0-9._-]{0,127}$";
const CODE: &str = "^[A-Z][A-Z0-9_]{0,63}$";
const DURATION: &str = "^([0-9]+([.][0-9]+)?(d|h|m|s|ms|us|ns))+$";
const VARIABLE: &str = "\\$\\{";

/// The JSON Schema of topology files, draft 7.
pub fn schema() -> Json {
    let mut definitions = Object::new();
    for map in MAPS {
        definitions.insert(map.name.to_owned(), of_map(map));
    }
    let mut root = match definitions.remove("topology") {
        Some(Json::Object(root)) => root,
        _ => Object::new(),
    };
    root.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    root.insert("title".to_owned(), json!("Skald topology"));
    root.insert("patternProperties".to_owned(), json!({ "^x-": {} }));
    root.insert("definitions".to_owned(), Json::Object(definitions));
    Json::Object(root)
}

fn of_map(map: &Map) -> Json {
    let properties: Object<String, Json> = map
        .fields
        .iter()
        .map(|field| {
            let mut schema = of_kind(&field.kind);
            // Beside a reference draft 7 reads nothing.
            if let (Some(fields), false) = (schema.as_object_mut(), field.about.is_empty()) {
                if let Some(reference) = fields.remove("$ref") {
                    fields.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
                }
                fields.insert("description".to_owned(), json!(field.about));
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = map.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let title = map.what.replace('`', "");
    let mut schema = json!({ "title": title, "type": "object", "properties": properties, "additionalProperties": false });
    if !map.about.is_empty() {
        schema["description"] = json!(map.about);
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn of_kind(kind: &Kind) -> Json {
    let filled = |schema: Json| json!({ "anyOf": [schema, { "type": "string", "pattern": VARIABLE }] });
    match kind {
        Kind::Any => json!({}),
        Kind::Null => json!({ "type": "null" }),
        Kind::Text => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Word(pattern) => json!({ "type": "string", "pattern": pattern }),
        Kind::Bool => filled(json!({ "type": "boolean" })),
        Kind::Int(least, most) => filled(json!({ "type": "integer", "minimum": least, "maximum": most })),
        Kind::Number => filled(json!({ "type": "number" })),
        Kind::Duration => filled(json!({ "type": "string", "pattern": DURATION })),
        Kind::Expr => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Schema => json!({ "anyOf": [{ "type": "string" }, { "type": "object" }, { "type": "null" }] }),
        Kind::One(words) => filled(json!({ "enum": words })),
        Kind::Of(name) => json!({ "$ref": format!("#/definitions/{name}") }),
        Kind::List(element) => json!({ "type": "array", "items": of_kind(element) }),
        Kind::Some(element) => {
            let one = of_kind(element);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::Keyed(pattern, value) => {
            json!({ "type": ["object", "null"], "propertyNames": { "pattern": pattern }, "additionalProperties": of_kind(value) })
        }
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(of_kind).collect::<Vec<_>>() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::lower::SHAPES_SEEN;
    use crate::topology::tests::support::{files, load_file};
    use crate::topology::yaml::{self, Node};
    use crate::topology::{Findings, SourceText};
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn fixtures() -> Vec<PathBuf> {
        let folders = ["tests/topology/good", "tests/topology/codes", "tests/topology/bad", "tests/plan"];
        let mut paths: Vec<PathBuf> = folders.iter().flat_map(|folder| files(folder)).collect();
        for name in ["analytics", "order-totals", "product", "shop", "users"] {
            paths.extend(files(&format!("topologies/{name}")));
        }
        paths
    }

    fn json_of(node: &Node) -> Json {
        match &node.kind {
            yaml::Kind::Scalar(scalar) => crate::topology::schema::json_of(&scalar.value),
            yaml::Kind::List(items) => items.iter().map(json_of).collect(),
            yaml::Kind::Map(entries) => {
                Json::Object(entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.node))).collect())
            }
        }
    }

    fn read(path: &std::path::Path) -> Option<Json> {
        let text = std::fs::read_to_string(path).ok()?;
        let mut findings = Findings::new(SourceText::new("t.yaml", &text));
        yaml::read(&mut findings).map(|node| json_of(&node))
    }

    #[test]
    fn the_maps_are_those_that_the_checker_takes() {
        fixtures().iter().for_each(|path| drop(load_file(path)));
        let seen = SHAPES_SEEN.lock().unwrap().clone();
        assert!(seen.len() >= 14, "{seen:?}");
        for (what, known) in seen {
            let known: BTreeSet<&str> = known.into_iter().collect();
            let fits =
                |map: &&Map| map.what == what && map.fields.iter().map(|field| field.name).collect::<BTreeSet<_>>() == known;
            assert!(MAPS.iter().any(|map| fits(&map)), "`topology::language::maps` has not {what} with the fields {known:?}");
        }
    }

    #[test]
    fn the_schema_takes_every_file_without_errors_and_refuses_unknown_fields() {
        let schema = schema();
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&schema).expect("a JSON Schema");
        let (mut taken, mut refused) = (0, 0);
        for path in fixtures() {
            let Some(document) = read(&path) else { continue };
            let loaded = load_file(&path);
            let error = validator.validate(&document).err().map(|error| format!("{} at {}", error, error.instance_path()));
            if !loaded.has_errors() {
                assert_eq!(error, None, "{}", path.display());
                taken += 1;
            }
            if loaded.findings.iter().any(|found| found.code == "E105" && found.message.starts_with("unknown field")) {
                assert!(error.is_some(), "{}: an unknown field was taken", path.display());
                refused += 1;
            }
        }
        assert!(taken > 90 && refused >= 4, "{taken} taken, {refused} refused");
    }

    #[test]
    fn every_field_of_every_map_refuses_what_it_cannot_hold() {
        let schema = schema();
        let validator = jsonschema::options().with_draft(jsonschema::Draft::Draft7).build(&schema).expect("a JSON Schema");
        for (text, good) in [
            (r#"{"skald":1,"topology":"t"}"#, true),
            (r#"{"skald":1,"topology":"t","x-a":[1],"topics":null}"#, true),
            (r#"{"skald":2,"topology":"t"}"#, false),
            (r#"{"topology":"t"}"#, false),
            (r#"{"skald":1,"topology":"T"}"#, false),
            (r#"{"skald":1,"topology":"t","topics":{"a b":null}}"#, false),
            (r#"{"skald":1,"topology":"t","topics":{"a":{"partitions":0}}}"#, false),
            (
                r#"{"skald":1,"topology":"t","topics":{"a":{"partitions":"${P}","retention":"${R:-7d}","validate":"${V}"}}}"#,
                true,
            ),
            (r#"{"skald":1,"topology":"t","topics":{"a":{"retention":30}}}"#, false),
            (r#"{"skald":1,"topology":"t","topics":{"a":{"retention":"forever","types":["a.v1"]}}}"#, true),
            (r#"{"skald":1,"topology":"t","pipelines":{"p":{"from":"a","steps":[{"filter":true}]}}}"#, true),
            (r#"{"skald":1,"topology":"t","pipelines":{"p":{"from":"a","steps":{"filter":true}}}}"#, false),
            (r#"{"skald":1,"topology":"t","pipelines":{"p":{"from":["a",{"pattern":"x.*"}],"steps":[]}}}"#, true),
        ] {
            let document: Json = serde_json::from_str(text).expect("JSON");
            assert_eq!(validator.is_valid(&document), good, "{text}");
        }
    }
}

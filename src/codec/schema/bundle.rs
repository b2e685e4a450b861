//! One JSON Schema out of several: what others say by name stands within it.
//!
//! A registry keeps a schema and those that it refers to apart, each named as `$ref` names it. Whoever checks a payload, or wants
//! to know its type, wants one document without anything outside: each of the others becomes a definition of it.

use crate::codec::{Document, Error, Language, Result};
use serde_json::{Map, Value as Json};

/// Where the others stand.
const PLACE: &str = "$defs";
/// Begins their names there, so that they meet none of the document's own.
const PREFIX: &str = "registry:";

/// A JSON Schema of a registry as one document.
pub fn bundled(document: &Document) -> Result<Json> {
    let wrong = |reason: String| Error::Schema { reason };
    if document.language != Language::Json {
        return Err(wrong(format!("it is {}", document.language.name())));
    }
    let read = |text: &str| serde_json::from_str::<Json>(text).map_err(|error| wrong(format!("not JSON: {error}")));
    let mut root = read(&document.text)?;
    if document.references.is_empty() {
        return Ok(root);
    }
    let names = |uses: &[usize]| -> Vec<Named> {
        let named = |place: &usize| Some(Named { name: document.references.get(*place)?.name.to_string(), place: *place });
        uses.iter().filter_map(named).collect()
    };
    Pass { named: &names(&document.uses), within: String::new(), base: base_of(&root) }.schema(&mut root);
    let mut definitions = Map::new();
    for (place, reference) in document.references.iter().enumerate() {
        let mut part = read(&reference.text)?;
        let base = base_of(&part);
        Pass { named: &names(&reference.uses), within: pointer(place), base }.schema(&mut part);
        if let Json::Object(fields) = &mut part {
            // What it is called from outside is written anew, and relative names would count from here.
            fields.retain(|name, _| !matches!(name.as_str(), "$id" | "id" | "$schema"));
        }
        definitions.insert(format!("{PREFIX}{place}"), part);
    }
    match &mut root {
        Json::Object(fields) => {
            // References from within count from the document, whatever it calls itself.
            fields.retain(|name, _| !matches!(name.as_str(), "$id" | "id"));
            match fields.entry(PLACE).or_insert_with(|| Json::Object(Map::new())) {
                Json::Object(known) => known.extend(definitions),
                _ => return Err(wrong(format!("`{PLACE}` is no map"))),
            }
            Ok(root)
        }
        _ => Ok(root),
    }
}

/// Another schema by the name that a schema has for it.
struct Named {
    name: String,
    place: usize,
}

fn pointer(place: usize) -> String {
    format!("/{PLACE}/{PREFIX}{place}")
}

/// What relative names begin with.
fn base_of(schema: &Json) -> String {
    let id = schema.get("$id").or_else(|| schema.get("id")).and_then(Json::as_str).unwrap_or_default();
    id.rsplit_once('/').map_or_else(String::new, |(base, _)| format!("{base}/"))
}

/// Goes through a schema and makes its references lead within the bundle.
struct Pass<'a> {
    named: &'a [Named],
    /// Where the schema will stand.
    within: String,
    base: String,
}

impl Pass<'_> {
    /// The parser of JSON bounds the depth.
    fn schema(&self, node: &mut Json) {
        match node {
            Json::Object(fields) => {
                if let Some(Json::String(target)) = fields.get_mut("$ref")
                    && let Some(new) = self.target(target)
                {
                    *target = new;
                }
                // What is given as data is not a schema, whatever it looks like.
                let inner =
                    fields.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "const" | "enum" | "default" | "examples"));
                inner.for_each(|(_, inner)| self.schema(inner));
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.schema(item)),
            _ => {}
        }
    }

    /// The new text of a reference; `None`: it stays, and whoever compiles the bundle says what is wrong with it.
    fn target(&self, target: &str) -> Option<String> {
        let (file, place) = target.split_once('#').unwrap_or((target, ""));
        if file.is_empty() {
            return (place.is_empty() || place.starts_with('/')).then(|| format!("#{}{place}", self.within));
        }
        let is_it = |named: &&Named| named.name == file || named.name == target || format!("{}{file}", self.base) == named.name;
        let named = self.named.iter().find(is_it)?;
        Some(format!("#{}{place}", pointer(named.place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Reference, Schema};
    use crate::record::json;

    fn reference(name: &str, text: &str, uses: &[usize]) -> Reference {
        Reference { name: name.into(), subject: name.into(), version: Some(1), text: text.into(), uses: uses.to_vec() }
    }

    #[test]
    fn what_is_referred_to_by_name_stands_within_the_bundle() {
        let money = r##"{"$id":"https://shop/money.json","type":"object","properties":{"cents":{"$ref":"#/$defs/cents"}},"required":["cents"],"$defs":{"cents":{"type":"integer"}}}"##;
        let line = r#"{"type":"object","properties":{"price":{"$ref":"money.json"}},"required":["price"]}"#;
        let order = r##"{"$id":"https://shop/order.json","title":"Order","type":"object","properties":{
            "lines":{"type":"array","items":{"$ref":"line.json"}},
            "fee":{"$ref":"https://shop/money.json#/$defs/cents"},
            "kind":{"const":{"$ref":"line.json"}},
            "next":{"$ref":"#"}},"$defs":{"own":true}}"##;
        let references = vec![
            reference("money.json", money, &[]),
            reference("line.json", line, &[0]),
            reference("https://shop/money.json", money, &[]),
        ];
        let document = Document { references, uses: vec![1, 2], ..Document::alone(Language::Json, order) };
        let schema = Schema::compile(&bundled(&document).expect("all is there")).expect("nothing leads out of it");
        let rows = [
            (r#"{"lines":[{"price":{"cents":3}}],"fee":4,"next":{"fee":5}}"#, true),
            (r#"{"lines":[{"price":{"cents":"3"}}]}"#, false),
            (r#"{"lines":[{}]}"#, false),
            (r#"{"fee":"4"}"#, false),
            (r#"{"next":{"fee":"5"}}"#, false),
            (r#"{"kind":{"$ref":"line.json"}}"#, true),
        ];
        for (value, fits) in rows {
            assert_eq!(schema.fits(&json::read(value.as_bytes()).expect("JSON")), fits, "{value}");
        }
        assert_eq!(schema.name().map(|name| name.as_str()), Some("Order"));
    }

    #[test]
    fn a_name_that_is_not_among_the_references_is_refused_when_it_is_compiled() {
        let text = r#"{"properties":{"a":{"$ref":"other.json"}}}"#;
        let document = Document {
            references: vec![reference("b.json", "{}", &[])],
            uses: vec![0],
            ..Document::alone(Language::Json, text)
        };
        assert!(Schema::compile(&bundled(&document).expect("JSON")).is_err());
        assert!(bundled(&Document::alone(Language::Json, "{")).is_err());
        assert!(bundled(&Document::alone(Language::Avro, "{}")).is_err());
    }
}

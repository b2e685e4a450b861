//! Schemas, inline or in files.

use super::Lower;
use super::scalars::shortened;
use crate::codec::{Document, Language, Schema as Compiled, bundled};
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::Schema;
use crate::topology::schema::{Unnamed, json_of, type_of, usable_as};
use crate::topology::sources::SCHEMA_BYTES_MAX;
use crate::topology::yaml::{Kind, Node};
use crate::topology::{avro, proto};
use serde_json::Value as Json;
use std::sync::Arc;

/// A subject, and the message of its schema.
type Named<'a> = (&'a str, Option<&'a str>);

/// Longest name of a subject.
const SUBJECT_BYTES_MAX: usize = 512;

impl Lower<'_> {
    /// A schema of what is no topic's: JSON Schema.
    pub(super) fn json_schema(&mut self, node: &Node) -> Result<Option<Schema>, ()> {
        let unknown = self.notes.unknown.len();
        let schema = self.schema(node)?;
        if schema.is_none() && self.notes.unknown.len() > unknown {
            // It stands for the one that nobody has looked up.
            return json_schema_of(Document::alone(Language::Json, "true")).map(Some).map_err(drop);
        }
        let language = match schema.as_ref().map(|schema| schema.compiled.language()) {
            None | Some(Language::Json) => return Ok(schema),
            Some(Language::Avro) => "an Avro",
            Some(Language::Protobuf) => "a Protobuf",
        };
        let found = finding("E409", format!("{language} schema says how a topic's bytes are read, and this is no topic"));
        self.say(node.range.clone(), found.hint("write a JSON Schema"));
        Err(())
    }

    /// A schema: a file, or a JSON Schema as a map. `Ok(None)`: anything; `Err`: it was said what is wrong.
    pub(super) fn schema(&mut self, node: &Node) -> Result<Option<Schema>, ()> {
        match &node.kind {
            _ if node.is_null() => Ok(None),
            Kind::Map(entries) if entries.is_empty() => Ok(None),
            Kind::Map(_) => {
                // Literally: `$ref` and regular expressions have dollars of their own.
                let document = json_of(&literal(node));
                let text = document.to_string();
                self.usable_schema(node, document, &text, None).map(Some).ok_or(())
            }
            Kind::Scalar(_) => {
                let unknown = self.notes.unknown.len();
                let schema = self.named_schema(node);
                match schema {
                    // Nobody has said what it is: anything may be in it.
                    None if self.notes.unknown.len() > unknown => Ok(None),
                    schema => schema.map(Some).ok_or(()),
                }
            }
            Kind::List(_) => {
                self.wrong_kind(node, "a schema: a file, or a map");
                Err(())
            }
        }
    }

    fn named_schema(&mut self, node: &Node) -> Option<Schema> {
        let path = self.text(node)?;
        let file = path.split('#').next().unwrap_or_default();
        if let Some(name) = path.strip_prefix("registry:") {
            return self.registered_schema(node, &path, name);
        }
        let is_proto = file.ends_with(".proto");
        if !path.ends_with(".json") && !path.ends_with(".avsc") && !is_proto {
            let found = finding("E212", format!("`{}` names no schema", shortened(&path)));
            self.say(
                node.range.clone(),
                found.hint(
                    "a file that ends in `.json` or `.avsc`, `file.proto#Message`, `registry:<subject>`, or a JSON Schema as a map",
                ),
            );
            return None;
        }
        self.notes.schema_at.insert(node.range.start, path.to_string());
        if let Some(known) = self.notes.schemas.get(path.as_str()) {
            return known.clone();
        }
        let schema = if is_proto { self.proto_schema(node, &path) } else { self.read_schema(node, &path) };
        self.notes.schemas.insert(path.to_string(), schema.clone());
        schema
    }

    /// A schema of the registry: `name` is its subject, `@` and a version behind it or not.
    fn registered_schema(&mut self, node: &Node, path: &Text, name: &str) -> Option<Schema> {
        let (name, message) = name.split_once('#').map_or((name, None), |(name, message)| (name, Some(message)));
        let (subject, version) = subject_of(name);
        if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
            let found = finding("E212", format!("`{}` names no subject", shortened(path)));
            self.say(node.range.clone(), found.hint("`registry:<subject>`, or `registry:<subject>@<version>`"));
            return None;
        }
        self.notes.schema_at.insert(node.range.start, path.to_string());
        if let Some(Some(known)) = self.notes.schemas.get(path.as_str()) {
            return Some(known.clone());
        }
        let schema = match self.sources.registered(subject, version) {
            Ok(Some(document)) => self.document_schema(node, document, path, (subject, message)),
            Ok(None) => {
                let found = finding("W402", format!("`{}` was not looked up: nothing is known of its values", shortened(path)));
                self.say(node.range.clone(), found.hint("name the registry: `--schema-registry http://registry:8081`"));
                let at = self.position(node.range.start);
                self.notes.unknown.push((path.clone(), at));
                None
            }
            Err(why) => {
                self.say(node.range.clone(), finding("E212", format!("`{}` cannot be read: {why}", shortened(path))));
                None
            }
        };
        self.notes.schemas.insert(path.to_string(), schema.clone());
        schema
    }

    fn document_schema(
        &mut self,
        node: &Node,
        document: Document,
        path: &Text,
        (subject, message): Named<'_>,
    ) -> Option<Schema> {
        let made = match (document.language, message) {
            (Language::Protobuf, message) => proto_of(subject, document, message),
            (language, Some(_)) => Err(format!("it is {}, which has no messages to be named", language.name())),
            (Language::Avro, None) => avro_of(document),
            (Language::Json, None) => json_schema_of(document),
        };
        match made {
            Ok(schema) => Some(Schema { subject: Some(subject.into()), ..schema }),
            Err(error) => {
                self.say(node.range.clone(), finding("E212", format!("`{}` cannot be used: {error}", shortened(path))));
                None
            }
        }
    }

    fn read_schema(&mut self, node: &Node, path: &Text) -> Option<Schema> {
        let read = self.sources.schema(path, SCHEMA_BYTES_MAX).map_err(|error| error.to_string()).and_then(|bytes| {
            // The parser of JSON bounds the depth.
            let document = serde_json::from_slice::<Json>(&bytes).map_err(|error| format!("not JSON: {error}"))?;
            let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
            Ok((document, text))
        });
        match read {
            Ok((_, text)) if path.ends_with(".avsc") => self.avro_schema(node, &text, path),
            Ok((document, text)) => self.usable_schema(node, document, &text, Some(path.clone())),
            Err(error) => {
                self.say(node.range.clone(), finding("E212", format!("`{path}` cannot be read: {error}")));
                None
            }
        }
    }

    fn avro_schema(&mut self, node: &Node, text: &str, path: &Text) -> Option<Schema> {
        match avro_of(Document::alone(Language::Avro, text)) {
            Ok(schema) => Some(Schema { file: Some(path.clone()), ..schema }),
            Err(error) => {
                self.say(node.range.clone(), finding("E212", format!("`{path}` is not a usable Avro schema: {error}")));
                None
            }
        }
    }

    fn usable_schema(&mut self, node: &Node, document: Json, text: &str, file: Option<Text>) -> Option<Schema> {
        match usable_as(&document, Document::alone(Language::Json, text)) {
            Ok(compiled) => {
                let ty = type_of(&document, Unnamed::Unknown);
                let (document, written) = (Arc::new(document), ty.clone());
                Some(Schema { document, compiled, written, ty, file, subject: None, texts: Vec::new() })
            }
            Err(error) => {
                let name = file.map_or_else(|| "this".to_owned(), |file| format!("`{file}`"));
                self.say(node.range.clone(), finding("E212", format!("{name} is not a usable JSON Schema: {error}")));
                None
            }
        }
    }
}

/// The subject and the version of a name.
fn subject_of(name: &str) -> (&str, Option<u32>) {
    match name.rsplit_once('@').map(|(subject, version)| (subject, version.parse())) {
        Some((subject, Ok(version))) => (subject, Some(version)),
        _ => (name, None),
    }
}

/// The name of a version of a subject.
pub(in crate::topology) fn registry_name(subject: &str, version: Option<u32>) -> String {
    match version {
        Some(version) => format!("registry:{subject}@{version}"),
        // A subject may end as a version does.
        None => format!("registry:{subject}"),
    }
}

fn avro_of(document: Document) -> Result<Schema, String> {
    // What is Avro is JSON, but for names of plain types that stand without quotes.
    let json = serde_json::from_str(&document.text).unwrap_or_else(|_| Json::String(document.text.to_string()));
    let compiled = Compiled::compile_avro(document).map_err(|error| error.to_string())?;
    let (avro, _) = compiled.avro().expect("compiled as one");
    let (ty, written) = (avro::read_type(avro), avro::written_type(avro));
    Ok(Schema { document: Arc::new(json), compiled, ty, written, file: None, subject: None, texts: Vec::new() })
}

fn json_schema_of(document: Document) -> Result<Schema, String> {
    let json = bundled(&document).map_err(|error| error.to_string())?;
    let compiled = usable_as(&json, document)?;
    let ty = type_of(&json, Unnamed::Unknown);
    let (document, written) = (Arc::new(json), ty.clone());
    Ok(Schema { document, compiled, written, ty, file: None, subject: None, texts: Vec::new() })
}

fn proto_of(name: &str, document: Document, message: Option<&str>) -> Result<Schema, String> {
    let compiled = Compiled::compile_proto(name, document, message).map_err(|error| error.to_string())?;
    let message = compiled.proto().expect("compiled as one");
    let (ty, written) = (proto::read_type(message), proto::written_type(message));
    let document = Arc::new(proto::document(message));
    Ok(Schema { document, compiled, ty, written, file: None, subject: None, texts: Vec::new() })
}

fn literal(node: &Node) -> crate::record::Value {
    use crate::record::Value;
    match &node.kind {
        Kind::Scalar(scalar) => scalar.value.clone(),
        Kind::List(items) => Value::list(items.iter().map(literal).collect()),
        Kind::Map(entries) => {
            Value::Map(entries.iter().map(|entry| (entry.key.as_str().into(), literal(&entry.node))).collect())
        }
    }
}

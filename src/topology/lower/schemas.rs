//! Schemas, inline or in files.

use super::Lower;
use super::scalars::shortened;
use crate::codec::Language;
use crate::record::Text;
use crate::topology::avro;
use crate::topology::diagnostic::finding;
use crate::topology::model::Schema;
use crate::topology::schema::{Unnamed, json_of, type_of, usable};
use crate::topology::sources::SCHEMA_BYTES_MAX;
use crate::topology::yaml::{Kind, Node};
use serde_json::Value as Json;
use std::sync::Arc;

impl Lower<'_> {
    /// A schema of what is no topic's: JSON Schema.
    pub(super) fn json_schema(&mut self, node: &Node) -> Result<Option<Schema>, ()> {
        let schema = self.schema(node)?;
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
                self.usable_schema(node, document, None).map(Some).ok_or(())
            }
            Kind::Scalar(_) => self.named_schema(node).map(Some).ok_or(()),
            Kind::List(_) => {
                self.wrong_kind(node, "a schema: a file, or a map");
                Err(())
            }
        }
    }

    fn named_schema(&mut self, node: &Node) -> Option<Schema> {
        let path = self.text(node)?;
        let file = path.split('#').next().unwrap_or_default();
        if path.starts_with("registry:") {
            self.later(node.range.clone(), &format!("the schema `{}`", shortened(&path)));
            return None;
        }
        let is_proto = file.ends_with(".proto");
        if !path.ends_with(".json") && !path.ends_with(".avsc") && !is_proto {
            let found = finding("E212", format!("`{}` names no schema", shortened(&path)));
            self.say(
                node.range.clone(),
                found.hint("a file that ends in `.json` or `.avsc`, `file.proto#Message`, or a JSON Schema as a map"),
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

    fn read_schema(&mut self, node: &Node, path: &Text) -> Option<Schema> {
        let read = self.sources.schema(path, SCHEMA_BYTES_MAX).map_err(|error| error.to_string()).and_then(|bytes| {
            // The parser of JSON bounds the depth.
            let document = serde_json::from_slice::<Json>(&bytes).map_err(|error| format!("not JSON: {error}"))?;
            let text = String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
            Ok((document, text))
        });
        match read {
            Ok((document, text)) if path.ends_with(".avsc") => self.avro_schema(node, document, &text, path),
            Ok((document, _)) => self.usable_schema(node, document, Some(path.clone())),
            Err(error) => {
                self.say(node.range.clone(), finding("E212", format!("`{path}` cannot be read: {error}")));
                None
            }
        }
    }

    fn avro_schema(&mut self, node: &Node, document: Json, text: &str, path: &Text) -> Option<Schema> {
        let compiled = match crate::codec::Schema::compile_avro(text) {
            Ok(compiled) => compiled,
            Err(error) => {
                self.say(node.range.clone(), finding("E212", format!("`{path}` is not a usable Avro schema: {error}")));
                return None;
            }
        };
        let (avro, _) = compiled.avro().expect("compiled as one");
        let (ty, written) = (avro::read_type(avro), avro::written_type(avro));
        Some(Schema { document: Arc::new(document), compiled, ty, written, file: Some(path.clone()), texts: Vec::new() })
    }

    fn usable_schema(&mut self, node: &Node, document: Json, file: Option<Text>) -> Option<Schema> {
        match usable(&document) {
            Ok(compiled) => {
                let ty = type_of(&document, Unnamed::Unknown);
                Some(Schema { document: Arc::new(document), compiled, written: ty.clone(), ty, file, texts: Vec::new() })
            }
            Err(error) => {
                let name = file.map_or_else(|| "this".to_owned(), |file| format!("`{file}`"));
                self.say(node.range.clone(), finding("E212", format!("{name} is not a usable JSON Schema: {error}")));
                None
            }
        }
    }
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

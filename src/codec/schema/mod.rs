//! Schemas: is a payload what its type says, and are its numbers of the declared kind.
//!
//! A schema is JSON Schema, Avro or Protobuf; of the latter two [`avro`](super::avro) and [`proto`](super::proto) know more.
//!
//! The crate `jsonschema` checks our values as they are ([`json`]), so nothing is converted per record. Patterns run in linear
//! time, references stay within the document, and what is said of a misfit names the place and the rule, never the value.

mod bundle;
mod json;
mod numbers;

pub use bundle::bundled;

use super::{Document, Error, Language, Result, avro, proto};
use crate::record::{Text, Value};
use std::sync::Arc;

/// A compiled schema; cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

enum Inner {
    Json(Box<Json>, Document),
    Avro(avro::Schema, Document),
    Proto(proto::Schema, Document),
}

struct Json {
    title: Option<Text>,
    validator: jsonschema::Validator<json::Ours>,
    numbers: numbers::Numbers,
}

impl Schema {
    /// Compiles an Avro schema.
    pub fn compile_avro(document: Document) -> Result<Self> {
        let schema = avro::Schema::parse(&document.text, &document.referred())?;
        Ok(Self(Arc::new(Inner::Avro(schema, document))))
    }

    /// The Avro schema, if it is one, with its text as it was written.
    pub fn avro(&self) -> Option<(&avro::Schema, &Document)> {
        match &*self.0 {
            Inner::Avro(schema, document) => Some((schema, document)),
            _ => None,
        }
    }

    /// Compiles a message of a `.proto` file; `file` is what it is called in messages.
    pub fn compile_proto(file: &str, document: Document, message: Option<&str>) -> Result<Self> {
        let schema = proto::Files::of(file, &document)?.message(message)?;
        Ok(Self(Arc::new(Inner::Proto(schema, document))))
    }

    /// The Protobuf schema, if it is one.
    pub fn proto(&self) -> Option<&proto::Schema> {
        match &*self.0 {
            Inner::Proto(schema, _) => Some(schema),
            _ => None,
        }
    }

    /// What it is written in.
    pub fn language(&self) -> Language {
        match &*self.0 {
            Inner::Json(..) => Language::Json,
            Inner::Avro(..) => Language::Avro,
            Inner::Proto(..) => Language::Protobuf,
        }
    }

    /// As it is given to a registry, or was taken from one.
    pub fn document(&self) -> &Document {
        match &*self.0 {
            Inner::Json(_, document) | Inner::Avro(_, document) | Inner::Proto(_, document) => document,
        }
    }

    /// The full name of what it describes: an Avro type's or a message's, the title of a JSON Schema.
    pub fn name(&self) -> Option<&Text> {
        match &*self.0 {
            Inner::Json(json, _) => json.title.as_ref(),
            Inner::Avro(schema, _) => schema.name(),
            Inner::Proto(schema, _) => Some(schema.name()),
        }
    }

    /// Appends the bytes of a value that was accepted, and what stands between them and the id of the schema.
    pub(super) fn write(&self, value: &Value, out: &mut Vec<u8>) -> std::result::Result<(), String> {
        match &*self.0 {
            Inner::Json(..) => Err("a JSON Schema has no bytes of its own".into()),
            Inner::Avro(schema, _) => schema.write(value, out),
            Inner::Proto(schema, _) => {
                out.extend_from_slice(schema.index());
                schema.write(value, out)
            }
        }
    }

    /// Compiles a JSON Schema.
    pub fn compile(schema: &serde_json::Value) -> Result<Self> {
        Self::compile_json(schema, Document::alone(Language::Json, schema.to_string()))
    }

    /// The same of one that was written as this document; `schema` is [`bundled`].
    pub fn compile_json(schema: &serde_json::Value, document: Document) -> Result<Self> {
        let validator = jsonschema::options_for::<json::Ours>()
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(schema)
            .map_err(|error| Error::Schema { reason: error.to_string() })?;
        let numbers = numbers::Numbers::of(schema);
        let title = schema.get("title").and_then(serde_json::Value::as_str).map(Text::new);
        Ok(Self(Arc::new(Inner::Json(Box::new(Json { title, validator, numbers }), document))))
    }

    /// The value if it fits, with its numbers made what the schema declares: `number` a double, `integer` an int. Else what is
    /// wrong with it.
    pub fn accept(&self, value: Value) -> std::result::Result<Value, String> {
        match &*self.0 {
            Inner::Json(json, _) if !json.validator.is_valid(&value) => Err(json.misfit(&value)),
            Inner::Json(json, _) => Ok(json.numbers.conformed(&value).unwrap_or(value)),
            Inner::Avro(avro, _) => avro.accept(value),
            Inner::Proto(proto, _) => proto.accept(value),
        }
    }

    /// Does the value fit?
    pub fn fits(&self, value: &Value) -> bool {
        match &*self.0 {
            Inner::Json(json, _) => json.validator.is_valid(value),
            Inner::Avro(avro, _) => avro.accept(value.clone()).is_ok(),
            Inner::Proto(proto, _) => proto.accept(value.clone()).is_ok(),
        }
    }

    /// What is wrong with a value: place and rule of the first misfits, without the value.
    pub fn misfit(&self, value: &Value) -> String {
        match &*self.0 {
            Inner::Json(json, _) => json.misfit(value),
            Inner::Avro(avro, _) => avro.accept(value.clone()).err().unwrap_or_default(),
            Inner::Proto(proto, _) => proto.accept(value.clone()).err().unwrap_or_default(),
        }
    }
}

impl Json {
    fn misfit(&self, value: &Value) -> String {
        const SAID_MAX: usize = 5;
        let mut said = Vec::new();
        for error in self.validator.iter_errors(value).take(SAID_MAX) {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "/" } else { &place };
            said.push(format!("at `{place}`: {}", error.masked()));
        }
        said.join("; ")
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

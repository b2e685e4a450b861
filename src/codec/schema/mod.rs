//! Schemas: is a payload what its type says, and are its numbers of the declared kind.
//!
//! The crate `jsonschema` checks our values as they are ([`json`]), so nothing is converted per record. Patterns run in linear
//! time, references stay within the document, and what is said of a misfit names the place and the rule, never the value.

mod json;
mod numbers;

use super::{Error, Result};
use crate::record::Value;
use std::sync::Arc;

/// A compiled JSON Schema; cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    validator: jsonschema::Validator<json::Ours>,
    numbers: numbers::Numbers,
}

impl Schema {
    /// Compiles a document.
    pub fn compile(document: &serde_json::Value) -> Result<Self> {
        let validator = jsonschema::options_for::<json::Ours>()
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(document)
            .map_err(|error| Error::Schema { reason: error.to_string() })?;
        Ok(Self(Arc::new(Inner { validator, numbers: numbers::Numbers::of(document) })))
    }

    /// The value if it fits, with its numbers made what the schema declares: `number` a double, `integer` an int. Else what is
    /// wrong with it.
    pub fn accept(&self, value: Value) -> std::result::Result<Value, String> {
        if !self.0.validator.is_valid(&value) {
            return Err(self.misfit(&value));
        }
        Ok(self.0.numbers.conformed(&value).unwrap_or(value))
    }

    /// Does the value fit?
    pub fn fits(&self, value: &Value) -> bool {
        self.0.validator.is_valid(value)
    }

    /// What is wrong with a value: place and rule of the first misfits, without the value.
    pub fn misfit(&self, value: &Value) -> String {
        const SAID_MAX: usize = 5;
        let mut said = Vec::new();
        for error in self.0.validator.iter_errors(value).take(SAID_MAX) {
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

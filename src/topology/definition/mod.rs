//! The content of a topology file as it counts: what is recorded on a cluster, and compared with what was recorded.
//!
//! Variables are filled in, params have the values that they run with, schemas of files stand in it; secrets are left as they are
//! written, so they are never recorded. Comments, the order of maps, descriptions, `version` and `x-…` are no content.
//!
//! A [`Definition`] can be recorded ([`Definition::record`]) and read again ([`reload`]) by any engine of this major version: the
//! record is a topology file itself, in JSON, with its schemas beside it.

mod content;
mod normal;
mod recorded;

use super::load::{Loaded, load};
use super::lower::registry_name;
use super::model::Position;
use super::sources::Sources;
use crate::codec::Document;
use crate::record::{Text, Value};
use crate::topology::model::Schema;
use rustc_hash::FxHashMap;
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;

pub(super) use content::define;

/// What lowering a file finds out about its texts.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Scalars with variables, by where they begin: what they became, and whether that holds a secret.
    pub(super) filled: FxHashMap<usize, (Value, bool)>,
    /// Scalars that name a schema file, by where they begin.
    pub(super) schema_at: FxHashMap<usize, String>,
    /// Schema files, and schemas of the registry, by name.
    pub(super) schemas: FxHashMap<String, Option<Schema>>,
    /// Schemas of a registry that nobody has looked up, and where they are named.
    pub(super) unknown: Vec<(Text, Position)>,
}

/// The content of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// In one form, in which equal content is equal: lists where one may stand for a list, defaults left out, schemas in place.
    pub content: Json,
    written: Json,
    schemas: BTreeMap<String, Json>,
    /// Files that are not JSON, by their paths.
    texts: BTreeMap<String, String>,
    places: BTreeMap<Vec<String>, Position>,
}

impl Definition {
    /// Hash of the content, in hexadecimal digits; equal content has equal hashes.
    pub fn hash(&self) -> String {
        hash(&self.content, 16)
    }

    /// Hash of what the file says of a saga and of the params that it reads, likewise: its instances keep what they began with,
    /// and are known by it.
    pub(super) fn hash_of_saga(&self, name: &str) -> Text {
        let saga = &self.content["sagas"][name];
        let mut read = self.content["params"].as_object().cloned().unwrap_or_default();
        read.retain(|param, _| mentions_param(saga, param));
        match read.is_empty() {
            true => hash(saga, 8).into(),
            false => hash(&json!({ "params": read, "saga": saga }), 8).into(),
        }
    }

    /// What is recorded: the file, and the schemas that it names.
    pub fn record(&self) -> Json {
        let mut record = json!({ "file": self.written, "schemas": self.schemas });
        if !self.texts.is_empty() {
            record["texts"] = json!(self.texts);
        }
        record
    }

    /// Where the content at a path of [`Definition::content`] stands in the file, or the nearest around it.
    pub fn place(&self, path: &[String]) -> Option<&Position> {
        let mut found = None;
        let mut at: Vec<String> = Vec::new();
        for part in path {
            at.push(part.clone());
            match self.places.get(&at) {
                Some(place) => found = Some(place),
                // A list or map that the one form has added.
                None if part == "0" || part == "topic" => drop(at.pop()),
                None => break,
            }
        }
        found
    }
}

/// Do expressions within a content read the param?
pub fn mentions_param(content: &Json, param: &str) -> bool {
    match content {
        // Expressions are in a form with blanks between their tokens.
        Json::String(text) => {
            let text: String = text.split_whitespace().collect();
            let inside = |c: char| c.is_alphanumeric() || c == '_';
            let word = format!("params.{param}");
            let indexed = [format!("params['{param}']"), format!("params[\"{param}\"]")];
            indexed.iter().any(|indexed| text.contains(indexed))
                || text.match_indices(&word).any(|(at, _)| {
                    !text[at + word.len()..].starts_with(inside) && !text[..at].ends_with(|c| inside(c) || c == '.')
                })
        }
        Json::Array(items) => items.iter().any(|item| mentions_param(item, param)),
        Json::Object(fields) => fields.values().any(|field| mentions_param(field, param)),
        _ => false,
    }
}

/// Reads a recorded definition, of secrets only that they are texts. `None`: it is no record of one; what its file says wrong is in
/// the findings.
pub fn reload(name: &str, record: &Json) -> Option<Loaded> {
    reload_with(name, record, &EmptySecrets)
}

/// The same with the secrets that `secrets` gives: to be run.
pub fn reload_with(name: &str, record: &Json, secrets: &dyn Sources) -> Option<Loaded> {
    let file = record.get("file")?;
    let schemas = record.get("schemas")?.as_object()?.clone();
    let texts = record.get("texts").and_then(Json::as_object).cloned().unwrap_or_default();
    let text = serde_json::to_vec(file).ok()?;
    Some(load(name, &text, &[], &Recorded { schemas, texts, secrets }))
}

/// Secrets that are texts, and that is all.
struct EmptySecrets;

impl Sources for EmptySecrets {
    fn schema(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn secret(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// Schemas from the record, secrets from elsewhere.
struct Recorded<'a> {
    schemas: serde_json::Map<String, Json>,
    texts: serde_json::Map<String, Json>,
    secrets: &'a dyn Sources,
}

impl Sources for Recorded<'_> {
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let bytes = match (self.schemas.get(path), self.texts.get(path).and_then(Json::as_str)) {
            (Some(schema), _) => serde_json::to_vec(schema)?,
            (None, Some(text)) => text.as_bytes().to_vec(),
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        self.secrets.secret(path, limit)
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn registered(&self, subject: &str, version: Option<u32>) -> Result<Option<Document>, String> {
        let name = registry_name(subject, version);
        let Some(recorded) = self.schemas.get(&name) else { return Err(format!("`{name}` was not recorded")) };
        recorded::read(recorded).map(Some).ok_or_else(|| format!("what was recorded of `{name}` cannot be read"))
    }
}

fn hash(content: &Json, bytes: usize) -> String {
    let mut text = String::new();
    canonical(content, &mut text);
    Sha256::digest(text.as_bytes()).iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// JSON in one spelling: keys sorted, no blanks.
fn canonical(value: &Json, out: &mut String) {
    match value {
        Json::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Json::Object(fields) => {
            let mut sorted: Vec<(&String, &Json)> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in sorted {
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

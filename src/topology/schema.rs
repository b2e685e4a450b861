//! JSON Schema documents: is one usable, and what do expressions know of a value that fits it?
//!
//! A document stands on its own: references are local (`#/…`), nothing is fetched. Where a schema says more than a type can
//! (unions, conditions), the type is [`Type::Any`], which meets everything: the checker stays silent rather than wrong.
//!
//! Fields: where `additionalProperties` is not written, expressions know the named fields only, so that a misspelt one is
//! found (E307). Payloads are still validated by the rules of JSON Schema, by which others may be there.

use crate::codec::{Document, Language, Schema};
use crate::expr::{Field, Object, Type};
use crate::record::{Text, Value};
use rustc_hash::FxHashMap;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Deepest type taken from a schema; below it anything goes.
const DEPTH_MAX: usize = 24;
/// Most parts of a type, references repeated: a document whose references multiply is cut off there.
const PARTS_MAX: usize = 5_000;

/// Whether fields that a schema neither names nor excludes are part of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// They are unknown: for reading, and for the keys that a template writes out.
    Unknown,
    /// They may be there, as JSON Schema has it: for values that come from elsewhere.
    Allowed,
}

/// The type of values that fit a schema. The document was [`usable`].
pub(super) fn type_of(document: &Json, unnamed: Unnamed) -> Type {
    let mut reading = Reading { root: document, unnamed, open: Vec::new(), known: FxHashMap::default(), parts: 0 };
    reading.schema(document, 0)
}

/// A document as a schema that payloads are checked against, or what speaks against it.
pub(super) fn usable(document: &Json) -> Result<Schema, String> {
    usable_as(document, Document::alone(Language::Json, document.to_string()))
}

/// The same; `written` is what it was made from.
pub(super) fn usable_as(document: &Json, written: Document) -> Result<Schema, String> {
    if !matches!(document, Json::Object(_) | Json::Bool(_)) {
        return Err("a schema is a map".to_owned());
    }
    references(document, document)?;
    if let Err(error) = jsonschema::meta::options().validate(document) {
        let at = error.instance_path().to_string();
        return Err(if at.is_empty() { error.to_string() } else { format!("at `{at}`: {error}") });
    }
    Schema::compile_json(document, written).map_err(|error| error.to_string())
}

/// All references are local and lead somewhere. Recursion is bounded by the parser of the document (128).
fn references(node: &Json, root: &Json) -> Result<(), String> {
    match node {
        Json::Object(fields) => {
            for name in ["$ref", "$dynamicRef"] {
                if let Some(Json::String(target)) = fields.get(name) {
                    let local = target.strip_prefix('#').ok_or_else(|| format!("`{target}` leads out of the document"))?;
                    if (local.is_empty() || local.starts_with('/')) && root.pointer(&unescaped(local)).is_none() {
                        return Err(format!("`{target}` leads nowhere"));
                    }
                }
            }
            // What is given as data is not a schema, whatever it looks like.
            fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "const" | "enum" | "default" | "examples"))
                .try_for_each(|(_, value)| references(value, root))
        }
        Json::Array(items) => items.iter().try_for_each(|item| references(item, root)),
        _ => Ok(()),
    }
}

/// The fragment of a URI without its percent escapes.
fn unescaped(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok()).and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Reading<'a> {
    root: &'a Json,
    unnamed: Unnamed,
    /// References being followed: one that leads back into itself is anything.
    open: Vec<&'a str>,
    /// References followed before, with the number of parts of their type.
    known: FxHashMap<&'a str, (Type, usize)>,
    parts: usize,
}

impl<'a> Reading<'a> {
    fn schema(&mut self, schema: &'a Json, depth: usize) -> Type {
        self.parts += 1;
        let Json::Object(fields) = schema else { return Type::Any };
        if depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return Type::Any;
        }
        if let Some(Json::String(target)) = fields.get("$ref") {
            return self.reference(target, depth);
        }
        if fields.contains_key("$dynamicRef") {
            return Type::Any;
        }
        if let Some(Json::Array(all)) = fields.get("allOf") {
            return self.all_of(fields, all, depth);
        }
        self.alone(fields, depth)
    }

    fn reference(&mut self, target: &'a str, depth: usize) -> Type {
        if let Some((ty, parts)) = self.known.get(target) {
            self.parts += parts;
            return if self.parts > PARTS_MAX { Type::Any } else { ty.clone() };
        }
        if self.open.contains(&target) {
            return Type::Any;
        }
        let found = target.strip_prefix('#').and_then(|local| self.root.pointer(&unescaped(local)));
        let Some(found) = found else { return Type::Any };
        self.open.push(target);
        let before = self.parts;
        let ty = self.schema(found, depth + 1);
        self.open.pop();
        // What was cut off on the way to itself is only right inside of it.
        if self.open.is_empty() {
            self.known.insert(target, (ty.clone(), self.parts - before));
        }
        ty
    }

    /// A schema without `$ref` and `allOf`.
    fn alone(&mut self, fields: &'a serde_json::Map<String, Json>, depth: usize) -> Type {
        if let Some(constant) = fields.get("const") {
            return literal(constant);
        }
        if let Some(Json::Array(values)) = fields.get("enum") {
            return Type::join_all(values.iter().map(literal));
        }
        let kind = match fields.get("type") {
            Some(Json::String(kind)) => Some(kind.as_str()),
            Some(Json::Array(kinds)) => match kinds.as_slice() {
                [Json::String(kind)] => Some(kind.as_str()),
                _ => return Type::Any,
            },
            _ => None,
        };
        match kind {
            Some("null") => Type::Null,
            Some("boolean") => Type::Bool,
            Some("integer") => Type::Int,
            Some("number") => Type::Double,
            Some("string") => Type::String,
            Some("array") => match fields.get("items") {
                Some(items) if !fields.contains_key("prefixItems") => Type::list(self.schema(items, depth + 1)),
                _ => Type::list(Type::Any),
            },
            Some("object") => self.object(fields, depth),
            Some(_) => Type::Any,
            None => {
                for name in ["anyOf", "oneOf"] {
                    if let Some(Json::Array(options)) = fields.get(name) {
                        let types: Vec<Type> = options.iter().map(|option| self.schema(option, depth + 1)).collect();
                        return Type::join_all(types);
                    }
                }
                if fields.contains_key("properties") { self.object(fields, depth) } else { Type::Any }
            }
        }
    }

    fn object(&mut self, fields: &'a serde_json::Map<String, Json>, depth: usize) -> Type {
        let patterns = fields.contains_key("patternProperties");
        let additional = fields.get("additionalProperties");
        let properties = fields.get("properties").and_then(Json::as_object);
        let rest = match additional {
            _ if patterns => Some(Type::Any),
            Some(Json::Bool(false)) => None,
            Some(schema) => Some(self.schema(schema, depth + 1)),
            None if properties.is_none() => Some(Type::Any),
            None => (self.unnamed == Unnamed::Allowed).then_some(Type::Any),
        };
        let required: Vec<&str> =
            fields.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str).collect();
        let mut known: BTreeMap<Text, Field> = BTreeMap::new();
        for (name, schema) in properties.into_iter().flatten() {
            let ty = self.schema(schema, depth + 1);
            known.insert(name.into(), Field { ty, required: required.contains(&name.as_str()) });
        }
        for name in required {
            let ty = rest.clone().unwrap_or_default();
            known.entry(name.into()).or_insert(Field { ty, required: true });
        }
        match rest {
            Some(rest) if known.is_empty() => Type::map(rest),
            rest => Object { fields: known, rest }.into(),
        }
    }

    /// All of several: objects have the fields of all, anything else is anything.
    fn all_of(&mut self, fields: &'a serde_json::Map<String, Json>, all: &'a [Json], depth: usize) -> Type {
        let own = self.alone(fields, depth);
        let mut parts: Vec<Type> = all.iter().map(|schema| self.schema(schema, depth + 1)).collect();
        parts.push(own);
        parts.retain(|part| *part != Type::Any);
        let Some(first) = parts.pop() else { return Type::Any };
        parts.into_iter().try_fold(first, |whole, part| both(&whole, &part)).unwrap_or_default()
    }
}

/// A type of values that are of both; `None` where it is not certain to be right.
fn both(a: &Type, b: &Type) -> Option<Type> {
    match (a, b) {
        (a, b) if a == b => Some(a.clone()),
        (Type::Object(a), Type::Object(b)) => {
            let mut fields = a.fields.clone();
            for (name, field) in &b.fields {
                let merged = match fields.get(name) {
                    Some(known) => {
                        Field { ty: both(&known.ty, &field.ty).unwrap_or_default(), required: known.required || field.required }
                    }
                    None => field.clone(),
                };
                fields.insert(name.clone(), merged);
            }
            let rest = match (&a.rest, &b.rest) {
                (Some(_), Some(_)) => Some(Type::Any),
                _ => None,
            };
            Some(Object { fields, rest }.into())
        }
        (Type::Object(object), Type::Map(_)) | (Type::Map(_), Type::Object(object)) => Some(Type::Object(object.clone())),
        _ => None,
    }
}

fn literal(value: &Json) -> Type {
    match value {
        Json::Null => Type::Null,
        Json::Bool(_) => Type::Bool,
        Json::Number(number) if number.is_f64() => Type::Double,
        Json::Number(_) => Type::Int,
        Json::String(_) => Type::String,
        Json::Array(_) => Type::list(Type::Any),
        Json::Object(_) => Type::map(Type::Any),
    }
}

/// A value as JSON, for schemas and literals that are written inline.
pub(super) fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Double(number) => Json::from(*number),
        Value::Str(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Map(map) => Json::Object(map.iter().map(|(key, value)| (key.to_string(), json_of(value))).collect()),
        // Literals of a file are of the kinds above.
        Value::Bytes(_) | Value::Timestamp(_) | Value::Duration(_) | Value::BigInt(_) => Json::Null,
    }
}

#[cfg(test)]
mod tests;

//! From the tree of a checked file to its content.

use super::{Definition, Notes, normal};
use crate::record::Value;
use crate::topology::diagnostic::SourceText;
use crate::topology::model::{Position, Topology};
use crate::topology::schema::json_of;
use crate::topology::yaml::{Kind, Node};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// The content of a file that was lowered without an error.
pub(in crate::topology) fn define(root: &Node, notes: &Notes, topology: &Topology, source: &SourceText) -> Definition {
    let mut reader = Reader { notes, source, places: BTreeMap::new(), path: Vec::new() };
    let mut written = reader.written(root);
    let places = reader.places;
    if let Some(file) = written.as_object_mut() {
        file.retain(|key, _| !key.starts_with("x-"));
        if let Some(params) = file.get_mut("params").and_then(Json::as_object_mut) {
            // The values that it runs with; secrets stay as they are written.
            for (name, value) in topology.params.iter().filter(|(name, _)| !topology.secrets.contains(name)) {
                params.insert(name.to_string(), escaped(json_of(value)));
            }
        }
    }
    let mut resolved = resolve(root, notes, &written);
    normal::normalise(&mut resolved);
    let named = || notes.schema_at.values().filter_map(|path| Some((path, notes.schemas.get(path)?.as_ref()?)));
    // What is not JSON is kept as it was read.
    let schemas = named().filter(|(_, schema)| schema.texts.is_empty()).map(|(path, schema)| match &schema.subject {
        // Several messages may be named of one.
        Some(_) => (path.split('#').next().unwrap_or(path).to_owned(), super::recorded::write(schema.compiled.document())),
        None => (path.clone(), (*schema.document).clone()),
    });
    let texts = named().flat_map(|(_, schema)| &schema.texts);
    let texts = texts.map(|(path, text)| (path.to_string(), text.to_string()));
    Definition { content: resolved, written, schemas: schemas.collect(), texts: texts.collect(), places }
}

struct Reader<'a> {
    notes: &'a Notes,
    source: &'a SourceText,
    places: BTreeMap<Vec<String>, Position>,
    path: Vec<String>,
}

impl Reader<'_> {
    /// The tree as JSON that can be read as a file again.
    fn written(&mut self, node: &Node) -> Json {
        match &node.kind {
            Kind::Scalar(scalar) => match self.notes.filled.get(&node.range.start) {
                Some((value, false)) => escaped(json_of(value)),
                // A secret is read where it is needed, an expression has no variables.
                Some((_, true)) | None => of_scalar(&scalar.value, &scalar.text),
            },
            Kind::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| self.within(index.to_string(), item.range.start, item)).collect()
            }
            Kind::Map(entries) => {
                let mut fields = Map::new();
                for entry in entries {
                    let value = self.within(entry.key.clone(), entry.key_range.start, &entry.node);
                    fields.insert(entry.key.clone(), value);
                }
                Json::Object(fields)
            }
        }
    }

    fn within(&mut self, part: String, at: usize, node: &Node) -> Json {
        self.path.push(part);
        let (line, column) = self.source.line_column(at);
        self.places.insert(self.path.clone(), Position { file: (&*self.source.file).into(), line, column });
        let value = self.written(node);
        self.path.pop();
        value
    }
}

/// A scalar that was not filled. Numbers that the core schema has no value for keep their text.
fn of_scalar(value: &Value, text: &str) -> Json {
    match value {
        Value::BigInt(_) => Json::from(text),
        Value::Double(number) if !number.is_finite() => Json::from(text),
        value => json_of(value),
    }
}

/// Texts in which a dollar stands for itself when the file is read again.
fn escaped(value: Json) -> Json {
    match value {
        Json::String(text) => Json::String(text.replace('$', "$$")),
        Json::Array(items) => items.into_iter().map(escaped).collect(),
        Json::Object(fields) => Json::Object(fields.into_iter().map(|(key, value)| (key, escaped(value))).collect()),
        other => other,
    }
}

/// The written content with schema documents in place of the names of their files.
fn resolve(node: &Node, notes: &Notes, written: &Json) -> Json {
    match (&node.kind, written) {
        (Kind::Scalar(_), written) => {
            let schema = notes.schema_at.get(&node.range.start).and_then(|path| notes.schemas.get(path)?.as_ref());
            schema.map_or_else(|| written.clone(), |schema| (*schema.document).clone())
        }
        (Kind::List(nodes), Json::Array(items)) => {
            nodes.iter().zip(items).map(|(node, item)| resolve(node, notes, item)).collect()
        }
        (Kind::Map(entries), Json::Object(fields)) => {
            let of = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node);
            let resolved = fields.iter().map(|(key, value)| {
                let value = of(key).map_or_else(|| value.clone(), |node| resolve(node, notes, value));
                (key.clone(), value)
            });
            Json::Object(resolved.collect())
        }
        _ => written.clone(),
    }
}

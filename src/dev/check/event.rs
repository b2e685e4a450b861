//! Records as the check reads them: its own decoder of the usual envelope.

use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};

/// An event of a log.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) source: String,
    pub(super) causation: Option<String>,
    pub(super) data: Value,
}

/// Reads a value of the envelope `event`; `None` for what is none.
pub(super) fn decode(value: &[u8]) -> Option<Event> {
    let Ok(Value::Object(mut envelope)) = serde_json::from_slice(value) else { return None };
    let mut text = |name: &str| match envelope.remove(name) {
        Some(Value::String(text)) => Some(Some(text)),
        None | Some(Value::Null) => Some(None),
        Some(_) => None,
    };
    let (id, kind, source) = (text("id")?, text("type")??, text("source")?);
    let causation = match envelope.get("metadata") {
        None | Some(Value::Null) => None,
        Some(Value::Object(metadata)) => metadata.get("causationId").and_then(Value::as_str).map(str::to_owned),
        Some(_) => return None,
    };
    let data = envelope.remove("data").unwrap_or(Value::Null);
    Some(Event { id: id.unwrap_or_default(), kind, source: source.unwrap_or_default(), causation, data })
}

/// A hash of type and payload that does not depend on the order of fields.
pub(super) fn fingerprint(topic: &str, kind: &str, data: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    topic.hash(&mut hasher);
    kind.hash(&mut hasher);
    add(data, &mut hasher);
    hasher.finish()
}

/// A hash of a text.
pub(super) fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn add(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => (2_u8, number.to_string()).hash(hasher),
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            items.iter().for_each(|item| add(item, hasher));
        }
        Value::Object(fields) => {
            (5_u8, fields.len()).hash(hasher);
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            for name in names {
                name.hash(hasher);
                add(&fields[name], hasher);
            }
        }
    }
}

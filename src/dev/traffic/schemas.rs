//! Traffic for a topology that nothing is known of but its contracts: values that its JSON Schemas allow.

use super::{Made, Traffic, event};
use crate::record::{Header, Millis};
use serde_json::{Map, Value};

/// So many different values has a field that records are keyed by: keys must meet again for folds to show.
const KEYS: usize = 100;
/// Deeper values are cut: a schema may refer to itself.
const DEPTH_MAX: usize = 16;
/// A payload has at most so many values: lists of lists of lists grow fast.
const VALUES_MAX: usize = 1_000;
/// Longest text and list that are made, where the schema allows.
const LENGTH_MAX: u64 = 8;

/// A topic that the topology reads and nobody in it writes to.
#[derive(Clone, Debug)]
pub struct Input {
    /// Topic.
    pub topic: String,
    /// Message types with their schemas; none: anything goes, under the topic's name.
    pub types: Vec<(String, Value)>,
    /// Path of the payload's field that the topic is keyed by, where it is a plain one (`data.orderId`: `["orderId"]`).
    pub key: Option<Vec<String>>,
    /// Is the value the payload, without the usual envelope?
    pub bare: bool,
    /// Header that names the type, where there is one.
    pub type_header: Option<String>,
}

/// Records for these inputs, in turn.
pub struct Schemas {
    rng: fastrand::Rng,
    inputs: Vec<Input>,
}

impl Schemas {
    /// Traffic from a seed; `None` where there is nothing to make traffic for.
    pub fn new(seed: u64, inputs: Vec<Input>) -> Option<Self> {
        (!inputs.is_empty()).then(|| Self { rng: fastrand::Rng::with_seed(seed), inputs })
    }
}

impl Traffic for Schemas {
    fn next(&mut self, now: Millis) -> Made {
        let rng = &mut self.rng;
        let input = &self.inputs[rng.usize(..self.inputs.len())];
        let nothing = (input.topic.clone(), Value::Bool(true));
        let (kind, schema) = if input.types.is_empty() { &nothing } else { &input.types[rng.usize(..input.types.len())] };
        let mut data = Maker { rng, root: schema, left: VALUES_MAX }.value(schema, 0);
        let pooled = format!("k{}", rng.usize(..KEYS));
        let key = match input.key.as_deref() {
            Some(path) => key_of(&mut data, path, &pooled),
            None => pooled,
        };
        let value = if input.bare { data.to_string().into_bytes() } else { event(rng, now, kind, &data) };
        let headers = input.type_header.iter().map(|name| Header::text(name.as_str(), kind)).collect();
        Made { topic: input.topic.clone(), key: key.into_bytes(), value: Some(value), headers }
    }
}

/// Puts a key of the pool into the field that the topic is keyed by, and says what the record's key is.
fn key_of(data: &mut Value, path: &[String], pooled: &str) -> String {
    let mut at = data;
    for field in path {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[field.as_str()];
    }
    match at {
        Value::Number(number) => {
            let numbered = number.as_u64().map_or(0, |number| number % KEYS as u64);
            *at = numbered.into();
            numbered.to_string()
        }
        _ => {
            *at = pooled.into();
            pooled.to_owned()
        }
    }
}

struct Maker<'a> {
    rng: &'a mut fastrand::Rng,
    root: &'a Value,
    /// How many values may still be made.
    left: usize,
}

impl Maker<'_> {
    /// A value that fits, as far as the usual words of JSON Schema say. Patterns and formats other than dates, ids and mail
    /// addresses are not understood: what is refused then is a dead letter, which says so.
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(target) = schema["$ref"].as_str().and_then(|path| self.root.pointer(path.strip_prefix('#')?)) {
            let target = target.clone();
            return self.value(&target, depth + 1);
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.is_empty()) {
            return choices[self.rng.usize(..choices.len())].clone();
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[word].as_array().filter(|choices| !choices.is_empty()) {
                let choice = self.rng.usize(..choices.len());
                return self.value(&choices[choice], depth + 1);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.all_of(schema, parts, depth);
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null"),
            _ if schema.get("properties").is_some() => "object",
            _ => "string",
        };
        match kind {
            "object" => self.object(schema, depth),
            "array" => {
                let least = bound(schema, "minItems").unwrap_or(0);
                let most = bound(schema, "maxItems").unwrap_or(u64::MAX).min(least.saturating_add(3)).max(least);
                (0..self.rng.u64(least..=most).min(1_000)).map(|_| self.value(&schema["items"], depth + 1)).collect()
            }
            "integer" => self.integer(schema).into(),
            "number" => {
                let (least, most) = (schema["minimum"].as_f64().unwrap_or(0.0), schema["maximum"].as_f64().unwrap_or(1_000.0));
                // Two digits behind the point are enough to look at.
                let number = least + (most - least).max(0.0) * self.rng.f64();
                serde_json::Number::from_f64(((number * 100.0).round() / 100.0).clamp(least, most.max(least)))
                    .map_or(Value::Null, Value::Number)
            }
            "boolean" => self.rng.bool().into(),
            "null" => Value::Null,
            _ => self.text(schema).into(),
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut made = Map::new();
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            // What need not be there is there half of the time.
            if required.contains(&name.as_str()) || self.rng.bool() {
                made.insert(name.clone(), self.value(field, depth + 1));
            }
        }
        for name in required {
            made.entry(name).or_insert_with(|| "x".into());
        }
        Value::Object(made)
    }

    fn all_of(&mut self, schema: &Value, parts: &[Value], depth: usize) -> Value {
        let mut made = Map::new();
        for part in parts {
            if let Value::Object(fields) = self.value(part, depth + 1) {
                made.extend(fields);
            }
        }
        if let Value::Object(fields) = self.object(schema, depth) {
            made.extend(fields);
        }
        Value::Object(made)
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let least = schema["minimum"].as_i64().or_else(|| schema["exclusiveMinimum"].as_i64().map(|n| n.saturating_add(1)));
        let most = schema["maximum"].as_i64().or_else(|| schema["exclusiveMaximum"].as_i64().map(|n| n.saturating_sub(1)));
        let least = least.unwrap_or_else(|| most.map_or(0, |most| most.min(0)));
        let most = most.unwrap_or(i64::MAX).min(least.saturating_add(1_000)).max(least);
        let step = schema["multipleOf"].as_i64().filter(|step| *step > 0).unwrap_or(1);
        let number = self.rng.i64(least..=most);
        // Up to the next multiple, as long as the bounds allow.
        let up = number.checked_add((step - number.rem_euclid(step)) % step).filter(|number| *number <= most);
        up.unwrap_or_else(|| number - number.rem_euclid(step))
    }

    fn text(&mut self, schema: &Value) -> String {
        match schema["format"].as_str() {
            Some("date-time") => return format!("2026-01-{:02}T12:00:00Z", self.rng.u8(1..=28)),
            Some("date") => return format!("2026-01-{:02}", self.rng.u8(1..=28)),
            Some("uuid") => return super::id(self.rng),
            Some("email") => return format!("user{}@example.com", self.rng.u16(..1_000)),
            Some("uri") => return format!("https://example.com/{}", self.rng.u16(..1_000)),
            _ => {}
        }
        let least = bound(schema, "minLength").unwrap_or(0);
        let most = bound(schema, "maxLength").unwrap_or(u64::MAX).min(least.max(LENGTH_MAX)).max(least).min(10_000);
        let length = self.rng.u64(least.max(1).min(most)..=most);
        (0..length).map(|_| self.rng.lowercase()).collect()
    }
}

fn bound(schema: &Value, word: &str) -> Option<u64> {
    schema[word].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn input(schema: Value) -> Input {
        Input {
            topic: "things".into(),
            types: vec![("thing.seen.v1".into(), schema)],
            key: Some(vec!["id".into()]),
            bare: false,
            type_header: None,
        }
    }

    fn payload(made: &Made) -> Value {
        let event: Value = serde_json::from_slice(made.value.as_deref().unwrap()).unwrap();
        assert_eq!(event["type"], "thing.seen.v1");
        event["data"].clone()
    }

    #[test]
    fn what_is_made_fits_the_schema() {
        for schema in [
            json!({ "type": "object", "required": ["id", "n"], "properties": {
                "id": { "type": "string" }, "n": { "type": "integer", "minimum": 5, "maximum": 7 } } }),
            json!({ "type": "object", "required": ["id", "list"], "properties": {
                "id": { "type": "string", "maxLength": 64 },
                "list": { "type": "array", "minItems": 2, "maxItems": 3, "items": { "type": "number", "minimum": 0.5, "maximum": 1.5 } } } }),
            json!({ "type": "object", "required": ["id", "e", "c", "o"], "properties": {
                "id": { "type": "string" }, "e": { "enum": ["a", "b"] }, "c": { "const": 4 },
                "o": { "oneOf": [{ "type": "boolean" }, { "type": "null" }] },
                "t": { "type": ["null", "string"], "minLength": 20 }, "m": { "type": "integer", "multipleOf": 7 } } }),
            json!({ "$defs": { "id": { "type": "string", "minLength": 1 } }, "type": "object", "required": ["id"],
                "properties": { "id": { "$ref": "#/$defs/id" }, "x": { "type": "integer", "exclusiveMaximum": -5 } } }),
        ] {
            let validator = jsonschema::validator_for(&schema).unwrap();
            let mut traffic = Schemas::new(3, vec![input(schema.clone())]).unwrap();
            for _ in 0..300 {
                let made = traffic.next(0);
                let data = payload(&made);
                assert!(validator.is_valid(&data), "{data} against {schema}");
                assert_eq!(data["id"].as_str().unwrap().as_bytes(), made.key);
            }
        }
    }

    #[test]
    fn keys_meet_again() {
        let schema = json!({ "type": "object", "properties": { "id": { "type": "integer" } }, "required": ["id"] });
        let mut traffic = Schemas::new(3, vec![input(schema)]).unwrap();
        let keys: std::collections::HashSet<_> = (0..2_000).map(|_| traffic.next(0).key).collect();
        assert!((20..=KEYS).contains(&keys.len()), "{}", keys.len());
    }

    #[test]
    fn hostile_schemas_end() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "type": "array", "minItems": 5, "maxItems": 1, "items": { "$ref": "#" } }),
            json!({ "type": "integer", "minimum": i64::MAX, "maximum": i64::MIN }),
            json!({ "type": "integer", "minimum": i64::MIN }),
            json!({ "type": "string", "minLength": u64::MAX }),
            json!({ "enum": [] }),
            json!({ "type": "number", "minimum": 5, "maximum": 1 }),
            json!(false),
            json!(null),
        ] {
            let mut traffic = Schemas::new(1, vec![input(schema)]).unwrap();
            for _ in 0..20 {
                traffic.next(0);
            }
        }
    }

    #[test]
    fn nothing_to_read_means_no_traffic() {
        assert!(Schemas::new(1, vec![]).is_none());
    }
}

//! The kinds of numbers that a schema declares.
//!
//! JSON writes 1 for an integer and often for a double; expressions were checked against the schema and rely on `number` being
//! a double and `integer` an int (`language.md` §3). What the schema leaves open stays as it was read.

use crate::record::{Map, Text, Value};
use serde_json::Value as Json;

/// References followed within each other; a recursive schema declares kinds down to there.
const DEPTH_MAX: usize = 16;
/// Places that kinds are kept for, so that a schema which refers to itself many times stays small.
const PLACES_MAX: usize = 4_096;

/// What is declared for a place of the payload.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    kind: Option<Kind>,
    fields: Vec<(Text, Numbers)>,
    others: Option<Box<Numbers>>,
    items: Option<Box<Numbers>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Double,
    Int,
}

impl Numbers {
    pub(super) fn of(document: &Json) -> Self {
        let mut places = PLACES_MAX;
        Self::at(document, document, 0, &mut places)
    }

    fn at(schema: &Json, document: &Json, depth: usize, places: &mut usize) -> Self {
        let mut found = Self::default();
        let (Json::Object(schema), true) = (schema, depth < DEPTH_MAX && *places > 0) else { return found };
        *places -= 1;
        let deeper = |schema: &Json, places: &mut usize| Self::at(schema, document, depth + 1, places);

        let named = |name: &str| match schema.get("type") {
            Some(Json::String(kind)) => kind == name,
            Some(Json::Array(kinds)) => kinds.iter().any(|kind| kind == name),
            _ => false,
        };
        if named("number") {
            found.kind = Some(Kind::Double);
        } else if named("integer") {
            found.kind = Some(Kind::Int);
        }
        if let Some(Json::Object(fields)) = schema.get("properties") {
            for (name, field) in fields {
                let inner = deeper(field, places);
                if !inner.is_empty() {
                    found.fields.push((name.into(), inner));
                }
            }
        }
        if let Some(others) = schema.get("additionalProperties") {
            found.others = boxed(deeper(others, places));
        }
        if let Some(items) = schema.get("items") {
            found.items = boxed(deeper(items, places));
        }
        if let Some(target) = schema.get("$ref").and_then(Json::as_str).and_then(|reference| resolve(reference, document)) {
            found.merge(deeper(target, places));
        }
        if let Some(Json::Array(parts)) = schema.get("allOf") {
            for part in parts {
                found.merge(deeper(part, places));
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        self.kind.is_none() && self.fields.is_empty() && self.others.is_none() && self.items.is_none()
    }

    /// Both hold: what one leaves open the other says.
    fn merge(&mut self, other: Self) {
        // `integer` is the narrower of the two.
        self.kind = match (self.kind, other.kind) {
            (Some(Kind::Int), _) | (_, Some(Kind::Int)) => Some(Kind::Int),
            (kind, None) | (None, kind) => kind,
            (kind, _) => kind,
        };
        for (name, inner) in other.fields {
            match self.fields.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => known.merge(inner),
                None => self.fields.push((name, inner)),
            }
        }
        merge_boxed(&mut self.others, other.others);
        merge_boxed(&mut self.items, other.items);
    }

    /// The value with its numbers of the declared kinds; `None` where they are already.
    pub(super) fn conformed(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Map(map) => self.conformed_map(map).map(Value::Map),
            Value::List(items) => {
                let inner = self.items.as_deref()?;
                let mut changed: Option<Vec<Value>> = None;
                for (place, item) in items.iter().enumerate() {
                    if let Some(new) = inner.conformed(item) {
                        changed.get_or_insert_with(|| items.to_vec())[place] = new;
                    }
                }
                changed.map(Value::list)
            }
            _ => conformed_number(self.kind?, value),
        }
    }

    fn conformed_map(&self, map: &Map) -> Option<Map> {
        let mut changed: Option<Map> = None;
        for (name, inner) in &self.fields {
            if let Some(new) = map.get(name).and_then(|value| inner.conformed(value)) {
                changed.get_or_insert_with(|| map.clone()).insert(name.clone(), new);
            }
        }
        if let Some(inner) = &self.others {
            for (name, value) in map.iter().filter(|(name, _)| !self.fields.iter().any(|(known, _)| known == *name)) {
                if let Some(new) = inner.conformed(value) {
                    changed.get_or_insert_with(|| map.clone()).insert(name.clone(), new);
                }
            }
        }
        changed
    }
}

fn conformed_number(kind: Kind, value: &Value) -> Option<Value> {
    match (kind, value) {
        (Kind::Double, Value::Int(number)) => Some(Value::Double(*number as f64)),
        (Kind::Double, Value::BigInt(digits)) => {
            let number: f64 = digits.parse().ok()?;
            number.is_finite().then_some(Value::Double(number))
        }
        (Kind::Int, Value::Double(number)) if number.fract() == 0.0 => {
            // Whole doubles beyond 64 bits have exact digits too, and pass through as integers do.
            let digits = format!("{:.0}", if *number == 0.0 { 0.0 } else { *number });
            Some(digits.parse().map_or_else(|_| Value::BigInt(digits.into()), Value::Int))
        }
        _ => None,
    }
}

fn boxed(numbers: Numbers) -> Option<Box<Numbers>> {
    (!numbers.is_empty()).then(|| Box::new(numbers))
}

fn merge_boxed(into: &mut Option<Box<Numbers>>, other: Option<Box<Numbers>>) {
    match (into.as_mut(), other) {
        (Some(known), Some(other)) => known.merge(*other),
        (None, Some(other)) => *into = Some(other),
        (_, None) => {}
    }
}

/// A reference within the document, by JSON pointer.
fn resolve<'a>(reference: &str, document: &'a Json) -> Option<&'a Json> {
    document.pointer(reference.strip_prefix('#')?)
}

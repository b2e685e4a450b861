//! What a value weighs, in one walk: memory for the cache's bound, text for the topic's bound, and whether JSON can hold it.

use crate::record::{Value, json};

/// Result of a walk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Bytes in memory, roughly.
    pub(super) memory: usize,
    /// Bytes of JSON, at most.
    pub(super) text_max: usize,
    /// Holds NaN or an infinity.
    pub(super) not_finite: bool,
    /// Nested deeper than JSON text may be.
    pub(super) too_deep: bool,
}

/// An escaped character takes six bytes at most.
const ESCAPED: usize = 6;
/// Longest text of a number, a moment or a length of time.
const SHORT: usize = 40;

pub(super) fn of(value: &Value) -> Weight {
    let mut weight = Weight::default();
    add(value, 0, &mut weight);
    weight
}

fn add(value: &Value, depth: usize, weight: &mut Weight) {
    weight.memory += size_of::<Value>();
    match value {
        Value::Null | Value::Bool(_) => weight.text_max += 5,
        Value::Int(_) | Value::Timestamp(_) | Value::Duration(_) => weight.text_max += SHORT,
        Value::Double(number) => {
            weight.text_max += SHORT;
            weight.not_finite |= !number.is_finite();
        }
        Value::Str(text) => add_text(text.len(), weight),
        Value::BigInt(digits) => add_text(digits.len(), weight),
        Value::Bytes(bytes) => {
            weight.memory += bytes.len();
            weight.text_max += bytes.len().div_ceil(3) * 4 + 2;
        }
        Value::List(items) => {
            weight.text_max += 2 + items.len();
            if deeper(depth, weight) {
                items.iter().for_each(|item| add(item, depth + 1, weight));
            }
        }
        Value::Map(map) => {
            weight.text_max += 2 + 2 * map.len();
            if deeper(depth, weight) {
                for (key, item) in map.iter() {
                    weight.memory += size_of_val(key);
                    add_text(key.len(), weight);
                    add(item, depth + 1, weight);
                }
            }
        }
    }
}

fn add_text(length: usize, weight: &mut Weight) {
    weight.text_max += ESCAPED * length + 2;
    // Shorter texts lie in the value itself.
    if length > 23 {
        weight.memory += length;
    }
}

/// Nothing is walked beyond what can be written, so the walk's own depth is bounded.
fn deeper(depth: usize, weight: &mut Weight) -> bool {
    weight.too_deep |= depth == json::DEPTH_MAX;
    depth < json::DEPTH_MAX
}

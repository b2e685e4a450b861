//! What judging a value against a schema needs, whichever language the schema is in: the place in the value, words for messages,
//! and numbers that keep their worth.

use crate::record::{Value, duration_text, timestamp_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Where in a value something is, for messages: names of fields, never values.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(outer, name) => write!(f, "{outer}/{name}"),
            Self::Item(outer, index) => write!(f, "{outer}/{index}"),
        }
    }
}

impl Path<'_> {
    /// What is wrong here.
    pub(super) fn says(&self, what: impl std::fmt::Display) -> String {
        match self {
            Self::Root => format!("at `/`: {what}"),
            path => format!("at `{path}`: {what}"),
        }
    }

    /// Is there room for parts of what is here? A path grows with the nesting, one step a level.
    pub(super) fn deep_enough(&self, depth_max: usize) -> Result<(), String> {
        if self.depth() < depth_max { Ok(()) } else { Err(format!("nested more than {depth_max} deep")) }
    }

    /// How many parts it is inside.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Root => 0,
            Self::Field(outer, _) | Self::Item(outer, _) => outer.depth() + 1,
        }
    }
}

/// A kind with its article.
pub(super) fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// An integer, or a double that is one.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Double(number) => {
            // 2^63 is a double, the largest integer is not.
            let fits = number.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(number);
            fits.then_some(*number as i64)
        }
        _ => None,
    }
}

/// An integer of 32 bits.
pub(super) fn int32(value: &Value) -> Option<Value> {
    whole(value).filter(|number| i32::try_from(*number).is_ok()).map(Value::Int)
}

/// A number in double precision.
pub(super) fn double(value: &Value) -> Option<Value> {
    real(value).map(Value::Double)
}

/// What is left of a number in single precision.
pub(super) fn float(value: &Value) -> Option<Value> {
    single(real(value)?).map(Value::Double)
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        _ => None,
    }
}

/// Text, and what JSON has as text.
pub(super) fn text(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Str(text) => Value::Str(text.clone()),
        Value::Timestamp(moment) => Value::from(timestamp_text(*moment)),
        Value::Duration(length) => Value::from(duration_text(*length)),
        Value::Bytes(bytes) => Value::from(STANDARD.encode(bytes)),
        _ => return None,
    })
}

/// The double that is left of a number in single precision.
fn single(number: f64) -> Option<f64> {
    let narrow = number as f32;
    (narrow.is_finite() || !number.is_finite()).then_some(f64::from(narrow))
}

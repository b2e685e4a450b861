//! Is a value what was expected? Maps may have further fields, unless they are to be exact; lists have as many elements.

use super::names::Known;
use super::tree::{Branch, Tree};
use crate::record::{Value, json};
use std::ops::Range;

/// Longest text of a value in a message.
const SHOWN_MAX: usize = 160;

/// A place where it is not.
#[derive(Clone, Debug)]
pub(super) struct Mismatch {
    /// Where the expectation stands in the file.
    pub(super) range: Range<usize>,
    /// Which part of the value: `data.items[0].price`.
    pub(super) path: String,
    /// What there is instead.
    pub(super) label: String,
    /// The value that there is, where one could be written in place of the expected one.
    pub(super) actual: Option<Value>,
}

/// Compares a value with what was expected of it.
pub(super) fn compare(
    tree: &Tree,
    actual: Option<&Value>,
    exact: bool,
    path: &str,
    known: &mut Known,
    out: &mut Vec<Mismatch>,
) {
    let mut differs = |label: String, actual: Option<&Value>| {
        out.push(Mismatch { range: tree.range.clone(), path: path.to_owned(), label, actual: actual.cloned() });
    };
    match &tree.kind {
        Branch::Literal(expected) => {
            if *expected != *actual.unwrap_or(&Value::Null) {
                differs(is(actual), actual);
            }
        }
        Branch::Computed(computed) => {
            known.value = actual.cloned().unwrap_or_default();
            match computed.eval(known) {
                Ok(Value::Bool(true)) if computed.judges => {}
                Ok(Value::Bool(false)) if computed.judges => differs(is(actual), None),
                Ok(_) if computed.judges => differs("this gives neither true nor false".into(), None),
                Ok(expected) if expected == known.value => {}
                Ok(expected) => differs(format!("{}, expected is {}", is(actual), text_of(&expected)), None),
                Err(error) => differs(format!("{}; {error}", is(actual)), None),
            }
        }
        Branch::List(items) => match actual {
            Some(Value::List(found)) if found.len() == items.len() => {
                for (at, (item, found)) in items.iter().zip(found.iter()).enumerate() {
                    compare(item, Some(found), exact, &format!("{path}[{at}]"), known, out);
                }
            }
            Some(Value::List(found)) => {
                let label = format!(
                    "{} elements, expected are {}: {}",
                    found.len(),
                    items.len(),
                    text_of(&actual.cloned().unwrap_or_default())
                );
                differs(label, actual);
            }
            _ => differs(is(actual), actual),
        },
        Branch::Map(entries) => match actual {
            Some(Value::Map(found)) => {
                for (key, _, inner) in entries {
                    compare(inner, found.get(key), exact, &join(path, key), known, out);
                }
                let others = found.iter().filter(|(key, _)| exact && !entries.iter().any(|(known, ..)| known == *key));
                let others: Vec<String> = others.map(|(key, value)| format!("`{key}`: {}", text_of(value))).collect();
                if !others.is_empty() {
                    let label = format!("there is also {}", others.join(", "));
                    out.push(Mismatch { range: tree.range.clone(), path: path.to_owned(), label, actual: actual.cloned() });
                }
            }
            _ => differs(is(actual), actual),
        },
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn is(actual: Option<&Value>) -> String {
    actual.map_or_else(|| "is missing".to_owned(), |value| format!("is {}", text_of(value)))
}

/// A value as JSON, cut where it is long.
pub(super) fn text_of(value: &Value) -> String {
    let text = json::text(value).unwrap_or_else(|error| error.to_string());
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

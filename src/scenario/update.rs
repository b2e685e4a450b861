//! Writing what came into the file: values in place of those that differ, a `then` where there is none.
//!
//! Only the bytes of a value are replaced, so comments and layout stay. What is expected and did not come, and what came and is
//! not expected, is left to whoever wrote the file: taking an expectation away is a decision.

use super::driver::{Driver, Observed};
use super::model::Round;
use super::record::key_value;
use super::run::{Edit, Failure, Replacement};
use crate::record::{Text, Value, json};
use std::fmt::Write as _;

/// Values up to this length are written on one line.
const LINE_MAX: usize = 100;

/// The text with what the failures would have in it; `None`: they have nothing to write.
pub fn updated<'f>(text: &str, failures: impl IntoIterator<Item = &'f Failure>) -> Option<String> {
    let mut edits: Vec<&Edit> = failures.into_iter().flat_map(|failure| &failure.edits).collect();
    edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    let mut out = String::with_capacity(text.len() + 256);
    let mut at = 0;
    for edit in &edits {
        // What lies within another edit is written by that one.
        let (Some(between), true) = (text.get(at..edit.range.start.max(at)), edit.range.start >= at) else { continue };
        out.push_str(between);
        match &edit.with {
            Replacement::Flow(value) => {
                out.push_str(value);
                // The place of a scalar may reach over the blanks behind it.
                let written = text.get(edit.range.clone()).unwrap_or_default();
                out.push_str(&written[written.trim_end().len()..]);
            }
            Replacement::Text(value) => out.push_str(value),
        }
        at = edit.range.end;
    }
    out.push_str(text.get(at..)?);
    (!edits.is_empty()).then_some(out)
}

/// A `then` that says all that came, where there is none.
pub(super) fn whole_then(round: &Round, observed: &Observed, driver: &Driver<'_>, text: &str) -> Option<Edit> {
    if text[round.range.start..].starts_with('{') {
        return None;
    }
    let line = text[..round.first_key.start].rfind('\n').map_or(0, |at| at + 1);
    let indent = text[line..round.first_key.start].chars().count();
    let items = items(observed, driver, indent + 2);
    Some(match &round.then_key {
        Some(key) => {
            let colon = text[key.end..].find(':').map_or(key.end, |at| key.end + at + 1);
            Edit { range: colon..colon, with: Replacement::Text(format!("\n{}", items.trim_end())) }
        }
        None => {
            let end = round.range.end;
            let then = format!("\n{:indent$}then:\n{}", "", items.trim_end());
            Edit { range: end..end, with: Replacement::Text(then) }
        }
    })
}

fn items(observed: &Observed, driver: &Driver<'_>, indent: usize) -> String {
    let mut out = String::new();
    let mut item = |fields: &[(&str, Value)]| {
        for (at, (name, value)) in fields.iter().enumerate() {
            let dash = if at == 0 { "- " } else { "  " };
            let _ = writeln!(out, "{:indent$}{dash}{name}:{}", "", under(value, indent + 4));
        }
    };
    for message in &observed.messages {
        let get = |name: &str| message.shown.get(name).cloned().unwrap_or_default();
        let data = get("data");
        let of_data = |name: &str| data.get(name).cloned().unwrap_or_default();
        match message.kind.as_str() {
            "reply.accepted" => item(&[("accepted", data)]),
            "reply.rejected" => match of_data("message") {
                Value::Str(text) if !text.is_empty() => item(&[("rejected", of_data("code")), ("message", text.into())]),
                _ => item(&[("rejected", of_data("code"))]),
            },
            kind => item(&[("type", kind.into()), ("key", get("key")), ("data", data)]),
        }
    }
    for letter in &observed.letters {
        let get = |name: &str| letter.shown.get(name).cloned().unwrap_or_default();
        item(&[("dead_letter", get("code")), ("node", get("node"))]);
    }
    for (aggregate, key) in &observed.states {
        let name = Value::from(driver.node(*aggregate).clone());
        let fields = [("state", name), ("key", key_value(Some(key)))];
        match driver.state(*aggregate, key) {
            Ok(Some(entity)) => {
                let version = Value::Int(i64::try_from(entity.version).unwrap_or(i64::MAX));
                let [name, key] = fields;
                item(&[name, key, ("version", version), ("value", entity.value)]);
            }
            Ok(None) => {
                let [name, key] = fields;
                item(&[name, key, ("exists", false.into())]);
            }
            // A state that cannot be read is no expectation.
            Err(_) => {}
        }
    }
    let mut instances: Vec<(usize, &Text)> = observed.histories.iter().map(|entry| (entry.node, &entry.id)).collect();
    instances.sort();
    instances.dedup();
    for (node, id) in instances {
        // As of states: what cannot be read is no expectation.
        let Ok(Some(view)) = driver.saga(node, id) else { continue };
        let place =
            if view.state.is_empty() { ("step", Value::from(view.step())) } else { ("state", view.state.clone().into()) };
        let fields = [
            ("saga", driver.node(node).clone().into()),
            ("key", id.clone().into()),
            ("status", view.status.name().into()),
            place,
            ("reason", view.reason.clone().into()),
            ("data", view.data()),
        ];
        let said: Vec<(&str, Value)> = fields.into_iter().filter(|(_, value)| *value != Value::from("")).collect();
        item(&said);
    }
    item(&[("none", true.into())]);
    out
}

/// A value behind a key: on its line, or on lines of its own.
fn under(value: &Value, indent: usize) -> String {
    let line = flow(value);
    if line.len() <= LINE_MAX || !matches!(value, Value::Map(_) | Value::List(_)) {
        return format!(" {line}");
    }
    let mut out = String::new();
    match value {
        Value::Map(map) => {
            for (key, value) in map.iter() {
                let _ = write!(out, "\n{:indent$}{}:{}", "", scalar(key), under(value, indent + 2));
            }
        }
        Value::List(items) => {
            for value in items.iter() {
                let _ = write!(out, "\n{:indent$}- {}", "", flow(value));
            }
        }
        _ => {}
    }
    out
}

/// A value as YAML on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Str(text) if text.starts_with('=') => scalar(&Text::from(format!("={text}"))),
        Value::Str(text) => scalar(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(map) if map.is_empty() => "{}".to_owned(),
        Value::Map(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => json::text(other).unwrap_or_else(|_| "null".to_owned()),
    }
}

/// Text, in quotes where YAML would read something else without.
fn scalar(text: &Text) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_word = words.contains(&text.to_ascii_lowercase().as_str());
    if begins && text.chars().all(plain) && !is_word {
        return text.to_string();
    }
    let mut out = Vec::new();
    json::write_text(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

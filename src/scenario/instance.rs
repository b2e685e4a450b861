//! An instance of a saga as expectations see it, and against what was expected of it.

use super::check::bare;
use super::driver::{Driver, Observed};
use super::model::{Expected, Saga};
use super::names::Known;
use super::pattern::{Mismatch, compare, text_of};
use super::record::as_text;
use super::run::{Failure, Mark};
use super::tree::{Branch, Tree};
use crate::desk::{Entry, Timeline, View};
use crate::record::{Map, Text, Value};

/// What `then` looks at.
pub(super) fn shown(view: &View) -> Value {
    let whole = view.whole();
    let steps = whole.get("steps").and_then(Value::as_list).unwrap_or_default();
    let became = steps.iter().filter_map(|step| {
        let name = step.get("name").and_then(Value::as_str)?;
        Some((Text::new(name), Value::from(became(step))))
    });
    let became: Map = became.collect();
    let Value::Map(mut shown) = view.summary() else { unreachable!("a summary is a map") };
    shown.insert("step".into(), view.step().into());
    shown.insert("steps".into(), became.into());
    // What there is none of is null, as where anything is missing.
    for name in ["failedStep", "reason", "state", "step"] {
        if shown.get(name) == Some(&Value::from("")) {
            shown.insert(name.into(), Value::Null);
        }
    }
    shown.into()
}

/// What became of a step, in one word: of what undoes it, if it is on its way back.
fn became(step: &Value) -> &str {
    const BACK: [(&str, &[&str]); 4] = [
        ("undo_failed", &["undo_failed"]),
        ("undoing", &["undoing", "undo_resting"]),
        ("left", &["left"]),
        ("undone", &["undone"]),
    ];
    let operations = step.get("operations").and_then(Value::as_list).unwrap_or_default();
    let states: Vec<&str> = operations.iter().filter_map(|op| op.get("state").and_then(Value::as_str)).collect();
    let back = BACK.iter().find(|(_, words)| states.iter().any(|state| words.contains(state)));
    back.map_or_else(|| step.get("state").and_then(Value::as_str).unwrap_or_default(), |(word, _)| word)
}

/// Compares an instance, and what it went through.
pub(super) fn check(
    expected: &Expected,
    wanted: &Saga,
    observed: &Observed,
    driver: &Driver<'_>,
    known: &mut Known,
) -> Option<Failure> {
    let Saga { node, key, exists, parts, history } = wanted;
    let name = driver.node(*node);
    let key = match key.fill(known) {
        Ok(key) => as_text(&key),
        Err((range, why)) => return Some(Failure::new("the key cannot be computed", Mark::at(&range, why))),
    };
    let view = match driver.saga(*node, &key) {
        Ok(view) => view,
        Err(why) => return Some(bare(expected, format!("the saga `{name}` `{key}` cannot be read"), why)),
    };
    let entries = observed.histories.iter().filter(|entry| entry.node == *node && entry.id == key).map(|entry| &entry.data);
    let entries: Vec<&Value> = entries.collect();
    let view = match view {
        None if *exists => {
            return Some(bare(expected, format!("there is no saga `{name}` `{key}`"), "this is not there".into()));
        }
        None => return None,
        Some(view) if !exists => {
            let title = format!("there is a saga `{name}` `{key}`");
            return Some(bare(expected, title, format!("it is {}", view.status.name())));
        }
        Some(view) => view,
    };
    let shown = shown(&view);
    let mut found: Vec<Mismatch> = Vec::new();
    for part in parts {
        let actual = part.path.iter().try_fold(&shown, |value, field| value.get(field));
        compare(&part.tree, actual, expected.exact && part.path == ["data"], &part.path.join("."), known, &mut found);
    }
    if let Some(history) = history {
        went_through(history, &entries, expected.exact, known, &mut found);
    }
    let first = found.first()?.path.clone();
    let lines = Timeline::new(entries.into_iter().filter_map(Entry::read).collect()).lines();
    let place = if view.place().is_empty() { String::new() } else { format!(" at {}", view.place()) };
    let reason = if view.reason.is_empty() { String::new() } else { format!(", {}", view.reason) };
    let told = format!("saga: {}{place}{reason}, data {}", view.status.name(), text_of(&view.data()));
    let title = format!("the saga `{name}` `{key}` is not as expected at `{first}`");
    let lines = lines.lines().skip(1).map(|line| format!("history: {}", line.trim_start()));
    Some(Failure::of(title, found).notes([told]).notes(lines))
}

/// The expected entries come in this order; others may lie between, unless it is to be exact.
fn went_through(wanted: &[Tree], entries: &[&Value], exact: bool, known: &mut Known, found: &mut Vec<Mismatch>) {
    let mut at = 0;
    for tree in wanted {
        let next = (at..entries.len()).find(|at| misfits(tree, entries[*at], known).is_empty());
        match next {
            Some(next) if !exact || next == at => at = next + 1,
            _ => {
                let there = entries.get(at).and_then(|entry| entry.get("what")).and_then(Value::as_str);
                let label = match (exact, there) {
                    (true, Some(there)) => format!("this is `{there}`"),
                    _ => "this did not happen, or not at this place".to_owned(),
                };
                found.push(Mismatch { range: tree.range.clone(), path: "history".into(), label, actual: None });
                return;
            }
        }
    }
    if let (true, Some(next), Some(last)) = (exact, entries.get(at), wanted.last()) {
        let what = next.get("what").and_then(Value::as_str).unwrap_or_default();
        let label = format!("after this there is also `{what}`");
        found.push(Mismatch { range: last.range.clone(), path: "history".into(), label, actual: None });
    }
}

/// A word is what happened; a map has more to say.
fn misfits(tree: &Tree, entry: &Value, known: &mut Known) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let actual = match tree.kind {
        Branch::Map(_) => Some(entry),
        _ => entry.get("what"),
    };
    compare(tree, actual, false, "history", known, &mut found);
    found
}

//! Which parts of a file differ, and which nodes that touches.

use super::diff::differences;
use super::rules::{self, Node};
use super::{Comparison, Difference, Mark, Part, Reason, Side, Verdict};
use crate::topology::Definition;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// Sections that declare nodes, with what one of them is.
const NODES: [(&str, &str); 4] =
    [("aggregates", "aggregate"), ("repositories", "repository"), ("pipelines", "pipeline"), ("sagas", "saga")];

/// Compares what was applied with what is to be. `cut` tells of a topic's name whether old records of it are gone, and why that is
/// known.
pub fn compare(old: Side<'_>, new: Side<'_>, cut: &dyn Fn(&str) -> Option<String>) -> Comparison {
    let (before, after) = (nodes(old.definition), nodes(new.definition));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let empty = Json::Null;
    let mut parts = Vec::new();
    for name in names {
        let part = match (before.get(name), after.get(name)) {
            (Some((_, kind, content)), None) => removed(old, new, name, kind, content),
            (None, Some((section, kind, content))) => {
                let mut part = Part::new(kind, name, Mark::Added);
                part.because(rules::added(old, new, name));
                part.differences = located(vec![whole(Mark::Added, None, Some(content))], &[section, name], new.definition);
                part
            }
            (Some((was, _, content)), Some((section, kind, other))) => {
                let mut part = Part::new(kind, name, Mark::Same);
                let moved = was != section;
                if moved {
                    let text = format!("it was in `{was}` and is in `{section}`");
                    part.because(vec![reason(Verdict::Refused, text)]);
                }
                part.differences = located(differences(content, other), &[section, name], new.definition);
                let node = Node { name, section, old, new, content: other, cut };
                part.because(rules::changed(&node, &part.differences));
                part.because(rules::params(&node));
                part.because(rules::topics(&node));
                if moved || !part.differences.is_empty() || part.verdict > Verdict::Unchanged {
                    part.mark = Mark::Changed;
                    part.verdict = part.verdict.max(Verdict::Compatible);
                }
                part
            }
            (None, None) => Part::new("node", name, Mark::Same),
        };
        parts.push(part);
    }
    // In the order of the file: aggregates, repositories, pipelines, sagas.
    parts.sort_by_key(|part| NODES.iter().position(|(_, kind)| *kind == part.kind));
    let mut others = Vec::new();
    let (old_file, new_file) = (&old.definition.content, &new.definition.content);
    for (section, kind) in [("topics", "topic"), ("params", "param")] {
        let of = |file: &Json| file.get(section).and_then(Json::as_object).cloned().unwrap_or_default();
        entries(section, kind, &of(old_file), &of(new_file), new.definition, &mut others);
    }
    let known = |key: &str| matches!(key, "topics" | "params") || NODES.iter().any(|(section, _)| *section == key);
    let keys: BTreeSet<&String> = [old_file, new_file].iter().filter_map(|file| file.as_object()).flat_map(Map::keys).collect();
    for key in keys.into_iter().filter(|key| !known(key)) {
        let (a, b) = (old_file.get(key).unwrap_or(&empty), new_file.get(key).unwrap_or(&empty));
        let found = differences(a, b);
        if !found.is_empty() {
            let mut part = Part::new("file", key, Mark::Changed);
            part.because(vec![reason(Verdict::Compatible, "it holds for new records".to_owned())]);
            part.differences = located(found, &[key], new.definition);
            others.push(part);
        }
    }
    Comparison { nodes: parts, others, regroup: old.plan.subscription != new.plan.subscription }
}

/// Nodes by name: section, kind and content.
fn nodes(definition: &Definition) -> BTreeMap<String, (&'static str, &'static str, &Json)> {
    let mut found = BTreeMap::new();
    for (section, kind) in NODES {
        let entries = definition.content.get(section).and_then(Json::as_object);
        for (name, content) in entries.into_iter().flatten() {
            found.insert(name.clone(), (section, kind, content));
        }
    }
    found
}

fn removed(old: Side<'_>, new: Side<'_>, name: &str, kind: &'static str, content: &Json) -> Part {
    let mut part = Part::new(kind, name, Mark::Removed);
    part.because(rules::removed(old, new, name));
    part.differences = vec![whole(Mark::Removed, Some(content), None)];
    part
}

/// Declarations that are no nodes.
fn entries(
    section: &str,
    kind: &'static str,
    old: &Map<String, Json>,
    new: &Map<String, Json>,
    definition: &Definition,
    parts: &mut Vec<Part>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (mark, found) = match (old.get(name), new.get(name)) {
            (Some(a), None) => (Mark::Removed, vec![whole(Mark::Removed, Some(a), None)]),
            (None, Some(b)) => (Mark::Added, vec![whole(Mark::Added, None, Some(b))]),
            (Some(a), Some(b)) => (Mark::Changed, differences(a, b)),
            (None, None) => continue,
        };
        if found.is_empty() {
            continue;
        }
        let mut part = Part::new(kind, name, mark);
        part.verdict = Verdict::Compatible;
        part.differences = located(found, &[section, name], definition);
        parts.push(part);
    }
}

fn whole(mark: Mark, old: Option<&Json>, new: Option<&Json>) -> Difference {
    Difference { mark, path: Vec::new(), old: old.cloned(), new: new.cloned(), at: None }
}

/// The differences with their places in the new file.
fn located(mut found: Vec<Difference>, within: &[&str], definition: &Definition) -> Vec<Difference> {
    for one in &mut found {
        let path: Vec<String> = within.iter().map(|part| (*part).to_owned()).chain(one.path.iter().cloned()).collect();
        one.at = definition.place(&path).cloned();
    }
    found
}

pub(super) fn reason(verdict: Verdict, text: String) -> Reason {
    Reason { verdict, text, at: None }
}

impl Part {
    fn new(kind: &'static str, name: &str, mark: Mark) -> Self {
        let (reasons, differences) = (Vec::new(), Vec::new());
        Self { kind, name: name.to_owned(), mark, verdict: Verdict::Unchanged, reasons, differences }
    }

    /// Takes reasons in, each text once; the worst is the verdict.
    pub(super) fn because(&mut self, reasons: Vec<Reason>) {
        for reason in reasons {
            if self.reasons.iter().all(|known| known.text != reason.text) {
                self.verdict = self.verdict.max(reason.verdict);
                self.reasons.push(reason);
            }
        }
        self.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    }
}

//! Maps with fixed fields: unknown, missing and unbuilt ones are told here.

use super::Lower;
use crate::topology::diagnostic::finding;
use crate::topology::yaml::{Entry, Node};
use std::ops::Range;

/// The fields that a map of the language may have.
pub(super) struct Shape {
    /// What the map is, for messages: `a topic`.
    pub(super) what: &'static str,
    /// Fields of this build.
    pub(super) known: &'static [&'static str],
    /// Fields of the language that this build does not have.
    pub(super) later: &'static [&'static str],
}

impl Shape {
    pub(super) const fn new(what: &'static str, known: &'static [&'static str], later: &'static [&'static str]) -> Self {
        Self { what, known, later }
    }
}

/// Every map that any test has met: the definition of the language is held to them.
#[cfg(test)]
pub(in crate::topology) static SHAPES_SEEN: std::sync::Mutex<std::collections::BTreeSet<(&'static str, Vec<&'static str>)>> =
    std::sync::Mutex::new(std::collections::BTreeSet::new());

/// A map that was checked against its shape.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    pub(super) node: &'n Node,
}

impl<'n> Fields<'n> {
    /// A field that is written. One without a value counts as written: `data:` is null, not missing.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    /// Where a field's name stands; else the map.
    pub(super) fn key_range(&self, name: &str) -> Range<usize> {
        self.entry(name).map_or(self.node.range.clone(), |entry| entry.key_range.clone())
    }
}

impl Lower<'_> {
    /// The node as a map of that shape.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Fields<'n>> {
        #[cfg(test)]
        SHAPES_SEEN.lock().expect("no test fails with it").insert((shape.what, shape.known.to_vec()));
        let entries = self.map(node, shape.what)?;
        for entry in entries {
            let name = entry.key.as_str();
            // `x-…` of the top level makes a place for anchors.
            let place = name.starts_with("x-") && shape.known.contains(&"skald");
            if place || shape.known.contains(&name) {
                continue;
            }
            if shape.later.contains(&name) {
                self.later(entry.key_range.clone(), &format!("`{name}`"));
            } else {
                let found = finding("E105", format!("unknown field `{name}` in {}", shape.what));
                self.say(entry.key_range.clone(), found.meant(name, shape.known.iter().copied()));
            }
        }
        Some(Fields { entries, node })
    }

    /// The node as a map with any keys.
    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match node.map() {
            Some(entries) => Some(entries),
            None => {
                self.wrong_kind(node, &format!("{what}: a map"));
                None
            }
        }
    }

    /// A field that must be there.
    pub(super) fn required<'n>(&mut self, fields: &Fields<'n>, name: &str, shape: &Shape) -> Option<&'n Node> {
        match fields.get(name) {
            Some(node) if !node.is_null() => Some(node),
            found => {
                let range = match found {
                    Some(_) => fields.key_range(name),
                    None => self.head(fields.node),
                };
                self.say(range, finding("E106", format!("{} needs `{name}`", shape.what)));
                None
            }
        }
    }

    /// The first line of a map: where something missing from it is shown.
    pub(super) fn head(&self, node: &Node) -> Range<usize> {
        match node.map().and_then(<[Entry]>::first) {
            Some(first) => first.key_range.clone(),
            None => node.range.clone(),
        }
    }

    /// Known, but not in this build.
    pub(super) fn later(&mut self, range: Range<usize>, what: &str) {
        let found = finding("E117", format!("{what} is known, but not in this build"));
        self.say(range, found);
    }

    pub(super) fn wrong_kind(&mut self, node: &Node, wanted: &str) {
        let found = if node.is_null() {
            finding("E107", format!("nothing is written here; wanted is {wanted}"))
        } else {
            finding("E107", format!("{} is not what is wanted here: {wanted}", node.kind_name()))
        };
        self.say(node.range.clone(), found);
    }
}

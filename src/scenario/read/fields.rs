//! Maps with known fields, and single values.

use super::Reader;
use crate::record::{Millis, Text, Value, parse_duration, read_timestamp};
use crate::scenario::shape::Shape;
use crate::scenario::tree::Tree;
use crate::topology::yaml::{Entry, Kind, Node};
use crate::topology::{Finding, finding};
use std::ops::Range;
use std::time::Duration;

/// A map that was checked against its shape.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    pub(super) node: &'n Node,
}

impl<'n> Fields<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    /// A field with something in it.
    pub(super) fn some(&self, name: &str) -> Option<&'n Node> {
        self.get(name).filter(|node| !node.is_null())
    }

    /// The first key of the map: where what concerns the whole of it is shown.
    pub(super) fn head(&self) -> Range<usize> {
        self.entries.first().map_or(self.node.range.clone(), |entry| entry.key_range.clone())
    }
}

impl Reader<'_> {
    pub(super) fn say(&mut self, range: Range<usize>, found: Finding) {
        self.findings.push(range, found);
    }

    /// The node as a map of that shape. Keys of the top level that begin with `x-` make a place for anchors.
    pub(super) fn fields<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Fields<'n>> {
        let Some(entries) = node.map() else {
            self.wrong_kind(node, &format!("{}: a map", shape.what));
            return None;
        };
        for entry in entries {
            let place = entry.key.starts_with("x-") && shape.has("skald-test");
            if !place && !shape.has(&entry.key) {
                let found = finding("E105", format!("unknown field `{}` in {}", entry.key, shape.what));
                self.say(entry.key_range.clone(), found.meant(&entry.key, shape.names()));
            }
        }
        Some(Fields { entries, node })
    }

    /// The elements of a list; one map stands for a list of one, nothing for an empty one.
    pub(super) fn items<'n>(&mut self, node: Option<&'n Node>, what: &str) -> &'n [Node] {
        let Some(node) = node else { return &[] };
        match &node.kind {
            Kind::List(items) => items,
            Kind::Map(_) => std::slice::from_ref(node),
            Kind::Scalar(_) if node.is_null() => &[],
            Kind::Scalar(_) => {
                self.wrong_kind(node, &format!("a list of {what}"));
                &[]
            }
        }
    }

    pub(super) fn wrong_kind(&mut self, node: &Node, wanted: &str) {
        let found = if node.is_null() {
            finding("E107", format!("nothing is written here; wanted is {wanted}"))
        } else {
            finding("E107", format!("{} is not what is wanted here: {wanted}", node.kind_name()))
        };
        self.say(node.range.clone(), found);
    }

    pub(super) fn text(&mut self, node: &Node) -> Option<Text> {
        match node.scalar().filter(|_| !node.is_null()) {
            Some(scalar) => Some(Text::new(&scalar.text)),
            None => {
                self.wrong_kind(node, "text");
                None
            }
        }
    }

    pub(super) fn optional_text(&mut self, fields: &Fields<'_>, name: &str) -> Option<Text> {
        fields.get(name).and_then(|node| self.text(node))
    }

    pub(super) fn count(&mut self, node: &Node, within: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = node.scalar().and_then(|scalar| scalar.value.as_int());
        let fitting = number.and_then(|number| u32::try_from(number).ok()).filter(|number| within.contains(number));
        if fitting.is_none() {
            let wanted = format!("an integer from {} to {}", within.start(), within.end());
            self.wrong_kind(node, &wanted);
        }
        fitting
    }

    pub(super) fn optional_count(
        &mut self,
        fields: &Fields<'_>,
        name: &str,
        within: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        fields.get(name).and_then(|node| self.count(node, within))
    }

    pub(super) fn truth(&mut self, fields: &Fields<'_>, name: &str) -> Option<bool> {
        let node = fields.get(name)?;
        let truth = node.scalar().and_then(|scalar| scalar.value.as_bool());
        if truth.is_none() {
            self.wrong_kind(node, "`true` or `false`");
        }
        truth
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = &node.scalar()?.text;
        // Longer than a thousand years is a mistake, and no clock could stand it.
        let length = parse_duration(text).and_then(|length| Duration::try_from(length).ok());
        let fitting = length.filter(|length| *length <= Duration::from_hours(24 * 366 * 1_000));
        if fitting.is_none() {
            let found = finding("E113", format!("`{text}` is not a duration"));
            self.say(node.range.clone(), found.hint("as `100ms`, `30s`, `1h30m`, `7d`"));
        }
        fitting
    }

    pub(super) fn moment(&mut self, node: &Node) -> Option<Millis> {
        let text = self.text(node)?;
        let moment = read_timestamp(&text).map(|moment| moment.as_millisecond());
        if moment.is_none() {
            self.wrong_kind(node, "a moment, as `2026-01-01T00:00:00Z`");
        }
        moment
    }

    /// One of several words.
    pub(super) fn word(&mut self, node: &Node, words: &'static [&'static str]) -> Option<&'static str> {
        let text = self.text(node)?;
        let known = words.iter().copied().find(|word| *word == text);
        if known.is_none() {
            let found = finding("E107", format!("`{text}` is not a choice here"));
            self.say(node.range.clone(), found.meant(&text, words.iter().copied()));
        }
        known
    }

    /// A value that computes over what is known when it is sent.
    pub(super) fn tree(&mut self, node: &Node) -> Option<Tree> {
        Tree::read(node, false, self.findings)
    }

    /// A value that is expected.
    pub(super) fn pattern(&mut self, node: &Node) -> Option<Tree> {
        Tree::read(node, true, self.findings)
    }

    /// The entries of a map, each a tree.
    pub(super) fn trees(&mut self, node: Option<&Node>, what: &str) -> Vec<(Text, Tree)> {
        let Some(node) = node else { return Vec::new() };
        let Some(entries) = node.map() else {
            self.wrong_kind(node, &format!("{what}: a map"));
            return Vec::new();
        };
        entries.iter().filter_map(|entry| Some((Text::new(&entry.key), self.tree(&entry.node)?))).collect()
    }

    /// Overrides of params, as the texts of their scalars.
    pub(super) fn params(&mut self, node: Option<&Node>) -> Vec<(String, String)> {
        let Some(node) = node else { return Vec::new() };
        let Some(entries) = node.map() else {
            self.wrong_kind(node, "params: a map");
            return Vec::new();
        };
        let mut params = Vec::new();
        for entry in entries {
            match entry.node.scalar() {
                Some(scalar) if !matches!(scalar.value, Value::Null) => params.push((entry.key.clone(), scalar.text.clone())),
                _ => self.wrong_kind(&entry.node, "a single value"),
            }
        }
        params
    }
}

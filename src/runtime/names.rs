//! What is known of topics that a record names and no file declares.
//!
//! The names come from records, so they are anybody's: what is remembered is bounded. What is known is not true for ever either.
//! A topic may be made, deleted, or grow while the engine runs; so what was not there is looked up again after a while, what is
//! there is compared with the cluster in turn, and what a delivery says goes before both.

use super::Prepared;
use crate::record::Text;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// So many topics that are not there are remembered: any record can name one more.
const MISSING_MAX: usize = 1000;
/// How long it is taken for granted that a topic is not there.
const MISSING_FOR: Duration = Duration::from_secs(30);
/// So many names are compared with the cluster at once.
const COMPARED_MAX: usize = 200;

/// See the module.
pub(super) struct Names {
    /// What was there at the start.
    prepared: Arc<Prepared>,
    /// Index of the topic in batches.
    known: BTreeMap<Text, u16>,
    /// Names that no topic had when it was looked up, and until when that is taken for granted.
    missing: BTreeMap<Text, Duration>,
    /// Names that were known once and are not now: what was there at the start says nothing about them.
    dropped: BTreeSet<Text>,
    /// The name that was compared last.
    compared: Option<Text>,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its index in batches.
    Topic(u16),
    /// It was there at the start, with so many partitions.
    Prepared(u32),
    /// No topic has it, or none that can be written to.
    Missing,
    /// To be looked up.
    Nothing,
}

impl Names {
    pub(super) fn new(prepared: Arc<Prepared>) -> Self {
        let (known, missing) = (BTreeMap::new(), BTreeMap::new());
        Self { prepared, known, missing, dropped: BTreeSet::new(), compared: None }
    }

    pub(super) fn find(&self, name: &str, now: Duration) -> Known {
        if let Some(topic) = self.known.get(name) {
            return Known::Topic(*topic);
        }
        if let Some(until) = self.missing.get(name) {
            return if now < *until { Known::Missing } else { Known::Nothing };
        }
        match self.prepared.others.get(name) {
            Some(partitions) if !self.dropped.contains(name) => Known::Prepared(*partitions),
            _ => Known::Nothing,
        }
    }

    /// The name is that of a topic.
    pub(super) fn is_there(&mut self, name: &str, topic: u16) {
        self.missing.remove(name);
        self.dropped.remove(name);
        self.known.insert(name.into(), topic);
    }

    /// No topic has the name, for a while.
    pub(super) fn is_missing(&mut self, name: &str, now: Duration) {
        self.drop(name);
        if self.missing.len() >= MISSING_MAX {
            self.missing.retain(|_, until| now < *until);
        }
        if self.missing.len() >= MISSING_MAX {
            self.missing.pop_first();
        }
        self.missing.insert(name.into(), now + MISSING_FOR);
    }

    /// What was known of the name is not to be trusted: it is looked up when a record names it again. False where nothing was.
    pub(super) fn drop(&mut self, name: &str) -> bool {
        let was_known = self.known.remove(name).is_some();
        if was_known || self.prepared.others.contains_key(name) {
            self.dropped.insert(name.into());
        }
        was_known
    }

    /// Names whose turn it is to be compared with the cluster; those of the plan's topics, which come first in batches, are not.
    pub(super) fn next_to_compare(&mut self, planned: usize) -> Vec<Text> {
        let after = self.compared.take().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.known.range((after, Bound::Unbounded)).filter(|(_, topic)| usize::from(**topic) >= planned);
        let names: Vec<Text> = rest.take(COMPARED_MAX).map(|(name, _)| name.clone()).collect();
        // From the start again after the last.
        self.compared = names.last().filter(|_| names.len() == COMPARED_MAX).cloned();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let others = BTreeMap::from([("old".into(), 3)]);
        Names::new(Arc::new(Prepared { topics: Vec::new(), tasks: Vec::new(), others, created: Vec::new() }))
    }

    #[test]
    fn what_is_known_of_a_name_lasts_until_somebody_knows_better() {
        let (mut names, at) = (names(), Duration::from_secs);
        assert_eq!(names.find("old", at(0)), Known::Prepared(3));
        assert_eq!(names.find("new", at(0)), Known::Nothing);
        names.is_missing("new", at(0));
        assert_eq!(names.find("new", at(29)), Known::Missing);
        assert_eq!(names.find("new", at(30)), Known::Nothing, "it may have been made since");
        for name in ["new", "old"] {
            names.is_there(name, 7);
            assert_eq!(names.find(name, at(40)), Known::Topic(7));
            assert!(names.drop(name));
            assert_eq!(names.find(name, at(40)), Known::Nothing, "`{name}` was there, at the start or later");
            assert!(!names.drop(name));
            names.is_missing(name, at(40));
            assert_eq!(names.find(name, at(41)), Known::Missing);
        }
        // What was missing long ago is forgotten for others, and the start says no more about it than before.
        (0..2 * MISSING_MAX).for_each(|number| names.is_missing(&format!("none-{number}"), at(100)));
        assert_eq!((names.missing.len(), names.find("old", at(100))), (MISSING_MAX, Known::Nothing));
    }

    #[test]
    fn all_names_are_compared_in_turn() {
        let mut names = names();
        (0..500).for_each(|number| names.is_there(&format!("t{number:03}"), 10 + number));
        names.is_there("planned", 9);
        let mut seen = Vec::new();
        for count in [200, 200, 100, 200] {
            let some = names.next_to_compare(10);
            assert_eq!(some.len(), count);
            seen.extend(some);
        }
        assert_eq!(seen[..500].iter().collect::<BTreeSet<_>>().len(), 500);
        assert!(!seen.contains(&"planned".into()));
        assert_eq!(seen[500], seen[0]);
    }
}

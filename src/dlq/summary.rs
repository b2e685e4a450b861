//! Dead letters grouped by cause: what failed, where, how often, since when.

use super::Found;
use crate::record::{Millis, Offset, Partition, RecordRef, Text};
use std::collections::BTreeMap;

/// Groups that are told apart. A cause is text from outside: a topic full of ever new ones must not fill the memory.
pub const GROUPS_MAX: usize = 1_000;

/// What letters of one group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Code, or class of the exception.
    pub code: Text,
    /// The node; of a foreign letter its writer.
    pub node: Text,
    /// Topic of the originals.
    pub topic: Text,
}

/// Letters of one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How many.
    pub letters: u64,
    /// Time of the oldest, by the failure where it is told, else by the record.
    pub first_at: Millis,
    /// Time of the newest.
    pub last_at: Millis,
    /// Message of the newest.
    pub message: Text,
    /// Where the newest lies in the topic of dead letters.
    pub newest: (Partition, Offset),
}

/// Letters by cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    groups: BTreeMap<Cause, Group>,
    /// Letters of causes beyond [`GROUPS_MAX`].
    pub ungrouped: u64,
    /// Records that are no dead letters.
    pub unreadable: u64,
}

impl Summary {
    /// Counts a letter.
    pub fn add(&mut self, record: &RecordRef<'_>, found: &Found) {
        let cause = found.cause();
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&cause) {
            self.ungrouped += 1;
            return;
        }
        let (first_at, last_at) = found.times(record.timestamp);
        let newest = (record.partition, record.offset);
        let group = self.groups.entry(cause).or_insert_with(|| Group {
            letters: 0,
            first_at,
            last_at,
            message: found.message().clone(),
            newest,
        });
        group.letters += 1;
        group.first_at = group.first_at.min(first_at);
        if last_at >= group.last_at {
            (group.last_at, group.message, group.newest) = (last_at, found.message().clone(), newest);
        }
    }

    /// All letters that were counted.
    pub fn letters(&self) -> u64 {
        self.ungrouped + self.groups.values().map(|group| group.letters).sum::<u64>()
    }

    /// The groups, the largest first; of one size in the order of their names.
    pub fn largest_first(&self) -> Vec<(&Cause, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.letters));
        groups
    }
}

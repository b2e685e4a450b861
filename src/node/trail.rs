//! Which places of a topology its nodes have passed: what the tests of a file have tried.
//!
//! Kept by a [`super::World`] that was given one; without it nothing is kept. What a step passed stays passed, whether its
//! epoch is committed or rolled back.

use crate::record::Text;
use crate::sync::lock;
use crate::topology::model::Position;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Which way a place was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A handler ran, a condition held, a rule refused, a message was sent, an arm was taken.
    Taken,
    /// A condition did not hold, a message was left out, a record fell through all arms.
    Passed,
}

/// A place that was passed: the line and column of what was declared there, and what tells it from others of the same place.
pub type Spot = (u32, u32, Text, Way);

/// What was passed so far, over all threads.
#[derive(Debug, Default)]
pub struct Trail {
    spots: Mutex<BTreeSet<Spot>>,
}

impl Trail {
    /// Notes a place; `what` is its type, code or name, where it has one.
    pub fn note(&self, at: &Position, what: &str, way: Way) {
        let spot = (at.line, at.column, Text::new(what), way);
        lock(&self.spots).insert(spot);
    }

    /// All that was passed.
    pub fn spots(&self) -> BTreeSet<Spot> {
        lock(&self.spots).clone()
    }
}

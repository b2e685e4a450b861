//! The checked model: what a topology file says, with everything resolved that can be resolved before the start.
//!
//! Every default of the language is filled in, every name is an index, every expression is compiled against its scope. Whoever
//! runs a model need not know the YAML that it came from and can trust it: what could be wrong was a diagnostic before.
//!
//! Topics are named by their index in [`Topology::topics`]. A plan lists the same topics at the same indexes and the engine's
//! own ones behind them, so one number names a topic in both.
//!
//! Frames: an expression reads the fixed slots of its scope (`expr::names`) and the locals of the handler or pipeline that it
//! stands in. Each of these says how many locals its frame has; `let`s come in the order written and are evaluated when first
//! read, at most once.

mod aggregate;
mod contract;
mod errors;
mod message;
mod pipeline;
mod retry;
pub mod saga;
mod upcaster;

pub use aggregate::{Aggregate, AggregateKind, Decide, Evolve, StateChange, StateType, StateUpcast, StoreKind};
pub use contract::{Cleanup, Contract, Envelope, Format, KeyFormat, Mapping, MessageType, Retention, Schema, Subject};
pub use errors::{Errors, Park, StopAbove, Then};
pub use message::{Check, Delay, DelayLength, ForEach, Message, MessageData, MessageKey, MessageKind, MessageTarget, Require};
pub use pipeline::{Arm, Dedupe, Operator, Pipeline, Step};
pub use retry::Retry;
pub use saga::Saga;
pub use upcaster::Upcaster;

use crate::expr::{Program, Slot, Template as Compiled, Type};
use crate::record::{Map, Millis, Text};
use jiff::SignedDuration;
use std::sync::Arc;

/// A checked topology.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Its name: the consumer group, and the prefix of everything that the engine makes.
    pub name: Text,
    /// `version` of the file's content.
    pub version: u32,
    /// For people.
    pub description: Option<Text>,
    /// Values of `params`, overrides applied.
    pub params: Map,
    /// Params whose values came from a file: never shown.
    pub secrets: Vec<Text>,
    /// Declared topics in the order of the file, then the derived ones that carry messages (events, commands, replies, histories).
    pub topics: Vec<Contract>,
    /// What old types become, sorted by these.
    pub upcasters: Vec<Upcaster>,
    /// Aggregates and repositories, in the order of the file.
    pub aggregates: Vec<Aggregate>,
    /// Pipelines, in the order of the file.
    pub pipelines: Vec<Pipeline>,
    /// Sagas, in the order of the file.
    pub sagas: Vec<Saga>,
    /// What holds for records that no node has taken yet (they cannot be decoded).
    pub errors: Errors,
    /// Globs of topics that a `reply-to` header may name.
    pub reply_to: Vec<Text>,
    /// Schemas of a registry that nobody has looked up: with any of these it can be looked at, and is not to be run.
    pub unknown: Vec<(Text, Position)>,
}

impl Topology {
    /// Index of a topic by its name.
    pub fn topic(&self, name: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic.name == name)
    }

    /// Does `reply_to` let a reply go to this topic?
    pub fn may_reply_to(&self, topic: &str) -> bool {
        self.reply_to.iter().any(|glob| glob_matches(glob, topic))
    }
}

/// Does a glob (`*` any run, `?` one character) match the whole name? Linear in the product of the lengths, which are a topic
/// name's.
pub fn glob_matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    // One row of the usual table: `reached[n]` says whether the glob so far matches the first n characters.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for pattern in glob {
        match pattern {
            '*' => {
                for at in 1..=name.len() {
                    reached[at] |= reached[at - 1];
                }
            }
            _ => {
                for at in (1..=name.len()).rev() {
                    reached[at] = reached[at - 1] && (pattern == '?' || pattern == name[at - 1]);
                }
                reached[0] = false;
            }
        }
    }
    reached[name.len()]
}

/// A place in a topology file, for messages at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The file, as it was named.
    pub file: Text,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What is run.
    pub program: Arc<Program>,
    /// As written.
    pub text: Text,
    /// Where it stands.
    pub at: Position,
}

/// A compiled template.
#[derive(Clone, Debug)]
pub struct Template {
    /// What is run.
    pub template: Arc<Compiled>,
    /// Where its texts stand, by the number that an error of theirs brings back.
    pub places: Vec<Position>,
    /// Where it stands.
    pub at: Position,
}

/// A name given to an expression, evaluated when first read.
#[derive(Clone, Debug)]
pub struct Let {
    /// Its name.
    pub name: Text,
    /// Where its value is kept.
    pub slot: Slot,
    /// What it stands for.
    pub expr: Expr,
    /// Its type.
    pub ty: Type,
}

/// Where a node reads from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The topic or topics.
    pub from: SourceFrom,
    /// In place of the aggregate's `key`; over the fixed slots alone.
    pub key: Option<Expr>,
    /// Where reading begins when nothing is committed.
    pub start: Start,
    /// Records older than this when they are read are dead letters `EXPIRED`.
    pub max_age: Option<SignedDuration>,
    /// Where it stands.
    pub at: Position,
}

/// A topic, or all whose whole name fits a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceFrom {
    /// One topic, by index.
    Topic(usize),
    /// A regular expression over whole names. It never matches topics that begin with `__` or those that this topology derives.
    Pattern(Text),
}

/// Where reading begins without a committed offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record.
    #[default]
    Earliest,
    /// Behind the newest record.
    Latest,
    /// At the first record of this time or later.
    At(Millis),
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, matches) in [
            ("*.replies", "app.replies", true),
            ("*.replies", "app.replies.x", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("", "", true),
            ("", "a", false),
            ("abc", "abc", true),
        ] {
            assert_eq!(glob_matches(glob, name), matches, "{glob} {name}");
        }
        assert!(!glob_matches(&"*a".repeat(120), &"a".repeat(119)));
    }
}

//! A scenario file, read and checked.

use super::tree::Tree;
use crate::node::{Trail, World};
use crate::record::{Millis, Text};
use crate::runtime::Program;
use crate::saga::At;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The cases of a file, with the topology that they run on.
pub struct Suite {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// The topology file, as it was named.
    pub topology: Arc<str>,
    pub(super) cases: Vec<Case>,
    /// The topology, made ready once for each set of params and partitions.
    pub(super) made: Vec<Made>,
    pub(super) trail: Arc<Trail>,
}

/// A topology made ready.
pub(super) struct Made {
    /// The topology file, as it was named.
    pub(super) file: Arc<str>,
    pub(super) world: Arc<World>,
    pub(super) program: Arc<Program>,
    /// Partitions of topics that the topology does not declare.
    pub(super) partitions: u32,
}

pub(super) struct Case {
    pub(super) name: String,
    pub(super) range: Range<usize>,
    pub(super) skip: Option<String>,
    /// Index of [`Suite::made`].
    pub(super) made: usize,
    pub(super) start: Millis,
    pub(super) workers: usize,
    pub(super) given: Vec<Given>,
    pub(super) rounds: Vec<Round>,
    /// Topics that the topology does not know.
    pub(super) others: Vec<Text>,
}

pub(super) enum Given {
    Message(Box<Message>),
    State(Box<GivenState>),
    Saga(Box<GivenSaga>),
    Answer(Box<Answer>),
}

/// An instance of a saga that is there.
pub(super) struct GivenSaga {
    /// Index of the node in the plan.
    pub(super) node: usize,
    pub(super) key: Tree,
    pub(super) at: At,
    pub(super) data: Option<Tree>,
    pub(super) reason: Option<Tree>,
}

/// The answer of somebody who was asked.
pub(super) struct Answer {
    /// Type of the request.
    pub(super) kind: Text,
    /// What its payload must be like.
    pub(super) data: Option<Tree>,
    pub(super) told: Told,
    pub(super) id: Text,
    pub(super) times: u32,
    pub(super) delay: Duration,
    pub(super) range: Range<usize>,
}

/// What whoever asked is told.
pub(super) enum Told {
    Accepted(Tree),
    Rejected { code: Text, message: Option<Tree>, details: Option<Tree> },
}

/// A state that is there.
pub(super) struct GivenState {
    /// Index of the aggregate.
    pub(super) node: usize,
    pub(super) key: Tree,
    pub(super) version: u64,
    pub(super) state_version: u32,
    pub(super) value: Tree,
}

/// Something happens, and something must come of it.
pub(super) struct Round {
    pub(super) name: Option<String>,
    pub(super) when: Vec<Action>,
    pub(super) then: Vec<Expected>,
    /// The key `then`, where it is written.
    pub(super) then_key: Option<Range<usize>>,
    /// The value of `then`, where one is written.
    pub(super) then_range: Option<Range<usize>>,
    /// The map that `when` and `then` stand in.
    pub(super) range: Range<usize>,
    /// The key `when`, or what comes first.
    pub(super) first_key: Range<usize>,
}

pub(super) struct Action {
    pub(super) act: Act,
    pub(super) range: Range<usize>,
}

pub(super) enum Act {
    Send(Box<Message>),
    Answer(Box<Answer>),
    Duplicate(u32),
    Advance(Duration),
    Crash(Crash),
    Join,
    Leave,
    Hold(Text),
    Release(Text),
}

/// How a worker dies.
#[derive(Clone, Debug)]
pub(super) struct Crash {
    /// Name and label of the point; `None`: at once.
    pub(super) point: Option<(&'static str, &'static str)>,
    pub(super) passing: u64,
    /// From 0.
    pub(super) worker: Option<usize>,
    pub(super) down: Duration,
    pub(super) disk_lost: bool,
}

/// A message to be sent.
pub(super) struct Message {
    pub(super) topic: Text,
    pub(super) kind: Option<Text>,
    pub(super) content: Content,
    pub(super) key: Option<Tree>,
    pub(super) headers: Vec<(Text, Tree)>,
    pub(super) metadata: Vec<(Text, Tree)>,
    pub(super) id: Text,
    pub(super) source: Text,
    pub(super) time: Option<Millis>,
    pub(super) correlation_id: Option<Tree>,
    pub(super) causation_id: Option<Tree>,
    pub(super) partition: Option<u32>,
    pub(super) times: u32,
    pub(super) delay: Duration,
    pub(super) range: Range<usize>,
}

/// What a record's value is made from.
pub(super) enum Content {
    /// A payload, in the topic's envelope.
    Data(Tree),
    /// The whole value, as JSON; null is none.
    Value(Tree),
    /// Bytes.
    Raw(String),
}

pub(super) struct Expected {
    pub(super) what: What,
    pub(super) exact: bool,
    /// The key that says what it is.
    pub(super) head: Range<usize>,
}

pub(super) enum What {
    Emitted(Emitted),
    Letter(Vec<Part>),
    State(Box<State>),
    Saga(Box<Saga>),
    Halted(Box<Halted>),
    /// Nothing else at all.
    NothingElse,
    /// None of these types.
    NoneOf(Vec<Text>),
    AnyOrder(Vec<Expected>),
}

/// An instance of a saga that must be there, or not.
pub(super) struct Saga {
    /// Index of the node in the plan.
    pub(super) node: usize,
    pub(super) key: Tree,
    pub(super) exists: bool,
    pub(super) parts: Vec<Part>,
    /// What it went through.
    pub(super) history: Option<Vec<Tree>>,
}

/// A state that must be there, or not.
pub(super) struct State {
    /// Index of the aggregate.
    pub(super) node: usize,
    pub(super) key: Tree,
    pub(super) exists: bool,
    pub(super) version: Option<Tree>,
    pub(super) value: Option<Tree>,
}

/// A node whose partition must stand still.
pub(super) struct Halted {
    pub(super) node: Text,
    pub(super) subtopology: usize,
    pub(super) reason: Option<Tree>,
}

/// A message that must have been emitted.
pub(super) struct Emitted {
    pub(super) kind: Text,
    pub(super) topic: Option<Text>,
    pub(super) parts: Vec<Part>,
}

/// A part of what was emitted, and what it must be.
pub(super) struct Part {
    /// Field names from the message inwards.
    pub(super) path: &'static [&'static str],
    pub(super) tree: Tree,
}

impl Suite {
    /// Number of cases.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Has it no cases?
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Name of a case.
    pub fn name(&self, case: usize) -> &str {
        &self.cases[case].name
    }

    /// Line of a case in the file, from 1.
    pub fn line(&self, case: usize) -> usize {
        self.text[..self.cases[case].range.start].matches('\n').count() + 1
    }
}

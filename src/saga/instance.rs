//! An instance: what a saga remembers between two of its inputs.

use super::Status;
use crate::record::{Map, Millis, Text, Value};
use crate::topology::model::saga::Direction;

/// So many messages are kept for steps or states to come.
pub(super) const KEPT_MAX: usize = 100;
/// Ids of so many messages are remembered, to know them again.
pub(super) const SEEN_MAX: usize = 100;
/// Ids of so many acts are remembered.
pub(super) const ACTS_MAX: usize = 16;
/// So many who asked for the same start are answered.
pub(super) const ASKERS_MAX: usize = 4;

/// What is kept under a saga's key.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// No instance yet: messages that came before their saga.
    Early(Early),
    /// An instance.
    Instance(Box<Instance>),
}

/// Messages that came before their saga.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Early {
    /// In the order they came.
    pub kept: Vec<Kept>,
    /// Number of the next one.
    pub next: u32,
}

/// A message that is kept; its record is kept beside the instance under its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: u32,
    /// Its type.
    pub kind: Text,
}

/// An instance of a saga.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The saga's key.
    pub id: Text,
    /// The definition that it began with and keeps.
    pub definition: Text,
    /// Where it stands.
    pub status: Status,
    /// How it began.
    pub start: Start,
    /// Wall time of the last change.
    pub changed_at: Millis,
    /// `saga.reason`; empty: none.
    pub reason: Text,
    /// `saga.failedStep`; empty: none.
    pub failed_step: Text,
    /// `saga.data`.
    pub data: Map,
    /// How far it is.
    pub place: Place,
    /// Was its timeout passed where nothing is undone any more?
    pub overdue: bool,
    /// An operator wants it undone: then it ends as cancelled.
    pub aborted: bool,
    /// Entries written to the history.
    pub entries: u32,
    /// Messages kept for steps or states to come, in the order they came.
    pub kept: Vec<Kept>,
    /// Number of the next message kept.
    pub next_kept: u32,
    /// Hashes of ids of messages that were taken and could be taken once more, the oldest first.
    pub seen: Vec<u64>,
    /// Ids of acts, the oldest first.
    pub acts: Vec<Text>,
    /// Who wants to know how it ends.
    pub askers: Vec<Asker>,
    /// What they were told at the end.
    pub answer: Value,
}

/// How an instance began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Wall time.
    pub at: Millis,
    /// Id of the message.
    pub id: Text,
    /// The conversation.
    pub correlation_id: Text,
    /// Hash of its type and data: what tells a repetition from a conflict.
    pub input: Text,
    /// Its `traceparent`; empty: none.
    pub trace: Text,
}

/// Someone who asked for the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Topic of the answer.
    pub reply_to: Text,
    /// Key of the answer.
    pub key: Text,
    /// Id of the request.
    pub request: Text,
    /// Its conversation.
    pub correlation_id: Text,
}

/// How far an instance is.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Of a saga that is led.
    Steps(Progress),
    /// Of one that follows.
    State {
        /// The state, by index.
        state: usize,
        /// Wall time of entering it.
        since: Millis,
    },
}

/// How far the steps are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The current one, an index of the steps' order; their number: all are done.
    pub at: usize,
    /// Is the pivot done?
    pub pivoted: bool,
    /// Operations settled so far: what each is ordered by.
    pub settled: u32,
    /// Steps that have begun, in the order they began.
    pub runs: Vec<Run>,
}

/// A step that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The step, by index.
    pub step: usize,
    /// What became of it.
    pub state: RunState,
    /// Why it failed; empty: it did not.
    pub reason: Text,
    /// Its operations, one per element of its `for_each`. None of a step that was skipped or failed before it did anything, and
    /// of one that holds others.
    pub ops: Vec<Op>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// It waits.
    Open,
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It was not to be done, or an operator passed it over.
    Skipped,
}

/// One operation of a step: what is done, tried again, undone.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// The element of `for_each`; null where there is none.
    pub item: Value,
    /// How far it is.
    pub state: OpState,
    /// Tries so far, in its direction.
    pub tries: u32,
    /// Tries that were answered: what tells the ids of tries apart.
    pub answered: u32,
    /// It may have had its effect though nobody said so.
    pub unknown: bool,
    /// Id of the command that is waited for; empty: none.
    pub command: Text,
    /// When its timer is due: the end of a try, or of the wait before the next one.
    pub due: Option<Millis>,
    /// Its place among the settled ones, from 1; 0: not settled.
    pub order: u32,
    /// Why it failed last; empty: it did not.
    pub reason: Text,
}

/// How far an operation is.
///
/// ```text
///            ┌─────▶ Done ─────┐                  ┌─────▶ Undone
///   Waiting ─┤                 ├──▶ Undoing ──────┤
///     ▲  │   └─────▶ Failed ───┘     ▲  │         └─────▶ UndoFailed ──▶ (an operator) Undoing, Undone, Left
///     │  ▼                           │  ▼
///    Resting                      UndoResting
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpState {
    /// Done, and not answered yet.
    Waiting,
    /// Failed, and waiting for the next try.
    Resting,
    /// It succeeded.
    Done,
    /// It failed, or nobody knows.
    Failed,
    /// Being undone.
    Undoing,
    /// Undoing failed, and waits for the next try.
    UndoResting,
    /// It is undone.
    Undone,
    /// It could not be undone.
    UndoFailed,
    /// An operator left it as it was.
    Left,
}

impl OpState {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Resting,
        Self::Done,
        Self::Failed,
        Self::Undoing,
        Self::UndoResting,
        Self::Undone,
        Self::UndoFailed,
        Self::Left,
    ];

    /// As rows and operators see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Resting => "resting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undoing => "undoing",
            Self::UndoResting => "undo_resting",
            Self::Undone => "undone",
            Self::UndoFailed => "undo_failed",
            Self::Left => "left",
        }
    }

    /// Which way it waits for an answer, if it does.
    pub(super) fn waits(self) -> Option<Direction> {
        match self {
            Self::Waiting => Some(Direction::Forward),
            Self::Undoing => Some(Direction::Back),
            _ => None,
        }
    }

    /// Is it on its way forward?
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Resting)
    }

    /// Is it on its way back?
    pub(super) fn is_undoing(self) -> bool {
        matches!(self, Self::Undoing | Self::UndoResting)
    }
}

impl RunState {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Open, Self::Done, Self::Failed, Self::Skipped];

    /// As rows and operators see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Op {
    /// An operation that has not begun.
    pub(super) fn new(item: Value) -> Self {
        Self {
            item,
            state: OpState::Resting,
            tries: 0,
            answered: 0,
            unknown: false,
            command: Text::default(),
            due: None,
            order: 0,
            reason: Text::default(),
        }
    }

    /// Is there something to be undone: did it succeed, or may it have?
    pub(super) fn is_to_be_undone(&self) -> bool {
        match self.state {
            OpState::Done => true,
            OpState::Failed => self.unknown,
            _ => false,
        }
    }
}

impl Run {
    pub(super) fn new(step: usize) -> Self {
        Self { step, state: RunState::Open, reason: Text::default(), ops: Vec::new() }
    }
}

impl Progress {
    /// The run of a step.
    pub fn run(&self, step: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.step == step)
    }

    pub(super) fn run_mut(&mut self, step: usize) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.step == step)
    }
}

impl Instance {
    /// One that has just begun.
    pub(super) fn new(id: &Text, definition: &Text, start: Start, data: Map, place: Place) -> Self {
        Self {
            id: id.clone(),
            definition: definition.clone(),
            status: Status::Running,
            changed_at: start.at,
            start,
            reason: Text::default(),
            failed_step: Text::default(),
            data,
            place,
            overdue: false,
            aborted: false,
            entries: 0,
            kept: Vec::new(),
            next_kept: 0,
            seen: Vec::new(),
            acts: Vec::new(),
            askers: Vec::new(),
            answer: Value::Null,
        }
    }

    /// How far the steps are, of a saga that is led.
    pub fn progress(&self) -> Option<&Progress> {
        match &self.place {
            Place::Steps(progress) => Some(progress),
            Place::State { .. } => None,
        }
    }
}

//! What can go wrong with a record, by what happens next.
//!
//! A [`Failure`] is data about one record (and one node): it is put into a dead letter, an answer or a log line. Trouble of the
//! engine itself (broker unreachable, store I/O) is an `Error` of the room it happens in and never becomes a dead letter.

use crate::record::{Text, Value};

/// What happens next to a record that failed (`design.md` §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Bytes, envelope or schema of what was read are wrong: a dead letter, or the partition stops, as declared.
    Undecodable,
    /// It would fail again: a dead letter, and the partition goes on, as declared.
    Permanent,
    /// It may succeed later: the key waits.
    Retryable,
    /// The engine's own fault (a panic in a step): the task halts at the record, nothing is skipped.
    Engine,
}

/// Where on its way through a node the record failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// From bytes to an event.
    Decode,
    /// Finding the key of the instance.
    Key,
    /// An aggregate's decision.
    Decide,
    /// An event applied to the state.
    Evolve,
    /// A step of a pipeline.
    Step,
    /// From a message to bytes.
    Encode,
    /// From an old type, or an old shape of a state, to the present one.
    Upcast,
}

/// Why a record failed at a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure(Box<Inner>);

#[derive(Clone, Debug, PartialEq)]
struct Inner {
    class: Class,
    code: Text,
    stage: Stage,
    message: String,
    details: Value,
}

impl Failure {
    /// A failure with a stable code (`language.md` §6) and a message for people: lower case, no full stop.
    pub fn new(class: Class, code: impl Into<Text>, stage: Stage, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { class, code: code.into(), stage, message: message.into(), details: Value::Null }))
    }

    /// The same failure with details for programs.
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = details;
        self
    }

    /// What happens next.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// Stable code, `[A-Z][A-Z0-9_]*`.
    pub fn code(&self) -> &Text {
        &self.0.code
    }

    /// Where it failed.
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// For people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// For programs; null where there are none.
    pub fn details(&self) -> &Value {
        &self.0.details
    }
}

impl Class {
    /// As headers and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::Permanent => "permanent",
            Self::Retryable => "retryable",
            Self::Engine => "engine",
        }
    }
}

impl Stage {
    /// As headers and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Key => "key",
            Self::Decide => "decide",
            Self::Evolve => "evolve",
            Self::Step => "step",
            Self::Encode => "encode",
            Self::Upcast => "upcast",
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} in {}): {}", self.0.code, self.0.class.name(), self.0.stage.name(), self.0.message)
    }
}

impl std::error::Error for Failure {}

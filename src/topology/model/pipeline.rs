//! Pipelines: stream steps.

use super::{Errors, Expr, Let, Message, Position, Require, Schema, Source, StoreKind, Template};
use crate::record::Text;
use jiff::SignedDuration;

/// A pipeline. One frame serves the whole of it: fixed slots that steps replace (`data`, `key`), and locals.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Name, unique among the nodes.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// Where it reads from.
    pub sources: Vec<Source>,
    /// The types it handles, sorted; `None`: all.
    pub types: Option<Vec<Text>>,
    /// What it does.
    pub steps: Vec<Step>,
    /// Locals of its frame.
    pub locals: usize,
    /// Topic of results for requests without `reply-to`.
    pub replies: Option<usize>,
    /// Where it keeps what it keeps, if anything.
    pub store: StoreKind,
    /// What happens with failures.
    pub errors: Errors,
    /// Where it stands.
    pub at: Position,
}

/// A step: names, then what it does. Its names live to the end of its branch.
#[derive(Clone, Debug)]
pub struct Step {
    /// Name, where given.
    pub name: Option<Text>,
    /// Names.
    pub lets: Vec<Let>,
    /// What it does; `None`: names alone.
    pub operator: Option<Operator>,
    /// Where it stands.
    pub at: Position,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Operator {
    /// False ends the record here, counted.
    Filter(Expr),
    /// A new key.
    Rekey(Expr),
    /// One record per element of the list, which is its data.
    FlatMap(Expr),
    /// New data.
    Map(Template),
    /// Fields assigned to the data.
    Set(Template),
    /// The data must fit, else `SCHEMA_INVALID`.
    Validate(Schema),
    /// The first rule that does not hold refuses.
    Require(Vec<Require>),
    /// The first arm that holds; what reaches its end, or fits none, goes on after the step.
    Branch(Vec<Arm>),
    /// Sends, and goes on with the same record.
    Emit(Vec<Message>),
    /// Accepts, with this result, to the asker or `replies`.
    Reply(Template),
    /// What was seen within a time ends here, counted.
    Dedupe(Dedupe),
}

/// Knows records again.
#[derive(Clone, Debug)]
pub struct Dedupe {
    /// Name of the step, unique among those of the pipeline that keep something: what it has seen is found by it.
    pub name: Text,
    /// What a record is known by. Not null.
    pub by: Expr,
    /// How long it is known, from when it was first seen.
    pub within: SignedDuration,
}

/// An arm of a branch.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Does the record take it? `None`: else.
    pub when: Option<Expr>,
    /// What it does.
    pub steps: Vec<Step>,
}

impl Arm {
    /// Where it stands: its condition, else its first step; an empty one that takes all has no place.
    pub fn at(&self) -> Option<&Position> {
        self.when.as_ref().map(|when| &when.at).or_else(|| self.steps.first().map(|step| &step.at))
    }
}

impl Pipeline {
    /// Does it handle messages of this type?
    pub fn handles(&self, kind: &str) -> bool {
        self.types.as_ref().is_none_or(|types| types.binary_search_by(|name| name.as_str().cmp(kind)).is_ok())
    }
}

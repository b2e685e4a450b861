//! Aggregates, and the repositories that stand for some.

use super::{Errors, Expr, Let, Message, Position, Require, Schema, Source, Template};
use crate::expr::Type;
use crate::record::Text;
use jiff::SignedDuration;

/// An aggregate. A repository is one too: it was expanded, only [`Aggregate::kind`] remembers it.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Name, unique among the nodes.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// As what it was written.
    pub kind: AggregateKind,
    /// Where it reads from.
    pub sources: Vec<Source>,
    /// The instance's key; `None`: the record's key. A source's own `key` goes before it.
    pub key: Option<Expr>,
    /// Topic of its own events; none for a fold.
    pub events: Option<usize>,
    /// The state before the first event, over `params`: the same for all instances.
    pub initial: Template,
    /// What is known of the state.
    pub state: StateType,
    /// Version of the state's shape. What is stored of an older one is migrated.
    pub state_version: u32,
    /// The steps from older shapes, one from each version before the present one, in their order.
    pub upcast: Vec<StateUpcast>,
    /// Handlers of messages that meet the state, sorted by type. Empty: a fold.
    pub decide: Vec<Decide>,
    /// Handlers of events that change the state, sorted by type.
    pub evolve: Vec<Evolve>,
    /// Messages after each applied event.
    pub updates: Vec<Message>,
    /// Locals of the frame that `updates` run in.
    pub updates_locals: usize,
    /// Topic of results for requests without `reply-to`.
    pub replies: Option<usize>,
    /// How long an answered request is remembered; `None`: off.
    pub dedupe: Option<SignedDuration>,
    /// A state that has not changed for so long is removed; `None`: never.
    pub ttl: Option<SignedDuration>,
    /// Where its state is kept.
    pub store: StoreKind,
    /// Topic of snapshots, where one was given; else it is derived.
    pub snapshots: Option<usize>,
    /// What happens with failures.
    pub errors: Errors,
    /// Where it stands.
    pub at: Position,
}

/// As what an aggregate was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateKind {
    /// Under `aggregates`.
    Aggregate,
    /// Under `repositories`.
    Repository,
}

/// What is known of an aggregate's state.
#[derive(Clone, Debug)]
pub struct StateType {
    /// The declared schema; `None`: the type was inferred from `initial` and every `set`.
    pub schema: Option<Schema>,
    /// Its type.
    pub ty: Type,
}

/// From a version of a state's shape to the next one.
#[derive(Clone, Debug)]
pub struct StateUpcast {
    /// The older version.
    pub from: u32,
    /// The state in the next version, over `state` and `key`.
    pub state: Template,
    /// Where it stands.
    pub at: Position,
}

/// Where state is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// On disk, behind a cache.
    #[default]
    Disk,
    /// In memory alone.
    Memory,
}

/// What an aggregate does with a message: accepts it and emits, or refuses it. All sees the state before the message.
#[derive(Clone, Debug)]
pub struct Decide {
    /// Type of the message.
    pub kind: Text,
    /// Names.
    pub lets: Vec<Let>,
    /// False: not for this state; counted, and a request is refused with `NOT_APPLICABLE`.
    pub when: Option<Expr>,
    /// Rules, in order.
    pub require: Vec<Require>,
    /// Names of timers of this instance that are taken away when the message is accepted: texts.
    pub cancel_timer: Vec<Template>,
    /// Messages, in order.
    pub emit: Vec<Message>,
    /// The result for the asker; without it the result is null.
    pub reply: Option<Template>,
    /// Locals of its frame.
    pub locals: usize,
    /// Where it stands.
    pub at: Position,
}

/// What an event does to the state.
#[derive(Clone, Debug)]
pub struct Evolve {
    /// Type of the event.
    pub kind: Text,
    /// Names.
    pub lets: Vec<Let>,
    /// The change.
    pub change: StateChange,
    /// Locals of its frame.
    pub locals: usize,
    /// Where it stands.
    pub at: Position,
}

/// A change of the state.
#[derive(Clone, Debug)]
pub enum StateChange {
    /// Fields are assigned, all of them seeing the state before; then others are taken away.
    Fields {
        /// A map whose fields are assigned; the others stay, null is stored.
        set: Option<Template>,
        /// Fields taken away.
        unset: Vec<Text>,
    },
    /// The state is this value (repositories).
    Replace(Expr),
    /// The instance is deleted: tombstone, version 0.
    Delete,
}

impl Aggregate {
    /// The handler of a message type.
    pub fn decide_of(&self, kind: &str) -> Option<&Decide> {
        self.decide.binary_search_by(|handler| handler.kind.as_str().cmp(kind)).ok().map(|at| &self.decide[at])
    }

    /// The handler of an event type.
    pub fn evolve_of(&self, kind: &str) -> Option<&Evolve> {
        self.evolve.binary_search_by(|handler| handler.kind.as_str().cmp(kind)).ok().map(|at| &self.evolve[at])
    }
}

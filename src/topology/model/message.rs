//! Messages and checks: the two shapes that every kind of node shares.

use super::{Expr, Position, Schema, Template};
use crate::expr::Slot;
use crate::record::Text;
use jiff::SignedDuration;

/// A message to be sent, all defaults resolved.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its type.
    pub kind: MessageKind,
    /// Where it goes.
    pub to: MessageTarget,
    /// Where its key comes from.
    pub key: MessageKey,
    /// Its payload.
    pub data: MessageData,
    /// Text headers: a map.
    pub headers: Option<Template>,
    /// Further metadata: a map.
    pub metadata: Option<Template>,
    /// Its id; derived from topology, node, input position and place in the output where not given.
    pub id: Option<Expr>,
    /// Is it sent at all? Evaluated per element under `for_each`.
    pub when: Option<Expr>,
    /// One message per element.
    pub for_each: Option<ForEach>,
    /// Is it an event of the aggregate that sends it: goes to its `events` and is applied at once?
    pub own_event: bool,
    /// Does it pass the record in hand on as it is: same id, headers and bytes? Then type, data, headers, metadata and id are
    /// the record's.
    pub forward: bool,
    /// Is it kept in the node's store, and sent later?
    pub delay: Option<Delay>,
    /// Where it stands.
    pub at: Position,
}

/// When a message is sent, from the step that sends it on.
#[derive(Clone, Debug)]
pub struct Delay {
    /// After so long.
    pub length: DelayLength,
    /// Name of its timer, text: one of the same name and key is replaced.
    pub timer: Option<Template>,
}

/// How long a message is kept.
#[derive(Clone, Debug)]
pub enum DelayLength {
    /// So long.
    For(SignedDuration),
    /// A duration; nothing and less is at once.
    Computed(Expr),
}

/// The type of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// This one.
    Named(Text),
    /// That of the record in hand (pipelines).
    Current,
}

/// Where a message goes.
#[derive(Clone, Debug)]
pub enum MessageTarget {
    /// A topic of the topology, by index.
    Topic(usize),
    /// A topic whose name is computed; it is sure to begin with `prefix`.
    Computed {
        /// The literal that the name begins with; ends in a dot.
        prefix: Text,
        /// The whole name, as text.
        name: Expr,
    },
}

/// Where the key of a message comes from.
#[derive(Clone, Debug)]
pub enum MessageKey {
    /// The topic's own `key` ([`super::Contract::key`]), over `data` and `event` of the message to be sent.
    OfTopic,
    /// Given with the message.
    Given(Expr),
    /// The aggregate's key, or the pipeline's current one.
    Current,
}

/// The payload of a message.
#[derive(Clone, Debug)]
pub enum MessageData {
    /// Computed.
    Template(Template),
    /// The pipeline's current data.
    Current,
}

/// One message per element of a list, at most 1,000.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// The list.
    pub list: Expr,
    /// Where the element is kept.
    pub item: Slot,
    /// Where its index is kept, if anything reads it.
    pub index: Option<Slot>,
}

/// A rule; the first one that does not hold refuses.
#[derive(Clone, Debug)]
pub struct Require {
    /// What must hold.
    pub check: Check,
    /// Stable code of the refusal.
    pub code: Text,
    /// For people: text.
    pub message: Option<Template>,
    /// For programs.
    pub details: Option<Template>,
    /// In `decide`: sent in place of the handler's messages when the rule refuses.
    pub emit: Vec<Message>,
    /// In `decide`: is the refusal a permanent error too?
    pub dead_letter: bool,
    /// In a pipeline: is the record tried again?
    pub retryable: bool,
    /// Where it stands.
    pub at: Position,
}

/// What a rule demands.
#[derive(Clone, Debug)]
pub enum Check {
    /// An expression is true.
    That(Expr),
    /// A value fits a schema (repositories: the entity).
    Fits {
        /// The value.
        value: Expr,
        /// The schema.
        schema: Schema,
    },
}

//! What a node may see and ask for while it handles one record.

use crate::failure::Failure;
use crate::record::{HeaderRef, Millis};
use crate::state::{Entity, Mark};

/// The runtime, as a node sees it. Stores are named by their index in `topology::Plan::stores`, topics by theirs in
/// `topology::Plan::topics`; a store is that of the node's own partition.
///
/// Reads see what this epoch has written. Nothing becomes visible outside before the epoch commits.
pub trait Context {
    /// Wall time of this step, for marks and expiry; expressions never see it.
    fn now(&self) -> Millis;

    /// An aggregate's state.
    fn entity(&mut self, store: usize, key: &[u8]) -> Result<Option<&Entity>, crate::state::Error>;

    /// Replaces an aggregate's state; `None` deletes it (a tombstone in its changelog).
    fn put_entity(&mut self, store: usize, key: &[u8], entity: Option<Entity>) -> Result<(), crate::state::Error>;

    /// The mark of a request that was answered.
    fn mark(&mut self, store: usize, id: &[u8]) -> Result<Option<&Mark>, crate::state::Error>;

    /// Marks a request as answered.
    fn put_mark(&mut self, store: usize, id: &[u8], mark: Mark) -> Result<(), crate::state::Error>;

    /// Writes a record. Fails with `TOO_LARGE` when it is larger than its topic takes, with `UNKNOWN_TOPIC` for a computed topic
    /// that is not there.
    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Failure>;

    /// Writes a dead letter of the record in hand and keeps the effects of the step (`require` with `dead_letter: true`).
    fn dead_letter(&mut self, failure: Failure) -> Result<(), Failure>;

    /// Counts something worth a metric by a fixed name: `reply_not_allowed`, `mark_repeated`, …
    fn count(&mut self, what: &'static str);
}

/// Where a record is written to.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A topic of the plan.
    Planned(usize),
    /// A topic by name: replies, computed topics.
    Named(&'a str),
}

/// A record to be written. Its partition is murmur2 of the key.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub target: Target<'a>,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// What the partition is computed from where there is no key: the message's id.
    pub spread: &'a [u8],
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [HeaderRef<'a>],
    /// Milliseconds since the epoch.
    pub timestamp: Millis,
}

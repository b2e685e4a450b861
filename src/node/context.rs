//! What a node may see and ask for while it handles one record.

use super::Tries;
use crate::failure::Failure;
use crate::record::{HeaderRef, Millis, RecordRef};
use crate::state::layout::Tag;
use crate::state::{Entity, Error, Expiring, KeyRange, Timer};
use bytes::Bytes;

/// The runtime, as a node sees it. Stores are named by their index in `topology::Plan::stores`, topics by theirs in
/// `topology::Plan::topics`; a store is that of the node's own partition.
///
/// Reads see what this epoch has written. Nothing becomes visible outside before the epoch commits, and what a step has written
/// is taken back when it fails.
pub trait Context {
    /// Wall time of this step, for what expires and is due; expressions never see it.
    fn now(&self) -> Millis;

    /// The tries of the record in hand, this one included.
    fn tries(&self) -> Tries {
        Tries { attempts: 1, first_at: self.now() }
    }

    /// An instance's state.
    fn entity(&mut self, store: usize, key: &[u8]) -> Result<Option<&Entity>, Error>;

    /// Replaces an instance's state; `None` deletes it (a tombstone in its changelog).
    fn put_entity(&mut self, store: usize, key: &[u8], entity: Option<Entity>) -> Result<(), Error>;

    /// The bytes under a key of [`Tag::Own`].
    fn row(&mut self, store: usize, tag: Tag, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Replaces such a row; `None` deletes it.
    fn put_row(&mut self, store: usize, tag: Tag, key: &[u8], value: Option<Bytes>) -> Result<(), Error>;

    /// Rows of any tag whose keys lie in a range (without the tag, as in the answer), in order, at most `limit`, as they are stored.
    /// `state::layout` has the keys of several parts and the stored form of what expires.
    fn rows(&mut self, store: usize, tag: Tag, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Error>;

    /// A row that expires, of [`Tag::Mark`] or [`Tag::Early`]. It may have expired: compare with [`Context::now`].
    fn expiring(&mut self, store: usize, tag: Tag, key: &[u8]) -> Result<Option<Expiring>, Error>;

    /// Replaces such a row; `None` deletes it. An expired mark goes by itself; of an expired early event the node is told
    /// ([`super::Node::expired`]).
    fn put_expiring(&mut self, store: usize, tag: Tag, key: &[u8], row: Option<Expiring>) -> Result<(), Error>;

    /// A timer that is set.
    fn timer(&mut self, store: usize, owner: &[u8], name: &[u8]) -> Result<Option<Timer>, Error>;

    /// Sets a timer, in place of the one of the same owner and name: at `due` or later the node is called with `payload`
    /// ([`super::Node::fire`]), once. Gives its generation, which grows with every setting.
    fn set_timer(&mut self, store: usize, owner: &[u8], name: &[u8], due: Millis, payload: Bytes) -> Result<u64, Error>;

    /// Takes a timer away, which then never fires; tells whether there was one.
    fn cancel_timer(&mut self, store: usize, owner: &[u8], name: &[u8]) -> Result<bool, Error>;

    /// Says which instance this is about: a record whose instance belongs to another partition is undecodable (`KEY_MISMATCH`),
    /// whatever comes of it. States say it by themselves.
    fn claim(&mut self, key: &[u8]);

    /// Writes a record. Fails with `TOO_LARGE` when it is larger than its topic takes, with `UNKNOWN_TOPIC` for a computed topic
    /// that is not there.
    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Failure>;

    /// Writes a dead letter of the record in hand and keeps the effects of the step (`require` with `dead_letter: true`).
    fn dead_letter(&mut self, failure: Failure) -> Result<(), Failure>;

    /// Writes a dead letter of a record that the node kept.
    fn dead_letter_of(&mut self, record: &RecordRef<'_>, failure: &Failure) -> Result<(), Failure>;

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

//! How entries lie in a store and in a changelog.
//!
//! A store's key is a tag and the rest; tags keep the kinds of entries apart and in one order:
//!
//! | tag | key | value | in a changelog |
//! |---|---|---|---|
//! | `00` meta | `checkpoint/<topic>` | a [`super::Checkpoint`] | no |
//! | `01` state | key bytes of the instance | head and state ([`entity`]) | of an aggregate its snapshots topic: key bytes, state alone, the head in the header `skald` |
//! | `02` timer | owner, name | moment, generation, payload ([`timer`]) | yes |
//! | `03` due | moment u64, owner, name | empty | no, derived from `02` ([`index`]) |
//! | `04` parked | kind of row, key, number | kind of row, the rest by kind ([`parked`]) | yes |
//! | `05` mark | id of the request | expiry and reply ([`expiring`]) | yes |
//! | `06` expiry | tag, moment u64, key | empty | no, derived from `01`, `04`, `05`, `07` ([`index`]) |
//! | `07` early event | the node's | expiry and the node's ([`expiring`]) | yes |
//! | `0a` own | the node's | the node's | yes |
//!
//! "Yes" is the changelog topic: tag and key, the value as stored. Tags `08` and `09` are spoken for by kinds that are not built. A
//! deleted entry is a tombstone. Integers are big-endian, so byte order is numeric order; see [`key`] for keys of several parts.
//! What is read here may come from a damaged disk or from a foreign writer: every function answers [`Malformed`] to bytes that
//! it did not write.

pub mod entity;
pub mod expiring;
pub mod index;
pub mod key;
pub mod meta;
pub mod parked;
pub mod timer;

#[cfg(test)]
mod tests;

use super::KeyRange;
pub use index::Index;
use std::ops::Bound;

/// Version of this layout; a store of another one is rebuilt from its changelog.
pub const FORMAT: u16 = 2;

/// Longest key of an entry without its tag, in bytes: with tags and a moment, in an index, it must fit a key on disk.
pub const KEY_MAX: usize = u16::MAX as usize - 10;

/// Name of the one header of a snapshot record.
pub const HEADER: &str = "skald";

/// Bytes that are not what this layout writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// First byte of a store's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tag {
    /// About the store itself.
    Meta = 0x00,
    /// An instance's state.
    State = 0x01,
    /// What happens at a moment.
    Timer = 0x02,
    /// When a timer is due.
    Due = 0x03,
    /// A key of which a record failed, and what waits behind it.
    Parked = 0x04,
    /// A request that was answered.
    Mark = 0x05,
    /// When something expires.
    Expiry = 0x06,
    /// A record that came before what it is about.
    Early = 0x07,
    /// What a node keeps under keys of its own.
    Own = 0x0a,
}

impl Tag {
    /// The tag of a byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x00 => Some(Self::Meta),
            0x01 => Some(Self::State),
            0x02 => Some(Self::Timer),
            0x03 => Some(Self::Due),
            0x04 => Some(Self::Parked),
            0x05 => Some(Self::Mark),
            0x06 => Some(Self::Expiry),
            0x07 => Some(Self::Early),
            0x0a => Some(Self::Own),
            _ => None,
        }
    }

    /// Does it hold what follows from other entries, and is in no changelog?
    pub fn is_derived(self) -> bool {
        matches!(self, Self::Meta | Self::Due | Self::Expiry)
    }

    /// All keys of this tag that begin with `prefix`.
    pub fn range(self, prefix: &[u8]) -> KeyRange {
        let from = self.key(prefix);
        let mut to = from.clone();
        // The first key that does not: its last byte that can grow grows, and nothing follows it.
        while let Some(last) = to.pop() {
            if let Some(next) = last.checked_add(1) {
                to.push(next);
                break;
            }
        }
        (Bound::Included(from.into()), Bound::Excluded(to.into()))
    }

    /// A store's key.
    pub fn key(self, rest: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + rest.len());
        self.append_key(rest, &mut key);
        key
    }

    /// Appends a store's key.
    pub fn append_key(self, rest: &[u8], out: &mut Vec<u8>) {
        out.push(self as u8);
        out.extend_from_slice(rest);
    }
}

/// Which of a node's compacted topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// An aggregate's snapshots: the changelog of its state.
    Snapshots,
    /// The changelog of everything else.
    Changelog,
}

/// An entry as its topic has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    /// Which topic.
    pub role: Role,
    /// Key of the record.
    pub key: &'a [u8],
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Value of the header [`HEADER`], of a snapshot that is no tombstone.
    pub head: Option<&'a [u8]>,
}

/// Appends the store's key and value of a changelog's entry to `arena` and tells where the key ends; a tombstone has no value.
///
/// The form of what the engine itself reads is checked, the state's JSON is not read before it is needed.
pub fn append_stored(entry: &LogEntry<'_>, arena: &mut Vec<u8>) -> Result<usize, Malformed> {
    match entry.role {
        Role::Snapshots => {
            check_length(entry.key)?;
            if let (Some(_), Some(head)) = (entry.value, entry.head) {
                entity::read_head(head)?;
            }
            Tag::State.append_key(entry.key, arena);
            let key_end = arena.len();
            if let Some(state) = entry.value {
                let head = entry.head.ok_or_else(|| Malformed::new("a snapshot without the header `skald`"))?;
                entity::append(head, state, arena)?;
            }
            Ok(key_end)
        }
        Role::Changelog => {
            let (tag, rest) = split(entry.key)?;
            check_length(rest)?;
            if let Some(value) = entry.value {
                index::moment(tag, value)?;
            }
            if tag == Tag::Timer {
                timer::read_key(rest)?;
            }
            arena.extend_from_slice(entry.key);
            let key_end = arena.len();
            arena.extend_from_slice(entry.value.unwrap_or_default());
            Ok(key_end)
        }
    }
}

/// Tag and rest of a key that a changelog may have.
pub fn split(key: &[u8]) -> Result<(Tag, &[u8]), Malformed> {
    key.split_first()
        .and_then(|(tag, rest)| Some((Tag::from_byte(*tag)?, rest)))
        .filter(|(tag, _)| !tag.is_derived())
        .ok_or_else(|| Malformed::new("a changelog's record with an unknown tag"))
}

fn check_length(key: &[u8]) -> Result<(), Malformed> {
    if key.len() > KEY_MAX { Err(Malformed(format!("a key of {} bytes", key.len()))) } else { Ok(()) }
}

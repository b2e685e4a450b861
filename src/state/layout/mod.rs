//! How entries lie in a store and in a changelog.
//!
//! A store's key is a tag and the rest; tags keep the kinds of entries apart and in one order:
//!
//! | tag | key | value | in a changelog |
//! |---|---|---|---|
//! | `00` meta | `checkpoint/<topic>` | a [`super::Checkpoint`] | no |
//! | `01` state | key bytes of the aggregate | head and state ([`entity`]) | snapshots topic: key bytes, state alone, the head in the header `skald` |
//! | `05` mark | id of the request | expiry and reply ([`mark`]) | changelog topic: tag and id, value as stored |
//! | `06` expiry | expiry u64, tag, key | empty | no, derived from `05` |
//!
//! Tags `02`–`04` and `07`–`09` are spoken for by kinds that are not built. A deleted entry is a tombstone. Integers are
//! big-endian, so byte order is numeric order; see [`key`] for keys of several parts. What is read here may come from a
//! damaged disk or from a foreign writer: every function answers [`Malformed`] to bytes that it did not write.

pub mod entity;
pub mod key;
pub mod mark;
pub mod meta;

#[cfg(test)]
mod tests;

use super::Write;
use crate::record::Millis;
use bytes::Bytes;

/// Version of this layout; a store of another one is rebuilt from its changelog.
pub const FORMAT: u16 = 1;

/// Longest key of an aggregate or id of a request, in bytes: with its tags and its expiry it must fit a key on disk.
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
    /// An aggregate's state.
    State = 0x01,
    /// A request that was answered.
    Mark = 0x05,
    /// When a mark expires.
    Expiry = 0x06,
}

impl Tag {
    /// The tag of a byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x00 => Some(Self::Meta),
            0x01 => Some(Self::State),
            0x05 => Some(Self::Mark),
            0x06 => Some(Self::Expiry),
            _ => None,
        }
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
/// The head of a snapshot and the form of a mark are checked, the state's JSON is not read before it is needed.
pub fn append_stored(entry: &LogEntry<'_>, arena: &mut Vec<u8>) -> Result<usize, Malformed> {
    if entry.key.len() > KEY_MAX {
        return Err(Malformed(format!("a key of {} bytes", entry.key.len())));
    }
    match entry.role {
        Role::Snapshots => {
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
            match entry.key.first().copied().and_then(Tag::from_byte) {
                Some(Tag::Mark) => {
                    if let Some(value) = entry.value {
                        mark::expires_at(value)?;
                    }
                }
                _ => return Err(Malformed::new("a changelog's record with an unknown tag")),
            }
            arena.extend_from_slice(entry.key);
            let key_end = arena.len();
            arena.extend_from_slice(entry.value.unwrap_or_default());
            Ok(key_end)
        }
    }
}

/// What a change of a mark does to the index of expiries: the writes that go with it, into the same batch.
///
/// `old` and `new` are expiries; the index entry of `old` goes, that of `new` comes.
pub fn index_writes(id: &[u8], old: Option<Millis>, new: Option<Millis>, each: &mut dyn FnMut(Write)) {
    // Moments before 1970 share one place in the index.
    let (old, new) = (old.map(|at| at.max(0)), new.map(|at| at.max(0)));
    if old == new {
        return;
    }
    if let Some(at) = old {
        each(Write { key: mark::expiry_key(at, Tag::Mark, id).into(), value: None });
    }
    if let Some(at) = new {
        each(Write { key: mark::expiry_key(at, Tag::Mark, id).into(), value: Some(Bytes::new()) });
    }
}

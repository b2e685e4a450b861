//! The indexes by time: what is due when, in order. Derived from the rows, so no changelog has them (V14).
//!
//! Timers: tag `03`, the moment (u64), the timer's key. What expires, and parked keys by their next try: tag `06`, the tag of the
//! row, the moment (u64), its key. The value is empty. Moments before 1970 count as 1970: they are due in any case.

use super::{Malformed, Tag, entity, expiring, key, parked, timer};
use crate::record::Millis;
use crate::state::{KeyRange, Write};
use bytes::Bytes;
use std::ops::Bound;

/// One of the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// Timers, by when they are due.
    Due,
    /// Marks, by when they expire.
    Marks,
    /// States of aggregates, by when they expire.
    States,
    /// Early events, by when they expire.
    Early,
    /// Parked keys, by when their heads are tried again.
    Parked,
}

impl Index {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Due, Self::Marks, Self::States, Self::Early, Self::Parked];

    /// The index of the rows of a tag, if they have one.
    pub fn of(tag: Tag) -> Option<Self> {
        match tag {
            Tag::Timer => Some(Self::Due),
            Tag::Mark => Some(Self::Marks),
            Tag::State => Some(Self::States),
            Tag::Early => Some(Self::Early),
            Tag::Parked => Some(Self::Parked),
            Tag::Meta | Tag::Due | Tag::Expiry | Tag::Own => None,
        }
    }

    /// Tag of the rows that it is of.
    pub fn tag(self) -> Tag {
        match self {
            Self::Due => Tag::Timer,
            Self::Marks => Tag::Mark,
            Self::States => Tag::State,
            Self::Early => Tag::Early,
            Self::Parked => Tag::Parked,
        }
    }

    fn append_prefix(self, out: &mut Vec<u8>) {
        match self {
            Self::Due => out.push(Tag::Due as u8),
            Self::Marks | Self::States | Self::Early | Self::Parked => {
                out.extend_from_slice(&[Tag::Expiry as u8, self.tag() as u8])
            }
        }
    }

    /// The entry of the row `rest`, its key without the tag.
    pub fn key(self, at: Millis, rest: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(10 + rest.len());
        self.append_prefix(&mut out);
        key::append_u64(at.max(0).unsigned_abs(), &mut out);
        out.extend_from_slice(rest);
        out
    }

    /// Entries from one moment to another, both included.
    pub fn range(self, from: Millis, to: Millis) -> KeyRange {
        let mut end = Vec::with_capacity(10);
        self.append_prefix(&mut end);
        key::append_u64(to.max(0).unsigned_abs() + 1, &mut end);
        (Bound::Included(self.key(from, &[]).into()), Bound::Excluded(end.into()))
    }

    /// Moment of an entry, and the key of its row without the tag.
    pub fn read_key(self, bytes: &[u8]) -> Result<(Millis, &[u8]), Malformed> {
        let mut prefix = Vec::with_capacity(2);
        self.append_prefix(&mut prefix);
        let mut rest = bytes.strip_prefix(&prefix[..]).ok_or_else(|| Malformed::new("a key that is not of the index"))?;
        let at = key::read_u64(&mut rest)?;
        let at = Millis::try_from(at).map_err(|_| Malformed::new("a moment beyond all time"))?;
        Ok((at, rest))
    }

    /// What a change of a row does to the index: the writes that go with it, into the same batch. `old` and `new` are moments.
    pub fn writes(self, rest: &[u8], old: Option<Millis>, new: Option<Millis>, each: &mut dyn FnMut(Write)) {
        // Moments before 1970 share one place in the index.
        let (old, new) = (old.map(|at| at.max(0)), new.map(|at| at.max(0)));
        if old == new {
            return;
        }
        if let Some(at) = old {
            each(Write { key: self.key(at, rest).into(), value: None });
        }
        if let Some(at) = new {
            each(Write { key: self.key(at, rest).into(), value: Some(Bytes::new()) });
        }
    }
}

/// By which moment the index of its tag has a stored row; `None` where it has not.
pub fn moment(tag: Tag, stored: &[u8]) -> Result<Option<Millis>, Malformed> {
    match tag {
        Tag::Timer => timer::due(stored).map(Some),
        Tag::Mark | Tag::Early => expiring::expires_at(stored).map(Some),
        Tag::State => entity::expires_at(stored),
        Tag::Parked => parked::moment(stored),
        Tag::Meta | Tag::Due | Tag::Expiry | Tag::Own => Ok(None),
    }
}

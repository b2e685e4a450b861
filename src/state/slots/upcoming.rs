//! What is first in an index, remembered: a look at the clock costs no read while nothing is due.
//!
//! The index is seen as it is committed. Its beginning is read once; after that it follows from what epochs commit, and is read
//! again only when the first entries have gone. A read begins where the last one found something, since entries before it are
//! gone: on disk the places of deleted entries are not passed over again and again.

use super::super::layout::{Index, Malformed};
use super::super::{Error, Result, Store};
use crate::record::{Millis, Text};

/// The beginning of one index.
#[derive(Debug)]
pub(super) struct Upcoming {
    /// Name of the store, for messages.
    name: Text,
    index: Index,
    first: First,
    /// No entry lies before it.
    floor: Millis,
    /// Number of entries, once it was asked for.
    count: Option<u64>,
    sealed: Sealed,
    /// Reads of the store.
    pub(super) reads: u64,
}

#[derive(Clone, Copy, Debug)]
enum First {
    /// To be read.
    Unknown,
    /// As read, or as committed since; `None`: the index is empty.
    Known(Option<Millis>),
}

/// What the epoch that is being committed does to the index.
#[derive(Clone, Copy, Debug, Default)]
struct Sealed {
    put: u64,
    deleted: u64,
    first_put: Option<Millis>,
    first_deleted: Option<Millis>,
}

/// An entry of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: Millis,
    /// Key of the row, without its tag.
    pub(super) rest: Vec<u8>,
}

impl Upcoming {
    pub(super) fn new(name: Text, index: Index) -> Self {
        Self { name, index, first: First::Unknown, floor: 0, count: None, sealed: Sealed::default(), reads: 0 }
    }

    /// The first moment.
    pub(super) fn first(&mut self, store: &dyn Store) -> Result<Option<Millis>> {
        if let First::Known(first) = self.first {
            return Ok(first);
        }
        let mut first = None;
        self.scan(store, Millis::MAX, &mut |entry| {
            first = Some(entry.at);
            false
        })?;
        self.first = First::Known(first);
        self.floor = first.unwrap_or(self.floor);
        Ok(first)
    }

    /// What is known of it without a read; of one that was never read, that it may be any moment.
    pub(super) fn known(&self) -> Option<Millis> {
        match self.first {
            First::Known(first) => first,
            First::Unknown => Some(self.floor),
        }
    }

    /// Entries up to a moment, in order, until `each` returns false.
    pub(super) fn scan(&mut self, store: &dyn Store, to: Millis, each: &mut dyn FnMut(Found) -> bool) -> Result<()> {
        self.reads += 1;
        let (index, mut wrong) = (self.index, None);
        store.scan(&index.range(self.floor, to), &mut |key, _| match index.read_key(key) {
            Ok((at, rest)) => each(Found { at, rest: rest.to_vec() }),
            Err(error) => {
                wrong = Some(error);
                false
            }
        })?;
        match wrong {
            None => Ok(()),
            Some(Malformed(reason)) => Err(Error::Damaged { store: self.name.to_string(), reason }),
        }
    }

    /// How many entries there are. The first time they are all read.
    pub(super) fn count(&mut self, store: &dyn Store) -> Result<u64> {
        if let Some(count) = self.count {
            return Ok(count);
        }
        let mut count = 0;
        self.reads += 1;
        store.scan(&self.index.range(self.floor, Millis::MAX), &mut |_, _| {
            count += 1;
            true
        })?;
        self.count = Some(count);
        Ok(count)
    }

    /// An epoch is sealed that moves an entry.
    pub(super) fn seal(&mut self, old: Option<Millis>, new: Option<Millis>) {
        let (old, new) = (old.map(|at| at.max(0)), new.map(|at| at.max(0)));
        if old == new {
            return;
        }
        let earlier = |known: Option<Millis>, at: Millis| Some(known.map_or(at, |known| known.min(at)));
        if let Some(at) = old {
            self.sealed.deleted += 1;
            self.sealed.first_deleted = earlier(self.sealed.first_deleted, at);
        }
        if let Some(at) = new {
            self.sealed.put += 1;
            self.sealed.first_put = earlier(self.sealed.first_put, at);
        }
    }

    /// The sealed epoch is in the store.
    pub(super) fn committed(&mut self) {
        let Sealed { put, deleted, first_put, first_deleted } = std::mem::take(&mut self.sealed);
        if let Some(count) = &mut self.count {
            *count = (*count + put).saturating_sub(deleted);
        }
        if let First::Known(Some(first)) = self.first
            && first_deleted == Some(first)
        {
            self.first = First::Unknown;
        }
        let Some(at) = first_put else { return };
        match &mut self.first {
            First::Known(None) => (self.first, self.floor) = (First::Known(Some(at)), at),
            First::Known(Some(first)) => {
                *first = at.min(*first);
                self.floor = *first;
            }
            First::Unknown => self.floor = self.floor.min(at),
        }
    }

    /// The sealed epoch was taken back.
    pub(super) fn forget(&mut self) {
        self.sealed = Sealed::default();
    }
}

//! Rows: what a node keeps beside the states of its instances, timers among them, in the order of their keys.

use super::super::layout::{self, Index, Tag, expiring, timer};
use super::super::{Expiring, KeyRange, Result, Timer};
use super::table::{Change, Kept, Row};
use super::{Place, RECORD_OVERHEAD, Slots, Undo};
use crate::record::Millis;
use bytes::Bytes;
use std::ops::Bound;

/// A row whose moment has come, by the index as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The moment.
    pub at: Millis,
    /// Key of the row, without its tag.
    pub key: Vec<u8>,
}

impl Slots {
    /// The bytes under a key of a tag.
    pub fn row(&mut self, tag: Tag, key: &[u8]) -> Result<Option<Bytes>> {
        let number = self.load_row(&tag.key(key))?;
        Ok(self.rows.current(number).map(|row| row.0.clone()))
    }

    /// Replaces a row; `None` deletes it. [`Error::Refused`] when no record could carry it.
    ///
    /// [`Error::Refused`]: super::super::Error::Refused
    pub fn put_row(&mut self, tag: Tag, key: &[u8], value: Option<Bytes>) -> Result<()> {
        assert!(Index::of(tag).is_none() && !tag.is_derived(), "rows of this tag have a form of their own");
        self.put(tag, key, value)
    }

    /// Rows of a tag whose keys lie in a range, in order, at most `limit`: as this epoch sees them. Keys are without the tag, in
    /// the range and in the answer.
    pub fn rows(&mut self, tag: Tag, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>> {
        let range = of_tag(tag, range);
        if limit == 0 || super::super::store::is_empty(&range) {
            return Ok(Vec::new());
        }
        let bounds = (range.0.as_ref().map(|key| &key[..]), range.1.as_ref().map(|key| &key[..]));
        let mut stored: Vec<(Bytes, Bytes)> = Vec::new();
        self.store.scan(&range, &mut |key, value| {
            if !self.changed_rows.contains_key(key) {
                stored.push((Bytes::copy_from_slice(&key[1..]), Bytes::copy_from_slice(value)));
            }
            stored.len() < limit
        })?;
        let changed = self.changed_rows.range::<[u8], _>(bounds).filter_map(|(key, number)| {
            let value = self.rows.current(*number)?;
            Some((Bytes::copy_from_slice(&key[1..]), value.0.clone()))
        });
        let changed: Vec<(Bytes, Bytes)> = changed.take(limit).collect();
        if changed.is_empty() {
            return Ok(stored);
        }
        stored.extend(changed);
        stored.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        stored.truncate(limit);
        Ok(stored)
    }

    /// A row that expires, expired or not: whoever asks compares `expires_at`.
    pub fn expiring(&mut self, tag: Tag, key: &[u8]) -> Result<Option<Expiring>> {
        let stored = self.row(tag, key)?;
        stored.map(|stored| expiring::read(&stored)).transpose().map_err(|error| self.damaged(error.0))
    }

    /// Replaces a row that expires; `None` deletes it.
    pub fn put_expiring(&mut self, tag: Tag, key: &[u8], row: Option<&Expiring>) -> Result<()> {
        assert!(matches!(tag, Tag::Mark | Tag::Early), "rows of this tag do not expire");
        let stored = row.map(|row| {
            let mut stored = Vec::with_capacity(9 + row.value.len());
            expiring::append(row, &mut stored);
            stored.into()
        });
        self.put(tag, key, stored)
    }

    /// A timer of an owner.
    pub fn timer(&mut self, owner: &[u8], name: &[u8]) -> Result<Option<Timer>> {
        self.timer_at(&timer::key(owner, name))
    }

    /// A timer by its key.
    pub fn timer_at(&mut self, key: &[u8]) -> Result<Option<Timer>> {
        let stored = self.row(Tag::Timer, key)?;
        stored.map(|stored| timer::read(&stored)).transpose().map_err(|error| self.damaged(error.0))
    }

    /// Sets a timer, in place of the one of the same owner and name. Its generation is above that one's, and not below `now`: it
    /// grows also when a timer is set again after it was cancelled, as long as the clock is not set back by more than that takes.
    pub fn set_timer(&mut self, owner: &[u8], name: &[u8], due: Millis, payload: Bytes, now: Millis) -> Result<u64> {
        let key = timer::key(owner, name);
        let before = self.timer_at(&key)?.map_or(0, |timer| timer.generation);
        let generation = before.saturating_add(1).max(now.max(0).unsigned_abs());
        let mut stored = Vec::with_capacity(17 + payload.len());
        timer::append(&Timer { due, generation, payload }, &mut stored);
        self.put(Tag::Timer, &key, Some(stored.into()))?;
        Ok(generation)
    }

    /// Takes a timer away; tells whether there was one.
    pub fn cancel_timer(&mut self, owner: &[u8], name: &[u8]) -> Result<bool> {
        self.delete(Tag::Timer, &timer::key(owner, name))
    }

    /// Deletes a row of any tag; tells whether it was there.
    pub fn delete(&mut self, tag: Tag, key: &[u8]) -> Result<bool> {
        let is_there = self.row(tag, key)?.is_some();
        if is_there {
            self.put(tag, key, None)?;
        }
        Ok(is_there)
    }

    /// The first moment of an index, without a read as long as nothing has happened at its beginning.
    pub fn first(&mut self, index: Index) -> Result<Option<Millis>> {
        self.upcoming[index as usize].first(&*self.store)
    }

    /// The first moment of an index as far as it is known without a read; may be too early, never too late.
    pub fn known_first(&self, index: Index) -> Option<Millis> {
        self.upcoming[index as usize].known()
    }

    /// How many entries an index has. Reads them all the first time.
    pub fn indexed(&mut self, index: Index) -> Result<u64> {
        self.upcoming[index as usize].count(&*self.store)
    }

    /// Rows whose moment has come, the earliest first, at most `limit`. The index is read as it is committed, and rows that this
    /// epoch has changed are passed over: what is due of them is found after the commit. A row that is not there is damage.
    pub fn due(&mut self, index: Index, now: Millis, limit: usize) -> Result<Vec<Due>> {
        if limit == 0 || self.first(index)?.is_none_or(|first| first > now) {
            return Ok(Vec::new());
        }
        let tag = index.tag();
        let (entities, changed_rows) = (&mut self.entities, &self.changed_rows);
        let mut scratch = Vec::new();
        let (mut found, mut seen) = (Vec::new(), false);
        self.upcoming[index as usize].scan(&*self.store, now, &mut |entry| {
            seen = true;
            let is_changed = match tag {
                Tag::State => entities.find(&entry.rest).is_some_and(|number| entities.slot(number).pending.is_some()),
                _ => {
                    scratch.clear();
                    tag.append_key(&entry.rest, &mut scratch);
                    changed_rows.contains_key(&scratch[..])
                }
            };
            if !is_changed {
                found.push(Due { at: entry.at, key: entry.rest });
            }
            found.len() < limit
        })?;
        debug_assert!(seen, "whoever fills the store lets nobody look before");
        for due in &found {
            let at = match tag {
                Tag::State => self.entity(&due.key)?.and_then(|entity| entity.expires_at),
                _ => {
                    let row = self.row(tag, &due.key)?;
                    row.map(|row| layout::index::moment(tag, &row)).transpose().ok().flatten().flatten()
                }
            };
            if at.map(|at| at.max(0)) != Some(due.at) {
                return Err(self.damaged("an index by time and its rows disagree"));
            }
        }
        Ok(found)
    }

    /// Deletes marks that have expired, at most `limit`, as changes of this epoch; tells how many.
    pub fn expire_marks(&mut self, now: Millis, limit: usize) -> Result<usize> {
        let expired = self.due(Index::Marks, now, limit)?;
        for mark in &expired {
            self.put(Tag::Mark, &mark.key, None)?;
        }
        Ok(expired.len())
    }

    pub(super) fn put(&mut self, tag: Tag, key: &[u8], value: Option<Bytes>) -> Result<()> {
        // Loaded even when it is not read: its index entry goes with the new one.
        self.put_in(Self::load_row, tag, key, value)
    }

    /// The same of a row that is certainly not there: the store is not asked.
    pub(super) fn put_new(&mut self, tag: Tag, key: &[u8], value: Bytes) -> Result<()> {
        let slot = |slots: &mut Self, key: &[u8]| {
            let known = slots.rows.find(key);
            Ok(known.unwrap_or_else(|| slots.rows.insert(key, None, slots.limits.cache_bytes)))
        };
        self.put_in(slot, tag, key, Some(value))
    }

    fn put_in(
        &mut self,
        slot: impl FnOnce(&mut Self, &[u8]) -> Result<u32>,
        tag: Tag,
        key: &[u8],
        value: Option<Bytes>,
    ) -> Result<()> {
        assert!(!self.sealed, "no put between seal and the epoch's outcome");
        self.check_key(key)?;
        let value = value.map(Row);
        let bytes = value.as_ref().map_or(0, Kept::memory);
        if bytes + key.len() + RECORD_OVERHEAD > self.limits.record_bytes {
            return Err(self.too_large(bytes + key.len()));
        }
        let key = tag.key(key);
        let number = slot(self, &key)?;
        let slot = self.rows.slot_mut(number);
        let before = slot.pending.replace(Change { value, bytes });
        if before.is_none() {
            self.changed_rows.insert(slot.key.clone(), number);
        }
        self.note(Place::Row(number), key.len() + bytes, before.as_ref().map(|change| key.len() + change.bytes));
        self.journal.push(Undo::Row(number, before));
        Ok(())
    }
}

/// A range of a tag's keys as the store has it.
fn of_tag(tag: Tag, range: &KeyRange) -> KeyRange {
    let (all_from, all_to) = tag.range(&[]);
    let with_tag = |key: &Bytes| Bytes::from(tag.key(key));
    let from = match &range.0 {
        Bound::Unbounded => all_from,
        given => given.as_ref().map(with_tag),
    };
    let to = match &range.1 {
        Bound::Unbounded => all_to,
        given => given.as_ref().map(with_tag),
    };
    (from, to)
}

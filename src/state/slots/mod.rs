//! A task's decoded cache of one store, and the writes of its open epoch.
//!
//! Every key in use has a slot with what is committed and what this epoch has changed; reads see the change, then what is
//! committed, then the store. So a hot key is neither parsed nor serialized per record: parsed once when it comes in,
//! serialized once per epoch, by [`Slots::seal`]. That nothing is there is remembered like a value. Memory is bounded: clean
//! slots are evicted, dirty ones stay until the epoch's end (which the epoch's own bound limits).
//!
//! ```text
//!             put ↺  savepoint/rollback ↺                 seal
//!   Open ──────────────────────────────────── Open ──────────────────▶ Sealed
//!     ▲                  forget (rolled back)                            │
//!     ├──────────────────────────────────────────────────────────────────┤
//!     └──────────────────── committed (and applied to the store) ────────┘
//! ```
//!
//! The store is never written here: `seal` gives the writes, the caller applies them after the commit, with the checkpoint in
//! the same batch, and calls [`Slots::committed`]. Between `seal` and the outcome nothing may be put; to do so is a fault of the
//! caller and panics.

mod key;
mod table;
#[cfg(test)]
mod tests;
mod weight;

use super::layout::{self, LogEntry, Malformed, Role, Tag, entity, mark};
use super::{Entity, Error, Mark, Result, Store, Write};
use crate::record::{Millis, Text};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;
use table::{Change, Committed, Kept, Table};

/// Bounds of a cache.
#[derive(Clone, Copy, Debug)]
pub struct SlotLimits {
    /// Decoded committed values, in bytes, roughly.
    pub cache_bytes: usize,
    /// Largest record of the snapshots topic and of the changelog, in bytes: a value whose record could not be written is refused.
    pub record_bytes: usize,
}

/// Counts since the cache was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCounts {
    /// Reads that a slot answered.
    pub hits: u64,
    /// Reads that went to the store.
    pub misses: u64,
    /// Slots evicted.
    pub evictions: u64,
}

/// A point within the epoch to roll back to. Void after [`Slots::keep`].
#[derive(Clone, Copy, Debug)]
pub struct Savepoint {
    journal: usize,
    kept: u64,
}

/// See the module.
pub struct Slots {
    store: Arc<dyn Store>,
    name: Text,
    limits: SlotLimits,
    entities: Table<Entity>,
    marks: Table<Mark>,
    /// Slots with a pending change, in the order of their first one.
    dirty: Vec<Place>,
    journal: Vec<Undo>,
    /// Times that the journal was emptied: tells a void savepoint.
    kept: u64,
    pending_bytes: usize,
    sealed: bool,
    counts: SlotCounts,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Entity(u32),
    Mark(u32),
}

/// What a slot held pending before a put.
#[derive(Debug)]
enum Undo {
    Entity(u32, Option<Change<Entity>>),
    Mark(u32, Option<Change<Mark>>),
}

/// What a record's key, header names and bookkeeping take beside head and value, at most.
const RECORD_OVERHEAD: usize = 256;

impl Slots {
    /// An empty cache over a store; `name` is for messages.
    pub fn new(store: Arc<dyn Store>, name: impl Into<Text>, limits: SlotLimits) -> Self {
        Self {
            store,
            name: name.into(),
            limits,
            entities: Table::new(),
            marks: Table::new(),
            dirty: Vec::new(),
            journal: Vec::new(),
            kept: 0,
            pending_bytes: 0,
            sealed: false,
            counts: SlotCounts::default(),
            scratch: Vec::new(),
        }
    }

    /// The store beneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// An aggregate's state.
    pub fn entity(&mut self, key: &[u8]) -> Result<Option<&Entity>> {
        let number = load(&mut self.entities, &*self.store, &self.name, &mut self.scratch, &mut self.counts, self.limits, key)?;
        Ok(self.entities.current(number).expect("loaded"))
    }

    /// The mark of a request, expired or not: whoever asks compares `expires_at`.
    pub fn mark(&mut self, id: &[u8]) -> Result<Option<&Mark>> {
        let number = load(&mut self.marks, &*self.store, &self.name, &mut self.scratch, &mut self.counts, self.limits, id)?;
        Ok(self.marks.current(number).expect("loaded"))
    }

    /// Replaces an aggregate's state; `None` deletes it. [`Error::Refused`] when no record could carry it.
    pub fn put_entity(&mut self, key: &[u8], value: Option<Entity>) -> Result<()> {
        assert!(!self.sealed, "no put between seal and the epoch's outcome");
        self.check_key(key)?;
        let bytes = match &value {
            Some(entity) => self.check_entity(key, entity)?,
            None => 0,
        };
        let number = match self.entities.find(key) {
            Some(number) => number,
            None => self.entities.insert(key, Committed::Unknown, self.limits.cache_bytes),
        };
        let before = self.entities.slot_mut(number).pending.replace(Change { value, bytes });
        self.note(Place::Entity(number), key.len() + bytes, before.as_ref().map(|change| key.len() + change.bytes));
        self.journal.push(Undo::Entity(number, before));
        Ok(())
    }

    /// Marks a request as answered; `None` takes the mark away. [`Error::Refused`] when no record could carry it.
    pub fn put_mark(&mut self, id: &[u8], value: Option<Mark>) -> Result<()> {
        assert!(!self.sealed, "no put between seal and the epoch's outcome");
        self.check_key(id)?;
        let bytes = value.as_ref().map_or(0, Kept::memory);
        if bytes + id.len() + RECORD_OVERHEAD > self.limits.record_bytes {
            return Err(self.too_large(bytes + id.len()));
        }
        // Loaded even when it is not read: the index entry of the old expiry goes with the new one.
        let number = load(&mut self.marks, &*self.store, &self.name, &mut self.scratch, &mut self.counts, self.limits, id)?;
        let before = self.marks.slot_mut(number).pending.replace(Change { value, bytes });
        self.note(Place::Mark(number), id.len() + bytes, before.as_ref().map(|change| id.len() + change.bytes));
        self.journal.push(Undo::Mark(number, before));
        Ok(())
    }

    /// Deletes marks that have expired, at most `limit`, as changes of this epoch; tells how many.
    ///
    /// Finds them by the index in the store, so what this epoch has written is not seen; the next call after the commit goes on.
    pub fn expire(&mut self, now: Millis, limit: usize) -> Result<usize> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let range =
            (Bound::Included(Bytes::from_static(&[Tag::Expiry as u8])), Bound::Excluded(mark::expiry_after(now).into()));
        if limit > 0 {
            self.store.scan(&range, &mut |key, _| {
                found.push(key.to_vec());
                found.len() < limit
            })?;
        }
        let mut expired = 0;
        for key in found {
            let (at, id) = mark::read_expiry_key(&key).map_err(|error| self.damaged(error))?;
            self.mark(id)?;
            let number = self.marks.find(id).expect("just read");
            let slot = self.marks.slot(number);
            if slot.pending.is_some() {
                continue;
            }
            match &slot.committed {
                Committed::Known(Some(mark)) if mark.expires_at.max(0) == at => {
                    self.put_mark(id, None)?;
                    expired += 1;
                }
                _ => return Err(self.damaged(Malformed("the index of expiries and the marks disagree".into()))),
            }
        }
        Ok(expired)
    }

    /// A point to roll back to.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint { journal: self.journal.len(), kept: self.kept }
    }

    /// Takes back every put since the savepoint.
    pub fn rollback_to(&mut self, savepoint: Savepoint) {
        assert!(!self.sealed, "no rollback to a savepoint after seal");
        assert!(savepoint.kept == self.kept, "a savepoint is void once its changes are kept");
        for undo in self.journal.drain(savepoint.journal..).rev() {
            let (added, clean) = match undo {
                Undo::Entity(number, before) => {
                    let slot = self.entities.slot_mut(number);
                    let key = slot.key.len();
                    let undone = std::mem::replace(&mut slot.pending, before);
                    let kept = slot.pending.as_ref().map(|change| key + change.bytes);
                    if kept.is_none() {
                        self.entities.forget(number);
                    }
                    (undone.map_or(0, |change| key + change.bytes), kept)
                }
                Undo::Mark(number, before) => {
                    let slot = self.marks.slot_mut(number);
                    let key = slot.key.len();
                    let undone = std::mem::replace(&mut slot.pending, before);
                    (undone.map_or(0, |change| key + change.bytes), slot.pending.as_ref().map(|change| key + change.bytes))
                }
            };
            self.pending_bytes = self.pending_bytes - added + clean.unwrap_or(0);
            if clean.is_none() {
                // Undone in reverse, so the slot that turned dirty last is the one that turns clean first.
                self.dirty.pop();
            }
        }
    }

    /// The changes so far will not be taken back one by one: the record is done. Bounds the journal on a hot key.
    pub fn keep(&mut self) {
        self.journal.clear();
        self.kept += 1;
    }

    /// Has this epoch changed anything?
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Bytes of this epoch's changes, roughly: for the epoch's bound.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Serializes every dirty slot once: hands its changelog entry to `each`, in the order of first changes, and returns the
    /// writes for the store, derived entries included. Nothing may be put until [`Slots::committed`] or [`Slots::forget`].
    pub fn seal(&mut self, each: &mut dyn FnMut(LogEntry<'_>)) -> Result<Vec<Write>> {
        assert!(!self.sealed, "an epoch is sealed once");
        let mut arena = Vec::with_capacity(self.pending_bytes + 64 * self.dirty.len());
        // Ranges first: slices of the arena exist once it grows no more.
        let mut places = Vec::with_capacity(self.dirty.len());
        let mut derived = Vec::new();
        for place in &self.dirty {
            let start = arena.len();
            let (key_end, put) = match *place {
                Place::Entity(number) => {
                    let slot = self.entities.slot(number);
                    Tag::State.append_key(&slot.key, &mut arena);
                    let key_end = arena.len();
                    let value = slot.pending.as_ref().expect("a dirty slot has a change").value.as_ref();
                    let parts = value.map(|value| entity::append_entity(value, &mut arena)).transpose();
                    let parts = parts.map_err(|error| self.not_json(&error))?;
                    each(LogEntry {
                        role: Role::Snapshots,
                        key: &slot.key,
                        value: parts.as_ref().map(|parts| &arena[parts.state.clone()]),
                        head: parts.as_ref().map(|parts| &arena[parts.head.clone()]),
                    });
                    (key_end, value.is_some())
                }
                Place::Mark(number) => {
                    let slot = self.marks.slot(number);
                    Tag::Mark.append_key(&slot.key, &mut arena);
                    let key_end = arena.len();
                    let value = slot.pending.as_ref().expect("a dirty slot has a change").value.as_ref();
                    if let Some(value) = value {
                        mark::append(value, &mut arena);
                    }
                    let Committed::Known(old) = &slot.committed else { unreachable!("a mark is loaded before it is put") };
                    let (old, new) = (old.as_ref().map(|mark| mark.expires_at), value.map(|mark| mark.expires_at));
                    layout::index_writes(&slot.key, old, new, &mut |write| derived.push(write));
                    each(LogEntry {
                        role: Role::Changelog,
                        key: &arena[start..key_end],
                        value: value.map(|_| &arena[key_end..]),
                        head: None,
                    });
                    (key_end, value.is_some())
                }
            };
            places.push((start, key_end, put.then_some(arena.len())));
        }
        let arena = Bytes::from(arena);
        let mut writes: Vec<Write> = places
            .into_iter()
            .map(|(start, key_end, end)| Write {
                key: arena.slice(start..key_end),
                value: end.map(|end| arena.slice(key_end..end)),
            })
            .collect();
        writes.append(&mut derived);
        self.keep();
        self.sealed = true;
        Ok(writes)
    }

    /// The epoch has committed and its writes are in the store: changes become what is committed.
    pub fn committed(&mut self) {
        assert!(self.sealed, "only a sealed epoch commits");
        self.settle(Table::commit, Table::commit);
    }

    /// The epoch was rolled back, sealed or not: changes are dropped.
    pub fn forget(&mut self) {
        self.settle(Table::forget, Table::forget);
    }

    /// Counts since the cache was made.
    pub fn counts(&self) -> SlotCounts {
        SlotCounts { evictions: self.entities.evictions + self.marks.evictions, ..self.counts }
    }

    /// Number of slots and bytes of their committed values, roughly.
    pub fn size(&self) -> (usize, usize) {
        (self.entities.len() + self.marks.len(), self.entities.bytes() + self.marks.bytes())
    }

    fn settle(&mut self, entity: fn(&mut Table<Entity>, u32), mark: fn(&mut Table<Mark>, u32)) {
        for place in std::mem::take(&mut self.dirty) {
            match place {
                Place::Entity(number) => entity(&mut self.entities, number),
                Place::Mark(number) => mark(&mut self.marks, number),
            }
        }
        self.keep();
        self.pending_bytes = 0;
        self.sealed = false;
    }

    fn note(&mut self, place: Place, bytes: usize, before: Option<usize>) {
        match before {
            Some(before) => self.pending_bytes = self.pending_bytes - before + bytes,
            None => {
                self.pending_bytes += bytes;
                self.dirty.push(place);
            }
        }
    }

    fn check_key(&self, key: &[u8]) -> Result<()> {
        if key.len() > layout::KEY_MAX {
            return Err(self.refused("TOO_LARGE", format!("its key has {} bytes", key.len())));
        }
        Ok(())
    }

    /// What JSON or the topic cannot carry is refused here, where the record that did it is known.
    fn check_entity(&self, key: &[u8], entity: &Entity) -> Result<usize> {
        let weight = weight::of(&entity.value);
        if weight.not_finite {
            return Err(self.refused("EXPRESSION_ERROR", "a number in it is not finite".into()));
        }
        if weight.too_deep {
            return Err(self.refused("EXPRESSION_ERROR", "it is nested too deep".into()));
        }
        let beside = key.len() + entity.last_event.as_ref().map_or(0, Text::len) + RECORD_OVERHEAD;
        if beside + weight.text_max > self.limits.record_bytes {
            // The bound is generous; only a value that comes near is measured by writing it.
            let mut stored = Vec::new();
            entity::append_entity(entity, &mut stored).map_err(|error| self.not_json(&error))?;
            if beside + stored.len() > self.limits.record_bytes {
                return Err(self.too_large(stored.len()));
            }
        }
        Ok(size_of::<Entity>() + weight.memory)
    }

    fn too_large(&self, bytes: usize) -> Error {
        self.refused("TOO_LARGE", format!("{bytes} bytes, and its topic takes {}", self.limits.record_bytes))
    }

    fn not_json(&self, error: &crate::record::json::Error) -> Error {
        self.refused("EXPRESSION_ERROR", error.to_string())
    }

    fn refused(&self, code: &'static str, reason: String) -> Error {
        Error::Refused { store: self.name.to_string(), code, reason }
    }

    fn damaged(&self, error: Malformed) -> Error {
        Error::Damaged { store: self.name.to_string(), reason: error.0 }
    }
}

/// Number of the slot of a key whose current value is known, read from the store where it was not.
fn load<T: Kept>(
    table: &mut Table<T>,
    store: &dyn Store,
    name: &Text,
    scratch: &mut Vec<u8>,
    counts: &mut SlotCounts,
    limits: SlotLimits,
    key: &[u8],
) -> Result<u32> {
    // A slot that knows nothing has a pending change, so whatever is found has a current value.
    if let Some(number) = table.find(key) {
        counts.hits += 1;
        return Ok(number);
    }
    counts.misses += 1;
    scratch.clear();
    T::TAG.append_key(key, scratch);
    let value = match store.get(scratch)? {
        Some(stored) => {
            Some(T::decode(&stored).map_err(|error| Error::Unreadable { store: name.to_string(), reason: error.0 })?)
        }
        None => None,
    };
    Ok(table.insert(key, Committed::Known(value), limits.cache_bytes))
}

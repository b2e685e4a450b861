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
//! Entities are kept decoded; rows (everything else) as bytes, and those that the epoch has changed in key order too, so that a
//! range of rows is one merge of the epoch and the store.
//!
//! The store is never written here: `seal` gives the writes, the caller applies them after the commit, with the checkpoint in
//! the same batch, and calls [`Slots::committed`]. Between `seal` and the outcome nothing may be put; to do so is a fault of the
//! caller and panics.

mod key;
mod numbers;
mod parked;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod upcoming;
mod weight;

pub use rows::Due;

use super::layout::{self, Index, LogEntry, Role, Tag, entity, index};
use super::{Entity, Error, Result, Store, Write};
use crate::record::Text;
use bytes::Bytes;
use key::Key;
use std::collections::BTreeMap;
use std::sync::Arc;
use table::{Change, Kept, Row, Table};
use upcoming::Upcoming;

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
    /// Reads of the indexes by time.
    pub index_reads: u64,
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
    /// Which topic has the states.
    states_in: Role,
    entities: Table<Entity>,
    rows: Table<Row>,
    /// Slots of rows with a pending change, by key.
    changed_rows: BTreeMap<Key, u32>,
    /// Of every index.
    upcoming: [Upcoming; Index::ALL.len()],
    /// Slots with a pending change, in the order of their first one.
    dirty: Vec<Place>,
    journal: Vec<Undo>,
    /// Times that the journal was emptied: tells a void savepoint.
    kept: u64,
    pending_bytes: usize,
    sealed: bool,
    counts: SlotCounts,
    scratch: Vec<u8>,
    /// The writes of the last epoch lie here; its memory is used again once they are gone.
    sealed_bytes: Bytes,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Entity(u32),
    Row(u32),
}

/// What a slot held pending before a put.
#[derive(Debug)]
enum Undo {
    Entity(u32, Option<Change<Entity>>),
    Row(u32, Option<Change<Row>>),
}

/// What a record's key, header names and bookkeeping take beside head and value, at most.
const RECORD_OVERHEAD: usize = 256;
/// Memory for the writes of an epoch that is kept for the next one, at most: new memory costs a page fault for every page.
const KEPT_BYTES_MAX: usize = 4 << 20;

impl Slots {
    /// An empty cache over a store; `name` is for messages.
    pub fn new(store: Arc<dyn Store>, name: impl Into<Text>, limits: SlotLimits) -> Self {
        let name = name.into();
        Self {
            store,
            limits,
            states_in: Role::Snapshots,
            entities: Table::new(),
            rows: Table::new(),
            changed_rows: BTreeMap::new(),
            upcoming: Index::ALL.map(|index| Upcoming::new(name.clone(), index)),
            name,
            dirty: Vec::new(),
            journal: Vec::new(),
            kept: 0,
            pending_bytes: 0,
            sealed: false,
            counts: SlotCounts::default(),
            scratch: Vec::new(),
            sealed_bytes: Bytes::new(),
        }
    }

    /// The same with states in the changelog, beside everything else: for nodes whose states are not for others to read.
    #[must_use]
    pub fn with_states_in_changelog(mut self) -> Self {
        self.states_in = Role::Changelog;
        self
    }

    /// The store beneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// An instance's state.
    pub fn entity(&mut self, key: &[u8]) -> Result<Option<&Entity>> {
        let number = self.load_entity(key)?;
        Ok(self.entities.current(number))
    }

    /// Replaces an instance's state; `None` deletes it. [`Error::Refused`] when no record could carry it.
    pub fn put_entity(&mut self, key: &[u8], value: Option<Entity>) -> Result<()> {
        assert!(!self.sealed, "no put between seal and the epoch's outcome");
        self.check_key(key)?;
        let bytes = match &value {
            Some(entity) => self.check_entity(key, entity)?,
            None => 0,
        };
        // Loaded even when it is not read: the index entry of the old expiry goes with the new one.
        let number = self.load_entity(key)?;
        let before = self.entities.slot_mut(number).pending.replace(Change { value, bytes });
        self.note(Place::Entity(number), key.len() + bytes, before.as_ref().map(|change| key.len() + change.bytes));
        self.journal.push(Undo::Entity(number, before));
        Ok(())
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
                Undo::Entity(number, before) => undone(self.entities.slot_mut(number), before),
                Undo::Row(number, before) => {
                    let slot = self.rows.slot_mut(number);
                    let (added, clean) = undone(slot, before);
                    if clean.is_none() {
                        self.changed_rows.remove(&slot.key);
                    }
                    (added, clean)
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
        let mut arena = std::mem::take(&mut self.sealed_bytes).try_into_mut().map_or_else(|_| Vec::new(), Vec::from);
        arena.clear();
        arena.reserve(self.pending_bytes + 64 * self.dirty.len());
        // Ranges first: slices of the arena exist once it grows no more.
        let mut places = Vec::with_capacity(self.dirty.len());
        let mut derived = Vec::new();
        let mut moved = |index: Index, rest: &[u8], old, new| {
            self.upcoming[index as usize].seal(old, new);
            index.writes(rest, old, new, &mut |write| derived.push(write));
        };
        for place in &self.dirty {
            let start = arena.len();
            let (key_end, put) = match *place {
                Place::Entity(number) => {
                    let slot = self.entities.slot(number);
                    Tag::State.append_key(&slot.key, &mut arena);
                    let key_end = arena.len();
                    let value = slot.pending.as_ref().expect("a dirty slot has a change").value.as_ref();
                    let parts = value.map(|value| entity::append_entity(value, &mut arena)).transpose();
                    let parts = parts.map_err(|error| not_json(&self.name, &error))?;
                    let expiry = |entity: Option<&Entity>| entity.and_then(|entity| entity.expires_at);
                    moved(Index::States, &slot.key, expiry(slot.committed.as_ref()), expiry(value));
                    each(match self.states_in {
                        Role::Snapshots => LogEntry {
                            role: Role::Snapshots,
                            key: &slot.key,
                            value: parts.as_ref().map(|parts| &arena[parts.state.clone()]),
                            head: parts.as_ref().map(|parts| &arena[parts.head.clone()]),
                        },
                        Role::Changelog => LogEntry {
                            role: Role::Changelog,
                            key: &arena[start..key_end],
                            value: parts.as_ref().map(|_| &arena[key_end..]),
                            head: None,
                        },
                    });
                    (key_end, value.is_some())
                }
                Place::Row(number) => {
                    let slot = self.rows.slot(number);
                    let value = slot.pending.as_ref().expect("a dirty slot has a change").value.as_ref();
                    if value.is_none() && slot.committed.is_none() {
                        // It came and went within the epoch: neither store nor changelog has heard of it.
                        continue;
                    }
                    arena.extend_from_slice(&slot.key);
                    let key_end = arena.len();
                    if let Some(value) = value {
                        arena.extend_from_slice(&value.0);
                    }
                    let (tag, rest) = layout::split(&slot.key).expect("a row has a tag of its own");
                    if let Some(index) = Index::of(tag) {
                        let moment = |row: Option<&Row>| {
                            row.and_then(|row| index::moment(tag, &row.0).expect("it was looked at when it was read or put"))
                        };
                        moved(index, rest, moment(slot.committed.as_ref()), moment(value));
                    }
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
        if arena.len() <= KEPT_BYTES_MAX {
            self.sealed_bytes = arena;
        }
        self.keep();
        self.sealed = true;
        Ok(writes)
    }

    /// The epoch has committed and its writes are in the store: changes become what is committed.
    pub fn committed(&mut self) {
        assert!(self.sealed, "only a sealed epoch commits");
        self.upcoming.iter_mut().for_each(Upcoming::committed);
        self.settle(Table::commit, Table::commit);
    }

    /// The epoch was rolled back, sealed or not: changes are dropped.
    pub fn forget(&mut self) {
        self.upcoming.iter_mut().for_each(Upcoming::forget);
        self.settle(Table::forget, Table::forget);
    }

    /// Counts since the cache was made.
    pub fn counts(&self) -> SlotCounts {
        SlotCounts {
            evictions: self.entities.evictions + self.rows.evictions,
            index_reads: self.upcoming.iter().map(|upcoming| upcoming.reads).sum(),
            ..self.counts
        }
    }

    /// Number of slots and bytes of their committed values, roughly.
    pub fn size(&self) -> (usize, usize) {
        (self.entities.len() + self.rows.len(), self.entities.bytes() + self.rows.bytes())
    }

    fn settle(&mut self, entity: fn(&mut Table<Entity>, u32), row: fn(&mut Table<Row>, u32)) {
        for place in std::mem::take(&mut self.dirty) {
            match place {
                Place::Entity(number) => entity(&mut self.entities, number),
                Place::Row(number) => row(&mut self.rows, number),
            }
        }
        self.changed_rows.clear();
        self.keep();
        self.pending_bytes = 0;
        self.sealed = false;
    }

    fn load_entity(&mut self, key: &[u8]) -> Result<u32> {
        load(&mut self.entities, &*self.store, &self.name, &mut self.scratch, &mut self.counts, self.limits, key)
    }

    fn load_row(&mut self, key: &[u8]) -> Result<u32> {
        load(&mut self.rows, &*self.store, &self.name, &mut self.scratch, &mut self.counts, self.limits, key)
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
            entity::append_entity(entity, &mut stored).map_err(|error| not_json(&self.name, &error))?;
            if beside + stored.len() > self.limits.record_bytes {
                return Err(self.too_large(stored.len()));
            }
        }
        Ok(size_of::<Entity>() + weight.memory)
    }

    fn too_large(&self, bytes: usize) -> Error {
        self.refused("TOO_LARGE", format!("{bytes} bytes, and its topic takes {}", self.limits.record_bytes))
    }

    fn refused(&self, code: &'static str, reason: String) -> Error {
        refused(&self.name, code, reason)
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged { store: self.name.to_string(), reason: reason.into() }
    }
}

fn refused(store: &Text, code: &'static str, reason: String) -> Error {
    Error::Refused { store: store.to_string(), code, reason }
}

fn not_json(store: &Text, error: &crate::record::json::Error) -> Error {
    refused(store, "EXPRESSION_ERROR", error.to_string())
}

/// Puts back what a slot held pending: the bytes that were pending, and those that are now, if any.
fn undone<T>(slot: &mut table::Slot<T>, before: Option<Change<T>>) -> (usize, Option<usize>) {
    let key = slot.key.len();
    let undone = std::mem::replace(&mut slot.pending, before);
    (undone.map_or(0, |change| key + change.bytes), slot.pending.as_ref().map(|change| key + change.bytes))
}

/// Number of the slot of a key, read from the store where there was none.
fn load<T: Kept>(
    table: &mut Table<T>,
    store: &dyn Store,
    name: &Text,
    scratch: &mut Vec<u8>,
    counts: &mut SlotCounts,
    limits: SlotLimits,
    key: &[u8],
) -> Result<u32> {
    if let Some(number) = table.find(key) {
        counts.hits += 1;
        return Ok(number);
    }
    counts.misses += 1;
    scratch.clear();
    T::append_store_key(key, scratch);
    let read = |stored| T::read(key, stored).map_err(|error| Error::Unreadable { store: name.to_string(), reason: error.0 });
    let value = store.get(scratch)?.map(read).transpose()?;
    Ok(table.insert(key, value, limits.cache_bytes))
}

//! The slots of one kind of entry: found by key, pinned while dirty, evicted by a clock hand when clean.

use super::super::layout::{Malformed, Tag, entity, mark};
use super::super::{Entity, Mark};
use super::key::Key;
use std::collections::HashMap;

/// A kind of entry that is kept decoded.
pub(super) trait Kept: Sized {
    const TAG: Tag;

    fn decode(stored: &[u8]) -> Result<Self, Malformed>;

    /// Bytes in memory, roughly.
    fn memory(&self) -> usize;
}

impl Kept for Entity {
    const TAG: Tag = Tag::State;

    fn decode(stored: &[u8]) -> Result<Self, Malformed> {
        entity::read(stored)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + super::weight::of(&self.value).memory
    }
}

impl Kept for Mark {
    const TAG: Tag = Tag::Mark;

    fn decode(stored: &[u8]) -> Result<Self, Malformed> {
        mark::read(stored)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.reply.len()
    }
}

/// What the store holds under a slot's key.
#[derive(Debug)]
pub(super) enum Committed<T> {
    /// Not read: the key was written without being read.
    Unknown,
    /// Read, or committed by this task; `None` where there is nothing.
    Known(Option<T>),
}

/// A change of this epoch: a value, or none any more.
#[derive(Debug)]
pub(super) struct Change<T> {
    pub(super) value: Option<T>,
    /// Bytes of the value in memory, roughly.
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Slot<T> {
    pub(super) key: Key,
    pub(super) committed: Committed<T>,
    pub(super) pending: Option<Change<T>>,
    committed_bytes: usize,
    /// Used since the clock hand last came by.
    touched: bool,
}

/// Slots by key. A slot's number holds as long as it is dirty; clean ones may go with any insertion.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// The standard hasher: keys come from records, and a foreign producer must not be able to aim them at one bucket.
    numbers: HashMap<Key, u32>,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    pub(super) evictions: u64,
}

/// Slots that the clock hand passes for one insertion, at most: evicting costs a bounded time whatever is pinned.
const HAND_STEPS: usize = 64;
/// What a slot takes beside its value and its key, roughly: itself, its number, the map's share.
const OVERHEAD: usize = 256;

impl<T: Kept> Table<T> {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, evictions: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes of committed values and keys, roughly; pending ones are the epoch's.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&mut self, key: &[u8]) -> Option<u32> {
        let number = *self.numbers.get(key)?;
        self.slot_mut(number).touched = true;
        Some(number)
    }

    pub(super) fn slot(&self, number: u32) -> &Slot<T> {
        self.slots[number as usize].as_ref().expect("numbers of slots in use come from the map, the journal and the dirty list")
    }

    pub(super) fn slot_mut(&mut self, number: u32) -> &mut Slot<T> {
        self.slots[number as usize].as_mut().expect("numbers of slots in use come from the map, the journal and the dirty list")
    }

    /// A new slot; the table is brought towards `bytes_max` first.
    pub(super) fn insert(&mut self, key: &[u8], committed: Committed<T>, bytes_max: usize) -> u32 {
        self.evict(bytes_max);
        let key = Key::from(key);
        let committed_bytes = OVERHEAD + key.len() + committed.memory();
        self.bytes += committed_bytes;
        let slot = Slot { key: key.clone(), committed, pending: None, committed_bytes, touched: false };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = Some(slot);
                number
            }
            None => {
                self.slots.push(Some(slot));
                u32::try_from(self.slots.len() - 1).expect("the cache's bound is far below 4 billion slots")
            }
        };
        self.numbers.insert(key, number);
        number
    }

    /// What reads see: the pending change, else what is committed. `None` where that was never read.
    pub(super) fn current(&self, number: u32) -> Option<Option<&T>> {
        let slot = self.slot(number);
        match (&slot.pending, &slot.committed) {
            (Some(change), _) => Some(change.value.as_ref()),
            (None, Committed::Known(value)) => Some(value.as_ref()),
            (None, Committed::Unknown) => None,
        }
    }

    /// The pending change of a slot becomes what is committed.
    pub(super) fn commit(&mut self, number: u32) {
        let slot = self.slot_mut(number);
        let change = slot.pending.take().expect("a dirty slot has a change");
        let bytes = OVERHEAD + slot.key.len() + change.bytes;
        slot.committed = Committed::Known(change.value);
        let before = std::mem::replace(&mut slot.committed_bytes, bytes);
        self.bytes = self.bytes - before + bytes;
    }

    /// The pending change of a slot is dropped; a slot that knows nothing goes with it.
    pub(super) fn forget(&mut self, number: u32) {
        let slot = self.slot_mut(number);
        slot.pending = None;
        if matches!(slot.committed, Committed::Unknown) {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u32) {
        if let Some(slot) = self.slots[number as usize].take() {
            self.numbers.remove(&slot.key);
            self.bytes -= slot.committed_bytes;
            self.free.push(number);
        }
    }

    /// Second chance: a clean slot goes when the hand meets it for the second time without a use in between.
    fn evict(&mut self, bytes_max: usize) {
        for _ in 0..HAND_STEPS {
            if self.bytes <= bytes_max || self.slots.is_empty() {
                return;
            }
            self.hand = (self.hand + 1) % self.slots.len();
            if let Some(slot) = &mut self.slots[self.hand]
                && slot.pending.is_none()
                && !std::mem::take(&mut slot.touched)
            {
                self.remove(self.hand as u32);
                self.evictions += 1;
            }
        }
    }
}

impl<T: Kept> Committed<T> {
    fn memory(&self) -> usize {
        match self {
            Self::Known(Some(value)) => value.memory(),
            Self::Known(None) | Self::Unknown => 0,
        }
    }
}

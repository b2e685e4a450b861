//! The slots of one kind of entry: found by key, pinned while dirty, evicted by a clock hand when clean.

use super::super::Entity;
use super::super::layout::{Malformed, Tag, entity, index};
use super::key::Key;
use super::numbers::Numbers;
use bytes::Bytes;

/// A kind of entry that is kept in memory.
pub(super) trait Kept: Sized {
    /// Appends the key that the store has it under.
    fn append_store_key(key: &[u8], out: &mut Vec<u8>);

    fn read(key: &[u8], stored: Bytes) -> Result<Self, Malformed>;

    /// Bytes in memory, roughly.
    fn memory(&self) -> usize;
}

impl Kept for Entity {
    fn append_store_key(key: &[u8], out: &mut Vec<u8>) {
        Tag::State.append_key(key, out);
    }

    fn read(_: &[u8], stored: Bytes) -> Result<Self, Malformed> {
        entity::read(&stored)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + super::weight::of(&self.value).memory
    }
}

/// Bytes as the store has them; their slot's key begins with their tag.
#[derive(Debug)]
pub(super) struct Row(pub(super) Bytes);

impl Kept for Row {
    fn append_store_key(key: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(key);
    }

    /// What the indexes need of it is looked at now: a later moment has no record to blame.
    fn read(key: &[u8], stored: Bytes) -> Result<Self, Malformed> {
        if let Some(tag) = key.first().copied().and_then(Tag::from_byte) {
            index::moment(tag, &stored)?;
        }
        Ok(Self(stored))
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.0.len()
    }
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
    /// What the store holds; `None` where there is nothing.
    pub(super) committed: Option<T>,
    pub(super) pending: Option<Change<T>>,
    committed_bytes: usize,
    /// Used since the clock hand last came by.
    touched: bool,
}

/// Slots by key. A slot's number holds as long as it is dirty; clean ones may go with any insertion.
#[derive(Debug)]
pub(super) struct Table<T> {
    numbers: Numbers,
    /// The slot found last: a step asks for one key again and again.
    last: Option<u32>,
    /// In pieces, so that growing neither copies slots nor reserves twice the memory they need.
    pieces: Vec<Vec<Option<Slot<T>>>>,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
    pub(super) evictions: u64,
}

/// Slots of a piece.
const PIECE: usize = 512;
/// Slots that the clock hand passes for one insertion, at most: evicting costs a bounded time whatever is pinned.
const HAND_STEPS: usize = 64;
/// What a slot takes beside its value and its key, roughly: itself, its number, the map's share.
const OVERHEAD: usize = 256;

impl<T: Kept> Table<T> {
    pub(super) fn new() -> Self {
        Self { numbers: Numbers::new(), last: None, pieces: Vec::new(), free: Vec::new(), hand: 0, bytes: 0, evictions: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes of committed values and keys, roughly; pending ones are the epoch's.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn find(&mut self, key: &[u8]) -> Option<u32> {
        if let Some(number) = self.last
            && *self.slot(number).key == *key
        {
            return Some(number);
        }
        let pieces = &self.pieces;
        let slot = |number: usize| pieces[number / PIECE][number % PIECE].as_ref();
        let has_key = |number: u32| slot(number as usize).is_some_and(|slot| *slot.key == *key);
        let number = self.numbers.find(key, has_key)?;
        self.slot_mut(number).touched = true;
        self.last = Some(number);
        Some(number)
    }

    pub(super) fn slot(&self, number: u32) -> &Slot<T> {
        let number = number as usize;
        self.pieces[number / PIECE][number % PIECE]
            .as_ref()
            .expect("numbers of slots in use come from the map, the journal and the dirty list")
    }

    pub(super) fn slot_mut(&mut self, number: u32) -> &mut Slot<T> {
        self.place(number as usize).as_mut().expect("numbers of slots in use come from the map, the journal and the dirty list")
    }

    /// A new slot; the table is brought towards `bytes_max` first.
    pub(super) fn insert(&mut self, key: &[u8], committed: Option<T>, bytes_max: usize) -> u32 {
        self.evict(bytes_max);
        let committed_bytes = OVERHEAD + key.len() + committed.as_ref().map_or(0, T::memory);
        self.bytes += committed_bytes;
        let slot = Slot { key: Key::from(key), committed, pending: None, committed_bytes, touched: false };
        let number = match self.free.pop() {
            Some(number) => {
                *self.place(number as usize) = Some(slot);
                number
            }
            None => {
                let number = self.places();
                if number.is_multiple_of(PIECE) {
                    self.pieces.push(Vec::with_capacity(PIECE));
                }
                self.pieces[number / PIECE].push(Some(slot));
                u32::try_from(number).expect("the cache's bound is far below 4 billion slots")
            }
        };
        self.numbers.insert(key, number);
        self.last = Some(number);
        number
    }

    /// What reads see: the pending change, else what is committed.
    pub(super) fn current(&self, number: u32) -> Option<&T> {
        let slot = self.slot(number);
        slot.pending.as_ref().map_or(slot.committed.as_ref(), |change| change.value.as_ref())
    }

    /// The pending change of a slot becomes what is committed.
    pub(super) fn commit(&mut self, number: u32) {
        let slot = self.slot_mut(number);
        let change = slot.pending.take().expect("a dirty slot has a change");
        let bytes = OVERHEAD + slot.key.len() + change.bytes;
        slot.committed = change.value;
        let before = std::mem::replace(&mut slot.committed_bytes, bytes);
        self.bytes = self.bytes - before + bytes;
    }

    /// The pending change of a slot is dropped.
    pub(super) fn forget(&mut self, number: u32) {
        self.slot_mut(number).pending = None;
    }

    /// Places of slots, in use or free.
    fn places(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    fn place(&mut self, number: usize) -> &mut Option<Slot<T>> {
        &mut self.pieces[number / PIECE][number % PIECE]
    }

    fn remove(&mut self, number: u32) {
        if let Some(slot) = self.place(number as usize).take() {
            self.numbers.remove(&slot.key, number);
            self.last.take_if(|last| *last == number);
            self.bytes -= slot.committed_bytes;
            self.free.push(number);
        }
    }

    /// Second chance: a clean slot goes when the hand meets it for the second time without a use in between.
    fn evict(&mut self, bytes_max: usize) {
        let places = self.places();
        for _ in 0..HAND_STEPS {
            if self.bytes <= bytes_max || places == 0 {
                return;
            }
            self.hand = (self.hand + 1) % places;
            if let Some(slot) = self.place(self.hand)
                && slot.pending.is_none()
                && !std::mem::take(&mut slot.touched)
            {
                self.remove(self.hand as u32);
                self.evictions += 1;
            }
        }
    }
}

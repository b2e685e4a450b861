//! The log of one partition: chunks and control markers in offset order, which of them are decided, and how far readers may go.
//!
//! There are no replicas, so the high watermark is the end of the log. The last stable offset is the first offset of the oldest
//! open transaction. A chunk belongs to one producer; its fate is written beside it when the marker comes, so a reader never
//! has to look for aborted ranges.

use super::chunk::{Chunk, Entry};
use crate::broker::Isolation;
use crate::record::{Millis, Offset, Partition};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A producer's identity at the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct ProducerId(pub(super) u64);

/// Which log: the topic's own number (a recreated topic gets a new one) and the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogId {
    pub(super) topic: u64,
    pub(super) partition: Partition,
}

/// What a stretch of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Kind {
    /// Records outside a transaction, or of one whose commit was compacted away.
    Plain,
    /// Records of a transaction.
    Transactional(ProducerId, Fate),
    /// The end of a transaction: takes an offset and is never delivered.
    Marker(ProducerId),
}

/// What became of a transaction's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Fate {
    /// Not decided.
    Open,
    /// Visible to everybody.
    Committed,
    /// Visible to nobody who reads committed records.
    Aborted,
}

/// A stretch of the log.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) base: Offset,
    /// Where the next stretch begins; what compaction took away lies in between.
    pub(super) next: Offset,
    pub(super) kind: Kind,
    pub(super) bytes: usize,
    pub(super) newest: Millis,
    /// Wall time of the last append to it: what retention by age goes by.
    pub(super) appended: Millis,
    /// When tombstones, or the marker, may go; set when the slot is compacted first.
    pub(super) horizon: Option<Millis>,
    pub(super) body: Body,
}

/// Where the records of a slot are.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A marker has none.
    None,
    /// In memory.
    Here(Arc<Chunk>),
    /// On disk only.
    Stored,
}

/// Why a log cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadError {
    /// The offset lies before the start or after the end.
    OutOfRange,
    /// The disk failed.
    Storage(String),
}

/// Fetches records that are on disk only, by their slot's base.
pub(super) type Load<'a> = &'a mut dyn FnMut(LogId, Offset) -> Result<Arc<Chunk>, String>;

/// Something to deliver, or only to step over.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Which of the reader's partitions.
    pub(super) source: usize,
    /// Records; `None` steps over markers and aborted records.
    pub(super) chunk: Option<Arc<Chunk>>,
    /// Position after it.
    pub(super) next: Offset,
}

/// What has to be written to disk.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    /// Bases of slots whose description changed.
    pub(super) described: BTreeSet<Offset>,
    /// Bases of slots whose records are new.
    pub(super) written: BTreeSet<Offset>,
    /// Bases of slots that are gone.
    pub(super) removed: BTreeSet<Offset>,
}

/// The log of a partition.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) id: LogId,
    pub(super) start: Offset,
    pub(super) next: Offset,
    pub(super) slots: VecDeque<Slot>,
    /// First offset of each open transaction.
    pub(super) open: BTreeMap<ProducerId, Offset>,
    pub(super) bytes: usize,
    /// Bytes that compaction has not seen.
    pub(super) dirty_bytes: usize,
    /// `None` where nothing is kept on disk.
    pub(super) unsaved: Option<Unsaved>,
    /// Slots from here on are in memory.
    pub(super) resident_from: Offset,
    pub(super) resident_bytes: usize,
}

impl Log {
    /// An empty log.
    pub(super) fn new(id: LogId, stored: bool) -> Self {
        Self {
            id,
            start: 0,
            next: 0,
            slots: VecDeque::new(),
            open: BTreeMap::new(),
            bytes: 0,
            dirty_bytes: 0,
            unsaved: stored.then(Unsaved::default),
            resident_from: 0,
            resident_bytes: 0,
        }
    }

    /// Appends records; gives the offset of the first.
    pub(super) fn append(&mut self, mut chunk: Chunk, producer: Option<ProducerId>, now: Millis) -> Offset {
        let base = self.next;
        if producer.is_none() && self.extend(&chunk, now) {
            return base;
        }
        chunk.set_base(base);
        let kind = match producer {
            None => Kind::Plain,
            Some(producer) => {
                self.open.entry(producer).or_insert(base);
                Kind::Transactional(producer, Fate::Open)
            }
        };
        let (next, bytes, newest) = (base + chunk.len() as Offset, chunk.size_bytes(), chunk.newest());
        self.push(Slot { base, next, kind, bytes, newest, appended: now, horizon: None, body: Body::Here(Arc::new(chunk)) });
        base
    }

    /// Adds plain records to the last slot, while nobody else reads it and it is not on disk: a producer that sends one by one
    /// would otherwise fill the log with slots of one record.
    fn extend(&mut self, chunk: &Chunk, now: Millis) -> bool {
        let Some(slot) = self.slots.back_mut() else { return false };
        let unwritten = self.unsaved.as_ref().is_none_or(|unsaved| unsaved.written.contains(&slot.base));
        if slot.kind != Kind::Plain || !unwritten || slot.next != self.next || slot.horizon.is_some() {
            return false;
        }
        let Body::Here(last) = &mut slot.body else { return false };
        let Some(last) = Arc::get_mut(last) else { return false };
        if last.is_full() {
            return false;
        }
        let before = last.size_bytes();
        for entry in chunk.iter() {
            let delta = self.next - last.base();
            last.push(delta as u32, entry.timestamp(), entry.key(), entry.value(), entry.headers());
            self.next += 1;
        }
        let grown = last.size_bytes() - before;
        (slot.next, slot.newest, slot.bytes) = (self.next, last.newest(), last.size_bytes());
        slot.appended = now;
        self.bytes += grown;
        self.dirty_bytes += grown;
        self.resident_bytes += grown;
        true
    }

    /// Ends the producer's transaction in this log: decides its records and appends the marker.
    pub(super) fn mark(&mut self, producer: ProducerId, commit: bool, now: Millis) {
        let fate = if commit { Fate::Committed } else { Fate::Aborted };
        if let Some(first) = self.open.remove(&producer) {
            let place = self.place_of(first);
            for slot in self.slots.range_mut(place..) {
                if slot.kind == Kind::Transactional(producer, Fate::Open) {
                    slot.kind = Kind::Transactional(producer, fate);
                    if let Some(unsaved) = &mut self.unsaved {
                        unsaved.described.insert(slot.base);
                    }
                }
            }
        }
        let (base, kind) = (self.next, Kind::Marker(producer));
        self.push(Slot { base, next: base + 1, kind, bytes: 0, newest: now, appended: now, horizon: None, body: Body::None });
    }

    fn push(&mut self, slot: Slot) {
        self.next = slot.next;
        self.bytes += slot.bytes;
        self.dirty_bytes += slot.bytes;
        self.resident_bytes += slot.bytes;
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.described.insert(slot.base);
            if matches!(slot.body, Body::Here(_)) {
                unsaved.written.insert(slot.base);
            }
        }
        self.slots.push_back(slot);
    }

    /// Takes a slot back from disk, in offset order.
    pub(super) fn restore(&mut self, slot: Slot) {
        if let Kind::Transactional(producer, Fate::Open) = slot.kind {
            self.open.entry(producer).or_insert(slot.base);
        }
        self.next = self.next.max(slot.next);
        self.bytes += slot.bytes;
        self.dirty_bytes += slot.bytes;
        self.resident_from = slot.next;
        self.slots.push_back(slot);
    }

    /// How far committed reading goes: everything before is decided.
    pub(super) fn last_stable(&self) -> Offset {
        self.open.values().copied().min().unwrap_or(self.next)
    }

    /// The end that a reader of this isolation sees.
    pub(super) fn end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::ReadCommitted => self.last_stable(),
            Isolation::ReadUncommitted => self.next,
        }
    }

    /// Index of the first slot that ends after the offset.
    pub(super) fn place_of(&self, offset: Offset) -> usize {
        self.slots.partition_point(|slot| slot.next <= offset)
    }

    /// Collects what lies at and after `from`, about `wanted` records of it; true when there is more.
    pub(super) fn read(
        &self,
        (source, from): (usize, Offset),
        isolation: Isolation,
        wanted: &mut usize,
        load: Load<'_>,
        out: &mut Vec<Piece>,
    ) -> Result<bool, ReadError> {
        if from < self.start || from > self.next {
            return Err(ReadError::OutOfRange);
        }
        let end = self.end(isolation);
        for slot in self.slots.range(self.place_of(from)..) {
            if slot.base >= end {
                return Ok(false);
            }
            if *wanted == 0 {
                return Ok(true);
            }
            let visible = match slot.kind {
                Kind::Plain | Kind::Transactional(_, Fate::Committed | Fate::Open) => true,
                Kind::Transactional(_, Fate::Aborted) => isolation == Isolation::ReadUncommitted,
                Kind::Marker(_) => false,
            };
            match out.last_mut() {
                Some(last) if !visible && last.source == source => last.next = slot.next,
                _ => {
                    let chunk = if visible { Some(self.chunk(slot, load)?) } else { None };
                    let records = chunk.as_ref().map_or(0, |chunk| chunk.from(from).len());
                    *wanted = wanted.saturating_sub(records);
                    out.push(Piece { source, chunk, next: slot.next });
                }
            }
        }
        Ok(false)
    }

    /// The records of a slot that has some.
    pub(super) fn chunk(&self, slot: &Slot, load: Load<'_>) -> Result<Arc<Chunk>, ReadError> {
        match &slot.body {
            Body::Here(chunk) => Ok(chunk.clone()),
            Body::Stored => load(self.id, slot.base).map_err(ReadError::Storage),
            Body::None => Ok(Arc::new(Chunk::default())),
        }
    }

    /// Offset of the first record at or after a moment; the last stable offset where there is none. Markers count as records,
    /// with the time of their writing, as in Kafka.
    pub(super) fn offset_at(&self, moment: Millis, load: Load<'_>) -> Result<Offset, ReadError> {
        let end = self.last_stable();
        for slot in self.slots.iter().filter(|slot| slot.newest >= moment && slot.base < end) {
            if let Kind::Marker(_) = slot.kind {
                return Ok(slot.base);
            }
            let chunk = self.chunk(slot, load)?;
            let found = chunk.from(self.start).find(|entry| entry.timestamp() >= moment).map(|entry: Entry<'_>| entry.offset());
            if let Some(offset) = found {
                return Ok(offset);
            }
        }
        Ok(end)
    }

    /// Deletes records before an offset. The caller has checked that it is not after the end.
    pub(super) fn trim(&mut self, before: Offset) {
        self.start = self.start.max(before);
        while self.slots.front().is_some_and(|slot| slot.next <= self.start) {
            self.drop_first();
        }
    }

    /// Deletes the oldest slots that are over the bounds; the last one and what is not decided stay.
    pub(super) fn retain(&mut self, oldest: Option<Millis>, bytes_max: Option<u64>) {
        let stable = self.last_stable();
        while self.slots.len() > 1 {
            let first = &self.slots[0];
            let old = oldest.is_some_and(|oldest| first.appended < oldest);
            let large = bytes_max.is_some_and(|max| self.bytes as u64 > max);
            if first.next > stable || !(old || large) {
                return;
            }
            self.start = first.next;
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.forget(&slot);
        }
    }

    /// Takes a removed slot out of the accounts.
    pub(super) fn forget(&mut self, slot: &Slot) {
        self.bytes -= slot.bytes;
        self.dirty_bytes = self.dirty_bytes.saturating_sub(slot.bytes);
        if matches!(slot.body, Body::Here(_)) {
            self.resident_bytes -= slot.bytes;
        }
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.described.remove(&slot.base);
            if !unsaved.written.remove(&slot.base) {
                unsaved.removed.insert(slot.base);
            }
        }
    }

    /// Lets the oldest records that are on disk go from memory until it holds no more than `bytes_max`.
    pub(super) fn evict(&mut self, bytes_max: usize) {
        let Some(unsaved) = &self.unsaved else { return };
        let first = self.slots.partition_point(|slot| slot.base < self.resident_from);
        for slot in self.slots.range_mut(first..) {
            if self.resident_bytes <= bytes_max || unsaved.written.contains(&slot.base) {
                return;
            }
            if matches!(slot.body, Body::Here(_)) {
                slot.body = Body::Stored;
                self.resident_bytes -= slot.bytes;
            }
            self.resident_from = slot.next;
        }
    }
}

//! Records of a changelog on their way into a store.

use super::super::layout::{self, Index, LogEntry, Malformed, Role, Tag, index};
use super::super::{Batch, Checkpoint, Chunk, Error, Result, Store, Write};
use crate::record::{Millis, RecordRef, Text};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;

/// Largest chunk: larger ones gain nothing, and a worker may fill several stores at once.
pub const CHUNK_BYTES: usize = 32 << 20;
/// Smaller pieces are applied as a batch: ingesting them costs a file and its fsync.
const INGEST_BYTES_MIN: usize = 2 << 20;
/// Entries checked at a time.
const PAGE: usize = 10_000;

/// Takes the records of a store's changelogs and writes them in chunks.
pub struct Fill {
    store: Arc<dyn Store>,
    name: Text,
    chunk_bytes: usize,
    /// Nothing is in the store yet, so nothing in it has to be looked up.
    empty: bool,
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

/// Places in the arena: the key, and after it the value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key_end: usize,
    /// `None` deletes.
    end: Option<usize>,
}

/// What a flush has written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Entries, derived ones included.
    pub entries: usize,
    /// Bytes of their keys and values.
    pub bytes: usize,
}

impl Fill {
    /// Fills a store in chunks of `chunk_bytes`, at most [`CHUNK_BYTES`]; `empty` says that nothing is in it.
    pub fn new(store: Arc<dyn Store>, name: impl Into<Text>, chunk_bytes: usize, empty: bool) -> Self {
        let chunk_bytes = chunk_bytes.min(CHUNK_BYTES);
        Self { store, name: name.into(), chunk_bytes, empty, arena: Vec::new(), entries: Vec::new() }
    }

    /// Takes a record of one of the changelogs; of each changelog in the order of its offsets.
    pub fn push(&mut self, role: Role, record: &RecordRef<'_>) -> Result<()> {
        let start = self.arena.len();
        let stored = match record.key {
            Some(key) => {
                let entry = LogEntry { role, key, value: record.value, head: record.header(layout::HEADER) };
                layout::append_stored(&entry, &mut self.arena)
            }
            None => Err(Malformed("a record without a key".into())),
        };
        match stored {
            Ok(key_end) => {
                let end = record.value.map(|_| self.arena.len());
                self.entries.push(Entry { start, key_end, end });
                Ok(())
            }
            Err(Malformed(reason)) => {
                self.arena.truncate(start);
                let reason = format!("{reason} (`{}` {}, offset {})", record.topic, record.partition, record.offset);
                Err(Error::Unreadable { store: self.name.to_string(), reason })
            }
        }
    }

    /// Is it time to flush?
    pub fn is_full(&self) -> bool {
        self.arena.len() >= self.chunk_bytes
    }

    /// Writes what was taken, with the checkpoints that it reaches: for each changelog the offset after everything pushed so
    /// far, and nothing that was not. All or nothing; after an error the store has to be opened or cleared, and read again from
    /// its checkpoint.
    pub fn flush(&mut self, checkpoints: &[(Text, Checkpoint)]) -> Result<Flushed> {
        let chunk = Chunk { writes: self.take_writes()?, checkpoints: checkpoints.to_vec() };
        let bytes = chunk.writes.iter().map(|write| write.key.len() + write.value.as_ref().map_or(0, Bytes::len)).sum();
        let flushed = Flushed { entries: chunk.writes.len(), bytes };
        if bytes < INGEST_BYTES_MIN {
            self.store.apply(&Batch::from(chunk))?;
        } else {
            self.store.ingest(chunk)?;
        }
        self.empty &= flushed.entries == 0;
        Ok(flushed)
    }

    /// The last value of each key and what is derived from it, sorted by key.
    fn take_writes(&mut self) -> Result<Vec<Write>> {
        let arena = Bytes::from(std::mem::take(&mut self.arena));
        let mut entries = std::mem::take(&mut self.entries);
        let key = |entry: &Entry| &arena[entry.start..entry.key_end];
        // Stable: of equal keys the last one pushed comes last, and is the one kept.
        entries.sort_by(|a, b| key(a).cmp(key(b)));
        let indexed = self.indexed()?;
        let mut writes: Vec<Write> = Vec::with_capacity(entries.len());
        let mut derived = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            if entries.get(place + 1).is_some_and(|next| key(next) == key(entry)) {
                continue;
            }
            let value = entry.end.map(|end| arena.slice(entry.key_end..end));
            let (tag, rest) = layout::split(key(entry)).map_err(|error| self.unreadable(error))?;
            if let Some(index) = Index::of(tag) {
                let new = match &value {
                    Some(value) => index::moment(tag, value).map_err(|error| self.unreadable(error))?,
                    None => None,
                };
                let old = if indexed[index as usize] { self.moment_of(tag, key(entry))? } else { None };
                index.writes(rest, old, new, &mut |write| derived.push(write));
            }
            writes.push(Write { key: arena.slice(entry.start..entry.key_end), value });
        }
        if !derived.is_empty() {
            writes.append(&mut derived);
            writes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        }
        Ok(writes)
    }

    /// Which indexes the store has entries of: without one, what a row replaces has no entry that would have to go.
    fn indexed(&self) -> Result<[bool; Index::ALL.len()]> {
        let mut indexed = [false; Index::ALL.len()];
        if self.empty {
            return Ok(indexed);
        }
        for index in Index::ALL {
            self.store.scan(&index.range(0, Millis::MAX), &mut |_, _| {
                indexed[index as usize] = true;
                false
            })?;
        }
        Ok(indexed)
    }

    /// The moment by which an index has the row that is in the store under a key.
    fn moment_of(&self, tag: Tag, key: &[u8]) -> Result<Option<Millis>> {
        let Some(stored) = self.store.get(key)? else { return Ok(None) };
        index::moment(tag, &stored).map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, Malformed(reason): Malformed) -> Error {
        Error::Unreadable { store: self.name.to_string(), reason }
    }
}

/// Holds the indexes by time against the rows: each row that has a moment has its entry, and no entry is without its row. Reads
/// both in full.
pub fn check_derived(store: &dyn Store, name: &str) -> Result<()> {
    Index::ALL.into_iter().try_for_each(|index| check_index(store, name, index))
}

fn check_index(store: &dyn Store, name: &str, index: Index) -> Result<()> {
    let damaged = |reason: String| Error::Damaged { store: name.into(), reason };
    let tag = index.tag();
    let (mut rows, mut wrong) = (0_usize, None);
    store.scan(&tag.range(&[]), &mut |_, stored| {
        match index::moment(tag, stored) {
            Ok(moment) => rows += usize::from(moment.is_some()),
            Err(error) => wrong = Some(error),
        }
        wrong.is_none()
    })?;
    if let Some(Malformed(reason)) = wrong {
        return Err(damaged(reason));
    }
    let (mut from, to) = index.range(0, Millis::MAX);
    loop {
        let mut page: Vec<Bytes> = Vec::new();
        store.scan(&(from, to.clone()), &mut |key, _| {
            page.push(Bytes::copy_from_slice(key));
            page.len() < PAGE
        })?;
        for key in &page {
            let (at, rest) = index.read_key(key).map_err(|error| damaged(error.0))?;
            let stored = store.get(&tag.key(rest))?;
            let moment = stored.map(|stored| index::moment(tag, &stored)).transpose().map_err(|error| damaged(error.0))?;
            if moment.flatten().map(|moment| moment.max(0)) != Some(at) {
                return Err(damaged(format!("the moment of a row is {moment:?}, its index says {at}")));
            }
            rows =
                rows.checked_sub(1).ok_or_else(|| damaged("an index by time has more entries than there are rows".into()))?;
        }
        match page.pop() {
            Some(last) => from = Bound::Excluded(last),
            None if rows == 0 => return Ok(()),
            None => return Err(damaged(format!("{rows} rows are not in their index by time"))),
        }
    }
}

//! Stores on disk: one fjall database per topology of a worker, one keyspace per store.
//!
//! What fjall gives, and what is made of it (3.1):
//!
//! - A write batch goes through one journal: after a crash of the process all of it is there, or nothing; after a crash of the
//!   machine a suffix of batches may be gone. The checkpoint is an entry of the same batch, so a store is always right for its
//!   checkpoint.
//! - Ingestion writes sorted tables and makes them visible by one change of the keyspace's version, fsynced: all or nothing,
//!   checkpoint included, and newer than everything applied before it.
//! - `Keyspace::clear` is not used: its journal entry is replayed at the next open over tables ingested after it, which then are
//!   gone while later batches, checkpoint and all, are there. A store is emptied by a new keyspace of the same name.
//! - A failed write poisons the database for good. The next write opens it anew, once there is room again; reads go on
//!   meanwhile.
//! - Memtables are rotated here: fjall keeps the bound that a keyspace was created with, but the number of stores that share
//!   the memory changes with every rebalance.

mod database;
mod error;
#[cfg(test)]
mod tests;

use super::layout::{self, meta};
use super::store::{is_empty, refuse_falling};
use super::{Batch, Checkpoint, Chunk, Error, KeyRange, Result, Store, StoreName, Stores, Write};
use crate::record::{Partition, Text};
use bytes::Bytes;
use database::{Shared, open_or_set_aside};
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory for the memtables of all stores together, where they hold little.
const MEMTABLES_BYTES: u64 = 24 << 20;
/// The same where they hold much: small memtables are merged into what is there more often, which costs the more the more there is.
const MEMTABLES_BYTES_MAX: u64 = 64 << 20;
/// A memtable may have this part of its store's files, within those bounds.
const MEMTABLE_PART: u64 = 4;
/// Memory of an entry of a memtable beside its key and its value, roughly: a node of a skip list, two handles, an allocation.
const ENTRY_BYTES: usize = 160;
/// Each store may fill at least so much.
const MEMTABLE_BYTES_MIN: u64 = 1 << 20;
/// Longest key of a fjall keyspace.
const KEY_MAX: usize = u16::MAX as usize;

/// The stores of a worker, on disk.
#[derive(Debug)]
pub struct Disk {
    shared: Arc<Shared>,
}

impl Disk {
    /// Opens the database in a directory, made if it is missing; one process at a time.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { shared: Arc::new(Shared::open(path)?) })
    }

    /// The same, but a database that is damaged as a whole is moved aside, and all its stores start empty. Tells why, then.
    ///
    /// One damaged database is kept for a look at it, under `<path>.damaged`; the one before goes.
    pub fn open_or_set_aside(path: &Path) -> Result<(Self, Option<Error>)> {
        let (database, why) = open_or_set_aside(path)?;
        Ok((Self { shared: Arc::new(Shared::over(path, database)) }, why))
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        self.shared.size_bytes()
    }
}

impl Stores for Disk {
    fn open(&self, name: &StoreName, partition: Partition) -> Result<Arc<dyn Store>> {
        let name = name.of_partition(partition)?;
        let place = self.shared.place(&name)?;
        self.shared.live.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(DiskStore { shared: self.shared.clone(), place, name, since_rotation: AtomicU64::new(0) }))
    }

    /// What was in the store is deleted: it lies among the database's files and cannot be moved out of it.
    fn set_aside(&self, name: &StoreName, partition: Partition) -> Result<()> {
        let name = name.of_partition(partition)?;
        self.shared.renew(&name)
    }

    fn persist(&self) -> Result<()> {
        self.shared.persist()
    }

    fn rotate(&self) -> Result<()> {
        self.shared.rotate_all()
    }
}

struct DiskStore {
    shared: Arc<Shared>,
    place: usize,
    name: String,
    /// Bytes applied since its memtable was rotated.
    since_rotation: AtomicU64,
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.shared.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DiskStore {
    fn check(&self, writes: &[Write], checkpoints: &[(Text, Checkpoint)]) -> Result<()> {
        if let Some(write) = writes.iter().find(|write| write.key.is_empty() || write.key.len() > KEY_MAX) {
            let reason = format!("a key of {} bytes", write.key.len());
            return Err(Error::Refused { store: self.name.clone(), code: "TOO_LARGE", reason });
        }
        refuse_falling(&self.name, checkpoints, &|changelog| self.checkpoint(changelog))
    }

    /// Keeps all memtables together within their bound. A table that still waits to be written is waited for by letting this one
    /// grow: never by blocking, because the one who waits is the worker's loop.
    fn rotate_when_full(&self, added: usize) {
        let stores = self.shared.live.load(Ordering::Relaxed).max(1) as u64;
        let [least, most] = [MEMTABLES_BYTES, MEMTABLES_BYTES_MAX].map(|bytes| (bytes / stores).max(MEMTABLE_BYTES_MIN));
        let bytes = self.since_rotation.fetch_add(added as u64, Ordering::Relaxed) + added as u64;
        if bytes < least || bytes < most && bytes < self.size_bytes() / MEMTABLE_PART {
            return;
        }
        if self.shared.rotate(self.place) {
            self.since_rotation.store(0, Ordering::Relaxed);
        }
    }
}

/// The same range with bounds that fjall takes: between a key and what is longer than any key beginning with it lies nothing.
fn shortened((from, to): &KeyRange) -> KeyRange {
    let short = |key: &Bytes| key.slice(..KEY_MAX);
    let from = match from {
        Bound::Included(key) | Bound::Excluded(key) if key.len() > KEY_MAX => Bound::Excluded(short(key)),
        from => from.clone(),
    };
    let to = match to {
        Bound::Included(key) | Bound::Excluded(key) if key.len() > KEY_MAX => Bound::Included(short(key)),
        to => to.clone(),
    };
    (from, to)
}

impl Store for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        // Longer ones cannot have been written, and asking for them panics.
        if key.len() > KEY_MAX {
            return Ok(None);
        }
        self.shared.read(self.place, |keyspace| Ok(keyspace.get(key)?.map(|value| Bytes::copy_from_slice(&value))))
    }

    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<()> {
        let range = shortened(range);
        if is_empty(&range) {
            return Ok(());
        }
        let (from, to) = (range.0.as_ref().map(|key| &key[..]), range.1.as_ref().map(|key| &key[..]));
        self.shared.read(self.place, |keyspace| {
            for guard in keyspace.range::<&[u8], _>((from, to)) {
                let (key, value) = guard.into_inner()?;
                if !each(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        self.check(&batch.writes, &batch.checkpoints)?;
        self.shared.write(self.place, &batch.checkpoints, |database, keyspace| {
            let mut writes =
                fjall::OwnedWriteBatch::with_capacity(database.clone(), batch.writes.len() + batch.checkpoints.len());
            // In key order: the memtable searches the place of each, and that of a neighbour lies in the processor's cache.
            let mut in_order: Vec<&Write> = batch.writes.iter().collect();
            in_order.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            for write in in_order {
                match &write.value {
                    Some(value) => writes.insert(keyspace, &write.key[..], &value[..]),
                    None => writes.remove(keyspace, &write.key[..]),
                }
            }
            for (changelog, checkpoint) in &batch.checkpoints {
                writes.insert(keyspace, meta::checkpoint_key(changelog), meta::checkpoint_value(checkpoint));
            }
            // To the operating system: a crash of the process loses nothing, one of the machine a suffix.
            writes.durability(Some(fjall::PersistMode::Buffer)).commit()
        })?;
        let size = |write: &Write| ENTRY_BYTES + write.key.len() + write.value.as_ref().map_or(0, Bytes::len);
        self.rotate_when_full(batch.writes.iter().map(size).sum());
        Ok(())
    }

    fn ingest(&self, chunk: Chunk) -> Result<()> {
        assert!(chunk.writes.is_sorted_by(|a, b| a.key < b.key), "a chunk is sorted by key, each key once");
        self.check(&chunk.writes, &chunk.checkpoints)?;
        let mut checkpoints: Vec<_> = chunk
            .checkpoints
            .iter()
            .map(|(changelog, checkpoint)| (meta::checkpoint_key(changelog), meta::checkpoint_value(checkpoint)))
            .collect();
        checkpoints.sort();
        if let (Some((last, _)), Some(first)) = (checkpoints.last(), chunk.writes.first()) {
            assert!(last[..] < first.key[..], "a chunk does not write what a store knows about itself");
        }
        self.shared.write(self.place, &chunk.checkpoints, |_, keyspace| {
            let mut ingestion = keyspace.start_ingestion()?;
            for (key, value) in &checkpoints {
                ingestion.write(&key[..], &value[..])?;
            }
            for write in &chunk.writes {
                match &write.value {
                    Some(value) => ingestion.write(&write.key[..], &value[..])?,
                    None => ingestion.write_tombstone(&write.key[..])?,
                }
            }
            ingestion.finish()
        })
    }

    fn checkpoint(&self, changelog: &str) -> Result<Option<Checkpoint>> {
        match self.get(&meta::checkpoint_key(changelog))? {
            Some(stored) => meta::read_checkpoint(&stored)
                .map(Some)
                .map_err(|layout::Malformed(reason)| Error::Damaged { store: self.name.clone(), reason }),
            None => Ok(None),
        }
    }

    fn clear(&self) -> Result<()> {
        self.shared.renew(&self.name)
    }

    fn size_bytes(&self) -> u64 {
        self.shared.read(self.place, |keyspace| Ok(keyspace.disk_space())).unwrap_or(0)
    }
}

//! Stores in memory: gone with the process, restored from the changelog on every start.

use super::contents::Contents;
use super::store::refuse_falling;
use super::{Batch, Checkpoint, Chunk, Error, KeyRange, Result, Store, StoreName, Stores};
use crate::record::Partition;
use crate::sync;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

/// The stores of a worker, in memory. A store lives until it is set aside, so that a task that returns finds it.
#[derive(Debug, Default)]
pub struct Memory {
    stores: Mutex<HashMap<String, Arc<MemoryStore>>>,
}

#[derive(Debug)]
struct MemoryStore {
    name: String,
    contents: RwLock<Contents>,
}

impl Memory {
    /// No store yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Stores for Memory {
    fn open(&self, name: &StoreName, partition: Partition) -> Result<Arc<dyn Store>> {
        let key = name.of_partition(partition)?;
        let mut stores = sync::lock(&self.stores);
        let store = stores
            .entry(key)
            .or_insert_with_key(|name| Arc::new(MemoryStore { name: name.clone(), contents: RwLock::default() }));
        Ok(store.clone())
    }

    fn set_aside(&self, name: &StoreName, partition: Partition) -> Result<()> {
        sync::lock(&self.stores).remove(&name.of_partition(partition)?);
        Ok(())
    }

    fn persist(&self) -> Result<()> {
        Ok(())
    }

    fn rotate(&self) -> Result<()> {
        Ok(())
    }
}

impl MemoryStore {
    fn read<R>(&self, read: impl FnOnce(&Contents) -> R) -> R {
        read(&sync::read(&self.contents))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        refuse_falling(&self.name, &batch.checkpoints, &|changelog| self.checkpoint(changelog))?;
        // Once per epoch; readers wait for as long as it takes to move the writes in.
        sync::write(&self.contents).write(batch);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.read(|contents| contents.get(key)))
    }

    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<()> {
        self.read(|contents| contents.scan(range, each));
        Ok(())
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        self.write(batch)
    }

    fn ingest(&self, chunk: Chunk) -> Result<()> {
        self.write(&chunk.into())
    }

    fn checkpoint(&self, changelog: &str) -> Result<Option<Checkpoint>> {
        self.read(|contents| contents.checkpoint(changelog))
            .map_err(|error| Error::Damaged { store: self.name.clone(), reason: error.0 })
    }

    fn clear(&self) -> Result<()> {
        *sync::write(&self.contents) = Contents::default();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.read(|contents| contents.size_bytes() as u64)
    }
}

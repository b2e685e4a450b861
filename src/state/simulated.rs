//! The disk of the simulation: survives a crash in this process, and may lose the end of what was not made durable.
//!
//! It behaves as the real one does in the worst case. Batches of all its stores go through one journal; a crash keeps the journal
//! up to some batch, never a part of one. Ingestion is durable at once, and makes durable what was applied to its store before.
//! Deterministic: what is lost is told by the caller, who draws it from the seed.

use super::contents::Contents;
use super::store::refuse_falling;
use super::{Batch, Checkpoint, Chunk, Error, KeyRange, Result, Store, StoreName, Stores};
use crate::record::Partition;
use crate::sync::lock;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A simulated disk; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What a crash cannot touch.
    durable: BTreeMap<String, Contents>,
    /// What reads see.
    seen: BTreeMap<String, Contents>,
    /// Applied and not durable yet, in order, over all stores.
    journal: Vec<(String, Batch)>,
    /// Crashes so far: a store opened before the last one belongs to a dead process.
    crashes: u64,
    full: bool,
}

#[derive(Debug)]
struct SimulatedStore {
    state: Arc<Mutex<State>>,
    name: String,
    crashes: u64,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Batches that a crash may lose.
    pub fn at_risk(&self) -> usize {
        self.lock().journal.len()
    }

    /// The process dies: of the batches at risk the first `kept` survive. Its stores must not be used any more; opened again,
    /// they hold what survived. A crash of the process alone keeps all of them, one of the machine any number.
    pub fn crash(&self, kept: usize) {
        let mut state = self.lock();
        state.journal.truncate(kept);
        state.settle(None);
        state.seen = state.durable.clone();
        state.crashes += 1;
    }

    /// From now on every write meets a full disk, or none does.
    pub fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Makes durable what was applied, to one store or to all.
    fn settle(&mut self, only: Option<&str>) {
        for (name, batch) in std::mem::take(&mut self.journal) {
            if only.is_none_or(|only| only == name) {
                self.durable.entry(name).or_default().write(&batch);
            } else {
                self.journal.push((name, batch));
            }
        }
    }
}

impl Stores for SimulatedDisk {
    fn open(&self, name: &StoreName, partition: Partition) -> Result<Arc<dyn Store>> {
        let name = name.of_partition(partition)?;
        let mut state = self.lock();
        state.seen.entry(name.clone()).or_default();
        Ok(Arc::new(SimulatedStore { state: self.state.clone(), name, crashes: state.crashes }))
    }

    fn set_aside(&self, name: &StoreName, partition: Partition) -> Result<()> {
        self.open(name, partition)?.clear()
    }

    fn persist(&self) -> Result<()> {
        self.lock().settle(None);
        Ok(())
    }

    fn rotate(&self) -> Result<()> {
        self.persist()
    }
}

impl SimulatedStore {
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = lock(&self.state);
        assert!(state.crashes == self.crashes, "store `{}` is used by a process that has crashed", self.name);
        state
    }

    fn lock_to_write(&self, batch: &Batch) -> Result<MutexGuard<'_, State>> {
        refuse_falling(&self.name, &batch.checkpoints, &|changelog| self.checkpoint(changelog))?;
        let state = self.lock();
        if state.full { Err(Error::Full { store: self.name.clone() }) } else { Ok(state) }
    }
}

impl Store for SimulatedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.lock().seen.get(&self.name).and_then(|contents| contents.get(key)))
    }

    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<()> {
        if let Some(contents) = self.lock().seen.get(&self.name) {
            contents.scan(range, each);
        }
        Ok(())
    }

    fn apply(&self, batch: &Batch) -> Result<()> {
        let mut state = self.lock_to_write(batch)?;
        state.seen.entry(self.name.clone()).or_default().write(batch);
        state.journal.push((self.name.clone(), batch.clone()));
        Ok(())
    }

    fn ingest(&self, chunk: Chunk) -> Result<()> {
        let batch = Batch::from(chunk);
        let mut state = self.lock_to_write(&batch)?;
        state.settle(Some(&self.name));
        state.seen.entry(self.name.clone()).or_default().write(&batch);
        state.durable.entry(self.name.clone()).or_default().write(&batch);
        Ok(())
    }

    fn checkpoint(&self, changelog: &str) -> Result<Option<Checkpoint>> {
        let state = self.lock();
        let found = state.seen.get(&self.name).map(|contents| contents.checkpoint(changelog)).transpose();
        found.map(Option::flatten).map_err(|error| Error::Damaged { store: self.name.clone(), reason: error.0 })
    }

    fn clear(&self) -> Result<()> {
        let mut state = self.lock();
        state.journal.retain(|(name, _)| *name != self.name);
        state.durable.remove(&self.name);
        state.seen.remove(&self.name);
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.lock().seen.get(&self.name).map_or(0, |contents| contents.size_bytes() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Write;
    use crate::state::layout::FORMAT;

    fn batch(value: u8) -> Batch {
        let write = Write { key: Bytes::from_static(b"\x01k"), value: Some(vec![value].into()) };
        let checkpoint = Checkpoint { next_offset: value.into(), applied_at: 0, partitions: 1, format: FORMAT };
        Batch { writes: vec![write], checkpoints: vec![("log".into(), checkpoint)] }
    }

    fn reached(disk: &SimulatedDisk, name: &str) -> Option<(i64, u8)> {
        let store = disk.open(&StoreName::of_node(name), 0).expect("opens");
        let value = store.get(b"\x01k").expect("reads").map(|value| value[0]);
        let offset = store.checkpoint("log").expect("reads").map(|checkpoint| checkpoint.next_offset);
        offset.zip(value)
    }

    #[test]
    fn a_crash_loses_the_end_of_the_journal_over_all_stores() {
        let disk = SimulatedDisk::new();
        let open = |name| disk.open(&StoreName::of_node(name), 0).expect("opens");
        let (a, b) = (open("a"), open("b"));
        a.apply(&batch(1)).expect("applies");
        disk.persist().expect("persists");
        b.apply(&batch(2)).expect("applies");
        a.apply(&batch(3)).expect("applies");
        b.apply(&batch(4)).expect("applies");
        assert_eq!(disk.at_risk(), 3);
        disk.crash(1);
        assert_eq!((reached(&disk, "a"), reached(&disk, "b")), (Some((1, 1)), Some((2, 2))));
        assert_eq!(disk.at_risk(), 0);
    }

    #[test]
    fn what_was_ingested_survives_with_what_came_before_it() {
        let disk = SimulatedDisk::new();
        let open = |name| disk.open(&StoreName::of_node(name), 0).expect("opens");
        let (a, b) = (open("a"), open("b"));
        b.apply(&batch(1)).expect("applies");
        a.apply(&batch(2)).expect("applies");
        let Batch { writes, checkpoints } = batch(3);
        a.ingest(Chunk { writes, checkpoints }).expect("ingests");
        a.apply(&batch(4)).expect("applies");
        disk.crash(0);
        assert_eq!((reached(&disk, "a"), reached(&disk, "b")), (Some((3, 3)), None));
    }

    #[test]
    #[should_panic(expected = "used by a process that has crashed")]
    fn the_dead_do_not_write() {
        let disk = SimulatedDisk::new();
        let store = disk.open(&StoreName::of_node("a"), 0).expect("opens");
        disk.crash(0);
        let _ = store.apply(&batch(1));
    }

    #[test]
    fn a_full_disk_refuses_writes_and_goes_on_reading() {
        let disk = SimulatedDisk::new();
        let store = disk.open(&StoreName::of_node("a"), 0).expect("opens");
        store.apply(&batch(1)).expect("applies");
        disk.set_full(true);
        assert!(matches!(store.apply(&batch(2)), Err(Error::Full { .. })));
        assert_eq!(store.get(b"\x01k").expect("reads").as_deref(), Some(&[1][..]));
        disk.set_full(false);
        store.apply(&batch(2)).expect("the same batch again");
    }
}

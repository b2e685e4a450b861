//! The contract of a store and of the database that opens stores.

use super::error::NAME_MAX;
use super::{Error, Result};
use crate::record::{Millis, Offset, Partition, Text};
use bytes::Bytes;
use std::ops::Bound;
use std::sync::Arc;

/// Which store: a node, or a step of a pipeline, by the names that the user gave them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreName {
    /// Node.
    pub node: Text,
    /// Step, for a pipeline's stateful steps.
    pub step: Option<Text>,
}

impl StoreName {
    /// The store of an aggregate or another node without steps.
    pub fn of_node(node: impl Into<Text>) -> Self {
        Self { node: node.into(), step: None }
    }

    /// `<node>[.<step>].<partition>`: the store's name in its database. Names that could be mistaken for another store, or that
    /// do not fit, are refused.
    pub fn of_partition(&self, partition: Partition) -> Result<String> {
        check_name(&self.node)?;
        if let Some(step) = &self.step {
            check_name(step)?;
        }
        Ok(format!("{self}.{partition}"))
    }
}

/// Refuses what must not become part of a path or of a store's name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fits = !name.is_empty() && name.len() <= NAME_MAX;
    if fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        Ok(())
    } else {
        // A name of a megabyte is not repeated in full.
        Err(Error::Name { name: name.chars().take(NAME_MAX).collect() })
    }
}

/// Bounds that meet from the wrong sides: nothing lies between them, and a range over a map panics.
pub(super) fn is_empty(range: &KeyRange) -> bool {
    match range {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
    }
}

/// A checkpoint never falls, except with `clear`: what is written against what the store has reached.
pub(super) fn refuse_falling(
    store: &str,
    checkpoints: &[(Text, Checkpoint)],
    reached: &dyn Fn(&str) -> Result<Option<Checkpoint>>,
) -> Result<()> {
    for (changelog, next) in checkpoints {
        if let Some(last) = reached(changelog)?
            && last.next_offset > next.next_offset
        {
            return Err(Error::Damaged {
                store: store.into(),
                reason: format!(
                    "its checkpoint for `{changelog}` is at {}, and would fall to {}",
                    last.next_offset, next.next_offset
                ),
            });
        }
    }
    Ok(())
}

impl std::fmt::Display for StoreName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.step {
            Some(step) => write!(f, "{}.{step}", self.node),
            None => f.write_str(&self.node),
        }
    }
}

/// Where the stores of one worker live: one database on disk, or memory.
pub trait Stores: Send + Sync {
    /// Opens the store of a partition, empty where there was none. The same store may be opened again after it was dropped.
    fn open(&self, name: &StoreName, partition: Partition) -> Result<Arc<dyn Store>>;

    /// Sets a damaged store aside so that the next open finds an empty one. Only for [`super::Error::Damaged`].
    fn set_aside(&self, name: &StoreName, partition: Partition) -> Result<()>;

    /// Makes what was applied durable, to bound what a restart replays; correctness does not need it.
    fn persist(&self) -> Result<()>;

    /// Writes buffers out, so that the next open replays nothing; at the end of an orderly stop.
    fn rotate(&self) -> Result<()>;
}

/// A keyed map with ordered range scans, of one node and partition. Holds committed epochs only. Readable from any thread.
pub trait Store: Send + Sync {
    /// The bytes under a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>>;

    /// Entries in key order, as they were when the scan began, until `each` returns false. `each` must be quick and must not
    /// call the store: a writer may be waiting for it.
    fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<()>;

    /// Writes of one epoch, or of a piece of a changelog's tail, with the checkpoint inside: all or nothing. No fsync promised.
    /// A checkpoint that would fall back is [`super::Error::Damaged`]. After [`super::Error::Full`] the same batch is applied again.
    fn apply(&self, batch: &Batch) -> Result<()>;

    /// Entries of a restore in bulk: wins over what is older, loses to what is applied later; all or nothing, checkpoint inside.
    fn ingest(&self, chunk: Chunk) -> Result<()>;

    /// What the store has reached; `None` for one that was never written.
    fn checkpoint(&self, changelog: &str) -> Result<Option<Checkpoint>>;

    /// Empties the store, checkpoint included.
    fn clear(&self) -> Result<()>;

    /// Bytes that it takes, roughly: for a metric.
    fn size_bytes(&self) -> u64;
}

/// A range of keys in byte order.
pub type KeyRange = (Bound<Bytes>, Bound<Bytes>);

impl From<Chunk> for Batch {
    fn from(chunk: Chunk) -> Self {
        Self { writes: chunk.writes, checkpoints: chunk.checkpoints }
    }
}

/// A write: bytes under a key, or none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Key, its tag included.
    pub key: Bytes,
    /// `None` deletes.
    pub value: Option<Bytes>,
}

/// Writes that belong together, and what the store has reached with them.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In any order; a key at most once.
    pub writes: Vec<Write>,
    /// By changelog topic.
    pub checkpoints: Vec<(Text, Checkpoint)>,
}

/// A piece of a restore: writes sorted by key, each key once.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Sorted by key.
    pub writes: Vec<Write>,
    /// By changelog topic.
    pub checkpoints: Vec<(Text, Checkpoint)>,
}

/// How far a store has followed a changelog partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Next changelog offset that is not in the store yet.
    pub next_offset: Offset,
    /// Wall time of the write; a store that is older than half of `delete.retention.ms` may have missed tombstones.
    pub applied_at: Millis,
    /// Partition count of the changelog then.
    pub partitions: u32,
    /// Version of the layout in the store.
    pub format: u16,
}

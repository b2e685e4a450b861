//! Brings stores up to date from their changelogs.
//!
//! A restore ends when its position has reached the end that was taken after the committed offsets were known to be stable: then
//! it covers every epoch whose offsets it starts from. Only committed records are read, in slices, beside running tasks. What is
//! written to a store carries the checkpoint that it belongs to, so a crash anywhere leaves a store that goes on from there.

use super::crash::point;
use crate::broker::{Limit, LogReader, Trouble};
use crate::record::{Millis, Offset, RecordRef, Text, TopicPartition};
use crate::state::layout::{self, LogEntry, Role, Tag, mark};
use crate::state::{Batch, Checkpoint, Chunk, Store, Write};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A tail is applied in batches of this size.
const TAIL_BYTES: usize = 1 << 20;
/// Most records of one slice.
const SLICE_RECORDS: usize = 20_000;

/// The changelog of a store that is being read.
pub(super) struct Job {
    /// Task, by index, and its store, by index.
    pub(super) task: usize,
    pub(super) store: usize,
    pub(super) changelog: TopicPartition,
    pub(super) role: Role,
    /// Where reading begins.
    pub(super) from: Offset,
    /// Where it ends.
    pub(super) end: Offset,
    /// Partitions of the changelog, for the checkpoint.
    pub(super) partitions: u32,
    /// The store was empty: bulk ingestion of sorted chunks, instead of batches.
    pub(super) filling: bool,
    pub(super) target: Arc<dyn Store>,
}

struct Reading {
    job: Job,
    position: Offset,
    pending: Pending,
    /// Something was handed to the store, so it is not empty any more.
    wrote: bool,
    done: bool,
}

/// Entries that were read and not yet handed to the store.
#[derive(Default)]
struct Pending {
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

struct Entry {
    key: Range<usize>,
    value: Option<Range<usize>>,
}

/// All changelogs that are being read by this thread.
pub(super) struct Restore {
    reader: Box<dyn LogReader>,
    readings: Vec<Reading>,
    /// What the reader reads is not what `readings` say.
    stale: bool,
    chunk_bytes: usize,
}

/// What came of a slice.
pub(super) struct Slice {
    /// Records read, by task.
    pub(super) read: Vec<(usize, u64)>,
    /// Tasks and stores whose changelog was read to its end.
    pub(super) finished: Vec<Finished>,
    /// Tasks some of whose changelogs moved on.
    pub(super) moved: Vec<usize>,
}

/// A changelog that was read to its end.
pub(super) struct Finished {
    pub(super) task: usize,
    pub(super) store: usize,
    pub(super) changelog: TopicPartition,
    pub(super) next_offset: Offset,
}

/// Why a slice was not completed.
pub(super) enum Failed {
    /// A changelog cannot be read.
    Log { task: usize, trouble: Trouble },
    /// A store cannot be written, or a changelog holds what no engine wrote.
    Store { task: usize, store: usize, error: crate::state::Error },
    /// The worker cannot go on.
    Fatal(super::Error),
}

impl Restore {
    pub(super) fn new(reader: Box<dyn LogReader>, chunk_bytes: usize) -> Self {
        Self { reader, readings: Vec::new(), stale: false, chunk_bytes }
    }

    pub(super) fn add(&mut self, job: Job) {
        let (position, pending) = (job.from, Pending::default());
        self.readings.push(Reading { job, position, pending, wrote: false, done: false });
        self.stale = true;
    }

    /// Forgets the changelogs of a task, or of all.
    pub(super) fn forget(&mut self, task: Option<usize>) {
        self.readings.retain(|reading| task.is_some_and(|task| task != reading.job.task));
        self.stale = true;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.readings.is_empty()
    }

    /// Reads for a while.
    pub(super) fn slice(&mut self, time: Duration, now: Millis) -> std::result::Result<Slice, Failed> {
        let mut slice = Slice { read: Vec::new(), finished: Vec::new(), moved: Vec::new() };
        self.assign()?;
        let before: Vec<Offset> = self.readings.iter().map(|reading| reading.position).collect();
        let readings = &mut self.readings;
        let chunk_bytes = self.chunk_bytes;
        let mut failed = None;
        let limit = Limit { records: SLICE_RECORDS, time };
        let polled = self.reader.poll(limit, &mut |record| {
            let at = readings.iter().position(|reading| {
                reading.job.changelog.partition == record.partition && reading.job.changelog.topic == record.topic
            });
            let Some(reading) = at.map(|at| &mut readings[at]).filter(|reading| !reading.done && failed.is_none()) else {
                return;
            };
            if let Err(error) = reading.take(&record, chunk_bytes, now) {
                failed = Some(error);
            }
            match slice.read.iter_mut().find(|(task, _)| *task == reading.job.task) {
                Some((_, read)) => *read += 1,
                None => slice.read.push((reading.job.task, 1)),
            }
        });
        if let Some(failed) = failed {
            // Records that came after the failure were not taken: the others go on from where they really are.
            self.stale = true;
            return Err(failed);
        }
        if let Err(trouble) = polled {
            self.stale = true;
            let task = self.readings.iter().find(|reading| {
                reading.job.changelog.topic == trouble.input.topic
                    && (trouble.input.partition < 0 || reading.job.changelog.partition == trouble.input.partition)
            });
            let Some(task) = task.map(|reading| reading.job.task) else { return Ok(slice) };
            return Err(Failed::Log { task, trouble });
        }
        for (reading, before) in self.readings.iter_mut().zip(before) {
            if reading.done {
                continue;
            }
            // Passes control markers and aborted records, which nobody hands over.
            reading.position = reading.position.max(self.reader.position(&reading.job.changelog));
            if reading.position > before {
                slice.moved.push(reading.job.task);
            }
            if reading.position >= reading.job.end {
                reading.finish(now)?;
                slice.finished.push(Finished {
                    task: reading.job.task,
                    store: reading.job.store,
                    changelog: reading.job.changelog.clone(),
                    next_offset: reading.position,
                });
                self.stale = true;
            }
        }
        self.readings.retain(|reading| !reading.done);
        Ok(slice)
    }

    /// Lets the reader read what is still wanted, from where it is.
    fn assign(&mut self) -> std::result::Result<(), Failed> {
        if !std::mem::take(&mut self.stale) {
            return Ok(());
        }
        let from: Vec<(TopicPartition, Offset)> =
            self.readings.iter().map(|reading| (reading.job.changelog.clone(), reading.position)).collect();
        self.reader.assign(&from).map_err(|error| Failed::Fatal(super::Error::Broker(error)))
    }
}

impl Reading {
    fn take(&mut self, record: &RecordRef<'_>, chunk_bytes: usize, now: Millis) -> std::result::Result<(), Failed> {
        let Some(key) = record.key else {
            // A compacted topic takes no record without a key; whatever it is, no engine wrote it.
            return Ok(());
        };
        let entry = LogEntry { role: self.job.role, key, value: record.value, head: record.header(layout::HEADER) };
        let start = self.pending.arena.len();
        match layout::append_stored(&entry, &mut self.pending.arena) {
            Ok(key_end) => {
                let end = self.pending.arena.len();
                self.pending.entries.push(Entry { key: start..key_end, value: record.value.map(|_| key_end..end) });
            }
            Err(error) => {
                self.pending.arena.truncate(start);
                let store = self.job.changelog.to_string();
                let reason = format!("offset {}: {error}", record.offset);
                return Err(self.failed(crate::state::Error::Unreadable { store, reason }));
            }
        }
        self.position = record.offset + 1;
        let bound = if self.job.filling { chunk_bytes } else { TAIL_BYTES };
        if self.pending.arena.len() >= bound {
            point("c02").map_err(Failed::Fatal)?;
            self.flush(now)?;
        }
        Ok(())
    }

    fn finish(&mut self, now: Millis) -> std::result::Result<(), Failed> {
        assert!(self.position >= self.job.end, "a restore ends at the end that was taken");
        point("c02").map_err(Failed::Fatal)?;
        // Also when nothing is left: the checkpoint says that the store has followed so far.
        self.flush(now)?;
        self.done = true;
        Ok(())
    }

    /// Hands what was read to the store, each key once, with the checkpoint.
    fn flush(&mut self, now: Millis) -> std::result::Result<(), Failed> {
        let writes = match self.pending.take_writes(&*self.job.target, self.job.filling && !self.wrote) {
            Ok(writes) => writes,
            Err(error) => return Err(self.failed(error)),
        };
        let checkpoint =
            Checkpoint { next_offset: self.position, applied_at: now, partitions: self.job.partitions, format: layout::FORMAT };
        let checkpoints: Vec<(Text, Checkpoint)> = vec![(self.job.changelog.topic.clone(), checkpoint)];
        let result = if self.job.filling {
            self.job.target.ingest(Chunk { writes, checkpoints })
        } else {
            self.job.target.apply(&Batch { writes, checkpoints })
        };
        if let Err(error) = result {
            return Err(self.failed(error));
        }
        self.wrote = true;
        point("c03").map_err(Failed::Fatal)
    }

    fn failed(&self, error: crate::state::Error) -> Failed {
        Failed::Store { task: self.job.task, store: self.job.store, error }
    }
}

impl Pending {
    /// The last write of each key, sorted by key, with the index entries that go with marks.
    fn take_writes(&mut self, store: &dyn Store, store_is_empty: bool) -> crate::state::Result<Vec<Write>> {
        let arena = Bytes::from(std::mem::take(&mut self.arena));
        let mut entries = std::mem::take(&mut self.entries);
        // Stable: of one key the last one read stays last.
        entries.sort_by(|a, b| arena[a.key.clone()].cmp(&arena[b.key.clone()]));
        let mut writes: Vec<Write> = Vec::with_capacity(entries.len());
        for entry in entries {
            let write = Write { key: arena.slice(entry.key), value: entry.value.map(|range| arena.slice(range)) };
            match writes.last_mut() {
                Some(last) if last.key == write.key => *last = write,
                _ => writes.push(write),
            }
        }
        let mut derived = Vec::new();
        for write in writes.iter().filter(|write| write.key.first() == Some(&(Tag::Mark as u8))) {
            let old = if store_is_empty { None } else { store.get(&write.key)? };
            let expiry = |value: Option<&Bytes>| {
                value
                    .map(|value| mark::expires_at(value))
                    .transpose()
                    .map_err(|error| crate::state::Error::Damaged { store: "mark".into(), reason: error.to_string() })
            };
            let (old, new) = (expiry(old.as_ref())?, expiry(write.value.as_ref())?);
            layout::index_writes(&write.key[1..], old, new, &mut |write| derived.push(write));
        }
        if !derived.is_empty() {
            // Index entries sort behind all marks; among themselves they are sorted here.
            derived.sort_by(|a, b| a.key.cmp(&b.key));
            writes.append(&mut derived);
        }
        Ok(writes)
    }
}

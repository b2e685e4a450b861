//! Brings stores up to date from their changelogs, beside running tasks.
//!
//! A restore ends when its position has reached the end that was taken after the committed offsets were known to be stable: then
//! it covers every epoch whose offsets it starts from. Only committed records are read. What is written to a store carries the
//! checkpoint that it belongs to, so a crash anywhere leaves a store that goes on from there.

use super::crash::point;
use crate::broker::{Limit, LogReader, Span, Trouble};
use crate::clock::Clock;
use crate::record::{Millis, Offset, RecordRef, Text, TopicPartition};
use crate::state::layout::{self, Role};
use crate::state::restore::Fill;
use crate::state::{self, Checkpoint, Store};
use std::sync::Arc;
use std::time::Duration;

/// Most records of one slice.
const SLICE_RECORDS: usize = 20_000;

/// A reader that had nothing is looked at again after so long.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A store and what is to be read for it.
pub(super) struct Job {
    /// Task, by index.
    pub(super) task: usize,
    /// Store, by index among the task's.
    pub(super) store: usize,
    pub(super) fill: Fill,
    pub(super) logs: Vec<Log>,
    /// For checks at the end.
    pub(super) target: Arc<dyn Store>,
    /// Records taken that were not told yet.
    pub(super) read: u64,
    /// A position has moved, and that was not told yet.
    pub(super) moved: bool,
}

/// A changelog partition of a store.
pub(super) struct Log {
    pub(super) changelog: TopicPartition,
    pub(super) role: Role,
    /// Next offset to be read.
    pub(super) position: Offset,
    /// Where reading ends.
    pub(super) end: Offset,
    /// Partitions of the topic, for the checkpoint.
    pub(super) partitions: u32,
}

/// All stores that are being restored by this thread.
pub(super) struct Restore {
    reader: Box<dyn LogReader>,
    jobs: Vec<Job>,
    /// What the reader reads is not what the jobs want.
    stale: bool,
    /// The next slice may find something at once.
    busy: bool,
}

/// What came of a slice.
#[derive(Default)]
pub(super) struct Slice {
    /// Records read, by task.
    pub(super) read: Vec<(usize, u64)>,
    /// Tasks some of whose changelogs moved on.
    pub(super) moved: Vec<usize>,
    /// Stores that are up to date.
    pub(super) finished: Vec<Job>,
    /// A store that could not be finished.
    pub(super) failed: Option<Failed>,
}

/// Why a slice was not completed.
pub(super) enum Failed {
    /// A changelog cannot be read.
    Log { task: usize, trouble: Trouble },
    /// A store cannot be written, or a changelog holds what no engine wrote.
    Store { task: usize, store: usize, error: state::Error },
    /// The worker cannot go on.
    Fatal(super::Error),
}

impl From<super::Error> for Failed {
    fn from(error: super::Error) -> Self {
        Self::Fatal(error)
    }
}

impl Restore {
    pub(super) fn new(reader: Box<dyn LogReader>) -> Self {
        Self { reader, jobs: Vec::new(), stale: false, busy: false }
    }

    pub(super) fn add(&mut self, job: Job) {
        self.jobs.push(job);
        self.stale = true;
        self.busy = true;
    }

    /// Forgets the stores of a task, or of all.
    pub(super) fn forget(&mut self, task: Option<usize>) {
        self.jobs.retain(|job| task.is_some_and(|task| task != job.task));
        self.stale = true;
    }

    pub(super) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Is something to be read now, as far as is known? When not, looking again in [`LOOK_AGAIN`] is soon enough: nothing wakes
    /// the loop when there is something to be read.
    pub(super) fn is_busy(&self) -> bool {
        self.busy && !self.jobs.is_empty()
    }

    /// Is a store of this task being restored?
    pub(super) fn has(&self, task: usize) -> bool {
        self.jobs.iter().any(|job| job.task == task)
    }

    /// Does a task have to read more than is stable now?
    pub(super) fn is_held_up(&self, task: usize, stable: &[(TopicPartition, Span)]) -> bool {
        let stable_end = |log: &Log| stable.iter().find(|(partition, _)| *partition == log.changelog).map(|(_, span)| span.end);
        let logs = self.jobs.iter().filter(|job| job.task == task).flat_map(|job| &job.logs);
        logs.filter(|log| log.position < log.end).any(|log| stable_end(log).is_some_and(|end| end < log.end))
    }

    /// Reads what is there, for a while; does not wait for more.
    pub(super) fn slice(&mut self, time: Duration, clock: &dyn Clock) -> Result<Slice, Failed> {
        let (began, now) = (clock.mono(), clock.wall());
        self.busy = false;
        self.assign()?;
        let (jobs, mut failed) = (&mut self.jobs, None);
        // Records come in runs of one log: the job and the log of the last one.
        let (mut last, mut taken) = ((0, 0), 0);
        let polled = loop {
            let before = taken;
            let limit = Limit { records: SLICE_RECORDS - taken, time: Duration::ZERO };
            let polled = self.reader.poll(limit, &mut |record| {
                taken += 1;
                if failed.is_none()
                    && let Some(place) = find(jobs, last, &record)
                {
                    last = place;
                    failed = jobs[place.0].take(place.1, &record, now).err();
                }
            });
            let is_over = taken == before || taken >= SLICE_RECORDS || clock.mono() >= began + time;
            if is_over || failed.is_some() || polled.is_err() {
                break polled;
            }
        };
        self.busy = taken > 0;
        let mut slice = Slice::default();
        // Records that came after a failure were not taken: the others go on from where they really are.
        self.stale = failed.is_some() || polled.is_err();
        if let Some(failed) = failed {
            return Err(failed);
        }
        if let Err(trouble) = polled {
            let hit = |log: &Log| {
                log.changelog.topic == trouble.input.topic
                    && (trouble.input.partition < 0 || log.changelog.partition == trouble.input.partition)
            };
            let job = self.jobs.iter().find(|job| job.logs.iter().any(hit));
            return match job.map(|job| job.task) {
                Some(task) => Err(Failed::Log { task, trouble }),
                None => Ok(slice),
            };
        }
        for job in &mut self.jobs {
            for log in &mut job.logs {
                // Passes control markers and aborted records, which nobody hands over.
                let position = self.reader.position(&log.changelog);
                debug_assert!(position >= log.position, "a reader does not go back");
                job.moved |= position > log.position;
                log.position = log.position.max(position);
            }
            if std::mem::take(&mut job.moved) {
                self.busy = true;
                slice.moved.push(job.task);
            }
            if job.read > 0 {
                slice.read.push((job.task, std::mem::take(&mut job.read)));
            }
        }
        let is_done = |job: &Job| job.logs.iter().all(|log| log.position >= log.end);
        while let Some(at) = self.jobs.iter().position(is_done) {
            (self.stale, self.busy) = (true, true);
            if let Err(failed) = self.jobs[at].finish(now) {
                // Those that are finished are told all the same; the others are looked at again.
                slice.failed = Some(failed);
                break;
            }
            slice.finished.push(self.jobs.remove(at));
        }
        Ok(slice)
    }

    /// Lets the reader read what is still wanted, from where it is.
    fn assign(&mut self) -> Result<(), Failed> {
        if !std::mem::take(&mut self.stale) {
            return Ok(());
        }
        let logs = self.jobs.iter().flat_map(|job| &job.logs);
        let from: Vec<(TopicPartition, Offset)> = logs.map(|log| (log.changelog.clone(), log.position)).collect();
        self.reader.assign(&from).map_err(|error| super::Error::Broker(error).into())
    }
}

/// Whose record it is: job and log.
fn find(jobs: &[Job], last: (usize, usize), record: &RecordRef<'_>) -> Option<(usize, usize)> {
    let is_of = |log: &Log| log.changelog.partition == record.partition && log.changelog.topic == record.topic;
    if jobs.get(last.0).and_then(|job| job.logs.get(last.1)).is_some_and(is_of) {
        return Some(last);
    }
    jobs.iter().enumerate().find_map(|(at, job)| Some((at, job.logs.iter().position(is_of)?)))
}

impl Job {
    fn take(&mut self, log: usize, record: &RecordRef<'_>, now: Millis) -> Result<(), Failed> {
        let role = self.logs[log].role;
        self.fill.push(role, record).map_err(|error| self.failed(error))?;
        self.logs[log].position = record.offset + 1;
        self.read += 1;
        self.moved = true;
        if self.fill.is_full() {
            point("c02")?;
            self.flush(now)?;
        }
        Ok(())
    }

    fn finish(&mut self, now: Millis) -> Result<(), Failed> {
        assert!(self.logs.iter().all(|log| log.position >= log.end), "a restore ends at the end that was taken");
        point("c02")?;
        // Also when nothing is left: the checkpoint says that the store has followed so far.
        self.flush(now)?;
        if cfg!(debug_assertions) {
            state::restore::check_derived(&*self.target, "restored").map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Hands what was read to the store, with the offsets that it reaches.
    fn flush(&mut self, now: Millis) -> Result<(), Failed> {
        let checkpoint = |log: &Log| {
            let Log { position: next_offset, partitions, .. } = *log;
            (log.changelog.topic.clone(), Checkpoint { next_offset, applied_at: now, partitions, format: layout::FORMAT })
        };
        let checkpoints: Vec<(Text, Checkpoint)> = self.logs.iter().map(checkpoint).collect();
        self.fill.flush(&checkpoints).map_err(|error| self.failed(error))?;
        point("c03")?;
        Ok(())
    }

    fn failed(&self, error: state::Error) -> Failed {
        Failed::Store { task: self.task, store: self.store, error }
    }
}

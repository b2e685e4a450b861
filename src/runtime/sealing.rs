//! From an open epoch to its outcome: when it is sealed, what is written when it is committed, what is forgotten when not.

use super::commit::Sealed;
use super::core::Core;
use super::crash::point;
use super::meters::{Tallies, Written};
use super::punctuate::Act;
use super::task::{Assignment, Standstill, TaskState};
use super::{Error, Figures, Result};
use crate::broker::{self, Batch, ErrorClass, Guarantee, NewRecord};
use crate::record::{HeaderRef, Offset, TopicPartition};
use crate::state::layout::HEADER;
use crate::state::{self, Checkpoint, Write, layout};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A store that is full is tried again after so long.
pub(super) const FULL_RETRY: Duration = Duration::from_millis(500);

/// The same epoch is refused so often before it is taken apart: a topic may be missing for a moment.
const REFUSALS_MAX: u32 = 3;
/// An epoch of so many records gets through in time where any does.
const RECORDS_IN_TIME: usize = 64;

/// A sealed epoch and what is to be done when its outcome is known.
pub(super) struct InFlight {
    pub(super) number: u64,
    pub(super) then: Then,
    pub(super) batch: Arc<Batch>,
    /// By task and store.
    pub(super) writes: Vec<(usize, usize, Vec<Write>)>,
    pub(super) tasks: Vec<usize>,
    pub(super) figures: Figures,
    pub(super) tallies: Tallies,
    pub(super) written: Written,
    pub(super) sealed: Duration,
    /// The last of its records: input, by index, and offset.
    pub(super) last: Option<(usize, Offset)>,
    /// The last of what happened by time.
    pub(super) last_act: Option<Act>,
    /// From then on a rebalance waits no longer.
    pub(super) deadline: Option<Duration>,
    /// Its tasks were let go: whatever its outcome is, nothing is left to apply it to, and its writes are gone.
    pub(super) orphaned: bool,
}

/// A batch of a committed epoch that found no room.
pub(super) struct Unapplied {
    pub(super) task: usize,
    pub(super) store: usize,
    pub(super) batch: state::Batch,
}

/// What follows the outcome of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    GoOn,
    Release,
    Stop,
}

impl Core {
    /// Is the epoch to be closed now?
    pub(super) fn wants_seal(&self, mono: Duration) -> bool {
        let Some(opened) = self.epoch.opened else { return false };
        if self.in_flight.is_some() {
            return false;
        }
        let settings = &self.parts.settings;
        if self.epoch.figures.records_in >= self.records_max as u64 || self.punctual.is_full(self.epoch.figures.acts) {
            return true;
        }
        let (has_effect, bytes) = self.effects();
        if !has_effect {
            return mono >= self.last_outcome + settings.idle_commit_interval;
        }
        bytes >= settings.epoch_bytes_max
            || mono >= opened + settings.commit_interval
            || (self.drained && mono >= self.last_outcome + settings.commit_gap)
    }

    /// Has the epoch an effect, and how many bytes?
    pub(super) fn effects(&self) -> (bool, usize) {
        let outputs = &self.epoch.outputs.batch;
        let (mut dirty, mut bytes) = (!outputs.is_empty(), outputs.size_bytes());
        if let Some(assignment) = &self.assignment {
            for store in self.epoch.tasks.iter().flat_map(|task| &assignment.tasks[*task].stores) {
                dirty |= store.slots.is_dirty();
                bytes += store.slots.pending_bytes();
            }
        }
        (dirty, bytes)
    }

    /// Closes the open epoch and hands it to the lane.
    pub(super) fn seal(&mut self, then: Then, mono: Duration) -> Result<()> {
        let patience = self.patience();
        let settings = &self.parts.settings;
        let assignment = self.assignment.as_mut().expect("an epoch is of an assignment");
        let tasks = std::mem::take(&mut self.epoch.tasks);
        let outputs = &mut self.epoch.outputs;
        let mut figures = self.epoch.figures;
        figures.dead_letters = outputs.letters;
        figures.records_out = outputs.batch.len() as u64 - outputs.letters;
        let mut written = Written::default();
        for (topic, bytes) in outputs.written.drain(..) {
            written[self.meters.role_of(topic)].add(bytes as usize);
        }
        let now = self.parts.clock.wall();
        let mut writes = Vec::new();
        let mut floors = Vec::new();
        for at in &tasks {
            let task = &mut assignment.tasks[*at];
            for (number, store) in task.stores.iter_mut().enumerate().filter(|(_, store)| store.slots.is_dirty()) {
                let before = outputs.batch.len();
                let followed = &store.followed;
                let sealed = store.slots.seal(&mut |entry| {
                    let topic = followed.iter().find(|followed| followed.role == entry.role);
                    let topic = topic.expect("a store has a topic for every kind of entry that it keeps").topic;
                    let bytes = entry.key.len() + entry.value.map_or(0, <[u8]>::len) + entry.head.map_or(0, <[u8]>::len);
                    written[self.meters.role_of(topic)].add(bytes);
                    let head = [HeaderRef { name: HEADER, value: entry.head }];
                    outputs.push_changelog(NewRecord {
                        topic,
                        partition: task.id.partition,
                        timestamp: now,
                        key: Some(entry.key),
                        value: entry.value,
                        headers: if entry.head.is_some() { &head } else { &[] },
                    });
                });
                let sealed = sealed.map_err(Error::State)?;
                let logged = outputs.batch.len() - before;
                debug_assert_eq!(
                    sealed.iter().filter(|write| layout::split(&write.key).is_ok()).count(),
                    logged,
                    "a dirty slot is in the changelog exactly once"
                );
                figures.changelog_records += logged as u64;
                let part = (followed.iter()).map(|followed| (followed.topic, task.id.partition, followed.next_offset));
                floors.extend(part);
                if settings.weakened.apply_before_commit {
                    let batch = state::Batch { writes: sealed.clone(), checkpoints: Vec::new() };
                    store.slots.store().apply(&batch).map_err(Error::State)?;
                }
                writes.push((*at, number, sealed));
            }
        }
        let inputs = tasks.iter().flat_map(|task| &assignment.tasks[*task].inputs);
        let offsets = inputs.map(|input| {
            let input = &assignment.inputs[*input];
            assert!(input.position >= input.committed, "positions fall only to the committed ones");
            (input.partition.clone(), input.position)
        });
        let offsets = offsets.collect();
        let (held, is_first) = match settings.guarantee {
            Guarantee::ExactlyOnce => (Vec::new(), false),
            Guarantee::AtLeastOnce => held(assignment, &tasks),
        };
        let sealed = Sealed {
            number: self.epoch.number,
            offsets,
            held,
            is_first,
            ownership: assignment.ownership.clone(),
            floors,
            batch: Arc::new(self.epoch.outputs.take()),
        };
        tracing::debug!(client = %self.client_id, epoch = sealed.number, offsets = ?sealed.offsets, "sealed");
        self.in_flight = Some(InFlight {
            number: sealed.number,
            then,
            batch: sealed.batch.clone(),
            writes,
            tasks,
            figures,
            tallies: std::mem::take(&mut self.epoch.tallies),
            written,
            sealed: mono,
            last: self.epoch.last,
            last_act: self.epoch.last_act.take(),
            deadline: (then == Then::Release).then_some(mono + patience),
            orphaned: false,
        });
        self.epoch.clear();
        self.commit.commit(sealed);
        Ok(())
    }

    /// The epoch is committed: its writes go to the stores, its positions are the committed ones.
    pub(super) fn apply(&mut self, epoch: InFlight, delivered: &[(u16, i32, Option<i64>)], mono: Duration) -> Result<()> {
        let InFlight { batch, writes, tasks, mut figures, orphaned, tallies, written, sealed, .. } = epoch;
        figures.epochs = 1;
        self.figures.add(&figures);
        self.meters.count(&tallies, &written);
        self.meters.thread.epoch_committed(mono.saturating_sub(sealed), figures.records_in);
        if orphaned {
            return Ok(());
        }
        // Twice as many each time, so that a part that was refused is soon behind.
        self.records_max = self.records_max.saturating_mul(2).min(self.parts.settings.epoch_records_max);
        if self.records_max == self.parts.settings.epoch_records_max {
            self.refusals = 0;
        }
        // The indexes by time are read as they are committed: what is due besides is found now.
        self.punctual.look_soon();
        self.punctual.widen();
        point("c09")?;
        let now = self.parts.clock.wall();
        for (turn, (task, store, writes)) in writes.into_iter().enumerate() {
            if turn > 0 {
                point("c10")?;
            }
            let batch = self.batch_to_apply((task, store), writes, delivered, now);
            let unapplied = Unapplied { task, store, batch };
            if !self.unapplied.is_empty() {
                // In order behind what is waiting for room already.
                self.unapplied.push(unapplied);
            } else if let Some(unapplied) = self.write(unapplied, mono)? {
                self.unapplied.push(unapplied);
            }
        }
        point("c11")?;
        self.settle_tasks(&tasks, Some(mono));
        let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
        for task in tasks.iter().map(|task| &assignment.tasks[*task]) {
            for input in &task.inputs {
                let input = &mut assignment.inputs[*input];
                input.committed = input.position;
                input.has_committed = true;
                input.unsaved = false;
                input.end = input.end.max(input.committed);
            }
            task.note_lag(&assignment.inputs);
            task.gauges.committed_at.store(now, Ordering::Relaxed);
        }
        if let Ok(batch) = Arc::try_unwrap(batch) {
            self.epoch.outputs.recycle(batch);
        }
        Ok(())
    }

    /// The writes of a store with the checkpoint that they lead to.
    pub(super) fn batch_to_apply(
        &mut self,
        (task, store): (usize, usize),
        writes: Vec<Write>,
        delivered: &[(u16, i32, Option<i64>)],
        now: i64,
    ) -> state::Batch {
        let plan = &self.parts.program.plan;
        let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
        let task = &mut assignment.tasks[task];
        let mut checkpoints = Vec::new();
        for followed in &mut task.stores[store].followed {
            let place =
                delivered.iter().find(|(topic, partition, _)| *topic == followed.topic && *partition == task.id.partition);
            // Where the client does not know the offset the checkpoint stays, and a restore reads this epoch again.
            if let Some((_, _, Some(next))) = place {
                assert!(*next > followed.next_offset, "delivered offsets of a changelog grow");
                followed.next_offset = *next;
            }
            let topic = usize::from(followed.topic);
            checkpoints.push((
                plan.topics[topic].name.clone(),
                Checkpoint {
                    next_offset: followed.next_offset,
                    applied_at: now,
                    partitions: self.parts.prepared.topics[topic].partitions,
                    format: layout::FORMAT,
                },
            ));
        }
        state::Batch { writes, checkpoints }
    }

    /// Writes a committed batch; gives it back when there is no room.
    pub(super) fn write(&mut self, unapplied: Unapplied, mono: Duration) -> Result<Option<Unapplied>> {
        let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
        let task = &mut assignment.tasks[unapplied.task];
        let slots = &mut task.stores[unapplied.store].slots;
        match slots.store().apply(&unapplied.batch) {
            Ok(()) => slots.committed(),
            Err(error @ state::Error::Full { .. }) => {
                tracing::error!(task = %task.id, %error, "waiting for room");
                self.full_since = Some(mono);
                return Ok(Some(unapplied));
            }
            Err(error @ (state::Error::Damaged { .. } | state::Error::Unreadable { .. })) => {
                // What was committed is in the changelog: the store is restored with it.
                tracing::error!(task = %task.id, %error, "a store cannot be written");
                slots.forget();
                task.state = TaskState::Halted(Standstill::Damaged(unapplied.store));
            }
            Err(error) => return Err(Error::State(error)),
        }
        Ok(None)
    }

    /// Tries again what found no room.
    pub(super) fn retry_unapplied(&mut self, mono: Duration) -> Result<()> {
        if self.full_since.is_none_or(|since| mono < since + FULL_RETRY) {
            return Ok(());
        }
        self.full_since = None;
        let mut waiting = std::mem::take(&mut self.unapplied).into_iter();
        while let Some(unapplied) = waiting.next() {
            if let Some(unapplied) = self.write(unapplied, mono)? {
                self.unapplied.push(unapplied);
                self.unapplied.extend(waiting);
                break;
            }
        }
        Ok(())
    }

    /// After an epoch that was refused for one of its records the next one is smaller, down to the record, which its task then
    /// stands still at; so is the next one after an epoch that did not get through in time.
    pub(super) fn narrow(&mut self, epoch: &InFlight, cause: broker::Error, mono: Duration) -> Result<()> {
        let records = usize::try_from(epoch.figures.records_in).unwrap_or(usize::MAX);
        match &cause.class {
            // A record named the topic, and no file: met again, it is judged by what is known now.
            ErrorClass::Missing(topic) if self.epoch.outputs.is_gone(topic) => return Ok(()),
            ErrorClass::Denied(right)
                if written_topic(right).is_some_and(|topic| self.epoch.outputs.is_refused(topic, mono)) =>
            {
                return Ok(());
            }
            ErrorClass::TooLarge | ErrorClass::Refused(_) | ErrorClass::Missing(_) => {}
            ErrorClass::Retry => {
                self.records_max = self.records_max.min((records / 2).max(RECORDS_IN_TIME));
                return Ok(());
            }
            ErrorClass::Abortable | ErrorClass::Denied(_) | ErrorClass::Fatal | ErrorClass::Fenced => return Ok(()),
        }
        if epoch.figures.migrated > 0 {
            // Without states of a sweep in it, the next one tells what is wrong.
            self.narrow_sweeps(mono);
            return Ok(());
        }
        self.refusals += 1;
        if self.refusals < REFUSALS_MAX {
            return Ok(());
        }
        if let (acts @ 1.., Some(last)) = (epoch.figures.acts, &epoch.last_act) {
            // What happened by time is told apart from the records, and then one from the other.
            if (records, acts) == (0, 1) {
                let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
                assignment.refused_acts.push((last.clone(), cause.to_string().into()));
                self.refusals = 0;
            } else {
                self.punctual.narrow(if records > 0 { 1 } else { acts });
            }
            return Ok(());
        }
        match (records, epoch.last) {
            // No record is to blame.
            (0, _) | (_, None) => return Err(Error::Permanent(cause)),
            (1, Some((input, offset))) => {
                let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
                assignment.refused.push((input, offset, cause.to_string().into()));
                self.refusals = 0;
            }
            _ => self.records_max = self.records_max.min(records / 2),
        }
        Ok(())
    }

    /// Takes the epoch in flight back: nothing was written, so forgetting is all. Gives the tasks that read again.
    pub(super) fn roll_back(&mut self, mono: Duration) -> Vec<usize> {
        self.punctual.look_soon();
        let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
        let (mut resume, mut running) = (Vec::new(), Vec::new());
        for (at, task) in assignment.tasks.iter_mut().enumerate() {
            for store in &mut task.stores {
                store.slots.forget();
            }
            // A record that halted its task is met again.
            if matches!(task.state, TaskState::Halted(Standstill::Record(_) | Standstill::LookUp(_))) {
                task.state = TaskState::Running;
                running.push(at);
            }
            if matches!(task.state, TaskState::Waiting | TaskState::Restoring) {
                continue;
            }
            if task.is_running() {
                resume.push(at);
                if task.inputs.iter().any(|input| !assignment.inputs[*input].has_committed) {
                    // Where a first start begins was rolled back with it.
                    self.epoch.involve(at, mono);
                }
            }
            for input in &task.inputs {
                let input = &mut assignment.inputs[*input];
                input.position = input.committed;
                // Records that were read are met again; a move over control markers alone stays true.
                input.fresh &= !std::mem::take(&mut input.unsaved);
            }
        }
        let all: Vec<usize> = (0..assignment.tasks.len()).collect();
        self.settle_tasks(&all, None);
        for task in running {
            self.tell_phase(task);
        }
        resume
    }
}

/// The topic of a right to write.
fn written_topic(right: &str) -> Option<&str> {
    right.strip_prefix("Topic ")?.strip_suffix(": Write")
}

/// The committed offsets of all inputs of these tasks, and whether one of them was never committed.
fn held(assignment: &Assignment, tasks: &[usize]) -> (Vec<(TopicPartition, Offset)>, bool) {
    let inputs = || tasks.iter().flat_map(|task| &assignment.tasks[*task].inputs).map(|input| &assignment.inputs[*input]);
    let held = inputs().map(|input| (input.partition.clone(), input.committed)).collect();
    (held, inputs().any(|input| !input.has_committed))
}

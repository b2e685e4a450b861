//! Stores of tasks that are taken over: opened, brought up to date, set aside when they are damaged.

use super::core::Core;
use super::questions::What;
use super::restore::{Failed, Job, Log};
use super::sweep::{self, Sweep};
use super::takeover::AGAIN_AFTER;
use super::task::{Assignment, Followed, OpenStore, TaskState};
use super::{Error, Halt, PreparedTopic, Result};
use crate::broker::{Span, Trouble, TroubleKind};
use crate::record::TopicPartition;
use crate::saga;
use crate::state::layout::{Role, Tag};
use crate::state::restore::{self, Changelog, Fill};
use crate::state::{self, SlotLimits, Slots, Store, StoreName};
use crate::telemetry::{ParkedMetrics, SagaMetrics, StoreMetrics};
use crate::topology::plan::NodeKind;
use bytes::Bytes;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic;
use std::time::Duration;

/// What found no room on the disk is tried again after so long: a restore reads its changelogs again for it.
const ROOM_RETRY: Duration = Duration::from_secs(2);
/// So often a changelog that cannot be read is tried again before its store is filled anew from the start of the log.
const UNREADABLE_MAX: u32 = 5;
/// Smallest piece of a restore.
const CHUNK_BYTES_MIN: usize = 4 << 20;
/// Smallest cache of a store.
const CACHE_BYTES_MIN: usize = 2 << 20;

impl Core {
    /// Decides for every store where its restore begins.
    pub(super) fn start_restoring(&mut self, tasks: &[usize], ends: &[(TopicPartition, Span)], mono: Duration) -> Result<()> {
        let now = self.parts.clock.wall();
        for task in tasks.iter().filter(|task| self.task(**task).state == TaskState::Restoring).collect::<Vec<_>>() {
            match self.restore_task(*task, ends, now) {
                Ok(()) => {}
                Err((store, error)) => self.store_failed(*task, store, error, mono)?,
            }
        }
        Ok(())
    }

    pub(super) fn restore_task(
        &mut self,
        at: usize,
        ends: &[(TopicPartition, Span)],
        now: i64,
    ) -> std::result::Result<(), (usize, state::Error)> {
        let plan = &self.parts.program.plan;
        let chunk_bytes = share(self.parts.settings.restore_chunk_bytes, self.parts.registry.stores(), CHUNK_BYTES_MIN);
        let assignment = self.assignment.as_mut().expect("asked for an assignment");
        let task = &mut assignment.tasks[at];
        let (mut jobs, mut total) = (Vec::new(), 0);
        for (number, store) in task.stores.iter().enumerate() {
            let failed = |error| (number, error);
            let target = store.slots.store().clone();
            let mut logs = Vec::new();
            let mut changelogs = Vec::new();
            for followed in &store.followed {
                let topic = usize::from(followed.topic);
                let changelog = TopicPartition::new(plan.topics[topic].name.clone(), task.id.partition);
                let span = ends.iter().find(|(partition, _)| *partition == changelog).map(|(_, span)| *span);
                let Span { start, end } = span.expect("the ends of all changelogs were asked for");
                let PreparedTopic { partitions, delete_retention, .. } = self.parts.prepared.topics[topic];
                let checkpoint = target.checkpoint(&changelog.topic).map_err(failed)?;
                let delete_retention = i64::try_from(delete_retention.as_millis()).ok();
                changelogs.push(Changelog { checkpoint, start, end, partitions, delete_retention });
                tracing::debug!(task = %task.id, %changelog, ?checkpoint, start, end, "restores");
                logs.push(Log { changelog, role: followed.role, position: start, end, partitions });
            }
            let mut empty = changelogs.iter().all(|changelog| changelog.checkpoint.is_none());
            let from = match restore::decide(&changelogs, now) {
                restore::Start::Resume(from) => from,
                restore::Start::Rebuild { from, reason } => {
                    tracing::warn!(task = %task.id, store = %plan.stores[store.planned].name, %reason, "a store is filled anew");
                    target.clear().map_err(failed)?;
                    empty = true;
                    from
                }
            };
            for (log, from) in logs.iter_mut().zip(from) {
                log.position = from;
                total += (log.end - from).max(0);
            }
            let name = plan.stores[store.planned].name.clone();
            let fill = Fill::new(target.clone(), name, chunk_bytes, empty);
            jobs.push(Job { task: at, store: number, fill, logs, target, read: 0, moved: false });
        }
        task.gauges.restored.store(0, atomic::Ordering::Relaxed);
        task.gauges.to_restore.store(total.unsigned_abs(), atomic::Ordering::Relaxed);
        self.takeover.unread.insert(at, jobs.len());
        for job in jobs {
            self.restore.add(job);
        }
        Ok(())
    }

    /// Reads changelogs for a while. Returns the tasks that are ready now.
    pub(super) fn restore_slice(&mut self, mono: Duration) -> Result<Vec<usize>> {
        let slice = match self.restore.slice(self.parts.settings.restore_slice, &*self.parts.clock) {
            Ok(slice) => slice,
            Err(failed) => return self.restore_failed(failed, mono).map(|()| Vec::new()),
        };
        let assignment = self.assignment.as_mut().expect("what is restored belongs to an assignment");
        for (task, read) in slice.read {
            assignment.tasks[task].note_restored(read);
            self.figures.restored += read;
        }
        for task in slice.moved {
            self.takeover.progressed(task, mono);
        }
        let mut ready = Vec::new();
        let topics = &self.parts.program.plan.topics;
        for finished in slice.finished {
            let store = &mut assignment.tasks[finished.task].stores[finished.store];
            for (followed, log) in store.followed.iter_mut().zip(&finished.logs) {
                debug_assert_eq!(topics[usize::from(followed.topic)].name, log.changelog.topic);
                followed.next_offset = log.position;
            }
            let unread = self.takeover.unread.entry(finished.task).or_insert(1);
            *unread -= 1;
            if *unread == 0 {
                if let Some(begun) = self.takeover.begun.remove(&finished.task) {
                    self.meters.thread.restore_seconds.record(mono.saturating_sub(begun).as_secs_f64());
                }
                self.takeover.settled(finished.task);
                ready.push(finished.task);
            }
        }
        if let Some(failed) = slice.failed {
            self.restore_failed(failed, mono)?;
        }
        Ok(ready)
    }

    /// A task's restore begins anew, or the task stands still.
    fn restore_failed(&mut self, failed: Failed, mono: Duration) -> Result<()> {
        match failed {
            Failed::Fatal(error) => Err(error),
            Failed::Store { task, store, error } => {
                self.restore.forget(Some(task));
                self.store_failed(task, store, error, mono)
            }
            Failed::Log { task, trouble } => {
                self.restore.forget(Some(task));
                self.log_failed(task, trouble, mono)
            }
        }
    }

    /// A changelog could not be read: it is tried again, in the end from the start of the log, or the task stands still.
    fn log_failed(&mut self, task: usize, trouble: Trouble, mono: Duration) -> Result<()> {
        let assignment = self.assignment.as_ref().expect("stores are of an assignment");
        tracing::warn!(task = %assignment.tasks[task].id, changelog = %trouble.input, kind = ?trouble.kind,
            "a changelog could not be read");
        let stands_still = |core: &mut Self, reason: &str| {
            core.stand_still(task, Halt { input: trouble.input.clone(), offset: None, reason: reason.into() });
            Ok(())
        };
        let mut wait = AGAIN_AFTER;
        match trouble.kind {
            // The log has moved on meanwhile: where the store's checkpoint has fallen out of it, the store is filled anew. Or the
            // topic is not known just now: whether it is gone is asked first.
            TroubleKind::OffsetOutOfRange | TroubleKind::Missing => {}
            TroubleKind::Denied => {
                return stands_still(self, "reading a changelog is not allowed: grant Read on it, then restart the worker");
            }
            TroubleKind::Other => {
                let times = self.takeover.unreadable.entry(task).or_default();
                *times += 1;
                wait = AGAIN_AFTER * 2_u32.pow((*times).min(8));
                match (*times).cmp(&UNREADABLE_MAX) {
                    Ordering::Less => {}
                    Ordering::Equal => {
                        for (number, store) in assignment.tasks[task].stores.iter().enumerate() {
                            if let Err(error) = store.slots.store().clear() {
                                return self.store_failed(task, number, error, mono);
                            }
                        }
                    }
                    Ordering::Greater => {
                        return stands_still(
                            self,
                            "a changelog cannot be read, not even from its start: mend or delete what is damaged in it, then \
                             restart the worker",
                        );
                    }
                }
            }
        }
        self.takeover.later.push((mono + wait, What::ChangelogEnds(vec![task])));
        Ok(())
    }

    /// A store could not be written or read while its task was taken over.
    pub(super) fn store_failed(&mut self, task: usize, store: usize, error: state::Error, mono: Duration) -> Result<()> {
        let assignment = self.assignment.as_mut().expect("stores are of an assignment");
        let (id, input) = (assignment.tasks[task].id, assignment.tasks[task].inputs[0]);
        self.takeover.since.insert(task, mono);
        match error {
            state::Error::Full { .. } => {
                tracing::error!(task = %id, %error, "waiting for room");
                self.takeover.later.push((mono + ROOM_RETRY, What::ChangelogEnds(vec![task])));
                return Ok(());
            }
            state::Error::Damaged { .. } => {
                tracing::error!(task = %id, %error, "a store is set aside and restored from its changelog");
                self.meters.thread.stores_set_aside.increment(1);
                let is_aside = set_aside(&self.parts, assignment, task, store);
                if !self.has_room(task, is_aside, mono)? || !self.open(task, mono)? {
                    return Ok(());
                }
            }
            state::Error::Unreadable { .. } => {
                let input = assignment.inputs[input].partition.clone();
                self.stand_still(task, Halt { input, offset: None, reason: error.to_string() });
                return Ok(());
            }
            error => return Err(Error::State(error)),
        }
        self.ask_later(What::ChangelogEnds(vec![task]), mono);
        Ok(())
    }

    /// Sets a running task's damaged store aside and takes the task over anew.
    pub(super) fn reset_task(&mut self, task: usize, store: usize, mono: Duration) -> Result<()> {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        tracing::error!(task = %assignment.tasks[task].id, "a store is set aside and restored from its changelog");
        self.meters.thread.stores_set_aside.increment(1);
        let is_aside = set_aside(&self.parts, assignment, task, store);
        assignment.tasks[task].stores.clear();
        assignment.tasks[task].state = TaskState::Restoring;
        self.tell_phase(task);
        if !self.has_room(task, is_aside, mono)? {
            return Ok(());
        }
        self.take_over(vec![task], mono)
    }

    /// Opens the stores of a task. Without room they are not opened now: the task is taken over again after a while.
    pub(super) fn open(&mut self, task: usize, mono: Duration) -> Result<bool> {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let opened = open_stores(&self.parts, assignment, task);
        self.has_room(task, opened, mono)
    }

    fn has_room(&mut self, task: usize, result: std::result::Result<(), state::Error>, mono: Duration) -> Result<bool> {
        let error = match result {
            Ok(()) => return Ok(true),
            Err(error @ state::Error::Full { .. }) => error,
            Err(error) => return Err(Error::State(error)),
        };
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        tracing::error!(task = %assignment.tasks[task].id, %error, "waiting for room");
        assignment.tasks[task].stores.clear();
        self.takeover.settled(task);
        self.takeover.without_room.push((mono + ROOM_RETRY, task));
        Ok(false)
    }

    /// States of a later version than the file's: it would not know what to do with them. Or state without any committed offset: reading
    /// from the start would count twice what the state has counted.
    ///
    /// An error is of the store that could not be read.
    pub(super) fn refuses_to_start(&self, task: usize) -> std::result::Result<Option<Halt>, (usize, state::Error)> {
        let assignment = self.assignment.as_ref().expect("tasks are of an assignment");
        let task = &assignment.tasks[task];
        for (number, store) in task.stores.iter().enumerate() {
            let node = &self.parts.program.nodes[self.parts.program.plan.stores[store.planned].node];
            let Some(own) = node.state_version().filter(|_| store.is_logged()) else { continue };
            let stored = sweep::version_of(&**store.slots.store()).map_err(|error| (number, error))?;
            if let Some(stored) = stored.filter(|stored| *stored > own) {
                let reason = format!(
                    "states of node `{}` are stored in version {stored}, and this file has version {own} of them: there is no way back, \
                     run the file that wrote them, or a newer one",
                    node.name()
                );
                let input = assignment.inputs[task.inputs[0]].partition.clone();
                return Ok(Some(Halt { input, offset: None, reason }));
            }
        }
        if task.inputs.iter().any(|input| assignment.inputs[*input].has_committed) {
            return Ok(None);
        }
        for (number, store) in task.stores.iter().enumerate() {
            let mut found = false;
            let range = (Bound::Included(Bytes::from_static(&[Tag::State as u8])), Bound::Unbounded);
            let scanned = store.slots.store().scan(&range, &mut |_, _| {
                found = true;
                false
            });
            scanned.map_err(|error| (number, error))?;
            if found {
                let reason = "there is state and no committed offset: reading from the start would count twice; \
                              set the group's offset, or rebuild the node under another name";
                let input = assignment.inputs[task.inputs[0]].partition.clone();
                return Ok(Some(Halt { input, offset: None, reason: reason.into() }));
            }
        }
        Ok(None)
    }
}

/// A store's part of what the process may take for all of them, and never less than a sensible piece.
fn share(total: usize, stores: usize, least: usize) -> usize {
    (total / stores.max(1)).max(least.min(total))
}

/// Opens the stores of a task; one that is damaged is set aside first.
fn open_stores(parts: &super::worker::Parts, assignment: &mut Assignment, task: usize) -> state::Result<()> {
    let plan = &parts.program.plan;
    let task = &mut assignment.tasks[task];
    let part = &plan.subtopologies[task.id.subtopology];
    let cache_bytes = share(parts.settings.cache_bytes_max, parts.registry.stores(), CACHE_BYTES_MIN);
    task.stores.clear();
    for planned in &part.stores {
        let store = &plan.stores[*planned];
        let name = StoreName::of_node(store.name.clone());
        let stores = parts.stores_of(store.kind);
        let opened: Arc<dyn Store> = match stores.open(&name, task.id.partition) {
            Ok(opened) => opened,
            Err(error @ (state::Error::Damaged { .. } | state::Error::Unreadable { .. })) => {
                tracing::error!(task = %task.id, %error, "a store is set aside and restored from its changelog");
                stores.set_aside(&name, task.id.partition)?;
                stores.open(&name, task.id.partition)?
            }
            Err(error) => return Err(error),
        };
        let topics = [(Role::Snapshots, store.snapshots), (Role::Changelog, store.changelog)];
        let followed: Vec<Followed> = topics
            .into_iter()
            .filter_map(|(role, topic)| {
                let topic = u16::try_from(topic?).expect("a plan's topics are far fewer");
                Some(Followed { role, topic, next_offset: 0 })
            })
            .collect();
        let record_bytes = followed
            .iter()
            .map(|followed| parts.prepared.topics[usize::from(followed.topic)].message_bytes_max)
            .min()
            .unwrap_or(usize::MAX);
        let mut slots = Slots::new(opened, store.name.clone(), SlotLimits { cache_bytes, record_bytes });
        if store.snapshots.is_none() {
            slots = slots.with_states_in_changelog();
        }
        let metrics = StoreMetrics::new(&parts.telemetry, &plan.topology, &store.name, task.id.partition);
        let is_saga = matches!(plan.nodes[store.node].kind, NodeKind::Saga(_));
        let names = saga::Status::ALL.map(saga::Status::name);
        let (topology, partition) = (&plan.topology, task.id.partition);
        let sagas = is_saga.then(|| SagaMetrics::new(&parts.telemetry, topology, &store.name, partition, &names));
        let parks = parts.program.nodes[store.node].parking().is_some();
        let parked = parks.then(|| ParkedMetrics::new(&parts.telemetry, topology, &store.name, partition));
        let sweep = Sweep::new(parts.program.nodes[store.node].state_version());
        task.stores
            .push(OpenStore::new(*planned, slots, followed, metrics).with_sagas(sagas).with_parked(parked).with_sweep(sweep));
    }
    Ok(())
}

fn set_aside(parts: &super::worker::Parts, assignment: &mut Assignment, task: usize, store: usize) -> state::Result<()> {
    let task = &mut assignment.tasks[task];
    let planned = task.stores[store].planned;
    let planned = &parts.program.plan.stores[planned];
    let name = StoreName::of_node(planned.name.clone());
    // No handle may be left on what is set aside.
    task.stores.clear();
    parts.stores_of(planned.kind).set_aside(&name, task.id.partition)
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn memory_is_shared_by_the_stores_of_the_process() {
        for (total, stores, least, expected) in
            [(64, 0, 2, 64), (64, 1, 2, 64), (64, 4, 2, 16), (64, 100, 2, 2), (1, 100, 2, 1), (0, 3, 2, 0)]
        {
            assert_eq!(share(total, stores, least), expected, "{total} for {stores}");
        }
    }
}

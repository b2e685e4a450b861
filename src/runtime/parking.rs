//! Parked keys: what waits because a record of its key failed and may pass later, or for an operator.
//!
//! ```text
//!           may pass, is tried again          passes, or is given up: the next one's turn
//!   free ───────────────────────────▶ waiting ─────────────────────────────────────────▶ waiting … free
//!     │                                 │  ▲
//!     │ given up, then: park            ▼  │ its dead letter passes or is discarded, or the file does not say `park` any more
//!     └──────────────────────────────▶ held
//! ```
//!
//! A key is parked at a node: other nodes, and other keys, flow. Its records wait in the node's store as they were first read, so
//! that decoding runs again; they are handled in their order, the head once each time that its moment has come, those behind it when
//! it is gone. All of it is rows of the epoch in which it happens: as true after a crash, a rebalance or a restore as a state is.
//! A record without a key has no order with others: it waits alone, under its place.
//!
//! What is in memory is the set of keys that may be parked, so that a record costs no read where nothing waits: it holds every key
//! that is parked, and until the epoch's outcome also those that the epoch frees.
//!
//! What an operator has a node take once more waits for nothing: it goes before those of its key. When it is the record whose dead
//! letter holds a key, and it passes or is discarded, the key goes on.
//!
//! More than `errors.park` lets wait is not read: the task's inputs are paused before the record, until there is room. What waits is
//! tried meanwhile.
//!
//! Here is what is known of it; what a record does to it is in [`super::retries`]. Left to others: when something is due
//! (`punctuate`), whether and when it is tried again (`node`).

use super::core::Core;
use super::task::{OpenStore, Scene, Task, TaskState};
use crate::record::{RecordRef, Text};
use crate::state::{self, ParkedTotals, Standing};
use crate::telemetry::ParkedMetrics;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Inputs are paused until so large a part of the bound is free.
const ROOM_PART: u64 = 8;

/// What a parked key begins with: the bytes of the records' key, or the place of a record without one.
const KEYED: u8 = b'k';
const PLACED: u8 = b'p';

/// What a task knows of a store's parked keys without a read.
#[derive(Default)]
pub(super) struct Parked {
    /// The standard hasher: keys come from records.
    keys: HashSet<Box<[u8]>>,
    /// Parked keys that are held, by the place of the record whose dead letter holds them; also some that are not any more.
    pub(super) held: HashMap<Text, Box<[u8]>>,
    /// Keys that the epoch, open or on its way, parks or frees.
    touched: Vec<Box<[u8]>>,
    /// As it was told last.
    told: ParkedTotals,
    metrics: Option<ParkedMetrics>,
}

/// More waits than may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crowded {
    /// The store, by index among the task's.
    pub(super) store: usize,
    /// The key that has too many; `None`: all keys together.
    pub(super) key: Option<Vec<u8>>,
    /// So many may wait.
    pub(super) most: u64,
    /// The inputs are paused, inboxes excepted: what an operator wants may make room.
    pub(super) is_paused: bool,
}

impl Crowded {
    pub(super) fn new(store: usize, key: Option<Vec<u8>>, most: u64) -> Self {
        Self { store, key, most, is_paused: false }
    }

    /// What is bounded, as the file calls it.
    pub(super) fn bound(&self) -> &'static str {
        if self.key.is_some() { "per_key" } else { "per_partition" }
    }
}

/// A record's parked key.
pub(super) fn parked_key(record: &RecordRef<'_>) -> Vec<u8> {
    match record.key {
        Some(key) => [&[KEYED], key].concat(),
        None => format!("{}{}-{}-{}", char::from(PLACED), record.topic, record.partition, record.offset).into_bytes(),
    }
}

/// Where a record was first read, as what holds a key is known.
pub(super) fn place(record: &RecordRef<'_>) -> Text {
    format!("{}-{}-{}", record.topic, record.partition, record.offset).into()
}

/// The key of the records, of a parked key that has one.
pub(super) fn record_key(parked: &[u8]) -> Option<&[u8]> {
    parked.strip_prefix(&[KEYED])
}

impl Parked {
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        !self.keys.is_empty() && self.keys.contains(key)
    }

    pub(super) fn parks(&mut self, parked: &[u8]) {
        if let Some(key) = record_key(parked) {
            self.keys.insert(key.into());
            self.touched.push(key.into());
        }
    }

    pub(super) fn frees(&mut self, parked: &[u8]) {
        self.touched.extend(record_key(parked).map(Box::from));
    }
}

impl OpenStore {
    /// With metrics of what waits.
    pub(super) fn with_parked(mut self, metrics: Option<ParkedMetrics>) -> Self {
        self.parked.metrics = metrics;
        self
    }

    /// An epoch has come to its end: what it parked and freed is so, or is not.
    pub(super) fn settle_parked(&mut self) {
        let Self { slots, parked, .. } = self;
        let mut is_freed = false;
        for key in std::mem::take(&mut parked.touched) {
            // One that cannot be read stays: whoever asks for it next says so.
            if let Ok(None) = slots.standing(&[&[KEYED], &key[..]].concat()) {
                is_freed |= parked.keys.remove(&key);
            }
        }
        if is_freed && !parked.held.is_empty() {
            let Parked { keys, held, .. } = parked;
            held.retain(|_, parked| record_key(parked).is_some_and(|key| keys.contains(key)));
        }
    }

    /// Tells how much waits. Of a store that cannot be read, others say so.
    pub(super) fn note_parked(&mut self, store: &str, partition: i32) {
        if !self.is_logged() {
            return;
        }
        let Ok(now) = self.slots.parked() else { return };
        let before = std::mem::replace(&mut self.parked.told, now);
        if let Some(metrics) = &self.parked.metrics {
            metrics.note(now.records, now.keys, now.held);
        }
        match (before.keys, now.keys) {
            (0, 1..) => {
                tracing::warn!(%store, partition, keys = now.keys, records = now.records, "records wait behind failed ones")
            }
            (1.., 0) => tracing::info!(%store, partition, "nothing waits behind failed records any more"),
            _ => {}
        }
        if before.held == 0 && now.held > 0 {
            tracing::warn!(%store, partition, keys = now.held, "keys are held until their dead letters are replayed or discarded");
        }
    }

    /// Is there room again?
    fn has_room(&mut self, crowded: &Crowded) -> state::Result<bool> {
        let room = (crowded.most / ROOM_PART).max(1);
        let waiting = match &crowded.key {
            Some(key) => self.waiting(key)?.1,
            None => occupied(&self.slots.parked()?),
        };
        Ok(waiting + room <= crowded.most)
    }

    /// Where a key stands, and how many of its records wait.
    pub(super) fn waiting(&mut self, key: &[u8]) -> state::Result<(Option<Standing>, u64)> {
        let Some(standing) = self.slots.standing(key)? else { return Ok((None, 0)) };
        let tail = self.slots.tail(key)?.unwrap_or(standing.head);
        Ok((Some(standing), tail.saturating_sub(standing.head)))
    }
}

/// What the bound of a partition counts: records, and keys that are held, which may have none.
pub(super) fn occupied(totals: &ParkedTotals) -> u64 {
    totals.records.saturating_add(totals.held)
}

impl Task {
    /// What waits in its stores, once they are restored. Keys that were held and are not any more, as the file is now, go on.
    /// Says whether anything changed by that.
    pub(super) fn load_parked(&mut self, scene: Scene<'_>) -> Result<bool, (usize, state::Error)> {
        let plan = &scene.program.plan;
        let mut changed = false;
        self.crowded = None;
        for (number, store) in self.stores.iter_mut().enumerate().filter(|(_, store)| store.is_logged()) {
            let failed = |error| (number, error);
            let node = &scene.program.nodes[plan.stores[store.planned].node];
            let holds = node.parking().is_some_and(|parking| parking.holds);
            for (parked, standing) in store.slots.standings().map_err(failed)? {
                store.parked.keys.extend(record_key(&parked).map(Box::from));
                if standing.due.is_none()
                    && holds
                    && let Some(place) = store.slots.holder(&parked).map_err(failed)?
                {
                    store.parked.held.insert(place, parked.to_vec().into());
                }
                if standing.due.is_none() && !holds {
                    store.slots.put_holder(&parked, None).map_err(failed)?;
                    let mut totals = store.slots.parked().map_err(failed)?;
                    totals.held = totals.held.saturating_sub(1);
                    store.slots.put_parked(&totals).map_err(failed)?;
                    let standing = Standing { due: Some(scene.now), ..standing };
                    store.slots.put_standing(&parked, Some(&standing)).map_err(failed)?;
                    changed = true;
                }
            }
            store.slots.keep();
        }
        Ok(changed)
    }
}

impl Core {
    /// What waits in the stores of a task that is about to run.
    pub(super) fn load_parked(&mut self, at: usize, mono: Duration) -> Result<(), (usize, state::Error)> {
        let now = self.now(mono);
        let scene = Scene { program: &self.parts.program, sources: &self.sources, now, mono };
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        if assignment.tasks[at].load_parked(scene)? {
            self.epoch.involve(at, mono);
        }
        Ok(())
    }

    /// Tasks whose inputs were paused because too much waits flow again when there is room.
    pub(super) fn relieve(&mut self) {
        let Some(assignment) = &mut self.assignment else { return };
        for (at, task) in assignment.tasks.iter_mut().enumerate() {
            let Some(crowded) = task.crowded.as_ref().filter(|_| task.state == TaskState::Running) else {
                continue;
            };
            // Of a store that cannot be read, others say so.
            if task.stores[crowded.store].has_room(crowded).unwrap_or(false) {
                tracing::info!(task = %task.id, "there is room again for what waits: inputs flow");
                task.crowded = None;
                self.to_resume.push(at);
            }
        }
    }

    /// An epoch has committed, or was rolled back: for the tasks that had a part in it.
    pub(super) fn settle_tasks(&mut self, tasks: &[usize], committed: Option<Duration>) {
        self.sweeping.look_soon();
        let Some(assignment) = &mut self.assignment else { return };
        for task in tasks {
            let task = &mut assignment.tasks[*task];
            task.stores.iter_mut().filter_map(|store| store.sweep.as_mut()).for_each(|sweep| sweep.settle(committed.is_some()));
            for breaker in &mut task.breakers {
                match committed {
                    Some(mono) => breaker.committed(mono),
                    None => breaker.forget(),
                }
            }
            for store in task.stores.iter_mut().filter(|store| !store.parked.touched.is_empty()) {
                store.settle_parked();
                store.note_parked(&self.parts.program.plan.stores[store.planned].name, task.id.partition);
            }
        }
    }
}

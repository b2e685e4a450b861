//! The sweep: stored states of an older shape are migrated in the background.
//!
//! A state is migrated whenever it is read. So that an old shape does not stay for ever, each store of a node whose states have a
//! later version than the first is gone through once, in the order of its keys, in small steps between epochs: heads are looked at,
//! and what is old is written by the node, in the epoch as a record's states are. A crash takes both back, the states and how far
//! the sweep has come.
//!
//! ```text
//!   unread ──▶ under way ⇄ in an epoch ──▶ over
//! ```
//!
//! How far it has come is a row of the store and its changelog, if it has one: a restart goes on there. A store without a changelog is
//! looked through again, which reads heads and nothing more. What cannot be migrated is left, counted and told once; a record that
//! meets it says why.

use super::core::Core;
use super::handling::Handling;
use super::task::{Assignment, OpenStore, Route, Scene, TaskState};
use super::{Error, Result};
use crate::failure::Failure;
use crate::node::Tries;
use crate::record::{RecordRef, Text};
use crate::state::layout::{Tag, entity};
use crate::state::{self, KeyRange};
use crate::topology::model::Start;
use bytes::Bytes;
use std::ops::Bound;
use std::time::Duration;

/// Heads that a step looks at, at most.
const LOOKED_MAX: u64 = 4_096;
/// States that a step writes, at most.
const WRITTEN_MAX: usize = 256;
/// After an epoch with states of a sweep was refused, others come first: what is wrong with them must not be blamed on it.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Nothing is to be done, or an epoch's outcome is waited for.
const NEVER: Duration = Duration::MAX;
/// Key of the row.
const ROW: &[u8] = b"sweep";
/// Offset of what comes from no log.
const NOWHERE: i64 = -1;

/// When a step is to be made.
#[derive(Debug, Default)]
pub(super) struct Sweeping {
    next: Duration,
    held_until: Duration,
}

impl Sweeping {
    /// A task runs, or an epoch has come to its end.
    pub(super) fn look_soon(&mut self) {
        self.next = self.held_until;
    }

    pub(super) fn next(&self) -> Option<Duration> {
        (self.next != NEVER).then_some(self.next)
    }
}

/// How far a sweep has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// The store's keys before this are done with; empty: none is.
    next: Bytes,
    over: bool,
    looked: u64,
    migrated: u64,
    failed: u64,
}

/// As others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepReport {
    /// The store, by its node.
    pub node: Text,
    /// The version that states come to.
    pub state_version: u32,
    /// States looked at.
    pub looked: u64,
    /// States written in the new shape.
    pub migrated: u64,
    /// States that could not be migrated.
    pub failed: u64,
    /// It has come to the end.
    pub over: bool,
}

/// The sweep of a store.
#[derive(Debug)]
pub(super) struct Sweep {
    version: u32,
    is_read: bool,
    committed: Progress,
    /// With the epoch that is open or on its way.
    open: Option<Progress>,
    /// States of a step.
    written_max: usize,
    /// That it is over.
    is_told: bool,
}

impl Sweep {
    /// Of a node whose states have this version; of the first version none is needed.
    pub(super) fn new(version: Option<u32>) -> Option<Self> {
        let version = version.filter(|version| *version > 1)?;
        Some(Self {
            version,
            is_read: false,
            committed: Progress::default(),
            open: None,
            written_max: WRITTEN_MAX,
            is_told: false,
        })
    }

    /// The outcome of an epoch.
    pub(super) fn settle(&mut self, is_committed: bool) {
        if let Some(open) = self.open.take().filter(|_| is_committed) {
            self.committed = open;
            self.written_max = (self.written_max * 2).min(WRITTEN_MAX);
        }
    }

    /// The cluster does not take an epoch with states of it: the next one has fewer. A single one is left as it is.
    fn refused(&mut self) {
        let Some(open) = &self.open else { return };
        if self.written_max == 1 {
            let Progress { looked, migrated, failed, .. } = self.committed;
            self.committed = Progress { looked, migrated, failed: failed + 1, ..open.clone() };
        }
        self.written_max = (self.written_max / 4).max(1);
    }

    fn row(&self, progress: &Progress) -> Bytes {
        let mut row = Vec::with_capacity(13 + progress.next.len());
        row.extend_from_slice(&self.version.to_be_bytes());
        row.extend_from_slice(&progress.failed.to_be_bytes());
        row.push(u8::from(progress.over));
        row.extend_from_slice(&progress.next);
        row.into()
    }

    /// Goes on where the row says, if it is about this version and nothing was left behind.
    fn read(&mut self, row: Option<&Bytes>) {
        self.is_read = true;
        let Some((version, rest)) = row.and_then(|row| row.split_first_chunk::<4>()) else { return };
        let Some((failed, rest)) = rest.split_first_chunk::<8>() else { return };
        let Some((over, next)) = rest.split_first() else { return };
        if (u32::from_be_bytes(*version), u64::from_be_bytes(*failed)) == (self.version, 0) {
            self.committed = Progress { next: Bytes::copy_from_slice(next), over: *over == 1, ..Progress::default() };
        }
    }

    fn is_over(&self) -> bool {
        self.is_read && self.committed.over && self.open.is_none()
    }

    fn report(&self, node: &Text) -> SweepReport {
        let Progress { looked, migrated, failed, over, .. } = self.committed;
        SweepReport { node: node.clone(), state_version: self.version, looked, migrated, failed, over }
    }
}

/// The version of states that a store has come to, or is coming to, as its row says.
pub(super) fn version_of(store: &dyn state::Store) -> state::Result<Option<u32>> {
    let row = store.get(&Tag::Own.key(ROW))?;
    Ok(row.as_ref().and_then(|row| row.first_chunk()).map(|version| u32::from_be_bytes(*version)))
}

/// What a look at a store has found.
struct Found {
    /// Keys of old states, with what is stored.
    old: Vec<(Bytes, Bytes)>,
    progress: Progress,
}

impl OpenStore {
    fn is_swept(&self) -> bool {
        self.sweep.as_ref().is_none_or(|sweep| sweep.is_told)
    }

    /// Looks on from where the sweep stands.
    fn look(&self, sweep: &Sweep) -> state::Result<Found> {
        let (_, end) = Tag::State.range(&[]);
        let from = match sweep.committed.next.is_empty() {
            true => Tag::State.range(&[]).0,
            false => Bound::Included(sweep.committed.next.clone()),
        };
        let range: KeyRange = (from, end);
        let (mut old, mut progress, mut last) = (Vec::new(), sweep.committed.clone(), Vec::new());
        let mut looked = 0;
        self.slots.store().scan(&range, &mut |key, stored| {
            looked += 1;
            last.clear();
            last.extend_from_slice(key);
            match entity::split(stored).and_then(|(head, _)| entity::read_head(head)) {
                Ok(head) if head.state_version < sweep.version => {
                    old.push((Bytes::copy_from_slice(&key[1..]), Bytes::copy_from_slice(stored)));
                }
                Ok(head) if head.state_version == sweep.version => {}
                Ok(_) | Err(_) => progress.failed += 1,
            }
            looked < LOOKED_MAX && old.len() < sweep.written_max
        })?;
        progress.looked += looked;
        progress.over = looked < LOOKED_MAX && old.len() < sweep.written_max;
        // The first key behind the last one.
        last.push(0);
        progress.next = last.into();
        Ok(Found { old, progress })
    }
}

impl Core {
    /// One small step of a sweep, if one is under way: at most one in an epoch.
    pub(super) fn sweep(&mut self, mono: Duration) -> Result<()> {
        if mono < self.sweeping.next || self.in_flight.is_some() {
            return Ok(());
        }
        self.sweeping.next = NEVER;
        let now = self.now(mono);
        let Some(assignment) = &mut self.assignment else { return Ok(()) };
        let stores = assignment.tasks.iter().enumerate().filter(|(_, task)| task.is_running());
        let mut stores =
            stores.flat_map(|(at, task)| task.stores.iter().enumerate().map(move |(number, store)| (at, number, store)));
        let Some((at, number, store)) = stores.find(|(_, _, store)| !store.is_swept()) else { return Ok(()) };
        if store.sweep.as_ref().is_some_and(|sweep| sweep.open.is_some()) {
            return Ok(());
        }
        if store.sweep.as_ref().is_some_and(Sweep::is_over) {
            self.sweeping.next = mono.max(self.sweeping.held_until);
            self.tell_swept(at, number);
            return Ok(());
        }
        let scene = Scene { program: &self.parts.program, sources: &self.sources, now, mono };
        let wrote = match step(scene, assignment, &mut self.epoch, (at, number)) {
            Ok(wrote) => wrote,
            Err(error @ (state::Error::Damaged { .. } | state::Error::Unreadable { .. })) => {
                tracing::error!(task = %assignment.tasks[at].id, %error, "a store cannot be gone through");
                assignment.tasks[at].state = TaskState::Halted(super::task::Standstill::Damaged(number));
                return Ok(());
            }
            Err(error) => return Err(Error::State(error)),
        };
        if !wrote {
            // Nothing waits for an epoch.
            self.sweeping.next = mono.max(self.sweeping.held_until);
        }
        self.note_sweep(at, number);
        Ok(())
    }

    /// A sweep has come to its end, and that is committed.
    fn tell_swept(&mut self, at: usize, number: usize) {
        let assignment = self.assignment.as_mut().expect("a sweep is of an assignment");
        let task = &mut assignment.tasks[at];
        let store = &mut task.stores[number];
        let Some(sweep) = &mut store.sweep else { return };
        sweep.is_told = true;
        let node = &self.parts.program.plan.stores[store.planned].name;
        let SweepReport { state_version, looked, migrated, failed, .. } = sweep.report(node);
        match failed {
            0 => {
                tracing::info!(task = %task.id, %node, state_version, looked, migrated, "stored states are in their present shape")
            }
            _ => tracing::warn!(task = %task.id, %node, state_version, looked, migrated, failed,
                "stored states are in their present shape, but for some that cannot be migrated; a record that meets one says why"),
        }
        self.note_sweep(at, number);
    }

    /// An epoch with states of a sweep was refused.
    pub(super) fn narrow_sweeps(&mut self, mono: Duration) {
        self.sweeping.held_until = mono.saturating_add(REFUSED_FOR);
        for store in self.assignment.iter_mut().flat_map(|assignment| &mut assignment.tasks).flat_map(|task| &mut task.stores) {
            store.sweep.iter_mut().for_each(Sweep::refused);
        }
    }

    /// Tells how far it is.
    fn note_sweep(&self, at: usize, number: usize) {
        let task = self.task(at);
        let store = &task.stores[number];
        let Some(sweep) = &store.sweep else { return };
        let node = &self.parts.program.plan.stores[store.planned].name;
        let report = sweep.report(node);
        store.metrics.note_sweep(!report.over);
        task.gauges.note_sweep(report);
    }
}

/// One step; says whether it wrote anything.
fn step(
    scene: Scene<'_>,
    assignment: &mut Assignment,
    epoch: &mut super::epoch::Epoch,
    (at, number): (usize, usize),
) -> state::Result<bool> {
    let Assignment { tasks, inputs, .. } = assignment;
    let task = &mut tasks[at];
    let store = &mut task.stores[number];
    let (planned, is_logged) = (store.planned, store.is_logged());
    let mut sweep = store.sweep.take().expect("a store that is not swept has a sweep");
    if !sweep.is_read {
        let row = if is_logged { store.slots.row(Tag::Own, ROW) } else { Ok(None) };
        sweep.read(row.as_ref().map_or(None, |row| row.as_ref()));
        if !sweep.committed.over {
            let node = &scene.program.plan.stores[planned].name;
            let (state_version, goes_on) = (sweep.version, !sweep.committed.next.is_empty());
            tracing::info!(task = %task.id, %node, state_version, goes_on, "stored states are gone through for older shapes");
        }
    }
    if sweep.committed.over {
        store.sweep = Some(sweep);
        return Ok(false);
    }
    let found = store.look(&sweep);
    let version = sweep.version;
    store.sweep = Some(sweep);
    let Found { old, mut progress } = found?;
    let node = scene.program.plan.stores[planned].node;
    let topic = scene.program.plan.stores[planned].snapshots.map_or("", |topic| &scene.program.plan.topics[topic].name);
    let route = Route { node, store: Some(number), start: Start::default(), max_age: None, breaker: None };
    let input = &inputs[task.inputs[0]];
    let mut first_failure: Option<Failure> = None;
    let mut migrated = 0;
    for (key, stored) in &old {
        if entity::read(stored).is_err() {
            progress.failed += 1;
            continue;
        }
        let (partition, timestamp, key) = (task.id.partition, scene.now, Some(&key[..]));
        let record = RecordRef { topic, partition, offset: NOWHERE, timestamp, key, value: None, headers: &[] };
        let tries = Tries { attempts: 1, first_at: scene.now };
        let (mark, figures) = (epoch.mark(), epoch.figures);
        let mut handling = Handling { scene, epoch: &mut *epoch, task: &mut *task, input, record: &record, tries, again: None };
        let done = handling
            .attempt(&route, &record, " at a migration", |node, context| node.migrate(record.key.unwrap_or_default(), context));
        match done {
            Ok(Ok(is_migrated)) => migrated += u64::from(is_migrated),
            Ok(Err(failure)) => {
                progress.failed += 1;
                first_failure.get_or_insert(failure);
            }
            Err(why) => {
                epoch.rollback_to(mark);
                epoch.figures = figures;
                task.state = TaskState::Halted(why);
                break;
            }
        }
        task.stores[number].slots.keep();
    }
    if let Some(failure) = first_failure {
        let node = &scene.program.plan.stores[planned].name;
        tracing::warn!(task = %task.id, %node, state_version = version, %failure, "a stored state cannot be migrated");
    }
    let store = &mut task.stores[number];
    let sweep = store.sweep.as_mut().expect("it was put back");
    progress.migrated += migrated;
    if !task.state.eq(&TaskState::Running) {
        return Ok(true);
    }
    // That the end was reached is kept too.
    let wants_row = is_logged && (migrated > 0 || progress.over);
    if migrated == 0 && !wants_row {
        sweep.committed = progress;
        return Ok(false);
    }
    if wants_row {
        let row = sweep.row(&progress);
        store.slots.put_row(Tag::Own, ROW, Some(row))?;
        store.slots.keep();
    }
    sweep.open = Some(progress);
    epoch.figures.migrated += migrated;
    epoch.involve(at, scene.mono);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_where_to_go_on_or_is_passed_over() {
        let mut sweep = Sweep::new(Some(3)).expect("a later version");
        assert!(Sweep::new(Some(1)).is_none() && Sweep::new(None).is_none());
        let here = Progress { next: Bytes::from_static(b"\x01k\0"), looked: 9, migrated: 4, ..Progress::default() };
        let row = sweep.row(&here);
        let read = |row: &[u8], version| {
            let mut sweep = Sweep::new(Some(version)).expect("a later version");
            sweep.read(Some(&Bytes::copy_from_slice(row)));
            (sweep.committed.next.clone(), sweep.committed.over)
        };
        assert_eq!(read(&row, 3), (here.next.clone(), false));
        assert_eq!(read(&row, 4), (Bytes::new(), false), "of another version");
        let behind = sweep.row(&Progress { failed: 1, over: true, ..here.clone() });
        assert_eq!(read(&behind, 3), (Bytes::new(), false), "what was left behind is tried again");
        for cut in 0..13 {
            assert_eq!(read(&row[..cut], 3), (Bytes::new(), false), "{cut}");
        }
        sweep.open = Some(here.clone());
        sweep.settle(false);
        assert_eq!(sweep.committed, Progress::default(), "a rollback takes it back");
        for _ in 0..5 {
            sweep.open = Some(here.clone());
            sweep.refused();
            sweep.settle(false);
        }
        assert_eq!(
            (sweep.written_max, &sweep.committed.next, sweep.committed.failed),
            (1, &here.next, 1),
            "one is left behind"
        );
    }
}

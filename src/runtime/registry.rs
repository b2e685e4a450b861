//! What runs in this process, for whoever asks from outside: readiness, progress, queries.
//!
//! The loop writes on every change of a task and after every commit; API threads read. Nobody waits for the loop, and what is
//! read is committed.

use super::SweepReport;
use crate::record::{Millis, Offset, Partition, Text, TopicPartition};
use crate::state::Store;
use crate::sync;
use crate::telemetry::{TasksByState, Telemetry};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

/// The transactions of one id are ended no more often than this.
const FENCE_AGAIN: Duration = Duration::from_secs(40);

/// A sub-topology on a partition: the unit of assignment, of state and of failure. Written `2_7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// Number of the sub-topology in the plan.
    pub subtopology: usize,
    /// Partition.
    pub partition: Partition,
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// What a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskPhase {
    /// Some of its inputs are assigned to other members: it cannot run until they are together.
    Waiting,
    /// Its stores are being brought up to date.
    Restoring,
    /// It processes records.
    Running,
    /// It stands before a record, or an input, until an operator acts.
    Halted(Halt),
}

/// Why and where a task stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Input it stands at.
    pub input: TopicPartition,
    /// The record it stands before, where there is one.
    pub offset: Option<Offset>,
    /// For people.
    pub reason: String,
}

/// Where a store of a running task can be read.
#[derive(Clone)]
pub struct Reader {
    /// The committed state.
    pub store: Arc<dyn Store>,
    /// Wall time of the last commit that it follows.
    pub committed_at: Millis,
}

/// What is known here about a store's partition.
#[derive(Clone)]
pub enum Lookup {
    /// It runs here.
    Running(Reader),
    /// It will be here once it is restored.
    Restoring {
        /// Changelog records read.
        done: u64,
        /// Changelog records to be read in all, as far as is known.
        total: u64,
    },
    /// It is here and stands still.
    Halted(Reader, Halt),
    /// It is not here.
    Elsewhere,
}

/// A task as it is now.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Which one.
    pub id: TaskId,
    /// Name of its sub-topology.
    pub name: Text,
    /// Worker thread.
    pub thread: usize,
    /// What it is doing.
    pub phase: TaskPhase,
    /// Records between the committed positions and the ends of its inputs, as far as is known.
    pub lag: u64,
    /// Changelog records read by its restore.
    pub restored: u64,
    /// Changelog records that its restore has to read in all.
    pub to_restore: u64,
    /// Stores whose states are gone through for older shapes, or were.
    pub sweeps: Vec<SweepReport>,
}

/// Figures of a task that change too often for a lock.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    sweeps: Mutex<Vec<SweepReport>>,
    pub(super) lag: AtomicU64,
    pub(super) restored: AtomicU64,
    pub(super) to_restore: AtomicU64,
    pub(super) committed_at: AtomicI64,
}

impl Gauges {
    /// How far the sweep of a store is; one is told at most once in an epoch.
    pub(super) fn note_sweep(&self, report: SweepReport) {
        let mut sweeps = sync::lock(&self.sweeps);
        match sweeps.iter_mut().find(|known| known.node == report.node) {
            Some(known) => *known = report,
            None => sweeps.push(report),
        }
    }
}

struct Known {
    thread: usize,
    name: Text,
    phase: TaskPhase,
    /// By node; empty until the task runs.
    stores: Vec<(Text, Arc<dyn Store>)>,
    /// Nodes with state, whether they can be read yet or not.
    stateful: Vec<Text>,
    gauges: Arc<Gauges>,
}

/// All tasks of this process.
#[derive(Default)]
pub struct Registry {
    by_state: Option<TasksByState>,
    tasks: RwLock<BTreeMap<TaskId, Known>>,
    /// Which thread may write the stores of a task. A thread that has lost a task without knowing it yet may still have to write.
    locks: Mutex<BTreeMap<TaskId, usize>>,
    /// Ids whose transactions were ended lately, and when: every thread that takes something over from one finds the same id.
    fenced: Mutex<BTreeMap<Text, Duration>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry that tells how many tasks are in which state.
    pub(super) fn with_metrics(telemetry: &Telemetry, topology: &str) -> Self {
        Self { by_state: Some(TasksByState::new(telemetry, topology)), ..Self::default() }
    }

    fn count(&self, tasks: &BTreeMap<TaskId, Known>) {
        let Some(by_state) = &self.by_state else { return };
        let mut counts = [0_u32; 4];
        for entry in tasks.values() {
            counts[match entry.phase {
                TaskPhase::Waiting => 0,
                TaskPhase::Restoring => 1,
                TaskPhase::Running => 2,
                TaskPhase::Halted(_) => 3,
            }] += 1;
        }
        let gauges = [&by_state.waiting, &by_state.restoring, &by_state.running, &by_state.halted];
        gauges.into_iter().zip(counts).for_each(|(gauge, count)| gauge.set(f64::from(count)));
    }

    /// All tasks in order.
    pub fn tasks(&self) -> Vec<TaskReport> {
        let tasks = sync::read(&self.tasks);
        tasks
            .iter()
            .map(|(id, entry)| TaskReport {
                id: *id,
                name: entry.name.clone(),
                thread: entry.thread,
                phase: entry.phase.clone(),
                lag: entry.gauges.lag.load(Ordering::Relaxed),
                restored: entry.gauges.restored.load(Ordering::Relaxed),
                to_restore: entry.gauges.to_restore.load(Ordering::Relaxed),
                sweeps: sync::lock(&entry.gauges.sweeps).clone(),
            })
            .collect()
    }

    /// Where the state of a node's partition can be read.
    pub fn find(&self, node: &str, partition: Partition) -> Lookup {
        let tasks = sync::read(&self.tasks);
        let held = tasks.iter().find(|(id, entry)| id.partition == partition && entry.stateful.iter().any(|name| name == node));
        let Some((_, entry)) = held else { return Lookup::Elsewhere };
        let reader = entry
            .stores
            .iter()
            .find(|(name, _)| name == node)
            .map(|(_, store)| Reader { store: store.clone(), committed_at: entry.gauges.committed_at.load(Ordering::Relaxed) });
        match (&entry.phase, reader) {
            (TaskPhase::Running, Some(reader)) => Lookup::Running(reader),
            (TaskPhase::Halted(halt), Some(reader)) => Lookup::Halted(reader, halt.clone()),
            (TaskPhase::Waiting, _) => Lookup::Elsewhere,
            _ => Lookup::Restoring {
                done: entry.gauges.restored.load(Ordering::Relaxed),
                total: entry.gauges.to_restore.load(Ordering::Relaxed),
            },
        }
    }

    /// Takes the right to write a task's stores; false while another thread has it.
    pub(super) fn lock(&self, id: TaskId, thread: usize) -> bool {
        *sync::lock(&self.locks).entry(id).or_insert(thread) == thread
    }

    /// Gives it back.
    pub(super) fn unlock(&self, id: TaskId, thread: usize) {
        let mut locks = sync::lock(&self.locks);
        if locks.get(&id) == Some(&thread) {
            locks.remove(&id);
        }
    }

    /// Stores of all tasks of this process.
    pub(super) fn stores(&self) -> usize {
        let tasks = sync::read(&self.tasks);
        tasks.values().map(|task| task.stateful.len()).sum()
    }

    /// May the transaction of this id be ended now? Once in a while only: a live worker that is fenced again and again ends.
    pub(super) fn may_fence(&self, id: &Text, mono: Duration) -> bool {
        let mut fenced = sync::lock(&self.fenced);
        fenced.retain(|_, at| mono < *at + FENCE_AGAIN);
        match fenced.entry(id.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(mono);
                true
            }
        }
    }

    /// It was not ended.
    pub(super) fn fence_failed(&self, id: &Text) {
        sync::lock(&self.fenced).remove(id);
    }

    pub(super) fn enter(&self, id: TaskId, thread: usize, name: Text, stateful: Vec<Text>, phase: TaskPhase) -> Arc<Gauges> {
        let gauges = Arc::new(Gauges::default());
        let entry = Known { thread, name, phase, stores: Vec::new(), stateful, gauges: gauges.clone() };
        // A thread that comes by a task before another one of this process has let go of it takes the entry over: the other
        // removes only what is still its own.
        let mut tasks = sync::write(&self.tasks);
        tasks.insert(id, entry);
        self.count(&tasks);
        gauges
    }

    pub(super) fn phase(&self, id: TaskId, thread: usize, phase: TaskPhase, stores: Option<Vec<(Text, Arc<dyn Store>)>>) {
        let mut tasks = sync::write(&self.tasks);
        if let Some(entry) = tasks.get_mut(&id).filter(|entry| entry.thread == thread) {
            entry.phase = phase;
            if let Some(stores) = stores {
                entry.stores = stores;
            }
        }
        self.count(&tasks);
    }

    pub(super) fn leave(&self, id: TaskId, thread: usize) {
        let mut tasks = sync::write(&self.tasks);
        if tasks.get(&id).is_some_and(|entry| entry.thread == thread) {
            tasks.remove(&id);
        }
        self.count(&tasks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_fenced_once_in_a_while_by_all_threads_together() {
        let registry = Registry::new();
        let (one, two) = (Text::from("t.b.00"), Text::from("t.b.01"));
        let at = Duration::from_secs;
        assert!(registry.may_fence(&one, at(100)));
        assert!(!registry.may_fence(&one, at(139)), "whichever thread asks");
        assert!(registry.may_fence(&two, at(101)), "another id");
        assert!(registry.may_fence(&one, at(140)), "after a while");
        registry.fence_failed(&one);
        assert!(registry.may_fence(&one, at(141)), "what was not ended is tried again");
    }
}

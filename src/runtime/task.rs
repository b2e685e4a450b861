//! Tasks: what happens with a record.
//!
//! ```text
//!            inputs together                 restored
//!   Waiting ───────────────▶ Restoring ─────────────────▶ Running ⇄ Halted ──▶ closed
//!                                ▲                            │        │
//!                                └──────── store damaged ─────┴────────┘
//! ```
//!
//! A task that halts stands *before* its record: nothing of the record is kept, its position stays, and what it has done before
//! is committed. When the epoch in which it halted is rolled back it runs again, and halts again at the same record.

use super::assignment::Sources;
use super::breaker::Breaker;
use super::epoch::Epoch;
use super::handling::Handling;
use super::parking::{Crowded, Parked};
use super::program::Program;
use super::punctuate::Act;
use super::registry::Gauges;
use super::sweep::Sweep;
use super::{Halt, TaskId, TaskPhase};
use crate::broker::Ownership;
use crate::node::Tries;
use crate::record::{Millis, Offset, RecordRef, Text, TopicPartition};
use crate::saga;
use crate::state::layout::{self, Role};
use crate::state::{Savepoint, Slots};
use crate::telemetry::{SagaMetrics, StoreMetrics, TaskMetrics};
use crate::topology::model::Start;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A sub-topology on a partition that is assigned to this thread.
pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) name: Text,
    pub(super) state: TaskState,
    /// Its inputs are not paused.
    pub(super) resumed: bool,
    /// Its inputs, by index.
    pub(super) inputs: Vec<usize>,
    /// Open once it restores.
    pub(super) stores: Vec<OpenStore>,
    /// Number of tasks of its sub-topology.
    pub(super) tasks: u32,
    pub(super) gauges: Arc<Gauges>,
    pub(super) metrics: TaskMetrics,
    /// More waits behind failed records than may: its inputs are paused until there is room.
    pub(super) crowded: Option<Crowded>,
    /// Of its nodes that halt when too much cannot be read.
    pub(super) breakers: Vec<Breaker>,
    /// A store was filled anew because something in it could not be read. When that happens again the changelog says so too.
    pub(super) read_anew: bool,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TaskState {
    /// Some of its inputs are elsewhere.
    Waiting,
    /// Its stores are being brought up to date.
    Restoring,
    /// It processes records.
    Running,
    /// It stands still.
    Halted(Standstill),
}

/// Why a task stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standstill {
    /// At a record, until an operator acts.
    Record(Halt),
    /// At an input that cannot be read, until an operator acts.
    Input(Halt),
    /// At an input that cannot be read for now: it is tried again.
    Unread(Halt),
    /// At a record whose schema is not known yet: it is decoded again.
    Undecoded(Halt),
    /// A record goes to a topic of which nothing is known: it is looked up.
    LookUp(Text),
    /// This store (by index) is damaged: it is set aside and restored.
    Damaged(usize),
    /// No room for what waits: the task runs on, and only its inputs stand still.
    Crowded(Crowded),
}

/// A store of a task, with its cache.
pub(super) struct OpenStore {
    /// Its index in the plan.
    pub(super) planned: usize,
    pub(super) slots: Slots,
    /// Its topics, and the offset that it has reached in each.
    pub(super) followed: Vec<Followed>,
    pub(super) metrics: StoreMetrics,
    /// Of a saga's store.
    pub(super) sagas: Option<SagaMetrics>,
    /// What waits in it behind failed records.
    pub(super) parked: Parked,
    /// Of a node that migrates states.
    pub(super) sweep: Option<Sweep>,
    /// At the start of the record in hand.
    before_record: Savepoint,
}

/// A changelog that a store follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    pub(super) role: Role,
    /// Index in the plan, and in the batch.
    pub(super) topic: u16,
    /// Next offset that is not in the store yet.
    pub(super) next_offset: Offset,
}

/// An input partition of this thread.
pub(super) struct Input {
    pub(super) partition: TopicPartition,
    /// Index of its topic in the plan; `None` for one that only a pattern reads.
    pub(super) topic: Option<usize>,
    /// Partitions of that topic.
    pub(super) partitions: Option<u32>,
    /// Its task, by index.
    pub(super) task: usize,
    /// Next offset to be processed.
    pub(super) position: Offset,
    /// Next offset to be processed by whoever comes after a crash now.
    pub(super) committed: Offset,
    /// The end, as far as is known.
    pub(super) end: Offset,
    /// The end as it was when the partition was assigned.
    pub(super) barrier: Offset,
    /// Timestamp of the record that was processed last.
    pub(super) time: Millis,
    /// The first offset that is still there, as far as is known.
    pub(super) start: Offset,
    /// The client's position is about the reading under way, and not about one before a seek.
    pub(super) fresh: bool,
    /// A record was processed since the last commit.
    pub(super) unsaved: bool,
    /// Its group has committed an offset.
    pub(super) has_committed: bool,
    /// Transactional id of the last one who committed it.
    pub(super) last_owner: Option<Text>,
    /// Its records come from other topics.
    pub(super) repartitioned: bool,
    /// Its topic by index in the plan, if operators write it.
    pub(super) inbox: Option<usize>,
    /// What is committed of it is deleted.
    pub(super) purged: bool,
    pub(super) routes: Arc<[Route]>,
}

/// A node that takes an input's records.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// The node, by index.
    pub(super) node: usize,
    /// Its store, by index among the task's.
    pub(super) store: Option<usize>,
    pub(super) start: Start,
    pub(super) max_age: Option<Millis>,
    /// Its breaker, by index among the task's.
    pub(super) breaker: Option<usize>,
}

/// A record on its way through its node once more.
pub(super) struct Again {
    /// The node of its dead letter.
    pub(super) node: Text,
    pub(super) routes: Arc<[Route]>,
    /// Its topic is read by the node itself, so its key and its partition belong together.
    pub(super) is_direct: bool,
}

/// All that is assigned to this thread, from the assignment to the release.
pub(super) struct Assignment {
    /// Captured when it arrived, before it was accepted.
    pub(super) ownership: Ownership,
    /// Tells answers to questions of an assignment before.
    pub(super) number: u64,
    pub(super) tasks: Vec<Task>,
    pub(super) inputs: Vec<Input>,
    pub(super) index: Index,
    /// The ends of the inputs are known as they were at this moment, or later.
    pub(super) ends_of: Millis,
    /// What happened by time and the cluster does not take the effects of, and what it said.
    pub(super) refused_acts: Vec<(Act, Text)>,
    /// Records that the cluster does not take the effects of: input, by index, offset, and what it said.
    pub(super) refused: Vec<(usize, Offset, Text)>,
}

/// From topic and partition to the input.
#[derive(Debug, Default)]
pub(super) struct Index {
    topics: Vec<(Text, Vec<Option<usize>>)>,
    /// Records of one topic come in runs.
    last: usize,
}

impl Index {
    pub(super) fn add(&mut self, partition: &TopicPartition, input: usize) {
        let at = match self.topics.iter().position(|(name, _)| *name == partition.topic) {
            Some(at) => at,
            None => {
                self.topics.push((partition.topic.clone(), Vec::new()));
                self.topics.len() - 1
            }
        };
        let inputs = &mut self.topics[at].1;
        let number = usize::try_from(partition.partition).expect("partitions count from 0");
        if inputs.len() <= number {
            inputs.resize(number + 1, None);
        }
        inputs[number] = Some(input);
    }

    pub(super) fn find(&mut self, topic: &str, partition: i32) -> Option<usize> {
        if self.topics.get(self.last).is_none_or(|(name, _)| name != topic) {
            self.last = self.topics.iter().position(|(name, _)| name == topic)?;
        }
        self.topics[self.last].1.get(usize::try_from(partition).ok()?).copied().flatten()
    }
}

impl OpenStore {
    pub(super) fn new(planned: usize, slots: Slots, followed: Vec<Followed>, metrics: StoreMetrics) -> Self {
        let before_record = slots.savepoint();
        Self { planned, slots, followed, metrics, sagas: None, parked: Parked::default(), sweep: None, before_record }
    }

    /// The store of a saga, whose instances are counted.
    pub(super) fn with_sagas(mut self, sagas: Option<SagaMetrics>) -> Self {
        self.sagas = sagas;
        self
    }

    /// The store of a node that migrates states.
    pub(super) fn with_sweep(mut self, sweep: Option<Sweep>) -> Self {
        self.sweep = sweep;
        self
    }

    /// Tells how many instances of a saga stand where. Of a store that cannot be read, others say so.
    pub(super) fn note_sagas(&self) {
        let Some(metrics) = &self.sagas else { return };
        let stored = self.slots.store().get(&layout::Tag::Own.key(saga::COUNTS_KEY));
        let counts = match stored {
            Ok(Some(stored)) => saga::Counts::read(&stored).unwrap_or_default(),
            _ => saga::Counts::default(),
        };
        metrics.note(saga::Status::ALL.map(|status| counts.of(status)), counts.stuck());
    }

    /// Does it follow a changelog, beside the topic of its states?
    pub(super) fn is_logged(&self) -> bool {
        self.followed.iter().any(|followed| followed.role == Role::Changelog)
    }

    /// The indexes by time of what it may keep. What is left of a changelog that is not followed any more is left alone.
    pub(super) fn watched(&self) -> impl Iterator<Item = layout::Index> + use<> {
        let is_logged = self.is_logged();
        layout::Index::ALL.into_iter().filter(move |index| is_logged || *index == layout::Index::States)
    }
}

impl Task {
    /// Notes how far behind its inputs are.
    pub(super) fn note_lag(&self, inputs: &[Input]) {
        let lag: Offset = self.inputs.iter().map(|input| (inputs[*input].end - inputs[*input].committed).max(0)).sum();
        self.gauges.lag.store(lag.unsigned_abs(), Ordering::Relaxed);
        self.metrics.lag.set(lag as f64);
    }

    /// Notes how far its restore is.
    pub(super) fn note_restored(&self, read: u64) {
        let restored = self.gauges.restored.fetch_add(read, Ordering::Relaxed) + read;
        let left = self.gauges.to_restore.load(Ordering::Relaxed).saturating_sub(restored);
        self.metrics.restore_left.set(left as f64);
    }

    /// Does it take records of an input? Of those that only wait for room, what an operator wants may make some.
    pub(super) fn reads(&self, input: &Input) -> bool {
        self.crowded.is_none() || input.inbox.is_some()
    }

    pub(super) fn is_running(&self) -> bool {
        self.state == TaskState::Running
    }

    /// As the registry tells it.
    pub(super) fn phase(&self) -> TaskPhase {
        match &self.state {
            TaskState::Waiting => TaskPhase::Waiting,
            TaskState::Restoring | TaskState::Halted(Standstill::Damaged(_)) => TaskPhase::Restoring,
            TaskState::Running | TaskState::Halted(Standstill::LookUp(_) | Standstill::Crowded(_)) => TaskPhase::Running,
            TaskState::Halted(
                Standstill::Record(halt) | Standstill::Input(halt) | Standstill::Unread(halt) | Standstill::Undecoded(halt),
            ) => TaskPhase::Halted(halt.clone()),
        }
    }
}

/// What is the same for all records of a poll.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) program: &'a Program,
    pub(super) sources: &'a Sources,
    pub(super) now: Millis,
    pub(super) mono: Duration,
}

impl Assignment {
    /// Lets the nodes that take a record handle it, within the epoch.
    pub(super) fn process(&mut self, scene: Scene<'_>, epoch: &mut Epoch, record: &RecordRef<'_>) {
        let at = self.index.find(record.topic, record.partition).expect("records come for accepted partitions only");
        let input = &mut self.inputs[at];
        let task = &mut self.tasks[input.task];
        if !task.is_running() || !task.resumed || !task.reads(input) {
            // It halted or paused at a record before this one, in the same poll, or its seek has not succeeded yet. What follows is read
            // again, or by somebody else.
            assert!(
                matches!(task.state, TaskState::Halted(_) | TaskState::Running),
                "records come for resumed partitions only"
            );
            return;
        }
        assert!(record.offset >= input.position, "no record comes twice, or before the one resumed at");
        (input.fresh, input.unsaved) = (true, true);
        epoch.involve(input.task, scene.mono);
        for store in &mut task.stores {
            store.before_record = store.slots.savepoint();
        }
        if let Some((_, _, reason)) = self.refused.iter().find(|(input, offset, _)| (*input, *offset) == (at, record.offset)) {
            let reason = format!("the cluster does not take what follows from it: {reason}");
            let halt = Halt { input: input.partition.clone(), offset: Some(record.offset), reason };
            task.state = TaskState::Halted(Standstill::Record(halt));
            return;
        }
        let (mark, figures) = (epoch.mark(), epoch.figures);
        epoch.figures.records_in += 1;
        let bytes = record.size_bytes();
        epoch.figures.bytes_in += bytes as u64;
        epoch.tallies.read[usize::from(input.repartitioned)].add(bytes);
        let tries = Tries { attempts: 1, first_at: scene.now };
        let result = Handling { scene, epoch, task, input, record, tries, again: None }.run();
        match result {
            Ok(()) => {
                input.position = record.offset + 1;
                input.time = record.timestamp;
                epoch.last = Some((at, record.offset));
                for store in &mut task.stores {
                    store.slots.keep();
                }
            }
            Err(why) => {
                epoch.rollback_to(mark);
                epoch.figures = figures;
                for store in &mut task.stores {
                    store.slots.rollback_to(store.before_record);
                }
                match why {
                    Standstill::Crowded(crowded) => task.crowded = Some(crowded),
                    why => task.state = TaskState::Halted(why),
                }
            }
        }
    }
}

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
use super::context::StepContext;
use super::epoch::Epoch;
use super::meters::Note;
use super::program::Program;
use super::punctuate::Act;
use super::registry::Gauges;
use super::{Halt, TaskId, TaskPhase};
use crate::broker::Ownership;
use crate::codec::Event;
use crate::failure::{Class, Failure, Stage};
use crate::node::{Input as NodeInput, Node, REPLAY_HEADER, Replay, Road, Stop, first_read};
use crate::record::{Millis, Offset, RecordRef, Text, TopicPartition};
use crate::saga;
use crate::state::layout::{self, Role};
use crate::state::{self, Savepoint, Slots};
use crate::telemetry::{SagaMetrics, StoreMetrics, TaskMetrics};
use crate::topology::model::Start;
use crate::topology::plan::NodeKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So many bytes of a key are told of a record that halts its task.
const KEY_TOLD: usize = 100;

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
    /// A record goes to a topic of which nothing is known: it is looked up.
    LookUp(Text),
    /// This store (by index) is damaged: it is set aside and restored.
    Damaged(usize),
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
        Self { planned, slots, followed, metrics, sagas: None, before_record }
    }

    /// The store of a saga, whose instances are counted.
    pub(super) fn with_sagas(mut self, sagas: Option<SagaMetrics>) -> Self {
        self.sagas = sagas;
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

    /// The indexes by time of what it may keep. What is left of a changelog that is not followed any more is left alone.
    pub(super) fn watched(&self) -> impl Iterator<Item = layout::Index> + use<> {
        let is_logged = self.followed.iter().any(|followed| followed.role == Role::Changelog);
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

    pub(super) fn is_running(&self) -> bool {
        self.state == TaskState::Running
    }

    /// As the registry tells it.
    pub(super) fn phase(&self) -> TaskPhase {
        match &self.state {
            TaskState::Waiting => TaskPhase::Waiting,
            TaskState::Restoring | TaskState::Halted(Standstill::Damaged(_)) => TaskPhase::Restoring,
            TaskState::Running | TaskState::Halted(Standstill::LookUp(_)) => TaskPhase::Running,
            TaskState::Halted(Standstill::Record(halt) | Standstill::Input(halt) | Standstill::Unread(halt)) => {
                TaskPhase::Halted(halt.clone())
            }
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
        if !task.is_running() || !task.resumed {
            // It halted at a record before this one, in the same poll, or its seek has not succeeded yet. What follows is read
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
        let result = Handling { scene, epoch, task, input, record, again: None }.run();
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
                task.state = TaskState::Halted(why);
            }
        }
    }
}

/// A record on its way through the nodes of its task; or, with what is due in place of a record, a timer.
pub(super) struct Handling<'a, 'r> {
    pub(super) scene: Scene<'a>,
    pub(super) epoch: &'a mut Epoch,
    pub(super) task: &'a mut Task,
    pub(super) input: &'a Input,
    pub(super) record: &'a RecordRef<'r>,
    /// It comes once more, by an operator's hand.
    pub(super) again: Option<Again>,
}

impl Handling<'_, '_> {
    fn run(&mut self) -> Result<(), Standstill> {
        let input = self.input;
        if input.routes.is_empty() {
            self.epoch.figures.untaken += 1;
            return Ok(());
        }
        if let Some(inbox) = input.inbox {
            return self.once_more(inbox);
        }
        if !input.repartitioned {
            return self.read(input.topic, input.partitions, self.record);
        }
        let mut headers = Vec::new();
        match first_read(self.record, &mut headers) {
            // It lies where another key put it: nothing follows from its partition.
            Ok(origin) => self.read(self.scene.program.topic(origin.topic), None, &origin),
            Err(failure) => self.undecodable(self.record, &failure),
        }
    }

    /// Acts on its instances are a saga's own matter; what else is in an inbox are records that failed before.
    fn once_more(&mut self, inbox: usize) -> Result<(), Standstill> {
        let Scene { program, sources, .. } = self.scene;
        let node = self.input.routes[0].node;
        let Some(replay) = Replay::of(self.record) else {
            if matches!(program.plan.nodes[node].kind, NodeKind::Saga(_)) {
                return self.read(Some(inbox), self.input.partitions, self.record);
            }
            return self.undecodable(self.record, &no_replay(format!("header `{REPLAY_HEADER}` is missing or wrong")));
        };
        let mut headers = Vec::new();
        let origin = match first_read(self.record, &mut headers) {
            Ok(origin) => origin,
            Err(failure) => return self.undecodable(self.record, &failure),
        };
        let Some(again) = sources.again(self.task.id.subtopology, &replay, origin.topic) else {
            return self.undecodable(
                self.record,
                &no_replay(format!("there is no node `{}` beside `{}`", replay.node, self.task.name)),
            );
        };
        self.epoch.tallies.notes.push((node_index(&again.routes[0]), Note::Remark("replayed")));
        let partitions = again.is_direct.then_some(self.task.tasks);
        self.again = Some(again);
        self.read(program.topic(origin.topic), partitions, &origin)
    }

    /// The nodes that take the record.
    fn routes(&self) -> Arc<[Route]> {
        self.again.as_ref().map_or(&self.input.routes, |again| &again.routes).clone()
    }

    fn read(&mut self, topic: Option<usize>, partitions: Option<u32>, record: &RecordRef<'_>) -> Result<(), Standstill> {
        let decoder = self.scene.program.decoder(topic);
        match catch_unwind(AssertUnwindSafe(|| decoder.decode(record))) {
            Ok(Ok(Some(event))) => self.steps(topic, partitions, record, &event),
            Ok(Ok(None)) => {
                self.epoch.figures.without_value += 1;
                Ok(())
            }
            Ok(Err(failure)) => self.undecodable(record, &failure),
            Err(panic) => Err(self.halt(format!("a panic while decoding: {}", super::driver::panic_text(&*panic)))),
        }
    }

    fn steps(
        &mut self,
        topic: Option<usize>,
        partitions: Option<u32>,
        record: &RecordRef<'_>,
        event: &Event,
    ) -> Result<(), Standstill> {
        let routes = self.routes();
        for route in &*routes {
            self.step(route, &NodeInput { topic, partitions, record, event })?;
        }
        Ok(())
    }

    /// One node, one record: its effects, or those of its failure.
    fn step(&mut self, route: &Route, input: &NodeInput<'_>) -> Result<(), Standstill> {
        if let Some(max_age) = route.max_age
            && input.record.timestamp >= 0
            && self.scene.now.saturating_sub(input.record.timestamp) > max_age
        {
            let failure = Failure::new(
                Class::Permanent,
                "EXPIRED",
                Stage::Decode,
                format!("the record is of {} and its source takes none older than {max_age} ms", input.record.timestamp),
            );
            return self.fail(route, input.record, Some(input.event), &failure);
        }
        let result = self.attempt(route, input.record, "", |node, context| {
            let result = node.step(input, context);
            match result {
                Ok(_) | Err(Stop::Record(_)) if context.misplaced => {
                    let message = "the record lies in another partition than its key belongs to";
                    Err(Failure::new(Class::Undecodable, "KEY_MISMATCH", Stage::Key, message).into())
                }
                result => result,
            }
        })?;
        match result {
            Ok(outcome) => {
                self.epoch.count_outcome(node_index(route), outcome);
                Ok(())
            }
            Err(failure) => self.fail(route, input.record, Some(input.event), &failure),
        }
    }

    /// Lets a node act on a record, as a whole: of what fails nothing is left. Either the record fails, or its task stands still.
    pub(super) fn attempt<T>(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        when: &str,
        act: impl FnOnce(&dyn Node, &mut StepContext<'_>) -> Result<T, Stop>,
    ) -> Result<Result<T, Failure>, Standstill> {
        let node = &self.scene.program.nodes[route.node];
        let mark = self.epoch.mark();
        let mut context = self.context(route, record);
        let before = context.store.as_ref().map(|store| store.slots.savepoint());
        let failure = match catch_unwind(AssertUnwindSafe(|| act(&**node, &mut context))) {
            Ok(Ok(done)) => return Ok(Ok(done)),
            Ok(Err(Stop::Record(failure))) => failure,
            Ok(Err(Stop::State(error))) => self.state_failure(route, error)?,
            Err(panic) => {
                let what = super::driver::panic_text(&*panic);
                return Err(self.halt(format!("a panic in node `{}`{when}: {what}", node.name())));
            }
        };
        self.epoch.rollback_to(mark);
        if let (Some(store), Some(before)) = (route.store, before) {
            self.task.stores[store].slots.rollback_to(before);
        }
        Ok(Err(failure))
    }

    /// The road of a record that failed at a node.
    fn fail(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
    ) -> Result<(), Standstill> {
        self.look_up()?;
        let node = &self.scene.program.nodes[route.node];
        self.epoch.count_failure(node_index(route));
        if failure.class() == Class::Engine || node.road(failure) == Road::Stop {
            return Err(self.halt(format!("node `{}`: {failure}", node.name())));
        }
        let written = self.context(route, record).write_letter(failure);
        written.map_err(|error| self.halt(format!("its dead letter cannot be written: {error}")))?;
        self.after_failure(route, record, event, failure)
    }

    /// What a node sends beside a dead letter. When that fails too, the letter alone has to do.
    fn after_failure(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
    ) -> Result<(), Standstill> {
        let emit = |node: &dyn Node, context: &mut StepContext<'_>| node.failed(record, event, failure, context);
        if self.attempt(route, record, " after a failure", emit)?.is_ok() {
            return Ok(());
        }
        self.look_up()?;
        self.epoch.tallies.notes.push((node_index(route), Note::Remark("failure_emit_failed")));
        Ok(())
    }

    /// One dead letter for the record, whoever reads it; every node that does may send beside it.
    fn undecodable(&mut self, record: &RecordRef<'_>, failure: &Failure) -> Result<(), Standstill> {
        let routes = self.routes();
        let nodes = &self.scene.program.nodes;
        self.epoch.count_failure(node_index(&routes[0]));
        if failure.class() == Class::Engine || routes.iter().any(|route| nodes[route.node].road(failure) == Road::Stop) {
            return Err(self.halt(failure.to_string()));
        }
        let name = self.again.as_ref().map_or(&self.task.name, |again| &again.node).clone();
        let mut context = self.context(&routes[0], record);
        context.node = &name;
        let written = context.write_letter(failure);
        written.map_err(|error| self.halt(format!("its dead letter cannot be written: {error}")))?;
        routes.iter().try_for_each(|route| self.after_failure(route, record, None, failure))
    }

    pub(super) fn context<'s>(&'s mut self, route: &Route, record: &'s RecordRef<'s>) -> StepContext<'s> {
        StepContext {
            program: self.scene.program,
            epoch: self.epoch,
            store: route.store.map(|store| &mut self.task.stores[store]),
            task: self.task.id,
            tasks: self.task.tasks,
            node: self.scene.program.nodes[route.node].name(),
            node_index: node_index(route),
            record,
            now: self.scene.now,
            mono: self.scene.mono,
            misplaced: false,
        }
    }

    /// A topic that nothing is known of is looked up before the record is judged.
    pub(super) fn look_up(&mut self) -> Result<(), Standstill> {
        self.epoch.outputs.unknown.take().map_or(Ok(()), |topic| Err(Standstill::LookUp(topic)))
    }

    /// A value that cannot be kept fails its record; anything else says nothing about the record.
    fn state_failure(&mut self, route: &Route, error: state::Error) -> Result<Failure, Standstill> {
        match error {
            state::Error::Refused { code, reason, .. } => Ok(Failure::new(Class::Permanent, code, Stage::Evolve, reason)),
            // Once, the disk may be to blame. Twice it is what the changelog says.
            error @ state::Error::Unreadable { .. } if std::mem::replace(&mut self.task.read_anew, true) => {
                let key = self.record.key.map(|key| String::from_utf8_lossy(&key[..key.len().min(KEY_TOLD)]).into_owned());
                let key = key.unwrap_or_default();
                Err(self.halt(format!("{error}; the record's key is `{key}`")))
            }
            state::Error::Damaged { .. } | state::Error::Unreadable { .. } => {
                Err(Standstill::Damaged(route.store.expect("a state error comes from the node's store")))
            }
            error => Err(self.halt(error.to_string())),
        }
    }

    pub(super) fn halt(&self, reason: String) -> Standstill {
        Standstill::Record(Halt {
            input: self.input.partition.clone(),
            offset: Some(self.record.offset).filter(|offset| *offset >= 0),
            reason,
        })
    }
}

fn no_replay(message: String) -> Failure {
    Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, message)
}

fn node_index(route: &Route) -> u16 {
    u16::try_from(route.node).expect("a plan's nodes are far fewer")
}

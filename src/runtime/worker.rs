//! The worker loop.
//!
//! [`Worker::step`] does what is to be done now and never blocks: signals, the lane's answer, and, unless an epoch is being
//! committed, records or an event of the consumer, a slice of restore, what is due by time, and the decision to seal.
//!
//! ```text
//!            Init ok             Assigned                seal                 Committed or RolledBack
//! Starting ─────────▶ Joining ─────────────▶ Running ───────────▶ Committing ─────────────────────────▶ Running   (then: go on)
//!                        ▲                    │   ▲                   │
//!                        │   Revoked, empty   │   └───────────────────┘
//!                        ├────────────────────┘                       │
//!                        └────────────────────────────────────────────┤                              (then: release)
//! any ── fatal error, fence limit ──▶ an error of `step`              └────────────▶ Stopped            (then: stop)
//! ```
//!
//! While an epoch is being committed the consumer is not polled: its heartbeats go on by themselves, a rebalance waits for the
//! outcome, and partitions are never lost in the middle of a commit that is still wanted.

use super::assignment::Sources;
use super::commit::{Commit, CommitSettings, Event, Sealed, Verdict};
use super::crash::point;
use super::epoch::Epoch;
use super::meters::{Meters, Tallies, Written};
use super::progress::Totals;
use super::restore::Restore;
use super::takeover::{Question, Takeover, What};
use super::task::{Assignment, Scene, Standstill, TaskState};
use super::{Error, Figures, Halt, Prepared, Program, Registry, Result, Settings, client_suffix, punctuate, shutdown};
use crate::broker::{
    Batch, Broker, ConsumerSettings, ErrorClass, GroupConsumer, Isolation, Limit, NewRecord, Polled, TransactionSettings,
    Trouble, TroubleKind, Wake,
};
use crate::clock::Clock;
use crate::record::{HeaderRef, Text, TopicPartition};
use crate::state::layout::HEADER;
use crate::state::{self, Checkpoint, Store, Stores, Write, layout};
use crate::telemetry::{Rebalance, Telemetry};
use crate::topology::model::StoreKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Topics are compared with the plan this often, when there is time.
const COUNTS_EVERY: Duration = Duration::from_secs(30);
/// How far behind the inputs are is asked this often, when there is time.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// What happens by time is looked for this often.
const PUNCTUATE_EVERY: Duration = Duration::from_secs(1);
/// A store that is full is tried again after so long.
const FULL_RETRY: Duration = Duration::from_millis(500);
/// Longest wait: bounds the harm of a wake-up that got lost.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// What a worker is made of.
pub struct Parts {
    /// What to run.
    pub program: Arc<Program>,
    /// The plan on its cluster.
    pub prepared: Arc<Prepared>,
    /// The cluster.
    pub broker: Arc<dyn Broker>,
    /// State on disk.
    pub stores: Arc<dyn Stores>,
    /// State of nodes that keep theirs in memory.
    pub memory: Arc<dyn Stores>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
    /// What runs in this process.
    pub registry: Arc<Registry>,
    /// Committed figures of this process.
    pub totals: Arc<Totals>,
    /// Metrics of this process.
    pub telemetry: Telemetry,
    /// Worker threads of this process that have not ended.
    pub siblings: Arc<AtomicUsize>,
    /// Id of the process among the group's.
    pub worker_id: Text,
    /// Number of the thread.
    pub thread: usize,
}

impl Parts {
    pub(super) fn stores_of(&self, kind: StoreKind) -> &dyn Stores {
        match kind {
            StoreKind::Disk => &*self.stores,
            StoreKind::Memory => &*self.memory,
        }
    }
}

/// What the loop wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// To be called again at once.
    Now,
    /// To be called again after so long, or when something wakes it.
    For(Duration),
    /// Nothing more: it has ended in order.
    Stopped,
}

/// One worker thread's loop. Dropped in the middle it is like a process that dies: what was not committed is read again.
pub struct Worker {
    wake: Wake,
    consumer: Option<Box<dyn GroupConsumer>>,
    core: Core,
}

/// All of a worker but its consumer, so that records can be processed while the consumer hands them over.
pub(super) struct Core {
    pub(super) parts: Parts,
    sources: Sources,
    pub(super) commit: Commit<Question>,
    pub(super) restore: Restore,
    pub(super) takeover: Takeover,
    pub(super) assignment: Option<Assignment>,
    /// Assignments so far.
    assignments: u64,
    pub(super) epoch: Epoch,
    /// The epoch that is being committed.
    in_flight: Option<InFlight>,
    /// Batches of committed epochs that could not be applied because the disk is full.
    unapplied: Vec<Unapplied>,
    /// Tasks whose inputs could not be sought yet.
    to_resume: Vec<usize>,
    /// When a store was found full.
    full_since: Option<Duration>,
    phase: Phase,
    stop: Option<Duration>,
    /// The last poll found nothing more.
    drained: bool,
    last_outcome: Duration,
    last_counts: Duration,
    last_lag: Duration,
    last_punctuated: Duration,
    last_positions: Duration,
    /// Figures that do not belong to an epoch.
    pub(super) figures: Figures,
    client_id: Text,
    pub(super) meters: Meters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Joining,
    Running,
    Stopped,
}

/// A sealed epoch and what is to be done when its outcome is known.
struct InFlight {
    number: u64,
    then: Then,
    batch: Arc<Batch>,
    /// By task and store.
    writes: Vec<(usize, usize, Vec<Write>)>,
    tasks: Vec<usize>,
    figures: Figures,
    tallies: Tallies,
    written: Written,
    sealed: Duration,
    /// From then on a rebalance waits no longer.
    deadline: Option<Duration>,
    /// Its tasks were let go: whatever its outcome is, nothing is left to apply it to.
    orphaned: bool,
}

struct Unapplied {
    task: usize,
    store: usize,
    batch: state::Batch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    Release,
    Stop,
}

impl Worker {
    /// A worker that is about to start. `wake` is called from other threads when there may be something to do.
    pub fn new(parts: Parts, wake: Wake) -> Result<Self> {
        let plan = &parts.program.plan;
        let id = Text::from(format!("{}.{}.{:02}", plan.topology, parts.worker_id, parts.thread));
        let client_id = Text::from(format!("{id}{}", client_suffix(plan)));
        let lane = parts.broker.transactions(&TransactionSettings {
            group: plan.topology.clone(),
            transactional_id: id.clone(),
            client_id: client_id.clone(),
            transaction_timeout: parts.settings.transaction_timeout,
            max_message_bytes: parts.prepared.topics.iter().map(|topic| topic.message_bytes_max).max().unwrap_or(1 << 20),
            wake: wake.clone(),
        });
        let commit = Commit::new(
            lane.map_err(Error::Broker)?,
            CommitSettings {
                id,
                run: parts.clock.draw(),
                lane_timeout: parts.settings.lane_timeout,
                trust_doubtful_producer: parts.settings.weakened.trust_doubtful_producer,
            },
        );
        let reader = parts.broker.log_reader(Isolation::ReadCommitted).map_err(Error::Broker)?;
        let sources = Sources::new(&parts.program, &parts.prepared).ok_or_else(|| Error::Broken {
            thread: parts.thread,
            message: "a source's pattern is no regular expression".into(),
        })?;
        let core = Core {
            sources,
            commit,
            restore: Restore::new(reader),
            takeover: Takeover::default(),
            assignment: None,
            assignments: 0,
            epoch: Epoch::new(&parts.program, &parts.prepared),
            in_flight: None,
            unapplied: Vec::new(),
            to_resume: Vec::new(),
            full_since: None,
            phase: Phase::Starting,
            stop: None,
            drained: true,
            last_outcome: Duration::ZERO,
            last_counts: parts.clock.mono(),
            last_lag: parts.clock.mono(),
            last_punctuated: Duration::ZERO,
            last_positions: Duration::ZERO,
            figures: Figures::default(),
            client_id,
            meters: Meters::new(&parts.telemetry, &parts.program),
            parts,
        };
        Ok(Self { wake, consumer: None, core })
    }

    /// Asks for an orderly end.
    pub fn ask_to_stop(&mut self) {
        let deadline = self.core.parts.clock.mono() + self.core.parts.settings.stop_deadline;
        self.core.stop.get_or_insert(deadline);
    }

    /// Has it had an assignment?
    pub fn has_joined(&self) -> bool {
        self.core.assignments > 0
    }

    /// Does what is to be done now; never blocks. After an error the worker is of no use any more.
    pub fn step(&mut self) -> Result<Wait> {
        let mono = self.core.parts.clock.mono();
        if self.core.phase == Phase::Stopped {
            return Ok(Wait::Stopped);
        }
        if self.core.stop.is_some_and(|deadline| mono >= deadline) {
            return Err(Error::StopDeadline);
        }
        if self.core.parts.settings.weakened.fresh_ownership
            && let Some(consumer) = &mut self.consumer
        {
            self.core.commit.replace_ownership(consumer.ownership());
        }
        while let Some(event) = self.core.commit.step(mono)? {
            self.happened(event, mono)?;
            if self.core.phase == Phase::Stopped {
                return Ok(Wait::Stopped);
            }
        }
        self.core.retry_unapplied(mono)?;
        if self.is_committing() {
            self.let_go_when_late(mono)?;
        }
        if !self.is_committing() && self.core.unapplied.is_empty() {
            self.go_on(mono)?;
        }
        self.core.tell_totals();
        Ok(self.core.wait(self.core.parts.clock.mono()))
    }

    /// A sealed epoch whose outcome matters is on its way.
    fn is_committing(&self) -> bool {
        self.core.in_flight.as_ref().is_some_and(|epoch| !epoch.orphaned)
    }

    /// Everything that is not done while an epoch is being committed.
    fn go_on(&mut self, mono: Duration) -> Result<()> {
        if self.core.stop.is_some() {
            return self.go_on_stopping(mono);
        }
        if self.core.phase == Phase::Starting {
            return Ok(());
        }
        if let Some(event) = self.poll(mono)? {
            self.rebalanced(event, mono)?;
        }
        let again = std::mem::take(&mut self.core.to_resume);
        self.resume(&again)?;
        if self.is_committing() {
            return Ok(());
        }
        self.core.go_on_taking_over(mono)?;
        if !self.core.restore.is_idle() {
            let ready = self.core.restore_slice(mono)?;
            self.run_tasks(&ready, mono)?;
        }
        self.core.note_time(mono)?;
        self.core.reset_damaged(mono)?;
        if self.core.wants_seal(mono) {
            self.core.seal(Then::GoOn, mono)?;
        }
        Ok(())
    }

    fn go_on_stopping(&mut self, mono: Duration) -> Result<()> {
        if self.core.epoch.opened.is_some() && self.core.in_flight.is_none() {
            return self.core.seal(Then::Stop, mono);
        }
        if self.core.in_flight.is_none() {
            self.finish()?;
        }
        Ok(())
    }

    /// Ends in order: everything is committed.
    fn finish(&mut self) -> Result<()> {
        self.core.release_tasks();
        if let Some(consumer) = self.consumer.take() {
            consumer.close(self.core.parts.settings.parting, self.core.parts.settings.session_timeout);
        }
        shutdown::rest(&*self.core.parts.stores, &self.core.parts.siblings)?;
        self.core.tell_totals();
        self.core.phase = Phase::Stopped;
        Ok(())
    }

    fn happened(&mut self, event: Event<Question>, mono: Duration) -> Result<()> {
        match event {
            Event::Ready => {
                let consumer = self.core.join(&self.wake)?;
                self.consumer = Some(consumer);
                self.core.phase = Phase::Joining;
                Ok(())
            }
            Event::Answer(question, answer) => {
                let ready = self.core.answered(question, answer, mono)?;
                self.run_tasks(&ready, mono)
            }
            Event::Verdict(verdict) => self.decided(verdict, mono),
        }
    }

    /// Hands records over until there are no more, or something else happens.
    fn poll(&mut self, mono: Duration) -> Result<Option<Polled>> {
        let Some(consumer) = &mut self.consumer else { return Ok(None) };
        let core = &mut self.core;
        let settings = &core.parts.settings;
        let limit = Limit { records: settings.poll_records_max, time: settings.poll_time };
        let scene = Scene { program: &core.parts.program, now: core.parts.clock.wall(), mono };
        let (assignment, epoch) = (&mut core.assignment, &mut core.epoch);
        let polled = consumer.poll(limit, &mut |record| {
            let assignment = assignment.as_mut().expect("records come between an assignment and its release");
            assignment.process(scene, epoch, &record);
        });
        core.drained = !matches!(polled, Polled::Full);
        self.pause_halted()?;
        match polled {
            Polled::Full => Ok(None),
            Polled::Idle => {
                self.note_positions(mono);
                Ok(None)
            }
            event => Ok(Some(event)),
        }
    }

    /// Tasks that halted in the last poll get no more records.
    fn pause_halted(&mut self) -> Result<()> {
        let (Some(consumer), Some(assignment)) = (&mut self.consumer, &mut self.core.assignment) else { return Ok(()) };
        let mut halted = Vec::new();
        for (at, task) in assignment.tasks.iter_mut().enumerate() {
            if task.resumed && matches!(task.state, TaskState::Halted(_)) {
                let inputs = task.inputs.iter().map(|input| assignment.inputs[*input].partition.clone());
                consumer.pause(&inputs.collect::<Vec<_>>()).map_err(Error::Broker)?;
                task.resumed = false;
                halted.push(at);
            }
        }
        for task in halted {
            self.core.tell_phase(task);
            if let TaskState::Halted(Standstill::LookUp(topic)) = self.core.task(task).state.clone() {
                self.core.ask(What::LookUp(topic));
            }
        }
        Ok(())
    }

    /// Control markers and aborted records at the end of an input move its position too, else its lag would never be nothing.
    fn note_positions(&mut self, mono: Duration) {
        let core = &mut self.core;
        if mono < core.last_positions + core.parts.settings.idle_commit_interval {
            return;
        }
        core.last_positions = mono;
        let (Some(consumer), Some(assignment)) = (&self.consumer, &mut core.assignment) else { return };
        for input in &mut assignment.inputs {
            let task = &assignment.tasks[input.task];
            // Only once a record came since reading began here: before, the client may still tell of an earlier reading.
            if !input.fresh || !task.is_running() {
                continue;
            }
            if let Some(position) = consumer.position(&input.partition).filter(|position| *position > input.position) {
                input.position = position;
                core.epoch.involve(input.task, mono);
            }
        }
    }

    /// An event of the consumer that is not a record.
    fn rebalanced(&mut self, event: Polled, mono: Duration) -> Result<()> {
        match event {
            Polled::Idle | Polled::Full => Ok(()),
            Polled::Assigned(partitions) => self.assigned(&partitions, mono),
            Polled::Revoked { lost: true } => {
                tracing::warn!("partitions were lost: what is not committed is dropped");
                self.core.meters.thread.rebalanced(Rebalance::Lost);
                self.release()
            }
            Polled::Revoked { lost: false } => {
                self.core.meters.thread.rebalanced(Rebalance::Revoked);
                if self.core.epoch.opened.is_none() || self.core.in_flight.is_some() {
                    return self.release();
                }
                point("c13")?;
                self.core.seal(Then::Release, mono)
            }
            Polled::Trouble(trouble) => self.core.troubled(&trouble).and_then(|()| self.pause_halted()),
            Polled::Fatal(error) if error.class == ErrorClass::Fenced => {
                Err(Error::Fenced { id: self.core.instance().unwrap_or_else(|| self.core.client_id.clone()) })
            }
            Polled::Fatal(error) => Err(Error::Broker(error)),
        }
    }

    fn assigned(&mut self, partitions: &[TopicPartition], mono: Duration) -> Result<()> {
        assert!(self.core.assignment.is_none(), "partitions are assigned after those before were released");
        let consumer = self.consumer.as_mut().expect("an event came from it");
        // Before the answer: taken then, it commits in its generation, and not in the next one.
        let ownership = consumer.ownership();
        consumer.accept(partitions).map_err(Error::Broker)?;
        let core = &mut self.core;
        tracing::debug!(client = %core.client_id, ?partitions, "assigned");
        core.meters.thread.rebalanced(Rebalance::Assigned);
        core.assignments += 1;
        core.phase = Phase::Running;
        core.takeover = Takeover::default();
        let place = (&*core.parts.registry, core.parts.thread, &core.parts.telemetry);
        let assignment = core.sources.assign(ownership, core.assignments, partitions, place);
        let tasks = 0..assignment.tasks.len();
        let whole = tasks.filter(|task| assignment.tasks[*task].state == TaskState::Restoring).collect();
        core.assignment = Some(assignment);
        core.take_over(whole, mono)
    }

    /// Lets everything go that is assigned; what is not committed is dropped.
    fn release(&mut self) -> Result<()> {
        tracing::debug!(client = %self.core.client_id, "released");
        self.core.release_tasks();
        let consumer = self.consumer.as_mut().expect("an event came from it");
        consumer.release().map_err(Error::Broker)?;
        self.core.phase = Phase::Joining;
        point("c15")
    }

    /// A rebalance that has waited too long for an epoch's outcome waits no longer.
    fn let_go_when_late(&mut self, mono: Duration) -> Result<()> {
        let Some(epoch) = &mut self.core.in_flight else { return Ok(()) };
        if epoch.then != Then::Release || epoch.deadline.is_none_or(|deadline| mono < deadline) {
            return Ok(());
        }
        tracing::warn!("partitions are let go before the outcome of their last epoch is known");
        epoch.orphaned = true;
        self.release()
    }

    /// Tasks whose stores are up to date begin to process, and tasks that stood still go on.
    fn run_tasks(&mut self, tasks: &[usize], mono: Duration) -> Result<()> {
        let mut resume = Vec::new();
        for at in tasks {
            if self.core.task(*at).state == TaskState::Restoring
                && let Some(halt) = self.core.refuses_to_start(*at)?
            {
                self.core.stand_still(*at, halt);
                continue;
            }
            self.core.start_task(*at, mono);
            resume.push(*at);
        }
        self.resume(&resume)
    }

    /// Lets the inputs of tasks flow from where they are to be read. What cannot be sought now is tried again; until then its
    /// records are not taken.
    fn resume(&mut self, tasks: &[usize]) -> Result<()> {
        let (Some(consumer), Some(assignment)) = (&mut self.consumer, &mut self.core.assignment) else { return Ok(()) };
        let inputs = |task: usize| assignment.tasks[task].inputs.iter().map(|input| &assignment.inputs[*input]);
        let at = tasks.iter().flat_map(|task| inputs(*task)).map(|input| (input.partition.clone(), input.position));
        let at: Vec<(TopicPartition, i64)> = at.collect();
        if at.is_empty() {
            return Ok(());
        }
        match consumer.resume_at(&at) {
            Ok(()) => tasks.iter().for_each(|task| assignment.tasks[*task].resumed = true),
            Err(error) if error.class == ErrorClass::Retry => {
                tracing::warn!(%error, "tried again");
                let partitions: Vec<TopicPartition> = at.into_iter().map(|(partition, _)| partition).collect();
                consumer.pause(&partitions).map_err(Error::Broker)?;
                self.core.to_resume.extend(tasks);
            }
            Err(error) => return Err(Error::Broker(error)),
        }
        Ok(())
    }

    /// The outcome of the epoch in flight.
    fn decided(&mut self, verdict: Verdict, mono: Duration) -> Result<()> {
        let epoch = self.core.in_flight.take().expect("a verdict is about an epoch in flight");
        self.core.last_outcome = mono;
        let then = if epoch.orphaned { Then::GoOn } else { epoch.then };
        tracing::debug!(client = %self.core.client_id, epoch = epoch.number, ?verdict, orphaned = epoch.orphaned, "decided");
        match verdict {
            Verdict::Committed(delivered) => self.core.apply(epoch, &delivered, mono)?,
            Verdict::RolledBack(cause) => {
                tracing::warn!(%cause, "an epoch was rolled back");
                self.core.figures.rollbacks += 1;
                self.core.meters.thread.epoch_rolled_back(mono.saturating_sub(epoch.sealed));
                if !epoch.orphaned {
                    let resume = self.core.roll_back();
                    if then == Then::GoOn {
                        self.resume(&resume)?;
                    }
                }
            }
        }
        match then {
            Then::GoOn => Ok(()),
            Then::Release => {
                point("c14")?;
                self.release()
            }
            Then::Stop => self.finish(),
        }
    }
}

impl Core {
    fn join(&self, wake: &Wake) -> Result<Box<dyn GroupConsumer>> {
        let plan = &self.parts.program.plan;
        let read = plan.subtopologies.iter().flat_map(|part| &part.sources);
        let patterns = plan.subtopologies.iter().flat_map(|part| &part.patterns);
        let settings = ConsumerSettings {
            group: plan.topology.clone(),
            instance: self.instance(),
            client_id: self.client_id.clone(),
            topics: read.map(|topic| plan.topics[*topic].name.clone()).collect(),
            patterns: patterns.map(|pattern| format!("^(?:{pattern})$").into()).collect(),
            session_timeout: self.parts.settings.session_timeout,
            max_poll_interval: self.parts.settings.max_poll_interval,
            wake: wake.clone(),
        };
        self.parts.broker.consumer(&settings).map_err(Error::Broker)
    }

    /// Static member id: the thread first, so that neighbours in the order of ids are on different workers.
    fn instance(&self) -> Option<Text> {
        let worker = self.parts.settings.worker.as_ref()?;
        Some(format!("{:02}.{worker}", self.parts.thread).into())
    }

    pub(super) fn task(&self, at: usize) -> &super::task::Task {
        &self.assignment.as_ref().expect("tasks are of an assignment").tasks[at]
    }

    /// Tells the registry what a task is doing.
    pub(super) fn tell_phase(&self, at: usize) {
        let task = self.task(at);
        let stores = task.stores.iter();
        let stores: Vec<(Text, Arc<dyn Store>)> = stores
            .map(|store| (self.parts.program.plan.stores[store.planned].name.clone(), store.slots.store().clone()))
            .collect();
        let readable = !matches!(task.state, TaskState::Restoring | TaskState::Waiting);
        self.parts.registry.phase(task.id, self.parts.thread, task.phase(), readable.then_some(stores));
    }

    /// A task stands still at an input.
    pub(super) fn stand_still(&mut self, at: usize, halt: Halt) {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let task = &mut assignment.tasks[at];
        tracing::error!(task = %task.id, input = %halt.input, reason = %halt.reason, "a task stands still");
        task.state = TaskState::Halted(Standstill::Input(halt));
        self.takeover.settled(at);
        self.tell_phase(at);
    }

    /// An input cannot be read: its task stands still, wherever in its life it is.
    fn troubled(&mut self, trouble: &Trouble) -> Result<()> {
        let Some(assignment) = &self.assignment else { return Ok(()) };
        let reason = match trouble.kind {
            TroubleKind::OffsetOutOfRange => {
                "the offset to read is not in the log any more: records are lost; reset the group's offset to go on"
            }
            TroubleKind::Missing => "there is no such topic or partition",
            TroubleKind::Denied => "reading it is not allowed: grant Read on the topic",
            TroubleKind::Other => "it cannot be read",
        };
        let hit = assignment.inputs.iter().filter(|input| {
            input.partition.topic == trouble.input.topic
                && (trouble.input.partition < 0 || input.partition.partition == trouble.input.partition)
        });
        let mut tasks: Vec<usize> = hit.map(|input| input.task).collect();
        tasks.dedup();
        for task in tasks {
            self.restore.forget(Some(task));
            self.stand_still(task, Halt { input: trouble.input.clone(), offset: None, reason: reason.into() });
        }
        Ok(())
    }

    /// A task runs from here on.
    fn start_task(&mut self, at: usize, mono: Duration) {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let task = &mut assignment.tasks[at];
        task.state = TaskState::Running;
        task.gauges.committed_at.store(self.parts.clock.wall(), Ordering::Relaxed);
        for input in &task.inputs {
            let input = &mut assignment.inputs[*input];
            if !std::mem::replace(&mut input.has_committed, true) {
                // Where a first start begins is committed soon, so that it is not decided anew after records have come.
                self.epoch.involve(at, mono);
            }
        }
        tracing::debug!(client = %self.client_id, task = %self.task(at).id, "runs");
        self.tell_phase(at);
    }

    /// Is the epoch to be closed now?
    fn wants_seal(&self, mono: Duration) -> bool {
        let Some(opened) = self.epoch.opened else { return false };
        if self.in_flight.is_some() {
            return false;
        }
        let settings = &self.parts.settings;
        if self.epoch.figures.records_in >= settings.epoch_records_max as u64 {
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
    fn effects(&self) -> (bool, usize) {
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
    fn seal(&mut self, then: Then, mono: Duration) -> Result<()> {
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
                    sealed.iter().filter(|write| write.key.first() != Some(&(layout::Tag::Expiry as u8))).count(),
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
        let sealed = Sealed {
            number: self.epoch.number,
            offsets: offsets.collect(),
            ownership: assignment.ownership.clone(),
            floors,
            batch: Arc::new(self.epoch.outputs.take()),
        };
        let patience = settings.session_timeout.min(settings.max_poll_interval) / 3;
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
            deadline: (then == Then::Release).then_some(mono + patience),
            orphaned: false,
        });
        self.epoch.clear();
        self.commit.commit(sealed);
        Ok(())
    }

    /// The epoch is committed: its writes go to the stores, its positions are the committed ones.
    fn apply(&mut self, epoch: InFlight, delivered: &[(u16, i32, Option<i64>)], mono: Duration) -> Result<()> {
        let InFlight { batch, writes, tasks, mut figures, orphaned, tallies, written, sealed, .. } = epoch;
        figures.epochs = 1;
        self.figures.add(&figures);
        self.meters.count(&tallies, &written);
        self.meters.thread.epoch_committed(mono.saturating_sub(sealed), figures.records_in);
        if orphaned {
            return Ok(());
        }
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
        let assignment = self.assignment.as_mut().expect("an epoch that is not orphaned has its assignment");
        for task in tasks.iter().map(|task| &assignment.tasks[*task]) {
            for input in &task.inputs {
                let input = &mut assignment.inputs[*input];
                input.committed = input.position;
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
    fn batch_to_apply(
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
    fn write(&mut self, unapplied: Unapplied, mono: Duration) -> Result<Option<Unapplied>> {
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
    fn retry_unapplied(&mut self, mono: Duration) -> Result<()> {
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

    /// Takes the epoch in flight back: nothing was written, so forgetting is all. Gives the tasks that read again.
    fn roll_back(&mut self) -> Vec<usize> {
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
            if !task.is_running() {
                continue;
            }
            resume.push(at);
            for input in &task.inputs {
                let input = &mut assignment.inputs[*input];
                input.position = input.committed;
                // Records that were read are met again; a move over control markers alone stays true.
                input.fresh &= !std::mem::take(&mut input.unsaved);
            }
        }
        for task in running {
            self.tell_phase(task);
        }
        resume
    }

    /// What happens by time.
    fn note_time(&mut self, mono: Duration) -> Result<()> {
        if mono >= self.last_punctuated + PUNCTUATE_EVERY {
            self.last_punctuated = mono;
            let now = self.parts.clock.wall();
            if let Some(assignment) = &mut self.assignment {
                let more = punctuate::expire(&mut assignment.tasks, &mut self.epoch, now, mono)?;
                if more {
                    // The next look goes on where the next commit has left off.
                    self.last_punctuated = mono.saturating_sub(PUNCTUATE_EVERY);
                }
            }
        }
        if self.commit.is_idle() && self.epoch.opened.is_none() {
            if mono >= self.last_counts + COUNTS_EVERY {
                self.last_counts = mono;
                self.ask(What::Counts);
            } else if mono >= self.last_lag + LAG_EVERY {
                self.last_lag = mono;
                self.ask(What::Lag);
                self.note_stores();
            }
        }
        Ok(())
    }

    /// Tells how large stores and caches are.
    fn note_stores(&mut self) {
        let Some(assignment) = &mut self.assignment else { return };
        for store in assignment.tasks.iter_mut().flat_map(|task| &mut task.stores) {
            let counts = store.slots.counts();
            store.metrics.note_reads(counts.hits, counts.misses, counts.evictions);
            store.metrics.note_sizes(store.slots.store().size_bytes(), store.slots.size().1);
        }
    }

    /// Tasks with a damaged store are taken over anew, once nothing of theirs is open.
    fn reset_damaged(&mut self, mono: Duration) -> Result<()> {
        let Some(assignment) = &self.assignment else { return Ok(()) };
        if self.in_flight.is_some() || !self.unapplied.is_empty() {
            return Ok(());
        }
        let damaged = assignment.tasks.iter().enumerate().filter_map(|(at, task)| match task.state {
            TaskState::Halted(Standstill::Damaged(store)) if !self.epoch.tasks.contains(&at) => Some((at, store)),
            _ => None,
        });
        for (task, store) in damaged.collect::<Vec<_>>() {
            self.reset_task(task, store, mono)?;
        }
        Ok(())
    }

    /// Lets go of all tasks: out of the registry, nothing kept in memory, the token gone.
    fn release_tasks(&mut self) {
        if let Some(assignment) = self.assignment.take() {
            for task in &assignment.tasks {
                self.parts.registry.leave(task.id, self.parts.thread);
                self.parts.registry.unlock(task.id, self.parts.thread);
            }
        }
        self.epoch.clear();
        self.unapplied.clear();
        self.to_resume.clear();
        self.restore.forget(None);
        self.takeover = Takeover::default();
        self.commit.forget_questions(|_| true);
    }

    fn tell_totals(&mut self) {
        self.figures.add(&self.commit.take_figures());
        let figures = std::mem::take(&mut self.figures);
        if figures != Figures::default() {
            let thread = &self.meters.thread;
            let counters = [
                (&thread.unknown_outcomes, figures.unknown_outcomes),
                (&thread.producer_rebuilds, figures.rebuilds),
                (&thread.producer_fences, figures.fenced),
                (&thread.fenced_predecessors, figures.predecessors_fenced),
                (&thread.untaken, figures.untaken),
                (&thread.restored, figures.restored),
                (&thread.expired_marks, figures.expired),
            ];
            counters.into_iter().filter(|(_, count)| *count > 0).for_each(|(counter, count)| counter.increment(count));
            self.parts.totals.add(&figures);
        }
    }

    /// Until when nothing is to be done.
    fn wait(&self, mono: Duration) -> Wait {
        if self.phase == Phase::Stopped {
            return Wait::Stopped;
        }
        let committing = self.in_flight.as_ref().is_some_and(|epoch| !epoch.orphaned);
        let mut until = mono + WAIT_MAX;
        let mut by = |moment: Option<Duration>| until = until.min(moment.unwrap_or(until));
        by(self.commit.deadline());
        by(self.stop);
        by(self.full_since.map(|since| since + FULL_RETRY));
        if committing {
            by(self.in_flight.as_ref().and_then(|epoch| epoch.deadline));
        } else {
            if !self.drained || !self.restore.is_idle() {
                return Wait::Now;
            }
            let settings = &self.parts.settings;
            by(self.takeover.deadline(settings.blocked_after));
            if let Some(opened) = self.epoch.opened {
                if self.effects().0 {
                    by(Some((opened + settings.commit_interval).min(self.last_outcome + settings.commit_gap)));
                } else {
                    by(Some(self.last_outcome + settings.idle_commit_interval));
                }
            }
        }
        match until.checked_sub(mono) {
            Some(time) if !time.is_zero() => Wait::For(time),
            _ => Wait::Now,
        }
    }
}

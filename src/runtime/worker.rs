//! The worker loop.
//!
//! [`Worker::step`] does what is to be done now and never blocks: signals, the lane's answer, and, unless an epoch is being
//! committed, records or an event of the consumer, a slice of restore, what is due by time, and the decision to seal.
//!
//! ```text
//!            Init ok             Assigned                seal                 Committed or RolledBack
//! Starting ─────────▶ Joining ─────────────▶ Running ───────────▶ Committing ─────────────────────────▶ Running   (then: go on)
//!                        ▲                    │   ▲                │  │  ▲
//!                        │   Revoked, empty   │   └────────────────┘  │  │ late: the group is listened to
//!                        ├────────────────────┘                       │  ▼
//!                        ├────────────────────────────────────────────┼─ Revoked: the epoch is orphaned
//!                        └────────────────────────────────────────────┤                              (then: release)
//! any ── fatal error, fence limit ──▶ an error of `step`              └────────────▶ Stopped            (then: stop)
//! ```
//!
//! While an epoch is being committed the consumer is not polled: its heartbeats go on by themselves, and a rebalance waits for the
//! outcome, as a rule some milliseconds. Where that takes long, the group is answered all the same: see [`super::listening`].

use super::assignment::Sources;
use super::commit::{Commit, CommitSettings, Event, Verdict};
use super::core::{Core, Phase};
use super::crash::point;
use super::epoch::Epoch;
use super::meters::Meters;
use super::progress::Totals;
use super::punctuate::Punctual;
use super::purge::Purge;
use super::questions::{Question, What};
use super::restore::Restore;
use super::sealing::Then;
use super::sweep::Sweeping;
use super::takeover::Takeover;
use super::task::{Scene, Standstill, TaskState};
use super::trouble::Troubles;
use super::{Error, Figures, Halt, Prepared, Program, Registry, Result, Settings, client_suffix, lease, shutdown};
use crate::broker::{Broker, GroupConsumer, Guarantee, Isolation, Limit, Polled, TransactionSettings, Wake};
use crate::clock::Clock;
use crate::record::Text;
use crate::state::Stores;
use crate::telemetry::Telemetry;
use crate::topology::model::StoreKind;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

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
    pub(super) wake: Wake,
    pub(super) consumer: Option<Box<dyn GroupConsumer>>,
    pub(super) core: Core,
}

impl Worker {
    /// A worker that is about to start. `wake` is called from other threads when there may be something to do.
    pub fn new(parts: Parts, wake: Wake) -> Result<Self> {
        let plan = &parts.program.plan;
        let id = Text::from(format!("{}.{}.{:02}", plan.topology, parts.worker_id, parts.thread));
        let client_id = Text::from(format!("{id}{}", client_suffix(plan)));
        let lane = parts.broker.transactions(&TransactionSettings {
            guarantee: parts.settings.guarantee,
            group: plan.topology.clone(),
            transactional_id: id.clone(),
            client_id: client_id.clone(),
            transaction_timeout: match parts.settings.guarantee {
                Guarantee::ExactlyOnce => parts.settings.transaction_timeout,
                Guarantee::AtLeastOnce => lease::length(parts.settings.session_timeout),
            },
            max_message_bytes: parts.prepared.topics.iter().map(|topic| topic.message_bytes_max).max().unwrap_or(1 << 20),
            max_batch_bytes: parts.prepared.topics.iter().map(|topic| topic.message_bytes_max).min().unwrap_or(1 << 20),
            wake: wake.clone(),
        });
        let commit = Commit::new(
            lane.map_err(Error::Broker)?,
            CommitSettings {
                id,
                run: parts.clock.draw(),
                guarantee: parts.settings.guarantee,
                session_timeout: parts.settings.session_timeout,
                lane_timeout: parts.settings.lane_timeout,
                write_without_lease: parts.settings.weakened.write_without_lease,
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
            troubles: Troubles::default(),
            assignment: None,
            assignments: 0,
            epoch: Epoch::new(&parts.program, &parts.prepared),
            in_flight: None,
            unapplied: Vec::new(),
            to_resume: Vec::new(),
            full_since: None,
            phase: Phase::Starting,
            stop: None,
            last_polled: parts.clock.mono(),
            listening: false,
            drained: true,
            last_outcome: Duration::ZERO,
            last_counts: parts.clock.mono(),
            last_lag: parts.clock.mono(),
            purge: Purge::starting(parts.clock.mono()),
            punctual: Punctual::default(),
            sweeping: Sweeping::default(),
            records_max: parts.settings.epoch_records_max,
            refusals: 0,
            topic_gone: false,
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
        if self.core.may_go_on() {
            self.go_on(mono)?;
        } else {
            self.listen(mono)?;
        }
        self.core.tell_totals();
        Ok(self.core.wait(self.core.parts.clock.mono()))
    }

    /// A sealed epoch whose outcome matters is on its way.
    pub(super) fn is_committing(&self) -> bool {
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
        self.stop_listening();
        if let Some(event) = self.poll(mono)? {
            self.rebalanced(event, mono)?;
        }
        self.core.relieve();
        let mut again = std::mem::take(&mut self.core.to_resume);
        // Some may have come to stand still since.
        again.retain(|task| self.core.task(*task).is_running());
        self.resume(&again)?;
        if self.is_committing() {
            return Ok(());
        }
        self.core.go_on_taking_over(mono)?;
        let decoded_again = self.core.troubles.decode_again(mono);
        self.run_tasks(&decoded_again, mono)?;
        if !self.core.restore.is_idle() {
            let ready = self.core.restore_slice(mono)?;
            self.run_tasks(&ready, mono)?;
        }
        self.core.note_time(mono)?;
        // Damage may have been found by what happens by time, and nothing may flow into a task that is taken over anew.
        self.pause_halted()?;
        self.core.reset_damaged(mono)?;
        if self.core.wants_seal(mono) {
            self.core.seal(Then::GoOn, mono)?;
        }
        Ok(())
    }

    fn go_on_stopping(&mut self, mono: Duration) -> Result<()> {
        if self.core.in_flight.is_some() {
            return Ok(());
        }
        // What is committed and found no room is in the changelog, where the next restore finds it; an epoch that was applied
        // above it would hide that it is missing.
        if self.core.epoch.opened.is_some() && self.core.unapplied.is_empty() {
            return self.core.seal(Then::Stop, mono);
        }
        self.finish()
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
        let read = usize::try_from(core.epoch.figures.records_in).unwrap_or(usize::MAX);
        let records = core.records_max.saturating_sub(read).clamp(1, settings.poll_records_max);
        let limit = Limit { records, time: settings.poll_time };
        let now = core.now(mono);
        let scene = Scene { program: &core.parts.program, sources: &core.sources, now, mono };
        let (assignment, epoch) = (&mut core.assignment, &mut core.epoch);
        let is_alone = core.in_flight.is_none();
        core.last_polled = mono;
        let polled = consumer.poll(limit, &mut |record| {
            // It could be sealed by no bound, and grow for as long as the other takes.
            assert!(is_alone, "no epoch is filled while another one is on its way");
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
            event => {
                // There may be more behind it.
                self.core.drained = false;
                Ok(Some(event))
            }
        }
    }

    /// Tasks that halted in the last poll get no more records.
    pub(super) fn pause_halted(&mut self) -> Result<()> {
        let (Some(consumer), Some(assignment)) = (&mut self.consumer, &mut self.core.assignment) else { return Ok(()) };
        let mut halted = Vec::new();
        for (at, task) in assignment.tasks.iter_mut().enumerate() {
            if let Some(crowded) = task.crowded.as_mut().filter(|crowded| task.resumed && !crowded.is_paused) {
                crowded.is_paused = true;
                tracing::warn!(task = %task.id, bound = %crowded.bound(), most = crowded.most,
                    "inputs are paused: as many records wait behind failed ones as `errors.park` lets");
                let inputs = task.inputs.iter().map(|input| &assignment.inputs[*input]).filter(|input| input.inbox.is_none());
                let inputs: Vec<_> = inputs.map(|input| input.partition.clone()).collect();
                consumer.pause(&inputs).map_err(Error::Broker)?;
            }
            if task.resumed && matches!(task.state, TaskState::Halted(_)) {
                let inputs = task.inputs.iter().map(|input| assignment.inputs[*input].partition.clone());
                consumer.pause(&inputs.collect::<Vec<_>>()).map_err(Error::Broker)?;
                task.resumed = false;
                halted.push(at);
            }
        }
        let mono = self.core.parts.clock.mono();
        for at in halted {
            self.core.tell_phase(at);
            let task = self.core.task(at);
            match task.state.clone() {
                TaskState::Halted(Standstill::LookUp(topic)) => self.core.ask(What::LookUp(topic)),
                TaskState::Halted(Standstill::Undecoded(_)) => self.core.decode_later(at, mono),
                TaskState::Halted(Standstill::Record(Halt { input, offset, reason })) => {
                    tracing::error!(task = %task.id, %input, ?offset, %reason, "a task stands still at a record");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Control markers and aborted records at the end of an input move its position too, else its lag would never be nothing.
    fn note_positions(&mut self, mono: Duration) {
        let core = &mut self.core;
        // What waits for the inputs is let go as soon as they are known to be drained.
        if mono < core.last_positions + core.parts.settings.idle_commit_interval && !core.punctual.is_held {
            return;
        }
        core.last_positions = mono;
        let (Some(consumer), Some(assignment)) = (&self.consumer, &mut core.assignment) else { return };
        for input in &mut assignment.inputs {
            let task = &assignment.tasks[input.task];
            // Only once a record came since reading began here: before, the client may still tell of an earlier reading.
            // And only where reading goes on: a task that waits for its seek may have left records behind that were handed over.
            if !input.fresh || !task.is_running() || !task.resumed || !task.reads(input) {
                continue;
            }
            if let Some(position) = consumer.position(&input.partition).filter(|position| *position > input.position) {
                input.position = position;
                core.epoch.involve(input.task, mono);
            }
        }
    }

    /// The outcome of the epoch in flight.
    fn decided(&mut self, verdict: Verdict, mono: Duration) -> Result<()> {
        let epoch = self.core.in_flight.take().expect("a verdict is about an epoch in flight");
        self.core.last_outcome = mono;
        let then = if epoch.orphaned { Then::GoOn } else { epoch.then };
        tracing::debug!(client = %self.core.client_id, epoch = epoch.number, ?verdict, orphaned = epoch.orphaned, "decided");
        let spilled = matches!(verdict, Verdict::Spilled(_));
        match verdict {
            Verdict::Committed(delivered) => self.core.apply(epoch, &delivered, mono)?,
            Verdict::Untold => {
                assert!(epoch.orphaned, "an outcome that somebody waits for is looked up until it is found out");
                tracing::warn!("what became of an epoch that was let go is not known here, so nobody counts its records");
            }
            Verdict::RolledBack(cause) | Verdict::Spilled(cause) => {
                tracing::warn!(%cause, "an epoch was rolled back");
                self.core.figures.rollbacks += 1;
                self.core.meters.thread.epoch_rolled_back(mono.saturating_sub(epoch.sealed));
                if !epoch.orphaned {
                    self.core.narrow(&epoch, cause, mono)?;
                    let resume = self.core.roll_back(mono);
                    if then == Then::GoOn {
                        if spilled {
                            self.read_back(&epoch.tasks, mono)?;
                        }
                        let mut resume = resume;
                        resume.retain(|task| self.core.task(*task).is_running());
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

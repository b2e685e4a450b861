//! All of a worker but its consumer: what it holds, and what it does without asking the group.

use super::assignment::Sources;
use super::commit::Commit;
use super::epoch::Epoch;
use super::meters::Meters;
use super::punctuate::Punctual;
use super::purge::Purge;
use super::questions::Question;
use super::restore::{LOOK_AGAIN, Restore};
use super::sealing::{FULL_RETRY, InFlight, Unapplied};
use super::sweep::Sweeping;
use super::takeover::Takeover;
use super::task::{Assignment, Standstill, TaskState};
use super::trouble::Troubles;
use super::worker::{Parts, Wait};
use super::{Error, Figures, Halt, Result};
use crate::broker::{ConsumerSettings, GroupConsumer, Wake};
use crate::record::{Millis, Text};
use crate::state::Store;
use crate::state::layout::Index;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Topics are compared with the plan this often, when there is time.
const COUNTS_EVERY: Duration = Duration::from_secs(30);
/// How far behind the inputs are is asked this often, when there is time.
const LAG_EVERY: Duration = Duration::from_secs(5);
/// Longest wait: bounds the harm of a wake-up that got lost.
const WAIT_MAX: Duration = Duration::from_millis(500);

impl Drop for Core {
    /// However it ends, nobody is to read from this process what it does not follow any more. The right to write the stores is
    /// not given back: they may still be open.
    fn drop(&mut self) {
        for task in self.assignment.iter().flat_map(|assignment| &assignment.tasks) {
            self.parts.registry.leave(task.id, self.parts.thread);
        }
    }
}

/// All of a worker but its consumer, so that records can be processed while the consumer hands them over.
pub(super) struct Core {
    pub(super) parts: Parts,
    pub(super) sources: Sources,
    pub(super) commit: Commit<Question>,
    pub(super) restore: Restore,
    pub(super) takeover: Takeover,
    pub(super) troubles: Troubles,
    pub(super) assignment: Option<Assignment>,
    /// Assignments so far.
    pub(super) assignments: u64,
    pub(super) epoch: Epoch,
    /// The epoch that is being committed.
    pub(super) in_flight: Option<InFlight>,
    /// Batches of committed epochs that could not be applied because the disk is full.
    pub(super) unapplied: Vec<Unapplied>,
    /// Tasks whose inputs could not be sought yet.
    pub(super) to_resume: Vec<usize>,
    /// When a store was found full.
    pub(super) full_since: Option<Duration>,
    pub(super) phase: Phase,
    pub(super) stop: Option<Duration>,
    /// When the consumer was polled last.
    pub(super) last_polled: Duration,
    /// See [`super::listening`].
    pub(super) listening: bool,
    /// The last poll found nothing more.
    pub(super) drained: bool,
    pub(super) last_outcome: Duration,
    pub(super) last_counts: Duration,
    pub(super) last_lag: Duration,
    pub(super) purge: Purge,
    /// What happens by time.
    pub(super) punctual: Punctual,
    pub(super) sweeping: Sweeping,
    /// An epoch takes no more records for now: one that was too large, or has a record that is refused, is tried in parts.
    pub(super) records_max: usize,
    /// Epochs that were refused in a row.
    pub(super) refusals: u32,
    /// A topic of the plan was not there when it was looked for last.
    pub(super) topic_gone: bool,
    pub(super) last_positions: Duration,
    /// Figures that do not belong to an epoch.
    pub(super) figures: Figures,
    pub(super) client_id: Text,
    pub(super) meters: Meters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Joining,
    Running,
    Stopped,
}

impl Core {
    pub(super) fn join(&self, wake: &Wake) -> Result<Box<dyn GroupConsumer>> {
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
    pub(super) fn instance(&self) -> Option<Text> {
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

    /// A task runs from here on.
    pub(super) fn start_task(&mut self, at: usize, mono: Duration) {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let task = &mut assignment.tasks[at];
        task.state = TaskState::Running;
        self.sweeping.look_soon();
        task.gauges.committed_at.store(self.parts.clock.wall(), Ordering::Relaxed);
        for input in &task.inputs {
            let input = &assignment.inputs[*input];
            if !input.has_committed {
                // Where a first start begins is committed soon, so that it is not decided anew after records have come.
                self.epoch.involve(at, mono);
            }
        }
        tracing::debug!(client = %self.client_id, task = %self.task(at).id, "runs");
        self.tell_phase(at);
    }

    /// What happens by time.
    pub(super) fn note_time(&mut self, mono: Duration) -> Result<()> {
        self.punctuate(mono)?;
        self.sweep(mono)?;
        if self.commit.is_idle() {
            if mono >= self.last_counts + COUNTS_EVERY {
                self.last_counts = mono;
                self.ask_for_counts();
            } else if mono >= self.last_lag + LAG_EVERY {
                self.last_lag = mono;
                let now = self.now(mono);
                self.ask_for_ends(now);
                self.note_stores(now);
            } else {
                self.purge(mono);
            }
        }
        Ok(())
    }

    /// Tells how large stores and caches are.
    pub(super) fn note_stores(&mut self, now: Millis) {
        let Some(assignment) = &mut self.assignment else { return };
        // A store that is being filled is nobody's to look into.
        let running = assignment.tasks.iter_mut().filter(|task| task.is_running());
        for (partition, store) in running.flat_map(|task| task.stores.iter_mut().map(|store| (task.id.partition, store))) {
            store.note_parked(&self.parts.program.plan.stores[store.planned].name, partition);
            let counts = store.slots.counts();
            store.metrics.note_reads(counts.hits, counts.misses, counts.evictions);
            store.metrics.note_sizes(store.slots.store().size_bytes(), store.slots.size().1);
            store.note_sagas();
            // Of a store that cannot be read, others say so.
            if let (Ok(armed), Ok(first)) = (store.slots.indexed(Index::Due), store.slots.first(Index::Due)) {
                store.metrics.note_timers(armed, first.map_or(0, |first| now.saturating_sub(first)));
            }
        }
    }

    /// Tasks with a damaged store are taken over anew, once nothing of theirs is open.
    pub(super) fn reset_damaged(&mut self, mono: Duration) -> Result<()> {
        let Some(assignment) = &self.assignment else { return Ok(()) };
        if self.in_flight.is_some() || !self.unapplied.is_empty() {
            return Ok(());
        }
        let damaged = assignment.tasks.iter().enumerate().filter_map(|(at, task)| match task.state {
            TaskState::Halted(Standstill::Damaged(store)) if !self.epoch.tasks.contains(&at) => Some((at, store)),
            _ => None,
        });
        let damaged: Vec<(usize, usize)> = damaged.collect();
        for (task, store) in damaged {
            assert!(!self.task(task).resumed, "a halted task is paused before it is taken over anew");
            self.reset_task(task, store, mono)?;
        }
        Ok(())
    }

    /// Lets go of all tasks: out of the registry, nothing kept in memory, the token gone.
    pub(super) fn release_tasks(&mut self) {
        if let Some(assignment) = self.assignment.take() {
            for task in &assignment.tasks {
                self.parts.registry.leave(task.id, self.parts.thread);
                self.parts.registry.unlock(task.id, self.parts.thread);
            }
        }
        self.epoch.clear();
        self.unapplied.clear();
        self.to_resume.clear();
        self.listening = false;
        self.restore.forget(None);
        self.takeover = Takeover::default();
        self.troubles = Troubles::default();
        self.punctual.forget();
        self.commit.forget_questions(|_| true);
    }

    pub(super) fn tell_totals(&mut self) {
        self.figures.add(&self.commit.take_figures());
        let figures = std::mem::take(&mut self.figures);
        if figures != Figures::default() {
            let thread = &self.meters.thread;
            let counters = [
                (&thread.unknown_outcomes, figures.unknown_outcomes),
                (&thread.producer_rebuilds, figures.rebuilds),
                (&thread.producer_fences, figures.fenced),
                (&thread.fenced_predecessors, figures.predecessors_fenced),
                (&thread.purged, figures.purged),
                (&thread.purge_failures, figures.purge_failures),
                (&thread.untaken, figures.untaken),
                (&thread.restored, figures.restored),
                (&thread.expired_marks, figures.expired),
            ];
            counters.into_iter().filter(|(_, count)| *count > 0).for_each(|(counter, count)| counter.increment(count));
            self.parts.totals.add(&figures);
        }
    }

    /// Is anything to be done beside waiting for the lane, or for room?
    pub(super) fn may_go_on(&self) -> bool {
        let committing = self.in_flight.as_ref().is_some_and(|epoch| !epoch.orphaned);
        // A stop does not wait for room.
        !committing && (self.unapplied.is_empty() || self.stop.is_some())
    }

    /// Until when nothing is to be done.
    pub(super) fn wait(&self, mono: Duration) -> Wait {
        if self.phase == Phase::Stopped {
            return Wait::Stopped;
        }
        let mut until = mono + WAIT_MAX;
        let mut by = |moment: Option<Duration>| until = until.min(moment.unwrap_or(until));
        by(self.commit.deadline());
        by(self.stop);
        by(self.full_since.map(|since| since + FULL_RETRY));
        by(self.in_flight.as_ref().filter(|epoch| !epoch.orphaned).and_then(|epoch| epoch.deadline));
        by(self.listens_from().filter(|_| !self.may_go_on() && !self.listening));
        // A stop with an epoch on its way waits for its outcome alone; without one it has been carried out.
        if self.may_go_on() && self.stop.is_none() {
            if !self.drained || self.restore.is_busy() {
                return Wait::Now;
            }
            by((!self.restore.is_idle()).then_some(mono + LOOK_AGAIN));
            by(self.next_due());
            by(self.sweeping.next().filter(|_| self.in_flight.is_none() && self.assignment.is_some()));
            let settings = &self.parts.settings;
            by(self.takeover.deadline(settings.blocked_after));
            by(self.troubles.next_decoding());
            // One epoch at a time: while one that was let go is on its way, this one cannot follow.
            if let Some(opened) = self.epoch.opened.filter(|_| self.in_flight.is_none()) {
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

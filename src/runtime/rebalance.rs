//! Partitions come and go.

use super::core::Phase;
use super::crash::point;
use super::restore::LOOK_AGAIN;
use super::sealing::Then;
use super::takeover::Takeover;
use super::task::{Input, Standstill, TaskState};
use super::worker::Worker;
use super::{Error, Result};
use crate::broker::{ErrorClass, Polled};
use crate::record::TopicPartition;
use crate::telemetry::Rebalance;
use std::time::Duration;

impl Worker {
    /// An event of the consumer that is not a record.
    pub(super) fn rebalanced(&mut self, event: Polled, mono: Duration) -> Result<()> {
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
            Polled::Trouble(trouble) => self.core.troubled(&trouble, mono).and_then(|()| self.pause_halted()),
            Polled::Fatal(error) if error.class == ErrorClass::Fenced => {
                Err(Error::Fenced { id: self.core.instance().unwrap_or_else(|| self.core.client_id.clone()) })
            }
            Polled::Fatal(error) => Err(Error::Broker(error)),
        }
    }

    pub(super) fn assigned(&mut self, partitions: &[TopicPartition], mono: Duration) -> Result<()> {
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
    pub(super) fn release(&mut self) -> Result<()> {
        tracing::debug!(client = %self.core.client_id, "released");
        self.core.release_tasks();
        let consumer = self.consumer.as_mut().expect("an event came from it");
        consumer.release().map_err(Error::Broker)?;
        self.core.phase = Phase::Joining;
        point("c15")
    }

    /// A rebalance that has waited too long for an epoch's outcome waits no longer.
    pub(super) fn let_go_when_late(&mut self, mono: Duration) -> Result<()> {
        let Some(epoch) = &mut self.core.in_flight else { return Ok(()) };
        if epoch.then != Then::Release || epoch.deadline.is_none_or(|deadline| mono < deadline) {
            return Ok(());
        }
        if !self.core.commit.gives_way() {
            epoch.deadline = Some(mono + LOOK_AGAIN);
            return Ok(());
        }
        self.core.orphan();
        self.release()
    }

    /// Tasks whose stores are up to date begin to process, and tasks that stood still go on.
    pub(super) fn run_tasks(&mut self, tasks: &[usize], mono: Duration) -> Result<()> {
        let mut resume = Vec::new();
        for at in tasks {
            match self.core.task(*at).state {
                TaskState::Restoring => match self.core.refuses_to_start(*at) {
                    Ok(None) => {
                        if let Err((store, error)) = self.core.load_parked(*at, mono) {
                            self.core.store_failed(*at, store, error, mono)?;
                            continue;
                        }
                    }
                    Ok(Some(halt)) => {
                        self.core.stand_still(*at, halt);
                        continue;
                    }
                    Err((store, error)) => {
                        self.core.store_failed(*at, store, error, mono)?;
                        continue;
                    }
                },
                TaskState::Halted(Standstill::LookUp(_) | Standstill::Unread(_) | Standstill::Undecoded(_)) => {}
                // It was stopped at an input while it was taken over.
                TaskState::Waiting | TaskState::Running | TaskState::Halted(_) => continue,
            }
            self.core.start_task(*at, mono);
            resume.push(*at);
        }
        self.resume(&resume)
    }

    /// Lets the inputs of tasks flow from where they are to be read. What cannot be sought now is tried again; until then its
    /// records are not taken.
    pub(super) fn resume(&mut self, tasks: &[usize]) -> Result<()> {
        if self.core.listening {
            // With all the others, when that is over.
            return Ok(());
        }
        if self.core.in_flight.as_ref().is_some_and(|epoch| epoch.then == Then::Release) {
            // They are revoked: nothing of them is read here any more, and the client knows them no longer.
            return Ok(());
        }
        let (Some(consumer), Some(assignment)) = (&mut self.consumer, &mut self.core.assignment) else { return Ok(()) };
        // What is paused for want of room is resumed when there is some.
        let reads = |input: &&Input| assignment.tasks[input.task].reads(input);
        let inputs = |task: usize| assignment.tasks[task].inputs.iter().map(|input| &assignment.inputs[*input]).filter(reads);
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
}

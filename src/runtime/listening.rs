//! What a worker does while it can do nothing: it listens to its group.
//!
//! An epoch whose outcome is not known, or one that found no room on the disk, holds everything up, and nobody can say for how
//! long. The group must not be held up with it: a member that is not polled answers no rebalance, so the others wait for their
//! share, and after `max.poll.interval` it is put out. So after a third of what the group is patient for the inputs are paused and
//! the consumer is polled for what is not a record:
//!
//! ```text
//!                              a third is over                    outcome, room
//!  Committing, or without room ───────────────▶ listening ───────────────────────▶ Running, inputs resumed
//!        │                                         │
//!        │ outcome, room                           │ Revoked                       outcome
//!        └──────────▶ Running                      └─────────▶ Joining, ... Running ────────▶ nothing: the epoch is orphaned
//! ```
//!
//! No record is taken in all that time, nothing is written, and the epoch keeps its tasks as they were sealed. When the tasks are
//! revoked first, the epoch is orphaned: its transaction is brought to an end, with the ownership of the assignment that it belongs
//! to, and whoever has the tasks next reads how it ended in the committed offsets.

use super::core::Core;
use super::sealing::Then;
use super::worker::Worker;
use super::{Error, Result};
use crate::broker::{Limit, Polled};
use crate::record::TopicPartition;
use crate::telemetry::Rebalance;
use std::time::Duration;

impl Core {
    /// How long the group may have to wait for this worker.
    pub(super) fn patience(&self) -> Duration {
        self.parts.settings.session_timeout.min(self.parts.settings.max_poll_interval) / 3
    }

    /// From when on the group is listened to, although nothing else can be done.
    pub(super) fn listens_from(&self) -> Option<Duration> {
        // What was revoked is not asked for twice: its answer has a deadline of its own.
        let is_revoked = self.in_flight.as_ref().is_some_and(|epoch| epoch.then == Then::Release);
        (self.assignment.is_some() && !is_revoked).then(|| self.last_polled + self.patience())
    }

    /// The group has waited long enough for the outcome of the epoch in flight: nobody here waits for it any more.
    pub(super) fn orphan(&mut self) {
        if let Some(epoch) = self.in_flight.as_mut().filter(|epoch| !epoch.orphaned) {
            epoch.orphaned = true;
            epoch.writes = Vec::new();
            self.commit.disown();
            self.figures.let_go_late += 1;
            tracing::warn!("partitions are let go before the outcome of their last epoch is known");
        }
    }
}

impl Worker {
    /// Answers the group, once it has waited long enough.
    pub(super) fn listen(&mut self, mono: Duration) -> Result<()> {
        if !self.core.listening && self.core.listens_from().is_none_or(|from| mono < from) {
            return Ok(());
        }
        if !std::mem::replace(&mut self.core.listening, true) {
            tracing::warn!(client = %self.core.client_id, unresolved = self.core.in_flight.is_some(),
                "what was done last cannot be finished yet: inputs are paused until it is");
            self.core.figures.standstills += 1;
            self.pause_all()?;
        }
        while let Some(consumer) = &mut self.consumer {
            self.core.last_polled = mono;
            // Nothing is read that is not resumed; should there be something, it is read again from the task's own position.
            match consumer.poll(Limit { records: 1, time: Duration::ZERO }, &mut |_| {}) {
                Polled::Idle | Polled::Full => break,
                Polled::Revoked { lost: false } if !self.core.commit.gives_way() => {
                    // Once that is over, at the latest when what is not delivered is given up.
                    let epoch = self.core.in_flight.as_mut().expect("what does not give way is on its way");
                    (epoch.then, epoch.deadline) = (Then::Release, Some(mono));
                    return Ok(());
                }
                Polled::Revoked { lost } => {
                    self.core.meters.thread.rebalanced(if lost { Rebalance::Lost } else { Rebalance::Revoked });
                    self.core.orphan();
                    return self.release();
                }
                event => self.rebalanced(event, mono)?,
            }
        }
        Ok(())
    }

    fn pause_all(&mut self) -> Result<()> {
        let (Some(consumer), Some(assignment)) = (&mut self.consumer, &mut self.core.assignment) else { return Ok(()) };
        let resumed = assignment.tasks.iter_mut().filter(|task| task.resumed);
        let inputs = resumed.flat_map(|task| {
            task.resumed = false;
            task.inputs.iter().map(|input| assignment.inputs[*input].partition.clone())
        });
        let inputs: Vec<TopicPartition> = inputs.collect();
        consumer.pause(&inputs).map_err(Error::Broker)
    }

    /// What held everything up is over: the inputs flow again, from where their tasks are.
    pub(super) fn stop_listening(&mut self) {
        if !std::mem::take(&mut self.core.listening) {
            return;
        }
        let Some(assignment) = &self.core.assignment else { return };
        for (at, task) in assignment.tasks.iter().enumerate() {
            if task.is_running() && !task.resumed && !self.core.to_resume.contains(&at) {
                self.core.to_resume.push(at);
            }
        }
        // Whatever woke the loop was for the consumer that nothing was read from.
        self.core.drained = false;
    }
}

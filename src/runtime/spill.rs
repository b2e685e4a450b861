//! After an epoch that was written in part and not committed, where no transaction takes its records back.
//!
//! Its changelog records stay where they are, and whoever restores from them has its states. So the stores here get them too,
//! before the epoch's records are processed again: on top of what they have changed already. Then a store is, as always, the fold
//! of its changelog, and what a record has done twice it has done twice everywhere.

use super::Result;
use super::task::TaskState;
use super::worker::Worker;
use crate::record::TopicPartition;
use std::time::Duration;

impl Worker {
    /// Brings the stores of these tasks up to date with their changelogs; the tasks run again afterwards.
    pub(super) fn read_back(&mut self, tasks: &[usize], mono: Duration) -> Result<()> {
        let (Some(consumer), Some(assignment)) = (&mut self.consumer, &mut self.core.assignment) else { return Ok(()) };
        let mut behind = Vec::new();
        for at in tasks {
            let task = &mut assignment.tasks[*at];
            if !task.is_running() || task.stores.is_empty() {
                continue;
            }
            let inputs = task.inputs.iter().map(|input| assignment.inputs[*input].partition.clone());
            consumer.pause(&inputs.collect::<Vec<TopicPartition>>()).map_err(super::Error::Broker)?;
            task.resumed = false;
            task.state = TaskState::Restoring;
            behind.push(*at);
        }
        behind.iter().for_each(|task| self.core.tell_phase(*task));
        self.core.take_over(behind, mono)
    }
}

//! Deletes what is of no use any more: records of repartition topics that the group has committed.
//!
//! Such a topic is kept for ever, because nobody can tell how far behind its readers fall; so whoever reads it has to make room.
//! Only what is committed for sure is deleted, and only by the task that has committed it: an owner that was left behind knows
//! of older offsets than the new one. A failure harms nothing but the disk: it is counted, and told once.

use super::core::Core;
use super::questions::What;
use super::task::Assignment;
use crate::broker::{self, Span};
use crate::record::{Offset, TopicPartition};
use std::time::Duration;

/// When there was an attempt, and what came of it.
pub(super) struct Purge {
    last: Duration,
    /// The failure was told.
    told: bool,
}

impl Purge {
    pub(super) fn starting(now: Duration) -> Self {
        Self { last: now, told: false }
    }
}

impl Core {
    /// Asks for the deletion of what is committed, if it is time and there is something. The lane is idle.
    pub(super) fn purge(&mut self, mono: Duration) {
        if mono < self.purge.last + self.parts.settings.purge_interval {
            return;
        }
        self.purge.last = mono;
        let Some(assignment) = &self.assignment else { return };
        let before = worth_deleting(assignment);
        if !before.is_empty() {
            self.ask(What::Purge(before));
        }
    }

    /// Nothing was deleted.
    pub(super) fn not_purged(&mut self, error: &broker::Error) {
        self.figures.purge_failures += 1;
        if std::mem::replace(&mut self.purge.told, true) {
            tracing::debug!(%error, "records that are done with stay");
        } else {
            tracing::warn!(
                class = ?error.class, %error,
                "records of repartition topics that are done with cannot be deleted, and the topics grow: grant Delete on them, \
                 or bound their retention"
            );
        }
    }
}

/// Up to where the inputs of running tasks are of no use any more, where something is still there.
fn worth_deleting(assignment: &Assignment) -> Vec<(TopicPartition, Offset)> {
    let inputs = assignment.inputs.iter().filter(|input| {
        input.purged && input.has_committed && input.committed > input.start && assignment.tasks[input.task].is_running()
    });
    inputs.map(|input| (input.partition.clone(), input.committed)).collect()
}

/// How many offsets of such inputs were freed since their starts were looked at last.
pub(super) fn freed(assignment: &Assignment, ends: &[(TopicPartition, Span)]) -> u64 {
    let moved = assignment.inputs.iter().filter(|input| input.purged).filter_map(|input| {
        let (_, span) = ends.iter().find(|(partition, _)| *partition == input.partition)?;
        Some(span.start.saturating_sub(input.start).max(0).unsigned_abs())
    });
    moved.sum()
}

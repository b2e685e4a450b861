//! Tasks that are taken over: what is known of them before they run.
//!
//! The order is the protocol: committed offsets that are stable; the ends of the inputs; only then the ends of the changelogs,
//! read uncommitted. An epoch of a dead owner that could still commit has drained before its offsets were accepted, so those ends
//! cover it; one whose offsets come after the group has moved on is refused.
//!
//! What is asked is in [`super::questions`]; who is in the way, where a task comes no further, in [`super::owners`].

use super::commit::id_of_stamp;
use super::core::Core;
use super::owners::Search;
use super::questions::What;
use super::task::{Assignment, TaskState};
use super::{Halt, Result};
use crate::broker::{self, CommittedOffset, Span};
use crate::record::{Text, TopicPartition};
use crate::topology::model::Start;
use std::collections::BTreeMap;
use std::time::Duration;

/// A question that cannot be answered now is put again after so long.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// One that fails again and again is put less and less often, down to this: while it is under way no epoch is committed.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(1);
/// A topic that was missing so often in a row is gone. Once says little: a broker that has just started does not know it yet.
const MISSING_MAX: u32 = 5;

/// Tasks that are not there yet.
#[derive(Default)]
pub(super) struct Takeover {
    /// When a task was begun to be taken over.
    pub(super) begun: BTreeMap<usize, Duration>,
    /// Since when a task makes no progress, or was last looked at because of that.
    pub(super) since: BTreeMap<usize, Duration>,
    /// Who may be in the way of tasks.
    pub(super) search: Search,
    /// Questions about a task that failed in a row.
    failures: BTreeMap<usize, u32>,
    /// Changelogs that a task has yet to read.
    pub(super) unread: BTreeMap<usize, usize>,
    /// Tasks whose stores another thread of this process may still write.
    pub(super) locked_out: Vec<usize>,
    /// Tasks whose stores found no room on the disk, and when they are tried again.
    pub(super) without_room: Vec<(Duration, usize)>,
    /// How often a changelog of a task could not be read.
    pub(super) unreadable: BTreeMap<usize, u32>,
    /// To be asked again.
    pub(super) later: Vec<(Duration, What)>,
}

impl Takeover {
    /// A task is there, or stands still.
    pub(super) fn settled(&mut self, task: usize) {
        self.progressed(task, Duration::ZERO);
        self.since.remove(&task);
        self.unread.remove(&task);
        self.unreadable.remove(&task);
    }

    /// A task has come a step further: nobody is in its way.
    pub(super) fn progressed(&mut self, task: usize, mono: Duration) {
        if let Some(since) = self.since.get_mut(&task) {
            *since = mono;
        }
        self.search.progressed(task);
        self.failures.remove(&task);
    }

    /// How long to wait before a question about a task is put again.
    pub(super) fn again_after(&mut self, task: usize) -> Duration {
        let failures = self.failures.entry(task).or_default();
        let wait = (AGAIN_AFTER * 2_u32.pow((*failures).min(8))).min(AGAIN_AFTER_MAX);
        *failures = failures.saturating_add(1);
        wait
    }

    /// Was a topic of this task missing so often that it is gone?
    pub(super) fn is_gone(&self, task: usize) -> bool {
        self.failures.get(&task).is_some_and(|failures| *failures >= MISSING_MAX)
    }

    /// When something is to be done.
    pub(super) fn deadline(&self, blocked_after: Duration) -> Option<Duration> {
        let later = self.later.iter().map(|(at, _)| *at);
        let without_room = self.without_room.iter().map(|(at, _)| *at);
        later.chain(without_room).chain(self.since.values().map(|since| *since + blocked_after)).min()
    }
}

impl Core {
    /// Begins to take tasks over.
    pub(super) fn take_over(&mut self, tasks: Vec<usize>, mono: Duration) -> Result<()> {
        let mut ready = Vec::new();
        for task in tasks {
            let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
            if assignment.tasks[task].state != TaskState::Restoring {
                continue;
            }
            let id = assignment.tasks[task].id;
            if self.parts.registry.lock(id, self.parts.thread) {
                if !self.open(task, mono)? {
                    continue;
                }
                self.takeover.since.insert(task, mono);
                self.takeover.begun.insert(task, mono);
                ready.push(task);
            } else {
                self.takeover.locked_out.push(task);
            }
        }
        if !ready.is_empty() {
            self.ask(What::Offsets(ready));
        }
        Ok(())
    }

    /// Puts questions again whose time has come, and looks for tasks that are held up.
    pub(super) fn go_on_taking_over(&mut self, mono: Duration) -> Result<()> {
        let mut again = std::mem::take(&mut self.takeover.locked_out);
        self.takeover.without_room.retain(|(at, task)| {
            let is_due = *at <= mono;
            again.extend(is_due.then_some(*task));
            !is_due
        });
        if !again.is_empty() {
            self.take_over(again, mono)?;
        }
        let due: Vec<What> = {
            let (due, later) = std::mem::take(&mut self.takeover.later).into_iter().partition(|(at, _)| *at <= mono);
            self.takeover.later = later;
            let due: Vec<(Duration, What)> = due;
            due.into_iter().map(|(_, what)| what).collect()
        };
        for what in due {
            self.ask(what);
        }
        let blocked_after = self.parts.settings.blocked_after;
        let blocked: Vec<usize> =
            self.takeover.since.iter().filter(|(_, since)| mono >= **since + blocked_after).map(|(task, _)| *task).collect();
        for task in blocked {
            // Looked at once per interval, as long as it lasts.
            self.takeover.since.insert(task, mono);
            if let Some(what) = self.takeover.search.begin(task, self.restore.has(task)) {
                self.ask(what);
            }
        }
        Ok(())
    }

    /// A task stands still because its topics are not there.
    pub(super) fn halt_at_input(&mut self, task: usize, error: &broker::Error) {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let input = assignment.inputs[assignment.tasks[task].inputs[0]].partition.clone();
        self.stand_still(task, Halt { input, offset: None, reason: error.to_string() });
    }

    pub(super) fn offsets_known(&mut self, tasks: &[usize], offsets: Vec<(TopicPartition, Option<CommittedOffset>)>) {
        let assignment = self.assignment.as_mut().expect("asked for an assignment");
        for (partition, offset) in offsets {
            let Some(input) = assignment.index.find(&partition.topic, partition.partition) else { continue };
            let input = &mut assignment.inputs[input];
            if !tasks.contains(&input.task) {
                continue;
            }
            input.has_committed = offset.is_some();
            if let Some(CommittedOffset { offset, metadata }) = offset {
                (input.position, input.committed) = (offset, offset);
                input.last_owner = id_of_stamp(&metadata).map(Text::from);
            }
        }
    }

    /// Notes where the inputs end; halts tasks whose committed offset is not in the log any more. Returns the others.
    pub(super) fn input_ends_known(&mut self, tasks: Vec<usize>, ends: &[(TopicPartition, Span)]) -> Vec<usize> {
        let assignment = self.assignment.as_mut().expect("asked for an assignment");
        note_ends(assignment, ends);
        let mut halts: BTreeMap<usize, Halt> = BTreeMap::new();
        for (partition, span) in ends {
            let Some(at) = assignment.index.find(&partition.topic, partition.partition) else { continue };
            let input = &mut assignment.inputs[at];
            input.barrier = span.end;
            if !input.has_committed {
                let position = match start_of(input) {
                    Start::Earliest => span.start,
                    // Replaced by the answer to the next question, for a start by time.
                    Start::Latest | Start::At(_) => span.end,
                };
                (input.position, input.committed) = (position, position);
            } else if !(span.start..=span.end).contains(&input.committed) {
                let reason = format!(
                    "the committed offset {} is not in the log, which has {} to {}: records are lost; \
                     reset the group's offset to go on",
                    input.committed, span.start, span.end
                );
                halts.insert(input.task, Halt { input: partition.clone(), offset: None, reason });
            }
        }
        let stopped: Vec<usize> = halts.keys().copied().collect();
        for (task, halt) in halts {
            self.stand_still(task, halt);
        }
        tasks.into_iter().filter(|task| !stopped.contains(task)).collect()
    }

    /// Inputs without a committed offset that start at a moment.
    pub(super) fn start_moments(&self, tasks: &[usize]) -> Vec<(TopicPartition, i64)> {
        let Some(assignment) = &self.assignment else { return Vec::new() };
        let inputs = tasks.iter().flat_map(|task| &assignment.tasks[*task].inputs).map(|input| &assignment.inputs[*input]);
        inputs
            .filter(|input| !input.has_committed)
            .filter_map(|input| match start_of(input) {
                Start::At(moment) => Some((input.partition.clone(), moment)),
                Start::Earliest | Start::Latest => None,
            })
            .collect()
    }

    pub(super) fn changelogs(&self, tasks: &[usize]) -> Vec<TopicPartition> {
        let Some(assignment) = &self.assignment else { return Vec::new() };
        let topics = &self.parts.program.plan.topics;
        let of_task = |task: &usize| {
            let task = &assignment.tasks[*task];
            let followed = task.stores.iter().flat_map(|store| &store.followed);
            followed
                .map(|followed| TopicPartition::new(topics[usize::from(followed.topic)].name.clone(), task.id.partition))
                .collect::<Vec<_>>()
        };
        tasks.iter().flat_map(of_task).collect()
    }

    /// Tasks without state are ready; the others ask on.
    pub(super) fn positions_known(&mut self, tasks: Vec<usize>) -> Result<Vec<usize>> {
        let assignment = self.assignment.as_ref().expect("asked for an assignment");
        let (stateful, ready): (Vec<usize>, Vec<usize>) =
            tasks.into_iter().partition(|task| !assignment.tasks[*task].stores.is_empty());
        if !stateful.is_empty() {
            self.ask(What::ChangelogEnds(stateful));
        }
        for task in &ready {
            self.takeover.settled(*task);
        }
        Ok(ready)
    }
}

/// Of several nodes that read an input, the one that wants the most decides.
fn start_of(input: &super::task::Input) -> Start {
    let rank = |start: &Start| match start {
        Start::Earliest => i64::MIN,
        Start::At(moment) => *moment,
        Start::Latest => i64::MAX,
    };
    input.routes.iter().map(|route| route.start).min_by_key(rank).unwrap_or_default()
}

/// Notes where inputs begin and end.
pub(super) fn note_ends(assignment: &mut Assignment, ends: &[(TopicPartition, Span)]) {
    for (partition, span) in ends {
        if let Some(input) = assignment.index.find(&partition.topic, partition.partition) {
            let input = &mut assignment.inputs[input];
            (input.start, input.end) = (span.start, span.end);
        }
    }
    assignment.tasks.iter().for_each(|task| task.note_lag(&assignment.inputs));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_fails_again_is_put_less_often_until_the_task_comes_further() {
        let mut takeover = Takeover::default();
        takeover.since.insert(0, Duration::ZERO);
        let waits = |takeover: &mut Takeover| -> Vec<u128> { (0..6).map(|_| takeover.again_after(0).as_millis()).collect() };
        assert_eq!(waits(&mut takeover), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(takeover.again_after(1), AGAIN_AFTER, "another task");
        takeover.progressed(0, Duration::from_secs(1));
        assert_eq!(takeover.again_after(0), AGAIN_AFTER);
    }
}

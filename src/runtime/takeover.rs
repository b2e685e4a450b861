//! What is asked of the cluster while a task is taken over, and what follows from the answers.
//!
//! The order is the protocol: committed offsets that are stable; the ends of the inputs; only then the ends of the changelogs,
//! read uncommitted. An epoch of a dead owner that could still commit has drained before its offsets were accepted, so those ends
//! cover it; one whose offsets come after the group has moved on is refused.
//!
//! A task that is held up by an open transaction looks for its owner in the stamps and fences it. Slowness is no proof of such a
//! transaction: a cluster that was away would have every owner fenced by every other. Proof is that stable offsets are refused
//! after unstable ones were answered, or that a changelog's stable end lies before the end that the restore has to reach.

use super::commit::id_of_stamp;
use super::core::Core;
use super::crash::point;
use super::task::{Assignment, Standstill, TaskState};
use super::{Error, Halt, Result, Weakened, purge};
use crate::broker::{self, CommittedOffset, ErrorClass, Isolation, Op, Outcome, Span};
use crate::record::{Offset, Text, TopicPartition};
use crate::topology::model::Start;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A question that cannot be answered now is put again after so long.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// One that fails again and again is put less and less often, down to this: while it is under way no epoch is committed.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(1);
/// A topic that was missing so often in a row is gone. Once says little: a broker that has just started does not know it yet.
const MISSING_MAX: u32 = 5;

/// A question to the lane, with the assignment that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) assignment: u64,
    pub(super) what: What,
}

/// Tasks are named by their index in the assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Committed offsets of the inputs, stable ones.
    Offsets(Vec<usize>),
    /// Starts and ends of the inputs.
    InputEnds(Vec<usize>),
    /// Where reading starts by time, of inputs.
    StartOffsets(Vec<usize>),
    /// Starts and ends of the changelogs.
    ChangelogEnds(Vec<usize>),
    /// Does an open transaction hold up the restore of a task?
    StableEnds(usize),
    /// Who committed a task's inputs last.
    Stamps(usize),
    /// End this id's transaction.
    Fence(Text),
    /// Is the topic of a computed name there?
    LookUp(Text),
    /// Are the plan's topics as they were?
    Counts,
    /// How far behind are the inputs?
    Lag,
    /// Delete what is before these offsets.
    Purge(Vec<(TopicPartition, Offset)>),
}

impl What {
    /// The tasks whose takeover this is a step of.
    fn step_of(&mut self) -> Option<&mut Vec<usize>> {
        match self {
            Self::Offsets(tasks) | Self::InputEnds(tasks) | Self::StartOffsets(tasks) | Self::ChangelogEnds(tasks) => {
                Some(tasks)
            }
            Self::StableEnds(_)
            | Self::Stamps(_)
            | Self::Fence(_)
            | Self::LookUp(_)
            | Self::Counts
            | Self::Lag
            | Self::Purge(_) => None,
        }
    }

    /// The same question about other tasks.
    fn with_tasks(&self, tasks: Vec<usize>) -> Self {
        match self {
            Self::Offsets(_) => Self::Offsets(tasks),
            Self::InputEnds(_) => Self::InputEnds(tasks),
            Self::StartOffsets(_) => Self::StartOffsets(tasks),
            Self::ChangelogEnds(_) => Self::ChangelogEnds(tasks),
            other => other.clone(),
        }
    }
}

/// Tasks that are not there yet.
#[derive(Default)]
pub(super) struct Takeover {
    /// When a task was begun to be taken over.
    pub(super) begun: BTreeMap<usize, Duration>,
    /// Since when a task makes no progress, or was last looked at because of that.
    pub(super) since: BTreeMap<usize, Duration>,
    /// Tasks whose stable offsets were refused, and no progress since.
    unstable: BTreeSet<usize>,
    /// Tasks whose owners are being looked for, and whether they have made no progress since.
    looking: BTreeMap<usize, bool>,
    /// Owners that are fenced when the stable offsets of the task are refused once more.
    suspects: BTreeMap<usize, BTreeSet<Text>>,
    /// Questions about a task that failed in a row.
    failures: BTreeMap<usize, u32>,
    /// Changelogs that a task has yet to read.
    pub(super) unread: BTreeMap<usize, usize>,
    /// Tasks whose stores another thread of this process may still write.
    pub(super) locked_out: Vec<usize>,
    /// Tasks whose stores found no room on the disk, and when they are tried again.
    pub(super) without_room: Vec<(Duration, usize)>,
    /// Tasks whose stores were cleared because a changelog could not be read.
    pub(super) cleared: BTreeSet<usize>,
    /// To be asked again.
    pub(super) later: Vec<(Duration, What)>,
}

impl Takeover {
    /// A task is there, or stands still.
    pub(super) fn settled(&mut self, task: usize) {
        self.progressed(task, Duration::ZERO);
        self.since.remove(&task);
        self.unread.remove(&task);
    }

    /// A task has come a step further: nobody is in its way.
    pub(super) fn progressed(&mut self, task: usize, mono: Duration) {
        if let Some(since) = self.since.get_mut(&task) {
            *since = mono;
        }
        self.unstable.remove(&task);
        self.suspects.remove(&task);
        self.failures.remove(&task);
        if let Some(unmoved) = self.looking.get_mut(&task) {
            *unmoved = false;
        }
    }

    /// How long to wait before a question about a task is put again.
    fn again_after(&mut self, task: usize) -> Duration {
        let failures = self.failures.entry(task).or_default();
        let wait = (AGAIN_AFTER * 2_u32.pow((*failures).min(8))).min(AGAIN_AFTER_MAX);
        *failures = failures.saturating_add(1);
        wait
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
            if self.takeover.looking.contains_key(&task) || self.takeover.suspects.contains_key(&task) {
                continue;
            }
            let what = match () {
                () if self.takeover.unstable.contains(&task) => What::Stamps(task),
                () if self.restore.has(task) => What::StableEnds(task),
                () => continue,
            };
            self.takeover.looking.insert(task, true);
            self.ask(what);
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, what: What) {
        let Some(assignment) = &self.assignment else { return };
        let isolation = Isolation::ReadCommitted;
        let inputs_of = |tasks: &[usize]| -> Vec<TopicPartition> {
            let inputs = tasks.iter().flat_map(|task| &assignment.tasks[*task].inputs);
            inputs.map(|input| assignment.inputs[*input].partition.clone()).collect()
        };
        let op = match &what {
            What::Offsets(tasks) => Op::Committed { partitions: inputs_of(tasks), isolation },
            What::InputEnds(tasks) => Op::Ends { partitions: inputs_of(tasks), isolation },
            What::StartOffsets(tasks) => Op::OffsetsAt(self.start_moments(tasks)),
            What::ChangelogEnds(tasks) => {
                let Weakened { restore_to_stable_end, .. } = self.parts.settings.weakened;
                let isolation = if restore_to_stable_end { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
                Op::Ends { partitions: self.changelogs(tasks), isolation }
            }
            What::StableEnds(task) => Op::Ends { partitions: self.changelogs(&[*task]), isolation },
            What::Stamps(task) => Op::Committed { partitions: inputs_of(&[*task]), isolation: Isolation::ReadUncommitted },
            What::Fence(id) => Op::Fence(id.clone()),
            What::LookUp(topic) => Op::Counts(vec![topic.clone()]),
            What::Counts => Op::Counts(self.parts.program.plan.topics.iter().map(|topic| topic.name.clone()).collect()),
            What::Lag => {
                let inputs = assignment.inputs.iter().map(|input| input.partition.clone());
                Op::Ends { partitions: inputs.collect(), isolation }
            }
            What::Purge(before) => Op::Trim(before.clone()),
        };
        self.commit.ask(Question { assignment: assignment.number, what }, op);
    }

    pub(super) fn ask_later(&mut self, what: What, mono: Duration) {
        self.takeover.later.push((mono + AGAIN_AFTER, what));
    }

    /// What follows from an answer. Tasks that are ready now are returned.
    pub(super) fn answered(
        &mut self,
        question: Question,
        answer: broker::Result<Outcome>,
        mono: Duration,
    ) -> Result<Vec<usize>> {
        let Question { assignment: number, mut what } = question;
        let Some(assignment) = self.assignment.as_ref().filter(|assignment| assignment.number == number) else {
            return Ok(Vec::new());
        };
        if let Some(tasks) = what.step_of() {
            // What halted while the question was under way does not go on with the answer.
            tasks.retain(|task| assignment.tasks[*task].state == TaskState::Restoring);
            if tasks.is_empty() {
                return Ok(Vec::new());
            }
            if answer.is_ok() {
                tasks.iter().for_each(|task| self.takeover.progressed(*task, mono));
            }
        }
        let outcome = match answer {
            Ok(outcome) => outcome,
            // A record may name any topic: what we may not see is not there for it.
            Err(error)
                if matches!(what, What::LookUp(_))
                    && matches!(error.class, ErrorClass::Denied(_) | ErrorClass::Missing(_) | ErrorClass::Refused(_)) =>
            {
                Outcome::Counts(Vec::new())
            }
            Err(error) if matches!(what, What::Purge(_)) => {
                self.not_purged(&error);
                return Ok(Vec::new());
            }
            Err(error) => return self.unanswered(what, error, mono).map(|()| Vec::new()),
        };
        match (what, outcome) {
            (What::Offsets(tasks), Outcome::Committed(offsets)) => {
                self.offsets_known(&tasks, offsets);
                point("c01")?;
                self.ask(What::InputEnds(tasks));
            }
            (What::InputEnds(tasks), Outcome::Ends(ends)) => {
                let tasks = self.input_ends_known(tasks, &ends);
                if self.start_moments(&tasks).is_empty() {
                    return self.positions_known(tasks);
                }
                self.ask(What::StartOffsets(tasks));
            }
            (What::StartOffsets(tasks), Outcome::Offsets(offsets)) => {
                let assignment = self.assignment.as_mut().expect("checked above");
                for (partition, offset) in offsets {
                    if let Some(input) = assignment.index.find(&partition.topic, partition.partition) {
                        let input = &mut assignment.inputs[input];
                        (input.position, input.committed) = (offset, offset);
                    }
                }
                return self.positions_known(tasks);
            }
            (What::ChangelogEnds(tasks), Outcome::Ends(ends)) => self.start_restoring(&tasks, &ends, mono)?,
            (What::StableEnds(task), Outcome::Ends(ends)) => {
                if self.takeover.looking.get(&task) == Some(&true) && self.restore.is_held_up(task, &ends) {
                    self.ask(What::Stamps(task));
                } else {
                    self.takeover.looking.remove(&task);
                }
            }
            (What::Stamps(task), Outcome::Committed(offsets)) => self.owners_known(task, &offsets, mono),
            (What::Fence(id), _) => {
                tracing::warn!(%id, "ended the transaction of a worker that is gone");
                self.figures.predecessors_fenced += 1;
            }
            (What::LookUp(topic), Outcome::Counts(counts)) => {
                let partitions = counts.first().and_then(|(_, count)| *count);
                self.epoch.outputs.learn(&topic, partitions, mono);
                return Ok(self.looked_up(&topic));
            }
            (What::Counts, Outcome::Counts(counts)) => self.compare_counts(&counts)?,
            (What::Lag, Outcome::Ends(ends)) => {
                let assignment = self.assignment.as_mut().expect("checked above");
                self.figures.purged += purge::freed(assignment, &ends);
                note_ends(assignment, &ends);
                assignment.ends_of = self.punctual.answered().unwrap_or(assignment.ends_of);
            }
            (What::Purge(_), _) => {}
            (what, outcome) => unreachable!("{what:?} is not answered by {outcome:?}"),
        }
        Ok(Vec::new())
    }

    /// A question that was not answered is put again, unless it never will be.
    fn unanswered(&mut self, mut what: What, error: broker::Error, mono: Duration) -> Result<()> {
        if let ErrorClass::Denied(_) = error.class {
            return Err(Error::Permanent(error));
        }
        if let Some(tasks) = what.step_of()
            && tasks.len() > 1
        {
            // One partition that is held up must hold up its own task only.
            let tasks = std::mem::take(tasks);
            tasks.into_iter().for_each(|task| self.ask(what.with_tasks(vec![task])));
            return Ok(());
        }
        match what {
            What::InputEnds(tasks) | What::ChangelogEnds(tasks)
                if matches!(error.class, ErrorClass::Missing(_))
                    && self.takeover.failures.get(&tasks[0]).is_some_and(|failures| *failures >= MISSING_MAX) =>
            {
                self.halt_at_input(tasks[0], &error);
            }
            What::Offsets(tasks) => {
                let task = tasks[0];
                if error.class == ErrorClass::Retry {
                    self.takeover.unstable.insert(task);
                    // Unstable offsets were answered before this was asked: an open transaction is what is in the way.
                    let owners = self.takeover.suspects.remove(&task).unwrap_or_default();
                    self.fence(owners, mono);
                }
                let wait = self.takeover.again_after(task);
                self.takeover.later.push((mono + wait, What::Offsets(tasks)));
            }
            What::InputEnds(ref tasks) | What::StartOffsets(ref tasks) | What::ChangelogEnds(ref tasks) => {
                let wait = self.takeover.again_after(tasks[0]);
                self.takeover.later.push((mono + wait, what));
            }
            What::Fence(id) => {
                tracing::warn!(%id, %error, "the transaction of a worker that is gone could not be ended");
                self.parts.registry.fence_failed(&id);
            }
            What::StableEnds(task) | What::Stamps(task) => {
                self.takeover.looking.remove(&task);
            }
            What::Lag => drop(self.punctual.answered()),
            What::Counts | What::Purge(_) => {}
            What::LookUp(_) => self.ask_later(what, mono),
        }
        Ok(())
    }

    /// A task stands still because its topics are not there.
    fn halt_at_input(&mut self, task: usize, error: &broker::Error) {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let input = assignment.inputs[assignment.tasks[task].inputs[0]].partition.clone();
        self.stand_still(task, Halt { input, offset: None, reason: error.to_string() });
    }

    fn offsets_known(&mut self, tasks: &[usize], offsets: Vec<(TopicPartition, Option<CommittedOffset>)>) {
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
    fn input_ends_known(&mut self, tasks: Vec<usize>, ends: &[(TopicPartition, Span)]) -> Vec<usize> {
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
    fn start_moments(&self, tasks: &[usize]) -> Vec<(TopicPartition, i64)> {
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

    fn changelogs(&self, tasks: &[usize]) -> Vec<TopicPartition> {
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
    fn positions_known(&mut self, tasks: Vec<usize>) -> Result<Vec<usize>> {
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

    /// Who committed the inputs of a task last is known.
    fn owners_known(&mut self, task: usize, offsets: &[(TopicPartition, Option<CommittedOffset>)], mono: Duration) {
        // Whoever is asked about a task that has moved meanwhile was not in its way.
        if self.takeover.looking.remove(&task) != Some(true) || !self.takeover.since.contains_key(&task) {
            return;
        }
        let owners = self.owners(offsets);
        if self.takeover.unstable.contains(&task) {
            self.takeover.suspects.insert(task, owners);
        } else {
            self.fence(owners, mono);
        }
    }

    /// The ids in the stamps that are not of this process.
    fn owners(&self, offsets: &[(TopicPartition, Option<CommittedOffset>)]) -> BTreeSet<Text> {
        let topology = &self.parts.program.plan.topology;
        let own = format!("{topology}.{}.", self.parts.worker_id);
        let is_ours = |id: &str| {
            let thread = id.strip_prefix(&own).and_then(|thread| thread.parse::<usize>().ok());
            thread.is_some_and(|thread| thread < self.parts.settings.threads)
        };
        offsets
            .iter()
            .filter_map(|(_, offset)| id_of_stamp(&offset.as_ref()?.metadata))
            // Whoever wrote the metadata, only ids of this topology are touched.
            .filter(|id| id.strip_prefix(topology.as_str()).is_some_and(|rest| rest.starts_with('.')) && !is_ours(id))
            .map(Text::from)
            .collect()
    }

    /// Ends the transactions of these ids, unless a thread of this process has just done so.
    fn fence(&mut self, owners: BTreeSet<Text>, mono: Duration) {
        for id in owners {
            if self.parts.registry.may_fence(&id, mono) {
                self.ask(What::Fence(id));
            }
        }
    }

    /// Tasks that waited for this topic go on.
    fn looked_up(&mut self, topic: &Text) -> Vec<usize> {
        let assignment = self.assignment.as_mut().expect("asked for an assignment");
        let waits = |state: &TaskState| matches!(state, TaskState::Halted(Standstill::LookUp(wanted)) if wanted == topic);
        let tasks = assignment.tasks.iter().enumerate().filter(|(_, task)| waits(&task.state));
        tasks.map(|(at, _)| at).collect()
    }

    fn compare_counts(&mut self, counts: &[(Text, Option<u32>)]) -> Result<()> {
        // A single answer of a broker that has just started may lack a topic.
        let gone = counts.iter().any(|(_, found)| found.is_none());
        if gone && !std::mem::replace(&mut self.topic_gone, gone) {
            tracing::warn!("a topic of the plan is not there, as far as one broker knows");
            return Ok(());
        }
        self.topic_gone = gone;
        for ((topic, found), prepared) in counts.iter().zip(&self.parts.prepared.topics) {
            let found = found.unwrap_or(0);
            if found != prepared.partitions {
                return Err(Error::Repartitioned { topic: topic.clone(), expected: prepared.partitions, found });
            }
        }
        Ok(())
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

fn note_ends(assignment: &mut Assignment, ends: &[(TopicPartition, Span)]) {
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

    #[test]
    fn a_task_that_came_further_while_its_owner_was_looked_for_has_no_suspects() {
        let mut takeover = Takeover::default();
        takeover.since.insert(0, Duration::ZERO);
        takeover.unstable.insert(0);
        takeover.looking.insert(0, true);
        takeover.suspects.insert(0, BTreeSet::from(["t.b.00".into()]));
        takeover.progressed(0, Duration::from_secs(1));
        assert!(!takeover.looking[&0], "the answer under way says nothing any more");
        assert!(takeover.unstable.is_empty() && takeover.suspects.is_empty());
        assert_eq!(takeover.since[&0], Duration::from_secs(1));
        takeover.settled(0);
        assert!(takeover.since.is_empty());
    }
}

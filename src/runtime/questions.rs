//! What is asked of the cluster, one question at a time between epochs, and what follows from the answers.
//!
//! An answer is about the assignment in which its question was put; later it says nothing. A question that cannot be answered now
//! is put again, less and less often; what is in nobody's way is not.

use super::core::Core;
use super::crash::point;
use super::takeover::{AGAIN_AFTER, note_ends};
use super::task::{Standstill, TaskState};
use super::{Error, Result, Weakened, purge};
use crate::broker::{self, ErrorClass, Isolation, Op, Outcome};
use crate::record::{Offset, Text, TopicPartition};
use std::time::Duration;

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
    /// Is an input's topic there that could not be read?
    Presence(Text),
    /// Are these topics, the plan's first, as they were?
    Counts(Vec<Text>),
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
            | Self::Presence(_)
            | Self::Counts(_)
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

impl Core {
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
            What::LookUp(topic) | What::Presence(topic) => Op::Counts(vec![topic.clone()]),
            What::Counts(topics) => Op::Counts(topics.clone()),
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
            Err(error) if let What::Presence(topic) = &what => return Ok(self.presence_known(topic, Err(error), mono)),
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
                if self.takeover.search.is_wanted(task) && self.restore.is_held_up(task, &ends) {
                    self.ask(What::Stamps(task));
                } else {
                    self.takeover.search.end(task);
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
            (What::Presence(topic), Outcome::Counts(counts)) => {
                let partitions = counts.first().and_then(|(_, count)| *count);
                return Ok(self.presence_known(&topic, Ok(partitions), mono));
            }
            (What::Counts(_), Outcome::Counts(counts)) => self.compare_counts(&counts)?,
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
        // The transaction of another id ends by its time-out, too.
        if matches!(error.class, ErrorClass::Denied(_)) && !matches!(what, What::Fence(_)) {
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
                if matches!(error.class, ErrorClass::Missing(_)) && self.takeover.is_gone(tasks[0]) =>
            {
                self.halt_at_input(tasks[0], &error);
            }
            What::Offsets(tasks) => {
                let task = tasks[0];
                if error.class == ErrorClass::Retry {
                    let owners = self.takeover.search.offsets_refused(task);
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
                self.takeover.search.end(task);
            }
            What::Lag => drop(self.punctual.answered()),
            What::Counts(_) | What::Purge(_) | What::Presence(_) => {}
            What::LookUp(_) => self.ask_later(what, mono),
        }
        Ok(())
    }

    /// Tasks that waited for this topic go on.
    fn looked_up(&mut self, topic: &Text) -> Vec<usize> {
        let assignment = self.assignment.as_mut().expect("asked for an assignment");
        let waits = |state: &TaskState| matches!(state, TaskState::Halted(Standstill::LookUp(wanted)) if wanted == topic);
        let tasks = assignment.tasks.iter().enumerate().filter(|(_, task)| waits(&task.state));
        tasks.map(|(at, _)| at).collect()
    }

    /// Asks whether topics are as they were.
    pub(super) fn ask_for_counts(&mut self) {
        let planned = self.parts.program.plan.topics.iter().map(|topic| topic.name.clone());
        let topics = planned.chain(self.epoch.outputs.next_to_compare()).collect();
        self.ask(What::Counts(topics));
    }

    fn compare_counts(&mut self, counts: &[(Text, Option<u32>)]) -> Result<()> {
        let (counts, named) = counts.split_at(self.parts.prepared.topics.len().min(counts.len()));
        named.iter().for_each(|(topic, found)| self.epoch.outputs.compare(topic, *found));
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

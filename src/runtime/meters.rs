//! What a worker thread counts, and when: what an epoch has done is counted when it has committed.

use super::Program;
use crate::record::Text;
use crate::telemetry::{NodeMetrics, StreamMetrics, Telemetry, ThreadMetrics};
use crate::topology::plan::Role;

/// What came of a record at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    Processed,
    PassedOver,
    Refused,
    Repeated,
    Failed,
    /// A timer fired, or something expired.
    Fired,
    /// Kept, to be handled when its key goes on.
    Parked,
    /// What had failed passed.
    RetrySucceeded,
    /// What had failed failed again.
    RetryFailed,
    /// What had failed failed for the last time.
    RetryGivenUp,
}

impl Tally {
    const COUNT: usize = Self::RetryGivenUp as usize + 1;
}

/// Something rarer that is counted by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A refusal, by code.
    Refusal(Text),
    /// A dead letter, by class and code.
    Letter(&'static str, Text),
    /// What a node counts itself.
    Remark(&'static str),
}

/// Records and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Volume {
    pub(super) fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }
}

/// What an epoch has done, as far as it is counted.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    /// By node.
    pub(super) steps: Vec<(u16, Tally)>,
    pub(super) notes: Vec<(u16, Note)>,
    /// Read: from sources, and from repartition topics.
    pub(super) read: [Volume; 2],
}

/// A place to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct TallyMark {
    steps: usize,
    notes: usize,
    read: [Volume; 2],
}

impl Tallies {
    pub(super) fn mark(&self) -> TallyMark {
        TallyMark { steps: self.steps.len(), notes: self.notes.len(), read: self.read }
    }

    pub(super) fn rollback_to(&mut self, mark: TallyMark) {
        self.steps.truncate(mark.steps);
        self.notes.truncate(mark.notes);
        self.read = mark.read;
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.notes.clear();
        self.read = Default::default();
    }
}

/// Handles of one thread.
pub(super) struct Meters {
    pub(super) thread: ThreadMetrics,
    nodes: Vec<NodeMetrics>,
    read: [StreamMetrics; 2],
    /// By role of output.
    written: Vec<StreamMetrics>,
    /// Of the plan's topics, which of these; what is not in the plan is output.
    role_of: Vec<usize>,
}

/// Roles of topics that are written to, as metrics name them.
const WRITTEN: [&str; 7] = ["output", "repartition", "snapshots", "changelog", "replies", "dead_letters", "history"];

impl Meters {
    pub(super) fn new(telemetry: &Telemetry, program: &Program) -> Self {
        let plan = &program.plan;
        let topology = plan.topology.as_str();
        let role = |roles: &[Role]| {
            let is = |role| roles.contains(&role);
            let order = [Role::Repartition, Role::Snapshots, Role::Changelog, Role::Replies, Role::DeadLetters, Role::History];
            order.into_iter().position(is).map_or(0, |at| at + 1)
        };
        Self {
            thread: ThreadMetrics::new(telemetry, topology),
            nodes: plan.nodes.iter().map(|node| NodeMetrics::new(telemetry, topology, &node.name)).collect(),
            read: ["source", "repartition"].map(|role| StreamMetrics::input(telemetry, topology, role)),
            written: WRITTEN.iter().map(|role| StreamMetrics::output(telemetry, topology, role)).collect(),
            role_of: plan.topics.iter().map(|topic| role(&topic.roles)).collect(),
        }
    }

    /// Which of the roles of output a topic of the batch has.
    pub(super) fn role_of(&self, topic: u16) -> usize {
        self.role_of.get(usize::from(topic)).copied().unwrap_or(0)
    }

    /// Counts what a committed epoch has done.
    pub(super) fn count(&mut self, tallies: &Tallies, written: &[Volume; WRITTEN.len()]) {
        // Added up first: a counter is shared by all threads.
        let mut sums = vec![[0_u64; Tally::COUNT]; self.nodes.len()];
        for (node, tally) in &tallies.steps {
            sums[usize::from(*node)][*tally as usize] += 1;
        }
        for (node, sums) in self.nodes.iter().zip(sums) {
            // In the order of the tallies.
            let counters: [_; Tally::COUNT] = [
                &node.processed,
                &node.passed_over,
                &node.refused,
                &node.repeated,
                &node.failed,
                &node.timers_fired,
                &node.parked,
                &node.retries_succeeded,
                &node.retries_failed,
                &node.retries_given_up,
            ];
            for (counter, sum) in counters.into_iter().zip(sums) {
                if sum > 0 {
                    counter.increment(sum);
                }
            }
        }
        for (node, note) in &tallies.notes {
            let node = &mut self.nodes[usize::from(*node)];
            match note {
                Note::Refusal(code) => node.refusal(code).increment(1),
                Note::Letter(class, code) => node.dead_letter(class, code).increment(1),
                Note::Remark(what) => node.remark(what).increment(1),
            }
        }
        for (metrics, Volume { records, bytes }) in self.read.iter().zip(tallies.read) {
            metrics.add(records, bytes);
        }
        for (metrics, Volume { records, bytes }) in self.written.iter().zip(written) {
            metrics.add(*records, *bytes);
        }
    }
}

/// Volumes by role of output.
pub(super) type Written = [Volume; WRITTEN.len()];

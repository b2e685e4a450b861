//! The open epoch: what has been done since the last commit and is not yet visible to anyone.
//!
//! Outputs lie in one batch; writes of stores lie in the tasks' caches; offsets are the tasks' positions. A record that fails is
//! taken back to a [`EpochMark`], a whole epoch is taken back by [`Epoch::clear`]. What becomes of it is `commit`'s matter.

use super::meters::{Note, Tallies, Tally, TallyMark};
use super::names::{Known, Names};
use super::punctuate::Act;
use super::{Figures, Prepared, Program};
use crate::broker::{Batch, BatchMark, NewRecord};
use crate::node::Outcome;
use crate::record::{HeaderRef, Millis, Offset, Partition, Text, partition_of};
use std::sync::Arc;
use std::time::Duration;

/// What a record's place in a batch takes beside key, value and headers, at most; and each header beside its name and value.
const RECORD_OVERHEAD: usize = 128;
const HEADER_OVERHEAD: usize = 10;
/// Kafka's default of `max.message.bytes`, for topics whose own is not known.
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// A batch names its topics by 16 bits.
const TOPICS_MAX: usize = 50_000;

/// See the module.
pub(super) struct Epoch {
    /// Grows within a run.
    pub(super) number: u64,
    /// When its first effect or moved position came.
    pub(super) opened: Option<Duration>,
    /// Records written.
    pub(super) outputs: Outputs,
    /// What it comes to.
    pub(super) figures: Figures,
    /// The same for metrics, by node.
    pub(super) tallies: Tallies,
    /// Tasks that took part, by index.
    pub(super) tasks: Vec<usize>,
    /// The last record processed: its input, by index, and its offset.
    pub(super) last: Option<(usize, Offset)>,
    /// The last of what happened by time.
    pub(super) last_act: Option<Act>,
}

/// A place to go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct EpochMark {
    batch: BatchMark,
    letters: u64,
    tallies: TallyMark,
    written: usize,
}

impl Epoch {
    pub(super) fn new(program: &Program, prepared: &Arc<Prepared>) -> Self {
        Self {
            number: 0,
            opened: None,
            outputs: Outputs::new(program, prepared.clone()),
            figures: Figures::default(),
            tallies: Tallies::default(),
            tasks: Vec::new(),
            last: None,
            last_act: None,
        }
    }

    pub(super) fn mark(&self) -> EpochMark {
        EpochMark {
            batch: self.outputs.batch.mark(),
            letters: self.outputs.letters,
            tallies: self.tallies.mark(),
            written: self.outputs.written.len(),
        }
    }

    pub(super) fn rollback_to(&mut self, mark: EpochMark) {
        self.outputs.batch.cut(mark.batch);
        self.outputs.letters = mark.letters;
        self.tallies.rollback_to(mark.tallies);
        self.outputs.written.truncate(mark.written);
    }

    /// Forgets everything; the next epoch has the next number.
    pub(super) fn clear(&mut self) {
        self.number += 1;
        self.opened = None;
        self.outputs.clear();
        self.figures = Figures::default();
        self.tallies.clear();
        self.tasks.clear();
        self.last = None;
        self.last_act = None;
    }

    /// A node has handled a record.
    pub(super) fn count_outcome(&mut self, node: u16, outcome: Outcome) {
        let figures = &mut self.figures;
        let (figure, tally) = match outcome {
            Outcome::Processed => (&mut figures.processed, Tally::Processed),
            Outcome::PassedOver => (&mut figures.passed_over, Tally::PassedOver),
            Outcome::Refused(code) => {
                self.tallies.notes.push((node, Note::Refusal(code)));
                (&mut figures.refused, Tally::Refused)
            }
            Outcome::Repeated => (&mut figures.repeated, Tally::Repeated),
        };
        *figure += 1;
        self.tallies.steps.push((node, tally));
    }

    /// A record failed at a node.
    pub(super) fn count_failure(&mut self, node: u16) {
        self.figures.failed += 1;
        self.tallies.steps.push((node, Tally::Failed));
    }

    /// A task takes part from `now` on.
    pub(super) fn involve(&mut self, task: usize, now: Duration) {
        self.opened.get_or_insert(now);
        if !self.tasks.contains(&task) {
            self.tasks.push(task);
        }
    }
}

/// Records that are written, and what is known of the topics they go to.
pub(super) struct Outputs {
    /// Topics of the plan.
    planned: usize,
    /// Topics of the plan at their indexes, then named ones.
    pub(super) batch: Batch,
    /// Of the plan's topics, then of named ones.
    facts: Vec<Facts>,
    names: Names,
    dead_letters: u16,
    /// Topic and size of each record that is no changelog's.
    pub(super) written: Vec<(u16, u32)>,
    /// Dead letters among the records.
    pub(super) letters: u64,
    /// A topic that a record could not be written to because nothing is known of it: to be looked up.
    pub(super) unknown: Option<Text>,
}

#[derive(Clone, Copy, Debug)]
struct Facts {
    partitions: u32,
    message_bytes_max: usize,
}

/// Why a record was not written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotWritten {
    /// It has so many bytes and its topic takes only so many.
    TooLarge { bytes: usize, most: usize },
    /// There is no such topic, as far as is known.
    NoTopic,
}

impl Outputs {
    fn new(program: &Program, prepared: Arc<Prepared>) -> Self {
        let topics = program.plan.topics.iter().map(|topic| topic.name.clone()).collect();
        let facts = prepared
            .topics
            .iter()
            .map(|topic| Facts { partitions: topic.partitions, message_bytes_max: topic.message_bytes_max })
            .collect();
        let dead_letters = u16::try_from(program.plan.dead_letters).expect("a plan's topics are far fewer");
        Self {
            planned: prepared.topics.len(),
            batch: Batch::new(topics),
            facts,
            names: Names::new(prepared),
            dead_letters,
            letters: 0,
            written: Vec::new(),
            unknown: None,
        }
    }

    /// Index of the topic of dead letters.
    pub(super) fn dead_letters(&self) -> u16 {
        self.dead_letters
    }

    /// Index of a topic by name.
    pub(super) fn named(&mut self, name: &str, now: Duration) -> Result<u16, NotWritten> {
        match self.names.find(name, now) {
            Known::Topic(topic) => Ok(topic),
            Known::Missing => Err(NotWritten::NoTopic),
            Known::Prepared(partitions) => self.add(name, partitions).ok_or(NotWritten::NoTopic),
            Known::Nothing => {
                let planned = self.batch.topics()[..self.planned].iter().position(|topic| topic == name);
                if let Some(topic) = planned {
                    let topic = u16::try_from(topic).expect("a batch names its topics by 16 bits");
                    self.names.is_there(name, topic);
                    return Ok(topic);
                }
                self.unknown = Some(name.into());
                Err(NotWritten::NoTopic)
            }
        }
    }

    /// Notes what a look-up of a named topic came to.
    pub(super) fn learn(&mut self, name: &str, partitions: Option<u32>, now: Duration) {
        if partitions.and_then(|partitions| self.add(name, partitions)).is_none() {
            self.names.is_missing(name, now);
        }
    }

    /// A topic does not take what is written to it. For one that no file declares that is as if it were not there; false for others.
    pub(super) fn is_refused(&mut self, name: &str, now: Duration) -> bool {
        let is_named = self.is_named(name);
        if is_named {
            self.names.is_missing(name, now);
        }
        is_named
    }

    /// A topic is not there any more, as far as a delivery tells. One that no file declares is looked up when it is named again;
    /// false for others.
    pub(super) fn is_gone(&mut self, name: &str) -> bool {
        self.is_named(name) && self.names.drop(name)
    }

    fn is_named(&self, name: &str) -> bool {
        matches!(self.names.find(name, Duration::ZERO), Known::Topic(topic) if usize::from(topic) >= self.planned)
    }

    /// Named topics that are to be compared with the cluster.
    pub(super) fn next_to_compare(&mut self) -> Vec<Text> {
        self.names.next_to_compare(self.planned)
    }

    /// What the cluster says of one of them.
    pub(super) fn compare(&mut self, name: &str, found: Option<u32>) {
        match (self.names.find(name, Duration::ZERO), found) {
            (Known::Topic(topic), Some(partitions)) if partitions > 0 => self.facts[usize::from(topic)].partitions = partitions,
            // Looked up when it is named again: a single answer may be wrong.
            (Known::Topic(_), _) => drop(self.names.drop(name)),
            _ => {}
        }
    }

    fn add(&mut self, name: &str, partitions: u32) -> Option<u16> {
        let is_full = || self.facts.len() >= TOPICS_MAX && !self.batch.topics().iter().any(|topic| topic == name);
        if partitions == 0 || is_full() {
            return None;
        }
        let topic = self.batch.topic_index(name);
        let facts = Facts { partitions, message_bytes_max: MESSAGE_BYTES_DEFAULT };
        match self.facts.get_mut(usize::from(topic)) {
            // It was known before.
            Some(known) => *known = facts,
            None => self.facts.push(facts),
        }
        self.names.is_there(name, topic);
        Some(topic)
    }

    /// Largest record that a topic takes.
    pub(super) fn message_bytes_max(&self, topic: u16) -> usize {
        self.facts[usize::from(topic)].message_bytes_max
    }

    /// Appends a record at the partition of `spread`, which is its key where it has one.
    pub(super) fn push(
        &mut self,
        topic: u16,
        spread: &[u8],
        record: (Option<&[u8]>, Option<&[u8]>, &[HeaderRef<'_>]),
        timestamp: Millis,
    ) -> Result<(), NotWritten> {
        let (key, value, headers) = record;
        let facts = self.facts[usize::from(topic)];
        let bytes = record_bytes(key, value, headers);
        if bytes > facts.message_bytes_max {
            return Err(NotWritten::TooLarge { bytes, most: facts.message_bytes_max });
        }
        let partition = partition_of(spread, facts.partitions);
        self.batch.push(NewRecord { topic, partition, timestamp, key, value, headers });
        self.written.push((topic, u32::try_from(bytes).unwrap_or(u32::MAX)));
        Ok(())
    }

    /// Appends a record of a changelog; its size was checked when its value was put.
    pub(super) fn push_changelog(&mut self, record: NewRecord<'_>) {
        let partitions = self.facts[usize::from(record.topic)].partitions;
        debug_assert!((record.partition as Partition) < partitions as Partition, "changelogs have a partition per task");
        self.batch.push(record);
    }

    /// Takes the records; the memory comes back by [`Outputs::recycle`].
    pub(super) fn take(&mut self) -> Batch {
        let empty = Batch::new(self.batch.topics().to_vec());
        std::mem::replace(&mut self.batch, empty)
    }

    /// Gives the memory of a batch that is done with back.
    pub(super) fn recycle(&mut self, mut batch: Batch) {
        if self.batch.is_empty() && batch.topics().len() == self.batch.topics().len() {
            batch.clear();
            self.batch = batch;
        }
    }

    fn clear(&mut self) {
        self.batch.clear();
        self.written.clear();
        self.letters = 0;
        self.unknown = None;
    }
}

/// Size of a record as a topic's `max.message.bytes` counts it, a little more.
pub(super) fn record_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[HeaderRef<'_>]) -> usize {
    let headers: usize =
        headers.iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len) + HEADER_OVERHEAD).sum();
    RECORD_OVERHEAD + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}

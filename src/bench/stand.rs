//! Where one worker does one job: its names on the cluster and its folder on this machine.

use super::error::{Error, Result};
use super::job::Job;
use super::subject::Subject;
use crate::broker::kafka::Kafka;
use crate::broker::{Broker, ErrorClass, Isolation, Limit, LogReader, TopicSpec};
use crate::reading::Lookup;
use crate::record::{Offset, Partition, Text, TopicPartition};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// One poll while outputs are counted.
const COUNTING: Limit = Limit { records: 100_000, time: Duration::from_millis(5) };

/// A place to do a job.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    pub(super) job: Job,
    pub(super) subject: Subject,
    /// Consumer group, which is also the beginning of the names of what its engine makes.
    pub(super) group: Text,
    pub(super) input: Text,
    pub(super) output: Text,
    pub(super) partitions: u32,
    pub(super) folder: PathBuf,
    /// How often its states were thrown away.
    pub(super) fresh: u32,
}

impl Stand {
    /// Where the worker keeps states.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join(format!("state-{}", self.fresh))
    }

    /// What the worker says.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("worker.log")
    }

    /// Makes its folder and the topic for its outputs.
    pub(super) fn set_up(&self, kafka: &Kafka) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::machine(format!("creating `{}`", self.folder.display())))?;
        create(kafka, &self.output, self.partitions)
    }

    /// How far its worker is.
    pub(super) fn meter(&self, kafka: &Kafka) -> Result<Meter> {
        if self.job.answers_at_once() {
            let lookup = Lookup::of_group(kafka, &self.group)?;
            return Ok(Meter::Committed { lookup, parts: parts(&self.input, self.partitions), last: 0 });
        }
        let mut reader = kafka.log_reader(Isolation::ReadCommitted)?;
        let from: Vec<(TopicPartition, Offset)> =
            parts(&self.output, self.partitions).into_iter().map(|part| (part, 0)).collect();
        reader.assign(&from)?;
        Ok(Meter::Outputs { reader, seen: 0 })
    }
}

/// Makes a topic.
pub(super) fn create(kafka: &Kafka, topic: &Text, partitions: u32) -> Result<()> {
    let spec = TopicSpec { name: topic.clone(), partitions, replication: None, config: BTreeMap::new() };
    Ok(kafka.admin()?.create(&[spec])?)
}

pub(super) fn parts(topic: &Text, partitions: u32) -> Vec<TopicPartition> {
    let all = (0..partitions).filter_map(|number| Partition::try_from(number).ok());
    all.map(|partition| TopicPartition::new(topic.clone(), partition)).collect()
}

/// Counts what a worker has done, by what the cluster knows.
pub(super) enum Meter {
    /// Offsets that its group has committed: what is committed has its outputs.
    Committed { lookup: Lookup, parts: Vec<TopicPartition>, last: u64 },
    /// Outputs, where they come long after the record that they follow from.
    Outputs { reader: Box<dyn LogReader>, seen: u64 },
}

impl Meter {
    /// Records that are done.
    pub(super) fn done(&mut self) -> Result<u64> {
        match self {
            Self::Committed { lookup, parts, last } => {
                match lookup.committed(parts.clone()) {
                    Ok(found) => {
                        let offsets = found.into_iter().filter_map(|(_, offset)| u64::try_from(offset?).ok());
                        *last = offsets.sum();
                    }
                    // A group that is being made has no coordinator yet; whoever waits knows for how long.
                    Err(error) if error.class == ErrorClass::Retry => {}
                    Err(error) => return Err(error.into()),
                }
                Ok(*last)
            }
            Self::Outputs { reader, seen } => {
                let mut more = 0;
                // What stops a partition for a while is met again.
                let _ = reader.poll(COUNTING, &mut |_| more += 1);
                *seen += more;
                Ok(*seen)
            }
        }
    }
}

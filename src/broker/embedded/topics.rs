//! Topics by name: creation, growth, deletion of records.

use super::cluster::State;
use super::config::Config;
use super::log::{Log, LogId};
use crate::broker::{Error, ErrorClass, Result};
use crate::record::{Offset, Text, TopicPartition};
use std::collections::BTreeMap;

/// Partitions of one topic; more is a mistake in a file, not a wish.
const PARTITIONS_MAX: u32 = 10_000;

/// A topic.
#[derive(Debug)]
pub(super) struct Topic {
    /// Its own number: a topic that is deleted and made again is another one.
    pub(super) id: u64,
    pub(super) config: Config,
    pub(super) logs: Vec<Log>,
}

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    pub(super) by_name: BTreeMap<Text, Topic>,
    pub(super) next_id: u64,
    /// Are logs kept on disk?
    pub(super) stored: bool,
}

impl Topics {
    /// Creates a topic.
    pub(super) fn create(&mut self, name: &Text, partitions: u32, config: Config) -> Result<()> {
        let refuse = |message: String| Err(Error::new(ErrorClass::Fatal, format!("creating topic `{name}`"), message));
        if !is_legal(name) {
            return refuse("a topic name has 1 to 249 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`".into());
        }
        if partitions == 0 || partitions > PARTITIONS_MAX {
            return refuse(format!("a topic has 1 to {PARTITIONS_MAX} partitions, not {partitions}"));
        }
        if self.by_name.contains_key(name) {
            return refuse("the topic is there already".into());
        }
        let id = self.next_id;
        self.next_id += 1;
        let mut topic = Topic { id, config, logs: Vec::new() };
        topic.grow(partitions, self.stored);
        self.by_name.insert(name.clone(), topic);
        Ok(())
    }

    /// Adds partitions to a topic.
    pub(super) fn grow(&mut self, name: &str, partitions: u32) -> Result<()> {
        let context = || format!("growing topic `{name}`");
        let Some(topic) = self.by_name.get_mut(name) else {
            return Err(Error::new(ErrorClass::Missing(name.into()), context(), "no such topic"));
        };
        if partitions as usize <= topic.logs.len() || partitions > PARTITIONS_MAX {
            let message = format!("from {} to {partitions} partitions is no growth", topic.logs.len());
            return Err(Error::new(ErrorClass::Fatal, context(), message));
        }
        topic.grow(partitions, self.stored);
        Ok(())
    }

    /// Gives a topic other settings.
    pub(super) fn configure(&mut self, name: &str, config: &BTreeMap<String, String>) -> Result<()> {
        let context = || format!("configuring topic `{name}`");
        let Some(topic) = self.by_name.get_mut(name) else {
            return Err(Error::new(ErrorClass::Missing(name.into()), context(), "no such topic"));
        };
        topic.config = Config::read(config).map_err(|message| Error::new(ErrorClass::Fatal, context(), message))?;
        Ok(())
    }

    /// The log of a partition.
    pub(super) fn log(&self, partition: &TopicPartition) -> Option<&Log> {
        self.by_name.get(&partition.topic)?.log(partition)
    }

    /// The log of a partition, to be changed.
    pub(super) fn log_mut(&mut self, partition: &TopicPartition) -> Option<&mut Log> {
        let index = usize::try_from(partition.partition).ok()?;
        self.by_name.get_mut(&partition.topic)?.logs.get_mut(index)
    }

    /// The log of a partition, or the error that says it is not there.
    pub(super) fn existing(&self, partition: &TopicPartition, doing: &str) -> Result<&Log> {
        self.log(partition).ok_or_else(|| missing(partition, doing))
    }
}

impl State {
    /// Deletes records before these offsets.
    pub(super) fn trim(&mut self, before: &[(TopicPartition, Offset)]) -> Result<()> {
        for (partition, offset) in before {
            let context = || format!("deleting records of {partition}");
            let log = self.topics.existing(partition, "deleting records of")?;
            let (id, end) = (log.id, log.next);
            let config = &self.topics.by_name[&partition.topic].config;
            if config.compact && !config.delete {
                return Err(Error::new(ErrorClass::Fatal, context(), "a compacted topic lets nobody delete its records"));
            }
            if !(0..=end).contains(offset) {
                let message = format!("offset {offset} is out of range, the end is {end}");
                return Err(Error::new(ErrorClass::Fatal, context(), message));
            }
            if let Some(log) = self.topics.log_mut(partition) {
                log.trim(*offset);
            }
            self.changed.insert(id);
        }
        Ok(())
    }
}

impl Topic {
    fn grow(&mut self, partitions: u32, stored: bool) {
        let first = self.logs.len() as u32;
        let id = |partition| LogId { topic: self.id, partition: partition as i32 };
        self.logs.extend((first..partitions).map(|partition| Log::new(id(partition), stored)));
    }

    fn log(&self, partition: &TopicPartition) -> Option<&Log> {
        self.logs.get(usize::try_from(partition.partition).ok()?)
    }
}

/// The error for a partition that is not there.
pub(super) fn missing(partition: &TopicPartition, doing: &str) -> Error {
    Error::new(ErrorClass::Missing(partition.topic.clone()), format!("{doing} {partition}"), "no such topic or partition")
}

fn is_legal(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty() && name.len() <= 249 && name != "." && name != ".." && name.chars().all(legal)
}

//! The self-check: folds the logs independently of the engine and counts what was lost or doubled.
//!
//! It reads the topics as any consumer would (committed records only) after everything was drained, decodes them with its own
//! code, and knows the rules of the sample ([`shop`]) by heart instead of reading them from the topology file. What it finds
//! is counted, and the first findings are told in words.
//!
//! For a topology whose rules it does not know it still checks what holds for every one: no message has the id of another, every
//! input is accounted for, and the dead letters counted are the dead letters written ([`accounts`]).

mod accounts;
mod event;
mod explain;
pub mod shop;

#[cfg(test)]
mod tests;

pub use accounts::{Accounts, check_accounts};
pub use shop::check_shop;

use crate::broker::{Isolation, Limit, LogReader};
use crate::record::{Offset, Partition, RecordRef, TopicPartition};
use std::time::Duration;

/// How many findings are told in words.
const FINDINGS_MAX: usize = 20;

/// Topics, read from their beginnings.
pub trait Logs {
    /// Number of partitions; 0 for a topic that is not there.
    fn partitions(&self, topic: &str) -> u32;

    /// Hands all committed records of a partition to `each`, in order.
    fn read(&mut self, topic: &str, partition: Partition, each: &mut dyn FnMut(&RecordRef<'_>)) -> Result<(), String>;
}

/// What the check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Effects that should be there and are not.
    pub lost: u64,
    /// Effects that are there and should not be, or twice.
    pub duplicated: u64,
    /// Keys that have a state.
    pub aggregates: u64,
    /// The first findings, in words.
    pub findings: Vec<String>,
}

impl Verdict {
    /// Is everything as it should be?
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0
    }

    fn lose(&mut self, count: u64, finding: impl FnOnce() -> String) {
        if count > 0 {
            self.lost += count;
            self.tell(finding);
        }
    }

    fn double(&mut self, count: u64, finding: impl FnOnce() -> String) {
        if count > 0 {
            self.duplicated += count;
            self.tell(finding);
        }
    }

    fn tell(&mut self, finding: impl FnOnce() -> String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding());
        }
    }
}

/// The topics of a broker, up to the ends that they had when reading began.
pub struct BrokerLogs {
    reader: Box<dyn LogReader>,
    topics: Vec<(String, u32)>,
    ends: Vec<(TopicPartition, Offset)>,
}

impl BrokerLogs {
    /// Topics of a broker by name and number of partitions, with the ends up to which they are read.
    pub fn new(reader: Box<dyn LogReader>, topics: Vec<(String, u32)>, ends: Vec<(TopicPartition, Offset)>) -> Self {
        Self { reader, topics, ends }
    }
}

impl Logs for BrokerLogs {
    fn partitions(&self, topic: &str) -> u32 {
        self.topics.iter().find(|(name, _)| name == topic).map_or(0, |(_, partitions)| *partitions)
    }

    fn read(&mut self, topic: &str, partition: Partition, each: &mut dyn FnMut(&RecordRef<'_>)) -> Result<(), String> {
        let place = TopicPartition::new(topic, partition);
        let Some(end) = self.ends.iter().find(|(known, _)| *known == place).map(|(_, end)| *end) else {
            return Err(format!("the end of `{place}` is not known"));
        };
        self.reader.assign(&[(place.clone(), 0)]).map_err(|error| error.to_string())?;
        let limit = Limit { records: 1_000, time: Duration::from_millis(100) };
        // A reader that stands still before the end has lost something by itself: better said than waited for.
        let mut idle = 0;
        while self.reader.position(&place) < end {
            let before = self.reader.position(&place);
            let read = self.reader.poll(limit, &mut |record| {
                if record.offset < end {
                    each(&record);
                }
            });
            read.map_err(|trouble| format!("`{}` cannot be read: {:?}", trouble.input, trouble.kind))?;
            idle = if self.reader.position(&place) == before { idle + 1 } else { 0 };
            if idle > 100 {
                return Err(format!("`{place}` ends at {before} instead of {end}"));
            }
        }
        Ok(())
    }
}

/// A reader of committed records.
pub fn committed() -> Isolation {
    Isolation::ReadCommitted
}

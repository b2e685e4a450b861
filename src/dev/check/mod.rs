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

use crate::broker::{Broker, Isolation, Limit, LogReader, Trouble, TroubleKind};
use crate::record::{Partition, RecordRef, TopicPartition};
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

    /// Adds what another check found. States are counted by the first.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.findings.extend(other.findings);
        self.findings.truncate(FINDINGS_MAX);
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

/// The topics of a broker that nobody writes to any more.
pub struct BrokerLogs {
    reader: Box<dyn LogReader>,
    topics: Vec<(String, u32)>,
    /// A partition was met whose oldest records are gone, though its topic keeps all that is not overwritten.
    trimmed: bool,
}

/// A partition has ended when it gives nothing so often.
const IDLE_POLLS: u32 = 3;

impl BrokerLogs {
    /// Reads committed records of these topics (name and number of partitions). The broker is one in this process: what there is
    /// is given at once, so a reader that gets nothing is at the end.
    pub fn new(broker: &dyn Broker, topics: Vec<(String, u32)>) -> Result<Self, String> {
        let reader = broker.log_reader(Isolation::ReadCommitted).map_err(|error| error.to_string())?;
        Ok(Self { reader, topics, trimmed: false })
    }

    /// Were records deleted before they could be read here? Then what was found says nothing.
    pub fn is_trimmed(&self) -> bool {
        self.trimmed
    }
}

impl Logs for BrokerLogs {
    fn partitions(&self, topic: &str) -> u32 {
        self.topics.iter().find(|(name, _)| name == topic).map_or(0, |(_, partitions)| *partitions)
    }

    fn read(&mut self, topic: &str, partition: Partition, each: &mut dyn FnMut(&RecordRef<'_>)) -> Result<(), String> {
        let place = TopicPartition::new(topic, partition);
        self.reader.assign(&[(place.clone(), 0)]).map_err(|error| error.to_string())?;
        let limit = Limit { records: 1_000, time: Duration::from_millis(20) };
        let mut idle = 0;
        while idle < IDLE_POLLS {
            let mut records = 0;
            let before = self.reader.position(&place);
            let read = self.reader.poll(limit, &mut |record| {
                records += 1;
                each(&record);
            });
            match read {
                Ok(()) => {}
                // The beginning of the log has moved on.
                Err(Trouble { kind: TroubleKind::OffsetOutOfRange, .. }) => {
                    self.trimmed = true;
                    return Ok(());
                }
                Err(trouble) => return Err(format!("`{}` cannot be read: {:?}", trouble.input, trouble.kind)),
            }
            idle = if records == 0 && self.reader.position(&place) == before { idle + 1 } else { 0 };
        }
        Ok(())
    }
}

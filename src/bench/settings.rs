//! What a bench is asked for.

use super::error::Result;
use super::job::Job;
use super::subject::{Peer, Store, Subject};
use crate::broker::kafka::Kafka;
use std::path::PathBuf;
use std::time::Duration;

/// How a bench is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Brokers to connect to first.
    pub brokers: String,
    /// Properties for librdkafka; they were taken once already.
    pub properties: Vec<(String, String)>,
    /// What to measure, in this order.
    pub jobs: Vec<Job>,
    /// Whom, in the first round in this order.
    pub subjects: Vec<Subject>,
    /// The other engine, where it is among them.
    pub peer: Option<Peer>,
    /// Records to drain; `None`: as many as are usual for the job.
    pub records: Option<u64>,
    /// What the records follow from.
    pub seed: u64,
    /// Customers.
    pub keys: u64,
    /// Exponent of Zipf's law.
    pub skew: f64,
    /// Bytes of a value.
    pub bytes: usize,
    /// Of all topics.
    pub partitions: u32,
    /// Of inputs and outputs, in the client's words.
    pub compression: String,
    /// Of a worker.
    pub threads: u16,
    /// Where states are kept.
    pub store: Store,
    /// Does the engine check messages against their schemas?
    pub validate: bool,
    /// Of all subjects.
    pub commit_interval: Duration,
    /// Constant rate after the drain.
    pub pace: Pace,
    /// So long.
    pub paced_for: Duration,
    /// Start the worker again, with its states and without?
    pub restart: bool,
    /// Rounds.
    pub repeat: u32,
    /// Brokers of this machine, whose CPU is told apart.
    pub broker_pids: Vec<u32>,
    /// What all names begin with.
    pub prefix: String,
    /// Leave topics, groups and folders as they are at the end?
    pub keep: bool,
    /// Where folders are made.
    pub folder: PathBuf,
    /// The command line, for the record.
    pub command: String,
}

/// A constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// None: only drain.
    Off,
    /// Half of what the slowest of the round drained.
    Half,
    /// So many a second.
    At(u64),
}

/// Told how it goes, and asked whether it should.
pub trait Watcher {
    /// Something begins that has so many records.
    fn begin(&mut self, what: &str, records: u64);
    /// So many of them are done.
    fn at(&mut self, done: u64);
    /// Something to know.
    fn note(&mut self, text: &str);
    /// Is an end asked for?
    fn stop_asked(&self) -> bool;
}

/// A client with these properties over those given.
pub(super) fn client(settings: &Settings, more: &[(&str, &str)]) -> Result<Kafka> {
    let mut properties = crate::broker::kafka::Properties::new(&settings.brokers);
    let given = settings.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let own = [("producer.compression.type", settings.compression.as_str())];
    for (key, value) in given.chain(own).chain(more.iter().copied()) {
        properties.set(key, value)?;
    }
    Ok(Kafka::new(properties)?)
}

//! Results as a document: what programs read, and what later results are compared with.

use super::machine::Machine;
use super::statistics::Interval;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Changes where old readers would misread.
pub(super) const FORMAT: u32 = 1;

/// Everything that was measured in one go.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Document {
    /// Form of this document.
    pub format: u32,
    /// Version of the engine.
    pub skald: String,
    /// The command line, without the properties of the client.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// With what.
    pub settings: Setup,
    /// What came of it, by job.
    pub jobs: BTreeMap<String, JobFigures>,
    /// What speaks against the figures.
    pub noise: Vec<String>,
}

/// What was measured with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as the flags are")]
pub struct Setup {
    pub seed: u64,
    pub keys: u64,
    pub skew: f64,
    pub bytes: usize,
    pub partitions: u32,
    pub compression: String,
    pub threads: u16,
    pub store: String,
    pub validate: bool,
    pub commit_interval_ms: u64,
    pub repeat: u32,
    /// The other engine.
    pub peer: Option<String>,
}

/// A job, by who did it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct JobFigures {
    /// Records that each drained.
    pub records: u64,
    /// The engine.
    pub skald: Option<SubjectFigures>,
    /// The other engine.
    pub peer: Option<SubjectFigures>,
    /// The client alone.
    pub floor: Option<SubjectFigures>,
    /// CPU of the engine by that of the peer: below 1, the engine takes less.
    pub cpu_ratio: Option<f64>,
    /// Of the same, over repeated runs.
    pub cpu_ratio_interval: Option<Interval>,
    /// Peak memory of the engine by that of the peer.
    pub rss_ratio: Option<f64>,
    /// Records per second of the engine by those of the peer.
    pub rate_ratio: Option<f64>,
    /// CPU of the engine by that of the client alone.
    pub floor_ratio: Option<f64>,
    /// Have engine and peer written the same: by key, as many outputs with the same content in the same order?
    pub outputs_equal: Option<bool>,
    /// What they have not.
    pub difference: Option<String>,
}

/// What one of them did in a job: means over its runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SubjectFigures {
    /// CPU of its process, user and system, for each input record, in microseconds.
    pub cpu_us_per_record: f64,
    /// Input records a second.
    pub records_per_s: f64,
    /// The most memory at a time.
    pub peak_rss_bytes: u64,
    /// From when a record was meant to be sent to when its output could be read, at the rate in `latency`.
    pub p99_ms: Option<f64>,
    /// CPU of the brokers for each input record.
    pub broker_cpu_us_per_record: Option<f64>,
    /// Changelog records a second into an empty store.
    pub restore_records_per_s: Option<f64>,
    /// From the start of a process that finds its states to the commit of the record that waited for it.
    pub restart_s: Option<f64>,
    /// Bytes that compacted topics keep of each input record's state: of the saga, where that is the job.
    pub state_bytes_per_record: Option<f64>,
    /// Bytes written for each input record to all topics but the input.
    pub log_bytes_per_record: Option<f64>,
    /// Times of all runs together.
    pub latency: Option<Latency>,
    /// By name of the figure, where there are several runs.
    pub intervals: BTreeMap<String, Interval>,
    /// Each by itself.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// As fast as possible.
    pub drained: Drained,
    /// At a constant rate.
    pub latency: Option<Latency>,
    /// With the states that it has left.
    pub restart_s: Option<f64>,
    /// With none.
    pub restored: Option<Restored>,
    /// See [`SubjectFigures`].
    pub state_bytes_per_record: Option<f64>,
    /// See [`SubjectFigures`].
    pub log_bytes_per_record: Option<f64>,
}

/// A topic that was worked off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drained {
    /// Records that count: without those of the start, unless all went too fast.
    pub records: u64,
    /// Is the start of the process in the figures?
    pub with_start: bool,
    /// For them.
    pub seconds: f64,
    /// Of the process.
    pub cpu_seconds: f64,
    /// Of the brokers.
    pub broker_cpu_seconds: Option<f64>,
    /// Of the process, since its start.
    pub peak_rss_bytes: u64,
}

/// How long outputs took at a constant rate, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "shares in parts of a hundred")]
pub struct Latency {
    /// Input records a second.
    pub rate: u64,
    /// Outputs whose times count.
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub p99_99_ms: f64,
    pub max_ms: f64,
}

/// States that were read back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// Records of changelogs.
    pub records: u64,
    /// For them.
    pub seconds: f64,
    /// From the start of the process to the commit of the record that waited for it.
    pub ready_s: f64,
}

/// A figure of a run: its name, whether less is better, and how it is found.
pub(super) type Figure = (&'static str, bool, fn(&Run) -> Option<f64>);

/// All figures that runs are compared by.
pub(super) const FIGURES: [Figure; 8] = [
    ("cpu_us_per_record", true, |run| per_record(run, run.drained.cpu_seconds)),
    ("records_per_s", false, |run| (run.drained.seconds > 0.0).then(|| run.drained.records as f64 / run.drained.seconds)),
    ("peak_rss_bytes", true, |run| Some(run.drained.peak_rss_bytes as f64)),
    ("p99_ms", true, |run| run.latency.as_ref().map(|latency| latency.p99_ms)),
    ("broker_cpu_us_per_record", true, |run| per_record(run, run.drained.broker_cpu_seconds?)),
    ("restore_records_per_s", false, |run| {
        run.restored.as_ref().filter(|done| done.seconds > 0.0).map(|done| done.records as f64 / done.seconds)
    }),
    ("restart_s", true, |run| run.restart_s),
    ("state_bytes_per_record", true, |run| run.state_bytes_per_record),
];

fn per_record(run: &Run, seconds: f64) -> Option<f64> {
    (run.drained.records > 0).then(|| seconds * 1e6 / run.drained.records as f64)
}

impl JobFigures {
    /// Its subjects with their names.
    pub(super) fn subjects(&self) -> impl Iterator<Item = (&'static str, &SubjectFigures)> {
        let all = [("skald", &self.skald), ("peer", &self.peer), ("floor", &self.floor)];
        all.into_iter().filter_map(|(name, figures)| Some((name, figures.as_ref()?)))
    }
}

/// The values of a figure over runs, those left out that have none.
pub(super) fn values(runs: &[Run], figure: &Figure) -> Vec<f64> {
    runs.iter().filter_map(figure.2).collect()
}

//! What is measured: topologies of a few lines, each a file that anybody can run.

use super::workload::Made;
use std::fmt;

/// A job. `window` and `join` are none, since the engine has neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Records go on as they are.
    Passthrough,
    /// Some are left out, the others become other messages.
    Map,
    /// Records are folded into states; each sends an update.
    Aggregate,
    /// Commands are decided against states and become events.
    Decide,
    /// A saga of four steps for each record, one in ten undone; who does the steps is part of it.
    Saga,
}

/// The names in the files that are replaced: see [`Job::topology`].
const TOPOLOGY: &str = "bench-";
const INPUT: &str = "bench-in";
const OUTPUT: &str = "bench-out";
const PARTITIONS: &str = "partitions: 4";
const STORE: &str = "store: disk";
const VALIDATE: &str = "validate: false";

/// What the text of a job is filled with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling<'a> {
    /// Name of the topology.
    pub(super) topology: &'a str,
    pub(super) input: &'a str,
    pub(super) output: &'a str,
    pub(super) partitions: u32,
    pub(super) store: &'a str,
    pub(super) validate: bool,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Passthrough, Self::Map, Self::Aggregate, Self::Decide, Self::Saga];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passthrough => "passthrough",
            Self::Map => "map",
            Self::Aggregate => "aggregate",
            Self::Decide => "decide",
            Self::Saga => "saga",
        }
    }

    /// The one of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }

    /// Its topology file, as it lies in `benches/jobs`.
    pub fn file(self) -> &'static str {
        match self {
            Self::Passthrough => include_str!("../../benches/jobs/passthrough.yaml"),
            Self::Map => include_str!("../../benches/jobs/map.yaml"),
            Self::Aggregate => include_str!("../../benches/jobs/aggregate.yaml"),
            Self::Decide => include_str!("../../benches/jobs/decide.yaml"),
            Self::Saga => include_str!("../../benches/jobs/saga.yaml"),
        }
    }

    /// The same under other names, with these settings.
    pub(super) fn topology(self, with: &Filling<'_>) -> String {
        let own = format!("{TOPOLOGY}{}", self.name());
        // None of the names is the beginning of another.
        self.file()
            .replace(&own, with.topology)
            .replace(INPUT, with.input)
            .replace(OUTPUT, with.output)
            .replace(PARTITIONS, &format!("partitions: {}", with.partitions))
            .replace(STORE, &format!("store: {}", with.store))
            .replace(VALIDATE, &format!("validate: {}", with.validate))
    }

    /// Is every record a key of its own?
    pub(super) fn is_by_order(self) -> bool {
        self == Self::Saga
    }

    /// Does it keep states that a restart restores?
    pub fn has_state(self) -> bool {
        matches!(self, Self::Aggregate | Self::Decide | Self::Saga)
    }

    /// Are its outputs committed with the record that they follow from, rather than some records later?
    pub(super) fn answers_at_once(self) -> bool {
        self != Self::Saga
    }

    /// Does this record lead to an output?
    pub(super) fn has_output(self, made: Made) -> bool {
        match self {
            Self::Passthrough | Self::Saga => true,
            Self::Map => made.placed && made.amount >= 1_000,
            Self::Aggregate | Self::Decide => made.placed,
        }
    }

    /// Records to measure with where nobody says: a saga is worth some dozens of other records.
    pub fn usual_records(self) -> u64 {
        if self == Self::Saga { 50_000 } else { 1_000_000 }
    }

    /// Is it one that other engines do too?
    pub fn has_peer(self) -> bool {
        matches!(self, Self::Passthrough | Self::Map | Self::Aggregate)
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{NoSources, load, render};

    #[test]
    fn every_job_is_a_topology_without_findings_under_any_names() {
        for job in Job::ALL {
            let names = Filling { topology: "t-1", input: "i", output: "o", partitions: 7, store: "memory", validate: true };
            for text in [job.file().to_owned(), job.topology(&names)] {
                let loaded = load(job.name(), text.as_bytes(), &[], &NoSources);
                assert!(loaded.findings.is_empty(), "{}", render::text(&loaded.findings, |_| Some(&text), false));
                assert!(loaded.checked.is_some());
            }
            let text = job.topology(&names);
            let (topology, plan) = load(job.name(), text.as_bytes(), &[], &NoSources).checked.unwrap();
            assert_eq!(plan.topology.as_str(), "t-1");
            assert!(plan.topics.iter().all(|topic| !topic.name.starts_with("bench")), "{job}");
            assert!(plan.topics.iter().any(|topic| topic.name == "i") && plan.topics.iter().any(|topic| topic.name == "o"));
            assert!(!text.contains("validate: false") && !text.contains("partitions: 4") && !text.contains("store: disk"));
            assert_eq!(job.has_state(), plan.stores.iter().any(|store| store.changelog.or(store.snapshots).is_some()), "{job}");
            drop(topology);
        }
    }

    #[test]
    fn a_job_is_found_by_its_name() {
        for job in Job::ALL {
            assert_eq!(Job::from_name(job.name()), Some(job));
        }
        assert_eq!(Job::from_name("window"), None);
    }
}

//! Measures the engine on a running cluster, beside another engine where one is wanted, and says how far the figures can be trusted.
//!
//! A [`Job`] is a topology of a few lines with the records that it reads. A [`Bench`] runs jobs: it makes topics under a prefix of its
//! own, fills them, lets a worker drain them, then sends at a constant rate and takes the time until an output can be read, and takes
//! its topics away. Whoever does the work is a process of its own ([`Subject`]), so its CPU and its memory are nobody else's; the
//! broker's are told apart.
//!
//! What it promises: a worker has done the work, or there is no figure. Outputs are counted, and where two subjects do the same job,
//! compared key by key. Latency counts from when a record was meant to be sent, so that a stall is felt by all that come after it
//! (no coordinated omission). Records follow from a seed. Nothing is asserted of the machine: what else was at work is told.
//!
//! How it looks on a terminal, and where the cluster is, is left to `cli`.

mod again;
mod document;
mod drain;
mod error;
mod figures;
mod job;
mod latency;
mod load;
mod machine;
mod outputs;
mod overview;
mod pace;
mod place;
mod process;
mod run;
mod scrape;
mod settings;
mod stand;
mod statistics;
mod subject;
mod tables;
mod versus;
mod workload;
mod zipf;

pub use document::{Document, Drained, JobFigures, Latency, Restored, Run, Setup, SubjectFigures};
pub use error::{Error, Result};
pub use job::Job;
pub use latency::Histogram;
pub use load::Schedule;
pub use machine::Machine;
pub use overview::overview;
pub use run::{Bench, Finished};
pub use settings::{Pace, Settings, Watcher};
pub use statistics::Interval;
pub use subject::{Peer, Store, Subject};
pub use tables::{markdown, table};
pub use versus::{Difference, Verdict, compare, differences_json, differences_table};
pub use workload::{Maker, Workload};
pub use zipf::Zipf;

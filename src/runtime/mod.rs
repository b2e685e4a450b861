//! Runs a program on a broker: worker loops, epochs, commits, assignments, restores.
//!
//! A worker thread reads records, lets nodes handle them and gathers the effects in an *epoch*, which is committed as one Kafka
//! transaction together with the offsets of what was read. Whatever happens, records count once: after a crash at any point
//! (`crash`), a rebalance or an unknown outcome, the committed offsets say what was done, and stores follow from changelogs.
//!
//! The loop ([`worker::Worker`]) never blocks and reads no clock but the one it is given, so the simulation runs the same code.
//! Left to others: what a record means (`node`), where bytes lie (`broker`, `state`), what is answered over HTTP (`api`).

mod assignment;
mod breaker;
mod commit;
mod context;
mod core;
pub mod crash;
mod driver;
mod engine;
mod epoch;
mod error;
mod handling;
mod lease;
mod listening;
mod meters;
mod names;
mod owners;
mod parking;
mod prepare;
mod program;
mod progress;
mod punctuate;
mod purge;
mod questions;
mod rebalance;
mod registry;
mod restore;
mod restoring;
mod retries;
mod sealing;
mod settings;
mod shutdown;
mod spill;
mod survey;
mod sweep;
mod takeover;
mod task;
mod trouble;
mod wall;
pub mod worker;

#[cfg(test)]
mod tests;

pub use engine::{Engine, Running, Snapshot, Watch};
pub use error::{Error, Exit, Result};
pub use prepare::{Prepared, PreparedTopic, TopicProblem, client_suffix, prepare, refuse_other_plans};
pub use program::{Decode, Program, SourcePolicy};
pub use progress::{Figures, Totals};
pub use registry::{Halt, Lookup, Reader, Registry, TaskId, TaskPhase, TaskReport};
pub use settings::{Settings, Weakened};
pub use survey::{Survey, Surveyed, survey};
pub use sweep::SweepReport;

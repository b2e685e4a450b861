//! Scenario tests of a topology: given what has happened, when something happens, then this must come of it.
//!
//! [`read`] turns a scenario file into cases, or into diagnostics. [`run`] runs one: the production loop of one or more workers on
//! the broker in this process, with commits, restores, crashes and rebalances, under a clock that stands still until the case
//! lets time pass. What came of it is compared with what was expected ([`Verdict`]); [`report`] shows that to people and
//! programs, [`coverage`] what no case has tried, [`update`] writes what is there into the file.
//!
//! Left to others: finding and reading files, running cases side by side, and the exit code (`cli`).

mod check;
pub mod coverage;
mod driver;
mod instance;
mod model;
mod names;
mod pattern;
mod read;
mod record;
pub mod report;
mod run;
mod schema;
mod shape;
mod tree;
pub mod update;

#[cfg(test)]
mod tests;

pub use model::Suite;
pub use read::{Reading, Topologies, is_marked, read, topology_of};
pub use run::{Failure, Verdict, run};
pub use schema::schema;

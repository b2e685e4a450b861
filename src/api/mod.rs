//! HTTP for operators: is it alive, is it ready, how is it doing, what does an aggregate's state say, where do sagas stand.
//!
//! Without access control, so it listens on the loopback address unless told otherwise, and takes acts (on dead letters) nowhere
//! else. It answers from what is
//! committed and never makes a worker wait: queries read the stores of running tasks, figures come from counters. A key that
//! another worker owns is answered with 421 and the number of its partition; routing there is not built.
//!
//! What is not an answer is `application/problem+json` with a stable `code` ([`Problem`]). Bounds: connections, time for the
//! head of a request, time for an answer, life of a connection; bodies are read of acts alone ([`Settings`]).

mod letters;
mod problem;
mod routes;
mod sagas;
mod server;

#[cfg(test)]
mod tests;

pub use letters::Letters;
pub use problem::Problem;
pub use server::{Server, start};

use crate::desk::{Timeline, View};
use crate::record::{Partition, Text};
use crate::runtime::{Lookup, Snapshot, Watch};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where to listen, and how much to put up with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// More connections than this are closed at once.
    pub connections_max: usize,
    /// The head of a request must be there after so long; also how long a connection may be idle.
    pub header_timeout: Duration,
    /// An answer that takes longer is given up.
    pub request_timeout: Duration,
    /// A connection is closed after so long, whatever it does.
    pub connection_timeout: Duration,
    /// Requests that announce a larger body are refused.
    pub body_bytes_max: u64,
}

impl Settings {
    /// The usual bounds at this address.
    pub fn at(listen: SocketAddr) -> Self {
        Self {
            listen,
            connections_max: 256,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            connection_timeout: Duration::from_secs(300),
            body_bytes_max: 1 << 20,
        }
    }
}

/// What is asked about a running engine.
pub trait Engine: Send + Sync {
    /// What was done and what is being done.
    fn snapshot(&self) -> Snapshot;

    /// Where the state of a node's partition can be read.
    fn find(&self, node: &str, partition: Partition) -> Lookup;
}

impl Engine for Watch {
    fn snapshot(&self) -> Snapshot {
        Self::snapshot(self)
    }

    fn find(&self, node: &str, partition: Partition) -> Lookup {
        self.registry().find(node, partition)
    }
}

/// A topology that runs in this process.
pub struct Topology {
    /// Its name.
    pub name: Text,
    /// Its plan, for people and programs; without secrets.
    pub description: serde_json::Value,
    /// Nodes that have state by key.
    pub aggregates: Vec<Aggregate>,
    /// Its sagas.
    pub sagas: Vec<Saga>,
    /// Its dead letters.
    pub letters: Letters,
    /// The engine that runs it.
    pub engine: Arc<dyn Engine>,
}

/// A node that has state by key.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Name of the node.
    pub name: Text,
    /// Topic of its snapshots, whose partitions its keys are spread over.
    pub snapshots: Text,
    /// How many those are.
    pub partitions: u32,
}

/// Where the histories of a saga's instances are read.
pub trait Timelines: Send + Sync {
    /// What an instance went through, and whether that is all; an error says in words why it is not known now. Takes its time: it is
    /// asked on a thread that may wait.
    fn of(&self, view: &View) -> Result<(Timeline, bool), String>;
}

/// A saga.
#[derive(Clone)]
pub struct Saga {
    /// Name of the node.
    pub name: Text,
    /// Topic of its instances, over whose partitions they are spread.
    pub changelog: Text,
    /// Topic of what they went through.
    pub history: Text,
    /// How many partitions those have.
    pub partitions: u32,
    /// What they went through.
    pub timelines: Arc<dyn Timelines>,
}

/// All that is shown.
pub struct Surface {
    /// The topologies of this process.
    pub topologies: Vec<Topology>,
    /// The text of `/metrics`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

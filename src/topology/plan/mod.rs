//! The plan: what a topology needs of the cluster, and how it is split into what runs.
//!
//! Nodes joined in memory or by a shared source topic form a sub-topology; a topic in between separates two. A partition is
//! assigned once per group, so a topic belongs to one sub-topology only. A task is a sub-topology × partition.
//!
//! [`Plan::topics`] holds first the topics of the model, at the same indexes, then those that the engine makes for itself.

mod build;
mod check;
mod count;
mod describe;
mod keys;
mod normal;

pub(super) use build::build;
pub use describe::{json, outputs};
pub use keys::{InstanceKey, instance_keys};
pub(super) use normal::normal;

use super::model::{Cleanup, StoreKind};
use crate::record::Text;

/// What is run, and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name of the topology, which is the consumer group.
    pub topology: Text,
    /// Its `version`.
    pub version: u32,
    /// All topics read and written, those with computed names excepted.
    pub topics: Vec<PlannedTopic>,
    /// Parts that run on their own.
    pub subtopologies: Vec<SubTopology>,
    /// Nodes, those that the engine adds included. Those of the model come first: aggregates, then pipelines, then sagas, in its order.
    pub nodes: Vec<PlannedNode>,
    /// Stores of stateful nodes.
    pub stores: Vec<PlannedStore>,
    /// Index of the topic of dead letters.
    pub dead_letters: usize,
    /// Index of the topic that tells what operators did to them.
    pub audit: usize,
    /// What the members of a group must agree on: the topics that each sub-topology reads, as one text to be hashed.
    pub subscription: String,
}

/// A topic and what is demanded of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedTopic {
    /// Name.
    pub name: Text,
    /// What it is used for, each once.
    pub roles: Vec<Role>,
    /// Who makes it.
    pub owner: Owner,
    /// How many partitions it must have.
    pub partitions: Partitions,
    /// Replication factor, where declared.
    pub replication: Option<u16>,
    /// The cleanup policy that it must have; `None`: any.
    pub cleanup: Option<Cleanup>,
    /// Other settings that it is created with.
    pub config: Vec<(Text, Text)>,
    /// Nobody but this topology reads it: what its group has committed is deleted.
    pub purged: bool,
}

/// What a topic is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It is read.
    Source,
    /// Messages are written to it.
    Sink,
    /// An aggregate's own events.
    Events,
    /// Results for requests.
    Replies,
    /// An aggregate's states: its changelog, readable by anyone.
    Snapshots,
    /// What else a store holds.
    Changelog,
    /// Records on their way to the partition of another key.
    Repartition,
    /// Records that failed.
    DeadLetters,
    /// What the instances of a saga went through.
    History,
    /// What operators want of a node: acts on its instances, dead letters to be taken once more.
    Inbox,
    /// What operators did to dead letters.
    Audit,
}

impl Role {
    /// Are records of such a topic of no use to anybody once this topology's group has committed them?
    pub fn is_purged(self) -> bool {
        matches!(self, Self::Repartition | Self::Inbox)
    }
}

/// Who makes a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user declared it; the engine makes it only when asked to.
    User,
    /// The engine, at the start.
    Engine,
}

/// How many partitions a topic must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// So many.
    Declared(u32),
    /// As many as it has; when it is made, the cluster's default.
    Cluster,
    /// As many as the tasks of this sub-topology ([`SubTopology::count`]).
    OfSubTopology(usize),
}

/// A part that runs on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct SubTopology {
    /// Number, from 0; not stable between versions of a file.
    pub index: usize,
    /// Name of the node that it begins with.
    pub name: Text,
    /// Topics that it reads, by index, in ascending order.
    pub sources: Vec<usize>,
    /// Regular expressions over whole names of further topics that it reads; then it is stateless.
    pub patterns: Vec<Text>,
    /// Its nodes, by index.
    pub nodes: Vec<usize>,
    /// Its stores, by index.
    pub stores: Vec<usize>,
    /// Has it stores? Then all its sources have one partition count.
    pub stateful: bool,
    /// What its number of tasks follows from.
    pub count: TaskCount,
}

/// What the number of tasks of a sub-topology follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskCount {
    /// So many: its sources are declared so.
    Declared(u32),
    /// The partitions of its sources, which must agree when it is stateful; else the largest.
    OfSources,
    /// All it reads are repartition topics: the largest count among these topics, from which they are filled.
    Largest(Vec<usize>),
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedNode {
    /// The user's name, or `<node>.repartition`.
    pub name: Text,
    /// What it is.
    pub kind: NodeKind,
    /// Index of its sub-topology.
    pub subtopology: usize,
    /// Topics that it takes records from, by index: of a repartitioned node the repartition topic in place of those behind it.
    pub sources: Vec<usize>,
    /// Regular expressions over whole names that it takes records from.
    pub patterns: Vec<Text>,
    /// Index of its store.
    pub store: Option<usize>,
    /// Index of the topic of operators' acts and of dead letters to be taken once more, which is also one of its sources. Every
    /// node of the model has one; what fails at a repartitioning node goes through that of the node behind.
    pub inbox: Option<usize>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// An aggregate of the model.
    Aggregate(usize),
    /// A pipeline of the model.
    Pipeline(usize),
    /// A saga of the model.
    Saga(usize),
    /// Passes records of types that a node handles on under that node's key.
    Repartition {
        /// The node, an index of [`Plan::nodes`].
        of: usize,
        /// The repartition topic.
        to: usize,
    },
}

/// A store.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStore {
    /// Its node, by index.
    pub node: usize,
    /// Name of its node, by which it is found again.
    pub name: Text,
    /// Where it is kept.
    pub kind: StoreKind,
    /// Topic of the states, of an aggregate.
    pub snapshots: Option<usize>,
    /// Topic of all else; only where there is something else (marks of answered requests, instances of a saga).
    pub changelog: Option<usize>,
}

/// A pattern of a source, as a regular expression over whole names.
pub fn pattern(text: &str) -> Option<regex::Regex> {
    super::lower::whole(text).ok()
}

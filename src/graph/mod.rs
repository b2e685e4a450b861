//! The picture of a plan: what reads and writes what.
//!
//! [`Graph::of`] takes a plan apart into boxes and lines, each with what it is; [`Layout::of`] gives them places; [`svg`],
//! [`json`], [`mermaid`] and [`dot`] write the same graph down. The same plan gives the same text, byte by byte.
//!
//! Names and patterns are the user's: every form escapes them in its own way. Where the boxes of mermaid and dot stand is left to
//! those tools.

mod build;
mod dot;
mod json;
mod layout;
mod mermaid;
mod svg;

#[cfg(test)]
mod tests;

pub use dot::dot;
pub use json::json;
pub use layout::{Layout, Place, Point, Route};
pub use mermaid::mermaid;
pub use svg::svg;

/// A plan as boxes and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// Name of the topology.
    pub topology: String,
    /// Its version.
    pub version: u32,
    /// Sub-topologies: their names, in the order of the plan.
    pub parts: Vec<String>,
    /// Boxes.
    pub nodes: Vec<Node>,
    /// Lines between them.
    pub edges: Vec<Edge>,
}

/// A box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique in the picture: a letter and a number.
    pub id: String,
    /// What it is.
    pub shape: Shape,
    /// Its name.
    pub name: String,
    /// A word or two on it.
    pub note: String,
    /// The sub-topology that it is a part of; topics stand between them.
    pub part: Option<usize>,
}

/// What a box is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// A topic of the user's.
    Topic,
    /// A topic that the engine makes for itself.
    EngineTopic,
    /// Topics known by a pattern or by the beginning of their names only.
    Topics,
    /// The topic of dead letters.
    DeadLetters,
    /// An aggregate or a repository.
    Aggregate,
    /// A saga.
    Saga,
    /// A pipeline.
    Pipeline,
    /// Passes records on under another key.
    Repartition,
    /// Keyed state.
    Store,
}

/// A line from one box to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Index of the box where it begins.
    pub from: usize,
    /// Index of the box that it leads to.
    pub to: usize,
    /// What it says.
    pub kind: EdgeKind,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EdgeKind {
    /// Records go this way.
    Records,
    /// A node and its store.
    State,
    /// A store and the topics that it is restored from.
    Changelog,
    /// What fails goes this way.
    DeadLetters,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Topic,
        Self::EngineTopic,
        Self::Topics,
        Self::DeadLetters,
        Self::Aggregate,
        Self::Saga,
        Self::Pipeline,
        Self::Repartition,
        Self::Store,
    ];

    /// A word for programs and style sheets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::EngineTopic => "engine-topic",
            Self::Topics => "topics",
            Self::DeadLetters => "dead-letters",
            Self::Aggregate => "aggregate",
            Self::Saga => "saga",
            Self::Pipeline => "pipeline",
            Self::Repartition => "repartition",
            Self::Store => "store",
        }
    }

    /// Words for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::EngineTopic => "topic of the engine",
            Self::Topics => "topics by pattern",
            Self::DeadLetters => "dead letters",
            Self::Aggregate => "aggregate",
            Self::Saga => "saga",
            Self::Pipeline => "pipeline",
            Self::Repartition => "repartition",
            Self::Store => "store",
        }
    }

    /// Does it take records? What does can fail.
    pub fn is_processor(self) -> bool {
        matches!(self, Self::Aggregate | Self::Saga | Self::Pipeline | Self::Repartition)
    }
}

impl EdgeKind {
    /// A word for programs and style sheets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::State => "state",
            Self::Changelog => "changelog",
            Self::DeadLetters => "dead-letters",
        }
    }
}

//! What changing a topology means: for its nodes, for the topics of a cluster, for the rights that it needs.
//!
//! [`compare`] sets the content of a file against the content that was applied before, both as checked models, and gives every
//! node a [`Verdict`] with its reasons: the table of `docs/changing-topologies.md`. [`rights`] lists what a worker must be allowed
//! to do; [`lacks`] what instances of sagas would miss that began before. [`Sheet`] shows all of it, as text and as JSON.
//!
//! Nothing here asks a cluster: what it has is handed in.

mod compare;
mod diff;
mod lacks;
mod rights;
mod rules;
mod sheet;
mod state;

#[cfg(test)]
mod tests;

pub use compare::compare;
pub use lacks::lacks;
pub use rights::{Operation, Pattern, Resource, Right, rights, uses};
pub use sheet::{Sheet, TopicLine};

use crate::topology::Definition;
use crate::topology::model::{Position, Topology};
use crate::topology::plan::Plan;
use serde_json::Value as Json;

/// A topology to be compared.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// Its model.
    pub topology: &'a Topology,
    /// Its plan.
    pub plan: &'a Plan,
    /// Its content.
    pub definition: &'a Definition,
}

/// What a change means for a node.
///
/// ```text
/// unchanged < compatible < rebuild < refused
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Nothing that counts.
    Unchanged,
    /// It holds for new records; what is stored goes on.
    Compatible,
    /// What is stored was made by other rules and would have to be made anew from the log.
    Rebuild,
    /// What is stored would be lost, or could not be read.
    Refused,
}

/// What happened to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
    /// Nothing.
    Same,
}

/// Why a verdict was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What this alone would mean.
    pub verdict: Verdict,
    /// Why.
    pub text: String,
    /// Where it stands in the new file.
    pub at: Option<Position>,
}

/// A difference of content.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What happened.
    pub mark: Mark,
    /// Where, within what it belongs to.
    pub path: Vec<String>,
    /// As it was.
    pub old: Option<Json>,
    /// As it is.
    pub new: Option<Json>,
    /// Where it stands in the new file.
    pub at: Option<Position>,
}

/// A node, a topic or another part of a file, with what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is: `aggregate`, `topic`, `params` …
    pub kind: &'static str,
    /// Its name; empty where there is only one.
    pub name: String,
    /// What happened.
    pub mark: Mark,
    /// What that means; of what is no node at most [`Verdict::Compatible`].
    pub verdict: Verdict,
    /// Why, the worst first.
    pub reasons: Vec<Reason>,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// Two contents, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// All nodes of both.
    pub nodes: Vec<Part>,
    /// Whatever else differs: topics, params, defaults.
    pub others: Vec<Part>,
    /// The members of the group read other topics than before: old and new workers do not run beside each other.
    pub regroup: bool,
}

impl Verdict {
    /// A word for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Compatible => "compatible",
            Self::Rebuild => "rebuild",
            Self::Refused => "refused",
        }
    }
}

impl Mark {
    /// As plans show it.
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
            Self::Same => ' ',
        }
    }
}

impl Comparison {
    /// The worst that it means for a node.
    pub fn verdict(&self) -> Verdict {
        let parts = self.nodes.iter().chain(&self.others);
        parts.map(|part| part.verdict).max().unwrap_or(Verdict::Unchanged)
    }

    /// Does nothing differ?
    pub fn is_same(&self) -> bool {
        self.nodes.iter().chain(&self.others).all(|part| part.mark == Mark::Same)
    }

    /// Adds a reason to what is said of a node.
    pub fn add(&mut self, node: &str, reason: Reason) {
        if let Some(part) = self.nodes.iter_mut().find(|part| part.name == node) {
            part.because(vec![reason]);
        }
    }

    /// Nodes that are gone and whose state would be left behind.
    pub fn left_behind(&self) -> impl Iterator<Item = &Part> {
        self.nodes.iter().filter(|node| node.mark == Mark::Removed && node.verdict == Verdict::Refused)
    }
}

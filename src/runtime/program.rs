//! What a worker runs: the plan with its nodes compiled and its topics' decoders.

use crate::codec::Event;
use crate::failure::Failure;
use crate::node::Node;
use crate::record::RecordRef;
use crate::topology::model::Start;
use crate::topology::plan::Plan;
use std::sync::Arc;
use std::time::Duration;

/// Reads the records of a topic.
pub trait Decode: Send + Sync {
    /// What a record says; `None` for one without a value, where its envelope needs one.
    fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure>;
}

/// How a source of a sub-topology is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePolicy {
    /// Where reading begins without a committed offset.
    pub start: Start,
    /// Records older than this when they are read fail with `EXPIRED` at the nodes that ask for it.
    pub max_age: Option<Duration>,
}

/// A program: all that worker threads share, and never change.
pub struct Program {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Nodes, as in the plan.
    pub nodes: Vec<Arc<dyn Node>>,
    /// Decoders of the plan's topics that are read; `None` for the others.
    pub decoders: Vec<Option<Arc<dyn Decode>>>,
    /// Decoder of topics that are read by a pattern and not in the plan.
    pub undeclared: Arc<dyn Decode>,
    /// Per node: how its sources are read, in the order of [`crate::topology::plan::PlannedNode::sources`], then its patterns.
    pub policies: Vec<Vec<SourcePolicy>>,
}

//! What a worker runs: the plan with its nodes compiled and its topics' decoders.

use crate::codec::{Decoder, Event};
use crate::dlq::Spelling;
use crate::failure::Failure;
use crate::node::{self, Node, Reader, World};
use crate::record::{RecordRef, Text};
use crate::topology::model::{Source, SourceFrom, Start};
use crate::topology::plan::{NodeKind, Plan, PlannedNode, Role};
use crate::{aggregate, processor, saga};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;

/// Reads the records of a topic.
pub trait Decode: Send + Sync {
    /// What a record says; `None` for one without a value, where its envelope needs one.
    fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure>;
}

impl Decode for Decoder {
    fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        Decoder::decode(self, record)
    }
}

impl Decode for Reader {
    fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        Reader::decode(self, record)
    }
}

/// How a source of a node is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourcePolicy {
    /// Where reading begins without a committed offset.
    pub start: Start,
    /// Records older than this when they are read fail with `EXPIRED`.
    pub max_age: Option<Duration>,
}

/// A program: all that worker threads share, and never change.
pub struct Program {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Nodes, as in the plan.
    pub(super) nodes: Vec<Arc<dyn Node>>,
    decoders: Vec<Arc<dyn Decode>>,
    /// The same for records that are met where the nodes which take them are the plan's: they make what those read.
    readers: Vec<Arc<dyn Decode>>,
    undeclared: Arc<dyn Decode>,
    /// Per node: how its sources are read, in the order of [`PlannedNode::sources`], then its patterns.
    pub(super) policies: Vec<Vec<SourcePolicy>>,
    topics: FxHashMap<Text, usize>,
    /// Whose names the headers of dead letters have.
    pub(super) letters: Spelling,
}

impl Program {
    /// The program of a checked topology.
    pub fn compile(world: &Arc<World>) -> Self {
        let plan = world.plan.clone();
        let nodes = (0..plan.nodes.len()).map(|node| {
            let compiled = match plan.nodes[node].kind {
                NodeKind::Aggregate(_) => aggregate::compile(world, node),
                NodeKind::Pipeline(_) => processor::compile(world, node),
                NodeKind::Saga(_) => saga::compile(world, node),
                NodeKind::Repartition { .. } => node::repartition(world, node),
            };
            Arc::from(compiled.expect("a plan's nodes are those of its model, and an aggregate and a saga have a store"))
        });
        let nodes = nodes.collect();
        let decoder = |topic| -> Arc<dyn Decode> { Arc::new(world.reader(topic)) };
        let decoders = (0..plan.topics.len()).map(|topic| decoder(Some(topic))).collect();
        let policies = plan.nodes.iter().map(|node| policies(world, node)).collect();
        let reader = |topic| -> Arc<dyn Decode> { Arc::new(world.reader_of_nodes(topic)) };
        let readers = (0..plan.topics.len()).map(reader).collect();
        Self { readers, ..Self::of_parts(plan, nodes, decoders, decoder(None), policies) }
    }

    /// With the headers of its dead letters spelled like this.
    #[must_use]
    pub fn with_letters(mut self, spelling: Spelling) -> Self {
        self.letters = spelling;
        self
    }

    /// A program of parts made by hand: nodes and policies as in the plan, a decoder for each of its topics, and one for topics
    /// that only a pattern finds.
    pub fn of_parts(
        plan: Arc<Plan>,
        nodes: Vec<Arc<dyn Node>>,
        decoders: Vec<Arc<dyn Decode>>,
        undeclared: Arc<dyn Decode>,
        policies: Vec<Vec<SourcePolicy>>,
    ) -> Self {
        assert_eq!(nodes.len(), plan.nodes.len(), "a node for each of the plan's");
        assert_eq!(decoders.len(), plan.topics.len(), "a decoder for each topic of the plan");
        assert_eq!(policies.len(), plan.nodes.len(), "policies for each node of the plan");
        let topics = plan.topics.iter().enumerate().map(|(at, topic)| (topic.name.clone(), at)).collect();
        let readers = decoders.clone();
        Self { plan, nodes, decoders, readers, undeclared, policies, topics, letters: Spelling::default() }
    }

    /// The decoder of a topic by its index for the nodes that take it, or of one that only a pattern found.
    pub(super) fn reader(&self, topic: Option<usize>) -> &Arc<dyn Decode> {
        topic.map_or(&self.undeclared, |topic| &self.readers[topic])
    }

    /// The decoder of a topic by its index for whatever node, or of one that only a pattern found.
    pub(super) fn decoder(&self, topic: Option<usize>) -> &Arc<dyn Decode> {
        topic.map_or(&self.undeclared, |topic| &self.decoders[topic])
    }

    /// Index of a topic in the plan.
    pub(super) fn topic(&self, name: &str) -> Option<usize> {
        self.topics.get(name).copied()
    }

    /// Do records of this topic come from another one, in the partition of another key?
    pub(super) fn is_repartition(&self, topic: Option<usize>) -> bool {
        topic.is_some_and(|topic| self.plan.topics[topic].roles.contains(&Role::Repartition))
    }
}

/// How the sources of a node are read. What was repartitioned was judged when it was first read.
fn policies(world: &World, node: &PlannedNode) -> Vec<SourcePolicy> {
    let sources = sources_of(world, node);
    let by_topic = node.sources.iter().map(|topic| {
        let source = sources.iter().find(|source| source.from == SourceFrom::Topic(*topic));
        source.map(policy).unwrap_or_default()
    });
    let by_pattern = node.patterns.iter().map(|pattern| {
        let source = sources.iter().find(|source| matches!(&source.from, SourceFrom::Pattern(text) if text == pattern));
        source.map(policy).unwrap_or_default()
    });
    by_topic.chain(by_pattern).collect()
}

fn sources_of<'a>(world: &'a World, node: &PlannedNode) -> &'a [Source] {
    match node.kind {
        NodeKind::Aggregate(index) => &world.topology.aggregates[index].sources,
        NodeKind::Pipeline(index) => &world.topology.pipelines[index].sources,
        NodeKind::Saga(index) => &world.topology.sagas[index].sources,
        NodeKind::Repartition { of, .. } => sources_of(world, &world.plan.nodes[of]),
    }
}

fn policy(source: &Source) -> SourcePolicy {
    // A negative age was refused when the file was read.
    let max_age = source.max_age.map(|age| age.unsigned_abs());
    SourcePolicy { start: source.start, max_age }
}

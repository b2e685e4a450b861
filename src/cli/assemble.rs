//! From a checked topology to what a worker runs: nodes compiled, decoders made, policies of sources looked up.

use crate::aggregate;
use crate::codec::Decoder;
use crate::failure::Failure;
use crate::node::{self, Node, World};
use crate::processor;
use crate::record::RecordRef;
use crate::runtime::{Decode, Program, SourcePolicy};
use crate::topology::model::{Source, SourceFrom, Topology};
use crate::topology::plan::{NodeKind, Plan, PlannedNode};
use std::sync::Arc;
use std::time::Duration;

struct TopicDecoder(Decoder);

impl Decode for TopicDecoder {
    fn decode(&self, record: &RecordRef<'_>) -> Result<Option<crate::codec::Event>, Failure> {
        self.0.decode(record)
    }
}

/// The program of a topology.
///
/// # Panics
/// When the plan names a node that no room compiles: model and plan come from one check.
pub(super) fn program(topology: Arc<Topology>, plan: Arc<Plan>) -> Arc<Program> {
    let world = World::new(topology.clone(), plan.clone());
    let nodes = (0..plan.nodes.len()).map(|at| -> Arc<dyn Node> {
        let compiled =
            aggregate::compile(&world, at).or_else(|| processor::compile(&world, at)).or_else(|| node::repartition(&world, at));
        Arc::from(compiled.expect("a node of the plan is an aggregate, a pipeline or a repartitioning"))
    });
    let decoder = |topic| -> Arc<dyn Decode> { Arc::new(TopicDecoder(world.decoder(topic))) };
    Arc::new(Program {
        nodes: nodes.collect(),
        decoders: (0..plan.topics.len()).map(|topic| Some(decoder(Some(topic)))).collect(),
        undeclared: decoder(None),
        policies: plan.nodes.iter().map(|node| policies(&topology, &plan, node)).collect(),
        plan,
    })
}

/// How each source of a node is read: its topics in the plan's order, then its patterns.
fn policies(topology: &Topology, plan: &Plan, node: &PlannedNode) -> Vec<SourcePolicy> {
    let sources = sources_of(topology, plan, node);
    let policy = |wanted: &dyn Fn(&SourceFrom) -> bool| {
        // A repartition topic is the engine's own: it is read from its beginning, whatever its node's sources say.
        sources.iter().find(|source| wanted(&source.from)).map_or_else(SourcePolicy::default, |source| SourcePolicy {
            start: source.start,
            max_age: source.max_age.and_then(|age| Duration::try_from(age).ok()),
        })
    };
    let topics = node.sources.iter().map(|topic| policy(&|from| *from == SourceFrom::Topic(*topic)));
    let patterns = node.patterns.iter().map(|pattern| policy(&|from| *from == SourceFrom::Pattern(pattern.clone())));
    topics.chain(patterns).collect()
}

fn sources_of<'a>(topology: &'a Topology, plan: &Plan, node: &PlannedNode) -> &'a [Source] {
    match node.kind {
        NodeKind::Aggregate(index) => &topology.aggregates[index].sources,
        NodeKind::Pipeline(index) => &topology.pipelines[index].sources,
        NodeKind::Repartition { of, .. } => match plan.nodes[of].kind {
            NodeKind::Aggregate(index) => &topology.aggregates[index].sources,
            NodeKind::Pipeline(index) => &topology.pipelines[index].sources,
            NodeKind::Repartition { .. } => &[],
        },
    }
}

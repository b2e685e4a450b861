//! Passes records on under the key of a node behind: into its repartition topic, in the partition where its state lives.

use super::outbox::with_header;
use super::{
    Context, Input, Node, ORIGIN_HEADER, Outcome, Outgoing, Policy, Rejoinder, Stop, Target, World, failed, instance_key,
};
use crate::codec::Event;
use crate::failure::Failure;
use crate::record::{HeaderRef, RecordRef, Text};
use crate::topology::model::{Aggregate, Errors, Expr, Pipeline, Saga, Source};
use crate::topology::plan::NodeKind;
use std::sync::Arc;

/// Compiles the plan's node `node`, if it is a repartitioning one.
pub fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    let planned = world.plan.nodes.get(node)?;
    let NodeKind::Repartition { of, to } = planned.kind else { return None };
    let behind = match world.plan.nodes.get(of)?.kind {
        NodeKind::Aggregate(index) => Behind::Aggregate(index),
        NodeKind::Pipeline(index) => Behind::Pipeline(index),
        NodeKind::Saga(index) => Behind::Saga(index),
        NodeKind::Repartition { .. } => return None,
    };
    Some(Box::new(Repartition { world: Arc::clone(world), name: planned.name.clone(), behind, to }))
}

/// Has an aggregate a handler for a type of its sources?
fn aggregate_handles(aggregate: &Aggregate, kind: &str) -> bool {
    if aggregate.decide.is_empty() { aggregate.evolve_of(kind).is_some() } else { aggregate.decide_of(kind).is_some() }
}

struct Repartition {
    world: Arc<World>,
    name: Text,
    behind: Behind,
    to: usize,
}

/// The node behind, by its index in the model.
#[derive(Clone, Copy)]
enum Behind {
    Aggregate(usize),
    Pipeline(usize),
    Saga(usize),
}

impl Repartition {
    fn aggregate(&self, index: usize) -> &Aggregate {
        &self.world.topology.aggregates[index]
    }

    fn pipeline(&self, index: usize) -> &Pipeline {
        &self.world.topology.pipelines[index]
    }

    fn saga(&self, index: usize) -> &Saga {
        &self.world.topology.sagas[index]
    }

    fn handles(&self, kind: &str) -> bool {
        match self.behind {
            Behind::Aggregate(index) => aggregate_handles(self.aggregate(index), kind),
            Behind::Pipeline(index) => self.pipeline(index).handles(kind),
            Behind::Saga(index) => {
                let saga = self.saga(index);
                saga.taken(kind).is_some() || self.world.is_taken_elsewhere(&saga.name, kind)
            }
        }
    }

    fn key(&self) -> (&[Source], Option<&Expr>) {
        match self.behind {
            Behind::Aggregate(index) => (&self.aggregate(index).sources, self.aggregate(index).key.as_ref()),
            Behind::Pipeline(index) => (&self.pipeline(index).sources, None),
            Behind::Saga(index) => (&self.saga(index).sources, self.saga(index).key.as_ref()),
        }
    }

    fn errors(&self) -> &Errors {
        match self.behind {
            Behind::Aggregate(index) => &self.aggregate(index).errors,
            Behind::Pipeline(index) => &self.pipeline(index).errors,
            Behind::Saga(index) => &self.saga(index).errors,
        }
    }

    fn replies(&self) -> Option<usize> {
        match self.behind {
            Behind::Aggregate(index) => self.aggregate(index).replies,
            Behind::Pipeline(index) => self.pipeline(index).replies,
            // Whoever asked is answered where the request says.
            Behind::Saga(_) => None,
        }
    }
}

impl Node for Repartition {
    fn name(&self) -> &Text {
        &self.name
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let record = input.record;
        if record.value.is_none() || !self.handles(&input.event.kind) {
            return Ok(Outcome::PassedOver);
        }
        let (sources, key) = self.key();
        // Where the record lies says nothing about this key.
        let key = instance_key(&self.world, sources, key, &Input { partitions: None, ..*input })?;
        let mut origin = Vec::with_capacity(64);
        super::write_origin(record, &mut origin);
        let headers = with_header(record, HeaderRef { name: ORIGIN_HEADER, value: Some(&origin) });
        context.send(Outgoing {
            target: Target::Planned(self.to),
            key: Some(&key.bytes),
            spread: &key.bytes,
            value: record.value,
            headers: &headers,
            timestamp: record.timestamp,
        })?;
        Ok(Outcome::Processed)
    }

    fn failed(
        &self,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let rejoinder = Rejoinder {
            world: &self.world,
            node: &self.name,
            errors: self.errors(),
            replies: self.replies(),
            store: None,
            key_format: self.world.key_format(self.world.topic(record.topic)),
            handles: &|kind| self.handles(kind),
        };
        failed(rejoinder, record, event, None, failure, context)
    }

    /// Where the key of the node behind is not known, nothing can wait for it.
    fn policy(&self) -> Option<Policy<'_>> {
        Some(Policy { world: &self.world, node: &self.name, errors: self.errors(), parks: false })
    }
}

//! The plan for programs: JSON; and the words for its parts.

use super::{NodeKind, Owner, Partitions, Plan, Role, TaskCount};
use crate::topology::model::{AggregateKind, MessageTarget, StoreKind, Topology};
use crate::topology::schema::json_of;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

impl NodeKind {
    /// What it is, in a word.
    pub fn name(self, topology: &Topology) -> &'static str {
        match self {
            Self::Aggregate(index) => match topology.aggregates[index].kind {
                AggregateKind::Aggregate => "aggregate",
                AggregateKind::Repository => "repository",
            },
            Self::Pipeline(_) => "pipeline",
            Self::Saga(_) => "saga",
            Self::Repartition { .. } => "repartition",
        }
    }
}

impl Role {
    /// Words for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead letters",
            other => other.name(),
        }
    }

    /// A word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Events => "events",
            Self::Replies => "replies",
            Self::Snapshots => "snapshots",
            Self::Changelog => "changelog",
            Self::Repartition => "repartition",
            Self::DeadLetters => "dead_letters",
            Self::History => "history",
            Self::Inbox => "inbox",
            Self::Audit => "audit",
        }
    }
}

impl StoreKind {
    /// As the language names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// What a node writes: topics by index, and prefixes of computed names.
pub fn outputs(topology: &Topology, plan: &Plan, node: usize) -> (BTreeSet<usize>, BTreeSet<String>) {
    let (mut topics, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    match plan.nodes[node].kind {
        NodeKind::Repartition { to, .. } => {
            topics.insert(to);
        }
        NodeKind::Aggregate(index) => {
            let aggregate = &topology.aggregates[index];
            topics.extend(aggregate.events.into_iter().chain(aggregate.replies));
        }
        NodeKind::Pipeline(index) => topics.extend(topology.pipelines[index].replies),
        NodeKind::Saga(index) => topics.extend([topology.sagas[index].history]),
    }
    topology.each_message(&mut |sender, message| {
        if sender == node {
            match &message.to {
                MessageTarget::Topic(topic) => {
                    topics.insert(*topic);
                }
                MessageTarget::Computed { prefix, .. } => {
                    prefixes.insert(prefix.to_string());
                }
            }
        }
    });
    (topics, prefixes)
}

/// The topology and its plan as JSON. Params whose values came from a file are not shown.
pub fn json(topology: &Topology, plan: &Plan) -> Json {
    let name = |topic: &usize| Json::String(plan.topics[*topic].name.to_string());
    let params: serde_json::Map<String, Json> = topology
        .params
        .iter()
        .map(|(param, value)| {
            let shown = if topology.secrets.contains(param) { json!("***") } else { json_of(value) };
            (param.to_string(), shown)
        })
        .collect();
    let topics: Vec<Json> = plan
        .topics
        .iter()
        .map(|topic| {
            json!({
                "name": &*topic.name,
                "roles": topic.roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
                "owner": match topic.owner { Owner::User => "user", Owner::Engine => "engine" },
                "partitions": match topic.partitions {
                    Partitions::Declared(count) => json!(count),
                    Partitions::Cluster => json!("cluster"),
                    Partitions::OfSubTopology(index) => json!({ "subtopology": index }),
                },
                "cleanup": topic.cleanup.map(|cleanup| cleanup.policy()),
            })
        })
        .collect();
    let nodes: Vec<Json> = plan
        .nodes
        .iter()
        .enumerate()
        .map(|(index, node)| {
            let (topics, prefixes) = outputs(topology, plan, index);
            json!({
                "name": &*node.name,
                "kind": node.kind.name(topology),
                "subtopology": node.subtopology,
                "sources": node.sources.iter().map(name).collect::<Vec<_>>(),
                "patterns": node.patterns.iter().map(|pattern| pattern.to_string()).collect::<Vec<_>>(),
                "sinks": topics.iter().map(name).collect::<Vec<_>>(),
                "computedSinks": prefixes,
                "store": node.store.map(|store| {
                    let store = &plan.stores[store];
                    json!({
                        "kind": store.kind.name(),
                        "snapshots": store.snapshots.as_ref().map(name),
                        "changelog": store.changelog.as_ref().map(name),
                    })
                }),
            })
        })
        .collect();
    let parts: Vec<Json> = plan
        .subtopologies
        .iter()
        .map(|part| {
            json!({
                "index": part.index,
                "name": &*part.name,
                "stateful": part.stateful,
                "sources": part.sources.iter().map(name).collect::<Vec<_>>(),
                "patterns": part.patterns.iter().map(|pattern| pattern.to_string()).collect::<Vec<_>>(),
                "nodes": part.nodes.iter().map(|node| plan.nodes[*node].name.to_string()).collect::<Vec<_>>(),
                "tasks": match &part.count {
                    TaskCount::Declared(count) => json!(count),
                    TaskCount::OfSources => json!("sources"),
                    TaskCount::Largest(topics) => json!({ "largestOf": topics.iter().map(name).collect::<Vec<_>>() }),
                },
            })
        })
        .collect();
    json!({
        "name": &*topology.name,
        "version": topology.version,
        "description": topology.description.as_ref().map(|text| text.to_string()),
        "params": params,
        "audit": name(&plan.audit),
        "deadLetters": name(&plan.dead_letters),
        "topics": topics,
        "subtopologies": parts,
        "nodes": nodes,
    })
}

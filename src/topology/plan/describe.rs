//! The plan for people and for programs: mermaid, and JSON.

use super::{NodeKind, Owner, Partitions, Plan, PlannedNode, Role, TaskCount};
use crate::topology::model::{AggregateKind, MessageTarget, StoreKind, Topology};
use crate::topology::schema::json_of;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;

impl NodeKind {
    fn name(self, topology: &Topology) -> &'static str {
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
    fn name(self) -> &'static str {
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
        }
    }
}

impl StoreKind {
    fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// What a node writes: topics by index, and prefixes of computed names.
fn outputs(topology: &Topology, plan: &Plan, node: usize) -> (BTreeSet<usize>, BTreeSet<String>) {
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

/// The plan as a mermaid flowchart: sub-topologies with their nodes and stores, the topics between them.
pub fn mermaid(topology: &Topology, plan: &Plan) -> String {
    let mut out = String::from("flowchart LR\n");
    let mut shown = BTreeSet::new();
    let mut edges = String::new();
    let mut computed: Vec<String> = Vec::new();
    for part in &plan.subtopologies {
        let _ = writeln!(out, "  subgraph s{} [\"{} {}\"]", part.index, part.index, quoted(&part.name));
        for node in &part.nodes {
            let PlannedNode { name, kind, .. } = &plan.nodes[*node];
            let _ = writeln!(out, "    n{node}[\"{}<br/>{}\"]", quoted(name), kind.name(topology));
        }
        for store in &part.stores {
            let planned = &plan.stores[*store];
            let _ = writeln!(out, "    d{store}[(\"{}\")]", planned.kind.name());
            let _ = writeln!(edges, "  n{} --- d{store}", planned.node);
            for topic in planned.snapshots.into_iter().chain(planned.changelog) {
                shown.insert(topic);
                let _ = writeln!(edges, "  d{store} -.-> t{topic}");
            }
        }
        let _ = writeln!(out, "  end");
    }
    for (index, node) in plan.nodes.iter().enumerate() {
        for topic in &node.sources {
            shown.insert(*topic);
            let _ = writeln!(edges, "  t{topic} --> n{index}");
        }
        for pattern in &node.patterns {
            let _ = writeln!(edges, "  {} --> n{index}", loose(&mut computed, format!("/{pattern}/")));
        }
        let (topics, prefixes) = outputs(topology, plan, index);
        for topic in topics {
            shown.insert(topic);
            let _ = writeln!(edges, "  n{index} --> t{topic}");
        }
        for prefix in prefixes {
            let _ = writeln!(edges, "  n{index} --> {}", loose(&mut computed, format!("{prefix}…")));
        }
    }
    for topic in shown {
        let _ = writeln!(out, "  t{topic}([\"{}\"])", quoted(&plan.topics[topic].name));
    }
    for (index, text) in computed.iter().enumerate() {
        let _ = writeln!(out, "  x{index}([\"{}\"])", quoted(text));
    }
    out + &edges
}

/// The mark of topics that are named by a pattern or a prefix.
fn loose(known: &mut Vec<String>, text: String) -> String {
    let index = known.iter().position(|earlier| *earlier == text).unwrap_or_else(|| {
        known.push(text);
        known.len() - 1
    });
    format!("x{index}")
}

/// Text within mermaid's double quotes.
fn quoted(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
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
        "deadLetters": name(&plan.dead_letters),
        "topics": topics,
        "subtopologies": parts,
        "nodes": nodes,
    })
}

//! From a plan to boxes and lines.

use super::{Edge, EdgeKind, Graph, Node, Shape};
use crate::topology::model::Topology;
use crate::topology::plan::{NodeKind, Owner, Partitions, Plan, Role, outputs};

impl Graph {
    /// The picture of a plan: topics that something reads or writes, nodes, stores, and the topic of dead letters.
    pub fn of(topology: &Topology, plan: &Plan) -> Self {
        let graph = Self {
            topology: plan.topology.to_string(),
            version: plan.version,
            parts: plan.subtopologies.iter().map(|part| part.name.to_string()).collect(),
            nodes: Vec::new(),
            edges: Vec::new(),
        };
        let mut drawing = Drawing { topology, plan, graph, topics: vec![None; plan.topics.len()], loose: Vec::new() };
        drawing.processors();
        drawing.dead_letters();
        drawing.graph
    }
}

struct Drawing<'p> {
    topology: &'p Topology,
    plan: &'p Plan,
    graph: Graph,
    /// Per topic of the plan: its box, once something is connected with it.
    topics: Vec<Option<usize>>,
    /// Patterns and prefixes: text and box.
    loose: Vec<(String, usize)>,
}

impl Drawing<'_> {
    fn processors(&mut self) {
        // In the order of the flow where that is known: what is read, what reads, what is written.
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let shape = match node.kind {
                NodeKind::Aggregate(_) => Shape::Aggregate,
                NodeKind::Saga(_) => Shape::Saga,
                NodeKind::Pipeline(_) => Shape::Pipeline,
                NodeKind::Repartition { .. } => Shape::Repartition,
            };
            // That operators may have dead letters taken once more is true of all nodes: it would be drawn on each.
            let is_saga = matches!(node.kind, NodeKind::Saga(_));
            let drawn = node.sources.iter().filter(|topic| is_saga || node.inbox != Some(**topic));
            let inputs: Vec<usize> = drawn.map(|topic| self.topic(*topic)).collect();
            let patterns: Vec<usize> = node.patterns.iter().map(|pattern| self.named_loosely(format!("/{pattern}/"))).collect();
            let own = self.push(format!("n{index}"), shape, node.name.to_string(), node.kind.name(self.topology));
            self.graph.nodes[own].part = Some(node.subtopology);
            for input in inputs.into_iter().chain(patterns) {
                self.line(input, own, EdgeKind::Records);
            }
            let (topics, prefixes) = outputs(self.topology, self.plan, index);
            for topic in topics {
                let to = self.topic(topic);
                self.line(own, to, EdgeKind::Records);
            }
            for prefix in prefixes {
                let to = self.named_loosely(format!("{prefix}…"));
                self.line(own, to, EdgeKind::Records);
            }
            if let Some(store) = node.store {
                let planned = &self.plan.stores[store];
                let text = format!("{} store", planned.kind.name());
                let state = self.push(format!("d{store}"), Shape::Store, planned.name.to_string(), &text);
                self.graph.nodes[state].part = Some(node.subtopology);
                self.line(own, state, EdgeKind::State);
                for topic in planned.snapshots.into_iter().chain(planned.changelog) {
                    let to = self.topic(topic);
                    self.line(state, to, EdgeKind::Changelog);
                }
            }
        }
    }

    fn dead_letters(&mut self) {
        let to = self.topic(self.plan.dead_letters);
        for from in 0..self.graph.nodes.len() {
            if self.graph.nodes[from].shape.is_processor() {
                self.line(from, to, EdgeKind::DeadLetters);
            }
        }
    }

    /// The box of a topic.
    fn topic(&mut self, topic: usize) -> usize {
        if let Some(known) = self.topics[topic] {
            return known;
        }
        let planned = &self.plan.topics[topic];
        let shape = match planned.owner {
            _ if topic == self.plan.dead_letters => Shape::DeadLetters,
            Owner::User => Shape::Topic,
            Owner::Engine => Shape::EngineTopic,
        };
        let count = match planned.partitions {
            Partitions::Declared(1) => "1 partition".to_owned(),
            Partitions::Declared(count) => format!("{count} partitions"),
            Partitions::Cluster | Partitions::OfSubTopology(_) => String::new(),
        };
        let role = planned.roles.iter().find(|role| !matches!(role, Role::Source | Role::Sink)).map_or("", |role| role.word());
        let note = [role, &count].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ");
        let note = if note.is_empty() { "topic" } else { &note };
        let known = self.push(format!("t{topic}"), shape, planned.name.to_string(), note);
        self.topics[topic] = Some(known);
        known
    }

    /// The box of topics that are known by a text only.
    fn named_loosely(&mut self, text: String) -> usize {
        if let Some((_, known)) = self.loose.iter().find(|(known, _)| *known == text) {
            return *known;
        }
        let new = self.push(format!("x{}", self.loose.len()), Shape::Topics, text.clone(), "topics");
        self.loose.push((text, new));
        new
    }

    fn push(&mut self, id: String, shape: Shape, name: String, note: &str) -> usize {
        self.graph.nodes.push(Node { id, shape, name, note: note.to_owned(), part: None });
        self.graph.nodes.len() - 1
    }

    fn line(&mut self, from: usize, to: usize, kind: EdgeKind) {
        let edge = Edge { from, to, kind };
        if !self.graph.edges.contains(&edge) {
            self.graph.edges.push(edge);
        }
    }
}

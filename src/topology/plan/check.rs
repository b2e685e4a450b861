//! What only the whole can tell: partition counts, loops, patterns that meet states.

use super::build::{Patterns, is_keyed_otherwise, keyed_nodes};
use super::{NodeKind, Owner, Partitions, Plan};
use crate::record::Text;
use crate::topology::diagnostic::{Findings, finding};
use crate::topology::model::{Cleanup, MessageKey, MessageKind, MessageTarget, Position, Source, SourceFrom, Topology};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(topology: &Topology, plan: &Plan, findings: &mut Findings) {
    let mut check = Check { topology, plan, findings };
    check.repartitions();
    check.delays_in_front();
    check.partition_counts();
    check.patterns();
    check.loops();
    check.compacted();
}

struct Check<'a> {
    topology: &'a Topology,
    plan: &'a Plan,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn say(&mut self, at: &Position, found: crate::topology::diagnostic::Finding) {
        let range = self.findings.source().word_at(at.line, at.column);
        self.findings.push(range, found);
    }

    fn at(&self, node: usize) -> &Position {
        match self.plan.nodes[node].kind {
            NodeKind::Aggregate(index) => &self.topology.aggregates[index].at,
            NodeKind::Pipeline(index) => &self.topology.pipelines[index].at,
            NodeKind::Saga(index) => &self.topology.sagas[index].at,
            NodeKind::Repartition { of, .. } => self.at(of),
        }
    }

    fn name(&self, topic: usize) -> &Text {
        &self.plan.topics[topic].name
    }

    /// W501 and W502: how the records of an aggregate or a saga are keyed.
    fn repartitions(&mut self) {
        for node in keyed_nodes(self.topology) {
            for source in node.sources {
                let keyed_otherwise = is_keyed_otherwise(self.topology, &node, source);
                let given = node.key_of(source);
                let SourceFrom::Topic(topic) = source.from else {
                    if keyed_otherwise {
                        let found = finding("W501", format!("`{}` gets a repartition topic", node.name));
                        self.say(&source.at, found.cause("a pattern feeds no state by itself"));
                    }
                    continue;
                };
                let contract = &self.topology.topics[topic];
                if keyed_otherwise {
                    let message = format!("`{}` gets a repartition topic for `{}`", node.name, contract.name);
                    let found = finding("W501", message);
                    let text = given.map_or("", |key| key.text.trim());
                    let found = match &contract.key {
                        None => found.hint(format!("if its records are keyed so, declare `key: {text}` on the topic")),
                        Some(declared) => found.cause(format!("its records are keyed by `{}`", declared.text.trim())),
                    };
                    self.say(&source.at, found);
                } else if given.is_none() && contract.key.is_none() && !contract.derived {
                    let message = format!("how the records of `{}` are keyed is not declared", contract.name);
                    let found = finding("W502", message).cause(format!("`{}` takes their key for its own", node.name));
                    self.say(&source.at, found.hint("declare `key` on the topic"));
                }
            }
        }
    }

    /// E117: what fails in front of its node, for its key, has nothing there that keeps messages.
    fn delays_in_front(&mut self) {
        let (topology, plan) = (self.topology, self.plan);
        for node in &plan.nodes {
            let NodeKind::Repartition { of, .. } = node.kind else { continue };
            let errors = match plan.nodes[of].kind {
                NodeKind::Aggregate(index) => &topology.aggregates[index].errors,
                NodeKind::Pipeline(index) => &topology.pipelines[index].errors,
                NodeKind::Saga(index) => &topology.sagas[index].errors,
                NodeKind::Repartition { .. } => continue,
            };
            let name = &plan.nodes[of].name;
            for message in errors.emit.iter().filter(|message| message.delay.is_some()) {
                let message_of = format!("`delay` of a message of `errors` of `{name}`, which has a repartition topic,");
                let found = finding("E117", format!("{message_of} is not in this build"));
                let found = found.cause(format!("a record whose key cannot be told fails in front of `{name}`"));
                self.say(&message.at, found.hint("send it at once, and delay in a pipeline that reads it"));
            }
        }
    }

    /// E501: the sources of a node, and of all that runs with it when one has a state.
    fn partition_counts(&mut self) {
        let declared = |topic: &usize| match self.plan.topics[*topic].partitions {
            Partitions::Declared(count) => Some((*topic, count)),
            _ => None,
        };
        let mut said: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut differing = Vec::new();
        let mut compare = |node: usize, topics: &[usize]| {
            let counts: Vec<(usize, u32)> = topics.iter().filter_map(declared).collect();
            let Some(first) = counts.first().copied() else { return };
            for other in counts.iter().filter(|(_, count)| *count != first.1) {
                if said.insert((first.0, other.0)) {
                    differing.push((node, first, *other));
                }
            }
        };
        for (index, node) in self.plan.nodes.iter().enumerate() {
            compare(index, &node.sources);
        }
        for part in self.plan.subtopologies.iter().filter(|part| part.stateful) {
            compare(part.nodes[0], &part.sources);
        }
        for (node, (first, count), (other, other_count)) in differing {
            let message = format!("`{}` has {count} partitions and `{}` has {other_count}", self.name(first), self.name(other));
            let cause = format!("what `{}` reads is shared out by partition number", self.plan.nodes[node].name);
            let at = self.at(node).clone();
            self.say(&at, finding("E501", message).cause(cause).hint("give them one number of partitions"));
        }
    }

    /// E506 and E505: what a pattern must not match.
    fn patterns(&mut self) {
        let (topology, plan) = (self.topology, self.plan);
        let mut written: BTreeSet<usize> = BTreeSet::new();
        topology.each_message(&mut |_, message| {
            if let MessageTarget::Topic(topic) = message.to {
                written.insert(topic);
            }
        });
        // One node that keeps a state from a topic is enough to say so.
        let mut stateful: BTreeMap<usize, usize> = BTreeMap::new();
        for (index, node) in plan.nodes.iter().enumerate().filter(|(_, node)| node.store.is_some()) {
            // An inbox is read by its node alone.
            let shared = node.sources.iter().filter(|topic| node.inbox != Some(**topic));
            shared.for_each(|topic| {
                stateful.entry(*topic).or_insert(index);
            });
        }
        for (index, node) in plan.nodes.iter().enumerate().filter(|(_, node)| !node.patterns.is_empty()) {
            let patterns = Patterns::new(&node.patterns);
            let matched = |topic: usize| patterns.matches(&plan.topics[topic]);
            let at = self.pattern_at(index);
            if node.store.is_some() {
                let message = format!(
                    "`{}` reads a pattern, and keeps something: messages to send them later, records that wait, or what it has seen",
                    node.name
                );
                let found = finding("E506", message).cause("a pattern feeds no state");
                self.say(&at, found.hint("send to a topic, and keep in a pipeline that reads it by name"));
            }
            for (topic, other) in stateful.iter().filter(|(topic, _)| matched(**topic)) {
                let other = &plan.nodes[*other].name;
                let message = format!("the pattern matches `{}`, from which `{other}` keeps a state", self.name(*topic));
                let found = finding("E506", message)
                    .cause("members that see topics appear at different moments would share out its partitions differently")
                    .hint("leave that topic out of the pattern");
                self.say(&at, found);
            }
            let shared = node.sources.iter().find_map(|topic| stateful.get(topic));
            if let Some(other) = shared {
                let message = format!(
                    "`{}` reads a pattern and shares a topic with `{}`, which keeps a state",
                    node.name, plan.nodes[*other].name
                );
                self.say(&at, finding("E506", message).hint("put the pattern into a pipeline of its own"));
            }
            for topic in written.iter().filter(|topic| matched(**topic)) {
                let message = format!("the pattern matches `{}`, which this topology writes", self.name(*topic));
                let found = finding("E505", message).cause("its own output would come back to it");
                self.say(&at, found.hint("leave that topic out of the pattern, or name the topics"));
            }
        }
    }

    fn pattern_at(&self, node: usize) -> Position {
        let sources: &[Source] = match self.plan.nodes[node].kind {
            NodeKind::Aggregate(index) => &self.topology.aggregates[index].sources,
            NodeKind::Pipeline(index) => &self.topology.pipelines[index].sources,
            NodeKind::Saga(index) => &self.topology.sagas[index].sources,
            NodeKind::Repartition { of, .. } => return self.pattern_at_of(of),
        };
        let pattern = sources.iter().find(|source| matches!(source.from, SourceFrom::Pattern(_)));
        pattern.map_or_else(|| self.at(node).clone(), |source| source.at.clone())
    }

    fn pattern_at_of(&self, node: usize) -> Position {
        match self.plan.nodes[node].kind {
            NodeKind::Repartition { .. } => self.at(node).clone(),
            _ => self.pattern_at(node),
        }
    }

    /// E505: a pipeline that sends to where it reads, messages that it takes.
    fn loops(&mut self) {
        let topology = self.topology;
        let mut found = Vec::new();
        topology.each_message(&mut |node, message| {
            let NodeKind::Pipeline(index) = self.plan.nodes[node].kind else { return };
            let pipeline = &topology.pipelines[index];
            let MessageTarget::Topic(topic) = message.to else { return };
            let reads = pipeline.sources.iter().any(|source| source.from == SourceFrom::Topic(topic));
            let takes = match &message.kind {
                MessageKind::Named(kind) => pipeline.handles(kind),
                MessageKind::Current => true,
            };
            if reads && takes {
                found.push((message.at.clone(), pipeline.name.clone(), topic));
            }
        });
        for (at, pipeline, topic) in found {
            let message = format!("`{pipeline}` reads `{}`, to which it sends this", self.name(topic));
            let found = finding("E505", message).cause("the message would come back to it, for ever");
            self.say(&at, found.hint("send to another topic, or list the types that it takes under `type`"));
        }
    }

    /// E503: a compacted topic keeps the last record of a key, and a record without one cannot be written.
    fn compacted(&mut self) {
        let topology = self.topology;
        let mut found: BTreeSet<usize> = BTreeSet::new();
        topology.each_message(&mut |node, message| {
            let MessageTarget::Topic(topic) = message.to else { return };
            let contract = &topology.topics[topic];
            let compacted = matches!(contract.cleanup, Some(Cleanup::Compact | Cleanup::Both));
            // An aggregate and a saga always have a key.
            let pipeline = matches!(self.plan.nodes[node].kind, NodeKind::Pipeline(_));
            let keyless = pipeline && matches!(message.key, MessageKey::Current);
            if compacted && keyless && self.plan.topics[topic].owner == Owner::User {
                found.insert(topic);
            }
        });
        for topic in found {
            let message = format!("`{}` is compacted and declares no `key`", self.name(topic));
            let at = topology.topics[topic].at.clone();
            self.say(&at, finding("E503", message).hint("declare how its records are keyed, or give the messages a `key`"));
        }
    }
}

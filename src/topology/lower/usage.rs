//! What is declared and not used.
//!
//! Names are looked for as words in the texts of the file: a name that occurs nowhere is certainly not read.

use super::Lower;
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::saga::{Action, Body};
use crate::topology::model::{
    Aggregate, Dedupe, Message, MessageTarget, Operator, Pipeline, Saga, Source, SourceFrom, Step, Then, Topology,
};
use crate::topology::yaml::{Kind, Node};
use rustc_hash::FxHashSet;

/// The words that occur in the texts of a tree.
pub(super) struct Words<'n>(FxHashSet<&'n str>);

impl<'n> Words<'n> {
    pub(super) fn of(node: &'n Node) -> Self {
        let mut words = Self(FxHashSet::default());
        words.add(node);
        words
    }

    pub(super) fn add(&mut self, node: &'n Node) {
        match &node.kind {
            Kind::Scalar(scalar) => {
                let letter = |character: char| character.is_ascii_alphanumeric() || character == '_';
                self.0.extend(scalar.text.split(|character| !letter(character)).filter(|word| !word.is_empty()));
            }
            Kind::List(items) => items.iter().for_each(|item| self.add(item)),
            Kind::Map(entries) => entries.iter().for_each(|entry| self.add(&entry.node)),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

impl Lower<'_> {
    /// W203: nodes that handle no type.
    pub(super) fn unreached(&mut self, topology: &Topology) {
        let idle = |aggregate: &Aggregate| match aggregate.decide.is_empty() {
            true => aggregate.evolve.is_empty(),
            false => false,
        };
        let aggregates = topology.aggregates.iter().filter(|aggregate| idle(aggregate)).map(|known| (&known.name, &known.at));
        let nothing = |types: &Option<Vec<Text>>| types.as_ref().is_some_and(Vec::is_empty);
        let pipelines = topology.pipelines.iter().filter(|pipeline| nothing(&pipeline.types));
        for (name, at) in aggregates.chain(pipelines.map(|known| (&known.name, &known.at))) {
            let range = self.findings.source().word_at(at.line, at.column);
            let found = finding("W203", format!("`{name}` handles no type of message: nothing reaches it"));
            self.say(range, found.hint("list what it handles, or leave it out"));
        }
    }

    /// W201 for topics and params.
    pub(super) fn unused(&mut self, root: &Node, topology: &Topology) {
        let used = used_topics(topology);
        for (index, contract) in topology.topics.iter().enumerate().filter(|(_, contract)| !contract.derived) {
            let entry = root.get("topics").and_then(Node::map).into_iter().flatten().find(|e| e.key == contract.name.as_str());
            let Some(entry) = entry.filter(|_| !used[index]) else { continue };
            let message = format!("nothing reads or writes `{}`", contract.name);
            self.say(entry.key_range.clone(), finding("W201", message).hint("leave it out"));
        }
        let mut words = Words(FxHashSet::default());
        for section in root.map().unwrap_or(&[]).iter().filter(|section| section.key != "params") {
            words.add(&section.node);
        }
        for entry in root.get("params").and_then(Node::map).unwrap_or(&[]) {
            let read = words.has(&entry.key);
            if !read {
                let message = format!("nothing reads the param `{}`", entry.key);
                self.say(entry.key_range.clone(), finding("W201", message).hint("leave it out"));
            }
        }
    }
}

fn used_topics(topology: &Topology) -> Vec<bool> {
    let mut used = vec![false; topology.topics.len()];
    let mut mark = |index: usize| used[index] = true;
    for source in topology.sources() {
        match &source.from {
            SourceFrom::Topic(topic) => mark(*topic),
            SourceFrom::Pattern(pattern) => {
                let Ok(pattern) = super::sources::whole(pattern) else { continue };
                for (index, _) in topology.topics.iter().enumerate().filter(|(_, topic)| pattern.is_match(&topic.name)) {
                    mark(index);
                }
            }
        }
    }
    topology.each_message(&mut |_, message| match &message.to {
        MessageTarget::Topic(topic) => mark(*topic),
        MessageTarget::Computed { prefix, .. } => {
            for (index, _) in topology.topics.iter().enumerate().filter(|(_, topic)| topic.name.starts_with(prefix.as_str())) {
                mark(index);
            }
        }
    });
    for aggregate in &topology.aggregates {
        [aggregate.events, aggregate.replies, aggregate.snapshots].into_iter().flatten().for_each(&mut mark);
    }
    topology.pipelines.iter().filter_map(|pipeline| pipeline.replies).for_each(&mut mark);
    used
}

impl Topology {
    /// The sources of all nodes.
    pub(in crate::topology) fn sources(&self) -> impl Iterator<Item = &Source> {
        let aggregates = self.aggregates.iter().flat_map(|aggregate| &aggregate.sources);
        let pipelines = self.pipelines.iter().flat_map(|pipeline| &pipeline.sources);
        aggregates.chain(pipelines).chain(self.sagas.iter().flat_map(|saga| &saga.sources))
    }

    /// Every message of the file, with the index of its node: aggregates first, then pipelines, then sagas.
    pub fn each_message(&self, visit: &mut dyn FnMut(usize, &Message)) {
        for (node, aggregate) in self.aggregates.iter().enumerate() {
            aggregate.each_message(&mut |message| visit(node, message));
        }
        for (at, pipeline) in self.pipelines.iter().enumerate() {
            let node = self.aggregates.len() + at;
            each_of_steps(&pipeline.steps, &mut |message| visit(node, message));
            pipeline.errors.emit.iter().for_each(|message| visit(node, message));
        }
        for (at, saga) in self.sagas.iter().enumerate() {
            let node = self.aggregates.len() + self.pipelines.len() + at;
            saga.each_message(&mut |message| visit(node, message));
        }
    }
}

impl Pipeline {
    /// Does it keep messages, to send them later?
    pub fn delays(&self) -> bool {
        let mut delays = false;
        each_of_steps(&self.steps, &mut |message| delays |= message.delay.is_some());
        delays || self.errors.emit.iter().any(|message| message.delay.is_some())
    }

    /// May records of it wait behind a failed one of their key?
    pub fn parks(&self) -> bool {
        self.errors.then == Then::Park || (self.errors.retry.attempts > 1 && may_be_retried(&self.steps))
    }

    /// The steps that know records again, in the order of the file.
    pub fn dedupes(&self) -> Vec<&Dedupe> {
        fn gather<'s>(steps: &'s [Step], into: &mut Vec<&'s Dedupe>) {
            for step in steps {
                match &step.operator {
                    Some(Operator::Dedupe(dedupe)) => into.push(dedupe),
                    Some(Operator::Branch(arms)) => arms.iter().for_each(|arm| gather(&arm.steps, into)),
                    _ => {}
                }
            }
        }
        let mut found = Vec::new();
        gather(&self.steps, &mut found);
        found
    }

    /// Does it keep anything at all?
    pub fn keeps(&self) -> bool {
        self.delays() || self.parks() || !self.dedupes().is_empty()
    }
}

/// Is there a rule that what it refuses may pass later?
fn may_be_retried(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.operator {
        Some(Operator::Require(rules)) => rules.iter().any(|rule| rule.retryable),
        Some(Operator::Branch(arms)) => arms.iter().any(|arm| may_be_retried(&arm.steps)),
        _ => false,
    })
}

impl Aggregate {
    /// Does it keep messages, to send them later?
    pub fn delays(&self) -> bool {
        let mut delays = false;
        self.each_message(&mut |message| delays |= message.delay.is_some());
        delays
    }

    /// May records of it wait behind a failed one of their key?
    pub fn parks(&self) -> bool {
        self.errors.then == Then::Park
    }
}

impl Saga {
    /// May records of it wait behind a failed one of their key?
    pub fn parks(&self) -> bool {
        self.errors.then == Then::Park
    }

    fn each_message(&self, visit: &mut dyn FnMut(&Message)) {
        match &self.body {
            Body::Steps(body) => {
                for step in &body.steps {
                    each_of_action(&step.action, visit);
                    step.compensate.iter().for_each(|compensate| each_of_action(&compensate.action, visit));
                }
            }
            Body::States(body) => {
                for state in &body.states {
                    state.emit.iter().for_each(&mut *visit);
                    state.transitions.iter().flat_map(|transition| &transition.emit).for_each(&mut *visit);
                }
                body.everywhere.iter().flat_map(|transition| &transition.emit).for_each(&mut *visit);
            }
        }
        for ending in [&self.completed, &self.compensated, &self.failed] {
            ending.emit.iter().for_each(&mut *visit);
        }
        self.errors.emit.iter().for_each(visit);
    }
}

fn each_of_action(action: &Action, visit: &mut dyn FnMut(&Message)) {
    match action {
        Action::Send(message) => visit(message),
        Action::Emit(messages) => messages.iter().for_each(visit),
        Action::Parallel(_) | Action::None => {}
    }
}

impl Aggregate {
    fn each_message(&self, visit: &mut dyn FnMut(&Message)) {
        for handler in &self.decide {
            handler.require.iter().flat_map(|rule| &rule.emit).for_each(&mut *visit);
            handler.emit.iter().for_each(&mut *visit);
        }
        self.updates.iter().chain(&self.errors.emit).for_each(&mut *visit);
    }
}

pub(in crate::topology) fn each_of_steps(steps: &[Step], visit: &mut dyn FnMut(&Message)) {
    for step in steps {
        match &step.operator {
            Some(Operator::Emit(messages)) => messages.iter().for_each(&mut *visit),
            Some(Operator::Branch(arms)) => arms.iter().for_each(|arm| each_of_steps(&arm.steps, visit)),
            _ => {}
        }
    }
}

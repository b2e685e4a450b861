//! What is declared and not used.
//!
//! Names are looked for as words in the texts of the file: a name that occurs nowhere is certainly not read.

use super::Lower;
use crate::topology::diagnostic::finding;
use crate::topology::model::{Aggregate, Message, MessageTarget, Operator, Source, SourceFrom, Step, Topology};
use crate::topology::yaml::{Kind, Node};

/// Does a name occur as a word in any text of a tree?
pub(super) fn mentions(node: &Node, name: &str) -> bool {
    any_text(node, &mut |_| false, &|text| has_word(text, name))
}

/// The same, leaving out one node of the tree.
pub(super) fn mentions_outside(node: &Node, name: &str, except: &Node) -> bool {
    any_text(node, &mut |inner| std::ptr::eq(inner, except), &|text| has_word(text, name))
}

fn any_text(node: &Node, skip: &mut dyn FnMut(&Node) -> bool, holds: &dyn Fn(&str) -> bool) -> bool {
    if skip(node) {
        return false;
    }
    match &node.kind {
        Kind::Scalar(scalar) => holds(&scalar.text),
        Kind::List(items) => items.iter().any(|item| any_text(item, skip, holds)),
        Kind::Map(entries) => entries.iter().any(|entry| holds(&entry.key) || any_text(&entry.node, skip, holds)),
    }
}

fn has_word(text: &str, name: &str) -> bool {
    let letter = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(letter) && !after.is_some_and(letter)
    })
}

impl Lower<'_> {
    /// W201 for topics and params.
    pub(super) fn unused(&mut self, root: &Node, topology: &Topology) {
        let used = used_topics(topology);
        for (index, contract) in topology.topics.iter().enumerate().filter(|(_, contract)| !contract.derived) {
            let entry = root.get("topics").and_then(Node::map).into_iter().flatten().find(|e| e.key == contract.name.as_str());
            let Some(entry) = entry.filter(|_| !used[index]) else { continue };
            let message = format!("nothing reads or writes `{}`", contract.name);
            self.say(entry.key_range.clone(), finding("W201", message).hint("leave it out"));
        }
        for entry in root.get("params").and_then(Node::map).unwrap_or(&[]) {
            let read = root
                .map()
                .unwrap_or(&[])
                .iter()
                .filter(|section| section.key != "params")
                .any(|section| mentions(&section.node, &entry.key));
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
        aggregates.chain(self.pipelines.iter().flat_map(|pipeline| &pipeline.sources))
    }

    /// Every message of the file, with the index of its node: aggregates first, then pipelines.
    pub(in crate::topology) fn each_message(&self, visit: &mut dyn FnMut(usize, &Message)) {
        for (node, aggregate) in self.aggregates.iter().enumerate() {
            aggregate.each_message(&mut |message| visit(node, message));
        }
        for (at, pipeline) in self.pipelines.iter().enumerate() {
            let node = self.aggregates.len() + at;
            each_of_steps(&pipeline.steps, &mut |message| visit(node, message));
            pipeline.errors.emit.iter().for_each(|message| visit(node, message));
        }
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

//! What several files say of the same topics: types that nothing emits, or nothing handles (W202).
//!
//! Only topics that are both written and read within these files are looked at: what happens with others is nobody's business
//! here. Commands are expected from outside as well: that nothing here emits one tells nothing.

use super::diagnostic::{Diagnostic, SourceText, finding};
use super::load::Loaded;
use super::model::{MessageKind, MessageTarget, Position, SourceFrom, Topology};
use crate::record::Text;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a topic over all files.
#[derive(Default)]
struct Traffic {
    emitted: BTreeMap<Text, (usize, Position)>,
    handled: BTreeMap<Text, (usize, Position)>,
    /// Types that an aggregate decides about: commands, which whoever asks may send, from outside of these files too.
    decided: BTreeSet<Text>,
    /// Is it the topic of an aggregate's own events? Then nobody else writes to it.
    own: bool,
    /// Types of messages to it, or from it, that cannot be told.
    emits_any: bool,
    handles_any: bool,
    /// Does a node take messages from it?
    read: bool,
}

/// Checks files against each other. The findings belong to the files named in them.
pub fn across(files: &[Loaded]) -> Vec<Diagnostic> {
    let mut topics: BTreeMap<Text, Traffic> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        if let Some(topology) = file.checked.as_ref().map(|(topology, _)| topology).or(file.traffic.as_ref()) {
            emitted(index, topology, &mut topics);
            handled(index, topology, &mut topics);
            decided(topology, &mut topics);
        } else if file.marked {
            // A file that was not understood may do anything.
            return Vec::new();
        }
    }
    for file in files {
        upcast(file, &mut topics);
    }
    let mut findings = Vec::new();
    for (topic, traffic) in &topics {
        if traffic.emitted.is_empty() || !traffic.read {
            continue;
        }
        if !traffic.emits_any {
            let handled: BTreeSet<&Text> = traffic.handled.keys().collect();
            let from_outside = |kind: &Text| traffic.decided.contains(kind) && !traffic.own;
            for kind in handled.into_iter().filter(|kind| !traffic.emitted.contains_key(*kind) && !from_outside(kind)) {
                let (file, at) = &traffic.handled[kind];
                let message = format!("nothing emits `{kind}` to `{topic}`");
                findings.push(warning(&files[*file], at, message));
            }
        }
        if !traffic.handles_any {
            for (kind, (file, at)) in traffic.emitted.iter().filter(|(kind, _)| !traffic.handled.contains_key(*kind)) {
                let message = format!("nothing handles `{kind}` of `{topic}`");
                findings.push(warning(&files[*file], at, message));
            }
        }
    }
    findings
}

fn warning(file: &Loaded, at: &Position, message: String) -> Diagnostic {
    SourceText::new(&file.file, &file.text).diagnostic(at.line, at.column, finding("W202", message))
}

fn emitted(file: usize, topology: &Topology, topics: &mut BTreeMap<Text, Traffic>) {
    topology.each_message(&mut |_, message| match (&message.to, &message.kind) {
        (MessageTarget::Topic(topic), kind) => {
            let traffic = topics.entry(topology.topics[*topic].name.clone()).or_default();
            match kind {
                MessageKind::Named(kind) => {
                    traffic.emitted.entry(kind.clone()).or_insert_with(|| (file, message.at.clone()));
                }
                MessageKind::Current => traffic.emits_any = true,
            }
        }
        (MessageTarget::Computed { prefix, .. }, _) => {
            let reached: Vec<Text> = topology.topics.iter().map(|topic| topic.name.clone()).collect();
            for name in reached.into_iter().filter(|name| name.starts_with(prefix.as_str())) {
                topics.entry(name).or_default().emits_any = true;
            }
        }
    });
}

/// Whoever emits an old type emits the newer one too, as its readers see it, and whoever handles the newer one handles both.
fn upcast(file: &Loaded, topics: &mut BTreeMap<Text, Traffic>) {
    let topology = file.checked.as_ref().map(|(topology, _)| topology).or(file.traffic.as_ref());
    for upcaster in topology.into_iter().flat_map(|topology| &topology.upcasters) {
        let newest = Text::from(topology.map_or("", |topology| topology.newest(&upcaster.from)));
        for traffic in topics.values_mut() {
            if let Some(place) = traffic.handled.get(&newest).cloned() {
                traffic.handled.entry(upcaster.from.clone()).or_insert(place);
                if let Some(place) = traffic.emitted.get(&upcaster.from).cloned() {
                    traffic.emitted.entry(newest.clone()).or_insert(place);
                }
            }
        }
    }
}

/// Which types are commands, and which topics belong to an aggregate.
fn decided(topology: &Topology, topics: &mut BTreeMap<Text, Traffic>) {
    for aggregate in &topology.aggregates {
        for source in &aggregate.sources {
            if let SourceFrom::Topic(topic) = source.from {
                let traffic = topics.entry(topology.topics[topic].name.clone()).or_default();
                traffic.decided.extend(aggregate.decide.iter().map(|handler| handler.kind.clone()));
            }
        }
        if let Some(events) = aggregate.events {
            topics.entry(topology.topics[events].name.clone()).or_default().own = true;
        }
    }
}

fn handled(file: usize, topology: &Topology, topics: &mut BTreeMap<Text, Traffic>) {
    let mut note = |topic: usize, kind: &Text, at: &Position, read: bool| {
        let contract = &topology.topics[topic];
        // Of several sources a type belongs to those that declare it.
        if contract.types.is_none() || contract.message_type(kind).is_some() {
            let traffic = topics.entry(contract.name.clone()).or_default();
            traffic.handled.entry(kind.clone()).or_insert_with(|| (file, at.clone()));
            traffic.read |= read;
        }
    };
    for aggregate in &topology.aggregates {
        let handlers: Vec<(&Text, &Position)> = match aggregate.decide.is_empty() {
            true => aggregate.evolve.iter().map(|handler| (&handler.kind, &handler.at)).collect(),
            false => aggregate.decide.iter().map(|handler| (&handler.kind, &handler.at)).collect(),
        };
        for source in &aggregate.sources {
            if let SourceFrom::Topic(topic) = source.from {
                handlers.iter().for_each(|(kind, at)| note(topic, kind, at, true));
            }
        }
        // An aggregate applies its own events, whoever else reads them.
        for handler in aggregate.evolve.iter().filter(|_| !aggregate.decide.is_empty()) {
            aggregate.events.into_iter().for_each(|events| note(events, &handler.kind, &handler.at, false));
        }
    }
    for saga in &topology.sagas {
        for source in &saga.sources {
            let SourceFrom::Topic(topic) = source.from else { continue };
            saga.takes.iter().for_each(|taken| note(topic, &taken.kind, &saga.at, true));
        }
    }
    let mut all_handled = Vec::new();
    for pipeline in &topology.pipelines {
        for source in &pipeline.sources {
            let SourceFrom::Topic(topic) = source.from else { continue };
            match &pipeline.types {
                Some(types) => types.iter().for_each(|kind| note(topic, kind, &pipeline.at, true)),
                None => all_handled.push(topology.topics[topic].name.clone()),
            }
        }
    }
    for name in all_handled {
        let traffic = topics.entry(name).or_default();
        traffic.handles_any = true;
        traffic.read = true;
    }
}

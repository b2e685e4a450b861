//! The table of changes: what each means for a node, and why.

use super::compare::reason;
use super::lacks::lacks;
use super::state::{conflicts, lacking};
use super::{Difference, Mark, Reason, Side, Verdict};
use crate::record::Text;
use crate::topology::definition::mentions_param;
use crate::topology::model::{Aggregate, AggregateKind, Contract, MessageKind, Retention, SourceFrom};
use crate::topology::plan::{PlannedNode, instance_keys};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// A node of both sides.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    /// Section of the new file.
    pub(super) section: &'a str,
    pub(super) old: Side<'a>,
    pub(super) new: Side<'a>,
    /// Its new content.
    pub(super) content: &'a Json,
    pub(super) cut: &'a dyn Fn(&str) -> Option<String>,
}

/// Does a node of a file let records wait behind failed ones?
fn parks(side: Side<'_>, name: &str) -> bool {
    let topology = side.topology;
    topology.pipelines.iter().any(|pipeline| pipeline.name == name && pipeline.parks())
        || topology.aggregates.iter().any(|aggregate| aggregate.name == name && aggregate.parks())
}

/// The topic in which records may wait that the node would not read any more.
fn unread_parking(node: &Node<'_>) -> Option<String> {
    let changelog = |side: Side<'_>| {
        let store = planned(side, node.name)?.store?;
        Some(side.plan.topics[side.plan.stores[store].changelog?].name.to_string())
    };
    if parks(node.old, node.name) && changelog(node.new).is_none() { changelog(node.old) } else { None }
}

const NEW_RECORDS: &str = "it holds for new records";

/// A node that was not there.
pub(super) fn added(old: Side<'_>, new: Side<'_>, name: &str) -> Vec<Reason> {
    let read: BTreeSet<&str> = old.plan.nodes.iter().flat_map(|node| sources(old, node)).collect();
    let Some(node) = planned(new, name) else { return Vec::new() };
    let shared: Vec<&str> = sources(new, node).filter(|topic| read.contains(topic)).collect();
    let text = match shared.first() {
        // Positions are the group's, per topic.
        Some(topic) => format!("new; the group reads `{topic}` already, so it begins at the group's position there"),
        None => "new; it begins where its sources begin".to_owned(),
    };
    vec![reason(Verdict::Compatible, text)]
}

/// A node that is not there any more.
pub(super) fn removed(old: Side<'_>, new: Side<'_>, name: &str) -> Vec<Reason> {
    let topics = state_topics(old, name);
    if topics.is_empty() {
        return vec![reason(Verdict::Compatible, "gone; it has no state".to_owned())];
    }
    let mut text = format!("its state in {} would be left behind", listed(&topics));
    // A new node of the same shape is likely the same under another name.
    let fresh = new.plan.nodes.iter().filter(|node| node.store.is_some() && planned(old, &node.name).is_none());
    if let Some(renamed) = fresh.map(|node| &node.name).next() {
        text.push_str(&format!("; if it is now `{renamed}`, keep the old name: state is found by it"));
    }
    vec![reason(Verdict::Refused, text)]
}

/// What the differences of a node's own content mean.
pub(super) fn changed(node: &Node<'_>, differences: &[Difference]) -> Vec<Reason> {
    let mut reasons = identity(node);
    let (old, new) = (aggregate(node.old, node.name), aggregate(node.new, node.name));
    if let Some(changelog) = unread_parking(node) {
        let text = format!("records that wait in `{changelog}` behind failed ones would stay there: first let them all pass");
        reasons.push(reason(Verdict::Rebuild, text));
    }
    let migrates = matches!((old, new), (Some(old), Some(new)) if new.state_version > old.state_version);
    if let (Some(old), Some(new)) = (old, new) {
        reasons.extend(shape(old, new));
    }
    for one in differences {
        let Some(field) = one.path.first() else { continue };
        let mut found = match (node.section, field.as_str()) {
            ("aggregates", "state_version" | "upcast" | "schema") => reason(Verdict::Compatible, NEW_RECORDS.to_owned()),
            ("aggregates", "evolve" | "initial") if migrates => reason(
                Verdict::Compatible,
                "it holds for new records; what is stored is migrated, and not folded anew".to_owned(),
            ),
            ("aggregates", "evolve") => evolve(node, one, old),
            ("aggregates", "initial") => rebuild(node, new, "states that are there began with the old `initial`".to_owned()),
            ("aggregates", "from") => from(node, old, new),
            ("aggregates" | "repositories", "events") => {
                let text = "new events go to another topic: what made the states is then in two";
                reason(Verdict::Compatible, text.to_owned())
            }
            ("aggregates" | "repositories", "store") => {
                reason(Verdict::Compatible, "its state is restored into the other store".to_owned())
            }
            // What a change of these means was said by what they come to.
            (_, "key" | "schema" | "snapshots") => reason(Verdict::Compatible, NEW_RECORDS.to_owned()),
            ("sagas", _) => reason(
                Verdict::Compatible,
                "it holds for new instances; those that have begun go on as they began (`skald saga drain` counts them)"
                    .to_owned(),
            ),
            _ => reason(Verdict::Compatible, NEW_RECORDS.to_owned()),
        };
        found.at.clone_from(&one.at);
        reasons.push(found);
    }
    if node.section == "pipelines" {
        reasons.extend(known_again(node));
    }
    if node.section == "sagas" {
        let lacks = lacks(node.old, node.new, node.name).into_iter();
        reasons.extend(
            lacks.map(|lack| reason(Verdict::Compatible, format!("until the instances that have begun are drained, {lack}"))),
        );
    }
    reasons
}

/// Can the states that are stored be read, as they are or by the steps of `upcast`?
fn shape(old: &Aggregate, new: &Aggregate) -> Vec<Reason> {
    let (before, now) = (old.state_version, new.state_version);
    if now < before {
        let text = format!(
            "states of version {before} are stored, and it has version {now} of them: there is no way back, keep `state_version: {before}` \
             and go on from there"
        );
        return vec![reason(Verdict::Refused, text)];
    }
    if now > before {
        let text =
            format!("stored states are migrated from version {before} to {now}: when they are read, and in the background");
        return vec![reason(Verdict::Compatible, text)];
    }
    let next = before + 1;
    let way = match new.kind {
        AggregateKind::Aggregate => {
            format!("; write `state_version: {next}`, and under `upcast` what a state of version {before} becomes")
        }
        AggregateKind::Repository => String::new(),
    };
    let conflicts = conflicts(&old.state.ty, &new.state.ty).into_iter().map(|(field, was, is)| match field.as_str() {
        "" => format!("its state was {was} and is {is}"),
        field => format!("`{field}` of its state was {was} and is {is}"),
    });
    let lacking = lacking(&old.state.ty, &new.state.ty).into_iter();
    let lacking =
        lacking.map(|field| format!("`{field}` of its state is always there now, and may be missing in those that are stored"));
    conflicts.chain(lacking).map(|text| reason(Verdict::Refused, format!("{text}{way}"))).collect()
}

/// What the steps of a pipeline have seen is found by their names, and by what they know records by.
fn known_again(node: &Node<'_>) -> Vec<Reason> {
    let of = |side: Side<'_>| {
        let pipeline = side.topology.pipelines.iter().find(|pipeline| pipeline.name == node.name);
        let dedupes = pipeline.map(|pipeline| pipeline.dedupes()).unwrap_or_default();
        dedupes.into_iter().map(|dedupe| (dedupe.name.clone(), dedupe.by.text.clone())).collect::<Vec<_>>()
    };
    let (before, after) = (of(node.old), of(node.new));
    let find = |all: &[(Text, Text)], name: &Text| all.iter().find(|(known, _)| known == name).map(|(_, by)| by.clone());
    let fresh = after.iter().find(|(name, _)| find(&before, name).is_none()).map(|(name, _)| name);
    let mut reasons = Vec::new();
    for (name, was) in &before {
        match (find(&after, name), fresh) {
            (Some(is), _) if is != *was => {
                let text = format!(
                    "step `{name}` knew records by `{was}` and does by `{is}`: what it has seen does not count any more"
                );
                reasons.push(reason(Verdict::Compatible, text));
            }
            (Some(_), _) => {}
            (None, Some(renamed)) => {
                let text =
                    format!("what step `{name}` has seen is found by its name; if it is now `{renamed}`, keep the old name");
                reasons.push(reason(Verdict::Refused, text));
            }
            (None, None) => {
                reasons.push(reason(Verdict::Compatible, format!("step `{name}` is gone: what it has seen is not looked at")));
            }
        }
    }
    reasons
}

/// What a node's state is found by: its keys, the form of the record's key, its topic, the number of partitions.
fn identity(node: &Node<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let stateful = planned(node.old, node.name).is_some_and(|node| node.store.is_some());
    if !stateful {
        return reasons;
    }
    let keys = |side: Side<'_>| {
        let nodes = instance_keys(side.topology);
        nodes.into_iter().find(|(name, _)| name == node.name).map(|(_, keys)| keys).unwrap_or_default()
    };
    let after = keys(node.new);
    for was in keys(node.old) {
        let topic = &was.topic;
        let Some(is) = after.iter().find(|key| key.topic == *topic) else { continue };
        if is.form != was.form {
            let (was, is) = (&was.text, &is.text);
            let text = format!("its key was `{was}` and is `{is}`, by `{topic}`: no state would be found again");
            reasons.push(reason(Verdict::Refused, text));
        }
        let (Some(before), Some(now)) = (contract(node.old, topic), contract(node.new, topic)) else { continue };
        if before.key_format != now.key_format {
            let text = format!("the keys of `{topic}` are read in another format: no state would be found again");
            reasons.push(reason(Verdict::Refused, text));
        }
        if let (Some(was), Some(is)) = (before.partitions, now.partitions)
            && was != is
        {
            let text = format!("`{topic}` had {was} partitions and has {is}: keys would part from their state");
            reasons.push(reason(Verdict::Refused, text));
        }
    }
    let snapshots = |side: Side<'_>| {
        let store = planned(side, node.name)?.store?;
        Some(side.plan.topics[side.plan.stores[store].snapshots?].name.clone())
    };
    if let (Some(was), Some(is)) = (snapshots(node.old), snapshots(node.new))
        && was != is
    {
        let text = format!("its state is in `{was}`, it would be looked for in `{is}`");
        reasons.push(reason(Verdict::Refused, text));
    }
    reasons
}

/// Another `evolve` gives other states for the same events, except where the events are new.
fn evolve(node: &Node<'_>, one: &Difference, old: Option<&Aggregate>) -> Reason {
    let new = aggregate(node.new, node.name);
    let Some(kind) = one.path.get(1) else {
        return rebuild(node, new, "states that are there were made without `evolve`".to_owned());
    };
    let handler = one.path.len() == 2;
    let old_can_have_it = old.is_none_or(|old| {
        let emitted = !old.decide.is_empty() && emits(node.old, old, kind);
        let read = old.decide.is_empty()
            && old.sources.iter().any(|source| match source.from {
                SourceFrom::Topic(topic) => {
                    let contract = &node.old.topology.topics[topic];
                    contract.types.is_none() || contract.message_type(kind).is_some()
                }
                SourceFrom::Pattern(_) => true,
            });
        emitted || read
    });
    if handler && one.mark == Mark::Added && !old_can_have_it {
        return reason(Verdict::Compatible, format!("`{kind}` is new: no state has seen it"));
    }
    let text = match (handler, one.mark) {
        (true, Mark::Added) => format!("states that are there were made without `{kind}`"),
        (true, Mark::Removed) => format!("states that are there were made with `{kind}`"),
        _ => format!("states that are there were made by the old `evolve` of `{kind}`"),
    };
    rebuild(node, new, text)
}

fn emits(side: Side<'_>, aggregate: &Aggregate, kind: &str) -> bool {
    let Some(index) = side.topology.aggregates.iter().position(|other| other.name == aggregate.name) else { return false };
    let mut found = false;
    side.topology.each_message(&mut |node, message| {
        found |= node == index && message.own_event && matches!(&message.kind, MessageKind::Named(named) if named == kind);
    });
    found
}

/// Other sources: a fold would have other states had it read them from the beginning.
fn from(node: &Node<'_>, old: Option<&Aggregate>, new: Option<&Aggregate>) -> Reason {
    let topics = |side: Side<'_>| {
        let sources = side.definition.content[node.section][node.name]["from"].as_array().cloned().unwrap_or_default();
        let name = |source: &Json| source.get("topic").or(source.get("pattern")).and_then(Json::as_str).map(str::to_owned);
        sources.iter().filter_map(name).collect::<BTreeSet<String>>()
    };
    let (before, after) = (topics(node.old), topics(node.new));
    let folds = [old, new].iter().any(|one| one.is_some_and(|aggregate| aggregate.decide.is_empty()));
    if before == after || !folds {
        return reason(Verdict::Compatible, NEW_RECORDS.to_owned());
    }
    let differing: Vec<String> = before.symmetric_difference(&after).cloned().collect();
    rebuild(node, new, format!("states that are there were folded from other topics ({})", listed(&differing)))
}

/// A rebuild, if what it would be made from is all there.
fn rebuild(node: &Node<'_>, aggregate: Option<&Aggregate>, why: String) -> Reason {
    let from: Vec<&Contract> = match aggregate {
        Some(aggregate) => match aggregate.events {
            Some(events) if !aggregate.decide.is_empty() => vec![&node.new.topology.topics[events]],
            _ => aggregate
                .sources
                .iter()
                .filter_map(|source| match source.from {
                    SourceFrom::Topic(topic) => Some(&node.new.topology.topics[topic]),
                    SourceFrom::Pattern(_) => None,
                })
                .collect(),
        },
        None => Vec::new(),
    };
    for contract in from {
        let declared = match contract.retention {
            Some(Retention::For(length)) => Some(format!("keeps its records for {length:#} only")),
            Some(Retention::Forever) => None,
            None if contract.derived => None,
            None => (node.cut)(&contract.name),
        };
        if let Some(declared) = declared {
            return reason(Verdict::Refused, format!("{why}, and `{}` {declared}: it cannot be made anew", contract.name));
        }
    }
    reason(Verdict::Rebuild, why)
}

/// Params that changed and that the node reads.
pub(super) fn params(node: &Node<'_>) -> Vec<Reason> {
    let of = |side: Side<'_>| side.definition.content["params"].as_object().cloned().unwrap_or_default();
    let (before, after) = (of(node.old), of(node.new));
    let changed = after.iter().filter(|(name, value)| before.get(*name).is_some_and(|was| was != *value));
    let mut reasons = Vec::new();
    for (name, _) in changed {
        let word = format!("params.{name}");
        if node.content.get("initial").is_some_and(|initial| mentions_param(initial, name)) {
            let text = format!("states that are there began with the old `{word}`");
            reasons.push(rebuild(node, aggregate(node.new, node.name), text));
        } else if mentions_param(node.content, name) {
            let holds = if node.section == "sagas" { "it holds for new instances" } else { NEW_RECORDS };
            reasons.push(reason(Verdict::Compatible, format!("`{word}` changed; {holds}")));
        }
    }
    reasons
}

/// Contracts that changed and that the node works with.
pub(super) fn topics(node: &Node<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let Some(own) = planned(node.new, node.name) else { return reasons };
    let handled = |kind: &str| match node.section {
        "pipelines" => {
            let pipeline = node.new.topology.pipelines.iter().find(|pipeline| pipeline.name == node.name);
            pipeline.is_some_and(|pipeline| pipeline.handles(kind))
        }
        "aggregates" | "repositories" => aggregate(node.new, node.name)
            .is_some_and(|aggregate| aggregate.decide_of(kind).is_some() || aggregate.evolve_of(kind).is_some()),
        _ => true,
    };
    let read: BTreeSet<&str> = sources(node.new, own).collect();
    for topic in read {
        let types = |side: Side<'_>| side.definition.content["topics"][topic]["types"].as_object().cloned().unwrap_or_default();
        let (before, after) = (types(node.old), types(node.new));
        for (kind, schema) in after.iter().filter(|(kind, _)| handled(kind)) {
            if before.get(kind).is_some_and(|was| was != schema) {
                let text = format!("the schema of `{kind}` changed: records that are there and do not fit it are dead letters");
                reasons.push(reason(Verdict::Compatible, text));
            }
        }
    }
    reasons
}

fn aggregate<'a>(side: Side<'a>, name: &str) -> Option<&'a Aggregate> {
    side.topology.aggregates.iter().find(|aggregate| aggregate.name == name)
}

fn contract<'a>(side: Side<'a>, name: &str) -> Option<&'a Contract> {
    side.topology.topic(name).map(|index| &side.topology.topics[index])
}

fn planned<'a>(side: Side<'a>, name: &str) -> Option<&'a PlannedNode> {
    side.plan.nodes.iter().find(|node| node.name == name)
}

/// Topics that a node takes records from, those behind a repartition topic included.
fn sources<'a>(side: Side<'a>, node: &'a PlannedNode) -> impl Iterator<Item = &'a str> {
    let behind = format!("{}.repartition", node.name);
    let feeding = side.plan.nodes.iter().filter(move |other| other.name == behind);
    feeding.flat_map(|node| &node.sources).chain(&node.sources).map(move |topic| side.plan.topics[*topic].name.as_str())
}

/// Where the state of a node is kept.
pub(super) fn state_topics(side: Side<'_>, name: &str) -> Vec<String> {
    let Some(store) = planned(side, name).and_then(|node| node.store) else { return Vec::new() };
    let store = &side.plan.stores[store];
    store.snapshots.into_iter().chain(store.changelog).map(|topic| side.plan.topics[topic].name.to_string()).collect()
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

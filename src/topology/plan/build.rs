//! From the model to the plan, and what only the whole can tell.

use super::normal::normal;
use super::{NodeKind, Owner, Partitions, Plan, PlannedNode, PlannedStore, PlannedTopic, Role, SubTopology, TaskCount};
use crate::record::Text;
use crate::topology::diagnostic::Findings;
use crate::topology::model::{
    Aggregate, Cleanup, Contract, Expr, MessageTarget, Pipeline, Retention, Saga, Source, SourceFrom, StoreKind, Topology,
};
use std::collections::BTreeSet;

/// Plans a topology. What is wrong with the whole goes to the findings.
pub(in crate::topology) fn build(topology: &Topology, findings: &mut Findings) -> Plan {
    let mut building = Building {
        topology,
        topics: topology.topics.iter().map(planned).collect(),
        nodes: Vec::new(),
        stores: Vec::new(),
        feeds: Vec::new(),
    };
    building.nodes();
    let subtopologies = building.subtopologies();
    building.roles();
    building.partitions(&subtopologies);
    let dead_letters = building.engine_topic(format!("{}.dlq", topology.name), Role::DeadLetters, Cleanup::Delete);
    building.topics[dead_letters].config.push(kept_forever());
    let audit = building.engine_topic(format!("{}.audit", topology.name), Role::Audit, Cleanup::Delete);
    building.topics[audit].config.push(kept_forever());
    let mut plan = Plan {
        topology: topology.name.clone(),
        version: topology.version,
        topics: building.topics,
        subtopologies,
        nodes: building.nodes,
        stores: building.stores,
        dead_letters,
        audit,
        subscription: String::new(),
    };
    plan.count_tasks(&building.feeds);
    plan.subscription = plan.subscription_text(topology);
    super::check::check(topology, &plan, findings);
    plan
}

struct Building<'t> {
    topology: &'t Topology,
    topics: Vec<PlannedTopic>,
    nodes: Vec<PlannedNode>,
    stores: Vec<PlannedStore>,
    feeds: Vec<Feed>,
}

/// What a repartition topic is filled from.
pub(super) struct Feed {
    pub(super) to: usize,
    pub(super) from: Vec<usize>,
    /// Are there patterns among its sources?
    patterns: bool,
}

fn planned(contract: &Contract) -> PlannedTopic {
    let mut config = contract.config.clone();
    match contract.retention {
        Some(Retention::Forever) => config.push(kept_forever()),
        Some(Retention::For(length)) => config.push(("retention.ms".into(), length.as_millis().to_string().into())),
        None => {}
    }
    PlannedTopic {
        name: contract.name.clone(),
        roles: Vec::new(),
        owner: if contract.derived { Owner::Engine } else { Owner::User },
        partitions: contract.partitions.map_or(Partitions::Cluster, Partitions::Declared),
        replication: contract.replication,
        cleanup: contract.cleanup,
        config,
        purged: false,
    }
}

fn kept_forever() -> (Text, Text) {
    ("retention.ms".into(), "-1".into())
}

impl Building<'_> {
    fn engine_topic(&mut self, name: String, role: Role, cleanup: Cleanup) -> usize {
        self.topics.push(PlannedTopic {
            name: name.into(),
            roles: vec![role],
            owner: Owner::Engine,
            partitions: Partitions::Cluster,
            replication: None,
            cleanup: Some(cleanup),
            // What is deleted once it is committed needs no other end.
            config: if role.is_purged() { vec![kept_forever()] } else { Vec::new() },
            purged: role.is_purged(),
        });
        self.topics.len() - 1
    }

    /// Nodes of the model in its order, then repartitioning ones.
    fn nodes(&mut self) {
        let topology = self.topology;
        for (index, aggregate) in topology.aggregates.iter().enumerate() {
            self.nodes.push(node(aggregate.name.clone(), NodeKind::Aggregate(index), &aggregate.sources));
        }
        for (index, pipeline) in topology.pipelines.iter().enumerate() {
            self.nodes.push(node(pipeline.name.clone(), NodeKind::Pipeline(index), &pipeline.sources));
        }
        for (index, saga) in topology.sagas.iter().enumerate() {
            self.nodes.push(node(saga.name.clone(), NodeKind::Saga(index), &saga.sources));
        }
        for keyed in keyed_nodes(topology) {
            self.repartition(&keyed);
            match self.nodes[keyed.node].kind {
                NodeKind::Saga(index) => self.saga(keyed.node, &topology.sagas[index]),
                _ => self.store(keyed.node, &topology.aggregates[keyed.node]),
            }
        }
        for (at, pipeline) in topology.pipelines.iter().enumerate().filter(|(_, pipeline)| pipeline.keeps()) {
            self.kept(topology.aggregates.len() + at, pipeline);
        }
        let nodes = topology.aggregates.len() + topology.pipelines.len() + topology.sagas.len();
        (0..nodes).for_each(|node| self.inbox(node));
    }

    /// Sources whose records are not keyed as the node is go through a topic that is.
    fn repartition(&mut self, keyed: &KeyedNode<'_>) {
        let index = keyed.node;
        let (elsewhere, here): (Vec<&Source>, Vec<&Source>) =
            keyed.sources.iter().partition(|source| is_keyed_otherwise(self.topology, keyed, source));
        if elsewhere.is_empty() {
            return;
        }
        let name = format!("{}.{}.repartition", self.topology.name, keyed.name);
        let to = self.engine_topic(name, Role::Repartition, Cleanup::Delete);
        let (mut from, patterns) = split(&elsewhere);
        self.feeds.push(Feed { to, from: from.clone(), patterns: !patterns.is_empty() });
        from.sort_unstable();
        self.nodes.push(PlannedNode {
            name: format!("{}.repartition", keyed.name).into(),
            kind: NodeKind::Repartition { of: index, to },
            subtopology: 0,
            sources: from,
            patterns,
            store: None,
            inbox: None,
        });
        let (mut sources, patterns) = split(&here);
        sources.push(to);
        self.nodes[index].sources = sources;
        self.nodes[index].patterns = patterns;
    }

    /// A node of the model reads what operators want of it.
    fn inbox(&mut self, node: usize) {
        let name = format!("{}.{}.inbox", self.topology.name, self.nodes[node].name);
        let inbox = self.engine_topic(name, Role::Inbox, Cleanup::Delete);
        self.nodes[node].sources.push(inbox);
        self.nodes[node].inbox = Some(inbox);
    }

    /// A saga reads the replies to its commands too; all that it keeps is in one changelog.
    fn saga(&mut self, index: usize, saga: &Saga) {
        let prefix = format!("{}.{}", self.topology.name, saga.name);
        let changelog = self.engine_topic(format!("{prefix}.changelog"), Role::Changelog, Cleanup::Compact);
        let node = &mut self.nodes[index];
        node.sources.extend(saga.replies);
        node.store = Some(self.stores.len());
        self.stores.push(PlannedStore {
            node: index,
            name: saga.name.clone(),
            kind: StoreKind::Disk,
            snapshots: None,
            changelog: Some(changelog),
        });
    }

    fn store(&mut self, index: usize, aggregate: &Aggregate) {
        let prefix = format!("{}.{}", self.topology.name, aggregate.name);
        let snapshots = match aggregate.snapshots {
            Some(given) => {
                self.topics[given].cleanup = Some(Cleanup::Compact);
                given
            }
            None => self.engine_topic(format!("{prefix}.snapshots"), Role::Snapshots, Cleanup::Compact),
        };
        // Answers are remembered only where questions can come.
        let asked = !aggregate.decide.is_empty() && aggregate.dedupe.is_some() && !self.topology.reply_to.is_empty();
        let changelog = (asked || aggregate.delays() || aggregate.parks())
            .then(|| self.engine_topic(format!("{prefix}.changelog"), Role::Changelog, Cleanup::Compact));
        let (name, kind) = (aggregate.name.clone(), aggregate.store);
        let store = PlannedStore { node: index, name, kind, snapshots: Some(snapshots), changelog };
        self.nodes[index].store = Some(self.stores.len());
        self.stores.push(store);
    }

    /// A pipeline has a store only for what it sends later, for records that wait, and to know records again.
    fn kept(&mut self, index: usize, pipeline: &Pipeline) {
        let name = format!("{}.{}.changelog", self.topology.name, pipeline.name);
        let changelog = self.engine_topic(name, Role::Changelog, Cleanup::Compact);
        self.nodes[index].store = Some(self.stores.len());
        let (name, kind) = (pipeline.name.clone(), pipeline.store);
        self.stores.push(PlannedStore { node: index, name, kind, snapshots: None, changelog: Some(changelog) });
    }

    /// Nodes that share a topic, or a pattern that may match it, run together: a partition is assigned once per group.
    fn subtopologies(&mut self) -> Vec<SubTopology> {
        let groups = self.groups();
        let mut parts: Vec<SubTopology> = Vec::new();
        let mut part_of_group = std::collections::BTreeMap::new();
        for (index, group) in groups.iter().enumerate() {
            let part = *part_of_group.entry(*group).or_insert_with(|| {
                parts.push(SubTopology {
                    index: parts.len(),
                    name: self.nodes[index].name.clone(),
                    sources: Vec::new(),
                    patterns: Vec::new(),
                    nodes: Vec::new(),
                    stores: Vec::new(),
                    stateful: false,
                    count: TaskCount::OfSources,
                });
                parts.len() - 1
            });
            let node = &mut self.nodes[index];
            node.subtopology = part;
            let part = &mut parts[part];
            part.nodes.push(index);
            part.sources.extend(&node.sources);
            part.patterns.extend(node.patterns.iter().cloned());
            part.stores.extend(node.store);
            part.stateful |= node.store.is_some();
        }
        for part in &mut parts {
            part.sources.sort_unstable();
            part.sources.dedup();
            part.patterns.sort();
            part.patterns.dedup();
        }
        parts
    }

    /// For every node the number of its group: the first node of it.
    fn groups(&self) -> Vec<usize> {
        let mut groups: Vec<usize> = (0..self.nodes.len()).collect();
        let mut first_of_topic: Vec<Option<usize>> = vec![None; self.topics.len()];
        let mut first_with_pattern: Option<usize> = None;
        let mut patterns: BTreeSet<&Text> = BTreeSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            for topic in &node.sources {
                let first = *first_of_topic[*topic].get_or_insert(index);
                join(&mut groups, first, index);
            }
            // Whether two patterns meet cannot be told, so all of them are read together.
            if !node.patterns.is_empty() {
                join(&mut groups, *first_with_pattern.get_or_insert(index), index);
            }
            patterns.extend(&node.patterns);
        }
        if let Some(first_with_pattern) = first_with_pattern {
            let patterns = Patterns::new(patterns);
            for (topic, first) in first_of_topic.iter().enumerate() {
                if let Some(first) = first.filter(|_| patterns.matches(&self.topics[topic])) {
                    join(&mut groups, first_with_pattern, first);
                }
            }
        }
        (0..groups.len()).map(|node| find(&mut groups, node)).collect()
    }

    fn roles(&mut self) {
        let mut roles: Vec<(usize, Role)> = Vec::new();
        for node in &self.nodes {
            roles.extend(node.sources.iter().map(|topic| (*topic, Role::Source)));
        }
        self.topology.each_message(&mut |_, message| {
            if let MessageTarget::Topic(topic) = message.to {
                roles.push((topic, Role::Sink));
            }
        });
        for aggregate in &self.topology.aggregates {
            roles.extend(aggregate.events.map(|topic| (topic, Role::Events)));
            roles.extend(aggregate.replies.map(|topic| (topic, Role::Replies)));
            roles.extend(aggregate.snapshots.map(|topic| (topic, Role::Snapshots)));
        }
        for pipeline in &self.topology.pipelines {
            roles.extend(pipeline.replies.map(|topic| (topic, Role::Replies)));
        }
        for saga in &self.topology.sagas {
            roles.extend(saga.replies.map(|topic| (topic, Role::Replies)));
            roles.push((saga.history, Role::History));
        }
        for (topic, role) in roles {
            if !self.topics[topic].roles.contains(&role) {
                self.topics[topic].roles.push(role);
                self.topics[topic].roles.sort_unstable();
            }
        }
    }

    /// Engine-made topics of a node have the partition count of its sub-topology.
    fn partitions(&mut self, parts: &[SubTopology]) {
        let mut set = |topic: usize, node: usize| {
            let part = &parts[self.nodes[node].subtopology];
            if self.topics[topic].owner == Owner::Engine {
                self.topics[topic].partitions = Partitions::OfSubTopology(part.index);
            }
        };
        for store in &self.stores {
            store.snapshots.into_iter().chain(store.changelog).for_each(|topic| set(topic, store.node));
        }
        for (index, node) in self.nodes.iter().enumerate() {
            node.inbox.into_iter().for_each(|inbox| set(inbox, index));
            if let NodeKind::Saga(saga) = node.kind {
                let saga = &self.topology.sagas[saga];
                saga.replies.into_iter().chain([saga.history]).for_each(|topic| set(topic, index));
            }
        }
        for (node, aggregate) in self.topology.aggregates.iter().enumerate() {
            aggregate.events.into_iter().for_each(|events| set(events, node));
        }
        // What a node is sent back has the count of the node's other sources.
        let own: Vec<usize> = self.nodes.iter().filter_map(|node| node.inbox).chain(replies(self.topology)).collect();
        for node in &self.nodes {
            if let NodeKind::Repartition { of, to } = node.kind {
                let fed_by_pattern = self.feeds.iter().any(|feed| feed.to == to && feed.patterns);
                let alone = self.nodes[of].sources.iter().all(|topic| *topic == to || own.contains(topic));
                // What a pattern matches is not known before the start: the cluster's default then.
                if !(fed_by_pattern && alone) {
                    set(to, of);
                }
            }
        }
        for aggregate in &self.topology.aggregates {
            let Some(events) = aggregate.events.filter(|events| self.topics[*events].owner == Owner::Engine) else { continue };
            self.topics[events].cleanup = Some(Cleanup::Delete);
            self.topics[events].config = vec![kept_forever()];
        }
        for saga in &self.topology.sagas {
            saga.replies.into_iter().chain([saga.history]).for_each(|topic| self.topics[topic].cleanup = Some(Cleanup::Delete));
            self.topics[saga.history].config = vec![kept_forever()];
        }
    }
}

fn node(name: Text, kind: NodeKind, sources: &[Source]) -> PlannedNode {
    let (sources, patterns) = split(&sources.iter().collect::<Vec<_>>());
    PlannedNode { name, kind, subtopology: 0, sources, patterns, store: None, inbox: None }
}

fn split(sources: &[&Source]) -> (Vec<usize>, Vec<Text>) {
    let mut topics = Vec::new();
    let mut patterns = Vec::new();
    for source in sources {
        match &source.from {
            SourceFrom::Topic(topic) => topics.push(*topic),
            SourceFrom::Pattern(pattern) => patterns.push(pattern.clone()),
        }
    }
    (topics, patterns)
}

/// A node that has instances: an aggregate or a saga.
pub(super) struct KeyedNode<'t> {
    /// Its index in the plan.
    pub(super) node: usize,
    pub(super) name: &'t Text,
    pub(super) sources: &'t [Source],
    key: Option<&'t Expr>,
}

impl<'t> KeyedNode<'t> {
    /// How the instances are told from records of a source; `None`: by the record's key.
    pub(super) fn key_of(&self, source: &'t Source) -> Option<&'t Expr> {
        source.key.as_ref().or(self.key)
    }
}

/// The nodes that have instances, in the order of the plan.
pub(super) fn keyed_nodes(topology: &Topology) -> impl Iterator<Item = KeyedNode<'_>> {
    let aggregates = topology.aggregates.iter().enumerate().map(|(node, aggregate)| KeyedNode {
        node,
        name: &aggregate.name,
        sources: &aggregate.sources,
        key: aggregate.key.as_ref(),
    });
    let others = topology.aggregates.len() + topology.pipelines.len();
    let sagas = topology.sagas.iter().enumerate().map(move |(at, saga)| KeyedNode {
        node: others + at,
        name: &saga.name,
        sources: &saga.sources,
        key: saga.key.as_ref(),
    });
    aggregates.chain(sagas)
}

/// Must the records of a source be passed on under another key before the node sees them?
pub(super) fn is_keyed_otherwise(topology: &Topology, node: &KeyedNode<'_>, source: &Source) -> bool {
    let topic = match source.from {
        SourceFrom::Topic(topic) => &topology.topics[topic],
        // A pattern feeds no stateful node.
        SourceFrom::Pattern(_) => return true,
    };
    let Some(key) = source.key.as_ref().or(node.key) else { return false };
    let key = normal(&key.text);
    key != "key" && topic.key.as_ref().is_none_or(|declared| normal(&declared.text) != key)
}

fn replies(topology: &Topology) -> impl Iterator<Item = usize> {
    topology.sagas.iter().filter_map(|saga| saga.replies)
}

/// The first node of a group.
fn find(groups: &mut [usize], mut node: usize) -> usize {
    while groups[node] != node {
        groups[node] = groups[groups[node]];
        node = groups[node];
    }
    node
}

fn join(groups: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(groups, a), find(groups, b));
    groups[a.max(b)] = a.min(b);
}

/// Compiled patterns of sources.
pub(super) struct Patterns(Vec<regex::Regex>);

impl Patterns {
    pub(super) fn new<'p>(patterns: impl IntoIterator<Item = &'p Text>) -> Self {
        Self(patterns.into_iter().filter_map(|text| super::pattern(text)).collect())
    }

    /// Does one of them match a topic? Never the engine's and the brokers' own.
    pub(super) fn matches(&self, topic: &PlannedTopic) -> bool {
        let own = topic.owner == Owner::Engine || topic.name.starts_with("__");
        !own && self.0.iter().any(|pattern| pattern.is_match(&topic.name))
    }
}

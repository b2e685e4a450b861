//! The rights that a worker needs, as Kafka's ACLs name them.

use crate::topology::model::Topology;
use crate::topology::plan::{Owner, Plan, PlannedTopic, Role, outputs};
use std::collections::{BTreeMap, BTreeSet};

/// What a right is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A consumer group.
    Group,
    /// Transactional ids.
    TransactionalId,
    /// Topics.
    Topic,
}

/// How a resource is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// By its whole name.
    Literal,
    /// By how its name begins.
    Prefixed,
    /// By a rule that ACLs cannot say: one literal or prefixed entry for each that fits.
    Fitting,
}

/// What may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Read; with it comes Describe.
    Read,
    /// Write; with it comes Describe.
    Write,
    /// Describe.
    Describe,
    /// Read settings.
    DescribeConfigs,
    /// Make it.
    Create,
    /// Delete it, or records of it.
    Delete,
}

/// A right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// What it is about.
    pub resource: Resource,
    /// How it is named.
    pub pattern: Pattern,
    /// The name, its beginning, or the rule.
    pub name: String,
    /// What may be done, without what comes by itself.
    pub operations: BTreeSet<Operation>,
    /// Is it for whoever creates topics, not for workers that run?
    pub provisioning: bool,
}

/// All rights that running a topology needs, sorted; then those that creating its topics needs. No other right on the cluster: Delete
/// only where the records that were committed are deleted, on topics that nobody else reads.
pub fn rights(topology: &Topology, plan: &Plan) -> Vec<Right> {
    let prefix = format!("{}.", plan.topology);
    let own = |name: &str| name.starts_with(&prefix);
    let mut list = vec![
        right(Resource::Group, Pattern::Literal, &plan.topology, &[Operation::Read, Operation::Describe]),
        right(Resource::TransactionalId, Pattern::Prefixed, &prefix, &[Operation::Write, Operation::Describe]),
        right(
            Resource::Topic,
            Pattern::Prefixed,
            &prefix,
            &[Operation::Read, Operation::Write, Operation::Describe, Operation::DescribeConfigs],
        ),
    ];
    let mut named: BTreeMap<(Pattern, String), BTreeSet<Operation>> = BTreeMap::new();
    let mut allow = |pattern: Pattern, name: &str, operations: &[Operation]| {
        named.entry((pattern, name.to_owned())).or_default().extend(operations);
    };
    for topic in plan.topics.iter().filter(|topic| !own(&topic.name)) {
        let settings = [Operation::Describe, Operation::DescribeConfigs];
        allow(Pattern::Literal, &topic.name, &settings);
        topic.roles.iter().for_each(|role| allow(Pattern::Literal, &topic.name, done_with(*role)));
    }
    for topic in plan.topics.iter().filter(|topic| topic.purged) {
        allow(Pattern::Literal, &topic.name, &[Operation::Delete]);
    }
    for (index, node) in plan.nodes.iter().enumerate() {
        for pattern in &node.patterns {
            let operations = [Operation::Read, Operation::Describe, Operation::DescribeConfigs];
            allow(Pattern::Fitting, &format!("/{pattern}/"), &operations);
        }
        for beginning in outputs(topology, plan, index).1.iter().filter(|beginning| !own(beginning)) {
            allow(Pattern::Prefixed, beginning, &[Operation::Write, Operation::Describe]);
        }
    }
    if topology.aggregates.iter().any(|aggregate| !aggregate.decide.is_empty()) {
        for glob in topology.reply_to.iter().filter(|glob| !own(glob)) {
            allow(Pattern::Fitting, glob, &[Operation::Write, Operation::Describe]);
        }
    }
    list.extend(named.into_iter().map(|((pattern, name), operations)| Right {
        resource: Resource::Topic,
        pattern,
        name,
        operations,
        provisioning: false,
    }));
    list.push(Right { provisioning: true, ..right(Resource::Topic, Pattern::Prefixed, &prefix, &[Operation::Create]) });
    for topic in plan.topics.iter().filter(|topic| topic.owner == Owner::User && !own(&topic.name)) {
        let create = right(Resource::Topic, Pattern::Literal, &topic.name, &[Operation::Create]);
        list.push(Right { provisioning: true, ..create });
    }
    list
}

/// What a worker does with the records of a topic.
fn done_with(role: Role) -> &'static [Operation] {
    match role {
        Role::Source => &[Operation::Read],
        // State is read back.
        Role::Snapshots | Role::Changelog => &[Operation::Read, Operation::Write],
        _ => &[Operation::Write],
    }
}

/// What a worker does with the records of each topic of a plan: Read, Write, Delete. The rights to that are among [`rights`].
pub fn uses(plan: &Plan) -> Vec<BTreeSet<Operation>> {
    let of = |topic: &PlannedTopic| {
        let done = topic.roles.iter().flat_map(|role| done_with(*role)).copied();
        done.chain(topic.purged.then_some(Operation::Delete)).collect()
    };
    plan.topics.iter().map(of).collect()
}

fn right(resource: Resource, pattern: Pattern, name: &str, operations: &[Operation]) -> Right {
    let operations = operations.iter().copied().collect();
    Right { resource, pattern, name: name.to_owned(), operations, provisioning: false }
}

impl Resource {
    /// As Kafka names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Group => "Group",
            Self::TransactionalId => "TransactionalId",
            Self::Topic => "Topic",
        }
    }
}

impl Pattern {
    /// As Kafka names it; `fitting` is ours.
    pub fn name(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Prefixed => "prefixed",
            Self::Fitting => "fitting",
        }
    }
}

impl Operation {
    /// As Kafka names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Describe => "Describe",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::Create => "Create",
            Self::Delete => "Delete",
        }
    }
}

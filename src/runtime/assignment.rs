//! From assigned partitions to tasks.

use super::breaker::Breaker;
use super::program::{Program, SourcePolicy};
use super::task::{Again, Assignment, Index, Input, Route, Task, TaskState};
use super::{Prepared, Registry, TaskId, TaskPhase};
use crate::broker::Ownership;
use crate::node::{Replay, Wanted};
use crate::record::{Millis, Text, TopicPartition};
use crate::telemetry::{TaskMetrics, Telemetry};
use crate::topology::model::Start;
use crate::topology::plan::{self, NodeKind, Plan, PlannedNode, Role, SubTopology};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which topic feeds which nodes; the same for every assignment.
pub(super) struct Sources {
    program: Arc<Program>,
    prepared: Arc<Prepared>,
    /// Topics of the plan that are read: their index and their sub-topology.
    planned: BTreeMap<Text, (usize, usize)>,
    /// Patterns of sub-topologies.
    patterns: Vec<(usize, Regex)>,
    /// Per node, its patterns compiled.
    node_patterns: Vec<Vec<Regex>>,
}

impl Sources {
    /// `None` when a pattern is none, which the language refuses before.
    pub(super) fn new(program: &Arc<Program>, prepared: &Arc<Prepared>) -> Option<Self> {
        let plan = &program.plan;
        let mut planned = BTreeMap::new();
        let mut patterns = Vec::new();
        for part in &plan.subtopologies {
            planned.extend(part.sources.iter().map(|topic| (plan.topics[*topic].name.clone(), (*topic, part.index))));
            for pattern in &part.patterns {
                patterns.push((part.index, plan::pattern(pattern)?));
            }
        }
        let compile = |node: &PlannedNode| node.patterns.iter().map(|pattern| plan::pattern(pattern)).collect();
        let node_patterns = plan.nodes.iter().map(compile).collect::<Option<_>>()?;
        Some(Self { program: program.clone(), prepared: prepared.clone(), planned, patterns, node_patterns })
    }

    /// Index in the plan, if it is there, and sub-topology.
    fn find(&self, topic: &str) -> Option<(Option<usize>, usize)> {
        if let Some((topic, part)) = self.planned.get(topic) {
            return Some((Some(*topic), *part));
        }
        if is_own(&self.program.plan, topic) {
            return None;
        }
        let (part, _) = self.patterns.iter().find(|(_, pattern)| pattern.is_match(topic))?;
        let topics = &self.program.plan.topics;
        Some((topics.iter().position(|planned| planned.name == topic), *part))
    }

    /// Nodes of a sub-topology that take a topic's records.
    fn routes(&self, part: usize, topic: Option<usize>, name: &str) -> Arc<[Route]> {
        let plan = &self.program.plan;
        let part = &plan.subtopologies[part];
        let route = |node: &usize| {
            let planned = &plan.nodes[*node];
            let by_topic = planned.sources.iter().position(|source| Some(*source) == topic);
            let place = by_topic.or_else(|| {
                let place = self.node_patterns[*node].iter().position(|pattern| pattern.is_match(name))?;
                Some(planned.sources.len() + place)
            })?;
            let SourcePolicy { start, max_age } = self.program.policies[*node].get(place).cloned().unwrap_or_default();
            let store = self.store_of(part.index, *node);
            let max_age = max_age.map(|age| Millis::try_from(age.as_millis()).unwrap_or(Millis::MAX));
            Some(Route { node: *node, store, start, max_age, breaker: self.breaker(part, *node) })
        };
        part.nodes.iter().filter_map(route).collect()
    }

    /// Who takes a record once more that a dead letter was made of; `None`: no node of these tasks.
    pub(super) fn again(&self, subtopology: usize, replay: &Replay<'_>, topic: &str) -> Option<Again> {
        let plan = &self.program.plan;
        let node = plan.nodes.iter().position(|node| node.name == replay.node)?;
        let part = plan.nodes[node].subtopology;
        // What fails on its way to a node is brought to that node's inbox: passing it on needs no state.
        let is_here = match plan.nodes[node].kind {
            NodeKind::Repartition { of, .. } => plan.nodes[of].subtopology == subtopology,
            _ => part == subtopology,
        };
        if !is_here {
            return None;
        }
        let planned = self.program.topic(topic);
        let takers = self.routes(part, planned, topic);
        let is_direct = takers.iter().any(|route| route.node == node);
        let mut routes: Vec<Route> = match replay.what {
            Wanted::All if !takers.is_empty() => takers.to_vec(),
            _ => vec![Route { node, store: self.store_of(part, node), start: Start::default(), max_age: None, breaker: None }],
        };
        if part != subtopology {
            routes.retain(|route| route.store.is_none());
        }
        // How old it may be was judged when it was first read, and how many cannot be read.
        routes.iter_mut().for_each(|route| (route.max_age, route.breaker) = (None, None));
        let is_direct = is_direct && replay.what != Wanted::Rekeyed && plan.subtopologies[part].stateful;
        (!routes.is_empty()).then(|| Again { node: plan.nodes[node].name.clone(), routes: routes.into(), is_direct })
    }

    /// The store of a node, by its index among those of its sub-topology.
    fn store_of(&self, part: usize, node: usize) -> Option<usize> {
        let plan = &self.program.plan;
        let store = plan.nodes[node].store?;
        let own = plan.subtopologies[part].stores.iter().position(|own| *own == store);
        Some(own.expect("a node's store is of its sub-topology"))
    }

    /// Index of a node's breaker among those of a task of its sub-topology.
    fn breaker(&self, part: &SubTopology, node: usize) -> Option<usize> {
        let breaks = |node: &&usize| self.program.nodes[**node].stop_above().is_some();
        part.nodes.iter().filter(breaks).position(|own| *own == node)
    }

    /// The tasks of what was assigned. A stateful one whose inputs are not all here waits; a stateless one takes what there is.
    pub(super) fn assign(
        &self,
        ownership: Ownership,
        number: u64,
        partitions: &[TopicPartition],
        (registry, thread, telemetry): (&Registry, usize, &Telemetry),
    ) -> Assignment {
        let mut by_task: BTreeMap<TaskId, Vec<(Option<usize>, &TopicPartition)>> = BTreeMap::new();
        for partition in partitions {
            // What a pattern of the subscription matches and no node reads is held and never resumed.
            let Some((topic, part)) = self.find(&partition.topic) else { continue };
            let id = TaskId { subtopology: part, partition: partition.partition };
            by_task.entry(id).or_default().push((topic, partition));
        }
        let plan = &self.program.plan;
        let mut assignment = Assignment {
            ownership,
            number,
            tasks: Vec::new(),
            inputs: Vec::new(),
            index: Index::default(),
            ends_of: Millis::MIN,
            refused: Vec::new(),
            refused_acts: Vec::new(),
        };
        for (id, members) in by_task {
            let part = &plan.subtopologies[id.subtopology];
            let together = part.sources.iter().all(|source| members.iter().any(|(topic, _)| *topic == Some(*source)));
            let state = if together || !part.stateful { TaskState::Restoring } else { TaskState::Waiting };
            let phase = if state == TaskState::Waiting { TaskPhase::Waiting } else { TaskPhase::Restoring };
            let stateful = part.stores.iter().map(|store| plan.stores[*store].name.clone()).collect();
            let gauges = registry.enter(id, thread, part.name.clone(), stateful, phase);
            let task = assignment.tasks.len();
            let first = assignment.inputs.len();
            for (topic, partition) in members {
                assignment.index.add(partition, assignment.inputs.len());
                assignment.inputs.push(Input {
                    partition: partition.clone(),
                    topic,
                    partitions: topic.map(|topic| self.prepared.topics[topic].partitions),
                    task,
                    position: 0,
                    committed: 0,
                    end: 0,
                    barrier: 0,
                    time: Millis::MIN,
                    start: 0,
                    fresh: true,
                    unsaved: false,
                    has_committed: false,
                    last_owner: None,
                    repartitioned: self.program.is_repartition(topic),
                    inbox: topic.filter(|topic| plan.topics[*topic].roles.contains(&Role::Inbox)),
                    purged: topic.is_some_and(|topic| plan.topics[topic].purged),
                    routes: self.routes(id.subtopology, topic, &partition.topic),
                });
            }
            assignment.tasks.push(Task {
                id,
                name: part.name.clone(),
                state,
                resumed: false,
                inputs: (first..assignment.inputs.len()).collect(),
                stores: Vec::new(),
                tasks: self.prepared.tasks[id.subtopology],
                gauges,
                metrics: TaskMetrics::new(telemetry, &plan.topology, &id.to_string()),
                crowded: None,
                breakers: part
                    .nodes
                    .iter()
                    .filter_map(|node| self.program.nodes[*node].stop_above())
                    .map(Breaker::new)
                    .collect(),
                read_anew: false,
            });
        }
        assignment
    }
}

/// Topics that no pattern reads: the broker's own and those that this topology makes.
fn is_own(plan: &Plan, topic: &str) -> bool {
    topic.starts_with("__") || topic.strip_prefix(plan.topology.as_str()).is_some_and(|rest| rest.starts_with('.'))
}

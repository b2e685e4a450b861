//! The plan beside the cluster, with nothing made: what would be, what differs, what does not fit.

use super::prepare::{by_name, check_all, declared_count, expected_count, extra_config, task_counts};
use super::{Error, Result, TopicProblem};
use crate::broker::{Admin, TopicInfo};
use crate::record::Text;
use crate::topology::plan::{Owner, Plan};
use std::collections::BTreeMap;

/// A plan beside a cluster.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Per topic of the plan.
    pub topics: Vec<Surveyed>,
    /// What keeps the plan from running, topics that are only missing excepted.
    pub problems: Vec<TopicProblem>,
}

/// A topic of the plan beside the cluster.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// As the cluster has it.
    pub found: Option<TopicInfo>,
    /// How many partitions it has to have; `None`: any number.
    pub partitions: Option<u32>,
    /// Settings that the plan wants.
    pub wanted: BTreeMap<String, String>,
    /// Those of them that are otherwise: name, wanted, found. The cleanup policy is a problem and not among them.
    pub differing: Vec<(String, String, String)>,
}

/// Looks at the topics of a plan.
pub fn survey(plan: &Plan, admin: &dyn Admin) -> Result<Survey> {
    let names: Vec<Text> = plan.topics.iter().map(|topic| topic.name.clone()).collect();
    let there = by_name(admin.describe(&names).map_err(Error::Broker)?);
    // Numbers of tasks follow from topics that are declared as well as from those that are there.
    let mut known = there.clone();
    for topic in plan.topics.iter().filter(|topic| topic.owner == Owner::User && !there.contains_key(&topic.name)) {
        let partitions = declared_count(topic);
        if partitions > 0 {
            let info = TopicInfo { name: topic.name.clone(), partitions, config: BTreeMap::new() };
            known.insert(topic.name.clone(), info);
        }
    }
    let mut problems = Vec::new();
    let tasks = task_counts(plan, &known, &mut problems);
    check_all(plan, &there, &tasks, &mut problems);
    let topics = plan.topics.iter().map(|topic| {
        let found = there.get(&topic.name).cloned();
        let wanted = extra_config(topic, None);
        let differing = found.iter().flat_map(|info| {
            wanted.iter().filter(|(name, _)| *name != "cleanup.policy").filter_map(|(name, wanted)| {
                let has = info.config.get(name)?;
                (has != wanted).then(|| (name.clone(), wanted.clone(), has.clone()))
            })
        });
        let partitions = expected_count(plan, topic, &tasks);
        Surveyed { differing: differing.collect(), partitions, wanted, found }
    });
    Ok(Survey { topics: topics.collect(), problems })
}

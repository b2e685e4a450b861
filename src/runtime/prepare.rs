//! Before the start: the plan meets the cluster.
//!
//! Partition counts are resolved, engine-made topics created with the right settings, everything that is there already compared
//! with what the plan needs. Nothing is read and no group joined before all of it fits; every difference is found at once and
//! says what to do.

use super::{Error, Result};
use crate::broker::{self, Admin, ErrorClass, TopicInfo, TopicSpec};
use crate::record::{Text, TopicPartition};
use crate::topology::model::Cleanup;
use crate::topology::plan::{Owner, Partitions, Plan, PlannedTopic, Role, TaskCount};
use std::collections::BTreeMap;
use std::time::Duration;

/// Kafka's default of `max.message.bytes`.
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// What an engine topic takes beyond the largest source: a snapshot's or dead letter's headers.
const MESSAGE_BYTES_EXTRA: usize = 64 << 10;
/// The least that a topic of dead letters takes: what the engine says of a failure fits, and the key of most records.
const LETTER_BYTES_MIN: usize = 16 << 10;
/// Kafka's default of `delete.retention.ms`.
const DELETE_RETENTION_DEFAULT: Duration = Duration::from_hours(24);

/// How long a repartition topic keeps its records where they cannot be deleted once they are committed.
const UNPURGED_RETENTION: Duration = Duration::from_hours(7 * 24);

/// What a plan came to on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Per topic of the plan: what is known of it.
    pub topics: Vec<PreparedTopic>,
    /// Per sub-topology: number of tasks.
    pub tasks: Vec<u32>,
    /// Partitions of all other topics that are there: computed names lead to them.
    pub others: BTreeMap<Text, u32>,
    /// Topics that were created.
    pub created: Vec<Text>,
}

/// A topic of the plan as the cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedTopic {
    /// Number of partitions.
    pub partitions: u32,
    /// Largest record that it takes, in bytes.
    pub message_bytes_max: usize,
    /// How long a tombstone stays.
    pub delete_retention: Duration,
}

/// A topic that is not as the plan needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic `{topic}`: expected {expected}, found {found}; {next}")]
pub struct TopicProblem {
    /// Topic.
    pub topic: Text,
    /// What the plan needs.
    pub expected: String,
    /// What the cluster has.
    pub found: String,
    /// What to do.
    pub next: String,
}

/// Compares a plan with a cluster and creates what the engine makes for itself; with `create_declared` also what the file declares.
pub fn prepare(plan: &Plan, admin: &dyn Admin, create_declared: bool) -> Result<Prepared> {
    let names: Vec<Text> = plan.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut there = by_name(admin.describe(&names).map_err(Error::Broker)?);
    let mut created = Vec::new();

    // Topics of the user first: the counts of the engine's follow from theirs.
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for topic in plan.topics.iter().filter(|topic| topic.owner == Owner::User && !there.contains_key(&topic.name)) {
        let count = match topic.partitions {
            Partitions::Declared(count) => count.to_string(),
            Partitions::Cluster | Partitions::OfSubTopology(_) => "any number of".into(),
        };
        if create_declared {
            wanted.push(spec(topic, declared_count(topic), extra_config(topic, None)));
        } else {
            problems.push(TopicProblem {
                topic: topic.name.clone(),
                expected: format!("a topic with {count} partitions"),
                found: "no such topic".into(),
                next:
                    "create it, or start with `--create-topics`; one that is there is hidden from a principal without Describe"
                        .into(),
            });
        }
    }
    if problems.is_empty() {
        make(admin, &wanted, &mut there, &mut created)?;
    }
    let tasks = task_counts(plan, &there, &mut problems);
    if !problems.is_empty() {
        check_all(plan, &there, &tasks, &mut problems);
        return Err(Error::Topics(problems));
    }

    let largest_source = plan
        .topics
        .iter()
        .filter(|topic| topic.roles.contains(&Role::Source))
        .filter_map(|topic| there.get(&topic.name))
        .map(message_bytes)
        .max()
        .unwrap_or(MESSAGE_BYTES_DEFAULT);
    let wanted: Vec<TopicSpec> = plan
        .topics
        .iter()
        .filter(|topic| topic.owner == Owner::Engine && !there.contains_key(&topic.name))
        .map(|topic| {
            let count = match topic.partitions {
                Partitions::Declared(count) => count,
                Partitions::OfSubTopology(index) => tasks[index],
                // A handful of partitions serves topics that nothing is keyed by.
                Partitions::Cluster => tasks.iter().copied().max().unwrap_or(1),
            };
            spec(topic, count, extra_config(topic, Some(largest_source + MESSAGE_BYTES_EXTRA)))
        })
        .collect();
    check_all(plan, &there, &tasks, &mut problems);
    if !problems.is_empty() {
        return Err(Error::Topics(problems));
    }
    make(admin, &wanted, &mut there, &mut created)?;
    let purged = |spec: &&TopicSpec| plan.topics.iter().any(|topic| topic.purged && topic.name == spec.name);
    wanted.iter().filter(purged).for_each(|spec| bound_unless_purged(admin, spec));
    // What others made at the same moment may differ from what was wanted here.
    check_all(plan, &there, &tasks, &mut problems);
    for topic in plan.topics.iter().filter(|topic| !there.contains_key(&topic.name)) {
        problems.push(TopicProblem {
            topic: topic.name.clone(),
            expected: "the topic just created".into(),
            found: "no such topic".into(),
            next: "check that this principal may describe it, then start again".into(),
        });
    }
    if !problems.is_empty() {
        return Err(Error::Topics(problems));
    }
    let topics = plan
        .topics
        .iter()
        .map(|topic| {
            let info = &there[&topic.name];
            PreparedTopic {
                partitions: info.partitions,
                message_bytes_max: message_bytes(info),
                delete_retention: setting(info, "delete.retention.ms").map_or(DELETE_RETENTION_DEFAULT, Duration::from_millis),
            }
        })
        .collect();
    let others = admin.topics().map_err(Error::Broker)?.into_iter().map(|info| (info.name, info.partitions)).collect();
    Ok(Prepared { topics, tasks, others, created })
}

/// Refuses to join a group whose members run another plan: they would take partitions that they do not know how to run.
pub fn refuse_other_plans(admin: &dyn Admin, plan: &Plan) -> Result<()> {
    let suffix = client_suffix(plan);
    for member in admin.members(&plan.topology).map_err(Error::Broker)? {
        // A member that is no worker of ours (no hash at the end) is none of this check's business: the group protocol refuses it.
        let Some(at) = member.client_id.rfind("-plan.") else { continue };
        if member.client_id[at..] != suffix {
            return Err(Error::OtherPlan { group: plan.topology.clone(), client: member.client_id.as_str().into() });
        }
    }
    Ok(())
}

/// What every client id of a plan ends in: a hash of its subscription.
pub fn client_suffix(plan: &Plan) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(plan.subscription.as_bytes());
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("-plan.{hex}")
}

pub(super) fn by_name(topics: Vec<TopicInfo>) -> BTreeMap<Text, TopicInfo> {
    topics.into_iter().map(|info| (info.name.clone(), info)).collect()
}

fn make(admin: &dyn Admin, wanted: &[TopicSpec], there: &mut BTreeMap<Text, TopicInfo>, created: &mut Vec<Text>) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    admin.create(wanted).map_err(Error::Broker)?;
    let names: Vec<Text> = wanted.iter().map(|spec| spec.name.clone()).collect();
    there.extend(by_name(admin.describe(&names).map_err(Error::Broker)?));
    created.extend(names);
    Ok(())
}

/// A new topic whose committed records are to be deleted is kept for ever only where they can be: without the right to it, its
/// retention is bounded instead.
fn bound_unless_purged(admin: &dyn Admin, spec: &TopicSpec) {
    // Deletes nothing, but says whether it could.
    match admin.trim(&[(TopicPartition::new(spec.name.clone(), 0), 0)]) {
        Err(broker::Error { class: ErrorClass::Denied(_), .. }) => {}
        Err(error) => return tracing::debug!(topic = %spec.name, %error, "whether records can be deleted is not known"),
        Ok(()) => return,
    }
    let mut config = spec.config.clone();
    config.insert("retention.ms".into(), UNPURGED_RETENTION.as_millis().to_string());
    match admin.configure(&spec.name, &config) {
        Ok(()) => tracing::warn!(
            topic = %spec.name, days = UNPURGED_RETENTION.as_secs() / 86_400,
            "without Delete on the topic its records cannot be deleted when they are done with: it keeps them for some days, and \
             a worker that is away for longer loses what it has not read"
        ),
        Err(error) => tracing::warn!(
            topic = %spec.name, %error,
            "without Delete on the topic its records cannot be deleted when they are done with, and its retention cannot be \
             bounded: it grows for ever"
        ),
    }
}

pub(super) fn declared_count(topic: &PlannedTopic) -> u32 {
    match topic.partitions {
        Partitions::Declared(count) => count,
        // 0 leaves the number to the cluster.
        Partitions::Cluster | Partitions::OfSubTopology(_) => 0,
    }
}

fn spec(topic: &PlannedTopic, partitions: u32, config: BTreeMap<String, String>) -> TopicSpec {
    TopicSpec { name: topic.name.clone(), partitions, replication: topic.replication, config }
}

pub(super) fn extra_config(topic: &PlannedTopic, message_bytes_max: Option<usize>) -> BTreeMap<String, String> {
    let mut config: BTreeMap<String, String> = BTreeMap::new();
    if let Some(bytes) = message_bytes_max {
        config.insert("max.message.bytes".into(), bytes.to_string());
    }
    if let Some(cleanup) = topic.cleanup {
        config.insert("cleanup.policy".into(), cleanup.policy().into());
    }
    config.extend(topic.config.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    config
}

fn setting(info: &TopicInfo, name: &str) -> Option<u64> {
    info.config.get(name)?.trim().parse().ok()
}

fn message_bytes(info: &TopicInfo) -> usize {
    setting(info, "max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MESSAGE_BYTES_DEFAULT)
}

/// Number of tasks of each sub-topology.
pub(super) fn task_counts(plan: &Plan, there: &BTreeMap<Text, TopicInfo>, problems: &mut Vec<TopicProblem>) -> Vec<u32> {
    let count_of = |topic: usize| there.get(&plan.topics[topic].name).map(|info| info.partitions);
    plan.subtopologies
        .iter()
        .map(|part| match &part.count {
            TaskCount::Declared(count) => *count,
            TaskCount::Largest(topics) => topics.iter().filter_map(|topic| count_of(*topic)).max().unwrap_or(1),
            TaskCount::OfSources => {
                let counts: Vec<(usize, u32)> =
                    part.sources.iter().filter_map(|topic| Some((*topic, count_of(*topic)?))).collect();
                let largest = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
                if part.stateful {
                    let Some((first, expected)) = counts.first().copied() else { return largest };
                    for (topic, found) in counts.iter().filter(|(_, count)| *count != expected) {
                        problems.push(TopicProblem {
                            topic: plan.topics[*topic].name.clone(),
                            expected: format!(
                                "{expected} partitions, as `{}` has, because node `{}` joins both by key",
                                plan.topics[first].name, part.name
                            ),
                            found: found.to_string(),
                            next: "give the sources of a stateful node one partition count".into(),
                        });
                    }
                }
                largest
            }
        })
        .collect()
}

/// Compares every topic that is there with what the plan needs.
pub(super) fn check_all(plan: &Plan, there: &BTreeMap<Text, TopicInfo>, tasks: &[u32], problems: &mut Vec<TopicProblem>) {
    for topic in &plan.topics {
        let Some(info) = there.get(&topic.name) else { continue };
        let expected = expected_count(plan, topic, tasks);
        if let Some(expected) = expected.filter(|expected| *expected != info.partitions) {
            problems.push(TopicProblem {
                topic: topic.name.clone(),
                expected: format!("{expected} partitions"),
                found: info.partitions.to_string(),
                next: match topic.owner {
                    Owner::User => "declare the number that it has, or make a new topic: keys would change their partition",
                    Owner::Engine => "its sources were given other partitions: state must be rebuilt under another node name",
                }
                .into(),
            });
        }
        if topic.roles.contains(&Role::DeadLetters) && message_bytes(info) < LETTER_BYTES_MIN {
            problems.push(TopicProblem {
                topic: topic.name.clone(),
                expected: format!("max.message.bytes of {LETTER_BYTES_MIN} or more: a dead letter has to fit"),
                found: message_bytes(info).to_string(),
                next: format!(
                    "set it: `kafka-configs --alter --topic {} --add-config max.message.bytes={MESSAGE_BYTES_DEFAULT}`",
                    topic.name
                ),
            });
        }
        let found = info.config.get("cleanup.policy").map(|policy| policy.replace(' ', ""));
        if let (Some(cleanup), Some(found)) = (topic.cleanup, found)
            && !same_policy(cleanup, &found)
        {
            problems.push(TopicProblem {
                topic: topic.name.clone(),
                expected: format!("cleanup.policy={}", cleanup.policy()),
                found: format!("cleanup.policy={found}"),
                next: format!(
                    "set it: `kafka-configs --alter --topic {} --add-config cleanup.policy=[{}]`",
                    topic.name,
                    cleanup.policy()
                ),
            });
        }
    }
}

/// How many partitions a topic has to have; `None`: any number.
pub(super) fn expected_count(plan: &Plan, topic: &PlannedTopic, tasks: &[u32]) -> Option<u32> {
    match topic.partitions {
        Partitions::Declared(count) => Some(count),
        // Where there is no state any task can take up what operators want: sources may be given more partitions.
        Partitions::OfSubTopology(index) if topic.roles.contains(&Role::Inbox) && !plan.subtopologies[index].stateful => None,
        Partitions::OfSubTopology(index) => Some(tasks[index]),
        Partitions::Cluster => None,
    }
}

fn same_policy(wanted: Cleanup, found: &str) -> bool {
    match wanted {
        Cleanup::Both => found == "compact,delete" || found == "delete,compact",
        Cleanup::Compact | Cleanup::Delete => found == wanted.policy(),
    }
}

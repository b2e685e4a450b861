//! How far the group has come in what it reads, as the broker knows it.

use super::Trouble;
use crate::broker::embedded::Cluster;
use crate::broker::{
    Broker, ConsumerSettings, Guarantee, Isolation, Limit, Op, Outcome, Parting, Polled, TransactionSettings, Transactions,
};
use crate::clock::{Clock, ManualClock};
use crate::record::{Text, TopicPartition};
use crate::topology::plan::{self, Plan, Role};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Polls until a lone member has its assignment.
const POLLS_MAX: usize = 10_000;

pub(super) struct Positions {
    group: Text,
    lane: Box<dyn Transactions>,
    partitions: Vec<TopicPartition>,
    /// Topics that each sub-topology reads.
    read: Vec<Vec<Text>>,
}

impl Positions {
    /// Of all that a plan reads, patterns included.
    pub(super) fn new(cluster: &Cluster, plan: &Plan, topics: &BTreeMap<Text, u32>) -> Result<Self, Trouble> {
        let settings = TransactionSettings {
            guarantee: Guarantee::default(),
            group: plan.topology.clone(),
            // Never initialised: no transaction is made under this id.
            transactional_id: "scenario".into(),
            client_id: "scenario".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(|| {}),
        };
        let lane = cluster.transactions(&settings).map_err(|error| error.to_string())?;
        let own = |name: &str| name.strip_prefix(plan.topology.as_str()).is_some_and(|rest| rest.starts_with('.'));
        let read: Vec<Vec<Text>> = plan
            .subtopologies
            .iter()
            .map(|part| {
                let mut read: Vec<Text> = part.sources.iter().map(|topic| plan.topics[*topic].name.clone()).collect();
                let elsewhere =
                    |name: &Text| plan.topics.iter().any(|topic| topic.name == *name && topic.roles.contains(&Role::Source));
                for pattern in part.patterns.iter().filter_map(|text| plan::pattern(text)) {
                    let found = topics.keys().filter(|name| pattern.is_match(name) && !own(name) && !elsewhere(name));
                    read.extend(found.cloned());
                }
                read
            })
            .collect();
        let partitions = read.iter().flatten().flat_map(|topic| {
            let count = topics.get(topic).copied().unwrap_or(0);
            (0..count as i32).map(|partition| TopicPartition::new(topic.clone(), partition))
        });
        Ok(Self { group: plan.topology.clone(), lane, partitions: partitions.collect(), read })
    }

    /// Does a sub-topology read this topic?
    pub(super) fn reads(&self, subtopology: usize, topic: &Text) -> bool {
        self.read[subtopology].contains(topic)
    }

    /// Commits the ends of everything for the group, as a member of it: all that lies there was read before.
    pub(super) fn commit_ends(&mut self, cluster: &Cluster, clock: &ManualClock) -> Result<(), Trouble> {
        let failed = |error: crate::broker::Error| error.to_string();
        let settings = ConsumerSettings {
            group: self.group.clone(),
            instance: None,
            client_id: "scenario".into(),
            topics: self.read.iter().flatten().cloned().collect(),
            patterns: Vec::new(),
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(60),
            wake: Arc::new(|| {}),
        };
        let mut consumer = cluster.consumer(&settings).map_err(failed)?;
        let limit = Limit { records: 1, time: Duration::ZERO };
        let mut assigned = None;
        for _ in 0..POLLS_MAX {
            if let Polled::Assigned(partitions) = consumer.poll(limit, &mut |_| {}) {
                consumer.accept(&partitions).map_err(failed)?;
                assigned = Some(partitions);
                break;
            }
            let wall = clock.wall();
            clock.advance(Duration::from_millis(1));
            clock.set_wall(wall);
            cluster.tick();
        }
        assigned.ok_or("the group assigns nothing")?;
        let offsets = self.ask(cluster)?.into_iter().map(|(partition, _, end)| (partition, end)).collect();
        let offsets = Op::SendOffsets { offsets, stamp: "scenario#0.0".into(), ownership: consumer.ownership() };
        for op in [Op::Init, Op::Begin, offsets, Op::Commit] {
            self.answer(cluster, op)?;
        }
        consumer.close(Parting::Leave, Duration::from_secs(1));
        Ok(())
    }

    /// Of each partition what is committed (−1: nothing yet), and its end.
    pub(super) fn ask(&mut self, cluster: &Cluster) -> Result<Vec<(TopicPartition, i64, i64)>, Trouble> {
        let (partitions, isolation) = (self.partitions.clone(), Isolation::ReadUncommitted);
        let Outcome::Committed(committed) =
            self.answer(cluster, Op::Committed { partitions: partitions.clone(), isolation })?
        else {
            return Err("the broker answers another question".into());
        };
        let Outcome::Ends(ends) = self.answer(cluster, Op::Ends { partitions, isolation })? else {
            return Err("the broker answers another question".into());
        };
        let ends: BTreeMap<TopicPartition, i64> = ends.into_iter().map(|(partition, span)| (partition, span.end)).collect();
        let standing = committed.into_iter().map(|(partition, offset)| {
            let end = ends.get(&partition).copied().unwrap_or(0);
            (partition, offset.map_or(-1, |offset| offset.offset), end)
        });
        Ok(standing.collect())
    }

    fn answer(&mut self, cluster: &Cluster, op: Op) -> Result<Outcome, Trouble> {
        self.lane.submit(op);
        cluster.tick();
        let reply = self.lane.reply().ok_or("the broker does not answer")?;
        reply.result.map_err(|error| error.to_string())
    }
}

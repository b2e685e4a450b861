//! What a rehearsal takes from the cluster: the shape of its topics, and states.

use super::{Error, Result, STATE_RECORDS_MAX, by_node};
use crate::broker::embedded::Cluster;
use crate::broker::{Broker, Isolation, TopicSpec};
use crate::dlq::Filed;
use crate::reading::Log;
use crate::record::{Header, Partition, Record, Text};
use crate::topology::plan::Plan;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Topics of a cluster that are told apart, for names that are computed.
const TOPICS_MAX: usize = 1_000;
/// What has to be as it is there, for records to fit and for the plan to find what it needs.
const SETTINGS: [&str; 2] = ["cleanup.policy", "max.message.bytes"];

/// Makes the topics of a plan as the cluster has them; and others, since names may be computed.
pub(super) fn topics(plan: &Plan, real: &dyn Broker, cluster: &Cluster) -> Result<()> {
    let admin = real.admin().map_err(Error::Cluster)?;
    let names: Vec<Text> = plan.topics.iter().map(|topic| topic.name.clone()).collect();
    for info in admin.describe(&names).map_err(Error::Cluster)? {
        let config = info.config.into_iter().filter(|(name, _)| SETTINGS.contains(&name.as_str())).collect();
        let spec = TopicSpec { name: info.name, partitions: info.partitions, replication: None, config };
        cluster.create_topic(&spec).map_err(Error::Here)?;
    }
    let others = admin.topics().map_err(Error::Cluster)?;
    let others = others.into_iter().filter(|info| !names.contains(&info.name) && !info.name.starts_with("__"));
    for info in others.take(TOPICS_MAX) {
        let spec = TopicSpec { name: info.name, partitions: info.partitions, replication: None, config: BTreeMap::new() };
        cluster.create_topic(&spec).map_err(Error::Here)?;
    }
    Ok(())
}

/// Copies the states of the nodes that failed; tells of which there is none.
pub(super) fn states(plan: &Plan, letters: &[Filed], real: &dyn Broker, cluster: &Cluster) -> Result<Vec<Text>> {
    let mut empty = Vec::new();
    let failed = by_node(letters);
    let nodes = failed.keys().map(|node| node.strip_suffix(".repartition").unwrap_or(node));
    // Nodes of one sub-topology meet the same records.
    let parts: Vec<usize> =
        nodes.filter_map(|name| plan.nodes.iter().find(|node| node.name == name)).map(|node| node.subtopology).collect();
    for store in plan.stores.iter().filter(|store| parts.contains(&plan.nodes[store.node].subtopology)) {
        let topics = store.snapshots.into_iter().chain(store.changelog);
        for topic in topics {
            if !copied(&plan.topics[topic].name, real, cluster)? && !empty.contains(&store.name) {
                empty.push(store.name.clone());
            }
        }
    }
    Ok(empty)
}

type Last = FxHashMap<Bytes, (i64, Bytes, Vec<Header>)>;

/// Copies what holds of a compacted topic; not, if it is too large.
fn copied(topic: &Text, real: &dyn Broker, cluster: &Cluster) -> Result<bool> {
    let Some(mut log) = Log::open(real, topic, Isolation::ReadCommitted).map_err(Error::Cluster)? else { return Ok(true) };
    if log.span() > STATE_RECORDS_MAX {
        return Ok(false);
    }
    let mut last: BTreeMap<Partition, Last> = BTreeMap::new();
    let read = log.read_all(&mut |record| {
        let of = last.entry(record.partition).or_default();
        let Some(key) = record.key.map(Bytes::copy_from_slice) else { return };
        match record.value {
            Some(value) => {
                let headers = record
                    .headers
                    .iter()
                    .map(|header| Header { name: header.name.into(), value: header.value.map(Bytes::copy_from_slice) });
                of.insert(key, (record.timestamp, Bytes::copy_from_slice(value), headers.collect()));
            }
            None => drop(of.remove(&key)),
        }
    });
    read.map_err(Error::Cluster)?;
    let mut producer = cluster.producer().map_err(Error::Here)?;
    for (partition, of) in last {
        for (key, (timestamp, value, headers)) in of {
            let record = Record { topic: topic.clone(), partition, timestamp, key: Some(key), value: Some(value), headers };
            producer.send(&record).map_err(Error::Here)?;
        }
    }
    Ok(true)
}

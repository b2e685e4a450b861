//! Follows snapshots while the engine runs and counts instances by their `status`.

use crate::broker::{Broker, Isolation, Limit, LogReader};
use crate::record::{Text, TopicPartition};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// More statuses than this are no statuses but some text.
const STATUSES_MAX: usize = 12;
/// Instances that are followed; the counts stand still beyond.
const KEYS_MAX: usize = 2_000_000;
/// Records read at a time, so that the screen is drawn in between.
const RECORDS_MAX: usize = 20_000;

/// Counts by status of some aggregates.
pub struct Tail {
    reader: Box<dyn LogReader>,
    nodes: Vec<Node>,
}

struct Node {
    name: Text,
    topic: Text,
    /// Status of each instance, by the hash of its key.
    instances: HashMap<u64, u8>,
    statuses: Vec<String>,
    counts: BTreeMap<u8, u64>,
}

impl Tail {
    /// Follows these aggregates: name, topic of snapshots and its number of partitions.
    pub fn new(broker: &dyn Broker, nodes: &[(Text, Text, u32)]) -> Result<Self, crate::broker::Error> {
        let mut reader = broker.log_reader(Isolation::ReadCommitted)?;
        let partitions = nodes.iter().flat_map(|(_, topic, partitions)| {
            (0..*partitions).map(|partition| (TopicPartition::new(topic.clone(), partition as i32), 0))
        });
        reader.assign(&partitions.collect::<Vec<_>>())?;
        let nodes = nodes.iter().map(|(name, topic, _)| Node {
            name: name.clone(),
            topic: topic.clone(),
            instances: HashMap::new(),
            statuses: Vec::new(),
            counts: BTreeMap::new(),
        });
        Ok(Self { reader, nodes: nodes.collect() })
    }

    /// Takes in what is new and gives the counts: by node, by status.
    pub fn counts(&mut self) -> Vec<(String, Vec<(String, u64)>)> {
        let nodes = &mut self.nodes;
        let limit = Limit { records: RECORDS_MAX, time: Duration::from_millis(50) };
        // What cannot be read is not shown; the self-check says so at the end.
        let _ = self.reader.poll(limit, &mut |record| {
            if let Some(node) = nodes.iter_mut().find(|node| node.topic == record.topic) {
                node.take(record.key.unwrap_or_default(), record.value);
            }
        });
        let shown = self.nodes.iter().filter(|node| node.statuses.len() <= STATUSES_MAX && !node.counts.is_empty());
        let counted = |node: &Node| {
            let mut counts: Vec<(String, u64)> =
                node.counts.iter().map(|(status, count)| (node.statuses[usize::from(*status)].clone(), *count)).collect();
            counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            counts
        };
        shown.map(|node| (node.name.to_string(), counted(node))).collect()
    }
}

impl Node {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.statuses.len() > STATUSES_MAX {
            return;
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = hasher.finish();
        let status = value.and_then(|value| serde_json::from_slice::<serde_json::Value>(value).ok());
        let status = status.as_ref().and_then(|state| state["status"].as_str());
        let new = status.map(|status| {
            let known = self.statuses.iter().position(|known| known == status);
            known.unwrap_or_else(|| {
                self.statuses.push(status.to_owned());
                self.statuses.len() - 1
            }) as u8
        });
        let old = match new {
            Some(_) if self.instances.len() >= KEYS_MAX && !self.instances.contains_key(&key) => return,
            Some(new) => self.instances.insert(key, new),
            None => self.instances.remove(&key),
        };
        if let Some(count) = old.and_then(|old| self.counts.get_mut(&old)) {
            *count -= 1;
        }
        if let Some(new) = new {
            *self.counts.entry(new).or_default() += 1;
        }
    }
}

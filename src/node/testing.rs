//! A runtime in memory, for the tests of what runs on one.

use super::{Context, Input, Node, Outcome, Outgoing, Stop, Target, World, first_read};
use crate::codec::Decoder;
use crate::failure::{Class, Failure, Stage};
use crate::record::{Header, HeaderRef, Millis, Record, RecordRef, Text, json, partition_of};
use crate::state::{Entity, Mark};
use crate::topology::model::Topology;
use crate::topology::plan::{Plan, Role};
use crate::topology::{self, NoSources, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Effects of steps, kept.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Names of the plan's topics.
    pub topics: Vec<Text>,
    /// Topics that are there though the plan does not know them.
    pub others: BTreeSet<Text>,
    /// Wall time.
    pub now: Millis,
    /// Largest value that a topic takes; 0: any.
    pub value_bytes_max: usize,
    /// States by store and key.
    pub entities: BTreeMap<(usize, Vec<u8>), Entity>,
    /// Marks by store and id.
    pub marks: BTreeMap<(usize, Vec<u8>), Mark>,
    /// What was sent, in order; partitions are not computed.
    pub sent: Vec<Record>,
    /// Dead letters of steps that went on.
    pub letters: Vec<Failure>,
    /// What was counted.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Context for Memory {
    fn now(&self) -> Millis {
        self.now
    }

    fn entity(&mut self, store: usize, key: &[u8]) -> Result<Option<&Entity>, crate::state::Error> {
        Ok(self.entities.get(&(store, key.to_vec())))
    }

    fn put_entity(&mut self, store: usize, key: &[u8], entity: Option<Entity>) -> Result<(), crate::state::Error> {
        match entity {
            Some(entity) => self.entities.insert((store, key.to_vec()), entity),
            None => self.entities.remove(&(store, key.to_vec())),
        };
        Ok(())
    }

    fn mark(&mut self, store: usize, id: &[u8]) -> Result<Option<&Mark>, crate::state::Error> {
        Ok(self.marks.get(&(store, id.to_vec())))
    }

    fn put_mark(&mut self, store: usize, id: &[u8], mark: Mark) -> Result<(), crate::state::Error> {
        self.marks.insert((store, id.to_vec()), mark);
        Ok(())
    }

    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Failure> {
        let topic = match message.target {
            Target::Planned(topic) => self.topics[topic].clone(),
            Target::Named(name) if self.others.contains(name) => name.into(),
            Target::Named(name) => {
                return Err(Failure::new(Class::Permanent, "UNKNOWN_TOPIC", Stage::Encode, format!("no topic `{name}`")));
            }
        };
        if self.value_bytes_max > 0 && message.value.is_some_and(|value| value.len() > self.value_bytes_max) {
            return Err(Failure::new(Class::Permanent, "TOO_LARGE", Stage::Encode, "larger than its topic takes"));
        }
        self.sent.push(Record {
            topic,
            partition: 0,
            timestamp: message.timestamp,
            key: message.key.map(bytes::Bytes::copy_from_slice),
            value: message.value.map(bytes::Bytes::copy_from_slice),
            headers: message.headers.iter().map(HeaderRef::to_header).collect::<Vec<Header>>(),
        });
        Ok(())
    }

    fn dead_letter(&mut self, failure: Failure) -> Result<(), Failure> {
        self.letters.push(failure);
        Ok(())
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// Nodes of a topology and the records that they are given: what a task does, without a broker.
pub struct Bench {
    /// The topology.
    pub world: Arc<World>,
    /// Partitions of every topic.
    pub partitions: u32,
    /// Effects.
    pub memory: Memory,
    /// Records that failed: node and failure.
    pub dead: Vec<(Text, Failure)>,
    nodes: Vec<Option<Box<dyn Node>>>,
    decoders: Vec<Decoder>,
    offsets: BTreeMap<Text, i64>,
}

/// What makes a node of a plan's index.
pub type Compile = fn(&Arc<World>, usize) -> Option<Box<dyn Node>>;

impl Bench {
    /// The nodes of a topology file that refers to no others.
    ///
    /// # Panics
    /// When anything is wrong with the file.
    pub fn of_text(yaml: &str, compile: Compile) -> Self {
        let loaded = topology::load("test.yaml", yaml.as_bytes(), &[], &NoSources);
        let errors: Vec<_> = loaded.findings.into_iter().filter(|found| found.severity() == Severity::Error).collect();
        let (topology, plan) = loaded.checked.unwrap_or_else(|| panic!("{errors:#?}"));
        Self::new(topology, plan, compile)
    }

    /// The nodes that `compile` and the repartitioning make of a plan.
    pub fn new(topology: Topology, plan: Plan, compile: Compile) -> Self {
        let world = World::new(Arc::new(topology), Arc::new(plan));
        let nodes = 0..world.plan.nodes.len();
        let nodes = nodes.map(|node| compile(&world, node).or_else(|| super::repartition(&world, node))).collect();
        let topics: Vec<Text> = world.plan.topics.iter().map(|topic| topic.name.clone()).collect();
        let decoders = (0..topics.len()).map(|topic| world.decoder(Some(topic))).collect();
        let memory = Memory { topics, now: 1_795_248_000_000, ..Memory::default() };
        Self { world, partitions: 4, memory, dead: Vec::new(), nodes, decoders, offsets: BTreeMap::new() }
    }

    /// Gives the next record of a topic to all nodes that read it: in the partition of its key, one millisecond after the last.
    pub fn read(&mut self, topic: &str, key: Option<&str>, value: Option<&str>, headers: &[(&str, &str)]) -> Vec<Outcome> {
        let offset = self.offsets.entry(topic.into()).or_default();
        let offset = std::mem::replace(offset, *offset + 1);
        let partition = key.map_or(0, |key| partition_of(key.as_bytes(), self.partitions));
        let headers: Vec<_> = headers.iter().map(|(name, value)| HeaderRef { name, value: Some(value.as_bytes()) }).collect();
        self.read_at(&RecordRef {
            topic,
            partition,
            offset,
            timestamp: 1_795_248_000_000 + offset,
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            headers: &headers,
        })
    }

    /// Gives a record to all nodes that read its topic. A failure is noted, its effects are taken back.
    pub fn read_at(&mut self, record: &RecordRef<'_>) -> Vec<Outcome> {
        let read_from = self.world.topic(record.topic);
        let is_repartitioned = read_from.is_some_and(|topic| self.world.plan.topics[topic].roles.contains(&Role::Repartition));
        let mut headers = Vec::new();
        let first = if is_repartitioned { first_read(record, &mut headers) } else { Ok(*record) };
        let first = match first {
            Ok(first) => first,
            Err(failure) => {
                self.dead.push(("undecodable".into(), failure));
                return Vec::new();
            }
        };
        let topic = self.world.topic(first.topic);
        let decoded = match topic {
            Some(topic) => self.decoders[topic].decode(&first),
            None => self.world.decoder(None).decode(&first),
        };
        let mut outcomes = Vec::new();
        for (planned, node) in self.world.plan.nodes.iter().zip(&self.nodes) {
            let Some(node) = node.as_ref().filter(|_| read_from.is_none_or(|topic| planned.sources.contains(&topic))) else {
                continue;
            };
            let before = self.memory.clone();
            let stepped = match &decoded {
                Ok(None) => Ok(Outcome::PassedOver),
                Ok(Some(event)) => {
                    let partitions = (!is_repartitioned).then_some(self.partitions);
                    node.step(&Input { topic, partitions, record: &first, event }, &mut self.memory)
                }
                Err(failure) => Err(Stop::Record(failure.clone())),
            };
            match stepped {
                Ok(outcome) => outcomes.push(outcome),
                Err(Stop::State(error)) => panic!("the memory has no faults: {error}"),
                Err(Stop::Record(failure)) => {
                    self.memory = before;
                    let event = decoded.as_ref().ok().and_then(Option::as_ref);
                    node.failed(&first, event, &failure, &mut self.memory).expect("messages of failures are counted");
                    self.dead.push((node.name().clone(), failure));
                }
            }
        }
        outcomes
    }

    /// What was sent since the last time: topic, key, type, payload and, where there is more than the ids, metadata.
    pub fn sent(&mut self) -> Vec<String> {
        let sent = std::mem::take(&mut self.memory.sent);
        sent.iter().map(|record| self.line(record)).collect()
    }

    fn line(&self, record: &Record) -> String {
        let text = |bytes: &Option<bytes::Bytes>| {
            bytes.as_ref().map_or("-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let headers: Vec<_> = record.headers.iter().map(Header::as_ref).collect();
        let (topic, key, value) = (&record.topic, text(&record.key), text(&record.value));
        let record = RecordRef {
            topic,
            partition: 0,
            offset: 0,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        match self.world.decoder(self.world.topic(topic)).decode(&record) {
            Ok(Some(event)) => {
                let data = json::text(&event.data).unwrap_or_else(|error| error.to_string());
                let metadata = json::text(&event.metadata.into()).unwrap_or_else(|error| error.to_string());
                let metadata = if metadata == "{}" { String::new() } else { format!(" {metadata}") };
                format!("{topic} {key} {} {data}{metadata}", event.kind)
            }
            _ => format!("{topic} {key} {value}"),
        }
    }

    /// An aggregate's state and version, by its name.
    pub fn state(&self, aggregate: &str, key: &str) -> Option<(String, u64)> {
        let store = self.world.plan.stores.iter().position(|store| store.name == aggregate)?;
        let entity = self.memory.entities.get(&(store, key.as_bytes().to_vec()))?;
        Some((json::text(&entity.value).unwrap_or_else(|error| error.to_string()), entity.version))
    }

    /// Codes of the failures since the last time, with the node's name.
    pub fn failures(&mut self) -> Vec<String> {
        std::mem::take(&mut self.dead).iter().map(|(node, failure)| format!("{node} {failure}")).collect()
    }
}

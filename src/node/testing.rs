//! A runtime in memory, for the tests of what runs on one.

use super::{Context, Expired, Firing, Input, Node, Outcome, Outgoing, Reader, Stop, Target, World, first_read};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Header, HeaderRef, Millis, Record, RecordRef, Text, json, partition_of};
use crate::state::layout::{Tag, expiring, timer};
use crate::state::{Entity, Error, Expiring, KeyRange, Timer};
use crate::topology::model::Topology;
use crate::topology::plan::{Plan, Role};
use crate::topology::{self, NoSources, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
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
    /// Everything else by store, tag and key, as it is stored.
    pub rows: BTreeMap<(usize, Tag, Vec<u8>), bytes::Bytes>,
    /// Instances that were claimed.
    pub claimed: Vec<Vec<u8>>,
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

    fn entity(&mut self, store: usize, key: &[u8]) -> Result<Option<&Entity>, Error> {
        Ok(self.entities.get(&(store, key.to_vec())))
    }

    fn put_entity(&mut self, store: usize, key: &[u8], entity: Option<Entity>) -> Result<(), Error> {
        match entity {
            Some(entity) => self.entities.insert((store, key.to_vec()), entity),
            None => self.entities.remove(&(store, key.to_vec())),
        };
        Ok(())
    }

    fn row(&mut self, store: usize, tag: Tag, key: &[u8]) -> Result<Option<bytes::Bytes>, Error> {
        Ok(self.rows.get(&(store, tag, key.to_vec())).cloned())
    }

    fn put_row(&mut self, store: usize, tag: Tag, key: &[u8], value: Option<bytes::Bytes>) -> Result<(), Error> {
        match value {
            Some(value) => self.rows.insert((store, tag, key.to_vec()), value),
            None => self.rows.remove(&(store, tag, key.to_vec())),
        };
        Ok(())
    }

    fn rows(
        &mut self,
        store: usize,
        tag: Tag,
        range: &KeyRange,
        limit: usize,
    ) -> Result<Vec<(bytes::Bytes, bytes::Bytes)>, Error> {
        let within = |key: &[u8]| {
            let (from, to) = (range.0.as_ref().map(|key| &key[..]), range.1.as_ref().map(|key| &key[..]));
            RangeBounds::<[u8]>::contains(&(from, to), key)
        };
        let rows = self.rows.iter().filter(|((of, tagged, key), _)| (*of, *tagged) == (store, tag) && within(key));
        Ok(rows.take(limit).map(|((_, _, key), value)| (key.clone().into(), value.clone())).collect())
    }

    fn expiring(&mut self, store: usize, tag: Tag, key: &[u8]) -> Result<Option<Expiring>, Error> {
        Ok(self.row(store, tag, key)?.map(|stored| expiring::read(&stored).expect("put by this context")))
    }

    fn put_expiring(&mut self, store: usize, tag: Tag, key: &[u8], row: Option<Expiring>) -> Result<(), Error> {
        let stored = row.map(|row| {
            let mut stored = Vec::new();
            expiring::append(&row, &mut stored);
            stored.into()
        });
        self.put_row(store, tag, key, stored)
    }

    fn timer(&mut self, store: usize, owner: &[u8], name: &[u8]) -> Result<Option<Timer>, Error> {
        let stored = self.row(store, Tag::Timer, &timer::key(owner, name))?;
        Ok(stored.map(|stored| timer::read(&stored).expect("put by this context")))
    }

    fn set_timer(&mut self, store: usize, owner: &[u8], name: &[u8], due: Millis, payload: bytes::Bytes) -> Result<u64, Error> {
        let before = self.timer(store, owner, name)?.map_or(0, |timer| timer.generation);
        let generation = (before + 1).max(self.now.unsigned_abs());
        let mut stored = Vec::new();
        timer::append(&Timer { due, generation, payload }, &mut stored);
        self.put_row(store, Tag::Timer, &timer::key(owner, name), Some(stored.into()))?;
        Ok(generation)
    }

    fn cancel_timer(&mut self, store: usize, owner: &[u8], name: &[u8]) -> Result<bool, Error> {
        Ok(self.rows.remove(&(store, Tag::Timer, timer::key(owner, name))).is_some())
    }

    fn claim(&mut self, key: &[u8]) {
        self.claimed.push(key.to_vec());
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

    fn dead_letter_of(&mut self, _: &RecordRef<'_>, failure: &Failure) -> Result<(), Failure> {
        self.dead_letter(failure.clone())
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
    readers: Vec<Reader>,
    offsets: BTreeMap<Text, i64>,
}

/// What is due.
enum Passed {
    Timer(Vec<u8>, Vec<u8>, Timer),
    State(Vec<u8>, Millis),
    Early(Vec<u8>, Millis),
}

impl Passed {
    fn at(&self) -> Millis {
        match self {
            Self::Timer(_, _, timer) => timer.due,
            Self::State(_, at) | Self::Early(_, at) => *at,
        }
    }

    fn remove(&self, store: usize, memory: &mut Memory) {
        match self {
            Self::Timer(owner, name, _) => drop(memory.rows.remove(&(store, Tag::Timer, timer::key(owner, name)))),
            Self::State(key, _) => drop(memory.entities.remove(&(store, key.clone()))),
            Self::Early(key, _) => drop(memory.rows.remove(&(store, Tag::Early, key.clone()))),
        }
    }
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
        Self::of_world(World::new(Arc::new(topology), Arc::new(plan)), compile)
    }

    /// The same of what is ready.
    pub fn of_world(world: Arc<World>, compile: Compile) -> Self {
        let nodes = 0..world.plan.nodes.len();
        let nodes = nodes.map(|node| compile(&world, node).or_else(|| super::repartition(&world, node))).collect();
        let topics: Vec<Text> = world.plan.topics.iter().map(|topic| topic.name.clone()).collect();
        let readers = (0..topics.len()).map(|topic| world.reader_of_nodes(topic)).collect();
        let memory = Memory { topics, now: 1_795_248_000_000, ..Memory::default() };
        Self { world, partitions: 4, memory, dead: Vec::new(), nodes, readers, offsets: BTreeMap::new() }
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
            Some(topic) => self.readers[topic].decode(&first),
            None => self.world.reader(None).decode(&first),
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

    /// Lets time pass: timers that come due fire, and what expires is told to its node, in the order of their moments, by node. A
    /// failure is noted, its effects are taken back.
    pub fn pass(&mut self, millis: Millis) {
        self.memory.now += millis;
        let stores = self.world.plan.stores.iter().enumerate();
        let stores: Vec<(usize, usize)> = stores.map(|(store, planned)| (store, planned.node)).collect();
        for (store, node) in stores {
            while let Some(fired) = self.next_due(store) {
                let Some(node) = &self.nodes[node] else { break };
                let before = self.memory.clone();
                let result = match &fired {
                    Passed::Timer(owner, name, timer) => {
                        let (owner, name, payload) = (&owner[..], &name[..], &timer.payload);
                        let Timer { due, generation, .. } = *timer;
                        self.memory.rows.remove(&(store, Tag::Timer, timer::key(owner, name)));
                        node.fire(&Firing { store, owner, name, generation, due, payload }, &mut self.memory)
                    }
                    Passed::State(key, at) => node.expired(&Expired { store, tag: Tag::State, key, at: *at }, &mut self.memory),
                    Passed::Early(key, at) => node.expired(&Expired { store, tag: Tag::Early, key, at: *at }, &mut self.memory),
                };
                match result {
                    Ok(()) => {}
                    Err(Stop::State(error)) => panic!("the memory has no faults: {error}"),
                    Err(Stop::Record(failure)) => {
                        self.memory = before;
                        fired.remove(store, &mut self.memory);
                        self.dead.push((node.name().clone(), failure));
                    }
                }
            }
        }
        let now = self.memory.now;
        let is_over = |stored: &bytes::Bytes| expiring::expires_at(stored).is_ok_and(|at| at <= now);
        self.memory.rows.retain(|(_, tag, _), stored| *tag != Tag::Mark || !is_over(stored));
    }

    fn next_due(&self, store: usize) -> Option<Passed> {
        let rows = self.memory.rows.iter().filter(|((of, _, _), _)| *of == store);
        let rows = rows.filter_map(|((_, tag, key), stored)| match tag {
            Tag::Timer => {
                let (owner, name) = timer::read_key(key).ok()?;
                Some(Passed::Timer(owner, name.to_vec(), timer::read(stored).ok()?))
            }
            Tag::Early => Some(Passed::Early(key.clone(), expiring::expires_at(stored).ok()?)),
            _ => None,
        });
        let entities = self.memory.entities.iter().filter(|((of, _), _)| *of == store);
        let states = entities.filter_map(|((_, key), entity)| Some(Passed::State(key.clone(), entity.expires_at?)));
        rows.chain(states).filter(|passed| passed.at() <= self.memory.now).min_by_key(Passed::at)
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

//! What is given: messages that lie in their topics and were read by everybody, and the states that they have led to.
//!
//! A given message is folded into the aggregates whose event it is: those that own the topic's events, and those that fold what
//! they read. Sagas go through those that they read; what they sent on the way was sent, and can be answered. Nobody decides
//! anything about any of it, and nobody else reacts. States, instances and what they wait for are written to snapshots and
//! changelogs, from which the workers restore them as they would after a loss of their disks.

use super::log::message;
use super::{Driver, Trouble};
use crate::aggregate;
use crate::node::testing::Memory;
use crate::node::{Input, Node, Stop, World};
use crate::record::{Header, HeaderRef, Millis, Record, RecordRef, Text, Value, partition_of};
use crate::saga::{self, COUNTS_KEY};
use crate::scenario::model::{Case, Given, GivenSaga, GivenState};
use crate::scenario::names::Known;
use crate::scenario::record::{as_text, record_of};
use crate::state::Entity;
use crate::state::layout::{self, Tag, entity, key, timer};
use crate::topology::model::{SourceFrom, Topology};
use crate::topology::plan::NodeKind;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Offset of a given message, as far as its id follows from it: before everything that is sent.
const BEFORE: i64 = 0;

/// Writes what is given.
pub(super) fn write(driver: &mut Driver<'_>, case: &Case) -> Result<(), Trouble> {
    if case.given.is_empty() {
        return Ok(());
    }
    let mut past = Past::new(driver);
    for given in &case.given {
        match given {
            Given::State(state) => past.state(state)?,
            Given::Saga(saga) => past.saga(saga)?,
            Given::Message(message) => {
                let partitions = past.driver.partitions(&message.topic);
                let now = past.driver.now();
                let (record, shown) = record_of(message, &past.driver.made.world, &past.known, now, partitions)
                    .map_err(|(_, why)| format!("a given message cannot be written: {why}"))?;
                past.happened(record, shown)?;
            }
            Given::Answer(answer) => {
                let (record, shown) = past
                    .driver
                    .answer(answer, &mut past.known)
                    .map_err(|(_, why)| format!("a given answer cannot be written: {why}"))?;
                past.happened(record, shown)?;
            }
        }
    }
    past.write()
}

struct Past<'d, 'a> {
    driver: &'d mut Driver<'a>,
    /// The same topology, in which nobody decides.
    world: Arc<World>,
    /// Entities and rows, under the number of their store in the plan.
    memory: Memory,
    known: Known,
    sent: Vec<Value>,
}

impl<'d, 'a> Past<'d, 'a> {
    fn new(driver: &'d mut Driver<'a>) -> Self {
        let world = folding(&driver.made.world);
        let topics = world.plan.topics.iter().map(|topic| topic.name.clone()).collect();
        let memory = Memory { topics, now: driver.now(), ..Memory::default() };
        let known = Known { params: Value::Map(world.topology.params.clone()), ..Known::default() };
        Self { driver, world, memory, known, sent: Vec::new() }
    }

    fn state(&mut self, state: &GivenState) -> Result<(), Trouble> {
        let key = as_text(&state.key.fill(&self.known).map_err(uncomputed)?);
        let value = state.value.fill(&self.known).map_err(uncomputed)?;
        let entity =
            Entity { value, version: state.version, last_event: None, state_version: state.state_version, expires_at: None };
        let store = self.world.plan.nodes[state.node].store.ok_or("an aggregate has a store")?;
        self.memory.entities.insert((store, key.as_bytes().to_vec()), entity);
        Ok(())
    }

    fn saga(&mut self, given: &GivenSaga) -> Result<(), Trouble> {
        let id = as_text(&given.key.fill(&self.known).map_err(uncomputed)?);
        let data = given.data.as_ref().map(|data| data.fill(&self.known)).transpose().map_err(uncomputed)?;
        let data = match data {
            Some(Value::Map(data)) => data,
            _ => Default::default(),
        };
        let reason = given.reason.as_ref().map(|reason| reason.fill(&self.known)).transpose().map_err(uncomputed)?;
        let reason = reason.as_ref().map(as_text).unwrap_or_default();
        let instance = saga::Given { at: given.at, data, reason };
        saga::give(&self.world, given.node, &id, instance, &mut self.memory).map_err(|stop| {
            let name = &self.world.plan.nodes[given.node].name;
            format!("the given saga `{name}` `{id}` cannot be: {}", why(&stop))
        })?;
        self.note_sent();
        Ok(())
    }

    /// A message lies in its topic, and was read by everybody.
    fn happened(&mut self, record: Record, shown: Value) -> Result<(), Trouble> {
        self.read(&record)?;
        self.driver.producer.send(&record).map_err(|error| error.to_string())?;
        self.sent.push(shown);
        self.known.sent = Value::list(self.sent.clone());
        Ok(())
    }

    fn read(&mut self, record: &Record) -> Result<(), Trouble> {
        let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(Header::as_ref).collect();
        let borrowed = borrowed(record, &headers);
        let topic = self.world.topic(&record.topic);
        let event = match self.world.reader(topic).decode(&borrowed) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(failure) => return Err(format!("a given message cannot be read: {}", failure.message())),
        };
        for index in 0..self.world.plan.nodes.len() {
            let Some(node) = self.taker(index, topic) else { continue };
            let input = Input { topic, partitions: None, record: &borrowed, event: &event };
            if let Err(stop) = node.step(&input, &mut self.memory) {
                return Err(format!("`{}` cannot take the given `{}`: {}", node.name(), event.kind, why(&stop)));
            }
        }
        self.note_sent();
        Ok(())
    }

    /// The node, if what lies in the topic has happened to it.
    fn taker(&self, index: usize, topic: Option<usize>) -> Option<Box<dyn Node>> {
        let (world, topic) = (&self.world, topic?);
        let planned = &world.plan.nodes[index];
        match planned.kind {
            NodeKind::Aggregate(model) => {
                let model = &world.topology.aggregates[model];
                let owns = model.events == Some(topic);
                // An aggregate that decides takes what it reads as a request, which is over; one that owns no events folds what
                // it reads.
                let folds = model.events.is_none() && planned.sources.contains(&topic);
                if owns || folds { aggregate::compile(world, index) } else { None }
            }
            NodeKind::Saga(model) => {
                let model = &world.topology.sagas[model];
                let reads = |from: &SourceFrom| *from == SourceFrom::Topic(topic);
                let takes = model.replies == Some(topic) || model.sources.iter().any(|source| reads(&source.from));
                if takes { saga::compile(world, index) } else { None }
            }
            _ => None,
        }
    }

    /// What was sent was sent to somebody who may answer it; it is in no topic, so nobody reacts to it.
    fn note_sent(&mut self) {
        for record in std::mem::take(&mut self.memory.sent) {
            let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(Header::as_ref).collect();
            let decoder = self.world.decoder(self.world.topic(&record.topic));
            let message = message(&borrowed(&record, &headers), &decoder);
            self.driver.log.requests.note(&message.shown);
        }
    }

    fn write(self) -> Result<(), Trouble> {
        let Self { driver, world, memory, .. } = self;
        let now = driver.now();
        for ((store, key), entity) in &memory.entities {
            let planned = &world.plan.stores[*store];
            let role = if planned.snapshots.is_some() { layout::Role::Snapshots } else { layout::Role::Changelog };
            let topic = planned.snapshots.or(planned.changelog).ok_or("a store has a topic")?;
            let topic = &world.plan.topics[topic].name;
            let record = kept(topic, key, entity, role, driver.partitions(topic), now)?;
            driver.producer.send(&record).map_err(|error| error.to_string())?;
        }
        for ((store, tag, key), stored) in &memory.rows {
            // How many instances stand where is for metrics, which nobody looks at here.
            if *tag == Tag::Own && key == COUNTS_KEY {
                continue;
            }
            let changelog = world.plan.stores[*store].changelog.ok_or("a store that keeps rows has a changelog")?;
            let topic = world.plan.topics[changelog].name.clone();
            let owner = owner(*tag, key)?;
            let record = Record {
                partition: partition_of(&owner, driver.partitions(&topic)),
                topic,
                timestamp: now,
                key: Some(tag.key(key).into()),
                value: Some(stored.clone()),
                headers: Vec::new(),
            };
            driver.producer.send(&record).map_err(|error| error.to_string())?;
        }
        driver.producer.flush(Duration::ZERO).map_err(|error| error.to_string())?;
        driver.positions.commit_ends(&driver.cluster, &driver.clock)
    }
}

/// The same topology, in which every aggregate folds what is an event of its own and tells nobody.
fn folding(world: &World) -> Arc<World> {
    let mut topology: Topology = (*world.topology).clone();
    for aggregate in &mut topology.aggregates {
        aggregate.decide.clear();
        aggregate.updates.clear();
        if aggregate.events.is_some() {
            // Its events are keyed by the instance; its own `key` is about what it reads.
            aggregate.key = None;
        }
    }
    World::new(Arc::new(topology), world.plan.clone())
}

fn borrowed<'r>(record: &'r Record, headers: &'r [HeaderRef<'r>]) -> RecordRef<'r> {
    RecordRef {
        topic: &record.topic,
        partition: record.partition,
        offset: BEFORE,
        timestamp: record.timestamp,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers,
    }
}

fn uncomputed((_, why): (Range<usize>, String)) -> Trouble {
    format!("what is given cannot be computed: {why}")
}

fn why(stop: &Stop) -> String {
    match stop {
        Stop::Record(failure) if failure.code() == "MISSING_KEY" => "it has no key: say `key`".to_owned(),
        Stop::Record(failure) => failure.message().to_owned(),
        Stop::State(error) => error.to_string(),
    }
}

/// Whose row it is: what its partition follows from.
fn owner(tag: Tag, key: &[u8]) -> Result<Vec<u8>, Trouble> {
    let owner = match tag {
        Tag::Timer => timer::read_key(key).map(|(owner, _)| owner),
        _ => key::read_part(&mut &key[..]),
    };
    owner.map_err(|error| error.to_string())
}

/// An entity as its topic has it.
fn kept(
    topic: &Text,
    key: &[u8],
    entity: &Entity,
    role: layout::Role,
    partitions: u32,
    now: Millis,
) -> Result<Record, Trouble> {
    let mut bytes = Vec::new();
    let parts = entity::append_entity(entity, &mut bytes).map_err(|error| error.to_string())?;
    let (key_bytes, value, headers) = match role {
        layout::Role::Snapshots => {
            let head = Header { name: layout::HEADER.into(), value: Some(bytes[parts.head].to_vec().into()) };
            (key.to_vec(), bytes[parts.state].to_vec(), vec![head])
        }
        layout::Role::Changelog => (Tag::State.key(key), bytes, Vec::new()),
    };
    Ok(Record {
        topic: topic.clone(),
        partition: partition_of(key, partitions),
        timestamp: now,
        key: Some(key_bytes.into()),
        value: Some(value.into()),
        headers,
    })
}

//! What is given: messages that lie in their topics and were read by everybody, and the states that they have led to.
//!
//! A given message is folded into the aggregates whose event it is: those that own the topic's events, and those that fold what
//! they read. Nobody decides anything about it, and nobody else reacts. States are written as snapshots, from which the workers
//! restore them as they would after a loss of their disks.

use super::{Driver, Trouble};
use crate::aggregate;
use crate::node::testing::Memory;
use crate::node::{Input, Stop, World};
use crate::record::{Header, HeaderRef, Record, RecordRef, Text, Value, partition_of};
use crate::scenario::model::{Case, Given};
use crate::scenario::names::Known;
use crate::scenario::record::{as_text, record_of};
use crate::state::Entity;
use crate::state::layout::{self, entity};
use crate::topology::model::Topology;
use std::sync::Arc;
use std::time::Duration;

/// Offset of a given message, as far as its id follows from it: before everything that is sent.
const BEFORE: i64 = 0;

/// Writes what is given. Entities are kept under the number of their store in the plan.
pub(super) fn write(driver: &mut Driver<'_>, case: &Case) -> Result<(), Trouble> {
    if case.given.is_empty() {
        return Ok(());
    }
    let made = driver.made;
    let world = folding(&made.world);
    let plan = &made.world.plan;
    let mut memory =
        Memory { topics: plan.topics.iter().map(|topic| topic.name.clone()).collect(), now: driver.now(), ..Memory::default() };
    let mut known = Known { params: Value::Map(made.world.topology.params.clone()), ..Known::default() };
    let mut sent = Vec::new();
    for given in &case.given {
        match given {
            Given::State(state) => {
                let problem = |(_, why): (_, String)| format!("a given state cannot be computed: {why}");
                let key = as_text(&state.key.fill(&known).map_err(problem)?);
                let value = state.value.fill(&known).map_err(problem)?;
                let entity = Entity { value, version: state.version, last_event: None, state_version: 1, expires_at: None };
                let store = plan.nodes[state.node].store.ok_or("an aggregate has a store")?;
                memory.entities.insert((store, key.as_bytes().to_vec()), entity);
            }
            Given::Message(message) => {
                let partitions = driver.partitions(&message.topic);
                let (record, shown) = record_of(message, &made.world, &known, driver.now(), partitions)
                    .map_err(|(_, why)| format!("a given message cannot be written: {why}"))?;
                fold(&world, &record, &mut memory)?;
                let written = driver.producer.send(&record);
                written.map_err(|error| error.to_string())?;
                sent.push(shown);
                known.sent = Value::list(sent.clone());
            }
        }
    }
    for ((store, key), entity) in &memory.entities {
        let snapshots = plan.stores[*store].snapshots.ok_or("an aggregate has snapshots")?;
        let topic = &plan.topics[snapshots].name;
        let record = snapshot(topic, key, entity, driver.partitions(topic), driver.now())?;
        driver.producer.send(&record).map_err(|error| error.to_string())?;
    }
    driver.producer.flush(Duration::ZERO).map_err(|error| error.to_string())?;
    driver.positions.commit_ends(&driver.cluster, &driver.clock)
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

fn fold(world: &Arc<World>, record: &Record, memory: &mut Memory) -> Result<(), Trouble> {
    let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(Header::as_ref).collect();
    let borrowed = RecordRef {
        topic: &record.topic,
        partition: record.partition,
        offset: BEFORE,
        timestamp: record.timestamp,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    };
    let topic = world.topic(&record.topic);
    let event = match world.decoder(topic).decode(&borrowed) {
        Ok(Some(event)) => event,
        Ok(None) => return Ok(()),
        Err(failure) => return Err(format!("a given message cannot be read: {}", failure.message())),
    };
    for (index, model) in world.topology.aggregates.iter().enumerate() {
        let owns = topic.is_some() && model.events == topic;
        // An aggregate that decides takes what it reads as a request, which is over; one that owns no events folds what it reads.
        let folds = model.events.is_none() && world.plan.nodes[index].sources.iter().any(|source| Some(*source) == topic);
        if !owns && !folds {
            continue;
        }
        let node = aggregate::compile(world, index).ok_or("an aggregate has a store")?;
        let input = Input { topic, partitions: None, record: &borrowed, event: &event };
        if let Err(stop) = node.step(&input, memory) {
            let why = match stop {
                Stop::Record(failure) if failure.code() == "MISSING_KEY" => "it has no key: say `key`".to_owned(),
                Stop::Record(failure) => failure.message().to_owned(),
                Stop::State(error) => error.to_string(),
            };
            return Err(format!("`{}` cannot fold the given `{}`: {why}", model.name, event.kind));
        }
    }
    Ok(())
}

fn snapshot(topic: &Text, key: &[u8], entity: &Entity, partitions: u32, now: i64) -> Result<Record, Trouble> {
    let mut bytes = Vec::new();
    let parts = entity::append_entity(entity, &mut bytes).map_err(|error| error.to_string())?;
    let head = Header { name: layout::HEADER.into(), value: Some(bytes[parts.head].to_vec().into()) };
    Ok(Record {
        topic: topic.clone(),
        partition: partition_of(key, partitions),
        timestamp: now,
        key: Some(key.to_vec().into()),
        value: Some(bytes[parts.state].to_vec().into()),
        headers: vec![head],
    })
}

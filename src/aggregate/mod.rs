//! Aggregates: a message meets the state, may be refused, emits events; an event changes the state.
//!
//! [`compile`] makes the node of an aggregate (a repository is one too). One step is: find the instance, answer a repeated
//! request from its mark, decide ([`decide`]) against the state before the message, apply the events that go to the
//! aggregate's own topic at once and in order ([`evolve`]), reply. Without handlers that decide it is a fold: what is read is
//! what is applied.
//!
//! The state is kept as a value and written once per step; the runtime serializes it once per epoch.

mod decide;
mod evolve;
mod migrate;

#[cfg(test)]
mod tests;

use crate::codec::{Event, KeyFormat, Part, derived_id, moment, read_key};
use crate::failure::{Failure, Stage};
use crate::node::{
    Context, Expired, Firing, Frame, Input, InstanceKey, Node, Outbox, Outcome, Policy, Rejoinder, Stop, World, failed,
    instance_key, send_kept,
};
use crate::record::{Map, Millis, RecordRef, Text, Value};
use crate::state::Entity;
use crate::topology::model;
use crate::topology::plan::NodeKind;
use std::sync::{Arc, OnceLock};

/// Compiles the plan's node `node`, if it is an aggregate.
pub fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    let planned = world.plan.nodes.get(node)?;
    let (NodeKind::Aggregate(index), Some(store)) = (planned.kind, planned.store) else { return None };
    Some(Box::new(Aggregate { world: Arc::clone(world), index, store, initial: OnceLock::new() }))
}

struct Aggregate {
    world: Arc<World>,
    /// Of the model.
    index: usize,
    /// Of the plan.
    store: usize,
    /// The state before the first event: the same for all instances, so it is computed once.
    initial: OnceLock<Value>,
}

/// An instance while a message is handled.
struct Instance<'a> {
    key: &'a InstanceKey<'a>,
    /// The state; the initial one where the instance does not exist.
    state: Value,
    /// Events applied; 0: it does not exist.
    version: u64,
    last_event: Option<Text>,
    changed: bool,
}

impl Aggregate {
    fn model(&self) -> &model::Aggregate {
        &self.world.topology.aggregates[self.index]
    }

    fn handles(&self, kind: &str) -> bool {
        let model = self.model();
        if model.decide.is_empty() { model.evolve_of(kind).is_some() } else { model.decide_of(kind).is_some() }
    }

    fn initial(&self, event: &Event) -> Result<Value, Failure> {
        if let Some(initial) = self.initial.get() {
            return Ok(initial.clone());
        }
        let initial = Frame::new(&self.world, event, 0).fill(&self.model().initial, Stage::Evolve)?;
        Ok(self.initial.get_or_init(|| initial).clone())
    }

    fn load<'a>(&self, key: &'a InstanceKey<'a>, event: &Event, context: &mut dyn Context) -> Result<Instance<'a>, Stop> {
        let (state, version, last_event) = match context.entity(self.store, &key.bytes)? {
            Some(entity) => (self.present(&key.bytes, entity)?, entity.version, entity.last_event.clone()),
            None => (self.initial(event)?, 0, None),
        };
        Ok(Instance { key, state, version, last_event, changed: false })
    }

    /// From now, when its state is gone if it does not change.
    fn expiry(&self, context: &dyn Context) -> Option<Millis> {
        let length = i64::try_from(self.model().ttl?.as_millis()).unwrap_or(i64::MAX);
        Some(context.now().saturating_add(length))
    }

    fn save(&self, instance: Instance<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        if !instance.changed {
            return Ok(());
        }
        let Instance { key, state, version, last_event, .. } = instance;
        let expires_at = self.expiry(context);
        let entity = Entity { value: state, version, last_event, state_version: self.model().state_version, expires_at };
        context.put_entity(self.store, &key.bytes, (version > 0).then_some(entity))?;
        Ok(())
    }
}

impl Node for Aggregate {
    fn name(&self) -> &Text {
        &self.model().name
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let (model, event) = (self.model(), input.event);
        // A record without a value says nothing to an aggregate, whatever its type.
        if input.record.value.is_none() || !self.handles(&event.kind) {
            return Ok(Outcome::PassedOver);
        }
        let key = instance_key(&self.world, &model.sources, model.key.as_ref(), input)?;
        let mut outbox = Outbox::new(&self.world, &model.name, input.record, event).with_instance(&key);
        match model.decide_of(&event.kind) {
            Some(handler) => self.decide(handler, input, &key, &mut outbox, context),
            None => {
                let mut instance = self.load(&key, event, context)?;
                self.apply(event, input.record, &mut instance, &mut outbox, context)?;
                self.save(instance, context)?;
                Ok(Outcome::Processed)
            }
        }
    }

    fn failed(
        &self,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let model = self.model();
        let topic = self.world.topic(record.topic);
        let key = event.and_then(|event| {
            let input = Input { topic, partitions: None, record, event };
            instance_key(&self.world, &model.sources, model.key.as_ref(), &input).ok()
        });
        let rejoinder = Rejoinder {
            world: &self.world,
            node: &model.name,
            errors: &model.errors,
            replies: model.replies,
            store: Some(self.store),
            key_format: self.world.key_format(topic),
            handles: &|kind| self.handles(kind),
        };
        failed(rejoinder, record, event, key, failure, context)
    }

    fn policy(&self) -> Option<Policy<'_>> {
        let model = self.model();
        Some(Policy { world: &self.world, node: &model.name, errors: &model.errors, parks: model.parks() })
    }

    fn takes(&self, kind: &str) -> bool {
        self.handles(kind)
    }

    fn state_version(&self) -> Option<u32> {
        Some(self.model().state_version)
    }

    fn migrate(&self, key: &[u8], context: &mut dyn Context) -> Result<bool, Stop> {
        self.migrate_stored(key, context)
    }

    fn fire(&self, firing: &Firing<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        send_kept(&self.world, self, firing, context)
    }

    /// The state has not changed for as long as `ttl` says: it goes, as by a deletion.
    fn expired(&self, expired: &Expired<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        let model = self.model();
        let Some(entity) = context.entity(self.store, expired.key)? else { return Ok(()) };
        if model.ttl.is_none() {
            // It was written when the file had one.
            let entity = Entity { expires_at: None, ..entity.clone() };
            return Ok(context.put_entity(self.store, expired.key, Some(entity))?);
        }
        context.put_entity(self.store, expired.key, None)?;
        context.count("state_expired");
        let Ok(value) = read_key(KeyFormat::String, Some(expired.key)) else { return Ok(()) };
        let key = InstanceKey { value, bytes: expired.key.into() };
        let deed = [Part::Text("expired"), Part::Bytes(expired.key), Part::Number(expired.at)];
        let id = derived_id(&[&[Part::Text(&self.world.topology.name), Part::Text(&model.name)], &deed[..]].concat());
        // What is told of follows from no record: it is told as if it were an event of the aggregate's.
        let event = Event {
            correlation_id: id.clone(),
            id,
            kind: format!("{}.expired", model.name).into(),
            source: self.world.topology.name.clone(),
            time: moment(expired.at),
            version: None,
            causation_id: None,
            metadata: Map::new(),
            data: Value::Null,
        };
        let topic = self.world.plan.stores[self.store].snapshots.map_or("", |topic| &self.world.plan.topics[topic].name);
        let (timestamp, key_bytes) = (expired.at, Some(expired.key));
        let record = RecordRef { topic, partition: 0, offset: -1, timestamp, key: key_bytes, value: None, headers: &[] };
        let mut outbox = Outbox::new(&self.world, &model.name, &record, &event).with_instance(&key).of_deed(&deed);
        let gone = Instance { key: &key, state: Value::Null, version: 0, last_event: None, changed: true };
        self.update(&event, &record, &gone, &mut outbox, context)
    }
}

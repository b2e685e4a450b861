//! Reads records as nodes see them: what was written as an old type is the newest one by then.

#[cfg(test)]
mod tests;

use super::reads::fields_read;
use super::{Frame, Way, World};
use crate::codec::{Decoder, Event};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Map, RecordRef, Value};
use crate::topology::model::{Topology, Upcaster};
use std::sync::Arc;

/// Reads the records of a topic for nodes.
#[derive(Clone, Debug)]
pub struct Reader {
    decoder: Decoder,
    /// Where old types may come: the world, and the topic as in [`World::decoder`]. Elsewhere reading is decoding, and no more.
    upcasts: Option<(Arc<World>, Option<usize>)>,
}

impl Reader {
    /// What the record says, in the newest type of its message. As [`Decoder::decode`]; what an upcaster cannot make is a failure of
    /// the class `permanent` in the stage `upcast`, which names the upcaster: the same for whoever reads the record, now and later.
    pub fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        let event = self.decoder.decode(record)?;
        match (&self.upcasts, event) {
            (Some((world, topic)), Some(event)) => world.upcast(*topic, record, event).map(Some),
            (_, event) => Ok(event),
        }
    }
}

impl World {
    /// Reads the records of a topic for nodes; `topic` as in [`World::decoder`].
    pub fn reader(self: &Arc<Self>, topic: Option<usize>) -> Reader {
        let upcasts = may_hold_old_types(&self.topology, topic).then(|| (Arc::clone(self), topic));
        Reader { decoder: self.decoder(topic), upcasts }
    }

    /// The same for the nodes that take a topic of the plan: payloads have the fields that those read, and may lack others.
    pub fn reader_of_nodes(self: &Arc<Self>, topic: usize) -> Reader {
        let reader = self.reader(Some(topic));
        // What an upcaster makes is made of what it reads.
        match fields_read(self, topic).filter(|_| reader.upcasts.is_none()) {
            Some(fields) => Reader { decoder: reader.decoder.reading(&fields), ..reader },
            None => reader,
        }
    }

    /// Was the record written as another type than the event has that was read from it?
    pub(super) fn was_upcast(&self, topic: Option<usize>, record: &RecordRef<'_>, event: &Event) -> bool {
        let targets = self.topology.upcasters.iter().any(|upcaster| upcaster.to == event.kind);
        targets && matches!(self.decoder(topic).decode_unchecked(record), Ok(Some(written)) if written.kind != event.kind)
    }

    /// Makes an event one of the newest type. All but its type and payload stays as it was written; what has no value has none
    /// in the newest type either.
    fn upcast(&self, topic: Option<usize>, record: &RecordRef<'_>, mut event: Event) -> Result<Event, Failure> {
        while let Some(upcaster) = self.topology.upcaster_of(&event.kind) {
            if record.value.is_some() {
                event.data = self.newer(upcaster, topic, &event).map_err(|failure| named(upcaster, &failure))?;
            }
            self.passed(&upcaster.at, &upcaster.from, Way::Taken);
            event.kind = upcaster.to.clone();
        }
        Ok(event)
    }

    /// The payload of the next type, as that is declared.
    fn newer(&self, upcaster: &Upcaster, topic: Option<usize>, event: &Event) -> Result<Value, Failure> {
        let data = Frame::new(self, event, 0).fill(&upcaster.data, Stage::Upcast)?;
        let contract = self.contract(topic).filter(|contract| contract.validate);
        let schema = contract.and_then(|contract| contract.message_type(&upcaster.to)).and_then(|kind| kind.schema.as_ref());
        let Some(schema) = schema else { return Ok(data) };
        schema.compiled.accept(data).map_err(|misfit| {
            let message = format!("the `{}` that it makes does not fit its schema: {misfit}", upcaster.to);
            Failure::new(Class::Permanent, "SCHEMA_INVALID", Stage::Upcast, message)
        })
    }
}

/// Topics of the engine's own have no types of the file's; of others those may come that are declared, or any.
fn may_hold_old_types(topology: &Topology, topic: Option<usize>) -> bool {
    if topology.upcasters.is_empty() {
        return false;
    }
    let Some(topic) = topic else { return true };
    topology.topics.get(topic).is_some_and(|contract| match &contract.types {
        // Old events of an aggregate are not among the types that it emits now.
        None => true,
        Some(_) if contract.derived => true,
        Some(types) => types.iter().any(|kind| topology.upcaster_of(&kind.name).is_some()),
    })
}

fn named(upcaster: &Upcaster, failure: &Failure) -> Failure {
    let mut details = match failure.details() {
        Value::Map(details) => details.clone(),
        _ => Map::new(),
    };
    details.insert("upcaster".into(), upcaster.from.clone().into());
    let message = format!("upcaster `{}`: {}", upcaster.from, failure.message());
    Failure::new(failure.class(), failure.code().clone(), failure.stage(), message).with_details(details.into())
}

//! An event changes the state.

use super::{Aggregate, Instance};
use crate::codec::Event;
use crate::failure::{Class, Failure, Stage};
use crate::node::{Context, Frame, Outbox, Stop, Way};
use crate::record::{Map, RecordRef, Text, Value};
use crate::topology::model::StateChange;

/// What an event does to the state, evaluated against the one before it.
enum Change<'a> {
    Fields { set: Map, unset: &'a [Text] },
    Replace(Value),
    Delete,
}

impl Aggregate {
    /// Applies an event, and sends `updates` with the new state. An event without a handler changes nothing.
    pub(super) fn apply(
        &self,
        event: &Event,
        record: &RecordRef<'_>,
        instance: &mut Instance<'_>,
        outbox: &mut Outbox<'_>,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let model = self.model();
        let Some(handler) = model.evolve_of(&event.kind) else { return Ok(()) };
        let change = {
            let mut frame = Frame::new(&self.world, event, handler.locals)
                .with_key(instance.key.value.clone())
                .with_state(&instance.state, instance.version);
            frame.define(&handler.lets);
            frame.passed(&handler.at, &handler.kind, Way::Taken);
            match &handler.change {
                StateChange::Fields { set, unset } => {
                    let set = set.as_ref().map_or(Ok(Map::new()), |template| frame.fill_map(template, Stage::Evolve))?;
                    Change::Fields { set, unset }
                }
                StateChange::Replace(expr) => Change::Replace(frame.eval(expr, Stage::Evolve)?),
                StateChange::Delete => Change::Delete,
            }
        };
        instance.changed = true;
        instance.last_event = Some(event.id.clone());
        match change {
            Change::Fields { set, unset } => {
                assign(&mut instance.state, set, unset)?;
                instance.version += 1;
            }
            Change::Replace(state) => {
                instance.state = state;
                instance.version += 1;
            }
            Change::Delete => {
                instance.state = self.initial(event)?;
                instance.version = 0;
            }
        }
        if instance.version > 0
            && let Some(schema) = &model.state.schema
        {
            let state = std::mem::take(&mut instance.state);
            instance.state = schema.compiled.accept(state).map_err(|misfit| {
                let message = format!("the state after `{}` does not fit its schema: {misfit}", event.kind);
                Failure::new(Class::Permanent, "SCHEMA_INVALID", Stage::Evolve, message)
            })?;
        }
        self.update(event, record, instance, outbox, context)
    }

    pub(super) fn update(
        &self,
        event: &Event,
        record: &RecordRef<'_>,
        instance: &Instance<'_>,
        outbox: &mut Outbox<'_>,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let model = self.model();
        if model.updates.is_empty() {
            return Ok(());
        }
        let gone = Value::Null;
        let state = if instance.version == 0 { &gone } else { &instance.state };
        let mut frame = Frame::new(&self.world, event, model.updates_locals)
            .with_record(record, crate::codec::KeyFormat::String)
            .with_key(instance.key.value.clone())
            .with_state(state, instance.version);
        let mut messages = Vec::with_capacity(model.updates.len());
        for message in &model.updates {
            outbox.draft(message, &mut frame, &mut messages)?;
        }
        for message in &messages {
            outbox.dispatch(message, Some(self.store), context)?;
        }
        Ok(())
    }
}

/// Assigns fields, in place where nobody shares the state, and takes others away.
fn assign(state: &mut Value, set: Map, unset: &[Text]) -> Result<(), Failure> {
    let Value::Map(fields) = state else {
        let message = format!("the state is a {}, `set` and `unset` want a map", state.kind());
        return Err(Failure::new(Class::Permanent, "EXPRESSION_ERROR", Stage::Evolve, message));
    };
    fields.assign(set);
    for name in unset {
        fields.remove(name);
    }
    Ok(())
}

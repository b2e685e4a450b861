//! Stored states of an older shape become those of the present one, step by step.
//!
//! It happens whenever a state is read, and is written with the next change of the state; a sweep in the background writes those
//! that nobody changes. Both do the same from the same bytes: what a state becomes follows from itself and its key alone.

use super::Aggregate;
use crate::codec::{Event, KeyFormat, moment, read_key};
use crate::failure::{Class, Failure, Stage};
use crate::node::{Context, Frame, Stop, Way};
use crate::record::{Map, Text, Value};
use crate::state::Entity;
use std::cmp::Ordering;

impl Aggregate {
    /// A stored state in the shape that handlers know.
    pub(super) fn present(&self, key: &[u8], entity: &Entity) -> Result<Value, Failure> {
        match entity.state_version.cmp(&self.model().state_version) {
            Ordering::Equal => Ok(entity.value.clone()),
            Ordering::Less => self.migrated(key, entity),
            Ordering::Greater => Err(self.newer(entity.state_version)),
        }
    }

    /// Writes a state of an older shape in the present one; false where there is none. Nothing else of it changes: it is no event, and
    /// does not put its expiry off.
    pub(super) fn migrate_stored(&self, key: &[u8], context: &mut dyn Context) -> Result<bool, Stop> {
        let version = self.model().state_version;
        let Some(entity) = context.entity(self.store, key)?.filter(|entity| entity.state_version < version) else {
            return Ok(false);
        };
        let value = self.migrated(key, entity)?;
        let entity = Entity { value, state_version: version, last_event: entity.last_event.clone(), ..*entity };
        context.put_entity(self.store, key, Some(entity))?;
        context.count("state_migrated");
        Ok(true)
    }

    fn migrated(&self, key: &[u8], entity: &Entity) -> Result<Value, Failure> {
        let model = self.model();
        let from = entity.state_version;
        let steps = model.upcast.iter().filter(|step| step.from >= from);
        if model.upcast.first().is_none_or(|first| first.from > from) {
            let message = format!("a state of version {from} is stored, and `upcast` has no step from it");
            return Err(self.untold(Class::Engine, "STATE_VERSION", message));
        }
        // Keys of stores are text to whoever migrates; one that is none has no name there.
        let key = read_key(KeyFormat::String, Some(key)).unwrap_or_default();
        let nobodys = nobodys_event();
        let mut state = entity.value.clone();
        for step in steps {
            let frame = Frame::new(&self.world, &nobodys, 0).with_key(key.clone()).with_state(&state, entity.version);
            frame.passed(&step.at, "upcast", Way::Taken);
            let next = frame.fill_map(&step.state, Stage::Upcast).map_err(|failure| self.named(step.from, &failure))?;
            drop(frame);
            state = next.into();
        }
        let Some(schema) = &model.state.schema else { return Ok(state) };
        schema.compiled.accept(state).map_err(|misfit| {
            let message = format!("a state of version {from} of `{}` becomes one that does not fit: {misfit}", model.name);
            self.untold(Class::Permanent, "SCHEMA_INVALID", message)
        })
    }

    /// Another engine, or another file, wrote it. Going back needs the way back, which nobody has written.
    fn newer(&self, stored: u32) -> Failure {
        let own = self.model().state_version;
        let message = format!(
            "a state of version {stored} is stored, and this file has version {own} of it: run the file that wrote it, or a newer one"
        );
        self.untold(Class::Engine, "STATE_VERSION", message)
    }

    fn untold(&self, class: Class, code: &'static str, message: String) -> Failure {
        Failure::new(class, code, Stage::Upcast, message)
    }

    fn named(&self, from: u32, failure: &Failure) -> Failure {
        let message = format!("state of `{}`, from version {from}: {}", self.model().name, failure.message());
        Failure::new(failure.class(), failure.code().clone(), failure.stage(), message).with_details(failure.details().clone())
    }
}

/// The names of a message are not in scope.
fn nobodys_event() -> Event {
    let none = Text::default();
    Event {
        id: none.clone(),
        kind: none.clone(),
        source: none.clone(),
        time: moment(0),
        version: None,
        correlation_id: none,
        causation_id: None,
        metadata: Map::new(),
        data: Value::Null,
    }
}

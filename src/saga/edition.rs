//! What one version of the topology says of a saga, ready to lead its instances.
//!
//! An instance keeps the definition that it began with. The node has the edition of the file that runs; of others it makes one when
//! the first of their instances comes, and keeps it as long as the worker runs.

use super::stepper::Setting;
use crate::codec::Event;
use crate::failure::{Class, Failure, Stage};
use crate::node::{Versions, World};
use crate::record::{RecordRef, Text};
use crate::sync;
use crate::topology::model::{Saga, SourceFrom};
use std::sync::{Arc, RwLock};

/// What leads instances: a saga of a version.
#[derive(Debug)]
pub(super) struct Edition {
    pub(super) world: Arc<World>,
    /// Of the version's model.
    index: usize,
    /// As the rows have it that it leads.
    definition: Text,
}

impl Edition {
    /// The one of the file that runs.
    pub(super) fn own(world: Arc<World>, index: usize) -> Self {
        let definition = world.topology.sagas[index].definition.clone();
        Self { world, index, definition }
    }

    pub(super) fn model(&self) -> &Saga {
        &self.world.topology.sagas[self.index]
    }

    pub(super) fn definition(&self) -> &Text {
        &self.definition
    }

    pub(super) fn setting(&self) -> Setting<'_> {
        Setting { world: &self.world, saga: self.model(), definition: &self.definition }
    }

    /// A message as this version reads it: what is an old type to the file that runs may be none to it. `None`: it reads it no
    /// other than the file does.
    pub(super) fn read(&self, in_force: &World, record: &RecordRef<'_>) -> Option<Event> {
        if in_force.topology.upcasters.is_empty() && self.world.topology.upcasters.is_empty() {
            return None;
        }
        let topic = self.world.topic(record.topic)?;
        // What the version cannot read, the file that runs could.
        self.world.reader(Some(topic)).decode(record).ok().flatten()
    }

    /// Does it take messages of that type from that topic?
    pub(super) fn reads(&self, topic: &str, kind: &str) -> bool {
        let from = self.world.topic(topic);
        from.is_some()
            && self
                .model()
                .sources
                .iter()
                .any(|source| matches!(&source.from, SourceFrom::Topic(topic) if Some(*topic) == from))
            && self.model().taken(kind).is_some()
    }
}

/// The editions of a saga other than the one of the file that runs.
#[derive(Debug, Default)]
pub(super) struct Editions {
    made: RwLock<Vec<Arc<Edition>>>,
}

impl Editions {
    /// The edition that leads instances of this definition; `None`: no version is known to have it.
    pub(super) fn of(
        &self,
        saga: &Text,
        definition: &Text,
        versions: Option<&dyn Versions>,
    ) -> Result<Option<Arc<Edition>>, Failure> {
        if let Some(made) = sync::read(&self.made).iter().find(|edition| edition.definition == *definition) {
            return Ok(Some(made.clone()));
        }
        let Some(versions) = versions else { return Ok(None) };
        let unreadable = |why: Text| Failure::new(Class::Engine, "SAGA_DEFINITION", Stage::Step, why.to_string());
        let Some(world) = versions.world(saga, definition).map_err(unreadable)? else { return Ok(None) };
        let Some(index) = world.topology.sagas.iter().position(|model| model.name == *saga) else { return Ok(None) };
        let edition = Arc::new(Edition { world, index, definition: definition.clone() });
        sync::write(&self.made).push(edition.clone());
        Ok(Some(edition))
    }
}

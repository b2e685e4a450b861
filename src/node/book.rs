//! The schemas of a topology that records name by an id, and what a registry calls them.

use crate::codec::{Registered, Schema, Schemas};
use crate::record::Text;
use crate::registry::{Embedded, Settled, Wanted, settle};
use crate::topology::model::{Contract, MessageType, Topology};
use std::sync::Arc;

/// What the ids in records mean, and which ones messages are written with.
#[derive(Clone, Debug)]
pub struct Book {
    schemas: Option<Arc<dyn Schemas>>,
    entries: Arc<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    topic: Text,
    kind: Text,
    schema: Schema,
    id: u32,
}

/// A schema that a topic's messages are written with.
#[derive(Clone, Debug)]
pub struct TopicSchema {
    /// The topic.
    pub topic: Text,
    /// The type.
    pub kind: Text,
    /// The schema.
    pub schema: Schema,
    /// What a registry must have.
    pub wanted: Wanted,
}

/// The schemas of a topology's topics whose values say which one they have.
pub fn topic_schemas(topology: &Topology) -> Vec<TopicSchema> {
    let of_topic = |contract: &Contract| {
        let wanted = |kind: &MessageType| {
            let schema = kind.schema.as_ref()?.compiled.clone();
            let named = kind.schema.as_ref()?.subject.as_ref().map(Text::to_string);
            let subject = named.unwrap_or_else(|| contract.subject.of(&contract.name, schema.name().map(Text::as_str)));
            let wanted = Wanted { subject, document: schema.document().clone(), auto_register: contract.auto_register };
            Some(TopicSchema { topic: contract.name.clone(), kind: kind.name.clone(), schema, wanted })
        };
        contract.types.iter().flatten().filter_map(wanted).collect::<Vec<_>>()
    };
    topology.topics.iter().filter(|contract| contract.is_framed()).flat_map(of_topic).collect()
}

impl Book {
    /// Of a registry, with the id of each schema that messages are written with.
    pub fn new(schemas: Arc<dyn Schemas>, written: Vec<(TopicSchema, u32)>) -> Self {
        let entry = |(TopicSchema { topic, kind, schema, .. }, id)| Entry { topic, kind, schema, id };
        Self { schemas: Some(schemas), entries: Arc::new(written.into_iter().map(entry).collect()) }
    }

    /// Of a topology without a registry, whose records have no ids.
    pub fn empty() -> Self {
        Self { schemas: None, entries: Arc::default() }
    }

    /// Of a registry in this process, which has the schemas of the topology and no others.
    pub fn embedded(topology: &Topology) -> Self {
        if !topology.topics.iter().any(Contract::may_be_framed) {
            return Self::empty();
        }
        let registry = Embedded::new();
        // One that contradicts another of its subject is refused as messages are; a message of it says so when it is written.
        let registered = topic_schemas(topology).into_iter().filter_map(|schema| {
            let wanted = Wanted { auto_register: true, ..schema.wanted.clone() };
            match settle(&registry, &wanted).ok()? {
                Settled::Found(id) | Settled::Registered(id) => Some((schema, id)),
                Settled::Missing => None,
            }
        });
        let registered = registered.collect();
        Self::new(Arc::new(registry), registered)
    }

    /// What the codec needs of it for a topic.
    pub(super) fn of(&self, topic: &str) -> Registered {
        let ids = self.entries.iter().filter(|entry| entry.topic == topic).map(|entry| (entry.kind.clone(), entry.id));
        Registered { schemas: self.schemas.clone(), ids: ids.collect(), framed: true, unchecked: false }
    }

    /// The schema that messages of a type are written with.
    pub(super) fn schema(&self, topic: &str, kind: &str) -> Option<&Schema> {
        self.entries.iter().find(|entry| entry.topic == topic && entry.kind == kind).map(|entry| &entry.schema)
    }
}

//! What all nodes of a topology share: its model and plan, and how each of its topics is read and written.

use super::{Book, Target, Trail, Versions, Way};
use crate::codec::{self, Contract, Decoder, Encoder, KeyFormat};
use crate::record::{Text, Value};
use crate::topology::model::{self, Envelope, Expr, Position, Topology};
use crate::topology::plan::{Plan, Role};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A topology made ready to run; shared by its nodes and never changed.
#[derive(Debug)]
pub struct World {
    /// The checked model.
    pub topology: Arc<Topology>,
    /// Its plan: its first topics are the model's.
    pub plan: Arc<Plan>,
    params: Value,
    outlets: Vec<Outlet>,
    undeclared: Outlet,
    topics: FxHashMap<Text, usize>,
    trail: Option<Arc<Trail>>,
    versions: Option<Arc<dyn Versions>>,
    /// Of a version that runs beside another one: where its topics stand in the other's plan, if they do.
    places: Option<Vec<Option<usize>>>,
    book: Book,
}

/// How messages are written to a topic.
#[derive(Debug)]
pub(super) struct Outlet {
    /// `None`: its envelope is read only.
    pub(super) encoder: Option<Encoder>,
    pub(super) key: Option<Expr>,
    pub(super) key_format: KeyFormat,
}

impl World {
    /// Makes a topology ready, with a registry in this process for its schemas.
    pub fn new(topology: Arc<Topology>, plan: Arc<Plan>) -> Arc<Self> {
        let book = Book::embedded(&topology);
        Arc::new(Self::made(topology, plan, book))
    }

    /// Makes a topology ready whose schemas are in a registry; instances of its sagas may have begun under these versions.
    pub fn with_book(topology: Arc<Topology>, plan: Arc<Plan>, book: Book, versions: Option<Arc<dyn Versions>>) -> Arc<Self> {
        Arc::new(Self { versions, ..Self::made(topology, plan, book) })
    }

    /// As [`World::new`]; instances of its sagas may have begun under these versions.
    pub fn with_versions(topology: Arc<Topology>, plan: Arc<Plan>, versions: Arc<dyn Versions>) -> Arc<Self> {
        let book = Book::embedded(&topology);
        Self::with_book(topology, plan, book, Some(versions))
    }

    /// A version that runs beside the one of another plan: what it sends to a topic of both is sent to the other's, the rest by name,
    /// and with the other's schemas where its topics are Avro.
    pub fn beside(topology: Arc<Topology>, plan: Arc<Plan>, in_force: &Plan, book: Book) -> Arc<Self> {
        let world = Self::made(topology, plan, book);
        let place = |name: &Text| in_force.topics.iter().position(|topic| topic.name == *name);
        let places = world.plan.topics.iter().map(|topic| place(&topic.name)).collect();
        Arc::new(Self { places: Some(places), ..world })
    }

    /// The same; its nodes note there what they pass.
    pub fn with_trail(topology: Arc<Topology>, plan: Arc<Plan>, trail: Option<Arc<Trail>>) -> Arc<Self> {
        let book = Book::embedded(&topology);
        Arc::new(Self { trail, ..Self::made(topology, plan, book) })
    }

    fn made(topology: Arc<Topology>, plan: Arc<Plan>, book: Book) -> Self {
        let outlets = topology.topics.iter().map(|contract| outlet(contract, &book)).collect();
        let topics = plan.topics.iter().enumerate().map(|(at, topic)| (topic.name.clone(), at)).collect();
        Self {
            params: Value::Map(topology.params.clone()),
            outlets,
            undeclared: outlet(&model::Contract::undeclared(Text::default()), &book),
            topics,
            topology,
            plan,
            trail: None,
            versions: None,
            places: None,
            book,
        }
    }

    /// Reads the records of a topic of the plan, by index; `None`: of one that only a pattern found. A repartitioned record is
    /// read by the decoder of the topic that it came from.
    pub fn decoder(&self, topic: Option<usize>) -> Decoder {
        let contract = topic.and_then(|topic| self.topology.topics.get(topic));
        Decoder::new(contract.map_or_else(Contract::default, |contract| contract_of(contract, &self.book)))
    }

    /// How a topic's messages are written by those who stand outside of the topology: unchecked.
    pub fn contract_of(&self, topic: Option<usize>) -> Contract {
        let contract = topic.and_then(|topic| self.topology.topics.get(topic));
        contract.map_or_else(Contract::default, |contract| contract_of(contract, &self.book))
    }

    /// Index of a topic in the plan.
    pub fn topic(&self, name: &str) -> Option<usize> {
        self.topics.get(name).copied()
    }

    /// The topic's declaration; `None` for those of the engine and those that only a pattern found.
    pub(super) fn contract(&self, topic: Option<usize>) -> Option<&model::Contract> {
        self.topology.topics.get(topic?)
    }

    /// Format of the keys of a topic.
    pub fn key_format(&self, topic: Option<usize>) -> KeyFormat {
        self.contract(topic).map_or(KeyFormat::String, |contract| contract.key_format)
    }

    /// The other versions, where they are known.
    pub fn versions(&self) -> Option<&dyn Versions> {
        self.versions.as_deref()
    }

    /// Does a saga take this type in another version?
    pub fn is_taken_elsewhere(&self, saga: &str, kind: &str) -> bool {
        self.versions().is_some_and(|versions| versions.takes(saga, kind))
    }

    /// Where a topic of the plan is written to: in the plan that is in force.
    pub(super) fn target(&self, topic: usize) -> Target<'_> {
        match &self.places {
            None => Target::Planned(topic),
            Some(places) => places[topic].map_or(Target::Named(&self.plan.topics[topic].name), Target::Planned),
        }
    }

    /// Notes that a place of the file was passed, where somebody wants to know.
    #[inline]
    pub fn passed(&self, at: &Position, what: &str, way: Way) {
        if let Some(trail) = &self.trail {
            trail.note(at, what, way);
        }
    }

    pub(super) fn params(&self) -> &Value {
        &self.params
    }

    pub(super) fn outlet(&self, topic: Option<usize>) -> &Outlet {
        topic.and_then(|topic| self.outlets.get(topic)).unwrap_or(&self.undeclared)
    }

    /// May messages be written to a topic whose name came with a record or was computed from one? Names of topics of the
    /// broker's and of the engine's own (states, changelogs, repartitions, dead letters, histories, inboxes, audits) are not for others to choose.
    pub(super) fn may_write(&self, name: &str) -> bool {
        const ENGINES: [Role; 7] =
            [Role::Snapshots, Role::Changelog, Role::Repartition, Role::DeadLetters, Role::History, Role::Inbox, Role::Audit];
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name = matches!(name.len(), 1..=249) && name.bytes().all(letters) && name != "." && name != "..";
        let planned = self.topic(name).map(|topic| &self.plan.topics[topic]);
        is_name
            && !name.starts_with("__")
            && planned.is_none_or(|topic| !topic.roles.iter().any(|role| ENGINES.contains(role)))
            && self.outlet(self.topic(name)).encoder.is_some()
    }
}

fn outlet(contract: &model::Contract, book: &Book) -> Outlet {
    let encoder = match contract.envelope {
        Envelope::Mapping(_) => None,
        _ => Encoder::new(contract_of(contract, book)).ok(),
    };
    Outlet { encoder, key: contract.key.clone(), key_format: contract.key_format }
}

/// What the codec needs of a contract; schemas only where payloads are to be checked, or cannot be read without.
fn contract_of(contract: &model::Contract, book: &Book) -> codec::Contract {
    let framed = contract.is_framed();
    let types = contract.types.as_ref().map(|types| {
        let checked = |kind: &model::MessageType| {
            let schema = kind.schema.as_ref().filter(|_| contract.validate || framed).map(|schema| &schema.compiled);
            (kind.name.clone(), book.schema(&contract.name, &kind.name).or(schema).cloned())
        };
        types.iter().map(checked).collect()
    });
    let registered = match contract.may_be_framed() {
        true => codec::Registered { unchecked: !contract.validate, ..book.of(&contract.name) },
        false => codec::Registered::default(),
    };
    codec::Contract { envelope: contract.envelope.clone(), format: contract.format, types, registered }
}

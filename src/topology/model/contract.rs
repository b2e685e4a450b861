//! Contracts: what is known of a topic.

use super::{Expr, Position};
pub use crate::codec::{Envelope, Format, KeyFormat, Mapping};
use crate::expr::Type;
use crate::record::Text;
use jiff::SignedDuration;
use std::sync::Arc;

/// A topic of the file, declared or derived, with what its records are.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Name.
    pub name: Text,
    /// For people.
    pub description: Option<Text>,
    /// Was it derived (`<topology>.<node>.<kind>`) and not declared?
    pub derived: bool,
    /// Number of partitions, where declared.
    pub partitions: Option<u32>,
    /// Replication factor, where declared.
    pub replication: Option<u16>,
    /// How long records are kept, where declared.
    pub retention: Option<Retention>,
    /// Cleanup policy, where declared.
    pub cleanup: Option<Cleanup>,
    /// Other settings of the broker's.
    pub config: Vec<(Text, Text)>,
    /// Message types, sorted by name; `None`: not declared, nothing is checked.
    pub types: Option<Vec<MessageType>>,
    /// How records are keyed: over `data` and `event` of the record.
    pub key: Option<Expr>,
    /// Where type, id and payload are found in a record.
    pub envelope: Envelope,
    /// From bytes to values.
    pub format: Format,
    /// What a record's key is.
    pub key_format: KeyFormat,
    /// Are payloads checked against their schema when read and written?
    pub validate: bool,
    /// Of JSON: does the id of a schema stand before each value?
    pub registry: bool,
    /// What its schemas are called in the registry, where values carry their ids.
    pub subject: Subject,
    /// Are schemas that it is written with registered where they are not?
    pub auto_register: bool,
    /// Where it is declared, or the node that it is derived for.
    pub at: Position,
}

/// A message type of a topic.
#[derive(Clone, Debug)]
pub struct MessageType {
    /// Its name.
    pub name: Text,
    /// Its schema; `None`: anything.
    pub schema: Option<Schema>,
    /// Has it a schema of which nothing is known: one of a registry that nobody has looked up, or a wrong one? Then it is not to
    /// be run.
    pub unknown: bool,
}

/// What a schema is called in the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// `<topic>-value`
    #[default]
    Topic,
    /// `<full name of the record>`
    Record,
    /// `<topic>-<full name of the record>`
    TopicRecord,
}

impl Subject {
    /// The subject of a schema of this full name for the values of a topic; without a name it is the topic's.
    pub fn of(self, topic: &str, name: Option<&str>) -> String {
        match (self, name) {
            (Self::Topic, _) | (_, None) => format!("{topic}-value"),
            (Self::Record, Some(name)) => name.to_owned(),
            (Self::TopicRecord, Some(name)) => format!("{topic}-{name}"),
        }
    }
}

/// A schema, JSON Schema, Avro or Protobuf, and what expressions know of it.
#[derive(Clone, Debug)]
pub struct Schema {
    /// The document, for whoever shows it. References within it are local.
    pub document: Arc<serde_json::Value>,
    /// The same, compiled once for all that check payloads against it.
    pub compiled: crate::codec::Schema,
    /// The type derived from it.
    pub ty: Type,
    /// The type of what may be written: with Avro and Protobuf, what has a default may be missing.
    pub written: Type,
    /// The file that it was read from; `None` for one written inline, or of a registry.
    pub file: Option<Text>,
    /// Of Protobuf: the texts of its files, by the paths that they were read from.
    pub texts: Vec<(Text, Arc<str>)>,
    /// The subject of the registry that it was taken from.
    pub subject: Option<Text>,
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// For ever.
    Forever,
    /// For so long.
    For(SignedDuration),
}

/// `cleanup.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// `delete`
    Delete,
    /// `compact`
    Compact,
    /// `compact,delete`
    Both,
}

impl Cleanup {
    /// As the broker's setting names it.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Compact => "compact",
            Self::Both => "compact,delete",
        }
    }
}

impl Contract {
    /// A topic of which nothing is declared: anything, in the usual envelope.
    pub fn undeclared(name: Text) -> Self {
        Self {
            name,
            description: None,
            derived: false,
            partitions: None,
            replication: None,
            retention: None,
            cleanup: None,
            config: Vec::new(),
            types: None,
            key: None,
            envelope: Envelope::Event,
            format: Format::Json,
            key_format: KeyFormat::String,
            validate: true,
            registry: false,
            subject: Subject::Topic,
            auto_register: true,
            at: Position::default(),
        }
    }

    /// Does the id of a schema stand before each value?
    pub fn is_framed(&self) -> bool {
        self.format.is_framed() || (self.format == Format::Json && self.registry)
    }

    /// May the id of a schema stand before a value?
    pub fn may_be_framed(&self) -> bool {
        self.is_framed() || self.format == Format::Auto
    }

    /// A declared message type by its name.
    pub fn message_type(&self, name: &str) -> Option<&MessageType> {
        let types = self.types.as_ref()?;
        types.binary_search_by(|candidate| candidate.name.as_str().cmp(name)).ok().map(|at| &types[at])
    }
}

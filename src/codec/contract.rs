//! What a topic's declaration says about its bytes.

use super::{Schema, Schemas};
use crate::record::Text;
use std::sync::Arc;

/// How records of a topic are read and written.
#[derive(Clone, Debug, Default)]
pub struct Contract {
    /// Where a record says what it is.
    pub envelope: Envelope,
    /// From bytes to a payload.
    pub format: Format,
    /// Message types by name, each with its schema if payloads are to be checked against one; `None`: not declared.
    pub types: Option<Vec<(Text, Option<Schema>)>>,
    /// Of a format whose bytes say which schema they have: where that leads.
    pub registered: Registered,
}

/// Schemas and ids of a registry.
#[derive(Clone, Debug, Default)]
pub struct Registered {
    /// What the ids in records mean; `None`: no registry was named.
    pub schemas: Option<Arc<dyn Schemas>>,
    /// Ids of the schemas that messages are written with, by type.
    pub ids: Vec<(Text, u32)>,
    /// Of JSON: does the id of a schema stand before each value? Before one in Avro it always does.
    pub framed: bool,
    /// Of JSON: are payloads taken as they are, whatever their schemas say?
    pub unchecked: bool,
}

/// Where a record says what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// JSON `{id, type, version, source, timestamp, data, metadata}`.
    #[default]
    Event,
    /// The value is the payload.
    None {
        /// The header that names the type; without it the type is the only one declared, else the topic.
        type_header: Option<Text>,
    },
    /// CloudEvents 1.0: read binary and structured, written binary.
    CloudEvents,
    /// A foreign envelope, which is read only.
    Mapping(Mapping),
}

/// Paths of a foreign envelope: names of fields from the value inwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Message type.
    pub kind: Vec<Text>,
    /// Payload.
    pub data: Vec<Text>,
    /// Id.
    pub id: Option<Vec<Text>>,
    /// Source.
    pub source: Option<Vec<Text>>,
    /// Time.
    pub time: Option<Vec<Text>>,
    /// Correlation id.
    pub correlation_id: Option<Vec<Text>>,
    /// Causation id.
    pub causation_id: Option<Vec<Text>>,
}

/// From bytes to a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    #[default]
    Json,
    /// Avro, behind the id of its schema. Not with `envelope: event`.
    Avro,
    /// Protobuf, behind the id of its schema and the place of its message there. Not with `envelope: event`.
    Protobuf,
    /// What each value says that it is: see [`Decoder`](super::Decoder). Read only, and only with `envelope: none`.
    Auto,
    /// UTF-8 text; the payload is a string. Not with `envelope: event`.
    String,
    /// Bytes as they are. Not with `envelope: event`.
    Bytes,
}

impl Format {
    /// Does the id of a schema stand before each value?
    pub fn is_framed(self) -> bool {
        match self {
            Self::Avro | Self::Protobuf => true,
            Self::Json | Self::Auto | Self::String | Self::Bytes => false,
        }
    }

    /// As topology files name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
            Self::Auto => "auto",
            Self::String => "string",
            Self::Bytes => "bytes",
        }
    }
}

/// What a record's key is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFormat {
    /// JSON.
    Json,
    /// UTF-8 text.
    #[default]
    String,
    /// Bytes as they are.
    Bytes,
}

impl Contract {
    /// The schema of a type, if payloads of it are checked.
    pub(super) fn schema(&self, kind: &str) -> Option<&Schema> {
        self.types.as_ref()?.iter().find(|(name, _)| name == kind)?.1.as_ref()
    }

    /// Does the id of a schema stand before each value?
    pub(super) fn is_framed(&self) -> bool {
        self.format.is_framed() || (self.format == Format::Json && self.registered.framed)
    }

    /// May the id of a schema stand before a value?
    pub(super) fn may_be_framed(&self) -> bool {
        self.is_framed() || (self.format == Format::Auto && self.registered.schemas.is_some())
    }

    /// The id that messages of a type are written with.
    pub(super) fn id(&self, kind: &str) -> Option<u32> {
        self.registered.ids.iter().find(|(name, _)| name == kind).map(|(_, id)| *id)
    }
}

//! From bytes to events and back: formats, envelopes, schemas, keys.
//!
//! What a topic's contract says decides how a record is read ([`Decoder`], [`Event`]) and how a message is written
//! ([`Encoder`], [`Draft`]). What the ids in Avro records mean is handed in ([`Schemas`]). A record that does not fit is a [`crate::failure::Failure`] with the bytes left untouched; nothing
//! here panics on foreign input. What a contract is made from (files, YAML) is `topology`'s matter, what keys are computed from
//! is the node's.

pub mod avro;
mod cloudevents;
mod contract;
mod decode;
mod document;
mod encode;
mod error;
mod event;
mod fit;
mod id;
mod key;
pub mod proto;
mod schema;
mod varint;
mod wire;
mod written;

#[cfg(test)]
mod tests;

pub use cloudevents::is_name as is_attribute_name;
pub use contract::{Contract, Envelope, Format, KeyFormat, Mapping, Registered};
pub use decode::{CAUSATION_ID, CORRELATION_ID, Decoder, MESSAGE_ID};
pub use document::{Document, Language, Reference};
pub use encode::{Draft, Encoder, version_of};
pub use error::{Error, Result};
pub use event::{Event, moment};
pub use id::{NAMESPACE, Part, derived_id, failure_id, position_id};
pub use key::{read_key, write_key};
pub use schema::{Schema, bundled};
pub use wire::{Lookup, SchemaId, Schemas, VALUE_SCHEMA_HEADER};
pub use written::SCHEMA_PENDING;

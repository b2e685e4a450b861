//! Protobuf: schemas, and bytes from and to our own values.
//!
//! The crates `protox` and `prost-reflect` read `.proto` files ([`Files`]); a [`Schema`] keeps of them, for one message, a flat
//! table of messages and fields. Bytes are read and written along it, straight from and to our values: no value of another library
//! is made in between, and what a record can ask for is bounded in depth and memory, whatever its schema allows.
//!
//! Fields have their JSON names, and values those of Protobuf's mapping to JSON where ours have no better kind
//! (`docs/adr/0010-protobuf-values.md`). A field that is not set is not there, if the schema tells that from its default; else it
//! has its default. Where schemas come from, and which one a record was written with, is not known here.

mod accept;
mod compat;
mod cursor;
mod files;
mod known;
mod read;
mod shape;
mod write;

#[cfg(test)]
mod tests;

pub use cursor::index;
pub use files::{FILES_MAX, Files, TEXT_BYTES_MAX, imports};
pub use known::Known;
pub use shape::{Field, MapKey, Message, Rule, Schema, Shape};

/// Deepest nesting of values, as of JSON.
const DEPTH_MAX: usize = crate::record::json::DEPTH_MAX;

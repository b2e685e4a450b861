//! Avro: schemas, and bytes from and to our own values.
//!
//! The crate `apache-avro` reads schemas and says whether they are sound; [`Schema`] keeps what it found as a flat table of
//! [`Shape`]s. Bytes are read by a [`Plan`], made once for a writer's and a reader's schema and run once per record: no value of
//! another library is made in between, and what a record can ask for is bounded in depth, steps and memory, whatever its schema
//! allows. Where schemas come from, and which one a record was written with, is not known here.
//!
//! What Avro has and JSON has not: moments are timestamps, a time of day is a duration since midnight, a date is the moment at
//! which it begins in UTC, decimals, UUIDs and symbols of enums are text (`docs/adr/0008-avro-values.md`).

mod accept;
mod decimal;
mod plan;
mod read;
mod shape;
mod write;

#[cfg(test)]
mod tests;

pub use plan::Plan;
pub use shape::{Field, Logical, Schema, Shape, Unit};

/// Deepest nesting of values, as of JSON; also of schemas that are compared.
const DEPTH_MAX: usize = crate::record::json::DEPTH_MAX;

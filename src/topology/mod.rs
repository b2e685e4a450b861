//! From the text of a topology file to a checked model and a plan.
//!
//! [`load`] reads a file: YAML within budgets ([`Diagnostic`]s for what the language refuses), then the [`model`] with every
//! name resolved and every expression compiled, then the [`plan`]: sub-topologies, stores, topics and what they must be like.
//! All problems of a file are said at once, each with its place, a stable code ([`codes`], [`explain`]) and a hint; [`render`]
//! shows them, [`fixed`] mends what is certain.
//!
//! Nothing here reads a file or a variable: whoever loads a topology hands in its [`Sources`]. Files are untrusted input.

mod across;
mod avro;
pub mod codes;
pub mod definition;
mod diagnostic;
pub mod explain;
mod fix;
pub mod language;
mod load;
mod lower;
pub mod markdown;
pub mod model;
pub mod plan;
mod proto;
pub mod render;
mod sarif;
mod schema;
mod sources;
pub mod yaml;

#[cfg(test)]
mod tests;

pub use across::across;
pub use definition::Definition;
pub use diagnostic::{Diagnostic, Finding, Findings, Fix, Place, Severity, SourceText, finding, nearest};
pub use fix::{Fixed, fixed};
pub use load::{Loaded, load};
pub use sarif::sarif;
pub use sources::{NoSources, SCHEMA_BYTES_MAX, SECRET_BYTES_MAX, Sources};

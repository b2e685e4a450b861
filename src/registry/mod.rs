//! The schema registry: which schema an id means, and which id a schema has.
//!
//! [`Registry`] is the boundary, with two implementations: [`Http`] speaks the API that Confluent's registry and those that are
//! compatible with it have, [`Embedded`] is a registry in this process for `skald dev`, `skald test` and tests. [`Lookups`]
//! stands before either for the workers: it answers at once from a bounded cache and asks in the background, one question for
//! each id however many want it, for as long as the registry does not answer.
//!
//! What that promises: a record is never judged by a registry that is down, slow or confused. Only the registry's own word that
//! an id does not exist makes a record undecodable. Left to others: what schemas mean (`codec`), which ones a topology needs
//! (`topology`), and what waits meanwhile (`runtime`).

mod embedded;
mod error;
mod http;
mod lookups;
mod protocol;
mod references;
mod settle;

#[cfg(test)]
mod tests;

pub use embedded::Embedded;
pub use error::{Error, Result};
pub use http::{Auth, Http, Settings};
pub use lookups::Lookups;
pub use settle::{Settled, Standing, Wanted, settle, standing};

use crate::codec::{Document, SchemaId};

/// A schema registry. Every question may wait for the network: workers ask [`Lookups`] instead.
pub trait Registry: Send + Sync + std::fmt::Debug {
    /// The schema of an id, with those that it refers to; [`Error::Absent`] where there is none.
    fn schema(&self, id: SchemaId) -> Result<Document>;

    /// A version of a subject, or the latest; [`Error::Absent`] where there is none.
    fn version(&self, subject: &str, version: Option<u32>) -> Result<Version>;

    /// Where a subject has this very schema; `None`: it has not.
    fn find(&self, subject: &str, document: &Document) -> Result<Option<Place>>;

    /// Gives a subject a version of this schema, if it has none, and tells the id; [`Error::Incompatible`] where the subject's
    /// rule is against it.
    fn register(&self, subject: &str, document: &Document) -> Result<u32>;

    /// What the subject's rule has against this schema as the next version: nothing, where the list is empty. A subject without
    /// versions takes any.
    fn objections(&self, subject: &str, document: &Document) -> Result<Vec<String>>;
}

/// Where a subject has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The number that records carry.
    pub id: u32,
    /// Number of the version.
    pub version: u32,
}

/// A version of a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The number that records carry.
    pub id: u32,
    /// Number of the version.
    pub version: u32,
    /// The schema.
    pub document: Document,
}

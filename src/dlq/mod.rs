//! Dead letters: a record that failed, set aside with its reason.
//!
//! [`letter`] makes the record for the topic of dead letters: key, value, headers and timestamp of the original, untouched, and
//! behind them the headers that say why and where. Cause and origin have the names of Kafka Streams (KIP-1034,
//! `__streams.errors.*`), or of another [`Spelling`] for tools that know that one; the rest is the engine's own
//! (`__skald.errors.*`). [`read`] gives them back, and [`recognise`] also reads what others have written: Kafka Streams, Kafka
//! Connect, Spring. Writing the letter in the transaction of the record's offset is `runtime`'s matter.
//!
//! [`Shelf`] reads a topic of letters, [`Redrive`] works it off: each letter is replayed, or discarded, once, and the [`Audit`] tells
//! what was done. What a node does with a record that comes once more is `runtime`'s matter too.
//!
//! Two things are not kept: values of headers that carry credentials, since a copy of them would outlive their record
//! ([`SECRET_HEADERS`]), and what does not fit into the topic: the letter is a stub then, which names the place of the
//! original, its size and its SHA-256.

mod again;
mod audit;
mod error;
mod filter;
mod letter;
mod read;
mod redrive;
mod shelf;
mod shown;
mod spelling;
mod summary;

#[cfg(test)]
mod tests;

pub use again::{Edit, Refusal};
pub use audit::{ACT, Act, Audit, Deed};
pub use error::{Error, Result};
pub use filter::{Filter, error_value};
pub use letter::{Dead, Letter, letter};
pub use read::{Found, Report, Stub, read, recognise};
pub use redrive::{BATCH_LETTERS, Chosen, Done, Order, Redrive, Refused, audit_topic};
pub use shelf::{Filed, Shelf};
pub use shown::{letter_json, original_headers, payload};
pub use spelling::{Origin, Spelling, Told};
pub use summary::{Cause, GROUPS_MAX, Group, Summary};

/// Headers whose value is left out of a letter, whatever their case.
pub const SECRET_HEADERS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];

/// Names of the headers of a letter.
mod names {
    pub(super) const ID: &str = "__skald.errors.id";
    pub(super) const CODE: &str = "__skald.errors.code";
    pub(super) const CLASS: &str = "__skald.errors.class";
    pub(super) const NODE: &str = "__skald.errors.node";
    pub(super) const STAGE: &str = "__skald.errors.stage";
    pub(super) const DETAILS: &str = "__skald.errors.details";
    pub(super) const ATTEMPTS: &str = "__skald.errors.attempts";
    pub(super) const FIRST_AT: &str = "__skald.errors.first_at";
    pub(super) const LAST_AT: &str = "__skald.errors.last_at";
    pub(super) const TOPOLOGY: &str = "__skald.errors.topology";
    pub(super) const VERSION: &str = "__skald.errors.version";
    pub(super) const TASK: &str = "__skald.errors.task";
    pub(super) const REPLAYS: &str = "__skald.errors.replays";
    pub(super) const TRACE: &str = "__skald.errors.trace";
    pub(super) const STUB: &str = "__skald.errors.stub";
}

//! Errors of the boundary, by what the caller does next.

use crate::record::Text;

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed at the broker or in its client.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{context}: {message}")]
pub struct Error {
    /// What happens next.
    pub class: ErrorClass,
    /// What was being done, with the topic, partition or id it was done to.
    pub context: String,
    /// What the client said.
    pub message: String,
}

/// What the caller does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The same call again may succeed; its effect is unknown where it may have had one.
    Retry,
    /// The transaction is to be aborted, then everything goes on.
    Abortable,
    /// The producer or consumer is dead: build a new one.
    Fatal,
    /// A newer owner of the same id is there. Looks the same as a transaction that outlived its time-out.
    Fenced,
    /// An ACL is missing: the resource in Kafka's words, `Topic shop.dlq: Write`. Permanent until an operator acts.
    Denied(Text),
    /// A record is larger than its topic takes.
    TooLarge,
    /// A topic does not take a record for what it is: no key where it is compacted, a time out of its bounds. The same record
    /// is refused again.
    Refused(Text),
    /// No such topic or partition.
    Missing(Text),
}

impl Error {
    /// An error of a class.
    pub fn new(class: ErrorClass, context: impl Into<String>, message: impl Into<String>) -> Self {
        Self { class, context: context.into(), message: message.into() }
    }
}

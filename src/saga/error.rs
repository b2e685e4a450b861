//! What can be wrong with an instance that is kept.

use crate::failure::{Class, Failure, Stage};
use crate::record::{NotKept, Text};

/// Why a row is not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are no row of this form. The task halts: the store or its changelog is damaged.
    #[error("the saga's row is unreadable: {0}")]
    Malformed(String),
    /// The instance keeps the definition that it began with, and no version that was applied is known to have it. The task halts.
    #[error(
        "the saga began with definition `{own}` and keeps it, this file has `{loaded}`, and no version that was applied has it: \
         apply the file that it began with under a version of its own, or run that one until `skald saga drain` shows that none is left"
    )]
    OtherDefinition {
        /// The instance's.
        own: Text,
        /// The one of the file that runs.
        loaded: Text,
    },
}

impl From<NotKept> for Error {
    fn from(error: NotKept) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (class, code) = match error {
            Error::Malformed(_) => (Class::Engine, "SAGA_UNREADABLE"),
            Error::OtherDefinition { .. } => (Class::Engine, "SAGA_DEFINITION"),
        };
        Failure::new(class, code, Stage::Step, error.to_string())
    }
}

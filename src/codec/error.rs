//! Why a contract cannot be carried out; found when a topology is compiled, never on a record.

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a contract.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The document is no schema that can be compiled: a keyword misused, a reference that leads out of it, a pattern that
    /// cannot be matched in linear time.
    #[error("schema cannot be used: {reason}")]
    Schema {
        /// What the compiler says.
        reason: String,
    },
    /// Messages are to be written in an envelope, or a format, that is only read.
    #[error("what is only read cannot be written")]
    ReadOnly,
}

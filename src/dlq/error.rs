//! Why a record cannot be read as a dead letter.

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A header is not there: it was not this engine that wrote the record.
    #[error("header `{header}` is missing")]
    Missing {
        /// Which.
        header: &'static str,
    },
    /// A header says what no letter says.
    #[error("header `{header}` cannot be read")]
    Unreadable {
        /// Which.
        header: &'static str,
    },
}

//! Why a registry did not do what it was asked, by what the caller does next.

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Why not. Nothing here ever contains credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It did not answer, or said that it cannot now: asked again later, it may.
    #[error("the schema registry does not answer: {0}")]
    Unreachable(String),
    /// It says that what was asked for does not exist.
    #[error("the schema registry has no {0}")]
    Absent(String),
    /// The subject's rule is against the schema.
    #[error("the schema is not compatible with `{subject}`: {}", reasons.join("; "))]
    Incompatible {
        /// Subject.
        subject: String,
        /// What the registry says.
        reasons: Vec<String>,
    },
    /// It does not let us: credentials are missing or wrong, or may not do this.
    #[error("the schema registry refuses: {0}")]
    Denied(String),
    /// It answered, but nothing that can be worked with.
    #[error("the schema registry gave an answer that cannot be used: {0}")]
    Unusable(String),
    /// An address, certificate or credential that cannot be used; found before anything is asked.
    #[error("{0}")]
    Settings(String),
}

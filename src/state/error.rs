//! What can go wrong with a store, by what the caller does next.

use std::path::PathBuf;

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be trusted: set it aside and restore it from the changelog (`pitfalls.md` P30).
    #[error("store `{store}` is damaged: {reason}")]
    Damaged {
        /// Which store.
        store: String,
        /// What was found.
        reason: String,
    },
    /// The disk is full; reads go on, the task waits for room.
    #[error("no room left for store `{store}`")]
    Full {
        /// Which store.
        store: String,
    },
    /// Another process holds the state directory.
    #[error("state directory `{}` is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("state directory `{}`: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is stored under a key cannot be read back.
    #[error("store `{store}` holds an unreadable entry: {reason}")]
    Unreadable {
        /// Which store.
        store: String,
        /// What is wrong with it.
        reason: String,
    },
}

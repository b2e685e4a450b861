//! What can go wrong with a store, by what the caller does next.

use std::path::PathBuf;

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be trusted: set it aside and restore it from the changelog (`pitfalls.md` P30).
    #[error("{} damaged: {reason}", if store.is_empty() { "all stores are".to_owned() } else { format!("store `{store}` is") })]
    Damaged {
        /// Which store; empty: the database that all are in.
        store: String,
        /// What was found.
        reason: String,
    },
    /// The disk is full; reads go on, the task waits for room and writes the same again.
    #[error("no room left for {}", if store.is_empty() { "the stores".to_owned() } else { format!("store `{store}`") })]
    Full {
        /// Which store; empty: the database that all are in.
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
    /// The directory cannot be used as it is; the user has to change something.
    #[error("state directory `{}`: {reason}", path.display())]
    Unusable {
        /// The directory or a file in it.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that must not become a part of a path or of a store's name.
    #[error("`{name}` cannot name a store: letters, digits, `_` and `-`, at most {NAME_MAX} of them")]
    Name {
        /// The name.
        name: String,
    },
    /// What is stored under a key, or what a changelog holds, cannot be read back.
    #[error("store `{store}` holds an unreadable entry: {reason}")]
    Unreadable {
        /// Which store.
        store: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that cannot be kept: the record that would write it fails, nothing else does.
    #[error("the value cannot be kept in store `{store}`: {reason}")]
    Refused {
        /// Which store.
        store: String,
        /// Code of the record's failure (`language.md` §6).
        code: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Longest name of a node, a step or a topology that becomes part of a store's name, in bytes.
pub const NAME_MAX: usize = 100;

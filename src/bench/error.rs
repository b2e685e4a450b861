//! Why there is no figure.

use crate::broker;
use std::path::PathBuf;

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong with a measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster.
    #[error(transparent)]
    Broker(#[from] broker::Error),
    /// A property that the client does not take.
    #[error(transparent)]
    Property(#[from] broker::kafka::PropertyRefused),
    /// A file or a process of this machine.
    #[error("{what}")]
    Machine {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker has ended before its time.
    #[error("{who} ended with {how}; it said:\n{said}")]
    Ended {
        /// Which one.
        who: String,
        /// Its exit status.
        how: String,
        /// The end of its log.
        said: String,
    },
    /// A worker does not get on.
    #[error("{who} does not get on: {done} of {wanted} after {seconds} s without progress; it said:\n{said}")]
    Stalled {
        /// Which one.
        who: String,
        /// How far it came.
        done: u64,
        /// How far it should.
        wanted: u64,
        /// For so long.
        seconds: u64,
        /// The end of its log.
        said: String,
    },
    /// A worker did not do what it was measured by.
    #[error("{who} made {found} outputs for {wanted}: its figures are worth nothing")]
    Outputs {
        /// Which one.
        who: String,
        /// How many there are.
        found: u64,
        /// How many there should be.
        wanted: u64,
    },
    /// The other engine is not to be had.
    #[error("the peer cannot be built in `{}`: {why}", folder.display())]
    Peer {
        /// Where.
        folder: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file that is no result of a measurement.
    #[error("`{}` is no result of `skald bench -o json`", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// Somebody asked for an end.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// A failure of the machine while something was done.
    pub(super) fn machine(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Machine { what, source }
    }
}

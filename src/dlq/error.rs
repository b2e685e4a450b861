//! Why a record cannot be read as a dead letter, or a topic of them not be read.

use crate::broker;
use crate::record::{Offset, Partition, Text};

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
    /// The topic is not there.
    #[error("there is no topic `{topic}`")]
    NoTopic {
        /// Which.
        topic: Text,
    },
    /// Acts cannot be told.
    #[error("there is no topic `{topic}`, where acts on dead letters are told")]
    NoAudit {
        /// Which.
        topic: Text,
    },
    /// Another one has taken over.
    #[error("somebody else works on the dead letters of `{topic}` now")]
    Fenced {
        /// Which.
        topic: Text,
    },
    /// The cluster does not say.
    #[error("it is not known whether the last letters of `{topic}` are replayed")]
    Unknown {
        /// Which.
        topic: Text,
        /// What it said.
        source: broker::Error,
    },
    /// Nothing lies at that place, or nothing any more.
    #[error("there is no letter at {partition}:{offset} of `{topic}`")]
    NoLetter {
        /// Topic.
        topic: Text,
        /// Partition.
        partition: Partition,
        /// Offset.
        offset: Offset,
    },
    /// The cluster does not answer, or refuses.
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

//! What stands between an operator and an instance.

use crate::broker;
use crate::record::Text;

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No saga of a topology has topics in the cluster.
    #[error("the cluster has no topics of a saga of `{topology}`")]
    NoSagas {
        /// The topology.
        topology: Text,
    },
    /// A saga has no topics in the cluster.
    #[error("the cluster has no topics of a saga `{saga}` of `{topology}`")]
    NoSaga {
        /// The topology.
        topology: Text,
        /// The saga.
        saga: Text,
        /// Those that have some.
        known: Vec<Text>,
    },
    /// Several sagas could be meant.
    #[error("`{topology}` has several sagas")]
    Ambiguous {
        /// The topology.
        topology: Text,
        /// They.
        known: Vec<Text>,
    },
    /// No instance of that id, or none any more.
    #[error("there is no instance `{id}` of `{saga}`")]
    NoInstance {
        /// The saga.
        saga: Text,
        /// The id.
        id: Text,
    },
    /// What is kept of an instance cannot be read.
    #[error("what is kept of `{id}` cannot be read: {why}")]
    Unreadable {
        /// The id, as far as it is text.
        id: Text,
        /// Why.
        why: String,
    },
    /// The cluster does not answer, or refuses.
    #[error(transparent)]
    Broker(#[from] broker::Error),
}

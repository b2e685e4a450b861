//! Why letters cannot be tried.

use crate::broker;
use crate::record::Text;
use crate::runtime;

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cluster whose letters and states these are does not answer, or refuses.
    #[error("the cluster cannot be read")]
    Cluster(#[source] broker::Error),
    /// The broker in this process refused.
    #[error("the broker in this process refused")]
    Here(#[source] broker::Error),
    /// The file's topics do not fit those of the cluster.
    #[error("the topics of the file do not fit those of the cluster")]
    Prepare(#[source] runtime::Error),
    /// The worker failed.
    #[error("the worker failed")]
    Worker(#[source] runtime::Error),
    /// The worker ended by itself.
    #[error("the worker ended by itself")]
    Stopped,
    /// The worker does not come to rest.
    #[error("the worker does not come to rest")]
    Restless,
    /// Nobody reads what would be written.
    #[error("the file does not read `{topic}`, to which the letter would go")]
    NotRead {
        /// Which.
        topic: Text,
    },
    /// What was written cannot be read back.
    #[error("`{topic}` cannot be read back")]
    Unreadable {
        /// Which.
        topic: Text,
    },
}

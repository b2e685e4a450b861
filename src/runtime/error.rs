//! Why an engine does not start or does not go on, and how it ends.

use crate::record::{Offset, Text, TopicPartition};
use crate::{broker, state};

/// Result with this room's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a worker cannot go on. Each of these ends the process with a message; what a single task can be halted for is a
/// [`super::Halt`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process runs with the same worker id.
    #[error("another worker runs as `{id}`: give each its own worker id")]
    Fenced {
        /// Transactional id, or static member id, that both use.
        id: Text,
    },
    /// The same epoch failed again and again for a reason that does not pass by itself.
    #[error("the epoch cannot be committed")]
    Permanent(#[source] broker::Error),
    /// A client is dead or was refused for good.
    #[error("the broker connection cannot go on")]
    Broker(#[source] broker::Error),
    /// The state directory cannot be used.
    #[error("state cannot be used")]
    State(#[source] state::Error),
    /// A topic was deleted and made anew while it was in use: what stores know of it is about another one.
    #[error("changelog `{partition}` went back from offset {before} to {now}: the topic was made anew while it was in use")]
    Recreated {
        /// The changelog partition.
        partition: TopicPartition,
        /// Offset that it had reached.
        before: Offset,
        /// Offset that it has now.
        now: Offset,
    },
    /// A topic has another number of partitions than at the start.
    #[error("topic `{topic}` has {found} partitions now and had {expected} at the start: keys would change their partition")]
    Repartitioned {
        /// Topic.
        topic: Text,
        /// At the start.
        expected: u32,
        /// Now; 0 when it is gone.
        found: u32,
    },
    /// Running members of the group read other topics.
    #[error("member `{client}` of group `{group}` runs another plan: stop all workers, then start all")]
    OtherPlan {
        /// The group.
        group: Text,
        /// Client id of the member.
        client: Text,
    },
    /// Topics are not as the plan needs them.
    #[error("{}", problems_text(.0))]
    Topics(Vec<super::TopicProblem>),
    /// A worker thread ended in a way that its code rules out.
    #[error("worker thread {thread} broke down: {message}")]
    Broken {
        /// Which thread.
        thread: usize,
        /// What it said.
        message: String,
    },
    /// The orderly end took too long.
    #[error("the orderly end took longer than its deadline")]
    StopDeadline,
    /// A crash point was reached, in a test that asked for it.
    #[doc(hidden)]
    #[error("crash point `{0}`")]
    CrashPoint(&'static str),
}

fn problems_text(problems: &[super::TopicProblem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// How an engine ended.
#[derive(Debug)]
pub enum Exit {
    /// It was asked to and everything was committed.
    Stopped,
    /// It was asked twice, and ended at once; what was not committed is read again by whoever comes next.
    Interrupted,
    /// It could not go on.
    Failed(Error),
}

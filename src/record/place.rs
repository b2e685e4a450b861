//! Where a record lies: topic, partition, offset; and when it was written.

use super::Text;

/// Number of a partition, counted from 0.
pub type Partition = i32;

/// Place of a record in its partition. What is *committed* is the next offset to read, one more than the last one done.
pub type Offset = i64;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: Text,
    /// Partition.
    pub partition: Partition,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<Text>, partition: Partition) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

//! The unit of work: what Kafka hands over and what it is handed.
//!
//! [`Record`] and [`RecordRef`] are a record as bytes, with its place in the log; [`Value`] is a payload that was read.
//! Everything here is plain data: no I/O, no clock, and of file formats only the JSON text of a value ([`json`]), which both
//! expressions and codecs speak. How the bytes of a topic become values is `codec`'s matter, where they come from `broker`'s.

mod header;
pub mod json;
mod kept;
mod partition;
mod place;
mod text;
mod uuid;
mod value;

#[cfg(test)]
mod tests;

pub use header::{Header, HeaderRef};
pub use kept::{KeptRecord, NotKept};
pub use partition::{murmur2, partition_of};
pub use place::{Millis, Offset, Partition, TopicPartition};
pub use text::{duration_text, parse_duration, read_timestamp, timestamp_text};
pub use uuid::uuid5;
pub use value::{Map, Text, Value};

use bytes::Bytes;

/// A record as it lies in the log, borrowed from the client that read it.
///
/// Only committed records are ever seen (`isolation.level=read_committed`).
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    /// Topic it was read from.
    pub topic: &'a str,
    /// Partition it was read from.
    pub partition: Partition,
    /// Its place in the partition.
    pub offset: Offset,
    /// Milliseconds since the epoch, as the producer or the broker set it; −1 where the log has none.
    pub timestamp: Millis,
    /// Key bytes, `None` for a record without a key.
    pub key: Option<&'a [u8]>,
    /// Value bytes, `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers in the order written.
    pub headers: &'a [HeaderRef<'a>],
}

/// A record that owns its bytes: one to be written, or one that must outlive the buffer it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Topic.
    pub topic: Text,
    /// Partition; always computed by the engine ([`partition_of`]), never left to the client.
    pub partition: Partition,
    /// Milliseconds since the epoch.
    pub timestamp: Millis,
    /// Key bytes, `None` for a record without a key.
    pub key: Option<Bytes>,
    /// Value bytes, `None` for a tombstone.
    pub value: Option<Bytes>,
    /// Headers in the order written.
    pub headers: Vec<Header>,
}

impl RecordRef<'_> {
    /// Copies the record, so that it can outlive the fetch buffer that it pins.
    pub fn to_record(&self) -> Record {
        Record {
            topic: self.topic.into(),
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.map(Bytes::copy_from_slice),
            value: self.value.map(Bytes::copy_from_slice),
            headers: self.headers.iter().map(HeaderRef::to_header).collect(),
        }
    }

    /// The last header of that name, as Kafka's own clients read it.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rev().find(|header| header.name == name).and_then(|header| header.value)
    }

    /// Bytes of key, value and headers together: what bounds of size are counted in.
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len)).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

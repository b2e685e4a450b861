//! What was read from a record: the envelope's fields and the payload.

use crate::record::{Map, Millis, Text, Value};
use jiff::Timestamp;

/// A decoded record.
#[derive(Clone, Debug)]
pub struct Event {
    /// Id; derived from topic, partition and offset where the record has none.
    pub id: Text,
    /// Message type.
    pub kind: Text,
    /// Who sent it; empty where the record does not say.
    pub source: Text,
    /// When it happened; the record's timestamp where the record does not say.
    pub time: Timestamp,
    /// Version of the type, as written.
    pub version: Option<Text>,
    /// The conversation; the id where the record does not say.
    pub correlation_id: Text,
    /// The message that led to this one.
    pub causation_id: Option<Text>,
    /// Metadata other than the correlation ids.
    pub metadata: Map,
    /// Payload.
    pub data: Value,
}

/// A record's timestamp as a moment. Records without one (−1) count as of 1970, what lies beyond the years that a moment can
/// say is moved to the nearest.
pub fn moment(timestamp: Millis) -> Timestamp {
    if timestamp == -1 {
        return Timestamp::UNIX_EPOCH;
    }
    Timestamp::from_millisecond(timestamp).unwrap_or(if timestamp < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

//! What a store keeps, decoded.

use crate::record::{Millis, Text, Value};
use bytes::Bytes;

/// The state of an aggregate's, or another node's, instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// The state itself.
    pub value: Value,
    /// Events applied since it exists.
    pub version: u64,
    /// Id of the last event applied.
    pub last_event: Option<Text>,
    /// Version of the state's shape (`state_version`).
    pub state_version: u32,
    /// When its node is asked whether it is to go (`ttl`); moments before 1970 count as 1970. `None`: never.
    pub expires_at: Option<Millis>,
}

/// What is forgotten at some moment: the mark of an answered request, an early event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// From then on it counts as gone, whether it is there or not.
    pub expires_at: Millis,
    /// What it is; a mark has the reply: a record's bytes as `node` wrote them, empty where none was sent.
    pub value: Bytes,
}

/// Something that is to happen at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// When.
    pub due: Millis,
    /// Grows with every setting of a timer of this identity.
    pub generation: u64,
    /// What its node needs to know then.
    pub payload: Bytes,
}

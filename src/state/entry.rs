//! What a store keeps, decoded.

use crate::record::{Millis, Text, Value};
use bytes::Bytes;

/// An aggregate's state.
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
}

/// A request that was answered: what a repetition of it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// From then on the request counts as unknown again.
    pub expires_at: Millis,
    /// The reply: a record's bytes as `node` wrote them; empty where none was sent.
    pub reply: Bytes,
}

//! What happens with failures.

use super::{Message, Retry};
use crate::record::Millis;

/// What happens with failures at a node, field by field the nearest declaration.
#[derive(Clone, Debug)]
pub struct Errors {
    /// Bytes, envelope or schema of what was read are wrong; never [`Then::Park`].
    pub undecodable: Then,
    /// How often what may pass is tried, while its key waits.
    pub retry: Retry,
    /// The record would fail again, or its tries are used up.
    pub then: Then,
    /// How much may wait.
    pub park: Park,
    /// The partition halts when more than this cannot be read.
    pub stop_above: Option<StopAbove>,
    /// Sent beside the dead letter of a record that could be decoded.
    pub emit: Vec<Message>,
    /// Locals of the frame that `emit` runs in.
    pub locals: usize,
}

impl Errors {
    /// All tries of a record that may pass, where the file does not say.
    pub const ATTEMPTS: u32 = 5;
}

impl Default for Errors {
    fn default() -> Self {
        Self {
            undecodable: Then::Skip,
            retry: Retry::of(Self::ATTEMPTS),
            then: Then::Skip,
            park: Park::default(),
            stop_above: None,
            emit: Vec::new(),
            locals: 0,
        }
    }
}

/// The road of a failed record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// A dead letter, and the partition goes on.
    #[default]
    Skip,
    /// The partition halts at the record.
    Stop,
    /// A dead letter, and later records of the key wait for an operator.
    Park,
}

/// How many records may wait behind failed ones: over it the partition pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Park {
    /// Of one key, at least 1.
    pub per_key: u64,
    /// Of a partition of a node, at least as many; a key that is held counts as one more.
    pub per_partition: u64,
}

impl Default for Park {
    fn default() -> Self {
        Self { per_key: 1_000, per_partition: 100_000 }
    }
}

/// A share of records that cannot be read, above which the partition halts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StopAbove {
    /// From above 0 to below 1.
    pub share: f64,
    /// Counted over the records of so many milliseconds.
    pub within: Millis,
    /// Of fewer records than these nothing follows.
    pub at_least: u64,
}

//! Questions about offsets, asked through a lane whose producer is never made.

use super::Transactions;
use crate::broker::{Broker, Error, ErrorClass, Guarantee, Isolation, Op, Outcome, Result, Span, TransactionSettings};
use crate::record::{Offset, TopicPartition};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Asks one question after the other.
pub struct Lookup {
    lane: Box<dyn Transactions>,
    answered: Receiver<()>,
}

impl Lookup {
    /// A lane for questions only.
    pub fn new(broker: &dyn Broker) -> Result<Self> {
        Self::with_id(broker, "skald")
    }

    /// A lane whose transactions have this id, for whoever makes some.
    pub fn with_id(broker: &dyn Broker, transactional_id: &str) -> Result<Self> {
        Self::sending(broker, transactional_id, 1 << 20)
    }

    /// A lane whose transactions have this id and records of at most so many bytes.
    pub fn sending(broker: &dyn Broker, transactional_id: &str, max_message_bytes: usize) -> Result<Self> {
        Self::open(broker, "skald", transactional_id, max_message_bytes)
    }

    /// A lane for questions about a group's offsets.
    pub fn of_group(broker: &dyn Broker, group: &str) -> Result<Self> {
        Self::open(broker, group, "skald", 1 << 20)
    }

    fn open(broker: &dyn Broker, group: &str, transactional_id: &str, max_message_bytes: usize) -> Result<Self> {
        let (ring, answered) = channel();
        let lane = broker.transactions(&TransactionSettings {
            group: group.into(),
            transactional_id: transactional_id.into(),
            client_id: "skald-tool".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes,
            max_batch_bytes: max_message_bytes.min(1 << 20),
            guarantee: Guarantee::default(),
            wake: Arc::new(move || {
                // Nobody listens once the lane is gone.
                let _ = ring.send(());
            }),
        })?;
        Ok(Self { lane, answered })
    }

    /// Waits for the answer.
    pub fn ask(&mut self, op: Op) -> Result<Outcome> {
        self.lane.submit(op);
        loop {
            if let Some(reply) = self.lane.reply() {
                return reply.result;
            }
            if self.answered.recv_timeout(TIMEOUT).is_err() {
                let message = format!("no answer within {TIMEOUT:?}");
                return Err(Error::new(ErrorClass::Retry, "asking the cluster", message));
            }
        }
    }

    /// Next offset to read of partitions, as the group has committed them; what is in an open transaction is not waited for.
    pub fn committed(&mut self, partitions: Vec<TopicPartition>) -> Result<Vec<(TopicPartition, Option<Offset>)>> {
        match self.ask(Op::Committed { partitions, isolation: Isolation::ReadUncommitted })? {
            Outcome::Committed(found) => {
                Ok(found.into_iter().map(|(part, place)| (part, place.map(|place| place.offset))).collect())
            }
            _ => Err(unexpected()),
        }
    }

    /// First and next offset of partitions.
    pub fn ends(&mut self, partitions: Vec<TopicPartition>, isolation: Isolation) -> Result<Vec<(TopicPartition, Span)>> {
        match self.ask(Op::Ends { partitions, isolation })? {
            Outcome::Ends(ends) => Ok(ends),
            _ => Err(unexpected()),
        }
    }
}

pub(super) fn unexpected() -> Error {
    Error::new(ErrorClass::Fatal, "asking the cluster", "the answer is to another question")
}

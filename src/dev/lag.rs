//! How far a group is behind the ends of what it reads, as the broker knows it.

use crate::broker::{Broker, Error, ErrorClass, Guarantee, Isolation, Op, Outcome, TransactionSettings, Transactions};
use crate::clock::Clock;
use crate::record::{Text, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;

/// A broker in this process answers at once; this is for one that does not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for ends and committed offsets of some partitions.
pub struct Lag {
    lane: Box<dyn Transactions>,
    partitions: Vec<TopicPartition>,
    clock: Arc<dyn Clock>,
}

impl Lag {
    /// Of a group and these topics (name and number of partitions). Asked from the thread that made it.
    pub fn new(broker: &dyn Broker, clock: Arc<dyn Clock>, group: &Text, topics: &[(String, u32)]) -> Result<Self, Error> {
        let asker: Thread = std::thread::current();
        let settings = TransactionSettings {
            guarantee: Guarantee::default(),
            group: group.clone(),
            // Never initialised: no transaction is made under this id.
            transactional_id: "dev.lag".into(),
            client_id: "dev-lag".into(),
            transaction_timeout: ANSWER_TIMEOUT,
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(move || asker.unpark()),
        };
        let partitions = topics.iter().flat_map(|(topic, partitions)| {
            (0..*partitions).map(|partition| TopicPartition::new(topic.as_str(), partition as i32))
        });
        Ok(Self { lane: broker.transactions(&settings)?, partitions: partitions.collect(), clock })
    }

    /// Offsets between what the group has committed and the ends. Control markers count too, until the group has passed them.
    pub fn offsets(&mut self) -> Result<u64, Error> {
        let (partitions, isolation) = (self.partitions.clone(), Isolation::ReadUncommitted);
        let Outcome::Committed(committed) = self.ask(Op::Committed { partitions: partitions.clone(), isolation })? else {
            return Err(unexpected());
        };
        let Outcome::Ends(ends) = self.ask(Op::Ends { partitions, isolation })? else { return Err(unexpected()) };
        let committed: BTreeMap<TopicPartition, i64> =
            committed.into_iter().filter_map(|(partition, offset)| Some((partition, offset?.offset))).collect();
        let behind = ends.iter().map(|(partition, span)| {
            let reached = committed.get(partition).copied().unwrap_or(span.start);
            u64::try_from(span.end - reached).unwrap_or(0)
        });
        Ok(behind.sum())
    }

    fn ask(&mut self, op: Op) -> Result<Outcome, Error> {
        self.lane.submit(op);
        let begun = self.clock.mono();
        loop {
            if let Some(reply) = self.lane.reply() {
                return reply.result;
            }
            if self.clock.mono().saturating_sub(begun) >= ANSWER_TIMEOUT {
                return Err(Error::new(ErrorClass::Retry, "asking for offsets", "the broker does not answer"));
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn unexpected() -> Error {
    Error::new(ErrorClass::Fatal, "asking for offsets", "the answer is to another question")
}

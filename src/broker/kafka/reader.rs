//! A reader of whole partitions.
//!
//! Each partition has a queue of its own, so an error and an end belong to a partition by the queue they come from. The end is
//! needed: a log may end in what this reader is not shown, and no record leads over that.

use super::context::ReaderContext;
use super::error::About;
use super::intake::hand_over;
use super::properties::Properties;
use super::trouble::trouble_kind;
use crate::broker::{Isolation, Limit, LogReader, Result, Trouble};
use crate::clock::{Clock, SystemClock};
use crate::record::{Offset, RecordRef, TopicPartition};
use crate::sync::lock;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The group that a reader names because librdkafka wants one; it is never joined and nothing is committed to it.
const NO_GROUP: &str = "skald";
/// Records taken from one partition before the next one has its turn.
const TURN: usize = 512;
/// The clock is read once in so many records.
const RECORDS_BETWEEN_CLOCK_READS: usize = 32;

/// See the module.
pub(super) struct Reader {
    parts: Vec<Part>,
    consumer: Arc<BaseConsumer<ReaderContext>>,
    bell: Arc<Bell>,
    clock: SystemClock,
    /// Whose turn it is.
    turn: usize,
}

struct Part {
    name: TopicPartition,
    queue: PartitionQueue<ReaderContext>,
    /// Next offset: of the assignment, behind the last record, or the end that was reached.
    position: Offset,
    at_end: bool,
}

/// Rung by librdkafka when a queue has something.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.changed.notify_one();
    }

    fn wait(&self, longest: Duration) {
        let rung = lock(&self.rung);
        let (mut rung, _) =
            self.changed.wait_timeout_while(rung, longest, |rung| !*rung).unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}

impl Reader {
    pub(super) fn new(properties: &Properties, isolation: Isolation) -> Result<Self> {
        let config = properties.reader(NO_GROUP, isolation);
        let mut consumer: BaseConsumer<ReaderContext> = config
            .create_with_context(ReaderContext::default())
            .map_err(|error| About::new("starting a reader").error(&error))?;
        let bell = Arc::new(Bell::default());
        let ring = bell.clone();
        consumer.set_nonempty_callback(move || ring.ring());
        Ok(Self { parts: Vec::new(), consumer: Arc::new(consumer), bell, clock: SystemClock::new(), turn: 0 })
    }

    /// Was the end reached, with nothing behind it yet?
    pub(super) fn at_end(&self, partition: &TopicPartition) -> bool {
        self.parts.iter().any(|part| part.name == *partition && part.at_end)
    }

    /// Log lines, errors of connections: nothing here belongs to a partition.
    fn serve(&self) {
        loop {
            let before = self.consumer.context().notes.served();
            let error = self.consumer.poll(Duration::ZERO).is_some();
            if !error && self.consumer.context().notes.served() == before {
                return;
            }
        }
    }
}

impl LogReader for Reader {
    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        let about = About::new("assigning partitions to a reader");
        self.consumer.unassign().map_err(|error| about.error(&error))?;
        self.parts.clear();
        self.turn = 0;
        let mut list = TopicPartitionList::with_capacity(from.len());
        for (name, offset) in from {
            list.add_partition_offset(&name.topic, name.partition, Place::Offset((*offset).max(0)))
                .map_err(|error| about.error(&error))?;
            // Before the assignment: what is fetched then goes to this queue from the first record on.
            let queue = self.consumer.split_partition_queue(&name.topic, name.partition);
            let mut queue = queue.ok_or_else(|| about.code(Code::UnknownPartition))?;
            let bell = self.bell.clone();
            queue.set_nonempty_callback(move || bell.ring());
            self.parts.push(Part { name: name.clone(), queue, position: (*offset).max(0), at_end: false });
        }
        self.consumer.assign(&list).map_err(|error| about.error(&error))
    }

    fn poll(&mut self, limit: Limit, each: &mut dyn FnMut(RecordRef<'_>)) -> std::result::Result<(), Trouble> {
        let started = self.clock.mono();
        let mut records = 0;
        loop {
            self.serve();
            let before = records;
            for _ in 0..self.parts.len() {
                let index = self.turn % self.parts.len();
                self.turn = index + 1;
                let part = &mut self.parts[index];
                let mut left = TURN;
                while left > 0 {
                    if records >= limit.records {
                        return Ok(());
                    }
                    match part.queue.poll(Duration::ZERO) {
                        Some(Ok(message)) => {
                            hand_over(&message, each);
                            part.position = rdkafka::Message::offset(&message) + 1;
                            part.at_end = false;
                            records += 1;
                            left -= 1;
                            if records % RECORDS_BETWEEN_CLOCK_READS == 0 && self.clock.mono() - started >= limit.time {
                                return Ok(());
                            }
                        }
                        Some(Err(KafkaError::PartitionEOF(_))) => {
                            let end = end_offset(&self.consumer.context().notes.last_reason());
                            part.position = part.position.max(end.unwrap_or(-1));
                            part.at_end = true;
                        }
                        Some(Err(error)) => {
                            let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
                            if let Some(kind) = trouble_kind(code) {
                                return Err(Trouble { input: part.name.clone(), kind });
                            }
                        }
                        None => break,
                    }
                }
            }
            let gone = self.clock.mono() - started;
            if gone >= limit.time || (records > 0 && records == before) {
                return Ok(());
            }
            if records == before {
                self.bell.wait(limit.time - gone);
            }
        }
    }

    fn position(&self, partition: &TopicPartition) -> Offset {
        self.parts.iter().find(|part| part.name == *partition).map_or(0, |part| part.position)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A queue must not go while its partition is assigned.
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!("{error}");
        }
    }
}

/// The offset of `… reached end of partition at offset <n> (…`.
fn end_offset(reason: &str) -> Option<Offset> {
    let (_, rest) = reason.split_once("reached end of partition at offset ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_without_time_does_not_wait() {
        // Nobody is there, so nothing comes.
        let mut reader = Reader::new(&Properties::new("127.0.0.1:1"), Isolation::ReadCommitted).expect("a reader");
        for assigned in [vec![], vec![(TopicPartition::new("t", 0), 0)]] {
            reader.assign(&assigned).expect("assigned");
            for _ in 0..10 {
                // A wait would take the ring.
                reader.bell.ring();
                reader.poll(Limit { records: 10, time: Duration::ZERO }, &mut |_| panic!("no record")).expect("no trouble");
                assert!(*lock(&reader.bell.rung));
            }
        }
    }
}

//! Carries out the operations of a lane, each in bounded time.
//!
//! Deliveries are drained by a loop of our own: the wrapper's commit with records in flight costs 100 ms, and nobody else polls
//! the producer. The bounds lie below the ten seconds after which the runtime gives a lane up.

use super::deliveries::ProducerSide;
use super::error::About;
use super::lookups::LookUps;
use super::ownership::{Token, stamped};
use super::properties::Properties;
use super::spawn;
use super::trim::Trims;
use crate::broker::{Batch, BatchRecord, Error, ErrorClass, Guarantee, Op, Outcome, Ownership, Result, TransactionSettings};
use crate::clock::{Clock, SystemClock};
use crate::record::{Millis, Offset, Partition, Text, TopicPartition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait of one call of the transactional protocol.
const CALL_TIMEOUT: Duration = Duration::from_secs(9);
/// Longest wait of an abort for records in flight, before the client throws them away.
const ABORT_DRAIN: Duration = Duration::from_secs(2);
/// Shortest and longest pause between two looks at the deliveries: short against a broker's answer, long against a look.
const DRAIN_PAUSES: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(1));
/// In between, a pause is this part of what was waited so far: an answer is noticed soon for what it took, and a slow one is not
/// paid for by a wake-up every 100 µs, which were a tenth of the process's CPU.
const DRAIN_PAUSE_PART: u32 = 8;
/// Records in a request, below the client's own bound (`batch.num.messages`).
const REQUEST_RECORDS: usize = 9_000;
/// Records handed over between two looks at the deliveries.
const RECORDS_BETWEEN_LOOKS: usize = 1024;

type Client = BaseProducer<ProducerSide>;

/// See the module.
pub(super) struct Operator {
    properties: Arc<Properties>,
    settings: TransactionSettings,
    clock: SystemClock,
    /// Bytes of a request for a partition.
    request_bytes: usize,
    producer: Option<Client>,
    /// A delivery of the open transaction failed.
    gap: bool,
    /// Offsets that are committed by themselves, without transactions.
    to_commit: Option<(TopicPartitionList, Ownership)>,
    look_ups: LookUps,
    trims: Trims,
}

impl Operator {
    pub(super) fn new(properties: Arc<Properties>, settings: TransactionSettings) -> Self {
        Self {
            look_ups: LookUps::new(properties.clone(), settings.group.clone()),
            request_bytes: properties.request_bytes(&settings),
            properties,
            settings,
            clock: SystemClock::new(),
            producer: None,
            gap: false,
            to_commit: None,
            trims: Trims::default(),
        }
    }

    pub(super) fn execute(&mut self, op: Op) -> Result<Outcome> {
        match op {
            Op::Init => self.init(),
            Op::Rebuild => {
                self.let_go();
                self.init()
            }
            Op::Begin => self.begin(),
            Op::Produce(batch) => self.produce(&batch),
            Op::Drain => self.drain(),
            Op::SendOffsets { offsets, stamp, ownership } => self.send_offsets(&offsets, &stamp, &ownership),
            Op::Commit => self.commit(),
            Op::Abort if self.is_transactional() => self.abort(),
            Op::Abort => self.settle(),
            Op::Committed { partitions, isolation } => self.look_ups.committed(&partitions, isolation),
            Op::Ends { partitions, isolation } => self.look_ups.ends(&partitions, isolation),
            Op::OffsetsAt(moments) => self.look_ups.offsets_at(&moments),
            Op::Counts(topics) => self.look_ups.counts(&topics),
            Op::Fence(id) => self.fence(&id),
            Op::Trim(before) => self.trims.trim(before, &self.properties, self.look_ups.client()?),
        }
    }

    fn is_transactional(&self) -> bool {
        self.settings.guarantee == Guarantee::ExactlyOnce
    }

    /// Was there a disconnect or a time-out since the last call?
    pub(super) fn take_trouble(&self) -> bool {
        let Some(producer) = &self.producer else { return false };
        look(producer);
        producer.context().notes.take_trouble()
    }

    fn about(&self, what: &str) -> About {
        About::new(what).of_group(self.settings.group.clone()).with_id(self.settings.transactional_id.clone())
    }

    fn about_writing(&self, what: &str, topic: &Text, partition: Partition) -> About {
        self.about(&format!("{what} `{topic}-{partition}`")).on_topic(topic.clone(), "Write")
    }

    fn producer(&self) -> Result<&Client> {
        self.producer.as_ref().ok_or_else(|| Error::new(ErrorClass::Fatal, "using the producer", "it was never initialised"))
    }

    fn init(&mut self) -> Result<Outcome> {
        let id = self.settings.transactional_id.clone();
        let about = self.about(&format!("initialising transactions of `{id}`"));
        if self.producer.is_none() {
            self.producer = Some(self.connect(&id, &about)?);
        }
        let producer = self.producer()?;
        if !self.is_transactional() {
            return Ok(Outcome::Done);
        }
        match producer.init_transactions(CALL_TIMEOUT) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) => {
                look(producer);
                let mut error = about.error(&error);
                let last = producer.context().notes.last_error();
                if error.class == ErrorClass::Retry && !last.is_empty() {
                    error.message = format!("{}: {last}", error.message);
                }
                Err(error)
            }
        }
    }

    fn connect(&self, id: &str, about: &About) -> Result<Client> {
        let config = match self.settings.guarantee {
            Guarantee::ExactlyOnce => self.properties.transactional(&self.settings, id),
            Guarantee::AtLeastOnce => self.properties.untransacted(&self.settings),
        };
        config.create_with_context(ProducerSide::default()).map_err(|error| about.error(&error))
    }

    /// Drops the producer in the background: it may wait for its last requests.
    fn let_go(&mut self) {
        if let Some(old) = self.producer.take()
            && let Err(error) = spawn("kafka-drop", move || drop(old))
        {
            tracing::warn!("{error}");
        }
    }

    fn fence(&self, id: &str) -> Result<Outcome> {
        let about = About::new(format!("ending the open transaction of `{id}`")).with_id(id);
        let config = self.properties.transactional(&self.settings, id);
        let producer: Client = config.create_with_context(ProducerSide::default()).map_err(|error| about.error(&error))?;
        producer.init_transactions(CALL_TIMEOUT).map_err(|error| about.error(&error))?;
        Ok(Outcome::Done)
    }

    fn begin(&mut self) -> Result<Outcome> {
        let about = self.about("beginning a transaction");
        (self.gap, self.to_commit) = (false, None);
        let producer = self.producer()?;
        producer.context().take_deliveries();
        producer.context().notes.forget_refused();
        if self.is_transactional() {
            producer.begin_transaction().map_err(|error| about.error(&error))?;
        } else if let Some((_, text)) = producer.client().fatal_error() {
            return Err(Error::new(ErrorClass::Fatal, about.what, text));
        }
        Ok(Outcome::Done)
    }

    /// Commits the transaction, or the offsets alone.
    fn commit(&mut self) -> Result<Outcome> {
        if self.is_transactional() {
            let about = self.about("committing a transaction");
            self.producer()?.commit_transaction(CALL_TIMEOUT).map_err(|error| about.error(&error))?;
        } else if let Some((offsets, ownership)) = &self.to_commit {
            let about = self.about_offsets("committing offsets", offsets.elements().iter().map(|one| one.topic()));
            Token::from(ownership, &about)?.commit(offsets, &about)?;
        }
        Ok(Outcome::Done)
    }

    /// Waits until nothing is in flight any more, so that nothing comes after what is written next.
    fn settle(&mut self) -> Result<Outcome> {
        let started = self.clock.mono();
        let producer = self.producer()?;
        loop {
            look(producer);
            if producer.in_flight_count() == 0 {
                producer.context().take_deliveries();
                return Ok(Outcome::Done);
            }
            if self.clock.mono() - started > self.longest_delivery() {
                return Err(Error::new(ErrorClass::Fatal, "waiting for deliveries", "the client does not give them up"));
            }
            self.pause_since(started);
        }
    }

    fn pause_since(&self, started: Duration) {
        let (shortest, longest) = DRAIN_PAUSES;
        std::thread::sleep(((self.clock.mono() - started) / DRAIN_PAUSE_PART).clamp(shortest, longest));
    }

    /// Deliveries fail by themselves after the message time-out; more than that is a client that hangs.
    fn longest_delivery(&self) -> Duration {
        let timeout = match self.settings.guarantee {
            Guarantee::ExactlyOnce => self.properties.message_timeout(),
            Guarantee::AtLeastOnce => self.properties.message_timeout().min(self.settings.transaction_timeout),
        };
        (timeout + Duration::from_secs(1)).min(CALL_TIMEOUT)
    }

    /// Hands the records over in rounds of one request for each partition at most, and waits for the answers between two.
    ///
    /// The client has one request of a partition on its way at a time, and while there is more for that partition its thread spins
    /// until the answer is there (`rd_kafka_toppar_producer_serve` takes the number of *messages* under way for that of requests).
    /// So it gets no more than it can send.
    fn produce(&mut self, batch: &Batch) -> Result<Outcome> {
        let started = self.clock.mono();
        let longest = if self.is_transactional() { CALL_TIMEOUT } else { self.longest_delivery() };
        let mut last = 0;
        for (index, (round, record)) in batch.in_rounds(self.request_bytes, REQUEST_RECORDS).enumerate() {
            if round > last {
                last = round;
                let delivered = self.deliver(started, longest);
                self.gap |= delivered.is_err();
                delivered?;
            }
            let producer = self.producer()?;
            let mut ready = outgoing(&record);
            while let Err((error, back)) = producer.send(ready) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) || self.clock.mono() - started > longest {
                    return Err(self.refusal(producer, &record, &error));
                }
                look(producer);
                std::thread::sleep(DRAIN_PAUSES.1);
                ready = back;
            }
            if index % RECORDS_BETWEEN_LOOKS == RECORDS_BETWEEN_LOOKS - 1 {
                look(producer);
            }
        }
        look(self.producer()?);
        Ok(Outcome::Done)
    }

    /// Why a record was not taken. A transaction that has failed already refuses records by their state, not by its cause.
    fn refusal(&self, producer: &Client, record: &BatchRecord<'_>, error: &KafkaError) -> Error {
        let about = self.about_writing("producing to", record.topic(), record.partition());
        if matches!(error.rdkafka_error_code(), Some(Code::State | Code::PurgeQueue | Code::Fatal))
            && let Some(cause) = self.cause(producer, about.clone())
        {
            return cause;
        }
        let mut error = about.error(error);
        if error.class == ErrorClass::Retry {
            // Some records are in, this one is not: the batch cannot be repeated within the transaction.
            error.class = ErrorClass::Abortable;
        }
        error
    }

    /// What made the transaction fail. Asked by `begin`, which is legal in no state that this can be called in and answers with
    /// the failure.
    fn cause(&self, producer: &Client, about: About) -> Option<Error> {
        let about = match producer.context().notes.refused() {
            Some(topic) => About { what: format!("adding `{topic}` to a transaction"), ..about.on_topic(topic, "Write") },
            None => about,
        };
        if !self.is_transactional() {
            let fatal = producer.client().fatal_error()?;
            return Some(Error::new(about.code(fatal.0).class, about.what.clone(), fatal.1));
        }
        match producer.begin_transaction() {
            Err(KafkaError::Transaction(error)) if error.code() == Code::State || error.code() == Code::Conflict => None,
            Err(error) => Some(about.error(&error)),
            Ok(()) => None,
        }
    }

    fn drain(&mut self) -> Result<Outcome> {
        let drained = self.deliveries();
        self.gap |= drained.is_err();
        drained
    }

    fn deliveries(&self) -> Result<Outcome> {
        self.deliver(self.clock.mono(), self.longest_delivery())?;
        let ends = self.producer()?.context().take_deliveries().ends;
        let mut drained: Vec<_> = ends.into_iter().map(|((topic, partition), end)| (topic, partition, end)).collect();
        drained.sort_unstable();
        Ok(Outcome::Drained(drained))
    }

    /// Waits until all that was handed over is delivered, or something is not.
    fn deliver(&self, started: Duration, longest: Duration) -> Result<()> {
        let producer = self.producer()?;
        let waits = self.clock.mono();
        loop {
            look(producer);
            if let Some(failure) = producer.context().failure() {
                let about = self.about_writing("delivering to", &failure.topic, failure.partition);
                if failure.is_purge()
                    && let Some(cause) = self.cause(producer, about.clone())
                {
                    return Err(cause);
                }
                let mut error = about.code(failure.code);
                if error.class == ErrorClass::Retry {
                    error.class = ErrorClass::Abortable;
                }
                return Err(error);
            }
            if producer.in_flight_count() == 0 {
                return Ok(());
            }
            if self.clock.mono() - started > longest {
                let about = self.about("waiting for deliveries");
                return Err(Error::new(ErrorClass::Abortable, about.what, "not everything was delivered in time"));
            }
            self.pause_since(waits);
        }
    }

    fn about_offsets<'t>(&self, what: &str, topics: impl Iterator<Item = &'t str>) -> About {
        let mut about = self.about(what);
        about.topic_right = format!("Topic {}: Read", distinct(topics.collect()).join(", ")).into();
        about
    }

    fn send_offsets(&mut self, offsets: &[(TopicPartition, Offset)], stamp: &str, ownership: &Ownership) -> Result<Outcome> {
        let topics = offsets.iter().map(|(one, _)| one.topic.as_str());
        let about = self.about_offsets("adding offsets to a transaction", topics);
        let list = stamped(offsets, stamp, &about)?;
        let token = Token::from(ownership, &about)?;
        if self.is_transactional() {
            let metadata = token.metadata(&about)?;
            let sent = self.producer()?.send_offsets_to_transaction(&list, metadata, CALL_TIMEOUT);
            sent.map_err(|error| token.refused(&error, &about))?;
            token.taken();
        } else if !offsets.is_empty() {
            self.to_commit = Some((list, ownership.clone()));
        }
        Ok(Outcome::Done)
    }

    fn abort(&mut self) -> Result<Outcome> {
        let about = self.about("aborting a transaction");
        let producer = self.producer()?;
        let started = self.clock.mono();
        while producer.in_flight_count() > 0 && self.clock.mono() - started < ABORT_DRAIN {
            look(producer);
            self.pause_since(started);
        }
        loop {
            // In slices: the client waits for records in flight, and only this thread can serve their reports.
            let answer = producer.abort_transaction(Duration::from_millis(200));
            look(producer);
            match answer {
                Ok(()) => break,
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && !error.is_fatal() && self.clock.mono() - started < CALL_TIMEOUT => {}
                Err(error) => return Err(about.error(&error)),
            }
        }
        let failed = producer.context().take_deliveries().failed.is_some();
        if failed || self.gap {
            // A record that the broker refused has used a sequence number up: the next transaction would fail at the gap. A
            // producer made anew starts without one.
            self.gap = false;
            self.let_go();
            return self.init();
        }
        Ok(Outcome::Done)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Serves whatever waits: deliveries, errors, log lines.
pub(super) fn look(producer: &Client) {
    loop {
        let before = producer.context().notes.served();
        producer.poll(Duration::ZERO);
        if producer.context().notes.served() == before {
            return;
        }
    }
}

/// A record of a batch in the client's form.
fn outgoing<'a>(record: &BatchRecord<'a>) -> BaseRecord<'a, [u8], [u8], usize> {
    let all = record.headers();
    let mut headers = (all.len() > 0).then(|| OwnedHeaders::new_with_capacity(all.len()));
    for header in all {
        headers = headers.map(|headers| headers.insert(Header { key: header.name, value: header.value }));
    }
    BaseRecord {
        topic: record.topic(),
        partition: Some(record.partition()),
        payload: record.value(),
        key: record.key(),
        timestamp: sendable(record.timestamp()),
        headers,
        delivery_opaque: usize::from(record.topic_index()),
    }
}

/// librdkafka writes the present time for 0; the millisecond after it is the nearest that it can write.
pub(super) fn sendable(timestamp: Millis) -> Option<Millis> {
    match timestamp {
        ..0 => None,
        0 => Some(1),
        _ => Some(timestamp),
    }
}

fn distinct(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}

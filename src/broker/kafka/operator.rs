//! Carries out the operations of a lane, each in bounded time.
//!
//! Deliveries are drained by a loop of our own: the wrapper's commit with records in flight costs 100 ms, and nobody else polls
//! the producer. The bounds lie below the ten seconds after which the runtime gives a lane up.

use super::consumer::Token;
use super::context::{ProducerSide, ReaderContext};
use super::error::About;
use super::properties::Properties;
use super::trim::Trims;
use super::{serve, spawn};
use crate::broker::{
    Batch, BatchRecord, CommittedOffset, Error, ErrorClass, Isolation, Op, Outcome, Ownership, Result, Span,
    TransactionSettings,
};
use crate::clock::{Clock, SystemClock};
use crate::record::{Millis, Offset, Text, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait of one call of the transactional protocol.
const CALL_TIMEOUT: Duration = Duration::from_secs(9);
/// Longest wait of an abort for records in flight, before the client throws them away.
const ABORT_DRAIN: Duration = Duration::from_secs(2);
/// A look-up that waits for an open transaction gives up after so long: the task behind it is only one of several.
const STABLE_TIMEOUT: Duration = Duration::from_millis(500);
/// Other look-ups, and the first one of a client, which has to connect.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two looks at the deliveries: short against a broker's answer, long against a look.
const DRAIN_PAUSE: Duration = Duration::from_micros(100);
/// Records handed over between two looks at the deliveries.
const RECORDS_BETWEEN_LOOKS: usize = 1024;

type Client = BaseProducer<ProducerSide>;
type Reads = BaseConsumer<ReaderContext>;

/// See the module.
pub(super) struct Operator {
    properties: Arc<Properties>,
    settings: TransactionSettings,
    clock: SystemClock,
    producer: Option<Client>,
    /// A delivery of the open transaction failed.
    gap: bool,
    /// Clients for look-ups by isolation, made when first needed; `true` after the first answer.
    stable: Option<(Reads, bool)>,
    unstable: Option<(Reads, bool)>,
    trims: Trims,
}

impl Operator {
    pub(super) fn new(properties: Arc<Properties>, settings: TransactionSettings) -> Self {
        Self {
            properties,
            settings,
            clock: SystemClock::new(),
            producer: None,
            gap: false,
            stable: None,
            unstable: None,
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
            Op::Begin => {
                let about = self.about("beginning a transaction");
                self.gap = false;
                self.producer()?.context().take_deliveries();
                self.producer()?.begin_transaction().map_err(|error| about.error(&error))?;
                Ok(Outcome::Done)
            }
            Op::Produce(batch) => self.produce(&batch),
            Op::Drain => self.drain(),
            Op::SendOffsets { offsets, stamp, ownership } => self.send_offsets(&offsets, &stamp, &ownership),
            Op::Commit => {
                let about = self.about("committing a transaction");
                self.producer()?.commit_transaction(CALL_TIMEOUT).map_err(|error| about.error(&error))?;
                Ok(Outcome::Done)
            }
            Op::Abort => self.abort(),
            Op::Committed { partitions, isolation } => self.committed(&partitions, isolation),
            Op::Ends { partitions, isolation } => self.ends(&partitions, isolation),
            Op::OffsetsAt(moments) => self.offsets_at(&moments),
            Op::Counts(topics) => self.counts(&topics),
            Op::Fence(id) => self.fence(&id),
            Op::Trim(before) => {
                self.reads(Isolation::ReadCommitted)?;
                let (reads, _) = self.stable.as_ref().expect("just made");
                self.trims.trim(before, &self.properties, reads)
            }
        }
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
        let config = self.properties.transactional(&self.settings, id);
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
        let producer = self.connect(id, &about)?;
        producer.init_transactions(CALL_TIMEOUT).map_err(|error| about.error(&error))?;
        Ok(Outcome::Done)
    }

    fn produce(&self, batch: &Batch) -> Result<Outcome> {
        let producer = self.producer()?;
        let started = self.clock.mono();
        for (index, record) in batch.iter().enumerate() {
            let mut ready = outgoing(&record);
            while let Err((error, back)) = producer.send(ready) {
                if error.rdkafka_error_code() != Some(Code::QueueFull) || self.clock.mono() - started > CALL_TIMEOUT {
                    return Err(self.refusal(producer, &record, &error));
                }
                look(producer);
                std::thread::sleep(DRAIN_PAUSE);
                ready = back;
            }
            if index % RECORDS_BETWEEN_LOOKS == RECORDS_BETWEEN_LOOKS - 1 {
                look(producer);
            }
        }
        look(producer);
        Ok(Outcome::Done)
    }

    /// Why a record was not taken. A transaction that has failed already refuses records by their state, not by its cause.
    fn refusal(&self, producer: &Client, record: &BatchRecord<'_>, error: &KafkaError) -> Error {
        let about = self.about(&format!("producing to `{}-{}`", record.topic(), record.partition()));
        let about = about.on_topic(record.topic().clone(), "Write");
        if matches!(error.rdkafka_error_code(), Some(Code::State | Code::PurgeQueue | Code::Fatal))
            && let Some(cause) = self.cause(producer, &about)
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
    fn cause(&self, producer: &Client, about: &About) -> Option<Error> {
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
        let producer = self.producer()?;
        let started = self.clock.mono();
        // Deliveries fail by themselves after the message time-out; more than that is a client that hangs.
        let longest = (self.properties.message_timeout() + Duration::from_secs(1)).min(CALL_TIMEOUT);
        loop {
            look(producer);
            if let Some(failure) = producer.context().failure() {
                let about = self.about(&format!("delivering to `{}-{}`", failure.topic, failure.partition));
                let about = about.on_topic(failure.topic.clone(), "Write");
                if failure.is_purge()
                    && let Some(cause) = self.cause(producer, &about)
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
                let ends = producer.context().take_deliveries().ends;
                let mut drained: Vec<_> = ends.into_iter().map(|((topic, partition), end)| (topic, partition, end)).collect();
                drained.sort_unstable();
                return Ok(Outcome::Drained(drained));
            }
            if self.clock.mono() - started > longest {
                let about = self.about("waiting for deliveries");
                return Err(Error::new(ErrorClass::Abortable, about.what, "not everything was delivered in time"));
            }
            std::thread::sleep(DRAIN_PAUSE);
        }
    }

    fn send_offsets(&self, offsets: &[(TopicPartition, Offset)], stamp: &str, ownership: &Ownership) -> Result<Outcome> {
        let mut about = self.about("adding offsets to a transaction");
        let topics: Vec<&str> = offsets.iter().map(|(one, _)| one.topic.as_str()).collect();
        about.topic_right = format!("Topic {}: Read", distinct(topics).join(", ")).into();
        let token = ownership.0.downcast_ref::<Token>();
        let token =
            token.ok_or_else(|| Error::new(ErrorClass::Fatal, about.what.clone(), "the ownership is another broker's"))?;
        let Some(metadata) = &token.0 else {
            return Err(Error::new(ErrorClass::Abortable, about.what, "the consumer was in no group when it was captured"));
        };
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (one, offset) in offsets {
            let mut added = list.add_partition(&one.topic, one.partition);
            added.set_offset(Place::Offset(*offset)).map_err(|error| about.error(&error))?;
            added.set_metadata(stamp);
        }
        self.producer()?.send_offsets_to_transaction(&list, metadata, CALL_TIMEOUT).map_err(|error| about.error(&error))?;
        Ok(Outcome::Done)
    }

    fn abort(&mut self) -> Result<Outcome> {
        let about = self.about("aborting a transaction");
        let producer = self.producer()?;
        let started = self.clock.mono();
        while producer.in_flight_count() > 0 && self.clock.mono() - started < ABORT_DRAIN {
            look(producer);
            std::thread::sleep(DRAIN_PAUSE);
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

    /// The client for look-ups at an isolation, and the longest wait for it.
    fn reads(&mut self, isolation: Isolation) -> Result<(&Reads, bool)> {
        let about = About::new("starting a client");
        let config = self.properties.reader(&self.settings.group, isolation);
        let slot = match isolation {
            Isolation::ReadCommitted => &mut self.stable,
            Isolation::ReadUncommitted => &mut self.unstable,
        };
        if slot.is_none() {
            let client = config.create_with_context(ReaderContext::default()).map_err(|error| about.error(&error))?;
            *slot = Some((client, false));
        }
        let (client, warm) = slot.as_ref().expect("filled above");
        serve(client);
        Ok((client, *warm))
    }

    fn note_answer(&mut self, isolation: Isolation) {
        let slot = match isolation {
            Isolation::ReadCommitted => &mut self.stable,
            Isolation::ReadUncommitted => &mut self.unstable,
        };
        if let Some((_, warm)) = slot {
            *warm = true;
        }
    }

    fn committed(&mut self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Outcome> {
        if partitions.is_empty() {
            return Ok(Outcome::Committed(Vec::new()));
        }
        let about = self.about("reading committed offsets");
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            list.add_partition(&one.topic, one.partition);
        }
        let (client, warm) = self.reads(isolation)?;
        let longest = if warm && isolation == Isolation::ReadCommitted { STABLE_TIMEOUT } else { LOOKUP_TIMEOUT };
        let answer = client.committed_offsets(list, longest).map_err(|error| about.error(&error))?;
        let mut committed = Vec::with_capacity(partitions.len());
        for one in answer.elements() {
            let input = TopicPartition::new(one.topic(), one.partition());
            if let Err(error) = one.error() {
                return Err(about.clone().on_topic(input.topic, "Describe").error(&error));
            }
            let found = match one.offset() {
                // The wrapper panics on metadata that is not UTF-8; any client of the group may have written it.
                Place::Offset(offset) => Some(CommittedOffset {
                    offset,
                    metadata: catch_unwind(AssertUnwindSafe(|| Text::from(one.metadata()))).unwrap_or_default(),
                }),
                _ => None,
            };
            committed.push((input, found));
        }
        self.note_answer(isolation);
        Ok(Outcome::Committed(committed))
    }

    fn ends(&mut self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Outcome> {
        let starts = self.offsets(partitions.iter().map(|one| (one, Place::Beginning)), isolation)?;
        let ends = self.offsets(partitions.iter().map(|one| (one, Place::End)), isolation)?;
        let spans = starts.into_iter().zip(ends).map(|((one, start), (_, end))| (one, Span { start, end: end.max(start) }));
        Ok(Outcome::Ends(spans.collect()))
    }

    fn offsets_at(&mut self, moments: &[(TopicPartition, Millis)]) -> Result<Outcome> {
        let isolation = Isolation::ReadCommitted;
        let at = moments.iter().map(|(one, moment)| (one, Place::Offset((*moment).max(0))));
        let found = self.offsets(at, isolation)?;
        let none = |offset: Offset| offset < 0;
        let missing: Vec<TopicPartition> =
            found.iter().filter(|(_, offset)| none(*offset)).map(|(one, _)| one.clone()).collect();
        let ends = self.offsets(missing.iter().map(|one| (one, Place::End)), isolation)?;
        let mut ends = ends.into_iter();
        let with_ends = found.into_iter().map(|(one, offset)| match none(offset) {
            true => ends.next().unwrap_or((one, 0)),
            false => (one, offset),
        });
        Ok(Outcome::Offsets(with_ends.collect()))
    }

    /// One look-up by place or moment, in the order asked; negative where the answer is "the end".
    fn offsets<'a>(
        &mut self,
        asked: impl Iterator<Item = (&'a TopicPartition, Place)> + Clone,
        isolation: Isolation,
    ) -> Result<Vec<(TopicPartition, Offset)>> {
        let about = self.about("reading offsets of partitions");
        let mut list = TopicPartitionList::new();
        for (one, place) in asked.clone() {
            list.add_partition_offset(&one.topic, one.partition, place).map_err(|error| about.error(&error))?;
        }
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        let (client, _) = self.reads(isolation)?;
        let answer = match client.offsets_for_times(list, LOOKUP_TIMEOUT) {
            Ok(answer) => answer,
            Err(error) => {
                let error = about.error(&error);
                // Which one it is, is not said; only then, and not when the cluster is away, it is worth a look.
                let nameless = matches!(error.class, ErrorClass::Missing(_) | ErrorClass::Denied(_));
                let culprit = nameless.then(|| culprit(client, asked.map(|(one, _)| one))).flatten();
                return Err(culprit.map_or(error, |(topic, code)| about.on_topic(topic, "Describe").code(code)));
            }
        };
        let mut found = Vec::with_capacity(answer.count());
        for (one, _) in asked {
            let about = about.clone().on_topic(one.topic.clone(), "Describe");
            let answered = answer.find_partition(&one.topic, one.partition);
            let answered = answered.ok_or_else(|| about.code(Code::UnknownPartition))?;
            answered.error().map_err(|error| about.error(&error))?;
            let offset = match answered.offset() {
                Place::Offset(offset) => offset,
                _ => -1,
            };
            found.push((one.clone(), offset));
        }
        self.note_answer(isolation);
        Ok(found)
    }

    fn counts(&mut self, topics: &[Text]) -> Result<Outcome> {
        let about = self.about("reading partition counts");
        let (client, _) = self.reads(Isolation::ReadCommitted)?;
        let mut counts = Vec::with_capacity(topics.len());
        for topic in topics {
            let about = about.clone().on_topic(topic.clone(), "Describe");
            let answer = client.fetch_metadata(Some(topic), LOOKUP_TIMEOUT).map_err(|error| about.error(&error))?;
            let found = answer.topics().iter().find(|found| found.name() == topic.as_str());
            let count = match found.map(|found| (found.error().map(Code::from), found.partitions().len())) {
                Some((None, partitions)) if partitions > 0 => Some(partitions as u32),
                Some((Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::InvalidTopic), _)) | None => None,
                Some((Some(code), _)) => return Err(about.code(code)),
                // Created, but no partition has a leader yet.
                Some((None, _)) => return Err(about.code(Code::LeaderNotAvailable)),
            };
            counts.push((topic.clone(), count));
        }
        Ok(Outcome::Counts(counts))
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

/// The first of these inputs that the cluster does not have or does not show, and why. All looks together take no longer than
/// one look-up, and a look that fails is the last.
fn culprit<'a>(client: &Reads, inputs: impl Iterator<Item = &'a TopicPartition>) -> Option<(Text, Code)> {
    let mut highest: BTreeMap<&Text, i32> = BTreeMap::new();
    for one in inputs {
        let known = highest.entry(&one.topic).or_insert(one.partition);
        *known = one.partition.max(*known);
    }
    let clock = SystemClock::new();
    for (topic, partition) in highest {
        let answer = client.fetch_metadata(Some(topic), LOOKUP_TIMEOUT.saturating_sub(clock.mono())).ok()?;
        let found = answer.topics().iter().find(|found| found.name() == topic.as_str());
        match found.map(|found| (found.error().map(Code::from), found.partitions().len() as i32)) {
            Some((Some(Code::TopicAuthorizationFailed), _)) => return Some((topic.clone(), Code::TopicAuthorizationFailed)),
            Some((_, partitions)) if partitions > partition => {}
            _ => return Some((topic.clone(), Code::UnknownTopicOrPartition)),
        }
    }
    None
}

fn distinct(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names.dedup();
    names
}

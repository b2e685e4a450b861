//! The floor: what the client costs by itself.
//!
//! Records are consumed and produced again, exactly once, with the properties that the engine's own clients have, and nothing else is
//! done with them. It is measured beside the engine; nothing in production uses it.

use super::Kafka;
use super::context::ReaderContext;
use super::deliveries::ProducerSide;
use super::error::About;
use super::operator::look;
use crate::broker::{ConsumerSettings, Error, ErrorClass, Guarantee, Result, TransactionSettings};
use crate::clock::{Clock, SystemClock};
use crate::record::{Partition, Text};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// From where to where.
#[derive(Clone, Debug)]
pub struct PassThrough {
    /// Consumer group, and transactional id.
    pub group: Text,
    /// Topic that is read, from its beginning where the group has not committed.
    pub from: Text,
    /// Topic that is written; a record keeps its partition.
    pub to: Text,
    /// A transaction is committed at the latest when it is so old.
    pub commit_interval: Duration,
}

/// Longest wait for an answer of the cluster.
const CALL: Duration = Duration::from_secs(30);
/// Longest wait for a record before `stop` is asked again.
const IDLE: Duration = Duration::from_millis(100);
/// Nothing came for so long: what is there is committed.
const DRAINED: Duration = Duration::from_millis(5);
/// The clock is looked at once in so many records.
const BETWEEN_LOOKS: u64 = 64;
/// Pause between two looks at deliveries.
const PAUSE: Duration = Duration::from_micros(200);

impl Kafka {
    /// Passes records on until `stop` says so; what was read is committed by then.
    pub fn pass_through(&self, route: &PassThrough, stop: &dyn Fn() -> bool) -> Result<()> {
        let mut floor = Floor::start(self, route)?;
        while !stop() {
            floor.transaction(route)?;
        }
        Ok(())
    }
}

struct Floor {
    consumer: BaseConsumer<ReaderContext>,
    producer: BaseProducer<ProducerSide>,
    clock: SystemClock,
}

impl Floor {
    fn start(kafka: &Kafka, route: &PassThrough) -> Result<Self> {
        let about = About::new("starting the floor").of_group(route.group.clone()).with_id(route.group.clone());
        let reads = kafka.properties.group_member(&ConsumerSettings {
            group: route.group.clone(),
            instance: None,
            client_id: "skald-floor".into(),
            topics: Vec::new(),
            patterns: Vec::new(),
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(60),
            wake: Arc::new(|| {}),
        });
        let writes = TransactionSettings {
            guarantee: Guarantee::ExactlyOnce,
            group: route.group.clone(),
            transactional_id: route.group.clone(),
            client_id: "skald-floor".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(|| {}),
        };
        let writes = kafka.properties.transactional(&writes, &route.group);
        let consumer: BaseConsumer<ReaderContext> = { reads }
            .set("auto.offset.reset", "earliest")
            .create_with_context(ReaderContext::default())
            .map_err(|error| about.error(&error))?;
        let producer: BaseProducer<ProducerSide> =
            writes.create_with_context(ProducerSide::default()).map_err(|error| about.error(&error))?;
        producer.init_transactions(CALL).map_err(|error| about.error(&error))?;
        consumer.subscribe(&[route.from.as_str()]).map_err(|error| about.error(&error))?;
        Ok(Self { consumer, producer, clock: SystemClock::new() })
    }

    /// One transaction, or none where nothing comes.
    fn transaction(&mut self, route: &PassThrough) -> Result<()> {
        let about = About::new("passing records on").on_topic(route.to.clone(), "Write").of_group(route.group.clone());
        let mut next: BTreeMap<Partition, i64> = BTreeMap::new();
        let (mut begun, mut passed) = (Duration::ZERO, 0);
        loop {
            match self.consumer.poll(if passed == 0 { IDLE } else { DRAINED }) {
                None => break,
                Some(Err(error)) => return Err(about.error(&error)),
                Some(Ok(message)) => {
                    if passed == 0 {
                        self.producer.begin_transaction().map_err(|error| about.error(&error))?;
                        begun = self.clock.mono();
                    }
                    self.pass(&message, &route.to, &about)?;
                    next.insert(message.partition(), message.offset() + 1);
                    passed += 1;
                    if passed % BETWEEN_LOOKS == 0 && self.clock.mono() - begun >= route.commit_interval {
                        break;
                    }
                }
            }
        }
        if passed == 0 { Ok(()) } else { self.commit(route, &next, &about) }
    }

    fn pass(&self, message: &BorrowedMessage<'_>, to: &str, about: &About) -> Result<()> {
        let mut record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord {
            topic: to,
            partition: Some(message.partition()),
            payload: message.payload(),
            key: message.key(),
            timestamp: message.timestamp().to_millis(),
            headers: None,
            delivery_opaque: 0,
        };
        let begun = self.clock.mono();
        while let Err((error, back)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(Code::QueueFull) || self.clock.mono() - begun > CALL {
                return Err(about.error(&error));
            }
            look(&self.producer);
            std::thread::sleep(PAUSE);
            record = back;
        }
        Ok(())
    }

    fn commit(&self, route: &PassThrough, next: &BTreeMap<Partition, i64>, about: &About) -> Result<()> {
        let begun = self.clock.mono();
        loop {
            look(&self.producer);
            if self.producer.in_flight_count() == 0 {
                break;
            }
            if self.clock.mono() - begun > CALL {
                return Err(Error::new(ErrorClass::Retry, about.what.clone(), "records are not acknowledged"));
            }
            std::thread::sleep(PAUSE);
        }
        let mut offsets = TopicPartitionList::with_capacity(next.len());
        for (partition, offset) in next {
            let added = offsets.add_partition_offset(&route.from, *partition, Offset::Offset(*offset));
            added.map_err(|error| about.error(&error))?;
        }
        let group = self
            .consumer
            .group_metadata()
            .ok_or_else(|| Error::new(ErrorClass::Fatal, about.what.clone(), "the client has no metadata of its group"))?;
        let sent = self.producer.send_offsets_to_transaction(&offsets, &group, CALL);
        sent.map_err(|error| about.error(&error))?;
        self.producer.commit_transaction(CALL).map_err(|error| about.error(&error))
    }
}

//! Drives members and lanes step by step, as the worker loop would.

use crate::tools::kafka;
use skald::broker::{
    Batch, Broker, ConsumerSettings, ErrorClass, GroupConsumer, Guarantee, Limit, NewRecord, Op, Outcome, Ownership, Parting,
    Polled, Reply, TransactionSettings, Transactions, Wake,
};
use skald::clock::{Clock, SystemClock};
use skald::record::{Offset, Record, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for anything; a test that needs more has failed.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);

pub(crate) fn no_wake() -> Wake {
    Arc::new(|| {})
}

/// A lane, with its operations made blocking.
pub(crate) struct Lane(pub(crate) Box<dyn Transactions>);

impl Lane {
    pub(crate) fn settings(group: &str, id: &str) -> TransactionSettings {
        TransactionSettings {
            guarantee: Guarantee::default(),
            group: group.into(),
            transactional_id: id.into(),
            client_id: "skald-test".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1_000_000,
            max_batch_bytes: 1_000_000,
            wake: no_wake(),
        }
    }

    /// A lane whose producer is not initialised.
    pub(crate) fn new(brokers: &str, group: &str, id: &str) -> Self {
        Self(kafka(brokers).transactions(&Self::settings(group, id)).expect("a lane"))
    }

    /// A lane that is ready.
    pub(crate) fn ready(brokers: &str, group: &str, id: &str) -> Self {
        Self::ready_with(brokers, &Self::settings(group, id))
    }

    /// The same with settings of its own.
    pub(crate) fn ready_with(brokers: &str, settings: &TransactionSettings) -> Self {
        let mut lane = Self(kafka(brokers).transactions(settings).expect("a lane"));
        lane.done(Op::Init);
        lane
    }

    pub(crate) fn reply(&mut self, op: Op) -> Reply {
        self.0.submit(op);
        let clock = SystemClock::new();
        loop {
            if let Some(reply) = self.0.reply() {
                return reply;
            }
            assert!(clock.mono() < LONGEST, "no reply");
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    pub(crate) fn run(&mut self, op: Op) -> Outcome {
        let shown = format!("{op:?}");
        let result = self.reply(op).result;
        result.unwrap_or_else(|error| panic!("{}: {error} ({:?})", shown.chars().take(80).collect::<String>(), error.class))
    }

    pub(crate) fn done(&mut self, op: Op) {
        assert!(matches!(self.run(op), Outcome::Done));
    }

    pub(crate) fn fails(&mut self, op: Op) -> ErrorClass {
        match self.reply(op).result {
            Ok(outcome) => panic!("an error was expected, not {outcome:?}"),
            Err(error) => error.class,
        }
    }

    /// Begins, produces and drains.
    pub(crate) fn write(&mut self, batch: Batch) -> Vec<(u16, i32, Option<Offset>)> {
        self.done(Op::Begin);
        self.done(Op::Produce(Arc::new(batch)));
        match self.run(Op::Drain) {
            Outcome::Drained(ends) => ends,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn offsets(offsets: &[(TopicPartition, Offset)], stamp: &str, ownership: &Ownership) -> Op {
        Op::SendOffsets { offsets: offsets.to_vec(), stamp: stamp.into(), ownership: ownership.clone() }
    }
}

/// A batch of records of one topic: partition, key, value.
pub(crate) fn batch(topic: &str, records: &[(i32, &str, &str)]) -> Batch {
    let mut batch = Batch::new(vec![topic.into()]);
    for (partition, key, value) in records {
        batch.push(NewRecord {
            topic: 0,
            partition: *partition,
            timestamp: 1_000,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: &[],
        });
    }
    batch
}

/// A member of a group.
pub(crate) struct Member {
    pub(crate) consumer: Box<dyn GroupConsumer>,
    pub(crate) records: Vec<Record>,
    pub(crate) offsets: Vec<Offset>,
}

impl Member {
    pub(crate) fn settings(group: &str, instance: Option<&str>, topics: &[&str]) -> ConsumerSettings {
        ConsumerSettings {
            group: group.into(),
            instance: instance.map(Into::into),
            client_id: "skald-test".into(),
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            patterns: Vec::new(),
            session_timeout: Duration::from_secs(6),
            max_poll_interval: Duration::from_secs(60),
            wake: no_wake(),
        }
    }

    pub(crate) fn join(brokers: &str, group: &str, instance: Option<&str>, topics: &[&str]) -> Self {
        Self::of(brokers, &Self::settings(group, instance, topics))
    }

    pub(crate) fn of(brokers: &str, settings: &ConsumerSettings) -> Self {
        let consumer = kafka(brokers).consumer(settings).expect("a member");
        Self { consumer, records: Vec::new(), offsets: Vec::new() }
    }

    pub(crate) fn poll(&mut self, wait: Duration) -> Polled {
        let Self { consumer, records, offsets } = self;
        consumer.poll(Limit { records: 1000, time: wait }, &mut |record| {
            records.push(record.to_record());
            offsets.push(record.offset);
        })
    }

    /// Polls until something happens that is not a record.
    pub(crate) fn event(&mut self) -> Polled {
        let clock = SystemClock::new();
        loop {
            match self.poll(Duration::from_millis(20)) {
                Polled::Idle | Polled::Full => assert!(clock.mono() < LONGEST, "nothing happens"),
                event => return event,
            }
        }
    }

    /// Polls until an assignment comes; lets go of what is revoked before it.
    pub(crate) fn assigned(&mut self) -> Vec<TopicPartition> {
        loop {
            match self.event() {
                Polled::Assigned(mut partitions) => {
                    partitions.sort();
                    return partitions;
                }
                Polled::Revoked { .. } => self.consumer.release().expect("released"),
                other => panic!("an assignment was expected, not {other:?}"),
            }
        }
    }

    /// Takes over what is assigned and reads it from these offsets on.
    pub(crate) fn take(&mut self, at: Offset) -> (Vec<TopicPartition>, Ownership) {
        let partitions = self.assigned();
        let ownership = self.consumer.ownership();
        self.consumer.accept(&partitions).expect("accepted");
        let from: Vec<_> = partitions.iter().map(|one| (one.clone(), at)).collect();
        self.consumer.resume_at(&from).expect("resumed");
        (partitions, ownership)
    }

    /// Polls until so many records were read in all.
    pub(crate) fn read(&mut self, count: usize) {
        let clock = SystemClock::new();
        while self.records.len() < count {
            match self.poll(Duration::from_millis(20)) {
                Polled::Idle | Polled::Full => {
                    assert!(clock.mono() < LONGEST, "{} of {count} records", self.records.len());
                }
                other => panic!("records were expected, not {other:?}"),
            }
        }
    }

    /// Nothing comes for a while that is long against a fetch.
    pub(crate) fn stays_idle(&mut self) {
        let before = self.records.len();
        for _ in 0..20 {
            assert!(matches!(self.poll(Duration::from_millis(20)), Polled::Idle), "nothing was expected");
        }
        assert_eq!(self.records.len(), before, "no record was expected");
    }

    pub(crate) fn close(self, how: Parting) {
        self.consumer.close(how, Duration::from_secs(10));
    }

    pub(crate) fn values(&self) -> Vec<String> {
        self.records.iter().map(|record| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into()).collect()
    }
}

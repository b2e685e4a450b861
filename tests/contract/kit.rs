//! What rows are written with: a lane that waits for its answers, a member that answers its group, and waiting itself.

use super::Harness;
use skald::broker::{
    Batch, CommittedOffset, ConsumerSettings, Error, ErrorClass, GroupConsumer, Guarantee, Isolation, Limit, LogReader,
    NewRecord, Op, Outcome, Ownership, Parting, Polled, Result, Span, TopicSpec, TransactionSettings, Transactions, Trouble,
};
use skald::record::{Offset, Partition, Text, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The longest that anything may take before a row fails. Real groups need some seconds for a rebalance, a transaction that
/// hangs up to 20.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A poll of everything that is there.
pub const MOMENT: Limit = Limit { records: 1000, time: Duration::from_millis(20) };

/// Waits until `found` gives something.
pub fn wait<R>(harness: &dyn Harness, what: &str, found: impl FnMut() -> Option<R>) -> R {
    wait_within(harness, PATIENCE, what, found)
}

/// The same with a deadline of its own.
pub fn wait_within<R>(harness: &dyn Harness, patience: Duration, what: &str, mut found: impl FnMut() -> Option<R>) -> R {
    let until = harness.elapsed() + patience;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(harness.elapsed() < until, "not within {patience:?}: {what}");
        harness.pause();
    }
}

/// A partition.
pub fn at(topic: &Text, partition: Partition) -> TopicPartition {
    TopicPartition::new(topic.clone(), partition)
}

/// A name of this row's own.
pub fn name(harness: &dyn Harness, stem: &str) -> Text {
    format!("{stem}-{}", harness.suffix()).into()
}

/// A new topic.
pub fn topic(harness: &dyn Harness, stem: &str, partitions: u32, config: &[(&str, &str)]) -> Text {
    let name = name(harness, stem);
    let config: BTreeMap<_, _> = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = TopicSpec { name: name.clone(), partitions, replication: None, config };
    let admin = harness.broker().admin().expect("admin client");
    admin.create(&[spec]).expect("topic created");
    wait(harness, "the new topic is known", || {
        admin.describe(std::slice::from_ref(&name)).ok()?.into_iter().find(|info| info.partitions == partitions)
    });
    name
}

/// A batch of records without headers, all with the key `k`.
pub fn batch(records: &[(&Text, Partition, &str)]) -> Arc<Batch> {
    let mut batch = Batch::new(Vec::new());
    for (topic, partition, value) in records {
        let topic = batch.topic_index(topic);
        let (key, value) = (Some(b"k".as_slice()), Some(value.as_bytes()));
        batch.push(NewRecord { topic, partition: *partition, timestamp: 1_000, key, value, headers: &[] });
    }
    Arc::new(batch)
}

/// The class of a failure.
pub fn class<R: std::fmt::Debug>(result: Result<R>) -> ErrorClass {
    result.expect_err("a failure").class
}

/// An operation without its records.
fn named(op: &Op) -> String {
    match op {
        Op::Produce(batch) => format!("Produce of {} records", batch.len()),
        op => format!("{op:?}"),
    }
}

/// A lane whose operations are waited for.
pub struct Lane<'h> {
    harness: &'h dyn Harness,
    lane: Box<dyn Transactions>,
}

/// How lanes of the rows are set up.
pub fn lane_settings(group: &Text, id: &Text) -> TransactionSettings {
    TransactionSettings {
        guarantee: Guarantee::default(),
        group: group.clone(),
        transactional_id: id.clone(),
        client_id: id.clone(),
        transaction_timeout: Duration::from_secs(60),
        max_message_bytes: 1_000_000,
        max_batch_bytes: 1_000_000,
        wake: Arc::new(|| {}),
    }
}

impl<'h> Lane<'h> {
    /// A lane that is initialised.
    pub fn new(harness: &'h dyn Harness, group: &Text, id: &Text) -> Self {
        Self::with(harness, &lane_settings(group, id))
    }

    /// The same with settings of its own.
    pub fn with(harness: &'h dyn Harness, settings: &TransactionSettings) -> Self {
        let lane = harness.broker().transactions(settings).expect("a lane");
        let mut lane = Self { harness, lane };
        lane.done(Op::Init);
        lane
    }

    /// Carries an operation out and gives its result.
    pub fn run(&mut self, op: Op) -> Result<Outcome> {
        let what = format!("an answer to {}", named(&op));
        self.lane.submit(op);
        wait(self.harness, &what, || self.lane.reply()).result
    }

    /// Carries an operation out that succeeds.
    pub fn done(&mut self, op: Op) -> Outcome {
        let what = named(&op);
        self.run(op).unwrap_or_else(|error| panic!("{what}: {error} ({:?})", error.class))
    }

    /// Carries an operation out; one that fails with `Retry` is tried again.
    pub fn lookup(&mut self, op: &Op) -> Outcome {
        let harness = self.harness;
        wait(harness, &format!("{op:?}"), || match self.run(op.clone()) {
            Ok(outcome) => Some(outcome),
            Err(Error { class: ErrorClass::Retry, .. }) => None,
            Err(error) => panic!("{op:?}: {error} ({:?})", error.class),
        })
    }

    /// Begins and writes, all delivered.
    pub fn open(&mut self, records: &[(&Text, Partition, &str)]) {
        self.done(Op::Begin);
        self.done(Op::Produce(batch(records)));
        self.done(Op::Drain);
    }

    /// A whole transaction of records.
    pub fn commit(&mut self, records: &[(&Text, Partition, &str)]) {
        self.open(records);
        self.done(Op::Commit);
    }

    /// A whole transaction that comes to nothing.
    pub fn abort(&mut self, records: &[(&Text, Partition, &str)]) {
        self.open(records);
        self.done(Op::Abort);
    }

    /// Adds an offset of one partition to the transaction.
    pub fn send_offset(&mut self, partition: &TopicPartition, offset: Offset, ownership: &Ownership) -> Result<Outcome> {
        let (offsets, ownership) = (vec![(partition.clone(), offset)], ownership.clone());
        self.run(Op::SendOffsets { offsets, stamp: "stamp".into(), ownership })
    }

    /// A whole transaction of one offset.
    pub fn commit_offset(&mut self, partition: &TopicPartition, offset: Offset, ownership: &Ownership) -> Result<()> {
        self.done(Op::Begin);
        match self.send_offset(partition, offset, ownership) {
            Ok(_) => self.run(Op::Commit).map(|_| ()),
            Err(error) => {
                self.done(Op::Abort);
                Err(error)
            }
        }
    }

    /// What is committed for one partition.
    pub fn committed(&mut self, partition: &TopicPartition, isolation: Isolation) -> Option<CommittedOffset> {
        match self.lookup(&Op::Committed { partitions: vec![partition.clone()], isolation }) {
            Outcome::Committed(mut found) => found.remove(0).1,
            other => panic!("not committed offsets: {other:?}"),
        }
    }

    /// Ends of one partition.
    pub fn ends(&mut self, partition: &TopicPartition, isolation: Isolation) -> Span {
        match self.lookup(&Op::Ends { partitions: vec![partition.clone()], isolation }) {
            Outcome::Ends(mut found) => found.remove(0).1,
            other => panic!("not ends: {other:?}"),
        }
    }
}

/// What a member was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Assigned(Vec<TopicPartition>),
    Revoked { lost: bool },
    Trouble(String),
    Fatal(ErrorClass),
}

/// A member of a group that answers by itself, unless it is told to wait.
pub struct Member<'h> {
    harness: &'h dyn Harness,
    consumer: Box<dyn GroupConsumer>,
    /// Sorted.
    pub held: Vec<TopicPartition>,
    /// Captured at the last assignment.
    pub ownership: Option<Ownership>,
    /// Topic, partition, offset, value.
    pub records: Vec<(TopicPartition, Offset, String)>,
    pub told: Vec<Told>,
    /// Leaves revocations unanswered.
    pub holds_on: bool,
    /// Reads what it is assigned from the start.
    pub reads: bool,
}

/// How members of the rows join.
pub fn member_settings(harness: &dyn Harness, group: &Text, instance: Option<&str>, topics: &[&Text]) -> ConsumerSettings {
    ConsumerSettings {
        group: group.clone(),
        instance: instance.map(Text::from),
        client_id: format!("{group}-{}", instance.unwrap_or("dynamic")).into(),
        topics: topics.iter().map(|topic| (*topic).clone()).collect(),
        patterns: Vec::new(),
        session_timeout: harness.session_timeout(),
        max_poll_interval: Duration::from_secs(60).max(harness.session_timeout()),
        wake: Arc::new(|| {}),
    }
}

impl<'h> Member<'h> {
    /// A member that has yet to be assigned anything.
    pub fn new(harness: &'h dyn Harness, group: &Text, instance: Option<&str>, topics: &[&Text]) -> Self {
        Self::with(harness, &member_settings(harness, group, instance, topics))
    }

    /// The same with settings of its own.
    pub fn with(harness: &'h dyn Harness, settings: &ConsumerSettings) -> Self {
        let consumer = harness.broker().consumer(settings).expect("a consumer");
        Self {
            harness,
            consumer,
            held: Vec::new(),
            ownership: None,
            records: Vec::new(),
            told: Vec::new(),
            holds_on: false,
            reads: true,
        }
    }

    /// The consumer itself.
    pub fn consumer(&mut self) -> &mut dyn GroupConsumer {
        self.consumer.as_mut()
    }

    /// Polls once and answers.
    pub fn step(&mut self) {
        let records = &mut self.records;
        let polled = self.consumer.poll(MOMENT, &mut |record| {
            let value = record.value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
            records.push((TopicPartition::new(record.topic, record.partition), record.offset, value));
        });
        match polled {
            Polled::Idle | Polled::Full => {}
            Polled::Assigned(mut partitions) => {
                self.ownership = Some(self.consumer.ownership());
                self.consumer.accept(&partitions).expect("an assignment can be accepted");
                partitions.sort();
                if self.reads {
                    let from: Vec<_> = partitions.iter().map(|partition| (partition.clone(), 0)).collect();
                    self.consumer.resume_at(&from).expect("accepted partitions can be resumed");
                }
                self.held.clone_from(&partitions);
                self.told.push(Told::Assigned(partitions));
            }
            Polled::Revoked { lost } => {
                self.told.push(Told::Revoked { lost });
                if !self.holds_on {
                    self.release();
                }
            }
            Polled::Trouble(Trouble { input, kind }) => self.told.push(Told::Trouble(format!("{input} {kind:?}"))),
            Polled::Fatal(error) => self.told.push(Told::Fatal(error.class)),
        }
    }

    /// Answers a revocation.
    pub fn release(&mut self) {
        self.held.clear();
        self.consumer.release().expect("a revocation can be answered");
    }

    /// Polls until the condition holds.
    pub fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let harness = self.harness;
        wait(harness, what, || {
            self.step();
            condition(self).then_some(())
        });
    }

    /// Polls until something is assigned; gives the ownership of it.
    pub fn joined(&mut self) -> Ownership {
        self.until("an assignment", |member| !member.held.is_empty());
        self.ownership.clone().expect("captured with the assignment")
    }

    /// Values in the order they came.
    pub fn values(&self) -> Vec<&str> {
        self.records.iter().map(|(_, _, value)| value.as_str()).collect()
    }

    /// Parts from the group.
    pub fn close(self, how: Parting) {
        self.consumer.close(how, Duration::from_secs(10));
    }
}

/// Polls all of these until the condition holds.
pub fn until_all(
    harness: &dyn Harness,
    members: &mut [&mut Member<'_>],
    what: &str,
    mut condition: impl FnMut(&[&mut Member<'_>]) -> bool,
) {
    wait(harness, what, || {
        members.iter_mut().for_each(|member| member.step());
        condition(members).then_some(())
    });
}

/// Reads a partition outside any group from an offset until the position is `end`; offsets and values.
pub fn read_to(
    harness: &dyn Harness,
    partition: &TopicPartition,
    from: Offset,
    end: Offset,
    isolation: Isolation,
) -> Vec<(Offset, String)> {
    let mut reader: Box<dyn LogReader> = harness.broker().log_reader(isolation).expect("a log reader");
    reader.assign(&[(partition.clone(), from)]).expect("the partition is there");
    let mut seen = Vec::new();
    wait(harness, &format!("{partition} read to {end}"), || {
        reader
            .poll(MOMENT, &mut |record| {
                let value = record.value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
                seen.push((record.offset, value));
            })
            .expect("the partition can be read");
        (reader.position(partition) >= end).then_some(())
    });
    assert_eq!(reader.position(partition), end);
    seen
}

/// Waits until everything before `end` is decided: a commit returns before its markers are written.
pub fn until_stable(lane: &mut Lane<'_>, partition: &TopicPartition, end: Offset) {
    let harness = lane.harness;
    wait(harness, &format!("{partition} stable up to {end}"), || {
        (lane.ends(partition, Isolation::ReadCommitted).end >= end).then_some(())
    });
}

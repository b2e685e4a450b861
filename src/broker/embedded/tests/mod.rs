//! The broker's own tests: what a real Kafka is not asked, or cannot be asked. What both answer is in `tests/contract`.

mod compaction;
mod faults;
mod groups;
mod model;
mod storage;
mod threads;
mod topics;
mod transactions;

use super::{Cluster, Options};
use crate::broker::{
    Batch, Broker, ConsumerSettings, GroupConsumer, Guarantee, Isolation, Limit, NewRecord, Op, Outcome, Polled, Reply,
    TopicSpec, TransactionSettings, Transactions,
};
use crate::clock::{Clock, ManualClock};
use crate::record::{Offset, Text, TopicPartition};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ALL: Limit = Limit { records: usize::MAX, time: Duration::MAX };

/// A cluster under a clock that is moved by hand.
struct World {
    clock: Arc<ManualClock>,
    cluster: Cluster,
}

impl World {
    fn new(options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000, 1));
        Self { cluster: Cluster::new(clock.clone(), options), clock }
    }

    fn open(folder: &Path, options: Options) -> Self {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000, 1));
        Self { cluster: Cluster::open(clock.clone(), options, folder).unwrap(), clock }
    }

    fn topic(&self, name: &str, partitions: u32, config: &[(&str, &str)]) {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.cluster.create_topic(&TopicSpec { name: name.into(), partitions, replication: None, config }).unwrap();
    }

    /// Lets time pass, with everything that is due on the way.
    fn pass(&self, time: Duration) {
        let until = self.clock.mono() + time;
        while self.clock.mono() < until {
            let next = self.cluster.tick().unwrap_or(until).min(until);
            self.clock.advance(next.saturating_sub(self.clock.mono()).max(Duration::from_millis(1)));
        }
        self.cluster.tick();
    }

    fn lane(&self, id: &str) -> TestLane<'_> {
        TestLane { world: self, lane: self.cluster.transactions(&lane_settings(id)).unwrap() }
    }

    /// A lane that is initialised.
    fn ready(&self, id: &str) -> TestLane<'_> {
        let mut lane = self.lane(id);
        lane.done(Op::Init);
        lane
    }

    fn consumer(&self, group: &str, instance: Option<&str>, topics: &[&str]) -> Box<dyn GroupConsumer> {
        self.cluster.consumer(&consumer_settings(group, instance, topics)).unwrap()
    }

    /// Offset, key and value of everything in a partition from an offset on; `-` for a tombstone.
    fn read(&self, topic: &str, from: Offset, isolation: Isolation) -> Vec<(Offset, String, String)> {
        let mut reader = self.cluster.log_reader(isolation).unwrap();
        reader.assign(&[(at(topic, 0), from)]).unwrap();
        let mut seen = Vec::new();
        reader
            .poll(ALL, &mut |record| {
                let text = |bytes: Option<&[u8]>| bytes.map_or("-".into(), |bytes| String::from_utf8_lossy(bytes).into_owned());
                seen.push((record.offset, text(record.key), text(record.value)));
            })
            .unwrap();
        seen
    }

    fn values(&self, topic: &str, isolation: Isolation) -> Vec<String> {
        self.read(topic, 0, isolation).into_iter().map(|(_, _, value)| value).collect()
    }

    fn committed_values(&self, topic: &str) -> Vec<String> {
        self.values(topic, Isolation::ReadCommitted)
    }
}

fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

fn lane_settings(id: &str) -> TransactionSettings {
    TransactionSettings {
        guarantee: Guarantee::default(),
        group: "group".into(),
        transactional_id: id.into(),
        client_id: id.into(),
        transaction_timeout: Duration::from_secs(10),
        max_message_bytes: 1_000_000,
        max_batch_bytes: 1_000_000,
        wake: Arc::new(|| {}),
    }
}

fn consumer_settings(group: &str, instance: Option<&str>, topics: &[&str]) -> ConsumerSettings {
    ConsumerSettings {
        group: group.into(),
        instance: instance.map(Text::from),
        client_id: instance.unwrap_or("dynamic").into(),
        topics: topics.iter().map(|topic| Text::from(*topic)).collect(),
        patterns: Vec::new(),
        session_timeout: Duration::from_secs(10),
        max_poll_interval: Duration::from_secs(60),
        wake: Arc::new(|| {}),
    }
}

/// Records for partition 0, as key and value; a value of `-` is a tombstone.
fn batch(topic: &str, records: &[(&str, &str)]) -> Arc<Batch> {
    let mut batch = Batch::new(vec![topic.into()]);
    for (key, value) in records {
        let value = (*value != "-").then_some(value.as_bytes());
        batch.push(NewRecord { topic: 0, partition: 0, timestamp: 0, key: Some(key.as_bytes()), value, headers: &[] });
    }
    Arc::new(batch)
}

struct TestLane<'w> {
    world: &'w World,
    lane: Box<dyn Transactions>,
}

impl TestLane<'_> {
    /// Submits and lets time pass until the answer is there.
    fn reply(&mut self, op: Op) -> Reply {
        self.lane.submit(op);
        for _ in 0..100_000 {
            if let Some(reply) = self.lane.reply() {
                return reply;
            }
            self.world.pass(Duration::from_millis(1));
        }
        panic!("no answer within 100 s");
    }

    fn run(&mut self, op: Op) -> crate::broker::Result<Outcome> {
        self.reply(op).result
    }

    fn done(&mut self, op: Op) -> Outcome {
        self.run(op).unwrap()
    }

    fn produce(&mut self, topic: &str, records: &[(&str, &str)]) {
        self.done(Op::Produce(batch(topic, records)));
        self.done(Op::Drain);
    }

    fn open(&mut self, topic: &str, records: &[(&str, &str)]) {
        self.done(Op::Begin);
        self.produce(topic, records);
    }

    fn commit(&mut self, topic: &str, records: &[(&str, &str)]) {
        self.open(topic, records);
        self.done(Op::Commit);
    }

    fn abort(&mut self, topic: &str, records: &[(&str, &str)]) {
        self.open(topic, records);
        self.done(Op::Abort);
    }

    fn committed(&mut self, topic: &str) -> Option<(Offset, Text)> {
        let op = Op::Committed { partitions: vec![at(topic, 0)], isolation: Isolation::ReadCommitted };
        match self.done(op) {
            Outcome::Committed(mut found) => found.remove(0).1.map(|committed| (committed.offset, committed.metadata)),
            other => panic!("{other:?}"),
        }
    }
}

/// Polls once; records are dropped.
fn poll(consumer: &mut dyn GroupConsumer) -> Polled {
    consumer.poll(ALL, &mut |_| {})
}

/// Polls until an assignment comes, answering revocations; accepts it, everything paused.
fn assigned(world: &World, consumer: &mut dyn GroupConsumer) -> Vec<TopicPartition> {
    for _ in 0..100_000 {
        match poll(consumer) {
            Polled::Assigned(partitions) => {
                consumer.accept(&partitions).unwrap();
                return partitions;
            }
            Polled::Revoked { .. } => consumer.release().unwrap(),
            Polled::Idle | Polled::Full => world.pass(Duration::from_millis(1)),
            other => panic!("{other:?}"),
        }
    }
    panic!("no assignment within 100 s");
}

/// A map of what a compacted topic holds.
fn table(records: &[(Offset, String, String)]) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for (_, key, value) in records {
        if value == "-" {
            table.remove(key)
        } else {
            table.insert(key.clone(), value.clone())
        };
    }
    table
}

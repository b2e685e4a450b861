//! Inputs that do not take a seek for a while.

use super::engine::{Bench, sums, told, wait_for};
use crate::broker::embedded::Cluster;
use crate::broker::{
    Admin, Broker, ConsumerSettings, Error, ErrorClass, GroupConsumer, Isolation, Limit, LogReader, Ownership, Parting, Polled,
    Producer, Result, TopicSpec, TransactionSettings, Transactions,
};
use crate::record::{Offset, RecordRef, TopicPartition};
use crate::runtime::Exit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A cluster whose members are not sought so often.
struct Reluctant(Cluster, Arc<AtomicU32>);

impl Broker for Reluctant {
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn GroupConsumer>> {
        Ok(Box::new(Member(self.0.consumer(settings)?, self.1.clone())))
    }
    fn transactions(&self, settings: &TransactionSettings) -> Result<Box<dyn Transactions>> {
        self.0.transactions(settings)
    }
    fn log_reader(&self, isolation: Isolation) -> Result<Box<dyn LogReader>> {
        self.0.log_reader(isolation)
    }
    fn admin(&self) -> Result<Box<dyn Admin>> {
        self.0.admin()
    }
    fn producer(&self) -> Result<Box<dyn Producer>> {
        self.0.producer()
    }
}

struct Member(Box<dyn GroupConsumer>, Arc<AtomicU32>);

impl GroupConsumer for Member {
    fn poll(&mut self, limit: Limit, intake: &mut dyn FnMut(RecordRef<'_>)) -> Polled {
        self.0.poll(limit, intake)
    }
    fn ownership(&mut self) -> Ownership {
        self.0.ownership()
    }
    fn accept(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.0.accept(partitions)
    }
    fn release(&mut self) -> Result<()> {
        self.0.release()
    }
    fn resume_at(&mut self, at: &[(TopicPartition, Offset)]) -> Result<()> {
        let left = self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Error::new(ErrorClass::Retry, "resuming", "not now")),
            Err(_) => self.0.resume_at(at),
        }
    }
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.0.pause(partitions)
    }
    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.0.position(partition)
    }
    fn close(self: Box<Self>, how: Parting, deadline: Duration) {
        self.0.close(how, deadline);
    }
}

#[test]
fn records_behind_one_that_waits_for_a_look_up_are_not_passed_over_when_the_seek_back_fails() {
    let mut bench = Bench::new();
    // Positions that moved over control markers alone are looked at all the time.
    bench.settings.idle_commit_interval = Duration::from_millis(1);
    let refusals = Arc::new(AtomicU32::new(0));
    let engine = bench.start_on(Arc::new(Reluctant(bench.cluster.clone(), refusals.clone())), "a", 1);
    wait_for("an assignment", || engine.snapshot().ready);
    // Made after the start: the first record of each halts its task while records behind it are handed over.
    for customer in 0..7 {
        let topic =
            TopicSpec { name: format!("large.c{customer}").into(), partitions: 1, replication: None, config: BTreeMap::new() };
        bench.cluster.create_topic(&topic).expect("a new topic");
    }
    refusals.store(8, Ordering::Relaxed);
    bench.send(0..100);
    wait_for("every order", || told(&bench) == sums(0..100));
    assert_eq!(refusals.load(Ordering::Relaxed), 0, "no seek was refused");
    engine.stop();
    assert!(matches!(engine.wait(), Exit::Stopped));
}

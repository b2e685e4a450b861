//! The reader of whole partitions on a real broker.

use crate::drive::{LONGEST, Lane, batch};
use crate::tools::{Input, create_topic, kafka, produce, unique, wait_until};
use skald::broker::{Broker, Isolation, Limit, LogReader, Op, TroubleKind};
use skald::record::TopicPartition;
use std::time::Duration;

const SLICE: Limit = Limit { records: 1000, time: Duration::from_millis(20) };

fn reader(brokers: &str, isolation: Isolation) -> Box<dyn LogReader> {
    kafka(brokers).log_reader(isolation).expect("a reader")
}

#[test]
fn a_reader_reaches_the_end_of_a_log_that_ends_in_an_aborted_transaction() {
    let brokers = brokers!();
    let topic = unique("log");
    create_topic(brokers, &topic, 2, &[]);
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));
    lane.write(batch(&topic, &[(0, "a", "1"), (1, "b", "2")]));
    lane.done(Op::Commit);
    lane.write(batch(&topic, &[(0, "a", "3"), (0, "a", "4")]));
    lane.done(Op::Abort);
    let part = |partition| TopicPartition::new(topic.as_str(), partition);
    for (isolation, expected) in
        [(Isolation::ReadCommitted, vec!["1", "2"]), (Isolation::ReadUncommitted, vec!["1", "2", "3", "4"])]
    {
        let mut reader = reader(brokers, isolation);
        reader.assign(&[(part(0), 0), (part(1), 0)]).expect("assigned");
        assert_eq!((reader.position(&part(0)), reader.position(&part(1))), (0, 0));
        let mut found = Vec::new();
        wait_until("both ends", LONGEST, || {
            let each = &mut |record: skald::record::RecordRef<'_>| {
                found.push(String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned());
            };
            reader.poll(SLICE, each).expect("readable");
            reader.position(&part(0)) == 5 && reader.position(&part(1)) == 2
        });
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_new_assignment_replaces_the_old_one_and_limits_hold() {
    let brokers = brokers!();
    let topic = unique("log");
    create_topic(brokers, &topic, 2, &[]);
    produce(brokers, &topic, 1, (0..3000).map(|number| Input::new("k", number.to_string())));
    let part = |partition| TopicPartition::new(topic.as_str(), partition);
    let mut reader = reader(brokers, Isolation::ReadCommitted);
    for (from, count) in [(0, 3000), (2990, 10), (100, 2900)] {
        reader.assign(&[(part(0), from), (part(1), 0)]).expect("assigned");
        let mut offsets = Vec::new();
        wait_until("all records", LONGEST, || {
            let before = offsets.len();
            let limit = Limit { records: 700, time: Duration::from_millis(50) };
            reader.poll(limit, &mut |record| offsets.push(record.offset)).expect("readable");
            assert!(offsets.len() - before <= 700);
            reader.position(&part(0)) == 3000
        });
        assert_eq!(offsets, (from..3000).collect::<Vec<_>>(), "{count} records in order");
    }
}

#[test]
fn a_partition_that_cannot_be_read_is_named() {
    let brokers = brokers!();
    let (good, bad) = (unique("good"), unique("bad"));
    create_topic(brokers, &good, 1, &[]);
    create_topic(brokers, &bad, 1, &[]);
    produce(brokers, &bad, 1, (0..5).map(|number| Input::new("k", number.to_string())));
    let part = |topic: &str| TopicPartition::new(topic, 0);
    kafka(brokers).admin().expect("an admin").trim(&[(part(&bad), 3)]).expect("trimmed");
    let gone = unique("gone");
    for (input, offset, kind) in [
        (part(&bad), 1, TroubleKind::OffsetOutOfRange),
        (part(&bad), 7, TroubleKind::OffsetOutOfRange),
        (part(&gone), 0, TroubleKind::Missing),
        (TopicPartition::new(good.as_str(), 4), 0, TroubleKind::Missing),
    ] {
        let mut reader = reader(brokers, Isolation::ReadCommitted);
        reader.assign(&[(part(&good), 0), (input.clone(), offset)]).expect("assigned");
        let mut trouble = None;
        wait_until("a trouble", LONGEST, || {
            trouble = reader.poll(SLICE, &mut |_| panic!("no record was expected")).err();
            trouble.is_some()
        });
        let trouble = trouble.expect("waited for");
        assert_eq!((trouble.input, trouble.kind), (input, kind));
    }
}

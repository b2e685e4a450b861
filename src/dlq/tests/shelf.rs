//! Reading a topic of letters, on the embedded broker.

use super::{ROOM, dead, failure, record};
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, TopicSpec};
use crate::clock::SystemClock;
use crate::dlq::{Error, Filter, Shelf, Summary, letter};
use crate::record::{Header, Partition, Record};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Letter number `n` lies in partition `n % 3` and failed at second `n`.
fn shelf_of(letters: i64) -> Shelf {
    let cluster = Cluster::new(Arc::new(SystemClock::new()), Options::default());
    let spec = TopicSpec { name: "shop.dlq".into(), partitions: 3, replication: None, config: BTreeMap::new() };
    cluster.create_topic(&spec).expect("a new topic");
    let failure = failure();
    let mut producer = cluster.producer().expect("a producer");
    for number in 0..letters {
        let value = format!("{{\"n\":{number}}}");
        let original = record(Some(value.as_bytes()), &[]);
        let mut dead = dead(&original, &failure);
        (dead.first_at, dead.last_at) = (number * 1_000, number * 1_000);
        let letter = letter(&dead, ROOM);
        let header = |header: crate::record::HeaderRef<'_>| Header {
            name: header.name.into(),
            value: header.value.map(|value| value.to_vec().into()),
        };
        let filed = Record {
            topic: "shop.dlq".into(),
            partition: Partition::try_from(number % 3).expect("small"),
            timestamp: 1_000_000 + number,
            key: letter.key.map(|key| key.to_vec().into()),
            value: letter.value.map(|value| value.to_vec().into()),
            headers: letter.headers().into_iter().map(header).collect(),
        };
        producer.send(&filed).expect("taken");
    }
    let stranger = Record {
        topic: "shop.dlq".into(),
        partition: 0,
        timestamp: 1_000_000,
        key: None,
        value: Some(b"no letter"[..].into()),
        headers: Vec::new(),
    };
    producer.send(&stranger).expect("taken");
    producer.flush(Duration::from_secs(10)).expect("acknowledged");
    Shelf::open(&cluster, "shop.dlq").expect("it is there")
}

fn numbers(shelf: &mut Shelf, limit: usize, filter: Option<&str>, since: i64) -> Vec<i64> {
    let filter = filter.map(|text| Filter::compile(text).expect(text));
    let newest = shelf
        .newest(limit, &|record, found| filter.as_ref().is_none_or(|filter| filter.holds(record, found)), since * 1_000)
        .expect("read");
    newest.iter().map(|filed| filed.last_at() / 1_000).collect()
}

#[test]
fn the_newest_letters_come_first_whatever_partition_they_are_in() {
    let mut shelf = shelf_of(1_000);
    assert_eq!(numbers(&mut shelf, 5, None, 0), [999, 998, 997, 996, 995]);
    assert_eq!(numbers(&mut shelf, 2_000, None, 0).len(), 1_000, "all of them where fewer are there");
    assert_eq!(numbers(&mut shelf, 3, Some("data.n < 100"), 0), [99, 98, 97], "far behind the newest");
    assert_eq!(numbers(&mut shelf, 3, Some("data.n % 3 == 1"), 0), [997, 994, 991], "in one partition only");
    assert_eq!(numbers(&mut shelf, 3, Some("data.n < 0"), 0), Vec::<i64>::new());
    assert_eq!(numbers(&mut shelf, 0, None, 0), Vec::<i64>::new());
}

#[test]
fn all_of_it_is_counted_and_what_is_no_letter_is_told_apart() {
    let mut shelf = shelf_of(100);
    let mut summary = Summary::default();
    shelf
        .each(&mut |record, found| {
            match found {
                Ok(found) => summary.add(record, &found),
                Err(_) => summary.unreadable += 1,
            }
            ControlFlow::Continue(())
        })
        .expect("read");
    assert_eq!((summary.letters(), summary.unreadable), (100, 1));
    assert_eq!(shelf.span(), 101);
    let mut seen = 0;
    shelf
        .each(&mut |_, _| {
            seen += 1;
            if seen < 7 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .expect("read");
    assert_eq!(seen, 7, "who breaks gets nothing more");
}

#[test]
fn what_failed_before_a_moment_is_left_out() {
    let mut shelf = shelf_of(90);
    assert_eq!(numbers(&mut shelf, 100, None, 60).len(), 30);
    assert_eq!(numbers(&mut shelf, 2, Some("data.n < 62"), 60), [61, 60]);
    assert_eq!(numbers(&mut shelf, 100, None, 90), Vec::<i64>::new());
}

#[test]
fn one_letter_is_taken_by_its_place() {
    let mut shelf = shelf_of(9);
    let filed = shelf.at(1, 2).expect("letter number 7");
    assert_eq!((filed.last_at(), filed.offset, filed.record.partition), (7_000, 2, 1));
    for (partition, offset) in [(1, 3), (1, -1), (3, 0), (-1, 0)] {
        let absent = Error::NoLetter { topic: "shop.dlq".into(), partition, offset };
        assert_eq!(shelf.at(partition, offset), Err(absent));
    }
    assert!(matches!(shelf.at(0, 3), Err(Error::Missing { .. })), "a record that is no letter");
}

#[test]
fn a_topic_that_is_not_there_is_said_to_be_missing() {
    let cluster = Cluster::new(Arc::new(SystemClock::new()), Options::default());
    assert_eq!(Shelf::open(&cluster, "nix.dlq").err(), Some(Error::NoTopic { topic: "nix.dlq".into() }));
}

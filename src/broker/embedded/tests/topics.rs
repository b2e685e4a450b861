//! Topics, retention, trimming, plain producers.

use super::*;
use crate::broker::{ErrorClass, LogReader, TroubleKind};
use crate::record::Record;

fn record(value: &str) -> Record {
    let value = Some(value.to_owned().into());
    Record { topic: "in".into(), partition: 0, timestamp: 1_700_000_000_000, key: Some("k".into()), value, headers: Vec::new() }
}

#[test]
fn names_counts_and_settings_are_checked() {
    let world = World::new(Options::default());
    let create = |name: &str, partitions, config: &[(&str, &str)]| {
        let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        world.cluster.create_topic(&TopicSpec { name: name.into(), partitions, replication: Some(3), config })
    };
    create("a.b_c-1", 1, &[]).unwrap();
    for (name, partitions, config) in [
        ("a.b_c-1", 1, &[] as &[_]),
        ("", 1, &[]),
        (".", 1, &[]),
        ("..", 1, &[]),
        ("a/b", 1, &[]),
        ("ä", 1, &[]),
        ("many", 1_000_000, &[]),
        ("config", 1, &[("no.such.setting", "1")]),
    ] {
        assert_eq!(create(name, partitions, config).unwrap_err().class, ErrorClass::Fatal, "`{name}`");
    }
    create("default", 0, &[]).expect("no count takes the cluster's default");
    assert!(world.cluster.grow_topic("a.b_c-1", 1).is_err());
    assert_eq!(world.cluster.delete_topic("none").unwrap_err().class, ErrorClass::Missing("none".into()));
}

#[test]
fn what_a_plain_producer_sends_is_there_and_what_fails_is_told_by_the_flush() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[("max.message.bytes", "1000")]);
    let mut producer = world.cluster.producer().unwrap();
    for value in ["a", "b", "c"] {
        producer.send(&record(value)).unwrap();
    }
    assert_eq!(world.committed_values("in"), ["a", "b", "c"]);
    producer.flush(Duration::ZERO).unwrap();
    for (bad, class) in [
        (record(&"x".repeat(2_000)), ErrorClass::TooLarge),
        (Record { partition: 1, ..record("a") }, ErrorClass::Missing("in".into())),
        (Record { partition: -1, ..record("a") }, ErrorClass::Missing("in".into())),
        (Record { topic: "missing".into(), ..record("a") }, ErrorClass::Missing("missing".into())),
    ] {
        producer.send(&bad).unwrap();
        assert_eq!(producer.flush(Duration::ZERO).unwrap_err().class, class);
        producer.flush(Duration::ZERO).unwrap();
    }
    assert_eq!(producer.send(&record(&"x".repeat(2_000_000))).unwrap_err().class, ErrorClass::TooLarge);
}

#[test]
fn a_reader_keeps_its_view_of_records_that_are_appended_to_the_same_chunk() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    let mut producer = world.cluster.producer().unwrap();
    producer.send(&record("a")).unwrap();
    let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    reader.assign(&[(at("in", 0), 0)]).unwrap();
    let mut seen = Vec::new();
    let mut sent = 0;
    while sent < 100 {
        let before = seen.len();
        reader
            .poll(ALL, &mut |found| {
                seen.push(found.offset);
                // More comes while the reader holds the chunk.
                producer.send(&record("more")).unwrap();
                sent += 1;
            })
            .unwrap();
        assert!(seen.len() > before);
    }
    assert_eq!(seen, (0..seen.len() as i64).collect::<Vec<_>>());
}

#[test]
fn old_records_go_by_size_as_they_come_and_by_age_when_the_cleaner_runs() {
    let world = World::new(Options { retention_bytes: Some(100_000), ..Options::default() });
    world.topic("in", 1, &[("retention.ms", "60000")]);
    let mut lane = world.ready("id");
    let large = "x".repeat(30_000);
    for _ in 0..20 {
        lane.commit("in", &[("k", &large)]);
    }
    let left = |world: &World, lane: &mut TestLane<'_>| match lane
        .done(Op::Ends { partitions: vec![at("in", 0)], isolation: Isolation::ReadCommitted })
    {
        Outcome::Ends(ends) => {
            let span = ends[0].1;
            let mut reader: Box<dyn LogReader> = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
            reader.assign(&[(at("in", 0), span.start - 1)]).unwrap();
            let trouble = reader.poll(ALL, &mut |_| {}).unwrap_err();
            assert_eq!((trouble.input, trouble.kind), (at("in", 0), TroubleKind::OffsetOutOfRange));
            (span.start, world.read("in", span.start, Isolation::ReadCommitted).len())
        }
        other => panic!("{other:?}"),
    };
    let (start, records) = left(&world, &mut lane);
    assert!((2..=3).contains(&records) && start >= 30, "{records} from {start}");
    world.pass(Duration::from_secs(50));
    assert_eq!(left(&world, &mut lane).1, records);
    world.pass(Duration::from_secs(30));
    assert_eq!(left(&world, &mut lane).1, 0);
}

#[test]
fn an_open_transaction_keeps_its_records_from_retention() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[("retention.bytes", "1000")]);
    let (mut open, mut lane) = (world.ready("open"), world.ready("id"));
    let large = "x".repeat(600);
    open.open("in", &[("k", &large)]);
    for _ in 0..5 {
        lane.commit("in", &[("k", &large)]);
    }
    open.done(Op::Commit);
    assert_eq!(world.committed_values("in").len(), 6);
    world.cluster.clean_topic("in").unwrap();
    let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    reader.assign(&[(at("in", 0), 0)]).unwrap();
    assert_eq!(reader.poll(ALL, &mut |_| {}).unwrap_err().kind, TroubleKind::OffsetOutOfRange);
}

#[test]
fn trimming_is_bounded_by_the_end_and_refused_by_compacted_topics() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    world.topic("table", 1, &[("cleanup.policy", "compact")]);
    let mut lane = world.ready("id");
    lane.commit("in", &[("k", "a"), ("k", "b"), ("k", "c")]);
    lane.commit("table", &[("k", "a")]);
    let admin = world.cluster.admin().unwrap();
    for (topic, offset) in [("in", 5), ("in", -1), ("table", 1), ("missing", 0)] {
        assert!(admin.trim(&[(at(topic, 0), offset)]).is_err(), "{topic} {offset}");
    }
    admin.trim(&[(at("in", 0), 1)]).unwrap();
    assert_eq!(world.read("in", 1, Isolation::ReadCommitted).len(), 2);
    admin.trim(&[(at("in", 0), 4)]).unwrap();
    assert_eq!(world.read("in", 4, Isolation::ReadCommitted), []);
    lane.commit("in", &[("k", "d")]);
    assert_eq!(world.read("in", 4, Isolation::ReadCommitted)[0].0, 4);
}

#[test]
fn a_topic_made_anew_is_another_one() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    let mut lane = world.ready("id");
    lane.open("in", &[("k", "lost")]);
    world.cluster.delete_topic("in").unwrap();
    world.topic("in", 1, &[]);
    lane.done(Op::Commit);
    assert_eq!(world.values("in", Isolation::ReadUncommitted), Vec::<String>::new());
    lane.commit("in", &[("k", "a")]);
    assert_eq!(world.read("in", 0, Isolation::ReadCommitted)[0].0, 0, "no marker of the old one");
}

#[test]
fn a_log_that_keeps_its_own_time_gives_it_to_every_record() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let mut lane = world.ready("id");
    lane.commit("in", &[("k", "a")]);
    let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    reader.assign(&[(at("in", 0), 0)]).unwrap();
    reader.poll(ALL, &mut |record| assert_eq!(record.timestamp, world.clock.wall())).unwrap();
}

//! Compaction: what stays, what goes, and when.

use super::*;
use proptest::prelude::*;

fn compacted(config: &[(&str, &str)]) -> World {
    let world = World::new(Options::default());
    let all: Vec<_> = [("cleanup.policy", "compact")].into_iter().chain(config.iter().copied()).collect();
    world.topic("table", 1, &all);
    world
}

#[test]
fn the_last_record_of_each_key_stays_and_offsets_never_change() {
    let world = compacted(&[]);
    let mut lane = world.ready("id");
    lane.commit("table", &[("a", "1"), ("b", "1")]);
    lane.abort("table", &[("b", "never")]);
    lane.commit("table", &[("a", "2"), ("c", "1")]);
    lane.commit("table", &[("d", "1")]);
    world.cluster.clean_topic("table").unwrap();
    let shown: Vec<_> = world
        .read("table", 0, Isolation::ReadCommitted)
        .into_iter()
        .map(|(at, key, value)| format!("{at}{key}{value}"))
        .collect();
    assert_eq!(shown, ["1b1", "5a2", "6c1", "8d1"]);
    assert_eq!(world.read("table", 0, Isolation::ReadUncommitted).len(), 4, "aborted records are gone for good");
    let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    reader.assign(&[(at("table", 0), 2)]).unwrap();
    let mut offsets = Vec::new();
    reader.poll(ALL, &mut |record| offsets.push(record.offset)).unwrap();
    assert_eq!((offsets, reader.position(&at("table", 0))), (vec![5, 6, 8], 10));
}

#[test]
fn tombstones_stay_for_their_retention_after_the_first_pass() {
    let world = compacted(&[("delete.retention.ms", "60000")]);
    let mut lane = world.ready("id");
    lane.commit("table", &[("a", "1"), ("b", "1")]);
    lane.commit("table", &[("a", "-")]);
    lane.commit("table", &[("last", "1")]);
    let shown = || {
        world.cluster.clean_topic("table").unwrap();
        let read = world.read("table", 0, Isolation::ReadCommitted);
        read.into_iter().map(|(_, key, value)| format!("{key}{value}")).collect::<Vec<_>>()
    };
    assert_eq!(shown(), ["b1", "a-", "last1"]);
    world.pass(Duration::from_secs(59));
    assert_eq!(shown(), ["b1", "a-", "last1"]);
    world.pass(Duration::from_secs(2));
    assert_eq!(shown(), ["b1", "last1"]);
}

#[test]
fn what_is_young_or_not_decided_is_left_alone() {
    let world = compacted(&[("min.compaction.lag.ms", "60000")]);
    let (mut lane, mut open) = (world.ready("id"), world.ready("open"));
    let now = |world: &World, value: &str| {
        let mut batch = Batch::new(vec!["table".into()]);
        let (key, timestamp) = (Some(b"k".as_slice()), world.clock.wall());
        batch.push(NewRecord { topic: 0, partition: 0, timestamp, key, value: Some(value.as_bytes()), headers: &[] });
        Arc::new(batch)
    };
    let mut commit = |value: &str| {
        lane.done(Op::Begin);
        lane.done(Op::Produce(now(&world, value)));
        lane.done(Op::Commit);
    };
    commit("1");
    commit("2");
    world.pass(Duration::from_secs(61));
    commit("3");
    commit("4");
    world.cluster.clean_topic("table").unwrap();
    assert_eq!(world.committed_values("table"), ["2", "3", "4"]);
    open.done(Op::Begin);
    open.done(Op::Produce(now(&world, "open")));
    world.pass(Duration::from_secs(2));
    commit("5");
    world.cluster.clean_topic("table").unwrap();
    assert_eq!(world.committed_values("table"), ["2", "3", "4"]);
    world.pass(Duration::from_secs(70));
    world.cluster.clean_topic("table").unwrap();
    assert_eq!(world.committed_values("table"), ["5"], "the open one timed out");
}

#[test]
fn a_record_without_a_key_is_refused() {
    let world = compacted(&[]);
    let mut lane = world.ready("id");
    let mut batch = Batch::new(vec!["table".into()]);
    batch.push(NewRecord { topic: 0, partition: 0, timestamp: 0, key: None, value: Some(b"v"), headers: &[] });
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(batch)));
    assert!(lane.run(Op::Drain).is_err());
}

#[test]
fn the_cleaner_runs_by_itself_when_enough_is_dirty() {
    let world = compacted(&[]);
    let mut lane = world.ready("id");
    for round in 0..50 {
        lane.commit("table", &[("k", &round.to_string())]);
    }
    assert_eq!(world.committed_values("table").len(), 50);
    world.pass(Duration::from_secs(16));
    assert_eq!(world.committed_values("table"), ["49"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_compacted_topic_gives_the_same_table(
        steps in proptest::collection::vec(
            (proptest::collection::vec((0..6_u8, 0..4_u8), 1..6), 0..10_u8), 1..30
        ),
    ) {
        let world = compacted(&[("delete.retention.ms", "5000")]);
        let mut lane = world.ready("id");
        for (records, then) in steps {
            let texts: Vec<_> = records.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            // The value 0 deletes.
            let records: Vec<_> =
                texts.iter().map(|(key, value)| (key.as_str(), if value == "0" { "-" } else { value })).collect();
            if then == 1 { lane.abort("table", &records) } else { lane.commit("table", &records) }
            let before = table(&world.read("table", 0, Isolation::ReadCommitted));
            let end = |world: &World| {
                let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
                reader.assign(&[(at("table", 0), 0)]).unwrap();
                reader.poll(ALL, &mut |_| {}).unwrap();
                reader.position(&at("table", 0))
            };
            let end_before = end(&world);
            if then < 5 {
                world.cluster.clean_topic("table").unwrap();
            }
            if then == 2 {
                world.clock.advance(Duration::from_secs(6));
            }
            let read = world.read("table", 0, Isolation::ReadCommitted);
            prop_assert!(read.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert_eq!(table(&read), before);
            prop_assert_eq!(end(&world), end_before);
        }
    }
}

//! Sessions, sleepers and the order of events in a group.

use super::*;

fn revoked(polled: &Polled) -> Option<bool> {
    match polled {
        Polled::Revoked { lost } => Some(*lost),
        _ => None,
    }
}

#[test]
fn a_dropped_member_is_waited_for_until_its_session_ends() {
    for instance in [None, Some("01.b")] {
        let world = World::new(Options::default());
        world.topic("in", 2, &[]);
        let mut first = world.consumer("group", Some("00.a"), &["in"]);
        assigned(&world, first.as_mut());
        let mut second = world.consumer("group", instance, &["in"]);
        assert_eq!(revoked(&poll(first.as_mut())), Some(false));
        first.release().unwrap();
        assert_eq!((assigned(&world, first.as_mut()).len(), assigned(&world, second.as_mut()).len()), (1, 1));
        drop(second);
        world.pass(Duration::from_millis(9_900));
        assert!(matches!(poll(first.as_mut()), Polled::Idle));
        world.pass(Duration::from_millis(200));
        assert_eq!(revoked(&poll(first.as_mut())), Some(false));
        first.release().unwrap();
        assert_eq!(assigned(&world, first.as_mut()).len(), 2);
    }
}

#[test]
fn a_frozen_member_goes_on_within_its_session_and_has_lost_everything_after() {
    for (frozen, lost) in [(Duration::from_secs(9), None), (Duration::from_secs(11), Some(true))] {
        let world = World::new(Options::default());
        world.topic("in", 1, &[]);
        let mut consumer = world.consumer("group", Some("00.a"), &["in"]);
        assigned(&world, consumer.as_mut());
        world.cluster.freeze("00.a");
        world.pass(frozen);
        world.cluster.thaw("00.a");
        world.pass(Duration::from_secs(20));
        assert_eq!(revoked(&poll(consumer.as_mut())), lost);
    }
}

#[test]
fn who_stops_polling_loses_its_partitions_although_its_heart_beats() {
    for instance in [None, Some("01.b")] {
        let world = World::new(Options::default());
        world.topic("in", 1, &[]);
        let mut sleeper = world.consumer("group", instance, &["in"]);
        assert_eq!(assigned(&world, sleeper.as_mut()).len(), 1);
        world.pass(Duration::from_secs(72));
        let mut other = world.consumer("group", Some("02.c"), &["in"]);
        assert_eq!(assigned(&world, other.as_mut()).len(), 1, "{instance:?}");
        assert_eq!(revoked(&poll(sleeper.as_mut())), Some(true), "{instance:?}");
    }
}

#[test]
fn a_member_that_never_answers_a_revocation_is_left_behind() {
    let world = World::new(Options::default());
    world.topic("in", 2, &[]);
    let mut stuck = world.consumer("group", None, &["in"]);
    assigned(&world, stuck.as_mut());
    let mut other = world.consumer("group", None, &["in"]);
    assert_eq!(revoked(&poll(stuck.as_mut())), Some(false));
    for _ in 0..70 {
        world.pass(Duration::from_secs(1));
        // It still polls, but gives nothing back.
        assert!(matches!(poll(stuck.as_mut()), Polled::Idle));
        if let Polled::Assigned(partitions) = poll(other.as_mut()) {
            assert_eq!(partitions.len(), 2);
            stuck.release().unwrap();
            return;
        }
    }
    panic!("the group never went on");
}

#[test]
fn a_new_topic_of_a_pattern_and_a_grown_topic_rebalance_the_group() {
    let world = World::new(Options::default());
    world.topic("in-a", 1, &[]);
    let settings = ConsumerSettings { patterns: vec!["^in-.*$".into()], ..consumer_settings("group", None, &[]) };
    let mut consumer = world.cluster.consumer(&settings).unwrap();
    assert_eq!(assigned(&world, consumer.as_mut()), [at("in-a", 0)]);
    world.topic("in-b", 1, &[]);
    assert_eq!(assigned(&world, consumer.as_mut()), [at("in-a", 0), at("in-b", 0)]);
    world.topic("other", 1, &[]);
    assert!(matches!(poll(consumer.as_mut()), Polled::Idle));
    world.cluster.grow_topic("in-a", 2).unwrap();
    assert_eq!(assigned(&world, consumer.as_mut()), [at("in-a", 0), at("in-a", 1), at("in-b", 0)]);
    world.cluster.delete_topic("in-a").unwrap();
    assert_eq!(assigned(&world, consumer.as_mut()), [at("in-b", 0)]);
}

#[test]
fn an_idle_member_is_woken_once_by_records_and_by_events() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    let woken = Arc::new(AtomicUsize::new(0));
    let count = woken.clone();
    let wake: crate::broker::Wake = Arc::new(move || _ = count.fetch_add(1, Ordering::Relaxed));
    let mut consumer = world.cluster.consumer(&ConsumerSettings { wake, ..consumer_settings("group", None, &["in"]) }).unwrap();
    assigned(&world, consumer.as_mut());
    consumer.resume_at(&[(at("in", 0), 0)]).unwrap();
    assert!(matches!(poll(consumer.as_mut()), Polled::Idle));
    woken.store(0, Ordering::Relaxed);
    let mut lane = world.ready("id");
    lane.commit("in", &[("k", "a")]);
    lane.commit("in", &[("k", "b")]);
    assert_eq!(woken.swap(0, Ordering::Relaxed), 1, "until it has looked again");
    assert!(matches!(poll(consumer.as_mut()), Polled::Idle));
    let other = world.consumer("group", None, &["in"]);
    assert!(woken.load(Ordering::Relaxed) > 0, "a rebalance wakes it");
    drop(other);
}

#[test]
fn a_pattern_matches_whole_names_whatever_its_alternatives() {
    let world = World::new(Options::default());
    for name in ["a", "ab", "abc", "x-a"] {
        world.topic(name, 1, &[]);
    }
    for (pattern, expected) in [("a|ab", vec!["a", "ab"]), ("^a.*$", vec!["a", "ab", "abc"]), ("b", vec![])] {
        let settings = ConsumerSettings { patterns: vec![pattern.into()], ..consumer_settings(pattern, None, &[]) };
        let mut consumer = world.cluster.consumer(&settings).unwrap();
        let topics: Vec<_> = assigned(&world, consumer.as_mut()).into_iter().map(|partition| partition.topic).collect();
        assert_eq!(topics, expected, "{pattern}");
    }
    let broken = ConsumerSettings { patterns: vec!["(".into()], ..consumer_settings("group", None, &[]) };
    assert!(world.cluster.consumer(&broken).is_err());
}

#[test]
fn a_held_topic_reaches_no_member_until_it_is_released() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    world.topic("other", 1, &[]);
    let mut consumer = world.consumer("group", Some("00.a"), &["in", "other"]);
    let assigned: Vec<_> = assigned(&world, consumer.as_mut()).into_iter().map(|partition| (partition, 0)).collect();
    consumer.resume_at(&assigned).unwrap();
    let mut read = |limit: usize| {
        let mut read = Vec::new();
        let limit = Limit { records: limit, time: Duration::from_secs(1) };
        consumer.poll(limit, &mut |record| read.push(record.topic.to_owned()));
        read
    };
    world.cluster.hold("in");
    let mut lane = world.ready("t");
    lane.commit("in", &[("k", "1")]);
    lane.commit("other", &[("k", "2")]);
    assert_eq!(read(10), ["other"]);
    assert_eq!(world.committed_values("in"), ["1"], "a reader outside groups sees it");
    world.cluster.release("in");
    assert_eq!(read(10), ["in"]);
}

//! Group members on a real broker.

use crate::drive::{LONGEST, Lane, Member, batch};
use crate::tools::{Input, create_topic, kafka, produce, unique, wait_until};
use skald::broker::{Broker, ConsumerSettings, ErrorClass, Op, Parting, Polled, TroubleKind};
use skald::clock::{Clock, SystemClock};
use skald::record::TopicPartition;
use std::sync::Arc;
use std::time::Duration;

fn inputs(range: std::ops::Range<usize>) -> impl Iterator<Item = Input> {
    range.map(|number| Input::new("k", number.to_string()))
}

fn texts(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn nothing_is_delivered_before_a_partition_is_resumed_and_then_exactly_from_its_offset() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    produce(brokers, &topic, 1, inputs(0..10));
    let part = TopicPartition::new(topic.as_str(), 0);
    let mut member = Member::join(brokers, &group, None, &[&topic]);
    let partitions = member.assigned();
    assert_eq!(partitions.as_slice(), std::slice::from_ref(&part));
    member.consumer.accept(&partitions).expect("accepted");
    member.stays_idle();
    assert_eq!(member.consumer.position(&part), None);

    member.consumer.resume_at(&[(part.clone(), 4)]).expect("resumed");
    member.read(6);
    assert_eq!(member.values(), texts(4..10));
    assert_eq!(member.consumer.position(&part), Some(10));

    // Paused: nothing, whatever arrives. Resumed: from where it was told, also backwards.
    member.consumer.pause(&partitions).expect("paused");
    produce(brokers, &topic, 1, inputs(10..12));
    member.stays_idle();
    member.records.clear();
    member.consumer.resume_at(&[(part.clone(), 2)]).expect("resumed");
    member.read(10);
    assert_eq!(member.values(), texts(2..12));
    // A seek without a pause: a rollback.
    member.records.clear();
    member.consumer.resume_at(&[(part.clone(), 11)]).expect("resumed");
    produce(brokers, &topic, 1, inputs(12..13));
    member.read(2);
    assert_eq!(member.values(), texts(11..13));
    member.close(Parting::Leave);
}

#[test]
fn only_committed_records_are_delivered_and_the_position_passes_what_is_left_out() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    let part = TopicPartition::new(topic.as_str(), 0);
    let mut lane = Lane::ready(brokers, &group, &unique("id"));
    lane.write(batch(&topic, &[(0, "a", "1")]));
    lane.done(Op::Commit);
    lane.write(batch(&topic, &[(0, "a", "2"), (0, "a", "3")]));
    lane.done(Op::Abort);
    let mut member = Member::join(brokers, &group, None, &[&topic]);
    member.take(0);
    member.read(1);
    wait_until("the position reaches the end, behind the marker of the abort", LONGEST, || {
        assert!(matches!(member.poll(Duration::from_millis(5)), Polled::Idle));
        member.consumer.position(&part) == Some(5)
    });
    // Open: not seen. Committed: seen.
    lane.write(batch(&topic, &[(0, "a", "4")]));
    member.stays_idle();
    lane.done(Op::Commit);
    member.read(2);
    assert_eq!(member.values(), ["1", "4"]);
    assert_eq!(member.offsets, [0, 5]);
    member.close(Parting::Leave);
}

#[test]
fn a_record_limit_holds_and_the_rest_comes_with_the_next_poll() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    produce(brokers, &topic, 1, inputs(0..2500));
    let mut member = Member::join(brokers, &group, None, &[&topic]);
    member.take(0);
    member.read(1);
    while member.records.len() < 2500 {
        let before = member.records.len();
        let polled = member.poll(Duration::from_secs(5));
        let got = member.records.len() - before;
        assert!(got <= 1000);
        assert!(matches!(polled, Polled::Full | Polled::Idle) && (got == 1000) <= matches!(polled, Polled::Full));
    }
    assert_eq!(member.values(), texts(0..2500));
    member.close(Parting::Leave);
}

#[test]
fn a_member_that_leaves_hands_its_partitions_over_at_once() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 2, &[]);
    let mut first = Member::join(brokers, &group, Some("00.a"), &[&topic]);
    first.take(0);
    let mut second = Member::join(brokers, &group, Some("01.b"), &[&topic]);
    let clock = SystemClock::new();
    // Both get one.
    let mut got = [0, 0];
    while got != [1, 1] {
        assert!(clock.mono() < LONGEST, "{got:?}");
        for (index, member) in [&mut first, &mut second].into_iter().enumerate() {
            match member.poll(Duration::from_millis(5)) {
                Polled::Assigned(partitions) => {
                    member.consumer.accept(&partitions).expect("accepted");
                    got[index] = partitions.len();
                }
                Polled::Revoked { .. } => member.consumer.release().expect("released"),
                _ => {}
            }
        }
    }
    let left = clock.mono();
    first.close(Parting::Leave);
    assert_eq!(second.assigned().len(), 2);
    let after = clock.mono() - left;
    println!("taken over after leave: {after:?}");
    assert!(after < Duration::from_secs(5), "a session is 6 s: {after:?}");
    second.close(Parting::Leave);
}

#[test]
fn a_static_member_that_stays_gets_its_partitions_back_and_nobody_else_notices() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 2, &[]);
    produce(brokers, &topic, 2, (0..20).map(|number| Input::new(number.to_string(), "v")));
    let settled = |member: &mut Member, other: &mut Member| {
        let clock = SystemClock::new();
        let mut got = [None, None];
        while got[0] != Some(1) || got[1] != Some(1) {
            assert!(clock.mono() < LONGEST, "{got:?}");
            for (index, member) in [&mut *member, &mut *other].into_iter().enumerate() {
                match member.poll(Duration::from_millis(5)) {
                    Polled::Assigned(partitions) => {
                        member.consumer.accept(&partitions).expect("accepted");
                        got[index] = Some(partitions.len());
                    }
                    Polled::Revoked { .. } => member.consumer.release().expect("released"),
                    _ => {}
                }
            }
        }
    };
    let mut first = Member::join(brokers, &group, Some("00.a"), &[&topic]);
    let mut second = Member::join(brokers, &group, Some("01.b"), &[&topic]);
    settled(&mut first, &mut second);
    first.close(Parting::Stay);
    let clock = SystemClock::new();
    let mut again = Member::join(brokers, &group, Some("00.a"), &[&topic]);
    let (partitions, _) = again.take(0);
    assert_eq!(partitions, [TopicPartition::new(topic.as_str(), 0)]);
    again.read(1);
    println!("first record after a restart with the same static id: {:?}", clock.mono());
    second.stays_idle();
    again.close(Parting::Leave);
    second.close(Parting::Leave);
}

#[test]
fn the_older_of_two_processes_with_one_static_id_is_fenced() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    let mut old = Member::join(brokers, &group, Some("00.a"), &[&topic]);
    old.take(0);
    let mut new = Member::join(brokers, &group, Some("00.a"), &[&topic]);
    new.take(0);
    loop {
        match old.event() {
            Polled::Fatal(error) => {
                assert_eq!(error.class, ErrorClass::Fenced, "{error}");
                break;
            }
            Polled::Revoked { .. } => old.consumer.release().expect("released"),
            other => panic!("{other:?}"),
        }
    }
    old.close(Parting::Stay);
    new.stays_idle();
    new.close(Parting::Leave);
}

#[test]
fn an_input_that_cannot_be_read_is_named_and_the_others_go_on() {
    let brokers = brokers!();
    let (good, bad, group) = (unique("good"), unique("bad"), unique("group"));
    create_topic(brokers, &good, 1, &[]);
    create_topic(brokers, &bad, 1, &[]);
    produce(brokers, &good, 1, inputs(0..5));
    produce(brokers, &bad, 1, inputs(0..5));
    let part = |topic: &str| TopicPartition::new(topic, 0);
    kafka(brokers).admin().expect("an admin").trim(&[(part(&bad), 3)]).expect("trimmed");
    let mut member = Member::join(brokers, &group, None, &[&good, &bad]);
    let partitions = member.assigned();
    member.consumer.accept(&partitions).expect("accepted");
    // Below the log's start, then behind its end.
    for (offset, from) in [(1, 0), (9, 5)] {
        member.consumer.resume_at(&[(part(&bad), offset), (part(&good), from)]).expect("resumed");
        match member.event() {
            Polled::Trouble(trouble) => {
                assert_eq!((trouble.input, trouble.kind), (part(&bad), TroubleKind::OffsetOutOfRange));
            }
            other => panic!("{other:?}"),
        }
        member.consumer.pause(&[part(&bad)]).expect("paused");
        produce(brokers, &good, 1, inputs(5..6));
        member.read(if from == 0 { 6 } else { 8 });
    }
    assert!(member.records.iter().all(|record| record.topic == good.as_str()));
    // Where there are records, it goes on.
    member.records.clear();
    member.consumer.resume_at(&[(part(&bad), 3)]).expect("resumed");
    member.read(2);
    assert_eq!(member.values(), texts(3..5));
    member.close(Parting::Leave);
}

#[test]
fn a_topic_that_is_not_there_is_a_trouble_of_that_topic() {
    let brokers = brokers!();
    let (good, gone, group) = (unique("good"), unique("gone"), unique("group"));
    create_topic(brokers, &good, 1, &[]);
    let mut member = Member::join(brokers, &group, None, &[&good, &gone]);
    let (mut assigned, mut troubled) = (false, false);
    while !(assigned && troubled) {
        match member.event() {
            Polled::Assigned(partitions) => {
                member.consumer.accept(&partitions).expect("accepted");
                assigned = true;
            }
            Polled::Trouble(trouble) => {
                assert_eq!((trouble.input, trouble.kind), (TopicPartition::new(gone.as_str(), -1), TroubleKind::Missing));
                troubled = true;
            }
            other => panic!("{other:?}"),
        }
    }
    member.close(Parting::Leave);
}

#[test]
fn a_pattern_subscribes_to_the_topics_that_match_it() {
    let brokers = brokers!();
    let (stem, group) = (unique("pat"), unique("group"));
    for suffix in ["a", "b", "cc"] {
        create_topic(brokers, &format!("{stem}.{suffix}"), 1, &[]);
    }
    let settings =
        ConsumerSettings { patterns: vec![format!("^{stem}\\.[a-z]$").into()], ..Member::settings(&group, None, &[]) };
    let mut member = Member::of(brokers, &settings);
    let names: Vec<String> = member.assigned().iter().map(|one| one.topic.to_string()).collect();
    assert_eq!(names, [format!("{stem}.a"), format!("{stem}.b")]);
    member.close(Parting::Leave);
}

#[test]
fn records_wake_the_worker() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    let (rung, heard) = std::sync::mpsc::channel();
    let wake: skald::broker::Wake = Arc::new(move || {
        let _ = rung.send(());
    });
    let settings = ConsumerSettings { wake, ..Member::settings(&group, None, &[&topic]) };
    let mut member = Member::of(brokers, &settings);
    member.take(0);
    // Every wake-up is answered by one look that takes all there is: nothing may be left lying without another wake-up.
    for count in 1..=20 {
        produce(brokers, &topic, 1, inputs(0..1));
        while member.records.len() < count {
            heard.recv_timeout(LONGEST).expect("a wake-up");
            while heard.try_recv().is_ok() {}
            let _ = member.poll(Duration::ZERO);
        }
    }
    member.close(Parting::Leave);
}

#[test]
fn a_member_that_is_dropped_or_closed_with_an_unanswered_rebalance_does_not_hang() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 2, &[]);
    let clock = SystemClock::new();
    let mut first = Member::join(brokers, &group, None, &[&topic]);
    first.assigned();
    drop(first);
    let mut second = Member::join(brokers, &group, None, &[&topic]);
    second.take(0);
    let mut third = Member::join(brokers, &group, None, &[&topic]);
    loop {
        let _ = third.poll(Duration::from_millis(5));
        if let Polled::Revoked { .. } = second.poll(Duration::from_millis(5)) {
            break;
        }
        assert!(clock.mono() < LONGEST, "no revoke");
    }
    second.close(Parting::Leave);
    third.take(0);
    drop(third);
    assert!(clock.mono() < LONGEST);
}

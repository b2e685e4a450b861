//! Figures for the choices in `broker::kafka`; no test fails by them.
//!
//! `cargo test --release --test broker measure -- --ignored --nocapture --test-threads=1`

use crate::drive::{Lane, Member, batch};
use crate::tools::{Input, create_topic, produce, unique};
use skald::broker::{Batch, NewRecord, Op, Parting};
use skald::clock::{Clock, SystemClock};
use skald::record::TopicPartition;
use std::sync::Arc;
use std::time::Duration;

fn shown(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!("{what}: p50 {:?}, p95 {:?}, max {:?} of {}", at(50), at(95), at(100), times.len());
}

#[test]
#[ignore = "measures"]
fn whole_transactions() {
    let brokers = brokers!();
    let (topic, group) = (unique("measure"), unique("group"));
    create_topic(brokers, &topic, 24, &[]);
    let mut member = Member::join(brokers, &group, None, &[&topic]);
    let (partitions, ownership) = member.take(0);
    let mut lane = Lane::ready(brokers, &group, &unique("id"));
    let clock = SystemClock::new();
    for touched in [1, 6, 24] {
        let (mut whole, mut commit, mut drain) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..220 {
            let mut records = Batch::new(vec![topic.as_str().into()]);
            for number in 0..120 {
                records.push(NewRecord {
                    topic: 0,
                    partition: number % touched,
                    timestamp: 1_000,
                    key: Some(b"key"),
                    value: Some(&[b'v'; 300]),
                    headers: &[],
                });
            }
            let started = clock.mono();
            lane.done(Op::Begin);
            lane.done(Op::Produce(Arc::new(records)));
            let draining = clock.mono();
            lane.run(Op::Drain);
            let drained = clock.mono();
            lane.done(Lane::offsets(&[(partitions[0].clone(), round)], "stamp", &ownership));
            let committing = clock.mono();
            lane.done(Op::Commit);
            if round >= 20 {
                whole.push(clock.mono() - started);
                commit.push(clock.mono() - committing);
                drain.push(drained - draining);
            }
        }
        shown(&format!("whole transaction, 120 records, {touched} partitions"), whole);
        shown("  drain", drain);
        shown("  commit", commit);
    }
    member.close(Parting::Leave);
}

#[test]
#[ignore = "measures"]
fn resume() {
    let brokers = brokers!();
    let (topic, group) = (unique("measure"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    produce(brokers, &topic, 1, (0..1000).map(|number| Input::new("k", number.to_string())));
    let part = TopicPartition::new(topic.as_str(), 0);
    let mut member = Member::join(brokers, &group, None, &[&topic]);
    member.take(0);
    member.read(1000);
    let clock = SystemClock::new();
    let (mut calls, mut first) = (Vec::new(), Vec::new());
    for round in 0..50 {
        member.consumer.pause(std::slice::from_ref(&part)).expect("paused");
        // So long that librdkafka's thread has gone to sleep.
        std::thread::sleep(Duration::from_millis(20 + 7 * (round % 5)));
        member.records.clear();
        let started = clock.mono();
        member.consumer.resume_at(&[(part.clone(), 990)]).expect("resumed");
        calls.push(clock.mono() - started);
        member.read(1);
        first.push(clock.mono() - started);
        member.read(10);
    }
    shown("resume_at", calls);
    shown("first record after it", first);
    member.close(Parting::Leave);
}

#[test]
#[ignore = "measures"]
fn take_over() {
    let brokers = brokers!();
    let clock = SystemClock::new();
    for (what, part) in [("leave", Some(Parting::Leave)), ("stay, others after the session of 6 s", Some(Parting::Stay))] {
        let mut times = Vec::new();
        for _ in 0..3 {
            let (topic, group) = (unique("measure"), unique("group"));
            create_topic(brokers, &topic, 1, &[]);
            produce(brokers, &topic, 1, [Input::new("k", "v")]);
            let mut first = Member::join(brokers, &group, Some("00.a"), &[&topic]);
            first.take(0);
            first.read(1);
            let mut second = Member::join(brokers, &group, Some("01.b"), &[&topic]);
            // The second has nothing of the one partition.
            second_settles(&mut first, &mut second);
            let started = clock.mono();
            if let Some(how) = part {
                first.close(how);
            }
            loop {
                let got = second.assigned();
                if got.is_empty() {
                    second.consumer.accept(&got).expect("accepted");
                    continue;
                }
                second.consumer.accept(&got).expect("accepted");
                second.consumer.resume_at(&[(got[0].clone(), 0)]).expect("resumed");
                break;
            }
            second.read(1);
            times.push(clock.mono() - started);
            second.close(Parting::Leave);
        }
        shown(&format!("first record elsewhere after `{what}`"), times);
    }
    let mut times = Vec::new();
    for _ in 0..5 {
        let (topic, group) = (unique("measure"), unique("group"));
        create_topic(brokers, &topic, 1, &[]);
        produce(brokers, &topic, 1, [Input::new("k", "v")]);
        let mut first = Member::join(brokers, &group, Some("00.a"), &[&topic]);
        first.take(0);
        first.read(1);
        first.close(Parting::Stay);
        let started = clock.mono();
        let mut again = Member::join(brokers, &group, Some("00.a"), &[&topic]);
        again.take(0);
        again.read(1);
        times.push(clock.mono() - started);
        again.close(Parting::Leave);
    }
    shown("first record after `stay` and a restart", times);
    let mut times = Vec::new();
    for _ in 0..5 {
        let (topic, id) = (unique("measure"), unique("id"));
        create_topic(brokers, &topic, 1, &[]);
        let mut dead = Lane::ready(brokers, &topic, &id);
        dead.write(batch(&topic, &[(0, "a", "1")]));
        let started = clock.mono();
        let mut fence = Lane::new(brokers, &topic, &unique("id"));
        fence.done(Op::Fence(id.as_str().into()));
        times.push(clock.mono() - started);
    }
    shown("fence of an id with an open transaction", times);
}

fn second_settles(first: &mut Member, second: &mut Member) {
    use skald::broker::Polled;
    let mut seen = [false, false];
    while seen != [true, true] {
        for (index, member) in [&mut *first, &mut *second].into_iter().enumerate() {
            match member.poll(Duration::from_millis(5)) {
                Polled::Assigned(partitions) => {
                    member.consumer.accept(&partitions).expect("accepted");
                    seen[index] = true;
                }
                Polled::Revoked { .. } => member.consumer.release().expect("released"),
                _ => {}
            }
        }
    }
}

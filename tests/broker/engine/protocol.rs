//! Groups of the consumer protocol (KIP-848): the cluster assigns, in increments. A session of its own lasts 6 s here.

use super::stop;
use super::totals::Totals;
use crate::drive::{LONGEST, Lane, Member, batch};
use crate::tools::{Engine, Input, create_topic, produce, unique};
use skald::broker::kafka::{GroupProtocol, Kafka, Properties};
use skald::broker::{Broker, ErrorClass, Op, Parting, Polled};
use skald::clock::{Clock, SystemClock};
use skald::record::TopicPartition;
use std::time::Duration;

const CONSUMER: [&str; 2] = ["--group-protocol", "consumer"];

fn worker(totals: &Totals, id: &str) -> Engine {
    totals.sample.worker_with(&totals.brokers, id, id, &CONSUMER)
}

#[test]
fn with_the_consumer_protocol_output_equals_the_fold_after_a_worker_leaves_and_another_is_killed() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    totals.send(1_000);
    let mut steady = worker(&totals, "steady");
    totals.wait_for_all(&mut [&mut steady]);
    // Partitions move one by one, under load.
    let mut other = worker(&totals, "other");
    totals.send(3_000);
    totals.wait_for_all(&mut [&mut steady, &mut other]);
    totals.send(3_000);
    stop(other);
    totals.send(1_000);
    totals.wait_for_all(&mut [&mut steady]);
    let mut victim = worker(&totals, "victim");
    totals.send(2_000);
    totals.wait_for_all(&mut [&mut steady, &mut victim]);
    let done = totals.done().unwrap_or(0);
    totals.send(2_000);
    totals.wait_for(done + 200, &mut [&mut steady, &mut victim]);
    victim.kill();
    totals.send(1_000);
    victim = worker(&totals, "victim");
    totals.wait_for_all(&mut [&mut steady, &mut victim]);
    stop(victim);
    stop(steady);
    totals.check();
}

#[test]
fn with_the_consumer_protocol_a_frozen_worker_that_wakes_up_after_its_session_commits_nothing_twice() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    totals.send(1_000);
    let mut sleeper = worker(&totals, "sleeper");
    totals.wait_for_all(&mut [&mut sleeper]);
    totals.send(2_000);
    sleeper.freeze();
    let mut heir = worker(&totals, "heir");
    totals.send(1_000);
    totals.wait_for_all(&mut [&mut heir]);
    sleeper.resume();
    totals.send(2_000);
    // It joins again, or it was told to end: either way all is done once.
    totals.wait_for_all(&mut [&mut heir]);
    sleeper.kill();
    totals.send(500);
    totals.wait_for_all(&mut [&mut heir]);
    stop(heir);
    totals.check();
}

fn join(brokers: &str, group: &str, topic: &str) -> Member {
    let mut properties = Properties::new(brokers);
    properties.set_group_protocol(GroupProtocol::Consumer);
    let kafka = Kafka::new(properties).expect("nothing that could be refused is set");
    // Two of one name: under this protocol a name is no part of the membership.
    let consumer = kafka.consumer(&Member::settings(group, Some("00.a"), &[topic])).expect("a member");
    Member { consumer, records: Vec::new(), offsets: Vec::new() }
}

#[test]
fn offsets_are_taken_under_the_epoch_of_the_assignment_and_no_more_when_the_partition_is_gone() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 4, &[]);
    produce(brokers, &topic, 4, (0..40).map(|number| Input::new(number.to_string(), "v")));
    let mut first = join(brokers, &group, &topic);
    let (all, before) = first.take(0);
    assert_eq!(all.len(), 4);
    first.read(40);
    let mut second = join(brokers, &group, &topic);
    // The first lets go and takes the rest up; the second gets what is free.
    let clock = SystemClock::new();
    let (mut rest, mut moved) = (all.clone(), Vec::new());
    let mut ownership = before.clone();
    while rest.len() != 2 || moved.len() != 2 {
        assert!(clock.mono() < LONGEST, "{rest:?}, {moved:?}");
        match first.poll(Duration::from_millis(5)) {
            Polled::Assigned(partitions) => {
                ownership = first.consumer.ownership();
                first.consumer.accept(&partitions).expect("accepted");
                rest = partitions;
            }
            Polled::Revoked { lost } => {
                assert!(!lost);
                first.consumer.release().expect("released");
            }
            Polled::Idle | Polled::Full => {}
            other => panic!("{other:?}"),
        }
        match second.poll(Duration::from_millis(5)) {
            Polled::Assigned(partitions) => {
                second.consumer.accept(&partitions).expect("accepted");
                moved = partitions;
            }
            Polled::Revoked { .. } => second.consumer.release().expect("released"),
            Polled::Idle | Polled::Full => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(rest.iter().all(|one| !moved.contains(one)), "{rest:?}, {moved:?}");
    // By now the first one's epoch has moved: it has confirmed what it let go.
    let mut lane = Lane::ready(brokers, &group, &unique("id"));
    let commit = |lane: &mut Lane, one: &TopicPartition, ownership: &_| {
        lane.write(batch(&topic, &[(0, "k", "v")]));
        lane.reply(Lane::offsets(&[(one.clone(), 1)], "stamp", ownership)).result
    };
    for ownership in [&before, &ownership] {
        commit(&mut lane, &rest[0], ownership).expect("it has been this member's all the time");
        lane.done(Op::Commit);
    }
    for ownership in [&before, &ownership] {
        let error = commit(&mut lane, &moved[0], ownership).expect_err("it is another's");
        assert_eq!(error.class, ErrorClass::Abortable, "{error}");
        lane.done(Op::Abort);
    }
    // What is held is read on from where it is asked for, and nothing else.
    first.records.clear();
    let from: Vec<_> = rest.iter().map(|one| (one.clone(), 0)).collect();
    first.consumer.resume_at(&from).expect("resumed");
    first.read(1);
    first.close(Parting::Leave);
    assert_eq!(second.assigned().len(), 4);
    second.close(Parting::Leave);
}

#[test]
fn a_member_of_the_consumer_protocol_that_gets_nothing_is_told_so() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    create_topic(brokers, &topic, 1, &[]);
    let mut members = [join(brokers, &group, &topic), join(brokers, &group, &topic)];
    let clock = SystemClock::new();
    let mut got = [None, None];
    while got.iter().any(Option::is_none) || got.iter().flatten().sum::<usize>() != 1 {
        assert!(clock.mono() < LONGEST, "{got:?}");
        for (index, member) in members.iter_mut().enumerate() {
            match member.poll(Duration::from_millis(5)) {
                Polled::Assigned(partitions) => {
                    member.consumer.accept(&partitions).expect("accepted");
                    got[index] = Some(partitions.len());
                }
                Polled::Revoked { .. } => {
                    member.consumer.release().expect("released");
                    got[index] = None;
                }
                Polled::Idle | Polled::Full => {}
                other => panic!("{other:?}"),
            }
        }
    }
    members.into_iter().for_each(|member| member.close(Parting::Leave));
}

//! The rows: what a broker answers.

use super::Harness;
use super::kit::{Lane, Member, Told, at, batch, class, name, read_to, topic, until_all, until_stable};
use skald::broker::{Batch, ErrorClass, Isolation, NewRecord, Op};
use skald::record::{Header, HeaderRef, Record};
use std::sync::Arc;
use std::time::Duration;

pub fn only_committed_records_are_delivered_in_order(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a"), (&topic, 0, "b")]);
    lane.abort(&[(&topic, 0, "lost")]);
    lane.commit(&[(&topic, 0, "c")]);
    let mut other = Lane::new(h, &group, &name(h, "other"));
    other.open(&[(&topic, 0, "open")]);
    lane.commit(&[(&topic, 0, "behind")]);

    let mut member = Member::new(h, &group, None, &[&topic]);
    member.until("the committed records", |member| member.records.len() >= 3);
    assert_eq!(member.values(), ["a", "b", "c"], "an open transaction holds back what lies behind it");
    other.done(Op::Abort);
    member.until("the record behind", |member| member.records.len() >= 4);
    assert_eq!(member.values(), ["a", "b", "c", "behind"]);
    let offsets: Vec<_> = member.records.iter().map(|(_, offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 5, 8], "markers take an offset");
}

pub fn records_come_back_as_they_were_written(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 2, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let headers = [
        HeaderRef { name: "a", value: Some(b"1") },
        HeaderRef { name: "a", value: Some(b"") },
        HeaderRef { name: "none", value: None },
    ];
    let mut whole = Batch::new(vec![topic.clone()]);
    let record = NewRecord { topic: 0, partition: 1, timestamp: 1_234, key: None, value: None, headers: &[] };
    whole.push(NewRecord { key: Some(b"key"), value: Some(b"value"), headers: &headers, ..record });
    whole.push(NewRecord { key: Some(b""), value: Some(b""), timestamp: 9, ..record });
    whole.push(NewRecord { key: Some(b"tombstone"), ..record });
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(whole)));
    lane.done(Op::Drain);
    lane.done(Op::Commit);
    let plain = Record {
        topic: topic.clone(),
        partition: 1,
        timestamp: 77,
        key: None,
        value: Some("plain".into()),
        headers: vec![Header::text("h", "x")],
    };
    until_stable(&mut lane, &at(&topic, 1), 4);
    let mut producer = h.broker().producer().expect("a producer");
    producer.send(&plain).expect("queued");
    producer.flush(Duration::from_secs(30)).expect("acknowledged");

    let mut reader = h.broker().log_reader(Isolation::ReadCommitted).expect("a log reader");
    reader.assign(&[(at(&topic, 1), 0)]).expect("the partition is there");
    let mut seen = Vec::new();
    super::kit::wait(h, "four records", || {
        reader.poll(super::kit::MOMENT, &mut |record| seen.push((record.offset, record.to_record()))).expect("readable");
        (seen.len() >= 4).then_some(())
    });
    let made = |timestamp, key: Option<&'static str>, value: Option<&'static str>, headers: Vec<Header>| Record {
        topic: topic.clone(),
        partition: 1,
        timestamp,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers,
    };
    let expected = [
        (0, made(1_234, Some("key"), Some("value"), headers.iter().map(HeaderRef::to_header).collect())),
        (1, made(9, Some(""), Some(""), Vec::new())),
        (2, made(1_234, Some("tombstone"), None, Vec::new())),
        (4, plain),
    ];
    assert_eq!(seen, expected);
}

pub fn a_position_at_the_end_passes_control_markers_and_aborted_records(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a")]);
    lane.abort(&[(&topic, 0, "lost"), (&topic, 0, "lost too")]);
    let partition = at(&topic, 0);
    assert_eq!(read_to(h, &partition, 0, 5, Isolation::ReadCommitted), [(0, "a".to_owned())]);
    assert_eq!(read_to(h, &partition, 2, 5, Isolation::ReadCommitted), []);
    let all: Vec<_> = read_to(h, &partition, 0, 5, Isolation::ReadUncommitted).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(all, [0, 2, 3]);
    let mut member = Member::new(h, &group, None, &[&topic]);
    member.joined();
    super::kit::wait(h, "the member's position at the end", || {
        member.step();
        (member.consumer().position(&partition) == Some(5)).then_some(())
    });
    assert_eq!(member.values(), ["a"]);
}

pub fn a_token_commits_until_its_generation_is_over(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 2, &[]), name(h, "group"));
    let partition = at(&topic, 0);
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut first = Member::new(h, &group, Some("00.a"), &[&topic]);
    let token = first.joined();
    assert_eq!(lane.commit_offset(&partition, 1, &token), Ok(()), "in its generation");

    first.holds_on = true;
    let mut second = Member::new(h, &group, Some("01.b"), &[&topic]);
    until_all(h, &mut [&mut first, &mut second], "the revocation", |members| {
        members[0].told.last() == Some(&Told::Revoked { lost: false })
    });
    assert_eq!(lane.commit_offset(&partition, 2, &token), Ok(()), "while the group waits for it");

    first.holds_on = false;
    first.release();
    until_all(h, &mut [&mut first, &mut second], "both assigned", |members| {
        members.iter().all(|member| member.held.len() == 1)
    });
    assert_eq!(class(lane.commit_offset(&partition, 3, &token)), ErrorClass::Abortable, "after the rebalance");
    let committed = lane.committed(&partition, Isolation::ReadCommitted).map(|committed| committed.offset);
    assert_eq!(committed, Some(2));
    let fresh = second.ownership.clone().expect("assigned");
    assert_eq!(lane.commit_offset(&partition, 4, &fresh), Ok(()), "a fresh token commits what others own");
}

pub fn a_transaction_without_offsets_commits(h: &dyn Harness) {
    let (topic, group) = (topic(h, "out", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.done(Op::Begin);
    lane.done(Op::Commit);
    lane.commit(&[(&topic, 0, "a")]);
    lane.done(Op::Begin);
    lane.done(Op::Produce(batch(&[])));
    lane.done(Op::Drain);
    lane.done(Op::Commit);
    assert_eq!(read_to(h, &at(&topic, 0), 0, 2, Isolation::ReadCommitted), [(0, "a".to_owned())]);
}

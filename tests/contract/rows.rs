//! The rows: what a broker answers.

use super::Harness;
use super::kit::{
    Lane, Member, Told, at, batch, class, lane_settings, member_settings, name, read_to, topic, until_all, until_stable, wait,
    wait_within,
};
use skald::broker::{
    Batch, ErrorClass, Guarantee, Isolation, NewRecord, Op, Outcome, Parting, Span, TopicSpec, TransactionSettings,
};
use skald::record::{Header, HeaderRef, Record, TopicPartition};
use std::collections::BTreeMap;
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
    wait(h, "four records", || {
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
    wait(h, "the member's position at the end", || {
        member.step();
        (member.consumer().position(&partition) == Some(5)).then_some(())
    });
    assert_eq!(member.values(), ["a"]);
}

pub fn inputs_with_one_partition_number_keep_their_own_positions(h: &dyn Harness) {
    let (long, short, group) = (topic(h, "long", 1, &[]), topic(h, "short", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    for _ in 0..5 {
        lane.commit(&[(&long, 0, "old"), (&long, 0, "old")]);
    }
    lane.commit(&[(&short, 0, "old")]);
    let (of_long, of_short) = (at(&long, 0), at(&short, 0));
    until_stable(&mut lane, &of_long, 15);
    until_stable(&mut lane, &of_short, 2);
    let mut member = Member::new(h, &group, None, &[&long, &short]);
    member.reads = false;
    member.joined();
    // Both at their ends: what the client learns of the end of the one says nothing of the other.
    member.consumer().resume_at(&[(of_long.clone(), 15), (of_short.clone(), 2)]).expect("accepted partitions can be resumed");
    let step = |member: &mut Member<'_>, ends: (i64, i64)| {
        member.step();
        let positions = (member.consumer().position(&of_long), member.consumer().position(&of_short));
        assert!(positions.0.is_none_or(|read| (15..=ends.0).contains(&read)), "{positions:?}");
        assert!(positions.1.is_none_or(|read| (2..=ends.1).contains(&read)), "{positions:?}");
        positions
    };
    for _ in 0..100 {
        step(&mut member, (15, 2));
    }
    // Only the end of the one moves, by a record and by what is not shown.
    lane.commit(&[(&long, 0, "new")]);
    wait(h, "the longer one's end", || (step(&mut member, (17, 2)).0 == Some(17)).then_some(()));
    lane.abort(&[(&short, 0, "lost")]);
    wait(h, "the shorter one's end", || (step(&mut member, (17, 4)).1 == Some(4)).then_some(()));
    assert_eq!(member.values(), ["new"]);
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

pub fn without_transactions_records_are_seen_at_once_and_offsets_are_taken_from_the_owner_alone(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 2, &[]), name(h, "group"));
    let partition = at(&topic, 0);
    let settings = TransactionSettings { guarantee: Guarantee::AtLeastOnce, ..lane_settings(&group, &name(h, "id")) };
    let mut lane = Lane::with(h, &settings);
    let mut first = Member::new(h, &group, Some("00.a"), &[&topic]);
    let token = first.joined();
    lane.open(&[(&topic, 0, "a"), (&topic, 0, "b")]);
    assert_eq!(read_to(h, &partition, 0, 2, Isolation::ReadCommitted).len(), 2, "seen before anything is committed");
    lane.send_offset(&partition, 2, &token).expect("noted");
    assert_eq!(lane.committed(&partition, Isolation::ReadCommitted), None, "only noted");
    lane.done(Op::Commit);
    let committed = lane.committed(&partition, Isolation::ReadCommitted).expect("committed");
    assert_eq!((committed.offset, committed.metadata.as_str()), (2, "stamp"));
    assert_eq!(lane.commit_offset(&partition, 2, &token), Ok(()), "once more");

    // What an abort finds written stays, and the next one commits.
    lane.open(&[(&topic, 0, "c")]);
    lane.done(Op::Abort);
    assert_eq!(read_to(h, &partition, 2, 3, Isolation::ReadCommitted), [(2, "c".to_owned())]);

    let mut second = Member::new(h, &group, Some("01.b"), &[&topic]);
    until_all(h, &mut [&mut first, &mut second], "both assigned", |members| {
        members.iter().all(|member| member.held.len() == 1)
    });
    assert_eq!(class(lane.commit_offset(&partition, 3, &token)), ErrorClass::Abortable, "after the rebalance");
    lane.done(Op::Abort);
    let fresh = first.ownership.clone().expect("assigned");
    assert_eq!(lane.commit_offset(&partition, 4, &fresh), Ok(()));
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

pub fn an_empty_list_of_offsets_changes_nothing(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    lane.open(&[(&topic, 0, "a")]);
    lane.done(Op::SendOffsets { offsets: Vec::new(), stamp: "stamp".into(), ownership });
    lane.done(Op::Commit);
    assert_eq!(lane.committed(&at(&topic, 0), Isolation::ReadCommitted), None);
    assert_eq!(read_to(h, &at(&topic, 0), 0, 2, Isolation::ReadCommitted), [(0, "a".to_owned())]);
}

pub fn offsets_come_back_with_their_stamp(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    lane.commit(&[(&topic, 0, "a")]);
    let (stamp, offsets) = ("shop.worker.00#7f.12", vec![(at(&topic, 0), 1)]);
    lane.done(Op::Begin);
    lane.done(Op::SendOffsets { offsets, stamp: stamp.into(), ownership });
    lane.done(Op::Commit);
    let committed = lane.committed(&at(&topic, 0), Isolation::ReadCommitted).expect("committed");
    assert_eq!((committed.offset, committed.metadata.as_str()), (1, stamp));
}

pub fn an_aborted_offset_is_forgotten(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    lane.commit_offset(&at(&topic, 0), 1, &ownership).expect("committed");
    lane.done(Op::Begin);
    lane.send_offset(&at(&topic, 0), 5, &ownership).expect("taken");
    lane.done(Op::Abort);
    let committed = lane.committed(&at(&topic, 0), Isolation::ReadCommitted).map(|committed| committed.offset);
    assert_eq!(committed, Some(1));
}

pub fn a_token_is_refused_after_its_member_has_left(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    member.close(Parting::Leave);
    assert_eq!(class(lane.commit_offset(&at(&topic, 0), 1, &ownership)), ErrorClass::Abortable);
    assert_eq!(lane.committed(&at(&topic, 0), Isolation::ReadCommitted), None);
}

pub fn a_token_taken_before_any_assignment_is_never_refused(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut member = Member::new(h, &name(h, "elsewhere"), None, &[&topic]);
    let mut stranger = Member::new(h, &group, None, &[&topic]);
    let unfenced = stranger.consumer().ownership();
    member.joined();
    assert_eq!(lane.commit_offset(&at(&topic, 0), 1, &unfenced), Ok(()));
}

pub fn a_second_process_with_the_same_instance_id_ends_the_first(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 2, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut first = Member::new(h, &group, Some("00.a"), &[&topic]);
    let token = first.joined();
    let mut second = Member::new(h, &group, Some("00.a"), &[&topic]);
    until_all(h, &mut [&mut first, &mut second], "the first is ended and the second has all", |members| {
        matches!(members[0].told.last(), Some(Told::Fatal(_))) && members[1].held.len() == 2
    });
    // The producer lives: `commit_offset` aborts, and the next transaction commits.
    assert_eq!(class(lane.commit_offset(&at(&topic, 0), 1, &token)), ErrorClass::Fenced);
    let fresh = second.ownership.clone().expect("assigned");
    assert_eq!(lane.commit_offset(&at(&topic, 0), 2, &fresh), Ok(()));
}

pub fn who_leaves_gives_its_partitions_to_the_others_at_once(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 4, &[]), name(h, "group"));
    for instances in [[None, None], [Some("00.a"), Some("01.b")]] {
        let group = format!("{group}-{}", instances[0].unwrap_or("dynamic")).into();
        let mut first = Member::new(h, &group, instances[0], &[&topic]);
        let mut second = Member::new(h, &group, instances[1], &[&topic]);
        until_all(h, &mut [&mut first, &mut second], "halves", |members| members.iter().all(|member| member.held.len() == 2));
        second.close(Parting::Leave);
        // Well within the session, so it is not its end that moves them.
        wait_within(h, h.session_timeout() / 2, "the partitions of the one that left", || {
            first.step();
            (first.held.len() == 4).then_some(())
        });
    }
}

pub fn who_stays_away_for_less_than_a_session_finds_its_partitions_and_nobody_else_notices(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 4, &[]), name(h, "group"));
    let mut first = Member::new(h, &group, Some("00.a"), &[&topic]);
    let mut second = Member::new(h, &group, Some("01.b"), &[&topic]);
    until_all(h, &mut [&mut first, &mut second], "halves", |members| members.iter().all(|member| member.held.len() == 2));
    let (told, held) = (first.told.clone(), second.held.clone());
    second.close(Parting::Stay);
    let mut second = Member::new(h, &group, Some("01.b"), &[&topic]);
    until_all(h, &mut [&mut first, &mut second], "its partitions again", |members| !members[1].held.is_empty());
    assert_eq!(second.held, held);
    for _ in 0..100 {
        first.step();
        second.step();
        h.pause();
    }
    assert_eq!((first.told, second.told.len()), (told, 1));
}

pub fn who_stays_away_for_longer_loses_its_partitions(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 4, &[]), name(h, "group"));
    let mut first = Member::new(h, &group, Some("00.a"), &[&topic]);
    let mut second = Member::new(h, &group, Some("01.b"), &[&topic]);
    until_all(h, &mut [&mut first, &mut second], "halves", |members| members.iter().all(|member| member.held.len() == 2));
    second.close(Parting::Stay);
    first.until("all partitions, after the session", |member| member.held.len() == 4);
}

pub fn range_goes_topic_by_topic_over_sorted_instance_ids(h: &dyn Harness) {
    let (six, four, group) = (topic(h, "six", 6, &[]), topic(h, "four", 4, &[]), name(h, "group"));
    let mut late = Member::new(h, &group, Some("01.b"), &[&six, &four]);
    let mut early = Member::new(h, &group, Some("00.a"), &[&six, &four]);
    until_all(h, &mut [&mut late, &mut early], "halves", |members| members.iter().all(|member| member.held.len() == 5));
    let expected = |six_from: i32, four_from: i32| -> Vec<TopicPartition> {
        let mut all: Vec<_> = (six_from..six_from + 3).map(|partition| at(&six, partition)).collect();
        all.extend((four_from..four_from + 2).map(|partition| at(&four, partition)));
        all.sort();
        all
    };
    assert_eq!((early.held, late.held), (expected(0, 0), expected(3, 2)));
}

pub fn members_that_subscribe_unequally_split_topics_of_one_count(h: &dyn Harness) {
    let (a, b, group) = (topic(h, "a", 2, &[]), topic(h, "b", 2, &[]), name(h, "group"));
    let mut both = Member::new(h, &group, Some("00.a"), &[&a, &b]);
    let mut one = Member::new(h, &group, Some("01.b"), &[&b]);
    until_all(h, &mut [&mut both, &mut one], "split", |members| members[0].held.len() == 3 && members[1].held.len() == 1);
    assert_eq!((both.held, one.held), (vec![at(&a, 0), at(&a, 1), at(&b, 0)], vec![at(&b, 1)]));
}

pub fn a_stable_read_waits_for_pending_offsets_and_an_unstable_one_gives_the_older(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let partition = at(&topic, 0);
    let (mut lane, mut reader) = (Lane::new(h, &group, &name(h, "id")), Lane::new(h, &group, &name(h, "reader")));
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    lane.commit_offset(&partition, 1, &ownership).expect("committed");
    assert_eq!(reader.committed(&partition, Isolation::ReadCommitted).map(|committed| committed.offset), Some(1));
    lane.done(Op::Begin);
    lane.send_offset(&partition, 2, &ownership).expect("taken");
    let partitions = vec![partition.clone()];
    let stable = reader.run(Op::Committed { partitions, isolation: Isolation::ReadCommitted });
    assert_eq!(class(stable), ErrorClass::Retry);
    assert_eq!(reader.committed(&partition, Isolation::ReadUncommitted).map(|committed| committed.offset), Some(1));
    lane.done(Op::Commit);
    assert_eq!(reader.committed(&partition, Isolation::ReadCommitted).map(|committed| committed.offset), Some(2));
}

pub fn a_new_producer_of_the_same_id_ends_the_old_ones_transaction(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let (partition, id) = (at(&topic, 0), name(h, "id"));
    let mut old = Lane::new(h, &group, &id);
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    old.open(&[(&topic, 0, "lost")]);
    old.send_offset(&partition, 9, &ownership).expect("taken");

    let mut new = Lane::new(h, &group, &id);
    assert_eq!(new.committed(&partition, Isolation::ReadCommitted), None, "nothing is pending any more");
    assert_eq!(class(old.run(Op::Commit)), ErrorClass::Fenced);
    new.commit(&[(&topic, 0, "a")]);
    assert_eq!(read_to(h, &partition, 0, 4, Isolation::ReadCommitted), [(2, "a".to_owned())]);
    old.done(Op::Rebuild);
    old.commit(&[(&topic, 0, "b")]);
    assert_eq!(
        class(
            new.run(Op::Begin)
                .and_then(|_| new.run(Op::Produce(batch(&[(&topic, 0, "c")]))))
                .and_then(|_| { new.run(Op::Drain) })
        ),
        ErrorClass::Fenced,
        "whoever initialised last is the owner"
    );
}

pub fn a_dead_owners_transaction_is_ended_by_fencing_its_id(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let (partition, id) = (at(&topic, 0), name(h, "id"));
    let mut member = Member::new(h, &group, None, &[&topic]);
    let ownership = member.joined();
    let mut dead = Lane::new(h, &group, &id);
    dead.open(&[(&topic, 0, "lost")]);
    dead.send_offset(&partition, 9, &ownership).expect("taken");
    drop(dead);
    let mut successor = Lane::new(h, &group, &name(h, "successor"));
    assert_eq!(successor.ends(&partition, Isolation::ReadCommitted).end, 0);
    successor.done(Op::Fence(id));
    assert_eq!(successor.committed(&partition, Isolation::ReadCommitted), None);
    until_stable(&mut successor, &partition, 2);
}

pub fn ends_differ_by_isolation_while_a_transaction_is_open(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let partition = at(&topic, 0);
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a")]);
    until_stable(&mut lane, &partition, 2);
    lane.open(&[(&topic, 0, "b"), (&topic, 0, "c")]);
    assert_eq!(lane.ends(&partition, Isolation::ReadCommitted), Span { start: 0, end: 2 });
    assert_eq!(lane.ends(&partition, Isolation::ReadUncommitted), Span { start: 0, end: 4 });
    lane.done(Op::Abort);
    until_stable(&mut lane, &partition, 5);
    assert_eq!(lane.ends(&partition, Isolation::ReadUncommitted), Span { start: 0, end: 5 });
}

pub fn a_record_too_large_for_the_client_is_refused_and_the_transaction_commits(h: &dyn Harness) {
    let (topic, group) = (topic(h, "out", 1, &[]), name(h, "group"));
    let settings = TransactionSettings { max_message_bytes: 10_000, ..lane_settings(&group, &name(h, "id")) };
    let mut lane = Lane::with(h, &settings);
    lane.open(&[(&topic, 0, "a")]);
    let large = "x".repeat(20_000);
    assert_eq!(class(lane.run(Op::Produce(batch(&[(&topic, 0, &large)])))), ErrorClass::TooLarge);
    lane.done(Op::Drain);
    lane.done(Op::Commit);
    assert_eq!(read_to(h, &at(&topic, 0), 0, 2, Isolation::ReadCommitted), [(0, "a".to_owned())]);
}

pub fn a_record_too_large_for_the_topic_fails_its_delivery_and_the_transaction(h: &dyn Harness) {
    let (topic, group) = (topic(h, "out", 1, &[("max.message.bytes", "5000")]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let large = "x".repeat(20_000);
    lane.done(Op::Begin);
    lane.done(Op::Produce(batch(&[(&topic, 0, &large)])));
    assert_eq!(class(lane.run(Op::Drain)), ErrorClass::TooLarge);
    assert_eq!(class(lane.run(Op::Commit)), ErrorClass::TooLarge, "the commit says why again");
    lane.done(Op::Abort);
    lane.commit(&[(&topic, 0, "a")]);
    let mut member = Member::new(h, &group, None, &[&topic]);
    member.until("the record that fits", |member| member.values() == ["a"]);
}

pub fn a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced(h: &dyn Harness) {
    let (topic, group) = (topic(h, "out", 1, &[]), name(h, "group"));
    let timeout = Duration::from_secs(1);
    let settings = TransactionSettings { transaction_timeout: timeout, ..lane_settings(&group, &name(h, "id")) };
    let mut lane = Lane::with(h, &settings);
    let mut watcher = Lane::new(h, &group, &name(h, "watcher"));
    lane.open(&[(&topic, 0, "lost")]);
    until_stable(&mut watcher, &at(&topic, 0), 2);
    assert_eq!(class(lane.run(Op::Commit)), ErrorClass::Fenced);
    lane.done(Op::Rebuild);
    lane.commit(&[(&topic, 0, "a")]);
    assert_eq!(read_to(h, &at(&topic, 0), 0, 4, Isolation::ReadCommitted), [(2, "a".to_owned())]);
}

pub fn a_topic_deleted_within_a_transaction_does_not_keep_the_rest_from_committing(h: &dyn Harness) {
    let (gone, stays, group) = (topic(h, "gone", 1, &[]), topic(h, "stays", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.open(&[(&gone, 0, "a"), (&stays, 0, "b")]);
    h.delete_topic(&gone);
    let admin = h.broker().admin().expect("admin client");
    wait(h, "the topic is gone", || admin.topics().ok()?.iter().all(|info| info.name != gone).then_some(()));
    lane.done(Op::Commit);
    assert_eq!(read_to(h, &at(&stays, 0), 0, 2, Isolation::ReadCommitted), [(0, "b".to_owned())]);
}

pub fn nothing_is_delivered_while_paused_and_a_seek_goes_exactly_there(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 2, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let values: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let both: Vec<_> = values.iter().flat_map(|value| [(&topic, 0, value.as_str()), (&topic, 1, value.as_str())]).collect();
    lane.commit(&both);
    until_stable(&mut lane, &at(&topic, 1), 11);

    let mut member = Member::new(h, &group, None, &[&topic]);
    member.reads = false;
    member.joined();
    member.consumer().resume_at(&[(at(&topic, 0), 3)]).expect("accepted");
    member.until("the records from there on", |member| member.records.len() >= 7);
    let seen = |member: &Member<'_>| -> Vec<(i32, i64)> {
        member.records.iter().map(|(partition, offset, _)| (partition.partition, *offset)).collect()
    };
    assert_eq!(seen(&member), (3..10).map(|offset| (0, offset)).collect::<Vec<_>>(), "the other one is paused from the start");

    member.records.clear();
    member.consumer().pause(&[at(&topic, 0)]).expect("accepted");
    lane.commit(&[(&topic, 0, "more"), (&topic, 1, "more")]);
    member.consumer().resume_at(&[(at(&topic, 1), 9)]).expect("accepted");
    member.until("the other partition", |member| member.records.len() >= 2);
    assert_eq!(seen(&member), [(1, 9), (1, 11)]);

    member.records.clear();
    member.consumer().resume_at(&[(at(&topic, 0), 5)]).expect("accepted");
    member.until("from an older offset", |member| member.records.len() >= 6);
    assert_eq!(seen(&member), [(0, 5), (0, 6), (0, 7), (0, 8), (0, 9), (0, 11)]);
}

pub fn an_offset_beyond_the_end_is_trouble(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a")]);
    let mut member = Member::new(h, &group, None, &[&topic]);
    member.reads = false;
    member.joined();
    member.consumer().resume_at(&[(at(&topic, 0), 1_000)]).expect("accepted");
    let trouble = Told::Trouble(format!("{topic}-0 OffsetOutOfRange"));
    member.until("trouble", |member| member.told.contains(&trouble));
    assert!(member.records.is_empty());
}

pub fn an_offset_that_was_trimmed_away_is_trouble(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a"), (&topic, 0, "b"), (&topic, 0, "c")]);
    until_stable(&mut lane, &at(&topic, 0), 4);
    let admin = h.broker().admin().expect("admin client");
    admin.trim(&[(at(&topic, 0), 2)]).expect("trimmed");
    assert_eq!(lane.ends(&at(&topic, 0), Isolation::ReadCommitted), Span { start: 2, end: 4 });
    let mut member = Member::new(h, &group, None, &[&topic]);
    let trouble = Told::Trouble(format!("{topic}-0 OffsetOutOfRange"));
    member.until("trouble", |member| member.told.contains(&trouble));
    assert!(member.records.is_empty(), "nothing is skipped silently");
    member.consumer().resume_at(&[(at(&topic, 0), 2)]).expect("accepted");
    member.until("what is left", |member| member.values() == ["c"]);
}

pub fn a_lane_deletes_records_before_an_offset(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a"), (&topic, 0, "b"), (&topic, 0, "c")]);
    until_stable(&mut lane, &at(&topic, 0), 4);
    for (before, start) in [(0, 0), (2, 2), (1, 2)] {
        wait(h, "the first record that is left", || {
            // One may be passed over.
            lane.done(Op::Trim(vec![(at(&topic, 0), before)]));
            (lane.ends(&at(&topic, 0), Isolation::ReadCommitted).start == start).then_some(())
        });
    }
    assert_eq!(read_to(h, &at(&topic, 0), 2, 4, Isolation::ReadCommitted), [(2, "c".to_owned())]);
    // A failure is told, at the latest by the next one, and the lane lives.
    let gone = at(&name(h, "gone"), 0);
    let error = wait(h, "the failure", || lane.run(Op::Trim(vec![(gone.clone(), 1)])).err());
    assert!(matches!(error.class, ErrorClass::Missing(_)), "{error:?}");
    lane.commit(&[(&topic, 0, "d")]);
}

pub fn a_topic_s_settings_can_be_replaced(h: &dyn Harness) {
    let made = topic(h, "made", 1, &[("retention.ms", "-1"), ("max.message.bytes", "70000")]);
    let admin = h.broker().admin().expect("admin client");
    let config = [("retention.ms", "86400000"), ("max.message.bytes", "70000")];
    let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    admin.configure(&made, &config).expect("configured");
    wait(h, "the new settings", || {
        let found = admin.describe(std::slice::from_ref(&made)).expect("described").remove(0).config;
        (found["retention.ms"] == "86400000" && found["max.message.bytes"] == "70000").then_some(())
    });
    assert!(matches!(class(admin.configure(&name(h, "missing"), &config)), ErrorClass::Missing(_)));
}

pub fn offsets_by_time_are_those_of_the_first_record_not_before_it(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 2, &[]), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    let mut whole = Batch::new(vec![topic.clone()]);
    for timestamp in [1_000, 2_000, 3_000] {
        let (key, value) = (Some(b"k".as_slice()), Some(b"v".as_slice()));
        whole.push(NewRecord { topic: 0, partition: 0, timestamp, key, value, headers: &[] });
    }
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(whole)));
    lane.done(Op::Drain);
    lane.done(Op::Commit);
    until_stable(&mut lane, &at(&topic, 0), 4);
    // Control markers count, and bear the time of their writing.
    let far = 100_000_000_000_000;
    for (moment, expected) in [(0, 0), (1_000, 0), (1_001, 1), (3_000, 2), (3_001, 3), (far, 4)] {
        match lane.lookup(&Op::OffsetsAt(vec![(at(&topic, 0), moment), (at(&topic, 1), moment)])) {
            Outcome::Offsets(found) => assert_eq!(found, [(at(&topic, 0), expected), (at(&topic, 1), 0)], "at {moment}"),
            other => panic!("not offsets: {other:?}"),
        }
    }
}

pub fn topics_are_created_once_and_described_with_their_settings(h: &dyn Harness) {
    let made = topic(h, "made", 3, &[("cleanup.policy", "compact"), ("delete.retention.ms", "1234")]);
    let missing = name(h, "missing");
    let admin = h.broker().admin().expect("admin client");
    let spec = TopicSpec { name: made.clone(), partitions: 9, replication: None, config: BTreeMap::new() };
    admin.create(&[spec]).expect("one that is there is left as it is");
    let found = admin.describe(&[made.clone(), missing.clone()]).expect("described");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].name.clone(), found[0].partitions), (made.clone(), 3));
    for (setting, value) in [("cleanup.policy", "compact"), ("delete.retention.ms", "1234"), ("max.message.bytes", "1048588")] {
        assert_eq!(found[0].config.get(setting).map(String::as_str), Some(value), "{setting}");
    }
    assert!(admin.topics().expect("listed").iter().any(|info| info.name == made && info.partitions == 3));
    let mut lane = Lane::new(h, &name(h, "group"), &name(h, "id"));
    match lane.done(Op::Counts(vec![made.clone(), missing.clone()])) {
        Outcome::Counts(counts) => assert_eq!(counts, [(made, Some(3)), (missing, None)]),
        other => panic!("not counts: {other:?}"),
    }
}

pub fn counts_grow_with_the_topic(h: &dyn Harness) {
    let grown = topic(h, "grown", 2, &[]);
    let mut lane = Lane::new(h, &name(h, "group"), &name(h, "id"));
    h.grow_topic(&grown, 3);
    wait(h, "three partitions", || match lane.done(Op::Counts(vec![grown.clone()])) {
        Outcome::Counts(counts) => (counts == [(grown.clone(), Some(3))]).then_some(()),
        other => panic!("not counts: {other:?}"),
    });
}

pub fn members_of_a_group_are_listed_by_their_client_id(h: &dyn Harness) {
    let (topic, group) = (topic(h, "in", 1, &[]), name(h, "group"));
    let admin = h.broker().admin().expect("admin client");
    assert_eq!(admin.members(&group).expect("an unknown group has none"), []);
    let mut member = Member::new(h, &group, Some("00.a"), &[&topic]);
    member.joined();
    let expected = member_settings(h, &group, Some("00.a"), &[&topic]).client_id;
    let found = admin.members(&group).expect("listed");
    assert_eq!(found.iter().map(|member| member.client_id.as_str()).collect::<Vec<_>>(), [expected.as_str()]);
    member.close(Parting::Leave);
    wait(h, "nobody is left", || admin.members(&group).ok()?.is_empty().then_some(()));
}

pub fn a_pattern_subscribes_to_topics_by_their_whole_name(h: &dyn Harness) {
    let (one, two, group) = (topic(h, "pattern-one", 1, &[]), topic(h, "pattern-two", 1, &[]), name(h, "group"));
    let other = topic(h, "x-pattern-one", 1, &[]);
    let suffix = one.strip_prefix("pattern-one-").expect("named so above");
    let pattern = format!("^pattern-(one|two)-{suffix}$");
    let mut settings = member_settings(h, &group, None, &[]);
    settings.patterns = vec![pattern.into()];
    let mut member = Member::with(h, &settings);
    member.until("both topics", |member| member.held.len() == 2);
    assert_eq!(member.held, [at(&one, 0), at(&two, 0)]);
    assert!(!member.held.contains(&at(&other, 0)));
}

pub fn a_topic_that_is_not_there_is_trouble_and_does_not_keep_the_others_from_being_read(h: &dyn Harness) {
    let (topic, missing, group) = (topic(h, "in", 1, &[]), name(h, "missing"), name(h, "group"));
    let mut lane = Lane::new(h, &group, &name(h, "id"));
    lane.commit(&[(&topic, 0, "a")]);
    let mut member = Member::new(h, &group, None, &[&topic, &missing]);
    let trouble = Told::Trouble(format!("{missing}--1 Missing"));
    member.until("trouble and a record", |member| member.told.contains(&trouble) && member.values() == ["a"]);
}

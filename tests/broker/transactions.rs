//! The lane on a real broker.

use crate::drive::{LONGEST, Lane, Member, batch, no_wake};
use crate::tools::{Input, committed, create_topic, kafka, produce, read_committed, read_uncommitted, unique};
use skald::broker::{
    Batch, Broker, CommittedOffset, ErrorClass, Isolation, NewRecord, Op, Outcome, Ownership, Parting, Span,
    TransactionSettings,
};
use skald::clock::{Clock, SystemClock};
use skald::record::{HeaderRef, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

fn values(brokers: &str, topic: &str) -> Vec<String> {
    read_committed(brokers, topic).iter().map(crate::tools::Output::value_text).collect()
}

#[test]
fn a_committed_transaction_is_seen_and_an_aborted_one_is_not() {
    let brokers = brokers!();
    let topic = unique("commit");
    create_topic(brokers, &topic, 2, &[]);
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));

    let ends = lane.write(batch(&topic, &[(0, "a", "1"), (1, "b", "2"), (0, "a", "3")]));
    assert_eq!(ends, [(0, 0, Some(2)), (0, 1, Some(1))]);
    lane.done(Op::Commit);
    let ends = lane.write(batch(&topic, &[(0, "a", "4"), (1, "b", "5")]));
    assert_eq!(ends, [(0, 0, Some(4)), (0, 1, Some(3))], "a commit marker takes an offset");
    lane.done(Op::Abort);
    lane.write(batch(&topic, &[(1, "b", "6")]));
    lane.done(Op::Commit);

    assert_eq!(values(brokers, &topic), ["1", "3", "2", "6"]);
    assert_eq!(read_uncommitted(brokers, &topic).len(), 6);
}

#[test]
fn a_record_arrives_as_it_was_given() {
    let brokers = brokers!();
    let topic = unique("bytes");
    create_topic(brokers, &topic, 1, &[]);
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));
    let mut all = Batch::new(vec![topic.as_str().into()]);
    let headers = [
        HeaderRef { name: "a", value: Some(b"1") },
        HeaderRef { name: "a", value: None },
        HeaderRef { name: "", value: Some(b"") },
        HeaderRef { name: "ü", value: Some(&[0, 255]) },
    ];
    let record = |key, value, timestamp, headers| NewRecord { topic: 0, partition: 0, timestamp, key, value, headers };
    all.push(record(Some(&b"k"[..]), Some(&b"v"[..]), 12_345, &headers[..]));
    all.push(record(None, Some(&b""[..]), 1, &[]));
    all.push(record(Some(&b""[..]), None, 1_700_000_000_000, &[]));
    lane.write(all);
    lane.done(Op::Commit);

    let found = read_committed(brokers, &topic);
    let plain: Vec<_> = found.iter().map(|one| (one.timestamp, one.key.as_deref(), one.value.as_deref())).collect();
    assert_eq!(
        plain,
        [(12_345, Some(&b"k"[..]), Some(&b"v"[..])), (1, None, Some(&b""[..])), (1_700_000_000_000, Some(&b""[..]), None),]
    );
    assert_eq!(
        found[0].headers,
        [
            ("a".to_owned(), Some(b"1".to_vec())),
            ("a".to_owned(), None),
            (String::new(), Some(Vec::new())),
            ("ü".to_owned(), Some(vec![0, 255])),
        ]
    );
}

#[test]
fn offsets_are_committed_with_the_records_and_carry_the_stamp() {
    let brokers = brokers!();
    let (input, output, group) = (unique("in"), unique("out"), unique("group"));
    create_topic(brokers, &input, 2, &[]);
    create_topic(brokers, &output, 1, &[]);
    let id = unique("id");
    let mut lane = Lane::ready(brokers, &group, &id);
    let mut member = Member::join(brokers, &group, None, &[&input]);
    let (partitions, ownership) = member.take(0);
    assert_eq!(partitions.len(), 2);
    let at = |offset| partitions.iter().map(|one| (one.clone(), offset)).collect::<Vec<_>>();
    assert_eq!(committed(brokers, &group, &input, 2), [None, None]);

    let stamp = format!("{id}#7.1");
    lane.write(batch(&output, &[(0, "a", "1")]));
    lane.done(Lane::offsets(&at(5), &stamp, &ownership));

    // Pending: the stable look-up waits and gives up, the unstable one has what was before.
    let look_up = |isolation| Op::Committed { partitions: partitions.clone(), isolation };
    let mut other = Lane::new(brokers, &group, &unique("id"));
    let outcome = other.run(look_up(Isolation::ReadUncommitted));
    assert!(matches!(outcome, Outcome::Committed(found) if found.iter().all(|(_, offset)| offset.is_none())));
    assert_eq!(other.fails(look_up(Isolation::ReadCommitted)), ErrorClass::Retry);

    lane.done(Op::Commit);
    let expected = (5, stamp.clone());
    assert_eq!(committed(brokers, &group, &input, 2), [Some(expected.clone()), Some(expected.clone())]);
    let Outcome::Committed(found) = other.run(look_up(Isolation::ReadCommitted)) else { panic!("committed offsets") };
    let stamped = Some(CommittedOffset { offset: 5, metadata: stamp.as_str().into() });
    assert!(found.iter().all(|(_, offset)| *offset == stamped), "{found:?}");

    // Aborted: neither the record nor the offset.
    lane.write(batch(&output, &[(0, "a", "2")]));
    lane.done(Lane::offsets(&at(9), "later", &ownership));
    lane.done(Op::Abort);
    assert_eq!(committed(brokers, &group, &input, 2), [Some(expected.clone()), Some(expected)]);
    assert_eq!(values(brokers, &output), ["1"]);
    member.close(Parting::Leave);
}

#[test]
fn ownership_holds_until_the_group_has_moved_on() {
    let brokers = brokers!();
    let (input, group) = (unique("in"), unique("group"));
    create_topic(brokers, &input, 2, &[]);
    let mut lane = Lane::ready(brokers, &group, &unique("id"));
    let mut first = Member::join(brokers, &group, Some("00.a"), &[&input]);
    let (partitions, ownership) = first.take(0);
    let at: Vec<_> = partitions.iter().map(|one| (one.clone(), 1)).collect();
    let mut commit = |ownership: &Ownership, expected: Option<ErrorClass>, when: &str| {
        lane.done(Op::Begin);
        let result = lane.reply(Lane::offsets(&at, "s", ownership)).result;
        assert_eq!(result.as_ref().err().map(|error| error.class.clone()), expected, "{when}: {result:?}");
        lane.done(if expected.is_none() { Op::Commit } else { Op::Abort });
    };
    commit(&ownership, None, "assigned");

    // A second member joins: the group prepares a rebalance, then the revoke is delivered, then answered.
    let mut second = Member::join(brokers, &group, Some("01.b"), &[&input]);
    let clock = SystemClock::new();
    loop {
        assert!(clock.mono() < LONGEST, "no rebalance");
        let _ = second.poll(Duration::from_millis(5));
        match first.poll(Duration::from_millis(5)) {
            skald::broker::Polled::Idle => {}
            skald::broker::Polled::Revoked { lost } => {
                assert!(!lost);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    commit(&ownership, None, "revoke delivered, not answered");
    first.consumer.release().expect("released");
    let (mut mine, mut theirs) = (None, None);
    while mine.is_none() || theirs.is_none() {
        assert!(clock.mono() < LONGEST, "no assignment");
        for (member, got) in [(&mut first, &mut mine), (&mut second, &mut theirs)] {
            match member.poll(Duration::from_millis(5)) {
                skald::broker::Polled::Idle => {}
                skald::broker::Polled::Assigned(partitions) => {
                    let token = member.consumer.ownership();
                    member.consumer.accept(&partitions).expect("accepted");
                    *got = Some((partitions, token));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let ((mine, fresh), (theirs, _)) = (mine.expect("assigned"), theirs.expect("assigned"));
    assert_eq!((mine.len(), theirs.len()), (1, 1));
    commit(&ownership, Some(ErrorClass::Abortable), "the group has moved on");
    commit(&fresh, None, "fresh ownership, a foreign partition among them: the group does not mind");
    first.close(Parting::Leave);
    second.close(Parting::Leave);
    commit(&fresh, Some(ErrorClass::Abortable), "after leaving");
}

#[test]
fn a_newer_lane_of_the_same_id_ends_the_older_ones_transaction_and_fences_it() {
    let brokers = brokers!();
    let topic = unique("fence");
    create_topic(brokers, &topic, 1, &[]);
    let id = unique("id");
    let mut old = Lane::ready(brokers, &topic, &id);
    old.write(batch(&topic, &[(0, "a", "old")]));
    let mut new = Lane::ready(brokers, &topic, &id);
    new.write(batch(&topic, &[(0, "a", "new")]));
    new.done(Op::Commit);
    assert_eq!(old.fails(Op::Commit), ErrorClass::Fenced);
    assert_eq!(values(brokers, &topic), ["new"]);
    // And back: a rebuild makes the old one the newest.
    old.done(Op::Rebuild);
    old.write(batch(&topic, &[(0, "a", "again")]));
    old.done(Op::Commit);
    assert_eq!(values(brokers, &topic), ["new", "again"]);
    new.done(Op::Begin);
    new.done(Op::Produce(Arc::new(batch(&topic, &[(0, "a", "late")]))));
    let drained = new.reply(Op::Drain).result;
    let class = drained.map_or_else(|error| error.class, |_| new.fails(Op::Commit));
    assert_eq!(class, ErrorClass::Fenced);
}

#[test]
fn fencing_an_id_ends_the_transaction_of_its_dead_owner() {
    let brokers = brokers!();
    let topic = unique("dead");
    create_topic(brokers, &topic, 1, &[]);
    let id = unique("id");
    let mut dead = Lane::ready(brokers, &topic, &id);
    dead.write(batch(&topic, &[(0, "a", "1")]));
    let part = vec![TopicPartition::new(topic.as_str(), 0)];
    let mut lane = Lane::new(brokers, &topic, &unique("id"));
    let mut end = |isolation| match lane.run(Op::Ends { partitions: part.clone(), isolation }) {
        Outcome::Ends(found) => found[0].1,
        other => panic!("{other:?}"),
    };
    assert_eq!(end(Isolation::ReadCommitted), Span { start: 0, end: 0 }, "the open transaction holds the end back");
    assert_eq!(end(Isolation::ReadUncommitted), Span { start: 0, end: 1 });
    lane.done(Op::Fence(id.as_str().into()));
    crate::tools::wait_until("the abort marker is written", LONGEST, || {
        match lane.run(Op::Ends { partitions: part.clone(), isolation: Isolation::ReadCommitted }) {
            Outcome::Ends(found) => found[0].1 == Span { start: 0, end: 2 },
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(dead.fails(Op::Commit), ErrorClass::Fenced);
}

#[test]
fn a_record_that_is_too_large_is_refused_by_the_client_or_fails_its_delivery() {
    let brokers = brokers!();
    let topic = unique("large");
    create_topic(brokers, &topic, 1, &[("max.message.bytes", "2000")]);
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));
    // Beyond the client's bound: refused at once, and the transaction does not mind.
    let (huge, large) = ("x".repeat(1_100_000), "x".repeat(5_000));
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(batch(&topic, &[(0, "a", "fits")]))));
    assert_eq!(lane.fails(Op::Produce(Arc::new(batch(&topic, &[(0, "a", &huge)])))), ErrorClass::TooLarge);
    lane.run(Op::Drain);
    lane.done(Op::Commit);
    // Beyond the topic's bound: the broker refuses, the transaction must be aborted.
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(batch(&topic, &[(0, "a", "before"), (0, "a", &large)]))));
    assert_eq!(lane.fails(Op::Drain), ErrorClass::TooLarge);
    lane.done(Op::Abort);
    lane.write(batch(&topic, &[(0, "a", "after")]));
    lane.done(Op::Commit);
    assert_eq!(values(brokers, &topic), ["fits", "after"]);
}

#[test]
fn small_records_are_sent_in_batches_that_the_smallest_topic_takes() {
    let brokers = brokers!();
    let topic = unique("small");
    create_topic(brokers, &topic, 1, &[("max.message.bytes", "20000")]);
    let settings = TransactionSettings { max_batch_bytes: 20_000, ..Lane::settings(&topic, &unique("id")) };
    let mut lane = Lane::ready_with(brokers, &settings);
    // Sizes about the overhead of a record, of a batch, and half the bound.
    for (size, count) in [(10, 5_000), (1_000, 200), (9_900, 20)] {
        let value = "x".repeat(size);
        let records: Vec<_> = (0..count).map(|_| (0, "a", value.as_str())).collect();
        lane.write(batch(&topic, &records));
        lane.done(Op::Commit);
    }
    assert_eq!(values(brokers, &topic).len(), 5_220);
}

#[test]
fn what_takes_several_requests_of_a_partition_arrives_in_order_or_not_at_all() {
    let brokers = brokers!();
    let topic = unique("rounds");
    create_topic(brokers, &topic, 2, &[("max.message.bytes", "20000")]);
    let settings = TransactionSettings { max_batch_bytes: 5_000, ..Lane::settings(&topic, &unique("id")) };
    let mut lane = Lane::ready_with(brokers, &settings);
    let numbers: Vec<String> = (0..1_000).map(|number| format!("{number:0100}")).collect();
    let mut records: Vec<_> =
        numbers.iter().enumerate().map(|(at, value)| (i32::from(at % 3 == 0), "a", value.as_str())).collect();
    let ends = lane.write(batch(&topic, &records));
    assert_eq!(ends, [(0, 0, Some(666)), (0, 1, Some(334))]);
    lane.done(Op::Commit);
    let expected = |rest: fn(usize) -> bool| (0..1_000).filter(move |at| rest(*at)).map(|at| format!("{at:0100}"));
    let expected: Vec<String> = expected(|at| at % 3 != 0).chain(expected(|at| at % 3 == 0)).collect();
    assert_eq!(values(brokers, &topic), expected);

    // One of the first round is refused: nothing of the later ones is waited for, and nothing of it all is seen.
    let large = "x".repeat(30_000);
    records.insert(5, (0, "a", &large));
    lane.done(Op::Begin);
    assert_eq!(lane.fails(Op::Produce(Arc::new(batch(&topic, &records)))), ErrorClass::TooLarge);
    lane.done(Op::Abort);
    lane.write(batch(&topic, &[(0, "a", "after"), (1, "a", "after")]));
    lane.done(Op::Commit);
    let seen = values(brokers, &topic);
    assert_eq!((seen.len(), seen.iter().filter(|value| *value == "after").count()), (1_002, 2));
}

#[test]
fn a_record_that_its_topic_does_not_take_is_refused_with_the_topic_named() {
    let brokers = brokers!();
    let topic = unique("compacted");
    create_topic(brokers, &topic, 1, &[("cleanup.policy", "compact")]);
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));
    let mut keyless = Batch::new(vec![topic.as_str().into()]);
    keyless.push(NewRecord { topic: 0, partition: 0, timestamp: 1_000, key: None, value: Some(b"1"), headers: &[] });
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(keyless)));
    assert_eq!(lane.fails(Op::Drain), ErrorClass::Refused(topic.as_str().into()));
    lane.done(Op::Abort);
    lane.write(batch(&topic, &[(0, "a", "taken")]));
    lane.done(Op::Commit);
    assert_eq!(values(brokers, &topic), ["taken"]);
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let brokers = brokers!();
    let topic = unique("there");
    create_topic(brokers, &topic, 3, &[]);
    let gone = unique("gone");
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));
    lane.done(Op::Begin);
    let produced = lane.reply(Op::Produce(Arc::new(batch(&gone, &[(0, "a", "1")])))).result;
    let class = produced.map_or_else(|error| error.class, |_| lane.fails(Op::Drain));
    assert_eq!(class, ErrorClass::Missing(gone.as_str().into()));
    lane.done(Op::Abort);
    let missing = vec![TopicPartition::new(topic.as_str(), 1), TopicPartition::new(gone.as_str(), 0)];
    let ends = Op::Ends { partitions: missing, isolation: Isolation::ReadCommitted };
    assert_eq!(lane.fails(ends), ErrorClass::Missing(gone.as_str().into()));
    let Outcome::Counts(counts) = lane.run(Op::Counts(vec![topic.as_str().into(), gone.as_str().into()])) else {
        panic!("counts")
    };
    assert_eq!(counts, [(topic.as_str().into(), Some(3)), (gone.as_str().into(), None)]);
}

#[test]
fn a_moment_leads_to_the_first_record_not_before_it_or_to_the_end() {
    let brokers = brokers!();
    let topic = unique("moments");
    create_topic(brokers, &topic, 2, &[]);
    let inputs = (1..=10).map(|at| Input { timestamp: Some(at * 1000), ..Input::new("k", at.to_string()) });
    produce(brokers, &topic, 1, inputs);
    let mut lane = Lane::new(brokers, &topic, &unique("id"));
    let part = |partition| TopicPartition::new(topic.as_str(), partition);
    for (moment, offset) in [(0, 0), (-5, 0), (1000, 0), (1001, 1), (9999, 9), (10_000, 9), (10_001, 10)] {
        let asked = vec![(part(0), moment), (part(1), moment)];
        let Outcome::Offsets(found) = lane.run(Op::OffsetsAt(asked)) else { panic!("offsets") };
        assert_eq!(found, [(part(0), offset), (part(1), 0)], "{moment}");
    }
}

#[test]
fn a_transaction_that_outlives_its_time_out_fences_its_own_producer_and_a_rebuild_goes_on() {
    let brokers = brokers!();
    let topic = unique("late");
    create_topic(brokers, &topic, 1, &[]);
    let id = unique("id");
    let settings = TransactionSettings { transaction_timeout: Duration::from_secs(1), ..Lane::settings(&topic, &id) };
    let mut lane = Lane::ready_with(brokers, &settings);
    lane.write(batch(&topic, &[(0, "a", "late")]));
    let part = vec![TopicPartition::new(topic.as_str(), 0)];
    let mut watch = Lane::new(brokers, &topic, &unique("id"));
    crate::tools::wait_until("the coordinator aborts it", LONGEST, || {
        match watch.run(Op::Ends { partitions: part.clone(), isolation: Isolation::ReadCommitted }) {
            Outcome::Ends(found) => found[0].1.end == 2,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(lane.fails(Op::Commit), ErrorClass::Fenced);
    lane.done(Op::Rebuild);
    lane.write(batch(&topic, &[(0, "a", "again")]));
    lane.done(Op::Commit);
    assert_eq!(values(brokers, &topic), ["again"]);
}

#[test]
fn an_abandoned_lane_answers_no_more_and_goes_on_after_a_rebuild() {
    let brokers = brokers!();
    let topic = unique("abandon");
    create_topic(brokers, &topic, 1, &[]);
    let mut lane = Lane::ready(brokers, &topic, &unique("id"));
    lane.write(batch(&topic, &[(0, "a", "given up")]));
    lane.0.submit(Op::Ends { partitions: vec![TopicPartition::new(topic.as_str(), 0)], isolation: Isolation::ReadCommitted });
    lane.0.abandon();
    assert!(lane.0.reply().is_none());
    lane.done(Op::Rebuild);
    lane.write(batch(&topic, &[(0, "a", "kept")]));
    lane.done(Op::Commit);
    assert_eq!(values(brokers, &topic), ["kept"]);
}

#[test]
fn a_reply_wakes_the_worker() {
    let brokers = brokers!();
    let (rung, heard) = std::sync::mpsc::channel();
    let wake: skald::broker::Wake = Arc::new(move || {
        let _ = rung.send(());
    });
    let settings = TransactionSettings { wake, ..Lane::settings("g", &unique("id")) };
    let mut lane = kafka(brokers).transactions(&settings).expect("a lane");
    lane.submit(Op::Counts(vec![]));
    heard.recv_timeout(LONGEST).expect("a wake-up");
    assert!(lane.reply().is_some(), "the reply is there when the wake-up comes");
}

#[test]
fn no_broker_is_an_error_that_says_so_within_seconds() {
    // A port that was free a moment ago; nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    let error = kafka(&address).contact().expect_err("nobody is there");
    assert_eq!(error.class, ErrorClass::Retry);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot reach any broker at `{address}`: ")) && text.contains("refused"), "{text}");
    let settings = TransactionSettings { wake: no_wake(), ..Lane::settings("g", "id") };
    let mut lane = Lane(kafka(&address).transactions(&settings).expect("a lane"));
    assert_eq!(lane.fails(Op::Init), ErrorClass::Retry);
    // However many are asked for: the wait is that of one look-up.
    let partitions = (0..60).map(|number| TopicPartition::new(format!("t{number}").as_str(), 0)).collect();
    assert_eq!(lane.fails(Op::Ends { partitions, isolation: Isolation::ReadCommitted }), ErrorClass::Retry);
}

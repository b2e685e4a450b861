//! The coordinator: late `EndTxn`s, time-outs, what a dropped client leaves behind.

use super::super::{Options, faults::LaneFault};
use super::faults::Script;
use super::*;
use crate::broker::ErrorClass;
use crate::broker::embedded::CallKind;

#[test]
fn a_late_end_decides_the_next_transaction_unless_the_client_rebuilt() {
    // What the held `EndTxn` says, whether the client rebuilds, and what the second transaction comes to, which the client
    // means to end the other way.
    for (commits, rebuilds, visible) in [
        (true, false, vec!["first", "second"]),
        (true, true, vec!["first"]),
        (false, false, vec![]),
        (false, true, vec!["second"]),
    ] {
        let world = World::new(Options::default());
        world.topic("out", 1, &[]);
        let kind = if commits { CallKind::Commit } else { CallKind::Abort };
        world.cluster.set_faults(Script::lane(&[("id", kind, 0, LaneFault::late_end(Duration::ZERO))]));
        let mut lane = world.ready("id");
        lane.open("out", &[("k", "first")]);
        let reply = lane.reply(if commits { Op::Commit } else { Op::Abort });
        assert!(reply.result.is_ok() && reply.transport_trouble && reply.took >= Options::default().socket_timeout);
        if rebuilds {
            lane.done(Op::Rebuild);
        }
        lane.open("out", &[("k", "second")]);
        // The late end is there by now: without a rebuild the transaction is over before its client says so.
        assert_eq!(world.cluster.open_transactions().is_empty(), !rebuilds, "commits {commits}, rebuilds {rebuilds}");
        let ended = lane.run(if commits { Op::Abort } else { Op::Commit });
        assert_eq!(ended.is_ok(), rebuilds);
        assert_eq!(world.committed_values("out"), visible, "commits {commits}, rebuilds {rebuilds}");
    }
}

#[test]
fn a_late_commit_can_split_records_from_offsets() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    world.topic("out", 1, &[]);
    world.cluster.set_faults(Script::lane(&[("id", CallKind::Commit, 0, LaneFault::late_end(Duration::ZERO))]));
    let mut consumer = world.consumer("group", None, &["in"]);
    assigned(&world, consumer.as_mut());
    let ownership = consumer.ownership();
    let mut lane = world.ready("id");
    lane.commit("out", &[("k", "first")]);
    lane.open("out", &[("k", "second")]);
    lane.done(Op::SendOffsets { offsets: vec![(at("in", 0), 7)], stamp: "s".into(), ownership });
    drop(lane);
    world.pass(Duration::from_secs(30));
    let mut other = world.ready("other");
    assert_eq!((world.committed_values("out"), other.committed("in")), (vec!["first".into(), "second".into()], None));
}

#[test]
fn a_dropped_client_leaves_its_transaction_to_the_sweep() {
    let world = World::new(Options::default());
    world.topic("out", 1, &[]);
    let mut lane = world.ready("id");
    lane.open("out", &[("k", "lost")]);
    drop(lane);
    world.pass(Duration::from_secs(9));
    assert_eq!(world.cluster.open_transactions(), ["id"]);
    world.pass(Duration::from_secs(11));
    assert_eq!(world.cluster.open_transactions(), Vec::<Text>::new());
    assert_eq!(world.committed_values("out"), Vec::<String>::new());
    assert_eq!(world.values("out", Isolation::ReadUncommitted), ["lost"]);
}

#[test]
fn the_next_transaction_waits_for_the_markers_of_the_one_before() {
    let delay = Duration::from_millis(50);
    let world = World::new(Options { marker_delay: delay, ..Options::default() });
    world.topic("out", 1, &[]);
    let mut lane = world.ready("id");
    lane.commit("out", &[("k", "a")]);
    assert_eq!(world.committed_values("out"), Vec::<String>::new(), "committed, but its marker is on its way");
    lane.done(Op::Begin);
    lane.done(Op::Produce(batch("out", &[("k", "b")])));
    let drained = lane.reply(Op::Drain);
    assert!(drained.took >= delay / 2, "{:?}", drained.took);
    lane.done(Op::Commit);
    world.pass(delay);
    let read = world.read("out", 0, Isolation::ReadCommitted);
    assert_eq!(read.iter().map(|(offset, _, value)| (*offset, value.as_str())).collect::<Vec<_>>(), [(0, "a"), (2, "b")]);
}

#[test]
fn an_operation_that_is_given_up_leaves_a_lane_that_only_a_rebuild_revives() {
    let world = World::new(Options::default());
    world.topic("out", 1, &[]);
    world.cluster.set_faults(Script::lane(&[("id", CallKind::Commit, 0, LaneFault::hangs())]));
    let mut lane = world.ready("id");
    lane.open("out", &[("k", "a")]);
    lane.lane.submit(Op::Commit);
    world.pass(Duration::from_secs(10));
    assert!(lane.lane.reply().is_none());
    lane.lane.abandon();
    assert_eq!(lane.run(Op::Begin).unwrap_err().class, ErrorClass::Fatal);
    lane.done(Op::Rebuild);
    lane.commit("out", &[("k", "b")]);
    assert_eq!(world.committed_values("out"), ["a", "b"], "the one that hung had taken effect");
}

#[test]
fn a_commit_that_is_given_up_on_its_way_may_still_arrive() {
    let slow = LaneFault { request_delay: Duration::from_secs(5), ..LaneFault::default() };
    for (rebuilds, visible) in [(false, vec!["a"]), (true, vec![])] {
        let world = World::new(Options::default());
        world.topic("out", 1, &[]);
        world.cluster.set_faults(Script::lane(&[("id", CallKind::Commit, 0, slow.clone())]));
        let mut lane = world.ready("id");
        lane.open("out", &[("k", "a")]);
        lane.lane.submit(Op::Commit);
        lane.lane.abandon();
        if rebuilds {
            lane.done(Op::Rebuild);
        }
        world.pass(Duration::from_secs(6));
        assert_eq!(world.committed_values("out"), visible, "rebuilds {rebuilds}");
    }
}

#[test]
#[should_panic(expected = "an operation of this lane is under way")]
fn a_second_operation_before_the_answer_to_the_first_is_the_callers_fault() {
    let world = World::new(Options::default());
    let mut lane = world.ready("id");
    lane.lane.submit(Op::Begin);
    lane.lane.submit(Op::Commit);
}

#[test]
fn operations_out_of_order_are_refused_and_change_nothing() {
    let world = World::new(Options::default());
    world.topic("out", 1, &[]);
    let mut lane = world.lane("id");
    for op in [Op::Begin, Op::Drain, Op::Commit, Op::Abort, Op::Produce(batch("out", &[("k", "v")]))] {
        assert_eq!(lane.run(op).unwrap_err().class, ErrorClass::Fatal);
    }
    lane.done(Op::Init);
    assert_eq!(lane.run(Op::Commit).unwrap_err().class, ErrorClass::Fatal);
    lane.commit("out", &[("k", "a")]);
    assert_eq!(world.values("out", Isolation::ReadUncommitted), ["a"]);
}

#[test]
fn a_record_for_a_topic_that_is_not_there_fails_the_transaction() {
    let world = World::new(Options::default());
    let mut lane = world.ready("id");
    lane.done(Op::Begin);
    lane.done(Op::Produce(batch("missing", &[("k", "v")])));
    assert_eq!(lane.run(Op::Drain).unwrap_err().class, ErrorClass::Missing("missing".into()));
    assert_eq!(lane.run(Op::Commit).unwrap_err().class, ErrorClass::Missing("missing".into()));
    lane.done(Op::Abort);
}

#[test]
fn a_drain_tells_where_each_partition_ends() {
    let world = World::new(Options::default());
    world.topic("a", 2, &[]);
    world.topic("b", 1, &[]);
    let mut lane = world.ready("id");
    lane.commit("b", &[("k", "before")]);
    let mut batch = Batch::new(vec!["a".into(), "b".into()]);
    for (topic, partition) in [(0, 1), (1, 0), (0, 1)] {
        batch.push(NewRecord { topic, partition, timestamp: 0, key: None, value: Some(b"v"), headers: &[] });
    }
    lane.done(Op::Begin);
    lane.done(Op::Produce(Arc::new(batch)));
    match lane.done(Op::Drain) {
        Outcome::Drained(ends) => assert_eq!(ends, [(0, 1, Some(2)), (1, 0, Some(3))]),
        other => panic!("{other:?}"),
    }
}

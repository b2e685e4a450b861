//! Faults as values, each with what it does to the client and to the broker.

use super::super::faults::{Call, CallKind, Faults, LaneFault, PollFault};
use super::*;
use crate::broker::embedded::LOG_READER_CLIENT_ID;
use crate::broker::{ErrorClass, Trouble, TroubleKind};

/// Faults by client, call and count.
pub(super) struct Script {
    lane: Vec<(&'static str, CallKind, u64, LaneFault)>,
    poll: Vec<(&'static str, u64, PollFault)>,
}

impl Script {
    pub(super) fn lane(lane: &[(&'static str, CallKind, u64, LaneFault)]) -> Self {
        Self { lane: lane.to_vec(), poll: Vec::new() }
    }

    pub(super) fn poll(poll: &[(&'static str, u64, PollFault)]) -> Self {
        Self { lane: Vec::new(), poll: poll.to_vec() }
    }
}

impl Faults for Script {
    fn lane(&mut self, call: Call<'_>) -> Option<LaneFault> {
        let hit = |(client, kind, nth, _): &&(&str, CallKind, u64, LaneFault)| {
            *client == call.client_id && *kind == call.kind && *nth == call.nth
        };
        self.lane.iter().find(hit).map(|(_, _, _, fault)| fault.clone())
    }

    fn poll(&mut self, call: Call<'_>) -> Option<PollFault> {
        let hit = |(client, nth, _): &&(&str, u64, PollFault)| *client == call.client_id && *nth == call.nth;
        self.poll.iter().find(hit).map(|(_, _, fault)| *fault)
    }
}

fn world(kind: CallKind, fault: LaneFault) -> World {
    let world = World::new(Options::default());
    world.topic("out", 1, &[]);
    world.cluster.set_faults(Script::lane(&[("id", kind, 0, fault)]));
    world
}

#[test]
fn a_lost_reply_to_a_commit_leaves_the_client_in_doubt_and_the_same_call_again_finds_out() {
    let timeout = Duration::from_secs(3);
    for (fault, visible) in [(LaneFault::lost_reply(timeout), vec!["a"]), (LaneFault::lost_request(timeout), vec![])] {
        for again in [true, false] {
            let world = world(CallKind::Commit, fault.clone());
            let mut lane = world.ready("id");
            lane.open("out", &[("k", "a")]);
            let reply = lane.reply(Op::Commit);
            assert_eq!(reply.result.unwrap_err().class, ErrorClass::Retry);
            assert!(reply.transport_trouble && reply.took >= timeout);
            assert_eq!(world.committed_values("out"), visible);
            if again {
                lane.done(Op::Commit);
                assert_eq!(world.committed_values("out"), ["a"]);
            } else {
                lane.done(Op::Rebuild);
                assert_eq!(world.committed_values("out"), visible);
            }
            lane.commit("out", &[("k", "b")]);
        }
    }
}

#[test]
fn an_abortable_error_leaves_nothing_but_the_abort() {
    for kind in [CallKind::Produce, CallKind::Drain, CallKind::Commit] {
        let world = world(kind, LaneFault::refused(ErrorClass::Abortable));
        let mut lane = world.ready("id");
        lane.done(Op::Begin);
        let ops = [Op::Produce(batch("out", &[("k", "a")])), Op::Drain, Op::Commit];
        let classes: Vec<_> = ops.into_iter().filter_map(|op| lane.run(op).err().map(|error| error.class)).collect();
        assert!(!classes.is_empty() && classes.iter().all(|class| *class == ErrorClass::Abortable), "{kind:?}: {classes:?}");
        lane.done(Op::Abort);
        lane.commit("out", &[("k", "b")]);
        assert_eq!(world.committed_values("out"), ["b"], "{kind:?}");
    }
}

#[test]
fn a_fatal_error_leaves_nothing_but_a_rebuild() {
    for kind in [CallKind::Begin, CallKind::Produce, CallKind::Drain, CallKind::Commit] {
        let world = world(kind, LaneFault::refused(ErrorClass::Fatal));
        let mut lane = world.ready("id");
        let ops = [Op::Begin, Op::Produce(batch("out", &[("k", "a")])), Op::Drain, Op::Commit, Op::Abort];
        let last = ops.into_iter().map(|op| lane.run(op)).last().unwrap();
        assert_eq!(last.unwrap_err().class, ErrorClass::Fatal, "{kind:?}");
        lane.done(Op::Rebuild);
        lane.commit("out", &[("k", "b")]);
        assert_eq!(world.committed_values("out"), ["b"], "{kind:?}");
    }
}

#[test]
fn a_fence_ends_the_transaction_for_good() {
    for kind in [CallKind::Begin, CallKind::Produce, CallKind::Drain, CallKind::Commit] {
        let world = world(kind, LaneFault::fenced());
        let mut lane = world.ready("id");
        let ops = [Op::Begin, Op::Produce(batch("out", &[("k", "a")])), Op::Drain, Op::Commit];
        let last = ops.into_iter().map(|op| lane.run(op)).last().unwrap();
        assert_eq!(last.unwrap_err().class, ErrorClass::Fenced, "{kind:?}");
        assert_eq!(lane.run(Op::Begin).unwrap_err().class, ErrorClass::Fenced);
        lane.done(Op::Rebuild);
        lane.commit("out", &[("k", "b")]);
        assert_eq!(world.committed_values("out"), ["b"], "{kind:?}");
    }
}

#[test]
fn a_lookup_that_fails_leaves_the_transaction_alone() {
    let world = world(CallKind::Ends, LaneFault::refused(ErrorClass::Fatal));
    let mut lane = world.ready("id");
    lane.open("out", &[("k", "a")]);
    let ends = || Op::Ends { partitions: vec![at("out", 0)], isolation: Isolation::ReadCommitted };
    assert_eq!(lane.run(ends()).unwrap_err().class, ErrorClass::Fatal);
    lane.done(ends());
    lane.done(Op::Commit);
}

#[test]
fn a_member_whose_session_is_lost_reads_on_until_it_hears_of_it() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    let mut lane = world.ready("id");
    lane.commit("in", &[("k", "a")]);
    let mut consumer = world.consumer("group", None, &["in"]);
    assert_eq!(assigned(&world, consumer.as_mut()), [at("in", 0)]);
    let ownership = consumer.ownership();
    consumer.resume_at(&[(at("in", 0), 0)]).unwrap();
    world.cluster.set_faults(Script::poll(&[("dynamic", 1, PollFault::SessionLost)]));
    let mut seen = 0;
    assert!(matches!(consumer.poll(ALL, &mut |_| seen += 1), Polled::Idle));
    assert_eq!(seen, 1);
    lane.done(Op::Begin);
    let offsets = Op::SendOffsets { offsets: vec![(at("in", 0), 1)], stamp: "s".into(), ownership };
    assert_eq!(lane.run(offsets).unwrap_err().class, ErrorClass::Abortable);
    assert!(matches!(poll(consumer.as_mut()), Polled::Revoked { lost: true }));
    consumer.release().unwrap();
    assert_eq!(assigned(&world, consumer.as_mut()), [at("in", 0)]);
}

#[test]
fn a_poll_may_give_nothing_rebalance_or_die() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    let mut consumer = world.consumer("group", None, &["in"]);
    world.cluster.set_faults(Script::poll(&[
        ("dynamic", 0, PollFault::Nothing),
        ("dynamic", 2, PollFault::Rebalance),
        ("dynamic", 4, PollFault::Fatal),
    ]));
    assert!(matches!(poll(consumer.as_mut()), Polled::Idle));
    assert!(matches!(poll(consumer.as_mut()), Polled::Assigned(_)));
    assert!(matches!(poll(consumer.as_mut()), Polled::Revoked { lost: false }));
    consumer.release().unwrap();
    assert!(matches!(poll(consumer.as_mut()), Polled::Assigned(_)));
    for _ in 0..2 {
        assert!(matches!(poll(consumer.as_mut()), Polled::Fatal(error) if error.class == ErrorClass::Fatal));
    }
}

#[test]
fn injected_trouble_stops_one_partition_until_it_is_resumed() {
    let world = World::new(Options::default());
    world.topic("in", 1, &[]);
    let mut lane = world.ready("id");
    lane.commit("in", &[("k", "a")]);
    let mut consumer = world.consumer("group", None, &["in"]);
    assigned(&world, consumer.as_mut());
    consumer.resume_at(&[(at("in", 0), 0)]).unwrap();
    let denied = PollFault::Trouble(TroubleKind::Denied);
    world.cluster.set_faults(Script::poll(&[("dynamic", 1, denied), (LOG_READER_CLIENT_ID, 0, denied)]));
    let is_denied = |trouble: &Trouble| trouble.input == at("in", 0) && trouble.kind == TroubleKind::Denied;
    assert!(matches!(poll(consumer.as_mut()), Polled::Trouble(trouble) if is_denied(&trouble)));
    let mut seen = 0;
    assert!(matches!(consumer.poll(ALL, &mut |_| seen += 1), Polled::Idle));
    consumer.resume_at(&[(at("in", 0), 0)]).unwrap();
    assert!(matches!(consumer.poll(ALL, &mut |_| seen += 1), Polled::Idle));
    assert_eq!(seen, 1);

    let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    reader.assign(&[(at("in", 0), 0)]).unwrap();
    assert!(is_denied(&reader.poll(ALL, &mut |_| {}).unwrap_err()));
}

//! Workers and brokers that die, leave and come back, under load.

use super::totals::{PARTITIONS, Totals};
use super::{LONG, stop};
use crate::cluster::{Cluster, can_start};
use crate::tools::{read_committed, spans, wait_until};
use std::os::unix::process::ExitStatusExt;

#[test]
fn output_equals_the_fold_of_the_input_after_five_kills_of_one_of_two_workers_under_load() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    totals.send(2_000);
    let mut steady = totals.sample.worker(brokers, "steady");
    let mut victim = totals.sample.worker(brokers, "victim");
    for round in 1..=5_u64 {
        // Looked at before more is sent: all of it may be done by the time that anybody looks.
        let done = totals.done().unwrap_or(0);
        totals.send(2_000);
        // In the middle of the load: part of it is done, part is not.
        totals.wait_for(done + 200, &mut [&mut steady, &mut victim]);
        victim.kill();
        totals.send(500);
        victim = totals.sample.worker(brokers, "victim");
        totals.wait_for(2_000 * round, &mut [&mut steady, &mut victim]);
    }
    totals.wait_for_all(&mut [&mut steady, &mut victim]);
    stop(victim);
    stop(steady);
    totals.check();
}

#[test]
fn a_worker_that_leaves_hands_its_partitions_over_without_loss() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    totals.send(1_000);
    let mut stays = totals.sample.worker(brokers, "stays");
    let mut leaves = totals.sample.worker(brokers, "leaves");
    totals.wait_for_all(&mut [&mut stays, &mut leaves]);
    totals.send(3_000);
    stop(leaves);
    totals.send(1_000);
    totals.wait_for_all(&mut [&mut stays]);
    stop(stays);
    totals.check();
}

#[test]
fn a_worker_goes_on_after_its_broker_was_killed_and_started_again() {
    if !can_start() {
        return;
    }
    let mut cluster = Cluster::start();
    let brokers = cluster.brokers();
    let mut totals = Totals::new(&brokers);
    totals.send(3_000);
    let mut worker = totals.sample.worker(&brokers, "only");
    totals.wait_for(500, &mut [&mut worker]);
    cluster.kill();
    cluster.restart();
    totals.send(3_000);
    totals.wait_for_all(&mut [&mut worker]);
    stop(worker);
    totals.check();
}

#[test]
fn a_frozen_worker_that_wakes_up_after_its_session_commits_nothing_twice() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    totals.send(1_000);
    let mut sleeper = totals.sample.worker(brokers, "sleeper");
    totals.wait_for_all(&mut [&mut sleeper]);
    let mut heir = totals.sample.worker(brokers, "heir");
    totals.send(2_000);
    sleeper.freeze();
    totals.send(2_000);
    totals.wait_for_all(&mut [&mut heir]);
    sleeper.resume();
    totals.send(1_000);
    totals.wait_for_all(&mut [&mut heir]);
    // The sleeper has lost its place; whether it joined again or gave up, it must not have written.
    sleeper.kill();
    stop(heir);
    totals.check();
}

#[test]
fn without_transactions_nothing_is_lost_when_one_of_two_workers_is_killed_under_load() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    let start = |totals: &Totals, id: &str| totals.sample.worker_with(brokers, id, id, &["--guarantee", "at_least_once"]);
    totals.send(1_000);
    let mut steady = start(&totals, "steady");
    let mut victim = start(&totals, "victim");
    for _ in 0..2 {
        // Looked at before more is sent: what is waited for is sure to come.
        let done = totals.done().unwrap_or(0);
        totals.send(2_000);
        totals.wait_for(done + 200, &mut [&mut steady, &mut victim]);
        victim.kill();
        totals.send(500);
        victim = start(&totals, "victim");
    }
    totals.wait_for_all(&mut [&mut steady, &mut victim]);
    stop(victim);
    stop(steady);
    totals.check_nothing_is_lost();
    // Nothing of it needed a transaction: all that is there is a record.
    let topic = totals.sample.topic("customers.totals");
    let records = read_committed(brokers, &topic).len() as i64;
    let offsets: i64 = spans(brokers, &topic, PARTITIONS).iter().map(|(start, end)| end - start).sum();
    assert_eq!(offsets, records, "no control markers");
}

#[test]
fn output_equals_the_fold_of_the_input_after_dying_at_points_of_commits_and_take_overs() {
    let brokers = brokers!();
    let mut totals = Totals::new(brokers);
    // Each worker finds what the one before has left. What was committed and not applied is there to be restored at `c02`.
    for at in ["c04:1", "c05:2", "c06:1", "c07:2", "c08:1", "c09:2", "c02:1", "c01:1", "c11:1"] {
        totals.send(400);
        let mut worker = totals.sample.worker_that_dies(brokers, "only", at);
        // A second commit comes of more input only, and how much goes into one is not for a test to know.
        wait_until(&format!("the worker has died at {at}"), LONG, || {
            totals.send(20);
            worker.has_ended()
        });
        let status = worker.wait(LONG);
        assert_eq!(status.signal(), Some(6), "the worker was to abort at {at}; it said:\n{}", worker.output());
    }
    let mut worker = totals.sample.worker(brokers, "only");
    totals.wait_for_all(&mut [&mut worker]);
    stop(worker);
    totals.check();
}

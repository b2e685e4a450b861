//! How a worker ends, by its exit code.

use super::LONG;
use super::totals::Totals;
use crate::cluster::{Cluster, can_start};
use crate::tools::wait_until;

#[test]
fn a_second_signal_ends_a_worker_that_cannot_leave_and_one_without_a_broker_does_not_start() {
    if !can_start() {
        return;
    }
    let mut cluster = Cluster::start();
    let brokers = cluster.brokers();
    let mut totals = Totals::new(&brokers);
    totals.send(100);
    let mut worker = totals.sample.worker(&brokers, "only");
    totals.wait_for_all(&mut [&mut worker]);
    cluster.kill();
    // The first one asks it to leave a group that nobody answers for; two that come together count as one.
    wait_until("the end", LONG, || {
        let ended = worker.has_ended();
        if !ended {
            worker.terminate();
        }
        ended
    });
    let status = worker.wait(LONG);
    assert_eq!(status.code(), Some(1), "it said:\n{}", worker.output());

    let mut late = totals.sample.worker(&brokers, "late");
    let status = late.wait(LONG);
    assert_eq!(status.code(), Some(6), "it said:\n{}", late.output());
    assert!(late.output().contains(&brokers), "the address is named:\n{}", late.output());
}

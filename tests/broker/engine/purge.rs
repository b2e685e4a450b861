//! Repartition topics do not grow for ever.

use super::totals::{PARTITIONS, Totals};
use super::{LONG, stop};
use crate::tools::{kafka, spans, wait_until};
use skald::broker::Broker;

#[test]
fn what_was_repartitioned_is_deleted_once_it_is_committed_and_a_killed_worker_goes_on_behind_it() {
    let brokers = brokers!();
    let mut totals = Totals::repartitioned(brokers);
    let topic = format!("{}.totals.repartition", totals.sample.topology);
    let start = |totals: &Totals| totals.sample.worker_with(brokers, "only", "only", &["--purge-interval", "200ms"]);
    totals.send(1_000);
    let mut worker = start(&totals);
    totals.wait_for_updates(&mut [&mut worker]);
    let made = kafka(brokers).admin().expect("an admin").describe(&[topic.as_str().into()]).expect("described").remove(0);
    assert_eq!(made.config["retention.ms"], "-1", "the tests' principal may delete");
    // Every partition has records, and none keeps more than what came since the last look.
    wait_until("the earliest offsets move", LONG, || spans(brokers, &topic, PARTITIONS).iter().all(|(start, _)| *start > 0));

    totals.send(1_000);
    totals.wait_for(1_200, &mut [&mut worker]);
    worker.kill();
    totals.send(500);
    let mut worker = start(&totals);
    totals.wait_for_updates(&mut [&mut worker]);
    wait_until("nothing is left", LONG, || spans(brokers, &topic, PARTITIONS).iter().all(|(start, end)| start == end));
    stop(worker);
    totals.check();
}

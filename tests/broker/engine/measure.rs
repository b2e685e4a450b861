//! Figures of the whole engine on a real Kafka, for `benches/README.md`; no test fails by them.
//!
//! `cargo build --release` once, then
//! `SKALD_TEST_BINARY=target/release/skald cargo test --test broker engine::measure -- --ignored --nocapture --test-threads=1`

use super::shop::{message, wait_for_topics};
use super::{LONG, Sample, free_port, restore, sagas, stop, timers};
use crate::tools::{Engine, Input, create_topic, produce, read_committed, try_committed, unique, wait_until};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use serde_json::json;
use skald::clock::{Clock, SystemClock};
use std::time::Duration;

const PARTITIONS: u32 = 4;

/// An order of about 330 bytes.
fn order(number: u64, customers: u64) -> Input {
    let customer = format!("customer-{}", number.wrapping_mul(2_654_435_761) % customers);
    let data = json!({ "orderId": format!("order-{number}"), "customerId": customer, "amount": number % 10_000,
        "currency": "EUR", "note": "two parcels, please leave them with the neighbours" });
    let value = json!({ "id": format!("event-{number}"), "type": "order.placed.v1", "version": "1", "source": "webshop",
        "timestamp": "2026-01-02T03:04:05Z", "data": data, "metadata": { "correlationId": format!("event-{number}") } });
    Input::new(customer, value.to_string())
}

fn totals(brokers: &str) -> Sample {
    let sample = Sample::of("order-totals", &["orders.placed", "customers.totals"]);
    for topic in ["orders.placed", "customers.totals"] {
        create_topic(brokers, &sample.topic(topic), PARTITIONS, &[]);
    }
    sample
}

fn done(brokers: &str, sample: &Sample) -> u64 {
    let places = try_committed(brokers, &sample.topology, &sample.topic("orders.placed"), PARTITIONS).unwrap_or_default();
    places.into_iter().flatten().map(|(offset, _)| u64::try_from(offset).expect("offsets count from 0")).sum()
}

/// CPU time used so far, and the largest memory held, of a process.
pub(super) fn used(worker: &Engine) -> (Duration, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.pid())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields behind the name").split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of a hundredth of a second.
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().expect("kilobytes");
    (Duration::from_millis(ticks * 10), kilobytes * 1024)
}

#[test]
#[ignore = "measures"]
fn a_fold_of_a_million_orders_and_its_restore() {
    let brokers = brokers!();
    for (customers, threads) in [(100_000, "1"), (1_000_000, "2")] {
        let sample = totals(brokers);
        let orders = 1_000_000;
        produce(brokers, &sample.topic("orders.placed"), PARTITIONS, (0..orders).map(|number| order(number, customers)));
        let worker = sample.worker_with(brokers, "only", "first", &["--threads", threads]);
        let clock = SystemClock::new();
        wait_until("the first commit", LONG, || done(brokers, &sample) > 0);
        let (before, first, began) = (used(&worker).0, done(brokers, &sample), clock.mono());
        wait_until("all orders are committed", Duration::from_secs(300), || done(brokers, &sample) == orders);
        let (cpu, peak) = used(&worker);
        let counted = orders - first;
        println!(
            "fold, {customers} customers, {threads} threads, disk: {:.2} CPU-us/record, {:.0} records/s, peak RSS {} MiB",
            (cpu - before).as_secs_f64() * 1e6 / counted as f64,
            counted as f64 / (clock.mono() - began).as_secs_f64(),
            peak >> 20
        );
        stop(worker);
        let port = free_port();
        let worker =
            sample.worker_with(brokers, "only", "empty", &["--threads", threads, "--listen", &format!("127.0.0.1:{port}")]);
        let clock = SystemClock::new();
        wait_until("everything is restored", LONG, || {
            std::thread::sleep(Duration::from_millis(20));
            matches!(restore::get(port, "/readyz"), Some((200, _)))
        });
        println!(
            "restore of {customers} customers or more into an empty directory: ready {:?} after the start, {:?} of CPU",
            clock.mono(),
            used(&worker).0
        );
        stop(worker);
    }
}

#[test]
#[ignore = "measures"]
fn latency_end_to_end_at_a_thousand_orders_a_second() {
    let brokers = brokers!();
    let sample = totals(brokers);
    produce(brokers, &sample.topic("orders.placed"), PARTITIONS, (0..100).map(|number| order(number, 1_000)));
    let worker = sample.worker_with(brokers, "only", "first", &["--threads", "1"]);
    wait_until("the first orders are committed", LONG, || done(brokers, &sample) == 100);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", unique("latency"))
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "latest")
        .set("fetch.wait.max.ms", "5")
        .create()
        .expect("a consumer");
    let mut list = rdkafka::TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(&sample.topic("customers.totals"), partition as i32, rdkafka::Offset::End).expect("a place");
    }
    consumer.assign(&list).expect("an assignment");
    let clock = SystemClock::new();
    while clock.mono() < Duration::from_secs(2) {
        consumer.poll(Duration::from_millis(50));
    }
    let (topic, address) = (sample.topic("orders.placed"), brokers.to_owned());
    let sender = std::thread::spawn(move || {
        let mut producer = skald::broker::Broker::producer(&crate::tools::kafka(&address)).expect("a producer");
        let clock = SystemClock::new();
        for number in 100..15_100_u64 {
            // Sent when it was meant to be sent, whatever the one before took.
            let due = Duration::from_millis(number - 100);
            std::thread::sleep(due.saturating_sub(clock.mono()));
            let input = order(number, 1_000);
            let record = skald::record::Record {
                topic: topic.as_str().into(),
                partition: skald::record::partition_of(input.key.as_bytes(), PARTITIONS),
                timestamp: clock.wall(),
                headers: Vec::new(),
                key: Some(input.key.into_bytes().into()),
                value: Some(input.value.into_bytes().into()),
            };
            producer.send(&record).expect("the record is taken");
        }
        producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
    });
    let mut taken = Vec::new();
    let clock = SystemClock::new();
    while taken.len() < 15_000 && clock.mono() < LONG {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            taken.push(clock.wall() - message.timestamp().to_millis().expect("a timestamp"));
        }
    }
    sender.join().expect("the sender ends");
    taken.sort_unstable();
    let at = |share: usize| taken[(taken.len() - 1) * share / 1000];
    println!("end to end at 1,000 records/s: p50 {} ms, p99 {} ms, p99.9 {} ms of {}", at(500), at(990), at(999), taken.len());
    stop(worker);
}

#[test]
#[ignore = "measures"]
fn take_over_behind_the_open_transaction_of_a_dead_owner() {
    let brokers = brokers!();
    for round in 0..3 {
        let sample = totals(brokers);
        let send = |from: u64, to: u64| {
            produce(brokers, &sample.topic("orders.placed"), PARTITIONS, (from..to).map(|number| order(number, 1_000)));
        };
        send(0, 2_000);
        let mut dead = sample.worker_with(brokers, "dead", "dead", &["--threads", "1"]);
        wait_until("the first orders are committed", LONG, || done(brokers, &sample) == 2_000);
        let heir = sample.worker_with(brokers, "heir", "heir", &["--threads", "1"]);
        send(2_000, 60_000);
        wait_until("it is in the middle of its work", LONG, || done(brokers, &sample) > 5_000);
        dead.kill();
        let clock = SystemClock::new();
        send(60_000, 61_000);
        wait_until("the heir has done all", LONG, || done(brokers, &sample) == 61_000);
        println!("round {round}: all done {:?} after the kill (session 6 s)", clock.mono());
        stop(heir);
    }
}

#[test]
#[ignore = "measures"]
fn idle_cpu_of_a_worker_that_holds_a_hundred_thousand_timers() {
    const TIMERS: u64 = 100_000;
    let brokers = brokers!();
    for orders in [0, TIMERS] {
        let sample = timers::sample(brokers);
        // Due in a day: none of them while this looks.
        let inputs = (0..orders).map(|number| timers::placed(number, 86_400_000));
        produce(brokers, &sample.topic("orders"), PARTITIONS, inputs);
        let worker = sample.worker_with(brokers, "only", "first", &["--threads", "1"]);
        wait_until("all timers are armed", LONG * 3, || timers::done(brokers, &sample) >= orders);
        // What follows a load (the commit, the files of the store) is over.
        std::thread::sleep(Duration::from_secs(10));
        let before = used(&worker).0;
        std::thread::sleep(Duration::from_secs(30));
        let (after, peak) = used(&worker);
        let share = (after - before).as_secs_f64() / 30.0 * 100.0;
        println!("idle with {orders} timers armed: {share:.2} % of one core, peak RSS {} MiB", peak >> 20);
        stop(worker);
    }
}

#[test]
#[ignore = "measures"]
fn sagas_of_four_steps_per_cpu_second_and_the_state_of_one_that_runs() {
    const SAGAS: u64 = 20_000;
    const WARM: u64 = 200;
    // Four orders of each: what a participant keeps stays small beside what a saga keeps.
    const SKUS: u64 = 5_000;
    let brokers = brokers!();
    let topics = ["purchases", "inventory.deliveries", "inventory.commands", "gateway.commands", "customers.mails"];
    let sample = Sample::of("payment-saga", &topics)
        .with("partitions: 6", &format!("partitions: {PARTITIONS}"))
        .with("payment_success_rate: 0.8", "payment_success_rate: 1.0");
    let mut worker = sample.worker_with(brokers, "only", "first", &["--threads", "1"]);
    let (purchases, deliveries) = (sample.topic("purchases"), sample.topic("inventory.deliveries"));
    wait_for_topics(brokers, &mut worker, &[&purchases, &deliveries]);
    let deliver = |sku: u64| {
        let data = json!({ "sku": format!("sku-{sku}"), "quantity": 100 });
        Input::new(format!("sku-{sku}"), message(format!("receive-{sku}"), "stock.receive.v1", data))
    };
    produce(brokers, &deliveries, PARTITIONS, (0..SKUS).map(deliver));
    let place = |orders: std::ops::Range<u64>| {
        let order = |number: u64| {
            let id = format!("order-{number}");
            let data = json!({ "orderId": id, "sku": format!("sku-{}", number % SKUS), "quantity": 1, "amount": 4_990 });
            Input::new(id, message(format!("place-{number}"), "order.placed.v1", data))
        };
        produce(brokers, &purchases, PARTITIONS, orders.map(order));
    };
    let wait_for = |sagas: u64| {
        // The last of the four steps.
        wait_until("all sagas have ended", Duration::from_secs(400), || {
            std::thread::sleep(Duration::from_millis(500));
            read_committed(brokers, &sample.topic("customers.mails")).len() as u64 == sagas
        });
    };
    place(0..WARM);
    wait_for(WARM);
    let (before, clock) = (used(&worker).0, SystemClock::new());
    place(WARM..WARM + SAGAS);
    wait_for(WARM + SAGAS);
    let (cpu, peak) = used(&worker);
    let (cpu, wall) = ((cpu - before).as_secs_f64(), clock.mono().as_secs_f64());
    println!(
        "{SAGAS} sagas of four steps, participants in the same worker, one thread: {:.0} sagas per CPU-second, {:.0} a second, \
         peak RSS {} MiB",
        SAGAS as f64 / cpu,
        SAGAS as f64 / wall,
        peak >> 20
    );
    stop(worker);
    // As each epoch left them; a saga that waits for an answer has one timer.
    let (mut running, mut timers, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for output in read_committed(brokers, &format!("{}.purchase.changelog", sample.topology)) {
        let (Some(key), Some(value)) = (&output.key, &output.value) else { continue };
        let size = key.len() + value.len();
        match sagas::instance(&output) {
            Some((_, row)) if row["status"] == "running" => running.push(size),
            Some(_) => ended.push(size),
            None if key[0] == 2 => timers.push(size),
            None => {}
        }
    }
    for (what, mut sizes) in [("a running saga", running), ("a timer", timers), ("a saga that is over", ended)] {
        sizes.sort_unstable();
        let mean = sizes.iter().sum::<usize>() as f64 / sizes.len().max(1) as f64;
        println!("{what}, key and value: {mean:.0} bytes, at most {:?}, of {}", sizes.last(), sizes.len());
    }
}

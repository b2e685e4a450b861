//! What failing records cost those that pass: the throughput of healthy keys beside records that wait and dead letters.
//!
//! `cargo build --release` once, then
//! `SKALD_TEST_BINARY=target/release/skald cargo test --test broker healthy_keys -- --ignored --nocapture`
//!
//! The input is there before a worker starts, so a worker is never idle. It is read by one topology after the other, with and
//! without failures in turn, each from the start. Rate and CPU time are of the middle of each run, from a fifth of the input to four
//! fifths of it: start, join and the end are left out. Records of healthy keys pass in the epoch that reads them, so their
//! throughput is that of the reading. What waits is tried meanwhile, as in any run, and waits on when the figures are taken.

use super::measure::used;
use super::parking::{KEYS, PARTITIONS, is_poison, key_of, passes_at, record, waits};
use super::{LONG, Sample, stop};
use crate::tools::{create_topic, produce, try_committed, unique, wait_until};
use skald::clock::{Clock, SystemClock};
use std::fs;

const RECORDS: u64 = 2_000_000;
const ROUNDS: usize = 7;

/// Of all records a twentieth is poison, and a twentieth fails for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Nothing,
    /// Those that fail for a while are all records of every twentieth key.
    FewKeys,
    /// They are a quarter of the records of every fifth key: those behind them wait too, a fifth of all.
    ManyKeys,
}

impl Failing {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::FewKeys => "few-keys",
            Self::ManyKeys => "many-keys",
        }
    }

    fn of(self, number: u64) -> (u64, bool) {
        match self {
            Self::Nothing => (1, false),
            Self::FewKeys if key_of(number).is_multiple_of(20) => (2 + number % 3, is_poison(number)),
            Self::FewKeys => (1, is_poison(number)),
            Self::ManyKeys => (passes_at(number), is_poison(number)),
        }
    }
}

/// What a record of a run cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall_micros: f64,
    cpu_micros: f64,
}

/// A topology of its own that reads the input of this kind from the start.
fn sample(brokers: &str, prefix: &str, failing: Failing, run: usize) -> Sample {
    let kind = failing.name();
    let topology = format!("{prefix}-{kind}-{run}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("waits.yaml");
    let bounds = "      park: { per_key: 1000000, per_partition: 10000000 }\n";
    let text = waits(&topology, &format!("{prefix}.{kind}"), &format!("{topology}.passed"), bounds);
    fs::write(&file, text).expect("the folder is writable");
    create_topic(brokers, &format!("{topology}.passed"), PARTITIONS, &[]);
    Sample { folder, file, prefix: prefix.to_owned(), topology }
}

fn run(brokers: &str, prefix: &str, failing: Failing, number: usize) -> Cost {
    let sample = sample(brokers, prefix, failing, number);
    let read = || {
        let committed = try_committed(brokers, &sample.topology, &sample.topic(failing.name()), PARTITIONS);
        let offsets = committed.into_iter().flatten().flatten().map(|(offset, _)| offset);
        offsets.map(|offset| u64::try_from(offset).expect("offsets count from 0")).sum::<u64>()
    };
    let mut worker = sample.worker(brokers, "only");
    let clock = SystemClock::new();
    let mut reached = |part: u64| {
        wait_until("so much is read", LONG, || {
            assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
            read() >= part
        });
        (read(), clock.mono(), used(&worker).0)
    };
    let (from, to) = (reached(RECORDS / 5), reached(RECORDS / 5 * 4));
    let records = (to.0 - from.0) as f64;
    stop(worker);
    Cost { wall_micros: (to.1 - from.1).as_micros() as f64 / records, cpu_micros: (to.2 - from.2).as_micros() as f64 / records }
}

#[test]
#[ignore = "measures"]
fn healthy_keys_flow_as_if_nothing_failed() {
    let brokers = brokers!();
    let prefix = unique("t");
    let kinds = [Failing::Nothing, Failing::FewKeys, Failing::ManyKeys];
    for failing in kinds {
        let topic = format!("{prefix}.{}", failing.name());
        create_topic(brokers, &topic, PARTITIONS, &[]);
        let records = (0..RECORDS).map(|number| {
            let (passes, poison) = failing.of(number);
            record(number, passes, poison)
        });
        produce(brokers, &topic, PARTITIONS, records);
    }
    println!("{RECORDS} records of {KEYS} keys, {PARTITIONS} partitions");
    let mut costs: [Vec<Cost>; 3] = Default::default();
    for round in 0..ROUNDS {
        for (failing, costs) in kinds.into_iter().zip(&mut costs) {
            let cost = run(brokers, &prefix, failing, round);
            let rate = 1e6 / cost.wall_micros;
            println!("round {round}, {}: {rate:.0} records/s, {:.2} µs of CPU a record", failing.name(), cost.cpu_micros);
            costs.push(cost);
        }
    }
    // Neighbours come and go: what is compared has run one after the other.
    let median = |with: &[Cost], of: fn(&Cost) -> f64| {
        let mut ratios: Vec<f64> = costs[0].iter().zip(with).map(|(without, with)| of(without) / of(with)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    for (failing, with) in kinds.into_iter().zip(&costs).skip(1) {
        let (throughput, cpu) = (median(with, |cost| cost.wall_micros), median(with, |cost| cost.cpu_micros));
        let kind = failing.name();
        println!("{kind}: throughput of healthy keys is {throughput:.2} of that without failures; by CPU time {cpu:.2}");
    }
}

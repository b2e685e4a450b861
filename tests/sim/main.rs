//! The simulation: the production loop of several processes on the embedded broker, under virtual time, with trouble drawn from a
//! seed.
//!
//! A run first has trouble (refused, lost, late and hanging requests, fencing, rebalances, lost sessions, stopped and killed
//! processes, lost ends of disks), then calm; then everything that was sent must have been counted exactly once, everywhere. The
//! same seed gives the same run. `SIM_SEED=17 cargo test --test sim -- one_seed` repeats one, `SIM_SEEDS=100000` runs more.

mod check;
mod faults;
#[path = "../shared/folder.rs"]
mod folder;
mod monitor;
mod process;
mod repeats;
mod saga;
mod samples;
mod standstill;
mod sweep;
mod timers;
mod workload;
mod world;

use skald::broker::Guarantee;
use skald::runtime::crash::POINTS;
use skald::runtime::{Figures, Weakened};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use world::{Report, World};

const ONCE: Guarantee = Guarantee::ExactlyOnce;

fn run(seed: u64, weakened: Weakened, guarantee: Guarantee) -> Result<Report, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, weakened, guarantee);
        let report = world.run()?;
        match guarantee {
            Guarantee::ExactlyOnce => check::check(&world).and_then(|()| timers::check(&world))?,
            // What is armed twice may fire twice.
            Guarantee::AtLeastOnce => repeats::check(&world)?,
        }
        Ok(report)
    }));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What all seeds came to together.
#[derive(Default)]
struct Sum {
    fired: BTreeMap<&'static str, u64>,
    crashes: BTreeMap<&'static str, u64>,
    figures: Figures,
    steps: u64,
    virtual_seconds: u64,
    failures: Vec<(u64, String)>,
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Result<Report, String>) {
        match outcome {
            Ok(report) => {
                report.fired.into_iter().for_each(|(kind, count)| *self.fired.entry(kind).or_default() += count);
                report.crashes.into_iter().for_each(|(label, count)| *self.crashes.entry(label).or_default() += count);
                self.figures.add(&report.figures);
                self.steps += report.steps;
                self.virtual_seconds += report.virtual_time.as_secs();
            }
            Err(failure) => self.failures.push((seed, failure)),
        }
    }
}

/// Runs seeds on two threads, until one fails if `stop_early`.
fn run_many(first: u64, count: u64, weakened: Weakened, guarantee: Guarantee, stop_early: bool) -> Sum {
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    let lock = || skald::sync::lock(&sum);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || (stop_early && !lock().failures.is_empty()) {
                        return;
                    }
                    let outcome = run(seed, weakened, guarantee);
                    lock().add(seed, outcome);
                }
            });
        }
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.failures.sort();
    sum
}

#[test]
fn every_record_counts_once_whatever_goes_wrong() {
    let count = setting("SIM_SEEDS").unwrap_or(1000);
    let sum = run_many(setting("SIM_FIRST").unwrap_or(0), count, Weakened::default(), ONCE, true);
    if let Some((seed, failure)) = sum.failures.first() {
        panic!("seed {seed}: {failure}\n\nrun it again: SIM_SEED={seed} cargo test --test sim one_seed -- --nocapture");
    }
    println!(
        "{count} seeds: {} steps, {} virtual seconds\n{:#?}\n{:#?}\ncrashes {:#?}",
        sum.steps, sum.virtual_seconds, sum.figures, sum.fired, sum.crashes
    );
    if count >= 1000 {
        // A run in which something never went wrong proves nothing about it.
        for kind in FAULTS {
            assert!(sum.fired.contains_key(kind), "`{kind}` never happened");
        }
        // What the engine does about it, and does rarely.
        let Figures {
            rollbacks,
            unknown_outcomes,
            rebuilds,
            fenced,
            predecessors_fenced,
            let_go_late,
            standstills,
            expired,
            purged,
            acts,
            parked,
            retried,
            ..
        } = sum.figures;
        for (what, count) in [
            ("rollbacks", rollbacks),
            ("unknown outcomes", unknown_outcomes),
            ("rebuilds", rebuilds),
            ("fenced", fenced),
            ("predecessors fenced", predecessors_fenced),
            ("let go late", let_go_late),
            ("standstills", standstills),
            ("expired marks", expired),
            ("purged records", purged),
            ("things that happened by time", acts),
            ("records that waited behind a failed one", parked),
            ("further tries", retried),
        ] {
            assert!(count > 0, "no {what}");
        }
        for label in POINTS {
            assert!(sum.crashes.contains_key(label), "nobody died at {label}");
        }
    }
}

/// All kinds of trouble.
const FAULTS: [&str; 27] = [
    "abort",
    "compaction",
    "consumer dies",
    "crash point",
    "disk full",
    "disk suffix lost",
    "fatal",
    "fenced",
    "hang",
    "kill",
    "late EndTxn",
    "lost reply",
    "lost request",
    "missing input",
    "orderly stop",
    "pause",
    "pause in a transaction",
    "poll nothing",
    "process fenced",
    "read nothing",
    "rebalance",
    "retriable",
    "session lost",
    "slow",
    "unknown for long",
    "unreadable changelog",
    "unreadable input",
];

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 8, 21] {
        let once = || format!("{:?}", run(seed, Weakened::default(), ONCE));
        assert_eq!(once(), once(), "seed {seed}");
    }
}

#[test]
fn one_seed() {
    let Some(seed) = setting("SIM_SEED") else { return };
    if std::env::var_os("SIM_TRACE").is_some() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().with_writer(std::io::stderr).init();
    }
    let guarantee = if std::env::var_os("SIM_AT_LEAST_ONCE").is_some() { Guarantee::AtLeastOnce } else { ONCE };
    match run(seed, Weakened::default(), guarantee) {
        Ok(report) => println!("{report:#?}"),
        Err(failure) => panic!("seed {seed}: {failure}"),
    }
}

/// With a safety measure switched off a run must fail: a simulation that does not notice proves nothing.
#[test]
fn each_safety_measure_is_needed() {
    type Switch = fn(&mut Weakened);
    let controls: [(&str, Switch); 4] = [
        ("P1: a producer in doubt is used again", |weakened| weakened.trust_doubtful_producer = true),
        ("P6: ownership is taken at the commit", |weakened| weakened.fresh_ownership = true),
        ("P29: stores are written before the commit", |weakened| weakened.apply_before_commit = true),
        ("P32: a restore ends at the last stable offset", |weakened| weakened.restore_to_stable_end = true),
    ];
    for (what, switch) in controls {
        let mut weakened = Weakened::default();
        switch(&mut weakened);
        let count = setting("SIM_SEEDS").unwrap_or(1000);
        let sum = run_many(0, count, weakened, ONCE, true);
        let failure = sum.failures.first();
        let (seed, failure) = failure.unwrap_or_else(|| panic!("{what}: {count} seeds did not notice"));
        println!("{what}: seed {seed}: {failure}");
    }
}

#[test]
fn without_transactions_every_record_counts_at_least_once_whatever_goes_wrong() {
    let count = setting("SIM_SEEDS").unwrap_or(150);
    let first = setting("SIM_FIRST").unwrap_or(0);
    let sum = run_many(first, count, Weakened::default(), Guarantee::AtLeastOnce, true);
    if let Some((seed, failure)) = sum.failures.first() {
        panic!(
            "seed {seed}: {failure}\n\nrun it again: SIM_AT_LEAST_ONCE=1 SIM_SEED={seed} cargo test --test sim one_seed -- --nocapture"
        );
    }
    println!("{count} seeds\n{:#?}\n{:#?}", sum.figures, sum.fired);
    if count >= 150 {
        let Figures { rollbacks, unknown_outcomes, rebuilds, let_go_late, purged, .. } = sum.figures;
        let rare = [rollbacks, unknown_outcomes, rebuilds, let_go_late, purged];
        assert!(rare.iter().all(|count| *count > 0), "rollbacks, unknown, rebuilds, let go late, purged: {rare:?}");
    }
}

/// An owner that wakes up and writes what others have written since must show as lost updates.
#[test]
fn without_transactions_the_lease_is_needed() {
    let weakened = Weakened { write_without_lease: true, ..Weakened::default() };
    let sum = run_many(0, setting("SIM_SEEDS").unwrap_or(2000), weakened, Guarantee::AtLeastOnce, true);
    let (seed, failure) = sum.failures.first().expect("a stale owner that writes is noticed");
    println!("seed {seed}: {failure}");
}

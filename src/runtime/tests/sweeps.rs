//! Stored states are migrated in the background, and a file that is behind them is refused.

use super::committed;
use super::engine::{engine_of, wait_for};
use crate::broker::Broker;
use crate::broker::embedded::{Cluster, Options};
use crate::clock::SystemClock;
use crate::record::{Record, partition_of};
use crate::runtime::{Exit, Running, TaskPhase};
use crate::state::{Memory, Stores};
use std::collections::BTreeMap;
use std::sync::Arc;

/// More than one step of a sweep.
const KEYS: usize = 700;

/// `decided` has a changelog, `folded` has none.
fn topology(version: u32) -> String {
    let steps: String = (1..version).map(|from| format!(" {from}: {{ v{}: =state.v{from} }},", from + 1)).collect();
    let shape = match version {
        1 => "initial: { v1: 0 }".to_owned(),
        _ => format!("initial: {{ v{version}: 0 }}\n    state_version: {version}\n    upcast: {{{steps} }}"),
    };
    format!(
        r#"
skald: 1
topology: sweeps
topics:
  in: {{ partitions: 2, key: data.k, types: {{ add.v1: {{ type: object, properties: {{ k: {{ type: string }}, by: {{ type: integer }} }}, required: [k, by] }} }} }}
aggregates:
  folded:
    from: in
    {shape}
    evolve: {{ add.v1: {{ set: {{ v{version}: =state.v{version} + data.by }} }} }}
  decided:
    from: in
    {shape}
    decide: {{ add.v1: {{ require: {{ that: state.v{version} < 100, code: FULL }}, emit: {{ type: added.v1, data: {{ by: =data.by }} }} }} }}
    evolve: {{ added.v1: {{ set: {{ v{version}: =state.v{version} + data.by }} }} }}
"#
    )
}

struct Bench {
    cluster: Cluster,
    clock: Arc<SystemClock>,
    stores: Arc<dyn Stores>,
}

impl Bench {
    fn start(&self, text: &str) -> Running {
        let mut engine = engine_of(text, &self.cluster, &self.clock, &self.stores);
        engine.settings.threads = 1;
        engine.start().expect("threads can be had")
    }

    fn send(&self, key: &str, by: i64) {
        let record = Record {
            topic: "in".into(),
            partition: partition_of(key.as_bytes(), 2),
            timestamp: 1,
            value: Some(format!(r#"{{"type":"add.v1","data":{{"k":"{key}","by":{by}}}}}"#).into()),
            key: Some(key.to_owned().into()),
            headers: Vec::new(),
        };
        self.cluster.producer().expect("there is one").send(&record).expect("sent");
    }

    fn states(&self, node: &str) -> BTreeMap<String, String> {
        let text = |bytes: Option<bytes::Bytes>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
        let records = committed(&self.cluster, &format!("sweeps.{node}.snapshots")).into_iter();
        records.map(|(_, record)| (text(record.key), text(record.value))).collect()
    }

    fn written(&self) -> usize {
        ["folded", "decided"].iter().map(|node| committed(&self.cluster, &format!("sweeps.{node}.snapshots")).len()).sum()
    }

    fn are_all(&self, state: &str) -> bool {
        ["folded", "decided"].iter().all(|node| {
            let states = self.states(node);
            states.len() == KEYS && states.values().all(|known| known == state)
        })
    }
}

fn stop(running: Running) {
    running.stop();
    assert!(matches!(running.wait(), Exit::Stopped));
}

#[test]
fn states_that_nobody_changes_come_to_the_new_shape_once() {
    let clock = Arc::new(SystemClock::new());
    let mut bench = Bench { cluster: Cluster::new(clock.clone(), Options::default()), clock, stores: Arc::new(Memory::new()) };
    let running = bench.start(&topology(1));
    (0..KEYS).for_each(|key| bench.send(&format!("k{key}"), 7));
    wait_for("states", || bench.are_all(r#"{"v1":7}"#));
    stop(running);

    let running = bench.start(&topology(3));
    wait_for("the new shape", || bench.are_all(r#"{"v3":7}"#));
    let is_over = || {
        let tasks = running.snapshot().tasks;
        let sweeps: Vec<_> = tasks.into_iter().flat_map(|task| task.sweeps).collect();
        sweeps.len() == 4 && sweeps.iter().all(|sweep| sweep.over && sweep.failed == 0 && sweep.state_version == 3)
    };
    wait_for("the end", is_over);
    stop(running);
    assert_eq!(bench.written(), 4 * KEYS, "each was written once, and once more");

    // A restart finds nothing to do, with and without what it had.
    for kept in [true, false] {
        if !kept {
            bench.stores = Arc::new(Memory::new());
        }
        let running = bench.start(&topology(3));
        bench.send("k0", 0);
        wait_for("the end", || {
            let sweeps: Vec<_> = running.snapshot().tasks.into_iter().flat_map(|task| task.sweeps).collect();
            sweeps.len() == 4 && sweeps.iter().all(|sweep| sweep.over && sweep.migrated == 0)
        });
        stop(running);
    }
    assert!(bench.written() <= 4 * KEYS + 4);

    // The file of before does not touch what it does not know.
    let running = bench.start(&topology(2));
    wait_for("the refusal", || {
        let tasks = running.snapshot().tasks;
        let named = |phase: &TaskPhase| matches!(phase, TaskPhase::Halted(halt) if halt.reason.contains("`decided` are stored in version 3"));
        tasks.iter().any(|task| named(&task.phase))
    });
    stop(running);
    assert!(bench.are_all(r#"{"v3":7}"#));
}

#[test]
fn what_cannot_be_migrated_is_left_and_the_others_are_not() {
    let clock = Arc::new(SystemClock::new());
    let bench = Bench { cluster: Cluster::new(clock.clone(), Options::default()), clock, stores: Arc::new(Memory::new()) };
    let running = bench.start(&topology(1));
    (0..KEYS).for_each(|key| bench.send(&format!("k{key}"), if key == 300 { 8 } else { 7 }));
    wait_for("states", || bench.states("folded").len() == KEYS && bench.states("decided").len() == KEYS);
    stop(running);

    // Division by zero for one of them.
    let broken = topology(2).replace("=state.v1 }", "=state.v1 / (8 - state.v1) }");
    let running = bench.start(&broken);
    wait_for("the end", || {
        let sweeps: Vec<_> = running.snapshot().tasks.into_iter().flat_map(|task| task.sweeps).collect();
        sweeps.len() == 4 && sweeps.iter().all(|sweep| sweep.over) && sweeps.iter().map(|sweep| sweep.failed).sum::<u64>() == 2
    });
    stop(running);
    assert_eq!(bench.states("decided")["k300"], r#"{"v1":8}"#);
    assert_eq!(bench.states("folded").values().filter(|state| state.as_str() == r#"{"v2":7}"#).count(), KEYS - 1);

    // Mended, the rest follows.
    let running = bench.start(&topology(2));
    wait_for("the rest", || {
        bench.states("decided")["k300"] == r#"{"v2":8}"# && bench.states("folded")["k300"] == r#"{"v2":8}"#
    });
    stop(running);
}

//! Handles, made once and counted on often.

use super::Telemetry;
use super::metric;
use metrics::{Counter, Gauge, Histogram};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// Codes of one node that get a series of their own. Codes come from the topology file, but a file may hold many.
const CODES_MAX: usize = 100;
const OTHER: &str = "other";
/// Remarks that begin so are moves of a saga; the rest is the status that it came to.
pub const SAGA_MOVED: &str = "saga_moved_to:";

/// Records and bytes of topics of one role, read or written.
#[derive(Clone)]
pub struct StreamMetrics {
    /// Records.
    pub records: Counter,
    /// Bytes of keys, values and headers.
    pub bytes: Counter,
}

impl StreamMetrics {
    /// What is read from topics of a role.
    pub fn input(telemetry: &Telemetry, topology: &str, role: &str) -> Self {
        let labels = [topology, role];
        Self {
            records: telemetry.counter(&metric::INPUT_RECORDS, &labels),
            bytes: telemetry.counter(&metric::INPUT_BYTES, &labels),
        }
    }

    /// What is written to topics of a role.
    pub fn output(telemetry: &Telemetry, topology: &str, role: &str) -> Self {
        let labels = [topology, role];
        Self {
            records: telemetry.counter(&metric::OUTPUT_RECORDS, &labels),
            bytes: telemetry.counter(&metric::OUTPUT_BYTES, &labels),
        }
    }

    /// Counts what an epoch has read or written.
    pub fn add(&self, records: u64, bytes: u64) {
        self.records.increment(records);
        self.bytes.increment(bytes);
    }
}

/// What a node has made of records.
pub struct NodeMetrics {
    telemetry: Telemetry,
    topology: String,
    node: String,
    /// Handled.
    pub processed: Counter,
    /// Passed over.
    pub passed_over: Counter,
    /// Refused, whatever the code.
    pub refused: Counter,
    /// Answered again.
    pub repeated: Counter,
    /// Failed.
    pub failed: Counter,
    /// Timers that fired.
    pub timers_fired: Counter,
    /// Kept behind a failure.
    pub parked: Counter,
    /// Tries after a failure that passed.
    pub retries_succeeded: Counter,
    /// Tries that failed, with others to follow.
    pub retries_failed: Counter,
    /// Tries that failed for good.
    pub retries_given_up: Counter,
    refusals: FxHashMap<String, Counter>,
    dead_letters: FxHashMap<(&'static str, String), Counter>,
    remarks: FxHashMap<&'static str, Counter>,
}

impl NodeMetrics {
    /// Those of a node; for one thread.
    pub fn new(telemetry: &Telemetry, topology: &str, node: &str) -> Self {
        let outcome = |outcome| telemetry.counter(&metric::NODE_OUTCOMES, &[topology, node, outcome]);
        let retries = |result| telemetry.counter(&metric::RETRIES, &[topology, node, result]);
        Self {
            processed: outcome("processed"),
            passed_over: outcome("passed_over"),
            refused: outcome("refused"),
            repeated: outcome("repeated"),
            failed: outcome("failed"),
            timers_fired: telemetry.counter(&metric::TIMERS_FIRED, &[topology, node]),
            parked: outcome("parked"),
            retries_succeeded: retries("succeeded"),
            retries_failed: retries("failed"),
            retries_given_up: retries("given_up"),
            telemetry: telemetry.clone(),
            topology: topology.into(),
            node: node.into(),
            refusals: FxHashMap::default(),
            dead_letters: FxHashMap::default(),
            remarks: FxHashMap::default(),
        }
    }

    /// The counter of refusals with a code.
    pub fn refusal(&mut self, code: &str) -> &Counter {
        let code = if self.refusals.len() < CODES_MAX || self.refusals.contains_key(code) { code } else { OTHER };
        if !self.refusals.contains_key(code) {
            let counter = self.telemetry.counter(&metric::NODE_REFUSALS, &[&self.topology, &self.node, code]);
            self.refusals.insert(code.into(), counter);
        }
        &self.refusals[code]
    }

    /// The counter of dead letters of a class and with a code.
    pub fn dead_letter(&mut self, class: &'static str, code: &str) -> &Counter {
        let mut key = (class, String::from(code));
        if self.dead_letters.len() >= CODES_MAX && !self.dead_letters.contains_key(&key) {
            key.1 = OTHER.into();
        }
        let (telemetry, topology, node) = (&self.telemetry, &self.topology, &self.node);
        let make = |key: &(&'static str, String)| telemetry.counter(&metric::DEAD_LETTERS, &[topology, node, key.0, &key.1]);
        self.dead_letters.entry(key).or_insert_with_key(make)
    }

    /// The counter of a remark; of one that begins with [`SAGA_MOVED`] that of the saga's moves.
    pub fn remark(&mut self, what: &'static str) -> &Counter {
        let (telemetry, topology, node) = (&self.telemetry, &self.topology, &self.node);
        self.remarks.entry(what).or_insert_with(|| match what.strip_prefix(SAGA_MOVED) {
            Some(status) => telemetry.counter(&metric::SAGA_MOVES, &[topology, node, status]),
            None => telemetry.counter(&metric::NODE_REMARKS, &[topology, node, what]),
        })
    }
}

/// What a worker's threads do, over all their tasks.
#[derive(Clone)]
pub struct ThreadMetrics {
    /// Epochs committed.
    pub committed: Counter,
    /// Epochs rolled back.
    pub rolled_back: Counter,
    /// From seal to outcome, in seconds.
    pub epoch_seconds: Histogram,
    /// Input records of an epoch.
    pub epoch_records: Histogram,
    /// Outcomes that had to be found out.
    pub unknown_outcomes: Counter,
    /// Producers made anew.
    pub producer_rebuilds: Counter,
    /// Own producers fenced.
    pub producer_fences: Counter,
    /// Predecessors' transactions ended.
    pub fenced_predecessors: Counter,
    /// Offsets freed in repartition topics.
    pub purged: Counter,
    /// Deletions there that failed.
    pub purge_failures: Counter,
    /// Transactions of which nobody can tell the outcome.
    pub indefinite_transactions: Counter,
    /// Records without a node.
    pub untaken: Counter,
    /// Changelog records read by restores.
    pub restored: Counter,
    /// From assignment to the end of a restore, in seconds.
    pub restore_seconds: Histogram,
    /// Stores set aside as damaged.
    pub stores_set_aside: Counter,
    /// Marks that expired.
    pub expired_marks: Counter,
    assigned: Counter,
    revoked: Counter,
    lost: Counter,
}

/// How partitions come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebalance {
    /// They came.
    Assigned,
    /// They are to be let go.
    Revoked,
    /// They are gone already.
    Lost,
}

impl ThreadMetrics {
    /// Those of a topology; threads of one topology count together.
    pub fn new(telemetry: &Telemetry, topology: &str) -> Self {
        let counter = |metric| telemetry.counter(metric, &[topology]);
        let epochs = |result| telemetry.counter(&metric::EPOCHS, &[topology, result]);
        let rebalances = |kind| telemetry.counter(&metric::REBALANCES, &[topology, kind]);
        Self {
            committed: epochs("committed"),
            rolled_back: epochs("rolled_back"),
            epoch_seconds: telemetry.histogram(&metric::EPOCH_SECONDS, &[topology]),
            epoch_records: telemetry.histogram(&metric::EPOCH_RECORDS, &[topology]),
            unknown_outcomes: counter(&metric::UNKNOWN_OUTCOMES),
            producer_rebuilds: counter(&metric::PRODUCER_REBUILDS),
            producer_fences: counter(&metric::PRODUCER_FENCES),
            fenced_predecessors: counter(&metric::FENCED_PREDECESSORS),
            purged: counter(&metric::PURGED),
            purge_failures: counter(&metric::PURGE_FAILURES),
            indefinite_transactions: counter(&metric::INDEFINITE_TRANSACTIONS),
            untaken: counter(&metric::UNTAKEN_RECORDS),
            restored: counter(&metric::RESTORED_RECORDS),
            restore_seconds: telemetry.histogram(&metric::RESTORE_SECONDS, &[topology]),
            stores_set_aside: counter(&metric::STORES_SET_ASIDE),
            expired_marks: counter(&metric::EXPIRED_MARKS),
            assigned: rebalances("assigned"),
            revoked: rebalances("revoked"),
            lost: rebalances("lost"),
        }
    }

    /// An epoch has committed.
    pub fn epoch_committed(&self, took: Duration, input_records: u64) {
        self.committed.increment(1);
        self.epoch_seconds.record(took.as_secs_f64());
        self.epoch_records.record(input_records as f64);
    }

    /// An epoch was rolled back.
    pub fn epoch_rolled_back(&self, took: Duration) {
        self.rolled_back.increment(1);
        self.epoch_seconds.record(took.as_secs_f64());
    }

    /// Partitions came or went.
    pub fn rebalanced(&self, kind: Rebalance) {
        let counter = match kind {
            Rebalance::Assigned => &self.assigned,
            Rebalance::Revoked => &self.revoked,
            Rebalance::Lost => &self.lost,
        };
        counter.increment(1);
    }
}

/// How many tasks are in which state.
#[derive(Clone)]
pub struct TasksByState {
    /// Inputs incomplete.
    pub waiting: Gauge,
    /// Their stores are filled.
    pub restoring: Gauge,
    /// They process.
    pub running: Gauge,
    /// Stopped at a record.
    pub halted: Gauge,
}

impl TasksByState {
    /// Those of a topology.
    pub fn new(telemetry: &Telemetry, topology: &str) -> Self {
        let tasks = |state| telemetry.gauge(&metric::TASKS, &[topology, state]);
        Self { waiting: tasks("waiting"), restoring: tasks("restoring"), running: tasks("running"), halted: tasks("halted") }
    }
}

/// How far one task is. Dropped with the task, and then says nothing more: its gauges are 0.
pub struct TaskMetrics {
    /// Records not processed yet.
    pub lag: Gauge,
    /// Offsets that the restore has still to read.
    pub restore_left: Gauge,
}

impl TaskMetrics {
    /// Those of a task, `2_7`.
    pub fn new(telemetry: &Telemetry, topology: &str, task: &str) -> Self {
        let labels = [topology, task];
        Self { lag: telemetry.gauge(&metric::TASK_LAG, &labels), restore_left: telemetry.gauge(&metric::RESTORE_LEFT, &labels) }
    }
}

impl Drop for TaskMetrics {
    fn drop(&mut self) {
        self.lag.set(0.0);
        self.restore_left.set(0.0);
    }
}

/// A store and its cache. Dropped with the task; then its sizes are 0.
pub struct StoreMetrics {
    bytes: Gauge,
    cache_bytes: Gauge,
    hits: Counter,
    misses: Counter,
    evictions: Counter,
    timers: Gauge,
    timers_overdue: Gauge,
    sweeps: Gauge,
    seen: (u64, u64, u64),
}

impl StoreMetrics {
    /// Those of a store, `orders` or `orders.totals`, and a partition of it.
    pub fn new(telemetry: &Telemetry, topology: &str, store: &str, partition: i32) -> Self {
        let partition = partition.to_string();
        let labels = [topology, store, &partition];
        let reads = |answer| telemetry.counter(&metric::STORE_READS, &[topology, store, answer]);
        Self {
            bytes: telemetry.gauge(&metric::STORE_BYTES, &labels),
            cache_bytes: telemetry.gauge(&metric::STORE_CACHE_BYTES, &labels),
            hits: reads("hit"),
            misses: reads("miss"),
            evictions: telemetry.counter(&metric::STORE_CACHE_EVICTIONS, &[topology, store]),
            timers: telemetry.gauge(&metric::TIMERS, &labels),
            timers_overdue: telemetry.gauge(&metric::TIMERS_OVERDUE, &labels),
            sweeps: telemetry.gauge(&metric::STATE_SWEEPS, &labels),
            seen: (0, 0, 0),
        }
    }

    /// Notes the cache's counts since it was made, as `state::SlotCounts` has them; what is new is added.
    pub fn note_reads(&mut self, hits: u64, misses: u64, evictions: u64) {
        let (hits_before, misses_before, evictions_before) = std::mem::replace(&mut self.seen, (hits, misses, evictions));
        self.hits.increment(hits.saturating_sub(hits_before));
        self.misses.increment(misses.saturating_sub(misses_before));
        self.evictions.increment(evictions.saturating_sub(evictions_before));
    }

    /// Notes how many timers are set, and for how many milliseconds the first has been due.
    pub fn note_timers(&self, set: u64, overdue_ms: i64) {
        self.timers.set(set as f64);
        self.timers_overdue.set(overdue_ms.max(0) as f64 / 1000.0);
    }

    /// Notes whether states are gone through for older shapes.
    pub fn note_sweep(&self, is_under_way: bool) {
        self.sweeps.set(f64::from(u8::from(is_under_way)));
    }

    /// Notes sizes in bytes.
    pub fn note_sizes(&self, store: u64, cache: usize) {
        self.bytes.set(store as f64);
        self.cache_bytes.set(cache as f64);
    }
}

/// What waits behind failures in a store. Dropped with the task; then nothing does.
pub struct ParkedMetrics {
    records: Gauge,
    keys: Gauge,
    held: Gauge,
}

impl ParkedMetrics {
    /// Those of a store and a partition of it.
    pub fn new(telemetry: &Telemetry, topology: &str, store: &str, partition: i32) -> Self {
        let partition = partition.to_string();
        let gauge = |metric| telemetry.gauge(metric, &[topology, store, &partition]);
        Self { records: gauge(&metric::PARKED_RECORDS), keys: gauge(&metric::PARKED_KEYS), held: gauge(&metric::HELD_KEYS) }
    }

    /// Notes how many records wait, of how many keys, and how many keys wait for an operator.
    pub fn note(&self, records: u64, keys: u64, held: u64) {
        self.records.set(records as f64);
        self.keys.set(keys as f64);
        self.held.set(held as f64);
    }
}

impl Drop for ParkedMetrics {
    fn drop(&mut self) {
        self.note(0, 0, 0);
    }
}

/// Sagas of a partition. Dropped with the task; then there are none.
pub struct SagaMetrics {
    by_status: Vec<Gauge>,
    stuck: Gauge,
}

impl SagaMetrics {
    /// Those of a saga and a partition, by these names of statuses.
    pub fn new(telemetry: &Telemetry, topology: &str, saga: &str, partition: i32, statuses: &[&str]) -> Self {
        let partition = partition.to_string();
        let of = |status: &&str| telemetry.gauge(&metric::SAGAS, &[topology, saga, &partition, status]);
        Self {
            by_status: statuses.iter().map(of).collect(),
            stuck: telemetry.gauge(&metric::SAGAS_STUCK, &[topology, saga, &partition]),
        }
    }

    /// Notes how many stand where, in the order of the names.
    pub fn note(&self, by_status: impl IntoIterator<Item = u64>, stuck: u64) {
        for (gauge, number) in self.by_status.iter().zip(by_status) {
            gauge.set(number as f64);
        }
        self.stuck.set(stuck as f64);
    }
}

impl Drop for SagaMetrics {
    fn drop(&mut self) {
        self.note(vec![0; self.by_status.len()], 0);
    }
}

impl Drop for StoreMetrics {
    fn drop(&mut self) {
        self.note_sizes(0, 0);
        self.note_timers(0, 0);
        self.note_sweep(false);
    }
}

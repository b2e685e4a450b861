//! Every metric there is: name, kind, unit, labels, meaning.
//!
//! Names are `skald_<noun>_<unit>[_total]`; a counter ends in `_total`. Label values are names from the topology file, numbers of
//! partitions, or words of a fixed list: never anything from a record, which would make a series of each.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets of these upper bounds.
    Histogram(&'static [f64]),
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things; the name says which.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
}

/// A metric as declared.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    kind: Kind,
    unit: Unit,
    labels: &'static [&'static str],
    text: &'static str,
}

impl Metric {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it counts.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Names of its labels.
    pub fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// What it means, as a sentence.
    pub fn text(&self) -> &'static str {
        self.text.trim_ascii()
    }
}

/// From a commit on an idle broker to one that waits for its coordinator.
const SECONDS: Kind = Kind::Histogram(&[0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0]);
const RECORDS: Kind = Kind::Histogram(&[1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0]);

macro_rules! metrics {
    ($(#[doc = $text:literal] $id:ident = $kind:expr, $unit:ident, $name:literal, [$($label:literal),*];)*) => {
        $(
            #[doc = $text]
            pub static $id: Metric =
                Metric { name: $name, kind: $kind, unit: Unit::$unit, labels: &[$($label),*], text: $text };
        )*

        /// All of them, in the order of the reference page.
        pub static ALL: &[&Metric] = &[$(&$id),*];
    };
}

use Kind::{Counter, Gauge};

metrics! {
    /// Records read, by the role of their topic: `source`, `repartition` or `inbox`.
    INPUT_RECORDS = Counter, Count, "skald_input_records_total", ["topology", "role"];
    /// Bytes of keys, values and headers of records read.
    INPUT_BYTES = Counter, Bytes, "skald_input_bytes_total", ["topology", "role"];
    /// Records written, by the role of their topic: `output`, `repartition`, `snapshots`, `changelog`, `replies`, `dead_letters` or `history`.
    OUTPUT_RECORDS = Counter, Count, "skald_output_records_total", ["topology", "role"];
    /// Bytes of keys, values and headers of records written.
    OUTPUT_BYTES = Counter, Bytes, "skald_output_bytes_total", ["topology", "role"];
    /// Records without any node that takes them.
    UNTAKEN_RECORDS = Counter, Count, "skald_untaken_records_total", ["topology"];

    /// What came of records at a node: `processed`, `passed_over` (no handler, a filter), `refused`, `repeated` (a request answered before), `failed`, or `parked` (kept behind a failure of its key; counted again when its turn comes).
    NODE_OUTCOMES = Counter, Count, "skald_node_outcomes_total", ["topology", "node", "outcome"];
    /// Refusals by a node's `require`, by code; codes beyond the first hundred of a node count as `other`.
    NODE_REFUSALS = Counter, Count, "skald_node_refusals_total", ["topology", "node", "code"];
    /// Dead letters, by node, class (`undecodable`, `permanent`, `retryable`, `engine`) and code; codes beyond the first hundred of a node count as `other`.
    DEAD_LETTERS = Counter, Count, "skald_dead_letters_total", ["topology", "node", "class", "code"];
    /// Further tries of records that had failed and may pass, by result: `succeeded`, `failed` (others follow) or `given_up`.
    RETRIES = Counter, Count, "skald_retries_total", ["topology", "node", "result"];
    /// Things worth a look that are no failure: replies that may not be sent, headers that could not be read, and the like; what a `dedupe` dropped (`duplicate_dropped`); of sagas also why something was passed over (`saga_reply_not_awaited`, `saga_message_repeated`, …).
    NODE_REMARKS = Counter, Count, "skald_node_remarks_total", ["topology", "node", "remark"];

    /// Epochs that ended, by result: `committed` or `rolled_back`.
    EPOCHS = Counter, Count, "skald_epochs_total", ["topology", "result"];
    /// Time from sealing an epoch to its outcome.
    EPOCH_SECONDS = SECONDS, Seconds, "skald_epoch_duration_seconds", ["topology"];
    /// Input records of a committed epoch.
    EPOCH_RECORDS = RECORDS, Count, "skald_epoch_input_records", ["topology"];
    /// Epochs whose outcome had to be found out from the committed offsets.
    UNKNOWN_OUTCOMES = Counter, Count, "skald_unknown_outcomes_total", ["topology"];
    /// Producers dropped and made anew after a slow, doubtful or failed transaction.
    PRODUCER_REBUILDS = Counter, Count, "skald_producer_rebuilds_total", ["topology"];
    /// Times that a producer of this process was fenced by a newer owner of its id.
    PRODUCER_FENCES = Counter, Count, "skald_producer_fences_total", ["topology"];
    /// Open transactions of predecessors that were ended because they held up a restore.
    FENCED_PREDECESSORS = Counter, Count, "skald_fenced_predecessors_total", ["topology"];
    /// Offsets freed at the start of repartition topics, whose records are deleted once they are committed.
    PURGED = Counter, Count, "skald_purged_records_total", ["topology"];
    /// Times that committed records of repartition topics could not be deleted: they stay, and the topics grow.
    PURGE_FAILURES = Counter, Count, "skald_purge_failures_total", ["topology"];
    /// Transactions whose outcome neither the client nor the committed offsets could tell. Anything but 0 needs an operator.
    INDEFINITE_TRANSACTIONS = Counter, Count, "skald_transactions_indefinite_total", ["topology"];
    /// Rebalances met, by kind: `assigned`, `revoked` or `lost`.
    REBALANCES = Counter, Count, "skald_rebalances_total", ["topology", "kind"];

    /// Tasks of this process, by state: `waiting`, `restoring`, `running` or `halted`.
    TASKS = Gauge, Count, "skald_tasks", ["topology", "state"];
    /// Records of a task's inputs that are committed in the log and not processed yet.
    TASK_LAG = Gauge, Count, "skald_task_lag_records", ["topology", "task"];
    /// Offsets that a task's restore has still to read; 0 when it is restored.
    RESTORE_LEFT = Gauge, Count, "skald_restore_left_records", ["topology", "task"];
    /// Changelog records read by restores.
    RESTORED_RECORDS = Counter, Count, "skald_restored_records_total", ["topology"];
    /// Time from a task's assignment to the end of its restore.
    RESTORE_SECONDS = Kind::Histogram(&[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0]), Seconds, "skald_restore_duration_seconds", ["topology"];

    /// Bytes that a store takes, in memory or on disk.
    STORE_BYTES = Gauge, Bytes, "skald_store_bytes", ["topology", "store", "partition"];
    /// Stores set aside as damaged, to be restored from their changelogs.
    STORES_SET_ASIDE = Counter, Count, "skald_stores_set_aside_total", ["topology"];
    /// Bytes of decoded values in a store's cache, roughly.
    STORE_CACHE_BYTES = Gauge, Bytes, "skald_store_cache_bytes", ["topology", "store", "partition"];
    /// Reads of state, by who answered: the cache (`hit`) or the store (`miss`).
    STORE_READS = Counter, Count, "skald_store_reads_total", ["topology", "store", "answer"];
    /// Values that left a store's cache to make room.
    STORE_CACHE_EVICTIONS = Counter, Count, "skald_store_cache_evictions_total", ["topology", "store"];
    /// 1 while the stored states of a partition are gone through for older shapes, to be migrated; states that were are `state_migrated` in `skald_node_remarks_total`.
    STATE_SWEEPS = Gauge, Count, "skald_state_sweeps", ["topology", "store", "partition"];
    /// Timers that are set and have not fired.
    TIMERS = Gauge, Count, "skald_timers", ["topology", "store", "partition"];
    /// How long ago the first of the timers that have not fired was due; 0 when none is.
    TIMERS_OVERDUE = Gauge, Seconds, "skald_timers_overdue_seconds", ["topology", "store", "partition"];
    /// Timers that fired, and states and early events whose time ran out.
    TIMERS_FIRED = Counter, Count, "skald_timers_fired_total", ["topology", "node"];
    /// Moves of sagas, by the status that they came to: `running` for each that begins (and for one that an operator had go on), then `completed`, `compensating`, `compensated`, `failed` and so on.
    SAGA_MOVES = Counter, Count, "skald_saga_moves_total", ["topology", "saga", "status"];
    /// Records that wait because one of their key failed: it is tried again, or an operator is waited for.
    PARKED_RECORDS = Gauge, Count, "skald_parked_records", ["topology", "store", "partition"];
    /// Keys of which a record failed, so that later ones wait.
    PARKED_KEYS = Gauge, Count, "skald_parked_keys", ["topology", "store", "partition"];
    /// Keys whose later records wait until an operator acts (`then: park`). Anything but 0 needs an operator.
    HELD_KEYS = Gauge, Count, "skald_held_keys", ["topology", "store", "partition"];
    /// Sagas of a partition by where they stand: `running`, `completed`, …; those that are over until they are forgotten.
    SAGAS = Gauge, Count, "skald_sagas", ["topology", "saga", "partition", "status"];
    /// Sagas that wait for an operator, or are overdue where nothing is undone any more. Anything but 0 needs an operator.
    SAGAS_STUCK = Gauge, Count, "skald_sagas_stuck", ["topology", "saga", "partition"];
    /// Marks of answered requests that expired.
    EXPIRED_MARKS = Counter, Count, "skald_expired_marks_total", ["topology"];

    /// 1, with the version as a label.
    BUILD = Gauge, Count, "skald_build_info", ["version"];
    /// CPU time of the process, user and system.
    PROCESS_CPU = Counter, Seconds, "skald_process_cpu_seconds_total", [];
    /// Memory of the process that is in RAM.
    PROCESS_RESIDENT = Gauge, Bytes, "skald_process_resident_bytes", [];
    /// The most memory of the process that was in RAM at a time.
    PROCESS_RESIDENT_PEAK = Gauge, Bytes, "skald_process_resident_peak_bytes", [];
}

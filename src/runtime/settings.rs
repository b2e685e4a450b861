//! What can be set of a running engine, with the defaults that were measured to be good.

use crate::broker::{Guarantee, Parting};
use crate::dlq::Spelling;
use crate::record::Text;
use std::time::Duration;

/// Settings of the workers of one topology.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The worker's id: unique on a host, stable where its state is. `None` makes the membership dynamic and the id random, so a
    /// restart waits for the session of the process before it.
    pub worker: Option<Text>,
    /// What a commit promises.
    pub guarantee: Guarantee,
    /// Worker threads; each has its own consumer, producer and tasks.
    pub threads: usize,
    /// An epoch is committed when its first record is this old.
    pub commit_interval: Duration,
    /// An epoch is committed early when the input is drained and the last outcome is this long ago.
    pub commit_gap: Duration,
    /// Epochs that moved positions and did nothing else are committed this often.
    pub idle_commit_interval: Duration,
    /// An epoch is committed when its outputs have so many bytes.
    pub epoch_bytes_max: usize,
    /// An epoch is committed when it has read so many records.
    pub epoch_records_max: usize,
    /// Longest time of one poll.
    pub poll_time: Duration,
    /// Most records of one poll.
    pub poll_records_max: usize,
    /// After so long without a heartbeat a member is taken for dead.
    pub session_timeout: Duration,
    /// After so long without a poll a member leaves the group.
    pub max_poll_interval: Duration,
    /// The coordinator aborts a transaction that is open for longer.
    pub transaction_timeout: Duration,
    /// An operation of the lane that takes longer is given up, and its producer with it.
    pub lane_timeout: Duration,
    /// Longest piece of work of a restore within one step of the loop.
    pub restore_slice: Duration,
    /// A restore into an empty store hands over pieces of this size, divided by the stores of the process: all may be restored
    /// at once. A few MiB at least, if this is as much.
    pub restore_chunk_bytes: usize,
    /// A restore that is held up by somebody's open transaction for this long looks for its owner and fences it.
    pub blocked_after: Duration,
    /// What is committed of repartition topics is deleted this often.
    pub purge_interval: Duration,
    /// Bytes of decoded state that the process keeps in memory, divided by its stores. A few MiB each at least, if this is as much.
    pub cache_bytes_max: usize,
    /// How members part from the group at the end.
    pub parting: Parting,
    /// An orderly stop that takes longer is given up; nothing is lost by it.
    pub stop_deadline: Duration,
    /// Whose names the headers of dead letters have.
    pub letters: Spelling,
    /// Safety measures switched off, to show that tests notice.
    #[doc(hidden)]
    pub weakened: Weakened,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            worker: None,
            guarantee: Guarantee::default(),
            threads: 1,
            commit_interval: Duration::from_millis(100),
            commit_gap: Duration::from_millis(5),
            idle_commit_interval: Duration::from_secs(1),
            epoch_bytes_max: 16 << 20,
            epoch_records_max: 50_000,
            poll_time: Duration::from_millis(1),
            poll_records_max: 512,
            session_timeout: Duration::from_secs(10),
            max_poll_interval: Duration::from_secs(60),
            transaction_timeout: Duration::from_secs(10),
            lane_timeout: Duration::from_secs(10),
            restore_slice: Duration::from_millis(20),
            restore_chunk_bytes: 64 << 20,
            blocked_after: Duration::from_secs(1),
            purge_interval: Duration::from_secs(30),
            cache_bytes_max: 128 << 20,
            parting: Parting::Leave,
            stop_deadline: Duration::from_secs(30),
            letters: Spelling::default(),
            weakened: Weakened::default(),
        }
    }
}

/// Safety measures that a test may switch off (`pitfalls.md`). With any of them off the guarantees are gone: the simulation must
/// find out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weakened {
    /// P1: a producer whose last transaction ended in doubt is used again.
    pub trust_doubtful_producer: bool,
    /// P6: ownership is taken at each commit instead of once at the assignment.
    pub fresh_ownership: bool,
    /// P29: stores are written before the transaction is committed.
    pub apply_before_commit: bool,
    /// Without transactions: an owner writes although others may own its partitions by now.
    pub write_without_lease: bool,
    /// P32: a restore ends at the last stable offset.
    pub restore_to_stable_end: bool,
}

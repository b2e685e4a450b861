//! The Kafka boundary: what the engine asks of a cluster, as traits.
//!
//! `kafka` carries them out with librdkafka, `embedded` in this process. Both pass one contract test, so the worker loop above
//! is the same code in production, in `skald dev`, in scenario tests and in simulation.
//!
//! The contract in short: only committed records are delivered; no call of [`GroupConsumer`] blocks or re-enters the caller;
//! everything that may block goes through [`Transactions`], one operation at a time, answered later. Rebalances are events that
//! the caller answers after `poll` has returned. What the traits leave to `runtime`: when to commit, what to do after an error,
//! which partitions belong together.

mod batch;
pub mod embedded;
mod error;
pub mod kafka;

pub use batch::{Batch, BatchMark, BatchRecord, NewRecord};
pub use error::{Error, ErrorClass, Result};

use crate::record::{Millis, Offset, Partition, Record, RecordRef, Text, TopicPartition};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A cluster, real or embedded: where clients come from.
pub trait Broker: Send + Sync {
    /// A member of a consumer group. It subscribes at once; its first event is an assignment.
    fn consumer(&self, settings: &ConsumerSettings) -> Result<Box<dyn GroupConsumer>>;

    /// The lane of one worker thread: every blocking client call of that thread.
    fn transactions(&self, settings: &TransactionSettings) -> Result<Box<dyn Transactions>>;

    /// A reader of whole partitions outside any group.
    fn log_reader(&self, isolation: Isolation) -> Result<Box<dyn LogReader>>;

    /// Topics and groups.
    fn admin(&self) -> Result<Box<dyn Admin>>;

    /// A plain idempotent producer, for what is not part of an epoch: generated traffic, tests, tools.
    fn producer(&self) -> Result<Box<dyn Producer>>;
}

/// Called from any thread when there may be something new to poll; must be cheap and must not block.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// How a consumer joins its group.
#[derive(Clone)]
pub struct ConsumerSettings {
    /// Consumer group: the topology's name.
    pub group: Text,
    /// Static member id; `None` makes the membership dynamic.
    pub instance: Option<Text>,
    /// `client.id`: it ends in the hash of the plan's subscription, so that a member with another plan is recognised.
    pub client_id: Text,
    /// Topics by name.
    pub topics: Vec<Text>,
    /// Topics by regular expression over the whole name (anchored by the caller).
    pub patterns: Vec<Text>,
    /// After so long without a heartbeat the member is taken for dead.
    pub session_timeout: Duration,
    /// After so long without a poll the member leaves the group.
    pub max_poll_interval: Duration,
    /// See [`Wake`].
    pub wake: Wake,
}

/// What the commits of a lane promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guarantee {
    /// Records, and the offsets that they follow from, become visible together or not at all: Kafka's transactions.
    #[default]
    ExactlyOnce,
    /// Records are visible as soon as they are delivered, offsets are committed after them, and nothing is taken back. No
    /// transactional id is used.
    AtLeastOnce,
}

/// How a lane's transactional producer is set up.
#[derive(Clone)]
pub struct TransactionSettings {
    /// What a transaction is. The operations are the same, in the same order; see [`Op`].
    pub guarantee: Guarantee,
    /// Consumer group whose offsets the transactions carry.
    pub group: Text,
    /// `<topology>.<worker>.<thread>`; stable over restarts, so that a restart ends its own hanging transaction.
    pub transactional_id: Text,
    /// `client.id`.
    pub client_id: Text,
    /// The coordinator aborts a transaction that is open for longer; without transactions a record that is not delivered after
    /// so long is given up.
    pub transaction_timeout: Duration,
    /// Largest record the producer accepts, in bytes.
    pub max_message_bytes: usize,
    /// Largest batch of small records, in bytes: a topic's `max.message.bytes` holds for batches as for records, so this is the
    /// smallest one of what is written. A client may make them smaller.
    pub max_batch_bytes: usize,
    /// See [`Wake`]; called when a reply is there.
    pub wake: Wake,
}

/// Bounds of one poll.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// At most so many records.
    pub records: usize,
    /// At most so long, counted from the call; also the longest wait for the first record (may be zero).
    pub time: Duration,
}

/// What a poll ended with. Records that came before an event were handed to the intake first.
#[derive(Debug)]
pub enum Polled {
    /// Nothing more is there right now.
    Idle,
    /// The limit was reached; there may be more.
    Full,
    /// These partitions are now this member's, and none before: answer with [`GroupConsumer::accept`].
    Assigned(Vec<TopicPartition>),
    /// All partitions are to be let go: answer with [`GroupConsumer::release`]. `lost`: the group has already given them away.
    Revoked {
        /// Nothing may be committed for them any more.
        lost: bool,
    },
    /// An input cannot be read: out of range, missing, denied.
    Trouble(Trouble),
    /// The consumer is dead: fenced by a newer process with the same id, or the client gave up.
    Fatal(Error),
}

/// An input that cannot be read.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Which one; a whole topic where the partition is unknown (`-1`).
    pub input: TopicPartition,
    /// Why.
    pub kind: TroubleKind,
}

/// Why an input cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The offset lies before the log's start or after its end.
    OffsetOutOfRange,
    /// No such topic or partition.
    Missing,
    /// Read is not allowed.
    Denied,
    /// Anything else that stops this partition.
    Other,
}

/// Ownership of the partitions of one assignment: the group's metadata, captured when the assignment arrived.
///
/// Opaque; only the broker that gave it can use it. Commits made with it succeed while the assignment holds and fail with
/// [`ErrorClass::Abortable`] after the group has moved on.
#[derive(Clone)]
pub struct Ownership(pub Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for Ownership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ownership")
    }
}

/// How a member parts from its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Leaves: others take the partitions over at once.
    Leave,
    /// Only closes: a restart within the session gets the same partitions and nobody else notices.
    Stay,
}

/// A member of a consumer group; one per worker thread. No call blocks, no call re-enters the loop.
///
/// Records of a partition come in offset order, only for accepted and resumed partitions, only committed ones.
pub trait GroupConsumer: Send {
    /// Hands records to `intake` until the limit, or up to the first event that is not a record.
    fn poll(&mut self, limit: Limit, intake: &mut dyn FnMut(RecordRef<'_>)) -> Polled;

    /// Captures the ownership of the current assignment; valid from [`Polled::Assigned`] to the release.
    fn ownership(&mut self) -> Ownership;

    /// Answers [`Polled::Assigned`]; all partitions are paused until [`GroupConsumer::resume_at`].
    fn accept(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// Answers [`Polled::Revoked`].
    fn release(&mut self) -> Result<()>;

    /// Resumes and seeks: the next record of each is exactly at this offset, or the first one after it.
    fn resume_at(&mut self, at: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Nothing of these is delivered after the return.
    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()>;

    /// The next offset that would be delivered, as far as the client has read; passes control markers and aborted records. `None`
    /// before anything was read.
    fn position(&self, partition: &TopicPartition) -> Option<Offset>;

    /// Parts from the group, in bounded time.
    fn close(self: Box<Self>, how: Parting, deadline: Duration);
}

/// An operation of the lane.
///
/// With [`Guarantee::AtLeastOnce`] the cluster knows of no transaction: `Init` and `Begin` ask it nothing, `Abort` waits until nothing
/// is in flight and takes nothing back, and `Commit` commits the offsets that were sent, as the member whose ownership was shown. It
/// may be repeated: `SendOffsets` and `Commit` once more, in the same transaction.
#[derive(Clone, Debug)]
pub enum Op {
    /// Makes the transactional producer ready (`init_transactions`): fences older producers of its id and ends their transaction.
    Init,
    /// Begins a transaction.
    Begin,
    /// Hands the records to the client, in order.
    Produce(Arc<Batch>),
    /// Waits until nothing is in flight; answered by [`Outcome::Drained`].
    Drain,
    /// Adds offsets to the transaction.
    SendOffsets {
        /// Next offset to read of each partition.
        offsets: Vec<(TopicPartition, Offset)>,
        /// Metadata of every one of them: `<transactional id>#<run>.<epoch>`.
        stamp: Text,
        /// Captured at the assignment.
        ownership: Ownership,
    },
    /// Commits.
    Commit,
    /// Aborts.
    Abort,
    /// Drops the producer, makes a new one of the same id and initialises it.
    Rebuild,
    /// Committed offsets of the group; answered by [`Outcome::Committed`].
    Committed {
        /// Of these partitions.
        partitions: Vec<TopicPartition>,
        /// Waits while a transaction holds offsets of them (`ReadCommitted`, in a bounded call that fails with
        /// [`ErrorClass::Retry`]), or gives the older ones.
        isolation: Isolation,
    },
    /// Start and end offsets; answered by [`Outcome::Ends`].
    Ends {
        /// Of these partitions.
        partitions: Vec<TopicPartition>,
        /// The last stable offset, or the high watermark.
        isolation: Isolation,
    },
    /// Offsets of the first record at or after a moment, the end where there is none; answered by [`Outcome::Offsets`].
    OffsetsAt(Vec<(TopicPartition, Millis)>),
    /// Partition counts of topics as the cluster has them now; answered by [`Outcome::Counts`].
    Counts(Vec<Text>),
    /// Ends a dead owner's open transaction by initialising a producer of its id once.
    Fence(Text),
    /// Deletes records before these offsets. The answer need not wait for it: a failure may be told by the next one of these, and
    /// one that comes while another is under way may be passed over.
    Trim(Vec<(TopicPartition, Offset)>),
}

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Committed records only, up to the last stable offset.
    ReadCommitted,
    /// All records, up to the high watermark.
    ReadUncommitted,
}

/// Answer to an [`Op`].
#[derive(Debug)]
pub struct Reply {
    /// How long the call took, for the decision whether the outcome can be trusted (`pitfalls.md` P1).
    pub took: Duration,
    /// A request was retried, timed out or met a disconnect while the call ran.
    pub transport_trouble: bool,
    /// What came of it.
    pub result: Result<Outcome>,
}

/// What a successful operation gives.
#[derive(Debug)]
pub enum Outcome {
    /// Done; nothing more to tell.
    Done,
    /// All deliveries are reported and none failed: per topic index and partition of the batch, the offset after the last record,
    /// `None` where the client does not know it.
    Drained(Vec<(u16, Partition, Option<Offset>)>),
    /// Committed offsets, `None` where there is none.
    Committed(Vec<(TopicPartition, Option<CommittedOffset>)>),
    /// Start and end of each partition.
    Ends(Vec<(TopicPartition, Span)>),
    /// Offsets by time.
    Offsets(Vec<(TopicPartition, Offset)>),
    /// Partition counts, `None` for a topic that is not there.
    Counts(Vec<(Text, Option<u32>)>),
}

/// An offset that a group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Next offset to read.
    pub offset: Offset,
    /// Metadata given with it: the stamp.
    pub metadata: Text,
}

/// First and next offset of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First offset that is still there.
    pub start: Offset,
    /// Offset after the last record visible at the isolation asked for.
    pub end: Offset,
}

/// The lane: one operation at a time, each answered once, in order.
///
/// Submitting while an operation is under way is a fault of the caller and panics.
pub trait Transactions: Send {
    /// Starts an operation; returns at once.
    fn submit(&mut self, op: Op);

    /// The answer, once it is there.
    fn reply(&mut self) -> Option<Reply>;

    /// Gives the operation under way up for good: its answer never arrives, its producer is dropped in the background. Only
    /// [`Op::Rebuild`] is accepted next.
    fn abandon(&mut self);
}

/// A reader of whole partitions, outside any group.
pub trait LogReader: Send {
    /// Reads these partitions from these offsets; replaces what was read before.
    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Hands records to `each` within the limit; `Err` names the partition that cannot be read.
    fn poll(&mut self, limit: Limit, each: &mut dyn FnMut(RecordRef<'_>)) -> std::result::Result<(), Trouble>;

    /// Next offset to be delivered; passes control markers and aborted records, so it reaches the end of any log.
    fn position(&self, partition: &TopicPartition) -> Offset;
}

/// A topic as a cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Name.
    pub name: Text,
    /// Number of partitions.
    pub partitions: u32,
    /// Settings, defaults included, where they were asked for.
    pub config: BTreeMap<String, String>,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: Text,
    /// Number of partitions; 0 takes the cluster's default.
    pub partitions: u32,
    /// Replicas of each; `None` takes the cluster's default.
    pub replication: Option<u16>,
    /// Settings that differ from the cluster's.
    pub config: BTreeMap<String, String>,
}

/// A member of a group, as the group's coordinator lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `client.id`.
    pub client_id: String,
    /// Host it connected from.
    pub host: String,
}

/// Something that a principal may be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Join this group and commit its offsets: Read on it.
    Group(Text),
    /// Begin transactions under this id: Write on it.
    TransactionalId(Text),
    /// Read a topic's records.
    Read(Text),
    /// Write records to a topic.
    Write(Text),
    /// Delete records of a topic.
    Delete(Text),
}

/// May it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// It may.
    Given,
    /// It may not.
    Denied,
    /// That could not be found out.
    Untold,
}

/// Topics and groups; blocking calls with time-outs of some seconds, made before a worker starts or by tools.
pub trait Admin: Send {
    /// All topics without their settings.
    fn topics(&self) -> Result<Vec<TopicInfo>>;

    /// These topics with their settings; those that are not there are left out.
    fn describe(&self, topics: &[Text]) -> Result<Vec<TopicInfo>>;

    /// Creates topics; one that is there already is left as it is.
    fn create(&self, wanted: &[TopicSpec]) -> Result<()>;

    /// Those of these topics that would not be created, and why. Nothing is made.
    fn refusals(&self, wanted: &[TopicSpec]) -> Result<Vec<(Text, Error)>>;

    /// What the principal of these clients may do, an answer to each in its order. No record is written for it, and no group
    /// notices anything.
    fn grants(&self, asked: &[Access]) -> Result<Vec<Grant>>;

    /// Replaces a topic's own settings.
    fn configure(&self, topic: &str, config: &BTreeMap<String, String>) -> Result<()>;

    /// Deletes records before these offsets.
    fn trim(&self, before: &[(TopicPartition, Offset)]) -> Result<()>;

    /// Members of a group; empty where nobody is.
    fn members(&self, group: &str) -> Result<Vec<Member>>;
}

/// A plain producer: idempotent, not transactional.
pub trait Producer: Send {
    /// Hands a record to the client; waits while its queue is full.
    fn send(&mut self, record: &Record) -> Result<()>;

    /// Waits until everything is acknowledged; the first failed delivery is the error.
    fn flush(&mut self, deadline: Duration) -> Result<()>;
}

//! What a node is to the runtime, and what every kind of node shares.
//!
//! A [`Node`] is a compiled aggregate, pipeline or repartitioning. It is pure: one decoded record and a view of the state in,
//! wanted effects out through [`Context`]. The runtime carries them out together with the record's offset, in one epoch, or
//! takes all of them back when the node fails.

mod book;
mod context;
mod delayed;
mod failed;
mod frame;
mod instance;
mod origin;
mod outbox;
mod policy;
mod reader;
mod reads;
mod repartition;
mod replay;
mod reply;
mod require;
mod stop;
#[doc(hidden)]
pub mod testing;
mod trail;
mod versions;
mod world;

#[cfg(test)]
mod tests;

pub use book::{Book, TopicSchema, topic_schemas};
pub use context::{Context, Outgoing, Target};
pub use delayed::{Delayed, is_delayed, send_kept, timer_name};
pub use failed::{Rejoinder, Tries, failed};
pub use frame::{Frame, Place, SagaNames, as_text};
pub use instance::{InstanceKey, instance_key};
pub use origin::{ORIGIN_HEADER, first_read, write_origin};
pub use outbox::{Drafted, Outbox, To};
pub use policy::{Failed, Parking, Policy, Road};
pub use reader::Reader;
pub use repartition::compile as repartition;
pub use replay::{REPLAY_HEADER, Replay, Wanted};
pub use reply::{Answer, asker};
pub use require::{Refusal, first_refusal};
pub use stop::Stop;
pub use trail::{Spot, Trail, Way};
pub use versions::Versions;
pub use world::World;

use crate::codec::Event;
use crate::failure::{Class, Failure, Stage};
use crate::record::{Millis, RecordRef, Text};
use crate::state::layout::Tag;
use crate::topology::model::StopAbove;

/// A record on its way through a node.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Index of its topic in `topology::Plan::topics`: where it was first read; for a repartitioned record the topic before that.
    /// `None` for a topic that only a pattern found.
    pub topic: Option<usize>,
    /// Number of partitions of that topic, by which the record's place must follow from its key; `None` for a repartitioned
    /// record, which lies where another key put it.
    pub partitions: Option<u32>,
    /// The record as it was first read (topic, partition, offset and timestamp of its origin).
    pub record: &'a RecordRef<'a>,
    /// What was decoded from it.
    pub event: &'a Event,
}

/// A timer whose moment has come. It is gone when its effects are committed, and comes again when they are not; so what is
/// written must follow from it alone, ids from owner, name and generation.
#[derive(Clone, Copy, Debug)]
pub struct Firing<'a> {
    /// Index of the store in `topology::Plan::stores`.
    pub store: usize,
    /// Whose it is.
    pub owner: &'a [u8],
    /// Its name among its owner's.
    pub name: &'a [u8],
    /// Which setting of it.
    pub generation: u64,
    /// When it was due: `ctx.time` of what follows.
    pub due: Millis,
    /// What it was set with.
    pub payload: &'a bytes::Bytes,
}

/// Something whose time has run out: a state ([`Tag::State`]) or an early event ([`Tag::Early`]), still there.
#[derive(Clone, Copy, Debug)]
pub struct Expired<'a> {
    /// Index of the store in `topology::Plan::stores`.
    pub store: usize,
    /// What it is.
    pub tag: Tag,
    /// Its key, without the tag.
    pub key: &'a [u8],
    /// When it expired: `ctx.time` of what follows.
    pub at: Millis,
}

/// What came of a record at a node that did not fail. Counted per node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Handled.
    Processed,
    /// The node has no handler for the type, or a filter, a `when` or a missing value passed it over.
    PassedOver,
    /// A `require` did not hold, in a decision; the code.
    Refused(Text),
    /// A request that was answered before; its reply was repeated.
    Repeated,
}

/// A compiled node.
pub trait Node: Send + Sync {
    /// The name that the user gave it.
    fn name(&self) -> &Text;

    /// Handles one record.
    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop>;

    /// What is sent beside the dead letter of a record that failed here: `errors.emit`, and the rejection to whoever asked. Called
    /// after the effects of the failed step were taken back; `event` is missing when the record could not be decoded.
    fn failed(
        &self,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
        context: &mut dyn Context,
    ) -> Result<(), Stop>;

    /// What its file says about failures; `None` of a node that no file has, whose failures are dead letters.
    fn policy(&self) -> Option<Policy<'_>>;

    /// Where a record that failed like this goes.
    fn road(&self, failure: &Failure) -> Road {
        self.policy().map_or(Road::DeadLetter, |policy| policy.road(failure))
    }

    /// In how many milliseconds a record that failed like this is tried again, while its key waits; `None`: it is not.
    fn again(&self, failed: &Failed<'_>) -> Option<Millis> {
        self.policy().and_then(|policy| policy.again(failed))
    }

    /// What may wait behind failed records; `None` of a node where nothing ever does.
    fn parking(&self) -> Option<Parking> {
        self.policy().and_then(|policy| policy.parking())
    }

    /// The partition halts when a larger share of its records cannot be read.
    fn stop_above(&self) -> Option<StopAbove> {
        self.policy().and_then(|policy| policy.stop_above())
    }

    /// Has it to do with messages of a type? Others do not wait behind a failed record of their key.
    fn takes(&self, kind: &str) -> bool {
        let _ = kind;
        true
    }

    /// Version of the shape in which it keeps states, of a node that migrates those of older ones; `None` of others.
    fn state_version(&self) -> Option<u32> {
        None
    }

    /// Writes the state of an instance in the present shape, if it is stored in an older one; tells whether it was. A failure takes
    /// the effects back, and leaves the state as it is.
    fn migrate(&self, key: &[u8], context: &mut dyn Context) -> Result<bool, Stop> {
        let _ = (key, context);
        Ok(false)
    }

    /// A timer of its is due; the runtime deletes it. The node may set the same one again. A failure takes the effects back and
    /// goes the road of its class: a dead letter has the payload for its original.
    fn fire(&self, firing: &Firing<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        let _ = (firing, context);
        Err(Stop::Record(Failure::new(Class::Engine, "UNKNOWN_TIMER", Stage::Step, "the node sets no timers")))
    }

    /// Something that it keeps has expired. It must delete it or give it another expiry.
    fn expired(&self, expired: &Expired<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        let _ = (expired, context);
        Err(Stop::Record(Failure::new(Class::Engine, "UNKNOWN_TIMER", Stage::Step, "the node keeps nothing that expires")))
    }
}

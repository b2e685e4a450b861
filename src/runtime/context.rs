//! What a node sees of the runtime while it handles a record.

use super::epoch::{Epoch, NotWritten};
use super::meters::Note;
use super::task::OpenStore;
use super::{Program, TaskId};
use crate::dlq::{self, Dead};
use crate::failure::{Class, Failure, Stage};
use crate::node::{Context, Outgoing, Target, Tries};
use crate::record::{Millis, RecordRef, Text, partition_of};
use crate::state::layout::Tag;
use crate::state::{self, Entity, Expiring, KeyRange, Slots, Timer};
use bytes::Bytes;
use std::time::Duration;

/// A step's view: the node's own store, the open epoch, the record in hand.
pub(super) struct StepContext<'a> {
    pub(super) program: &'a Program,
    pub(super) epoch: &'a mut Epoch,
    /// The node's store, where it has one.
    pub(super) store: Option<&'a mut OpenStore>,
    pub(super) task: TaskId,
    /// Number of tasks of the sub-topology: what a key's partition is counted by.
    pub(super) tasks: u32,
    pub(super) node: &'a Text,
    pub(super) node_index: u16,
    pub(super) record: &'a RecordRef<'a>,
    pub(super) now: Millis,
    pub(super) mono: Duration,
    /// A key was asked for that belongs to another partition.
    pub(super) misplaced: bool,
    /// Of the record in hand.
    pub(super) tries: Tries,
}

impl StepContext<'_> {
    fn own(&mut self, store: usize) -> &mut OpenStore {
        let own = self.store.as_deref_mut().expect("a node that asks for a store has one in the plan");
        assert!(own.planned == store, "a node asks for its own store only");
        own
    }

    fn slots(&mut self, store: usize) -> &mut Slots {
        &mut self.own(store).slots
    }

    fn note_place(&mut self, key: &[u8]) {
        self.misplaced |= partition_of(key, self.tasks) != self.task.partition;
    }

    /// Writes a dead letter of the record in hand.
    pub(super) fn write_letter(&mut self, failure: &Failure) -> Result<(), Failure> {
        self.write_letter_of(self.record, self.tries, failure)
    }

    fn write_letter_of(&mut self, record: &RecordRef<'_>, tries: Tries, failure: &Failure) -> Result<(), Failure> {
        let topic = self.epoch.outputs.dead_letters();
        let plan = &self.program.plan;
        let dead = Dead {
            record,
            failure,
            node: self.node,
            topology: &plan.topology,
            version: plan.version,
            task: (self.task.partition, self.tasks),
            attempts: tries.attempts,
            first_at: tries.first_at,
            last_at: self.now,
            spelling: self.program.letters,
        };
        let letter = dlq::letter(&dead, self.epoch.outputs.message_bytes_max(topic));
        // Without a key the record's place spreads the letters; the same record gives the same partition again.
        let place;
        let spread = match record.key {
            Some(key) => key,
            None => {
                place = format!("{}-{}-{}", record.topic, record.partition, record.offset);
                place.as_bytes()
            }
        };
        let written = (self.epoch.outputs).push(topic, spread, (letter.key, letter.value, &letter.headers()), letter.timestamp);
        written.map_err(|why| not_written(&why, "the topic of dead letters"))?;
        self.epoch.outputs.letters += 1;
        let note = Note::Letter(failure.class().name(), failure.code().clone());
        self.epoch.tallies.notes.push((self.node_index, note));
        Ok(())
    }
}

impl Context for StepContext<'_> {
    fn now(&self) -> Millis {
        self.now
    }

    fn tries(&self) -> Tries {
        self.tries
    }

    fn entity(&mut self, store: usize, key: &[u8]) -> Result<Option<&Entity>, state::Error> {
        self.note_place(key);
        self.slots(store).entity(key)
    }

    fn put_entity(&mut self, store: usize, key: &[u8], entity: Option<Entity>) -> Result<(), state::Error> {
        self.note_place(key);
        self.slots(store).put_entity(key, entity)
    }

    fn row(&mut self, store: usize, tag: Tag, key: &[u8]) -> Result<Option<Bytes>, state::Error> {
        self.slots(store).row(tag, key)
    }

    fn put_row(&mut self, store: usize, tag: Tag, key: &[u8], value: Option<Bytes>) -> Result<(), state::Error> {
        self.slots(store).put_row(tag, key, value)
    }

    fn rows(&mut self, store: usize, tag: Tag, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, state::Error> {
        self.slots(store).rows(tag, range, limit)
    }

    fn expiring(&mut self, store: usize, tag: Tag, key: &[u8]) -> Result<Option<Expiring>, state::Error> {
        self.slots(store).expiring(tag, key)
    }

    fn put_expiring(&mut self, store: usize, tag: Tag, key: &[u8], row: Option<Expiring>) -> Result<(), state::Error> {
        self.slots(store).put_expiring(tag, key, row.as_ref())
    }

    fn timer(&mut self, store: usize, owner: &[u8], name: &[u8]) -> Result<Option<Timer>, state::Error> {
        self.slots(store).timer(owner, name)
    }

    fn set_timer(&mut self, store: usize, owner: &[u8], name: &[u8], due: Millis, payload: Bytes) -> Result<u64, state::Error> {
        let now = self.now;
        self.slots(store).set_timer(owner, name, due, payload, now)
    }

    fn cancel_timer(&mut self, store: usize, owner: &[u8], name: &[u8]) -> Result<bool, state::Error> {
        self.slots(store).cancel_timer(owner, name)
    }

    fn claim(&mut self, key: &[u8]) {
        self.note_place(key);
    }

    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Failure> {
        let Outgoing { target, key, spread, value, headers, timestamp } = message;
        let topic = match target {
            Target::Planned(topic) => u16::try_from(topic).expect("a plan's topics are far fewer"),
            Target::Named(name) => self.epoch.outputs.named(name, self.mono).map_err(|why| not_written(&why, name))?,
        };
        let outputs = &mut self.epoch.outputs;
        outputs
            .push(topic, key.unwrap_or(spread), (key, value, headers), timestamp)
            .map_err(|why| not_written(&why, &outputs.batch.topics()[usize::from(topic)]))
    }

    fn dead_letter(&mut self, failure: Failure) -> Result<(), Failure> {
        self.write_letter(&failure)
    }

    fn dead_letter_of(&mut self, record: &RecordRef<'_>, failure: &Failure) -> Result<(), Failure> {
        self.write_letter_of(record, Tries { attempts: 1, first_at: self.now }, failure)
    }

    fn count(&mut self, what: &'static str) {
        self.epoch.tallies.notes.push((self.node_index, Note::Remark(what)));
    }
}

fn not_written(why: &NotWritten, topic: &str) -> Failure {
    match why {
        NotWritten::TooLarge { bytes, most } => Failure::new(
            Class::Permanent,
            "TOO_LARGE",
            Stage::Encode,
            format!("a record of {bytes} bytes for `{topic}`, which takes {most}"),
        ),
        NotWritten::NoTopic => {
            Failure::new(Class::Permanent, "UNKNOWN_TOPIC", Stage::Encode, format!("there is no topic `{topic}`"))
        }
    }
}

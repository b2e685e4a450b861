//! Works a topic of dead letters off: replays letters, or discards them.
//!
//! ```text
//!   open: fence whoever works on it ─▶ read what was done ─▶ letters, batch by batch ─▶ done
//!                                                                 │
//!                                              one transaction: records + acts
//! ```
//!
//! What a batch writes and what it says of it become visible together, so a letter is replayed once, though the tool crashes
//! between two batches or in one: whoever comes next finds what was done, and goes on behind it. Two operators cannot work on one
//! topic at a time: there is one transactional id for it, and the newcomer fences the one before, whose next batch fails.

use super::again::{Edit, Refusal, Targets, header_refs};
use super::audit::{About, Act, Audit, Deed, written};
use super::{Error, Filed, Filter, Found, Result, Shelf};
use crate::broker::{self, Batch, Broker, ErrorClass, NewRecord, Op};
use crate::reading::Lookup;
use crate::record::{Millis, Offset, Partition, Record, RecordRef, Text, Value, partition_of};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Letters of one transaction, at most.
pub const BATCH_LETTERS: usize = 500;
/// Bytes of one transaction, as a bound that one letter may pass.
const BATCH_BYTES: usize = 4 << 20;
/// Refusals that are told one by one.
const REFUSED_TOLD: usize = 1_000;
/// Kafka's default of `max.message.bytes`.
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;

/// Which letters are meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen<'a> {
    /// Those for which this holds.
    pub filter: Option<&'a Filter>,
    /// Those that failed at this moment or later.
    pub since: Option<Millis>,
    /// Those at these places; empty: all.
    pub places: &'a [(Partition, Offset)],
    /// At most so many.
    pub limit: Option<u64>,
    /// Those too that were replayed or discarded before.
    pub again: bool,
}

/// What is done to letters, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Why; empty: not said.
    pub reason: Text,
    /// By whom; empty: not said.
    pub by: Text,
    /// What is changed of the record.
    pub edit: Edit,
}

/// A letter that was not replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it lies.
    pub place: (Partition, Offset),
    /// Its id.
    pub id: Text,
    /// Why.
    pub why: Refusal,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Letters that were replayed or discarded.
    pub acted: u64,
    /// Letters that were not, though they were meant.
    pub refused: u64,
    /// The first of them.
    pub refusals: Vec<Refused>,
    /// Letters that were passed over, because they were replayed or discarded before.
    pub settled: u64,
    /// Records that are no dead letters.
    pub unreadable: u64,
}

/// One topic of dead letters and the right to work on it.
pub struct Redrive {
    letters: Text,
    lane: Lookup,
    shelf: Shelf,
    audit: Audit,
    audit_topic: (Text, u32),
    targets: Targets,
}

impl Redrive {
    /// Takes a topic over from whoever works on it. `replays_max`: a record that was replayed so often is not replayed again.
    pub fn open(broker: &dyn Broker, letters: &str, replays_max: u32) -> Result<Self> {
        let (targets, audit_topic) = targets(broker, letters, replays_max)?;
        let Some(partitions) = targets.topics.get(&audit_topic).map(|topic| topic.partitions.max(1)) else {
            return Err(Error::NoAudit { topic: audit_topic });
        };
        let largest = targets.bytes_max.values().copied().max().unwrap_or_default().max(MESSAGE_BYTES_DEFAULT);
        let mut lane = Lookup::sending(broker, &transactional_id(letters), largest)?;
        // Whoever worked on it cannot commit any more, so what is read next is all that was done.
        lane.ask(Op::Init)?;
        let audit = Audit::read(broker, &audit_topic, letters)?;
        let shelf = Shelf::open(broker, letters)?;
        Ok(Self { letters: letters.into(), lane, shelf, audit, audit_topic: (audit_topic, partitions), targets })
    }

    /// What [`replay`](Self::replay) would do, with nothing written and nobody fenced; `each` hears of the letters that would go, and of what
    /// would be written.
    pub fn look(
        broker: &dyn Broker,
        letters: &str,
        replays_max: u32,
        chosen: &Chosen<'_>,
        each: &mut dyn FnMut(&Filed, Record),
    ) -> Result<Done> {
        let (targets, audit_topic) = targets(broker, letters, replays_max)?;
        let audit = Audit::read(broker, &audit_topic, letters)?;
        let mut done = Done::default();
        Shelf::open(broker, letters)?.each(&mut |record, found| {
            if let Some(letter) = chosen.pick(&audit, record, found, &mut done) {
                match targets.back(&letter, &Edit::default()) {
                    Ok(back) => {
                        done.acted += 1;
                        each(&letter, back.record());
                    }
                    Err(why) => done.refuse(&letter, why),
                }
            }
            if chosen.limit.is_some_and(|limit| done.acted >= limit) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(done)
    }

    /// Letters that are there, at most.
    pub fn span(&self) -> u64 {
        self.shelf.span()
    }

    /// Replays letters, those of a partition in their order. `pace` hears after each batch what was done so far, and how many
    /// letters were looked at; it may wait, and break it off. `batch_letters` bounds a batch.
    pub fn replay(
        &mut self,
        chosen: &Chosen<'_>,
        order: &Order,
        batch_letters: usize,
        now: &mut dyn FnMut() -> Millis,
        pace: &mut dyn FnMut(&Done, u64) -> ControlFlow<()>,
    ) -> Result<Done> {
        self.work(chosen, (Deed::Replayed, order), batch_letters, now, pace)
    }

    /// Says of letters that nothing is to be done about them; otherwise as [`replay`](Self::replay).
    pub fn discard(
        &mut self,
        chosen: &Chosen<'_>,
        order: &Order,
        now: &mut dyn FnMut() -> Millis,
        pace: &mut dyn FnMut(&Done, u64) -> ControlFlow<()>,
    ) -> Result<Done> {
        self.work(chosen, (Deed::Discarded, order), BATCH_LETTERS, now, pace)
    }

    fn work(
        &mut self,
        chosen: &Chosen<'_>,
        doing: (Deed, &Order),
        batch_letters: usize,
        now: &mut dyn FnMut() -> Millis,
        pace: &mut dyn FnMut(&Done, u64) -> ControlFlow<()>,
    ) -> Result<Done> {
        let Self { letters, lane, shelf, audit, audit_topic, targets } = self;
        let mut round = Round {
            letters,
            lane,
            audit_topic,
            targets,
            doing,
            batch: Batch::default(),
            held: Vec::new(),
            held_bytes: 0,
            done: Done::default(),
        };
        let batch_letters = batch_letters.clamp(1, BATCH_LETTERS);
        let left =
            |done: &Done, held: usize| chosen.limit.map_or(u64::MAX, |limit| limit - done.acted.min(limit)) > held as u64;
        let (mut looked, mut broken) = (0_u64, None);
        let mut reading = |record: &RecordRef<'_>, found: Result<Found>| -> Result<ControlFlow<()>> {
            looked += 1;
            let Some(letter) = chosen.pick(audit, record, found, &mut round.done) else {
                return Ok(ControlFlow::Continue(()));
            };
            round.take(letter);
            let is_full = round.held.len() >= batch_letters || round.held_bytes >= BATCH_BYTES;
            if is_full || !left(&round.done, round.held.len()) {
                round.commit(now(), audit)?;
                if pace(&round.done, looked).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(if left(&round.done, round.held.len()) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        if chosen.limit != Some(0) {
            shelf.each(&mut |record, found| {
                reading(record, found).unwrap_or_else(|error| {
                    broken = Some(error);
                    ControlFlow::Break(())
                })
            })?;
        }
        if let Some(error) = broken {
            return Err(error);
        }
        if !round.held.is_empty() {
            round.commit(now(), audit)?;
            let _ = pace(&round.done, looked);
        }
        Ok(round.done)
    }
}

impl Chosen<'_> {
    /// The letter of a record, if it is meant; what is passed over is counted.
    fn pick(&self, audit: &Audit, record: &RecordRef<'_>, found: Result<Found>, done: &mut Done) -> Option<Filed> {
        let Ok(found) = found else {
            done.unreadable += 1;
            return None;
        };
        if !self.holds(record, &found) {
            return None;
        }
        if !self.again && audit.of(record.partition, record.offset, &found).is_some() {
            done.settled += 1;
            return None;
        }
        Some(Filed { record: record.to_record(), offset: record.offset, found })
    }

    fn holds(&self, record: &RecordRef<'_>, found: &Found) -> bool {
        let place = (record.partition, record.offset);
        (self.places.is_empty() || self.places.contains(&place))
            && self.since.is_none_or(|since| found.times(record.timestamp).1 >= since)
            && self.filter.is_none_or(|filter| filter.holds(record, found))
    }
}

impl Done {
    fn refuse(&mut self, letter: &Filed, why: Refusal) {
        self.refused += 1;
        if self.refusals.len() < REFUSED_TOLD {
            let place = (letter.record.partition, letter.offset);
            self.refusals.push(Refused { place, id: letter.found.id(), why });
        }
    }
}

/// Letters on their way through one reading.
struct Round<'a> {
    letters: &'a Text,
    lane: &'a mut Lookup,
    audit_topic: &'a (Text, u32),
    targets: &'a Targets,
    doing: (Deed, &'a Order),
    batch: Batch,
    held: Vec<Filed>,
    held_bytes: usize,
    done: Done,
}

impl Round<'_> {
    /// Holds a letter until its batch is committed, or notes why it is refused.
    fn take(&mut self, letter: Filed) {
        let (deed, order) = self.doing;
        if deed == Deed::Replayed
            && let Err(why) = self.targets.back(&letter, &order.edit)
        {
            self.done.refuse(&letter, why);
            return;
        }
        self.held_bytes += letter.record.value.as_ref().map_or(0, |value| value.len()) + 1_024;
        self.held.push(letter);
    }

    fn commit(&mut self, now: Millis, audit: &mut Audit) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let (deed, order) = self.doing;
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let act = Act {
            deed,
            at: now,
            reason: order.reason.clone(),
            by: order.by.clone(),
            edited: !order.edit.is_empty() && deed == Deed::Replayed,
        };
        for letter in &self.held {
            let mut more = Vec::new();
            if deed == Deed::Replayed
                && let Ok(back) = self.targets.back(letter, &order.edit)
            {
                let topic = batch.topic_index(&back.topic);
                batch.push(NewRecord {
                    topic,
                    partition: back.partition,
                    timestamp: back.timestamp,
                    key: back.key,
                    value: back.value,
                    headers: &header_refs(&back.headers),
                });
                more.push(("to", Value::from(format!("{}-{}", back.topic, back.partition))));
                more.push(("replays", Value::Int(back.replays.into())));
            }
            if deed == Deed::Discarded
                && let Some(notice) = self.targets.notice(letter, &order.edit)
            {
                let topic = batch.topic_index(&notice.topic);
                batch.push(NewRecord {
                    topic,
                    partition: notice.partition,
                    timestamp: notice.timestamp,
                    key: notice.key,
                    value: None,
                    headers: &header_refs(&notice.headers),
                });
            }
            let about = self.about(letter);
            let (id, value) = (letter.found.id(), written(&about, &act, more));
            let topic = batch.topic_index(&self.audit_topic.0);
            batch.push(NewRecord {
                topic,
                partition: partition_of(id.as_bytes(), self.audit_topic.1),
                timestamp: now,
                key: Some(id.as_bytes()),
                value: Some(&value),
                headers: &[],
            });
        }
        let batch = Arc::new(batch);
        for (step, op) in [Op::Begin, Op::Produce(batch.clone()), Op::Drain, Op::Commit].into_iter().enumerate() {
            let is_commit = step == 3;
            if let Err(error) = self.lane.ask(op) {
                return Err(stopped(self.letters, error, is_commit));
            }
        }
        for letter in &self.held {
            audit.add(&self.about(letter), act.clone());
        }
        self.done.acted += self.held.len() as u64;
        self.held.clear();
        self.held_bytes = 0;
        self.batch = Arc::try_unwrap(batch).unwrap_or_default();
        Ok(())
    }

    fn about<'l>(&'l self, letter: &'l Filed) -> About<'l> {
        About { topic: self.letters, partition: letter.record.partition, offset: letter.offset, found: &letter.found }
    }
}

/// Where letters go back to, and the topic of acts.
fn targets(broker: &dyn Broker, letters: &str, replays_max: u32) -> Result<(Targets, Text)> {
    let admin = broker.admin()?;
    let topics: BTreeMap<Text, broker::TopicInfo> =
        admin.topics()?.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
    if !topics.contains_key(letters) {
        return Err(Error::NoTopic { topic: letters.into() });
    }
    let topology = letters.strip_suffix(".dlq").map(Text::new);
    // What is asked of a topic costs a call, so only inboxes are asked; of topics of others the cluster says what is too large.
    let inboxes = topology.iter().flat_map(|topology| {
        let is_inbox = move |name: &&Text| {
            name.strip_prefix(topology.as_str()).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".inbox"))
        };
        topics.keys().filter(is_inbox)
    });
    let bytes_max = message_bytes(&*admin, &inboxes.cloned().collect::<Vec<_>>())?;
    Ok((Targets { topology, topics, bytes_max, replays_max }, audit_topic(letters)))
}

/// Where is told what was done to the letters of a topic.
pub fn audit_topic(letters: &str) -> Text {
    format!("{}.audit", letters.strip_suffix(".dlq").unwrap_or(letters)).into()
}

fn transactional_id(letters: &str) -> String {
    format!("{}.redrive", letters.strip_suffix(".dlq").unwrap_or(letters))
}

fn stopped(letters: &Text, error: broker::Error, is_commit: bool) -> Error {
    match error.class {
        ErrorClass::Fenced => Error::Fenced { topic: letters.clone() },
        // Asked to commit, it may have done so though it does not say.
        ErrorClass::Retry | ErrorClass::Fatal if is_commit => Error::Unknown { topic: letters.clone(), source: error },
        _ => Error::Broker(error),
    }
}

fn message_bytes(admin: &dyn broker::Admin, topics: &[Text]) -> Result<BTreeMap<Text, usize>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let bytes = |topic: &broker::TopicInfo| topic.config.get("max.message.bytes").and_then(|bytes| bytes.trim().parse().ok());
    let described = admin.describe(topics)?;
    Ok(described.into_iter().map(|topic| (topic.name.clone(), bytes(&topic).unwrap_or(MESSAGE_BYTES_DEFAULT))).collect())
}

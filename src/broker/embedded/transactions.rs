//! The transaction coordinator: who may write under a transactional id, what is open, and how it ends.
//!
//! Version 1 of the protocol, as librdkafka speaks it: one epoch serves many transactions, so an `EndTxn` that arrives late
//! decides whatever transaction of that epoch is open then (`pitfalls.md` P1). Only an initialisation moves the epoch.

use super::cluster::State;
use super::log::ProducerId;
use super::timers::Work;
use crate::record::{Text, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An epoch counts up to here; then the id gets a new producer id.
const EPOCH_MAX: i16 = i16::MAX - 1;

/// Where a transactional id stands.
///
/// ```text
///            first partition or offsets           EndTxn, time-out, fence         markers written
///  Empty ─────────────────────────────▶ Ongoing ─────────────────────▶ Preparing ────────────────▶ Complete
///                                          ▲                                                          │
///                                          └──────────────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Stage {
    /// Initialised, nothing written yet.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// Decided; the markers are on their way.
    Preparing {
        /// Which way.
        commit: bool,
    },
    /// The last one is over.
    Complete {
        /// Which way it went.
        commit: bool,
    },
}

/// A producer's right to write under an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) producer: ProducerId,
    pub(super) epoch: i16,
}

/// A transactional id.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Transactional {
    pub(super) producer: ProducerId,
    pub(super) epoch: i16,
    pub(super) stage: Stage,
    timeout: Duration,
    #[serde(skip)]
    started: Duration,
    /// Partitions written to, with the number of their topic.
    partitions: BTreeSet<(Text, i32, u64)>,
    groups: BTreeSet<Text>,
    #[serde(skip)]
    held: Vec<HeldEnd>,
}

/// An `EndTxn` that is held on its way.
#[derive(Clone, Copy, Debug)]
struct HeldEnd {
    by: Credentials,
    commit: bool,
    delay: Duration,
}

/// Why the coordinator refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `PRODUCER_FENCED`: a newer epoch is there.
    Fenced,
    /// `CONCURRENT_TRANSACTIONS`: the one before is not complete; the client asks again.
    Concurrent,
    /// `INVALID_TXN_STATE`: it has ended another way, or never began.
    InvalidState,
}

/// All transactional ids.
#[derive(Debug, Default)]
pub(super) struct Coordinator {
    pub(super) by_id: BTreeMap<Text, Transactional>,
    pub(super) next_producer: u64,
    /// Ids whose record on disk is old.
    pub(super) unsaved: BTreeSet<Text>,
    sweeping: bool,
}

impl Transactional {
    /// After a restart: what was open has no producer any more.
    pub(super) fn forget_open(&mut self) {
        if self.stage == Stage::Ongoing {
            self.stage = Stage::Complete { commit: false };
        }
        self.partitions.clear();
        self.groups.clear();
    }
}

impl Coordinator {
    /// Ids whose transaction is open or not complete.
    pub(super) fn open_ids(&self) -> Vec<Text> {
        let open = |known: &Transactional| matches!(known.stage, Stage::Ongoing | Stage::Preparing { .. });
        self.by_id.iter().filter(|(_, known)| open(known)).map(|(id, _)| id.clone()).collect()
    }

    fn new_producer(&mut self) -> ProducerId {
        self.next_producer += 1;
        ProducerId(self.next_producer)
    }

    /// The id, if these are its newest credentials.
    fn owned(&mut self, id: &str, by: Credentials) -> Result<&mut Transactional, Refusal> {
        match self.by_id.get_mut(id) {
            Some(known) if known.producer == by.producer && known.epoch == by.epoch => Ok(known),
            _ => Err(Refusal::Fenced),
        }
    }

    /// Is this partition part of the id's open transaction? What brokers check before they append for an old client.
    pub(super) fn verify(&mut self, id: &str, by: Credentials, partition: &TopicPartition) -> Result<(), Refusal> {
        let known = self.owned(id, by)?;
        let part = |(topic, number, _): &(Text, i32, u64)| *topic == partition.topic && *number == partition.partition;
        if known.stage == Stage::Ongoing && known.partitions.iter().any(part) { Ok(()) } else { Err(Refusal::InvalidState) }
    }
}

impl State {
    /// `InitProducerId`: fences older producers of the id, ends their transaction, and hands out a new epoch.
    pub(super) fn init_producer(&mut self, id: &Text, timeout: Duration) -> Result<Credentials, Refusal> {
        if !self.coordinator.by_id.contains_key(id) {
            let producer = self.coordinator.new_producer();
            let fresh = Transactional {
                producer,
                epoch: 0,
                stage: Stage::Empty,
                timeout,
                started: Duration::ZERO,
                partitions: BTreeSet::new(),
                groups: BTreeSet::new(),
                held: Vec::new(),
            };
            self.coordinator.by_id.insert(id.clone(), fresh);
            self.coordinator.unsaved.insert(id.clone());
            return Ok(Credentials { producer, epoch: 0 });
        }
        match self.coordinator.by_id[id].stage {
            Stage::Ongoing => {
                self.abort_by_broker(id);
                // Without a delay the markers are there already.
                if matches!(self.coordinator.by_id[id].stage, Stage::Preparing { .. }) {
                    return Err(Refusal::Concurrent);
                }
            }
            Stage::Preparing { .. } => return Err(Refusal::Concurrent),
            Stage::Empty | Stage::Complete { .. } => {}
        }
        let spent = self.coordinator.by_id[id].epoch >= EPOCH_MAX;
        let replacement = spent.then(|| self.coordinator.new_producer());
        let known = self.coordinator.by_id.get_mut(id).expect("looked up above");
        match replacement {
            Some(producer) => (known.producer, known.epoch) = (producer, 0),
            None => known.epoch += 1,
        }
        (known.stage, known.timeout) = (Stage::Empty, timeout);
        self.coordinator.unsaved.insert(id.clone());
        Ok(Credentials { producer: known.producer, epoch: known.epoch })
    }

    /// `AddPartitionsToTxn`.
    pub(super) fn add_partition(
        &mut self,
        id: &Text,
        by: Credentials,
        part: &TopicPartition,
        topic: u64,
    ) -> Result<(), Refusal> {
        self.open(id, by)?.partitions.insert((part.topic.clone(), part.partition, topic));
        Ok(())
    }

    /// `AddOffsetsToTxn`.
    pub(super) fn add_offsets(&mut self, id: &Text, by: Credentials, group: &Text) -> Result<(), Refusal> {
        self.open(id, by)?.groups.insert(group.clone());
        Ok(())
    }

    /// The id's open transaction, begun if need be.
    fn open(&mut self, id: &Text, by: Credentials) -> Result<&mut Transactional, Refusal> {
        let now = self.now;
        let known = self.coordinator.owned(id, by)?;
        match known.stage {
            Stage::Preparing { .. } => return Err(Refusal::Concurrent),
            Stage::Ongoing => {}
            Stage::Empty | Stage::Complete { .. } => {
                (known.stage, known.started) = (Stage::Ongoing, now);
                if let Some(held) = known.held.iter().map(|held| held.delay).min() {
                    self.timers.add(now + held, Work::LateEnd(id.clone()));
                }
                if !self.coordinator.sweeping {
                    self.coordinator.sweeping = true;
                    self.timers.add(next_sweep(now, self.options.sweep_interval), Work::Sweep);
                }
            }
        }
        Ok(self.coordinator.by_id.get_mut(id).expect("owned above"))
    }

    /// `EndTxn`.
    pub(super) fn end_transaction(&mut self, id: &Text, by: Credentials, commit: bool) -> Result<(), Refusal> {
        match self.coordinator.owned(id, by)?.stage {
            Stage::Ongoing => {
                self.prepare(id, commit);
                Ok(())
            }
            Stage::Preparing { commit: decided } if decided == commit => Err(Refusal::Concurrent),
            Stage::Complete { commit: decided } if decided == commit => Ok(()),
            _ => Err(Refusal::InvalidState),
        }
    }

    /// Keeps an `EndTxn` back until the id's next transaction is open for `delay`.
    pub(super) fn hold_end(&mut self, id: &Text, by: Credentials, commit: bool, delay: Duration) {
        if let Some(known) = self.coordinator.by_id.get_mut(id) {
            known.held.push(HeldEnd { by, commit, delay });
        }
    }

    /// Lets what was held arrive. Stale epochs are refused, the rest decides what is open now.
    pub(super) fn release_held(&mut self, id: &Text) {
        let Some(known) = self.coordinator.by_id.get_mut(id) else { return };
        for held in std::mem::take(&mut known.held) {
            // Nobody waits for the answer.
            let _ = self.end_transaction(id, held.by, held.commit);
        }
    }

    /// Aborts an open transaction and fences its producer, as on a time-out or an initialisation by another.
    fn abort_by_broker(&mut self, id: &Text) {
        let known = self.coordinator.by_id.get_mut(id).expect("only called for known ids");
        known.epoch = known.epoch.saturating_add(1);
        self.prepare(id, false);
    }

    fn prepare(&mut self, id: &Text, commit: bool) {
        self.coordinator.by_id.get_mut(id).expect("only called for known ids").stage = Stage::Preparing { commit };
        self.coordinator.unsaved.insert(id.clone());
        if self.options.marker_delay.is_zero() {
            self.complete(id);
        } else {
            self.timers.add(self.now + self.options.marker_delay, Work::Markers(id.clone()));
        }
    }

    /// Writes the markers and makes the offsets of a decided transaction final.
    pub(super) fn complete(&mut self, id: &Text) {
        let Some(known) = self.coordinator.by_id.get_mut(id) else { return };
        let Stage::Preparing { commit } = known.stage else { return };
        known.stage = Stage::Complete { commit };
        let producer = known.producer;
        let (partitions, groups) = (std::mem::take(&mut known.partitions), std::mem::take(&mut known.groups));
        for (topic, partition, topic_id) in partitions {
            // A topic that was deleted, or made anew, gets no marker: what was written to it is gone (P15).
            if self.topics.by_name.get(&topic).is_some_and(|topic| topic.id == topic_id)
                && let Some(log) = self.topics.log_mut(&TopicPartition::new(topic, partition))
            {
                log.mark(producer, commit, self.wall);
                self.changed.insert(log.id);
            }
        }
        for group in groups {
            self.offsets.finish(&group, producer, commit);
        }
        self.coordinator.unsaved.insert(id.clone());
        self.clients.wake_readers();
        self.lanes_may_go_on = true;
    }

    /// Aborts what is open for longer than its time-out; runs as long as anything is open.
    pub(super) fn sweep(&mut self) {
        let now = self.now;
        let open = |known: &Transactional| known.stage == Stage::Ongoing;
        let expired: Vec<Text> = self
            .coordinator
            .by_id
            .iter()
            .filter(|(_, known)| open(known) && now.saturating_sub(known.started) >= known.timeout)
            .map(|(id, _)| id.clone())
            .collect();
        for id in expired {
            self.abort_by_broker(&id);
        }
        self.coordinator.sweeping = self.coordinator.by_id.values().any(open);
        if self.coordinator.sweeping {
            self.timers.add(next_sweep(now, self.options.sweep_interval), Work::Sweep);
        }
    }

    /// After a restart every producer is gone: what was decided is carried out, what was open is aborted.
    pub(super) fn recover_transactions(&mut self) {
        let decided: Vec<Text> = self
            .coordinator
            .by_id
            .iter()
            .filter(|(_, known)| matches!(known.stage, Stage::Preparing { .. }))
            .map(|(id, _)| id.clone())
            .collect();
        for id in decided {
            self.complete(&id);
        }
        let wall = self.wall;
        for topic in self.topics.by_name.values_mut() {
            for log in &mut topic.logs {
                let open: Vec<_> = log.open.keys().copied().collect();
                for producer in open {
                    log.mark(producer, false, wall);
                    self.changed.insert(log.id);
                }
            }
        }
    }
}

/// Sweeps come at whole multiples of their interval, as the broker's do, whoever began when.
fn next_sweep(now: Duration, interval: Duration) -> Duration {
    let interval_ms = interval.as_millis().max(1);
    let passed = now.as_millis() / interval_ms;
    u64::try_from((passed + 1) * interval_ms).map_or(Duration::MAX, Duration::from_millis)
}

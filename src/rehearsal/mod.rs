//! Tries a topology on dead letters before they are replayed: the production loop on a broker in this process, with the states of
//! the cluster where these can be had.
//!
//! A [`Rehearsal`] is a worker of its own, in memory and under a clock of its own. It begins with what the cluster keeps of the nodes
//! that failed: snapshots and changelogs, copied once, up to [`STATE_RECORDS_MAX`]; of a larger state nothing is taken, and
//! [`Rehearsal::empty`] says so. Each letter is put into the inbox of its node, as a replay would, and what follows is read back. The
//! letters follow one another: one sees what those before it have done. Nothing is written to the cluster.

mod copy;
mod error;
mod offsets;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};

use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, Isolation, Limit, LogReader, Producer};
use crate::clock::{Clock, ManualClock};
use crate::dlq::{Filed, Found, recognise};
use crate::record::{Millis, Record, Text, TopicPartition};
use crate::runtime::worker::{Parts, Wait, Worker};
use crate::runtime::{Halt, Prepared, Program, Registry, Settings, TaskPhase, Totals, prepare};
use crate::state::Memory;
use crate::telemetry::Telemetry;
use crate::topology::plan::{Plan, Role};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Records of a state that are copied: more of them are no matter of a look before.
pub const STATE_RECORDS_MAX: u64 = 2_000_000;
/// Nothing comes any more when nothing has come for so long, by the rehearsal's clock.
const STILL: Duration = Duration::from_millis(400);
/// At a time, so that a step that waits is called again.
const HOP: Duration = Duration::from_millis(10);
/// A worker that does not come to rest in so many steps does not.
const STEPS_MAX: u64 = 2_000_000;

/// What came of a letter.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// Messages that were written, in the order of topics and partitions.
    pub emitted: Vec<Record>,
    /// States that changed: node, key, and the state as it is then; `None`: it is gone.
    pub states: Vec<(Text, Text, Option<Text>)>,
    /// What failed, by what its new letter tells.
    pub failures: Vec<Found>,
    /// The worker stands still at a record: it would in production too.
    pub halted: Option<Halt>,
}

/// A worker on a broker in this process.
pub struct Rehearsal {
    plan: Arc<Plan>,
    cluster: Cluster,
    clock: Arc<ManualClock>,
    worker: Worker,
    registry: Arc<Registry>,
    totals: Arc<Totals>,
    producer: Box<dyn Producer>,
    reader: Box<dyn LogReader>,
    partitions: Vec<TopicPartition>,
    empty: Vec<Text>,
    sent: u64,
}

impl Rehearsal {
    /// Makes ready to try these letters. `now` is where its wall clock stands.
    pub fn new(program: &Arc<Program>, letters: &[Filed], real: &dyn Broker, now: Millis) -> Result<Self> {
        let plan = program.plan.clone();
        let clock = Arc::new(ManualClock::new(now, 1));
        let cluster = Cluster::new(clock.clone(), Options::default());
        copy::topics(&plan, real, &cluster)?;
        let admin = cluster.admin().map_err(Error::Here)?;
        let prepared = Arc::new(prepare(&plan, &*admin, true).map_err(Error::Prepare)?);
        let empty = copy::states(&plan, letters, real, &cluster)?;
        offsets::commit(&plan, &cluster, &clock)?;
        let (registry, totals) = (Arc::new(Registry::new()), Arc::new(Totals::default()));
        let worker = Worker::new(parts(program, &prepared, &cluster, &clock, &registry, &totals), Arc::new(|| {}));
        let mut reader = cluster.log_reader(Isolation::ReadCommitted).map_err(Error::Here)?;
        let topics = admin.topics().map_err(Error::Here)?;
        let partitions = topics.iter().flat_map(|topic| {
            let all = i32::try_from(topic.partitions).unwrap_or(i32::MAX);
            (0..all).map(|partition| TopicPartition::new(topic.name.clone(), partition))
        });
        let partitions: Vec<TopicPartition> = partitions.collect();
        let from: Vec<_> = partitions.iter().map(|partition| (partition.clone(), 0)).collect();
        reader.assign(&from).map_err(Error::Here)?;
        let producer = cluster.producer().map_err(Error::Here)?;
        let worker = worker.map_err(Error::Worker)?;
        let mut rehearsal =
            Self { plan, cluster, clock, worker, registry, totals, producer, reader, partitions, empty, sent: 0 };
        rehearsal.settle(true)?;
        // What was copied is no effect of a letter.
        rehearsal.read()?;
        Ok(rehearsal)
    }

    /// Nodes whose state is not that of the cluster, because it is too large or cannot be read: they begin with none.
    pub fn empty(&self) -> &[Text] {
        &self.empty
    }

    /// Tries a letter: `record` is what a replay would write.
    pub fn play(&mut self, record: &Record) -> Result<Played> {
        let is_there = self.partitions.iter().any(|at| at.topic == record.topic && at.partition == record.partition);
        if !is_there {
            return Err(Error::NotRead { topic: record.topic.clone() });
        }
        self.producer.send(record).map_err(Error::Here)?;
        self.producer.flush(Duration::ZERO).map_err(Error::Here)?;
        self.sent += 1;
        self.settle(false)?;
        let mut played = Played { emitted: Vec::new(), states: Vec::new(), failures: Vec::new(), halted: self.halted() };
        for found in self.read()? {
            let planned = self.plan.topics.iter().position(|topic| topic.name == found.topic);
            let roles = planned.map_or(&[][..], |topic| &self.plan.topics[topic].roles);
            let is = |role| roles.contains(&role);
            let text =
                |bytes: &Option<bytes::Bytes>| bytes.as_ref().map(|bytes| Text::from(String::from_utf8_lossy(bytes).as_ref()));
            if is(Role::DeadLetters) {
                let headers: Vec<_> = found.headers.iter().map(crate::record::Header::as_ref).collect();
                played.failures.extend(recognise(&headers));
            } else if is(Role::Snapshots) {
                let store = self.plan.stores.iter().find(|store| store.snapshots == planned);
                let node = store.map(|store| store.name.clone()).unwrap_or_default();
                played.states.push((node, text(&found.key).unwrap_or_default(), text(&found.value)));
            } else if ![Role::Changelog, Role::Repartition, Role::Inbox, Role::Audit].into_iter().any(is) && found != *record {
                played.emitted.push(found);
            }
        }
        Ok(played)
    }

    fn halted(&self) -> Option<Halt> {
        self.registry.tasks().into_iter().find_map(|task| match task.phase {
            TaskPhase::Halted(halt) => Some(halt),
            _ => None,
        })
    }

    /// Lets the worker work until nothing comes any more.
    fn settle(&mut self, starting: bool) -> Result<()> {
        let mut last = self.totals.get();
        let mut still_since = self.clock.mono();
        for _ in 0..STEPS_MAX {
            match self.worker.step().map_err(Error::Worker)? {
                Wait::Now => continue,
                Wait::Stopped => return Err(Error::Stopped),
                Wait::For(_) => {}
            }
            let (figures, now) = (self.totals.get(), self.clock.mono());
            let tasks = self.registry.tasks();
            let is_ready =
                !tasks.is_empty() && tasks.iter().all(|task| matches!(task.phase, TaskPhase::Running | TaskPhase::Halted(_)));
            let is_taken = starting || figures.records_in >= self.sent || self.halted().is_some();
            if figures != last || !is_ready || !is_taken {
                (last, still_since) = (figures, now);
            } else if now - still_since >= STILL {
                return Ok(());
            }
            self.clock.advance(HOP);
            self.cluster.tick();
        }
        Err(Error::Restless)
    }

    /// Records that were added since the last time.
    fn read(&mut self) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let limit = Limit { records: usize::MAX, time: Duration::ZERO };
        loop {
            let before = self.places();
            let polled = self.reader.poll(limit, &mut |record| records.push(record.to_record()));
            polled.map_err(|trouble| Error::Unreadable { topic: trouble.input.topic })?;
            if self.places() == before {
                return Ok(records);
            }
        }
    }

    fn places(&self) -> Vec<i64> {
        self.partitions.iter().map(|partition| self.reader.position(partition)).collect()
    }
}

fn parts(
    program: &Arc<Program>,
    prepared: &Arc<Prepared>,
    cluster: &Cluster,
    clock: &Arc<ManualClock>,
    registry: &Arc<Registry>,
    totals: &Arc<Totals>,
) -> Parts {
    let settings = Settings {
        worker: Some("rehearsal".into()),
        threads: 1,
        // Positions alone are committed soon: only then is it seen that nothing came of a letter.
        idle_commit_interval: Duration::from_millis(50),
        ..Settings::default()
    };
    Parts {
        program: program.clone(),
        prepared: prepared.clone(),
        broker: Arc::new(cluster.clone()),
        stores: Arc::new(Memory::new()),
        memory: Arc::new(Memory::new()),
        clock: clock.clone(),
        settings,
        registry: registry.clone(),
        totals: totals.clone(),
        telemetry: Telemetry::new(),
        siblings: Arc::new(AtomicUsize::new(1)),
        worker_id: "rehearsal".into(),
        thread: 0,
    }
}

/// How many letters there are of each node.
pub(crate) fn by_node(letters: &[Filed]) -> BTreeMap<Text, u64> {
    let mut nodes: BTreeMap<Text, u64> = BTreeMap::new();
    for letter in letters {
        if let Found::Own(report) = &letter.found {
            *nodes.entry(report.node.clone()).or_default() += 1;
        }
    }
    nodes
}

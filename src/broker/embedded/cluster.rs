//! The broker's whole state under one lock, and the work that is due at moments.

use super::client::{ClientKey, Clients};
use super::compaction::Rules;
use super::config::Config;
use super::faults::{Call, CallKind, Faults, NoFaults};
use super::group::Groups;
use super::lane::Lane;
use super::log::LogId;
use super::offsets::Offsets;
use super::storage::{SENDS_UNSAVED_MAX, Storage};
use super::timers::{Timers, Work};
use super::topics::Topics;
use super::transactions::Coordinator;
use crate::broker::{Error, ErrorClass, Result, TopicSpec};
use crate::clock::Clock;
use crate::record::{Millis, Text, TopicPartition};
use crate::sync::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// How the embedded broker behaves where Kafka has a broker's or client's setting.
#[derive(Clone, Debug)]
pub struct Options {
    /// From the decision of a transaction to its markers. Zero writes them at once.
    pub marker_delay: Duration,
    /// Transactions that are open for too long are looked for this often.
    pub sweep_interval: Duration,
    /// Members hear of a rebalance after so long.
    pub heartbeat_interval: Duration,
    /// The first rebalance of an empty group waits so long for more members.
    pub initial_rebalance_delay: Duration,
    /// A client repeats a request that was not answered for so long.
    pub socket_timeout: Duration,
    /// A stable read of committed offsets waits so long for open transactions.
    pub stable_read_timeout: Duration,
    /// Retention and compaction run this often.
    pub clean_interval: Duration,
    /// `retention.bytes` of topics that delete old records and do not set it: what keeps a long run from growing without end.
    pub retention_bytes: Option<u64>,
    /// With a folder: so many bytes of each partition's newest records stay in memory.
    pub resident_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            marker_delay: Duration::ZERO,
            sweep_interval: Duration::from_secs(10),
            heartbeat_interval: Duration::ZERO,
            initial_rebalance_delay: Duration::ZERO,
            socket_timeout: Duration::from_secs(5),
            stable_read_timeout: Duration::from_millis(500),
            clean_interval: Duration::from_secs(15),
            retention_bytes: None,
            resident_bytes: 8 << 20,
        }
    }
}

/// A cluster in this process. Clones are handles of the same one.
///
/// It has no threads: deferred work (markers, time-outs, retention) is done at the next call of any client, or when a driver
/// calls [`Cluster::tick`].
#[derive(Clone)]
pub struct Cluster {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Everything.
pub(super) struct State {
    pub(super) options: Options,
    /// Monotonic time of this call.
    pub(super) now: Duration,
    /// Wall time of this call.
    pub(super) wall: Millis,
    pub(super) topics: Topics,
    pub(super) offsets: Offsets,
    pub(super) groups: Groups,
    pub(super) coordinator: Coordinator,
    pub(super) lanes: BTreeMap<ClientKey, Lane>,
    pub(super) clients: Clients,
    pub(super) timers: Timers,
    pub(super) storage: Option<Storage>,
    /// Logs with something that the disk does not have.
    pub(super) changed: BTreeSet<LogId>,
    /// Topics whose description changed on disk.
    pub(super) changed_topics: BTreeSet<Text>,
    /// Something that lanes wait for has happened.
    pub(super) lanes_may_go_on: bool,
    /// Topics whose records reach no member of a group.
    pub(super) held: BTreeSet<Text>,
    faults: Box<dyn Faults>,
    calls: BTreeMap<(Text, CallKind), u64>,
    cleaning: bool,
    /// Records of plain producers since the last batch.
    pub(super) sends_unsaved: usize,
}

impl Cluster {
    /// An empty cluster in memory.
    pub fn new(clock: Arc<dyn Clock>, options: Options) -> Self {
        Self::with_storage(clock, options, None)
    }

    /// The cluster in a folder, as it was left. Whatever stopped it, what was acknowledged to a transaction is there in whole.
    /// Transactions that were open are aborted: their producers went with the process.
    pub fn open(clock: Arc<dyn Clock>, options: Options, folder: &Path) -> Result<Self> {
        let storage = Storage::open(folder).map_err(|message| storage_error(&message))?;
        let cluster = Self::with_storage(clock, options, Some(storage));
        cluster.shared.with(State::load).map_err(|message| storage_error(&message))?;
        cluster.shared.with(State::check_storage)?;
        Ok(cluster)
    }

    fn with_storage(clock: Arc<dyn Clock>, options: Options, storage: Option<Storage>) -> Self {
        let state = State {
            options,
            now: clock.mono(),
            wall: clock.wall(),
            topics: Topics { stored: storage.is_some(), ..Topics::default() },
            offsets: Offsets::default(),
            groups: Groups::default(),
            coordinator: Coordinator::default(),
            lanes: BTreeMap::new(),
            clients: Clients::default(),
            timers: Timers::default(),
            storage,
            changed: BTreeSet::new(),
            changed_topics: BTreeSet::new(),
            lanes_may_go_on: false,
            held: BTreeSet::new(),
            faults: Box::new(NoFaults),
            calls: BTreeMap::new(),
            cleaning: false,
            sends_unsaved: 0,
        };
        Self { shared: Arc::new(Shared { clock, state: Mutex::new(state) }) }
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: impl Faults + 'static) {
        self.shared.with(|state| state.faults = Box::new(faults));
    }

    /// From now on the records of a topic reach no member of a group, as if whoever reads it stood still. Readers outside groups
    /// see them.
    pub fn hold(&self, topic: &str) {
        self.shared.with(|state| state.held.insert(topic.into()));
    }

    /// Undoes [`Cluster::hold`].
    pub fn release(&self, topic: &str) {
        self.shared.with(|state| {
            state.held.remove(topic);
            state.clients.wake_readers();
        });
    }

    /// Does what is due and tells when the next work will be (monotonic time of the clock), if any is known.
    pub fn tick(&self) -> Option<Duration> {
        self.shared.with(|state| state.timers.next())
    }

    /// When the next work is due; does nothing.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.shared.lock().timers.next()
    }

    /// Creates a topic.
    pub fn create_topic(&self, spec: &TopicSpec) -> Result<()> {
        self.shared.with(|state| state.create_topic(spec))
    }

    /// Deletes a topic with its records and committed offsets.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        self.shared.with(|state| state.delete_topic(name))
    }

    /// Adds partitions to a topic.
    pub fn grow_topic(&self, name: &str, partitions: u32) -> Result<()> {
        self.shared.with(|state| {
            state.topics.grow(name, partitions)?;
            state.changed_topics.insert(name.into());
            state.topic_changed(name);
            Ok(())
        })
    }

    /// Compacts a topic now, whatever its dirty ratio; retention by time and size is applied as well.
    pub fn clean_topic(&self, name: &str) -> Result<()> {
        self.shared.with(|state| state.clean_topic(name, true))
    }

    /// The heartbeats of all members with this `client.id` stop, as when their process is stopped. Who is thawed within its
    /// session goes on; who is not finds its partitions lost.
    pub fn freeze(&self, client_id: &str) {
        self.shared.with(|state| {
            for (group, id) in state.members_of(client_id) {
                state.silence(&group, id);
            }
        });
    }

    /// Undoes [`Cluster::freeze`].
    pub fn thaw(&self, client_id: &str) {
        self.shared.with(|state| {
            for (group, id) in state.members_of(client_id) {
                if let Some(member) = state.member_mut(&group, id) {
                    member.expires = None;
                }
            }
        });
    }

    /// Transactional ids with a transaction that is open or not complete.
    pub fn open_transactions(&self) -> Vec<Text> {
        self.shared.with(|state| state.coordinator.open_ids())
    }
}

impl Shared {
    /// Does `act` on the state, with what is due before and what became due by it after. Wakes clients when the lock is free.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        self.call(act, 0)
    }

    /// The same for one record of a plain producer, which need not be on disk at once.
    pub(super) fn with_unsaved<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        self.call(act, SENDS_UNSAVED_MAX)
    }

    fn call<R>(&self, act: impl FnOnce(&mut State) -> R, unsaved_max: usize) -> R {
        let mut state = self.lock();
        (state.now, state.wall) = (self.clock.mono(), self.clock.wall());
        state.run_due();
        let result = act(&mut state);
        state.run_due();
        state.sends_unsaved += 1;
        if state.sends_unsaved > unsaved_max {
            state.save();
        }
        let calls = std::mem::take(&mut state.clients.calls);
        drop(state);
        calls.iter().for_each(|wake| wake());
        result
    }

    /// Monotonic time.
    pub(super) fn mono(&self) -> Duration {
        self.clock.mono()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn run_due(&mut self) {
        loop {
            while let Some(work) = self.timers.due(self.now) {
                self.run(work);
            }
            if !std::mem::take(&mut self.lanes_may_go_on) {
                return;
            }
            self.drive_waiting_lanes();
        }
    }

    fn run(&mut self, work: Work) {
        match work {
            Work::Markers(id) => self.complete(&id),
            Work::Sweep => self.sweep(),
            Work::LateEnd(id) => self.release_held(&id),
            Work::Session(group, member) => self.check_session(&group, member),
            Work::Poll(group, member) => self.check_poll(&group, member),
            Work::Notice(group) => self.notice(&group),
            Work::Rebalance(group) => self.complete_generation(&group),
            Work::Lane(lane) => self.drive_lane(lane),
            Work::Clean => self.clean(),
        }
    }

    /// What goes wrong with an operation of a lane.
    pub(super) fn lane_fault(&mut self, client_id: &Text, kind: CallKind) -> super::faults::LaneFault {
        let nth = self.count(client_id, kind);
        self.faults.lane(Call { client_id, kind, nth }).unwrap_or_default()
    }

    /// What goes wrong with a poll.
    pub(super) fn poll_fault(&mut self, client_id: &Text, kind: CallKind) -> Option<super::faults::PollFault> {
        let nth = self.count(client_id, kind);
        self.faults.poll(Call { client_id, kind, nth })
    }

    fn count(&mut self, client_id: &Text, kind: CallKind) -> u64 {
        let count = self.calls.entry((client_id.clone(), kind)).or_default();
        *count += 1;
        *count - 1
    }

    pub(super) fn create_topic(&mut self, spec: &TopicSpec) -> Result<()> {
        let config = Config::read(&spec.config)
            .map_err(|message| Error::new(ErrorClass::Fatal, format!("creating topic `{}`", spec.name), message))?;
        // Kafka's own default of `num.partitions`.
        self.topics.create(&spec.name, spec.partitions.max(1), config)?;
        self.changed_topics.insert(spec.name.clone());
        self.topic_changed(&spec.name);
        Ok(())
    }

    fn delete_topic(&mut self, name: &str) -> Result<()> {
        let Some(topic) = self.topics.by_name.remove(name) else {
            let context = format!("deleting topic `{name}`");
            return Err(Error::new(ErrorClass::Missing(name.into()), context, "no such topic"));
        };
        self.changed.retain(|log| log.topic != topic.id);
        self.changed_topics.insert(name.into());
        if let Some(storage) = &mut self.storage {
            storage.forget_topic(topic.id);
        }
        self.offsets.forget_topic(name);
        self.topic_changed(name);
        self.clients.wake_readers();
        Ok(())
    }

    /// Book-keeping after records were appended.
    pub(super) fn appended(&mut self, partition: &TopicPartition) {
        let bound = self.options.retention_bytes;
        if let Some(topic) = self.topics.by_name.get_mut(&partition.topic)
            && let Some(log) = topic.logs.get_mut(partition.partition as usize)
        {
            if topic.config.delete {
                log.retain(None, topic.config.retention_bytes.or(bound));
            }
            self.changed.insert(log.id);
        }
        if !self.cleaning {
            self.cleaning = true;
            self.timers.add(self.now + self.options.clean_interval, Work::Clean);
        }
        self.clients.wake_readers();
    }

    fn clean(&mut self) {
        let names: Vec<Text> = self.topics.by_name.keys().cloned().collect();
        for name in names {
            // A disk that fails is remembered and told to the next caller.
            let _ = self.clean_topic(&name, false);
        }
        self.cleaning = self.topics.by_name.values().any(|topic| topic.logs.iter().any(|log| !log.slots.is_empty()));
        if self.cleaning {
            self.timers.add(self.now + self.options.clean_interval, Work::Clean);
        }
    }

    fn clean_topic(&mut self, name: &str, at_once: bool) -> Result<()> {
        let context = || format!("cleaning topic `{name}`");
        let Some(topic) = self.topics.by_name.get_mut(name) else {
            return Err(Error::new(ErrorClass::Missing(name.into()), context(), "no such topic"));
        };
        let config = &topic.config;
        for log in &mut topic.logs {
            if config.delete {
                log.retain(config.oldest(self.wall), config.retention_bytes.or(self.options.retention_bytes));
            }
            let dirty = log.dirty_bytes > 0 && log.dirty_bytes as f64 >= config.dirty_ratio_min * log.bytes as f64;
            if config.compact && (dirty || at_once) {
                let rules = Rules { now: self.wall, lag_min: config.lag_min, delete_retention: config.delete_retention };
                let storage = &mut self.storage;
                log.compact(rules, &mut |id, base| Storage::load(storage, id, base))
                    .map_err(|error| Error::new(ErrorClass::Fatal, context(), format!("{error:?}")))?;
            }
            self.changed.insert(log.id);
        }
        Ok(())
    }

    fn members_of(&self, client_id: &str) -> Vec<(Text, super::group::MemberId)> {
        let of_group = |(name, group): (&Text, &super::group::Group)| {
            let mine = group.members.iter().filter(|(_, member)| member.client_id == client_id);
            mine.map(|(id, _)| (name.clone(), *id)).collect::<Vec<_>>()
        };
        self.groups.by_name.iter().flat_map(of_group).collect()
    }

    /// The error of a disk that failed: nothing is acknowledged any more.
    pub(super) fn check_storage(&mut self) -> Result<()> {
        match self.storage.as_ref().and_then(Storage::failure) {
            Some(message) => Err(storage_error(message)),
            None => Ok(()),
        }
    }
}

/// What plain producers sent last is written before the database closes.
impl Drop for State {
    fn drop(&mut self) {
        self.save();
    }
}

fn storage_error(message: &str) -> Error {
    Error::new(ErrorClass::Fatal, "data folder of the embedded broker", message)
}

//! Workers in this process under virtual time: the production loop, on the broker in memory, on one thread.
//!
//! Two clocks: the monotonic one goes on while the workers work (polls, commits, sessions), the wall clock stands still until a
//! scenario lets time pass. So what a message or a timer is dated by is exact, however many epochs it took to get there.
//! Nothing here draws from chance: the same file gives the same run.

mod log;
mod past;
mod positions;
mod process;
mod requests;

pub(super) use log::{Letter, Message, Observed};
pub(super) use requests::Requests;

use super::model::{Answer, Case, Crash, Made};
use super::names::Known;
use super::record::{Sendable, Unsendable, answer_of};
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, Producer, TopicSpec};
use crate::clock::{Clock, ManualClock};
use crate::desk::View;
use crate::record::{Millis, Text, TopicPartition, Value};
use crate::runtime::crash::{self, Armed};
use crate::runtime::worker::Wait;
use crate::runtime::{Error, Halt, Lookup, Prepared, Settings, TaskPhase, prepare};
use crate::state::Entity;
use crate::state::layout::{Index, Tag, entity};
use log::Log;
use positions::Positions;
use process::Process;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Monotonic time in which everything must have come to rest.
const PATIENCE: Duration = Duration::from_secs(600);
/// With a worker down for a while, others may not be able to take over: nothing moves for so long is rest enough then.
const STILL: Duration = Duration::from_secs(30);
/// Steps of the loop without rest: a loop that spins.
const STEPS_MAX: u64 = 2_000_000;
/// Time passes in at most so many hops: a week of a scenario must not take minutes.
const HOPS_MAX: u32 = 250;
const HOP_MIN: Duration = Duration::from_millis(1);

/// Why a case cannot go on. For people.
pub(super) type Trouble = String;

/// What runs a case.
pub(super) struct Driver<'a> {
    made: &'a Made,
    cluster: Cluster,
    clock: Arc<ManualClock>,
    prepared: Arc<Prepared>,
    settings: Settings,
    processes: Vec<Process>,
    started: usize,
    producer: Box<dyn Producer>,
    positions: Positions,
    log: Log,
    armed: Option<Arming>,
    /// Messages that are still on their way, the next one last.
    later: Vec<(Millis, Sendable)>,
    /// Topics whose records stay unread.
    held: BTreeSet<Text>,
    steps: u64,
}

/// A crash that is to happen.
struct Arming {
    crash: Crash,
    left: Armed,
}

impl<'a> Driver<'a> {
    /// Topics, what is given, and the workers, all of it at rest.
    pub(super) fn start(made: &'a Made, case: &Case) -> Result<Self, Trouble> {
        crash::disarm();
        let clock = Arc::new(ManualClock::new(case.start, 1));
        let cluster = Cluster::new(clock.clone(), Options::default());
        for topic in &case.others {
            let spec =
                TopicSpec { name: topic.clone(), partitions: made.partitions, replication: None, config: BTreeMap::new() };
            cluster.create_topic(&spec).map_err(|error| error.to_string())?;
        }
        let plan = &made.world.plan;
        let admin = cluster.admin().map_err(|error| error.to_string())?;
        let prepared = prepare(plan, &*admin, true).map_err(|error| error.to_string())?;
        let topics: BTreeMap<Text, u32> = prepared.others.clone();
        let settings = Settings {
            threads: 1,
            // Positions alone are committed soon: only then is everything seen to be at rest.
            idle_commit_interval: Duration::from_millis(50),
            // Long stretches of time pass in long hops.
            max_poll_interval: Duration::from_hours(24 * 365),
            ..Settings::default()
        };
        let mut driver = Self {
            producer: cluster.producer().map_err(|error| error.to_string())?,
            positions: Positions::new(&cluster, plan, &topics)?,
            log: Log::new(&cluster, &made.world, &topics)?,
            made,
            cluster,
            clock,
            prepared: Arc::new(prepared),
            settings,
            processes: Vec::new(),
            started: 0,
            armed: None,
            later: Vec::new(),
            held: BTreeSet::new(),
            steps: 0,
        };
        past::write(&mut driver, case)?;
        driver.log.skip_to_end()?;
        for _ in 0..case.workers {
            driver.join();
        }
        driver.settle()?;
        driver.log.take();
        Ok(driver)
    }

    /// Name of a node, by its number in the plan.
    pub(super) fn node(&self, index: usize) -> &Text {
        &self.made.world.plan.nodes[index].name
    }

    /// Where the wall clock stands.
    pub(super) fn now(&self) -> Millis {
        self.clock.wall()
    }

    /// Number of partitions of a topic.
    pub(super) fn partitions(&self, topic: &str) -> u32 {
        self.prepared.others.get(topic).copied().unwrap_or(1)
    }

    /// Puts a record into its log, now or later.
    pub(super) fn send(&mut self, record: &Sendable, delay: Duration) -> Result<(), Trouble> {
        if !delay.is_zero() {
            let due = self.now().saturating_add(millis(delay));
            let at = self.later.partition_point(|(known, _)| *known > due);
            self.later.insert(at, (due, record.clone()));
            return Ok(());
        }
        self.log.expect_own(record);
        self.producer.send(record).and_then(|()| self.producer.flush(Duration::ZERO)).map_err(|error| error.to_string())
    }

    /// The record of an answer to a request that was seen, and what `sent` shows of it.
    pub(super) fn answer(&mut self, answer: &Answer, known: &mut Known) -> Result<(Sendable, Value), Unsendable> {
        let (now, topics) = (self.now(), &self.prepared.others);
        let partitions = |topic: &str| topics.get(topic).copied().unwrap_or(1);
        answer_of(answer, &mut self.log.requests, &self.made.world, known, now, partitions)
    }

    /// A topic is not read any more.
    pub(super) fn hold(&mut self, topic: &Text) {
        self.cluster.hold(topic);
        self.held.insert(topic.clone());
    }

    /// It is read again.
    pub(super) fn release(&mut self, topic: &Text) {
        self.cluster.release(topic);
        self.held.remove(topic);
    }

    /// A further worker comes.
    pub(super) fn join(&mut self) {
        self.started += 1;
        self.processes.push(Process::new(self.started));
    }

    /// The last worker leaves in order.
    pub(super) fn leave(&mut self) {
        if let Some(process) = self.processes.iter_mut().rev().find(|process| !process.is_leaving()) {
            process.leave();
        }
    }

    /// A worker dies: at once, or where it is told to.
    pub(super) fn crash(&mut self, crash: &Crash) -> Result<(), Trouble> {
        match crash.point {
            Some((name, _)) if let Some(armed) = &self.armed => {
                let before = armed.crash.point.map_or("now", |(name, _)| name);
                Err(format!("`{name}` was asked for before `{before}` had happened"))
            }
            Some((_, label)) => {
                let left = Armed { label, passing: crash.passing };
                self.armed = Some(Arming { crash: crash.clone(), left });
                Ok(())
            }
            None => {
                self.kill(crash.worker.unwrap_or(0), crash);
                Ok(())
            }
        }
    }

    /// The crash that was asked for and has not happened; it will not happen any more.
    pub(super) fn disarm(&mut self) -> Option<&'static str> {
        self.armed.take().and_then(|armed| armed.crash.point).map(|(name, _)| name)
    }

    /// Lets the workers work until nothing is left to do.
    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        let begun = self.clock.mono();
        let (mut moved_at, mut last) = (begun, Vec::new());
        let limit = self.steps + STEPS_MAX;
        loop {
            self.start_those_due();
            if self.step_all()? {
                if self.steps > limit {
                    return Err(format!("the workers do not come to rest\n{}", self.outlook()));
                }
                continue;
            }
            self.log.read()?;
            let standing = self.positions.ask(&self.cluster)?;
            let tasks = self.tasks();
            if self.is_at_rest(&standing, &tasks) && self.next_due()?.is_none_or(|due| due > self.now()) {
                return Ok(());
            }
            let now = self.clock.mono();
            if standing != last {
                (moved_at, last) = (now, standing);
            }
            let waits = self.processes.iter().any(|process| process.down_until().is_some());
            if waits && now.saturating_sub(moved_at) >= STILL {
                return Ok(());
            }
            if now.saturating_sub(begun) >= PATIENCE {
                return Err(format!("the workers do not come to rest\n{}", self.outlook()));
            }
            let hop = self.next_deadline().map_or(HOP_MIN, |next| next.saturating_sub(now));
            self.pass(hop, false);
        }
    }

    /// Lets time pass; what falls due happens when it does.
    pub(super) fn advance(&mut self, by: Duration) -> Result<(), Trouble> {
        self.settle()?;
        let target = self.now().saturating_add(millis(by));
        let least = (by / HOPS_MAX).max(HOP_MIN);
        let limit = self.steps + STEPS_MAX;
        // What is due at a moment happens at that moment: it is waited for once.
        let mut waited = self.now();
        loop {
            self.start_those_due();
            self.send_those_due()?;
            if self.step_all()? {
                if self.steps > limit {
                    return Err(format!("the workers do not come to rest\n{}", self.outlook()));
                }
                continue;
            }
            self.log.read()?;
            let left = Duration::from_millis(u64::try_from(target - self.now()).unwrap_or(0));
            if left.is_zero() {
                break;
            }
            let (mono, now) = (self.clock.mono(), self.now());
            let sends = self.later.last().map(|(due, _)| *due);
            let starts = self.processes.iter().filter_map(Process::down_until);
            let acts = self.next_due()?;
            let all_up = self.processes.iter().all(|process| process.registry().is_some());
            if all_up && waited < now && acts.is_some_and(|due| due <= now) {
                waited = now;
                self.settle()?;
                continue;
            }
            let due = sends.into_iter().chain(starts).chain(acts.filter(|due| *due > now)).min();
            let due = due.map(|due| Duration::from_millis(u64::try_from(due - now).unwrap_or(0)));
            let next = self.next_deadline().map(|next| next.saturating_sub(mono)).unwrap_or(left);
            let hop = next.max(least).min(due.unwrap_or(left)).max(HOP_MIN).min(left);
            self.pass(hop, true);
        }
        self.settle()
    }

    /// What was emitted and set aside since the last time.
    pub(super) fn take_observed(&mut self) -> Observed {
        self.log.take()
    }

    /// A state as it is committed; the error is why it cannot be told.
    pub(super) fn state(&self, node: usize, key: &[u8]) -> Result<Option<Entity>, Trouble> {
        let plan = &self.made.world.plan;
        let node = &plan.nodes[node];
        let tasks = self.prepared.tasks[node.subtopology];
        let partition = crate::record::partition_of(key, tasks);
        for process in &self.processes {
            let Some(registry) = process.registry() else { continue };
            let (Lookup::Running(reader) | Lookup::Halted(reader, _)) = registry.find(&node.name, partition) else { continue };
            let stored = reader.store.get(&Tag::State.key(key)).map_err(|error| error.to_string())?;
            return stored.map(|bytes| entity::read(&bytes)).transpose().map_err(|error| error.to_string());
        }
        Err(format!("no worker runs partition {partition} of `{}`", node.name))
    }

    /// An instance of a saga as it is committed; messages that wait for one are none.
    pub(super) fn saga(&self, node: usize, key: &str) -> Result<Option<View>, Trouble> {
        let Some(entity) = self.state(node, key.as_bytes())? else { return Ok(None) };
        View::read(key, entity.value).map_err(|error| error.to_string())
    }

    /// Tasks that stand still: their sub-topology, and why.
    pub(super) fn halted(&self) -> Vec<(usize, Halt)> {
        let tasks = self.tasks().into_iter();
        tasks
            .filter_map(|(id, phase)| if let TaskPhase::Halted(halt) = phase { Some((id.subtopology, halt)) } else { None })
            .collect()
    }

    fn tasks(&self) -> Vec<(crate::runtime::TaskId, TaskPhase)> {
        let registries = self.processes.iter().filter_map(Process::registry);
        registries.flat_map(|registry| registry.tasks()).map(|task| (task.id, task.phase)).collect()
    }

    /// Everything was read and committed, every task runs or stands still, and nobody is on the way in or out.
    fn is_at_rest(&self, standing: &[(TopicPartition, i64, i64)], tasks: &[(crate::runtime::TaskId, TaskPhase)]) -> bool {
        if self.processes.iter().any(|process| process.is_leaving() || process.registry().is_none()) {
            return false;
        }
        let settled = |phase: &TaskPhase| matches!(phase, TaskPhase::Running | TaskPhase::Halted(_));
        if !tasks.iter().all(|(_, phase)| settled(phase)) {
            return false;
        }
        let plan = &self.made.world.plan;
        let counted = plan.subtopologies.iter().filter(|part| part.patterns.is_empty());
        let wanted: u32 = counted.clone().map(|part| self.prepared.tasks[part.index]).sum();
        let there = tasks.iter().filter(|(id, _)| plan.subtopologies[id.subtopology].patterns.is_empty()).count();
        let halted: Vec<&crate::runtime::TaskId> =
            tasks.iter().filter(|(_, phase)| matches!(phase, TaskPhase::Halted(_))).map(|(id, _)| id).collect();
        let stands = |partition: &TopicPartition| {
            halted
                .iter()
                .any(|id| id.partition == partition.partition && self.positions.reads(id.subtopology, &partition.topic))
        };
        let is_read = |partition: &TopicPartition| !self.held.contains(&partition.topic) && !stands(partition);
        there == wanted as usize && standing.iter().all(|(partition, committed, end)| committed == end || !is_read(partition))
    }

    /// When the first timer or expiry is due that has not happened yet.
    fn next_due(&self) -> Result<Option<Millis>, Trouble> {
        let plan = &self.made.world.plan;
        let mut first: Option<Millis> = None;
        for store in &plan.stores {
            // What lies before it is not read: nothing is due yet.
            if self.held.iter().any(|topic| self.positions.reads(plan.nodes[store.node].subtopology, topic)) {
                continue;
            }
            for partition in 0..self.prepared.tasks[plan.nodes[store.node].subtopology] as i32 {
                let found = self.processes.iter().filter_map(Process::registry).find_map(|registry| {
                    match registry.find(&store.name, partition) {
                        Lookup::Running(reader) => Some(reader),
                        _ => None,
                    }
                });
                let Some(reader) = found else { continue };
                for index in Index::ALL {
                    let mut read = Ok(None);
                    let found = &mut |key: &[u8], _: &[u8]| {
                        read = index.read_key(key).map(|(at, _)| Some(at));
                        false
                    };
                    reader.store.scan(&index.range(0, Millis::MAX - 1), found).map_err(|error| error.to_string())?;
                    let at = read.map_err(|error| error.to_string())?;
                    first = first.into_iter().chain(at).min();
                }
            }
        }
        Ok(first)
    }

    fn start_those_due(&mut self) {
        let now = self.clock.wall();
        for process in &mut self.processes {
            process.start_if_due(now, self.made, &self.cluster, &self.clock, &self.prepared, &self.settings);
        }
    }

    fn send_those_due(&mut self) -> Result<(), Trouble> {
        while self.later.last().is_some_and(|(due, _)| *due <= self.clock.wall()) {
            // It was sent when it says; what is late is that it comes.
            if let Some((_, record)) = self.later.pop() {
                self.send(&record, Duration::ZERO)?;
            }
        }
        Ok(())
    }

    /// Lets every worker that has something to do take a step; false when none has.
    fn step_all(&mut self) -> Result<bool, Trouble> {
        let mut any = false;
        let mut at = 0;
        while at < self.processes.len() {
            let now = self.clock.mono();
            let armed = self.armed.as_ref().filter(|armed| armed.crash.worker.is_none_or(|worker| worker == at));
            let armed = armed.map(|armed| armed.left);
            let Some(stepped) = self.processes[at].step(now, armed) else {
                at += 1;
                continue;
            };
            any = true;
            self.steps += 1;
            let (wait, left) = stepped;
            if let (Some(arming), Some(left)) = (&mut self.armed, left) {
                arming.left = left;
            }
            match wait {
                Ok(Wait::Stopped) => {
                    self.processes.remove(at);
                    continue;
                }
                Ok(_) => {}
                Err(Error::CrashPoint(_)) => {
                    if let Some(arming) = self.armed.take() {
                        self.kill(at, &arming.crash);
                    }
                }
                Err(error) => return Err(format!("worker {} ended: {error}", at + 1)),
            }
            if self.steps.is_multiple_of(4) {
                // Work takes time, and a loop that spins must not stop it.
                self.pass(HOP_MIN, false);
            }
            at += 1;
        }
        Ok(any)
    }

    fn kill(&mut self, worker: usize, crash: &Crash) {
        let until = self.now().saturating_add(millis(crash.down));
        if let Some(process) = self.processes.get_mut(worker) {
            process.kill(until, !crash.down.is_zero(), crash.disk_lost);
        }
    }

    /// When something is to be done next, by the monotonic clock.
    fn next_deadline(&self) -> Option<Duration> {
        let steps = self.processes.iter().filter_map(Process::next_step);
        steps.chain(self.cluster.next_deadline()).min()
    }

    fn pass(&self, by: Duration, wall: bool) {
        // Whole milliseconds: the wall clock knows no others.
        let by = Duration::from_millis(u64::try_from(by.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX).max(1));
        let before = self.clock.wall();
        self.clock.advance(by);
        if !wall {
            self.clock.set_wall(before);
        }
        self.cluster.tick();
    }

    fn outlook(&mut self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for (id, phase) in self.tasks().iter().filter(|(_, phase)| *phase != TaskPhase::Running) {
            lines.push(format!("task {id}: {phase:?}"));
        }
        if let Ok(standing) = self.positions.ask(&self.cluster) {
            for (partition, committed, end) in standing.iter().filter(|(_, committed, end)| committed != end) {
                lines.push(format!("{partition}: read up to {committed} of {end}"));
            }
        }
        lines.join("\n")
    }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

//! A world of processes around one broker, all of it on one thread under virtual time, every choice drawn from the seed.

use crate::faults::{BURSTS_EVERY_MS, Fired, Rates, SeededFaults};
use crate::workload::{self, IN_PARTITIONS, Kind, TOPOLOGY};
use skald::broker::embedded::{Cluster, Options};
use skald::broker::{
    Broker, CommittedOffset, ErrorClass, Isolation, Op, Outcome, Parting, TransactionSettings, Transactions, Wake,
};
use skald::clock::{Clock, ManualClock};
use skald::record::{Record, Text, TopicPartition, partition_of};
use skald::runtime::crash::{self, Armed};
use skald::runtime::worker::{Parts, Wait, Worker};
use skald::runtime::{
    Error, Figures, Prepared, Program, Registry, Settings, TaskPhase, Totals, Weakened, client_suffix, prepare,
};
use skald::state::{Memory, SimulatedDisk};
use skald::telemetry::Telemetry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Virtual time for everything to be in order once nothing goes wrong any more.
const LIVENESS: Duration = Duration::from_secs(300);
/// What is committed at the broker is applied by then.
const SETTLING: Duration = Duration::from_secs(2);
/// Crash points that are passed seldom.
const RARE: [&str; 7] = ["c10", "c12", "c13", "c14", "c16", "c17", "c18"];
const SESSION: Duration = Duration::from_secs(6);

/// What a run did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) fired: BTreeMap<&'static str, u64>,
    pub(crate) crashes: BTreeMap<&'static str, u64>,
    pub(crate) figures: Figures,
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
}

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) program: Arc<Program>,
    pub(crate) processes: Vec<Process>,
    pub(crate) fired: Fired,
    pub(crate) crashes: BTreeMap<&'static str, u64>,
    /// Of processes that are no more.
    sum: Figures,
    random: fastrand::Rng,
    prepared: Arc<Prepared>,
    settings: Settings,
    trouble: Arc<AtomicBool>,
    disturbing: Disturbing,
    /// The crash point that this seed is after.
    favourite: &'static str,
    /// The next process with an open transaction is paused.
    pause_in_transaction: bool,
    monitor: Monitor,
    steps: u64,
    trace: bool,
}

/// Which disturbances of processes a run has, by their share of the chances; 0 turns one off.
#[derive(Clone, Copy, Debug)]
struct Disturbing {
    /// Milliseconds between two of them, on average.
    every: u64,
    kill: u32,
    crash_point: u32,
    pause: u32,
    stop: u32,
    compact: u32,
    fill_disk: u32,
    lose_disk: bool,
}

pub(crate) struct Process {
    id: Text,
    threads: usize,
    pub(crate) disk: SimulatedDisk,
    pub(crate) alive: Option<Alive>,
    /// Starts again then.
    down_until: Duration,
    /// Its disk is full until then.
    full_until: Option<Duration>,
}

pub(crate) struct Alive {
    pub(crate) registry: Arc<Registry>,
    pub(crate) totals: Arc<Totals>,
    workers: Vec<Slot>,
    /// Not stepped until then: SIGSTOP.
    paused_until: Option<Duration>,
}

struct Slot {
    worker: Worker,
    client_id: Text,
    woken: Arc<AtomicBool>,
    next_step: Duration,
    stopped: bool,
}

impl World {
    pub(crate) fn new(seed: u64, weakened: Weakened) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = Arc::new(ManualClock::new(1_700_000_000_000, random.u64(..)));
        let options = Options {
            marker_delay: Duration::from_millis(*pick(&mut random, &[0, 2, 30, 200])),
            sweep_interval: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(*pick(&mut random, &[0, 50, 500])),
            socket_timeout: Duration::from_secs(2),
            ..Options::default()
        };
        let cluster = Cluster::new(clock.clone(), options);
        let program = Arc::new(workload::program());
        let admin = cluster.admin().expect("an embedded broker has an admin");
        let prepared = Arc::new(prepare(&program.plan, &*admin, true).expect("an empty cluster takes every topic"));
        let settings = Settings {
            threads: 1,
            commit_interval: Duration::from_millis(*pick(&mut random, &[20, 100])),
            purge_interval: Duration::from_millis(*pick(&mut random, &[300, 5_000])),
            idle_commit_interval: Duration::from_millis(*pick(&mut random, &[200, 1000])),
            poll_records_max: *pick(&mut random, &[1, 3, 50]),
            epoch_records_max: *pick(&mut random, &[5, 50_000]),
            session_timeout: SESSION,
            max_poll_interval: Duration::from_secs(20),
            lane_timeout: Duration::from_secs(5),
            restore_chunk_bytes: *pick(&mut random, &[1, 200, 1 << 20]),
            cache_bytes_max: *pick(&mut random, &[0, 2000, 1 << 20]),
            parting: *pick(&mut random, &[Parting::Leave, Parting::Stay]),
            weakened,
            ..Settings::default()
        };
        let calm = random.u32(..10) == 0;
        let rates = Rates {
            lane: if calm { 0 } else { *pick(&mut random, &[0, 3, 20, 60]) },
            poll: if calm { 0 } else { *pick(&mut random, &[0, 2, 10]) },
            late_end: if calm { 0 } else { *pick(&mut random, &[0, 20, 200]) },
        };
        let favourite = crash::POINTS[usize::try_from(seed).unwrap_or(0) % crash::POINTS.len()];
        let disturbing = Disturbing {
            every: *pick(&mut random, &[300, 1000, 4000]),
            kill: random.u32(..3),
            crash_point: if RARE.contains(&favourite) { 8 } else { random.u32(1..8) },
            pause: random.u32(..2),
            stop: random.u32(..2),
            compact: random.u32(..2),
            fill_disk: random.u32(..2),
            lose_disk: random.bool(),
        };
        let fired = Fired::default();
        let trouble = Arc::new(AtomicBool::new(true));
        cluster.set_faults(SeededFaults::new(random.u64(..), rates, fired.clone(), clock.clone(), trouble.clone()));
        let processes = (0..random.usize(1..4))
            .map(|number| Process {
                id: Text::from(format!("w{number}")),
                threads: random.usize(1..3),
                disk: SimulatedDisk::new(),
                alive: None,
                down_until: Duration::from_millis(random.u64(..500)),
                full_until: None,
            })
            .collect();
        Self {
            monitor: Monitor::new(&cluster),
            cluster,
            clock,
            program,
            processes,
            fired,
            crashes: BTreeMap::new(),
            sum: Figures::default(),
            random,
            prepared,
            settings,
            trouble,
            disturbing,
            favourite,
            pause_in_transaction: false,
            steps: 0,
            trace: std::env::var_os("SIM_TRACE").is_some(),
        }
    }

    /// Trouble first, then calm; then everything must have become right.
    pub(crate) fn run(&mut self) -> Result<Report, String> {
        crash::disarm();
        let horizon = Duration::from_millis(self.random.u64(5_000..40_000));
        let mut numbers: Vec<(Duration, Text, Kind, i64)> = self.numbers(horizon);
        let mut producer = self.cluster.producer().map_err(|error| error.to_string())?;
        let mut next_disturbance = self.after_a_while();
        let mut settled_since = Duration::ZERO;
        loop {
            let now = self.clock.mono();
            let troubled = now < horizon;
            if !troubled && self.trouble.swap(false, Ordering::Relaxed) {
                self.calm();
            }
            if now > horizon + LIVENESS {
                return Err(format!("nothing was in order {LIVENESS:?} after the last fault: {}", self.outlook()));
            }
            while numbers.last().is_some_and(|(at, ..)| *at <= now) {
                let (_, key, kind, number) = numbers.pop().expect("just seen");
                let record = Record {
                    topic: "in".into(),
                    partition: partition_of(key.as_bytes(), IN_PARTITIONS),
                    timestamp: self.clock.wall(),
                    key: Some(key.as_bytes().to_vec().into()),
                    value: Some(workload::value_of(kind, number).into_bytes().into()),
                    headers: Vec::new(),
                };
                producer.send(&record).map_err(|error| error.to_string())?;
                self.monitor.next = Duration::ZERO;
            }
            if troubled && now >= next_disturbance {
                self.disturb();
                next_disturbance = now + self.after_a_while();
            }
            self.start_those_due(now)?;
            self.monitor.look(&self.cluster, now)?;
            if troubled && self.pause_in_transaction {
                self.pause_the_one_in_a_transaction();
            }
            if !self.step_one(now)? {
                let next_number = numbers.last().map(|(at, ..)| *at);
                let next = [next_number, troubled.then_some(next_disturbance.min(horizon)), self.cluster.next_deadline()];
                self.sleep(now, next.into_iter().flatten().min());
            }
            if troubled || !numbers.is_empty() || !self.monitor.is_drained() || !self.is_settled() {
                settled_since = now;
            } else if now >= settled_since + SETTLING {
                break;
            }
        }
        Ok(Report {
            fired: self.fired.all(),
            crashes: self.crashes.clone(),
            figures: self.figures(),
            steps: self.steps,
            virtual_time: self.clock.mono(),
        })
    }

    fn numbers(&mut self, horizon: Duration) -> Vec<(Duration, Text, Kind, i64)> {
        let count = self.random.i64(40..250);
        let keys = self.random.u32(1..12);
        let random = &mut self.random;
        let mut numbers: Vec<_> = (1..=count)
            .map(|number| {
                let kind = match random.u32(..20) {
                    0 => Kind::Bad,
                    1 => Kind::Garbled,
                    _ => Kind::Good,
                };
                let at = random.u64(..horizon.as_millis() as u64) / BURSTS_EVERY_MS * BURSTS_EVERY_MS;
                (Duration::from_millis(at), Text::from(format!("k{}", random.u32(..keys))), kind, number)
            })
            .collect();
        numbers.sort_by_key(|(at, _, _, number)| std::cmp::Reverse((*at, *number)));
        numbers
    }

    fn after_a_while(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(1..2 * self.disturbing.every))
    }

    /// Does something to a process.
    fn disturb(&mut self) {
        let Disturbing { kill, crash_point, pause, stop, compact, fill_disk, .. } = self.disturbing;
        let sum = kill + crash_point + pause + stop + compact + fill_disk;
        if sum == 0 {
            return;
        }
        let target = self.random.usize(..self.processes.len());
        let mut choice = self.random.u32(..sum);
        let mut is = |share: u32| {
            let hit = choice < share;
            choice = choice.wrapping_sub(share);
            hit
        };
        if is(kill) {
            if self.processes[target].alive.is_some() {
                self.fired.note("kill");
                self.kill(target);
            }
        } else if is(crash_point) {
            // Mostly the seed's own point, so that those that are passed seldom stay armed for long.
            let points = crash::POINTS;
            let label = if self.random.u32(..4) > 0 { self.favourite } else { points[self.random.usize(..points.len())] };
            crash::arm(Armed { label, passing: *pick(&mut self.random, &[1, 1, 2, 3]) });
        } else if is(pause) {
            // Half of them in the middle of a commit, where a process that was given up can do the most harm.
            if self.random.bool() {
                self.pause(target);
            } else {
                self.pause_in_transaction = true;
            }
        } else if is(stop) {
            let process = &mut self.processes[target];
            if let Some(alive) = &mut process.alive {
                self.fired.note("orderly stop");
                for slot in &mut alive.workers {
                    slot.worker.ask_to_stop();
                    slot.woken.store(true, Ordering::Relaxed);
                }
            }
        } else if is(fill_disk) {
            self.fired.note("disk full");
            let process = &mut self.processes[target];
            process.disk.set_full(true);
            process.full_until = Some(self.clock.mono() + Duration::from_millis(self.random.u64(100..5_000)));
        } else if is(compact) {
            self.fired.note("compaction");
            for topic in ["sim.fold.snapshots", "sim.fold.changelog", "sim.bucket.snapshots"] {
                self.cluster.clean_topic(topic).expect("the topic is there");
            }
        }
    }

    fn pause_the_one_in_a_transaction(&mut self) {
        let open = self.cluster.open_transactions();
        let is_open = |process: &Process| open.iter().any(|id| id.starts_with(&format!("{TOPOLOGY}.{}.", process.id)));
        if let Some(target) = self.processes.iter().position(|process| process.alive.is_some() && is_open(process)) {
            self.pause_in_transaction = false;
            self.fired.note("pause in a transaction");
            self.pause(target);
        }
    }

    fn pause(&mut self, target: usize) {
        let until = self.clock.mono() + Duration::from_millis(self.random.u64(500..15_000));
        if let Some(alive) = self.processes[target].alive.as_mut().filter(|alive| alive.paused_until.is_none()) {
            self.fired.note("pause");
            alive.paused_until = Some(until);
            alive.workers.iter().for_each(|slot| self.cluster.freeze(&slot.client_id));
        }
    }

    /// The process dies: nothing of it is left but its disk, perhaps without the end of what was written to it.
    fn kill(&mut self, target: usize) {
        let process = &mut self.processes[target];
        let Some(alive) = process.alive.take() else { return };
        self.sum.add(&alive.totals.get());
        drop(alive);
        let at_risk = process.disk.at_risk();
        let kept = if self.disturbing.lose_disk && self.random.bool() { self.random.usize(..=at_risk) } else { at_risk };
        if kept < at_risk {
            self.fired.note("disk suffix lost");
        }
        process.disk.crash(kept);
        let now = self.clock.mono();
        process.down_until = now + Duration::from_millis(*pick(&mut self.random, &[10, 500, 3_000, 12_000]));
    }

    /// Nothing goes wrong from here on.
    fn calm(&mut self) {
        crash::disarm();
        let now = self.clock.mono();
        for process in &mut self.processes {
            process.down_until = process.down_until.min(now);
            process.full_until = process.full_until.map(|_| now);
            if let Some(alive) = &mut process.alive {
                alive.paused_until = alive.paused_until.map(|_| now);
            }
        }
    }

    fn start_those_due(&mut self, now: Duration) -> Result<(), String> {
        for process in &mut self.processes {
            if process.full_until.take_if(|until| *until <= now).is_some() {
                process.disk.set_full(false);
            }
            if let Some(alive) = &mut process.alive {
                if alive.paused_until.is_some_and(|until| until <= now) {
                    alive.paused_until = None;
                    alive.workers.iter().for_each(|slot| self.cluster.thaw(&slot.client_id));
                }
                if alive.workers.iter().all(|slot| slot.stopped) {
                    self.sum.add(&alive.totals.get());
                    process.alive = None;
                    process.down_until = now + Duration::from_millis(200);
                }
            } else if process.down_until <= now {
                process.alive =
                    Some(process.start(&self.cluster, &self.clock, &self.program, &self.prepared, &self.settings)?);
            }
        }
        Ok(())
    }

    /// Lets one worker that has something to do take a step; false when none has.
    fn step_one(&mut self, now: Duration) -> Result<bool, String> {
        let mut ready = Vec::new();
        for (number, process) in self.processes.iter().enumerate() {
            let Some(alive) = process.alive.as_ref().filter(|alive| alive.paused_until.is_none()) else { continue };
            for (place, slot) in alive.workers.iter().enumerate() {
                if !slot.stopped && (slot.next_step <= now || slot.woken.load(Ordering::Relaxed)) {
                    ready.push((number, place));
                }
            }
        }
        if ready.is_empty() {
            return Ok(false);
        }
        let (number, place) = ready[self.random.usize(..ready.len())];
        let alive = self.processes[number].alive.as_mut().expect("just seen");
        let slot = &mut alive.workers[place];
        slot.woken.store(false, Ordering::Relaxed);
        self.steps += 1;
        match slot.worker.step() {
            Ok(Wait::Now) => slot.next_step = now,
            Ok(Wait::For(time)) => slot.next_step = now + time,
            Ok(Wait::Stopped) => slot.stopped = true,
            Err(error) => self.died(number, &error)?,
        }
        // Work takes time, and a loop that spins must not stop it.
        self.clock.advance(Duration::from_millis(u64::from(self.random.u32(..4) == 0)));
        Ok(true)
    }

    /// A worker cannot go on: its process ends. Some errors are what the faults ask for, others must not happen.
    fn died(&mut self, number: usize, error: &Error) -> Result<(), String> {
        match error {
            Error::CrashPoint(label) => {
                *self.crashes.entry(label).or_default() += 1;
                self.fired.note("crash point");
            }
            Error::Fenced { .. } => self.fired.note("process fenced"),
            Error::Broker(error) if error.class == ErrorClass::Fatal && error.message == "the client gave up" => {}
            Error::StopDeadline => self.fired.note("stop deadline"),
            error => return Err(format!("a worker failed: {error:?}")),
        }
        if self.trace {
            eprintln!("{:?} {} died: {error}", self.clock.mono(), self.processes[number].id);
        }
        self.kill(number);
        Ok(())
    }

    /// Nothing is to be done now: the clock goes to the next moment at which something is.
    fn sleep(&self, now: Duration, next: Option<Duration>) {
        let alive = self.processes.iter().filter_map(|process| process.alive.as_ref());
        let steps = alive.clone().flat_map(|alive| match alive.paused_until {
            Some(until) => vec![until],
            None => alive.workers.iter().filter(|slot| !slot.stopped).map(|slot| slot.next_step).collect(),
        });
        let starts = self.processes.iter().filter(|process| process.alive.is_none()).map(|process| process.down_until);
        let until = steps.chain(starts).chain(next).chain([self.monitor.next]).min().unwrap_or(now);
        let step = until.saturating_sub(now).as_micros().div_ceil(1000).max(1);
        self.clock.advance(Duration::from_millis(u64::try_from(step).unwrap_or(1)));
        self.cluster.tick();
    }

    /// Every task runs, each in one place.
    fn is_settled(&self) -> bool {
        let alive = self.processes.iter().map(|process| process.alive.as_ref());
        let tasks = alive.map(|alive| {
            let tasks = alive.map(|alive| alive.registry.tasks()).unwrap_or_default();
            (alive.is_some(), tasks)
        });
        let tasks: Vec<_> = tasks.collect();
        let running = tasks.iter().flat_map(|(_, tasks)| tasks).filter(|task| task.phase == TaskPhase::Running).count();
        let all: usize = tasks.iter().map(|(_, tasks)| tasks.len()).sum();
        tasks.iter().all(|(alive, _)| *alive) && running == all && all == (IN_PARTITIONS + workload::MID_PARTITIONS) as usize
    }

    /// Where these partitions begin.
    pub(crate) fn starts(&self, partitions: Vec<TopicPartition>) -> Vec<(TopicPartition, i64)> {
        match Monitor::new(&self.cluster).ask(&self.cluster, Op::Ends { partitions, isolation: Isolation::ReadCommitted }) {
            Outcome::Ends(ends) => ends.into_iter().map(|(partition, span)| (partition, span.start)).collect(),
            other => unreachable!("ends were asked for, not {other:?}"),
        }
    }

    fn figures(&self) -> Figures {
        let mut sum = self.sum;
        self.processes.iter().filter_map(|process| process.alive.as_ref()).for_each(|alive| sum.add(&alive.totals.get()));
        sum
    }

    fn outlook(&self) -> String {
        let tasks = self.processes.iter().map(|process| match &process.alive {
            Some(alive) => format!("{} runs {:?}", process.id, alive.registry.tasks()),
            None => format!("{} is down", process.id),
        });
        format!("{}\n{}", self.monitor.lag_text(), tasks.collect::<Vec<_>>().join("\n"))
    }
}

impl Process {
    fn start(
        &self,
        cluster: &Cluster,
        clock: &Arc<ManualClock>,
        program: &Arc<Program>,
        prepared: &Arc<Prepared>,
        settings: &Settings,
    ) -> Result<Alive, String> {
        let (registry, totals) = (Arc::new(Registry::new()), Arc::new(Totals::default()));
        let siblings = Arc::new(AtomicUsize::new(self.threads));
        let memory = Arc::new(Memory::new());
        // One for all: nobody looks at it, and making one takes longer than a run.
        static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(Telemetry::new);
        let telemetry = TELEMETRY.clone();
        let workers = (0..self.threads).map(|thread| {
            let woken = Arc::new(AtomicBool::new(false));
            let flag = woken.clone();
            let wake: Wake = Arc::new(move || flag.store(true, Ordering::Relaxed));
            let parts = Parts {
                program: program.clone(),
                prepared: prepared.clone(),
                broker: Arc::new(cluster.clone()),
                stores: Arc::new(self.disk.clone()),
                memory: memory.clone(),
                clock: clock.clone(),
                settings: Settings { worker: Some(self.id.clone()), threads: self.threads, ..settings.clone() },
                registry: registry.clone(),
                totals: totals.clone(),
                telemetry: telemetry.clone(),
                siblings: siblings.clone(),
                worker_id: self.id.clone(),
                thread,
            };
            let client_id = format!("{TOPOLOGY}.{}.{thread:02}{}", self.id, client_suffix(&program.plan));
            let worker = Worker::new(parts, wake).map_err(|error| error.to_string())?;
            Ok(Slot { worker, client_id: client_id.into(), woken, next_step: Duration::ZERO, stopped: false })
        });
        let workers = workers.collect::<Result<_, String>>()?;
        Ok(Alive { registry, totals, workers, paused_until: None })
    }
}

/// Looks on from outside: committed offsets never go back, and whether everything is read.
struct Monitor {
    lane: Box<dyn Transactions>,
    inputs: Vec<TopicPartition>,
    committed: BTreeMap<TopicPartition, i64>,
    ends: BTreeMap<TopicPartition, i64>,
    next: Duration,
}

impl Monitor {
    const EVERY: Duration = Duration::from_millis(100);

    fn new(cluster: &Cluster) -> Self {
        let settings = TransactionSettings {
            group: TOPOLOGY.into(),
            transactional_id: "monitor".into(),
            client_id: "monitor".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(|| {}),
        };
        let partitions =
            |topic: &'static str, count: u32| (0..count as i32).map(move |partition| TopicPartition::new(topic, partition));
        let inputs = partitions("in", IN_PARTITIONS).chain(partitions("mid", workload::MID_PARTITIONS)).collect();
        let lane = cluster.transactions(&settings).expect("an embedded broker has lanes");
        Self { lane, inputs, committed: BTreeMap::new(), ends: BTreeMap::new(), next: Duration::ZERO }
    }

    fn ask(&mut self, cluster: &Cluster, op: Op) -> Outcome {
        self.lane.submit(op);
        cluster.tick();
        self.lane.reply().expect("answered at once").result.expect("questions without faults are answered")
    }

    fn look(&mut self, cluster: &Cluster, now: Duration) -> Result<(), String> {
        if now < self.next {
            return Ok(());
        }
        self.next = now + Self::EVERY;
        let partitions = self.inputs.clone();
        let isolation = Isolation::ReadUncommitted;
        if let Outcome::Committed(committed) = self.ask(cluster, Op::Committed { partitions: partitions.clone(), isolation }) {
            for (partition, offset) in committed {
                let Some(CommittedOffset { offset, .. }) = offset else { continue };
                let before = self.committed.insert(partition.clone(), offset).unwrap_or(offset);
                if offset < before {
                    return Err(format!("the committed offset of {partition} went back from {before} to {offset}"));
                }
            }
        }
        if let Outcome::Ends(ends) = self.ask(cluster, Op::Ends { partitions, isolation }) {
            self.ends = ends.into_iter().map(|(partition, span)| (partition, span.end)).collect();
        }
        Ok(())
    }

    /// Everything that is in the inputs is done, control markers included.
    fn is_drained(&self) -> bool {
        self.inputs.iter().all(|partition| self.lag(partition) == 0)
    }

    fn lag(&self, partition: &TopicPartition) -> i64 {
        let end = self.ends.get(partition).copied().unwrap_or(i64::MAX);
        // Where nothing was ever committed, nothing was ever there.
        end - self.committed.get(partition).copied().unwrap_or(0)
    }

    fn lag_text(&self) -> String {
        let lags = self.inputs.iter().map(|partition| format!("{partition}: {} behind", self.lag(partition)));
        lags.collect::<Vec<_>>().join(", ")
    }
}

pub(crate) fn pick<'a, T>(random: &mut fastrand::Rng, from: &'a [T]) -> &'a T {
    &from[random.usize(..from.len())]
}

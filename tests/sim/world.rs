//! A world of processes around one broker, all of it on one thread under virtual time, every choice drawn from the seed.

use crate::faults::{BURSTS_EVERY_MS, Fired, Rates, SeededFaults};
use crate::monitor::Monitor;
use crate::process::Process;
use crate::workload::{self, IN_PARTITIONS, Kind, MID_PARTITIONS, TOPOLOGY};
use skald::broker::embedded::{Cluster, Options};
use skald::broker::{Broker, ErrorClass, Guarantee, Parting, Producer};
use skald::clock::{Clock, ManualClock};
use skald::record::{Record, Text, partition_of};
use skald::runtime::crash::{self, Armed};
use skald::runtime::worker::Wait;
use skald::runtime::{Error, Figures, Prepared, Program, Settings, TaskPhase, Weakened, prepare};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Virtual time for everything to be in order once nothing goes wrong any more.
const LIVENESS: Duration = Duration::from_secs(300);
/// What is committed at the broker is applied by then: whoever lost the answer, or waits for one that never comes, has given it up
/// and found out.
const SETTLING: Duration = Duration::from_secs(12);
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
#[derive(Clone, Copy, Debug, Default)]
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

impl World {
    pub(crate) fn new(seed: u64, weakened: Weakened, guarantee: Guarantee) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let options = Options {
            marker_delay: Duration::from_millis(*pick(&mut random, &[0, 2, 30, 200])),
            sweep_interval: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(*pick(&mut random, &[0, 50, 500])),
            socket_timeout: Duration::from_secs(2),
            ..Options::default()
        };
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
            guarantee,
            ..Settings::default()
        };
        let calm = random.u32(..10) == 0;
        let rates = Rates {
            lane: if calm { 0 } else { *pick(&mut random, &[0, 3, 20, 60]) },
            poll: if calm { 0 } else { *pick(&mut random, &[0, 2, 10]) },
            late_end: if calm { 0 } else { *pick(&mut random, &[0, 20, 200]) },
            unknown: if calm { 0 } else { *pick(&mut random, &[0, 0, 10, 50]) },
        };
        let favourite = crash::POINTS[usize::try_from(seed).unwrap_or(0) % crash::POINTS.len()];
        let disturbing = Disturbing {
            every: *pick(&mut random, &[300, 1000, 4000]),
            kill: random.u32(..3),
            crash_point: if RARE.contains(&favourite) { 8 } else { random.u32(1..8) },
            // Somebody's open transaction has to be in the way.
            pause: if favourite == "c18" { 4 } else { random.u32(..2) },
            stop: random.u32(..2),
            compact: random.u32(..2),
            fill_disk: random.u32(..2),
            lose_disk: random.bool(),
        };
        let processes = (0..random.usize(1..4)).map(|number| {
            let threads = random.usize(1..3);
            Process::new(number, threads, Duration::from_millis(random.u64(..500)))
        });
        let processes = processes.collect();
        let chance = random.u64(..);
        let mut world = Self::assemble(random, options, settings, processes);
        (world.favourite, world.disturbing) = (favourite, disturbing);
        let clock = world.clock.clone();
        let mut faults = SeededFaults::new(chance, rates, world.fired.clone(), clock, world.trouble.clone());
        // A group that takes partitions away before the session is over has no mercy for an owner without transactions.
        faults.keeps_sessions = guarantee == Guarantee::AtLeastOnce;
        world.cluster.set_faults(faults);
        world
    }

    /// A world in which nothing goes wrong but what a test asks for; its processes, of one thread each, start at these moments.
    pub(crate) fn quiet(starts: &[Duration]) -> Self {
        let options = Options {
            marker_delay: Duration::from_millis(2),
            sweep_interval: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(500),
            socket_timeout: Duration::from_secs(2),
            ..Options::default()
        };
        let settings = Settings { session_timeout: SESSION, ..Settings::default() };
        let processes = starts.iter().enumerate().map(|(number, starts)| Process::new(number, 1, *starts)).collect();
        crash::disarm();
        Self::assemble(fastrand::Rng::with_seed(0), options, settings, processes)
    }

    fn assemble(mut random: fastrand::Rng, options: Options, settings: Settings, processes: Vec<Process>) -> Self {
        let clock = Arc::new(ManualClock::new(1_700_000_000_000, random.u64(..)));
        let cluster = Cluster::new(clock.clone(), options);
        let program = Arc::new(workload::program(settings.guarantee));
        let admin = cluster.admin().expect("an embedded broker has an admin");
        let prepared = Arc::new(prepare(&program.plan, &*admin, true).expect("an empty cluster takes every topic"));
        Self {
            monitor: Monitor::new(&cluster),
            cluster,
            clock,
            program,
            processes,
            fired: Fired::default(),
            crashes: BTreeMap::new(),
            sum: Figures::default(),
            random,
            prepared,
            settings,
            trouble: Arc::new(AtomicBool::new(true)),
            disturbing: Disturbing::default(),
            favourite: crash::POINTS[0],
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
                self.send(&mut *producer, &key, kind, number)?;
            }
            if troubled && now >= next_disturbance {
                self.disturb();
                next_disturbance = now + self.after_a_while();
            }
            if troubled && self.pause_in_transaction {
                self.pause_the_one_in_a_transaction();
            }
            let next_number = numbers.last().map(|(at, ..)| *at);
            let next = [next_number, troubled.then_some(next_disturbance.min(horizon))];
            self.turn(now, next.into_iter().flatten().min())?;
            if troubled || !numbers.is_empty() || !self.is_done() {
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

    /// Lets the world go on until something holds, which must not take longer than `within`. Tells how long it took.
    pub(crate) fn run_until(
        &mut self,
        what: &str,
        within: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Result<Duration, String> {
        let began = self.clock.mono();
        loop {
            let now = self.clock.mono();
            if holds(self) {
                return Ok(now - began);
            }
            if now >= began + within {
                return Err(format!("{what}: not within {within:?}: {}", self.outlook()));
            }
            self.turn(now, Some(began + within))?;
        }
    }

    /// Tasks of a process that run.
    pub(crate) fn running(&self, process: usize) -> usize {
        let alive = self.processes[process].alive.iter();
        alive.flat_map(|alive| alive.registry.tasks()).filter(|task| task.phase == TaskPhase::Running).count()
    }

    /// Everything that was sent is done.
    pub(crate) fn is_drained(&self) -> bool {
        self.monitor.is_drained()
    }

    /// Everything that was sent is done, and every task runs in one place.
    pub(crate) fn is_done(&self) -> bool {
        self.monitor.is_drained() && self.is_settled()
    }

    /// Lets one worker take a step, or time go on, at most to `next`.
    pub(crate) fn turn(&mut self, now: Duration, next: Option<Duration>) -> Result<(), String> {
        self.start_those_due(now)?;
        self.monitor.look(&self.cluster, now)?;
        if !self.step_one(now)? {
            self.sleep(now, next.into_iter().chain(self.cluster.next_deadline()).min());
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, producer: &mut dyn Producer, key: &str, kind: Kind, number: i64) -> Result<(), String> {
        let record = Record {
            topic: "in".into(),
            partition: partition_of(key.as_bytes(), IN_PARTITIONS),
            timestamp: self.clock.wall(),
            key: Some(key.as_bytes().to_vec().into()),
            value: Some(workload::value_of(kind, number).into_bytes().into()),
            headers: Vec::new(),
        };
        self.monitor.next = Duration::ZERO;
        producer.send(&record).map_err(|error| error.to_string())
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
                    2 | 3 => Kind::Shaky,
                    4 if random.bool() => Kind::Doomed,
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
            let passing = if RARE.contains(&label) { 1 } else { *pick(&mut self.random, &[1, 1, 2, 3]) };
            crash::arm(Armed { label, passing });
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
            for topic in ["sim.fold.snapshots", "sim.fold.changelog", "sim.bucket.snapshots", "sim.later.changelog"] {
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
        tasks.iter().all(|(alive, _)| *alive) && running == all && all == (IN_PARTITIONS + MID_PARTITIONS) as usize
    }

    pub(crate) fn figures(&self) -> Figures {
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

pub(crate) fn pick<'a, T>(random: &mut fastrand::Rng, from: &'a [T]) -> &'a T {
    &from[random.usize(..from.len())]
}

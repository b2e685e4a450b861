//! A state gets another shape while workers die: the file with the migration takes over from the one before, in the middle of the
//! records, and is killed in the middle of its sweep. In the end every record counts once and every state has the new shape.
//!
//! `SIM_SWEEP_SEEDS=200 cargo test --test sim a_state_gets` runs more.

use crate::check;
use crate::process::Process;
use crate::setting;
use skald::broker::Broker;
use skald::broker::embedded::{Cluster, Options};
use skald::clock::{Clock, ManualClock};
use skald::node::World;
use skald::record::{Record, TopicPartition, partition_of};
use skald::runtime::crash::{self, Armed, POINTS};
use skald::runtime::worker::Wait;
use skald::runtime::{Error, Prepared, Program, Settings, prepare};
use skald::state::SimulatedDisk;
use skald::topology::{NoSources, load};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const PARTITIONS: u32 = 2;
/// More than two steps of a sweep in each partition.
const KEYS: usize = 1_300;
/// Deaths after the new file came.
const DEATHS: usize = 8;
/// What a run may take, in virtual time.
const LONGEST: Duration = Duration::from_secs(600);

const BEFORE: &str = r#"
skald: 1
topology: sim
topics:
  in: { partitions: 2, key: data.k, types: { add.v1: { type: object, properties: { k: { type: string }, by: { type: integer } }, required: [k, by] } } }
aggregates:
  folded:
    from: in
    initial: { total: 0 }
    evolve: { add.v1: { set: { total: =state.total + data.by } } }
  decided:
    from: in
    initial: { total: 0 }
    decide: { add.v1: { require: { that: state.total < 1000000, code: FULL }, emit: { type: added.v1, data: { by: =data.by } } } }
    evolve: { added.v1: { set: { total: =state.total + data.by } } }
"#;

fn after() -> String {
    let shape = "initial: { sum: { EUR: 0 }, of: '' }\n    state_version: 2\n    upcast: { 1: { sum: { EUR: =state.total }, of: =key } }";
    BEFORE
        .replace("topology: sim\n", "topology: sim\nversion: 2\n")
        .replace("initial: { total: 0 }", shape)
        .replace("set: { total: =state.total + data.by }", "set: { sum: { EUR: =state.sum.EUR + data.by }, of: =key }")
        .replace("state.total < 1000000", "state.sum.EUR < 1000000")
}

fn program(text: &str) -> Arc<Program> {
    let loaded = load("sim.yaml", text.as_bytes(), &[], &NoSources);
    let (topology, plan) = loaded.checked.unwrap_or_else(|| panic!("{:?}", loaded.findings));
    Arc::new(Program::compile(&World::new(Arc::new(topology), Arc::new(plan))))
}

struct Run {
    random: fastrand::Rng,
    cluster: Cluster,
    clock: Arc<ManualClock>,
    process: Process,
    program: Arc<Program>,
    prepared: Arc<Prepared>,
    sums: BTreeMap<String, i64>,
    deaths: usize,
    is_armed: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new(1_767_225_600_000, seed));
        let cluster = Cluster::new(clock.clone(), Options::default());
        let program = program(BEFORE);
        let admin = cluster.admin().expect("an embedded broker has an admin");
        let prepared = Arc::new(prepare(&program.plan, &*admin, true).expect("an empty cluster takes every topic"));
        let process = Process::new(0, 1, Duration::ZERO);
        let random = fastrand::Rng::with_seed(seed);
        Self { random, cluster, clock, process, program, prepared, sums: BTreeMap::new(), deaths: 0, is_armed: false }
    }

    fn send(&mut self, key: usize) {
        let (key, by) = (format!("k{key}"), self.random.i64(1..9));
        *self.sums.entry(key.clone()).or_default() += by;
        let record = Record {
            topic: "in".into(),
            partition: partition_of(key.as_bytes(), PARTITIONS),
            timestamp: self.clock.wall(),
            value: Some(format!(r#"{{"type":"add.v1","data":{{"k":"{key}","by":{by}}}}}"#).into()),
            key: Some(key.into()),
            headers: Vec::new(),
        };
        let mut producer = self.cluster.producer().expect("an embedded broker has producers");
        producer.send(&record).expect("nothing goes wrong here");
    }

    /// The last state of each key, and in which version.
    fn states(&self, node: &str) -> Result<BTreeMap<String, (String, bool)>, String> {
        let topic = format!("sim.{node}.snapshots");
        let all = (0..PARTITIONS).map(|partition| (TopicPartition::new(topic.as_str(), partition as i32), 0)).collect();
        let states = check::read_at(&self.cluster, all)?.into_iter().map(|(_, record)| {
            let head = record.headers.iter().find(|header| header.name == "skald").and_then(|header| header.value.clone());
            let is_new = String::from_utf8_lossy(&head.unwrap_or_default()).contains(";s=2");
            (check::key(&record), (check::text(record.value.as_ref()), is_new))
        });
        Ok(states.collect())
    }

    /// Steps, and dies where it is to, until `is_done` holds when nothing is to be done.
    fn live(&mut self, is_done: &dyn Fn(&Self) -> Result<bool, String>) -> Result<(), String> {
        loop {
            let now = self.clock.mono();
            if now > LONGEST {
                return Err(format!("never came; deaths: {}", self.deaths));
            }
            if self.process.alive.is_none() && self.process.down_until <= now {
                let settings = Settings { threads: 1, session_timeout: Duration::from_secs(6), ..Settings::default() };
                let alive = self.process.start(&self.cluster, &self.clock, &self.program, &self.prepared, &settings)?;
                self.process.alive = Some(alive);
                if self.is_armed && self.deaths < DEATHS {
                    let label = POINTS[self.random.usize(..POINTS.len())];
                    crash::arm(Armed { label, passing: self.random.u64(1..4) });
                }
            }
            let slot = self.process.alive.as_mut().map(|alive| &mut alive.workers[0]);
            if let Some(slot) = slot.filter(|slot| slot.next_step <= now || slot.woken.load(Ordering::Relaxed)) {
                slot.woken.store(false, Ordering::Relaxed);
                match slot.worker.step() {
                    Ok(Wait::Now) => slot.next_step = now,
                    Ok(Wait::For(time)) => slot.next_step = now + time,
                    Ok(Wait::Stopped) => return Err("a worker stopped by itself".to_owned()),
                    Err(Error::CrashPoint(_)) => self.die(now),
                    Err(error) => return Err(format!("a worker failed: {error:?}")),
                }
                if self.is_armed && self.random.u8(..40) == 0 {
                    let key = self.random.usize(..KEYS);
                    if self.deaths < DEATHS {
                        self.send(key);
                    }
                }
                if self.is_armed && self.process.alive.is_some() && self.deaths < DEATHS && self.random.u8(..60) == 0 {
                    self.die(now);
                }
                continue;
            }
            if is_done(self)? {
                return Ok(());
            }
            let next = match &self.process.alive {
                Some(alive) => alive.workers[0].next_step,
                None => self.process.down_until,
            };
            let until = self.cluster.next_deadline().into_iter().chain([next]).min().unwrap_or(now);
            let millis = until.saturating_sub(now).as_micros().div_ceil(1000).max(1);
            self.clock.advance(Duration::from_millis(u64::try_from(millis).unwrap_or(1)));
            self.cluster.tick();
        }
    }

    fn die(&mut self, now: Duration) {
        crash::disarm();
        self.deaths += 1;
        self.process.alive = None;
        match self.random.u8(..3) {
            0 => self.process.disk = SimulatedDisk::new(),
            // The end of what was written is lost.
            _ => {
                let at_risk = self.process.disk.at_risk();
                self.process.disk.crash(self.random.usize(..=at_risk));
            }
        }
        self.process.down_until = now + Duration::from_millis(500);
    }

    fn run(&mut self) -> Result<(), String> {
        for key in 0..KEYS {
            self.send(key);
        }
        let counted =
            |run: &Self| Ok(["folded", "decided"].iter().all(|node| run.states(node).is_ok_and(|states| states.len() == KEYS)));
        self.live(&counted)?;
        // Another file, with records that nobody has read.
        self.process.alive = None;
        self.program = program(&after());
        let admin = self.cluster.admin().map_err(|error| error.to_string())?;
        self.prepared = Arc::new(prepare(&self.program.plan, &*admin, true).map_err(|error| error.to_string())?);
        for _ in 0..40 {
            let key = self.random.usize(..KEYS);
            self.send(key);
        }
        self.is_armed = true;
        let migrated = |run: &Self| {
            let mut all = run.deaths == DEATHS;
            for node in ["folded", "decided"] {
                all = all && run.states(node)?.values().all(|(_, is_new)| *is_new);
            }
            Ok(all && run.deaths == DEATHS && run.is_counted()?)
        };
        self.live(&migrated)
    }

    /// Every state is what the records come to, in the new shape.
    fn is_counted(&self) -> Result<bool, String> {
        let expected: BTreeMap<String, (String, bool)> = (self.sums.iter())
            .map(|(key, sum)| (key.clone(), (format!(r#"{{"of":"{key}","sum":{{"EUR":{sum}}}}}"#), true)))
            .collect();
        Ok(self.states("folded")? == expected && self.states("decided")? == expected)
    }
}

#[test]
fn a_state_gets_another_shape_while_workers_die() {
    let seeds = setting("SIM_SWEEP_SEEDS").unwrap_or(4);
    for seed in 0..seeds {
        let mut run = Run::new(seed);
        let outcome = run.run();
        crash::disarm();
        assert_eq!(outcome, Ok(()), "seed {seed}");
        assert_eq!(run.deaths, DEATHS, "seed {seed}");
    }
}

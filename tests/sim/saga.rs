//! Sagas under the same trouble: a shop of sagas and the aggregates that answer them, on the production loop; and what must hold of
//! its goods, its money and its histories in the end (I7).
//!
//! Every saga ends once, its history has every line once, nothing stays reserved, and money is kept by what is completed alone.

use crate::check;
use crate::faults::{Fired, Rates, SeededFaults};
use crate::process::Process;
use crate::setting;
use crate::world::pick;
use skald::applied::{self, Known};
use skald::broker::embedded::{Cluster, Options};
use skald::broker::{Broker, ErrorClass, Producer};
use skald::clock::{Clock, ManualClock};
use skald::node;
use skald::record::{Map, Record, TopicPartition, Value, json, partition_of};
use skald::runtime::crash::{self, Armed};
use skald::runtime::worker::Wait;
use skald::runtime::{Error, Prepared, Program, Settings, prepare};
use skald::topology::{Loaded, NoSources, load};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PARTITIONS: u32 = 2;
/// Virtual time for every saga to end once nothing goes wrong any more: all tries of all its steps.
const LIVENESS: Duration = Duration::from_secs(900);
const SESSION: Duration = Duration::from_secs(6);

/// The shop of the tests of sagas, under the name that the simulation's processes have.
fn shop() -> Loaded {
    loaded(
        &include_str!("../saga/shop.yaml").replace("topology: shop", "topology: sim").replace("partitions: 6", "partitions: 2"),
    )
}

/// A later version of it: steps have other names and tries, and another message cancels.
fn later_shop() -> Loaded {
    let yaml = include_str!("../saga/shop.yaml").replace("topology: shop", "topology: sim\nversion: 2");
    let edits = [
        ("partitions: 6", "partitions: 2"),
        ("order.cancelled.v1: {}", "order.cancelled.v1: {}, order.withdrawn.v1: {}"),
        ("cancel: { type: order.cancelled.v1", "cancel: { type: order.withdrawn.v1"),
        ("name: charge", "name: pay"),
        ("name: sell", "name: deliver"),
        ("timeout: 10s\n        retry: { attempts: 3 }", "timeout: 7s\n        retry: { attempts: 4 }"),
    ];
    loaded(&edits.into_iter().fold(yaml, |yaml, (from, to)| {
        assert!(yaml.contains(from), "`{from}` is in the file");
        yaml.replace(from, to)
    }))
}

fn loaded(yaml: &str) -> Loaded {
    let loaded = load("shop.yaml", yaml.as_bytes(), &[], &NoSources);
    assert!(loaded.checked.is_some(), "{:?}", loaded.findings);
    loaded
}

/// What a worker runs of it: it knows all versions that were applied.
fn program(loaded: Loaded, cluster: &Cluster) -> Program {
    let (topology, plan) = loaded.checked.expect("it was checked");
    let (topology, plan) = (Arc::new(topology), Arc::new(plan));
    let applied = applied::read(cluster, "sim").expect("the definitions are there");
    let known = Known::new(applied, topology.clone(), plan.clone(), Arc::new(cluster.clone()), Box::new(NoSources));
    Program::compile(&node::World::with_versions(topology, plan, Arc::new(known)))
}

fn apply(loaded: &Loaded, cluster: &Cluster) {
    let (topology, _) = loaded.checked.as_ref().expect("it was checked");
    let definition = loaded.definition.as_ref().expect("it was checked");
    let mut entry = applied::applied("sim", topology.version, definition, 0);
    entry.note(&topology.sagas);
    applied::record(cluster, &entry, 0).expect("nothing goes wrong yet");
}

struct Shop {
    cluster: Cluster,
    clock: Arc<ManualClock>,
    program: Arc<Program>,
    /// When a later version takes over: all workers die, and others start with it.
    upgrade_at: Option<Duration>,
    /// Has it?
    upgraded: bool,
    /// Instances that were under way then, and whether they were being undone already.
    under_way: BTreeMap<String, bool>,
    prepared: Arc<Prepared>,
    settings: Settings,
    processes: Vec<Process>,
    random: fastrand::Rng,
    fired: Fired,
    crashes: BTreeMap<&'static str, u64>,
    trouble: Arc<AtomicBool>,
    steps: u64,
    producer: Box<dyn Producer>,
    /// Orders that were placed, and what each costs.
    orders: BTreeMap<String, i64>,
}

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Ends {
    completed: u64,
    compensated: u64,
    /// Instances that began with the version before and ended after the upgrade, and those of them that were cancelled then.
    outlived: u64,
    cancelled: u64,
    fired: BTreeMap<&'static str, u64>,
    crashes: BTreeMap<&'static str, u64>,
}

impl Shop {
    fn new(seed: u64) -> Self {
        crash::disarm();
        let mut random = fastrand::Rng::with_seed(seed);
        let options = Options {
            marker_delay: Duration::from_millis(*pick(&mut random, &[0, 2, 30])),
            sweep_interval: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(*pick(&mut random, &[50, 500])),
            socket_timeout: Duration::from_secs(2),
            ..Options::default()
        };
        let settings = Settings {
            threads: 1,
            commit_interval: Duration::from_millis(*pick(&mut random, &[20, 100])),
            poll_records_max: *pick(&mut random, &[1, 3, 50]),
            epoch_records_max: *pick(&mut random, &[5, 50_000]),
            session_timeout: SESSION,
            max_poll_interval: Duration::from_secs(20),
            lane_timeout: Duration::from_secs(5),
            restore_chunk_bytes: *pick(&mut random, &[200, 1 << 20]),
            cache_bytes_max: *pick(&mut random, &[0, 2000, 1 << 20]),
            ..Settings::default()
        };
        let clock = Arc::new(ManualClock::new(1_700_000_000_000, random.u64(..)));
        let cluster = Cluster::new(clock.clone(), options);
        apply(&shop(), &cluster);
        apply(&later_shop(), &cluster);
        let program = Arc::new(program(shop(), &cluster));
        let admin = cluster.admin().expect("an embedded broker has an admin");
        let prepared = Arc::new(prepare(&program.plan, &*admin, true).expect("an empty cluster takes every topic"));
        let processes = (0..random.usize(1..3))
            .map(|number| Process::new(number, random.usize(1..3), Duration::from_millis(random.u64(..500))))
            .collect();
        let (fired, trouble) = (Fired::default(), Arc::new(AtomicBool::new(true)));
        let rates = Rates {
            lane: *pick(&mut random, &[0, 3, 20]),
            poll: *pick(&mut random, &[0, 2, 10]),
            late_end: *pick(&mut random, &[0, 20, 100]),
            unknown: *pick(&mut random, &[0, 0, 10]),
        };
        cluster.set_faults(SeededFaults::new(random.u64(..), rates, fired.clone(), clock.clone(), trouble.clone()));
        let producer = cluster.producer().expect("an embedded broker has producers");
        let upgrade_at = random.bool().then(|| Duration::from_millis(random.u64(2_000..12_000)));
        let (crashes, orders, steps) = (BTreeMap::new(), BTreeMap::new(), 0);
        Self {
            cluster,
            clock,
            program,
            upgrade_at,
            upgraded: false,
            under_way: BTreeMap::new(),
            prepared,
            settings,
            processes,
            random,
            fired,
            crashes,
            trouble,
            steps,
            producer,
            orders,
        }
    }

    fn run(&mut self) -> Result<Ends, String> {
        let horizon = Duration::from_millis(self.random.u64(5_000..25_000));
        let mut to_place: Vec<Duration> = (0..self.random.usize(5..25)).map(|_| self.moment(horizon)).collect();
        to_place.sort_by_key(|at| std::cmp::Reverse(*at));
        let mut next_disturbance = self.moment(Duration::from_secs(2));
        let mut next_look = horizon;
        loop {
            let now = self.clock.mono();
            let troubled = now < horizon;
            if !troubled && self.trouble.swap(false, Ordering::Relaxed) {
                self.calm();
            }
            while to_place.last().is_some_and(|at| *at <= now) {
                to_place.pop();
                self.place_order()?;
            }
            if self.upgrade_at.take_if(|at| *at <= now).is_some() {
                self.upgrade()?;
            }
            if troubled && now >= next_disturbance {
                self.disturb();
                next_disturbance = now + self.moment(Duration::from_secs(2));
            }
            if !troubled && to_place.is_empty() && now >= next_look {
                if let Some(ends) = self.ends()? {
                    return Ok(ends);
                }
                next_look = now + Duration::from_secs(1);
            }
            if now > horizon + LIVENESS {
                return Err(format!("not all sagas have ended {LIVENESS:?} after the last fault: {}", self.outlook()?));
            }
            let next = [
                to_place.last().copied(),
                self.upgrade_at,
                Some(if troubled { next_disturbance.min(horizon) } else { next_look }),
            ];
            self.turn(now, next.into_iter().flatten().min())?;
        }
    }

    fn moment(&mut self, within: Duration) -> Duration {
        Duration::from_millis(self.random.u64(1..within.as_millis() as u64))
    }

    fn send(&mut self, kind: &str, order: &str, data: &str) -> Result<(), String> {
        let value = format!(r#"{{"id":"{kind}/{order}/{}","type":"{kind}","data":{data}}}"#, self.random.u32(..));
        let record = Record {
            topic: "orders".into(),
            partition: partition_of(order.as_bytes(), PARTITIONS),
            timestamp: self.clock.wall(),
            key: Some(order.to_owned().into()),
            value: Some(value.into()),
            headers: Vec::new(),
        };
        self.producer.send(&record).map_err(|error| error.to_string())
    }

    /// Places an order, now and then twice, and now and then cancels it, before or after.
    fn place_order(&mut self) -> Result<(), String> {
        let order = format!("o{}-{}", self.orders.len(), self.random.u32(..1000));
        let amount = self.random.i64(1..100);
        let skus: Vec<&str> = ["ale", "bun", "cup"].into_iter().filter(|_| self.random.bool()).collect();
        let items: Vec<String> =
            skus.iter().map(|sku| format!(r#"{{"sku":"{sku}","quantity":{}}}"#, self.random.i64(1..6))).collect();
        let data = format!(r#"{{"orderId":"{order}","amount":{amount},"items":[{}]}}"#, items.join(","));
        let cancelled = self.random.u8(..6);
        let cancel = format!(r#"{{"orderId":"{order}","reason":"CHANGED"}}"#);
        if cancelled == 0 {
            self.send("order.cancelled.v1", &order, &cancel)?;
        }
        for _ in 0..self.random.usize(1..3) {
            self.send("order.placed.v1", &order, &data)?;
        }
        if cancelled == 1 {
            // Those that are under way are cancelled as the version that they began with has it.
            let kind = if !self.upgraded || self.random.bool() { "order.cancelled.v1" } else { "order.withdrawn.v1" };
            self.send(kind, &order, &cancel)?;
        }
        self.orders.insert(order, amount);
        Ok(())
    }

    fn disturb(&mut self) {
        let target = self.random.usize(..self.processes.len());
        match self.random.u8(..6) {
            4 => {
                self.fired.note("clock ahead");
                self.clock.set_wall(self.clock.wall() + *pick(&mut self.random, &[1_000, 20_000, 60_000]));
            }
            5 => {
                self.fired.note("clock back");
                self.clock.set_wall(self.clock.wall() - *pick(&mut self.random, &[1_000, 20_000, 120_000]));
            }
            0 => self.kill(target),
            1 => {
                let label = crash::POINTS[self.random.usize(..crash::POINTS.len())];
                crash::arm(Armed { label, passing: *pick(&mut self.random, &[1, 1, 2]) });
            }
            2 => {
                let until = self.clock.mono() + self.moment(Duration::from_secs(12));
                if let Some(alive) = self.processes[target].alive.as_mut().filter(|alive| alive.paused_until.is_none()) {
                    self.fired.note("pause");
                    alive.paused_until = Some(until);
                    alive.workers.iter().for_each(|slot| self.cluster.freeze(&slot.client_id));
                }
            }
            _ => {
                self.fired.note("compaction");
                for topic in ["sim.order.changelog", "sim.stock.snapshots", "sim.payments.snapshots"] {
                    self.cluster.clean_topic(topic).expect("the topic is there");
                }
            }
        }
    }

    /// A later version takes over while instances of the one before are under way.
    fn upgrade(&mut self) -> Result<(), String> {
        self.fired.note("upgrade");
        self.upgraded = true;
        for (id, lines) in self.histories()? {
            let has = |what: &str| lines.iter().any(|line| word(line, "what") == what);
            if !has("ended") {
                self.under_way.insert(id, has("compensating"));
            }
        }
        // What the newer file takes no more is still for those that began before.
        let under_way: Vec<String> = self.orders.keys().filter(|_| self.random.u8(..4) == 0).cloned().collect();
        for order in under_way {
            self.send("order.cancelled.v1", &order, &format!(r#"{{"orderId":"{order}","reason":"CHANGED"}}"#))?;
        }
        (0..self.processes.len()).for_each(|process| self.kill(process));
        self.program = Arc::new(program(later_shop(), &self.cluster));
        Ok(())
    }

    fn kill(&mut self, target: usize) {
        let process = &mut self.processes[target];
        if process.alive.take().is_none() {
            return;
        }
        self.fired.note("kill");
        let at_risk = process.disk.at_risk();
        let kept = if self.random.bool() { self.random.usize(..=at_risk) } else { at_risk };
        process.disk.crash(kept);
        process.down_until = self.clock.mono() + Duration::from_millis(*pick(&mut self.random, &[10, 500, 3_000]));
    }

    fn calm(&mut self) {
        crash::disarm();
        let now = self.clock.mono();
        for process in &mut self.processes {
            process.down_until = process.down_until.min(now);
            if let Some(alive) = &mut process.alive {
                alive.paused_until = alive.paused_until.map(|_| now);
            }
        }
    }

    /// Lets one worker take a step, or time go on.
    fn turn(&mut self, now: Duration, next: Option<Duration>) -> Result<(), String> {
        for process in &mut self.processes {
            if let Some(alive) = &mut process.alive {
                if alive.paused_until.is_some_and(|until| until <= now) {
                    alive.paused_until = None;
                    alive.workers.iter().for_each(|slot| self.cluster.thaw(&slot.client_id));
                }
            } else if process.down_until <= now {
                let alive = process.start(&self.cluster, &self.clock, &self.program, &self.prepared, &self.settings)?;
                process.alive = Some(alive);
            }
        }
        let mut ready = Vec::new();
        for (number, process) in self.processes.iter().enumerate() {
            let Some(alive) = process.alive.as_ref().filter(|alive| alive.paused_until.is_none()) else { continue };
            let slots = alive.workers.iter().enumerate();
            ready.extend(
                slots
                    .filter(|(_, slot)| slot.next_step <= now || slot.woken.load(Ordering::Relaxed))
                    .map(|(place, _)| (number, place)),
            );
        }
        if ready.is_empty() {
            self.sleep(now, next);
            return Ok(());
        }
        let (number, place) = ready[self.random.usize(..ready.len())];
        let slot = &mut self.processes[number].alive.as_mut().expect("just seen").workers[place];
        slot.woken.store(false, Ordering::Relaxed);
        self.steps += 1;
        match slot.worker.step() {
            Ok(Wait::Now) => slot.next_step = now,
            Ok(Wait::For(time)) => slot.next_step = now + time,
            Ok(Wait::Stopped) => return Err("a worker stopped by itself".to_owned()),
            Err(Error::CrashPoint(label)) => {
                *self.crashes.entry(label).or_default() += 1;
                self.kill(number);
            }
            Err(Error::Fenced { .. }) => self.kill(number),
            Err(Error::Broker(error)) if error.class == ErrorClass::Fatal && error.message == "the client gave up" => {
                self.kill(number);
            }
            Err(error) => return Err(format!("a worker failed: {error:?}")),
        }
        self.clock.advance(Duration::from_millis(u64::from(self.random.u32(..4) == 0)));
        Ok(())
    }

    fn sleep(&self, now: Duration, next: Option<Duration>) {
        let alive = self.processes.iter().filter_map(|process| process.alive.as_ref());
        let steps = alive.flat_map(|alive| match alive.paused_until {
            Some(until) => vec![until],
            None => alive.workers.iter().map(|slot| slot.next_step).collect(),
        });
        let starts = self.processes.iter().filter(|process| process.alive.is_none()).map(|process| process.down_until);
        let until = steps.chain(starts).chain(next).chain(self.cluster.next_deadline()).min().unwrap_or(now);
        let step = until.saturating_sub(now).as_micros().div_ceil(1000).max(1);
        self.clock.advance(Duration::from_millis(u64::try_from(step).unwrap_or(1)));
        self.cluster.tick();
    }

    /// The committed records of a topic, partition by partition.
    fn read(&self, topic: &str) -> Result<Vec<Record>, String> {
        let all = (0..PARTITIONS as i32).map(|partition| (TopicPartition::new(topic, partition), 0)).collect();
        Ok(check::read_at(&self.cluster, all)?.into_iter().map(|(_, record)| record).collect())
    }

    /// The lines of each saga's history, in order.
    fn histories(&self) -> Result<BTreeMap<String, Vec<Map>>, String> {
        let mut histories: BTreeMap<String, Vec<Map>> = BTreeMap::new();
        for record in self.read("sim.order.history")? {
            let line = json::read(record.value.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
            let Some(Value::Map(entry)) = line.get("data") else { return Err(format!("{line:?} is no line of a history")) };
            let id = entry.get("sagaId").and_then(Value::as_str).unwrap_or_default().to_owned();
            histories.entry(id).or_default().push(entry.clone());
        }
        Ok(histories)
    }

    fn outlook(&self) -> Result<String, String> {
        let open = self.histories()?.into_iter().filter(|(_, lines)| lines.iter().all(|line| word(line, "what") != "ended"));
        let last = |lines: &[Map]| lines.last().map(|line| json::text(&line.clone().into()).unwrap_or_default());
        let open: Vec<_> = open.map(|(id, lines)| format!("{id}: {:?}", last(&lines))).collect();
        Ok(open.join("\n"))
    }

    /// The last state of every key.
    fn states(&self, topic: &str) -> Result<BTreeMap<String, Value>, String> {
        let mut states = BTreeMap::new();
        for record in self.read(topic)? {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            let state = json::read(record.value.as_deref().unwrap_or(b"null")).map_err(|error| error.to_string())?;
            states.insert(key, state);
        }
        Ok(states)
    }

    /// What all sagas came to, once all of them have ended; then everything must add up.
    fn ends(&self) -> Result<Option<Ends>, String> {
        let histories = self.histories()?;
        let is_ended =
            |id: &String| histories.get(id).is_some_and(|lines| lines.iter().any(|line| word(line, "what") == "ended"));
        if !self.orders.keys().all(is_ended) {
            return Ok(None);
        }
        let mut completed = BTreeSet::new();
        for (id, lines) in &histories {
            let numbers: Vec<i64> = lines.iter().map(|line| int(line.get("entry"))).collect();
            if !numbers.iter().copied().eq(1..=numbers.len() as i64) {
                return Err(format!("the history of `{id}` has the lines {numbers:?}"));
            }
            let ended: Vec<&Map> = lines.iter().filter(|line| word(line, "what") == "ended").collect();
            match ended[..] {
                [end] if word(end, "status") == "completed" => drop(completed.insert(id.clone())),
                [end] if word(end, "status") == "compensated" => {}
                _ => return Err(format!("`{id}` ended so: {ended:?}")),
            }
        }
        for (order, money) in self.states("sim.payments.snapshots")? {
            let (charged, refunded) = (int(money.get("charged")), int(money.get("refunded")));
            let due = if completed.contains(&order) { self.orders[&order] } else { 0 };
            if charged - refunded != due {
                return Err(format!("`{order}` has paid {charged}, got back {refunded}, and owes {due}"));
            }
        }
        for (sku, stock) in self.states("sim.stock.snapshots")? {
            let held = stock.get("held").and_then(Value::as_map).map_or(0, Map::len);
            if held > 0 || int(stock.get("free")) + int(stock.get("sold")) != 20 {
                return Err(format!("`{sku}` does not add up: {}", json::text(&stock).unwrap_or_default()));
            }
        }
        if let Some(letter) = self.read("sim.dlq")?.first() {
            return Err(format!("a dead letter: {letter:?}"));
        }
        let (outlived, cancelled) = self.outlived(&histories)?;
        let all = self.orders.len() as u64;
        let completed = completed.len() as u64;
        let (fired, crashes) = (self.fired.all(), self.crashes.clone());
        Ok(Some(Ends { completed, compensated: all - completed, outlived, cancelled, fired, crashes }))
    }
}

impl Shop {
    /// Every instance went on as it began: how many of the version before ended after the upgrade, and were cancelled then.
    fn outlived(&self, histories: &BTreeMap<String, Vec<Map>>) -> Result<(u64, u64), String> {
        let (mut outlived, mut cancelled) = (0, 0);
        for (id, lines) in histories {
            let steps: BTreeSet<&str> = lines.iter().map(|line| word(line, "step")).collect();
            let (before, after) = (["charge", "sell"], ["pay", "deliver"]);
            let has = |names: [&str; 2]| names.iter().any(|name| steps.contains(name));
            if has(before) && has(after) {
                return Err(format!("`{id}` began with one version and went on with another: {steps:?}"));
            }
            if let Some(was_cancelled) = self.under_way.get(id) {
                let is_cancel = |line: &Map| word(line, "what") == "compensating" && word(line, "reason") == "CHANGED";
                outlived += 1;
                cancelled += u64::from(!was_cancelled && lines.iter().any(is_cancel));
            }
        }
        Ok((outlived, cancelled))
    }
}

fn word<'m>(line: &'m Map, field: &str) -> &'m str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn int(value: Option<&Value>) -> i64 {
    value.and_then(Value::as_int).unwrap_or_default()
}

fn run(seed: u64) -> Result<Ends, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| Shop::new(seed).run()));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!(
            "panicked: {}",
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default()
        ))
    })
}

/// What all seeds came to together.
#[derive(Default)]
struct All {
    completed: u64,
    compensated: u64,
    outlived: u64,
    cancelled: u64,
    fired: BTreeMap<&'static str, u64>,
    crashes: BTreeMap<&'static str, u64>,
    failure: Option<(u64, String)>,
}

impl All {
    fn add(&mut self, seed: u64, run: Result<Ends, String>) {
        match run {
            Ok(ends) => {
                (self.completed, self.compensated) = (self.completed + ends.completed, self.compensated + ends.compensated);
                (self.outlived, self.cancelled) = (self.outlived + ends.outlived, self.cancelled + ends.cancelled);
                ends.fired.into_iter().for_each(|(kind, count)| *self.fired.entry(kind).or_default() += count);
                ends.crashes.into_iter().for_each(|(label, count)| *self.crashes.entry(label).or_default() += count);
            }
            Err(failure) => self.failure = self.failure.take().or(Some((seed, failure))),
        }
    }
}

/// A thousand seeds, in under two minutes: `SIM_SAGA_SEEDS=1000 cargo test --test sim every_saga`.
#[test]
fn every_saga_ends_once_and_goods_and_money_add_up() {
    if std::env::var_os("SIM_TRACE").is_some() {
        tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).without_time().with_writer(std::io::stderr).init();
    }
    let (first, count) = (setting("SIM_FIRST").unwrap_or(0), setting("SIM_SAGA_SEEDS").unwrap_or(40));
    let (next, all) = (AtomicU64::new(first), Mutex::new(All::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || skald::sync::lock(&all).failure.is_some() {
                        return;
                    }
                    let ends = run(seed);
                    skald::sync::lock(&all).add(seed, ends);
                }
            });
        }
    });
    let All { completed, compensated, outlived, cancelled, fired, crashes, failure } =
        all.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((seed, failure)) = failure {
        panic!("seed {seed}: {failure}\n\nrun it again: SIM_FIRST={seed} SIM_SAGA_SEEDS=1 cargo test --test sim every_saga");
    }
    println!("{completed} completed, {compensated} compensated; {fired:?}; crashes {crashes:?}");
    println!("{outlived} outlived their version, {cancelled} of them were cancelled then");
    if count >= 40 {
        assert!(completed > 0 && compensated > 0, "{completed} completed, {compensated} compensated");
        assert!(outlived > 0 && cancelled > 0, "{outlived} outlived their version, {cancelled} of them were cancelled then");
        for kind in ["kill", "upgrade", "clock ahead", "clock back"] {
            assert!(fired.contains_key(kind), "no `{kind}`: {fired:?}");
        }
        assert!(!crashes.is_empty());
    }
}

#[test]
fn the_same_seed_gives_the_same_sagas() {
    assert_eq!(run(5), run(5));
}

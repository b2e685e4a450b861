//! The samples with sagas on the production loop, crashed before and after every commit: a worker dies there, its disk is lost, and
//! the next one has the log alone to go on from.
//!
//! In a usual run every fourth of these deaths, others for each sample; all of them:
//! `SIM_SAMPLES=all cargo test --test sim samples_survive -- --nocapture`.

use crate::check;
use crate::folder::Folder;
use crate::process::Process;
use skald::broker::Broker;
use skald::broker::embedded::{Cluster, Options};
use skald::clock::{Clock, ManualClock};
use skald::node;
use skald::record::{Header, Record, TopicPartition, Value, json};
use skald::runtime::crash::{self, Armed, POINTS};
use skald::runtime::worker::Wait;
use skald::runtime::{Error, Prepared, Program, Settings, prepare};
use skald::state::SimulatedDisk;
use skald::topology::load;
use skald::topology::plan::{Owner, PlannedTopic, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a run may take, in virtual time.
const LONGEST: Duration = Duration::from_secs(3_600);
/// The goods are on the shelves by then.
const DELIVERED: Duration = Duration::from_secs(2);
/// Header of what was written a second time.
const COPY: &str = "x-copy";
/// One that ends well and one that does not are among them, of every sample.
const ORDERS: usize = 5;
/// Before a transaction begins; its end was sent and nobody answered; it is committed and nothing is applied; all is applied.
const DEATHS: [&str; 4] = ["c04", "c08", "c09", "c11"];

/// A sample, and where what its sagas move is to be found.
struct Sample {
    topologies: &'static [&'static str],
    /// Topology and saga.
    saga: (&'static str, &'static str),
    deliveries: &'static str,
    /// Topic and type of what an order begins with, and its data.
    order: (&'static str, &'static str, fn(&str) -> String),
    /// Aggregates: of orders, of money with what it says of money that is kept, of goods.
    orders: &'static str,
    money: (&'static str, &'static str),
    goods: &'static str,
    /// Does what was bought stay reserved?
    keeps: bool,
}

fn basket(id: &str) -> String {
    format!(
        r#"{{"orderId":"{id}","userId":"u","items":[{{"sku":"ale","quantity":2,"price":100}},{{"sku":"bun","quantity":2,"price":50}}]}}"#
    )
}

const SAMPLES: [Sample; 4] = [
    Sample {
        topologies: &["fulfilment"],
        saga: ("fulfilment", "fulfilment"),
        deliveries: "warehouse.deliveries",
        order: ("sales.requests", "order.create.v1", basket),
        orders: "orders",
        money: ("payments", "CHARGED"),
        goods: "stock",
        keeps: false,
    },
    Sample {
        topologies: &["order-saga"],
        saga: ("order-saga", "purchase"),
        deliveries: "shelf.deliveries",
        order: ("baskets", "basket.bought.v1", basket),
        orders: "orders",
        money: ("bank", "CHARGED"),
        goods: "shelf",
        keeps: true,
    },
    Sample {
        topologies: &["payment-saga"],
        saga: ("payment-saga", "purchase"),
        deliveries: "inventory.deliveries",
        order: ("purchases", "order.placed.v1", |id| format!(r#"{{"orderId":"{id}","sku":"ale","quantity":2,"amount":500}}"#)),
        orders: "orders",
        money: ("payments", "CHARGED"),
        goods: "inventory",
        keeps: true,
    },
    Sample {
        topologies: &["shop", "journey"],
        saga: ("journey", "journey"),
        deliveries: "stock.commands",
        order: ("orders.commands", "order.create.v1", basket),
        orders: "orders",
        money: ("payments", "CONFIRMED"),
        goods: "stock",
        keeps: false,
    },
];

fn program(name: &str) -> Arc<Program> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("topologies/{name}/{name}.yaml"));
    // One partition has every crash meet every saga.
    let text = std::fs::read_to_string(&path).expect("a sample").replace("partitions: 6", "partitions: 1");
    let folder = Folder(path.parent().expect("a folder").to_owned());
    let loaded = load(&path.display().to_string(), text.as_bytes(), &[], &folder);
    let (topology, plan) = loaded.checked.unwrap_or_else(|| panic!("{:?}", loaded.findings));
    Arc::new(Program::compile(&node::World::new(Arc::new(topology), Arc::new(plan))))
}

/// A sample with its workers.
struct Town<'s> {
    sample: &'s Sample,
    cluster: Cluster,
    clock: Arc<ManualClock>,
    workers: Vec<(Arc<Program>, Arc<Prepared>, Process)>,
    settings: Settings,
    deaths: u64,
    placed: bool,
    /// Is every record of these topics written a second time, once it is there? With how many have been.
    doubled: BTreeMap<String, usize>,
}

impl<'s> Town<'s> {
    fn new(sample: &'s Sample, programs: &[Arc<Program>]) -> Self {
        crash::disarm();
        let clock = Arc::new(ManualClock::new(1_700_000_000_000, 7));
        let cluster = Cluster::new(clock.clone(), Options::default());
        let admin = cluster.admin().expect("an embedded broker has an admin");
        let workers = programs.iter().enumerate().map(|(number, program)| {
            let prepared = prepare(&program.plan, &*admin, true).expect("an empty cluster takes every topic");
            (program.clone(), Arc::new(prepared), Process::new(number, 1, Duration::ZERO))
        });
        let settings = Settings { threads: 1, session_timeout: Duration::from_secs(6), ..Settings::default() };
        let mut town = Self {
            sample,
            workers: workers.collect(),
            cluster,
            clock,
            settings,
            deaths: 0,
            placed: false,
            doubled: BTreeMap::new(),
        };
        for sku in ["ale", "bun"] {
            town.send(sample.deliveries, sku, "stock.receive.v1", &format!(r#"{{"sku":"{sku}","quantity":7}}"#));
        }
        town
    }

    /// More is asked for than is there.
    fn place_orders(&mut self) {
        self.placed = true;
        let (topic, kind, data) = self.sample.order;
        for order in 0..ORDERS {
            let id = format!("o-{order}");
            self.send(topic, &id, kind, &data(&id));
        }
    }

    fn send(&mut self, topic: &str, key: &str, kind: &str, data: &str) {
        let record = Record {
            topic: topic.into(),
            partition: 0,
            timestamp: self.clock.wall(),
            key: Some(key.to_owned().into()),
            value: Some(format!(r#"{{"id":"{kind}/{key}","type":"{kind}","data":{data}}}"#).into()),
            headers: Vec::new(),
        };
        let mut producer = self.cluster.producer().expect("an embedded broker has producers");
        producer.send(&record).expect("nothing goes wrong here");
    }

    /// Everything happens until every saga has ended and nothing more is done for a while.
    fn live(&mut self) -> Result<(), String> {
        let mut ended_at = None;
        loop {
            let now = self.clock.mono();
            if now >= DELIVERED && !self.placed {
                self.place_orders();
            }
            if now > LONGEST {
                return Err("not all sagas have ended".to_owned());
            }
            if ended_at.is_some_and(|at| now > at + Duration::from_secs(60)) {
                return Ok(());
            }
            for (program, prepared, process) in &mut self.workers {
                if process.alive.is_none() && process.down_until <= now {
                    process.alive = Some(process.start(&self.cluster, &self.clock, program, prepared, &self.settings)?);
                }
            }
            let is_due = |process: &Process| {
                let slot = &process.alive.as_ref()?.workers[0];
                Some(slot.next_step <= now || slot.woken.load(Ordering::Relaxed)).filter(|due| *due)
            };
            match self.workers.iter().position(|(_, _, process)| is_due(process).is_some()) {
                Some(number) => self.step(number, now)?,
                None => {
                    self.double()?;
                    if ended_at.is_none() && self.ended()?.len() == ORDERS {
                        ended_at = Some(now);
                    }
                    self.sleep(now);
                }
            }
        }
    }

    fn step(&mut self, number: usize, now: Duration) -> Result<(), String> {
        let process = &mut self.workers[number].2;
        let slot = &mut process.alive.as_mut().expect("it is due").workers[0];
        slot.woken.store(false, Ordering::Relaxed);
        match slot.worker.step() {
            Ok(Wait::Now) => slot.next_step = now,
            Ok(Wait::For(time)) => slot.next_step = now + time,
            Ok(Wait::Stopped) => return Err("a worker stopped by itself".to_owned()),
            Err(Error::CrashPoint(_)) => {
                self.deaths += 1;
                process.alive = None;
                // The host is gone with all that it had.
                process.disk = SimulatedDisk::new();
                process.down_until = now + Duration::from_millis(500);
            }
            Err(error) => return Err(format!("a worker failed: {error:?}")),
        }
        Ok(())
    }

    fn sleep(&self, now: Duration) {
        let next = self.workers.iter().map(|(_, _, process)| match &process.alive {
            Some(alive) => alive.workers[0].next_step,
            None => process.down_until,
        });
        let placing = (!self.placed).then_some(DELIVERED);
        let until = next.chain(placing).chain(self.cluster.next_deadline()).min().unwrap_or(now);
        let millis = until.saturating_sub(now).as_micros().div_ceil(1000).max(1);
        self.clock.advance(Duration::from_millis(u64::try_from(millis).unwrap_or(1)));
        self.cluster.tick();
    }

    /// Writes what is new in the doubled topics once more.
    fn double(&mut self) -> Result<(), String> {
        for topic in self.doubled.keys().cloned().collect::<Vec<_>>() {
            let records = self.read(&topic)?;
            let seen = self.doubled.insert(topic.clone(), records.len()).unwrap_or_default();
            let is_copy = |record: &Record| record.headers.iter().any(|header| header.name == COPY);
            for mut record in records.into_iter().skip(seen).filter(|record| !is_copy(record)) {
                record.headers.push(Header::text(COPY, "1"));
                self.write(&record)?;
            }
        }
        Ok(())
    }

    fn write(&self, record: &Record) -> Result<(), String> {
        let mut producer = self.cluster.producer().map_err(|error| error.to_string())?;
        producer.send(record).map_err(|error| error.to_string())
    }

    /// Topics of commands, events and replies.
    fn said(&self) -> Vec<String> {
        let topics = self.workers.iter().flat_map(|(program, ..)| &program.plan.topics);
        let is_said = |topic: &&PlannedTopic| {
            // What comes from outside is not the sagas' to know again.
            let is_within = topic.owner == Owner::User && topic.name != self.sample.deliveries;
            is_within || topic.roles.contains(&Role::Replies)
        };
        topics.filter(is_said).map(|topic| topic.name.to_string()).collect()
    }

    fn read(&self, topic: &str) -> Result<Vec<Record>, String> {
        let records = check::read_at(&self.cluster, vec![(TopicPartition::new(topic, 0), 0)])?;
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    fn history(&self) -> Result<Vec<Value>, String> {
        let (topology, saga) = self.sample.saga;
        let lines = self.read(&format!("{topology}.{saga}.history"))?;
        lines.iter().map(|line| Ok(field(&value(line)?, "data"))).collect()
    }

    /// How each saga ended that has.
    fn ended(&self) -> Result<BTreeMap<String, String>, String> {
        let ends = self.history()?.into_iter().filter(|line| text(line, "what") == "ended");
        Ok(ends.map(|line| (text(&line, "sagaId"), text(&line, "status"))).collect())
    }

    /// The last state of each key of an aggregate.
    fn states(&self, node: &str) -> Result<BTreeMap<String, Value>, String> {
        let topic = format!("{}.{node}.snapshots", self.sample.topologies[0]);
        let states = self.read(&topic)?.into_iter().map(|record| {
            let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
            Ok((key, value(&record)?))
        });
        states.collect()
    }

    /// Each saga ended once, and what it moved is kept or given back.
    fn check(&self) -> Result<(usize, usize), String> {
        let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in self.history()? {
            lines.entry(text(&line, "sagaId")).or_default().push(line);
        }
        let ends = self.ended()?;
        for (id, lines) in &lines {
            let numbers: Vec<i64> = lines.iter().filter_map(|line| field(line, "entry").as_int()).collect();
            let ended = lines.iter().filter(|line| text(line, "what") == "ended").count();
            if ended != 1 || !numbers.iter().copied().eq(1..=lines.len() as i64) {
                return Err(format!("the history of `{id}` has the lines {numbers:?} and {ended} ends"));
            }
        }
        let with = |status: &str| -> BTreeSet<String> {
            ends.iter().filter(|(_, end)| *end == status).map(|(id, _)| id.clone()).collect()
        };
        let (completed, compensated) = (with("completed"), with("compensated"));
        if completed.len() + compensated.len() != ORDERS {
            return Err(format!("they ended so: {ends:?}"));
        }
        let orders = self.states(self.sample.orders)?;
        let confirmed: BTreeSet<String> =
            orders.into_iter().filter(|(_, order)| text(order, "status") == "CONFIRMED").map(|(id, _)| id).collect();
        if confirmed != completed {
            return Err(format!("{confirmed:?} are confirmed and {completed:?} completed"));
        }
        let (node, kept) = self.sample.money;
        let paid = self.states(node)?.into_values().filter(|money| text(money, "status") == kept).count();
        if paid != completed.len() {
            return Err(format!("{paid} have paid, {} are completed", completed.len()));
        }
        for (sku, goods) in self.states(self.sample.goods)? {
            let reserved: BTreeSet<String> = match field(&goods, "reserved") {
                Value::Map(reserved) => reserved.iter().map(|(order, _)| order.to_string()).collect(),
                _ => BTreeSet::new(),
            };
            let ok = if self.sample.keeps { reserved.is_subset(&completed) } else { reserved.is_empty() };
            if !ok {
                return Err(format!("of `{sku}` is reserved for {reserved:?}"));
            }
        }
        for topology in self.sample.topologies {
            if let Some(letter) = self.read(&format!("{topology}.dlq"))?.first() {
                return Err(format!("a dead letter: {letter:?}"));
            }
        }
        Ok((completed.len(), compensated.len()))
    }
}

fn value(record: &Record) -> Result<Value, String> {
    json::read(record.value.as_deref().unwrap_or(b"null")).map_err(|error| error.to_string())
}

fn field(value: &Value, name: &str) -> Value {
    value.get(name).cloned().unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Passings of the points of death so far on this thread.
fn passings() -> BTreeMap<&'static str, u64> {
    POINTS.into_iter().zip(crash::passed()).filter(|(label, _)| DEATHS.contains(label)).collect()
}

#[test]
fn the_samples_survive_a_death_before_and_after_every_commit() {
    let every = if std::env::var("SIM_SAMPLES").is_ok_and(|which| which == "all") { 1 } else { 4 };
    for (number, sample) in SAMPLES.iter().enumerate() {
        let programs: Vec<_> = sample.topologies.iter().map(|name| program(name)).collect();
        let before = passings();
        let mut calm = Town::new(sample, &programs);
        let ends = calm.live().and_then(|()| calm.check());
        let (completed, compensated) = ends.unwrap_or_else(|failure| panic!("{:?}: {failure}", sample.saga));
        assert!(completed > 0 && compensated > 0, "{:?}: {completed} completed, {compensated} compensated", sample.saga);
        let passed = passings();
        let (mut runs, mut deaths) = (0, 0);
        for label in DEATHS {
            let commits = passed[label] - before[label];
            for passing in (1..=commits).filter(|passing| (passing + number as u64).is_multiple_of(every)) {
                let mut town = Town::new(sample, &programs);
                crash::arm(Armed { label, passing });
                let ends = town.live().and_then(|()| town.check());
                if let Err(failure) = ends {
                    panic!("{:?}, dead at {label} for the {passing}. time: {failure}", sample.saga);
                }
                runs += 1;
                deaths += town.deaths;
            }
        }
        println!("{:?}: {completed} completed, {compensated} compensated; {runs} runs, {deaths} deaths", sample.saga);
        assert!(deaths > 0 && deaths >= runs * 9 / 10, "{:?}: {deaths} deaths in {runs} runs", sample.saga);
    }
}

#[test]
fn the_samples_put_up_with_everything_said_twice_and_with_replies_before_their_saga() {
    for sample in &SAMPLES {
        let programs: Vec<_> = sample.topologies.iter().map(|name| program(name)).collect();
        let play = |town: &mut Town<'_>| town.live().and_then(|()| town.check());
        let mut calm = Town::new(sample, &programs);
        let told = |ends: Result<(usize, usize), String>, how: &str| {
            ends.unwrap_or_else(|failure| panic!("{:?}, {how}: {failure}", sample.saga))
        };
        told(play(&mut calm), "calm");

        let mut twice = Town::new(sample, &programs);
        twice.doubled = twice.said().into_iter().map(|topic| (topic, 0)).collect();
        let (completed, compensated) = told(play(&mut twice), "everything said twice");
        assert!(completed > 0 && compensated > 0, "{:?}: {completed} completed, {compensated} compensated", sample.saga);
        let copies: usize = twice.doubled.values().sum();
        assert!(copies > 50, "{:?}: {copies} records and copies", sample.saga);

        // Ids of commands follow from what they are for, so these replies are about the very commands that are to come.
        let (topology, saga) = sample.saga;
        let replies = format!("{topology}.{saga}.replies");
        if !calm.said().contains(&replies) {
            continue;
        }
        let mut early = Town::new(sample, &programs);
        let replies = calm.read(&replies).expect("it was read before");
        assert!(replies.len() > ORDERS, "{:?}: {} replies", sample.saga, replies.len());
        replies.iter().for_each(|reply| early.write(reply).expect("nothing goes wrong here"));
        told(play(&mut early), "replies before their saga");
    }
}

//! Engines on threads of their own, on the embedded broker in real time.

use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, Isolation, Limit, TroubleKind};
use crate::clock::SystemClock;
use crate::node::World;
use crate::record::{Offset, Record, Text, TopicPartition, partition_of};
use crate::runtime::epoch::{Epoch, NotWritten};
use crate::runtime::{Engine, Exit, Lookup, Prepared, Program, Running, Settings, TaskPhase, prepare};
use crate::state::layout::{Tag, entity};
use crate::state::{Memory, Stores};
use crate::telemetry::Telemetry;
use crate::topology::model::Topology;
use crate::topology::plan::Plan;
use crate::topology::{self, NoSources};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A topology file without findings that matter.
pub(super) fn checked(text: &str) -> (Topology, Plan) {
    let loaded = topology::load("test.yaml", text.as_bytes(), &[], &NoSources);
    assert!(!loaded.has_errors(), "{:#?}", loaded.findings);
    loaded.checked.expect("a file without errors has a plan")
}

/// An engine of worker `a` that runs a file on a cluster, whose topics are made where they are missing.
pub(super) fn engine_of(text: &str, cluster: &Cluster, clock: &Arc<SystemClock>, stores: &Arc<dyn Stores>) -> Engine {
    let (topology, plan) = checked(text);
    let plan = Arc::new(plan);
    let prepared = prepare(&plan, &*cluster.admin().expect("there is one"), true).expect("the cluster fits");
    Engine {
        program: Arc::new(Program::compile(&World::new(Arc::new(topology), plan))),
        prepared: Arc::new(prepared),
        broker: Arc::new(cluster.clone()),
        stores: stores.clone(),
        clock: clock.clone(),
        telemetry: Telemetry::new(),
        settings: Settings { worker: Some("a".into()), ..Settings::default() },
    }
}

/// Orders keyed by their id are counted per customer, so they go through a repartition topic; every total is told, large ones to
/// a topic whose name is computed.
const TOPOLOGY: &str = r#"
skald: 1
topology: counts
topics:
  orders: { partitions: 3, key: data.id, types: { order.placed.v1: {} } }
  totals: { partitions: 2, types: { total.v1: {} } }
aggregates:
  customers:
    from: orders
    key: data.customer
    initial: { n: 0, sum: 0 }
    evolve:
      order.placed.v1:
        set: { n: =state.n + 1, sum: =state.sum + data.amount }
    updates:
      - { type: total.v1, to: totals, key: key, data: { customer: =key, n: =state.n, sum: =state.sum } }
pipelines:
  large:
    from: orders
    steps:
      - filter: data.amount > 90
      - emit: { type: large.v1, to: ="large." + data.customer, key: data.id }
"#;

pub(super) struct Bench {
    pub(super) cluster: Cluster,
    clock: Arc<SystemClock>,
    program: Arc<Program>,
    prepared: Arc<Prepared>,
    stores: Arc<dyn Stores>,
    pub(super) settings: Settings,
}

impl Bench {
    pub(super) fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let cluster = Cluster::new(clock.clone(), Options::default());
        let (topology, plan) = checked(TOPOLOGY);
        let plan = Arc::new(plan);
        let prepared = prepare(&plan, &*cluster.admin().expect("there is one"), true).expect("an empty cluster takes all");
        let program = Program::compile(&World::new(Arc::new(topology), plan));
        Self {
            cluster,
            clock,
            program: Arc::new(program),
            prepared: Arc::new(prepared),
            stores: Arc::new(Memory::new()),
            settings: Settings::default(),
        }
    }

    fn start(&self, worker: &str, threads: usize) -> Running {
        self.start_on(Arc::new(self.cluster.clone()), worker, threads)
    }

    pub(super) fn start_on(&self, broker: Arc<dyn Broker>, worker: &str, threads: usize) -> Running {
        let engine = Engine {
            program: self.program.clone(),
            prepared: self.prepared.clone(),
            broker,
            stores: self.stores.clone(),
            clock: self.clock.clone(),
            telemetry: Telemetry::new(),
            settings: Settings { worker: Some(worker.into()), threads, ..self.settings.clone() },
        };
        engine.start().expect("threads can be had")
    }

    pub(super) fn send(&self, numbers: std::ops::Range<i64>) {
        let mut producer = self.cluster.producer().expect("there is one");
        for number in numbers {
            let key = format!("o{number}");
            let value = format!(
                r#"{{"id":"e{number}","type":"order.placed.v1","data":{{"id":"{key}","customer":"c{}","amount":{}}}}}"#,
                number % 7,
                number % 100
            );
            let record = Record {
                topic: "orders".into(),
                partition: partition_of(key.as_bytes(), 3),
                timestamp: number,
                key: Some(key.into_bytes().into()),
                value: Some(value.into_bytes().into()),
                headers: Vec::new(),
            };
            producer.send(&record).expect("sent");
        }
    }

    fn read(&self, topic: &str, partitions: i32) -> Vec<Record> {
        let mut reader = self.cluster.log_reader(Isolation::ReadCommitted).expect("there is one");
        let mut from: Vec<(TopicPartition, Offset)> =
            (0..partitions).map(|partition| (TopicPartition::new(topic, partition), 0)).collect();
        let limit = Limit { records: usize::MAX, time: Duration::ZERO };
        let mut records = Vec::new();
        reader.assign(&from).expect("the topic is there");
        loop {
            let before = records.len();
            match reader.poll(limit, &mut |record| records.push(record.to_record())) {
                Ok(()) if records.len() == before => return records,
                Ok(()) => {}
                Err(trouble) => {
                    // Records at the start were deleted: the next offset that may be there.
                    assert_eq!(trouble.kind, TroubleKind::OffsetOutOfRange);
                    let one = from.iter_mut().find(|(one, _)| *one == trouble.input).expect("one of those");
                    one.1 += 1;
                    records.clear();
                    reader.assign(&from).expect("the topic is there");
                }
            }
        }
    }
}

/// Waits for a condition, at most a minute.
pub(super) fn wait_for(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never came: {what}");
}

pub(super) fn sums(numbers: std::ops::Range<i64>) -> BTreeMap<String, (i64, i64)> {
    let mut sums = BTreeMap::<String, (i64, i64)>::new();
    for number in numbers {
        let (count, sum) = sums.entry(format!("c{}", number % 7)).or_default();
        (*count, *sum) = (*count + 1, *sum + number % 100);
    }
    sums
}

/// The last total told of each customer.
pub(super) fn told(bench: &Bench) -> BTreeMap<String, (i64, i64)> {
    let mut told = BTreeMap::new();
    for record in bench.read("totals", 2) {
        let value = crate::record::json::read(&record.value.expect("no tombstones here")).expect("JSON");
        let data = value.get("data").expect("an envelope");
        let number = |field: &str| data.get(field).and_then(|value| value.as_int()).expect("a number");
        let customer = data.get("customer").and_then(|value| value.as_str()).expect("text").to_owned();
        told.insert(customer, (number("n"), number("sum")));
    }
    told
}

#[test]
fn engines_share_the_work_hand_it_over_and_count_every_record_once() {
    let bench = Bench::new();
    bench.send(0..500);
    let first = bench.start("a", 2);
    wait_for("the first five hundred", || told(&bench) == sums(0..500));
    assert!(first.snapshot().ready);

    let second = bench.start("b", 1);
    wait_for("a share for the second", || !second.registry().tasks().is_empty());
    bench.send(500..1000);
    wait_for("a thousand", || told(&bench) == sums(0..1000));

    first.stop();
    assert!(matches!(first.wait(), Exit::Stopped));
    bench.send(1000..1500);
    wait_for("the second alone", || told(&bench) == sums(0..1500));
    assert_eq!(bench.read("totals", 2).len(), 1500, "one update per order");

    // What can be asked is what was told.
    let partitions = bench.prepared.tasks[1].max(bench.prepared.tasks[0]);
    wait_for("every task to run", || second.registry().tasks().iter().all(|task| task.phase == TaskPhase::Running));
    for (customer, (n, sum)) in sums(0..1500) {
        let partition = partition_of(customer.as_bytes(), partitions);
        let Lookup::Running(reader) = second.registry().find("customers", partition) else { panic!("it runs here") };
        let stored = reader.store.get(&Tag::State.key(customer.as_bytes())).expect("readable").expect("there");
        let entity = entity::read(&stored).expect("written by this engine");
        let number = |field: &str| entity.value.get(field).and_then(|value| value.as_int());
        assert_eq!((number("n"), number("sum"), entity.version), (Some(n), Some(sum), n as u64), "{customer}");
    }

    second.stop();
    assert!(matches!(second.wait(), Exit::Stopped));
}

#[test]
fn what_was_repartitioned_is_deleted_once_it_is_committed_and_a_restart_goes_on() {
    let mut bench = Bench::new();
    bench.settings.purge_interval = Duration::from_millis(20);
    let repartition = "counts.customers.repartition";
    let left = || bench.read(repartition, 3).len();
    bench.send(0..300);
    let first = bench.start("a", 1);
    wait_for("three hundred", || told(&bench) == sums(0..300));
    wait_for("an empty repartition topic", || left() == 0);
    first.stop();
    assert!(matches!(first.wait(), Exit::Stopped));

    bench.send(300..500);
    let second = bench.start("a", 1);
    wait_for("five hundred", || told(&bench) == sums(0..500));
    wait_for("an empty repartition topic again", || left() == 0);
    assert_eq!(bench.read("totals", 2).len(), 500, "one update per order");
    second.stop();
    assert!(matches!(second.wait(), Exit::Stopped));
}

#[test]
fn a_topic_of_a_computed_name_is_used_once_it_is_there() {
    let bench = Bench::new();
    let topic =
        |name: &str| crate::broker::TopicSpec { name: name.into(), partitions: 1, replication: None, config: BTreeMap::new() };
    let engine = bench.start("a", 1);
    wait_for("an assignment", || engine.snapshot().ready);
    // Made after the start, so nothing is known of it; `large.c5` never is.
    bench.cluster.create_topic(&topic("large.c4")).expect("a new topic");
    bench.send(95..97);
    wait_for("an order for a known topic", || bench.read("large.c4", 1).len() == 1);
    let letters = || bench.read("counts.dlq", bench.prepared.topics[bench.program.plan.dead_letters].partitions as i32);
    wait_for("a dead letter for the other", || letters().len() == 1);
    let code = |number: usize| {
        let header = letters()[number].headers.iter().find(|header| header.name == "__skald.errors.code").cloned();
        header.and_then(|header| header.value)
    };
    assert_eq!(code(0).as_deref(), Some(&b"UNKNOWN_TOPIC"[..]));

    // Deleted while it is known: the first delivery tells, and what names it is a dead letter as before it was there.
    bench.cluster.delete_topic("large.c4").expect("it was there");
    bench.send(95..96);
    wait_for("a dead letter for what is gone", || letters().len() == 2);
    assert_eq!(code(1).as_deref(), Some(&b"UNKNOWN_TOPIC"[..]));
    engine.stop();
    assert!(matches!(engine.wait(), Exit::Stopped));
}

#[test]
fn names_that_no_topic_has_are_remembered_in_bounds_and_take_no_topic_s_place() {
    let bench = Bench::new();
    let mut epoch = Epoch::new(&bench.program, &bench.prepared);
    let (outputs, now) = (&mut epoch.outputs, Duration::ZERO);
    for number in 0..60_000 {
        outputs.learn(&format!("none-{number}"), None, now);
    }
    outputs.learn("there", Some(1), now);
    assert!(outputs.named("there", now).is_ok());
    assert_eq!(outputs.named("none-59999", now), Err(NotWritten::NoTopic));
    assert_eq!(outputs.unknown, None, "it is known not to be there");
    assert_eq!(outputs.named("none-0", now), Err(NotWritten::NoTopic));
    assert_eq!(outputs.unknown.take().as_ref().map(Text::as_str), Some("none-0"), "it is looked up again");

    assert!(outputs.is_gone("there"));
    assert_eq!(outputs.named("there", now), Err(NotWritten::NoTopic));
    assert_eq!(outputs.unknown.take().as_ref().map(Text::as_str), Some("there"), "it is looked up again");
    outputs.learn("there", Some(2), now);
    assert!(outputs.named("there", now).is_ok());
    assert!(outputs.is_refused("there", now), "what may not be written to is not there for a record");
    assert_eq!((outputs.named("there", now), outputs.unknown.take()), (Err(NotWritten::NoTopic), None));
    let declared = bench.program.plan.topics[0].name.clone();
    assert!(!outputs.is_gone(&declared) && !outputs.is_refused(&declared, now), "a declared one is another matter");
}

#[test]
fn a_second_process_with_one_id_takes_over_and_the_first_says_why_it_ends() {
    let bench = Bench::new();
    let first = bench.start("same", 1);
    wait_for("an assignment", || first.snapshot().ready);
    let second = bench.start("same", 1);
    wait_for("the end of the first", || first.is_over());
    match first.wait() {
        Exit::Failed(error) => assert!(error.to_string().contains("another worker runs as"), "{error}"),
        other => panic!("{other:?}"),
    }
    second.stop();
    assert!(matches!(second.wait(), Exit::Stopped));
}

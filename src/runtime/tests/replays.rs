//! Dead letters that an operator replays: in the end all is as if they had never failed.

use super::committed;
use super::engine::{engine_of, wait_for};
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Batch, Broker, NewRecord, Op};
use crate::clock::SystemClock;
use crate::dlq::{Chosen, Done, Edit, Error, Filed, Filter, Found, Order, Redrive, Refusal, Shelf};
use crate::reading::Lookup;
use crate::record::{Offset, Partition, Record, partition_of};
use crate::runtime::{Exit, Running};
use crate::state::{Memory, Stores};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) const PARTITIONS: u32 = 3;
pub(super) const LETTERS: &str = "replays.dlq";

/// One aggregate reads numbers as they are keyed, one by another key, a pipeline passes them on. As it is written first, zeros, a
/// group that is missing and a `strict` that is no text fail; mended, nothing does.
fn topology(mended: bool) -> String {
    let by = |field: &str| match mended {
        true => format!("(data.{field} == 0 ? 0 : 100 / data.{field})"),
        false => format!("100 / data.{field}"),
    };
    let group = if mended { "has(data.group) ? data.group : 'none'" } else { "data.group" };
    let strict = if mended { "{}" } else { "{ type: string }" };
    format!(
        r#"
skald: 1
topology: replays
topics:
  numbers:
    partitions: {PARTITIONS}
    key: data.id
    types:
      number.v1:
        type: object
        required: [id, by, half, third]
        properties:
          id: {{ type: string }}
          by: {{ type: integer }}
          half: {{ type: integer }}
          third: {{ type: integer }}
          group: {{ type: string }}
          strict: {strict}
  told: {{ partitions: 2, types: {{ direct.v1: {{}}, grouped.v1: {{}} }} }}
  copies: {{ partitions: 2, types: {{ copy.v1: {{}} }} }}
aggregates:
  direct:
    from: numbers
    initial: {{ n: 0 }}
    evolve:
      number.v1:
        set:
          n: "=state.n + {by}"
    updates: {{ type: direct.v1, to: told, key: key, data: {{}} }}
  groups:
    from: numbers
    key: "{group}"
    initial: {{ n: 0 }}
    evolve:
      number.v1:
        set:
          n: "=state.n + {third}"
    updates: {{ type: grouped.v1, to: told, key: key, data: {{}} }}
pipelines:
  copy:
    from: numbers
    steps:
      - emit:
          type: copy.v1
          to: copies
          key: data.id
          data:
            half: "={half}"
            at: =record.offset
            headers: =headers
"#,
        by = by("by"),
        third = by("third"),
        half = by("half"),
    )
}

pub(super) struct Bench {
    pub(super) cluster: Cluster,
    clock: Arc<SystemClock>,
    stores: Arc<dyn Stores>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { cluster: Cluster::new(clock.clone(), Options::default()), clock, stores: Arc::new(Memory::new()) }
    }

    fn start(&self, mended: bool) -> Running {
        self.run(&topology(mended))
    }

    /// A worker of a file whose topology is called `replays`.
    pub(super) fn run(&self, text: &str) -> Running {
        let mut engine = engine_of(text, &self.cluster, &self.clock, &self.stores);
        engine.settings.threads = 2;
        engine.start().expect("threads can be had")
    }

    fn send(&self, numbers: &[Number]) {
        let mut producer = self.cluster.producer().expect("there is one");
        for number in numbers {
            producer.send(&number.record()).expect("sent");
        }
    }

    pub(super) fn read(&self, topic: &str) -> Vec<(Offset, Record)> {
        committed(&self.cluster, topic)
    }

    pub(super) fn count(&self, topic: &str) -> usize {
        self.read(topic).len()
    }

    fn outputs(&self) -> usize {
        self.count("told") + self.count("copies")
    }

    fn wait(&self, outputs: usize, letters: usize) {
        wait_for("the first run", || (self.outputs(), self.count(LETTERS)) == (outputs, letters));
    }

    pub(super) fn letters(&self) -> Vec<Filed> {
        let mut shelf = Shelf::open(&self.cluster, LETTERS).expect("it is there");
        let mut letters = Vec::new();
        let each = &mut |record: &crate::record::RecordRef<'_>, found: crate::dlq::Result<Found>| {
            letters.push(Filed { record: record.to_record(), offset: record.offset, found: found.expect("a letter") });
            ControlFlow::Continue(())
        };
        shelf.each(each).expect("readable");
        letters
    }

    pub(super) fn redrive(&self) -> Redrive {
        Redrive::open(&self.cluster, LETTERS, 3).expect("all is there")
    }

    fn replay(&self, chosen: &Chosen<'_>) -> Done {
        self.redrive().replay(chosen, &Order::default(), 7, &mut || 1, &mut |_, _| ControlFlow::Continue(())).expect("done")
    }

    /// What is known in the end: states by aggregate and key, ids of what was written, copies as they are.
    fn known(&self) -> (BTreeMap<String, String>, BTreeSet<String>, BTreeSet<String>) {
        let text = |bytes: Option<bytes::Bytes>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
        let mut states = BTreeMap::new();
        for name in ["direct", "groups"] {
            for (_, record) in self.read(&format!("replays.{name}.snapshots")) {
                states.insert(format!("{name} {}", text(record.key)), text(record.value));
            }
        }
        let id = |value: &str| {
            let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
            value["id"].as_str().expect("an id").to_owned()
        };
        let told = self.read("told").into_iter().map(|(_, record)| id(&text(record.value)));
        let copies = self.read("copies").into_iter().map(|(_, record)| text(record.value));
        (states, told.collect(), copies.collect())
    }
}

pub(super) fn stop(running: Running) {
    running.stop();
    assert!(matches!(running.wait(), Exit::Stopped));
}

#[derive(Clone, Debug)]
struct Number {
    id: u64,
    by: u64,
    half: u64,
    third: u64,
    group: Option<u64>,
    strict: bool,
}

impl Number {
    fn record(&self) -> Record {
        let Self { id, by, half, third, group, strict } = self;
        let group = group.map_or(String::new(), |group| format!(r#","group":"g{group}""#));
        let strict = if *strict { String::new() } else { r#","strict":1"#.into() };
        let value =
            format!(r#"{{"type":"number.v1","data":{{"id":"k{id}","by":{by},"half":{half},"third":{third}{group}{strict}}}}}"#);
        let key = format!("k{id}");
        Record {
            topic: "numbers".into(),
            partition: partition_of(key.as_bytes(), PARTITIONS),
            timestamp: 1_000 + i64::try_from(*by).unwrap(),
            key: Some(key.into_bytes().into()),
            value: Some(value.into_bytes().into()),
            headers: vec![crate::record::Header::text("tenant", "t1")],
        }
    }
}

fn numbers(seed: u64) -> Vec<Number> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut draw = |below: u64| random.u64(..below);
    let number = |_| Number {
        id: draw(9),
        by: draw(4),
        half: draw(4),
        third: draw(4),
        group: Some(draw(4)).filter(|group| *group > 0),
        strict: draw(6) > 0,
    };
    (0..40).map(number).collect()
}

/// What comes of numbers in the first run: outputs and dead letters.
fn first_run(numbers: &[Number]) -> (usize, usize) {
    let strict = numbers.iter().filter(|number| number.strict);
    let failures = |number: &Number| {
        let grouped = number.group.is_none() || number.third == 0;
        usize::from(number.by == 0) + usize::from(number.half == 0) + usize::from(grouped)
    };
    let failed: usize = strict.clone().map(failures).sum();
    let strict = strict.count();
    (3 * strict - failed, failed + numbers.len() - strict)
}

#[test]
fn letters_replayed_after_the_file_was_mended_give_what_a_run_gives_that_never_failed() {
    for seed in 0..4 {
        let numbers = numbers(seed);
        let reference = Bench::new();
        let running = reference.start(true);
        reference.send(&numbers);
        wait_for("all outputs", || reference.outputs() == 3 * numbers.len());
        stop(running);
        assert_eq!(reference.count(LETTERS), 0, "seed {seed}");

        let bench = Bench::new();
        let running = bench.start(false);
        bench.send(&numbers);
        let (outputs, letters) = first_run(&numbers);
        bench.wait(outputs, letters);
        stop(running);
        assert!(letters > 10, "seed {seed}: {letters}");

        let running = bench.start(true);
        let done = bench.replay(&Chosen::default());
        assert_eq!((done.acted as usize, done.refused), (letters, 0), "seed {seed}: {done:?}");
        wait_for("all outputs", || bench.outputs() == 3 * numbers.len());
        stop(running);
        assert_eq!(bench.count(LETTERS), letters, "seed {seed}: nothing failed again");
        assert_eq!(bench.known(), reference.known(), "seed {seed}");
    }
}

#[test]
fn what_fails_again_is_a_letter_of_the_same_id_until_it_was_replayed_often_enough() {
    let bench = Bench::new();
    let running = bench.start(false);
    bench.send(&[Number { id: 1, by: 0, half: 1, third: 1, group: Some(1), strict: true }]);
    wait_for("a letter", || bench.count(LETTERS) == 1);
    for replays in 1..=3 {
        let done = bench.replay(&Chosen::default());
        assert_eq!((done.acted, done.refused, done.settled), (1, 0, replays - 1), "the letters before are settled");
        wait_for("another letter", || bench.count(LETTERS) == 1 + replays as usize);
    }
    let letters = bench.letters();
    let told: Vec<_> = letters
        .iter()
        .map(|letter| match &letter.found {
            Found::Own(report) => (report.replays, report.attempts, report.first_at, report.id.clone(), report.origin.clone()),
            Found::Foreign(told) => panic!("{told:?}"),
        })
        .collect();
    for (at, letter) in told.iter().enumerate() {
        assert_eq!((letter.0 as usize, letter.1 as usize), (at, at + 1));
        assert_eq!((&letter.2, &letter.3, &letter.4), (&told[0].2, &told[0].3, &told[0].4));
    }
    let original = |letter: &Filed| {
        let own = letter.record.headers.iter().map(|header| header.name.as_str());
        (
            letter.record.key.clone(),
            letter.record.value.clone(),
            letter.record.timestamp,
            own.take(2).map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    assert_eq!(original(&letters[0]), original(&letters[3]), "however often it fails, its original is kept as it was");
    let done = bench.replay(&Chosen::default());
    assert_eq!((done.acted, done.refusals[0].why.clone()), (0, Refusal::TooOften(3)));
    stop(running);
}

#[test]
fn a_tool_that_stops_between_two_batches_or_in_one_leaves_nothing_undone_or_done_twice() {
    let bench = Bench::new();
    let running = bench.start(false);
    bench.send(&numbers(7));
    let (outputs, letters) = first_run(&numbers(7));
    bench.wait(outputs, letters);
    stop(running);
    let inboxes =
        || ["direct", "groups", "copy"].iter().map(|node| bench.count(&format!("replays.{node}.inbox"))).sum::<usize>();

    // Between two batches.
    let mut redrive = bench.redrive();
    let done = redrive.replay(&Chosen::default(), &Order::default(), 4, &mut || 1, &mut |_, _| ControlFlow::Break(()));
    assert_eq!(done.expect("one batch").acted, 4);
    assert_eq!((inboxes(), bench.count("replays.audit")), (4, 4));
    drop(redrive);
    // In one.
    let mut lane = Lookup::sending(&bench.cluster, "replays.redrive", 1 << 20).expect("there is one");
    let mut batch = Batch::new(vec!["replays.direct.inbox".into()]);
    batch.push(NewRecord { topic: 0, partition: 0, timestamp: 0, key: None, value: Some(b"half"), headers: &[] });
    for op in [Op::Init, Op::Begin, Op::Produce(Arc::new(batch)), Op::Drain] {
        lane.ask(op).expect("done");
    }
    // One who came before cannot go on, and says so.
    let mut first = bench.redrive();
    let done = bench.replay(&Chosen { limit: Some(3), ..Chosen::default() });
    assert_eq!((done.acted, done.settled), (3, 4));
    let fenced = first.replay(&Chosen::default(), &Order::default(), 7, &mut || 1, &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "{fenced:?}");
    let done = bench.replay(&Chosen::default());
    assert_eq!((done.acted as usize, done.settled), (letters - 7, 7));
    assert_eq!((inboxes(), bench.count("replays.audit")), (letters, letters), "each once");
    drop(lane);
    assert_eq!(bench.replay(&Chosen { again: true, limit: Some(2), ..Chosen::default() }).acted, 2);
}

#[test]
fn letters_are_chosen_and_discarded_and_edited() {
    let bench = Bench::new();
    let running = bench.start(false);
    let zero = |id, by, half| Number { id, by, half, third: 1, group: Some(1), strict: true };
    bench.send(&[zero(1, 0, 0), zero(2, 0, 1), zero(3, 1, 0)]);
    wait_for("four letters", || bench.count(LETTERS) == 4);
    let filter = Filter::compile("error.node == 'copy'").expect("compiles");
    let order = Order { reason: "test data".into(), by: "ada".into(), edit: Edit::default() };
    let chosen = Chosen { filter: Some(&filter), ..Chosen::default() };
    let done = bench.redrive().discard(&chosen, &order, &mut || 1, &mut |_, _| ControlFlow::Continue(())).expect("done");
    assert_eq!((done.acted, done.settled), (2, 0));
    let told = String::from_utf8(bench.read("replays.audit")[0].1.value.clone().unwrap().to_vec()).unwrap();
    assert!(told.contains(r#""act":"discarded""#) && told.contains("test data") && told.contains("ada"), "{told}");

    // One is mended by hand; its effects are those of its own place.
    let mended = zero(2, 50, 1).record();
    let place = bench.letters().iter().find(|letter| letter.record.key.as_deref() == Some(b"k2")).map(|letter| {
        let place: (Partition, Offset) = (letter.record.partition, letter.offset);
        place
    });
    let places = [place.expect("it failed")];
    let order = Order { edit: Edit { value: mended.value, key: None }, ..Order::default() };
    let chosen = Chosen { places: &places, ..Chosen::default() };
    let done = bench.redrive().replay(&chosen, &order, 7, &mut || 1, &mut |_, _| ControlFlow::Continue(())).expect("done");
    assert_eq!((done.acted, done.refused), (1, 0));
    wait_for("its effect", || bench.known().0.get("direct k2").is_some_and(|state| state == r#"{"n":2}"#));
    assert_eq!(bench.count("replays.direct.inbox"), 1);
    assert_eq!(bench.count(LETTERS), 4);
    stop(running);
}

#[test]
fn what_lies_in_an_inbox_and_is_no_replay_is_a_dead_letter_itself_and_is_not_replayed() {
    let bench = Bench::new();
    let running = bench.start(false);
    let mut producer = bench.cluster.producer().expect("there is one");
    let number = Number { id: 1, by: 1, half: 1, third: 1, group: Some(1), strict: true };
    let header = |name: &str, value: &str| crate::record::Header::text(name.to_owned(), value);
    for headers in [
        vec![],
        vec![header("__skald.replay", "1/1/0/node/direct")],
        vec![header("__skald.replay", "1/1/0/node/nobody"), header("__skald.origin", "0/1/2/numbers/k1")],
        vec![header("__skald.replay", "many"), header("__skald.origin", "0/1/2/numbers/k1")],
    ] {
        producer.send(&Record { topic: "replays.direct.inbox".into(), headers, ..number.record() }).expect("sent");
    }
    wait_for("letters of all", || bench.count(LETTERS) == 4);
    assert_eq!(bench.outputs(), 0);
    let done = bench.replay(&Chosen::default());
    assert_eq!((done.acted, done.refused), (0, 4));
    assert!(done.refusals.iter().all(|refused| matches!(refused.why, Refusal::Act(_))), "{done:?}");
    stop(running);
}

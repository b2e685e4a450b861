//! What may pass waits, with what comes behind it; what does not is a dead letter or holds its key; too much that cannot be read
//! halts.

use super::committed;
use super::engine::{engine_of, wait_for};
use crate::broker::Broker;
use crate::broker::embedded::{Cluster, Options};
use crate::clock::SystemClock;
use crate::dlq::{Chosen, Edit, Order, Redrive};
use crate::node::{ORIGIN_HEADER, REPLAY_HEADER, Replay, Wanted, write_origin};
use crate::record::{Header, Record, RecordRef, TopicPartition};
use crate::runtime::{Exit, Halt, Lookup, Running, TaskPhase};
use crate::state::layout::{Tag, parked};
use crate::state::{Memory, ParkedTotals, Stores};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A number passes at the try that it says; `other` passes everything on.
fn topology(errors: &str) -> String {
    format!(
        r#"
skald: 1
topology: waits
topics:
  numbers: {{ partitions: 1, types: {{ number.v1: {{}} }} }}
  passed: {{ partitions: 1, types: {{ passed.v1: {{}} }} }}
  failed: {{ partitions: 1, types: {{ failed.v1: {{}} }} }}
  others: {{ partitions: 1, types: {{ other.v1: {{}} }} }}
pipelines:
  waiting:
    from: numbers
    steps:
      - require: {{ that: ctx.attempt >= data.passes, code: NOT_YET, retryable: true }}
      - require: {{ that: data.n != 13, code: BAD_LUCK }}
      - emit: {{ type: passed.v1, to: passed, key: "'k'", data: {{ n: =data.n }} }}
    errors: {errors}
  other:
    from: numbers
    steps:
      - emit: {{ type: other.v1, to: others, key: "'k'", data: {{ n: =data.n }} }}
"#
    )
}

struct Bench {
    cluster: Cluster,
    clock: Arc<SystemClock>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        Self { cluster: Cluster::new(clock.clone(), Options::default()), clock }
    }

    /// Runs the topology with such `errors`; what it keeps is in the cluster alone.
    fn start(&self, errors: &str) -> Running {
        let stores: Arc<dyn Stores> = Arc::new(Memory::new());
        engine_of(&topology(errors), &self.cluster, &self.clock, &stores).start().expect("threads can be had")
    }

    /// Key, number, and the try at which it passes; a value that is none cannot be read.
    fn send(&self, records: &[(Option<&str>, i64, i64)]) {
        let mut producer = self.cluster.producer().expect("there is one");
        for (key, n, passes) in records {
            let value = match passes {
                0 => "junk".to_owned(),
                _ => format!(r#"{{"type":"number.v1","data":{{"n":{n},"passes":{passes}}}}}"#),
            };
            let record = Record {
                topic: "numbers".into(),
                partition: 0,
                timestamp: 1000 + n,
                key: key.map(|key| key.as_bytes().to_vec().into()),
                value: Some(value.into_bytes().into()),
                headers: Vec::new(),
            };
            producer.send(&record).expect("sent");
        }
    }

    fn read(&self, topic: &str) -> Vec<Record> {
        committed(&self.cluster, topic).into_iter().map(|(_, record)| record).collect()
    }

    /// What a topic says, in order.
    fn told(&self, topic: &str) -> Vec<serde_json::Value> {
        let data = |record: Record| {
            let value = record.value.expect("events have values");
            serde_json::from_slice::<serde_json::Value>(&value).expect("and are JSON")["data"].clone()
        };
        self.read(topic).into_iter().map(data).collect()
    }

    /// Has a node take the record of this offset once more, as an operator does, with another number and try at which it passes.
    fn replay(&self, offset: i64, n: i64, passes: i64) {
        self.act(offset, Wanted::Node, Some(format!(r#"{{"type":"number.v1","data":{{"n":{n},"passes":{passes}}}}}"#)));
    }

    /// Writes to the inbox as `skald dlq` does.
    fn act(&self, offset: i64, what: Wanted, value: Option<String>) {
        let records = self.read("numbers");
        let record = &records[usize::try_from(offset).expect("offsets count from 0")];
        let mut origin = Vec::new();
        let (topic, key, timestamp) = ("numbers", record.key.as_deref(), record.timestamp);
        write_origin(&RecordRef { topic, partition: 0, offset, timestamp, key, value: None, headers: &[] }, &mut origin);
        let replay = Replay { replays: 1, attempts: 1, first_at: 5, what, node: "waiting" };
        let headers = [(ORIGIN_HEADER, origin), (REPLAY_HEADER, replay.text().into_bytes())];
        let record = Record {
            topic: "waits.waiting.inbox".into(),
            partition: 0,
            timestamp,
            key: record.key.clone(),
            value: value.map(|value| value.into_bytes().into()),
            headers: headers.into_iter().map(|(name, value)| Header { name: name.into(), value: Some(value.into()) }).collect(),
        };
        self.cluster.producer().expect("there is one").send(&record).expect("sent");
    }

    fn numbers(&self, topic: &str) -> Vec<i64> {
        self.told(topic).iter().map(|data| data["n"].as_i64().expect("a number")).collect()
    }

    /// Code and tries of the dead letters.
    fn letters(&self) -> Vec<(String, String)> {
        let header = |letter: &Record, name: &str| {
            let header = letter.headers.iter().find(|header| header.name == name).and_then(|header| header.value.clone());
            String::from_utf8(header.expect("letters have it").to_vec()).unwrap()
        };
        let letters = self.read("waits.dlq");
        letters.iter().map(|one| (header(one, "__skald.errors.code"), header(one, "__skald.errors.attempts"))).collect()
    }
}

fn totals(running: &Running) -> ParkedTotals {
    let Lookup::Running(reader) = running.registry().find("waiting", 0) else { return ParkedTotals::default() };
    let stored = reader.store.get(&Tag::Parked.key(parked::TOTALS_KEY)).expect("memory can be read");
    stored.map(|stored| parked::read_totals(&stored).expect("ours")).unwrap_or_default()
}

fn halt(running: &Running) -> Option<Halt> {
    running.registry().tasks().into_iter().find_map(|task| match task.phase {
        TaskPhase::Halted(halt) => Some(halt),
        _ => None,
    })
}

fn stop(running: Running) {
    running.stop();
    assert!(matches!(running.wait(), Exit::Stopped));
}

const SOON: &str = "retry: { attempts: 3, backoff: 5ms, jitter: 0.5 }";
const NEVER: i64 = 99;

#[test]
fn a_record_that_may_pass_waits_with_those_behind_it_and_other_keys_and_nodes_flow() {
    let bench = Bench::new();
    let running = bench.start("{ retry: { attempts: 3, backoff: 400ms, jitter: 0 } }");
    bench.send(&[(Some("a"), 1, 3), (Some("a"), 2, 1), (Some("b"), 3, 1), (Some("a"), 4, 2), (Some("b"), 5, 1)]);
    wait_for("the other key", || bench.numbers("passed").ends_with(&[3, 5]));
    assert_eq!(bench.numbers("others"), [1, 2, 3, 4, 5]);
    wait_for("all of them", || bench.numbers("passed").len() == 5);
    assert_eq!(bench.numbers("passed"), [3, 5, 1, 2, 4], "in the order of their key");
    wait_for("nothing waits", || totals(&running) == ParkedTotals::default());
    assert_eq!(bench.letters(), []);
    // As a changelog leaves it, a row that is deleted is a tombstone.
    let mut rows = BTreeMap::new();
    let changelog = bench.read("waits.waiting.changelog");
    changelog.iter().for_each(|record| drop(rows.insert(record.key.clone(), record.value.clone())));
    rows.retain(|_, value| value.is_some());
    assert_eq!(rows, BTreeMap::new());
    stop(running);
}

#[test]
fn when_the_tries_are_used_up_the_head_is_a_dead_letter_and_the_others_go_on() {
    let bench = Bench::new();
    let emit = "emit: { type: failed.v1, to: failed, key: \"'k'\", data: { n: =data.n, tries: =error.attempts, may: =error.retryable, at: =error.firstAt } }";
    let running = bench.start(&format!("{{ {SOON}, {emit} }}"));
    bench.send(&[(Some("a"), 1, NEVER), (Some("a"), 2, 2), (Some("a"), 13, 1), (Some("a"), 3, 1)]);
    wait_for("those behind them", || bench.numbers("passed").len() == 2);
    assert_eq!(bench.numbers("passed"), [2, 3]);
    let letter = |code: &str, tries: &str| (code.to_owned(), tries.to_owned());
    assert_eq!(bench.letters(), [letter("NOT_YET", "3"), letter("BAD_LUCK", "1")]);
    let told = bench.told("failed");
    let facts: Vec<_> = told.iter().map(|data| (data["n"].as_i64(), data["tries"].as_i64(), data["may"].as_bool())).collect();
    assert_eq!(facts, [(Some(1), Some(3), Some(true)), (Some(13), Some(1), Some(false))]);
    stop(running);
}

#[test]
fn a_failure_that_the_file_does_not_want_tried_again_is_a_dead_letter_at_once() {
    let bench = Bench::new();
    let running = bench.start("{ retry: { attempts: 3, backoff: 5ms, when: error.attempts > 7 } }");
    bench.send(&[(Some("a"), 1, 2), (Some("a"), 2, 1)]);
    wait_for("the second", || bench.numbers("passed") == [2]);
    assert_eq!(bench.letters(), [("NOT_YET".to_owned(), "1".to_owned())]);
    stop(running);
}

#[test]
fn a_record_without_a_key_waits_alone() {
    let bench = Bench::new();
    let running = bench.start(&format!("{{ {SOON} }}"));
    bench.send(&[(None, 1, 3), (None, 2, 1), (None, 3, 2), (None, 4, NEVER)]);
    wait_for("all that pass", || bench.numbers("passed").len() == 3);
    assert_eq!(bench.numbers("passed")[0], 2, "nothing is before it");
    wait_for("the one that does not", || bench.letters().len() == 1);
    wait_for("nothing waits", || totals(&running) == ParkedTotals::default());
    stop(running);
}

#[test]
fn what_waits_survives_its_worker_and_its_disk() {
    let bench = Bench::new();
    let running = bench.start("{ retry: { attempts: 3, backoff: 1h } }");
    bench.send(&[(Some("a"), 1, 2), (Some("a"), 2, 1), (Some("b"), 3, 1)]);
    wait_for("the other key", || bench.numbers("passed") == [3]);
    wait_for("two wait", || totals(&running) == ParkedTotals { keys: 1, records: 2, held: 0 });
    stop(running);
    // Its stores were in memory. The hour is over, as far as the next one is told.
    let running = bench.start(&format!("{{ {SOON} }}"));
    bench.send(&[(Some("a"), 4, 1)]);
    wait_for("all wait", || totals(&running) == ParkedTotals { keys: 1, records: 3, held: 0 });
    assert_eq!(bench.numbers("passed"), [3]);
    stop(running);
}

#[test]
fn a_key_that_is_held_waits_until_the_file_holds_it_no_more() {
    let bench = Bench::new();
    let running = bench.start(&format!("{{ then: park, {SOON} }}"));
    bench.send(&[
        (Some("a"), 13, 1),
        (Some("a"), 1, 1),
        (Some("b"), 2, NEVER),
        (Some("b"), 3, 1),
        (Some("c"), 4, 1),
        (None, 13, 1),
    ]);
    let waiting = ParkedTotals { keys: 2, records: 2, held: 2 };
    wait_for("two keys are held", || totals(&running) == waiting);
    wait_for("three dead letters", || bench.letters().len() == 3);
    assert_eq!(bench.numbers("passed"), [4]);
    stop(running);
    let running = bench.start(&format!("{{ then: park, {SOON} }}"));
    wait_for("they are held as before", || totals(&running) == waiting);
    stop(running);
    let running = bench.start(&format!("{{ then: skip, {SOON} }}"));
    wait_for("those behind go on", || bench.numbers("passed").len() == 3);
    wait_for("nothing waits", || totals(&running) == ParkedTotals::default());
    assert_eq!(bench.letters().len(), 3);
    stop(running);
}

#[test]
fn a_key_that_is_held_goes_on_once_its_letter_was_replayed_and_passed() {
    let bench = Bench::new();
    let running = bench.start(&format!("{{ then: park, {SOON} }}"));
    bench.send(&[(Some("a"), 13, 1), (Some("a"), 1, 1), (Some("a"), 2, 1)]);
    let held = ParkedTotals { keys: 1, records: 2, held: 1 };
    wait_for("the key is held", || totals(&running) == held && bench.letters().len() == 1);
    let replay = |edit: Edit| {
        let order = Order { edit, ..Order::default() };
        let mut redrive = Redrive::open(&bench.cluster, "waits.dlq", 3).expect("all is there");
        let done = redrive.replay(&Chosen::default(), &order, 1, &mut || 1, &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(done.expect("done").acted, 1);
    };
    replay(Edit::default());
    wait_for("it fails again", || bench.letters().len() == 2);
    assert_eq!((totals(&running), bench.numbers("passed").len()), (held, 0), "and holds its key still");
    let mended = br#"{"type":"number.v1","data":{"n":14,"passes":1}}"#;
    replay(Edit { value: Some(mended[..].into()), key: None });
    wait_for("nothing waits", || totals(&running) == ParkedTotals::default());
    assert_eq!(bench.numbers("passed"), [14, 1, 2], "it goes before those behind it");
    bench.send(&[(Some("a"), 13, 1), (Some("a"), 3, 1)]);
    wait_for("it is held again", || totals(&running).records == 1 && bench.letters().len() == 3);
    let mut redrive = Redrive::open(&bench.cluster, "waits.dlq", 3).expect("all is there");
    let done = redrive.discard(&Chosen::default(), &Order::default(), &mut || 1, &mut |_, _| ControlFlow::Continue(()));
    assert_eq!(done.expect("done").acted, 1);
    wait_for("it goes on without it", || bench.numbers("passed") == [14, 1, 2, 3]);
    stop(running);
}

#[test]
fn a_key_that_is_held_goes_on_when_its_dead_letter_is_replayed_and_passes() {
    let bench = Bench::new();
    let errors = format!("{{ then: park, {SOON}, park: {{ per_partition: 3 }} }}");
    let running = bench.start(&errors);
    // One record more than may wait: the inputs are paused, and what the operator wants comes in all the same.
    let of_a = |n| (Some("a"), n, 1);
    bench.send(&[(Some("a"), 13, 1), of_a(1), of_a(2), of_a(3), (Some("b"), 4, 1)]);
    wait_for("two wait", || totals(&running) == ParkedTotals { keys: 1, records: 2, held: 1 });
    stop(running);
    let running = bench.start(&errors);
    bench.replay(0, 13, 1);
    wait_for("it failed again", || bench.letters().len() == 2);
    // Another record of the key is not what holds it.
    bench.replay(1, 7, 1);
    wait_for("it passes before those that wait", || bench.numbers("passed") == [7]);
    assert_eq!(totals(&running), ParkedTotals { keys: 1, records: 2, held: 1 });
    // It passes at its third try only, and they wait for that.
    bench.replay(0, 8, 3);
    wait_for("all go on", || bench.numbers("passed").len() == 6);
    assert_eq!(bench.numbers("passed").into_iter().filter(|n| *n != 4).collect::<Vec<_>>(), [7, 8, 1, 2, 3]);
    wait_for("nothing waits", || totals(&running) == ParkedTotals::default());
    bench.send(&[(Some("a"), 13, 1), of_a(9)]);
    wait_for("it is held again", || totals(&running).held == 1);
    bench.replay(5, 10, 1);
    wait_for("and goes on", || bench.numbers("passed").ends_with(&[10, 9]));
    bench.send(&[(Some("a"), 13, 1), of_a(11)]);
    wait_for("it is held a third time", || totals(&running).held == 1);
    bench.act(7, Wanted::Discarded, None);
    wait_for("and goes on without it", || bench.numbers("passed").ends_with(&[9, 11]));
    let told: Vec<String> = bench.letters().into_iter().map(|(_, tries)| tries).collect();
    assert_eq!(told, ["1", "2", "1", "1"], "a replay counts on");
    stop(running);
}

#[test]
fn inputs_are_paused_when_more_would_wait_than_may_and_flow_when_there_is_room() {
    for bounds in ["{ per_key: 2 }", "{ per_key: 1, per_partition: 2 }", "{ per_partition: 1 }"] {
        let bench = Bench::new();
        let running = bench.start(&format!("{{ park: {bounds}, retry: {{ attempts: 5, backoff: 30ms, jitter: 0 }} }}"));
        let records: Vec<_> = (20..40).map(|n| (Some(["a", "b"][n as usize % 2]), n, if n % 3 == 0 { 3 } else { 1 })).collect();
        bench.send(&records);
        let all = || bench.numbers("passed").len() == 20;
        wait_for("all have passed", || {
            let waiting = totals(&running);
            assert!(waiting.records <= 4, "{bounds}: {waiting:?}");
            all()
        });
        let passed = bench.numbers("passed");
        for key in 0..2 {
            let of_key: Vec<i64> = passed.iter().copied().filter(|n| n % 2 == key).collect();
            assert!(of_key.is_sorted(), "{bounds}: {passed:?}");
        }
        assert_eq!(bench.letters(), []);
        stop(running);
    }
}

#[test]
fn when_tries_are_used_up_a_node_may_ask_to_stop() {
    let bench = Bench::new();
    let running = bench.start(&format!("{{ then: stop, {SOON} }}"));
    bench.send(&[(Some("a"), 1, NEVER), (Some("a"), 2, 1)]);
    wait_for("a halt", || halt(&running).is_some());
    let halt = halt(&running).expect("just seen");
    assert_eq!((halt.input, halt.offset), (TopicPartition::new("numbers", 0), Some(0)));
    assert!(halt.reason.contains("NOT_YET"), "{}", halt.reason);
    assert_eq!((bench.numbers("passed").len(), bench.letters().len()), (0, 0));
    stop(running);
}

#[test]
fn a_topic_that_cannot_be_read_any_more_halts_rather_than_becoming_dead_letters() {
    let bench = Bench::new();
    let running = bench.start("{ stop_above: { share: 0.5, within: 1h, at_least: 8 } }");
    let good = (1..=6).map(|n| (Some("a"), n, 1));
    let bad = (7..=30).map(|n| (Some("a"), n, 0));
    bench.send(&good.chain(bad).collect::<Vec<_>>());
    wait_for("a halt", || halt(&running).is_some());
    let halted = halt(&running).expect("just seen");
    // Six of twelve are half of them; the seventh is more.
    assert_eq!(halted.offset, Some(12));
    for part in ["7 of 13 records within 3600s cannot be read, more than 50 %", "UNDECODABLE", "skald dlq list", "`stop_above`"]
    {
        assert!(halted.reason.contains(part), "{}", halted.reason);
    }
    wait_for("the dead letters before it", || bench.letters().len() == 6);
    stop(running);
}

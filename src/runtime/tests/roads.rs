//! The roads of records that fail: dead letter, halt, panic; and what is kept of others.

use super::committed;
use super::engine::{engine_of, wait_for};
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, TopicSpec};
use crate::clock::SystemClock;
use crate::codec::Event;
use crate::failure::Failure;
use crate::node::{Context, Input, Node, Outcome, Outgoing, Policy, Stop, Target};
use crate::record::{Header, Record, RecordRef, Text, TopicPartition};
use crate::runtime::{Exit, Halt, Program, Running, TaskPhase};
use crate::state::{Memory, Stores};
use std::collections::BTreeMap;
use std::sync::Arc;

fn topology(errors: &str) -> String {
    format!(
        r#"
skald: 1
topology: roads
topics:
  numbers: {{ partitions: 1, key: data.id, types: {{ number.v1: {{}} }} }}
  halves: {{ partitions: 1, types: {{ half.v1: {{}} }} }}
  copies: {{ partitions: 1, types: {{ copy.v1: {{}} }} }}
aggregates:
  sums:
    from: numbers
    initial: {{ n: 0 }}
    evolve:
      number.v1: {{ set: {{ n: =state.n + 100 / data.by }} }}
    updates: {{ type: half.v1, to: halves, key: key, data: {{ n: =state.n }} }}
    errors: {errors}
pipelines:
  copy:
    from: numbers
    steps:
      - emit: {{ type: copy.v1, to: copies, key: data.id, data: =data }}
"#
    )
}

struct Bench {
    cluster: Cluster,
    running: Running,
}

impl Bench {
    fn new(errors: &str, change: impl FnOnce(&mut Program)) -> Self {
        Self::on(Cluster::new(Arc::new(SystemClock::new()), Options::default()), errors, change)
    }

    /// The same on a cluster that has some of the topics.
    fn on(cluster: Cluster, errors: &str, change: impl FnOnce(&mut Program)) -> Self {
        let clock = Arc::new(SystemClock::new());
        let stores: Arc<dyn Stores> = Arc::new(Memory::new());
        let mut engine = engine_of(&topology(errors), &cluster, &clock, &stores);
        change(Arc::get_mut(&mut engine.program).expect("nobody else has it"));
        let running = engine.start().expect("threads can be had");
        Self { cluster, running }
    }

    fn send(&self, values: &[&[u8]]) {
        self.send_with(values, &[]);
    }

    fn send_with(&self, values: &[&[u8]], headers: &[Header]) {
        let mut producer = self.cluster.producer().expect("there is one");
        for value in values {
            let record = Record {
                topic: "numbers".into(),
                partition: 0,
                timestamp: 0,
                key: Some(b"k"[..].into()),
                value: Some(value.to_vec().into()),
                headers: headers.to_vec(),
            };
            producer.send(&record).expect("sent");
        }
    }

    fn read(&self, topic: &str) -> Vec<Record> {
        committed(&self.cluster, topic).into_iter().map(|(_, record)| record).collect()
    }

    /// Codes of the dead letters.
    fn letters(&self) -> Vec<String> {
        let code = |letter: Record| {
            let header = letter.headers.iter().find(|header| header.name == "__skald.errors.code");
            String::from_utf8(header.and_then(|header| header.value.clone()).expect("letters have codes").to_vec()).unwrap()
        };
        self.read("roads.dlq").into_iter().map(code).collect()
    }

    fn halt(&self) -> Option<Halt> {
        self.running.registry().tasks().into_iter().find_map(|task| match task.phase {
            TaskPhase::Halted(halt) => Some(halt),
            _ => None,
        })
    }

    fn stop(self) -> Cluster {
        self.running.stop();
        assert!(matches!(self.running.wait(), Exit::Stopped));
        self.cluster
    }
}

fn number(by: i64) -> Vec<u8> {
    format!(r#"{{"type":"number.v1","data":{{"id":"k","by":{by}}}}}"#).into_bytes()
}

#[test]
fn a_record_that_fails_is_one_dead_letter_and_the_effects_of_other_nodes_stay() {
    let bench = Bench::new("{ then: skip }", |_| {});
    bench.send(&[&number(2), &number(0), b"\xff", b"{}", &number(4)]);
    wait_for("two good ones", || bench.read("halves").len() == 2);
    wait_for("three dead letters", || bench.letters().len() == 3);
    assert_eq!(bench.letters(), ["EXPRESSION_ERROR", "UNDECODABLE", "UNDECODABLE"]);
    assert_eq!(bench.read("copies").len(), 3, "the pipeline has no quarrel with a zero");
    bench.stop();
}

#[test]
fn a_node_may_ask_to_stop_and_nothing_of_the_record_is_kept() {
    let bench = Bench::new("{ then: stop }", |_| {});
    bench.send(&[&number(2), &number(0), &number(4)]);
    wait_for("a halt", || bench.halt().is_some());
    let halt = bench.halt().expect("just seen");
    assert_eq!((halt.input, halt.offset), (TopicPartition::new("numbers", 0), Some(1)));
    assert!(halt.reason.contains("node `sums`"), "{}", halt.reason);
    // What came before it is committed, whichever node is asked; what comes after it waits.
    wait_for("the first", || bench.read("halves").len() == 1);
    assert_eq!((bench.read("copies").len(), bench.letters().len()), (1, 0));
    bench.stop();
}

#[test]
fn a_record_whose_effects_the_cluster_refuses_is_found_and_halts_its_task() {
    let bench = Bench::new("{ then: skip }", |_| {});
    // Since the start the topic takes less than is known of it.
    bench.cluster.delete_topic("copies").expect("it is there");
    let config = BTreeMap::from([("max.message.bytes".to_owned(), "1000".to_owned())]);
    let copies = TopicSpec { name: "copies".into(), partitions: 1, replication: None, config };
    bench.cluster.create_topic(&copies).expect("it is not there");
    let large = format!(r#"{{"type":"number.v1","data":{{"id":"k","by":2,"pad":"{}"}}}}"#, "x".repeat(2000));
    bench.send(&[&number(2), &number(4), &number(5), large.as_bytes(), &number(10)]);
    wait_for("a halt", || bench.halt().is_some());
    let halt = bench.halt().expect("just seen");
    assert_eq!((halt.input, halt.offset), (TopicPartition::new("numbers", 0), Some(3)));
    assert!(halt.reason.contains("the cluster does not take what follows from it"), "{}", halt.reason);
    wait_for("those before it", || bench.read("halves").len() == 3);
    assert_eq!((bench.read("copies").len(), bench.letters().len()), (3, 0));
    bench.stop();
}

fn letters_of(bytes_max: usize) -> TopicSpec {
    let config = BTreeMap::from([("max.message.bytes".to_owned(), bytes_max.to_string())]);
    TopicSpec { name: "roads.dlq".into(), partitions: 1, replication: None, config }
}

#[test]
fn a_dead_letter_that_finds_no_topic_halts_the_partition_and_nothing_is_lost() {
    for (what, left) in [("gone", None), ("too small", Some(100))] {
        let bench = Bench::new("{ then: skip }", |_| {});
        bench.send(&[&number(2)]);
        wait_for("the first", || bench.read("halves").len() == 1);
        bench.cluster.delete_topic("roads.dlq").expect("it is there");
        if let Some(bytes_max) = left {
            bench.cluster.create_topic(&letters_of(bytes_max)).expect("it is not there");
        }
        bench.send(&[&number(0), &number(4)]);
        wait_for("a halt", || bench.halt().is_some());
        let halt = bench.halt().expect("just seen");
        assert_eq!((halt.input, halt.offset), (TopicPartition::new("numbers", 0), Some(1)), "{what}: {}", halt.reason);
        assert!(halt.reason.contains("roads.dlq"), "{what}: {}", halt.reason);
        assert_eq!(bench.read("halves").len(), 1, "{what}: nothing goes around it");
        let cluster = bench.stop();

        // Whoever mends the topic and starts again finds the record where it was.
        if left.is_some() {
            cluster.delete_topic("roads.dlq").expect("it is there");
        }
        let bench = Bench::on(cluster, "{ then: skip }", |_| {});
        wait_for("the letter, and what was behind it", || (bench.letters().len(), bench.read("halves").len()) == (1, 2));
        bench.stop();
    }
}

#[test]
fn a_record_that_is_too_large_for_the_dead_letters_leaves_a_stub_there() {
    let cluster = Cluster::new(Arc::new(SystemClock::new()), Options::default());
    cluster.create_topic(&letters_of(20_000)).expect("an empty cluster");
    let bench = Bench::on(cluster, "{ then: skip }", |_| {});
    let large = "x".repeat(100_000);
    let padded = format!(r#"{{"type":"number.v1","data":{{"id":"k","by":0,"pad":"{large}"}}}}"#);
    let header = Header::text("stack", &large);
    // Not read at all, with a message of its own; and failed, with all that is large.
    bench.send_with(&[large.as_bytes()], &[]);
    bench.send_with(&[padded.as_bytes(), &number(0)], &[header]);
    bench.send(&[&number(2)]);
    wait_for("the good one", || bench.read("halves").len() == 1);
    wait_for("three letters", || bench.letters().len() == 3);
    for letter in bench.read("roads.dlq") {
        let text =
            |name: &str| letter.headers.iter().find(|header| header.name == name).and_then(|header| header.value.clone());
        let stub = String::from_utf8(text("__skald.errors.stub").expect("it says what is left out").to_vec()).expect("text");
        assert!(stub.starts_with("without=value"), "{stub}");
        assert_eq!((letter.key.as_deref(), text("stack"), letter.value), (Some(&b"k"[..]), None, None), "{stub}");
    }
    bench.stop();
}

/// Sends, and then panics when it meets its value.
struct Panics(Text);

impl Node for Panics {
    fn name(&self) -> &Text {
        &self.0
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let topic = Target::Named("copies");
        let value = input.record.value;
        context.send(Outgoing { target: topic, key: None, spread: b"s", value, headers: &[], timestamp: 0 })?;
        assert!(value != Some(&number(13)), "thirteen");
        Ok(Outcome::Processed)
    }

    fn failed(&self, _: &RecordRef<'_>, _: Option<&Event>, _: &Failure, _: &mut dyn Context) -> Result<(), Stop> {
        Ok(())
    }

    fn policy(&self) -> Option<Policy<'_>> {
        None
    }
}

#[test]
fn a_panic_halts_its_task_before_the_record_and_nothing_else() {
    let bench = Bench::new("{ then: skip }", |program| program.nodes[1] = Arc::new(Panics("copy".into())));
    bench.send(&[&number(2), &number(13), &number(4)]);
    wait_for("a halt", || bench.halt().is_some());
    let halt = bench.halt().expect("just seen");
    assert_eq!(halt.offset, Some(1));
    assert!(halt.reason.contains("a panic in node `copy`: thirteen"), "{}", halt.reason);
    wait_for("the first", || bench.read("halves").len() == 1);
    assert_eq!((bench.read("copies").len(), bench.letters().len()), (1, 0), "a panic is no dead letter");
    bench.stop();
}

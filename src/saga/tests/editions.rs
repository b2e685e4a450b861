//! Instances keep the definition that they began with, whatever the file says by then.

use crate::node::testing::Bench;
use crate::node::{Book, Node, Versions, World};
use crate::record::{Text, Value, json};
use crate::saga::tests::desk::Play;
use std::sync::Arc;

const BEFORE: &str = "\
skald: 1
topology: trips
params: { patience: 30 }
topics:
  trips: { partitions: 4, key: data.trip, types: [trip.asked.v1, trip.paid.v1, trip.dropped.v1] }
  rooms: { partitions: 4, key: data.trip, types: { room.take.v1: {}, room.free.v1: {} } }
  results: { partitions: 4, key: data.trip, types: [trip.done.v1, trip.undone.v1] }
sagas:
  trip:
    from: trips
    key: data.trip
    start: { type: trip.asked.v1, data: { guest: =data.guest } }
    cancel: { type: trip.dropped.v1 }
    steps:
      - name: room
        emit: { type: room.take.v1, data: { trip: =saga.id, guest: =saga.data.guest, patience: =params.patience } }
        compensate:
          emit: { type: room.free.v1, data: { trip: =saga.id } }
      - name: money
        success: { type: trip.paid.v1, set: { paid: =data.amount } }
        timeout: 30s
    completed: { emit: { type: trip.done.v1, data: { trip: =saga.id, paid: =saga.data.paid } } }
    compensated: { emit: { type: trip.undone.v1, data: { trip: =saga.id } } }
";

/// The later file: other steps and topics; what cancels and what pays is called otherwise.
fn after() -> String {
    let edits = [
        ("topology: trips\n", "topology: trips\nversion: 2\n"),
        ("patience: 30", "patience: 60"),
        (
            "types: [trip.asked.v1, trip.paid.v1, trip.dropped.v1]",
            "types: [trip.asked.v1, trip.paid.v1, trip.dropped.v1, trip.settled.v1]",
        ),
        ("  rooms: { partitions: 4, key: data.trip, types: { room.take.v1: {}, room.free.v1: {} } }\n", ""),
        (
            "      - name: room\n        emit: { type: room.take.v1, data: { trip: =saga.id, guest: =saga.data.guest, patience: =params.patience } }\n        compensate:\n          emit: { type: room.free.v1, data: { trip: =saga.id } }\n",
            "",
        ),
        ("    cancel: { type: trip.dropped.v1 }\n", ""),
        ("name: money\n        success: { type: trip.paid.v1", "name: bill\n        success: { type: trip.settled.v1"),
        ("timeout: 30s", "timeout: 90s"),
    ];
    edits.into_iter().fold(BEFORE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "`{from}` is in the file");
        text.replace(from, to)
    })
}

/// Two versions, by the definition of their saga.
#[derive(Debug)]
struct Two(Vec<(Text, Result<Arc<World>, Text>)>);

impl Two {
    fn of(text: &str, in_force: &World) -> Self {
        let world = Play::of_text("other.yaml", text.as_bytes()).world;
        let definition = world.topology.sagas[0].definition.clone();
        let beside = World::beside(world.topology.clone(), world.plan.clone(), &in_force.plan, Book::empty());
        Self(vec![(definition, Ok(beside))])
    }
}

impl Versions for Two {
    fn takes(&self, _: &str, kind: &str) -> bool {
        let mut readable = self.0.iter().filter_map(|(_, world)| world.as_ref().ok());
        readable.any(|world| world.topology.sagas[0].taken(kind).is_some())
    }

    fn world(&self, _: &str, definition: &str) -> Result<Option<Arc<World>>, Text> {
        let known = self.0.iter().find(|(known, _)| known == definition);
        known.map(|(_, world)| world.clone()).transpose()
    }
}

fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    crate::saga::compile(world, node)
}

/// What is kept and armed is handed to the node of another file, as a restart does.
fn upgraded(before: Bench, text: &str, versions: impl FnOnce(&World) -> Two) -> Bench {
    let world = Play::of_text("new.yaml", text.as_bytes()).world;
    let versions = Arc::new(versions(&world));
    let world = World::with_versions(world.topology.clone(), world.plan.clone(), versions);
    let mut bench = Bench::of_world(world, compile);
    let topics = std::mem::take(&mut bench.memory.topics);
    bench.memory = before.memory;
    bench.memory.topics = topics;
    bench
}

fn begun(id: &str) -> Bench {
    let mut bench = Bench::of_text(BEFORE, compile);
    say(&mut bench, id, "trip.asked.v1", r#","guest":"ada""#);
    bench
}

fn say(bench: &mut Bench, id: &str, kind: &str, more: &str) {
    let value = format!(r#"{{"id":"{kind}/{id}","type":"{kind}","data":{{"trip":"{id}"{more}}}}}"#);
    bench.read("trips", Some(id), Some(&value), &[]);
}

fn field(bench: &Bench, id: &str, name: &str) -> Value {
    let (row, _) = bench.state("trip", id).unwrap_or_else(|| panic!("no instance `{id}`"));
    json::read(row.as_bytes()).expect("JSON").get(name).cloned().unwrap_or_default()
}

fn status(bench: &Bench, id: &str) -> String {
    field(bench, id, "status").as_str().expect("a status").to_owned()
}

/// Types sent to a topic, but for histories.
fn sent(bench: &mut Bench) -> Vec<(String, String)> {
    let sent = std::mem::take(&mut bench.memory.sent);
    let of = |record: crate::record::Record| {
        let value = json::read(record.value.as_deref().unwrap_or_default()).expect("JSON");
        (record.topic.to_string(), value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    sent.into_iter().filter(|record| !record.topic.ends_with(".history")).map(of).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(topic, kind)| ((*topic).to_owned(), (*kind).to_owned())).collect()
}

#[test]
fn an_instance_goes_on_as_it_began_and_a_new_one_as_the_file_says() {
    let mut bench = upgraded(begun("a"), &after(), |world| Two::of(BEFORE, world));
    sent(&mut bench);
    say(&mut bench, "b", "trip.asked.v1", r#","guest":"bob""#);
    // The file that runs does not wait for it, the instance does.
    say(&mut bench, "a", "trip.paid.v1", r#","amount":7"#);
    say(&mut bench, "b", "trip.paid.v1", r#","amount":7"#);
    assert_eq!((status(&bench, "a").as_str(), status(&bench, "b").as_str()), ("completed", "running"));
    assert_eq!(field(&bench, "a", "data").get("paid"), Some(&Value::Int(7)));
    say(&mut bench, "b", "trip.settled.v1", r#","amount":9"#);
    assert_eq!(status(&bench, "b"), "completed");
    assert_eq!(sent(&mut bench), pairs(&[("results", "trip.done.v1"), ("results", "trip.done.v1")]));
    assert_eq!(bench.failures(), [""; 0]);
}

#[test]
fn what_it_sends_to_a_topic_that_the_file_does_not_know_goes_there_by_name() {
    let mut bench = upgraded(begun("a"), &after(), |world| Two::of(BEFORE, world));
    sent(&mut bench);
    bench.memory.others.insert("rooms".into());
    say(&mut bench, "a", "trip.dropped.v1", "");
    assert_eq!(status(&bench, "a"), "compensated");
    assert_eq!(sent(&mut bench), pairs(&[("rooms", "room.free.v1"), ("results", "trip.undone.v1")]));
    assert_eq!(bench.failures(), [""; 0]);
}

#[test]
fn its_timers_are_those_of_its_own_definition() {
    let mut bench = upgraded(begun("a"), &after(), |world| Two::of(BEFORE, world));
    say(&mut bench, "b", "trip.asked.v1", r#","guest":"bob""#);
    bench.pass(31_000);
    assert_eq!((status(&bench, "a").as_str(), status(&bench, "b").as_str()), ("compensated", "running"));
    assert_eq!(field(&bench, "a", "reason").as_str(), Some("TIMEOUT"));
    bench.pass(60_000);
    assert_eq!(status(&bench, "b"), "compensated");
}

#[test]
fn a_worker_of_the_file_before_leads_what_a_newer_one_began() {
    // As under a rolling upgrade: the partition comes back to an older worker.
    let mut bench = Bench::of_text(&after(), compile);
    say(&mut bench, "a", "trip.asked.v1", r#","guest":"bob""#);
    let mut bench = upgraded(bench, BEFORE, |world| Two::of(&after(), world));
    say(&mut bench, "a", "trip.settled.v1", r#","amount":3"#);
    assert_eq!((status(&bench, "a").as_str(), bench.failures()), ("completed", Vec::new()));
}

#[test]
fn the_id_of_an_instance_of_another_version_is_taken() {
    let later = after()
        .replace("start: { type: trip.asked.v1", "start: { type: trip.settled.v1")
        .replace("success: { type: trip.settled.v1", "success: { type: trip.paid.v1");
    let mut bench = upgraded(begun("a"), &later, |world| Two::of(BEFORE, world));
    let row = bench.state("trip", "a");
    say(&mut bench, "a", "trip.settled.v1", "");
    assert_eq!((bench.state("trip", "a"), bench.failures()), (row, Vec::new()));
}

#[test]
fn a_definition_that_cannot_be_read_or_found_halts_the_task_and_says_why() {
    let why = "the saga began with version 1, which this engine cannot read";
    let unreadable = |world: &World| {
        let mut two = Two::of(BEFORE, world);
        two.0[0].1 = Err(why.into());
        two
    };
    let mut bench = upgraded(begun("a"), &after(), unreadable);
    bench.pass(31_000);
    let failures = bench.failures();
    assert!(failures[0].contains("SAGA_DEFINITION") && failures[0].contains(why), "{failures:?}");

    let mut bench = upgraded(begun("a"), &after(), |_| Two(Vec::new()));
    bench.pass(31_000);
    let failures = bench.failures();
    assert!(failures[0].contains("SAGA_DEFINITION") && failures[0].contains("skald saga drain"), "{failures:?}");
}

#[test]
fn a_param_that_a_saga_reads_is_part_of_its_definition_and_others_are_not() {
    let definition = |text: &str| Play::of_text("a.yaml", text.as_bytes()).world.topology.sagas[0].definition.clone();
    let before = definition(BEFORE);
    assert_ne!(definition(&BEFORE.replace("patience: 30", "patience: 31")), before);
    assert_eq!(definition(&BEFORE.replace("patience: 30", "patience: 30, other: 1")), before);
}

#[test]
fn instances_of_before_see_the_types_of_before_where_the_file_makes_them_newer() {
    let before = begun("t1");
    // What pays is of a newer type, and the old one is made into it.
    let text = BEFORE
        .replace("topology: trips\n", "topology: trips\nversion: 2\nupcasters:\n  trip.paid.v1: { to: trip.paid.v2, data: { sum: =data.amount, trip: =data.trip } }\n")
        .replace("trip.dropped.v1] }", "trip.dropped.v1, trip.paid.v2] }")
        .replace("success: { type: trip.paid.v1, set: { paid: =data.amount } }", "success: { type: trip.paid.v2, set: { paid: =data.sum } }");
    let mut bench = upgraded(before, &text, |world| Two::of(BEFORE, world));
    say(&mut bench, "t2", "trip.asked.v1", r#","guest":"bob""#);
    bench.sent();
    for id in ["t1", "t2"] {
        say(&mut bench, id, "trip.paid.v1", r#","amount":7"#);
    }
    let done: Vec<String> = bench.sent().into_iter().filter(|line| line.starts_with("results ")).collect();
    assert_eq!(done.len(), 2, "{done:?} {:?}", bench.failures());
    assert!(done.iter().all(|line| line.contains("trip.done.v1") && line.contains(r#""paid":7"#)), "{done:?}");
}

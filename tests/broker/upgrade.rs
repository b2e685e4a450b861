//! A saga is changed while instances of it are under way: they go on as they began, on a real Kafka, over kills.

use crate::commands::skald;
use crate::tools::{Engine, Input, produce, read_committed, unique, wait_until};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

const PARTITIONS: u32 = 3;
const LONG: Duration = Duration::from_secs(120);

fn file(topology: &str, version: u32, types: &str, step: &str, paid: &str) -> String {
    format!(
        "skald: 1
topology: {topology}
version: {version}
topics:
  {topology}-trips: {{ partitions: {PARTITIONS}, key: data.trip, types: [{types}] }}
  {topology}-results: {{ partitions: {PARTITIONS}, key: data.trip, types: {{ trip.done.v1: {{}} }} }}
sagas:
  trip:
    from: {topology}-trips
    key: data.trip
    start: {{ type: trip.asked.v1 }}
    steps:
      - {{ name: {step}, success: {{ type: {paid}, set: {{ by: =data.by }} }}, timeout: 10m }}
    completed: {{ emit: {{ type: trip.done.v1, data: {{ trip: =saga.id, by: =saga.data.by, version: {version} }} }} }}
"
    )
}

struct Trips<'t> {
    topology: String,
    brokers: &'t str,
    folder: &'t Path,
}

impl Trips<'_> {
    fn write(&self, text: &str) {
        std::fs::write(self.folder.join("t.yaml"), text).expect("the folder is writable");
    }

    fn run(&self) -> Engine {
        let arguments = ["run", "t.yaml", "-b", self.brokers, "--create-topics", "--listen", "off", "--threads", "1"];
        let spawn = || Engine::spawn(self.folder, &[&arguments[..], &["--session-timeout", "6s"]].concat(), &[]);
        let mut engine = spawn();
        wait_until("it starts", LONG, || {
            // One that was killed is a member until its session is over.
            if engine.has_ended() {
                assert!(engine.output().contains("runs another plan"), "{}", engine.output());
                engine = spawn();
            }
            engine.output().contains("started")
        });
        engine
    }

    /// A command, with what it says.
    fn told(&self, arguments: &[&str]) -> (i32, String) {
        let run = skald(self.folder, arguments, b"");
        (run.code, format!("{}{}", run.out, run.err))
    }

    fn say(&self, ids: std::ops::Range<u32>, kind: &str) {
        let message = |id: u32| {
            let data = format!(r#"{{"id":"{kind}/{id}","type":"{kind}","data":{{"trip":"trip-{id}","by":"{kind}"}}}}"#);
            Input::new(format!("trip-{id}"), data)
        };
        produce(self.brokers, &format!("{}-trips", self.topology), PARTITIONS, ids.map(message));
    }

    /// Which instances are done, by which message and which version.
    fn done(&self) -> BTreeSet<(String, String, u64)> {
        let results = read_committed(self.brokers, &format!("{}-results", self.topology));
        let results = results.into_iter().map(|result| {
            let value: serde_json::Value = serde_json::from_str(&result.value_text()).expect("JSON");
            let text = |field: &str| value["data"][field].as_str().expect("text").to_owned();
            (text("trip"), text("by"), value["data"]["version"].as_u64().expect("a version"))
        });
        let all: Vec<_> = results.collect();
        let each: BTreeSet<_> = all.iter().cloned().collect();
        assert_eq!(all.len(), each.len(), "each is done once: {all:?}");
        each
    }

    fn wait_for_remains(&self, parts: &[&str]) {
        wait_until(&format!("{parts:?} of `drain`"), LONG, || {
            let (_, told) = self.told(&["saga", "drain", &self.topology, "-b", self.brokers]);
            parts.iter().all(|part| told.contains(part))
        });
    }
}

#[test]
fn instances_under_way_outlive_an_upgrade_and_two_kills() {
    const EACH: u32 = 20;
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let topology = unique("trips");
    let trips = Trips { topology: topology.clone(), brokers, folder: folder.path() };
    let plan = ["plan", "t.yaml", "-b", brokers];

    trips.write(&file(&topology, 1, "trip.asked.v1, trip.paid.v1", "money", "trip.paid.v1"));
    let mut worker = trips.run();
    trips.say(0..EACH, "trip.asked.v1");
    trips.wait_for_remains(&["running", "20"]);
    worker.kill();

    // Nobody would read any more what they wait for.
    trips.write(&file(&topology, 2, "trip.asked.v1, trip.settled.v1", "bill", "trip.settled.v1"));
    let (code, told) = trips.told(&[&plan[..], &["--exit-code"]].concat());
    assert_eq!(code, 1, "{told}");
    let lack = "20 instances are under way that began with version 1: `trip.paid.v1` must stay among the types of";
    assert!(told.contains(lack), "{told}");
    let (code, told) = trips.told(&["run", "t.yaml", "-b", brokers, "--listen", "off"]);
    assert!(code == 1 && told.contains(lack), "{told}");

    trips.write(&file(&topology, 2, "trip.asked.v1, trip.paid.v1, trip.settled.v1", "bill", "trip.settled.v1"));
    let (_, told) = trips.told(&plan);
    assert!(
        told.contains("compatible") && told.contains("stop all workers") && told.contains("version 2 is to be recorded"),
        "{told}"
    );
    let mut worker = trips.run();
    trips.say(EACH..2 * EACH, "trip.asked.v1");
    trips.say(0..EACH / 2, "trip.paid.v1");
    wait_until("the first of them are done", LONG, || !trips.done().is_empty());
    worker.kill();
    let worker = trips.run();
    trips.say(EACH / 2..EACH, "trip.paid.v1");
    // What the other version waits for is nothing to an instance.
    trips.say(0..EACH, "trip.settled.v1");
    trips.say(EACH..2 * EACH, "trip.paid.v1");
    wait_until("all of the version before are done", LONG, || trips.done().len() >= EACH as usize);
    trips.wait_for_remains(&["2 ", "running", "20"]);
    trips.say(EACH..2 * EACH, "trip.settled.v1");
    wait_until("all are done", LONG, || trips.done().len() == 2 * EACH as usize);
    let expected = (0..2 * EACH).map(|id| match id < EACH {
        true => (format!("trip-{id}"), "trip.paid.v1".to_owned(), 1),
        false => (format!("trip-{id}"), "trip.settled.v1".to_owned(), 2),
    });
    assert_eq!(trips.done(), expected.collect());
    trips.wait_for_remains(&["all instances of `trip` are over"]);

    // With none left nothing holds the old type any more.
    trips.write(
        &file(&topology, 3, "trip.asked.v1, trip.settled.v1", "bill", "trip.settled.v1")
            .replace("version: 3 }", "version: 2 }"),
    );
    let (code, told) = trips.told(&[&plan[..], &["--exit-code"]].concat());
    assert_eq!(code, 4, "{told}");
    worker.terminate();
    let mut worker = worker;
    assert!(worker.wait(LONG).success(), "{}", worker.output());
}

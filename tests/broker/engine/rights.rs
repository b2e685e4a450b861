//! Rights on a cluster with ACLs: those that `skald plan` lists are enough, and one that is missing is named.

use super::{LONG, stop};
use crate::cluster::{Cluster, can_start};
use crate::commands::skald;
use crate::tools::{Engine, Input, produce, read_committed, tool, unique, wait_until};
use serde_json::{Value, json};
use skald::clock::{Clock, SystemClock};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A worker that has all rights but one.
struct Case {
    /// What is denied: operation, resource, pattern and name as an ACL has them; `$` stands for the topology.
    denied: &'static str,
    /// In one line of what the worker says then.
    said: &'static [&'static str],
}

/// What `skald check --online` says where that is not the right that is denied: a topic that is hidden seems to be missing.
const HIDDEN: (&str, &str) = ("All Topic Literal $-in", "W506 the right `Topic $-in: Create` is missing");

/// The lines of a worker that gives up; one that tries in a loop says thousands.
const LINES_MAX: usize = 60;

const fn case(denied: &'static str, said: &'static [&'static str]) -> Case {
    Case { denied, said }
}

const CASES: [Case; 12] = [
    case("Read Group Literal $", &["right `Group $: Read`"]),
    case("All Group Literal $", &["right `Group $: Read`"]),
    case("Write TransactionalId Prefixed $.", &["right `TransactionalId $.w.00: Write`"]),
    case("All TransactionalId Prefixed $.", &["right `TransactionalId $.w.00: Write`"]),
    // Whoever is first to find it out: who reads, or who commits what was read.
    case("Read Topic Literal $-in", &["$-in", "Read"]),
    case("All Topic Literal $-in", &["`$-in`", "no such topic", "Describe"]),
    case("DescribeConfigs Topic Literal $-out", &["right `Topic $-out: DescribeConfigs`"]),
    case("Write Topic Literal $-out", &["right `Topic $-out: Write`"]),
    case("Write Topic Literal $.counts.snapshots", &["right `Topic $.counts.snapshots: Write`"]),
    case("Read Topic Literal $.counts.snapshots", &["$.counts.snapshots", "grant Read"]),
    case("Write Topic Literal $.dlq", &["right `Topic $.dlq: Write`"]),
    case("Read Topic Literal $.definitions", &["right `Topic $.definitions: Read`"]),
];

/// The case with something to restore: its topology is run by another user before.
const RESTORED: usize = 9;

fn file(topology: &str) -> String {
    format!(
        "skald: 1
topology: {topology}
topics:
  {topology}-in:
    partitions: 1
    key: data.k
    types: {{ a.v1: {{ type: object, required: [k], properties: {{ k: {{ type: string }} }} }} }}
  {topology}-out:
    partitions: 1
    key: data.k
    types: {{ b.v1: {{ type: object }} }}
aggregates:
  counts:
    from: {topology}-in
    initial: {{ n: 0 }}
    evolve: {{ a.v1: {{ set: {{ n: =state.n + 1 }} }} }}
    updates: {{ to: {topology}-out, type: b.v1, data: {{ k: =key, n: =state.n }} }}
"
    )
}

/// The rights of a plan as ACLs for a user.
fn acls(sheet: &Value, user: &str) -> String {
    let mut lines = String::new();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    for right in sheet["rights"].as_array().expect("rights").iter().filter(|right| right["provisioning"] == false) {
        for operation in right["operations"].as_array().expect("operations") {
            let [operation, resource, pattern, name] =
                [operation, &right["resource"], &right["pattern"], &right["name"]].map(text);
            writeln!(lines, "Allow {user} {operation} {resource} {pattern} {name}").expect("it is a string");
        }
    }
    lines
}

/// Two records for the state, and one that no schema fits.
fn records() -> Vec<Input> {
    let event = json!({ "id": "1", "type": "a.v1", "version": "1", "source": "test", "timestamp": "2026-01-02T03:04:05Z",
        "data": { "k": "x" }, "metadata": {} });
    let event = event.to_string();
    [event.clone(), "no JSON".to_owned(), event.replace("\"1\"", "\"2\"")].map(|value| Input::new("x", value)).to_vec()
}

/// Do the two records and the letter have what follows from them?
fn is_done(brokers: &str, topology: &str) -> bool {
    read_committed(brokers, &format!("{topology}-out")).len() == 2
        && read_committed(brokers, &format!("{topology}.dlq")).len() == 1
}

/// A command on all files, whose stdout is given.
fn of_all(command: &[&str], files: &[String], brokers: &str) -> String {
    let files = files.iter().map(String::as_str);
    let arguments: Vec<&str> = command.iter().copied().chain(files).chain(["-b", brokers]).collect();
    let (code, out, talk) = tool(&arguments);
    assert_eq!(code, 0, "{command:?}: {talk}");
    out
}

/// A worker that comes as a user, or as whoever may do everything.
fn start(folder: &Path, file: &str, brokers: &str, user: Option<&str>) -> Engine {
    let state = format!("state-{}", unique("s"));
    let mut arguments = vec!["run", file, "-b", brokers, "--listen", "off", "--threads", "1", "--worker-id", "w"];
    arguments.extend(["--session-timeout", "6s", "--state-dir", &state]);
    let credentials = user.map(credentials).unwrap_or_default();
    arguments.extend(credentials.iter().map(String::as_str));
    Engine::spawn(folder, &arguments, &[])
}

/// The flags of a user.
fn credentials(user: &str) -> Vec<String> {
    let [name, password] = [format!("sasl.username={user}"), format!("sasl.password={user}")];
    let properties = ["security.protocol=sasl_plaintext".to_owned(), "sasl.mechanism=PLAIN".to_owned(), name, password];
    properties.into_iter().flat_map(|property| ["-X".to_owned(), property]).collect()
}

/// What `skald check --online` finds as a user: code and message.
fn check(folder: &Path, file: &str, brokers: &str, user: &str) -> Vec<String> {
    let flags = credentials(user);
    let mut arguments = vec!["check", file, "--online", "-b", brokers, "-o", "json"];
    arguments.extend(flags.iter().map(String::as_str));
    let run = skald(folder, &arguments, b"");
    let findings: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}{}", run.out, run.err));
    assert!(!run.err.contains("could not be found out"), "{}", run.err);
    let findings = findings.as_array().expect("a list").iter();
    let told: Vec<String> = findings
        .map(|found| format!("{} {}", found["code"].as_str().expect("a code"), found["message"].as_str().expect("a message")))
        .collect();
    assert_eq!(run.code, if told.iter().any(|found| found.starts_with('E')) { 3 } else { 0 }, "{told:?}{}", run.err);
    told
}

#[test]
fn the_rights_that_the_plan_lists_are_enough_and_one_that_is_missing_is_named() {
    if !can_start() {
        return;
    }
    // The last one is denied nothing.
    let users: Vec<String> = (0..=CASES.len()).map(|number| format!("user{number}")).collect();
    let cluster = Cluster::start_for(&users);
    let (brokers, guarded) = (cluster.brokers(), cluster.guarded());
    let folder = tempfile::tempdir().expect("a folder");
    let topologies: Vec<String> = users.iter().map(|_| unique("t")).collect();
    let written = topologies.iter().map(|topology| {
        let path = folder.path().join(format!("{topology}.yaml"));
        fs::write(&path, file(topology)).expect("the folder is writable");
        path.to_str().expect("UTF-8").to_owned()
    });
    let files: Vec<String> = written.collect();
    of_all(&["apply"], &files, &brokers);
    for topology in &topologies {
        produce(&brokers, &format!("{topology}-in"), 1, records());
    }
    let before = start(folder.path(), &files[RESTORED], &brokers, None);

    let sheets: Value = serde_json::from_str(&of_all(&["plan", "-o", "json"], &files, &brokers)).expect("JSON");
    let mut lines = String::new();
    for (number, (user, topology)) in users.iter().zip(&topologies).enumerate() {
        let sheet = sheets.as_array().expect("sheets").iter().find(|sheet| sheet["topology"] == topology.as_str());
        lines += &acls(sheet.expect("a sheet of each file"), user);
        if let Some(case) = CASES.get(number) {
            writeln!(lines, "Deny {user} {}", case.denied.replace('$', topology)).expect("it is a string");
        }
    }
    cluster.allow(&lines);
    wait_until("there is something to restore", LONG, || is_done(&brokers, &topologies[RESTORED]));
    stop(before);

    // Each says of itself what it may not do, before it is tried; and nothing is left of that in any topic, as the end shows.
    let told: Vec<Vec<String>> = std::thread::scope(|scope| {
        let asked = files.iter().zip(&users);
        let asked: Vec<_> = asked.map(|(file, user)| scope.spawn(|| check(folder.path(), file, &guarded, user))).collect();
        asked.into_iter().map(|told| told.join().expect("answered")).collect()
    });
    for ((told, topology), case) in told.iter().zip(&topologies).zip(CASES.iter().map(Some).chain([None])) {
        let expected = case.map(|case| match case.denied == HIDDEN.0 {
            true => HIDDEN.1.to_owned(),
            false => {
                let [operation, resource, pattern, name] = *case.denied.split(' ').collect::<Vec<_>>() else {
                    panic!("{}", case.denied)
                };
                let operation = match (operation, resource) {
                    ("All", "Group") => "Read",
                    ("All", _) => "Write",
                    (operation, _) => operation,
                };
                let name = if pattern == "Prefixed" { format!("{name}* (prefixed)") } else { name.to_owned() };
                format!("E511 the right `{resource} {name}: {operation}` is missing")
            }
        });
        let expected: Vec<String> = expected.into_iter().map(|text| text.replace('$', topology)).collect();
        assert_eq!(*told, expected, "{:?}", case.map(|case| case.denied));
    }

    let started = files.iter().zip(&users).map(|(file, user)| start(folder.path(), file, &guarded, Some(user)));
    let mut workers: Vec<Engine> = started.collect();
    let clock = SystemClock::new();
    let mut allowed = workers.pop().expect("the last one");
    let topology = topologies.last().expect("the last one");
    wait_until("with all rights everything is done", LONG, || {
        assert!(!allowed.has_ended(), "it has all rights, and ended:\n{}", allowed.output());
        is_done(&brokers, topology)
    });
    for ((case, topology), mut worker) in CASES.iter().zip(&topologies).zip(workers) {
        let parts: Vec<String> = case.said.iter().map(|part| part.replace('$', topology)).collect();
        let is_told =
            |worker: &Engine| worker.output().lines().any(|line| parts.iter().all(|part| line.contains(part.as_str())));
        while !is_told(&worker) && !worker.has_ended() && clock.mono() < LONG {
            std::thread::sleep(Duration::from_millis(10));
        }
        // What it says at its end comes before its end.
        assert!(is_told(&worker), "without `{}`: {parts:?} in\n{}", case.denied, worker.output());
        if worker.has_ended() {
            assert!(!worker.wait(LONG).success(), "without `{}` it ends as if all were well", case.denied);
        }
        let said = worker.output();
        let lines = said.lines().count();
        assert!(lines <= LINES_MAX, "without `{}` it says {lines} lines:\n{said}", case.denied);
    }
    let said = allowed.output();
    assert!(!said.contains("WARN") && !said.contains("ERROR"), "with all rights there is nothing to warn of:\n{said}");
    stop(allowed);
}

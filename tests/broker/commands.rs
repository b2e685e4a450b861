//! The commands around a topology's life on a cluster: plan, apply, and what `run` makes of what was applied.

use crate::cluster::signal_process;
use crate::tools::{Engine, kafka, read_committed, unique, wait_until};
use skald::broker::Broker;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary in a folder with what it reads from stdin.
pub(crate) fn skald(folder: &Path, arguments: &[&str], input: &[u8]) -> Run {
    use std::io::Write as _;
    let mut command = Command::new(env!("CARGO_BIN_EXE_skald"));
    command.current_dir(folder).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SKALD_")) {
        command.env_remove(name);
    }
    let mut child = command.spawn().expect("the binary was built");
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A command that reads nothing has gone before it is written to.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("a child of ours");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn file(topology: &str, version: u32, step: &str) -> String {
    format!(
        "skald: 1
topology: {topology}
version: {version}
topics:
  {topology}-in:
    partitions: 3
    retention: forever
    key: data.k
    types: {{ a.v1: {{ type: object, required: [k], properties: {{ k: {{ type: string }} }} }} }}
aggregates:
  counts:
    from: {topology}-in
    initial: {{ n: 0 }}
    evolve: {{ a.v1: {{ set: {{ n: =state.n + {step} }} }} }}
"
    )
}

#[test]
fn a_definition_is_planned_applied_and_guarded() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let topology = unique("life");
    let write = |version, step| {
        std::fs::write(folder.path().join("t.yaml"), file(&topology, version, step)).expect("the folder is writable");
    };
    let run = |arguments: &[&str]| skald(folder.path(), &[arguments, &["t.yaml", "-b", brokers]].concat(), b"");
    let expect = |arguments: &[&str], code: i32, parts: &[&str]| {
        let run = run(arguments);
        for part in parts {
            assert!(run.out.contains(part) || run.err.contains(part), "{arguments:?}: `{part}` in\n{}{}", run.out, run.err);
        }
        assert_eq!(run.code, code, "{arguments:?}\n{}{}", run.out, run.err);
    };

    write(1, "1");
    let input = format!("{topology}-in");
    let new = format!("+ {input}");
    expect(&["plan", "--exit-code"], 4, &[&new, "3 partitions, retention.ms=-1", "is to be recorded, the first"]);
    assert!(kafka(brokers).admin().unwrap().describe(&[input.as_str().into()]).unwrap().is_empty(), "a plan makes nothing");
    expect(&["apply"], 0, &[&format!("topic `{input}` created"), "version 1 recorded"]);
    expect(&["apply"], 0, &["version 1 is recorded"]);
    expect(&["plan", "--exit-code"], 0, &["unchanged", "0 topics to create"]);

    write(1, "2");
    expect(&["plan", "--exit-code"], 1, &["raise `version` to 2"]);
    expect(&["apply"], 1, &["raise `version` to 2"]);
    expect(&["run", "--listen", "off"], 1, &["raise `version` to 2"]);

    write(2, "2");
    expect(&["plan"], 0, &["aggregate counts", "rebuild", "evolve/a.v1/set/n", "t.yaml:"]);
    expect(&["apply"], 1, &["made by the old `evolve` of `a.v1`"]);
    expect(&["run", "--listen", "off"], 1, &["is refused", "made by the old `evolve` of `a.v1`"]);
    expect(&["apply", "--keep", "other"], 2, &["these nodes need it: counts"]);
    expect(&["apply", "--keep", "counts"], 0, &["version 2 recorded"]);
    expect(&["plan", "--exit-code"], 0, &["version 2 is recorded"]);

    let recorded = read_committed(brokers, &format!("{topology}.definitions"));
    let versions: Vec<_> = recorded.iter().map(|record| record.key.clone().unwrap_or_default()).collect();
    assert_eq!(versions, [b"1".to_vec(), b"2".to_vec()]);
    let last: serde_json::Value = serde_json::from_str(&recorded[1].value_text()).expect("JSON");
    assert_eq!((&last["kept"][0], &last["version"]), (&"counts".into(), &2.into()), "{last:#}");
}

#[test]
fn a_first_run_records_what_it_runs() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let topology = unique("first");
    std::fs::write(folder.path().join("t.yaml"), file(&topology, 1, "1")).expect("the folder is writable");
    let arguments = ["run", "t.yaml", "-b", brokers, "--create-topics", "--listen", "off", "--threads", "1"];
    let mut engine = Engine::spawn(folder.path(), &arguments, &[]);
    wait_until("it starts", Duration::from_secs(60), || engine.output().contains("started"));
    engine.terminate();
    assert!(engine.wait(Duration::from_secs(60)).success(), "{}", engine.output());
    let plan = skald(folder.path(), &["plan", "t.yaml", "-b", brokers, "--exit-code"], b"");
    assert_eq!(plan.code, 0, "{}{}", plan.out, plan.err);
    assert!(plan.out.contains("version 1 is recorded"), "{}", plan.out);
}

#[test]
fn a_topic_is_created_filled_from_a_pipe_and_read_back() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let topic = unique("lines");
    let call = |arguments: &[&str], input: &str| {
        skald(folder.path(), &[&["topic"], arguments, &["-b", brokers]].concat(), input.as_bytes())
    };
    let done = |arguments: &[&str], input: &str| {
        let run = call(arguments, input);
        assert_eq!(run.code, 0, "{arguments:?}\n{}{}", run.out, run.err);
        run
    };
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };

    assert_eq!(call(&["cat", &topic, "-e"], "").code, 5);
    assert_eq!(call(&["produce", &topic], "x\n").code, 5);
    done(&["create", &topic, "--partitions", "3", "--replication", "1", "--config", "cleanup.policy=compact"], "");
    assert_eq!(call(&["create", &topic], "").code, 1);
    done(&["create", &topic, "--if-not-exists"], "");
    let listed: serde_json::Value =
        serde_json::from_str(&done(&["list", &topic, "--settings", "-o", "json"], "").out).expect("JSON");
    assert_eq!(
        (&listed[0]["partitions"], &listed[0]["settings"]["cleanup.policy"]),
        (&3.into(), &"compact".into()),
        "{listed:#}"
    );
    assert!(done(&["list"], "").out.lines().any(|line| line.split_whitespace().eq(["3", topic.as_str()])));

    let said = done(&["produce", &topic, "-K", ":", "-Z", "-H", "from=pipe"], "a:{\"n\":1}\n\nb:two words\nc:").err;
    assert!(said.contains("3 records produced"), "{said}");
    let place = |key: &str| skald::record::partition_of(key.as_bytes(), 3);
    let expected = ["a {\"n\":1} 7", "b two words 9", "c  -1"].map(|line| {
        let key = &line[..1];
        format!("{topic} {} from=pipe {line}", place(key))
    });
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(sorted(&done(&["cat", &topic, "-e", "-f", "%t %p %h %k %s %S\\n"], "").out), expected);
    assert_eq!(sorted(&done(&["cat", &topic, "-e", "-K", "\\t", "-Z"], "").out), ["a\t{\"n\":1}", "b\ttwo words", "c\tNULL"]);

    // A reader that goes on ends by its count, and one from a moment to come has nothing to read.
    assert_eq!(done(&["cat", &topic, "-c", "2"], "").out.lines().count(), 2);
    for (arguments, lines) in [
        (&["-o", "end"][..], 0),
        (&["-o", "@2100-01-01T00:00:00Z"], 0),
        (&["-o", "@1h"], 3),
        (&["-o", "-1", "-p", &place("a").to_string()], 1),
    ] {
        let run = done(&[&["cat", &topic, "-e", "-J"], arguments].concat(), "");
        assert_eq!(run.out.lines().count(), lines, "{arguments:?}\n{}", run.out);
        for line in run.out.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            assert_eq!(line["headers"], serde_json::json!([["from", "pipe"]]), "{line}");
        }
    }
    assert_eq!(call(&["cat", &topic, "-e", "-p", "3"], "").code, 5);
    assert_eq!(call(&["cat", &topic, "-e", "-f", "%q"], "").code, 2);

    std::fs::write(folder.path().join("lines.txt"), "one\ntwo\n").expect("the folder is writable");
    let run = call(&["produce", &topic, "lines.txt"], "");
    assert!(run.code == 1 && run.err.contains("the first 0 records"), "a compacted topic wants keys: {}", run.err);
    assert_eq!(call(&["produce", &topic, "none.txt"], "").code, 5);
}

#[test]
fn a_topic_is_followed_until_a_signal_or_until_its_reader_has_gone() {
    use std::io::{BufRead as _, BufReader};
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a folder");
    let topic = unique("follow");
    let call = |arguments: &[&str], input: &str| {
        let run = skald(folder.path(), &[&["topic"], arguments, &["-b", brokers]].concat(), input.as_bytes());
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    };
    call(&["create", &topic, "--partitions", "2", "--replication", "1"], "");
    for signalled in [true, false] {
        let mut follower = Command::new(env!("CARGO_BIN_EXE_skald"))
            .args(["topic", "cat", &topic, "-b", brokers])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        call(&["produce", &topic, "-p", "1"], "first\n");
        let mut lines = BufReader::new(follower.stdout.take().expect("it was asked for"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a pipe");
        assert_eq!(line, "first\n", "a record is written when it comes");
        if signalled {
            signal_process(follower.id(), rustix::process::Signal::TERM);
        } else {
            drop(lines);
            call(&["produce", &topic], "second\n");
        }
        assert!(follower.wait().expect("a child of ours").success(), "signalled: {signalled}");
    }
}

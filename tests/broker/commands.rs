//! The commands around a topology's life on a cluster: plan, apply, and what `run` makes of what was applied.

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

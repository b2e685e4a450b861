//! The table of changes, as cases in `tests/plan/changes.txt`: an old file, edits, and what is said of every node.
//! `UPDATE_EXPECTED=1` writes the answers anew; read what changed.

use super::*;
use crate::topology::{Loaded, NoSources, definition, load};
use std::fmt::Write as _;
use std::path::Path;

const FILE: &str = "tests/plan/changes.txt";

fn loaded(text: &str) -> Loaded {
    let loaded = load("new.yaml", text.as_bytes(), &[], &NoSources);
    let errors: Vec<String> =
        loaded.findings.iter().filter(|found| found.code.starts_with('E')).map(ToString::to_string).collect();
    assert!(!loaded.has_errors(), "{errors:#?}\n{text}");
    loaded
}

fn side(loaded: &Loaded) -> Side<'_> {
    let (topology, plan) = loaded.checked.as_ref().unwrap();
    Side { topology, plan, definition: loaded.definition.as_ref().unwrap() }
}

/// A case: its title, `old`, the edits (`- text` is replaced by the `+ text` behind it), the answer.
struct Case {
    title: String,
    edits: Vec<(String, String)>,
    answer: String,
}

/// The file: a topology, then cases, each begun by `== title`. Within edits `\n` is the end of a line.
fn read(text: &str) -> (String, Vec<Case>) {
    let (base, rest) = text.split_once("\n== ").expect("the file has cases");
    let cases = rest.split("\n== ").map(|case| {
        let mut lines = case.lines();
        let mut parsed = Case { title: lines.next().unwrap().to_owned(), edits: Vec::new(), answer: String::new() };
        for line in lines {
            let text = |line: &str| line[2.min(line.len())..].replace("\\n", "\n");
            if line.starts_with("- ") {
                parsed.edits.push((text(line), String::new()));
            } else if line.starts_with('+') {
                parsed.edits.last_mut().expect("an edit begins with `- `").1 = text(line);
            } else if !line.is_empty() {
                let _ = writeln!(parsed.answer, "{line}");
            }
        }
        parsed
    });
    (base.to_owned(), cases.collect())
}

fn answer(base: &str, edits: &[(String, String)], title: &str) -> String {
    let mut text = base.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from.as_str()), "{title}: `{from}` is not in the file");
        text = text.replace(from.as_str(), to);
    }
    let (old, new) = (loaded(base), loaded(&text));
    // What was applied is read from its record, as from a cluster.
    let old = definition::reload("applied", &old.definition.as_ref().unwrap().record()).unwrap();
    let cut = |topic: &str| (topic == "short").then(|| "keeps its records for 7 days only".to_owned());
    let found = compare(side(&old), side(&new), &cut);
    let mut out = String::new();
    for part in found.nodes.iter().filter(|part| part.mark != Mark::Same).chain(&found.others) {
        let _ = writeln!(out, "  {} {} {}: {}", part.mark.sign(), part.kind, part.name, part.verdict.name());
        for reason in &part.reasons {
            let _ = writeln!(out, "      {}: {}", reason.verdict.name(), reason.text);
        }
    }
    if found.regroup {
        out.push_str("  regroup\n");
    }
    if out.is_empty() { "  unchanged\n".to_owned() } else { out }
}

#[test]
fn every_change_has_its_verdict() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let (base, cases) = read(&text);
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut written = base.clone();
    for case in &cases {
        let found = answer(&base, &case.edits, &case.title);
        if !update {
            assert_eq!(found, case.answer, "{}", case.title);
        }
        let _ = write!(written, "\n== {}\n", case.title);
        for (from, to) in &case.edits {
            let _ = write!(written, "- {}\n+ {}\n", from.replace('\n', "\\n"), to.replace('\n', "\\n"));
        }
        written.push_str(&found);
    }
    assert!(cases.len() > 30);
    if update {
        std::fs::write(&path, written).unwrap();
    }
}

#[test]
fn a_sheet_is_readable_and_says_the_same_to_programs() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)).unwrap();
    let (base, _) = read(&text);
    let changed = base.replace("=state.n + 1", "=state.n + 2").replace("  copy:", "  other:");
    let (old, new) = (loaded(&base), loaded(&changed));
    let mut sheet = Sheet::of("new.yaml", side(&new));
    assert!(!sheet.has_differences() && !sheet.is_refused());
    sheet.comparison = Some(compare(side(&old), side(&new), &|_| None));
    sheet.against = Some("version 1".into());
    sheet.definition = "version 2 is to be recorded".into();
    sheet.topics = vec![
        TopicLine { mark: Mark::Added, name: "clicks".into(), text: "6 partitions".into(), problem: false, hint: None },
        TopicLine { mark: Mark::Same, name: "x".into(), text: String::new(), problem: true, hint: Some("mend it".into()) },
    ];
    let shown = sheet.text(false);
    for part in [
        "  ~ aggregate clicks (state in base.clicks.snapshots)  rebuild",
        "evolve/clicked.v1/set/n: \"=state.n + 1\" → \"=state.n + 2\"  (new.yaml:",
        "  - pipeline copy  compatible",
        "  + pipeline other  compatible",
        "  + clicks  6 partitions",
        "hint: mend it",
        "Group literal `base`: Read, Describe",
        "Plan: 1 topics to create, 0 that differ, 1 that keep it from running; nodes: ",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}') && sheet.text(true).contains('\u{1b}'));
    assert!(sheet.has_differences() && sheet.is_refused());
    let json = sheet.json();
    assert_eq!((&json["verdict"], &json["refused"]), (&"rebuild".into(), &true.into()), "{json:#}");
    assert_eq!(json["nodes"].as_array().map(Vec::len), Some(sheet.comparison.unwrap().nodes.len()));
}

#[test]
fn rights_are_exact() {
    let text = "\
skald: 1
topology: app
reply_to: [\"*.replies\", app.x]
topics:
  in: { key: data.k, types: [a.v1] }
  out: { key: data.k, types: [a.v1] }
  app.own: { key: data.k, types: [a.v1] }
  states: { key: data.k, cleanup: compact }
aggregates:
  counts:
    from: in
    snapshots: states
    evolve: { a.v1: { set: { n: 1 } } }
pipelines:
  every:
    from: { pattern: \"logs\\\\..*\" }
    steps: [{ emit: { to: =\"shards.\" + key, type: a.v1, data: {}, key: =key } }, { emit: { type: a.v1, to: out, data: { k: =key } } }]
";
    let loaded = loaded(text);
    let (topology, plan) = loaded.checked.as_ref().unwrap();
    let mut shown = String::new();
    for right in rights(topology, plan) {
        let operations: Vec<&str> = right.operations.iter().map(|one| one.name()).collect();
        let who = if right.provisioning { "creates: " } else { "" };
        let _ =
            writeln!(shown, "{who}{} {} {}: {}", right.resource.name(), right.pattern.name(), right.name, operations.join(" "));
    }
    assert_eq!(
        shown,
        "\
Group literal app: Read Describe
TransactionalId prefixed app.: Write Describe
Topic prefixed app.: Read Write Describe DescribeConfigs
Topic literal app.counts.inbox: Delete
Topic literal app.every.inbox: Delete
Topic literal in: Read Describe DescribeConfigs
Topic literal out: Write Describe DescribeConfigs
Topic literal states: Read Write Describe DescribeConfigs
Topic prefixed shards.: Write Describe
Topic fitting /logs\\..*/: Read Describe DescribeConfigs
creates: Topic prefixed app.: Create
creates: Topic literal in: Create
creates: Topic literal out: Create
creates: Topic literal states: Create
"
    );
}

#[test]
fn what_a_step_has_seen_is_found_by_its_name() {
    let base = "\
skald: 1
topology: sieve
topics: { in: { partitions: 2, key: data.id, types: [a.v1] } }
pipelines:
  once:
    from: in
    steps:
      - { name: ids, dedupe: { by: event.id, within: 1h } }
";
    for (from, to, expected) in [
        ("within: 1h", "within: 2h", "  ~ pipeline once: compatible\n      compatible: it holds for new records\n"),
        (
            "by: event.id",
            "by: data.id",
            "  ~ pipeline once: compatible\n      compatible: it holds for new records\n      compatible: step `ids` knew records by `event.id` and does by `data.id`: what it has seen does not count any more\n",
        ),
        (
            "name: ids",
            "name: id",
            "  ~ pipeline once: refused\n      refused: what step `ids` has seen is found by its name; if it is now `id`, keep the old name\n      compatible: it holds for new records\n",
        ),
        (
            "name: ids, dedupe: { by: event.id, within: 1h }",
            "filter: data.n > 1",
            "  ~ pipeline once: compatible\n      compatible: it holds for new records\n      compatible: step `ids` is gone: what it has seen is not looked at\n",
        ),
    ] {
        let found = answer(base, &[(from.to_owned(), to.to_owned())], from);
        assert_eq!(found, expected, "{from}");
    }
}

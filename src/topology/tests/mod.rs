//! Topology files in, findings out: `tests/topology/good` has files without errors, `tests/topology/bad` has files with what
//! is found in them in a file of the same name beside. `UPDATE_EXPECTED=1` writes these; read what changed.

mod definitions;
mod fixes;
mod hostile;
mod mutated;
mod plans;
mod registry;
pub(super) mod support;

use super::{Loaded, Severity, across, codes, render};
use std::collections::BTreeSet;
use std::path::Path;
use support::{expect, files, load_file};

#[test]
fn good_files_check_without_errors() {
    let paths = files("tests/topology/good");
    assert!(paths.len() >= 4);
    for path in paths {
        no_errors(&load_file(&path));
    }
}

#[test]
fn nothing_is_found_in_the_samples_alone_and_together() {
    let folders = std::fs::read_dir(here("topologies")).unwrap().map(|folder| folder.unwrap().file_name());
    let mut names: Vec<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    let files = names.iter().flat_map(|name| files(&format!("topologies/{name}")));
    let loaded: Vec<Loaded> = files.map(|path| load_file(&path)).collect();
    assert!(loaded.len() >= 9);
    let together = across(&loaded);
    for one in &loaded {
        let found: Vec<_> =
            one.findings.iter().chain(together.iter().filter(|found| found.file == one.file)).cloned().collect();
        assert!(found.is_empty(), "{}", render::text(&found, |_| Some(&one.text), false));
        assert!(one.checked.is_some());
    }
}

fn no_errors(loaded: &Loaded) {
    let errors: Vec<_> = loaded.findings.iter().filter(|found| found.severity() == Severity::Error).cloned().collect();
    assert!(errors.is_empty(), "{}", render::text(&errors, |_| Some(&loaded.text), false));
    assert!(loaded.checked.is_some());
}

#[test]
fn bad_files_say_all_that_is_wrong_and_where() {
    for path in files("tests/topology/bad") {
        let loaded = load_file(&path);
        assert!(loaded.checked.is_none(), "{} was taken", path.display());
        assert!(loaded.has_errors());
        expect(&path.with_extension("expected"), &render::lines(&loaded.findings));
        // As people see it: the traps, where the place matters most.
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if name == "traps" || name.starts_with("syntax") {
            expect(&path.with_extension("rendered"), &render::text(&loaded.findings, |_| Some(&loaded.text), false));
        }
    }
}

#[test]
fn every_code_is_found_in_a_bad_file() {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    for path in files("tests/topology/bad").iter().chain(&files("tests/topology/good")) {
        found.extend(load_file(path).findings.iter().map(|found| found.code));
    }
    // Of params given from outside, and of several files.
    let elsewhere = ["E210", "W202", "W203"];
    let of_topologies = codes::of_topologies().map(|(code, _)| code);
    let missing: Vec<&str> = of_topologies.filter(|code| !found.contains(code) && !elsewhere.contains(code)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// The codes that the language has, those of this engine's own included.
const CATALOGUE: &str = "E101-E117 W101-W102 E201-E210 E212-E214 W201-W203 E301-E313 W301-W306 E401-E409 W401-W402 E501-E511 W501-W506 \
                         E601-E604 E606-E608 W601-W602 E701-E706 E708-E714 E716 W701-W704 E801-E808 W801 E901-E910 W901-W902";

/// Codes that are not said yet, by what they are about: a part of the language that is refused with E117.
const LATER: [(&str, &str); 5] = [
    ("services", "E206 W901 W902 E907"),
    ("tables", "E207 E805"),
    ("http", "E902 E903 E904 E905 E906"),
    ("pipelines/p/steps/join", "E502"),
    ("pipelines/p/steps/window", "E806 E807 W801"),
];

/// Codes that nothing is said by: no form is deprecated, and a count of partitions that is not declared is the cluster's.
const NEVER: [&str; 2] = ["W102", "E508"];

#[test]
fn every_code_of_the_language_is_said_or_belongs_to_a_part_that_is_not_built() {
    let codes_of = |text: &str| -> BTreeSet<String> {
        let ranges = text.split_whitespace().map(|range| range.split_once('-').unwrap_or((range, range)));
        let numbers = |(from, to): (&str, &str)| {
            let number = |code: &str| code[1..].parse::<u32>().unwrap();
            let letter = from[..1].to_owned();
            (number(from)..=number(to)).map(move |number| format!("{letter}{number}")).collect::<Vec<_>>()
        };
        ranges.flat_map(numbers).collect()
    };
    let said: BTreeSet<String> = codes::of_topologies().chain(codes::of_clusters()).map(|(code, _)| code.to_owned()).collect();
    let mut known = said.clone();
    for (part, codes) in LATER {
        let codes = codes_of(codes);
        assert!(codes.is_disjoint(&said), "{part}: said by now, so it is not for later");
        known.extend(codes);
        let mut line = "{}".to_owned();
        for name in part.split('/').rev() {
            line = match name {
                "steps" => format!("{{ from: x, steps: [{line}] }}"),
                "a" => format!("{{ a: {line} }}"),
                "p" => format!("{{ p: {line} }}"),
                name => format!("{{ {name}: {line} }}"),
            };
        }
        let text = format!("skald: 1\ntopology: t\n{}\n", &line[2..line.len() - 2]);
        let loaded = super::load("t.yaml", text.as_bytes(), &[], &super::NoSources);
        assert!(loaded.findings.iter().any(|found| found.code == "E117"), "{part} is built: {text}{:?}", loaded.findings);
    }
    known.extend(NEVER.iter().map(|code| (*code).to_owned()));
    assert_eq!(known, codes_of(CATALOGUE));
}

#[test]
fn params_from_outside_are_of_the_type_of_those_in_the_file() {
    let text = "skald: 1\ntopology: t\nparams: { rate: 0.5, name: a, count: 1 }\n";
    let load = |name: &str, value: &str| {
        let overrides = [(name.to_owned(), value.to_owned())];
        super::load("t.yaml", text.as_bytes(), &overrides, &super::NoSources)
    };
    for (name, value, shown) in [("rate", "1", "1.0"), ("rate", "0.25", "0.25"), ("name", "5", "\"5\""), ("count", "7", "7")] {
        let loaded = load(name, value);
        let (topology, _) = loaded.checked.as_ref().expect("a value of its type");
        let found = topology.params.get(name).map(|found| super::schema::json_of(found).to_string());
        assert_eq!(found.as_deref(), Some(shown));
    }
    for (name, value) in [("rate", "much"), ("count", "0.5"), ("nam", "x")] {
        assert_eq!(load(name, value).findings.iter().filter(|found| found.code == "E210").count(), 1, "{name}={value}");
    }
}

#[test]
fn variables_are_filled_into_scalars_and_take_the_type_of_their_field() {
    let text = "skald: 1\ntopology: t\ntopics: { x: { partitions: \"${THREE}\", types: [a.v1] } }\nparams:\n";
    let value = |written: &str| {
        let text = format!("{text}  a: {written}\n");
        let loaded = super::load("t.yaml", text.as_bytes(), &[], &support::Folder(here("tests/plan")));
        match loaded.checked {
            Some((topology, _)) => {
                assert_eq!(topology.topics[0].partitions, Some(3));
                let shown = topology.params.get("a").map(|value| super::schema::json_of(value).to_string());
                Ok((shown.unwrap_or_default(), topology.secrets.len()))
            }
            None => Err(loaded.findings.iter().map(|found| found.code).collect::<Vec<_>>()),
        }
    };
    for (written, shown) in [
        ("${THREE}", "3"),
        ("\"${THREE}\"", "3"),
        ("a${THREE}b", "\"a3b\""),
        ("${SET:-x}", "\"value\""),
        ("${NOT_SET:-x y}", "\"x y\""),
        ("${EMPTY:-x}", "\"x\""),
        ("${EMPTY}", "null"),
        ("$$${THREE}", "\"$3\""),
        ("$${THREE}", "\"${THREE}\""),
        ("5$", "\"5$\""),
        ("[\"${THREE}\", { b: \"${SET}\" }]", "[3,{\"b\":\"value\"}]"),
    ] {
        assert_eq!(value(written), Ok((shown.to_owned(), 0)), "{written}");
    }
    assert_eq!(value("\"${file:secret.txt}\""), Ok(("\"hush\"".to_owned(), 1)));
    for written in ["${NOT_SET}", "${NOT_SET:?why}", "${1A}", "${A B}", "\"${SET\"", "\"${file:none}\"", "${EMPTY:?why}"] {
        assert_eq!(value(written), Err(vec!["E111"]), "{written}");
    }
}

#[test]
fn types_that_go_nowhere_are_found_over_all_files() {
    let file = |name: &str, text: &str| super::load(name, text.as_bytes(), &[], &super::NoSources);
    let topics = "topics: { x: { types: [a.v1, b.v1, c.v1] }, y: { types: [d.v1] } }";
    let sends = format!(
        "skald: 1\ntopology: one\n{topics}\npipelines:\n  p: {{ from: y, steps: [{{ emit: {{ type: a.v1, data: {{}} }} }}, {{ emit: {{ type: b.v1, data: {{}} }} }}] }}\n"
    );
    let reads = format!(
        "skald: 1\ntopology: two\n{topics}\npipelines:\n  q: {{ from: x, type: [b.v1, c.v1], steps: [{{ filter: true }}] }}\n"
    );
    let (sends, reads) = (file("one.yaml", &sends), file("two.yaml", &reads));
    assert!(across(std::slice::from_ref(&sends)).is_empty() && across(std::slice::from_ref(&reads)).is_empty());
    let found: Vec<String> = across(&[sends, reads]).iter().map(|found| format!("{} {}", found.file, found.message)).collect();
    assert_eq!(found, ["two.yaml nothing emits `c.v1` to `x`", "one.yaml nothing handles `a.v1` of `x`"]);
}

#[test]
fn commands_come_from_outside_too_but_nobody_else_emits_an_aggregates_events() {
    let file = |name: &str, text: &str| super::load(name, text.as_bytes(), &[], &super::NoSources);
    let topics = "topics: { in: { key: data.k, types: [do.v1, undo.v1] }, out: { key: data.k, retention: forever, types: [done.v1, undone.v1] } }";
    let decides = format!(
        "skald: 1\ntopology: one\n{topics}\naggregates:\n  a:\n    from: in\n    events: out\n    decide:\n      do.v1: {{ emit: {{ type: done.v1, data: =data }} }}\n      undo.v1: {{ emit: {{ type: done.v1, data: =data }} }}\n"
    );
    let follows = format!(
        "skald: 1\ntopology: two\n{topics}\naggregates:\n  b:\n    from: out\n    decide:\n      done.v1: {{ emit: {{ to: in, type: undo.v1, data: =data }} }}\n      undone.v1: {{ emit: {{ to: in, type: undo.v1, data: =data }} }}\n"
    );
    let found = across(&[file("one.yaml", &decides), file("two.yaml", &follows)]);
    let found: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(found, ["nothing emits `undone.v1` to `out`"]);
}

/// A path of this repository.
fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

//! Scenario files in, verdicts out.
//!
//! `failing` has files in which every case expects something wrong; beside each is what is said about it. `bad` has files with
//! mistakes, and what is found in them. `UPDATE_EXPECTED=1` writes these; read what changed.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod dedupe;
mod faults;
#[path = "../shared/folder.rs"]
mod folder;
mod sagas;

use folder::Folder;
use skald::record::Value;
use skald::scenario::{Reading, Suite, Topologies, Verdict, coverage, is_marked, read, report, run, schema, update};
use skald::topology::{Loaded, load, render};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Topologies are files of it, too.
impl Topologies for Folder {
    fn load(&self, path: &str, params: &[(String, String)]) -> io::Result<Loaded> {
        let file = self.0.join(path);
        let bytes = std::fs::read(&file)?;
        Ok(load(path, &bytes, params, &Folder(file.parent().unwrap().to_owned())))
    }
}

pub(crate) fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file under its plain name.
fn read_file(path: &Path) -> Reading {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    read(&name, &std::fs::read(path).unwrap(), &Folder(path.parent().unwrap().to_owned()))
}

/// A text, with topologies from `tests/scenario`.
pub(crate) fn suite(text: &str) -> Suite {
    let reading = read("case.test.yaml", text.as_bytes(), &Folder(here("tests/scenario")));
    let found = render::text(&reading.findings, |_| Some(&reading.text), false);
    reading.suite.unwrap_or_else(|| panic!("{found}"))
}

pub(crate) fn failures(suite: &Suite, case: usize) -> String {
    match run(suite, case) {
        Verdict::Failed(failures) => failures.iter().map(|failure| report::failure(suite, failure, false)).collect(),
        _ => String::new(),
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(here(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

fn expect(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, expected, "{}: UPDATE_EXPECTED=1 writes it anew", path.display());
}

/// All scenario files of the samples.
fn samples() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(here("topologies")).unwrap().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()));
    let mut files: Vec<PathBuf> = files.filter(|file| is_marked(&std::fs::read(file).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn the_samples_do_what_their_scenarios_say_and_these_leave_nothing_out() {
    let readings: Vec<(PathBuf, Reading)> = samples().into_iter().map(|path| (path.clone(), read_file(&path))).collect();
    assert!(readings.len() >= 9);
    for (path, reading) in &readings {
        assert!(reading.findings.is_empty(), "{}", render::text(&reading.findings, |_| Some(&reading.text), false));
        let suite = reading.suite.as_ref().unwrap();
        for case in 0..suite.len() {
            let failed = failures(suite, case);
            assert!(failed.is_empty(), "{}: {}\n{failed}", path.display(), suite.name(case));
        }
    }
    let covered = coverage::of(readings.iter().filter_map(|(_, reading)| reading.suite.as_ref()));
    assert_eq!(covered.len(), readings.len());
    for covered in covered {
        assert_eq!(covered.missing().count(), 0, "{}", covered.text());
    }
}

#[test]
fn every_sample_has_scenarios() {
    for folder in std::fs::read_dir(here("topologies")).unwrap() {
        let folder = folder.unwrap().path();
        assert!(samples().iter().any(|file| file.parent() == Some(&folder)), "{}", folder.display());
    }
}

#[test]
fn what_is_not_as_expected_is_shown_at_its_place() {
    for path in files("tests/scenario/failing") {
        let reading = read_file(&path);
        assert!(reading.findings.is_empty(), "{}", render::text(&reading.findings, |_| Some(&reading.text), false));
        let suite = reading.suite.unwrap();
        let mut told = String::new();
        for case in 0..suite.len() {
            let failed = failures(&suite, case);
            assert!(!failed.is_empty(), "{}: {} does not fail", path.display(), suite.name(case));
            let _ = writeln!(told, "# {}\n\n{failed}", suite.name(case));
        }
        expect(&path.with_extension("expected"), &told);
    }
}

#[test]
fn mistakes_in_files_are_found_all_at_once() {
    let mut codes = std::collections::BTreeSet::new();
    for path in files("tests/scenario/bad") {
        let reading = read_file(&path);
        assert!(reading.suite.is_none(), "{} was taken", path.display());
        codes.extend(reading.findings.iter().map(|found| found.code));
        expect(&path.with_extension("expected"), &render::lines(&reading.findings));
    }
    for (code, _) in skald::topology::codes::of_scenarios() {
        // A type of several topics is in none of the files, but in the example of its page.
        assert!(codes.contains(code) || code == "E1005", "nothing says {code}");
    }
}

/// The examples of `skald explain`: the bad one is told, the good one runs.
#[test]
fn the_examples_of_every_code_are_what_they_say() {
    for (code, _) in skald::topology::codes::of_scenarios() {
        let example = |kind: &str| here(&format!("tests/scenario/codes/{code}.{kind}.yaml"));
        let read_as =
            |name: &str, path: PathBuf| read(name, &std::fs::read(&path).unwrap(), &Folder(path.parent().unwrap().to_owned()));
        let bad = read_as("bad.yaml", example("bad"));
        assert!(bad.findings.iter().all(|found| found.code == code) && !bad.findings.is_empty(), "{code}: {:?}", bad.findings);
        expect(&here(&format!("tests/scenario/codes/{code}.expected")), &render::lines(&bad.findings));
        let good = read_as("good.yaml", example("good"));
        assert!(good.findings.is_empty(), "{code}: {:?}", good.findings);
        let suite = good.suite.unwrap();
        for case in 0..suite.len() {
            let failed = failures(&suite, case);
            assert!(failed.is_empty(), "{code}: {failed}");
        }
    }
}

#[test]
fn the_same_case_gives_the_same_report() {
    for path in files("tests/scenario/failing") {
        let once = || {
            let suite = read_file(&path).suite.unwrap();
            (0..suite.len()).map(|case| failures(&suite, case)).collect::<Vec<_>>()
        };
        assert_eq!(once(), once());
    }
}

#[test]
fn an_update_writes_what_came_and_keeps_the_rest() {
    let path = here("tests/scenario/update/before.test.yaml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    let folder = Folder(path.parent().unwrap().to_owned());
    for _ in 0..10 {
        let suite = read("before.test.yaml", text.as_bytes(), &folder).suite.unwrap();
        let all: Vec<_> = (0..suite.len())
            .filter_map(|case| if let Verdict::Failed(failures) = run(&suite, case) { Some(failures) } else { None })
            .flatten()
            .collect();
        match update::updated(&text, &all) {
            Some(next) => text = next,
            None => {
                assert!(all.is_empty(), "{:?}", all[0]);
                break;
            }
        }
    }
    expect(&path.with_file_name("after.expected"), &text);
}

#[test]
fn coverage_tells_what_no_case_has_tried() {
    let suite = suite(
        "skald-test: 1
topology: till.yaml
cases:
  - name: a small one
    when: { type: till.book.v1, data: { till: a, amount: 5 } }
    then: [{ type: till.booked.v1 }]
",
    );
    let before = coverage::of([&suite]).remove(0);
    assert_eq!(before.count(None).1, 0, "{}", before.text());
    assert!(failures(&suite, 0).is_empty());
    let after = coverage::of([&suite]).remove(0);
    expect(&here("tests/scenario/coverage.expected"), &after.text());
    assert_eq!(after.json()["all"]["tried"], after.count(None).1);
}

#[test]
fn the_reports_for_programs_say_the_same() {
    let suite = suite(
        "skald-test: 1
topology: till.yaml
cases:
  - name: good & <well>
    when: { type: till.book.v1, data: { till: a, amount: 5 } }
    then: [{ type: till.booked.v1 }]
  - name: bad
    when: { type: till.book.v1, data: { till: a, amount: 5 } }
    then: [{ type: till.full.v1 }]
  - name: later
    skip: not yet
    when: { type: till.book.v1, data: { till: a, amount: 5 } }
    then: [{ type: till.full.v1 }]
",
    );
    let ran: Vec<report::Ran> =
        (0..suite.len()).map(|case| report::Ran { case, verdict: run(&suite, case), took: Default::default() }).collect();
    let json = report::json(&suite, &ran);
    let outcomes: Vec<&str> = json["cases"].as_array().unwrap().iter().map(|case| case["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["passed", "failed", "skipped"]);
    assert_eq!((&json["cases"][1]["line"], &json["cases"][1]["failures"][0]["places"][0]["line"]), (&7.into(), &9.into()));
    let junit = report::junit([(&suite, ran.as_slice())]);
    for part in [
        "tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\"",
        "name=\"good &amp; &lt;well&gt;\"",
        "<failure message=\"no `till.full.v1` was emitted\">",
        "<skipped message=\"not yet\"/>",
    ] {
        assert!(junit.contains(part), "{part} in\n{junit}");
    }
}

#[test]
fn the_schema_takes_the_files_that_the_reader_takes() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good = samples().into_iter().chain(files("tests/scenario/failing"));
    let mut checked = 0;
    for path in good {
        let value = yaml(&std::fs::read_to_string(&path).unwrap());
        let wrong: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{}\n{}", path.display(), wrong.join("\n"));
        checked += 1;
    }
    assert!(checked >= 9);
    for text in
        ["skald-test: 2\ntopology: x\ncases: []", "skald-test: 1\ncases: []", "skald-test: 1\ntopology: x\ncases: [{ nam: x }]"]
    {
        assert!(!validator.is_valid(&yaml(text)), "{text}");
    }
}

/// YAML as JSON, by the reader of topologies.
fn yaml(text: &str) -> serde_json::Value {
    use skald::topology::yaml::{Kind, Node};
    fn value(node: &Node) -> serde_json::Value {
        match &node.kind {
            Kind::Scalar(scalar) => match &scalar.value {
                Value::Str(text) => text.as_str().into(),
                other => serde_json::from_str(&skald::record::json::text(other).unwrap()).unwrap(),
            },
            Kind::List(items) => items.iter().map(value).collect(),
            Kind::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|entry| (entry.key.clone(), value(&entry.node))).collect())
            }
        }
    }
    let mut findings = skald::topology::Findings::new(skald::topology::SourceText::new("x", text));
    value(&skald::topology::yaml::read(&mut findings).unwrap())
}

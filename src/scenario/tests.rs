//! Parts by themselves; whole files are in `tests/scenario`.

use super::names::Known;
use super::pattern::compare;
use super::tree::Tree;
use super::{Topologies, read, shape, update};
use crate::record::{Value, json};
use crate::topology::{Findings, Loaded, NoSources, SourceText, load, yaml};
use proptest::prelude::*;
use std::io;

fn tree(text: &str) -> Tree {
    let mut findings = Findings::new(SourceText::new("x", text));
    let node = yaml::read(&mut findings).unwrap();
    Tree::read(&node, true, &mut findings).unwrap_or_else(|| panic!("{:?}", findings.finish()))
}

fn value(text: &str) -> Value {
    json::read(text.as_bytes()).unwrap()
}

#[test]
fn a_value_fits_where_its_expected_fields_do() {
    for (expected, actual, exact, found) in [
        ("1", "1", true, vec![]),
        ("1", "1.0", true, vec![]),
        ("1", "2", false, vec!["=is 2"]),
        ("a", "null", false, vec!["=is null"]),
        ("null", "null", false, vec![]),
        ("{ a: 1 }", r#"{"a": 1, "b": 2}"#, false, vec![]),
        ("{ a: 1 }", r#"{"a": 1, "b": 2}"#, true, vec!["=there is also `b`: 2"]),
        ("{ a: null }", "{}", true, vec![]),
        ("{ a: { b: 1 } }", r#"{"a": {"b": 2}}"#, false, vec!["a.b=is 2"]),
        ("{ a: 1, b: 2 }", "{}", false, vec!["a=is missing", "b=is missing"]),
        ("{ a: 1 }", "[1]", false, vec!["=is [1]"]),
        ("[1, 2]", "[1, 3]", false, vec!["[1]=is 3"]),
        ("[1]", "[1, 3]", false, vec!["=2 elements, expected are 1: [1,3]"]),
        ("[]", "null", false, vec!["=is null"]),
        ("=value > 1", "2", false, vec![]),
        ("=value > 1", "1", false, vec!["=is 1"]),
        ("=value in ['a', 'b']", "\"b\"", false, vec![]),
        ("=value.matches('^a+$')", "\"aab\"", false, vec!["=is \"aab\""]),
        ("=params.x", "7", false, vec![]),
        ("=params.x + 1", "7", false, vec!["=is 7, expected is 8"]),
        ("=params.x == 7", "true", false, vec![]),
        ("==x", "\"=x\"", false, vec![]),
    ] {
        let mut known = Known { params: value(r#"{"x": 7}"#), ..Known::default() };
        let mut out = Vec::new();
        compare(&tree(expected), Some(&value(actual)), exact, "", &mut known, &mut out);
        let said: Vec<String> = out.iter().map(|found| format!("{}={}", found.path, found.label)).collect();
        assert_eq!(said, found, "{expected} and {actual}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    for text in [
        "null",
        "true",
        "5",
        "1.5",
        r#""a""#,
        r#""true""#,
        r#""no""#,
        r#""5""#,
        r#""=a""#,
        r#""a: b""#,
        r#""a # b""#,
        r#""""#,
        r#""line\nline \"x\"""#,
        r#"{"a": {"b": [1, {}, []]}, "c d": null, "5": 1}"#,
    ] {
        let written = update::flow(&value(text));
        assert_eq!(tree(&written).constant(), Some(value(text)), "{written}");
    }
}

/// A topology that is always the same.
struct Fixed;

impl Topologies for Fixed {
    fn load(&self, path: &str, params: &[(String, String)]) -> io::Result<Loaded> {
        let text = "skald: 1\ntopology: t\nparams: { x: 1 }\ntopics:\n  a: { partitions: 1, key: data.k, types: { a.v1: { type: object, \
                    required: [k], properties: { k: { type: string } } } } }\naggregates:\n  counts: { from: a, initial: { c: 0 }, evolve: { a.v1: { \
                    set: { c: =state.c + 1 } } } }\n";
        Ok(load(path, text.as_bytes(), params, &NoSources))
    }
}

const GOOD: &str = "skald-test: 1
topology: t.yaml
params: { x: 2 }
cases:
  - name: one
    partitions: 3
    workers: 2
    given:
      - { type: a.v1, data: { k: a } }
      - state: counts
        key: b
        value: { c: 5 }
    steps:
      - when:
          - { type: a.v1, data: { k: a }, reply_to: x.replies, headers: { h: =params.x } }
          - duplicate: 1
          - advance: 5s
          - crash: { at: after-commit, worker: 1, down: 1s }
          - rebalance: join
        then:
          - state: counts
            key: a
            value: { c: =value > 1 }
          - any_order: [{ type: a.v1 }]
          - none: true
";

#[test]
fn the_file_that_is_mutated_is_taken() {
    let reading = read("x.test.yaml", GOOD.as_bytes(), &Fixed);
    assert!(reading.findings.is_empty() && reading.suite.is_some(), "{:?}", reading.findings);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A line that is dropped, doubled, indented otherwise or replaced: a finding or a file, never a panic.
    #[test]
    fn a_mutated_file_is_taken_or_refused(line in 0..30_usize, how in 0..5, word in "[a-z:{}\\[\\]=\"' -]{0,12}") {
        let mut lines: Vec<String> = GOOD.lines().map(str::to_owned).collect();
        let at = line % lines.len();
        match how {
            0 => { lines.remove(at); }
            1 => { let copy = lines[at].clone(); lines.insert(at, copy); }
            2 => lines[at].insert_str(0, "  "),
            3 => lines[at] = lines[at].split(':').next().unwrap_or_default().to_owned() + ": " + &word,
            _ => lines[at].push_str(&word),
        }
        let reading = read("x.test.yaml", lines.join("\n").as_bytes(), &Fixed);
        let errors = reading.findings.iter().any(|found| found.code.starts_with('E'));
        prop_assert_eq!(reading.suite.is_none(), errors, "{:?}", reading.findings);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("x.test.yaml", &bytes, &Fixed);
    }
}

#[test]
fn the_page_names_every_field() {
    let page = include_str!("../../docs/testing.md");
    for shape in shape::ALL {
        for field in shape.fields {
            let named = [format!("`{}`", field.name), format!("`{}: ", field.name)];
            assert!(named.iter().any(|name| page.contains(name)), "`{}` of {}", field.name, shape.what);
        }
    }
    for word in shape::CRASHES {
        assert!(page.contains(&format!("`{word}`")), "`{word}` is not in docs/testing.md");
    }
    for (code, title) in crate::topology::codes::of_scenarios() {
        assert!(page.contains(&format!("| {code} | {title} |")), "| {code} | {title} |");
    }
    for (name, label) in shape::POINTS {
        assert!(shape::CRASHES.contains(&name) && crate::runtime::crash::POINTS.contains(&label), "{name} {label}");
    }
}

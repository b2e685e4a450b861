//! What `check --fix` changes: the text of a finding's fix and nothing else, and only where it is certain what was meant.

use super::here;
use super::support::Folder;
use crate::topology::{Diagnostic, Fixed, fixed, load};
use proptest::prelude::*;

fn findings(text: &str) -> Vec<Diagnostic> {
    load("t.yaml", text.as_bytes(), &[], &Folder(here("tests/topology/good"))).findings
}

fn mended(text: &str) -> Fixed {
    fixed(text, findings)
}

/// A file with a line among others, of a pipeline over typed data.
fn file(line: &str) -> String {
    format!(
        "# A comment at the top.\nskald: 1\ntopology: t   # the name\n\nparams: {{ limit: 5 }}\ntopics:\n  in:\n    key: data.id\n    \
         types:\n      a.v1:\n        type: object\n        properties: {{ id: {{ type: string }}, total: {{ type: integer }}, note: {{ \
         type: string }}, tags: {{ type: array }} }}\n        required: [id, total, tags]\n  out:  {{ types: {{ b.v1: {{}} }} }}\n\
         pipelines:\n  p:\n    from: in\n    steps:\n      - filter: data.total > params.limit  # large ones\n{line}\n"
    )
}

fn step(step: &str) -> String {
    file(&format!("      - {step}"))
}

fn data(data: &str) -> String {
    file(&format!("      - emit:\n          type: b.v1\n          data:\n            {data}"))
}

/// What is found, where it is written, and what becomes of it.
type Case = (&'static str, &'static str, &'static str);

const STEPS: [Case; 10] = [
    ("E108", "filter: !has(data.note)", "filter: =!has(data.note)"),
    ("E108", "filter: !has(data.note)  # none", "filter: =!has(data.note)  # none"),
    ("E108", "filter: !(data.id in [data.note])", "filter: \"=!(data.id in [data.note])\""),
    ("E102", "filter: 'a' in data.tags", "filter: ='a' in data.tags"),
    ("E102", "filter: =data.total > 1 ? true : false", "filter: \"=data.total > 1 ? true : false\""),
    ("E102", "filter: =\"a: \" + data.id == data.id", "filter: '=\"a: \" + data.id == data.id'"),
    ("E102", "filter: [1, 2].exists(x, x == data.total)", "filter: \"[1, 2].exists(x, x == data.total)\""),
    ("E102", r#"filter: "data.id.matches('a\.b')""#, r#"filter: 'data.id.matches(''a\.b'')'"#),
    (
        "E103",
        "map: { total: =greatest(data.total, 3), id: =data.id }",
        "map: { total: \"=greatest(data.total, 3)\", id: =data.id }",
    ),
    ("E301", "filter: data.id == 'a #b'", "filter: \"data.id == 'a #b'\""),
];

/// The same of fields of a template.
const FIELDS: [Case; 7] = [
    ("E107", "subject: {string(data.total)}", "subject: =string(data.total)"),
    ("W101", "country: NO   # Norway", "country: \"NO\"   # Norway"),
    ("W101", "code: 0123", "code: \"0123\""),
    ("W301", "id: data.id", "id: =data.id"),
    ("W301", "'id': 'data.id'", "'id': =data.id"),
    ("W304", "id: \"{data.id}\"", "id: =data.id"),
    ("W304", "id: '{data.tags.map(t, t + \"}\").join(\", \")}'", "id: '=data.tags.map(t, t + \"}\").join(\", \")'"),
];

#[test]
fn what_is_certain_is_mended_and_nothing_else_changes() {
    let steps = STEPS.iter().map(|case| (case, step as fn(&str) -> String));
    for ((code, written, mended_to), before) in steps.chain(FIELDS.iter().map(|case| (case, data as fn(&str) -> String))) {
        let text = before(written);
        let found = findings(&text);
        assert!(found.iter().any(|found| found.code == *code && found.fix.is_some()), "{written}: {found:#?}");
        let done = mended(&text);
        assert_eq!(done.text, before(mended_to), "{written}");
        let left = findings(&done.text);
        assert!(left.iter().all(|left| left.fix.is_none()), "{written}: {left:#?}");
        assert!(done.mended.iter().all(|gone| !left.iter().any(|left| left.code == gone.code)), "{written}: {left:#?}");
    }
}

#[test]
fn what_is_not_certain_is_told_and_left() {
    for (code, text) in [
        ("E113", file("x-a: 1").replace("    key: data.id", "    retention: 30\n    key: data.id")),
        // A number would become one where text was given before.
        ("W304", data("total: \"{data.total}\"")),
        // Nothing is known of the metadata.
        ("W301", data("total: event.metadata.total")),
        ("E108", step("filter: !Ref data")),
        ("E108", step("filter: !!str data")),
        ("E102", step("filter: \"a\" b \"c\"")),
        ("E102", step(r#"filter: "data.id.matches('\d\n')""#)),
        ("E105", file("colour: red")),
    ] {
        let found = findings(&text);
        assert!(found.iter().any(|found| found.code == code), "{code}: {found:#?}");
        assert_eq!(mended(&text), Fixed { text: text.clone(), mended: Vec::new() }, "{code}");
    }
}

#[test]
fn many_mistakes_of_one_file_are_mended_together() {
    let text = step(
        "map: { a: NO, b: data.id, c: =least(data.total, 1), d: \"{data.id}\" }\n      - filter: !has(data.a)\n      - filter: 'a' in data.b",
    );
    let done = mended(&text);
    let wanted = "map: { a: \"NO\", b: =data.id, c: \"=least(data.total, 1)\", d: =data.id }\n      - filter: =!has(data.a)\n      - filter: ='a' in data.b";
    assert_eq!(done.text, step(wanted));
    assert_eq!(done.mended.len(), 6, "{:#?}", done.mended);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn however_many_there_are_only_they_change(
        fields in prop::sample::subsequence(FIELDS.to_vec(), 0..=FIELDS.len()),
        steps in prop::collection::vec(prop::sample::select(STEPS.to_vec()), 1..6),
    ) {
        let text = |choose: fn(&Case) -> &'static str| {
            let emits = fields.iter().map(|case| format!("      - emit:\n          type: b.v1\n          data:\n            {}", choose(case)));
            let lines: Vec<String> = emits.chain(steps.iter().map(|case| format!("      - {}", choose(case)))).collect();
            file(&lines.join("\n"))
        };
        let done = mended(&text(|case| case.1));
        prop_assert_eq!(done.text, text(|case| case.2));
        prop_assert!(done.mended.len() >= steps.len() + fields.len());
    }
}

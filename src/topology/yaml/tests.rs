//! YAML as the language takes it: scalars, places, refusals, budgets.

use super::*;
use crate::topology::diagnostic::{Findings, SourceText};

fn tree(text: &str) -> (Option<Node>, Vec<(&'static str, u32, u32)>) {
    let mut findings = Findings::new(SourceText::new("t.yaml", text));
    let node = read(&mut findings);
    (node, findings.finish().into_iter().map(|found| (found.code, found.line, found.column)).collect())
}

#[test]
fn plain_scalars_follow_the_core_schema_and_say_what_others_misread() {
    let number = |text| matches!(resolve(text).0, Value::Int(_) | Value::Double(_));
    for text in ["0", "-1", "+7", "0x1F", "9223372036854775807", "1.5", ".5", "1.", "-0.5e3", "1e3"] {
        assert!(number(text), "{text}");
        assert_eq!(resolve(text).1, None, "{text}");
    }
    for text in [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "N",
        "True",
        "FALSE",
        "Null",
        "0123",
        "1_000",
        "12:30",
        ".inf",
        "-.INF",
        ".NaN",
        "0o17",
        "0b11",
        "9223372036854775808",
    ] {
        assert_eq!(resolve(text).0, Value::from(text));
        assert!(resolve(text).1.is_some(), "{text}");
    }
    for text in ["yEs", "1.2.3", "12:30h", "2026-11-21", "a", "0xyz", "1e", "é", "+"] {
        assert_eq!(resolve(text), (Value::from(text), None), "{text}");
    }
    assert_eq!(resolve("0x1F").0, Value::Int(31));
    assert_eq!(resolve("-9223372036854775808").0, Value::Int(i64::MIN));
    assert!(resolve("").0.is_null() && resolve("~").0.is_null());
}

/// Every `¦` marks a character of the scalar `x` whose place must be found again from its place in the text.
#[test]
fn places_inside_scalars_are_found_in_every_style() {
    for source in [
        "x: abc ¦def",
        "x: 'it''s ¦here'",
        r#"x: "a\n\u00e9\"¦b""#,
        "x: |\n  one\n    two ¦three\n",
        "x: >\n  one\n  two\n\n  ¦three\n",
        "x: one\n  two\n  ¦three",
        "x: \"one\n  two \\\n  ¦three\"",
        "y: é\nx: ü ¦end",
        "x: |-\n\n  ¦a",
        "k: { x: 'a ¦b' }",
    ] {
        let wanted = source.find('¦').unwrap();
        let text = source.replace('¦', "");
        let (root, findings) = tree(&text);
        assert_eq!(findings, [], "{source}");
        let root = root.unwrap();
        let node = root.get("x").or_else(|| root.get("k").unwrap().get("x")).unwrap();
        let scalar = node.scalar().unwrap();
        let letter = text[wanted..].chars().next().unwrap();
        let offset = scalar.text.rfind(letter).unwrap();
        let tail: String = scalar.text[offset..].chars().take(3).collect();
        let offset = if text[wanted..].starts_with(&tail) { offset } else { scalar.text.find(letter).unwrap() };
        assert_eq!(
            scalar.locate(&text, &node.range, offset),
            wanted,
            "{source:?} {:?} at {offset} {:?}",
            scalar.text,
            node.range
        );
    }
}

#[test]
fn what_the_language_refuses_is_said_with_its_place() {
    for (text, expected) in [
        ("a: 1\na: 2\n", vec![("E104", 2, 1)]),
        ("a: &x { b: 1 }\nc:\n  <<: *x\n  d: 1\n", vec![("E109", 3, 3)]),
        ("a: !has(data.x)\n", vec![("E108", 1, 4)]),
        ("a: !!str 1\n", vec![("E108", 1, 4)]),
        ("a: 1\n---\nb: 2\n", vec![("E115", 2, 1)]),
        ("a: 1\n...\n---\nb: 2\n", vec![("E115", 3, 1)]),
        ("x: =a ? b : c\n", vec![("E102", 1, 4)]),
        ("x: =\"Total: \" + s\n", vec![("E102", 1, 4)]),
        ("filter: 'a' in data.tags\n", vec![("E102", 1, 9)]),
        ("m: \"matches('a\\.b')\"\n", vec![("E102", 1, 4)]),
        ("{a: b}: 1\n", vec![("E107", 1, 1)]),
        ("a: *x\n", vec![("E102", 1, 4)]),
        ("a: &x [*x]\n", vec![("E102", 1, 8)]),
        ("a: \u{0}\n", vec![("E102", 1, 4)]),
        ("a: [1, 2\nb: 3\n", vec![("E102", 2, 2)]),
        ("country: NO\n", vec![("W101", 1, 10)]),
    ] {
        let (_, findings) = tree(text);
        assert_eq!(findings, expected, "{text:?}");
    }
}

#[test]
fn budgets_stop_hostile_files() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let previous = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(", "));
    }
    let deep_flow = "[".repeat(100_000);
    let deep_block: String = (0..2_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let deep_list = format!("{}x", "- ".repeat(100_000));
    let many = format!("a: [{}]", "1,".repeat(20_000));
    let huge = "x".repeat(FILE_BYTES_MAX + 1);
    for text in [&bomb, &deep_flow, &deep_block, &deep_list, &many, &huge] {
        let (root, findings) = tree(text);
        assert!(root.is_none());
        assert_eq!(findings.iter().map(|found| found.0).collect::<Vec<_>>(), ["E110"], "{}", &text[..40]);
    }
}

#[test]
fn a_scalar_as_large_as_the_file_may_be_is_read() {
    let text = format!("a: \"{}\"", "x".repeat(FILE_BYTES_MAX - 10));
    assert!(tree(&text).0.is_some());
    let text = format!("a: |\n{}", " long line of text\n".repeat(50_000));
    assert!(tree(&text).0.is_some());
}

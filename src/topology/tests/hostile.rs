//! Files that mean harm, and files that were broken by accident: always findings, never a panic, soon.

use super::here;
use super::support::Folder;
use crate::topology::{Severity, load};
use proptest::prelude::*;
use std::path::PathBuf;

fn findings(bytes: &[u8]) -> Vec<&'static str> {
    let loaded = load("t.yaml", bytes, &[], &Folder(here("tests/topology/good")));
    assert_eq!(loaded.checked.is_none(), loaded.has_errors());
    loaded.findings.iter().filter(|found| found.severity() == Severity::Error).map(|found| found.code).collect()
}

#[test]
fn hostile_bytes_are_findings() {
    let head = "skald: 1\ntopology: t\n";
    let nested = |open: &str, close: &str, depth: usize| {
        format!(
            "{head}params: {{ a: \"={}1{}\" }}\npipelines: {{ p: {{ from: [], steps: [{{ filter: \"{}true{}\" }}] }} }}",
            open.repeat(depth),
            close.repeat(depth),
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let many_keys: String = (0..9_000).map(|number| format!("k{number}: 1\n")).collect();
    let aliases = format!("{head}x-a: &a {{ b: 1 }}\nx-b: [{}]", "*a,".repeat(9_999));
    let huge_scalar = format!("{head}description: {}", "x".repeat(1_000_000));
    let huge_expression = format!("{head}topics: {{ a: {{ key: \"{}1\" }} }}", "1+".repeat(200_000));
    let huge_template = format!(
        "{head}topics: {{ a: {{ types: [x.v1] }} }}\npipelines: {{ p: {{ from: a, steps: [{{ map: \"{}\" }}] }} }}",
        "{data}".repeat(100_000)
    );
    let pipes: String =
        (0..1_200).map(|number| format!("  p{number}: {{ from: {{ pattern: 'x{number}.*' }}, steps: [] }}\n")).collect();
    let many_patterns = format!("{head}colour: red\npipelines:\n{pipes}");
    let repeated: String = (0..1_500).map(|number| format!("  p{number}: *p\n")).collect();
    let expensive = "1 + ".repeat(1_000) + "1";
    let repeated = format!(
        "{head}topics: {{ a: {{ types: [x.v1] }} }}\npipelines:\n  p: &p {{ from: a, steps: [{{ map: \"={expensive}\" }}] }}\n{repeated}"
    );
    let lets: String = (0..4_000).map(|number| format!("l{number}: 1, ")).collect();
    let many_lets = format!(
        "{head}colour: red\ntopics: {{ a: {{ types: [x.v1] }} }}\npipelines: {{ p: {{ from: a, steps: [{{ let: {{ {lets} }} }}] }} }}"
    );
    let folded = format!("{head}topics: {{ a: {{ key: >\n  data{} + }} }}", "\n\n  a".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("NUL", b"skald: 1\0".to_vec()),
        ("bad UTF-8", b"skald: 1\ntopology: \xc3\x28\n".to_vec()),
        ("UTF-16", b"\xff\xfes\0k\0".to_vec()),
        ("a byte order mark", b"\xef\xbb\xbfskald: 1\n".to_vec()),
        ("only an alias", b"*a".to_vec()),
        ("a scalar", b"skald".to_vec()),
        ("a list", b"- skald: 1".to_vec()),
        ("null values", b"skald:\ntopology:\ntopics:\naggregates:\npipelines:\nerrors:\n".to_vec()),
        ("brackets", "[".repeat(900_000).into_bytes()),
        ("braces", "{".repeat(900_000).into_bytes()),
        ("dashes", "- ".repeat(400_000).into_bytes()),
        ("questions", "? ".repeat(400_000).into_bytes()),
        ("quotes", "'".repeat(900_000).into_bytes()),
        ("anchors", "&a ".repeat(300_000).into_bytes()),
        ("tags", "!a ".repeat(300_000).into_bytes()),
        ("colons", ":".repeat(900_000).into_bytes()),
        ("breaks", "\n".repeat(1_000_000).into_bytes()),
        ("percent", "%".repeat(900_000).into_bytes()),
        ("tabs", "\t".repeat(900_000).into_bytes()),
        ("comments", "#\n".repeat(500_000).into_bytes()),
        ("blocks", "a: |\n".repeat(200_000).into_bytes()),
        ("deep expressions", nested("(", ")", 3_000).into_bytes()),
        ("deep lists in expressions", nested("[", "]", 3_000).into_bytes()),
        ("deep nots", nested("!", "", 3_000).into_bytes()),
        ("many keys", format!("{head}{many_keys}").into_bytes()),
        ("aliases", aliases.into_bytes()),
        ("a huge expression", huge_expression.into_bytes()),
        ("a folded expression", folded.into_bytes()),
        ("many patterns", many_patterns.into_bytes()),
        ("an expression repeated", repeated.into_bytes()),
        ("many names", many_lets.into_bytes()),
        ("a huge template", huge_template.into_bytes()),
        ("too large", vec![b'a'; (1 << 20) + 1]),
    ];
    for (what, bytes) in cases {
        let found = findings(&bytes);
        assert!(!found.is_empty(), "{what}");
    }
    // Large, and nothing wrong with it.
    assert_eq!(findings(huge_scalar.as_bytes()), Vec::<&str>::new());
}

#[test]
fn patterns_of_exponential_cost_are_refused_or_linear() {
    for pattern in ["(a*)*$", "(a|a)*b", "a{1000}{1000}{1000}", "(((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9})"] {
        let text = format!(
            "skald: 1\ntopology: t\npipelines: {{ p: {{ from: {{ pattern: '{pattern}' }}, steps: [{{ filter: true }}] }} }}"
        );
        findings(text.as_bytes());
    }
}

fn good() -> Vec<String> {
    let mut paths: Vec<PathBuf> = super::files("tests/topology/good");
    paths.extend(super::files("tests/plan"));
    paths.iter().map(|path| std::fs::read_to_string(path).expect("the file can be read")).collect()
}

/// What a hand or a disk does to a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Delete(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    SwapLines(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let bits = [
        "{", "}", "[", "]", ": ", "\n", "- ", "'", "\"", "=", "*order", "&x", "!", "|\n", "é", "#", "\t", "data", "null",
        "${X}", "<<: ", "? ", "0", "...",
    ];
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), 1..40_usize).prop_map(|(at, len)| Damage::Delete(at, len)),
        (at(), 1..200_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
        (at(), prop::sample::select(bits.to_vec())).prop_map(|(at, bit)| Damage::Insert(at, bit.to_owned())),
        (at(), any::<char>()).prop_map(|(at, character)| Damage::Insert(at, character.to_string())),
        (at(), at()).prop_map(|(a, b)| Damage::SwapLines(a, b)),
    ]
}

fn damaged(mut text: String, damages: &[Damage]) -> String {
    for damage in damages {
        if text.is_empty() {
            break;
        }
        let place = |index: &prop::sample::Index, text: &str| {
            let mut at = index.index(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        match damage {
            Damage::Cut(at) => text.truncate(place(at, &text)),
            Damage::Delete(at, len) => {
                let at = place(at, &text);
                text = text[..at].to_owned() + &text[at..].chars().skip(*len).collect::<String>();
            }
            Damage::Repeat(at, len) => {
                let at = place(at, &text);
                let part: String = text[at..].chars().take(*len).collect();
                text.insert_str(at, &part);
            }
            Damage::Insert(at, bit) => text.insert_str(place(at, &text), bit),
            Damage::SwapLines(a, b) => {
                let mut lines: Vec<&str> = text.lines().collect();
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
                text = lines.join("\n");
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_file_is_never_a_panic(which in any::<prop::sample::Index>(), damages in prop::collection::vec(damage(), 1..6)) {
        let text = damaged(which.get(&good()).clone(), &damages);
        findings(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        findings(&bytes);
    }
}

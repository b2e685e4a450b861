//! Expressions that were written to hurt: each ends in a finding or an error, on a small stack and within its budget.

use super::*;
use proptest::prelude::*;

/// The code of the first finding, or the kind of the error, or `ok`.
fn end(text: &str) -> &'static str {
    let compiled = compile(text, &any_data(), &Expect::Any);
    let Some(program) = compiled.program else {
        return compiled.findings.iter().find(|finding| finding.severity == Severity::Error).expect("a reason").code;
    };
    let data = format!(
        r#"{{"l": [{}], "s": "{}", "deep": {}}}"#,
        (0..1000).map(|n| n.to_string()).collect::<Vec<_>>().join(","),
        "ab".repeat(100_000),
        "[".repeat(120) + &"]".repeat(120)
    );
    match program.eval(&given(&data), &mut Fuel::new()) {
        Ok(_) => "ok",
        Err(error) => error.kind.name(),
    }
}

#[track_caller]
fn table(rows: &[(String, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .map(|(text, expected)| (text, end(text), expected))
        .filter(|(_, given, expected)| given != *expected)
        .map(|(text, given, expected)| {
            format!("{}…\n  gives {given}\n  not   {expected}", text.chars().take(60).collect::<String>())
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn sources_that_nest_or_run_on_are_refused_or_bearable() {
    let nested = |open: &str, close: &str, depth: usize| open.repeat(depth) + "1" + &close.repeat(depth);
    table(&[
        (nested("(", ")", 2000), "E308"),
        (nested("(", ")", 65), "E308"),
        (nested("[", "]", 40), "E308"),
        (nested("{'a':", "}", 40), "E308"),
        (nested("size([", "])", 30), "E308"),
        (nested("[", "]", 20), "ok"),
        ("(".repeat(4000), "E308"),
        ("[".repeat(60), "E301"),
        ("1".to_owned() + &"+1".repeat(2000), "ok"),
        ("1".to_owned() + &"*1".repeat(2000), "ok"),
        ("true".to_owned() + &"&&true".repeat(600), "ok"),
        ("true".to_owned() + &"||true".repeat(600), "ok"),
        ("data".to_owned() + &".a".repeat(2000), "MISSING_FIELD"),
        ("data".to_owned() + &".?a".repeat(1300), "E308"),
        ("data".to_owned() + &"[0]".repeat(1300), "E308"),
        ("data".to_owned() + &".size()".repeat(500), "E308"),
        ("!".repeat(4000) + "true", "ok"),
        ("-".repeat(4000) + "1", "ok"),
        ("-".repeat(4001), "E301"),
        ("true?1:".repeat(500) + "1", "E308"),
        ("1<".repeat(1500) + "1", "E308"),
        ("1==".repeat(1300) + "1", "E308"),
        ("a ".repeat(2000), "E301"),
        ("'".repeat(4001), "E301"),
        ("\"\\".repeat(2000), "E301"),
        ("#$§ ".repeat(800), "E301"),
        ("x".repeat(4096), "E302"),
        ("x".repeat(4097), "E308"),
        ("[".to_owned() + &"1,".repeat(2000) + "1]", "ok"),
    ]);
}

#[test]
fn evaluation_ends_within_its_budget() {
    let double = |times: usize| "'x'".to_owned() + &".replace('x','xx')".repeat(times);
    table(&[
        // The bomb of 218 bytes: maps within each other; two levels are allowed and cost fuel.
        ("data.l.map(a, data.l.map(b, data.l.map(c, c)))".to_owned(), "E308"),
        ("data.l.map(a, data.l.map(b, a * b))".to_owned(), "FUEL"),
        ("data.l.map(a, data.l).map(b, b)".to_owned(), "TOO_LARGE"),
        (double(30), "TOO_LARGE"),
        ("data.s".to_owned() + &".replace('a','aaaa')".repeat(8), "TOO_LARGE"),
        ("data.l.map(x, data.s + data.s)".to_owned(), "TOO_LARGE"),
        ("data.l.map(x, data.s + 'a').size()".to_owned(), "TOO_LARGE"),
        // Sharing: little memory, but a tree of 2^28 leaves.
        ("data.l.map(x, [x, x])".to_owned() + &".map(x, [x, x])".repeat(28) + " == data.l", "FUEL"),
        ("[data.l]".to_owned() + &".map(x, [x, x])".repeat(28), "TOO_LARGE"),
        ("toJson([data.l]".to_owned() + &".map(x, [x, x])".repeat(26) + ")", "TOO_LARGE"),
        ("[data.l]".to_owned() + &".map(x, [x, x])".repeat(12) + " == [data.l]" + &".map(x, [x, x])".repeat(12), "FUEL"),
        ("data.l.map(x, data.s.contains('z'))".to_owned(), "FUEL"),
        ("data.l.map(x, data.s.matches('(a|b)*c'))".to_owned(), "FUEL"),
        ("data.l.map(x, data.s.matches(string(x)))".to_owned(), "FUEL"),
        ("data.l.map(x, sha256(data.s))".to_owned(), "FUEL"),
        ("data.l.map(x, data.s == data.s + '')".to_owned(), "TOO_LARGE"),
        ("data.l.sortBy(x, data.s)".to_owned(), "FUEL"),
        ("data.l.map(x, data.l.sort())".to_owned(), "FUEL"),
        ("data.s.split('').sort().distinct()".to_owned(), "FUEL"),
        ("data.l.map(x, [x]).distinct()".to_owned(), "FUEL"),
        ("[[data.deep]].map(x, [[[[[[[[x]]]]]]]])".to_owned(), "TOO_LARGE"),
        ("data.s.matches('((((a{1,100}){1,100}){1,100}){1,100})')".to_owned(), "E311"),
        ("parseJson(data.s.replace('ab', '['))".to_owned(), "FUEL"),
    ]);
}

#[test]
fn running_out_of_fuel_is_not_absorbed() {
    assert_eq!(end("data.l.map(a, data.l.map(b, a * b)).size() > 0 || true"), "FUEL");
    assert_eq!(end("data.l.exists(a, data.l.all(b, a * b >= 0 && b != 1000 && b != 1001 && b != 1002) && a == 999)"), "FUEL");
}

proptest! {
    #[test]
    fn any_text_ends_in_a_program_or_findings(text in prop_oneof![any::<String>(), "[a-z(){}\\[\\].,?:'\"\\\\+*/<>=!&|0-9 \n`-]{0,80}"]) {
        let compiled = compile(&text, &any_data(), &Expect::Any);
        for finding in &compiled.findings {
            prop_assert!(text.get(finding.range.clone()).is_some(), "{finding:?}");
        }
        if let Some(program) = compiled.program {
            let _ = program.eval(&given("{}"), &mut Fuel::new());
        } else {
            prop_assert!(!compiled.findings.is_empty());
        }
    }

    #[test]
    fn any_tokens_end_in_a_program_or_findings(tokens in prop::collection::vec(prop::sample::select(vec![
        "data", "data.x", "x", "1", "2.5", "'a'", "null", "true", "(", ")", "[", "]", "{", "}", ",", ":", "?", ".", ".?", "[?",
        "+", "-", "*", "/", "%", "==", "<", "in", "&&", "||", "!", ".map(x, ", ".filter(x, ", "has(", "size(", ".orValue(",
        ".first()", "merge(", "if", "r'", "b'", "\"", "1u", "`", "//", "\n", "{'a': ", ".matches('", "timestamp(",
    ]), 0..24)) {
        let text = tokens.concat();
        let compiled = compile(&text, &any_data(), &Expect::Any);
        if let Some(program) = compiled.program {
            let _ = program.eval(&given("{\"x\": [1, \"a\"]}"), &mut Fuel::new());
        }
        let source = TemplateSource::Text { text, place: 0 };
        let _ = Template::compile(&source, &any_data());
    }
}

//! Texts of `.proto` files that are wrong, or meant to harm.

use super::*;

fn said(text: &str) -> String {
    refused(Files::compile("a.proto", text, &[]).and_then(|files| files.message(None)))
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let head = "syntax = \"proto3\";\n";
    let cases = [
        ("mesage T {}", "a.proto:2:1"),
        ("message T { int32 a = 1; string b = 1; }", "a.proto:2:37: field number '1' is already used"),
        ("message T { Foo a = 1; }", "a.proto:2:13"),
        ("message T { int32 a = 0; }", "a.proto:2:23"),
        ("import \"gone.proto\"; message T {}", "import 'gone.proto' not found"),
        ("import \"a.proto\"; message T {}", "import cycle"),
        ("", "it does not say which message is meant, and has none"),
        ("message A {} message B {}", "and has A, B: write `file.proto#Message`"),
        ("message T { int32 foo_bar = 1; int32 fooBar = 2; }", "fooBar"),
        ("message T { string a = 1", "a.proto"),
        ("message T { string a = 1 [default = \"x\"]; }", "a.proto"),
    ];
    for (text, expected) in cases {
        let found = said(&format!("{head}{text}"));
        assert!(found.contains(expected), "{text}: {found}");
    }
    let names = ["gone", "every.gone", "old.Style", "google.protobuf.Timestamp", "Every.CountsEntry", ""];
    for name in names {
        assert!(refused(files().message(Some(name))).contains("has no message"), "{name}");
    }
}

#[test]
fn imports_within_each_other_in_a_circle_are_refused() {
    let text = |name: &str| format!("syntax = \"proto3\"; import \"{name}\"; message M{} {{}}", name.len());
    let (first, second) = (text("bb"), text("a"));
    let found = refused(Files::compile("main", &text("a"), &[("a", &first), ("bb", &second)]));
    assert!(found.contains("import cycle"), "{found}");
}

#[test]
fn texts_that_are_meant_to_harm_end_in_an_error() {
    let deep = |open: &str, close: &str, count: usize| open.repeat(count) + &close.repeat(count);
    let head = "syntax = \"proto2\";";
    let option = |inner: &str| format!("{head} message T {{ optional int32 a = 1 [(x) = {{ {inner} }}]; }}");
    let cases = [
        format!("{head} {}", deep("message M { ", "}", 100_000)),
        option(&deep("a { ", "}", 100_000)),
        option(&deep("a < ", ">", 100_000)),
        option(&format!("a: {}", deep("[", "]", 100_000))),
        format!("{head} message T {{ optional {} a = 1; }}", ".".repeat(100_000)),
        format!("{head} /* {}", "/* ".repeat(100_000)),
        format!("{head} message T {{ optional string a = 1 [default = \"{}", "\\".repeat(100_001)),
        format!("{head} message T {{ extensions {}; }}", "1 to max, ".repeat(10_000)),
        format!("{head} {}", "x".repeat(TEXT_BYTES_MAX)),
        // Each of many compared with each of many others.
        {
            let reserved: Vec<String> = (0..30_000).map(|number| (2 * number + 1).to_string()).collect();
            let fields: String = (1..=30_000).map(|number| format!("bool f{number}={};", 2 * number)).collect();
            format!("syntax = \"proto3\"; message T {{ reserved {}; {fields} }}", reserved.join(","))
        },
        {
            let names: String = (0..40_000).map(|number| format!("N{number}={number};")).collect();
            format!("{head} message T {{ optional E e = 1; enum E {{ {names} }} }}")
        },
        "\u{0}".repeat(1_000),
        "\u{feff}".repeat(1_000),
    ];
    for text in cases {
        said(&text);
    }
}

#[test]
fn brackets_in_strings_and_comments_are_no_nesting() {
    let many = "{[(<".repeat(100);
    let text = format!(
        "syntax = \"proto2\"; // {many}\n/* {many} */ message T {{ optional string a = 1 [default = \"{many}\\\"{many}\"]; }}"
    );
    assert!(Files::compile("a.proto", &text, &[]).is_ok());
}

#[test]
fn imports_are_told_without_those_that_everybody_has() {
    assert_eq!(imports("every.proto", EVERYTHING).expect("a sound file"), ["old/style.proto"]);
    assert!(imports("x", "import").is_err());
}

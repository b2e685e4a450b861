//! JSON read and written: one form for each value, bounds, and another reader that agrees.

use super::*;
use crate::record::{Map, parse_duration};
use proptest::prelude::*;

fn written(value: &Value) -> String {
    text(value).expect("a value that JSON can write")
}

#[test]
fn values_are_read_and_written_in_one_form() {
    for (given, expected) in [
        (" null ", "null"),
        ("[true,false , []]", "[true,false,[]]"),
        ("{\"b\":1,\"a\":{}}", "{\"a\":{},\"b\":1}"),
        ("{\"a\":1,\"a\":2}", "{\"a\":2}"),
        ("1", "1"),
        ("-0", "0"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("1E+22", "1e+22"),
        ("-0.0", "-0.0"),
        ("5e-324", "5e-324"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9223372036854775808"),
        ("-123456789012345678901234567890", "-123456789012345678901234567890"),
        (r#""\u00e4\n\/\"\\ \ud83d\ude00 \u0001""#, "\"ä\\n/\\\"\\\\ 😀 \\u0001\""),
        ("\"seven77\"", "\"seven77\""),
        ("\"eight888\"", "\"eight888\""),
        ("\"a longer text than eight bytes, with ümlauts €\"", "\"a longer text than eight bytes, with ümlauts €\""),
    ] {
        let value = read(given.as_bytes()).unwrap_or_else(|error| panic!("{given}: {error}"));
        assert_eq!(written(&value), expected, "{given}");
    }
}

#[test]
fn kinds_of_numbers_are_told_by_their_text() {
    assert!(matches!(read(b"1"), Ok(Value::Int(1))));
    assert!(matches!(read(b"1.0"), Ok(Value::Double(_))));
    assert!(matches!(read(b"1e0"), Ok(Value::Double(_))));
    assert!(matches!(read(b"18446744073709551616"), Ok(Value::BigInt(_))));
}

#[test]
fn what_is_no_json_is_an_error_with_its_place() {
    let syntax = |at, expected| Error::Syntax { at, expected };
    for (given, expected) in [
        (&b"\xff"[..], Error::Utf8 { at: 0 }),
        (b"\"ab\xc3\"", Error::Utf8 { at: 3 }),
        (b"", Error::Ended { expected: "a value" }),
        (b"[1,]", syntax(3, "a value")),
        (b"[1 2]", syntax(3, "`,` or `]`")),
        (b"{\"a\" 1}", syntax(5, "`:`")),
        (b"{a:1}", syntax(1, "a key in double quotes")),
        (b"{\"a\":1,}", syntax(7, "a key in double quotes")),
        (b"1 2", syntax(2, "end of the text")),
        (b"nul", syntax(0, "a value")),
        (b"NaN", syntax(0, "a value")),
        (b"01", syntax(1, "no digit after a leading zero")),
        (b"+1", syntax(0, "a value")),
        (b"-", Error::Ended { expected: "a digit" }),
        (b"1.", Error::Ended { expected: "a digit" }),
        (b"1.x", syntax(2, "a digit")),
        (b"1e+", Error::Ended { expected: "a digit" }),
        (b"1e999", Error::NumberRange { at: 0 }),
        (b"\"abc", Error::Ended { expected: "`\"`" }),
        (b"\"a\nb\"", syntax(2, "an escape in place of a control character")),
        (b"\"\\x\"", syntax(2, "one of `\"\\/bfnrtu`")),
        (b"\"\\u12g4\"", syntax(5, "four hexadecimal digits")),
        (b"\"\\ud800\"", Error::Surrogate { at: 1 }),
        (b"\"\\ud800\\u0041\"", Error::Surrogate { at: 1 }),
        (b"\"\\udc00\"", Error::Surrogate { at: 1 }),
        (b"\xef\xbb\xbf1", syntax(0, "a value")),
    ] {
        assert_eq!(read(given).err(), Some(expected), "{}", String::from_utf8_lossy(given));
    }
}

#[test]
fn nesting_is_bounded_when_read_and_when_written() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let deepest = read(nested(DEPTH_MAX).as_bytes()).expect("as deep as allowed");
    assert_eq!(written(&deepest), nested(DEPTH_MAX));
    assert_eq!(read(nested(DEPTH_MAX + 1).as_bytes()).err(), Some(Error::TooDeep));
    assert_eq!(read("{\"a\":".repeat(1_000_000).as_bytes()).err(), Some(Error::TooDeep));
    assert_eq!(text(&Value::list(vec![deepest])).err(), Some(Error::TooDeep));
}

#[test]
fn kinds_that_json_lacks_are_written_as_text() {
    let moment: jiff::Timestamp = "2026-11-21T08:00:00.25Z".parse().unwrap();
    let map = Map::from_entries(vec![
        ("b".into(), Value::Bytes(b"\x00\xff".as_slice().into())),
        ("d".into(), Value::Duration(parse_duration("1m30s").unwrap())),
        ("t".into(), Value::Timestamp(moment)),
    ]);
    assert_eq!(written(&map.into()), r#"{"b":"AP8=","d":"90s","t":"2026-11-21T08:00:00.25Z"}"#);
    assert_eq!(text(&Value::Double(f64::NAN)).err(), Some(Error::NotFinite));
    assert_eq!(text(&Value::list(vec![Value::Double(f64::INFINITY)])).err(), Some(Error::NotFinite));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Double),
        any::<String>().prop_map(Value::from),
        "-?[1-9][0-9]{19,40}".prop_map(|digits| Value::BigInt(digits.into())),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::list),
            prop::collection::vec((any::<String>(), inner), 0..12)
                .prop_map(|entries| Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_as_it_was(value in any_value()) {
        let text = written(&value);
        let again = read(text.as_bytes()).expect("what was written");
        prop_assert_eq!(&again, &value);
        prop_assert_eq!(written(&again), text);
    }

    #[test]
    fn another_reader_agrees_on_what_was_written(value in any_value()) {
        let theirs: Result<serde_json::Value, _> = serde_json::from_slice(written(&value).as_bytes());
        prop_assert!(theirs.is_ok(), "{theirs:?}");
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error_as_with_another_reader(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        r#"[\[\]{}",:0-9eE+.a\\u -]{0,24}"#.prop_map(String::into_bytes),
    ]) {
        let ours = read(&bytes);
        let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} against {:?}", ours, theirs);
    }
}

proptest! {
    #[test]
    fn fields_handed_over_are_those_of_the_map(value in any_value(), other in any_value(), cut in 0..400_usize) {
        let map = Map::from_entries(vec![("a".into(), value.clone()), ("b\n".into(), other)]);
        for whole in [map.into(), value] {
            let text = written(&whole);
            // The whole of it, and a part: both readers agree on either.
            for text in [text.as_bytes(), &text.as_bytes()[..cut.min(text.len())]] {
                let mut fields = Vec::new();
                let found = read_fields(text, &|_| Wanted::All, &mut |key, value| fields.push((key.into(), value)));
                match (found, read(text)) {
                    (Ok(true), Ok(Value::Map(map))) => prop_assert_eq!(Map::from_entries(fields), map),
                    (Ok(false), Ok(other)) => prop_assert!(!matches!(other, Value::Map(_)) && fields.is_empty()),
                    (Err(one), Err(two)) => prop_assert_eq!(one, two),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_wanted_is_what_the_whole_has_and_what_is_wrong_is_found_all_the_same(
        entries in prop::collection::vec(("[ab\n]{0,2}", any_value()), 0..6),
        wanted in prop::collection::vec("[ab\n]{0,2}", 0..3),
        cut in 0..400_usize,
        changed in any::<(prop::sample::Index, u8)>(),
    ) {
        // As it was written, fields that stand twice included; then cut, and with one byte changed.
        let fields: Vec<_> = entries.iter().map(|(key, value)| format!("{}:{}", written(&key.as_str().into()), written(value))).collect();
        let text = format!("{{{}}}", fields.join(",")).into_bytes();
        let mut other = text.clone();
        let at = changed.0.index(other.len());
        other[at] = changed.1;
        let names: Vec<Text> = wanted.iter().map(Text::new).collect();
        for text in [&text[..], &text[..cut.min(text.len())], &other] {
            match (read(text), read_some(text, Wanted::Fields(&names)), read_some(text, Wanted::Nothing)) {
                (Ok(Value::Map(whole)), Ok(Value::Map(some)), Ok(Value::Null)) => {
                    let left = whole.iter().filter(|(key, _)| names.contains(key));
                    let left: Map = left.map(|(key, value)| (key.clone(), value.clone())).collect();
                    prop_assert_eq!(some, left);
                }
                (Ok(whole), Ok(some), Ok(Value::Null)) => prop_assert_eq!(whole, some),
                (Err(one), Err(two), Err(three)) => prop_assert_eq!((&one, &one), (&two, &three)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

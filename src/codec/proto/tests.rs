//! What `.proto` files and the bytes of their messages mean, held against `prost-reflect`.

use super::*;
use crate::codec::Result as CodecResult;
use crate::record::{Map, Value, json};
use jiff::{SignedDuration, Timestamp};

mod reference;
mod texts;

/// Everything that proto3 has, by way of a file that is imported.
const EVERYTHING: &str = r#"
syntax = "proto3";
package every;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/any.proto";
import "old/style.proto";

message Other { string note = 1; }
message Every {
  bool a_bool = 1; int32 an_int32 = 2; int64 an_int64 = 3; uint32 a_uint32 = 4; uint64 a_uint64 = 5;
  sint32 a_sint32 = 6; sint64 a_sint64 = 7; fixed32 a_fixed32 = 8; fixed64 a_fixed64 = 9; sfixed32 an_sfixed32 = 10;
  sfixed64 an_sfixed64 = 11; float a_float = 12; double a_double = 13; string a_string = 14; bytes some_bytes = 15;
  Color color = 16; Every inner = 17; optional int32 maybe = 18; repeated int32 numbers = 19;
  repeated int64 loose = 20 [packed = false]; repeated string words = 21; repeated Color colors = 22;
  repeated Other others = 23; map<string, int32> counts = 24; map<int64, Other> by_number = 25; map<bool, string> flags = 26;
  oneof choice { string text = 27; int32 number = 28; Other other = 29; bytes raw = 30; }
  google.protobuf.Timestamp at = 31; google.protobuf.Duration length = 32; google.protobuf.StringValue wrapped = 33;
  repeated google.protobuf.Int64Value boxes = 34; google.protobuf.Struct free = 35; google.protobuf.Value whatever = 36;
  google.protobuf.ListValue several = 37; google.protobuf.Any packed = 38; old.Style style = 39;
  string renamed = 40 [json_name = "otherwise"]; google.protobuf.UInt64Value big = 41; repeated double doubles = 42;
  map<string, google.protobuf.Timestamp> times = 43; map<uint64, google.protobuf.Value> anything = 44;
  enum Color { option allow_alias = true; UNKNOWN = 0; RED = 1; CRIMSON = 1; BLUE = -2; }
  message Nested { message Deeper { int32 x = 1; } Deeper deeper = 1; }
}
message Last { Every.Nested nested = 1; }
"#;
/// What only proto2 has.
const STYLE: &str = r#"
syntax = "proto2";
package old;
message Style {
  required int32 id = 1;
  optional string name = 2;
  optional int32 size = 3 [default = 7];
  optional Kind kind = 4 [default = ROUND];
  repeated group Part = 5 { optional string label = 1; repeated int32 sizes = 2; }
  optional group Single = 6 { optional int32 x = 1; optional int32 y = 2; }
  repeated sint32 packed = 7 [packed = true];
  optional bytes raw = 8 [default = "a\001b"];
  optional double ratio = 9 [default = inf];
  optional bool on = 10 [default = true];
  extensions 100 to 199;
  enum Kind { SQUARE = 1; ROUND = 2; }
}
"#;

fn files() -> Files {
    Files::compile("every.proto", EVERYTHING, &[("old/style.proto", STYLE)]).expect("sound files")
}

fn every() -> Schema {
    files().message(Some("Every")).expect("it is there")
}

fn schema(text: &str) -> Schema {
    Files::compile("a.proto", text, &[]).and_then(|files| files.message(None)).expect("a sound file")
}

fn value(text: &str) -> Value {
    json::read(text.as_bytes()).expect("JSON")
}

fn text(value: &Value) -> String {
    let mut out = Vec::new();
    json::write(value, &mut out).expect("it can be written");
    String::from_utf8(out).expect("UTF-8")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("hexadecimal") as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn written(schema: &Schema, value: Value) -> Vec<u8> {
    let mut out = Vec::new();
    schema.write(&schema.accept(value).expect("it fits"), &mut out).expect("it was accepted");
    out
}

#[test]
fn bytes_are_read_as_the_format_has_them() {
    // The first are those of Protobuf's own description of its encoding.
    let small = "syntax = \"proto3\"; message T { int32 a = 1; string b = 2; T c = 3; repeated int32 e = 6; sint32 z = 7; optional bool h = 8; map<string, int32> m = 9; }";
    let rest = r#""e":[],"m":{},"z":0"#;
    let cases = [
        ("", format!(r#"{{"a":0,"b":"",{rest}}}"#)),
        ("08 96 01", format!(r#"{{"a":150,"b":"",{rest}}}"#)),
        ("12 07 74 65 73 74 69 6e 67", format!(r#"{{"a":0,"b":"testing",{rest}}}"#)),
        ("1a 03 08 96 01", format!(r#"{{"a":0,"b":"","c":{{"a":150,"b":"",{rest}}},{rest}}}"#)),
        ("32 06 03 8e 02 9e a7 05", r#"{"a":0,"b":"","e":[3,270,86942],"m":{},"z":0}"#.into()),
        // The same one by one, and both forms together.
        ("30 03 30 8e 02 32 03 9e a7 05", r#"{"a":0,"b":"","e":[3,270,86942],"m":{},"z":0}"#.into()),
        // −1 in ten bytes, and in its zigzag form.
        ("08 ff ff ff ff ff ff ff ff ff 01 38 01", r#"{"a":-1,"b":"","e":[],"m":{},"z":-1}"#.into()),
        // Of more than 32 bits the lower ones count.
        ("08 ff ff ff ff 1f", format!(r#"{{"a":-1,"b":"",{rest}}}"#)),
        // The last of two holds; messages are put together.
        ("08 01 08 02", format!(r#"{{"a":2,"b":"",{rest}}}"#)),
        ("1a 02 08 07 1a 03 12 01 78", format!(r#"{{"a":0,"b":"","c":{{"a":7,"b":"x",{rest}}},{rest}}}"#)),
        // What is set to its default is there, where that is told.
        ("40 00", r#"{"a":0,"b":"","e":[],"h":false,"m":{},"z":0}"#.into()),
        // Of a key that stands twice the last holds; key and value may be missing, or the other way round.
        ("4a 05 0a 01 78 10 01 4a 05 10 02 0a 01 78 4a 00", r#"{"a":0,"b":"","e":[],"m":{"":0,"x":2},"z":0}"#.into()),
        // Unknown numbers of all kinds, and a known one in a form that is not its own.
        (
            "78 01 a1 01 00 00 00 00 00 00 00 00 aa 01 01 00 b3 01 08 01 b4 01 bd 01 00 00 00 00 0a 01 61",
            format!(r#"{{"a":0,"b":"",{rest}}}"#),
        ),
    ];
    let schema = schema(small);
    for (hex, expected) in cases {
        let found = schema.read(&bytes(hex)).unwrap_or_else(|why| panic!("{hex}: {why}"));
        assert_eq!(text(&found), expected, "{hex}");
        assert_eq!(text(&schema.read(&written(&schema, found)).expect("what we wrote")), expected, "{hex}");
    }
}

#[test]
fn bytes_that_are_none_of_a_message_are_refused_with_the_place() {
    let schema = schema("syntax = \"proto3\"; message T { string b = 2; T c = 3; repeated fixed32 f = 4; }");
    let cases = [
        ("08", "byte 1: the bytes end within a value"),
        ("12 05 61", "byte 2: the bytes end within a value"),
        ("12 01 ff", "byte 3: a string that is not UTF-8"),
        ("00", "byte 1: a field has the number 0"),
        ("0e", "byte 1: there is no wire type 6"),
        ("0c", "byte 1: a group ends that did not begin"),
        ("0b 08 01", "byte 3: the bytes end within a value"),
        ("0b 14", "byte 2: a group ends that did not begin"),
        ("08 ff ff ff ff ff ff ff ff ff 02", "byte 11: a number of more than 64 bits"),
        ("ff ff ff ff ff 01 00", "byte 6: a tag of more than 32 bits"),
        ("12 ff ff ff ff ff ff ff ff ff 01", "byte 11: the bytes end within a value"),
        ("1a 03 12 05 61", "byte 4: the bytes end within a value"),
        ("22 03 00 00 00", "byte 2: the bytes end within a value"),
    ];
    for (hex, expected) in cases {
        assert_eq!(schema.read(&bytes(hex)).expect_err(hex), expected, "{hex}");
    }
}

#[test]
fn bytes_that_ask_for_more_than_they_hold_are_refused() {
    let mut deep = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![0x1a];
        cursor::put_varint(deep.len() as u64, &mut outer);
        outer.append(&mut deep);
        deep = outer;
    }
    let small = schema("syntax = \"proto3\"; message T { T c = 3; }");
    assert!(small.read(&deep).expect_err("too deep").ends_with("nested more than 128 deep"));
    assert!(small.read(&[0x0b; 100_000]).expect_err("too deep").ends_with("nested more than 128 deep"));
    // A message of many fields, and many of it in two bytes each.
    let fields: String = (1..=2_000).map(|number| format!("string f{number} = {number};")).collect();
    let text = format!("syntax = \"proto3\"; message Wide {{ {fields} }} message T {{ repeated Wide all = 1; }}");
    let wide = Files::compile("a.proto", &text, &[]).and_then(|files| files.message(Some("T"))).expect("a sound file");
    let bomb = [0x0a, 0x00].repeat(500_000);
    assert!(wide.read(&bomb).expect_err("too large").ends_with("more values than a record of this size may have"));
    assert!(wide.read(&bomb[..40]).is_ok());
}

#[test]
fn values_are_those_of_the_mapping_to_json_or_better() {
    let read = |value: &str| every().accept(self::value(value)).expect("it fits");
    let found = read(
        r#"{"aUint64": 18446744073709551615, "anInt32": 3.0, "aFloat": 0.1, "color": "CRIMSON", "colors": ["RED", 9, "-2"],
            "maybe": null, "counts": {"b": 1, "a": 2}, "byNumber": {"-5": {"note": "x"}}, "flags": {"true": "y"},
            "at": "2026-11-21T10:00:00.5Z", "wrapped": "w", "boxes": [1, 2], "free": {"a": [1, null, {"b": true}]},
            "whatever": null, "several": ["a", 2], "otherwise": "o", "style": {"id": 1}, "big": 9223372036854775808}"#,
    );
    let written = written(&every(), found.clone());
    let back = every().read(&written).expect("what we wrote");
    assert_eq!(back, found);
    let at = |name: &str| text(back.get(name).unwrap_or(&Value::from("absent")));
    let cases = [
        ("aUint64", "18446744073709551615"),
        ("anInt32", "3"),
        ("aFloat", "0.10000000149011612"),
        ("aBool", "false"),
        ("color", "\"RED\""),
        ("colors", r#"["RED","9","BLUE"]"#),
        ("maybe", "\"absent\""),
        ("inner", "\"absent\""),
        ("text", "\"absent\""),
        ("counts", r#"{"a":2,"b":1}"#),
        ("byNumber", r#"{"-5":{"note":"x"}}"#),
        ("flags", r#"{"true":"y"}"#),
        ("at", "\"2026-11-21T10:00:00.5Z\""),
        ("length", "\"absent\""),
        ("wrapped", "\"w\""),
        ("boxes", "[1,2]"),
        ("free", r#"{"a":[1.0,null,{"b":true}]}"#),
        ("whatever", "null"),
        ("several", r#"["a",2.0]"#),
        ("otherwise", "\"o\""),
        ("big", "9223372036854775808"),
    ];
    for (name, expected) in cases {
        assert_eq!(at(name), expected, "{name}");
    }
    let style = back.get("style").and_then(Value::as_map).expect("a message");
    assert!(matches!(style.get("ratio"), Some(Value::Double(number)) if number.is_infinite()), "a declared default");
    assert_eq!(style.get("raw"), Some(&Value::Bytes(b"a\x01b"[..].into())));
    assert_eq!((style.get("size"), style.get("kind")), (Some(&Value::Int(7)), Some(&Value::from("ROUND"))));
    assert_eq!(style.get("name"), None);
    assert!(matches!(back.get("at"), Some(Value::Timestamp(_))));
}

#[test]
fn values_that_do_not_fit_are_refused_with_the_place() {
    let cases = [
        ("1", "at `/`: an int where a map is wanted"),
        (r#"{"an_int32": 1}"#, "at `/an_int32`: the schema has no such field"),
        (r#"{"renamed": "x"}"#, "at `/renamed`: the schema has no such field"),
        (r#"{"anInt32": 2147483648}"#, "at `/anInt32`: an int where an int32 is wanted"),
        (r#"{"anInt64": 1.5}"#, "at `/anInt64`: a double where an int64 is wanted"),
        (r#"{"aUint32": -1}"#, "at `/aUint32`: an int where a uint32 is wanted"),
        (r#"{"aUint64": 18446744073709551616}"#, "at `/aUint64`: an int where a uint64 is wanted"),
        (r#"{"aFloat": 1e300}"#, "at `/aFloat`: a double where a float is wanted"),
        (r#"{"aString": 1}"#, "at `/aString`: an int where a string is wanted"),
        (r#"{"someBytes": "eA=="}"#, "at `/someBytes`: a string where a bytes is wanted"),
        (r#"{"color": "GREEN"}"#, "at `/color`: a string where an enum is wanted"),
        (r#"{"color": 4294967296}"#, "at `/color`: an int where an enum is wanted"),
        (r#"{"inner": {"inner": {"words": [1]}}}"#, "at `/inner/inner/words/0`: an int where a string is wanted"),
        (r#"{"words": "x"}"#, "at `/words`: a string where a list is wanted"),
        (r#"{"words": [null]}"#, "at `/words/0`: a null where a string is wanted"),
        (r#"{"byNumber": {"05": {}}}"#, "at `/byNumber/05`: the key is no int64"),
        (r#"{"flags": {"yes": ""}}"#, "at `/flags/yes`: the key is no `true` or `false`"),
        (r#"{"text": "a", "number": 1}"#, "at `/text`: only one of this and `number` may be given"),
        (r#"{"at": "yesterday"}"#, "at `/at`: a string where a timestamp is wanted"),
        (r#"{"wrapped": {"value": "x"}}"#, "at `/wrapped`: a map where a string is wanted"),
        (r#"{"free": [1]}"#, "at `/free`: a list where a map is wanted"),
        (
            r#"{"free": {"a": 9007199254740993}}"#,
            "at `/free/a`: numbers within a `google.protobuf.Value` are doubles, and this one would be rounded",
        ),
        (r#"{"packed": {"@type": "x"}}"#, "at `/packed`: a map where a map of `@type` and `value` is wanted"),
        (r#"{"style": {}}"#, "at `/style/id`: the field is missing"),
    ];
    for (given, expected) in cases {
        assert_eq!(every().accept(value(given)).expect_err(given), expected, "{given}");
    }
    let early = Value::Timestamp("-000001-06-01T00:00:00Z".parse::<Timestamp>().expect("a moment"));
    let long = Value::Duration(SignedDuration::from_secs(315_576_000_001));
    for (name, value) in [("at", early), ("length", long)] {
        let given = Value::Map([(name.into(), value)].into_iter().collect::<Map>());
        assert!(every().accept(given).is_err(), "{name}");
    }
}

#[test]
fn what_is_accepted_can_be_read_again_however_deep() {
    let schema = every();
    let wrap = |name: &str, inner: Value| Value::Map([(name.into(), inner)].into_iter().collect());
    let grow: [&dyn Fn(Value) -> Value; 3] =
        [&|value| wrap("inner", value), &|value| wrap("free", wrap("x", value)), &|value| Value::list(vec![value])];
    let outer: [&dyn Fn(Value) -> Value; 3] = [&|value| value, &|value| value, &|value| wrap("several", value)];
    for (grow, outer) in grow.iter().zip(outer) {
        let mut deep = Value::Map(Map::new());
        let mut refused = 0;
        for _ in 0..200 {
            deep = grow(deep);
            match schema.accept(outer(deep.clone())) {
                Err(why) => {
                    assert!(why.contains("nested more than 128 deep"), "{why}");
                    refused += 1;
                }
                Ok(accepted) => {
                    assert_eq!(refused, 0);
                    let mut out = Vec::new();
                    schema.write(&accepted, &mut out).expect("it was accepted");
                    schema.read(&out).expect("what we wrote");
                }
            }
        }
        assert!(refused > 0, "there is an end");
    }
}

#[test]
fn messages_have_their_places_in_their_file() {
    let files = files();
    let cases: [(&str, &[usize], &[u8]); 5] = [
        ("every.Other", &[0], &[0]),
        ("every.Every", &[1], &[2, 2]),
        // What maps are made of is not counted, as with Confluent's serializers.
        ("every.Every.Nested", &[1, 0], &[4, 2, 0]),
        ("Every.Nested.Deeper", &[1, 0, 0], &[6, 2, 0, 0]),
        ("Last", &[2], &[2, 4]),
    ];
    for (name, places, index) in cases {
        let schema = files.message(Some(name)).expect(name);
        assert_eq!(schema.index(), index, "{name}");
        assert_eq!(files.at(places).expect(name).name(), schema.name());
        let framed = [index, b"rest"].concat();
        assert_eq!(super::index(&framed), Ok((places.to_vec(), &b"rest"[..])), "{name}");
    }
    // The long form of the first.
    assert_eq!(super::index(&[2, 0, 7]), Ok((vec![0], &[7][..])));
    for (bytes, expected) in [
        (&[][..], "the message's place in its file: the bytes end within a value"),
        (&[4, 0], "the message's place in its file: the bytes end within a value"),
        (&[1], "the message's place in its file is negative"),
        (&[200, 1], "the message's place in its file is too deep"),
    ] {
        assert_eq!(super::index(bytes), Err(expected.to_owned()));
    }
    for places in [&[9][..], &[1, 7], &[]] {
        assert!(files.at(places).is_err(), "{places:?}");
    }
}

#[test]
fn only_what_protobuf_brings_along_is_known_by_agreement() {
    let text = "syntax = \"proto3\"; package google.protobuf; message Timestamp { string seconds = 1; }";
    let own = schema(text);
    assert_eq!(own.message(0).known, None);
    assert_eq!(self::text(&own.read(&[]).expect("empty")), r#"{"seconds":""}"#);
}

#[test]
fn moments_and_lengths_that_are_none_are_refused() {
    let every = every();
    let cases = [
        // Nanoseconds of more than a second, and negative ones of a moment.
        ("fa 01 06 10 80 94 eb dc 03", "no timestamp"),
        ("fa 01 0b 10 ff ff ff ff ff ff ff ff ff 01", "no timestamp"),
        // Seconds and nanoseconds of a length that point in two directions.
        ("82 02 0d 08 01 10 ff ff ff ff ff ff ff ff ff 01", "no duration"),
        ("82 02 07 08 80 80 80 80 80 40", "no duration"),
    ];
    for (hex, expected) in cases {
        let bytes = bytes(hex);
        assert!(every.read(&bytes).expect_err(hex).ends_with(expected), "{hex}: {:?}", every.read(&bytes));
    }
}

#[test]
fn a_newer_file_must_read_what_an_older_one_wrote() {
    let of = |body: &str| Files::compile("a.proto", &format!("syntax = \"proto2\"; {body}"), &[]).expect("a sound file");
    let older = of(
        "message T { optional int32 a = 1; repeated string s = 2; map<string, int64> m = 3; message In {} optional In i = 4; }",
    );
    let cases = [
        // The same, with more and with fewer fields, under other names, and in forms that are the same bytes.
        (
            "message T { optional int32 a = 1; repeated string s = 2; map<string, int64> m = 3; message In {} optional In i = 4; }",
            vec![],
        ),
        ("message T { optional int32 a = 1; optional string new = 9; message In {} }  message U {}", vec![]),
        ("message T { optional bool b = 1; repeated bytes s = 2; map<string, uint32> m = 3; message In {} }", vec![]),
        ("message T { optional sint32 a = 1; message In {} }", vec!["field 1 of `T` has changed its type"]),
        ("message T { optional string s = 2; message In {} }", vec!["field 2 of `T` has changed its type"]),
        ("message T { map<string, string> m = 3; message In {} }", vec!["field 3 of `T` has changed its type"]),
        ("message T { message In {} message On {} optional On i = 4; }", vec!["field 4 of `T` has changed its type"]),
        ("message T { required int32 r = 9; message In {} }", vec!["field `r` of `T` is required, and new"]),
        ("message T {}", vec!["message `T.In` is gone"]),
        ("message U {}", vec!["message `T.In` is gone", "message `T` is gone"]),
    ];
    for (newer, expected) in cases {
        assert_eq!(of(newer).objections(&older), expected, "{newer}");
    }
}

fn refused(result: CodecResult<impl std::fmt::Debug>) -> String {
    result.expect_err("it is not sound").to_string()
}

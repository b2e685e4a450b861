//! Records in, events out and back: envelopes, schemas, ids, and values that nobody would send.

use super::*;
use crate::failure::Class;
use crate::record::{Header, HeaderRef, Map, Record, RecordRef, Text, Value, json};
use proptest::prelude::*;
use std::result::Result;

fn value(text: &str) -> Value {
    json::read(text.as_bytes()).expect("a test's JSON")
}

fn schema(text: &str) -> Schema {
    Schema::compile(&serde_json::from_str(text).expect("a test's JSON")).expect("a test's schema")
}

/// Decodes a value at `orders-3@17`, written at 2026-11-21T08:00:00Z.
pub(super) fn decode(
    contract: &Contract,
    value: Option<&[u8]>,
    headers: &[(&str, &[u8])],
) -> Result<Option<Event>, (Class, String, String)> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| HeaderRef { name, value: Some(value) }).collect();
    let record = RecordRef {
        topic: "orders",
        partition: 3,
        offset: 17,
        timestamp: 1_795_248_000_000,
        key: None,
        value,
        headers: &headers,
    };
    Decoder::new(contract.clone())
        .decode(&record)
        .map_err(|failure| (failure.class(), failure.code().to_string(), failure.message().to_owned()))
}

fn plain(format: Format, types: Option<Vec<(Text, Option<Schema>)>>) -> Contract {
    Contract { envelope: Envelope::None { type_header: Some("kind".into()) }, format, types, ..Contract::default() }
}

/// The event on one line: id, type, source, time, version, correlation, causation, metadata, data.
fn line(event: &Event) -> String {
    format!(
        "{} {} {:?} {} {} {} {} {} {}",
        event.id,
        event.kind,
        event.source.as_str(),
        event.time,
        event.version.as_deref().unwrap_or("-"),
        event.correlation_id,
        event.causation_id.as_deref().unwrap_or("-"),
        json::text(&event.metadata.clone().into()).expect("JSON"),
        json::text(&event.data).unwrap_or_else(|_| "?".into()),
    )
}

#[test]
fn the_derived_id_is_a_version_5_uuid_of_the_place() {
    let id = position_id("orders", 3, 17);
    assert_eq!(id, uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, b"orders/3/17").to_string());
    assert_ne!(id, position_id("orders", 31, 7));
    let (min, max) = (Part::Number(i64::MIN), Part::Number(i64::MAX));
    let name = format!("a/{}/0/{}", i64::MIN, i64::MAX);
    let expected = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).to_string();
    assert_eq!(derived_id(&[Part::Text("a"), min, Part::Number(0), max]), expected);
}

/// Contract, value, headers, and the event on one line.
type Case<'a> = (Contract, Option<&'a [u8]>, &'a [(&'a str, &'a [u8])], String);

#[test]
fn envelopes_are_read_and_what_is_missing_is_derived() {
    let derived = position_id("orders", 3, 17);
    let event = Contract::default();
    let mapping = Contract {
        envelope: Envelope::Mapping(Mapping {
            kind: vec!["meta".into(), "kind".into()],
            data: vec!["body".into()],
            id: Some(vec!["meta".into(), "uid".into()]),
            time: Some(vec!["at".into()]),
            source: Some(vec!["from".into()]),
            correlation_id: Some(vec!["trace".into()]),
            causation_id: None,
        }),
        ..Contract::default()
    };
    let only = plain(Format::Json, Some(vec![("order.created.v1".into(), None)]));
    let cases: Vec<Case<'_>> = vec![
        (
            event.clone(),
            Some(br#"{"id":"e1","type":"t.v2","version":"2","source":"shop","timestamp":"2026-01-02T03:04:05.5Z","data":{"a":1},"metadata":{"correlationId":"c1","causationId":"e0","expectedVersion":3},"more":true}"#),
            &[],
            r#"e1 t.v2 "shop" 2026-01-02T03:04:05.5Z 2 c1 e0 {"expectedVersion":3} {"a":1}"#.into(),
        ),
        (event.clone(), Some(br#"{"type":"t"}"#), &[], format!(r#"{derived} t "" 2026-11-21T08:00:00Z - {derived} - {{}} null"#)),
        (
            event.clone(),
            Some(br#"{"id":null,"type":"t","version":7,"timestamp":null,"metadata":null,"data":[]}"#),
            &[],
            format!(r#"{derived} t "" 2026-11-21T08:00:00Z 7 {derived} - {{}} []"#),
        ),
        (
            plain(Format::Json, None),
            Some(b" 5 "),
            &[("kind", b"t.v1"), ("message-id", b"m1"), ("correlation-id", b"c1"), ("causation-id", b"m0")],
            r#"m1 t.v1 "" 2026-11-21T08:00:00Z - c1 m0 {} 5"#.into(),
        ),
        (
            plain(Format::Json, None),
            Some(b"5"),
            &[("kind", b"first"), ("kind", b"last")],
            format!(r#"{derived} last "" 2026-11-21T08:00:00Z - {derived} - {{}} 5"#),
        ),
        (only, Some(b"{}"), &[], format!(r#"{derived} order.created.v1 "" 2026-11-21T08:00:00Z - {derived} - {{}} {{}}"#)),
        (plain(Format::String, None), Some("grün".as_bytes()), &[], format!(r#"{derived} orders "" 2026-11-21T08:00:00Z - {derived} - {{}} "grün""#)),
        (plain(Format::Bytes, None), Some(b"\xff\x00"), &[], format!(r#"{derived} orders "" 2026-11-21T08:00:00Z - {derived} - {{}} "/wA=""#)),
        (
            mapping,
            Some(br#"{"meta":{"kind":"t","uid":"u1"},"body":{"x":[1]},"at":"2026-01-02T03:04:05+01:00","trace":"c"}"#),
            &[],
            r#"u1 t "" 2026-01-02T02:04:05Z - c - {} {"x":[1]}"#.into(),
        ),
    ];
    for (contract, given, headers, expected) in cases {
        let event = decode(&contract, given, headers).unwrap_or_else(|error| panic!("{expected}: {error:?}"));
        assert_eq!(line(&event.expect("a value")), expected);
    }
}

#[test]
fn hostile_values_have_defined_results() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let event = Contract::default();
    let json = plain(Format::Json, None);
    let large = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(900_000));
    let deep = format!(r#"{{"type":"t","data":{}}}"#, nested(10_000));
    // What becomes of it: the payload, `nothing` (a tombstone), or code and message.
    for (name, contract, given, expected) in [
        ("a tombstone", &event, None, "nothing"),
        ("a tombstone without envelope", &json, None, "null"),
        ("a tombstone where text is expected", &plain(Format::String, None), None, "null"),
        ("an empty value", &event, Some(&b""[..]), "UNDECODABLE the text ends too early: a value expected"),
        ("an empty value without envelope", &json, Some(b""), "UNDECODABLE the text ends too early: a value expected"),
        ("an empty value as text", &plain(Format::String, None), Some(b""), "\"\""),
        ("an empty value as bytes", &plain(Format::Bytes, None), Some(b""), "\"\""),
        ("invalid UTF-8", &event, Some(b"{\"type\":\"\xff\"}"), "UNDECODABLE not UTF-8 at byte 9"),
        ("invalid UTF-8 as text", &plain(Format::String, None), Some(b"ab\xc3"), "UNDECODABLE not UTF-8 at byte 2"),
        ("no JSON", &event, Some(b"hello"), "UNDECODABLE a value expected at byte 0"),
        ("no object", &event, Some(b"[1]"), "UNDECODABLE the envelope is no JSON object"),
        ("nested 10,000 deep", &event, Some(deep.as_bytes()), "UNDECODABLE nested more than 128 deep"),
        (
            "nested 10,000 deep without envelope",
            &json,
            Some(nested(10_000).as_bytes()),
            "UNDECODABLE nested more than 128 deep",
        ),
        (
            "a number beyond 64 bits",
            &event,
            Some(br#"{"type":"t","data":123456789012345678901234567890}"#),
            "123456789012345678901234567890",
        ),
        ("a number beyond doubles", &json, Some(b"1e999"), "UNDECODABLE number too large at byte 0"),
        ("no type", &event, Some(b"{}"), "UNDECODABLE the record has no type"),
        ("an empty type", &event, Some(br#"{"type":""}"#), "UNDECODABLE the record has no type"),
        (
            "a type that is no text",
            &event,
            Some(br#"{"type":5}"#),
            "UNDECODABLE `type` of the envelope is a int, a string is wanted",
        ),
        (
            "an id that is no text",
            &event,
            Some(br#"{"type":"t","id":{}}"#),
            "UNDECODABLE `id` of the envelope is a map, a string is wanted",
        ),
        (
            "metadata that is no object",
            &event,
            Some(br#"{"type":"t","metadata":[]}"#),
            "UNDECODABLE `metadata` of the envelope is a list, an object is wanted",
        ),
        (
            "a time that is none",
            &event,
            Some(br#"{"type":"t","timestamp":"yesterday"}"#),
            "UNDECODABLE the time is no RFC 3339 timestamp",
        ),
    ] {
        let found = match decode(contract, given, &[]) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(event)) => json::text(&event.data).expect("JSON"),
            Err((class, code, message)) => {
                assert_eq!(class, Class::Undecodable, "{name}");
                format!("{code} {message}")
            }
        };
        assert_eq!(found, expected, "{name}");
    }
    let kept = decode(&event, Some(large.as_bytes()), &[]).expect("readable").expect("a value");
    assert_eq!(kept.data.as_str().map(str::len), Some(900_000));
    assert!(decode(&json, Some(b"1"), &[("kind", b"\xff")]).is_err(), "a type header of other bytes than text");
}

#[test]
fn timestamps_of_records_are_moments_whatever_they_are() {
    for (millis, expected) in [
        (-1, "1970-01-01T00:00:00Z"),
        (0, "1970-01-01T00:00:00Z"),
        (1_795_248_000_250, "2026-11-21T08:00:00.25Z"),
        (i64::MAX, "9999-12-30T22:00:00.999999999Z"),
        (i64::MIN, "-009999-01-02T01:59:59Z"),
    ] {
        assert_eq!(moment(millis).to_string(), expected);
    }
}

#[test]
fn payloads_are_checked_against_the_schema_of_their_type_and_get_its_kinds_of_numbers() {
    let schema = schema(
        r##"{"type":"object","required":["id"],"properties":{
            "id":{"type":"string","minLength":2},"price":{"type":"number"},"count":{"type":["integer","null"]},
            "lines":{"type":"array","items":{"$ref":"#/$defs/line"}}},
            "$defs":{"line":{"type":"object","additionalProperties":{"type":"number"}}}}"##,
    );
    let contract = Contract { types: Some(vec![("t".into(), Some(schema)), ("u".into(), None)]), ..Contract::default() };
    for (data, expected) in [
        (
            r#"{"id":"ab","price":1,"count":2.0,"lines":[{"a":1,"b":0.5}]}"#,
            r#"{"count":2,"id":"ab","lines":[{"a":1.0,"b":0.5}],"price":1.0}"#,
        ),
        (r#"{"id":"ab","price":1.5,"count":null}"#, r#"{"count":null,"id":"ab","price":1.5}"#),
        (
            r#"{"id":"ab","price":123456789012345678901234567890,"count":123456789012345678901234567890}"#,
            r#"{"count":123456789012345678901234567890,"id":"ab","price":1.2345678901234568e+29}"#,
        ),
        (r#"{"id":"ab","count":1e30}"#, r#"{"count":1000000000000000019884624838656,"id":"ab"}"#),
        (r#"{}"#, "SCHEMA_INVALID data of `t` does not fit its schema: at `/`: \"id\" is a required property"),
        (
            r#"{"id":"secret","count":"secret"}"#,
            "SCHEMA_INVALID data of `t` does not fit its schema: at `/count`: value is not of types \"null\", \"integer\"",
        ),
        (
            r#"{"id":"ab","lines":[{"a":1},{"b":"secret"}]}"#,
            "SCHEMA_INVALID data of `t` does not fit its schema: at `/lines/1/b`: value is not of type \"number\"",
        ),
        (
            r#"{"id":"ab","count":1.5}"#,
            "SCHEMA_INVALID data of `t` does not fit its schema: at `/count`: value is not of types \"null\", \"integer\"",
        ),
    ] {
        let record = format!(r#"{{"type":"t","data":{data}}}"#);
        let found = match decode(&contract, Some(record.as_bytes()), &[]) {
            Ok(event) => json::text(&event.expect("a value").data).expect("JSON"),
            Err((class, code, message)) => {
                assert_eq!(class, Class::Undecodable);
                format!("{code} {message}")
            }
        };
        assert_eq!(found, expected, "{data}");
    }
    assert!(decode(&contract, Some(br#"{"type":"u","data":1}"#), &[]).is_ok(), "a type without a schema");
    assert!(decode(&contract, Some(br#"{"type":"unknown","data":1}"#), &[]).is_ok(), "a type of others");
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_when_compiled() {
    for document in [
        r#"{"type":"nothing"}"#,
        r#"{"$ref":"https://example.com/other.json"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r##"{"$ref":"#/$defs/missing"}"##,
        r#"{"pattern":"(?<=a)b"}"#,
    ] {
        let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
        assert!(matches!(Schema::compile(&document), Err(Error::Schema { .. })), "{document}");
    }
    // A schema that refers to itself is one.
    let tree = schema(r##"{"type":"object","properties":{"n":{"type":"number"},"left":{"$ref":"#"}}}"##);
    let kept = tree.accept(value(r#"{"n":1,"left":{"n":2,"left":{"n":3}}}"#)).expect("fits");
    assert_eq!(json::text(&kept).expect("JSON"), r#"{"left":{"left":{"n":3.0},"n":2.0},"n":1.0}"#);
}

fn draft<'a>(data: &'a Value, metadata: Option<&'a Map>) -> Draft<'a> {
    Draft {
        id: "m1",
        kind: "order.created.v12",
        source: "shop",
        time: moment(1_795_248_000_000),
        correlation_id: "c1",
        causation_id: Some("m0"),
        metadata,
        data,
    }
}

#[test]
fn messages_are_written_in_their_envelope() {
    let data = value(r#"{"b":1.0,"a":[null]}"#);
    let metadata = value(r#"{"tenant":"x","correlationId":"forged"}"#);
    let encoder = Encoder::new(Contract::default()).expect("writable");
    let mut out = Vec::new();
    assert!(encoder.value(&draft(&data, metadata.as_map()), &mut out).expect("writable"));
    assert_eq!(
        String::from_utf8(out).expect("UTF-8"),
        r#"{"id":"m1","type":"order.created.v12","version":"12","source":"shop","timestamp":"2026-11-21T08:00:00Z","data":{"a":[null],"b":1.0},"metadata":{"correlationId":"c1","causationId":"m0","tenant":"x"}}"#
    );

    for (format, data, expected) in [
        (Format::Json, Value::from(1), Ok(Some(&b"1"[..]))),
        (Format::Json, Value::Null, Ok(None)),
        (Format::Json, Value::Double(f64::NAN), Err("EXPRESSION_ERROR")),
        (Format::String, Value::from("hällo"), Ok(Some("hällo".as_bytes()))),
        (Format::String, Value::from(1), Err("SCHEMA_INVALID")),
        (Format::Bytes, Value::Bytes(b"\xff".as_slice().into()), Ok(Some(b"\xff"))),
        (Format::Bytes, Value::Null, Ok(None)),
        (Format::Bytes, value("{}"), Err("SCHEMA_INVALID")),
    ] {
        let encoder = Encoder::new(plain(format, None)).expect("writable");
        let (draft, mut out, mut headers) = (draft(&data, None), Vec::new(), Vec::<HeaderRef<'_>>::new());
        let found = encoder.value(&draft, &mut out).map(|some| some.then_some(&out[..]));
        assert_eq!(found.map_err(|failure| failure.code().to_string()), expected.map_err(str::to_owned), "{format:?} {data:?}");
        let mut room = Vec::new();
        encoder.headers(&draft, &mut room, &mut headers).expect("writable");
        let headers: Vec<_> = headers.iter().map(|header| (header.name, header.value.expect("text"))).collect();
        assert_eq!(
            headers,
            [("kind", &b"order.created.v12"[..]), ("message-id", b"m1"), ("correlation-id", b"c1"), ("causation-id", b"m0")]
        );
    }
    let mapping = Contract { envelope: Envelope::Mapping(Mapping::default()), ..Contract::default() };
    assert!(matches!(Encoder::new(mapping), Err(Error::ReadOnly)));
}

#[test]
fn what_is_written_must_fit_its_schema() {
    let schema = schema(r#"{"type":"object","properties":{"n":{"type":"number"},"at":{"type":"string"}}}"#);
    let contract = Contract { types: Some(vec![("t".into(), Some(schema))]), ..Contract::default() };
    let encoder = Encoder::new(contract.clone()).expect("writable");
    let data = Map::from_entries(vec![("n".into(), Value::Int(1)), ("at".into(), Value::Timestamp(moment(0)))]);
    let kept = encoder.accept("t", data.into()).expect("fits");
    assert!(matches!(kept.get("n"), Some(Value::Double(_))), "as a reader will find it");
    let refused = encoder.accept("t", value(r#"{"n":"1"}"#)).expect_err("a string is no number");
    assert_eq!((refused.class(), refused.code().as_str()), (Class::Permanent, "SCHEMA_INVALID"));
    assert!(encoder.accept("t", Value::Null).is_err(), "null is no tombstone in an envelope");
    let plain = Encoder::new(Contract { envelope: Envelope::None { type_header: None }, ..contract }).expect("writable");
    assert!(plain.accept("t", Value::Null).is_ok(), "a tombstone has no payload");
}

#[test]
fn versions_follow_from_types() {
    for (kind, expected) in
        [("a.v1", "1"), ("a.b.v12", "12"), ("a", "1"), ("a.v", "1"), ("a.vx", "1"), ("a.v1.b", "1"), ("a.v2.v3", "3")]
    {
        assert_eq!(version_of(kind), expected, "{kind}");
    }
}

#[test]
fn keys_are_text_or_integers_and_not_empty() {
    use KeyFormat::{Bytes, Json, String as Text};
    let big = "123456789012345678901234567890";
    for (format, key, expected) in [
        (Text, Value::from("a"), Ok("a")),
        (Text, Value::from(-5), Ok("-5")),
        (Text, Value::BigInt(big.into()), Ok(big)),
        (Json, Value::from("a"), Ok("\"a\"")),
        (Json, Value::from(5), Ok("5")),
        (Json, value(r#"{"a":1}"#), Ok(r#"{"a":1}"#)),
        (Bytes, Value::from("a"), Ok("a")),
        (Bytes, Value::from(5), Ok("5")),
        (Text, Value::Null, Err("the key is null")),
        (Text, Value::from(""), Err("the key is empty")),
        (Json, Value::from(""), Err("the key is empty")),
        (Text, Value::from(true), Err("the key is a bool, text or an integer is wanted")),
        (Text, Value::from(1.0), Err("the key is a double, text or an integer is wanted")),
        (Text, value("{}"), Err("the key is a map, text or an integer is wanted")),
    ] {
        let mut out = Vec::new();
        let found = write_key(format, &key, &mut out).map(|()| std::str::from_utf8(&out).expect("UTF-8"));
        assert_eq!(
            found.map_err(|failure| failure.message().to_owned()),
            expected.map_err(str::to_owned),
            "{format:?} {key:?}"
        );
    }
    assert!(matches!(read_key(Text, None), Ok(Value::Null)));
    assert!(matches!(read_key(Text, Some(b"a")), Ok(Value::Str(_))));
    assert!(matches!(read_key(Json, Some(b"5")), Ok(Value::Int(5))));
    assert!(matches!(read_key(Bytes, Some(b"\xff")), Ok(Value::Bytes(_))));
    for format in [Text, Json] {
        assert_eq!(read_key(format, Some(b"\xff")).expect_err("no text").code(), "UNDECODABLE");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..10).prop_map(Value::Int),
        prop_oneof![Just(1.0), Just(0.5), Just(-2.0), Just(1e19)].prop_map(Value::Double),
        "[ab]{0,3}".prop_map(Value::from),
        Just(Value::BigInt("18446744073709551615".into())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::list),
            prop::collection::vec(("[a-d]", inner), 0..4)
                .prop_map(|entries| Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
}

const DOCUMENTS: [&str; 12] = [
    r#"{"type":"integer","minimum":0,"maximum":5}"#,
    r#"{"type":["number","string"],"multipleOf":0.5}"#,
    r#"{"type":"object","properties":{"a":{"type":"string","pattern":"^a+$"}},"required":["b"]}"#,
    r#"{"type":"object","additionalProperties":{"type":"integer"},"maxProperties":2}"#,
    r#"{"type":"array","items":{"type":["number","null"]},"minItems":1,"uniqueItems":true}"#,
    r#"{"enum":[1,"a",null,[1.0],{"a":1}]}"#,
    r#"{"const":{"a":[1,"b"]}}"#,
    r#"{"anyOf":[{"type":"string","maxLength":1},{"type":"array","contains":{"const":1}}]}"#,
    r#"{"not":{"type":"object","patternProperties":{"^[ab]$":{"type":"number","exclusiveMinimum":0}}}}"#,
    r#"{"propertyNames":{"maxLength":1,"enum":["a","b"]},"if":{"required":["a"]},"then":{"required":["b"]}}"#,
    r##"{"$defs":{"t":{"type":["array","integer"],"items":{"$ref":"#/$defs/t"}}},"$ref":"#/$defs/t"}"##,
    r#"{"unevaluatedProperties":false,"allOf":[{"properties":{"a":true}}],"properties":{"b":{"type":"boolean"}}}"#,
];

proptest! {
    #[test]
    fn our_values_are_judged_as_the_same_json_is(value in any_json(), which in 0..DOCUMENTS.len()) {
        let document: serde_json::Value = serde_json::from_str(DOCUMENTS[which]).expect("JSON");
        let ours = Schema::compile(&document).expect("a schema").fits(&value);
        let text = json::text(&value).expect("JSON");
        let theirs: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let theirs = jsonschema::validator_for(&document).expect("a schema").is_valid(&theirs);
        prop_assert_eq!(ours, theirs, "{} against {}", text, DOCUMENTS[which]);
    }

    #[test]
    fn a_value_made_to_conform_still_fits(value in any_json(), which in 0..DOCUMENTS.len()) {
        let schema = schema(DOCUMENTS[which]);
        if let Ok(kept) = schema.accept(value.clone()) {
            prop_assert!(schema.fits(&kept));
            prop_assert_eq!(&schema.accept(kept.clone()).expect("fits"), &kept);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            r#"[\[\]{}",:0-9eE+.a\\u -]{0,40}"#.prop_map(String::into_bytes),
            r#"\{("(id|type|source|timestamp|data|version|metadata)":("a"|1|null|\{\}|\[1\]),?){0,5}\}"#.prop_map(String::into_bytes),
        ],
        header in prop::collection::vec(any::<u8>(), 0..20),
        timestamp in any::<i64>(),
        offset in any::<i64>(),
    ) {
        let mapping = Mapping { kind: vec!["type".into()], data: vec!["data".into()], time: Some(vec!["timestamp".into()]), ..Mapping::default() };
        for contract in [
            Contract::default(),
            plain(Format::Json, Some(vec![("a".into(), Some(schema(DOCUMENTS[2])))])),
            plain(Format::String, None),
            plain(Format::Bytes, None),
            Contract { envelope: Envelope::Mapping(mapping), ..Contract::default() },
        ] {
            let headers = [HeaderRef { name: "kind", value: Some(&header) }, HeaderRef { name: "message-id", value: None }];
            let record = RecordRef { topic: "t", partition: 0, offset, timestamp, key: Some(&header), value: Some(&bytes), headers: &headers };
            if let Err(failure) = Decoder::new(contract).decode(&record) {
                prop_assert_eq!(failure.class(), Class::Undecodable);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back(data in any_json(), extra in any_json(), id in "\\PC{1,40}", correlation in "\\PC{1,9}") {
        let metadata = Map::from_entries(vec![("x".into(), extra)]);
        for contract in [Contract::default(), plain(Format::Json, None)] {
            let encoder = Encoder::new(contract.clone()).expect("writable");
            let draft = Draft { id: &id, correlation_id: &correlation, ..draft(&data, Some(&metadata)) };
            let (mut value, mut headers) = (Vec::new(), Vec::new());
            let some = encoder.value(&draft, &mut value).expect("JSON");
            let mut room = Vec::new();
        encoder.headers(&draft, &mut room, &mut headers).expect("writable");
            let record = Record {
                topic: "t".into(), partition: 0, timestamp: 1_795_248_000_000, key: None,
                value: some.then(|| value.into()), headers: headers.iter().map(HeaderRef::to_header).collect::<Vec<Header>>(),
            };
            let headers: Vec<_> = record.headers.iter().map(Header::as_ref).collect();
            let borrowed = RecordRef { topic: "t", partition: 0, offset: 0, timestamp: record.timestamp, key: None, value: record.value.as_deref(), headers: &headers };
            let event = Decoder::new(contract.clone()).decode(&borrowed).expect("what was written").expect("readable");
            prop_assert_eq!(&event.data, &data);
            prop_assert_eq!(event.id.as_str(), id.as_str());
            prop_assert_eq!(event.kind.as_str(), draft.kind);
            prop_assert_eq!(event.correlation_id.as_str(), correlation.as_str());
            prop_assert_eq!(event.causation_id.as_deref(), Some("m0"));
            prop_assert_eq!(event.time, draft.time);
            if contract.envelope == Envelope::Event {
                prop_assert_eq!(&event.metadata, &metadata);
            }
        }
    }
}

#[test]
fn kinds_that_json_lacks_are_judged_as_the_text_they_are_written_as() {
    let text = schema(r#"{"enum":["1970-01-01T00:00:00Z","90s","YWJj"]}"#);
    for kind in [
        Value::Timestamp(moment(0)),
        Value::Duration(crate::record::parse_duration("1m30s").expect("a duration")),
        Value::Bytes(b"abc".as_slice().into()),
    ] {
        assert!(text.fits(&kind), "{kind:?}");
    }
    assert!(!text.fits(&Value::Timestamp(moment(1))));
}

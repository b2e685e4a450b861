//! CloudEvents in both modes, written and read back, and records that are none.

use super::super::{Contract, Encoder, Envelope, Event, Schema, moment, position_id};
use super::*;
use crate::codec::tests;
use proptest::prelude::*;

/// Headers by name.
type Headers<'a> = Vec<(&'a str, &'a [u8])>;

fn contract(format: Format) -> Contract {
    Contract { envelope: Envelope::CloudEvents, format, ..Contract::default() }
}

fn decode(contract: Contract, headers: &[(&str, &[u8])], value: Option<&[u8]>) -> Result<Option<Event>, String> {
    tests::decode(&contract, value, headers).map_err(|(_, code, message)| format!("{code} {message}"))
}

/// The event on one line: id, type, source, time, correlation, causation, metadata, data.
fn line(event: &Event) -> String {
    format!(
        "{} {} {:?} {} {} {} {} {}",
        event.id,
        event.kind,
        event.source.as_str(),
        event.time,
        event.correlation_id,
        event.causation_id.as_deref().unwrap_or("-"),
        json::text(&event.metadata.clone().into()).expect("JSON"),
        json::text(&event.data).unwrap_or_else(|_| "?".into()),
    )
}

const STRUCTURED_JSON: (&str, &[u8]) = ("content-type", b"application/cloudevents+json; charset=UTF-8");
const SPEC: (&str, &[u8]) = ("ce_specversion", b"1.0");

#[test]
fn both_modes_are_read_and_what_is_missing_is_derived() {
    let derived = position_id("orders", 3, 17);
    // The first two are the examples of the binding's specification, with its elisions filled in.
    let cases: Vec<(Format, Headers<'_>, Option<&[u8]>, String)> = vec![
        (
            Format::Json,
            vec![
                SPEC,
                ("ce_type", b"com.example.someevent"),
                ("ce_source", b"/mycontext/subcontext"),
                ("ce_id", b"1234-1234-1234"),
                ("ce_time", b"2018-04-05T03:56:24Z"),
                ("ce_subject", b"order-9"),
                ("content-type", b"application/json; charset=UTF-8"),
            ],
            Some(br#"{"n":1}"#),
            r#"1234-1234-1234 com.example.someevent "/mycontext/subcontext" 2018-04-05T03:56:24Z 1234-1234-1234 - {"subject":"order-9"} {"n":1}"#.into(),
        ),
        (
            Format::Json,
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext/subcontext","id":"1234-1234-1234","time":"2018-04-05T03:56:24Z","datacontenttype":"application/json","retries":3,"sampled":true,"nothing":null,"data":{"n":1}}"#),
            r#"1234-1234-1234 com.example.someevent "/mycontext/subcontext" 2018-04-05T03:56:24Z 1234-1234-1234 - {"datacontenttype":"application/json","retries":3,"sampled":true} {"n":1}"#.into(),
        ),
        (
            Format::Json,
            vec![SPEC, ("ce_type", b"t"), ("ce_correlationid", b"c1"), ("ce_causationid", b"m0"), ("tenant", b"not an attribute")],
            Some(b"[1]"),
            format!(r#"{derived} t "" 2026-11-21T08:00:00Z c1 m0 {{}} [1]"#),
        ),
        // An event without data: nothing to read, but it happened.
        (Format::Json, vec![SPEC, ("ce_type", b"t"), ("ce_id", b"m1")], None, r#"m1 t "" 2026-11-21T08:00:00Z m1 - {} null"#.into()),
        (
            Format::Json,
            vec![("content-type", b"Application/CloudEvents+JSON")],
            Some(br#"{"specversion":"1.0","type":"t","id":"m1"}"#),
            r#"m1 t "" 2026-11-21T08:00:00Z m1 - {} null"#.into(),
        ),
        (
            Format::Json,
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"t","id":"m1","data_base64":"eyJuIjoyfQ=="}"#),
            r#"m1 t "" 2026-11-21T08:00:00Z m1 - {} {"n":2}"#.into(),
        ),
        (
            Format::Bytes,
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"t","id":"m1","data_base64":"/wA="}"#),
            r#"m1 t "" 2026-11-21T08:00:00Z m1 - {} "/wA=""#.into(),
        ),
        (
            Format::String,
            vec![STRUCTURED_JSON],
            Some(r#"{"specversion":"1.0","type":"t","id":"m1","datacontenttype":"text/plain","data":"grün"}"#.as_bytes()),
            r#"m1 t "" 2026-11-21T08:00:00Z m1 - {"datacontenttype":"text/plain"} "grün""#.into(),
        ),
        (
            Format::String,
            vec![SPEC, ("ce_type", b"t"), ("ce_id", b"m1")],
            Some("grün".as_bytes()),
            r#"m1 t "" 2026-11-21T08:00:00Z m1 - {} "grün""#.into(),
        ),
    ];
    for (format, headers, value, expected) in cases {
        let event = decode(contract(format), &headers, value).unwrap_or_else(|error| panic!("{expected}: {error}"));
        assert_eq!(line(&event.expect("an event")), expected);
    }
    assert!(decode(contract(Format::Json), &[("other", b"x")], None).expect("a tombstone").is_none());
}

#[test]
fn what_is_no_cloud_event_says_why() {
    let json = || contract(Format::Json);
    let schema = serde_json::json!({"type": "object"});
    let schema = Schema::compile(&schema).expect("a schema");
    let typed = Contract { types: Some(vec![("t".into(), Some(schema))]), ..json() };
    let cases: Vec<(Contract, Headers<'_>, Option<&[u8]>, &str)> = vec![
        (
            json(),
            vec![],
            Some(b"{}"),
            "UNDECODABLE no header `ce_specversion`, and no `content-type: application/cloudevents+json`",
        ),
        (json(), vec![("ce_type", b"t")], Some(b"{}"), "UNDECODABLE no header `ce_specversion`, and no `content-type"),
        (json(), vec![("ce_specversion", b"0.3"), ("ce_type", b"t")], Some(b"{}"), "UNDECODABLE CloudEvents of version `0.3`"),
        (json(), vec![SPEC], Some(b"{}"), "UNDECODABLE the record has no type"),
        (json(), vec![SPEC, ("ce_type", b"\xff")], Some(b"{}"), "UNDECODABLE header `ce_type`: not UTF-8 at byte 0"),
        (json(), vec![SPEC, ("ce_type", b"t"), ("ce_time", b"noon")], Some(b"{}"), "UNDECODABLE the time is no RFC 3339"),
        (json(), vec![SPEC, ("ce_type", b"t")], Some(b"{"), "UNDECODABLE "),
        (
            json(),
            vec![("content-type", b"application/cloudevents-batch+json")],
            Some(b"[]"),
            "UNDECODABLE a CloudEvent as `application/cloudevents-batch+json` is not read",
        ),
        (
            json(),
            vec![("content-type", b"application/cloudevents+avro")],
            Some(b""),
            "UNDECODABLE a CloudEvent as `application/cloudevents+avro`",
        ),
        (json(), vec![STRUCTURED_JSON], Some(b"[]"), "UNDECODABLE the CloudEvent is no JSON object"),
        (json(), vec![STRUCTURED_JSON], Some(b"{}"), "UNDECODABLE the CloudEvent has no `specversion`"),
        (
            json(),
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":7}"#),
            "UNDECODABLE attribute `type` of the CloudEvent is a int",
        ),
        (
            json(),
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"t","ext":{}}"#),
            "UNDECODABLE attribute `ext` of the CloudEvent is a map",
        ),
        (
            json(),
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"t","data":1,"data_base64":""}"#),
            "UNDECODABLE the CloudEvent has both",
        ),
        (
            json(),
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"t","data_base64":"%"}"#),
            "UNDECODABLE `data_base64` of the CloudEvent: ",
        ),
        (typed.clone(), vec![SPEC, ("ce_type", b"t")], Some(b"5"), "SCHEMA_INVALID "),
        (typed, vec![SPEC, ("ce_type", b"t")], None, "SCHEMA_INVALID "),
        (contract(Format::Avro), vec![SPEC, ("ce_type", b"t")], Some(b"5"), "UNDECODABLE 1 bytes are too few"),
        (
            contract(Format::Avro),
            vec![STRUCTURED_JSON],
            Some(br#"{"specversion":"1.0","type":"t","data":5}"#),
            "UNDECODABLE values of the topic carry ids of schemas, so `data_base64`",
        ),
    ];
    for (contract, headers, value, expected) in cases {
        let found = decode(contract, &headers, value).map(|event| event.map(|event| line(&event)));
        assert!(found.as_ref().is_err_and(|message| message.starts_with(expected)), "{expected}: {found:?}");
    }
}

fn draft<'a>(data: &'a Value, metadata: &'a Map) -> Draft<'a> {
    Draft {
        id: "m1",
        kind: "order.created.v1",
        source: "shop",
        time: moment(1_795_248_000_000),
        correlation_id: "c1",
        causation_id: Some("m0"),
        metadata: Some(metadata),
        data,
    }
}

/// Headers and value of a message.
type Written = (Vec<(String, String)>, Option<Vec<u8>>);

fn written(format: Format, draft: &Draft<'_>) -> Result<Written, Failure> {
    let encoder = Encoder::new(contract(format)).expect("writable");
    let (mut value, mut room, mut headers) = (Vec::new(), Vec::new(), Vec::<HeaderRef<'_>>::new());
    let some = encoder.value(draft, &mut value)?;
    encoder.headers(draft, &mut room, &mut headers)?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let headers = headers.iter().map(|header| (header.name.to_owned(), text(header.value.expect("text")))).collect();
    Ok((headers, some.then_some(value)))
}

#[test]
fn messages_are_written_in_binary_mode() {
    let map = |text: &str| json::read(text.as_bytes()).expect("JSON").as_map().expect("a map").clone();
    let data = json::read(br#"{"n":1}"#).expect("JSON");
    let metadata = map(r#"{"subject":"order-9","tenant":7,"sampled":true,"id":"forged","correlationid":"forged"}"#);
    let (headers, value) = written(Format::Json, &draft(&data, &metadata)).expect("writable");
    assert_eq!(value.as_deref(), Some(&br#"{"n":1}"#[..]));
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "m1"),
        ("ce_type", "order.created.v1"),
        ("ce_source", "shop"),
        ("ce_correlationid", "c1"),
        ("ce_causationid", "m0"),
        ("ce_time", "2026-11-21T08:00:00Z"),
        ("ce_sampled", "true"),
        ("ce_subject", "order-9"),
        ("ce_tenant", "7"),
        ("content-type", "application/json"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let own_type = map(r#"{"datacontenttype":"application/vnd.acme+json"}"#);
    let (headers, _) = written(Format::Json, &draft(&data, &own_type)).expect("writable");
    assert_eq!(headers.last().map(|(_, value)| value.as_str()), Some("application/vnd.acme+json"));

    let (headers, value) = written(Format::Json, &draft(&Value::Null, &Map::new())).expect("writable");
    assert_eq!(value, None);
    assert!(headers.iter().all(|(name, _)| name != "content-type"), "{headers:?}");

    for (metadata, expected) in [
        (r#"{"tenantId":"x"}"#, "`tenantId` is no name of an attribute"),
        (r#"{"":"x"}"#, "`` is no name of an attribute"),
        (r#"{"tenant":{}}"#, "`tenant` of a CloudEvent is a map"),
        (r#"{"tenant":null}"#, "`tenant` of a CloudEvent is a null"),
    ] {
        let failure = written(Format::Json, &draft(&data, &map(metadata))).expect_err(metadata);
        assert_eq!(failure.code().to_string(), "SCHEMA_INVALID");
        assert!(failure.message().starts_with(expected), "{}", failure.message());
    }
}

#[test]
fn headers_of_the_envelope_are_not_for_a_message_to_set() {
    let encoder = Encoder::new(contract(Format::Json)).expect("writable");
    for (name, owned) in [("ce_type", true), ("ce_x", true), ("content-type", true), ("message-id", true), ("tenant", false)] {
        assert_eq!(encoder.owns_header(name), owned, "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        texts in prop::collection::btree_map("[a-z0-9]{1,20}", "\\PC{1,20}", 0..6),
        number in any::<i64>(),
        id in "\\PC{1,40}",
    ) {
        let data = Value::from(number);
        let metadata: Map = texts.iter().map(|(name, value)| (Text::from(name.as_str()), Value::from(value.as_str()))).collect();
        let draft = Draft { id: &id, ..draft(&data, &metadata) };
        let (headers, value) = written(Format::Json, &draft).expect("writable");
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let event = decode(contract(Format::Json), &headers, value.as_deref()).expect("readable").expect("an event");
        prop_assert_eq!((event.id.as_str(), event.kind.as_str(), event.source.as_str()), (id.as_str(), "order.created.v1", "shop"));
        prop_assert_eq!((event.correlation_id.as_str(), event.causation_id.as_deref()), ("c1", Some("m0")));
        prop_assert_eq!((event.time, event.data), (draft.time, data));
        let expected: Map = metadata.iter().filter(|(name, _)| !OWN.contains(&name.as_str()) && *name != DATA_CONTENT_TYPE)
            .map(|(name, value)| (name.clone(), value.clone())).collect();
        prop_assert_eq!(Value::from(event.metadata), Value::from(expected));
    }

    #[test]
    fn any_headers_and_bytes_end_in_an_event_or_an_error(
        headers in prop::collection::vec((
            prop::sample::select(vec!["ce_specversion", "ce_type", "ce_id", "ce_time", "ce_", "ce_ext", "content-type", "x"]),
            prop::collection::vec(any::<u8>(), 0..12),
        ), 0..8),
        structured in any::<bool>(),
        value in prop::option::of(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            "\\{\"specversion\":\"1.0\",\"type\":\"t\",\"(data|data_base64|x)\":.{0,8}\\}".prop_map(String::into_bytes),
        ]),
    ) {
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        if structured {
            headers.push(STRUCTURED_JSON);
        }
        for format in [Format::Json, Format::String, Format::Bytes, Format::Avro, Format::Protobuf] {
            let _ = decode(contract(format), &headers, value.as_deref());
        }
    }
}

//! Topics in Protobuf, from records to events and from messages to records.

use crate::codec::{
    Contract, Decoder, Document, Draft, Encoder, Envelope, Format, Language, Lookup, Reference, Registered, Schema, SchemaId,
    Schemas, VALUE_SCHEMA_HEADER,
};
use crate::record::{HeaderRef, RecordRef, Text, json};
use std::sync::Arc;

const SHOP: &str = r#"
syntax = "proto3";
package shop;
import "money.proto";
message OrderCreated { string order_id = 1; Money total = 2; }
message OrderPaid { string order_id = 1; message By { string name = 1; } By by = 2; }
"#;
/// As another version of the topic's writers has it.
const NEWER: &str = r#"
syntax = "proto3";
package shop;
message First {}
message OrderCreated { string channel = 7; string order_id = 1; }
"#;
const MONEY: &str = r#"syntax = "proto3"; package shop; message Money { int64 cents = 1; string currency = 2; }"#;

#[derive(Debug)]
struct Known;

fn document(text: &str) -> Document {
    let money =
        Reference { name: "money.proto".into(), subject: "m".into(), version: Some(1), text: MONEY.into(), uses: vec![] };
    Document { references: vec![money], uses: vec![0], ..Document::alone(Language::Protobuf, text) }
}

impl Schemas for Known {
    fn find(&self, id: SchemaId) -> Lookup {
        let document = match id {
            SchemaId::Number(1) | SchemaId::Guid(_) => document(SHOP),
            SchemaId::Number(2) => Document::alone(Language::Protobuf, NEWER),
            SchemaId::Number(3) => Document::alone(Language::Protobuf, "message"),
            SchemaId::Number(4) => Document::alone(Language::Avro, "\"int\""),
            _ => return Lookup::Absent,
        };
        Lookup::Found(Arc::new(document))
    }
}

fn contract(types: &[(&str, Option<&str>)]) -> Contract {
    let schema = |message: &str| Schema::compile_proto("shop.proto", document(SHOP), Some(message)).expect("a sound schema");
    let ids = types.iter().map(|(name, _)| (Text::new(name), 1)).collect();
    Contract {
        envelope: Envelope::None { type_header: Some("kind".into()) },
        format: Format::Protobuf,
        types: Some(types.iter().map(|(name, message)| (Text::new(name), message.map(schema))).collect()),
        registered: Registered { schemas: Some(Arc::new(Known)), ids, ..Registered::default() },
    }
}

fn both() -> Contract {
    contract(&[("created.v1", Some("OrderCreated")), ("paid.v1", Some("OrderPaid"))])
}

/// `type data`, or `class CODE message`.
fn decoded(decoder: &Decoder, value: &[u8], headers: &[(&str, &[u8])]) -> String {
    let headers: Vec<_> = headers.iter().map(|(name, value)| HeaderRef { name, value: Some(value) }).collect();
    let record =
        RecordRef { topic: "orders", partition: 0, offset: 1, timestamp: 0, key: None, value: Some(value), headers: &headers };
    match decoder.decode(&record).map(|event| event.expect("it has a value")) {
        Ok(event) => format!("{} {}", event.kind, json::text(&event.data).expect("JSON")),
        Err(failure) => format!("{} {} {}", failure.class().name(), failure.code(), failure.message()),
    }
}

/// A value, headers, and what comes of them.
type Row<'a> = (&'a [u8], Vec<(&'a str, &'a [u8])>, &'a str);

#[test]
fn the_message_of_a_value_is_found_by_its_place_and_tells_the_type() {
    let decoder = Decoder::new(both());
    let guid = [&[1_u8][..], &[7; 16]].concat();
    let in_header = |index: &[u8]| [&guid[..], index].concat();
    let (first, second) = (in_header(&[0]), in_header(&[2, 2]));
    let cases: Vec<Row<'_>> = vec![
        // The first message of the file in its short form and its long one, the second.
        (b"\0\0\0\0\x01\0\x0a\x01a\x12\x02\x08\x07", vec![], r#"created.v1 {"orderId":"a","total":{"cents":7,"currency":""}}"#),
        (b"\0\0\0\0\x01\x02\0\x0a\x01a", vec![], r#"created.v1 {"orderId":"a"}"#),
        (b"\0\0\0\0\x01\x02\x02\x0a\x01a", vec![], r#"paid.v1 {"orderId":"a"}"#),
        // Another place in another file, under the same name: what the topic does not know is passed over.
        (b"\0\0\0\0\x02\x02\x02\x0a\x01a\x3a\x03app", vec![], r#"created.v1 {"orderId":"a"}"#),
        // The id in the header, and the place of the message there too.
        (b"\x0a\x01a", vec![(VALUE_SCHEMA_HEADER, &first)], r#"created.v1 {"orderId":"a"}"#),
        (b"\x0a\x01a", vec![(VALUE_SCHEMA_HEADER, &second)], r#"paid.v1 {"orderId":"a"}"#),
        (
            b"\x0a\x01a",
            vec![(VALUE_SCHEMA_HEADER, &guid)],
            "undecodable UNDECODABLE no value of schema 07070707-0707-0707-0707-070707070707: the message's place in its file: the bytes end within a value",
        ),
        // A message that the topic does not declare is read as its writer meant it.
        (b"\0\0\0\0\x01\x04\x02\0\x0a\x01b", vec![], r#"orders {"name":"b"}"#),
        // One that is not the type's own would be read as something that it is not.
        (
            b"\0\0\0\0\x01\0\x0a\x01a",
            vec![("kind", b"paid.v1")],
            "undecodable SCHEMA_INVALID what schema 1 writes cannot be read as `paid.v1`: it is a `shop.OrderCreated`, and the type is a `shop.OrderPaid`",
        ),
        (
            b"\0\0\0\0\x01\x02\x12\x0a\x01a",
            vec![],
            "undecodable UNDECODABLE no value of schema 1: schema cannot be used: it has no message at place 9 of [9]",
        ),
        (
            b"\0\0\0\0\x01",
            vec![],
            "undecodable UNDECODABLE no value of schema 1: the message's place in its file: the bytes end within a value",
        ),
        (
            b"\0\0\0\0\x01\0\x0a\x05a",
            vec![],
            "undecodable UNDECODABLE no value of schema 1: byte 2: the bytes end within a value",
        ),
        (
            b"\0\0\0\0\x04\0",
            vec![],
            "undecodable UNDECODABLE schema 4 cannot be used: it is AVRO, and the topic is read as protobuf",
        ),
        (b"\0\0\0\0\x05\0", vec![], "undecodable UNDECODABLE the schema registry has no schema 5"),
        (b"\x0a\x01a", vec![], "undecodable UNDECODABLE 3 bytes are too few for the id of a schema"),
    ];
    for (value, headers, expected) in cases {
        assert_eq!(decoded(&decoder, value, &headers), expected, "{value:?} {headers:?}");
    }
    let broken = decoded(&decoder, b"\0\0\0\0\x03\0", &[]);
    assert!(
        broken.starts_with("undecodable UNDECODABLE schema 3 cannot be used: schema cannot be used: schema.proto: "),
        "{broken}"
    );
}

#[test]
fn what_is_written_is_read_again_behind_id_and_place() {
    let (encoder, decoder) = (Encoder::new(both()).expect("it is written too"), Decoder::new(both()));
    let write = |kind: &str, data: &str| {
        let data =
            encoder.accept(kind, json::read(data.as_bytes()).expect("JSON")).map_err(|failure| failure.message().to_owned())?;
        let draft = Draft {
            id: "i",
            kind,
            source: "s",
            time: jiff::Timestamp::UNIX_EPOCH,
            correlation_id: "c",
            causation_id: None,
            metadata: None,
            data: &data,
        };
        let mut out = Vec::new();
        let some = encoder.value(&draft, &mut out).map_err(|failure| failure.message().to_owned())?;
        Ok::<_, String>(some.then_some(out))
    };
    let cases: [(&str, &str, &[u8], &str); 3] = [
        ("created.v1", r#"{"orderId":"a"}"#, b"\0\0\0\0\x01\0\x0a\x01a", r#"created.v1 {"orderId":"a"}"#),
        (
            "paid.v1",
            r#"{"by":{"name":"b"}}"#,
            b"\0\0\0\0\x01\x02\x02\x12\x03\x0a\x01b",
            r#"paid.v1 {"by":{"name":"b"},"orderId":""}"#,
        ),
        ("paid.v1", "{}", b"\0\0\0\0\x01\x02\x02", r#"paid.v1 {"orderId":""}"#),
    ];
    for (kind, data, bytes, read) in cases {
        let written = write(kind, data).expect("it fits").expect("it is no tombstone");
        assert_eq!(written, bytes);
        assert_eq!(decoded(&decoder, &written, &[]), read);
    }
    assert_eq!(write("paid.v1", "null"), Ok(None));
    let refused = write("paid.v1", r#"{"order_id":"a"}"#).expect_err("no such field");
    assert_eq!(refused, "data of `paid.v1` does not fit its schema: at `/order_id`: the schema has no such field");
    assert!(write("gone.v1", "{}").expect_err("no schema").contains("declares none for `gone.v1`"));
}

#[test]
fn without_types_values_are_read_as_their_writer_meant_them() {
    let decoder = Decoder::new(Contract { types: None, ..both() });
    assert_eq!(decoded(&decoder, b"\0\0\0\0\x02\x02\x02\x3a\x03app", &[]), r#"orders {"channel":"app","orderId":""}"#);
}

#[test]
fn with_format_auto_each_value_is_what_it_says() {
    let auto = |types: &[(&str, Option<&str>)]| Contract { format: Format::Auto, ..contract(types) };
    let decoder = Decoder::new(Contract { types: None, ..auto(&[]) });
    let avro: &[u8] = b"\0\0\0\0\x04\x06";
    let cases: [(&[u8], &str); 8] = [
        (b"\0\0\0\0\x01\0\x0a\x01a", r#"orders {"orderId":"a"}"#),
        (avro, "orders 3"),
        (br#" {"orderId":"a"}"#, r#"orders {"orderId":"a"}"#),
        (b"12", "orders 12"),
        (b"some text", r#"orders "some text""#),
        (b"\xff\xfe", r#"orders "//4=""#),
        (b"\0\0", "orders \"\\u0000\\u0000\""),
        // An id that nobody knows is told, and not taken for something else.
        (b"\0\0\0\0\x05\x06", "undecodable UNDECODABLE the schema registry has no schema 5"),
    ];
    for (value, expected) in cases {
        assert_eq!(decoded(&decoder, value, &[]), expected, "{value:?}");
    }
    // A declared schema judges whatever language the value came in.
    let decoder = Decoder::new(auto(&[("paid.v1", Some("OrderPaid"))]));
    let cases: [(&[u8], &str); 4] = [
        (b"\0\0\0\0\x01\x02\x02\x0a\x01a", r#"paid.v1 {"orderId":"a"}"#),
        (br#"{"by":{"name":"b"}}"#, r#"paid.v1 {"by":{"name":"b"},"orderId":""}"#),
        (
            br#"{"order_id":"a"}"#,
            "undecodable SCHEMA_INVALID data of `paid.v1` does not fit its schema: at `/order_id`: the schema has no such field",
        ),
        (avro, "undecodable SCHEMA_INVALID data of `paid.v1` does not fit its schema: at `/`: an int where a map is wanted"),
    ];
    for (value, expected) in cases {
        assert_eq!(decoded(&decoder, value, &[]), expected, "{value:?}");
    }
    // Where there is nobody to ask, nothing has an id.
    let alone = Decoder::new(Contract { types: None, registered: Registered::default(), ..auto(&[]) });
    assert_eq!(decoded(&alone, b"\0\0\0\0\x01\xff", &[]), r#"orders "AAAAAAH/""#);
    assert!(Encoder::new(auto(&[])).is_err(), "it is read only");
}

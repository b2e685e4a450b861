//! Records: any key, value and headers are an event or a failure; what is read is written and read back as the same.
//!
//! A format whose records name their schemas is read with fixed writers ([`WRITERS`]) by contracts that declare nothing, the
//! same, and other schemas; each further format of that kind gets writers and contracts here.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::codec::{
    Contract, Decoder, Document, Draft, Encoder, Envelope, Event, Format, KeyFormat, Language, Lookup, Mapping, Registered,
    Schema, SchemaId, Schemas, VALUE_SCHEMA_HEADER, read_key, write_key,
};
use skald::record::{HeaderRef, RecordRef, Text, Value, json};
use std::sync::{Arc, LazyLock};

/// An order as it is read.
const ORDER: &str = r#"{"type": "record", "name": "shop.Order", "fields": [
    {"name": "id", "type": "string"},
    {"name": "note", "type": ["null", "string"], "default": null},
    {"name": "count", "type": "long", "default": 3},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["NEW", "PAID", "OTHER"], "default": "OTHER"}},
    {"name": "more", "type": {"type": "map", "values": ["double", "boolean", "string"]}, "default": {}}]}"#;

/// Schemas that records were written with; ids count from 1.
const WRITERS: [&str; 6] = [
    ORDER,
    // The order of an older sender: other widths, other places, a symbol and a field that nobody knows any more.
    r#"{"type": "record", "name": "shop.Order", "fields": [
        {"name": "gone", "type": {"type": "array", "items": {"type": "map", "values": "bytes"}}},
        {"name": "count", "type": "int"},
        {"name": "id", "type": "bytes"},
        {"name": "note", "type": "string"},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["LOST", "PAID", "NEW"]}},
        {"name": "money", "type": {"type": "fixed", "name": "M", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "more", "type": {"type": "map", "values": ["string", "float", "int", "null"]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}]}"#,
    r#"{"type": "record", "name": "Tree", "fields": [
        {"name": "value", "type": "long"},
        {"name": "next", "type": ["null", "Tree"]},
        {"name": "children", "type": {"type": "array", "items": "Tree"}}]}"#,
    r#"{"type": "record", "name": "Kinds", "fields": [
        {"name": "nothing", "type": "null"}, {"name": "flag", "type": "boolean"}, {"name": "float", "type": "float"},
        {"name": "double", "type": "double"}, {"name": "bytes", "type": "bytes"},
        {"name": "fixed", "type": {"type": "fixed", "name": "F", "size": 3}},
        {"name": "date", "type": {"type": "int", "logicalType": "date"}},
        {"name": "time", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "finer", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
        {"name": "nanos", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
        {"name": "period", "type": {"type": "fixed", "name": "P", "size": 12, "logicalType": "duration"}},
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}}]}"#,
    r#"["null", "long", {"type": "array", "items": ["null", {"type": "map", "values": "long"}]}]"#,
    r#"{"type": "array", "items": "null"}"#,
];

/// A writer's place, or one that is not known yet, or none.
#[derive(Debug)]
struct Fixed(Vec<Arc<Document>>);

impl Schemas for Fixed {
    fn find(&self, id: SchemaId) -> Lookup {
        let number = match id {
            SchemaId::Number(number) => number as usize,
            SchemaId::Guid(guid) => usize::from(guid.as_bytes()[0]),
        };
        match number.checked_sub(1) {
            None => Lookup::Pending,
            Some(place) => self.0.get(place).map_or(Lookup::Absent, |document| Lookup::Found(Arc::clone(document))),
        }
    }
}

struct Topic {
    decoder: Decoder,
    encoder: Option<Encoder>,
}

fn topic(contract: Contract) -> Topic {
    Topic { decoder: Decoder::new(contract.clone()), encoder: Encoder::new(contract).ok() }
}

/// Topics whose records have no schema in front.
static TOPICS: LazyLock<Vec<Topic>> = LazyLock::new(|| {
    let path = |text: &str| Some(text.split('.').map(Into::into).collect());
    let mapping = Mapping {
        kind: vec!["type".into()],
        data: vec!["data".into()],
        id: path("id"),
        source: path("source"),
        time: path("metadata.time"),
        correlation_id: path("metadata.correlationId"),
        causation_id: path("metadata.causationId"),
    };
    let plain = || Envelope::None { type_header: Some("type".into()) };
    let checked = r##"{"type": "object", "required": ["n"], "additionalProperties": true, "properties": {
        "n": {"type": "number", "minimum": -1000}, "i": {"type": "integer"}, "when": {"type": "string", "format": "date-time"},
        "list": {"type": "array", "items": {"$ref": "#"}}, "text": {"type": "string", "pattern": "^[a-z]+(-[0-9]+)*$"}}}"##;
    let schema = Schema::compile(&serde_json::from_str(checked).expect("JSON")).expect("a schema");
    let types = Some(vec![("a.v1".into(), Some(schema)), ("b.v1".into(), None)]);
    [
        (Envelope::Event, Format::Json, None),
        (Envelope::Event, Format::Json, types.clone()),
        (Envelope::Mapping(mapping), Format::Json, types.clone()),
        (plain(), Format::Json, None),
        (plain(), Format::Json, types.clone()),
        (Envelope::CloudEvents, Format::Json, types),
        (Envelope::CloudEvents, Format::Bytes, None),
        (plain(), Format::String, None),
        (plain(), Format::Bytes, None),
    ]
    .into_iter()
    .map(|(envelope, format, types)| topic(Contract { envelope, format, types, registered: Registered::default() }))
    .collect()
});

/// Topics whose records name the schema that they were written with.
static REGISTERED: LazyLock<Vec<Topic>> = LazyLock::new(|| {
    let document = |text: &&str| Arc::new(Document::alone(Language::Avro, *text));
    let schemas: Arc<dyn Schemas> = Arc::new(Fixed(WRITERS.iter().map(document).collect()));
    let declared = |places: &[usize]| {
        let schema = |place: usize| Some(Schema::compile_avro(WRITERS[place]).expect("a schema"));
        let types = places.iter().map(|place| (Text::from(format!("t{place}.v1")), schema(*place)));
        let ids = places.iter().map(|place| (format!("t{place}.v1").into(), *place as u32 + 1)).collect();
        (Some(types.collect()), Registered { schemas: Some(Arc::clone(&schemas)), ids })
    };
    let plain = || Envelope::None { type_header: Some("type".into()) };
    [
        (plain(), declared(&[])),
        (plain(), declared(&[0])),
        (plain(), declared(&[4])),
        (plain(), declared(&[5])),
        (plain(), declared(&[0, 2, 3])),
        (Envelope::CloudEvents, declared(&[0, 3])),
    ]
    .into_iter()
    .map(|(envelope, (types, registered))| topic(Contract { envelope, format: Format::Avro, types, registered }))
    .collect()
});

// By the first byte: a value with the id of its schema in front (0) or in a header (up to 15), or a record without a schema's id.
fuzz_target!(|bytes: &[u8]| match bytes {
    [0, ..] => framed(bytes, &[]),
    [id @ 1..16, value @ ..] => {
        let (number, guid) = ([0, 0, 0, 0, *id % 8], [&[1, *id % 8][..], &[7; 15]].concat());
        let said = match *id {
            8 => &value[..value.len().min(20)],
            0..8 => &number,
            _ => &guid,
        };
        framed(value, &[HeaderRef { name: VALUE_SCHEMA_HEADER, value: Some(said) }]);
    }
    _ => plain(bytes),
});

fn framed(value: &[u8], headers: &[HeaderRef<'_>]) {
    let record = RecordRef { topic: "fuzz", partition: 0, offset: 1, timestamp: 0, key: None, value: Some(value), headers };
    REGISTERED.iter().for_each(|topic| read(topic, &record));
}

/// Parts of a record: its key, its value, then names and values of headers, with zero bytes between.
fn plain(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let (key, value) = (parts.next(), parts.next());
    let mut headers = Vec::new();
    while let (Some(name), value) = (parts.next(), parts.next()) {
        headers.push(HeaderRef { name: std::str::from_utf8(name).unwrap_or("type"), value });
    }
    let record =
        RecordRef { topic: "fuzz", partition: 0, offset: 1, timestamp: 1_700_000_000_000, key, value, headers: &headers };
    TOPICS.iter().for_each(|topic| read(topic, &record));
    for format in [KeyFormat::Json, KeyFormat::String, KeyFormat::Bytes] {
        if let Ok(read) = read_key(format, key) {
            let mut written = Vec::new();
            if write_key(format, &read, &mut written).is_ok() {
                same(&read_key(format, Some(&written)).expect("what was written can be read"), &read);
            }
        }
    }
    if let Ok(read) = json::read(value.unwrap_or_default()) {
        let mut written = Vec::new();
        if json::write(&read, &mut written).is_ok() {
            assert_eq!(json::read(&written).expect("what was written can be read"), read);
        }
    }
}

/// Reads a record; of an event that its topic takes as a message too, the message says the same.
fn read(topic: &Topic, record: &RecordRef<'_>) {
    let _ = topic.decoder.decode_unchecked(record);
    let Ok(Some(event)) = topic.decoder.decode(record) else { return };
    let Some(encoder) = &topic.encoder else { return };
    let Ok(data) = encoder.accept(&event.kind, event.data.clone()) else { return };
    let message = Event { data, ..event };
    let draft = Draft::of(&message);
    let mut value = Vec::new();
    let Ok(has_value) = encoder.value(&draft, &mut value) else { return };
    let (mut room, mut headers) = (Vec::new(), Vec::new());
    if encoder.headers(&draft, &mut room, &mut headers).is_err() {
        return;
    }
    let again = RecordRef { value: has_value.then_some(&value[..]), headers: &headers, ..*record };
    let again = topic.decoder.decode(&again).expect("what was written can be read");
    same(&again.expect("it has a value").data, &message.data);
}

/// Numbers that are none are the same here.
fn same(read: &Value, written: &Value) {
    if read != written {
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
    }
}

//! Records: any key, value and headers are an event or a failure; what is read as JSON is written and read back as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::codec::{Contract, Decoder, Envelope, Format, KeyFormat, Mapping, Registered, read_key};
use skald::record::{HeaderRef, RecordRef, json};
use std::sync::LazyLock;

static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(|| {
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
    let plain = |format| (Envelope::None { type_header: Some("type".into()) }, format);
    [
        (Envelope::Event, Format::Json),
        (Envelope::Mapping(mapping), Format::Json),
        plain(Format::Json),
        plain(Format::String),
        plain(Format::Bytes),
    ]
    .into_iter()
    .map(|(envelope, format)| Decoder::new(Contract { envelope, format, types: None, registered: Registered::default() }))
    .collect()
});

/// Parts of a record: its key, its value, then names and values of headers, with zero bytes between.
fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let (key, value) = (parts.next(), parts.next());
    let mut headers = Vec::new();
    while let (Some(name), value) = (parts.next(), parts.next()) {
        headers.push(HeaderRef { name: std::str::from_utf8(name).unwrap_or("type"), value });
    }
    let record =
        RecordRef { topic: "fuzz", partition: 0, offset: 1, timestamp: 1_700_000_000_000, key, value, headers: &headers };
    for decoder in DECODERS.iter() {
        let _ = decoder.decode(&record);
    }
    for format in [KeyFormat::Json, KeyFormat::String, KeyFormat::Bytes] {
        let _ = read_key(format, key);
    }
    if let Ok(read) = json::read(value.unwrap_or_default()) {
        let mut written = Vec::new();
        if json::write(&read, &mut written).is_ok() {
            assert_eq!(json::read(&written).expect("what was written can be read"), read);
        }
    }
});

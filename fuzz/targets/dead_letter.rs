//! Dead letters: any headers are a report or an error, and a letter that the engine writes is read back, whatever the record.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::dlq::{Dead, Spelling, letter, read, recognise};
use skald::failure::{Class, Failure, Stage};
use skald::node::{ORIGIN_HEADER, REPLAY_HEADER, Replay, first_read};
use skald::record::{HeaderRef, RecordRef};

/// Names of a letter's headers: inputs give the values, chance alone would not find the names.
const NAMES: [&str; 23] = [
    "__skald.errors.id",
    "__skald.errors.code",
    "__skald.errors.class",
    "__streams.errors.message",
    "__skald.errors.details",
    "__skald.errors.node",
    "__skald.errors.stage",
    "__streams.errors.topic",
    "__streams.errors.partition",
    "__streams.errors.offset",
    "__skald.errors.attempts",
    "__skald.errors.first_at",
    "__skald.errors.last_at",
    "__skald.errors.topology",
    "__skald.errors.version",
    "__skald.errors.trace",
    "__skald.errors.stub",
    "__streams.errors.exception",
    "__skald.errors.task",
    "__skald.errors.replays",
    REPLAY_HEADER,
    ORIGIN_HEADER,
    "kafka_dlt-original-partition",
];

/// Parts with zero bytes between: values of the headers above, or of a record that fails.
fuzz_target!(|bytes: &[u8]| {
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let headers: Vec<HeaderRef<'_>> =
        NAMES.iter().zip(&parts).map(|(name, value)| HeaderRef { name, value: Some(value) }).collect();
    let _ = read(&headers);
    let _ = recognise(&headers);

    let (key, value) = (parts.first().copied(), parts.get(1).copied());
    let text = String::from_utf8_lossy(parts.get(2).copied().unwrap_or_default()).into_owned();
    let record = RecordRef { topic: "fuzz", partition: 3, offset: 7, timestamp: -1, key, value, headers: &headers };
    let _ = Replay::of(&record);
    let mut room = Vec::new();
    let _ = first_read(&record, &mut room);
    let failure = Failure::new(Class::Permanent, "EXPRESSION_ERROR", Stage::Step, text);
    let dead = Dead {
        task: (0, 1),
        record: &record,
        failure: &failure,
        node: "node",
        topology: "topology",
        version: 1,
        attempts: 1,
        first_at: 0,
        last_at: 1,
        spelling: Spelling::ALL[bytes.len() % 3],
    };
    for bytes_max in [1 << 20, 16 << 10] {
        let written = letter(&dead, bytes_max);
        let report = read(&written.headers()).expect("a letter of the engine can be read");
        assert_eq!((report.code.as_str(), report.origin.partition, report.origin.offset), ("EXPRESSION_ERROR", 3, 7));
        assert_eq!(report.id, written.id);
    }
});

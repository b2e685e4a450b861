//! Dead letters: any headers are a report or an error, in every spelling, and a letter that the engine writes is read back, whatever
//! the record. What comes out of a letter can be shown, filtered and counted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use skald::dlq::{Dead, Filed, Filter, Found, Spelling, Summary, letter, letter_json, payload, read, recognise};
use skald::failure::{Class, Failure, Stage};
use skald::node::{ORIGIN_HEADER, REPLAY_HEADER, Replay, asker, first_read, write_origin};
use skald::record::{HeaderRef, RecordRef};
use std::sync::LazyLock;

/// Names of a letter's headers: inputs give the values, chance alone would not find the names.
const OWN: [&str; 25] = [
    "__streams.errors.exception",
    "__streams.errors.message",
    "__streams.errors.topic",
    "__streams.errors.partition",
    "__streams.errors.offset",
    "__skald.errors.id",
    "__skald.errors.code",
    "__skald.errors.class",
    "__skald.errors.node",
    "__skald.errors.stage",
    "__skald.errors.attempts",
    "__skald.errors.first_at",
    "__skald.errors.last_at",
    "__skald.errors.topology",
    "__skald.errors.version",
    "__skald.errors.task",
    "__skald.errors.replays",
    "__skald.errors.details",
    "__skald.errors.trace",
    "__skald.errors.stub",
    REPLAY_HEADER,
    ORIGIN_HEADER,
    "__skald.replays",
    "reply-to",
    "traceparent",
];

/// Those of others.
const CONNECT: [&str; 6] = [
    "__connect.errors.exception.class.name",
    "__connect.errors.exception.message",
    "__connect.errors.topic",
    "__connect.errors.partition",
    "__connect.errors.offset",
    "__connect.errors.connector.name",
];
const SPRING: [&str; 6] = [
    "kafka_dlt-exception-fqcn",
    "kafka_dlt-exception-message",
    "kafka_dlt-original-topic",
    "kafka_dlt-original-partition",
    "kafka_dlt-original-offset",
    "kafka_dlt-original-consumer-group",
];

static FILTER: LazyLock<Filter> = LazyLock::new(|| {
    Filter::compile("error.code == 'X' && error.attempts > 1 && record.partition >= 0 && data.n > 1 && headers['a'] == key")
        .expect("an expression over a letter")
});

// Parts with zero bytes between: values of the headers above, or of a record that fails.
fuzz_target!(|bytes: &[u8]| {
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let (key, value) = (parts.first().copied(), parts.get(1).copied());
    let place = RecordRef { topic: "fuzz", partition: 3, offset: 7, timestamp: -1, key, value, headers: &[] };
    fn named<'a>(names: &[&'static str], parts: &[&'a [u8]]) -> Vec<HeaderRef<'a>> {
        names.iter().zip(parts).map(|(name, value)| HeaderRef { name, value: Some(value) }).collect()
    }
    let headers = match bytes.len() % 4 {
        0 => named(&OWN, &parts),
        1 => named(&CONNECT, &parts),
        2 => {
            // Spring's numbers are binary: they take the zero bytes that part the others.
            let mut spring = named(&SPRING, &parts);
            let numbers = [bytes.get(1..5).unwrap_or(bytes), bytes.get(5..13).unwrap_or(bytes)];
            for (header, number) in spring.iter_mut().skip(3).zip(numbers) {
                header.value = Some(number);
            }
            spring
        }
        _ => [named(&CONNECT, parts.get(2..).unwrap_or_default()), named(&OWN, &parts)].concat(),
    };
    let record = RecordRef { headers: &headers, ..place };
    let _ = read(&headers);
    match recognise(&headers) {
        Ok(found) if bytes.len() / 4 % 2 == 0 => look(&record, &found),
        _ => write(&record, parts.get(2).copied().unwrap_or_default(), bytes.len()),
    }
});

/// Everything that tools do with a letter.
fn look(record: &RecordRef<'_>, found: &Found) {
    let (first, last) = found.times(record.timestamp);
    let _ = (found.id(), found.message(), found.cause(), first, last, FILTER.holds(record, found));
    let mut summary = Summary::default();
    summary.add(record, found);
    assert_eq!(summary.letters(), 1);
    let filed = Filed { record: record.to_record(), offset: record.offset, found: found.clone() };
    let _ = letter_json(&filed, None);
    for name in ["key", "value"] {
        let _ = payload(name, record.value);
    }
}

/// The record fails, and its letter is read back.
fn write(record: &RecordRef<'_>, text: &[u8], chosen: usize) {
    let _ = (Replay::of(record), asker(record));
    let mut room = Vec::new();
    if let Ok(origin) = first_read(record, &mut room) {
        let mut header = Vec::new();
        write_origin(&origin, &mut header);
        let header = [HeaderRef { name: ORIGIN_HEADER, value: Some(&header) }];
        let mut room = Vec::new();
        let again = first_read(&RecordRef { headers: &header, ..*record }, &mut room).expect("what was written can be read");
        let place = |record: &RecordRef<'_>| (record.topic.to_owned(), record.partition, record.offset, record.timestamp);
        assert_eq!((place(&again), again.key), (place(&origin), origin.key));
    }
    let failure = Failure::new(Class::Permanent, "EXPRESSION_ERROR", Stage::Step, String::from_utf8_lossy(text).into_owned());
    let dead = Dead {
        task: (0, 1),
        record,
        failure: &failure,
        node: "node",
        topology: "topology",
        version: 1,
        attempts: 1,
        first_at: 0,
        last_at: 1,
        spelling: Spelling::ALL[chosen / 16 % 3],
    };
    // Whole, and cut to a stub.
    let written = letter(&dead, if chosen / 8 % 2 == 0 { 1 << 20 } else { 1 << 10 });
    let headers = written.headers();
    let found = recognise(&headers).expect("a letter of the engine can be read");
    let Found::Own(report) = &found else { panic!("it is the engine's own: {found:?}") };
    assert_eq!((report.code.as_str(), report.origin.partition, report.origin.offset), ("EXPRESSION_ERROR", 3, 7));
    assert_eq!(report.id, written.id);
    assert!(report.stub.is_some() || written.value == record.value);
}

//! Letters as they are written and read.

mod desk;
mod replays;
mod shelf;

use super::*;
use crate::failure::{Class, Failure, Stage};
use crate::record::{HeaderRef, Map, RecordRef, Text, Value};
use proptest::prelude::*;

const ROOM: usize = 1 << 20;

fn record<'a>(value: Option<&'a [u8]>, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
    RecordRef { topic: "orders", partition: 3, offset: 17, timestamp: 1_795_248_000_000, key: Some(b"o1"), value, headers }
}

fn dead<'a>(record: &'a RecordRef<'a>, failure: &'a Failure) -> Dead<'a> {
    Dead {
        record,
        failure,
        node: "stock",
        task: (1, 6),
        topology: "shop",
        version: 2,
        attempts: 1,
        first_at: 1_795_248_001_000,
        last_at: 1_795_248_001_000,
        spelling: Spelling::Streams,
    }
}

fn failure() -> Failure {
    let details = Map::from_entries(vec![("kind".into(), Value::from("MISSING_FIELD"))]);
    Failure::new(Class::Permanent, "EXPRESSION_ERROR", Stage::Decide, "field `x` is missing").with_details(details.into())
}

#[test]
fn a_letter_is_the_original_with_its_reason_behind() {
    let (trace, failure) = (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", failure());
    let headers = [
        HeaderRef { name: "a", value: Some(b"\xff") },
        HeaderRef { name: "traceparent", value: Some(trace) },
        HeaderRef { name: "Authorization", value: Some(b"Bearer x") },
        HeaderRef { name: "null", value: None },
    ];
    let record = record(Some(b"not json"), &headers);
    let letter = letter(&dead(&record, &failure), ROOM);
    assert_eq!((letter.key, letter.value, letter.timestamp), (record.key, record.value, record.timestamp));
    let said = letter.headers();
    let text: Vec<String> = said
        .iter()
        .map(|header| format!("{}={}", header.name, header.value.map_or("null".into(), String::from_utf8_lossy)))
        .collect();
    assert_eq!(
        text,
        [
            "a=\u{fffd}",
            "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Authorization=null",
            "null=null",
            "__streams.errors.exception=EXPRESSION_ERROR",
            "__streams.errors.message=field `x` is missing",
            "__streams.errors.topic=orders",
            "__streams.errors.partition=3",
            "__streams.errors.offset=17",
            &format!("__skald.errors.id={}", letter.id),
            "__skald.errors.code=EXPRESSION_ERROR",
            "__skald.errors.class=permanent",
            "__skald.errors.node=stock",
            "__skald.errors.stage=decide",
            "__skald.errors.attempts=1",
            "__skald.errors.first_at=2026-11-21T08:00:01Z",
            "__skald.errors.last_at=2026-11-21T08:00:01Z",
            "__skald.errors.topology=shop",
            "__skald.errors.version=2",
            "__skald.errors.task=1/6",
            "__skald.errors.details={\"kind\":\"MISSING_FIELD\"}",
            "__skald.errors.trace=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ]
    );
    assert_eq!(said[0].value, Some(&b"\xff"[..]), "bytes of the original are as they were");
}

#[test]
fn what_does_not_fit_becomes_a_stub() {
    let failure = failure();
    let (large, larger) = (vec![b'x'; 100_000], vec![b'y'; 200_000]);
    let few = [HeaderRef { name: "a", value: Some(b"1") }];
    let many = [HeaderRef { name: "a", value: Some(&larger) }];
    for (value, headers, key, kept, without) in [
        (Some(&b"small"[..]), &few[..], &b"k"[..], (true, 1, true), None),
        (None, &few[..], b"k", (false, 1, true), None),
        (Some(&large[..]), &few[..], b"k", (false, 1, true), Some("value")),
        (Some(&large[..]), &many[..], b"k", (false, 0, true), Some("value,headers")),
        (Some(&large[..]), &many[..], &larger[..], (false, 0, false), Some("value,headers,key")),
        (None, &many[..], b"k", (false, 0, true), Some("value,headers")),
    ] {
        let record = RecordRef { key: Some(key), ..record(value, headers) };
        let letter = letter(&dead(&record, &failure), 50_000);
        let report = read(&letter.headers()).expect("a letter");
        let originals = letter.headers().iter().filter(|header| header.name == "a").count();
        assert_eq!((letter.value.is_some(), originals, letter.key.is_some()), kept, "{without:?}");
        assert_eq!(report.stub.as_ref().map(|stub| stub.without.join(",")).as_deref(), without);
        if let (Some(stub), Some(value)) = (&report.stub, value) {
            let (bytes, sha256) = stub.value.clone().expect("of a value");
            assert_eq!(bytes, value.len() as u64);
            // As `sha256sum` says of 100,000 times `x`.
            assert_eq!(sha256, "d69e68988157833272305aaf21f453c800346e8a3640db6578e260215542e5d4");
        }
        let size: usize = letter.headers().iter().map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len)).sum();
        assert!(size + letter.key.map_or(0, <[u8]>::len) + letter.value.map_or(0, <[u8]>::len) <= 50_000);
    }
}

#[test]
fn texts_from_outside_are_capped_between_characters() {
    let message = "ä".repeat(10_000);
    let details = Value::from("x".repeat(100_000));
    let failure = Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, message.clone()).with_details(details);
    let record = record(None, &[]);
    let letter = letter(&dead(&record, &failure), ROOM);
    let report = read(&letter.headers()).expect("a letter");
    assert!(report.message.len() <= 4_096 && message.starts_with(report.message.as_str()));
    assert_eq!(report.details, Value::from("too large to be kept"));
}

#[test]
fn a_letter_that_fails_again_is_read_by_its_last_reason() {
    let (first, second) = (failure(), Failure::new(Class::Undecodable, "KEY_MISMATCH", Stage::Key, "moved"));
    let original = record(Some(b"v"), &[]);
    let letter_one = letter(&dead(&original, &first), ROOM);
    let headers = letter_one.headers();
    let redriven = RecordRef { headers: &headers, ..original };
    let letter_two = letter(&dead(&redriven, &second), ROOM);
    assert_eq!(read(&letter_two.headers()).expect("a letter").code, "KEY_MISMATCH");
    assert_eq!(letter_one.id, letter_two.id, "one record at one node");
}

#[test]
fn what_is_no_letter_is_said_to_be_none() {
    let failure = failure();
    let original = record(None, &[]);
    let whole = letter(&dead(&original, &failure), ROOM);
    assert_eq!(read(&[]), Err(Error::Missing { header: "__skald.errors.id" }));
    for (name, value, expected) in [
        ("__skald.errors.class", Some(&b"odd"[..]), Error::Unreadable { header: "__skald.errors.class" }),
        ("__skald.errors.attempts", Some(b"-1"), Error::Unreadable { header: "__skald.errors.attempts" }),
        ("__streams.errors.offset", None, Error::Unreadable { header: "__streams.errors.offset" }),
        ("__skald.errors.details", Some(b"{"), Error::Unreadable { header: "__skald.errors.details" }),
        ("__skald.errors.stub", Some(b"with=all"), Error::Unreadable { header: "__skald.errors.stub" }),
        ("__skald.errors.node", Some(b"\xff"), Error::Unreadable { header: "__skald.errors.node" }),
    ] {
        let mut headers = whole.headers();
        headers.push(HeaderRef { name, value });
        assert_eq!(read(&headers), Err(expected));
    }
}

fn headers<'a>(of: &'a [(&'a str, &'a [u8])]) -> Vec<HeaderRef<'a>> {
    of.iter().map(|(name, value)| HeaderRef { name, value: Some(value) }).collect()
}

#[test]
fn letters_of_others_are_recognised() {
    let connect: &[(&str, &[u8])] = &[
        ("app", b"1"),
        ("__connect.errors.topic", b"payments"),
        ("__connect.errors.partition", b"5"),
        ("__connect.errors.offset", b"4711"),
        ("__connect.errors.connector.name", b"jdbc-sink"),
        ("__connect.errors.task.id", b"0"),
        ("__connect.errors.stage", b"VALUE_CONVERTER"),
        ("__connect.errors.exception.class.name", b"org.apache.kafka.connect.errors.DataException"),
        ("__connect.errors.exception.message", b"unknown magic byte"),
    ];
    let spring: &[(&str, &[u8])] = &[
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 1, 0]),
        ("kafka_dlt-original-consumer-group", b"billing"),
        ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
    ];
    let streams: &[(&str, &[u8])] = &[
        ("__streams.errors.exception", b"org.apache.kafka.common.errors.SerializationException"),
        ("__streams.errors.message", b"no"),
        ("__streams.errors.topic", b"clicks"),
        ("__streams.errors.partition", b"0"),
        ("__streams.errors.offset", b"9"),
    ];
    for (of, spelling, topic, partition, offset, cause, message, writer) in [
        (
            connect,
            Spelling::Connect,
            "payments",
            5,
            4711,
            "org.apache.kafka.connect.errors.DataException",
            "unknown magic byte",
            Some("jdbc-sink"),
        ),
        (spring, Spelling::Spring, "orders", 3, 256, "java.lang.IllegalStateException", "", Some("billing")),
        (streams, Spelling::Streams, "clicks", 0, 9, "org.apache.kafka.common.errors.SerializationException", "no", None),
    ] {
        let origin = Origin { topic: topic.into(), partition, offset };
        let told = Told { spelling, origin, cause: cause.into(), message: message.into(), writer: writer.map(Text::new) };
        assert_eq!(recognise(&headers(of)), Ok(Found::Foreign(told)));
        assert!(matches!(read(&headers(of)), Err(Error::Missing { .. })), "it is not this engine's");
    }
}

#[test]
fn an_exception_without_a_message_is_one() {
    let all = [
        HeaderRef { name: "__connect.errors.topic", value: Some(b"payments") },
        HeaderRef { name: "__connect.errors.partition", value: Some(b"5") },
        HeaderRef { name: "__connect.errors.offset", value: Some(b"4711") },
        HeaderRef { name: "__connect.errors.exception.message", value: None },
    ];
    let Ok(Found::Foreign(told)) = recognise(&all) else { panic!("a letter of Connect") };
    assert_eq!((told.cause.as_str(), told.message.as_str()), ("", ""));
}

#[test]
fn a_letter_that_passed_several_hands_is_that_of_the_last_one() {
    let failure = failure();
    let connect: &[(&str, &[u8])] =
        &[("__connect.errors.topic", b"payments"), ("__connect.errors.partition", b"5"), ("__connect.errors.offset", b"4711")];
    let theirs = headers(connect);
    let failed_here = record(Some(b"v"), &theirs);
    let ours = letter(&dead(&failed_here, &failure), ROOM);
    let Ok(Found::Own(report)) = recognise(&ours.headers()) else { panic!("it failed here last") };
    assert_eq!(report.origin.topic, "orders");
    let again: Vec<_> = ours.headers().into_iter().chain(headers(connect)).collect();
    let Ok(Found::Foreign(told)) = recognise(&again) else { panic!("it failed there last") };
    assert_eq!(told.origin.topic, "payments");
}

#[test]
fn numbers_of_others_that_are_none_are_refused() {
    for (name, value) in [
        ("kafka_dlt-original-partition", &b"3"[..]),
        ("kafka_dlt-original-partition", &[0xff; 4]),
        ("kafka_dlt-original-partition", &[0, 0, 1, 0, 0, 0, 0, 0]),
        ("kafka_dlt-original-offset", b""),
        ("kafka_dlt-original-topic", b"\xff"),
    ] {
        let all: &[(&str, &[u8])] = &[
            ("kafka_dlt-original-topic", b"orders"),
            ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
            ("kafka_dlt-original-offset", &[0; 8]),
            (name, value),
        ];
        assert_eq!(recognise(&headers(all)), Err(Error::Unreadable { header: name }), "{name} {value:?}");
    }
}

proptest! {
    #[test]
    fn what_a_letter_says_is_read_back(
        code in "[A-Z][A-Z0-9_]{0,20}", message in "\\PC{0,200}", details in "\\PC{0,50}",
        class in 0..4usize, stage in 0..6usize, attempts in any::<u32>(), version in any::<u32>(),
        partition in 0..i32::MAX, offset in 0..i64::MAX, at in 0..4_000_000_000_000_i64,
        topic in "[a-z.]{1,20}", node in "[a-z-]{1,20}", topology in "[a-z-]{1,20}",
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)), room in 0..6_000_usize, spelling in 0..3usize,
    ) {
        let class = [Class::Undecodable, Class::Permanent, Class::Retryable, Class::Engine][class];
        let stage = [Stage::Decode, Stage::Key, Stage::Decide, Stage::Evolve, Stage::Step, Stage::Encode][stage];
        let failure = Failure::new(class, code.as_str(), stage, message.as_str()).with_details(Value::from(details.as_str()));
        let record = RecordRef { topic: &topic, partition, offset, ..record(value.as_deref(), &[]) };
        let dead = Dead { node: &node, topology: &topology, version, attempts, first_at: at, last_at: at + 1, spelling: Spelling::ALL[spelling], ..dead(&record, &failure) };
        let letter = letter(&dead, room);
        let report = read(&letter.headers()).expect("a letter");
        prop_assert_eq!(report.id, letter.id.clone());
        prop_assert_eq!((report.code, report.class, report.message), (Text::new(&code), class, Text::new(&message)));
        prop_assert_eq!((report.details, report.stage), (Value::from(details.as_str()), stage));
        prop_assert_eq!(report.origin, Origin { topic: Text::new(&topic), partition, offset });
        prop_assert_eq!((report.node, report.topology, report.version, report.attempts), (Text::new(&node), Text::new(&topology), version, attempts));
        prop_assert_eq!((report.first_at.as_millisecond(), report.last_at.as_millisecond()), (at, at + 1));
        match report.stub {
            None => prop_assert_eq!(letter.value, value.as_deref()),
            Some(stub) => prop_assert_eq!(stub.value.map(|(bytes, _)| bytes), value.as_ref().map(|value| value.len() as u64)),
        }
    }

    #[test]
    fn any_headers_are_read_or_refused(headers in prop::collection::vec(
        (prop_oneof![Just("__skald.errors.id"), Just("__skald.errors.stub"), Just("__skald.errors.details"), Just("x")], prop::collection::vec(any::<u8>(), 0..20)), 0..8)
    ) {
        let failure = failure();
        let original = record(None, &[]);
        let letter = letter(&dead(&original, &failure), ROOM);
        let mut all = letter.headers();
        all.extend(headers.iter().map(|(name, value)| HeaderRef { name, value: Some(value) }));
        drop(read(&all));
    }
}

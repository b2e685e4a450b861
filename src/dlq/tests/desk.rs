//! Filters and summaries.

use super::{ROOM, dead, failure, headers};
use crate::dlq::{Filter, Found, GROUPS_MAX, Summary, letter, recognise};
use crate::failure::{Class, Failure, Stage};
use crate::record::{HeaderRef, RecordRef};

const CONNECT: &[(&str, &[u8])] = &[
    ("__connect.errors.topic", b"payments"),
    ("__connect.errors.partition", b"5"),
    ("__connect.errors.offset", b"4711"),
    ("__connect.errors.connector.name", b"jdbc-sink"),
    ("__connect.errors.exception.class.name", b"DataException"),
];

fn filed<'a>(value: Option<&'a [u8]>, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
    RecordRef { topic: "shop.dlq", partition: 1, offset: 8, timestamp: 1_795_248_000_000, key: Some(b"o1"), value, headers }
}

#[test]
fn a_filter_sees_the_failure_its_origin_and_what_can_be_read_of_the_original() {
    let original = filed(Some(br#"{"id":"e1","type":"order.created.v1","source":"web","data":{"total":12}}"#), &[]);
    let original = RecordRef { topic: "orders", partition: 3, offset: 17, ..original };
    let failure = failure();
    let own = letter(&dead(&original, &failure), ROOM);
    let own_headers = own.headers();
    let own = filed(original.value, &own_headers);
    let foreign_headers = headers(CONNECT);
    let foreign = filed(Some(br#"{"total": 3}"#), &foreign_headers);
    for (text, of_own, of_foreign) in [
        ("error.code == 'EXPRESSION_ERROR'", true, false),
        ("error.details.kind == 'MISSING_FIELD'", true, false),
        ("error.firstAt < timestamp('2026-11-22T00:00:00Z')", true, false),
        ("error.node == 'jdbc-sink' && error.writer == 'connect'", false, true),
        ("record.topic == 'orders' && record.offset == 17", true, false),
        ("record.topic == 'payments' && record.partition == 5", false, true),
        ("event.type == 'order.created.v1'", true, false),
        ("data.total > 10", true, false),
        ("data.total < 10", false, true),
        ("key == 'o1'", true, true),
        ("headers['__connect.errors.topic'] == 'payments'", false, true),
        ("data.missing == 1", false, false),
        ("has(data.missing)", false, false),
    ] {
        let filter = Filter::compile(text).expect(text);
        for (record, expected) in [(&own, of_own), (&foreign, of_foreign)] {
            let found = recognise(record.headers).expect("a letter");
            assert_eq!(filter.holds(record, &found), expected, "{text} of {found:?}");
        }
    }
}

#[test]
fn a_filter_that_cannot_hold_is_refused_before_anything_is_read() {
    for (text, code) in [("error.kode == 'X'", "E307"), ("data.x +", "E301"), ("'yes'", "E306"), ("state.x == 1", "E313")] {
        let errors = Filter::compile(text).expect_err(text);
        assert_eq!(errors[0].code, code, "{text}: {errors:?}");
    }
}

#[test]
fn letters_are_grouped_by_cause_and_the_largest_group_comes_first() {
    let original = RecordRef { topic: "orders", ..filed(Some(b"x"), &[]) };
    let broken = failure();
    let late = Failure::new(Class::Permanent, "EXPIRED", Stage::Decode, "too old");
    let mut summary = Summary::default();
    for (count, failure, at) in [(1, &late, 5_000), (2, &broken, 9_000), (1, &broken, 1_000)] {
        let mut dead = dead(&original, failure);
        (dead.first_at, dead.last_at) = (at, at);
        let headers = letter(&dead, ROOM);
        let headers = headers.headers();
        let record = filed(Some(b"x"), &headers);
        let found = recognise(&headers).expect("a letter");
        (0..count).for_each(|_| summary.add(&record, &found));
    }
    let told: Vec<_> = summary
        .largest_first()
        .into_iter()
        .map(|(cause, group)| (cause.code.to_string(), group.letters, group.first_at, group.last_at))
        .collect();
    assert_eq!(told, [("EXPRESSION_ERROR".into(), 3, 1_000, 9_000), ("EXPIRED".into(), 1, 5_000, 5_000)]);
    assert_eq!(summary.letters(), 4);
}

#[test]
fn ever_new_causes_do_not_fill_the_memory() {
    let mut summary = Summary::default();
    for number in 0..GROUPS_MAX + 10 {
        let cause = format!("Exception{number}");
        let mut all = CONNECT[..3].to_vec();
        all.push(("__connect.errors.exception.class.name", cause.as_bytes()));
        let headers = headers(&all);
        let found = recognise(&headers).expect("a letter");
        assert!(matches!(found, Found::Foreign(_)));
        summary.add(&filed(None, &headers), &found);
    }
    assert_eq!((summary.largest_first().len(), summary.ungrouped), (GROUPS_MAX, 10));
    assert_eq!(summary.letters(), GROUPS_MAX as u64 + 10);
}

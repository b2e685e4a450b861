//! What the operators of pipelines do with a record, and what becomes of the messages that they send.

use super::compile;
use crate::node::Outcome::{PassedOver, Processed, Refused};
use crate::node::testing::Bench;

/// A pipeline `p` from `in` with these steps; messages go to `out`, of any type.
fn bench(steps: &str) -> Bench {
    bench_with("", steps)
}

fn bench_with(fields: &str, steps: &str) -> Bench {
    let indented = |text: &str, by: &str| text.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
    let yaml = format!(
        r#"
skald: 1
topology: t
params: {{ limit: 10 }}
topics:
  in: {{}}
  out: {{}}
  keyed: {{ key: data.k }}
  plain: {{ envelope: none, type_header: kind }}
  raw: {{ envelope: none, format: bytes, key_format: bytes }}
  raw-out: {{ envelope: none, format: bytes, key_format: bytes }}
  failures: {{}}
  answers: {{}}
pipelines:
  p:
    from: [in, raw]
{}    steps:
{}"#,
        indented(fields, "    "),
        indented(steps, "      ")
    );
    let mut bench = Bench::of_text(&yaml, compile);
    bench.memory.others.extend(["web.replies".into(), "eu.orders".into()]);
    bench
}

fn event(data: &str) -> String {
    format!(r#"{{"id":"e1","type":"t.v1","data":{data}}}"#)
}

/// What is sent, or what went wrong, for each of some payloads.
fn sent(steps: &str, data: &[&str]) -> Vec<String> {
    let mut bench = bench(steps);
    let mut said = Vec::new();
    for data in data {
        bench.read("in", Some("k"), Some(&event(data)), &[]);
        said.extend(bench.sent());
        said.extend(bench.failures());
    }
    said
}

#[test]
fn operators_do_what_they_say() {
    for (name, steps, data, expected) in [
        ("filter", "- filter: data.n > 1\n- emit: { to: out }", &["{\"n\":1}", "{\"n\":2}"][..], &["out k t.v1 {\"n\":2}"][..]),
        ("rekey", "- rekey: data.n\n- emit: { to: out, type: u, data: =key }", &["{\"n\":7}"], &["out 7 u \"7\""]),
        (
            "rekey to nothing",
            "- rekey: data.n\n- emit: { to: out }",
            &["{\"n\":\"\"}"],
            &["p MISSING_KEY (permanent in key): the key is empty"],
        ),
        (
            "flat_map",
            "- flat_map: data.items\n- filter: data.n != 2\n- emit: { to: out }",
            &[r#"{"items":[{"n":1},{"n":2},{"n":3}]}"#, r#"{"items":[]}"#],
            &["out k t.v1 {\"n\":1}", "out k t.v1 {\"n\":3}"],
        ),
        (
            "flat_map within flat_map",
            "- flat_map: data\n- flat_map: data\n- emit: { to: out }",
            &["[[1,2],[],[3]]"],
            &["out k t.v1 1", "out k t.v1 2", "out k t.v1 3"],
        ),
        (
            "map",
            "- map: { id: =event.id, text: \"{data.n} of {params.limit}\" }\n- emit: { to: out }",
            &["{\"n\":7}"],
            &[r#"out k t.v1 {"id":"e1","text":"7 of 10"}"#],
        ),
        (
            "set",
            "- set: { a: =data.b, b: =data.a }\n- emit: { to: out }",
            &[r#"{"a":1,"b":2,"c":3}"#],
            &[r#"out k t.v1 {"a":2,"b":1,"c":3}"#],
        ),
        (
            "validate",
            "- validate: { type: object, properties: { n: { type: number } } }\n- emit: { to: out, data: =data }",
            &["{\"n\":7}", "{\"n\":\"x\"}"],
            &[
                "out k t.v1 {\"n\":7.0}",
                "p SCHEMA_INVALID (permanent in step): the data does not fit its schema: at `/n`: value is not of type \"number\"",
            ],
        ),
        (
            "require",
            "- emit: { to: out }\n- require: { that: data.n < 5, code: TOO_MANY, message: \"{data.n}\" }",
            &["{\"n\":7}", "{\"n\":1}"],
            &["p TOO_MANY (permanent in step): 7", "out k t.v1 {\"n\":1}"],
        ),
        (
            "branch",
            "- branch:\n    - when: data.n == 1\n      steps: [{ map: one }]\n    - when: data.n == 2\n      steps: [{ filter: false }]\n    - steps: [{ let: { x: data.n * 10 }, map: =x }]\n- emit: { to: out }",
            &["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"],
            &["out k t.v1 \"one\"", "out k t.v1 30"],
        ),
        (
            "branch without else",
            "- branch: [{ when: data.n == 1, steps: [{ branch: [{ when: \"true\", steps: [{ flat_map: \"[1, 2]\" }] }] }] }]\n- emit: { to: out }",
            &["{\"n\":1}", "{\"n\":2}"],
            &["out k t.v1 1", "out k t.v1 2", "out k t.v1 {\"n\":2}"],
        ),
        (
            "emit for each element",
            "- emit: { to: out, type: line.v1, for_each: { in: data.items, as: item, index: i }, when: item > 1, data: { i: =i, item: =item } }",
            &[r#"{"items":[1,2,3]}"#],
            &[r#"out k line.v1 {"i":1,"item":2}"#, r#"out k line.v1 {"i":2,"item":3}"#],
        ),
        (
            "emit to a keyed topic",
            "- emit: { to: keyed, type: t.v1, data: { k: =data.n } }",
            &["{\"n\":5}", "{\"n\":null}"],
            &["keyed 5 t.v1 {\"k\":5}", "p MISSING_KEY (permanent in key): the key is null"],
        ),
        ("emit with a key", "- emit: { to: out, key: data.n }", &["{\"n\":5}"], &["out 5 t.v1 {\"n\":5}"]),
        ("emit a tombstone", "- emit: { to: plain, type: t.v1, data: null }", &["{}"], &["plain k t.v1 null"]),
        (
            "emit to a computed topic",
            "- emit: { to: \"='eu.' + data.n\", type: t.v1 }",
            &[r#"{"n":"orders"}"#, r#"{"n":"gone"}"#, r#"{"n":"../x"}"#],
            &[
                r#"eu.orders k t.v1 {"n":"orders"}"#,
                "p UNKNOWN_TOPIC (permanent in encode): no topic `eu.gone`",
                "p UNKNOWN_TOPIC (permanent in encode): `'eu.' + data.n` gives no name of a topic that may be written to",
            ],
        ),
        (
            "let keeps what it was computed from",
            "- let: { before: data.n }\n- map: { n: 0 }\n- emit: { to: out, data: { before: =before, now: =data.n } }",
            &["{\"n\":7}"],
            &[r#"out k t.v1 {"before":7,"now":0}"#],
        ),
        (
            "a let that fails is no error until it is read",
            "- let: { x: data.missing }\n- map: { n: 0 }\n- emit: { to: out, when: has(event.causationId), data: =x }\n- emit: { to: out }",
            &["{}"],
            &["out k t.v1 {\"n\":0}"],
        ),
    ] {
        assert_eq!(sent(steps, data), expected, "{name}");
    }
}

#[test]
fn a_forwarded_message_keeps_id_headers_and_bytes() {
    let mut bench = bench("- filter: data.n == 1\n- emit: { to: out }");
    let value = "{ \"type\":\"t.v1\",\"n\":0,  \"id\":\"e1\",\"data\":{\"n\":1,\"big\":123456789012345678901234567890} }";
    assert_eq!(bench.read("in", Some("k"), Some(value), &[("a", "1"), ("a", "2"), ("traceparent", "00")]), [Processed]);
    let record = bench.memory.sent.pop().expect("forwarded");
    assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"k"[..]), Some(value.as_bytes())));
    let headers: Vec<_> =
        record.headers.iter().map(|header| (header.name.as_str(), header.value.as_deref().expect("text"))).collect();
    assert_eq!(headers, [("a", &b"1"[..]), ("a", b"2"), ("traceparent", b"00")]);
    assert_eq!(record.timestamp, 1_795_248_000_000);
}

#[test]
fn a_new_message_has_the_conversation_and_a_derived_id() {
    let mut bench = bench(
        "- emit: { to: out, type: u.v3, data: {}, headers: { x: \"{data.n}\", message-id: forged, y: =data.?none }, metadata: { tenant: a } }",
    );
    let value = r#"{"id":"e1","type":"t.v1","data":{"n":1},"metadata":{"correlationId":"c1","secret":"s"}}"#;
    bench.read("in", Some("k"), Some(value), &[("h", "1"), ("traceparent", "00")]);
    let record = bench.memory.sent.pop().expect("sent");
    let id = uuid::Uuid::new_v5(
        &uuid::Uuid::NAMESPACE_URL,
        format!("t/p/in/{}/0/0", crate::record::partition_of(b"k", 4)).as_bytes(),
    );
    assert_eq!(
        String::from_utf8_lossy(record.value.as_deref().expect("a value")),
        format!(
            r#"{{"id":"{id}","type":"u.v3","version":"3","source":"t","timestamp":"2026-11-21T08:00:00Z","data":{{}},"metadata":{{"correlationId":"c1","causationId":"e1","tenant":"a"}}}}"#
        )
    );
    let headers: Vec<_> = record.headers.iter().map(|header| header.name.as_str()).collect();
    assert_eq!(headers, ["traceparent", "x"]);
}

#[test]
fn bytes_pass_through_as_they_are() {
    let mut bench = bench("- emit: { to: raw-out, type: raw.v1 }");
    let record = crate::record::RecordRef {
        topic: "raw",
        partition: 0,
        offset: 0,
        timestamp: 0,
        key: Some(b"\xff"),
        value: Some(b"\x00\xff"),
        headers: &[],
    };
    assert_eq!(bench.read_at(&record), [Processed]);
    let sent = bench.memory.sent.pop().expect("sent");
    assert_eq!((sent.key.as_deref(), sent.value.as_deref()), (Some(&b"\xff"[..]), Some(&b"\x00\xff"[..])));
}

#[test]
fn a_request_is_answered_or_refused_in_place_of_an_error() {
    let steps = "- emit: { to: out }\n- require: { that: data.n < 5, code: TOO_MANY }\n- reply: { doubled: =data.n * 2 }";
    let mut bench = bench(steps);
    let asked = [("reply-to", "web.replies"), ("reply-key", "r")];
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":1}")), &asked), [Processed]);
    assert_eq!(bench.sent(), ["out k t.v1 {\"n\":1}", "web.replies r reply.accepted {\"doubled\":2}"]);
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":7}")), &asked), [Refused("TOO_MANY".into())]);
    assert_eq!(bench.sent(), [r#"web.replies r reply.rejected {"code":"TOO_MANY","details":null,"message":""}"#]);
    assert_eq!(bench.failures(), [""; 0]);
    // Nobody asked: nobody is answered, and the refusal is an error.
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":1}")), &[]), [Processed]);
    assert_eq!(bench.sent(), ["out k t.v1 {\"n\":1}"]);
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":7}")), &[]), []);
    assert_eq!(bench.failures(), ["p TOO_MANY (permanent in step): refused"]);
}

#[test]
fn results_of_messages_without_reply_to_go_to_the_nodes_replies() {
    let mut bench = bench_with("replies: answers", "- reply: =data.n");
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":1}")), &[]), [Processed]);
    assert_eq!(bench.sent(), ["answers k reply.accepted 1"]);
}

#[test]
fn failures_are_told_by_the_messages_declared_for_them() {
    let errors = "errors:\n  emit:\n    - { type: a.v1, to: failures, data: =data.missing }\n    - { type: b.v1, to: failures, data: { code: =error.code, class: =error.class, attempts: =error.attempts, retryable: =error.retryable, key: =key } }";
    let mut bench = bench_with(errors, "- emit: { to: out }\n- map: =data.none\n- emit: { to: out }");
    assert_eq!(bench.read("in", Some("k"), Some(&event("{}")), &[]), []);
    let failures = bench.failures();
    assert!(failures[0].starts_with("p EXPRESSION_ERROR (permanent in step)"), "{failures:?}");
    assert_eq!(
        bench.sent(),
        [r#"failures k b.v1 {"attempts":1,"class":"permanent","code":"EXPRESSION_ERROR","key":"k","retryable":false}"#]
    );
    assert_eq!(bench.memory.counts.get("error_message_failed"), Some(&1), "one that fails itself is left out");
    // What cannot be decoded has nothing to tell.
    assert_eq!(bench.read("in", Some("k"), Some("x"), &[]), []);
    assert_eq!(bench.sent(), [""; 0]);
}

#[test]
fn a_message_of_a_failure_may_be_sent_later_and_the_next_failure_of_its_key_replaces_it() {
    let errors = "errors:\n  emit: { type: a.v1, to: failures, delay: 1m, timer: nag, data: { n: =data.n } }";
    let mut bench = bench_with(errors, "- require: { that: data.n > 9, code: SMALL }\n- emit: { to: out }");
    let fails = |bench: &mut Bench, key: &str, n: u32| {
        assert_eq!(bench.read("in", Some(key), Some(&event(&format!("{{\"n\":{n}}}"))), &[]), []);
        assert_eq!(bench.sent(), [""; 0]);
    };
    fails(&mut bench, "k", 1);
    bench.pass(40_000);
    fails(&mut bench, "k", 2);
    fails(&mut bench, "other", 3);
    bench.pass(59_999);
    assert_eq!(bench.sent(), [""; 0]);
    bench.pass(1);
    let mut sent = bench.sent();
    sent.sort();
    assert_eq!(sent, [r#"failures k a.v1 {"n":2}"#, r#"failures other a.v1 {"n":3}"#]);
    bench.pass(60_000);
    assert_eq!(bench.sent(), [""; 0]);
}

#[test]
fn what_one_record_becomes_is_bounded() {
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let each = "- emit: { to: out, type: u, for_each: { in: data, as: item }, data: =item }";
    assert_eq!(sent(each, &[&list(1_000)]).len(), 1_000);
    assert_eq!(
        sent(each, &[&list(1_001)]),
        ["p TOO_LARGE (permanent in encode): `for_each` over 1001 elements, 1000 are allowed"]
    );
    assert_eq!(sent("- flat_map: data\n- emit: { to: out }", &[&list(10_000)]).len(), 10_000);
    let said = sent("- flat_map: data\n- emit: { to: out }", &[&list(10_001)]);
    assert_eq!(said, ["p TOO_LARGE (permanent in step): one record became 10001 by `flat_map`, 10000 are allowed"]);
}

#[test]
fn types_that_a_pipeline_does_not_name_are_passed_over() {
    let mut bench = bench_with("type: [a.v1, t.v1]", "- emit: { to: out }");
    assert_eq!(bench.read("in", Some("k"), Some(&event("{}")), &[]), [Processed]);
    assert_eq!(bench.read("in", Some("k"), Some(r#"{"type":"b.v1"}"#), &[]), [PassedOver]);
    assert_eq!(bench.read("in", Some("k"), None, &[]), [PassedOver], "no value, where there is an envelope");
}

#[test]
fn a_tombstone_without_an_envelope_has_null_for_data() {
    let mut bench = bench("- emit: { to: out, type: u, data: { gone: =data == null } }");
    let record = crate::record::RecordRef {
        topic: "raw",
        partition: 0,
        offset: 0,
        timestamp: 0,
        key: Some(b"k"),
        value: None,
        headers: &[],
    };
    assert_eq!(bench.read_at(&record), [Processed]);
    assert_eq!(bench.sent(), ["out k u {\"gone\":true}"]);
}

#[test]
fn a_pipeline_sends_later_under_the_key_of_then() {
    let mut bench = Bench::of_text(
        r#"
skald: 1
topology: t
topics:
  in: { types: [a.v1] }
  out: { types: [later.v1, a.v1] }
pipelines:
  waits:
    from: in
    steps:
      - flat_map: data.items
      - emit: { type: later.v1, delay: =duration(string(data) + 's'), data: { n: =data } }
      - rekey: "'other'"
      - emit: { type: later.v1, delay: 10s, data: { rekeyed: =data } }
  forwards:
    from: in
    steps:
      - emit: { to: out, delay: 1m }
"#,
        compile,
    );
    bench.read("in", Some("k"), Some(r#"{"id":"1","type":"a.v1","data":{"items":[5,0,15]}}"#), &[("x", "y")]);
    assert_eq!(bench.sent(), [r#"out k later.v1 {"n":0}"#], "what has no delay is sent");
    bench.pass(9_999);
    assert_eq!(bench.sent(), [r#"out k later.v1 {"n":5}"#]);
    bench.pass(1);
    let mut sent = bench.sent();
    sent.sort();
    let rekeyed = |n: i32| format!(r#"out other later.v1 {{"rekeyed":{n}}}"#);
    assert_eq!(sent, [rekeyed(0), rekeyed(15), rekeyed(5)]);
    bench.pass(20_000);
    assert_eq!(bench.sent(), [r#"out k later.v1 {"n":15}"#]);
    bench.pass(60_000);
    let forwarded = bench.memory.sent.last().expect("forwarded").clone();
    assert_eq!(forwarded.value.as_deref(), Some(&br#"{"id":"1","type":"a.v1","data":{"items":[5,0,15]}}"#[..]));
    assert_eq!(forwarded.headers, [crate::record::Header::text("x", "y")], "bytes and headers as they were");
    assert_eq!(bench.failures(), [""; 0]);
}

#[test]
fn what_was_seen_ends_there_until_its_time_has_passed() {
    let steps = "- name: once\n  dedupe: { by: data.n, within: 1m }\n- emit: { to: out }";
    let mut bench = bench(steps);
    let seen = |bench: &mut Bench, data: &str| {
        let outcomes = bench.read("in", Some("k"), Some(&event(data)), &[]);
        (outcomes, bench.sent().len())
    };
    assert_eq!(seen(&mut bench, "{\"n\":1}"), (vec![Processed], 1));
    assert_eq!(seen(&mut bench, "{\"n\":1}"), (vec![PassedOver], 0));
    // An integer is not the text that it is written as.
    assert_eq!(seen(&mut bench, "{\"n\":\"1\"}"), (vec![Processed], 1));
    assert_eq!(seen(&mut bench, "{\"n\":{\"a\":[1]}}"), (vec![Processed], 1));
    assert_eq!(seen(&mut bench, "{\"n\":{\"a\":[1]}}"), (vec![PassedOver], 0));
    bench.pass(59_999);
    assert_eq!(seen(&mut bench, "{\"n\":1}"), (vec![PassedOver], 0), "it counts from when it was first seen");
    bench.pass(1);
    assert_eq!(seen(&mut bench, "{\"n\":1}"), (vec![Processed], 1));
    assert_eq!(bench.memory.counts.get("duplicate_dropped"), Some(&3));
    assert_eq!(bench.failures(), [""; 0]);
    bench.pass(60_000);
    assert!(bench.memory.rows.is_empty(), "nothing is kept for longer: {:?}", bench.memory.rows);
}

#[test]
fn what_fails_or_is_refused_was_not_seen() {
    let mut bench = bench(
        "- name: once\n  dedupe: { by: event.id, within: 1m }\n- require: { that: data.n < 5, code: TOO_MANY }\n- emit: { to: out }",
    );
    let asked = [("reply-to", "web.replies")];
    bench.read("in", Some("k"), Some(&event("{\"n\":7}")), &[]);
    assert_eq!(bench.failures(), ["p TOO_MANY (permanent in step): refused"]);
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":7}")), &asked), [Refused("TOO_MANY".into())]);
    bench.sent();
    assert_eq!(bench.read("in", Some("k"), Some(&event("{\"n\":1}")), &[]), [Processed]);
    assert_eq!(bench.sent(), ["out k t.v1 {\"n\":1}"]);
    bench.read("in", Some("k"), Some(&event("{\"n\":1}")), &[]);
    assert_eq!(bench.sent(), [""; 0]);
}

#[test]
fn each_step_knows_its_own_and_elements_of_one_record_too() {
    let steps = "- flat_map: data\n- name: a\n  dedupe: { by: data, within: 1m }\n- branch:\n    - when: data > 1\n      steps: [{ name: b, dedupe: { by: \"data / 10\", within: 1m } }]\n- emit: { to: out }";
    assert_eq!(
        sent(steps, &["[1, 1, 2, 3, 20, 21]", "[1, 30]"]),
        ["out k t.v1 1", "out k t.v1 2", "out k t.v1 20", "out k t.v1 30"]
    );
    assert_eq!(
        sent("- name: a\n  dedupe: { by: data.n, within: 1m }", &["{\"n\":null}"]),
        [
            "p EXPRESSION_ERROR (permanent in step): test.yaml:19:23: `by` of a `dedupe` got a null, by which nothing can be known again"
        ]
    );
}

#[test]
fn what_was_made_newer_is_passed_on_as_the_newer_type() {
    let text = r#"
skald: 1
topology: t
topics:
  in: { types: { a.v1: {}, a.v2: {} } }
  out: { types: { a.v2: {} } }
upcasters:
  a.v1: { to: a.v2, data: { n: =data.n + 1 } }
pipelines:
  p:
    from: in
    steps: [{ emit: { to: out } }]
"#;
    let mut bench = Bench::of_text(text, compile);
    for kind in ["a.v1", "a.v2"] {
        let value = format!(r#"{{"id":"e-{kind}","type":"{kind}","data":{{"n":1}},"more":true}}"#);
        bench.read("in", Some("k"), Some(&value), &[("own", "x")]);
    }
    // What was the newest already goes on byte by byte, with its headers; what was not, as it was read, under its id.
    let sent: Vec<_> =
        bench.memory.sent.iter().map(|record| (record.value.clone().unwrap_or_default(), record.headers.len())).collect();
    let text = |at: usize| String::from_utf8(sent[at].0.to_vec()).expect("JSON");
    assert!(text(0).contains(r#""id":"e-a.v1","type":"a.v2""#) && text(0).contains(r#""n":2"#), "{}", text(0));
    assert!(text(1).contains(r#""more":true"#) && sent[1].1 == 1, "{}", text(1));
    assert_eq!(bench.sent(), ["out k a.v2 {\"n\":2}", "out k a.v2 {\"n\":1}"]);
}

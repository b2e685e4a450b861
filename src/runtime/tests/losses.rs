//! Each way in which a record could get lost: it is one dead letter, with its code, and the next record passes.

use super::engine::wait_for;
use super::replays::{Bench, LETTERS, stop};
use crate::broker::{Broker, TopicSpec};
use crate::clock::Clock;
use crate::dlq::Found;
use crate::record::{Header, Record};
use std::collections::BTreeMap;

const LOSSES: &str = r#"
skald: 1
topology: replays
topics:
  numbers:
    partitions: 1
    key: data.id
    types:
      number.v1:
        type: object
        required: [id]
        properties:
          id: { type: string }
          size: { type: integer }
          refused: {}
          to: { type: string }
          topic: { type: string }
          n: {}
          pad: { type: string }
          by: { type: integer }
          double: { type: number }
          many: { type: array, items: { type: integer } }
      count.v1: {}
  told: { partitions: 1, types: { told.v1: { type: object, properties: { n: { type: integer }, pad: { type: string }, d: { type: number } } } } }
pipelines:
  tell:
    from: { topic: numbers, max_age: 1h }
    type: number.v1
    steps:
      - require: { that: "!has(data.refused)", code: REFUSED }
      - emit: { type: told.v1, to: told, key: "has(data.to) ? data.to : data.id", data: { n: "=has(data.n) ? data.n : 1", pad: "=has(data.pad) ? data.pad : ''" } }
      - emit: { type: other.v1, to: "='others.' + data.topic", when: has(data.topic), data: {} }
      - emit: { type: told.v1, to: told, when: has(data.by), data: { n: "=int(100 / data.by)" } }
      - emit: { type: told.v1, to: told, when: has(data.double), data: { d: "=data.double * 10.0" } }
      - emit: { type: told.v1, to: told, for_each: { in: "has(data.many) ? data.many : []", as: item }, data: { n: =item } }
aggregates:
  counts:
    from: numbers
    initial: { n: 0 }
    evolve:
      count.v1: { set: { n: =state.n + 1, kept: =data.kept } }
"#;

/// What is sent, beside a good record, and what becomes of it; the value alone where nothing else is said.
struct Case {
    what: &'static str,
    value: String,
    key: &'static str,
    /// By so much it is older than now, in hours.
    hours: i64,
    codes: &'static [&'static str],
}

fn case(what: &'static str, value: String, codes: &'static [&'static str]) -> Case {
    Case { what, value, key: "k", hours: 0, codes }
}

fn number(more: &str) -> String {
    format!(r#"{{"type":"number.v1","data":{{"id":"k"{more}}}}}"#)
}

fn count(more: &str) -> String {
    format!(r#"{{"type":"count.v1","data":{{"id":"k"{more}}}}}"#)
}

fn cases() -> Vec<Case> {
    let many = vec!["1"; 1_001].join(",");
    vec![
        case("no JSON", "{".into(), &["UNDECODABLE"]),
        case("no envelope", r#"{"data":{}}"#.into(), &["UNDECODABLE"]),
        case("no id", r#"{"type":"number.v1","data":{}}"#.into(), &["SCHEMA_INVALID"]),
        case("a size that is none", number(r#","size":"x""#), &["SCHEMA_INVALID"]),
        Case { hours: 2, ..case("too old", number(""), &["EXPIRED"]) },
        Case { key: "other", ..case("under another key", count(r#","kept":1"#), &["KEY_MISMATCH"]) },
        case("refused by a rule", number(r#","refused":true"#), &["REFUSED"]),
        case("nothing to divide by", number(r#","by":0"#), &["EXPRESSION_ERROR"]),
        case("a field that is not there, in a state", count(""), &["EXPRESSION_ERROR"]),
        case("a message that does not fit its schema", number(r#","n":"x""#), &["SCHEMA_INVALID"]),
        case("a message larger than its topic takes", number(&format!(r#","pad":"{}""#, "x".repeat(3_000))), &["TOO_LARGE"]),
        case("more messages than one record may become", number(&format!(r#","many":[{many}]"#)), &["TOO_LARGE"]),
        case("a state larger than its topic takes", count(&format!(r#","kept":"{}""#, "x".repeat(3_000))), &["TOO_LARGE"]),
        case("a number that no JSON has", number(r#","double":1e308"#), &["EXPRESSION_ERROR"]),
        case("a message without a key", number(r#","to":"""#), &["MISSING_KEY"]),
        case("a topic that is not there", number(r#","topic":"x""#), &["UNKNOWN_TOPIC"]),
    ]
}

#[test]
fn each_way_to_lose_a_record_makes_one_dead_letter_of_it() {
    let bench = Bench::new();
    for name in ["told", "replays.counts.snapshots"] {
        let mut config = BTreeMap::from([("max.message.bytes".to_owned(), "2000".to_owned())]);
        if name != "told" {
            config.insert("cleanup.policy".to_owned(), "compact".to_owned());
        }
        bench.cluster.create_topic(&TopicSpec { name: name.into(), partitions: 1, replication: None, config }).expect("new");
    }
    let running = bench.run(LOSSES);
    let now = crate::clock::SystemClock::new().wall();
    let send = |key: &str, value: &str, hours: i64| {
        let record = Record {
            topic: "numbers".into(),
            partition: 0,
            timestamp: now - hours * 3_600_000,
            key: Some(key.as_bytes().to_vec().into()),
            value: Some(value.as_bytes().to_vec().into()),
            headers: vec![Header::text("trace", "t")],
        };
        bench.cluster.producer().expect("there is one").send(&record).expect("sent");
    };
    let mut told = 0;
    for Case { what, value, key, hours, codes } in cases() {
        let before = bench.count(LETTERS);
        send(key, &value, hours);
        send("good", &number("").replace("\"k\"", "\"good\""), 0);
        told += 1;
        wait_for(what, || bench.count("told") >= told && bench.count(LETTERS) >= before + codes.len());
        assert_eq!(bench.count("told"), told, "{what}: nothing of it is left");
        let letters = bench.letters().split_off(before);
        let found = letters.iter().map(|letter| match &letter.found {
            Found::Own(report) => report.code.as_str(),
            Found::Foreign(told) => panic!("{told:?}"),
        });
        assert_eq!(found.collect::<Vec<_>>(), codes, "{what}");
        for letter in &letters {
            assert_eq!(
                (letter.record.key.as_deref(), letter.record.value.as_deref()),
                (Some(key.as_bytes()), Some(value.as_bytes()))
            );
        }
    }
    stop(running);
}

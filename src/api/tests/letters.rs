//! Dead letters over HTTP: asked for, replayed, discarded, and what hostile requests get.

use super::*;
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, TopicSpec};
use crate::clock::SystemClock;
use crate::dlq::{Dead, Spelling, letter};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Header, Record, RecordRef};
use std::collections::BTreeMap;

pub(super) fn cluster(letters: i64) -> Cluster {
    let cluster = Cluster::new(Arc::new(SystemClock::new()), Options::default());
    for topic in ["shop.dlq", "shop.audit", "shop.orders.inbox"] {
        let spec = TopicSpec { name: topic.into(), partitions: 1, replication: None, config: BTreeMap::new() };
        cluster.create_topic(&spec).unwrap();
    }
    let mut producer = cluster.producer().unwrap();
    for offset in 0..letters {
        let value = format!(r#"{{"total":{offset}}}"#);
        let (key, value) = (Some(&b"o1"[..]), Some(value.as_bytes()));
        let record = RecordRef { topic: "orders", partition: 0, offset, timestamp: 1_000, key, value, headers: &[] };
        let failure = Failure::new(Class::Permanent, "EXPRESSION_ERROR", Stage::Decide, "no");
        let dead = Dead {
            record: &record,
            failure: &failure,
            node: "orders",
            task: (0, 1),
            topology: "shop",
            version: 1,
            attempts: 1,
            first_at: 1_000 + offset,
            last_at: 1_000 + offset,
            spelling: Spelling::Streams,
        };
        let letter = letter(&dead, 1 << 20);
        let told = letter.headers();
        let headers = told
            .iter()
            .map(|header| Header { name: header.name.into(), value: header.value.map(bytes::Bytes::copy_from_slice) });
        let record = Record {
            topic: "shop.dlq".into(),
            partition: 0,
            timestamp: 1_000,
            key: key.map(bytes::Bytes::copy_from_slice),
            value: value.map(bytes::Bytes::copy_from_slice),
            headers: headers.collect(),
        };
        producer.send(&record).unwrap();
    }
    cluster
}

fn served(listen: &str) -> (Server, Cluster) {
    let cluster = cluster(4);
    let mut surface = surface(vec![("shop", fake(vec![]))]);
    surface.topologies[0].letters.broker = Arc::new(cluster.clone());
    (start(Settings::at(listen.parse().unwrap()), surface).unwrap(), cluster)
}

fn post(server: &Server, path: &str, kind: &str, body: &str) -> (u16, serde_json::Value) {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n");
    // Asked from the loopback address, whatever it listens on.
    let mut stream = TcpStream::connect(("127.0.0.1", server.address().port())).unwrap();
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

fn places(server: &Server, query: &str) -> Vec<i64> {
    let (status, body) = get_json(server, &format!("/v1/dead-letters{query}"));
    assert_eq!(status, 200, "{body}");
    let letters = body["letters"].as_array().unwrap().iter();
    letters.map(|letter| letter["place"]["offset"].as_i64().unwrap()).collect()
}

#[test]
fn letters_are_listed_and_worked_off() {
    let (server, _cluster) = served("127.0.0.1:0");
    assert_eq!(places(&server, ""), [3, 2, 1, 0]);
    assert_eq!(places(&server, "?where=data.total%20%3C%202&limit=1"), [1]);
    let (status, one) = get_json(&server, "/v1/dead-letters/0:2");
    assert_eq!((status, &one["value"]["total"], &one["error"]["node"]), (200, &2.into(), &"orders".into()));
    let json = "application/json";
    let (status, done) = post(&server, "/v1/dead-letters/replay", json, r#"{"at":["0:2"],"dryRun":true}"#);
    assert_eq!((status, &done["acted"]), (200, &1.into()));
    assert_eq!(places(&server, ""), [3, 2, 1, 0]);
    let (status, done) = post(&server, "/v1/dead-letters/replay", json, r#"{"at":["0:2"],"by":"ada"}"#);
    assert_eq!((status, &done["acted"], &done["refused"]), (200, &1.into(), &0.into()), "{done}");
    assert_eq!(places(&server, ""), [3, 1, 0]);
    let (_, one) = get_json(&server, "/v1/dead-letters/0:2");
    assert_eq!((&one["became"]["act"], &one["became"]["by"]), (&"replayed".into(), &"ada".into()));
    let body = r#"{"where":"data.total > 0","reason":"test data"}"#;
    let (status, done) = post(&server, "/v1/dead-letters/discard", json, body);
    assert_eq!((status, &done["acted"], &done["settled"]), (200, &2.into(), &1.into()));
    assert_eq!((places(&server, ""), places(&server, "?all=true")), (vec![0], vec![3, 2, 1, 0]));
}

#[test]
fn requests_that_cannot_be_carried_out_are_told_why() {
    let (server, cluster) = served("127.0.0.1:0");
    let many = format!(r#"{{"at":[{}]}}"#, vec![r#""0:1""#; 1_001].join(","));
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(70_000));
    let json = "application/json";
    for (path, kind, body, status, code) in [
        ("replay", "text/plain", "{}", 415, "MEDIA_TYPE"),
        ("replay", "application/x-www-form-urlencoded", "{}", 415, "MEDIA_TYPE"),
        ("replay", json, "{", 400, "MALFORMED_ACT"),
        ("replay", json, r#"{"wher":"true"}"#, 400, "MALFORMED_ACT"),
        ("replay", json, r#"{"where":"error.kode == 1"}"#, 400, "EXPRESSION"),
        ("replay", json, r#"{"at":["one"]}"#, 400, "MALFORMED_ACT"),
        ("replay", json, &many, 400, "MALFORMED_ACT"),
        ("replay", json, &large, 413, "BODY_TOO_LARGE"),
        ("replay", json, r#"{"topology":"other"}"#, 404, "UNKNOWN_TOPOLOGY"),
        ("discard", json, r#"{"everything":true}"#, 400, "MALFORMED_ACT"),
        ("discard", json, r#"{"reason":"x"}"#, 400, "MALFORMED_ACT"),
    ] {
        let (found, said) = post(&server, &format!("/v1/dead-letters/{path}"), kind, body);
        assert_eq!((found, &said["code"]), (status, &code.into()), "{path} {kind} {said}");
    }
    for (path, status) in [("0:99", 404), ("0", 400), ("0:-1", 400), ("9:0", 404)] {
        assert_eq!(get_json(&server, &format!("/v1/dead-letters/{path}")).0, status, "{path}");
    }
    assert_eq!(get_json(&server, "/v1/dead-letters?since=yesterday").0, 400);
    assert_eq!(places(&server, "").len(), 4, "nothing was done");

    cluster.delete_topic("shop.audit").unwrap();
    let (status, said) = post(&server, "/v1/dead-letters/replay", json, "{}");
    assert_eq!((status, &said["code"]), (502, &"CLUSTER".into()));

    let (server, _cluster) = served("0.0.0.0:0");
    let (status, said) = post(&server, "/v1/dead-letters/replay", json, "{}");
    assert_eq!((status, &said["code"]), (403, &"NO_ACTS".into()));
}

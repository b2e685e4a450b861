//! The endpoints over real sockets, with an engine made of values.

mod letters;

use super::*;
use crate::desk::Entry;
use crate::record::{Map, Value, partition_of};
use crate::runtime::{Figures, Halt, Reader, TaskId, TaskPhase, TaskReport};
use crate::state::layout::{FORMAT, Tag, entity};
use crate::state::{Batch, Checkpoint, Entity, Memory, Store, StoreName, Stores, Write};
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

struct Fake {
    ready: bool,
    phase: TaskPhase,
    lookups: Mutex<Vec<(Partition, Lookup)>>,
}

impl Engine for Fake {
    fn snapshot(&self) -> Snapshot {
        let task = TaskReport {
            id: TaskId { subtopology: 1, partition: 0 },
            name: "orders".into(),
            thread: 0,
            phase: self.phase.clone(),
            lag: 7,
            restored: 5,
            to_restore: 9,
            sweeps: Vec::new(),
        };
        Snapshot { figures: Figures::default(), tasks: vec![task], ready: self.ready }
    }

    fn find(&self, node: &str, partition: Partition) -> Lookup {
        assert_eq!(node, "orders");
        let lookups = self.lookups.lock().unwrap();
        lookups.iter().find(|(at, _)| *at == partition).map_or(Lookup::Elsewhere, |(_, lookup)| lookup.clone())
    }
}

const PARTITIONS: u32 = 4;

fn store_with(key: &str, state: Value) -> Arc<dyn Store> {
    let store = Memory::default().open(&StoreName::of_node("orders"), 0).unwrap();
    let mut stored = Vec::new();
    let entity = Entity { value: state, version: 3, last_event: Some("event-9".into()), state_version: 1, expires_at: None };
    entity::append_entity(&entity, &mut stored).unwrap();
    let checkpoint = Checkpoint { next_offset: 42, applied_at: 1, partitions: PARTITIONS, format: FORMAT };
    let write = Write { key: Tag::State.key(key.as_bytes()).into(), value: Some(stored.into()) };
    store.apply(&Batch { writes: vec![write], checkpoints: vec![("shop.orders.snapshots".into(), checkpoint)] }).unwrap();
    store
}

fn surface(engines: Vec<(&str, Fake)>) -> Surface {
    let topologies = engines
        .into_iter()
        .map(|(name, engine)| Topology {
            name: name.into(),
            description: serde_json::json!({ "nodes": 1 }),
            aggregates: vec![Aggregate {
                name: "orders".into(),
                snapshots: "shop.orders.snapshots".into(),
                partitions: PARTITIONS,
            }],
            sagas: sagas(),
            letters: Letters { topic: "shop.dlq".into(), broker: Arc::new(letters::cluster(0)), reading: Mutex::new(()) },
            engine: Arc::new(engine),
        })
        .collect();
    Surface { topologies, metrics: Box::new(|| "skald_up 1\n".into()) }
}

/// Histories of one line each; that of `d` cannot be read.
struct Told;

impl Timelines for Told {
    fn of(&self, view: &View) -> Result<(Timeline, bool), String> {
        let line =
            format!(r#"{{"at":"1970-01-01T00:00:01Z","entry":1,"what":"started","status":"running","sagaId":"{}"}}"#, view.id);
        match view.id.as_str() {
            "d" => Err("the cluster does not answer".into()),
            _ => Ok((Timeline::new(Entry::read(&row(&line)).into_iter().collect()), true)),
        }
    }
}

fn sagas() -> Vec<Saga> {
    let topic = |kind: &str| format!("shop.orders.{kind}").into();
    vec![Saga {
        name: "orders".into(),
        changelog: topic("changelog"),
        history: topic("history"),
        partitions: PARTITIONS,
        timelines: Arc::new(Told),
    }]
}

fn fake(lookups: Vec<(Partition, Lookup)>) -> Fake {
    Fake { ready: true, phase: TaskPhase::Running, lookups: Mutex::new(lookups) }
}

fn serve(surface: Surface) -> Server {
    start(Settings::at("127.0.0.1:0".parse().unwrap()), surface).unwrap()
}

fn talk(server: &Server, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

fn get(server: &Server, path: &str) -> (u16, String) {
    talk(server, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

fn get_json(server: &Server, path: &str) -> (u16, serde_json::Value) {
    let (status, body) = get(server, path);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

#[test]
fn a_state_is_answered_where_its_key_is_owned() {
    let partition = partition_of(b"o/1", PARTITIONS);
    let big = Value::BigInt("123456789012345678901234567890".into());
    let state: Value = Map::from_entries(vec![("status".into(), "PENDING".into()), ("total".into(), big)]).into();
    let reader = Reader { store: store_with("o/1", state), committed_at: 1_000 };
    let server = serve(surface(vec![("shop", fake(vec![(partition, Lookup::Running(reader))]))]));

    let (status, body) = get(&server, "/v1/aggregates/orders/o%2F1");
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""state":{"status":"PENDING","total":123456789012345678901234567890}"#), "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["version"], 3);
    assert_eq!(body["lastEventId"], "event-9");
    assert_eq!(body["partition"], partition);
    assert_eq!(body["checkpoint"]["nextOffset"], 42);
    assert_eq!(body["committedAt"], "1970-01-01T00:00:01Z");
    assert_eq!(body["phase"], "running");
}

#[test]
fn what_cannot_be_answered_says_why_in_a_problem() {
    let at = |key: &str| partition_of(key.as_bytes(), PARTITIONS);
    let key_at = |partition: Partition| (0..).map(|n| format!("k{n}")).find(|key| at(key) == partition).unwrap();
    let reader = || Reader { store: store_with("other", Value::Null), committed_at: 0 };
    let halt = Halt { input: crate::record::TopicPartition::new("orders.events", 2), offset: Some(5), reason: "stop".into() };
    let engine = fake(vec![
        (0, Lookup::Running(reader())),
        (1, Lookup::Restoring { done: 5, total: 9 }),
        (2, Lookup::Halted(Reader { store: store_with(&key_at(2), Value::Null), committed_at: 0 }, halt)),
    ]);
    let server = serve(surface(vec![("shop", engine)]));

    let cases = [
        ("/nowhere".into(), 404, "UNKNOWN_PATH"),
        ("/v1/aggregates/orders/%ff".into(), 400, "MALFORMED"),
        ("/v1/aggregates/orders/1?topology=a&topology=b".into(), 400, "MALFORMED"),
        ("/v1/aggregates/nothing/1".into(), 404, "UNKNOWN_AGGREGATE"),
        ("/v1/aggregates/orders/1?topology=other".into(), 404, "UNKNOWN_AGGREGATE"),
        (format!("/v1/aggregates/orders/{}", key_at(0)), 404, "NOT_FOUND"),
        (format!("/v1/aggregates/orders/{}", key_at(1)), 503, "RESTORING"),
        (format!("/v1/aggregates/orders/{}", key_at(3)), 421, "ELSEWHERE"),
    ];
    for (path, status, code) in cases {
        let (found, body) = get_json(&server, &path);
        assert_eq!((found, body["code"].as_str()), (status, Some(code)), "{path}: {body}");
        assert_eq!(body["status"], status);
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    }
    let (_, body) = get_json(&server, &format!("/v1/aggregates/orders/{}", key_at(1)));
    assert_eq!((&body["done"], &body["total"]), (&5.into(), &9.into()));
    let (_, body) = get_json(&server, &format!("/v1/aggregates/orders/{}", key_at(3)));
    assert_eq!((&body["partition"], &body["topic"]), (&3.into(), &"shop.orders.snapshots".into()));
    let (status, body) = get_json(&server, &format!("/v1/aggregates/orders/{}", key_at(2)));
    assert_eq!((status, &body["phase"], &body["halted"]["offset"]), (200, &"halted".into(), &5.into()));

    let (status, body) = talk(&server, "POST /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 405, "{body}");
    assert!(body.contains("METHOD_NOT_ALLOWED"));
}

#[test]
fn two_topologies_with_one_name_are_told_apart() {
    let server = serve(surface(vec![("shop", fake(vec![])), ("other", fake(vec![]))]));
    let (status, body) = get_json(&server, "/v1/aggregates/orders/1");
    assert_eq!((status, &body["code"]), (400, &"AMBIGUOUS".into()));
    assert_eq!(body["topologies"], serde_json::json!(["shop", "other"]));
    let (status, _) = get_json(&server, "/v1/aggregates/orders/1?topology=shop");
    assert_eq!(status, 421);
}

#[test]
fn ready_means_that_every_task_runs() {
    let server = serve(surface(vec![("shop", fake(vec![]))]));
    assert_eq!(get(&server, "/livez"), (200, "ok\n".into()));
    assert_eq!(get_json(&server, "/readyz").0, 200);
    assert_eq!(get(&server, "/metrics").1, "skald_up 1\n");
    let (_, body) = get_json(&server, "/v1/topology");
    assert_eq!(body["topologies"][0]["plan"]["nodes"], 1);
    assert_eq!(body["topologies"][0]["tasks"][0]["task"], "1_0");

    let restoring = Fake { ready: false, phase: TaskPhase::Restoring, lookups: Mutex::default() };
    let server = serve(surface(vec![("shop", fake(vec![])), ("slow", restoring)]));
    let (status, body) = get_json(&server, "/readyz");
    assert_eq!((status, &body["ready"]), (503, &false.into()));
    let task = &body["topologies"][1]["waiting"][0];
    assert_eq!((&task["phase"], &task["restored"], &task["toRestore"]), (&"restoring".into(), &5.into(), &9.into()));
    assert_eq!(get(&server, "/livez").0, 200, "alive while it restores");
}

#[test]
fn on_the_loopback_address_only_requests_for_it_are_answered() {
    let server = serve(surface(vec![]));
    let port = server.address().port();
    for (host, status) in [
        ("localhost", 200),
        (&*format!("localhost:{port}"), 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.1", 403),
    ] {
        let request = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(talk(&server, &request).0, status, "{host}");
    }
}

#[test]
fn hostile_requests_end_in_an_answer_or_a_closed_connection() {
    let server = serve(surface(vec![("shop", fake(vec![]))]));
    let long = "x".repeat(100_000);
    for (request, statuses) in [
        (
            "GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\nConnection: close\r\n\r\n".to_owned(),
            &[413_u16][..],
        ),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), &[414, 431, 400, 0][..]),
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), &[431, 400, 0][..]),
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), &[400, 0][..]),
        ("GET /v1/aggregates/orders/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[400][..]),
        ("GET /v1/aggregates/orders/.. HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &[404, 421][..]),
    ] {
        let (status, _) = hostile(&server, &request);
        assert!(statuses.contains(&status), "{status} for {:?}", &request[..request.len().min(60)]);
        assert_eq!(get(&server, "/livez").0, 200, "still serving");
    }
}

/// As [`talk`], for requests that the server may cut off while they are written.
fn hostile(server: &Server, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0), answer)
}

#[test]
fn slow_heads_idle_connections_and_crowds_are_cut_off() {
    let mut settings = Settings::at("127.0.0.1:0".parse().unwrap());
    settings.header_timeout = Duration::from_millis(50);
    settings.connections_max = 2;
    let server = start(settings, surface(vec![])).unwrap();

    // Each read below ends only because the server closes the connection.
    let mut slow = TcpStream::connect(server.address()).unwrap();
    slow.write_all(b"GET /livez HT").unwrap();
    let mut idle = TcpStream::connect(server.address()).unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    for stream in [&mut slow, &mut idle] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

#[test]
fn connections_over_the_cap_are_closed_and_places_come_back() {
    let mut settings = Settings::at("127.0.0.1:0".parse().unwrap());
    settings.connections_max = 1;
    let server = start(settings, surface(vec![])).unwrap();
    let mut first = TcpStream::connect(server.address()).unwrap();
    first.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut byte = [0];
    first.read_exact(&mut byte).unwrap();
    assert_eq!(hostile(&server, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").0, 0, "no place");
    drop(first);
    // The server notices the closed connection in its own time.
    while hostile(&server, "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").0 != 200 {
        std::thread::yield_now();
    }
}

#[test]
fn a_dropped_server_frees_its_address() {
    let server = serve(surface(vec![]));
    let address = server.address();
    let held = TcpStream::connect(address).unwrap();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
    drop(held);
}

fn row(text: &str) -> Value {
    crate::record::json::read(text.as_bytes()).unwrap()
}

/// A running instance, an overdue one and a finished one, each in the partition of its key.
fn with_sagas() -> Vec<(Partition, Lookup)> {
    let instance = |status: &str, changed: i64, more: &str| {
        row(&format!(
            r#"{{"v":1,"status":"{status}","definition":"1","start":{{"at":1000}},"changedAt":{changed},"data":{{"n":{changed}}}{more}}}"#
        ))
    };
    let runs = r#","runs":[{"step":"charge","state":"open","ops":[{"state":"waiting","tries":2,"due":9000}]}]"#;
    let rows = [
        ("a", instance("running", 10, runs)),
        ("d", instance("running", 30, r#","overdue":true"#)),
        ("c", instance("completed", 20, "")),
    ];
    let stored = rows.into_iter().map(|(id, row)| {
        let reader = Reader { store: store_with(id, row), committed_at: 1_000 };
        (partition_of(id.as_bytes(), PARTITIONS), Lookup::Running(reader))
    });
    let all: Vec<_> = stored.collect();
    let partitions: std::collections::BTreeSet<Partition> = all.iter().map(|(partition, _)| *partition).collect();
    assert_eq!(partitions.len(), 3, "a partition has one store here");
    all
}

#[test]
fn sagas_are_listed_by_status_and_condition() {
    let server = serve(surface(vec![("shop", fake(with_sagas()))]));
    for (query, ids) in [
        ("", vec!["d", "c", "a"]),
        ("?limit=1", vec!["d"]),
        ("?status=running", vec!["d", "a"]),
        ("?status=completed,running&stuck=true", vec!["d"]),
        ("?where=saga.data.n%20%3C%2025", vec!["c", "a"]),
        ("?where=saga.step%20%3D%3D%20%27charge%27", vec!["a"]),
        ("?topology=shop&saga=orders", vec!["d", "c", "a"]),
    ] {
        let (status, body) = get_json(&server, &format!("/v1/sagas{query}"));
        assert_eq!(status, 200, "{query}: {body}");
        let found = body["sagas"][0]["instances"].as_array().unwrap();
        let found: Vec<&str> = found.iter().map(|instance| instance["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{query}");
        assert_eq!(body["sagas"][0]["partitions"], serde_json::json!({ "here": 3, "all": 4 }));
    }
    let (_, body) = get_json(&server, "/v1/sagas?limit=1");
    assert_eq!(body["sagas"][0]["counts"], serde_json::json!({ "running": 2, "completed": 1 }));
    let (_, body) = get_json(&server, "/v1/sagas?saga=none");
    assert_eq!(body["sagas"], serde_json::json!([]));
    for (query, code) in [("?status=asleep", "MALFORMED"), ("?where=sgaa.id", "EXPRESSION"), ("?limit=x", "MALFORMED")] {
        let (status, body) = get_json(&server, &format!("/v1/sagas{query}"));
        assert_eq!((status, body["code"].as_str()), (400, Some(code)), "{query}");
    }
}

#[test]
fn a_saga_is_shown_with_its_tries_and_deadlines() {
    let server = serve(surface(vec![("shop", fake(with_sagas()))]));
    let (status, body) = get_json(&server, "/v1/sagas/a");
    assert_eq!(status, 200, "{body}");
    assert_eq!((body["status"].as_str(), body["step"].as_str()), (Some("running"), Some("charge")));
    assert_eq!(body["steps"][0]["operations"][0]["due"], "1970-01-01T00:00:09Z");
    assert_eq!(body["steps"][0]["operations"][0]["tries"], 2);
    assert_eq!(body["data"]["n"], 10);
    assert_eq!(body["history"]["topic"], "shop.orders.history");
    assert_eq!((&body["timeline"][0]["what"], &body["timelineComplete"]), (&"started".into(), &true.into()));
    let (_, body) = get_json(&server, "/v1/sagas/a?timeline=false");
    assert_eq!(body.get("timeline"), None);
    let (status, body) = get_json(&server, "/v1/sagas/d");
    assert_eq!((status, &body["timeline"], &body["timelineComplete"]), (200, &serde_json::json!([]), &false.into()));
    assert_eq!(body["timelineProblem"], "the cluster does not answer");
    let elsewhere = (0..).map(|n| format!("k{n}")).find(|key| {
        let taken = with_sagas();
        !taken.iter().any(|(partition, _)| *partition == partition_of(key.as_bytes(), PARTITIONS))
    });
    let (status, body) = get_json(&server, &format!("/v1/sagas/{}", elsewhere.unwrap()));
    assert_eq!((status, body["topic"].as_str()), (421, Some("shop.orders.changelog")));
    let beside =
        (0..).map(|n| format!("k{n}")).find(|key| partition_of(key.as_bytes(), PARTITIONS) == partition_of(b"a", PARTITIONS));
    assert_eq!(get_json(&server, &format!("/v1/sagas/{}", beside.unwrap())).0, 404);
    assert_eq!(get_json(&server, "/v1/sagas/a?saga=none").1["code"], "UNKNOWN_SAGA");
    let both = serve(surface(vec![("shop", fake(with_sagas())), ("mall", fake(Vec::new()))]));
    assert_eq!(get_json(&both, "/v1/sagas/a").1["code"], "AMBIGUOUS");
    assert_eq!(get_json(&both, "/v1/sagas/a?topology=shop").0, 200);
}

//! The desk on the embedded broker, with rows and histories as the engine writes them.

use super::*;
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{Broker, Isolation, TopicSpec};
use crate::clock::SystemClock;
use crate::codec::{Contract, Decoder};
use crate::reading::Log;
use crate::record::{Record, Text, Value, json, partition_of};
use crate::saga::{Act, Deed, Status};
use crate::state::Entity;
use crate::state::layout::{Tag, entity};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: u32 = 3;

fn cluster() -> Cluster {
    let cluster = Cluster::new(Arc::new(SystemClock::new()), Options::default());
    for saga in ["orders", "returns"] {
        for kind in ["changelog", "history", "inbox"] {
            let name = format!("shop.{saga}.{kind}").into();
            let spec = TopicSpec { name, partitions: PARTITIONS, replication: None, config: BTreeMap::new() };
            cluster.create_topic(&spec).expect("a new topic");
        }
    }
    cluster
}

fn put(cluster: &Cluster, kind: &str, id: &str, key: Vec<u8>, value: Option<Vec<u8>>) {
    let mut producer = cluster.producer().expect("a producer");
    let record = Record {
        topic: format!("shop.orders.{kind}").into(),
        partition: partition_of(id.as_bytes(), PARTITIONS),
        timestamp: 1_795_248_000_000,
        key: Some(key.into()),
        value: value.map(Into::into),
        headers: Vec::new(),
    };
    producer.send(&record).expect("taken");
    producer.flush(Duration::from_secs(10)).expect("acknowledged");
}

/// Writes the row of an instance, or deletes it.
fn row(cluster: &Cluster, id: &str, text: Option<&str>) {
    let stored = text.map(|text| {
        let value = json::read(text.as_bytes()).expect(text);
        let kept = Entity { value, version: 1, last_event: None, state_version: 1, expires_at: None };
        let mut out = Vec::new();
        entity::append_entity(&kept, &mut out).expect("it is JSON");
        out
    });
    put(cluster, "changelog", id, Tag::State.key(id.as_bytes()), stored);
}

fn instance(status: &str, changed: i64, more: &str) -> String {
    format!(
        r#"{{"v":1,"status":"{status}","definition":"{}","start":{{"at":1000}},"changedAt":{changed},"data":{{"total":{changed}}}{more}}}"#,
        if changed < 20 { 1 } else { 2 }
    )
}

/// Four instances, one of them gone, one row of messages alone, and one of a form to come.
fn filled() -> Cluster {
    let cluster = cluster();
    let waits = r#","runs":[{"step":"reserve","state":"done","ops":[{"state":"done","tries":1}]},{"step":"charge","state":"open","ops":[{"state":"waiting","tries":2,"due":9000,"command":"c"},{"state":"done"}]}]"#;
    let halted = r#","reason":"DECLINED","failedStep":"charge","runs":[{"step":"reserve","state":"done","ops":[{"state":"undo_failed","tries":10}]}]"#;
    row(&cluster, "a", Some(&instance("running", 10, waits)));
    row(&cluster, "b", Some(&instance("running", 10, "")));
    row(&cluster, "b", Some(&instance("compensation_failed", 30, halted)));
    row(&cluster, "c", Some(&instance("completed", 20, "")));
    row(&cluster, "d", Some(&instance("running", 40, r#","overdue":true"#)));
    row(&cluster, "gone", Some(&instance("running", 50, "")));
    row(&cluster, "gone", None);
    row(&cluster, "early", Some(r#"{"v":1,"early":[{"n":0,"type":"paid.v1"}],"next":1}"#));
    row(&cluster, "later", Some(r#"{"v":9}"#));
    put(&cluster, "changelog", "a", b"\x02timer".to_vec(), Some(b"not a row".to_vec()));
    cluster
}

#[test]
fn the_instances_that_are_wanted_are_listed_by_their_last_change() {
    let cluster = filled();
    let desk = Desk::open(&cluster, "shop", Some("orders")).expect("it is there");
    let filter = |text: &str| Some(Filter::compile(text, 100_000).expect(text));
    for (statuses, stuck, filter, limit, ids) in [
        (vec![], false, None, 9, vec!["d", "b", "c", "a"]),
        (vec![], false, None, 2, vec!["d", "b"]),
        (vec![Status::Running, Status::Completed], false, None, 9, vec!["d", "c", "a"]),
        (vec![], true, None, 9, vec!["d", "b"]),
        (vec![], false, filter("saga.data.total > 20 && saga.status != 'running'"), 9, vec!["b"]),
        (vec![], false, filter("saga.step == 'charge'"), 9, vec!["a"]),
        (vec![], false, filter("ctx.time - saga.startedAt > duration('1m')"), 9, vec!["d", "b", "c", "a"]),
        (vec![], false, filter("saga.data.none == 1"), 9, vec![]),
    ] {
        let wanted = Wanted { statuses, stuck, filter };
        let listed = desk.list(limit, &wanted, &mut |read, total| assert!(read <= total)).expect("read");
        let found: Vec<&str> = listed.instances.iter().map(|view| view.id.as_str()).collect();
        assert_eq!(found, ids, "{wanted:?}");
        assert_eq!(listed.unreadable, 1);
        if limit == 2 {
            assert_eq!(listed.counts.values().sum::<u64>(), 4, "counted are all, not those that are shown");
        }
    }
    assert!(Filter::compile("saga.stepp == 'charge'", 0).is_err());
}

#[test]
fn an_instance_is_shown_with_its_tries_and_deadlines() {
    let cluster = filled();
    let desk = Desk::open(&cluster, "shop", Some("orders")).expect("it is there");
    let a = desk.get("a").expect("it is there");
    assert_eq!((a.place().as_str(), a.stands_at().map(Text::as_str), a.stuck), ("charge", Some("charge"), false));
    let whole = json::text(&a.whole()).expect("it is JSON");
    for part in [
        r#""due":"1970-01-01T00:00:09Z""#,
        r#""tries":2"#,
        r#""commandId":"c""#,
        r#""name":"reserve""#,
        r#""status":"running""#,
        r#""total":10"#,
    ] {
        assert!(whole.contains(part), "{part} in {whole}");
    }
    let b = desk.get("b").expect("it is there");
    assert_eq!(
        (b.place().as_str(), b.reason.as_str(), b.failed_step.as_str(), b.stuck),
        ("reserve", "DECLINED", "charge", true)
    );
    for id in ["gone", "never", "early"] {
        assert!(matches!(desk.get(id), Err(Error::NoInstance { .. })), "{id}");
    }
    assert!(matches!(desk.get("later"), Err(Error::Unreadable { .. })));
}

#[test]
fn what_remains_is_counted_by_definition() {
    let cluster = filled();
    let desk = Desk::open(&cluster, "shop", Some("orders")).expect("it is there");
    let remains = desk.remains(&mut |_, _| {}).expect("read");
    let open = |version: &str| remains[version].open.iter().map(|(status, count)| (status.name(), *count)).collect::<Vec<_>>();
    assert_eq!(open("1"), [("running", 1)]);
    assert_eq!(open("2"), [("running", 1), ("compensation_failed", 1)]);
    assert_eq!(remains["2"].oldest, 1_000);
}

#[test]
fn a_saga_is_found_by_its_topics() {
    let cluster = cluster();
    let open = |topology: &str, saga: Option<&str>| Desk::open(&cluster, topology, saga).map(|desk| desk.saga().clone());
    assert_eq!(open("shop", Some("returns")), Ok("returns".into()));
    let both: Vec<Text> = vec!["orders".into(), "returns".into()];
    assert_eq!(open("shop", None), Err(Error::Ambiguous { topology: "shop".into(), known: both.clone() }));
    let none = Error::NoSaga { topology: "shop".into(), saga: "order".into(), known: both };
    assert_eq!(open("shop", Some("order")), Err(none));
    assert_eq!(open("sho", None), Err(Error::NoSagas { topology: "sho".into() }));
}

#[test]
fn an_act_lies_in_the_inbox_where_the_owner_reads_it() {
    let cluster = filled();
    let desk = Desk::open(&cluster, "shop", Some("orders")).expect("it is there");
    let act =
        Act { id: "act-1".into(), deed: Deed::Skip, reason: "by hand".into(), by: "ada".into(), step: Some("charge".into()) };
    desk.send("b", &act, 1_795_248_000_000).expect("sent");
    let partition = partition_of(b"b", PARTITIONS);
    let inbox = Log::of(&cluster, &"shop.orders.inbox".into(), &[partition], Isolation::ReadCommitted);
    let mut inbox = inbox.expect("it is there");
    let mut found = Vec::new();
    inbox
        .read_all(&mut |record| {
            let event = Decoder::new(Contract::default()).decode(record).expect("an event").expect("with a value");
            found.push((record.key.map(<[u8]>::to_vec), Act::read(&event).expect("an act")));
        })
        .expect("read");
    assert_eq!(found, [(Some(b"b".to_vec()), act)]);
}

fn entry(at: i64, what: &str, more: &str) -> Value {
    let moment = crate::record::timestamp_text(crate::codec::moment(at));
    json::read(format!(r#"{{"at":"{moment}","what":"{what}","status":"running"{more}}}"#).as_bytes()).expect("it is JSON")
}

#[test]
fn a_history_is_drawn_as_bars_and_told_line_by_line() {
    let entries = [
        entry(0, "started", r#","by":"order.placed.v1""#),
        entry(0, "sent", r#","step":"reserve","item":0,"try":1"#),
        entry(0, "sent", r#","step":"reserve","item":1,"try":1"#),
        entry(400, "succeeded", r#","step":"reserve","item":0,"try":1"#),
        entry(1_000, "unanswered", r#","step":"reserve","item":1,"try":1,"reason":"TIMEOUT""#),
        entry(1_000, "sent", r#","step":"reserve","item":1,"try":2"#),
        entry(1_500, "failed", r#","step":"reserve","item":1,"try":2,"reason":"FULL""#),
        entry(1_500, "sent", r#","step":"reserve","item":0,"try":1,"back":true"#),
    ];
    let timeline = Timeline::new(entries.iter().filter_map(Entry::read).collect());
    let bars: Vec<String> = timeline.bars(2_000).lines().map(str::to_owned).collect();
    assert_eq!(
        bars,
        [
            "reserve[0]       │━━━━━━━━━━                                      │ 400ms succeeded",
            "reserve[1]       │━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━            │ 1.5s failed FULL, 2 tries",
            "undo reserve[0]  │                                   ╌╌╌╌╌╌╌╌╌╌╌╌╌│ 500ms sent",
        ]
    );
    let lines = timeline.lines();
    assert!(lines.contains("      1.0s  unanswered [running] step=reserve item=1 try=1 reason=TIMEOUT\n"), "{lines}");
    assert!(lines.contains("      1.5s  sent [running] step=reserve item=0 try=1 (undoing)\n"), "{lines}");

    let states = [
        entry(0, "started", ""),
        entry(0, "entered", r#","state":"OPEN""#),
        entry(60_000, "transition", r#","from":"OPEN","to":"PAID","by":"paid.v1""#),
        entry(60_000, "entered", r#","state":"PAID""#),
        entry(120_000, "ended", ""),
    ];
    let timeline = Timeline::new(states.iter().filter_map(Entry::read).collect());
    let bars: Vec<String> = timeline.bars(1).lines().map(str::to_owned).collect();
    assert_eq!(
        bars,
        [
            "OPEN  │━━━━━━━━━━━━━━━━━━━━━━━━                        │ 1m00s ",
            "PAID  │                       ━━━━━━━━━━━━━━━━━━━━━━━━━│ 1m00s ",
        ]
    );
    assert_eq!(Timeline::default().bars(5), "");
}

#[test]
fn histories_are_read_by_id() {
    let cluster = filled();
    for (id, what) in [("b", "started"), ("x", "started"), ("b", "ended")] {
        let data = json::text(&entry(5_000, what, "")).expect("it is JSON");
        let value = format!(r#"{{"id":"{id}{what}","type":"saga.history.v1","data":{data}}}"#);
        put(&cluster, "history", id, id.into(), Some(value.into()));
    }
    put(&cluster, "history", "b", b"b".to_vec(), Some(b"junk".to_vec()));
    let desk = Desk::open(&cluster, "shop", Some("orders")).expect("it is there");
    let view = |id: &str, started_at: i64| {
        let row =
            format!(r#"{{"v":1,"status":"running","definition":"1","start":{{"at":{started_at}}},"entries":2,"data":{{}}}}"#);
        View::read(id, json::read(row.as_bytes()).expect("JSON")).expect("a row").expect("an instance")
    };
    let (timeline, is_whole) = desk.timeline(&view("b", 0), u64::MAX).expect("read");
    assert_eq!((timeline.values().count(), is_whole), (2, true));
    let (timeline, is_whole) = desk.timeline(&view("b", 0), 1).expect("read");
    assert_eq!((timeline.values().count(), is_whole), (1, false));
    assert!(desk.timeline(&view("b", 1 << 45), u64::MAX).expect("read").0.is_empty(), "what was before it is not its own");
    assert!(desk.timeline(&view("nobody", 0), u64::MAX).expect("read").0.is_empty());
}

//! Dead letters on a real Kafka: replayed to their nodes after the file was mended, and to the topics of others.

use super::{LONG, stop};
use crate::commands::skald;
use crate::tools::{Engine, Input, create_topic, produce, read_committed, tool, unique, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const PARTITIONS: u32 = 3;
const SALES: u64 = 300;

fn file(folder: &Path, topology: &str, mended: bool) -> String {
    let each = if mended { "data.count == 0 ? 0 : data.total / data.count" } else { "data.total / data.count" };
    let version = if mended { 2 } else { 1 };
    let text = format!(
        r#"
skald: 1
topology: {topology}
version: {version}
topics:
  {topology}-sales:
    partitions: {PARTITIONS}
    key: data.till
    types:
      sale.v1:
        type: object
        required: [till, total, count]
        properties:
          till: {{ type: string }}
          total: {{ type: integer }}
          count: {{ type: integer }}
  {topology}-copies: {{ partitions: 2, types: {{ copy.v1: {{}} }} }}
aggregates:
  tills:
    from: {topology}-sales
    initial: {{ sum: 0, sold: 0 }}
    decide:
      sale.v1:
        emit:
          - type: sold.v1
            data:
              each: "={each}"
    evolve:
      sold.v1:
        set:
          sum: "=state.sum + data.each"
          sold: "=state.sold + 1"
pipelines:
  copies:
    from: {topology}-sales
    steps:
      - emit:
          type: copy.v1
          to: {topology}-copies
          key: data.till
          data:
            each: "={each}"
"#
    );
    let path = folder.join(format!("{topology}-{version}.yaml"));
    fs::write(&path, text).expect("the folder is writable");
    path.to_str().expect("UTF-8").to_owned()
}

fn run(folder: &Path, file: &str, brokers: &str) -> Engine {
    let state = folder.join("state");
    let state = state.to_str().expect("UTF-8");
    let arguments = [
        "run",
        file,
        "-b",
        brokers,
        "--worker-id",
        "a",
        "--state-dir",
        state,
        "--create-topics",
        "--threads",
        "2",
        "--listen",
        "off",
    ];
    Engine::spawn(folder, &arguments, &[])
}

fn sale(number: u64) -> Input {
    let (till, count) = (format!("till-{}", number % 7), number % 5);
    let data = json!({ "till": till, "total": number, "count": count });
    Input::new(till, json!({ "id": format!("s{number}"), "type": "sale.v1", "data": data }).to_string())
}

/// Sum and number of what was sold, by till, folded by hand.
fn expected() -> BTreeMap<String, (u64, u64)> {
    let mut tills = BTreeMap::new();
    for number in 0..SALES {
        let till: &mut (u64, u64) = tills.entry(format!("till-{}", number % 7)).or_default();
        till.0 += number.checked_div(number % 5).unwrap_or(0);
        till.1 += 1;
    }
    tills
}

fn states(brokers: &str, topology: &str) -> BTreeMap<String, (u64, u64)> {
    let all = read_committed(brokers, &format!("{topology}.tills.snapshots")).into_iter();
    all.map(|state| {
        let value: Value = serde_json::from_str(&state.value_text()).expect("JSON");
        let key = String::from_utf8(state.key.expect("a key")).expect("UTF-8");
        (key, (value["sum"].as_u64().expect("a number"), value["sold"].as_u64().expect("a number")))
    })
    .collect()
}

#[test]
fn letters_replayed_to_a_mended_topology_make_up_for_what_failed() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topology = unique("redrive");
    let count = |topic: &str| read_committed(brokers, topic).len();
    let letters = format!("{topology}.dlq");
    let copies = format!("{topology}-copies");
    for (topic, partitions) in [(format!("{topology}-sales"), PARTITIONS), (copies.clone(), 2)] {
        create_topic(brokers, &topic, partitions, &[]);
    }
    let worker = run(folder.path(), &file(folder.path(), &topology, false), brokers);
    produce(brokers, &format!("{topology}-sales"), PARTITIONS, (0..SALES).map(sale));
    let failed = SALES as usize / 5;
    let good = SALES as usize - failed;
    wait_until("the first run", LONG, || tool(&["topic", "list", "-b", brokers]).1.contains(&letters));
    wait_until("letters of both nodes", LONG, || count(&letters) == 2 * failed && count(&copies) == good);
    stop(worker);

    let mended = file(folder.path(), &topology, true);
    let tried = tool(&["dlq", "replay", &topology, "-b", brokers, "--dry-run", "--file", &mended, "-n", "20", "-o", "json"]);
    assert_eq!(tried.0, 0, "{tried:?}");
    let tried: Value = serde_json::from_str(&tried.1).expect("JSON");
    assert_eq!(tried["letters"].as_array().map(Vec::len), Some(20), "{tried}");
    assert_eq!(count(&format!("{topology}.tills.inbox")) + count(&format!("{topology}.audit")), 0, "nothing was written");

    // Some before the worker is there, the rest while it works; and once more, when nothing is left.
    let replay = |more: &[&str]| {
        let (code, out, talk) = tool(&[&["dlq", "replay", &topology, "-b", brokers, "-o", "json"], more].concat());
        assert_eq!(code, 0, "{talk}");
        serde_json::from_str::<Value>(&out).expect("JSON")["acted"].as_u64().expect("a number")
    };
    assert_eq!(replay(&["--where", "error.node == 'tills'", "--limit", "10"]), 10);
    let worker = run(folder.path(), &mended, brokers);
    assert_eq!(replay(&["--rate", "200/s", "--by", "ada"]), 2 * failed as u64 - 10);
    assert_eq!(replay(&[]), 0);
    wait_until("all copies", LONG, || count(&copies) == SALES as usize);
    wait_until("all states", LONG, || states(brokers, &topology) == expected());
    stop(worker);
    assert_eq!((count(&letters), count(&format!("{topology}.audit"))), (2 * failed, 2 * failed));
    let (code, _, talk) = tool(&["dlq", "list", &topology, "-b", brokers]);
    assert!(code == 0 && talk.contains("no dead letters"), "{talk}");
    let (_, all, _) = tool(&["dlq", "list", &topology, "-b", brokers, "--all", "-n", "5"]);
    assert!(all.contains("replayed") && all.contains("by ada"), "{all}");
}

#[test]
fn letters_are_mended_by_hand_a_field_a_whole_value_and_nothing_that_does_not_fit() {
    let brokers = brokers!();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topology = unique("edit");
    let letters = format!("{topology}.dlq");
    for (topic, partitions) in [("sales", PARTITIONS), ("copies", 2)] {
        create_topic(brokers, &format!("{topology}-{topic}"), partitions, &[]);
    }
    let file = file(folder.path(), &topology, false);
    let worker = run(folder.path(), &file, brokers);
    // Of two tills, each with nothing to divide by.
    produce(brokers, &format!("{topology}-sales"), PARTITIONS, [5, 15].map(sale));
    wait_until("the topic of letters", LONG, || tool(&["topic", "list", "-b", brokers]).1.contains(&letters));
    wait_until("letters of both nodes", LONG, || read_committed(brokers, &letters).len() == 4);

    let (code, listed, talk) =
        tool(&["dlq", "list", &topology, "-b", brokers, "-o", "json", "--where", "error.node == 'tills'"]);
    assert_eq!(code, 0, "{talk}");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let place = |till: &str| {
        let letter = listed.as_array().expect("letters").iter().find(|letter| letter["key"] == till).expect("it failed");
        format!("{}:{}", letter["place"]["partition"], letter["place"]["offset"])
    };
    let edit = |place: &str, more: &[&str], input: &str| {
        let arguments = [&["dlq", "edit", place, &topology, "-b", brokers, "--file", &file], more].concat();
        let done = skald(folder.path(), &arguments, input.as_bytes());
        (done.code, done.err)
    };
    let (field, whole) = (place("till-5"), place("till-1"));
    let (code, talk) = edit(&field, &["--set", "data.count=many"], "");
    assert!(code == 3 && talk.contains("does not fit") && talk.contains("nothing was written"), "{code} {talk}");
    let (code, talk) = edit(&field, &["--set", "data.total=5"], "");
    assert!(code == 2 && talk.contains("nothing was changed"), "{code} {talk}");
    assert_eq!(read_committed(brokers, &format!("{topology}.tills.inbox")).len(), 0);

    let (code, talk) = edit(&field, &["--set", "data.count=2", "--set", "data.total=8", "--by", "ada"], "");
    assert_eq!(code, 0, "{talk}");
    let value = json!({ "id": "s15", "type": "sale.v1", "data": { "till": "till-1", "total": 9, "count": 3 } });
    let (code, talk) = edit(&whole, &["--value", "-", "--reason", "ticket 4711"], &value.to_string());
    assert_eq!(code, 0, "{talk}");
    let (code, talk) = edit(&whole, &["--value", "-"], &value.to_string());
    assert_eq!(code, 3, "it was replayed already: {talk}");
    let expected = BTreeMap::from([("till-5".to_owned(), (4, 1)), ("till-1".to_owned(), (3, 1))]);
    wait_until("both states", LONG, || states(brokers, &topology) == expected);
    stop(worker);
    let (_, all, _) = tool(&["dlq", "list", &topology, "-b", brokers, "--all"]);
    assert!(all.contains("by ada") && all.contains("ticket 4711"), "{all}");
}

#[test]
fn letters_of_a_connector_go_back_to_their_topic_once() {
    let brokers = brokers!();
    let (letters, payments) = (unique("payments-dlq"), unique("payments"));
    let audit = format!("{letters}.audit");
    create_topic(brokers, &letters, 1, &[]);
    create_topic(brokers, &payments, 2, &[]);
    let of = |number: u64| {
        let mut input = Input::new(format!("customer-{number}"), json!({ "n": number }).to_string());
        for (name, value) in [
            ("tenant", "t1".to_owned()),
            ("__connect.errors.topic", if number == 3 { format!("{payments}-gone") } else { payments.clone() }),
            ("__connect.errors.partition", (number % 2).to_string()),
            ("__connect.errors.offset", number.to_string()),
            ("__connect.errors.exception.class.name", "DataException".to_owned()),
        ] {
            input.headers.push((name.into(), value));
        }
        input
    };
    produce(brokers, &letters, 1, (0..4).map(of));
    let replay = |more: &[&str]| tool(&[&["dlq", "replay", "--topic", &letters, "-b", brokers], more].concat());
    let (code, _, talk) = replay(&[]);
    assert!(code == 5 && talk.contains(&audit), "{talk}");
    create_topic(brokers, &audit, 1, &[]);
    let (code, out, talk) = replay(&[]);
    assert!(code == 3 && out.contains("there is no topic") && talk.contains("3 letters replayed; 1 refused"), "{out}{talk}");
    let back = read_committed(brokers, &payments);
    let told: Vec<_> = back.iter().map(|record| (record.partition, record.value_text())).collect();
    assert_eq!(told, [(0, r#"{"n":0}"#.into()), (0, r#"{"n":2}"#.into()), (1, r#"{"n":1}"#.into())]);
    let headers: Vec<_> = back[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["tenant", "__skald.replays"]);
    let (code, _, talk) = replay(&["--where", "data.n < 3"]);
    assert!(code == 0 && talk.contains("0 letters replayed; 3 replayed or discarded before"), "{talk}");
    assert_eq!(read_committed(brokers, &payments).len(), 3);
    let (code, _, talk) = tool(&["dlq", "discard", "--topic", &letters, "-b", brokers, "--everything", "--reason", "gone"]);
    assert!(code == 0 && talk.contains("1 letter discarded"), "{talk}");
}

//! `skald dlq` on topics of dead letters that others have written.

use crate::tools::{Input, create_topic, produce, tool, unique};
use serde_json::{Value, json};

const PARTITIONS: u32 = 3;

/// As a sink of Kafka Connect leaves it behind.
fn of_connect(number: u64) -> Input {
    let mut input = Input::new(format!("customer-{}", number % 100), json!({ "n": number }).to_string());
    let exception = if number.is_multiple_of(10) { "DataException" } else { "RetriableException" };
    for (name, value) in [
        ("__connect.errors.topic", "payments".to_owned()),
        ("__connect.errors.partition", "5".to_owned()),
        ("__connect.errors.offset", number.to_string()),
        ("__connect.errors.connector.name", "jdbc-sink".to_owned()),
        ("__connect.errors.exception.class.name", exception.to_owned()),
        ("__connect.errors.exception.message", format!("row {number} was refused")),
    ] {
        input.headers.push((name.into(), value));
    }
    input.timestamp = Some(1_795_248_000_000 + i64::try_from(number).expect("small"));
    input
}

fn json_of(arguments: &[&str]) -> Value {
    let (code, out, talk) = tool(arguments);
    assert_eq!(code, 0, "{arguments:?}: {talk}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {out}"))
}

#[test]
fn letters_of_a_connector_are_counted_listed_and_shown() {
    let brokers = brokers!();
    let topic = unique("connect-dlq");
    create_topic(brokers, &topic, PARTITIONS, &[]);
    produce(brokers, &topic, PARTITIONS, (0..1_000).map(of_connect).chain([Input::new("x", "no letter")]));
    let topic = topic.as_str();

    let stats = json_of(&["dlq", "stats", "--topic", topic, "-b", brokers, "-o", "json"]);
    assert_eq!((&stats["letters"], &stats["unreadable"]), (&json!(1_000), &json!(1)));
    let groups: Vec<_> = (stats["groups"].as_array().expect("groups").iter())
        .map(|group| (group["code"].as_str().expect("a code"), group["letters"].as_u64().expect("a count")))
        .collect();
    assert_eq!(groups, [("RetriableException", 900), ("DataException", 100)]);

    let condition = "error.code == 'DataException' && data.n < 500";
    let list = json_of(&["dlq", "list", "--topic", topic, "-b", brokers, "-o", "json", "-n", "2", "--where", condition]);
    let numbers: Vec<_> = list.as_array().expect("a list").iter().map(|letter| letter["value"]["n"].clone()).collect();
    assert_eq!(numbers, [json!(490), json!(480)]);

    let place = &list[0]["place"];
    let place = format!("{}:{}", place["partition"], place["offset"]);
    let (code, shown, _) = tool(&["dlq", "show", &place, "--topic", topic, "-b", brokers]);
    assert_eq!(code, 0);
    for line in ["origin      payments-5@490", "message     row 490 was refused", "writer      connect"] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
}

#[test]
fn what_is_not_there_has_its_exit_code_and_a_next_step() {
    let brokers = brokers!();
    let topic = unique("empty-dlq");
    create_topic(brokers, &topic, PARTITIONS, &[]);
    let nowhere = "127.0.0.1:1";
    for (arguments, expected, said) in [
        (vec!["dlq", "stats", "nobody", "-b", brokers], 5, "there is no topic `nobody.dlq`"),
        (vec!["dlq", "show", "0:7", "--topic", &topic, "-b", brokers], 5, "there is no letter at 0:7"),
        (vec!["dlq", "show", "seven", "--topic", &topic, "-b", brokers], 2, "partition and offset"),
        (vec!["dlq", "list", "--topic", &topic, "-b", brokers, "--where", "error.kode == 'X'"], 2, "^^^^"),
        (vec!["dlq", "list", "--topic", &topic, "-b", brokers], 0, "no dead letters"),
        (vec!["dlq", "list", "--topic", &topic, "-b", nowhere], 6, "no broker answers"),
    ] {
        let (code, _, talk) = tool(&arguments);
        assert_eq!(code, expected, "{arguments:?}: {talk}");
        assert!(talk.contains(said), "{arguments:?}: {talk}");
    }
}

/// `SKALD_TEST_BINARY=target/release/skald cargo test --test broker engine::letters -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn a_million_letters_are_counted_and_the_newest_listed() {
    use skald::clock::{Clock, SystemClock};
    let brokers = brokers!();
    let topic = unique("large-dlq");
    create_topic(brokers, &topic, PARTITIONS, &[]);
    produce(brokers, &topic, PARTITIONS, (0..1_000_000).map(of_connect));
    for command in ["stats", "list"] {
        let clock = SystemClock::new();
        let (code, _, talk) = tool(&["dlq", command, "--topic", &topic, "-b", brokers]);
        println!("dlq {command} of 1,000,000 letters: {:?}, exit code {code}; {talk}", clock.mono());
    }
}

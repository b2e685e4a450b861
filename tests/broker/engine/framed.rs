//! JSON whose values carry the ids of their schemas, with a real registry: as Confluent's serializers write it, with references.

use super::{LONG, stop};
use crate::apicurio;
use crate::commands::skald;
use crate::tools::{Engine, create_topic, kafka, read_committed, unique, wait_until};
use serde_json::{Value, json};
use skald::broker::Broker;
use skald::clock::{Clock, SystemClock};
use skald::codec::{Document, Language, SchemaId};
use skald::record::{Record, partition_of};
use skald::registry::Registry;
use std::fs;
use std::time::Duration;

const SEEN: &str = r#"{"$schema":"http://json-schema.org/draft-07/schema#","title":"Seen","type":"object","properties":{"id":{"type":"string"},"price":{"$ref":"money.json"}},"required":["id"]}"#;
const MONEY: &str = r#"{"title":"Money","type":"object","properties":{"cents":{"type":"integer"}},"required":["cents"]}"#;
const TOLD: &str = r#"{"title":"Told","type":"object","properties":{"id":{"type":"string"},"cents":{"type":"integer"}},"required":["id"],"additionalProperties":false}"#;

fn topology(name: &str, told: &str) -> String {
    format!(
        "skald: 1
topology: {name}
topics:
  {name}-in:
    partitions: 1
    registry: true
    envelope: none
  {name}-out:
    partitions: 1
    registry: true
    envelope: none
    subject: record
    {told}
    types: {{ told.v1: told.json }}
pipelines:
  pass: {{ from: {name}-in, steps: [{{ emit: {{ type: told.v1, to: {name}-out, key: =data.id, data: {{ id: =data.id, cents: =data.price.cents }} }} }}] }}
"
    )
}

#[test]
fn json_with_references_is_read_and_written_behind_the_ids_of_its_schemas() {
    let brokers = brokers!();
    let Some(apicurio) = apicurio::shared() else { return };
    let registry = apicurio.client();
    let (folder, name) = (tempfile::tempdir().expect("a folder"), unique("framed"));
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).expect("the folder is writable");
    let title = format!("Told-{name}");
    write("told.json", &TOLD.replace("Told", &title));
    let run = |arguments: &[&str]| {
        let run =
            skald(folder.path(), &[arguments, &["t.yaml", "-b", brokers, "--schema-registry", &apicurio.url()]].concat(), b"");
        (run.code, format!("{}{}", run.out, run.err))
    };
    let (input, output) = (format!("{name}-in"), format!("{name}-out"));
    create_topic(brokers, &input, 1, &[]);

    // Somebody else registers it, and has not.
    write("t.yaml", &topology(&name, "auto_register: false"));
    let (code, said) = run(&["plan"]);
    assert!(code == 0 && said.contains("`told.v1` is not registered"), "{said}");
    let (code, said) = run(&["apply"]);
    assert!(code == 1 && said.contains(&title), "{said}");
    write("t.yaml", &topology(&name, "auto_register: true"));
    let (code, said) = run(&["apply"]);
    assert_eq!(code, 0, "{said}");
    let told = registry.version(&title, None).expect("it was registered by its title");
    assert_eq!(told.document.language, Language::Json);

    let money = registry.register(&format!("{name}-money"), &Document::alone(Language::Json, MONEY)).expect("taken");
    let seen = with_reference(&apicurio.url(), &format!("{input}-value"), &format!("{name}-money"));
    assert_ne!(money, seen);
    let arguments =
        ["run", "t.yaml", "-b", brokers, "--schema-registry", &apicurio.url(), "--create-topics", "--listen", "off"];
    let mut worker = Engine::spawn(folder.path(), &arguments, &[]);
    let values = [
        json!({"id": "a", "price": {"cents": 3}}),
        json!({"id": "b", "price": {"cents": "3"}}),
        json!({"id": "c", "price": {"cents": 4}}),
    ];
    let mut producer = kafka(brokers).producer().expect("a producer");
    for value in &values {
        let value = [&[0], &seen.to_be_bytes()[..], value.to_string().as_bytes()].concat();
        let (key, timestamp) = (value[6..8].to_vec(), SystemClock::new().wall());
        let partition = partition_of(&key, 1);
        let record = Record {
            topic: input.as_str().into(),
            partition,
            timestamp,
            headers: Vec::new(),
            key: Some(key.into()),
            value: Some(value.into()),
        };
        producer.send(&record).expect("the record is taken");
    }
    producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
    wait_until("what fits is passed on", LONG, || {
        assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
        read_committed(brokers, &output).len() == 2
    });
    stop(worker);
    let passed: Vec<Value> = read_committed(brokers, &output)
        .into_iter()
        .map(|one| {
            let value = one.value.expect("a value");
            assert_eq!(value[..5], [&[0], &told.id.to_be_bytes()[..]].concat(), "the id of the schema stands in front");
            serde_json::from_slice(&value[5..]).expect("JSON")
        })
        .collect();
    assert_eq!(passed, [json!({"id": "a", "cents": 3}), json!({"id": "c", "cents": 4})]);
    let letters = read_committed(brokers, &format!("{name}.dlq"));
    assert_eq!(letters.len(), 1, "what the schema that is referred to does not allow");
    let document = registry.schema(SchemaId::Number(seen)).expect("it is there");
    assert_eq!(document.named().map(|one| (&*one.name, one.version)).collect::<Vec<_>>(), [("money.json", Some(1))]);
}

/// Registers a schema that names another one, through nothing of the engine.
fn with_reference(url: &str, subject: &str, money: &str) -> u32 {
    let body =
        json!({"schemaType": "JSON", "schema": SEEN, "references": [{"name": "money.json", "subject": money, "version": 1}]});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let post = reqwest::Client::new().post(format!("{url}/subjects/{subject}/versions")).json(&body);
        let answer = post.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
        let answer: Value = answer.json().await.expect("JSON");
        u32::try_from(answer["id"].as_u64().expect("an id")).expect("four bytes")
    })
}

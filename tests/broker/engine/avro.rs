//! Avro with a real schema registry: the shop end to end, and what becomes of records when the registry is away or knows nothing.
//!
//! What is produced and read here goes through the crate `apache-avro` and the registry's own answers, and through nothing of the
//! engine.

use super::shop::{last_states, wait_for_topics};
use super::{LONG, Sample, stop};
use crate::apicurio;
use crate::commands::skald;
use crate::tools::{Engine, Output, create_topic, kafka, read_committed, try_committed, unique, wait_until};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::Value;
use skald::broker::Broker;
use skald::clock::{Clock, SystemClock};
use skald::codec::{Document, Language, SchemaId};
use skald::record::{Header, Record, partition_of};
use skald::registry::Registry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

const PARTITIONS: u32 = 6;
const ORDERS: u64 = 60;
const SKUS: u64 = 5;
const RECEIVED: i64 = 40;
const TOPICS: [&str; 8] = [
    "avro.orders.commands",
    "avro.orders.events",
    "avro.inventory.events",
    "avro.payments.events",
    "avro.stock.commands",
    "avro.stock.answers",
    "avro.stock.events",
    "avro.notifications.requests",
];

fn avro(text: &str) -> Document {
    Document::alone(Language::Avro, text)
}

/// A value behind the id of its schema, as Confluent's serializers frame it.
fn framed(id: u32, schema: &Schema, value: Avro) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(schema).build().expect("a sound schema");
    [&[0], &id.to_be_bytes()[..], &writer.write_value_to_vec(value).expect("a value of it")].concat()
}

fn send(brokers: &str, topic: &str, partitions: u32, records: impl IntoIterator<Item = (String, &'static str, Vec<u8>)>) {
    let clock = SystemClock::new();
    let mut producer = kafka(brokers).producer().expect("a producer");
    for (key, kind, value) in records {
        let record = Record {
            topic: topic.into(),
            partition: partition_of(key.as_bytes(), partitions),
            timestamp: clock.wall(),
            headers: vec![Header::text("type", kind)],
            key: Some(key.into_bytes().into()),
            value: Some(value.into()),
        };
        producer.send(&record).expect("the record is taken");
    }
    producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
}

/// Values as JSON, each read by the schema that the registry has for its id, with their types.
fn read(brokers: &str, topic: &str, registry: &dyn Registry) -> Vec<(String, Value)> {
    let mut schemas: BTreeMap<u32, Schema> = BTreeMap::new();
    let value = |output: Output| {
        let value = output.value.expect("a value");
        let (frame, mut datum) = value.split_at(5);
        assert_eq!(frame[0], 0, "the id of a schema stands in front");
        let id = u32::from_be_bytes(frame[1..].try_into().expect("four bytes"));
        let schema = schemas.entry(id).or_insert_with(|| {
            let document = registry.schema(SchemaId::Number(id)).expect("the registry has what was written with");
            Schema::parse_str(&document.text).expect("a sound schema")
        });
        let found = GenericDatumReader::builder(schema).build().expect("a sound schema").read_value(&mut datum);
        let kind = output.headers.iter().find(|(name, _)| name == "type").and_then(|(_, value)| value.clone());
        let kind = String::from_utf8(kind.expect("a type")).expect("UTF-8");
        (kind, Value::try_from(found.expect("a value of it")).expect("JSON has it too"))
    };
    read_committed(brokers, topic).into_iter().map(value).collect()
}

fn orders_with(events: &[(String, Value)], kind: &str) -> BTreeSet<String> {
    let of_kind = events.iter().filter(|(known, _)| known == kind);
    let orders: Vec<String> = of_kind.map(|(_, data)| data["orderId"].as_str().expect("an order").to_owned()).collect();
    let found: BTreeSet<String> = orders.iter().cloned().collect();
    assert_eq!(found.len(), orders.len(), "`{kind}` twice for one order");
    found
}

fn text(value: impl Into<String>) -> Avro {
    Avro::String(value.into())
}

fn record(fields: Vec<(&str, Avro)>) -> Avro {
    Avro::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The command, as the first version of its writers has it, or as the second, with a field that the shop does not know.
fn create(order: u64, newer: bool) -> Avro {
    let item = |sku: u64, quantity: u64, price: i64| {
        let quantity = i64::try_from(quantity).expect("a few");
        record(vec![("sku", text(format!("sku-{sku}"))), ("quantity", Avro::Long(quantity)), ("price", Avro::Long(price))])
    };
    let items = Avro::Array(vec![item(order % SKUS, 1 + order % 4, 250), item((order + 1) % SKUS, 1, 1_000)]);
    let mut fields = vec![("orderId", text(format!("order-{order}"))), ("userId", text("u")), ("items", items)];
    if newer {
        fields.insert(0, ("channel", text("app")));
    }
    record(fields)
}

#[test]
fn the_shop_in_avro_ends_every_order_while_a_newer_schema_comes_into_use() {
    let brokers = brokers!();
    let Some(apicurio) = apicurio::shared() else { return };
    let sample = Sample::of("shop-avro", &TOPICS);
    let mut worker = sample.worker_with(brokers, "avro", "avro", &["--schema-registry", &apicurio.url()]);
    let (orders, stock) = (sample.topic("avro.orders.commands"), sample.topic("avro.stock.commands"));
    wait_for_topics(brokers, &mut worker, &[&orders, &stock]);
    let registry = apicurio.client();
    // Nobody in the topology writes it: its writers bring their schemas along.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let v1 = fs::read_to_string(root.join("order/create.v1.avsc")).expect("a schema");
    let v2 = v1.replacen(
        "\"fields\": [",
        "\"fields\": [\n    { \"name\": \"channel\", \"type\": \"string\", \"default\": \"web\" },",
        1,
    );
    let subject = format!("{orders}-shop.OrderCreate");
    apicurio.be_backward(&subject);
    let id = registry.register(&subject, &avro(&v1)).expect("the first version");
    let older = Schema::parse_str(&v1).expect("a sound schema");
    let receive = fs::read_to_string(root.join("stock/receive.v1.avsc")).expect("a schema");
    let received = registry.register(&format!("{stock}-shop.StockReceive"), &avro(&receive)).expect("the shop's own");
    let receive = Schema::parse_str(&receive).expect("a sound schema");
    send(
        brokers,
        &stock,
        PARTITIONS,
        (0..SKUS).map(|sku| {
            let value = record(vec![("sku", text(format!("sku-{sku}"))), ("quantity", Avro::Long(RECEIVED))]);
            (format!("sku-{sku}"), "stock.receive.v1", framed(received, &receive, value))
        }),
    );
    send(
        brokers,
        &orders,
        PARTITIONS,
        (0..ORDERS / 2).map(|order| (format!("order-{order}"), "order.create.v1", framed(id, &older, create(order, false)))),
    );
    let states = |node: &str| last_states(brokers, &sample, node);
    wait_until("orders are taken", LONG, || {
        assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
        let committed = try_committed(brokers, &sample.topology, &orders, PARTITIONS).unwrap_or_default();
        committed.iter().flatten().any(|(offset, _)| *offset > 0)
    });

    // A second version, and both kinds of writers beside each other.
    let newer_id = registry.register(&subject, &avro(&v2)).expect("a compatible version");
    assert_ne!(id, newer_id);
    let newer = Schema::parse_str(&v2).expect("a sound schema");
    send(
        brokers,
        &orders,
        PARTITIONS,
        (ORDERS / 2..ORDERS).map(|order| {
            let is_newer = order % 2 == 0;
            let (id, schema) = if is_newer { (newer_id, &newer) } else { (id, &older) };
            (format!("order-{order}"), "order.create.v1", framed(id, schema, create(order, is_newer)))
        }),
    );
    wait_until("every order is confirmed or cancelled and nothing is reserved any more", LONG, || {
        assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
        let orders = states("orders");
        let ended = orders.values().filter(|state| ["CONFIRMED", "CANCELLED"].iter().any(|end| state["status"] == *end));
        ended.count() as u64 == ORDERS
            && states("stock").values().all(|state| state["reserved"].as_object().is_some_and(serde_json::Map::is_empty))
    });
    stop(worker);

    let events = read(brokers, &sample.topic("avro.orders.events"), &registry);
    let (created, confirmed) = (orders_with(&events, "order.created.v1"), orders_with(&events, "order.confirmed.v1"));
    let cancelled = orders_with(&events, "order.cancelled.v1");
    assert_eq!(created.len() as u64, ORDERS);
    assert!(
        confirmed.is_disjoint(&cancelled) && !confirmed.is_empty() && !cancelled.is_empty(),
        "both ends are met, none twice"
    );
    assert_eq!(confirmed.len() + cancelled.len(), created.len(), "every order ends");
    let payments = read(brokers, &sample.topic("avro.payments.events"), &registry);
    let refunded = orders_with(&payments, "payment.refunded.v1");
    let kept = orders_with(&payments, "payment.confirmed.v1").difference(&refunded).cloned().collect::<BTreeSet<_>>();
    assert_eq!(kept, confirmed, "money is kept for the orders that were confirmed, and for no other");
    assert_eq!(read_committed(brokers, &format!("{}.dlq", sample.topology)), [], "no record failed");
}

/// Passes connections on to the registry, or does what a broken network does.
struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
}

const PASS: u8 = 0;
/// Hangs up at once.
const CUT: u8 = 1;
/// Takes the question and never answers.
const HANG: u8 = 2;

impl Proxy {
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = listener.local_addr().expect("it is bound").port();
        let mode = Arc::new(AtomicU8::new(PASS));
        let seen = mode.clone();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                match seen.load(Ordering::Relaxed) {
                    PASS => pass(stream, port, &seen),
                    CUT => drop(stream),
                    _ => held.push(stream),
                }
            }
        });
        Self { port: own, mode }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }
}

/// Both ways, for as long as the mode allows: connections are kept open by clients.
fn pass(client: TcpStream, port: u16, mode: &Arc<AtomicU8>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    for (mut from, mut to) in [(&client, &server), (&server, &client)]
        .map(|(from, to)| (from.try_clone().expect("one more handle"), to.try_clone().expect("one more handle")))
    {
        let mode = mode.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if mode.load(Ordering::Relaxed) != PASS || to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

const KNOWN: &str = r#"{"type":"record","name":"Seen","fields":[{"name":"id","type":"string"},{"name":"n","type":"int"}]}"#;
const NEWER: &str = r#"{"type":"record","name":"Seen","fields":[{"name":"id","type":"string"},{"name":"n","type":"int"},{"name":"note","type":"string","default":""}]}"#;
const OLDER: &str = r#"{"type":"record","name":"Seen","fields":[{"name":"id","type":"string"}]}"#;

/// A topology that passes what it reads in Avro on as JSON.
fn passing(topology: &str, more: &str) -> String {
    format!(
        "skald: 1
topology: {topology}
topics:
  {topology}-in:
    partitions: 1
    format: avro
    envelope: none
    {more}
    types: {{ seen.v1: seen.avsc }}
  {topology}-out:
    partitions: 1
    types: {{ seen.v1: {{}} }}
pipelines:
  pass: {{ from: {topology}-in, steps: [{{ emit: {{ type: seen.v1, to: {topology}-out, data: '={{\"id\": data.id, \"n\": data.n + 1}}' }} }}] }}
"
    )
}

#[test]
fn a_record_waits_for_a_registry_that_is_away_and_only_its_word_makes_a_dead_letter() {
    let brokers = brokers!();
    let Some(apicurio) = apicurio::shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let topology = unique("waits");
    fs::write(folder.path().join("t.yaml"), passing(&topology, "description: \"\"")).expect("the folder is writable");
    fs::write(folder.path().join("seen.avsc"), KNOWN).expect("the folder is writable");
    let (input, output) = (format!("{topology}-in"), format!("{topology}-out"));
    create_topic(brokers, &input, 1, &[]);
    let registry = apicurio.client();
    // The rule of subjects is no matter here: each schema has one of its own.
    let id = |name: &str, text: &str| registry.register(&format!("{topology}-{name}"), &avro(text)).expect("taken");
    let (known, newer, older, late) =
        (id("known", KNOWN), id("newer", NEWER), id("older", OLDER), id("late", &NEWER.replace("note", "remark")));
    let proxy = Proxy::before(apicurio.port());
    let arguments = ["run", "t.yaml", "-b", brokers, "--schema-registry", &proxy.url(), "--create-topics", "--listen", "off"];
    let mut worker = Engine::spawn(folder.path(), &arguments, &[]);
    let schema = |text: &str| Schema::parse_str(text).expect("a sound schema");
    let seen = |text_of: &str, id: u32, name: &str, note: Option<&str>| {
        let mut fields = vec![("id", text(name)), ("n", Avro::Int(1))];
        fields.extend(note.map(|note| (note, text("x"))));
        (name.to_owned(), "seen.v1", framed(id, &schema(text_of), record(fields)))
    };
    let passed = || -> Vec<String> {
        let outputs = read_committed(brokers, &output);
        outputs
            .iter()
            .map(|one| {
                serde_json::from_str::<Value>(&one.value_text()).expect("JSON")["data"]["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned()
            })
            .collect()
    };
    let letters = || read_committed(brokers, &format!("{topology}.dlq"));
    let until = |what: &str, worker: &mut Engine, count: usize| {
        wait_until(what, LONG, || {
            assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
            kafka(brokers).admin().unwrap().topics().unwrap().iter().any(|topic| topic.name == *output)
                && passed().len() == count
        });
    };
    send(brokers, &input, 1, [seen(KNOWN, known, "a", None)]);
    until("a record of a schema that the registry has", &mut worker, 1);

    // Away: what is known goes on, what is not waits, with everything behind it.
    for (mode, name, known_name, id, text, note) in
        [(CUT, "c", "b", newer, NEWER.to_owned(), "note"), (HANG, "e", "d", late, NEWER.replace("note", "remark"), "remark")]
    {
        proxy.set(mode);
        let before = passed().len();
        send(
            brokers,
            &input,
            1,
            [
                seen(KNOWN, known, known_name, None),
                seen(&text, id, name, Some(note)),
                seen(KNOWN, known, &format!("{name}-behind"), None),
            ],
        );
        until("a record of a schema that is remembered", &mut worker, before + 1);
        wait_until("the record waits", LONG, || worker.output().contains(&format!("has not told yet what schema {id} is")));
        assert_eq!((passed().len(), letters().len()), (before + 1, 0), "nothing is lost and nothing judged");
        proxy.set(PASS);
        until("the registry is back", &mut worker, before + 3);
    }
    assert_eq!(passed(), ["a", "b", "c", "c-behind", "d", "e", "e-behind"], "in order, each once");

    // Judged: by the registry's word, by the schema, by the bytes.
    let whole = seen(KNOWN, known, "x", None);
    let mut wrong_id = whole.clone();
    wrong_id.2[1..5].copy_from_slice(&[0x70, 0, 0, 0]);
    let mut truncated = whole.clone();
    truncated.2.pop();
    let lacking = framed(older, &schema(OLDER), record(vec![("id", text("x"))]));
    let bad = [wrong_id, truncated, ("x".into(), "seen.v1", lacking), ("x".into(), "seen.v1", b"{\"id\":\"x\"}".to_vec())];
    let bytes: Vec<Vec<u8>> = bad.iter().map(|(_, _, value)| value.clone()).collect();
    send(brokers, &input, 1, bad.into_iter().chain([seen(KNOWN, known, "z", None)]));
    until("the record behind the bad ones", &mut worker, 8);
    let letters = letters();
    let header = |letter: &Output, name: &str| {
        let value = letter.headers.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
        String::from_utf8(value.unwrap_or_default()).expect("UTF-8")
    };
    let told: Vec<(String, String)> =
        letters.iter().map(|letter| (header(letter, "__skald.errors.class"), header(letter, "__skald.errors.code"))).collect();
    let expected = [
        ("undecodable", "UNDECODABLE"),
        ("undecodable", "UNDECODABLE"),
        ("undecodable", "SCHEMA_INVALID"),
        ("undecodable", "UNDECODABLE"),
    ];
    assert_eq!(told, expected.map(|(class, code)| (class.to_owned(), code.to_owned())));
    assert_eq!(letters.into_iter().map(|letter| letter.value.expect("its bytes")).collect::<Vec<_>>(), bytes, "bytes are kept");
    stop(worker);
}

#[test]
fn schemas_are_compared_registered_and_demanded_before_anything_runs() {
    let brokers = brokers!();
    let Some(apicurio) = apicurio::shared() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let topology = unique("settles");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the folder is writable");
    let topic = format!("{topology}-in");
    let subject = format!("{topic}-value");
    // It writes to the topic that it also reads from elsewhere.
    let file = |more: &str| {
        format!(
            "skald: 1
topology: {topology}
topics:
  {topic}: {{ partitions: 1, format: avro, envelope: none, {more} types: {{ seen.v1: seen.avsc }} }}
  {topology}-asked: {{ partitions: 1, types: {{ ask.v1: {{ type: object, required: [id], properties: {{ id: {{ type: string }} }} }} }} }}
pipelines:
  make: {{ from: {topology}-asked, steps: [{{ emit: {{ type: seen.v1, data: {{ id: =data.id, n: 1 }} }} }}] }}
"
        )
    };
    let run = |arguments: &[&str], code: i32, parts: &[&str]| {
        let run = skald(folder.path(), &[arguments, &["t.yaml", "-b", brokers]].concat(), b"");
        for part in parts {
            assert!(run.out.contains(part) || run.err.contains(part), "{arguments:?}: `{part}` in\n{}{}", run.out, run.err);
        }
        assert_eq!(run.code, code, "{arguments:?}\n{}{}", run.out, run.err);
    };
    let url = apicurio.url();
    let at = ["--schema-registry", url.as_str()];
    let of = |arguments: &[&'static str]| -> Vec<String> { arguments.iter().copied().chain(at).map(str::to_owned).collect() };
    let with = |arguments: &[&'static str], code: i32, parts: &[&str]| {
        let arguments = of(arguments);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), code, parts);
    };
    write("t.yaml", &file("auto_register: false,"));
    write("seen.avsc", KNOWN);
    run(&["run", "--create-topics", "--listen", "off"], 2, &["carry ids of schemas, and no schema registry is named"]);
    with(&["plan", "--exit-code"], 1, &[&format!("+ {subject}"), "is not registered"]);
    with(&["apply"], 1, &["`auto_register: false`: register it first"]);
    with(&["run", "--create-topics", "--listen", "off"], 1, &["`auto_register: false`: register it first"]);
    let registry = apicurio.client();
    assert!(registry.version(&subject, None).is_err(), "nothing was registered");

    write("t.yaml", &file(""));
    with(&["plan", "--exit-code"], 4, &[&format!("+ {subject}"), "by `apply`"]);
    assert!(registry.version(&subject, None).is_err(), "a plan registers nothing");
    with(&["apply"], 0, &[&format!("schema of `seen.v1` registered as `{subject}`"), "version 1 recorded"]);
    with(&["plan", "--exit-code"], 0, &["Schemas", &format!("  {subject}")]);
    assert_eq!(registry.version(&subject, None).map(|version| version.document.text.to_string()), Ok(KNOWN.to_owned()));

    apicurio.be_backward(&subject);
    write("seen.avsc", &KNOWN.replace("\"int\"", "\"boolean\""));
    write("t.yaml", &file("").replace("n: 1", "n: true").replace("topology: ", "version: 2\ntopology: "));
    with(&["plan"], 0, &[&format!("~ {subject}"), "is refused", "BOOLEAN"]);
    with(&["apply"], 1, &["is not compatible with"]);
    let nobody = ["--schema-registry", "http://127.0.0.1:1"];
    run(&["apply", nobody[0], nobody[1]], 6, &["the schema registry does not answer"]);
}

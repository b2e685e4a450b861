//! Protobuf with a real schema registry: orders become totals while a newer version of their writers comes into use.
//!
//! What is produced and read here goes through `prost-reflect` and the registry's own answers, and through nothing of the engine.

use super::shop::wait_for_topics;
use super::{LONG, Sample, stop};
use crate::apicurio;
use crate::commands::skald;
use crate::tools::{kafka, read_committed, wait_until};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MapKey, MessageDescriptor, Value};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use skald::broker::Broker;
use skald::clock::{Clock, SystemClock};
use skald::codec::{Document, Language, Reference, SchemaId};
use skald::record::{Record, partition_of};
use skald::registry::{Registry, Settled, Wanted, settle};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PARTITIONS: u32 = 4;
const CUSTOMERS: u64 = 7;
const ORDERS: u64 = 200;

struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let text = self.0.get(name).ok_or_else(|| protox::Error::file_not_found(name))?;
        File::from_source(name, text)
    }
}

/// The descriptors of a registry's schema.
fn pool(document: &Document) -> DescriptorPool {
    let mut texts: BTreeMap<String, String> =
        document.references.iter().map(|one| (one.name.to_string(), one.text.to_string())).collect();
    texts.insert("main.proto".into(), document.text.to_string());
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(Texts(texts));
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.open_file("main.proto").unwrap_or_else(|error| panic!("{error:?}\n{}", document.text));
    compiler.descriptor_pool()
}

fn source(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/proto/shop").join(name)).expect("a schema")
}

/// A schema that imports money.
fn document(text: String) -> Document {
    let (name, text_of_money) = ("shop/money.proto", source("money.proto"));
    let money = Reference { name: name.into(), subject: name.into(), version: None, text: text_of_money.into(), uses: vec![] };
    Document { references: vec![money], uses: vec![0], ..Document::alone(Language::Protobuf, text) }
}

/// A value behind the id of its schema and its place there, as Confluent's serializers frame it.
fn framed(id: u32, index: &[u8], message: &DynamicMessage) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], index, &message.encode_to_vec()].concat()
}

fn order(descriptor: &MessageDescriptor, number: u64, newer: bool) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let money = descriptor.get_field_by_name("amount").expect("it has one").kind();
    let mut amount = DynamicMessage::new(money.as_message().expect("a message").clone());
    amount.set_field_by_name("cents", Value::I64(number.cast_signed()));
    message.set_field_by_name("order_id", Value::String(format!("order-{number}")));
    message.set_field_by_name("customer_id", Value::String(customer(number)));
    message.set_field_by_name("amount", Value::Message(amount));
    if descriptor.name() == "OrderPlaced" {
        message.set_field_by_name("channel", Value::EnumNumber(if number.is_multiple_of(2) { 1 } else { 2 }));
    }
    if newer {
        message.set_field_by_name("campaign", Value::String("spring".into()));
    }
    message
}

fn customer(number: u64) -> String {
    format!("customer-{}", number % CUSTOMERS)
}

fn send(brokers: &str, topic: &str, values: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let clock = SystemClock::new();
    let mut producer = kafka(brokers).producer().expect("a producer");
    for (key, value) in values {
        let record = Record {
            topic: topic.into(),
            partition: partition_of(key.as_bytes(), PARTITIONS),
            timestamp: clock.wall(),
            headers: Vec::new(),
            key: Some(key.into_bytes().into()),
            value: Some(value.into()),
        };
        producer.send(&record).expect("the record is taken");
    }
    producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
}

/// The last total of each customer: orders, cents, orders by telephone.
fn totals(brokers: &str, topic: &str, registry: &dyn Registry) -> BTreeMap<String, (i32, i64, i32)> {
    let mut pools: BTreeMap<u32, DescriptorPool> = BTreeMap::new();
    let mut total = |value: Vec<u8>| {
        let id = u32::from_be_bytes(value[1..5].try_into().expect("four bytes"));
        assert_eq!((value[0], value[5]), (0, 0), "an id, and the first message of its file");
        let known = || pool(&registry.schema(SchemaId::Number(id)).expect("it was written with"));
        let descriptor = pools.entry(id).or_insert_with(known).get_message_by_name("shop.CustomerTotal");
        let message = DynamicMessage::decode(descriptor.expect("it is the file's"), &value[6..]).expect("a message of it");
        assert_eq!(message.unknown_fields().count(), 0);
        let field = |name: &str| message.get_field_by_name(name).expect("it has it").into_owned();
        let amount = field("amount");
        let cents = amount.as_message().expect("a message").get_field_by_name("cents").expect("it has it").as_i64();
        let phone = field("by_channel").as_map().expect("a map").get(&MapKey::String("PHONE".into())).and_then(Value::as_i32);
        let customer = field("customer_id").as_str().expect("text").to_owned();
        (customer, (field("orders").as_i32().expect("an int"), cents.expect("an int"), phone.unwrap_or_default()))
    };
    read_committed(brokers, topic).into_iter().map(|output| total(output.value.expect("a value"))).collect()
}

#[test]
fn orders_in_protobuf_become_totals_while_a_newer_schema_comes_into_use() {
    let brokers = brokers!();
    let Some(apicurio) = apicurio::shared() else { return };
    let sample = Sample::of("order-totals-proto", &["proto.orders", "proto.totals"]);
    let (orders, output) = (sample.topic("proto.orders"), sample.topic("proto.totals"));
    let (file, url) = (sample.file.to_str().expect("UTF-8"), apicurio.url());
    let registry = apicurio.client();
    // What is imported is registered before what refers to it.
    let applied = skald(sample.folder.path(), &["apply", file, "-b", brokers, "--schema-registry", &url], b"");
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    let version = registry.version(&format!("{output}-value"), None).expect("`apply` has registered it");
    assert_eq!(version.document.references.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["shop/money.proto"]);
    registry.version("shop/money.proto", None).expect("what is imported is there");

    let mut worker = sample.worker_with(brokers, "proto", "proto", &["--schema-registry", &url]);
    wait_for_topics(brokers, &mut worker, &[&orders, &output]);
    let v1 = document(source("order.proto"));
    // A field that nobody here knows, and the messages at other places.
    let inserted = "message OrderNoted { string text = 1; }\n\nmessage OrderPlaced {\n  string campaign = 9;";
    let v2 = document(v1.text.replacen("message OrderPlaced {", inserted, 1));
    let subject = format!("{orders}-value");
    apicurio.be_backward(&subject);
    let registered = |document: &Document| {
        let wanted = Wanted { subject: subject.clone(), document: document.clone(), auto_register: true };
        match settle(&registry, &wanted).expect("the registry takes it") {
            Settled::Found(id) | Settled::Registered(id) => id,
            Settled::Missing => unreachable!("it is registered where it is not there"),
        }
    };
    let (id, newer) = (registered(&v1), registered(&v2));
    assert_ne!(id, newer);
    let of = |document: &Document, name: &str| pool(document).get_message_by_name(name).expect("it is there");
    let (placed, refunded) = (of(&v1, "shop.OrderPlaced"), of(&v1, "shop.OrderRefunded"));
    let placed_newer = of(&v2, "shop.OrderPlaced");
    let placed = |number: u64| match number.is_multiple_of(2) {
        true => framed(id, &[0], &order(&placed, number, false)),
        false => framed(newer, &[2, 2], &order(&placed_newer, number, true)),
    };
    send(brokers, &orders, (0..ORDERS).map(|number| (customer(number), placed(number))));
    send(brokers, &orders, [(customer(3), framed(id, &[2, 2], &order(&refunded, 3, false)))]);

    let mut expected: BTreeMap<String, (i32, i64, i32)> = BTreeMap::new();
    for number in 0..ORDERS {
        let total = expected.entry(customer(number)).or_default();
        *total = (total.0 + 1, total.1 + number.cast_signed(), total.2 + i32::from(!number.is_multiple_of(2)));
    }
    expected.get_mut(&customer(3)).expect("it has orders").1 -= 3;
    wait_until("all orders are in the totals", LONG, || {
        assert!(!worker.has_ended(), "the worker ended by itself:\n{}", worker.output());
        totals(brokers, &output, &registry) == expected
    });
    stop(worker);
    assert_eq!(read_committed(brokers, &format!("{}.dlq", sample.topology)), [], "no record failed");
}

//! What does a record cost between its bytes and its effects?
//!
//! A 330-byte order event, with its schema and without. `decode`: from bytes to an event. `fold`: decoded, folded into its
//! customer's totals, one update written (decode, key and its check, `set` of three fields, encode; the aim: below 3 µs).
//! `decide`: a command with two rules, an event that is applied, an update. `forward`: a filter, the bytes passed on.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skald::codec::Decoder;
use skald::failure::Failure;
use skald::node::{Context, Input, Node, Outgoing, World};
use skald::record::{RecordRef, partition_of};
use skald::state::layout::Tag;
use skald::state::{Entity, Error, Expiring, KeyRange, Timer};
use skald::topology::{NoSources, load};
use std::hint::black_box;
use std::sync::Arc;

const YAML: &str = r#"
skald: 1
topology: bench
topics:
  orders:
    partitions: 4
    key: data.customer
    types:
      order.created.v1: SCHEMA
      stock.reserve.v1: {}
  totals: { partitions: 4, types: { totals.v1: {} } }
  events: { partitions: 4, types: { stock.reserved.v1: {} } }
  forwarded: { types: { order.created.v1: {} } }
aggregates:
  customers:
    from: orders
    key: data.customer
    initial: { count: 0, total: 0.0, last: "" }
    evolve:
      order.created.v1:
        set: { count: =state.count + 1, total: =state.total + data.total, last: =data.orderId }
    updates:
      type: totals.v1
      to: totals
      data: { customer: =key, count: =state.count, total: =state.total }
  stock:
    from: orders
    key: data.customer
    events: events
    initial: { quantity: 1000000000, reserved: {} }
    decide:
      stock.reserve.v1:
        let: { held: data.orderId in state.reserved }
        require:
          - { that: data.quantity > 0, code: NOTHING }
          - { that: held || state.quantity >= data.quantity, code: INSUFFICIENT_INVENTORY }
        emit: { type: stock.reserved.v1, data: =data }
    evolve:
      stock.reserved.v1:
        set: { quantity: =state.quantity - data.quantity }
pipelines:
  large:
    from: orders
    type: order.created.v1
    steps:
      - filter: data.total > 10.0
      - emit: { to: forwarded }
"#;

const SCHEMA: &str = "{ type: object, required: [orderId, customer, total, items], properties: { orderId: { type: string }, \
     customer: { type: string }, total: { type: number }, items: { type: array, items: { type: object, required: [sku], \
     properties: { sku: { type: string }, quantity: { type: integer }, price: { type: number } } } } } }";

const ORDER: &str = r#"{"id":"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d","type":"order.created.v1","version":"1","source":"web","timestamp":"2026-11-21T08:00:00Z","data":{"customer":"c-00042","items":[{"price":9.5,"quantity":2,"sku":"sku-17"}],"orderId":"order-0000001","total":19.0},"metadata":{"correlationId":"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}}"#;
const RESERVE: &str = r#"{"id":"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4e","type":"stock.reserve.v1","data":{"customer":"c-00042","orderId":"order-0000001","quantity":1},"metadata":{"correlationId":"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"}}"#;

/// One state, and what was written since the last record, as the runtime keeps it: bytes in an arena.
#[derive(Default)]
struct Epoch {
    entity: Option<Entity>,
    arena: Vec<u8>,
}

impl Context for Epoch {
    fn now(&self) -> i64 {
        0
    }
    fn entity(&mut self, _: usize, _: &[u8]) -> Result<Option<&Entity>, Error> {
        Ok(self.entity.as_ref())
    }
    fn put_entity(&mut self, _: usize, _: &[u8], entity: Option<Entity>) -> Result<(), Error> {
        self.entity = entity;
        Ok(())
    }
    fn row(&mut self, _: usize, _: Tag, _: &[u8]) -> Result<Option<Bytes>, Error> {
        unreachable!("{KEEPS}")
    }
    fn put_row(&mut self, _: usize, _: Tag, _: &[u8], _: Option<Bytes>) -> Result<(), Error> {
        unreachable!("{KEEPS}")
    }
    fn rows(&mut self, _: usize, _: Tag, _: &KeyRange, _: usize) -> Result<Vec<(Bytes, Bytes)>, Error> {
        unreachable!("{KEEPS}")
    }
    fn expiring(&mut self, _: usize, _: Tag, _: &[u8]) -> Result<Option<Expiring>, Error> {
        unreachable!("{KEEPS}")
    }
    fn put_expiring(&mut self, _: usize, _: Tag, _: &[u8], _: Option<Expiring>) -> Result<(), Error> {
        unreachable!("{KEEPS}")
    }
    fn timer(&mut self, _: usize, _: &[u8], _: &[u8]) -> Result<Option<Timer>, Error> {
        unreachable!("{KEEPS}")
    }
    fn set_timer(&mut self, _: usize, _: &[u8], _: &[u8], _: i64, _: Bytes) -> Result<u64, Error> {
        unreachable!("{KEEPS}")
    }
    fn cancel_timer(&mut self, _: usize, _: &[u8], _: &[u8]) -> Result<bool, Error> {
        unreachable!("{KEEPS}")
    }
    fn claim(&mut self, _: &[u8]) {}
    fn send(&mut self, message: Outgoing<'_>) -> Result<(), Failure> {
        self.arena.extend_from_slice(message.key.unwrap_or_default());
        self.arena.extend_from_slice(message.value.unwrap_or_default());
        Ok(())
    }
    fn dead_letter(&mut self, failure: Failure) -> Result<(), Failure> {
        Err(failure)
    }
    fn dead_letter_of(&mut self, _: &RecordRef<'_>, failure: &Failure) -> Result<(), Failure> {
        Err(failure.clone())
    }
    fn count(&mut self, _: &'static str) {}
}

const KEEPS: &str = "no node of this file keeps more than its state, and nobody asks";

fn world(schema: &str) -> Arc<World> {
    let yaml = YAML.replace("SCHEMA", schema);
    let loaded = load("bench.yaml", yaml.as_bytes(), &[], &NoSources);
    let (topology, plan) = loaded.checked.unwrap_or_else(|| panic!("{:#?}", loaded.findings));
    World::new(Arc::new(topology), Arc::new(plan))
}

fn node(world: &Arc<World>, name: &str) -> Box<dyn Node> {
    let index = world.plan.nodes.iter().position(|node| node.name == name).expect("a node of the file");
    let node = skald::aggregate::compile(world, index).or_else(|| skald::processor::compile(world, index));
    node.expect("an aggregate or a pipeline")
}

fn record(value: &str) -> RecordRef<'_> {
    let key = b"c-00042";
    RecordRef {
        topic: "orders",
        partition: partition_of(key, 4),
        offset: 42,
        timestamp: 1_795_248_000_000,
        key: Some(key),
        value: Some(value.as_bytes()),
        headers: &[],
    }
}

fn step(world: &World, decoder: &Decoder, node: &dyn Node, record: &RecordRef<'_>, epoch: &mut Epoch) {
    let event = decoder.decode(black_box(record)).expect("a good record").expect("a value");
    let input = Input { topic: world.topic(record.topic), partitions: Some(4), record, event: &event };
    black_box(node.step(&input, epoch).expect("a good record"));
    epoch.arena.clear();
}

fn steps(c: &mut Criterion) {
    for (name, schema) in [("plain", "{}"), ("schema", SCHEMA)] {
        let world = world(schema);
        let decoder = world.decoder(world.topic("orders"));
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(ORDER.len() as u64));
        group.bench_function("decode", |b| b.iter(|| decoder.decode(black_box(&record(ORDER)))));
        for (what, node_name, value) in
            [("fold", "customers", ORDER), ("decide", "stock", RESERVE), ("forward", "large", ORDER)]
        {
            let (node, mut epoch) = (node(&world, node_name), Epoch::default());
            group.bench_function(what, |b| b.iter(|| step(&world, &decoder, &*node, &record(value), &mut epoch)));
        }
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);

//! What does a record cost between its bytes and its effects?
//!
//! A 330-byte order event, with its schema and without. `decode`: from bytes to an event. `fold`: decoded, folded into its
//! customer's totals, one update written (decode, key and its check, `set` of three fields, encode; the aim: below 3 µs).
//! `unread`: a record of 3,000 bytes in 10 and in 100 fields, to an event with the three that are read and to one with all.
//! `decide`: a command with two rules, an event that is applied, an update. `forward`: a filter, the bytes passed on.

mod fixture;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fixture::{Epoch, ORDER, RESERVE, SCHEMA, node, record, step, world};
use skald::codec::{Contract, Decoder};
use std::hint::black_box;

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

/// An event of some 3,000 bytes whose payload has three fields that somebody reads and so many that nobody does.
fn wide(unread: usize) -> String {
    let note = "x".repeat(3_000 / unread - 16);
    let others: String = (0..unread).map(|number| format!(r#","field{number:05}":"{note}""#)).collect();
    ORDER.replacen(r#""data":{"#, &format!(r#""data":{{"id":1{others},"#), 1)
}

/// A decoder for somebody who reads three fields of it, and one for somebody who reads all.
fn readers() -> [(&'static str, Decoder); 2] {
    let decoder = || Decoder::new(Contract::default());
    [("some", decoder().reading(&["customer".into(), "orderId".into(), "total".into()])), ("all", decoder())]
}

fn unread(c: &mut Criterion) {
    let mut group = c.benchmark_group("unread");
    for fields in [10, 100] {
        let value = wide(fields);
        for (which, decoder) in readers() {
            group.bench_function(format!("{which}/{fields}"), |b| b.iter(|| decoder.decode(black_box(&record(&value)))));
        }
    }
    group.finish();
}

criterion_group!(benches, steps, unread);
criterion_main!(benches);

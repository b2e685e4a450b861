//! What does an epoch cost around its steps: from the first output that is kept to the batch that is handed to the client?
//!
//! - `outputs`: 2,000 outputs of 330 bytes, each with its partition, into an epoch's batch; the same with a header on each (the aim: below
//!   0.2 µs an output).
//! - `taken back`: the same where every tenth step fails and its output is cut off again.
//! - `sealed`: 2,000 changed states into their snapshot records, in the same batch, as a commit does; `changed twice` has each state
//!   written twice in the epoch and serialized once.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use skald::broker::{Batch, NewRecord};
use skald::record::{HeaderRef, Map, Value, partition_of};
use skald::state::{Entity, Memory, SlotLimits, Slots, StoreName, Stores};
use std::hint::black_box;

const RECORDS: usize = 2_000;

fn keys() -> Vec<String> {
    (0..RECORDS).map(|number| format!("customer-{}", number * 7_919)).collect()
}

fn push(batch: &mut Batch, key: &str, value: &[u8], headers: &[HeaderRef<'_>]) {
    let (topic, timestamp) = (0, 1_795_248_000_000);
    let (partition, key, value) = (partition_of(key.as_bytes(), 12), Some(key.as_bytes()), Some(value));
    batch.push(NewRecord { topic, partition, timestamp, key, value, headers });
}

fn outputs(criterion: &mut Criterion) {
    let (keys, value) = (keys(), vec![b'x'; 330]);
    let header = [HeaderRef { name: "reply-to", value: Some(b"shop.replies") }];
    let mut group = criterion.benchmark_group("outputs");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let mut batch = Batch::new(vec!["out".into()]);
    for (name, headers) in [("plain", &[][..]), ("with a header", &header[..])] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                batch.clear();
                keys.iter().for_each(|key| push(&mut batch, key, &value, headers));
                black_box(&batch);
            });
        });
    }
    group.bench_function("taken back", |bencher| {
        bencher.iter(|| {
            batch.clear();
            for (number, key) in keys.iter().enumerate() {
                let mark = batch.mark();
                push(&mut batch, key, &value, &[]);
                if number % 10 == 9 {
                    batch.cut(mark);
                }
            }
            black_box(&batch);
        });
    });
    group.finish();
}

fn entity(number: usize) -> Entity {
    let fields = [
        ("amount", Value::from(number as i64 * 100)),
        ("lastOrderId", Value::from(format!("order-{number}"))),
        ("orders", Value::from(number as i64)),
    ];
    let value = Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map>());
    Entity { value, version: number as u64, last_event: None, state_version: 1, expires_at: None }
}

fn sealed(criterion: &mut Criterion) {
    let keys = keys();
    let mut group = criterion.benchmark_group("sealed");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for (name, times) in [("changed once", 1), ("changed twice", 2)] {
        let store = Memory::new().open(&StoreName::of_node("totals"), 0).expect("opens");
        let mut slots = Slots::new(store, "totals.0", SlotLimits { cache_bytes: 64 << 20, record_bytes: 1 << 20 });
        let mut batch = Batch::new(vec!["log".into()]);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || (0..RECORDS * times).map(|number| entity(number % RECORDS)).collect::<Vec<_>>(),
                |entities| {
                    for (entity, key) in entities.into_iter().zip(keys.iter().cycle()) {
                        slots.put_entity(key.as_bytes(), Some(entity)).expect("fits");
                        slots.keep();
                    }
                    let seen = slots.seal(&mut |entry| {
                        let (key, value) = (Some(entry.key), entry.value);
                        batch.push(NewRecord { topic: 0, partition: 0, timestamp: 0, key, value, headers: &[] });
                    });
                    black_box(seen.expect("seals"));
                    black_box(&batch);
                    batch.clear();
                    slots.committed();
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, outputs, sealed);
criterion_main!(benches);

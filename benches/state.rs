//! What does state cost?
//!
//! - `slots/key`: what making up a key takes in the next three; `slots/hit`, `slots/miss`, `slots/put`: a record's read of a cached key (the aim: below 0.1 µs), of one that has to be read and
//!   parsed, and its write.
//! - `apply`: an epoch's 2,000 dirty keys into a store on disk and in memory, serializing included.
//! - `restore`: a million changelog records of 170 bytes into an empty store on disk (the aim: 250,000 records/s).

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use skald::record::{HeaderRef, Map, RecordRef, Value};
use skald::state::layout::{FORMAT, HEADER, Role};
use skald::state::restore::{CHUNK_BYTES, Fill};
use skald::state::{Batch, Checkpoint, Disk, Entity, Memory, SlotLimits, Slots, Store, StoreName, Stores};
use std::hint::black_box;
use std::sync::Arc;

const KEYS: usize = 100_000;
const EPOCH: usize = 2_000;
const LIMITS: SlotLimits = SlotLimits { cache_bytes: 256 << 20, record_bytes: 1 << 20 };

fn entity(number: usize) -> Entity {
    let fields = [
        ("customer", Value::from(format!("customer-{}", number % 1000))),
        ("orders", Value::from(number as i64)),
        ("status", Value::from("confirmed")),
        ("total", Value::from(number as f64 * 1.25)),
    ];
    let value = Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value)).collect::<Map>());
    Entity {
        value,
        version: number as u64,
        last_event: Some("5f8a0c9e-1b1f-4d8a-9c53-0a1b2c3d4e5f".into()),
        state_version: 1,
        expires_at: None,
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("order-{number:08}").into_bytes()
}

/// Keys in an order that no cache foresees, made in place: a record's key has just been read, too.
struct Shuffled {
    number: usize,
    key: [u8; 14],
}

impl Shuffled {
    fn new() -> Self {
        Self { number: 0, key: *b"order-00000000" }
    }

    fn next(&mut self) -> &[u8] {
        self.number = (self.number + 7919) % KEYS;
        let mut rest = self.number;
        for digit in self.key[6..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.key
    }
}

fn checkpoint(next_offset: i64) -> Vec<(skald::record::Text, Checkpoint)> {
    vec![("log".into(), Checkpoint { next_offset, applied_at: 0, partitions: 1, format: FORMAT })]
}

/// Commits the epoch that is open.
fn commit(slots: &mut Slots, offset: &mut i64) {
    let mut bytes = 0;
    let writes = slots.seal(&mut |entry| bytes += entry.value.map_or(0, <[u8]>::len)).expect("seals");
    black_box(bytes);
    *offset += EPOCH as i64;
    slots.store().clone().apply(&Batch { writes, checkpoints: checkpoint(*offset) }).expect("applies");
    slots.committed();
}

fn filled(store: Arc<dyn Store>) -> (Slots, i64) {
    let (mut slots, mut offset) = (Slots::new(store, "orders.0", LIMITS), 0);
    for number in 0..KEYS {
        slots.put_entity(&key(number), Some(entity(number))).expect("fits");
        slots.keep();
        if number % 10_000 == 9_999 {
            commit(&mut slots, &mut offset);
        }
    }
    (slots, offset)
}

fn slots(c: &mut Criterion) {
    let mut group = c.benchmark_group("slots");
    let store = Memory::new().open(&StoreName::of_node("orders"), 0).expect("opens");
    let (mut slots, _) = filled(store.clone());
    let mut keys = Shuffled::new();
    group.bench_function("key", |b| b.iter(|| keys.next().len()));
    group.bench_function("hit", |b| b.iter(|| slots.entity(keys.next()).expect("reads").is_some()));
    let hot = key(7);
    group.bench_function("hit on a hot key", |b| b.iter(|| slots.entity(&hot).expect("reads").is_some()));
    let values: Vec<Entity> = (0..1000).map(entity).collect();
    let mut value = values.iter().cycle();
    group.bench_function("put", |b| {
        b.iter_batched(
            || value.next().expect("cycles").clone(),
            |entity| {
                slots.put_entity(keys.next(), Some(entity)).expect("fits");
                slots.keep();
            },
            BatchSize::SmallInput,
        );
    });
    let mut cold = Slots::new(store, "orders.0", SlotLimits { cache_bytes: 0, ..LIMITS });
    group.bench_function("miss", |b| b.iter(|| cold.entity(keys.next()).expect("reads").is_some()));
    group.finish();
}

fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(EPOCH as u64));
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::open(directory.path()).expect("opens");
    let memory = Memory::new();
    let stores: [(&str, &dyn Stores); 2] = [("disk", &disk), ("memory", &memory)];
    for (name, stores) in stores {
        let (mut slots, mut offset) = filled(stores.open(&StoreName::of_node("orders"), 0).expect("opens"));
        let mut at = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..EPOCH {
                    at = (at + 7919) % KEYS;
                    slots.put_entity(&key(at), Some(entity(at))).expect("fits");
                    slots.keep();
                }
                commit(&mut slots, &mut offset);
            });
        });
    }
    group.finish();
}

fn restore(c: &mut Criterion) {
    const RECORDS: usize = 1_000_000;
    let mut group = c.benchmark_group("restore");
    group.sample_size(10).throughput(Throughput::Elements(RECORDS as u64));
    let head = Bytes::from_static(b"v=12;s=1;e=5f8a0c9e-1b1f-4d8a-9c53-0a1b2c3d4e5f");
    let value = format!("{{\"customer\":\"customer-17\",\"status\":\"confirmed\",\"note\":\"{}\"}}", "x".repeat(50));
    let keys: Vec<Vec<u8>> = (0..RECORDS).map(|number| key((number * 7919) % RECORDS)).collect();
    println!("a record has {} bytes", keys[0].len() + value.len() + head.len());
    group.bench_function("disk", |b| {
        b.iter_batched(
            || tempfile::tempdir().expect("a directory"),
            |directory| {
                let disk = Disk::open(directory.path()).expect("opens");
                let store = Stores::open(&disk, &StoreName::of_node("orders"), 0).expect("opens");
                let mut fill = Fill::new(store, "orders.0", CHUNK_BYTES, true);
                let headers = [HeaderRef { name: HEADER, value: Some(&head) }];
                for (offset, key) in (0_i64..).zip(&keys) {
                    let record = RecordRef {
                        topic: "shop.orders.snapshots",
                        partition: 0,
                        offset,
                        timestamp: 0,
                        key: Some(key),
                        value: Some(value.as_bytes()),
                        headers: &headers,
                    };
                    fill.push(Role::Snapshots, &record).expect("is one");
                    if fill.is_full() {
                        fill.flush(&checkpoint(offset + 1)).expect("writes");
                    }
                }
                fill.flush(&checkpoint(RECORDS as i64)).expect("writes");
                drop(disk);
                directory
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, slots, apply, restore);
criterion_main!(benches);

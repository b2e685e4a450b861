//! What does it cost to find the partition of a key?
//!
//! Once per record that is written, and once per record that is read where the topic has a `key`. The answer wanted: below 0.02 µs for
//! a key of twenty bytes, so that it never pays to remember it.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skald::record::partition_of;
use std::hint::black_box;

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("partition");
    for key in ["c-17", "customer-2654435761", "8f14e45f-ceea-467f-a83f-3e5f5c9d2b11/orders/2026-11-21T08:00:00Z"] {
        group.throughput(Throughput::Bytes(key.len() as u64));
        group.bench_function(format!("{} bytes", key.len()), |bencher| {
            bencher.iter(|| partition_of(black_box(key.as_bytes()), 12));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);

//! How long does it take to check a folder of topologies?
//!
//! The answer wanted: 500 files in under 2 s, so that a check belongs into every editor and every build. The files are those of
//! `tests/topology/good` with inline schemas, over and over, each under its own name.

use criterion::{Criterion, criterion_group, criterion_main};
use skald::topology::{NoSources, across, load};
use std::hint::black_box;
use std::time::Duration;

const FILES: usize = 500;
const NAMES: [&str; 4] = ["order-mail", "totals", "unused", "saga-steps"];

fn files() -> Vec<String> {
    let texts: Vec<String> = NAMES
        .iter()
        .map(|name| {
            let path = format!("{}/tests/topology/good/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        })
        .collect();
    (0..FILES).map(|number| texts[number % texts.len()].replacen("topology: ", &format!("topology: t{number}-"), 1)).collect()
}

fn bench(criterion: &mut Criterion) {
    let files = files();
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("500 files", |bencher| {
        bencher.iter(|| {
            let loaded: Vec<_> = files.iter().map(|text| load("t.yaml", black_box(text.as_bytes()), &[], &NoSources)).collect();
            across(&loaded).len()
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);

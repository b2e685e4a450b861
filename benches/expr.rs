//! What does an expression cost per record, and what the JSON text around it?
//!
//! The answer wanted: about 0.1 µs for a condition over two fields (`design.md` §12: the `cel` crate's interpreter takes
//! 0.2–1.6 µs and 2.3–6.8 µs more to convert the record), and 0.3–0.4 µs to read an event of 330 bytes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skald::expr::{EvalError, Expect, Fuel, Names, Scope, Slot, Template, TemplateSource, Type, compile, names};
use skald::record::{Value, json};
use std::hint::black_box;

const EVENT: &str = r#"{"id":"0f8fad5b-d9cb-469f-a165-70867728950e","type":"order.created.v1","version":"1","source":"shop","timestamp":"2026-11-21T08:00:00.250Z","data":{"orderId":"o-000012345","userId":"u-00042","total":149.9,"currency":"EUR","items":[{"sku":"A-1","quantity":2,"price":49.95},{"sku":"B-7","quantity":1,"price":50.0}]},"metadata":{"correlationId":"c-1"}}"#;

struct Frame {
    data: Value,
    state: Value,
}

impl Names for Frame {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        Ok(if slot == names::DATA { &self.data } else { &self.state })
    }
}

fn bench(criterion: &mut Criterion) {
    let event = json::read(EVENT.as_bytes()).expect("JSON");
    let data = event.get("data").cloned().unwrap_or_default();
    let state = json::read(br#"{"status":"open","orders":3,"total":10.5}"#).expect("JSON");
    let frame = Frame { data, state };
    let scope = Scope::new().with(names::DATA, Type::Any).with(names::STATE, Type::Any);
    for (name, text) in [
        ("condition", "data.total > 100 && state.status == 'open'"),
        ("key", "data.orderId"),
        ("arithmetic", "state.total + data.total * 1.19"),
        ("sum of items", "sum(data.items.map(i, i.price * i.quantity))"),
        ("merge", "merge(state, {'total': data.total, 'status': 'done'})"),
        ("pattern", "data.orderId.matches('^o-[0-9]+$')"),
    ] {
        let program = compile(text, &scope, &Expect::Any).program.expect("a good expression");
        criterion.bench_function(&format!("expr/{name}"), |bencher| {
            bencher.iter(|| program.eval(black_box(&frame), &mut Fuel::new()));
        });
    }
    let text = |text: &str, place| TemplateSource::Text { text: text.to_owned(), place };
    let source = TemplateSource::Map(vec![
        ("orderId".into(), text("=data.orderId", 0)),
        ("total".into(), text("=data.total", 1)),
        ("note".into(), text("order {data.orderId} of {data.userId}", 2)),
    ]);
    let template = Template::compile(&source, &scope).0.expect("a good template");
    criterion.bench_function("template/three fields", |bencher| {
        bencher.iter(|| template.eval(black_box(&frame), &mut Fuel::new()));
    });
    criterion.bench_function("compile/condition", |bencher| {
        bencher.iter(|| compile(black_box("data.total > 100 && state.status == 'open'"), &scope, &Expect::Any));
    });

    let mut group = criterion.benchmark_group("json");
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(|| json::read(black_box(EVENT.as_bytes()))));
    let mut out = Vec::with_capacity(1024);
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            out.clear();
            json::write(black_box(&event), &mut out)
        });
    });
    group.bench_function("read by sonic-rs into its own values", |bencher| {
        bencher.iter(|| sonic_rs::from_slice::<sonic_rs::Value>(black_box(EVENT.as_bytes())));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);

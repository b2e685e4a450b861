//! `dedupe` on the production loop: each thing passes once, whatever dies, moves or comes again.

use crate::{failures, suite};
use skald::scenario::coverage;
use std::fmt::Write as _;

const HEAD: &str = "skald-test: 1\ntopology: sieve.yaml\ncases:\n";

#[test]
fn what_was_seen_is_dropped_across_crashes_until_its_time_has_passed() {
    for point in
        ["now", "before-commit", "while-writing", "after-writing", "after-offsets", "in-commit", "after-commit", "after-apply"]
    {
        for disk in ["kept", "lost"] {
            let crash = format!("crash: {{ at: {point}, disk: {disk} }}");
            let text = format!(
                "{HEAD}  - name: x
    steps:
      - when: [{{ {crash} }}, {{ type: a.v1, id: i1, times: 3, data: {{ k: a, n: 1 }} }}, {{ type: a.v1, id: i2, data: {{ k: a, n: -1 }} }}]
        then: [{{ type: b.v1, data: {{ n: 1 }} }}, none: true]
      - when: [advance: 599s, {{ crash: {{ disk: {disk} }} }}, {{ type: a.v1, id: i1, times: 2, data: {{ k: a, n: 2 }} }}]
        then: [none: true]
      - when: [advance: 1s, {{ type: a.v1, id: i1, times: 2, data: {{ k: a, n: 3 }} }}]
        then: [{{ type: b.v1, data: {{ n: 3 }} }}, none: true]
"
            );
            let suite = suite(&text);
            assert_eq!(failures(&suite, 0), "", "{point}, disk {disk}");
            let covered = coverage::of([&suite]).remove(0);
            assert_eq!(covered.missing().count(), 0, "{}", covered.text());
        }
    }
}

/// Messages of several keys, each once or more often, in an order of chance, with workers that come, leave and die in between.
fn seeded(seed: u64) -> String {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = format!("{HEAD}  - name: seed {seed}\n    workers: 2\n    steps:\n");
    let (mut workers, mut seen) = (2, Vec::new());
    for _ in 0..4 {
        let (mut when, mut then) = (String::new(), String::new());
        for _ in 0..random.usize(3..8) {
            match random.u8(..6) {
                0 if workers < 4 => {
                    workers += 1;
                    when.push_str("          - rebalance: join\n");
                }
                1 if workers > 1 => {
                    workers -= 1;
                    when.push_str("          - rebalance: leave\n");
                }
                2 => {
                    let disk = if random.bool() { "kept" } else { "lost" };
                    let _ = writeln!(when, "          - crash: {{ worker: {}, disk: {disk} }}", random.usize(1..=workers));
                }
                3 => when.push_str("          - advance: 1s\n"),
                _ => {
                    let (key, number, times) = (random.u8(..5), random.u8(..12), random.u8(1..4));
                    let data = format!("data: {{ k: k{key}, n: {number} }}");
                    let _ = writeln!(when, "          - {{ type: a.v1, id: i{key}-{number}, times: {times}, {data} }}");
                    if !seen.contains(&(key, number)) {
                        seen.push((key, number));
                        let _ = writeln!(then, "          - {{ type: b.v1, key: k{key}, {data} }}");
                    }
                }
            }
        }
        when.push_str("          - { type: a.v1, data: { k: z, n: -1 } }\n");
        let _ = write!(text, "      - when:\n{when}        then:\n{then}          - none: true\n");
    }
    text
}

#[test]
fn each_thing_passes_once_whatever_happens() {
    for seed in 0..40 {
        let text = seeded(seed);
        assert_eq!(failures(&suite(&text), 0), "", "seed {seed}\n{text}");
    }
}

//! Records that may pass later, under load, kills and rebalances: the order of every key, nothing lost, nothing twice.

use super::shop::message;
use super::{LONG, Sample, stop};
use crate::tools::{Engine, Input, create_topic, produce, read_committed, try_committed, unique};
use serde_json::{Value, json};
use skald::clock::{Clock, SystemClock};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

pub(super) const PARTITIONS: u32 = 4;
pub(super) const KEYS: u64 = 200;

/// What is to become of a number. Those that fail for a while are of every fifth key, a quarter of its records: the other keys are
/// healthy.
pub(super) fn passes_at(number: u64) -> u64 {
    let fails = key_of(number).is_multiple_of(5) && (number / KEYS).is_multiple_of(4);
    if fails { 2 + number % 3 } else { 1 }
}

pub(super) fn is_poison(number: u64) -> bool {
    (number / KEYS + key_of(number)) % 20 == 7
}

pub(super) fn key_of(number: u64) -> u64 {
    number * 7 % KEYS
}

pub(super) fn record(number: u64, passes: u64, poison: bool) -> Input {
    let key = format!("key-{}", key_of(number));
    let data = json!({ "key": key, "n": number, "passes": passes, "poison": poison });
    Input::new(key, message(format!("n-{number}"), "number.v1", data))
}

/// A topology that passes numbers on, each at the try that it says; `more` stands under its `errors`.
pub(super) fn waits(topology: &str, from: &str, to: &str, more: &str) -> String {
    format!(
        r#"
skald: 1
topology: {topology}
topics:
  {from}: {{ partitions: {PARTITIONS}, key: data.key, types: {{ number.v1: {{}} }} }}
  {to}: {{ partitions: {PARTITIONS}, types: {{ passed.v1: {{}} }} }}
pipelines:
  pass:
    from: {from}
    steps:
      - require:
          - {{ that: ctx.attempt >= data.passes, code: NOT_YET, retryable: true }}
          - {{ that: "!data.poison", code: POISON }}
      - emit: {{ type: passed.v1, to: {to}, key: data.key, data: {{ key: =data.key, n: =data.n }} }}
    errors:
      retry: {{ attempts: 6, backoff: 200ms, max_backoff: 1s }}
{more}"#
    )
}

struct Waits {
    sample: Sample,
    brokers: String,
    sent: u64,
}

impl Waits {
    fn new(brokers: &str) -> Self {
        let prefix = unique("t");
        let topology = format!("{prefix}-waits");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("waits.yaml");
        let text = waits(&topology, &format!("{prefix}.numbers"), &format!("{prefix}.passed"), "");
        fs::write(&file, text).expect("the folder is writable");
        for topic in ["numbers", "passed"] {
            create_topic(brokers, &format!("{prefix}.{topic}"), PARTITIONS, &[]);
        }
        Self { sample: Sample { folder, file, prefix, topology }, brokers: brokers.to_owned(), sent: 0 }
    }

    fn send(&mut self, count: u64) {
        let numbers = self.sent..self.sent + count;
        self.sent += count;
        let records = numbers.map(|number| record(number, passes_at(number), is_poison(number)));
        produce(&self.brokers, &self.sample.topic("numbers"), PARTITIONS, records);
    }

    /// Numbers that were read, whether they have passed or wait.
    fn read(&self) -> u64 {
        let committed = try_committed(&self.brokers, &self.sample.topology, &self.sample.topic("numbers"), PARTITIONS);
        let offsets = committed.into_iter().flatten().flatten().map(|(offset, _)| offset);
        offsets.map(|offset| u64::try_from(offset).expect("offsets count from 0")).sum()
    }

    fn passed(&self) -> Vec<(String, u64)> {
        let read = |value: Option<Vec<u8>>| {
            let event: Value = serde_json::from_slice(&value.expect("an event")).expect("JSON");
            (event["data"]["key"].as_str().expect("a key").to_owned(), event["data"]["n"].as_u64().expect("a number"))
        };
        read_committed(&self.brokers, &self.sample.topic("passed")).into_iter().map(|output| read(output.value)).collect()
    }

    fn letters(&self) -> Vec<u64> {
        let read = |value: Option<Vec<u8>>| {
            let event: Value = serde_json::from_slice(&value.expect("an event")).expect("JSON");
            event["data"]["n"].as_u64().expect("a number")
        };
        read_committed(&self.brokers, &format!("{}.dlq", self.sample.topology))
            .into_iter()
            .map(|letter| read(letter.value))
            .collect()
    }

    fn wait(&self, what: &str, workers: &mut [&mut Engine], mut holds: impl FnMut(&Self) -> bool) {
        let clock = SystemClock::new();
        while !holds(self) {
            for worker in workers.iter_mut() {
                assert!(!worker.has_ended(), "a worker ended by itself:\n{}", worker.output());
                assert!(clock.mono() < LONG, "never came: {what}; a worker said:\n{}", worker.output());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn two_hundred_keys_keep_their_order_while_some_of_their_records_wait_and_workers_die() {
    let brokers = brokers!();
    let mut waits = Waits::new(brokers);
    waits.send(2_000);
    let mut steady = waits.sample.worker(brokers, "steady");
    let mut victim = waits.sample.worker(brokers, "victim");
    waits.wait("the first are read", &mut [&mut steady, &mut victim], |waits| waits.read() >= 200);
    waits.send(2_000);
    victim.kill();
    waits.wait("one goes on alone", &mut [&mut steady], |waits| waits.read() >= 2_500);
    // A rebalance, with records that wait on both sides of it.
    let mut heir = waits.sample.worker(brokers, "heir");
    waits.send(2_000);
    let poison: BTreeSet<u64> = (0..waits.sent).filter(|number| is_poison(*number)).collect();
    let late = (0..waits.sent).filter(|number| passes_at(*number) > 1).count() as u64;
    for (what, count) in [("poison", poison.len() as u64), ("late", late)] {
        assert!((4..=6).contains(&(count * 100 / waits.sent)), "{count} of {} are {what}", waits.sent);
    }
    let all = (waits.sent as usize) - poison.len();
    waits.wait("all have passed", &mut [&mut steady, &mut heir], |waits| waits.passed().len() >= all);
    waits.wait("all others are dead letters", &mut [&mut steady, &mut heir], |waits| waits.letters().len() >= poison.len());
    stop(heir);
    stop(steady);

    let mut wanted: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for number in (0..waits.sent).filter(|number| !poison.contains(number)) {
        wanted.entry(format!("key-{}", key_of(number))).or_default().push(number);
    }
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    waits.passed().into_iter().for_each(|(key, number)| found.entry(key).or_default().push(number));
    for (key, wanted) in &wanted {
        assert_eq!(found.get(key), Some(wanted), "`{key}`: in the order sent, each once");
    }
    assert_eq!(found.len(), wanted.len());
    let mut letters = waits.letters();
    letters.sort_unstable();
    assert_eq!(letters, poison.into_iter().collect::<Vec<_>>(), "each once");
}

//! When a store goes on from where it was, and that one filled from its changelog equals the one that was lost.

use super::super::layout::{self, Index, Role, Tag, expiring};
use super::*;
use crate::record::{HeaderRef, RecordRef, Text, Value};
use crate::state::{Batch, Entity, Error, Expiring, Memory, SimulatedDisk, SlotLimits, Slots, Store, StoreName, Stores, Write};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

const SNAPSHOTS: &str = "shop.orders.snapshots";
const CHANGELOG: &str = "shop.orders.changelog";

fn store() -> Arc<dyn Store> {
    Memory::new().open(&StoreName::of_node("orders"), 0).expect("memory opens")
}

fn record<'a>(key: &'a [u8], value: Option<&'a [u8]>, headers: &'a [HeaderRef<'a>], offset: i64) -> RecordRef<'a> {
    RecordRef { topic: SNAPSHOTS, partition: 3, offset, timestamp: 0, key: Some(key), value, headers }
}

fn reached(changelog: &str, next_offset: i64) -> (Text, Checkpoint) {
    (changelog.into(), Checkpoint { next_offset, applied_at: 0, partitions: 4, format: FORMAT })
}

fn all(store: &dyn Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    store
        .scan(&(Bound::Unbounded, Bound::Unbounded), &mut |key, value| {
            found.insert(key.to_vec(), value.to_vec());
            true
        })
        .expect("scans");
    found
}

#[test]
fn a_store_resumes_unless_something_speaks_against_it() {
    let day = 86_400_000;
    let now = 100 * day;
    let checkpoint = Checkpoint { next_offset: 50, applied_at: now - day, partitions: 4, format: FORMAT };
    let good = Changelog { checkpoint: Some(checkpoint), start: 10, end: 90, partitions: 4, delete_retention: Some(7 * day) };
    let with = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = checkpoint;
        change(&mut checkpoint);
        Changelog { checkpoint: Some(checkpoint), ..good }
    };
    let rebuild = |reason| Start::Rebuild { from: vec![10], reason };
    for (changelog, expected) in [
        (good, Start::Resume(vec![50])),
        (Changelog { checkpoint: None, ..good }, Start::Resume(vec![10])),
        (Changelog { end: 50, ..good }, Start::Resume(vec![50])),
        (Changelog { end: 49, ..good }, rebuild(Reason::BeyondEnd { reached: 50, end: 49 })),
        (Changelog { partitions: 6, ..good }, rebuild(Reason::Partitions { then: 4, now: 6 })),
        (with(&|c| c.next_offset = 9), rebuild(Reason::BeforeStart { reached: 9, start: 10 })),
        (with(&|c| c.format = FORMAT + 1), rebuild(Reason::Format(FORMAT + 1))),
        (with(&|c| c.applied_at = now - 4 * day), rebuild(Reason::TooOld { age_ms: 4 * day })),
        (with(&|c| c.applied_at = now + 4 * day), rebuild(Reason::TooOld { age_ms: -4 * day })),
        (with(&|c| c.applied_at = now + day), Start::Resume(vec![50])),
        (with(&|c| c.applied_at = i64::MIN), rebuild(Reason::TooOld { age_ms: i64::MAX })),
        (Changelog { delete_retention: None, ..with(&|c| c.applied_at = 0) }, Start::Resume(vec![50])),
    ] {
        assert_eq!(decide(&[changelog], now), expected, "{changelog:?}");
    }
    let bad = Changelog { end: 20, ..good };
    let from_start = Start::Rebuild { from: vec![10, 10], reason: Reason::BeyondEnd { reached: 50, end: 20 } };
    assert_eq!(decide(&[good, bad], now), from_start, "one that fails takes the others with it");
    assert_eq!(decide(&[good, Changelog { checkpoint: None, start: 0, ..good }], now), Start::Resume(vec![50, 0]));
}

#[test]
fn a_record_that_is_no_entry_is_named_with_its_place() {
    let mut fill = Fill::new(store(), "orders.3", CHUNK_BYTES, true);
    let head = [HeaderRef { name: layout::HEADER, value: Some(b"v=1;s=1") }];
    fill.push(Role::Snapshots, &record(b"a", Some(b"{}"), &head, 6)).expect("is one");
    let error = fill.push(Role::Snapshots, &record(b"b", Some(b"{}"), &[], 7)).expect_err("has no header");
    let text = "store `orders.3` holds an unreadable entry: a snapshot without the header `skald` (`shop.orders.snapshots` 3, offset 7)";
    assert_eq!(error.to_string(), text);
    let keyless = RecordRef { key: None, ..record(b"", None, &[], 8) };
    assert!(matches!(fill.push(Role::Snapshots, &keyless), Err(Error::Unreadable { .. })));
    assert!(matches!(fill.push(Role::Changelog, &record(b"\x09w", None, &[], 9)), Err(Error::Unreadable { .. })));
    assert_eq!(fill.flush(&[reached(SNAPSHOTS, 7)]).expect("writes").entries, 1, "what could not be read left nothing");
}

#[test]
fn progress_tells_rate_and_time_left() {
    let mut progress = Progress::new(Duration::from_secs(10), 1000);
    assert_eq!(progress.figures(Duration::from_secs(10), 1000).left, None);
    for _ in 0..200 {
        progress.add(100);
    }
    let figures = progress.figures(Duration::from_secs(12), 750);
    let expected = ProgressFigures {
        records: 200,
        bytes: 20_000,
        records_per_second: 100.0,
        done: 0.25,
        left: Some(Duration::from_secs(6)),
    };
    assert_eq!(figures, expected);
    let nothing = Progress::new(Duration::ZERO, 0).figures(Duration::ZERO, 0);
    assert_eq!((nothing.done, nothing.left), (1.0, Some(Duration::ZERO)));
}

#[test]
fn a_check_finds_marks_and_index_entries_without_each_other() {
    let mark = |at| {
        let mut stored = Vec::new();
        expiring::append(&Expiring { expires_at: at, value: Bytes::new() }, &mut stored);
        Write { key: Tag::Mark.key(b"r").into(), value: Some(stored.into()) }
    };
    let index = |at| Write { key: Index::Marks.key(at, b"r").into(), value: Some(Bytes::new()) };
    for (writes, whole) in [
        (vec![], true),
        (vec![mark(5), index(5)], true),
        (vec![mark(-5), index(-5)], true),
        (vec![mark(5)], false),
        (vec![index(5)], false),
        (vec![mark(5), index(6)], false),
        (vec![mark(5), index(5), index(6)], false),
    ] {
        let store = store();
        store.apply(&Batch { writes: writes.clone(), checkpoints: vec![] }).expect("applies");
        assert_eq!(check_derived(&*store, "orders.0").is_ok(), whole, "{writes:?}");
    }
}

/// A change as it was committed.
#[derive(Clone, Debug)]
enum Change {
    Entity(u8, Option<i64>),
    Mark(u8, Option<i64>),
    Timer(u8, Option<i64>),
    Own(u8, Option<u8>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (0..6_u8, proptest::option::weighted(0.7, any::<i64>())).prop_map(|(key, value)| Change::Entity(key, value)),
        (0..6_u8, proptest::option::weighted(0.7, -1..9_i64)).prop_map(|(key, value)| Change::Mark(key, value)),
        (0..6_u8, proptest::option::weighted(0.7, -1..9_i64)).prop_map(|(key, value)| Change::Timer(key, value)),
        (0..6_u8, proptest::option::weighted(0.7, any::<u8>())).prop_map(|(key, value)| Change::Own(key, value)),
    ];
    proptest::collection::vec(change, 0..60)
}

/// A record of a log: role, key, value, head.
type Logged = (Role, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// Runs the changes through a cache, one epoch each, as the runtime does; gives the store and what went to the logs.
fn run(changes: &[Change]) -> (Arc<dyn Store>, Vec<Logged>) {
    let limits = SlotLimits { cache_bytes: 1 << 20, record_bytes: 1 << 20 };
    let mut slots = Slots::new(store(), "orders.0", limits);
    let mut log = Vec::new();
    for change in changes {
        match *change {
            Change::Entity(key, value) => {
                let entity = value.map(|value| Entity {
                    value: Value::from(value),
                    version: 1,
                    last_event: None,
                    state_version: 1,
                    expires_at: (value % 3 == 0).then_some(value / 1000),
                });
                slots.put_entity(&[key], entity).expect("fits");
            }
            Change::Mark(key, at) => {
                let mark = at.map(|at| Expiring { expires_at: at, value: Bytes::from_static(b"reply") });
                slots.put_expiring(Tag::Mark, &[key], mark.as_ref()).expect("fits");
            }
            Change::Timer(key, Some(at)) => {
                slots.set_timer(&[key % 2], &[key], at, Bytes::from_static(b"payload"), 0).expect("fits");
            }
            Change::Timer(key, None) => {
                slots.cancel_timer(&[key % 2], &[key]).expect("fits");
            }
            Change::Own(key, value) => {
                slots.put_row(Tag::Own, &[key], value.map(|value| vec![value].into())).expect("fits");
            }
        }
        let writes = slots
            .seal(&mut |entry| {
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                log.push((entry.role, entry.key.to_vec(), owned(entry.value), owned(entry.head)));
            })
            .expect("seals");
        slots.store().clone().apply(&Batch { writes, checkpoints: vec![] }).expect("applies");
        slots.committed();
    }
    (slots.store().clone(), log)
}

proptest! {
    #[test]
    fn a_restored_store_equals_the_one_that_was_lost(
        changes in changes(),
        flushes in proptest::collection::vec(1..12_usize, 1..12),
        crash_after in proptest::option::of(0..8_usize),
        stale in any::<bool>(),
    ) {
        let (expected, log) = run(&changes);
        let disk = SimulatedDisk::new();
        let name = StoreName::of_node("orders");
        let mut flushes = flushes.into_iter().cycle();
        let (mut flushed, mut crashed) = (0, false);
        // Both logs are read as one here; a checkpoint counts what was pushed of each.
        let mut target = disk.open(&name, 0).expect("opens");
        let mut fill = Fill::new(target.clone(), "orders.0", CHUNK_BYTES, true);
        let (mut at, mut until) = (0, flushes.next().expect("cycles"));
        while at < log.len() {
            let (role, key, value, head) = &log[at];
            let header = [HeaderRef { name: layout::HEADER, value: head.as_deref() }];
            fill.push(*role, &record(key, value.as_deref(), &header, at as i64)).expect("was written by us");
            at += 1;
            if at == until || at == log.len() {
                fill.flush(&[reached(SNAPSHOTS, at as i64), reached(CHANGELOG, at as i64)]).expect("writes");
                check_derived(&*target, "orders.0").expect("agrees after every chunk");
                flushed += 1;
                until = at + flushes.next().expect("cycles");
                if crash_after == Some(flushed) && !crashed {
                    crashed = true;
                    disk.crash(disk.at_risk() / 2);
                    target = disk.open(&name, 0).expect("opens");
                    let resumed = target.checkpoint(CHANGELOG).expect("reads").map_or(0, |checkpoint| checkpoint.next_offset);
                    // What lies before the checkpoint is read again at times: a tail that is replayed twice.
                    at = resumed as usize;
                    until = at + flushes.next().expect("cycles");
                    fill = Fill::new(target.clone(), "orders.0", CHUNK_BYTES, resumed == 0);
                    if stale {
                        // A record that was read but not flushed before is read again first.
                        if let Some((role, key, value, head)) = log.get(at) {
                            let header = [HeaderRef { name: layout::HEADER, value: head.as_deref() }];
                            fill.push(*role, &record(key, value.as_deref(), &header, at as i64)).expect("ours");
                        }
                    }
                }
            }
        }
        let mut found = all(&*target);
        found.retain(|key, _| key[0] != Tag::Meta as u8);
        prop_assert_eq!(found, all(&*expected));
    }
}

#[test]
fn large_pieces_are_ingested_and_small_ones_applied_with_equal_result() {
    let disk = SimulatedDisk::new();
    let target = disk.open(&StoreName::of_node("orders"), 0).expect("opens");
    let mut fill = Fill::new(target.clone(), "orders.0", 3 << 20, true);
    let head = [HeaderRef { name: layout::HEADER, value: Some(b"v=1;s=1") }];
    let value = format!("\"{}\"", "x".repeat(1000));
    let mut offset = 0;
    while !fill.is_full() {
        let key = format!("k{:05}", (offset * 7919) % 10_000);
        fill.push(Role::Snapshots, &record(key.as_bytes(), Some(value.as_bytes()), &head, offset)).expect("is one");
        offset += 1;
    }
    fill.flush(&[reached(SNAPSHOTS, offset)]).expect("ingests");
    assert_eq!(disk.at_risk(), 0, "ingested, so durable");
    fill.push(Role::Snapshots, &record(b"k00000", None, &[], offset)).expect("is one");
    fill.flush(&[reached(SNAPSHOTS, offset + 1)]).expect("applies");
    assert_eq!(disk.at_risk(), 1, "applied, so at risk");
    let left = all(&*target).keys().filter(|key| key[0] == Tag::State as u8).count();
    assert_eq!(left, offset as usize - 1);
}

//! Rows: what lies in changelogs, snapshots topics and stores. Any bytes are refused, or read; what is read and written again is the
//! same. A store that was filled with them can be used.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use skald::applied::Applied;
use skald::codec::{Contract, Decoder};
use skald::node::testing::Bench;
use skald::node::{Firing, Node, send_kept};
use skald::record::{HeaderRef, KeptRecord, RecordRef, Text, Value, json};
use skald::saga;
use skald::state::layout::{Index, Role, Tag, entity, expiring, index, key, meta, parked, timer};
use skald::state::restore::{CHUNK_BYTES, Fill, check_derived};
use skald::state::{Memory, SlotLimits, Slots, StoreName, Stores};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static STEPS: RefCell<(Bench, Box<dyn Node>)> = RefCell::new(bench(include_str!("../../tests/saga/fulfilment.yaml")));
    static STATES: RefCell<(Bench, Box<dyn Node>)> = RefCell::new(bench(include_str!("../../tests/saga/journey.yaml")));
}

fn bench(yaml: &str) -> (Bench, Box<dyn Node>) {
    let bench = Bench::of_text(yaml, saga::compile);
    let nodes = 0..bench.world.plan.nodes.len();
    let node = nodes.into_iter().find_map(|node| saga::compile(&bench.world, node)).expect("a saga");
    (bench, node)
}

// The kind of entry, the length of the key, the key, the value.
fuzz_target!(|bytes: &[u8]| {
    let [kind, length, rest @ ..] = bytes else { return };
    let (key, value) = rest.split_at(usize::from(*length).min(rest.len()));
    layouts(key, value);
    restore(*kind, key, value);
    STEPS.with_borrow_mut(|(bench, node)| sagas(bench, &**node, value));
    STATES.with_borrow_mut(|(bench, node)| sagas(bench, &**node, value));
    if let Some(applied) = Applied::of(value, "fuzz") {
        assert_eq!(Applied::of(&applied.to_bytes(), "fuzz").as_ref(), Some(&applied));
    }
});

/// Each layout by itself.
fn layouts(key_bytes: &[u8], value: &[u8]) {
    let stored = Bytes::copy_from_slice(value);
    if let Ok(read) = entity::read(value) {
        let mut written = Vec::new();
        entity::append_entity(&read, &mut written).expect("it came from JSON");
        assert_eq!(entity::read(&written).as_ref(), Ok(&read));
        assert_eq!(entity::expires_at(value), Ok(read.expires_at));
    }
    let _ = entity::read_head(value);
    if let Ok(read) = timer::read(&stored) {
        let mut written = Vec::new();
        timer::append(&read, &mut written);
        assert_eq!((&written[..], timer::due(value)), (value, Ok(read.due)));
    }
    if let Ok((owner, name)) = timer::read_key(key_bytes) {
        assert_eq!(timer::key(&owner, name), key_bytes);
    }
    if let Ok(read) = expiring::read(&stored) {
        let mut written = Vec::new();
        expiring::append(&read, &mut written);
        assert_eq!(&written[..], value);
    }
    let _ = meta::read_checkpoint(value);
    for tag in (0..=u8::MAX).filter_map(Tag::from_byte) {
        let _ = index::moment(tag, value);
    }
    for index in Index::ALL {
        if let Ok((at, rest)) = index.read_key(key_bytes) {
            assert_eq!(index.key(at, rest), key_bytes);
        }
    }
    let mut rest = key_bytes;
    if let Ok(part) = key::read_part(&mut rest) {
        let mut written = Vec::new();
        key::append_part(&part, &mut written);
        assert_eq!(written, key_bytes[..key_bytes.len() - rest.len()]);
    }
    if let Ok(standing) = parked::read_standing(value) {
        assert_eq!(parked::read_standing(&parked::standing_value(&standing)), Ok(standing));
        assert_eq!(parked::moment(value), Ok(standing.due));
    }
    if let Ok(totals) = parked::read_totals(value) {
        assert_eq!(parked::read_totals(&parked::totals_value(&totals)), Ok(totals));
    }
    if let Ok(next) = parked::read_tail(value) {
        assert_eq!(parked::read_tail(&parked::tail_value(next)), Ok(next));
    }
    if let Ok(place) = parked::read_holder(value) {
        assert_eq!(parked::holder_value(place), value);
    }
    let _ = (parked::read_record(value), parked::read_standing_key(key_bytes));
    if let Ok(kept) = KeptRecord::read(value) {
        let headers: Vec<HeaderRef<'_>> = kept.headers.iter().map(|header| header.as_ref()).collect();
        let mut written = Vec::new();
        KeptRecord::append(&kept.as_ref(&headers), &mut written);
        assert_eq!(written, value);
    }
}

/// A record of a changelog on its way into a store, and every way to look at what is there then.
fn restore(kind: u8, key: &[u8], value: &[u8]) {
    let role = if kind & 1 == 0 { Role::Changelog } else { Role::Snapshots };
    let mut halves = value.splitn(2, |byte| *byte == b'\n');
    let (head, state) = (halves.next(), halves.next());
    let headers = [HeaderRef { name: skald::state::layout::HEADER, value: head }];
    let (value, headers) = match role {
        Role::Changelog => (Some(value), &[][..]),
        Role::Snapshots => (state, &headers[..]),
    };
    let record = RecordRef { topic: "fuzz", partition: 0, offset: 7, timestamp: 0, key: Some(key), value, headers };
    let store = Memory::new().open(&StoreName::of_node("node"), 0).expect("memory");
    let mut fill = Fill::new(Arc::clone(&store), "node", CHUNK_BYTES, kind & 2 == 0);
    if fill.push(role, &record).is_err() {
        return;
    }
    fill.flush(&[]).expect("what was taken can be written");
    check_derived(&*store, "node").expect("rows and indexes agree");
    let limits = SlotLimits { cache_bytes: 1 << 20, record_bytes: 1 << 20 };
    let mut slots = Slots::new(store, "node", limits);
    let rest = key.get(1..).unwrap_or_default();
    let parked = rest.get(1..).unwrap_or_default();
    for key in [key, rest, parked] {
        let _ = slots.entity(key);
        let _ = slots.timer_at(key);
        let _ = (slots.expiring(Tag::Mark, key), slots.expiring(Tag::Early, key), slots.row(Tag::Own, key));
        let _ = (slots.standing(key), slots.tail(key), slots.holder(key), slots.parked_record(key, parked::FIRST));
    }
    let _ = (slots.parked(), slots.standings());
    for index in Index::ALL {
        let first = slots.first(index).expect("the index was written here");
        // A state's own text is read when it is needed, and may be refused then.
        let due = slots.due(index, i64::MAX - 1, 10).map(|due| !due.is_empty());
        match due {
            Ok(due) => assert_eq!(due, first.is_some(), "{index:?}: {first:?}"),
            Err(_) => assert!(first.is_some(), "{index:?}"),
        }
    }
}

/// What a saga keeps, and what operators want of it.
fn sagas(bench: &mut Bench, node: &dyn Node, value: &[u8]) {
    let saga = &bench.world.topology.sagas[0];
    if let Ok(stored) = json::read(value) {
        let _ = saga::summary(&stored);
        // The definition that it began with is the one at hand.
        let definition = stored.get("definition").and_then(Value::as_str).map(Text::new).unwrap_or_default();
        if let Ok(row) = saga::decode(&stored, "id", saga, &definition) {
            assert_eq!(saga::decode(&saga::encode(&row, saga), "id", saga, &definition), Ok(row));
        }
    }
    let _ = saga::Counts::read(value);
    let record =
        RecordRef { topic: "fuzz", partition: 0, offset: 7, timestamp: 0, key: None, value: Some(value), headers: &[] };
    if let Ok(Some(event)) = Decoder::new(Contract::default()).decode(&record) {
        let _ = saga::Act::read(&event);
    }
    if let Some(timer) = std::str::from_utf8(value).ok().and_then(saga::Timer::parse) {
        assert_eq!(timer.to_string().as_bytes(), value);
    }
    let payload = Bytes::copy_from_slice(value);
    let firing = Firing { store: 0, owner: b"id", name: b"n", generation: 1, due: 0, payload: &payload };
    let world = Arc::clone(&bench.world);
    let _ = send_kept(&world, node, &firing, &mut bench.memory);
    bench.memory.sent.clear();
    bench.memory.letters.clear();
}

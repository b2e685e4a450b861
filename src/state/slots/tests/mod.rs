//! The decoded cache of a task: what an epoch sees, takes back, seals and commits.

mod rows;

use super::*;
use crate::record::Millis;
use crate::record::Value;
use crate::state::{Batch, Checkpoint, Expiring, Memory, StoreName, Stores};
use proptest::prelude::*;
use std::collections::BTreeMap;

const LIMITS: SlotLimits = SlotLimits { cache_bytes: 1 << 20, record_bytes: 1 << 20 };

fn store() -> Arc<dyn Store> {
    Memory::new().open(&StoreName::of_node("orders"), 0).expect("memory opens")
}

fn slots(limits: SlotLimits) -> Slots {
    Slots::new(store(), "orders.0", limits)
}

fn entity(number: i64) -> Entity {
    Entity { value: Value::from(number), version: number.unsigned_abs(), last_event: None, state_version: 1, expires_at: None }
}

fn mark(expires_at: Millis) -> Expiring {
    Expiring { expires_at, value: Bytes::from_static(b"done") }
}

fn put_mark(slots: &mut Slots, id: &[u8], mark: Option<Expiring>) {
    slots.put_expiring(Tag::Mark, id, mark.as_ref()).expect("fits");
}

/// What the runtime does around a commit.
fn commit(slots: &mut Slots, next_offset: i64) -> Vec<Write> {
    let writes = slots.seal(&mut |_| {}).expect("seals");
    let checkpoint = Checkpoint { next_offset, applied_at: 0, partitions: 1, format: layout::FORMAT };
    let batch = Batch { writes: writes.clone(), checkpoints: vec![("log".into(), checkpoint)] };
    slots.store().clone().apply(&batch).expect("applies");
    slots.committed();
    writes
}

fn contents(store: &dyn Store, tag: Tag) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    store
        .scan(&tag.range(&[]), &mut |key, value| {
            found.insert(key[1..].to_vec(), value.to_vec());
            true
        })
        .expect("scans");
    found
}

/// V14: the indexes by time hold what the rows say, and nothing else.
fn assert_index_agrees(store: &dyn Store) {
    crate::state::restore::check_derived(store, "orders.0").expect("agrees");
}

#[test]
fn a_key_that_changes_often_is_written_once_per_epoch() {
    let mut slots = slots(LIMITS);
    for number in 0..1000 {
        slots.put_entity(b"a", Some(entity(number))).expect("fits");
        slots.keep();
    }
    let mut log = Vec::new();
    let writes = slots
        .seal(&mut |entry| log.push((entry.key.to_vec(), entry.value.map(<[u8]>::to_vec), entry.head.map(<[u8]>::to_vec))))
        .expect("seals");
    assert_eq!(log, [(b"a".to_vec(), Some(b"999".to_vec()), Some(b"v=999;s=1".to_vec()))]);
    assert_eq!(writes.len(), 1);
}

#[test]
fn reads_see_the_epoch_then_what_is_committed_then_the_store() {
    let mut slots = slots(LIMITS);
    slots.put_entity(b"a", Some(entity(1))).expect("fits");
    commit(&mut slots, 1);
    let mut fresh = Slots::new(slots.store().clone(), "orders.0", LIMITS);
    assert_eq!(fresh.entity(b"a").expect("reads"), Some(&entity(1)));
    fresh.put_entity(b"a", Some(entity(2))).expect("fits");
    assert_eq!(fresh.entity(b"a").expect("reads"), Some(&entity(2)));
    fresh.put_entity(b"a", None).expect("fits");
    assert_eq!(fresh.entity(b"a").expect("reads"), None);
    fresh.forget();
    assert_eq!(fresh.entity(b"a").expect("reads"), Some(&entity(1)));
    assert_eq!(fresh.counts().misses, 1);
}

#[test]
fn that_nothing_is_there_is_remembered() {
    let mut slots = slots(LIMITS);
    for _ in 0..3 {
        assert_eq!(slots.entity(b"nobody").expect("reads"), None);
        assert_eq!(slots.expiring(Tag::Mark, b"nobody").expect("reads"), None);
    }
    assert_eq!(slots.counts(), SlotCounts { hits: 4, misses: 2, evictions: 0, index_reads: 0 });
}

#[test]
fn a_record_that_fails_takes_back_its_own_changes_only() {
    let mut slots = slots(LIMITS);
    slots.put_entity(b"a", Some(entity(1))).expect("fits");
    slots.keep();
    let outer = slots.savepoint();
    slots.put_entity(b"a", Some(entity(2))).expect("fits");
    let inner = slots.savepoint();
    slots.put_entity(b"a", None).expect("fits");
    slots.put_entity(b"b", Some(entity(3))).expect("fits");
    put_mark(&mut slots, b"r", Some(mark(5)));
    slots.rollback_to(inner);
    assert_eq!(slots.entity(b"a").expect("reads"), Some(&entity(2)));
    slots.rollback_to(outer);
    assert_eq!(slots.entity(b"a").expect("reads"), Some(&entity(1)));
    assert_eq!(slots.entity(b"b").expect("reads"), None);
    assert_eq!(commit(&mut slots, 1).len(), 1);
    assert_eq!(slots.pending_bytes(), 0);
}

#[test]
#[should_panic(expected = "void once its changes are kept")]
fn a_savepoint_is_void_once_the_record_is_done() {
    let mut slots = slots(LIMITS);
    let savepoint = slots.savepoint();
    slots.keep();
    slots.rollback_to(savepoint);
}

#[test]
#[should_panic(expected = "no put between seal")]
fn a_sealed_epoch_takes_no_more_changes() {
    let mut slots = slots(LIMITS);
    slots.seal(&mut |_| {}).expect("seals");
    let _ = slots.put_entity(b"a", None);
}

#[test]
#[should_panic(expected = "only a sealed epoch commits")]
fn an_open_epoch_does_not_commit() {
    slots(LIMITS).committed();
}

#[test]
fn a_value_that_no_record_could_carry_is_refused_at_once() {
    let mut nested = Value::Null;
    for _ in 0..200 {
        nested = Value::list(vec![nested]);
    }
    let big = "x".repeat(2000);
    let with = |value| Some(Entity { value, version: 1, last_event: None, state_version: 1, expires_at: None });
    let mut slots = slots(SlotLimits { record_bytes: 2048, ..LIMITS });
    let refused = |result| match result {
        Err(Error::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(slots.put_entity(b"a", with(f64::NAN.into()))), "EXPRESSION_ERROR");
    assert_eq!(refused(slots.put_entity(b"a", with(nested))), "EXPRESSION_ERROR");
    assert_eq!(refused(slots.put_entity(b"a", with(big.clone().into()))), "TOO_LARGE");
    assert_eq!(refused(slots.put_row(Tag::Own, b"a", Some(big.into()))), "TOO_LARGE");
    let key = vec![b'k'; layout::KEY_MAX + 1];
    assert_eq!(slots.entity(&key).expect("nothing is there"), None);
    assert_eq!(refused(slots.put_entity(&key, None)), "TOO_LARGE");
    assert_eq!(refused(slots.put_row(Tag::Own, &key, None)), "TOO_LARGE");
    assert!(!slots.is_dirty());
    slots.put_entity(b"a", with("x".repeat(1500).into())).expect("near the bound is still within it");
}

#[test]
fn clean_slots_make_room_and_dirty_ones_stay() {
    let mut slots = slots(SlotLimits { cache_bytes: 40_000, ..LIMITS });
    let hot = b"hot";
    for round in 0..20_i64 {
        for number in 0..50_i64 {
            slots.put_entity(format!("{round}-{number}").as_bytes(), Some(entity(number))).expect("fits");
            slots.entity(hot).expect("reads");
        }
        let before = slots.size().0;
        assert!(before >= 50, "what is dirty stays");
        commit(&mut slots, round + 1);
    }
    assert!(slots.size().1 < 80_000, "{:?}", slots.size());
    assert!(slots.counts().evictions > 500);
    assert_eq!(slots.counts().misses, 1001, "a slot in use survives the clock hand");
    for number in 0..50 {
        assert_eq!(slots.entity(format!("3-{number}").as_bytes()).expect("reads"), Some(&entity(number)));
    }
}

#[test]
fn expired_marks_are_deleted_with_their_index_in_bounded_steps() {
    let mut slots = slots(LIMITS);
    for number in 0..10 {
        put_mark(&mut slots, format!("r{number}").as_bytes(), Some(mark(number)));
    }
    commit(&mut slots, 1);
    // One is renewed in the same epoch, so it is not due.
    put_mark(&mut slots, b"r0", Some(mark(100)));
    assert_eq!(slots.expire_marks(4, 3).expect("finds"), 3);
    commit(&mut slots, 2);
    assert_eq!(slots.expire_marks(4, 100).expect("finds"), 1);
    assert_eq!(slots.expire_marks(4, 0).expect("finds"), 0);
    commit(&mut slots, 3);
    assert_eq!(slots.expire_marks(4, 100).expect("finds"), 0);
    let left: Vec<_> = contents(&**slots.store(), Tag::Mark).into_keys().collect();
    assert_eq!(left, [&b"r0"[..], b"r5", b"r6", b"r7", b"r8", b"r9"]);
    assert_index_agrees(&**slots.store());
}

#[test]
fn an_index_without_its_mark_is_damage() {
    let mut slots = slots(LIMITS);
    let key = Index::Marks.key(3, b"ghost").into();
    let batch = Batch { writes: vec![Write { key, value: Some(Bytes::new()) }], checkpoints: vec![] };
    slots.store().clone().apply(&batch).expect("applies");
    assert!(matches!(slots.expire_marks(5, 10), Err(Error::Damaged { .. })));
}

#[test]
fn bytes_that_cannot_be_read_are_told_with_the_store() {
    let mut slots = slots(LIMITS);
    let writes = vec![Write { key: Tag::State.key(b"a").into(), value: Some(Bytes::from_static(b"junk")) }];
    slots.store().clone().apply(&Batch { writes, checkpoints: vec![] }).expect("applies");
    let error = slots.entity(b"a").expect_err("junk");
    assert_eq!(error.to_string(), "store `orders.0` holds an unreadable entry: a state of unknown format 106");
}

#[test]
fn keys_of_any_length_are_told_apart() {
    let mut slots = slots(LIMITS);
    let keys: Vec<Vec<u8>> = (0..80).flat_map(|length| [vec![0; length], vec![1; length]]).skip(1).collect();
    for (number, key) in (0_i64..).zip(&keys) {
        slots.put_entity(key, Some(entity(number))).expect("fits");
    }
    commit(&mut slots, 1);
    for (number, key) in (0_i64..).zip(&keys) {
        assert_eq!(slots.entity(key).expect("reads"), Some(&entity(number)), "{key:?}");
    }
    assert_eq!(slots.counts().misses, keys.len() as u64, "each was looked for when it was put");
}

#[derive(Clone, Debug)]
enum Act {
    Read(u8),
    Put(u8, Option<i64>),
    Mark(u8, Option<i64>),
    Savepoint,
    Rollback,
    Keep,
    Commit,
    Forget,
    SealAndForget,
    Expire(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..12_u8).prop_map(Act::Read),
        6 => (0..12_u8, proptest::option::weighted(0.8, 0..100_i64)).prop_map(|(key, value)| Act::Put(key, value)),
        4 => (0..8_u8, proptest::option::weighted(0.8, -2..20_i64)).prop_map(|(key, at)| Act::Mark(key, at)),
        3 => Just(Act::Savepoint),
        3 => Just(Act::Rollback),
        1 => Just(Act::Keep),
        2 => Just(Act::Commit),
        1 => Just(Act::Forget),
        1 => Just(Act::SealAndForget),
        1 => (0..20_i64).prop_map(Act::Expire),
    ];
    proptest::collection::vec(act, 0..120)
}

/// Two maps: what is there, and what expires.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    entities: BTreeMap<u8, i64>,
    marks: BTreeMap<u8, i64>,
}

proptest! {
    #[test]
    fn slots_behave_as_two_maps_with_undo(acts in acts(), small in any::<bool>()) {
        // A cache of nothing evicts on every insertion.
        let limits = SlotLimits { cache_bytes: if small { 0 } else { 1 << 20 }, ..LIMITS };
        let mut slots = slots(limits);
        let (mut committed, mut current) = (Model::default(), Model::default());
        let mut savepoints: Vec<(Savepoint, Model)> = Vec::new();
        let mut log = Model::default();
        let mut offset = 0;
        for act in acts {
            match act {
                Act::Read(key) => {
                    let expected = current.entities.get(&key).map(|number| entity(*number));
                    prop_assert_eq!(slots.entity(&[key]).expect("reads"), expected.as_ref());
                    let expected = current.marks.get(&key).map(|at| mark(*at));
                    prop_assert_eq!(slots.expiring(Tag::Mark, &[key]).expect("reads"), expected);
                }
                Act::Put(key, value) => {
                    slots.put_entity(&[key], value.map(entity)).expect("fits");
                    set(&mut current.entities, key, value);
                }
                Act::Mark(key, at) => {
                    put_mark(&mut slots, &[key], at.map(mark));
                    set(&mut current.marks, key, at);
                }
                Act::Savepoint => savepoints.push((slots.savepoint(), current.clone())),
                Act::Rollback => if let Some((savepoint, then)) = savepoints.pop() {
                    slots.rollback_to(savepoint);
                    current = then;
                },
                Act::Keep => {
                    slots.keep();
                    savepoints.clear();
                }
                Act::Forget => {
                    slots.forget();
                    savepoints.clear();
                    current = committed.clone();
                }
                Act::SealAndForget => {
                    slots.seal(&mut |_| {}).expect("seals");
                    slots.forget();
                    savepoints.clear();
                    current = committed.clone();
                }
                Act::Expire(now) => {
                    slots.expire_marks(now, 3).expect("agrees");
                    for key in 0..8 {
                        let there = slots.expiring(Tag::Mark, &[key]).expect("reads").map(|mark| mark.expires_at);
                        prop_assert!(there == current.marks.get(&key).copied() || (there.is_none() && current.marks[&key] <= now));
                        set(&mut current.marks, key, there);
                    }
                }
                Act::Commit => {
                    let mut keys = Vec::new();
                    let writes = slots.seal(&mut |entry| {
                        keys.push((entry.role, entry.key.to_vec()));
                        match entry.role {
                            Role::Snapshots => {
                                let number = entry.value.map(|json| std::str::from_utf8(json).expect("digits").parse().expect("digits"));
                                set(&mut log.entities, entry.key[0], number);
                            }
                            Role::Changelog => {
                                let at = entry.value.map(|stored| layout::expiring::expires_at(stored).expect("a mark"));
                                set(&mut log.marks, entry.key[1], at);
                            }
                        }
                    }).expect("seals");
                    let count = keys.len();
                    keys.sort();
                    keys.dedup();
                    prop_assert_eq!(keys.len(), count, "a slot appears once");
                    offset += 1;
                    let checkpoint = Checkpoint { next_offset: offset, applied_at: 0, partitions: 1, format: layout::FORMAT };
                    slots.store().clone().apply(&Batch { writes, checkpoints: vec![("log".into(), checkpoint)] }).expect("applies");
                    slots.committed();
                    savepoints.clear();
                    committed = current.clone();
                    prop_assert_eq!(&log, &committed, "the fold of the changelog is the state");
                    assert_index_agrees(&**slots.store());
                    prop_assert_eq!(contents(&**slots.store(), Tag::State).len(), committed.entities.len());
                }
            }
        }
    }
}

fn set(map: &mut BTreeMap<u8, i64>, key: u8, value: Option<i64>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

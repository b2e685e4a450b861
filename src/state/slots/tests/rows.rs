//! Rows and timers against maps.

use super::*;
use crate::state::layout::timer;
use crate::state::restore::{CHUNK_BYTES, Fill};
use crate::state::{KeyRange, Timer};
use std::ops::Bound;

#[test]
fn a_range_of_rows_is_the_epochs_and_the_stores_in_one_order() {
    let mut slots = slots(LIMITS);
    let put = |slots: &mut Slots, key: &str, value: Option<&'static str>| {
        slots.put_row(Tag::Own, key.as_bytes(), value.map(Bytes::from)).expect("fits");
    };
    for key in ["a", "b", "d", "e", "f"] {
        put(&mut slots, key, Some("old"));
    }
    slots.keep_parked_record(b"a", 1, b"other").expect("fits");
    commit(&mut slots, 1);
    put(&mut slots, "a", None);
    put(&mut slots, "c", Some("new"));
    put(&mut slots, "e", Some("new"));
    let list = |slots: &mut Slots, range: KeyRange, limit| {
        let found = slots.rows(Tag::Own, &range, limit).expect("scans");
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).expect("text");
        found.into_iter().map(|(key, value)| format!("{} {}", text(key), text(value))).collect::<Vec<_>>()
    };
    let bound = |key: &'static str| Bytes::from(key);
    let all = || (Bound::Unbounded, Bound::Unbounded);
    assert_eq!(list(&mut slots, all(), 10), ["b old", "c new", "d old", "e new", "f old"]);
    assert_eq!(list(&mut slots, all(), 2), ["b old", "c new"]);
    assert_eq!(list(&mut slots, all(), 0), [""; 0]);
    assert_eq!(list(&mut slots, (Bound::Excluded(bound("c")), Bound::Included(bound("e"))), 10), ["d old", "e new"]);
    assert_eq!(list(&mut slots, (Bound::Included(bound("e")), Bound::Excluded(bound("c"))), 10), [""; 0], "nothing between");
    slots.forget();
    assert_eq!(list(&mut slots, all(), 3), ["a old", "b old", "d old"]);
}

#[test]
fn a_timer_that_is_set_again_is_another_generation_of_the_same() {
    let mut slots = slots(LIMITS);
    let payload = || Bytes::from_static(b"p");
    let first = slots.set_timer(b"o", b"t", 50, payload(), 1_000).expect("fits");
    let second = slots.set_timer(b"o", b"t", 60, payload(), 1_000).expect("fits");
    assert!(second > first);
    let timer = slots.timer(b"o", b"t").expect("reads");
    assert_eq!(timer, Some(Timer { due: 60, generation: second, payload: payload() }));
    commit(&mut slots, 1);
    assert_eq!(slots.due(Index::Due, 59, 10).expect("reads"), []);
    assert_eq!(slots.due(Index::Due, 60, 10).expect("reads").len(), 1, "one place in the index");
    assert!(slots.cancel_timer(b"o", b"t").expect("reads"));
    assert!(!slots.cancel_timer(b"o", b"t").expect("reads"), "it is gone");
    assert_eq!(slots.due(Index::Due, 60, 10).expect("reads"), [], "what is cancelled in this epoch is not due in it");
    commit(&mut slots, 2);
    let third = slots.set_timer(b"o", b"t", 60, payload(), 2_000).expect("fits");
    assert!(third > second, "also after it was cancelled");
}

#[test]
fn a_row_that_comes_and_goes_within_an_epoch_is_written_nowhere() {
    let mut slots = slots(LIMITS);
    let logged = |slots: &mut Slots| {
        let mut logged = 0;
        let writes = slots.seal(&mut |_| logged += 1).expect("what was put can be written");
        slots.store().clone().apply(&Batch { writes, checkpoints: Vec::new() }).expect("applied");
        slots.committed();
        logged
    };
    slots.set_timer(b"o", b"t", 50, Bytes::new(), 1_000).expect("fits");
    slots.keep_parked_record(b"a", 1, b"record").expect("fits");
    assert!(slots.cancel_timer(b"o", b"t").expect("reads"));
    slots.drop_parked_record(b"a", 1).expect("it is there");
    assert_eq!(logged(&mut slots), 0);
    assert_eq!(slots.first(Index::Due).expect("reads"), None);
    // What was committed before is deleted, as ever.
    slots.set_timer(b"o", b"t", 50, Bytes::new(), 1_000).expect("fits");
    slots.keep_parked_record(b"a", 1, b"record").expect("fits");
    assert_eq!(logged(&mut slots), 2);
    assert!(slots.cancel_timer(b"o", b"t").expect("reads"));
    slots.drop_parked_record(b"a", 1).expect("it is there");
    assert_eq!(logged(&mut slots), 2);
    assert_eq!((slots.first(Index::Due).expect("reads"), slots.parked_record(b"a", 1).expect("reads")), (None, None));
}

#[test]
fn owners_and_names_do_not_run_into_each_other() {
    let mut slots = slots(LIMITS);
    for (owner, name) in [(&b"a"[..], &b"b"[..]), (b"ab", b""), (b"", b"ab"), (b"a\0", b"b"), (b"a", b"\0b")] {
        slots.set_timer(owner, name, 1, Bytes::from_static(b"p"), 0).expect("fits");
    }
    commit(&mut slots, 1);
    assert_eq!(slots.due(Index::Due, 1, 10).expect("reads").len(), 5);
}

#[test]
fn a_hundred_thousand_timers_that_are_not_due_are_not_looked_at() {
    let mut slots = slots(LIMITS);
    for number in 0..100_000_i64 {
        slots.set_timer(b"o", &number.to_be_bytes(), 1_000_000 + number, Bytes::new(), 0).expect("fits");
        slots.keep();
    }
    commit(&mut slots, 1);
    assert_eq!(slots.indexed(Index::Due).expect("counts"), 100_000);
    assert_eq!(slots.first(Index::Due).expect("reads"), Some(1_000_000));
    let reads = slots.counts().index_reads;
    for now in 0..10_000 {
        assert_eq!(slots.due(Index::Due, now, 1000).expect("reads"), []);
    }
    // Neither do timers that come and go behind the first.
    for number in 0..100_i64 {
        slots.set_timer(b"o", b"another", 2_000_000 + number, Bytes::new(), 0).expect("fits");
        commit(&mut slots, 2 + number);
        assert_eq!(slots.first(Index::Due).expect("reads"), Some(1_000_000));
    }
    assert_eq!(slots.counts().index_reads, reads, "not one read of the index");
    assert_eq!(slots.indexed(Index::Due).expect("counts"), 100_001);

    // The first ones go; the next are found where they were.
    for due in slots.due(Index::Due, 1_000_499, 10_000).expect("reads") {
        slots.delete(Tag::Timer, &due.key).expect("reads");
    }
    commit(&mut slots, 200);
    assert_eq!(slots.first(Index::Due).expect("reads"), Some(1_000_500));
    assert_eq!(slots.indexed(Index::Due).expect("counts"), 99_501);
    assert_eq!(slots.counts().index_reads, reads + 2);
}

#[derive(Clone, Debug)]
enum Act {
    Put(u8, Option<u8>),
    Early(u8, Option<i64>),
    Set(u8, i64),
    Cancel(u8),
    State(u8, Option<Option<i64>>),
    Scan(Option<u8>, Option<u8>, usize),
    Fire(i64, usize),
    Savepoint,
    Rollback,
    Keep,
    Commit,
    Forget,
    Reopen,
    Restore,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let key = || 0..10_u8;
    let at = || -2..20_i64;
    let act = prop_oneof![
        5 => (key(), proptest::option::weighted(0.7, any::<u8>())).prop_map(|(key, value)| Act::Put(key, value)),
        3 => (key(), proptest::option::weighted(0.7, at())).prop_map(|(key, at)| Act::Early(key, at)),
        6 => (key(), at()).prop_map(|(key, at)| Act::Set(key, at)),
        2 => key().prop_map(Act::Cancel),
        3 => (key(), proptest::option::weighted(0.8, proptest::option::of(at()))).prop_map(|(key, at)| Act::State(key, at)),
        4 => (proptest::option::of(key()), proptest::option::of(key()), 0..8_usize).prop_map(|(from, to, limit)| Act::Scan(from, to, limit)),
        4 => (at(), 1..4_usize).prop_map(|(now, limit)| Act::Fire(now, limit)),
        2 => Just(Act::Savepoint),
        2 => Just(Act::Rollback),
        1 => Just(Act::Keep),
        4 => Just(Act::Commit),
        1 => Just(Act::Forget),
        1 => Just(Act::Reopen),
        1 => Just(Act::Restore),
    ];
    proptest::collection::vec(act, 0..150)
}

/// Plain maps, and what has fired.
#[derive(Clone, Debug, Default, PartialEq)]
struct Maps {
    own: BTreeMap<u8, u8>,
    early: BTreeMap<u8, i64>,
    /// Moment, and which setting of all it is.
    timers: BTreeMap<u8, (i64, u64)>,
    states: BTreeMap<u8, Option<i64>>,
    set: u64,
    fired: Vec<(u8, u64)>,
    cancelled: Vec<u64>,
}

/// The log of a store: the last value of each key, as a compacted topic has it.
type Log = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn commit_logged(slots: &mut Slots, log: &mut Log, offset: &mut i64) {
    let writes = slots
        .seal(&mut |entry| {
            assert_eq!(entry.role, Role::Changelog);
            log.insert(entry.key.to_vec(), entry.value.map(<[u8]>::to_vec));
        })
        .expect("seals");
    *offset += 1;
    let checkpoint = Checkpoint { next_offset: *offset, applied_at: 0, partitions: 1, format: layout::FORMAT };
    slots.store().clone().apply(&Batch { writes, checkpoints: vec![("log".into(), checkpoint)] }).expect("applies");
    slots.committed();
}

/// A store made anew from the log alone.
fn restored(log: &Log) -> Arc<dyn Store> {
    let store = store();
    let mut fill = Fill::new(store.clone(), "orders.0", CHUNK_BYTES, true);
    for (number, (key, value)) in log.iter().enumerate() {
        let record = crate::record::RecordRef {
            topic: "log",
            partition: 0,
            offset: number as i64,
            timestamp: 0,
            key: Some(key),
            value: value.as_deref(),
            headers: &[],
        };
        fill.push(Role::Changelog, &record).expect("ours");
        if number % 5 == 4 {
            fill.flush(&[]).expect("writes");
        }
    }
    fill.flush(&[]).expect("writes");
    store
}

fn all(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let each = &mut |key: &[u8], value: &[u8]| {
        if key[0] != Tag::Meta as u8 {
            found.push((key.to_vec(), value.to_vec()));
        }
        true
    };
    store.scan(&(Bound::Unbounded, Bound::Unbounded), each).expect("scans");
    found
}

proptest! {
    #[test]
    fn rows_and_timers_behave_as_maps_with_undo(acts in acts(), small in any::<bool>()) {
        let limits = SlotLimits { cache_bytes: if small { 0 } else { 1 << 20 }, ..LIMITS };
        let open = |store: Arc<dyn Store>| Slots::new(store, "orders.0", limits).with_states_in_changelog();
        let mut slots = open(store());
        let (mut committed, mut current) = (Maps::default(), Maps::default());
        let mut savepoints: Vec<(Savepoint, Maps)> = Vec::new();
        let (mut log, mut offset) = (Log::new(), 0);
        for act in acts {
            match act {
                Act::Put(key, value) => {
                    slots.put_row(Tag::Own, &[key], value.map(|value| vec![value].into())).expect("fits");
                    match value {
                        Some(value) => current.own.insert(key, value),
                        None => current.own.remove(&key),
                    };
                }
                Act::Early(key, at) => {
                    slots.put_expiring(Tag::Early, &[key], at.map(mark).as_ref()).expect("fits");
                    set(&mut current.early, key, at);
                }
                Act::State(key, state) => {
                    let entity = state.map(|expires_at| Entity { expires_at, ..entity(1) });
                    slots.put_entity(&[key], entity).expect("fits");
                    match state {
                        // A head has no moments before 1970.
                        Some(at) => current.states.insert(key, at.map(|at| at.max(0))),
                        None => current.states.remove(&key),
                    };
                }
                Act::Set(key, at) => {
                    current.set += 1;
                    if let Some((_, replaced)) = current.timers.insert(key, (at, current.set)) {
                        current.cancelled.push(replaced);
                    }
                    slots.set_timer(&[key % 3], &[key], at, current.set.to_be_bytes().to_vec().into(), 0).expect("fits");
                }
                Act::Cancel(key) => {
                    let expected = current.timers.remove(&key);
                    current.cancelled.extend(expected.map(|(_, number)| number));
                    prop_assert_eq!(slots.cancel_timer(&[key % 3], &[key]).expect("reads"), expected.is_some());
                }
                Act::Scan(from, to, limit) => {
                    let bound = |key: Option<u8>| key.map_or(Bound::Unbounded, |key| Bound::Included(Bytes::from(vec![key])));
                    let found = slots.rows(Tag::Own, &(bound(from), bound(to)), limit).expect("scans");
                    let within = |key: u8| from.is_none_or(|from| from <= key) && to.is_none_or(|to| key <= to);
                    let expected = current.own.iter().filter(|(key, _)| within(**key)).take(limit);
                    let expected: Vec<(Bytes, Bytes)> = expected.map(|(key, value)| (vec![*key].into(), vec![*value].into())).collect();
                    prop_assert_eq!(found, expected);
                }
                Act::Fire(now, limit) => {
                    // What is due as it is committed, and not changed since.
                    let found = slots.due(Index::Due, now, limit).expect("agrees");
                    prop_assert!(found.is_sorted_by_key(|due| due.at));
                    for due in found {
                        let timer = slots.timer_at(&due.key).expect("reads").expect("is there");
                        let (_, name) = timer::read_key(&due.key).expect("ours");
                        let number = u64::from_be_bytes(timer.payload[..].try_into().expect("eight bytes"));
                        prop_assert!(timer.due <= now, "not before it is due");
                        prop_assert_eq!(current.timers.remove(&name[0]), Some((timer.due, number)));
                        slots.delete(Tag::Timer, &due.key).expect("reads");
                        current.fired.push((name[0], number));
                    }
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
                Act::Forget | Act::Reopen | Act::Restore => {
                    match act {
                        Act::Forget => slots.forget(),
                        Act::Reopen => slots = open(slots.store().clone()),
                        _ => slots = open(restored(&log)),
                    }
                    savepoints.clear();
                    current = committed.clone();
                }
                Act::Commit => {
                    commit_logged(&mut slots, &mut log, &mut offset);
                    savepoints.clear();
                    committed = current.clone();
                    assert_index_agrees(&**slots.store());
                    prop_assert_eq!(all(&*restored(&log)), all(&**slots.store()), "the fold of the changelog is the store");
                    let first = committed.timers.values().map(|(at, _)| (*at).max(0)).min();
                    prop_assert_eq!(slots.first(Index::Due).expect("reads"), first);
                    prop_assert_eq!(slots.indexed(Index::Due).expect("counts"), committed.timers.len() as u64);
                    let first = committed.early.values().map(|at| (*at).max(0)).min();
                    prop_assert_eq!(slots.first(Index::Early).expect("reads"), first);
                    let first = committed.states.values().flatten().copied().min();
                    prop_assert_eq!(slots.first(Index::States).expect("reads"), first);
                }
            }
            for key in 0..10 {
                let own = slots.row(Tag::Own, &[key]).expect("reads");
                prop_assert_eq!(own, current.own.get(&key).map(|value| vec![*value].into()));
                let due = slots.timer(&[key % 3], &[key]).expect("reads").map(|timer| timer.due);
                prop_assert_eq!(due, current.timers.get(&key).map(|(at, _)| *at));
            }
        }
        // Each setting fires at most once, and none that was replaced or taken away.
        let mut fired: Vec<u64> = current.fired.iter().map(|(_, number)| *number).collect();
        fired.sort_unstable();
        let count = fired.len();
        fired.dedup();
        prop_assert_eq!(fired.len(), count);
        prop_assert!(!fired.iter().any(|number| current.cancelled.contains(number)));
    }
}

//! Rows read back as they were written, and their bytes sort as their parts do.

use super::*;
use crate::record::Millis;
use crate::record::{Value, json};
use crate::state::{Checkpoint, Entity, Expiring, ParkedTotals, Standing, Timer};
use bytes::Bytes;
use proptest::prelude::*;

fn stored(entity: &Entity) -> Vec<u8> {
    let mut out = Vec::new();
    entity::append_entity(entity, &mut out).expect("has a JSON text");
    out
}

fn any_entity() -> impl Strategy<Value = Entity> {
    let event = prop_oneof![".{0,60}", Just(";x=7".to_owned())];
    (".{0,40}", any::<i64>(), any::<u64>(), proptest::option::of(event), any::<u32>(), proptest::option::of(0..Millis::MAX))
        .prop_map(|(text, number, version, event, state_version, expires_at)| Entity {
            value: Value::list(vec![Value::from(text), Value::from(number)]),
            version,
            last_event: event.map(Into::into),
            state_version,
            expires_at,
        })
}

proptest! {
    #[test]
    fn an_entity_reads_back_as_it_was_written(entity in any_entity()) {
        prop_assert_eq!(entity::read(&stored(&entity)), Ok(entity));
    }

    #[test]
    fn an_entity_is_the_same_by_way_of_its_snapshot(entity in any_entity(), key in any::<Vec<u8>>()) {
        let stored = stored(&entity);
        let (head, state) = entity::split(&stored).expect("just written");
        prop_assert!(json::read(state).is_ok());
        let mut arena = vec![7; 3];
        let entry = LogEntry { role: Role::Snapshots, key: &key, value: Some(state), head: Some(head) };
        let key_end = append_stored(&entry, &mut arena).expect("just written");
        prop_assert_eq!(&arena[3..key_end], Tag::State.key(&key));
        prop_assert_eq!(&arena[key_end..], stored);
    }

    #[test]
    fn what_expires_reads_back_with_its_moment(entity in any_entity(), at in any::<i64>(), value in any::<Vec<u8>>()) {
        prop_assert_eq!(index::moment(Tag::State, &stored(&entity)), Ok(entity.expires_at));
        let row = Expiring { expires_at: at, value: value.into() };
        let mut stored = Vec::new();
        expiring::append(&row, &mut stored);
        prop_assert_eq!(index::moment(Tag::Mark, &stored), Ok(Some(at)));
        prop_assert_eq!(index::moment(Tag::Early, &stored), Ok(Some(at)));
        prop_assert_eq!(expiring::read(&stored.into()), Ok(row));
    }

    #[test]
    fn a_timer_reads_back_with_its_identity(due in any::<i64>(), generation in any::<u64>(), payload in any::<Vec<u8>>(), key in parts()) {
        let (owner, _, name) = key;
        let timer = Timer { due, generation, payload: payload.into() };
        let mut stored = Vec::new();
        timer::append(&timer, &mut stored);
        prop_assert_eq!(index::moment(Tag::Timer, &stored), Ok(Some(due)));
        prop_assert_eq!(timer::read(&stored.into()), Ok(timer));
        let key = timer::key(&owner, &name);
        prop_assert_eq!(timer::read_key(&key), Ok((owner, &name[..])));
    }

    #[test]
    fn parked_rows_read_back_and_their_keys_are_apart(
        due in any::<Option<i64>>(), attempts in any::<u32>(), first_at in any::<i64>(), numbers in any::<[u64; 4]>(),
        a in any::<Vec<u8>>(), b in any::<Vec<u8>>(),
    ) {
        let [head, keys, records, held] = numbers;
        let standing = Standing { due, attempts, first_at, head };
        let stored = parked::standing_value(&standing);
        prop_assert_eq!(parked::read_standing(&stored), Ok(standing));
        prop_assert_eq!(index::moment(Tag::Parked, &stored), Ok(due));
        for cut in 0..stored.len() {
            prop_assert!(parked::read_standing(&stored[..cut]).is_err());
        }
        let totals = ParkedTotals { keys, records, held };
        prop_assert_eq!(parked::read_totals(&parked::totals_value(&totals)), Ok(totals));
        prop_assert_eq!(parked::read_tail(&parked::tail_value(head)), Ok(head));
        prop_assert_eq!(index::moment(Tag::Parked, &parked::tail_value(head)), Ok(None));
        let key = parked::standing_key(&a);
        prop_assert_eq!(parked::read_standing_key(&key), Some(&a[..]));
        let place = format!("in-0-{head}");
        let holder = parked::holder_value(&place);
        prop_assert_eq!(parked::read_holder(&holder), Ok(&place[..]));
        let keys_of = [parked::standing_key(&a), parked::tail_key(&a), parked::holder_key(&a), parked::record_key(&a, head)];
        let all = keys_of.iter().map(|key| &key[..]).chain([parked::TOTALS_KEY]);
        prop_assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), 5);
        // Records of a key lie together, in the order of their numbers.
        prop_assert_eq!(parked::record_key(&a, head).cmp(&parked::record_key(&b, keys)), (&a, head).cmp(&(&b, keys)));
    }

    #[test]
    fn an_index_sorts_by_time_and_its_ranges_hold_their_ends(
        a in any::<i64>(), b in any::<i64>(), x in any::<Vec<u8>>(), y in any::<Vec<u8>>(),
    ) {
        let (early, late) = (a.min(b).max(0), a.max(b).max(0));
        for index in Index::ALL {
            let keys = (index.key(a, &x), index.key(b, &y));
            prop_assert_eq!(keys.0.cmp(&keys.1), (a.max(0), &x).cmp(&(b.max(0), &y)));
            prop_assert_eq!(index.read_key(&keys.0), Ok((a.max(0), &x[..])));
            let range = index.range(early, late);
            for (at, key) in [(a.max(0), &keys.0), (b.max(0), &keys.1)] {
                prop_assert!(within(&range, key));
                prop_assert_eq!(index.range(at, at).0, std::ops::Bound::Included(Bytes::from(index.key(at, &[]))));
            }
            for other in Index::ALL.into_iter().filter(|other| *other != index) {
                prop_assert!(other.read_key(&keys.0).is_err());
            }
        }
    }

    #[test]
    fn the_keys_of_a_tag_with_a_prefix_are_a_range(prefix in parts(), key in parts()) {
        let (prefix, key) = (prefix.0, key.0);
        for tag in [Tag::Own, Tag::Parked] {
            let range = tag.range(&prefix);
            let is_in = |tag: Tag| within(&range, &tag.key(&key));
            prop_assert_eq!(is_in(tag), key.starts_with(&prefix));
            prop_assert!(!is_in(Tag::Mark));
        }
    }

    #[test]
    fn the_bytes_of_composite_keys_sort_as_their_parts(a in parts(), b in parts()) {
        let key = |(first, number, last): &(Vec<u8>, u64, Vec<u8>)| {
            let mut out = Vec::new();
            key::append_part(first, &mut out);
            key::append_u64(*number, &mut out);
            out.extend_from_slice(last);
            out
        };
        prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        let written = key(&a);
        let mut rest = &written[..];
        prop_assert_eq!(key::read_part(&mut rest), Ok(a.0));
        prop_assert_eq!(key::read_u64(&mut rest), Ok(a.1));
        prop_assert_eq!(rest, a.2);
    }

    #[test]
    fn a_checkpoint_reads_back(next_offset in 0..i64::MAX, applied_at in any::<i64>(), partitions in any::<u32>()) {
        let checkpoint = Checkpoint { next_offset, applied_at, partitions, format: FORMAT };
        prop_assert_eq!(meta::read_checkpoint(&meta::checkpoint_value(&checkpoint)), Ok(checkpoint));
    }

    #[test]
    fn foreign_bytes_are_an_error_and_never_a_panic(bytes in hostile(), key in hostile()) {
        let _ = entity::read(&bytes);
        let _ = entity::read_head(&bytes);
        let _ = expiring::read(&Bytes::copy_from_slice(&bytes));
        let _ = timer::read(&Bytes::copy_from_slice(&bytes));
        let _ = timer::read_key(&bytes);
        for index in Index::ALL {
            let _ = index.read_key(&bytes);
            let _ = index::moment(index.tag(), &bytes);
        }
        let _ = parked::read_standing(&bytes);
        let _ = parked::read_totals(&bytes);
        let _ = parked::read_tail(&bytes);
        let _ = parked::read_holder(&bytes);
        let _ = meta::read_checkpoint(&bytes);
        let _ = key::read_part(&mut &bytes[..]);
        let _ = key::read_u64(&mut &bytes[..]);
        for role in [Role::Snapshots, Role::Changelog] {
            for value in [None, Some(&bytes[..])] {
                for head in [None, Some(&bytes[..]), Some(&b"v=1;s=1"[..])] {
                    let _ = append_stored(&LogEntry { role, key: &key, value, head }, &mut Vec::new());
                }
            }
        }
    }
}

fn within(range: &crate::state::KeyRange, key: &[u8]) -> bool {
    let range = (range.0.as_ref().map(|key| &key[..]), range.1.as_ref().map(|key| &key[..]));
    std::ops::RangeBounds::<[u8]>::contains(&range, key)
}

/// Few distinct bytes, so that prefixes, zeros and escapes meet.
fn parts() -> impl Strategy<Value = (Vec<u8>, u64, Vec<u8>)> {
    let bytes = || proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0xff)], 0..5);
    (bytes(), 0..3_u64, bytes())
}

/// Anything, and things that begin well.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        Just(&b""[..]),
        Just(&b"\x01"[..]),
        Just(&b"\x01\0\0\0\x07v=1;s=1"[..]),
        Just(&b"v=1;s="[..]),
        Just(&b"\x05"[..])
    ];
    (start, any::<Vec<u8>>()).prop_map(|(start, rest)| [start, &rest[..]].concat())
}

#[test]
fn the_head_of_a_snapshot_is_text_that_anyone_can_read() {
    let entity =
        Entity { value: Value::Null, version: 12, last_event: Some("o-1;x=2".into()), state_version: 3, expires_at: None };
    let stored = stored(&entity);
    let (head, state) = entity::split(&stored).expect("just written");
    assert_eq!((head, state), (&b"v=12;s=3;e=o-1;x=2"[..], &b"null"[..]));
    let expiring = Entity { expires_at: Some(7), ..entity.clone() };
    assert_eq!(entity::split(&self::stored(&expiring)).expect("just written").0, b"v=12;s=3;x=7;e=o-1;x=2");
    let none = Entity { last_event: None, ..entity };
    assert_eq!(entity::split(&self::stored(&none)).expect("just written").0, b"v=12;s=3");
}

#[test]
fn heads_are_read_strictly_but_leave_room_for_more_fields() {
    let head = |version, state_version, event: Option<&str>| {
        Ok(entity::Head { version, state_version, expires_at: None, last_event: event.map(Into::into) })
    };
    for (text, expected) in
        [("v=1;s=2;e=", head(1, 2, Some(""))), ("s=2;schema=17;v=1;e=a", head(1, 2, Some("a"))), ("v=1;s=2;", head(1, 2, None))]
    {
        assert_eq!(entity::read_head(text.as_bytes()), expected, "{text}");
    }
    for text in [
        "",
        "v=1",
        "s=1",
        "v=1;s=",
        "v=+1;s=1",
        "v=-1;s=1",
        "v=1;s=4294967296",
        "v=1;s=1;junk",
        "e=v=1;s=1",
        "v=18446744073709551616;s=1",
        "v=1;s=1;x=",
        "v=1;s=1;x=-1",
        "v=1;s=1;x=9223372036854775808",
    ] {
        assert!(entity::read_head(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_tombstone_deletes_whatever_its_headers_say() {
    for (role, key, stored) in [(Role::Snapshots, &b"k"[..], &b"\x01k"[..]), (Role::Changelog, &b"\x05k"[..], &b"\x05k"[..])] {
        let mut arena = Vec::new();
        let entry = LogEntry { role, key, value: None, head: Some(b"junk") };
        assert_eq!(append_stored(&entry, &mut arena), Ok(2));
        assert_eq!(arena, stored);
    }
}

#[test]
fn a_changelog_holds_rows_and_nothing_derived() {
    let taken = |key: &[u8], value| {
        let entry = LogEntry { role: Role::Changelog, key, value, head: None };
        append_stored(&entry, &mut Vec::new()).is_ok()
    };
    for key in [&b""[..], b"\x00checkpoint/x", b"\x03k", b"\x06k", b"\x08k", b"\x09k", b"\x0bk", b"\xffk", b"\x02no end"] {
        assert!(!taken(key, None), "{key:?}");
    }
    for key in [&b"\x01k"[..], b"\x02k\0\0name", b"\x04k", b"\x05k", b"\x07k", b"\x0ak"] {
        assert!(taken(key, None), "{key:?}");
        let is_free = key[0] == Tag::Own as u8;
        assert_eq!(taken(key, Some(b"junk")), is_free, "what the engine itself reads has a form: {key:?}");
    }
}

#[test]
fn a_checkpoint_of_another_format_tells_only_that() {
    let mut bytes = meta::checkpoint_value(&Checkpoint { next_offset: 7, applied_at: 8, partitions: 9, format: FORMAT + 1 });
    bytes.extend_from_slice(b"more");
    assert_eq!(
        meta::read_checkpoint(&bytes),
        Ok(Checkpoint { next_offset: 0, applied_at: 0, partitions: 0, format: FORMAT + 1 })
    );
}

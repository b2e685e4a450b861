use super::*;
use crate::record::{Value, json};
use crate::state::{Checkpoint, Entity, Mark};
use proptest::prelude::*;

fn stored(entity: &Entity) -> Vec<u8> {
    let mut out = Vec::new();
    entity::append_entity(entity, &mut out).expect("has a JSON text");
    out
}

fn any_entity() -> impl Strategy<Value = Entity> {
    (".{0,40}", any::<i64>(), any::<u64>(), proptest::option::of(".{0,60}"), any::<u32>()).prop_map(
        |(text, number, version, event, state_version)| Entity {
            value: Value::list(vec![Value::from(text), Value::from(number)]),
            version,
            last_event: event.map(Into::into),
            state_version,
        },
    )
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
    fn a_mark_reads_back_and_is_found_by_its_expiry(at in any::<i64>(), reply in any::<Vec<u8>>(), id in any::<Vec<u8>>()) {
        let mark = Mark { expires_at: at, reply: reply.into() };
        let mut stored = Vec::new();
        mark::append(&mark, &mut stored);
        prop_assert_eq!(mark::expires_at(&stored), Ok(at));
        prop_assert_eq!(mark::read(&stored), Ok(mark));
        let key = mark::expiry_key(at, Tag::Mark, &id);
        prop_assert_eq!(mark::read_expiry_key(&key), Ok((at.max(0), &id[..])));
        prop_assert!(key < mark::expiry_after(at) && mark::expiry_after(at.saturating_sub(1).max(-1)) <= key || at <= 0);
    }

    #[test]
    fn expiries_sort_by_time(a in 0..i64::MAX, b in 0..i64::MAX, x in any::<Vec<u8>>(), y in any::<Vec<u8>>()) {
        let keys = (mark::expiry_key(a, Tag::Mark, &x), mark::expiry_key(b, Tag::Mark, &y));
        prop_assert_eq!(keys.0.cmp(&keys.1), (a, x).cmp(&(b, y)));
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
        let _ = mark::read(&bytes);
        let _ = mark::read_expiry_key(&bytes);
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
    let entity = Entity { value: Value::Null, version: 12, last_event: Some("o-1;x=2".into()), state_version: 3 };
    let stored = stored(&entity);
    let (head, state) = entity::split(&stored).expect("just written");
    assert_eq!((head, state), (&b"v=12;s=3;e=o-1;x=2"[..], &b"null"[..]));
    let none = Entity { last_event: None, ..entity };
    assert_eq!(entity::split(&self::stored(&none)).expect("just written").0, b"v=12;s=3");
}

#[test]
fn heads_are_read_strictly_but_leave_room_for_more_fields() {
    let head = |version, state_version, event: Option<&str>| {
        Ok(entity::Head { version, state_version, last_event: event.map(Into::into) })
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
fn a_changelog_holds_marks_and_nothing_derived() {
    for key in [&b""[..], b"\x00checkpoint/x", b"\x01k", b"\x02k", b"\x06k", b"\xffk"] {
        let entry = LogEntry { role: Role::Changelog, key, value: None, head: None };
        assert!(append_stored(&entry, &mut Vec::new()).is_err(), "{key:?}");
    }
}

#[test]
fn a_checkpoint_of_another_format_tells_only_that() {
    let mut bytes = meta::checkpoint_value(&Checkpoint { next_offset: 7, applied_at: 8, partitions: 9, format: 2 });
    bytes.extend_from_slice(b"more");
    assert_eq!(meta::read_checkpoint(&bytes), Ok(Checkpoint { next_offset: 0, applied_at: 0, partitions: 0, format: 2 }));
}

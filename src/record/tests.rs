//! Keys and partitions as Kafka's own client has them, durations and moments as text, equality of values.

use super::*;
use proptest::prelude::*;

#[test]
fn a_key_meets_the_partition_that_kafkas_java_client_gives_it() {
    // Vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
    for (key, hash) in [
        ("21", -973_932_308_i32),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
    }
    assert_eq!(partition_of(b"foobar", 1), 0);
    assert_eq!(partition_of(b"foobar", 6), (-790_332_482_i32 & 0x7fff_ffff) % 6);
}

#[test]
fn durations_are_read_in_one_form_and_nothing_else_passes() {
    let nanos = |text| parse_duration(text).map(|length| length.as_nanos());
    for (text, expected) in [
        ("100ms", 100_000_000),
        ("30s", 30_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("7d", 604_800_000_000_000),
        ("-5m", -300_000_000_000),
        ("0s", 0),
        ("250us", 250_000),
    ] {
        assert_eq!(nanos(text), Some(expected), "{text}");
    }
    for text in ["", "30", "s", "-", "1h 30m", "30m1h", "1m1m", "1.s", ".5s", "1..2s", "0.5ns", "9999999999d", "1H", "1e3s"] {
        assert_eq!(nanos(text), None, "{text}");
    }
}

#[test]
fn durations_are_written_as_seconds() {
    for (text, written) in [("1h30m", "5400s"), ("250ms", "0.25s"), ("-1500ms", "-1.5s"), ("1ns", "0.000000001s")] {
        assert_eq!(duration_text(parse_duration(text).expect(text)), written);
    }
}

#[test]
fn a_map_keeps_one_entry_a_key_the_last_one_in_key_order() {
    let map = Map::from_entries(vec![("b".into(), 1.into()), ("a".into(), 2.into()), ("b".into(), 3.into())]);
    assert_eq!(map.iter().map(|(k, v)| (k.as_str(), v.as_int())).collect::<Vec<_>>(), [("a", Some(2)), ("b", Some(3))]);
    let mut other = map.clone();
    other.insert("c".into(), true.into());
    assert_eq!(other.remove("a"), Some(Value::Int(2)));
    assert_eq!((map.len(), other.len()), (2, 2), "a shared map is copied before it changes");
}

proptest! {
    #[test]
    fn assigning_a_map_is_inserting_its_entries(
        old in proptest::collection::vec(("[a-f]", 0..100_i64), 0..8),
        new in proptest::collection::vec(("[a-f]", 0..100_i64), 0..8),
        shared in any::<bool>(),
    ) {
        let map = |entries: &[(String, i64)]| -> Map {
            entries.iter().map(|(key, value)| (key.as_str().into(), (*value).into())).collect()
        };
        let (mut assigned, mut inserted, new) = (map(&old), map(&old), map(&new));
        let other = shared.then(|| assigned.clone());
        for (key, value) in new.iter() {
            inserted.insert(key.clone(), value.clone());
        }
        assigned.assign(new);
        prop_assert_eq!(assigned, inserted);
        prop_assert!(other.is_none_or(|other| other == map(&old)), "what others hold stays");
    }
}

#[test]
fn numbers_are_equal_by_value_without_rounding() {
    assert_eq!(Value::Int(2), Value::Double(2.0));
    assert_ne!(Value::Int(9_007_199_254_740_993), Value::Double(9_007_199_254_740_992.0));
    assert_ne!(Value::Int(i64::MAX), Value::Double(9_223_372_036_854_775_808.0));
    assert_ne!(Value::Double(f64::NAN), Value::Double(f64::NAN));
    assert_ne!(Value::Int(1), Value::Bool(true));
}

proptest! {
    #[test]
    fn moments_are_written_as_jiff_writes_them_and_read_as_it_reads_them(
        seconds in prop_oneof![-62_167_219_300..253_402_207_200_i64, -100_000..2_000_000_000_i64],
        nanos in prop_oneof![Just(0), 0..1_000_000_000, (0..1_000).prop_map(|millis| millis * 1_000_000)],
    ) {
        let moment = jiff::Timestamp::new(seconds, nanos).expect("within the calendar");
        let text = timestamp_text(moment);
        prop_assert_eq!(&text, &moment.to_string());
        prop_assert_eq!(read_timestamp(&text), Some(moment));
    }

    #[test]
    fn any_text_is_a_moment_where_jiff_reads_one(
        text in prop_oneof![
            "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][01][0-9]:00)?",
            "(1900|2000|2023|2024)-02-(28|29|30)T00:00:(00|59|60)Z",
            "[0-9TZ:.+-]{0,30}",
        ]
    ) {
        prop_assert_eq!(read_timestamp(&text), text.parse().ok());
    }
}

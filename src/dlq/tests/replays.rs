//! What a letter goes back as: the record that failed, in whichever spelling; or the reason why it does not.

use super::{ROOM, dead, failure, headers};
use crate::broker::TopicInfo;
use crate::dlq::again::Targets;
use crate::dlq::{Dead, Edit, Filed, Refusal, SECRET_HEADERS, Spelling, letter, recognise};
use crate::node::{ORIGIN_HEADER, REPLAY_HEADER, Replay, Wanted, first_read};
use crate::record::{Header, HeaderRef, Record, RecordRef, Text};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn targets(topics: &[(&str, u32)]) -> Targets {
    let info = |(name, partitions): &(&str, u32)| {
        let name = Text::new(*name);
        (name.clone(), TopicInfo { name, partitions: *partitions, config: BTreeMap::new() })
    };
    let topics = topics.iter().map(info).collect();
    Targets { topology: Some("shop".into()), topics, bytes_max: BTreeMap::new(), replays_max: 3 }
}

fn filed(key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64, headers: &[HeaderRef<'_>]) -> Filed {
    let headers: Vec<Header> = headers
        .iter()
        .map(|header| Header { name: header.name.into(), value: header.value.map(Bytes::copy_from_slice) })
        .collect();
    let refs: Vec<_> = headers.iter().map(Header::as_ref).collect();
    let found = recognise(&refs).expect("a letter");
    let record = Record {
        topic: "shop.dlq".into(),
        partition: 0,
        timestamp,
        key: key.map(Bytes::copy_from_slice),
        value: value.map(Bytes::copy_from_slice),
        headers,
    };
    Filed { record, offset: 7, found }
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("tenant".to_owned()),
        Just("__skald.errors.id".into()),
        Just("__streams.errors.exception".into()),
        Just("__connect.errors.exception.class.name".into()),
        Just("kafka_dlt-exception-fqcn".into()),
        Just("__skald.errors.trace".into()),
        Just("traceparent".into()),
        "[a-z]{1,8}",
    ]
}

proptest! {
    /// Whatever the original had for headers, those of a letter included, and in each spelling, also after it failed again.
    #[test]
    fn a_letter_goes_back_as_the_record_that_failed(
        given in prop::collection::vec((names(), prop::option::of(prop::collection::vec(any::<u8>(), 0..12))), 0..6),
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..12)),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..60)),
        partition in 0..9_i32, offset in 0..i64::MAX, timestamp in 0..4_000_000_000_000_i64, spelling in 0..3_usize,
    ) {
        let given: Vec<_> = given.iter().map(|(name, value)| HeaderRef { name, value: value.as_deref() }).collect();
        let original =
            RecordRef { topic: "orders", partition, offset, timestamp, key: key.as_deref(), value: value.as_deref(), headers: &given };
        let failure = failure();
        let targets = targets(&[("shop.stock.inbox", 6)]);
        let edit = Edit::default();
        let mut headers: Vec<Header> = given
            .iter()
            .map(|header| Header { name: header.name.into(), value: header.value.map(Bytes::copy_from_slice) })
            .collect();
        for replays in 1..=3 {
            let refs: Vec<_> = headers.iter().map(Header::as_ref).collect();
            let failed = RecordRef { headers: &refs, ..original };
            let dead = Dead { spelling: Spelling::ALL[spelling], ..dead(&failed, &failure) };
            let letter = letter(&dead, ROOM);
            let filed = filed(letter.key, letter.value, letter.timestamp, &letter.headers());
            let back = targets.back(&filed, &edit).expect("it can go back").record();
            prop_assert_eq!((back.topic.as_str(), back.partition, back.timestamp), ("shop.stock.inbox", 1, timestamp));
            let refs: Vec<_> = back.headers.iter().map(Header::as_ref).collect();
            let in_inbox = RecordRef {
                topic: &back.topic, partition: back.partition, offset: 0, timestamp: back.timestamp,
                key: back.key.as_deref(), value: back.value.as_deref(), headers: &refs,
            };
            let replay = Replay::of(&in_inbox).expect("it says so");
            prop_assert_eq!((replay.replays, replay.attempts, replay.what, replay.node), (replays, replays, Wanted::Node, "stock"));
            let mut room = Vec::new();
            let read = first_read(&in_inbox, &mut room).expect("it has an origin");
            let told: Vec<_> = read.headers.iter().filter(|header| header.name != REPLAY_HEADER).copied().collect();
            prop_assert_eq!(&told, &given);
            let parts = |record: &RecordRef<'_>| {
                let place = (record.topic.to_owned(), record.partition, record.offset, record.timestamp);
                (place, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
            };
            prop_assert_eq!(parts(&read), parts(&original));
            headers = read.headers.iter().map(|header| Header {
                name: header.name.into(), value: header.value.map(Bytes::copy_from_slice),
            }).collect();
        }
    }

    #[test]
    fn any_headers_of_a_replay_are_read_or_none(text in "\\PC{0,40}|[0-9]{0,3}/[0-9]{0,12}/-?[0-9]{0,20}/(node|all|rekeyed|x)?/?[a-z/]{0,6}") {
        let headers = [HeaderRef { name: REPLAY_HEADER, value: Some(text.as_bytes()) }, HeaderRef { name: ORIGIN_HEADER, value: Some(text.as_bytes()) }];
        let record = RecordRef { topic: "t", partition: 0, offset: 0, timestamp: 0, key: None, value: None, headers: &headers };
        if let Some(replay) = Replay::of(&record) {
            let again = replay.text();
            let headers = [HeaderRef { name: REPLAY_HEADER, value: Some(again.as_bytes()) }];
            prop_assert_eq!(Replay::of(&RecordRef { headers: &headers, ..record }), Some(replay));
        }
        let mut room = Vec::new();
        drop(first_read(&record, &mut room));
    }
}

#[test]
fn what_cannot_go_back_says_why() {
    let failure = failure();
    let original = RecordRef {
        topic: "orders",
        partition: 3,
        offset: 17,
        timestamp: 5,
        key: Some(b"o1"),
        value: Some(b"{}"),
        headers: &[],
    };
    let back = |record: &RecordRef<'_>, change: &dyn Fn(&mut Dead<'_>), room: usize, topics: &[(&str, u32)], edit: &Edit| {
        let mut dead = dead(record, &failure);
        change(&mut dead);
        let letter = letter(&dead, room);
        let filed = filed(letter.key, letter.value, letter.timestamp, &letter.headers());
        targets(topics).back(&filed, edit).map(|back| (back.partition, back.replays))
    };
    let none = &|_: &mut Dead<'_>| {};
    let inbox: &[(&str, u32)] = &[("shop.stock.inbox", 6)];
    let as_it_is = Edit::default();
    assert_eq!(back(&original, none, ROOM, inbox, &as_it_is), Ok((1, 1)));
    assert_eq!(
        back(&original, &|dead| dead.topology = "other", ROOM, inbox, &as_it_is),
        Err(Refusal::OtherTopology("other".into()))
    );
    let missing = Refusal::NoInbox { node: "gone".into(), inbox: "shop.gone.inbox".into() };
    assert_eq!(back(&original, &|dead| dead.node = "gone", ROOM, inbox, &as_it_is), Err(missing));
    // What fails on its way to a node goes through that node's, wherever there is room.
    assert_eq!(
        back(&original, &|dead| dead.node = "stock.repartition", ROOM, &[("shop.stock.inbox", 1)], &as_it_is),
        Ok((0, 1))
    );
    let keyed: &[(&str, u32)] = &[("shop.stock.inbox", 12), ("shop.stock.snapshots", 12)];
    let moved = Refusal::Repartitioned { partition: 1, then: 6, now: 12, inbox: "shop.stock.inbox".into() };
    assert_eq!(back(&original, none, ROOM, keyed, &as_it_is), Err(moved));
    assert_eq!(back(&original, none, ROOM, &[("shop.stock.inbox", 12)], &as_it_is), Ok((1, 1)), "nothing is kept there");
    let timer = RecordRef { topic: "shop.stock.changelog", offset: -1, ..original };
    assert_eq!(back(&timer, none, ROOM, inbox, &as_it_is), Err(Refusal::Timer));
    let act = RecordRef { topic: "shop.stock.inbox", ..original };
    assert_eq!(back(&act, none, ROOM, inbox, &as_it_is), Err(Refusal::Act("shop.stock.inbox".into())));
    let large = vec![b'x'; 40_000];
    let large = RecordRef { value: Some(&large), ..original };
    assert_eq!(back(&large, none, 20_000, inbox, &as_it_is), Err(Refusal::Stub("value".into())));
    let given = Edit { value: Some(Bytes::from_static(b"{}")), key: None };
    assert_eq!(back(&large, none, 20_000, inbox, &given), Ok((1, 1)), "an operator who has the value may give it");
    let rekeyed = Edit { value: None, key: Some(Bytes::from_static(b"o2")) };
    assert_eq!(back(&original, none, ROOM, inbox, &rekeyed), Ok((crate::record::partition_of(b"o2", 6), 1)));
    let often = Replay { replays: 3, attempts: 3, first_at: 1, what: Wanted::Node, node: "stock" }.text();
    let often = [HeaderRef { name: REPLAY_HEADER, value: Some(often.as_bytes()) }];
    assert_eq!(back(&RecordRef { headers: &often, ..original }, none, ROOM, inbox, &as_it_is), Err(Refusal::TooOften(3)));
    let secret = [HeaderRef { name: SECRET_HEADERS[0], value: Some(b"token") }];
    assert_eq!(back(&RecordRef { headers: &secret, ..original }, none, ROOM, inbox, &as_it_is), Ok((1, 1)));
}

#[test]
fn letters_of_others_go_back_to_their_origin() {
    let spring: [(&str, &[u8]); 6] = [
        ("tenant", b"t1"),
        ("kafka_dlt-original-topic", b"orders"),
        ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
        ("kafka_dlt-original-offset", &[0; 8]),
        ("kafka_dlt-exception-stacktrace", b"at"),
        ("__skald.replays", b"1"),
    ];
    let back = |topics: &[(&str, u32)], all: &[(&str, &[u8])]| {
        let filed = filed(Some(b"o1"), Some(b"{}"), 5, &headers(all));
        let back = targets(topics).back(&filed, &Edit::default())?.record();
        let names: Vec<_> = back.headers.iter().map(|header| header.name.to_string()).collect();
        Ok((back.topic.to_string(), back.partition, names, back.headers.last().and_then(|header| header.value.clone())))
    };
    let names = vec!["tenant".to_owned(), "__skald.replays".into()];
    let twice = Some(Bytes::from_static(b"2"));
    assert_eq!(back(&[("orders", 4)], &spring), Ok(("orders".into(), 3, names.clone(), twice.clone())));
    let by_key = crate::record::partition_of(b"o1", 2);
    assert_eq!(
        back(&[("orders", 2)], &spring),
        Ok(("orders".into(), by_key, names, twice)),
        "its partition is not there any more"
    );
    assert_eq!(back(&[], &spring), Err(Refusal::NoOrigin("orders".into())));
    for hostile in ["__consumer_offsets", "shop.stock.snapshots", "shop.stock.inbox", "shop.audit", "shop.dlq"] {
        let mut told = spring;
        told[1].1 = hostile.as_bytes();
        assert_eq!(back(&[(hostile, 4)], &told), Err(Refusal::EnginesTopic(hostile.into())));
    }
    let mut often = spring;
    often[5].1 = b"3";
    assert_eq!(back(&[("orders", 4)], &often), Err(Refusal::TooOften(3)));
}

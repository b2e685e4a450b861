//! A shop played by its rules, and logs that were tampered with: the check must see every kind of damage.

use super::shop::{Document, Orders, Payments, Reservations, Stock, input, mail};
use super::*;
use crate::dev::traffic::{Shop, Traffic};
use crate::record::{Header, HeaderRef, Record, partition_of};
use crate::state::layout::HEADER;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PARTITIONS: u32 = 2;

#[derive(Clone, Default)]
struct Played {
    logs: BTreeMap<String, [Vec<Record>; PARTITIONS as usize]>,
}

impl Logs for Played {
    fn partitions(&self, _: &str) -> u32 {
        PARTITIONS
    }

    fn read(&mut self, topic: &str, partition: Partition, each: &mut dyn FnMut(&RecordRef<'_>)) -> Result<(), String> {
        let records = self.logs.get(topic).map(|partitions| &partitions[partition as usize][..]).unwrap_or_default();
        for (offset, record) in records.iter().enumerate() {
            let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(Header::as_ref).collect();
            each(&RecordRef {
                topic,
                partition,
                offset: offset as i64,
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            });
        }
        Ok(())
    }
}

impl Played {
    fn append(&mut self, topic: &str, key: &str, value: Option<Vec<u8>>, headers: Vec<Header>) {
        let partition = partition_of(key.as_bytes(), PARTITIONS);
        let record = Record {
            topic: topic.into(),
            partition,
            timestamp: 0,
            key: Some(key.as_bytes().to_vec().into()),
            value: value.map(Into::into),
            headers,
        };
        self.logs.entry(topic.into()).or_default()[partition as usize].push(record);
    }

    fn topic(&mut self, topic: &str) -> impl Iterator<Item = &mut Vec<Record>> {
        self.logs.get_mut(topic).unwrap().iter_mut()
    }
}

/// Runs one node over what is new in its inputs, in an order drawn from `rng`.
struct Actor<M: explain::Model<Input = event::Event>> {
    name: &'static str,
    topics: Vec<&'static str>,
    model: M,
    read: BTreeMap<(&'static str, Partition), usize>,
    states: BTreeMap<String, M::State>,
}

trait Act {
    fn act(&mut self, rng: &mut fastrand::Rng, logs: &mut Played) -> bool;
    fn snapshot(&self, logs: &mut Played);
}

fn actor<M: explain::Model<Input = event::Event>>(name: &'static str, topics: &[&'static str], model: M) -> Actor<M> {
    Actor { name, topics: topics.to_vec(), model, read: BTreeMap::new(), states: BTreeMap::new() }
}

impl<M: explain::Model<Input = event::Event>> Act for Actor<M>
where
    M::State: Document,
{
    fn act(&mut self, rng: &mut fastrand::Rng, logs: &mut Played) -> bool {
        let mut open: Vec<(&'static str, Partition)> = Vec::new();
        for topic in &self.topics {
            for (partition, records) in logs.logs.get(*topic).into_iter().flatten().enumerate() {
                let place = (*topic, partition as Partition);
                if self.read.get(&place).copied().unwrap_or(0) < records.len() {
                    open.push(place);
                }
            }
        }
        if open.is_empty() {
            return false;
        }
        let place = open.swap_remove(rng.usize(..open.len()));
        let at = self.read.entry(place).or_default();
        let record = logs.logs[place.0][place.1 as usize][*at].clone();
        let offset = *at as i64;
        *at += 1;
        let headers = [];
        let borrowed = RecordRef {
            topic: place.0,
            partition: place.1,
            offset,
            timestamp: 0,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let Some((key, event)) = input(place.0, &borrowed) else {
            if record.value.is_some() && self.name != "mails" {
                let text = |name: &str, value: String| Header::text(name, value);
                let origin = vec![
                    text("__streams.errors.topic", place.0.into()),
                    text("__streams.errors.partition", place.1.to_string()),
                    text("__streams.errors.offset", offset.to_string()),
                ];
                logs.append("shop.dlq", "any", record.value.map(|value| value.to_vec()), origin);
            }
            return true;
        };
        if !M::State::reads(&event.kind) {
            return true;
        }
        let mut effects = explain::Effects::default();
        self.model.step(self.states.entry(key).or_default(), &event, &mut effects);
        for (nth, (topic, kind, data)) in effects.told.into_iter().enumerate() {
            write(logs, self.name, place, offset, nth, &event, (topic, kind, data));
        }
        true
    }

    fn snapshot(&self, logs: &mut Played) {
        for (key, state) in self.states.iter().filter(|(_, state)| state.version() > 0) {
            let (version, document) = state.snapshot();
            // An older snapshot lies before the last one, as in a log that is not compacted yet.
            for version in [version.saturating_sub(1).max(1), version] {
                let head = Header::text(HEADER, format!("v={version};s=1;e=x"));
                logs.append(&format!("shop.{}.snapshots", self.name), key, Some(document.to_string().into()), vec![head]);
            }
        }
    }
}

fn write(
    logs: &mut Played,
    node: &str,
    place: (&str, Partition),
    offset: i64,
    nth: usize,
    cause: &event::Event,
    (topic, kind, data): (&str, &str, Value),
) {
    let id = format!("{node}/{}-{}-{offset}/{nth}", place.0, place.1);
    let field = if topic.starts_with("stock.") && topic != "stock.answers" { "sku" } else { "orderId" };
    let key = data[field].as_str().unwrap().to_owned();
    let event = json!({ "id": id, "type": kind, "source": "shop", "data": data, "metadata": { "causationId": cause.id } });
    logs.append(topic, &key, Some(event.to_string().into_bytes()), vec![]);
}

/// Plays the shop to the end.
fn played(seed: u64, records: usize) -> Played {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut logs = Played::default();
    let mut traffic = Shop::new(seed, 0);
    let mut actors: Vec<Box<dyn Act>> = vec![
        Box::new(actor("orders", &["orders.commands", "inventory.events", "payments.events"], Orders)),
        Box::new(actor("reservations", &["orders.events", "stock.answers"], Reservations)),
        Box::new(actor("stock", &["stock.commands"], Stock)),
        Box::new(actor("payments", &["inventory.events", "orders.events"], Payments { success_rate: 0.8 })),
    ];
    let mut sent = 0;
    loop {
        if sent < records && rng.u8(..4) == 0 {
            let made = traffic.next(0);
            let key = String::from_utf8(made.key).unwrap();
            logs.append(&made.topic, &key, made.value, vec![]);
            sent += 1;
        }
        let first = rng.usize(..actors.len());
        let count = actors.len();
        let acted = (0..count).any(|n| actors[(first + n) % count].act(&mut rng, &mut logs));
        if !acted && sent == records {
            break;
        }
    }
    for actor in &actors {
        actor.snapshot(&mut logs);
    }
    let mut events = Vec::new();
    for topic in ["orders.events", "payments.events"] {
        for partition in 0..PARTITIONS as Partition {
            let read = |record: &RecordRef<'_>| {
                events.push((topic, partition, record.offset, event::decode(record.value.unwrap()).unwrap()));
            };
            logs.read(topic, partition, &mut { read }).unwrap();
        }
    }
    for (topic, partition, offset, event) in events {
        if let Some(data) = mail(&event) {
            let message = ("notifications.requests", "notification.requested.v1", data);
            write(&mut logs, "mails", (topic, partition), offset, 0, &event, message);
        }
    }
    logs
}

fn verdict(logs: &Played) -> Verdict {
    check_shop(&mut logs.clone(), 0.8).unwrap()
}

#[test]
fn a_shop_that_keeps_its_rules_is_clean_in_whatever_order_it_ran() {
    for seed in 0..4 {
        let mut logs = played(seed, 500);
        let found = verdict(&logs);
        assert!(found.is_clean(), "seed {seed}: {found:?}");
        assert!(found.aggregates > 900, "{found:?}");
        let mut others = logs.clone();
        let events: Vec<String> = logs
            .topic("payments.events")
            .chain(others.topic("inventory.events"))
            .flatten()
            .map(|record| event::decode(record.value.as_deref().unwrap()).unwrap().kind)
            .collect();
        // The play is worth checking: money went back and goods were short.
        for kind in
            ["payment.failed.v1", "payment.refunded.v1", "payment.voided.v1", "inventory.failed.v1", "inventory.released.v1"]
        {
            assert!(events.iter().any(|found| found == kind), "seed {seed}: no `{kind}`");
        }
    }
}

#[test]
fn every_lost_message_is_found() {
    let logs = played(3, 250);
    for topic in [
        "orders.events",
        "inventory.events",
        "payments.events",
        "stock.answers",
        "stock.events",
        "notifications.requests",
        "shop.dlq",
    ] {
        let mut tampered = logs.clone();
        let records = tampered.topic(topic).find(|records| !records.is_empty()).unwrap();
        records.pop();
        let found = verdict(&tampered);
        assert!(found.lost > 0, "{topic}: {found:?}");
    }
    let mut tampered = logs.clone();
    let theirs = |record: &Record| record.value.as_deref().and_then(event::decode).is_some_and(|event| event.source == "shop");
    let records = tampered.topic("stock.commands").find(|records| records.iter().any(theirs)).unwrap();
    let last = records.iter().rposition(theirs).unwrap();
    records.remove(last);
    assert!(verdict(&tampered).lost > 0, "a command to the stock");
}

#[test]
fn every_doubled_message_is_found() {
    let logs = played(3, 250);
    for topic in [
        "orders.events",
        "inventory.events",
        "payments.events",
        "stock.answers",
        "stock.events",
        "notifications.requests",
        "shop.dlq",
    ] {
        // Once as the same bytes, and once under an id of its own.
        for renamed in [false, true] {
            let mut tampered = logs.clone();
            let records = tampered.topic(topic).find(|records| !records.is_empty()).unwrap();
            let mut copy = records.last().unwrap().clone();
            if renamed && topic != "shop.dlq" {
                let mut value: Value = serde_json::from_slice(copy.value.as_deref().unwrap()).unwrap();
                value["id"] = "another".into();
                copy.value = Some(value.to_string().into_bytes().into());
            }
            records.push(copy);
            let found = verdict(&tampered);
            assert!(found.duplicated > 0, "{topic}, renamed {renamed}: {found:?}");
        }
    }
}

#[test]
fn a_message_with_another_payload_is_lost_and_too_many() {
    let mut logs = played(5, 250);
    let records = logs.topic("payments.events").find(|records| !records.is_empty()).unwrap();
    let record = records.last_mut().unwrap();
    let mut value: Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
    value["data"]["extra"] = 1.into();
    record.value = Some(value.to_string().into_bytes().into());
    let found = verdict(&logs);
    assert!(found.lost >= 1 && found.duplicated >= 1, "{found:?}");
}

type Damage = fn(&mut Vec<Record>);

#[test]
fn wrong_snapshots_are_found() {
    let logs = played(5, 250);
    for node in ["orders", "reservations", "stock", "payments"] {
        let topic = format!("shop.{node}.snapshots");
        let damages: [(&str, Damage, bool, bool); 5] = [
            ("a version too few", |records| renumber(records, -1), true, false),
            ("a version too many", |records| renumber(records, 1), false, true),
            ("another state", |records| records.last_mut().unwrap().value = Some(b"{}".to_vec().into()), true, false),
            ("a tombstone", |records| records.last_mut().unwrap().value = None, true, false),
            ("a stranger", |records| records.last_mut().unwrap().key = Some(b"stranger".to_vec().into()), false, true),
        ];
        for (what, damage, lost, doubled) in damages {
            let mut tampered = logs.clone();
            // The last snapshot of a key whose older one is the same but for the version.
            damage(tampered.topic(&topic).find(|records| !records.is_empty()).unwrap());
            let found = verdict(&tampered);
            assert!(!lost || found.lost > 0, "{node}, {what}: {found:?}");
            assert!(!doubled || found.duplicated > 0, "{node}, {what}: {found:?}");
        }
    }
}

fn renumber(records: &mut [Record], by: i64) {
    let header = &mut records.last_mut().unwrap().headers[0];
    let head = String::from_utf8(header.value.as_deref().unwrap().to_vec()).unwrap();
    let version: i64 = head[2..].split(';').next().unwrap().parse().unwrap();
    *header = Header::text(HEADER, format!("v={};s=1;e=x", version + by));
}

#[test]
fn another_rate_of_success_does_not_explain_the_log() {
    let found = check_shop(&mut played(2, 250), 0.2).unwrap();
    assert!(!found.is_clean());
}

#[test]
fn accounts_that_differ_from_the_log_are_found() {
    let mut logs = played(2, 250);
    let records: usize = logs.topic("orders.commands").map(|records| records.len()).sum();
    let letters: usize = logs.topic("shop.dlq").map(|records| records.len()).sum();
    let mut accounts = Accounts {
        topology: "shop".into(),
        sources: vec!["orders.commands".into()],
        outputs: vec!["orders.events".into()],
        snapshots: vec!["shop.orders.snapshots".into()],
        dead_letters: "shop.dlq".into(),
        records_read: Some(records as u64),
        dead_letters_written: Some(letters as u64),
    };
    let found = check_accounts(&mut logs, &accounts).unwrap();
    assert!(found.is_clean() && found.aggregates > 0, "{found:?}");

    accounts.records_read = Some(records as u64 - 2);
    assert_eq!(check_accounts(&mut logs, &accounts).unwrap().lost, 2);
    accounts.records_read = Some(records as u64 + 3);
    assert_eq!(check_accounts(&mut logs, &accounts).unwrap().duplicated, 3);
    accounts.records_read = None;
    accounts.dead_letters_written = Some(letters as u64 + 1);
    assert_eq!(check_accounts(&mut logs, &accounts).unwrap().lost, 1);
    accounts.dead_letters_written = None;
    let records = logs.topic("orders.events").find(|records| !records.is_empty()).unwrap();
    let copy = records[0].clone();
    records.push(copy);
    assert_eq!(check_accounts(&mut logs, &accounts).unwrap().duplicated, 1);
}

//! The rules of the shop, written a second time: what `topologies/shop/shop.yaml` says, as plain functions.
//!
//! Every node is folded from the topics that it reads, key by key, and what it should have written is compared with what is
//! there, effect by effect: topic, type, payload and the message that caused it. The final states are compared with the
//! snapshots, versions included.

use super::event::{Event, decode, fingerprint, hash_of};
use super::explain::{Effects, Explanation, Model, explain};
use super::{Logs, Verdict};
use crate::record::{Partition, RecordRef};
use crate::state::layout::{HEADER, entity};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

const SOURCE: &str = "shop";
const DEAD_LETTERS: &str = "shop.dlq";

/// Every topic that the check reads.
pub const TOPICS: [&str; 13] = [
    "orders.commands",
    "orders.events",
    "inventory.events",
    "payments.events",
    "stock.commands",
    "stock.answers",
    "stock.events",
    "notifications.requests",
    "shop.orders.snapshots",
    "shop.reservations.snapshots",
    "shop.stock.snapshots",
    "shop.payments.snapshots",
    DEAD_LETTERS,
];

/// Which node writes to a topic.
fn writer_of(topic: &str) -> Option<&'static str> {
    Some(match topic {
        "orders.events" => "orders",
        "inventory.events" | "stock.commands" => "reservations",
        "stock.events" | "stock.answers" => "stock",
        "payments.events" => "payments",
        "notifications.requests" => "mails",
        _ => return None,
    })
}

/// Effects that are there: by node, by the id that caused them, as fingerprints.
type Observed = HashMap<(&'static str, u64), Vec<u64>>;

/// Folds the shop's logs and compares. `success_rate` is the param `payment_success_rate`.
pub fn check_shop(logs: &mut dyn Logs, success_rate: f64) -> Result<Verdict, String> {
    let mut verdict = Verdict::default();
    let mut observed = observe(logs, &mut verdict)?;
    let orders = &["orders.commands", "inventory.events", "payments.events"];
    check_node(logs, "orders", orders, &Orders, &mut observed, &mut verdict)?;
    check_node(logs, "reservations", &["orders.events", "stock.answers"], &Reservations, &mut observed, &mut verdict)?;
    check_node(logs, "stock", &["stock.commands"], &Stock, &mut observed, &mut verdict)?;
    check_node(
        logs,
        "payments",
        &["inventory.events", "orders.events"],
        &Payments { success_rate },
        &mut observed,
        &mut verdict,
    )?;
    check_mails(logs, &mut observed, &mut verdict)?;
    let orphans: usize = observed.values().map(Vec::len).sum();
    verdict.double(orphans as u64, || format!("{orphans} messages name a cause that is no input of their writer"));
    check_dead_letters(logs, &mut verdict)?;
    Ok(verdict)
}

/// Collects what the shop has written, and looks for ids that stand twice.
fn observe(logs: &mut dyn Logs, verdict: &mut Verdict) -> Result<Observed, String> {
    let mut observed = Observed::new();
    for topic in TOPICS {
        let Some(node) = writer_of(topic) else { continue };
        let mut ids = HashSet::new();
        for partition in 0..logs.partitions(topic) {
            logs.read(topic, partition as Partition, &mut |record| {
                let Some(event) = record.value.and_then(decode).filter(|event| event.source == SOURCE) else { return };
                if !ids.insert(hash_of(&event.id)) {
                    // The copy is told here and not once more as an effect too many.
                    verdict.double(1, || format!("`{topic}` has `{}` of id `{}` twice", event.kind, event.id));
                    return;
                }
                let cause = event.causation.as_deref().map(hash_of).unwrap_or_default();
                observed.entry((node, cause)).or_default().push(fingerprint(topic, &event.kind, &event.data));
            })?;
        }
    }
    Ok(observed)
}

/// Folds one node over its inputs, partition by partition.
fn check_node<M>(
    logs: &mut dyn Logs,
    node: &'static str,
    topics: &[&str],
    model: &M,
    observed: &mut Observed,
    verdict: &mut Verdict,
) -> Result<(), String>
where
    M: Model<Input = Event>,
    M::State: Document,
{
    let snapshots = format!("shop.{node}.snapshots");
    for partition in 0..logs.partitions(topics[0]) as Partition {
        let mut inputs: BTreeMap<String, Vec<Vec<Event>>> = BTreeMap::new();
        for (at, topic) in topics.iter().enumerate() {
            logs.read(topic, partition, &mut |record| {
                let Some((key, event)) = input(topic, record) else { return };
                if M::State::reads(&event.kind) {
                    inputs.entry(key).or_insert_with(|| vec![Vec::new(); topics.len()])[at].push(event);
                }
            })?;
        }
        let mut states = states(logs, &snapshots, partition, verdict)?;
        for (key, inputs) in inputs {
            // Several inputs may share an id (a producer that sent twice); what they caused is compared together.
            let mut found = HashMap::new();
            for event in inputs.iter().flatten() {
                let cause = hash_of(&event.id);
                if let Some(effects) = observed.remove(&(node, cause)) {
                    found.insert(cause, effects);
                }
            }
            let snapshot = states.remove(&key);
            let fits =
                |state: &M::State| state.version() == 0 && snapshot.is_none() || snapshot.as_ref() == Some(&state.snapshot());
            let Explanation { state, missing, extra } = explain(model, &inputs, &found, &fits);
            verdict.lose(missing, || format!("`{node}` has not written {missing} messages for `{key}`"));
            verdict.double(extra, || format!("`{node}` has written {extra} messages too many for `{key}`"));
            compare(node, &key, &state, snapshot, verdict);
        }
        for key in states.into_keys() {
            verdict.double(1, || format!("`{node}` has a state for `{key}`, which no message was for"));
        }
    }
    Ok(())
}

fn compare<S: Document>(node: &str, key: &str, state: &S, snapshot: Option<(u64, Value)>, verdict: &mut Verdict) {
    let (version, value) = match snapshot {
        Some((version, value)) => {
            verdict.aggregates += 1;
            (version, value)
        }
        None if state.version() == 0 => return,
        None => return verdict.lose(1, || format!("`{node}` has no state for `{key}`")),
    };
    let expected = state.version();
    if version != expected {
        let finding = || format!("`{node}` of `{key}` has version {version} instead of {expected}");
        verdict.lose(expected.saturating_sub(version), finding);
        verdict.double(version.saturating_sub(expected), finding);
    } else if value != state.document() {
        verdict.lose(1, || format!("`{node}` of `{key}` is {value} instead of {}", state.document()));
    }
}

/// Last snapshots of a partition, by key: version and state.
fn states(
    logs: &mut dyn Logs,
    topic: &str,
    partition: Partition,
    verdict: &mut Verdict,
) -> Result<BTreeMap<String, (u64, Value)>, String> {
    let mut states = BTreeMap::new();
    logs.read(topic, partition, &mut |record| {
        let key = String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned();
        let Some(value) = record.value else {
            states.remove(&key);
            return;
        };
        let version = record.header(HEADER).and_then(|head| entity::read_head(head).ok()).map(|head| head.version);
        match (version, serde_json::from_slice(value)) {
            (Some(version), Ok(value)) => _ = states.insert(key, (version, value)),
            _ => verdict.lose(1, || format!("`{topic}` has a snapshot of `{key}` that cannot be read")),
        }
    })?;
    Ok(states)
}

/// The input that a record is; `None` for what must be a dead letter, and for records without a value.
pub(super) fn input(topic: &str, record: &RecordRef<'_>) -> Option<(String, Event)> {
    let event = decode(record.value?)?;
    let key = std::str::from_utf8(record.key?).ok()?.to_owned();
    (well_formed(&event) && key_fits(topic, &key, &event)).then_some((key, event))
}

/// Every topic of the shop is keyed by a field of its payload.
fn key_fits(topic: &str, key: &str, event: &Event) -> bool {
    let field = if topic.starts_with("stock.") && topic != "stock.answers" { "sku" } else { "orderId" };
    !known(&event.kind) || event.data[field].as_str() == Some(key)
}

fn known(kind: &str) -> bool {
    matches!(
        kind,
        "order.create.v1" | "order.cancel.v1" | "stock.receive.v1" | "stock.reserve.v1" | "stock.release.v1" | "stock.take.v1"
    )
}

/// The schemas of the commands, which foreign producers may break; what the shop writes is checked when it is compared.
fn well_formed(event: &Event) -> bool {
    let data = &event.data;
    let id = |field: &str| data[field].as_str().is_some_and(|text| (1..=64).contains(&text.chars().count()));
    let number = |value: &Value, least: i64, most: i64| integer(value).is_some_and(|number| (least..=most).contains(&number));
    match event.kind.as_str() {
        "order.create.v1" => {
            let items = data["items"].as_array();
            id("orderId")
                && id("userId")
                && items.is_some_and(|items| {
                    (1..=100).contains(&items.len())
                        && items.iter().all(|item| {
                            item["sku"].as_str().is_some_and(|sku| (1..=64).contains(&sku.chars().count()))
                                && number(&item["quantity"], 1, 1_000)
                                && number(&item["price"], 0, 100_000_000)
                        })
                })
        }
        "order.cancel.v1" => {
            id("orderId") && data["reason"].as_str().is_some_and(|reason| (1..=200).contains(&reason.chars().count()))
        }
        "stock.receive.v1" => id("sku") && number(&data["quantity"], 1, 1_000_000),
        _ => true,
    }
}

/// To JSON Schema `2.0` is an integer too.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64))
}

/// One letter for each record that cannot be understood, and no other.
fn check_dead_letters(logs: &mut dyn Logs, verdict: &mut Verdict) -> Result<(), String> {
    let mut expected = HashSet::new();
    for topic in ["orders.commands", "stock.commands"] {
        for partition in 0..logs.partitions(topic) as Partition {
            logs.read(topic, partition, &mut |record| {
                if record.value.is_some() && input(topic, record).is_none() {
                    expected.insert((topic.to_owned(), partition, record.offset));
                }
            })?;
        }
    }
    for partition in 0..logs.partitions(DEAD_LETTERS) as Partition {
        logs.read(DEAD_LETTERS, partition, &mut |record| {
            let text = |name: &str| record.header(name).and_then(|value| std::str::from_utf8(value).ok());
            let origin =
                text("__streams.errors.topic").zip(text("__streams.errors.partition")).zip(text("__streams.errors.offset"));
            let origin = origin
                .and_then(|((topic, partition), offset)| Some((topic.into(), partition.parse().ok()?, offset.parse().ok()?)));
            let Some(origin) = origin else {
                return verdict.double(1, || "a dead letter does not say where it comes from".into());
            };
            if !expected.remove(&origin) {
                let (topic, partition, offset) = origin;
                let code = text("__skald.errors.code").unwrap_or("?").to_owned();
                verdict.double(1, || {
                    format!("`{topic}-{partition}` offset {offset} should be no dead letter, or one only ({code})")
                });
            }
        })?;
    }
    let (lost, first) = (expected.len() as u64, expected.into_iter().min());
    verdict.lose(lost, || format!("{lost} records should be dead letters and are not, the first is {first:?}"));
    Ok(())
}

/// One mail per event that deserves one.
fn check_mails(logs: &mut dyn Logs, observed: &mut Observed, verdict: &mut Verdict) -> Result<(), String> {
    for topic in ["orders.events", "payments.events"] {
        for partition in 0..logs.partitions(topic) as Partition {
            logs.read(topic, partition, &mut |record| {
                let Some((_, event)) = input(topic, record) else { return };
                let Some(mail) = mail_for(&event) else { return };
                let found = observed.remove(&("mails", hash_of(&event.id))).unwrap_or_default();
                let there = found.iter().filter(|effect| **effect == mail).count().min(1) as u64;
                verdict.lose(1 - there, || format!("no mail for `{}` of id `{}`", event.kind, event.id));
                let extra = found.len() as u64 - there;
                verdict.double(extra, || format!("{extra} mails too many for `{}` of id `{}`", event.kind, event.id));
            })?;
        }
    }
    Ok(())
}

fn mail_for(event: &Event) -> Option<u64> {
    mail(event).map(|data| fingerprint("notifications.requests", "notification.requested.v1", &data))
}

pub(super) fn mail(event: &Event) -> Option<Value> {
    let (order, data) = (event.data["orderId"].as_str()?, &event.data);
    let (template, text) = match event.kind.as_str() {
        "order.confirmed.v1" => ("order-confirmed", format!("Your order {order} over {} cents is on its way.", data["amount"])),
        "order.cancelled.v1" => ("order-cancelled", format!("Your order {order} was cancelled: {}.", data["reason"].as_str()?)),
        "payment.refunded.v1" => ("payment-refunded", format!("You get {} cents back for order {order}.", data["amount"])),
        _ => return None,
    };
    Some(json!({ "orderId": order, "template": template, "text": text }))
}

/// A state as its snapshot shows it.
pub(super) trait Document {
    /// Types that its node handles.
    fn reads(kind: &str) -> bool;

    /// Events applied.
    fn version(&self) -> u64;

    /// The state as JSON.
    fn document(&self) -> Value;

    /// Both.
    fn snapshot(&self) -> (u64, Value) {
        (self.version(), self.document())
    }
}

/// Notes an effect of an input.
fn write(effects: &mut Effects, input: &Event, topic: &'static str, kind: &'static str, data: Value) {
    effects.add(&input.id, topic, kind, data);
}

/// What the customer sees of an order.
pub(super) struct Orders;

#[derive(Clone, Debug, Default)]
pub(super) struct OrderState {
    version: u64,
    status: &'static str,
    user: Value,
    items: Value,
    amount: i64,
    reason: String,
}

impl Document for OrderState {
    fn reads(kind: &str) -> bool {
        ["order.create.v1", "order.cancel.v1", "inventory.failed.v1", "payment.failed.v1", "payment.confirmed.v1"]
            .contains(&kind)
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn document(&self) -> Value {
        json!({ "status": self.status, "userId": self.user, "items": self.items, "amount": self.amount, "reason": self.reason })
    }
}

impl Orders {
    fn cancel(state: &mut OrderState, input: &Event, reason: &Value, effects: &mut Effects) {
        let data = json!({ "orderId": input.data["orderId"], "userId": state.user, "reason": reason });
        write(effects, input, "orders.events", "order.cancelled.v1", data);
        state.status = "CANCELLED";
        state.reason = reason.as_str().unwrap_or_default().into();
        state.version += 1;
    }
}

impl Model for Orders {
    type State = OrderState;
    type Input = Event;

    fn step(&self, state: &mut OrderState, input: &Event, effects: &mut Effects) {
        let data = &input.data;
        match input.kind.as_str() {
            "order.create.v1" => {
                let items = data["items"].as_array().map(Vec::as_slice).unwrap_or_default();
                let skus: HashSet<&str> = items.iter().filter_map(|item| item["sku"].as_str()).collect();
                if state.version > 0 || skus.len() != items.len() {
                    return;
                }
                let whole = |value: &Value| integer(value).unwrap_or_default();
                state.amount = items.iter().map(|item| whole(&item["price"]) * whole(&item["quantity"])).sum();
                (state.user, state.items, state.status) = (data["userId"].clone(), data["items"].clone(), "PENDING");
                state.version += 1;
                let created = json!({
                    "orderId": data["orderId"], "userId": state.user, "items": state.items, "amount": state.amount,
                });
                write(effects, input, "orders.events", "order.created.v1", created);
            }
            "order.cancel.v1" if state.version > 0 && state.status != "CANCELLED" => {
                Self::cancel(state, input, &data["reason"], effects);
            }
            "inventory.failed.v1" | "payment.failed.v1" if state.status == "PENDING" => {
                Self::cancel(state, input, &data["reason"], effects);
            }
            "payment.confirmed.v1" if state.status == "PENDING" => {
                let data = json!({ "orderId": data["orderId"], "userId": state.user, "amount": state.amount });
                write(effects, input, "orders.events", "order.confirmed.v1", data);
                state.status = "CONFIRMED";
                state.version += 1;
            }
            _ => {}
        }
    }
}

/// All items of an order, or none.
pub(super) struct Reservations;

#[derive(Clone, Debug)]
pub(super) struct ReservationState {
    version: u64,
    status: &'static str,
    items: Vec<Value>,
    amount: i64,
    open: Vec<Value>,
    short: Vec<Value>,
}

impl Default for ReservationState {
    fn default() -> Self {
        Self { version: 0, status: "NONE", items: vec![], amount: 0, open: vec![], short: vec![] }
    }
}

impl Document for ReservationState {
    fn reads(kind: &str) -> bool {
        ["order.created.v1", "stock.answered.v1", "order.confirmed.v1", "order.cancelled.v1"].contains(&kind)
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn document(&self) -> Value {
        json!({ "status": self.status, "items": self.items, "amount": self.amount, "open": self.open, "short": self.short })
    }
}

impl ReservationState {
    fn own(&mut self, effects: &mut Effects, input: &Event, kind: &'static str, data: Value) {
        self.version += 1;
        write(effects, input, "inventory.events", kind, data);
    }

    fn tell_stock(&self, effects: &mut Effects, input: &Event, kind: &'static str, fields: &[&str]) {
        for item in &self.items {
            let mut data = Map::new();
            for field in fields {
                let value = if *field == "orderId" { &input.data["orderId"] } else { &item[*field] };
                data.insert((*field).into(), value.clone());
            }
            write(effects, input, "stock.commands", kind, data.into());
        }
    }
}

impl Model for Reservations {
    type State = ReservationState;
    type Input = Event;

    fn step(&self, state: &mut ReservationState, input: &Event, effects: &mut Effects) {
        let (data, order) = (&input.data, &input.data["orderId"]);
        match (input.kind.as_str(), state.status) {
            ("order.created.v1", "NONE") => {
                state.items = data["items"].as_array().cloned().unwrap_or_default();
                state.amount = integer(&data["amount"]).unwrap_or_default();
                state.open = state.items.iter().map(|item| item["sku"].clone()).collect();
                state.status = "REQUESTED";
                let requested = json!({ "orderId": order, "items": state.items, "amount": state.amount });
                state.own(effects, input, "inventory.requested.v1", requested);
                state.tell_stock(effects, input, "stock.reserve.v1", &["orderId", "sku", "quantity"]);
            }
            ("stock.answered.v1", "REQUESTED") if state.open.contains(&data["sku"]) => {
                let answered = json!({ "orderId": order, "sku": data["sku"], "reserved": data["reserved"] });
                state.own(effects, input, "inventory.answered.v1", answered);
                state.open.retain(|sku| *sku != data["sku"]);
                if data["reserved"] != true {
                    state.short.push(data["sku"].clone());
                }
                if !state.open.is_empty() {
                    return;
                }
                if state.short.is_empty() {
                    state.status = "RESERVED";
                    let reserved = json!({ "orderId": order, "amount": state.amount });
                    state.own(effects, input, "inventory.reserved.v1", reserved);
                } else {
                    state.status = "FAILED";
                    let failed = json!({ "orderId": order, "reason": "INSUFFICIENT_INVENTORY", "short": state.short });
                    state.own(effects, input, "inventory.failed.v1", failed);
                    state.tell_stock(effects, input, "stock.release.v1", &["orderId", "sku"]);
                }
            }
            ("order.confirmed.v1", "RESERVED") => {
                state.status = "TAKEN";
                state.own(effects, input, "inventory.taken.v1", json!({ "orderId": order }));
                state.tell_stock(effects, input, "stock.take.v1", &["orderId", "sku"]);
            }
            ("order.cancelled.v1", before @ ("REQUESTED" | "RESERVED" | "TAKEN")) => {
                state.status = "RELEASED";
                state.open.clear();
                state.own(effects, input, "inventory.released.v1", json!({ "orderId": order }));
                if before == "TAKEN" {
                    state.tell_stock(effects, input, "stock.receive.v1", &["sku", "quantity"]);
                } else {
                    state.tell_stock(effects, input, "stock.release.v1", &["orderId", "sku"]);
                }
            }
            _ => {}
        }
    }
}

/// What is on the shelf.
pub(super) struct Stock;

#[derive(Clone, Debug, Default)]
pub(super) struct StockState {
    version: u64,
    quantity: i64,
    reserved: BTreeMap<String, i64>,
}

impl Document for StockState {
    fn reads(kind: &str) -> bool {
        kind.starts_with("stock.")
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn document(&self) -> Value {
        json!({ "quantity": self.quantity, "reserved": self.reserved })
    }
}

impl StockState {
    fn own(&mut self, effects: &mut Effects, input: &Event, kind: &'static str, data: &Value) {
        self.version += 1;
        write(effects, input, "stock.events", kind, data.clone());
    }
}

impl Model for Stock {
    type State = StockState;
    type Input = Event;

    fn step(&self, state: &mut StockState, input: &Event, effects: &mut Effects) {
        let data = &input.data;
        let order = data["orderId"].as_str().unwrap_or_default();
        let quantity = integer(&data["quantity"]).unwrap_or_default();
        match input.kind.as_str() {
            "stock.receive.v1" => {
                state.quantity += quantity;
                state.own(effects, input, "stock.received.v1", data);
            }
            "stock.reserve.v1" => {
                let held = state.reserved.contains_key(order);
                let accepted = held || state.quantity - state.reserved.values().sum::<i64>() >= quantity;
                if accepted && !held {
                    state.reserved.insert(order.into(), quantity);
                    state.own(effects, input, "stock.reserved.v1", data);
                }
                let answer = json!({ "orderId": order, "sku": data["sku"], "reserved": accepted });
                write(effects, input, "stock.answers", "stock.answered.v1", answer);
            }
            "stock.release.v1" if state.reserved.remove(order).is_some() => {
                state.own(effects, input, "stock.released.v1", data);
            }
            "stock.take.v1" => {
                let Some(held) = state.reserved.remove(order) else { return };
                state.quantity -= held;
                let taken = json!({ "orderId": order, "sku": data["sku"], "quantity": held });
                state.own(effects, input, "stock.taken.v1", &taken);
            }
            _ => {}
        }
    }
}

/// The simulated gateway.
pub(super) struct Payments {
    pub(super) success_rate: f64,
}

#[derive(Clone, Debug)]
pub(super) struct PaymentState {
    version: u64,
    status: &'static str,
    amount: i64,
}

impl Default for PaymentState {
    fn default() -> Self {
        Self { version: 0, status: "NONE", amount: 0 }
    }
}

impl Document for PaymentState {
    fn reads(kind: &str) -> bool {
        ["inventory.reserved.v1", "order.cancelled.v1"].contains(&kind)
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn document(&self) -> Value {
        json!({ "status": self.status, "amount": self.amount })
    }
}

impl Model for Payments {
    type State = PaymentState;
    type Input = Event;

    fn step(&self, state: &mut PaymentState, input: &Event, effects: &mut Effects) {
        let order = &input.data["orderId"];
        let (status, kind, data) = match (input.kind.as_str(), state.status) {
            ("inventory.reserved.v1", "NONE") => {
                state.amount = integer(&input.data["amount"]).unwrap_or_default();
                if hash01(&input.id) < self.success_rate {
                    ("CONFIRMED", "payment.confirmed.v1", json!({ "orderId": order, "amount": state.amount }))
                } else {
                    let data = json!({ "orderId": order, "amount": state.amount, "reason": "CARD_DECLINED" });
                    ("FAILED", "payment.failed.v1", data)
                }
            }
            ("order.cancelled.v1", "CONFIRMED") => {
                ("REFUNDED", "payment.refunded.v1", json!({ "orderId": order, "amount": state.amount }))
            }
            ("order.cancelled.v1", "NONE") => ("VOIDED", "payment.voided.v1", json!({ "orderId": order })),
            _ => return,
        };
        state.status = status;
        state.version += 1;
        write(effects, input, "payments.events", kind, data);
    }
}

/// The first 53 bits of the SHA-256 of a text, as a number in [0, 1).
fn hash01(text: &str) -> f64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(text.as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (first >> 11) as f64 / (1_u64 << 53) as f64
}

//! What the simulated workers run: two stateful nodes in a chain and a stateless one, written by hand so that a seed costs
//! milliseconds.
//!
//! `fold` counts and sums the numbers of each key, keeps a hash that tells their order, and marks every fifth number as seen: met
//! again, the number shows that a committed record was processed twice. Some numbers fail for a while, so that later ones of their
//! key wait. `bucket` sums what `fold` passes on under another key.
//! `tap` passes on what it reads, also the records that `fold` fails on after it has written and sent. `later` (`timers`) does what
//! happens by time.

use crate::timers::Later;
use skald::broker::Guarantee;
use skald::codec::{Event, moment};
use skald::failure::{Class, Failure, Stage};
use skald::node::{Context, Failed, Input, Node, Outcome, Outgoing, Parking, Policy, Stop, Target};
use skald::record::{Map, Millis, RecordRef, Text, Value};
use skald::runtime::{Decode, Program, SourcePolicy};
use skald::state::layout::Tag;
use skald::state::{Entity, Expiring};
use skald::topology::model::{Cleanup, Park, StoreKind};
use skald::topology::plan::{
    NodeKind, Owner, Partitions, Plan, PlannedNode, PlannedStore, PlannedTopic, Role, SubTopology, TaskCount,
};
use std::sync::Arc;

pub(crate) const TOPOLOGY: &str = "sim";
pub(crate) const IN: usize = 0;
pub(crate) const MID: usize = 1;
pub(crate) const OUT: usize = 2;
pub(crate) const SUMS: usize = 3;
pub(crate) const TAPS: usize = 4;
pub(crate) const FOLD_SNAPSHOTS: usize = 5;
pub(crate) const FOLD_CHANGELOG: usize = 6;
pub(crate) const BUCKET_SNAPSHOTS: usize = 7;
pub(crate) const DEAD_LETTERS: usize = 8;
pub(crate) const TIMERS: usize = 9;
const LATER_CHANGELOG: usize = 10;

/// The store of `later`.
pub(crate) const LATER: usize = 2;

pub(crate) const IN_PARTITIONS: u32 = 3;
pub(crate) const MID_PARTITIONS: u32 = 4;

/// All tries of a number that may pass.
const TRIES: u32 = 4;

/// How long a number counts as seen.
const SEEN_MS: i64 = 15_000;

/// A number on its way, and what is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    /// Fails at `fold`.
    Bad,
    /// Cannot be decoded.
    Garbled,
    /// Fails at `fold` for a while, and passes then.
    Shaky,
    /// Fails at `fold` as if it could pass, and never does.
    Doomed,
}

pub(crate) fn value_of(kind: Kind, number: i64) -> String {
    match kind {
        Kind::Good => number.to_string(),
        Kind::Bad => format!("bad {number}"),
        Kind::Garbled => format!("?{number}"),
        Kind::Shaky => format!("shaky {number}"),
        Kind::Doomed => format!("doomed {number}"),
    }
}

pub(crate) fn parse(value: &str) -> (Kind, i64) {
    let prefixes = [("bad ", Kind::Bad), ("?", Kind::Garbled), ("shaky ", Kind::Shaky), ("doomed ", Kind::Doomed)];
    let found = prefixes.into_iter().find_map(|(prefix, kind)| Some((kind, value.strip_prefix(prefix)?)));
    let (kind, digits) = found.unwrap_or((Kind::Good, value));
    (kind, digits.parse().expect("values are written by value_of"))
}

/// State of a key: count, sum, and a hash of the numbers in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) count: i64,
    pub(crate) sum: i64,
    pub(crate) hash: i64,
}

impl Sums {
    pub(crate) fn add(self, number: i64) -> Self {
        Self { count: self.count + 1, sum: self.sum + number, hash: (self.hash * 31 + number) % 1_000_003 }
    }

    pub(crate) fn read(value: &Value) -> Self {
        let field = |name: &str| value.get(name).and_then(Value::as_int).expect("states are written by this workload");
        Self { count: field("count"), sum: field("sum"), hash: field("hash") }
    }

    fn value(self) -> Value {
        let field = |name: &'static str, number: i64| (Text::new_static(name), Value::Int(number));
        Value::Map(Map::from_entries(vec![field("count", self.count), field("sum", self.sum), field("hash", self.hash)]))
    }
}

struct Plain;

impl Decode for Plain {
    fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        let text = std::str::from_utf8(record.value.unwrap_or_default()).unwrap_or("?");
        if text.starts_with('?') {
            return Err(Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, "garbled"));
        }
        let id = Text::from(format!("{}-{}-{}", record.topic, record.partition, record.offset));
        Ok(Some(Event {
            correlation_id: id.clone(),
            id,
            kind: "number".into(),
            source: Text::default(),
            time: moment(record.timestamp),
            version: None,
            causation_id: None,
            metadata: Map::new(),
            data: text.into(),
        }))
    }
}

struct Summing {
    name: Text,
    store: usize,
    out: usize,
    /// Where numbers are passed on to.
    next: Option<usize>,
    marks: bool,
    /// Do numbers of it wait behind those that may pass?
    parks: bool,
    /// May a number come again whose first time was committed?
    repeats: bool,
}

impl Node for Summing {
    fn name(&self) -> &Text {
        &self.name
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let key = input.record.key.expect("all records have keys");
        let (kind, number) = parse(input.event.data.as_str().expect("numbers are text"));
        let (sums, version) = match context.entity(self.store, key)? {
            Some(entity) => (Sums::read(&entity.value), entity.version),
            None => (Sums::default(), 0),
        };
        let sums = sums.add(number);
        let last_event = Some(input.event.id.clone());
        let entity = Entity { value: sums.value(), version: version + 1, last_event, state_version: 1, expires_at: None };
        context.put_entity(self.store, key, Some(entity))?;
        if self.marks && number % 5 == 0 {
            let id = number.to_string();
            if context.expiring(self.store, Tag::Mark, id.as_bytes())?.is_some() && !self.repeats {
                return Err(Failure::new(Class::Engine, "TWICE", Stage::Step, format!("{number} was processed twice")).into());
            }
            let seen = Expiring { expires_at: context.now() + SEEN_MS, value: Default::default() };
            context.put_expiring(self.store, Tag::Mark, id.as_bytes(), Some(seen))?;
        }
        let text = format!("{number} {} {}", sums.count, sums.hash);
        send(context, self.out, key, &text, input)?;
        if let Some(next) = self.next {
            send(context, next, format!("b{}", number % 7).as_bytes(), &number.to_string(), input)?;
        }
        let attempts = context.tries().attempts;
        match kind {
            Kind::Bad => Err(Failure::new(Class::Permanent, "BAD", Stage::Step, "a number that fails").into()),
            Kind::Shaky if i64::from(attempts) <= number % i64::from(TRIES) => Err(may_pass()),
            Kind::Doomed => Err(may_pass()),
            _ => Ok(Outcome::Processed),
        }
    }

    fn failed(&self, _: &RecordRef<'_>, _: Option<&Event>, _: &Failure, _: &mut dyn Context) -> Result<(), Stop> {
        Ok(())
    }

    fn policy(&self) -> Option<Policy<'_>> {
        None
    }

    fn again(&self, failed: &Failed<'_>) -> Option<Millis> {
        let attempts = i64::from(failed.tries.attempts);
        (failed.tries.attempts < TRIES).then_some((50.0 * attempts as f64 * (1.0 + failed.chance)) as Millis)
    }

    /// Few enough that inputs are paused now and then.
    fn parking(&self) -> Option<Parking> {
        let bounds = Park { per_key: 4, per_partition: 9 };
        self.parks.then_some(Parking { bounds, holds: false })
    }
}

/// A failure that may pass.
fn may_pass() -> Stop {
    Failure::new(Class::Retryable, "NOT_YET", Stage::Step, "a number that fails for a while").into()
}

struct Tap;

impl Node for Tap {
    fn name(&self) -> &Text {
        const NAME: Text = Text::new_static("tap");
        static STATIC: Text = NAME;
        &STATIC
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let key = input.record.key.expect("all records have keys");
        let (_, number) = parse(input.event.data.as_str().expect("numbers are text"));
        send(context, TAPS, key, &number.to_string(), input)?;
        Ok(Outcome::Processed)
    }

    fn failed(&self, _: &RecordRef<'_>, _: Option<&Event>, _: &Failure, _: &mut dyn Context) -> Result<(), Stop> {
        Ok(())
    }

    fn policy(&self) -> Option<Policy<'_>> {
        None
    }
}

fn send(context: &mut dyn Context, topic: usize, key: &[u8], text: &str, input: &Input<'_>) -> Result<(), Failure> {
    context.send(Outgoing {
        target: Target::Planned(topic),
        key: Some(key),
        spread: key,
        value: Some(text.as_bytes()),
        headers: &[],
        timestamp: input.record.timestamp,
    })
}

/// The program, with its plan.
pub(crate) fn program(guarantee: Guarantee) -> Program {
    let repeats = guarantee == Guarantee::AtLeastOnce;
    let plain: Arc<dyn Decode> = Arc::new(Plain);
    let plan = plan();
    let decoders = vec![plain.clone(); plan.topics.len()];
    let fold = Summing { name: "fold".into(), store: 0, out: OUT, next: Some(MID), marks: true, parks: true, repeats };
    let bucket = Summing { name: "bucket".into(), store: 1, out: SUMS, next: None, marks: false, parks: false, repeats };
    let policies = plan.nodes.iter().map(|node| vec![SourcePolicy::default(); node.sources.len()]).collect();
    let nodes: Vec<Arc<dyn Node>> = vec![Arc::new(fold), Arc::new(bucket), Arc::new(Tap), Arc::new(Later)];
    Program::of_parts(Arc::new(plan), nodes, decoders, plain, policies)
}

fn plan() -> Plan {
    let topic = |name: &str, owner, partitions, cleanup, role| PlannedTopic {
        name: name.into(),
        roles: vec![role],
        owner,
        partitions,
        replication: None,
        cleanup,
        config: Vec::new(),
        // What one node passes on to the other, as through a repartition topic.
        purged: name == "mid",
    };
    let declared = |name: &str, partitions, role| topic(name, Owner::User, Partitions::Declared(partitions), None, role);
    let of_part =
        |name: &str, part, cleanup, role| topic(name, Owner::Engine, Partitions::OfSubTopology(part), Some(cleanup), role);
    let node = |name: &str, index, subtopology, source, store| PlannedNode {
        name: name.into(),
        kind: NodeKind::Pipeline(index),
        subtopology,
        sources: vec![source],
        patterns: Vec::new(),
        store,
        inbox: None,
    };
    let part = |index, name: &str, source, nodes, stores| SubTopology {
        index,
        name: name.into(),
        sources: vec![source],
        patterns: Vec::new(),
        nodes,
        stores,
        stateful: true,
        count: TaskCount::OfSources,
    };
    let store = |node, name: &str, snapshots, changelog| PlannedStore {
        node,
        name: name.into(),
        kind: StoreKind::Disk,
        snapshots,
        changelog,
    };
    Plan {
        topology: TOPOLOGY.into(),
        version: 1,
        topics: vec![
            declared("in", IN_PARTITIONS, Role::Source),
            declared("mid", MID_PARTITIONS, Role::Source),
            declared("out", IN_PARTITIONS, Role::Sink),
            declared("sums", 2, Role::Sink),
            declared("taps", 2, Role::Sink),
            of_part("sim.fold.snapshots", 0, Cleanup::Compact, Role::Snapshots),
            of_part("sim.fold.changelog", 0, Cleanup::Compact, Role::Changelog),
            of_part("sim.bucket.snapshots", 1, Cleanup::Compact, Role::Snapshots),
            topic("sim.dlq", Owner::Engine, Partitions::Cluster, None, Role::DeadLetters),
            declared("timers", 2, Role::Sink),
            of_part("sim.later.changelog", 0, Cleanup::Compact, Role::Changelog),
            topic("sim.audit", Owner::Engine, Partitions::Cluster, None, Role::Audit),
        ],
        subtopologies: vec![part(0, "fold", IN, vec![0, 2, 3], vec![0, LATER]), part(1, "bucket", MID, vec![1], vec![1])],
        nodes: vec![
            node("fold", 0, 0, IN, Some(0)),
            node("bucket", 1, 1, MID, Some(1)),
            node("tap", 2, 0, IN, None),
            node("later", 3, 0, IN, Some(LATER)),
        ],
        stores: vec![
            store(0, "fold", Some(FOLD_SNAPSHOTS), Some(FOLD_CHANGELOG)),
            store(1, "bucket", Some(BUCKET_SNAPSHOTS), None),
            store(3, "later", None, Some(LATER_CHANGELOG)),
        ],
        dead_letters: DEAD_LETTERS,
        audit: LATER_CHANGELOG + 1,
        subscription: "fold: in; bucket: mid".into(),
    }
}

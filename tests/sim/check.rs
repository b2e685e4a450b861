//! What must hold in the end, computed from the logs alone by rules of its own.

use crate::monitor;
use crate::workload::{self, IN_PARTITIONS, Kind, MID_PARTITIONS, Sums};
use crate::world::World;
use skald::broker::embedded::Cluster;
use skald::broker::{Broker, Isolation, Limit};
use skald::record::{Offset, Record, RecordRef, TopicPartition};
use skald::runtime::Lookup;
use skald::state::layout::{HEADER, Tag, entity};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The committed records of a topic, partition by partition.
pub(crate) fn read(world: &World, topic: &str, partitions: u32) -> Result<Vec<(Offset, Record)>, String> {
    read_at(&world.cluster, (0..partitions as i32).map(|partition| (TopicPartition::new(topic, partition), 0)).collect())
}

/// The same of a topic whose older records are gone.
fn read_from_start(world: &World, topic: &str, partitions: u32) -> Result<Vec<(Offset, Record)>, String> {
    let all = (0..partitions as i32).map(|partition| TopicPartition::new(topic, partition)).collect();
    read_at(&world.cluster, monitor::starts(&world.cluster, all))
}

/// The committed records of partitions from these offsets on, partition by partition.
pub(crate) fn read_at(cluster: &Cluster, all: Vec<(TopicPartition, Offset)>) -> Result<Vec<(Offset, Record)>, String> {
    let mut reader = cluster.log_reader(Isolation::ReadCommitted).map_err(|error| error.to_string())?;
    reader.assign(&all).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    loop {
        let before = records.len();
        let limit = Limit { records: usize::MAX, time: Duration::ZERO };
        let mut take = |record: RecordRef<'_>| records.push((record.offset, record.to_record()));
        reader.poll(limit, &mut take).map_err(|trouble| format!("{trouble:?}"))?;
        if records.len() == before {
            break;
        }
    }
    records.sort_by_key(|(offset, record)| (record.partition, *offset));
    Ok(records)
}

pub(crate) fn text(bytes: Option<&bytes::Bytes>) -> String {
    String::from_utf8(bytes.expect("records of the workload have both").to_vec()).expect("and they are text")
}

pub(crate) fn key(record: &Record) -> String {
    text(record.key.as_ref())
}

/// Version and state of every key.
pub(crate) type States = BTreeMap<String, (u64, Sums)>;

/// What a stateful node makes of its input: per key its states, one after the other.
#[derive(Default)]
struct Model {
    trails: BTreeMap<String, Vec<(i64, Sums)>>,
}

impl Model {
    fn add(&mut self, key: String, number: i64) {
        let trail = self.trails.entry(key).or_default();
        let sums = trail.last().map_or_else(Sums::default, |(_, sums)| *sums);
        trail.push((number, sums.add(number)));
    }

    fn last(&self) -> BTreeMap<String, (u64, Sums)> {
        let last = |(key, trail): (&String, &Vec<(i64, Sums)>)| (key.clone(), (trail.len() as u64, trail[trail.len() - 1].1));
        self.trails.iter().map(last).collect()
    }
}

pub(crate) fn check(world: &World) -> Result<(), String> {
    let (mut fold, mut taps, mut dead) = (Model::default(), BTreeMap::<String, Vec<i64>>::new(), BTreeSet::new());
    for (offset, record) in read(world, "in", IN_PARTITIONS)? {
        let (kind, number) = workload::parse(&text(record.value.as_ref()));
        match kind {
            Kind::Good | Kind::Shaky => fold.add(key(&record), number),
            Kind::Bad | Kind::Garbled | Kind::Doomed => {
                dead.insert((record.partition, offset));
            }
        }
        if kind != Kind::Garbled {
            taps.entry(key(&record)).or_default().push(number);
        }
    }
    check_outputs("out", &fold, &read(world, "out", IN_PARTITIONS)?)?;

    let mut tapped = BTreeMap::<String, Vec<i64>>::new();
    for (_, record) in read(world, "taps", 2)? {
        let number = text(record.value.as_ref()).parse().map_err(|_| "a tap wrote no number")?;
        tapped.entry(key(&record)).or_default().push(number);
    }
    expect("taps", &taps, &tapped)?;

    check_letters(world, &dead)?;

    // What the first node has passed on is the input of the second: the same numbers, each once. Most of it is purged by now, so
    // that the second one's outputs tell its order; what is left must be their end.
    let mut bucket = Model::default();
    let mut passed: Vec<i64> = Vec::new();
    let sums = read(world, "sums", 2)?;
    for (_, record) in &sums {
        let line = text(record.value.as_ref());
        let number = line.split(' ').next().and_then(|number| number.parse().ok()).ok_or("a sum without a number")?;
        passed.push(number);
        bucket.add(key(record), number);
    }
    let mut left = BTreeMap::<String, Vec<i64>>::new();
    for (_, record) in read_from_start(world, "mid", MID_PARTITIONS)? {
        let (_, number) = workload::parse(&text(record.value.as_ref()));
        left.entry(key(&record)).or_default().push(number);
    }
    for (key, left) in left {
        let order: Vec<i64> = bucket.trails.get(&key).into_iter().flatten().map(|(number, _)| *number).collect();
        if !order.ends_with(&left) {
            return Err(format!("`{key}` was summed in the order {order:?}, and {left:?} is what its log ends with"));
        }
    }
    passed.sort_unstable();
    let mut good: Vec<i64> = fold.trails.values().flatten().map(|(number, _)| *number).collect();
    good.sort_unstable();
    expect("numbers passed on", &good, &passed)?;
    check_outputs("sums", &bucket, &sums)?;

    check_state(world, "fold", "sim.fold.snapshots", IN_PARTITIONS, &fold)?;
    check_state(world, "bucket", "sim.bucket.snapshots", MID_PARTITIONS, &bucket)?;
    check_figures(world)
}

/// One output per update, in the order of the updates.
fn check_outputs(what: &str, model: &Model, outputs: &[(Offset, Record)]) -> Result<(), String> {
    let mut seen = BTreeMap::<String, Vec<String>>::new();
    for (_, record) in outputs {
        seen.entry(key(record)).or_default().push(text(record.value.as_ref()));
    }
    let wanted = model.trails.iter().map(|(key, trail)| {
        let line = |(number, sums): &(i64, Sums)| format!("{number} {} {}", sums.count, sums.hash);
        (key.clone(), trail.iter().map(line).collect())
    });
    expect(what, &wanted.collect(), &seen)
}

/// One dead letter per record that failed, and none besides.
fn check_letters(world: &World, dead: &BTreeSet<(i32, Offset)>) -> Result<(), String> {
    let mut places = BTreeSet::new();
    for place in letters(world)? {
        if !places.insert(place) {
            return Err(format!("two dead letters of the record at {place:?}"));
        }
    }
    expect("dead letters", dead, &places)
}

/// The records that dead letters are about.
pub(crate) fn letters(world: &World) -> Result<Vec<(i32, Offset)>, String> {
    let partitions =
        world.cluster.admin().and_then(|admin| admin.describe(&["sim.dlq".into()])).map_err(|error| error.to_string())?;
    let mut places = Vec::new();
    for (_, letter) in read(world, "sim.dlq", partitions[0].partitions)? {
        let header = |name: &str| {
            let header = letter.headers.iter().find(|header| header.name == name);
            header.and_then(|header| std::str::from_utf8(header.value.as_deref()?).ok()?.parse::<i64>().ok())
        };
        let place = header("__streams.errors.partition").zip(header("__streams.errors.offset"));
        let (partition, offset) = place.ok_or("a dead letter does not name its record")?;
        places.push((partition as i32, offset));
    }
    Ok(places)
}

/// The state that can be asked for, the fold of the changelog, and the fold of the input are one.
fn check_state(world: &World, node: &str, snapshots: &str, partitions: u32, model: &Model) -> Result<(), String> {
    let wanted = model.last();
    expect(&format!("fold of {snapshots}"), &wanted, &logged(world, snapshots, partitions)?)?;
    expect(&format!("state of `{node}`"), &wanted, &asked(world, node, partitions, wanted.keys())?)
}

/// The last state of every key in a changelog, whose versions grow.
pub(crate) fn logged(world: &World, snapshots: &str, partitions: u32) -> Result<States, String> {
    let mut logged = States::new();
    for (offset, record) in read(world, snapshots, partitions)? {
        let value = record.value.as_ref().ok_or("a tombstone that nobody wrote")?;
        let head = record.headers.iter().find(|header| header.name == HEADER).and_then(|header| header.value.clone());
        let head = entity::read_head(&head.ok_or("a snapshot without a head")?).map_err(|error| error.to_string())?;
        let value = skald::record::json::read(value).map_err(|error| error.to_string())?;
        let before = logged.insert(key(&record), (head.version, Sums::read(&value)));
        if before.is_some_and(|(version, _)| version >= head.version) {
            return Err(format!("{snapshots}: version {} of `{}` comes again at {offset}", head.version, key(&record)));
        }
    }
    Ok(logged)
}

/// The states that the processes give for these keys.
pub(crate) fn asked<'k>(
    world: &World,
    node: &str,
    partitions: u32,
    keys: impl Iterator<Item = &'k String>,
) -> Result<States, String> {
    let mut asked = States::new();
    for key in keys {
        let partition = skald::record::partition_of(key.as_bytes(), partitions);
        let alive = world.processes.iter().filter_map(|process| process.alive.as_ref());
        let readers = alive.filter_map(|alive| match alive.registry.find(node, partition) {
            Lookup::Running(reader) => Some(reader),
            Lookup::Halted(_, halt) => panic!("{node} {partition} stands still: {halt:?}"),
            _ => None,
        });
        let readers: Vec<_> = readers.collect();
        let [reader] = &readers[..] else {
            return Err(format!("`{node}` {partition} runs in {} processes", readers.len()));
        };
        let stored = reader.store.get(&Tag::State.key(key.as_bytes())).map_err(|error| error.to_string())?;
        let stored = stored.ok_or_else(|| format!("`{node}` has no state of `{key}`"))?;
        let entity = entity::read(&stored).map_err(|error| error.to_string())?;
        asked.insert(key.clone(), (entity.version, Sums::read(&entity.value)));
    }
    Ok(asked)
}

/// Every record that a process committed is counted under one outcome per node that read it.
fn check_figures(world: &World) -> Result<(), String> {
    for alive in world.processes.iter().filter_map(|process| process.alive.as_ref()) {
        let figures = alive.totals.get();
        // `in` has three nodes, `mid` one; all of them see a record that cannot be decoded as one failure.
        let outcomes = figures.processed + figures.failed;
        // What waited was perhaps read by another process.
        if outcomes < figures.records_in || outcomes > 3 * figures.records_in + figures.acts {
            return Err(format!("{} records have {outcomes} outcomes: {figures:?}", figures.records_in));
        }
        if figures.untaken + figures.without_value + figures.passed_over + figures.refused + figures.repeated > 0 {
            return Err(format!("outcomes that the workload does not have: {figures:?}"));
        }
    }
    Ok(())
}

pub(crate) fn expect<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, found: &T) -> Result<(), String> {
    if wanted == found { Ok(()) } else { Err(format!("{what}:\n  wanted {wanted:?}\n  found  {found:?}")) }
}

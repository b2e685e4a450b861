//! What must hold in the end where records may count more than once: nothing is lost.
//!
//! Outputs and states tell what a node has done: each output says which number was added and what came of it. From the last state
//! of a key its outputs lead back, number by number, to nothing; on that way every number must be met. A state that somebody else
//! has written over leads back past the numbers that were lost with it.

use crate::check::{States, asked, expect, key, letters, logged, read, text};
use crate::workload::{self, IN_PARTITIONS, Kind, MID_PARTITIONS, Sums};
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};

/// What must have been counted, by key.
type Numbers = BTreeMap<String, BTreeSet<i64>>;

pub(crate) fn check(world: &World) -> Result<(), String> {
    let (mut good, mut tapped, mut dead) = (Numbers::new(), Numbers::new(), BTreeSet::new());
    let mut passed = Numbers::new();
    for (offset, record) in read(world, "in", IN_PARTITIONS)? {
        let (kind, number) = workload::parse(&text(record.value.as_ref()));
        match kind {
            Kind::Good | Kind::Shaky => {
                good.entry(key(&record)).or_default().insert(number);
                passed.entry(format!("b{}", number % 7)).or_default().insert(number);
            }
            Kind::Bad | Kind::Garbled | Kind::Doomed => drop(dead.insert((record.partition, offset))),
        }
        if kind != Kind::Garbled {
            tapped.entry(key(&record)).or_default().insert(number);
        }
    }
    let mut taps = Numbers::new();
    for (_, record) in read(world, "taps", 2)? {
        let number = text(record.value.as_ref()).parse().map_err(|_| "a tap wrote no number")?;
        taps.entry(key(&record)).or_default().insert(number);
    }
    expect("taps", &tapped, &taps)?;
    expect("dead letters", &dead, &letters(world)?.into_iter().collect())?;
    check_node(world, ("fold", "sim.fold.snapshots", IN_PARTITIONS), ("out", IN_PARTITIONS), &good)?;
    check_node(world, ("bucket", "sim.bucket.snapshots", MID_PARTITIONS), ("sums", 2), &passed)
}

fn check_node(world: &World, node: (&str, &str, u32), output: (&str, u32), wanted: &Numbers) -> Result<(), String> {
    let (name, snapshots, partitions) = node;
    let logged: States = logged(world, snapshots, partitions)?;
    expect(&format!("state of `{name}`"), &logged, &asked(world, name, partitions, logged.keys())?)?;
    let mut steps: BTreeMap<String, Steps> = BTreeMap::new();
    for (_, record) in read(world, output.0, output.1)? {
        let line = text(record.value.as_ref());
        let mut parts = line.split(' ').map(|part| part.parse::<i64>().expect("outputs are written by the workload"));
        let mut next = || parts.next().expect("three numbers");
        let (number, count, hash) = (next(), next(), next());
        steps.entry(key(&record)).or_default().entry((count, hash)).or_default().insert(number);
    }
    for (key, numbers) in wanted {
        let (_, last) = logged.get(key).ok_or_else(|| format!("`{name}` has no state of `{key}`"))?;
        let steps = steps.remove(key).unwrap_or_default();
        let mut counted = Vec::new();
        if !leads_back(&steps, last.count, last.hash, &mut counted) {
            return Err(format!("`{name}`: no outputs lead to the state of `{key}`, {last:?}: {steps:?}"));
        }
        let counted: BTreeSet<i64> = counted.into_iter().collect();
        let lost: Vec<&i64> = numbers.difference(&counted).collect();
        if !lost.is_empty() {
            return Err(format!("`{name}`: the state of `{key}` has lost {lost:?}"));
        }
    }
    Ok(())
}

/// The numbers that lead to a count and a hash.
type Steps = BTreeMap<(i64, i64), BTreeSet<i64>>;

/// Finds a way from a state back to nothing, and the numbers on it.
fn leads_back(steps: &Steps, count: i64, hash: i64, counted: &mut Vec<i64>) -> bool {
    if count == 0 {
        return hash == 0;
    }
    let Some(numbers) = steps.get(&(count, hash)) else { return false };
    for number in numbers {
        let nothing = [(0, 0)];
        let before =
            steps.keys().copied().filter(|(before, _)| *before == count - 1).chain(nothing.into_iter().filter(|_| count == 1));
        for (before, hash_before) in before {
            let state = Sums { count: before, sum: 0, hash: hash_before };
            if state.add(*number).hash == hash {
                counted.push(*number);
                if leads_back(steps, before, hash_before, counted) {
                    return true;
                }
                counted.pop();
            }
        }
    }
    false
}

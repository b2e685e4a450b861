//! What happens by time, under the same trouble: a node that arms timers, replaces them, takes them away and keeps things that
//! expire, and tells of each in the transaction in which it does; and what must hold of its tale (I8).
//!
//! No timer fires before it is due, twice, or after it was taken away; each that was armed and not taken away fires.

use crate::check::{expect, read};
use crate::workload::{self, IN_PARTITIONS, Kind, LATER, TIMERS};
use crate::world::World;
use bytes::Bytes;
use skald::clock::Clock;
use skald::codec::Event;
use skald::failure::Failure;
use skald::node::{Context, Expired, Firing, Input, Node, Outcome, Outgoing, Policy, Stop, Target};
use skald::record::{Millis, RecordRef, Text};
use skald::state::Expiring;
use skald::state::layout::Tag;
use std::collections::{BTreeMap, BTreeSet};

/// The longest delay: everything has happened by the time that a run has settled.
const DELAY_MAX_MS: i64 = 6_000;

/// Delays of all sizes: none at all, less than an epoch, longer than a session.
fn delay(number: i64) -> Millis {
    [0, 1, 40, 300, 1_500, DELAY_MAX_MS][number.unsigned_abs() as usize % 6] + number % 13
}

fn is_armed(number: i64) -> bool {
    number % 2 == 0
}

fn is_kept(number: i64) -> bool {
    number % 3 == 0
}

/// Numbers of a key share a few timers, so that they replace each other.
fn name(number: i64) -> [u8; 1] {
    [(number % 5) as u8]
}

pub(crate) struct Later;

impl Later {
    fn tell(context: &mut dyn Context, key: &[u8], text: &str) -> Result<(), Failure> {
        context.send(Outgoing {
            target: Target::Planned(TIMERS),
            key: Some(key),
            spread: key,
            value: Some(text.as_bytes()),
            headers: &[],
            timestamp: context.now(),
        })
    }
}

/// A number, as it lies in a payload.
fn number_of(bytes: &[u8]) -> i64 {
    std::str::from_utf8(bytes).expect("payloads are text").parse().expect("and numbers")
}

impl Node for Later {
    fn name(&self) -> &Text {
        const NAME: Text = Text::new_static("later");
        static STATIC: Text = NAME;
        &STATIC
    }

    fn step(&self, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let key = input.record.key.expect("all records have keys");
        let (_, number) = workload::parse(input.event.data.as_str().expect("numbers are text"));
        let (now, text) = (context.now(), number.to_string());
        if is_armed(number) || number % 7 == 0 {
            if let Some(before) = context.timer(LATER, key, &name(number))? {
                Self::tell(context, key, &format!("gone {}", number_of(&before.payload)))?;
            }
            if is_armed(number) {
                let due = now + delay(number);
                context.set_timer(LATER, key, &name(number), due, Bytes::from(text.clone()))?;
                Self::tell(context, key, &format!("armed {number} {due}"))?;
            } else {
                context.cancel_timer(LATER, key, &name(number))?;
            }
        }
        if is_kept(number) {
            let row = Expiring { expires_at: now + delay(number), value: Bytes::new() };
            Self::tell(context, key, &format!("kept {number} {}", row.expires_at))?;
            context.put_expiring(LATER, Tag::Early, text.as_bytes(), Some(row))?;
        }
        Ok(Outcome::Processed)
    }

    fn fire(&self, firing: &Firing<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        let (number, now) = (number_of(firing.payload), context.now());
        Self::tell(context, firing.owner, &format!("fired {number} {} {now}", firing.due))?;
        Ok(())
    }

    fn expired(&self, expired: &Expired<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        let (number, now) = (number_of(expired.key), context.now());
        context.put_expiring(LATER, Tag::Early, expired.key, None)?;
        Self::tell(context, expired.key, &format!("expired {number} {} {now}", expired.at))?;
        Ok(())
    }

    fn failed(&self, _: &RecordRef<'_>, _: Option<&Event>, _: &Failure, _: &mut dyn Context) -> Result<(), Stop> {
        Ok(())
    }

    fn policy(&self) -> Option<Policy<'_>> {
        None
    }
}

pub(crate) fn check(world: &World) -> Result<(), String> {
    let (mut armed, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for (_, record) in read(world, "in", IN_PARTITIONS)? {
        let value = record.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default();
        let (kind, number) = workload::parse(&value);
        if kind != Kind::Garbled {
            armed.extend(is_armed(number).then_some(number));
            kept.extend(is_kept(number).then_some(number));
        }
    }
    let mut told: BTreeMap<&str, BTreeMap<i64, Vec<Millis>>> = BTreeMap::new();
    let records = read(world, "timers", 2)?;
    let texts: Vec<String> =
        records.iter().map(|(_, record)| String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into()).collect();
    for text in &texts {
        let mut words = text.split(' ');
        let what = words.next().unwrap_or_default();
        let mut numbers = words.map(|word| word.parse::<i64>().map_err(|_| format!("`{text}` is no part of the tale")));
        let number = numbers.next().ok_or_else(|| format!("`{text}` is no part of the tale"))??;
        let moments = numbers.collect::<Result<Vec<_>, _>>()?;
        if told.entry(what).or_default().insert(number, moments).is_some() {
            return Err(format!("{number} was {what} twice"));
        }
    }
    let mut of = |what| told.remove(what).unwrap_or_default();
    let (was_armed, was_kept, gone, fired, expired) = (of("armed"), of("kept"), of("gone"), of("fired"), of("expired"));
    let numbers = |of: &BTreeMap<i64, Vec<Millis>>| of.keys().copied().collect::<BTreeSet<i64>>();
    expect("numbers that armed a timer", &armed, &numbers(&was_armed))?;
    expect("numbers that were kept", &kept, &numbers(&was_kept))?;
    expect("numbers that expired", &kept, &numbers(&expired))?;
    if let Some(number) = fired.keys().find(|number| gone.contains_key(number)) {
        return Err(format!("the timer of {number} fired, though it was taken away"));
    }
    let ended: BTreeSet<i64> = numbers(&fired).union(&numbers(&gone)).copied().collect();
    let lost: Vec<_> = was_armed.iter().filter(|(number, _)| !ended.contains(number)).collect();
    if !lost.is_empty() {
        return Err(format!("timers that neither fired nor were taken away by {}: {lost:?}", world.clock.wall()));
    }
    for (begun, done) in [(&was_armed, &fired), (&was_kept, &expired)] {
        for (number, moments) in done {
            let due = begun[number][0];
            let [told, now] = moments[..] else { return Err(format!("{number} happened without a moment")) };
            if told != due || now < due {
                return Err(format!("{number} was due at {due}, is told to have been at {told} and happened at {now}"));
            }
        }
    }
    Ok(())
}

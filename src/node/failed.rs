//! What becomes of a record that failed: whether it is tried again, its road, what is sent beside its dead letter.

use super::{Answer, Context, Frame, Outbox, Refusal, Replay, Road, Stop, World, asker};
use crate::codec::{Event, KeyFormat, failure_id, moment};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Map, Millis, RecordRef, Text, Value};
use crate::topology::model::{Errors, Park, Then};

/// Who tells others of a failure: a node.
#[derive(Clone, Copy)]
pub struct Rejoinder<'a> {
    /// What all nodes share.
    pub world: &'a World,
    /// Its name.
    pub node: &'a Text,
    /// What it says about failures.
    pub errors: &'a Errors,
    /// Topic of results for requests without `reply-to`.
    pub replies: Option<usize>,
    /// Format of the record's key.
    pub key_format: KeyFormat,
    /// Does it handle messages of a type?
    pub handles: &'a dyn Fn(&str) -> bool,
}

/// How often a record was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// All tries so far.
    pub attempts: u32,
    /// Wall time of the first one.
    pub first_at: Millis,
}

/// A record that failed, when it is asked whether it is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// The record.
    pub record: &'a RecordRef<'a>,
    /// What was decoded from it.
    pub event: &'a Event,
    /// Why.
    pub failure: &'a Failure,
    /// The tries that it had.
    pub tries: Tries,
    /// From 0 to 1: follows from the record and the try, so that records of one moment do not come again in one moment.
    pub chance: f64,
}

/// Where a record that failed like this goes.
pub fn road(errors: &Errors, failure: &Failure) -> Road {
    let then = match failure.class() {
        Class::Undecodable => errors.undecodable,
        // Of one that may pass: when it is not tried again.
        Class::Permanent | Class::Retryable => errors.then,
        Class::Engine => Then::Stop,
    };
    match then {
        Then::Skip => Road::DeadLetter,
        Then::Stop => Road::Stop,
        Then::Park => Road::Hold,
    }
}

/// What may wait at a node behind failed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parking {
    /// How many records.
    pub bounds: Park,
    /// Are keys held until an operator acts? Those that were held when they still were go on where they are not any more.
    pub holds: bool,
}

/// What may wait at a node, where something ever does.
pub fn parking(errors: &Errors, parks: bool) -> Option<Parking> {
    parks.then_some(Parking { bounds: errors.park, holds: errors.then == Then::Park })
}

/// In how many milliseconds a record that failed like this is tried again.
pub fn again(world: &World, node: &Text, errors: &Errors, failed: &Failed<'_>) -> Option<Millis> {
    let Failed { record, event, failure, tries, chance } = *failed;
    let retry = &errors.retry;
    if failure.class() != Class::Retryable || tries.attempts >= retry.attempts {
        return None;
    }
    if let Some(when) = &retry.when {
        let frame = Frame::new(world, event, 0).with_error(error_value(world, node, record, failure, tries));
        // What cannot be told is not waited for.
        if !frame.holds(when, Stage::Step).unwrap_or(false) {
            return None;
        }
    }
    let wait = retry.wait(tries.attempts).as_millis() as f64;
    let spread = 1.0 + retry.jitter * (2.0 * chance - 1.0);
    // A wait that no clock can hold is cut to the longest; a negative one cannot be.
    Some((wait * spread).clamp(0.0, 1e15) as Millis)
}

/// Sends `errors.emit`, and the rejection to whoever asked. `key` is that of the instance, where it could be computed.
///
/// A message that fails itself is left out and counted: it must not keep its record from the dead letters.
pub fn failed(
    rejoinder: Rejoinder<'_>,
    record: &RecordRef<'_>,
    event: Option<&Event>,
    key: Option<Value>,
    failure: &Failure,
    context: &mut dyn Context,
) -> Result<(), Stop> {
    let Rejoinder { world, node, errors, replies, key_format, handles } = rejoinder;
    let Some(event) = event else {
        // A payload that does not fit its schema comes in a good envelope: it says whom to tell.
        let decoder = world.decoder(world.topic(record.topic));
        if asker(record).is_some()
            && let Ok(Some(event)) = decoder.decode_unchecked(record)
            && handles(&event.kind)
        {
            reject(&mut Outbox::new(world, node, record, &event).of_failure(), failure, replies, context);
        }
        return Ok(());
    };
    let mut outbox = Outbox::new(world, node, record, event).of_failure();
    reject(&mut outbox, failure, replies, context);
    if errors.emit.is_empty() {
        return Ok(());
    }
    let error = error_value(world, node, record, failure, context.tries());
    let mut frame = Frame::new(world, event, errors.locals).with_record(record, key_format).with_error(error);
    if let Some(key) = key {
        frame.set_key(key);
    }
    let mut drafts = Vec::new();
    for message in &errors.emit {
        drafts.clear();
        let sent = outbox.draft(message, &mut frame, &mut drafts);
        let sent = sent.and_then(|()| drafts.iter().try_for_each(|drafted| outbox.send(drafted, context)));
        if sent.is_err() {
            context.count("error_message_failed");
        }
    }
    Ok(())
}

fn reject(outbox: &mut Outbox<'_>, failure: &Failure, replies: Option<usize>, context: &mut dyn Context) {
    if outbox.reply(Answer::Rejected(Refusal::of(failure)), replies, context).is_err() {
        context.count("rejection_failed");
    }
}

/// `error`, as expressions see it.
fn error_value(world: &World, node: &Text, record: &RecordRef<'_>, failure: &Failure, tries: Tries) -> Value {
    let id = failure_id(&world.topology.name, node, record);
    let replay = Replay::of(record);
    let attempts = tries.attempts.saturating_add(replay.map_or(0, |replay| replay.attempts));
    let first_at = replay.map_or(tries.first_at, |replay| replay.first_at);
    let text = |name: &'static str, value: &str| (Text::new_static(name), Value::from(value));
    Value::Map(Map::from_entries(vec![
        ("attempts".into(), Value::Int(attempts.into())),
        text("class", failure.class().name()),
        text("code", failure.code()),
        ("details".into(), failure.details().clone()),
        ("firstAt".into(), Value::Timestamp(moment(first_at))),
        ("id".into(), id.into()),
        text("message", failure.message()),
        text("node", node),
        ("retryable".into(), Value::Bool(failure.class() == Class::Retryable)),
        text("stage", failure.stage().name()),
    ]))
}

//! What is sent beside a dead letter, and the road of a failure.

use super::{Answer, Context, Frame, Outbox, Refusal, Replay, Road, Stop, World, asker};
use crate::codec::{Event, KeyFormat, failure_id, moment};
use crate::failure::{Class, Failure};
use crate::record::{Map, RecordRef, Text, Value};
use crate::topology::model::{Errors, Then};

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

/// Where a record that failed like this goes.
pub fn road(errors: &Errors, failure: &Failure) -> Road {
    let then = match failure.class() {
        Class::Undecodable => errors.undecodable,
        // Keys are not parked in this build: no failure that may pass is made, one that is would be final.
        Class::Permanent | Class::Retryable => errors.then,
        Class::Engine => Then::Stop,
    };
    match then {
        Then::Skip => Road::DeadLetter,
        Then::Stop => Road::Stop,
    }
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
    let error = error_value(rejoinder, record, failure, context);
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
fn error_value(rejoinder: Rejoinder<'_>, record: &RecordRef<'_>, failure: &Failure, context: &mut dyn Context) -> Value {
    let replay = Replay::of(record);
    let id = failure_id(&rejoinder.world.topology.name, rejoinder.node, record);
    let text = |name: &'static str, value: &str| (Text::new_static(name), Value::from(value));
    Value::Map(Map::from_entries(vec![
        ("attempts".into(), Value::Int(1 + replay.map_or(0, |replay| i64::from(replay.attempts)))),
        text("class", failure.class().name()),
        text("code", failure.code()),
        ("details".into(), failure.details().clone()),
        ("firstAt".into(), Value::Timestamp(moment(replay.map_or(context.now(), |replay| replay.first_at)))),
        ("id".into(), id.into()),
        text("message", failure.message()),
        text("node", rejoinder.node),
        ("retryable".into(), Value::Bool(failure.class() == Class::Retryable)),
        text("stage", failure.stage().name()),
    ]))
}

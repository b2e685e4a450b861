//! What is sent beside the dead letter of a record that failed.

use super::{Answer, Context, Frame, InstanceKey, Outbox, Refusal, Replay, Stop, World, asker};
use crate::codec::{Event, KeyFormat, failure_id, moment};
use crate::failure::{Class, Failure};
use crate::record::{Map, Millis, RecordRef, Text, Value};
use crate::topology::model::Errors;

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
    /// Its store, by index in the plan, where it has one.
    pub store: Option<usize>,
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

/// Sends `errors.emit`, and the rejection to whoever asked. `key` is that of the instance, where it could be computed.
///
/// A message that fails itself is left out and counted: it must not keep its record from the dead letters.
pub fn failed(
    rejoinder: Rejoinder<'_>,
    record: &RecordRef<'_>,
    event: Option<&Event>,
    key: Option<InstanceKey<'_>>,
    failure: &Failure,
    context: &mut dyn Context,
) -> Result<(), Stop> {
    let Rejoinder { world, node, errors, replies, store, key_format, handles } = rejoinder;
    let Some(event) = event else {
        // A payload that does not fit its schema comes in a good envelope: it says whom to tell.
        let decoder = world.decoder(world.topic(record.topic));
        if asker(record).is_some()
            && let Ok(Some(event)) = decoder.decode_unchecked(record)
            && handles(world.topology.newest(&event.kind))
        {
            reject(&mut Outbox::new(world, node, record, &event).of_failure(), failure, replies, context);
        }
        return Ok(());
    };
    let mut outbox = Outbox::new(world, node, record, event).of_failure();
    if let Some(key) = &key {
        outbox = outbox.with_instance(key);
    }
    reject(&mut outbox, failure, replies, context);
    if errors.emit.is_empty() {
        return Ok(());
    }
    let error = error_value(world, node, record, failure, context.tries());
    let mut frame = Frame::new(world, event, errors.locals).with_record(record, key_format).with_error(error);
    if let Some(key) = &key {
        frame.set_key(key.value.clone());
    }
    let mut drafts = Vec::new();
    for message in &errors.emit {
        drafts.clear();
        let drafted = outbox.draft(message, &mut frame, &mut drafts).map_err(Stop::from);
        match drafted.and_then(|()| drafts.iter().try_for_each(|drafted| outbox.dispatch(drafted, store, context))) {
            Ok(()) => {}
            Err(Stop::Record(_)) => context.count("error_message_failed"),
            Err(state) => return Err(state),
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
pub(super) fn error_value(world: &World, node: &Text, record: &RecordRef<'_>, failure: &Failure, tries: Tries) -> Value {
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

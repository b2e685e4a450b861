//! Which instance a record belongs to: the key of an aggregate.

use super::{Frame, Input, World};
use crate::codec::{Event, KeyFormat, read_key, write_key};
use crate::expr::names::DATA;
use crate::failure::{Class, Failure, Stage};
use crate::record::{Value, partition_of};
use crate::topology::model::{Expr, Source, SourceFrom};
use std::borrow::Cow;

/// The key of an instance.
#[derive(Debug)]
pub struct InstanceKey<'a> {
    /// As expressions see it.
    pub value: Value,
    /// As stores, snapshots and partitions have it.
    pub bytes: Cow<'a, [u8]>,
}

/// Finds the key by the source's expression, else the node's, else the record's own key.
///
/// Where the node relies on the topic's keys, they are checked: the key that the topic declares must be the record's, and its
/// partition the one that follows from it; else one instance would live in two tasks (`KEY_MISMATCH`, undecodable).
pub fn instance_key<'a>(
    world: &World,
    sources: &[Source],
    key: Option<&Expr>,
    input: &Input<'a>,
) -> Result<InstanceKey<'a>, Failure> {
    let record = input.record;
    let contract = world.contract(input.topic);
    let format = contract.map_or(KeyFormat::String, |contract| contract.key_format);
    let frame = || Frame::new(world, input.event, 0).with_record(record, format);

    let is_text = format != KeyFormat::Json;
    let given = source_key(sources, input.topic).or(key);
    let declared = contract.and_then(|contract| contract.key.as_ref());
    let Some(partitions) = input.partitions else {
        // Repartitioned: only by a key of the node's, and by the same expression.
        let Some(expr) = given else { return own_key(input, format) };
        return computed(frame().eval(expr, Stage::Key)?, KeyFormat::String);
    };
    let found = match given.or(declared) {
        Some(expr) => {
            let value = match field_of(expr, input.event) {
                Some(value) => value.clone(),
                None => frame().eval(expr, Stage::Key)?,
            };
            let found = match (value, record.key) {
                // The bytes are at hand, as a rule.
                (Value::Str(text), Some(key)) if is_text && !key.is_empty() && text.as_bytes() == key => {
                    InstanceKey { value: Value::Str(text), bytes: Cow::Borrowed(key) }
                }
                (value, _) => computed(value, format)?,
            };
            if record.key != Some(&*found.bytes) {
                return Err(mismatch(format!("the record's key is not its `{}`", expr.text)));
            }
            found
        }
        None => own_key(input, format)?,
    };
    let expected = partition_of(&found.bytes, partitions);
    if expected != record.partition {
        return Err(mismatch(format!(
            "the record's key belongs into partition {expected} of {partitions}, it lies in {}: another partitioner wrote it",
            record.partition
        )));
    }
    Ok(found)
}

/// The value of an expression that is one field of the payload, where the payload has it: without a frame to run it in.
pub(super) fn field_of<'e>(expr: &Expr, event: &'e Event) -> Option<&'e Value> {
    match expr.program.as_field()? {
        (DATA, field) => event.data.get(field),
        _ => None,
    }
}

fn source_key(sources: &[Source], topic: Option<usize>) -> Option<&Expr> {
    let reads = |source: &&Source| match (&source.from, topic) {
        (SourceFrom::Topic(index), Some(topic)) => *index == topic,
        (SourceFrom::Pattern(_), None) => true,
        _ => false,
    };
    sources.iter().find(reads)?.key.as_ref()
}

fn own_key<'a>(input: &Input<'a>, format: KeyFormat) -> Result<InstanceKey<'a>, Failure> {
    match input.record.key {
        Some(bytes) if !bytes.is_empty() => {
            Ok(InstanceKey { value: read_key(format, Some(bytes))?, bytes: Cow::Borrowed(bytes) })
        }
        _ => Err(Failure::new(Class::Permanent, "MISSING_KEY", Stage::Key, "the record has no key")),
    }
}

fn computed<'a>(value: Value, format: KeyFormat) -> Result<InstanceKey<'a>, Failure> {
    let mut bytes = Vec::new();
    write_key(format, &value, &mut bytes)?;
    // An instance is known by text, whatever its key was computed from.
    let value = match value {
        Value::Int(number) => Value::from(number.to_string()),
        Value::BigInt(digits) => Value::Str(digits.into()),
        other => other,
    };
    Ok(InstanceKey { value, bytes: Cow::Owned(bytes) })
}

fn mismatch(message: String) -> Failure {
    Failure::new(Class::Undecodable, "KEY_MISMATCH", Stage::Key, message)
}

//! Records as a scenario sends them, and messages as it sees them.

use super::driver::Requests;
use super::model::{Answer, Content, Message, Told};
use super::names::Known;
use super::pattern::compare;
use super::tree::Tree;
use crate::codec::{Draft, Encoder, Event, moment, write_key};
use crate::failure::Stage;
use crate::node::{Frame, World};
use crate::record::{Header, HeaderRef, Map, Millis, Record, Text, Value, json, partition_of, timestamp_text};
use std::ops::Range;

/// Who sends what does not say who sent it.
pub(super) const SOURCE: &str = "test";

/// A record about to be sent.
pub(super) type Sendable = Record;

/// A message that cannot be sent: where, and why.
pub(super) type Unsendable = (Range<usize>, String);

/// The record of a message, and what `sent` shows of it.
pub(super) fn record_of(
    message: &Message,
    world: &World,
    known: &Known,
    now: Millis,
    partitions: u32,
) -> Result<(Record, Value), Unsendable> {
    let place = |why: String| (message.range.clone(), why);
    let topic = world.topic(&message.topic);
    let contract = topic.and_then(|topic| world.topology.topics.get(topic));
    let text = |tree: &Tree| Ok::<Text, Unsendable>(as_text(&tree.fill(known)?));
    let correlation_id = message.correlation_id.as_ref().map_or_else(|| Ok(message.id.clone()), text)?;
    let causation_id = message.causation_id.as_ref().map(text).transpose()?;
    let metadata = message.metadata.iter().map(|(name, tree)| Ok((name.clone(), tree.fill(known)?)));
    let metadata: Map = metadata.collect::<Result<Vec<_>, Unsendable>>()?.into_iter().collect();
    let timestamp = message.time.unwrap_or(now);
    let kind = match (&message.kind, contract.and_then(|contract| contract.types.as_deref())) {
        (Some(kind), _) => kind.clone(),
        (None, Some([only])) => only.name.clone(),
        (None, _) => message.topic.clone(),
    };
    let data = match &message.content {
        Content::Data(tree) | Content::Value(tree) => tree.fill(known)?,
        Content::Raw(text) => Value::from(text.as_str()),
    };
    let event = Event {
        id: message.id.clone(),
        kind,
        source: message.source.clone(),
        time: moment(timestamp),
        version: None,
        correlation_id,
        causation_id,
        metadata,
        data,
    };

    let mut headers: Vec<Header> = Vec::new();
    let value = match &message.content {
        Content::Raw(text) => Some(text.clone().into_bytes()),
        Content::Value(_) if event.data.is_null() => None,
        Content::Value(_) => Some(json::text(&event.data).map_err(|error| place(error.to_string()))?.into_bytes()),
        Content::Data(_) => encode(&event, world, topic, &mut headers).map_err(place)?,
    };
    for (name, tree) in &message.headers {
        headers.push(Header::text(name.clone(), as_text(&tree.fill(known)?)));
    }

    let key_format = world.key_format(topic);
    let key = match (&message.key, contract.and_then(|contract| contract.key.as_ref())) {
        (Some(tree), _) => Some(tree.fill(known)?),
        (None, Some(expr)) => {
            let computed = Frame::new(world, &event, 0).eval(expr, Stage::Key);
            Some(computed.map_err(|failure| place(format!("the key cannot be computed: {}", failure.message())))?)
        }
        (None, None) => None,
    };
    let key = match key.filter(|key| !key.is_null()) {
        Some(key) => {
            let mut bytes = Vec::new();
            write_key(key_format, &key, &mut bytes).map_err(|failure| place(failure.message().to_string()))?;
            Some(bytes)
        }
        None => None,
    };
    // As the engine spreads what has no key: by the message's id.
    let spread = key.as_deref().unwrap_or(event.id.as_bytes());
    let partition = match message.partition {
        Some(partition) if partition < partitions => partition as i32,
        Some(partition) => {
            return Err(place(format!("`{}` has {partitions} partitions, there is none of number {partition}", message.topic)));
        }
        None => partition_of(spread, partitions),
    };
    let shown = shown(&message.topic, partition, key.as_deref(), &event, Value::Null);
    let record = Record {
        topic: message.topic.clone(),
        partition,
        timestamp,
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers,
    };
    Ok((record, shown))
}

/// A message in the envelope of its topic: its value and headers.
fn encode(event: &Event, world: &World, topic: Option<usize>, headers: &mut Vec<Header>) -> Result<Option<Vec<u8>>, String> {
    let mut contract = world.contract_of(topic);
    let framed = contract.format.is_framed();
    // What a topology makes of what does not fit can be tried, where bytes can say it.
    match contract.registered.framed {
        true => contract.registered.unchecked = true,
        false => contract.types = None,
    }
    let encoder = Encoder::new(contract).map_err(|error| error.to_string())?;
    let data = match framed {
        true => encoder.accept(&event.kind, event.data.clone()).map_err(|failure| failure.message().to_owned())?,
        false => event.data.clone(),
    };
    let draft = Draft { data: &data, ..Draft::of(event) };
    let mut bytes = Vec::new();
    let some = encoder.value(&draft, &mut bytes).map_err(|failure| failure.message().to_owned())?;
    let (mut room, mut written) = (Vec::new(), Vec::<HeaderRef<'_>>::new());
    encoder.headers(&draft, &mut room, &mut written).map_err(|failure| failure.message().to_owned())?;
    headers.extend(written.iter().map(HeaderRef::to_header));
    Ok(some.then_some(bytes))
}

/// The record of an answer to a request that was seen, and what `sent` shows of it.
pub(super) fn answer_of(
    answer: &Answer,
    requests: &mut Requests,
    world: &World,
    known: &mut Known,
    now: Millis,
    partitions: impl Fn(&str) -> u32,
) -> Result<(Record, Value), Unsendable> {
    let place = |why: String| (answer.range.clone(), why);
    let fits = |shown: &Value| {
        let mut found = Vec::new();
        if let Some(tree) = &answer.data {
            compare(tree, shown.get("data"), false, "data", known, &mut found);
        }
        found.is_empty()
    };
    let request = requests.pick(&answer.kind, fits);
    let request = request.ok_or_else(|| place(format!("no such `{}` was sent that wants an answer", answer.kind)))?;
    let text = |value: Option<&Value>| value.map(as_text).unwrap_or_default();
    let header = |name: &str| request.get("headers").and_then(|headers| headers.get(name));
    let (topic, key) = (text(header("reply-to")), text(header("reply-key").or_else(|| request.get("key"))));
    let fill = |tree: &Option<Tree>| tree.as_ref().map_or(Ok(Value::Null), |tree| tree.fill(known));
    let (kind, data) = match &answer.told {
        Told::Accepted(result) => ("reply.accepted", result.fill(known)?),
        Told::Rejected { code, message, details } => {
            let message = match fill(message)? {
                Value::Null => Value::from(""),
                message => message,
            };
            let fields: [(Text, Value); 3] =
                [("code".into(), code.clone().into()), ("details".into(), fill(details)?), ("message".into(), message)];
            ("reply.rejected", Value::Map(fields.into_iter().collect()))
        }
    };
    let event = Event {
        id: answer.id.clone(),
        kind: kind.into(),
        source: SOURCE.into(),
        time: moment(now),
        version: None,
        correlation_id: text(request.get("correlationId")),
        causation_id: Some(text(request.get("id"))),
        metadata: Map::new(),
        data,
    };
    let mut headers = Vec::new();
    let value = encode(&event, world, world.topic(&topic), &mut headers).map_err(place)?;
    let partition = partition_of(key.as_bytes(), partitions(&topic));
    let shown = shown(&topic, partition, Some(key.as_bytes()), &event, Value::Null);
    let key = Some(key.as_bytes().to_vec().into());
    Ok((Record { topic, partition, timestamp: now, key, value: value.map(Into::into), headers }, shown))
}

/// A message as expectations and computing texts see it.
pub(super) fn shown(topic: &str, partition: i32, key: Option<&[u8]>, event: &Event, headers: Value) -> Value {
    let mut fields: Vec<(Text, Value)> = vec![
        ("type".into(), event.kind.clone().into()),
        ("topic".into(), topic.into()),
        ("partition".into(), Value::Int(partition.into())),
        ("key".into(), key_value(key)),
        ("data".into(), event.data.clone()),
        ("id".into(), event.id.clone().into()),
        ("source".into(), event.source.clone().into()),
        ("time".into(), timestamp_text(event.time).into()),
        ("correlationId".into(), event.correlation_id.clone().into()),
        ("metadata".into(), event.metadata.clone().into()),
        ("headers".into(), headers),
    ];
    if let Some(causation_id) = &event.causation_id {
        fields.push(("causationId".into(), causation_id.clone().into()));
    }
    Value::Map(Map::from_entries(fields))
}

/// A key as text; bytes that are none are shown as they can be.
pub(super) fn key_value(key: Option<&[u8]>) -> Value {
    key.map_or(Value::Null, |key| String::from_utf8_lossy(key).into_owned().into())
}

/// Headers that are text.
pub(super) fn headers_value(headers: &[HeaderRef<'_>]) -> Value {
    let text = |header: &HeaderRef<'_>| {
        let value = header.value.map_or(Value::Null, |bytes| String::from_utf8_lossy(bytes).into_owned().into());
        (Text::new(header.name), value)
    };
    Value::Map(headers.iter().map(text).collect())
}

/// A value as text, where text is wanted.
pub(super) fn as_text(value: &Value) -> Text {
    match value {
        Value::Str(text) => text.clone(),
        other => json::text(other).unwrap_or_default().into(),
    }
}

//! Messages: from a declaration and the names in scope to records.
//!
//! A message is drafted first, all its expressions evaluated, and sent then: what a decision emits was computed from the state
//! before it, whatever its events do to the state.

use super::delayed::Kept;
use super::instance::field_of;
use super::replay::{REPLAY_HEADER, without_replay};
use super::{Context, Delayed, Frame, InstanceKey, Outgoing, Stop, Target, Way, World, timer_name};
use crate::codec::{Draft, Encoder, Event, KeyFormat, Part, derived_id, moment, write_key};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Header, HeaderRef, Map, RecordRef, Text, Value};
use crate::topology::model::{Delay, DelayLength, Message, MessageData, MessageKey, MessageKind, MessageTarget};
use bytes::Bytes;

/// Elements of a `for_each`.
const ELEMENTS_MAX: usize = 1_000;
/// Headers of W3C Trace Context, which every message passes on.
const TRACE_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// What one step writes about one record: its ids follow from the record's place and the place in the output.
pub struct Outbox<'a> {
    pub(super) world: &'a World,
    pub(super) node: &'a Text,
    pub(super) record: &'a RecordRef<'a>,
    /// The message that is acted on.
    pub(super) cause: &'a Event,
    /// Bytes of the instance's key, of an aggregate.
    instance: Option<&'a [u8]>,
    ids: Ids<'a>,
    place: u32,
}

/// What ids follow from, besides topology, node and the place in the output.
#[derive(Clone, Copy)]
enum Ids<'a> {
    /// The record's place.
    Record,
    /// The same, of what tells of the record's failure: other ids than those of what the record would have caused.
    Failure,
    /// What is done, whichever record or timer has it done. The first output has the id of this alone.
    Deed(&'a [Part<'a>]),
}

/// A message ready to be sent.
#[derive(Debug)]
pub struct Drafted {
    /// Where to: a topic of the plan, or by name.
    pub to: To,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// The message itself; of a forwarded one the record in hand.
    pub event: Event,
    /// Headers of the message's own.
    pub headers: Vec<Header>,
    /// Is it an event of the aggregate that sends it?
    pub own_event: bool,
    /// Is it the record in hand, bytes and headers untouched?
    pub forward: bool,
    /// Is it kept, and sent later?
    pub delay: Option<Delayed>,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A topic of the plan.
    Planned(usize),
    /// One that the plan does not know.
    Named(Text),
}

impl<'a> Outbox<'a> {
    /// An empty outbox for one record at one node.
    pub fn new(world: &'a World, node: &'a Text, record: &'a RecordRef<'a>, cause: &'a Event) -> Self {
        Self { world, node, record, cause, instance: None, ids: Ids::Record, place: 0 }
    }

    /// With the key of the instance, which its messages have by default.
    #[must_use]
    pub fn with_instance(mut self, key: &'a InstanceKey<'_>) -> Self {
        self.instance = Some(&key.bytes);
        self
    }

    /// The record that is acted on.
    pub fn record(&self) -> &'a RecordRef<'a> {
        self.record
    }

    /// For what tells of the record's failure.
    #[must_use]
    pub(super) fn of_failure(mut self) -> Self {
        self.ids = Ids::Failure;
        self
    }

    /// With ids that follow from what is done and not from the record that has it done: the same whenever it is done again.
    #[must_use]
    pub fn of_deed(mut self, deed: &'a [Part<'a>]) -> Self {
        self.ids = Ids::Deed(deed);
        self
    }

    /// Evaluates a message in a frame and appends what is to be sent: nothing, one, or one per element.
    pub fn draft(&mut self, message: &Message, frame: &mut Frame<'_>, into: &mut Vec<Drafted>) -> Result<(), Failure> {
        let Some(each) = &message.for_each else {
            into.extend(self.draft_one(message, frame)?);
            return Ok(());
        };
        let list = match frame.eval(&each.list, Stage::Encode)? {
            Value::List(list) => list,
            other => {
                let said = format!("`for_each` runs over a {}, a list is wanted", other.kind());
                return Err(frame.misfit(&each.list.at, Stage::Encode, said));
            }
        };
        if list.len() > ELEMENTS_MAX {
            let said = format!("`for_each` over {} elements, {ELEMENTS_MAX} are allowed", list.len());
            return Err(Failure::new(Class::Permanent, "TOO_LARGE", Stage::Encode, said));
        }
        for (index, item) in (0..).zip(list.iter()) {
            frame.bind(each.item, item.clone());
            if let Some(slot) = each.index {
                frame.bind(slot, Value::Int(index));
            }
            into.extend(self.draft_one(message, frame)?);
        }
        Ok(())
    }

    fn draft_one(&mut self, message: &Message, frame: &Frame<'_>) -> Result<Option<Drafted>, Failure> {
        // Messages that are not sent count too: the place of the others does not depend on them.
        let place = self.next_place();
        if let Some(when) = &message.when {
            let sent = frame.holds(when, Stage::Encode)?;
            frame.passed(&message.at, "", if sent { Way::Taken } else { Way::Passed });
            if !sent {
                return Ok(None);
            }
        }
        let to = self.target(message, frame)?;
        let delay = message.delay.as_ref().map(|delay| self.delay(delay, frame)).transpose()?;
        if message.forward {
            let mut event = self.cause.clone();
            // Its bytes say an older type.
            let forward = !self.world.was_upcast(self.world.topic(self.record.topic), self.record, self.cause);
            let mut headers = Vec::new();
            if !forward {
                let encoder = self.outlet(&to).encoder.as_ref().ok_or_else(read_only)?;
                event.data = encoder.accept(&event.kind, event.data)?;
                // What its own envelope says in headers, the other one says in its way.
                let written = self.world.outlet(self.world.topic(self.record.topic)).encoder.as_ref();
                let engines =
                    |name: &str| is_engines(name, encoder) || written.is_some_and(|written| written.owns_header(name));
                let own = self.record.headers.iter().filter(|header| !engines(header.name) && header.name != REPLAY_HEADER);
                headers.extend(own.map(HeaderRef::to_header));
            }
            let key = self.key(message, frame, &to, &event)?;
            return Ok(Some(Drafted { to, key, event, headers, own_event: false, forward, delay }));
        }
        let kind = match &message.kind {
            MessageKind::Named(kind) => kind.clone(),
            MessageKind::Current => frame.event().kind.clone(),
        };
        let data = match &message.data {
            MessageData::Template(template) => frame.fill(template, Stage::Encode)?,
            MessageData::Current => frame.data().clone(),
        };
        let encoder = self.outlet(&to).encoder.as_ref().ok_or_else(read_only)?;
        let data = encoder.accept(&kind, data)?;
        let id = match &message.id {
            Some(expr) => match frame.eval(expr, Stage::Encode)? {
                Value::Str(id) if !id.is_empty() => id,
                other => {
                    let said = format!("the id is a {}, text that is not empty is wanted", other.kind());
                    return Err(frame.misfit(&expr.at, Stage::Encode, said));
                }
            },
            None => self.id(place),
        };
        let metadata = match &message.metadata {
            Some(template) => frame.fill_map(template, Stage::Encode)?,
            None => Map::new(),
        };
        let headers = match &message.headers {
            Some(template) => text_headers(&frame.fill_map(template, Stage::Encode)?, encoder),
            None => Vec::new(),
        };
        let event = self.event(id, kind, data, metadata);
        let key = self.key(message, frame, &to, &event)?;
        Ok(Some(Drafted { to, key, event, headers, own_event: message.own_event, forward: false, delay }))
    }

    /// A message as its readers will see it, caused by the one acted on.
    pub(super) fn event(&self, id: Text, kind: Text, data: Value, metadata: Map) -> Event {
        Event {
            id,
            source: self.world.topology.name.clone(),
            time: moment(self.record.timestamp),
            version: Some(Text::new(crate::codec::version_of(&kind))),
            correlation_id: self.cause.correlation_id.clone(),
            causation_id: Some(self.cause.id.clone()),
            kind,
            metadata,
            data,
        }
    }

    pub(super) fn next_place(&mut self) -> u32 {
        self.place += 1;
        self.place - 1
    }

    /// The id of an output: the same whenever this record is processed here.
    pub(super) fn id(&self, place: u32) -> Text {
        let (topology, node) = (Part::Text(&self.world.topology.name), Part::Text(self.node));
        let record = self.record;
        let (topic, number) = (Part::Text(record.topic), Part::Number(place.into()));
        let (partition, offset) = (Part::Number(record.partition.into()), Part::Number(record.offset));
        match self.ids {
            Ids::Record => derived_id(&[topology, node, topic, partition, offset, number]),
            Ids::Failure => derived_id(&[topology, node, topic, partition, offset, Part::Text("error"), number]),
            Ids::Deed(deed) => {
                let further = (place > 0).then_some(number);
                let parts: Vec<_> = [topology, node].into_iter().chain(deed.iter().copied()).chain(further).collect();
                derived_id(&parts)
            }
        }
    }

    fn target(&self, message: &Message, frame: &Frame<'_>) -> Result<To, Failure> {
        let (prefix, name) = match &message.to {
            MessageTarget::Topic(topic) => return Ok(To::Planned(*topic)),
            MessageTarget::Computed { prefix, name } => (prefix, name),
        };
        match frame.eval(name, Stage::Encode)? {
            Value::Str(topic) if topic.starts_with(prefix.as_str()) && self.world.may_write(&topic) => Ok(self.to(topic)),
            _ => Err(Failure::new(
                Class::Permanent,
                "UNKNOWN_TOPIC",
                Stage::Encode,
                format!("`{}` gives no name of a topic that may be written to", name.text),
            )),
        }
    }

    pub(super) fn to(&self, topic: Text) -> To {
        self.world.topic(&topic).map_or(To::Named(topic), To::Planned)
    }

    pub(super) fn outlet(&self, to: &To) -> &'a super::world::Outlet {
        self.world.outlet(match to {
            To::Planned(topic) => Some(*topic),
            To::Named(_) => None,
        })
    }

    fn key(&self, message: &Message, frame: &Frame<'_>, to: &To, event: &Event) -> Result<Option<Vec<u8>>, Failure> {
        let outlet = self.outlet(to);
        let mut bytes = Vec::new();
        match (&message.key, &outlet.key) {
            (MessageKey::OfTopic, Some(expr)) => match field_of(expr, event) {
                Some(key) => write_key(outlet.key_format, key, &mut bytes)?,
                None => {
                    let key = Frame::new(self.world, event, 0).eval(expr, Stage::Key)?;
                    write_key(outlet.key_format, &key, &mut bytes)?;
                }
            },
            (MessageKey::Given(expr), _) => write_key(outlet.key_format, &frame.eval(expr, Stage::Key)?, &mut bytes)?,
            _ => match (self.instance, frame.untouched_key(outlet.key_format)) {
                (Some(instance), _) if outlet.key_format == KeyFormat::String => bytes.extend_from_slice(instance),
                (_, Some(key)) => return Ok(key.map(<[u8]>::to_vec)),
                _ => match frame.key()? {
                    Value::Null => return Ok(None),
                    key => write_key(outlet.key_format, key, &mut bytes)?,
                },
            },
        }
        Ok(Some(bytes))
    }

    fn delay(&self, delay: &Delay, frame: &Frame<'_>) -> Result<Delayed, Failure> {
        let length = match &delay.length {
            DelayLength::For(length) => *length,
            DelayLength::Computed(expr) => match frame.eval(expr, Stage::Encode)? {
                Value::Duration(length) => length,
                other => {
                    let said = format!("the delay is a {}, a duration is wanted", other.kind());
                    return Err(frame.misfit(&expr.at, Stage::Encode, said));
                }
            },
        };
        let name = match &delay.timer {
            Some(template) => Some(super::frame::as_text(&frame.fill(template, Stage::Encode)?)),
            None => None,
        };
        let mut owner = Vec::new();
        match (self.instance, frame.untouched_key(KeyFormat::String)) {
            (Some(instance), _) => owner.extend_from_slice(instance),
            (None, Some(key)) => owner.extend_from_slice(key.unwrap_or_default()),
            (None, None) => match frame.key()? {
                Value::Null => {}
                key => write_key(KeyFormat::String, key, &mut owner)?,
            },
        }
        let millis = i64::try_from(length.as_millis()).unwrap_or(if length.is_negative() { 0 } else { i64::MAX });
        Ok(Delayed { millis, owner, name })
    }

    /// Sends a message, or keeps it in the node's store until it is to be sent.
    pub fn dispatch(&self, drafted: &Drafted, store: Option<usize>, context: &mut dyn Context) -> Result<(), Stop> {
        let (Some(Delayed { millis, owner, name }), Some(store)) = (&drafted.delay, store) else {
            return Ok(self.send(drafted, context)?);
        };
        let timer = timer_name(name.as_deref(), &drafted.event.id);
        if *millis <= 0 {
            if name.is_some() {
                context.cancel_timer(store, owner, &timer)?;
            }
            return Ok(self.send(drafted, context)?);
        }
        let due = context.now().saturating_add(*millis);
        let mut kept = Bytes::new();
        let topic = match &drafted.to {
            To::Planned(topic) => &self.world.plan.topics[*topic].name,
            To::Named(name) => name,
        };
        // It is of the moment at which it is sent.
        let event = Event { time: moment(due), ..drafted.event.clone() };
        self.each(drafted, &event, &mut |message| {
            let Outgoing { key, spread, value, headers, .. } = message;
            kept = Kept { topic, spread, key, value, headers: headers.to_vec(), timestamp: due }.write();
            Ok(())
        })?;
        context.set_timer(store, owner, &timer, due, kept)?;
        Ok(())
    }

    /// Sends a message.
    pub fn send(&self, drafted: &Drafted, context: &mut dyn Context) -> Result<(), Failure> {
        self.each(drafted, &drafted.event, &mut |message| context.send(message))
    }

    /// A message as it is written, with `event` for what it says.
    fn each(
        &self,
        drafted: &Drafted,
        event: &Event,
        each: &mut dyn FnMut(Outgoing<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if drafted.forward {
            let record = self.record;
            let mut room = Vec::new();
            return each(Outgoing {
                value: record.value,
                headers: without_replay(record.headers, &mut room),
                ..self.outgoing(&drafted.to, drafted.key.as_deref(), &event.id)
            });
        }
        self.write_to(&drafted.to, drafted.key.as_deref(), event, &drafted.headers, each)
    }

    /// Writes a message in its topic's envelope, with the trace of the record in hand.
    pub(super) fn write(
        &self,
        to: &To,
        key: Option<&[u8]>,
        event: &Event,
        own: &[Header],
        context: &mut dyn Context,
    ) -> Result<(), Failure> {
        self.write_to(to, key, event, own, &mut |message| context.send(message))
    }

    fn write_to(
        &self,
        to: &To,
        key: Option<&[u8]>,
        event: &Event,
        own: &[Header],
        each: &mut dyn FnMut(Outgoing<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let encoder = self.outlet(to).encoder.as_ref().ok_or_else(read_only)?;
        let draft = Draft::of(event);
        let mut value = Vec::with_capacity(512);
        let some = encoder.value(&draft, &mut value)?;
        // Mostly there are none: no memory for them.
        let (mut room, mut headers) = (Vec::new(), Vec::new());
        encoder.headers(&draft, &mut room, &mut headers)?;
        headers.extend(self.record.headers.iter().filter(|header| TRACE_HEADERS.contains(&header.name)));
        headers.extend(own.iter().map(Header::as_ref));
        each(Outgoing { value: some.then_some(&value), headers: &headers, ..self.outgoing(to, key, &event.id) })
    }

    fn outgoing<'o>(&'o self, to: &'o To, key: Option<&'o [u8]>, id: &'o Text) -> Outgoing<'o> {
        Outgoing {
            target: match to {
                To::Planned(topic) => self.world.target(*topic),
                To::Named(name) => Target::Named(name),
            },
            key,
            spread: id.as_bytes(),
            value: None,
            headers: &[],
            timestamp: moment(self.record.timestamp).as_millisecond(),
        }
    }
}

/// Headers of a message's own: text, null leaves one out. Those that the engine writes are not for others to set.
fn text_headers(map: &Map, encoder: &Encoder) -> Vec<Header> {
    map.iter()
        .filter(|(name, value)| !value.is_null() && !is_engines(name, encoder))
        .map(|(name, value)| Header::text(name.clone(), super::frame::as_text(value)))
        .collect()
}

fn is_engines(name: &str, encoder: &Encoder) -> bool {
    name.starts_with("__skald.") || name.starts_with("__streams.") || encoder.owns_header(name) || TRACE_HEADERS.contains(&name)
}

fn read_only() -> Failure {
    Failure::new(Class::Permanent, "UNKNOWN_TOPIC", Stage::Encode, "the topic's envelope is read only")
}

/// Bytes of a header of the record, the last of its name.
pub(super) fn header<'a>(record: &RecordRef<'a>, name: &str) -> Option<&'a [u8]> {
    record.headers.iter().rev().find(|header| header.name == name).and_then(|header| header.value)
}

/// The headers of a record with another one, in place of those of its name.
pub(super) fn with_header<'a>(record: &RecordRef<'a>, header: HeaderRef<'a>) -> Vec<HeaderRef<'a>> {
    let others = record.headers.iter().filter(|known| known.name != header.name);
    others.copied().chain([header]).collect()
}

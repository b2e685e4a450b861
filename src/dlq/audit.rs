//! What operators did to dead letters: records in the topic of acts, written in the transaction of what they did.
//!
//! An act is a message in the engine's envelope, of type [`ACT`], keyed by the letter's id; so a pipeline may read it. It is about
//! the letter at a place, and not about all of its id: a record that fails once more makes another letter of the same id.

use super::{Found, Result};
use crate::broker::{Broker, Isolation};
use crate::codec::{Contract, Decoder, Draft, Encoder, Event, Part, derived_id, moment};
use crate::reading::Log;
use crate::record::{Map, Millis, Offset, Partition, Text, Value};
use rustc_hash::FxHashMap;

/// Type of the message that tells of an act.
pub const ACT: &str = "dead_letter.act.v1";
/// Bytes of a reason and of a name that are kept.
const REASON_BYTES_MAX: usize = 4 << 10;

/// What was done to a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Its record went to its node, or to the topic that it came from, once more.
    Replayed,
    /// It is not to be looked at any more.
    Discarded,
}

impl Deed {
    const ALL: [Self; 2] = [Self::Replayed, Self::Discarded];

    /// As records and answers name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// An act on a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What was done.
    pub deed: Deed,
    /// When.
    pub at: Millis,
    /// Why; empty: not said.
    pub reason: Text,
    /// By whom; empty: not said.
    pub by: Text,
    /// Was the record changed before?
    pub edited: bool,
}

/// The letter that an act is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: Partition,
    pub(super) offset: Offset,
    pub(super) found: &'a Found,
}

/// The last act on each letter of a topic.
#[derive(Debug, Default)]
pub struct Audit {
    acts: FxHashMap<(Partition, Offset), (Text, Act)>,
}

impl Audit {
    /// Reads a topic of acts, as far as it is about the letters of another. Empty where it is not there.
    pub fn read(broker: &dyn Broker, topic: &str, letters: &str) -> Result<Self> {
        let mut audit = Self::default();
        let Some(mut log) = Log::open(broker, topic, Isolation::ReadCommitted)? else { return Ok(audit) };
        let decoder = Decoder::new(Contract::default());
        log.read_all(&mut |record| {
            // Whatever else lies there says nothing of letters.
            if let Ok(Some(event)) = decoder.decode(record) {
                audit.note(letters, &event);
            }
        })?;
        Ok(audit)
    }

    fn note(&mut self, letters: &str, event: &Event) {
        if let Some((place, id, act)) = read(event, letters) {
            self.acts.insert(place, (id, act));
        }
    }

    /// What was done to the letter at a place; `None`: nothing yet.
    pub fn of(&self, partition: Partition, offset: Offset, found: &Found) -> Option<&Act> {
        let (id, act) = self.acts.get(&(partition, offset))?;
        // A topic that was made anew counts its offsets from the start.
        (*id == found.id()).then_some(act)
    }

    pub(super) fn add(&mut self, about: &About<'_>, act: Act) {
        self.acts.insert((about.partition, about.offset), (about.found.id(), act));
    }
}

/// The value of the record that tells of an act. `more` says what it did.
pub(super) fn written(about: &About<'_>, act: &Act, more: Vec<(&'static str, Value)>) -> Vec<u8> {
    let id = about.found.id();
    let cause = about.found.cause();
    let text = |text: &Text| (!text.is_empty()).then(|| Value::from(capped(text)));
    let letter = map([
        ("id", Some(id.clone().into())),
        ("topic", Some(about.topic.into())),
        ("partition", Some(Value::Int(about.partition.into()))),
        ("offset", Some(Value::Int(about.offset))),
        ("code", Some(cause.code.into())),
        ("node", Some(cause.node.into())),
    ]);
    let origin = about.found.origin();
    let origin = map([
        ("topic", Some(origin.topic.clone().into())),
        ("partition", Some(Value::Int(origin.partition.into()))),
        ("offset", Some(Value::Int(origin.offset))),
    ]);
    let edited = act.edited.then_some(Value::Bool(true));
    let fields = [
        ("act", Some(Value::from(act.deed.name()))),
        ("by", text(&act.by)),
        ("edited", edited),
        ("letter", Some(letter)),
        ("origin", Some(origin)),
        ("reason", text(&act.reason)),
    ];
    let more = more.into_iter().map(|(name, value)| (name, Some(value)));
    let data = map(fields.into_iter().chain(more));
    let numbers = [about.partition.into(), about.offset, act.at].map(Part::Number);
    let place = [&[Part::Text(about.topic)][..], &numbers, &[Part::Text("act")]].concat();
    let event_id = derived_id(&place);
    let draft = Draft {
        id: &event_id,
        kind: ACT,
        source: about.topic,
        time: moment(act.at),
        correlation_id: &id,
        causation_id: None,
        metadata: None,
        data: &data,
    };
    let encoder = Encoder::new(Contract::default()).expect("the engine's own envelope is written");
    let mut value = Vec::with_capacity(512);
    encoder.value(&draft, &mut value).expect("texts and integers can be written as JSON");
    value
}

fn read(event: &Event, letters: &str) -> Option<((Partition, Offset), Text, Act)> {
    let Value::Map(data) = &event.data else { return None };
    let Some(Value::Map(letter)) = data.get("letter") else { return None };
    if event.kind != ACT || text(letter, "topic")? != letters {
        return None;
    }
    let name = text(data, "act")?;
    let act = Act {
        deed: Deed::ALL.into_iter().find(|deed| deed.name() == name)?,
        at: event.time.as_millisecond(),
        reason: text(data, "reason").unwrap_or_default(),
        by: text(data, "by").unwrap_or_default(),
        edited: data.get("edited") == Some(&Value::Bool(true)),
    };
    let place = (Partition::try_from(integer(letter, "partition")?).ok()?, integer(letter, "offset")?);
    Some((place, text(letter, "id")?, act))
}

fn text(fields: &Map, name: &str) -> Option<Text> {
    match fields.get(name) {
        Some(Value::Str(text)) => Some(text.clone()),
        _ => None,
    }
}

fn integer(fields: &Map, name: &str) -> Option<i64> {
    match fields.get(name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

fn map(fields: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    Value::Map(fields.into_iter().filter_map(|(name, value)| Some((Text::new_static(name), value?))).collect())
}

fn capped(text: &Text) -> Text {
    let mut end = text.len().min(REASON_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Text::new(&text[..end])
}

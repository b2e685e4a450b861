//! Which dead letters are meant: `--where`, an expression over a letter.
//!
//! Its names are those that the language has for a failed record: `error`, `record` (the origin, not the letter's own place),
//! `key`, `headers`, `event` and `data`. What cannot be read is null, and an expression that fails does not hold: who looks for
//! `data.userId == 'u1'` does not mean the letters that have no `userId`.

use super::Found;
use crate::codec::{Contract, Decoder, Event, KeyFormat, moment, read_key};
use crate::expr::names::{self, DATA, ERROR, EVENT, HEADERS, KEY, RECORD};
use crate::expr::{EvalError, Expect, Finding, Fuel, Kind, Names, Object, Program, Scope, Severity, Slot, Type, compile};
use crate::record::{Map, RecordRef, Text, Value, json};
use std::cell::OnceCell;

/// A condition on dead letters.
#[derive(Debug)]
pub struct Filter {
    program: Program,
    decoder: Decoder,
}

impl Filter {
    /// Checks and compiles; all that is wrong with the text at once.
    pub fn compile(text: &str) -> Result<Self, Vec<Finding>> {
        let compiled = compile(text, &scope(), &Expect::Type(Type::Bool));
        let errors: Vec<Finding> =
            compiled.findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
        match compiled.program {
            Some(program) if errors.is_empty() => Ok(Self { program, decoder: Decoder::new(Contract::default()) }),
            _ => Err(errors),
        }
    }

    /// Does it hold for the letter?
    pub fn holds(&self, record: &RecordRef<'_>, found: &Found) -> bool {
        let letter = Letter { record, found, decoder: &self.decoder, made: Made::default() };
        self.program.eval_bool(&letter, &mut Fuel::new()).unwrap_or(false)
    }
}

fn scope() -> Scope {
    let error = Object::closed()
        .with("id", Type::String)
        .with("code", Type::String)
        .with("class", Type::String)
        .with("message", Type::String)
        .with("node", Type::String)
        .with("stage", Type::String)
        .with("attempts", Type::Int)
        .with("replays", Type::Int)
        .with_optional("firstAt", Type::Timestamp)
        .with_optional("lastAt", Type::Timestamp)
        .with("topology", Type::String)
        .with("version", Type::Int)
        .with("details", Type::Any)
        .with("writer", Type::String);
    Scope::new()
        .with(DATA, Type::Any)
        .with(EVENT, Type::Any)
        .with(KEY, Type::Any)
        .with(HEADERS, names::headers())
        .with(RECORD, names::record())
        .with(ERROR, error.into())
}

/// A letter's names. What no expression reads is not made.
struct Letter<'a> {
    record: &'a RecordRef<'a>,
    found: &'a Found,
    decoder: &'a Decoder,
    made: Made,
}

#[derive(Default)]
struct Made {
    read: OnceCell<(Value, Value)>,
    key: OnceCell<Value>,
    headers: OnceCell<Value>,
    record: OnceCell<Value>,
    error: OnceCell<Value>,
}

impl Letter<'_> {
    /// `data` and `event`: of a message in this engine's envelope both, of other JSON the whole as `data`.
    fn read(&self) -> &(Value, Value) {
        self.made.read.get_or_init(|| match self.decoder.decode_unchecked(self.record) {
            Ok(Some(event)) => {
                let about = event_value(&event);
                (event.data, about)
            }
            _ => (self.record.value.and_then(|value| json::read(value).ok()).unwrap_or_default(), Value::Null),
        })
    }
}

impl Names for Letter<'_> {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        let made = &self.made;
        match slot {
            DATA => Ok(&self.read().0),
            EVENT => Ok(&self.read().1),
            KEY => Ok(made.key.get_or_init(|| read_key(KeyFormat::String, self.record.key).unwrap_or_default())),
            HEADERS => Ok(made.headers.get_or_init(|| headers_value(self.record))),
            RECORD => Ok(made.record.get_or_init(|| origin_value(self.record, self.found))),
            ERROR => Ok(made.error.get_or_init(|| error_value(self.found))),
            _ => Err(EvalError::new(Kind::MissingField, "the name has no value here")),
        }
    }
}

fn event_value(event: &Event) -> Value {
    map(vec![
        ("id", event.id.clone().into()),
        ("type", event.kind.clone().into()),
        ("source", event.source.clone().into()),
        ("time", Value::Timestamp(event.time)),
        ("correlationId", event.correlation_id.clone().into()),
    ])
}

fn headers_value(record: &RecordRef<'_>) -> Value {
    let text = |value: Option<&[u8]>| std::str::from_utf8(value?).ok().map(Value::from);
    Value::Map(record.headers.iter().filter_map(|header| Some((header.name.into(), text(header.value)?))).collect())
}

fn origin_value(record: &RecordRef<'_>, found: &Found) -> Value {
    let origin = found.origin();
    map(vec![
        ("topic", origin.topic.clone().into()),
        ("partition", Value::Int(origin.partition.into())),
        ("offset", Value::Int(origin.offset)),
        ("timestamp", Value::Timestamp(moment(record.timestamp))),
    ])
}

/// What a letter tells of its failure, as a value: for expressions and for programs. Of a foreign letter the class is
/// `unknown`, and what only this engine tells is empty.
pub fn error_value(found: &Found) -> Value {
    let text = |text: &str| Value::from(text);
    match found {
        Found::Own(report) => map(vec![
            ("id", report.id.clone().into()),
            ("code", report.code.clone().into()),
            ("class", text(report.class.name())),
            ("message", report.message.clone().into()),
            ("node", report.node.clone().into()),
            ("stage", text(report.stage.name())),
            ("attempts", Value::Int(report.attempts.into())),
            ("replays", Value::Int(report.replays.into())),
            ("firstAt", Value::Timestamp(report.first_at)),
            ("lastAt", Value::Timestamp(report.last_at)),
            ("topology", report.topology.clone().into()),
            ("version", Value::Int(report.version.into())),
            ("details", report.details.clone()),
            ("writer", text("skald")),
        ]),
        Found::Foreign(told) => map(vec![
            ("id", text("")),
            ("code", told.cause.clone().into()),
            ("class", text("unknown")),
            ("message", told.message.clone().into()),
            ("node", told.writer.clone().unwrap_or_default().into()),
            ("stage", text("")),
            ("attempts", Value::Int(0)),
            ("replays", Value::Int(0)),
            ("topology", text("")),
            ("version", Value::Int(0)),
            ("details", Value::Null),
            ("writer", text(told.spelling.name())),
        ]),
    }
}

fn map(fields: Vec<(&'static str, Value)>) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (Text::new_static(name), value)).collect::<Map>())
}

//! From a message to a record's bytes.

use super::decode::{CAUSATION_ID, CORRELATION_ID, MESSAGE_ID};
use super::{Contract, Envelope, Error, Event, Format, Result, cloudevents, wire};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Header, HeaderRef, Map, Text, Value, json, timestamp_text};
use jiff::Timestamp;

/// Writes the messages of a topic.
#[derive(Clone, Debug)]
pub struct Encoder {
    contract: Contract,
}

/// A message about to be written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Id.
    pub id: &'a str,
    /// Message type.
    pub kind: &'a str,
    /// Who sends it.
    pub source: &'a str,
    /// When.
    pub time: Timestamp,
    /// The conversation.
    pub correlation_id: &'a str,
    /// The message acted on.
    pub causation_id: Option<&'a str>,
    /// Further metadata; the correlation ids in it are passed over.
    pub metadata: Option<&'a Map>,
    /// Payload, as [`Encoder::accept`] returned it.
    pub data: &'a Value,
}

impl<'a> Draft<'a> {
    /// An event as it is.
    pub fn of(event: &'a Event) -> Self {
        Self {
            id: &event.id,
            kind: &event.kind,
            source: &event.source,
            time: event.time,
            correlation_id: &event.correlation_id,
            causation_id: event.causation_id.as_deref(),
            metadata: Some(&event.metadata),
            data: &event.data,
        }
    }
}

impl Encoder {
    /// An encoder by a contract; a mapped envelope and `format: auto` are read only.
    pub fn new(contract: Contract) -> Result<Self> {
        match contract.envelope {
            Envelope::Mapping(_) => Err(Error::ReadOnly),
            _ if contract.format == Format::Auto => Err(Error::ReadOnly),
            _ => Ok(Self { contract }),
        }
    }

    /// The payload as a reader of the topic will find it, or why it may not be written (`SCHEMA_INVALID`, permanent).
    pub fn accept(&self, kind: &str, data: Value) -> std::result::Result<Value, Failure> {
        match self.contract.schema(kind) {
            // Avro and Protobuf are written from what their schema has made of a value.
            Some(_) if self.contract.format == Format::Json && self.contract.registered.unchecked => Ok(data),
            // Null without an envelope is a tombstone, which no schema knows.
            Some(schema) if !(data.is_null() && self.is_bare()) => schema.accept(data).map_err(|why| misfit(kind, &why)),
            None if self.contract.is_framed() && !data.is_null() => Err(without_schema(kind)),
            _ => Ok(data),
        }
    }

    /// Appends the value's bytes; false: the record is a tombstone, nothing was appended.
    pub fn value(&self, draft: &Draft<'_>, out: &mut Vec<u8>) -> std::result::Result<bool, Failure> {
        if self.contract.envelope == Envelope::Event {
            return enveloped(draft, out).map(|()| true);
        }
        match (self.contract.format, draft.data) {
            (_, Value::Null) => return Ok(false),
            (Format::Json, data) => {
                if self.contract.is_framed() {
                    wire::frame(self.contract.id(draft.kind).ok_or_else(|| without_schema(draft.kind))?, out);
                }
                json::write(data, out).map_err(unwritable)?;
            }
            (Format::Auto, _) => return Err(invalid("the topic is read whatever it is in, and not written".into())),
            (Format::Avro | Format::Protobuf, data) => self.framed(draft.kind, data, out)?,
            (Format::String | Format::Bytes, Value::Str(text)) => out.extend_from_slice(text.as_bytes()),
            (Format::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
            (Format::String, other) => return Err(invalid(format!("data is a {}, the topic takes strings", other.kind()))),
            (Format::Bytes, other) => return Err(invalid(format!("data is a {}, the topic takes bytes", other.kind()))),
        }
        Ok(true)
    }

    /// Appends the id of a type's schema and the bytes of the payload.
    fn framed(&self, kind: &str, data: &Value, out: &mut Vec<u8>) -> std::result::Result<(), Failure> {
        let (Some(schema), Some(id)) = (self.contract.schema(kind), self.contract.id(kind)) else {
            return Err(without_schema(kind));
        };
        wire::frame(id, out);
        schema.write(data, out).map_err(|why| misfit(kind, &why))
    }

    /// Appends the headers that the envelope writes; none for `event`, whose value says all. `room` takes those that have to be
    /// made for it.
    pub fn headers<'a>(
        &'a self,
        draft: &Draft<'a>,
        room: &'a mut Vec<Header>,
        out: &mut Vec<HeaderRef<'a>>,
    ) -> std::result::Result<(), Failure> {
        let type_header = match &self.contract.envelope {
            Envelope::Event | Envelope::Mapping(_) => return Ok(()),
            Envelope::CloudEvents => return cloudevents::headers(draft, self.contract.format, room, out),
            Envelope::None { type_header } => type_header,
        };
        let mut put = |name: &'a str, value: &'a str| out.push(HeaderRef { name, value: Some(value.as_bytes()) });
        if let Some(name) = type_header {
            put(name, draft.kind);
        }
        put(MESSAGE_ID, draft.id);
        put(CORRELATION_ID, draft.correlation_id);
        if let Some(causation_id) = draft.causation_id {
            put(CAUSATION_ID, causation_id);
        }
        Ok(())
    }

    /// Does the envelope write a header of that name, so that a message cannot set it?
    pub fn owns_header(&self, name: &str) -> bool {
        [MESSAGE_ID, CORRELATION_ID, CAUSATION_ID].contains(&name)
            || match &self.contract.envelope {
                Envelope::None { type_header } => type_header.as_deref() == Some(name),
                Envelope::CloudEvents => cloudevents::owns_header(name),
                Envelope::Event | Envelope::Mapping(_) => false,
            }
    }

    fn is_bare(&self) -> bool {
        matches!(self.contract.envelope, Envelope::None { .. })
    }
}

/// The version of a message type: the N of its `.vN`, else 1.
pub fn version_of(kind: &str) -> &str {
    match kind.rsplit_once('.').and_then(|(_, last)| last.strip_prefix('v')) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => digits,
        _ => "1",
    }
}

fn enveloped(draft: &Draft<'_>, out: &mut Vec<u8>) -> std::result::Result<(), Failure> {
    let mut field = |name: &str, text: &str| {
        out.extend_from_slice(name.as_bytes());
        json::write_text(text, out);
    };
    field("{\"id\":", draft.id);
    field(",\"type\":", draft.kind);
    field(",\"version\":", version_of(draft.kind));
    field(",\"source\":", draft.source);
    field(",\"timestamp\":", &timestamp_text(draft.time));
    out.extend_from_slice(b",\"data\":");
    json::write(draft.data, out).map_err(unwritable)?;
    let mut field = |name: &str, text: &str| {
        out.extend_from_slice(name.as_bytes());
        json::write_text(text, out);
    };
    field(",\"metadata\":{\"correlationId\":", draft.correlation_id);
    if let Some(causation_id) = draft.causation_id {
        field(",\"causationId\":", causation_id);
    }
    let is_ours = |name: &Text| name == "correlationId" || name == "causationId";
    for (name, value) in draft.metadata.into_iter().flat_map(Map::iter).filter(|(name, _)| !is_ours(name)) {
        out.push(b',');
        json::write_text(name, out);
        out.push(b':');
        json::write(value, out).map_err(unwritable)?;
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

fn without_schema(kind: &str) -> Failure {
    invalid(format!("values of the topic have schemas, and it declares none for `{kind}`"))
}

fn misfit(kind: &str, why: &str) -> Failure {
    invalid(format!("data of `{kind}` does not fit its schema: {why}"))
}

pub(super) fn invalid(message: String) -> Failure {
    Failure::new(Class::Permanent, "SCHEMA_INVALID", Stage::Encode, message)
}

fn unwritable(error: json::Error) -> Failure {
    let code = match error {
        json::Error::TooDeep => "TOO_LARGE",
        _ => "EXPRESSION_ERROR",
    };
    let failure = Failure::new(Class::Permanent, code, Stage::Encode, error.to_string());
    match error {
        json::Error::NotFinite => {
            failure.with_details(Value::Map(Map::from_entries(vec![("kind".into(), Value::from("NOT_FINITE"))])))
        }
        _ => failure,
    }
}

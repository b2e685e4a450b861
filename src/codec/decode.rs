//! From a record's bytes to an event.

use super::cloudevents::{self, Payload};
use super::written::{Unread, Written};
use super::{Contract, Envelope, Event, Format, Mapping, Schema, VALUE_SCHEMA_HEADER, moment, position_id, wire};
use crate::failure::{Class, Failure, Stage};
use crate::record::json::{self, Wanted};
use crate::record::{Map, RecordRef, Text, Value, read_timestamp};
use std::sync::Arc;

/// Header with the id of a message whose envelope is `none`.
pub const MESSAGE_ID: &str = "message-id";
/// Header with the correlation id, likewise.
pub const CORRELATION_ID: &str = "correlation-id";
/// Header with the causation id, likewise.
pub const CAUSATION_ID: &str = "causation-id";

/// Reads the records of a topic.
#[derive(Clone, Debug)]
pub struct Decoder {
    contract: Arc<Contract>,
    written: Arc<Written>,
    /// The fields of the payload that anybody reads, where that is known.
    fields: Option<Arc<[Text]>>,
}

impl Decoder {
    /// A decoder by a contract.
    pub fn new(contract: Contract) -> Self {
        Self { contract: Arc::new(contract), written: Arc::default(), fields: None }
    }

    /// The same for somebody who reads these fields of the payload and no others. What is wrong with the others is found all the
    /// same; a payload that is checked against a schema, and one of another format than JSON, has them too.
    #[must_use]
    pub fn reading(self, fields: &[Text]) -> Self {
        let checked = self.contract.types.iter().flatten().any(|(_, schema)| schema.is_some());
        Self { fields: (!checked).then(|| fields.into()), ..self }
    }

    /// What is wanted of the payload.
    fn wanted(&self) -> Wanted<'_> {
        self.fields.as_deref().map_or(Wanted::All, Wanted::Fields)
    }

    /// What the record says. `None` for a tombstone in an envelope that needs a value: nothing happened, it is counted.
    ///
    /// What is missing is derived: the id from the record's place ([`position_id`]), the time from its timestamp, the
    /// correlation id from the id. Failures are of the class `undecodable`: `UNDECODABLE` where bytes or envelope are wrong,
    /// `SCHEMA_INVALID` where the payload is not what its type says. One of the class `engine` says nothing about the record: the
    /// schema that it was written with is not known yet, and it is to be decoded again.
    ///
    /// With `format: auto` a value is what it says: one that begins with 0 and an id, or has one in its header, is of that schema,
    /// in whichever language, where there is a registry to ask; another is JSON, else text, else bytes.
    pub fn decode(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        if self.is_framed(record) {
            // The declared schema has a part in the reading, and there is nothing left to check.
            return self.framed(record, true);
        }
        let Some(mut event) = self.unframed(record)? else { return Ok(None) };
        // A tombstone has no payload to be checked.
        if (record.value.is_some() || self.contract.envelope == Envelope::CloudEvents)
            && let Some(schema) = self.contract.schema(&event.kind)
        {
            event.data = schema.accept(std::mem::take(&mut event.data)).map_err(|why| misfit(&event.kind, &why))?;
        }
        Ok(Some(event))
    }

    /// The same without a look at schemas: of a record that is invalid, who asked can still be told.
    pub fn decode_unchecked(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        if self.is_framed(record) {
            return self.framed(record, false);
        }
        self.unframed(record)
    }

    /// The same of a record that says nothing of a schema.
    fn unframed(&self, record: &RecordRef<'_>) -> Result<Option<Event>, Failure> {
        Ok(Some(match (&self.contract.envelope, record.value) {
            (Envelope::None { type_header }, value) => self.plain(record, value, type_header.as_deref())?,
            (Envelope::CloudEvents, _) => match cloudevents::read(record)? {
                Some((said, payload)) => completed(record, Said { data: self.payload(payload)?, ..said })?,
                None => return Ok(None),
            },
            (_, None) => return Ok(None),
            (Envelope::Event, Some(value)) => enveloped(record, value, self.wanted())?,
            (Envelope::Mapping(mapping), Some(value)) => mapped(record, value, mapping)?,
        }))
    }

    /// Does the id of a schema stand before the value?
    fn is_framed(&self, record: &RecordRef<'_>) -> bool {
        self.contract.is_framed()
            || (self.contract.may_be_framed() && wire::looks_framed(record.value, record.header(VALUE_SCHEMA_HEADER)))
    }

    /// `envelope: none`: the value is the payload, headers say the rest.
    fn plain(&self, record: &RecordRef<'_>, value: Option<&[u8]>, type_header: Option<&str>) -> Result<Event, Failure> {
        let data = value.map_or(Ok(Value::Null), |bytes| self.payload(Payload::Bytes(bytes.into())))?;
        let kind = told_type(record, type_header)?.unwrap_or_else(|| self.only_type(record));
        headed(record, kind, data)
    }

    /// The type of what does not tell it: the only one declared, else the topic's name.
    fn only_type(&self, record: &RecordRef<'_>) -> Text {
        match self.contract.types.as_deref() {
            Some([(only, _)]) => only.clone(),
            _ => record.topic.into(),
        }
    }

    /// A payload in the topic's format. One behind the id of its schema has a road of its own.
    fn payload(&self, payload: Payload<'_>) -> Result<Value, Failure> {
        let bytes = match (payload, self.contract.format) {
            (Payload::Bytes(bytes), _) => bytes,
            (Payload::Value(Value::Str(text)), Format::Bytes) => {
                return Ok(Value::Bytes(text.as_bytes().into()));
            }
            (Payload::Value(value), _) => return Ok(value),
        };
        match self.contract.format {
            Format::Json => read_json(&bytes, self.wanted()),
            Format::Auto => Ok(read_json(&bytes, self.wanted()).unwrap_or_else(|_| match std::str::from_utf8(&bytes) {
                Ok(text) => Value::Str(Text::new(text)),
                Err(_) => Value::Bytes((*bytes).into()),
            })),
            Format::String => match std::str::from_utf8(&bytes) {
                Ok(text) => Ok(Value::Str(Text::new(text))),
                Err(error) => Err(undecodable(format!("not UTF-8 at byte {}", error.valid_up_to()))),
            },
            Format::Bytes => Ok(Value::Bytes((*bytes).into())),
            Format::Avro | Format::Protobuf => Err(undecodable("the payload has a schema, and this says not which")),
        }
    }

    /// A value behind the id of its writer's schema. Where nothing tells the type, the only one declared has it, or the one whose
    /// schema has the name of the writer's.
    fn framed(&self, record: &RecordRef<'_>, checked: bool) -> Result<Option<Event>, Failure> {
        match &self.contract.envelope {
            Envelope::CloudEvents => {
                let Some((said, payload)) = cloudevents::read(record)? else { return Ok(None) };
                let (kind, data) = match &payload {
                    Payload::Bytes(bytes) => self.framed_payload(record, said.kind.clone(), Some(bytes), checked)?,
                    Payload::Value(Value::Null) => self.framed_payload(record, said.kind.clone(), None, checked)?,
                    Payload::Value(_) => {
                        return Err(undecodable(
                            "values of the topic carry ids of schemas, so `data_base64` is wanted, not `data`",
                        ));
                    }
                };
                completed(record, Said { kind: Some(kind), data, ..said }).map(Some)
            }
            Envelope::None { type_header } => {
                let told = told_type(record, type_header.as_deref())?;
                let (kind, data) = self.framed_payload(record, told, record.value, checked)?;
                headed(record, kind, data).map(Some)
            }
            Envelope::Event | Envelope::Mapping(_) => {
                Err(undecodable("a value behind the id of its schema has no envelope within it"))
            }
        }
    }

    /// Type and payload of a value that carries the id of its schema.
    fn framed_payload(
        &self,
        record: &RecordRef<'_>,
        told: Option<Text>,
        value: Option<&[u8]>,
        checked: bool,
    ) -> Result<(Text, Value), Failure> {
        let types = self.contract.types.as_deref().unwrap_or_default();
        let Some(value) = value else {
            return Ok((told.unwrap_or_else(|| self.only_type(record)), Value::Null));
        };
        let framed = wire::unframed(value, record.header(VALUE_SCHEMA_HEADER)).map_err(undecodable)?;
        let id = framed.id;
        let writer = self.written.writer(id, &self.contract)?;
        let opened = writer.open(&framed).map_err(|why| undecodable(format!("no value of schema {id}: {why}")))?;
        let declared = match &told {
            Some(kind) => types.iter().position(|(name, _)| name == kind),
            None if types.len() == 1 => Some(0),
            None => opened.name().and_then(|named| {
                let is_named = |schema: &Option<Schema>| schema.as_ref().and_then(Schema::name) == Some(named);
                types.iter().position(|(_, schema)| is_named(schema))
            }),
        };
        let kind = told.or_else(|| Some(types[declared?].0.clone())).unwrap_or_else(|| record.topic.into());
        let reader = declared.filter(|_| checked).map(|place| (place, types[place].1.as_ref()));
        let data = opened.read(reader, checked).map_err(|unread| match unread {
            Unread::Misfit(why) => {
                let message = format!("what schema {id} writes cannot be read as `{kind}`: {why}");
                Failure::new(Class::Undecodable, "SCHEMA_INVALID", Stage::Decode, message)
            }
            Unread::Invalid(why) => misfit(&kind, &why),
            Unread::Broken(why) => undecodable(format!("no value of schema {id}: {why}")),
        })?;
        Ok((kind, data))
    }
}

fn misfit(kind: &str, why: &str) -> Failure {
    let message = format!("data of `{kind}` does not fit its schema: {why}");
    Failure::new(Class::Undecodable, "SCHEMA_INVALID", Stage::Decode, message)
}

/// What `type_header` says.
fn told_type(record: &RecordRef<'_>, type_header: Option<&str>) -> Result<Option<Text>, Failure> {
    type_header.map(|name| text_header(record, name)).transpose().map(Option::flatten)
}

/// The event of a payload that has no envelope: headers say the rest.
fn headed(record: &RecordRef<'_>, kind: Text, data: Value) -> Result<Event, Failure> {
    completed(
        record,
        Said {
            id: text_header(record, MESSAGE_ID)?,
            kind: Some(kind),
            correlation_id: text_header(record, CORRELATION_ID)?,
            causation_id: text_header(record, CAUSATION_ID)?,
            data,
            ..Said::default()
        },
    )
}

/// What an envelope said.
#[derive(Default)]
pub(super) struct Said {
    pub(super) id: Option<Text>,
    pub(super) kind: Option<Text>,
    pub(super) source: Option<Text>,
    pub(super) time: Option<Text>,
    pub(super) version: Option<Text>,
    pub(super) correlation_id: Option<Text>,
    pub(super) causation_id: Option<Text>,
    pub(super) metadata: Map,
    pub(super) data: Value,
}

impl Said {
    fn take(&mut self, name: &str, value: Value) -> Result<(), Failure> {
        match name {
            "id" => self.id = text(value, name)?,
            "type" => self.kind = text(value, name)?,
            "source" => self.source = text(value, name)?,
            "timestamp" => self.time = text(value, name)?,
            "data" => self.data = value,
            "version" => {
                self.version = match value {
                    Value::Int(number) => Some(number.to_string().into()),
                    other => text(other, name)?,
                }
            }
            "metadata" => {
                self.metadata = match value {
                    Value::Null => Map::new(),
                    Value::Map(metadata) => metadata,
                    other => return Err(wrong_kind(name, "an object", &other)),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The engine's own envelope. Unknown fields are passed over: it may gain some. Of one that stands twice the last holds.
fn enveloped(record: &RecordRef<'_>, value: &[u8], data: Wanted<'_>) -> Result<Event, Failure> {
    let mut said = Said::default();
    let mut wrong = None;
    let wanted = |name: &str| match name {
        "id" | "type" | "source" | "timestamp" | "version" | "metadata" => Wanted::All,
        "data" => data,
        _ => Wanted::Nothing,
    };
    let is_map = json::read_fields(value, &wanted, &mut |name, value| {
        if let Err(failure) = said.take(name, value) {
            wrong.get_or_insert(failure);
        }
    });
    if !is_map.map_err(|error| undecodable(error.to_string()))? {
        return Err(undecodable("the envelope is no JSON object"));
    }
    if let Some(failure) = wrong {
        return Err(failure);
    }
    let id = |name: &str, path| said.metadata.get(name).map_or(Ok(None), |value| text(value.clone(), path));
    let correlation_id = id("correlationId", "metadata.correlationId")?;
    let causation_id = id("causationId", "metadata.causationId")?;
    let is_id = |name: &Text| name == "correlationId" || name == "causationId";
    if said.metadata.iter().any(|(name, _)| is_id(name)) {
        let others = said.metadata.iter().filter(|(name, _)| !is_id(name));
        said.metadata = others.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
    (said.correlation_id, said.causation_id) = (correlation_id, causation_id);
    completed(record, said)
}

/// A foreign envelope. Type and payload must be there, whatever else is missing is derived.
fn mapped(record: &RecordRef<'_>, value: &[u8], mapping: &Mapping) -> Result<Event, Failure> {
    let value = read_json(value, Wanted::All)?;
    let at = |path: &[Text]| path.iter().try_fold(&value, |value, field| value.get(field));
    let optional = |path: &Option<Vec<Text>>| match path.as_deref().and_then(|path| at(path).map(|value| (path, value))) {
        None => Ok(None),
        Some((path, value)) => text(value.clone(), &path.join(".")),
    };
    let Some(data) = at(&mapping.data) else {
        return Err(undecodable(format!("the envelope has no `{}`", mapping.data.join("."))));
    };
    let said = Said {
        id: optional(&mapping.id)?,
        kind: at(&mapping.kind).map_or(Ok(None), |value| text(value.clone(), &mapping.kind.join(".")))?,
        source: optional(&mapping.source)?,
        time: optional(&mapping.time)?,
        version: None,
        correlation_id: optional(&mapping.correlation_id)?,
        causation_id: optional(&mapping.causation_id)?,
        metadata: Map::new(),
        data: data.clone(),
    };
    completed(record, said)
}

/// Fills in what the record did not say.
fn completed(record: &RecordRef<'_>, said: Said) -> Result<Event, Failure> {
    let Some(kind) = said.kind else { return Err(undecodable("the record has no type")) };
    let time = match said.time {
        None => moment(record.timestamp),
        Some(text) => read_timestamp(&text).ok_or_else(|| undecodable("the time is no RFC 3339 timestamp"))?,
    };
    let id = said.id.unwrap_or_else(|| position_id(record.topic, record.partition, record.offset));
    Ok(Event {
        correlation_id: said.correlation_id.unwrap_or_else(|| id.clone()),
        id,
        kind,
        source: said.source.unwrap_or_default(),
        time,
        version: said.version,
        causation_id: said.causation_id,
        metadata: said.metadata,
        data: said.data,
    })
}

fn read_json(bytes: &[u8], wanted: Wanted<'_>) -> Result<Value, Failure> {
    json::read_some(bytes, wanted).map_err(|error| undecodable(error.to_string()))
}

/// Text that is not empty; null and empty count as missing.
fn text(value: Value, name: &str) -> Result<Option<Text>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::Str(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        other => Err(wrong_kind(name, "a string", &other)),
    }
}

/// A header of text that is not empty, the last of its name.
pub(super) fn text_header(record: &RecordRef<'_>, name: &str) -> Result<Option<Text>, Failure> {
    match record.header(name).map(std::str::from_utf8) {
        None => Ok(None),
        Some(Ok(text)) => Ok((!text.is_empty()).then(|| text.into())),
        Some(Err(error)) => Err(undecodable(format!("header `{name}`: not UTF-8 at byte {}", error.valid_up_to()))),
    }
}

fn wrong_kind(name: &str, wanted: &str, found: &Value) -> Failure {
    undecodable(format!("`{name}` of the envelope is a {}, {wanted} is wanted", found.kind()))
}

pub(super) fn undecodable(message: impl Into<String>) -> Failure {
    Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, message)
}

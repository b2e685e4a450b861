//! The envelope of CloudEvents 1.0, by its [binding to Kafka](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md).
//!
//! Read in both its modes: *binary*, where attributes are headers `ce_…` and the value is the payload, and *structured*, where the
//! header `content-type` says so and the value is a JSON object that holds everything. Written in binary mode, whose payload may
//! have any format. Attributes that are no part of an [`Event`](super::Event) — `subject`, `dataschema`, extensions — are its
//! metadata, both ways; the extensions `correlationid` and `causationid` are ours.
//!
//! Batches, and structured mode in other formats than JSON, are not read.

use super::decode::{Said, text_header, undecodable};
use super::encode::invalid;
use super::{Draft, Format};
use crate::failure::Failure;
use crate::record::json::{self, Wanted};
use crate::record::{Header, HeaderRef, Map, RecordRef, Text, Value, timestamp_text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// What headers of attributes begin with.
const PREFIX: &str = "ce_";
/// Says in binary mode what the payload is, in structured mode that it is structured.
const CONTENT_TYPE: &str = "content-type";
/// What media types of structured mode begin with, those of batches included.
const STRUCTURED: &str = "application/cloudevents";
/// The attribute with the version of the specification.
const SPEC_VERSION: &str = "specversion";
const CORRELATION_ID: &str = "correlationid";
const CAUSATION_ID: &str = "causationid";
/// The attribute that is the header `content-type` in binary mode.
const DATA_CONTENT_TYPE: &str = "datacontenttype";
/// Attributes that are fields of an event, and names that an attribute cannot have.
const OWN: [&str; 9] = ["id", "type", "source", "time", SPEC_VERSION, CORRELATION_ID, CAUSATION_ID, "data", "data_base64"];

/// The payload of an event.
pub(super) enum Payload<'a> {
    /// In the topic's format.
    Bytes(Cow<'a, [u8]>),
    /// JSON that stood in the envelope; null where there is none.
    Value(Value),
}

/// Attributes and payload of a record. `None`: neither a value nor a type, so nothing happened.
pub(super) fn read<'a>(record: &RecordRef<'a>) -> Result<Option<(Said, Payload<'a>)>, Failure> {
    if let Some(media) = text_header(record, CONTENT_TYPE)?
        && media.get(..STRUCTURED.len()).is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED))
    {
        let name = media.split(';').next().unwrap_or_default().trim();
        if !name.eq_ignore_ascii_case("application/cloudevents+json") {
            return Err(undecodable(format!("a CloudEvent as `{name}` is not read, `application/cloudevents+json` is")));
        }
        let Some(value) = record.value else { return Ok(None) };
        return structured(value).map(Some);
    }
    let attributes = || record.headers.iter().filter(|header| header.name.starts_with(PREFIX));
    if record.value.is_none() && attributes().next().is_none() {
        return Ok(None);
    }
    let mut said = Attributes::default();
    for header in attributes() {
        let Some(value) = header.value else { continue };
        let text = std::str::from_utf8(value)
            .map_err(|error| undecodable(format!("header `{}`: not UTF-8 at byte {}", header.name, error.valid_up_to())))?;
        said.take(&header.name[PREFIX.len()..], Value::from(text))?;
    }
    let payload = record.value.map_or(Payload::Value(Value::Null), |value| Payload::Bytes(value.into()));
    Ok(Some((said.finish("no header `ce_specversion`, and no `content-type: application/cloudevents+json`")?, payload)))
}

fn structured<'a>(value: &[u8]) -> Result<(Said, Payload<'a>), Failure> {
    let mut said = Attributes::default();
    let (mut data, mut base64) = (None, None);
    let mut wrong = None;
    let is_map = json::read_fields(value, &|_| Wanted::All, &mut |name, value| match name {
        "data" => data = Some(value),
        "data_base64" => base64 = Some(value),
        _ => {
            if let Err(failure) = said.take(name, value) {
                wrong.get_or_insert(failure);
            }
        }
    });
    if !is_map.map_err(|error| undecodable(error.to_string()))? {
        return Err(undecodable("the CloudEvent is no JSON object"));
    }
    if let Some(failure) = wrong {
        return Err(failure);
    }
    let payload = match (data, base64) {
        (Some(_), Some(_)) => return Err(undecodable("the CloudEvent has both `data` and `data_base64`")),
        (data, None) => Payload::Value(data.unwrap_or_default()),
        (None, Some(Value::Str(text))) => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Payload::Bytes(bytes.into()),
            Err(error) => return Err(undecodable(format!("`data_base64` of the CloudEvent: {error}"))),
        },
        (None, Some(other)) => return Err(undecodable(format!("`data_base64` of the CloudEvent is a {}", other.kind()))),
    };
    Ok((said.finish("the CloudEvent has no `specversion`")?, payload))
}

/// Attributes as they come, of one that stands twice the last.
#[derive(Default)]
struct Attributes {
    said: Said,
    /// Those that are metadata.
    others: Vec<(Text, Value)>,
    spec_version: Option<Text>,
}

impl Attributes {
    fn take(&mut self, name: &str, value: Value) -> Result<(), Failure> {
        let said = &mut self.said;
        let field = match name {
            "id" => &mut said.id,
            "type" => &mut said.kind,
            "source" => &mut said.source,
            "time" => &mut said.time,
            SPEC_VERSION => &mut self.spec_version,
            CORRELATION_ID => &mut said.correlation_id,
            CAUSATION_ID => &mut said.causation_id,
            _ => match value {
                // As if it were not there, by the specification.
                Value::Null => return Ok(()),
                Value::List(_) | Value::Map(_) => {
                    return Err(undecodable(format!("attribute `{name}` of the CloudEvent is a {}", value.kind())));
                }
                value => {
                    self.others.push((name.into(), value));
                    return Ok(());
                }
            },
        };
        *field = match value {
            Value::Str(text) => (!text.is_empty()).then_some(text),
            Value::Null => None,
            other => {
                return Err(undecodable(format!(
                    "attribute `{name}` of the CloudEvent is a {}, a string is wanted",
                    other.kind()
                )));
            }
        };
        Ok(())
    }

    fn finish(mut self, without: &str) -> Result<Said, Failure> {
        self.said.metadata = Map::from_entries(self.others);
        match self.spec_version.as_deref() {
            None => Err(undecodable(without)),
            Some(version) if version == "1" || version.starts_with("1.") => Ok(self.said),
            Some(version) => Err(undecodable(format!("CloudEvents of version `{version}` are not read, 1.0 is"))),
        }
    }
}

/// Is a header of that name written by this envelope, and so not for a message to set?
pub(super) fn owns_header(name: &str) -> bool {
    name.starts_with(PREFIX) || name == CONTENT_TYPE
}

/// Appends the headers of a message in binary mode. `room` takes what has to be made for them.
pub(super) fn headers<'a>(
    draft: &Draft<'a>,
    format: Format,
    room: &'a mut Vec<Header>,
    out: &mut Vec<HeaderRef<'a>>,
) -> Result<(), Failure> {
    let mut content_type = None;
    room.push(Header::text("ce_time", timestamp_text(draft.time)));
    for (name, value) in draft.metadata.into_iter().flat_map(Map::iter) {
        if name == DATA_CONTENT_TYPE {
            content_type = Some(attribute(name, value)?);
        } else if !OWN.contains(&name.as_str()) {
            is_name(name).map_err(invalid)?;
            room.push(Header::text(format!("{PREFIX}{name}"), attribute(name, value)?));
        }
    }
    // Without data there is nothing to have a type.
    if !draft.data.is_null() {
        room.push(Header::text(CONTENT_TYPE, content_type.as_deref().unwrap_or(media_type(format))));
    }
    let mut put = |name: &'a str, value: &'a str| out.push(HeaderRef { name, value: Some(value.as_bytes()) });
    put("ce_specversion", "1.0");
    put("ce_id", draft.id);
    put("ce_type", draft.kind);
    put("ce_source", draft.source);
    put("ce_correlationid", draft.correlation_id);
    if let Some(causation_id) = draft.causation_id {
        put("ce_causationid", causation_id);
    }
    out.extend(room.iter().map(Header::as_ref));
    Ok(())
}

/// May an attribute have that name? Lower-case letters and digits, says the specification.
pub fn is_name(name: &str) -> Result<(), String> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Ok(());
    }
    Err(format!("`{name}` is no name of an attribute of a CloudEvent: lower-case letters and digits are"))
}

/// Text of an attribute's value, by the specification's canonical forms.
fn attribute(name: &str, value: &Value) -> Result<String, Failure> {
    Ok(match value {
        Value::Str(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::BigInt(digits) => digits.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Timestamp(time) => timestamp_text(*time),
        Value::Bytes(bytes) => STANDARD.encode(bytes),
        other => return Err(invalid(format!("`{name}` of a CloudEvent is a {}, which no attribute can be", other.kind()))),
    })
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Avro => "application/avro",
        Format::Protobuf => "application/protobuf",
        Format::String => "text/plain; charset=utf-8",
        Format::Auto | Format::Bytes => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;

//! A letter as JSON, for programs: on the command line and over HTTP alike.

use super::{Act, Filed, Found, error_value};
use crate::codec::moment;
use crate::record::{json, timestamp_text};
use base64::Engine as _;
use serde_json::{Value, json as object};

/// A letter with all that is known of it; `act`: what was done to it.
pub fn letter_json(letter: &Filed, act: Option<&Act>) -> Value {
    let Filed { record, offset, found } = letter;
    let origin = found.origin();
    let error = json::text(&error_value(found)).ok().and_then(|text| serde_json::from_str(&text).ok());
    let error: Value = error.unwrap_or_default();
    let mut said = object!({
        "place": {"topic": record.topic, "partition": record.partition, "offset": offset},
        "origin": {"topic": origin.topic, "partition": origin.partition, "offset": origin.offset},
        "timestamp": timestamp_text(moment(record.timestamp)),
        "error": error,
        "headers": original_headers(letter).map(|(name, value)| object!([name, payload("header", value).1])).collect::<Vec<_>>(),
    });
    let fields = said.as_object_mut().expect("an object was made");
    fields.extend([payload("key", record.key.as_deref()), payload("value", record.value.as_deref())]);
    if let Some(act) = act {
        let at = timestamp_text(moment(act.at));
        let became = object!({"act": act.deed.name(), "at": at, "by": act.by, "reason": act.reason, "edited": act.edited});
        fields.insert("became".into(), became);
    }
    if let Found::Own(report) = found
        && let Some(stub) = &report.stub
    {
        fields.insert("leftOut".into(), stub.without.iter().map(ToString::to_string).collect());
    }
    said
}

/// Headers of the original: those that do not tell of a failure.
pub fn original_headers(letter: &Filed) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    const TELLING: [&str; 4] = ["__skald.errors.", "__streams.errors.", "__connect.errors.", "kafka_dlt-"];
    let all = letter.record.headers.iter();
    all.filter(|header| !TELLING.iter().any(|prefix| header.name.starts_with(prefix)))
        .map(|header| (header.name.as_str(), header.value.as_deref()))
}

/// A value as JSON where it is JSON, as text where it is text, else in Base64 under another name.
pub fn payload(name: &str, bytes: Option<&[u8]>) -> (String, Value) {
    let Some(bytes) = bytes else { return (name.into(), Value::Null) };
    let text = std::str::from_utf8(bytes).ok();
    let read = if name == "value" { serde_json::from_slice(bytes).ok() } else { None };
    match (read, text) {
        (Some(value), _) => (name.into(), value),
        (None, Some(text)) => (name.into(), text.into()),
        (None, None) => (format!("{name}Base64"), base64::engine::general_purpose::STANDARD.encode(bytes).into()),
    }
}

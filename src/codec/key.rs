//! Keys: from bytes to values and back.
//!
//! A key that is computed must be text or an integer and not empty; whatever else is `MISSING_KEY`, so that records without an
//! identity never meet in one instance.

use super::KeyFormat;
use crate::failure::{Class, Failure, Stage};
use crate::record::{Text, Value, json};

/// The value of a record's key; null where there is none.
pub fn read_key(format: KeyFormat, key: Option<&[u8]>) -> Result<Value, Failure> {
    let Some(key) = key else { return Ok(Value::Null) };
    let undecodable = |reason: String| Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Key, format!("key: {reason}"));
    match format {
        KeyFormat::String => match std::str::from_utf8(key) {
            Ok(text) => Ok(Value::Str(Text::new(text))),
            Err(error) => Err(undecodable(format!("not UTF-8 at byte {}", error.valid_up_to()))),
        },
        KeyFormat::Json => json::read(key).map_err(|error| undecodable(error.to_string())),
        KeyFormat::Bytes => Ok(Value::Bytes(key.into())),
    }
}

/// Appends the bytes of a computed key.
pub fn write_key(format: KeyFormat, key: &Value, out: &mut Vec<u8>) -> Result<(), Failure> {
    let missing = |what: &str| Failure::new(Class::Permanent, "MISSING_KEY", Stage::Key, format!("the key is {what}"));
    match key {
        Value::Null => return Err(missing("null")),
        Value::Str(text) if text.is_empty() => return Err(missing("empty")),
        Value::Bytes(bytes) if bytes.is_empty() => return Err(missing("empty")),
        Value::Str(_) | Value::Int(_) | Value::BigInt(_) => {}
        // The key of a record, whatever its bytes are.
        Value::Bytes(_) if format != KeyFormat::Json => {}
        // A key that was read as JSON may be passed on as it is.
        Value::List(_) | Value::Map(_) | Value::Bool(_) | Value::Double(_) if format == KeyFormat::Json => {}
        other => return Err(missing(&format!("a {}, text or an integer is wanted", other.kind()))),
    }
    match (format, key) {
        (KeyFormat::String | KeyFormat::Bytes, Value::Str(text)) => out.extend_from_slice(text.as_bytes()),
        (KeyFormat::String | KeyFormat::Bytes, Value::BigInt(digits)) => out.extend_from_slice(digits.as_bytes()),
        (KeyFormat::String | KeyFormat::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        _ => {
            json::write(key, out).map_err(|error| missing(&error.to_string()))?;
        }
    }
    Ok(())
}

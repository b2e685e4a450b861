//! From values to text.

use super::{DEPTH_MAX, Error};
use crate::record::{Value, duration_text, timestamp_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(super) fn write(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), Error> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(number) => number_text(number, out),
        Value::Double(number) if number.is_finite() => number_text(number, out),
        Value::Double(_) => return Err(Error::NotFinite),
        Value::BigInt(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Str(text) => string(text, out),
        Value::Bytes(bytes) => string(&STANDARD.encode(bytes), out),
        Value::Timestamp(moment) => string(&timestamp_text(*moment), out),
        Value::Duration(length) => string(&duration_text(*length), out),
        Value::List(items) => {
            let depth = deeper(depth)?;
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(item, out, depth)?;
            }
            out.push(b']');
        }
        Value::Map(map) => {
            let depth = deeper(depth)?;
            out.push(b'{');
            for (place, (key, item)) in map.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                string(key, out);
                out.push(b':');
                write(item, out, depth)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, Error> {
    if depth == DEPTH_MAX { Err(Error::TooDeep) } else { Ok(depth + 1) }
}

/// Shortest digits that read back as the same number; a double always has a point or an exponent.
fn number_text(number: &impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, number).expect("a number, written to memory");
}

pub(super) fn string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let plain = super::plain(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(byte) = rest.get(plain) else { break };
        escape(*byte, out);
        rest = &rest[plain + 1..];
    }
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..0x20 => {
            out.extend_from_slice(b"\\u00");
            return out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        itself => itself,
    };
    out.extend_from_slice(&[b'\\', short]);
}

//! Conversions, digests and JSON text.

use super::{Function, Kinds, Style, built, function, no_overload, text_of};
use crate::expr::Type;
use crate::expr::code::Val;
use crate::expr::error::{Kind, Res, fail};
use crate::expr::eval::measure;
use crate::expr::fuel::{Fuel, RESULT_BYTES_MAX};
use crate::expr::ops;
use crate::record::{Value, duration_text, json, parse_duration, timestamp_text, uuid5 as uuid5_of};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(super) const FUNCTIONS: &[Function] = &[
    function("size", Style::Both, &[SIZED], |_| Type::Int, size),
    function("int", Style::Global, &[Kinds::NUMBER.or(Kinds::STRING).or(Kinds::TIMESTAMP)], |_| Type::Int, int),
    function("double", Style::Global, &[Kinds::NUMBER.or(Kinds::STRING)], |_| Type::Double, double),
    function("string", Style::Global, &[Kinds::SCALAR], |_| Type::String, |args, fuel| string_of(&args[0], fuel)),
    function("bool", Style::Global, &[Kinds::BOOL.or(Kinds::STRING)], |_| Type::Bool, bool),
    function("bytes", Style::Global, &[Kinds::BYTES.or(Kinds::STRING)], |_| Type::Bytes, bytes),
    function("timestamp", Style::Global, &[Kinds::STRING.or(Kinds::INT).or(Kinds::TIMESTAMP)], |_| Type::Timestamp, timestamp),
    function("duration", Style::Global, &[Kinds::STRING.or(Kinds::DURATION)], |_| Type::Duration, duration),
    function("type", Style::Global, &[Kinds::ANY], |_| Type::String, |args, _| Ok(args[0].kind().into())),
    function("uuid5", Style::Global, &[Kinds::SCALAR], |_| Type::String, uuid5).repeated(),
    function("sha256", Style::Global, &[Kinds::SCALAR], |_| Type::String, sha256),
    function("hash01", Style::Global, &[Kinds::SCALAR], |_| Type::Double, hash01),
    function("toJson", Style::Global, &[Kinds::ANY], |_| Type::String, to_json),
    function("parseJson", Style::Global, &[Kinds::STRING], |_| Type::Any, parse_json),
];

const SIZED: Kinds = Kinds::STRING.or(Kinds::BYTES).or(Kinds::LIST).or(Kinds::MAP);

fn size(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let size = match &*args[0] {
        Value::Str(text) => {
            fuel.scan(text.len())?;
            text.chars().count()
        }
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        other => return ops::no_overload("size", &[other]),
    };
    Ok(Value::Int(size as i64))
}

fn not_convertible<T>(from: &str, to: &str) -> Res<T> {
    fail(Kind::Conversion, format!("this {from} is no {to}"))
}

fn int(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match &*args[0] {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Double(number) if *number > -LIMIT && *number < LIMIT => Ok(Value::Int(*number as i64)),
        Value::Double(_) => not_convertible("double", "int of 64 bits"),
        Value::Str(text) => text.parse().map_or_else(|_| not_convertible("string", "int"), |number| Ok(Value::Int(number))),
        Value::Timestamp(moment) => Ok(Value::Int(moment.as_second() - i64::from(moment.subsec_nanosecond() < 0))),
        other => ops::no_overload("int", &[other]),
    }
}

fn double(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    match &*args[0] {
        Value::Int(number) => Ok(Value::Double(*number as f64)),
        Value::Double(number) => Ok(Value::Double(*number)),
        Value::Str(text) => {
            text.parse().map_or_else(|_| not_convertible("string", "double"), |number| Ok(Value::Double(number)))
        }
        other => ops::no_overload("double", &[other]),
    }
}

/// `string(x)`, which is also what `{x}` in a text is filled in with.
pub(in crate::expr) fn string_of(value: &Value, fuel: &Fuel) -> Res<Value> {
    match value {
        Value::Str(text) => Ok(Value::Str(text.clone())),
        Value::Int(number) => Ok(number.to_string().into()),
        Value::Double(number) => built(number.to_string(), fuel),
        Value::Bool(truth) => Ok(if *truth { "true" } else { "false" }.into()),
        Value::Bytes(bytes) => {
            fuel.build(bytes.len())?;
            std::str::from_utf8(bytes).map_or_else(|_| not_convertible("value of bytes", "UTF-8 text"), |text| Ok(text.into()))
        }
        Value::Timestamp(moment) => Ok(timestamp_text(*moment).into()),
        Value::Duration(length) => Ok(duration_text(*length).into()),
        other => ops::no_overload("string", &[other]),
    }
}

fn bool(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    match &*args[0] {
        Value::Bool(truth) => Ok(Value::Bool(*truth)),
        Value::Str(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => not_convertible("string", "bool"),
        },
        other => ops::no_overload("bool", &[other]),
    }
}

fn bytes(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    match &*args[0] {
        Value::Bytes(bytes) => Ok(Value::Bytes(bytes.clone())),
        Value::Str(text) => {
            fuel.build(text.len())?;
            Ok(Value::Bytes(text.as_bytes().into()))
        }
        other => ops::no_overload("bytes", &[other]),
    }
}

fn timestamp(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    match &*args[0] {
        Value::Timestamp(moment) => Ok(Value::Timestamp(*moment)),
        // Longer than any moment; the parser of dates need not see it.
        Value::Str(text) if text.len() > 64 => not_convertible("string", "RFC 3339 timestamp"),
        Value::Str(text) => {
            text.parse().map_or_else(|_| not_convertible("string", "RFC 3339 timestamp"), |moment| Ok(Value::Timestamp(moment)))
        }
        Value::Int(seconds) => Timestamp::from_second(*seconds)
            .map_or_else(|_| fail(Kind::Overflow, "the moment is beyond the calendar"), |moment| Ok(Value::Timestamp(moment))),
        other => ops::no_overload("timestamp", &[other]),
    }
}

fn duration(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    match &*args[0] {
        Value::Duration(length) => Ok(Value::Duration(*length)),
        Value::Str(text) => parse_duration(text)
            .map_or_else(|| not_convertible("string", "duration, as `90s` or `1h30m`"), |length| Ok(Value::Duration(length))),
        other => ops::no_overload("duration", &[other]),
    }
}

/// RFC 9562's namespace for names that are URLs is `…11…`, for DNS `…10…`; the language fixed the latter.
const NAMESPACE: Uuid = Uuid::NAMESPACE_DNS;

fn uuid5(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let mut name = String::new();
    for (place, part) in args.iter().enumerate() {
        if place > 0 {
            name.push('/');
        }
        let part = string_of(part, fuel)?;
        let part = text_of("uuid5", &part, fuel)?;
        fuel.build(name.len() + part.len())?;
        name.push_str(part);
    }
    Ok(uuid5_of(&NAMESPACE, name.as_bytes()).hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned().into())
}

/// SHA-256 of bytes as they are, of anything else as its text.
fn digest(value: &Value, fuel: &Fuel) -> Res<[u8; 32]> {
    if let Value::Bytes(bytes) = value {
        fuel.scan(bytes.len())?;
        return Ok(Sha256::digest(bytes).into());
    }
    let text = string_of(value, fuel)?;
    Ok(Sha256::digest(text_of("sha256", &text, fuel)?).into())
}

fn sha256(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in digest(&args[0], fuel)? {
        write!(text, "{byte:02x}").expect("memory takes any text");
    }
    built(text, fuel)
}

fn hash01(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let text = string_of(&args[0], fuel)?;
    let digest = digest(&text, fuel)?;
    let first = u64::from_be_bytes(digest[..8].try_into().expect("eight of thirty-two bytes"));
    // 53 bits are what a double holds exactly, so the quotient is exact and below 1.
    Ok(Value::Double((first >> 11) as f64 / (1_u64 << 53) as f64))
}

fn to_json(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    // Measured first: shared parts may make the text much larger than the value.
    let mut left = RESULT_BYTES_MAX;
    measure(&args[0], &mut left, 0)?;
    fuel.scan(RESULT_BYTES_MAX - left)?;
    match json::text(&args[0]) {
        Ok(text) => built(text, fuel),
        Err(json::Error::NotFinite) => fail(Kind::NotFinite, "a number that is not finite has no JSON text"),
        Err(error) => fail(Kind::TooLarge, error.to_string()),
    }
}

fn parse_json(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let Value::Str(text) = &*args[0] else { return no_overload("parseJson", args) };
    fuel.scan(text.len())?;
    // A value takes more room than its text: at most that of an element for every other byte.
    fuel.build(text.len())?;
    fuel.burn(text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count())?;
    json::read(text.as_bytes()).or_else(|error| fail(Kind::Conversion, format!("no JSON: {error}")))
}

//! Messages that Protobuf brings along, and what they are by agreement.

use super::DEPTH_MAX;
use super::shape::{Field, MapKey, Rule, Shape};
use crate::codec::fit::Path;
use crate::record::{Map, Text, Value, duration_text, read_timestamp, timestamp_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

/// The first second of the year 1, before which Protobuf has no moments.
const FIRST_SECOND: i64 = -62_135_596_800;
/// Longest duration that Protobuf has, in either direction.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;
/// Name of the type of an `Any`, as in JSON.
const ANY_TYPE: &str = "@type";

/// What a message is by agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `google.protobuf.Timestamp`: a moment.
    Timestamp,
    /// `google.protobuf.Duration`: a length of time.
    Duration,
    /// `google.protobuf.StringValue` and its like: the value alone.
    Wrapper,
    /// `google.protobuf.Struct`: a map of anything.
    Struct,
    /// `google.protobuf.Value`: anything that JSON has.
    Value,
    /// `google.protobuf.ListValue`: a list of anything.
    List,
    /// `google.protobuf.Any`: a message of another type, as bytes.
    Any,
}

impl Known {
    /// By the name, and by the fields: nobody is kept from declaring other messages under these names.
    pub(super) fn of(name: &str, fields: &[Field]) -> Option<Self> {
        let name = name.strip_prefix("google.protobuf.")?;
        let has = |wanted: &[(&str, u32, &str)]| {
            let same = |(field, wanted): (&Field, &(&str, u32, &str))| {
                let plain = matches!(field.rule, Rule::Implicit | Rule::Explicit);
                plain && (field.name.as_str(), field.number, field.shape.kind()) == *wanted
            };
            fields.len() == wanted.len() && fields.iter().zip(wanted).all(same)
        };
        let [first, ..] = fields else { return None };
        let alone = |name: &str, rule: Rule| {
            fields.len() == 1
                && (first.name.as_str(), first.number, first.rule) == (name, 1, rule)
                && matches!(first.shape, Shape::Message(_))
        };
        let wrapped = |kind: &str| has(&[("value", 1, kind)]).then_some(Self::Wrapper);
        match name {
            "Timestamp" => has(&[("nanos", 2, "int32"), ("seconds", 1, "int64")]).then_some(Self::Timestamp),
            "Duration" => has(&[("nanos", 2, "int32"), ("seconds", 1, "int64")]).then_some(Self::Duration),
            "Any" => has(&[("typeUrl", 1, "string"), ("value", 2, "bytes")]).then_some(Self::Any),
            "Struct" => alone("fields", Rule::Map(MapKey::Text)).then_some(Self::Struct),
            "ListValue" => alone("values", Rule::List { packed: false }).then_some(Self::List),
            "Value" => has(&[
                ("boolValue", 4, "bool"),
                ("listValue", 6, "message"),
                ("nullValue", 1, "enum"),
                ("numberValue", 2, "double"),
                ("stringValue", 3, "string"),
                ("structValue", 5, "message"),
            ])
            .then_some(Self::Value),
            "DoubleValue" => wrapped("double"),
            "FloatValue" => wrapped("float"),
            "Int64Value" => wrapped("int64"),
            "UInt64Value" => wrapped("uint64"),
            "Int32Value" => wrapped("int32"),
            "UInt32Value" => wrapped("uint32"),
            "BoolValue" => wrapped("bool"),
            "StringValue" => wrapped("string"),
            "BytesValue" => wrapped("bytes"),
            _ => None,
        }
    }

    /// What the fields of the message say; `None` where they say nothing that is.
    pub(super) fn folded(self, fields: &Map) -> Option<Value> {
        let int = |name: &str| fields.get(name).and_then(Value::as_int);
        Some(match self {
            Self::Timestamp => {
                let (seconds, nanos @ 0..1_000_000_000) = (int("seconds")?, int("nanos")?) else { return None };
                let nanos = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
                Value::Timestamp(Timestamp::from_nanosecond(nanos).ok()?)
            }
            Self::Duration => {
                let (seconds, nanos @ -999_999_999..=999_999_999) = (int("seconds")?, int("nanos")?) else { return None };
                let agree = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
                let fits = agree && (-DURATION_SECONDS_MAX..=DURATION_SECONDS_MAX).contains(&seconds);
                Value::Duration(fits.then(|| SignedDuration::new(seconds, nanos as i32))?)
            }
            Self::Wrapper => fields.get("value")?.clone(),
            Self::Struct => fields.get("fields")?.clone(),
            Self::List => fields.get("values")?.clone(),
            Self::Any => {
                let entries =
                    vec![(ANY_TYPE.into(), fields.get("typeUrl")?.clone()), ("value".into(), fields.get("value")?.clone())];
                Value::Map(Map::from_entries(entries))
            }
            Self::Value => match fields.iter().next() {
                // One that says nothing is null too.
                None => Value::Null,
                Some((kind, _)) if kind == "nullValue" => Value::Null,
                Some((_, value)) => value.clone(),
            },
        })
    }

    /// The fields that say so, of a value that was accepted.
    pub(super) fn unfolded(self, value: &Value) -> Option<Map> {
        let fields = match (self, value) {
            (Self::Timestamp, Value::Timestamp(moment)) => {
                let nanos = moment.as_nanosecond();
                let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
                let nanos = i64::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
                vec![("nanos", Value::Int(nanos)), ("seconds", Value::Int(seconds))]
            }
            (Self::Duration, Value::Duration(length)) => {
                vec![("nanos", Value::Int(length.subsec_nanos().into())), ("seconds", Value::Int(length.as_secs()))]
            }
            (Self::Wrapper, value) => vec![("value", value.clone())],
            (Self::Struct, Value::Map(_)) => vec![("fields", value.clone())],
            (Self::List, Value::List(_)) => vec![("values", value.clone())],
            (Self::Any, Value::Map(map)) => vec![("typeUrl", map.get(ANY_TYPE)?.clone()), ("value", map.get("value")?.clone())],
            (Self::Value, value) => {
                let kind = match value {
                    Value::Null => return Some([("nullValue".into(), Value::from("NULL_VALUE"))].into_iter().collect()),
                    Value::Bool(_) => "boolValue",
                    Value::Double(_) => "numberValue",
                    Value::Str(_) => "stringValue",
                    Value::List(_) => "listValue",
                    Value::Map(_) => "structValue",
                    _ => return None,
                };
                vec![(kind, value.clone())]
            }
            _ => return None,
        };
        Some(Map::from_entries(fields.into_iter().map(|(name, value)| (Text::new(name), value)).collect()))
    }

    /// The value as a reader finds it, of all but wrappers.
    pub(super) fn accepted(self, value: &Value, path: &Path<'_>) -> Result<Option<Value>, String> {
        Ok(match (self, value) {
            (Self::Timestamp, Value::Timestamp(moment)) => dated(*moment),
            (Self::Timestamp, Value::Str(text)) => read_timestamp(text).and_then(dated),
            (Self::Duration, Value::Duration(length)) => {
                (length.as_secs().abs() <= DURATION_SECONDS_MAX).then_some(Value::Duration(*length))
            }
            (Self::Struct, Value::Map(_)) | (Self::List, Value::List(_)) | (Self::Value, _) => {
                Some(any(value, path, path.depth())?)
            }
            (Self::Any, Value::Map(map)) => match (map.len(), map.get(ANY_TYPE), map.get("value")) {
                (2, Some(Value::Str(_)), Some(Value::Bytes(_))) => Some(value.clone()),
                _ => None,
            },
            _ => None,
        })
    }

    /// For messages.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Wrapper => "wrapped value",
            Self::Struct => "map",
            Self::Value => "value of JSON",
            Self::List => "list",
            Self::Any => "map of `@type` and `value`",
        }
    }
}

fn dated(moment: Timestamp) -> Option<Value> {
    (moment.as_nanosecond().div_euclid(1_000_000_000) >= FIRST_SECOND.into()).then_some(Value::Timestamp(moment))
}

/// Messages within each other that one list or map within another is made of.
const ANY_DEPTH: usize = 3;

/// A value as JSON has it, its numbers doubles.
fn any(value: &Value, path: &Path<'_>, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("nested more than {DEPTH_MAX} deep"));
    }
    let depth = depth + ANY_DEPTH;
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Double(_) | Value::Str(_) => value.clone(),
        Value::Int(number) => {
            let double = *number as f64;
            if Value::Double(double) != *value {
                return Err(path.says("numbers within a `google.protobuf.Value` are doubles, and this one would be rounded"));
            }
            Value::Double(double)
        }
        Value::BigInt(_) => {
            return Err(path.says("numbers within a `google.protobuf.Value` are doubles, and this one has more digits"));
        }
        Value::Timestamp(moment) => Value::from(timestamp_text(*moment)),
        Value::Duration(length) => Value::from(duration_text(*length)),
        Value::Bytes(bytes) => Value::from(STANDARD.encode(bytes)),
        Value::List(list) => {
            let item = |(index, item)| any(item, &Path::Item(path, index), depth);
            Value::list(list.iter().enumerate().map(item).collect::<Result<_, _>>()?)
        }
        Value::Map(map) => {
            let entry = |(name, value): (&Text, &Value)| Ok((name.clone(), any(value, &Path::Field(path, name), depth)?));
            Value::Map(map.iter().map(entry).collect::<Result<Map, String>>()?)
        }
    })
}

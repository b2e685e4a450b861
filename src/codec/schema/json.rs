//! Our values as `jsonschema` sees them.

use crate::record::{Map, Text, Value, duration_text, timestamp_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonschema::JsonType;
use jsonschema::json::{Array, Json, JsonNumber, Node, NodeIdentity, Object};
use serde_json::Value as Theirs;
use std::borrow::Cow;

/// The representation; kinds that JSON lacks are the text that they are written as.
pub(super) struct Ours;

impl Json for Ours {
    type Node<'a> = &'a Value;
    type PreparedKey = Text;
    type StringBuffer = Value;

    fn prepare_key(key: &str) -> Text {
        key.into()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(&Value) -> T) -> T {
        *buffer = Value::Str(string.into());
        f(buffer)
    }
}

impl<'a> Node<'a, Ours> for &'a Value {
    type Object = &'a Map;
    type Array = &'a [Value];
    type Number = Number<'a>;

    fn as_object(&self) -> Option<&'a Map> {
        self.as_map()
    }

    fn as_array(&self) -> Option<&'a [Value]> {
        self.as_list()
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        match self {
            Value::Str(text) => Some(Cow::Borrowed(text)),
            Value::Bytes(bytes) => Some(Cow::Owned(STANDARD.encode(bytes))),
            Value::Timestamp(moment) => Some(Cow::Owned(timestamp_text(*moment))),
            Value::Duration(length) => Some(Cow::Owned(duration_text(*length))),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number<'a>> {
        match self {
            Value::Int(number) => Some(Number::Int(*number)),
            Value::Double(number) => Some(Number::Double(*number)),
            Value::BigInt(digits) => Some(Number::Digits(digits)),
            _ => None,
        }
    }

    fn as_boolean(&self) -> Option<bool> {
        self.as_bool()
    }

    fn is_null(&self) -> bool {
        Value::is_null(self)
    }

    fn is_number(&self) -> bool {
        matches!(self, Value::Int(_) | Value::Double(_) | Value::BigInt(_))
    }

    fn json_type(&self) -> JsonType {
        match self {
            Value::Null => JsonType::Null,
            Value::Bool(_) => JsonType::Boolean,
            Value::Int(_) | Value::Double(_) | Value::BigInt(_) => JsonType::Number,
            Value::Str(_) | Value::Bytes(_) | Value::Timestamp(_) | Value::Duration(_) => JsonType::String,
            Value::List(_) => JsonType::Array,
            Value::Map(_) => JsonType::Object,
        }
    }

    fn to_value(&self) -> Cow<'a, Theirs> {
        Cow::Owned(match self {
            Value::Null => Theirs::Null,
            Value::Bool(truth) => Theirs::Bool(*truth),
            Value::List(items) => Theirs::Array(items.iter().map(|item| item.to_value().into_owned()).collect()),
            Value::Map(map) => {
                Theirs::Object(map.iter().map(|(key, value)| (key.to_string(), value.to_value().into_owned())).collect())
            }
            other => match other.as_number() {
                Some(number) => Theirs::Number(number.to_number().into_owned()),
                None => Theirs::String(Node::as_string(other).expect("all other kinds are text").into_owned()),
            },
        })
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref::<Value>(self) as usize))
    }
}

/// A number of ours.
pub(super) enum Number<'a> {
    Int(i64),
    Double(f64),
    Digits(&'a str),
}

impl JsonNumber for Number<'_> {
    fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::Double(_) => None,
            Self::Digits(digits) => digits.parse().ok(),
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            Self::Digits(digits) => digits.parse().ok(),
        }
    }

    fn as_str(&self) -> Cow<'_, str> {
        match self {
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::Double(number) => Cow::Owned(number.to_string()),
            Self::Digits(digits) => Cow::Borrowed(digits),
        }
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(match self {
            Self::Int(number) => (*number).into(),
            Self::Digits(digits) if let Ok(number) = digits.parse::<u64>() => number.into(),
            // Digits beyond doubles, NaN and infinities have no number there; the nearest stands in.
            other => {
                let number = other.as_f64().unwrap_or(f64::MAX).clamp(f64::MIN, f64::MAX);
                serde_json::Number::from_f64(number).unwrap_or_else(|| 0.into())
            }
        })
    }

    fn is_integer(&self) -> bool {
        match self {
            Self::Int(_) | Self::Digits(_) => true,
            Self::Double(number) => number.fract() == 0.0,
        }
    }

    fn is_written_as_integer(&self) -> bool {
        !matches!(self, Self::Double(_))
    }
}

impl<'a> Object<'a, Ours> for &'a Map {
    type Node = &'a Value;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        Map::len(self)
    }

    fn get(&self, key: &Text) -> Option<&'a Value> {
        Map::get(self, key)
    }

    fn members(&self) -> Members<'a> {
        Members(self.entries().iter())
    }
}

/// The fields of a map.
pub(super) struct Members<'a>(std::slice::Iter<'a, (Text, Value)>);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, value)| (name.as_str(), value))
    }
}

impl<'a> Array<'a, Ours> for &'a [Value] {
    type Node = &'a Value;
    type ElementsIter = std::slice::Iter<'a, Value>;

    fn len(&self) -> usize {
        <[Value]>::len(self)
    }

    fn elements(&self) -> std::slice::Iter<'a, Value> {
        self.iter()
    }
}

//! Does a value fit a schema, and as what will a reader find it?

use super::shape::{Field, MapKey, Message, Rule, Table};
use super::{DEPTH_MAX, Known, Schema, Shape};
use crate::codec::fit::{self, Path, article, whole};
use crate::record::{Map, Text, Value};

/// 2^64, which is a double.
const UINT64_END: f64 = 18_446_744_073_709_551_616.0;

impl Schema {
    /// The value as a reader of its bytes finds it: defaults filled in, numbers as exact as the schema keeps them. Else the place
    /// and what is wrong there, without the value.
    ///
    /// A field that is missing or null is not set. One that the schema does not have is refused: it would be lost.
    pub fn accept(&self, value: Value) -> Result<Value, String> {
        self.table().accepted(&self.table().messages[0], &value, &Path::Root)
    }
}

impl Table {
    fn accepted(&self, message: &Message, value: &Value, path: &Path<'_>) -> Result<Value, String> {
        let misfit = |kind: &str| path.says(format_args!("{} where {} is wanted", article(value.kind()), article(kind)));
        match (message.known, value) {
            (Some(Known::Wrapper), value) => {
                let shape = message.fields[0].shape;
                self.plain(shape, value).ok_or_else(|| misfit(shape.kind()))
            }
            (Some(known), value) => known.accepted(value, path)?.ok_or_else(|| misfit(known.kind())),
            (None, Value::Map(map)) => self.fields(message, map, path),
            (None, _) => Err(misfit("map")),
        }
    }

    fn fields(&self, message: &Message, map: &Map, path: &Path<'_>) -> Result<Value, String> {
        path.deep_enough(DEPTH_MAX)?;
        if let Some((name, _)) = map.iter().find(|(name, _)| message.named(name).is_none()) {
            return Err(Path::Field(path, name).says("the schema has no such field"));
        }
        let mut entries = Vec::with_capacity(message.fields.len());
        let mut set: Vec<(usize, &Text)> = Vec::new();
        for field in &message.fields {
            let path = Path::Field(path, &field.name);
            let given = map.get(&field.name).filter(|value| !value.is_null() || self.is_value(field));
            let value = match (given, &field.default) {
                (Some(value), _) => self.of_field(field, value, &path)?,
                (None, _) if field.rule == Rule::Required => return Err(path.says("the field is missing")),
                (None, Some(default)) => default.clone(),
                (None, None) => continue,
            };
            if let (Some(oneof), Some(_)) = (field.oneof, given) {
                if let Some((_, other)) = set.iter().find(|(known, _)| *known == oneof) {
                    return Err(path.says(format_args!("only one of this and `{other}` may be given")));
                }
                set.push((oneof, &field.name));
            }
            entries.push((field.name.clone(), value));
        }
        Ok(Value::Map(Map::from_entries(entries)))
    }

    /// Is null a value there, other than none?
    fn is_value(&self, field: &Field) -> bool {
        let is_value = |at: usize| self.messages[at].known == Some(Known::Value);
        field.rule == Rule::Explicit && matches!(field.shape, Shape::Message(at) if is_value(at))
    }

    fn of_field(&self, field: &Field, value: &Value, path: &Path<'_>) -> Result<Value, String> {
        let misfit = |kind: &str| path.says(format_args!("{} where {} is wanted", article(value.kind()), article(kind)));
        match (field.rule, value) {
            (Rule::List { .. }, Value::List(list)) => {
                path.deep_enough(DEPTH_MAX)?;
                let item = |(index, item)| self.value(field.shape, item, &Path::Item(path, index));
                list.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::list)
            }
            (Rule::List { .. }, _) => Err(misfit("list")),
            (Rule::Map(key), Value::Map(map)) => {
                path.deep_enough(DEPTH_MAX)?;
                let entry = |(name, value): (&Text, &Value)| {
                    let path = Path::Field(path, name);
                    key.value(name).ok_or_else(|| path.says(format_args!("the key is no {}", key.kind())))?;
                    Ok((name.clone(), self.value(field.shape, value, &path)?))
                };
                map.iter().map(entry).collect::<Result<Map, String>>().map(Value::Map)
            }
            (Rule::Map(_), _) => Err(misfit("map")),
            (_, value) => self.value(field.shape, value, path),
        }
    }

    fn value(&self, shape: Shape, value: &Value, path: &Path<'_>) -> Result<Value, String> {
        match shape {
            Shape::Message(at) | Shape::Group(at) => self.accepted(&self.messages[at], value, path),
            shape => self.plain(shape, value).ok_or_else(|| {
                let (found, wanted) = (article(value.kind()), article(shape.kind()));
                path.says(format_args!("{found} where {wanted} is wanted"))
            }),
        }
    }

    /// A value without parts.
    fn plain(&self, shape: Shape, value: &Value) -> Option<Value> {
        Some(match (shape, value) {
            (Shape::Bool, Value::Bool(truth)) => Value::Bool(*truth),
            (Shape::Int32 | Shape::Sint32 | Shape::Sfixed32, value) => fit::int32(value)?,
            (Shape::Uint32 | Shape::Fixed32, value) => {
                Value::Int(whole(value).filter(|number| u32::try_from(*number).is_ok())?)
            }
            (Shape::Int64 | Shape::Sint64 | Shape::Sfixed64, value) => Value::Int(whole(value)?),
            (Shape::Uint64 | Shape::Fixed64, Value::BigInt(digits)) => {
                Value::BigInt(digits.parse::<u64>().ok()?.to_string().into())
            }
            (Shape::Uint64 | Shape::Fixed64, Value::Double(number)) if whole(value).is_none() => {
                let fits = number.fract() == 0.0 && (0.0..UINT64_END).contains(number);
                super::shape::unsigned(fits.then_some(*number as u64)?)
            }
            (Shape::Uint64 | Shape::Fixed64, value) => Value::Int(whole(value).filter(|number| *number >= 0)?),
            (Shape::Double, value) => fit::double(value)?,
            (Shape::Float, value) => fit::float(value)?,
            (Shape::Text, value) => fit::text(value)?,
            (Shape::Bytes, Value::Bytes(bytes)) => Value::Bytes(bytes.clone()),
            (Shape::Enum(at), Value::Str(name)) => {
                let symbols = &self.enums[at];
                Value::Str(symbols.name_of(symbols.number_of(name)?))
            }
            (Shape::Enum(at), Value::Int(number)) => Value::Str(self.enums[at].name_of(i32::try_from(*number).ok()?)),
            _ => return None,
        })
    }
}

impl MapKey {
    /// The key that a text stands for: in one spelling, so that no two texts are one key.
    pub(super) fn value(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(Value::from(text)),
            Self::Bool => match text {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Self::Number(shape) => {
                let number: i128 = text.parse().ok()?;
                let fits = match shape {
                    Shape::Int32 | Shape::Sint32 | Shape::Sfixed32 => i32::try_from(number).is_ok(),
                    Shape::Uint32 | Shape::Fixed32 => u32::try_from(number).is_ok(),
                    Shape::Uint64 | Shape::Fixed64 => u64::try_from(number).is_ok(),
                    _ => i64::try_from(number).is_ok(),
                };
                let found = i64::try_from(number).map_or_else(|_| Value::BigInt(text.into()), Value::Int);
                (fits && number.to_string() == text).then_some(found)
            }
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Bool => "`true` or `false`",
            Self::Number(shape) => shape.kind(),
        }
    }
}

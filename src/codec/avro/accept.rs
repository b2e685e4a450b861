//! Does a value fit a schema, and as what will a reader find it?

use super::shape::{Field, Logical, uuid_text};
use super::{DEPTH_MAX, Schema, Shape, decimal};
use crate::codec::fit::{self, Path, article};
use crate::record::{Map, Text, Value, read_timestamp};
use jiff::{SignedDuration, Timestamp};

/// Parts of a value that are looked at, those of a union that were tried in vain included.
const STEPS_MAX: usize = 1_000_000;

impl Schema {
    /// The value as a reader of its bytes finds it: defaults filled in, numbers and moments as exact as the schema keeps them.
    /// Else the place and what is wrong there, without the value.
    ///
    /// A field that is missing is null where null is allowed, or its default. One that the schema does not have is refused: it
    /// would be lost.
    pub fn accept(&self, value: Value) -> Result<Value, String> {
        let mut steps = STEPS_MAX;
        self.accepted(self.root(), &value, &Path::Root, &mut steps)
    }

    fn accepted(&self, at: usize, value: &Value, path: &Path<'_>, steps: &mut usize) -> Result<Value, String> {
        *steps = steps.checked_sub(1).ok_or_else(|| path.says("the value is too large"))?;
        let shape = self.shape(at);
        let misfit = || path.says(format_args!("{} where {} is wanted", article(value.kind()), article(shape.kind())));
        match (shape, value) {
            (Shape::Record(_, fields), Value::Map(map)) => self.record(fields, map, path, steps),
            (Shape::Array(items), Value::List(list)) => {
                path.deep_enough(DEPTH_MAX)?;
                let item = |(index, item)| self.accepted(*items, item, &Path::Item(path, index), steps);
                list.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::list)
            }
            (Shape::Map(values), Value::Map(map)) => {
                path.deep_enough(DEPTH_MAX)?;
                let entry = |(name, value): (&Text, &Value)| {
                    Ok((name.clone(), self.accepted(*values, value, &Path::Field(path, name), steps)?))
                };
                map.iter().map(entry).collect::<Result<Map, _>>().map(Value::Map)
            }
            (Shape::Union(variants), value) => {
                let mut first = None;
                for variant in self.candidates(variants, value) {
                    match self.accepted(variant, value, path, steps) {
                        Ok(accepted) => return Ok(accepted),
                        Err(why) => drop(first.get_or_insert(why)),
                    }
                }
                Err(first.unwrap_or_else(misfit))
            }
            (Shape::Logical(logical, inner), value) => logical.accepted(value, self.shape(*inner)).ok_or_else(misfit),
            (shape, value) => shape.plain(value).ok_or_else(misfit),
        }
    }

    fn record(&self, fields: &[Field], map: &Map, path: &Path<'_>, steps: &mut usize) -> Result<Value, String> {
        path.deep_enough(DEPTH_MAX)?;
        let mut entries = Vec::with_capacity(fields.len());
        for field in fields {
            let path = Path::Field(path, &field.name);
            let value = match (map.get(&field.name), &field.default) {
                (Some(value), _) => self.accepted(field.shape, value, &path, steps)?,
                (None, Some(default)) => default.clone(),
                (None, None) if self.is_nullable(field.shape) => Value::Null,
                (None, None) => return Err(path.says("the field is missing")),
            };
            entries.push((field.name.clone(), value));
        }
        match map.iter().find(|(name, _)| !fields.iter().any(|field| field.name == **name)) {
            Some((name, _)) => Err(Path::Field(path, name).says("the schema has no such field")),
            None => Ok(Value::Map(Map::from_entries(entries))),
        }
    }

    /// The variants of a union that a value may be of, those of its very kind first.
    pub(super) fn candidates(&self, variants: &[usize], value: &Value) -> impl Iterator<Item = usize> {
        let mut ranked: Vec<(u8, usize)> =
            variants.iter().filter_map(|at| Some((self.rank(self.shape(*at), value)?, *at))).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, at)| at)
    }

    /// How near a value is to a shape, by a look at its outside.
    fn rank(&self, shape: &Shape, value: &Value) -> Option<u8> {
        match (shape, value) {
            (Shape::Null, Value::Null) | (Shape::Bool, Value::Bool(_)) | (Shape::Bytes, Value::Bytes(_)) => Some(0),
            (Shape::Text, Value::Str(_)) | (Shape::Double, Value::Double(_)) | (Shape::Array(_), Value::List(_)) => Some(0),
            (Shape::Int, Value::Int(number)) => i32::try_from(*number).is_ok().then_some(0),
            (Shape::Long, Value::Int(_)) => Some(0),
            (Shape::Float, Value::Double(_)) => Some(1),
            (Shape::Enum { symbols, .. }, Value::Str(text)) => symbols.contains(text).then_some(0),
            (Shape::Fixed(_, size), Value::Bytes(bytes)) => (bytes.len() == *size).then_some(0),
            (Shape::Map(_), Value::Map(_)) => Some(1),
            (Shape::Record(_, fields), Value::Map(map)) => {
                let is_known = |name: &Text| fields.iter().any(|field| field.name == *name);
                let is_there =
                    |field: &Field| map.contains_key(&field.name) || field.default.is_some() || self.is_nullable(field.shape);
                (map.iter().all(|(name, _)| is_known(name)) && fields.iter().all(is_there)).then_some(0)
            }
            (Shape::Logical(logical, inner), value) => match (logical, value) {
                (Logical::Date | Logical::Moment(_), Value::Timestamp(_)) | (Logical::TimeOfDay(_), Value::Duration(_)) => {
                    Some(0)
                }
                (Logical::Decimal { .. } | Logical::Uuid, Value::Str(_)) => {
                    logical.accepted(value, self.shape(*inner)).is_some().then_some(0)
                }
                _ => logical.accepted(value, self.shape(*inner)).is_some().then_some(1),
            },
            (shape, value) => shape.plain(value).is_some().then_some(2),
        }
    }
}

impl Shape {
    /// A value without parts and without further meaning.
    fn plain(&self, value: &Value) -> Option<Value> {
        Some(match (self, value) {
            (Self::Null, Value::Null) => Value::Null,
            (Self::Bool, Value::Bool(truth)) => Value::Bool(*truth),
            (Self::Int, value) => fit::int32(value)?,
            (Self::Long, value) => Value::Int(fit::whole(value)?),
            (Self::Double, value) => fit::double(value)?,
            (Self::Float, value) => fit::float(value)?,
            (Self::Text, value) => fit::text(value)?,
            (Self::Bytes, Value::Bytes(bytes)) => Value::Bytes(bytes.clone()),
            (Self::Fixed(_, size), Value::Bytes(bytes)) if bytes.len() == *size => Value::Bytes(bytes.clone()),
            (Self::Enum { symbols, .. }, Value::Str(text)) if symbols.contains(text) => Value::Str(text.clone()),
            _ => return None,
        })
    }
}

impl Logical {
    fn accepted(self, value: &Value, carrier: &Shape) -> Option<Value> {
        Some(match (self, value) {
            (Self::Date | Self::Moment(_), value) => {
                let moment = match value {
                    Value::Timestamp(moment) => *moment,
                    Value::Str(text) => moment_of(text)?,
                    _ => return None,
                };
                self.read(&Value::Int(self.count_of_moment(moment)?))?
            }
            (Self::TimeOfDay(_), Value::Duration(length)) => self.read(&Value::Int(self.count_of_length(*length)?))?,
            (Self::Decimal { precision, scale }, value) => {
                let text = match value {
                    Value::Str(text) => text.clone(),
                    Value::BigInt(digits) => digits.clone().into(),
                    Value::Int(number) => number.to_string().into(),
                    // The shortest text that is this double and no other.
                    Value::Double(number) if number.is_finite() => number.to_string().into(),
                    _ => return None,
                };
                let text = decimal::scaled(&text, precision, scale)?;
                decimal::bytes(&text, size_of(carrier))?;
                Value::Str(text)
            }
            (Self::Uuid, Value::Str(text)) => Value::Str(uuid_text(uuid::Uuid::try_parse(text).ok()?)),
            (Self::Period, Value::Map(_)) => self.read(&Value::Bytes(period(value)?.to_vec().into()))?,
            _ => return None,
        })
    }

    /// The number that is written for a moment.
    pub(super) fn count_of_moment(self, moment: Timestamp) -> Option<i64> {
        let nanos = moment.as_nanosecond();
        let count = match self {
            Self::Date => nanos.div_euclid(86_400_000_000_000),
            Self::Moment(unit) => nanos.div_euclid(1_000_000_000 / unit.per_second()),
            _ => return None,
        };
        i64::try_from(count).ok()
    }

    /// The number that is written for a time since midnight.
    pub(super) fn count_of_length(self, length: SignedDuration) -> Option<i64> {
        let (Self::TimeOfDay(unit), nanos @ 0..86_400_000_000_000) = (self, length.as_nanos()) else { return None };
        i64::try_from(nanos / (1_000_000_000 / unit.per_second())).ok()
    }
}

/// The bytes of months, days and milliseconds.
pub(super) fn period(value: &Value) -> Option<[u8; 12]> {
    let map = value.as_map().filter(|map| map.len() == 3)?;
    let mut bytes = [0; 12];
    for (place, name) in ["months", "days", "milliseconds"].into_iter().enumerate() {
        let count = u32::try_from(map.get(name)?.as_int()?).ok()?;
        bytes[4 * place..4 * place + 4].copy_from_slice(&count.to_le_bytes());
    }
    Some(bytes)
}

/// Bytes of a `fixed`.
pub(super) fn size_of(carrier: &Shape) -> Option<usize> {
    match carrier {
        Shape::Fixed(_, size) => Some(*size),
        _ => None,
    }
}

/// A moment or a date as text.
fn moment_of(text: &str) -> Option<Timestamp> {
    let as_date = || read_timestamp(&format!("{text}T00:00:00Z")).filter(|_| text.len() == 10);
    read_timestamp(text).or_else(as_date)
}

//! Schemas as tables of shapes.

use super::decimal;
use crate::codec::{Error, Result};
use crate::record::{Map, Text, Value};
use apache_avro::schema::{Aliases, InnerDecimalSchema, Name, UuidSchema};
use jiff::{SignedDuration, Timestamp};
use rustc_hash::FxHashMap;
use serde_json::Value as Json;
use std::sync::Arc;

/// Most shapes of a schema, those that it refers to included.
const SHAPES_MAX: usize = 20_000;
/// Largest `fixed`.
const FIXED_MAX: usize = 16 << 20;

/// An Avro schema, compiled; cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    shapes: Vec<Shape>,
    root: usize,
}

/// What a value is made of. Parts are indexes into the table of the schema ([`Schema::shape`]).
#[derive(Debug)]
pub enum Shape {
    /// `null`
    Null,
    /// `boolean`
    Bool,
    /// `int`
    Int,
    /// `long`
    Long,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `bytes`
    Bytes,
    /// `string`
    Text,
    /// `fixed`
    Fixed(Named, usize),
    /// `enum`
    Enum {
        /// Its names.
        name: Named,
        /// Its symbols.
        symbols: Vec<Text>,
        /// What a reader takes for symbols that it does not know.
        default: Option<Text>,
    },
    /// `array`
    Array(usize),
    /// `map`
    Map(usize),
    /// A union.
    Union(Vec<usize>),
    /// `record`
    Record(Named, Vec<Field>),
    /// A logical type over a type that carries it.
    Logical(Logical, usize),
}

/// Names of a type.
#[derive(Clone, Debug)]
pub struct Named {
    /// With the namespace.
    pub full: Text,
    /// Former ones, with the namespace.
    pub aliases: Vec<Text>,
}

/// A field of a record.
#[derive(Debug)]
pub struct Field {
    /// Name.
    pub name: Text,
    /// Former names.
    pub aliases: Vec<Text>,
    /// Its shape.
    pub shape: usize,
    /// What stands for it where it is missing.
    pub default: Option<Value>,
}

/// What a number, text or bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    /// Days since 1970.
    Date,
    /// Time since midnight.
    TimeOfDay(Unit),
    /// A moment; also the `local-` ones, read as if they were of UTC.
    Moment(Unit),
    /// A number in decimal digits.
    Decimal {
        /// Digits in all.
        precision: usize,
        /// Digits behind the point.
        scale: usize,
    },
    /// A UUID.
    Uuid,
    /// Months, days and milliseconds.
    Period,
}

/// Of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A thousandth.
    Milli,
    /// A millionth.
    Micro,
    /// A billionth.
    Nano,
}

impl Unit {
    /// So many make a second.
    pub(super) fn per_second(self) -> i128 {
        match self {
            Self::Milli => 1_000,
            Self::Micro => 1_000_000,
            Self::Nano => 1_000_000_000,
        }
    }
}

impl Schema {
    /// Reads a schema; `references` are others that it names, each after those that it names itself.
    pub fn parse(text: &str, references: &[&str]) -> Result<Self> {
        let failed = |error: apache_avro::Error| Error::Schema { reason: error.to_string() };
        let (schema, others) = match references {
            [] => (apache_avro::Schema::parse_str(text).map_err(failed)?, Vec::new()),
            references => apache_avro::Schema::parse_str_with_list(text, references).map_err(failed)?,
        };
        let mut table = Table::default();
        for other in &others {
            table.shape(other)?;
        }
        let root = table.shape(&schema)?;
        table.fill_defaults()?;
        Ok(Self(Arc::new(Inner { shapes: table.shapes, root })))
    }

    /// The outermost shape.
    pub fn root(&self) -> usize {
        self.0.root
    }

    /// A shape by its index.
    pub fn shape(&self, at: usize) -> &Shape {
        &self.0.shapes[at]
    }

    /// The full name of the outermost type; `None` for those without one.
    pub fn name(&self) -> Option<&Text> {
        self.shape(self.root()).name().map(|name| &name.full)
    }

    /// May a value there be null?
    pub fn is_nullable(&self, at: usize) -> bool {
        match self.shape(at) {
            Shape::Null => true,
            Shape::Union(variants) => variants.iter().any(|at| matches!(self.shape(*at), Shape::Null)),
            _ => false,
        }
    }
}

impl Shape {
    /// The names, of a type that has some.
    pub(super) fn name(&self) -> Option<&Named> {
        match self {
            Self::Fixed(name, _) | Self::Enum { name, .. } | Self::Record(name, _) => Some(name),
            _ => None,
        }
    }

    /// For messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::Text => "string",
            Self::Fixed(..) => "fixed",
            Self::Enum { .. } => "enum",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(..) => "record",
            Self::Logical(logical, _) => logical.kind(),
        }
    }
}

impl Logical {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::TimeOfDay(_) => "time of day",
            Self::Moment(_) => "timestamp",
            Self::Decimal { .. } => "decimal",
            Self::Uuid => "uuid",
            Self::Period => "duration of months, days and milliseconds",
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "avro::Schema({:?})", self.name())
    }
}

#[derive(Default)]
struct Table {
    shapes: Vec<Shape>,
    named: FxHashMap<Text, usize>,
    /// Defaults as they are written, by record and field: their shapes may be known only at the end.
    defaults: Vec<(usize, usize, Json)>,
}

impl Table {
    fn add(&mut self, shape: Shape) -> Result<usize> {
        if self.shapes.len() >= SHAPES_MAX {
            return Err(unusable(format!("it has more than {SHAPES_MAX} parts")));
        }
        self.shapes.push(shape);
        Ok(self.shapes.len() - 1)
    }

    /// Nesting is bounded by the parser of the text.
    fn shape(&mut self, schema: &apache_avro::Schema) -> Result<usize> {
        use apache_avro::Schema as Theirs;
        match schema {
            Theirs::Null => self.add(Shape::Null),
            Theirs::Boolean => self.add(Shape::Bool),
            Theirs::Int => self.add(Shape::Int),
            Theirs::Long => self.add(Shape::Long),
            Theirs::Float => self.add(Shape::Float),
            Theirs::Double => self.add(Shape::Double),
            // A number that brings its scale along has no bounds that a schema could state: whoever wants it reads the bytes.
            Theirs::Bytes | Theirs::BigDecimal => self.add(Shape::Bytes),
            Theirs::String => self.add(Shape::Text),
            Theirs::Array(array) => {
                let items = self.shape(&array.items)?;
                self.add(Shape::Array(items))
            }
            Theirs::Map(map) => {
                let values = self.shape(&map.types)?;
                self.add(Shape::Map(values))
            }
            Theirs::Union(union) => {
                let variants = union.variants().iter().map(|variant| self.shape(variant)).collect::<Result<_>>()?;
                self.add(Shape::Union(variants))
            }
            Theirs::Record(record) => {
                let name = named(&record.name, &record.aliases);
                let at = self.add(Shape::Record(name.clone(), Vec::new()))?;
                self.define(name.full.clone(), at)?;
                let mut fields = Vec::with_capacity(record.fields.len());
                for (place, field) in record.fields.iter().enumerate() {
                    if let Some(default) = &field.default {
                        self.defaults.push((at, place, default.clone()));
                    }
                    let shape = self.shape(&field.schema)?;
                    let aliases = field.aliases.iter().map(Text::from).collect();
                    fields.push(Field { name: field.name.as_str().into(), aliases, shape, default: None });
                }
                self.shapes[at] = Shape::Record(name, fields);
                Ok(at)
            }
            Theirs::Enum(schema) => {
                let name = named(&schema.name, &schema.aliases);
                let symbols = schema.symbols.iter().map(Text::from).collect();
                let default = schema.default.as_ref().map(Text::from);
                let at = self.add(Shape::Enum { name: name.clone(), symbols, default })?;
                self.define(name.full, at)
            }
            Theirs::Fixed(fixed) => self.fixed(fixed),
            Theirs::Decimal(decimal) => {
                let inner = match &decimal.inner {
                    InnerDecimalSchema::Bytes => self.add(Shape::Bytes)?,
                    InnerDecimalSchema::Fixed(fixed) => self.fixed(fixed)?,
                };
                let logical = Logical::Decimal { precision: decimal.precision, scale: decimal.scale };
                if decimal.scale > decimal.precision || decimal.precision > decimal::DIGITS_MAX {
                    return Err(unusable(format!(
                        "a decimal of {} digits, {} of them behind the point",
                        decimal.precision, decimal.scale
                    )));
                }
                self.logical(logical, inner)
            }
            Theirs::Uuid(uuid) => {
                let inner = match uuid {
                    UuidSchema::String => self.add(Shape::Text)?,
                    UuidSchema::Bytes => self.add(Shape::Bytes)?,
                    UuidSchema::Fixed(fixed) => self.fixed(fixed)?,
                };
                self.logical(Logical::Uuid, inner)
            }
            Theirs::Duration(fixed) => {
                let inner = self.fixed(fixed)?;
                self.logical(Logical::Period, inner)
            }
            Theirs::Date => self.over(Logical::Date, Shape::Int),
            Theirs::TimeMillis => self.over(Logical::TimeOfDay(Unit::Milli), Shape::Int),
            Theirs::TimeMicros => self.over(Logical::TimeOfDay(Unit::Micro), Shape::Long),
            Theirs::TimestampMillis | Theirs::LocalTimestampMillis => self.over(Logical::Moment(Unit::Milli), Shape::Long),
            Theirs::TimestampMicros | Theirs::LocalTimestampMicros => self.over(Logical::Moment(Unit::Micro), Shape::Long),
            Theirs::TimestampNanos | Theirs::LocalTimestampNanos => self.over(Logical::Moment(Unit::Nano), Shape::Long),
            Theirs::Ref { name } => {
                let name = name.to_string();
                self.named.get(name.as_str()).copied().ok_or_else(|| unusable(format!("`{name}` is not defined")))
            }
        }
    }

    fn over(&mut self, logical: Logical, inner: Shape) -> Result<usize> {
        let inner = self.add(inner)?;
        self.add(Shape::Logical(logical, inner))
    }

    /// A logical type over a named one has its name: whoever names it again means both.
    fn logical(&mut self, logical: Logical, inner: usize) -> Result<usize> {
        let at = self.add(Shape::Logical(logical, inner))?;
        if let Shape::Fixed(name, _) = &self.shapes[inner] {
            self.named.insert(name.full.clone(), at);
        }
        Ok(at)
    }

    fn fixed(&mut self, fixed: &apache_avro::schema::FixedSchema) -> Result<usize> {
        if fixed.size > FIXED_MAX {
            return Err(unusable(format!("`{}` has {} bytes, {FIXED_MAX} are the most", fixed.name, fixed.size)));
        }
        let name = named(&fixed.name, &fixed.aliases);
        let at = self.add(Shape::Fixed(name.clone(), fixed.size))?;
        self.define(name.full, at)
    }

    fn define(&mut self, name: Text, at: usize) -> Result<usize> {
        if self.named.insert(name.clone(), at).is_some() {
            return Err(unusable(format!("`{name}` is defined twice")));
        }
        Ok(at)
    }

    fn fill_defaults(&mut self) -> Result<()> {
        for (record, place, default) in std::mem::take(&mut self.defaults) {
            let Shape::Record(_, fields) = &self.shapes[record] else { continue };
            let field = &fields[place];
            let value = self.default_of(field.shape, &default, 0);
            let value = value.ok_or_else(|| unusable(format!("the default of `{}` does not fit it", field.name)))?;
            let Shape::Record(_, fields) = &mut self.shapes[record] else { continue };
            fields[place].default = Some(value);
        }
        Ok(())
    }

    /// A default as the value that a reader finds.
    fn default_of(&self, at: usize, json: &Json, depth: usize) -> Option<Value> {
        if depth > super::DEPTH_MAX {
            return None;
        }
        Some(match (&self.shapes[at], json) {
            (Shape::Null, Json::Null) => Value::Null,
            (Shape::Bool, Json::Bool(truth)) => Value::Bool(*truth),
            (Shape::Int, Json::Number(number)) => Value::Int(number.as_i64().filter(|int| i32::try_from(*int).is_ok())?),
            (Shape::Long, Json::Number(number)) => Value::Int(number.as_i64()?),
            (Shape::Float | Shape::Double, Json::Number(number)) => Value::Double(number.as_f64()?),
            (Shape::Text, Json::String(text)) => Value::from(text.as_str()),
            (Shape::Bytes, Json::String(text)) => Value::Bytes(latin(text)?),
            (Shape::Fixed(_, size), Json::String(text)) => Value::Bytes(latin(text).filter(|bytes| bytes.len() == *size)?),
            (Shape::Enum { symbols, .. }, Json::String(symbol)) => {
                Value::Str(symbols.iter().find(|known| *known == symbol)?.clone())
            }
            (Shape::Array(items), Json::Array(list)) => {
                let items = list.iter().map(|item| self.default_of(*items, item, depth + 1));
                Value::list(items.collect::<Option<_>>()?)
            }
            (Shape::Map(values), Json::Object(map)) => {
                let entries = map.iter().map(|(key, value)| Some((key.into(), self.default_of(*values, value, depth + 1)?)));
                Value::Map(entries.collect::<Option<Map>>()?)
            }
            // Of a union it is one of the first variant; newer versions of Avro allow any.
            (Shape::Union(variants), json) => variants.iter().find_map(|variant| self.default_of(*variant, json, depth + 1))?,
            (Shape::Record(_, fields), Json::Object(map)) => {
                let entry = |field: &Field| {
                    let given = map.get(field.name.as_str());
                    let own =
                        || self.defaults_of(at, &field.name).and_then(|json| self.default_of(field.shape, json, depth + 1));
                    let value = match given {
                        Some(json) => self.default_of(field.shape, json, depth + 1),
                        None => field.default.clone().or_else(own),
                    };
                    Some((field.name.clone(), value?))
                };
                Value::Map(fields.iter().map(entry).collect::<Option<Map>>()?)
            }
            (Shape::Logical(logical, inner), json) => {
                let Shape::Logical(..) = self.shapes[*inner] else {
                    return logical.read(&self.default_of(*inner, json, depth + 1)?);
                };
                return None;
            }
            _ => return None,
        })
    }

    /// A default that has not been read yet.
    fn defaults_of(&self, record: usize, field: &Text) -> Option<&Json> {
        let Shape::Record(_, fields) = &self.shapes[record] else { return None };
        self.defaults.iter().find(|(at, place, _)| *at == record && fields[*place].name == *field).map(|(_, _, json)| json)
    }
}

impl Logical {
    /// The meaning of a value of the type that carries it.
    pub(super) fn read(self, carried: &Value) -> Option<Value> {
        Some(match (self, carried) {
            (Self::Date, Value::Int(days)) => Value::Timestamp(Timestamp::from_second(days.checked_mul(86_400)?).ok()?),
            (Self::TimeOfDay(unit), Value::Int(count)) => {
                let nanos = i128::from(*count) * (1_000_000_000 / unit.per_second());
                Value::Duration(SignedDuration::from_nanos(i64::try_from(nanos).ok()?))
            }
            (Self::Moment(unit), Value::Int(count)) => Value::Timestamp(match unit {
                Unit::Milli => Timestamp::from_millisecond(*count).ok()?,
                Unit::Micro => Timestamp::from_microsecond(*count).ok()?,
                Unit::Nano => Timestamp::from_nanosecond(i128::from(*count)).ok()?,
            }),
            (Self::Decimal { scale, .. }, Value::Bytes(bytes)) => Value::Str(decimal::text(bytes, scale)?),
            (Self::Uuid, Value::Str(text)) => Value::Str(uuid_text(uuid::Uuid::try_parse(text).ok()?)),
            (Self::Uuid, Value::Bytes(bytes)) => Value::Str(uuid_text(uuid::Uuid::from_slice(bytes).ok()?)),
            (Self::Period, Value::Bytes(bytes)) => {
                let part = |at: usize| {
                    let four = bytes.get(at..at + 4)?;
                    Some(Value::Int(u32::from_le_bytes(four.try_into().ok()?).into()))
                };
                let parts = [("days", part(4)?), ("milliseconds", part(8)?), ("months", part(0)?)];
                Value::Map(parts.into_iter().map(|(name, value)| (Text::new_static(name), value)).collect())
            }
            _ => return None,
        })
    }
}

pub(super) fn uuid_text(uuid: uuid::Uuid) -> Text {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    Text::new(uuid.hyphenated().encode_lower(&mut text))
}

/// Bytes of a default: each character is one.
fn latin(text: &str) -> Option<Arc<[u8]>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn named(name: &Name, aliases: &Aliases) -> Named {
    let aliases = aliases.iter().flatten().map(|alias| alias.fullname(name.namespace()).into()).collect();
    Named { full: name.to_string().into(), aliases }
}

fn unusable(reason: String) -> Error {
    Error::Schema { reason }
}

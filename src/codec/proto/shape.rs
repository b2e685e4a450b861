//! Schemas as tables of messages and fields.

use super::cursor::{Wire, index_bytes};
use super::files::siblings;
use super::known::Known;
use crate::codec::{Error, Result};
use crate::record::{Map, Text, Value};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value as Theirs};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Most fields and names of enums of a schema, those of all messages that it leads to.
const PARTS_MAX: usize = 20_000;

/// A message with all that it is made of; cheap to clone.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    table: Table,
    index: Vec<u8>,
}

/// What the messages of a schema are; the first is the schema's own.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its name with its package.
    pub name: Text,
    /// Its fields in the order of their names.
    pub fields: Vec<Field>,
    /// What it is by agreement.
    pub known: Option<Known>,
    /// Fields by number.
    pub(super) numbers: Vec<(u32, usize)>,
    /// Fields of which no two are set.
    pub(super) oneofs: Vec<Vec<usize>>,
}

/// A field.
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON.
    pub name: Text,
    /// Its number.
    pub number: u32,
    /// What it holds: of a list and a map, each of them.
    pub shape: Shape,
    /// How often, and what if it is not there.
    pub rule: Rule,
    /// What it is where it is not there.
    pub default: Option<Value>,
    /// The group of the message's fields of which no two are set.
    pub(super) oneof: Option<usize>,
}

/// How often a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Always: its default is not told from its absence.
    Implicit,
    /// It can be absent.
    Explicit,
    /// It must be there.
    Required,
    /// Any number of times.
    List {
        /// Is it written as one?
        packed: bool,
    },
    /// Any number of times, each under a key of this shape.
    Map(MapKey),
}

/// The key of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKey {
    /// Text.
    Text,
    /// A truth value.
    Bool,
    /// A number.
    Number(Shape),
}

/// What a value is made of; parts are indexes ([`Schema::message`], [`Schema::symbols`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `bool`
    Bool,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
    /// `sint32`
    Sint32,
    /// `sint64`
    Sint64,
    /// `fixed32`
    Fixed32,
    /// `fixed64`
    Fixed64,
    /// `sfixed32`
    Sfixed32,
    /// `sfixed64`
    Sfixed64,
    /// `float`
    Float,
    /// `double`
    Double,
    /// `string`
    Text,
    /// `bytes`
    Bytes,
    /// An enum.
    Enum(usize),
    /// A message.
    Message(usize),
    /// A message between two tags, of old.
    Group(usize),
}

/// An enum.
#[derive(Debug)]
pub(super) struct Enum {
    /// Its names in the order written.
    pub symbols: Vec<Text>,
    /// The first name of each number.
    pub(super) by_number: Vec<(i32, Text)>,
    pub(super) by_name: Vec<(Text, i32)>,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schema({})", self.name())
    }
}

impl Schema {
    pub(super) fn of(message: &MessageDescriptor) -> Result<Self> {
        let mut making =
            Making { table: Table::default(), messages: FxHashMap::default(), enums: FxHashMap::default(), parts: 0 };
        making.messages.insert(message.full_name().to_owned(), 0);
        let mut open = vec![message.clone()];
        // Each message brings further ones, which take their places in this order.
        let mut at = 0;
        while let Some(next) = open.get(at).cloned() {
            let made = making.message(&next, &mut open)?;
            making.table.messages.push(made);
            at += 1;
        }
        Ok(Self(Arc::new(Inner { table: making.table, index: index_bytes(&places(message)) })))
    }

    /// The full name of the message.
    pub fn name(&self) -> &Text {
        &self.0.table.messages[0].name
    }

    /// The place of the message in its file, as it stands in front of the message's bytes.
    pub fn index(&self) -> &[u8] {
        &self.0.index
    }

    /// A message by its index; that of 0 is the schema's own.
    pub fn message(&self, at: usize) -> &Message {
        &self.0.table.messages[at]
    }

    /// The names of an enum by its index.
    pub fn symbols(&self, at: usize) -> &[Text] {
        &self.0.table.enums[at].symbols
    }

    pub(super) fn table(&self) -> &Table {
        &self.0.table
    }
}

/// The way to a message in its file.
fn places(message: &MessageDescriptor) -> Vec<usize> {
    let mut way = Vec::new();
    let mut at = message.clone();
    loop {
        let outer = at.parent_message();
        let place = match &outer {
            Some(outer) => siblings(outer.child_messages()).position(|sibling| sibling == at),
            None => at.parent_file().messages().position(|sibling| sibling == at),
        };
        way.push(place.expect("a message is one of those where it is declared"));
        match outer {
            Some(outer) => at = outer,
            None => break,
        }
    }
    way.reverse();
    way
}

struct Making {
    table: Table,
    messages: FxHashMap<String, usize>,
    enums: FxHashMap<String, usize>,
    parts: usize,
}

impl Making {
    fn part(&mut self) -> Result<()> {
        self.parts += 1;
        match self.parts <= PARTS_MAX {
            true => Ok(()),
            false => Err(Error::Schema { reason: format!("it has more than {PARTS_MAX} fields and names") }),
        }
    }

    fn message(&mut self, message: &MessageDescriptor, open: &mut Vec<MessageDescriptor>) -> Result<Message> {
        let mut oneofs: Vec<String> = Vec::new();
        let mut fields = Vec::new();
        for field in message.fields() {
            self.part()?;
            let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| {
                let known = oneofs.iter().position(|name| name == oneof.name());
                known.unwrap_or_else(|| {
                    oneofs.push(oneof.name().to_owned());
                    oneofs.len() - 1
                })
            });
            fields.push(self.field(&field, oneof, open)?);
        }
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = fields.windows(2).find(|pair| pair[0].name == pair[1].name) {
            let reason = format!("two fields of `{}` have the JSON name `{}`", message.full_name(), pair[0].name);
            return Err(Error::Schema { reason });
        }
        let mut numbers: Vec<(u32, usize)> = fields.iter().enumerate().map(|(place, field)| (field.number, place)).collect();
        numbers.sort_unstable();
        let of = |oneof| (0..fields.len()).filter(|place| fields[*place].oneof == Some(oneof)).collect();
        let oneofs = (0..oneofs.len()).map(of).collect();
        let known = Known::of(message.full_name(), &fields);
        Ok(Message { name: message.full_name().into(), fields, known, numbers, oneofs })
    }

    fn field(&mut self, field: &FieldDescriptor, oneof: Option<usize>, open: &mut Vec<MessageDescriptor>) -> Result<Field> {
        let (shape, rule) = match field.kind() {
            Kind::Message(entry) if field.is_map() => {
                let key = match self.shape(&entry.map_entry_key_field(), open)? {
                    Shape::Text => MapKey::Text,
                    Shape::Bool => MapKey::Bool,
                    number => MapKey::Number(number),
                };
                (self.shape(&entry.map_entry_value_field(), open)?, Rule::Map(key))
            }
            _ => {
                let rule = match field {
                    field if field.is_list() => Rule::List { packed: field.is_packed() },
                    field if field.cardinality() == prost_reflect::Cardinality::Required => Rule::Required,
                    field if field.supports_presence() => Rule::Explicit,
                    _ => Rule::Implicit,
                };
                (self.shape(field, open)?, rule)
            }
        };
        let default = match rule {
            Rule::List { .. } => Some(Value::list(Vec::new())),
            Rule::Map(_) => Some(Value::Map(Map::new())),
            Rule::Required => None,
            Rule::Implicit => Some(self.default(shape, &field.default_value())),
            Rule::Explicit => {
                let declared = field.field_descriptor_proto().default_value.is_some();
                declared.then(|| self.default(shape, &field.default_value()))
            }
        };
        Ok(Field { name: field.json_name().into(), number: field.number(), shape, rule, default, oneof })
    }

    fn default(&self, shape: Shape, theirs: &Theirs) -> Value {
        match (theirs, shape) {
            (Theirs::Bool(truth), _) => Value::Bool(*truth),
            (Theirs::I32(number), _) => Value::Int((*number).into()),
            (Theirs::I64(number), _) => Value::Int(*number),
            (Theirs::U32(number), _) => Value::Int((*number).into()),
            (Theirs::U64(number), _) => unsigned(*number),
            (Theirs::F32(number), _) => Value::Double((*number).into()),
            (Theirs::F64(number), _) => Value::Double(*number),
            (Theirs::String(text), _) => Value::from(text.as_str()),
            (Theirs::Bytes(bytes), _) => Value::Bytes(bytes[..].into()),
            (Theirs::EnumNumber(number), Shape::Enum(at)) => Value::Str(self.table.enums[at].name_of(*number)),
            _ => Value::Null,
        }
    }

    fn shape(&mut self, field: &FieldDescriptor, open: &mut Vec<MessageDescriptor>) -> Result<Shape> {
        Ok(match field.kind() {
            Kind::Double => Shape::Double,
            Kind::Float => Shape::Float,
            Kind::Int32 => Shape::Int32,
            Kind::Int64 => Shape::Int64,
            Kind::Uint32 => Shape::Uint32,
            Kind::Uint64 => Shape::Uint64,
            Kind::Sint32 => Shape::Sint32,
            Kind::Sint64 => Shape::Sint64,
            Kind::Fixed32 => Shape::Fixed32,
            Kind::Fixed64 => Shape::Fixed64,
            Kind::Sfixed32 => Shape::Sfixed32,
            Kind::Sfixed64 => Shape::Sfixed64,
            Kind::Bool => Shape::Bool,
            Kind::String => Shape::Text,
            Kind::Bytes => Shape::Bytes,
            Kind::Enum(symbols) => Shape::Enum(self.symbols(&symbols)?),
            Kind::Message(message) => {
                let at = match self.messages.get(message.full_name()) {
                    Some(at) => *at,
                    None => {
                        self.messages.insert(message.full_name().to_owned(), open.len());
                        open.push(message);
                        open.len() - 1
                    }
                };
                if field.is_group() { Shape::Group(at) } else { Shape::Message(at) }
            }
        })
    }

    fn symbols(&mut self, symbols: &EnumDescriptor) -> Result<usize> {
        if let Some(at) = self.enums.get(symbols.full_name()) {
            return Ok(*at);
        }
        let mut made = Enum { symbols: Vec::new(), by_number: Vec::new(), by_name: Vec::new() };
        // As declared: of several names of a number the first stands for it.
        for symbol in &symbols.enum_descriptor_proto().value {
            self.part()?;
            let (name, number) = (Text::from(symbol.name()), symbol.number());
            made.symbols.push(name.clone());
            made.by_number.push((number, name.clone()));
            made.by_name.push((name, number));
        }
        made.by_number.sort_by_key(|(number, _)| *number);
        made.by_number.dedup_by_key(|(number, _)| *number);
        made.by_name.sort();
        self.table.enums.push(made);
        self.enums.insert(symbols.full_name().to_owned(), self.table.enums.len() - 1);
        Ok(self.table.enums.len() - 1)
    }
}

/// An integer without a sign; those beyond our integers keep their digits.
pub(super) fn unsigned(number: u64) -> Value {
    i64::try_from(number).map_or_else(|_| Value::BigInt(number.to_string().into()), Value::Int)
}

impl Message {
    /// The place of a field.
    pub(super) fn place(&self, number: u32) -> Option<usize> {
        let at = self.numbers.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(self.numbers[at].1)
    }

    /// The place of a field by its name.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.fields.binary_search_by(|field| field.name.as_str().cmp(name)).ok()
    }
}

impl Enum {
    /// The name of a number, or its digits where it has none.
    pub(super) fn name_of(&self, number: i32) -> Text {
        match self.by_number.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => self.by_number[at].1.clone(),
            Err(_) => number.to_string().into(),
        }
    }

    /// The number of a name, or of digits.
    pub(super) fn number_of(&self, name: &str) -> Option<i32> {
        match self.by_name.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
            Ok(at) => Some(self.by_name[at].1),
            Err(_) => name.parse().ok().filter(|number: &i32| number.to_string() == name),
        }
    }
}

impl Shape {
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Bool | Self::Int32 | Self::Int64 | Self::Uint32 | Self::Uint64 => Wire::Varint,
            Self::Sint32 | Self::Sint64 | Self::Enum(_) => Wire::Varint,
            Self::Fixed64 | Self::Sfixed64 | Self::Double => Wire::Eight,
            Self::Fixed32 | Self::Sfixed32 | Self::Float => Wire::Four,
            Self::Text | Self::Bytes | Self::Message(_) => Wire::Sized,
            Self::Group(_) => Wire::Start,
        }
    }

    /// For messages.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Float => "float",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Enum(_) => "enum",
            Self::Message(_) | Self::Group(_) => "message",
        }
    }
}

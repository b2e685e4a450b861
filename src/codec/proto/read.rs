//! From bytes to values, along a schema.
//!
//! What stands twice holds as it was written last; of messages the parts are put together, and of a `oneof` only the last holds.
//! What the schema does not know, or has in another form, is passed over, as everybody who speaks Protobuf does.

use super::cursor::{Cursor, Wire, unzigzag};
use super::shape::{Field, MapKey, Message, Rule, Table, unsigned};
use super::{DEPTH_MAX, Schema, Shape};
use crate::record::{Map, Text, Value};

/// Values that a record may ask for without bytes of its own: defaults of messages.
const FREE_VALUES: usize = 100_000;
/// Further ones per byte.
const VALUES_PER_BYTE: usize = 8;

impl Schema {
    /// Reads a message, which all the bytes are of. The error says what is wrong, and at which byte, without content.
    pub fn read(&self, bytes: &[u8]) -> Result<Value, String> {
        let values = FREE_VALUES + VALUES_PER_BYTE * bytes.len();
        let mut reading = Reading { table: self.table(), cursor: Cursor::new(bytes), values };
        reading.whole().map_err(|why| format!("byte {}: {why}", reading.cursor.at()))
    }
}

struct Reading<'a> {
    table: &'a Table,
    cursor: Cursor<'a>,
    /// How many more values may be made.
    values: usize,
}

/// What was read of a field so far.
enum Slot {
    Empty,
    One(Value),
    Many(Vec<Value>),
    Entries(Vec<(Text, Value)>),
    /// A message of which more may follow.
    Part(Slots),
}

/// What was read of a message so far, by the places of its fields.
type Slots = Vec<Slot>;

impl<'a> Reading<'a> {
    fn whole(&mut self) -> Result<Value, String> {
        let table = self.table;
        let mut slots = self.empty(&table.messages[0])?;
        self.fields(&table.messages[0], &mut slots, None, 0)?;
        self.value(&table.messages[0], slots)
    }

    fn empty(&mut self, message: &Message) -> Result<Slots, String> {
        self.spend(1 + message.fields.len())?;
        Ok(message.fields.iter().map(|_| Slot::Empty).collect())
    }

    /// The fields of a message up to the end of its bytes, or of its group.
    fn fields(&mut self, message: &'a Message, slots: &mut Slots, group: Option<u32>, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested more than {DEPTH_MAX} deep"));
        }
        while !self.cursor.is_at_end() {
            let (number, wire) = self.cursor.tag()?;
            if wire == Wire::End && group == Some(number) {
                return Ok(());
            }
            match message.place(number).filter(|place| message.fields[*place].is_written_as(wire)) {
                Some(place) => self.field(message, place, wire, slots, depth)?,
                None => self.cursor.pass(number, wire, depth)?,
            }
        }
        match group {
            None => Ok(()),
            Some(_) => Err("the bytes end within a group".into()),
        }
    }

    fn field(&mut self, message: &'a Message, place: usize, wire: Wire, slots: &mut Slots, depth: usize) -> Result<(), String> {
        let field = &message.fields[place];
        if let Some(oneof) = field.oneof {
            for other in message.oneofs[oneof].iter().filter(|other| **other != place) {
                slots[*other] = Slot::Empty;
            }
        }
        match field.rule {
            Rule::Implicit | Rule::Explicit | Rule::Required => {
                self.single(field.shape, field.number, &mut slots[place], depth + 1)
            }
            Rule::List { .. } => {
                if !matches!(slots[place], Slot::Many(_)) {
                    slots[place] = Slot::Many(Vec::new());
                }
                let Slot::Many(list) = &mut slots[place] else { unreachable!("it was just made one") };
                if wire == Wire::Sized && field.shape.wire() != Wire::Sized {
                    let outer = self.cursor.narrow()?;
                    while !self.cursor.is_at_end() {
                        self.spend(1)?;
                        list.push(self.scalar(field.shape)?);
                    }
                    self.cursor.widen(outer);
                    return Ok(());
                }
                self.spend(1)?;
                list.push(self.item(field, depth + 2)?);
                Ok(())
            }
            Rule::Map(key) => {
                if !matches!(slots[place], Slot::Entries(_)) {
                    slots[place] = Slot::Entries(Vec::new());
                }
                let entry = self.entry(key, field, depth + 2)?;
                let Slot::Entries(entries) = &mut slots[place] else { unreachable!("it was just made one") };
                entries.push(entry);
                Ok(())
            }
        }
    }

    /// A value of which only the last holds.
    fn single(&mut self, shape: Shape, number: u32, slot: &mut Slot, depth: usize) -> Result<(), String> {
        let table = self.table;
        let (Shape::Message(at) | Shape::Group(at)) = shape else {
            *slot = Slot::One(self.scalar(shape)?);
            return Ok(());
        };
        if !matches!(slot, Slot::Part(_)) {
            *slot = Slot::Part(self.empty(&table.messages[at])?);
        }
        let Slot::Part(slots) = slot else { unreachable!("it was just made one") };
        self.message(shape, at, number, slots, depth)
    }

    fn message(&mut self, shape: Shape, at: usize, number: u32, slots: &mut Slots, depth: usize) -> Result<(), String> {
        let message = &self.table.messages[at];
        if let Shape::Group(_) = shape {
            return self.fields(message, slots, Some(number), depth);
        }
        let outer = self.cursor.narrow()?;
        self.fields(message, slots, None, depth)?;
        self.cursor.widen(outer);
        Ok(())
    }

    /// One of a list.
    fn item(&mut self, field: &Field, depth: usize) -> Result<Value, String> {
        let mut slot = Slot::Empty;
        self.single(field.shape, field.number, &mut slot, depth)?;
        self.filled(field.shape, slot)
    }

    /// One of a map: a message of a key and a value, which are their defaults where they are missing.
    fn entry(&mut self, key: MapKey, field: &Field, depth: usize) -> Result<(Text, Value), String> {
        let table = self.table;
        self.spend(1)?;
        let outer = self.cursor.narrow()?;
        let (mut name, mut slot) = (None, Slot::Empty);
        while !self.cursor.is_at_end() {
            match self.cursor.tag()? {
                (1, wire) if wire == key.wire() => name = Some(self.key(key)?),
                (2, wire) if wire == field.shape.wire() => self.single(field.shape, 2, &mut slot, depth)?,
                (number, wire) => self.cursor.pass(number, wire, depth)?,
            }
        }
        self.cursor.widen(outer);
        if let (Slot::Empty, Shape::Message(at)) = (&slot, field.shape) {
            slot = Slot::Part(self.empty(&table.messages[at])?);
        }
        let value = match slot {
            Slot::Empty => table.absent(field.shape),
            slot => self.filled(field.shape, slot)?,
        };
        Ok((name.unwrap_or_else(|| key.default()), value))
    }

    fn key(&mut self, key: MapKey) -> Result<Text, String> {
        Ok(match key {
            MapKey::Text => Text::new(self.cursor.text()?),
            MapKey::Bool => Text::new_static(if self.cursor.varint()? == 0 { "false" } else { "true" }),
            MapKey::Number(shape) => match self.scalar(shape)? {
                Value::Int(number) => number.to_string().into(),
                Value::BigInt(digits) => digits.into(),
                other => return Err(format!("a {} is no key", other.kind())),
            },
        })
    }

    fn scalar(&mut self, shape: Shape) -> Result<Value, String> {
        let cursor = &mut self.cursor;
        Ok(match shape {
            Shape::Bool => Value::Bool(cursor.varint()? != 0),
            // Of more than 32 bits the lower ones count.
            Shape::Int32 => Value::Int((cursor.varint()? as i32).into()),
            Shape::Uint32 => Value::Int((cursor.varint()? as u32).into()),
            Shape::Sint32 => Value::Int(unzigzag((cursor.varint()? as u32).into())),
            Shape::Int64 => Value::Int(cursor.varint()?.cast_signed()),
            Shape::Uint64 => unsigned(cursor.varint()?),
            Shape::Sint64 => Value::Int(unzigzag(cursor.varint()?)),
            Shape::Fixed32 => Value::Int(u32::from_le_bytes(cursor.array()?).into()),
            Shape::Sfixed32 => Value::Int(i32::from_le_bytes(cursor.array()?).into()),
            Shape::Fixed64 => unsigned(u64::from_le_bytes(cursor.array()?)),
            Shape::Sfixed64 => Value::Int(i64::from_le_bytes(cursor.array()?)),
            Shape::Float => Value::Double(f32::from_le_bytes(cursor.array()?).into()),
            Shape::Double => Value::Double(f64::from_le_bytes(cursor.array()?)),
            Shape::Text => Value::Str(Text::new(cursor.text()?)),
            Shape::Bytes => Value::Bytes(cursor.sized()?.into()),
            Shape::Enum(at) => Value::Str(self.table.enums[at].name_of(cursor.varint()? as i32)),
            Shape::Message(_) | Shape::Group(_) => unreachable!("messages have a road of their own"),
        })
    }

    /// The value of a message of which all was read.
    fn value(&self, message: &Message, slots: Slots) -> Result<Value, String> {
        let mut entries = Vec::with_capacity(slots.len());
        for (field, slot) in message.fields.iter().zip(slots) {
            let value = match slot {
                Slot::Empty if field.rule == Rule::Required => {
                    return Err(format!("`{}` has no `{}`, which is required", message.name, field.name));
                }
                Slot::Empty => match &field.default {
                    Some(default) => default.clone(),
                    None => continue,
                },
                slot => self.filled(field.shape, slot)?,
            };
            entries.push((field.name.clone(), value));
        }
        // The fields are in the order of their names.
        let fields = Map::from_entries(entries);
        match message.known {
            None => Ok(Value::Map(fields)),
            Some(known) => known.folded(&fields).ok_or_else(|| format!("no {}", known.kind())),
        }
    }

    fn filled(&self, shape: Shape, slot: Slot) -> Result<Value, String> {
        match (slot, shape) {
            (Slot::One(value), _) => Ok(value),
            (Slot::Many(list), _) => Ok(Value::list(list)),
            (Slot::Entries(entries), _) => Ok(Value::Map(Map::from_entries(entries))),
            (Slot::Part(slots), Shape::Message(at) | Shape::Group(at)) => self.value(&self.table.messages[at], slots),
            (Slot::Part(_) | Slot::Empty, _) => unreachable!("parts are of messages, and what is empty has a default"),
        }
    }

    fn spend(&mut self, values: usize) -> Result<(), String> {
        self.values = self.values.checked_sub(values).ok_or("more values than a record of this size may have")?;
        Ok(())
    }
}

impl Field {
    /// Is this how the field is written, or may be?
    fn is_written_as(&self, wire: Wire) -> bool {
        match self.rule {
            Rule::Map(_) => wire == Wire::Sized,
            // Numbers of a list are read one by one and as one, whatever the schema says of it.
            Rule::List { .. } => wire == self.shape.wire() || (wire == Wire::Sized && self.shape.is_number()),
            _ => wire == self.shape.wire(),
        }
    }
}

impl Shape {
    /// May several of it be written as one?
    pub(super) fn is_number(self) -> bool {
        matches!(self.wire(), Wire::Varint | Wire::Eight | Wire::Four)
    }
}

impl MapKey {
    pub(super) fn wire(self) -> Wire {
        match self {
            Self::Text => Wire::Sized,
            Self::Bool => Wire::Varint,
            Self::Number(shape) => shape.wire(),
        }
    }

    fn default(self) -> Text {
        Text::new_static(match self {
            Self::Text => "",
            Self::Bool => "false",
            Self::Number(_) => "0",
        })
    }
}

impl Table {
    /// What a value of a shape without parts is where it is not there.
    fn absent(&self, shape: Shape) -> Value {
        match shape {
            Shape::Bool => Value::Bool(false),
            Shape::Float | Shape::Double => Value::Double(0.0),
            Shape::Text => Value::from(""),
            Shape::Bytes => Value::Bytes([].into()),
            Shape::Enum(at) => Value::Str(self.enums[at].symbols.first().cloned().unwrap_or_default()),
            Shape::Message(_) | Shape::Group(_) => Value::Null,
            _ => Value::Int(0),
        }
    }
}

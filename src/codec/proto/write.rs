//! From accepted values to bytes.
//!
//! Fields are written in the order of their numbers and entries of maps in that of their keys, so equal values have equal bytes.

use super::cursor::{Wire, put_sized, put_tag, put_varint, zigzag};
use super::shape::{Field, MapKey, Message, Rule, Table};
use super::{Schema, Shape};
use crate::codec::fit::Path;
use crate::record::Value;

impl Schema {
    /// Appends the bytes of a value that was accepted ([`Schema::accept`]); of another one, an error says where it does not fit,
    /// and what was appended is of no use.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        self.table().message(&self.table().messages[0], value, &Path::Root, out)
    }
}

impl Table {
    fn message(&self, message: &Message, value: &Value, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let unfolded;
        let fields = match (message.known, value) {
            (None, Value::Map(fields)) => fields,
            (None, other) => return Err(path.says(format_args!("a {} was not accepted as a message", other.kind()))),
            (Some(known), value) => {
                let misfit = || path.says(format_args!("a {} was not accepted as a {}", value.kind(), known.kind()));
                unfolded = known.unfolded(value).ok_or_else(misfit)?;
                &unfolded
            }
        };
        for (_, place) in &message.numbers {
            let field = &message.fields[*place];
            let path = Path::Field(path, &field.name);
            match fields.get(&field.name) {
                Some(value) => self.field(field, value, &path, out)?,
                None if field.rule == Rule::Required => return Err(path.says("the field is missing")),
                None => {}
            }
        }
        Ok(())
    }

    fn field(&self, field: &Field, value: &Value, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        match (field.rule, value) {
            (Rule::Implicit, value) if field.default.as_ref().is_some_and(|default| is_same(default, value)) => Ok(()),
            (Rule::Implicit | Rule::Explicit | Rule::Required, value) => {
                self.tagged(field.shape, field.number, value, path, out)
            }
            (Rule::List { .. }, Value::List(list)) if list.is_empty() => Ok(()),
            (Rule::List { packed: true }, Value::List(list)) => {
                put_tag(field.number, Wire::Sized, out);
                put_sized(out, |out| {
                    let mut each = list.iter().enumerate();
                    each.try_for_each(|(index, item)| self.scalar(field.shape, item, &Path::Item(path, index), out))
                })
            }
            (Rule::List { packed: false }, Value::List(list)) => {
                let mut each = list.iter().enumerate();
                each.try_for_each(|(index, item)| self.tagged(field.shape, field.number, item, &Path::Item(path, index), out))
            }
            (Rule::Map(key), Value::Map(map)) => map.iter().try_for_each(|(name, value)| {
                let path = Path::Field(path, name);
                put_tag(field.number, Wire::Sized, out);
                put_sized(out, |out| {
                    self.key(key, name, &path, out)?;
                    self.tagged(field.shape, 2, value, &path, out)
                })
            }),
            (_, other) => Err(path.says(format_args!("a {} was not accepted as a list or map", other.kind()))),
        }
    }

    fn key(&self, key: MapKey, name: &str, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let value = key.value(name).ok_or_else(|| path.says("the key was not accepted"))?;
        let shape = match key {
            MapKey::Text => Shape::Text,
            MapKey::Bool => Shape::Bool,
            MapKey::Number(shape) => shape,
        };
        self.tagged(shape, 1, &value, path, out)
    }

    fn tagged(&self, shape: Shape, number: u32, value: &Value, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        put_tag(number, shape.wire(), out);
        match shape {
            Shape::Message(at) => put_sized(out, |out| self.message(&self.messages[at], value, path, out)),
            Shape::Group(at) => {
                self.message(&self.messages[at], value, path, out)?;
                put_tag(number, Wire::End, out);
                Ok(())
            }
            shape => self.scalar(shape, value, path, out),
        }
    }

    fn scalar(&self, shape: Shape, value: &Value, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let misfit = || path.says(format_args!("a {} was not accepted as {}", value.kind(), shape.kind()));
        match (shape, value) {
            (Shape::Bool, Value::Bool(truth)) => out.push(u8::from(*truth)),
            // Negative ones have ten bytes, as those of 64 bits.
            (Shape::Int32 | Shape::Int64 | Shape::Uint32 | Shape::Uint64, Value::Int(number)) => {
                put_varint(number.cast_unsigned(), out);
            }
            (Shape::Uint64, Value::BigInt(digits)) => put_varint(digits.parse().map_err(|_| misfit())?, out),
            (Shape::Sint32 | Shape::Sint64, Value::Int(number)) => put_varint(zigzag(*number), out),
            (Shape::Fixed32 | Shape::Sfixed32, Value::Int(number)) => out.extend_from_slice(&number.to_le_bytes()[..4]),
            (Shape::Fixed64 | Shape::Sfixed64, Value::Int(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (Shape::Fixed64, Value::BigInt(digits)) => {
                let number: u64 = digits.parse().map_err(|_| misfit())?;
                out.extend_from_slice(&number.to_le_bytes());
            }
            (Shape::Float, Value::Double(number)) => out.extend_from_slice(&(*number as f32).to_le_bytes()),
            (Shape::Double, Value::Double(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (Shape::Text, Value::Str(text)) => put_bytes(text.as_bytes(), out),
            (Shape::Bytes, Value::Bytes(bytes)) => put_bytes(bytes, out),
            (Shape::Enum(at), Value::Str(name)) => {
                let number = self.enums[at].number_of(name).ok_or_else(misfit)?;
                put_varint(i64::from(number).cast_unsigned(), out);
            }
            _ => return Err(misfit()),
        }
        Ok(())
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// To the bit: −0.0 is not the default that 0.0 is.
fn is_same(default: &Value, value: &Value) -> bool {
    match (default, value) {
        (Value::Double(default), Value::Double(value)) => default.to_bits() == value.to_bits(),
        (default, value) => default == value,
    }
}

//! From accepted values to bytes.

use super::accept::{period, size_of};
use super::{Logical, Schema, Shape, decimal};
use crate::codec::fit::Path;
use crate::codec::varint;
use crate::record::Value;

impl Schema {
    /// Appends the bytes of a value that was accepted ([`Schema::accept`]); of another one, an error says where it does not fit,
    /// and what was appended is of no use.
    pub fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), String> {
        self.put(self.root(), value, &Path::Root, out)
    }

    fn put(&self, at: usize, value: &Value, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let shape = self.shape(at);
        let misfit = || path.says(format_args!("a {} was not accepted as {}", value.kind(), shape.kind()));
        match (shape, value) {
            (Shape::Null, Value::Null) => {}
            (Shape::Bool, Value::Bool(truth)) => out.push(u8::from(*truth)),
            (Shape::Int | Shape::Long, Value::Int(number)) => put_long(*number, out),
            (Shape::Float, Value::Double(number)) => out.extend_from_slice(&(*number as f32).to_le_bytes()),
            (Shape::Double, Value::Double(number)) => out.extend_from_slice(&number.to_le_bytes()),
            (Shape::Bytes, Value::Bytes(bytes)) => put_bytes(bytes, out),
            (Shape::Text, Value::Str(text)) => put_bytes(text.as_bytes(), out),
            (Shape::Fixed(_, size), Value::Bytes(bytes)) if bytes.len() == *size => out.extend_from_slice(bytes),
            (Shape::Enum { symbols, .. }, Value::Str(text)) => {
                let place = symbols.iter().position(|symbol| symbol == text).ok_or_else(misfit)?;
                put_count(place, out);
            }
            (Shape::Array(items), Value::List(list)) => {
                if !list.is_empty() {
                    put_count(list.len(), out);
                    for (index, item) in list.iter().enumerate() {
                        self.put(*items, item, &Path::Item(path, index), out)?;
                    }
                }
                out.push(0);
            }
            (Shape::Map(values), Value::Map(map)) => {
                if !map.is_empty() {
                    put_count(map.len(), out);
                    for (name, value) in map.iter() {
                        put_bytes(name.as_bytes(), out);
                        self.put(*values, value, &Path::Field(path, name), out)?;
                    }
                }
                out.push(0);
            }
            (Shape::Union(variants), value) => return self.put_variant(variants, value, path, out),
            (Shape::Record(_, fields), Value::Map(map)) => {
                for field in fields {
                    let path = Path::Field(path, &field.name);
                    let value = map.get(&field.name).ok_or_else(|| path.says("the field is missing"))?;
                    self.put(field.shape, value, &path, out)?;
                }
            }
            (Shape::Logical(logical, inner), value) => {
                put_logical(*logical, self.shape(*inner), value, out).ok_or_else(misfit)?;
            }
            _ => return Err(misfit()),
        }
        Ok(())
    }

    fn put_variant(&self, variants: &[usize], value: &Value, path: &Path<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let start = out.len();
        for variant in self.candidates(variants, value) {
            let place = variants.iter().position(|at| *at == variant).expect("a candidate is one of them");
            put_count(place, out);
            match self.put(variant, value, path, out) {
                Ok(()) => return Ok(()),
                Err(_) => out.truncate(start),
            }
        }
        Err(path.says(format_args!("a {} was accepted by no variant of the union", value.kind())))
    }
}

fn put_logical(logical: Logical, carrier: &Shape, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match (logical, value) {
        (Logical::Date | Logical::Moment(_), Value::Timestamp(moment)) => put_long(logical.count_of_moment(*moment)?, out),
        (Logical::TimeOfDay(_), Value::Duration(length)) => put_long(logical.count_of_length(*length)?, out),
        (Logical::Decimal { precision, scale }, Value::Str(text)) => {
            // Whoever passes a value by another way than `accept` must not write other digits than it has.
            let text = decimal::scaled(text, precision, scale)?;
            put_carried(&decimal::bytes(&text, size_of(carrier))?, carrier, out);
        }
        (Logical::Uuid, Value::Str(text)) => match carrier {
            Shape::Text => put_bytes(text.as_bytes(), out),
            carrier => put_carried(uuid::Uuid::try_parse(text).ok()?.as_bytes(), carrier, out),
        },
        (Logical::Period, value) => out.extend_from_slice(&period(value)?),
        _ => return None,
    }
    Some(())
}

fn put_carried(bytes: &[u8], carrier: &Shape, out: &mut Vec<u8>) {
    match carrier {
        Shape::Fixed(..) => out.extend_from_slice(bytes),
        _ => put_bytes(bytes, out),
    }
}

/// Zigzag, seven bits a byte.
pub(super) fn put_long(number: i64, out: &mut Vec<u8>) {
    varint::put(varint::zigzag(number), out);
}

fn put_count(count: usize, out: &mut Vec<u8>) {
    put_long(i64::try_from(count).expect("what is in memory can be counted"), out);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_count(bytes.len(), out);
    out.extend_from_slice(bytes);
}

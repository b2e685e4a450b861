//! Avro schemas: what do expressions know of a value that one reads, and of one that it writes?

use crate::codec::avro::{Logical, Schema, Shape};
use crate::expr::{Field, Object, Type};

/// Deepest type taken from a schema; below it anything goes.
const DEPTH_MAX: usize = 24;
/// Most parts of a type, those that stand in several places repeated.
const PARTS_MAX: usize = 5_000;

/// The type of values that were read: every field is there.
pub(super) fn read_type(schema: &Schema) -> Type {
    Reading { schema, parts: 0, written: false }.shape(schema.root(), 0)
}

/// The type of values that may be written: what has a default, or may be null, may be missing.
pub(super) fn written_type(schema: &Schema) -> Type {
    Reading { schema, parts: 0, written: true }.shape(schema.root(), 0)
}

struct Reading<'a> {
    schema: &'a Schema,
    parts: usize,
    written: bool,
}

impl Reading<'_> {
    fn shape(&mut self, at: usize, depth: usize) -> Type {
        self.parts += 1;
        if depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return Type::Any;
        }
        match self.schema.shape(at) {
            Shape::Null => Type::Null,
            Shape::Bool => Type::Bool,
            Shape::Int | Shape::Long => Type::Int,
            Shape::Float | Shape::Double => Type::Double,
            Shape::Bytes | Shape::Fixed(..) => Type::Bytes,
            Shape::Text | Shape::Enum { .. } => Type::String,
            Shape::Array(items) => Type::list(self.shape(*items, depth + 1)),
            Shape::Map(values) => Type::map(self.shape(*values, depth + 1)),
            Shape::Union(variants) => {
                let types: Vec<Type> = variants.iter().map(|variant| self.shape(*variant, depth + 1)).collect();
                Type::join_all(types)
            }
            Shape::Record(_, fields) => {
                let mut object = Object::closed();
                for field in fields {
                    let may_miss = self.written && (field.default.is_some() || self.schema.is_nullable(field.shape));
                    let ty = self.shape(field.shape, depth + 1);
                    object.fields.insert(field.name.clone(), Field { ty, required: !may_miss });
                }
                object.into()
            }
            Shape::Logical(logical, _) => match logical {
                Logical::Date | Logical::Moment(_) => Type::Timestamp,
                Logical::TimeOfDay(_) => Type::Duration,
                // Numbers are taken too, where all their digits have room.
                Logical::Decimal { .. } if self.written => Type::Any,
                Logical::Decimal { .. } | Logical::Uuid => Type::String,
                Logical::Period => ["months", "days", "milliseconds"]
                    .iter()
                    .fold(Object::closed(), |object, name| object.with(name, Type::Int))
                    .into(),
            },
        }
    }
}

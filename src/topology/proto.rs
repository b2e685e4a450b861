//! Protobuf schemas: what do expressions know of a message that one reads, and of one that it writes? And what is such a message in
//! the words of JSON Schema, in which definitions are compared?

use crate::codec::proto::{Field as Declared, Known, MapKey, Rule, Schema, Shape};
use crate::expr::{Field, Object, Type};
use crate::record::Text;
use serde_json::{Map, Value as Json, json};

/// Deepest type taken from a schema; below it anything goes.
const DEPTH_MAX: usize = 24;
/// Most parts of a type, those that stand in several places repeated.
const PARTS_MAX: usize = 5_000;

/// The type of messages that were read: what has a default is there.
pub(super) fn read_type(schema: &Schema) -> Type {
    Reading { schema, parts: 0, written: false }.message(0, 0)
}

/// The type of messages that may be written: all but what is required may be missing.
pub(super) fn written_type(schema: &Schema) -> Type {
    Reading { schema, parts: 0, written: true }.message(0, 0)
}

struct Reading<'a> {
    schema: &'a Schema,
    parts: usize,
    written: bool,
}

impl Reading<'_> {
    fn message(&mut self, at: usize, depth: usize) -> Type {
        let schema = self.schema;
        let message = schema.message(at);
        match message.known {
            Some(Known::Timestamp) => return Type::Timestamp,
            Some(Known::Duration) => return Type::Duration,
            Some(Known::Struct) => return Type::map(Type::Any),
            Some(Known::List) => return Type::list(Type::Any),
            Some(Known::Value) => return Type::Any,
            Some(Known::Any) => return Object::closed().with("@type", Type::String).with("value", Type::Bytes).into(),
            Some(Known::Wrapper) => return self.shape(message.fields[0].shape, depth + 1),
            None => {}
        }
        let mut object = Object::closed();
        for field in &message.fields {
            let required = field.rule == Rule::Required || (!self.written && field.default.is_some());
            let ty = self.field(field, depth + 1);
            object.fields.insert(field.name.clone(), Field { ty, required });
        }
        object.into()
    }

    fn field(&mut self, field: &Declared, depth: usize) -> Type {
        let ty = self.shape(field.shape, depth);
        match field.rule {
            Rule::List { .. } => Type::list(ty),
            Rule::Map(_) => Type::map(ty),
            Rule::Implicit | Rule::Explicit | Rule::Required => ty,
        }
    }

    fn shape(&mut self, shape: Shape, depth: usize) -> Type {
        self.parts += 1;
        if depth > DEPTH_MAX || self.parts > PARTS_MAX {
            return Type::Any;
        }
        match shape {
            Shape::Bool => Type::Bool,
            Shape::Float | Shape::Double => Type::Double,
            Shape::Text | Shape::Enum(_) => Type::String,
            Shape::Bytes => Type::Bytes,
            Shape::Message(at) | Shape::Group(at) => self.message(at, depth),
            _ => Type::Int,
        }
    }
}

/// The message as a JSON Schema: names, numbers and types of its fields, without comments and places of files.
pub(super) fn document(schema: &Schema) -> Json {
    let mut messages = Map::new();
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        let message = schema.message(at);
        if messages.contains_key(message.name.as_str()) {
            continue;
        }
        // Its place is taken before those that it leads to.
        messages.insert(message.name.to_string(), Json::Null);
        let properties: Map<String, Json> =
            message.fields.iter().map(|field| (field.name.to_string(), property(schema, field, &mut open))).collect();
        let required: Vec<&Text> =
            message.fields.iter().filter(|field| field.rule == Rule::Required).map(|field| &field.name).collect();
        let described = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        messages.insert(message.name.to_string(), described);
    }
    let mut document = messages.get(schema.name().as_str()).cloned().unwrap_or_default();
    document["title"] = schema.name().as_str().into();
    document["$defs"] = messages.into();
    document
}

fn property(schema: &Schema, field: &Declared, open: &mut Vec<usize>) -> Json {
    let each = of_shape(schema, field.shape, open);
    let mut described = match field.rule {
        Rule::List { .. } => json!({ "type": "array", "items": each }),
        Rule::Map(key) => {
            let key = match key {
                MapKey::Text => "string".to_owned(),
                MapKey::Bool => "bool".to_owned(),
                MapKey::Number(shape) => format!("{shape:?}").to_lowercase(),
            };
            json!({ "type": "object", "additionalProperties": each, "x-key": key })
        }
        Rule::Implicit | Rule::Explicit | Rule::Required => each,
    };
    described["x-field"] = field.number.into();
    if field.rule == Rule::Explicit {
        described["x-presence"] = true.into();
    }
    described
}

fn of_shape(schema: &Schema, shape: Shape, open: &mut Vec<usize>) -> Json {
    let number = format!("{shape:?}").to_lowercase();
    match shape {
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Float | Shape::Double => json!({ "type": "number", "format": number }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Shape::Enum(at) => json!({ "type": "string", "enum": schema.symbols(at) }),
        Shape::Message(at) | Shape::Group(at) => {
            let message = schema.message(at);
            match message.known {
                Some(Known::Timestamp) => json!({ "type": "string", "format": "date-time" }),
                Some(Known::Wrapper) => of_shape(schema, message.fields[0].shape, open),
                Some(_) => json!({ "x-message": message.name }),
                None => {
                    open.push(at);
                    json!({ "$ref": format!("#/$defs/{}", message.name) })
                }
            }
        }
        _ => json!({ "type": "integer", "format": number }),
    }
}

//! Static types: what is known of a value before there is one.

use crate::record::{Text, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The type of an expression, a name or a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Type {
    /// Only null.
    Null,
    /// A truth value.
    Bool,
    /// A 64-bit integer.
    Int,
    /// A double.
    Double,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A moment.
    Timestamp,
    /// A length of time.
    Duration,
    /// A list of elements of one type.
    List(Arc<Type>),
    /// A map from any text to values of one type.
    Map(Arc<Type>),
    /// A map whose fields are known.
    Object(Arc<Object>),
    /// A value of that type or none (`a.?b`). It is never part of another value: null stands for none where it is stored.
    Optional(Arc<Type>),
    /// Anything but an optional: meets every type, and what does not fit is found when it is used.
    #[default]
    Any,
}

/// The fields of a map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Known fields.
    pub fields: BTreeMap<Text, Field>,
    /// Type of the fields that are not named; `None`: there are no others (E307).
    pub rest: Option<Type>,
}

/// A known field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its type.
    pub ty: Type,
    /// Is it always there? Reading one that is not warns (W302) unless it was asked for before.
    pub required: bool,
}

impl Object {
    /// An object without fields that has no others.
    pub fn closed() -> Self {
        Self::default()
    }

    /// An object that may have fields beside the named ones.
    pub fn open() -> Self {
        Self { fields: BTreeMap::new(), rest: Some(Type::Any) }
    }

    /// The same with a field that is always there.
    pub fn with(mut self, name: &str, ty: Type) -> Self {
        self.fields.insert(name.into(), Field { ty, required: true });
        self
    }

    /// The same with a field that may be missing.
    pub fn with_optional(mut self, name: &str, ty: Type) -> Self {
        self.fields.insert(name.into(), Field { ty, required: false });
        self
    }
}

impl From<Object> for Type {
    fn from(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl Type {
    /// A list of such elements.
    pub fn list(element: Type) -> Self {
        Self::List(Arc::new(element))
    }

    /// A map to such values.
    pub fn map(value: Type) -> Self {
        Self::Map(Arc::new(value))
    }

    /// An optional value.
    pub fn optional(inner: Type) -> Self {
        match inner {
            Self::Optional(_) => inner,
            Self::Null => Self::Optional(Arc::new(Self::Any)),
            inner => Self::Optional(Arc::new(inner)),
        }
    }

    /// The most exact type of a value: objects are closed and their fields required.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Bool,
            Value::Int(_) | Value::BigInt(_) => Self::Int,
            Value::Double(_) => Self::Double,
            Value::Str(_) => Self::String,
            Value::Bytes(_) => Self::Bytes,
            Value::Timestamp(_) => Self::Timestamp,
            Value::Duration(_) => Self::Duration,
            Value::List(items) => Self::list(Self::join_all(items.iter().map(Self::of))),
            Value::Map(map) => {
                let fields =
                    map.iter().map(|(key, value)| (key.clone(), Field { ty: Self::of(value), required: true })).collect();
                Self::Object(Arc::new(Object { fields, rest: None }))
            }
        }
    }

    /// A type for the values of all these; `Any` where they have nothing in common, and of none.
    pub fn join_all(types: impl IntoIterator<Item = Type>) -> Self {
        types.into_iter().reduce(|a, b| a.join(&b)).unwrap_or_default()
    }

    /// A type for the values of both.
    pub fn join(&self, other: &Type) -> Self {
        match (self, other) {
            (a, b) if a == b => a.clone(),
            (Self::Optional(a), Self::Optional(b)) => Self::optional(a.join(b)),
            (Self::List(a), Self::List(b)) => Self::list(a.join(b)),
            (Self::Map(a), Self::Map(b)) => Self::map(a.join(b)),
            (Self::Object(a), Self::Object(b)) => Self::Object(Arc::new(a.join(b))),
            (Self::Object(object), Self::Map(value)) | (Self::Map(value), Self::Object(object)) => {
                Self::map(object.values().join(value))
            }
            _ => Self::Any,
        }
    }

    /// Can a value be of both types? False only where that is certain; int and double are both numbers.
    pub fn meets(&self, other: &Type) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Int | Self::Double, Self::Int | Self::Double) => true,
            (Self::List(_), Self::List(_)) => true,
            (Self::Map(_) | Self::Object(_), Self::Map(_) | Self::Object(_)) => true,
            (Self::Optional(a), Self::Optional(b)) => a.meets(b),
            (a, b) => a == b,
        }
    }

    /// Is it an optional?
    pub fn is_optional(&self) -> bool {
        matches!(self, Self::Optional(_))
    }
}

impl Object {
    /// A type for the values of all fields.
    pub fn values(&self) -> Type {
        Type::join_all(self.fields.values().map(|field| field.ty.clone()).chain(self.rest.clone()))
    }

    /// An object for the values of both: what only one names may be missing.
    fn join(&self, other: &Object) -> Object {
        let mut fields = BTreeMap::new();
        for (name, field) in self.fields.iter().chain(other.fields.iter()) {
            let side = |object: &Object| object.fields.get(name).cloned();
            let joined = match (side(self), side(other)) {
                (Some(a), Some(b)) => Field { ty: a.ty.join(&b.ty), required: a.required && b.required },
                _ => {
                    // The other side may have it among its unnamed fields, of their type.
                    let rest = if self.fields.contains_key(name) { &other.rest } else { &self.rest };
                    let ty = rest.as_ref().map_or_else(|| field.ty.clone(), |rest| field.ty.join(rest));
                    Field { ty, required: false }
                }
            };
            fields.insert(name.clone(), joined);
        }
        let rest = match (&self.rest, &other.rest) {
            (Some(a), Some(b)) => Some(a.join(b)),
            (one, two) => one.clone().or_else(|| two.clone()),
        };
        Object { fields, rest }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(value) => write!(f, "map(string, {value})"),
            Self::Object(_) => f.write_str("map"),
            Self::Optional(inner) => write!(f, "optional({inner})"),
            Self::Any => f.write_str("any"),
        }
    }
}

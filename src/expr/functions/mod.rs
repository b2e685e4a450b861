//! The functions of the language (`language.md` §3): one table that the checker and the compiled code share.

mod convert;
mod list;
mod map;
mod number;
mod text;
mod time;

use super::Type;
use super::code::{Native, Val};
use super::error::Res;
use super::fuel::Fuel;
use super::ops;
use crate::record::Value;

pub(super) use convert::string_of;
pub(super) use text::regex;
pub(super) use time::zone;

/// Kinds that an argument may have, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOL: Self = Self(1 << 1);
    pub(super) const INT: Self = Self(1 << 2);
    pub(super) const DOUBLE: Self = Self(1 << 3);
    pub(super) const STRING: Self = Self(1 << 4);
    pub(super) const BYTES: Self = Self(1 << 5);
    pub(super) const TIMESTAMP: Self = Self(1 << 6);
    pub(super) const DURATION: Self = Self(1 << 7);
    pub(super) const LIST: Self = Self(1 << 8);
    pub(super) const MAP: Self = Self(1 << 9);
    pub(super) const NUMBER: Self = Self::INT.or(Self::DOUBLE);
    pub(super) const ANY: Self = Self(0x3ff);
    /// What `string()` takes.
    pub(super) const SCALAR: Self =
        Self::BOOL.or(Self::NUMBER).or(Self::STRING).or(Self::BYTES).or(Self::TIMESTAMP).or(Self::DURATION);

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that a value of the type may have; an optional has none of them.
    pub(super) fn of(ty: &Type) -> Self {
        match ty {
            Type::Null => Self::NULL,
            Type::Bool => Self::BOOL,
            Type::Int => Self::INT,
            Type::Double => Self::DOUBLE,
            Type::String => Self::STRING,
            Type::Bytes => Self::BYTES,
            Type::Timestamp => Self::TIMESTAMP,
            Type::Duration => Self::DURATION,
            Type::List(_) => Self::LIST,
            Type::Map(_) | Type::Object(_) => Self::MAP,
            Type::Optional(_) => Self(0),
            Type::Any => Self::ANY,
        }
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::fmt::Display for Kinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 10] = ["null", "bool", "int", "double", "string", "bytes", "timestamp", "duration", "list", "map"];
        if *self == Self::ANY {
            return f.write_str("any");
        }
        let mut first = true;
        for (bit, name) in NAMES.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                write!(f, "{}{name}", if first { "" } else { " or " })?;
                first = false;
            }
        }
        Ok(())
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`.
    Global,
    /// `x.f()`.
    Member,
    /// Either.
    Both,
}

/// A function: what it takes and gives, and its code. Of a member the first parameter is what stands before the dot.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) style: Style,
    pub(super) params: &'static [Kinds],
    /// Parameters that must be given.
    pub(super) required: usize,
    /// Does the last parameter repeat?
    pub(super) repeats: bool,
    pub(super) gives: fn(&[Type]) -> Type,
    pub(super) native: Native,
}

impl Function {
    /// As `f(int or double, string)`, for messages.
    pub(super) fn usage(&self) -> String {
        let (before, params) = match self.style {
            Style::Member => (format!("{}.", self.params[0]), &self.params[1..]),
            _ => (String::new(), self.params),
        };
        let required = self.required - usize::from(self.style == Style::Member);
        let mut params: Vec<String> = params
            .iter()
            .enumerate()
            .map(|(place, kinds)| format!("{kinds}{}", if place < required { "" } else { "?" }))
            .collect();
        if self.repeats {
            params.push("…".to_owned());
        }
        format!("{before}{}({})", self.name, params.join(", "))
    }
}

/// All functions but those that the compiler makes itself: macros, `matches`, the members of optionals.
pub(super) fn all() -> impl Iterator<Item = &'static Function> {
    [convert::FUNCTIONS, text::FUNCTIONS, list::FUNCTIONS, map::FUNCTIONS, number::FUNCTIONS, time::FUNCTIONS]
        .into_iter()
        .flatten()
}

const fn function(
    name: &'static str,
    style: Style,
    params: &'static [Kinds],
    gives: fn(&[Type]) -> Type,
    native: Native,
) -> Function {
    Function { name, style, params, required: params.len(), repeats: false, gives, native }
}

impl Function {
    /// The last `count` parameters may be left out.
    const fn optional(mut self, count: usize) -> Self {
        self.required -= count;
        self
    }

    const fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }
}

/// Type of the elements, of a list.
pub(super) fn element(ty: &Type) -> Type {
    match ty {
        Type::List(element) => (**element).clone(),
        _ => Type::Any,
    }
}

/// The text, of a string that was read through.
fn text_of<'v>(what: &str, value: &'v Value, fuel: &Fuel) -> Res<&'v str> {
    match value {
        Value::Str(text) => {
            fuel.scan(text.len())?;
            Ok(text)
        }
        other => ops::no_overload(what, &[other]),
    }
}

fn int_of(what: &str, value: &Value) -> Res<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        other => ops::no_overload(what, &[other]),
    }
}

fn list_of<'v>(what: &str, value: &'v Value, fuel: &Fuel) -> Res<&'v [Value]> {
    match value {
        Value::List(items) => {
            fuel.burn(items.len())?;
            Ok(items)
        }
        other => ops::no_overload(what, &[other]),
    }
}

/// A text that was built.
fn built(text: String, fuel: &Fuel) -> Res<Value> {
    fuel.build(text.len())?;
    Ok(text.into())
}

fn no_overload<T>(what: &str, args: &[Val<'_>]) -> Res<T> {
    let args: Vec<&Value> = args.iter().map(|arg| &**arg).collect();
    ops::no_overload(what, &args)
}

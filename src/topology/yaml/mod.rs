//! YAML, as far as the language takes it: one document, the core schema, no tags, no merge keys, bounded.
//!
//! The tree keeps where everything stands, down to the character inside a quoted or folded scalar ([`Scalar::locate`]), so
//! that a finding inside an expression points at its place in the file. Files are untrusted: size, depth and the number of
//! nodes (after aliases) are bounded before anything is built.

mod locate;
mod scalar;
mod traps;
mod tree;

#[cfg(test)]
mod tests;

pub use scalar::resolve;
pub use traps::mend;
pub use tree::read;
pub(super) use tree::{computed, in_quotes, is_expression};

use crate::record::Value;
use std::ops::Range;

/// Largest file.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of maps and lists.
pub const DEPTH_MAX: usize = 64;
/// Most nodes, those that aliases repeat included.
pub const NODES_MAX: usize = 10_000;

/// A value of the file and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Bytes of the file.
    pub range: Range<usize>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order written.
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// Where the key stands.
    pub key_range: Range<usize>,
    /// Its value.
    pub node: Node,
}

/// A scalar.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// Its text, quotes and folds resolved.
    pub text: String,
    /// How it is written.
    pub style: Style,
    /// What it is by the core schema.
    pub value: Value,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// A block whose lines are kept.
    Literal,
    /// A block whose lines are joined.
    Folded,
}

impl Node {
    /// What it is, for messages.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) => match scalar.value {
                Value::Null => "nothing",
                Value::Bool(_) => "a truth value",
                Value::Int(_) => "an integer",
                Value::Double(_) => "a number",
                _ => "text",
            },
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Is nothing written there, or null?
    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.value.is_null())
    }

    /// As a single value.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// As a map.
    pub fn map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }
}

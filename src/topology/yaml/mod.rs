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

pub(super) use scalar::resolve;
pub(super) use traps::mend;
pub(super) use tree::read;

use crate::record::Value;
use std::ops::Range;

/// Largest file.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of maps and lists.
pub(super) const DEPTH_MAX: usize = 64;
/// Most nodes, those that aliases repeat included.
pub(super) const NODES_MAX: usize = 10_000;

/// A value of the file and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// An entry of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) node: Node,
}

/// A scalar.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// Its text, quotes and folds resolved.
    pub(super) text: String,
    pub(super) style: Style,
    /// What it is by the core schema.
    pub(super) value: Value,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn kind_name(&self) -> &'static str {
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

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.value.is_null())
    }

    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(super) fn map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }
}

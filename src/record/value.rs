//! Values: what payloads, states and expressions are made of.
//!
//! A value is cheap to clone (small texts inline, the rest shared) and has one order of fields: maps are sorted by key, so
//! that equal values have equal bytes, whichever way they were built.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Text that is cheap to clone: up to 23 bytes inline, shared above.
pub type Text = smol_str::SmolStr;

/// A value.
///
/// The first seven kinds are those of JSON; the others come from expressions and binary formats and are written to JSON as
/// text (`language.md` §2).
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Null.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double; finite wherever it is to be written.
    Double(f64),
    /// Text.
    Str(Text),
    /// A list, shared.
    List(Arc<Vec<Value>>),
    /// A map from text to values, shared.
    Map(Map),
    /// Bytes.
    Bytes(Bytes),
    /// A moment.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(SignedDuration),
    /// The digits of a JSON integer beyond 64 bits: passed through as they are, an error where they are computed with.
    BigInt(Text),
}

/// A map from text to values: entries sorted by key, each key once.
#[derive(Clone, Debug, Default)]
pub struct Map(Arc<Vec<(Text, Value)>>);

impl Value {
    /// Name of its kind, as expressions' `type(x)` and messages say it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::BigInt(_) => "int",
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "timestamp",
            Self::Duration(_) => "duration",
        }
    }

    /// The field of that name, of a map.
    pub fn get(&self, field: &str) -> Option<&Value> {
        match self {
            Self::Map(map) => map.get(field),
            _ => None,
        }
    }

    /// The text, of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, of an int.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The truth value, of a bool.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The map, of a map.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// Is it null?
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A list of these.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }
}

/// Equal as CEL has it: numbers by value across int and double, values of different kinds unequal, NaN unequal to itself.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a == b,
            (Self::Int(a), Self::Double(b)) | (Self::Double(b), Self::Int(a)) => int_equals_double(*a, *b),
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Duration(a), Self::Duration(b)) => a == b,
            (Self::BigInt(a), Self::BigInt(b)) => a == b,
            _ => false,
        }
    }
}

/// Exact: an `i64` above 2^53 is not rounded to meet a double.
fn int_equals_double(int: i64, double: f64) -> bool {
    // 2^63 is a double, i64::MAX is not: the upper bound is exclusive.
    double.fract() == 0.0
        && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&double)
        && double as i64 == int
}

impl Map {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// A map of these entries; of equal keys the last one holds.
    pub fn from_entries(mut entries: Vec<(Text, Value)>) -> Self {
        if !entries.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            // Stable, so that among equal keys the last one written stays last; then it is the one kept.
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.dedup_by(|later, kept| {
                let same = later.0 == kept.0;
                if same {
                    std::mem::swap(later, kept);
                }
                same
            });
        }
        Self(Arc::new(entries))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        // Payloads are mostly a handful of fields: comparing in order beats halving there.
        if self.0.len() <= 8 {
            return self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        }
        self.position(key).ok().map(|at| &self.0[at].1)
    }

    /// Puts a value under a key, in place when nobody shares the map.
    pub fn insert(&mut self, key: Text, value: Value) {
        let at = self.position(&key);
        let entries = Arc::make_mut(&mut self.0);
        match at {
            Ok(at) => entries[at].1 = value,
            Err(at) => entries.insert(at, (key, value)),
        }
    }

    /// Puts the entries of another map in, over those of equal keys.
    pub fn assign(&mut self, other: Self) {
        let Some(own) = Arc::get_mut(&mut self.0) else {
            // Shared: one copy that has both, instead of a copy that then is changed.
            let mut merged = Vec::with_capacity(self.0.len() + other.0.len());
            let mut old = self.0.iter().peekable();
            for (key, value) in other.0.iter() {
                while let Some(entry) = old.next_if(|entry| entry.0 < *key) {
                    merged.push(entry.clone());
                }
                old.next_if(|entry| entry.0 == *key);
                merged.push((key.clone(), value.clone()));
            }
            merged.extend(old.cloned());
            self.0 = Arc::new(merged);
            return;
        };
        for (key, value) in Arc::unwrap_or_clone(other.0) {
            match own.binary_search_by(|(name, _)| name.cmp(&key)) {
                Ok(at) => own[at].1 = value,
                Err(at) => own.insert(at, (key, value)),
            }
        }
    }

    /// Takes the entry of a key out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.position(key).ok()?;
        Some(Arc::make_mut(&mut self.0).remove(at).1)
    }

    /// Is the key there?
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Has it no entries?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries as a sorted slice.
    pub fn entries(&self) -> &[(Text, Value)] {
        &self.0
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| name.as_str().cmp(key))
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl FromIterator<(Text, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (Text, Value)>>(entries: I) -> Self {
        Self::from_entries(entries.into_iter().collect())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Str(text.into())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}
impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Str(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}
impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}
impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}
impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::list(items)
    }
}

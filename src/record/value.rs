//! Values: what payloads, states and expressions are made of.
//!
//! A value is cheap to clone (small texts inline, the rest shared) and has one order of fields: maps are sorted by key, so
//! that equal values have equal bytes, whichever way they were built.

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
    /// Bytes, shared.
    Bytes(Arc<[u8]>),
    /// A moment.
    Timestamp(Timestamp),
    /// A length of time.
    Duration(SignedDuration),
    /// The digits of a JSON integer beyond 64 bits: passed through as they are, an error where they are computed with.
    BigInt(Arc<str>),
}

// What a value takes decides what states in memory take, and what is moved about for each record: no kind may be larger than text.
const _: () = assert!(size_of::<Value>() == size_of::<Text>());

/// A map from text to values: entries sorted by key, each key once.
///
/// The entries lie in one piece of memory of just their size; an empty map has none.
#[derive(Clone, Debug, Default)]
pub struct Map(Option<Arc<[(Text, Value)]>>);

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
        Self::of_sorted(entries)
    }

    /// A map of entries that are in order, each key once.
    fn of_sorted(entries: Vec<(Text, Value)>) -> Self {
        Self((!entries.is_empty()).then(|| entries.into()))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let entries = self.entries();
        // Payloads are mostly a handful of fields: comparing in order beats halving there.
        if entries.len() <= 8 {
            return entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        }
        self.position(key).ok().map(|at| &entries[at].1)
    }

    /// Puts a value under a key, in place when the key is there and nobody shares the map; else the map is made anew.
    pub fn insert(&mut self, key: Text, value: Value) {
        match self.position(&key) {
            Ok(at) => {
                let entries = self.0.as_mut().expect("a key was found");
                Arc::make_mut(entries)[at].1 = value;
            }
            Err(at) => {
                let entries = self.entries();
                let mut more = Vec::with_capacity(entries.len() + 1);
                more.extend_from_slice(&entries[..at]);
                more.push((key, value));
                more.extend_from_slice(&entries[at..]);
                *self = Self::of_sorted(more);
            }
        }
    }

    /// Puts the entries of another map in, over those of equal keys: in one walk over both, in place where nobody shares the map
    /// and it has the keys.
    pub fn assign(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        if let Some(own) = self.0.as_mut().and_then(Arc::get_mut)
            && let Some(places) = places(own, other.entries())
        {
            for ((_, value), at) in other.iter().zip(places) {
                own[at].1 = value.clone();
            }
            return;
        }
        let mut merged = Vec::with_capacity(self.len() + other.len());
        let mut old = self.entries().iter().peekable();
        for (key, value) in other.iter() {
            while let Some(entry) = old.next_if(|entry| entry.0 < *key) {
                merged.push(entry.clone());
            }
            old.next_if(|entry| entry.0 == *key);
            merged.push((key.clone(), value.clone()));
        }
        merged.extend(old.cloned());
        *self = Self::of_sorted(merged);
    }

    /// Takes the entry of a key out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.position(key).ok()?;
        let entries = self.entries();
        let value = entries[at].1.clone();
        let others = entries[..at].iter().chain(&entries[at + 1..]).cloned();
        *self = Self::of_sorted(others.collect());
        Some(value)
    }

    /// Is the key there?
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.entries().iter().map(|(key, value)| (key, value))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Has it no entries?
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// The entries as a sorted slice.
    pub fn entries(&self) -> &[(Text, Value)] {
        self.0.as_deref().unwrap_or_default()
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.entries().binary_search_by(|(name, _)| name.as_str().cmp(key))
    }
}

/// Where these keys stand; `None` when one of them does not.
fn places(entries: &[(Text, Value)], keys: &[(Text, Value)]) -> Option<Vec<usize>> {
    keys.iter().map(|(key, _)| entries.binary_search_by(|(name, _)| name.cmp(key)).ok()).collect()
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.entries(), other.entries()) || self.entries() == other.entries()
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

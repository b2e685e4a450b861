//! What was written: how much, and whether two have written the same.

use super::error::Result;
use crate::broker::{Broker, Isolation};
use crate::reading::Log;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::hash::{DefaultHasher, Hasher};

/// Outputs by key: how many, and a hash over all of them in their order.
///
/// What a message says counts (its type and data), not how its engine words it: ids, times and the order of fields do not. A value
/// that is no message counts as its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outputs {
    keys: FxHashMap<Box<[u8]>, (u64, u64)>,
    pub(super) records: u64,
}

impl Outputs {
    /// The committed records of a topic.
    pub(super) fn of(broker: &dyn Broker, topic: &str) -> Result<Self> {
        let mut outputs = Self::default();
        if let Some(mut log) = Log::open(broker, topic, Isolation::ReadCommitted)? {
            log.read_all(&mut |record| outputs.add(record.key.unwrap_or_default(), record.value.unwrap_or_default()))?;
        }
        Ok(outputs)
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        if !self.keys.contains_key(key) {
            self.keys.insert(key.into(), (0, 0));
        }
        let Some((count, hash)) = self.keys.get_mut(key) else { return };
        // Keys and seeds of this hasher are fixed, so two processes agree.
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(*hash);
        match serde_json::from_slice::<Value>(value) {
            Ok(message) => ["type", "data"].iter().for_each(|field| fold(&message[field], &mut hasher)),
            Err(_) => hasher.write(value),
        }
        (*count, *hash) = (*count + 1, hasher.finish());
    }

    /// What differs from another one's, if anything does.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        if self == other {
            return None;
        }
        let mut keys: Vec<_> = self.keys.keys().filter(|key| other.keys.get(*key) != self.keys.get(*key)).collect();
        keys.extend(other.keys.keys().filter(|key| !self.keys.contains_key(*key)));
        keys.sort_unstable();
        let first = keys.first().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
        Some(format!("{} and {} records; {} keys differ, the first is `{first}`", self.records, other.records, keys.len()))
    }
}

/// The same for the same content, whatever the order of fields.
fn fold(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            hasher.write_u8(b'{');
            for (name, value) in fields {
                hasher.write(name.as_bytes());
                hasher.write_u8(b':');
                fold(value, hasher);
            }
        }
        Value::Array(items) => {
            hasher.write_u8(b'[');
            items.iter().for_each(|item| fold(item, hasher));
        }
        plain => hasher.write(plain.to_string().as_bytes()),
    }
    hasher.write_u8(b',');
}

/// Bytes that topics hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Of all records: keys, values, headers.
    pub(super) all: u64,
    /// Of the last record of each key, which compaction leaves.
    pub(super) last: u64,
}

impl Sizes {
    /// Adds a topic.
    pub(super) fn add(&mut self, broker: &dyn Broker, topic: &str) -> Result<()> {
        let Some(mut log) = Log::open(broker, topic, Isolation::ReadCommitted)? else { return Ok(()) };
        let mut last: FxHashMap<Box<[u8]>, u64> = FxHashMap::default();
        let mut all = 0;
        log.read_all(&mut |record| {
            let headers: usize = record.headers.iter().map(|one| one.name.len() + one.value.map_or(0, <[u8]>::len)).sum();
            let key = record.key.unwrap_or_default();
            let bytes = (key.len() + record.value.map_or(0, <[u8]>::len) + headers) as u64;
            all += bytes;
            match record.value {
                Some(_) => last.insert(key.into(), bytes),
                None => last.remove(key),
            };
        })?;
        self.all += all;
        self.last += last.values().sum::<u64>();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(records: &[(&str, &str)]) -> Outputs {
        let mut outputs = Outputs::default();
        records.iter().for_each(|(key, value)| outputs.add(key.as_bytes(), value.as_bytes()));
        outputs
    }

    const A1: (&str, &str) = ("a", r#"{"id":"1","type":"t","data":{"x":1,"y":[2,"z"]}}"#);
    const A2: (&str, &str) = ("a", r#"{"type":"t","data":{"x":2}}"#);
    const B1: (&str, &str) = ("b", r#"{"type":"t","data":{"x":1}}"#);

    #[test]
    fn the_same_content_in_the_same_order_of_each_key_is_equal() {
        let worded = ("a", r#"{"data":{"y":[2,"z"],"x":1},"timestamp":"now","type":"t"}"#);
        for (these, those) in [
            (vec![A1, A2, B1], vec![B1, A1, A2]),
            (vec![A1], vec![worded]),
            (vec![("a", "plain")], vec![("a", "plain")]),
            (vec![], vec![]),
        ] {
            assert_eq!(of(&these).difference(&of(&those)), None, "{these:?}");
        }
    }

    #[test]
    fn anything_else_is_a_difference() {
        let other = ("a", r#"{"type":"u","data":{"x":1,"y":[2,"z"]}}"#);
        for (these, those, said) in [
            (vec![A1, A2], vec![A2, A1], "2 and 2 records; 1 keys differ, the first is `a`"),
            (vec![A1], vec![A1, A1], "1 and 2 records; 1 keys differ, the first is `a`"),
            (vec![A1], vec![A1, B1], "1 and 2 records; 1 keys differ, the first is `b`"),
            (vec![A1, B1], vec![A1], "2 and 1 records; 1 keys differ, the first is `b`"),
            (vec![A1], vec![other], "1 and 1 records; 1 keys differ, the first is `a`"),
            (vec![("a", "plain")], vec![("a", "other")], "1 and 1 records; 1 keys differ, the first is `a`"),
        ] {
            assert_eq!(of(&these).difference(&of(&those)).as_deref(), Some(said), "{these:?} {those:?}");
        }
    }
}

//! Entries in memory: what the memory store and the simulated disk are made of.

use super::layout::{Malformed, meta};
use super::store::is_empty;
use super::{Batch, Checkpoint, KeyRange, Write};
use bytes::Bytes;
use std::collections::BTreeMap;

/// A sorted map of bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    entries: BTreeMap<Bytes, Bytes>,
    bytes: usize,
}

impl Contents {
    pub(super) fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.entries.get(key).cloned()
    }

    pub(super) fn scan(&self, range: &KeyRange, each: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        if is_empty(range) {
            return;
        }
        let (from, to) = range;
        let range = (from.as_ref().map(|key| &key[..]), to.as_ref().map(|key| &key[..]));
        for (key, value) in self.entries.range::<[u8], _>(range) {
            if !each(key, value) {
                return;
            }
        }
    }

    pub(super) fn write(&mut self, batch: &Batch) {
        for Write { key, value } in &batch.writes {
            self.put(key, value.as_ref());
        }
        for (topic, checkpoint) in &batch.checkpoints {
            let value = Bytes::from(meta::checkpoint_value(checkpoint));
            self.put(&Bytes::from(meta::checkpoint_key(topic)), Some(&value));
        }
    }

    pub(super) fn checkpoint(&self, changelog: &str) -> Result<Option<Checkpoint>, Malformed> {
        self.entries.get(&meta::checkpoint_key(changelog)[..]).map(|stored| meta::read_checkpoint(stored)).transpose()
    }

    pub(super) fn size_bytes(&self) -> usize {
        self.bytes
    }

    fn put(&mut self, key: &Bytes, value: Option<&Bytes>) {
        let old = match value {
            Some(value) => {
                self.bytes += key.len() + value.len();
                // A copy of its own: a slice would keep the whole epoch's buffer alive as long as one entry of it lives.
                self.entries.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))
            }
            None => self.entries.remove(key),
        };
        if let Some(old) = old {
            self.bytes -= key.len() + old.len();
        }
    }
}

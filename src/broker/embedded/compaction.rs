//! Compaction of one log: the last record of each key stays, tombstones and markers for a while longer.
//!
//! As in Kafka: nothing undecided is touched, nothing younger than the minimal lag, and never the last slot (the active segment
//! there). Offsets never change. A tombstone goes at the first pass that comes `delete.retention` after the pass which saw it
//! first, so a reader that follows the log within that time sees every delete.

use super::chunk::{CHUNK_BYTES, Chunk};
use super::log::{Body, Fate, Kind, Load, Log, ReadError, Slot};
use crate::record::{Millis, Offset};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A slot of this size that loses nothing stays as it is; smaller ones are worth joining.
const LEFT_ALONE_BYTES: usize = CHUNK_BYTES / 4;

type LastOffsets = FxHashMap<Box<[u8]>, Offset>;

/// What a compaction goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Wall time.
    pub(super) now: Millis,
    /// Records younger than this stay.
    pub(super) lag_min: Duration,
    /// How long tombstones stay after the first pass.
    pub(super) delete_retention: Duration,
}

impl Log {
    /// Compacts what may be.
    pub(super) fn compact(&mut self, rules: Rules, load: Load<'_>) -> Result<(), ReadError> {
        let cleanable = self.cleanable(rules);
        if cleanable == 0 {
            return Ok(());
        }
        let last = self.last_offsets(cleanable, load)?;
        let mut kept = VecDeque::with_capacity(self.slots.len());
        for slot in self.slots.range(..cleanable) {
            let chunk = self.chunk(slot, load)?;
            if let Some(slot) = clean(slot, &chunk, &last, rules, self.start) {
                join(&mut kept, slot);
            }
        }
        let rest = self.slots.split_off(cleanable);
        let end = rest.front().map_or(self.next, |slot| slot.base);
        // Positions step over what is gone: each slot reaches up to the next one.
        let mut next = end;
        for slot in kept.iter_mut().rev() {
            slot.next = next;
            next = slot.base;
        }
        for slot in std::mem::take(&mut self.slots) {
            self.forget(&slot);
        }
        self.dirty_bytes = rest.iter().map(|slot| slot.bytes).sum();
        for slot in &kept {
            self.bytes += slot.bytes;
            if matches!(slot.body, Body::Here(_)) {
                self.resident_bytes += slot.bytes;
            }
            if let Some(unsaved) = &mut self.unsaved {
                unsaved.removed.remove(&slot.base);
                unsaved.described.insert(slot.base);
                if matches!(slot.body, Body::Here(_)) {
                    unsaved.written.insert(slot.base);
                }
            }
        }
        self.resident_from = kept.front().map_or(end, |slot| slot.base);
        kept.extend(rest);
        self.slots = kept;
        Ok(())
    }

    /// The last offset of each key in the first slots. Chunks are read one by one: a log on disk may be larger than memory.
    fn last_offsets(&self, slots: usize, load: Load<'_>) -> Result<LastOffsets, ReadError> {
        let mut last = LastOffsets::default();
        for slot in self.slots.range(..slots).filter(|slot| visible(slot)) {
            for entry in self.chunk(slot, load)?.from(self.start) {
                let Some(key) = entry.key() else { continue };
                match last.get_mut(key) {
                    Some(offset) => *offset = entry.offset(),
                    None => _ = last.insert(key.into(), entry.offset()),
                }
            }
        }
        Ok(last)
    }

    /// How many slots from the start may be cleaned.
    fn cleanable(&self, rules: Rules) -> usize {
        let stable = self.last_stable();
        let youngest = rules.now.saturating_sub(Millis::try_from(rules.lag_min.as_millis()).unwrap_or(Millis::MAX));
        let cleanable =
            self.slots.iter().take_while(|slot| slot.next <= stable && (rules.lag_min.is_zero() || slot.newest <= youngest));
        cleanable.count().min(self.slots.len().saturating_sub(1))
    }
}

fn visible(slot: &Slot) -> bool {
    matches!(slot.kind, Kind::Plain | Kind::Transactional(_, Fate::Committed))
}

/// What stays of a slot.
fn clean(slot: &Slot, chunk: &Chunk, last: &LastOffsets, rules: Rules, start: Offset) -> Option<Slot> {
    let retention = Millis::try_from(rules.delete_retention.as_millis()).unwrap_or(Millis::MAX);
    let expired = slot.horizon.is_some_and(|horizon| rules.now >= horizon);
    let horizon = Some(slot.horizon.unwrap_or_else(|| rules.now.saturating_add(retention)));
    if let Kind::Marker(_) = slot.kind {
        return (!expired).then(|| Slot { horizon, ..slot.clone() });
    }
    if !visible(slot) {
        return None;
    }
    let mut kept = Chunk::default();
    let mut tombstones = false;
    for entry in chunk.from(start) {
        let newest = entry.key().is_some_and(|key| last.get(key) == Some(&entry.offset()));
        if !newest || (expired && entry.value().is_none()) {
            continue;
        }
        if kept.is_empty() {
            kept.set_base(entry.offset());
        }
        tombstones |= entry.value().is_none();
        let delta = (entry.offset() - kept.base()) as u32;
        kept.push(delta, entry.timestamp(), entry.key(), entry.value(), entry.headers());
    }
    if kept.is_empty() {
        return None;
    }
    let horizon = if tombstones { horizon } else { None };
    if kept.len() == chunk.len() && slot.bytes >= LEFT_ALONE_BYTES {
        return Some(Slot { horizon, ..slot.clone() });
    }
    let (base, bytes, newest) = (kept.base(), kept.size_bytes(), kept.newest());
    Some(Slot {
        base,
        next: slot.next,
        kind: Kind::Plain,
        bytes,
        newest,
        appended: slot.appended,
        horizon,
        body: Body::Here(Arc::new(kept)),
    })
}

/// Appends a cleaned slot, into the one before it where both are small and alike.
fn join(kept: &mut VecDeque<Slot>, slot: Slot) {
    if let (Some(last), Body::Here(more)) = (kept.back_mut(), &slot.body)
        && last.kind == Kind::Plain
        && last.horizon == slot.horizon
        && last.bytes + slot.bytes <= CHUNK_BYTES
        && u32::try_from(slot.next - last.base).is_ok()
        && let Body::Here(chunk) = &mut last.body
    {
        let chunk = Arc::make_mut(chunk);
        for entry in more.iter() {
            let delta = (entry.offset() - chunk.base()) as u32;
            chunk.push(delta, entry.timestamp(), entry.key(), entry.value(), entry.headers());
        }
        (last.next, last.bytes, last.newest) = (slot.next, chunk.size_bytes(), chunk.newest());
        last.appended = slot.appended;
        return;
    }
    kept.push_back(slot);
}

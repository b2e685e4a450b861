//! From a changelog back to a store: where to begin, and how records become chunks.
//!
//! The runtime reads the logs and decides when; here is what does not depend on that. [`decide`] tells whether a store goes on
//! from its checkpoint or starts anew. A [`Fill`] takes the records in the order of the log and writes the last value of each
//! key, in sorted chunks, each together with the checkpoint it reaches; entries that no changelog holds (the indexes by time)
//! are written along. Chunks are all or nothing, so a crash anywhere leaves a store that is right for its checkpoint, and a
//! piece that is read twice gives the same state.

mod fill;
mod progress;
#[cfg(test)]
mod tests;

pub use fill::{CHUNK_BYTES, Fill, Flushed, check_derived};
pub use progress::{Progress, ProgressFigures};

use super::Checkpoint;
use super::layout::FORMAT;
use crate::record::{Millis, Offset};

/// One changelog partition of a store: what the store has of it, and what is there.
#[derive(Clone, Copy, Debug)]
pub struct Changelog {
    /// What the store has reached.
    pub checkpoint: Option<Checkpoint>,
    /// First offset that is still in the log.
    pub start: Offset,
    /// Offset after the last record, at the isolation that counts uncommitted ones (`architecture-notes.md` §9, 3).
    pub end: Offset,
    /// Partition count of the topic.
    pub partitions: u32,
    /// How long the topic keeps tombstones; `None` for ever.
    pub delete_retention: Option<Millis>,
}

/// Where a restore begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// The store stays: each changelog is read on from here, in the order asked.
    Resume(Vec<Offset>),
    /// The store is cleared: each changelog is read from its start.
    Rebuild {
        /// Where each begins, in the order asked.
        from: Vec<Offset>,
        /// Why.
        reason: Reason,
    },
}

/// Why a store is filled from the start of its changelogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The layout has changed.
    #[error("it has layout {0}, this version writes {FORMAT}")]
    Format(u16),
    /// The changelog has another partition count, so keys lie elsewhere.
    #[error("its changelog had {then} partitions and has {now}")]
    Partitions {
        /// When the checkpoint was written.
        then: u32,
        /// Now.
        now: u32,
    },
    /// The changelog is shorter than what the store has of it: it was made anew.
    #[error("it has reached offset {reached}, its changelog ends at {end}")]
    BeyondEnd {
        /// Checkpoint.
        reached: Offset,
        /// End of the log.
        end: Offset,
    },
    /// Records between the checkpoint and the log's start are gone.
    #[error("it has reached offset {reached}, its changelog starts at {start}")]
    BeforeStart {
        /// Checkpoint.
        reached: Offset,
        /// Start of the log.
        start: Offset,
    },
    /// Tombstones may have been removed since: deleted keys would come back (`pitfalls.md` P33).
    #[error("it was last written {age_ms} ms ago, longer than half of its changelog's `delete.retention.ms`")]
    TooOld {
        /// Wall time since the checkpoint was written; negative when the clock has been set back.
        age_ms: Millis,
    },
}

/// Decides where a store's restore begins. One changelog that cannot be read on from its checkpoint has all of them read from
/// the start; a changelog without a checkpoint, in a store that has others, is new and read from the start alone.
pub fn decide(changelogs: &[Changelog], now: Millis) -> Start {
    match changelogs.iter().find_map(|changelog| objection(changelog, now)) {
        Some(reason) => Start::Rebuild { from: changelogs.iter().map(|changelog| changelog.start).collect(), reason },
        None => Start::Resume(
            changelogs
                .iter()
                .map(|changelog| changelog.checkpoint.map_or(changelog.start, |checkpoint| checkpoint.next_offset))
                .collect(),
        ),
    }
}

fn objection(changelog: &Changelog, now: Millis) -> Option<Reason> {
    let Changelog { checkpoint, start, end, partitions, delete_retention } = *changelog;
    let Checkpoint { next_offset: reached, applied_at, partitions: then, format } = checkpoint?;
    if format != FORMAT {
        return Some(Reason::Format(format));
    }
    if then != partitions {
        return Some(Reason::Partitions { then, now: partitions });
    }
    if reached > end {
        return Some(Reason::BeyondEnd { reached, end });
    }
    if reached < start {
        return Some(Reason::BeforeStart { reached, start });
    }
    // A checkpoint from the future tells nothing about its age; as far ahead as it may lie behind is too far.
    let age_ms = now.saturating_sub(applied_at);
    let too_old = delete_retention.is_some_and(|retention| age_ms.unsigned_abs() > retention.max(0).unsigned_abs() / 2);
    too_old.then_some(Reason::TooOld { age_ms })
}

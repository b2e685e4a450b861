//! Reading partitions from positions: collected under the broker's lock, delivered outside it.

use super::cluster::State;
use super::log::{Piece, ReadError};
use super::storage::Storage;
use crate::broker::{Isolation, Trouble, TroubleKind};
use crate::record::{Offset, RecordRef, Text, TopicPartition};
use std::collections::BTreeSet;

/// How many records are delivered between two looks at the clock.
const RECORDS_PER_LOOK: u32 = 16;

/// What a fetch came to.
pub(super) enum Fetched {
    /// Everything that is there was collected.
    All,
    /// The bound was reached.
    Part,
    /// A partition cannot be read; it is left alone until it is resumed anew.
    Trouble(Trouble),
}

/// Positions of a reader. A record that was collected but not delivered is collected again.
pub(super) struct Fetcher {
    isolation: Isolation,
    sources: Vec<Source>,
    /// Who is read first: each in turn, so that a long partition does not starve the others.
    first: usize,
    pieces: Vec<Piece>,
}

struct Source {
    partition: TopicPartition,
    position: Offset,
    running: bool,
    /// Has the log been looked at since the last seek?
    read: bool,
}

impl Fetcher {
    pub(super) fn new(isolation: Isolation) -> Self {
        Self { isolation, sources: Vec::new(), first: 0, pieces: Vec::new() }
    }

    /// Reads these, and no others, from these offsets.
    pub(super) fn set(&mut self, from: impl Iterator<Item = (TopicPartition, Offset)>, running: bool) {
        self.clear();
        self.sources.extend(from.map(|(partition, position)| Source { partition, position, running, read: false }));
    }

    pub(super) fn clear(&mut self) {
        self.sources.clear();
        self.first = 0;
    }

    /// False for a partition that is not among the reader's.
    pub(super) fn resume(&mut self, partition: &TopicPartition, offset: Offset) -> bool {
        self.change(partition, |source| (source.position, source.running, source.read) = (offset, true, false))
    }

    /// False for a partition that is not among the reader's.
    pub(super) fn pause(&mut self, partition: &TopicPartition) -> bool {
        self.change(partition, |source| source.running = false)
    }

    /// Stops the first partition that is read, as trouble would.
    pub(super) fn stop_first(&mut self) -> Option<TopicPartition> {
        let source = self.sources.iter_mut().find(|source| source.running)?;
        source.running = false;
        Some(source.partition.clone())
    }

    pub(super) fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        let source = self.sources.iter().find(|source| source.partition == *partition)?;
        source.read.then_some(source.position)
    }

    /// Where it reads next, whether or not it has read before.
    pub(super) fn next(&self, partition: &TopicPartition) -> Option<Offset> {
        self.sources.iter().find(|source| source.partition == *partition).map(|source| source.position)
    }

    fn change(&mut self, partition: &TopicPartition, change: impl FnOnce(&mut Source)) -> bool {
        self.sources.iter_mut().find(|source| source.partition == *partition).map(change).is_some()
    }

    /// Collects about `wanted` records, of all but these topics.
    pub(super) fn fetch(&mut self, state: &mut State, held: &BTreeSet<Text>, mut wanted: usize) -> Fetched {
        self.pieces.clear();
        let count = self.sources.len();
        if count == 0 {
            return Fetched::All;
        }
        self.first = (self.first + 1) % count;
        let mut all = true;
        for place in (self.first..count).chain(0..self.first) {
            let source = &mut self.sources[place];
            if !source.running || held.contains(&source.partition.topic) {
                continue;
            }
            let Some(log) = state.topics.log(&source.partition) else {
                return self.trouble(place, TroubleKind::Missing);
            };
            let storage = &mut state.storage;
            let load = &mut |id, base| Storage::load(storage, id, base);
            match log.read((place, source.position), self.isolation, &mut wanted, load, &mut self.pieces) {
                Ok(more) => {
                    source.read = true;
                    all &= !more;
                }
                Err(ReadError::OutOfRange) => return self.trouble(place, TroubleKind::OffsetOutOfRange),
                Err(ReadError::Storage(_)) => return self.trouble(place, TroubleKind::Other),
            }
        }
        if all { Fetched::All } else { Fetched::Part }
    }

    fn trouble(&mut self, place: usize, kind: TroubleKind) -> Fetched {
        self.pieces.clear();
        let source = &mut self.sources[place];
        source.running = false;
        Fetched::Trouble(Trouble { input: source.partition.clone(), kind })
    }

    /// Hands out what was collected, at most `records` of it and until the time is `up`; true when nothing was left.
    pub(super) fn deliver(&mut self, records: usize, up: impl Fn() -> bool, each: &mut dyn FnMut(RecordRef<'_>)) -> bool {
        let mut left = records;
        let mut until_look = RECORDS_PER_LOOK;
        for piece in self.pieces.drain(..) {
            let source = &mut self.sources[piece.source];
            if let Some(chunk) = &piece.chunk {
                let mut scratch = Vec::new();
                for entry in chunk.from(source.position) {
                    if left == 0 {
                        return false;
                    }
                    source.position = entry.offset() + 1;
                    entry.give(&source.partition.topic, source.partition.partition, &mut scratch, each);
                    left -= 1;
                    until_look -= 1;
                    if until_look == 0 {
                        until_look = RECORDS_PER_LOOK;
                        if up() {
                            return false;
                        }
                    }
                }
            }
            source.position = source.position.max(piece.next);
        }
        true
    }
}

//! Records on their way out, in one piece of memory.
//!
//! An epoch appends to a batch and cuts it back to a mark when a record fails; sealed, the batch goes to the lane read-only.

use crate::record::{HeaderRef, Millis, Partition, RecordRef, Text};
use rustc_hash::FxHashMap;
use std::ops::Range;

/// Records to be produced, in order. One buffer holds keys, values and headers, so appending allocates rarely.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    topics: Vec<Text>,
    arena: Vec<u8>,
    headers: Vec<HeaderPlace>,
    records: Vec<Place>,
}

#[derive(Clone, Debug)]
struct HeaderPlace {
    name: Range<usize>,
    value: Option<Range<usize>>,
}

#[derive(Clone, Debug)]
struct Place {
    topic: u16,
    partition: Partition,
    timestamp: Millis,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
}

/// A record to be appended to a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// Index into the batch's topics.
    pub topic: u16,
    /// Partition.
    pub partition: Partition,
    /// Milliseconds since the epoch.
    pub timestamp: Millis,
    /// Key bytes.
    pub key: Option<&'a [u8]>,
    /// Value bytes; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [HeaderRef<'a>],
}

/// A record of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord<'a> {
    batch: &'a Batch,
    place: &'a Place,
}

/// The most that a record takes in a request beside key, value and headers, and a header beside its name and value.
const RECORD_BYTES: usize = 36;
const HEADER_BYTES: usize = 10;

/// A place in a batch to cut back to.
#[derive(Clone, Copy, Debug)]
pub struct BatchMark {
    arena: usize,
    headers: usize,
    records: usize,
}

impl Batch {
    /// An empty batch over these topics; records name them by index.
    pub fn new(topics: Vec<Text>) -> Self {
        assert!(topics.len() <= usize::from(u16::MAX), "a batch names its topics by 16 bits");
        Self { topics, ..Self::default() }
    }

    /// Appends a record.
    pub fn push(&mut self, record: NewRecord<'_>) {
        debug_assert!(usize::from(record.topic) < self.topics.len());
        let key = record.key.map(|bytes| self.keep(bytes));
        let value = record.value.map(|bytes| self.keep(bytes));
        let first = self.headers.len();
        for header in record.headers {
            let name = self.keep(header.name.as_bytes());
            let value = header.value.map(|bytes| self.keep(bytes));
            self.headers.push(HeaderPlace { name, value });
        }
        let headers = first..self.headers.len();
        let NewRecord { topic, partition, timestamp, .. } = record;
        self.records.push(Place { topic, partition, timestamp, key, value, headers });
    }

    /// The index of a topic, added when it is new.
    pub fn topic_index(&mut self, topic: &str) -> u16 {
        if let Some(index) = self.topics.iter().position(|name| name == topic) {
            return index as u16;
        }
        assert!(self.topics.len() < usize::from(u16::MAX), "a batch names its topics by 16 bits");
        self.topics.push(topic.into());
        (self.topics.len() - 1) as u16
    }

    /// Where the batch ends now.
    pub fn mark(&self) -> BatchMark {
        BatchMark { arena: self.arena.len(), headers: self.headers.len(), records: self.records.len() }
    }

    /// Takes everything after the mark out again.
    pub fn cut(&mut self, mark: BatchMark) {
        self.arena.truncate(mark.arena);
        self.headers.truncate(mark.headers);
        self.records.truncate(mark.records);
    }

    /// Empties the batch; its memory and its topics stay.
    pub fn clear(&mut self) {
        self.cut(BatchMark { arena: 0, headers: 0, records: 0 });
    }

    /// Topics by index.
    pub fn topics(&self) -> &[Text] {
        &self.topics
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Has it no records?
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys, values and headers.
    pub fn size_bytes(&self) -> usize {
        self.arena.len()
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = BatchRecord<'_>> {
        self.records.iter().map(|place| BatchRecord { batch: self, place })
    }

    /// The records in rounds, in each of them partition by partition: those of a partition stay in order, and a round has at most
    /// `bytes_max` bytes and `records_max` records of one, or a single record that is larger. With each its round, from 0.
    pub fn in_rounds(&self, bytes_max: usize, records_max: usize) -> impl Iterator<Item = (u32, BatchRecord<'_>)> {
        /// How far a partition is.
        struct Turn {
            number: u32,
            round: u32,
            bytes: usize,
            records: usize,
        }
        let mut turns: FxHashMap<(u16, Partition), Turn> = FxHashMap::default();
        let mut order: Vec<(u32, u32, &Place)> = Vec::with_capacity(self.records.len());
        for place in &self.records {
            let next = Turn { number: turns.len() as u32, round: 0, bytes: 0, records: 0 };
            let turn = turns.entry((place.topic, place.partition)).or_insert(next);
            let bytes = BatchRecord { batch: self, place }.wire_bytes();
            if turn.records > 0 && (turn.bytes + bytes > bytes_max || turn.records >= records_max) {
                *turn = Turn { round: turn.round + 1, bytes: 0, records: 0, ..*turn };
            }
            turn.bytes += bytes;
            turn.records += 1;
            order.push((turn.round, turn.number, place));
        }
        order.sort_by_key(|(round, turn, _)| (*round, *turn));
        order.into_iter().map(|(round, _, place)| (round, BatchRecord { batch: self, place }))
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }
}

impl<'a> BatchRecord<'a> {
    /// Index of its topic.
    pub fn topic_index(&self) -> u16 {
        self.place.topic
    }

    /// Its topic.
    pub fn topic(&self) -> &'a Text {
        &self.batch.topics[usize::from(self.place.topic)]
    }

    /// Partition.
    pub fn partition(&self) -> Partition {
        self.place.partition
    }

    /// Milliseconds since the epoch.
    pub fn timestamp(&self) -> Millis {
        self.place.timestamp
    }

    /// Key bytes.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.place.key.clone().map(|range| &self.batch.arena[range])
    }

    /// Value bytes; `None` is a tombstone.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.place.value.clone().map(|range| &self.batch.arena[range])
    }

    /// Headers in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = HeaderRef<'a>> + use<'a> {
        let batch = self.batch;
        batch.headers[self.place.headers.clone()].iter().map(move |header| HeaderRef {
            name: std::str::from_utf8(&batch.arena[header.name.clone()]).expect("copied from a str"),
            value: header.value.clone().map(|range| &batch.arena[range]),
        })
    }

    /// What it takes in a request, roughly and rather more.
    fn wire_bytes(&self) -> usize {
        let length = |range: &Option<Range<usize>>| range.as_ref().map_or(0, ExactSizeIterator::len);
        let headers = &self.batch.headers[self.place.headers.clone()];
        let headers: usize = headers.iter().map(|header| header.name.len() + length(&header.value) + HEADER_BYTES).sum();
        length(&self.place.key) + length(&self.place.value) + headers + RECORD_BYTES
    }

    /// Calls `each` with the record as a reader would see it, at `offset`.
    pub fn with_ref<R>(&self, offset: i64, each: impl FnOnce(RecordRef<'_>) -> R) -> R {
        let headers: Vec<HeaderRef<'_>> = self.headers().collect();
        each(RecordRef {
            topic: self.topic(),
            partition: self.partition(),
            offset,
            timestamp: self.timestamp(),
            key: self.key(),
            value: self.value(),
            headers: &headers,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test's own keys")]
mod tests {
    use super::*;

    /// Topic, partition and key of each record.
    fn batch(records: &[(u16, Partition, &str)]) -> Batch {
        let mut batch = Batch::new(vec!["a".into(), "b".into()]);
        for (topic, partition, key) in records {
            let (topic, partition, key) = (*topic, *partition, Some(key.as_bytes()));
            batch.push(NewRecord { topic, partition, timestamp: 0, key, value: None, headers: &[] });
        }
        batch
    }

    fn rounds(batch: &Batch, bytes_max: usize, records_max: usize) -> String {
        let mut text = String::new();
        let mut last = 0;
        for (round, record) in batch.in_rounds(bytes_max, records_max) {
            assert!(round == last || round == last + 1, "no round is left out");
            if round > last {
                text.push(' ');
            }
            last = round;
            text.push_str(std::str::from_utf8(record.key().unwrap()).unwrap());
        }
        text
    }

    #[test]
    fn records_come_partition_by_partition_and_those_of_each_in_order() {
        let batch = batch(&[(0, 1, "1"), (1, 0, "2"), (0, 1, "3"), (0, 0, "4"), (1, 0, "5"), (0, 1, "6")]);
        for (bytes_max, records_max, expected) in [
            (1_000, 1_000, "136254"),
            // By number and by size, of which a record alone may have too much.
            (1_000, 2, "13254 6"),
            (1_000, 1, "124 35 6"),
            (2 * (RECORD_BYTES + 1), 1_000, "13254 6"),
            (0, 1_000, "124 35 6"),
        ] {
            assert_eq!(rounds(&batch, bytes_max, records_max), expected, "{bytes_max} {records_max}");
        }
        assert_eq!(Batch::new(vec!["a".into()]).in_rounds(1, 1).count(), 0);
    }
}

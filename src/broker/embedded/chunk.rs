//! Records that were appended together, in one piece of memory.
//!
//! Readers hold a chunk by reference count and read it outside the broker's lock, so it never changes while anybody else has it.

use crate::record::{HeaderRef, Millis, Offset, Partition, RecordRef, Text};
use std::ops::Range;

/// A chunk is closed at this size; a larger record gets one of its own.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Largest record that is taken at all, so that places within a chunk fit 32 bits.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 30;

/// How many header names are searched before a name is stored once more.
const NAMES_SEARCHED: usize = 16;

/// Records in offset order, with gaps after compaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// Offset that the records' own offsets are counted from.
    base: Offset,
    arena: Vec<u8>,
    names: Vec<Text>,
    headers: Vec<HeaderPlace>,
    records: Vec<Place>,
    newest: Millis,
}

#[derive(Clone, Debug)]
struct HeaderPlace {
    name: u32,
    value: Option<Range<u32>>,
}

#[derive(Clone, Debug)]
struct Place {
    delta: u32,
    timestamp: Millis,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    headers: Range<u32>,
}

/// A record within a chunk, without its topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    chunk: &'a Chunk,
    place: &'a Place,
}

impl Chunk {
    /// Where the chunk begins in the log.
    pub(super) fn base(&self) -> Offset {
        self.base
    }

    /// Puts the chunk at its place in the log.
    pub(super) fn set_base(&mut self, base: Offset) {
        self.base = base;
    }

    /// Gives every record the same time: the log's, where the topic asks for it.
    pub(super) fn set_timestamp(&mut self, timestamp: Millis) {
        self.newest = timestamp;
        self.records.iter_mut().for_each(|place| place.timestamp = timestamp);
    }

    /// Appends a record at `delta` from the base. Deltas grow.
    pub(super) fn push<'h>(
        &mut self,
        delta: u32,
        timestamp: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = HeaderRef<'h>>,
    ) {
        let key = key.map(|bytes| self.keep(bytes));
        let value = value.map(|bytes| self.keep(bytes));
        let first = self.headers.len() as u32;
        for header in headers {
            let name = self.name(header.name);
            let value = header.value.map(|bytes| self.keep(bytes));
            self.headers.push(HeaderPlace { name, value });
        }
        let headers = first..self.headers.len() as u32;
        self.newest = if self.records.is_empty() { timestamp } else { self.newest.max(timestamp) };
        self.records.push(Place { delta, timestamp, key, value, headers });
    }

    /// Number of records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Has it no records?
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys, values and header values, and a fixed share for each record: what retention counts.
    pub(super) fn size_bytes(&self) -> usize {
        self.arena.len() + self.records.len() * size_of::<Place>()
    }

    /// Is it as large as chunks get?
    pub(super) fn is_full(&self) -> bool {
        self.size_bytes() >= CHUNK_BYTES
    }

    /// Newest timestamp of its records.
    pub(super) fn newest(&self) -> Millis {
        self.newest
    }

    /// All records.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> + ExactSizeIterator {
        self.records.iter().map(|place| Entry { chunk: self, place })
    }

    /// The records at or after an offset.
    pub(super) fn from(&self, offset: Offset) -> impl ExactSizeIterator<Item = Entry<'_>> {
        let first = self.records.partition_point(|place| self.base + Offset::from(place.delta) < offset);
        self.records[first..].iter().map(|place| Entry { chunk: self, place })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        start..self.arena.len() as u32
    }

    fn name(&mut self, name: &str) -> u32 {
        let first = self.names.len().saturating_sub(NAMES_SEARCHED);
        match self.names[first..].iter().position(|known| known == name) {
            Some(place) => (first + place) as u32,
            None => {
                self.names.push(name.into());
                (self.names.len() - 1) as u32
            }
        }
    }

    fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.arena[range.start as usize..range.end as usize]
    }
}

impl<'a> Entry<'a> {
    /// Its offset.
    pub(super) fn offset(&self) -> Offset {
        self.chunk.base + Offset::from(self.place.delta)
    }

    /// Its timestamp.
    pub(super) fn timestamp(&self) -> Millis {
        self.place.timestamp
    }

    /// Its key.
    pub(super) fn key(&self) -> Option<&'a [u8]> {
        self.place.key.as_ref().map(|range| self.chunk.slice(range))
    }

    /// Its value; `None` is a tombstone.
    pub(super) fn value(&self) -> Option<&'a [u8]> {
        self.place.value.as_ref().map(|range| self.chunk.slice(range))
    }

    /// Its headers.
    pub(super) fn headers(&self) -> impl ExactSizeIterator<Item = HeaderRef<'a>> + use<'a> {
        let chunk = self.chunk;
        let places = &chunk.headers[self.place.headers.start as usize..self.place.headers.end as usize];
        places.iter().map(move |header| HeaderRef {
            name: &chunk.names[header.name as usize],
            value: header.value.as_ref().map(|range| chunk.slice(range)),
        })
    }

    /// Hands the record to `each`; `scratch` is reused between records of one chunk.
    pub(super) fn give(
        &self,
        topic: &str,
        partition: Partition,
        scratch: &mut Vec<HeaderRef<'a>>,
        each: &mut dyn FnMut(RecordRef<'_>),
    ) {
        scratch.clear();
        scratch.extend(self.headers());
        each(RecordRef {
            topic,
            partition,
            offset: self.offset(),
            timestamp: self.timestamp(),
            key: self.key(),
            value: self.value(),
            headers: scratch,
        });
    }
}

/// A chunk as bytes on disk: counts and lengths as 32-bit little endian, `u32::MAX` for what is absent.
pub(super) mod bytes {
    use super::{Chunk, HeaderRef, Offset, RECORD_BYTES_MAX};

    const ABSENT: u32 = u32::MAX;

    /// Writes a chunk.
    pub(in crate::broker::embedded) fn encode(chunk: &Chunk) -> Vec<u8> {
        let mut out = Vec::with_capacity(chunk.arena.len() + 32 * chunk.records.len() + 12);
        out.extend(chunk.base.to_le_bytes());
        out.extend((chunk.records.len() as u32).to_le_bytes());
        for entry in chunk.iter() {
            out.extend(entry.place.delta.to_le_bytes());
            out.extend(entry.place.timestamp.to_le_bytes());
            put(&mut out, entry.key());
            put(&mut out, entry.value());
            let headers = entry.headers();
            out.extend((headers.len() as u32).to_le_bytes());
            for header in headers {
                put(&mut out, Some(header.name.as_bytes()));
                put(&mut out, header.value);
            }
        }
        out
    }

    /// Reads a chunk back; `None` for bytes that no chunk was written as.
    pub(in crate::broker::embedded) fn decode(bytes: &[u8]) -> Option<Chunk> {
        let mut rest = bytes;
        let mut chunk = Chunk { base: Offset::from_le_bytes(take(&mut rest)?), ..Chunk::default() };
        let records = u32::from_le_bytes(take(&mut rest)?);
        let mut last = None;
        let mut headers = Vec::new();
        for _ in 0..records {
            let delta = u32::from_le_bytes(take(&mut rest)?);
            if last.is_some_and(|last| delta <= last) {
                return None;
            }
            last = Some(delta);
            let timestamp = i64::from_le_bytes(take(&mut rest)?);
            let key = get(&mut rest)?;
            let value = get(&mut rest)?;
            headers.clear();
            for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
                let name = std::str::from_utf8(get(&mut rest)??).ok()?;
                headers.push(HeaderRef { name, value: get(&mut rest)? });
            }
            chunk.push(delta, timestamp, key, value, headers.iter().copied());
        }
        rest.is_empty().then_some(chunk)
    }

    fn put(out: &mut Vec<u8>, part: Option<&[u8]>) {
        match part {
            None => out.extend(ABSENT.to_le_bytes()),
            Some(part) => {
                out.extend((part.len() as u32).to_le_bytes());
                out.extend_from_slice(part);
            }
        }
    }

    fn get<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
        let length = u32::from_le_bytes(take(rest)?);
        if length == ABSENT {
            return Some(None);
        }
        let length = length as usize;
        if length > RECORD_BYTES_MAX {
            return None;
        }
        let (part, tail) = rest.split_at_checked(length)?;
        *rest = tail;
        Some(Some(part))
    }

    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (part, tail) = rest.split_first_chunk::<N>()?;
        *rest = tail;
        Some(*part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Chunk {
        let mut chunk = Chunk::default();
        chunk.set_base(7);
        let headers = [HeaderRef { name: "a", value: Some(b"1") }, HeaderRef { name: "b", value: None }];
        chunk.push(0, 10, Some(b"k"), Some(b"v"), headers.into_iter());
        chunk.push(3, 9, None, None, std::iter::empty());
        chunk.push(4, -1, Some(b""), Some(b""), headers[..1].iter().copied());
        chunk
    }

    fn seen(chunk: &Chunk) -> Vec<String> {
        chunk
            .iter()
            .map(|entry| {
                let headers: Vec<_> = entry.headers().collect();
                format!("{} {} {:?} {:?} {headers:?}", entry.offset(), entry.timestamp(), entry.key(), entry.value())
            })
            .collect()
    }

    #[test]
    fn a_chunk_survives_its_bytes() {
        let chunk = sample();
        let back = bytes::decode(&bytes::encode(&chunk)).unwrap();
        assert_eq!(seen(&back), seen(&chunk));
        assert_eq!((back.base(), back.newest(), back.len()), (7, 10, 3));
    }

    #[test]
    fn cut_or_changed_bytes_are_refused_or_read_as_something_but_never_panic() {
        let whole = bytes::encode(&sample());
        for end in 0..whole.len() {
            assert!(bytes::decode(&whole[..end]).is_none(), "cut at {end}");
        }
        for place in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[place] ^= flip;
                let _ = bytes::decode(&changed);
            }
        }
        let mut long = whole;
        long.push(0);
        assert!(bytes::decode(&long).is_none());
    }

    #[test]
    fn reading_begins_at_the_first_record_that_is_not_before_the_offset() {
        let chunk = sample();
        for (from, expected) in [(0, vec![7, 10, 11]), (8, vec![10, 11]), (11, vec![11]), (12, vec![])] {
            let offsets: Vec<_> = chunk.from(from).map(|entry| entry.offset()).collect();
            assert_eq!(offsets, expected, "from {from}");
        }
    }
}

//! A record that is kept as it was read: until its turn comes, or what it is about is there.
//!
//! Form: a format byte, then partition (i32), offset and timestamp (i64), then topic, key, value and the headers' names and
//! values, each with its length in front (u32; all ones: there is none). Integers are big-endian.

use super::{Header, HeaderRef, Millis, Offset, Partition, RecordRef, Text};
use bytes::Bytes;

const FORMAT: u8 = 1;
const NONE: u32 = u32::MAX;

/// A record that was kept, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRecord {
    /// Topic that it was first read from.
    pub topic: Text,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Millis,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
    /// Its headers.
    pub headers: Vec<Header>,
}

/// Bytes that are no kept record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a kept record {0}")]
pub struct NotKept(&'static str);

impl KeptRecord {
    /// The stored form of a record, behind what is in `out`.
    pub fn append(record: &RecordRef<'_>, out: &mut Vec<u8>) {
        let part = |bytes: Option<&[u8]>, out: &mut Vec<u8>| match bytes {
            Some(bytes) => {
                // Kafka's records are far smaller.
                out.extend_from_slice(&u32::try_from(bytes.len()).expect("a record is below 4 GiB").to_be_bytes());
                out.extend_from_slice(bytes);
            }
            None => out.extend_from_slice(&NONE.to_be_bytes()),
        };
        out.push(FORMAT);
        out.extend_from_slice(&record.partition.to_be_bytes());
        out.extend_from_slice(&record.offset.to_be_bytes());
        out.extend_from_slice(&record.timestamp.to_be_bytes());
        part(Some(record.topic.as_bytes()), out);
        part(record.key, out);
        part(record.value, out);
        for header in record.headers {
            part(Some(header.name.as_bytes()), out);
            part(header.value, out);
        }
    }

    /// Reads the form.
    pub fn read(stored: &[u8]) -> Result<Self, NotKept> {
        let mut reader = Reader(stored);
        if reader.array::<1>()? != [FORMAT] {
            return Err(NotKept("of an unknown form"));
        }
        let mut kept = Self {
            partition: Partition::from_be_bytes(reader.array()?),
            offset: Offset::from_be_bytes(reader.array()?),
            timestamp: Millis::from_be_bytes(reader.array()?),
            topic: reader.text()?,
            key: reader.part()?,
            value: reader.part()?,
            headers: Vec::new(),
        };
        while !reader.0.is_empty() {
            kept.headers.push(Header { name: reader.text()?, value: reader.part()? });
        }
        Ok(kept)
    }

    /// The record, borrowed; `headers` are its headers.
    pub fn as_ref<'a>(&'a self, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
        RecordRef {
            topic: &self.topic,
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers,
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], NotKept> {
        let (array, rest) = self.0.split_first_chunk().ok_or(NotKept("too short"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn part(&mut self) -> Result<Option<Bytes>, NotKept> {
        let length = u32::from_be_bytes(self.array()?);
        if length == NONE {
            return Ok(None);
        }
        let (part, rest) = self.0.split_at_checked(length as usize).ok_or(NotKept("too short"))?;
        self.0 = rest;
        Ok(Some(Bytes::copy_from_slice(part)))
    }

    fn text(&mut self) -> Result<Text, NotKept> {
        let bytes = self.part()?.ok_or(NotKept("without a name"))?;
        std::str::from_utf8(&bytes).map(Text::new).map_err(|_| NotKept("with a name that is no text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_kept_record_reads_back_and_a_cut_one_is_refused(
            topic in "[a-z.]{1,20}", partition in any::<i32>(), offset in any::<i64>(), timestamp in any::<i64>(),
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..8)), value in prop::option::of(prop::collection::vec(any::<u8>(), 0..8)),
            names in prop::collection::vec("[a-z]{0,4}", 0..4), cut in any::<prop::sample::Index>(),
        ) {
            let headers: Vec<_> = names.iter().map(|name| HeaderRef { name, value: key.as_deref() }).collect();
            let record = RecordRef {
                topic: &topic, partition, offset, timestamp, key: key.as_deref(), value: value.as_deref(), headers: &headers,
            };
            let mut stored = Vec::new();
            KeptRecord::append(&record, &mut stored);
            let kept = KeptRecord::read(&stored).expect("just written");
            let own = record.to_record();
            prop_assert_eq!((kept.key, kept.value, kept.headers, kept.offset), (own.key, own.value, own.headers, offset));
            prop_assert_eq!((kept.topic.as_str(), kept.partition, kept.timestamp), (topic.as_str(), partition, timestamp));
            // Between two headers a cut is not seen; anywhere else it is.
            let cut = cut.index(stored.len());
            if let Ok(shorter) = KeptRecord::read(&stored[..cut]) {
                prop_assert!(shorter.headers.len() < headers.len());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(stored in prop::collection::vec(any::<u8>(), 0..80)) {
            drop(KeptRecord::read(&stored));
        }
    }
}

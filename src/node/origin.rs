//! Where a record comes from that the engine passed on: a repartitioned one, or one that is taken once more.
//!
//! A record on its way to the partition of another key keeps its value and headers, gets that key, and one header that says
//! where it was first read: `partition/offset/timestamp/topic`, and after a further `/` the bytes of its own key, if it had one.
//! Whoever takes it from the repartition topic sees the record of then. A record in an inbox that an operator lets its node take
//! once more has the same header.

use crate::failure::{Class, Failure, Stage};
use crate::record::{HeaderRef, Millis, Offset, Partition, RecordRef};

/// The header.
pub const ORIGIN_HEADER: &str = "__skald.origin";

/// Appends the value of the header for a record.
pub fn write_origin(record: &RecordRef<'_>, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(out, "{}/{}/{}/{}", record.partition, record.offset, record.timestamp, record.topic).expect("written to memory");
    if let Some(key) = record.key {
        out.push(b'/');
        out.extend_from_slice(key);
    }
}

/// The record as it was first read, from one of a repartition topic. `headers` gets its headers, without the engine's.
pub fn first_read<'a>(record: &RecordRef<'a>, headers: &'a mut Vec<HeaderRef<'a>>) -> Result<RecordRef<'a>, Failure> {
    let header = record.headers.iter().rev().find(|header| header.name == ORIGIN_HEADER);
    let origin = header.and_then(|header| parse(header.value?)).ok_or_else(|| {
        Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, format!("header `{ORIGIN_HEADER}` is missing or wrong"))
    })?;
    headers.clear();
    headers.extend(record.headers.iter().filter(|header| header.name != ORIGIN_HEADER));
    Ok(RecordRef { value: record.value, headers, ..origin })
}

/// A record without value and headers.
fn parse(header: &[u8]) -> Option<RecordRef<'_>> {
    let mut parts = header.splitn(5, |byte| *byte == b'/');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let partition: Partition = text()?.parse().ok()?;
    let offset: Offset = text()?.parse().ok()?;
    let timestamp: Millis = text()?.parse().ok()?;
    let topic = text().filter(|topic| !topic.is_empty())?;
    let key = parts.next();
    (partition >= 0 && offset >= 0).then_some(RecordRef { topic, partition, offset, timestamp, key, value: None, headers: &[] })
}

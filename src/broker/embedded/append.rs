//! Records on their way into a log, and what a broker refuses.

use super::chunk::{Chunk, RECORD_BYTES_MAX};
use super::cluster::State;
use super::log::ProducerId;
use super::topics::missing;
use crate::broker::{Batch, Error, ErrorClass, Result};
use crate::record::{HeaderRef, Millis, Offset, TopicPartition};
use rustc_hash::FxHashMap;

/// What a batch of one record adds to the record's own bytes on the wire.
const BATCH_OVERHEAD_BYTES: usize = 70;

/// Records for one partition, in order.
pub(super) struct Outgoing {
    pub(super) partition: TopicPartition,
    /// Index of the topic in the caller's batch.
    pub(super) topic_index: u16,
    chunk: Chunk,
    largest: usize,
    without_key: bool,
}

impl Outgoing {
    pub(super) fn new(partition: TopicPartition) -> Self {
        Self { partition, topic_index: 0, chunk: Chunk::default(), largest: 0, without_key: false }
    }

    pub(super) fn push<'h>(
        &mut self,
        size: usize,
        timestamp: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = HeaderRef<'h>>,
    ) {
        self.largest = self.largest.max(size);
        self.without_key |= key.is_none();
        let delta = self.chunk.len() as u32;
        self.chunk.push(delta, timestamp, key, value, headers);
    }
}

/// Bytes of a record as a client's queue counts them.
pub(super) fn enqueued_bytes<'h>(
    headers: impl Iterator<Item = HeaderRef<'h>>,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> usize {
    let headers: usize = headers.map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len)).sum();
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers
}

/// Splits a batch by partition, the order within each kept. Stops at the first record that the client's queue refuses: what
/// came before it is on its way.
pub(super) fn split(batch: &Batch, bytes_max: usize) -> (Vec<Outgoing>, Result<()>) {
    let mut outgoing: Vec<Outgoing> = Vec::new();
    let mut open: FxHashMap<(u16, i32), usize> = FxHashMap::default();
    for record in batch.iter() {
        let size = enqueued_bytes(record.headers(), record.key(), record.value());
        if size > bytes_max.min(RECORD_BYTES_MAX) {
            let context = format!("producing to {}-{}", record.topic(), record.partition());
            let message = format!("{size} bytes; the client takes {bytes_max}");
            return (outgoing, Err(Error::new(ErrorClass::TooLarge, context, message)));
        }
        let place = (record.topic_index(), record.partition());
        let index = match open.get(&place) {
            Some(&index) if !outgoing[index].chunk.is_full() => index,
            _ => {
                let partition = TopicPartition::new(record.topic().clone(), record.partition());
                outgoing.push(Outgoing { topic_index: record.topic_index(), ..Outgoing::new(partition) });
                open.insert(place, outgoing.len() - 1);
                outgoing.len() - 1
            }
        };
        outgoing[index].push(size, record.timestamp(), record.key(), record.value(), record.headers());
    }
    (outgoing, Ok(()))
}

impl State {
    /// Is there anything that the partition's broker would refuse about these?
    pub(super) fn acceptable(&self, outgoing: &Outgoing) -> Result<()> {
        let partition = &outgoing.partition;
        self.topics.existing(partition, "producing to")?;
        let config = &self.topics.by_name[&partition.topic].config;
        let context = || format!("producing to {partition}");
        let size = outgoing.largest + BATCH_OVERHEAD_BYTES;
        if size > config.message_bytes_max {
            let message = format!("{size} bytes; `max.message.bytes` is {}", config.message_bytes_max);
            return Err(Error::new(ErrorClass::TooLarge, context(), message));
        }
        if config.compact && outgoing.without_key {
            return Err(Error::new(ErrorClass::Abortable, context(), "a compacted topic takes no record without a key"));
        }
        Ok(())
    }

    /// Appends to the partition's log; gives the offset after the last record.
    pub(super) fn append(&mut self, outgoing: Outgoing, producer: Option<ProducerId>) -> Result<Offset> {
        self.acceptable(&outgoing)?;
        let Outgoing { partition, mut chunk, .. } = outgoing;
        let append_time = self.topics.by_name[&partition.topic].config.log_append_time;
        if append_time {
            chunk.set_timestamp(self.wall);
        }
        let wall = self.wall;
        let Some(log) = self.topics.log_mut(&partition) else { return Err(missing(&partition, "producing to")) };
        log.append(chunk, producer, wall);
        let next = log.next;
        self.appended(&partition);
        Ok(next)
    }
}

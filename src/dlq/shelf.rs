//! Reads a topic of dead letters: all of it, what is newest, or one letter.
//!
//! Reading is for tools: blocking, in bounded time between two records, outside any group. Only committed letters are seen. What
//! is added while a reading is under way is not waited for: it ends where the topic ended when it was opened.

use super::{Error, Found, Result, recognise};
use crate::broker::{Broker, Isolation, Span};
use crate::reading::Log;
use crate::record::{Millis, Offset, Partition, Record, RecordRef, Text, TopicPartition};
use std::ops::ControlFlow;

/// Letters that a first look at the end of each partition takes, for each that is wanted.
const FIRST_LOOK: Offset = 2;

/// A topic of dead letters, as it was when it was opened.
pub struct Shelf {
    log: Log,
}

/// A letter taken from its topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Filed {
    /// The record, where it lies.
    pub record: Record,
    /// Its offset.
    pub offset: Offset,
    /// What its headers tell.
    pub found: Found,
}

impl Shelf {
    /// Opens a topic.
    pub fn open(broker: &dyn Broker, topic: &str) -> Result<Self> {
        let log = Log::open(broker, topic, Isolation::ReadCommitted)?;
        log.map(|log| Self { log }).ok_or_else(|| Error::NoTopic { topic: Text::new(topic) })
    }

    /// Offsets from the first letter to the last: at least as many as there are letters.
    pub fn span(&self) -> u64 {
        self.log.span()
    }

    /// Hands every record over, with what it tells, until `each` breaks; those of a partition in order.
    pub fn each(&mut self, each: &mut dyn FnMut(&RecordRef<'_>, Result<Found>) -> ControlFlow<()>) -> Result<()> {
        let spans = self.log.parts().to_vec();
        self.read(&spans, each)
    }

    /// The newest letters that are wanted, the newest first; none that failed before `since`.
    pub fn newest(
        &mut self,
        limit: usize,
        is_wanted: &dyn Fn(&RecordRef<'_>, &Found) -> bool,
        since: Millis,
    ) -> Result<Vec<Filed>> {
        let mut found: Vec<Filed> = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let mut window = Offset::try_from(limit).unwrap_or(Offset::MAX).saturating_mul(FIRST_LOOK);
        let mut before: Vec<(TopicPartition, Span)> = self.log.parts().to_vec();
        loop {
            let look: Vec<_> = before
                .iter()
                .map(|(part, span)| {
                    (part.clone(), Span { start: span.start.max(span.end.saturating_sub(window)), end: span.end })
                })
                .collect();
            // The oldest moment up to which each partition was read: further back there is nothing newer.
            let mut horizon: Vec<(Partition, Millis)> = Vec::new();
            self.read(&look, &mut |record, told| {
                let Ok(told) = told else { return ControlFlow::Continue(()) };
                let at = told.times(record.timestamp).1;
                match horizon.iter_mut().find(|(partition, _)| *partition == record.partition) {
                    Some((_, oldest)) => *oldest = at.min(*oldest),
                    None => horizon.push((record.partition, at)),
                }
                if at >= since && is_wanted(record, &told) {
                    found.push(Filed { record: record.to_record(), offset: record.offset, found: told });
                }
                ControlFlow::Continue(())
            })?;
            found.sort_by_key(|filed| std::cmp::Reverse((filed.last_at(), filed.offset)));
            found.truncate(limit);
            for ((_, span), (_, seen)) in before.iter_mut().zip(look) {
                span.end = seen.start;
            }
            let reach = |part: &TopicPartition| {
                horizon.iter().find(|(partition, _)| *partition == part.partition).map_or(Millis::MAX, |(_, at)| *at)
            };
            // Of one partition failures lie in the order of their times, but for clocks that differ.
            let unread = before.iter().filter(|(_, span)| span.end > span.start).map(|(part, _)| reach(part));
            let newest_unread = unread.filter(|at| *at >= since).max();
            let enough = found.len() >= limit && newest_unread <= found.last().map(Filed::last_at);
            if enough || newest_unread.is_none() {
                return Ok(found);
            }
            window = window.saturating_mul(4);
        }
    }

    /// The letter at a place.
    pub fn at(&mut self, partition: Partition, offset: Offset) -> Result<Filed> {
        let absent = Error::NoLetter { topic: self.log.topic().clone(), partition, offset };
        let part = self.log.parts().iter().find(|(part, _)| part.partition == partition).cloned();
        let Some((part, span)) = part.filter(|(_, span)| (span.start..span.end).contains(&offset)) else {
            return Err(absent);
        };
        let mut taken = None;
        // Of a compacted topic, or at a control marker, the next record is another one.
        self.read(&[(part, Span { start: offset, end: span.end })], &mut |record, told| {
            taken = (record.offset == offset).then(|| (record.to_record(), told));
            ControlFlow::Break(())
        })?;
        let (record, found) = taken.ok_or(absent)?;
        Ok(Filed { record, offset, found: found? })
    }

    fn read(
        &mut self,
        spans: &[(TopicPartition, Span)],
        each: &mut dyn FnMut(&RecordRef<'_>, Result<Found>) -> ControlFlow<()>,
    ) -> Result<()> {
        Ok(self.log.records(spans, &mut |record| each(record, recognise(record.headers)))?)
    }
}

impl Filed {
    /// When it failed last.
    pub fn last_at(&self) -> Millis {
        self.found.times(self.record.timestamp).1
    }
}

//! Reads a topic of dead letters: all of it, what is newest, or one letter.
//!
//! Reading is for tools: blocking, in bounded time between two records, outside any group. Only committed letters are seen. What
//! is added while a reading is under way is not waited for: it ends where the topic ended when it was opened.

use super::{Error, Filter, Found, Result, recognise};
use crate::broker::{
    self, Broker, Guarantee, Isolation, Limit, LogReader, Op, Outcome, Span, TransactionSettings, Transactions, TroubleKind,
};
use crate::record::{Millis, Offset, Partition, Record, RecordRef, Text, TopicPartition};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for an answer about offsets.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for records that are known to be there.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Limit = Limit { records: 10_000, time: Duration::from_millis(200) };
/// Letters that a first look at the end of each partition takes, for each that is wanted.
const FIRST_LOOK: Offset = 2;

/// A topic of dead letters, as it was when it was opened.
pub struct Shelf {
    topic: Text,
    parts: Vec<(TopicPartition, Span)>,
    reader: Box<dyn LogReader>,
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
        let topic = Text::new(topic);
        let known = broker.admin()?.topics()?;
        let partitions = known.iter().find(|known| known.name == topic).map(|known| known.partitions);
        let Some(partitions) = partitions else { return Err(Error::NoTopic { topic }) };
        let all = (0..partitions).map(|number| TopicPartition {
            topic: topic.clone(),
            partition: Partition::try_from(number).expect("a cluster counts partitions in 31 bits"),
        });
        let mut look_ups = look_ups(broker, &topic)?;
        let op = Op::Ends { partitions: all.collect(), isolation: Isolation::ReadCommitted };
        let Outcome::Ends(parts) = look_ups.ask(op)? else { unreachable!("ends are answered with ends") };
        Ok(Self { topic, parts, reader: broker.log_reader(Isolation::ReadCommitted)? })
    }

    /// Offsets from the first letter to the last: at least as many as there are letters.
    pub fn span(&self) -> u64 {
        self.parts.iter().map(|(_, span)| (span.end - span.start).max(0).unsigned_abs()).sum()
    }

    /// Hands every record over, with what it tells, until `each` breaks; those of a partition in order.
    pub fn each(&mut self, each: &mut dyn FnMut(&RecordRef<'_>, Result<Found>) -> ControlFlow<()>) -> Result<()> {
        let spans = self.parts.clone();
        self.read(&spans, each)
    }

    /// The newest letters that a filter holds for, the newest first; none that failed before `since`.
    pub fn newest(&mut self, limit: usize, filter: Option<&Filter>, since: Millis) -> Result<Vec<Filed>> {
        let mut found: Vec<Filed> = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        let mut window = Offset::try_from(limit).unwrap_or(Offset::MAX).saturating_mul(FIRST_LOOK);
        let mut before: Vec<(TopicPartition, Span)> = self.parts.clone();
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
                if at >= since && filter.is_none_or(|filter| filter.holds(record, &told)) {
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
        let absent = Error::NoLetter { topic: self.topic.clone(), partition, offset };
        let part = self.parts.iter().find(|(part, _)| part.partition == partition);
        let Some((part, span)) = part.filter(|(_, span)| (span.start..span.end).contains(&offset)) else {
            return Err(absent);
        };
        let mut taken = None;
        // Of a compacted topic, or at a control marker, the next record is another one.
        self.read(&[(part.clone(), Span { start: offset, end: span.end })], &mut |record, told| {
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
        let spans: Vec<_> = spans.iter().filter(|(_, span)| span.start < span.end).cloned().collect();
        let from: Vec<_> = spans.iter().map(|(part, span)| (part.clone(), span.start)).collect();
        self.reader.assign(&from)?;
        let mut stopped = false;
        let mut silent = Duration::ZERO;
        while !stopped && spans.iter().any(|(part, span)| self.reader.position(part) < span.end) {
            let before: Vec<Offset> = spans.iter().map(|(part, _)| self.reader.position(part)).collect();
            let polled = self.reader.poll(POLL, &mut |record| {
                let end = spans.iter().find(|(part, _)| part.partition == record.partition).map(|(_, span)| span.end);
                if !stopped && end.is_some_and(|end| record.offset < end) {
                    stopped = each(&record, recognise(record.headers)).is_break();
                }
            });
            polled.map_err(|trouble| Error::Unreachable {
                topic: trouble.input.topic,
                partition: trouble.input.partition,
                why: said(trouble.kind),
            })?;
            let moved = spans.iter().zip(before).any(|((part, _), before)| self.reader.position(part) > before);
            silent = if moved { Duration::ZERO } else { silent + POLL.time };
            if silent >= SILENCE_MAX {
                let (topic, partition) = (self.topic.clone(), spans[0].0.partition);
                return Err(Error::Unreachable { topic, partition, why: "nothing comes from the cluster" });
            }
        }
        Ok(())
    }
}

impl Filed {
    /// When it failed last.
    pub fn last_at(&self) -> Millis {
        self.found.times(self.record.timestamp).1
    }
}

fn said(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::OffsetOutOfRange => "its log was cut while it was read",
        TroubleKind::Missing => "it is gone",
        TroubleKind::Denied => "reading it is not allowed (ACL: Read on the topic)",
        TroubleKind::Other => "the cluster cannot read it",
    }
}

/// A lane that only looks offsets up, its producer is never made; and what rings when it has an answer.
fn look_ups(broker: &dyn Broker, topic: &Text) -> Result<LookUps> {
    let (ring, answered) = channel();
    let lane = broker.transactions(&TransactionSettings {
        guarantee: Guarantee::default(),
        group: topic.clone(),
        transactional_id: topic.clone(),
        client_id: "skald-dlq".into(),
        transaction_timeout: Duration::from_secs(10),
        max_message_bytes: 1 << 20,
        max_batch_bytes: 1 << 20,
        wake: Arc::new(move || {
            // Nobody listens once the shelf is closed.
            let _ = ring.send(());
        }),
    })?;
    Ok(LookUps { lane, answered })
}

struct LookUps {
    lane: Box<dyn Transactions>,
    answered: Receiver<()>,
}

impl LookUps {
    fn ask(&mut self, op: Op) -> Result<Outcome> {
        self.lane.submit(op);
        loop {
            if let Some(reply) = self.lane.reply() {
                return Ok(reply.result?);
            }
            if self.answered.recv_timeout(LOOK_UP_TIMEOUT).is_err() {
                let message = format!("no answer within {LOOK_UP_TIMEOUT:?}");
                return Err(broker::Error::new(broker::ErrorClass::Retry, "looking offsets up", message).into());
            }
        }
    }
}

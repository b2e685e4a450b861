//! Topics read whole, outside any group: from where they begin to where they ended when they were opened.

use super::{Error, Result};
use crate::broker::{
    self, Broker, ErrorClass, Guarantee, Isolation, Limit, LogReader, Op, Outcome, Span, TransactionSettings, Transactions,
    TroubleKind,
};
use crate::record::{Millis, Offset, Partition, RecordRef, Text, TopicPartition};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longest wait for an answer about offsets.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for records that are known to be there.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Limit = Limit { records: 10_000, time: Duration::from_millis(200) };

/// Partitions of a topic, read as they were when they were opened. Only committed records are seen.
pub(super) struct Whole {
    topic: Text,
    parts: Vec<(TopicPartition, Span)>,
    reader: Box<dyn LogReader>,
}

impl Whole {
    /// Opens these partitions of a topic, from the first record at or after a moment.
    pub(super) fn open(broker: &dyn Broker, topic: &Text, partitions: &[Partition], since: Option<Millis>) -> Result<Self> {
        let all = partitions.iter().map(|partition| TopicPartition { topic: topic.clone(), partition: *partition });
        let mut look_ups = LookUps::new(broker, topic)?;
        let op = Op::Ends { partitions: all.collect(), isolation: Isolation::ReadCommitted };
        let Outcome::Ends(mut parts) = look_ups.ask(op)? else { unreachable!("ends are answered with ends") };
        if let Some(since) = since {
            let asked = parts.iter().map(|(part, _)| (part.clone(), since)).collect();
            let Outcome::Offsets(found) = look_ups.ask(Op::OffsetsAt(asked))? else {
                unreachable!("moments are answered with offsets")
            };
            for (part, span) in &mut parts {
                if let Some((_, offset)) = found.iter().find(|(known, _)| known == part) {
                    span.start = (*offset).clamp(span.start, span.end);
                }
            }
        }
        Ok(Self { topic: topic.clone(), parts, reader: broker.log_reader(Isolation::ReadCommitted)? })
    }

    /// Offsets from the first record to the last: at least as many as there are records.
    pub(super) fn span(&self) -> u64 {
        self.parts.iter().map(|(_, span)| (span.end - span.start).max(0).unsigned_abs()).sum()
    }

    /// Hands every record over until `each` breaks; those of a partition in order.
    pub(super) fn each(&mut self, each: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>) -> Result<()> {
        let spans: Vec<_> = self.parts.iter().filter(|(_, span)| span.start < span.end).cloned().collect();
        let from: Vec<_> = spans.iter().map(|(part, span)| (part.clone(), span.start)).collect();
        self.reader.assign(&from)?;
        let mut stopped = false;
        let mut silent = Duration::ZERO;
        while !stopped && spans.iter().any(|(part, span)| self.reader.position(part) < span.end) {
            let before: Vec<Offset> = spans.iter().map(|(part, _)| self.reader.position(part)).collect();
            let polled = self.reader.poll(POLL, &mut |record| {
                let end = spans.iter().find(|(part, _)| part.partition == record.partition).map(|(_, span)| span.end);
                if !stopped && end.is_some_and(|end| record.offset < end) {
                    stopped = each(&record).is_break();
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

fn said(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::OffsetOutOfRange => "its log was cut while it was read",
        TroubleKind::Missing => "it is gone",
        TroubleKind::Denied => "reading it is not allowed (ACL: Read on the topic)",
        TroubleKind::Other => "the cluster cannot read it",
    }
}

/// A lane that only looks offsets up, its producer is never made; and what rings when it has an answer.
struct LookUps {
    lane: Box<dyn Transactions>,
    answered: Receiver<()>,
}

impl LookUps {
    fn new(broker: &dyn Broker, topic: &Text) -> Result<Self> {
        let (ring, answered) = channel();
        let lane = broker.transactions(&TransactionSettings {
            guarantee: Guarantee::default(),
            group: topic.clone(),
            transactional_id: topic.clone(),
            client_id: "skald-desk".into(),
            transaction_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            max_batch_bytes: 1 << 20,
            wake: Arc::new(move || {
                // Nobody listens once the topic was read.
                let _ = ring.send(());
            }),
        })?;
        Ok(Self { lane, answered })
    }

    fn ask(&mut self, op: Op) -> Result<Outcome> {
        self.lane.submit(op);
        loop {
            if let Some(reply) = self.lane.reply() {
                return Ok(reply.result?);
            }
            if self.answered.recv_timeout(LOOK_UP_TIMEOUT).is_err() {
                let message = format!("no answer within {LOOK_UP_TIMEOUT:?}");
                return Err(broker::Error::new(ErrorClass::Retry, "looking offsets up", message).into());
            }
        }
    }
}

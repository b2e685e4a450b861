//! Topics as tools read them: blocking, from places that were looked up, outside any group.
//!
//! A [`Log`] knows where its partitions begin and end; [`Log::read`] hands their records over up to those ends, or follows what is
//! added. Nothing is committed and nobody else notices. What a record means is left to whoever reads.

mod lookup;

pub use lookup::Lookup;

use crate::broker::{Broker, Error, ErrorClass, Isolation, Limit, LogReader, Outcome, Result, Span, Trouble, TroubleKind};
use crate::broker::{Op, Transactions};
use crate::record::{Millis, Offset, Partition, RecordRef, Text, TopicPartition};
use std::ops::ControlFlow;
use std::time::Duration;

/// Longest wait for records that are known to be there.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const POLL: Limit = Limit { records: 10_000, time: Duration::from_millis(100) };

/// A topic with the spans of its partitions, as they were when it was opened.
pub struct Log {
    topic: Text,
    parts: Vec<(TopicPartition, Span)>,
    lookup: Lookup,
    reader: Box<dyn LogReader>,
}

/// What a reading hands over.
pub enum Step<'r> {
    /// A record.
    Record(&'r RecordRef<'r>),
    /// Nothing more is there right now.
    Pause,
}

impl Log {
    /// Opens a topic; `None`: there is none of that name.
    pub fn open(broker: &dyn Broker, topic: &str, isolation: Isolation) -> Result<Option<Self>> {
        let topic = Text::new(topic);
        let known = broker.admin()?.topics()?;
        let Some(partitions) = known.iter().find(|known| known.name == topic).map(|known| known.partitions) else {
            return Ok(None);
        };
        let all: Vec<Partition> = (0..partitions).filter_map(|number| Partition::try_from(number).ok()).collect();
        Self::of(broker, &topic, &all, isolation).map(Some)
    }

    /// Opens these partitions of a topic.
    pub fn of(broker: &dyn Broker, topic: &Text, partitions: &[Partition], isolation: Isolation) -> Result<Self> {
        let mut lookup = Lookup::new(broker)?;
        let all = partitions.iter().map(|partition| TopicPartition::new(topic.clone(), *partition));
        let parts = lookup.ends(all.collect(), isolation)?;
        Ok(Self { topic: topic.clone(), parts, lookup, reader: broker.log_reader(isolation)? })
    }

    /// Leaves out what lies before the first record at or after a moment.
    pub fn since(&mut self, at: Millis) -> Result<()> {
        for (part, offset) in self.offsets_at(at)? {
            for (_, span) in self.parts.iter_mut().filter(|(known, _)| *known == part) {
                span.start = offset.clamp(span.start, span.end);
            }
        }
        Ok(())
    }

    /// Its name.
    pub fn topic(&self) -> &Text {
        &self.topic
    }

    /// Offsets from the beginnings to the ends: at least as many as there are records.
    pub fn span(&self) -> u64 {
        self.parts.iter().map(|(_, span)| (span.end - span.start).max(0).unsigned_abs()).sum()
    }

    /// Its partitions, with the first and the next offset of each.
    pub fn parts(&self) -> &[(TopicPartition, Span)] {
        &self.parts
    }

    /// Offsets of the first records at or after a moment, partition by partition.
    pub fn offsets_at(&mut self, at: Millis) -> Result<Vec<(TopicPartition, Offset)>> {
        let asked = self.parts.iter().map(|(part, _)| (part.clone(), at)).collect();
        match self.lookup.ask(Op::OffsetsAt(asked))? {
            Outcome::Offsets(found) => Ok(found),
            _ => Err(lookup::unexpected()),
        }
    }

    /// Hands the records of these spans over, those of a partition in order, until `each` breaks or all ends are reached; with
    /// `follow` the ends are not looked at.
    pub fn read(
        &mut self,
        spans: &[(TopicPartition, Span)],
        follow: bool,
        each: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let spans: Vec<_> = spans.iter().filter(|(_, span)| follow || span.start < span.end).cloned().collect();
        if spans.is_empty() {
            return Ok(());
        }
        let from: Vec<_> = spans.iter().map(|(part, span)| (part.clone(), span.start)).collect();
        self.reader.assign(&from)?;
        let mut silent = Duration::ZERO;
        loop {
            let place = |reader: &dyn LogReader| spans.iter().map(|(part, _)| reader.position(part)).collect::<Vec<_>>();
            let before = place(&*self.reader);
            let mut stopped = false;
            let polled = self.reader.poll(POLL, &mut |record| {
                let span = spans.iter().find(|(part, _)| part.partition == record.partition).map(|(_, span)| span);
                if !stopped && span.is_some_and(|span| follow || record.offset < span.end) {
                    stopped = each(Step::Record(&record)).is_break();
                }
            });
            polled.map_err(|trouble| said(&trouble))?;
            let after = place(&*self.reader);
            let ended = !follow && spans.iter().zip(&after).all(|((_, span), position)| *position >= span.end);
            if stopped || each(Step::Pause).is_break() || ended {
                return Ok(());
            }
            silent = if after == before { silent + POLL.time } else { Duration::ZERO };
            if !follow && silent >= SILENCE_MAX {
                return Err(Error::new(
                    ErrorClass::Retry,
                    format!("reading `{}`", self.topic),
                    "nothing comes from the cluster",
                ));
            }
        }
    }

    /// The records of these spans up to their ends, until `each` breaks.
    pub fn records(
        &mut self,
        spans: &[(TopicPartition, Span)],
        each: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        self.read(spans, false, &mut |step| match step {
            Step::Record(record) => each(record),
            Step::Pause => ControlFlow::Continue(()),
        })
    }

    /// All records from the beginnings to the ends.
    pub fn read_all(&mut self, each: &mut dyn FnMut(&RecordRef<'_>)) -> Result<()> {
        let spans = self.parts.clone();
        self.records(&spans, &mut |record| {
            each(record);
            ControlFlow::Continue(())
        })
    }
}

fn said(trouble: &Trouble) -> Error {
    let input = &trouble.input;
    let right = || Text::from(format!("Topic {}: Read", input.topic));
    let (class, message) = match trouble.kind {
        TroubleKind::OffsetOutOfRange => (ErrorClass::Retry, "its log was cut while it was read"),
        TroubleKind::Missing => (ErrorClass::Missing(input.topic.clone()), "it is not there"),
        TroubleKind::Denied => (ErrorClass::Denied(right()), "reading it is not allowed (ACL: Read on the topic)"),
        TroubleKind::Other => (ErrorClass::Retry, "the cluster cannot read it"),
    };
    Error::new(class, format!("reading `{}-{}`", input.topic, input.partition), message)
}

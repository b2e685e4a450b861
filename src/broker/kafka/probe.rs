//! Finds out which input an error of reading belongs to.
//!
//! librdkafka knows, its Rust interface does not tell. The probe reads each candidate by itself at its position, with a client
//! of its own on a thread of its own, and reports those that cannot be read there.

use super::context::ReaderContext;
use super::reader::Reader;
use super::{error::About, properties::Properties, spawn};
use crate::broker::{Isolation, Limit, LogReader, Result, Trouble, TroubleKind, Wake};
use crate::clock::{Clock, SystemClock};
use crate::record::{Offset, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long one candidate may take to show what it is.
const CANDIDATE_TIMEOUT: Duration = Duration::from_secs(3);

/// A search under way.
pub(super) struct Probe {
    found: Receiver<Vec<Trouble>>,
}

impl Probe {
    pub(super) fn start(
        properties: &Arc<Properties>,
        group: &str,
        candidates: Vec<(TopicPartition, Offset)>,
        suspected: TroubleKind,
        wake: Wake,
    ) -> Result<Self> {
        let (report, found) = channel();
        let (properties, group) = (properties.clone(), group.to_owned());
        spawn("kafka-probe", move || {
            let troubled = search(&properties, &group, &candidates, suspected).unwrap_or_else(|error| {
                tracing::warn!("cannot find out which input has trouble: {error}");
                Vec::new()
            });
            // The member may be gone by now.
            let _ = report.send(troubled);
            wake();
        })?;
        Ok(Self { found })
    }

    pub(super) fn result(&self) -> Option<Vec<Trouble>> {
        self.found.try_recv().ok()
    }
}

fn search(
    properties: &Arc<Properties>,
    group: &str,
    candidates: &[(TopicPartition, Offset)],
    suspected: TroubleKind,
) -> Result<Vec<Trouble>> {
    let mut troubled = Vec::new();
    if suspected == TroubleKind::OffsetOutOfRange {
        troubled = out_of_range(properties, group, candidates)?;
    }
    if troubled.is_empty() {
        for (input, position) in candidates {
            troubled.extend(read(properties, input, *position)?);
        }
    }
    if troubled.is_empty() {
        // Something has stopped reading, and no input admits to it: all of them are named rather than none.
        tracing::warn!("an input stopped for reason `{suspected:?}`, and none shows it: all are taken for it");
        troubled = candidates.iter().map(|(input, _)| Trouble { input: input.clone(), kind: suspected }).collect();
    }
    Ok(troubled)
}

/// The quick way for the usual case: positions before the start or behind the end.
fn out_of_range(properties: &Arc<Properties>, group: &str, candidates: &[(TopicPartition, Offset)]) -> Result<Vec<Trouble>> {
    let about = About::new("looking for an offset out of range");
    let config = properties.reader(group, Isolation::ReadUncommitted);
    let client: BaseConsumer<ReaderContext> =
        config.create_with_context(ReaderContext::default()).map_err(|error| about.error(&error))?;
    let ask = |place: Place| {
        let mut list = TopicPartitionList::with_capacity(candidates.len());
        for (one, _) in candidates {
            list.add_partition_offset(&one.topic, one.partition, place).map_err(|error| about.error(&error))?;
        }
        client.offsets_for_times(list, CANDIDATE_TIMEOUT).map_err(|error| about.error(&error))
    };
    let (starts, ends) = (ask(Place::Beginning)?, ask(Place::End)?);
    let offset = |list: &TopicPartitionList, one: &TopicPartition| match list.find_partition(&one.topic, one.partition) {
        Some(found) if found.error().is_ok() => found.offset().to_raw(),
        _ => None,
    };
    let outside = candidates.iter().filter(|(input, position)| {
        offset(&starts, input).is_some_and(|start| *position < start) || offset(&ends, input).is_some_and(|end| *position > end)
    });
    Ok(outside.map(|(input, _)| Trouble { input: input.clone(), kind: TroubleKind::OffsetOutOfRange }).collect())
}

/// The thorough way: reads the input until it shows a record, its end or its trouble.
fn read(properties: &Arc<Properties>, input: &TopicPartition, position: Offset) -> Result<Option<Trouble>> {
    let clock = SystemClock::new();
    let mut reader = Reader::new(properties, Isolation::ReadCommitted)?;
    reader.assign(&[(input.clone(), position)])?;
    let mut records = 0;
    while clock.mono() < CANDIDATE_TIMEOUT && records == 0 && !reader.at_end(input) {
        let limit = Limit { records: 1, time: Duration::from_millis(100) };
        if let Err(trouble) = reader.poll(limit, &mut |_| records += 1) {
            return Ok(Some(trouble));
        }
    }
    Ok(None)
}

//! A member of a group whose partitions the cluster assigns, a few at a time: what it takes over and lets go.

use super::super::error::About;
use super::super::increments::{Answer, Increments, Told};
use super::super::membership::MemberContext;
use super::{Member, NOWHERE};
use crate::broker::{Polled, Result};
use crate::clock::Clock as _;
use crate::record::TopicPartition;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;
use std::time::Duration;

/// With the consumer protocol the client tells of partitions only, never of a group joined without any. What gets nothing for so long
/// after it was started is taken for spare, or it would never be ready.
const SPARE_AFTER: Duration = Duration::from_secs(3);

impl Member {
    /// What the group has changed since the last look.
    pub(super) fn increment(&mut self) -> Option<Polled> {
        loop {
            let increments = self.increments.as_mut().filter(|increments| !increments.waits())?;
            if let Some(all) = increments.granted() {
                return Some(Polled::Assigned(all));
            }
            let Some(noted) = self.noted() else {
                if self.was_told || self.clock.mono() < SPARE_AFTER {
                    return None;
                }
                self.increments.as_mut()?.spare();
                self.was_told = true;
                continue;
            };
            self.was_told = true;
            match self.increments.as_mut()?.noted(noted) {
                Told::Revoked { lost } => return Some(Polled::Revoked { lost }),
                Told::Granted => {}
                Told::Nothing(answer) => {
                    if let Err(error) = give(self.consumer(), &answer) {
                        return Some(Polled::Fatal(About::new("answering the group").error(&error)));
                    }
                }
            }
        }
    }

    /// Takes over what came in; the rest is held and paused.
    pub(super) fn accept_increment(&mut self) -> Result<()> {
        let about = About::new("taking over partitions").of_group(self.group.clone());
        let Some(answer) = self.increments.as_mut().and_then(Increments::accepted) else { return Ok(()) };
        give(self.consumer(), &answer).map_err(|error| about.error(&error))
    }

    /// Lets go what the group wants; the rest is held and paused.
    pub(super) fn release_increment(&mut self) -> Result<()> {
        let about = About::new("letting partitions go");
        let Some(increments) = &mut self.increments else { return Ok(()) };
        let held = list_of(increments.held());
        let answer = increments.released();
        let held_on = increments.held();
        self.stopped.retain(|one| held_on.contains(one));
        if held.count() > 0 {
            self.consumer().pause(&held).map_err(|error| about.error(&error))?;
        }
        answer.map_or(Ok(()), |answer| give(self.consumer(), &answer)).map_err(|error| about.error(&error))
    }
}

/// Gives the client its answer; what comes in is paused.
pub(super) fn give(consumer: &BaseConsumer<MemberContext>, answer: &Answer) -> KafkaResult<()> {
    match answer {
        Answer::Drop(partitions) => consumer.incremental_unassign(&list_of(partitions)),
        Answer::Take(partitions) => {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for one in partitions {
                list.add_partition_offset(&one.topic, one.partition, NOWHERE)?;
            }
            consumer.incremental_assign(&list)?;
            if partitions.is_empty() { Ok(()) } else { consumer.pause(&list) }
        }
    }
}

fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for one in partitions {
        list.add_partition(&one.topic, one.partition);
    }
    list
}

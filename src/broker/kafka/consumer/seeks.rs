//! Where a member reads on: seeks, and what starts a partition that takes none.

use super::super::error::About;
use super::super::membership::names;
use super::{Member, NOWHERE};
use crate::broker::Result;
use crate::clock::Clock as _;
use crate::record::{Offset, TopicPartition};
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::time::Duration;

/// A seek is answered as soon as librdkafka's own thread gets to it.
const SEEK_TIMEOUT: Duration = Duration::from_millis(500);
/// So long a partition may take from its assignment to accepting a seek, before it is taken for stopped.
const SEEK_DEADLINE: Duration = Duration::from_secs(1);

/// A nudge is a request whose answer is not waited for.
const NUDGE_TIMEOUT: Duration = Duration::from_millis(2);

impl Member {
    /// Resumes and seeks; `false` where a partition does not take it. A seek is needed even where the offset is right: a resumed
    /// partition alone may sleep for a second.
    pub(super) fn seek(&self, at: &[(TopicPartition, Offset)]) -> Result<bool> {
        let about = About::new("resuming partitions").of_group(self.group.clone());
        let mut list = TopicPartitionList::with_capacity(at.len());
        for (one, offset) in at {
            list.add_partition_offset(&one.topic, one.partition, Place::Offset(*offset))
                .map_err(|error| about.error(&error))?;
        }
        self.consumer().resume(&list).map_err(|error| about.error(&error))?;
        let started = self.clock.mono();
        loop {
            let late = match self.consumer().seek_partitions(list.clone(), SEEK_TIMEOUT) {
                Ok(answer) => {
                    // Not started yet, or not known yet: right after the assignment.
                    let mut late = TopicPartitionList::new();
                    for one in answer.elements().iter().filter(|one| one.error().is_err()) {
                        late.add_partition_offset(one.topic(), one.partition(), one.offset())
                            .map_err(|error| about.error(&error))?;
                    }
                    late
                }
                Err(_) => list,
            };
            if late.count() == 0 {
                self.nudge(at);
                return Ok(true);
            }
            if self.clock.mono() - started >= SEEK_DEADLINE {
                tracing::warn!(
                    "`{}` did not take a seek",
                    names(&late).iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                );
                return Ok(false);
            }
            list = late;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Wakes the client's threads of the brokers that lead these partitions, where a seek does not: a seek to offset 0 changes no
    /// state in librdkafka, and its thread would sleep on for up to a second. Any request wakes it; the answer is not wanted.
    fn nudge(&self, at: &[(TopicPartition, Offset)]) {
        let mut list = TopicPartitionList::new();
        for (one, _) in at.iter().filter(|(_, offset)| *offset == 0) {
            if let Err(error) = list.add_partition_offset(&one.topic, one.partition, Place::End) {
                tracing::debug!("{error}");
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer().offsets_for_times(list, NUDGE_TIMEOUT)
        {
            tracing::trace!("{error}");
        }
    }

    /// Assigns everything anew, these partitions at their offsets and the others where they are: the way to start a partition
    /// that librdkafka has stopped.
    pub(super) fn assign_again(&mut self, at: &[(TopicPartition, Offset)]) -> Result<()> {
        let about = About::new("resuming partitions").of_group(self.group.clone());
        if self.increments.is_some() {
            let (mut names, mut places) = (TopicPartitionList::new(), TopicPartitionList::new());
            for (one, offset) in at {
                names.add_partition(&one.topic, one.partition);
                places
                    .add_partition_offset(&one.topic, one.partition, Place::Offset(*offset))
                    .map_err(|error| about.error(&error))?;
            }
            self.consumer().incremental_unassign(&names).map_err(|error| about.error(&error))?;
            self.consumer().incremental_assign(&places).map_err(|error| about.error(&error))?;
            self.consumer().resume(&names).map_err(|error| about.error(&error))?;
            self.started_again(at);
            return Ok(());
        }
        let positions = self.known_positions();
        let (mut all, mut paused, mut read) = (TopicPartitionList::new(), TopicPartitionList::new(), TopicPartitionList::new());
        for one in &self.accepted {
            let wanted = at.iter().find(|(asked, _)| asked == one).map(|(_, offset)| *offset);
            let going = || self.resumed.get(one).filter(|_| !self.stopped.contains(one));
            let offset = wanted.or_else(|| going().map(|at| positions.get(one).copied().unwrap_or(*at)));
            let place = offset.map_or(NOWHERE, Place::Offset);
            all.add_partition_offset(&one.topic, one.partition, place).map_err(|error| about.error(&error))?;
            let list = if offset.is_some() { &mut read } else { &mut paused };
            list.add_partition(&one.topic, one.partition);
        }
        self.consumer().assign(&all).map_err(|error| about.error(&error))?;
        if paused.count() > 0 {
            self.consumer().pause(&paused).map_err(|error| about.error(&error))?;
        }
        self.consumer().resume(&read).map_err(|error| about.error(&error))?;
        self.started_again(at);
        Ok(())
    }

    fn started_again(&mut self, at: &[(TopicPartition, Offset)]) {
        self.forget_positions();
        self.stopped.retain(|one| !at.iter().any(|(asked, _)| asked == one));
        self.unsettled.extend(at.iter().map(|(one, _)| one.clone()));
    }
}

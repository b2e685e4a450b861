//! Ownership of an assignment, and commits that show it.
//!
//! A transaction shows the group's metadata as it was captured. A commit of offsets alone is made by the member itself, and the
//! client shows whatever it knows of its group at that moment: so it is made only while nothing has happened since the assignment
//! that was captured. What happens in between, the group's coordinator refuses.

use super::error::About;
use super::membership::MemberContext;
use crate::broker::{Error, ErrorClass, Ownership, Result};
use crate::record::{Offset, TopicPartition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

/// So often in a row a member's standing epoch is refused before its cluster is taken for one that never takes it. A coordinator
/// that has really moved on says so to the member within that.
const REFUSALS: u32 = 10;

/// What an [`Ownership`] of this broker holds.
pub(super) struct Token {
    /// Nothing before the first join.
    metadata: Option<ConsumerGroupMetadata>,
    /// Whose it is; ownership does not keep a member in its group.
    member: Weak<BaseConsumer<MemberContext>>,
    /// Rebalances of the member up to then.
    noted: u64,
    /// How often its epoch was refused in a row, where epochs move without an assignment.
    refusals: Option<AtomicU32>,
}

impl Token {
    /// The ownership of what the member holds now.
    pub(super) fn of(member: &Arc<BaseConsumer<MemberContext>>) -> Self {
        let noted = member.context().role.noted.load(Ordering::Acquire);
        let refusals = member.context().role.incremental.then(AtomicU32::default);
        Self { metadata: member.group_metadata(), member: Arc::downgrade(member), noted, refusals }
    }

    /// The token of an ownership that this broker gave.
    pub(super) fn from<'o>(ownership: &'o Ownership, about: &About) -> Result<&'o Self> {
        let token = ownership.0.downcast_ref::<Self>();
        token.ok_or_else(|| Error::new(ErrorClass::Fatal, about.what.clone(), "the ownership is another broker's"))
    }

    /// The group's metadata as it was captured.
    pub(super) fn metadata(&self, about: &About) -> Result<&ConsumerGroupMetadata> {
        let message = "the consumer was in no group when it was captured";
        self.metadata.as_ref().ok_or_else(|| Error::new(ErrorClass::Abortable, about.what.clone(), message))
    }

    /// The transaction has taken offsets that showed it.
    pub(super) fn taken(&self) {
        if let Some(refusals) = &self.refusals {
            refusals.store(0, Ordering::Relaxed);
        }
    }

    /// The error of a transaction that did not take offsets that showed it. With the consumer protocol a member's epoch moves while
    /// its assignment stands: from 4.3 on Kafka takes offsets from the epoch in which a partition was assigned, before it never again.
    pub(super) fn refused(&self, error: &KafkaError, about: &About) -> Error {
        let code = match error {
            KafkaError::Transaction(inner) => Some(inner.code()),
            other => other.rdkafka_error_code(),
        };
        let (Some(refusals), Some(Code::IllegalGeneration | Code::StaleMemberEpoch)) = (&self.refusals, code) else {
            return about.error(error);
        };
        if refusals.fetch_add(1, Ordering::Relaxed) + 1 < REFUSALS {
            return about.error(error);
        }
        let message = format!("{error}; the consumer protocol needs Kafka 4.3: with older brokers use the classic one");
        Error::new(ErrorClass::Fatal, about.what.clone(), message)
    }

    /// Commits offsets as the member, as long as it holds what it held.
    pub(super) fn commit(&self, offsets: &TopicPartitionList, about: &About) -> Result<()> {
        let stale = || Error::new(ErrorClass::Abortable, about.what.clone(), "the partitions are not this member's any more");
        let member = self.member.upgrade().ok_or_else(stale)?;
        if self.metadata.is_none()
            || member.context().role.noted.load(Ordering::Acquire) != self.noted
            || member.assignment_lost()
        {
            return Err(stale());
        }
        member.commit(offsets, CommitMode::Sync).map_err(|error| about.error(&error))
    }
}

/// Offsets as they are committed, each with the stamp.
pub(super) fn stamped(offsets: &[(TopicPartition, Offset)], stamp: &str, about: &About) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (one, offset) in offsets {
        let mut added = list.add_partition(&one.topic, one.partition);
        added.set_offset(Place::Offset(*offset)).map_err(|error| about.error(&error))?;
        added.set_metadata(stamp);
    }
    Ok(list)
}

//! What a member of a group is told of it.

use super::context::Context;
use crate::record::TopicPartition;
use crate::sync::lock;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A rebalance as it was noted.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assigned(Vec<TopicPartition>),
    /// `lost`: the group has already given them away.
    Revoked {
        partitions: Vec<TopicPartition>,
        lost: bool,
    },
}

/// For members of a group.
pub(super) type MemberContext = Context<Membership>;

/// Rebalances, as they came.
#[derive(Debug, Default)]
pub(super) struct Membership {
    pub(super) rebalances: Mutex<VecDeque<Rebalance>>,
    /// How many there were.
    pub(super) noted: AtomicU64,
    /// Nobody answers rebalances any more: the context does, or dropping the consumer would wait for ever.
    pub(super) closing: AtomicBool,
    /// Partitions come and go one by one, and the member's epoch moves on its own: the consumer protocol.
    pub(super) incremental: bool,
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.notes.note_served();
        let assigned = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.role.closing.load(Ordering::Acquire) {
            // The group waits for an answer either way; nothing is read any more, so "none" answers both.
            if let Err(error) = consumer.unassign() {
                tracing::debug!(target: "librdkafka", "{error}");
            }
            return;
        }
        let noted = if assigned {
            Rebalance::Assigned(names(partitions))
        } else {
            Rebalance::Revoked { partitions: names(partitions), lost: consumer.assignment_lost() }
        };
        self.role.noted.fetch_add(1, Ordering::AcqRel);
        lock(&self.role.rebalances).push_back(noted);
    }

    fn commit_callback(&self, _: rdkafka::error::KafkaResult<()>, _: &TopicPartitionList) {
        self.notes.note_served();
    }
}

/// The partitions of a list.
pub(super) fn names(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|one| TopicPartition::new(one.topic(), one.partition())).collect()
}

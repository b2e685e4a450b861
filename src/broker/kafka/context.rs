//! What the clients tell on the side: log lines, errors without an addressee, rebalances, deliveries.
//!
//! A context only takes notes. librdkafka calls it from inside `poll`, where nothing may block and nothing may call back into
//! the worker loop; whoever polls reads the notes afterwards.

use crate::broker::TroubleKind;
use crate::record::{Offset, Partition, Text, TopicPartition};
use crate::sync::lock;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, NoCustomPartitioner, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Notes that every client takes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Events served so far. `poll` returns nothing both when the queue is empty and when it served an event that is not a
    /// record; a change here tells the two apart.
    served: AtomicU64,
    trouble: AtomicBool,
    last_error: Mutex<String>,
    /// The text of the error that `poll` is about to return, which names what the returned code does not.
    last_reason: Mutex<String>,
}

impl Notes {
    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    pub(super) fn note_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    /// Was there a disconnect or a time-out since the last call?
    pub(super) fn take_trouble(&self) -> bool {
        self.trouble.swap(false, Ordering::Relaxed)
    }

    /// The last connection error, empty where there was none.
    pub(super) fn last_error(&self) -> String {
        lock(&self.last_error).clone()
    }

    pub(super) fn last_reason(&self) -> String {
        lock(&self.last_reason).clone()
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.note_served();
        // A request that timed out, or a connection lost with requests on it: the next one may be a second try.
        if matches!(facility, "REQTMOUT" | "FAIL") {
            self.trouble.store(true, Ordering::Relaxed);
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{line}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Notice => tracing::info!(target: "librdkafka", facility, "{line}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
    }

    fn error(&self, error: &KafkaError, reason: &str) {
        self.note_served();
        reason.clone_into(&mut lock(&self.last_reason));
        match error.rdkafka_error_code() {
            Some(Code::PartitionEOF) => {}
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::SSL
                | Code::Authentication
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::NetworkException,
            ) => {
                self.trouble.store(true, Ordering::Relaxed);
                // The summary that comes last tells less than the error that caused it.
                if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
                    reason.clone_into(&mut lock(&self.last_error));
                }
                tracing::warn!(target: "librdkafka", "{reason}");
            }
            _ => tracing::warn!(target: "librdkafka", "{error}: {reason}"),
        }
    }
}

/// For clients that read without a group.
#[derive(Debug, Default)]
pub(super) struct ReaderContext {
    pub(super) notes: Notes,
}

impl ClientContext for ReaderContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.notes.log(level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notes.error(&error, reason);
    }
    fn stats_raw(&self, _: &[u8]) {
        self.notes.note_served();
    }
}

impl ConsumerContext for ReaderContext {}

/// A rebalance as it was noted.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assigned(Vec<TopicPartition>),
    Revoked { lost: bool },
}

/// For members of a group.
#[derive(Debug, Default)]
pub(super) struct MemberContext {
    pub(super) notes: Notes,
    pub(super) rebalances: Mutex<VecDeque<Rebalance>>,
    /// Nobody answers rebalances any more: the context does, or dropping the consumer would wait for ever.
    pub(super) closing: AtomicBool,
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.notes.log(level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notes.error(&error, reason);
    }
    fn stats_raw(&self, _: &[u8]) {
        self.notes.note_served();
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.notes.note_served();
        let assigned = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Acquire) {
            // The group waits for an answer either way; nothing is read any more, so "none" answers both.
            if let Err(error) = consumer.unassign() {
                tracing::debug!(target: "librdkafka", "{error}");
            }
            return;
        }
        let noted = if assigned {
            Rebalance::Assigned(names(partitions))
        } else {
            Rebalance::Revoked { lost: consumer.assignment_lost() }
        };
        lock(&self.rebalances).push_back(noted);
    }

    fn commit_callback(&self, _: rdkafka::error::KafkaResult<()>, _: &TopicPartitionList) {
        self.notes.note_served();
    }
}

/// The partitions of a list.
pub(super) fn names(list: &TopicPartitionList) -> Vec<TopicPartition> {
    list.elements().iter().map(|one| TopicPartition::new(one.topic(), one.partition())).collect()
}

/// For producers.
#[derive(Debug, Default)]
pub(super) struct ProducerSide {
    pub(super) notes: Notes,
    deliveries: Mutex<Deliveries>,
}

/// What became of the records handed over.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// Offset after the last record by topic index and partition; reports of a partition come in order.
    pub(super) ends: FxHashMap<(u16, Partition), Option<Offset>>,
    /// The first failure; one that tells the cause goes before one that only says that the record was thrown away.
    pub(super) failed: Option<DeliveryFailure>,
}

#[derive(Clone, Debug)]
pub(super) struct DeliveryFailure {
    pub(super) topic: Text,
    pub(super) partition: Partition,
    pub(super) code: RDKafkaErrorCode,
}

impl DeliveryFailure {
    /// Thrown away because the transaction had failed already.
    pub(super) fn is_purge(&self) -> bool {
        matches!(self.code, Code::PurgeQueue | Code::PurgeInflight)
    }
}

impl ProducerSide {
    /// What was reported since the last call.
    pub(super) fn take_deliveries(&self) -> Deliveries {
        std::mem::take(&mut *lock(&self.deliveries))
    }

    pub(super) fn failure(&self) -> Option<DeliveryFailure> {
        lock(&self.deliveries).failed.clone()
    }
}

impl ClientContext for ProducerSide {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.notes.log(level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.notes.error(&error, reason);
    }
    fn stats_raw(&self, _: &[u8]) {
        self.notes.note_served();
    }
}

impl ProducerContext<NoCustomPartitioner> for ProducerSide {
    /// Index of the topic in its batch.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, topic_index: usize) {
        self.notes.note_served();
        let mut deliveries = lock(&self.deliveries);
        match result {
            Ok(message) => {
                let end = (message.offset() >= 0).then(|| message.offset() + 1);
                deliveries.ends.insert((topic_index as u16, message.partition()), end);
            }
            Err((error, message)) => {
                let failure = DeliveryFailure {
                    topic: message.topic().into(),
                    partition: message.partition(),
                    code: error.rdkafka_error_code().unwrap_or(Code::Unknown),
                };
                if deliveries.failed.as_ref().is_none_or(|known| known.is_purge() && !failure.is_purge()) {
                    deliveries.failed = Some(failure);
                }
            }
        }
    }
}

/// What an error of reading means for the input it belongs to; `None` for what the client overcomes by itself.
pub(super) fn trouble_kind(code: Code) -> Option<TroubleKind> {
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::NoOffset | Code::LogTruncation => {
            Some(TroubleKind::OffsetOutOfRange)
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
            Some(TroubleKind::Missing)
        }
        Code::TopicAuthorizationFailed => Some(TroubleKind::Denied),
        Code::PartitionEOF
        | Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::SSL
        | Code::Authentication
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::NetworkException
        | Code::WaitingForCoordinator
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::RebalanceInProgress
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::PollExceeded
        | Code::AssignmentLost
        | Code::DestroyBroker
        | Code::Retry => None,
        // The broker finds its log damaged where we read.
        Code::InvalidMessage => Some(TroubleKind::Other),
        // Whatever else a broker answers to a fetch, the client asks again, and nothing is passed over.
        code if !is_of_client(code) => None,
        // A batch that the client cannot make sense of: it goes on behind it.
        _ => Some(TroubleKind::Other),
    }
}

/// Is it the client that says this, and not a broker?
pub(super) fn is_of_client(code: Code) -> bool {
    (code as i32) < Code::Unknown as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_no_trouble_and_what_loses_records_is() {
        for (code, kind) in [
            (Code::AutoOffsetReset, Some(TroubleKind::OffsetOutOfRange)),
            (Code::UnknownTopicOrPartition, Some(TroubleKind::Missing)),
            (Code::TopicAuthorizationFailed, Some(TroubleKind::Denied)),
            (Code::InvalidMessage, Some(TroubleKind::Other)),
            (Code::BadMessage, Some(TroubleKind::Other)),
            (Code::BadCompression, Some(TroubleKind::Other)),
            (Code::NotImplemented, Some(TroubleKind::Other)),
            (Code::Unknown, None),
            (Code::KafkaStorageError, None),
            (Code::OffsetNotAvailable, None),
            (Code::FencedLeaderEpoch, None),
            (Code::UnknownLeaderEpoch, None),
            (Code::BrokerTransportFailure, None),
            (Code::LeaderNotAvailable, None),
        ] {
            assert_eq!(trouble_kind(code), kind, "{code:?}");
        }
    }
}

//! What became of records that were handed to a producer.

use super::context::Context;
use crate::record::{Offset, Partition, Text};
use crate::sync::lock;
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, NoCustomPartitioner, ProducerContext};
use rustc_hash::FxHashMap;
use std::sync::Mutex;

/// For producers.
pub(super) type ProducerSide = Context<Reports>;

/// Reports that were not looked at yet.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<Deliveries>);

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
    pub(super) code: Code,
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
        std::mem::take(&mut *lock(&self.role.0))
    }

    pub(super) fn failure(&self) -> Option<DeliveryFailure> {
        lock(&self.role.0).failed.clone()
    }
}

impl ProducerContext<NoCustomPartitioner> for ProducerSide {
    /// Index of the topic in its batch.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, topic_index: usize) {
        self.notes.note_served();
        let mut deliveries = lock(&self.role.0);
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

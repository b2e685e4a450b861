//! What the clients tell on the side: log lines and errors without an addressee.
//!
//! A context only takes notes. librdkafka calls it from inside `poll`, where nothing may block and nothing may call back into
//! the worker loop; whoever polls reads the notes afterwards. What only some clients tell is the context's role: `membership` of
//! those that are in a group, `deliveries` of those that write.

use crate::record::Text;
use crate::sync::lock;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What every client notes, and what those of its role note besides.
#[derive(Debug, Default)]
pub(super) struct Context<R> {
    pub(super) notes: Notes,
    pub(super) role: R,
}

impl<R: Send + Sync> ClientContext for Context<R> {
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

/// Reads without a group.
#[derive(Debug, Default)]
pub(super) struct Reads;

/// For clients that read without a group.
pub(super) type ReaderContext = Context<Reads>;

impl ConsumerContext for ReaderContext {}

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
    /// The topic that a transaction could not be extended to.
    refused: Mutex<Option<Text>>,
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

    /// The topic that made the transaction fail, where that is one that it could not be extended to: each record in flight fails
    /// with it then, and none tells the topic.
    pub(super) fn refused(&self) -> Option<Text> {
        lock(&self.refused).clone()
    }

    pub(super) fn forget_refused(&self) {
        *lock(&self.refused) = None;
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.note_served();
        if facility == "ADDPARTS"
            && let Some(topic) = refused_topic(line)
        {
            *lock(&self.refused) = Some(topic.into());
        }
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
            // Every consumer looks for the coordinator of its group, and those that only read partitions need none. A call that
            // needs it fails, and a member's poll does.
            Some(Code::GroupAuthorizationFailed) => tracing::debug!(target: "librdkafka", "{error}: {reason}"),
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

/// The topic of `Failed to add partition "shop.dlq" [0] to transaction: …`; not of those that were refused for another's sake.
fn refused_topic(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("Failed to add partition \"")?;
    let (topic, why) = rest.split_once("\" [")?;
    (!why.ends_with("Operation not attempted")).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_topics_of_a_transaction_the_one_at_fault_is_told() {
        for (line, topic) in [
            (
                "[thrd:main]: TxnCoordinator/1: Failed to add partition \"a.dlq\" [0] to transaction: Broker: Operation not attempted",
                None,
            ),
            (
                "[thrd:main]: TxnCoordinator/1: Failed to add partition \"a\" [7] to transaction: Broker: Topic authorization failed",
                Some("a"),
            ),
            ("Failed to add partition \"a", None),
            ("Current transaction failed", None),
        ] {
            assert_eq!(refused_topic(line), topic, "{line}");
        }
    }
}

//! From librdkafka's codes to what the caller does next.

use crate::broker::{Error, ErrorClass};
use crate::record::Text;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// What a call was about, for errors that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// What was being done, for people.
    pub(super) what: String,
    /// `Topic shop.dlq: Write`, where a topic may be denied.
    pub(super) topic_right: Text,
    /// The topic, where one may be missing.
    pub(super) topic: Text,
    /// The consumer group, where one may be denied.
    pub(super) group: Text,
    /// The transactional id, where it may be denied.
    pub(super) transactional_id: Text,
}

impl About {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    /// The right on a topic that the call needs.
    pub(super) fn on_topic(mut self, topic: impl Into<Text>, right: &str) -> Self {
        self.topic = topic.into();
        self.topic_right = format!("Topic {}: {right}", self.topic).into();
        self
    }

    pub(super) fn of_group(mut self, group: impl Into<Text>) -> Self {
        self.group = group.into();
        self
    }

    pub(super) fn with_id(mut self, transactional_id: impl Into<Text>) -> Self {
        self.transactional_id = transactional_id.into();
        self
    }

    /// The error of a call.
    pub(super) fn error(&self, error: &KafkaError) -> Error {
        let class = match error {
            KafkaError::Transaction(inner) => {
                let code = inner.code();
                match self.by_code(code) {
                    Some(class) => class,
                    None if inner.is_fatal() => ErrorClass::Fatal,
                    None if inner.txn_requires_abort() => ErrorClass::Abortable,
                    None if inner.is_retriable() => ErrorClass::Retry,
                    None => ErrorClass::Fatal,
                }
            }
            other => match code_of(other) {
                Some(code) => self.class(code),
                // Without a code: not a matter of the cluster, so the client does not work as it is.
                None => ErrorClass::Fatal,
            },
        };
        Error::new(class, self.what.clone(), text(error))
    }

    /// The error of a call that failed with a code only.
    pub(super) fn code(&self, code: Code) -> Error {
        Error::new(self.class(code), self.what.clone(), code.to_string())
    }

    /// The class of a code where no error object says more.
    fn class(&self, code: Code) -> ErrorClass {
        self.by_code(code).unwrap_or(match code {
            Code::Fatal | Code::Inconsistent | Code::NotImplemented | Code::InvalidArgument | Code::State => ErrorClass::Fatal,
            Code::PurgeQueue | Code::PurgeInflight | Code::IllegalGeneration | Code::UnknownMemberId => ErrorClass::Abortable,
            _ => ErrorClass::Retry,
        })
    }

    /// Codes that mean the same wherever they appear.
    fn by_code(&self, code: Code) -> Option<ErrorClass> {
        Some(match code {
            Code::Fenced
            | Code::ProducerFenced
            | Code::InvalidProducerEpoch
            | Code::InvalidProducerIdMapping
            | Code::FencedInstanceId
            | Code::UnreleasedInstanceId => ErrorClass::Fenced,
            Code::TopicAuthorizationFailed if self.topic_right.is_empty() => ErrorClass::Denied("Topic".into()),
            Code::TopicAuthorizationFailed => ErrorClass::Denied(self.topic_right.clone()),
            Code::GroupAuthorizationFailed => ErrorClass::Denied(format!("Group {}: Read", self.group).into()),
            Code::TransactionalIdAuthorizationFailed => {
                ErrorClass::Denied(format!("TransactionalId {}: Write", self.transactional_id).into())
            }
            Code::ClusterAuthorizationFailed => ErrorClass::Denied("Cluster: IdempotentWrite".into()),
            Code::MessageSizeTooLarge | Code::InvalidMessageSize | Code::MessageBatchTooLarge => ErrorClass::TooLarge,
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicId => {
                ErrorClass::Missing(self.topic.clone())
            }
            // The broker looked at the record itself: without a key for a compacted topic, of a time out of the topic's bounds.
            Code::InvalidMessage | Code::InvalidRecord | Code::InvalidTimestamp => ErrorClass::Refused(self.topic.clone()),
            _ => return None,
        })
    }
}

/// The code of an error, where it has one.
fn code_of(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// What librdkafka said, without its wrapper's preamble where there is a code.
fn text(error: &KafkaError) -> String {
    match error {
        KafkaError::Transaction(inner) => inner.string(),
        other => code_of(other).map_or_else(|| other.to_string(), |code| code.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_what_happens_next() {
        let about = About::new("test").on_topic("shop.dlq", "Write").of_group("shop").with_id("shop.a.00");
        for (code, class) in [
            (Code::Fenced, ErrorClass::Fenced),
            (Code::ProducerFenced, ErrorClass::Fenced),
            (Code::TopicAuthorizationFailed, ErrorClass::Denied("Topic shop.dlq: Write".into())),
            (Code::GroupAuthorizationFailed, ErrorClass::Denied("Group shop: Read".into())),
            (Code::TransactionalIdAuthorizationFailed, ErrorClass::Denied("TransactionalId shop.a.00: Write".into())),
            (Code::MessageSizeTooLarge, ErrorClass::TooLarge),
            (Code::UnknownTopicOrPartition, ErrorClass::Missing("shop.dlq".into())),
            (Code::InvalidRecord, ErrorClass::Refused("shop.dlq".into())),
            (Code::InvalidTimestamp, ErrorClass::Refused("shop.dlq".into())),
            (Code::InvalidMessage, ErrorClass::Refused("shop.dlq".into())),
            (Code::IllegalGeneration, ErrorClass::Abortable),
            (Code::OperationTimedOut, ErrorClass::Retry),
            (Code::BrokerTransportFailure, ErrorClass::Retry),
            (Code::Fatal, ErrorClass::Fatal),
        ] {
            assert_eq!(about.code(code).class, class, "{code:?}");
        }
    }
}

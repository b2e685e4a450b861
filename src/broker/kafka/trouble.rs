//! What an error of reading means.

use crate::broker::TroubleKind;
use rdkafka::error::RDKafkaErrorCode as Code;

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

//! A lane without transactions: records are in the log when they are sent, and offsets are committed after them.

use super::cluster::State;
use super::group::{Stale, Token};
use super::lane::{Lane, Phase};
use super::log::ProducerId;
use super::transactions::Credentials;
use crate::broker::{CommittedOffset, Error, ErrorClass, Guarantee, Outcome, Result};
use crate::record::{Offset, Text, TopicPartition};

/// What such a lane has in place of a transactional id's: its coordinator knows nothing of it.
const NOBODY: Credentials = Credentials { producer: ProducerId(0), epoch: 0 };

/// Offsets that were sent and not committed yet.
pub(super) struct Noted {
    pub(super) offsets: Vec<(TopicPartition, Offset)>,
    pub(super) stamp: Text,
    pub(super) token: Token,
}

impl Lane {
    pub(super) fn is_transactional(&self) -> bool {
        self.settings.guarantee == Guarantee::ExactlyOnce
    }

    /// Makes a producer that asks the cluster nothing.
    pub(super) fn init_untransacted(&mut self) -> Result<Outcome> {
        self.reset(Phase::Ready(NOBODY));
        Ok(Outcome::Done)
    }
}

impl State {
    /// Appends what the client has queued.
    pub(super) fn send_untransacted(&mut self, lane: &mut Lane) {
        while let Some(outgoing) = lane.outbox.pop_front() {
            let Phase::Open(by) = lane.phase else { return lane.outbox.clear() };
            let place = (outgoing.topic_index, outgoing.partition.partition);
            match self.append(outgoing, None) {
                Ok(next) => drop(lane.delivered.insert(place, Some(next))),
                Err(error) => lane.fail_delivery(by, error),
            }
        }
    }

    /// Commits the offsets that were sent, if the group still takes them from this member. Unlike a transaction's, those of a
    /// member that is in no group are taken by an empty group only.
    pub(super) fn commit_untransacted(&mut self, lane: &mut Lane) -> Result<Outcome> {
        let by = lane.open()?;
        if let Some(Noted { offsets, stamp, token }) = lane.noted.take() {
            let allowed = match (self.groups.by_name.get(&token.group), token.held) {
                (Some(group), None) if !group.members.is_empty() => Err(Stale::UnknownMember),
                (Some(group), _) => group.check(&token),
                (None, Some(_)) => Err(Stale::UnknownMember),
                (None, None) => Ok(()),
            };
            if let Err(stale) = allowed {
                let error = stale.error(&token.group);
                lane.phase = Phase::Doomed(by, error.clone());
                return Err(error);
            }
            let committed = |(partition, offset)| (partition, CommittedOffset { offset, metadata: stamp.clone() });
            self.offsets.commit(&token.group, offsets.into_iter().map(committed));
        }
        lane.reset(Phase::Ready(by));
        Ok(Outcome::Done)
    }
}

impl Stale {
    /// What the client makes of it.
    pub(super) fn error(self, group: &str) -> Error {
        let (class, message) = match self {
            Self::IllegalGeneration => (ErrorClass::Abortable, "the group has gone on to another generation"),
            Self::UnknownMember => (ErrorClass::Abortable, "the group does not know this member"),
            Self::FencedInstance => (ErrorClass::Fenced, "a newer process has the static member id"),
        };
        Error::new(class, format!("sending offsets to group `{group}`"), message)
    }
}

//! What the operations of a lane come to at the broker.

use super::cluster::State;
use super::group::{Stale, Token};
use super::lane::{Lane, Pending, Phase, Request};
use super::storage::Storage;
use super::transactions::Refusal;
use super::untransacted::Noted;
use crate::broker::{CommittedOffset, Error, ErrorClass, Isolation, Outcome, Ownership, Result, Span};
use crate::record::{Offset, Text, TopicPartition};

impl State {
    /// Carries a request out as it is meant; `None` while it has to wait.
    pub(super) fn carry_out(&mut self, lane: &mut Lane, pending: &mut Pending) -> Option<Result<Outcome>> {
        let done = |result: Result<()>| Some(result.map(|()| Outcome::Done));
        match &mut pending.op {
            Request::Init { fresh } => {
                if std::mem::take(fresh) {
                    lane.reset(Phase::Down);
                }
                if let Phase::Dead(error) = &lane.phase {
                    return Some(Err(error.clone()));
                }
                if !lane.is_transactional() {
                    return Some(lane.init_untransacted());
                }
                let id = lane.settings.transactional_id.clone();
                match self.init_producer(&id, lane.settings.transaction_timeout) {
                    Ok(credentials) => {
                        lane.reset(Phase::Ready(credentials));
                        Some(Ok(Outcome::Done))
                    }
                    Err(_) => None,
                }
            }
            Request::Begin => done(lane.begin()),
            Request::Produce(queued) => done(std::mem::replace(queued, Ok(()))),
            Request::Drain => self.drain(lane),
            Request::SendOffsets { offsets, stamp, ownership } => self.send_offsets(lane, offsets, stamp, ownership),
            Request::End { commit } => self.end(lane, *commit),
            Request::Committed { partitions, isolation } => {
                let group = &lane.settings.group;
                if *isolation == Isolation::ReadCommitted && self.offsets.is_unstable(group, partitions) {
                    if self.now < pending.arrives.saturating_add(self.options.stable_read_timeout) {
                        return None;
                    }
                    let message = "an open transaction holds offsets of these partitions";
                    return Some(Err(Error::new(ErrorClass::Retry, format!("committed offsets of `{group}`"), message)));
                }
                let committed =
                    |partition: &TopicPartition| (partition.clone(), self.offsets.committed(group, partition).cloned());
                Some(Ok(Outcome::Committed(partitions.iter().map(committed).collect())))
            }
            Request::Ends { partitions, isolation } => {
                let span = |partition: &TopicPartition| {
                    let log = self.topics.existing(partition, "ends of")?;
                    Ok((partition.clone(), Span { start: log.start, end: log.end(*isolation) }))
                };
                Some(partitions.iter().map(span).collect::<Result<_>>().map(Outcome::Ends))
            }
            Request::OffsetsAt(at) => {
                let storage = &mut self.storage;
                let offset = |(partition, moment): &(TopicPartition, i64)| {
                    let log = self.topics.existing(partition, "offsets by time of")?;
                    let offset = log.offset_at(*moment, &mut |id, base| Storage::load(storage, id, base));
                    let failed =
                        |error| Error::new(ErrorClass::Fatal, format!("offsets by time of {partition}"), format!("{error:?}"));
                    Ok((partition.clone(), offset.map_err(failed)?))
                };
                Some(at.iter().map(offset).collect::<Result<_>>().map(Outcome::Offsets))
            }
            Request::Counts(topics) => {
                let count = |topic: &Text| (topic.clone(), self.topics.by_name.get(topic).map(|topic| topic.logs.len() as u32));
                Some(Ok(Outcome::Counts(topics.iter().map(count).collect())))
            }
            Request::Fence(id) => {
                let id = id.clone();
                self.init_producer(&id, lane.settings.transaction_timeout).ok().map(|_| Ok(Outcome::Done))
            }
            Request::Trim(before) => done(self.trim(before)),
        }
    }

    /// Sends what the client has queued, as far as the coordinator lets it.
    pub(super) fn send_outbox(&mut self, lane: &mut Lane) {
        if !lane.is_transactional() {
            return self.send_untransacted(lane);
        }
        while let Some(outgoing) = lane.outbox.front() {
            let Phase::Open(by) = lane.phase else { return lane.outbox.clear() };
            let id = lane.settings.transactional_id.clone();
            let partition = outgoing.partition.clone();
            let registered = match self.acceptable(outgoing) {
                Err(error) => {
                    lane.outbox.pop_front();
                    lane.fail_delivery(by, error);
                    continue;
                }
                Ok(()) if lane.registered.contains(&partition) => Ok(()),
                Ok(()) => {
                    let topic = self.topics.by_name[&partition.topic].id;
                    self.add_partition(&id, by, &partition, topic)
                }
            };
            match registered.and_then(|()| self.coordinator.verify(&id, by, &partition)) {
                Ok(()) => {}
                Err(Refusal::Concurrent) => return,
                Err(Refusal::Fenced) => return lane.die_fenced(),
                Err(Refusal::InvalidState) => {
                    lane.outbox.clear();
                    let message = "the transaction has ended without this client";
                    return lane
                        .fail_delivery(by, Error::new(ErrorClass::Abortable, format!("producing to {partition}"), message));
                }
            }
            lane.registered.insert(partition.clone());
            let Some(outgoing) = lane.outbox.pop_front() else { return };
            let topic_index = outgoing.topic_index;
            match self.append(outgoing, Some(by.producer)) {
                Ok(next) => {
                    lane.delivered.insert((topic_index, partition.partition), Some(next));
                }
                Err(error) => lane.fail_delivery(by, error),
            }
        }
    }

    fn drain(&mut self, lane: &mut Lane) -> Option<Result<Outcome>> {
        if let Some(error) = lane.failed.clone() {
            return Some(Err(error));
        }
        if let Err(error) = lane.open() {
            return Some(Err(error));
        }
        if !lane.outbox.is_empty() {
            return None;
        }
        let delivered = std::mem::take(&mut lane.delivered);
        Some(Ok(Outcome::Drained(delivered.into_iter().map(|((topic, partition), next)| (topic, partition, next)).collect())))
    }

    fn send_offsets(
        &mut self,
        lane: &mut Lane,
        offsets: &[(TopicPartition, Offset)],
        stamp: &Text,
        ownership: &Ownership,
    ) -> Option<Result<Outcome>> {
        let by = match lane.open() {
            Ok(by) => by,
            Err(error) => return Some(Err(error)),
        };
        let Some(token) = ownership.0.downcast_ref::<Token>() else {
            return Some(Err(Error::new(ErrorClass::Fatal, lane.context(), "the ownership is of another broker")));
        };
        if offsets.is_empty() {
            return Some(Ok(Outcome::Done));
        }
        if !lane.is_transactional() {
            lane.noted = Some(Noted { offsets: offsets.to_vec(), stamp: stamp.clone(), token: token.clone() });
            return Some(Ok(Outcome::Done));
        }
        match self.add_offsets(&lane.settings.transactional_id, by, &token.group) {
            Ok(()) => {}
            Err(Refusal::Concurrent) => return None,
            Err(_) => {
                lane.die_fenced();
                return Some(lane.open().map(|_| Outcome::Done));
            }
        }
        lane.groups.insert(token.group.clone());
        let group = self.groups.by_name.get(&token.group);
        let allowed =
            group.map_or(if token.held.is_some() { Err(Stale::UnknownMember) } else { Ok(()) }, |group| group.check(token));
        if let Err(stale) = allowed {
            let error = stale.error(&token.group);
            lane.phase = Phase::Doomed(by, error.clone());
            return Some(Err(error));
        }
        let committed = |(partition, offset): &(TopicPartition, Offset)| {
            (partition.clone(), CommittedOffset { offset: *offset, metadata: stamp.clone() })
        };
        self.offsets.stage(&token.group, by.producer, offsets.iter().map(committed));
        Some(Ok(Outcome::Done))
    }

    fn end(&mut self, lane: &mut Lane, commit: bool) -> Option<Result<Outcome>> {
        let by = match (&lane.phase, commit) {
            (Phase::Open(by), _) => *by,
            (Phase::Doomed(by, _), false) => *by,
            (Phase::Doomed(_, cause), true) => return Some(Err(cause.clone())),
            (Phase::Down | Phase::Ready(_) | Phase::Dead(_), _) => return Some(lane.open().map(|_| Outcome::Done)),
        };
        if commit && !lane.outbox.is_empty() {
            return None;
        }
        if commit && !lane.is_transactional() {
            return Some(self.commit_untransacted(lane));
        }
        lane.outbox.clear();
        if lane.has_begun() {
            match self.end_transaction(&lane.settings.transactional_id, by, commit) {
                Ok(()) => {}
                Err(Refusal::Concurrent) => return None,
                Err(Refusal::Fenced) => {
                    lane.die_fenced();
                    return Some(lane.open().map(|_| Outcome::Done));
                }
                Err(Refusal::InvalidState) => {
                    let error = Error::new(ErrorClass::Fatal, lane.context(), "the transaction has ended the other way");
                    lane.phase = Phase::Dead(error.clone());
                    return Some(Err(error));
                }
            }
        }
        lane.reset(Phase::Ready(by));
        Some(Ok(Outcome::Done))
    }
}

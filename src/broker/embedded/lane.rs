//! The lane: a transactional client, one operation at a time, as librdkafka presents it.
//!
//! The client's own state is here, the coordinator's in `transactions`. An operation that the coordinator answers with
//! `CONCURRENT_TRANSACTIONS`, or a read that waits for open transactions, stays pending and is tried again when something moved.

use super::append::{Outgoing, split};
use super::client::ClientKey;
use super::cluster::{Shared, State};
use super::faults::{CallKind, LaneFault};
use super::group::{Stale, Token};
use super::storage::Storage;
use super::timers::Work;
use super::transactions::{Credentials, Refusal};
use crate::broker::{
    Batch, CommittedOffset, Error, ErrorClass, Isolation, Op, Outcome, Ownership, Reply, Result, Span, TransactionSettings,
    Transactions,
};
use crate::record::{Offset, Partition, Text, TopicPartition};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Where the client's producer stands.
///
/// ```text
///  Down ──init──▶ Ready ──begin──▶ Open ──abortable error──▶ Doomed
///                   ▲                │ commit, abort            │ abort
///                   └────────────────┴──────────────────────────┘
///  any ──fatal error, fenced──▶ Dead ──rebuild──▶ Ready
/// ```
#[derive(Clone, Debug)]
enum Phase {
    Down,
    Ready(Credentials),
    Open(Credentials),
    Doomed(Credentials, Error),
    Dead(Error),
}

/// A lane's client.
pub(super) struct Lane {
    settings: TransactionSettings,
    phase: Phase,
    /// Handed to the client, not sent yet.
    outbox: VecDeque<Outgoing>,
    /// Partitions and groups that the coordinator has in the open transaction, as far as the client knows.
    registered: BTreeSet<TopicPartition>,
    groups: BTreeSet<Text>,
    delivered: BTreeMap<(u16, Partition), Option<Offset>>,
    failed: Option<Error>,
    pending: Option<Pending>,
    reply: Option<(Duration, Reply)>,
}

/// The operation under way.
struct Pending {
    op: Request,
    fault: LaneFault,
    submitted: Duration,
    /// When the request reaches the broker.
    arrives: Duration,
}

/// An operation as the client carries it out.
enum Request {
    Init {
        fresh: bool,
    },
    Begin,
    /// Did the client's queue take the records?
    Produce(Result<()>),
    Drain,
    SendOffsets {
        offsets: Vec<(TopicPartition, Offset)>,
        stamp: Text,
        ownership: Ownership,
    },
    End {
        commit: bool,
    },
    Committed {
        partitions: Vec<TopicPartition>,
        isolation: Isolation,
    },
    Ends {
        partitions: Vec<TopicPartition>,
        isolation: Isolation,
    },
    OffsetsAt(Vec<(TopicPartition, i64)>),
    Counts(Vec<Text>),
    Fence(Text),
}

impl Request {
    fn kind(&self) -> CallKind {
        match self {
            Self::Init { fresh: true } => CallKind::Rebuild,
            Self::Init { fresh: false } => CallKind::Init,
            Self::Begin => CallKind::Begin,
            Self::Produce(_) => CallKind::Produce,
            Self::Drain => CallKind::Drain,
            Self::SendOffsets { .. } => CallKind::SendOffsets,
            Self::End { commit: true } => CallKind::Commit,
            Self::End { commit: false } => CallKind::Abort,
            Self::Committed { .. } => CallKind::Committed,
            Self::Ends { .. } => CallKind::Ends,
            Self::OffsetsAt(_) => CallKind::OffsetsAt,
            Self::Counts(_) => CallKind::Counts,
            Self::Fence(_) => CallKind::Fence,
        }
    }
}

/// The caller's end of a lane.
pub(super) struct LaneHandle {
    shared: Arc<Shared>,
    key: ClientKey,
    message_bytes_max: usize,
}

impl LaneHandle {
    pub(super) fn new(shared: &Arc<Shared>, settings: &TransactionSettings) -> Self {
        let lane = Lane {
            settings: settings.clone(),
            phase: Phase::Down,
            outbox: VecDeque::new(),
            registered: BTreeSet::new(),
            groups: BTreeSet::new(),
            delivered: BTreeMap::new(),
            failed: None,
            pending: None,
            reply: None,
        };
        let key = shared.with(|state| {
            let key = state.clients.add(settings.wake.clone());
            state.lanes.insert(key, lane);
            key
        });
        Self { shared: shared.clone(), key, message_bytes_max: settings.max_message_bytes }
    }

    /// What the client does before a request is made: records are checked and queued.
    fn request(&self, op: Op) -> (Request, Vec<Outgoing>) {
        let request = match op {
            Op::Produce(batch) => {
                let (outgoing, refused) = self.enqueue(&batch);
                return (Request::Produce(refused), outgoing);
            }
            Op::Init => Request::Init { fresh: false },
            Op::Rebuild => Request::Init { fresh: true },
            Op::Begin => Request::Begin,
            Op::Drain => Request::Drain,
            Op::SendOffsets { offsets, stamp, ownership } => Request::SendOffsets { offsets, stamp, ownership },
            Op::Commit => Request::End { commit: true },
            Op::Abort => Request::End { commit: false },
            Op::Committed { partitions, isolation } => Request::Committed { partitions, isolation },
            Op::Ends { partitions, isolation } => Request::Ends { partitions, isolation },
            Op::OffsetsAt(at) => Request::OffsetsAt(at),
            Op::Counts(topics) => Request::Counts(topics),
            Op::Fence(id) => Request::Fence(id),
        };
        (request, Vec::new())
    }

    fn enqueue(&self, batch: &Batch) -> (Vec<Outgoing>, Result<()>) {
        split(batch, self.message_bytes_max)
    }
}

impl Transactions for LaneHandle {
    fn submit(&mut self, op: Op) {
        let (request, outgoing) = self.request(op);
        let key = self.key;
        let idle = self.shared.with(|state| state.start(key, request, outgoing));
        assert!(idle, "an operation of this lane is under way");
    }

    fn reply(&mut self) -> Option<Reply> {
        let key = self.key;
        self.shared.with(|state| {
            let now = state.now;
            let lane = state.lanes.get_mut(&key)?;
            lane.reply.take_if(|(ready, _)| *ready <= now).map(|(_, reply)| reply)
        })
    }

    fn abandon(&mut self) {
        let key = self.key;
        self.shared.with(|state| state.abandon(key));
    }
}

/// A lane that is dropped is a client whose process died: what it had open stays open at the broker.
impl Drop for LaneHandle {
    fn drop(&mut self) {
        let key = self.key;
        self.shared.with(|state| {
            state.abandon(key);
            state.lanes.remove(&key);
            state.clients.remove(key);
        });
    }
}

impl State {
    /// Starts an operation; false when one is under way.
    fn start(&mut self, key: ClientKey, mut op: Request, outgoing: Vec<Outgoing>) -> bool {
        let Some(lane) = self.lanes.get(&key) else { return false };
        if lane.pending.is_some() || lane.reply.is_some() {
            return false;
        }
        let client_id = lane.settings.client_id.clone();
        let fault = self.lane_fault(&client_id, op.kind());
        let (submitted, arrives) = (self.now, self.now.saturating_add(fault.request_delay));
        if let Request::Committed { isolation: Isolation::ReadCommitted, .. } = &op {
            self.timers.add(arrives.saturating_add(self.options.stable_read_timeout), Work::Lane(key));
        }
        if let Some(lane) = self.lanes.get_mut(&key) {
            if let Request::Produce(queued) = &mut op {
                // What a delivery comes to is told by the drain.
                match lane.open() {
                    Ok(_) if fault.error.as_ref().is_some_and(|error| !error.effect) => {}
                    Ok(_) => lane.outbox.extend(outgoing),
                    Err(error) => *queued = Err(error),
                }
            }
            lane.pending = Some(Pending { op, fault, submitted, arrives });
        }
        if arrives > self.now {
            self.timers.add(arrives, Work::Lane(key));
        } else {
            self.drive_lane(key);
        }
        true
    }

    /// Gives the operation under way up. What is on the wire may still arrive.
    fn abandon(&mut self, key: ClientKey) {
        let now = self.now;
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.reply = None;
        lane.outbox.clear();
        let credentials = lane.credentials();
        let id = lane.settings.transactional_id.clone();
        let pending = lane.pending.take();
        lane.phase = Phase::Dead(Error::new(ErrorClass::Fatal, lane.context(), "the operation was given up"));
        if let Some(Pending { op: Request::End { commit }, arrives, .. }) = pending
            && let Some(by) = credentials
            && arrives > now
            && arrives < Duration::MAX
        {
            self.hold_end(&id, by, commit, Duration::ZERO);
            self.timers.add(arrives, Work::LateEnd(id));
        }
    }

    /// Tries all operations that wait.
    pub(super) fn drive_waiting_lanes(&mut self) {
        let waiting: Vec<ClientKey> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.pending.is_some() || !lane.outbox.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in waiting {
            self.drive_lane(key);
        }
    }

    /// Tries a lane's operation; when it is done, its reply is on the way.
    pub(super) fn drive_lane(&mut self, key: ClientKey) {
        let Some(mut lane) = self.lanes.remove(&key) else { return };
        if lane.reply.as_ref().is_some_and(|(ready, _)| *ready <= self.now) {
            self.clients.wake(key);
        }
        self.send_outbox(&mut lane);
        if let Some(mut pending) = lane.pending.take_if(|pending| pending.arrives <= self.now) {
            match self.attempt(&mut lane, &mut pending) {
                None => lane.pending = Some(pending),
                Some(result) => {
                    let ready = self.now.saturating_add(pending.fault.reply_delay);
                    let took = ready.saturating_sub(pending.submitted);
                    let transport_trouble = pending.fault.transport_trouble;
                    lane.reply = Some((ready, Reply { took, transport_trouble, result }));
                    if ready <= self.now {
                        self.clients.wake(key);
                    } else {
                        self.timers.add(ready, Work::Lane(key));
                    }
                }
            }
        }
        self.lanes.insert(key, lane);
    }

    /// Carries the operation out, with its fault; `None` while it has to wait.
    fn attempt(&mut self, lane: &mut Lane, pending: &mut Pending) -> Option<Result<Outcome>> {
        if let Err(error) = self.check_storage() {
            return Some(Err(error));
        }
        if std::mem::take(&mut pending.fault.fenced) {
            // The stranger asks once; a transaction that is being completed is not its concern.
            let _ = self.init_producer(&lane.settings.transactional_id, lane.settings.transaction_timeout);
        }
        let injected = pending.fault.error.clone();
        if let Some(error) = injected.as_ref().filter(|error| !error.effect) {
            let error = Error::new(error.class.clone(), lane.context(), "injected: no effect");
            lane.suffer(&error, &pending.op);
            return Some(Err(error));
        }
        let before = (lane.phase.clone(), lane.registered.clone(), lane.groups.clone());
        if let Request::End { commit } = pending.op
            && let Some(delay) = pending.fault.late_end.take()
            && let Some(by) = lane.credentials().filter(|_| lane.has_begun())
        {
            self.hold_end(&lane.settings.transactional_id, by, commit, delay);
            pending.fault.reply_delay = pending.fault.reply_delay.saturating_add(self.options.socket_timeout);
            pending.fault.transport_trouble = true;
        }
        let result = self.carry_out(lane, pending)?;
        let Some(injected) = injected else { return Some(result) };
        let error = Error::new(injected.class, lane.context(), "injected: the answer was lost");
        if matches!(pending.op, Request::End { .. }) {
            // The client does not know that it is over: the same call again is legal and finds out.
            (lane.phase, lane.registered, lane.groups) = before;
        }
        lane.suffer(&error, &pending.op);
        Some(Err(error))
    }

    fn carry_out(&mut self, lane: &mut Lane, pending: &mut Pending) -> Option<Result<Outcome>> {
        let done = |result: Result<()>| Some(result.map(|()| Outcome::Done));
        match &mut pending.op {
            Request::Init { fresh } => {
                if std::mem::take(fresh) {
                    lane.reset(Phase::Down);
                }
                if let Phase::Dead(error) = &lane.phase {
                    return Some(Err(error.clone()));
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
        }
    }

    /// Sends what the client has queued, as far as the coordinator lets it.
    fn send_outbox(&mut self, lane: &mut Lane) {
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
            let message = match stale {
                Stale::IllegalGeneration => "the group has gone on to another generation",
                Stale::UnknownMember => "the group does not know this member",
                Stale::FencedInstance => "a newer process has the static member id",
            };
            let error = Error::new(ErrorClass::Abortable, format!("sending offsets to group `{}`", token.group), message);
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
            (Phase::Doomed(_, cause), true) => {
                let message = format!("the transaction can only be aborted: {}", cause.message);
                return Some(Err(Error::new(ErrorClass::Abortable, lane.context(), message)));
            }
            (Phase::Down | Phase::Ready(_) | Phase::Dead(_), _) => return Some(lane.open().map(|_| Outcome::Done)),
        };
        if commit && !lane.outbox.is_empty() {
            return None;
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

impl Lane {
    fn context(&self) -> String {
        format!("transactional id `{}`", self.settings.transactional_id)
    }

    fn credentials(&self) -> Option<Credentials> {
        match self.phase {
            Phase::Ready(by) | Phase::Open(by) | Phase::Doomed(by, _) => Some(by),
            Phase::Down | Phase::Dead(_) => None,
        }
    }

    /// Has the coordinator heard of the transaction? One that it has not needs no end.
    fn has_begun(&self) -> bool {
        !self.registered.is_empty() || !self.groups.is_empty()
    }

    fn reset(&mut self, phase: Phase) {
        self.phase = phase;
        self.outbox.clear();
        self.registered.clear();
        self.groups.clear();
        self.delivered.clear();
        self.failed = None;
    }

    fn begin(&mut self) -> Result<()> {
        match &self.phase {
            Phase::Ready(by) => {
                let by = *by;
                self.reset(Phase::Open(by));
                Ok(())
            }
            Phase::Dead(error) => Err(error.clone()),
            phase => Err(Error::new(ErrorClass::Fatal, self.context(), format!("cannot begin: {}", name(phase)))),
        }
    }

    /// The producer's credentials while a transaction is open and may still commit.
    fn open(&self) -> Result<Credentials> {
        match &self.phase {
            Phase::Open(by) => Ok(*by),
            Phase::Doomed(_, error) => Err(Error::new(ErrorClass::Abortable, error.context.clone(), error.message.clone())),
            Phase::Dead(error) => Err(error.clone()),
            phase => Err(Error::new(ErrorClass::Fatal, self.context(), format!("no transaction is open: {}", name(phase)))),
        }
    }

    fn fail_delivery(&mut self, by: Credentials, error: Error) {
        self.phase = Phase::Doomed(by, error.clone());
        self.failed.get_or_insert(error);
    }

    fn die_fenced(&mut self) {
        let message = "a newer producer has this transactional id, or the transaction was open for too long";
        self.outbox.clear();
        self.phase = Phase::Dead(Error::new(ErrorClass::Fenced, self.context(), message));
    }

    /// What an injected error does to the client.
    fn suffer(&mut self, error: &Error, op: &Request) {
        let producing = !matches!(
            op,
            Request::Committed { .. } | Request::Ends { .. } | Request::OffsetsAt(_) | Request::Counts(_) | Request::Fence(_)
        );
        match (&error.class, self.credentials()) {
            (ErrorClass::Retry, _) => {}
            _ if !producing => {}
            (ErrorClass::Fatal | ErrorClass::Fenced, _) => {
                self.outbox.clear();
                self.phase = Phase::Dead(error.clone());
            }
            (_, Some(by)) if matches!(self.phase, Phase::Open(_)) => self.phase = Phase::Doomed(by, error.clone()),
            _ => {}
        }
    }
}

fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Down => "the producer is not initialised",
        Phase::Ready(_) => "the producer is ready",
        Phase::Open(_) | Phase::Doomed(..) => "a transaction is open",
        Phase::Dead(_) => "the producer is dead",
    }
}

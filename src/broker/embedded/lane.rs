//! The lane: a transactional client, one operation at a time, as librdkafka presents it.
//!
//! The client's own state is here, what its operations do in `operations`, the coordinator's state in `transactions`. An operation that the coordinator answers with
//! `CONCURRENT_TRANSACTIONS`, or a read that waits for open transactions, stays pending and is tried again when something moved.

use super::append::{Outgoing, split};
use super::client::ClientKey;
use super::cluster::{Shared, State};
use super::faults::{CallKind, LaneFault};
use super::timers::Work;
use super::transactions::Credentials;
use super::untransacted::Noted;
use crate::broker::{
    Batch, Error, ErrorClass, Isolation, Op, Outcome, Ownership, Reply, Result, TransactionSettings, Transactions,
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
pub(super) enum Phase {
    Down,
    Ready(Credentials),
    Open(Credentials),
    /// It says why again until it is aborted.
    Doomed(Credentials, Error),
    Dead(Error),
}

/// A lane's client.
pub(super) struct Lane {
    pub(super) settings: TransactionSettings,
    pub(super) phase: Phase,
    /// Handed to the client, not sent yet.
    pub(super) outbox: VecDeque<Outgoing>,
    /// Partitions and groups that the coordinator has in the open transaction, as far as the client knows.
    pub(super) registered: BTreeSet<TopicPartition>,
    pub(super) groups: BTreeSet<Text>,
    /// Of a lane without transactions.
    pub(super) noted: Option<Noted>,
    pub(super) delivered: BTreeMap<(u16, Partition), Option<Offset>>,
    pub(super) failed: Option<Error>,
    pending: Option<Pending>,
    reply: Option<(Duration, Reply)>,
}

/// The operation under way.
pub(super) struct Pending {
    pub(super) op: Request,
    fault: LaneFault,
    submitted: Duration,
    /// When the request reaches the broker.
    pub(super) arrives: Duration,
}

/// An operation as the client carries it out.
pub(super) enum Request {
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
    Trim(Vec<(TopicPartition, Offset)>),
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
            Self::Trim(_) => CallKind::Trim,
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
            noted: None,
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
            Op::Trim(before) => Request::Trim(before),
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
}

impl Lane {
    pub(super) fn context(&self) -> String {
        format!("transactional id `{}`", self.settings.transactional_id)
    }

    pub(super) fn credentials(&self) -> Option<Credentials> {
        match self.phase {
            Phase::Ready(by) | Phase::Open(by) | Phase::Doomed(by, _) => Some(by),
            Phase::Down | Phase::Dead(_) => None,
        }
    }

    /// Has the coordinator heard of the transaction? One that it has not needs no end.
    pub(super) fn has_begun(&self) -> bool {
        !self.registered.is_empty() || !self.groups.is_empty()
    }

    pub(super) fn reset(&mut self, phase: Phase) {
        self.phase = phase;
        self.outbox.clear();
        self.registered.clear();
        self.groups.clear();
        self.noted = None;
        self.delivered.clear();
        self.failed = None;
    }

    pub(super) fn begin(&mut self) -> Result<()> {
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
    pub(super) fn open(&self) -> Result<Credentials> {
        match &self.phase {
            Phase::Open(by) => Ok(*by),
            Phase::Doomed(_, error) | Phase::Dead(error) => Err(error.clone()),
            phase => Err(Error::new(ErrorClass::Fatal, self.context(), format!("no transaction is open: {}", name(phase)))),
        }
    }

    pub(super) fn fail_delivery(&mut self, by: Credentials, error: Error) {
        self.phase = Phase::Doomed(by, error.clone());
        self.failed.get_or_insert(error);
    }

    pub(super) fn die_fenced(&mut self) {
        let message = "a newer producer has this transactional id, or the transaction was open for too long";
        self.outbox.clear();
        self.phase = Phase::Dead(Error::new(ErrorClass::Fenced, self.context(), message));
    }

    /// What an injected error does to the client.
    fn suffer(&mut self, error: &Error, op: &Request) {
        let producing = !matches!(
            op,
            Request::Committed { .. }
                | Request::Ends { .. }
                | Request::OffsetsAt(_)
                | Request::Counts(_)
                | Request::Fence(_)
                | Request::Trim(_)
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

//! Commits epochs, one at a time, and finds out what became of each.
//!
//! Lies above [`Transactions`], which only carries operations out. What is decided here: the order of operations, when a producer
//! is not to be trusted any more, and what an unknown outcome was. The answer for every epoch handed in is one [`Verdict`];
//! nothing is written to a store before it is [`Verdict::Committed`].
//!
//! An outcome is unknown from the moment the commit was submitted until its answer. It is found out by building a new producer of
//! the same id, which completes or aborts what was left open, and then reading the committed offsets of the epoch's partitions:
//! they carry this epoch's stamp, or they do not.
//!
//! ```text
//!          Init ok                Begin                    Commit or Abort answered, in time
//!   Down ─────────▶ Ready ─────────────────▶ InTransaction ──────────────────────────────────▶ Ready
//!                     ▲                        │       │   answered, late or with trouble
//!                     │                        │       └─────────────────────────────────────▶ Doubtful ─┐
//!                     │                        │ fatal, fenced, given up                                 │
//!                     │                        └─────────────────────────────────────────────▶ Dead ─────┤
//!                     └────────────────────────────── Rebuild ok ◀───────────────────────────────────────┘
//! ```

use super::crash::point;
use super::{Error, Figures, Result};
use crate::broker::{self, Batch, ErrorClass, Isolation, Op, Outcome, Ownership, Reply, Transactions};
use crate::record::{Offset, Partition, Text, TopicPartition};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A commit or abort that took longer may have been repeated by the client: see [`State::Doubtful`].
const DOUBT_AFTER_MIN: Duration = Duration::from_millis(250);
/// However slow commits have been lately: half of it is the client's wait for one request.
const DOUBT_AFTER_MAX: Duration = Duration::from_millis(2500);
/// So many of the last outcomes tell how long one takes.
const OUTCOMES_KEPT: usize = 100;
/// Fenced so often within [`FENCE_WINDOW`], there is another process with our id.
const FENCES_MAX: usize = 3;
const FENCE_WINDOW: Duration = Duration::from_secs(60);
/// The same refusal so often in a row does not pass by itself.
const REFUSALS_MAX: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// An epoch that nothing is added to any more.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Its number within this run.
    pub(super) number: u64,
    /// Outputs, then changelog records.
    pub(super) batch: Arc<Batch>,
    /// Next offsets of every input of every task that took part; never empty.
    pub(super) offsets: Vec<(TopicPartition, Offset)>,
    /// Of the assignment that the epoch belongs to.
    pub(super) ownership: Ownership,
    /// Where the changelog partitions of the batch stood before it.
    pub(super) floors: Vec<(u16, Partition, Offset)>,
}

/// What became of an epoch.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is committed: the offset after its last record in each partition, where the client knows it.
    Committed(Vec<(u16, Partition, Option<Offset>)>),
    /// None of it happened.
    RolledBack(broker::Error),
    /// It was disowned, and its outcome could not be found out at once.
    Untold,
}

/// What a step of the machine came to.
#[derive(Debug)]
pub(super) enum Event<Q> {
    /// The producer is ready for the first time: transactions that this worker left open before a restart are gone.
    Ready,
    /// Of the epoch handed in.
    Verdict(Verdict),
    /// Of a question.
    Answer(Q, broker::Result<Outcome>),
}

/// What the machine needs to know of the world.
#[derive(Clone, Debug)]
pub(super) struct CommitSettings {
    /// Transactional id, part of every stamp.
    pub(super) id: Text,
    /// Drawn at the start: an epoch number alone could meet that of the run before.
    pub(super) run: u64,
    /// An operation that takes longer is given up.
    pub(super) lane_timeout: Duration,
    /// See [`super::Weakened::trust_doubtful_producer`].
    pub(super) trust_doubtful_producer: bool,
}

/// See the module.
pub(super) struct Commit<Q> {
    lane: Box<dyn Transactions>,
    settings: CommitSettings,
    state: State,
    under_way: Option<UnderWay<Q>>,
    epoch: Option<Epoch>,
    questions: VecDeque<(Q, Op)>,
    /// No rebuild or begin before.
    not_before: Duration,
    /// Rebuilds or epochs that failed in a row.
    failures: u32,
    /// The last refusal that does not pass by itself, and how often it came in a row.
    refusal: Option<(ErrorClass, u32)>,
    fences: VecDeque<Duration>,
    outcomes: VecDeque<Duration>,
    figures: Figures,
    was_ready: bool,
}

/// What can be said of the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none yet.
    Down,
    /// One is being made.
    Initialising,
    /// It can begin a transaction.
    Ready,
    /// It is in one.
    InTransaction,
    /// A request to end its last transaction may still be on its way, and would decide the next one (`pitfalls.md` P1).
    Doubtful,
    /// It is of no use any more.
    Dead,
}

struct UnderWay<Q> {
    what: Doing<Q>,
    since: Duration,
}

#[derive(Debug)]
enum Doing<Q> {
    Init,
    Rebuild,
    Begin,
    Produce,
    Drain,
    SendOffsets,
    Commit,
    Abort,
    Stamps,
    Question(Q),
}

struct Epoch {
    sealed: Sealed,
    delivered: Vec<(u16, Partition, Option<Offset>)>,
    fate: Fate,
    trouble: bool,
    /// See [`Commit::disown`].
    disowned: bool,
}

enum Fate {
    /// Commit was not submitted: nothing of it can happen.
    Open,
    /// Commit was submitted and not answered.
    Unknown,
    /// It is being aborted, because of this.
    Aborting(broker::Error),
}

impl<Q: std::fmt::Debug> Commit<Q> {
    pub(super) fn new(lane: Box<dyn Transactions>, settings: CommitSettings) -> Self {
        Self {
            lane,
            settings,
            state: State::Down,
            under_way: None,
            epoch: None,
            questions: VecDeque::new(),
            not_before: Duration::ZERO,
            failures: 0,
            refusal: None,
            fences: VecDeque::new(),
            outcomes: VecDeque::new(),
            figures: Figures::default(),
            was_ready: false,
        }
    }

    /// Hands an epoch in; the verdict comes as an event.
    pub(super) fn commit(&mut self, sealed: Sealed) {
        assert!(self.epoch.is_none(), "one epoch at a time");
        assert!(!sealed.offsets.is_empty(), "without offsets nothing would fence an old owner");
        self.epoch = Some(Epoch { sealed, delivered: Vec::new(), fate: Fate::Open, trouble: false, disowned: false });
    }

    /// Nobody waits for the epoch on its way any more, and what comes after it must not wait for it either. One that was not begun
    /// is dropped. One whose outcome is unknown is over once a new producer is there, whichever way it went: that is asked once.
    pub(super) fn disown(&mut self) {
        if let Some(epoch) = &mut self.epoch {
            epoch.disowned = true;
        }
    }

    /// Lets the epoch on its way show another ownership than that of its assignment: see [`super::Weakened::fresh_ownership`].
    pub(super) fn replace_ownership(&mut self, ownership: Ownership) {
        if let Some(epoch) = &mut self.epoch {
            epoch.sealed.ownership = ownership;
        }
    }

    /// Asks the lane something, once no epoch is on its way.
    pub(super) fn ask(&mut self, question: Q, op: Op) {
        self.questions.push_back((question, op));
    }

    /// Forgets questions that were not put yet.
    pub(super) fn forget_questions(&mut self, unwanted: impl Fn(&Q) -> bool) {
        self.questions.retain(|(question, _)| !unwanted(question));
    }

    /// Has the lane nothing to do?
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.epoch.is_none() && self.questions.is_empty() && self.state == State::Ready
    }

    /// Figures since the last call.
    pub(super) fn take_figures(&mut self) -> Figures {
        std::mem::take(&mut self.figures)
    }

    /// When something is to be done although no reply came.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.under_way {
            Some(under_way) => Some(under_way.since + self.patience(&under_way.what)),
            None if self.state == State::Ready && self.epoch.is_none() => None,
            None => Some(self.not_before),
        }
    }

    /// Does what can be done now, up to the next event.
    pub(super) fn step(&mut self, now: Duration) -> Result<Option<Event<Q>>> {
        loop {
            if let Some(UnderWay { what, since }) = self.under_way.take() {
                let event = if let Some(reply) = self.lane.reply() {
                    self.replied(what, reply, now)?
                } else if now >= since + self.patience(&what) {
                    self.give_up(what, now)?
                } else {
                    self.under_way = Some(UnderWay { what, since });
                    return Ok(None);
                };
                if event.is_some() {
                    return Ok(event);
                }
            } else if self.is_dropped() {
                self.epoch = None;
                let cause = broker::Error::new(ErrorClass::Abortable, "an epoch", "let go before it was begun");
                return Ok(Some(Event::Verdict(Verdict::RolledBack(cause))));
            } else if !self.begin_next(now)? {
                return Ok(None);
            }
        }
    }

    fn patience(&self, what: &Doing<Q>) -> Duration {
        match what {
            // The client's own time-outs bound these; a cluster that is away makes them slow, not hang.
            Doing::Init | Doing::Rebuild | Doing::Question(_) => self.settings.lane_timeout * 3,
            _ => self.settings.lane_timeout,
        }
    }

    /// Was the epoch disowned before anything was done for it?
    fn is_dropped(&self) -> bool {
        let is_dropped = |epoch: &Epoch| epoch.disowned && matches!(epoch.fate, Fate::Open);
        self.state != State::InTransaction && self.epoch.as_ref().is_some_and(is_dropped)
    }

    /// Starts the next operation, if there is one to start.
    fn begin_next(&mut self, now: Duration) -> Result<bool> {
        let waits = now < self.not_before;
        match (self.state, self.epoch.as_ref().map(|epoch| &epoch.fate)) {
            (State::Down | State::Doubtful | State::Dead, _) if waits => return Ok(false),
            (State::Down, _) => {
                self.state = State::Initialising;
                self.submit(Doing::Init, Op::Init, now);
            }
            // Not only before the next begin: a new producer is then there when it is needed.
            (State::Doubtful | State::Dead, _) => {
                point("c16")?;
                self.state = State::Initialising;
                self.figures.rebuilds += 1;
                self.submit(Doing::Rebuild, Op::Rebuild, now);
            }
            (State::Ready, Some(Fate::Unknown)) => {
                if waits {
                    return Ok(false);
                }
                let epoch = self.epoch.as_ref().expect("its fate was just seen");
                let partitions = epoch.sealed.offsets.iter().map(|(partition, _)| partition.clone()).collect();
                self.submit(Doing::Stamps, Op::Committed { partitions, isolation: Isolation::ReadCommitted }, now);
            }
            (State::Ready, Some(Fate::Open)) if !waits => {
                point("c04")?;
                self.state = State::InTransaction;
                self.submit(Doing::Begin, Op::Begin, now);
            }
            (State::Ready, _) => {
                let Some((question, op)) = self.questions.pop_front() else { return Ok(false) };
                let fencing = matches!(op, Op::Fence(_));
                self.submit(Doing::Question(question), op, now);
                if fencing {
                    point("c18")?;
                }
            }
            (State::Initialising | State::InTransaction, _) => unreachable!("an operation of these states is under way"),
        }
        Ok(true)
    }

    fn submit(&mut self, what: Doing<Q>, op: Op, now: Duration) {
        let fits = match &what {
            Doing::Init | Doing::Rebuild => self.state == State::Initialising,
            Doing::Begin | Doing::Produce | Doing::Drain | Doing::SendOffsets | Doing::Commit | Doing::Abort => {
                self.state == State::InTransaction
            }
            Doing::Stamps | Doing::Question(_) => self.state == State::Ready,
        };
        assert!(fits, "no {what:?} in state {:?}", self.state);
        self.lane.submit(op);
        self.under_way = Some(UnderWay { what, since: now });
    }

    fn replied(&mut self, what: Doing<Q>, reply: Reply, now: Duration) -> Result<Option<Event<Q>>> {
        let Reply { took, transport_trouble, result } = reply;
        if let Some(epoch) = &mut self.epoch {
            epoch.trouble |= transport_trouble;
        }
        match (what, result) {
            (Doing::Init | Doing::Rebuild, Ok(_)) => self.initialised(),
            (Doing::Init | Doing::Rebuild, Err(error)) => self.init_failed(error, now),
            (Doing::Question(question), result) => {
                if result.as_ref().is_err_and(|error| error.class == ErrorClass::Fatal) {
                    // Found out now instead of by the next epoch.
                    self.state = State::Dead;
                    self.pause(now);
                }
                Ok(Some(Event::Answer(question, result)))
            }
            (Doing::Stamps, Ok(Outcome::Committed(committed))) => Ok(Some(self.resolve(&committed, now)?)),
            (Doing::Stamps, result) => {
                // Unavailable for now: nothing may happen before the outcome is known.
                match result {
                    Err(error @ broker::Error { class: ErrorClass::Denied(_), .. }) => return Err(Error::Permanent(error)),
                    Err(error) => {
                        tracing::warn!(%error, "the outcome of an epoch cannot be found out yet");
                        if error.class == ErrorClass::Fatal {
                            self.state = State::Dead;
                        }
                    }
                    Ok(other) => unreachable!("stamps are committed offsets, not {other:?}"),
                }
                self.pause(now);
                Ok(self.untold())
            }
            (Doing::Begin, Ok(_)) => {
                let batch = self.sealed().batch.clone();
                if batch.is_empty() {
                    self.send_offsets(now);
                    return Ok(None);
                }
                self.submit(Doing::Produce, Op::Produce(batch), now);
                point("c05")?;
                Ok(None)
            }
            (Doing::Produce, Ok(_)) => {
                self.submit(Doing::Drain, Op::Drain, now);
                Ok(None)
            }
            (Doing::Drain, Ok(Outcome::Drained(delivered))) => {
                self.check_delivered(&delivered)?;
                point("c06")?;
                self.epoch.as_mut().expect("an epoch is drained").delivered = delivered;
                self.send_offsets(now);
                Ok(None)
            }
            (Doing::SendOffsets, Ok(_)) => {
                point("c07")?;
                self.epoch.as_mut().expect("an epoch is committed").fate = Fate::Unknown;
                self.submit(Doing::Commit, Op::Commit, now);
                point("c08")?;
                Ok(None)
            }
            (Doing::Commit, Ok(_)) => {
                self.ended(took);
                self.learn(took);
                Ok(Some(self.committed()))
            }
            (Doing::Abort, Ok(_)) => {
                self.ended(took);
                let cause = self.cause_of_abort();
                Ok(Some(self.rolled_back(cause, now)?))
            }
            (Doing::Drain, Ok(other)) => unreachable!("a drain is answered by deliveries, not by {other:?}"),
            (what, Err(error)) => self.failed(&what, error, now),
        }
    }

    /// A producer is ready.
    fn initialised(&mut self) -> Result<Option<Event<Q>>> {
        self.state = State::Ready;
        if self.epoch.as_ref().is_some_and(|epoch| matches!(epoch.fate, Fate::Unknown)) {
            point("c17")?;
        }
        let first = !std::mem::replace(&mut self.was_ready, true);
        Ok(first.then_some(Event::Ready))
    }

    fn init_failed(&mut self, error: broker::Error, now: Duration) -> Result<Option<Event<Q>>> {
        self.state = State::Dead;
        match error.class {
            ErrorClass::Fenced => self.fenced(now)?,
            ErrorClass::Denied(_) => return Err(Error::Permanent(error)),
            ErrorClass::Retry
            | ErrorClass::Abortable
            | ErrorClass::Fatal
            | ErrorClass::TooLarge
            | ErrorClass::Refused(_)
            | ErrorClass::Missing(_) => {}
        }
        self.pause(now);
        Ok(None)
    }

    /// Delivered offsets of a changelog grow; where they do not, the topic is another one than the store has followed.
    fn check_delivered(&self, delivered: &[(u16, Partition, Option<Offset>)]) -> Result<()> {
        let sealed = self.sealed();
        for (topic, partition, floor) in &sealed.floors {
            let now = delivered.iter().find(|(t, p, _)| t == topic && p == partition).and_then(|(_, _, end)| *end);
            if let Some(now) = now.filter(|now| now <= floor) {
                let partition = TopicPartition::new(sealed.batch.topics()[usize::from(*topic)].clone(), *partition);
                return Err(Error::Recreated { partition, before: *floor, now });
            }
        }
        Ok(())
    }

    fn send_offsets(&mut self, now: Duration) {
        let stamp = self.stamp();
        let sealed = self.sealed();
        let op = Op::SendOffsets { offsets: sealed.offsets.clone(), stamp, ownership: sealed.ownership.clone() };
        self.submit(Doing::SendOffsets, op, now);
    }

    /// An operation of a transaction failed.
    fn failed(&mut self, what: &Doing<Q>, error: broker::Error, now: Duration) -> Result<Option<Event<Q>>> {
        if matches!(what, Doing::Abort) {
            // Nothing of it can be committed any more; the next producer's initialisation ends it.
            self.state = State::Dead;
            if error.class == ErrorClass::Fenced {
                self.fenced(now)?;
            }
            let cause = self.cause_of_abort();
            return Ok(Some(self.rolled_back(cause, now)?));
        }
        let committing = matches!(what, Doing::Commit);
        match error.class {
            ErrorClass::Fenced | ErrorClass::Fatal => {
                self.state = State::Dead;
                if error.class == ErrorClass::Fenced {
                    self.fenced(now)?;
                }
                if committing {
                    self.figures.unknown_outcomes += 1;
                    return Ok(None);
                }
                Ok(Some(self.rolled_back(error, now)?))
            }
            ErrorClass::Retry if committing => {
                self.state = State::Dead;
                self.figures.unknown_outcomes += 1;
                Ok(None)
            }
            // Any answer may be to the second of two requests, and tell nothing about the first.
            _ if committing && self.had_trouble() => {
                self.state = State::Dead;
                self.figures.unknown_outcomes += 1;
                Ok(None)
            }
            ErrorClass::Retry
            | ErrorClass::Abortable
            | ErrorClass::Denied(_)
            | ErrorClass::TooLarge
            | ErrorClass::Refused(_)
            | ErrorClass::Missing(_) => {
                self.epoch.as_mut().expect("an operation of an epoch").fate = Fate::Aborting(error);
                self.submit(Doing::Abort, Op::Abort, now);
                Ok(None)
            }
        }
    }

    /// An operation takes too long: its thread is left behind, its producer is of no use.
    fn give_up(&mut self, what: Doing<Q>, now: Duration) -> Result<Option<Event<Q>>> {
        self.lane.abandon();
        self.state = State::Dead;
        let error = broker::Error::new(ErrorClass::Retry, format!("{what:?}"), "no answer in time");
        match what {
            Doing::Init | Doing::Rebuild => {
                self.pause(now);
                Ok(None)
            }
            Doing::Stamps => Ok(self.untold()),
            Doing::Commit => {
                self.figures.unknown_outcomes += 1;
                Ok(None)
            }
            Doing::Question(question) => Ok(Some(Event::Answer(question, Err(error)))),
            Doing::Abort => {
                let cause = self.cause_of_abort();
                Ok(Some(self.rolled_back(cause, now)?))
            }
            Doing::Begin | Doing::Produce | Doing::Drain | Doing::SendOffsets => Ok(Some(self.rolled_back(error, now)?)),
        }
    }

    /// Says what an unknown outcome was, by the offsets that are committed now.
    fn resolve(&mut self, committed: &[(TopicPartition, Option<broker::CommittedOffset>)], now: Duration) -> Result<Event<Q>> {
        let stamp = self.stamp();
        let ours = committed.iter().filter_map(|(_, offset)| offset.as_ref()).any(|offset| offset.metadata == stamp);
        if ours {
            return Ok(self.committed());
        }
        // Where others' stamps are, the tasks are gone too, and dropping the epoch is right as well.
        self.rolled_back(broker::Error::new(ErrorClass::Abortable, stamp, "the outcome was found to be an abort"), now)
    }

    /// An outcome that could not be looked up stays unknown where nobody waits for it.
    fn untold(&mut self) -> Option<Event<Q>> {
        self.epoch.take_if(|epoch| epoch.disowned).map(|_| Event::Verdict(Verdict::Untold))
    }

    /// A commit or an abort was answered.
    fn ended(&mut self, took: Duration) {
        let slowest = self.outcomes.iter().max().copied().unwrap_or_default();
        let doubt_after = (slowest * 5).clamp(DOUBT_AFTER_MIN, DOUBT_AFTER_MAX);
        let doubtful = (self.had_trouble() || took > doubt_after) && !self.settings.trust_doubtful_producer;
        self.state = if doubtful { State::Doubtful } else { State::Ready };
    }

    fn had_trouble(&self) -> bool {
        self.epoch.as_ref().is_some_and(|epoch| epoch.trouble)
    }

    /// Notes how long a commit takes here, be it in doubt for that or not: where all are slow, slow is no sign of trouble. An
    /// abort tells nothing, the client may make its producer anew within it.
    fn learn(&mut self, took: Duration) {
        if self.had_trouble() {
            return;
        }
        if self.outcomes.len() == OUTCOMES_KEPT {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(took);
    }

    fn committed(&mut self) -> Event<Q> {
        let epoch = self.epoch.take().expect("an epoch was committed");
        self.failures = 0;
        self.refusal = None;
        Event::Verdict(Verdict::Committed(epoch.delivered))
    }

    fn rolled_back(&mut self, cause: broker::Error, now: Duration) -> Result<Event<Q>> {
        self.epoch = None;
        match &cause.class {
            class @ ErrorClass::Denied(_) => {
                let times = match self.refusal.take() {
                    Some((last, times)) if last == *class => times + 1,
                    _ => 1,
                };
                if times >= REFUSALS_MAX {
                    return Err(Error::Permanent(cause));
                }
                self.refusal = Some((class.clone(), times));
            }
            // What is refused may be one record of many: that is for the caller to find out.
            ErrorClass::TooLarge
            | ErrorClass::Refused(_)
            | ErrorClass::Missing(_)
            | ErrorClass::Retry
            | ErrorClass::Abortable
            | ErrorClass::Fatal
            | ErrorClass::Fenced => self.refusal = None,
        }
        if self.failures > 0 {
            self.pause(now);
        } else {
            self.failures = 1;
        }
        Ok(Event::Verdict(Verdict::RolledBack(cause)))
    }

    fn cause_of_abort(&mut self) -> broker::Error {
        let epoch = self.epoch.as_mut().expect("an epoch is aborted");
        match std::mem::replace(&mut epoch.fate, Fate::Open) {
            Fate::Aborting(cause) => cause,
            Fate::Open | Fate::Unknown => unreachable!("an abort has a cause"),
        }
    }

    /// Notes that a newer producer of our id was there.
    fn fenced(&mut self, now: Duration) -> Result<()> {
        self.figures.fenced += 1;
        self.fences.push_back(now);
        while self.fences.front().is_some_and(|at| *at + FENCE_WINDOW < now) {
            self.fences.pop_front();
        }
        if self.fences.len() >= FENCES_MAX {
            return Err(Error::Fenced { id: self.settings.id.clone() });
        }
        Ok(())
    }

    /// Waits longer with every failure in a row.
    fn pause(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + (PAUSE_MIN * 2_u32.pow(self.failures.min(10))).min(PAUSE_MAX);
    }

    fn sealed(&self) -> &Sealed {
        &self.epoch.as_ref().expect("an epoch is under way").sealed
    }

    fn stamp(&self) -> Text {
        format!("{}#{:x}.{}", self.settings.id, self.settings.run, self.sealed().number).into()
    }
}

/// The transactional id of a stamp.
pub(super) fn id_of_stamp(stamp: &str) -> Option<&str> {
    stamp.rsplit_once('#').map(|(id, _)| id).filter(|id| !id.is_empty())
}

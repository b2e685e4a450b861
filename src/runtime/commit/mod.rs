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
//! Without transactions (`untransacted`) the operations and their order are the same, and mean less: see [`Op`].
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

mod outcome;
mod replies;
mod trust;
mod untransacted;

use self::trust::{Fences, Usual};
use super::crash::point;
use super::lease::Lease;
use super::{Figures, Result};
use crate::broker::{self, Batch, ErrorClass, Guarantee, Isolation, Op, Outcome, Ownership, Transactions};
use crate::record::{Offset, Partition, Text, TopicPartition};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

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
    /// Without transactions: the same as they are committed now.
    pub(super) held: Vec<(TopicPartition, Offset)>,
    /// One of them was never committed.
    pub(super) is_first: bool,
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
    /// Its offsets are not committed, but records of it may have been written: there was no transaction to take them back.
    Spilled(broker::Error),
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
    /// What a commit promises.
    pub(super) guarantee: Guarantee,
    /// Of the group.
    pub(super) session_timeout: Duration,
    /// An operation that takes longer is given up.
    pub(super) lane_timeout: Duration,
    /// See [`super::Weakened::write_without_lease`].
    pub(super) write_without_lease: bool,
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
    lease: Lease,
    /// When the operation under way was asked for.
    asked: Duration,
    /// No rebuild or begin before.
    not_before: Duration,
    /// Rebuilds or epochs that failed in a row.
    failures: u32,
    /// The last refusal that does not pass by itself, and how often it came in a row.
    refusal: Option<(ErrorClass, u32)>,
    fences: Fences,
    usual: Usual,
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
    /// The offsets that are committed already are committed once more: the group says whether the partitions are ours.
    HoldOffsets,
    Hold,
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
    /// Records of it may have been written that nothing takes back.
    spilled: bool,
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
            lease: Lease::of_session(settings.session_timeout),
            asked: Duration::ZERO,
            settings,
            state: State::Down,
            under_way: None,
            epoch: None,
            questions: VecDeque::new(),
            not_before: Duration::ZERO,
            failures: 0,
            refusal: None,
            fences: Fences::default(),
            usual: Usual::default(),
            figures: Figures::default(),
            was_ready: false,
        }
    }

    /// Hands an epoch in; the verdict comes as an event.
    pub(super) fn commit(&mut self, sealed: Sealed) {
        assert!(self.epoch.is_none(), "one epoch at a time");
        assert!(!sealed.offsets.is_empty(), "without offsets nothing would fence an old owner");
        self.epoch =
            Some(Epoch { sealed, delivered: Vec::new(), fate: Fate::Open, trouble: false, spilled: false, disowned: false });
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
            // Without a transaction the commit of the offsets is asked for until it is answered.
            (State::InTransaction, Some(Fate::Unknown)) => {
                if waits {
                    return Ok(false);
                }
                self.send_offsets(now);
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
            Doing::Begin
            | Doing::HoldOffsets
            | Doing::Hold
            | Doing::Produce
            | Doing::Drain
            | Doing::SendOffsets
            | Doing::Commit
            | Doing::Abort => self.state == State::InTransaction,
            Doing::Stamps | Doing::Question(_) => self.state == State::Ready,
        };
        assert!(fits, "no {what:?} in state {:?}", self.state);
        self.lane.submit(op);
        self.asked = now;
        self.under_way = Some(UnderWay { what, since: now });
    }

    fn send_offsets(&mut self, now: Duration) {
        let stamp = self.stamp();
        let sealed = self.sealed();
        let op = Op::SendOffsets { offsets: sealed.offsets.clone(), stamp, ownership: sealed.ownership.clone() };
        self.submit(Doing::SendOffsets, op, now);
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

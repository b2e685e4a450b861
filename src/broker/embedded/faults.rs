//! Faults as values: what goes wrong with which call of which client.
//!
//! The broker asks [`Faults`] once per call and does what the answer says; nothing here is random. Whoever drives a simulation
//! draws from its own seed, so the seed alone repeats the run.

use crate::broker::{ErrorClass, TroubleKind};
use std::time::Duration;

/// A call that faults may hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// `client.id` of who calls.
    pub client_id: &'a str,
    /// What is called.
    pub kind: CallKind,
    /// How often this client has made this kind of call before, over all its incarnations.
    pub nth: u64,
}

/// Kinds of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as the operations of the lane")]
pub enum CallKind {
    Init,
    Begin,
    Produce,
    Drain,
    SendOffsets,
    Commit,
    Abort,
    Rebuild,
    Committed,
    Ends,
    OffsetsAt,
    Counts,
    Fence,
    Trim,
    /// A poll of a group's member.
    Poll,
    /// A poll of a log reader.
    Read,
}

/// Decides what goes wrong. Called under the broker's lock: it must not call the broker.
pub trait Faults: Send {
    /// Trouble of an operation of a lane.
    fn lane(&mut self, call: Call<'_>) -> Option<LaneFault>;

    /// Trouble of a poll.
    fn poll(&mut self, call: Call<'_>) -> Option<PollFault>;
}

/// Nothing ever goes wrong by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn lane(&mut self, _call: Call<'_>) -> Option<LaneFault> {
        None
    }

    fn poll(&mut self, _call: Call<'_>) -> Option<PollFault> {
        None
    }
}

/// What goes wrong with an operation of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneFault {
    /// The request reaches the broker so much later; `Duration::MAX` never.
    pub request_delay: Duration,
    /// The answer reaches the client so much later; `Duration::MAX` never.
    pub reply_delay: Duration,
    /// Answered instead of the truth.
    pub error: Option<InjectedError>,
    /// Answered with [`crate::broker::Reply::transport_trouble`] set.
    pub transport_trouble: bool,
    /// Another producer initialises the lane's transactional id just before the request arrives.
    pub fenced: bool,
    /// Of a commit or abort: the first `EndTxn` is held on its way, the client repeats it after its socket time-out and gets
    /// its answer; the held one arrives so long after the id's next transaction has begun, and decides it where the client
    /// did not rebuild in between.
    pub late_end: Option<Duration>,
}

/// An error that the broker did not mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedError {
    /// How it is told to the client.
    pub class: ErrorClass,
    /// Did the request take effect all the same (a reply that was lost)?
    pub effect: bool,
}

impl LaneFault {
    /// The request has no effect and fails with this class.
    pub fn refused(class: ErrorClass) -> Self {
        Self { error: Some(InjectedError { class, effect: false }), ..Self::default() }
    }

    /// The request takes effect, its answer is lost: the client gives up after `timeout` and does not know.
    pub fn lost_reply(timeout: Duration) -> Self {
        let error = Some(InjectedError { class: ErrorClass::Retry, effect: true });
        Self { reply_delay: timeout, error, transport_trouble: true, ..Self::default() }
    }

    /// The request is lost: the client gives up after `timeout` and does not know.
    pub fn lost_request(timeout: Duration) -> Self {
        let error = Some(InjectedError { class: ErrorClass::Retry, effect: false });
        Self { reply_delay: timeout, error, transport_trouble: true, ..Self::default() }
    }

    /// The answer is so much later.
    pub fn slow(delay: Duration) -> Self {
        Self { reply_delay: delay, ..Self::default() }
    }

    /// The request takes effect and the call never returns.
    pub fn hangs() -> Self {
        Self { reply_delay: Duration::MAX, ..Self::default() }
    }

    /// See [`LaneFault::fenced`].
    pub fn fenced() -> Self {
        Self { fenced: true, ..Self::default() }
    }

    /// See [`LaneFault::late_end`].
    pub fn late_end(delay: Duration) -> Self {
        Self { late_end: Some(delay), ..Self::default() }
    }
}

/// What goes wrong with a poll. A log reader knows `Nothing` and `Trouble` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollFault {
    /// Nothing comes this time, although there is something.
    Nothing,
    /// The first partition that is read cannot be read; it is left alone until it is resumed or assigned anew.
    Trouble(TroubleKind),
    /// The group has taken the member for dead; it has yet to hear of it.
    SessionLost,
    /// The group rebalances for no reason of this member.
    Rebalance,
    /// The client dies.
    Fatal,
}

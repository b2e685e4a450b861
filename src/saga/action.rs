//! What goes into a saga and what it wants.

use super::instance::Asker;
use super::{Act, Row, Status, Timer};
use crate::codec::{Event, KeyFormat};
use crate::node::{Answer, Drafted, Outcome};
use crate::record::{Map, Millis, RecordRef, Text};

/// Something that a saga is told.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Wall time: what dues are counted from.
    pub now: Millis,
    /// The record that says so. Of a timer a stand-in, whose timestamp is when it was due.
    pub record: &'a RecordRef<'a>,
    /// Format of the record's key.
    pub key_format: KeyFormat,
    /// What the record says. Of a timer a stand-in.
    pub event: &'a Event,
    /// What kind of thing it is.
    pub what: What<'a>,
}

/// What kind of thing a saga is told.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A message of a type that it takes; with its number, if it was kept.
    Message(Option<u32>),
    /// A reply: was the command accepted?
    Reply(bool),
    /// A timer, and when it was due.
    Timer(Timer, Millis),
    /// An operator's act.
    Act(&'a Act),
}

/// Something that a saga wants. All of one step are carried out in order and together with the new row, or not at all.
#[derive(Debug)]
pub enum Action {
    /// A message that nobody answers.
    Send(Box<Drafted>),
    /// A command.
    Command {
        /// The message.
        message: Box<Drafted>,
        /// Is its reply waited for?
        wants_reply: bool,
    },
    /// A timer is set, in place of one of its name.
    Arm(Timer, Millis),
    /// A timer is taken away, if it is there.
    Disarm(Timer),
    /// The record in hand is kept under this number.
    Keep(u32),
    /// The record in hand is kept under this number until its saga begins, for the time that the saga gives it.
    KeepEarly(u32),
    /// A record that was kept until its saga began is kept on.
    Adopt(u32),
    /// A kept record is no longer wanted.
    Forget(u32),
    /// Whoever asked for the start is told.
    Answer(Asker, Answer),
    /// A line of the history.
    Entry(Map),
    /// Something worth a metric.
    Count(&'static str),
    /// The instance has come to another status: from none at its start, to none when it is forgotten.
    Moved(Option<Status>, Option<Status>),
    /// It has become overdue where nothing is undone any more.
    Overdue,
}

/// What came of one input.
#[derive(Debug)]
pub struct Stepped {
    /// What is kept from now on; `None`: nothing.
    pub row: Option<Row>,
    /// What is wanted.
    pub actions: Vec<Action>,
    /// Is it another row than before? Else it need not be kept again.
    pub changed: bool,
    /// For the node's count.
    pub outcome: Outcome,
    /// Kept messages that may be wanted by now, in the order they came: each is to be offered as an input of its own.
    pub offers: Vec<u32>,
}

/// Remarks on what is passed over, as metrics name them.
pub(super) mod remark {
    /// No operation waits for this reply: it is late, a repetition, or not for this saga.
    pub(in crate::saga) const REPLY: &str = "saga_reply_not_awaited";
    /// A reply or a timer of an instance that is not there.
    pub(in crate::saga) const NO_SAGA: &str = "saga_unknown";
    /// Nothing that waits, or will wait, fits this message.
    pub(in crate::saga) const MESSAGE: &str = "saga_message_not_awaited";
    /// The message was taken before.
    pub(in crate::saga) const REPEATED: &str = "saga_message_repeated";
    /// The instance is over.
    pub(in crate::saga) const ENDED: &str = "saga_ended";
    /// Nothing is undone after the pivot.
    pub(in crate::saga) const PIVOT: &str = "saga_cancel_after_pivot";
    /// Too many messages are kept already.
    pub(in crate::saga) const FULL: &str = "saga_too_many_kept";
    /// A kept message that nothing waited for to the end.
    pub(in crate::saga) const UNUSED: &str = "saga_kept_unused";
    /// The timer was of something that is over.
    pub(in crate::saga) const TIMER: &str = "saga_timer_stale";
    /// A message or reply of the end could not be made.
    pub(in crate::saga) const ENDING: &str = "saga_ending_failed";
    /// An act that does not fit where the instance stands, or a repetition.
    pub(in crate::saga) const ACT: &str = "saga_act_refused";
    /// More than so many asked for the same start.
    pub(in crate::saga) const ASKER: &str = "saga_asker_not_kept";
}

/// The asker of the record in hand, if it has one.
pub(super) fn asker(input: &Input<'_>, id: &str) -> Option<Asker> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Text::new);
    Some(Asker {
        reply_to: text(crate::node::asker(input.record)?)?,
        key: input.record.header("reply-key").or(input.record.key).and_then(text).unwrap_or_else(|| id.into()),
        request: input.event.id.clone(),
        correlation_id: input.event.correlation_id.clone(),
    })
}

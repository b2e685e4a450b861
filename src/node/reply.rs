//! Replies: what whoever asked is told.
//!
//! A request is a message with the header `reply-to`. The reply goes there, if the topology lets it, else to the node's
//! `replies`, keyed by the header `reply-key` or the request's own key. Its value is what a repetition of the request gets
//! again, so it is handed back.

use super::outbox::{To, header};
use super::{Context, Outbox, Refusal};
use crate::codec::{Draft, Event};
use crate::failure::Failure;
use crate::record::{Map, RecordRef, Text, Value};
use bytes::Bytes;

/// Header that names the topic of the reply.
const REPLY_TO: &str = "reply-to";
/// Header with the key of the reply.
const REPLY_KEY: &str = "reply-key";

/// What is replied.
#[derive(Clone, Debug)]
pub enum Answer {
    /// `reply.accepted`: the result, and of an aggregate its version.
    Accepted {
        /// The result.
        result: Value,
        /// Events applied.
        version: Option<u64>,
    },
    /// `reply.rejected`.
    Rejected(Refusal),
}

/// The topic that a request wants its reply in; `None` for a message that is no request.
pub fn asker<'a>(record: &RecordRef<'a>) -> Option<&'a [u8]> {
    header(record, REPLY_TO).filter(|topic| !topic.is_empty())
}

impl Outbox<'_> {
    /// Replies to whoever asked, else to `replies`. Gives the reply's value, empty where there is nobody to reply to.
    ///
    /// A `reply-to` that is not allowed, or names a topic that is not there, is counted: it must not fail the request.
    pub fn reply(&mut self, answer: Answer, replies: Option<usize>, context: &mut dyn Context) -> Result<Bytes, Failure> {
        if asker(self.record).is_none() && replies.is_none() {
            return Ok(Bytes::new());
        }
        let field = |name: &'static str, value: Value| (Text::new_static(name), value);
        let (kind, data, version) = match answer {
            Answer::Accepted { result, version } => ("reply.accepted", result, version),
            Answer::Rejected(Refusal { code, message, details }) => {
                let fields = vec![field("code", code.into()), field("details", details), field("message", message.into())];
                ("reply.rejected", Map::from_entries(fields).into(), None)
            }
        };
        let version = version.map(|version| field("version", Value::Int(i64::try_from(version).unwrap_or(i64::MAX))));
        let place = self.next_place();
        let event = self.event(self.id(place), kind.into(), data, version.into_iter().collect());
        // Whatever envelope the topic has: this is what a repetition is answered from.
        let mut value = Vec::with_capacity(256);
        self.world.outlet(None).encoder.as_ref().expect("the engine's own envelope").value(&Draft::of(&event), &mut value)?;
        if let Some(to) = self.reply_topic(replies, context) {
            self.deliver(&to, &event, context)?;
        }
        Ok(Bytes::from(value))
    }

    /// Sends a reply of before again, to where this repetition of the request wants it.
    pub fn repeat_reply(&mut self, value: &[u8], replies: Option<usize>, context: &mut dyn Context) -> Result<(), Failure> {
        let record = RecordRef { value: Some(value), headers: &[], ..*self.record };
        match self.world.decoder(None).decode(&record)? {
            Some(event) if !value.is_empty() => match self.reply_topic(replies, context) {
                Some(to) => self.deliver(&to, &event, context),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Where the reply goes: to the asker's topic if the topology lets it, of others to the node's own.
    fn reply_topic(&self, replies: Option<usize>, context: &mut dyn Context) -> Option<To> {
        let Some(asked) = asker(self.record) else { return replies.map(To::Planned) };
        match std::str::from_utf8(asked) {
            Ok(topic) if self.world.topology.may_reply_to(topic) && self.world.may_write(topic) => Some(self.to(topic.into())),
            _ => {
                context.count("reply_not_allowed");
                None
            }
        }
    }

    fn deliver(&self, to: &To, event: &Event, context: &mut dyn Context) -> Result<(), Failure> {
        let key = header(self.record, REPLY_KEY).or(self.record.key);
        match self.write(to, key, event, &[], context) {
            // Whoever asked named a topic that is not there: that is no fault of the request.
            Err(failure) if failure.code() == "UNKNOWN_TOPIC" => {
                context.count("reply_undeliverable");
                Ok(())
            }
            other => other,
        }
    }
}

impl Refusal {
    /// What whoever asked is told of a failure.
    pub(super) fn of(failure: &Failure) -> Self {
        Self { code: failure.code().clone(), message: failure.message().into(), details: failure.details().clone() }
    }
}

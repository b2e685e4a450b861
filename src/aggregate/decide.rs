//! A decision: a message meets the state and is accepted, or refused.

use super::{Aggregate, Instance};
use crate::codec::Event;
use crate::failure::{Failure, Stage};
use crate::node::{
    Answer, Context, Drafted, Frame, Input, InstanceKey, Outbox, Outcome, Refusal, Stop, Way, as_text, asker, first_refusal,
    timer_name,
};
use crate::record::{Text, Value};
use crate::state::Expiring;
use crate::state::layout::Tag;
use crate::topology::model::{Decide, Template};

/// What was decided, with all that is to be sent; nothing has been sent or changed yet.
struct Decision {
    verdict: Verdict,
    messages: Vec<Drafted>,
    /// Names of timers that are taken away.
    cancelled: Vec<Text>,
}

enum Verdict {
    /// The result for whoever asked.
    Accepted(Value),
    /// With `dead_letter: true` it is an error of the record too.
    Refused { refusal: Refusal, dead_letter: bool },
    /// Not for this state: refused to whoever asked, else passed over.
    NotApplicable,
}

impl Aggregate {
    pub(super) fn decide(
        &self,
        handler: &Decide,
        input: &Input<'_>,
        key: &InstanceKey<'_>,
        outbox: &mut Outbox<'_>,
        context: &mut dyn Context,
    ) -> Result<Outcome, Stop> {
        let (model, event) = (self.model(), input.event);
        let is_request = asker(input.record).is_some();
        let remembered = model.dedupe.filter(|_| is_request);
        if remembered.is_some() {
            let now = context.now();
            let mark = context.expiring(self.store, Tag::Mark, event.id.as_bytes())?;
            if let Some(mark) = mark.filter(|mark| mark.expires_at > now) {
                context.count("mark_repeated");
                outbox.repeat_reply(&mark.value, model.replies, context)?;
                return Ok(Outcome::Repeated);
            }
        }

        let mut instance = self.load(key, event, context)?;
        let Decision { verdict, messages, cancelled } = self.decision(handler, input, &instance, outbox)?;
        for timer in &cancelled {
            context.cancel_timer(self.store, &key.bytes, &timer_name(Some(timer), ""))?;
        }
        for message in &messages {
            outbox.dispatch(message, Some(self.store), context)?;
            if message.own_event {
                self.apply(&message.event, input.record, &mut instance, outbox, context)?;
            }
        }

        let (answer, outcome) = match verdict {
            Verdict::Accepted(result) => (Answer::Accepted { result, version: Some(instance.version) }, Outcome::Processed),
            Verdict::NotApplicable if is_request => {
                let refusal = Refusal::new("NOT_APPLICABLE", "not for the state that it is in");
                let code = refusal.code.clone();
                (Answer::Rejected(refusal), Outcome::Refused(code))
            }
            Verdict::NotApplicable => return Ok(Outcome::PassedOver),
            Verdict::Refused { refusal, dead_letter } => {
                if dead_letter {
                    context.dead_letter(refusal.clone().into_failure(Stage::Decide))?;
                }
                let code = refusal.code.clone();
                (Answer::Rejected(refusal), Outcome::Refused(code))
            }
        };
        let reply = outbox.reply(answer, model.replies, context)?;
        if let Some(length) = remembered {
            let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            let mark = Expiring { expires_at: context.now().saturating_add(millis), value: reply };
            context.put_expiring(self.store, Tag::Mark, event.id.as_bytes(), Some(mark))?;
        }
        self.save(instance, context)?;
        Ok(outcome)
    }

    /// Evaluates the handler; everything sees the state before the message.
    fn decision(
        &self,
        handler: &Decide,
        input: &Input<'_>,
        instance: &Instance<'_>,
        outbox: &mut Outbox<'_>,
    ) -> Result<Decision, Failure> {
        let without_messages = |verdict| Ok(Decision { verdict, messages: Vec::new(), cancelled: Vec::new() });
        if let Some(refusal) = version_conflict(input.event, instance.version) {
            return without_messages(Verdict::Refused { refusal, dead_letter: false });
        }
        let mut frame = Frame::new(&self.world, input.event, handler.locals)
            .with_record(input.record, self.world.key_format(input.topic))
            .with_key(instance.key.value.clone())
            .with_state(&instance.state, instance.version);
        frame.define(&handler.lets);
        if !frame.holds_if_given(handler.when.as_ref(), Stage::Decide)? {
            frame.passed(&handler.at, &handler.kind, Way::Passed);
            return without_messages(Verdict::NotApplicable);
        }
        let (verdict, emit, cancel): (_, _, &[Template]) = match first_refusal(&handler.require, &frame, Stage::Decide)? {
            Some((rule, refusal)) => (Verdict::Refused { refusal, dead_letter: rule.dead_letter }, &rule.emit, &[]),
            None => {
                frame.passed(&handler.at, &handler.kind, Way::Taken);
                let is_told = asker(input.record).is_some() || self.model().replies.is_some();
                let reply = handler.reply.as_ref().filter(|_| is_told);
                let result = reply.map_or(Ok(Value::Null), |template| frame.fill(template, Stage::Decide))?;
                (Verdict::Accepted(result), &handler.emit, &handler.cancel_timer)
            }
        };
        let mut messages = Vec::with_capacity(emit.len());
        for message in emit {
            outbox.draft(message, &mut frame, &mut messages)?;
        }
        let cancelled = cancel.iter().map(|name| Ok(as_text(&frame.fill(name, Stage::Decide)?)));
        let cancelled = cancelled.collect::<Result<_, Failure>>()?;
        Ok(Decision { verdict, messages, cancelled })
    }
}

/// `metadata.expectedVersion`, if present, must be the version.
fn version_conflict(event: &Event, version: u64) -> Option<Refusal> {
    let expected = event.metadata.get("expectedVersion").filter(|expected| !expected.is_null())?;
    let actual = Value::Int(i64::try_from(version).unwrap_or(i64::MAX));
    if *expected == actual {
        return None;
    }
    let details = [("actual".into(), actual), ("expected".into(), expected.clone())];
    let message = format!("the version is {version}, another one was expected");
    let refusal = Refusal::new("VERSION_CONFLICT", message);
    Some(Refusal { details: Value::Map(details.into_iter().collect()), ..refusal })
}

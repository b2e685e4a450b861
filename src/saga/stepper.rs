//! One input on its way through an instance: what it can ask, change and want.

use super::action::{Action, Input, What};
use super::ids::context_id;
use super::instance::{Instance, Op, Place, Progress, Run};
use super::row::{map, state_name, step_name};
use super::{Status, Timer};
use crate::codec::{Event, Part, moment};
use crate::failure::{Failure, Stage};
use crate::node::{Drafted, Frame, InstanceKey, Outbox, SagaNames, World};
use crate::record::{Header, Map, Millis, Text, Value, json};
use crate::topology::model::saga::{Action as Doing, Awaits, Body, Direction, Outcome, States, Steps};
use crate::topology::model::{Message, Retry, Saga, Template};
use jiff::SignedDuration;
use std::borrow::Cow;

/// Header of W3C Trace Context.
pub(super) const TRACE: &str = "traceparent";

/// What an instance is stepped by.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The topology.
    pub world: &'a World,
    /// The saga.
    pub saga: &'a Saga,
    /// Name of its definition: instances keep the one that they began with.
    pub definition: &'a Text,
}

/// An instance with an input in hand.
pub(super) struct Stepper<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) input: &'a Input<'a>,
    pub(super) saga: Box<Instance>,
    pub(super) actions: Vec<Action>,
    /// Something waits that did not before: kept messages may be wanted.
    pub(super) opened: bool,
    /// The message acted on, in the saga's conversation.
    cause: Event,
}

/// What is done in one direction of a step.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) action: &'a Doing,
    pub(super) success: &'a Outcome,
    pub(super) failure: &'a Outcome,
    pub(super) timeout: Option<SignedDuration>,
    pub(super) retry: &'a Retry,
    pub(super) awaits: Awaits,
}

/// Which operation: step, element, direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Which {
    pub(super) step: usize,
    pub(super) item: usize,
    pub(super) direction: Direction,
}

impl<'a> Stepper<'a> {
    pub(super) fn new(setting: Setting<'a>, input: &'a Input<'a>, saga: Box<Instance>) -> Self {
        let id = match input.what {
            // Nobody's message: the one that began it all.
            What::Timer(..) => saga.start.id.clone(),
            _ => input.event.id.clone(),
        };
        let cause = Event {
            id,
            correlation_id: saga.start.correlation_id.clone(),
            data: Value::Null,
            metadata: Map::new(),
            ..input.event.clone()
        };
        Self { setting, input, saga, actions: Vec::new(), opened: false, cause }
    }

    pub(super) fn steps(&self) -> &'a Steps {
        match &self.setting.saga.body {
            Body::Steps(steps) => steps,
            Body::States(_) => unreachable!("steps are asked for in a saga of steps"),
        }
    }

    pub(super) fn states(&self) -> &'a States {
        match &self.setting.saga.body {
            Body::States(states) => states,
            Body::Steps(_) => unreachable!("states are asked for in a saga of states"),
        }
    }

    pub(super) fn progress(&self) -> &Progress {
        self.saga.progress().expect("a saga of steps has progress: its row was read by its definition")
    }

    pub(super) fn progress_mut(&mut self) -> &mut Progress {
        match &mut self.saga.place {
            Place::Steps(progress) => progress,
            Place::State { .. } => unreachable!("a saga of steps has progress: its row was read by its definition"),
        }
    }

    pub(super) fn run_mut(&mut self, step: usize) -> &mut Run {
        self.progress_mut().run_mut(step).expect("a step that is acted on has begun")
    }

    pub(super) fn op(&self, which: Which) -> &Op {
        &self.progress().run(which.step).expect("an operation that is acted on is of a step that has begun").ops[which.item]
    }

    pub(super) fn op_mut(&mut self, which: Which) -> &mut Op {
        &mut self.run_mut(which.step).ops[which.item]
    }

    pub(super) fn operation(&self, step: usize, direction: Direction) -> Operation<'a> {
        let step = &self.steps().steps[step];
        match direction {
            Direction::Forward => Operation {
                action: &step.action,
                success: &step.success,
                failure: &step.failure,
                timeout: step.timeout,
                retry: &step.retry,
                awaits: step.awaits(),
            },
            Direction::Back => {
                let undo = step.compensate.as_ref().expect("only steps with a compensation are undone");
                Operation {
                    action: &undo.action,
                    success: &undo.success,
                    failure: &undo.failure,
                    timeout: undo.timeout,
                    retry: &undo.retry,
                    awaits: undo.awaits(),
                }
            }
        }
    }

    /// The place among the settled operations of the one that is settled now.
    pub(super) fn next_order(&mut self) -> u32 {
        let progress = self.progress_mut();
        progress.settled += 1;
        progress.settled
    }

    /// Wall time so long from now.
    pub(super) fn after(&self, length: SignedDuration) -> Millis {
        later(self.input.now, length)
    }

    pub(super) fn count(&mut self, what: &'static str) {
        self.actions.push(Action::Count(what));
    }

    /// The one place where the status changes (V17).
    pub(super) fn become_(&mut self, status: Status) {
        let from = self.saga.status;
        assert!(from.leads_to(status), "no move from {} to {}", from.name(), status.name());
        self.saga.status = status;
        self.actions.push(Action::Moved(Some(from), Some(status)));
    }

    /// Writes a line of the history.
    pub(super) fn entry<const N: usize>(&mut self, what: &'static str, details: [(&'static str, Option<Value>); N]) {
        self.saga.entries += 1;
        let saga = &self.saga;
        let Value::Map(mut entry) = map([
            ("at", Some(Value::Timestamp(moment(self.input.now)))),
            ("entry", Some(Value::Int(saga.entries.into()))),
            ("saga", Some(self.setting.saga.name.clone().into())),
            ("sagaId", Some(saga.id.clone().into())),
            ("status", Some(saga.status.name().into())),
            ("what", Some(what.into())),
        ]) else {
            unreachable!("`map` makes maps")
        };
        for (name, value) in details {
            if let Some(value) = value {
                entry.insert(Text::new_static(name), value);
            }
        }
        self.actions.push(Action::Entry(entry));
    }

    /// Writes a line of the history about an operation.
    pub(super) fn op_entry(&mut self, what: &'static str, which: Which, reason: &Text) {
        let step = &self.steps().steps[which.step];
        let op = self.op(which);
        let (item, due) = (step.for_each.is_some().then_some(which.item as i64), op.due);
        let (tries, unknown) = (op.tries, op.unknown);
        self.entry(
            what,
            [
                ("step", Some(step.name.clone().into())),
                ("item", item.map(Value::Int)),
                ("back", (which.direction == Direction::Back).then_some(Value::Bool(true))),
                ("try", Some(Value::Int(tries.into()))),
                ("due", due.map(|due| Value::Timestamp(moment(due)))),
                ("reason", text(reason)),
                ("unknown", unknown.then_some(Value::Bool(true))),
            ],
        );
    }

    /// `saga`, `reason` and `ctx` as an expression about a step (or the whole) sees them.
    pub(super) fn names(&self, about: Option<Which>, reason: Value) -> SagaNames {
        let (saga, Setting { world, saga: model, .. }) = (&self.saga, self.setting);
        let tries = match about {
            Some(which) => {
                saga.progress().and_then(|progress| progress.run(which.step)).and_then(|run| run.ops.get(which.item))
            }
            None => None,
        };
        let tries = tries.map_or(1, |op| op.tries.max(1));
        let (step, state) = match (&saga.place, about) {
            (Place::Steps(_), Some(which)) => (step_name(model, which.step).clone(), Text::default()),
            (Place::Steps(progress), None) => {
                let current = self.steps().order.get(progress.at);
                (current.map_or(Text::default(), |step| step_name(model, *step).clone()), Text::default())
            }
            (Place::State { state, .. }, _) => (Text::default(), state_name(model, *state).clone()),
        };
        let is_led = matches!(saga.place, Place::Steps(_));
        let at = if is_led { &step } else { &state };
        let id = context_id(&world.topology.name, &model.name, &saga.id, at, tries);
        let time = Value::Timestamp(moment(self.input.record.timestamp));
        let names = map([
            ("attempt", Some(Value::Int(tries.into()))),
            ("data", Some(saga.data.clone().into())),
            ("failedStep", is_led.then(|| saga.failed_step.clone().into())),
            ("id", Some(saga.id.clone().into())),
            ("name", Some(model.name.clone().into())),
            ("reason", Some(saga.reason.clone().into())),
            ("startedAt", Some(Value::Timestamp(moment(saga.start.at)))),
            ("state", (!is_led).then(|| state.clone().into())),
            ("status", Some(saga.status.name().into())),
            ("step", is_led.then(|| step.clone().into())),
        ]);
        SagaNames { saga: names, reason, ctx: map([("id", Some(id.into())), ("time", Some(time))]) }
    }

    /// A frame with the names of the saga, of the message in hand, and of the operation's element.
    pub(super) fn frame<'f>(&'f self, names: &'f SagaNames, about: Option<Which>) -> Frame<'f> {
        let Setting { world, saga: model, .. } = self.setting;
        let mut frame = Frame::new(world, self.input.event, model.locals)
            .with_record(self.input.record, self.input.key_format)
            .with_saga(names);
        let Some(which) = about else { return frame };
        let op = self.progress().run(which.step).and_then(|run| run.ops.get(which.item));
        if let (Some(each), Some(op)) = (&self.steps().steps[which.step].for_each, op) {
            frame.bind(each.item, op.item.clone());
            if let Some(index) = each.index {
                frame.bind(index, Value::Int(which.item as i64));
            }
        }
        frame
    }

    /// Evaluates messages; what they say follows from the deed, so that whoever does it again says the same.
    pub(super) fn draft(&self, messages: &[Message], about: Option<Which>, deed: &[Part<'_>]) -> Result<Vec<Drafted>, Failure> {
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let Setting { world, saga: model, .. } = self.setting;
        let key = InstanceKey { value: self.saga.id.clone().into(), bytes: Cow::Borrowed(self.saga.id.as_bytes()) };
        let names = self.names(about, Value::Null);
        let mut frame = self.frame(&names, about);
        let mut outbox = Outbox::new(world, &model.name, self.input.record, &self.cause).with_instance(&key).of_deed(deed);
        let mut drafts = Vec::with_capacity(messages.len());
        for message in messages {
            outbox.draft(message, &mut frame, &mut drafts)?;
        }
        let trace = &self.saga.start.trace;
        if !trace.is_empty() && self.input.record.header(TRACE).is_none() {
            drafts.iter_mut().for_each(|drafted| drafted.headers.push(Header::text(TRACE, trace)));
        }
        Ok(drafts)
    }

    /// Messages of the instance as a whole. Their ids follow from how many lines of the history there are, which grow with
    /// whatever has it sent.
    pub(super) fn draft_of_whole(&self, messages: &[Message], occasion: &'static str) -> Result<Vec<Drafted>, Failure> {
        let deed = [Part::Text(&self.saga.id), Part::Text(occasion), Part::Number(self.saga.entries.into())];
        self.draft(messages, None, &deed)
    }

    pub(super) fn send(&mut self, drafts: Vec<Drafted>) {
        self.actions.extend(drafts.into_iter().map(|message| Action::Send(Box::new(message))));
    }

    /// Evaluates what is to be written into `saga.data`.
    pub(super) fn fields(&self, set: Option<&Template>, about: Option<Which>) -> Result<Option<Map>, Failure> {
        let Some(set) = set else { return Ok(None) };
        let names = self.names(about, Value::Null);
        self.frame(&names, about).fill_map(set, Stage::Step).map(Some)
    }

    /// Writes into `saga.data`.
    pub(super) fn assign(&mut self, fields: Option<Map>) {
        for (name, value) in fields.iter().flat_map(Map::iter) {
            self.saga.data.insert(name.clone(), value.clone());
        }
    }

    /// Fills a reason in.
    pub(super) fn reason(&self, reason: Option<&Template>, about: Option<Which>, otherwise: Text) -> Result<Text, Failure> {
        let Some(reason) = reason else { return Ok(otherwise) };
        let names = self.names(about, Value::Null);
        Ok(match self.frame(&names, about).fill(reason, Stage::Step)? {
            Value::Null => otherwise,
            Value::Str(text) if text.is_empty() => otherwise,
            Value::Str(text) => text,
            other => json::text(&other).map_or(otherwise, Text::from),
        })
    }

    pub(super) fn arm(&mut self, timer: Timer, due: Millis) {
        self.actions.push(Action::Arm(timer, due));
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        self.actions.push(Action::Disarm(timer));
    }
}

/// A wall time so much later.
pub(super) fn later(now: Millis, length: SignedDuration) -> Millis {
    now.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
}

/// A text where there is one.
pub(super) fn text(text: &Text) -> Option<Value> {
    (!text.is_empty()).then(|| text.clone().into())
}

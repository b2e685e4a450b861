//! Messages, replies and timers find the operation that they are about.

use super::action::{Action, What, remark};
use super::forward::{Failing, TIMEOUT};
use super::ids::id_hash;
use super::instance::{KEPT_MAX, Kept, OpState, SEEN_MAX};
use super::stepper::{Stepper, Which};
use super::{Status, Timer, passed};
use crate::failure::Stage;
use crate::node::{Outcome, Way};
use crate::record::{Millis, Text};
use crate::topology::model::saga::{Awaits, Cancel, Direction, Outcome as Expected, Taken};

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was what something waited for.
    Taken,
    /// Something will wait for it.
    Wanted,
    /// It is nothing to the instance.
    Ignored(&'static str),
}

impl Stepper<'_> {
    /// A message of a type that the saga takes; `kept`: its number, if it was.
    pub(super) fn message(&mut self, taken: &Taken, kept: Option<u32>) -> Outcome {
        let hash = id_hash(&self.input.event.id);
        let fate = if self.saga.status.is_final() {
            Fate::Ignored(remark::ENDED)
        } else if self.saga.seen.contains(&hash) {
            Fate::Ignored(remark::REPEATED)
        } else if self.saga.progress().is_some() {
            self.message_to_steps(taken)
        } else {
            self.message_to_state()
        };
        match (fate, kept) {
            (Fate::Taken, kept) => {
                if self.may_be_taken_again(taken) {
                    self.saga.seen.push(hash);
                    let over = self.saga.seen.len().saturating_sub(SEEN_MAX);
                    self.saga.seen.drain(..over);
                }
                if let Some(number) = kept {
                    self.forget(number);
                }
                self.advance_steps();
                Outcome::Processed
            }
            (Fate::Wanted, Some(_)) => Outcome::Processed,
            (Fate::Wanted, None) => self.keep(),
            // It stays: a later step or state may want what this one does not.
            (Fate::Ignored(remark::MESSAGE), Some(_)) => Outcome::PassedOver,
            (Fate::Ignored(remark), kept) => {
                if let Some(number) = kept {
                    self.forget(number);
                }
                self.count(remark);
                Outcome::PassedOver
            }
        }
    }

    fn advance_steps(&mut self) {
        if self.saga.progress().is_some() {
            self.advance();
        }
    }

    fn message_to_steps(&mut self, taken: &Taken) -> Fate {
        for answered in &taken.answers {
            let awaits = self.operation(answered.step, answered.direction).awaits;
            let waiting = match answered.direction {
                Direction::Forward => OpState::Waiting,
                Direction::Back => OpState::Undoing,
            };
            let Some(run) = self.progress().run(answered.step).filter(|_| awaits == Awaits::Message) else { continue };
            let items: Vec<usize> = (0..run.ops.len()).filter(|item| run.ops[*item].state == waiting).collect();
            for item in items {
                let which = Which { step: answered.step, item, direction: answered.direction };
                let operation = self.operation(which.step, which.direction);
                let expected = if answered.success { operation.success } else { operation.failure };
                match self.fits(expected, which) {
                    Ok(false) => continue,
                    Ok(true) if answered.success => self.succeed(which),
                    Ok(true) => self.failed_by(which, self.input.event.kind.clone()),
                    Err(failure) => {
                        self.op_entry("broken", which, &failure.message().into());
                        self.fail(which, failure.code().clone(), Failing::Broken { done: true });
                    }
                }
                return Fate::Taken;
            }
        }
        if taken.cancels
            && let Some(cancel) = &self.steps().cancel
            && let Some(fate) = self.cancel(cancel)
        {
            return fate;
        }
        let is_ahead = |step: usize| self.progress().run(step).is_none();
        let running = self.saga.status == Status::Running;
        let mut forward = taken.answers.iter().filter(|answered| answered.direction == Direction::Forward);
        if running && forward.any(|answered| is_ahead(answered.step)) {
            return Fate::Wanted;
        }
        Fate::Ignored(remark::MESSAGE)
    }

    fn fits(&self, expected: &Expected, which: Which) -> Result<bool, crate::failure::Failure> {
        let Some(when) = &expected.when else { return Ok(true) };
        let names = self.names(Some(which), Default::default());
        self.frame(&names, Some(which)).holds(when, Stage::Step)
    }

    /// An answer says that an operation failed.
    fn failed_by(&mut self, which: Which, otherwise: Text) {
        let failure = self.operation(which.step, which.direction).failure;
        let told = self.reason(failure.reason.as_ref(), Some(which), otherwise);
        let told = told.and_then(|reason| Ok((reason, self.fields(failure.set.as_ref(), Some(which))?)));
        match told {
            Ok((reason, fields)) => {
                self.assign(fields);
                self.fail(which, reason, Failing::Answered);
            }
            Err(failure) => {
                self.op_entry("broken", which, &failure.message().into());
                self.fail(which, failure.code().clone(), Failing::Broken { done: false });
            }
        }
    }

    /// `None`: the message does not cancel.
    fn cancel(&mut self, cancel: &Cancel) -> Option<Fate> {
        let names = self.names(None, Default::default());
        let holds = self.frame(&names, None).holds_if_given(cancel.when.as_ref(), Stage::Step);
        let reason = match holds {
            Ok(false) => {
                self.setting.world.passed(&self.setting.saga.at, passed::CANCELLED, Way::Passed);
                return None;
            }
            Ok(true) => self.reason(cancel.reason.as_ref(), None, self.input.event.kind.clone()),
            Err(failure) => Err(failure),
        };
        if self.saga.status != Status::Running {
            return Some(Fate::Ignored(remark::MESSAGE));
        }
        if self.progress().pivoted {
            return Some(Fate::Ignored(remark::PIVOT));
        }
        // Somebody wants it undone; a reason that cannot be told is no reason not to.
        let reason = reason.unwrap_or_else(|failure| failure.code().clone());
        self.passed(&self.setting.saga.at, passed::CANCELLED);
        self.start_undo(reason, None);
        Some(Fate::Taken)
    }

    /// Could a repetition of a message that was taken be taken for another one?
    fn may_be_taken_again(&self, taken: &Taken) -> bool {
        let Some(progress) = self.saga.progress() else { return true };
        let is_open = |step: usize| {
            progress.run(step).is_none_or(|run| run.ops.iter().any(|op| op.state.is_open() || op.state.is_undoing()))
        };
        !self.saga.status.is_final() && taken.answers.iter().any(|answered| is_open(answered.step))
    }

    fn keep(&mut self) -> Outcome {
        if self.saga.kept.len() >= KEPT_MAX {
            self.count(remark::FULL);
            return Outcome::PassedOver;
        }
        let number = self.saga.next_kept;
        self.saga.next_kept += 1;
        self.saga.kept.push(Kept { number, kind: self.input.event.kind.clone() });
        self.actions.push(Action::Keep(number));
        let kind = self.input.event.kind.clone();
        self.entry("kept", [("type", Some(kind.into()))]);
        Outcome::Processed
    }

    pub(super) fn forget(&mut self, number: u32) {
        self.saga.kept.retain(|kept| kept.number != number);
        self.actions.push(Action::Forget(number));
    }

    /// Kept messages that something waits for by now, in the order they came.
    pub(super) fn offers(&self) -> Vec<u32> {
        // Of several kept messages one may be taken after another by what has waited for all of them.
        let is_kept = matches!(self.input.what, What::Message(Some(_)));
        if self.saga.status.is_final() || !(self.opened || is_kept) {
            return Vec::new();
        }
        let wanted = |kind: &str| match self.setting.saga.taken(kind) {
            Some(taken) if self.saga.progress().is_some() => self.is_awaited(taken),
            Some(_) => self.is_handled(kind),
            None => false,
        };
        self.saga.kept.iter().filter(|kept| wanted(&kept.kind)).map(|kept| kept.number).collect()
    }

    fn is_awaited(&self, taken: &Taken) -> bool {
        let waits = |step: usize, direction: Direction| {
            let run = self.progress().run(step);
            run.is_some_and(|run| run.ops.iter().any(|op| op.state.waits() == Some(direction)))
        };
        taken.cancels || taken.answers.iter().any(|answered| waits(answered.step, answered.direction))
    }

    /// A reply: accepted, or rejected.
    pub(super) fn reply(&mut self, accepted: bool) -> Outcome {
        if self.saga.status.is_final() || self.saga.progress().is_none() {
            self.count(remark::ENDED);
            return Outcome::PassedOver;
        }
        let Some(which) = self.input.event.causation_id.as_ref().and_then(|command| self.asked(command)) else {
            self.count(remark::REPLY);
            return Outcome::PassedOver;
        };
        let success = self.operation(which.step, which.direction).success;
        if accepted {
            match self.fits(success, which) {
                Ok(true) => self.succeed(which),
                Ok(false) => self.failed_by(which, "UNEXPECTED_RESPONSE".into()),
                Err(failure) => {
                    self.op_entry("broken", which, &failure.message().into());
                    self.fail(which, failure.code().clone(), Failing::Broken { done: true });
                }
            }
        } else {
            let code = self.input.event.data.get("code").and_then(|code| code.as_str()).filter(|code| !code.is_empty());
            let code = code.map_or_else(|| "REJECTED".into(), Text::from);
            self.failed_by(which, code);
        }
        self.advance();
        Outcome::Processed
    }

    /// The operation that waits for the reply to a command.
    fn asked(&self, command: &str) -> Option<Which> {
        if command.is_empty() {
            return None;
        }
        self.progress().runs.iter().find_map(|run| {
            let item = run.ops.iter().position(|op| op.command == command)?;
            let direction = run.ops[item].state.waits()?;
            Some(Which { step: run.step, item, direction })
        })
    }

    /// A timer that was due at `due`.
    pub(super) fn timer(&mut self, timer: Timer, due: Millis) {
        let is_led = self.saga.progress().is_some();
        match timer {
            _ if self.saga.status.is_final() => self.count(remark::TIMER),
            Timer::Op(step, item) if is_led => self.op_timer(step, item, due),
            Timer::Saga if is_led => self.saga_timer(),
            Timer::Saga => {
                self.passed(&self.setting.saga.at, passed::OVERTIME);
                self.fail_states(TIMEOUT, None)
            }
            Timer::After(transition) if !is_led => self.after_timer(transition, due),
            Timer::Anywhere(transition) if !is_led => self.anywhere_timer(transition),
            _ => self.count(remark::TIMER),
        }
    }

    fn op_timer(&mut self, step: usize, item: usize, due: Millis) {
        let op = self.progress().run(step).and_then(|run| run.ops.get(item));
        let Some(state) = op.filter(|op| op.due.is_some_and(|own| own <= due)).map(|op| op.state) else {
            return self.count(remark::TIMER);
        };
        let direction = if state.is_undoing() { Direction::Back } else { Direction::Forward };
        let which = Which { step, item, direction };
        // The timer that fired is gone: there is nothing to take away.
        self.op_mut(which).due = None;
        match state {
            OpState::Waiting | OpState::Undoing => self.fail(which, TIMEOUT, Failing::Unanswered),
            OpState::Resting | OpState::UndoResting => self.attempt(which),
            _ => return self.count(remark::TIMER),
        }
        self.advance();
    }

    fn saga_timer(&mut self) {
        match self.saga.status {
            Status::Running if !self.progress().pivoted => {
                self.passed(&self.setting.saga.at, passed::OVERTIME);
                self.start_undo(TIMEOUT, None);
                self.advance();
            }
            Status::Running | Status::PivotFailed => {
                self.saga.overdue = true;
                self.actions.push(Action::Overdue);
                self.entry("overdue", []);
            }
            // It is being undone already.
            _ => {}
        }
    }
}

//! Steps are done: begun, tried, settled, gone on from.

use super::action::Action;
use super::ids::{Deed, wait_millis};
use super::instance::{Op, OpState, Run, RunState};
use super::stepper::{Stepper, Which, text};
use super::{Status, Timer, passed};
use crate::failure::{Class, Failure, Stage};
use crate::node::first_refusal;
use crate::record::{Text, Value, json};
use crate::topology::model::saga::{Action as Doing, Awaits, Direction, Step};

/// Elements of a `for_each`.
const ELEMENTS_MAX: usize = 1_000;
/// Reason of what was not answered in time.
pub(super) const TIMEOUT: Text = Text::new_static("TIMEOUT");

/// How a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failing {
    /// It was answered so: known to have had no effect.
    Answered,
    /// Nobody answered in time.
    Unanswered,
    /// An expression failed; before anything was sent, or about an answer that says that it was done.
    Broken {
        /// Was something done?
        done: bool,
    },
}

impl Stepper<'_> {
    /// Goes on from where the instance stands, until it waits or is over.
    pub(super) fn advance(&mut self) {
        loop {
            match self.saga.status {
                Status::Running => {}
                Status::Compensating => return self.undo(),
                _ => return,
            }
            let (steps, progress) = (self.steps(), self.progress());
            let Some(step) = steps.order.get(progress.at).copied() else { return self.end(Status::Completed) };
            let Some(run) = progress.run(step) else {
                self.begin(step);
                continue;
            };
            match run.state {
                RunState::Open => return,
                RunState::Failed if !steps.steps[step].optional => {
                    let reason = run.reason.clone();
                    if progress.pivoted {
                        return self.halt_after_pivot(step, reason);
                    }
                    self.start_undo(reason, Some(step));
                }
                state => {
                    let progress = self.progress_mut();
                    progress.pivoted |= state == RunState::Done && steps.pivot == Some(step);
                    progress.at += 1;
                }
            }
        }
    }

    fn halt_after_pivot(&mut self, step: usize, reason: Text) {
        self.saga.reason = reason.clone();
        self.saga.failed_step = self.blamed(step);
        self.become_(Status::PivotFailed);
        let step = self.saga.failed_step.clone();
        self.entry("pivot_failed", [("step", text(&step)), ("reason", text(&reason))]);
    }

    /// Name of the step that failed: of a `parallel` the one within that it failed by.
    pub(super) fn blamed(&self, step: usize) -> Text {
        let steps = &self.steps().steps;
        let mut blamed = step;
        while let Doing::Parallel(inner) = &steps[blamed].action {
            let Some(failed) = inner.iter().copied().find(|inner| self.is_failure(*inner)) else { break };
            blamed = failed;
        }
        steps[blamed].name.clone()
    }

    fn is_failure(&self, step: usize) -> bool {
        !self.steps().steps[step].optional && self.progress().run(step).is_some_and(|run| run.state == RunState::Failed)
    }

    /// Begins a step: decides whether, fixes its elements, takes its action for each.
    pub(super) fn begin(&mut self, index: usize) {
        let step = &self.steps().steps[index];
        self.progress_mut().runs.push(Run::new(index));
        match self.elements(index, step) {
            Err(failure) => self.fail_step(index, failure.code().clone(), Some(&failure)),
            Ok(None) => {
                self.run_mut(index).state = RunState::Skipped;
                self.passed(&step.at, passed::SKIPPED);
                self.entry("skipped", [("step", text(&step.name))]);
                self.settle_outer(step);
            }
            Ok(Some(items)) => {
                self.run_mut(index).ops = items.into_iter().map(Op::new).collect();
                match self.refused(index, step) {
                    Err(failure) => {
                        self.run_mut(index).ops.clear();
                        self.fail_step(index, failure.code().clone(), Some(&failure));
                    }
                    Ok(()) => self.act(index, step),
                }
            }
        }
    }

    fn act(&mut self, index: usize, step: &Step) {
        if let Doing::Parallel(inner) = &step.action {
            self.run_mut(index).ops.clear();
            self.entry("began", [("step", text(&step.name))]);
            for inner in inner {
                self.begin(*inner);
            }
            return self.settle(index);
        }
        for item in 0..self.run_mut(index).ops.len() {
            self.attempt(Which { step: index, item, direction: Direction::Forward });
        }
        self.settle(index);
    }

    /// The elements of a step, one that is null where it has no list; `None`: it is not to be done.
    pub(super) fn elements(&self, index: usize, step: &Step) -> Result<Option<Vec<Value>>, Failure> {
        let whole = Which { step: index, item: 0, direction: Direction::Forward };
        let names = self.names(Some(whole), Value::Null);
        let frame = self.frame(&names, Some(whole));
        if !frame.holds_if_given(step.when.as_ref(), Stage::Step)? {
            return Ok(None);
        }
        let Some(each) = &step.for_each else { return Ok(Some(vec![Value::Null])) };
        let list = match frame.eval(&each.list, Stage::Step)? {
            Value::List(list) => list,
            other => {
                let said = format!("`for_each` runs over a {}, a list is wanted", other.kind());
                return Err(frame.misfit(&each.list.at, Stage::Step, said));
            }
        };
        if list.len() > ELEMENTS_MAX {
            let said = format!("`for_each` over {} elements, {ELEMENTS_MAX} are allowed", list.len());
            return Err(Failure::new(Class::Permanent, "TOO_LARGE", Stage::Step, said));
        }
        list.iter().map(kept_form).collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// The first rule that does not hold for an element, as a failure.
    fn refused(&self, index: usize, step: &Step) -> Result<(), Failure> {
        if step.require.is_empty() {
            return Ok(());
        }
        let items = self.progress().run(index).map_or(0, |run| run.ops.len());
        for item in 0..items {
            let which = Which { step: index, item, direction: Direction::Forward };
            let names = self.names(Some(which), Value::Null);
            if let Some((_, refusal)) = first_refusal(&step.require, &self.frame(&names, Some(which)), Stage::Step)? {
                return Err(refusal.into_failure(Stage::Step));
            }
        }
        Ok(())
    }

    /// A step fails before it did anything.
    fn fail_step(&mut self, index: usize, reason: Text, failure: Option<&Failure>) {
        let step = &self.steps().steps[index];
        let run = self.run_mut(index);
        run.state = RunState::Failed;
        run.reason = reason.clone();
        self.passed(&step.at, passed::FAILED);
        let message = failure.map(|failure| Value::from(failure.message()));
        self.entry("failed", [("step", text(&step.name)), ("reason", text(&reason)), ("message", message)]);
        self.settle_outer(step);
    }

    /// Takes the action of an operation: its first try, or a further one.
    pub(super) fn attempt(&mut self, which: Which) {
        let operation = self.operation(which.step, which.direction);
        let op = self.op_mut(which);
        op.tries += 1;
        op.command = Text::default();
        let answered = op.answered;
        let drafted = {
            let step = &self.steps().steps[which.step].name;
            let (direction, item) = (which.direction, which.item);
            let deed = Deed { saga: &self.saga.id, step, item, direction, answered };
            let parts = deed.parts();
            match operation.action {
                Doing::Send(message) => self.draft(std::slice::from_ref(&**message), Some(which), &parts),
                Doing::Emit(messages) => self.draft(messages, Some(which), &parts),
                Doing::Parallel(_) | Doing::None => Ok(Vec::new()),
            }
        };
        let mut drafted = match drafted {
            Ok(drafted) => drafted,
            Err(failure) => {
                let reason = failure.code().clone();
                self.op_entry("broken", which, &failure.message().into());
                return self.fail(which, reason, Failing::Broken { done: false });
            }
        };
        if operation.awaits == Awaits::Nothing {
            self.send(drafted);
            return self.succeed(which);
        }
        if let Some(message) = drafted.pop() {
            let wants_reply = operation.awaits == Awaits::Reply;
            if wants_reply {
                self.op_mut(which).command = message.event.id.clone();
            }
            self.actions.push(Action::Command { message: Box::new(message), wants_reply });
        }
        let due = operation.timeout.map(|timeout| self.after(timeout));
        self.wait(which, due);
        self.op_mut(which).state = match which.direction {
            Direction::Forward => OpState::Waiting,
            Direction::Back => OpState::Undoing,
        };
        self.opened |= operation.awaits == Awaits::Message;
        let what = if matches!(operation.action, Doing::None) { "waits" } else { "sent" };
        self.op_entry(what, which, &Text::default());
    }

    /// Sets the timer of an operation, or takes it away.
    fn wait(&mut self, which: Which, due: Option<i64>) {
        let before = std::mem::replace(&mut self.op_mut(which).due, due);
        let timer = Timer::Op(which.step, which.item);
        match due {
            Some(due) => self.arm(timer, due),
            None if before.is_some() => self.disarm(timer),
            None => {}
        }
    }

    /// An operation succeeds; what it tells is written into `saga.data`.
    pub(super) fn succeed(&mut self, which: Which) {
        let operation = self.operation(which.step, which.direction);
        match self.fields(operation.success.set.as_ref(), Some(which)) {
            Ok(fields) => self.assign(fields),
            Err(failure) => {
                self.op_entry("broken", which, &failure.message().into());
                return self.fail(which, failure.code().clone(), Failing::Broken { done: true });
            }
        }
        let order = self.next_order();
        let op = self.op_mut(which);
        op.command = Text::default();
        (op.state, op.unknown, op.reason) = (OpState::Done, false, Text::default());
        match which.direction {
            Direction::Forward => op.order = order,
            Direction::Back => op.state = OpState::Undone,
        }
        self.passed_op(which);
        self.wait(which, None);
        self.op_entry("succeeded", which, &Text::default());
        self.settle_op(which);
    }

    /// A try of an operation failed: it is tried again, or the operation fails.
    pub(super) fn fail(&mut self, which: Which, reason: Text, how: Failing) {
        let retry = self.operation(which.step, which.direction).retry;
        let may_try = self.op(which).tries < retry.attempts;
        let op = self.op_mut(which);
        op.reason = reason.clone();
        match how {
            Failing::Unanswered => {
                op.unknown = true;
                if which.direction == Direction::Forward {
                    self.passed(&self.steps().steps[which.step].at, passed::UNANSWERED);
                }
                if may_try {
                    self.op_entry("unanswered", which, &reason);
                    return self.attempt(which);
                }
            }
            Failing::Answered => {
                (op.unknown, op.answered) = (false, op.answered + 1);
                op.command = Text::default();
                if may_try && retry.when.is_some() {
                    match self.is_tried_again(which, &reason) {
                        Ok(false) => {}
                        Ok(true) => return self.rest(which, &reason),
                        Err(failure) => {
                            self.op_entry("broken", which, &failure.message().into());
                            self.op_mut(which).reason = failure.code().clone();
                        }
                    }
                }
            }
            Failing::Broken { done } => op.unknown |= done,
        }
        let order = self.next_order();
        let op = self.op_mut(which);
        op.command = Text::default();
        match which.direction {
            Direction::Forward => (op.state, op.order) = (OpState::Failed, order),
            Direction::Back => op.state = OpState::UndoFailed,
        }
        self.passed_op(which);
        self.wait(which, None);
        let reason = self.op(which).reason.clone();
        self.op_entry("failed", which, &reason);
        self.settle_op(which);
    }

    fn is_tried_again(&self, which: Which, reason: &Text) -> Result<bool, Failure> {
        let retry = self.operation(which.step, which.direction).retry;
        let names = self.names(Some(which), reason.clone().into());
        self.frame(&names, Some(which)).holds_if_given(retry.when.as_ref(), Stage::Step)
    }

    /// Waits before the next try.
    fn rest(&mut self, which: Which, reason: &Text) {
        let retry = self.operation(which.step, which.direction).retry;
        let step = &self.steps().steps[which.step].name;
        let (item, direction) = (which.item, which.direction);
        let op = self.op(which);
        let deed = Deed { saga: &self.saga.id, step, item, direction, answered: op.answered };
        let due = self.input.now.saturating_add(wait_millis(retry, op.tries, &deed));
        self.op_mut(which).state = match direction {
            Direction::Forward => OpState::Resting,
            Direction::Back => OpState::UndoResting,
        };
        self.wait(which, Some(due));
        if direction == Direction::Forward {
            self.passed(&self.steps().steps[which.step].at, passed::RETRIED);
        }
        self.op_entry("rests", which, reason);
    }

    fn settle_op(&mut self, which: Which) {
        if which.direction == Direction::Forward {
            self.settle(which.step);
        }
    }

    /// A step is over when all that it waits for is: failed with the reason of the first that failed, in the order of its list.
    pub(super) fn settle(&mut self, index: usize) {
        let step = &self.steps().steps[index];
        let Some(run) = self.progress().run(index).filter(|run| run.state == RunState::Open) else { return };
        let failed = match &step.action {
            Doing::Parallel(inner) => {
                let runs = || inner.iter().map(|inner| self.progress().run(*inner));
                if runs().any(|run| run.is_none_or(|run| run.state == RunState::Open)) {
                    return;
                }
                let failed = inner.iter().find(|inner| self.is_failure(**inner));
                failed.and_then(|inner| self.progress().run(*inner)).map(|run| run.reason.clone())
            }
            _ => {
                if run.ops.iter().any(|op| op.state.is_open()) {
                    return;
                }
                run.ops.iter().find(|op| op.state == OpState::Failed).map(|op| op.reason.clone())
            }
        };
        let run = self.run_mut(index);
        match failed {
            Some(reason) => (run.state, run.reason) = (RunState::Failed, reason),
            None => run.state = RunState::Done,
        }
        self.settle_outer(step);
    }

    /// The step that holds this one may be over now.
    fn settle_outer(&mut self, step: &Step) {
        if let Some(outer) = step.parent {
            self.settle(outer);
        }
    }
}

/// A value as it will be read back: without the kinds that JSON lacks.
fn kept_form(value: &Value) -> Result<Value, Failure> {
    let is_plain = matches!(value, Value::Null | Value::Bool(_) | Value::Int(_) | Value::Str(_) | Value::BigInt(_));
    if is_plain {
        return Ok(value.clone());
    }
    let unkeepable = |error: json::Error| Failure::new(Class::Permanent, "EXPRESSION_ERROR", Stage::Step, error.to_string());
    let mut written = Vec::new();
    json::write(value, &mut written).map_err(unkeepable)?;
    json::read(&written).map_err(unkeepable)
}

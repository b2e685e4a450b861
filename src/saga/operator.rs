//! What an operator's act does to an instance.

use super::act::{Act, Deed};
use super::action::remark;
use super::instance::{ACTS_MAX, OpState, RunState};
use super::stepper::{Stepper, Which, text};
use super::{Status, Timer};
use crate::node::Outcome;
use crate::record::{Text, Value};
use crate::topology::model::saga::{Action as Doing, Direction};

/// Reason of an instance that an operator had undone.
const ABORTED: Text = Text::new_static("ABORTED");

impl Stepper<'_> {
    /// Does what an operator wants, if the instance stands where it can be done. Done or refused, it is in the history.
    pub(super) fn operator(&mut self, act: &Act) -> Outcome {
        if self.saga.acts.contains(&act.id) {
            self.count(remark::ACT);
            return Outcome::PassedOver;
        }
        let refusal = self.refusal(act);
        self.entry(
            "act",
            [
                ("act", Some(act.deed.name().into())),
                ("id", Some(act.id.clone().into())),
                ("by", text(&act.by)),
                ("reason", text(&act.reason)),
                ("step", act.step.clone().map(Value::from)),
                ("refused", refusal.map(Value::from)),
            ],
        );
        if refusal.is_some() {
            self.count(remark::ACT);
            return Outcome::PassedOver;
        }
        self.saga.acts.push(act.id.clone());
        let over = self.saga.acts.len().saturating_sub(ACTS_MAX);
        self.saga.acts.drain(..over);
        match (act.deed, self.saga.status) {
            (Deed::Abort, _) => self.abort(),
            (deed, Status::Running) => self.act_on_current(deed),
            (deed, Status::Compensating | Status::CompensationFailed) => self.act_on_undoing(deed),
            (deed, _) => self.act_after_pivot(deed),
        }
        if self.saga.progress().is_some() {
            self.advance();
        }
        Outcome::Processed
    }

    /// Why an act cannot be done.
    fn refusal(&self, act: &Act) -> Option<&'static str> {
        if self.saga.status.is_final() {
            return Some("the saga is over");
        }
        if act.deed == Deed::Abort {
            return None;
        }
        let Some(progress) = self.saga.progress() else { return Some("a saga of states can only be aborted") };
        let steps = self.steps();
        if let Some(named) = &act.step {
            let stands_there = match self.saga.status {
                Status::Running | Status::PivotFailed => {
                    steps.order.get(progress.at).is_some_and(|step| self.is_within(*step, named))
                }
                _ => {
                    let undone = self.ops(|state| state.is_undoing() || state == OpState::UndoFailed, Direction::Back);
                    undone.iter().any(|which| steps.steps[which.step].name == *named)
                }
            };
            if !stands_there {
                return Some("the saga does not stand at that step");
            }
        }
        let rests = self.ops(|state| matches!(state, OpState::Resting | OpState::UndoResting), Direction::Forward);
        match (act.deed, self.saga.status) {
            (Deed::Retry, Status::Running | Status::Compensating) if rests.is_empty() => Some("nothing rests before a try"),
            _ => None,
        }
    }

    fn is_within(&self, step: usize, name: &str) -> bool {
        let steps = &self.steps().steps;
        if steps[step].name == name {
            return true;
        }
        match &steps[step].action {
            Doing::Parallel(inner) => inner.iter().any(|inner| self.is_within(*inner, name)),
            _ => false,
        }
    }

    /// The first time what was done is undone, if it can be; the next time it ends as it is.
    fn abort(&mut self) {
        let can_be_undone = self.saga.progress().is_some_and(|progress| !progress.pivoted);
        if self.saga.status == Status::Running && can_be_undone {
            self.saga.aborted = true;
            return self.start_undo(ABORTED, None);
        }
        if self.saga.reason.is_empty() {
            self.saga.reason = ABORTED;
        }
        self.end(Status::Cancelled);
    }

    /// The current step, on its way.
    fn act_on_current(&mut self, deed: Deed) {
        if deed == Deed::Retry {
            let resting = self.ops(|state| state == OpState::Resting, Direction::Forward);
            return resting.into_iter().for_each(|which| self.try_now(which));
        }
        for which in self.open_ops() {
            self.give_up(which);
            if deed == Deed::Resolve {
                let op = self.op_mut(which);
                (op.state, op.unknown, op.reason) = (OpState::Done, false, Text::default());
            }
        }
        self.close_runs(RunState::Open, deed);
    }

    /// Steps in this state are over by hand.
    fn close_runs(&mut self, state: RunState, deed: Deed) {
        let closed = if deed == Deed::Resolve { RunState::Done } else { RunState::Skipped };
        for run in self.progress_mut().runs.iter_mut().filter(|run| run.state == state) {
            run.state = closed;
        }
    }

    fn try_now(&mut self, which: Which) {
        if self.op_mut(which).due.take().is_some() {
            self.disarm(Timer::Op(which.step, which.item));
        }
        self.attempt(which);
    }

    /// What is undone, or could not be.
    fn act_on_undoing(&mut self, deed: Deed) {
        let failed = self.ops(|state| state == OpState::UndoFailed, Direction::Back);
        let under_way = self.ops(|state| state.is_undoing(), Direction::Back);
        let resting = self.ops(|state| state == OpState::UndoResting, Direction::Back);
        if self.saga.status == Status::CompensationFailed {
            self.become_(Status::Compensating);
        }
        match deed {
            Deed::Retry => {
                for which in failed {
                    let op = self.op_mut(which);
                    (op.state, op.tries) = (OpState::UndoResting, 0);
                    self.attempt(which);
                }
                for which in resting {
                    self.try_now(which);
                }
            }
            _ => {
                let by_hand = if deed == Deed::Resolve { OpState::Undone } else { OpState::Left };
                // What failed comes before what is still under way: the operator saw the saga halted.
                for which in if failed.is_empty() { under_way } else { failed } {
                    if self.op_mut(which).due.take().is_some() {
                        self.disarm(Timer::Op(which.step, which.item));
                    }
                    let op = self.op_mut(which);
                    op.command = Text::default();
                    op.state = by_hand;
                    self.op_entry("by_hand", which, &by_hand.name().into());
                }
            }
        }
    }

    /// The required step that failed after the pivot.
    fn act_after_pivot(&mut self, deed: Deed) {
        self.become_(Status::Running);
        (self.saga.reason, self.saga.failed_step) = (Text::default(), Text::default());
        let current = self.steps().order[self.progress().at];
        if deed != Deed::Retry {
            return self.close_runs_within(current, deed);
        }
        self.reopen(current);
        self.settle(current);
    }

    fn close_runs_within(&mut self, step: usize, deed: Deed) {
        let closed = if deed == Deed::Resolve { RunState::Done } else { RunState::Skipped };
        self.run_mut(step).state = closed;
    }

    /// Tries again what failed within a step. All of it is open before any of it goes on: what is done at once must not find the
    /// others settled.
    fn reopen(&mut self, index: usize) {
        self.open_again(index);
        self.go_on(index);
    }

    fn open_again(&mut self, index: usize) {
        let Some(run) = self.progress_mut().run_mut(index).filter(|run| run.state == RunState::Failed) else { return };
        (run.state, run.reason) = (RunState::Open, Text::default());
        if let Doing::Parallel(inner) = &self.steps().steps[index].action {
            inner.iter().for_each(|inner| self.open_again(*inner));
        }
    }

    fn go_on(&mut self, index: usize) {
        let step = &self.steps().steps[index];
        if self.progress().run(index).is_none_or(|run| run.state != RunState::Open) {
            return;
        }
        if let Doing::Parallel(inner) = &step.action {
            let begun: Vec<usize> = inner.iter().copied().filter(|inner| self.progress().run(*inner).is_some()).collect();
            if !begun.is_empty() {
                return begun.into_iter().for_each(|inner| self.go_on(inner));
            }
        }
        if self.run_mut(index).ops.is_empty() {
            // It failed before it did anything, and begins anew.
            self.progress_mut().runs.retain(|run| run.step != index);
            return self.begin(index);
        }
        let failed = self.ops(|state| state == OpState::Failed, Direction::Forward);
        let failed: Vec<Which> = failed.into_iter().filter(|which| which.step == index).collect();
        for which in &failed {
            // All of them first: one that is done at once must not find the others settled.
            let op = self.op_mut(*which);
            (op.state, op.tries) = (OpState::Resting, 0);
        }
        for which in failed {
            self.attempt(which);
        }
    }
}

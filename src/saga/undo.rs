//! What was done is undone: every operation that succeeded, or of which nobody knows.

use super::Status;
use super::instance::{OpState, RunState};
use super::stepper::{Stepper, Which, text};
use crate::record::Text;
use crate::topology::model::saga::{Direction, UndoOrder};

/// Reason of a step that was given up because the saga is undone.
const GIVEN_UP: Text = Text::new_static("GIVEN_UP");

impl Stepper<'_> {
    /// Turns back. What was under way is given up: it may have had its effect. The caller goes on with
    /// [`advance`](Self::advance).
    pub(super) fn start_undo(&mut self, reason: Text, failed: Option<usize>) {
        if let Some(step) = failed {
            self.saga.failed_step = self.blamed(step);
        }
        self.saga.reason = reason.clone();
        for which in self.open_ops() {
            self.give_up(which);
        }
        for run in &mut self.progress_mut().runs {
            if run.state == RunState::Open {
                (run.state, run.reason) = (RunState::Failed, GIVEN_UP);
            }
        }
        self.become_(Status::Compensating);
        let step = self.saga.failed_step.clone();
        self.entry("compensating", [("step", text(&step)), ("reason", text(&reason))]);
    }

    /// Operations on their way forward, in the order they began.
    pub(super) fn open_ops(&self) -> Vec<Which> {
        self.ops(|state| state.is_open(), Direction::Forward)
    }

    /// Operations in these states.
    pub(super) fn ops(&self, fits: impl Fn(OpState) -> bool, direction: Direction) -> Vec<Which> {
        let Some(progress) = self.saga.progress() else { return Vec::new() };
        let of = |step: usize, item: usize| Which { step, item, direction };
        let runs = progress.runs.iter();
        let all = runs.flat_map(|run| run.ops.iter().enumerate().map(move |(item, op)| (of(run.step, item), op.state)));
        all.filter(|(_, state)| fits(*state)).map(|(which, _)| which).collect()
    }

    /// Waits for an operation no longer: what was sent and not answered may have had its effect.
    pub(super) fn give_up(&mut self, which: Which) {
        let order = self.next_order();
        let op = self.op_mut(which);
        op.unknown |= op.state == OpState::Waiting;
        op.command = Text::default();
        (op.state, op.order, op.reason) = (OpState::Failed, order, GIVEN_UP);
        if op.due.take().is_some() {
            self.disarm(super::Timer::Op(which.step, which.item));
        }
        self.op_entry("given_up", which, &Text::default());
    }

    /// Undoes what comes next, all that can be at once, until it waits or is over.
    pub(super) fn undo(&mut self) {
        let order = self.steps().undo;
        loop {
            let is_under_way = !self.ops(OpState::is_undoing, Direction::Back).is_empty();
            let has_failed = !self.ops(|state| state == OpState::UndoFailed, Direction::Back).is_empty();
            let waits = order == UndoOrder::Reverse && (is_under_way || has_failed);
            match self.next_undo().filter(|_| !waits) {
                Some(which) => {
                    let op = self.op_mut(which);
                    (op.state, op.tries, op.answered, op.unknown) = (OpState::Undoing, 0, 0, false);
                    self.attempt(which);
                }
                None if is_under_way => return,
                None if has_failed => {
                    self.become_(Status::CompensationFailed);
                    return self.entry("compensation_failed", []);
                }
                None => break,
            }
        }
        let is_left = !self.ops(|state| state == OpState::Left, Direction::Back).is_empty();
        self.end(match (is_left, self.saga.aborted) {
            (_, true) => Status::Cancelled,
            (true, false) => Status::Failed,
            (false, false) => Status::Compensated,
        });
    }

    /// The last operation that is to be undone and was not.
    fn next_undo(&self) -> Option<Which> {
        let steps = &self.steps().steps;
        let runs = self.progress().runs.iter().filter(|run| steps[run.step].compensate.is_some());
        let ops = runs.flat_map(|run| run.ops.iter().enumerate().map(move |(item, op)| (run.step, item, op)));
        let last = ops.filter(|(_, _, op)| op.is_to_be_undone()).max_by_key(|(_, _, op)| op.order);
        last.map(|(step, item, _)| Which { step, item, direction: Direction::Back })
    }
}

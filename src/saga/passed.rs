//! What a saga notes of the places of its file that it has passed, for whoever asks what its tests have tried.

use super::Status;
use super::instance::OpState;
use super::stepper::{Stepper, Which};
use crate::node::Way;
use crate::topology::model::Position;
use crate::topology::model::saga::Direction;

/// At a step: it was done.
pub const SUCCEEDED: &str = "succeeded";
/// At a step: it failed, all its tries included.
pub const FAILED: &str = "failed";
/// At a step: a try was not answered in time.
pub const UNANSWERED: &str = "unanswered";
/// At a step: a failure that answered was followed by another try.
pub const RETRIED: &str = "retried";
/// At a step: it was not to be done.
pub const SKIPPED: &str = "skipped";
/// At a compensation: its step was undone.
pub const UNDONE: &str = "undone";
/// At a state: it was entered.
pub const ENTERED: &str = "entered";
/// At a transition: it was taken, or its `when` did not hold.
pub const TRANSITION: &str = "transition";
/// At a saga: a message had it undone.
pub const CANCELLED: &str = "cancelled";
/// At a saga: it took too long.
pub const OVERTIME: &str = "overtime";

impl Stepper<'_> {
    pub(super) fn passed(&self, at: &Position, what: &'static str) {
        self.setting.world.passed(at, what, Way::Taken);
    }

    /// An operation is settled, one way or the other.
    pub(super) fn passed_op(&self, which: Which) {
        let step = &self.steps().steps[which.step];
        match (which.direction, self.op(which).state) {
            (Direction::Forward, OpState::Done) => self.passed(&step.at, SUCCEEDED),
            (Direction::Forward, _) => self.passed(&step.at, FAILED),
            (Direction::Back, OpState::Undone) => {
                if let Some(undo) = &step.compensate {
                    self.passed(&undo.at, UNDONE);
                }
            }
            (Direction::Back, _) => {}
        }
    }

    /// It is over, and how.
    pub(super) fn passed_end(&self, status: Status) {
        self.passed(&self.setting.saga.at, status.name());
    }
}

//! `branch`: the first arm that holds; what reaches its end, or fits none, goes on after the step.

use super::{Flow, Run};
use crate::failure::{Failure, Stage};
use crate::topology::model::Arm;

pub(super) fn run<'a>(run: &mut Run<'a, '_>, arms: &'a [Arm]) -> Result<Flow, Failure> {
    for arm in arms {
        if run.frame.holds_if_given(arm.when.as_ref(), Stage::Step)? {
            run.ahead.push(&arm.steps);
            break;
        }
    }
    Ok(Flow::On)
}

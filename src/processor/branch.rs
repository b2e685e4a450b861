//! `branch`: the first arm that holds; what reaches its end, or fits none, goes on after the step.

use super::{Flow, Run};
use crate::failure::{Failure, Stage};
use crate::node::Way;
use crate::topology::model::Arm;

pub(super) fn run<'a>(run: &mut Run<'a, '_>, arms: &'a [Arm]) -> Result<Flow, Failure> {
    for arm in arms {
        if run.frame.holds_if_given(arm.when.as_ref(), Stage::Step)? {
            if let Some(at) = arm.at() {
                run.frame.passed(at, "", Way::Taken);
            }
            run.ahead.push(&arm.steps);
            return Ok(Flow::On);
        }
    }
    if let Some(at) = arms.last().and_then(Arm::at) {
        run.frame.passed(at, "", Way::Passed);
    }
    Ok(Flow::On)
}

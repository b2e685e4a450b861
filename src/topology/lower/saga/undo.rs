//! Can what was done be undone, and is what cannot be undone tried often enough? Around the pivot these change places.

use crate::topology::diagnostic::finding;
use crate::topology::lower::Lower;
use crate::topology::lower::fields::Fields;
use crate::topology::model::saga::{Action, Awaits, Step, Steps};
use std::ops::Range;

impl Lower<'_> {
    /// E714, W701 and W704.
    pub(super) fn undoable(&mut self, body: &Steps, ranges: &[Range<usize>], fields: &Fields<'_>) {
        // After the pivot nothing is undone, by cancellation neither.
        let last_undone = body.order.iter().rev().find(|step| !body.is_after_pivot(**step) && may_fail(body, **step));
        let stopped_anywhere = fields.get("cancel").is_some() || fields.get("timeout").is_some();
        for (index, step) in body.steps.iter().enumerate() {
            let range = ranges[index].clone();
            if body.is_after_pivot(index) {
                if step.compensate.is_some() {
                    let found = finding("E714", format!("`{}` comes after the pivot, it is never undone", step.name));
                    self.say(range, found.hint("leave `compensate` out, or move the pivot"));
                } else if is_fallible(step) && !is_optional(body, index) && step.retry.attempts == 1 {
                    let found = finding("W704", format!("`{}` is required after the pivot and tried once", step.name));
                    let found = found.cause("if it fails the saga is stuck: it can neither go on nor be undone");
                    self.say(range, found.hint("`retry`, or `optional: true`"));
                }
                continue;
            }
            let outermost = body.outermost(index);
            let beside = has_fallible_beside(body, index);
            let stopped_later = stopped_anywhere && body.pivot != Some(outermost);
            let before = last_undone.is_some_and(|last| outermost < *last) || beside;
            if matches!(step.action, Action::Send(_)) && step.compensate.is_none() && (before || stopped_later) {
                let found = finding("W701", format!("nothing undoes `{}`", step.name));
                let cause = if before { "a step after it may fail" } else { "the saga may be stopped after it" };
                self.say(range, found.cause(cause).hint("`compensate`"));
            }
        }
    }
}

fn is_optional(body: &Steps, index: usize) -> bool {
    body.steps[index].optional || body.within(index).any(|outer| body.steps[outer].optional)
}

/// May it fail, as far as it depends on itself?
fn is_fallible(step: &Step) -> bool {
    let awaits = step.awaits();
    matches!(step.action, Action::Send(_)) && awaits != Awaits::Nothing
}

/// May the saga fail at this step, or at one within it?
fn may_fail(body: &Steps, index: usize) -> bool {
    let step = &body.steps[index];
    if step.optional {
        return false;
    }
    let waits = matches!(step.awaits(), Awaits::Message) && (step.timeout.is_some() || !step.failure.types.is_empty());
    let inner = match &step.action {
        Action::Parallel(inner) => inner.iter().any(|inner| may_fail(body, *inner)),
        _ => false,
    };
    is_fallible(step) || waits || !step.require.is_empty() || inner
}

/// May another step fail that is done at the same time?
fn has_fallible_beside(body: &Steps, index: usize) -> bool {
    let mut of = index;
    body.within(index).any(|outer| {
        let own = std::mem::replace(&mut of, outer);
        match &body.steps[outer].action {
            Action::Parallel(inner) => inner.iter().any(|other| *other != own && may_fail(body, *other)),
            _ => false,
        }
    })
}

//! Is there time enough, and does every wait end?

use crate::topology::diagnostic::finding;
use crate::topology::lower::Lower;
use crate::topology::lower::fields::Fields;
use crate::topology::model::saga::{Action, Awaits, Step, Steps};
use jiff::SignedDuration;
use std::ops::Range;

/// Waits that are added up one by one; those after them are as long as the last of them.
const WAITS_ADDED: u32 = 64;

impl Lower<'_> {
    /// E708 and W702.
    pub(super) fn in_time(
        &mut self,
        body: &Steps,
        ranges: &[Range<usize>],
        timeout: Option<SignedDuration>,
        fields: &Fields<'_>,
    ) {
        let Some(timeout) = timeout else {
            for (step, range) in body.steps.iter().zip(ranges) {
                if step.awaits() == Awaits::Message && step.timeout.is_none() {
                    let found = finding("W702", format!("`{}` may wait for ever", step.name));
                    self.say(range.clone(), found.hint("`timeout` of the step, or of the saga"));
                }
            }
            return;
        };
        let needed = body.order.iter().map(|step| longest(body, &body.steps[*step]));
        let needed = needed.fold(SignedDuration::ZERO, SignedDuration::saturating_add);
        if needed > timeout {
            let message = format!("the steps may take {needed:#} with their tries, the saga has {timeout:#}");
            let found = finding("E708", message).cause("its last steps would be undone before they had their time");
            self.say(fields.key_range("timeout"), found.hint("a longer `timeout`, or shorter ones of the steps"));
        }
    }
}

/// How long a step that is always done may take, at least.
fn longest(body: &Steps, step: &Step) -> SignedDuration {
    if step.when.is_some() {
        return SignedDuration::ZERO;
    }
    if let Action::Parallel(inner) = &step.action {
        return inner.iter().map(|inner| longest(body, &body.steps[*inner])).max().unwrap_or_default();
    }
    let Some(timeout) = step.timeout else { return SignedDuration::ZERO };
    let attempts = i32::try_from(step.retry.attempts).unwrap_or(i32::MAX);
    let tries = timeout.checked_mul(attempts).unwrap_or(SignedDuration::MAX);
    let added = (attempts.unsigned_abs() - 1).min(WAITS_ADDED);
    let waits = (1..=added).map(|tries| step.retry.wait(tries)).fold(SignedDuration::ZERO, SignedDuration::saturating_add);
    tries.saturating_add(waits)
}

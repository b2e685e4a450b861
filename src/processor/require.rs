//! `require`: the first rule that does not hold refuses. Whoever asked is told, of others the record fails. What may pass later
//! fails in any case: it is tried again.

use super::{Flow, Run};
use crate::failure::{Class, Failure, Stage};
use crate::node::{asker, first_refusal};
use crate::topology::model::Require;

pub(super) fn run(run: &mut Run<'_, '_>, rules: &[Require]) -> Result<Flow, Failure> {
    match first_refusal(rules, &run.frame, Stage::Step)? {
        None => Ok(Flow::On),
        Some((rule, refusal)) if rule.retryable => Err(refusal.into_failure_of(Class::Retryable, Stage::Step)),
        Some((_, refusal)) if asker(run.outbox.record()).is_some() => Ok(Flow::Refuse(refusal)),
        Some((_, refusal)) => Err(refusal.into_failure(Stage::Step)),
    }
}

//! `dedupe`: what was seen within a time ends here, counted.
//!
//! What was seen is kept as a mark that goes by itself when its time has passed, among those of the pipeline's store under the name
//! of the step; a hash stands for the value, so that a mark is small whatever it is of. Marks of a record are kept with what it
//! sends: one that fails or is refused has not been seen.

use super::{Flow, Run};
use crate::codec::NAMESPACE;
use crate::failure::Stage;
use crate::node::{Context, Stop, Way};
use crate::record::{Millis, Value, json, uuid5};
use crate::state::layout::{Tag, key};
use crate::topology::model::Dedupe;

pub(super) fn run(run: &mut Run<'_, '_>, dedupe: &Dedupe, store: usize, context: &mut dyn Context) -> Result<Flow, Stop> {
    let value = run.frame.eval(&dedupe.by, Stage::Step)?;
    let mark = match mark(&dedupe.name, &value) {
        Some(mark) => mark,
        None => {
            let message = format!("`by` of a `dedupe` got a {}, by which nothing can be known again", value.kind());
            return Err(run.frame.misfit(&dedupe.by.at, Stage::Step, message).into());
        }
    };
    let now = context.now();
    let was_seen = match run.seen.contains_key(&mark) {
        true => true,
        false => context.expiring(store, Tag::Mark, &mark)?.is_some_and(|seen| seen.expires_at > now),
    };
    run.frame.passed(&dedupe.by.at, "", if was_seen { Way::Passed } else { Way::Taken });
    if was_seen {
        context.count("duplicate_dropped");
        return Ok(Flow::End);
    }
    let within = Millis::try_from(dedupe.within.as_millis()).unwrap_or(Millis::MAX);
    run.seen.insert(mark, now.saturating_add(within));
    Ok(Flow::On)
}

/// The key of a mark; none of what is nothing, or has no text.
fn mark(step: &str, value: &Value) -> Option<Vec<u8>> {
    if value.is_null() {
        return None;
    }
    let mut text = Vec::with_capacity(64);
    json::write(value, &mut text).ok()?;
    let mut mark = Vec::with_capacity(step.len() + 18);
    key::append_part(step.as_bytes(), &mut mark);
    mark.extend_from_slice(uuid5(&NAMESPACE, &text).as_bytes());
    Some(mark)
}

//! `emit`: sends, and goes on with the same record.

use super::{Effect, Flow, Run};
use crate::failure::Failure;
use crate::topology::model::Message;

pub(super) fn run(run: &mut Run<'_, '_>, messages: &[Message]) -> Result<Flow, Failure> {
    let mut drafts = Vec::with_capacity(messages.len());
    for message in messages {
        run.outbox.draft(message, &mut run.frame, &mut drafts)?;
    }
    run.effects.extend(drafts.into_iter().map(|drafted| Effect::Message(Box::new(drafted))));
    Ok(Flow::On)
}

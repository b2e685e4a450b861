//! `reply`: accepts, with this result, to whoever asked or to `replies`.

use super::{Effect, Flow, Run};
use crate::failure::{Failure, Stage};
use crate::node::Answer;
use crate::topology::model::Template;

pub(super) fn run(run: &mut Run<'_, '_>, template: &Template) -> Result<Flow, Failure> {
    let result = run.frame.fill(template, Stage::Step)?;
    run.effects.push(Effect::Reply(Answer::Accepted { result, version: None }));
    Ok(Flow::On)
}

//! `map`: new data.

use super::{Flow, Run};
use crate::failure::{Failure, Stage};
use crate::topology::model::Template;

pub(super) fn run(run: &mut Run<'_, '_>, template: &Template) -> Result<Flow, Failure> {
    let data = run.frame.fill(template, Stage::Step)?;
    run.frame.set_data(data);
    Ok(Flow::On)
}

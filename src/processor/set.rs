//! `set`: fields assigned to the data, all seeing the data before.

use super::{Flow, Run};
use crate::failure::{Failure, Stage};
use crate::record::Value;
use crate::topology::model::Template;

pub(super) fn run(run: &mut Run<'_, '_>, template: &Template) -> Result<Flow, Failure> {
    let fields = run.frame.fill_map(template, Stage::Step)?;
    let mut data = match run.frame.data() {
        Value::Map(data) => data.clone(),
        other => {
            let message = format!("the data is a {}, `set` wants a map", other.kind());
            return Err(run.frame.misfit(&template.at, Stage::Step, message));
        }
    };
    data.assign(fields);
    run.frame.set_data(data.into());
    Ok(Flow::On)
}

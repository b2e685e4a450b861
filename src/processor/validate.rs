//! `validate`: the data must fit a schema, and has its kinds of numbers from here on.

use super::{Flow, Run};
use crate::failure::{Class, Failure, Stage};
use crate::topology::model::Schema;

pub(super) fn run(run: &mut Run<'_, '_>, schema: &Schema) -> Result<Flow, Failure> {
    let data = schema.compiled.accept(run.frame.data().clone()).map_err(|misfit| {
        Failure::new(Class::Permanent, "SCHEMA_INVALID", Stage::Step, format!("the data does not fit its schema: {misfit}"))
    })?;
    run.frame.set_data(data);
    Ok(Flow::On)
}

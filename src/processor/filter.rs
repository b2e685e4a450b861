//! `filter`: false ends the record here.

use super::{Flow, Run};
use crate::failure::{Failure, Stage};
use crate::topology::model::Expr;

pub(super) fn run(run: &mut Run<'_, '_>, expr: &Expr) -> Result<Flow, Failure> {
    Ok(if run.frame.holds(expr, Stage::Step)? { Flow::On } else { Flow::End })
}

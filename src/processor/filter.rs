//! `filter`: false ends the record here.

use super::{Flow, Run};
use crate::failure::{Failure, Stage};
use crate::node::Way;
use crate::topology::model::Expr;

pub(super) fn run(run: &mut Run<'_, '_>, expr: &Expr) -> Result<Flow, Failure> {
    let holds = run.frame.holds(expr, Stage::Step)?;
    run.frame.passed(&expr.at, "", if holds { Way::Taken } else { Way::Passed });
    Ok(if holds { Flow::On } else { Flow::End })
}

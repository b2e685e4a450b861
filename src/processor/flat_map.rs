//! `flat_map`: one record per element, each of which goes the rest of the way, in order.

use super::{Flow, Run, Waiting};
use crate::failure::{Class, Failure, Stage};
use crate::record::Value;
use crate::topology::model::Expr;

/// Records that one record may become, over all its `flat_map`s: what one step does is bounded.
const MADE_MAX: usize = 10_000;

pub(super) fn run(run: &mut Run<'_, '_>, expr: &Expr) -> Result<Flow, Failure> {
    let elements = match run.frame.eval(expr, Stage::Step)? {
        Value::List(elements) => elements,
        other => {
            let message = format!("`flat_map` got a {}, a list is wanted", other.kind());
            return Err(run.frame.misfit(&expr.at, Stage::Step, message));
        }
    };
    run.made += elements.len();
    if run.made > MADE_MAX {
        let message = format!("one record became {} by `flat_map`, {MADE_MAX} are allowed", run.made);
        return Err(Failure::new(Class::Permanent, "TOO_LARGE", Stage::Step, message));
    }
    let Some((first, others)) = elements.split_first() else { return Ok(Flow::End) };
    // Names of before keep what they had with the data of before, in all that follow.
    let before = run.frame.place();
    run.frame.set_data(first.clone());
    let ahead = &run.ahead;
    let waiting = others.iter().rev();
    run.waiting
        .extend(waiting.map(|element| Waiting { ahead: ahead.clone(), place: before.clone().with_data(element.clone()) }));
    Ok(Flow::On)
}

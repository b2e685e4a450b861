//! `rekey`: a new key, which must be one: text or an integer, not empty. It is text from here on.

use super::{Flow, Run};
use crate::codec::{KeyFormat, write_key};
use crate::failure::{Failure, Stage};
use crate::record::Value;
use crate::topology::model::Expr;

pub(super) fn run(run: &mut Run<'_, '_>, expr: &Expr) -> Result<Flow, Failure> {
    let key = run.frame.eval(expr, Stage::Key)?;
    write_key(KeyFormat::String, &key, &mut Vec::new())?;
    run.frame.set_key(match key {
        Value::Int(number) => Value::from(number.to_string()),
        Value::BigInt(digits) => Value::Str(digits.into()),
        other => other,
    });
    Ok(Flow::On)
}

//! Rules: the first that does not hold refuses.

use super::frame::as_text;
use super::{Frame, Way};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Text, Value};
use crate::topology::model::{Check, Require};

/// Why something was refused, as the asker is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Stable code.
    pub code: Text,
    /// For people.
    pub message: Text,
    /// For programs.
    pub details: Value,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(code: impl Into<Text>, message: impl Into<Text>) -> Self {
        Self { code: code.into(), message: message.into(), details: Value::Null }
    }

    /// The refusal as the failure of its record, for good.
    pub fn into_failure(self, stage: Stage) -> Failure {
        self.into_failure_of(Class::Permanent, stage)
    }

    /// The refusal as a failure of a class.
    pub fn into_failure_of(self, class: Class, stage: Stage) -> Failure {
        let message = if self.message.is_empty() { "refused".to_owned() } else { self.message.to_string() };
        Failure::new(class, self.code, stage, message).with_details(self.details)
    }
}

/// The first rule that does not hold, with what it says.
pub fn first_refusal<'r>(
    rules: &'r [Require],
    frame: &Frame<'_>,
    stage: Stage,
) -> Result<Option<(&'r Require, Refusal)>, Failure> {
    for rule in rules {
        let misfit = match &rule.check {
            Check::That(expr) if frame.holds(expr, stage)? => continue,
            Check::That(_) => None,
            Check::Fits { value, schema } => {
                let value = frame.eval(value, stage)?;
                if schema.compiled.fits(&value) {
                    continue;
                }
                Some(schema.compiled.misfit(&value))
            }
        };
        frame.passed(&rule.at, &rule.code, Way::Taken);
        let given = rule.message.as_ref().map(|template| frame.fill(template, stage)).transpose()?;
        let message = match (given.as_ref().map(as_text), misfit) {
            (Some(given), Some(misfit)) => format!("{given}: {misfit}").into(),
            (Some(given), None) => given,
            (None, misfit) => misfit.unwrap_or_default().into(),
        };
        let details = rule.details.as_ref().map_or(Ok(Value::Null), |template| frame.fill(template, stage))?;
        return Ok(Some((rule, Refusal { code: rule.code.clone(), message, details })));
    }
    Ok(None)
}

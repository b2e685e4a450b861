//! What is wrong with an expression, before anything runs.

use std::ops::Range;

/// Does it stop the start?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It may be meant.
    Warning,
}

/// One problem at one place in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable code (`language.md` §16).
    pub code: &'static str,
    /// Does it stop the start?
    pub severity: Severity,
    /// Bytes of the given text that it is about.
    pub range: Range<usize>,
    /// Lower case, no full stop, values in backticks.
    pub message: String,
    /// What to write instead, where that is known.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding; whether it is an error is told by its code.
    pub(super) fn new(code: &'static str, range: Range<usize>, message: impl Into<String>) -> Self {
        let severity = if code.starts_with('W') { Severity::Warning } else { Severity::Error };
        Self { code, severity, range, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The one of `known` that `given` was probably meant to be.
pub(super) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(given.len()) / 4 && *distance < name.len())
        .min()
        .map(|(_, name)| name)
}

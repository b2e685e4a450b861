//! Why a command could not do what it was asked: told once, with causes and the next step.

use super::text::plain;
use crate::config::Exit;
use crate::expr::Finding;
use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

/// The end of a command that failed.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) exit: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// From an error with its chain of causes.
    pub(super) fn of(exit: Exit, error: &dyn Error) -> Self {
        let mut problem = Self::new(exit, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            problem.causes.push(error.to_string());
            cause = error.source();
        }
        problem
    }

    /// From what is wrong with an expression of the command line, each problem below its place.
    pub(super) fn of_expression(flag: &str, text: &str, findings: &[Finding]) -> Self {
        let mut said = format!("`{flag}` cannot be used");
        for finding in findings {
            let before = text.get(..finding.range.start).unwrap_or(text).chars().count();
            let about = text.get(finding.range.clone()).unwrap_or_default().chars().count().max(1);
            let line = plain(text).replace('\n', " ");
            let _ = write!(said, "\n{line}\n{}{} {}: {}", " ".repeat(before), "^".repeat(about), finding.code, finding.message);
            if let Some(hint) = &finding.hint {
                let _ = write!(said, " ({hint})");
            }
        }
        Self::new(Exit::Usage, said)
    }

    /// Adds an error and its chain as the cause.
    pub(super) fn because(mut self, error: &dyn Error) -> Self {
        let cause = Self::of(self.exit, error);
        self.causes.push(cause.message);
        self.causes.extend(cause.causes);
        self
    }

    /// Says of what it is about.
    pub(super) fn within(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn tell(&self) {
        // Nowhere to write to is nothing to write about.
        let _ = writeln!(std::io::stderr(), "error: {self}");
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A message of several lines is one list under its first.
        let mut text = self.message.replace('\n', "\n  ");
        for cause in &self.causes {
            text.push_str("\n  because ");
            text.push_str(cause);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\n  hint: ");
            text.push_str(hint);
        }
        f.write_str(&text)
    }
}

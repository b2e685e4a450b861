//! `skald check`: what is wrong with topology files.

use super::load::Reading;
use super::{Problem, out};
use crate::config::{Check, Colors, Exit, OutputFormat};
use crate::topology::{Severity, render};
use std::io::Write as _;

/// Tells all findings; they are data, so they go to stdout.
pub(super) fn check(settings: &Check, color: Colors) -> Result<Exit, Problem> {
    let reading = Reading::of(&settings.paths, &settings.params)?;
    match settings.output {
        OutputFormat::Table => out(&reading.text(color.out)),
        OutputFormat::Json => out(&format!("{:#}\n", render::json(&reading.findings))),
    }
    let (errors, warnings) = (reading.count(Severity::Error), reading.count(Severity::Warning));
    let files = plural(reading.files.len(), "file");
    let said = match (errors, warnings) {
        (0, 0) => format!("{files} checked, no findings"),
        _ => format!("{files} checked: {}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    // Nowhere to write to is nothing to write about.
    let _ = writeln!(std::io::stderr(), "{said}");
    Ok(if errors > 0 || (settings.deny_warnings && warnings > 0) { Exit::Findings } else { Exit::Ok })
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

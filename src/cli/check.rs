//! `skald check`: what is wrong with topology files.

use super::cluster::{connect, failed};
use super::load::Reading;
use super::schemas::Subjects;
use super::{Problem, files, fix, online, out, schemas};
use crate::broker::Broker as _;
use crate::config::{Check, CheckFormat, Colors, Exit, Mend};
use crate::topology::{Severity, render, sarif};
use std::io::Write as _;

/// Tells all findings; they are data, so they go to stdout.
pub(super) fn check(settings: &Check, color: Colors) -> Result<Exit, Problem> {
    let mut found = files::find_with_pages(&settings.paths)?;
    let mended = match settings.fix {
        Mend::No => None,
        Mend::Show => Some(fix::mend(&mut found, &settings.params, true)?),
        Mend::Write => Some(fix::mend(&mut found, &settings.params, false)?),
    };
    let registry = schemas::client(settings.registry.as_ref())?;
    let mut reading = Reading::of_found(&found, &settings.params, Subjects::of(registry.as_ref()).as_ref())?;
    let mut untold = Vec::new();
    if let Some(cluster) = &settings.online {
        let broker = connect(cluster)?;
        let asked = broker.admin().and_then(|admin| online::ask(&*admin, reading.alone())).map_err(|error| failed(&error))?;
        reading.findings.extend(asked.findings);
        untold = asked.untold;
    }
    let text = match settings.output {
        // Stdout has the changes.
        _ if settings.fix == Mend::Show => String::new(),
        CheckFormat::Text => reading.text(color.out),
        CheckFormat::Json => format!("{:#}\n", render::json(&reading.findings)),
        CheckFormat::Sarif => format!("{:#}\n", sarif(&reading.findings, env!("CARGO_PKG_VERSION"))),
        CheckFormat::Github => render::github(&reading.findings),
    };
    out(&text);
    let (errors, warnings) = (reading.count(Severity::Error), reading.count(Severity::Warning));
    let files = plural(reading.files_count(), "file");
    let mut said = match (errors, warnings) {
        (0, 0) => format!("{files} checked, no findings"),
        _ => format!("{files} checked: {}, {}", plural(errors, "error"), plural(warnings, "warning")),
    };
    match (mended, settings.fix) {
        (Some(mended), Mend::Show) => {
            said = format!("{said}; {} would be mended in {}", mended.findings, plural(mended.files, "file"));
        }
        (Some(mended), _) => said = format!("{} mended in {}; {said}", mended.findings, plural(mended.files, "file")),
        (None, _) if reading.findings.iter().any(|found| found.fix.is_some()) => {
            let fixable = reading.findings.iter().filter(|found| found.fix.is_some()).count();
            said = format!("{said}; `--fix` mends {fixable}");
        }
        (None, _) => {}
    }
    if !untold.is_empty() {
        said = format!("{said}; could not be found out: {}", untold.join(", "));
    }
    // Nowhere to write to is nothing to write about.
    let _ = writeln!(std::io::stderr(), "{said}");
    Ok(if errors > 0 || (settings.deny_warnings && warnings > 0) { Exit::Findings } else { Exit::Ok })
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

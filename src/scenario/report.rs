//! How cases went: for people, for programs, and as JUnit reads it.

use super::Suite;
use super::run::{Failure, Verdict};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How far a line of a file is shown.
const WIDTH: usize = 140;
/// Notes of one failure that are shown.
const NOTES_MAX: usize = 12;

/// A case that was run.
#[derive(Debug)]
pub struct Ran {
    /// Its number in the suite.
    pub case: usize,
    /// How it went.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What a failure is about, with the lines of the file.
pub fn failure(suite: &Suite, failure: &Failure, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(WIDTH);
    let mut snippet = Snippet::source(&*suite.text).path(&*suite.file);
    for (at, mark) in failure.marks.iter().enumerate() {
        let kind = if at == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        snippet = snippet.annotation(kind.span(mark.range.clone()).label(mark.label.as_str()));
    }
    let mut group = Level::ERROR.primary_title(failure.title.as_str()).element(snippet);
    for note in failure.notes.iter().take(NOTES_MAX) {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    let more = failure.notes.len().saturating_sub(NOTES_MAX);
    let more = format!("and {more} more");
    if failure.notes.len() > NOTES_MAX {
        group = group.element(Level::NOTE.message(more.as_str()));
    }
    format!("{}\n", renderer.render(&[group]))
}

/// A line for each case, and under it what was not as expected.
pub fn text(suite: &Suite, ran: &[Ran], colour: bool) -> String {
    let mut out = format!("{}\n", suite.file);
    for ran in ran {
        let name = suite.name(ran.case);
        match &ran.verdict {
            Verdict::Passed => {
                let _ = writeln!(out, "  ok      {name} ({} ms)", ran.took.as_millis());
            }
            Verdict::Skipped(reason) => {
                let _ = writeln!(out, "  skipped {name}: {reason}");
            }
            Verdict::Failed(failures) => {
                let _ = writeln!(out, "  FAILED  {name} ({} ms)\n", ran.took.as_millis());
                for one in failures {
                    let _ = writeln!(out, "{}", failure(suite, one, colour));
                }
            }
        }
    }
    out
}

/// One suite as a list of `{name, line, outcome, ms, failures}`.
pub fn json(suite: &Suite, ran: &[Ran]) -> Json {
    let cases = ran.iter().map(|ran| {
        let (outcome, reason) = match &ran.verdict {
            Verdict::Passed => ("passed", None),
            Verdict::Skipped(reason) => ("skipped", Some(reason)),
            Verdict::Failed(_) => ("failed", None),
        };
        let failures: &[Failure] = if let Verdict::Failed(failures) = &ran.verdict { failures } else { &[] };
        let failures: Vec<Json> = failures.iter().map(|failure| failure_json(suite, failure)).collect();
        json!({
            "name": suite.name(ran.case),
            "line": suite.line(ran.case),
            "outcome": outcome,
            "reason": reason,
            "ms": ran.took.as_secs_f64() * 1_000.0,
            "failures": failures,
        })
    });
    json!({ "file": &*suite.file, "topology": &*suite.topology, "cases": cases.collect::<Vec<_>>() })
}

fn failure_json(suite: &Suite, failure: &Failure) -> Json {
    let marks = failure.marks.iter().map(|mark| {
        let before = &suite.text[..mark.range.start.min(suite.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        json!({ "line": line, "column": column, "label": mark.label })
    });
    json!({ "title": failure.title, "places": marks.collect::<Vec<_>>(), "notes": failure.notes })
}

/// All suites as JUnit's XML, as CI systems read it.
pub fn junit<'r>(suites: impl IntoIterator<Item = (&'r Suite, &'r [Ran])>) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (suite, ran) in suites {
        let failed = ran.iter().filter(|ran| matches!(ran.verdict, Verdict::Failed(_))).count();
        let skipped = ran.iter().filter(|ran| matches!(ran.verdict, Verdict::Skipped(_))).count();
        let time: Duration = ran.iter().map(|ran| ran.took).sum();
        let name = escaped(&suite.file);
        let _ = writeln!(
            out,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">",
            ran.len(),
            time.as_secs_f64()
        );
        for ran in ran {
            let case = escaped(suite.name(ran.case));
            let _ = write!(
                out,
                "    <testcase classname=\"{name}\" name=\"{case}\" file=\"{name}\" line=\"{}\" time=\"{:.3}\"",
                suite.line(ran.case),
                ran.took.as_secs_f64()
            );
            match &ran.verdict {
                Verdict::Passed => out.push_str("/>\n"),
                Verdict::Skipped(reason) => {
                    let _ = writeln!(out, ">\n      <skipped message=\"{}\"/>\n    </testcase>", escaped(reason));
                }
                Verdict::Failed(failures) => {
                    out.push_str(">\n");
                    for one in failures {
                        let text = escaped(&failure(suite, one, false));
                        let _ = writeln!(out, "      <failure message=\"{}\">{text}</failure>", escaped(&one.title));
                    }
                    out.push_str("    </testcase>\n");
                }
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text within XML. Characters that XML does not have at all are shown as the one that stands for what cannot be shown.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\r' | '\t' => out.push(c),
            c if (c as u32) < 0x20 || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

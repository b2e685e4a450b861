//! What `skald dev` says at its end.

use crate::config::Exit;
use crate::dev::check::Verdict;
use crate::dev::grouped;
use crate::runtime::Figures;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How a run of `dev` went.
pub(super) struct Report {
    pub(super) topology: String,
    pub(super) sent: u64,
    pub(super) elapsed: Duration,
    pub(super) figures: Figures,
    pub(super) cpu: Duration,
    pub(super) peak_rss_bytes: u64,
    /// Records that were not processed when time was up.
    pub(super) left: u64,
    /// What the self-check found; `None` where it had not the whole log.
    pub(super) verdict: Option<Verdict>,
}

impl Report {
    /// One object, for programs.
    pub(super) fn json(&self) -> Value {
        let verdict = self.verdict.as_ref();
        let records = self.figures.records_in;
        json!({
            "topology": self.topology,
            "seconds": rounded(self.elapsed.as_secs_f64()),
            "sent": self.sent,
            "records_in": records,
            "records_out": self.figures.records_out,
            "aggregates": verdict.map(|verdict| verdict.aggregates),
            "dead_letters": self.figures.dead_letters,
            "refused": self.figures.refused,
            "left": self.left,
            "lost": verdict.map(|verdict| verdict.lost),
            "duplicated": verdict.map(|verdict| verdict.duplicated),
            "findings": verdict.map(|verdict| &verdict.findings),
            "rate": rounded(self.rate()),
            "cpu_us_per_record": (records > 0).then(|| rounded(self.cpu.as_secs_f64() * 1e6 / records as f64)),
            "peak_rss_bytes": self.peak_rss_bytes,
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let figures = &self.figures;
        let mut text = String::new();
        let _ = writeln!(
            text,
            "\n{} records sent, {} read, {} written in {:.1} s ({} a second), {} dead letters",
            grouped(self.sent),
            grouped(figures.records_in),
            grouped(figures.records_out),
            self.elapsed.as_secs_f64(),
            grouped(self.rate() as u64),
            grouped(figures.dead_letters)
        );
        match &self.verdict {
            None => text.push_str("self-check: not possible, the oldest records are gone (use `--duration` or `--data-dir`)\n"),
            Some(verdict) => {
                let _ = writeln!(
                    text,
                    "self-check: {} states folded anew, {} lost, {} duplicated",
                    grouped(verdict.aggregates),
                    grouped(verdict.lost),
                    grouped(verdict.duplicated)
                );
                for finding in &verdict.findings {
                    let _ = writeln!(text, "  {finding}");
                }
            }
        }
        if self.left > 0 {
            let _ = writeln!(text, "{} records were not processed when time was up", grouped(self.left));
        }
        text
    }

    /// Lost or doubled records are differences; records that were not reached are a failure.
    pub(super) fn exit(&self) -> Exit {
        match &self.verdict {
            Some(verdict) if !verdict.is_clean() => Exit::Differences,
            _ if self.left > 0 => Exit::Failed,
            _ => Exit::Ok,
        }
    }

    fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.figures.records_in as f64 / seconds } else { 0.0 }
    }
}

/// Two digits behind the point.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

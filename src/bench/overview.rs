//! Several results in one small table: for a page that has no room for all of them.

use super::document::{Document, JobFigures, Setup, SubjectFigures};
use super::tables::{MIB, grouped};
use std::fmt::Write as _;

/// What is not said of a row, because most are measured so.
const USUAL_KEYS: u64 = 100_000;

/// A row for each job of each result, in the order given, as Markdown.
pub fn overview(documents: &[Document]) -> String {
    let head = ["", "CPU µs/record", "peer", "ratio", "peak RSS", "peer", "ratio", "p99 ms", "peer"];
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for document in documents {
        for (job, figures) in &document.jobs {
            let Some(skald) = &figures.skald else { continue };
            let cells = cells(title(job, &document.settings), skald, figures);
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

fn cells(title: String, skald: &SubjectFigures, figures: &JobFigures) -> [String; 9] {
    let peer = figures.peer.as_ref();
    let or_none = |value: Option<String>| value.unwrap_or_default();
    let cpu = |of: &SubjectFigures| format!("{:.2}", of.cpu_us_per_record);
    let rss = |of: &SubjectFigures| format!("{:.0} MiB", of.peak_rss_bytes as f64 / MIB);
    let p99 = |of: &SubjectFigures| of.p99_ms.map(|millis| format!("{millis:.0}"));
    let ratio = |ratio: f64| format!("{ratio:.2}");
    [
        title,
        cpu(skald),
        or_none(peer.map(cpu)),
        or_none(figures.cpu_ratio.map(ratio)),
        rss(skald),
        or_none(peer.map(rss)),
        or_none(figures.rss_ratio.map(ratio)),
        or_none(p99(skald)),
        or_none(peer.and_then(p99)),
    ]
}

/// The job, and what is not as usual of it.
fn title(job: &str, setup: &Setup) -> String {
    let mut title = format!("`{job}`");
    if setup.store == "memory" {
        title.push_str(", in memory");
    }
    if setup.keys != USUAL_KEYS {
        let _ = write!(title, ", {} keys", grouped(setup.keys as f64));
    }
    if setup.threads != 1 {
        let _ = write!(title, ", {} threads", setup.threads);
    }
    if setup.validate {
        title.push_str(", schemas checked");
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tables::tests::document;

    #[test]
    fn results_have_a_row_for_each_job_that_says_what_is_unusual() {
        let (usual, mut other) = (document(4.5), document(9.0));
        let Setup { keys, threads, store, validate, .. } = &mut other.settings;
        (*keys, *threads, *store, *validate) = (1_000_000, 2, "memory".into(), true);
        other.jobs.values_mut().for_each(|figures| {
            (figures.peer, figures.cpu_ratio, figures.rss_ratio) = (None, None, None);
        });
        insta::assert_snapshot!(overview(&[usual, other]));
    }
}

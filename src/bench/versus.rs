//! Two results beside each other.

use super::document::{Document, FIGURES, values};
use super::statistics::{Interval, mean, ratio};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// How a figure of one result stands to that of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Job.
    pub job: String,
    /// Who did it.
    pub subject: String,
    /// Name of the figure.
    pub figure: String,
    /// Mean of the first result.
    pub first: f64,
    /// Mean of the second.
    pub second: f64,
    /// By what factor the second lies above the first.
    pub ratio: f64,
    /// Of the ratio.
    pub interval: Option<Interval>,
    /// What that means.
    pub verdict: Verdict,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The second is better, and that is no chance.
    Better,
    /// The second is worse, and that is no chance.
    Worse,
    /// No difference that repeated runs show.
    Same,
    /// One of them has too few runs to tell.
    Unknown,
}

/// Figures that both have, in the order of jobs.
pub fn compare(first: &Document, second: &Document) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (job, these) in &first.jobs {
        let Some(those) = second.jobs.get(job) else { continue };
        for (subject, these) in these.subjects() {
            let Some((_, those)) = those.subjects().find(|(name, _)| *name == subject) else { continue };
            for figure in &FIGURES {
                let (before, after) = (values(&these.runs, figure), values(&those.runs, figure));
                let (Some((first, _)), Some((second, _)), Some((ratio, interval))) =
                    (mean(&before), mean(&after), ratio(&after, &before))
                else {
                    continue;
                };
                differences.push(Difference {
                    job: job.clone(),
                    subject: subject.to_owned(),
                    figure: figure.0.to_owned(),
                    first,
                    second,
                    ratio,
                    interval,
                    verdict: verdict(interval, figure.1),
                });
            }
        }
    }
    differences
}

fn verdict(interval: Option<Interval>, less_is_better: bool) -> Verdict {
    match interval {
        None => Verdict::Unknown,
        Some(interval) if interval.low <= 1.0 && interval.high >= 1.0 => Verdict::Same,
        Some(interval) if (interval.high < 1.0) == less_is_better => Verdict::Better,
        Some(_) => Verdict::Worse,
    }
}

/// For programs.
pub fn differences_json(first: &Document, second: &Document) -> Value {
    let differs = first.settings != second.settings;
    json!({ "differences": compare(first, second), "settings_differ": differs, "machines_differ": !same_machine(first, second) })
}

/// For people.
pub fn differences_table(first: &Document, second: &Document) -> String {
    let mut text = String::new();
    let differences = compare(first, second);
    if differences.is_empty() {
        text.push_str("the two have no figures in common\n");
    }
    for one in &differences {
        let interval = one.interval.map_or_else(
            || "no interval: repeat the runs".to_owned(),
            |interval| format!("{:.3}–{:.3}", interval.low, interval.high),
        );
        let verdict = match one.verdict {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Same => "no difference shown",
            Verdict::Unknown => "",
        };
        let line = format!(
            "{:<12} {:<6} {:<24} {:>14.2} {:>14.2}  ×{:.3} ({interval})  {verdict}",
            one.job, one.subject, one.figure, one.first, one.second, one.ratio
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if first.settings != second.settings {
        text.push_str("the two were measured with other settings\n");
    }
    if !same_machine(first, second) {
        text.push_str("the two were measured on other machines\n");
    }
    text
}

fn same_machine(first: &Document, second: &Document) -> bool {
    let of = |document: &Document| {
        let machine = document.machine.clone();
        (machine.processor, machine.cores, machine.memory_bytes)
    };
    of(first) == of(second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tables::tests::document;

    #[test]
    fn two_results_are_compared_figure_by_figure() {
        let (first, mut second) = (document(4.5), document(45.0));
        second.settings.keys = 7;
        insta::assert_snapshot!(differences_table(&first, &second));
        let told = differences_json(&first, &second);
        assert_eq!((&told["settings_differ"], &told["machines_differ"]), (&json!(true), &json!(false)));
        let find = |subject: &str, figure: &str| {
            let all = compare(&first, &second);
            all.into_iter().find(|one| one.subject == subject && one.figure == figure).unwrap()
        };
        assert_eq!(find("skald", "cpu_us_per_record").verdict, Verdict::Worse);
        assert_eq!(find("peer", "cpu_us_per_record").verdict, Verdict::Same);
    }

    #[test]
    fn an_interval_around_one_is_no_difference() {
        let of = |low, high| Some(Interval { low, high });
        for (interval, less_is_better, expected) in [
            (None, true, Verdict::Unknown),
            (of(0.9, 1.1), true, Verdict::Same),
            (of(0.7, 0.9), true, Verdict::Better),
            (of(0.7, 0.9), false, Verdict::Worse),
            (of(1.1, 1.2), true, Verdict::Worse),
            (of(1.1, 1.2), false, Verdict::Better),
        ] {
            assert_eq!(verdict(interval, less_is_better), expected, "{interval:?} {less_is_better}");
        }
    }
}

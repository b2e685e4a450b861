//! Results for people: on a terminal and in a page.

use super::document::{Document, JobFigures, SubjectFigures};
use super::statistics::Interval;
use std::fmt::Write as _;

pub(super) const MIB: f64 = (1_u64 << 20) as f64;

/// A row: job, who, and the figures as text.
struct Row {
    cells: [String; 10],
}

const HEAD: [&str; 10] = [
    "job",
    "",
    "CPU µs/record",
    "records/s",
    "peak RSS",
    "p50 ms",
    "p99 ms",
    "broker µs/record",
    "restore records/s",
    "restart s",
];

/// For a terminal.
pub fn table(document: &Document) -> String {
    let rows = rows(document);
    let mut widths: Vec<usize> = HEAD.iter().map(|head| head.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(&row.cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for cells in std::iter::once(&HEAD.map(str::to_owned)).chain(rows.iter().map(|row| &row.cells)) {
        let mut line = String::new();
        for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let _ = if index < 2 { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    remarks(document).iter().for_each(|remark| {
        let _ = writeln!(text, "{remark}");
    });
    text
}

/// For a page: the table with what it was made with.
pub fn markdown(document: &Document) -> String {
    let mut text = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for row in rows(document) {
        let _ = writeln!(text, "| {} |", row.cells.join(" | "));
    }
    text.push('\n');
    remarks(document).iter().for_each(|remark| {
        let _ = writeln!(text, "- {remark}");
    });
    let (machine, settings) = (&document.machine, &document.settings);
    let _ = writeln!(
        text,
        "- Machine: {}, {} cores, {:.0} GiB, Linux {}; load average before: {:.2}.",
        machine.processor,
        machine.cores,
        machine.memory_bytes as f64 / MIB / 1024.0,
        machine.kernel,
        machine.load_before
    );
    let _ = writeln!(
        text,
        "- {} keys (Zipf exponent {}), {}-byte JSON, {} partitions, compression {}, {} thread(s), store `{}`, schemas {}, commit \
         interval {} ms, seed {}, {} round(s).",
        grouped(settings.keys as f64),
        settings.skew,
        settings.bytes,
        settings.partitions,
        settings.compression,
        settings.threads,
        settings.store,
        if settings.validate { "checked" } else { "not checked" },
        settings.commit_interval_ms,
        settings.seed,
        settings.repeat
    );
    let _ = writeln!(text, "- Skald {}: `{}`", document.skald, document.command);
    text
}

fn rows(document: &Document) -> Vec<Row> {
    let of = |(job, figures): (&String, &JobFigures)| {
        let subjects: Vec<Row> = figures.subjects().map(|(name, figures)| row(job, name, figures)).collect();
        subjects
    };
    document.jobs.iter().flat_map(of).collect()
}

fn row(job: &str, subject: &str, figures: &SubjectFigures) -> Row {
    let number = |value: Option<f64>, digits: usize| value.map_or_else(String::new, |value| format!("{value:.digits$}"));
    let latency = figures.latency.as_ref();
    Row {
        cells: [
            job.to_owned(),
            subject.to_owned(),
            with_interval(figures.cpu_us_per_record, figures.intervals.get("cpu_us_per_record")),
            grouped(figures.records_per_s),
            format!("{:.0} MiB", figures.peak_rss_bytes as f64 / MIB),
            number(latency.map(|latency| latency.p50_ms), 1),
            number(figures.p99_ms, 1),
            number(figures.broker_cpu_us_per_record, 2),
            figures.restore_records_per_s.map_or_else(String::new, grouped),
            number(figures.restart_s, 2),
        ],
    }
}

fn with_interval(value: f64, interval: Option<&Interval>) -> String {
    match interval {
        Some(interval) => format!("{value:.2} ({:.2}–{:.2})", interval.low, interval.high),
        None => format!("{value:.2}"),
    }
}

/// What stands below the table.
fn remarks(document: &Document) -> Vec<String> {
    let mut remarks = Vec::new();
    for (job, figures) in &document.jobs {
        if let (Some(cpu), Some(rss), Some(rate)) = (figures.cpu_ratio, figures.rss_ratio, figures.rate_ratio) {
            let interval = figures
                .cpu_ratio_interval
                .map_or_else(String::new, |interval| format!(" ({:.3}–{:.3})", interval.low, interval.high));
            let outputs = match figures.outputs_equal {
                Some(true) => "the outputs are equal".to_owned(),
                Some(false) => format!("THE OUTPUTS DIFFER: {}", figures.difference.as_deref().unwrap_or_default()),
                None => "the outputs were not compared".to_owned(),
            };
            remarks.push(format!(
                "{job}: {cpu:.3}{interval} of the peer's CPU, {rss:.3} of its memory, {rate:.2} times its rate; {outputs}."
            ));
        }
        if let Some(floor) = figures.floor_ratio {
            remarks.push(format!("{job}: {floor:.2} times the CPU of the client alone."));
        }
        if let Some(rate) = figures.subjects().find_map(|(_, figures)| Some(figures.latency.as_ref()?.rate)) {
            remarks.push(format!("{job}: times are those at {} records/s.", grouped(rate as f64)));
        }
        for (name, figures) in figures.subjects() {
            if let Some(bytes) = figures.state_bytes_per_record {
                let all =
                    figures.log_bytes_per_record.map_or_else(String::new, |all| format!(", {all:.0} bytes written in all"));
                remarks.push(format!("{job}: {name} keeps {bytes:.0} bytes of state per record{all}."));
            }
            if figures.runs.iter().any(|run| run.drained.with_start) {
                remarks.push(format!("{job}: the start of {name} is in its figures."));
            }
        }
    }
    remarks.extend(document.noise.iter().map(|noise| format!("NOISE: {noise}.")));
    remarks
}

/// A whole number with its digits in groups of three.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::document::{Drained, Latency, Restored, Run, Setup};
    use crate::bench::{Histogram, Machine};
    use std::time::Duration;

    /// Two rounds of a job with everybody in it.
    pub(in crate::bench) fn document(cpu: f64) -> Document {
        let run = |cpu_seconds: f64, peak: u64| Run {
            drained: Drained {
                records: 900_000,
                with_start: false,
                seconds: 7.5,
                cpu_seconds,
                broker_cpu_seconds: Some(3.6),
                peak_rss_bytes: peak << 20,
            },
            latency: Some(Latency { rate: 60_000, count: 500, p50_ms: 12.0, p99_ms: 40.0, ..Latency::default() }),
            restart_s: Some(0.75),
            restored: Some(Restored { records: 1_000_000, seconds: 2.0, ready_s: 2.5 }),
            state_bytes_per_record: Some(61.0),
            log_bytes_per_record: None,
        };
        let mut times = Histogram::new();
        (1..=100).for_each(|millis| times.add(Duration::from_millis(millis)));
        let of = |cpu: f64, peak| Some(SubjectFigures::of(&[run(cpu, peak), run(cpu * 1.1, peak)], Some(&times)));
        let mut job = JobFigures {
            records: 1_000_000,
            skald: of(cpu, 350),
            peer: of(25.0, 700),
            floor: of(1.9, 40),
            outputs_equal: Some(true),
            ..JobFigures::default()
        };
        job.relate();
        let settings = Setup {
            seed: 1,
            keys: 100_000,
            bytes: 330,
            partitions: 4,
            compression: "none".into(),
            threads: 1,
            store: "disk".into(),
            commit_interval_ms: 100,
            repeat: 2,
            peer: Some("kafka-streams".into()),
            ..Setup::default()
        };
        Document {
            format: 1,
            skald: "0.1.0".into(),
            command: "skald bench compare --peer kafka-streams aggregate".into(),
            machine: Machine {
                processor: "A processor".into(),
                cores: 2,
                memory_bytes: 24 << 30,
                kernel: "6.1".into(),
                load_before: 0.02,
            },
            settings,
            jobs: [("aggregate".to_owned(), job)].into(),
            noise: vec!["something else was at work".into()],
        }
    }

    #[test]
    fn results_are_told_as_a_table_and_as_a_page() {
        insta::assert_snapshot!(table(&document(4.5)));
        insta::assert_snapshot!(markdown(&document(4.5)));
    }

    #[test]
    fn results_are_told_as_json_and_read_back() {
        let document = document(4.5);
        insta::assert_json_snapshot!(document);
        let text = serde_json::to_string(&document).unwrap();
        let back: Document = serde_json::from_str(&text).unwrap();
        assert_eq!(table(&back), table(&document));
    }

    #[test]
    fn digits_stand_in_groups() {
        for (value, expected) in [(0.0, "0"), (999.4, "999"), (1_000.0, "1,000"), (1_234_567.8, "1,234,568")] {
            assert_eq!(grouped(value), expected);
        }
    }
}

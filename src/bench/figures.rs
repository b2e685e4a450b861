//! From runs to the figures that stand for them.

use super::document::{FIGURES, Figure, JobFigures, Run, SubjectFigures, values};
use super::latency::Histogram;
use super::pace::latency_of;
use super::statistics::{mean, ratio};

impl SubjectFigures {
    /// The means of runs, with their intervals.
    pub(super) fn of(runs: &[Run], times: Option<&Histogram>) -> Self {
        let mut figures = Self { runs: runs.to_vec(), ..Self::default() };
        for figure in &FIGURES {
            let Some((mean, interval)) = mean(&values(runs, figure)) else { continue };
            figures.set(figure.0, mean);
            if let Some(interval) = interval {
                figures.intervals.insert(figure.0.to_owned(), interval);
            }
        }
        let written: Vec<f64> = runs.iter().filter_map(|run| run.log_bytes_per_record).collect();
        figures.log_bytes_per_record = mean(&written).map(|(mean, _)| mean);
        let rates: Vec<u64> = runs.iter().filter_map(|run| Some(run.latency.as_ref()?.rate)).collect();
        let rate = rates.iter().sum::<u64>() / (rates.len() as u64).max(1);
        figures.latency = times.filter(|times| times.count() > 0).map(|times| latency_of(times, rate));
        figures
    }

    fn set(&mut self, figure: &str, value: f64) {
        match figure {
            "cpu_us_per_record" => self.cpu_us_per_record = value,
            "records_per_s" => self.records_per_s = value,
            "peak_rss_bytes" => self.peak_rss_bytes = value as u64,
            "p99_ms" => self.p99_ms = Some(value),
            "broker_cpu_us_per_record" => self.broker_cpu_us_per_record = Some(value),
            "restore_records_per_s" => self.restore_records_per_s = Some(value),
            "restart_s" => self.restart_s = Some(value),
            "state_bytes_per_record" => self.state_bytes_per_record = Some(value),
            _ => unreachable!("every figure has its field"),
        }
    }
}

impl JobFigures {
    /// Says how its subjects stand to each other.
    pub(super) fn relate(&mut self) {
        let between = |figure: usize, one: &Option<SubjectFigures>, other: &Option<SubjectFigures>| {
            let figure: &Figure = &FIGURES[figure];
            ratio(&values(&one.as_ref()?.runs, figure), &values(&other.as_ref()?.runs, figure))
        };
        let cpu = between(0, &self.skald, &self.peer);
        self.cpu_ratio = cpu.map(|(ratio, _)| ratio);
        self.cpu_ratio_interval = cpu.and_then(|(_, interval)| interval);
        self.rate_ratio = between(1, &self.skald, &self.peer).map(|(ratio, _)| ratio);
        self.rss_ratio = between(2, &self.skald, &self.peer).map(|(ratio, _)| ratio);
        self.floor_ratio = between(0, &self.skald, &self.floor).map(|(ratio, _)| ratio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::document::{Drained, Latency, Restored};
    use std::time::Duration;

    fn run(cpu_seconds: f64) -> Run {
        Run {
            drained: Drained {
                records: 1_000_000,
                with_start: false,
                seconds: 10.0,
                cpu_seconds,
                broker_cpu_seconds: Some(4.0),
                peak_rss_bytes: 300 << 20,
            },
            latency: Some(Latency { rate: 500, count: 10, p99_ms: 30.0, ..Latency::default() }),
            restart_s: Some(1.5),
            restored: Some(Restored { records: 100_000, seconds: 0.2, ready_s: 2.0 }),
            state_bytes_per_record: Some(60.0),
            log_bytes_per_record: None,
        }
    }

    #[test]
    fn every_figure_finds_its_field() {
        let mut times = Histogram::new();
        times.add(Duration::from_millis(20));
        let figures = SubjectFigures::of(&[run(5.0), run(7.0)], Some(&times));
        assert_eq!((figures.cpu_us_per_record, figures.records_per_s), (6.0, 100_000.0));
        assert_eq!((figures.peak_rss_bytes, figures.p99_ms), (300 << 20, Some(30.0)));
        assert_eq!((figures.broker_cpu_us_per_record, figures.restore_records_per_s), (Some(4.0), Some(500_000.0)));
        assert_eq!((figures.restart_s, figures.state_bytes_per_record), (Some(1.5), Some(60.0)));
        assert_eq!(figures.latency.as_ref().map(|latency| (latency.rate, latency.count)), Some((500, 1)));
        assert_eq!(figures.intervals.len(), FIGURES.len());
        assert!(SubjectFigures::of(&[run(5.0)], None).intervals.is_empty(), "one run has no interval");
    }

    #[test]
    fn the_engine_is_related_to_the_others() {
        let of = |cpu| Some(SubjectFigures::of(&[run(cpu), run(cpu)], None));
        let mut figures = JobFigures { skald: of(5.0), peer: of(25.0), floor: of(2.0), ..JobFigures::default() };
        figures.relate();
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-9;
        assert!(near(figures.cpu_ratio, 0.2) && near(figures.rss_ratio, 1.0) && near(figures.rate_ratio, 1.0));
        assert!(near(figures.floor_ratio, 2.5) && figures.cpu_ratio_interval.is_some());
        let mut alone = JobFigures { skald: of(5.0), ..JobFigures::default() };
        alone.relate();
        assert_eq!((alone.cpu_ratio, alone.floor_ratio), (None, None));
    }
}

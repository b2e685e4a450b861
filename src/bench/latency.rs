//! Times, by how many took how long.

use std::fmt::Write as _;
use std::time::Duration;

/// Longest time told apart; what takes longer counts as this.
const LONGEST: Duration = Duration::from_secs(600);
/// Digits kept of each time.
const DIGITS: u8 = 3;
/// Steps of the exported distribution within each halving of what is left.
const STEPS_PER_HALF: u32 = 5;

/// An HDR histogram of times, in microseconds: three digits of each, whatever its size.
#[derive(Clone, Debug)]
pub struct Histogram(hdrhistogram::Histogram<u64>);

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).expect("ten minutes");
        Self(hdrhistogram::Histogram::new_with_bounds(1, longest, DIGITS).expect("bounds that are apart, few digits"))
    }

    /// Adds a time.
    pub fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Adds all times of another one.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many times it has.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this share of them does not exceed, in milliseconds.
    pub fn at(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1_000.0
    }

    /// The longest, in milliseconds.
    pub fn longest(&self) -> f64 {
        self.0.max() as f64 / 1_000.0
    }

    /// The distribution as text that HdrHistogram's plotters read, in milliseconds.
    pub fn hgrm(&self) -> String {
        let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
        let mut below = 0;
        for step in self.0.iter_quantiles(STEPS_PER_HALF) {
            below += step.count_since_last_iteration();
            let (value, share) = (step.value_iterated_to() as f64 / 1_000.0, step.quantile_iterated_to());
            let _ = write!(text, "{value:>12.3} {share:>14.12} {below:>10}");
            if share < 1.0 {
                let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - share));
            }
            text.push('\n');
        }
        let (mean, deviation) = (self.0.mean() / 1_000.0, self.0.stdev() / 1_000.0);
        let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
        let _ = writeln!(text, "#[Max     = {:>12.3}, Total count    = {:>12}]", self.longest(), self.count());
        text
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        micros.into_iter().for_each(|time| histogram.add(Duration::from_micros(time)));
        histogram
    }

    #[test]
    fn shares_are_told_with_three_digits() {
        let histogram = of(1..=100_000);
        for (share, millis) in [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (0.999, 99.9), (0.9999, 99.99), (1.0, 100.0)] {
            let found = histogram.at(share);
            assert!((found - millis).abs() / millis < 0.002, "{share}: {found}");
        }
        assert_eq!(histogram.count(), 100_000);
    }

    #[test]
    fn what_is_out_of_bounds_counts_as_the_bound() {
        let histogram = of([0, u64::MAX / 2_000]);
        assert_eq!(histogram.count(), 2);
        assert_eq!(histogram.at(0.0), 0.001);
        assert!(histogram.longest() >= 599_000.0, "{}", histogram.longest());
    }

    #[test]
    fn two_make_one() {
        let mut one = of(1..=10);
        one.merge(&of(11..=20));
        assert_eq!((one.count(), one.longest()), (20, 0.02));
    }

    #[test]
    fn the_export_goes_up_to_the_longest() {
        let text = of([1_000, 2_000, 3_000, 40_000]).hgrm();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(2).filter(|line| !line.starts_with('#')).map(|line| line.split_whitespace().collect()).collect();
        assert!(rows.iter().all(|row| row.len() >= 3), "{text}");
        assert_eq!(rows.last().map(|row| row[2]), Some("4"), "{text}");
        assert!(rows.last().unwrap()[0].starts_with("40."), "{text}");
        assert!(text.contains("Total count    =            4]"), "{text}");
    }
}

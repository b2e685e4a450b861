//! What repeated runs say together.
//!
//! A mean's interval is Student's, for the few runs that there are. Two sets of runs are compared by the ratio of their geometric
//! means: the difference of the logarithms, with Welch's interval, since the two need not vary alike. Both are for 95 %, and both
//! take it that runs are independent and about normal (ratios: about log-normal). One run has no interval.

/// Bounds between which the true value lies, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower.
    pub low: f64,
    /// Upper.
    pub high: f64,
}

/// A value with its interval, where there is one.
pub(super) type Estimate = (f64, Option<Interval>);

/// Mean of runs; `None` without any.
pub(super) fn mean(runs: &[f64]) -> Option<Estimate> {
    let moments = Moments::of(runs)?;
    let interval = moments.error().map(|error| {
        let reach = quantile(moments.count - 1.0) * error;
        Interval { low: moments.mean - reach, high: moments.mean + reach }
    });
    Some((moments.mean, interval))
}

/// By what factor `these` lie above `those`; `None` where one has no runs, or a value that is not above 0.
pub(super) fn ratio(these: &[f64], those: &[f64]) -> Option<Estimate> {
    let (these, those) = (Moments::of(&logs(these)?)?, Moments::of(&logs(those)?)?);
    let difference = these.mean - those.mean;
    let interval = match (these.error(), those.error()) {
        (Some(a), Some(b)) => {
            let (a, b) = (a * a, b * b);
            let freedom = (a + b).powi(2) / (a * a / (these.count - 1.0) + b * b / (those.count - 1.0));
            // Runs that do not differ at all leave nothing to divide by.
            let reach = if freedom.is_finite() { quantile(freedom) * (a + b).sqrt() } else { 0.0 };
            Some(Interval { low: (difference - reach).exp(), high: (difference + reach).exp() })
        }
        _ => None,
    };
    Some((difference.exp(), interval))
}

fn logs(runs: &[f64]) -> Option<Vec<f64>> {
    runs.iter().map(|run| (*run > 0.0).then(|| run.ln())).collect()
}

struct Moments {
    count: f64,
    mean: f64,
    variance: Option<f64>,
}

impl Moments {
    fn of(runs: &[f64]) -> Option<Self> {
        let count = runs.len() as f64;
        let mean = runs.iter().sum::<f64>() / count;
        let squares: f64 = runs.iter().map(|run| (run - mean).powi(2)).sum();
        let variance = (runs.len() > 1).then(|| squares / (count - 1.0));
        (!runs.is_empty()).then_some(Self { count, mean, variance })
    }

    /// Standard error of the mean.
    fn error(&self) -> Option<f64> {
        self.variance.map(|variance| (variance / self.count).sqrt())
    }
}

/// Student's distribution: between minus this and this lies 95 %, by whole degrees of freedom from 1 on.
const QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110,
    2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

fn quantile(freedom: f64) -> f64 {
    // Rounded down, which widens the interval. Beyond the table its last value is within 4 %.
    let row = freedom.max(1.0).min(QUANTILES.len() as f64) as usize;
    QUANTILES[row - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= 0.001 * wanted.abs().max(1.0)
    }

    #[test]
    fn a_mean_has_the_interval_of_student() {
        for (runs, expected, low, high) in [
            (vec![1.0, 2.0, 3.0], 2.0, -0.4843, 4.4843),
            (vec![10.0, 10.0, 10.0, 10.0], 10.0, 10.0, 10.0),
            (vec![8.0, 9.0, 10.0, 11.0, 12.0], 10.0, 8.0368, 11.9632),
        ] {
            let (found, interval) = mean(&runs).unwrap();
            let interval = interval.unwrap();
            assert!(near(found, expected) && near(interval.low, low) && near(interval.high, high), "{runs:?}: {interval:?}");
        }
        assert_eq!(mean(&[5.0]), Some((5.0, None)));
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn a_ratio_has_the_interval_of_welch_over_logarithms() {
        // Of logarithms: means ln 2 apart, both with a standard deviation of 0.1 over three runs, so four degrees of freedom.
        let around = |middle: f64| vec![(middle.ln() - 0.1).exp(), middle, (middle.ln() + 0.1).exp()];
        let (found, interval) = ratio(&around(10.0), &around(5.0)).unwrap();
        let interval = interval.unwrap();
        let reach = 2.776 * (2.0 * 0.01 / 3.0_f64).sqrt();
        assert!(near(found, 2.0), "{found}");
        assert!(near(interval.low, 2.0 * (-reach).exp()) && near(interval.high, 2.0 * reach.exp()), "{interval:?}");
    }

    #[test]
    fn what_cannot_be_compared_is_not() {
        for (these, those, expected) in [
            (vec![], vec![1.0], None),
            (vec![0.0, 1.0], vec![1.0], None),
            (vec![4.0], vec![2.0], Some((2.0, None))),
            (vec![4.0, 4.0], vec![2.0, 2.0], Some((2.0, Some(Interval { low: 2.0, high: 2.0 })))),
        ] {
            let found = ratio(&these, &those);
            let close = |(a, b): (Estimate, Estimate)| {
                near(a.0, b.0)
                    && match (a.1, b.1) {
                        (None, None) => true,
                        (Some(a), Some(b)) => near(a.low, b.low) && near(a.high, b.high),
                        _ => false,
                    }
            };
            let same = match (found, expected) {
                (None, None) => true,
                (Some(a), Some(b)) => close((a, b)),
                _ => false,
            };
            assert!(same, "{these:?} {those:?}: {found:?}");
        }
    }
}

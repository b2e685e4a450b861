//! The one retry policy.

use super::Expr;
use jiff::SignedDuration;

/// How often something is tried, and how long is waited in between.
#[derive(Clone, Debug)]
pub struct Retry {
    /// All tries, the first one included; at least 1.
    pub attempts: u32,
    /// Wait before the second try.
    pub backoff: SignedDuration,
    /// What each further wait is multiplied by; at least 1.
    pub multiplier: f64,
    /// The longest wait.
    pub max_backoff: SignedDuration,
    /// The part of a wait that is left to chance, on either side of it: from 0 to 1.
    pub jitter: f64,
    /// Is it tried again at all? `None`: as the place of the policy says.
    pub when: Option<Expr>,
}

impl Retry {
    /// The usual policy with so many tries.
    pub const fn of(attempts: u32) -> Self {
        Self {
            attempts,
            backoff: SignedDuration::from_secs(1),
            multiplier: 2.0,
            max_backoff: SignedDuration::from_mins(1),
            jitter: 0.2,
            when: None,
        }
    }

    /// The wait after so many tries (the first wait is after 1), without jitter.
    pub fn wait(&self, tries: u32) -> SignedDuration {
        if self.backoff.is_zero() {
            return self.backoff;
        }
        let exponent = i32::try_from(tries.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.backoff.as_secs_f64() * self.multiplier.powi(exponent);
        // Where the power overflows, the longest wait has long been reached.
        SignedDuration::try_from_secs_f64(seconds).map_or(self.max_backoff, |wait| wait.min(self.max_backoff))
    }
}

#[cfg(test)]
mod tests {
    use super::Retry;
    use jiff::SignedDuration;

    #[test]
    fn waits_grow_to_the_longest() {
        let retry = Retry::of(5);
        let waits: Vec<i64> = (1..=8).map(|tries| retry.wait(tries).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(retry.wait(u32::MAX), SignedDuration::from_mins(1));
        let none = Retry { backoff: SignedDuration::ZERO, ..Retry::of(5) };
        assert_eq!(none.wait(u32::MAX), SignedDuration::ZERO);
        let long = Retry { max_backoff: SignedDuration::from_secs(i64::MAX), ..Retry::of(5) };
        assert_eq!(long.wait(u32::MAX), long.max_backoff);
    }
}

//! Numbers of which the first come more often: rank `k` with a share in proportion to `k` to the power of minus the exponent.
//!
//! Drawn by rejection from the inverted integral of that power (Hörmann and Derflinger, 1996): exact, without a table, in about one
//! try per number however many keys there are.

/// Draws ranks from 0 on.
#[derive(Clone, Debug)]
pub struct Zipf {
    count: f64,
    exponent: f64,
    /// The integral at both ends of the ranks.
    first: f64,
    last: f64,
    /// A rank that is so close to the number drawn is taken without a further look.
    sure: f64,
}

impl Zipf {
    /// Ranks below `count`, at least one; an exponent of 0 draws all alike.
    pub fn new(count: u64, exponent: f64) -> Self {
        let mut zipf = Self { count: count.max(1) as f64, exponent: exponent.max(0.0), first: 0.0, last: 0.0, sure: 0.0 };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.count + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.share(2.0));
        zipf
    }

    /// The next rank.
    pub fn draw(&self, random: &mut fastrand::Rng) -> u64 {
        loop {
            let drawn = self.last + random.f64() * (self.first - self.last);
            let place = self.inverse(drawn);
            let rank = place.round().clamp(1.0, self.count);
            if rank - place <= self.sure || drawn >= self.integral(rank + 0.5) - self.share(rank) {
                return rank as u64 - 1;
            }
        }
    }

    /// `x` to the power of minus the exponent.
    fn share(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// Its integral from 1 to `x`.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_by((1.0 - self.exponent) * log) * log
    }

    /// The `x` of an integral.
    fn inverse(&self, integral: f64) -> f64 {
        // Rounding may lead below −1, where there is no logarithm.
        let scaled = (integral * (1.0 - self.exponent)).max(-1.0);
        (ln1p_by(scaled) * integral).exp()
    }
}

/// `(e^x − 1) / x`, with its limit at 0.
fn expm1_by(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// `ln(1 + x) / x`, with its limit at 0.
fn ln1p_by(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::Zipf;

    #[test]
    fn ranks_come_as_often_as_the_exponent_says() {
        const DRAWS: u32 = 200_000;
        for (count, exponent) in [(1, 1.0), (2, 0.0), (10, 0.0), (10, 0.5), (10, 0.99), (10, 1.0), (100, 1.2), (1_000, 2.0)] {
            let (zipf, mut random) = (Zipf::new(count, exponent), fastrand::Rng::with_seed(7));
            let mut seen = vec![0_u32; count as usize];
            for _ in 0..DRAWS {
                seen[zipf.draw(&mut random) as usize] += 1;
            }
            let shares: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect();
            let all: f64 = shares.iter().sum();
            for (rank, share) in shares.iter().enumerate() {
                let wanted = share / all;
                let found = f64::from(seen[rank]) / f64::from(DRAWS);
                // Five standard deviations of a count, and four draws more where hardly any is expected.
                let bound = 5.0 * (wanted * (1.0 - wanted) / f64::from(DRAWS)).sqrt() + 4.0 / f64::from(DRAWS);
                assert!((found - wanted).abs() <= bound, "{count} keys, {exponent}: rank {rank} {found} for {wanted}");
            }
        }
    }

    #[test]
    fn many_keys_cost_no_more_and_all_can_come() {
        let (zipf, mut random) = (Zipf::new(10_000_000, 0.99), fastrand::Rng::with_seed(1));
        let drawn: Vec<u64> = (0..100_000).map(|_| zipf.draw(&mut random)).collect();
        assert!(drawn.iter().all(|rank| *rank < 10_000_000));
        assert!(drawn.contains(&0) && drawn.iter().any(|rank| *rank > 5_000_000));
    }
}

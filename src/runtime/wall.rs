//! The wall clock, as far as it is believed.
//!
//! What is due is decided by wall time, and a machine's clock may jump. Backwards it is followed: what was due later is due later
//! still, nothing fires twice (a timer that fired is gone) and nothing waits for it (waiting goes by the monotonic clock). Forwards
//! it is followed up to an hour at a time, as after a pause. A longer jump would fire everything that is armed, so time goes on by
//! the monotonic clock until somebody else's clock agrees (a record that was written within an hour of it), or until it has
//! stood for ten minutes: a machine that slept for a night is right, and has to be believed in the end.

use crate::record::Millis;
use std::time::Duration;

/// A jump forwards that is believed at once.
const JUMP_MAX: Millis = 3_600_000;
/// A longer one is believed after so long.
const DOUBT_MAX: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Wall {
    last: Option<(Millis, Duration)>,
    /// Since when the machine's clock is ahead of what is believed.
    doubted: Option<Duration>,
}

impl Wall {
    /// The time, from what the clocks say now; `latest` is the latest time that a record came with.
    pub(super) fn now(&mut self, wall: Millis, mono: Duration, latest: Millis) -> Millis {
        let Some((last, at)) = self.last else {
            self.last = Some((wall, mono));
            return wall;
        };
        let passed = Millis::try_from(mono.saturating_sub(at).as_millis()).unwrap_or(Millis::MAX);
        let expected = last.saturating_add(passed);
        let is_ahead = wall.saturating_sub(expected) > JUMP_MAX;
        let is_confirmed = latest >= wall.saturating_sub(JUMP_MAX);
        let now = if is_ahead && !is_confirmed {
            let since = *self.doubted.get_or_insert_with(|| {
                tracing::error!(ahead_ms = wall - expected, "the clock has jumped ahead: timers wait until it is confirmed");
                mono
            });
            if mono.saturating_sub(since) < DOUBT_MAX { expected } else { wall }
        } else {
            wall
        };
        if now == wall && self.doubted.take().is_some() {
            tracing::warn!("the clock is believed again");
        }
        // Parts of a millisecond are not lost from one call to the next.
        if now != last || passed > 0 {
            self.last = Some((now, mono));
        }
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = 3_600_000;
    const START: Millis = 1_795_248_000_000;

    #[test]
    fn a_clock_is_followed_unless_it_jumps_far_ahead() {
        // Wall time, seconds that have passed, latest record, what is believed: one after the other.
        let rows = [
            (START, 0, 0, START),
            (START + 5_000, 5, 0, START + 5_000),
            // Set back: followed, and on from there.
            (START - HOUR, 6, 0, START - HOUR),
            (START - HOUR + 1_000, 7, 0, START - HOUR + 1_000),
            // An hour ahead is a pause; a day is a fault, unless somebody else agrees.
            (START + 1_000, 7, 0, START + 1_000),
            (START + 25 * HOUR, 8, 0, START + 2_000),
            (START + 25 * HOUR + 9_000, 17, START + 11_000, START + 11_000),
            (START + 25 * HOUR + 10_000, 18, START + 25 * HOUR, START + 25 * HOUR + 10_000),
        ];
        let mut clock = Wall::default();
        for (wall, passed, latest, expected) in rows {
            assert_eq!(clock.now(wall, Duration::from_secs(passed), latest), expected, "{wall} after {passed} s");
        }
    }

    #[test]
    fn a_jump_that_is_taken_back_leaves_no_trace() {
        let mut clock = Wall::default();
        clock.now(START, Duration::ZERO, 0);
        assert_eq!(clock.now(START + 10 * HOUR, Duration::from_secs(60), 0), START + 60_000);
        assert_eq!(clock.now(START + 120_000, Duration::from_secs(120), 0), START + 120_000);
        // The doubt of before does not count for another one.
        assert_eq!(clock.now(START + 10 * HOUR, Duration::from_secs(700), 0), START + 700_000);
    }

    #[test]
    fn a_jump_that_lasts_is_believed_in_the_end() {
        let mut clock = Wall::default();
        clock.now(START, Duration::ZERO, 0);
        let mut believed_after = None;
        for second in 1..=700 {
            let wall = START + 12 * HOUR + second * 1_000;
            let passed = Duration::from_secs(second.unsigned_abs());
            let now = clock.now(wall, passed, 0);
            if now == wall {
                believed_after.get_or_insert(second);
            } else {
                assert_eq!(now, START + second * 1_000);
            }
        }
        assert_eq!(believed_after, Some(601));
    }

    #[test]
    fn many_short_steps_do_not_lose_time_while_it_is_in_doubt() {
        let mut clock = Wall::default();
        clock.now(START, Duration::ZERO, 0);
        let mut now = 0;
        for step in 1..=10_000_u64 {
            now = clock.now(START + 12 * HOUR, Duration::from_micros(step * 100), 0);
        }
        assert_eq!(now, START + 1_000);
    }
}

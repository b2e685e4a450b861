//! How far a producer can be trusted, by what happened lately.

use std::collections::VecDeque;
use std::time::Duration;

/// A commit or abort that took longer may have been repeated by the client: see [`super::State::Doubtful`].
const DOUBT_AFTER_MIN: Duration = Duration::from_millis(250);
/// However slow commits have been lately: half of it is the client's wait for one request.
const DOUBT_AFTER_MAX: Duration = Duration::from_millis(2500);
/// So many of the last outcomes tell how long one takes.
const OUTCOMES_KEPT: usize = 100;
/// Fenced so often within [`FENCE_WINDOW`], there is another process with our id.
const FENCES_MAX: usize = 3;
const FENCE_WINDOW: Duration = Duration::from_secs(60);

/// How long a commit takes here: where all are slow, slow is no sign of trouble.
#[derive(Debug, Default)]
pub(super) struct Usual(VecDeque<Duration>);

impl Usual {
    /// Notes how long one took.
    pub(super) fn learn(&mut self, took: Duration) {
        if self.0.len() == OUTCOMES_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// Was this one so slow that its request may have been repeated?
    pub(super) fn is_exceeded_by(&self, took: Duration) -> bool {
        let slowest = self.0.iter().max().copied().unwrap_or_default();
        took > (slowest * 5).clamp(DOUBT_AFTER_MIN, DOUBT_AFTER_MAX)
    }
}

/// When newer producers of our id were met.
#[derive(Debug, Default)]
pub(super) struct Fences(VecDeque<Duration>);

impl Fences {
    /// Notes one more; true when they are too many for coincidence.
    pub(super) fn one_more(&mut self, now: Duration) -> bool {
        self.0.push_back(now);
        while self.0.front().is_some_and(|at| *at + FENCE_WINDOW < now) {
            self.0.pop_front();
        }
        self.0.len() >= FENCES_MAX
    }
}

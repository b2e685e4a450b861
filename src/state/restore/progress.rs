//! How far a restore is, for people who wait for it.

use std::time::Duration;

/// Counts of one restore.
#[derive(Clone, Debug)]
pub struct Progress {
    started: Duration,
    offsets: u64,
    records: u64,
    bytes: u64,
}

/// What a restore has done and has before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProgressFigures {
    /// Records read.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records per second since it began.
    pub records_per_second: f64,
    /// Share of the offsets that is done, from 0 to 1.
    pub done: f64,
    /// Time left at this rate; `None` before anything was read.
    pub left: Option<Duration>,
}

impl Progress {
    /// A restore of so many offsets begins, at a moment of the monotonic clock.
    pub fn new(started: Duration, offsets: u64) -> Self {
        Self { started, offsets, records: 0, bytes: 0 }
    }

    /// A record was read.
    pub fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }

    /// The figures, with so many offsets still to be read. Offsets count what is read and what the log has instead of records
    /// (control markers, gaps of compaction), so the end is reached at 1 whatever the log holds.
    pub fn figures(&self, now: Duration, offsets_left: u64) -> ProgressFigures {
        let seconds = now.saturating_sub(self.started).as_secs_f64();
        let passed = self.offsets.saturating_sub(offsets_left) as f64;
        let left = match passed > 0.0 {
            true => Duration::try_from_secs_f64(seconds * offsets_left as f64 / passed).ok(),
            false => (offsets_left == 0).then_some(Duration::ZERO),
        };
        ProgressFigures {
            records: self.records,
            bytes: self.bytes,
            records_per_second: if seconds > 0.0 { self.records as f64 / seconds } else { 0.0 },
            done: if self.offsets == 0 { 1.0 } else { passed / self.offsets as f64 },
            left,
        }
    }
}

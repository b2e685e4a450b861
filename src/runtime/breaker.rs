//! Halts a task when too much of what it reads cannot be read (`errors.stop_above`): a topic is not emptied into the dead letters.
//!
//! Records and failures are counted over a sliding window, in pieces of a tenth. What an epoch counts joins the window when it has
//! committed: an epoch that is rolled back is read again, and halts again at the same record.

use crate::topology::model::StopAbove;
use std::collections::VecDeque;
use std::time::Duration;

/// Pieces of a window.
const PIECES: u32 = 10;

/// Counts of one node in one task.
#[derive(Debug)]
pub(super) struct Breaker {
    above: StopAbove,
    /// The length of a piece.
    piece: Duration,
    /// When each began, and what was counted; the newest last.
    pieces: VecDeque<(Duration, Count)>,
    /// Of the epoch that is open, or on its way.
    pending: Count,
    /// The same before the record in hand.
    before: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    records: u64,
    failed: u64,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.failed += other.failed;
    }
}

impl Breaker {
    pub(super) fn new(above: StopAbove) -> Self {
        let piece = Duration::from_millis(above.within.unsigned_abs()) / PIECES;
        Self {
            above,
            piece: piece.max(Duration::from_millis(1)),
            pieces: VecDeque::new(),
            pending: Count::default(),
            before: Count::default(),
        }
    }

    /// A record was read.
    pub(super) fn note_record(&mut self) {
        self.before = self.pending;
        self.pending.records += 1;
    }

    /// The task stands still at that record: it is read again, and counted then.
    pub(super) fn take_back_record(&mut self) {
        self.pending = self.before;
    }

    /// It could not be read. Says what is wrong when it is one too many: then it is not counted.
    pub(super) fn note_failure(&mut self, now: Duration) -> Option<String> {
        let mut sum = self.pending;
        let window = self.piece * PIECES;
        self.pieces.iter().filter(|(began, _)| *began + window > now).for_each(|(_, count)| sum.add(*count));
        // A record that was kept before it failed is counted with an earlier window.
        let (failed, records) = (sum.failed + 1, sum.records.max(sum.failed + 1));
        let StopAbove { share, at_least, .. } = self.above;
        if records >= at_least && failed as f64 > share * records as f64 {
            let percent = share * 100.0;
            return Some(format!("{failed} of {records} records within {window:?} cannot be read, more than {percent} %"));
        }
        self.pending.failed += 1;
        None
    }

    /// The epoch has committed.
    pub(super) fn committed(&mut self, now: Duration) {
        let pending = std::mem::take(&mut self.pending);
        let window = self.piece * PIECES;
        while self.pieces.front().is_some_and(|(began, _)| *began + window <= now) {
            self.pieces.pop_front();
        }
        match self.pieces.back_mut() {
            Some((began, count)) if *began + self.piece > now => count.add(pending),
            _ => self.pieces.push_back((now, pending)),
        }
    }

    /// The epoch was rolled back.
    pub(super) fn forget(&mut self) {
        self.pending = Count::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOVE: StopAbove = StopAbove { share: 0.5, within: 60_000, at_least: 10 };

    /// Reads records (`true`: it can be read) and says at which one it halts.
    fn read(breaker: &mut Breaker, now: u64, records: &[bool]) -> Option<usize> {
        records.iter().position(|readable| {
            breaker.note_record();
            !readable && breaker.note_failure(Duration::from_secs(now)).is_some()
        })
    }

    #[test]
    fn it_halts_above_the_share_and_not_before_there_are_enough_records() {
        let (good, bad) = (true, false);
        for (what, records, halts) in [
            ("few", &[bad; 9][..], None),
            ("enough", &[bad; 10], Some(9)),
            ("just the share", &[good, bad, good, bad, good, bad, good, bad, good, bad, good, bad], None),
            ("more than the share", &[good, good, good, good, good, bad, bad, bad, bad, bad, bad, bad], Some(10)),
        ] {
            assert_eq!(read(&mut Breaker::new(ABOVE), 0, records), halts, "{what}");
        }
    }

    #[test]
    fn a_record_that_is_read_again_and_again_is_counted_once() {
        let mut breaker = Breaker::new(ABOVE);
        assert_eq!(read(&mut breaker, 0, &[false; 4]), None);
        for _ in 0..100 {
            // Whatever it came to: its schema is not known yet, or its dead letter found no topic.
            breaker.note_record();
            assert_eq!(breaker.note_failure(Duration::ZERO), None);
            breaker.take_back_record();
        }
        assert_eq!(read(&mut breaker, 0, &[true; 4]), None);
        assert_eq!(read(&mut breaker, 0, &[false; 5]), Some(1), "six of ten");
    }

    #[test]
    fn what_was_rolled_back_is_not_counted_and_what_is_old_not_any_more() {
        let mut breaker = Breaker::new(ABOVE);
        assert_eq!(read(&mut breaker, 0, &[false; 9]), None);
        breaker.forget();
        assert_eq!(read(&mut breaker, 0, &[false; 9]), None, "the same again");
        breaker.committed(Duration::from_secs(0));
        assert_eq!(read(&mut breaker, 30, &[false; 1]), Some(0), "with those of before");
        breaker.forget();
        assert_eq!(read(&mut breaker, 61, &[false; 9]), None, "those of before are too old");
        breaker.committed(Duration::from_secs(61));
        assert_eq!(breaker.pieces.len(), 1);
    }
}

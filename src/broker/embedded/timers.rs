//! What the broker has to do later, in order of its moment.

use super::client::ClientKey;
use super::group::MemberId;
use crate::record::Text;
use std::collections::BTreeMap;
use std::time::Duration;

/// Work that is due at a moment. Whoever carries it out checks that it still applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Write the markers of a transaction that was decided.
    Markers(Text),
    /// Abort what is open for too long.
    Sweep,
    /// An `EndTxn` that was held on its way arrives.
    LateEnd(Text),
    /// A member may be taken for dead.
    Session(Text, MemberId),
    /// A member may have stopped polling.
    Poll(Text, MemberId),
    /// Members notice that their group rebalances.
    Notice(Text),
    /// A group has waited long enough for members to join again.
    Rebalance(Text),
    /// An operation of a lane goes on: its request arrives, its wait ends or its answer is there.
    Lane(ClientKey),
    /// Retention and compaction.
    Clean,
}

/// Work by moment; work of one moment in the order it was added.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BTreeMap<(Duration, u64), Work>,
    added: u64,
}

impl Timers {
    /// Adds work; a moment that never comes (`Duration::MAX`) adds nothing.
    pub(super) fn add(&mut self, at: Duration, work: Work) {
        if at < Duration::MAX {
            self.added += 1;
            self.queue.insert((at, self.added), work);
        }
    }

    /// Takes the next work that is due.
    pub(super) fn due(&mut self, now: Duration) -> Option<Work> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// When the next work is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_comes_by_moment_then_by_the_order_it_was_added() {
        let mut timers = Timers::default();
        let at = Duration::from_secs;
        timers.add(at(2), Work::Sweep);
        timers.add(at(1), Work::Clean);
        timers.add(at(2), Work::Clean);
        timers.add(Duration::MAX, Work::Sweep);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.due(Duration::ZERO), None);
        assert_eq!(
            [timers.due(at(2)), timers.due(at(2)), timers.due(at(2))],
            [Some(Work::Clean), Some(Work::Sweep), Some(Work::Clean)]
        );
        assert_eq!((timers.due(at(9)), timers.next()), (None, None));
    }
}

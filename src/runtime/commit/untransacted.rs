//! Commits without transactions: who may write, what cannot be taken back, and what is asked for twice.
//!
//! Before anything is written the lease is looked at ([`super::super::lease`]); where it has run out, the offsets that are committed
//! already are committed once more, as a transaction of its own, which renews it or is refused. What was written then stays: an
//! epoch whose offsets are not committed behind it ends as [`super::Verdict::Spilled`]. A commit of the offsets that is not answered
//! is asked for again, with the same offsets and the same stamp.

use super::{Commit, Doing, Fate, State, UnderWay};
use crate::broker::{self, ErrorClass, Guarantee, Op};
use std::time::Duration;

impl<Q: std::fmt::Debug> Commit<Q> {
    pub(super) fn is_transactional(&self) -> bool {
        self.settings.guarantee == Guarantee::ExactlyOnce
    }

    /// Will nothing more be written for the epoch on its way? Before that its partitions must not be another's, where no
    /// transaction keeps its records from being seen.
    pub(in super::super) fn gives_way(&self) -> bool {
        let writes = |under_way: &UnderWay<Q>| matches!(under_way.what, Doing::Produce | Doing::Drain | Doing::Abort);
        let spilled = self.epoch.as_ref().is_some_and(|epoch| epoch.spilled);
        self.is_transactional() || !spilled || !self.under_way.as_ref().is_some_and(writes)
    }

    /// Is it certain that nobody else owns the partitions? If it is not, that is found out first, or nothing is written any more.
    pub(super) fn may_write(&mut self, now: Duration) -> bool {
        let epoch = self.epoch.as_mut().expect("an epoch is begun");
        if epoch.disowned {
            let cause = broker::Error::new(ErrorClass::Abortable, "an epoch", "let go before anything of it was written");
            epoch.fate = Fate::Aborting(cause);
            self.submit(Doing::Abort, Op::Abort, now);
            return false;
        }
        let sealed = &epoch.sealed;
        let leased = self.settings.write_without_lease || self.lease.covers(&sealed.ownership, now);
        if sealed.is_first || !leased {
            let stamp = format!("{}#{:x}.held", self.settings.id, self.settings.run).into();
            let op = Op::SendOffsets { offsets: sealed.held.clone(), stamp, ownership: sealed.ownership.clone() };
            self.submit(Doing::HoldOffsets, op, now);
            return false;
        }
        epoch.spilled = true;
        true
    }

    /// The group has confirmed the owner. The epoch is begun once more, and finds the lease renewed.
    pub(super) fn held(&mut self) {
        self.renew_lease();
        self.epoch.as_mut().expect("it is held for an epoch").sealed.is_first = false;
        self.state = State::Ready;
    }

    /// The group has accepted a commit.
    pub(super) fn renew_lease(&mut self) {
        if !self.is_transactional() {
            let ownership = self.sealed().ownership.clone();
            self.lease.renew(&ownership, self.asked);
        }
    }

    /// Is a commit without an answer asked for again? The same offsets may be committed twice; for an epoch that nobody waits for
    /// it is not worth it.
    pub(super) fn commits_again(&self) -> bool {
        !self.is_transactional() && !self.epoch.as_ref().is_some_and(|epoch| epoch.disowned)
    }
}

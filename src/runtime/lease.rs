//! How long an owner without transactions may write.
//!
//! A transaction of an owner that was left behind is refused as a whole. Without one its records would be taken, and what it writes
//! to a changelog late would be restored in place of what the new owner has written since: updates would be lost. So such an owner
//! writes only while nobody else can own its partitions. The group gives them to nobody for a whole session after it has
//! accepted a commit of the member, and takes a commit of a member that is left behind for an error. So the moment at which a
//! commit was asked for that succeeded begins a lease, of a quarter of the session:
//!
//! ```text
//!  commit asked for, and accepted       records handed over          delivered, or given up       session over: others may own
//!  ├───────── lease, ¼ ─────────────────┤
//!                                       ├─── message time-out, ¼ ────┤
//!  ├──────────────────────────────────────────────────────────────────────────────────────────────┤
//! ```
//!
//! Under load each commit renews it for the next one. After a pause the committed offsets are committed once more before
//! anything is written; so they are before the first time, because state without a committed offset cannot be taken over.

use crate::broker::Ownership;
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub(super) struct Lease {
    length: Duration,
    /// Whose it is, and until when it holds.
    held: Option<(Ownership, Duration)>,
}

impl Lease {
    /// Leases of a group whose sessions are this long.
    pub(super) fn of_session(session: Duration) -> Self {
        Self { length: length(session), held: None }
    }

    /// May this owner write now?
    pub(super) fn covers(&self, owner: &Ownership, now: Duration) -> bool {
        self.held.as_ref().is_some_and(|(held, until)| Arc::ptr_eq(&held.0, &owner.0) && now < *until)
    }

    /// The group has accepted a commit of this owner that was asked for at that moment.
    pub(super) fn renew(&mut self, owner: &Ownership, asked: Duration) {
        self.held = Some((owner.clone(), asked + self.length));
    }
}

/// A lease, and what a record may take to be delivered, for a group whose sessions are this long.
pub(super) fn length(session: Duration) -> Duration {
    session / 4
}

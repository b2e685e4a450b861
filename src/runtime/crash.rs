//! Labelled points where a process may die (`c01` to `c20`), for tests.
//!
//! A point is passed a few times per epoch or assignment, never per record. The simulation and scenario tests arm one per thread
//! and drop the worker where it strikes. With debug assertions `SKALD_CRASH_AT=c05:3` aborts the process at the third passing of
//! `c05`, for runs against a real Kafka.

use super::Result;

/// All points, in the order of the protocol.
pub const POINTS: [&str; 20] = [
    "c01", "c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09", "c10", "c11", "c12", "c13", "c14", "c15", "c16", "c17",
    "c18", "c19", "c20",
];

/// Passes a point; fails when a test wants the worker to die there.
pub(super) fn point(label: &'static str) -> Result<()> {
    armed::pass(label)
}

pub use armed::{Armed, arm, disarm, passed};

mod armed {
    use super::POINTS;
    use crate::runtime::{Error, Result};
    use std::cell::RefCell;

    /// A point to die at.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Armed {
        /// Which one.
        pub label: &'static str,
        /// At which passing, from 1.
        pub passing: u64,
    }

    #[derive(Default)]
    struct Local {
        armed: Option<Armed>,
        passed: [u64; POINTS.len()],
    }

    thread_local! {
        static LOCAL: RefCell<Local> = RefCell::default();
    }

    /// Lets the next worker that passes this point on this thread fail there; the count of passings starts now.
    pub fn arm(armed: Armed) {
        LOCAL.with_borrow_mut(|local| local.armed = Some(armed));
    }

    /// Takes an armed point back, with the passings that were still to come; `None`: it struck, or none was armed.
    pub fn disarm() -> Option<Armed> {
        LOCAL.with_borrow_mut(|local| local.armed.take())
    }

    /// How often each point was passed on this thread.
    pub fn passed() -> [u64; POINTS.len()] {
        LOCAL.with_borrow(|local| local.passed)
    }

    pub(super) fn pass(label: &'static str) -> Result<()> {
        #[cfg(debug_assertions)]
        abort_when_asked(label);
        LOCAL.with_borrow_mut(|local| {
            let at = POINTS.iter().position(|point| *point == label).expect("labels are those of the table");
            local.passed[at] += 1;
            let Some(armed) = &mut local.armed else { return Ok(()) };
            if armed.label != label {
                return Ok(());
            }
            armed.passing = armed.passing.saturating_sub(1);
            if armed.passing > 0 {
                return Ok(());
            }
            local.armed = None;
            Err(Error::CrashPoint(label))
        })
    }

    #[cfg(debug_assertions)]
    fn abort_when_asked(label: &'static str) {
        use std::sync::OnceLock;
        use std::sync::atomic::{AtomicU64, Ordering};
        static WANTED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
        let wanted = WANTED.get_or_init(|| {
            let text = std::env::var("SKALD_CRASH_AT").ok()?;
            let (label, passing) = text.split_once(':').unwrap_or((&text, "1"));
            Some((label.to_owned(), AtomicU64::new(passing.parse().ok()?)))
        });
        let Some((wanted, left)) = wanted else { return };
        if wanted == label && left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}

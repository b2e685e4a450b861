//! Labelled points where a process may die (`c01` to `c20`), for tests.
//!
//! In a release build a point is nothing. With debug assertions the simulation arms them per thread and drops the worker where one
//! strikes; and `SKALD_CRASH_AT=c05:3` aborts the process at the third passing of `c05`, for runs against a real Kafka.

use super::Result;

/// All points, in the order of the protocol.
pub const POINTS: [&str; 20] = [
    "c01", "c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09", "c10", "c11", "c12", "c13", "c14", "c15", "c16", "c17",
    "c18", "c19", "c20",
];

/// Passes a point; fails when a test wants the worker to die there.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(super) fn point(_label: &'static str) -> Result<()> {
    Ok(())
}

/// Passes a point; fails when a test wants the worker to die there.
#[cfg(debug_assertions)]
pub(super) fn point(label: &'static str) -> Result<()> {
    armed::pass(label)
}

#[cfg(debug_assertions)]
pub use armed::{Armed, arm, disarm, passed};

#[cfg(debug_assertions)]
mod armed {
    use super::POINTS;
    use crate::runtime::{Error, Result};
    use std::cell::RefCell;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

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

    /// Takes an armed point back.
    pub fn disarm() {
        LOCAL.with_borrow_mut(|local| local.armed = None);
    }

    /// How often each point was passed on this thread.
    pub fn passed() -> [u64; POINTS.len()] {
        LOCAL.with_borrow(|local| local.passed)
    }

    pub(super) fn pass(label: &'static str) -> Result<()> {
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

    fn abort_when_asked(label: &'static str) {
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

//! The one source of time, of randomness and of random ids: real, or advanced by hand.
//!
//! Nothing else in the engine reads a clock or draws a number (`clippy.toml` holds that), so a run is repeated by its seed.

#![allow(clippy::disallowed_methods, reason = "this is the room that wraps them")]

use crate::record::Millis;
use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Time and chance, as one value handed to whoever needs them.
pub trait Clock: Send + Sync {
    /// Wall time. It decides when something is due and is written to records; it may jump.
    fn wall(&self) -> Millis;

    /// Time since some fixed moment of this process; never goes back. It decides how long to wait.
    fn mono(&self) -> Duration;

    /// A random number.
    fn draw(&self) -> u64;
}

/// The machine's clock and its randomness.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    draws: Mutex<fastrand::Rng>,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self { started: Instant::now(), draws: Mutex::new(fastrand::Rng::new()) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Millis {
        // A clock before 1970 is a machine fault; 0 keeps such a machine from panicking.
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX))
    }

    fn mono(&self) -> Duration {
        self.started.elapsed()
    }

    fn draw(&self) -> u64 {
        lock(&self.draws).u64(..)
    }
}

/// A clock that stands still until it is told otherwise, with draws from a seed: for tests and simulation.
#[derive(Debug)]
pub struct ManualClock {
    wall: AtomicI64,
    mono_nanos: AtomicU64,
    draws: Mutex<fastrand::Rng>,
}

impl ManualClock {
    /// A clock at `wall` whose draws follow from `seed`.
    pub fn new(wall: Millis, seed: u64) -> Self {
        Self { wall: AtomicI64::new(wall), mono_nanos: AtomicU64::new(0), draws: Mutex::new(fastrand::Rng::with_seed(seed)) }
    }

    /// Lets time pass, wall and monotonic alike.
    pub fn advance(&self, by: Duration) {
        self.mono_nanos.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        // Wall time is derived in steps of whole milliseconds; smaller advances add up in the monotonic time only.
        self.wall.fetch_add(Millis::try_from(by.as_millis()).unwrap_or(Millis::MAX), Ordering::Relaxed);
    }

    /// Sets the wall time, forwards or back, as an operator or NTP would.
    pub fn set_wall(&self, wall: Millis) {
        self.wall.store(wall, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Millis {
        self.wall.load(Ordering::Relaxed)
    }

    fn mono(&self) -> Duration {
        Duration::from_nanos(self.mono_nanos.load(Ordering::Relaxed))
    }

    fn draw(&self) -> u64 {
        lock(&self.draws).u64(..)
    }
}

//! What goes wrong, drawn from the seed.

use skald::broker::embedded::{Call, CallKind, Faults, LaneFault, PollFault};
use skald::broker::{ErrorClass, TroubleKind};
use skald::clock::{Clock, ManualClock};
use skald::sync::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Records come in bursts, with silences between.
pub(crate) const BURSTS_EVERY_MS: u64 = 700;

/// What went wrong in a run, by kind: a run in which nothing did proves nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fired(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Fired {
    pub(crate) fn note(&self, kind: &'static str) {
        *lock(&self.0).entry(kind).or_default() += 1;
    }

    pub(crate) fn all(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).clone()
    }
}

/// How often what goes wrong, in thousandths of the calls that it can hit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) lane: u32,
    pub(crate) poll: u32,
    pub(crate) late_end: u32,
    /// Of commits: the answer is lost, and what became of it cannot be looked up for long.
    pub(crate) unknown: u32,
}

pub(crate) struct SeededFaults {
    random: fastrand::Rng,
    /// No session is lost before its time.
    pub(crate) keeps_sessions: bool,
    rates: Rates,
    fired: Fired,
    clock: Arc<ManualClock>,
    /// Shared with the world, which ends the trouble.
    on: Arc<std::sync::atomic::AtomicBool>,
    /// Whose look-ups are refused, and until when.
    withheld: BTreeMap<String, Duration>,
}

impl SeededFaults {
    pub(crate) fn new(
        seed: u64,
        rates: Rates,
        fired: Fired,
        clock: Arc<ManualClock>,
        on: Arc<std::sync::atomic::AtomicBool>,
    ) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            keeps_sessions: false,
            rates,
            fired,
            clock,
            on,
            withheld: BTreeMap::new(),
        }
    }

    fn is_on(&self) -> bool {
        self.on.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn hits(&mut self, rate: u32) -> bool {
        self.is_on() && self.random.u32(..1000) < rate
    }
}

impl Faults for SeededFaults {
    fn lane(&mut self, call: Call<'_>) -> Option<LaneFault> {
        // The monitor looks on.
        if !call.client_id.starts_with("sim.") {
            return None;
        }
        let ends = matches!(call.kind, CallKind::Commit | CallKind::Abort);
        if ends && self.hits(self.rates.late_end) {
            self.fired.note("late EndTxn");
            return Some(LaneFault::late_end(Duration::from_millis(self.random.u64(0..40))));
        }
        let now = self.clock.mono();
        if call.kind == CallKind::Commit && self.hits(self.rates.unknown) {
            self.fired.note("unknown for long");
            self.withheld.insert(call.client_id.to_owned(), now + Duration::from_millis(self.random.u64(2_000..25_000)));
            let timeout = Duration::from_millis(self.random.u64(200..3000));
            let happened = self.random.bool();
            return Some(if happened { LaneFault::lost_reply(timeout) } else { LaneFault::lost_request(timeout) });
        }
        let is_withheld = self.withheld.get(call.client_id).is_some_and(|until| now < *until);
        if is_withheld && call.kind == CallKind::Committed && self.is_on() {
            return Some(LaneFault::refused(ErrorClass::Retry));
        }
        // Every operation takes a while, so that others come between.
        let slow = LaneFault::slow(Duration::from_millis(self.random.u64(0..4)));
        if !self.hits(self.rates.lane) {
            return Some(slow);
        }
        let timeout = Duration::from_millis(self.random.u64(200..3000));
        let in_transaction = !matches!(
            call.kind,
            CallKind::Init
                | CallKind::Rebuild
                | CallKind::Committed
                | CallKind::Ends
                | CallKind::Counts
                | CallKind::Fence
                | CallKind::Trim
        );
        let (kind, fault) = match self.random.u32(..8) {
            0 if in_transaction => ("abort", LaneFault::refused(ErrorClass::Abortable)),
            1 if in_transaction => ("fatal", LaneFault::refused(ErrorClass::Fatal)),
            2 => ("lost reply", LaneFault::lost_reply(timeout)),
            3 => ("lost request", LaneFault::lost_request(timeout)),
            4 => ("retriable", LaneFault::refused(ErrorClass::Retry)),
            5 if in_transaction => ("fenced", LaneFault::fenced()),
            6 => ("hang", LaneFault::hangs()),
            _ => ("slow", LaneFault::slow(timeout)),
        };
        self.fired.note(kind);
        Some(fault)
    }

    fn poll(&mut self, call: Call<'_>) -> Option<PollFault> {
        // Mostly while there is something to read: an idle member is polled as often, and has nothing to lose.
        let busy = self.clock.mono().as_millis() as u64 % BURSTS_EVERY_MS < 100;
        if !self.hits(if busy { self.rates.poll * 4 } else { self.rates.poll }) {
            return None;
        }
        if call.kind == CallKind::Read {
            if self.random.u32(..10) == 0 {
                self.fired.note("unreadable changelog");
                let kinds = [TroubleKind::Other, TroubleKind::Missing, TroubleKind::OffsetOutOfRange];
                return Some(PollFault::Trouble(kinds[self.random.usize(..kinds.len())]));
            }
            self.fired.note("read nothing");
            return Some(PollFault::Nothing);
        }
        let (kind, fault) = match self.random.u32(..20) {
            0..=2 => ("poll nothing", PollFault::Nothing),
            3 => ("unreadable input", PollFault::Trouble(TroubleKind::Other)),
            4 => ("missing input", PollFault::Trouble(TroubleKind::Missing)),
            5..=14 => ("rebalance", PollFault::Rebalance),
            15..=18 if self.keeps_sessions => ("rebalance", PollFault::Rebalance),
            15..=18 if !self.keeps_sessions => ("session lost", PollFault::SessionLost),
            _ => ("consumer dies", PollFault::Fatal),
        };
        self.fired.note(kind);
        Some(fault)
    }
}

//! As fast as possible: a worker and a topic that is full.

use super::document::{Drained, Run};
use super::error::{Error, Result};
use super::load::Input;
use super::machine;
use super::process::{Usage, Worker};
use super::run::Bench;
use super::stand::Stand;
use crate::clock::Clock;
use crate::telemetry::process_usage;
use std::time::Duration;

/// One record in so many is worked off before figures are taken.
const WARM_SHARE: u64 = 10;
/// Without any progress for so long a worker is given up.
const STALLED: Duration = Duration::from_secs(120);
/// How often the cluster is asked how far a worker is.
pub(super) const LOOK: Duration = Duration::from_millis(25);

impl Bench<'_> {
    /// Lets a worker work the input off.
    pub(super) fn drain(&mut self, stand: &Stand, input: &Input) -> Result<Run> {
        stand.set_up(&self.place.kafka)?;
        let target = input.sent;
        self.watcher.begin(&format!("{}: {} drains", stand.job, stand.subject), target);
        let mut meter = stand.meter(&self.place.kafka)?;
        let began = self.mark(Usage::default())?;
        let mut worker = self.launch.worker(stand)?;
        let (mut from, mut warm) = ((0, began), false);
        let mut patience = Patience::new(&*self.clock);
        let to = loop {
            let done = meter.done()?;
            let mark = self.mark(worker.usage()?)?;
            if done >= target {
                break mark;
            }
            // Of sagas all have begun, and most of their work is done, before the first have ended: there is no part to leave out.
            if !warm && stand.job.answers_at_once() && done >= (target / WARM_SHARE).max(1) {
                (from, warm) = ((done, mark), true);
            }
            self.watcher.at(done);
            patience.look(done, target, &worker, &*self.clock)?;
            self.pause(&mut worker, LOOK)?;
        };
        worker.stop(&*self.clock)?;
        let (since, begun) = from;
        let elapsed = to.at.saturating_sub(begun.at);
        let brokers = to.brokers.saturating_sub(begun.brokers);
        let cpu = to.worker.cpu.saturating_sub(begun.worker.cpu);
        if !self.settings.broker_pids.is_empty() {
            let own = to.own.saturating_sub(begun.own);
            let others = to.busy.saturating_sub(begun.busy).saturating_sub(brokers + cpu + own);
            let what = format!("{} of {}", stand.job, stand.subject);
            if let Some(noise) = self.machine.noise_of_others(others, elapsed, &what) {
                self.watcher.note(&noise);
                self.noise.push(noise);
            }
        }
        Ok(Run {
            drained: Drained {
                records: target - since,
                with_start: !warm,
                seconds: elapsed.as_secs_f64(),
                cpu_seconds: cpu.as_secs_f64(),
                broker_cpu_seconds: (!self.settings.broker_pids.is_empty()).then_some(brokers.as_secs_f64()),
                peak_rss_bytes: to.worker.peak_rss_bytes,
            },
            ..Run::default()
        })
    }

    /// Until so many records are done.
    pub(super) fn wait_for(&mut self, stand: &Stand, worker: &mut Worker, target: u64, every: Duration) -> Result<()> {
        let mut meter = stand.meter(&self.place.kafka)?;
        let mut patience = Patience::new(&*self.clock);
        loop {
            let done = meter.done()?;
            if done >= target {
                return Ok(());
            }
            patience.look(done, target, worker, &*self.clock)?;
            self.pause(worker, every)?;
        }
    }

    fn pause(&self, worker: &mut Worker, pause: Duration) -> Result<()> {
        if self.watcher.stop_asked() {
            return Err(Error::Stopped);
        }
        worker.runs()?;
        std::thread::sleep(pause);
        Ok(())
    }

    fn mark(&self, worker: Usage) -> Result<Mark> {
        let brokers = Usage::of_all(&self.settings.broker_pids)?.cpu;
        Ok(Mark { at: self.clock.mono(), worker, brokers, own: process_usage().cpu, busy: machine::busy() })
    }
}

/// What everybody has used at a moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Duration,
    worker: Usage,
    brokers: Duration,
    own: Duration,
    busy: Duration,
}

/// Ends where nothing moves.
pub(super) struct Patience {
    last: u64,
    since: Duration,
}

impl Patience {
    pub(super) fn new(clock: &dyn Clock) -> Self {
        Self { last: 0, since: clock.mono() }
    }

    pub(super) fn look(&mut self, done: u64, wanted: u64, worker: &Worker, clock: &dyn Clock) -> Result<()> {
        let now = clock.mono();
        if done != self.last {
            (self.last, self.since) = (done, now);
        }
        if now.saturating_sub(self.since) <= STALLED {
            return Ok(());
        }
        let (who, said, seconds) = (worker.who.clone(), worker.said(), STALLED.as_secs());
        Err(Error::Stalled { who, done, wanted, seconds, said })
    }
}

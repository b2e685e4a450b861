//! At a constant rate: how long outputs take.

use super::document::{Latency, Run};
use super::drain::{LOOK, Patience};
use super::error::{Error, Result};
use super::latency::Histogram;
use super::load::Schedule;
use super::run::Bench;
use super::settings::Pace;
use super::stand::{Stand, parts};
use super::workload::number_of;
use crate::broker::{Broker, Isolation, Limit};
use crate::record::{Offset, TopicPartition};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Records that a worker has worked off before others come at a constant rate.
const WARM: u64 = 1_000;
/// The first part of the time that does not count: a JVM compiles then, caches fill.
const WARM_SHARE: u64 = 5;
/// From the decision to send to the first record.
const LEAD: Duration = Duration::from_millis(200);
/// One poll for outputs.
const POLL: Limit = Limit { records: 1_000, time: Duration::from_millis(20) };
/// What stops a reader for a moment is looked at again after this.
const PAUSE: Duration = Duration::from_millis(5);
/// What is lost in waiting for outputs is the cluster's and the worker's, not that of whoever measures.
const PROMPT: [(&str, &str); 1] = [("consumer.fetch.wait.max.ms", "5")];

impl Bench<'_> {
    /// The constant rate of this round.
    pub(super) fn rate(&self, done: &[(Stand, Run)]) -> Option<u64> {
        match self.settings.pace {
            Pace::Off => None,
            Pace::At(rate) => Some(rate),
            Pace::Half => {
                let rates = done.iter().map(|(_, run)| run.drained.records as f64 / run.drained.seconds.max(1e-3));
                Some((rates.fold(f64::INFINITY, f64::min) / 2.0).max(1.0) as u64)
            }
        }
    }

    /// Sends at a constant rate to a worker that begins anew, and takes the time of every output.
    pub(super) fn keep_pace(&mut self, drained: &Stand, rate: u64) -> Result<Latency> {
        let (job, subject) = (drained.job, drained.subject);
        let records = (rate as f64 * self.settings.paced_for.as_secs_f64()).max(1.0) as u64;
        let mut input = self.filled(job, "paced-in", WARM.min(records))?;
        let stand = self.place.stand(job, subject, &input.topic, self.settings.partitions)?;
        stand.set_up(&self.place.kafka)?;
        let mut worker = self.launch.worker(&stand)?;
        self.watcher.begin(&format!("{job}: {subject} at {rate} a second"), records);
        self.wait_for(&stand, &mut worker, input.sent, LOOK)?;

        let mut reader = self.place.kafka_with(&PROMPT)?.log_reader(Isolation::ReadCommitted)?;
        let from: Vec<(TopicPartition, Offset)> =
            parts(&stand.output, stand.partitions).into_iter().map(|part| (part, 0)).collect();
        reader.assign(&from)?;
        let first = input.sent;
        let counted_from = first + records / WARM_SHARE;
        let schedule = Schedule::new(rate, self.clock.mono() + LEAD);
        let (mut histogram, mut seen) = (Histogram::new(), 0);
        let (clock, stop) = (self.clock.clone(), AtomicBool::new(false));
        let outcome = std::thread::scope(|scope| {
            let (own, stop) = (clock.clone(), &stop);
            let mut sender = Some(scope.spawn(move || {
                let sent = input.follow(job, records, schedule, &*own, &|| stop.load(Ordering::Relaxed));
                sent.map(|()| input.outputs_of(subject))
            }));
            let mut wanted = None;
            let mut patience = Patience::new(&*clock);
            let mut look = || -> Result<()> {
                while wanted != Some(seen) {
                    let polled = reader.poll(POLL, &mut |record| {
                        seen += 1;
                        let number = record.value.and_then(number_of).unwrap_or_default();
                        if number >= counted_from {
                            histogram.add(clock.mono().saturating_sub(schedule.due(number - first)));
                        }
                    });
                    if polled.is_err() {
                        // Whoever stalls for long is given up below.
                        std::thread::sleep(PAUSE);
                    }
                    if let Some(ended) = sender.take_if(|sender| sender.is_finished()) {
                        let sent = ended.join().unwrap_or(Err(Error::Stopped));
                        wanted = Some(sent?);
                    }
                    self.watcher.at(seen);
                    worker.runs()?;
                    patience.look(seen, wanted.unwrap_or(records), &worker, &*clock)?;
                    if self.watcher.stop_asked() {
                        return Err(Error::Stopped);
                    }
                }
                Ok(())
            };
            let outcome = look();
            // The sender is waited for; after a failure it need not go on.
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        outcome?;
        worker.stop(&*self.clock)?;
        let latency = latency_of(&histogram, rate);
        self.histograms.entry((job, subject)).or_default().merge(&histogram);
        Ok(latency)
    }
}

pub(super) fn latency_of(histogram: &Histogram, rate: u64) -> Latency {
    Latency {
        rate,
        count: histogram.count(),
        p50_ms: histogram.at(0.5),
        p90_ms: histogram.at(0.9),
        p99_ms: histogram.at(0.99),
        p99_9_ms: histogram.at(0.999),
        p99_99_ms: histogram.at(0.9999),
        max_ms: histogram.longest(),
    }
}

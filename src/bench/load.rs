//! When records are meant to be sent, and that they are.

use super::error::{Error, Result};
use super::job::Job;
use super::subject::Subject;
use super::workload::Maker;
use crate::broker::Producer;
use crate::clock::Clock;
use crate::record::{Record, Text, partition_of};
use bytes::Bytes;
use std::time::Duration;

/// The clock is looked at once in so many records where nothing else says when.
const BETWEEN_LOOKS: u64 = 1_024;
/// Longest wait for the acknowledgement of what was sent.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);
/// The finest sleep worth the name; what is due sooner is sent with what is due then.
const NAP: Duration = Duration::from_micros(200);

/// A constant rate: the moment of each record is set before the first is sent and does not move, whatever the ones before it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    rate: u64,
    begin: Duration,
}

impl Schedule {
    /// So many a second, at least one, the first at `begin`.
    pub fn new(rate: u64, begin: Duration) -> Self {
        Self { rate: rate.max(1), begin }
    }

    /// When this one is meant to be sent.
    pub fn due(&self, number: u64) -> Duration {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many are due by then.
    pub fn due_by(&self, now: Duration) -> u64 {
        let Some(passed) = now.checked_sub(self.begin) else { return 0 };
        let whole = passed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        u64::try_from(whole).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// A topic that is filled.
pub(super) struct Input {
    pub(super) topic: Text,
    pub(super) partitions: u32,
    maker: Maker,
    producer: Box<dyn Producer>,
    /// Records sent so far.
    pub(super) sent: u64,
    /// Outputs that they lead to in the job.
    outputs: u64,
}

impl Input {
    pub(super) fn new(topic: Text, partitions: u32, maker: Maker, producer: Box<dyn Producer>) -> Self {
        Self { topic, partitions, maker, producer, sent: 0, outputs: 0 }
    }

    /// Outputs that this one has to make of what was sent.
    pub(super) fn outputs_of(&self, subject: Subject) -> u64 {
        if subject.does_the_job() { self.outputs } else { self.sent }
    }

    /// Sends so many as fast as they are taken.
    pub(super) fn fill(
        &mut self,
        job: Job,
        records: u64,
        clock: &dyn Clock,
        tell: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        for number in 0..records {
            self.send(job, clock)?;
            if number % BETWEEN_LOOKS == 0 {
                tell(number)?;
            }
        }
        self.flush()
    }

    /// Sends so many, each when it is due.
    pub(super) fn follow(
        &mut self,
        job: Job,
        records: u64,
        schedule: Schedule,
        clock: &dyn Clock,
        stop: &dyn Fn() -> bool,
    ) -> Result<()> {
        let mut sent = 0;
        while sent < records {
            let due = schedule.due_by(clock.mono()).min(records);
            while sent < due {
                self.send(job, clock)?;
                sent += 1;
            }
            if stop() {
                return Err(Error::Stopped);
            }
            // What falls behind is sent at once, and its delay is part of its latency.
            std::thread::sleep(schedule.due(sent).saturating_sub(clock.mono()).max(NAP));
        }
        self.flush()
    }

    fn send(&mut self, job: Job, clock: &dyn Clock) -> Result<()> {
        let made = self.maker.next();
        let record = Record {
            topic: self.topic.clone(),
            partition: partition_of(&self.maker.key, self.partitions),
            timestamp: clock.wall(),
            headers: Vec::new(),
            key: Some(Bytes::copy_from_slice(&self.maker.key)),
            value: Some(Bytes::copy_from_slice(&self.maker.value)),
        };
        self.producer.send(&record)?;
        self.sent += 1;
        self.outputs += u64::from(job.has_output(made));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.producer.flush(FLUSH_TIMEOUT)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Workload;
    use crate::broker;
    use crate::clock::{ManualClock, SystemClock};
    use crate::sync::lock;
    use std::sync::{Arc, Mutex};

    #[test]
    fn moments_do_not_drift() {
        for rate in [1, 3, 1_000, 7_919, 1_000_000] {
            let begin = Duration::from_millis(250);
            let schedule = Schedule::new(rate, begin);
            assert_eq!(schedule.due(0), begin);
            assert_eq!(schedule.due(rate * 3_600), begin + Duration::from_hours(1));
            assert_eq!(schedule.due_by(Duration::ZERO), 0, "nothing is due before the beginning");
            for number in [0, 1, 2, rate, rate * 10 + 1] {
                let due = schedule.due(number);
                assert!(schedule.due_by(due + Duration::from_nanos(1)) > number, "{rate}: {number} is due at {due:?}");
                assert!(
                    schedule.due_by(due.saturating_sub(Duration::from_nanos(1))) <= number,
                    "{rate}: {number} is not due yet"
                );
            }
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<Record>>>);

    impl Producer for Sink {
        fn send(&mut self, record: &Record) -> broker::Result<()> {
            lock(&self.0).push(record.clone());
            Ok(())
        }

        fn flush(&mut self, _: Duration) -> broker::Result<()> {
            Ok(())
        }
    }

    fn input(sink: &Sink) -> Input {
        let workload = Workload { seed: 1, keys: 10, skew: 0.0, bytes: 0, by_order: false };
        Input::new("in".into(), 4, Maker::new(workload), Box::new(sink.clone()))
    }

    #[test]
    fn what_is_sent_is_counted_with_the_outputs_that_it_leads_to() {
        for (job, outputs) in [(Job::Passthrough, 100), (Job::Aggregate, 90), (Job::Decide, 90)] {
            let sink = Sink::default();
            let mut input = input(&sink);
            input.fill(job, 100, &SystemClock::new(), &mut |_| Ok(())).unwrap();
            assert_eq!((input.sent, input.outputs), (100, outputs), "{job}");
            let sent = lock(&sink.0);
            assert!(sent.iter().all(|record| record.partition == partition_of(record.key.as_deref().unwrap(), 4)));
            assert_eq!(sent.len(), 100);
        }
    }

    #[test]
    fn a_sender_that_is_late_sends_all_that_is_due_at_once() {
        let (sink, clock) = (Sink::default(), ManualClock::new(0, 1));
        // Ten seconds late: all 100 were due long ago.
        clock.advance(Duration::from_secs(10));
        input(&sink).follow(Job::Map, 100, Schedule::new(1_000, Duration::ZERO), &clock, &|| false).unwrap();
        assert_eq!(lock(&sink.0).len(), 100);
        let stopped = input(&sink).follow(Job::Map, 1_000, Schedule::new(1, Duration::ZERO), &clock, &|| true);
        assert!(matches!(stopped, Err(Error::Stopped)));
    }
}

//! Sends generated records at a rate, on a thread of its own.

use super::traffic::Traffic;
use crate::broker::Producer;
use crate::clock::Clock;
use crate::record::{Record, partition_of};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Without a rate, sending waits while so many records are unread: the broker in this process keeps them in memory, and each may
/// lead to a dozen others that are still to come.
const BACKLOG_MAX: u64 = 5_000;
/// Records sent between two looks at the clock.
const BURST: u64 = 500;
/// Pause when nothing is due.
const PAUSE: Duration = Duration::from_millis(2);
/// After a stall (a laptop that slept) so much is made up for, and no more.
const CATCH_UP: Duration = Duration::from_millis(500);

/// What a pump is made of.
pub struct Parts {
    /// Makes the records.
    pub traffic: Box<dyn Traffic>,
    /// Where they go.
    pub producer: Box<dyn Producer>,
    /// Number of partitions of each topic.
    pub partitions: BTreeMap<String, u32>,
    /// Records per second; `None`: as many as are taken.
    pub rate: Option<u32>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Records that are sent and not processed yet.
    pub backlog: Box<dyn FnMut() -> Result<u64, String> + Send>,
}

/// A running pump. Stops when dropped.
pub struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    sent: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Pump {
    /// Starts sending.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        // Taken here: what is due counts from the start, not from when the thread gets its turn.
        let begun = parts.clock.mono();
        let thread = std::thread::Builder::new().name("traffic".into()).spawn(move || {
            if let Err(error) = pump(parts, begun, &own) {
                *lock(&own.failure) = Some(error);
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Records sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Ends it; every record that was sent is in the log then. The error is that of the first record that could not be sent.
    pub fn stop(mut self) -> Result<u64, String> {
        self.end();
        match lock(&self.shared.failure).take() {
            Some(error) => Err(error),
            None => Ok(self.sent()),
        }
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            let mut failure = lock(&self.shared.failure);
            failure.get_or_insert_with(|| "the traffic generator broke down".into());
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.end();
    }
}

fn pump(mut parts: Parts, mut begun: Duration, shared: &Shared) -> Result<(), String> {
    let mut sent_since = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let burst = match parts.rate {
            None if (parts.backlog)()? >= BACKLOG_MAX => 0,
            None => BURST,
            Some(rate) => {
                let elapsed = parts.clock.mono().saturating_sub(begun);
                let behind = due(rate, elapsed).saturating_sub(sent_since);
                if behind > due(rate, CATCH_UP) + 1 {
                    begun = parts.clock.mono();
                    sent_since = 0;
                }
                behind.min(BURST)
            }
        };
        if burst == 0 {
            std::thread::sleep(PAUSE);
            continue;
        }
        for _ in 0..burst {
            let now = parts.clock.wall();
            let made = parts.traffic.next(now);
            let Some(partitions) = parts.partitions.get(&made.topic) else {
                return Err(format!("topic `{}` has no partitions", made.topic));
            };
            let record = Record {
                partition: partition_of(&made.key, *partitions),
                topic: made.topic.into(),
                timestamp: now,
                key: Some(made.key.into()),
                value: made.value.map(Into::into),
                headers: made.headers,
            };
            parts.producer.send(&record).map_err(|error| error.to_string())?;
        }
        sent_since += burst;
        shared.sent.fetch_add(burst, Ordering::Relaxed);
    }
    parts.producer.flush(Duration::from_secs(10)).map_err(|error| error.to_string())
}

/// Records due after some time, in whole ones.
fn due(rate: u32, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros() * u128::from(rate);
    u64::try_from(micros / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Result as BrokerResult;
    use crate::clock::ManualClock;
    use crate::dev::traffic::Shop;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<Record>>>);

    impl Producer for Sink {
        fn send(&mut self, record: &Record) -> BrokerResult<()> {
            self.0.lock().unwrap().push(record.clone());
            Ok(())
        }

        fn flush(&mut self, _: Duration) -> BrokerResult<()> {
            Ok(())
        }
    }

    fn parts(sink: &Sink, clock: &Arc<ManualClock>, rate: Option<u32>, backlog: u64) -> Parts {
        let counts = [("orders.commands", 3), ("stock.commands", 3)];
        Parts {
            traffic: Box::new(Shop::new(1, 0)),
            producer: Box::new(sink.clone()),
            partitions: counts.into_iter().map(|(topic, count)| (topic.to_owned(), count)).collect(),
            rate,
            clock: clock.clone(),
            backlog: Box::new(move || Ok(backlog)),
        }
    }

    #[test]
    fn a_rate_is_kept_by_the_clock() {
        let (sink, clock) = (Sink::default(), Arc::new(ManualClock::new(0, 1)));
        let pump = Pump::start(parts(&sink, &clock, Some(100), 0)).unwrap();
        for _ in 0..10 {
            clock.advance(Duration::from_millis(100));
            let due = clock.mono().as_millis() as u64 / 10;
            while pump.sent() < due {
                std::thread::yield_now();
            }
            assert_eq!(pump.sent(), due);
        }
        assert_eq!(pump.stop(), Ok(100));
        let records = sink.0.lock().unwrap();
        assert_eq!(records.len(), 100);
        assert!(records.iter().all(|record| record.partition == partition_of(record.key.as_deref().unwrap(), 3)));
    }

    #[test]
    fn without_a_rate_a_backlog_holds_it_up() {
        let (sink, clock) = (Sink::default(), Arc::new(ManualClock::new(0, 1)));
        let held = Pump::start(parts(&sink, &clock, None, BACKLOG_MAX)).unwrap();
        let free = Pump::start(parts(&sink, &clock, None, 0)).unwrap();
        while free.sent() < 1_000 {
            std::thread::yield_now();
        }
        assert_eq!(held.sent(), 0);
        assert!(free.stop().unwrap() >= 1_000);
    }

    #[test]
    fn a_topic_that_is_not_there_ends_it_with_a_reason() {
        let (sink, clock) = (Sink::default(), Arc::new(ManualClock::new(0, 1)));
        let mut parts = parts(&sink, &clock, None, 0);
        parts.partitions.clear();
        let pump = Pump::start(parts).unwrap();
        while !pump.thread.as_ref().unwrap().is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(pump.stop(), Err("topic `stock.commands` has no partitions".into()));
    }
}

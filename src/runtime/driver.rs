//! Runs a worker loop on an operating-system thread.
//!
//! The loop itself never blocks: it says until when nothing is to be done, and the driver parks until then or until a wake-up of
//! the consumer, the lane or a signal. The simulation has a driver of its own, so the loop is the same code in both.

use super::worker::{Wait, Worker};
use super::{Error, Exit, Result};
use crate::broker::Wake;
use crate::sync::lock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread};
use std::time::Duration;

/// Longest park: bounds the harm of a wake-up that a client forgot.
const PARK_MAX: Duration = Duration::from_millis(100);

/// Signals to all worker threads of a process.
#[derive(Debug)]
pub(super) struct Signals {
    asked: AtomicU8,
    joined: Vec<AtomicBool>,
    threads: Mutex<Vec<Thread>>,
}

impl Signals {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            asked: AtomicU8::new(0),
            joined: (0..threads).map(|_| AtomicBool::new(false)).collect(),
            threads: Mutex::default(),
        }
    }

    pub(super) fn stop(&self) {
        // Saturates: a third signal asks for no more than the second.
        let _ = self.asked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |asked| Some(asked.saturating_add(1).min(2)));
        for thread in lock(&self.threads).iter() {
            thread.unpark();
        }
    }

    /// Has every thread had an assignment?
    pub(super) fn joined(&self) -> bool {
        self.joined.iter().all(|joined| joined.load(Ordering::Relaxed))
    }

    fn register(&self, thread: Thread) {
        lock(&self.threads).push(thread);
    }
}

/// Builds a worker on this thread and runs it to its end.
pub(super) fn drive(thread: usize, signals: &Arc<Signals>, build: impl FnOnce(Wake) -> Result<Worker>) -> Exit {
    let this = thread::current();
    signals.register(this.clone());
    let wake: Wake = Arc::new(move || this.unpark());
    let run = AssertUnwindSafe(|| {
        let mut worker = build(wake)?;
        run_to_end(&mut worker, thread, signals)
    });
    let exit = match catch_unwind(run) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => Exit::Failed(error),
        Err(panic) => Exit::Failed(Error::Broken { thread, message: panic_text(&*panic) }),
    };
    if !matches!(exit, Exit::Stopped) {
        // One thread that cannot go on ends the process: its partitions would wait for a member that is alive.
        signals.stop();
    }
    exit
}

fn run_to_end(worker: &mut Worker, thread: usize, signals: &Signals) -> Result<Exit> {
    let mut asked = 0;
    loop {
        let now_asked = signals.asked.load(Ordering::Relaxed);
        if now_asked >= 2 {
            return Ok(Exit::Interrupted);
        }
        if now_asked > asked {
            asked = now_asked;
            worker.ask_to_stop();
        }
        let wait = worker.step()?;
        if worker.has_joined() {
            signals.joined[thread].store(true, Ordering::Relaxed);
        }
        match wait {
            Wait::Stopped => return Ok(Exit::Stopped),
            Wait::Now => {}
            Wait::For(time) => thread::park_timeout(time.min(PARK_MAX)),
        }
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}

//! A running engine: its worker threads, and the handle by which others watch and stop it.

use super::driver::{self, Signals};
use super::progress::Totals;
use super::worker::{Parts, Worker};
use super::{Error, Exit, Figures, Prepared, Program, Registry, Result, Settings, TaskPhase, TaskReport};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::record::Text;
use crate::state::{Memory, Stores};
use crate::telemetry::Telemetry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What was applied to stores is made durable this often: it bounds what a restart replays.
const PERSIST_EVERY: Duration = Duration::from_secs(10);

/// What an engine is started with.
#[derive(Clone)]
pub struct Engine {
    /// What to run.
    pub program: Arc<Program>,
    /// What the plan came to on the cluster ([`super::prepare`]).
    pub prepared: Arc<Prepared>,
    /// The cluster.
    pub broker: Arc<dyn Broker>,
    /// Where state is kept, except that of nodes that ask for memory.
    pub stores: Arc<dyn Stores>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Metrics of the process.
    pub telemetry: Telemetry,
    /// Settings.
    pub settings: Settings,
}

/// What an engine has done and is doing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Committed figures.
    pub figures: Figures,
    /// Tasks of this process.
    pub tasks: Vec<TaskReport>,
    /// Every thread has its assignment and every task of it runs.
    pub ready: bool,
}

/// A running engine. Dropping the handle does not end it: call [`Running::stop`], then [`Running::wait`].
pub struct Running {
    registry: Arc<Registry>,
    totals: Arc<Totals>,
    signals: Arc<Signals>,
    threads: Vec<JoinHandle<Exit>>,
    persister: Persister,
}

impl Engine {
    /// Starts the worker threads. What fails from then on is the exit of [`Running::wait`].
    pub fn start(mut self) -> Result<Running> {
        // More threads than tasks would sit there with nothing assigned.
        let tasks = self.prepared.tasks.iter().copied().max().unwrap_or(1).max(1);
        self.settings.threads = self.settings.threads.clamp(1, tasks as usize);
        let worker_id = match &self.settings.worker {
            Some(id) => id.clone(),
            None => Text::from(format!("{:016x}", self.clock.draw())),
        };
        let registry = Arc::new(Registry::with_metrics(&self.telemetry, &self.program.plan.topology));
        let totals = Arc::new(Totals::default());
        let signals = Arc::new(Signals::new(self.settings.threads));
        let memory: Arc<dyn Stores> = Arc::new(Memory::new());
        let siblings = Arc::new(AtomicUsize::new(self.settings.threads));
        let persister = Persister::start(self.stores.clone());
        let mut threads = Vec::with_capacity(self.settings.threads);
        for thread in 0..self.settings.threads {
            let parts = Parts {
                program: self.program.clone(),
                prepared: self.prepared.clone(),
                broker: self.broker.clone(),
                stores: self.stores.clone(),
                memory: memory.clone(),
                clock: self.clock.clone(),
                settings: self.settings.clone(),
                registry: registry.clone(),
                totals: totals.clone(),
                telemetry: self.telemetry.clone(),
                siblings: siblings.clone(),
                worker_id: worker_id.clone(),
                thread,
            };
            let own_signals = signals.clone();
            let spawned = thread::Builder::new()
                .name(format!("worker-{thread}"))
                .spawn(move || driver::drive(thread, &own_signals, |wake| Worker::new(parts, wake)));
            match spawned {
                Ok(handle) => threads.push(handle),
                Err(error) => {
                    signals.stop();
                    return Err(Error::Broken { thread, message: error.to_string() });
                }
            }
        }
        Ok(Running { registry, totals, signals, threads, persister })
    }
}

impl Running {
    /// Asks for an orderly end: commit, let go, leave. Asked a second time, the engine ends at once.
    pub fn stop(&self) {
        self.signals.stop();
    }

    /// Has every worker thread ended?
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the end of all worker threads; the worst of their exits.
    pub fn wait(self) -> Exit {
        let mut worst = Exit::Stopped;
        for (thread, handle) in self.threads.into_iter().enumerate() {
            let exit = handle.join().unwrap_or_else(|panic| {
                // A thread that dies without a word takes the others with it: their tasks would wait for ever.
                self.signals.stop();
                Exit::Failed(Error::Broken { thread, message: driver::panic_text(&*panic) })
            });
            worst = match (worst, exit) {
                (Exit::Failed(first), _) => Exit::Failed(first),
                (_, Exit::Failed(error)) => Exit::Failed(error),
                (Exit::Interrupted, _) | (_, Exit::Interrupted) => Exit::Interrupted,
                (Exit::Stopped, Exit::Stopped) => Exit::Stopped,
            };
        }
        self.persister.stop();
        worst
    }

    /// What runs here, for queries.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Committed figures.
    pub fn totals(&self) -> &Arc<Totals> {
        &self.totals
    }

    /// What was done and what is being done.
    pub fn snapshot(&self) -> Snapshot {
        self.watch().snapshot()
    }

    /// A view that others keep while the handle waits for the end.
    pub fn watch(&self) -> Watch {
        Watch { registry: self.registry.clone(), totals: self.totals.clone(), signals: self.signals.clone() }
    }
}

/// A view of a running engine; it may outlive it.
#[derive(Clone)]
pub struct Watch {
    registry: Arc<Registry>,
    totals: Arc<Totals>,
    signals: Arc<Signals>,
}

impl Watch {
    /// What was done and what is being done.
    pub fn snapshot(&self) -> Snapshot {
        let tasks = self.registry.tasks();
        let ready = self.signals.joined() && tasks.iter().all(|task| task.phase == TaskPhase::Running);
        Snapshot { figures: self.totals.get(), tasks, ready }
    }

    /// What runs here, for queries.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// As [`Running::stop`].
    pub fn stop(&self) {
        self.signals.stop();
    }
}

/// Makes stores durable now and then, on a thread of its own: it waits for the disk, which no worker loop does.
struct Persister {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Persister {
    fn start(stores: Arc<dyn Stores>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let run = move || {
            while !seen.load(Ordering::Relaxed) {
                thread::park_timeout(PERSIST_EVERY);
                if let Err(error) = stores.persist() {
                    // Correctness does not need it: a restart replays more.
                    tracing::warn!(%error, "stores could not be made durable");
                }
            }
        };
        // Without the thread everything works, only restarts take longer.
        let thread = thread::Builder::new().name("persist".into()).spawn(run).ok();
        Self { over, thread }
    }

    fn stop(self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread {
            thread.thread().unpark();
            // It ends with its last look; a panic in it has been printed and harms nothing.
            let _ = thread.join();
        }
    }
}

//! A process of the world: worker threads that share a disk and a registry.

use crate::workload::TOPOLOGY;
use skald::broker::Wake;
use skald::broker::embedded::Cluster;
use skald::clock::ManualClock;
use skald::record::Text;
use skald::runtime::worker::{Parts, Worker};
use skald::runtime::{Prepared, Program, Registry, Settings, Totals, client_suffix};
use skald::state::{Memory, SimulatedDisk};
use skald::telemetry::Telemetry;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub(crate) struct Process {
    pub(crate) id: Text,
    pub(crate) threads: usize,
    pub(crate) disk: SimulatedDisk,
    pub(crate) alive: Option<Alive>,
    /// Starts again then.
    pub(crate) down_until: Duration,
    /// Its disk is full until then.
    pub(crate) full_until: Option<Duration>,
}

pub(crate) struct Alive {
    pub(crate) registry: Arc<Registry>,
    pub(crate) totals: Arc<Totals>,
    pub(crate) workers: Vec<Slot>,
    /// Not stepped until then: SIGSTOP.
    pub(crate) paused_until: Option<Duration>,
}

pub(crate) struct Slot {
    pub(crate) worker: Worker,
    pub(crate) client_id: Text,
    pub(crate) woken: Arc<AtomicBool>,
    pub(crate) next_step: Duration,
    pub(crate) stopped: bool,
}

impl Process {
    /// One that starts at this moment for the first time.
    pub(crate) fn new(number: usize, threads: usize, starts: Duration) -> Self {
        Self {
            id: Text::from(format!("w{number}")),
            threads,
            disk: SimulatedDisk::new(),
            alive: None,
            down_until: starts,
            full_until: None,
        }
    }

    pub(crate) fn start(
        &self,
        cluster: &Cluster,
        clock: &Arc<ManualClock>,
        program: &Arc<Program>,
        prepared: &Arc<Prepared>,
        settings: &Settings,
    ) -> Result<Alive, String> {
        let (registry, totals) = (Arc::new(Registry::new()), Arc::new(Totals::default()));
        let siblings = Arc::new(AtomicUsize::new(self.threads));
        let memory = Arc::new(Memory::new());
        // One for all: nobody looks at it, and making one takes longer than a run.
        static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(Telemetry::new);
        let telemetry = TELEMETRY.clone();
        let workers = (0..self.threads).map(|thread| {
            let woken = Arc::new(AtomicBool::new(false));
            let flag = woken.clone();
            let wake: Wake = Arc::new(move || flag.store(true, Ordering::Relaxed));
            let parts = Parts {
                program: program.clone(),
                prepared: prepared.clone(),
                broker: Arc::new(cluster.clone()),
                stores: Arc::new(self.disk.clone()),
                memory: memory.clone(),
                clock: clock.clone(),
                settings: Settings { worker: Some(self.id.clone()), threads: self.threads, ..settings.clone() },
                registry: registry.clone(),
                totals: totals.clone(),
                telemetry: telemetry.clone(),
                siblings: siblings.clone(),
                worker_id: self.id.clone(),
                thread,
            };
            let client_id = format!("{TOPOLOGY}.{}.{thread:02}{}", self.id, client_suffix(&program.plan));
            let worker = Worker::new(parts, wake).map_err(|error| error.to_string())?;
            Ok(Slot { worker, client_id: client_id.into(), woken, next_step: Duration::ZERO, stopped: false })
        });
        let workers = workers.collect::<Result<_, String>>()?;
        Ok(Alive { registry, totals, workers, paused_until: None })
    }
}

//! A worker process: what lives while it is alive, and the disk that outlives it.

use crate::broker::Wake;
use crate::broker::embedded::Cluster;
use crate::clock::ManualClock;
use crate::record::{Millis, Text};
use crate::runtime::crash::{self, Armed};
use crate::runtime::worker::{Parts, Wait, Worker};
use crate::runtime::{Error, Prepared, Registry, Settings, Totals};
use crate::scenario::model::Made;
use crate::state::{Memory, SimulatedDisk};
use crate::telemetry::Telemetry;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub(super) struct Process {
    id: Text,
    disk: SimulatedDisk,
    life: Life,
    leaving: bool,
}

enum Life {
    /// It starts when the wall clock stands here; `waits`: the scenario wants it to be down until then.
    Down {
        until: Millis,
        waits: bool,
    },
    Up(Box<Up>),
}

struct Up {
    worker: Worker,
    registry: Arc<Registry>,
    woken: Arc<AtomicBool>,
    next_step: Duration,
}

impl Process {
    /// One that is about to start.
    pub(super) fn new(number: usize) -> Self {
        let life = Life::Down { until: Millis::MIN, waits: false };
        Self { id: Text::from(format!("w{number}")), disk: SimulatedDisk::new(), life, leaving: false }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// What runs here, while it is alive.
    pub(super) fn registry(&self) -> Option<&Arc<Registry>> {
        match &self.life {
            Life::Up(up) => Some(&up.registry),
            Life::Down { .. } => None,
        }
    }

    /// The wall time until which it is to be down.
    pub(super) fn down_until(&self) -> Option<Millis> {
        match &self.life {
            Life::Down { until, waits: true } => Some(*until),
            _ => None,
        }
    }

    pub(super) fn next_step(&self) -> Option<Duration> {
        match &self.life {
            Life::Up(up) => Some(up.next_step),
            Life::Down { .. } => None,
        }
    }

    /// Asks for an orderly end.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
        if let Life::Up(up) = &mut self.life {
            up.worker.ask_to_stop();
            up.woken.store(true, Ordering::Relaxed);
        }
    }

    /// The process dies: nothing is left of it but its disk. It starts again when the wall clock stands at `until`.
    pub(super) fn kill(&mut self, until: Millis, waits: bool, disk_lost: bool) {
        self.life = Life::Down { until, waits };
        if disk_lost {
            self.disk = SimulatedDisk::new();
        } else {
            // A process that dies leaves what the operating system has taken.
            self.disk.crash(self.disk.at_risk());
        }
    }

    pub(super) fn start_if_due(
        &mut self,
        now: Millis,
        made: &Made,
        cluster: &Cluster,
        clock: &Arc<ManualClock>,
        prepared: &Arc<Prepared>,
        settings: &Settings,
    ) {
        // One for all: nobody looks at it, and making one takes longer than a case.
        static TELEMETRY: LazyLock<Telemetry> = LazyLock::new(Telemetry::new);
        let Life::Down { until, .. } = self.life else { return };
        if until > now {
            return;
        }
        let (registry, woken) = (Arc::new(Registry::new()), Arc::new(AtomicBool::new(false)));
        let flag = woken.clone();
        let wake: Wake = Arc::new(move || flag.store(true, Ordering::Relaxed));
        let parts = Parts {
            program: made.program.clone(),
            prepared: prepared.clone(),
            broker: Arc::new(cluster.clone()),
            stores: Arc::new(self.disk.clone()),
            memory: Arc::new(Memory::new()),
            clock: clock.clone(),
            settings: Settings { worker: Some(self.id.clone()), ..settings.clone() },
            registry: registry.clone(),
            totals: Arc::new(Totals::default()),
            telemetry: TELEMETRY.clone(),
            siblings: Arc::new(AtomicUsize::new(1)),
            worker_id: self.id.clone(),
            thread: 0,
        };
        // The broker in this process gives everybody its clients, and patterns were compiled when the file was checked.
        let mut worker = Worker::new(parts, wake).expect("a broker in memory refuses nobody");
        if self.leaving {
            worker.ask_to_stop();
        }
        self.life = Life::Up(Box::new(Up { worker, registry, woken, next_step: Duration::ZERO }));
    }

    /// Takes a step if there is something to do, with a crash point armed for it; what is left of its passings.
    pub(super) fn step(&mut self, now: Duration, armed: Option<Armed>) -> Option<(Result<Wait, Error>, Option<Armed>)> {
        let Life::Up(up) = &mut self.life else { return None };
        if up.next_step > now && !up.woken.load(Ordering::Relaxed) {
            return None;
        }
        up.woken.store(false, Ordering::Relaxed);
        if let Some(armed) = armed {
            crash::arm(armed);
        }
        let wait = up.worker.step();
        let left = crash::disarm();
        up.next_step = match &wait {
            Ok(Wait::For(time)) => now + *time,
            _ => now,
        };
        Some((wait, left))
    }
}

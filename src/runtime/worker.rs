//! The worker loop.

use super::progress::Totals;
use super::{Prepared, Program, Registry, Result, Settings};
use crate::broker::{Broker, Wake};
use crate::clock::Clock;
use crate::record::Text;
use crate::state::Stores;
use std::sync::Arc;
use std::time::Duration;

/// What a worker is made of.
pub struct Parts {
    /// What to run.
    pub program: Arc<Program>,
    /// The plan on its cluster.
    pub prepared: Arc<Prepared>,
    /// The cluster.
    pub broker: Arc<dyn Broker>,
    /// State.
    pub stores: Arc<dyn Stores>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Settings.
    pub settings: Settings,
    /// What runs in this process.
    pub registry: Arc<Registry>,
    /// Committed figures of this process.
    pub totals: Arc<Totals>,
    /// Id of the process among the group's.
    pub worker_id: Text,
    /// Number of the thread.
    pub thread: usize,
}

/// What the loop wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// To be called again at once.
    Now,
    /// To be called again after so long, or when something wakes it.
    For(Duration),
    /// Nothing more: it has ended in order.
    Stopped,
}

/// One worker thread's loop.
pub struct Worker {
    parts: Parts,
    wake: Wake,
    stopping: bool,
}

impl Worker {
    /// A worker that is about to start. `wake` is called from other threads when there may be something to do.
    pub fn new(parts: Parts, wake: Wake) -> Result<Self> {
        Ok(Self { parts, wake, stopping: false })
    }

    /// Asks for an orderly end.
    pub fn ask_to_stop(&mut self) {
        self.stopping = true;
        (self.wake)();
    }

    /// Has it had an assignment?
    pub fn has_joined(&self) -> bool {
        false
    }

    /// Does what is to be done now; never blocks.
    pub fn step(&mut self) -> Result<Wait> {
        Ok(if self.stopping { Wait::Stopped } else { Wait::For(self.parts.settings.commit_interval) })
    }
}

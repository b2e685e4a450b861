//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process at once.

use super::problem::Problem;
use crate::config::Exit;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the process was told from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Signals {
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// From now on signals are taken.
    pub(super) fn take() -> Result<Self, Problem> {
        let signals = Self::default();
        let refused = |error: std::io::Error| Problem::new(Exit::Failed, format!("signals cannot be handled: {error}"));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag still down and only raises it.
            signal_hook::flag::register_conditional_shutdown(signal, Exit::Failed.code().into(), signals.asked.clone())
                .map_err(refused)?;
            signal_hook::flag::register(signal, signals.asked.clone()).map_err(refused)?;
        }
        Ok(signals)
    }

    /// Was an end asked for?
    pub(super) fn stop_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

//! Where the figures are from, and what else was at work there.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// RAM.
    pub memory_bytes: u64,
    /// Of the kernel.
    pub kernel: String,
    /// Processes that ran or wanted to, on average over the minute before.
    pub load_before: f64,
}

/// Above this share of a core the load before is told.
const LOAD_MAX: f64 = 0.3;
/// Above this share of all cores what others used meanwhile is told.
const OTHERS_MAX: f64 = 0.05;

impl Machine {
    /// This one, now. What the system does not tell is empty or 0.
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim));
            line.unwrap_or_default().to_owned()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kibibytes: u64 = memory.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default();
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: kibibytes.saturating_mul(1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg").split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default(),
        }
    }

    /// What speaks against figures that are taken now.
    pub fn noise(&self) -> Option<String> {
        (self.load_before > LOAD_MAX).then(|| {
            format!(
                "the machine was not quiet: load average {:.2} over the minute before, on {} cores",
                self.load_before, self.cores
            )
        })
    }

    /// What speaks against figures that were taken while others used so much.
    pub(super) fn noise_of_others(&self, others: Duration, elapsed: Duration, what: &str) -> Option<String> {
        let share = others.as_secs_f64() / (elapsed.as_secs_f64() * self.cores as f64).max(f64::MIN_POSITIVE);
        (share > OTHERS_MAX).then(|| format!("{what}: other processes had {:.0} % of the cores", share * 100.0))
    }
}

/// CPU time of everybody, idle time left out.
pub(super) fn busy() -> Duration {
    busy_of(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn busy_of(stat: &str) -> Duration {
    // user nice system idle iowait irq softirq steal
    let first = stat.lines().next().unwrap_or_default();
    let fields = first.split_whitespace().skip(1).take(8).map(|field| field.parse::<u64>().unwrap_or_default());
    let ticks: u64 = fields.enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, ticks)| ticks).sum();
    Duration::from_millis(ticks.saturating_mul(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_nobodys() {
        let stat = "cpu  100 10 50 9999 8888 1 2 7 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_of(stat), Duration::from_millis(1_700));
        assert_eq!(busy_of(""), Duration::ZERO);
    }

    #[test]
    fn what_is_loud_is_told() {
        let machine = |load_before| Machine { cores: 2, load_before, ..Machine::default() };
        assert_eq!(machine(0.1).noise(), None);
        assert!(machine(1.5).noise().unwrap().contains("1.50"));
        let (second, tenth) = (Duration::from_secs(1), Duration::from_millis(100));
        assert_eq!(machine(0.0).noise_of_others(tenth, second, "map"), None);
        assert_eq!(
            machine(0.0).noise_of_others(tenth * 4, second, "map").as_deref(),
            Some("map: other processes had 20 % of the cores")
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_cores_and_memory() {
        let here = Machine::here();
        assert!(here.cores > 0 && here.memory_bytes > 0 && !here.kernel.is_empty(), "{here:?}");
        assert!(busy() > Duration::ZERO);
    }
}

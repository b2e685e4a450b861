//! What the process takes of the machine.

use super::metric;
use metrics::{Counter, Gauge};
use metrics_exporter_prometheus::PrometheusRecorder;
use std::time::Duration;

/// CPU and memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessUsage {
    /// CPU time since the start, of all threads, user and system.
    pub cpu: Duration,
    /// Bytes in RAM; 0 where the system does not tell.
    pub resident_bytes: u64,
    /// The most bytes in RAM at a time; 0 where the system does not tell.
    pub resident_peak_bytes: u64,
}

/// Asks the system.
pub fn process_usage() -> ProcessUsage {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = Duration::new(u64::try_from(cpu.tv_sec).unwrap_or(0), u32::try_from(cpu.tv_nsec).unwrap_or(0));
    // In KiB and not in pages, so the size of a page is not needed. Linux only; elsewhere there is no such file.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ProcessUsage { cpu, resident_bytes: field_bytes(&status, "VmRSS:"), resident_peak_bytes: field_bytes(&status, "VmHWM:") }
}

/// `VmRSS:     1234 kB`
fn field_bytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib.saturating_mul(1024))
}

pub(super) struct ProcessMetrics {
    cpu: Counter,
    resident: Gauge,
    resident_peak: Gauge,
}

impl ProcessMetrics {
    pub(super) fn new(recorder: &PrometheusRecorder) -> Self {
        super::gauge(recorder, &metric::BUILD, &[env!("CARGO_PKG_VERSION")]).set(1.0);
        Self {
            cpu: super::counter(recorder, &metric::PROCESS_CPU, &[]),
            resident: super::gauge(recorder, &metric::PROCESS_RESIDENT, &[]),
            resident_peak: super::gauge(recorder, &metric::PROCESS_RESIDENT_PEAK, &[]),
        }
    }

    pub(super) fn sample(&self) {
        let usage = process_usage();
        // Counters are whole numbers here, so this one moves by seconds.
        self.cpu.absolute(usage.cpu.as_secs());
        self.resident.set(usage.resident_bytes as f64);
        self.resident_peak.set(usage.resident_peak_bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_what_the_system_says() {
        let status = "Name:\tskald\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nVmSwap:\t junk kB\n";
        for (field, bytes) in [("VmHWM:", 2 << 20), ("VmRSS:", 1 << 20), ("VmSwap:", 0), ("VmNone:", 0)] {
            assert_eq!(field_bytes(status, field), bytes, "{field}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_takes_something() {
        let usage = process_usage();
        assert!(usage.cpu > Duration::ZERO);
        assert!(usage.resident_bytes > 100_000 && usage.resident_peak_bytes >= usage.resident_bytes / 2, "{usage:?}");
    }
}

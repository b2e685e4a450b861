//! What this process has used so far, as the kernel counts it; unknown where there is no `/proc`.

use std::time::Duration;

/// The kernel counts in hundredths of a second there, whatever its own tick is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Time that all cores together have spent on this process.
pub fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    cpu_time_of(&stat)
}

fn cpu_time_of(stat: &str) -> Option<Duration> {
    // The name of the process stands in parentheses and may hold anything; counting starts behind it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    TICK.checked_mul(user.checked_add(system)?)
}

/// The most memory that it has had at once, in bytes.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_behind_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 5 1000 10 18446744073709551615";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu_time_of("7 (a) S 1"), None);
        assert_eq!(cpu_time_of(""), None);
    }
}

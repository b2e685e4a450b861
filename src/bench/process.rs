//! Other processes: what they have used, and that they end.

use super::error::{Error, Result};
use crate::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a process has used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// CPU time of all its threads, user and system.
    pub(super) cpu: Duration,
    /// The most memory in RAM at a time, in bytes.
    pub(super) peak_rss_bytes: u64,
}

/// A tick of proc(5): the kernel tells user space hundredths of a second, whatever its own ticks are.
const TICK: Duration = Duration::from_millis(10);
/// An orderly end may take so long.
const END_TIMEOUT: Duration = Duration::from_secs(60);
const END_PAUSE: Duration = Duration::from_millis(10);
/// How often an end that has begun is looked for.
const ENDING_LOOKS: u32 = 500;
/// The end of a log that is told with a failure.
const SAID_BYTES: u64 = 4_096;

impl Usage {
    /// Of a process that runs.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            std::fs::read_to_string(&path).map_err(Error::machine(format!("reading `{path}`")))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        parse(&stat, &status).ok_or_else(|| Error::Machine {
            what: format!("reading what process {pid} uses"),
            source: std::io::ErrorKind::InvalidData.into(),
        })
    }

    /// Of several, together.
    pub(super) fn of_all(pids: &[u32]) -> Result<Self> {
        pids.iter().try_fold(Self::default(), |all, pid| {
            let one = Self::of(*pid)?;
            Ok(Self { cpu: all.cpu + one.cpu, peak_rss_bytes: all.peak_rss_bytes + one.peak_rss_bytes })
        })
    }
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The name, which may hold anything, ends at the last parenthesis. Behind it `utime` and `stime` are fields 12 and 13.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u32>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = peak.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(Usage { cpu: TICK * ticks, peak_rss_bytes: kibibytes.saturating_mul(1024) })
}

/// A process that does a job, killed when this value goes.
pub(super) struct Worker {
    /// What it is called in messages.
    pub(super) who: String,
    /// Where its HTTP endpoints are, if it has any.
    pub(super) port: Option<u16>,
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts it; what it says goes to a file.
    pub(super) fn start(who: String, mut command: Command, log: &Path, port: Option<u16>) -> Result<Self> {
        let file = File::create(log).map_err(Error::machine(format!("creating `{}`", log.display())))?;
        let more = file.try_clone().map_err(Error::machine("sharing a log file"))?;
        // The interrupt key is for whoever measures, who then ends its workers in order.
        command.stdin(Stdio::null()).stdout(file).stderr(more).process_group(0);
        let child = command.spawn().map_err(Error::machine(format!("starting {who}")))?;
        Ok(Self { who, port, child, log: log.to_owned() })
    }

    /// What it has used. An error where it has ended.
    pub(super) fn usage(&mut self) -> Result<Usage> {
        Usage::of(self.child.id()).or_else(|error| {
            // One that is about to end has no memory any more, and no status yet.
            for _ in 0..ENDING_LOOKS {
                self.runs()?;
                std::thread::sleep(END_PAUSE);
            }
            Err(error)
        })
    }

    /// An error where it has ended.
    pub(super) fn runs(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Ended { who: self.who.clone(), how: status.to_string(), said: self.said() }),
            Err(error) => Err(Error::machine(format!("looking after {}", self.who))(error)),
        }
    }

    /// The end of what it has said.
    pub(super) fn said(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(SAID_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(SAID_BYTES).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }

    /// Asks it to end and waits; one that takes too long is killed, and that is an error.
    pub(super) fn stop(mut self, clock: &dyn Clock) -> Result<()> {
        self.runs()?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.map_or(Ok(()), |pid| kill_process(pid, Signal::TERM));
        sent.map_err(|error| Error::machine(format!("stopping {}", self.who))(error.into()))?;
        let begun = clock.mono();
        loop {
            match self.child.try_wait().map_err(Error::machine(format!("waiting for {}", self.who)))? {
                // A JVM that was asked to end says so by 143.
                Some(status) if status.success() || status.code() == Some(143) => return Ok(()),
                Some(status) => {
                    return Err(Error::Ended { who: self.who.clone(), how: status.to_string(), said: self.said() });
                }
                None if clock.mono().saturating_sub(begun) > END_TIMEOUT => {
                    let how = format!("nothing but a kill, {} s after it was asked to", END_TIMEOUT.as_secs());
                    return Err(Error::Ended { who: self.who.clone(), how, said: self.said() });
                }
                None => std::thread::sleep(END_PAUSE),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended, as most have by now, is not there to be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn usage_is_read_from_what_the_system_says() {
        let stat = "17 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1 2";
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n";
        let expected = Usage { cpu: Duration::from_secs(2), peak_rss_bytes: 2 << 20 };
        assert_eq!(parse(stat, status), Some(expected));
        for (stat, status) in [("", status), ("17 (a) S 1 2", status), (stat, ""), (stat, "VmHWM: junk kB")] {
            assert_eq!(parse(stat, status), None, "{stat} {status}");
        }
    }

    fn started(script: &str) -> (Worker, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let worker = Worker::start("the shell".into(), command, &folder.path().join("log"), None).unwrap();
        (worker, folder)
    }

    #[test]
    fn a_worker_that_ends_by_itself_is_an_error_with_its_last_words() {
        let (mut worker, _folder) = started("echo no luck; exit 3");
        let error = loop {
            match worker.usage() {
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("no luck") && error.contains("status: 3"), "{error}");
    }

    #[test]
    fn a_worker_that_is_asked_to_ends() {
        let (mut worker, _folder) = started("trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
        while !worker.said().contains("up") {
            worker.runs().unwrap();
            std::thread::yield_now();
        }
        assert!(worker.usage().unwrap().peak_rss_bytes > 0);
        worker.stop(&SystemClock::new()).unwrap();
    }
}

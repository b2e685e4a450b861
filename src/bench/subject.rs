//! Who is measured: processes that do the same job.

use super::error::{Error, Result};
use super::job::{Filling, Job};
use super::process::Worker;
use super::scrape;
use super::stand::Stand;
use std::fmt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// Who does a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The engine: this binary, by `run`.
    Skald,
    /// Another engine.
    Peer,
    /// The client alone, which consumes and produces and does nothing else.
    Floor,
}

impl Subject {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skald => "skald",
            Self::Peer => "peer",
            Self::Floor => "floor",
        }
    }

    /// What its records are worth comparing with.
    pub(super) fn does_the_job(self) -> bool {
        self != Self::Floor
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the engine keeps states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In files.
    Disk,
    /// In memory.
    Memory,
}

impl Store {
    /// Its name in topology files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}

/// Another engine: a program in Java, as `benches/peers` has it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its jar, with the jars that it needs beside it in `lib`.
    pub jar: PathBuf,
    /// Flags for the JVM.
    pub jvm: Vec<String>,
    /// Properties for its client.
    pub properties: Vec<(String, String)>,
}

impl Peer {
    /// The jar of a Maven project, where there is one that is as new as its sources.
    pub fn built(folder: &Path) -> Option<PathBuf> {
        let jar = folder.join("target").join("peer.jar");
        let sources = newest(&folder.join("src")).max(newest(&folder.join("pom.xml")));
        (jar.exists() && newest(&jar) >= sources).then_some(jar)
    }

    /// Builds the jar of a Maven project, which may take minutes.
    pub fn build(folder: &Path) -> Result<PathBuf> {
        let jar = folder.join("target").join("peer.jar");
        let failed = |why: String| Error::Peer { folder: folder.to_owned(), why };
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "package"]).current_dir(folder).stdin(Stdio::null());
        let built = maven.output().map_err(|error| failed(format!("`mvn` cannot be run there: {error}")))?;
        match built.status.success() && jar.exists() {
            true => Ok(jar),
            false => Err(failed(format!("`mvn package` failed:\n{}", String::from_utf8_lossy(&built.stdout)))),
        }
    }
}

/// When something in a folder, or a file, was changed last; `None` where there is nothing.
fn newest(path: &Path) -> Option<SystemTime> {
    let Ok(entries) = std::fs::read_dir(path) else { return path.metadata().and_then(|file| file.modified()).ok() };
    entries.flatten().filter_map(|entry| newest(&entry.path())).max()
}

/// How workers are started, whoever they are.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) brokers: String,
    /// For librdkafka.
    pub(super) properties: Vec<(String, String)>,
    pub(super) threads: u16,
    pub(super) store: Store,
    pub(super) validate: bool,
    pub(super) compression: String,
    pub(super) commit_interval: Duration,
    pub(super) peer: Option<Peer>,
}

impl Launch {
    /// Starts a worker at a stand, with the states that it has left there.
    pub(super) fn worker(&self, stand: &Stand) -> Result<Worker> {
        let who = format!("`{}` of {}", stand.job, stand.subject);
        let port = (stand.subject == Subject::Skald).then(free_port).transpose()?;
        let command = match stand.subject {
            Subject::Skald => self.skald(stand, port)?,
            Subject::Peer => self.peer(stand),
            Subject::Floor => self.floor(stand),
        };
        Worker::start(who, command, &stand.log(), port)
    }

    /// This binary, with nothing of this process's settings but what is given. Values of properties may be secrets, so they go
    /// where other users of the machine do not see them.
    fn binary(&self) -> Command {
        // This very program, also where its file has been replaced since it was started.
        let mut command = Command::new("/proc/self/exe");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SKALD_")) {
            command.env_remove(name);
        }
        let compression = ("producer.compression.type".to_owned(), self.compression.clone());
        let properties = self.properties.iter().chain(std::iter::once(&compression));
        let properties: Vec<String> = properties.map(|(key, value)| format!("{key}={value}")).collect();
        command.env("SKALD_PROPERTY", properties.join("\n")).env("SKALD_LOG", "warn");
        command
    }

    fn skald(&self, stand: &Stand, port: Option<u16>) -> Result<Command> {
        let file = stand.folder.join("topology.yaml");
        let text = stand.job.topology(&Filling {
            topology: &stand.group,
            input: &stand.input,
            output: &stand.output,
            partitions: stand.partitions,
            store: self.store.name(),
            validate: self.validate,
        });
        std::fs::write(&file, text).map_err(Error::machine(format!("writing `{}`", file.display())))?;
        let mut command = self.binary();
        command.arg("run").arg(&file).args(["-b", &self.brokers, "--worker-id", "bench", "--create-topics"]);
        command.arg("--state-dir").arg(stand.state());
        command.arg("--threads").arg(self.threads.to_string()).arg("--commit-interval").arg(millis(self.commit_interval));
        command.arg("--listen").arg(port.map_or_else(|| "off".to_owned(), |port| format!("127.0.0.1:{port}")));
        Ok(command)
    }

    fn floor(&self, stand: &Stand) -> Command {
        let mut command = self.binary();
        command.args(["bench", "floor", "-b", &self.brokers]).args(["--group", &stand.group]);
        command.args(["--from", &stand.input, "--to", &stand.output, "--commit-interval", &millis(self.commit_interval)]);
        command
    }

    fn peer(&self, stand: &Stand) -> Command {
        let peer = self.peer.as_ref().expect("a stand of the peer is made where there is one");
        let mut command = Command::new("java");
        // As much as the engine says.
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").args(&peer.jvm).arg("-jar").arg(&peer.jar);
        let plain = [
            ("job", stand.job.name().to_owned()),
            ("brokers", self.brokers.clone()),
            ("application", stand.group.to_string()),
            ("input", stand.input.to_string()),
            ("output", stand.output.to_string()),
            ("state", stand.state().display().to_string()),
            ("threads", self.threads.to_string()),
            ("commit-ms", self.commit_interval.as_millis().to_string()),
            ("store", self.store.name().to_owned()),
            ("compression", self.compression.clone()),
        ];
        command.args(plain.map(|(name, value)| format!("{name}={value}")));
        command.args(peer.properties.iter().map(|(key, value)| format!("kafka.{key}={value}")));
        command
    }
}

/// States that a worker has restored: how many records of changelogs, in how many seconds.
pub(super) fn restored(worker: &Worker) -> Option<(u64, f64)> {
    match worker.port {
        Some(port) => {
            let page = scrape::metrics(port)?;
            let records = scrape::sum(&page, "skald_restored_records_total");
            // Tasks of a thread are restored side by side, so each takes as long as all.
            let tasks = scrape::sum(&page, "skald_restore_duration_seconds_count");
            Some((records as u64, scrape::sum(&page, "skald_restore_duration_seconds_sum") / tasks.max(1.0)))
        }
        None => said_restored(&worker.said()),
    }
}

/// `restored <records> <seconds>`
fn said_restored(said: &str) -> Option<(u64, f64)> {
    let line = said.lines().rev().find_map(|line| line.strip_prefix("restored "))?;
    let (records, seconds) = line.split_once(' ')?;
    Some((records.parse().ok()?, seconds.trim().parse().ok()?))
}

fn free_port() -> Result<u16> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(address.map_err(Error::machine("looking for a free port"))?.port())
}

fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// The jobs that a subject can do.
pub(super) fn can(subject: Subject, job: Job) -> bool {
    match subject {
        Subject::Skald => true,
        Subject::Peer => job.has_peer(),
        // A saga's records are few and lead to many: nothing to compare them with.
        Subject::Floor => job != Job::Saga,
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, said_restored};
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_peer_is_built_until_its_sources_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let dated = |name: &str, seconds| {
            let file = File::create(path(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        fs::create_dir_all(path("src/main")).unwrap();
        fs::create_dir_all(path("target")).unwrap();
        dated("pom.xml", 10);
        dated("src/main/Main.java", 20);
        assert_eq!(Peer::built(folder.path()), None, "there is no jar");
        for (seconds, is_built) in [(5, false), (15, false), (20, true), (30, true)] {
            dated("target/peer.jar", seconds);
            assert_eq!(Peer::built(folder.path()).is_some(), is_built, "{seconds}");
        }
    }

    #[test]
    fn a_peer_says_what_it_has_restored() {
        for (said, expected) in [
            ("x\nrestored 1000 0.5\ny", Some((1_000, 0.5))),
            ("restored 1 1.0\nrestored 2 0.25\n", Some((2, 0.25))),
            ("restored", None),
            ("restored x y", None),
            ("", None),
        ] {
            assert_eq!(said_restored(said), expected, "{said}");
        }
    }
}

//! A real Apache Kafka for the tests: fetched once, started on free ports, ended with the test process whatever ends that.
//!
//! One broker serves all tests of the binary ([`shared`]); a test that stops or kills its broker starts its own
//! ([`Cluster::start`]). `SKALD_TEST_BROKERS` names a running cluster to use in place of the shared one.

use skald::broker::kafka::{Kafka, Properties};
use skald::clock::{Clock, SystemClock};
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const KAFKA_VERSION: &str = "4.3.1";
const CLUSTER_ID: &str = "c2thbGQtdGVzdC1rYWZrYQ";
const START_TIMEOUT: Duration = Duration::from_secs(90);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The brokers that all tests share; `None` where there can be none, which has been said by then.
///
/// # Panics
/// Where there can be none and `CI=true`: there the tests must run.
pub(crate) fn shared() -> Option<&'static str> {
    static SHARED: OnceLock<Option<String>> = OnceLock::new();
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    SHARED
        .get_or_init(|| {
            show_log();
            if let Ok(brokers) = std::env::var("SKALD_TEST_BROKERS") {
                return Some(brokers);
            }
            if !can_start() {
                return None;
            }
            Some(CLUSTER.get_or_init(Cluster::start).brokers())
        })
        .as_deref()
}

/// `RUST_LOG=debug` shows what the clients say, `SKALD_TEST_DEBUG=cgrp,topic,fetch` what librdkafka does.
fn show_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into());
    let shown = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
    debug_assert!(shown.is_ok(), "asked for once");
}

/// Can a broker be started here? Says it loudly where not.
///
/// # Panics
/// Where not, and `CI=true`.
pub(crate) fn can_start() -> bool {
    let missing: Vec<&str> = ["java", "mvn"].into_iter().filter(|tool| !runs(tool)).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(" and ");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "`{missing}` is missing, and CI=true wants the tests with a broker");
    say(&format!(
        "\n*** `{missing}` is missing: NOTHING OF THE TESTS WITH A REAL KAFKA IS RUN. They need a JDK 17 and Maven, or the\n\
         *** address of a running cluster in SKALD_TEST_BROKERS.\n"
    ));
    false
}

fn runs(tool: &str) -> bool {
    Command::new(tool).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Past the capture of test output.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A broker of its own, in KRaft mode, with its data in a temporary folder.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    /// Where users with passwords are let in, if any are.
    guarded: Option<Guarded>,
    running: Option<Running>,
}

/// A listener for users with passwords, who may do what ACLs allow them. Whoever comes by the other one may do everything.
struct Guarded {
    port: u16,
    users: Vec<String>,
}

struct Running {
    broker: Child,
    _guard: Guard,
}

/// Kills a process, and removes a folder, as soon as this process is no more: its end of a pipe closes then.
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn over(pid: u32, folder: Option<&Path>) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "cat >/dev/null; kill -9 \"$1\" 2>/dev/null; [ -z \"$2\" ] || rm -rf \"$2\"", "guard"]);
        command.arg(pid.to_string()).arg(folder.unwrap_or(Path::new("")));
        // Its own group: the interrupt key must reach the tests only.
        let guard = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn();
        Self(guard.expect("`sh` is there"))
    }
}

impl Drop for Guard {
    /// What it guards has ended: it must not act on a number that somebody else may have by now.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Cluster {
    /// Starts a broker and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_for(&[])
    }

    /// The same with a listener for these users, by SASL's PLAIN without TLS; a user's password is the name.
    pub(crate) fn start_for(users: &[String]) -> Self {
        let folder = tempfile::Builder::new().prefix("skald-kafka-").tempdir().expect("a temporary folder").keep();
        for attempt in 1.. {
            let [port, controller, guarded] = free_ports();
            let guarded = (!users.is_empty()).then(|| Guarded { port: guarded, users: users.to_vec() });
            let mut cluster = Self { folder: folder.clone(), port, guarded, running: None };
            cluster.configure(controller);
            match cluster.launch() {
                Ok(()) => return cluster,
                // Somebody may have taken a port between the look and the start.
                Err(why) if attempt < 3 => say(&format!("starting Kafka once more: {why}")),
                Err(why) => panic!("{why}"),
            }
        }
        unreachable!("the third attempt panics")
    }

    /// `host:port` of the broker.
    pub(crate) fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` of the broker for its users.
    pub(crate) fn guarded(&self) -> String {
        format!("127.0.0.1:{}", self.guarded.as_ref().expect("it was started for users").port)
    }

    /// Creates ACLs, of the lines that `kafka/Acls.java` reads.
    pub(crate) fn allow(&self, acls: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/kafka/Acls.java");
        let mut command = java(source.to_str().expect("UTF-8"));
        let command = command.arg(self.brokers()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("`java` is there");
        let mut stdin = child.stdin.take().expect("it was asked for");
        stdin.write_all(acls.as_bytes()).expect("it is read to its end");
        drop(stdin);
        let done = child.wait_with_output().expect("a child of ours");
        assert!(done.status.success(), "creating ACLs failed:\n{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Stops the broker as an operator would.
    pub(crate) fn stop(&mut self) {
        self.end(rustix::process::Signal::TERM);
    }

    /// Kills the broker.
    pub(crate) fn kill(&mut self) {
        self.end(rustix::process::Signal::KILL);
    }

    /// Starts the stopped or killed broker again, with its data and its ports.
    pub(crate) fn restart(&mut self) {
        assert!(self.running.is_none(), "the broker runs");
        self.launch().expect("the broker starts again");
    }

    fn end(&mut self, signal: rustix::process::Signal) {
        let mut running = self.running.take().expect("the broker runs");
        signal_process(running.broker.id(), signal);
        assert!(wait_for_exit(&mut running.broker, STOP_TIMEOUT), "Kafka does not stop within {STOP_TIMEOUT:?}");
    }

    fn configure(&self, controller: u16) {
        let (port, logs) = (self.port, self.folder.join("logs"));
        let _ = fs::remove_dir_all(&logs);
        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             inter.broker.listener.name=PLAINTEXT\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             log.initial.task.delay.ms=86400000\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\n\
             share.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             group.consumer.min.session.timeout.ms=1000\n\
             group.consumer.session.timeout.ms=6000\n\
             group.consumer.min.heartbeat.interval.ms=100\n\
             group.consumer.heartbeat.interval.ms=500\n",
            logs.display()
        );
        if let Some(Guarded { port: guarded, users }) = &self.guarded {
            let users: String = users.iter().map(|user| format!(" user_{user}=\"{user}\"")).collect();
            text = text
                .replace(",CONTROLLER://", &format!(",SASL_PLAINTEXT://127.0.0.1:{guarded},CONTROLLER://"))
                .replace("advertised.listeners=", &format!("advertised.listeners=SASL_PLAINTEXT://127.0.0.1:{guarded},"));
            text += &format!(
                "listener.security.protocol.map=\
                 PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
                 sasl.enabled.mechanisms=PLAIN\n\
                 listener.name.sasl_plaintext.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required{users};\n\
                 authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                 super.users=User:ANONYMOUS\n"
            );
        }
        // Retention starts late: a test may write records of 1970, and the first check would delete them.
        fs::write(self.folder.join("server.properties"), text).expect("the temporary folder is writable");
        let format = java("kafka.tools.StorageTool")
            .args(["format", "-t", CLUSTER_ID, "-c"])
            .arg(self.folder.join("server.properties"))
            .output()
            .expect("`java` is there");
        assert!(format.status.success(), "formatting the storage failed:\n{}", String::from_utf8_lossy(&format.stderr));
    }

    fn launch(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.folder.join("broker.log")).expect("a log file");
        let mut broker = java("kafka.Kafka")
            .arg(self.folder.join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("`java` is there");
        let guard = Guard::over(broker.id(), Some(&self.folder));
        let clock = SystemClock::new();
        let kafka = Kafka::new(Properties::new(&self.brokers())).expect("no property is set");
        while kafka.contact().is_err() {
            if let Some(status) = broker.try_wait().expect("a child of ours") {
                return Err(format!("Kafka ended with {status}:\n{}", self.log_tail()));
            }
            if clock.mono() > START_TIMEOUT {
                let _ = broker.kill();
                let _ = broker.wait();
                return Err(format!("Kafka does not answer within {START_TIMEOUT:?}:\n{}", self.log_tail()));
            }
        }
        self.running = Some(Running { broker, _guard: guard });
        Ok(())
    }

    fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.folder.join("broker.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.broker.kill();
            let _ = running.broker.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn signal_process(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process has a number");
    rustix::process::kill_process(pid, signal).expect("a child of ours that was not waited for");
}

pub(crate) fn wait_for_exit(child: &mut Child, longest: Duration) -> bool {
    let clock = SystemClock::new();
    while clock.mono() < longest {
        if child.try_wait().expect("a child of ours").is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

pub(crate) fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.each_ref().map(|listener| listener.local_addr().expect("it is bound").port())
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
    command.arg("-cp").arg(jars().join("*")).arg(class);
    command
}

/// The folder of Kafka's jars, filled from Maven Central once.
fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
        let folder = target.join(format!("kafka-{KAFKA_VERSION}"));
        // One fetches, others wait; whoever comes later finds the folder.
        let lock = File::create(target.join(format!("kafka-{KAFKA_VERSION}.lock"))).expect("the target folder is writable");
        lock.lock().expect("the target folder takes locks");
        if !folder.exists() {
            fetch(&folder);
        }
        folder
    })
}

fn fetch(folder: &Path) {
    say(&format!("fetching Apache Kafka {KAFKA_VERSION} from Maven Central into {} (54 MB, once)", folder.display()));
    let part = folder.with_extension("part");
    let _ = fs::remove_dir_all(&part);
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broker/kafka/pom.xml");
    let mut maven = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", part.display()))
        .arg("-DincludeScope=runtime")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("`mvn` is there");
    let clock = SystemClock::new();
    while !wait_for_exit(&mut maven, Duration::from_secs(15)) {
        say(&format!("still fetching Kafka, {} s so far", clock.mono().as_secs()));
    }
    let status = maven.wait().expect("a child of ours");
    assert!(status.success(), "fetching Kafka from Maven Central failed: {status}");
    fs::rename(&part, folder).expect("the same folder's child");
}

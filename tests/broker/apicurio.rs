//! A real schema registry for the tests: Apicurio, fetched once, with its state in memory, and what tests ask of it directly.

use crate::cluster::{Guard, can_start, free_ports, say, wait_for_exit};
use skald::clock::{Clock, SystemClock};
use skald::registry::{Http, Registry, Settings};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

const VERSION: &str = "2.6.13.Final";
/// Some seconds on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The registry that tests share; `None` where there can be none.
pub(crate) fn shared() -> Option<&'static Apicurio> {
    static SHARED: OnceLock<Option<Apicurio>> = OnceLock::new();
    SHARED.get_or_init(|| can_start().then(Apicurio::start)).as_ref()
}

/// A running registry.
pub(crate) struct Apicurio {
    port: u16,
    process: Child,
    _guard: Guard,
    _folder: tempfile::TempDir,
}

impl Apicurio {
    /// Starts one and waits until it answers.
    fn start() -> Self {
        let port = free_ports()[0];
        let folder = tempfile::Builder::new().prefix("skald-apicurio-").tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("the folder is writable");
        let process = Command::new("java")
            .args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"])
            .arg(format!("-Dquarkus.http.port={port}"))
            .arg("-jar")
            .arg(runner())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .spawn()
            .expect("`java` is there");
        let guard = Guard::over(process.id(), None);
        let started = Self { port, process, _guard: guard, _folder: folder };
        let (clock, client) = (SystemClock::new(), started.client());
        while client.version("nothing", None).is_err_and(|error| !matches!(error, skald::registry::Error::Absent(_))) {
            let log = || fs::read_to_string(started._folder.path().join("log")).unwrap_or_default();
            assert!(clock.mono() < START_TIMEOUT, "Apicurio does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        started
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The address of its API.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    pub(crate) fn client(&self) -> Http {
        Http::new(Settings::at(self.url())).expect("a usable address")
    }

    /// New versions of a subject must be able to read what the one before wrote.
    pub(crate) fn be_backward(&self, subject: &str) {
        let address = format!("{}/config/{subject}", self.url());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let put = reqwest::Client::new().put(address).header("Content-Type", "application/json");
        let answer = runtime.block_on(put.body(r#"{"compatibility":"BACKWARD"}"#).send()).expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, taken from Maven Central and unpacked once.
fn runner() -> &'static Path {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    RUNNER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
        let folder = target.join(format!("apicurio-{VERSION}"));
        let lock = File::create(target.join(format!("apicurio-{VERSION}.lock"))).expect("the target folder is writable");
        lock.lock().expect("the target folder takes locks");
        if !folder.exists() {
            fetch(&folder);
        }
        folder.join(format!("apicurio-registry-app-{VERSION}-runner.jar"))
    })
}

fn fetch(folder: &Path) {
    say(&format!("fetching Apicurio Registry {VERSION} from Maven Central into {} (100 MB, once)", folder.display()));
    let part = folder.with_extension("part");
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).expect("the target folder is writable");
    let mut maven = Command::new("mvn")
        .args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"])
        .arg(format!("-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"))
        .arg(format!("-DoutputDirectory={}", part.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("`mvn` is there");
    assert!(wait_for_exit(&mut maven, Duration::from_secs(600)), "fetching Apicurio takes too long");
    assert!(maven.wait().expect("a child of ours").success(), "fetching Apicurio from Maven Central failed");
    let archive = part.join(format!("apicurio-registry-app-{VERSION}-all.tar.gz"));
    let unpacked = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&part).status().expect("`tar` is there");
    assert!(unpacked.success(), "unpacking Apicurio failed: {unpacked}");
    fs::remove_file(archive).expect("just written");
    fs::rename(&part, folder).expect("the same folder's child");
}

//! The built binary on a real Kafka: what a team would see that runs it.
//!
//! Every check here folds the input by rules of its own and reads the output with a plain read_committed consumer, so it shares
//! nothing with the engine that it judges.

mod avro;
mod ends;
mod faults;
mod framed;
mod healthy;
mod journey;
mod letters;
mod measure;
mod parking;
mod proto;
mod protocol;
mod purge;
mod redrive;
mod restore;
mod rights;
mod sagas;
mod shop;
mod sources;
mod timers;
mod totals;

use crate::tools::{Engine, unique};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for a worker to get somewhere: start, join, take over, restore. Nobody waits longer for others than their session
/// (6 s here) and what a dead one's open transaction holds up (10 s, and the broker's sweep of 10 s); the rest is a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// A copy of a sample with names that no other test uses.
struct Sample {
    /// Where the file, the logs and the state directories are.
    folder: tempfile::TempDir,
    file: PathBuf,
    /// Put before every name that was replaced.
    prefix: String,
    /// The topology's name, which is the group.
    topology: String,
}

impl Sample {
    /// Copies `topologies/<name>/<name>.yaml`; these topics get names of their own.
    fn of(name: &str, topics: &[&str]) -> Self {
        Self::named(name, topics, unique("t"))
    }

    /// The same for a sample that reads and writes the topics of another one.
    fn beside(other: &Self, name: &str, topics: &[&str]) -> Self {
        Self::named(name, topics, other.prefix.clone())
    }

    fn named(name: &str, topics: &[&str], prefix: String) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = root.join("topologies").join(name).join(format!("{name}.yaml"));
        let topology = format!("{prefix}-{name}");
        let mut text = fs::read_to_string(&source).expect("a sample");
        text = text.replace(&format!("topology: {name}\n"), &format!("topology: {topology}\n"));
        for topic in topics {
            text = text.replace(topic, &format!("{prefix}.{topic}"));
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Schemas are found relative to the file, so it lies as deep as the original does beside a link to them.
        let nested = folder.path().join("topologies").join(name);
        fs::create_dir_all(&nested).expect("a folder");
        std::os::unix::fs::symlink(root.join("schemas"), folder.path().join("schemas")).expect("a link");
        let file = nested.join(format!("{name}.yaml"));
        fs::write(&file, text).expect("the folder is writable");
        Self { folder, file, prefix, topology }
    }

    /// The same with another text in its file.
    fn with(self, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(&self.file).expect("just written");
        assert!(text.contains(from), "`{from}` is in the sample");
        fs::write(&self.file, text.replace(from, to)).expect("the folder is writable");
        self
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    /// A worker with a state directory of its own name.
    fn worker(&self, brokers: &str, id: &str) -> Engine {
        self.worker_with(brokers, id, id, &[])
    }

    fn worker_with(&self, brokers: &str, id: &str, state: &str, more: &[&str]) -> Engine {
        self.spawn(brokers, (id, state), more, &[])
    }

    /// A worker that dies at a labelled point: `c05:2` at the second passing of `c05`.
    fn worker_that_dies(&self, brokers: &str, id: &str, at: &str) -> Engine {
        self.spawn(brokers, (id, id), &[], &[("SKALD_CRASH_AT", at)])
    }

    fn spawn(&self, brokers: &str, (id, state): (&str, &str), more: &[&str], environment: &[(&str, &str)]) -> Engine {
        let file = self.file.to_str().expect("UTF-8");
        let state = self.folder.path().join(format!("state-{state}"));
        let state = state.to_str().expect("UTF-8");
        let mut arguments = vec!["run", file, "-b", brokers, "--worker-id", id, "--state-dir", state, "--create-topics"];
        arguments.extend(["--session-timeout", "6s"]);
        for (flag, usual) in [("--threads", "2"), ("--listen", "off")] {
            if !more.contains(&flag) {
                arguments.extend([flag, usual]);
            }
        }
        arguments.extend(more);
        Engine::spawn(self.folder.path(), &arguments, environment)
    }
}

/// Asks a worker to stop, and demands that it ends in order.
fn stop(mut worker: Engine) {
    worker.terminate();
    let status = worker.wait(LONG);
    assert!(status.success(), "a worker that is asked to stop ends with {status}; it said:\n{}", worker.output());
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}

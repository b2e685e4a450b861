//! What tests with a broker need beside the code under test: names, topics, records in, and readers that share no code with it.

use crate::cluster::{Guard, signal_process, wait_for_exit};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use skald::broker::kafka::{Kafka, Properties};
use skald::broker::{Broker, TopicSpec};
use skald::clock::{Clock, SystemClock};
use skald::record::{Header, Millis, Partition, Record, partition_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A name that no other test and no earlier run has used.
pub(crate) fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let draw = SystemClock::new().draw() & 0xffff_ffff;
    format!("{stem}-{draw:08x}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The cluster as the engine sees it.
pub(crate) fn kafka(brokers: &str) -> Kafka {
    let mut properties = Properties::new(brokers);
    if let Ok(contexts) = std::env::var("SKALD_TEST_DEBUG") {
        properties.set("debug", &contexts).expect("contexts that librdkafka knows");
    }
    Kafka::new(properties).expect("nothing that could be refused is set")
}

/// Waits for a condition.
///
/// # Panics
/// When it does not come true within `longest`.
pub(crate) fn wait_until(what: &str, longest: Duration, mut condition: impl FnMut() -> bool) {
    let clock = SystemClock::new();
    while !condition() {
        assert!(clock.mono() < longest, "not within {longest:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Creates a topic with one replica.
pub(crate) fn create_topic(brokers: &str, name: &str, partitions: u32, config: &[(&str, &str)]) {
    let config: BTreeMap<String, String> = config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    let spec = TopicSpec { name: name.into(), partitions, replication: Some(1), config };
    kafka(brokers).admin().expect("an admin client").create(&[spec]).expect("the topic is created");
}

/// A record to be produced; its partition follows from its key, as with Kafka's Java client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Input {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The present moment where there is none.
    pub(crate) timestamp: Option<Millis>,
}

impl Input {
    pub(crate) fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), value: value.into(), ..Self::default() }
    }
}

/// Produces records in order and waits until all are acknowledged.
pub(crate) fn produce(brokers: &str, topic: &str, partitions: u32, inputs: impl IntoIterator<Item = Input>) {
    let clock = SystemClock::new();
    let mut producer = kafka(brokers).producer().expect("a producer");
    for input in inputs {
        let record = Record {
            topic: topic.into(),
            partition: partition_of(input.key.as_bytes(), partitions),
            timestamp: input.timestamp.unwrap_or_else(|| clock.wall()),
            headers: input.headers.iter().map(|(name, value)| Header::text(name.as_str(), value)).collect(),
            key: Some(input.key.into_bytes().into()),
            value: Some(input.value.into_bytes().into()),
        };
        producer.send(&record).expect("the record is taken");
    }
    producer.flush(Duration::from_secs(30)).expect("every record is acknowledged");
}

/// A record as the independent reader has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) partition: Partition,
    pub(crate) offset: i64,
    pub(crate) timestamp: Millis,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Output {
    pub(crate) fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// Everything that a read_committed consumer finds in a topic now, by partition and offset. Straight from librdkafka: nothing of
/// the engine decides what is found.
///
/// A commit returns before its markers are written, so this waits until nothing is undecided; behind a transaction that stays
/// open it gives up waiting after some seconds.
pub(crate) fn read_committed(brokers: &str, topic: &str) -> Vec<Output> {
    let clock = SystemClock::new();
    let (stable, all) = (client(brokers, "read_committed"), client(brokers, "read_uncommitted"));
    let metadata = stable.fetch_metadata(Some(topic), LOOKUP).expect("metadata");
    for partition in metadata.topics()[0].partitions() {
        let end = |client: &BaseConsumer| client.fetch_watermarks(topic, partition.id(), LOOKUP).expect("watermarks").1;
        while end(&stable) < end(&all) && clock.mono() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    read(brokers, topic, "read_committed")
}

/// The same, with what is in open and aborted transactions.
pub(crate) fn read_uncommitted(brokers: &str, topic: &str) -> Vec<Output> {
    read(brokers, topic, "read_uncommitted")
}

/// Longest wait of a look-up.
const LOOKUP: Duration = Duration::from_secs(10);

fn client(brokers: &str, isolation: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "skald-test-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", isolation)
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer")
}

fn read(brokers: &str, topic: &str, isolation: &str) -> Vec<Output> {
    let consumer = client(brokers, isolation);
    let metadata = consumer.fetch_metadata(Some(topic), LOOKUP).expect("metadata");
    let mut open: BTreeSet<Partition> = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    let mut list = TopicPartitionList::new();
    for partition in &open {
        list.add_partition_offset(topic, *partition, Offset::Beginning).expect("a place");
    }
    consumer.assign(&list).expect("an assignment");
    let clock = SystemClock::new();
    let mut found = Vec::new();
    while !open.is_empty() {
        assert!(clock.mono() < Duration::from_secs(60), "`{topic}` does not end: {open:?} are open");
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found.push(Output {
                partition: message.partition(),
                offset: message.offset(),
                timestamp: message.timestamp().to_millis().unwrap_or(-1),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: message.headers().map_or_else(Vec::new, |headers| {
                    headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
                }),
            }),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => panic!("reading `{topic}`: {error}"),
            None => {}
        }
    }
    found.sort_by_key(|output| (output.partition, output.offset));
    found
}

/// The first and the next offset of each partition.
pub(crate) fn spans(brokers: &str, topic: &str, partitions: u32) -> Vec<(i64, i64)> {
    let client = client(brokers, "read_committed");
    let span = |partition| client.fetch_watermarks(topic, partition, LOOKUP).expect("watermarks");
    (0..partitions as Partition).map(span).collect()
}

/// Committed offset and metadata of each partition, as a read_committed client sees them; waits for open transactions.
pub(crate) fn committed(brokers: &str, group: &str, topic: &str, partitions: u32) -> Vec<Option<(i64, String)>> {
    // A cluster that has just started has no coordinator for a while.
    let clock = SystemClock::new();
    loop {
        if let Some(found) = try_committed(brokers, group, topic, partitions) {
            return found;
        }
        assert!(clock.mono() < Duration::from_secs(60), "committed offsets of `{group}` cannot be read");
    }
}

/// The same; nothing where the cluster does not say within some seconds.
pub(crate) fn try_committed(brokers: &str, group: &str, topic: &str, partitions: u32) -> Option<Vec<Option<(i64, String)>>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, partitions as Partition - 1);
    let answer = consumer.committed_offsets(list, Duration::from_secs(5)).ok()?;
    let mut found: Vec<_> = answer.elements_for_topic(topic).into_iter().collect();
    found.sort_by_key(|one| one.partition());
    let place = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
    Some(found.iter().map(|one| place(one.offset()).map(|offset| (offset, one.metadata().to_owned()))).collect())
}

fn binary() -> PathBuf {
    let binary = std::env::var("SKALD_TEST_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_skald").into());
    fs::canonicalize(binary).expect("the binary is there")
}

/// Runs the built binary to its end: exit code, stdout, stderr.
pub(crate) fn tool(arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().expect("the binary was built");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (done.status.code().expect("it ends by itself"), text(done.stdout), text(done.stderr))
}

/// The built binary as a child process; killed when this value goes, or with the test process.
pub(crate) struct Engine {
    child: Child,
    output: PathBuf,
    _guard: Guard,
}

impl Engine {
    /// Starts `skald` with these arguments and these environment variables in `folder`; its output goes to a file there.
    /// `SKALD_TEST_BINARY` names another build of it.
    pub(crate) fn spawn(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let output = folder.join(format!("{}.log", unique("skald")));
        let log = File::create(&output).expect("the folder is writable");
        let child = Command::new(binary())
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .spawn()
            .expect("the binary was built");
        let guard = Guard::over(child.id(), None);
        Self { child, output, _guard: guard }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop.
    pub(crate) fn terminate(&self) {
        signal_process(self.child.id(), rustix::process::Signal::TERM);
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(&mut self) {
        signal_process(self.child.id(), rustix::process::Signal::KILL);
        self.child.wait().expect("a child of ours");
    }

    /// Stops it where it stands; [`Engine::resume`] lets it go on.
    pub(crate) fn freeze(&self) {
        signal_process(self.child.id(), rustix::process::Signal::STOP);
    }

    /// Lets it go on after [`Engine::freeze`].
    pub(crate) fn resume(&self) {
        signal_process(self.child.id(), rustix::process::Signal::CONT);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within `longest`.
    pub(crate) fn wait(&mut self, longest: Duration) -> ExitStatus {
        let ended = wait_for_exit(&mut self.child, longest);
        assert!(ended, "`skald` does not end within {longest:?}; it said:\n{}", self.output());
        self.child.wait().expect("a child of ours")
    }

    /// Has it ended?
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// What it has said so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Flags and settings of `skald bench`.

use super::parse;
use super::{Cluster, Error, flags, tools};
use crate::bench::{Job, Pace};
use crate::record::Text;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// `skald bench`
#[derive(Clone, Debug)]
pub enum Bench {
    /// Measures on a cluster.
    Measure(Box<Measure>),
    /// Compares two results.
    Compare {
        /// The results.
        files: Box<[PathBuf; 2]>,
        /// Form of the answer.
        output: BenchFormat,
    },
    /// Puts results into one small table.
    Overview(Vec<PathBuf>),
    /// Prints the topology of a job.
    Topology(Job),
    /// Passes records on until it is told to stop: what `floor` is measured by.
    Floor {
        /// Where Kafka is.
        cluster: Cluster,
        /// From where to where.
        route: FloorRoute,
    },
}

/// What to measure, and with what.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Where Kafka is.
    pub cluster: Cluster,
    /// The jobs.
    pub jobs: Vec<Job>,
    /// The rest.
    pub load: Load,
    /// Constant rate after the drain.
    pub pace: Pace,
    /// The other engine, where there is one to compare with.
    pub peer: Option<PeerFlags>,
    /// Is the client alone measured too?
    pub floor: bool,
}

/// `skald bench` as it is written.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchFlags {
    /// Measure jobs on a cluster: as fast as possible, then at a constant rate
    Run {
        /// Jobs to measure [default: all]; windows and joins are not in the engine
        #[arg(value_name = "JOB", value_parser = job)]
        jobs: Vec<Job>,
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::Cluster,
        /// The rest.
        #[command(flatten)]
        load: Box<Load>,
        /// Also measure the client alone, which consumes and produces and does nothing else
        #[arg(long, env = "SKALD_FLOOR")]
        floor: bool,
    },
    /// Compare two results, or measure the engine and another one in turns on the same cluster
    Compare {
        /// Two results of `-o json`; with `--peer` the jobs to measure [default: passthrough, map, aggregate]
        #[arg(value_name = "FILE|JOB")]
        what: Vec<String>,
        /// The other engine
        #[arg(long, env = "SKALD_PEER", value_enum, requires = "brokers")]
        peer: Option<PeerName>,
        /// How it is built and run.
        #[command(flatten)]
        peer_flags: PeerFlags,
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::MaybeCluster,
        /// The rest.
        #[command(flatten)]
        load: Box<Load>,
    },
    /// Put results into one small table, for a page
    Overview {
        /// Results of `--save`, in the order of the rows
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Print the topology file of a job, to be run by itself
    Topology {
        /// The job
        #[arg(value_name = "JOB", value_parser = job)]
        job: Job,
    },
    /// Pass records on and do nothing else: what `--floor` measures
    #[command(hide = true)]
    Floor {
        /// Where Kafka is.
        #[command(flatten)]
        cluster: flags::Cluster,
        /// From where to where.
        #[command(flatten)]
        route: FloorRoute,
    },
}

/// What is measured with.
#[derive(Clone, Debug, Args)]
pub struct Load {
    /// Records to drain [default: 1,000,000; `saga`: 50,000]
    #[arg(short = 'n', long, env = "SKALD_RECORDS", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub records: Option<u64>,

    /// Customers, whose ids are the keys; of `saga` each order is one
    #[arg(long, env = "SKALD_KEYS", value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub keys: u64,

    /// How unequal customers are: exponent of Zipf's law; 0: all alike
    #[arg(long, env = "SKALD_SKEW", value_name = "EXPONENT", default_value_t = 0.0, value_parser = skew)]
    pub skew: f64,

    /// Size of a record's value
    #[arg(long, env = "SKALD_BYTES", value_name = "N", default_value_t = 330, value_parser = clap::value_parser!(u32).range(1..=900_000))]
    pub bytes: u32,

    /// Partitions of all topics
    #[arg(long, env = "SKALD_PARTITIONS", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub partitions: u32,

    /// Compression of inputs and outputs
    #[arg(long, env = "SKALD_COMPRESSION", value_enum, default_value_t = Compression::None)]
    pub compression: Compression,

    /// What the records follow from: the same seed, the same records
    #[arg(long, env = "SKALD_SEED", value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Threads of each worker
    #[arg(long, env = "SKALD_THREADS", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// Where states are kept
    #[arg(long, env = "SKALD_STORE", value_enum, default_value_t = StoreName::Disk)]
    pub store: StoreName,

    /// Let the engine check messages against their schemas, which the peer does not
    #[arg(long, env = "SKALD_VALIDATE")]
    pub validate: bool,

    /// Commit at the latest after so long
    #[arg(long, env = "SKALD_COMMIT_INTERVAL", value_name = "TIME", default_value = "100ms", value_parser = parse::time)]
    pub commit_interval: Duration,

    /// Records a second to measure latency at: a number, `half` of what the slowest drained, or `off`
    #[arg(long, env = "SKALD_RATE", value_name = "N", default_value = "half", value_parser = pace)]
    pub rate: Pace,

    /// How long to send at that rate; the first fifth does not count
    #[arg(long, env = "SKALD_DURATION", value_name = "TIME", default_value = "20s", value_parser = parse::time)]
    pub duration: Duration,

    /// Also start each worker again, with its states and without
    #[arg(long, env = "SKALD_RESTART")]
    pub restart: bool,

    /// Rounds; from two on there are intervals
    #[arg(long, env = "SKALD_REPEAT", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub repeat: u32,

    /// Process of a broker on this machine, whose CPU is told too; may be given several times
    #[arg(long, env = "SKALD_BROKER_PID", value_name = "PID", value_delimiter = '\n')]
    pub broker_pid: Vec<u32>,

    /// Also write the times as HdrHistogram's plotters read them; job and engine go before its ending
    #[arg(long, env = "SKALD_HGRM", value_name = "FILE")]
    pub hgrm: Option<PathBuf>,

    /// Where workers keep their states, in a folder of its own [default: the system's temporary folder]
    #[arg(long, env = "SKALD_DIR", value_name = "DIR")]
    pub dir: Option<PathBuf>,

    /// Leave topics, groups and folders as they are at the end
    #[arg(long, env = "SKALD_KEEP")]
    pub keep: bool,

    /// Form of the results
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = BenchFormat::Table)]
    pub output: BenchFormat,

    /// Also write the results to this file, as `-o json` has them
    #[arg(long, env = "SKALD_SAVE", value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// How the other engine is built and run.
#[derive(Clone, Debug, Args)]
pub struct PeerFlags {
    /// Folder of the peer's Maven project, which is built where it is not yet
    #[arg(long, env = "SKALD_PEER_DIR", value_name = "DIR", default_value = "benches/peers/kafka-streams")]
    pub peer_dir: PathBuf,

    /// The peer's jar, with the jars that it needs in `lib` beside it [default: that of the folder]
    #[arg(long, env = "SKALD_PEER_JAR", value_name = "FILE")]
    pub peer_jar: Option<PathBuf>,

    /// Flags of the peer's JVM
    #[arg(
        long,
        env = "SKALD_PEER_JVM",
        value_name = "FLAGS",
        default_value = "-Xms256m -Xmx512m -XX:+UseG1GC",
        allow_hyphen_values = true
    )]
    pub peer_jvm: String,

    /// A property for the peer's client; may be given several times
    #[arg(long, env = "SKALD_PEER_PROPERTY", value_name = "KEY=VALUE", value_delimiter = '\n', hide_env_values = true, value_parser = parse::pair)]
    pub peer_property: Vec<(String, String)>,
}

/// Another engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PeerName {
    /// Kafka Streams, exactly once, with states in RocksDB
    KafkaStreams,
}

/// From where to where.
#[derive(Clone, Debug, Args)]
pub struct FloorRoute {
    /// Consumer group
    #[arg(long, env = "SKALD_GROUP", value_name = "NAME")]
    pub group: Text,

    /// Topic that is read
    #[arg(long, env = "SKALD_FROM", value_name = "TOPIC")]
    pub from: Text,

    /// Topic that is written
    #[arg(long, env = "SKALD_TO", value_name = "TOPIC")]
    pub to: Text,

    /// Commit at the latest after so long
    #[arg(long, env = "SKALD_COMMIT_INTERVAL", value_name = "TIME", default_value = "100ms", value_parser = parse::time)]
    pub commit_interval: Duration,
}

/// Form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchFormat {
    /// For people
    Table,
    /// For programs, and for `bench compare`
    Json,
    /// For pages
    Markdown,
}

/// How batches of records are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "Kafka's names")]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// Where states are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreName {
    /// In files
    Disk,
    /// In memory
    Memory,
}

impl Compression {
    /// As the clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

fn job(text: &str) -> Result<Job, String> {
    Job::from_name(text).ok_or_else(|| {
        let all = Job::ALL.map(Job::name).join(", ");
        match text {
            "window" | "join" => format!("windows and joins are not in this build; there are {all}"),
            _ => format!("there are {all}"),
        }
    })
}

fn pace(text: &str) -> Result<Pace, String> {
    match text {
        "off" => Ok(Pace::Off),
        "half" => Ok(Pace::Half),
        _ => {
            let rate = text.parse().ok().filter(|rate| (1..=10_000_000).contains(rate));
            rate.map(Pace::At).ok_or_else(|| "write `half`, `off`, or records a second: `20000`".into())
        }
    }
}

fn skew(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
    exponent.ok_or_else(|| "write a number from 0 to 10: `0.99`".into())
}

pub(super) fn bench(raw: BenchFlags) -> Result<Bench, Error> {
    match raw {
        BenchFlags::Run { jobs, cluster, load, floor } => {
            let jobs = if jobs.is_empty() { Job::ALL.to_vec() } else { once(jobs) };
            measure(cluster.into(), jobs, *load, None, floor)
        }
        BenchFlags::Compare { what, peer: None, load, .. } => match <[String; 2]>::try_from(what) {
            Ok(files) => Ok(Bench::Compare { files: Box::new(files.map(PathBuf::from)), output: load.output }),
            Err(_) => Err(Error::Conflict("name two results to compare, or another engine with --peer".into())),
        },
        BenchFlags::Compare { what, peer: Some(PeerName::KafkaStreams), peer_flags, cluster, load } => {
            let cluster = tools::maybe(cluster).ok_or_else(|| Error::Conflict("--peer needs --brokers".into()))?;
            let named: Result<Vec<Job>, String> = what.iter().map(|name| job(name)).collect();
            let named = named.map_err(Error::Conflict)?;
            if let Some(job) = named.iter().find(|job| !job.has_peer()) {
                return Err(Error::Conflict(format!("the peer does not do `{job}`")));
            }
            let all = || Job::ALL.into_iter().filter(|job| job.has_peer()).collect();
            let jobs = if named.is_empty() { all() } else { once(named) };
            measure(cluster, jobs, *load, Some(peer_flags), true)
        }
        BenchFlags::Overview { files } => Ok(Bench::Overview(files)),
        BenchFlags::Topology { job } => Ok(Bench::Topology(job)),
        BenchFlags::Floor { cluster, route } => Ok(Bench::Floor { cluster: cluster.into(), route }),
    }
}

/// Each job once, in the order given.
fn once(jobs: Vec<Job>) -> Vec<Job> {
    let mut seen = Vec::new();
    jobs.into_iter().for_each(|job| {
        if !seen.contains(&job) {
            seen.push(job);
        }
    });
    seen
}

fn measure(cluster: Cluster, jobs: Vec<Job>, load: Load, peer: Option<PeerFlags>, floor: bool) -> Result<Bench, Error> {
    super::between("duration", load.duration, Duration::from_millis(100))?;
    super::between("commit-interval", load.commit_interval, Duration::from_millis(1))?;
    let pace = load.rate;
    Ok(Bench::Measure(Box::new(Measure { cluster, jobs, load, pace, peer, floor })))
}

#[cfg(test)]
mod tests {
    use super::{Bench, Job, Pace, job, once, pace, skew};
    use crate::config::{Action, Error, read};

    fn bench(line: &str) -> Result<Bench, String> {
        match read(["skald", "bench"].into_iter().chain(line.split(' '))) {
            Ok(settings) => match settings.action {
                Action::Bench(bench) => Ok(bench),
                other => panic!("{other:?}"),
            },
            Err(Error::Conflict(why)) => Err(why),
            Err(Error::Flags(error)) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_is_measured_follows_from_the_command() {
        let measured = |line: &str| match bench(line).unwrap() {
            Bench::Measure(measure) => (measure.jobs.clone(), measure.peer.is_some(), measure.floor),
            other => panic!("{other:?}"),
        };
        let peers = vec![Job::Passthrough, Job::Map, Job::Aggregate];
        assert_eq!(measured("run -b k:1"), (Job::ALL.to_vec(), false, false));
        assert_eq!(measured("run saga map saga -b k:1 --floor"), (vec![Job::Saga, Job::Map], false, true));
        assert_eq!(measured("compare --peer kafka-streams -b k:1"), (peers, true, true));
        assert_eq!(measured("compare --peer kafka-streams -b k:1 map"), (vec![Job::Map], true, true));
        assert!(matches!(bench("compare a.json b.json"), Ok(Bench::Compare { .. })));
        for (line, why) in [
            ("compare a.json", "name two results"),
            ("compare --peer kafka-streams -b k:1 saga", "the peer does not do `saga`"),
            ("compare --peer kafka-streams map", "--brokers"),
            ("run join -b k:1", "not in this build"),
            ("run -b k:1 --duration 1ms", "--duration must lie between"),
            ("run map", "--brokers"),
        ] {
            let said = bench(line).unwrap_err();
            assert!(said.contains(why), "{line}: {said}");
        }
    }

    #[test]
    fn jobs_are_named_each_once() {
        assert_eq!(job("map"), Ok(Job::Map));
        assert!(job("window").unwrap_err().contains("not in this build"));
        assert!(job("x").unwrap_err().contains("passthrough, map"));
        assert_eq!(once(vec![Job::Map, Job::Saga, Job::Map]), [Job::Map, Job::Saga]);
    }

    #[test]
    fn rates_and_skews_have_bounds() {
        for (text, expected) in [("off", Some(Pace::Off)), ("half", Some(Pace::Half)), ("500", Some(Pace::At(500)))] {
            assert_eq!(pace(text).ok(), expected, "{text}");
        }
        for text in ["0", "-1", "x", "1e3", "99999999999"] {
            assert!(pace(text).is_err(), "{text}");
        }
        for (text, expected) in [("0", Some(0.0)), ("0.99", Some(0.99)), ("-1", None), ("NaN", None), ("11", None)] {
            assert_eq!(skew(text).ok(), expected, "{text}");
        }
    }
}

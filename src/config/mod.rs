//! Flags and environment, turned once into checked [`Settings`].
//!
//! [`flags`] is what a user may write; [`Settings`] is what the commands work with: every default filled in, every text parsed,
//! every bound checked. Nothing behind this room reads the environment. What a file says is `topology`'s matter.
//!
//! Every flag has an environment twin, `SKALD_` and the flag's long name in capitals (`--state-dir`: `SKALD_STATE_DIR`). A flag
//! that may be given several times takes one entry per line there.

mod bench;
mod exit;
mod flags;
mod letters;
mod parse;
mod reference;
mod tools;
mod topics;

#[cfg(test)]
mod tests;

pub use bench::{Bench, BenchFlags, BenchFormat, Compression, FloorRoute, Load, Measure, PeerFlags, PeerName, StoreName};
pub use exit::Exit;
pub use flags::{
    CheckFormat, Command, Completions, Eval, Explain, Flags, GraphFormat, GroupProtocol, Guarantee, LetterHeaders, LogFormat,
    New, OutputFormat, Schema, SchemaName, Template,
};
pub use letters::{Change, Picked, Spoken};
pub use parse::{Brokers, Credentials, Listen, Param, Place, Property, Since, credentials_of};
pub use reference::flags_page;
pub use tools::{Against, Apply, Plan};
pub use topics::{Begin, Topic, TopicCat, TopicCreate, TopicFlags, TopicList, TopicProduce, TopicWish};

use crate::saga::{Deed, Status};
use clap::Parser;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// What to do, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How to log.
    pub log: Log,
    /// Where colours go.
    pub color: Colors,
    /// The command.
    pub action: Action,
}

/// Which streams get colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Stdout.
    pub out: bool,
    /// Stderr.
    pub talk: bool,
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Lines for people or for programs.
    pub format: LogFormat,
    /// Directives of `tracing-subscriber`: `info`, `skald=debug`.
    pub filter: String,
}

/// A command with its settings.
#[derive(Clone, Debug)]
pub enum Action {
    /// `skald check`
    Check(Box<Check>),
    /// `skald explain`
    Explain(Explain),
    /// `skald eval`
    Eval(Box<Eval>),
    /// `skald new`
    New(New),
    /// `skald schema`
    Schema(Schema),
    /// `skald completions`
    Completions(Completions),
    /// `skald graph`
    Graph(Graph),
    /// `skald dlq`
    Dlq(Box<Dlq>),
    /// `skald topic`
    Topic(Box<Topic>),
    /// `skald test`
    Test(Test),
    /// `skald plan`
    Plan(Box<Plan>),
    /// `skald apply`
    Apply(Box<Apply>),
    /// `skald run`
    Run(Box<Run>),
    /// `skald saga`
    Saga(Box<Saga>),
    /// `skald bench`
    Bench(Bench),
    /// `skald dev`
    Dev(Box<Dev>),
}

/// `skald check`
#[derive(Clone, Debug)]
pub struct Check {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Overrides of params.
    pub params: Vec<Param>,
    /// For people or for one of several programs.
    pub output: CheckFormat,
    /// Warnings are findings too.
    pub deny_warnings: bool,
    /// What to do about findings that can be mended.
    pub fix: Mend,
    /// The cluster that is asked too.
    pub online: Option<Cluster>,
    /// Where the schema registry is, if it is asked.
    pub registry: Option<SchemaRegistry>,
}

/// What `skald check` does about findings that can be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Tells them.
    No,
    /// Shows the changes.
    Show,
    /// Changes the files.
    Write,
}

/// `skald graph`
#[derive(Clone, Debug)]
pub struct Graph {
    /// The file.
    pub path: PathBuf,
    /// Overrides of params.
    pub params: Vec<Param>,
    /// Form of the picture.
    pub output: GraphFormat,
}

/// A Kafka cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Brokers to connect to first.
    pub brokers: Brokers,
    /// Properties for librdkafka, in the order given.
    pub properties: Vec<Property>,
}

/// A schema registry.
#[derive(Clone, Debug)]
pub struct SchemaRegistry {
    /// Its address.
    pub url: String,
    /// Who asks; nobody where nothing was said.
    pub credentials: Option<Credentials>,
    /// File of certificates that are trusted besides the system's.
    pub authorities: Option<PathBuf>,
}

impl From<flags::SchemaRegistry> for Option<SchemaRegistry> {
    fn from(raw: flags::SchemaRegistry) -> Self {
        let (credentials, authorities) = (raw.schema_registry_auth, raw.schema_registry_ca);
        raw.schema_registry.map(|url| SchemaRegistry { url, credentials, authorities })
    }
}

/// `skald dlq`
#[derive(Clone, Debug)]
pub struct Dlq {
    /// Where Kafka is.
    pub cluster: Cluster,
    /// The topic of dead letters.
    pub topic: String,
    /// For people, or JSON.
    pub output: OutputFormat,
    /// What is wanted of it.
    pub wish: DlqWish,
}

/// What is wanted of dead letters.
#[derive(Clone, Debug)]
pub enum DlqWish {
    /// How many, by cause.
    Stats {
        /// Condition, as written.
        filter: Option<String>,
        /// Only newer ones.
        since: Option<Since>,
        /// Those too that were acted on.
        all: bool,
    },
    /// The newest.
    List {
        /// Condition, as written.
        filter: Option<String>,
        /// Only newer ones.
        since: Option<Since>,
        /// At most so many.
        limit: usize,
        /// Those too that were acted on.
        all: bool,
    },
    /// The one at a place.
    Show(Place),
    /// To be taken once more.
    Replay {
        /// Which.
        picked: Picked,
        /// Letters in a second, at most.
        rate: Option<f64>,
        /// What was replayed so often is left out.
        max_replays: u32,
        /// Nothing is written.
        dry_run: bool,
        /// What a dry run runs.
        file: Option<PathBuf>,
        /// What is said with it.
        spoken: Spoken,
    },
    /// One, changed.
    Edit {
        /// Where it lies.
        place: Place,
        /// How.
        change: Change,
        /// Whose schemas hold.
        file: Option<PathBuf>,
        /// It may have been acted on before.
        again: bool,
        /// Refused is what was replayed so often.
        max_replays: u32,
        /// What is said with it.
        spoken: Spoken,
    },
    /// Nothing is to be done about them.
    Discard {
        /// Which.
        picked: Picked,
        /// What is said with it.
        spoken: Spoken,
    },
}

/// `skald saga`
#[derive(Clone, Debug)]
pub struct Saga {
    /// Where Kafka is.
    pub cluster: Cluster,
    /// The topology.
    pub topology: String,
    /// Which of its sagas; without it the only one.
    pub saga: Option<String>,
    /// For people, or JSON.
    pub output: OutputFormat,
    /// What is wanted of it.
    pub wish: SagaWish,
}

/// What is wanted of a saga.
#[derive(Clone, Debug)]
pub enum SagaWish {
    /// The instances that changed last.
    List {
        /// Condition, as written.
        filter: Option<String>,
        /// Only of these; of none any.
        statuses: Vec<Status>,
        /// Only those that are stuck.
        stuck: bool,
        /// At most so many.
        limit: usize,
    },
    /// One instance.
    Get(String),
    /// Something is done to one.
    Act {
        /// The instance.
        id: String,
        /// What.
        deed: Deed,
        /// Why.
        reason: Option<String>,
        /// By whom.
        by: Option<String>,
        /// The step that it must stand at.
        step: Option<String>,
    },
    /// How many are not over.
    Drain,
}

/// `skald test`
#[derive(Clone, Debug)]
pub struct Test {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Only cases whose name, or whose file's name, holds this.
    pub filter: Option<String>,
    /// Again whenever a file changes.
    pub watch: bool,
    /// Write what came into the files.
    pub update: bool,
    /// Where to write JUnit's XML.
    pub junit: Option<PathBuf>,
    /// Tell what was not tried.
    pub coverage: bool,
    /// For people, or JSON.
    pub output: OutputFormat,
    /// Cases at a time.
    pub threads: usize,
    /// Where the schema registry is that the topologies name schemas of.
    pub registry: Option<SchemaRegistry>,
}

/// `skald run`
#[derive(Clone, Debug)]
pub struct Run {
    /// Files and folders.
    pub paths: Vec<PathBuf>,
    /// Overrides of params.
    pub params: Vec<Param>,
    /// Where Kafka is.
    pub cluster: Cluster,
    /// Where the schema registry is.
    pub registry: Option<SchemaRegistry>,
    /// Worker threads per topology.
    pub threads: usize,
    /// Stable id of this worker; else one is generated and kept in the state directory.
    pub worker: Option<String>,
    /// Where state is kept.
    pub state_dir: PathBuf,
    /// Also create the topics that the file declares.
    pub create_topics: bool,
    /// Keep the membership at the end.
    pub stay: bool,
    /// Where HTTP listens.
    pub listen: Listen,
    /// What a commit promises.
    pub guarantee: Guarantee,
    /// How the group behaves.
    pub group: Group,
    /// Committed records of repartition topics are deleted this often.
    pub purge_interval: Duration,
    /// An orderly stop may take so long.
    pub stop_timeout: Duration,
    /// Whose names the headers of dead letters have.
    pub letters: LetterHeaders,
}

/// Times of the consumer group and its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// How workers share partitions.
    pub protocol: GroupProtocol,
    /// After so long without a heartbeat a worker is taken for dead.
    pub session_timeout: Duration,
    /// After so long without a poll a worker leaves the group.
    pub max_poll_interval: Duration,
    /// The cluster aborts a transaction that is open for longer.
    pub transaction_timeout: Duration,
    /// An epoch is committed when its first record is this old.
    pub commit_interval: Duration,
}

/// `skald dev`
#[derive(Clone, Debug)]
pub struct Dev {
    /// A topology of the user's; else the sample.
    pub path: Option<PathBuf>,
    /// Overrides of params.
    pub params: Vec<Param>,
    /// Where the schema registry is that the topology names schemas of.
    pub registry: Option<SchemaRegistry>,
    /// Keep topics and state here; else everything is gone at the end.
    pub data_dir: Option<PathBuf>,
    /// Records to generate per second; `None`: as many as are taken.
    pub rate: Option<u32>,
    /// What the traffic follows from.
    pub seed: u64,
    /// Stop by itself after so long.
    pub duration: Option<Duration>,
    /// For people, or one JSON object as the last line.
    pub output: OutputFormat,
    /// Worker threads.
    pub threads: usize,
    /// Where HTTP listens.
    pub listen: Listen,
}

/// Why a command line is not taken, or what it asked to be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// From clap: help, version, or a wrong flag.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// Flags that do not go together.
    #[error("{0}")]
    Conflict(String),
}

/// Longest of the times that may be set.
const TIME_MAX: Duration = Duration::from_hours(24);

/// Writes the completions of a shell.
pub fn completions(shell: clap_complete::Shell, out: &mut dyn std::io::Write) {
    use clap::CommandFactory as _;
    clap_complete::generate(shell, &mut Flags::command(), "skald", out);
}

/// Reads a command line and the environment.
pub fn read(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Settings, Error> {
    let terminals = Colors { out: std::io::stdout().is_terminal(), talk: std::io::stderr().is_terminal() };
    resolve(Flags::try_parse_from(arguments)?, terminals)
}

fn resolve(flags: Flags, terminals: Colors) -> Result<Settings, Error> {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let color = match flags.color {
        flags::Color::Always => Colors { out: true, talk: true },
        flags::Color::Auto if wanted => terminals,
        flags::Color::Auto | flags::Color::Never => Colors { out: false, talk: false },
    };
    // A screen that is drawn again and again has no room for the usual notices.
    let draws = matches!(&flags.command, Command::Dev(dev) if dev.output == OutputFormat::Table && terminals.talk);
    // Workers that die because a case wants it complain of nothing that its author does not know.
    let usual = match &flags.command {
        Command::Test(_) => "off",
        // What a cluster refuses is what was asked for, and comes as findings.
        Command::Check(_) => "error,librdkafka=off,rdkafka=off",
        _ if draws => "warn",
        _ => "info",
    };
    let filter = flags.log.unwrap_or_else(|| usual.into());
    let log = Log { format: flags.log_format, filter };
    let action = match flags.command {
        Command::Check(raw) => Action::Check(Box::new(Check {
            paths: raw.paths,
            params: raw.params.set,
            output: raw.output,
            deny_warnings: raw.deny_warnings,
            fix: match (raw.fix, raw.dry_run) {
                (false, _) => Mend::No,
                (true, true) => Mend::Show,
                (true, false) => Mend::Write,
            },
            online: tools::maybe(raw.cluster).filter(|_| raw.online),
            registry: raw.registry.into(),
        })),
        Command::Graph(raw) => Action::Graph(Graph { path: raw.path, params: raw.params.set, output: raw.output }),
        Command::Explain(explain) => Action::Explain(explain),
        Command::Dlq(raw) => Action::Dlq(Box::new(dlq(raw))),
        Command::Topic(raw) => Action::Topic(Box::new(topics::topic(*raw))),
        Command::Saga(raw) => Action::Saga(Box::new(saga(raw))),
        Command::Eval(eval) => Action::Eval(eval),
        Command::New(new) => Action::New(new),
        Command::Schema(schema) => Action::Schema(schema),
        Command::Completions(completions) => Action::Completions(completions),
        Command::Test(raw) => Action::Test(test(raw)?),
        Command::Plan(raw) => Action::Plan(Box::new(tools::plan(*raw)?)),
        Command::Apply(raw) => Action::Apply(Box::new(tools::apply(*raw))),
        Command::Run(raw) => Action::Run(Box::new(run(*raw)?)),
        Command::Bench(raw) => Action::Bench(bench::bench(*raw)?),
        Command::Dev(raw) => Action::Dev(Box::new(dev(*raw)?)),
    };
    Ok(Settings { log, color, action })
}

impl From<flags::Cluster> for Cluster {
    fn from(raw: flags::Cluster) -> Self {
        Self { brokers: raw.brokers, properties: raw.property }
    }
}

fn dlq(raw: flags::Dlq) -> Dlq {
    let (letters, wish) = match raw {
        flags::Dlq::Stats(flags::DlqStats { letters, chosen, all }) => {
            (letters, DlqWish::Stats { filter: chosen.filter, since: chosen.since, all })
        }
        flags::Dlq::List(flags::DlqList { letters, chosen, all, limit }) => {
            let limit = usize::try_from(limit).expect("a flag's range is far below");
            (letters, DlqWish::List { filter: chosen.filter, since: chosen.since, limit, all })
        }
        flags::Dlq::Show(flags::DlqShow { letters, place }) => (letters, DlqWish::Show(place)),
        flags::Dlq::Replay(raw) => {
            let letters::DlqReplay { letters, chosen, pick, rate, max_replays, dry_run, file, spoken } = *raw;
            let picked = letters::picked(chosen, pick);
            (letters, DlqWish::Replay { picked, rate, max_replays, dry_run, file, spoken })
        }
        flags::Dlq::Edit(raw) => {
            let letters::DlqEdit { place, letters, value, set, key, file, again, max_replays, spoken } = *raw;
            let change = Change { value, set, key };
            (letters, DlqWish::Edit { place, change, file, again, max_replays, spoken })
        }
        flags::Dlq::Discard(letters::DlqDiscard { letters, chosen, pick, everything: _, reason, by }) => {
            let spoken = Spoken { reason: Some(reason), by };
            (letters, DlqWish::Discard { picked: letters::picked(chosen, pick), spoken })
        }
    };
    let topic = letters.topic.or_else(|| letters.topology.map(|name| format!("{name}.dlq")));
    let topic = topic.expect("the flags want the one or the other");
    Dlq { cluster: letters.cluster.into(), topic, output: letters.output, wish }
}

fn saga(raw: flags::Saga) -> Saga {
    let act = |said: flags::Said, deed: Deed, reason: Option<String>| {
        let flags::Said { one, step, by } = said;
        (one.of, SagaWish::Act { id: one.id, deed, reason, by, step })
    };
    let (of, wish) = match raw {
        flags::Saga::List(flags::SagaList { of, filter, status, stuck, limit }) => {
            let limit = usize::try_from(limit).expect("a flag's range is far below");
            (of, SagaWish::List { filter, statuses: status, stuck, limit })
        }
        flags::Saga::Get(one) => (one.of, SagaWish::Get(one.id)),
        flags::Saga::Retry(raw) => act(raw.said, Deed::Retry, raw.reason),
        flags::Saga::Skip(raw) => act(raw.said, Deed::Skip, Some(raw.reason)),
        flags::Saga::Resolve(raw) => act(raw.said, Deed::Resolve, raw.reason),
        flags::Saga::Abort(raw) => act(raw.said, Deed::Abort, raw.reason),
        flags::Saga::Drain(raw) => (raw.of, SagaWish::Drain),
    };
    Saga { cluster: of.cluster.into(), topology: of.topology, saga: of.saga, output: of.output, wish }
}

fn test(raw: flags::Test) -> Result<Test, Error> {
    if raw.watch && raw.update {
        return Err(Error::Conflict("--watch and --update do not go together: what is written would run again".into()));
    }
    Ok(Test {
        paths: raw.paths,
        filter: raw.filter,
        watch: raw.watch,
        update: raw.update,
        junit: raw.junit,
        coverage: raw.coverage,
        output: raw.output,
        threads: threads(raw.threads),
        registry: raw.registry.into(),
    })
}

fn run(raw: flags::Run) -> Result<Run, Error> {
    let group = Group {
        protocol: raw.group_protocol,
        session_timeout: between("session-timeout", raw.session_timeout, Duration::from_secs(1))?,
        max_poll_interval: between("max-poll-interval", raw.max_poll_interval, Duration::from_secs(1))?,
        transaction_timeout: between("transaction-timeout", raw.transaction_timeout, Duration::from_secs(1))?,
        commit_interval: between("commit-interval", raw.commit_interval, Duration::from_millis(1))?,
    };
    if group.max_poll_interval < group.session_timeout {
        return Err(Error::Conflict("--max-poll-interval must not be shorter than --session-timeout".into()));
    }
    if group.protocol == GroupProtocol::Consumer && raw.guarantee == Guarantee::AtLeastOnce {
        // The lease of an owner is measured by the session.
        let reason = "without transactions a worker must know the session, which is the cluster's own";
        return Err(Error::Conflict(format!("--group-protocol consumer does not go with --guarantee at_least_once: {reason}")));
    }
    if group.protocol == GroupProtocol::Consumer && raw.stay {
        return Err(Error::Conflict("--group-protocol consumer does not go with --stay: no place is kept".into()));
    }
    if group.transaction_timeout <= group.commit_interval {
        return Err(Error::Conflict("--transaction-timeout must be longer than --commit-interval".into()));
    }
    Ok(Run {
        paths: raw.paths,
        params: raw.params.set,
        cluster: raw.cluster.into(),
        registry: raw.registry.into(),
        threads: threads(raw.threads),
        worker: raw.worker_id,
        state_dir: raw.state_dir,
        create_topics: raw.create_topics,
        stay: raw.stay,
        listen: raw.listen,
        guarantee: raw.guarantee,
        group,
        purge_interval: between("purge-interval", raw.purge_interval, Duration::from_millis(100))?,
        stop_timeout: between("stop-timeout", raw.stop_timeout, Duration::from_secs(1))?,
        letters: raw.dead_letter_headers,
    })
}

fn dev(raw: flags::Dev) -> Result<Dev, Error> {
    Ok(Dev {
        path: raw.path,
        params: raw.params.set,
        registry: raw.registry.into(),
        data_dir: raw.data_dir,
        rate: (raw.rate > 0).then_some(raw.rate),
        seed: raw.seed,
        duration: raw.duration.map(|time| between("duration", time, Duration::from_millis(100))).transpose()?,
        output: raw.output,
        threads: threads(raw.threads),
        listen: raw.listen,
    })
}

fn between(flag: &str, time: Duration, least: Duration) -> Result<Duration, Error> {
    if (least..=TIME_MAX).contains(&time) {
        return Ok(time);
    }
    Err(Error::Conflict(format!("--{flag} must lie between {least:?} and {} hours", TIME_MAX.as_secs() / 3600)))
}

/// As many as asked for, else one per core.
fn threads(asked: Option<u16>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from)
}

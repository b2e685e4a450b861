//! What may be written on the command line: the one definition that parsing, `--help` and the reference page come from.

use super::bench::BenchFlags;
use super::letters::{DlqDiscard, DlqEdit, DlqReplay};
use super::parse::{self, Brokers, Credentials, Listen, Param, Place, Property, Since};
use super::topics::TopicFlags;
use crate::saga::Status;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// Stream processing on Kafka alone: aggregates and pipelines from one YAML file, exactly once.
///
/// Try it without Kafka: `skald dev`.
#[derive(Clone, Debug, Parser)]
#[command(name = "skald", version, max_term_width = 120, propagate_version = true, after_help = AFTER)]
pub struct Flags {
    /// What to log: `info`, `warn,skald::runtime=debug` [default: info; dev on a terminal: warn]
    #[arg(long, env = "SKALD_LOG", global = true, value_name = "FILTER", value_parser = parse::filter)]
    pub log: Option<String>,

    /// Log lines for people or for programs
    #[arg(long, env = "SKALD_LOG_FORMAT", global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Colours; `NO_COLOR` turns `auto` off
    #[arg(long, env = "SKALD_COLOR", global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "Every flag can be set in the environment: `--state-dir` is SKALD_STATE_DIR; what may be given several times \
                     takes one per line there.\n\nExit codes: 0 done, 1 failed, 2 usage, 3 findings, 4 differences, 5 not found, \
                     6 broker unreachable.";

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Find what is wrong with topology files, all at once
    Check(Box<Check>),
    /// Tell what a diagnostic means, with an example and how to mend it
    Explain(Explain),
    /// Try an expression on values, or several line by line
    Eval(Box<Eval>),
    /// Begin a topology: files to change, with schemas
    New(New),
    /// The JSON Schema of a file's language, for editors
    Schema(Schema),
    /// A script that completes commands and flags in a shell
    Completions(Completions),
    /// Draw what a topology file plans
    Graph(Graph),
    /// Run the scenarios of topologies: given, when, then
    Test(Test),
    /// Show what applying topology files would create and change, and what that means for their states
    Plan(Box<Plan>),
    /// Create the topics of topology files and record their definitions on a cluster
    Apply(Box<Apply>),
    /// Run topologies as a worker of their consumer groups
    Run(Box<Run>),
    /// Look through dead letters
    #[command(subcommand)]
    Dlq(Dlq),
    /// List, create, read and fill topics
    #[command(subcommand)]
    Topic(Box<TopicFlags>),
    /// Look at sagas and act on them
    #[command(subcommand)]
    Saga(Saga),
    /// Measure the engine on a cluster, and compare what was measured
    #[command(subcommand)]
    Bench(Box<BenchFlags>),
    /// Run a topology, or the sample, with generated traffic and without Kafka
    Dev(Box<Dev>),
}

/// A Kafka cluster.
#[derive(Clone, Debug, Args)]
pub struct Cluster {
    /// Kafka to connect to first; several are separated by commas
    #[arg(short, long, env = "SKALD_BROKERS", value_name = "HOST:PORT", value_parser = parse::brokers)]
    pub brokers: Brokers,

    /// Set a property of librdkafka; those that the engine owns are refused with the reason
    #[arg(short = 'X', long, env = "SKALD_PROPERTY", value_name = "KEY=VALUE", value_delimiter = '\n', hide_env_values = true, value_parser = parse::property)]
    pub property: Vec<Property>,
}

/// A schema registry.
#[derive(Clone, Debug, Args)]
pub struct SchemaRegistry {
    /// Schema registry, with the path of its API: `http://registry:8081`, `https://apicurio:8443/apis/ccompat/v7`
    #[arg(long, env = "SKALD_SCHEMA_REGISTRY", value_name = "URL")]
    pub schema_registry: Option<String>,

    /// Who asks the schema registry: `basic:USER:PASSWORD`, `bearer:TOKEN`, or `file:PATH` of a file with one of these
    #[arg(long, env = "SKALD_SCHEMA_REGISTRY_AUTH", value_name = "AUTH", hide_env_values = true, requires = "schema_registry", value_parser = parse::credentials)]
    pub schema_registry_auth: Option<Credentials>,

    /// Certificates in PEM that are trusted besides the system's when the schema registry is asked by https
    #[arg(long, env = "SKALD_SCHEMA_REGISTRY_CA", value_name = "FILE", requires = "schema_registry")]
    pub schema_registry_ca: Option<PathBuf>,
}

/// Overrides of params.
#[derive(Clone, Debug, Args)]
pub struct Params {
    /// Set a param: `params.x=1`. The value is read as YAML would read it
    #[arg(long, env = "SKALD_SET", value_name = "params.NAME=VALUE", value_delimiter = '\n', hide_env_values = true, value_parser = parse::param)]
    pub set: Vec<Param>,
}

/// A cluster, for commands that do something without one too.
#[derive(Clone, Debug, Args)]
pub struct MaybeCluster {
    /// Kafka to connect to first; several are separated by commas
    #[arg(short, long, env = "SKALD_BROKERS", value_name = "HOST:PORT", value_parser = parse::brokers)]
    pub brokers: Option<Brokers>,

    /// Set a property of librdkafka; those that the engine owns are refused with the reason
    #[arg(short = 'X', long, env = "SKALD_PROPERTY", value_name = "KEY=VALUE", value_delimiter = '\n', hide_env_values = true, value_parser = parse::property)]
    pub property: Vec<Property>,
}

/// `skald plan`
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// Topology files, or folders to search for them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Overrides.
    #[command(flatten)]
    pub params: Params,

    /// The cluster, if any.
    #[command(flatten)]
    pub cluster: MaybeCluster,

    /// The schema registry, if any.
    #[command(flatten)]
    pub registry: SchemaRegistry,

    /// What to compare with: `cluster` (what was applied there), or another topology file [default: the cluster, where one is named]
    #[arg(long, env = "SKALD_AGAINST", value_name = "OTHER")]
    pub against: Option<PathBuf>,

    /// Form of the plan
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = OutputFormat::Table)]
    pub output: OutputFormat,

    /// Exit with 4 where something would change, with 1 where it would be refused
    #[arg(long, env = "SKALD_EXIT_CODE")]
    pub exit_code: bool,
}

/// `skald apply`
#[derive(Clone, Debug, Args)]
pub struct Apply {
    /// Topology files, or folders to search for them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Overrides.
    #[command(flatten)]
    pub params: Params,

    /// The cluster.
    #[command(flatten)]
    pub cluster: Cluster,

    /// The schema registry, if any.
    #[command(flatten)]
    pub registry: SchemaRegistry,

    /// Take a change that asks for a rebuild of this node for new records only; its states stay as they are
    #[arg(long, env = "SKALD_KEEP", value_name = "NODE", value_delimiter = '\n')]
    pub keep: Vec<String>,

    /// Let go of the state of this node, which is gone from the file; its topics stay
    #[arg(long, env = "SKALD_DISCARD", value_name = "NODE", value_delimiter = '\n')]
    pub discard: Vec<String>,
}

/// `skald check`
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Topology files, pages in Markdown with topologies in blocks of `yaml`, or folders to search for both; what has no
    /// `skald: 1` is passed over there
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub params: Params,

    /// Form of the findings
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = CheckFormat::Text)]
    pub output: CheckFormat,

    /// Exit with 3 for warnings too
    #[arg(long, env = "SKALD_DENY_WARNINGS")]
    pub deny_warnings: bool,

    /// Mend in the files what can be mended for certain, then tell what is left
    #[arg(long, env = "SKALD_FIX")]
    pub fix: bool,

    /// With `--fix`: show what would be changed and change nothing
    #[arg(long, env = "SKALD_DRY_RUN", requires = "fix")]
    pub dry_run: bool,

    /// Also ask the cluster: its topics, what they are like, and the rights of a worker. Nothing is changed or written
    #[arg(long, env = "SKALD_ONLINE", requires = "brokers")]
    pub online: bool,

    #[command(flatten)]
    pub registry: SchemaRegistry,

    #[command(flatten)]
    pub cluster: MaybeCluster,
}

/// `skald explain`
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// Code of a diagnostic, as `E105` [default: the list of all]
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// `skald eval`
#[derive(Clone, Debug, Args)]
pub struct Eval {
    /// Expression [default: lines of stdin, at a terminal with an editor]
    #[arg(value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub expression: Option<String>,

    /// JSON for `data`: a file, a pipe, or `-` for stdin
    #[arg(long, env = "SKALD_DATA", value_name = "FILE")]
    pub data: Option<PathBuf>,

    /// JSON for `state`, likewise
    #[arg(long, env = "SKALD_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,

    /// JSON of a message with its envelope, likewise, for `event` and `data`
    #[arg(long, env = "SKALD_EVENT", value_name = "FILE")]
    pub event: Option<PathBuf>,

    /// Text for `key`
    #[arg(long, env = "SKALD_KEY", value_name = "KEY")]
    pub key: Option<String>,

    /// Entry of `headers`
    #[arg(long, env = "SKALD_HEADER", value_name = "NAME=VALUE", value_delimiter = '\n', value_parser = parse::pair)]
    pub header: Vec<(String, String)>,

    /// Values of `params`
    #[command(flatten)]
    pub params: Params,

    /// Take the text as a template: `{…}` is filled in, `=` computes
    #[arg(long, env = "SKALD_AS_TEMPLATE")]
    pub as_template: bool,

    /// Keep the lines of the editor in this file
    #[arg(long, env = "SKALD_HISTORY", value_name = "FILE")]
    pub history: Option<PathBuf>,
}

/// `skald new`
#[derive(Clone, Debug, Args)]
pub struct New {
    /// Folder to make; an empty one may be there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// What to begin with
    #[arg(long, env = "SKALD_TEMPLATE", value_enum, default_value_t = Template::Orders)]
    pub template: Template,
}

/// What a new topology begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Orders that are placed, cancelled and totalled: contracts, an aggregate, a pipeline
    Orders,
    /// A room that is held, paid and booked, or given back: a saga with its participants, scenarios and a README
    Saga,
    /// A head and nothing else
    Empty,
}

/// `skald schema`
#[derive(Clone, Debug, Args)]
pub struct Schema {
    /// Which one
    #[arg(value_enum, value_name = "NAME")]
    pub name: SchemaName,
}

/// Schemas that editors use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// Topology files: JSON Schema, draft 7
    Topology,
    /// Scenario files of `skald test`, likewise
    Scenario,
}

/// `skald completions`
#[derive(Clone, Debug, Args)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `skald graph`
#[derive(Clone, Debug, Args)]
pub struct Graph {
    /// Topology file
    #[arg(value_name = "PATH")]
    pub path: PathBuf,

    #[command(flatten)]
    pub params: Params,

    /// Form of the picture
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = GraphFormat::Mermaid)]
    pub output: GraphFormat,
}

/// `skald dlq`
#[derive(Clone, Debug, Subcommand)]
pub enum Dlq {
    /// Count dead letters by cause
    Stats(DlqStats),
    /// List dead letters, the newest first
    List(DlqList),
    /// Show one dead letter whole
    Show(DlqShow),
    /// Let nodes take what failed once more, each letter once
    Replay(Box<DlqReplay>),
    /// Change one letter's record and replay it
    Edit(Box<DlqEdit>),
    /// Say that nothing is to be done about letters
    Discard(DlqDiscard),
}

/// Which dead letters.
#[derive(Clone, Debug, Args)]
pub struct Letters {
    /// Topology whose dead letters are meant
    #[arg(value_name = "TOPOLOGY", required_unless_present = "topic")]
    pub topology: Option<String>,

    /// Topic of dead letters, also of Kafka Connect, Kafka Streams or Spring [default: TOPOLOGY.dlq]
    #[arg(long, env = "SKALD_TOPIC", value_name = "TOPIC", conflicts_with = "topology")]
    pub topic: Option<String>,

    #[command(flatten)]
    pub cluster: Cluster,

    /// Form of the answer
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = OutputFormat::Table)]
    pub output: OutputFormat,
}

/// Which of them.
#[derive(Clone, Debug, Args)]
pub struct Chosen {
    /// Only those for which this expression holds: `error.code == 'SCHEMA_INVALID' && data.total > 100`
    #[arg(long = "where", env = "SKALD_WHERE", value_name = "EXPR")]
    pub filter: Option<String>,

    /// Only those that failed within this time: `2h`, or since this moment: `2026-11-21T08:00:00Z`
    #[arg(long, env = "SKALD_SINCE", value_name = "TIME", value_parser = parse::since)]
    pub since: Option<Since>,
}

/// `skald dlq stats`
#[derive(Clone, Debug, Args)]
pub struct DlqStats {
    #[command(flatten)]
    pub letters: Letters,

    #[command(flatten)]
    pub chosen: Chosen,

    /// Those too that were replayed or discarded
    #[arg(long, env = "SKALD_ALL")]
    pub all: bool,
}

/// `skald dlq list`
#[derive(Clone, Debug, Args)]
pub struct DlqList {
    #[command(flatten)]
    pub letters: Letters,

    #[command(flatten)]
    pub chosen: Chosen,

    /// Those too that were replayed or discarded, with what became of them
    #[arg(long, env = "SKALD_ALL")]
    pub all: bool,

    /// At most so many
    #[arg(short = 'n', long, env = "SKALD_LIMIT", value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `skald dlq show`
#[derive(Clone, Debug, Args)]
pub struct DlqShow {
    /// Where it lies, as `list` tells it: partition and offset
    #[arg(value_name = "PLACE", value_parser = parse::place)]
    pub place: Place,

    #[command(flatten)]
    pub letters: Letters,
}

/// `skald saga`
#[derive(Clone, Debug, Subcommand)]
pub enum Saga {
    /// List instances, those that changed last first
    List(SagaList),
    /// Show one instance with its timeline
    Get(SagaOne),
    /// Try again now what failed, or rests after a failure
    Retry(SagaAct),
    /// Pass over what failed or waits; what it did, if anything, stays
    Skip(SagaSkip),
    /// Say that what failed or waits was done by hand
    Resolve(SagaAct),
    /// End an instance: undone first, if it still can be
    Abort(SagaAct),
    /// Count the instances that are not over, by the definition that they began with
    Drain(SagaDrain),
}

/// Which saga.
#[derive(Clone, Debug, Args)]
pub struct OfSaga {
    /// Its topology
    #[arg(value_name = "TOPOLOGY")]
    pub topology: String,

    /// Which one, where the topology has several
    #[arg(long, env = "SKALD_SAGA", value_name = "NAME")]
    pub saga: Option<String>,

    #[command(flatten)]
    pub cluster: Cluster,

    /// Form of the answer
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = OutputFormat::Table)]
    pub output: OutputFormat,
}

/// `skald saga list`
#[derive(Clone, Debug, Args)]
pub struct SagaList {
    #[command(flatten)]
    pub of: OfSaga,

    /// Only those for which this expression holds: `saga.step == 'charge' && ctx.time - saga.startedAt > duration('1h')`
    #[arg(long = "where", env = "SKALD_WHERE", value_name = "EXPR")]
    pub filter: Option<String>,

    /// Only those of this status; may be given several times
    #[arg(long, env = "SKALD_STATUS", value_name = "STATUS", value_delimiter = '\n', value_parser = parse::status)]
    pub status: Vec<Status>,

    /// Only those that wait for an operator, or are overdue where nothing is undone any more
    #[arg(long, env = "SKALD_STUCK")]
    pub stuck: bool,

    /// At most so many
    #[arg(short = 'n', long, env = "SKALD_LIMIT", value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
}

/// `skald saga drain`
#[derive(Clone, Debug, Args)]
pub struct SagaDrain {
    #[command(flatten)]
    pub of: OfSaga,
}

/// `skald saga get`
#[derive(Clone, Debug, Args)]
pub struct SagaOne {
    #[command(flatten)]
    pub of: OfSaga,

    /// Its id
    #[arg(value_name = "ID")]
    pub id: String,
}

/// What is said with an act.
#[derive(Clone, Debug, Args)]
pub struct Said {
    #[command(flatten)]
    pub one: SagaOne,

    /// Refuse the act where the instance stands elsewhere by then [default: the step that it stands at now]
    #[arg(long, env = "SKALD_STEP", value_name = "NAME")]
    pub step: Option<String>,

    /// Who does this, for the history
    #[arg(long, env = "SKALD_BY", value_name = "NAME")]
    pub by: Option<String>,
}

/// `skald saga retry`, `resolve` and `abort`
#[derive(Clone, Debug, Args)]
pub struct SagaAct {
    #[command(flatten)]
    pub said: Said,

    /// Why, for the history
    #[arg(long, env = "SKALD_REASON", value_name = "TEXT")]
    pub reason: Option<String>,
}

/// `skald saga skip`
#[derive(Clone, Debug, Args)]
pub struct SagaSkip {
    #[command(flatten)]
    pub said: Said,

    /// Why, for the history
    #[arg(long, env = "SKALD_REASON", value_name = "TEXT")]
    pub reason: String,
}

/// `skald test`
#[derive(Clone, Debug, Args)]
pub struct Test {
    /// Scenario files, topology files (for the scenarios beside them), or folders to search for scenario files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Only cases whose name, or whose file's name, holds this text
    #[arg(short, long, env = "SKALD_FILTER", value_name = "TEXT")]
    pub filter: Option<String>,

    /// Run again whenever a file changes
    #[arg(short, long, env = "SKALD_WATCH")]
    pub watch: bool,

    /// Write what came into the files, where something else was expected, or nothing
    #[arg(short, long, env = "SKALD_UPDATE")]
    pub update: bool,

    /// Also write the results to this file, as JUnit's XML
    #[arg(long, env = "SKALD_JUNIT", value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// Also tell which handlers, rules and branches no case has tried
    #[arg(long, env = "SKALD_COVERAGE")]
    pub coverage: bool,

    /// Form of the results
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = OutputFormat::Table)]
    pub output: OutputFormat,

    #[command(flatten)]
    pub registry: SchemaRegistry,

    /// Cases at a time [default: one per core]
    #[arg(long, env = "SKALD_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
}

/// `skald run`
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Topology files, or folders to search for them; each topology is its own consumer group
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    #[command(flatten)]
    pub params: Params,

    #[command(flatten)]
    pub cluster: Cluster,

    #[command(flatten)]
    pub registry: SchemaRegistry,

    /// Worker threads per topology [default: one per core]
    #[arg(long, env = "SKALD_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Name of this worker, unique in the group and the same after a restart [default: generated, kept in the state directory]
    #[arg(long, env = "SKALD_WORKER_ID", value_name = "ID", value_parser = parse::worker_id)]
    pub worker_id: Option<String>,

    /// Where state is kept
    #[arg(long, env = "SKALD_STATE_DIR", value_name = "DIR", default_value = ".skald")]
    pub state_dir: PathBuf,

    /// Also create the topics that the file declares
    #[arg(long, env = "SKALD_CREATE_TOPICS")]
    pub create_topics: bool,

    /// At the end keep the place in the group: a restart within the session disturbs nobody
    #[arg(long, env = "SKALD_STAY")]
    pub stay: bool,

    /// Address of the HTTP endpoints, or `off`
    #[arg(long, env = "SKALD_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:7070", value_parser = parse::listen)]
    pub listen: Listen,

    /// What a commit promises
    #[arg(long, env = "SKALD_GUARANTEE", value_enum, default_value_t = Guarantee::ExactlyOnce)]
    pub guarantee: Guarantee,

    /// How the workers of a topology share its partitions; all of them alike
    #[arg(long, env = "SKALD_GROUP_PROTOCOL", value_enum, default_value_t = GroupProtocol::Classic)]
    pub group_protocol: GroupProtocol,

    /// Without a heartbeat for so long a worker is taken for dead; with the `consumer` protocol the cluster says how long
    #[arg(long, env = "SKALD_SESSION_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse::time)]
    pub session_timeout: Duration,

    /// A worker that is busy with one record for longer leaves the group
    #[arg(long, env = "SKALD_MAX_POLL_INTERVAL", value_name = "TIME", default_value = "60s", value_parser = parse::time)]
    pub max_poll_interval: Duration,

    /// The cluster ends a transaction that is open for longer
    #[arg(long, env = "SKALD_TRANSACTION_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse::time)]
    pub transaction_timeout: Duration,

    /// Commit at the latest when the first record of an epoch is this old
    #[arg(long, env = "SKALD_COMMIT_INTERVAL", value_name = "TIME", default_value = "100ms", value_parser = parse::time)]
    pub commit_interval: Duration,

    /// Whose names the headers of dead letters have that tell cause and origin
    #[arg(long, env = "SKALD_DEAD_LETTER_HEADERS", value_enum, default_value_t = LetterHeaders::Streams)]
    pub dead_letter_headers: LetterHeaders,

    /// Delete committed records of repartition topics this often
    #[arg(long, env = "SKALD_PURGE_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = parse::time)]
    pub purge_interval: Duration,

    /// Give an orderly stop up after so long; nothing is lost by it
    #[arg(long, env = "SKALD_STOP_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = parse::time)]
    pub stop_timeout: Duration,
}

/// `skald dev`
#[derive(Clone, Debug, Args)]
pub struct Dev {
    /// Topology file [default: the shop that comes with the engine]
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,

    #[command(flatten)]
    pub params: Params,

    #[command(flatten)]
    pub registry: SchemaRegistry,

    /// Keep topics and state in this folder [default: memory, gone at the end]
    #[arg(long, env = "SKALD_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Records to generate per second; 0: as many as are taken
    #[arg(long, env = "SKALD_RATE", value_name = "N", default_value_t = 200)]
    pub rate: u32,

    /// What the generated traffic follows from: the same seed, the same records
    #[arg(long, env = "SKALD_SEED", value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Stop by itself after so long
    #[arg(long, env = "SKALD_DURATION", value_name = "TIME", value_parser = parse::time)]
    pub duration: Option<Duration>,

    /// `json`: no summary, one JSON object as the last line
    #[arg(short, long, env = "SKALD_OUTPUT", value_enum, default_value_t = OutputFormat::Table)]
    pub output: OutputFormat,

    /// Worker threads [default: one per core]
    #[arg(long, env = "SKALD_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,

    /// Address of the HTTP endpoints, or `off`
    #[arg(long, env = "SKALD_LISTEN", value_name = "HOST:PORT", default_value = "127.0.0.1:7070", value_parser = parse::listen)]
    pub listen: Listen,
}

/// Form of what goes to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Guarantee {
    /// A record counts once, whatever crashes: outputs, state and offsets are one transaction
    #[value(name = "exactly_once")]
    ExactlyOnce,
    /// No transactions: after a crash records may count again
    #[value(name = "at_least_once")]
    AtLeastOnce,
}

/// How the workers of a topology share its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupProtocol {
    /// The workers agree among themselves
    Classic,
    /// The cluster assigns, one partition at a time (KIP-848): needs Kafka 4.3
    Consumer,
}

/// Whose names the headers of dead letters have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LetterHeaders {
    /// Kafka Streams: `__streams.errors.*`
    Streams,
    /// Kafka Connect: `__connect.errors.*`
    Connect,
    /// Spring for Apache Kafka: `kafka_dlt-*`
    Spring,
}

/// Form of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For pages that draw mermaid
    Mermaid,
    /// A picture
    Svg,
    /// For Graphviz
    Dot,
    /// For programs, with places
    Json,
}

/// Form of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people, with the lines they are about
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
    /// For code hosts and editors: SARIF 2.1.0
    Sarif,
    /// For workflows of GitHub: annotations
    Github,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object per line
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

//! `skald dev`: a topology with generated traffic on the broker in this process, and a self-check at the end.

use super::files::Found;
use super::fleet::{Fleet, serve};
use super::load::{Checked, Reading};
use super::problem::Problem;
use super::schemas::{self, Subjects};
use super::signals::Signals;
use super::{out, report::Report};
use crate::broker::Broker;
use crate::broker::embedded::{Cluster, Options};
use crate::clock::{Clock, SystemClock};
use crate::config::{Colors, Dev, Exit, OutputFormat};
use crate::dev::check::{Accounts, BrokerLogs, Logs, Verdict, check_accounts, check_shop};
use crate::dev::traffic::{Input, Schemas, Shop, Traffic};
use crate::dev::{Lag, Parts, Pump, Screen, Tail, View, sample};
use crate::record::{Text, Value};
use crate::runtime::{self, Figures, Prepared, Snapshot, TaskPhase, Watch};
use crate::state::{Directory, Disk, Memory, Stores};
use crate::telemetry::process_usage;
use crate::topology::model::{AggregateKind, Envelope, Schema, SourceFrom};
use crate::topology::plan::{PlannedTopic, Role};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The screen is drawn so often, the plain line so often.
const DRAW_EVERY: Duration = Duration::from_millis(500);
const TELL_EVERY: Duration = Duration::from_secs(5);
/// After the traffic has ended, what is still to be done is waited for as long as something moves; for so long without.
const STALLED: Duration = Duration::from_secs(30);
/// Nothing moves for so long: everything is done.
const QUIET: Duration = Duration::from_millis(300);
/// Without an end in sight the broker in memory keeps so much of each partition.
const ENDLESS_RETENTION_BYTES: u64 = 32 << 20;

pub(super) fn dev(settings: &Dev, color: Colors) -> Result<Exit, Problem> {
    let reading = match &settings.path {
        Some(path) => {
            let subjects = Subjects::of(schemas::client(settings.registry.as_ref())?.as_ref());
            Reading::with(std::slice::from_ref(path), &settings.params, subjects.as_ref())?
        }
        None => Reading::of_text(&sample_file(), &settings.params, &sample::SampleSources),
    };
    let mut all = reading.checked(color.talk)?;
    if all.len() > 1 {
        return Err(Problem::new(Exit::Usage, "`dev` runs one topology: name its file"));
    }
    let Some(checked) = all.pop() else { return Err(Problem::new(Exit::NotFound, "there is no topology to run")) };
    let signals = Signals::take()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let bench = Bench::start(settings, checked, clock)?;
    bench.run(settings, &signals)
}

fn sample_file() -> Found {
    Found {
        name: sample::FILE.into(),
        folder: PathBuf::from("."),
        named: true,
        page: false,
        bytes: sample::TEXT.as_bytes().to_vec(),
    }
}

/// Everything that runs while `dev` does.
struct Bench {
    checked: Checked,
    prepared: Arc<Prepared>,
    watch: Watch,
    fleet: Fleet,
    pump: Option<Pump>,
    cluster: Cluster,
    server: Option<crate::api::Server>,
    clock: Arc<dyn Clock>,
    _ticker: Ticker,
    is_sample: bool,
    /// Did it begin with empty topics?
    fresh: bool,
    /// Are old records dropped?
    endless: bool,
    _directory: Option<Directory>,
}

impl Bench {
    fn start(settings: &Dev, checked: Checked, clock: Arc<dyn Clock>) -> Result<Self, Problem> {
        let failed = |error: &dyn std::error::Error| Problem::of(Exit::Failed, error);
        let endless = settings.duration.is_none() && settings.data_dir.is_none();
        let options = Options { retention_bytes: endless.then_some(ENDLESS_RETENTION_BYTES), ..Options::default() };
        let (cluster, directory, stores): (_, _, Arc<dyn Stores>) = match &settings.data_dir {
            None => (Cluster::new(clock.clone(), options), None, Arc::new(Memory::new())),
            Some(folder) => {
                let directory = Directory::open(folder).map_err(|error| failed(&error))?;
                let cluster = Cluster::open(clock.clone(), options, &folder.join("broker")).map_err(|error| failed(&error))?;
                let path = directory.of_topology(&checked.plan.topology).map_err(|error| failed(&error))?;
                let (disk, damage) = Disk::open_or_set_aside(&path).map_err(|error| failed(&error))?;
                if let Some(damage) = damage {
                    tracing::warn!(%damage, "the stores were damaged and set aside; they are restored");
                }
                (cluster, Some(directory), Arc::new(disk))
            }
        };
        let ticker = Ticker::start(cluster.clone()).map_err(|error| failed(&error))?;
        let broker: Arc<dyn Broker> = Arc::new(cluster.clone());
        let engine =
            runtime::Settings { worker: Some("dev".into()), threads: settings.threads, ..runtime::Settings::default() };
        let mut fleet = Fleet::new();
        fleet.start(&checked, None, &mut || Ok(()), &broker, stores, &clock, engine, true, None)?;
        let (prepared, watch) = (fleet.members[0].prepared.clone(), fleet.members[0].watch.clone());
        let mut bench = Self {
            is_sample: settings.path.is_none(),
            fresh: settings.data_dir.is_none(),
            endless,
            checked,
            prepared,
            watch,
            fleet,
            pump: None,
            cluster,
            server: None,
            clock,
            _ticker: ticker,
            _directory: directory,
        };
        let ready = bench.begin(settings);
        match ready {
            Ok(()) => Ok(bench),
            Err(problem) => {
                bench.fleet.stop();
                Err(problem)
            }
        }
    }

    /// HTTP and traffic, once the engine runs.
    fn begin(&mut self, settings: &Dev) -> Result<(), Problem> {
        self.server = serve(settings.listen, self.fleet.surface())?;
        let Some(traffic) = self.traffic(settings.seed)? else {
            tracing::warn!("no traffic is made: nothing is known of what this topology reads");
            return Ok(());
        };
        let mut behind = self.lag()?;
        let parts = Parts {
            traffic,
            producer: self.cluster.producer().map_err(|error| Problem::of(Exit::Failed, &error))?,
            partitions: self.partitions().into_iter().collect(),
            rate: settings.rate,
            clock: self.clock.clone(),
            backlog: Box::new(move || behind.offsets().map_err(|error| error.to_string())),
        };
        self.pump = Some(Pump::start(parts).map_err(|error| Problem::of(Exit::Failed, &error))?);
        Ok(())
    }

    fn traffic(&self, seed: u64) -> Result<Option<Box<dyn Traffic>>, Problem> {
        if !self.is_sample {
            return Ok(Schemas::new(seed, self.inputs()).map(|schemas| Box::new(schemas) as Box<dyn Traffic>));
        }
        let mut first = 0;
        if !self.fresh {
            // Orders go on where the log of the last time ends.
            let mut logs = self.logs()?;
            for partition in 0..logs.partitions("orders.commands") {
                logs.read("orders.commands", partition as i32, &mut |_| first += 1).map_err(unreadable)?;
            }
        }
        Ok(Some(Box::new(Shop::new(seed, first))))
    }

    /// What comes from outside: read by the topology, and written by no node of it.
    fn inputs(&self) -> Vec<Input> {
        let (topology, plan) = (&self.checked.topology, &self.checked.plan);
        let from_outside = |topic: &PlannedTopic| {
            topic.roles.contains(&Role::Source)
                && !topic.roles.iter().any(|role| matches!(role, Role::Sink | Role::Events | Role::Replies))
        };
        let inputs = topology.topics.iter().zip(&plan.topics).filter(|(_, planned)| from_outside(planned));
        let made = inputs.filter_map(|(contract, _)| {
            if contract.may_be_framed() {
                // Its bytes begin with what a registry says, which traffic from schemas does not know.
                return None;
            }
            let (bare, type_header) = match &contract.envelope {
                Envelope::Event => (false, None),
                Envelope::None { type_header } => (true, type_header.as_ref().map(ToString::to_string)),
                // These have forms of their own.
                Envelope::CloudEvents | Envelope::Mapping(_) => return None,
            };
            let types = contract.types.iter().flatten().map(|kind| {
                let schema = kind.schema.as_ref().or_else(|| self.entity_of(&kind.name));
                (kind.name.to_string(), schema.map_or(serde_json::Value::Bool(true), |schema| (*schema.document).clone()))
            });
            Some(Input {
                topic: contract.name.to_string(),
                types: types.collect(),
                key: contract.key.as_ref().and_then(|key| plain_path(&key.text)),
                bare,
                type_header,
            })
        });
        made.collect()
    }

    /// The schema of what a repository's command carries: the entity.
    fn entity_of(&self, command: &str) -> Option<&Schema> {
        let (name, _) = command.rsplit_once('.')?;
        let aggregates = self.checked.topology.aggregates.iter();
        let mut repositories = aggregates.filter(|aggregate| aggregate.kind == AggregateKind::Repository);
        repositories.find(|repository| repository.name == name)?.state.schema.as_ref()
    }

    /// Topics of the plan with their numbers of partitions.
    fn partitions(&self) -> BTreeMap<String, u32> {
        let topics = self.checked.plan.topics.iter().zip(&self.prepared.topics);
        topics.map(|(planned, prepared)| (planned.name.to_string(), prepared.partitions)).collect()
    }

    fn logs(&self) -> Result<BrokerLogs, Problem> {
        BrokerLogs::new(&self.cluster, self.partitions().into_iter().collect()).map_err(unreadable)
    }

    fn run(mut self, settings: &Dev, signals: &Signals) -> Result<Exit, Problem> {
        let begun = self.clock.mono();
        let until = settings.duration.map(|duration| begun + duration);
        let mut teller = Teller::new(&self, settings)?;
        while !signals.stop_asked() && until.is_none_or(|until| self.clock.mono() < until) && !self.fleet.is_over() {
            teller.tell(&self, self.clock.mono().saturating_sub(begun));
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let sent = match self.pump.take() {
            Some(pump) => pump.stop().map_err(|error| Problem::new(Exit::Failed, format!("no more traffic: {error}")))?,
            None => 0,
        };
        let left = self.drain()?;
        let elapsed = self.clock.mono().saturating_sub(begun);
        teller.last(&self, elapsed);
        let (usage, snapshot) = (process_usage(), self.watch.snapshot());
        // Nobody may ask what is being taken down.
        self.server = None;
        let fleet = std::mem::replace(&mut self.fleet, Fleet::new());
        let ended = fleet.stop();
        if let Some(problem) = ended.problem {
            return Err(problem);
        }
        let verdict = self.check(&snapshot.figures)?;
        let report = Report {
            topology: self.checked.plan.topology.to_string(),
            sent,
            elapsed,
            figures: snapshot.figures,
            cpu: usage.cpu,
            peak_rss_bytes: usage.resident_peak_bytes,
            left,
            verdict,
        };
        match settings.output {
            OutputFormat::Json => out(&format!("{}\n", report.json())),
            OutputFormat::Table => out(&report.text()),
        }
        Ok(report.exit())
    }

    /// Waits until everything that was sent, and what followed from it, is processed and committed. How many records are left.
    fn drain(&self) -> Result<u64, Problem> {
        let mut behind = self.lag()?;
        let begun = self.clock.mono();
        let (mut seen, mut moved_at, mut quiet_since) = (self.watch.snapshot().figures.records_in, begun, begun);
        loop {
            let (now, snapshot) = (self.clock.mono(), self.watch.snapshot());
            let left = behind.offsets().map_err(|error| Problem::of(Exit::Failed, &error))?;
            if snapshot.figures.records_in != seen {
                (seen, moved_at) = (snapshot.figures.records_in, now);
            }
            if left > 0 || moved_at == now {
                quiet_since = now;
            }
            if now.saturating_sub(quiet_since) >= QUIET {
                return Ok(0);
            }
            if now.saturating_sub(moved_at) >= STALLED || self.fleet.is_over() {
                return Ok(left);
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// How far the engine is behind, as the broker knows it.
    fn lag(&self) -> Result<Lag, Problem> {
        let partitions = self.partitions();
        let sources = self.topics_with(&[Role::Source, Role::Repartition]);
        let sources: Vec<(String, u32)> = sources.into_iter().map(|topic| (topic.clone(), partitions[&topic])).collect();
        Lag::new(&self.cluster, self.clock.clone(), &self.checked.plan.topology, &sources)
            .map_err(|error| Problem::of(Exit::Failed, &error))
    }

    /// Do its figures tell how many records there should be? Not of an engine that ran before; and what a pattern finds is not in
    /// the plan.
    fn is_countable(&self) -> bool {
        self.fresh && !self.endless && !self.reads_patterns()
    }

    fn topics_with(&self, roles: &[Role]) -> Vec<String> {
        let topics = self.checked.plan.topics.iter();
        let found = topics.filter(|topic| topic.roles.iter().any(|role| roles.contains(role)));
        found.map(|topic| topic.name.to_string()).collect()
    }

    /// What the logs say; `None` where their oldest records are gone.
    fn check(&self, figures: &Figures) -> Result<Option<Verdict>, Problem> {
        let mut logs = self.logs()?;
        let plan = &self.checked.plan;
        let accounts = Accounts {
            topology: plan.topology.to_string(),
            sources: self.topics_with(&[Role::Source, Role::Repartition]),
            outputs: if self.is_sample { Vec::new() } else { self.topics_with(&[Role::Sink, Role::Events]) },
            snapshots: self.topics_with(&[Role::Snapshots]),
            dead_letters: plan.topics[plan.dead_letters].name.to_string(),
            records_read: self.is_countable().then_some(figures.records_in),
            dead_letters_written: self.fresh.then_some(figures.dead_letters),
        };
        let mut verdict = check_accounts(&mut logs, &accounts).map_err(unreadable)?;
        if self.is_sample {
            let rate = match self.checked.topology.params.get("payment_success_rate") {
                Some(Value::Double(rate)) => *rate,
                Some(Value::Int(rate)) => *rate as f64,
                _ => return Err(Problem::new(Exit::Failed, "the sample has no `payment_success_rate`")),
            };
            verdict.add(check_shop(&mut logs, rate).map_err(unreadable)?);
        }
        Ok((!logs.is_trimmed()).then_some(verdict))
    }

    fn reads_patterns(&self) -> bool {
        let topology = &self.checked.topology;
        let sources = topology.pipelines.iter().flat_map(|pipeline| &pipeline.sources);
        let all = sources.chain(topology.aggregates.iter().flat_map(|aggregate| &aggregate.sources));
        all.into_iter().any(|source| matches!(source.from, SourceFrom::Pattern(_)))
    }
}

fn unreadable(reason: String) -> Problem {
    Problem::new(Exit::Failed, format!("the logs cannot be read: {reason}"))
}

/// `data.orderId`: the path within the payload, where an expression is nothing more than that.
fn plain_path(text: &str) -> Option<Vec<String>> {
    let path = text.trim().trim_start_matches('=').trim().strip_prefix("data.")?;
    let plain = |field: &str| !field.is_empty() && field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    path.split('.').all(plain).then(|| path.split('.').map(str::to_owned).collect())
}

fn lag(snapshot: &Snapshot) -> u64 {
    snapshot.tasks.iter().map(|task| task.lag).sum()
}

/// Does what is due in the broker: it has no thread of its own.
struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Ticker {
    fn start(cluster: Cluster) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("broker".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                cluster.tick();
                std::thread::park_timeout(Duration::from_millis(20));
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // Whatever broke it would have broken its callers first.
            let _ = thread.join();
        }
    }
}

/// Tells what is going on, in the form that fits where it goes.
struct Teller {
    form: Form,
    screen: Screen,
    tail: Option<Tail>,
    next: Duration,
    last: (Duration, Figures),
    rate: f64,
    commit_every_ms: Option<f64>,
}

#[derive(PartialEq, Eq)]
enum Form {
    Screen,
    Lines,
    Nothing,
}

impl Teller {
    fn new(bench: &Bench, settings: &Dev) -> Result<Self, Problem> {
        let form = match settings.output {
            OutputFormat::Json => Form::Nothing,
            OutputFormat::Table if std::io::stderr().is_terminal() => Form::Screen,
            OutputFormat::Table => Form::Lines,
        };
        let plan = &bench.checked.plan;
        let nodes: Vec<(Text, Text, u32)> = plan
            .stores
            .iter()
            .filter_map(|store| {
                let topic = store.snapshots?;
                Some((store.name.clone(), plan.topics[topic].name.clone(), bench.prepared.topics[topic].partitions))
            })
            .collect();
        let tail = match form {
            Form::Screen => Some(Tail::new(&bench.cluster, &nodes).map_err(|error| Problem::of(Exit::Failed, &error))?),
            Form::Lines | Form::Nothing => None,
        };
        let last = (Duration::ZERO, Figures::default());
        Ok(Self { form, screen: Screen::default(), tail, next: Duration::ZERO, last, rate: 0.0, commit_every_ms: None })
    }

    fn tell(&mut self, bench: &Bench, elapsed: Duration) {
        if self.form == Form::Nothing || elapsed < self.next {
            return;
        }
        self.next = elapsed + if self.form == Form::Screen { DRAW_EVERY } else { TELL_EVERY };
        self.show(bench, elapsed);
    }

    fn last(&mut self, bench: &Bench, elapsed: Duration) {
        if self.form == Form::Screen {
            self.show(bench, elapsed);
        }
    }

    fn show(&mut self, bench: &Bench, elapsed: Duration) {
        let view = self.view(bench, elapsed);
        let text = match self.form {
            Form::Screen => self.screen.draw(&view.lines()),
            _ => format!("{}\n", view.line()),
        };
        // A terminal that has gone takes nothing with it.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    fn view(&mut self, bench: &Bench, elapsed: Duration) -> View {
        let snapshot = bench.watch.snapshot();
        let figures = snapshot.figures;
        let (before, then) = self.last;
        let seconds = elapsed.saturating_sub(before).as_secs_f64();
        if seconds >= 0.9 {
            self.rate = (figures.records_in - then.records_in) as f64 / seconds;
            let commits = figures.epochs - then.epochs;
            self.commit_every_ms = (commits > 0).then(|| seconds * 1_000.0 / commits as f64);
            self.last = (elapsed, figures);
        }
        let running = snapshot.tasks.iter().filter(|task| task.phase == TaskPhase::Running).count();
        View {
            topology: bench.checked.plan.topology.to_string(),
            elapsed,
            records_in: figures.records_in,
            rate: self.rate,
            records_out: figures.records_out,
            lag: lag(&snapshot),
            commits: figures.epochs,
            rollbacks: figures.rollbacks,
            commit_every_ms: self.commit_every_ms,
            refused: figures.refused,
            dead_letters: figures.dead_letters,
            tasks: (running, snapshot.tasks.len()),
            states: self.tail.as_mut().map(Tail::counts).unwrap_or_default(),
            ask: bench.server.as_ref().map(|server| questions(server.address(), bench)).unwrap_or_default(),
        }
    }
}

/// What to try next.
fn questions(address: std::net::SocketAddr, bench: &Bench) -> Vec<String> {
    let mut ask = Vec::new();
    if bench.is_sample {
        ask.push(format!("curl http://{address}/v1/aggregates/orders/o1-000042"));
    } else if let Some(store) = bench.checked.plan.stores.first() {
        ask.push(format!("curl http://{address}/v1/aggregates/{}/k1", store.name));
    }
    ask.push(format!("curl http://{address}/readyz   …/metrics   …/v1/topology"));
    ask
}

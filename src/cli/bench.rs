//! `skald bench`: measures, and compares what was measured.

use super::cluster::{connect, failed};
use super::signals::Signals;
use super::{Problem, out, talk};
use crate::bench::{self, Document, Finished, Job, Peer, Store, Subject, Watcher};
use crate::broker::kafka::PassThrough;
use crate::clock::{Clock, SystemClock};
use crate::config::{Bench, BenchFormat, Exit, FloorRoute, Measure, PeerFlags, StoreName};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn bench(settings: &Bench) -> Result<Exit, Problem> {
    match settings {
        Bench::Measure(measure) => run(measure),
        Bench::Compare { files, output } => compare(files, *output),
        Bench::Overview(files) => {
            let documents: Result<Vec<Document>, Problem> = files.iter().map(|path| read(path)).collect();
            out(&bench::overview(&documents?));
            Ok(Exit::Ok)
        }
        Bench::Topology(job) => {
            out(job.file());
            Ok(Exit::Ok)
        }
        Bench::Floor { cluster, route } => floor(&connect(cluster)?, route),
    }
}

fn told(error: &bench::Error) -> Problem {
    match error {
        bench::Error::Broker(error) => failed(error),
        bench::Error::Peer { .. } => Problem::of(Exit::Failed, error)
            .hint("it needs a JDK 17 and Maven; `--peer-dir` names its folder, `--peer-jar` one that was built elsewhere"),
        bench::Error::Document { .. } => Problem::of(Exit::Usage, error),
        _ => Problem::of(Exit::Failed, error),
    }
}

fn run(measure: &Measure) -> Result<Exit, Problem> {
    connect(&measure.cluster)?;
    let signals = Signals::take()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let peer = measure.peer.as_ref().map(peer).transpose()?;
    let settings = settings(measure, peer, &*clock);
    talk(&format!("seed {}, topics and groups `{}-…`\n", settings.seed, settings.prefix));
    let mut screen = Screen::new(signals);
    let finished = bench::Bench::run(&settings, clock, &mut screen);
    screen.bar.finish_and_clear();
    let finished = finished.map_err(|error| told(&error))?;
    if let Some(path) = &measure.load.hgrm {
        export(&finished, path)?;
    }
    let document = &finished.document;
    let json = format!("{}\n", serde_json::to_string_pretty(document).expect("names and numbers, which JSON has"));
    if let Some(path) = &measure.load.save {
        write(path, &json)?;
    }
    out(&match measure.load.output {
        BenchFormat::Table => bench::table(document),
        BenchFormat::Markdown => bench::markdown(document),
        BenchFormat::Json => json,
    });
    let differ = document.jobs.values().any(|figures| figures.outputs_equal == Some(false));
    Ok(if differ { Exit::Differences } else { Exit::Ok })
}

fn peer(flags: &PeerFlags) -> Result<Peer, Problem> {
    let jar = match &flags.peer_jar {
        Some(jar) if jar.exists() => jar.clone(),
        Some(jar) => return Err(Problem::new(Exit::NotFound, format!("there is no `{}`", jar.display()))),
        None => match Peer::built(&flags.peer_dir) {
            Some(jar) => jar,
            None => {
                talk("building the peer, once\n");
                Peer::build(&flags.peer_dir).map_err(|error| told(&error))?
            }
        },
    };
    let jvm = flags.peer_jvm.split_whitespace().map(str::to_owned).collect();
    Ok(Peer { jar, jvm, properties: flags.peer_property.clone() })
}

fn settings(measure: &Measure, peer: Option<Peer>, clock: &dyn Clock) -> bench::Settings {
    let load = &measure.load;
    let mut subjects = vec![Subject::Skald];
    subjects.extend(peer.is_some().then_some(Subject::Peer));
    subjects.extend(measure.floor.then_some(Subject::Floor));
    let properties = measure.cluster.properties.iter().map(|property| (property.key.clone(), property.value.clone()));
    bench::Settings {
        brokers: measure.cluster.brokers.as_str().to_owned(),
        properties: properties.collect(),
        jobs: measure.jobs.clone(),
        subjects,
        peer,
        records: load.records,
        seed: load.seed,
        keys: load.keys,
        skew: load.skew,
        bytes: load.bytes as usize,
        partitions: load.partitions,
        compression: load.compression.name().to_owned(),
        threads: load.threads,
        store: match load.store {
            StoreName::Disk => Store::Disk,
            StoreName::Memory => Store::Memory,
        },
        validate: load.validate,
        commit_interval: load.commit_interval,
        pace: measure.pace,
        paced_for: load.duration,
        restart: load.restart,
        repeat: load.repeat,
        broker_pids: load.broker_pid.clone(),
        prefix: format!("bench-{:08x}", clock.draw() & 0xffff_ffff),
        keep: load.keep,
        folder: load.dir.clone().unwrap_or_else(std::env::temp_dir),
        command: command(),
    }
}

/// The command line, without what may be secret or is only of this machine.
fn command() -> String {
    let mut words = vec!["skald".to_owned()];
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        let name = word.split('=').next().unwrap_or_default();
        let is_left_out = matches!(name, "-X" | "--property" | "--peer-property" | "--broker-pid" | "--dir" | "--save");
        if is_left_out && (name == word) {
            arguments.next();
        }
        // `-Xkey=value` is one word.
        if !is_left_out && !word.starts_with("-X") {
            words.push(word);
        }
    }
    words.join(" ")
}

/// One file for each job and engine.
fn export(finished: &Finished, path: &Path) -> Result<(), Problem> {
    for ((job, subject), times) in &finished.histograms {
        let path = if finished.histograms.len() == 1 { path.to_owned() } else { beside(path, *job, *subject) };
        write(&path, &times.hgrm())?;
        talk(&format!("{job} of {subject}: `{}`\n", path.display()));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let written = std::fs::write(path, text);
    written.map_err(|error| Problem::of(Exit::Failed, &error).within(&format!("writing `{}`", path.display())))
}

fn beside(path: &Path, job: Job, subject: Subject) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ending = path.extension().map_or_else(String::new, |ending| format!(".{}", ending.to_string_lossy()));
    path.with_file_name(format!("{stem}-{job}-{subject}{ending}"))
}

fn read(path: &Path) -> Result<Document, Problem> {
    let bytes = std::fs::read(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Problem::new(exit, format!("`{}` cannot be read: {error}", path.display()))
    })?;
    serde_json::from_slice(&bytes).map_err(|source| told(&bench::Error::Document { path: path.to_owned(), source }))
}

fn compare(files: &[PathBuf; 2], output: BenchFormat) -> Result<Exit, Problem> {
    let (first, second) = (read(&files[0])?, read(&files[1])?);
    out(&match output {
        BenchFormat::Json => format!("{:#}\n", bench::differences_json(&first, &second)),
        BenchFormat::Table | BenchFormat::Markdown => bench::differences_table(&first, &second),
    });
    Ok(Exit::Ok)
}

fn floor(kafka: &crate::broker::kafka::Kafka, route: &FloorRoute) -> Result<Exit, Problem> {
    let signals = Signals::take()?;
    let FloorRoute { group, from, to, commit_interval } = route.clone();
    let route = PassThrough { group, from, to, commit_interval };
    kafka.pass_through(&route, &|| signals.stop_asked()).map_err(|error| failed(&error))?;
    Ok(Exit::Ok)
}

/// What is shown meanwhile.
struct Screen {
    bar: ProgressBar,
    signals: Signals,
}

impl Screen {
    fn new(signals: Signals) -> Self {
        let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{msg:32} {bar:30} {pos}/{len} {per_sec}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::with_draw_target(None, target).with_style(style), signals }
    }
}

impl Watcher for Screen {
    fn begin(&mut self, what: &str, records: u64) {
        self.bar.reset();
        self.bar.set_length(records);
        self.bar.set_message(what.to_owned());
    }

    fn at(&mut self, done: u64) {
        self.bar.set_position(done);
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| talk(&format!("warning: {text}\n")));
    }

    fn stop_asked(&self) -> bool {
        self.signals.stop_asked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_several_names_job_and_engine_before_its_ending() {
        for (path, expected) in [("a/times.hgrm", "a/times-map-peer.hgrm"), ("times", "times-map-peer")] {
            assert_eq!(beside(Path::new(path), Job::Map, Subject::Peer), Path::new(expected));
        }
    }
}

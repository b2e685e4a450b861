//! `skald test`: scenario files found, their cases run side by side, and what came of them told.

use super::files::{self, Found};
use super::load::{FileSources, unknown};
use super::schemas::Subjects;
use super::signals::Signals;
use super::{Problem, out, schemas};
use crate::clock::{Clock, SystemClock};
use crate::codec::Document;
use crate::config::{Colors, Exit, OutputFormat, Test};
use crate::scenario::report::{self, Ran};
use crate::scenario::{Reading, Suite, Topologies, Verdict, coverage, is_marked, read, run, topology_of, update};
use crate::sync::lock;
use crate::topology::{Diagnostic, Loaded, Severity, Sources, load, render};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Files are looked at this often while they are watched.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Times that a file is written anew: a case stops at its first step that fails, so each step may take one.
const UPDATES_MAX: usize = 50;
/// Largest topology file.
const TOPOLOGY_BYTES_MAX: usize = 1 << 20;

pub(super) fn test(settings: &Test, color: Colors) -> Result<Exit, Problem> {
    if !settings.watch {
        return Session::run(settings, color).map(|session| session.exit());
    }
    let signals = Signals::take()?;
    loop {
        let mut seen = BTreeSet::new();
        match Session::run(settings, color) {
            Ok(session) => seen = session.files(),
            Err(problem) => problem.tell(),
        }
        // First looked at, then said: what changes from then on is seen.
        let before = stamps(settings, &seen);
        let _ = writeln!(io::stderr(), "waiting for a change; Ctrl-C ends it");
        while before == stamps(settings, &seen) {
            if signals.stop_asked() {
                return Ok(Exit::Ok);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

/// When files were changed last: those that were read, and those that are there now.
fn stamps(settings: &Test, read: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, Option<SystemTime>> {
    let found = files::find(&settings.paths).unwrap_or_default();
    let names = found.into_iter().map(|found| PathBuf::from(found.name)).chain(read.iter().cloned());
    names.map(|path| (path.clone(), fs::metadata(&path).and_then(|about| about.modified()).ok())).collect()
}

/// One run over all files.
struct Session {
    suites: Vec<(Reading, Vec<Ran>)>,
    /// Files that the scenarios were read with.
    others: BTreeSet<PathBuf>,
    findings: Vec<Diagnostic>,
    /// Where the topologies' schemas are that name a subject.
    registry: Option<Arc<Subjects>>,
}

impl Session {
    fn run(settings: &Test, color: Colors) -> Result<Self, Problem> {
        let registry = Subjects::of(schemas::client(settings.registry.as_ref())?.as_ref()).map(Arc::new);
        let clock = SystemClock::new();
        let begun = clock.mono();
        let found = scenario_files(&settings.paths)?;
        let mut session = Self { suites: Vec::new(), others: BTreeSet::new(), findings: Vec::new(), registry };
        let mut written = 0;
        for found in &found {
            session.add(found);
        }
        session.run_all(settings, &clock);
        if settings.update {
            written = session.update(&found, settings, &clock)?;
        }
        session.findings = session.suites.iter().flat_map(|(reading, _)| reading.findings.iter().cloned()).collect();
        session.tell(settings, color);
        if let Some(path) = &settings.junit {
            let suites = session.suites.iter().filter_map(|(reading, ran)| Some((reading.suite.as_ref()?, ran.as_slice())));
            fs::write(path, report::junit(suites))
                .map_err(|error| Problem::new(Exit::Failed, format!("`{}` cannot be written: {error}", path.display())))?;
        }
        session.sum_up(written, clock.mono().saturating_sub(begun));
        Ok(session)
    }

    fn add(&mut self, found: &Found) {
        let registry = self.registry.as_deref();
        let topologies = Folder { folder: found.folder.clone(), registry, read: Mutex::default() };
        let reading = read(&found.name, &found.bytes, &topologies);
        self.others.extend(lock(&topologies.read).iter().cloned());
        self.suites.push((reading, Vec::new()));
    }

    /// Runs all cases that are wanted, several at a time. Their order and their outcome do not depend on how many.
    fn run_all(&mut self, settings: &Test, clock: &SystemClock) {
        let wanted = |suite: &Suite, case: usize| {
            settings
                .filter
                .as_ref()
                .is_none_or(|text| suite.name(case).contains(text.as_str()) || suite.file.contains(text.as_str()))
        };
        let suites: Vec<Option<&Suite>> = self.suites.iter().map(|(reading, _)| reading.suite.as_ref()).collect();
        let jobs: Vec<(usize, usize)> = suites
            .iter()
            .enumerate()
            .filter_map(|(at, suite)| Some((at, (*suite)?)))
            .flat_map(|(at, suite)| (0..suite.len()).filter(move |case| wanted(suite, *case)).map(move |case| (at, case)))
            .collect();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let progress = io::stderr().is_terminal() && settings.output == OutputFormat::Table;
        std::thread::scope(|scope| {
            for _ in 0..settings.threads.min(jobs.len()) {
                scope.spawn(|| {
                    while let Some((at, case)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let Some(suite) = suites[*at] else { continue };
                        let begun = clock.mono();
                        let verdict = run(suite, *case);
                        let took = clock.mono().saturating_sub(begun);
                        let mut done = lock(&done);
                        done.insert((*at, *case), Ran { case: *case, verdict, took });
                        if progress {
                            // A terminal that has gone takes nothing with it.
                            let _ = write!(io::stderr(), "\r{} of {} cases", done.len(), jobs.len());
                        }
                    }
                });
            }
        });
        if progress && !jobs.is_empty() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        for ((at, _), ran) in std::mem::take(&mut *lock(&done)) {
            self.suites[at].1.push(ran);
        }
    }

    /// Writes what came into the files until nothing changes any more; how many files were written.
    fn update(&mut self, found: &[Found], settings: &Test, clock: &SystemClock) -> Result<usize, Problem> {
        let mut written = BTreeSet::new();
        for _ in 0..UPDATES_MAX {
            let mut changed = false;
            let registry = self.registry.clone();
            let mut next =
                Self { suites: Vec::new(), others: std::mem::take(&mut self.others), findings: Vec::new(), registry };
            for (found, (reading, ran)) in found.iter().zip(&self.suites) {
                let failures = ran
                    .iter()
                    .filter_map(|ran| if let Verdict::Failed(failures) = &ran.verdict { Some(failures) } else { None });
                let text = update::updated(&reading.text, failures.flatten()).filter(|text| **text != *reading.text);
                let mut found = found.clone();
                found.bytes = reading.text.as_bytes().to_vec();
                if let Some(text) = text {
                    fs::write(&found.name, &text)
                        .map_err(|error| Problem::new(Exit::Failed, format!("`{}` cannot be written: {error}", found.name)))?;
                    found.bytes = text.into_bytes();
                    written.insert(found.name.clone());
                    changed = true;
                }
                next.add(&found);
            }
            if !changed {
                self.others = next.others;
                break;
            }
            next.run_all(settings, clock);
            *self = next;
        }
        Ok(written.len())
    }

    /// Results are data.
    fn tell(&self, settings: &Test, color: Colors) {
        let suites = || self.suites.iter().filter_map(|(reading, ran)| Some((reading.suite.as_ref()?, ran.as_slice())));
        let coverage = settings.coverage.then(|| coverage::of(suites().map(|(suite, _)| suite)));
        match settings.output {
            OutputFormat::Table => {
                let source = |file: &str| {
                    let reading = self.suites.iter().map(|(reading, _)| reading).find(|reading| *reading.file == *file);
                    reading.map(|reading| &*reading.text)
                };
                out(&render::text(&self.findings, source, color.out));
                for (suite, ran) in suites().filter(|(_, ran)| !ran.is_empty()) {
                    out(&report::text(suite, ran, color.out));
                }
                for coverage in coverage.iter().flatten() {
                    out(&coverage.text());
                }
            }
            OutputFormat::Json => {
                let mut told = json!({
                    "findings": render::json(&self.findings),
                    "files": suites().map(|(suite, ran)| report::json(suite, ran)).collect::<Vec<_>>(),
                });
                if let Some(coverage) = coverage {
                    told["coverage"] = coverage.iter().map(coverage::Coverage::json).collect();
                }
                out(&format!("{told:#}\n"));
            }
        }
    }

    fn count(&self, which: impl Fn(&Verdict) -> bool) -> usize {
        self.suites.iter().flat_map(|(_, ran)| ran).filter(|ran| which(&ran.verdict)).count()
    }

    fn sum_up(&self, written: usize, took: Duration) {
        let passed = self.count(|verdict| matches!(verdict, Verdict::Passed));
        let failed = self.count(|verdict| matches!(verdict, Verdict::Failed(_)));
        let skipped = self.count(|verdict| matches!(verdict, Verdict::Skipped(_)));
        let mut text = format!("{passed} passed, {failed} failed");
        if skipped > 0 {
            text.push_str(&format!(", {skipped} skipped"));
        }
        if !self.findings.is_empty() {
            text.push_str(&format!(", {} findings in files", self.findings.len()));
        }
        if written > 0 {
            text.push_str(&format!(", {written} files written"));
        }
        // Nowhere to write to is nothing to write about.
        let _ = writeln!(io::stderr(), "{text} in {:.2} s", took.as_secs_f64());
    }

    fn exit(&self) -> Exit {
        let has_errors = self.findings.iter().any(|found| found.severity() == Severity::Error);
        match () {
            () if has_errors => Exit::Findings,
            () if self.count(|verdict| matches!(verdict, Verdict::Failed(_))) > 0 => Exit::Failed,
            // A filter that fits nothing is a mistake, and passes for nobody's test.
            () if self.suites.iter().all(|(_, ran)| ran.is_empty()) => Exit::NotFound,
            () => Exit::Ok,
        }
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        let own = self.suites.iter().map(|(reading, _)| PathBuf::from(&*reading.file));
        own.chain(self.others.iter().cloned()).collect()
    }
}

/// The scenario files behind these paths. A topology file stands for those beside it that name it.
fn scenario_files(paths: &[PathBuf]) -> Result<Vec<Found>, Problem> {
    let mut all: Vec<Found> = Vec::new();
    let mut add = |found: Found| {
        if !all.iter().any(|known| known.name == found.name) {
            all.push(found);
        }
    };
    for found in files::find(paths)? {
        if is_marked(&found.bytes) {
            add(found);
        } else if found.named {
            let own = fs::canonicalize(&found.name).ok();
            let beside = files::find(std::slice::from_ref(&found.folder))?.into_iter().filter(|other| {
                let names = topology_of(&other.bytes).and_then(|path| fs::canonicalize(other.folder.join(path)).ok());
                is_marked(&other.bytes) && own.is_some() && names == own
            });
            let beside: Vec<Found> = beside.collect();
            if beside.is_empty() {
                let text = format!("no scenario file beside `{}` names it", found.name);
                return Err(
                    Problem::new(Exit::NotFound, text).hint("a scenario file begins with `skald-test: 1` and `topology: FILE`")
                );
            }
            beside.into_iter().for_each(&mut add);
        }
    }
    if all.is_empty() {
        return Err(Problem::new(Exit::NotFound, "there is no scenario file in these folders")
            .hint("scenario files end in `.test.yaml` and begin with `skald-test: 1`"));
    }
    Ok(all)
}

/// Topologies, named from the folder of a scenario file.
struct Folder<'a> {
    folder: PathBuf,
    registry: Option<&'a Subjects>,
    /// What was read on the way.
    read: Mutex<BTreeSet<PathBuf>>,
}

impl Topologies for Folder<'_> {
    fn load(&self, path: &str, params: &[(String, String)]) -> io::Result<Loaded> {
        let path = self.folder.join(path);
        lock(&self.read).insert(path.clone());
        let bytes = files::whole(&path, TOPOLOGY_BYTES_MAX)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let inner = FileSources { folder, registry: self.registry };
        let loaded = load(&path.display().to_string(), &bytes, params, &Noting { inner, folder, read: &self.read });
        match loaded.checked.as_ref().and_then(|(topology, _)| unknown(topology)) {
            Some(why) => Err(io::Error::other(why)),
            None => Ok(loaded),
        }
    }
}

/// The files of a topology, and which were asked for.
struct Noting<'a> {
    inner: FileSources<'a>,
    folder: &'a Path,
    read: &'a Mutex<BTreeSet<PathBuf>>,
}

impl Sources for Noting<'_> {
    fn schema(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        lock(self.read).insert(self.folder.join(path));
        self.inner.schema(path, limit)
    }

    fn secret(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        self.inner.secret(path, limit)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn registered(&self, subject: &str, version: Option<u32>) -> Result<Option<Document>, String> {
        self.inner.registered(subject, version)
    }
}

//! The measurement itself: who does what, in which order.

use super::document::{Document, FORMAT, JobFigures, Run, Setup, SubjectFigures};
use super::error::{Error, Result};
use super::job::Job;
use super::latency::Histogram;
use super::load::Input;
use super::machine::Machine;
use super::outputs::Outputs;
use super::place::Place;
use super::settings::{Settings, Watcher};
use super::stand::{Stand, create};
use super::subject::{self, Launch, Subject};
use super::workload::{Maker, Workload};
use crate::broker::Broker;
use crate::clock::Clock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// All figures.
    pub document: Document,
    /// Times by job and subject, over all rounds.
    pub histograms: BTreeMap<(Job, Subject), Histogram>,
}

/// Measures.
pub struct Bench<'a> {
    pub(super) settings: &'a Settings,
    pub(super) launch: Launch,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watcher: &'a mut dyn Watcher,
    pub(super) place: Place,
    pub(super) machine: Machine,
    pub(super) noise: Vec<String>,
    runs: BTreeMap<(Job, Subject), Vec<Run>>,
    pub(super) histograms: BTreeMap<(Job, Subject), Histogram>,
    differences: BTreeMap<Job, Option<String>>,
    drained: BTreeMap<Job, u64>,
}

impl<'a> Bench<'a> {
    /// Measures everything that the settings ask for. Whatever comes of it, what was made on the cluster and on this machine is
    /// gone afterwards, unless it is to be kept.
    pub fn run(settings: &'a Settings, clock: Arc<dyn Clock>, watcher: &'a mut dyn Watcher) -> Result<Finished> {
        let machine = Machine::here();
        let noise: Vec<String> = machine.noise().into_iter().collect();
        noise.iter().for_each(|text| watcher.note(text));
        let mut bench = Self {
            launch: Launch {
                brokers: settings.brokers.clone(),
                properties: settings.properties.clone(),
                threads: settings.threads,
                store: settings.store,
                validate: settings.validate,
                compression: settings.compression.clone(),
                commit_interval: settings.commit_interval,
                peer: settings.peer.clone(),
            },
            place: Place::new(settings)?,
            settings,
            clock,
            watcher,
            machine,
            noise,
            runs: BTreeMap::new(),
            histograms: BTreeMap::new(),
            differences: BTreeMap::new(),
            drained: BTreeMap::new(),
        };
        let measured = settings.jobs.iter().try_for_each(|job| bench.job(*job));
        bench.watcher.begin("tidying up", 0);
        // A failure to tidy up is told, but is not worth the figures.
        if !settings.keep
            && let Err(error) = bench.place.tidy_up(&*bench.clock)
        {
            bench.watcher.note(&format!("not everything could be taken away: {error}"));
        }
        measured.map(|()| bench.finish())
    }

    /// A job in all its rounds.
    fn job(&mut self, job: Job) -> Result<()> {
        let records = self.settings.records.unwrap_or_else(|| job.usual_records());
        let mut input = self.filled(job, "in", records)?;
        self.drained.insert(job, records);
        for round in 0..self.settings.repeat {
            self.round(job, round, &mut input)?;
            // The disk of the cluster need not hold all rounds.
            if !self.settings.keep {
                self.place.clear(&[&input.topic])?;
            }
        }
        if self.settings.keep { Ok(()) } else { self.place.clear(&[]) }
    }

    /// Everybody drains, then everybody keeps pace, then everybody starts again: what the machine does meanwhile meets all alike.
    fn round(&mut self, job: Job, round: u32, input: &mut Input) -> Result<()> {
        let mut subjects: Vec<Subject> =
            self.settings.subjects.iter().copied().filter(|subject| subject::can(*subject, job)).collect();
        // Who comes first changes from round to round.
        let first = round as usize % subjects.len().max(1);
        subjects.rotate_left(first);
        let mut done = Vec::new();
        for subject in &subjects {
            let stand = self.place.stand(job, *subject, &input.topic, self.settings.partitions)?;
            let run = self.drain(&stand, input)?;
            done.push((stand, run));
        }
        self.judge(job, &done, input)?;
        if let Some(rate) = self.rate(&done) {
            for (stand, run) in &mut done {
                run.latency = Some(self.keep_pace(stand, rate)?);
            }
        }
        if self.settings.restart && job.has_state() {
            for (stand, run) in done.iter_mut().filter(|(stand, _)| stand.subject.does_the_job()) {
                self.start_again(stand, run, input)?;
            }
        }
        for (stand, run) in done.iter_mut().filter(|(stand, _)| stand.subject.does_the_job()) {
            if self.settings.restart && job.has_state() || job == Job::Saga {
                self.weigh(stand, run, input)?;
            }
        }
        for (stand, run) in done {
            self.runs.entry((job, stand.subject)).or_default().push(run);
        }
        Ok(())
    }

    /// A topic with so many records of a job.
    pub(super) fn filled(&mut self, job: Job, name: &str, records: u64) -> Result<Input> {
        let settings = self.settings;
        let topic = self.place.topic(job, name);
        create(&self.place.kafka, &topic, settings.partitions)?;
        let workload = Workload {
            seed: settings.seed,
            keys: settings.keys,
            skew: settings.skew,
            bytes: settings.bytes,
            by_order: job.is_by_order(),
        };
        let mut input = Input::new(topic, settings.partitions, Maker::new(workload), self.place.kafka.producer()?);
        self.watcher.begin(&format!("{job}: filling"), records);
        let watcher = &mut *self.watcher;
        input.fill(job, records, &*self.clock, &mut |sent| {
            watcher.at(sent);
            if watcher.stop_asked() { Err(Error::Stopped) } else { Ok(()) }
        })?;
        Ok(input)
    }

    /// Has everybody done the job, and the same?
    fn judge(&mut self, job: Job, done: &[(Stand, Run)], input: &Input) -> Result<()> {
        let mut seen: Option<Outputs> = None;
        for (stand, _) in done {
            self.watcher.begin(&format!("{job}: outputs of {}", stand.subject), 0);
            let outputs = Outputs::of(&self.place.kafka, &stand.output)?;
            let wanted = input.outputs_of(stand.subject);
            if outputs.records != wanted {
                let who = format!("`{job}` of {}", stand.subject);
                return Err(Error::Outputs { who, found: outputs.records, wanted });
            }
            if !stand.subject.does_the_job() {
                continue;
            }
            match &seen {
                None => seen = Some(outputs),
                Some(first) => {
                    let difference = first.difference(&outputs);
                    let known = self.differences.entry(job).or_default();
                    *known = known.take().or(difference);
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Finished {
        let settings = self.settings;
        let mut jobs = BTreeMap::new();
        for (job, records) in &self.drained {
            let of = |subject: Subject| {
                let runs = self.runs.get(&(*job, subject))?;
                let times = self.histograms.get(&(*job, subject));
                Some(SubjectFigures::of(runs, times))
            };
            let mut figures = JobFigures {
                records: *records,
                skald: of(Subject::Skald),
                peer: of(Subject::Peer),
                floor: of(Subject::Floor),
                ..JobFigures::default()
            };
            if let Some(difference) = self.differences.get(job) {
                figures.outputs_equal = Some(difference.is_none());
                figures.difference.clone_from(difference);
            }
            figures.relate();
            jobs.insert(job.name().to_owned(), figures);
        }
        let document = Document {
            format: FORMAT,
            skald: env!("CARGO_PKG_VERSION").to_owned(),
            command: settings.command.clone(),
            machine: self.machine,
            settings: Setup {
                seed: settings.seed,
                keys: settings.keys,
                skew: settings.skew,
                bytes: settings.bytes,
                partitions: settings.partitions,
                compression: settings.compression.clone(),
                threads: settings.threads,
                store: settings.store.name().to_owned(),
                validate: settings.validate,
                commit_interval_ms: u64::try_from(settings.commit_interval.as_millis()).unwrap_or(u64::MAX),
                repeat: settings.repeat,
                peer: settings.peer.as_ref().map(|_| "kafka-streams".to_owned()),
            },
            jobs,
            noise: self.noise,
        };
        Finished { document, histograms: self.histograms }
    }
}

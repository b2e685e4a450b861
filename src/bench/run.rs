//! The measurement itself: who does what, in which order.

use super::document::{Document, Drained, FORMAT, JobFigures, Latency, Restored, Run, Setup, SubjectFigures};
use super::error::{Error, Result};
use super::job::Job;
use super::latency::Histogram;
use super::load::{Input, Schedule};
use super::machine::{self, Machine};
use super::outputs::{Outputs, Sizes};
use super::place::Place;
use super::process::{Usage, Worker};
use super::stand::{Stand, create, parts};
use super::subject::{self, Launch, Peer, Store, Subject};
use super::workload::{Maker, Workload, number_of};
use crate::broker::kafka::Kafka;
use crate::broker::{Broker, Isolation, Limit};
use crate::clock::Clock;
use crate::record::{Offset, TopicPartition};
use crate::telemetry::process_usage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a bench is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Brokers to connect to first.
    pub brokers: String,
    /// Properties for librdkafka; they were taken once already.
    pub properties: Vec<(String, String)>,
    /// What to measure, in this order.
    pub jobs: Vec<Job>,
    /// Whom, in the first round in this order.
    pub subjects: Vec<Subject>,
    /// The other engine, where it is among them.
    pub peer: Option<Peer>,
    /// Records to drain; `None`: as many as are usual for the job.
    pub records: Option<u64>,
    /// What the records follow from.
    pub seed: u64,
    /// Customers.
    pub keys: u64,
    /// Exponent of Zipf's law.
    pub skew: f64,
    /// Bytes of a value.
    pub bytes: usize,
    /// Of all topics.
    pub partitions: u32,
    /// Of inputs and outputs, in the client's words.
    pub compression: String,
    /// Of a worker.
    pub threads: u16,
    /// Where states are kept.
    pub store: Store,
    /// Does the engine check messages against their schemas?
    pub validate: bool,
    /// Of all subjects.
    pub commit_interval: Duration,
    /// Constant rate after the drain.
    pub pace: Pace,
    /// So long.
    pub paced_for: Duration,
    /// Start the worker again, with its states and without?
    pub restart: bool,
    /// Rounds.
    pub repeat: u32,
    /// Brokers of this machine, whose CPU is told apart.
    pub broker_pids: Vec<u32>,
    /// What all names begin with.
    pub prefix: String,
    /// Leave topics, groups and folders as they are at the end?
    pub keep: bool,
    /// Where folders are made.
    pub folder: PathBuf,
    /// The command line, for the record.
    pub command: String,
}

/// A constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// None: only drain.
    Off,
    /// Half of what the slowest of the round drained.
    Half,
    /// So many a second.
    At(u64),
}

/// Told how it goes, and asked whether it should.
pub trait Watcher {
    /// Something begins that has so many records.
    fn begin(&mut self, what: &str, records: u64);
    /// So many of them are done.
    fn at(&mut self, done: u64);
    /// Something to know.
    fn note(&mut self, text: &str);
    /// Is an end asked for?
    fn stop_asked(&self) -> bool;
}

/// What came of it.
#[derive(Debug)]
pub struct Finished {
    /// All figures.
    pub document: Document,
    /// Times by job and subject, over all rounds.
    pub histograms: BTreeMap<(Job, Subject), Histogram>,
}

/// One record in so many is worked off before figures are taken.
const WARM_SHARE: u64 = 10;
/// Records that a worker has worked off before others come at a constant rate.
const PACED_WARM: u64 = 1_000;
/// The first part of the time at a constant rate that does not count: a JVM compiles then, caches fill.
const PACED_WARM_SHARE: u64 = 5;
/// Without any progress for so long a worker is given up.
const STALLED: Duration = Duration::from_secs(120);
/// How often the cluster is asked how far a worker is.
const LOOK: Duration = Duration::from_millis(25);
/// The same where the moment itself is what is wanted.
const CLOSE_LOOK: Duration = Duration::from_millis(5);
/// From the decision to send at a constant rate to the first record.
const LEAD: Duration = Duration::from_millis(200);
/// One poll for outputs.
const POLL: Limit = Limit { records: 1_000, time: Duration::from_millis(20) };
/// What is lost in waiting for outputs is the cluster's and the worker's, not that of whoever measures.
const PROMPT: [(&str, &str); 1] = [("consumer.fetch.wait.max.ms", "5")];

/// Measures.
pub struct Bench<'a> {
    settings: &'a Settings,
    launch: Launch,
    clock: Arc<dyn Clock>,
    watcher: &'a mut dyn Watcher,
    place: Place,
    machine: Machine,
    noise: Vec<String>,
    runs: BTreeMap<(Job, Subject), Vec<Run>>,
    histograms: BTreeMap<(Job, Subject), Histogram>,
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
        }
        Ok(())
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
    fn filled(&mut self, job: Job, name: &str, records: u64) -> Result<Input> {
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

    /// Lets a worker work the input off.
    fn drain(&mut self, stand: &Stand, input: &Input) -> Result<Run> {
        stand.set_up(&self.place.kafka)?;
        let target = input.sent;
        self.watcher.begin(&format!("{}: {} drains", stand.job, stand.subject), target);
        let mut meter = stand.meter(&self.place.kafka)?;
        let began = self.mark(Usage::default())?;
        let mut worker = self.launch.worker(stand)?;
        let (mut from, mut warm) = ((0, began), false);
        let mut patience = Patience::new(&*self.clock);
        let to = loop {
            let done = meter.done()?;
            let mark = self.mark(worker.usage()?)?;
            if done >= target {
                break mark;
            }
            if !warm && done >= (target / WARM_SHARE).max(1) {
                (from, warm) = ((done, mark), true);
            }
            self.watcher.at(done);
            patience.look(done, target, &worker, &*self.clock)?;
            self.pause(&mut worker, LOOK)?;
        };
        worker.stop(&*self.clock)?;
        let (since, begun) = from;
        let elapsed = to.at.saturating_sub(begun.at);
        let brokers = to.brokers.saturating_sub(begun.brokers);
        let cpu = to.worker.cpu.saturating_sub(begun.worker.cpu);
        if !self.settings.broker_pids.is_empty() {
            let own = to.own.saturating_sub(begun.own);
            let others = to.busy.saturating_sub(begun.busy).saturating_sub(brokers + cpu + own);
            let what = format!("{} of {}", stand.job, stand.subject);
            if let Some(noise) = self.machine.noise_of_others(others, elapsed, &what) {
                self.watcher.note(&noise);
                self.noise.push(noise);
            }
        }
        Ok(Run {
            drained: Drained {
                records: target - since,
                with_start: !warm,
                seconds: elapsed.as_secs_f64(),
                cpu_seconds: cpu.as_secs_f64(),
                broker_cpu_seconds: (!self.settings.broker_pids.is_empty()).then_some(brokers.as_secs_f64()),
                peak_rss_bytes: to.worker.peak_rss_bytes,
            },
            ..Run::default()
        })
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

    /// The constant rate of this round.
    fn rate(&self, done: &[(Stand, Run)]) -> Option<u64> {
        match self.settings.pace {
            Pace::Off => None,
            Pace::At(rate) => Some(rate),
            Pace::Half => {
                let rates = done.iter().map(|(_, run)| run.drained.records as f64 / run.drained.seconds.max(1e-3));
                Some((rates.fold(f64::INFINITY, f64::min) / 2.0).max(1.0) as u64)
            }
        }
    }

    /// Sends at a constant rate to a worker that begins anew, and takes the time of every output.
    fn keep_pace(&mut self, drained: &Stand, rate: u64) -> Result<Latency> {
        let (job, subject) = (drained.job, drained.subject);
        let records = (rate as f64 * self.settings.paced_for.as_secs_f64()).max(1.0) as u64;
        let mut input = self.filled(job, "paced-in", PACED_WARM.min(records))?;
        let stand = self.place.stand(job, subject, &input.topic, self.settings.partitions)?;
        stand.set_up(&self.place.kafka)?;
        let mut worker = self.launch.worker(&stand)?;
        self.watcher.begin(&format!("{job}: {subject} at {rate} a second"), records);
        self.wait_for(&stand, &mut worker, input.sent, LOOK)?;

        let mut reader = self.place.kafka_with(&PROMPT)?.log_reader(Isolation::ReadCommitted)?;
        let from: Vec<(TopicPartition, Offset)> =
            parts(&stand.output, stand.partitions).into_iter().map(|part| (part, 0)).collect();
        reader.assign(&from)?;
        let first = input.sent;
        let counted_from = first + records / PACED_WARM_SHARE;
        let schedule = Schedule::new(rate, self.clock.mono() + LEAD);
        let (mut histogram, mut seen) = (Histogram::new(), 0);
        let (clock, stop) = (self.clock.clone(), AtomicBool::new(false));
        let outcome = std::thread::scope(|scope| {
            let (own, stop) = (clock.clone(), &stop);
            let mut sender = Some(scope.spawn(move || {
                let sent = input.follow(job, records, schedule, &*own, &|| stop.load(Ordering::Relaxed));
                sent.map(|()| input.outputs_of(subject))
            }));
            let mut wanted = None;
            let mut patience = Patience::new(&*clock);
            let mut look = || -> Result<()> {
                while wanted != Some(seen) {
                    let polled = reader.poll(POLL, &mut |record| {
                        seen += 1;
                        let number = record.value.and_then(number_of).unwrap_or_default();
                        if number >= counted_from {
                            histogram.add(clock.mono().saturating_sub(schedule.due(number - first)));
                        }
                    });
                    if polled.is_err() {
                        // Whoever stalls for long is given up below.
                        std::thread::sleep(CLOSE_LOOK);
                    }
                    if let Some(ended) = sender.take_if(|sender| sender.is_finished()) {
                        let sent = ended.join().unwrap_or(Err(Error::Stopped));
                        wanted = Some(sent?);
                    }
                    self.watcher.at(seen);
                    worker.runs()?;
                    patience.look(seen, wanted.unwrap_or(records), &worker, &*clock)?;
                    if self.watcher.stop_asked() {
                        return Err(Error::Stopped);
                    }
                }
                Ok(())
            };
            let outcome = look();
            // The sender is waited for; after a failure it need not go on.
            stop.store(true, Ordering::Relaxed);
            outcome
        });
        outcome?;
        worker.stop(&*self.clock)?;
        let latency = latency_of(&histogram, rate);
        self.histograms.entry((job, subject)).or_default().merge(&histogram);
        Ok(latency)
    }

    /// Starts the worker once more with its states and once without, each time with a record that waits for it.
    fn start_again(&mut self, stand: &mut Stand, run: &mut Run, input: &mut Input) -> Result<()> {
        run.restart_s = Some(self.start_with_a_record(stand, input)?.0.as_secs_f64());
        stand.fresh += 1;
        let (ready, restored) = self.start_with_a_record(stand, input)?;
        if let Some((records, seconds)) = restored {
            run.restored = Some(Restored { records, seconds, ready_s: ready.as_secs_f64() });
        }
        Ok(())
    }

    fn start_with_a_record(&mut self, stand: &Stand, input: &mut Input) -> Result<(Duration, Option<(u64, f64)>)> {
        input.fill(stand.job, 1, &*self.clock, &mut |_| Ok(()))?;
        self.watcher.begin(&format!("{}: {} starts again", stand.job, stand.subject), input.sent);
        let begun = self.clock.mono();
        let mut worker = self.launch.worker(stand)?;
        self.wait_for(stand, &mut worker, input.sent, CLOSE_LOOK)?;
        let took = self.clock.mono().saturating_sub(begun);
        let restored = subject::restored(&worker);
        worker.stop(&*self.clock)?;
        Ok((took, restored))
    }

    /// What the worker's states and all its records take on the cluster.
    fn weigh(&mut self, stand: &Stand, run: &mut Run, input: &Input) -> Result<()> {
        let (mut states, mut all) = (Sizes::default(), Sizes::default());
        for topic in self.place.topics_of(stand)? {
            let is_state = ["changelog", "snapshots"].iter().any(|end| topic.ends_with(end));
            if is_state {
                states.add(&self.place.kafka, &topic)?;
            } else if stand.job == Job::Saga {
                all.add(&self.place.kafka, &topic)?;
            }
        }
        let per_record = |bytes: u64| bytes as f64 / input.sent.max(1) as f64;
        run.state_bytes_per_record = Some(per_record(states.last));
        run.log_bytes_per_record = (stand.job == Job::Saga).then(|| per_record(states.all + all.all));
        Ok(())
    }

    /// Until so many records are done.
    fn wait_for(&mut self, stand: &Stand, worker: &mut Worker, target: u64, every: Duration) -> Result<()> {
        let mut meter = stand.meter(&self.place.kafka)?;
        let mut patience = Patience::new(&*self.clock);
        loop {
            let done = meter.done()?;
            if done >= target {
                return Ok(());
            }
            patience.look(done, target, worker, &*self.clock)?;
            self.pause(worker, every)?;
        }
    }

    fn pause(&self, worker: &mut Worker, pause: Duration) -> Result<()> {
        if self.watcher.stop_asked() {
            return Err(Error::Stopped);
        }
        subject::wait_a_little(worker, &*self.clock, pause)
    }

    fn mark(&self, worker: Usage) -> Result<Mark> {
        let brokers = Usage::of_all(&self.settings.broker_pids)?.cpu;
        Ok(Mark { at: self.clock.mono(), worker, brokers, own: process_usage().cpu, busy: machine::busy() })
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

/// What everybody has used at a moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Duration,
    worker: Usage,
    brokers: Duration,
    own: Duration,
    busy: Duration,
}

/// Ends where nothing moves.
struct Patience {
    last: u64,
    since: Duration,
}

impl Patience {
    fn new(clock: &dyn Clock) -> Self {
        Self { last: 0, since: clock.mono() }
    }

    fn look(&mut self, done: u64, wanted: u64, worker: &Worker, clock: &dyn Clock) -> Result<()> {
        let now = clock.mono();
        if done != self.last {
            (self.last, self.since) = (done, now);
        }
        if now.saturating_sub(self.since) <= STALLED {
            return Ok(());
        }
        let (who, said, seconds) = (worker.who.clone(), worker.said(), STALLED.as_secs());
        Err(Error::Stalled { who, done, wanted, seconds, said })
    }
}

pub(super) fn latency_of(histogram: &Histogram, rate: u64) -> Latency {
    Latency {
        rate,
        count: histogram.count(),
        p50_ms: histogram.at(0.5),
        p90_ms: histogram.at(0.9),
        p99_ms: histogram.at(0.99),
        p99_9_ms: histogram.at(0.999),
        p99_99_ms: histogram.at(0.9999),
        max_ms: histogram.longest(),
    }
}

/// A client with these properties over those given.
pub(super) fn client(settings: &Settings, more: &[(&str, &str)]) -> Result<Kafka> {
    let mut properties = crate::broker::kafka::Properties::new(&settings.brokers);
    let given = settings.properties.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let own = [("producer.compression.type", settings.compression.as_str())];
    for (key, value) in given.chain(own).chain(more.iter().copied()) {
        properties.set(key, value)?;
    }
    Ok(Kafka::new(properties)?)
}

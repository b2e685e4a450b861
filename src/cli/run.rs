//! `skald run`: topologies on a Kafka cluster.

use super::cluster;
use super::fleet::{Fleet, serve};
use super::gate;
use super::load::{Checked, Reading};
use super::problem::Problem;
use super::schemas::{self, Subjects};
use super::signals::Signals;
use crate::applied::{Applied, Known};
use crate::broker::{self, Broker, Parting, kafka};
use crate::clock::{Clock, SystemClock};
use crate::config::{Colors, Exit, GroupProtocol, Guarantee, LetterHeaders, Run};
use crate::dlq::Spelling;
use crate::node::Versions;
use crate::runtime;
use crate::state::{Directory, Disk};
use std::sync::Arc;

pub(super) fn run(settings: &Run, color: Colors) -> Result<Exit, Problem> {
    let registry = schemas::client(settings.registry.as_ref())?;
    let subjects = Subjects::of(registry.as_ref());
    let all = Reading::with(&settings.paths, &settings.params, subjects.as_ref())?.checked(color.talk)?;
    let protocol = match settings.group.protocol {
        GroupProtocol::Classic => kafka::GroupProtocol::Classic,
        GroupProtocol::Consumer => kafka::GroupProtocol::Consumer,
    };
    let kafka = cluster::member(&settings.cluster, protocol)?;
    let registry = registry.map(schemas::Named::start).transpose()?;
    no_core_dumps();
    let signals = Signals::take()?;
    cluster::contact(&kafka, &settings.cluster)?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let state = |error: &crate::state::Error| {
        Problem::of(Exit::Failed, error).hint("each worker of a host has a state directory of its own: `--state-dir`")
    };
    // Held to the end: its lock keeps a second process away from the stores.
    let directory = Directory::open(&settings.state_dir).map_err(|error| state(&error))?;
    let worker = match &settings.worker {
        Some(worker) => worker.as_str().into(),
        None => directory.worker(&*clock).map_err(|error| state(&error))?,
    };
    let broker: Arc<dyn Broker> = Arc::new(kafka);
    let mut fleet = Fleet::new();
    for checked in &all {
        let gate::Admitted { to_record, all: applied } = match gate::admit(&*broker, checked, &*clock) {
            Ok(admitted) => admitted,
            Err(problem) => {
                fleet.stop();
                return Err(problem);
            }
        };
        let path = directory.of_topology(&checked.plan.topology).map_err(|error| state(&error))?;
        let (disk, damage) = Disk::open_or_set_aside(&path).map_err(|error| state(&error))?;
        if let Some(damage) = damage {
            tracing::warn!(topology = %checked.plan.topology, %damage, "the stores were damaged and set aside; they are restored");
        }
        let engine = runtime::Settings {
            worker: Some(worker.clone()),
            guarantee: match settings.guarantee {
                Guarantee::ExactlyOnce => broker::Guarantee::ExactlyOnce,
                Guarantee::AtLeastOnce => broker::Guarantee::AtLeastOnce,
            },
            threads: settings.threads,
            commit_interval: settings.group.commit_interval,
            session_timeout: settings.group.session_timeout,
            max_poll_interval: settings.group.max_poll_interval,
            transaction_timeout: settings.group.transaction_timeout,
            purge_interval: settings.purge_interval,
            parting: if settings.stay { Parting::Stay } else { Parting::Leave },
            stop_deadline: settings.stop_timeout,
            letters: match settings.letters {
                LetterHeaders::Streams => Spelling::Streams,
                LetterHeaders::Connect => Spelling::Connect,
                LetterHeaders::Spring => Spelling::Spring,
            },
            ..runtime::Settings::default()
        };
        let book = match schemas::book(registry.as_ref(), checked) {
            Ok(book) => book,
            Err(problem) => {
                fleet.stop();
                return Err(problem.within(&format!("topology `{}`", checked.plan.topology)));
            }
        };
        let versions = (!checked.topology.sagas.is_empty()).then(|| {
            let (topology, plan, secrets) = (checked.topology.clone(), checked.plan.clone(), Box::new(checked.sources()));
            let known = Known::new(applied, topology, plan, broker.clone(), secrets).with_book(book.clone());
            Arc::new(known) as Arc<dyn Versions>
        });
        let mut record = || to_record.as_ref().map_or(Ok(()), |entry| recorded(&*broker, checked, &*clock, entry));
        let (disk, create) = (Arc::new(disk), settings.create_topics);
        let started = fleet.start(checked, versions, &mut record, &broker, disk, &clock, engine, create, Some(book));
        if let Err(problem) = started {
            // What runs already lets go in order.
            fleet.stop();
            return Err(problem.within(&format!("topology `{}`", checked.plan.topology)));
        }
        tracing::info!(topology = %checked.plan.topology, %worker, threads = settings.threads, "started");
    }
    let server = match serve(settings.listen, fleet.surface()) {
        Ok(server) => server,
        Err(problem) => {
            fleet.stop();
            return Err(problem);
        }
    };
    let ended = fleet.wait(&signals);
    drop(server);
    drop(directory);
    ended.problem.map_or(Ok(ended.exit), Err)
}

/// Records what is to run, before it begins. Whoever may not make or write the topic applies by `skald apply`; what another has applied
/// meanwhile holds. Instances of sagas keep what they began with, so these wait until it is recorded.
fn recorded(broker: &dyn Broker, checked: &Checked, clock: &dyn Clock, entry: &Applied) -> Result<(), Problem> {
    let Err(problem) = gate::record(broker, clock, entry) else { return Ok(()) };
    let Ok(admitted) = gate::admit(broker, checked, clock) else { return Err(problem) };
    if admitted.to_record.is_none() {
        return Ok(());
    }
    if !checked.topology.sagas.is_empty() {
        return Err(
            problem.hint("instances of sagas keep the definition that they began with: record it by `skald apply` first")
        );
    }
    tracing::warn!(topology = %checked.plan.topology, "the definition is not recorded: {problem}");
    Ok(())
}

/// A core dump would put records and credentials on disk.
fn no_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
}

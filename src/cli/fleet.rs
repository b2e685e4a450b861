//! The engines of a process: started together, watched, stopped together.

use super::cluster::with_right;
use super::load::Checked;
use super::problem::Problem;
use super::signals::Signals;
use crate::api;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::{Exit, Listen};
use crate::desk::{Desk, Timeline, View};
use crate::node::{Book, Versions, World};
use crate::record::Text;
use crate::runtime::{self, Engine, Prepared, Program, Running, Settings, Watch};
use crate::state::Stores;
use crate::telemetry::Telemetry;
use crate::topology::plan::{self, NodeKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often the process looks whether something has ended or a signal came.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// So many records of a history are looked through for one request.
const HISTORY_RECORDS_MAX: u64 = 1_000_000;

/// A topology that runs.
pub(super) struct Member {
    pub(super) checked: Checked,
    pub(super) prepared: Arc<Prepared>,
    pub(super) watch: Watch,
    broker: Arc<dyn Broker>,
    running: Running,
}

/// All topologies of this process.
pub(super) struct Fleet {
    pub(super) members: Vec<Member>,
    telemetry: Telemetry,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) problem: Option<Problem>,
}

impl Fleet {
    pub(super) fn new() -> Self {
        Self { members: Vec::new(), telemetry: Telemetry::new() }
    }

    /// Compares a topology with the cluster, creates what it needs, and starts its engine; before that, `record` notes what is to
    /// begin. Instances of its sagas may have begun under these versions. Without a book its schemas are in this process.
    #[allow(clippy::too_many_arguments, reason = "each is another thing that an engine is started with")]
    pub(super) fn start(
        &mut self,
        checked: &Checked,
        versions: Option<Arc<dyn Versions>>,
        record: &mut dyn FnMut() -> Result<(), Problem>,
        broker: &Arc<dyn Broker>,
        stores: Arc<dyn Stores>,
        clock: &Arc<dyn Clock>,
        settings: Settings,
        create_declared: bool,
        book: Option<Book>,
    ) -> Result<(), Problem> {
        let admin = broker.admin().map_err(|error| Problem::of(Exit::BrokerUnreachable, &error))?;
        let prepared = runtime::prepare(&checked.plan, &*admin, create_declared).map_err(|error| failed(&error))?;
        runtime::refuse_other_plans(&*admin, &checked.plan).map_err(|error| failed(&error))?;
        for topic in &prepared.created {
            tracing::info!(topology = %checked.plan.topology, %topic, "topic created");
        }
        record()?;
        let prepared = Arc::new(prepared);
        let (topology, plan) = (checked.topology.clone(), checked.plan.clone());
        let book = book.unwrap_or_else(|| Book::embedded(&topology));
        let world = World::with_book(topology, plan, book, versions);
        let program = Arc::new(Program::compile(&world).with_letters(settings.letters));
        let engine = Engine {
            program,
            prepared: prepared.clone(),
            broker: broker.clone(),
            stores,
            clock: clock.clone(),
            settings,
            telemetry: self.telemetry.clone(),
        };
        let running = engine.start().map_err(|error| failed(&error))?;
        let (watch, broker) = (running.watch(), broker.clone());
        self.members.push(Member { checked: checked.clone(), prepared, watch, broker, running });
        Ok(())
    }

    /// What HTTP shows of it.
    pub(super) fn surface(&self) -> api::Surface {
        let topologies = self.members.iter().map(|member| {
            let plan = &member.checked.plan;
            let aggregates = plan.stores.iter().filter_map(|store| {
                let snapshots = store.snapshots?;
                Some(api::Aggregate {
                    name: store.name.clone(),
                    snapshots: plan.topics[snapshots].name.clone(),
                    partitions: member.prepared.topics[snapshots].partitions,
                })
            });
            let sagas = plan.nodes.iter().filter_map(|node| {
                let NodeKind::Saga(saga) = node.kind else { return None };
                let changelog = plan.stores[node.store?].changelog?;
                let history = member.checked.topology.sagas[saga].history;
                Some(api::Saga {
                    name: node.name.clone(),
                    changelog: plan.topics[changelog].name.clone(),
                    history: plan.topics[history].name.clone(),
                    partitions: member.prepared.topics[changelog].partitions,
                    timelines: Arc::new(Histories {
                        broker: member.broker.clone(),
                        topology: plan.topology.clone(),
                        saga: node.name.clone(),
                        partitions: member.prepared.topics[changelog].partitions,
                        reading: Mutex::new(()),
                    }),
                })
            });
            api::Topology {
                name: plan.topology.clone(),
                description: plan::json(&member.checked.topology, plan),
                aggregates: aggregates.collect(),
                sagas: sagas.collect(),
                letters: api::Letters {
                    topic: plan.topics[plan.dead_letters].name.to_string(),
                    broker: member.broker.clone(),
                    reading: Mutex::new(()),
                },
                engine: Arc::new(member.watch.clone()),
            }
        });
        let telemetry = self.telemetry.clone();
        api::Surface { topologies: topologies.collect(), metrics: Box::new(move || telemetry.render()) }
    }

    /// Has one of the engines ended?
    pub(super) fn is_over(&self) -> bool {
        self.members.iter().any(|member| member.running.is_over())
    }

    /// Waits until it is asked to stop or one of the engines has ended. Then all are stopped.
    pub(super) fn wait(self, signals: &Signals) -> Ended {
        while !signals.stop_asked() && !self.is_over() {
            std::thread::park_timeout(LOOK_EVERY);
        }
        self.stop()
    }

    /// Stops all engines in order; the worst of their ends.
    pub(super) fn stop(self) -> Ended {
        for member in &self.members {
            member.watch.stop();
        }
        let mut ended = Ended { exit: Exit::Ok, problem: None };
        for member in self.members {
            let topology = member.checked.plan.topology.clone();
            match member.running.wait() {
                runtime::Exit::Stopped => tracing::info!(%topology, "stopped, everything is committed"),
                runtime::Exit::Interrupted => ended.exit = Exit::Failed,
                runtime::Exit::Failed(error) => {
                    let problem = failed(&error);
                    ended.exit = problem.exit;
                    ended.problem = Some(problem.within(&format!("topology `{topology}`")));
                }
            }
        }
        ended
    }
}

/// The histories of a saga, read from the cluster.
struct Histories {
    broker: Arc<dyn Broker>,
    topology: Text,
    saga: Text,
    partitions: u32,
    /// One at a time: each takes clients of its own.
    reading: Mutex<()>,
}

impl api::Timelines for Histories {
    fn of(&self, view: &View) -> Result<(Timeline, bool), String> {
        let Ok(_reading) = self.reading.try_lock() else {
            return Err("another timeline is being read: ask again".to_owned());
        };
        let desk = Desk::known(&*self.broker, self.topology.clone(), self.saga.clone(), self.partitions);
        desk.timeline(view, HISTORY_RECORDS_MAX).map_err(|error| error.to_string())
    }
}

/// Starts HTTP where it is wanted.
pub(super) fn serve(listen: Listen, surface: api::Surface) -> Result<Option<api::Server>, Problem> {
    let Listen::At(address) = listen else { return Ok(None) };
    let server = api::start(api::Settings::at(address), surface).map_err(|error| {
        Problem::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
            .hint("choose another address with `--listen`, or `--listen off`")
    })?;
    tracing::info!(address = %server.address(), "HTTP endpoints are there");
    Ok(Some(server))
}

/// The engine's own errors, with the code that scripts act on.
fn failed(error: &runtime::Error) -> Problem {
    match error {
        runtime::Error::Broker(cause) if cause.class == crate::broker::ErrorClass::Retry => {
            Problem::of(Exit::BrokerUnreachable, error)
        }
        runtime::Error::Broker(cause) | runtime::Error::Permanent(cause) => with_right(Problem::of(Exit::Failed, error), cause),
        _ => Problem::of(Exit::Failed, error),
    }
}

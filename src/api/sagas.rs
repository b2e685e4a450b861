//! Sagas: instances of this worker's partitions, and one by its id.

use super::routes::{json_response, moment_text};
use super::{Problem, Saga, Surface, Timelines, Topology};
use crate::clock::{Clock, SystemClock};
use crate::desk::{Filter, View, Wanted};
use crate::record::{Millis, Partition, Text, Value, json, partition_of};
use crate::runtime::{Lookup, Reader};
use crate::saga::Status;
use crate::state::layout::{Tag, entity};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json as object;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Instances that one answer has at most, and by default.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 100;

#[derive(Default, serde::Deserialize)]
pub(super) struct Chosen {
    topology: Option<String>,
    saga: Option<String>,
    status: Option<String>,
    #[serde(default)]
    stuck: bool,
    #[serde(rename = "where")]
    filter: Option<String>,
    limit: Option<usize>,
    timeline: Option<bool>,
}

/// The instances of this worker's partitions that are wanted, those that changed last first; counted are all of them.
pub(super) async fn list(
    State(surface): State<Arc<Surface>>,
    query: Result<Query<Chosen>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(chosen)) = query else { return Err(Problem::Malformed) };
    let wanted = wanted(&chosen)?;
    let limit = chosen.limit.unwrap_or(LIMIT).min(LIMIT_MAX);
    // Whole stores are read: not on a thread that serves others.
    let task = tokio::task::spawn_blocking(move || {
        let sagas = chosen.of(&surface);
        sagas.into_iter().map(|(topology, saga)| listed(topology, saga, &wanted, limit)).collect::<Result<Vec<_>, _>>()
    });
    let sagas = task.await.map_err(|_| Problem::Store)??;
    Ok(json_response(StatusCode::OK, object!({ "sagas": sagas }).to_string()))
}

fn wanted(chosen: &Chosen) -> Result<Wanted, Problem> {
    let statuses = chosen.status.as_deref().unwrap_or_default().split(',').filter(|name| !name.is_empty());
    let statuses = statuses.map(|name| Status::from_name(name).ok_or(Problem::Malformed)).collect::<Result<_, _>>()?;
    let filter = chosen.filter.as_deref().map(|text| Filter::compile(text, SystemClock::new().wall())).transpose();
    let filter = filter.map_err(|findings| Problem::Expression {
        findings: findings.iter().map(|found| format!("{}: {}", found.code, found.message).into()).collect(),
    })?;
    Ok(Wanted { statuses, stuck: chosen.stuck, filter })
}

fn listed(topology: &Topology, saga: &Saga, wanted: &Wanted, limit: usize) -> Result<serde_json::Value, Problem> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut newest: BTreeMap<(std::cmp::Reverse<Millis>, Text), View> = BTreeMap::new();
    let (mut here, mut unreadable) = (0_u32, 0_u64);
    for partition in 0..saga.partitions {
        let partition = Partition::try_from(partition).map_err(|_| Problem::Store)?;
        let (Lookup::Running(reader) | Lookup::Halted(reader, _)) = topology.engine.find(&saga.name, partition) else {
            continue;
        };
        here += 1;
        let scanned = reader.store.scan(&Tag::State.range(b""), &mut |key, stored| {
            match read(key.get(1..).unwrap_or_default(), stored) {
                Some(Some(view)) if wanted.holds(&view) => {
                    *counts.entry(view.status.name()).or_default() += 1;
                    newest.insert((std::cmp::Reverse(view.changed_at), view.id.clone()), view);
                    if newest.len() > limit {
                        newest.pop_last();
                    }
                }
                Some(_) => {}
                None => unreadable += 1,
            }
            true
        });
        scanned.map_err(|error| unread(&error, topology, saga))?;
    }
    Ok(object!({
        "topology": topology.name,
        "saga": saga.name,
        "partitions": { "here": here, "all": saga.partitions },
        "counts": counts,
        "unreadable": unreadable,
        "instances": newest.values().map(|view| value(&view.summary())).collect::<Vec<_>>(),
    }))
}

/// One instance, with its steps, tries, deadlines and data.
pub(super) async fn one(
    State(surface): State<Arc<Surface>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Chosen>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Ok(Path(id)), Ok(Query(chosen))) = (path, query) else { return Err(Problem::Malformed) };
    let (topology, saga) = match chosen.of(&surface).as_slice() {
        [] => return Err(Problem::UnknownSaga),
        [only] => *only,
        several => {
            let topologies = several.iter().map(|(topology, saga)| format!("{}/{}", topology.name, saga.name).into());
            return Err(Problem::AmbiguousSaga { sagas: topologies.collect() });
        }
    };
    let partition = partition_of(id.as_bytes(), saga.partitions);
    let reader: Reader = match topology.engine.find(&saga.name, partition) {
        Lookup::Running(reader) | Lookup::Halted(reader, _) => reader,
        Lookup::Restoring { done, total } => return Err(Problem::Restoring { partition, done, total }),
        Lookup::Elsewhere => return Err(Problem::Elsewhere { partition, snapshots: saga.changelog.clone() }),
    };
    let stored = reader.store.get(&Tag::State.key(id.as_bytes())).map_err(|error| unread(&error, topology, saga))?;
    let view = match stored.map(|stored| read(id.as_bytes(), &stored)) {
        None | Some(Some(None)) => return Err(Problem::NoState),
        Some(None) => return Err(unread(&"its row cannot be read", topology, saga)),
        Some(Some(Some(view))) => view,
    };
    let told = match chosen.timeline {
        Some(false) => None,
        _ => Some(timeline(saga.timelines.clone(), view.clone()).await?),
    };
    let mut all = value(&view.whole());
    if let Some(Told { entries, problem, complete }) = told {
        all["timeline"] = entries;
        all["timelineComplete"] = complete.into();
        if let Some(problem) = problem {
            all["timelineProblem"] = problem.into();
        }
    }
    all["topology"] = topology.name.as_str().into();
    all["saga"] = saga.name.as_str().into();
    all["committedAt"] = moment_text(reader.committed_at).into();
    all["history"] = object!({ "topic": saga.history, "partition": partition });
    Ok(json_response(StatusCode::OK, all.to_string()))
}

/// What the instance went through, from its history: of that a worker keeps nothing, so the cluster is asked.
async fn timeline(timelines: Arc<dyn Timelines>, view: View) -> Result<Told, Problem> {
    let read = tokio::task::spawn_blocking(move || timelines.of(&view));
    Ok(match read.await.map_err(|_| Problem::Store)? {
        Ok((timeline, complete)) => Told { entries: timeline.values().map(value).collect(), complete, problem: None },
        // The instance is known all the same.
        Err(why) => Told { entries: object!([]), complete: false, problem: Some(why) },
    })
}

/// What there is of a timeline.
struct Told {
    entries: serde_json::Value,
    complete: bool,
    problem: Option<String>,
}

impl Chosen {
    /// The sagas that are meant.
    fn of<'s>(&self, surface: &'s Surface) -> Vec<(&'s Topology, &'s Saga)> {
        let topologies = surface.topologies.iter();
        let topologies = topologies.filter(|topology| self.topology.as_deref().is_none_or(|name| topology.name == name));
        let sagas = topologies.flat_map(|topology| topology.sagas.iter().map(move |saga| (topology, saga)));
        sagas.filter(|(_, saga)| self.saga.as_deref().is_none_or(|name| saga.name == name)).collect()
    }
}

/// What is stored under an id; `None` where it cannot be read, `Some(None)` where no instance has begun.
fn read(id: &[u8], stored: &[u8]) -> Option<Option<View>> {
    let id = std::str::from_utf8(id).ok()?;
    let (_, row) = entity::split(stored).ok()?;
    View::read(id, json::read(row).ok()?).ok()
}

fn value(value: &Value) -> serde_json::Value {
    json::text(value).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn unread(error: &dyn std::fmt::Display, topology: &Topology, saga: &Saga) -> Problem {
    tracing::error!(topology = %topology.name, node = %saga.name, %error, "a saga could not be read for a query");
    Problem::Store
}

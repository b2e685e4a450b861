//! The endpoints.

use super::{Aggregate, Problem, Surface, Topology, letters, sagas};
use crate::record::{Millis, partition_of, timestamp_text};
use crate::runtime::{Lookup, Reader, SweepReport, TaskPhase, TaskReport};
use crate::state::layout::{Tag, entity};
use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::sync::Arc;

/// Largest body of an act.
const ACT_BYTES_MAX: usize = 64 << 10;

pub(super) fn router(surface: Arc<Surface>) -> Router {
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/topology", get(topology))
        .route("/v1/aggregates/{name}/{id}", get(aggregate))
        .route("/v1/sagas", get(sagas::list))
        .route("/v1/sagas/{id}", get(sagas::one))
        .route("/v1/dead-letters", get(letters::list))
        .route("/v1/dead-letters/replay", post(letters::replay))
        .route("/v1/dead-letters/discard", post(letters::discard))
        .route("/v1/dead-letters/{place}", get(letters::one))
        .layer(DefaultBodyLimit::max(ACT_BYTES_MAX))
        .fallback(async || Problem::UnknownPath)
        .method_not_allowed_fallback(async || Problem::Method)
        .with_state(surface)
}

async fn live() -> &'static str {
    "ok\n"
}

/// Ready when every engine has its assignment and all its tasks run; else 503 with what is still to be done.
async fn ready(State(surface): State<Arc<Surface>>) -> Response {
    let mut ready = true;
    let mut topologies = Vec::new();
    for topology in &surface.topologies {
        let snapshot = topology.engine.snapshot();
        ready &= snapshot.ready;
        let waiting: Vec<Value> =
            snapshot.tasks.iter().filter(|task| task.phase != TaskPhase::Running).map(task_json).collect();
        topologies.push(json!({
            "topology": topology.name,
            "ready": snapshot.ready,
            "tasks": snapshot.tasks.len(),
            "waiting": waiting,
        }));
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json_response(status, json!({ "ready": ready, "topologies": topologies }).to_string())
}

async fn metrics(State(surface): State<Arc<Surface>>) -> Response {
    let mut response = (surface.metrics)().into_response();
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The plans of this process with the tasks that run here.
async fn topology(State(surface): State<Arc<Surface>>) -> Response {
    let topologies: Vec<Value> = surface
        .topologies
        .iter()
        .map(|topology| {
            let snapshot = topology.engine.snapshot();
            let tasks: Vec<Value> = snapshot.tasks.iter().map(task_json).collect();
            json!({ "name": topology.name, "ready": snapshot.ready, "tasks": tasks, "plan": topology.description })
        })
        .collect();
    json_response(StatusCode::OK, json!({ "topologies": topologies }).to_string())
}

fn task_json(task: &TaskReport) -> Value {
    let (phase, halt) = match &task.phase {
        TaskPhase::Waiting => ("waiting", None),
        TaskPhase::Restoring => ("restoring", None),
        TaskPhase::Running => ("running", None),
        TaskPhase::Halted(halt) => ("halted", Some(halt)),
    };
    let mut value = json!({
        "task": task.id.to_string(),
        "subtopology": task.name,
        "partition": task.id.partition,
        "phase": phase,
        "lag": task.lag,
    });
    if task.phase == TaskPhase::Restoring {
        value["restored"] = task.restored.into();
        value["toRestore"] = task.to_restore.into();
    }
    if !task.sweeps.is_empty() {
        let sweep = |sweep: &SweepReport| {
            json!({
                "node": sweep.node, "stateVersion": sweep.state_version, "looked": sweep.looked, "migrated": sweep.migrated,
                "failed": sweep.failed, "over": sweep.over,
            })
        };
        value["sweeps"] = task.sweeps.iter().map(sweep).collect();
    }
    if let Some(halt) = halt {
        value["halted"] = json!({ "input": halt.input.to_string(), "offset": halt.offset, "reason": halt.reason });
    }
    value
}

#[derive(serde::Deserialize)]
struct Which {
    topology: Option<String>,
}

async fn aggregate(
    State(surface): State<Arc<Surface>>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Ok(Path((name, id))), Ok(Query(which))) = (path, query) else { return Err(Problem::Malformed) };
    let (topology, aggregate) = owner(&surface, &name, which.topology.as_deref())?;
    let partition = partition_of(id.as_bytes(), aggregate.partitions);
    let (reader, halted) = match topology.engine.find(&aggregate.name, partition) {
        Lookup::Running(reader) => (reader, None),
        Lookup::Halted(reader, halt) => (reader, Some(halt)),
        Lookup::Restoring { done, total } => return Err(Problem::Restoring { partition, done, total }),
        Lookup::Elsewhere => return Err(Problem::Elsewhere { partition, snapshots: aggregate.snapshots.clone() }),
    };
    let (head, state) = stored(&reader, &id, topology, aggregate)?.ok_or(Problem::NoState)?;
    let checkpoint = reader.store.checkpoint(&aggregate.snapshots).map_err(|error| unreadable(&error, topology, aggregate))?;
    let mut about = json!({
        "topology": topology.name,
        "aggregate": aggregate.name,
        "id": id,
        "version": head.version,
        "stateVersion": head.state_version,
        "lastEventId": head.last_event,
        "partition": partition,
        "checkpoint": checkpoint.map(|checkpoint| json!({ "topic": aggregate.snapshots, "nextOffset": checkpoint.next_offset })),
        "committedAt": moment_text(reader.committed_at),
        "phase": if halted.is_some() { "halted" } else { "running" },
    });
    if let Some(halt) = halted {
        about["halted"] = json!({ "input": halt.input.to_string(), "offset": halt.offset, "reason": halt.reason });
    }
    // The state is passed on as it is stored: numbers beyond 64 bits keep their digits.
    let mut body = about.to_string();
    body.pop();
    body.push_str(",\"state\":");
    body.push_str(&state);
    body.push('}');
    Ok(json_response(StatusCode::OK, body))
}

fn owner<'a>(surface: &'a Surface, name: &str, topology: Option<&str>) -> Result<(&'a Topology, &'a Aggregate), Problem> {
    let mut found: Vec<(&Topology, &Aggregate)> = surface
        .topologies
        .iter()
        .filter(|candidate| topology.is_none_or(|wanted| candidate.name == wanted))
        .filter_map(|topology| Some((topology, topology.aggregates.iter().find(|aggregate| aggregate.name == name)?)))
        .collect();
    match found.len() {
        // A name of a megabyte is not repeated in full.
        0 => Err(Problem::UnknownAggregate(name.chars().take(64).collect::<String>().into())),
        1 => Ok(found.remove(0)),
        _ => Err(Problem::Ambiguous {
            name: name.into(),
            topologies: found.iter().map(|(topology, _)| topology.name.clone()).collect(),
        }),
    }
}

fn stored(
    reader: &Reader,
    id: &str,
    topology: &Topology,
    aggregate: &Aggregate,
) -> Result<Option<(entity::Head, String)>, Problem> {
    let bytes = reader.store.get(&Tag::State.key(id.as_bytes())).map_err(|error| unreadable(&error, topology, aggregate))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let (head, state) = entity::split(&bytes).map_err(|error| unreadable(&error, topology, aggregate))?;
    let head = entity::read_head(head).map_err(|error| unreadable(&error, topology, aggregate))?;
    let state = std::str::from_utf8(state).map_err(|error| unreadable(&error, topology, aggregate))?;
    Ok(Some((head, state.to_owned())))
}

fn unreadable(error: &dyn std::error::Error, topology: &Topology, aggregate: &Aggregate) -> Problem {
    tracing::error!(topology = %topology.name, node = %aggregate.name, %error, "a state could not be read for a query");
    Problem::Store
}

pub(super) fn moment_text(at: Millis) -> Option<String> {
    (at > 0).then(|| jiff::Timestamp::from_millisecond(at).ok().map(timestamp_text)).flatten()
}

pub(super) fn json_response(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

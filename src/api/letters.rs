//! Dead letters: what lies there, one of them, and acts on them.
//!
//! Letters are read from the cluster, whichever worker is asked, one request of a topology at a time: another one is asked to come
//! again. An act is a POST with a JSON body, on a loopback address only, since there is no access control here; that its type is
//! JSON keeps pages from elsewhere out, which may send forms and plain text without asking. It does at most [`ACTS_MAX`] letters,
//! within a time, and says whether there are more.

use super::routes::json_response;
use super::{Problem, Surface, Topology};
use crate::broker::Broker;
use crate::clock::{Clock, SystemClock};
use crate::dlq::{self, Audit, BATCH_LETTERS, Chosen, Deed, Edit, Filter, Order, Redrive, Shelf, audit_topic, letter_json};
use crate::record::{Millis, Offset, Partition};
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::json as object;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Letters that one answer has at most, and by default.
const LIMIT_MAX: usize = 1_000;
const LIMIT: usize = 50;
/// Letters that one act is about at most, and by default.
const ACTS_MAX: u64 = 10_000;
/// After so long an act is broken off between two batches.
const ACT_TIME: Duration = Duration::from_secs(20);
/// What was replayed so often is refused, unless it is said otherwise.
const REPLAYS_MAX: u32 = 3;
/// Places that one act names at most.
const PLACES_MAX: usize = 1_000;

/// Where the dead letters of a topology are.
pub struct Letters {
    /// Their topic.
    pub topic: String,
    /// The cluster.
    pub broker: Arc<dyn Broker>,
    /// Held while they are read.
    pub reading: Mutex<()>,
}

#[derive(Default, serde::Deserialize)]
pub(super) struct Asked {
    topology: Option<String>,
    #[serde(rename = "where")]
    filter: Option<String>,
    since: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    all: bool,
}

/// The newest letters; those that were acted on only with `all`.
pub(super) async fn list(
    State(surface): State<Arc<Surface>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Ok(Query(asked)) = query else { return Err(Problem::Malformed) };
    let filter = asked.filter.as_deref().map(filter).transpose()?;
    let since = asked.since.as_deref().map(moment).transpose()?.unwrap_or(Millis::MIN);
    let limit = asked.limit.unwrap_or(LIMIT).min(LIMIT_MAX);
    waiting(surface, asked.topology, move |letters| {
        let broker = &*letters.broker;
        let audit = Audit::read(broker, &audit_topic(&letters.topic), &letters.topic)?;
        let mut shelf = Shelf::open(broker, &letters.topic)?;
        let newest = shelf.newest(
            limit,
            &|record, found| {
                (asked.all || audit.of(record.partition, record.offset, found).is_none())
                    && filter.as_ref().is_none_or(|filter| filter.holds(record, found))
            },
            since,
        )?;
        let shown: Vec<_> = newest
            .iter()
            .map(|letter| letter_json(letter, audit.of(letter.record.partition, letter.offset, &letter.found)))
            .collect();
        Ok(object!({ "topic": letters.topic, "letters": shown }))
    })
    .await
}

/// One letter, by partition and offset.
pub(super) async fn one(
    State(surface): State<Arc<Surface>>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Ok(Path(text)), Ok(Query(asked))) = (path, query) else { return Err(Problem::Malformed) };
    let (partition, offset) = place(&text).ok_or(Problem::Malformed)?;
    waiting(surface, asked.topology, move |letters| {
        let broker = &*letters.broker;
        let letter = Shelf::open(broker, &letters.topic)?.at(partition, offset)?;
        let audit = Audit::read(broker, &audit_topic(&letters.topic), &letters.topic)?;
        Ok(letter_json(&letter, audit.of(partition, offset, &letter.found)))
    })
    .await
}

/// What is to be done.
#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    topology: Option<String>,
    #[serde(rename = "where")]
    filter: Option<String>,
    since: Option<String>,
    at: Vec<String>,
    limit: Option<u64>,
    again: bool,
    max_replays: Option<u32>,
    dry_run: bool,
    everything: bool,
    reason: String,
    by: String,
}

pub(super) async fn replay(
    State(surface): State<Arc<Surface>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    act(surface, &headers, body, Deed::Replayed).await
}

pub(super) async fn discard(
    State(surface): State<Arc<Surface>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    act(surface, &headers, body, Deed::Discarded).await
}

async fn act(
    surface: Arc<Surface>,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    deed: Deed,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        return Err(Problem::Kind);
    }
    let Ok(body) = body else { return Err(Problem::BodyTooLarge) };
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| Problem::Act(error.to_string().into()))?;
    let refused = |why: &str| Err(Problem::Act(why.into()));
    if wanted.at.len() > PLACES_MAX {
        return refused("`at` names too many letters");
    }
    let places = wanted.at.iter().map(|text| place(text)).collect::<Option<Vec<_>>>();
    let Some(places) = places else { return refused("`at` names letters by partition and offset: `3:1742`") };
    if deed == Deed::Discarded {
        if wanted.reason.trim().is_empty() {
            return refused("`reason` says why they are discarded");
        }
        let is_any = wanted.filter.is_none() && wanted.since.is_none() && places.is_empty();
        if is_any && !wanted.everything {
            return refused("say which: `where`, `since`, `at`, or `everything`");
        }
    }
    let filter = wanted.filter.as_deref().map(filter).transpose()?;
    let since = wanted.since.as_deref().map(moment).transpose()?;
    waiting(surface, wanted.topology.clone(), move |letters| {
        let limit = Some(wanted.limit.unwrap_or(ACTS_MAX).min(ACTS_MAX));
        let chosen = Chosen { filter: filter.as_ref(), since, places: &places, limit, again: wanted.again };
        let (broker, replays_max) = (&*letters.broker, wanted.max_replays.unwrap_or(REPLAYS_MAX));
        let clock = SystemClock::new();
        let until = clock.mono() + ACT_TIME;
        let mut is_broken = false;
        let done = if wanted.dry_run {
            Redrive::look(broker, &letters.topic, replays_max, &chosen, &mut |_, _| {})?
        } else {
            let order = Order { reason: wanted.reason.as_str().into(), by: wanted.by.as_str().into(), edit: Edit::default() };
            let mut redrive = Redrive::open(broker, &letters.topic, replays_max)?;
            let mut pace = |_: &dlq::Done, _| {
                is_broken = clock.mono() >= until;
                if is_broken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match deed {
                Deed::Replayed => redrive.replay(&chosen, &order, BATCH_LETTERS, &mut || clock.wall(), &mut pace)?,
                Deed::Discarded => redrive.discard(&chosen, &order, &mut || clock.wall(), &mut pace)?,
            }
        };
        let refusals = done.refusals.iter().map(|refused| {
            let place = format!("{}:{}", refused.place.0, refused.place.1);
            object!({"place": place, "id": refused.id, "why": refused.why.to_string()})
        });
        Ok(object!({
            "act": deed.name(), "dryRun": wanted.dry_run, "acted": done.acted, "refused": done.refused, "settled": done.settled,
            "unreadable": done.unreadable, "refusals": refusals.collect::<Vec<_>>(),
            "more": is_broken || limit == Some(done.acted),
        }))
    })
    .await
}

/// Asks the cluster on a thread that may wait, one request of a topology at a time.
async fn waiting(
    surface: Arc<Surface>,
    topology: Option<String>,
    ask: impl FnOnce(&Letters) -> dlq::Result<serde_json::Value> + Send + 'static,
) -> Result<Response, Problem> {
    let task = tokio::task::spawn_blocking(move || {
        let topology = of(&surface, topology.as_deref())?;
        let Ok(_alone) = topology.letters.reading.try_lock() else { return Err(Problem::Busy) };
        ask(&topology.letters).map_err(|error| said(topology, &error))
    });
    let value = task.await.map_err(|_| Problem::Store)??;
    Ok(json_response(StatusCode::OK, value.to_string()))
}

fn of<'s>(surface: &'s Surface, topology: Option<&str>) -> Result<&'s Topology, Problem> {
    let mut found = surface.topologies.iter().filter(|known| topology.is_none_or(|name| known.name == name));
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Problem::UnknownTopology),
        _ => Err(Problem::Ambiguous {
            name: "dead letters".into(),
            topologies: surface.topologies.iter().map(|topology| topology.name.clone()).collect(),
        }),
    }
}

fn said(topology: &Topology, error: &dlq::Error) -> Problem {
    match error {
        dlq::Error::NoLetter { .. } | dlq::Error::Missing { .. } | dlq::Error::Unreadable { .. } => Problem::NoState,
        dlq::Error::Fenced { .. } => Problem::TakenOver,
        _ => {
            tracing::error!(topology = %topology.name, %error, "dead letters could not be worked on for a request");
            Problem::Cluster(error.to_string().into())
        }
    }
}

fn filter(text: &str) -> Result<Filter, Problem> {
    Filter::compile(text).map_err(|findings| Problem::Expression {
        findings: findings.iter().map(|found| format!("{}: {}", found.code, found.message).into()).collect(),
    })
}

fn moment(text: &str) -> Result<Millis, Problem> {
    text.parse::<jiff::Timestamp>().map(|at| at.as_millisecond()).map_err(|_| Problem::Malformed)
}

fn place(text: &str) -> Option<(Partition, Offset)> {
    let (partition, offset) = text.split_once(':')?;
    let place: (Partition, Offset) = (partition.parse().ok()?, offset.parse().ok()?);
    (place.0 >= 0 && place.1 >= 0).then_some(place)
}

//! `skald saga`: what became of instances of sagas, and what is to become of them.

use super::cluster::connect;
use super::text::{cut, plain, table};
use super::{Problem, out};
use crate::applied::Applied;
use crate::broker::Broker;
use crate::clock::{Clock, SystemClock};
use crate::codec::moment;
use crate::config::{Exit, OutputFormat, Saga, SagaWish};
use crate::desk::{self, Desk, Filter, Listed, Timeline, View, Wanted};
use crate::record::{Millis, Value, json, timestamp_text};
use crate::saga::{Act, Deed, Status};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json as object;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

/// Characters of an id in a table.
const ID_LENGTH: usize = 40;
/// Characters of a definition in a table: enough to tell two apart.
const DEFINITION_LENGTH: usize = 12;
/// Characters of a reason in a table.
const REASON_LENGTH: usize = 60;
/// The bar is drawn anew once in so many records.
const RECORDS_PER_TICK: u64 = 4_096;

pub(super) fn saga(settings: &Saga) -> Result<Exit, Problem> {
    let clock = SystemClock::new();
    let now = clock.wall();
    // What can be refused at once is not refused after the cluster was asked.
    let wanted = match &settings.wish {
        SagaWish::List { filter, statuses, stuck, .. } => {
            let filter = filter.as_deref().map(|text| condition(text, now)).transpose()?;
            Wanted { statuses: statuses.clone(), stuck: *stuck, filter }
        }
        _ => Wanted::default(),
    };
    let kafka = connect(&settings.cluster)?;
    let desk = Desk::open(&kafka as &dyn Broker, &settings.topology, settings.saga.as_deref()).map_err(|error| told(&error))?;
    match &settings.wish {
        SagaWish::List { limit, .. } => list(&desk, settings, &wanted, *limit),
        SagaWish::Get(id) => get(&desk, settings, id, now),
        SagaWish::Act { id, deed, reason, by, step } => {
            let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
            let act = Act {
                id: format!("{:016x}{:016x}", clock.draw(), clock.draw()).into(),
                deed: *deed,
                reason: text(reason),
                by: text(by),
                step: step.as_deref().map(Into::into),
            };
            send(&desk, id, act, now)
        }
        SagaWish::Drain => drain(&desk, settings, &kafka),
    }
}

/// The condition of `--where`; its problems with the place of each.
fn condition(text: &str, now: Millis) -> Result<Filter, Problem> {
    Filter::compile(text, now)
        .map_err(|findings| Problem::of_expression("--where", text, &findings).hint("names: `saga`, `ctx`; `ctx.time` is now"))
}

fn told(error: &desk::Error) -> Problem {
    let listed = |known: &[crate::record::Text]| known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match error {
        desk::Error::NoSagas { .. } => {
            Problem::of(Exit::NotFound, error).hint("`skald run` makes them; is the name that of the topology?")
        }
        desk::Error::NoSaga { known, .. } => Problem::of(Exit::NotFound, error).hint(format!("it has {}", listed(known))),
        desk::Error::Ambiguous { known, .. } => {
            Problem::of(Exit::Usage, error).hint(format!("choose with `--saga`: {}", listed(known)))
        }
        desk::Error::NoInstance { .. } => {
            Problem::of(Exit::NotFound, error).hint("one that is over is kept for the `retain` of its saga")
        }
        _ => Problem::of(Exit::Failed, error),
    }
}

fn list(desk: &Desk<'_>, settings: &Saga, wanted: &Wanted, limit: usize) -> Result<Exit, Problem> {
    let bar = progress();
    let listed = desk.list(limit, wanted, &mut |read, total| tick(&bar, read, total));
    bar.finish_and_clear();
    let listed = listed.map_err(|error| told(&error))?;
    match settings.output {
        OutputFormat::Json => {
            let instances: Vec<_> = listed.instances.iter().map(|view| as_json(&view.summary())).collect();
            let counts: serde_json::Map<String, serde_json::Value> =
                listed.counts.iter().map(|(status, count)| (status.name().to_owned(), (*count).into())).collect();
            out(&format!("{:#}\n", object!({ "saga": desk.saga(), "counts": counts, "instances": instances })));
        }
        OutputFormat::Table if listed.instances.is_empty() => talk("no instances"),
        OutputFormat::Table => out(&list_table(&listed)),
    }
    talk(&summed(desk, &listed));
    Ok(Exit::Ok)
}

fn list_table(listed: &Listed) -> String {
    let rows: Vec<_> = listed
        .instances
        .iter()
        .map(|view| {
            [
                cut(&plain(&view.id), ID_LENGTH),
                status(view),
                plain(&view.place()),
                time(view.started_at),
                time(view.changed_at),
                cut(&plain(&view.definition), DEFINITION_LENGTH),
                cut(&plain(&view.reason), REASON_LENGTH),
            ]
        })
        .collect();
    table(["ID", "STATUS", "AT", "STARTED", "CHANGED", "DEFINITION", "REASON"], &rows)
}

fn status(view: &View) -> String {
    let waits = view.status.waits_for_operator();
    if view.stuck && !waits { format!("{}, overdue", view.status.name()) } else { view.status.name().to_owned() }
}

/// How many there are, in one line.
fn summed(desk: &Desk<'_>, listed: &Listed) -> String {
    let all: u64 = listed.counts.values().sum();
    let mut said = format!("{all} instances of `{}`", desk.saga());
    let parts: Vec<String> = listed.counts.iter().map(|(status, count)| format!("{count} {}", status.name())).collect();
    if !parts.is_empty() {
        let _ = write!(said, ": {}", parts.join(", "));
    }
    let shown = u64::try_from(listed.instances.len()).unwrap_or(u64::MAX);
    if shown < all {
        let _ = write!(said, "; the {shown} that changed last are shown, more with `--limit`");
    }
    if listed.unreadable > 0 {
        let _ = write!(said, "; {} rows cannot be read", listed.unreadable);
    }
    said
}

fn get(desk: &Desk<'_>, settings: &Saga, id: &str, now: Millis) -> Result<Exit, Problem> {
    let view = desk.get(id).map_err(|error| told(&error))?;
    let (timeline, _) = desk.timeline(&view, u64::MAX).map_err(|error| told(&error))?;
    match settings.output {
        OutputFormat::Json => {
            let mut all = as_json(&view.whole());
            all["timeline"] = timeline.values().map(as_json).collect();
            out(&format!("{all:#}\n"));
        }
        OutputFormat::Table => out(&shown(desk, &view, &timeline, now)),
    }
    Ok(Exit::Ok)
}

fn shown(desk: &Desk<'_>, view: &View, timeline: &Timeline, now: Millis) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:10}  {}", plain(value));
        }
    };
    line("saga", desk.saga());
    line("id", &view.id);
    line("status", &status(view));
    line("at", &view.place());
    line("reason", &view.reason);
    line("failed at", &view.failed_step);
    line("definition", &view.definition);
    line("started", &time(view.started_at));
    line("changed", &time(view.changed_at));
    line("data", &json::text(&view.data()).unwrap_or_default());
    for (step, due) in dues(&view.whole()) {
        line("due", &format!("{due} {step}"));
    }
    if !timeline.is_empty() {
        let drawn = |part: String| part.lines().map(plain).collect::<Vec<_>>().join("\n");
        let _ = write!(text, "\n{}\n\n{}\n", drawn(timeline.bars(now)), drawn(timeline.lines()));
    }
    text
}

/// The steps that have a deadline, with it.
fn dues(whole: &Value) -> Vec<(String, String)> {
    let whole = as_json(whole);
    let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let steps = whole["steps"].as_array().into_iter().flatten();
    let dues = steps.flat_map(|step| {
        let operations = step["operations"].as_array().into_iter().flatten().enumerate();
        let several = step["operations"].as_array().is_some_and(|operations| operations.len() > 1);
        operations.filter(|(_, operation)| operation["due"].is_string()).map(move |(at, operation)| {
            let item = if several { format!("[{at}]") } else { String::new() };
            let name = format!("{}{item} ({}, try {})", text(step, "name"), text(operation, "state"), operation["tries"]);
            (name, text(operation, "due"))
        })
    });
    dues.collect()
}

/// Sends an act; without `step` it is bound to where the instance stands now, so that it does not meet another step.
fn send(desk: &Desk<'_>, id: &str, mut act: Act, now: Millis) -> Result<Exit, Problem> {
    let view = desk.get(id).map_err(|error| told(&error))?;
    if view.status.is_final() {
        return Err(Problem::new(Exit::Failed, format!("`{}` is {}: nothing can be done to it", view.id, view.status.name())));
    }
    if act.step.is_none() && act.deed != Deed::Abort {
        act.step = view.stands_at().cloned();
    }
    desk.send(id, &act, now).map_err(|error| told(&error))?;
    let at = act.step.as_ref().map(|step| format!(" at step `{step}`")).unwrap_or_default();
    talk(&format!("`{}`{at} lies in the inbox of `{}`; what came of it: `skald saga get`", act.deed.name(), plain(id)));
    Ok(Exit::Ok)
}

/// What remains, by the definition that instances keep and the versions that have it.
fn drain(desk: &Desk<'_>, settings: &Saga, broker: &dyn Broker) -> Result<Exit, Problem> {
    let bar = progress();
    let remains = desk.remains(&mut |read, total| tick(&bar, read, total));
    bar.finish_and_clear();
    let remains = remains.map_err(|error| told(&error))?;
    let applied = match remains.is_empty() {
        true => Vec::new(),
        false => super::gate::applied_to(broker, &settings.topology)?,
    };
    let versions = |definition: &str| -> Vec<u32> {
        let has = |applied: &&Applied| applied.has(desk.saga(), definition);
        applied.iter().filter(has).map(|applied| applied.version).collect()
    };
    let open: Vec<(&str, Vec<u32>, Status, u64, Millis)> = remains
        .iter()
        .flat_map(|(definition, of)| {
            let versions = versions(definition);
            of.open.iter().map(move |(status, count)| (definition.as_str(), versions.clone(), *status, *count, of.oldest))
        })
        .collect();
    match settings.output {
        OutputFormat::Json => {
            let open: Vec<_> = open
                .iter()
                .map(|(definition, versions, status, count, oldest)| {
                    object!({
                        "definition": definition, "versions": versions, "status": status.name(), "instances": count,
                        "oldest": time(*oldest),
                    })
                })
                .collect();
            out(&format!("{:#}\n", object!({ "saga": desk.saga(), "open": open })));
        }
        OutputFormat::Table if open.is_empty() => talk(&format!("all instances of `{}` are over", desk.saga())),
        OutputFormat::Table => {
            let rows: Vec<_> = open
                .iter()
                .map(|(definition, versions, status, count, oldest)| {
                    let versions: Vec<String> = versions.iter().map(u32::to_string).collect();
                    [versions.join(", "), plain(definition), status.name().to_owned(), count.to_string(), time(*oldest)]
                })
                .collect();
            out(&table(["VERSION", "DEFINITION", "STATUS", "INSTANCES", "OLDEST"], &rows));
        }
    }
    Ok(Exit::Ok)
}

fn as_json(value: &Value) -> serde_json::Value {
    json::text(value).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn time(at: Millis) -> String {
    timestamp_text(moment(at))
}

fn talk(said: &str) {
    // Nowhere to write to is nothing to write about.
    let _ = writeln!(std::io::stderr(), "{said}");
}

fn progress() -> ProgressBar {
    let target = if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} records, {per_sec}, {eta} left");
    ProgressBar::with_draw_target(None, target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn tick(bar: &ProgressBar, read: u64, total: u64) {
    if read % RECORDS_PER_TICK == 1 {
        bar.set_length(total);
        bar.set_position(read);
    }
}

//! `skald dlq replay --dry-run --file`: what would come of letters, by a topology that is not rolled out yet.

use super::work::counted;
use super::{talk, told};
use crate::broker::Broker;
use crate::cli::load::Reading;
use crate::cli::text::{bytes, cut, plain};
use crate::cli::{Problem, out};
use crate::clock::{Clock, SystemClock};
use crate::config::{Dlq, Exit, OutputFormat};
use crate::dlq::{Chosen, Done, Filed, Found, Redrive, payload};
use crate::node::World;
use crate::record::Record;
use crate::rehearsal::{self, Played, Rehearsal};
use crate::runtime::Program;
use serde_json::{Value, json as object};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Letters that are tried, unless more are asked for.
const LETTERS: u64 = 100;
/// Characters of a value in a line.
const VALUE_LENGTH: usize = 160;

pub(super) fn rehearse(
    settings: &Dlq,
    broker: &dyn Broker,
    file: &Path,
    max_replays: u32,
    chosen: &Chosen<'_>,
) -> Result<Exit, Problem> {
    let checked = Reading::of(&[PathBuf::from(file)], &[])?.checked(false)?;
    let [checked] = checked.as_slice() else {
        return Err(Problem::new(Exit::Usage, "`--file` names one topology"));
    };
    let chosen = Chosen { limit: Some(chosen.limit.unwrap_or(LETTERS)), ..*chosen };
    let mut letters: Vec<(Filed, Record)> = Vec::new();
    let look = Redrive::look(broker, &settings.topic, max_replays, &chosen, &mut |letter, record| {
        letters.push((letter.clone(), record));
    });
    let done = look.map_err(|error| told(&error))?;
    let program = Arc::new(Program::compile(&World::new(checked.topology.clone(), checked.plan.clone())));
    let filed: Vec<Filed> = letters.iter().map(|(letter, _)| letter.clone()).collect();
    let failed = |error: &rehearsal::Error| Problem::of(Exit::Failed, error);
    let mut stage = Rehearsal::new(&program, &filed, broker, SystemClock::new().wall()).map_err(|error| failed(&error))?;
    let mut played = Vec::with_capacity(letters.len());
    for (letter, record) in &letters {
        let came = stage.play(record).map_err(|error| failed(&error))?;
        let stands = came.halted.is_some();
        played.push((letter, came));
        if stands {
            break;
        }
    }
    match settings.output {
        OutputFormat::Json => out(&format!("{:#}\n", as_json(&played, &done, stage.empty()))),
        OutputFormat::Table => out(&shown(&played)),
    }
    for node in stage.empty() {
        talk(&format!("the state of `{node}` is too large to be copied: it began with none here"));
    }
    let failures = played.iter().filter(|(_, came)| fails(came)).count();
    talk(&format!("{} tried, {failures} would fail again; nothing was written", counted(played.len() as u64)));
    Ok(if failures == 0 && done.refused == 0 { Exit::Ok } else { Exit::Findings })
}

fn fails(came: &Played) -> bool {
    !came.failures.is_empty() || came.halted.is_some()
}

fn shown(played: &[(&Filed, Played)]) -> String {
    let mut text = String::new();
    for (letter, came) in played {
        let place = format!("{}:{}", letter.record.partition, letter.offset);
        let node = plain(&letter.found.cause().node);
        let what = if fails(came) { "fails again" } else { "goes through" };
        let _ = writeln!(text, "{place}  {node}  {what}");
        let optional =
            |part: &Option<bytes::Bytes>| part.as_ref().map_or_else(|| "-".into(), |part| cut(&bytes(part), VALUE_LENGTH));
        for record in &came.emitted {
            let _ =
                writeln!(text, "    emits  {}  {}  {}", plain(&record.topic), optional(&record.key), optional(&record.value));
        }
        for (node, key, state) in &came.states {
            let state = state.as_ref().map_or_else(|| "gone".into(), |state| cut(&plain(state), VALUE_LENGTH));
            let _ = writeln!(text, "    state  {}  {}  {state}", plain(node), cut(&plain(key), VALUE_LENGTH));
        }
        for failure in &came.failures {
            let cause = failure.cause();
            let message = cut(&plain(failure.message()), VALUE_LENGTH);
            let _ = writeln!(text, "    fails  {}  {}  {message}", plain(&cause.node), plain(&cause.code));
        }
        if let Some(halt) = &came.halted {
            let _ = writeln!(text, "    halts  {}", plain(&halt.reason));
        }
    }
    text
}

fn as_json(played: &[(&Filed, Played)], done: &Done, empty: &[crate::record::Text]) -> Value {
    let letters = played.iter().map(|(letter, came)| {
        let emitted = came.emitted.iter().map(|record| {
            let mut said = object!({ "topic": record.topic, "partition": record.partition });
            let fields = said.as_object_mut().expect("an object was made");
            fields.extend([payload("key", record.key.as_deref()), payload("value", record.value.as_deref())]);
            said
        });
        let states = came.states.iter().map(|(node, key, state)| {
            let (_, state) = payload("value", state.as_ref().map(|state| state.as_bytes()));
            object!({ "node": node, "key": key, "state": state })
        });
        let failures = came.failures.iter().map(|found: &Found| {
            let cause = found.cause();
            object!({ "node": cause.node, "code": cause.code, "message": found.message() })
        });
        object!({
            "place": { "partition": letter.record.partition, "offset": letter.offset },
            "id": letter.found.id(), "node": letter.found.cause().node,
            "emitted": emitted.collect::<Vec<_>>(), "states": states.collect::<Vec<_>>(),
            "failures": failures.collect::<Vec<_>>(), "halted": came.halted.as_ref().map(|halt| &halt.reason),
        })
    });
    object!({
        "letters": letters.collect::<Vec<_>>(), "refused": done.refused, "settled": done.settled, "statesLeftOut": empty,
    })
}

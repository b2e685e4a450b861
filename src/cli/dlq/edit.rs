//! `skald dlq edit`: the record of one letter is changed, checked and replayed. The letter stays as it is.

use super::work::{order, tell};
use super::{talk, told};
use crate::broker::Broker;
use crate::cli::load::Reading;
use crate::cli::{Problem, files};
use crate::clock::{Clock, SystemClock};
use crate::config::{Change, Dlq, Exit, Place, Spoken};
use crate::dlq::{Chosen, Edit, Filed, Order, Redrive, Shelf};
use crate::node::World;
use crate::record::{RecordRef, Value, json};
use bytes::Bytes;
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Largest value that is read from a file.
const VALUE_BYTES_MAX: usize = 64 << 20;

/// What is wanted.
pub(super) struct Wanted<'a> {
    pub(super) place: Place,
    pub(super) change: &'a Change,
    pub(super) file: Option<&'a Path>,
    pub(super) again: bool,
    pub(super) max_replays: u32,
}

pub(super) fn edit(settings: &Dlq, broker: &dyn Broker, wanted: &Wanted<'_>, spoken: &Spoken) -> Result<Exit, Problem> {
    let clock = SystemClock::new();
    let Wanted { place, change, again, max_replays, .. } = *wanted;
    let mut shelf = Shelf::open(broker, &settings.topic).map_err(|error| told(&error))?;
    let letter = shelf.at(place.partition, place.offset).map_err(|error| told(&error))?;
    let edit = changed(&letter, change, clock.draw())?;
    if let Some(file) = wanted.file {
        fits(&letter, &edit, file)?;
    } else {
        talk("whether the record fits its schema is seen by its node; `--file FILE` looks before");
    }
    let mut redrive = Redrive::open(broker, &settings.topic, max_replays).map_err(|error| told(&error))?;
    let places = [(place.partition, place.offset)];
    let chosen = Chosen { places: &places, again, ..Chosen::default() };
    let order = Order { edit, ..order(spoken) };
    let done = redrive.replay(&chosen, &order, 1, &mut || clock.wall(), &mut |_, _| ControlFlow::Continue(()));
    let done = done.map_err(|error| told(&error))?;
    tell(settings, "changed and replayed", &done);
    Ok(if done.acted == 1 { Exit::Ok } else { Exit::Findings })
}

fn changed(letter: &Filed, change: &Change, draw: u64) -> Result<Edit, Problem> {
    let before = letter.record.value.clone().unwrap_or_default();
    let value = match change {
        Change { value: Some(file), .. } => {
            Some(files::given(file, VALUE_BYTES_MAX).map(Bytes::from).map_err(|error| {
                Problem::new(Exit::NotFound, format!("`{}` cannot be read", file.display())).because(&error)
            })?)
        }
        Change { set, .. } if !set.is_empty() => Some(with_fields(&before, set)?),
        Change { key: Some(_), .. } => None,
        _ => Some(by_hand(&before, draw)?),
    };
    let key = change.key.as_ref().map(|key| Bytes::from(key.clone().into_bytes()));
    if key.is_none() && value.as_ref() == Some(&before) {
        return Err(Problem::new(Exit::Usage, "nothing was changed").hint("`skald dlq replay --at PLACE` replays it as it is"));
    }
    Ok(Edit { value, key })
}

/// Fields of a JSON value are replaced, or added to a map that is there.
fn with_fields(before: &[u8], set: &[(String, String)]) -> Result<Bytes, Problem> {
    let mut value = json::read(before)
        .map_err(|error| Problem::new(Exit::Failed, "the value is no JSON: take `--value FILE`").because(&error))?;
    for (path, text) in set {
        let new = json::read(text.as_bytes()).unwrap_or_else(|_| Value::from(text.as_str()));
        put(&mut value, path, new).map_err(|why| Problem::new(Exit::Usage, format!("`--set {path}`: {why}")))?;
    }
    let text = json::text(&value).map_err(|error| Problem::new(Exit::Failed, "the value cannot be written").because(&error))?;
    Ok(Bytes::from(text.into_bytes()))
}

fn put(value: &mut Value, path: &str, new: Value) -> Result<(), String> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let inner = match value {
        Value::Map(fields) => {
            let mut found = fields.get(first).cloned();
            if let (Some(inner), Some(rest)) = (&mut found, rest) {
                put(inner, rest, new)?;
                *value = with_field(value, first, inner.clone());
                return Ok(());
            }
            match rest {
                Some(_) => return Err(format!("there is no field `{first}`")),
                None => {
                    *value = with_field(value, first, new);
                    return Ok(());
                }
            }
        }
        Value::List(items) => {
            let mut all: Vec<Value> = items.iter().cloned().collect();
            let count = all.len();
            let at = first.parse::<usize>().ok().filter(|at| *at < count);
            let at = at.ok_or_else(|| format!("`{first}` is none of its {count} items"))?;
            match rest {
                Some(rest) => put(&mut all[at], rest, new)?,
                None => all[at] = new,
            }
            Value::from(all)
        }
        other => return Err(format!("`{first}` is looked for in a {}", other.kind())),
    };
    *value = inner;
    Ok(())
}

fn with_field(map: &Value, name: &str, new: Value) -> Value {
    let Value::Map(fields) = map else { return new };
    let others = fields.iter().filter(|(known, _)| *known != name).map(|(known, value)| (known.clone(), value.clone()));
    Value::Map(others.chain([(name.into(), new)]).collect())
}

/// Opens an editor with the value, in a file that nobody else reads.
fn by_hand(before: &[u8], draw: u64) -> Result<Bytes, Problem> {
    let editor =
        ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.trim().is_empty()));
    let Some(editor) = editor else {
        return Err(Problem::new(Exit::Usage, "nothing says what is to be changed")
            .hint("set EDITOR, or use `--set data.total=12`, `--value FILE` or `--key TEXT`"));
    };
    let path = std::env::temp_dir().join(format!("skald-letter-{draw:016x}.json"));
    let failed = |error: &dyn std::error::Error| {
        Problem::new(Exit::Failed, format!("`{}` cannot be edited", path.display())).because(error)
    };
    let done = (|| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).and_then(|mut file| file.write_all(before)).map_err(|error| failed(&error))?;
        let mut words = editor.split_whitespace();
        let status = Command::new(words.next().unwrap_or_default()).args(words).arg(&path).status();
        let status =
            status.map_err(|error| Problem::new(Exit::Failed, format!("`{editor}` cannot be started")).because(&error))?;
        if !status.success() {
            return Err(Problem::new(Exit::Failed, format!("`{editor}` ended with {status}: nothing was replayed")));
        }
        files::whole(&path, VALUE_BYTES_MAX).map_err(|error| failed(&error))
    })();
    // It held what a record holds.
    let _ = fs::remove_file(&path);
    let mut edited = done?;
    if edited.ends_with(b"\n") && !before.ends_with(b"\n") {
        edited.pop();
    }
    Ok(Bytes::from(edited))
}

/// Does the changed record fit what the file says of its topic?
fn fits(letter: &Filed, edit: &Edit, file: &Path) -> Result<(), Problem> {
    let checked = Reading::of(&[PathBuf::from(file)], &[])?.checked(false)?;
    let [checked] = checked.as_slice() else {
        return Err(Problem::new(Exit::Usage, "`--file` names one topology"));
    };
    let world = World::new(checked.topology.clone(), checked.plan.clone());
    let origin = letter.found.origin();
    let headers: Vec<_> = letter.record.headers.iter().map(crate::record::Header::as_ref).collect();
    let record = RecordRef {
        topic: &origin.topic,
        partition: origin.partition,
        offset: origin.offset,
        timestamp: letter.record.timestamp,
        key: edit.key.as_deref().or(letter.record.key.as_deref()),
        value: edit.value.as_deref().or(letter.record.value.as_deref()),
        headers: &headers,
    };
    match world.reader(world.topic(&origin.topic)).decode(&record) {
        Ok(_) => Ok(()),
        Err(failure) => {
            Err(Problem::new(Exit::Findings, format!("the changed record does not fit `{}`: {failure}", origin.topic))
                .hint("nothing was written"))
        }
    }
}

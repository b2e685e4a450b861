//! The values that the command line gives to expressions.

use super::super::{Problem, files};
use super::session::Given;
use crate::clock::{Clock, SystemClock};
use crate::codec::{Contract, Decoder, Event, moment, position_id};
use crate::config::{Eval, Exit};
use crate::expr::{Field, Object, Type, names};
use crate::record::{HeaderRef, Map, RecordRef, Value, json};
use crate::topology::yaml;
use std::path::Path;

/// Largest file of a value.
const FILE_BYTES_MAX: usize = 8 << 20;

/// Reads what is given. Names that nothing was given for are not in scope.
pub(super) fn given(settings: &Eval) -> Result<Given, Problem> {
    let mut given = Given::default();
    let mut put = |slot, value: Value, ty: Option<Type>| {
        let ty = ty.unwrap_or_else(|| open(&Type::of(&value)));
        given.values.push((slot, value, ty));
    };
    let now = SystemClock::new().wall();
    let mut time = moment(now);
    if let Some(path) = &settings.event {
        let event = event(settings, path, now)?;
        time = event.time;
        put(names::EVENT, event_value(&event), Some(names::event()));
        if settings.data.is_none() {
            put(names::DATA, event.data, None);
        }
    }
    if let Some(path) = &settings.data {
        put(names::DATA, value(path)?, None);
    }
    if let Some(path) = &settings.state {
        put(names::STATE, value(path)?, None);
        put(names::VERSION, Value::Int(1), None);
    }
    if let Some(key) = &settings.key {
        put(names::KEY, Value::from(key.as_str()), None);
    }
    let headers: Map = settings.header.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
    put(names::HEADERS, Value::Map(headers), Some(names::headers()));
    let params: Map =
        settings.params.set.iter().map(|param| (param.name.as_str().into(), yaml::resolve(&param.value).0)).collect();
    put(names::PARAMS, Value::Map(params), None);
    let id = position_id("eval", 0, 0);
    let ctx = [("id".into(), id.into()), ("time".into(), Value::Timestamp(time))];
    put(names::CTX, Value::Map(ctx.into_iter().collect()), Some(names::ctx()));
    Ok(given)
}

/// A message as it lies in a topic.
fn event(settings: &Eval, path: &Path, now: i64) -> Result<Event, Problem> {
    let bytes = bytes(path)?;
    let headers: Vec<HeaderRef<'_>> =
        settings.header.iter().map(|(name, value)| HeaderRef { name, value: Some(value.as_bytes()) }).collect();
    let key = settings.key.as_deref().map(str::as_bytes);
    let record =
        RecordRef { topic: "eval", partition: 0, offset: 0, timestamp: now, key, value: Some(&bytes), headers: &headers };
    let unusable = |reason: String| Problem::new(Exit::Failed, format!("`{}` is no message: {reason}", path.display()));
    let event = Decoder::new(Contract::default()).decode(&record).map_err(|failure| unusable(failure.message().to_owned()))?;
    event.ok_or_else(|| unusable("it is empty".to_owned()))
}

fn event_value(event: &Event) -> Value {
    let optional = |value: &Option<crate::record::Text>| value.clone().map(Value::from);
    let fields = [
        ("id", Some(event.id.clone().into())),
        ("type", Some(event.kind.clone().into())),
        ("source", Some(event.source.clone().into())),
        ("time", Some(Value::Timestamp(event.time))),
        ("version", optional(&event.version)),
        ("correlationId", Some(event.correlation_id.clone().into())),
        ("causationId", optional(&event.causation_id)),
        ("metadata", Some(Value::Map(event.metadata.clone()))),
    ];
    Value::Map(fields.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}

fn value(path: &Path) -> Result<Value, Problem> {
    let bytes = bytes(path)?;
    json::read(&bytes).map_err(|error| {
        let problem = Problem::new(Exit::Failed, format!("`{}` is not JSON: {error}", path.display()));
        problem.hint("one JSON value, as `skald topic cat` shows it")
    })
}

/// What a file, a pipe or, for `-`, stdin gives.
fn bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    files::given(path, FILE_BYTES_MAX).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Problem::new(exit, format!("`{}` cannot be read: {error}", path.display()))
    })
}

/// A type of values like this one: other fields may be there, and any of these may be missing elsewhere.
fn open(ty: &Type) -> Type {
    match ty {
        Type::Object(object) => {
            let fields = object.fields.iter();
            let fields = fields.map(|(name, field)| (name.clone(), Field { ty: open(&field.ty), required: true })).collect();
            Object { fields, rest: Some(Type::Any) }.into()
        }
        Type::List(element) => Type::list(open(element)),
        other => other.clone(),
    }
}

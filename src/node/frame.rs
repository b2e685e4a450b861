//! Names and their values while a record is handled: what expressions read.
//!
//! A value is made when it is first read and kept, so a name that nobody reads costs nothing, and a `let` is evaluated at most
//! once, its failure included.

use super::{REPLAY_HEADER, Way, World};
use crate::codec::{Event, KeyFormat, moment, position_id, read_key};
use crate::expr::names::{CTX, DATA, ERROR, EVENT, HEADERS, KEY, PARAMS, REASON, RECORD, SAGA, STATE, VERSION};
use crate::expr::{EvalError, Fuel, Kind, Names, Slot};
use crate::failure::{Class, Failure, Stage};
use crate::record::{Map, RecordRef, Text, Value, json};
use crate::topology::model::{Expr, Let, Position, Template};
use std::cell::{OnceCell, RefCell};

/// The names in scope of a handler or pipeline, and their values for one record.
pub struct Frame<'a> {
    world: &'a World,
    event: &'a Event,
    record: Option<&'a RecordRef<'a>>,
    key_format: KeyFormat,
    /// Is the key still that of the record?
    untouched_key: bool,
    /// Which try of the record it is, where that is told.
    attempt: Option<u32>,
    data: Option<Value>,
    state: Option<&'a Value>,
    version: Value,
    error: Option<Value>,
    saga: Option<&'a SagaNames>,
    key: OnceCell<Value>,
    made: Made,
    locals: Vec<Local<'a>>,
    /// The `let` whose expression failed last, with its error: a failure is said to be where it happened.
    failed: RefCell<Option<(&'a Expr, EvalError)>>,
}

/// The names that a saga has besides those of a message.
#[derive(Clone, Debug)]
pub struct SagaNames {
    /// `saga`.
    pub saga: Value,
    /// `reason`.
    pub reason: Value,
    /// `ctx`, in place of the record's.
    pub ctx: Value,
}

/// Payload and key at a place in a pipeline.
#[derive(Clone, Debug)]
pub struct Place {
    data: Option<Value>,
    key: Option<Value>,
    untouched_key: bool,
}

impl Place {
    /// The same place with another payload.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

#[derive(Default)]
struct Made {
    event: OnceCell<Value>,
    headers: OnceCell<Value>,
    record: OnceCell<Value>,
    ctx: OnceCell<Value>,
}

#[derive(Default)]
struct Local<'a> {
    expr: Option<&'a Expr>,
    value: OnceCell<Result<Value, EvalError>>,
}

impl<'a> Frame<'a> {
    /// A frame for a message as it was read.
    pub fn new(world: &'a World, event: &'a Event, locals: usize) -> Self {
        Self {
            world,
            event,
            record: None,
            key_format: KeyFormat::String,
            untouched_key: true,
            attempt: None,
            data: None,
            state: None,
            version: Value::Null,
            error: None,
            saga: None,
            key: OnceCell::new(),
            made: Made::default(),
            locals: std::iter::repeat_with(Local::default).take(locals).collect(),
            failed: RefCell::new(None),
        }
    }

    /// With the record that the message was read from, and the format of its key.
    #[must_use]
    pub fn with_record(mut self, record: &'a RecordRef<'a>, key_format: KeyFormat) -> Self {
        self.record = Some(record);
        self.key_format = key_format;
        self
    }

    /// With the number of the try, from 1: `ctx.attempt`.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// With the key of the instance in place of the record's.
    #[must_use]
    pub fn with_key(mut self, key: Value) -> Self {
        self.set_key(key);
        self
    }

    /// With an aggregate's state.
    #[must_use]
    pub fn with_state(mut self, state: &'a Value, version: u64) -> Self {
        self.state = Some(state);
        self.version = Value::Int(i64::try_from(version).unwrap_or(i64::MAX));
        self
    }

    /// With what is known of a failure.
    #[must_use]
    pub fn with_error(mut self, error: Value) -> Self {
        self.error = Some(error);
        self
    }

    /// With the names of a saga.
    #[must_use]
    pub fn with_saga(mut self, names: &'a SagaNames) -> Self {
        self.saga = Some(names);
        self
    }

    /// The message.
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// The current payload.
    pub fn data(&self) -> &Value {
        self.data.as_ref().unwrap_or(&self.event.data)
    }

    /// Replaces the current payload. Names given before keep the values that they had with the one before.
    pub fn set_data(&mut self, data: Value) {
        self.settle();
        self.data = Some(data);
    }

    /// The current payload and key, to come back to.
    pub fn place(&self) -> Place {
        Place { data: self.data.clone(), key: self.key.get().cloned(), untouched_key: self.untouched_key }
    }

    /// Comes back to a payload and key, whose names are defined anew on the way from there.
    pub fn return_to(&mut self, place: Place) {
        self.data = place.data;
        self.key = place.key.map_or_else(OnceCell::new, OnceCell::from);
        self.untouched_key = place.untouched_key;
    }

    /// Replaces the current key.
    pub fn set_key(&mut self, key: Value) {
        self.settle();
        self.key = OnceCell::from(key);
        self.untouched_key = false;
    }

    /// The bytes of the record's key (or that it has none), while it is the current one and of that format.
    pub(super) fn untouched_key(&self, format: KeyFormat) -> Option<Option<&'a [u8]>> {
        let record = self.record.filter(|_| self.untouched_key && self.key_format == format)?;
        Some(record.key)
    }

    /// The current key; null where the record has none.
    pub fn key(&self) -> Result<&Value, Failure> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = read_key(self.key_format, self.record.and_then(|record| record.key))?;
        Ok(self.key.get_or_init(|| key))
    }

    /// Puts the names of a step into scope. Each is evaluated when first read.
    pub fn define(&mut self, lets: &'a [Let]) {
        for name in lets {
            self.locals[local(name.slot)] = Local { expr: Some(&name.expr), value: OnceCell::new() };
        }
    }

    /// Evaluates what was named and not read yet, because what it is computed from changes. A failure is kept for whoever reads.
    fn settle(&self) {
        for at in 0..self.locals.len() {
            if self.locals[at].expr.is_some() {
                drop(self.local(at));
            }
        }
    }

    /// Gives a local its value.
    pub fn bind(&mut self, slot: Slot, value: Value) {
        self.locals[local(slot)] = Local { expr: None, value: OnceCell::from(Ok(value)) };
    }

    /// Notes that a place of the file was passed, where somebody wants to know.
    #[inline]
    pub fn passed(&self, at: &Position, what: &str, way: Way) {
        self.world.passed(at, what, way);
    }

    /// Evaluates an expression.
    pub fn eval(&self, expr: &Expr, stage: Stage) -> Result<Value, Failure> {
        expr.program.eval(self, &mut Fuel::new()).map_err(|error| self.failure(expr, stage, error))
    }

    /// Evaluates an expression that must be true or false.
    pub fn holds(&self, expr: &Expr, stage: Stage) -> Result<bool, Failure> {
        expr.program.eval_bool(self, &mut Fuel::new()).map_err(|error| self.failure(expr, stage, error))
    }

    /// Evaluates an optional condition, which holds where there is none.
    pub fn holds_if_given(&self, expr: Option<&Expr>, stage: Stage) -> Result<bool, Failure> {
        expr.map_or(Ok(true), |expr| self.holds(expr, stage))
    }

    /// Fills a template in.
    pub fn fill(&self, template: &Template, stage: Stage) -> Result<Value, Failure> {
        match template.template.eval(self, &mut Fuel::new()) {
            // A whole that is an empty optional is nothing: null, where a value is wanted.
            Ok(value) => Ok(value.unwrap_or_default()),
            Err(error) => Err(self.failure_at(&template.at, stage, error)),
        }
    }

    /// Fills a template in that must be a map.
    pub fn fill_map(&self, template: &Template, stage: Stage) -> Result<Map, Failure> {
        match self.fill(template, stage)? {
            Value::Map(map) => Ok(map),
            other => Err(self.misfit(&template.at, stage, format!("a {} where a map is wanted", other.kind()))),
        }
    }

    /// A value that is not of the kind wanted.
    pub fn misfit(&self, at: &Position, stage: Stage, message: String) -> Failure {
        self.failure_at(at, stage, EvalError::new(Kind::NoOverload, message))
    }

    fn failure(&self, expr: &Expr, stage: Stage, error: EvalError) -> Failure {
        let at = |expr: &Expr| Position {
            // An expression on one line is counted from its beginning; of others the first line is what is known.
            column: if expr.text.contains('\n') {
                expr.at.column
            } else {
                expr.at.column + characters(expr, error.range.start)
            },
            ..expr.at.clone()
        };
        let inner = self.failed.borrow().as_ref().filter(|(_, inner)| *inner == error).map(|(expr, _)| at(expr));
        self.failure_at(&inner.unwrap_or_else(|| at(expr)), stage, error)
    }

    fn failure_at(&self, at: &Position, stage: Stage, error: EvalError) -> Failure {
        let place = format!("{}:{}:{}", at.file, at.line, at.column);
        let details = Map::from_entries(vec![
            ("kind".into(), Value::from(error.kind.name())),
            ("at".into(), Value::from(place.as_str())),
        ]);
        Failure::new(Class::Permanent, "EXPRESSION_ERROR", stage, format!("{place}: {}", error.message))
            .with_details(details.into())
    }
}

impl Names for Frame<'_> {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        if let Some(at) = slot.local() {
            return self.local(at);
        }
        let absent = || EvalError::new(Kind::MissingField, "the name has no value here");
        match slot {
            DATA => Ok(self.data()),
            KEY => self.key().map_err(|failure| EvalError::new(Kind::Conversion, failure.message())),
            STATE => self.state.ok_or_else(absent),
            VERSION => Ok(&self.version),
            PARAMS => Ok(self.world.params()),
            EVENT => Ok(self.made.event.get_or_init(|| event_value(self.event))),
            HEADERS => Ok(self.made.headers.get_or_init(|| self.record.map_or(Value::Null, headers_value))),
            RECORD => Ok(self.made.record.get_or_init(|| self.record.map_or(Value::Null, record_value))),
            SAGA => self.saga.map(|names| &names.saga).ok_or_else(absent),
            REASON => self.saga.map(|names| &names.reason).ok_or_else(absent),
            CTX if let Some(names) = self.saga => Ok(&names.ctx),
            CTX => Ok(self.made.ctx.get_or_init(|| self.record.map_or(Value::Null, |record| ctx_value(record, self.attempt)))),
            ERROR => self.error.as_ref().ok_or_else(absent),
            _ => Err(absent()),
        }
    }
}

impl Frame<'_> {
    fn local(&self, at: usize) -> Result<&Value, EvalError> {
        let local = self.locals.get(at).ok_or_else(|| EvalError::new(Kind::MissingField, "the name has no value here"))?;
        let value = local.value.get_or_init(|| match local.expr {
            Some(expr) => expr.program.eval(self, &mut Fuel::new()).inspect_err(|error| {
                let mut failed = self.failed.borrow_mut();
                // A `let` that failed because another did is not where it happened.
                if failed.as_ref().is_none_or(|(_, inner)| inner != error) {
                    *failed = Some((expr, error.clone()));
                }
            }),
            None => Err(EvalError::new(Kind::MissingField, "the name has no value here")),
        });
        value.as_ref().map_err(Clone::clone)
    }
}

fn local(slot: Slot) -> usize {
    slot.local().expect("`let`, `as` and `for_each` name locals: the model says so")
}

fn characters(expr: &Expr, bytes: usize) -> u32 {
    let before = expr.text.get(..bytes).unwrap_or_default();
    u32::try_from(before.chars().count()).unwrap_or_default()
}

fn event_value(event: &Event) -> Value {
    let mut fields = Vec::with_capacity(8);
    let mut put = |name: &'static str, value: Value| fields.push((Text::new_static(name), value));
    // In the order of the names, as a map keeps them.
    if let Some(causation_id) = &event.causation_id {
        put("causationId", causation_id.clone().into());
    }
    put("correlationId", event.correlation_id.clone().into());
    put("id", event.id.clone().into());
    put("metadata", event.metadata.clone().into());
    put("source", event.source.clone().into());
    put("time", Value::Timestamp(event.time));
    put("type", event.kind.clone().into());
    if let Some(version) = &event.version {
        put("version", version.clone().into());
    }
    Value::Map(Map::from_entries(fields))
}

/// Headers that are text, the last of a name.
fn headers_value(record: &RecordRef<'_>) -> Value {
    let text = |bytes: Option<&[u8]>| std::str::from_utf8(bytes?).ok().map(Value::from);
    let given = record.headers.iter().filter(|header| header.name != REPLAY_HEADER);
    let fields = given.filter_map(|header| Some((header.name.into(), text(header.value)?)));
    Value::Map(fields.collect())
}

fn record_value(record: &RecordRef<'_>) -> Value {
    Value::Map(Map::from_entries(vec![
        ("offset".into(), Value::Int(record.offset)),
        ("partition".into(), Value::Int(record.partition.into())),
        ("timestamp".into(), Value::Timestamp(moment(record.timestamp))),
        ("topic".into(), Value::from(record.topic)),
    ]))
}

fn ctx_value(record: &RecordRef<'_>, attempt: Option<u32>) -> Value {
    let mut fields = vec![
        ("id".into(), position_id(record.topic, record.partition, record.offset).into()),
        ("time".into(), Value::Timestamp(moment(record.timestamp))),
    ];
    // In the order of the names, as a map keeps them.
    if let Some(attempt) = attempt {
        fields.insert(0, ("attempt".into(), Value::Int(attempt.into())));
    }
    Value::Map(Map::from_entries(fields))
}

/// A value as text, where text is wanted: a string as it is, else its JSON.
pub fn as_text(value: &Value) -> Text {
    match value {
        Value::Str(text) => text.clone(),
        other => json::text(other).unwrap_or_default().into(),
    }
}

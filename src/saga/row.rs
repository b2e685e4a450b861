//! An instance as it is kept: a value, whose JSON people can read where they must.
//!
//! Steps and states stand in it by name. What is left out has its usual value (none, zero, false). `v` is the version of this
//! form; a row of another one, of another definition than the one asked for, or damaged is an [`Error`]: it is never guessed at.

use super::instance::{Asker, Early, Instance, Kept, Op, OpState, Place, Progress, Row, Run, RunState, Start};
use super::{Error, Status};
use crate::record::{Map, Text, Value};
use crate::topology::model::Saga;
use crate::topology::model::saga::Body;

/// Version of the form.
const FORMAT: i64 = 1;

/// What every row tells, whichever definition it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where the instance stands; `None`: it has not begun, messages wait for it.
    pub status: Option<Status>,
    /// The definition that it keeps; empty where it has not begun.
    pub definition: Text,
    /// Does it wait for an operator, or is it overdue where nothing is undone any more?
    pub stuck: bool,
}

/// Reads what every row tells.
pub fn summary(stored: &Value) -> Result<Summary, Error> {
    let row = own_form(stored)?;
    if row.contains_key("early") {
        return Ok(Summary { status: None, definition: Text::default(), stuck: false });
    }
    let row = Fields(row);
    let status = status(&row)?;
    let stuck = status.waits_for_operator() || (row.flag("overdue")? && !status.is_final());
    Ok(Summary { status: Some(status), definition: row.text("definition")?, stuck })
}

/// What is kept of a row.
pub fn encode(row: &Row, saga: &Saga) -> Value {
    match row {
        Row::Early(early) => map([("early", Some(kept_value(&early.kept))), ("next", number(early.next)), ("v", some(FORMAT))]),
        Row::Instance(instance) => instance_value(instance, saga),
    }
}

/// Reads what is kept of the instance `id`. Of one of another definition that is over, its steps are left out: it is not to be
/// kept again.
pub fn decode(stored: &Value, id: &str, saga: &Saga, definition: &str) -> Result<Row, Error> {
    let row = own_form(stored)?;
    if let Some(early) = row.get("early") {
        return Ok(Row::Early(Early { kept: read_kept(early)?, next: Fields(row).count("next")? }));
    }
    let fields = Fields(row);
    let own = fields.text("definition")?;
    let place = match own == definition {
        true => read_place(&fields, saga)?,
        // Nothing leads on from there: what it was does not matter any more.
        false if status(&fields)?.is_final() => no_place(saga),
        false => return Err(Error::OtherDefinition { own, loaded: definition.into() }),
    };
    read_instance(&fields, id, place).map(|instance| Row::Instance(Box::new(instance)))
}

fn no_place(saga: &Saga) -> Place {
    match &saga.body {
        Body::Steps(_) => Place::Steps(Progress::default()),
        Body::States(states) => Place::State { state: states.start, since: 0 },
    }
}

fn own_form(stored: &Value) -> Result<&Map, Error> {
    let Value::Map(row) = stored else { return Err(malformed("no map")) };
    match row.get("v").and_then(Value::as_int) {
        Some(FORMAT) => Ok(row),
        Some(other) => Err(malformed(format!("of the unknown form {other}"))),
        None => Err(malformed("without its form")),
    }
}

fn instance_value(instance: &Instance, saga: &Saga) -> Value {
    let Instance { id: _, definition, status, start, changed_at, reason, failed_step, data, place, .. } = instance;
    let begun = map([
        ("at", some(start.at)),
        ("correlationId", some(start.correlation_id.clone())),
        ("id", some(start.id.clone())),
        ("input", some(start.input.clone())),
        ("trace", text(&start.trace)),
    ]);
    let askers = instance.askers.iter().map(|asker| {
        map([
            ("correlationId", some(asker.correlation_id.clone())),
            ("id", some(asker.request.clone())),
            ("key", some(asker.key.clone())),
            ("replyTo", some(asker.reply_to.clone())),
        ])
    });
    let seen = instance.seen.iter().map(|hash| Value::from(format!("{hash:016x}")));
    let (at, pivoted, runs, settled, since, state) = match place {
        Place::Steps(progress) => {
            let runs = progress.runs.iter().map(|run| run_value(run, saga));
            (some(progress.at as i64), flag(progress.pivoted), list(runs), number(progress.settled), None, None)
        }
        Place::State { state, since } => (None, None, None, None, some(*since), text(state_name(saga, *state))),
    };
    map([
        ("aborted", flag(instance.aborted)),
        ("acts", list(instance.acts.iter().cloned().map(Value::from))),
        ("answer", (!instance.answer.is_null()).then(|| instance.answer.clone())),
        ("askers", list(askers)),
        ("at", at),
        ("changedAt", some(*changed_at)),
        ("data", some(data.clone())),
        ("definition", some(definition.clone())),
        ("entries", number(instance.entries)),
        ("failedStep", text(failed_step)),
        ("kept", (!instance.kept.is_empty()).then(|| kept_value(&instance.kept))),
        ("nextKept", count(instance.next_kept)),
        ("overdue", flag(instance.overdue)),
        ("pivoted", pivoted),
        ("reason", text(reason)),
        ("runs", runs),
        ("seen", list(seen)),
        ("settled", settled),
        ("since", since),
        ("start", some(begun)),
        ("state", state),
        ("status", some(status.name())),
        ("v", some(FORMAT)),
    ])
}

fn run_value(run: &Run, saga: &Saga) -> Value {
    let ops = run.ops.iter().map(|op| {
        map([
            ("answered", count(op.answered)),
            ("command", text(&op.command)),
            ("due", op.due.map(Value::from)),
            ("item", (!op.item.is_null()).then(|| op.item.clone())),
            ("order", count(op.order)),
            ("reason", text(&op.reason)),
            ("state", some(op.state.name())),
            ("tries", count(op.tries)),
            ("unknown", flag(op.unknown)),
        ])
    });
    map([
        ("ops", list(ops)),
        ("reason", text(&run.reason)),
        ("state", some(run.state.name())),
        ("step", text(step_name(saga, run.step))),
    ])
}

fn kept_value(kept: &[Kept]) -> Value {
    let one = |kept: &Kept| map([("n", number(kept.number)), ("type", some(kept.kind.clone()))]);
    Value::list(kept.iter().map(one).collect())
}

fn read_place(row: &Fields<'_>, saga: &Saga) -> Result<Place, Error> {
    match &saga.body {
        Body::Steps(steps) => {
            let at = row.count("at")? as usize;
            if at > steps.order.len() {
                return Err(malformed("beyond the last step"));
            }
            let runs = row.each("runs", |run| read_run(run, saga))?;
            Ok(Place::Steps(Progress { at, pivoted: row.flag("pivoted")?, settled: row.count("settled")?, runs }))
        }
        Body::States(states) => {
            let name = row.text("state")?;
            let state = states.state(&name).ok_or_else(|| malformed(format!("in the unknown state `{name}`")))?;
            Ok(Place::State { state, since: row.int("since")? })
        }
    }
}

fn read_instance(row: &Fields<'_>, id: &str, place: Place) -> Result<Instance, Error> {
    let start = row.map("start")?;
    let Some(Value::Map(data)) = row.0.get("data") else { return Err(malformed("without `data`")) };
    Ok(Instance {
        id: id.into(),
        definition: row.text("definition")?,
        status: status(row)?,
        start: Start {
            at: start.int("at")?,
            id: start.text("id")?,
            correlation_id: start.text("correlationId")?,
            input: start.text("input")?,
            trace: start.text("trace")?,
        },
        changed_at: row.int("changedAt")?,
        reason: row.text("reason")?,
        failed_step: row.text("failedStep")?,
        data: data.clone(),
        place,
        overdue: row.flag("overdue")?,
        aborted: row.flag("aborted")?,
        entries: row.count("entries")?,
        kept: row.0.get("kept").map_or(Ok(Vec::new()), read_kept)?,
        next_kept: row.count("nextKept")?,
        seen: row.list("seen", |hash| {
            let hash = hash.as_str().and_then(|text| u64::from_str_radix(text, 16).ok());
            hash.ok_or_else(|| malformed("`seen` with something else than a hash"))
        })?,
        acts: row.list("acts", |id| match id {
            Value::Str(id) => Ok(id.clone()),
            _ => Err(malformed("`acts` with something else than an id")),
        })?,
        askers: row.each("askers", |asker| {
            Ok(Asker {
                reply_to: asker.text("replyTo")?,
                key: asker.text("key")?,
                request: asker.text("id")?,
                correlation_id: asker.text("correlationId")?,
            })
        })?,
        answer: row.0.get("answer").cloned().unwrap_or_default(),
    })
}

fn read_run(run: &Fields<'_>, saga: &Saga) -> Result<Run, Error> {
    let (name, state) = (run.text("step")?, run.text("state")?);
    let Body::Steps(steps) = &saga.body else { return Err(malformed("with steps, of a saga of states")) };
    let step = steps.step(&name).ok_or_else(|| malformed(format!("with the unknown step `{name}`")))?;
    let state = RunState::ALL.into_iter().find(|known| known.name() == state);
    Ok(Run {
        step,
        state: state.ok_or_else(|| malformed(format!("with step `{name}` in an unknown state")))?,
        reason: run.text("reason")?,
        ops: run.each("ops", |op| {
            let state = op.text("state")?;
            let state = OpState::ALL.into_iter().find(|known| known.name() == state);
            Ok(Op {
                item: op.0.get("item").cloned().unwrap_or_default(),
                state: state.ok_or_else(|| malformed("with an operation in an unknown state"))?,
                tries: op.count("tries")?,
                answered: op.count("answered")?,
                unknown: op.flag("unknown")?,
                command: op.text("command")?,
                due: op.0.contains_key("due").then(|| op.int("due")).transpose()?,
                order: op.count("order")?,
                reason: op.text("reason")?,
            })
        })?,
    })
}

fn read_kept(kept: &Value) -> Result<Vec<Kept>, Error> {
    let kept = kept.as_list().ok_or_else(|| malformed("kept messages that are no list"))?;
    kept.iter()
        .map(|kept| {
            let kept = Fields(kept.as_map().ok_or_else(|| malformed("a kept message that is no map"))?);
            Ok(Kept { number: kept.count("n")?, kind: kept.text("type")? })
        })
        .collect()
}

fn status(row: &Fields<'_>) -> Result<Status, Error> {
    let name = row.text("status")?;
    Status::from_name(&name).ok_or_else(|| malformed(format!("with the unknown status `{name}`")))
}

/// Fields of a map, each of one kind; what is not there has its usual value.
struct Fields<'a>(&'a Map);

impl<'a> Fields<'a> {
    fn wrong(name: &str) -> Error {
        malformed(format!("`{name}` is of the wrong kind"))
    }

    fn text(&self, name: &str) -> Result<Text, Error> {
        match self.0.get(name) {
            None => Ok(Text::default()),
            Some(Value::Str(text)) => Ok(text.clone()),
            Some(_) => Err(Self::wrong(name)),
        }
    }

    fn int(&self, name: &str) -> Result<i64, Error> {
        self.0.get(name).map_or(Ok(0), |value| value.as_int().ok_or_else(|| Self::wrong(name)))
    }

    fn count(&self, name: &str) -> Result<u32, Error> {
        u32::try_from(self.int(name)?).map_err(|_| Self::wrong(name))
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        self.0.get(name).map_or(Ok(false), |value| value.as_bool().ok_or_else(|| Self::wrong(name)))
    }

    fn map(&self, name: &str) -> Result<Fields<'a>, Error> {
        self.0.get(name).and_then(Value::as_map).map(Fields).ok_or_else(|| Self::wrong(name))
    }

    fn list<T>(&self, name: &str, each: impl Fn(&'a Value) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        match self.0.get(name) {
            None => Ok(Vec::new()),
            Some(list) => list.as_list().ok_or_else(|| Self::wrong(name))?.iter().map(each).collect(),
        }
    }

    fn each<T>(&self, name: &str, each: impl Fn(&Fields<'a>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        self.list(name, |value| each(&Fields(value.as_map().ok_or_else(|| Self::wrong(name))?)))
    }
}

pub(super) fn step_name(saga: &Saga, step: usize) -> &Text {
    match &saga.body {
        Body::Steps(steps) => &steps.steps[step].name,
        Body::States(_) => unreachable!("a step is of a saga of steps"),
    }
}

pub(super) fn state_name(saga: &Saga, state: usize) -> &Text {
    match &saga.body {
        Body::States(states) => &states.states[state].name,
        Body::Steps(_) => unreachable!("a state is of a saga of states"),
    }
}

fn malformed(reason: impl Into<String>) -> Error {
    Error::Malformed(reason.into())
}

/// A map of the entries that are there; their names stand in order.
pub(super) fn map<const N: usize>(entries: [(&'static str, Option<Value>); N]) -> Value {
    let mut given = Vec::with_capacity(N);
    given.extend(entries.into_iter().filter_map(|(name, value)| Some((Text::new_static(name), value?))));
    Value::Map(Map::from_entries(given))
}

fn some(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

fn number(number: u32) -> Option<Value> {
    Some(Value::Int(number.into()))
}

/// A number that is usually none.
fn count(count: u32) -> Option<Value> {
    (count > 0).then(|| Value::Int(count.into()))
}

/// A text that is usually empty.
fn text(text: &Text) -> Option<Value> {
    (!text.is_empty()).then(|| Value::Str(text.clone()))
}

fn flag(flag: bool) -> Option<Value> {
    flag.then_some(Value::Bool(true))
}

/// A list that is usually empty.
fn list(items: impl Iterator<Item = Value>) -> Option<Value> {
    let items: Vec<_> = items.collect();
    (!items.is_empty()).then(|| Value::list(items))
}

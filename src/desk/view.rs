//! What is kept of an instance, for whoever looks at it.

use crate::codec::moment;
use crate::record::{Map, Millis, Text, Value};
use crate::saga::{self, Status};

/// An instance as it was committed.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Its id.
    pub id: Text,
    /// Where it stands.
    pub status: Status,
    /// Does it wait for an operator, or is it overdue where nothing is undone any more?
    pub stuck: bool,
    /// The definition that it keeps: the one that it began with.
    pub definition: Text,
    /// When it began.
    pub started_at: Millis,
    /// When it last changed.
    pub changed_at: Millis,
    /// Entries of its history so far.
    pub entries: i64,
    /// Why it is not on its way; empty where it is.
    pub reason: Text,
    /// The step that failed; empty where none did.
    pub failed_step: Text,
    /// The state that it is in; of a saga of steps empty.
    pub state: Text,
    /// The steps that are being done or undone, or wait for an operator.
    pub steps_at_work: Vec<Text>,
    /// What is kept, whole.
    row: Map,
}

impl View {
    /// Reads what is kept under an id; `None` where there are only messages that wait for their saga.
    pub fn read(id: &str, kept: Value) -> Result<Option<Self>, saga::Error> {
        let saga::Summary { status, definition, stuck } = saga::summary(&kept)?;
        let (Some(status), Value::Map(row)) = (status, kept) else { return Ok(None) };
        let text = |name: &str| row.get(name).and_then(Value::as_str).map(Text::new).unwrap_or_default();
        let begun = row.get("start").and_then(|start| field(start, "at")).and_then(Value::as_int);
        Ok(Some(Self {
            id: id.into(),
            status,
            stuck,
            definition,
            started_at: begun.unwrap_or_default(),
            changed_at: row.get("changedAt").and_then(Value::as_int).unwrap_or_default(),
            entries: row.get("entries").and_then(Value::as_int).unwrap_or_default(),
            reason: text("reason"),
            failed_step: text("failedStep"),
            state: text("state"),
            steps_at_work: steps_at_work(&row, status),
            row,
        }))
    }

    /// What `saga.data` is.
    pub fn data(&self) -> Value {
        self.row.get("data").cloned().unwrap_or_default()
    }

    /// The step at which an act finds it, if it is one.
    pub fn stands_at(&self) -> Option<&Text> {
        match self.steps_at_work.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// As an expression sees it, and as a line of a list.
    pub fn summary(&self) -> Value {
        map([
            ("changedAt", Value::Timestamp(moment(self.changed_at))),
            ("data", self.data()),
            ("definition", self.definition.clone().into()),
            ("failedStep", self.failed_step.clone().into()),
            ("id", self.id.clone().into()),
            ("reason", self.reason.clone().into()),
            ("startedAt", Value::Timestamp(moment(self.started_at))),
            ("state", self.state.clone().into()),
            ("status", self.status.name().into()),
            ("step", self.step().into()),
            ("stuck", Value::Bool(self.stuck)),
        ])
    }

    /// All there is: the summary, its steps with their tries and deadlines, and what waits.
    pub fn whole(&self) -> Value {
        let Value::Map(mut all) = self.summary() else { unreachable!("a summary is a map") };
        let steps = list(self.row.get("runs")).iter().map(|run| {
            let operations = list(field(run, "ops")).iter().map(operation).collect();
            let get = |name: &str| field(run, name).cloned().unwrap_or_default();
            map([
                ("name", get("step")),
                ("operations", Value::list(operations)),
                ("reason", get("reason")),
                ("state", get("state")),
            ])
        });
        if let Some(since) = self.row.get("since").and_then(Value::as_int) {
            all.insert("since".into(), Value::Timestamp(moment(since)));
        } else {
            all.insert("steps".into(), Value::list(steps.collect()));
            all.insert("pivoted".into(), Value::Bool(self.row.contains_key("pivoted")));
        }
        let kept = list(self.row.get("kept")).iter().filter_map(|kept| field(kept, "type").cloned()).collect();
        all.insert("keptMessages".into(), Value::list(kept));
        all.insert("overdue".into(), Value::Bool(self.row.contains_key("overdue")));
        Value::Map(all)
    }

    /// The steps at work, as one text.
    pub fn step(&self) -> String {
        self.steps_at_work.iter().map(Text::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Where it is: its step, or its state.
    pub fn place(&self) -> String {
        if self.state.is_empty() { self.step() } else { self.state.to_string() }
    }
}

/// One operation of a step. Defaults that the row leaves out are written.
fn operation(kept: &Value) -> Value {
    let get = |name: &str| field(kept, name).cloned();
    let due = get("due").and_then(|due| due.as_int()).map(|due| Value::Timestamp(moment(due)));
    map([
        ("commandId", get("command").unwrap_or_default()),
        ("due", due.unwrap_or_default()),
        ("item", get("item").unwrap_or_default()),
        ("reason", get("reason").unwrap_or_default()),
        ("state", get("state").unwrap_or_default()),
        ("tries", get("tries").unwrap_or(Value::Int(0))),
        ("unknownOutcome", Value::Bool(get("unknown").is_some())),
    ])
}

/// Steps with an operation that waits, rests, is being undone, or could not be undone; after the pivot the one that failed.
fn steps_at_work(row: &Map, status: Status) -> Vec<Text> {
    const AT_WORK: [&str; 5] = ["waiting", "resting", "undoing", "undo_resting", "undo_failed"];
    let is = |value: &Value, name: &str, words: &[&str]| {
        field(value, name).and_then(Value::as_str).is_some_and(|text| words.contains(&text))
    };
    if status.is_final() {
        return Vec::new();
    }
    let runs = list(row.get("runs"));
    let at_work = runs.iter().filter(|run| {
        let failed = status == Status::PivotFailed && is(run, "state", &["failed"]);
        failed || list(field(run, "ops")).iter().any(|op| is(op, "state", &AT_WORK))
    });
    at_work.filter_map(|run| field(run, "step")?.as_str().map(Text::new)).collect()
}

pub(super) fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Map(map) => map.get(name),
        _ => None,
    }
}

fn list(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

pub(super) fn map<const N: usize>(fields: [(&'static str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (Text::new_static(name), value)).collect())
}

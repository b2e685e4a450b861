//! Runs a case.

use super::check::check;
use super::driver::{Driver, Observed};
use super::model::{Act, Case, Round, Suite};
use super::names::Known;
use super::record::record_of;
use super::update;
use crate::record::{Record, Value};
use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a case ended.
#[derive(Debug)]
pub enum Verdict {
    /// Everything came as expected.
    Passed,
    /// It says itself that it is not run, and why.
    Skipped(String),
    /// What did not come as expected.
    Failed(Vec<Failure>),
}

/// Something that was not as expected.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What it is.
    pub title: String,
    /// Places of the file that it is about, the first one first; none where it is about the whole case.
    pub marks: Vec<Mark>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// What could be written into the file so that it says what came.
    pub(super) edits: Vec<Edit>,
}

/// A place of the file and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Bytes of the file.
    pub range: Range<usize>,
    /// What there is instead.
    pub label: String,
}

/// A piece of the file and what is written in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) with: Replacement,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Replacement {
    /// A value as YAML on one line.
    Flow(String),
    /// Text as it is.
    Text(String),
}

impl Mark {
    pub(super) fn at(range: &Range<usize>, label: impl Into<String>) -> Self {
        Self { range: range.clone(), label: label.into() }
    }
}

impl Edit {
    pub(super) fn value(range: Range<usize>, value: &Value) -> Self {
        Self { range, with: Replacement::Flow(update::flow(value)) }
    }
}

impl Failure {
    pub(super) fn new(title: impl Into<String>, mark: Mark) -> Self {
        Self { marks: vec![mark], ..Self::bare(title) }
    }

    pub(super) fn bare(title: impl Into<String>) -> Self {
        Self { title: title.into(), marks: Vec::new(), notes: Vec::new(), edits: Vec::new() }
    }

    pub(super) fn with(mut self, mark: Mark) -> Self {
        if !self.marks.contains(&mark) {
            self.marks.push(mark);
        }
        self
    }

    pub(super) fn notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    pub(super) fn edits(mut self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.edits.extend(edits);
        self
    }
}

/// Runs a case of a suite, in virtual time, on this thread. The same case gives the same verdict.
pub fn run(suite: &Suite, case: usize) -> Verdict {
    let case = &suite.cases[case];
    if let Some(reason) = &case.skip {
        return Verdict::Skipped(reason.clone());
    }
    let mut failures = catch_unwind(AssertUnwindSafe(|| try_case(suite, case))).unwrap_or_else(|_| {
        vec![Failure::bare("the engine broke down: this is a fault of the engine; its message stands above")]
    });
    for failure in failures.iter_mut().filter(|failure| failure.marks.is_empty()) {
        failure.marks.push(Mark::at(&case.range, "in this case"));
    }
    if failures.is_empty() { Verdict::Passed } else { Verdict::Failed(failures) }
}

fn try_case(suite: &Suite, case: &Case) -> Vec<Failure> {
    let made = &suite.made[case.made];
    let mut driver = match Driver::start(made, case) {
        Ok(driver) => driver,
        Err(trouble) => return vec![troubled("the case cannot begin", trouble)],
    };
    let mut known = Known { params: Value::Map(made.world.topology.params.clone()), ..Known::default() };
    let (mut sent, mut emitted) = (Vec::new(), Vec::new());
    let mut standing = BTreeSet::new();
    for (number, round) in case.rounds.iter().enumerate() {
        let mut failures = Vec::new();
        let observed = match happen(round, &mut driver, made, &mut known, &mut sent) {
            Ok(observed) => observed,
            Err(failure) => return vec![within(round, number, case, *failure)],
        };
        emitted.extend(observed.messages.iter().map(|message| message.shown.clone()));
        known.emitted = Value::list(emitted.clone());
        if let Some(name) = driver.disarm() {
            let at = round.when.iter().find(|action| matches!(action.act, Act::Crash(_)));
            let range = at.map_or(case.range.clone(), |action| action.range.clone());
            failures.push(Failure::new("no worker died", Mark::at(&range, format!("no worker came to `{name}`"))));
        }
        if round.then_range.is_none() && number + 1 == case.rounds.len() {
            let edit = update::whole_then(round, &observed, &driver, &suite.text);
            let mark = Mark::at(&round.first_key, "nothing is expected to come of this");
            let hint = "`--update` writes what came".to_owned();
            failures.push(Failure::new("there is no `then`", mark).notes([hint]).edits(edit));
        }
        failures.extend(check(&round.then, &observed, &driver, &mut known, &mut standing));
        if !failures.is_empty() {
            return failures.into_iter().map(|failure| within(round, number, case, failure)).collect();
        }
    }
    Vec::new()
}

/// Does what a round says, and lets everything come to rest.
fn happen(
    round: &Round,
    driver: &mut Driver<'_>,
    made: &super::model::Made,
    known: &mut Known,
    sent: &mut Vec<Value>,
) -> Result<Observed, Box<Failure>> {
    let mut last: Option<Record> = None;
    for action in &round.when {
        let trouble = |trouble: String| Box::new(at(&action.range, trouble));
        match &action.act {
            Act::Send(message) => {
                let partitions = driver.partitions(&message.topic);
                let (record, shown) = record_of(message, &made.world, known, driver.now(), partitions)
                    .map_err(|(range, why)| Box::new(Failure::new("the message cannot be sent", Mark::at(&range, why))))?;
                for _ in 0..message.times {
                    driver.send(&record, message.delay).map_err(trouble)?;
                }
                sent.push(shown);
                known.sent = Value::list(sent.clone());
                last = Some(record);
            }
            Act::Answer(answer) => {
                // Whoever is asked hears of it first.
                driver.settle().map_err(trouble)?;
                let (record, shown) = driver
                    .answer(answer, known)
                    .map_err(|(range, why)| Box::new(Failure::new("nobody is answered", Mark::at(&range, why))))?;
                for _ in 0..answer.times {
                    driver.send(&record, answer.delay).map_err(trouble)?;
                }
                sent.push(shown);
                known.sent = Value::list(sent.clone());
                last = Some(record);
            }
            Act::Duplicate(times) => {
                if let Some(record) = &last {
                    for _ in 0..*times {
                        driver.send(record, std::time::Duration::ZERO).map_err(trouble)?;
                    }
                }
            }
            Act::Advance(by) => driver.advance(*by).map_err(trouble)?,
            Act::Crash(crash) => driver.crash(crash).map_err(trouble)?,
            Act::Join => driver.join(),
            Act::Hold(topic) => driver.hold(topic),
            Act::Release(topic) => driver.release(topic),
            Act::Leave => driver.leave(),
        }
    }
    driver.settle().map_err(|why| Box::new(at(&round.first_key, why)))?;
    Ok(driver.take_observed())
}

fn at(range: &Range<usize>, trouble: String) -> Failure {
    let mut lines = trouble.lines().map(str::to_owned);
    let title = lines.next().unwrap_or_default();
    Failure::new(title, Mark::at(range, "here")).notes(lines)
}

fn troubled(what: &str, trouble: String) -> Failure {
    Failure::bare(what).notes(trouble.lines().map(str::to_owned))
}

/// Says in which step it was, where there are several.
fn within(round: &Round, number: usize, case: &Case, mut failure: Failure) -> Failure {
    if case.rounds.len() > 1 {
        let name = round.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        failure.notes.push(format!("in step {}{name}", number + 1));
    }
    failure
}

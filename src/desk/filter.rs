//! Which instances are meant: `--where`, an expression over `saga`.
//!
//! `saga` is as expressions of the language have it, with `stuck`, `definition` and `changedAt` beside; `ctx.time` is now. An
//! expression that fails does not hold: who looks for `saga.data.total > 100` does not mean the instances without a total.

use super::View;
use super::view::map;
use crate::codec::moment;
use crate::expr::names::{self, CTX, SAGA};
use crate::expr::{EvalError, Expect, Finding, Fuel, Kind, Names, Object, Program, Scope, Severity, Slot, Type, compile};
use crate::record::{Millis, Value};
use crate::saga::Status;

/// A condition on instances.
#[derive(Debug)]
pub struct Filter {
    program: Program,
    ctx: Value,
}

impl Filter {
    /// Checks and compiles; all that is wrong with the text at once. `now` is what `ctx.time` is.
    pub fn compile(text: &str, now: Millis) -> Result<Self, Vec<Finding>> {
        let compiled = compile(text, &scope(), &Expect::Type(Type::Bool));
        let errors: Vec<Finding> =
            compiled.findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect();
        let ctx = map([("id", Value::from("")), ("time", Value::Timestamp(moment(now)))]);
        match compiled.program {
            Some(program) if errors.is_empty() => Ok(Self { program, ctx }),
            _ => Err(errors),
        }
    }

    /// Does it hold for the instance?
    pub fn holds(&self, view: &View) -> bool {
        let seen = Seen { saga: view.summary(), ctx: &self.ctx };
        self.program.eval_bool(&seen, &mut Fuel::new()).unwrap_or(false)
    }
}

/// Which instances are wanted: all of what is given must hold.
#[derive(Debug, Default)]
pub struct Wanted {
    /// One of these; of none any.
    pub statuses: Vec<Status>,
    /// Only those that wait for an operator, or are overdue where nothing is undone any more.
    pub stuck: bool,
    /// A condition.
    pub filter: Option<Filter>,
}

impl Wanted {
    /// Is this one?
    pub fn holds(&self, view: &View) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&view.status))
            && (!self.stuck || view.stuck)
            && self.filter.as_ref().is_none_or(|filter| filter.holds(view))
    }
}

fn scope() -> Scope {
    let text = ["definition", "failedStep", "id", "reason", "state", "status", "step"];
    let saga = text.into_iter().fold(Object::closed(), |object, name| object.with(name, Type::String));
    let saga = saga
        .with("changedAt", Type::Timestamp)
        .with("data", Type::Any)
        .with("startedAt", Type::Timestamp)
        .with("stuck", Type::Bool);
    Scope::new().with(SAGA, saga.into()).with(CTX, names::ctx())
}

struct Seen<'a> {
    saga: Value,
    ctx: &'a Value,
}

impl Names for Seen<'_> {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        match slot {
            SAGA => Ok(&self.saga),
            CTX => Ok(self.ctx),
            _ => Err(EvalError::new(Kind::MissingField, "the name has no value here")),
        }
    }
}

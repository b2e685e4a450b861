//! Tests of the room, by what they look at.

mod checker;
mod differential;
mod hostile;
mod language;
mod templates;

use super::*;
use crate::record::{Value, json};
use std::collections::HashMap;

/// Values of names from JSON.
pub(super) struct Given(HashMap<Slot, Value>);

impl Names for Given {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        self.0.get(&slot).ok_or_else(|| EvalError::new(Kind::MissingField, "not given"))
    }
}

pub(super) fn given(data: &str) -> Given {
    Given(HashMap::from([(names::DATA, json::read(data.as_bytes()).expect("JSON"))]))
}

/// A scope in which only `data` is, of any type.
pub(super) fn any_data() -> Scope {
    Scope::new().with(names::DATA, Type::Any)
}

/// What an expression gives: the JSON text of the result, or the name of the kind of its error.
pub(super) fn outcome(text: &str, data: &str) -> String {
    let compiled = compile(text, &any_data(), &Expect::Any);
    let Some(program) = compiled.program else { return format!("{:?}", codes(&compiled.findings)) };
    match program.eval(&given(data), &mut Fuel::new()) {
        Ok(value) => json::text(&value).unwrap_or_else(|error| error.to_string()),
        Err(error) => error.kind.name().to_owned(),
    }
}

pub(super) fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

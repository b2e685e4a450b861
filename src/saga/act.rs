//! What operators do to an instance: acts, which are records in the node's inbox.
//!
//! An act is a message of type `saga.act.v1`, keyed by the saga's id, whose id tells a repetition:
//!
//! ```json
//! {"act": "skip", "reason": "booked by hand, ticket 4711", "by": "ada", "step": "charge"}
//! ```
//!
//! `act` is `retry`, `skip`, `resolve` or `abort`; `skip` wants a `reason`; `step` is optional and says at which step the operator
//! saw the instance: standing elsewhere by now, it refuses the act. What is read here may come from anywhere: texts are bounded,
//! unknown fields refused.

use crate::codec::Event;
use crate::failure::{Class, Failure, Stage};
use crate::record::{Map, Text, Value};

/// Type of an act's message.
pub const ACT: &str = "saga.act.v1";
/// Longest reason.
const REASON_BYTES_MAX: usize = 1_024;
/// Longest name of a step, of an operator, and longest id.
const NAME_BYTES_MAX: usize = 256;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// What failed, or rests after a failure, is tried again now.
    Retry,
    /// What failed or waits is passed over; what it did, if anything, stays.
    Skip,
    /// What failed or waits was done by hand: it counts as done, or as undone.
    Resolve,
    /// The instance is ended: a running one is undone first, if it can be.
    Abort,
}

/// An operator's act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// Tells a repetition.
    pub id: Text,
    /// What is to be done.
    pub deed: Deed,
    /// Why; empty: not said.
    pub reason: Text,
    /// By whom; empty: not said.
    pub by: Text,
    /// The step at which the instance must stand, or that failed.
    pub step: Option<Text>,
}

impl Deed {
    const ALL: [Self; 4] = [Self::Retry, Self::Skip, Self::Resolve, Self::Abort];

    /// As records and histories name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Skip => "skip",
            Self::Resolve => "resolve",
            Self::Abort => "abort",
        }
    }

    /// The deed of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|deed| deed.name() == name)
    }
}

impl Act {
    /// Reads an act; a message that is none is undecodable.
    pub fn read(event: &Event) -> Result<Self, Failure> {
        if event.kind != ACT {
            return Err(bad(format!("a message of type `{ACT}` is wanted")));
        }
        let Value::Map(fields) = &event.data else {
            return Err(bad(format!("an act is a map, this is a {}", event.data.kind())));
        };
        let known = |name: &str| ["act", "by", "reason", "step"].contains(&name);
        if fields.iter().any(|(name, _)| !known(name)) {
            return Err(bad("an act has the fields `act`, `reason`, `by` and `step` alone"));
        }
        let deed = text(fields, "act", NAME_BYTES_MAX)?.and_then(|name| Deed::from_name(&name));
        let deed = deed.ok_or_else(|| bad("`act` is one of `retry`, `skip`, `resolve` and `abort`"))?;
        if event.id.len() > NAME_BYTES_MAX {
            return Err(bad(format!("an id has at most {NAME_BYTES_MAX} bytes")));
        }
        let reason = text(fields, "reason", REASON_BYTES_MAX)?.unwrap_or_default();
        if deed == Deed::Skip && reason.trim().is_empty() {
            return Err(bad("`skip` wants a `reason`"));
        }
        Ok(Self {
            id: event.id.clone(),
            deed,
            reason,
            by: text(fields, "by", NAME_BYTES_MAX)?.unwrap_or_default(),
            step: text(fields, "step", NAME_BYTES_MAX)?,
        })
    }

    /// The payload of an act, as [`read`](Self::read) takes it.
    pub fn data(&self) -> Value {
        let given = |text: &Text| (!text.is_empty()).then(|| Value::from(text.clone()));
        let fields = [
            ("act", Some(Value::from(self.deed.name()))),
            ("by", given(&self.by)),
            ("reason", given(&self.reason)),
            ("step", self.step.clone().map(Value::from)),
        ];
        Value::Map(fields.into_iter().filter_map(|(name, value)| Some((Text::new_static(name), value?))).collect())
    }
}

fn text(fields: &Map, name: &'static str, bytes_max: usize) -> Result<Option<Text>, Failure> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Str(text)) if text.len() <= bytes_max => Ok(Some(text.clone())),
        Some(_) => Err(bad(format!("`{name}` is a text of at most {bytes_max} bytes"))),
    }
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, format!("no act: {}", message.into()))
}

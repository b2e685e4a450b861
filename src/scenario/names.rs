//! What the texts of a scenario file may compute with.

use crate::expr::names::{FIRST_LOCAL, PARAMS};
use crate::expr::{EvalError, Kind, Names, Scope, Slot, Type};
use crate::record::Value;

const SENT: Slot = FIRST_LOCAL;
const EMITTED: Slot = Slot(FIRST_LOCAL.0 + 1);
const VALUE: Slot = Slot(FIRST_LOCAL.0 + 2);

/// Values of the names.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Params of the topology.
    pub(super) params: Value,
    /// Messages of the case so far, those of this round included.
    pub(super) sent: Value,
    /// What was emitted so far in the case.
    pub(super) emitted: Value,
    /// The value that there is, where one is judged.
    pub(super) value: Value,
}

/// The names, and the slot of `value` where there is one to be judged.
pub(super) fn scope(judging: bool) -> (Scope, Option<Slot>) {
    let mut scope = Scope::new().with(PARAMS, Type::Any);
    scope.local("sent", Type::list(Type::Any));
    scope.local("emitted", Type::list(Type::Any));
    if judging {
        scope.local("value", Type::Any);
    }
    (scope, judging.then_some(VALUE))
}

impl Names for Known {
    fn value(&self, slot: Slot) -> Result<&Value, EvalError> {
        match slot {
            PARAMS => Ok(&self.params),
            SENT => Ok(&self.sent),
            EMITTED => Ok(&self.emitted),
            VALUE => Ok(&self.value),
            _ => Err(EvalError::new(Kind::MissingField, "the name has no value here")),
        }
    }
}

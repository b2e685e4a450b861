//! Why a step ended early, by whose fault it was.

use crate::failure::{Class, Failure, Stage};
use crate::state::Error;

/// Why a step ended without an outcome.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The record failed at this node: its effects are taken back and it goes the road of the failure's class.
    #[error(transparent)]
    Record(#[from] Failure),
    /// The state could not be read: nothing is known about the record; the task halts before it.
    #[error(transparent)]
    State(Error),
}

/// A value that cannot be kept is the fault of the record that makes it; any other trouble with the state is nobody's.
impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match &error {
            Error::Refused { code, .. } => {
                Self::Record(Failure::new(Class::Permanent, *code, Stage::Evolve, error.to_string()))
            }
            _ => Self::State(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_value_that_cannot_be_kept_is_the_records_fault() {
        let refused = Error::Refused { store: "orders.0".into(), code: "TOO_LARGE", reason: "5 bytes".into() };
        match Stop::from(refused) {
            Stop::Record(failure) => assert_eq!((failure.class(), failure.code().as_str()), (Class::Permanent, "TOO_LARGE")),
            Stop::State(error) => panic!("{error}"),
        }
        let unreadable = Error::Unreadable { store: "orders.0".into(), reason: "junk".into() };
        assert!(matches!(Stop::from(unreadable), Stop::State(Error::Unreadable { .. })));
    }
}

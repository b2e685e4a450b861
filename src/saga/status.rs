//! Where an instance stands, and which moves there are.

/// The status of an instance.
///
/// ```text
///                       ┌──────────────────────────────▶ Completed
///                       │            (states)
///                    Running ──────────────────────────▶ Failed, Compensated
///                    │  │  ▲
///          step fails│  │  │ retry, skip, resolve
///    after the pivot │  │  └──────────────┐
///                    ▼  │                 │
///            PivotFailed│─────────────────┘
///                       │ step fails, cancel, timeout, abort
///                       ▼                  all undone
///                  Compensating ──────────────────────▶ Compensated
///                    │      ▲   └─ by hand, in part ──▶ Failed
///      undoing fails │      │ retry, skip, resolve
///                    ▼      │
///                CompensationFailed
///
///   any but the final ones ── abort by an operator ──▶ Cancelled
/// ```
///
/// `Completed`, `Compensated`, `Failed` and `Cancelled` are final: nothing leads out of them. `CompensationFailed` and
/// `PivotFailed` wait for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// On its way.
    Running,
    /// It did what it should.
    Completed,
    /// What it had done is being undone.
    Compensating,
    /// What it had done is undone.
    Compensated,
    /// Something could not be undone.
    CompensationFailed,
    /// A required step after the pivot failed.
    PivotFailed,
    /// It failed; with steps: an operator had a part of it left as it was.
    Failed,
    /// An operator ended it.
    Cancelled,
}

impl Status {
    /// All of them, in the order of the language reference.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Completed,
        Self::Compensating,
        Self::Compensated,
        Self::CompensationFailed,
        Self::PivotFailed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As expressions, rows, histories and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Compensating => "compensating",
            Self::Compensated => "compensated",
            Self::CompensationFailed => "compensation_failed",
            Self::PivotFailed => "pivot_failed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// The remark that an instance has come here: a move, as [`crate::telemetry::SAGA_MOVED`] has it.
    pub(super) fn moved(self) -> &'static str {
        match self {
            Self::Running => "saga_moved_to:running",
            Self::Completed => "saga_moved_to:completed",
            Self::Compensating => "saga_moved_to:compensating",
            Self::Compensated => "saga_moved_to:compensated",
            Self::CompensationFailed => "saga_moved_to:compensation_failed",
            Self::PivotFailed => "saga_moved_to:pivot_failed",
            Self::Failed => "saga_moved_to:failed",
            Self::Cancelled => "saga_moved_to:cancelled",
        }
    }

    /// Is it over?
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Compensated | Self::Failed | Self::Cancelled)
    }

    /// Does it wait for an operator?
    pub fn waits_for_operator(self) -> bool {
        matches!(self, Self::CompensationFailed | Self::PivotFailed)
    }

    /// Is there a move from here to there?
    pub fn leads_to(self, to: Self) -> bool {
        use Status::{Cancelled, Compensated, Compensating, CompensationFailed, Completed, Failed, PivotFailed, Running};
        let ways: &[Self] = match self {
            Running => &[Completed, Compensating, Compensated, PivotFailed, Failed, Cancelled],
            Compensating => &[Compensated, CompensationFailed, Failed, Cancelled],
            CompensationFailed => &[Compensating, Cancelled],
            PivotFailed => &[Running, Cancelled],
            Completed | Compensated | Failed | Cancelled => &[],
        };
        ways.contains(&to)
    }
}

#[cfg(test)]
mod tests {
    use super::Status;

    #[test]
    fn nothing_leads_out_of_what_is_final_and_something_out_of_all_else() {
        for from in Status::ALL {
            let ways = Status::ALL.into_iter().filter(|to| from.leads_to(*to)).count();
            assert_eq!(ways == 0, from.is_final(), "{}", from.name());
            assert!(from.is_final() || from.leads_to(Status::Cancelled), "{}", from.name());
            assert_eq!(Status::from_name(from.name()), Some(from));
            assert_eq!(from.moved().strip_prefix(crate::telemetry::SAGA_MOVED), Some(from.name()));
        }
        assert_eq!(Status::from_name("Running"), None);
    }
}

//! How the process ends: the one list of exit codes.

use std::process::ExitCode;

/// What an exit code means. Scripts rest on the numbers; they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It could not be done, or went wrong on the way.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A topology file has findings.
    Findings = 3,
    /// Two things that should agree do not: the self-check of `dev` found records lost or doubled.
    Differences = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// No broker answers.
    BrokerUnreachable = 6,
}

impl Exit {
    /// All of them, with what the reference says.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Ok, "done"),
        (Self::Failed, "it could not be done, or went wrong on the way"),
        (Self::Usage, "the command line is wrong"),
        (Self::Findings, "a topology file has findings; dead letters were refused, or would fail again"),
        (
            Self::Differences,
            "what should agree does not: the self-check of `dev` found records lost or doubled, `plan --exit-code` differences",
        ),
        (Self::NotFound, "what was asked for is not there: a file, a topology in it"),
        (Self::BrokerUnreachable, "no broker answers"),
    ];

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

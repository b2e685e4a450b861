//! How many instances of a partition stand where: kept beside them, so that it is known without a look at each.
//!
//! Stored: a format byte (`01`), then for each status in the order of [`Status::ALL`] the number of instances (u64, big-endian), then
//! the number of those that are stuck.

use super::instance::{Instance, Row};
use super::{Error, Status};

const FORMAT: u8 = 1;
const NUMBERS: usize = Status::ALL.len() + 1;

/// Where the counts of a partition are kept among the rows of its node. No kept message has such a key.
pub const COUNTS_KEY: &[u8] = b"counts";

/// Numbers of instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; NUMBERS]);

/// Where an instance counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: Status,
    pub(super) stuck: bool,
}

impl Standing {
    pub(super) fn of(row: Option<&Row>) -> Option<Self> {
        match row {
            Some(Row::Instance(saga)) => Some(Self { status: saga.status, stuck: saga.is_stuck() }),
            _ => None,
        }
    }
}

impl Instance {
    /// Does it wait for an operator, or is it overdue where nothing is undone any more?
    pub fn is_stuck(&self) -> bool {
        self.status.waits_for_operator() || (self.overdue && !self.status.is_final())
    }
}

impl Counts {
    /// Instances that stand there.
    pub fn of(&self, status: Status) -> u64 {
        self.0[status as usize]
    }

    /// Instances that wait for an operator, or are overdue where nothing is undone any more.
    pub fn stuck(&self) -> u64 {
        self.0[NUMBERS - 1]
    }

    /// An instance has come from somewhere to somewhere.
    pub(super) fn note(&mut self, before: Option<Standing>, after: Option<Standing>) {
        if let Some(Standing { status, stuck }) = before {
            self.0[status as usize] = self.0[status as usize].saturating_sub(1);
            self.0[NUMBERS - 1] = self.0[NUMBERS - 1].saturating_sub(u64::from(stuck));
        }
        if let Some(Standing { status, stuck }) = after {
            self.0[status as usize] += 1;
            self.0[NUMBERS - 1] += u64::from(stuck);
        }
    }

    /// Reads the stored form.
    pub fn read(stored: &[u8]) -> Result<Self, Error> {
        let malformed = || Error::Malformed("the counts of sagas are of an unknown form".to_owned());
        let (FORMAT, rest) = stored.split_first().map(|(format, rest)| (*format, rest)).ok_or_else(malformed)? else {
            return Err(malformed());
        };
        let (numbers, rest) = rest.as_chunks::<8>();
        let numbers: [[u8; 8]; NUMBERS] = numbers.try_into().map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        Ok(Self(numbers.map(u64::from_be_bytes)))
    }

    /// The stored form.
    pub(super) fn stored(&self) -> Vec<u8> {
        let numbers = self.0.iter().flat_map(|number| number.to_be_bytes());
        std::iter::once(FORMAT).chain(numbers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_back_and_nothing_else_is_read() {
        let mut counts = Counts::default();
        let running = Standing { status: Status::Running, stuck: false };
        let halted = Standing { status: Status::PivotFailed, stuck: true };
        counts.note(None, Some(running));
        counts.note(None, Some(running));
        counts.note(Some(running), Some(halted));
        assert_eq!((counts.of(Status::Running), counts.of(Status::PivotFailed), counts.stuck()), (1, 1, 1));
        assert_eq!(Counts::read(&counts.stored()), Ok(counts));
        counts.note(Some(halted), None);
        assert_eq!((counts.of(Status::PivotFailed), counts.stuck()), (0, 0));
        let stored = counts.stored();
        for cut in 0..stored.len() {
            assert!(Counts::read(&stored[..cut]).is_err());
        }
        assert!(Counts::read(&[&stored[..], &[0]].concat()).is_err());
        assert!(Status::ALL.iter().enumerate().all(|(at, status)| *status as usize == at), "numbers are in their order");
    }
}

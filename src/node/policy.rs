//! What the file says about failures at a node (`language.md` §6, `errors`): whether a record is tried again, what may wait, its road.

use super::failed::{Tries, error_value};
use super::{Frame, World};
use crate::codec::Event;
use crate::failure::{Class, Failure, Stage};
use crate::record::{Millis, RecordRef, Text};
use crate::topology::model::{Errors, Park, StopAbove, Then};

/// See the module.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// What all nodes share.
    pub world: &'a World,
    /// The node's name.
    pub node: &'a Text,
    /// As declared.
    pub errors: &'a Errors,
    /// May records wait here behind a failed one of their key?
    pub parks: bool,
}

/// What is done with a record that failed for good (`language.md` §6, `errors`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// A dead letter, and the partition goes on.
    DeadLetter,
    /// The partition halts at the record.
    Stop,
    /// A dead letter, and later records of the key wait until an operator acts.
    Hold,
}

/// What may wait at a node behind failed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parking {
    /// How many records.
    pub bounds: Park,
    /// Are keys held until an operator acts? Those that were held when they still were go on where they are not any more.
    pub holds: bool,
}

/// A record that failed, when it is asked whether it is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Failed<'a> {
    /// The record.
    pub record: &'a RecordRef<'a>,
    /// What was decoded from it.
    pub event: &'a Event,
    /// Why.
    pub failure: &'a Failure,
    /// The tries that it had.
    pub tries: Tries,
    /// From 0 to 1: follows from the record and the try, so that records of one moment do not come again in one moment.
    pub chance: f64,
}

impl Policy<'_> {
    /// Where a record that failed like this goes. Where nothing waits, no key is held.
    pub fn road(&self, failure: &Failure) -> Road {
        let then = match failure.class() {
            Class::Undecodable => self.errors.undecodable,
            // Of one that may pass: when it is not tried again.
            Class::Permanent | Class::Retryable => self.errors.then,
            Class::Engine => Then::Stop,
        };
        match then {
            Then::Stop => Road::Stop,
            Then::Park if self.parks => Road::Hold,
            Then::Skip | Then::Park => Road::DeadLetter,
        }
    }

    /// What may wait, where something ever does.
    pub fn parking(&self) -> Option<Parking> {
        self.parks.then_some(Parking { bounds: self.errors.park, holds: self.errors.then == Then::Park })
    }

    /// In how many milliseconds a record that failed like this is tried again.
    pub fn again(&self, failed: &Failed<'_>) -> Option<Millis> {
        let Failed { record, event, failure, tries, chance } = *failed;
        let retry = &self.errors.retry;
        if !self.parks || failure.class() != Class::Retryable || tries.attempts >= retry.attempts {
            return None;
        }
        if let Some(when) = &retry.when {
            let error = error_value(self.world, self.node, record, failure, tries);
            let frame = Frame::new(self.world, event, 0).with_error(error);
            // What cannot be told is not waited for.
            if !frame.holds(when, Stage::Step).unwrap_or(false) {
                return None;
            }
        }
        let wait = retry.wait(tries.attempts).as_millis() as f64;
        let spread = 1.0 + retry.jitter * (2.0 * chance - 1.0);
        // A wait that no clock can hold is cut to the longest; a negative one cannot be.
        Some((wait * spread).clamp(0.0, 1e15) as Millis)
    }

    /// The partition halts when a larger share of its records cannot be read.
    pub fn stop_above(&self) -> Option<StopAbove> {
        self.errors.stop_above
    }
}

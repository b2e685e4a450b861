//! What an answer of the lane means for the producer and for the epoch, and the want of one.

use super::super::crash::point;
use super::super::{Error, Result};
use super::{Commit, Doing, Event, Fate, State};
use crate::broker::{self, ErrorClass, Op, Outcome, Reply};
use crate::record::{Offset, Partition, TopicPartition};
use std::time::Duration;

impl<Q: std::fmt::Debug> Commit<Q> {
    pub(super) fn replied(&mut self, what: Doing<Q>, reply: Reply, now: Duration) -> Result<Option<Event<Q>>> {
        let Reply { took, transport_trouble, result } = reply;
        if let Some(epoch) = &mut self.epoch {
            epoch.trouble |= transport_trouble;
        }
        match (what, result) {
            (Doing::Init | Doing::Rebuild, Ok(_)) => self.initialised(),
            (Doing::Init | Doing::Rebuild, Err(error)) => self.init_failed(error, now),
            (Doing::Question(question), result) => {
                if result.as_ref().is_err_and(|error| error.class == ErrorClass::Fatal) {
                    // Found out now instead of by the next epoch.
                    self.state = State::Dead;
                    self.pause(now);
                }
                Ok(Some(Event::Answer(question, result)))
            }
            (Doing::Stamps, Ok(Outcome::Committed(committed))) => Ok(Some(self.resolve(&committed, now)?)),
            (Doing::Stamps, result) => {
                // Unavailable for now: nothing may happen before the outcome is known.
                match result {
                    Err(error @ broker::Error { class: ErrorClass::Denied(_), .. }) => return Err(Error::Permanent(error)),
                    Err(error) => {
                        tracing::warn!(%error, "the outcome of an epoch cannot be found out yet");
                        if error.class == ErrorClass::Fatal {
                            self.state = State::Dead;
                        }
                    }
                    Ok(other) => unreachable!("stamps are committed offsets, not {other:?}"),
                }
                self.pause(now);
                Ok(self.untold())
            }
            (Doing::Begin, Ok(_)) => {
                let batch = self.sealed().batch.clone();
                if batch.is_empty() {
                    self.send_offsets(now);
                    return Ok(None);
                }
                if !self.is_transactional() && !self.may_write(now) {
                    return Ok(None);
                }
                self.submit(Doing::Produce, Op::Produce(batch), now);
                point("c05")?;
                Ok(None)
            }
            (Doing::HoldOffsets, Ok(_)) => {
                self.submit(Doing::Hold, Op::Commit, now);
                Ok(None)
            }
            (Doing::Hold, Ok(_)) => {
                self.held();
                Ok(None)
            }
            (Doing::Produce, Ok(_)) => {
                self.submit(Doing::Drain, Op::Drain, now);
                Ok(None)
            }
            (Doing::Drain, Ok(Outcome::Drained(delivered))) => {
                self.check_delivered(&delivered)?;
                point("c06")?;
                self.epoch.as_mut().expect("an epoch is drained").delivered = delivered;
                self.send_offsets(now);
                Ok(None)
            }
            (Doing::SendOffsets, Ok(_)) => {
                point("c07")?;
                self.epoch.as_mut().expect("an epoch is committed").fate = Fate::Unknown;
                self.submit(Doing::Commit, Op::Commit, now);
                point("c08")?;
                Ok(None)
            }
            (Doing::Commit, Ok(_)) => {
                self.renew_lease();
                self.ended(took);
                self.learn(took);
                Ok(Some(self.committed()))
            }
            (Doing::Abort, Ok(_)) => {
                self.ended(took);
                let cause = self.cause_of_abort();
                Ok(Some(self.rolled_back(cause, now)?))
            }
            (Doing::Drain, Ok(other)) => unreachable!("a drain is answered by deliveries, not by {other:?}"),
            (what, Err(error)) => self.failed(&what, error, now),
        }
    }

    /// A producer is ready.
    fn initialised(&mut self) -> Result<Option<Event<Q>>> {
        self.state = State::Ready;
        if self.epoch.as_ref().is_some_and(|epoch| matches!(epoch.fate, Fate::Unknown)) {
            point("c17")?;
        }
        let first = !std::mem::replace(&mut self.was_ready, true);
        Ok(first.then_some(Event::Ready))
    }

    fn init_failed(&mut self, error: broker::Error, now: Duration) -> Result<Option<Event<Q>>> {
        self.state = State::Dead;
        match error.class {
            ErrorClass::Fenced => self.fenced(now)?,
            ErrorClass::Denied(_) => return Err(Error::Permanent(error)),
            ErrorClass::Retry
            | ErrorClass::Abortable
            | ErrorClass::Fatal
            | ErrorClass::TooLarge
            | ErrorClass::Refused(_)
            | ErrorClass::Missing(_) => {}
        }
        self.pause(now);
        Ok(None)
    }

    /// Delivered offsets of a changelog grow; where they do not, the topic is another one than the store has followed.
    fn check_delivered(&self, delivered: &[(u16, Partition, Option<Offset>)]) -> Result<()> {
        let sealed = self.sealed();
        for (topic, partition, floor) in &sealed.floors {
            let now = delivered.iter().find(|(t, p, _)| t == topic && p == partition).and_then(|(_, _, end)| *end);
            if let Some(now) = now.filter(|now| now <= floor) {
                let partition = TopicPartition::new(sealed.batch.topics()[usize::from(*topic)].clone(), *partition);
                return Err(Error::Recreated { partition, before: *floor, now });
            }
        }
        Ok(())
    }

    /// An operation of a transaction failed.
    fn failed(&mut self, what: &Doing<Q>, error: broker::Error, now: Duration) -> Result<Option<Event<Q>>> {
        if matches!(what, Doing::Abort) {
            // Nothing of it can be committed any more; the next producer's initialisation ends it.
            self.state = State::Dead;
            if error.class == ErrorClass::Fenced {
                self.fenced(now)?;
            }
            let cause = self.cause_of_abort();
            return Ok(Some(self.rolled_back(cause, now)?));
        }
        let committing = matches!(what, Doing::Commit);
        match error.class {
            ErrorClass::Fenced | ErrorClass::Fatal => {
                self.state = State::Dead;
                if error.class == ErrorClass::Fenced {
                    self.fenced(now)?;
                }
                if committing {
                    self.figures.unknown_outcomes += 1;
                    return Ok(None);
                }
                Ok(Some(self.rolled_back(error, now)?))
            }
            ErrorClass::Retry if committing && self.commits_again() => {
                self.figures.unknown_outcomes += 1;
                self.pause(now);
                Ok(None)
            }
            ErrorClass::Retry if committing && self.is_transactional() => {
                self.state = State::Dead;
                self.figures.unknown_outcomes += 1;
                Ok(None)
            }
            // Any answer may be to the second of two requests, and tell nothing about the first.
            _ if committing && self.had_trouble() && self.is_transactional() => {
                self.state = State::Dead;
                self.figures.unknown_outcomes += 1;
                Ok(None)
            }
            ErrorClass::Retry
            | ErrorClass::Abortable
            | ErrorClass::Denied(_)
            | ErrorClass::TooLarge
            | ErrorClass::Refused(_)
            | ErrorClass::Missing(_) => {
                self.epoch.as_mut().expect("an operation of an epoch").fate = Fate::Aborting(error);
                self.submit(Doing::Abort, Op::Abort, now);
                Ok(None)
            }
        }
    }

    /// An operation takes too long: its thread is left behind, its producer is of no use.
    pub(super) fn give_up(&mut self, what: Doing<Q>, now: Duration) -> Result<Option<Event<Q>>> {
        self.lane.abandon();
        self.state = State::Dead;
        let error = broker::Error::new(ErrorClass::Retry, format!("{what:?}"), "no answer in time");
        match what {
            Doing::Init | Doing::Rebuild => {
                self.pause(now);
                Ok(None)
            }
            Doing::Stamps => Ok(self.untold()),
            Doing::Commit => {
                self.figures.unknown_outcomes += 1;
                Ok(None)
            }
            Doing::Question(question) => Ok(Some(Event::Answer(question, Err(error)))),
            Doing::Abort => {
                let cause = self.cause_of_abort();
                Ok(Some(self.rolled_back(cause, now)?))
            }
            Doing::Begin | Doing::HoldOffsets | Doing::Hold | Doing::Produce | Doing::Drain | Doing::SendOffsets => {
                Ok(Some(self.rolled_back(error, now)?))
            }
        }
    }
}

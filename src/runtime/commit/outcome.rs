//! What became of an epoch, and what that says about the next one.

use super::super::{Error, Result};
use super::{Commit, Event, Fate, State, Verdict};
use crate::broker::{self, CommittedOffset, ErrorClass};
use crate::record::TopicPartition;
use std::time::Duration;

/// The same refusal so often in a row does not pass by itself.
const REFUSALS_MAX: u32 = 3;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl<Q: std::fmt::Debug> Commit<Q> {
    /// Says what an unknown outcome was, by the offsets that are committed now.
    pub(super) fn resolve(
        &mut self,
        committed: &[(TopicPartition, Option<CommittedOffset>)],
        now: Duration,
    ) -> Result<Event<Q>> {
        let stamp = self.stamp();
        let ours = committed.iter().filter_map(|(_, offset)| offset.as_ref()).any(|offset| offset.metadata == stamp);
        if ours {
            return Ok(self.committed());
        }
        // Where others' stamps are, the tasks are gone too, and dropping the epoch is right as well.
        self.rolled_back(broker::Error::new(ErrorClass::Abortable, stamp, "the outcome was found to be an abort"), now)
    }

    /// An outcome that could not be looked up stays unknown where nobody waits for it.
    pub(super) fn untold(&mut self) -> Option<Event<Q>> {
        self.epoch.take_if(|epoch| epoch.disowned).map(|_| Event::Verdict(Verdict::Untold))
    }

    /// A commit or an abort was answered.
    pub(super) fn ended(&mut self, took: Duration) {
        // Without a transaction there is none that a late request could end.
        let doubtful = self.is_transactional()
            && (self.had_trouble() || self.usual.is_exceeded_by(took))
            && !self.settings.trust_doubtful_producer;
        self.state = if doubtful { State::Doubtful } else { State::Ready };
    }

    pub(super) fn had_trouble(&self) -> bool {
        self.epoch.as_ref().is_some_and(|epoch| epoch.trouble)
    }

    /// Notes how long a commit takes here, be it in doubt for that or not. An abort tells nothing, the client may make its producer
    /// anew within it.
    pub(super) fn learn(&mut self, took: Duration) {
        if !self.had_trouble() {
            self.usual.learn(took);
        }
    }

    pub(super) fn committed(&mut self) -> Event<Q> {
        let epoch = self.epoch.take().expect("an epoch was committed");
        self.failures = 0;
        self.refusal = None;
        Event::Verdict(Verdict::Committed(epoch.delivered))
    }

    pub(super) fn rolled_back(&mut self, cause: broker::Error, now: Duration) -> Result<Event<Q>> {
        let spilled = self.epoch.take().is_some_and(|epoch| epoch.spilled);
        match &cause.class {
            class @ ErrorClass::Denied(_) => {
                let times = match self.refusal.take() {
                    Some((last, times)) if last == *class => times + 1,
                    _ => 1,
                };
                if times >= REFUSALS_MAX {
                    return Err(Error::Permanent(cause));
                }
                self.refusal = Some((class.clone(), times));
            }
            // What is refused may be one record of many: that is for the caller to find out.
            ErrorClass::TooLarge
            | ErrorClass::Refused(_)
            | ErrorClass::Missing(_)
            | ErrorClass::Retry
            | ErrorClass::Abortable
            | ErrorClass::Fatal
            | ErrorClass::Fenced => self.refusal = None,
        }
        if self.failures > 0 {
            self.pause(now);
        } else {
            self.failures = 1;
        }
        Ok(Event::Verdict(if spilled { Verdict::Spilled(cause) } else { Verdict::RolledBack(cause) }))
    }

    pub(super) fn cause_of_abort(&mut self) -> broker::Error {
        let epoch = self.epoch.as_mut().expect("an epoch is aborted");
        match std::mem::replace(&mut epoch.fate, Fate::Open) {
            Fate::Aborting(cause) => cause,
            Fate::Open | Fate::Unknown => unreachable!("an abort has a cause"),
        }
    }

    /// Notes that a newer producer of our id was there.
    pub(super) fn fenced(&mut self, now: Duration) -> Result<()> {
        self.figures.fenced += 1;
        if self.fences.one_more(now) {
            return Err(Error::Fenced { id: self.settings.id.clone() });
        }
        Ok(())
    }

    /// Waits longer with every failure in a row.
    pub(super) fn pause(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + (PAUSE_MIN * 2_u32.pow(self.failures.min(10))).min(PAUSE_MAX);
    }
}

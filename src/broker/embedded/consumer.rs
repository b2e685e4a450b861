//! A member of a group, as the client library presents it.

use super::client::ClientKey;
use super::cluster::{Shared, State};
use super::faults::{CallKind, PollFault};
use super::fetch::{Fetched, Fetcher};
use super::group::{Member, MemberId, Standing, Subscription, Token};
use crate::broker::{
    ConsumerSettings, Error, ErrorClass, GroupConsumer, Isolation, Limit, Ownership, Parting, Polled, Result, Trouble,
    TroubleKind,
};
use crate::record::{Offset, RecordRef, Text, TopicPartition};
use regex::RegexBuilder;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Compiled size of a pattern; one that needs more is not meant for topic names.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Where a member stands towards its caller.
///
/// ```text
///            Assigned                Revoked              release()
///  Joining ───────────▶ Holding ───────────────▶ Parting ───────────▶ Joining
///     └───────────────────┴──────── fenced ────────┴─────▶ Dead
/// ```
#[derive(Clone, Debug)]
enum Stage {
    Joining,
    Holding(i32),
    Parting(i32),
    Dead(Error),
}

pub(super) struct Consumer {
    shared: Arc<Shared>,
    key: ClientKey,
    settings: ConsumerSettings,
    subscription: Subscription,
    member: MemberId,
    stage: Stage,
    fetcher: Fetcher,
    /// Named topics that are not there and were told of.
    absent: BTreeSet<Text>,
    closed: bool,
}

impl Consumer {
    pub(super) fn new(shared: &Arc<Shared>, settings: &ConsumerSettings) -> Result<Self> {
        let whole = |text: &Text| RegexBuilder::new(&format!("^(?:{text})$")).size_limit(PATTERN_BYTES_MAX).build();
        let pattern = |text: &Text| match whole(text) {
            Ok(regex) => Ok((text.clone(), regex)),
            Err(error) => Err(Error::new(ErrorClass::Fatal, format!("subscribing to `{text}`"), error.to_string())),
        };
        let subscription = Subscription {
            topics: settings.topics.clone(),
            patterns: settings.patterns.iter().map(pattern).collect::<Result<_>>()?,
        };
        let (key, member) = shared.with(|state| {
            let key = state.clients.add(settings.wake.clone());
            (key, state.join(&settings.group, None, new_member(key, settings, &subscription)))
        });
        Ok(Self {
            shared: shared.clone(),
            key,
            settings: settings.clone(),
            subscription,
            member,
            stage: Stage::Joining,
            fetcher: Fetcher::new(Isolation::ReadCommitted),
            absent: BTreeSet::new(),
            closed: false,
        })
    }

    fn join(&mut self, state: &mut State) {
        let member = new_member(self.key, &self.settings, &self.subscription);
        self.member = state.join(&self.settings.group, Some(self.member), member);
        self.stage = Stage::Joining;
    }

    /// What a poll finds before it reads: an event, or that it may read.
    fn look(&mut self, state: &mut State) -> Option<Polled> {
        if let Stage::Dead(error) = &self.stage {
            return Some(Polled::Fatal(error.clone()));
        }
        if let Err(error) = state.check_storage() {
            return Some(self.die(error));
        }
        let now = state.now;
        if let Some(member) = state.member_mut(&self.settings.group, self.member) {
            member.polled = now;
        }
        match state.poll_fault(&self.settings.client_id, CallKind::Poll) {
            None => {}
            Some(PollFault::Nothing) => {
                state.clients.wake(self.key);
                return Some(Polled::Idle);
            }
            Some(PollFault::SessionLost) => {
                // It reads on until its next heartbeat tells it.
                state.remove_member(&self.settings.group, self.member);
                return None;
            }
            Some(PollFault::Trouble(kind)) => {
                if let Some(input) = self.fetcher.stop_first() {
                    return Some(Polled::Trouble(Trouble { input, kind }));
                }
            }
            Some(PollFault::Rebalance) => state.rebalance(&self.settings.group, None),
            Some(PollFault::Fatal) => {
                return Some(self.die(Error::new(ErrorClass::Fatal, self.context(), "the client gave up")));
            }
        }
        match self.stage {
            Stage::Parting(_) => Some(Polled::Idle),
            Stage::Joining => match self.standing(state, None) {
                Standing::Holds(generation) => {
                    self.stage = Stage::Holding(generation);
                    let member = state.member_mut(&self.settings.group, self.member);
                    Some(Polled::Assigned(member.map(|member| member.assignment.clone()).unwrap_or_default()))
                }
                Standing::Fenced => Some(self.fenced()),
                Standing::Lost | Standing::Rebalancing => {
                    // Whatever it waited for is over before it was given anything: nothing to tell, it joins again.
                    self.join(state);
                    state.clients.wake(self.key);
                    Some(Polled::Idle)
                }
                Standing::Waiting => Some(Polled::Idle),
            },
            Stage::Holding(generation) => match self.standing(state, Some(generation)) {
                Standing::Holds(_) | Standing::Waiting => self.absent_topic(state),
                Standing::Fenced => Some(self.fenced()),
                standing => {
                    self.stage = Stage::Parting(generation);
                    self.fetcher.clear();
                    Some(Polled::Revoked { lost: standing == Standing::Lost })
                }
            },
            Stage::Dead(_) => unreachable!("handled above"),
        }
    }

    fn standing(&self, state: &State, held: Option<i32>) -> Standing {
        match state.groups.by_name.get(&self.settings.group) {
            Some(group) => group.standing(self.member, self.settings.instance.as_ref(), held, state.now),
            None => Standing::Lost,
        }
    }

    /// Tells once of each named topic that is not there.
    fn absent_topic(&mut self, state: &State) -> Option<Polled> {
        let topics = &state.topics.by_name;
        self.absent.retain(|topic| !topics.contains_key(topic));
        let absent =
            self.subscription.topics.iter().find(|topic| !topics.contains_key(*topic) && !self.absent.contains(*topic))?;
        self.absent.insert(absent.clone());
        Some(Polled::Trouble(Trouble { input: TopicPartition::new(absent.clone(), -1), kind: TroubleKind::Missing }))
    }

    fn fenced(&mut self) -> Polled {
        let instance = self.settings.instance.clone().unwrap_or_default();
        let message = format!("a newer process has the static member id `{instance}`");
        self.die(Error::new(ErrorClass::Fenced, self.context(), message))
    }

    fn die(&mut self, error: Error) -> Polled {
        self.stage = Stage::Dead(error.clone());
        self.fetcher.clear();
        Polled::Fatal(error)
    }

    fn context(&self) -> String {
        format!("member `{}` of group `{}`", self.settings.client_id, self.settings.group)
    }

    fn misused(&self, message: &str) -> Error {
        match &self.stage {
            Stage::Dead(error) => error.clone(),
            _ => Error::new(ErrorClass::Fatal, self.context(), message),
        }
    }

    fn part(&mut self, how: Parting) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let (group, member, key) = (&self.settings.group, self.member, self.key);
        self.shared.with(|state| {
            match how {
                Parting::Leave => state.remove_member(group, member),
                Parting::Stay => state.silence(group, member),
            }
            state.clients.remove(key);
        });
    }
}

fn new_member(key: ClientKey, settings: &ConsumerSettings, subscription: &Subscription) -> Member {
    Member {
        client: key,
        client_id: settings.client_id.clone(),
        instance: settings.instance.clone(),
        subscription: subscription.clone(),
        session_timeout: settings.session_timeout,
        poll_interval: settings.max_poll_interval,
        joined: false,
        assignment: Vec::new(),
        expires: None,
        polled: Duration::ZERO,
        overslept: false,
    }
}

impl GroupConsumer for Consumer {
    fn poll(&mut self, limit: Limit, intake: &mut dyn FnMut(RecordRef<'_>)) -> Polled {
        let shared = self.shared.clone();
        let until = shared.mono().saturating_add(limit.time);
        let found = shared.with(|state| match self.look(state) {
            Some(event) => Err(event),
            None => {
                let held = state.held.clone();
                match self.fetcher.fetch(state, &held, limit.records) {
                    Fetched::Trouble(trouble) => Err(Polled::Trouble(trouble)),
                    Fetched::All => {
                        state.clients.set_idle(self.key);
                        Ok(Polled::Idle)
                    }
                    Fetched::Part => Ok(Polled::Full),
                }
            }
        });
        match found {
            Err(event) => event,
            Ok(end) => {
                if self.fetcher.deliver(limit.records, || shared.mono() > until, intake) {
                    end
                } else {
                    Polled::Full
                }
            }
        }
    }

    fn ownership(&mut self) -> Ownership {
        let held = match self.stage {
            Stage::Holding(generation) | Stage::Parting(generation) => {
                // A client whose heartbeats were refused has forgotten who it was, before its caller hears of it: what it then
                // shows is never refused (`pitfalls.md` §1).
                let shared = self.shared.clone();
                let lost = shared.with(|state| self.standing(state, Some(generation)) == Standing::Lost);
                (!lost).then_some((self.member, generation))
            }
            Stage::Joining | Stage::Dead(_) => None,
        };
        let (group, instance) = (self.settings.group.clone(), self.settings.instance.clone());
        Ownership(Arc::new(Token { group, held, instance }))
    }

    fn accept(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if !matches!(self.stage, Stage::Holding(_)) {
            return Err(self.misused("there is no assignment to accept"));
        }
        self.fetcher.set(partitions.iter().map(|partition| (partition.clone(), 0)), false);
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        if !matches!(self.stage, Stage::Parting(_)) {
            return Err(self.misused("there is no revocation to answer"));
        }
        let shared = self.shared.clone();
        shared.with(|state| self.join(state));
        Ok(())
    }

    fn resume_at(&mut self, at: &[(TopicPartition, Offset)]) -> Result<()> {
        for (partition, offset) in at {
            if !self.fetcher.resume(partition, *offset) {
                return Err(self.misused(&format!("`{partition}` is not accepted")));
            }
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        match partitions.iter().find(|partition| !self.fetcher.pause(partition)) {
            Some(partition) => Err(self.misused(&format!("`{partition}` is not accepted"))),
            None => Ok(()),
        }
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.fetcher.position(partition)
    }

    fn close(mut self: Box<Self>, how: Parting, _deadline: Duration) {
        self.part(how);
    }
}

/// A consumer that is dropped falls silent, as one whose process died.
impl Drop for Consumer {
    fn drop(&mut self) {
        self.part(Parting::Stay);
    }
}

//! The group coordinator: members, generations and who may commit. The classic protocol with eager rebalances.
//!
//! Joining and syncing are one step here: the last member that joins completes the generation for all. What is modelled of the
//! wire is what can be told apart from outside: when members hear of a rebalance, who is waited for and how long, and which
//! generation a commit belongs to.

use super::assignor::{Candidate, range};
use super::client::ClientKey;
use super::cluster::State;
use super::timers::Work;
use crate::record::{Text, TopicPartition};
use regex::Regex;
use std::collections::BTreeMap;
use std::time::Duration;

/// A member of a group; a static member that comes back gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(pub(super) u64);

/// Where a group stands.
///
/// ```text
///          a member joins                    all have joined, or the time is up
///  Empty ─────────────────▶ Preparing ─────────────────────────────────────────▶ Stable
///    ▲                       │     ▲      a member joins, leaves or is dead         │
///    └── nobody is left ─────┘     └────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody is there.
    Empty,
    /// Members are to join again.
    Preparing {
        /// Members hear of it from here on.
        noticed: Duration,
        /// No completion before this (the first rebalance of an empty group waits for more to come).
        earliest: Duration,
        /// Who has not joined by then is out.
        deadline: Duration,
    },
    /// Everybody has its partitions.
    Stable,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) client: ClientKey,
    pub(super) client_id: Text,
    pub(super) instance: Option<Text>,
    pub(super) subscription: Subscription,
    pub(super) session_timeout: Duration,
    pub(super) poll_interval: Duration,
    /// Has joined the generation that is being prepared, or took part in the one that is there.
    pub(super) joined: bool,
    pub(super) assignment: Vec<TopicPartition>,
    /// No heartbeats come: it is dead from then on.
    pub(super) expires: Option<Duration>,
    pub(super) polled: Duration,
    /// Has stopped polling; its client has given the partitions up by itself.
    pub(super) overslept: bool,
}

/// What a member wants to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscription {
    pub(super) topics: Vec<Text>,
    /// Each as written, and as it matches whole names.
    pub(super) patterns: Vec<(Text, Regex)>,
}

impl PartialEq for Subscription {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |(text, _): &(Text, Regex)| text.clone();
        self.topics == other.topics && self.patterns.iter().map(pattern).eq(other.patterns.iter().map(pattern))
    }
}

impl Subscription {
    /// Does it include this topic?
    pub(super) fn includes(&self, topic: &str) -> bool {
        self.topics.iter().any(|name| name == topic) || self.patterns.iter().any(|(_, regex)| regex.is_match(topic))
    }
}

/// A consumer group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) generation: i32,
    pub(super) phase: Phase,
    pub(super) members: BTreeMap<MemberId, Member>,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) by_name: BTreeMap<Text, Group>,
    next_member: u64,
}

/// The metadata of one assignment: what a commit shows to prove that it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) group: Text,
    /// `None` before the first assignment: such a commit is never refused, as in Kafka.
    pub(super) held: Option<(MemberId, i32)>,
    pub(super) instance: Option<Text>,
}

/// Why a commit is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// The group has gone on without it.
    IllegalGeneration,
    /// It is not a member.
    UnknownMember,
    /// A newer process has its static member id.
    FencedInstance,
}

/// What a member finds out about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Waits for the generation to complete.
    Waiting,
    /// Holds an assignment of this generation.
    Holds(i32),
    /// Is to join again.
    Rebalancing,
    /// Is no member any more, or the group went on without it.
    Lost,
    /// Its static member id belongs to another.
    Fenced,
}

impl Default for Group {
    fn default() -> Self {
        Self { generation: 0, phase: Phase::Empty, members: BTreeMap::new() }
    }
}

impl Group {
    /// May this token commit offsets now?
    pub(super) fn check(&self, token: &Token) -> Result<(), Stale> {
        let Some((id, generation)) = token.held else { return Ok(()) };
        if self.is_fenced(id, token.instance.as_ref()) {
            return Err(Stale::FencedInstance);
        }
        match self.members.get(&id) {
            None => Err(Stale::UnknownMember),
            Some(_) if generation != self.generation => Err(Stale::IllegalGeneration),
            Some(_) => Ok(()),
        }
    }

    /// How a member stands that was last given `held`.
    pub(super) fn standing(&self, id: MemberId, instance: Option<&Text>, held: Option<i32>, now: Duration) -> Standing {
        if self.is_fenced(id, instance) {
            return Standing::Fenced;
        }
        let Some(member) = self.members.get(&id) else { return Standing::Lost };
        if member.overslept {
            return Standing::Lost;
        }
        match (self.phase, held) {
            (Phase::Stable, None) if member.joined => Standing::Holds(self.generation),
            (Phase::Stable, Some(held)) if held == self.generation => Standing::Holds(held),
            (Phase::Preparing { noticed, .. }, Some(held)) if held == self.generation => {
                if noticed <= now {
                    Standing::Rebalancing
                } else {
                    Standing::Holds(held)
                }
            }
            (Phase::Preparing { .. }, None) if member.joined => Standing::Waiting,
            _ => Standing::Lost,
        }
    }

    fn is_fenced(&self, id: MemberId, instance: Option<&Text>) -> bool {
        instance.is_some() && self.members.iter().any(|(other, member)| *other != id && member.instance.as_ref() == instance)
    }

    fn subscribes(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.subscription.includes(topic))
    }
}

impl State {
    /// `JoinGroup`: of a new member, or of one that is there already.
    pub(super) fn join(&mut self, group: &Text, known: Option<MemberId>, mut member: Member) -> MemberId {
        let now = self.now;
        (member.polled, member.joined) = (now, true);
        let groups = &mut self.groups;
        let entry = groups.by_name.entry(group.clone()).or_default();
        if let Some(id) = known.filter(|id| entry.members.contains_key(id)) {
            let old = entry.members.insert(id, member).expect("just looked up");
            entry.members.get_mut(&id).expect("just inserted").assignment = old.assignment;
            self.rebalance(group, Some(id));
            return id;
        }
        let id = MemberId(groups.next_member);
        groups.next_member += 1;
        let (session, poll) = (member.expires, now + member.poll_interval);
        let predecessor = member.instance.as_ref().and_then(|instance| {
            entry.members.iter().find(|(_, other)| other.instance.as_ref() == Some(instance)).map(|(id, _)| *id)
        });
        let replaced = predecessor.and_then(|old| entry.members.remove(&old));
        let same = replaced.as_ref().is_some_and(|old| old.subscription == member.subscription);
        if let Some(old) = replaced {
            member.assignment = old.assignment;
            self.clients.wake(old.client);
        }
        let client = member.client;
        entry.members.insert(id, member);
        self.timers.add(poll, Work::Poll(group.clone(), id));
        if let Some(at) = session {
            self.timers.add(at, Work::Session(group.clone(), id));
        }
        if same && entry.phase == Phase::Stable {
            // A static member that comes back as it was: nobody else notices.
            self.clients.wake(client);
        } else {
            self.rebalance(group, Some(id));
        }
        id
    }

    /// Members are to join again; `joined` has.
    pub(super) fn rebalance(&mut self, group: &Text, joined: Option<MemberId>) {
        let now = self.now;
        let heartbeat = self.options.heartbeat_interval;
        let initial = self.options.initial_rebalance_delay;
        let Some(entry) = self.groups.by_name.get_mut(group) else { return };
        if !matches!(entry.phase, Phase::Preparing { .. }) {
            let timeout = entry.members.values().map(|member| member.poll_interval).max().unwrap_or_default();
            let earliest = if entry.phase == Phase::Empty { now + initial } else { now };
            let (noticed, deadline) = (now + heartbeat, earliest + timeout);
            entry.phase = Phase::Preparing { noticed, earliest, deadline };
            for (id, member) in &mut entry.members {
                member.joined = Some(*id) == joined;
            }
            self.timers.add(noticed, Work::Notice(group.clone()));
            self.timers.add(earliest, Work::Rebalance(group.clone()));
            self.timers.add(deadline, Work::Rebalance(group.clone()));
        } else if let Some(member) = joined.and_then(|id| entry.members.get_mut(&id)) {
            member.joined = true;
        }
        self.complete_generation(group);
    }

    /// Completes the generation that is being prepared, if nobody has to be waited for.
    pub(super) fn complete_generation(&mut self, group: &Text) {
        let now = self.now;
        let Some(entry) = self.groups.by_name.get_mut(group) else { return };
        let Phase::Preparing { earliest, deadline, .. } = entry.phase else { return };
        if now >= deadline {
            // Static members stay until their session ends: that is what they are for.
            entry.members.retain(|_, member| member.joined || member.instance.is_some());
        } else if now < earliest && !entry.members.is_empty() || entry.members.values().any(|member| !member.joined) {
            return;
        }
        entry.generation += 1;
        if entry.members.is_empty() {
            entry.phase = Phase::Empty;
            return;
        }
        entry.phase = Phase::Stable;
        let counts: BTreeMap<Text, u32> =
            self.topics.by_name.iter().map(|(name, topic)| (name.clone(), topic.logs.len() as u32)).collect();
        let candidates = entry.members.iter().map(|(id, member)| Candidate {
            member: *id,
            name: member.instance.clone().unwrap_or_else(|| format!("{}-{:08}", member.client_id, id.0).into()),
            topics: counts.keys().filter(|topic| member.subscription.includes(topic)).cloned().collect(),
        });
        let mut assigned = range(candidates.collect(), &counts);
        for (id, member) in &mut entry.members {
            member.assignment = assigned.remove(id).unwrap_or_default();
            self.clients.wake(member.client);
        }
    }

    /// Takes a member out: it left, or is taken for dead.
    pub(super) fn remove_member(&mut self, group: &Text, id: MemberId) {
        let Some(entry) = self.groups.by_name.get_mut(group) else { return };
        let Some(member) = entry.members.remove(&id) else { return };
        self.clients.wake(member.client);
        self.rebalance(group, None);
    }

    /// A member's heartbeats stop; unless it is heard of again, its session ends.
    pub(super) fn silence(&mut self, group: &Text, id: MemberId) {
        let now = self.now;
        let Some(member) = self.member_mut(group, id) else { return };
        let at = now + member.session_timeout;
        if member.expires.is_none() {
            member.expires = Some(at);
            self.timers.add(at, Work::Session(group.clone(), id));
        }
    }

    /// A session may have ended.
    pub(super) fn check_session(&mut self, group: &Text, id: MemberId) {
        let now = self.now;
        if self.member_mut(group, id).is_some_and(|member| member.expires.is_some_and(|at| at <= now)) {
            self.remove_member(group, id);
        }
    }

    /// A member may have stopped polling. A dynamic one leaves, a static one falls silent.
    pub(super) fn check_poll(&mut self, group: &Text, id: MemberId) {
        let now = self.now;
        let Some(member) = self.member_mut(group, id) else { return };
        let due = member.polled + member.poll_interval;
        if due > now {
            self.timers.add(due, Work::Poll(group.clone(), id));
        } else if member.instance.is_some() {
            member.overslept = true;
            self.silence(group, id);
        } else {
            self.remove_member(group, id);
        }
    }

    /// Members hear of a rebalance.
    pub(super) fn notice(&mut self, group: &Text) {
        let Some(entry) = self.groups.by_name.get(group) else { return };
        for member in entry.members.values() {
            self.clients.wake(member.client);
        }
    }

    /// A topic came, grew or went: groups that read it rebalance.
    pub(super) fn topic_changed(&mut self, topic: &str) {
        let concerned: Vec<Text> =
            self.groups.by_name.iter().filter(|(_, group)| group.subscribes(topic)).map(|(name, _)| name.clone()).collect();
        for group in concerned {
            self.rebalance(&group, None);
        }
    }

    /// A member of a group.
    pub(super) fn member_mut(&mut self, group: &str, id: MemberId) -> Option<&mut Member> {
        self.groups.by_name.get_mut(group)?.members.get_mut(&id)
    }
}

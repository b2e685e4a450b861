//! A member of a consumer group.
//!
//! Rebalances are noted by the context while `poll` runs and answered by the loop afterwards; those of the consumer protocol by way
//! of `increments`. An error that stops a partition comes from librdkafka without its partition: a probe, on a thread of its own,
//! finds out which one it was.

mod increment;
mod parting;
mod seeks;

use super::error::About;
use super::increments::Increments;
use super::intake::hand_over;
use super::membership::{MemberContext, Rebalance};
use super::ownership::Token;
use super::pattern::to_posix;
use super::probe::Probe;
use super::properties::{GroupProtocol, Properties};
use super::spawn;
use super::trouble::{is_of_client, trouble_kind};
use crate::broker::{
    ConsumerSettings, Error, ErrorClass, GroupConsumer, Limit, Ownership, Parting, Polled, Result, Trouble, TroubleKind, Wake,
};
use crate::clock::{Clock, SystemClock};
use crate::record::{Offset, RecordRef, Text, TopicPartition};
use crate::sync::lock;
use parting::Parted;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

/// The clock is read once in so many records.
const RECORDS_BETWEEN_CLOCK_READS: usize = 32;
/// Where a partition is put that is not read yet. A number, never `End` or `Beginning`: those are looked up, and an answer to
/// the look-up that comes after a seek makes librdkafka look up again and jump there, over everything in between.
const NOWHERE: Place = Place::Offset(0);

/// See the module.
pub(super) struct Member {
    /// Taken by `close` only.
    consumer: Option<Arc<BaseConsumer<MemberContext>>>,
    properties: Arc<Properties>,
    group: Text,
    instance: Option<Text>,
    wake: Wake,
    clock: SystemClock,
    /// An event was handed out and waits for its answer.
    answer_owed: bool,
    /// With the consumer protocol only.
    increments: Option<Increments>,
    /// The loop has heard of an assignment.
    was_told: bool,
    /// What was accepted.
    accepted: Vec<TopicPartition>,
    /// Partitions whose reading librdkafka has given up: only a new assignment starts it again.
    stopped: FxHashSet<TopicPartition>,
    /// Partitions that are read, with the offset they were resumed at.
    resumed: FxHashMap<TopicPartition, Offset>,
    /// Positions as of the last poll; looked up once between polls.
    positions: RefCell<Option<FxHashMap<TopicPartition, Offset>>>,
    /// Started by a new assignment, and no record came since. librdkafka forgets a position within a seek, which is waited for,
    /// but behind the back of an assignment: until a record comes, what it tells may be from before.
    unsettled: FxHashSet<TopicPartition>,
    probe: Option<Probe>,
    troubles: VecDeque<Trouble>,
}

impl Member {
    pub(super) fn join(properties: &Arc<Properties>, settings: &ConsumerSettings) -> Result<Self> {
        let about = About::new(format!("joining group `{}`", settings.group)).of_group(settings.group.clone());
        let config = properties.group_member(settings);
        let incremental = properties.group_protocol() == GroupProtocol::Consumer;
        let mut context = MemberContext::default();
        context.role.incremental = incremental;
        let mut consumer: BaseConsumer<MemberContext> =
            config.create_with_context(context).map_err(|error| about.error(&error))?;
        let wake = settings.wake.clone();
        consumer.set_nonempty_callback(move || wake());
        let patterns = settings.patterns.iter().map(|pattern| {
            let refused = || Error::new(ErrorClass::Fatal, about.what.clone(), format!("the client cannot match `{pattern}`"));
            to_posix(pattern).ok_or_else(refused)
        });
        let patterns = patterns.collect::<Result<Vec<String>>>()?;
        let all: Vec<&str> = settings.topics.iter().map(Text::as_str).chain(patterns.iter().map(String::as_str)).collect();
        consumer.subscribe(&all).map_err(|error| about.error(&error))?;
        Ok(Self {
            consumer: Some(Arc::new(consumer)),
            properties: properties.clone(),
            group: settings.group.clone(),
            // Under the consumer protocol members have no names: see there.
            instance: settings.instance.clone().filter(|_| !incremental),
            wake: settings.wake.clone(),
            clock: SystemClock::new(),
            answer_owed: false,
            increments: incremental.then(Increments::default),
            was_told: false,
            accepted: Vec::new(),
            stopped: FxHashSet::default(),
            resumed: FxHashMap::default(),
            positions: RefCell::new(None),
            unsettled: FxHashSet::default(),
            probe: None,
            troubles: VecDeque::new(),
        })
    }

    fn consumer(&self) -> &Arc<BaseConsumer<MemberContext>> {
        self.consumer.as_ref().expect("`close` consumes the member")
    }

    /// A rebalance that was noted, or a trouble whose input is known by now.
    fn event(&mut self) -> Option<Polled> {
        let rebalance = if self.increments.is_some() { self.increment() } else { self.rebalance() };
        if rebalance.is_some() {
            return rebalance;
        }
        if let Some(found) = self.probe.as_ref().and_then(Probe::result) {
            self.probe = None;
            for trouble in found.into_iter().filter(|trouble| self.resumed.contains_key(&trouble.input)) {
                self.stopped.insert(trouble.input.clone());
                self.troubles.push_back(trouble);
            }
        }
        self.troubles.pop_front().map(Polled::Trouble)
    }

    fn noted(&self) -> Option<Rebalance> {
        lock(&self.consumer().context().role.rebalances).pop_front()
    }

    fn rebalance(&mut self) -> Option<Polled> {
        let noted = self.noted()?;
        self.answer_owed = true;
        Some(match noted {
            Rebalance::Assigned(partitions) => Polled::Assigned(partitions),
            Rebalance::Revoked { lost, .. } => Polled::Revoked { lost },
        })
    }

    /// What an error means; `None` for one that the client overcomes or that is being looked into.
    fn judge(&mut self, error: &KafkaError) -> Option<Polled> {
        let about = About::new(format!("reading as a member of group `{}`", self.group)).of_group(self.group.clone());
        let reason = self.consumer().context().notes.last_reason();
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) || code == Code::Fatal {
            // The code of a fatal error is the cause; the wrapper may only say "fatal".
            let cause = self.consumer().client().fatal_error();
            let (code, mut text) = cause.unwrap_or((code, reason));
            if self.increments.is_some()
                && matches!(code, Code::UnsupportedVersion | Code::UnsupportedFeature | Code::UnsupportedAssignor)
            {
                text.push_str("; the consumer protocol needs Kafka 4.3: with older brokers use the classic one");
            }
            let class = match about.code(code).class {
                fenced @ ErrorClass::Fenced => fenced,
                _ => ErrorClass::Fatal,
            };
            return Some(Polled::Fatal(Error::new(class, about.what, text)));
        }
        if matches!(code, Code::GroupAuthorizationFailed | Code::InconsistentGroupProtocol | Code::InvalidSessionTimeout) {
            let class = match about.code(code).class {
                ErrorClass::Retry => ErrorClass::Fatal,
                class => class,
            };
            return Some(Polled::Fatal(Error::new(class, about.what, format!("{code}: {reason}"))));
        }
        let kind = trouble_kind(code)?;
        if let Some(topic) = subscribed_topic(&reason) {
            return Some(Polled::Trouble(Trouble { input: TopicPartition::new(topic, -1), kind }));
        }
        if kind == TroubleKind::Other && is_of_client(code) {
            // A damaged or unreadable batch: librdkafka goes on behind it, and which partition has lost records is not known.
            return Some(Polled::Fatal(Error::new(ErrorClass::Fatal, about.what, format!("{code}: {reason}"))));
        }
        self.look_into(kind);
        None
    }

    /// Starts a probe of everything that is read, unless one is under way.
    fn look_into(&mut self, kind: TroubleKind) {
        if self.probe.is_some() {
            return;
        }
        let positions = self.known_positions();
        let candidates =
            self.resumed.iter().map(|(input, at)| (input.clone(), positions.get(input).copied().unwrap_or(*at))).collect();
        match Probe::start(&self.properties, &self.group, candidates, kind, self.wake.clone()) {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => tracing::error!("{error}"),
        }
    }

    fn known_positions(&self) -> FxHashMap<TopicPartition, Offset> {
        let mut known = self.positions.borrow_mut();
        known
            .get_or_insert_with(|| {
                let list = self.consumer().position().unwrap_or_default();
                list.elements()
                    .iter()
                    .filter_map(|one| match one.offset() {
                        Place::Offset(offset) => Some((TopicPartition::new(one.topic(), one.partition()), offset)),
                        _ => None,
                    })
                    .filter(|(one, _)| !self.unsettled.contains(one))
                    .collect()
            })
            .clone()
    }

    fn forget_positions(&self) {
        *self.positions.borrow_mut() = None;
    }
}

impl GroupConsumer for Member {
    fn poll(&mut self, limit: Limit, intake: &mut dyn FnMut(RecordRef<'_>)) -> Polled {
        if let Some(event) = self.event() {
            return event;
        }
        self.forget_positions();
        let started = self.clock.mono();
        let mut records = 0;
        let mut wait = limit.time;
        loop {
            if records >= limit.records {
                return Polled::Full;
            }
            let consumer = self.consumer.as_ref().expect("`close` consumes the member");
            let served = consumer.context().notes.served();
            match consumer.poll(wait) {
                Some(Ok(message)) => {
                    hand_over(&message, intake);
                    if !self.unsettled.is_empty() {
                        self.unsettled.remove(&TopicPartition::new(message.topic(), message.partition()));
                    }
                    records += 1;
                    wait = Duration::ZERO;
                    if records % RECORDS_BETWEEN_CLOCK_READS == 0 && self.clock.mono() - started >= limit.time {
                        return Polled::Full;
                    }
                    continue;
                }
                Some(Err(error)) => {
                    if let Some(polled) = self.judge(&error) {
                        return polled;
                    }
                }
                None if consumer.context().notes.served() == served => return self.event().unwrap_or(Polled::Idle),
                None => {}
            }
            if let Some(event) = self.event() {
                return event;
            }
            // Something that is not a record was served; there may be records behind it.
            wait = if records == 0 { limit.time.saturating_sub(self.clock.mono() - started) } else { Duration::ZERO };
        }
    }

    fn ownership(&mut self) -> Ownership {
        Ownership(Arc::new(Token::of(self.consumer())))
    }

    fn accept(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let about = About::new("taking over partitions").of_group(self.group.clone());
        self.answer_owed = false;
        self.forget_positions();
        self.resumed.clear();
        self.unsettled.clear();
        self.accepted = partitions.to_vec();
        if self.increments.is_some() {
            return self.accept_increment();
        }
        self.stopped.clear();
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            list.add_partition_offset(&one.topic, one.partition, NOWHERE).map_err(|error| about.error(&error))?;
        }
        self.consumer().assign(&list).map_err(|error| about.error(&error))?;
        if partitions.is_empty() {
            return Ok(());
        }
        self.consumer().pause(&list).map_err(|error| about.error(&error))
    }

    fn release(&mut self) -> Result<()> {
        self.answer_owed = false;
        self.forget_positions();
        self.resumed.clear();
        self.unsettled.clear();
        self.accepted.clear();
        self.probe = None;
        self.troubles.clear();
        if self.increments.is_some() {
            return self.release_increment();
        }
        self.stopped.clear();
        self.consumer().unassign().map_err(|error| About::new("letting partitions go").error(&error))
    }

    fn resume_at(&mut self, at: &[(TopicPartition, Offset)]) -> Result<()> {
        if at.is_empty() {
            return Ok(());
        }
        self.forget_positions();
        if at.iter().any(|(one, _)| self.stopped.contains(one)) || !self.seek(at)? {
            self.assign_again(at)?;
        } else {
            self.unsettled.retain(|one| !at.iter().any(|(asked, _)| asked == one));
        }
        for (one, offset) in at {
            self.resumed.insert(one.clone(), *offset);
        }
        Ok(())
    }

    fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            list.add_partition(&one.topic, one.partition);
            self.resumed.remove(one);
        }
        self.consumer().pause(&list).map_err(|error| About::new("pausing partitions").error(&error))
    }

    fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        self.known_positions().get(partition).copied()
    }

    fn close(mut self: Box<Self>, how: Parting, deadline: Duration) {
        let Some(consumer) = self.consumer.take() else { return };
        let parting = Parted {
            answer_owed: self.answer_owed,
            increments: self.increments.take(),
            leave: how == Parting::Leave,
            group: self.group.clone(),
            instance: self.instance.clone(),
            deadline,
        };
        let (done, closed) = mpsc::channel();
        let closing = spawn("kafka-close", move || {
            let mut parting = parting;
            parting.part(consumer);
            // Nobody waits any more when the deadline is over.
            let _ = done.send(());
        });
        if closing.is_ok() && closed.recv_timeout(deadline).is_err() {
            tracing::warn!("leaving group `{}` takes longer than {deadline:?}; it is left to finish by itself", self.group);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            let (group, instance) = (self.group.clone(), None);
            let (answer_owed, increments) = (self.answer_owed, self.increments.take());
            Parted { answer_owed, increments, leave: false, group, instance, deadline: Duration::ZERO }.part(consumer);
        }
    }
}

/// The topic of `Subscribed topic not available: <topic>: <why>`: the one error text that names an input.
fn subscribed_topic(reason: &str) -> Option<&str> {
    reason.strip_prefix("Subscribed topic not available: ")?.split(": ").next()
}

//! The node of a saga: finds the instance that a record or timer is about, steps it, carries out what it wants.

use super::action::{Action, Input, What, asker};
use super::counts::{COUNTS_KEY, Counts, Standing};
use super::drive::{Hands, KeptMessage, drive};
use super::edition::{Edition, Editions};
use super::instance::{Asker, Row};
use super::step::{exists, orphan};
use super::stepper::later;
use super::{Act, Error, Given, Summary, Timer, decode, encode, given, summary};
use crate::codec::{Event, KeyFormat, Part, derived_id, moment};
use crate::failure::{Class, Failure, Stage};
use crate::node::{
    self, Answer, Context, Drafted, Expired, Firing, Node, Outbox, Outcome, Policy, Rejoinder, Stop, To, World, failed,
    instance_key, is_delayed, send_kept,
};
use crate::record::{Header, HeaderRef, KeptRecord, Map, Millis, RecordRef, Text, Value};
use crate::state::layout::{Tag, key};
use crate::state::{Entity, Expiring};
use crate::topology::model::Saga;
use crate::topology::model::saga::EarlyThen;
use crate::topology::plan::NodeKind;
use bytes::Bytes;
use std::sync::Arc;

/// Version of the row's shape, for whoever reads the changelog; the row says its own form.
const STATE_VERSION: u32 = 1;
/// Type of the lines of a history.
pub const HISTORY: &str = "saga.history.v1";

/// Compiles the plan's node `node`, if it is a saga.
pub fn compile(world: &Arc<World>, node: usize) -> Option<Box<dyn Node>> {
    Some(Box::new(SagaNode::of(world, node)?))
}

/// Keeps an instance of the plan's saga `node` as a test gives it, in place of what is there. What it sends on the last of its way, and
/// the times it waits for, go into the context.
pub fn give(world: &Arc<World>, node: usize, id: &Text, given: Given, context: &mut dyn Context) -> Result<(), Stop> {
    let Some(node) = SagaNode::of(world, node) else { return Ok(()) };
    let (record, event) = (stand_in(context.now(), &[]), nobodys_event(context.now()));
    let input = Input { now: context.now(), record: &record, key_format: KeyFormat::String, event: &event, what: given::BY };
    let stepped = given::put(node.own.setting(), id, given, &input)?;
    NodeHands { node: &node, edition: &node.own, id, context }.carry_out(&input, stepped.actions)?;
    node.save(node.model(), id, stepped.row, true, &Text::default(), context)
}

struct SagaNode {
    world: Arc<World>,
    /// Of the plan.
    store: usize,
    /// Topic of operators' acts.
    inbox: Option<usize>,
    /// What the file that runs says.
    own: Edition,
    /// What leads instances that began before, or elsewhere under a newer file.
    others: Editions,
}

impl SagaNode {
    fn of(world: &Arc<World>, node: usize) -> Option<Self> {
        let planned = world.plan.nodes.get(node)?;
        let (NodeKind::Saga(index), Some(store)) = (planned.kind, planned.store) else { return None };
        let own = Edition::own(Arc::clone(world), index);
        let (world, others) = (Arc::clone(world), Editions::default());
        Some(Self { world, store, inbox: planned.inbox, own, others })
    }

    fn model(&self) -> &Saga {
        self.own.model()
    }

    /// Steps the instance `id` by the definition that it keeps.
    fn run(&self, id: &Text, input: &Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let definition = match self.load(&self.own, id, context)? {
            Ok(row) => return self.run_by(&self.own, id, row, input, context),
            Err(Error::OtherDefinition { own, .. }) => own,
            Err(error) => return Err(Failure::from(error).into()),
        };
        let Some(edition) = self.others.of(&self.model().name, &definition, self.world.versions())? else {
            let loaded = self.own.definition().clone();
            return Err(Failure::from(Error::OtherDefinition { own: definition, loaded }).into());
        };
        let is_message = matches!(input.what, What::Message(None));
        let read = if is_message { edition.read(&self.world, input.record) } else { None };
        let event = read.as_ref().unwrap_or(input.event);
        if is_message && !edition.reads(input.record.topic, &event.kind) {
            return Ok(self.not_for_it(&edition, id, input, context));
        }
        let row = self.load(&edition, id, context)?.map_err(Failure::from)?;
        self.run_by(&edition, id, row, &Input { event, ..*input }, context)
    }

    /// A message that is nothing to the edition of an instance. Where it would begin one, its id is taken.
    fn not_for_it(&self, edition: &Edition, id: &Text, input: &Input<'_>, context: &mut dyn Context) -> Outcome {
        if !self.model().taken(&input.event.kind).is_some_and(|taken| taken.starts) {
            return Outcome::PassedOver;
        }
        let refusal = exists();
        let code = refusal.code.clone();
        if let Some(asker) = asker(input, id) {
            NodeHands { node: self, edition, id, context }.answer(input, &asker, Answer::Rejected(refusal));
        }
        Outcome::Refused(code)
    }

    fn run_by(
        &self,
        edition: &Edition,
        id: &Text,
        row: Option<Row>,
        input: &Input<'_>,
        context: &mut dyn Context,
    ) -> Result<Outcome, Stop> {
        let (was_there, before) = (row.is_some(), Standing::of(row.as_ref()));
        let mut hands = NodeHands { node: self, edition, id, context };
        let (changed, outcome) = drive(edition.setting(), id, row, input, &mut hands)?;
        // One that ended under another definition stays as it was kept.
        let is_ours = |row: &Option<Row>| !matches!(row, Some(Row::Instance(saga)) if saga.definition != *edition.definition());
        if let Some(row) = changed.filter(is_ours) {
            self.note(before, Standing::of(row.as_ref()), context)?;
            self.save(edition.model(), id, row, was_there, &input.event.id, context)?;
        }
        Ok(outcome)
    }

    /// Does another version of the saga take messages of that type, or of one that is made into it here?
    fn is_taken_elsewhere(&self, kind: &str) -> bool {
        let (world, name) = (&self.world, &self.model().name);
        let mut older = world.topology.upcasters.iter().map(|upcaster| upcaster.from.as_str());
        world.is_taken_elsewhere(name, kind)
            || older.any(|from| world.topology.newest(from) == kind && world.is_taken_elsewhere(name, from))
    }

    /// Keeps count.
    fn note(&self, before: Option<Standing>, after: Option<Standing>, context: &mut dyn Context) -> Result<(), Stop> {
        if before == after {
            return Ok(());
        }
        let stored = context.row(self.store, Tag::Own, COUNTS_KEY)?;
        let mut counts = stored.map_or(Ok(Counts::default()), |stored| Counts::read(&stored)).map_err(Failure::from)?;
        counts.note(before, after);
        context.put_row(self.store, Tag::Own, COUNTS_KEY, Some(counts.stored().into()))?;
        Ok(())
    }

    fn load(&self, edition: &Edition, id: &Text, context: &mut dyn Context) -> Result<Result<Option<Row>, Error>, Stop> {
        let Some(entity) = context.entity(self.store, id.as_bytes())? else { return Ok(Ok(None)) };
        Ok(decode(&entity.value, id, edition.model(), edition.definition()).map(Some))
    }

    fn save(
        &self,
        model: &Saga,
        id: &Text,
        row: Option<Row>,
        was_there: bool,
        event: &Text,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let entity = row.map(|row| {
            let (version, expires_at) = match &row {
                Row::Instance(saga) => {
                    let ended = saga.status.is_final().then(|| later(saga.changed_at, model.retain));
                    (u64::from(saga.entries), ended)
                }
                Row::Early(early) => (u64::from(early.next), None),
            };
            let value = encode(&row, model);
            Entity { value, version, last_event: Some(event.clone()), state_version: STATE_VERSION, expires_at }
        });
        if entity.is_some() || was_there {
            context.put_entity(self.store, id.as_bytes(), entity)?;
        }
        Ok(())
    }

    /// The instance that a record of the engine's own topics is about: its key.
    fn own_id(&self, record: &RecordRef<'_>, context: &mut dyn Context) -> Result<Text, Failure> {
        let id = record.key.filter(|key| !key.is_empty()).and_then(|key| std::str::from_utf8(key).ok());
        let id =
            id.ok_or_else(|| Failure::new(Class::Permanent, "MISSING_KEY", Stage::Key, "the record's key is no saga's id"))?;
        context.claim(id.as_bytes());
        Ok(id.into())
    }

    /// An early message or a kept one, under the saga's id and its number.
    fn kept_key(id: &str, number: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(id.len() + 6);
        key::append_part(id.as_bytes(), &mut out);
        out.extend_from_slice(&number.to_be_bytes());
        out
    }
}

impl Node for SagaNode {
    fn name(&self) -> &Text {
        &self.model().name
    }

    fn step(&self, input: &node::Input<'_>, context: &mut dyn Context) -> Result<Outcome, Stop> {
        let (model, record, event) = (self.model(), input.record, input.event);
        if record.value.is_none() {
            return Ok(Outcome::PassedOver);
        }
        let now = context.now();
        let told = |what, key_format| Input { now, record, key_format, event, what };
        if input.topic.is_some() && input.topic == model.replies {
            let accepted = match event.kind.as_str() {
                "reply.accepted" => true,
                "reply.rejected" => false,
                _ => return Ok(Outcome::PassedOver),
            };
            let id = self.own_id(record, context)?;
            return self.run(&id, &told(What::Reply(accepted), KeyFormat::String), context);
        }
        if input.topic.is_some() && input.topic == self.inbox {
            let act = Act::read(event)?;
            let id = self.own_id(record, context)?;
            return self.run(&id, &told(What::Act(&act), KeyFormat::String), context);
        }
        if model.taken(&event.kind).is_none() && !self.is_taken_elsewhere(&event.kind) {
            return Ok(Outcome::PassedOver);
        }
        let key = instance_key(&self.world, &model.sources, model.key.as_ref(), input)?;
        let Value::Str(id) = &key.value else {
            let message = format!("a saga is known by text, its key is a {}", key.value.kind());
            return Err(Failure::new(Class::Permanent, "MISSING_KEY", Stage::Key, message).into());
        };
        self.run(id, &told(What::Message(None), self.world.key_format(input.topic)), context)
    }

    fn fire(&self, firing: &Firing<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        if is_delayed(firing.name) {
            return send_kept(&self.world, self, firing, context);
        }
        let id = std::str::from_utf8(firing.owner).ok().map(Text::new);
        let timer = std::str::from_utf8(firing.name).ok().and_then(Timer::parse);
        let (Some(id), Some(timer)) = (id, timer) else {
            let message = "a timer that no saga of this definition sets";
            return Err(Failure::new(Class::Engine, "UNKNOWN_TIMER", Stage::Step, message).into());
        };
        let record = stand_in(firing.due, &[]);
        let event = nobodys_event(firing.due);
        let what = What::Timer(timer, firing.due);
        let input = Input { now: context.now(), record: &record, key_format: KeyFormat::String, event: &event, what };
        self.run(&id, &input, context).map(drop)
    }

    fn expired(&self, expired: &Expired<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        match expired.tag {
            Tag::Early => self.early_expired(expired, context),
            _ => {
                // An instance that is over was kept for so long; its end has taken all else away.
                let kept = context.entity(self.store, expired.key)?.map(|entity| summary(&entity.value));
                if let Some(Summary { status: Some(status), stuck, .. }) = kept.transpose().map_err(Failure::from)? {
                    self.note(Some(Standing { status, stuck }), None, context)?;
                }
                context.put_entity(self.store, expired.key, None)?;
                context.count("saga_forgotten");
                Ok(())
            }
        }
    }

    fn failed(
        &self,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
        context: &mut dyn Context,
    ) -> Result<(), Stop> {
        let model = self.model();
        let topic = self.world.topic(record.topic);
        let key = event.and_then(|event| {
            let input = node::Input { topic, partitions: None, record, event };
            instance_key(&self.world, &model.sources, model.key.as_ref(), &input).ok()
        });
        let rejoinder = Rejoinder {
            world: &self.world,
            node: &model.name,
            errors: &model.errors,
            replies: None,
            store: Some(self.store),
            key_format: self.world.key_format(topic),
            handles: &|kind| model.taken(kind).is_some(),
        };
        failed(rejoinder, record, event, key, failure, context)
    }

    fn policy(&self) -> Option<Policy<'_>> {
        let model = self.model();
        Some(Policy { world: &self.world, node: &model.name, errors: &model.errors, parks: model.parks() })
    }
}

impl SagaNode {
    /// A message has waited long enough for its saga to begin.
    fn early_expired(&self, expired: &Expired<'_>, context: &mut dyn Context) -> Result<(), Stop> {
        let mut rest = expired.key;
        let id = key::read_part(&mut rest).ok().and_then(|id| String::from_utf8(id).ok()).map(Text::from);
        let number = rest.try_into().ok().map(u32::from_be_bytes);
        let (Some(id), Some(number)) = (id, number) else {
            let message = "an early message under a key that no saga writes";
            return Err(Failure::new(Class::Engine, "SAGA_UNREADABLE", Stage::Step, message).into());
        };
        let kept = context.expiring(self.store, Tag::Early, expired.key)?;
        context.put_expiring(self.store, Tag::Early, expired.key, None)?;
        let row = match self.load(&self.own, &id, context)? {
            // One that began elsewhere has taken its early messages over.
            Err(Error::OtherDefinition { .. }) => None,
            row => row.map_err(Failure::from)?,
        };
        if let Some(Row::Early(mut early)) = row {
            early.kept.retain(|kept| kept.number != number);
            let row = (!early.kept.is_empty()).then_some(Row::Early(early));
            self.save(self.model(), &id, row, true, &Text::default(), context)?;
        }
        let Some(kept) = kept else { return Ok(()) };
        match self.model().early.then {
            EarlyThen::Drop => context.count("saga_early_dropped"),
            EarlyThen::DeadLetter => {
                let record = KeptRecord::read(&kept.value).map_err(Error::from).map_err(Failure::from)?;
                let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(Header::as_ref).collect();
                let failure = orphan("its saga did not begin in time".to_owned());
                context.dead_letter_of(&record.as_ref(&headers), &failure)?;
            }
        }
        Ok(())
    }
}

/// Carries out what one instance wants.
struct NodeHands<'a> {
    node: &'a SagaNode,
    edition: &'a Edition,
    id: &'a Text,
    context: &'a mut dyn Context,
}

impl Hands for NodeHands<'_> {
    type Error = Stop;

    fn carry_out(&mut self, input: &Input<'_>, actions: Vec<Action>) -> Result<(), Stop> {
        actions.into_iter().try_for_each(|action| self.carry_out_one(input, action))
    }

    fn kept(&mut self, number: u32) -> Result<Option<KeptMessage>, Stop> {
        let key = SagaNode::kept_key(self.id, number);
        let Some(stored) = self.context.row(self.node.store, Tag::Own, &key)? else { return Ok(None) };
        let record = KeptRecord::read(&stored).map_err(Error::from).map_err(Failure::from)?;
        let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(Header::as_ref).collect();
        let read = |world: &Arc<World>| {
            let topic = world.topic(&record.topic);
            match world.reader(topic).decode(&record.as_ref(&headers)) {
                Ok(event) => Ok(event.map(|event| (event, world.key_format(topic)))),
                // It was read once, by a worker that knew its schema.
                Err(failure) if failure.class() == Class::Engine => Err(Stop::Record(failure)),
                Err(_) => Ok(None),
            }
        };
        // What could be read once may not fit a schema that has changed since; and which types are old is the version's to say.
        let read = match read(&self.edition.world)? {
            None => read(&self.node.world)?,
            read => read,
        };
        Ok(read.map(|(event, key_format)| KeptMessage { key_format, event, record }))
    }
}

impl NodeHands<'_> {
    fn carry_out_one(&mut self, input: &Input<'_>, action: Action) -> Result<(), Stop> {
        let (store, id) = (self.node.store, self.id);
        match action {
            Action::Send(message) if message.delay.is_some() => self.send_later(input, &message)?,
            Action::Send(message) => self.send(input, &message),
            Action::Command { mut message, wants_reply } => {
                let replies = self.edition.model().replies.filter(|_| wants_reply);
                if let Some(replies) = replies {
                    let topic = &self.edition.world.plan.topics[replies].name;
                    message.headers.push(Header::text("reply-to", topic));
                    message.headers.push(Header::text("reply-key", id));
                }
                self.send(input, &message);
            }
            Action::Arm(timer, due) => {
                self.context.set_timer(store, id.as_bytes(), timer.to_string().as_bytes(), due, Bytes::new())?;
            }
            Action::Disarm(timer) => {
                self.context.cancel_timer(store, id.as_bytes(), timer.to_string().as_bytes())?;
            }
            Action::Keep(number) => {
                let key = SagaNode::kept_key(id, number);
                self.context.put_row(store, Tag::Own, &key, Some(stored(input.record)))?;
            }
            Action::KeepEarly(number) => {
                let key = SagaNode::kept_key(id, number);
                let expires_at = later(input.now, self.edition.model().early.within);
                let row = Expiring { expires_at, value: stored(input.record) };
                self.context.put_expiring(store, Tag::Early, &key, Some(row))?;
            }
            Action::Adopt(number) => {
                let key = SagaNode::kept_key(id, number);
                if let Some(early) = self.context.expiring(store, Tag::Early, &key)? {
                    self.context.put_expiring(store, Tag::Early, &key, None)?;
                    self.context.put_row(store, Tag::Own, &key, Some(early.value))?;
                }
            }
            Action::Forget(number) => {
                self.context.put_row(store, Tag::Own, &SagaNode::kept_key(id, number), None)?;
            }
            Action::Answer(asker, answer) => self.answer(input, &asker, answer),
            Action::Entry(entry) => self.entry(input, entry),
            Action::Count(what) => self.context.count(what),
            Action::Moved(_, Some(status)) => self.context.count(status.moved()),
            Action::Moved(_, None) => {}
            Action::Overdue => self.context.count("saga_overdue"),
        }
        Ok(())
    }

    /// Sends a message. One that its topic does not take is counted: the instance must not stand still for it. A command that
    /// was not sent is not answered, and goes that road.
    fn send(&mut self, input: &Input<'_>, message: &Drafted) {
        let (world, name) = (&self.edition.world, &self.edition.model().name);
        let outbox = Outbox::new(world, name, input.record, input.event);
        if outbox.send(message, self.context).is_err() {
            self.context.count("saga_message_not_sent");
        }
    }

    /// Keeps a message until it is to be sent, whatever has become of the instance by then.
    fn send_later(&mut self, input: &Input<'_>, message: &Drafted) -> Result<(), Stop> {
        let (world, name) = (&self.edition.world, &self.edition.model().name);
        let outbox = Outbox::new(world, name, input.record, input.event);
        match outbox.dispatch(message, Some(self.node.store), self.context) {
            Err(Stop::Record(failure)) if failure.class() != Class::Engine => self.context.count("saga_message_not_sent"),
            other => other?,
        }
        Ok(())
    }

    fn answer(&mut self, input: &Input<'_>, asker: &Asker, answer: Answer) {
        let headers = [
            HeaderRef { name: "reply-to", value: Some(asker.reply_to.as_bytes()) },
            HeaderRef { name: "reply-key", value: Some(asker.key.as_bytes()) },
        ];
        let record = RecordRef { headers: &headers, ..*input.record };
        let mut cause = nobodys_event(input.record.timestamp);
        (cause.id, cause.correlation_id) = (asker.request.clone(), asker.correlation_id.clone());
        let deed = [Part::Text(self.id), Part::Text("reply"), Part::Text(&asker.request)];
        let (world, name) = (&self.edition.world, &self.edition.model().name);
        let mut outbox = Outbox::new(world, name, &record, &cause).of_deed(&deed);
        if outbox.reply(answer, None, self.context).is_err() {
            self.context.count("saga_answer_not_sent");
        }
    }

    fn entry(&mut self, input: &Input<'_>, entry: Map) {
        let (topology, model) = (&self.edition.world.topology.name, self.edition.model());
        let number = entry.get("entry").and_then(Value::as_int).unwrap_or_default();
        let parts =
            [Part::Text(topology), Part::Text(&model.name), Part::Text(self.id), Part::Text("history"), Part::Number(number)];
        let event = Event {
            id: derived_id(&parts),
            kind: HISTORY.into(),
            source: topology.clone(),
            time: moment(input.now),
            version: Some("1".into()),
            correlation_id: input.event.correlation_id.clone(),
            causation_id: (!input.event.id.is_empty()).then(|| input.event.id.clone()),
            metadata: Map::new(),
            data: entry.into(),
        };
        let to = To::Planned(model.history);
        let key = Some(self.id.as_bytes().to_vec());
        let line = Drafted { to, key, event, headers: Vec::new(), own_event: false, forward: false, delay: None };
        // A history is found by the moment of what happened, not by that of the record that had it happen.
        let record = RecordRef { timestamp: input.now, ..*input.record };
        self.send(&Input { record: &record, ..*input }, &line);
    }
}

fn stored(record: &RecordRef<'_>) -> Bytes {
    let mut out = Vec::with_capacity(64 + record.size_bytes());
    KeptRecord::append(record, &mut out);
    out.into()
}

/// The record of something that nobody sent.
fn stand_in<'a>(timestamp: Millis, headers: &'a [HeaderRef<'a>]) -> RecordRef<'a> {
    RecordRef { topic: "", partition: 0, offset: 0, timestamp, key: None, value: None, headers }
}

/// What something says that nobody sent.
fn nobodys_event(timestamp: Millis) -> Event {
    Event {
        id: Text::default(),
        kind: Text::default(),
        source: Text::default(),
        time: moment(timestamp),
        version: None,
        correlation_id: Text::default(),
        causation_id: None,
        metadata: Map::new(),
        data: Value::Null,
    }
}

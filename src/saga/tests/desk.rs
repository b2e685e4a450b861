//! An instance on a desk: its row, its timers, its kept messages, and whoever answers its commands.
//!
//! Between two inputs the instance is nothing but its encoded row, so every run recovers after every input; and every input is
//! given twice, the first time for nothing: a step that did not follow from row and input alone would differ.

use crate::codec::{Event, KeyFormat, Part, derived_id, moment};
use crate::failure::Failure;
use crate::node::{Answer, Drafted, World};
use crate::record::{KeptRecord, Map, Millis, RecordRef, Text, Value, json};
use crate::saga::{
    Act, Action, Hands, Input, Instance, KeptMessage, OpState, Place, Row, Setting, Status, Timer, What, decode, drive, encode,
};
use crate::topology::model::saga::{Awaits, Body, Direction};
use crate::topology::{self, NoSources, Severity};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A file with a saga.
pub(super) struct Play {
    pub(super) world: Arc<World>,
    pub(super) definition: Text,
}

impl Play {
    pub(super) fn load(file: &str) -> Self {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saga").join(file);
        let text = std::fs::read(&path).expect("the file is there");
        Self::of_text(file, &text)
    }

    pub(super) fn of_text(file: &str, text: &[u8]) -> Self {
        let loaded = topology::load(file, text, &[], &NoSources);
        let errors: Vec<_> = loaded.findings.into_iter().filter(|found| found.severity() == Severity::Error).collect();
        let (topology, plan) = loaded.checked.unwrap_or_else(|| panic!("{file}: {errors:#?}"));
        Self { world: World::new(Arc::new(topology), Arc::new(plan)), definition: "1".into() }
    }

    pub(super) fn saga(&self) -> &topology::model::Saga {
        &self.world.topology.sagas[0]
    }

    pub(super) fn setting(&self) -> Setting<'_> {
        Setting { world: &self.world, saga: self.saga(), definition: &self.definition }
    }
}

/// An operation as the world outside knows it: step, element, way.
pub(super) type Deed = (usize, usize, Direction);

/// What becomes of a command, or of what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Done and answered.
    Accept,
    /// Refused, with this code.
    Reject(&'static str),
    /// Done; the answer is lost.
    Drop,
    /// It never arrives.
    Lose,
    /// Done; the answer comes only after the next timer.
    Late,
    /// It arrives twice and is answered twice.
    Twice,
}

/// What an instance is told.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Message(Event),
    Reply(Event),
    Act(Act),
    Timer(Timer, Millis),
}

/// What one input made it want, before it is carried out.
#[derive(Default)]
struct Wanted {
    actions: Vec<Action>,
    keeps: Vec<(u32, Event)>,
}

struct Trial<'a> {
    kept: &'a BTreeMap<u32, Event>,
    wanted: Wanted,
}

impl Hands for Trial<'_> {
    type Error = Failure;

    fn carry_out(&mut self, input: &Input<'_>, actions: Vec<Action>) -> Result<(), Failure> {
        for action in &actions {
            if let Action::Keep(number) | Action::KeepEarly(number) = action {
                self.wanted.keeps.push((*number, input.event.clone()));
            }
        }
        self.wanted.actions.extend(actions);
        Ok(())
    }

    fn kept(&mut self, number: u32) -> Result<Option<KeptMessage>, Failure> {
        let just = self.wanted.keeps.iter().find(|(kept, _)| *kept == number).map(|(_, event)| event);
        let event = just.or_else(|| self.kept.get(&number)).cloned();
        Ok(event.map(|event| KeptMessage { record: kept_record(), event, key_format: KeyFormat::String }))
    }
}

fn kept_record() -> KeptRecord {
    let (key, value, headers) = (None, Some(bytes::Bytes::from_static(b"{}")), Vec::new());
    KeptRecord { topic: "messages".into(), partition: 0, offset: 0, timestamp: NOON, key, value, headers }
}

pub(super) const NOON: Millis = 1_795_248_000_000;

/// An instance and its surroundings.
pub(super) struct Desk<'p> {
    pub(super) play: &'p Play,
    pub(super) id: Text,
    pub(super) now: Millis,
    pub(super) row: Option<Value>,
    pub(super) timers: BTreeMap<Timer, Millis>,
    kept: BTreeMap<u32, Event>,
    /// What is on its way to it.
    pub(super) queue: VecDeque<Told>,
    late: Vec<Told>,
    /// What each command came to: a participant answers a repetition as it did the first time.
    answered: BTreeMap<Text, Option<Told>>,
    /// What is done and not undone.
    pub(super) effects: BTreeSet<(usize, usize)>,
    /// Ids of commands by what they are to do, each once, with whether it was answered as failed.
    ids: BTreeMap<Deed, Vec<(Text, bool)>>,
    /// How often each command was sent.
    pub(super) deliveries: BTreeMap<Deed, usize>,
    waits_told: BTreeSet<(usize, usize, u32)>,
    pub(super) log: Vec<String>,
    pub(super) sent: Vec<String>,
    pub(super) answers: Vec<String>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) moves: Vec<Status>,
    messages: u32,
    /// Every input comes twice.
    pub(super) doubled: bool,
    pub(super) row_bytes_max: usize,
    pub(super) steps: usize,
}

impl<'p> Desk<'p> {
    pub(super) fn new(play: &'p Play) -> Self {
        Self {
            play,
            id: "o-1".into(),
            now: NOON,
            row: None,
            timers: BTreeMap::new(),
            kept: BTreeMap::new(),
            queue: VecDeque::new(),
            late: Vec::new(),
            answered: BTreeMap::new(),
            effects: BTreeSet::new(),
            ids: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            waits_told: BTreeSet::new(),
            log: Vec::new(),
            sent: Vec::new(),
            answers: Vec::new(),
            counts: BTreeMap::new(),
            moves: Vec::new(),
            messages: 0,
            doubled: false,
            row_bytes_max: 0,
            steps: 0,
        }
    }

    /// A message with a new id.
    pub(super) fn event(&mut self, kind: &str, data: &str) -> Event {
        self.messages += 1;
        event(&format!("m-{}", self.messages), kind, json::read(data.as_bytes()).expect("JSON"))
    }

    pub(super) fn instance(&self) -> Option<Instance> {
        let row = self.row.as_ref()?;
        match decode(row, &self.id, self.play.saga(), &self.play.definition).expect("a row that was just written") {
            Row::Instance(instance) => Some(*instance),
            Row::Early(_) => None,
        }
    }

    pub(super) fn status(&self) -> Option<Status> {
        self.instance().map(|instance| instance.status)
    }

    /// Gives one input. What it makes the instance want is carried out; commands are answered as `behave` says.
    pub(super) fn tell(&mut self, told: &Told, behave: &mut dyn FnMut(Deed, usize) -> Behaviour) {
        self.tell_once(told, behave);
        // A timer that fired is gone; all else may come again.
        if self.doubled && !matches!(told, Told::Timer(..)) {
            self.tell_once(told, behave);
        }
    }

    fn tell_once(&mut self, told: &Told, behave: &mut dyn FnMut(Deed, usize) -> Behaviour) {
        self.steps += 1;
        assert!(self.steps < 20_000, "no end:\n{}", self.log.join("\n"));
        let first = self.try_out(told);
        let second = self.try_out(told);
        let (row, wanted) = match (first, second) {
            (Ok((row, wanted)), Ok((again, wanted_again))) => {
                assert_eq!(row, again);
                assert_eq!(format!("{:?}", wanted.actions), format!("{:?}", wanted_again.actions));
                (row, wanted)
            }
            (Err(failure), Err(again)) => {
                assert_eq!(failure, again);
                return self.log.push(format!("{} failed: {failure}", name(told)));
            }
            _ => panic!("the same input on the same row said different things"),
        };
        self.log.push(format!("+{}s {}", (self.now - NOON) / 1_000, name(told)));
        self.row = row;
        let row = self.row.as_ref().map_or(0, |row| json::text(row).expect("a row has a text").len());
        self.row_bytes_max = self.row_bytes_max.max(row);
        self.carry_out(wanted, behave);
    }

    fn try_out(&self, told: &Told) -> Result<(Option<Value>, Wanted), Failure> {
        let row = self.row.as_ref().map(|row| {
            // By way of its text, as it comes back from a changelog.
            let text = json::text(row).expect("a row has a text");
            let row = json::read(text.as_bytes()).expect("just written");
            decode(&row, &self.id, self.play.saga(), &self.play.definition).expect("just written")
        });
        let nobodys = event("", "", Value::Null);
        let (event, what, timestamp) = match told {
            Told::Message(event) => (event, What::Message(None), self.now),
            Told::Reply(event) => (event, What::Reply(event.kind == "reply.accepted"), self.now),
            Told::Act(act) => (&nobodys, What::Act(act), self.now),
            Told::Timer(timer, due) => (&nobodys, What::Timer(*timer, *due), *due),
        };
        let headers = match told {
            Told::Message(event) if event.metadata.contains_key("asks") => {
                vec![crate::record::HeaderRef { name: "reply-to", value: Some(b"app.replies") }]
            }
            _ => Vec::new(),
        };
        let record = RecordRef {
            topic: "messages",
            partition: 0,
            offset: 0,
            timestamp,
            key: Some(self.id.as_bytes()),
            value: Some(b"{}"),
            headers: &headers,
        };
        let input = Input { now: self.now, record: &record, key_format: KeyFormat::String, event, what };
        let mut trial = Trial { kept: &self.kept, wanted: Wanted::default() };
        let (changed, _) = drive(self.play.setting(), &self.id, row, &input, &mut trial)?;
        let Some(row) = changed else { return Ok((self.row.clone(), trial.wanted)) };
        Ok((row.map(|row| encode(&row, self.play.saga())), trial.wanted))
    }

    fn carry_out(&mut self, wanted: Wanted, behave: &mut dyn FnMut(Deed, usize) -> Behaviour) {
        self.kept.extend(wanted.keeps);
        for action in wanted.actions {
            match action {
                Action::Send(message) => self.sent.push(line(&message)),
                Action::Command { message, wants_reply } => self.command(*message, wants_reply, behave),
                Action::Arm(timer, due) => drop(self.timers.insert(timer, due)),
                Action::Disarm(timer) => drop(self.timers.remove(&timer)),
                Action::Keep(_) | Action::KeepEarly(_) | Action::Adopt(_) => {}
                Action::Forget(number) => drop(self.kept.remove(&number)),
                Action::Answer(asker, answer) => self.answers.push(match answer {
                    Answer::Accepted { result, .. } => {
                        format!("{} accepted {}", asker.request, json::text(&result).expect("JSON"))
                    }
                    Answer::Rejected(refusal) => format!("{} rejected {}", asker.request, refusal.code),
                }),
                Action::Entry(entry) => self.log.push(format!("    {}", entry_line(&entry))),
                Action::Count(what) => *self.counts.entry(what).or_default() += 1,
                Action::Moved(from, to) => {
                    assert_eq!(from, self.moves.last().copied(), "moves follow on each other");
                    self.moves.extend(to);
                }
                Action::Overdue => *self.counts.entry("overdue").or_default() += 1,
            }
        }
        self.tell_waits(behave);
    }

    /// Which operation a command is of, by its id: the id follows from nothing else.
    fn deed_of(&self, id: &str) -> (Deed, u32) {
        let instance = self.instance().expect("commands are of an instance");
        let Place::Steps(progress) = &instance.place else { panic!("commands are of steps") };
        let saga = self.play.saga();
        for run in &progress.runs {
            let step = &self.play.saga_step(run.step).name;
            for (item, op) in run.ops.iter().enumerate() {
                for (direction, word) in [(Direction::Forward, "do"), (Direction::Back, "undo")] {
                    for answered in 0..=op.answered + 1 {
                        let parts = [
                            Part::Text(&self.play.world.topology.name),
                            Part::Text(&saga.name),
                            Part::Text(&self.id),
                            Part::Text(step),
                            Part::Number(item as i64),
                            Part::Text(word),
                            Part::Number(i64::from(answered) + 1),
                        ];
                        if derived_id(&parts) == id {
                            return ((run.step, item, direction), answered);
                        }
                    }
                }
            }
        }
        panic!("a command with an id of nothing");
    }

    fn command(&mut self, message: Drafted, wants_reply: bool, behave: &mut dyn FnMut(Deed, usize) -> Behaviour) {
        let id = message.event.id.clone();
        let (deed, answered) = self.deed_of(&id);
        self.sent.push(line(&message));
        let ids = self.ids.entry(deed).or_default();
        if !ids.iter().any(|(known, _)| *known == id) {
            // A new id only after the one before was answered: else the effect could be there twice.
            assert!(ids.iter().all(|(_, failed)| *failed), "{deed:?} has a new id though the last was not answered");
            assert_eq!(ids.len(), answered as usize, "{deed:?}");
            ids.push((id.clone(), false));
        }
        let nth = self.deliveries.entry(deed).or_default();
        *nth += 1;
        let behaviour = behave(deed, *nth);
        if behaviour == Behaviour::Lose {
            return;
        }
        let answer = match self.answered.get(&id) {
            Some(answer) => answer.clone(),
            None => {
                let answer = self.perform(deed, &message.event, behaviour, wants_reply);
                self.answered.insert(id.clone(), answer.clone());
                answer
            }
        };
        self.deliver(answer, behaviour);
    }

    fn deliver(&mut self, answer: Option<Told>, behaviour: Behaviour) {
        let Some(answer) = answer else { return };
        match behaviour {
            Behaviour::Drop | Behaviour::Lose => {}
            Behaviour::Late => self.late.push(answer),
            Behaviour::Twice => self.queue.extend([answer.clone(), answer]),
            Behaviour::Accept | Behaviour::Reject(_) => self.queue.push_back(answer),
        }
    }

    /// A participant does what a command says, or refuses; the answer is the same for all repetitions.
    fn perform(&mut self, deed: Deed, command: &Event, behaviour: Behaviour, wants_reply: bool) -> Option<Told> {
        let (step, item, direction) = deed;
        let rejected = match behaviour {
            Behaviour::Reject(code) => Some(code),
            _ => None,
        };
        if rejected.is_none() {
            match direction {
                Direction::Forward => {
                    assert!(self.effects.insert((step, item)), "{deed:?} took effect twice");
                }
                Direction::Back => drop(self.effects.remove(&(step, item))),
            }
        } else if let Some((_, failed)) = self.ids.get_mut(&deed).and_then(|ids| ids.last_mut()) {
            *failed = true;
        }
        let operation = self.play.outcomes(step, direction);
        if wants_reply {
            let (kind, data) = match rejected {
                None => ("reply.accepted", r#"{"receipt":"r"}"#.to_owned()),
                Some(code) => ("reply.rejected", format!(r#"{{"code":"{code}","message":"no","details":null}}"#)),
            };
            let mut reply = self.event(kind, &data);
            reply.causation_id = Some(command.id.clone());
            return Some(Told::Reply(reply));
        }
        let kind = if rejected.is_some() { operation.1 } else { operation.0 }?;
        let mut answer = self.event(&kind, "{}");
        answer.data = command.data.clone();
        Some(Told::Message(answer))
    }

    /// What is waited for without a command comes to pass, once.
    fn tell_waits(&mut self, behave: &mut dyn FnMut(Deed, usize) -> Behaviour) {
        let Some(instance) = self.instance() else { return };
        let Place::Steps(progress) = &instance.place else { return };
        let Body::Steps(steps) = &self.play.saga().body else { return };
        for run in &progress.runs {
            let step = &steps.steps[run.step];
            let is_wait = matches!(step.action, topology::model::saga::Action::None) && step.awaits() == Awaits::Message;
            for (item, op) in run.ops.iter().enumerate().filter(|_| is_wait) {
                if op.state != OpState::Waiting || !self.waits_told.insert((run.step, item, op.answered)) {
                    continue;
                }
                let deed = (run.step, item, Direction::Forward);
                *self.deliveries.entry(deed).or_default() += 1;
                let behaviour = behave(deed, 1);
                let (success, failure) = self.play.outcomes(run.step, Direction::Forward);
                let kind = if matches!(behaviour, Behaviour::Reject(_)) { failure } else { success };
                let Some(kind) = kind.filter(|_| behaviour != Behaviour::Lose) else { continue };
                let mut told = self.event(&kind, "{}");
                let fields = [("orderId", self.id.clone()), ("trip", self.id.clone()), ("reason", "SO".into())];
                told.data = Value::Map(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect());
                self.deliver(Some(Told::Message(told)), behaviour);
            }
        }
    }

    /// Lets everything happen that is under way: what was sent arrives in order; then time passes to the next timer.
    /// `act` is asked what an operator does where the instance waits for one.
    pub(super) fn run(
        &mut self,
        behave: &mut dyn FnMut(Deed, usize) -> Behaviour,
        act: &mut dyn FnMut(&Instance) -> Option<Act>,
    ) {
        loop {
            if let Some(told) = self.queue.pop_front() {
                self.tell(&told, behave);
                continue;
            }
            let instance = self.instance();
            if let Some(instance) = instance.filter(|instance| instance.status.waits_for_operator())
                && let Some(act) = act(&instance)
            {
                self.tell(&Told::Act(act), behave);
                continue;
            }
            let Some((timer, due)) = self.timers.iter().map(|(timer, due)| (*timer, *due)).min_by_key(|(_, due)| *due) else {
                if self.late.is_empty() {
                    return;
                }
                self.queue.extend(std::mem::take(&mut self.late));
                continue;
            };
            self.timers.remove(&timer);
            self.now = self.now.max(due);
            self.tell(&Told::Timer(timer, due), behave);
            self.queue.extend(std::mem::take(&mut self.late));
        }
    }

    pub(super) fn transcript(&self) -> String {
        let mut text = self.log.join("\n");
        text.push_str("\n\nsent:\n");
        text.push_str(&self.sent.join("\n"));
        text.push('\n');
        text
    }
}

impl Play {
    pub(super) fn saga_step(&self, step: usize) -> &topology::model::saga::Step {
        match &self.saga().body {
            Body::Steps(steps) => &steps.steps[step],
            Body::States(_) => panic!("a saga of steps"),
        }
    }

    /// Types that say that an operation succeeded or failed.
    fn outcomes(&self, step: usize, direction: Direction) -> (Option<Text>, Option<Text>) {
        let step = self.saga_step(step);
        let (success, failure) = match direction {
            Direction::Forward => (&step.success, &step.failure),
            Direction::Back => {
                let undo = step.compensate.as_ref().expect("only what has a compensation is undone");
                (&undo.success, &undo.failure)
            }
        };
        (success.types.first().cloned(), failure.types.first().cloned())
    }
}

pub(super) fn event(id: &str, kind: &str, data: Value) -> Event {
    Event {
        id: id.into(),
        kind: kind.into(),
        source: "test".into(),
        time: moment(NOON),
        version: None,
        correlation_id: "c-1".into(),
        causation_id: None,
        metadata: Map::new(),
        data,
    }
}

fn name(told: &Told) -> String {
    match told {
        Told::Message(event) | Told::Reply(event) => format!("{} {}", event.kind, event.id),
        Told::Act(act) => format!("act {}", act.deed.name()),
        Told::Timer(timer, _) => format!("timer {timer}"),
    }
}

fn line(message: &Drafted) -> String {
    format!("{} {}", message.event.kind, json::text(&message.event.data).expect("JSON"))
}

fn entry_line(entry: &Map) -> String {
    let shown = |name: &str| {
        !["at", "due", "entry", "saga", "sagaId", "status", "what", "message", "id", "definition", "version"].contains(&name)
    };
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut line = format!("{} [{}]", text("what"), text("status"));
    for (name, value) in entry.iter().filter(|(name, _)| shown(name)) {
        line.push_str(&format!(" {name}={}", json::text(value).expect("JSON")));
    }
    line
}

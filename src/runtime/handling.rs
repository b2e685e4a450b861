//! A record on its way through the nodes of its task, and the road of one that fails.

use super::Halt;
use super::context::StepContext;
use super::epoch::Epoch;
use super::meters::Note;
use super::program::Decode;
use super::task::{Again, Input, Route, Scene, Standstill, Task};
use crate::codec::{Event, SCHEMA_PENDING};
use crate::failure::{Class, Failure, Stage};
use crate::node::{Input as NodeInput, Node, Outcome, REPLAY_HEADER, Replay, Road, Stop, Tries, Wanted, first_read};
use crate::record::{RecordRef, Text, TopicPartition};
use crate::state;
use crate::topology::plan::NodeKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// So many bytes of a key are told of a record that halts its task.
const KEY_TOLD: usize = 100;

/// A record on its way through the nodes of its task; or, with what is due in place of a record, a timer.
pub(super) struct Handling<'a, 'r> {
    pub(super) scene: Scene<'a>,
    pub(super) epoch: &'a mut Epoch,
    pub(super) task: &'a mut Task,
    pub(super) input: &'a Input,
    pub(super) record: &'a RecordRef<'r>,
    /// Of the record.
    pub(super) tries: Tries,
    /// It comes once more, by an operator's hand.
    pub(super) again: Option<Again>,
}

impl Handling<'_, '_> {
    /// Handles a record that was read.
    pub(super) fn run(&mut self) -> Result<(), Standstill> {
        let input = self.input;
        if input.routes.is_empty() {
            self.epoch.figures.untaken += 1;
            return Ok(());
        }
        if let Some(inbox) = input.inbox {
            return self.once_more(inbox);
        }
        if self.task.breakers.is_empty() {
            return self.first_time();
        }
        let breakers = || input.routes.iter().filter_map(|route| route.breaker);
        breakers().for_each(|breaker| self.task.breakers[breaker].note_record());
        let handled = self.first_time();
        if handled.is_err() {
            breakers().for_each(|breaker| self.task.breakers[breaker].take_back_record());
        }
        handled
    }

    /// A record that nobody has asked for once more.
    fn first_time(&mut self) -> Result<(), Standstill> {
        let input = self.input;
        if !input.repartitioned {
            let reader = self.scene.program.reader(input.topic);
            return self.read_with(&**reader, input.topic, input.partitions, self.record);
        }
        let mut headers = Vec::new();
        match first_read(self.record, &mut headers) {
            // It lies where another key put it: nothing follows from its partition.
            Ok(origin) => self.read(self.scene.program.topic(origin.topic), None, &origin),
            Err(failure) => self.undecodable(self.record, &failure),
        }
    }

    /// Acts on its instances are a saga's own matter; what else is in an inbox are records that failed before.
    fn once_more(&mut self, inbox: usize) -> Result<(), Standstill> {
        let Scene { program, sources, .. } = self.scene;
        let node = self.input.routes[0].node;
        let Some(replay) = Replay::of(self.record) else {
            if matches!(program.plan.nodes[node].kind, NodeKind::Saga(_)) {
                return self.read(Some(inbox), self.input.partitions, self.record);
            }
            return self.undecodable(self.record, &no_replay(format!("header `{REPLAY_HEADER}` is missing or wrong")));
        };
        let mut headers = Vec::new();
        let origin = match first_read(self.record, &mut headers) {
            Ok(origin) => origin,
            Err(failure) => return self.undecodable(self.record, &failure),
        };
        let Some(again) = sources.again(self.task.id.subtopology, &replay, origin.topic) else {
            return self.undecodable(
                self.record,
                &no_replay(format!("there is no node `{}` beside `{}`", replay.node, self.task.name)),
            );
        };
        if replay.what == Wanted::Discarded {
            // What it holds up goes on without it.
            return again.routes.iter().try_for_each(|route| self.release(route, &origin));
        }
        self.epoch.tallies.notes.push((node_index(&again.routes[0]), Note::Remark("replayed")));
        let partitions = again.is_direct.then_some(self.task.tasks);
        self.again = Some(again);
        self.read(program.topic(origin.topic), partitions, &origin)
    }

    /// The nodes that take the record.
    fn routes(&self) -> Arc<[Route]> {
        self.again.as_ref().map_or(&self.input.routes, |again| &again.routes).clone()
    }

    fn read(&mut self, topic: Option<usize>, partitions: Option<u32>, record: &RecordRef<'_>) -> Result<(), Standstill> {
        let decoder = self.scene.program.decoder(topic);
        self.read_with(&**decoder, topic, partitions, record)
    }

    fn read_with(
        &mut self,
        decoder: &dyn Decode,
        topic: Option<usize>,
        partitions: Option<u32>,
        record: &RecordRef<'_>,
    ) -> Result<(), Standstill> {
        match catch_unwind(AssertUnwindSafe(|| decoder.decode(record))) {
            Ok(Ok(Some(event))) => self.steps(topic, partitions, record, &event),
            Ok(Ok(None)) => {
                self.epoch.figures.without_value += 1;
                Ok(())
            }
            // Nothing is wrong with the record, as far as is known.
            Ok(Err(failure)) if is_pending(&failure) => Err(self.halt_for(&failure, failure.message().to_owned())),
            Ok(Err(failure)) => self.undecodable(record, &failure),
            Err(panic) => Err(self.halt(format!("a panic while decoding: {}", super::driver::panic_text(&*panic)))),
        }
    }

    fn steps(
        &mut self,
        topic: Option<usize>,
        partitions: Option<u32>,
        record: &RecordRef<'_>,
        event: &Event,
    ) -> Result<(), Standstill> {
        let routes = self.routes();
        for route in &*routes {
            self.step(route, &NodeInput { topic, partitions, record, event })?;
        }
        Ok(())
    }

    /// One node, one record: its effects, or those of its failure.
    fn step(&mut self, route: &Route, input: &NodeInput<'_>) -> Result<(), Standstill> {
        if let Some(max_age) = route.max_age
            && input.record.timestamp >= 0
            && self.scene.now.saturating_sub(input.record.timestamp) > max_age
        {
            let failure = Failure::new(
                Class::Permanent,
                "EXPIRED",
                Stage::Decode,
                format!("the record is of {} and its source takes none older than {max_age} ms", input.record.timestamp),
            );
            return self.fail(route, input.record, Some(input.event), &failure);
        }
        if self.has_to_wait(route, input.event)? {
            return self.wait_behind(route, input);
        }
        match self.judge(route, input)? {
            Ok(outcome) => {
                self.epoch.count_outcome(node_index(route), outcome);
                if self.again.is_some() { self.release(route, input.record) } else { Ok(()) }
            }
            Err(failure) => self.fail(route, input.record, Some(input.event), &failure),
        }
    }

    /// Lets a node handle a record; counts nothing.
    pub(super) fn judge(&mut self, route: &Route, input: &NodeInput<'_>) -> Result<Result<Outcome, Failure>, Standstill> {
        self.attempt(route, input.record, "", |node, context| {
            let result = node.step(input, context);
            match result {
                Ok(_) | Err(Stop::Record(_)) if context.misplaced => {
                    let message = "the record lies in another partition than its key belongs to";
                    Err(Failure::new(Class::Undecodable, "KEY_MISMATCH", Stage::Key, message).into())
                }
                result => result,
            }
        })
    }

    /// Lets a node act on a record, as a whole: of what fails nothing is left. Either the record fails, or its task stands still.
    pub(super) fn attempt<T>(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        when: &str,
        act: impl FnOnce(&dyn Node, &mut StepContext<'_>) -> Result<T, Stop>,
    ) -> Result<Result<T, Failure>, Standstill> {
        let node = &self.scene.program.nodes[route.node];
        let mark = self.epoch.mark();
        let mut context = self.context(route, record);
        let before = context.store.as_ref().map(|store| store.slots.savepoint());
        let failure = match catch_unwind(AssertUnwindSafe(|| act(&**node, &mut context))) {
            Ok(Ok(done)) => return Ok(Ok(done)),
            Ok(Err(Stop::Record(failure))) => failure,
            Ok(Err(Stop::State(error))) => self.state_failure(route, error)?,
            Err(panic) => {
                let what = super::driver::panic_text(&*panic);
                return Err(self.halt(format!("a panic in node `{}`{when}: {what}", node.name())));
            }
        };
        self.epoch.rollback_to(mark);
        if let (Some(store), Some(before)) = (route.store, before) {
            self.task.stores[store].slots.rollback_to(before);
        }
        Ok(Err(failure))
    }

    /// The road of a record that failed at a node when it was read.
    fn fail(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
    ) -> Result<(), Standstill> {
        self.look_up()?;
        if let Some(event) = event
            && let Some(wait) = self.next_try(route, record, event, failure)
            && self.park(route, record, wait)?
        {
            return Ok(());
        }
        let is_held = self.is_held_after(route, failure);
        if is_held {
            self.make_room(route, None)?;
        }
        self.give_up(route, record, event, failure)?;
        if is_held { self.hold(route, record) } else { Ok(()) }
    }

    /// A record that is not tried again: its dead letter, or its task stands still.
    pub(super) fn give_up(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
    ) -> Result<(), Standstill> {
        let node = &self.scene.program.nodes[route.node];
        self.epoch.count_failure(node_index(route));
        if failure.class() == Class::Engine || node.road(failure) == Road::Stop {
            return Err(self.halt_for(failure, format!("node `{}`: {failure}", node.name())));
        }
        self.break_off(route, failure)?;
        self.bury(route, node.name(), record, failure)?;
        self.after_failure(route, record, event, failure)
    }

    /// Writes the dead letter of a record. The partition does not go on without it.
    fn bury(&mut self, route: &Route, node: &Text, record: &RecordRef<'_>, failure: &Failure) -> Result<(), Standstill> {
        let mut context = self.context(route, record);
        context.node = node;
        let written = context.write_letter(failure);
        written.map_err(|error| self.halt(format!("its dead letter cannot be written: {error}")))
    }

    /// When too much cannot be read, the task stands still rather than go on making dead letters.
    fn break_off(&mut self, route: &Route, failure: &Failure) -> Result<(), Standstill> {
        let is_unread = failure.class() == Class::Undecodable || failure.code() == "SCHEMA_INVALID";
        let Some(breaker) = route.breaker.filter(|_| is_unread && self.input.inbox.is_none()) else { return Ok(()) };
        let Some(reason) = self.task.breakers[breaker].note_failure(self.scene.mono) else { return Ok(()) };
        let node = self.scene.program.nodes[route.node].name();
        Err(self.halt(format!(
            "node `{node}`: {reason}, the last: {failure}; look at the others with `skald dlq list`, mend the topic, its contract or \
             whoever writes to it, then restart the worker; to have them all as dead letters, take `stop_above` out of `errors`"
        )))
    }

    /// What a node sends beside a dead letter. When that fails too, the letter alone has to do.
    fn after_failure(
        &mut self,
        route: &Route,
        record: &RecordRef<'_>,
        event: Option<&Event>,
        failure: &Failure,
    ) -> Result<(), Standstill> {
        let emit = |node: &dyn Node, context: &mut StepContext<'_>| node.failed(record, event, failure, context);
        if self.attempt(route, record, " after a failure", emit)?.is_ok() {
            return Ok(());
        }
        self.look_up()?;
        self.epoch.tallies.notes.push((node_index(route), Note::Remark("failure_emit_failed")));
        Ok(())
    }

    /// One dead letter for the record, whoever reads it; every node that does may send beside it, and hold its key: what an upcaster
    /// fails at is undecodable in no other way than that it is permanent.
    fn undecodable(&mut self, record: &RecordRef<'_>, failure: &Failure) -> Result<(), Standstill> {
        let routes = self.routes();
        let nodes = &self.scene.program.nodes;
        self.epoch.count_failure(node_index(&routes[0]));
        if failure.class() == Class::Engine || routes.iter().any(|route| nodes[route.node].road(failure) == Road::Stop) {
            return Err(self.halt(failure.to_string()));
        }
        routes.iter().try_for_each(|route| self.break_off(route, failure))?;
        let held: Vec<&Route> = routes.iter().filter(|route| self.is_held_after(route, failure)).collect();
        held.iter().try_for_each(|route| self.make_room(route, None))?;
        let name = self.again.as_ref().map_or(&self.task.name, |again| &again.node).clone();
        self.bury(&routes[0], &name, record, failure)?;
        routes.iter().try_for_each(|route| self.after_failure(route, record, None, failure))?;
        held.iter().try_for_each(|route| self.hold(route, record))
    }

    pub(super) fn context<'s>(&'s mut self, route: &Route, record: &'s RecordRef<'s>) -> StepContext<'s> {
        StepContext {
            program: self.scene.program,
            epoch: self.epoch,
            store: route.store.map(|store| &mut self.task.stores[store]),
            task: self.task.id,
            tasks: self.task.tasks,
            node: self.scene.program.nodes[route.node].name(),
            node_index: node_index(route),
            record,
            now: self.scene.now,
            mono: self.scene.mono,
            misplaced: false,
            tries: self.tries,
        }
    }

    /// A topic that nothing is known of is looked up before the record is judged.
    pub(super) fn look_up(&mut self) -> Result<(), Standstill> {
        self.epoch.outputs.unknown.take().map_or(Ok(()), |topic| Err(Standstill::LookUp(topic)))
    }

    /// A value that cannot be kept fails its record; anything else says nothing about the record.
    pub(super) fn state_failure(&mut self, route: &Route, error: state::Error) -> Result<Failure, Standstill> {
        match error {
            state::Error::Refused { code, reason, .. } => Ok(Failure::new(Class::Permanent, code, Stage::Evolve, reason)),
            // Once, the disk may be to blame. Twice it is what the changelog says.
            error @ state::Error::Unreadable { .. } if std::mem::replace(&mut self.task.read_anew, true) => {
                let key = self.record.key.map(|key| String::from_utf8_lossy(&key[..key.len().min(KEY_TOLD)]).into_owned());
                let key = key.unwrap_or_default();
                Err(self.halt(format!("{error}; the record's key is `{key}`")))
            }
            state::Error::Damaged { .. } | state::Error::Unreadable { .. } => {
                Err(Standstill::Damaged(route.store.expect("a state error comes from the node's store")))
            }
            error => Err(self.halt(error.to_string())),
        }
    }

    pub(super) fn halt(&self, reason: String) -> Standstill {
        Standstill::Record(self.halted(reason))
    }

    /// The same at a failure: for good, or until a schema is known.
    pub(super) fn halt_for(&self, failure: &Failure, reason: String) -> Standstill {
        match is_pending(failure) {
            true => Standstill::Undecoded(self.halted(reason)),
            false => Standstill::Record(self.halted(reason)),
        }
    }

    fn halted(&self, reason: String) -> Halt {
        let offset = Some(self.record.offset).filter(|offset| *offset >= 0);
        let input = match offset {
            Some(_) => TopicPartition::new(self.record.topic, self.record.partition),
            None => self.input.partition.clone(),
        };
        Halt { input, offset, reason }
    }
}

/// Does it say no more than that a schema is not known yet?
fn is_pending(failure: &Failure) -> bool {
    failure.class() == Class::Engine && failure.code() == SCHEMA_PENDING
}

fn no_replay(message: String) -> Failure {
    Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, message)
}

/// The node, as tallies name it.
pub(super) fn node_index(route: &Route) -> u16 {
    u16::try_from(route.node).expect("a plan's nodes are far fewer")
}

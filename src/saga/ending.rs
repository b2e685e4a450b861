//! The end of an instance: it is told, and nothing of it waits any more.

use super::action::{Action, remark};
use super::instance::{Asker, Instance, OpState, Place};
use super::stepper::{Stepper, text};
use super::{Status, Timer};
use crate::failure::Stage;
use crate::node::{Answer, Refusal};
use crate::record::{Map, Text, Value};
use crate::topology::model::saga::Ending;

impl<'a> Stepper<'a> {
    /// Ends the instance. What cannot be said about it is counted: it ends all the same.
    pub(super) fn end(&mut self, status: Status) {
        self.become_(status);
        self.passed_end(status);
        self.disarm_all();
        let kept = std::mem::take(&mut self.saga.kept);
        for kept in kept {
            self.count(remark::UNUSED);
            self.actions.push(Action::Forget(kept.number));
        }
        self.saga.seen.clear();
        self.saga.overdue = false;
        let reason = self.saga.reason.clone();
        self.entry("ended", [("reason", text(&reason))]);
        if let Some(ending) = self.ending(status) {
            match self.draft_of_whole(&ending.emit, "end") {
                Ok(sent) => self.send(sent),
                Err(failure) => {
                    self.count(remark::ENDING);
                    self.entry("broken", [("message", Some(failure.message().into()))]);
                }
            }
            self.fill_answer(ending);
        }
        if self.setting.saga.answers_at_end() {
            for asker in self.saga.askers.clone() {
                let answer = answer_at_end(&self.saga);
                self.actions.push(Action::Answer(asker, answer));
            }
        }
    }

    fn fill_answer(&mut self, ending: &Ending) {
        let Some(reply) = &ending.reply else { return };
        let names = self.names(None, Value::Null);
        let filled = self.frame(&names, None).fill(reply, Stage::Step);
        match filled {
            Ok(answer) => self.saga.answer = answer,
            Err(failure) => {
                self.count(remark::ENDING);
                self.entry("broken", [("message", Some(failure.message().into()))]);
            }
        }
    }

    fn ending(&self, status: Status) -> Option<&'a Ending> {
        let saga = self.setting.saga;
        match status {
            Status::Completed => Some(&saga.completed),
            Status::Compensated => Some(&saga.compensated),
            Status::Failed => Some(&saga.failed),
            _ => None,
        }
    }

    fn disarm_all(&mut self) {
        if self.setting.saga.timeout.is_some() {
            self.disarm(Timer::Saga);
        }
        match &self.saga.place {
            Place::State { .. } => self.disarm_states(),
            Place::Steps(_) => {
                let waits = |state: OpState| state.is_open() || state.is_undoing();
                for which in self.ops(waits, crate::topology::model::saga::Direction::Forward) {
                    let op = self.op_mut(which);
                    op.command = Text::default();
                    if op.due.take().is_some() {
                        self.disarm(Timer::Op(which.step, which.item));
                    }
                }
            }
        }
    }
}

/// What whoever asked for the start is told of how it ended.
pub(super) fn answer_at_end(saga: &Instance) -> Answer {
    if saga.status == Status::Completed {
        return Answer::Accepted { result: saga.answer.clone(), version: None };
    }
    let code = match saga.reason.as_str() {
        "" => saga.status.name().to_ascii_uppercase().into(),
        _ => saga.reason.clone(),
    };
    let message = format!("the saga ended as {}", saga.status.name());
    Answer::Rejected(Refusal { details: saga.answer.clone(), ..Refusal::new(code, message) })
}

/// What whoever asked for the start is told at once, where nobody is told at the end.
pub(super) fn answer_at_start(asker: Asker, saga: &Instance) -> Action {
    let result = Map::from_entries(vec![("sagaId".into(), saga.id.clone().into())]);
    Action::Answer(asker, Answer::Accepted { result: result.into(), version: None })
}

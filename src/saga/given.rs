//! An instance as a test gives it: at a step, in a state, or over, as if it had come there.

use super::action::{Input, Stepped, What};
use super::instance::{Instance, Op, OpState, Place, Progress, Row, Run, RunState, Start};
use super::stepper::{Setting, Stepper};
use super::{Status, Timer};
use crate::failure::{Class, Failure, Stage};
use crate::node::Outcome;
use crate::record::{Map, Text};
use crate::topology::model::saga::{Action as Doing, Body};

/// What a test gives.
#[derive(Clone, Debug)]
pub struct Given {
    /// Where it stands.
    pub at: At,
    /// `saga.data`.
    pub data: Map,
    /// `saga.reason`; empty: none.
    pub reason: Text,
}

/// Where a given instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It waits for the outcome of this step, an index of `Steps::order`; what comes before is done.
    Step(usize),
    /// It is in this state.
    State(usize),
    /// It is over; all steps are done.
    Over(Status),
}

/// Brings an instance there: what the last of its way makes it want is wanted, and nothing of what lies before. Fails where the way
/// does not lead there with this data.
pub(super) fn put(setting: Setting<'_>, id: &Text, given: Given, input: &Input<'_>) -> Result<Stepped, Failure> {
    let place = match &setting.saga.body {
        Body::Steps(_) => Place::Steps(Progress::default()),
        Body::States(states) => Place::State { state: states.start, since: input.now },
    };
    let start = Start {
        at: input.now,
        id: input.event.id.clone(),
        correlation_id: input.event.correlation_id.clone(),
        input: Text::default(),
        trace: Text::default(),
    };
    let mut saga = Instance::new(id, setting.definition, start, given.data, place);
    saga.reason = given.reason;
    let mut stepper = Stepper::new(setting, input, Box::new(saga));
    if let Some(timeout) = setting.saga.timeout {
        let due = stepper.after(timeout);
        stepper.arm(Timer::Saga, due);
    }
    let wants = stepper.put(given.at)?;
    if !wants {
        let (status, reason) = (stepper.saga.status.name(), &stepper.saga.reason);
        return Err(astray(format!("with this data it does not wait there: it is {status} {reason}")));
    }
    let row = Some(Row::Instance(stepper.saga));
    Ok(Stepped { row, actions: stepper.actions, changed: true, outcome: Outcome::Processed, offers: Vec::new() })
}

impl Stepper<'_> {
    /// Does it stand there in the end?
    fn put(&mut self, at: At) -> Result<bool, Failure> {
        match at {
            At::Step(at) => {
                self.done_before(at)?;
                self.advance();
                let step = self.steps().order[at];
                let waits = self.progress().run(step).is_some_and(|run| run.state == RunState::Open);
                Ok(self.saga.status == Status::Running && waits)
            }
            At::State(state) => {
                self.enter_at(state);
                Ok(matches!(self.saga.place, Place::State { state: there, .. } if there == state))
            }
            At::Over(status) => {
                if self.saga.progress().is_some() && status == Status::Completed {
                    self.done_before(self.steps().order.len())?;
                }
                self.end(status);
                Ok(true)
            }
        }
    }

    /// All steps before that one of the order are done, or skipped where they are not to be.
    fn done_before(&mut self, at: usize) -> Result<(), Failure> {
        let steps = self.steps();
        for step in &steps.order[..at] {
            self.done(*step)?;
            let progress = self.progress_mut();
            progress.pivoted |= steps.pivot == Some(*step);
            progress.at += 1;
        }
        Ok(())
    }

    fn done(&mut self, index: usize) -> Result<(), Failure> {
        let step = &self.steps().steps[index];
        self.progress_mut().runs.push(Run::new(index));
        let items = self.elements(index, step)?;
        self.run_mut(index).state = if items.is_some() { RunState::Done } else { RunState::Skipped };
        match (&step.action, items) {
            (_, None) => Ok(()),
            (Doing::Parallel(inner), Some(_)) => inner.iter().try_for_each(|inner| self.done(*inner)),
            (_, Some(items)) => {
                for item in items {
                    let order = self.next_order();
                    let op = Op { state: OpState::Done, tries: 1, order, ..Op::new(item) };
                    self.run_mut(index).ops.push(op);
                }
                Ok(())
            }
        }
    }
}

/// The input that a given instance is brought there by: nobody's.
pub(super) const BY: What<'static> = What::Timer(Timer::Saga, 0);

fn astray(message: String) -> Failure {
    Failure::new(Class::Permanent, "GIVEN", Stage::Step, message)
}

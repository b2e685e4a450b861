//! States: messages and time lead from one to the next.

use super::action::{Action, remark};
use super::answer::Fate;
use super::instance::Place;
use super::stepper::{Stepper, later, text};
use super::{Status, Timer, passed};
use crate::failure::{Failure, Stage};
use crate::node::Way;
use crate::record::{Millis, Text};
use crate::topology::model::saga::{End, State, Transition, Trigger};
use jiff::SignedDuration;

impl<'a> Stepper<'a> {
    fn at_state(&self) -> (usize, Millis) {
        match self.saga.place {
            Place::State { state, since } => (state, since),
            Place::Steps(_) => unreachable!("a saga of states is in one: its row was read by its definition"),
        }
    }

    fn state(&self) -> &'a State {
        &self.states().states[self.at_state().0]
    }

    /// Is there a transition by that type from here?
    pub(super) fn is_handled(&self, kind: &str) -> bool {
        self.state().handles(kind) || self.states().everywhere.iter().any(|transition| transition.takes(kind))
    }

    pub(super) fn message_to_state(&mut self) -> Fate {
        let kind = &self.input.event.kind;
        let (state, everywhere) = (self.state(), &self.states().everywhere);
        for transition in state.transitions.iter().chain(everywhere).filter(|transition| transition.takes(kind)) {
            match self.is_taken(transition) {
                Ok(false) => {}
                Ok(true) => {
                    self.take(transition);
                    return Fate::Taken;
                }
                Err(failure) => {
                    self.fail_states(failure.code().clone(), Some(&failure));
                    return Fate::Taken;
                }
            }
        }
        if !self.is_handled(kind) && state.keeps.iter().any(|kept| kept == kind) {
            return Fate::Wanted;
        }
        Fate::Ignored(remark::MESSAGE)
    }

    fn is_taken(&self, transition: &Transition) -> Result<bool, Failure> {
        let names = self.names(None, Default::default());
        let holds = self.frame(&names, None).holds_if_given(transition.when.as_ref(), Stage::Step)?;
        let way = if holds { Way::Taken } else { Way::Passed };
        self.setting.world.passed(&transition.at, passed::TRANSITION, way);
        Ok(holds)
    }

    fn take(&mut self, transition: &Transition) {
        if let Err(failure) = self.try_take(transition) {
            self.fail_states(failure.code().clone(), Some(&failure));
        }
    }

    /// All of a transition is computed before any of it counts; what the entered state sends comes after.
    fn try_take(&mut self, transition: &Transition) -> Result<(), Failure> {
        let fields = self.fields(transition.set.as_ref(), None)?;
        let reason = self.reason(transition.reason.as_ref(), None, Text::default())?;
        let sent = self.draft_of_whole(&transition.emit, "transition")?;
        self.assign(fields);
        if !reason.is_empty() {
            self.saga.reason = reason.clone();
        }
        self.send(sent);
        let by = match &transition.on {
            Trigger::Types(_) => self.input.event.kind.clone(),
            Trigger::After(_) => "after".into(),
        };
        let from = self.state().name.clone();
        let to = transition.to.map(|to| self.states().states[to].name.clone().into());
        self.entry("transition", [("from", text(&from)), ("to", to), ("by", text(&by)), ("reason", text(&reason))]);
        match transition.to {
            Some(to) => {
                self.leave();
                self.enter(to)
            }
            None => Ok(()),
        }
    }

    /// Timers of the state go with it.
    fn leave(&mut self) {
        for (index, transition) in self.state().transitions.iter().enumerate() {
            if matches!(transition.on, Trigger::After(_)) {
                self.disarm(Timer::After(index));
            }
        }
    }

    /// The state that an instance begins in.
    pub(super) fn enter_at(&mut self, state: usize) {
        for (index, transition) in self.states().everywhere.iter().enumerate() {
            if let Trigger::After(length) = transition.on {
                self.arm(Timer::Anywhere(index), self.after(length));
            }
        }
        if let Err(failure) = self.enter(state) {
            self.fail_states(failure.code().clone(), Some(&failure));
        }
    }

    fn enter(&mut self, index: usize) -> Result<(), Failure> {
        self.saga.place = Place::State { state: index, since: self.input.now };
        self.opened = true;
        let state = self.state();
        self.passed(&state.at, passed::ENTERED);
        self.entry("entered", [("state", text(&state.name))]);
        let sent = self.draft_of_whole(&state.emit, "state")?;
        self.send(sent);
        if let Some(end) = state.end {
            self.end(match end {
                End::Completed => Status::Completed,
                End::Compensated => Status::Compensated,
                End::Failed => Status::Failed,
            });
            return Ok(());
        }
        for (index, transition) in state.transitions.iter().enumerate() {
            if let Trigger::After(length) = transition.on {
                self.arm(Timer::After(index), self.after(length));
            }
        }
        self.drop_unreachable();
        Ok(())
    }

    /// Kept messages that no state from here on handles are of no use any more.
    fn drop_unreachable(&mut self) {
        let state = self.state();
        let useless = |kind: &str| !self.is_handled(kind) && !state.keeps.iter().any(|kept| kept == kind);
        let useless: Vec<u32> = self.saga.kept.iter().filter(|kept| useless(&kept.kind)).map(|kept| kept.number).collect();
        for number in useless {
            self.count(remark::UNUSED);
            self.forget(number);
        }
    }

    pub(super) fn after_timer(&mut self, index: usize, due: Millis) {
        let since = self.at_state().1;
        let transition = self.state().transitions.get(index);
        // A timer of a state that was left went with it; one that comes all the same is of a time before.
        let is_own = |length: SignedDuration| later(since, length) <= due;
        match transition {
            Some(transition) if matches!(transition.on, Trigger::After(length) if is_own(length)) => {
                self.time_leads(transition)
            }
            _ => self.count(remark::TIMER),
        }
    }

    pub(super) fn anywhere_timer(&mut self, index: usize) {
        match self.states().everywhere.get(index) {
            Some(transition) if matches!(transition.on, Trigger::After(_)) => self.time_leads(transition),
            _ => self.count(remark::TIMER),
        }
    }

    fn time_leads(&mut self, transition: &Transition) {
        match self.is_taken(transition) {
            Ok(false) => {}
            Ok(true) => self.take(transition),
            Err(failure) => self.fail_states(failure.code().clone(), Some(&failure)),
        }
    }

    /// Ends a saga of states as failed: it is over time, or an expression of its fails.
    pub(super) fn fail_states(&mut self, reason: Text, failure: Option<&Failure>) {
        if self.saga.status.is_final() {
            return;
        }
        self.saga.reason = reason.clone();
        let message = failure.map(|failure| failure.message().into());
        self.entry("failed", [("reason", text(&reason)), ("message", message)]);
        self.end(Status::Failed);
    }

    /// Takes the timers of a saga of states away.
    pub(super) fn disarm_states(&mut self) {
        self.leave();
        let everywhere = &self.states().everywhere;
        for (index, transition) in everywhere.iter().enumerate() {
            if matches!(transition.on, Trigger::After(_)) {
                self.actions.push(Action::Disarm(Timer::Anywhere(index)));
            }
        }
    }
}

//! What of a saga can be tried: how its steps end and what undoes them, its states and the ways between, its own ends.

use super::{Kind, Walk};
use crate::node::Way;
use crate::saga::{Status, passed};
use crate::topology::model::saga::{Action, Awaits, Body, Compensation, States, Step, Steps, Transition, Trigger};
use crate::topology::model::{Message, Position, Saga};

impl Walk<'_> {
    pub(super) fn saga(&mut self, saga: &Saga) {
        let name = saga.name.as_str();
        if let Some(when) = &saga.start.when {
            self.add(&when.at, "", Way::Taken, Kind::Branch, format!("`{name}` begins: its `when` holds"));
            self.add(&when.at, "", Way::Passed, Kind::Branch, format!("`{name}` does not begin: its `when` does not hold"));
        }
        match &saga.body {
            Body::Steps(steps) => self.led(saga, steps),
            Body::States(states) => self.following(name, states),
        }
        if saga.timeout.is_some() {
            self.passed(&saga.at, passed::OVERTIME, Kind::End, format!("`{name}` takes longer than its `timeout`"));
        }
        for ending in [&saga.completed, &saga.compensated, &saga.failed] {
            self.messages(&ending.emit, name);
        }
    }

    fn led(&mut self, saga: &Saga, steps: &Steps) {
        let name = saga.name.as_str();
        for status in [Status::Completed, Status::Compensated] {
            self.passed(&saga.at, status.name(), Kind::End, format!("`{name}` ends as {}", status.name()));
        }
        if let Some(cancel) = &steps.cancel {
            self.passed(&saga.at, passed::CANCELLED, Kind::End, format!("`{name}` is cancelled"));
            if cancel.when.is_some() {
                let what = format!("`{name}` is not cancelled: the `when` of `cancel` does not hold");
                self.add(&saga.at, passed::CANCELLED, Way::Passed, Kind::Branch, what);
            }
        }
        for step in &steps.steps {
            self.step(step, name);
        }
    }

    fn step(&mut self, step: &Step, saga: &str) {
        let name = step.name.as_str();
        if step.when.is_some() {
            self.passed(&step.at, passed::SKIPPED, Kind::Step, format!("step `{name}` of `{saga}` is skipped"));
        }
        self.rules(&step.require, &format!("step `{name}` of `{saga}` fails"));
        self.sent(&step.action, saga);
        let awaits = step.awaits();
        if awaits == Awaits::Inner {
            return;
        }
        let waits = matches!(awaits, Awaits::Reply | Awaits::Message);
        let answers_no = awaits == Awaits::Reply || !step.failure.types.is_empty();
        let times_out = waits && step.timeout.is_some();
        self.passed(&step.at, passed::SUCCEEDED, Kind::Step, format!("step `{name}` of `{saga}` succeeds"));
        if answers_no || times_out || !step.require.is_empty() {
            self.passed(&step.at, passed::FAILED, Kind::Step, format!("step `{name}` of `{saga}` fails"));
        }
        if times_out {
            let what = format!("step `{name}` of `{saga}` is not answered in time");
            self.passed(&step.at, passed::UNANSWERED, Kind::Step, what);
        }
        if answers_no && step.retry.when.is_some() {
            self.passed(&step.at, passed::RETRIED, Kind::Step, format!("step `{name}` of `{saga}` is tried again"));
        }
        if let Some(Compensation { at, action, .. }) = &step.compensate {
            self.passed(at, passed::UNDONE, Kind::Compensation, format!("step `{name}` of `{saga}` is undone"));
            self.sent(action, saga);
        }
    }

    fn sent(&mut self, action: &Action, saga: &str) {
        match action {
            Action::Send(message) => self.messages(std::slice::from_ref::<Message>(message), saga),
            Action::Emit(messages) => self.messages(messages, saga),
            Action::Parallel(_) | Action::None => {}
        }
    }

    fn following(&mut self, saga: &str, states: &States) {
        let to = |transition: &Transition| transition.to.map(|to| states.states[to].name.as_str());
        for state in &states.states {
            let name = state.name.as_str();
            self.passed(&state.at, passed::ENTERED, Kind::Transition, format!("`{saga}` comes to `{name}`"));
            self.messages(&state.emit, saga);
            for transition in &state.transitions {
                self.transition(transition, saga, &format!("from `{name}`"), to(transition));
            }
        }
        for transition in &states.everywhere {
            self.transition(transition, saga, "from any state", to(transition));
        }
    }

    fn transition(&mut self, transition: &Transition, saga: &str, from: &str, to: Option<&str>) {
        let by = match &transition.on {
            Trigger::Types(types) => types.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(" or "),
            Trigger::After(_) => "time".to_owned(),
        };
        let to = to.map_or_else(|| "nowhere".to_owned(), |to| format!("to `{to}`"));
        let what = format!("`{saga}` goes {from} {to} by {by}");
        self.passed(&transition.at, passed::TRANSITION, Kind::Transition, what.clone());
        if transition.when.is_some() {
            let what = format!("{what}: its `when` does not hold");
            self.add(&transition.at, passed::TRANSITION, Way::Passed, Kind::Branch, what);
        }
        self.messages(&transition.emit, saga);
    }

    fn passed(&mut self, at: &Position, what: &str, kind: Kind, said: String) {
        self.add(at, what, Way::Taken, kind, said);
    }
}

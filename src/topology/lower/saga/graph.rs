//! The picture that states and transitions make: what is reached, what ends, what is kept for later.

use super::states::Drawn;
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::lower::Lower;
use crate::topology::model::saga::{States, Transition, Trigger};
use std::collections::BTreeSet;
use std::ops::Range;

impl Lower<'_> {
    /// E709, E710, E712 and W702.
    pub(super) fn drawn_well(&mut self, drawn: &Drawn, has_timeout: bool, states: Range<usize>) {
        let body = &drawn.body;
        if body.states.is_empty() {
            return;
        }
        let reached = body.reached(body.start);
        for (at, state) in body.states.iter().enumerate() {
            if !reached[at] {
                let found = finding("E709", format!("nothing leads to `{}`", state.name));
                self.say(drawn.ranges[at].clone(), found.hint("a transition with `to` this state, or leave it out"));
            }
            self.never_taken(&state.transitions, &drawn.ways[at]);
        }
        self.never_taken(&body.everywhere, &drawn.everywhere);

        let ends =
            |at: usize| body.reached(at).iter().zip(&body.states).any(|(reached, state)| *reached && state.end.is_some());
        if !ends(body.start) {
            let found = finding("E710", "no final state can be reached").cause("the saga would never end");
            self.say(states, found.hint("`final: completed`, `compensated` or `failed` ends it"));
            return;
        }
        for (at, state) in body.states.iter().enumerate().filter(|(at, _)| reached[*at]) {
            if state.end.is_some() {
                continue;
            }
            if !ends(at) {
                let found = finding("E710", format!("no final state can be reached from `{}`", state.name));
                self.say(drawn.ranges[at].clone(), found.cause("a saga that is there would never end"));
            } else if !has_timeout && !state.transitions.iter().chain(&body.everywhere).any(leaves_by_time) {
                let found = finding("W702", format!("a saga may stay in `{}` for ever", state.name));
                self.say(drawn.ranges[at].clone(), found.hint("a transition by `after`, or `timeout` of the saga"));
            }
        }
    }

    /// E712: another transition is always taken before.
    fn never_taken(&mut self, transitions: &[Transition], ranges: &[Range<usize>]) {
        for (at, transition) in transitions.iter().enumerate() {
            let always = transitions[..at].iter().filter(|earlier| earlier.when.is_none());
            let (message, by) = match &transition.on {
                Trigger::Types(types) => {
                    let shadowed =
                        types.iter().find_map(|kind| Some((kind, always.clone().find(|earlier| earlier.takes(kind))?)));
                    let Some((kind, by)) = shadowed else { continue };
                    (format!("this is never taken by `{kind}`"), by)
                }
                Trigger::After(length) => {
                    // The earlier in time leaves the state, or at the same time the earlier in the list.
                    let mut others = transitions.iter().enumerate().filter(|(_, other)| leaves_by_time(other));
                    let sooner = others.find(|(other_at, other)| match other.on {
                        Trigger::After(other) => other < *length || other == *length && *other_at < at,
                        Trigger::Types(_) => false,
                    });
                    let Some((_, by)) = sooner else { continue };
                    ("this is never taken".to_owned(), by)
                }
            };
            let cause = format!("the transition of line {} is taken before, whatever happens", by.at.line);
            self.say(
                ranges[at].clone(),
                finding("E712", message).cause(cause).hint("give that one a `when`, or leave this out"),
            );
        }
    }
}

/// Is the state left after a time, whatever happens?
fn leaves_by_time(transition: &Transition) -> bool {
    matches!(transition.on, Trigger::After(_)) && transition.when.is_none() && transition.to.is_some()
}

impl States {
    /// Which states can be reached from one, itself included.
    fn reached(&self, from: usize) -> Vec<bool> {
        let mut reached = vec![false; self.states.len()];
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut reached[at], true) || self.states[at].end.is_some() {
                continue;
            }
            open.extend(self.states[at].transitions.iter().chain(&self.everywhere).filter_map(|transition| transition.to));
        }
        reached
    }

    /// Fills in what each state keeps for states that can be reached from it.
    pub(super) fn keep(&mut self) {
        let types = |transitions: &[Transition]| -> BTreeSet<Text> {
            let types = transitions.iter().filter_map(|transition| match &transition.on {
                Trigger::Types(types) => Some(types.iter().cloned()),
                Trigger::After(_) => None,
            });
            types.flatten().collect()
        };
        let everywhere = types(&self.everywhere);
        let handled: Vec<BTreeSet<Text>> = self.states.iter().map(|state| types(&state.transitions)).collect();
        for at in 0..self.states.len() {
            if self.states[at].end.is_some() {
                continue;
            }
            let reached = self.reached(at);
            let later = handled.iter().zip(reached).filter(|(_, reached)| *reached).flat_map(|(handled, _)| handled);
            let keeps: BTreeSet<Text> = later
                .filter(|kind| !handled[at].contains(*kind) && !everywhere.contains(*kind))
                .filter(|kind| !self.states[at].ignore.contains(kind))
                .cloned()
                .collect();
            self.states[at].keeps = keeps.into_iter().collect();
        }
    }
}

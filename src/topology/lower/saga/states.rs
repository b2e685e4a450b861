//! States, and what leads from one to another.

use super::outline::ENDS;
use super::{Common, Data, Place, take};
use crate::topology::diagnostic::finding;
use crate::topology::lower::Lower;
use crate::topology::lower::exprs::Want;
use crate::topology::lower::fields::{Fields, Shape};
use crate::topology::lower::message::Sender;
use crate::topology::lower::scalars::Rule;
use crate::topology::lower::topics::elements;
use crate::topology::model::saga::{Body, State, States, Taken, Transition, Trigger};
use crate::topology::yaml::{Entry, Node};
use jiff::SignedDuration;
use std::ops::Range;

const STATE: Shape = Shape::new("a state", &["description", "emit", "transitions", "ignore", "final"], &[]);
const TRANSITION: Shape = Shape::new("a transition", &["type", "after", "when", "to", "set", "emit", "reason"], &[]);
const NAME: Rule =
    Rule { what: "the name of a state", fits: is_state, hint: "letters, digits, `_` and `-`, a letter first, at most 63" };

fn is_state(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// States with where they, and their transitions, stand.
pub(super) struct Drawn {
    pub(super) body: States,
    pub(super) ranges: Vec<Range<usize>>,
    pub(super) ways: Vec<Vec<Range<usize>>>,
    pub(super) everywhere: Vec<Range<usize>>,
    /// Was every transition understood? One that was not may be the one that is missing.
    whole: bool,
}

impl Lower<'_> {
    pub(super) fn saga_states(
        &mut self,
        fields: &Fields<'_>,
        common: &Common,
        data: &Data,
        timeout: Option<SignedDuration>,
    ) -> (Body, Vec<Taken>) {
        let node = fields.get("states").expect("the form of a saga is told by it");
        let entries = self.map(node, "states by name").unwrap_or(&[]);
        let start = self.start_state(fields, data);
        let mut drawn = Drawn {
            body: States { states: Vec::new(), start: start.unwrap_or(0), everywhere: Vec::new() },
            ranges: Vec::new(),
            ways: Vec::new(),
            everywhere: Vec::new(),
            whole: true,
        };
        for (at, entry) in entries.iter().enumerate() {
            let (state, ways) = self.saga_state(entry, at, common, data);
            let written = entry.node.get("transitions").filter(|node| !node.is_null()).map_or(0, |node| elements(node).len());
            drawn.whole &= written == state.transitions.len();
            drawn.body.states.push(state);
            drawn.ranges.push(entry.key_range.clone());
            drawn.ways.push(ways);
        }
        if let Some(node) = fields.get("transitions").filter(|node| !node.is_null()) {
            (drawn.body.everywhere, drawn.everywhere) = self.transitions(node, Place::Everywhere, common, data);
            drawn.whole &= drawn.everywhere.len() == elements(node).len();
        }
        if start.is_some() && drawn.whole {
            self.drawn_well(&drawn, timeout.is_some(), fields.key_range("states"));
        }
        drawn.body.keep();
        let takes = takes(&drawn.body);
        (Body::States(drawn.body), takes)
    }

    fn start_state(&mut self, fields: &Fields<'_>, data: &Data) -> Option<usize> {
        let start = fields.get("start")?;
        match start.get("state") {
            Some(node) => self.state_named(node, data),
            None if start.map().is_some() => {
                let range = self.head(start);
                self.say(range, finding("E106", "`start` needs `state`").hint("the state that the saga begins in"));
                None
            }
            None => None,
        }
    }

    /// E208: a state of this saga.
    fn state_named(&mut self, node: &Node, data: &Data) -> Option<usize> {
        let name = self.word(node, &NAME)?;
        let found = data.state(&name);
        if found.is_none() {
            let known: Vec<String> = data.states().map(str::to_owned).collect();
            let found = finding("E208", format!("unknown state `{name}`"));
            self.say(node.range.clone(), found.meant(&name, known.iter().map(String::as_str)));
        }
        found
    }

    fn saga_state(&mut self, entry: &Entry, at: usize, common: &Common, data: &Data) -> (State, Vec<Range<usize>>) {
        let mut state = State {
            name: self.checked_word(&entry.key, entry.key_range.clone(), &NAME).unwrap_or_default(),
            description: None,
            emit: Vec::new(),
            transitions: Vec::new(),
            ignore: Vec::new(),
            keeps: Vec::new(),
            end: None,
            at: self.position(entry.key_range.start),
        };
        let Some(fields) = self.fields(&entry.node, &STATE) else { return (state, Vec::new()) };
        state.description = fields.get("description").and_then(|node| self.text(node));
        state.end = fields.get("final").and_then(|node| self.one_of(node, &ENDS, &[]));
        state.ignore = fields.get("ignore").map(|node| self.types_of(node, common)).unwrap_or_default();
        let scope = self.saga_scope(Place::State(at));
        state.emit = fields.get("emit").map(|node| self.messages(node, &scope, &Sender::saga())).unwrap_or_default();
        let mut ways = Vec::new();
        if let Some(node) = fields.get("transitions").filter(|node| !node.is_null()) {
            (state.transitions, ways) = self.transitions(node, Place::State(at), common, data);
            if state.end.is_some() {
                let found = finding("E711", format!("`{}` is final, nothing leads on from it", entry.key));
                self.say(fields.key_range("transitions"), found.hint("leave out `final`, or the transitions"));
            }
        }
        (state, ways)
    }

    fn transitions(&mut self, node: &Node, place: Place, common: &Common, data: &Data) -> (Vec<Transition>, Vec<Range<usize>>) {
        let lowered =
            elements(node).iter().filter_map(|node| Some((self.transition(node, place, common, data)?, self.head(node))));
        lowered.collect::<Vec<_>>().into_iter().unzip()
    }

    fn transition(&mut self, node: &Node, place: Place, common: &Common, data: &Data) -> Option<Transition> {
        let fields = self.fields(node, &TRANSITION)?;
        let on = match (fields.get("type"), fields.get("after")) {
            (Some(types), None) => Some(Trigger::Types(self.types_of(types, common))),
            (None, Some(after)) => self.duration(after).map(Trigger::After),
            (Some(_), Some(_)) => {
                let found = finding("E107", "a transition is by a message or by time, not both").hint("write two");
                self.say(fields.key_range("after"), found);
                None
            }
            (None, None) => {
                let range = self.head(node);
                self.say(range, finding("E106", "a transition needs `type` or `after`"));
                None
            }
        };
        let mut scope = self.saga_scope(place);
        if let Some(Trigger::Types(types)) = &on {
            let payload = self.source_data(&common.sources, Some(types));
            scope = self.with_message(&scope, payload, common.key.clone());
        }
        let when = match fields.get("when") {
            Some(node) => Some(self.expr(node, &scope, Want::Bool)?.0),
            None => None,
        };
        let to = match fields.get("to") {
            Some(node) => Some(self.state_named(node, data)?),
            None => None,
        };
        let set = self.saga_set(fields.get("set"), &scope);
        let emit = fields.get("emit").map(|node| self.messages(node, &scope, &Sender::saga())).unwrap_or_default();
        let reason = self.reason(&fields, &scope);
        Some(Transition { on: on?, when, to, set, emit, reason, at: self.position(node.range.start) })
    }
}

fn takes(body: &States) -> Vec<Taken> {
    let mut takes = Vec::new();
    let own = body.states.iter().flat_map(|state| &state.transitions);
    for transition in own.chain(&body.everywhere) {
        let Trigger::Types(types) = &transition.on else { continue };
        for kind in types {
            take(&mut takes, kind).moves = true;
        }
    }
    takes
}

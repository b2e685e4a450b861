//! Sagas: what is given of them, what is expected, and what participants answer.

use super::Reader;
use super::expect::Place;
use super::fields::Fields;
use crate::codec::{Part as Id, derived_id};
use crate::record::{Text, Value};
use crate::saga::{At, Status};
use crate::scenario::model::{Answer, Given, GivenSaga, Saga as Expected, Told, What};
use crate::scenario::shape::{ANSWER, ENDS, GIVEN_SAGA};
use crate::scenario::tree::{Branch, Tree};
use crate::topology::finding;
use crate::topology::model::saga::Body;
use crate::topology::model::{Saga, Topology};
use crate::topology::plan::NodeKind;
use crate::topology::yaml::Node;
use std::sync::Arc;
use std::time::Duration;

const OF_SAGA: [Place; 7] = [
    ("status", &["status"]),
    ("step", &["step"]),
    ("state", &["state"]),
    ("failed_step", &["failedStep"]),
    ("reason", &["reason"]),
    ("data", &["data"]),
    ("steps", &["steps"]),
];

impl Reader<'_> {
    /// The answer of somebody who was asked: of `given` or `when`.
    pub(super) fn answer(&mut self, node: &Node) -> Option<Answer> {
        let fields = self.fields(node, &ANSWER)?;
        self.messages += 1;
        let kind = fields.get("answer").and_then(|node| self.text(node))?;
        let data = match fields.get("data") {
            Some(node) => Some(self.pattern(node)?),
            None => None,
        };
        let told = match (fields.get("accepted"), fields.get("rejected")) {
            (Some(accepted), None) => Told::Accepted(self.tree(accepted)?),
            (None, Some(rejected)) => {
                let code = self.text(rejected)?;
                let mut tree = |name: &str| match fields.get(name) {
                    Some(node) => self.tree(node).map(Some),
                    None => Some(None),
                };
                Told::Rejected { code, message: tree("message")?, details: tree("details")? }
            }
            _ => {
                let found = finding("E1008", "an answer is either `accepted` or `rejected`");
                self.say(fields.head(), found.hint("`accepted: {…}` with the result, or `rejected: CODE`"));
                return None;
            }
        };
        let number = i64::try_from(self.messages).unwrap_or(i64::MAX);
        Some(Answer {
            kind,
            data,
            told,
            id: derived_id(&[Id::Text("answer"), Id::Text(&self.case), Id::Number(number)]),
            times: self.optional_count(&fields, "times", 1..=10_000).unwrap_or(1),
            delay: fields.get("delay").and_then(|node| self.duration(node)).unwrap_or(Duration::ZERO),
            range: fields.head(),
        })
    }

    pub(super) fn given_saga(&mut self, node: &Node) -> Option<Given> {
        let fields = self.fields(node, &GIVEN_SAGA)?;
        let topology = self.topology.clone()?;
        let (index, saga) = self.saga_named(fields.get("saga")?, &topology)?;
        let key = self.saga_key(&fields, "a given saga needs a `key`: which instance")?;
        let places: Vec<&str> = ["step", "state", "status"].into_iter().filter(|name| fields.some(name).is_some()).collect();
        let [place] = places[..] else {
            let found = finding("E1008", "it is not clear where the saga stands");
            self.say(fields.head(), found.hint("say one of `step`, `state` and, of one that is over, `status`"));
            return None;
        };
        let node = fields.get(place)?;
        let at = match (place, &saga.body) {
            ("status", _) => At::Over(Status::from_name(self.word(node, ENDS)?)?),
            ("step", Body::Steps(steps)) => {
                let known = steps.order.iter().map(|step| steps.steps[*step].name.clone()).collect::<Vec<_>>();
                At::Step(self.one_of(node, "step", &known)?)
            }
            ("state", Body::States(states)) => {
                let known = states.states.iter().map(|state| state.name.clone()).collect::<Vec<_>>();
                At::State(self.one_of(node, "state", &known)?)
            }
            _ => {
                let found = finding("E1013", format!("the saga `{}` has no {place}s", saga.name));
                self.say(node.range.clone(), found);
                return None;
            }
        };
        let data = match fields.get("data") {
            Some(node) => {
                let tree = self.tree(node)?;
                self.check_fields(&tree, &saga.data);
                Some(tree)
            }
            None => None,
        };
        let reason = match fields.get("reason") {
            Some(node) => Some(self.tree(node)?),
            None => None,
        };
        Some(Given::Saga(Box::new(GivenSaga { node: index, key, at, data, reason })))
    }

    pub(super) fn expected_saga(&mut self, fields: &Fields<'_>) -> Option<What> {
        let topology = self.topology.clone()?;
        let (index, saga) = self.saga_named(fields.get("saga")?, &topology)?;
        let key = self.saga_key(fields, "an expected saga needs a `key`: which instance")?;
        let exists = self.truth(fields, "exists").unwrap_or(true);
        let parts = self.parts(fields, &OF_SAGA)?;
        self.check_names(fields, saga, &parts.iter().map(|part| (part.path[0], &part.tree)).collect::<Vec<_>>());
        let history = match fields.get("history") {
            Some(node) => {
                let tree = self.pattern(node)?;
                Some(match tree.kind {
                    Branch::List(items) => items,
                    _ => vec![tree],
                })
            }
            None => None,
        };
        if !(exists || (parts.is_empty() && history.is_none())) {
            let found = finding("E1008", "an instance that does not exist stands nowhere");
            self.say(fields.head(), found);
        }
        Some(What::Saga(Box::new(Expected { node: index, key, exists, parts, history })))
    }

    /// Names that an instance of the saga can never have.
    fn check_names(&mut self, fields: &Fields<'_>, saga: &Saga, parts: &[(&str, &Tree)]) {
        let (steps, states): (Vec<Text>, Vec<Text>) = match &saga.body {
            Body::Steps(steps) => (steps.steps.iter().map(|step| step.name.clone()).collect(), Vec::new()),
            Body::States(states) => (Vec::new(), states.states.iter().map(|state| state.name.clone()).collect()),
        };
        let statuses: Vec<Text> = Status::ALL.map(|status| status.name().into()).to_vec();
        for (name, what, known) in [
            ("status", "status", &statuses),
            ("state", "state", &states),
            ("failed_step", "step", &steps),
            ("step", "step", &steps),
        ] {
            let literal = fields.get(name).filter(|node| node.scalar().is_some_and(|scalar| is_name(&scalar.value)));
            if let Some(node) = literal {
                self.one_of(node, what, known);
            }
        }
        for (name, tree) in parts {
            match (*name, &tree.kind) {
                ("data", _) => self.check_fields(tree, &saga.data),
                ("steps", Branch::Map(entries)) => {
                    for (key, range, _) in entries.iter().filter(|(key, ..)| !steps.contains(key)) {
                        let found = finding("E1013", format!("the saga has no step `{key}`"));
                        self.say(range.clone(), found.meant(key, steps.iter().map(Text::as_str)));
                    }
                }
                _ => {}
            }
        }
    }

    fn saga_key(&mut self, fields: &Fields<'_>, wanted: &str) -> Option<Tree> {
        let Some(key) = fields.some("key") else {
            self.say(fields.head(), finding("E106", wanted));
            return None;
        };
        self.tree(key)
    }

    /// The saga of that name: its index among the plan's nodes, and its model.
    fn saga_named<'t>(&mut self, node: &Node, topology: &'t Arc<Topology>) -> Option<(usize, &'t Saga)> {
        let name = self.text(node)?;
        let plan = self.plan.clone()?;
        let found = plan.nodes.iter().enumerate().find_map(|(index, planned)| match planned.kind {
            NodeKind::Saga(saga) if planned.name == name => Some((index, &topology.sagas[saga])),
            _ => None,
        });
        if found.is_none() {
            let known = topology.sagas.iter().map(|saga| saga.name.as_str());
            self.say(node.range.clone(), finding("E1007", format!("there is no saga `{name}`")).meant(&name, known));
        }
        found
    }

    /// The index of a name among those that there are.
    fn one_of(&mut self, node: &Node, what: &str, known: &[Text]) -> Option<usize> {
        let name = self.text(node)?;
        let found = known.iter().position(|known| *known == name);
        if found.is_none() {
            let told = finding("E1013", format!("the saga has no {what} `{name}`"));
            self.say(node.range.clone(), told.meant(&name, known.iter().map(Text::as_str)));
        }
        found
    }
}

/// Is it one name, and neither computed nor several?
fn is_name(value: &Value) -> bool {
    matches!(value, Value::Str(text) if !text.starts_with('=') && !text.contains(','))
}

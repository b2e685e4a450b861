//! What must come of it.

use super::Reader;
use super::fields::Fields;
use crate::expr::Type;
use crate::record::{Text, Value};
use crate::scenario::model::{Emitted, Expected, Halted, Part, State, What};
use crate::scenario::shape::THEN;
use crate::scenario::tree::{Branch, Tree};
use crate::topology::finding;
use crate::topology::model::Topology;
use crate::topology::yaml::{Kind, Node};

/// A field of an item, and where it is found in a message as it is observed.
pub(super) type Place = (&'static str, &'static [&'static str]);

const OF_MESSAGE: [Place; 10] = [
    ("key", &["key"]),
    ("data", &["data"]),
    ("headers", &["headers"]),
    ("metadata", &["metadata"]),
    ("id", &["id"]),
    ("source", &["source"]),
    ("time", &["time"]),
    ("correlation_id", &["correlationId"]),
    ("causation_id", &["causationId"]),
    ("partition", &["partition"]),
];
const OF_ACCEPTED: [Place; 5] = [
    ("accepted", &["data"]),
    ("version", &["metadata", "version"]),
    ("key", &["key"]),
    ("correlation_id", &["correlationId"]),
    ("causation_id", &["causationId"]),
];
const OF_REJECTED: [Place; 6] = [
    ("rejected", &["data", "code"]),
    ("message", &["data", "message"]),
    ("details", &["data", "details"]),
    ("key", &["key"]),
    ("correlation_id", &["correlationId"]),
    ("causation_id", &["causationId"]),
];
const OF_LETTER: [Place; 9] = [
    ("dead_letter", &["code"]),
    ("class", &["class"]),
    ("node", &["node"]),
    ("stage", &["stage"]),
    ("message", &["message"]),
    ("details", &["details"]),
    ("topic", &["topic"]),
    ("key", &["key"]),
    ("value", &["value"]),
];

impl Reader<'_> {
    pub(super) fn expected(&mut self, node: &Node, exact: bool) -> Option<Expected> {
        let head = THEN.iter().find_map(|shape| {
            let name = shape.fields[0].name;
            let entry = node.map()?.iter().find(|entry| entry.key == name)?;
            Some((*shape, entry))
        });
        let Some((shape, entry)) = head else {
            let names: Vec<String> = THEN.iter().map(|shape| format!("`{}`", shape.fields[0].name)).collect();
            if node.map().is_none() {
                self.wrong_kind(node, "what is expected: a map");
            } else {
                let found = finding("E1008", "it is not clear what is expected here");
                let range = node.map().and_then(<[_]>::first).map_or(node.range.clone(), |entry| entry.key_range.clone());
                self.say(range, found.hint(format!("an item has one of {}", names.join(", "))));
            }
            return None;
        };
        let fields = self.fields(node, shape)?;
        let exact = self.truth(&fields, "exact").unwrap_or(exact);
        let what = match shape.fields[0].name {
            "type" => self.emitted(&fields)?,
            "accepted" => self.reply(&fields, "reply.accepted", &OF_ACCEPTED)?,
            "rejected" => self.reply(&fields, "reply.rejected", &OF_REJECTED)?,
            "dead_letter" => What::Letter(self.parts(&fields, &OF_LETTER)?),
            "saga" => self.expected_saga(&fields)?,
            "state" => self.state(&fields)?,
            "halted" => self.halted(&fields)?,
            "none" => self.none(&fields)?,
            _ => {
                let items = self.items(fields.get("any_order"), "messages and dead letters");
                let items: Vec<Expected> = items.iter().filter_map(|item| self.expected(item, exact)).collect();
                for item in items.iter().filter(|item| !matches!(item.what, What::Emitted(_) | What::Letter(_))) {
                    self.say(item.head.clone(), finding("E1008", "only messages and dead letters come in an order"));
                }
                What::AnyOrder(items)
            }
        };
        Some(Expected { what, exact, head: entry.key_range.clone() })
    }

    pub(super) fn parts(&mut self, fields: &Fields<'_>, places: &[Place]) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        for (name, path) in places {
            let Some(node) = fields.get(name) else { continue };
            // `accepted:` alone is any result.
            if node.is_null() && *name == "accepted" {
                continue;
            }
            parts.push(Part { path, tree: self.pattern(node)? });
        }
        Some(parts)
    }

    fn emitted(&mut self, fields: &Fields<'_>) -> Option<What> {
        let node = fields.get("type")?;
        let kind = self.text(node)?;
        let topic = self.topic_named(fields)?;
        let parts = self.parts(fields, &OF_MESSAGE)?;
        let topology = self.topology.clone()?;
        // Where everything is declared, what is not declared cannot come.
        let declaring = || topology.topics.iter().filter_map(|contract| contract.message_type(&kind));
        let all_declared = topology.topics.iter().all(|contract| contract.types.is_some());
        if all_declared && !kind.starts_with("reply.") && declaring().next().is_none() && self.others.is_empty() {
            let known = topology.topics.iter().flat_map(|contract| contract.types.iter().flatten());
            let found = finding("E1004", format!("no topic of the topology declares `{kind}`"));
            self.say(node.range.clone(), found.meant(&kind, known.map(|kind| kind.name.as_str())));
        }
        let types: Vec<&Type> = declaring().filter_map(|kind| kind.schema.as_ref()).map(|schema| &schema.ty).collect();
        if let ([ty], Some(data)) = (types.as_slice(), parts.iter().find(|part| part.path == ["data"])) {
            self.check_fields(&data.tree, ty);
        }
        Some(What::Emitted(Emitted { kind, topic, parts }))
    }

    fn reply(&mut self, fields: &Fields<'_>, kind: &str, places: &[Place]) -> Option<What> {
        let topology = self.topology.clone()?;
        if !self.asks && !answers_anyhow(&topology) {
            let found = finding("E1012", "nobody is answered: no message of this case has `reply_to`");
            self.say(fields.head(), found.hint("give the message `reply_to: test.replies`"));
        }
        let topic = self.topic_named(fields)?;
        Some(What::Emitted(Emitted { kind: kind.into(), topic, parts: self.parts(fields, places)? }))
    }

    /// `Some(None)`: none is written.
    fn topic_named(&mut self, fields: &Fields<'_>) -> Option<Option<Text>> {
        let Some(node) = fields.get("topic") else { return Some(None) };
        let name = self.text(node)?;
        // A name that is computed leads to it; or a mistake, which is told by nothing coming.
        self.other_topic(&name);
        Some(Some(name))
    }

    fn state(&mut self, fields: &Fields<'_>) -> Option<What> {
        let node = self.aggregate_named(fields.get("state")?)?;
        let Some(key) = fields.some("key") else {
            self.say(fields.head(), finding("E106", "an expected state needs a `key`: which instance"));
            return None;
        };
        let key = self.tree(key)?;
        let exists = self.truth(fields, "exists").unwrap_or(true);
        let value = match fields.get("value") {
            Some(node) => Some(self.pattern(node)?),
            None => None,
        };
        let topology = self.topology.clone()?;
        if let Some(value) = &value {
            self.check_fields(value, &topology.aggregates[node].state.ty);
        }
        let version = match fields.get("version") {
            Some(node) => Some(self.pattern(node)?),
            None => None,
        };
        if !exists && (value.is_some() || version.is_some()) {
            let found = finding("E1008", "an instance that does not exist has neither version nor value");
            self.say(fields.head(), found);
        }
        Some(What::State(Box::new(State { node, key, exists, version, value })))
    }

    fn halted(&mut self, fields: &Fields<'_>) -> Option<What> {
        let node = fields.get("halted")?;
        let name = self.text(node)?;
        let plan = self.plan.clone()?;
        let Some(planned) = plan.nodes.iter().find(|planned| planned.name == name) else {
            let known = plan.nodes.iter().map(|planned| planned.name.as_str());
            self.say(node.range.clone(), finding("E1007", format!("there is no node `{name}`")).meant(&name, known));
            return None;
        };
        let reason = match fields.get("reason") {
            Some(node) => Some(self.pattern(node)?),
            None => None,
        };
        Some(What::Halted(Box::new(Halted { node: name, subtopology: planned.subtopology, reason })))
    }

    fn none(&mut self, fields: &Fields<'_>) -> Option<What> {
        let node = fields.get("none")?;
        match &node.kind {
            Kind::Scalar(scalar) => match &scalar.value {
                Value::Bool(true) => Some(What::NothingElse),
                Value::Str(kind) => Some(What::NoneOf(vec![kind.clone()])),
                _ => {
                    self.wrong_kind(node, "`true`, or types of messages");
                    None
                }
            },
            Kind::List(items) => {
                let kinds: Vec<Text> = items.iter().filter_map(|item| self.text(item)).collect();
                Some(What::NoneOf(kinds))
            }
            Kind::Map(_) => {
                self.wrong_kind(node, "`true`, or types of messages");
                None
            }
        }
    }

    /// Fields that are expected and can never be there.
    pub(super) fn check_fields(&mut self, tree: &Tree, ty: &Type) {
        match (&tree.kind, ty) {
            (Branch::Map(entries), Type::Object(object)) => {
                for (key, range, inner) in entries {
                    match object.fields.get(key) {
                        Some(field) => self.check_fields(inner, &field.ty),
                        None if object.rest.is_none() => {
                            let found = finding("E307", format!("there is no field `{key}`"));
                            self.say(range.clone(), found.meant(key, object.fields.keys().map(Text::as_str)));
                        }
                        None => {}
                    }
                }
            }
            (Branch::List(items), Type::List(element)) => items.iter().for_each(|item| self.check_fields(item, element)),
            (_, Type::Optional(inner)) => self.check_fields(tree, inner),
            _ => {}
        }
    }
}

/// Does a node answer those too who do not ask?
fn answers_anyhow(topology: &Topology) -> bool {
    topology.aggregates.iter().any(|aggregate| aggregate.replies.is_some())
        || topology.pipelines.iter().any(|pipeline| pipeline.replies.is_some())
}

//! Messages: type, topic, key and payload with their defaults.

use super::Lower;
use super::exprs::Want;
use super::fields::{Fields, Shape};
use super::scalars::{TYPE, is_topic, shortened};
use super::topics::elements;
use crate::codec::{Envelope, Format, is_attribute_name};
use crate::expr::{Scope, Type};
use crate::record::Text;
use crate::topology::diagnostic::{Finding, finding};
use crate::topology::model::{
    Delay, DelayLength, ForEach, Message, MessageData, MessageKey, MessageKind, MessageTarget, Template,
};
use crate::topology::yaml::Node;
use std::ops::Range;

/// Who sends a message: what its defaults follow from.
pub(super) struct Sender<'s> {
    role: Role<'s>,
    /// The aggregate's own events, if it has any.
    events: Option<usize>,
}

enum Role<'s> {
    /// A handler of `decide`.
    Decide,
    /// `updates` of an aggregate: no record to pass on, no events of its own.
    Updates,
    /// `errors`: the same, and nothing is kept for later.
    Failure,
    /// A saga: the same, and its rules end no record.
    Saga,
    /// A step of a pipeline.
    Step(Current<'s>),
}

/// The record in hand of a pipeline.
pub(super) struct Current<'s> {
    /// Its possible types; `None`: not known.
    pub(super) kinds: Option<&'s [Text]>,
    /// Type of its data.
    pub(super) data: Type,
    /// Were its data replaced or changed?
    pub(super) changed: bool,
    /// Has it another key than the record that was read?
    pub(super) rekeyed: bool,
}

impl<'s> Sender<'s> {
    pub(super) fn decide(events: Option<usize>) -> Self {
        Self { role: Role::Decide, events }
    }

    pub(super) fn updates() -> Self {
        Self { role: Role::Updates, events: None }
    }

    pub(super) fn failure() -> Self {
        Self { role: Role::Failure, events: None }
    }

    pub(super) fn saga() -> Self {
        Self { role: Role::Saga, events: None }
    }

    pub(super) fn is_saga(&self) -> bool {
        matches!(self.role, Role::Saga)
    }

    pub(super) fn step(current: Current<'s>) -> Self {
        Self { role: Role::Step(current), events: None }
    }

    pub(super) fn decides(&self) -> bool {
        matches!(self.role, Role::Decide)
    }

    fn current(&self) -> Option<&Current<'s>> {
        match &self.role {
            Role::Step(current) => Some(current),
            _ => None,
        }
    }
}

const MESSAGE: Shape = Shape::new(
    "a message",
    &["type", "to", "key", "data", "headers", "metadata", "id", "when", "for_each", "delay", "timer"],
    &[],
);
/// A message whose outcome is waited for.
const SEND: Shape = Shape::new("`send`", &["type", "to", "key", "data", "headers", "metadata", "id"], &[]);
const FOR_EACH: Shape = Shape::new("`for_each`", &["in", "as", "index"], &[]);
const STEP_FOR_EACH: Shape = Shape::new("`for_each` of a step", &["in", "as"], &[]);

impl Lower<'_> {
    /// A message or a list of them.
    pub(super) fn messages(&mut self, node: &Node, scope: &Scope, sender: &Sender<'_>) -> Vec<Message> {
        elements(node).iter().filter_map(|message| self.message(message, scope, sender)).collect()
    }

    fn message(&mut self, node: &Node, scope: &Scope, sender: &Sender<'_>) -> Option<Message> {
        let fields = self.fields(node, &MESSAGE)?;
        self.message_of(&fields, scope, sender)
    }

    /// `send` of a saga: one message. Its id and where it is answered belong to the step (E909).
    pub(super) fn command(&mut self, node: &Node, scope: &Scope, sender: &Sender<'_>) -> Option<Message> {
        let fields = self.fields(node, &SEND)?;
        if fields.get("id").is_some() {
            let found =
                finding("E909", "the id of a command belongs to its step").cause("the next try has the same id, or a new one");
            self.say(fields.key_range("id"), found.hint("put what the receiver needs into `data`"));
        }
        let headers = fields.get("headers").and_then(Node::map).unwrap_or(&[]);
        for header in headers.iter().filter(|header| matches!(header.key.as_str(), "reply-to" | "reply-key")) {
            let found = finding("E909", format!("the header `{}` belongs to the step", header.key));
            self.say(header.key_range.clone(), found.cause("the saga waits for the reply in its own topic"));
        }
        self.message_of(&fields, scope, sender)
    }

    fn message_of(&mut self, fields: &Fields<'_>, scope: &Scope, sender: &Sender<'_>) -> Option<Message> {
        let kind = self.message_kind(fields, sender);
        let mut scope = scope.clone();
        let for_each = fields.get("for_each").map(|node| self.for_each(node, &mut scope));
        let when = self.optional_expr(fields, "when", &scope, Want::Bool);
        let target = kind.as_ref().and_then(|kind| self.target(fields, kind, &scope, sender));
        let (data, data_type) = self.message_data(fields, &scope, sender);
        let headers = self.map_template(fields, "headers", &scope);
        let metadata = self.map_template(fields, "metadata", &scope);
        let id = self.optional_expr(fields, "id", &scope, Want::Text);
        let key = self.message_key(fields, target.as_ref(), &scope);
        let delay = self.delay(fields, &scope, sender);
        let (kind, to) = (kind?, target?);
        if let MessageTarget::Topic(topic) = to {
            self.payload_fits(fields, topic, &kind, &data_type, sender);
            self.metadata_fits(fields, topic);
        }
        let own_event = matches!(to, MessageTarget::Topic(topic) if sender.decides() && sender.events == Some(topic));
        let plain = ["type", "data", "headers", "metadata", "id"].iter().all(|name| fields.get(name).is_none());
        let forward = plain && sender.current().is_some_and(|current| !current.changed);
        let for_each = match for_each {
            Some(for_each) => Some(for_each?),
            None => None,
        };
        if own_event && delay.is_some() {
            let what = match &kind {
                MessageKind::Named(name) => format!("`{name}`"),
                MessageKind::Current => "this".to_owned(),
            };
            let found = finding("E604", format!("{what} is an event of the aggregate's own, and these are not delayed"));
            let found = found.cause("it changes the state, and the next decision would not see it");
            self.say(fields.key_range("delay"), found.hint("delay a command, and decide the event then"));
        }
        let at = self.position(fields.node.range.start);
        let (key, data) = (key?, data?);
        Some(Message { kind, to, key, data, headers, metadata, id, when, for_each, own_event, forward, delay, at })
    }

    fn delay(&mut self, fields: &Fields<'_>, scope: &Scope, sender: &Sender<'_>) -> Option<Delay> {
        ["delay", "timer"].into_iter().find(|name| fields.get(name).is_some())?;
        if sender.current().is_some_and(|current| current.rekeyed) && fields.get("timer").is_some() {
            let found = finding("E117", "a `timer` behind a `rekey` is not in this build");
            let found = found.cause("records of the new key come from several partitions, each with timers of its own");
            self.say(
                fields.key_range("timer"),
                found.hint("send under the new key to a topic, and delay in a pipeline that reads it"),
            );
        }
        let timer = fields.get("timer").and_then(|node| self.text_template(node, scope));
        let Some(node) = fields.get("delay") else {
            let found = finding("E106", "`timer` names the delay of a message, and there is no `delay`");
            self.say(fields.key_range("timer"), found.hint("say how long it is kept: `delay: 15m`"));
            return None;
        };
        if !node.scalar().is_some_and(|scalar| scalar.text.starts_with('=')) {
            return Some(Delay { length: DelayLength::For(self.duration(node)?), timer });
        }
        let (expr, ty) = self.expr(node, scope, Want::Any)?;
        if !ty.meets(&Type::Duration) {
            let found = finding("E306", format!("this gives {ty}, here a duration is wanted"));
            self.say(node.range.clone(), found.hint("`=duration('15m')`, or the difference of two timestamps"));
        }
        Some(Delay { length: DelayLength::Computed(expr), timer })
    }

    fn message_kind(&mut self, fields: &Fields<'_>, sender: &Sender<'_>) -> Option<MessageKind> {
        match fields.get("type") {
            Some(node) => {
                if node.scalar().is_some_and(|scalar| scalar.text.starts_with('=')) {
                    let found = finding("E114", "the type of a message is not computed");
                    self.say(node.range.clone(), found.hint("write one message per type, each with `when`"));
                    return None;
                }
                self.word(node, &TYPE).map(MessageKind::Named)
            }
            None if sender.current().is_some() => Some(MessageKind::Current),
            None => {
                self.required(fields, "type", &MESSAGE);
                None
            }
        }
    }

    fn for_each(&mut self, node: &Node, scope: &mut Scope) -> Option<ForEach> {
        self.for_each_of(node, &FOR_EACH, scope)
    }

    /// `for_each` of a saga's step: it has no `index`.
    pub(super) fn step_for_each(&mut self, node: &Node, scope: &mut Scope) -> Option<ForEach> {
        self.for_each_of(node, &STEP_FOR_EACH, scope)
    }

    fn for_each_of(&mut self, node: &Node, shape: &Shape, scope: &mut Scope) -> Option<ForEach> {
        let fields = self.fields(node, shape)?;
        let list = self.required(&fields, "in", shape).and_then(|node| self.expr(node, scope, Want::List));
        let element = match list.as_ref().map(|(_, ty)| ty) {
            Some(Type::List(element)) => (**element).clone(),
            _ => Type::Any,
        };
        let item = self.required(&fields, "as", shape).and_then(|node| self.named_local(node, element, scope));
        let index = match fields.get("index") {
            Some(node) => Some(self.named_local(node, Type::Int, scope)?),
            None => None,
        };
        Some(ForEach { list: list?.0, item: item?, index })
    }

    fn target(&mut self, fields: &Fields<'_>, kind: &MessageKind, scope: &Scope, sender: &Sender<'_>) -> Option<MessageTarget> {
        let kinds: Option<Vec<Text>> = match (kind, sender.current()) {
            (MessageKind::Named(kind), _) => Some(vec![kind.clone()]),
            (MessageKind::Current, Some(current)) => current.kinds.map(<[Text]>::to_vec),
            (MessageKind::Current, None) => None,
        };
        let Some(node) = fields.get("to") else { return self.default_target(fields, kinds.as_deref(), sender) };
        if node.scalar().is_some_and(|scalar| scalar.text.starts_with('=')) {
            return self.computed_target(node, scope);
        }
        let topic = self.topic_named(node)?;
        let contract = self.topics.get(topic);
        let missing = kinds.iter().flatten().find(|kind| contract.types.is_some() && contract.message_type(kind).is_none());
        if let Some(missing) = missing.cloned() {
            let known: Vec<String> = contract.types.iter().flatten().map(|known| known.name.to_string()).collect();
            let message = format!("`{}` does not declare the type `{missing}`", contract.name);
            let found = finding("E205", message).meant(&missing, known.iter().map(String::as_str));
            let range = fields.get("type").map_or(node.range.clone(), |node| node.range.clone());
            self.say(range, found);
            return None;
        }
        Some(MessageTarget::Topic(topic))
    }

    fn default_target(&mut self, fields: &Fields<'_>, kinds: Option<&[Text]>, sender: &Sender<'_>) -> Option<MessageTarget> {
        let range = match fields.get("type") {
            Some(node) => node.range.clone(),
            None => self.head(fields.node),
        };
        let Some(kinds) = kinds else {
            let found = finding("E204", "where this message goes cannot be told: its type is not known");
            self.say(range, found.hint("write `to`"));
            return None;
        };
        let mut topics = Vec::new();
        for kind in kinds {
            let declaring = self.topics.declaring(kind);
            let topic = match (sender.events, declaring.as_slice()) {
                (Some(events), declaring) if declaring.contains(&events) => events,
                // Nobody declares it: an event of the aggregate, unless its topic says what it has.
                (Some(events), []) if self.topics.get(events).types.is_none() => events,
                (_, [only]) => *only,
                (_, []) => {
                    let found = self.undeclared(kind, sender.events);
                    self.say(range, found);
                    return None;
                }
                (_, several) => {
                    let names: Vec<String> =
                        several.iter().map(|topic| format!("`{}`", self.topics.get(*topic).name)).collect();
                    let found = finding("E204", format!("`{kind}` is declared by {}", names.join(", ")));
                    self.say(range, found.hint("write `to`"));
                    return None;
                }
            };
            topics.push(topic);
        }
        topics.dedup();
        match topics.as_slice() {
            [only] => Some(MessageTarget::Topic(*only)),
            _ => {
                let found = finding("E204", "the types of this message belong to several topics");
                self.say(range, found.hint("write `to`"));
                None
            }
        }
    }

    fn undeclared(&self, kind: &str, events: Option<usize>) -> Finding {
        let found = match events.map(|events| self.topics.get(events)) {
            Some(events) => finding("E205", format!("`{}` does not declare the type `{kind}`", events.name)),
            None => finding("E204", format!("no topic declares the type `{kind}`")),
        };
        let known: Vec<&str> = {
            let contracts = (0..self.topics.names().count()).map(|index| self.topics.get(index));
            contracts.flat_map(|contract| contract.types.iter().flatten()).map(|known| known.name.as_str()).collect()
        };
        match (crate::topology::diagnostic::nearest(kind, known.iter().copied()), events) {
            (Some(near), _) => found.hint(format!("did you mean `{near}`?")),
            (None, Some(events)) => {
                found.hint(format!("declare it under `types` of `{}`, or write `to`", self.topics.get(events).name))
            }
            (None, None) => found.hint("declare it under `types` of its topic, or write `to`"),
        }
    }

    /// `="prefix." + expr`: whatever the expression gives, the topic begins with the literal.
    fn computed_target(&mut self, node: &Node, scope: &Scope) -> Option<MessageTarget> {
        let text = node.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
        let prefix = literal_prefix(text.trim_start_matches('='));
        let Some(prefix) = prefix.filter(|prefix| prefix.ends_with('.') && is_topic(prefix)) else {
            let message = format!("the computed topic `{}` begins with no literal", shortened(&text));
            let found = finding("E214", message).cause("what a record says must not choose among all topics");
            self.say(node.range.clone(), found.hint("begin with a text that ends in a dot: `=\"orders.\" + data.region`"));
            return None;
        };
        if prefix.starts_with(&format!("{}.", self.name)) {
            let found = finding("E214", format!("topics that begin with `{}.` are the engine's own", self.name));
            self.say(node.range.clone(), found);
            return None;
        }
        let (name, _) = self.expr(node, scope, Want::Text)?;
        Some(MessageTarget::Computed { prefix: prefix.into(), name })
    }

    fn message_data(&mut self, fields: &Fields<'_>, scope: &Scope, sender: &Sender<'_>) -> (Option<MessageData>, Type) {
        match (fields.get("data"), sender.current()) {
            (Some(node), _) => match self.template(node, scope) {
                Some((template, ty)) => (Some(MessageData::Template(template)), ty),
                None => (None, Type::Any),
            },
            (None, Some(current)) => (Some(MessageData::Current), current.data.clone()),
            (None, None) => {
                let empty = self.empty_template(fields.node.range.start);
                (Some(MessageData::Template(empty)), crate::expr::Object::closed().into())
            }
        }
    }

    fn message_key(&mut self, fields: &Fields<'_>, target: Option<&MessageTarget>, scope: &Scope) -> Option<MessageKey> {
        let declared = match target {
            Some(MessageTarget::Topic(topic)) => self.topics.get(*topic).key.is_some(),
            _ => false,
        };
        match fields.get("key") {
            Some(_) if declared => {
                let found = finding("E908", "the topic of this message declares its `key`");
                self.say(fields.key_range("key"), found.hint("leave it out: the topic's is used"));
                None
            }
            Some(node) => self.expr(node, scope, Want::Text).map(|(expr, _)| MessageKey::Given(expr)),
            None if declared => Some(MessageKey::OfTopic),
            None => Some(MessageKey::Current),
        }
    }

    fn map_template(&mut self, fields: &Fields<'_>, name: &str, scope: &Scope) -> Option<Template> {
        let node = fields.get(name)?;
        let (template, ty) = self.template(node, scope)?;
        if !ty.meets(&Type::map(Type::Any)) {
            self.say(node.range.clone(), finding("E306", format!("`{name}` is a map, this is {ty}")));
        }
        Some(template)
    }

    /// Names of metadata against what the topic's envelope can call them.
    fn metadata_fits(&mut self, fields: &Fields<'_>, topic: usize) {
        if self.topics.get(topic).envelope != Envelope::CloudEvents {
            return;
        }
        for entry in fields.get("metadata").and_then(Node::map).unwrap_or_default() {
            if let Err(why) = is_attribute_name(&entry.key) {
                let found = finding("E408", why).cause("metadata of a CloudEvent are its attributes");
                self.say(entry.key_range.clone(), found);
            }
        }
    }

    /// The payload against the schema of its type.
    fn payload_fits(&mut self, fields: &Fields<'_>, topic: usize, kind: &MessageKind, ty: &Type, sender: &Sender<'_>) {
        let contract = self.topics.get(topic);
        let (format, validate) = (contract.format, contract.validate);
        if format == Format::Auto {
            let found = finding("E409", format!("`{}` is read whatever its values are in, and not written", contract.name));
            let range = fields.get("to").map_or_else(|| self.head(fields.node), |node| node.range.clone());
            self.say(range, found.hint("write to a topic of one format"));
            return;
        }
        if !validate && !contract.is_framed() {
            return;
        }
        let kinds: Vec<Text> = match (kind, sender.current().and_then(|current| current.kinds)) {
            (MessageKind::Named(kind), _) => vec![kind.clone()],
            // What is passed on as it was read has been checked by the contract that it was read by.
            (MessageKind::Current, Some([kind])) => vec![kind.clone()],
            // Which of several it is, and so what it has, is known when it runs.
            (MessageKind::Current, Some(_)) => return,
            (MessageKind::Current, None) => return,
        };
        let made = fields.get("type").is_some() || fields.get("data").is_some();
        let bare =
            kinds.iter().find(|kind| contract.message_type(kind).is_none_or(|known| known.schema.is_none() && !known.unknown));
        if let Some(kind) = bare.filter(|_| made && contract.is_framed()) {
            let (message, file) = match format {
                Format::Protobuf => {
                    (format!("`{}` is Protobuf and has no schema for `{kind}`", contract.name), "a message of a `.proto` file")
                }
                Format::Avro => (format!("`{}` is Avro and has no schema for `{kind}`", contract.name), "an `.avsc` file"),
                _ => (format!("values of `{}` carry ids of schemas, and `{kind}` has none", contract.name), "a `.json` file"),
            };
            let range = fields.get("type").map_or_else(|| self.head(fields.node), |node| node.range.clone());
            self.say(range, finding("E409", message).hint(format!("name {file} for it under `types` of the topic")));
            return;
        }
        let schemas: Vec<_> =
            kinds.iter().filter_map(|kind| Some((kind.clone(), contract.message_type(kind)?.schema.clone()?))).collect();
        let at: Range<usize> = match (fields.get("data"), fields.get("type")) {
            (Some(node), _) | (None, Some(node)) => node.range.clone(),
            (None, None) => self.head(fields.node),
        };
        for (kind, schema) in schemas {
            self.fits(fields.get("data"), ty, &schema, &at, &format!("`{kind}`"));
        }
    }
}

/// The literal that a sum of texts begins with.
fn literal_prefix(text: &str) -> Option<String> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let end = text[1..].find(quote)? + 1;
    let literal = &text[1..end];
    let plus = text[end + 1..].trim_start().starts_with('+');
    (plus && !literal.contains('\\')).then(|| literal.to_owned())
}

//! Aggregates.

use super::exprs::Want;
use super::fields::{Fields, Shape};
use super::message::Sender;
use super::sources::Input;
use super::state::TypeOfSet;
use super::usage::Words;
use super::{Lower, topics::elements};
use crate::expr::{Scope, Type, names};
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::{
    Aggregate, AggregateKind, Cleanup, Decide, Evolve, Expr, Retention, Source, SourceFrom, StateChange, StateType, StoreKind,
};
use crate::topology::yaml::{Entry, Node};
use jiff::SignedDuration;

const AGGREGATE: Shape = Shape::new(
    "an aggregate",
    &[
        "description",
        "from",
        "key",
        "events",
        "initial",
        "schema",
        "decide",
        "evolve",
        "updates",
        "replies",
        "dedupe",
        "ttl",
        "store",
        "snapshots",
        "errors",
        "state_version",
        "upcast",
    ],
    &[],
);
const DECIDE: Shape = Shape::new("a handler of `decide`", &["let", "when", "require", "cancel_timer", "emit", "reply"], &[]);
const EVOLVE: Shape = Shape::new("a handler of `evolve`", &["let", "set", "unset", "delete"], &[]);

/// How long an answered request is remembered by default.
pub(super) const DEDUPE: SignedDuration = SignedDuration::from_hours(1);

/// What the handlers of an aggregate have in common.
struct Common {
    name: Text,
    key: Type,
    state: Type,
    events: Option<usize>,
    fold: bool,
    /// Names of the timers of its messages, as they are written.
    timers: Vec<String>,
}

/// A text that computes nothing.
fn is_literal(text: &str) -> bool {
    !text.starts_with('=') && !text.contains('{')
}

/// `timer` of the messages of an aggregate, `defaults` being the `errors` of the file.
fn timers(aggregate: &Node, defaults: Option<&Node>) -> Vec<String> {
    let handlers = aggregate.get("decide").and_then(Node::map).unwrap_or(&[]).iter().map(|entry| &entry.node);
    let rules = handlers.clone().flat_map(|handler| handler.get("require").map(elements).unwrap_or(&[]));
    let emitting = handlers.chain(rules).filter_map(|place| place.get("emit"));
    let failures = [aggregate.get("errors"), defaults].into_iter().flatten().find_map(|errors| errors.get("emit"));
    let messages = emitting.chain(aggregate.get("updates")).chain(failures).flat_map(elements);
    messages.filter_map(|message| Some(message.get("timer")?.scalar()?.text.clone())).collect()
}

/// Messages that a handler writes.
fn emits(handler: &Node) -> usize {
    let rules = handler.get("require").map(elements).unwrap_or(&[]);
    let places = rules.iter().chain(std::iter::once(handler));
    places.filter_map(|node| node.get("emit")).map(|node| elements(node).len()).sum()
}

/// Those of them that were right.
fn lowered_emits(handler: &Decide) -> usize {
    handler.emit.len() + handler.require.iter().map(|rule| rule.emit.len()).sum::<usize>()
}

impl Lower<'_> {
    pub(super) fn aggregate(&mut self, entry: &Entry, defaults: Option<&Node>) -> Option<Aggregate> {
        let fields = self.fields(&entry.node, &AGGREGATE)?;
        let section = |name: &str| fields.get(name).filter(|node| !node.is_null());
        let (decide, evolve) = (section("decide"), section("evolve"));
        if decide.is_none() && evolve.is_none() {
            let found = finding("E601", format!("`{}` has neither `decide` nor `evolve`", entry.key));
            self.say(entry.key_range.clone(), found.hint("`evolve` folds events into a state, `decide` lets messages meet it"));
        }
        let decides = decide.map(|node| self.map(node, "`decide`: types with their handlers").unwrap_or(&[])).unwrap_or(&[]);
        let evolves = evolve.map(|node| self.map(node, "`evolve`: types with their handlers").unwrap_or(&[])).unwrap_or(&[]);
        let fold = decide.is_none();

        let from = self.required(&fields, "from", &AGGREGATE);
        let mut input = from.map_or(Input { sources: Vec::new(), keys: Vec::new() }, |node| self.input(node));
        let kinds: Vec<Text> = if fold { evolves } else { decides }.iter().map(|entry| entry.key.as_str().into()).collect();
        let key = self.node_keys(&fields, &mut input, &kinds);
        let events = self.events_topic(&fields, entry, &input.sources, fold);
        let own_key = key.is_some() || input.sources.iter().any(|source| source.key.is_some());
        let key_type = if own_key { Type::String } else { self.record_key(&input.sources) };

        let initial = fields.get("initial");
        let (initial, initial_type) = self.initial(initial, &fields);
        let common = Common {
            name: entry.key.as_str().into(),
            key: key_type.clone(),
            state: Type::Any,
            events,
            fold,
            timers: timers(&entry.node, defaults),
        };
        let state = self.state(&fields, &initial_type, evolves, &input.sources, &common);
        let common = Common { state: state.ty.clone(), ..common };
        let (state_version, upcast) = self.state_upcasts(&fields, &state);

        let mut decide: Vec<Decide> = decides.iter().filter_map(|entry| self.decide(entry, &input.sources, &common)).collect();
        decide.sort_by(|a, b| a.kind.cmp(&b.kind));
        let mut evolve: Vec<Evolve> =
            evolves.iter().filter_map(|entry| self.evolve(entry, &input.sources, &common, &state)).collect();
        evolve.sort_by(|a, b| a.kind.cmp(&b.kind));
        // A message that was wrong might have been the one.
        let written: usize = decides.iter().map(|entry| emits(&entry.node)).sum();
        if !fold && written == decide.iter().map(lowered_emits).sum::<usize>() {
            self.never_emitted(evolves, &decide);
        }
        let (updates, updates_locals) = self.updates(&fields, &common, &evolve);
        self.unread_state(entry, &fields, &decide, &evolve);

        let data = self.source_data(&input.sources, Some(&kinds));
        let scope = self.message_scope(data, key_type);
        let errors = self.errors(section("errors"), defaults, &scope, &Sender::failure());
        let replies = fields.get("replies").and_then(|node| self.topic_named(node));
        let dedupe = match fields.get("dedupe") {
            Some(node) => self.duration(node).unwrap_or(DEDUPE),
            None => DEDUPE,
        };
        let store = self.store_kind(&fields);
        let snapshots = self.snapshots(&fields);
        Some(Aggregate {
            name: entry.key.as_str().into(),
            description: fields.get("description").and_then(|node| self.text(node)),
            kind: AggregateKind::Aggregate,
            sources: input.sources,
            key,
            events,
            initial: initial?,
            state,
            state_version,
            upcast,
            decide,
            evolve,
            updates,
            updates_locals,
            replies,
            dedupe: (!fold && !dedupe.is_zero()).then_some(dedupe),
            ttl: self.ttl(&fields),
            store,
            snapshots,
            errors,
            at: self.position(entry.key_range.start),
        })
    }

    /// `key` of a node and of its sources, over the messages that it handles.
    pub(super) fn node_keys(&mut self, fields: &Fields<'_>, input: &mut Input<'_>, kinds: &[Text]) -> Option<Expr> {
        let keys = std::mem::take(&mut input.keys);
        for (at, node) in keys.iter().enumerate() {
            let Some(node) = node else { continue };
            let source = std::slice::from_ref(&input.sources[at]);
            let scope = self.message_scope(self.source_data(source, Some(kinds)), self.record_key(source));
            input.sources[at].key = self.expr(node, &scope, Want::Text).map(|(expr, _)| expr);
        }
        let node = fields.get("key")?;
        let scope = self.message_scope(self.source_data(&input.sources, Some(kinds)), self.record_key(&input.sources));
        self.expr(node, &scope, Want::Text).map(|(expr, _)| expr)
    }

    fn events_topic(&mut self, fields: &Fields<'_>, entry: &Entry, sources: &[Source], fold: bool) -> Option<usize> {
        let Some(node) = fields.get("events") else {
            let derived = self.derived(&entry.key, "events");
            return if fold { None } else { self.topics.find(&derived) };
        };
        if fold {
            let found = finding("E105", "`events` is where `decide` puts its events, and there is no `decide`");
            self.say(fields.key_range("events"), found.hint("a fold reads events: name their topic in `from`"));
            return None;
        }
        let topic = self.topic_named(node)?;
        if sources.iter().any(|source| source.from == SourceFrom::Topic(topic)) {
            let found = finding("E603", "an aggregate does not read its own events").hint("leave this topic out of `from`");
            self.say(node.range.clone(), found);
        }
        let contract = self.topics.get(topic);
        let kept = !matches!(contract.retention, Some(Retention::For(_)))
            && !matches!(contract.cleanup, Some(Cleanup::Compact | Cleanup::Both));
        if !kept {
            let message = format!("`{}` does not keep its events for ever", contract.name);
            let found = finding("W503", message).cause("the state can only be rebuilt from events that are still there");
            self.say(node.range.clone(), found.hint("`retention: forever` on the topic"));
        }
        Some(topic)
    }

    fn initial(&mut self, node: Option<&Node>, fields: &Fields<'_>) -> (Option<crate::topology::model::Template>, Type) {
        let Some(node) = node else {
            let empty = self.empty_template(fields.node.range.start);
            return (Some(empty), crate::expr::Object::closed().into());
        };
        let scope = Scope::new().with(names::PARAMS, self.params_type());
        match self.template(node, &scope) {
            Some((template, ty)) => {
                if !ty.meets(&Type::map(Type::Any)) {
                    self.say(node.range.clone(), finding("E107", format!("a state is a map, this is {ty}")));
                }
                (Some(template), ty)
            }
            None => (None, Type::Any),
        }
    }

    fn evolve_data(&self, kind: &str, sources: &[Source], common: &Common) -> Type {
        match common.events {
            Some(events) => self.data_of(self.topics.get(events), Some(kind)),
            None => self.source_data(sources, Some(&[kind.into()])),
        }
    }

    fn evolve_scope(&self, data: Type, key: &Type, state: &Type) -> Scope {
        Scope::new()
            .with(names::DATA, data)
            .with(names::EVENT, names::event())
            .with(names::KEY, key.clone())
            .with(names::STATE, state.clone())
            .with(names::VERSION, Type::Int)
    }

    /// The state's type: declared, or inferred.
    fn state(
        &mut self,
        fields: &Fields<'_>,
        initial: &Type,
        evolves: &[Entry],
        sources: &[Source],
        common: &Common,
    ) -> StateType {
        let sets: Vec<(&Entry, &Node)> = evolves.iter().filter_map(|entry| Some((entry, entry.node.get("set")?))).collect();
        let type_of_set = |lower: &Self, entry: &Entry, set: &Node, state: &Type| {
            let data = lower.evolve_data(&entry.key, sources, common);
            let mut scope = lower.evolve_scope(data, &common.key, state);
            lower.trial_lets(entry.node.get("let"), &mut scope);
            lower.trial_template(set, &scope)
        };
        match fields.get("schema").map(|node| (node, self.json_schema(node))) {
            Some((node, Ok(Some(schema)))) => {
                let written: Vec<(&Node, Type)> =
                    sets.iter().map(|(entry, set)| (*set, type_of_set(self, entry, set, &schema.ty))).collect();
                for name in self.never_set(&schema.ty, initial, &written) {
                    let found = finding("E405", format!("the state needs `{name}`, which nothing sets"));
                    self.say(node.range.clone(), found.hint("give it in `initial`, or `set` it in `evolve`"));
                }
                if let Some(initial_node) = fields.get("initial") {
                    self.fields_fit(initial_node, initial, &schema, "the state");
                }
                StateType { ty: schema.ty.clone(), schema: Some(schema) }
            }
            Some((_, Err(()))) => StateType { schema: None, ty: Type::Any },
            _ => {
                let closures: Vec<Box<TypeOfSet<'_, '_>>> = sets
                    .iter()
                    .map(|(entry, set)| {
                        let (entry, set) = (*entry, *set);
                        Box::new(move |lower: &Self, state: &Type| type_of_set(lower, entry, set, state)) as Box<_>
                    })
                    .collect();
                StateType { schema: None, ty: self.inferred_state(initial, &closures) }
            }
        }
    }

    fn decide(&mut self, entry: &Entry, sources: &[Source], common: &Common) -> Option<Decide> {
        let kind = self.type_key(entry)?;
        self.sourced_type(&kind, entry.key_range.clone(), sources);
        let fields = self.fields(&entry.node, &DECIDE)?;
        self.locals = 0;
        let data = self.source_data(sources, Some(std::slice::from_ref(&kind)));
        let mut scope = self
            .message_scope(data, common.key.clone())
            .with(names::STATE, common.state.clone())
            .with(names::VERSION, Type::Int);
        let lets = self.lets(fields.get("let"), &Words::of(&entry.node), &mut scope);
        let when = self.optional_expr(&fields, "when", &scope, Want::Bool);
        let sender = Sender::decide(common.events);
        let require = fields.get("require").map(|node| self.require(node, &scope, &sender)).unwrap_or_default();
        let emit = fields.get("emit").map(|node| self.messages(node, &scope, &sender)).unwrap_or_default();
        let reply = fields.get("reply").and_then(|node| self.template(node, &scope));
        let result = reply.as_ref().map_or(Type::Null, |(_, ty)| ty.clone());
        self.answering(&common.name, sources, Some(vec![kind.clone()]), Some(result));
        let reply = reply.map(|(template, _)| template);
        let cancel_timer = fields.get("cancel_timer").map(|node| self.cancel_timer(node, &scope, common)).unwrap_or_default();
        let acts = !cancel_timer.is_empty()
            || fields.get("emit").is_some()
            || fields.get("reply").is_some()
            || require.iter().any(|rule| !rule.emit.is_empty());
        if !acts {
            let message = format!("`{kind}` is accepted, and nothing comes of it");
            self.say(entry.key_range.clone(), finding("W602", message).hint("`emit` what happened, or `reply`"));
        }
        let at = self.position(entry.key_range.start);
        Some(Decide { kind, lets, when, require, cancel_timer, emit, reply, locals: self.locals, at })
    }

    fn cancel_timer(&mut self, node: &Node, scope: &Scope, common: &Common) -> Vec<crate::topology::model::Template> {
        let mut names = Vec::new();
        for item in elements(node) {
            // A name that is computed may be any; one that is written must be there, unless one that is there may be any.
            let written = item.scalar().map(|scalar| scalar.text.as_str()).filter(|text| is_literal(text));
            let is_known = |text: &str| common.timers.iter().any(|timer| timer == text || !is_literal(timer));
            if let Some(text) = written.filter(|text| !is_known(text)) {
                let found = finding("E608", format!("no message of the aggregate has the timer `{text}`"));
                let found = found.hint("`timer` beside the `delay` of a message names it");
                self.say(item.range.clone(), found.meant(text, common.timers.iter().map(String::as_str)));
            }
            names.extend(self.text_template(item, scope));
        }
        names
    }

    /// How long a state stays without a change.
    pub(super) fn ttl(&mut self, fields: &Fields<'_>) -> Option<SignedDuration> {
        let node = fields.get("ttl")?;
        let length = self.duration(node)?;
        if length.is_zero() {
            let found = finding("E113", "a state that is gone at once is none").hint("leave `ttl` out: states stay");
            self.say(node.range.clone(), found);
            return None;
        }
        Some(length)
    }

    fn evolve(&mut self, entry: &Entry, sources: &[Source], common: &Common, state: &StateType) -> Option<Evolve> {
        let kind = self.type_key(entry)?;
        if common.fold {
            self.sourced_type(&kind, entry.key_range.clone(), sources);
            self.answering(&common.name, sources, Some(vec![kind.clone()]), None);
        } else {
            self.is_newest(&kind, entry.key_range.clone());
        }
        let at = self.position(entry.key_range.start);
        if entry.node.is_null() {
            let change = StateChange::Fields { set: None, unset: Vec::new() };
            return Some(Evolve { kind, lets: Vec::new(), change, locals: 0, at });
        }
        let fields = self.fields(&entry.node, &EVOLVE)?;
        self.locals = 0;
        let data = self.evolve_data(&kind, sources, common);
        let mut scope = self.evolve_scope(data, &common.key, &common.state);
        let lets = self.lets(fields.get("let"), &Words::of(&entry.node), &mut scope);
        let set = match fields.get("set") {
            Some(node) => {
                let (template, ty) = self.template(node, &scope)?;
                self.set_is_map(node, &ty);
                if let Some(schema) = &state.schema {
                    self.fields_fit(node, &ty, schema, "the state");
                }
                Some(template)
            }
            None => None,
        };
        let unset: Vec<Text> = match fields.get("unset") {
            Some(node) => elements(node).iter().filter_map(|item| self.unset(item, &common.state)).collect(),
            None => Vec::new(),
        };
        let delete = fields.get("delete").and_then(|node| self.boolean(node)).unwrap_or(false);
        if delete && (set.is_some() || !unset.is_empty()) {
            let found = finding("E107", "what is deleted has no fields left").hint("`delete` alone, or `set` and `unset`");
            self.say(fields.key_range("delete"), found);
        }
        let change = if delete { StateChange::Delete } else { StateChange::Fields { set, unset } };
        Some(Evolve { kind, lets, change, locals: self.locals, at })
    }

    pub(super) fn set_is_map(&mut self, node: &Node, ty: &Type) {
        if !ty.meets(&Type::map(Type::Any)) {
            let found = finding("E406", format!("`set` is a map of fields, this is {ty}"));
            self.say(node.range.clone(), found);
        }
    }

    fn unset(&mut self, node: &Node, state: &Type) -> Option<Text> {
        let name = self.text(node)?;
        if let Type::Object(object) = state
            && object.rest.is_none()
            && !object.fields.contains_key(&name)
        {
            let found = finding("E307", format!("the state has no field `{name}`"));
            self.say(node.range.clone(), found.meant(&name, object.fields.keys().map(Text::as_str)));
        }
        Some(name)
    }

    /// E602: events that no `decide` emits.
    fn never_emitted(&mut self, evolves: &[Entry], decide: &[Decide]) {
        use crate::topology::model::MessageKind;
        let messages = decide
            .iter()
            .flat_map(|handler| handler.emit.iter().chain(handler.require.iter().flat_map(|rule| rule.emit.iter())));
        let emitted: Vec<Text> = messages
            .filter(|message| message.own_event)
            .filter_map(|message| match &message.kind {
                MessageKind::Named(kind) => Some(kind.clone()),
                MessageKind::Current => None,
            })
            .collect();
        for entry in evolves.iter().filter(|entry| !emitted.iter().any(|kind| *kind == entry.key.as_str())) {
            let found = finding("E602", format!("`decide` never emits `{}` to its events", entry.key));
            self.say(entry.key_range.clone(), found.meant(&entry.key, emitted.iter().map(Text::as_str)));
        }
    }

    fn updates(
        &mut self,
        fields: &Fields<'_>,
        common: &Common,
        evolve: &[Evolve],
    ) -> (Vec<crate::topology::model::Message>, usize) {
        let Some(node) = fields.get("updates") else { return (Vec::new(), 0) };
        // After a deletion there is none.
        let deletes = evolve.iter().any(|handler| matches!(handler.change, StateChange::Delete));
        let state = if deletes { Type::Any } else { common.state.clone() };
        let scope = Scope::new()
            .with(names::KEY, common.key.clone())
            .with(names::STATE, state)
            .with(names::VERSION, Type::Int)
            .with(names::EVENT, names::event())
            .with(names::PARAMS, self.params_type())
            .with(names::CTX, names::ctx());
        self.locals = 0;
        let updates = self.messages(node, &scope, &Sender::updates());
        (updates, self.locals)
    }

    /// W601: a state that is kept and that no decision reads.
    fn unread_state(&mut self, entry: &Entry, fields: &Fields<'_>, decide: &[Decide], evolve: &[Evolve]) {
        let shown = fields.get("updates").is_some() || fields.get("snapshots").is_some();
        if decide.is_empty() || evolve.is_empty() || shown {
            return;
        }
        let read = fields.get("decide").is_some_and(|node| {
            let words = Words::of(node);
            words.has("state") || words.has("version")
        });
        if !read {
            let message = format!("no decision of `{}` reads its state", entry.key);
            self.say(entry.key_range.clone(), finding("W601", message).hint("a pipeline decides without a state"));
        }
    }

    pub(super) fn store_kind(&mut self, fields: &Fields<'_>) -> StoreKind {
        let words = [("disk", StoreKind::Disk), ("memory", StoreKind::Memory)];
        fields.get("store").and_then(|node| self.one_of(node, &words, &[])).unwrap_or_default()
    }

    pub(super) fn snapshots(&mut self, fields: &Fields<'_>) -> Option<usize> {
        let node = fields.get("snapshots")?;
        let topic = self.topic_named(node)?;
        let contract = self.topics.get(topic);
        if !matches!(contract.cleanup, None | Some(Cleanup::Compact)) {
            let message = format!("`{}` is not compacted: states would be lost", contract.name);
            self.say(node.range.clone(), finding("E504", message).hint("`cleanup: compact` on the topic"));
        }
        Some(topic)
    }
}

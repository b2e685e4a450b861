//! Repositories: sugar for an aggregate whose state is an entity.
//!
//! `<name>.create`, `.update` and `.delete` are decided into `<name>.created`, `.updated` and `.deleted`, which carry the
//! whole entity, so that the state is what the last event says.

use super::Lower;
use super::aggregate::DEDUPE;
use super::exprs::Want;
use super::fields::Shape;
use super::message::Sender;
use super::sources::Input;
use crate::expr::{Scope, Type, names};
use crate::record::{Text, Value};
use crate::topology::diagnostic::finding;
use crate::topology::model::{
    Aggregate, AggregateKind, Check, Decide, Evolve, Let, Message, MessageData, MessageKey, MessageKind, MessageTarget,
    MessageType, Require, Schema, Source, SourceFrom, Start, StateChange, StateType,
};
use crate::topology::schema::usable;
use crate::topology::yaml::{self, Entry, Kind, Node, Scalar, Style};
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;

const REPOSITORY: Shape = Shape::new(
    "a repository",
    &["description", "schema", "key", "commands", "events", "snapshots", "replies", "ttl", "store", "errors"],
    &[],
);

/// The entity after an update: null takes a field away.
const UPDATED: &str = "from_entries(entries(merge(state, data)).filter(e, e.value != null))";

/// Where the handlers of a repository are written, as far as its file goes.
struct Place<'p> {
    name: &'p str,
    range: Range<usize>,
    events: usize,
    schema: Schema,
    scope: Scope,
}

impl Lower<'_> {
    /// Types of a repository's messages become types of its topics.
    pub(super) fn repository_types(&mut self, entry: &Entry) {
        let commands = ["create", "update", "delete"];
        self.repository_is_json(entry);
        let topic = |lower: &Self, field: &str| match entry.node.get(field) {
            Some(node) => node.scalar().and_then(|scalar| lower.topics.find(&scalar.text)),
            None => lower.topics.find(&lower.derived(&entry.key, field)),
        };
        if let Some(index) = topic(self, "commands") {
            for command in commands {
                // An entity that does not fit is refused, not undecodable: the asker is told.
                let name = format!("{}.{command}", entry.key).into();
                self.topics.add_type(index, MessageType { name, schema: None, unknown: false });
            }
        }
        if let Some(index) = topic(self, "events") {
            let entity = entry.node.get("schema").and_then(|node| self.json_schema(node).ok().flatten());
            for command in commands {
                let name = format!("{}.{command}d", entry.key).into();
                let schema = entity.as_ref().and_then(|entity| event_schema(entity, command));
                self.topics.add_type(index, MessageType { name, schema, unknown: false });
            }
        }
    }

    /// The messages of a repository have schemas made from that of its entity, which is JSON Schema.
    fn repository_is_json(&mut self, entry: &Entry) {
        for node in ["commands", "events"].into_iter().filter_map(|field| entry.node.get(field)) {
            let topic = node.scalar().and_then(|scalar| self.topics.find(&scalar.text));
            if topic.is_some_and(|topic| self.topics.get(topic).is_framed()) {
                let found = finding("E409", "messages of a repository have no schemas in a registry, those of this topic have");
                self.say(node.range.clone(), found.hint("an aggregate with `decide` and `evolve` can write to it"));
            }
        }
    }

    pub(super) fn repository(&mut self, entry: &Entry, defaults: Option<&Node>) -> Option<Aggregate> {
        let fields = self.fields(&entry.node, &REPOSITORY)?;
        let range = entry.key_range.clone();
        let schema = self.required(&fields, "schema", &REPOSITORY).and_then(|node| self.json_schema(node).ok().flatten());
        let commands = self.topic_of(&fields, &entry.key, "commands");
        let events = self.topic_of(&fields, &entry.key, "events");
        let at = self.position(range.start);
        let (commands, events, schema) = (commands?, events?, schema?);
        for kind in ["create", "update", "delete", "created", "updated", "deleted"] {
            self.is_newest(&format!("{}.{kind}", entry.key), range.clone());
        }
        let source =
            Source { from: SourceFrom::Topic(commands), key: None, start: Start::Earliest, max_age: None, at: at.clone() };
        let mut input = Input { sources: vec![source], keys: vec![None] };
        let key = self.node_keys(&fields, &mut input, &[]);
        self.key_of_commands(&fields, commands);

        let state = schema.ty.clone();
        let scope = self.message_scope(Type::Any, Type::String).with(names::STATE, Type::Any).with(names::VERSION, Type::Int);
        let errors_scope = self.message_scope(Type::Any, Type::String);
        let place = Place { name: &entry.key, range, events, schema: schema.clone(), scope };
        let decide = vec![self.create(&place)?, self.delete(&place)?, self.update(&place)?];
        let evolve = vec![
            self.replaced(&place, "created")?,
            Evolve { kind: place.kind("deleted"), lets: Vec::new(), change: StateChange::Delete, locals: 0, at: at.clone() },
            self.replaced(&place, "updated")?,
        ];
        let kinds = decide.iter().map(|handler| handler.kind.clone()).collect();
        self.answering(&entry.key, &input.sources, Some(kinds), Some(Type::Any));
        let errors = fields.get("errors").filter(|node| !node.is_null());
        Some(Aggregate {
            name: entry.key.as_str().into(),
            description: fields.get("description").and_then(|node| self.text(node)),
            kind: AggregateKind::Repository,
            sources: input.sources,
            key,
            events: Some(events),
            initial: self.empty_template(place.range.start),
            state: StateType { schema: Some(schema), ty: state },
            state_version: 1,
            upcast: Vec::new(),
            decide,
            evolve,
            updates: Vec::new(),
            updates_locals: 0,
            replies: fields.get("replies").and_then(|node| self.topic_named(node)),
            dedupe: Some(DEDUPE),
            ttl: self.ttl(&fields),
            store: self.store_kind(&fields),
            snapshots: self.snapshots(&fields),
            errors: self.errors(errors, defaults, &errors_scope, &Sender::failure()),
            at,
        })
    }

    fn topic_of(&mut self, fields: &super::fields::Fields<'_>, name: &str, kind: &str) -> Option<usize> {
        match fields.get(kind) {
            Some(node) => self.topic_named(node),
            None => self.topics.find(&self.derived(name, kind)),
        }
    }

    /// Derived commands are keyed as the repository is: senders fill the key in, and nothing is repartitioned.
    fn key_of_commands(&mut self, fields: &super::fields::Fields<'_>, commands: usize) {
        let Some(node) = fields.get("key").filter(|_| self.topics.get(commands).derived) else { return };
        let scope = Scope::new().with(names::DATA, Type::Any).with(names::EVENT, names::event());
        let fits = self.trial(node, &scope).iter().all(|problem| problem.code.starts_with('W'));
        if let Some(key) = fits.then(|| self.key_expr(node, &scope, &[])).flatten() {
            self.topics.set_key(commands, key);
        }
    }

    fn create(&mut self, place: &Place<'_>) -> Option<Decide> {
        let absent = self.written_rule(place, "version == 0", "ALREADY_EXISTS", "there is an entity of this key already")?;
        let fits = self.fits_rule(place, "data")?;
        let fields = [("entityId", "=key"), ("entity", "=data")];
        self.decided(place, "create", &place.scope, vec![absent, fits], &fields, Vec::new(), 0)
    }

    fn update(&mut self, place: &Place<'_>) -> Option<Decide> {
        self.locals = 0;
        let mut scope = place.scope.clone();
        let (expr, ty) = self.expr(&place.node(UPDATED), &scope, Want::Any)?;
        let slot = self.local(&mut scope, "entity", ty.clone());
        let lets = vec![Let { name: "entity".into(), slot, expr, ty }];
        let inner = Place { scope: scope.clone(), range: place.range.clone(), schema: place.schema.clone(), ..*place };
        let present = self.written_rule(&inner, "version > 0", "NOT_FOUND", "there is no entity of this key")?;
        let fits = self.fits_rule(&inner, "entity")?;
        let fields = [("entityId", "=key"), ("entity", "=entity"), ("changes", "=data")];
        self.decided(place, "update", &scope, vec![present, fits], &fields, lets, 1)
    }

    fn delete(&mut self, place: &Place<'_>) -> Option<Decide> {
        let present = self.written_rule(place, "version > 0", "NOT_FOUND", "there is no entity of this key")?;
        let fields = [("entityId", "=key"), ("entity", "=state")];
        self.decided(place, "delete", &place.scope, vec![present], &fields, Vec::new(), 0)
    }

    fn written_rule(&mut self, place: &Place<'_>, that: &str, code: &str, message: &str) -> Option<Require> {
        let (that, _) = self.expr(&place.node(that), &place.scope, Want::Bool)?;
        self.rule_of(place, Check::That(that), code, message)
    }

    fn fits_rule(&mut self, place: &Place<'_>, value: &str) -> Option<Require> {
        let (value, _) = self.expr(&place.node(value), &place.scope, Want::Any)?;
        let check = Check::Fits { value, schema: place.schema.clone() };
        self.rule_of(place, check, "SCHEMA_INVALID", "the entity does not fit its schema")
    }

    fn rule_of(&mut self, place: &Place<'_>, check: Check, code: &str, message: &str) -> Option<Require> {
        let message = self.text_template(&place.node(message), &place.scope)?;
        let (details, _) = self.template(&place.map(&[("entityId", "=key")]), &place.scope)?;
        let at = self.position(place.range.start);
        Some(Require {
            check,
            code: code.into(),
            message: Some(message),
            details: Some(details),
            emit: Vec::new(),
            dead_letter: false,
            retryable: false,
            at,
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a handler, each named where it is made")]
    fn decided(
        &mut self,
        place: &Place<'_>,
        command: &str,
        scope: &Scope,
        require: Vec<Require>,
        fields: &[(&str, &str)],
        lets: Vec<Let>,
        locals: usize,
    ) -> Option<Decide> {
        let (data, _) = self.template(&place.map(fields), scope)?;
        let (reply, _) = self.template(&place.map(fields), scope)?;
        let at = self.position(place.range.start);
        let key = if self.topics.get(place.events).key.is_some() { MessageKey::OfTopic } else { MessageKey::Current };
        let event = Message {
            kind: MessageKind::Named(place.kind(&format!("{command}d"))),
            to: MessageTarget::Topic(place.events),
            key,
            data: MessageData::Template(data),
            headers: None,
            metadata: None,
            id: None,
            when: None,
            for_each: None,
            own_event: true,
            forward: false,
            delay: None,
            at: at.clone(),
        };
        Some(Decide {
            kind: place.kind(command),
            lets,
            when: None,
            require,
            cancel_timer: Vec::new(),
            emit: vec![event],
            reply: Some(reply),
            locals,
            at,
        })
    }

    fn replaced(&mut self, place: &Place<'_>, event: &str) -> Option<Evolve> {
        let scope = Scope::new().with(names::DATA, Type::Any).with(names::EVENT, names::event());
        let (entity, _) = self.expr(&place.node("data.entity"), &scope, Want::Any)?;
        let at = self.position(place.range.start);
        let change = StateChange::Replace(entity);
        Some(Evolve { kind: place.kind(event), lets: Vec::new(), change, locals: 0, at })
    }
}

impl Place<'_> {
    fn kind(&self, what: &str) -> Text {
        format!("{}.{what}", self.name).into()
    }

    /// A value as if it were written where the repository is.
    fn node(&self, text: &str) -> Node {
        let scalar = Scalar { text: text.to_owned(), style: Style::Plain, value: Value::from(text) };
        Node { kind: Kind::Scalar(scalar), range: self.range.clone() }
    }

    fn map(&self, fields: &[(&str, &str)]) -> Node {
        let entry = |(key, text): &(&str, &str)| yaml::Entry {
            key: (*key).to_owned(),
            key_range: self.range.clone(),
            node: self.node(text),
        };
        Node { kind: Kind::Map(fields.iter().map(entry).collect()), range: self.range.clone() }
    }
}

/// The schema of a repository's events, from that of its entity. One with references stands for its own document only, and
/// the event's payload is then not checked: the entity within it was.
fn event_schema(entity: &Schema, command: &str) -> Option<Schema> {
    let text = entity.document.to_string();
    if text.contains("\"$ref\"") || text.contains("\"$id\"") || text.contains("\"$dynamicRef\"") {
        return None;
    }
    let mut document = json!({
        "type": "object",
        "properties": { "entityId": { "type": "string" }, "entity": *entity.document },
        "required": ["entityId", "entity"],
    });
    if command == "update" {
        document["properties"]["changes"] = json!({ "type": "object" });
    }
    let compiled = usable(&document).ok()?;
    let ty = crate::topology::schema::type_of(&document, crate::topology::schema::Unnamed::Unknown);
    let (document, written) = (Arc::new(document), ty.clone());
    Some(Schema { document, compiled, written, ty, file: None, subject: None, texts: Vec::new() })
}

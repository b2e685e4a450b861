//! Contracts: the topics that are declared, and those that nodes derive.

use super::fields::{Fields, Shape};
use super::scalars::{TOPIC, TYPE};
use super::{Lower, Sections, saga};
use crate::codec::{Envelope, Format, KeyFormat, Language, Mapping};
use crate::expr::{Scope, Type, names};
use crate::record::{Text, Value};
use crate::topology::diagnostic::finding;
use crate::topology::model::{Cleanup, Contract, MessageType, Retention, Schema, Subject};
use crate::topology::yaml::{Entry, Kind, Node};
use std::ops::Range;

/// The topics of a file, by index.
#[derive(Default)]
pub(super) struct Topics {
    contracts: Vec<Contract>,
    ranges: Vec<Range<usize>>,
}

impl Topics {
    pub(super) fn get(&self, index: usize) -> &Contract {
        &self.contracts[index]
    }

    pub(super) fn range(&self, index: usize) -> Range<usize> {
        self.ranges[index].clone()
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.contracts.iter().position(|contract| contract.name == name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Contract> {
        self.contracts.iter()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.contracts.iter().map(|contract| contract.name.as_str())
    }

    /// Topics that declare a type.
    pub(super) fn declaring(&self, kind: &str) -> Vec<usize> {
        let declares = |contract: &Contract| contract.message_type(kind).is_some();
        self.contracts.iter().enumerate().filter(|(_, contract)| declares(contract)).map(|(index, _)| index).collect()
    }

    pub(super) fn push(&mut self, contract: Contract, range: Range<usize>) -> usize {
        self.contracts.push(contract);
        self.ranges.push(range);
        self.contracts.len() - 1
    }

    /// Adds a type to a topic, which from then on declares types.
    pub(super) fn add_type(&mut self, index: usize, added: MessageType) {
        let types = self.contracts[index].types.get_or_insert_default();
        if let Err(at) = types.binary_search_by(|known| known.name.cmp(&added.name)) {
            types.insert(at, added);
        }
    }

    pub(super) fn set_key(&mut self, index: usize, key: crate::topology::model::Expr) {
        self.contracts[index].key.get_or_insert(key);
    }

    pub(super) fn into_contracts(self) -> Vec<Contract> {
        self.contracts
    }
}

const CONTRACT: Shape = Shape::new(
    "a topic",
    &[
        "description",
        "partitions",
        "replication",
        "retention",
        "cleanup",
        "config",
        "types",
        "key",
        "envelope",
        "type_header",
        "format",
        "key_format",
        "validate",
        "registry",
        "subject",
        "auto_register",
    ],
    &[],
);

/// Settings that have a field of their own, or that the engine relies on.
const OWNED: &[(&str, &str)] = &[
    ("cleanup.policy", "write `cleanup`"),
    ("retention.ms", "write `retention`"),
    ("num.partitions", "write `partitions`"),
    ("default.replication.factor", "write `replication`"),
    ("message.timestamp.type", "the engine sets the timestamps"),
    ("compression.type", "the producer compresses"),
];

impl Lower<'_> {
    pub(super) fn declared_topics(&mut self, fields: &Fields<'_>) {
        let Some(node) = fields.get("topics").filter(|node| !node.is_null()) else { return };
        let Some(entries) = self.map(node, "topics") else { return };
        for entry in entries {
            self.declared_topic(entry);
        }
    }

    fn declared_topic(&mut self, entry: &Entry) {
        let Some(name) = self.checked_word(&entry.key, entry.key_range.clone(), &TOPIC) else { return };
        let mut contract = Contract::undeclared(name);
        contract.at = self.position(entry.key_range.start);
        if !entry.node.is_null()
            && let Some(fields) = self.fields(&entry.node, &CONTRACT)
        {
            self.contract_fields(&fields, &mut contract);
        }
        self.topics.push(contract, entry.key_range.clone());
    }

    fn contract_fields(&mut self, fields: &Fields<'_>, contract: &mut Contract) {
        contract.description = fields.get("description").and_then(|node| self.text(node));
        contract.partitions =
            fields.get("partitions").and_then(|node| self.integer(node, 1..=100_000)).map(|count| count as u32);
        contract.replication =
            fields.get("replication").and_then(|node| self.integer(node, 1..=1_000)).map(|count| count as u16);
        contract.retention = fields.get("retention").and_then(|node| self.retention(node));
        let cleanups = [("delete", Cleanup::Delete), ("compact", Cleanup::Compact), ("both", Cleanup::Both)];
        contract.cleanup = fields.get("cleanup").and_then(|node| self.one_of(node, &cleanups, &[]));
        if let Some(node) = fields.get("config").filter(|node| !node.is_null()) {
            contract.config = self.topic_config(node);
        }
        let formats = [Format::Json, Format::Avro, Format::Protobuf, Format::Auto, Format::String, Format::Bytes];
        let formats = formats.map(|format| (format.name(), format));
        if let Some(format) = fields.get("format").and_then(|node| self.one_of(node, &formats, &[])) {
            contract.format = format;
        }
        let later = ["avro", "protobuf"];
        let formats = [("json", KeyFormat::Json), ("string", KeyFormat::String), ("bytes", KeyFormat::Bytes)];
        if let Some(format) = fields.get("key_format").and_then(|node| self.one_of(node, &formats, &later)) {
            contract.key_format = format;
        }
        if let Some(validate) = fields.get("validate").and_then(|node| self.boolean(node)) {
            contract.validate = validate;
        }
        if let Some(registry) = fields.get("registry").and_then(|node| self.boolean(node)) {
            contract.registry = registry;
            if contract.format != Format::Json {
                let found = finding("E105", "`registry` belongs to `format: json`");
                self.say(fields.key_range("registry"), found);
            }
        }
        contract.envelope = self.envelope(fields);
        let enveloped = !matches!(contract.envelope, Envelope::None { .. } | Envelope::CloudEvents);
        if contract.registry && contract.format == Format::Json && enveloped {
            let found = finding("E107", "a value behind the id of its schema is the payload");
            self.say(fields.key_range("registry"), found.hint("write `envelope: none` or `envelope: cloudevents`"));
        }
        if contract.format != Format::Json && enveloped {
            let range = fields.key_range("format");
            let found = finding("E107", "only JSON has an envelope within it");
            self.say(range, found.hint("write `envelope: none` or `envelope: cloudevents`"));
        }
        if contract.format == Format::Auto && contract.envelope == Envelope::CloudEvents {
            let found = finding("E107", "a CloudEvent says what its data are in");
            self.say(fields.key_range("format"), found.hint("write the format that they are in"));
        }
        if let Some(node) = fields.get("types").filter(|node| !node.is_null()) {
            contract.types = self.types(node, contract.format);
        }
        self.registration(fields, contract);
        if let Some(node) = fields.get("key") {
            self.topic_key(node, contract);
        }
    }

    fn retention(&mut self, node: &Node) -> Option<Retention> {
        if node.scalar().is_some_and(|scalar| scalar.text == "forever") {
            return Some(Retention::Forever);
        }
        self.duration(node).map(Retention::For)
    }

    fn topic_config(&mut self, node: &Node) -> Vec<(Text, Text)> {
        let Some(entries) = self.map(node, "settings of the broker") else { return Vec::new() };
        let mut config = Vec::new();
        for entry in entries {
            if let Some((name, instead)) = OWNED.iter().find(|(name, _)| *name == entry.key) {
                let found = finding("E507", format!("`{name}` is not set here")).hint(*instead);
                self.say(entry.key_range.clone(), found);
                continue;
            }
            if let Some(value) = self.text(&entry.node) {
                config.push((entry.key.as_str().into(), value));
            }
        }
        config
    }

    /// How the schemas of a topic are registered whose values carry their ids.
    fn registration(&mut self, fields: &Fields<'_>, contract: &mut Contract) {
        let subjects = [("topic", Subject::Topic), ("record", Subject::Record), ("topic-record", Subject::TopicRecord)];
        if let Some(subject) = fields.get("subject").and_then(|node| self.one_of(node, &subjects, &[])) {
            contract.subject = subject;
        }
        if let Some(auto_register) = fields.get("auto_register").and_then(|node| self.boolean(node)) {
            contract.auto_register = auto_register;
        }
        if !contract.is_framed() {
            for name in ["subject", "auto_register"] {
                if fields.get(name).is_some() {
                    let message =
                        format!("`{name}` belongs to the formats `avro` and `protobuf`, or to JSON with `registry: true`");
                    let found = finding("E105", message);
                    self.say(fields.key_range(name), found);
                }
            }
            return;
        }
        let schemas = contract.types.iter().flatten().filter_map(|known| known.schema.as_ref());
        let mut texts: Vec<&str> = schemas.map(|schema| &*schema.compiled.document().text).collect();
        texts.sort_unstable();
        texts.dedup();
        if contract.subject == Subject::Topic && texts.len() > 1 {
            let message = format!("{} schemas would be versions of the one subject `{}-value`", texts.len(), contract.name);
            let found =
                finding("E409", message).hint("write `subject: topic-record`: each schema has a subject of its own then");
            self.say(fields.key_range("types"), found);
        }
    }

    /// Says where a schema is not of the language that the topic's bytes are in.
    fn schema_of_format(&mut self, schema: &Schema, format: Format, at: &Range<usize>) {
        let (is, written) = match schema.compiled.language() {
            Language::Json => ("a JSON Schema", "json"),
            Language::Avro => ("an Avro schema", "avro"),
            Language::Protobuf => ("a Protobuf schema", "protobuf"),
        };
        let found = match (schema.compiled.language(), format) {
            (Language::Avro, Format::Avro) | (Language::Protobuf, Format::Protobuf) => return,
            (_, Format::Avro) => finding("E409", format!("this is {is}, and the topic is Avro")).hint("name an `.avsc` file"),
            (_, Format::Protobuf) => {
                let found = finding("E409", format!("this is {is}, and the topic is Protobuf"));
                found.hint("name a message of a `.proto` file: `order.proto#shop.OrderCreated`")
            }
            (Language::Json, _) | (_, Format::Auto) => return,
            _ => finding("E409", format!("this is {is}, and the topic's format is another"))
                .hint(format!("write `format: {written}`")),
        };
        self.say(at.clone(), found);
    }

    fn types(&mut self, node: &Node, format: Format) -> Option<Vec<MessageType>> {
        let mut types: Vec<MessageType> = Vec::new();
        if let Kind::List(items) = &node.kind {
            for item in items {
                types.extend(self.word(item, &TYPE).map(|name| MessageType { name, schema: None, unknown: false }));
            }
        } else {
            for entry in self.map(node, "types with their schemas")? {
                let Some(name) = self.checked_word(&entry.key, entry.key_range.clone(), &TYPE) else { continue };
                // One whose schema is wrong is still a type of this topic.
                let unknown = self.notes.unknown.len();
                let schema = self.schema(&entry.node);
                let unknown = schema.is_err() || self.notes.unknown.len() > unknown;
                let schema = schema.unwrap_or(None);
                if let Some(schema) = &schema {
                    self.schema_of_format(schema, format, &entry.node.range);
                }
                types.push(MessageType { name, schema, unknown });
            }
        }
        types.sort_by(|a, b| a.name.cmp(&b.name));
        types.dedup_by(|a, b| a.name == b.name);
        Some(types)
    }

    fn envelope(&mut self, fields: &Fields<'_>) -> Envelope {
        let header = fields.get("type_header");
        let envelope = match fields.get("envelope") {
            None => Envelope::Event,
            Some(node) if node.map().is_some() => self.mapping(node),
            Some(node) => {
                let none = Envelope::None { type_header: None };
                let words = [("event", Envelope::Event), ("cloudevents", Envelope::CloudEvents), ("none", none)];
                self.one_of(node, &words, &[]).unwrap_or_default()
            }
        };
        match (envelope, header) {
            (Envelope::None { .. }, Some(node)) => Envelope::None { type_header: self.text(node) },
            (envelope, None) => envelope,
            (envelope, Some(_)) => {
                let found = finding("E105", "`type_header` belongs to `envelope: none`");
                self.say(fields.key_range("type_header"), found);
                envelope
            }
        }
    }

    fn mapping(&mut self, node: &Node) -> Envelope {
        const MAPPING: Shape =
            Shape::new("an envelope", &["id", "type", "source", "time", "data", "correlation_id", "causation_id"], &[]);
        let Some(fields) = self.fields(node, &MAPPING) else { return Envelope::Event };
        let kind = self.required(&fields, "type", &MAPPING).and_then(|node| self.path(node));
        let data = self.required(&fields, "data", &MAPPING).and_then(|node| self.path(node));
        let mut path = |name| fields.get(name).and_then(|node| self.path(node));
        let mapping = Mapping {
            id: path("id"),
            source: path("source"),
            time: path("time"),
            correlation_id: path("correlation_id"),
            causation_id: path("causation_id"),
            kind: kind.unwrap_or_default(),
            data: data.unwrap_or_default(),
        };
        Envelope::Mapping(mapping)
    }

    /// A dotted path into a value.
    fn path(&mut self, node: &Node) -> Option<Vec<Text>> {
        let text = self.text(node)?;
        let parts: Vec<Text> = text.split('.').map(Text::from).collect();
        if parts.iter().all(|part| !part.is_empty()) && parts.len() <= 16 {
            return Some(parts);
        }
        let found = finding("E408", format!("`{text}` is not a path")).hint("names of fields with dots between: `header.type`");
        self.say(node.range.clone(), found);
        None
    }

    /// `key` of a topic: checked against each of its types, compiled over what they have in common.
    fn topic_key(&mut self, node: &Node, contract: &mut Contract) {
        let scope = |data: Type| Scope::new().with(names::DATA, data).with(names::EVENT, names::event());
        // What is keyed when it is read is of the newest type by then.
        let newest =
            contract.types.iter().flatten().filter(|known| !self.outdated.has(&known.name)).cloned().collect::<Vec<_>>();
        for known in &newest {
            let Some(schema) = &known.schema else { continue };
            for problem in self.trial(node, &scope(schema.ty.clone())) {
                if matches!(problem.code, "E307" | "W302") {
                    let message = format!("the key does not fit `{}`: {}", known.name, problem.message);
                    self.place_at(node, problem.range.clone(), finding("E404", message));
                }
            }
        }
        let data = self.data_of(contract, None);
        contract.key = self.key_expr(node, &scope(data), &["E307", "W302"]);
    }

    /// Type of the payload of a topic's records: of one type, or what all of them have.
    pub(super) fn data_of(&self, contract: &Contract, kind: Option<&str>) -> Type {
        match contract.format {
            Format::String => return Type::String,
            Format::Bytes => return Type::Bytes,
            Format::Json | Format::Avro | Format::Protobuf | Format::Auto => {}
        }
        let ty = |known: &MessageType| known.schema.as_ref().map_or(Type::Any, |schema| schema.ty.clone());
        match (&contract.types, kind) {
            (None, _) => Type::Any,
            (Some(_), Some(kind)) => contract.message_type(kind).map_or(Type::Any, ty),
            (Some(types), None) => Type::join_all(types.iter().filter(|known| !self.outdated.has(&known.name)).map(ty)),
        }
    }

    /// Topics that nodes derive and others may name: events, commands, replies, histories.
    pub(super) fn derived_topics(&mut self, sections: &Sections<'_>) {
        for entry in sections.all() {
            self.reserved(&entry.key);
        }
        for entry in sections.aggregates {
            let has_decide = entry.node.get("decide").is_some_and(|node| !node.is_null());
            if has_decide && entry.node.get("events").is_none() {
                let name = self.derived(&entry.key, "events");
                let types = self.decided_types(entry);
                self.derive(name, Some(types), entry);
            }
        }
        for entry in sections.repositories {
            for kind in ["commands", "events"] {
                if entry.node.get(kind).is_none() {
                    let name = self.derived(&entry.key, kind);
                    self.derive(name, Some(Vec::new()), entry);
                }
            }
            self.repository_types(entry);
        }
        for entry in sections.sagas {
            if saga::hears_replies(&entry.node) {
                let types = ["reply.accepted", "reply.rejected"].map(|name| MessageType {
                    name: name.into(),
                    schema: None,
                    unknown: false,
                });
                self.derive(self.derived(&entry.key, "replies"), Some(types.into()), entry);
            }
            self.derive(self.derived(&entry.key, "history"), None, entry);
        }
    }

    /// W401, once it is known which types nodes add.
    pub(super) fn untyped_topics(&mut self) {
        for index in 0..self.topics.contracts.len() {
            let contract = self.topics.get(index);
            if contract.types.is_none() && !contract.derived {
                let message = format!("`{}` declares no types: nothing of its records is checked", contract.name);
                let found = finding("W401", message).hint("list them under `types`, `{}` for any content");
                self.say(self.topics.range(index), found);
            }
        }
    }

    /// The name of a topic that a node derives.
    pub(super) fn derived(&self, node: &str, kind: &str) -> Text {
        format!("{}.{node}.{kind}", self.name).into()
    }

    fn derive(&mut self, name: Text, types: Option<Vec<MessageType>>, entry: &Entry) {
        // A declared one was told (E209).
        if self.topics.find(&name).is_some() {
            return;
        }
        let mut contract = Contract::undeclared(name);
        contract.derived = true;
        contract.types = types;
        contract.at = self.position(entry.key_range.start);
        self.topics.push(contract, entry.key_range.clone());
    }

    /// Says which declared topics have names that a node, or the topology itself, derives.
    fn reserved(&mut self, node: &str) {
        const KINDS: [&str; 8] = ["events", "commands", "snapshots", "changelog", "repartition", "replies", "inbox", "history"];
        let mut derived: Vec<Text> = KINDS.iter().map(|kind| self.derived(node, kind)).collect();
        derived.extend(["dlq", "definitions", "audit"].iter().map(|kind| Text::from(format!("{}.{kind}", self.name))));
        for name in derived {
            if let Some(index) = self.topics.find(&name).filter(|index| !self.topics.get(*index).derived) {
                let found = finding("E209", format!("`{name}` is derived: this file does not declare it"));
                self.say(self.topics.range(index), found.hint("leave it out here, or give the topic another name"));
            }
        }
    }

    /// Types that an aggregate emits without saying where to, and that no topic declares: those of its derived events.
    fn decided_types(&self, entry: &Entry) -> Vec<MessageType> {
        let derived = self.derived(&entry.key, "events");
        let mut names: Vec<Text> = Vec::new();
        for handler in entry.node.get("decide").and_then(Node::map).unwrap_or(&[]) {
            let rules = handler.node.get("require").map(elements).unwrap_or(&[]);
            let emits = rules.iter().chain(std::iter::once(&handler.node)).filter_map(|node| node.get("emit"));
            for message in emits.flat_map(elements) {
                let to_events = match message.get("to").and_then(Node::scalar) {
                    Some(to) => to.text == derived,
                    None => message.get("to").is_none(),
                };
                let Some(Value::Str(kind)) = message.get("type").and_then(Node::scalar).map(|scalar| &scalar.value) else {
                    continue;
                };
                if to_events && super::scalars::is_type(kind) && self.topics.declaring(kind).is_empty() {
                    names.push(kind.clone());
                }
            }
        }
        names.sort();
        names.dedup();
        names.into_iter().map(|name| MessageType { name, schema: None, unknown: false }).collect()
    }

    /// A topic that the file declares or derives.
    pub(super) fn topic_named(&mut self, node: &Node) -> Option<usize> {
        let name = self.word(node, &TOPIC)?;
        self.known_topic(&name, node.range.clone())
    }

    pub(super) fn known_topic(&mut self, name: &str, range: Range<usize>) -> Option<usize> {
        if let Some(index) = self.topics.find(name) {
            return Some(index);
        }
        let found = finding("E202", format!("unknown topic `{name}`"));
        let known: Vec<String> = self.topics.names().map(str::to_owned).collect();
        let hint = crate::topology::diagnostic::nearest(name, known.iter().map(String::as_str))
            .map_or_else(|| "declare it under `topics`".to_owned(), |near| format!("did you mean `{near}`?"));
        self.say(range, found.hint(hint));
        None
    }
}

/// The elements of a list, or the one value that stands for a list.
pub(super) fn elements(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        _ => std::slice::from_ref(node),
    }
}

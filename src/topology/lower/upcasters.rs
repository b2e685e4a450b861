//! Upcasters: what messages of an old type become before anything sees them.
//!
//! Which types are old must be known before any topic or node is read: handlers name the newest types only, and what a source
//! gives is of these. So the names are gathered first ([`Lower::outdated_types`]), and what the upcasters do is compiled once the
//! topics have their types ([`Lower::upcasters`]).

use super::fields::{Fields, Shape};
use super::scalars::TYPE;
use super::topics::elements;
use super::{Lower, Sections};
use crate::codec::Format;
use crate::expr::{Scope, Type, names};
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::{Schema, Upcaster};
use crate::topology::yaml::{Entry, Node};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const UPCASTER: Shape = Shape::new("an upcaster", &["to", "data"], &[]);

/// Old types, each with the one that it becomes.
#[derive(Debug, Default)]
pub(super) struct Outdated(BTreeMap<Text, Text>);

impl Outdated {
    /// Is it made another type when it is read?
    pub(super) fn has(&self, kind: &str) -> bool {
        self.0.contains_key(kind)
    }

    /// The types that a type becomes one after the other; those of a cycle once each.
    fn chain(&self, kind: &str) -> Vec<&Text> {
        let mut chain: Vec<&Text> = Vec::new();
        let mut at = kind;
        while let Some(next) = self.0.get(at) {
            if chain.contains(&next) {
                break;
            }
            chain.push(next);
            at = next;
        }
        chain
    }

    /// What handlers see of messages of a type.
    pub(super) fn newest<'k>(&'k self, kind: &'k str) -> &'k str {
        self.chain(kind).last().map_or(kind, |last| last.as_str())
    }
}

/// What the nodes of a file read, as far as its text says.
struct Read {
    topics: Vec<usize>,
    patterns: bool,
}

impl Lower<'_> {
    /// Notes which types are old.
    pub(super) fn outdated_types(&mut self, fields: &Fields<'_>) {
        let entries = fields.get("upcasters").and_then(Node::map).unwrap_or(&[]);
        let pairs = entries.iter().filter_map(|entry| Some((entry.key.as_str().into(), entry.node.get("to")?.scalar()?)));
        self.outdated = Outdated(pairs.map(|(from, to)| (from, to.text.as_str().into())).collect());
    }

    /// `upcasters`, sorted by the types that they read.
    pub(super) fn upcasters(&mut self, fields: &Fields<'_>, sections: &Sections<'_>) -> Vec<Upcaster> {
        let sources: Vec<&Node> = sections.all().filter_map(|entry| entry.node.get("from")).flat_map(elements).collect();
        let named = sources.iter().filter_map(|source| source.get("topic").unwrap_or(source).scalar());
        let read = Read {
            topics: named.filter_map(|name| self.topics.find(&name.text)).collect(),
            patterns: sources.iter().any(|source| source.get("pattern").is_some()),
        };
        let mut upcasters = Vec::new();
        for entry in self.section(fields, "upcasters") {
            upcasters.extend(self.upcaster(entry, &read));
        }
        upcasters.sort_by(|a: &Upcaster, b| a.from.cmp(&b.from));
        upcasters
    }

    fn upcaster(&mut self, entry: &Entry, read: &Read) -> Option<Upcaster> {
        let from = self.type_key(entry)?;
        let fields = self.fields(&entry.node, &UPCASTER)?;
        let to = self.required(&fields, "to", &UPCASTER).and_then(|node| Some((node, self.word(node, &TYPE)?)));
        let data = self.required(&fields, "data", &UPCASTER);
        let (to_node, to) = to?;
        if from.starts_with("reply.") {
            let found = finding("E213", format!("`{from}` is a type of the engine's own, and stays as it is"));
            self.say(entry.key_range.clone(), found);
            return None;
        }
        self.no_cycle(&from, entry.key_range.clone())?;
        // What is only written may be for readers of the old type.
        let mut topics = self.topics.declaring(&from);
        topics.retain(|topic| read.topics.contains(topic));
        self.no_gap(&from, &to, &topics, to_node, entry, read.patterns)?;
        let schemas = self.schemas_of(&topics, &to);
        let ty = match topics.as_slice() {
            [] => Type::Any,
            topics => Type::join_all(topics.iter().map(|topic| self.data_of(self.topics.get(*topic), Some(&from)))),
        };
        let scope = Scope::new().with(names::DATA, ty).with(names::EVENT, names::event());
        let node = data?;
        let (template, given) = self.template(node, &scope)?;
        for schema in schemas {
            self.becomes(node, &given, &schema, &format!("`{to}`"));
        }
        Some(Upcaster { from, to, data: template, at: self.position(entry.key_range.start) })
    }

    /// A chain ends in a type that is no old one.
    fn no_cycle(&mut self, from: &Text, range: Range<usize>) -> Option<()> {
        let chain = self.outdated.chain(from);
        if !chain.contains(&from) {
            return Some(());
        }
        let said: Vec<String> = chain.iter().map(|kind| format!("`{kind}`")).collect();
        let found = finding("E213", format!("`{from}` becomes {}: a circle", said.join(", then ")));
        self.say(range, found.hint("old types become newer ones, and the newest has no upcaster"));
        None
    }

    /// Messages of the old type may come, and wherever they do the newer one is known.
    fn no_gap(
        &mut self,
        from: &Text,
        to: &Text,
        topics: &[usize],
        to_node: &Node,
        entry: &Entry,
        patterns: bool,
    ) -> Option<()> {
        let lacking = topics.iter().map(|topic| self.topics.get(*topic)).find(|topic| topic.message_type(to).is_none());
        if let Some(topic) = lacking {
            let found = finding("E213", format!("`{}` has messages of type `{from}`, and not of `{to}`", topic.name));
            let found = found.hint(format!("declare `{to}` beside it, under `types` of `{}`", topic.name));
            self.say(to_node.range.clone(), found);
            return None;
        }
        // Old events of an aggregate lie in its topic, which has the types that it emits now; and a topic without types has any.
        let newest = self.outdated.newest(to);
        let has_any = |topic: &crate::topology::model::Contract| match &topic.types {
            None => true,
            Some(_) => topic.derived && topic.message_type(newest).is_some(),
        };
        if topics.is_empty() && !patterns && !self.topics.all().any(has_any) {
            let known: Vec<Text> =
                self.topics.all().flat_map(|topic| topic.types.iter().flatten().map(|known| known.name.clone())).collect();
            let found = finding("E213", format!("no topic that is read has messages of type `{from}`"));
            let found = found.cause("declare it under `types` of the topic that it still lies in, with the schema that it has");
            self.say(entry.key_range.clone(), found.meant(from, known.iter().map(Text::as_str)));
            return None;
        }
        Some(())
    }

    /// The schemas that the topics have for a type, each once.
    fn schemas_of(&self, topics: &[usize], kind: &str) -> Vec<Schema> {
        let mut schemas: Vec<Schema> = Vec::new();
        for topic in topics {
            let contract = self.topics.get(*topic);
            let schema = contract.message_type(kind).and_then(|known| known.schema.as_ref());
            let Some(schema) = schema.filter(|_| contract.validate || contract.format != Format::Json) else { continue };
            if !schemas.iter().any(|known| Arc::ptr_eq(&known.document, &schema.document)) {
                schemas.push(schema.clone());
            }
        }
        schemas
    }

    /// Handlers name what they see: the newest of the types that a message has.
    pub(super) fn is_newest(&mut self, kind: &str, range: Range<usize>) -> bool {
        if !self.outdated.has(kind) {
            return true;
        }
        let newest = self.outdated.newest(kind).to_owned();
        let found = finding("E213", format!("no handler sees `{kind}`: it is `{newest}` when it is read"));
        let found = found.cause("`upcasters` makes it so before anything sees it");
        self.say(range, found.hint(format!("handle `{newest}`")));
        false
    }
}

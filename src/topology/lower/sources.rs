//! Sources: where nodes read from, and what they get there.

use super::fields::Shape;
use super::scalars::shortened;
use super::topics::elements;
use super::{Lower, scalars::TYPE};
use crate::codec::KeyFormat;
use crate::expr::Type;
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::{Source, SourceFrom, Start};
use crate::topology::yaml::{Entry, Node};
use std::ops::Range;

const SOURCE: Shape = Shape::new("a source", &["topic", "pattern", "key", "start", "max_age"], &["time"]);

/// What the sources of a node give, before their keys are compiled.
pub(super) struct Input<'n> {
    pub(super) sources: Vec<Source>,
    /// Of each source, the expression of its `key`.
    pub(super) keys: Vec<Option<&'n Node>>,
}

impl Lower<'_> {
    /// `from` of a node.
    pub(super) fn input<'n>(&mut self, node: &'n Node) -> Input<'n> {
        let mut input = Input { sources: Vec::new(), keys: Vec::new() };
        for item in elements(node) {
            if let Some((source, key)) = self.source(item) {
                let known = input.sources.iter().any(|earlier: &Source| earlier.from == source.from);
                if known {
                    self.say(item.range.clone(), finding("E107", "this source is listed twice"));
                    continue;
                }
                input.sources.push(source);
                input.keys.push(key);
            }
        }
        if input.sources.is_empty() && elements(node).is_empty() {
            self.wrong_kind(node, "a topic, or a list of sources");
        }
        input
    }

    fn source<'n>(&mut self, node: &'n Node) -> Option<(Source, Option<&'n Node>)> {
        let at = self.position(node.range.start);
        let plain = |from| Source { from, key: None, start: Start::Earliest, max_age: None, at: at.clone() };
        if node.map().is_none() {
            return self.topic_named(node).map(|topic| (plain(SourceFrom::Topic(topic)), None));
        }
        let fields = self.fields(node, &SOURCE)?;
        let from = match (fields.get("topic"), fields.get("pattern")) {
            (Some(topic), None) => self.topic_named(topic).map(SourceFrom::Topic),
            (None, Some(pattern)) => self.pattern(pattern).map(SourceFrom::Pattern),
            (Some(_), Some(_)) => {
                let found = finding("E107", "a source has a `topic` or a `pattern`, not both");
                self.say(fields.key_range("pattern"), found);
                None
            }
            (None, None) => {
                self.say(self.head(node), finding("E106", "a source needs `topic` or `pattern`"));
                None
            }
        };
        let mut source = plain(from?);
        if let Some(node) = fields.get("start") {
            source.start = self.start(node).unwrap_or_default();
        }
        source.max_age = fields.get("max_age").and_then(|node| self.duration(node));
        Some((source, fields.get("key")))
    }

    fn pattern(&mut self, node: &Node) -> Option<Text> {
        let text = self.text(node)?;
        let problem = if text.len() > 1024 {
            Some("longer than 1 KiB".to_owned())
        } else {
            let error = whole(&text).err();
            let said = error.map(|error| error.to_string().lines().last().unwrap_or("not valid").trim().to_owned());
            // Kafka's clients have none, and no name has words.
            said.or_else(|| has_word_boundaries(&text).then(|| "topics are not found by boundaries of words".to_owned()))
        };
        match problem {
            None => Some(text),
            Some(problem) => {
                let message = format!("`{}` is not a regular expression: {problem}", shortened(&text));
                self.say(node.range.clone(), finding("E107", message));
                None
            }
        }
    }

    fn start(&mut self, node: &Node) -> Option<Start> {
        let filled = self.filled(node)?;
        match filled.text.as_str() {
            "earliest" => return Some(Start::Earliest),
            "latest" => return Some(Start::Latest),
            _ => {}
        }
        match filled.text.parse::<jiff::Timestamp>() {
            Ok(moment) => Some(Start::At(moment.as_millisecond())),
            Err(_) => {
                let message = format!("`{}` is no place to start", shortened(&filled.text));
                let found = finding("E107", message).hint("`earliest`, `latest` or a timestamp: `2026-01-01T00:00:00Z`");
                self.say(node.range.clone(), found);
                None
            }
        }
    }

    /// Type of a record's key over all sources.
    pub(super) fn record_key(&self, sources: &[Source]) -> Type {
        Type::join_all(sources.iter().map(|source| match source.from {
            SourceFrom::Topic(topic) => match self.topics.get(topic).key_format {
                KeyFormat::String => Type::String,
                KeyFormat::Bytes => Type::Bytes,
                KeyFormat::Json => Type::Any,
            },
            SourceFrom::Pattern(_) => Type::String,
        }))
    }

    /// All types that the sources declare; `None` when one of them declares none.
    pub(super) fn source_types(&self, sources: &[Source]) -> Option<Vec<Text>> {
        let mut names = Vec::new();
        for source in sources {
            let SourceFrom::Topic(topic) = source.from else { return None };
            names.extend(self.topics.get(topic).types.as_ref()?.iter().map(|known| known.name.clone()));
        }
        names.retain(|name| !self.outdated.has(name));
        names.sort();
        names.dedup();
        Some(names)
    }

    /// Type of the payload of messages of these types (`None`: of all) over all sources.
    pub(super) fn source_data(&self, sources: &[Source], kinds: Option<&[Text]>) -> Type {
        let all = match kinds.map(<[Text]>::to_vec).or_else(|| self.source_types(sources)) {
            Some(all) => all,
            None => return self.data_without_type(sources),
        };
        let mut types = Vec::new();
        for source in sources {
            let SourceFrom::Topic(topic) = source.from else { return Type::Any };
            let contract = self.topics.get(topic);
            match &contract.types {
                None => types.push(self.data_of(contract, None)),
                Some(_) => {
                    let here = all.iter().filter(|kind| contract.message_type(kind).is_some());
                    types.extend(here.map(|kind| self.data_of(contract, Some(kind))));
                }
            }
        }
        Type::join_all(types)
    }

    fn data_without_type(&self, sources: &[Source]) -> Type {
        Type::join_all(sources.iter().map(|source| match source.from {
            SourceFrom::Topic(topic) => self.data_of(self.topics.get(topic), None),
            SourceFrom::Pattern(_) => Type::Any,
        }))
    }

    /// A type that a node names must come from one of its sources, as far as these declare their types.
    pub(super) fn sourced_type(&mut self, kind: &str, range: Range<usize>, sources: &[Source]) {
        if !self.is_newest(kind, range.clone()) {
            return;
        }
        // Without sources it was said what is wrong with them.
        let Some(known) = self.source_types(sources).filter(|_| !sources.is_empty()) else { return };
        if known.iter().any(|name| name == kind) {
            return;
        }
        let elsewhere = self.topics.declaring(kind);
        let found = finding("E203", format!("no topic of `from` has messages of type `{kind}`"));
        let found = match elsewhere.first() {
            Some(topic) => {
                let topic = self.topics.get(*topic).name.clone();
                found.hint(format!("`{topic}` has: add it to `from`"))
            }
            None => found.meant(kind, known.iter().map(Text::as_str)),
        };
        self.say(range, found);
    }

    /// The key of an entry as a message type.
    pub(super) fn type_key(&mut self, entry: &Entry) -> Option<Text> {
        self.checked_word(&entry.key, entry.key_range.clone(), &TYPE)
    }
}

fn has_word_boundaries(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|parsed| parsed.properties().look_set().contains_word())
}

/// A regular expression that must match a whole name.
pub(in crate::topology) fn whole(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build()
}

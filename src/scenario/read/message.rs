//! Messages that are sent.

use super::Reader;
use super::fields::Fields;
use crate::codec::{Part, derived_id};
use crate::record::{Text, Value};
use crate::scenario::model::{Content, Message};
use crate::scenario::record::SOURCE;
use crate::scenario::shape::MESSAGE;
use crate::scenario::tree::{Branch, Tree};
use crate::topology::finding;
use crate::topology::model::{Contract, Envelope, Format, Topology};
use crate::topology::plan;
use crate::topology::yaml::Node;
use std::ops::Range;
use std::time::Duration;

impl Reader<'_> {
    /// A message of `given` or `when`.
    pub(super) fn message(&mut self, node: &Node) -> Option<Message> {
        let fields = self.fields(node, &MESSAGE)?;
        self.messages += 1;
        let topology = self.topology.clone()?;
        let kind = self.optional_text(&fields, "type");
        let topic = self.topic_of(&fields, kind.as_deref(), &topology)?;
        let contract = topology.topics.iter().find(|contract| contract.name == topic);
        let content = self.content(&fields, contract)?;
        if let Content::Data(data) = &content {
            self.check_data(&fields, data, kind.as_deref(), contract);
        }
        let key = fields.get("key").and_then(|node| self.tree(node));
        let plain = matches!(content, Content::Data(_));
        if key.is_none() && !plain && contract.is_some_and(|contract| contract.key.is_some()) && fields.get("key").is_none() {
            let found =
                finding("E1009", "the key cannot be computed: the record's value is not a payload by the topic's rules");
            self.say(fields.head(), found.hint("say `key`; `key: null` is a record without one"));
        }
        let mut headers = self.trees(fields.get("headers"), "headers");
        for (field, header) in [("reply_to", "reply-to"), ("reply_key", "reply-key")] {
            let Some(node) = fields.get(field) else { continue };
            let text = self.text(node)?;
            if field == "reply_to" {
                self.asks = true;
                self.other_topic(&text);
            }
            headers.push((header.into(), Tree::literal(Value::Str(text), node.range.clone())));
        }
        self.asks |= headers.iter().any(|(name, _)| name == "reply-to");
        let id = match self.optional_text(&fields, "id") {
            Some(id) => id,
            None => {
                let number = i64::try_from(self.messages).unwrap_or(i64::MAX);
                derived_id(&[Part::Text(SOURCE), Part::Text(&self.case), Part::Number(number)])
            }
        };
        Some(Message {
            topic,
            kind,
            content,
            key,
            headers,
            metadata: self.trees(fields.get("metadata"), "metadata"),
            id,
            source: self.optional_text(&fields, "source").unwrap_or_else(|| SOURCE.into()),
            time: fields.get("time").and_then(|node| self.moment(node)),
            correlation_id: fields.get("correlation_id").and_then(|node| self.tree(node)),
            causation_id: fields.get("causation_id").and_then(|node| self.tree(node)),
            partition: self.optional_count(&fields, "partition", 0..=super::PARTITIONS_MAX - 1),
            times: self.optional_count(&fields, "times", 1..=10_000).unwrap_or(1),
            delay: fields.get("delay").and_then(|node| self.duration(node)).unwrap_or(Duration::ZERO),
            range: fields.head(),
        })
    }

    /// A topic that the topology does not know, to be made for the case.
    pub(super) fn other_topic(&mut self, name: &str) {
        if self.plan.as_ref().is_some_and(|plan| plan.topics.iter().all(|topic| topic.name != name)) {
            self.others.insert(name.into());
        }
    }

    fn topic_of(&mut self, fields: &Fields<'_>, kind: Option<&str>, topology: &Topology) -> Option<Text> {
        if let Some(node) = fields.get("topic") {
            let name = self.text(node)?;
            let contract = topology.topics.iter().find(|contract| contract.name == name);
            let found_by_pattern = || {
                let patterns = self.plan.iter().flat_map(|plan| &plan.subtopologies).flat_map(|part| &part.patterns);
                patterns.filter_map(|text| plan::pattern(text)).any(|pattern| pattern.is_match(&name))
            };
            match contract {
                Some(contract) => self.check_type(fields, kind, contract),
                None if found_by_pattern() => self.other_topic(&name),
                None => {
                    let known = topology.topics.iter().map(|contract| contract.name.as_str());
                    let found = finding("E1003", format!("the topology reads no topic `{name}`")).meant(&name, known);
                    self.say(node.range.clone(), found);
                    return None;
                }
            }
            return Some(name);
        }
        let Some(kind) = kind else {
            let found = finding("E1008", "it is not clear what this is");
            self.say(
                fields.head(),
                found.hint("a message has `type` or `topic`; else `advance`, `crash`, `rebalance`, `duplicate`"),
            );
            return None;
        };
        let range = fields.get("type").map_or(fields.head(), |node| node.range.clone());
        let topics: Vec<&Contract> = topology.topics.iter().filter(|contract| contract.message_type(kind).is_some()).collect();
        match topics.as_slice() {
            [only] => Some(only.name.clone()),
            [] => {
                let found = finding("E1004", format!("no topic of the topology declares `{kind}`"));
                let known = topology.topics.iter().flat_map(|contract| contract.types.iter().flatten());
                self.say(range, found.meant(kind, known.map(|kind| kind.name.as_str())));
                None
            }
            several => {
                let names: Vec<String> = several.iter().map(|contract| format!("`{}`", contract.name)).collect();
                let found = finding("E1005", format!("`{kind}` is declared by {}", names.join(" and ")));
                self.say(range, found.hint("say `topic`"));
                None
            }
        }
    }

    fn check_type(&mut self, fields: &Fields<'_>, kind: Option<&str>, contract: &Contract) {
        let (Some(kind), Some(types)) = (kind, &contract.types) else { return };
        if contract.message_type(kind).is_none() && !self.is_meant_invalid(fields) {
            let range = fields.get("type").map_or(fields.head(), |node| node.range.clone());
            let found = finding("E1004", format!("`{}` does not declare `{kind}`", contract.name));
            self.say(range, found.meant(kind, types.iter().map(|kind| kind.name.as_str())));
        }
    }

    fn is_meant_invalid(&mut self, fields: &Fields<'_>) -> bool {
        self.truth(fields, "invalid").unwrap_or(false)
    }

    fn content(&mut self, fields: &Fields<'_>, contract: Option<&Contract>) -> Option<Content> {
        let written: Vec<&str> = ["data", "value", "raw"].into_iter().filter(|name| fields.get(name).is_some()).collect();
        if let [first, second, ..] = written[..] {
            let found = finding("E1008", format!("`{first}` and `{second}` in one message")).hint("a record has one value");
            self.say(fields.entry(second).map_or(fields.head(), |entry| entry.key_range.clone()), found);
            return None;
        }
        match written.first() {
            Some(&"raw") => fields.get("raw").and_then(|node| self.text(node)).map(|text| Content::Raw(text.to_string())),
            Some(&"value") => fields.get("value").and_then(|node| self.tree(node)).map(Content::Value),
            written => {
                let is_read_only =
                    |contract: &Contract| matches!(contract.envelope, Envelope::Mapping(_)) || contract.format == Format::Auto;
                if contract.is_some_and(is_read_only) {
                    let found = finding(
                        "E1008",
                        "the topic has a foreign envelope or `format: auto`, which are not written by this engine",
                    );
                    self.say(fields.head(), found.hint("say the record's whole `value` in place of `data`"));
                    return None;
                }
                match written {
                    Some(_) => fields.get("data").and_then(|node| self.tree(node)).map(Content::Data),
                    None => {
                        let empty = Tree { kind: Branch::Map(Vec::new()), range: fields.head() };
                        Some(Content::Data(empty))
                    }
                }
            }
        }
    }

    /// Does the payload fit its schema, where all of it is known?
    fn check_data(&mut self, fields: &Fields<'_>, data: &Tree, kind: Option<&str>, contract: Option<&Contract>) {
        let schema = contract.filter(|contract| contract.validate).and_then(|contract| match kind {
            Some(kind) => contract.message_type(kind)?.schema.as_ref(),
            None => match contract.types.as_deref() {
                Some([only]) => only.schema.as_ref(),
                _ => None,
            },
        });
        let (Some(schema), Some(value)) = (schema, data.constant()) else { return };
        let fits = schema.compiled.fits(&value);
        let invalid = self.is_meant_invalid(fields);
        if !fits && !invalid {
            let misfit = schema.compiled.misfit(&value);
            let found = finding("E1006", format!("the data does not fit its schema: {misfit}"));
            self.say(place_of(data, &misfit), found.hint("say `invalid: true` where that is meant"));
        } else if fits && invalid {
            let range = fields.entry("invalid").map_or(fields.head(), |entry| entry.key_range.clone());
            self.say(range, finding("E1006", "the data is said to be invalid, and fits its schema"));
        }
    }
}

/// Where the first misfit stands, by its JSON pointer.
fn place_of(data: &Tree, misfit: &str) -> Range<usize> {
    let pointer = misfit.strip_prefix("at `").and_then(|rest| rest.split('`').next()).unwrap_or("");
    let mut tree = data;
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        let next = match &tree.kind {
            Branch::Map(entries) => entries.iter().find(|(key, ..)| key == step).map(|(.., tree)| tree),
            Branch::List(items) => step.parse::<usize>().ok().and_then(|at| items.get(at)),
            Branch::Literal(_) | Branch::Computed(_) => None,
        };
        match next {
            Some(next) => tree = next,
            None => break,
        }
    }
    tree.range.clone()
}

//! Who answers which requests: what a saga that sends one will hear.

use super::Lower;
use super::scalars::TYPE;
use super::sources::whole;
use super::topics::elements;
use crate::expr::{Object, Type};
use crate::record::Text;
use crate::topology::model::{Source, SourceFrom};
use crate::topology::yaml::{Entry, Node};

/// A node, the messages that it takes and whether it answers them.
pub(super) struct Answering {
    node: Text,
    topics: Vec<usize>,
    /// The types; `None`: all.
    kinds: Option<Vec<Text>>,
    /// Type of the result of what it accepts; `None`: it never does, nobody is answered.
    result: Option<Type>,
}

/// What a request will hear.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// No node of this file takes it: somebody else may.
    Elsewhere,
    /// This node takes it and answers nothing.
    Never(Text),
    /// When it is accepted, a result of that type.
    Result(Type),
}

/// What a rejection says.
pub(super) fn rejection() -> Type {
    Object::closed().with("code", Type::String).with("message", Type::String).with("details", Type::Any).into()
}

impl Lower<'_> {
    /// Notes what a node takes and answers.
    pub(super) fn answering(&mut self, node: &str, sources: &[Source], kinds: Option<Vec<Text>>, result: Option<Type>) {
        let mut topics = Vec::new();
        for source in sources {
            match &source.from {
                SourceFrom::Topic(topic) => topics.push(*topic),
                SourceFrom::Pattern(pattern) => {
                    let Ok(pattern) = whole(pattern) else { continue };
                    topics.extend(self.topics.names().enumerate().filter(|(_, name)| pattern.is_match(name)).map(|(at, _)| at));
                }
            }
        }
        self.answers.push(Answering { node: node.into(), topics, kinds, result });
    }

    /// What sagas answer to the messages that start them; asked of the text, since sagas may start each other.
    pub(super) fn saga_answers(&mut self, entry: &Entry) {
        let from = entry.node.get("from").map(elements).unwrap_or(&[]);
        let topic = |node: &Node| {
            let name = node.get("topic").unwrap_or(node).scalar()?.text.as_str();
            self.topics.find(name)
        };
        let topics: Vec<usize> = from.iter().filter_map(topic).collect();
        let types = entry.node.get("start").and_then(|start| start.get("type")).map(elements).unwrap_or(&[]);
        let kinds: Vec<Text> = types.iter().filter_map(|node| Some(node.scalar()?.text.as_str().into())).collect();
        self.answers.push(Answering { node: entry.key.as_str().into(), topics, kinds: Some(kinds), result: Some(Type::Any) });
    }

    /// What a message of that type will hear from the readers of that topic.
    pub(super) fn answer_to(&self, topic: usize, kind: &str) -> Answer {
        let kind = self.outdated.newest(kind);
        let takes = |answering: &&Answering| {
            let kinds = answering.kinds.as_ref();
            answering.topics.contains(&topic) && kinds.is_none_or(|kinds| kinds.iter().any(|known| known == kind))
        };
        let takers: Vec<&Answering> = self.answers.iter().filter(takes).collect();
        let results: Vec<Type> = takers.iter().filter_map(|taker| taker.result.clone()).collect();
        match takers.first() {
            None => Answer::Elsewhere,
            Some(first) if results.is_empty() => Answer::Never(first.node.clone()),
            Some(_) => Answer::Result(Type::join_all(results)),
        }
    }

    /// The topic and type that a `send` has, as far as its text tells; nothing is said.
    pub(super) fn peek_target(&self, send: &Node) -> Option<(usize, Text)> {
        let kind = send.get("type")?.scalar().filter(|scalar| (TYPE.fits)(&scalar.text))?.text.as_str();
        let topic = match send.get("to") {
            Some(to) => self.topics.find(&to.scalar()?.text)?,
            None => match self.topics.declaring(kind).as_slice() {
                [only] => *only,
                _ => return None,
            },
        };
        Some((topic, kind.into()))
    }

    /// Type of the result that a `send` is accepted with.
    pub(super) fn result_of(&self, send: &Node) -> Type {
        match self.peek_target(send).map(|(topic, kind)| self.answer_to(topic, &kind)) {
            Some(Answer::Result(ty)) => ty,
            _ => Type::Any,
        }
    }
}

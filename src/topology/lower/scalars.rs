//! Single values: words, texts, numbers, durations, and the variables within them.

use super::Lower;
use crate::record::{Text, Value, parse_duration};
use crate::topology::diagnostic::finding;
use crate::topology::sources::SECRET_BYTES_MAX;
use crate::topology::yaml::{Kind, Node, Style, resolve};
use jiff::SignedDuration;
use std::ops::Range;

/// A scalar with its variables filled in.
pub(super) struct Filled {
    pub(super) text: String,
    pub(super) value: Value,
    /// Does it hold what a `${file:…}` gave?
    pub(super) secret: bool,
}

/// A rule for words, and how it is told.
pub(super) struct Rule {
    pub(super) what: &'static str,
    pub(super) fits: fn(&str) -> bool,
    pub(super) hint: &'static str,
}

pub(super) const NAME: Rule =
    Rule { what: "a name", fits: is_name, hint: "small letters, digits and `-`, a letter first, at most 63" };
pub(super) const TOPIC: Rule = Rule { what: "a topic", fits: is_topic, hint: "letters, digits, `.`, `_` and `-`, at most 249" };
pub(super) const TYPE: Rule = Rule {
    what: "a message type",
    fits: is_type,
    hint: "letters, digits, `.`, `_` and `-`, a letter first: `order.created.v1`",
};

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.len() <= 63
}

/// What Kafka takes for a topic's name.
pub(super) fn is_topic(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.len() <= 249
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

pub(super) fn is_type(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic) && is_topic(text) && text.len() <= 128
}

pub(super) fn is_code(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Lower<'_> {
    /// A word that must be written out: a name, a topic, a type.
    pub(super) fn word(&mut self, node: &Node, rule: &Rule) -> Option<Text> {
        let Some(scalar) = node.scalar().filter(|_| !node.is_null()) else {
            self.wrong_kind(node, rule.what);
            return None;
        };
        self.checked_word(&scalar.text, node.range.clone(), rule)
    }

    pub(super) fn checked_word(&mut self, text: &str, range: Range<usize>, rule: &Rule) -> Option<Text> {
        if text.contains("${") {
            self.no_variables(range, rule.what);
            return None;
        }
        if (rule.fits)(text) {
            return Some(text.into());
        }
        self.say(range, finding("E114", format!("`{}` is not {}", shortened(text), rule.what)).hint(rule.hint));
        None
    }

    pub(super) fn no_variables(&mut self, range: Range<usize>, what: &str) {
        let found = finding("E112", format!("variables are not filled into {what}"));
        self.say(range, found.hint("declare a param and read `params.…`; in text `$${` is a dollar and a brace"));
    }

    /// One of several words.
    pub(super) fn one_of<T: Clone>(&mut self, node: &Node, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        let filled = self.filled(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == filled.text) {
            return Some(value.clone());
        }
        if later.contains(&filled.text.as_str()) {
            self.later(node.range.clone(), &format!("`{}`", filled.text));
            return None;
        }
        let found = finding("E107", format!("`{}` is not a choice here", shortened(&filled.text)));
        self.say(node.range.clone(), found.meant(&filled.text, words.iter().map(|(word, _)| *word)));
        None
    }

    /// Text for people.
    pub(super) fn text(&mut self, node: &Node) -> Option<Text> {
        let filled = self.filled(node)?;
        if filled.secret {
            self.no_secret(node.range.clone());
            return None;
        }
        Some(filled.text.into())
    }

    pub(super) fn integer(&mut self, node: &Node, within: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let filled = self.filled(node)?;
        match filled.value {
            Value::Int(number) if within.contains(&number) => Some(number),
            Value::Int(_) => {
                let found = finding("E107", format!("`{}` is out of range", filled.text));
                self.say(node.range.clone(), found.hint(format!("from {} to {}", within.start(), within.end())));
                None
            }
            _ => {
                self.wrong_kind(node, "an integer");
                None
            }
        }
    }

    pub(super) fn number(&mut self, node: &Node) -> Option<f64> {
        match self.filled(node)?.value {
            Value::Int(number) => Some(number as f64),
            Value::Double(number) => Some(number),
            _ => {
                self.wrong_kind(node, "a number");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match self.filled(node)?.value {
            Value::Bool(truth) => Some(truth),
            _ => {
                self.wrong_kind(node, "`true` or `false`");
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &Node) -> Option<SignedDuration> {
        let filled = self.filled(node)?;
        match parse_duration(&filled.text).filter(|length| !length.is_negative()) {
            Some(length) => Some(length),
            None => {
                let message = format!("`{}` is not a duration", shortened(&filled.text));
                let hint = match filled.value {
                    Value::Int(number) if number >= 0 => format!("with its unit, as `{number}s` or `{number}ms`"),
                    _ => "as `100ms`, `30s`, `1h30m`, `7d`".to_owned(),
                };
                self.say(node.range.clone(), finding("E113", message).hint(hint));
                None
            }
        }
    }

    /// A scalar, its variables filled in.
    pub(super) fn filled(&mut self, node: &Node) -> Option<Filled> {
        let Kind::Scalar(scalar) = &node.kind else {
            self.wrong_kind(node, "a single value");
            return None;
        };
        if !scalar.text.contains('$') {
            return Some(Filled { text: scalar.text.clone(), value: scalar.value.clone(), secret: false });
        }
        let mut secret = false;
        let text = self.substitute(node, &scalar.text, &mut secret)?;
        // A variable takes the field's type, so quotes around it say nothing. What a file gave is text.
        let value = match scalar.style {
            _ if secret => Value::from(text.as_str()),
            Style::Plain | Style::Single | Style::Double => resolve(&text).0,
            Style::Literal | Style::Folded => Value::from(text.as_str()),
        };
        self.notes.filled.insert(node.range.start, (value.clone(), secret));
        Some(Filled { text, value, secret })
    }

    fn substitute(&mut self, node: &Node, written: &str, secret: &mut bool) -> Option<String> {
        let mut out = String::new();
        let mut rest = written;
        let mut whole = true;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('$') {
                out.push('$');
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix('{') {
                let Some(end) = tail.find('}') else {
                    let found = finding("E111", "`${` is not closed").hint("write `$$` for a dollar");
                    self.say(node.range.clone(), found);
                    return None;
                };
                match self.variable(node, &tail[..end], secret) {
                    Some(value) => out.push_str(&value),
                    None => whole = false,
                }
                rest = &tail[end + 1..];
            } else {
                out.push('$');
            }
        }
        out.push_str(rest);
        whole.then_some(out)
    }

    fn variable(&mut self, node: &Node, inner: &str, secret: &mut bool) -> Option<String> {
        if let Some(path) = inner.strip_prefix("file:") {
            *secret = true;
            let read = self.sources.secret(path, SECRET_BYTES_MAX);
            let text = read
                .map_err(|error| error.to_string())
                .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
            return match text {
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    self.say(node.range.clone(), finding("E111", format!("`{path}` cannot be read: {error}")));
                    None
                }
            };
        }
        let name_end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(inner.len());
        let (name, tail) = inner.split_at(name_end);
        let starts_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        let known_tail = tail.is_empty() || tail.starts_with(":-") || tail.starts_with(":?");
        if !starts_well || !known_tail {
            let found = finding("E111", format!("`${{{}}}` names no variable", shortened(inner)));
            self.say(node.range.clone(), found.hint("`${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `${file:/path}`"));
            return None;
        }
        // As in a shell, a variable that is set to nothing has its default too.
        let value = self.sources.variable(name).filter(|value| tail.is_empty() || !value.is_empty());
        match (value, tail.strip_prefix(":-"), tail.strip_prefix(":?")) {
            (Some(value), _, _) => Some(value),
            (None, Some(default), _) => Some(default.to_owned()),
            (None, _, message) => {
                let message = message.filter(|message| !message.is_empty()).map(|message| format!(": {message}"));
                let found = finding("E111", format!("the variable `{name}` is not set{}", message.unwrap_or_default()));
                self.say(node.range.clone(), found.hint(format!("set it, or write `${{{name}:-default}}`")));
                None
            }
        }
    }

    pub(super) fn no_secret(&mut self, range: Range<usize>) {
        let found = finding("E112", "the content of a file is filled into `params` only");
        self.say(range, found.hint("declare a param and read it"));
    }

    /// A literal of any depth, its variables filled in; and whether it holds a secret.
    pub(super) fn literal(&mut self, node: &Node) -> Option<(Value, bool)> {
        match &node.kind {
            Kind::Scalar(_) => self.filled(node).map(|filled| (filled.value, filled.secret)),
            Kind::List(items) => {
                let parts: Vec<_> = items.iter().map(|item| self.literal(item)).collect();
                let parts: Vec<_> = parts.into_iter().collect::<Option<_>>()?;
                let secret = parts.iter().any(|(_, secret)| *secret);
                Some((Value::list(parts.into_iter().map(|(value, _)| value).collect()), secret))
            }
            Kind::Map(entries) => {
                let parts: Vec<_> = entries.iter().map(|entry| (entry, self.literal(&entry.node))).collect();
                let mut secret = false;
                let mut fields = Vec::with_capacity(parts.len());
                for (entry, part) in parts {
                    let (value, part_secret) = part?;
                    secret |= part_secret;
                    fields.push((Text::from(entry.key.as_str()), value));
                }
                Some((Value::Map(fields.into_iter().collect()), secret))
            }
        }
    }
}

/// Foreign text in a message: not more than is of use.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

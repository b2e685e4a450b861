//! What a dead letter says, read back from its headers.

use super::{Error, Result, names};
use crate::failure::{Class, Stage};
use crate::record::{HeaderRef, Offset, Partition, Text, Value, json};
use jiff::Timestamp;

/// Why and where a record failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Id of the letter.
    pub id: Text,
    /// Stable code.
    pub code: Text,
    /// What could happen next.
    pub class: Class,
    /// For people.
    pub message: Text,
    /// For programs; null where there are none.
    pub details: Value,
    /// The node.
    pub node: Text,
    /// Where in the node.
    pub stage: Stage,
    /// Where it was first read.
    pub topic: Text,
    /// Likewise.
    pub partition: Partition,
    /// Likewise.
    pub offset: Offset,
    /// How often it was tried.
    pub attempts: u32,
    /// When it failed first.
    pub first_at: Timestamp,
    /// When it failed last.
    pub last_at: Timestamp,
    /// Topology.
    pub topology: Text,
    /// Its version.
    pub version: u32,
    /// `traceparent` of the original.
    pub trace: Option<Text>,
    /// What is left out of the letter, which is a stub then.
    pub stub: Option<Stub>,
}

/// What is known of an original that was too large for the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// Parts left out: `value`, `headers`, `key`.
    pub without: Vec<Text>,
    /// Size of the value and its SHA-256 in hexadecimal; none of a record without a value.
    pub value: Option<(u64, Text)>,
}

/// Reads the headers of a dead letter. Of headers of one name the last holds: an original may itself have been a letter.
pub fn read(headers: &[HeaderRef<'_>]) -> Result<Report> {
    let headers = Headers(headers);
    Ok(Report {
        id: headers.text(names::ID)?,
        code: headers.text(names::CODE)?,
        class: headers.one_of(names::CLASS, &CLASSES, Class::name)?,
        message: headers.text(names::MESSAGE)?,
        details: match headers.optional(names::DETAILS)? {
            Some(text) => json::read(text.as_bytes()).map_err(|_| Error::Unreadable { header: names::DETAILS })?,
            None => Value::Null,
        },
        node: headers.text(names::NODE)?,
        stage: headers.one_of(names::STAGE, &STAGES, Stage::name)?,
        topic: headers.text(names::TOPIC)?,
        partition: headers.parsed(names::PARTITION)?,
        offset: headers.parsed(names::OFFSET)?,
        attempts: headers.parsed(names::ATTEMPTS)?,
        first_at: headers.parsed(names::FIRST_AT)?,
        last_at: headers.parsed(names::LAST_AT)?,
        topology: headers.text(names::TOPOLOGY)?,
        version: headers.parsed(names::VERSION)?,
        trace: headers.optional(names::TRACE)?.map(Text::new),
        stub: match headers.optional(names::STUB)? {
            Some(text) => Some(stub(text).ok_or(Error::Unreadable { header: names::STUB })?),
            None => None,
        },
    })
}

const CLASSES: [Class; 4] = [Class::Undecodable, Class::Permanent, Class::Retryable, Class::Engine];
const STAGES: [Stage; 6] = [Stage::Decode, Stage::Key, Stage::Decide, Stage::Evolve, Stage::Step, Stage::Encode];

struct Headers<'a>(&'a [HeaderRef<'a>]);

impl<'a> Headers<'a> {
    fn optional(&self, header: &'static str) -> Result<Option<&'a str>> {
        let Some(found) = self.0.iter().rev().find(|known| known.name == header) else { return Ok(None) };
        let text = found.value.and_then(|value| std::str::from_utf8(value).ok());
        text.map(Some).ok_or(Error::Unreadable { header })
    }

    fn required(&self, header: &'static str) -> Result<&'a str> {
        self.optional(header)?.ok_or(Error::Missing { header })
    }

    fn text(&self, header: &'static str) -> Result<Text> {
        self.required(header).map(Text::new)
    }

    fn parsed<T: std::str::FromStr>(&self, header: &'static str) -> Result<T> {
        self.required(header)?.parse().map_err(|_| Error::Unreadable { header })
    }

    fn one_of<T: Copy>(&self, header: &'static str, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
        let text = self.required(header)?;
        all.iter().copied().find(|one| name(*one) == text).ok_or(Error::Unreadable { header })
    }
}

fn stub(text: &str) -> Option<Stub> {
    let mut parts = text.split(';');
    let without = parts.next()?.strip_prefix("without=")?.split(',').map(Text::new).collect();
    let value = match parts.next() {
        Some(bytes) => {
            let bytes = bytes.strip_prefix("bytes=")?.parse().ok()?;
            Some((bytes, Text::new(parts.next()?.strip_prefix("sha256=")?)))
        }
        None => None,
    };
    parts.next().is_none().then_some(Stub { without, value })
}

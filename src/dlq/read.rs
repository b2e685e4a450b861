//! What a dead letter says, read back from its headers.

use super::spelling::{self, Origin, Spelling, Told};
use super::{Cause, Error, Result, names};
use crate::codec::{Part, derived_id};
use crate::failure::{Class, Stage};
use crate::record::{HeaderRef, Millis, Partition, Text, Value, json};
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
    pub origin: Origin,
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
    /// The partition of the node at which it failed, and how many there were; not told by letters of older versions.
    pub task: Option<(Partition, u32)>,
    /// How often an operator let its node take it once more.
    pub replays: u32,
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

/// A dead letter, whoever wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// This engine.
    Own(Box<Report>),
    /// Kafka Streams, Kafka Connect, Spring, or what writes as they do.
    Foreign(Told),
}

impl Found {
    /// Where the record was first read.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Own(report) => &report.origin,
            Self::Foreign(told) => &told.origin,
        }
    }

    /// Id of the letter: of one of somebody else's it follows from the record's origin.
    pub fn id(&self) -> Text {
        match self {
            Self::Own(report) => report.id.clone(),
            Self::Foreign(told) => {
                let Origin { topic, partition, offset } = &told.origin;
                let place = [Part::Text(topic), Part::Number((*partition).into()), Part::Number(*offset)];
                derived_id(&[&[Part::Text("letter"), Part::Text(told.spelling.name())], &place[..]].concat())
            }
        }
    }

    /// For people.
    pub fn message(&self) -> &Text {
        match self {
            Self::Own(report) => &report.message,
            Self::Foreign(told) => &told.message,
        }
    }

    /// What letters of the same trouble have in common.
    pub fn cause(&self) -> Cause {
        let topic = self.origin().topic.clone();
        match self {
            Self::Own(report) => Cause { code: report.code.clone(), node: report.node.clone(), topic },
            Self::Foreign(told) => Cause { code: told.cause.clone(), node: told.writer.clone().unwrap_or_default(), topic },
        }
    }

    /// First and last failure; where it is not told the record's own timestamp, which is older.
    pub fn times(&self, timestamp: Millis) -> (Millis, Millis) {
        match self {
            Self::Own(report) => (report.first_at.as_millisecond(), report.last_at.as_millisecond()),
            Self::Foreign(_) => (timestamp, timestamp),
        }
    }
}

/// Reads the headers of a dead letter that this engine or somebody else wrote. A letter of this engine that somebody else set
/// aside again is theirs: their headers stand behind its own.
pub fn recognise(headers: &[HeaderRef<'_>]) -> Result<Found> {
    let told = spelling::read(headers)?;
    let place = |name: &str| headers.iter().rposition(|header| header.name == name);
    let is_own = place(names::ID).is_some_and(|id| Some(id) > place(told.spelling.topic_header()));
    if is_own { read(headers).map(|report| Found::Own(Box::new(report))) } else { Ok(Found::Foreign(told)) }
}

/// Reads the headers of a dead letter that this engine wrote. Of headers of one name the last holds: an original may itself have been a letter.
pub fn read(headers: &[HeaderRef<'_>]) -> Result<Report> {
    let told = spelling::read(headers);
    // What an original that was a letter itself said of its failure is no matter of this one.
    let headers = Headers(&headers[own_from(headers).unwrap_or(0)..]);
    // What is not there at all is said first: it was not this engine that wrote the record.
    headers.required(names::ID)?;
    let Told { origin, message, .. } = told?;
    Ok(Report {
        id: headers.text(names::ID)?,
        code: headers.text(names::CODE)?,
        class: headers.one_of(names::CLASS, &CLASSES, Class::name)?,
        message,
        details: match headers.optional(names::DETAILS)? {
            Some(text) => json::read(text.as_bytes()).map_err(|_| Error::Unreadable { header: names::DETAILS })?,
            None => Value::Null,
        },
        node: headers.text(names::NODE)?,
        stage: headers.one_of(names::STAGE, &STAGES, Stage::name)?,
        origin,
        attempts: headers.parsed(names::ATTEMPTS)?,
        first_at: headers.parsed(names::FIRST_AT)?,
        last_at: headers.parsed(names::LAST_AT)?,
        topology: headers.text(names::TOPOLOGY)?,
        version: headers.parsed(names::VERSION)?,
        task: match headers.optional(names::TASK)? {
            Some(text) => Some(task(text).ok_or(Error::Unreadable { header: names::TASK })?),
            None => None,
        },
        replays: match headers.optional(names::REPLAYS)? {
            Some(_) => headers.parsed(names::REPLAYS)?,
            None => 0,
        },
        trace: headers.optional(names::TRACE)?.map(Text::new),
        stub: match headers.optional(names::STUB)? {
            Some(text) => Some(stub(text).ok_or(Error::Unreadable { header: names::STUB })?),
            None => None,
        },
    })
}

/// The first of the headers that this engine has put behind those of the original: the cause, in whichever spelling stands last
/// before the engine's own.
pub(super) fn own_from(headers: &[HeaderRef<'_>]) -> Option<usize> {
    let last = |headers: &[HeaderRef<'_>], name: &str| headers.iter().rposition(|header| header.name == name);
    let id = last(headers, names::ID)?;
    Spelling::ALL.into_iter().filter_map(|spelling| last(&headers[..id], spelling.cause_header())).max()
}

const CLASSES: [Class; 4] = [Class::Undecodable, Class::Permanent, Class::Retryable, Class::Engine];
const STAGES: [Stage; 6] = [Stage::Decode, Stage::Key, Stage::Decide, Stage::Evolve, Stage::Step, Stage::Encode];

struct Headers<'a>(&'a [HeaderRef<'a>]);

impl<'a> Headers<'a> {
    fn optional(&self, header: &'static str) -> Result<Option<&'a str>> {
        let Some(found) = spelling::last(self.0, header) else { return Ok(None) };
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

fn task(text: &str) -> Option<(Partition, u32)> {
    let (partition, of) = text.split_once('/')?;
    let (partition, of): (Partition, u32) = (partition.parse().ok()?, of.parse().ok()?);
    u32::try_from(partition).is_ok_and(|partition| partition < of).then_some((partition, of))
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

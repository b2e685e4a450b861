//! How others name what a dead letter tells, and how this engine may name it for their tools.
//!
//! | | [`Streams`](Spelling::Streams) (KIP-1034) | [`Connect`](Spelling::Connect) (KIP-298) | [`Spring`](Spelling::Spring) |
//! |---|---|---|---|
//! | cause | `__streams.errors.exception` | `__connect.errors.exception.class.name` | `kafka_dlt-exception-fqcn` |
//! | message | `__streams.errors.message` | `__connect.errors.exception.message` | `kafka_dlt-exception-message` |
//! | topic | `__streams.errors.topic` | `__connect.errors.topic` | `kafka_dlt-original-topic` |
//! | partition | `__streams.errors.partition` | `__connect.errors.partition` | `kafka_dlt-original-partition` |
//! | offset | `__streams.errors.offset` | `__connect.errors.offset` | `kafka_dlt-original-offset` |
//! | writer | – | `__connect.errors.connector.name` | `kafka_dlt-original-consumer-group` |
//!
//! All values are UTF-8 text, but Spring's partition (`i32`) and offset (`i64`), which are big-endian integers.

use super::{Error, Result};
use crate::record::{HeaderRef, Offset, Partition, Text};

/// Whose names the headers have that tell cause and origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// Those of Kafka Streams.
    #[default]
    Streams,
    /// Those of Kafka Connect.
    Connect,
    /// Those of Spring for Apache Kafka.
    Spring,
}

/// Where a record was first read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Topic.
    pub topic: Text,
    /// Partition.
    pub partition: Partition,
    /// Offset.
    pub offset: Offset,
}

/// What the headers of a spelling tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whose names they have.
    pub spelling: Spelling,
    /// Where the record was first read.
    pub origin: Origin,
    /// Code, or class of the exception; empty where it is not told.
    pub cause: Text,
    /// For people; empty where it is not told.
    pub message: Text,
    /// Connector, or consumer group.
    pub writer: Option<Text>,
}

struct Names {
    cause: &'static str,
    message: &'static str,
    topic: &'static str,
    partition: &'static str,
    offset: &'static str,
    writer: Option<&'static str>,
    numbers: Numbers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    Text,
    BigEndian,
}

impl Spelling {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Streams, Self::Connect, Self::Spring];

    /// As the setting names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Connect => "connect",
            Self::Spring => "spring",
        }
    }

    fn names(self) -> Names {
        match self {
            Self::Streams => Names {
                cause: "__streams.errors.exception",
                message: "__streams.errors.message",
                topic: "__streams.errors.topic",
                partition: "__streams.errors.partition",
                offset: "__streams.errors.offset",
                writer: None,
                numbers: Numbers::Text,
            },
            Self::Connect => Names {
                cause: "__connect.errors.exception.class.name",
                message: "__connect.errors.exception.message",
                topic: "__connect.errors.topic",
                partition: "__connect.errors.partition",
                offset: "__connect.errors.offset",
                writer: Some("__connect.errors.connector.name"),
                numbers: Numbers::Text,
            },
            Self::Spring => Names {
                cause: "kafka_dlt-exception-fqcn",
                message: "kafka_dlt-exception-message",
                topic: "kafka_dlt-original-topic",
                partition: "kafka_dlt-original-partition",
                offset: "kafka_dlt-original-offset",
                writer: Some("kafka_dlt-original-consumer-group"),
                numbers: Numbers::BigEndian,
            },
        }
    }

    /// What the names of its headers begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Streams => "__streams.errors.",
            Self::Connect => "__connect.errors.",
            Self::Spring => "kafka_dlt-",
        }
    }

    /// The header that tells the cause, which is the first of them.
    pub(super) fn cause_header(self) -> &'static str {
        self.names().cause
    }

    /// The header that tells the topic, which no letter is without.
    pub(super) fn topic_header(self) -> &'static str {
        self.names().topic
    }

    /// The headers that tell this in this spelling.
    pub(super) fn headers(self, told: &Told) -> Vec<(&'static str, Vec<u8>)> {
        let names = self.names();
        let Origin { topic, partition, offset } = &told.origin;
        let (partition, offset) = match names.numbers {
            Numbers::Text => (partition.to_string().into_bytes(), offset.to_string().into_bytes()),
            Numbers::BigEndian => (partition.to_be_bytes().to_vec(), offset.to_be_bytes().to_vec()),
        };
        let mut headers = vec![
            (names.cause, told.cause.as_bytes().to_vec()),
            (names.message, told.message.as_bytes().to_vec()),
            (names.topic, topic.as_bytes().to_vec()),
            (names.partition, partition),
            (names.offset, offset),
        ];
        if let (Some(name), Some(writer)) = (names.writer, &told.writer) {
            headers.push((name, writer.as_bytes().to_vec()));
        }
        headers
    }

    fn read(self, headers: &[HeaderRef<'_>]) -> Result<Told> {
        let names = self.names();
        // A header may be there without a value; what should be told is not told then.
        let bytes = |name| match last(headers, name) {
            Some(header) => header.value.map(Some).ok_or(Error::Unreadable { header: name }),
            None => Ok(None),
        };
        let text = |name| match bytes(name)? {
            Some(value) => std::str::from_utf8(value).map(Some).map_err(|_| Error::Unreadable { header: name }),
            None => Ok(None),
        };
        let number = |name, least| {
            let value = bytes(name)?.ok_or(Error::Missing { header: name })?;
            let number = integer(value, names.numbers).filter(|number| *number >= least);
            number.ok_or(Error::Unreadable { header: name })
        };
        let origin = Origin {
            topic: Text::new(text(names.topic)?.ok_or(Error::Missing { header: names.topic })?),
            partition: Partition::try_from(number(names.partition, 0)?)
                .map_err(|_| Error::Unreadable { header: names.partition })?,
            // What was due by time lies in no log.
            offset: number(names.offset, -1)?,
        };
        let writer = match names.writer {
            Some(name) => text(name)?.map(Text::new),
            None => None,
        };
        // An exception without a message has the header without a value.
        let told = |name| match last(headers, name).map(|header| header.value) {
            Some(Some(_)) => text(name).map(|text| Text::new(text.unwrap_or_default())),
            _ => Ok(Text::default()),
        };
        Ok(Told { spelling: self, origin, cause: told(names.cause)?, message: told(names.message)?, writer })
    }
}

/// What the headers tell, in the spelling that was added last: a dead letter may come of one that somebody else wrote.
///
/// Fails with [`Error::Missing`] where no spelling is known to be there.
pub(super) fn read(headers: &[HeaderRef<'_>]) -> Result<Told> {
    let place = |spelling: &Spelling| {
        let topic = spelling.topic_header();
        headers.iter().rposition(|header| header.name == topic)
    };
    let newest = Spelling::ALL.into_iter().filter(|spelling| place(spelling).is_some()).max_by_key(place);
    newest.ok_or(Error::Missing { header: Spelling::Streams.topic_header() })?.read(headers)
}

/// Of headers of one name the last holds.
pub(super) fn last<'a>(headers: &'a [HeaderRef<'a>], name: &str) -> Option<&'a HeaderRef<'a>> {
    headers.iter().rev().find(|header| header.name == name)
}

fn integer(bytes: &[u8], numbers: Numbers) -> Option<i64> {
    Some(match (numbers, bytes.len()) {
        (Numbers::BigEndian, 4) => i64::from(i32::from_be_bytes(bytes.try_into().ok()?)),
        (Numbers::BigEndian, 8) => i64::from_be_bytes(bytes.try_into().ok()?),
        (Numbers::BigEndian, _) => return None,
        (Numbers::Text, _) => std::str::from_utf8(bytes).ok()?.parse().ok()?,
    })
}

//! Ids that follow from where a message comes from, so that a replay gives the same ones.

use crate::record::{RecordRef, Text, uuid5};
use uuid::Uuid;

/// The namespace of every derived id, which is also that of the function `uuid5` of expressions: RFC 4122's for URLs.
pub const NAMESPACE: Uuid = Uuid::NAMESPACE_URL;

/// A part of a derived id's name.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// Text, as it is.
    Text(&'a str),
    /// A number, in decimal.
    Number(i64),
    /// Bytes, as they are.
    Bytes(&'a [u8]),
}

/// UUIDv5 of the parts joined by `/`.
pub fn derived_id(parts: &[Part<'_>]) -> Text {
    let mut name = Vec::with_capacity(96);
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            name.push(b'/');
        }
        match part {
            Part::Text(text) => name.extend_from_slice(text.as_bytes()),
            Part::Number(number) => decimal(*number, &mut name),
            Part::Bytes(bytes) => name.extend_from_slice(bytes),
        }
    }
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    Text::new(uuid5(&NAMESPACE, &name).hyphenated().encode_lower(&mut text))
}

/// Every message has such numbers in its id, and the formatter of the standard library is made for more.
fn decimal(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[from..]);
}

/// The id of a record that has none, and `ctx.id`: UUIDv5 of `topic/partition/offset`.
pub fn position_id(topic: &str, partition: i32, offset: i64) -> Text {
    derived_id(&[Part::Text(topic), Part::Number(partition.into()), Part::Number(offset)])
}

/// The id of a failed record's dead letter: the same however often the record fails at that node.
pub fn failure_id(topology: &str, node: &str, record: &RecordRef<'_>) -> Text {
    let (partition, offset) = (Part::Number(record.partition.into()), Part::Number(record.offset));
    let place = [Part::Text(topology), Part::Text(node), Part::Text(record.topic), partition, offset];
    if record.offset >= 0 {
        return derived_id(&[&place[..], &[Part::Text("error")]].concat());
    }
    // What lies in no log is told by what it is.
    let content = [record.key, record.value].map(|bytes| Part::Bytes(bytes.unwrap_or_default()));
    derived_id(&[&place[..], &[Part::Number(record.timestamp)], &content, &[Part::Text("error")]].concat())
}

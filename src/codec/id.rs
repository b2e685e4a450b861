//! Ids that follow from where a message comes from, so that a replay gives the same ones.

use crate::record::{RecordRef, Text};
use std::io::Write;
use uuid::Uuid;

/// The namespace of every derived id, which is also that of the function `uuid5` of expressions: RFC 4122's for URLs.
pub const NAMESPACE: Uuid = Uuid::NAMESPACE_URL;

/// UUIDv5 of the parts joined by `/`.
pub fn derived_id(parts: &[&dyn std::fmt::Display]) -> Text {
    let mut name = Vec::with_capacity(96);
    for (place, part) in parts.iter().enumerate() {
        let separator = if place == 0 { "" } else { "/" };
        write!(name, "{separator}{part}").expect("written to memory");
    }
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    Text::new(Uuid::new_v5(&NAMESPACE, &name).hyphenated().encode_lower(&mut text))
}

/// The id of a record that has none, and `ctx.id`: UUIDv5 of `topic/partition/offset`.
pub fn position_id(topic: &str, partition: i32, offset: i64) -> Text {
    derived_id(&[&topic, &partition, &offset])
}

/// The id of a failed record's dead letter: the same however often the record fails at that node.
pub fn failure_id(topology: &str, node: &str, record: &RecordRef<'_>) -> Text {
    derived_id(&[&topology, &node, &record.topic, &record.partition, &record.offset, &"error"])
}

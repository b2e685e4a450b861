//! From a failed record to its dead letter.

use super::{Origin, SECRET_HEADERS, Spelling, Told, names};
use crate::codec::{failure_id, moment};
use crate::failure::Failure;
use crate::node::{REPLAY_HEADER, Replay};
use crate::record::{HeaderRef, Millis, Partition, RecordRef, Text, Value, json, timestamp_text};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Bytes of a message or of details that are kept.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// Bytes of any other text that came from outside.
const NAME_BYTES_MAX: usize = 512;
/// What a record takes beside its bytes, and each header beside its own: varints and attributes, rounded up.
const RECORD_OVERHEAD_BYTES: usize = 128;
const HEADER_OVERHEAD_BYTES: usize = 16;

/// A record that becomes a dead letter.
#[derive(Clone, Copy, Debug)]
pub struct Dead<'a> {
    /// The record, as it was first read.
    pub record: &'a RecordRef<'a>,
    /// Why.
    pub failure: &'a Failure,
    /// The node that it failed at; of one that could not be decoded the sub-topology's name.
    pub node: &'a str,
    /// Topology.
    pub topology: &'a str,
    /// Its version.
    pub version: u32,
    /// The partition of the node at which it failed, and how many there are.
    pub task: (Partition, u32),
    /// How often it was tried since it was read, or was replayed.
    pub attempts: u32,
    /// Wall time of the first failure since then.
    pub first_at: Millis,
    /// Wall time of the last one.
    pub last_at: Millis,
    /// Whose names the headers have that tell cause and origin.
    pub spelling: Spelling,
}

/// A dead letter, ready to be written.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// Id, the same however often the record fails at this node.
    pub id: Text,
    /// Key of the original.
    pub key: Option<&'a [u8]>,
    /// Value of the original; none of a stub.
    pub value: Option<&'a [u8]>,
    /// Timestamp of the original.
    pub timestamp: Millis,
    original: Vec<HeaderRef<'a>>,
    own: Vec<(&'static str, Vec<u8>)>,
}

impl Letter<'_> {
    /// Headers of the original, then those that say why it failed.
    pub fn headers(&self) -> Vec<HeaderRef<'_>> {
        let own = self.own.iter().map(|(name, value)| HeaderRef { name, value: Some(value) });
        self.original.iter().copied().chain(own).collect()
    }

    fn size_bytes(&self) -> usize {
        let header = |name: &str, value: usize| name.len() + value + HEADER_OVERHEAD_BYTES;
        let original: usize = self.original.iter().map(|known| header(known.name, known.value.map_or(0, <[u8]>::len))).sum();
        let own: usize = self.own.iter().map(|(name, value)| header(name, value.len())).sum();
        let bytes = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        RECORD_OVERHEAD_BYTES + bytes(self.key) + bytes(self.value) + original + own
    }
}

/// The dead letter of a record, at most `bytes_max` large: what is left out first is the value, then the original's headers,
/// then its key. It is never larger than that if `bytes_max` leaves room for the engine's own headers (16 KiB).
pub fn letter<'a>(dead: &Dead<'a>, bytes_max: usize) -> Letter<'a> {
    let record = dead.record;
    let id = failure_id(dead.topology, dead.node, record);
    let mut letter = Letter {
        key: record.key,
        value: record.value,
        timestamp: record.timestamp,
        original: record.headers.iter().filter(|header| header.name != REPLAY_HEADER).copied().map(without_secret).collect(),
        own: own_headers(dead, &id),
        id,
    };
    if letter.size_bytes() <= bytes_max {
        return letter;
    }
    letter.own.push((names::STUB, Vec::new()));
    let mut left_out = Vec::new();
    for part in ["value", "headers", "key"] {
        match part {
            "value" => letter.value = None,
            "headers" => letter.original.clear(),
            _ => letter.key = None,
        }
        left_out.push(part);
        if let Some((_, stub)) = letter.own.last_mut() {
            *stub = stub_text(record, &left_out).into_bytes();
        }
        if letter.size_bytes() <= bytes_max {
            break;
        }
    }
    letter
}

fn without_secret(header: HeaderRef<'_>) -> HeaderRef<'_> {
    let is_secret = SECRET_HEADERS.iter().any(|secret| header.name.eq_ignore_ascii_case(secret));
    HeaderRef { value: header.value.filter(|_| !is_secret), ..header }
}

fn own_headers(dead: &Dead<'_>, id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let Dead { record, failure, .. } = dead;
    let told = Told {
        spelling: dead.spelling,
        origin: Origin {
            topic: capped(record.topic, NAME_BYTES_MAX).into(),
            partition: record.partition,
            offset: record.offset,
        },
        cause: capped(failure.code(), NAME_BYTES_MAX).into(),
        message: capped(failure.message(), TEXT_BYTES_MAX).into(),
        writer: Some(capped(dead.topology, NAME_BYTES_MAX).into()),
    };
    let mut own = dead.spelling.headers(&told);
    let replay = Replay::of(record);
    let (replays, tried, first_at) = replay.map_or((0, 0, dead.first_at), |at| (at.replays, at.attempts, at.first_at));
    let mut add = |name, text: String| own.push((name, text.into_bytes()));
    add(names::ID, id.to_owned());
    add(names::CODE, capped(failure.code(), NAME_BYTES_MAX));
    add(names::CLASS, failure.class().name().to_owned());
    add(names::NODE, capped(dead.node, NAME_BYTES_MAX));
    add(names::STAGE, failure.stage().name().to_owned());
    add(names::ATTEMPTS, dead.attempts.saturating_add(tried).to_string());
    add(names::FIRST_AT, timestamp_text(moment(first_at)));
    add(names::LAST_AT, timestamp_text(moment(dead.last_at)));
    add(names::TOPOLOGY, capped(dead.topology, NAME_BYTES_MAX));
    add(names::VERSION, dead.version.to_string());
    add(names::TASK, format!("{}/{}", dead.task.0, dead.task.1));
    if replays > 0 {
        add(names::REPLAYS, replays.to_string());
    }
    if !failure.details().is_null() {
        add(names::DETAILS, details_text(failure.details()));
    }
    if let Some(trace) = record.header("traceparent").and_then(|trace| std::str::from_utf8(trace).ok()) {
        add(names::TRACE, capped(trace, NAME_BYTES_MAX));
    }
    own
}

/// Details as JSON, which a part of would not be.
fn details_text(details: &Value) -> String {
    match json::text(details) {
        Ok(text) if text.len() <= TEXT_BYTES_MAX => text,
        _ => "\"too large to be kept\"".to_owned(),
    }
}

/// At most so many bytes, cut between characters.
fn capped(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// What a stub says of what it leaves out: the parts, and of the value size and digest.
fn stub_text(record: &RecordRef<'_>, left_out: &[&str]) -> String {
    let mut text = format!("without={}", left_out.join(","));
    if let Some(value) = record.value {
        write!(text, ";bytes={};sha256=", value.len()).expect("written to memory");
        for byte in Sha256::digest(value) {
            write!(text, "{byte:02x}").expect("written to memory");
        }
    }
    text
}

//! An aggregate's state, stored and as a snapshot.
//!
//! Stored: a format byte (`01`), the length of the head (u32), the head, the state as JSON. As a snapshot record: the state
//! alone as the value, the head as the header `skald`, so that any consumer reads the state without knowing this engine and
//! nothing is parsed to get from one form to the other.
//!
//! The head is text: fields `name=value` with `;` between them. `v` is the version (events applied), `s` the state's own
//! version, `x` the moment it expires at (milliseconds; missing where it does not), `e` the id of the last event; `e` comes last
//! and runs to the end, so an id may hold any character. It is missing when no event is known. Unknown fields are passed over:
//! `v=12;s=1;e=5f8a-…`.

use super::Malformed;
use crate::record::{Millis, Text, json};
use crate::state::Entity;
use std::io::Write as _;
use std::ops::Range;

const FORMAT: u8 = 1;
const LENGTH_END: usize = 5;
/// How the field of the expiry begins; it is never the first.
const EXPIRY: &[u8] = b";x=";

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Events applied.
    pub version: u64,
    /// Version of the state's shape.
    pub state_version: u32,
    /// When it expires.
    pub expires_at: Option<Millis>,
    /// Id of the last event.
    pub last_event: Option<Text>,
}

/// Where head and state lie in what [`append_entity`] has written, counted from the start of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The head.
    pub head: Range<usize>,
    /// The state's JSON.
    pub state: Range<usize>,
}

/// Appends the stored form. After an error `out` holds a part of it.
pub fn append_entity(entity: &Entity, out: &mut Vec<u8>) -> Result<Parts, json::Error> {
    let start = out.len();
    out.extend_from_slice(&[FORMAT, 0, 0, 0, 0]);
    let head_start = out.len();
    write!(out, "v={};s={}", entity.version, entity.state_version).expect("memory takes any write");
    if let Some(at) = entity.expires_at {
        write!(out, ";x={}", at.max(0)).expect("memory takes any write");
    }
    if let Some(event) = &entity.last_event {
        out.extend_from_slice(b";e=");
        out.extend_from_slice(event.as_bytes());
    }
    let head_end = out.len();
    let length = u32::try_from(head_end - head_start).expect("an id is part of a record, far below 4 GiB");
    out[start + 1..head_start].copy_from_slice(&length.to_be_bytes());
    json::write(&entity.value, out)?;
    Ok(Parts { head: head_start..head_end, state: head_end..out.len() })
}

/// Appends the stored form, of a head and a state as a snapshot record has them.
pub fn append(head: &[u8], state: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let length = u32::try_from(head.len()).map_err(|_| Malformed::new("a head of more than 4 GiB"))?;
    out.push(FORMAT);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(head);
    out.extend_from_slice(state);
    Ok(())
}

/// Head and state of a stored entity.
pub fn split(stored: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    match stored {
        [FORMAT, a, b, c, d, rest @ ..] => {
            let length = u32::from_be_bytes([*a, *b, *c, *d]);
            usize::try_from(length)
                .ok()
                .and_then(|length| rest.split_at_checked(length))
                .ok_or_else(|| Malformed::new(format!("a head of {length} bytes in {}", stored.len() - LENGTH_END)))
        }
        [FORMAT, ..] => Err(Malformed::new("a state that ends before its head")),
        [other, ..] => Err(Malformed::new(format!("a state of unknown format {other}"))),
        [] => Err(Malformed::new("an empty state")),
    }
}

/// Reads a stored entity.
pub fn read(stored: &[u8]) -> Result<Entity, Malformed> {
    let (head, state) = split(stored)?;
    let Head { version, state_version, expires_at, last_event } = read_head(head)?;
    let value = json::read(state).map_err(|error| Malformed::new(format!("the state is no JSON: {error}")))?;
    Ok(Entity { value, version, last_event, state_version, expires_at })
}

/// When a stored entity expires. The head alone is looked at, and read only where it may say so.
pub fn expires_at(stored: &[u8]) -> Result<Option<Millis>, Malformed> {
    let (head, _) = split(stored)?;
    if head.windows(EXPIRY.len()).any(|field| field == EXPIRY) { Ok(read_head(head)?.expires_at) } else { Ok(None) }
}

/// Reads a head.
pub fn read_head(head: &[u8]) -> Result<Head, Malformed> {
    let mut rest = std::str::from_utf8(head).map_err(|_| Malformed::new("a head that is not UTF-8"))?;
    let (mut version, mut state_version, mut expires_at, mut last_event) = (None, None, None, None);
    while !rest.is_empty() {
        let (name, tail) = rest.split_once('=').ok_or_else(|| Malformed::new("a field without `=` in the head"))?;
        if name == "e" {
            last_event = Some(Text::new(tail));
            break;
        }
        let (value, tail) = tail.split_once(';').unwrap_or((tail, ""));
        match name {
            "v" => version = Some(number(value)?),
            "s" => state_version = Some(number(value)?),
            "x" => expires_at = Some(moment(value)?),
            _ => {}
        }
        rest = tail;
    }
    let version = version.ok_or_else(|| Malformed::new("a head without version"))?;
    let state_version = state_version.ok_or_else(|| Malformed::new("a head without state version"))?;
    let state_version = u32::try_from(state_version).map_err(|_| Malformed::new("a state version beyond 32 bits"))?;
    Ok(Head { version, state_version, expires_at, last_event })
}

fn moment(text: &str) -> Result<Millis, Malformed> {
    Millis::try_from(number(text)?).map_err(|_| Malformed::new("an expiry beyond all time"))
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Result<u64, Malformed> {
    text.parse()
        .ok()
        .filter(|_| !text.starts_with('+'))
        .ok_or_else(|| Malformed::new("a field of the head that should be a number"))
}

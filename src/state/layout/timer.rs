//! A timer.
//!
//! Key: its owner (a part of variable length), its name. Stored and in the changelog: a format byte (`01`), the moment it is due
//! (i64, milliseconds), its generation (u64), the payload to the end.

use super::{Malformed, key};
use crate::record::Millis;
use crate::state::Timer;
use bytes::Bytes;

const FORMAT: u8 = 1;
const PAYLOAD: usize = 17;

/// The key of a timer, without its tag.
pub fn key(owner: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(owner.len() + 2 + name.len());
    key::append_part(owner, &mut out);
    out.extend_from_slice(name);
    out
}

/// Owner and name of a timer, from its key without the tag.
pub fn read_key(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), Malformed> {
    let owner = key::read_part(&mut bytes)?;
    Ok((owner, bytes))
}

/// Appends the stored form.
pub fn append(timer: &Timer, out: &mut Vec<u8>) {
    out.push(FORMAT);
    out.extend_from_slice(&timer.due.to_be_bytes());
    out.extend_from_slice(&timer.generation.to_be_bytes());
    out.extend_from_slice(&timer.payload);
}

/// When a stored timer is due.
pub fn due(stored: &[u8]) -> Result<Millis, Malformed> {
    let (due, _) = head(stored)?;
    Ok(due)
}

/// Reads a stored timer.
pub fn read(stored: &Bytes) -> Result<Timer, Malformed> {
    let (due, generation) = head(stored)?;
    Ok(Timer { due, generation, payload: stored.slice(PAYLOAD..) })
}

fn head(stored: &[u8]) -> Result<(Millis, u64), Malformed> {
    let Some((head, _)) = stored.split_first_chunk::<PAYLOAD>() else {
        return Err(Malformed::new("a timer that is too short"));
    };
    let [format, d0, d1, d2, d3, d4, d5, d6, d7, generation @ ..] = *head;
    if format != FORMAT {
        return Err(Malformed::new(format!("a timer of unknown format {format}")));
    }
    Ok((Millis::from_be_bytes([d0, d1, d2, d3, d4, d5, d6, d7]), u64::from_be_bytes(generation)))
}

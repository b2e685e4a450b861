//! Rows that are forgotten at some moment: marks of answered requests, early events.
//!
//! Stored and in the changelog: a format byte (`01`), the expiry (i64, milliseconds), the value to the end.

use super::Malformed;
use crate::record::Millis;
use crate::state::Expiring;
use bytes::Bytes;

const FORMAT: u8 = 1;
const VALUE: usize = 9;

/// Appends the stored form.
pub fn append(row: &Expiring, out: &mut Vec<u8>) {
    out.push(FORMAT);
    out.extend_from_slice(&row.expires_at.to_be_bytes());
    out.extend_from_slice(&row.value);
}

/// The expiry of a stored row.
pub fn expires_at(stored: &[u8]) -> Result<Millis, Malformed> {
    match stored.split_first_chunk::<VALUE>() {
        Some(([FORMAT, at @ ..], _)) => Ok(Millis::from_be_bytes(*at)),
        Some(([other, ..], _)) => Err(Malformed::new(format!("a row that expires, of unknown format {other}"))),
        None => Err(Malformed::new("a row that expires and is too short to say when")),
    }
}

/// Reads a stored row.
pub fn read(stored: &Bytes) -> Result<Expiring, Malformed> {
    let expires_at = expires_at(stored)?;
    Ok(Expiring { expires_at, value: stored.slice(VALUE..) })
}

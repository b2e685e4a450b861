//! A mark and its place in the index of expiries.
//!
//! Stored and in the changelog: a format byte (`01`), the expiry (i64, milliseconds), the reply to the end.
//! Index: tag `06`, the expiry (u64), the tag of what expires, its key; an empty value.

use super::{Malformed, Tag, key};
use crate::record::Millis;
use crate::state::Mark;
use bytes::Bytes;

const FORMAT: u8 = 1;
const REPLY: usize = 9;

/// Appends the stored form.
pub fn append(mark: &Mark, out: &mut Vec<u8>) {
    out.push(FORMAT);
    out.extend_from_slice(&mark.expires_at.to_be_bytes());
    out.extend_from_slice(&mark.reply);
}

/// The expiry of a stored mark.
pub fn expires_at(stored: &[u8]) -> Result<Millis, Malformed> {
    match stored.split_first_chunk::<REPLY>() {
        Some(([FORMAT, at @ ..], _)) => Ok(Millis::from_be_bytes(*at)),
        Some(([other, ..], _)) => Err(Malformed::new(format!("a mark of unknown format {other}"))),
        None => Err(Malformed::new("a mark that is too short")),
    }
}

/// Reads a stored mark.
pub fn read(stored: &[u8]) -> Result<Mark, Malformed> {
    let expires_at = expires_at(stored)?;
    Ok(Mark { expires_at, reply: Bytes::copy_from_slice(&stored[REPLY..]) })
}

/// Key in the index. Moments before 1970 count as 1970: they are due in any case.
pub fn expiry_key(expires_at: Millis, tag: Tag, of: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(10 + of.len());
    out.push(Tag::Expiry as u8);
    key::append_u64(expires_at.max(0).unsigned_abs(), &mut out);
    tag.append_key(of, &mut out);
    out
}

/// First key of the index whose expiry is later than `now`.
pub fn expiry_after(now: Millis) -> Vec<u8> {
    let mut out = vec![Tag::Expiry as u8];
    key::append_u64(now.max(0).unsigned_abs() + 1, &mut out);
    out
}

/// Expiry and id of an index key.
pub fn read_expiry_key(mut bytes: &[u8]) -> Result<(Millis, &[u8]), Malformed> {
    let tag = bytes.split_off_first().copied();
    if tag.and_then(Tag::from_byte) != Some(Tag::Expiry) {
        return Err(Malformed::new("a key that is not of the index of expiries"));
    }
    let at = key::read_u64(&mut bytes)?;
    let at = Millis::try_from(at).map_err(|_| Malformed::new("an expiry beyond all time"))?;
    match bytes.split_first() {
        Some((tag, id)) if Tag::from_byte(*tag) == Some(Tag::Mark) => Ok((at, id)),
        _ => Err(Malformed::new("an expiry of something unknown")),
    }
}

//! What a store knows about itself: a checkpoint for each of its changelogs.
//!
//! Value: format (u16), next offset (i64), wall time of the write (i64), partition count (u32).

use super::{FORMAT, Malformed, Tag};
use crate::state::Checkpoint;

const PREFIX: &[u8] = b"checkpoint/";

/// Key of the checkpoint for a changelog topic.
pub fn checkpoint_key(changelog: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + PREFIX.len() + changelog.len());
    key.push(Tag::Meta as u8);
    key.extend_from_slice(PREFIX);
    key.extend_from_slice(changelog.as_bytes());
    key
}

/// The stored form.
pub fn checkpoint_value(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = Vec::with_capacity(22);
    out.extend_from_slice(&checkpoint.format.to_be_bytes());
    out.extend_from_slice(&checkpoint.next_offset.to_be_bytes());
    out.extend_from_slice(&checkpoint.applied_at.to_be_bytes());
    out.extend_from_slice(&checkpoint.partitions.to_be_bytes());
    out
}

/// Reads a stored checkpoint. Of one in another format only that format is known; the rest is zero.
pub fn read_checkpoint(stored: &[u8]) -> Result<Checkpoint, Malformed> {
    let (format, rest) = stored.split_first_chunk().ok_or_else(|| Malformed::new("a checkpoint that is too short"))?;
    let format = u16::from_be_bytes(*format);
    if format != FORMAT {
        return Ok(Checkpoint { next_offset: 0, applied_at: 0, partitions: 0, format });
    }
    let [o0, o1, o2, o3, o4, o5, o6, o7, a0, a1, a2, a3, a4, a5, a6, a7, p0, p1, p2, p3] = *rest else {
        return Err(Malformed::new("a checkpoint of wrong length"));
    };
    let next_offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
    if next_offset < 0 {
        return Err(Malformed::new("a checkpoint before the first offset"));
    }
    Ok(Checkpoint {
        next_offset,
        applied_at: i64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
        partitions: u32::from_be_bytes([p0, p1, p2, p3]),
        format,
    })
}

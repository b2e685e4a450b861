//! Keys of several parts whose byte order is the order of their parts.
//!
//! Integers are big-endian. A part of variable length ends in `00 00`, a `00` within it is written `00 FF`: so a part that is a
//! prefix of another sorts before it, and no part can run into the next. The last part of a key is raw.

use super::Malformed;

/// Appends a part of variable length that is not the last one.
pub fn append_part(part: &[u8], out: &mut Vec<u8>) {
    out.reserve(part.len() + 2);
    for byte in part {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Reads a part of variable length off the front of `bytes`.
pub fn read_part(bytes: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut part = Vec::new();
    let mut rest = *bytes;
    loop {
        match rest {
            [0, 0, tail @ ..] => {
                *bytes = tail;
                return Ok(part);
            }
            [0, 0xff, tail @ ..] => {
                part.push(0);
                rest = tail;
            }
            [0, ..] | [] => return Err(Malformed::new("a key's part without its end")),
            [byte, tail @ ..] => {
                part.push(*byte);
                rest = tail;
            }
        }
    }
}

/// Appends an integer.
pub fn append_u64(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// Reads an integer off the front of `bytes`.
pub fn read_u64(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let (number, rest) = bytes.split_first_chunk().ok_or_else(|| Malformed::new("a key that ends within a number"))?;
    *bytes = rest;
    Ok(u64::from_be_bytes(*number))
}

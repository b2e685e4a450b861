//! JSON text of values: read straight into [`Value`], written with one form for equal values.
//!
//! Reading is strict (RFC 8259, UTF-8 without exception) and total: whatever the bytes, the answer is a value or an
//! [`Error`] with its place, in time and memory linear in the input and at most [`DEPTH_MAX`] frames deep. An integer
//! beyond 64 bits keeps its digits ([`Value::BigInt`]), a fraction or exponent makes a double, of equal keys the last holds.
//!
//! Writing sorts keys (as maps have them), gives every double a point or an exponent, so that it is read back as one, and
//! turns what JSON has no kind for into text: moments, lengths of time, bytes in base64 (`language.md` §2).
//!
//! A reader of our own and not a crate's: no crate here keeps digits beyond 64 bits while reading into foreign values, and
//! this one spares the detour over a visitor.

mod plain;
mod read;
mod write;

#[cfg(test)]
mod tests;

use super::{Text, Value};
use plain::plain;

/// Lists and maps within each other, at most; when written as when read, so that what was written can be read again.
pub const DEPTH_MAX: usize = 128;

/// Why text is no value or a value has no text. Places are bytes from the start, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that are no UTF-8.
    #[error("not UTF-8 at byte {at}")]
    Utf8 {
        /// Place.
        at: usize,
    },
    /// Text that is no JSON.
    #[error("{expected} expected at byte {at}")]
    Syntax {
        /// Place.
        at: usize,
        /// What could stand there.
        expected: &'static str,
    },
    /// The text ends within a value.
    #[error("the text ends too early: {expected} expected")]
    Ended {
        /// What could go on.
        expected: &'static str,
    },
    /// An escape for one half of a character that takes two.
    #[error("half of a surrogate pair at byte {at}")]
    Surrogate {
        /// Place.
        at: usize,
    },
    /// A number that no double can hold.
    #[error("number too large at byte {at}")]
    NumberRange {
        /// Place.
        at: usize,
    },
    /// More than [`DEPTH_MAX`] lists and maps within each other.
    #[error("nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// NaN or an infinity, which JSON cannot write.
    #[error("a number that is not finite has no JSON text")]
    NotFinite,
}

/// What is wanted of a value. The rest is gone over: what is wrong with it is found, and no value is made of it.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'w> {
    /// The whole.
    All,
    /// Of a map these fields, as far as it has them; a value of another kind is wanted whole.
    Fields(&'w [Text]),
    /// Nothing.
    Nothing,
}

/// Reads one value; nothing but white space may be around it.
pub fn read(text: &[u8]) -> Result<Value, Error> {
    read::read(text, Wanted::All)
}

/// Reads what is wanted of one value, null where nothing is; errors are those of [`read`].
pub fn read_some(text: &[u8], wanted: Wanted<'_>) -> Result<Value, Error> {
    read::read(text, wanted)
}

/// Reads one map, handing over what is wanted of its fields in the order written, a field that stands twice twice: for envelopes,
/// whose map nobody needs. False: the text is a value of another kind, and nothing was handed over.
pub fn read_fields<'w>(
    text: &[u8],
    wanted: &dyn Fn(&str) -> Wanted<'w>,
    each: &mut dyn FnMut(&str, Value),
) -> Result<bool, Error> {
    read::read_fields(text, wanted, each)
}

/// Appends the text of a value. After an error `out` holds a part of it.
pub fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    write::write(value, out, 0)
}

/// Appends text as a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write::string(text, out);
}

/// The text of a value.
pub fn text(value: &Value) -> Result<String, Error> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(String::from_utf8(out).expect("made of text, punctuation and digits"))
}

//! What waits behind a failure: records of a key, and where the key stands.
//!
//! Keys, without the tag, begin with the kind of row:
//!
//! | row | key | value |
//! |---|---|---|
//! | `01` totals | – | parked keys, records, keys held (u64 each) |
//! | `02` standing | the key | is there a moment (u8) at which its head is tried again (i64), tries of the head (u32), its first failure (i64), number of the head (u64) |
//! | `03` record | the key (a part of variable length), number u64 | the runtime's |
//! | `04` tail | the key | number of the record that comes next (u64) |
//! | `05` holder | the key | where the record was first read whose dead letter holds the key: text |
//!
//! A value begins with the kind of its row too, so that the moment of a standing is found without its key. Records of a key are
//! numbered without gaps, so the head and the place of the next one are known without a scan. What comes changes the tail alone: a
//! standing that every epoch changed would never be found due.

use super::{Malformed, key};
use crate::record::Millis;

const TOTALS: u8 = 1;
const STANDING: u8 = 2;
const RECORD: u8 = 3;
const TAIL: u8 = 4;
const HOLDER: u8 = 5;

/// Where a parked key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When its head is tried again; `None`: it is held until an operator acts.
    pub due: Option<Millis>,
    /// How often the head was tried.
    pub attempts: u32,
    /// When the head failed first.
    pub first_at: Millis,
    /// Number of the first record that waits.
    pub head: u64,
}

/// Number of a key's first record: there is room for what goes before it.
pub const FIRST: u64 = 1 << 32;

/// What is parked in a store, over all keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedTotals {
    /// Keys that are parked.
    pub keys: u64,
    /// Records that wait.
    pub records: u64,
    /// Keys that are held until an operator acts.
    pub held: u64,
}

/// Key of the totals.
pub const TOTALS_KEY: &[u8] = &[TOTALS];

/// What the keys of all standings begin with.
pub const STANDINGS: &[u8] = &[STANDING];

/// Key of a key's standing.
pub fn standing_key(parked: &[u8]) -> Vec<u8> {
    [&[STANDING], parked].concat()
}

/// The parked key of a standing, from the row's key.
pub fn read_standing_key(row: &[u8]) -> Option<&[u8]> {
    row.strip_prefix(STANDINGS)
}

/// Key of a record that waits.
pub fn record_key(parked: &[u8], number: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(parked.len() + 11);
    out.push(RECORD);
    key::append_part(parked, &mut out);
    key::append_u64(number, &mut out);
    out
}

/// Begins the value of a record that waits; what follows is the caller's.
pub fn begin_record(out: &mut Vec<u8>) {
    out.push(RECORD);
}

/// What the caller wrote behind [`begin_record`].
pub fn read_record(stored: &[u8]) -> Result<&[u8], Malformed> {
    stored.strip_prefix(&[RECORD]).ok_or_else(|| Malformed::new("a row that is no parked record"))
}

/// Key of a key's tail.
pub fn tail_key(parked: &[u8]) -> Vec<u8> {
    [&[TAIL], parked].concat()
}

/// The stored form of a tail.
pub fn tail_value(next: u64) -> Vec<u8> {
    let mut out = vec![TAIL];
    key::append_u64(next, &mut out);
    out
}

/// Reads a tail.
pub fn read_tail(stored: &[u8]) -> Result<u64, Malformed> {
    let mut rest = stored.strip_prefix(&[TAIL]).ok_or_else(|| Malformed::new("a row that is no tail of a parked key"))?;
    key::read_u64(&mut rest)
}

/// Key of what holds a key.
pub fn holder_key(parked: &[u8]) -> Vec<u8> {
    [&[HOLDER], parked].concat()
}

/// The stored form of a holder.
pub fn holder_value(place: &str) -> Vec<u8> {
    [&[HOLDER], place.as_bytes()].concat()
}

/// Reads a holder.
pub fn read_holder(stored: &[u8]) -> Result<&str, Malformed> {
    let place = stored.strip_prefix(&[HOLDER]).and_then(|place| std::str::from_utf8(place).ok());
    place.ok_or_else(|| Malformed::new("a row that is no holder of a parked key"))
}

/// The stored form of a standing.
pub fn standing_value(standing: &Standing) -> Vec<u8> {
    let mut out = Vec::with_capacity(30);
    out.extend_from_slice(&[STANDING, u8::from(standing.due.is_some())]);
    out.extend_from_slice(&standing.due.unwrap_or_default().to_be_bytes());
    out.extend_from_slice(&standing.attempts.to_be_bytes());
    out.extend_from_slice(&standing.first_at.to_be_bytes());
    key::append_u64(standing.head, &mut out);
    out
}

/// Reads a standing.
pub fn read_standing(stored: &[u8]) -> Result<Standing, Malformed> {
    let malformed = || Malformed::new("a row that is no standing of a parked key");
    let due = moment(stored)?;
    let rest = stored.get(10..).filter(|rest| stored[0] == STANDING && rest.len() == 20).ok_or_else(malformed)?;
    let (attempts, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
    let (first_at, mut rest) = rest.split_first_chunk().ok_or_else(malformed)?;
    let (attempts, first_at) = (u32::from_be_bytes(*attempts), Millis::from_be_bytes(*first_at));
    Ok(Standing { due, attempts, first_at, head: key::read_u64(&mut rest)? })
}

/// The stored form of the totals.
pub fn totals_value(totals: &ParkedTotals) -> Vec<u8> {
    let mut out = Vec::with_capacity(25);
    out.push(TOTALS);
    [totals.keys, totals.records, totals.held].iter().for_each(|number| key::append_u64(*number, &mut out));
    out
}

/// Reads the totals.
pub fn read_totals(stored: &[u8]) -> Result<ParkedTotals, Malformed> {
    let mut rest = stored.strip_prefix(TOTALS_KEY).ok_or_else(|| Malformed::new("a row that is no count of what is parked"))?;
    let mut number = || key::read_u64(&mut rest);
    Ok(ParkedTotals { keys: number()?, records: number()?, held: number()? })
}

/// When a row of any kind is due.
pub fn moment(stored: &[u8]) -> Result<Option<Millis>, Malformed> {
    match stored {
        [STANDING, 0, ..] => Ok(None),
        [STANDING, 1, due @ ..] => {
            let due = due.first_chunk().ok_or_else(|| Malformed::new("a standing that is too short to say when"))?;
            Ok(Some(Millis::from_be_bytes(*due)))
        }
        [TOTALS | RECORD | TAIL | HOLDER, ..] => Ok(None),
        _ => Err(Malformed::new("a parked row of unknown form")),
    }
}

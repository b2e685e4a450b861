//! Ids and chances that follow from what is done, so that whoever does it again does the same.

use crate::codec::{NAMESPACE, Part, derived_id};
use crate::record::{Text, Value, json, uuid5};
use crate::topology::model::Retry;
use crate::topology::model::saga::Direction;
use sha2::{Digest, Sha256};

/// What a command's id follows from (`language.md` §12): a slow participant knows a repetition by it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deed<'a> {
    pub(super) saga: &'a str,
    pub(super) step: &'a str,
    pub(super) item: usize,
    pub(super) direction: Direction,
    /// Tries that were answered before.
    pub(super) answered: u32,
}

impl<'a> Deed<'a> {
    pub(super) fn parts(&self) -> [Part<'a>; 5] {
        let item = i64::try_from(self.item).unwrap_or(i64::MAX);
        let direction = match self.direction {
            Direction::Forward => "do",
            Direction::Back => "undo",
        };
        [
            Part::Text(self.saga),
            Part::Text(self.step),
            Part::Number(item),
            Part::Text(direction),
            Part::Number(i64::from(self.answered) + 1),
        ]
    }
}

/// `ctx.id` of an instance: of saga, step and try.
pub(super) fn context_id(topology: &str, node: &str, saga: &str, step: &str, tries: u32) -> Text {
    let parts = [Part::Text(topology), Part::Text(node), Part::Text(saga), Part::Text(step), Part::Number(tries.into())];
    derived_id(&parts)
}

/// Hash of a start's type and data, in hex: half of a SHA-256.
pub(super) fn input_hash(kind: &str, data: &Value) -> Text {
    let mut text = Vec::with_capacity(256);
    text.extend_from_slice(kind.as_bytes());
    text.push(b'\n');
    // What has no text (it was never read from one) is told apart by its kind at least.
    if json::write(data, &mut text).is_err() {
        text.extend_from_slice(data.kind().as_bytes());
    }
    let hash = Sha256::digest(&text);
    let mut hex = String::with_capacity(32);
    for byte in &hash[..16] {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(digit), 16).expect("below 16"));
        }
    }
    hex.into()
}

/// A message's id as a number.
pub(super) fn id_hash(id: &str) -> u64 {
    uuid5(&NAMESPACE, id.as_bytes()).as_u64_pair().0
}

/// Milliseconds until the next try after so many: the policy's wait, spread by a number that follows from what is tried.
pub(super) fn wait_millis(retry: &Retry, tries: u32, deed: &Deed<'_>) -> i64 {
    let wait = retry.wait(tries).as_millis() as f64;
    let name = format!("{}/{}/{}/{:?}/{tries}", deed.saga, deed.step, deed.item, deed.direction);
    let chance = (id_hash(&name) >> 11) as f64 / (1_u64 << 53) as f64;
    let spread = 1.0 + retry.jitter * (2.0 * chance - 1.0);
    // A wait that no clock can hold is cut to the longest; a negative one cannot be.
    (wait * spread).clamp(0.0, 1e15) as i64
}

//! One input and all that it makes of messages kept before.

use super::Setting;
use super::action::{Action, Input, What};
use super::instance::Row;
use super::step::step;
use crate::codec::{Event, KeyFormat};
use crate::failure::Failure;
use crate::node::Outcome;
use crate::record::{HeaderRef, KeptRecord, Text};

/// A kept message, read again.
pub struct KeptMessage {
    /// Its record.
    pub record: KeptRecord,
    /// What the record says.
    pub event: Event,
    /// Format of its key.
    pub key_format: KeyFormat,
}

/// The new row, where there is one: `Some(None)` is that nothing is kept any more.
pub type Changed = Option<Option<Row>>;

/// What carries the actions of an instance out.
pub trait Hands {
    /// Why it cannot.
    type Error: From<Failure>;

    /// Carries out what one input made the instance want.
    fn carry_out(&mut self, input: &Input<'_>, actions: Vec<Action>) -> Result<(), Self::Error>;

    /// Reads a kept message; `None`: it is not there, or not readable any more.
    fn kept(&mut self, number: u32) -> Result<Option<KeptMessage>, Self::Error>;
}

/// Steps an instance by an input, then by each kept message that is wanted by then, in the order they came. Gives the last row, where it
/// is another one.
pub fn drive<H: Hands>(
    setting: Setting<'_>,
    id: &Text,
    row: Option<Row>,
    input: &Input<'_>,
    hands: &mut H,
) -> Result<(Changed, Outcome), H::Error> {
    let stepped = step(setting, id, row, input)?;
    hands.carry_out(input, stepped.actions)?;
    let (mut row, mut changed, mut offers) = (stepped.row, stepped.changed, stepped.offers);
    // Each round takes one of at most a hundred messages out, or is the last.
    while let Some((next, further)) = offer(setting, id, row.clone(), &offers, input, hands)? {
        (row, offers) = (next, further);
        changed = true;
    }
    Ok((changed.then_some(row), stepped.outcome))
}

/// Offers kept messages until one is taken: the row then, and what is to be offered next.
#[allow(clippy::type_complexity, reason = "a pair for the only caller")]
fn offer<H: Hands>(
    setting: Setting<'_>,
    id: &Text,
    row: Option<Row>,
    offers: &[u32],
    input: &Input<'_>,
    hands: &mut H,
) -> Result<Option<(Option<Row>, Vec<u32>)>, H::Error> {
    let kept_in = |row: &Option<Row>| match row {
        Some(Row::Instance(saga)) => saga.kept.len(),
        _ => 0,
    };
    let before = kept_in(&row);
    for number in offers {
        let Some(KeptMessage { record, event, key_format }) = hands.kept(*number)? else { continue };
        let headers: Vec<HeaderRef<'_>> = record.headers.iter().map(|header| header.as_ref()).collect();
        let record = record.as_ref(&headers);
        let offered = Input { now: input.now, record: &record, key_format, event: &event, what: What::Message(Some(*number)) };
        let stepped = step(setting, id, row.clone(), &offered)?;
        if kept_in(&stepped.row) < before {
            hands.carry_out(&offered, stepped.actions)?;
            return Ok(Some((stepped.row, stepped.offers)));
        }
    }
    Ok(None)
}

//! Messages that are sent later: kept as the record that they will be, and sent by a timer.
//!
//! A message is computed when its step runs, ids included; only its time is that of its sending. The topic is kept by name, so a
//! message outlives changes of the file that it came from.
//!
//! Layout of what is kept: a format byte (`01`), the timestamp (i64), topic, id, key, value, the number of headers (u16), and each
//! header's name and value; each part with its length (u32) in front, `ffffffff` where there is none.

use super::{Context, Firing, Node, Outgoing, Road, Stop, Target, World};
use crate::failure::{Class, Failure, Stage};
use crate::record::{HeaderRef, Millis, RecordRef, Text};
use bytes::Bytes;

const FORMAT: u8 = 1;
const NONE: u32 = u32::MAX;

/// Names of timers: those that the user gives, and those of messages without one, which are known by their ids.
const NAMED: u8 = b'n';
const BY_ID: u8 = b'i';

/// The name that a timer is kept under.
pub fn timer_name(given: Option<&str>, id: &str) -> Vec<u8> {
    let (mark, name) = given.map_or((BY_ID, id), |given| (NAMED, given));
    [&[mark], name.as_bytes()].concat()
}

/// Is it the timer of a message that is sent later?
pub fn is_delayed(timer: &[u8]) -> bool {
    matches!(timer.first(), Some(&(NAMED | BY_ID)))
}

/// A message that waits, as the record that it will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub(super) topic: &'a str,
    pub(super) spread: &'a [u8],
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<HeaderRef<'a>>,
    pub(super) timestamp: Millis,
}

impl Kept<'_> {
    pub(super) fn write(&self) -> Bytes {
        let mut out = Vec::with_capacity(64 + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len));
        out.push(FORMAT);
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        let mut part = |bytes: Option<&[u8]>| {
            let length = bytes.map_or(NONE, |bytes| u32::try_from(bytes.len()).expect("a record is far below 4 GiB"));
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes.unwrap_or_default());
        };
        part(Some(self.topic.as_bytes()));
        part(Some(self.spread));
        part(self.key);
        part(self.value);
        let count = u16::try_from(self.headers.len()).unwrap_or(u16::MAX);
        part(Some(&count.to_be_bytes()));
        for header in self.headers.iter().take(usize::from(count)) {
            part(Some(header.name.as_bytes()));
            part(header.value);
        }
        out.into()
    }
}

impl<'a> Kept<'a> {
    /// Reads what was kept; `None` of bytes that [`Kept::write`] did not write.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&FORMAT, rest) = bytes.split_first()? else { return None };
        let (timestamp, mut rest) = rest.split_first_chunk()?;
        let mut part = || -> Option<Option<&'a [u8]>> {
            let (length, tail) = rest.split_first_chunk()?;
            rest = tail;
            let length = u32::from_be_bytes(*length);
            if length == NONE {
                return Some(None);
            }
            let (part, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = tail;
            Some(Some(part))
        };
        let topic = std::str::from_utf8(part()??).ok()?;
        let (spread, key, value) = (part()??, part()?, part()?);
        let count = u16::from_be_bytes(part()??.try_into().ok()?);
        let mut headers = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(part()??).ok()?;
            headers.push(HeaderRef { name, value: part()? });
        }
        rest.is_empty().then_some(Self { topic, spread, key, value, headers, timestamp: Millis::from_be_bytes(*timestamp) })
    }
}

/// Sends a message whose time has come. One that cannot be sent becomes a dead letter: itself is the original.
pub fn send_kept(world: &World, node: &dyn Node, firing: &Firing<'_>, context: &mut dyn Context) -> Result<(), Stop> {
    let Some(kept) = Kept::read(firing.payload) else {
        let message = "what was kept to be sent cannot be read";
        return Err(Failure::new(Class::Undecodable, "UNDECODABLE", Stage::Decode, message).into());
    };
    let Kept { topic, spread, key, value, ref headers, timestamp } = kept;
    let target = world.topic(topic).map_or(Target::Named(topic), Target::Planned);
    let Err(failure) = context.send(Outgoing { target, key, spread, value, headers, timestamp }) else { return Ok(()) };
    if failure.class() == Class::Engine || node.road(&failure) == Road::Stop {
        return Err(failure.into());
    }
    context.count("delayed_message_failed");
    let record = RecordRef { topic, partition: 0, offset: -1, timestamp, key, value, headers };
    context.dead_letter_of(&record, &failure)?;
    Ok(())
}

/// A message's delay, computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delayed {
    /// For how long; nothing and less is at once.
    pub(super) millis: Millis,
    /// Whose timer it is: the instance, or the key of the record in hand.
    pub(super) owner: Vec<u8>,
    /// The name of the timer, which replaces one of the same name.
    pub(super) name: Option<Text>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Parts = (String, Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>, i64);

    proptest! {
        #[test]
        fn what_is_kept_reads_back_and_nothing_else_does(
            parts in any::<Parts>(), cut in any::<proptest::sample::Index>(), junk in any::<Vec<u8>>(),
        ) {
            let (topic, spread, key, value, headers, timestamp) = &parts;
            let headers = headers.iter().map(|(name, value)| HeaderRef { name, value: value.as_deref() }).collect();
            let (key, value) = (key.as_deref(), value.as_deref());
            let kept = Kept { topic, spread, key, value, headers, timestamp: *timestamp };
            let written = kept.write();
            prop_assert_eq!(Kept::read(&written), Some(kept));
            prop_assert_eq!(Kept::read(&written[..cut.index(written.len())]), None);
            let longer = [&written[..], &[0]].concat();
            prop_assert_eq!(Kept::read(&longer), None);
            let _ = Kept::read(&junk);
            let _ = Kept::read(&[&[FORMAT][..], &junk].concat());
        }
    }
}

//! A record that an operator lets a node take once more.
//!
//! It lies in the node's inbox as in a repartition topic, with a second header that says for which node and how often:
//! `replays/attempts/first failure/what/node`, `what` being `node`, `all`, `rekeyed` or `discarded`. The header goes with the record wherever the
//! engine keeps it or passes it on, so that its next dead letter counts on; expressions and other topics do not see it.

use crate::record::{HeaderRef, Millis, RecordRef};

/// The header.
pub const REPLAY_HEADER: &str = "__skald.replay";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay<'a> {
    /// How often it was taken once more, this time included.
    pub replays: u32,
    /// How often it was tried before.
    pub attempts: u32,
    /// When it failed first.
    pub first_at: Millis,
    /// For whom it is.
    pub what: Wanted,
    /// The node that it failed at.
    pub node: &'a str,
}

/// Who takes a record once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The node.
    Node,
    /// The node, under another key than the record had at its origin.
    Rekeyed,
    /// Whoever reads its topic beside the node: it could not be decoded.
    All,
    /// Nobody: nothing is to be done about it, and what it holds up goes on.
    Discarded,
}

impl Wanted {
    const ALL: [Self; 4] = [Self::Node, Self::Rekeyed, Self::All, Self::Discarded];

    fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Rekeyed => "rekeyed",
            Self::All => "all",
            Self::Discarded => "discarded",
        }
    }
}

impl<'a> Replay<'a> {
    /// Of a record; `None`: it comes for the first time, or its header is none.
    pub fn of(record: &RecordRef<'a>) -> Option<Self> {
        let header = record.headers.iter().rev().find(|header| header.name == REPLAY_HEADER)?;
        Self::parse(std::str::from_utf8(header.value?).ok()?)
    }

    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(5, '/');
        let replays = parts.next()?.parse().ok()?;
        let attempts = parts.next()?.parse().ok()?;
        let first_at = parts.next()?.parse().ok()?;
        let what = parts.next()?;
        let what = Wanted::ALL.into_iter().find(|wanted| wanted.name() == what)?;
        let node = parts.next().filter(|node| !node.is_empty())?;
        Some(Self { replays, attempts, first_at, what, node })
    }

    /// The header's value.
    pub fn text(&self) -> String {
        let Self { replays, attempts, first_at, what, node } = self;
        format!("{replays}/{attempts}/{first_at}/{}/{node}", what.name())
    }
}

/// The headers of a record without those that are for the engine alone; those of most records are as they are.
pub(super) fn without_replay<'h, 'a>(headers: &'h [HeaderRef<'a>], room: &'h mut Vec<HeaderRef<'a>>) -> &'h [HeaderRef<'a>] {
    if headers.iter().all(|header| header.name != REPLAY_HEADER) {
        return headers;
    }
    room.extend(headers.iter().filter(|header| header.name != REPLAY_HEADER));
    room
}

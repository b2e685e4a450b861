//! From a dead letter back to a record: what is written so that it is processed once more, or why it cannot be.
//!
//! A letter of this engine goes to the inbox of its node, into the partition in which it failed, as the record that was read then; a
//! letter of somebody else to the topic that it came from.

use super::read::own_from;
use super::spelling::Spelling;
use super::{Filed, Found, Report};
use crate::broker::TopicInfo;
use crate::failure::{Class, Stage};
use crate::node::{ORIGIN_HEADER, REPLAY_HEADER, Replay, Wanted, write_origin};
use crate::record::{Header, HeaderRef, Millis, Partition, Record, RecordRef, Text, partition_of};
use bytes::Bytes;
use std::collections::BTreeMap;

/// How often a record went back to the topic that it came from: the engine's mark on what others set aside.
const RETURNS_HEADER: &str = "__skald.replays";
/// Kinds of topics that are written by engines alone, whatever a letter says of its origin.
const ENGINES: [&str; 8] = [".snapshots", ".changelog", ".repartition", ".inbox", ".history", ".audit", ".definitions", ".dlq"];
/// What a record takes beside its bytes.
const OVERHEAD_BYTES: usize = 512;

/// Why a letter is not replayed. The others go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Of another topology.
    #[error("it is a letter of topology `{0}`, whose dead letters are in `{0}.dlq`")]
    OtherTopology(Text),
    /// The node is gone, or never had an inbox.
    #[error("node `{node}` has no inbox `{inbox}`: no worker of this version runs such a node")]
    NoInbox {
        /// Node.
        node: Text,
        /// The topic that is missing.
        inbox: Text,
    },
    /// The number of partitions is another one.
    #[error("it failed in partition {partition} of {then}, and `{inbox}` has {now}: keys are elsewhere now")]
    Repartitioned {
        /// Partition at which it failed.
        partition: Partition,
        /// Partitions then.
        then: u32,
        /// Partitions now.
        now: u32,
        /// The inbox.
        inbox: Text,
    },
    /// Written by an older version.
    #[error("it does not tell in which partition its node failed: an older version wrote it")]
    NoPlace,
    /// What failed was no record.
    #[error("what failed was due by time and lies in no topic: its node has given it up")]
    Timer,
    /// An operator's act or a replay that could not be read.
    #[error("it was an operator's own record, in `{0}`: let the operator send it again")]
    Act(Text),
    /// The value was too large for the topic of dead letters.
    #[error("only a stub of it was kept, without {0}: its original may still lie at its origin")]
    Stub(Text),
    /// Replayed often enough.
    #[error("it was replayed {0} times already: more with `--max-replays`")]
    TooOften(u32),
    /// It would not fit.
    #[error("it has {bytes} bytes, and `{topic}` takes {most}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// Largest record.
        most: usize,
        /// Where to.
        topic: Text,
    },
    /// The topic of origin is not there.
    #[error("there is no topic `{0}`, where it came from")]
    NoOrigin(Text),
    /// The origin that is told is not for others to write.
    #[error("it says that it came from `{0}`, which an engine writes")]
    EnginesTopic(Text),
}

/// What an operator changes of a record before it is replayed; what is not given stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Another value.
    pub value: Option<Bytes>,
    /// Another key.
    pub key: Option<Bytes>,
}

impl Edit {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The topics that letters go back to.
#[derive(Debug)]
pub(super) struct Targets {
    /// Topology whose letters these are; `None`: somebody else's.
    pub(super) topology: Option<Text>,
    /// All topics of the cluster.
    pub(super) topics: BTreeMap<Text, TopicInfo>,
    /// Largest records, of the topics that were asked for.
    pub(super) bytes_max: BTreeMap<Text, usize>,
    /// A letter that was replayed so often is not replayed again.
    pub(super) replays_max: u32,
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Back<'a> {
    pub(super) topic: Text,
    pub(super) partition: Partition,
    pub(super) timestamp: Millis,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Vec<(&'a str, Option<Bytes>)>,
    pub(super) replays: u32,
}

impl Back<'_> {
    pub(super) fn record(&self) -> Record {
        let bytes = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
        let headers = self.headers.iter().map(|(name, value)| Header { name: Text::new(*name), value: value.clone() });
        Record {
            topic: self.topic.clone(),
            partition: self.partition,
            timestamp: self.timestamp,
            key: bytes(self.key),
            value: bytes(self.value),
            headers: headers.collect(),
        }
    }

    fn size_bytes(&self) -> usize {
        let bytes = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let header = |(name, value): &(&str, Option<Bytes>)| name.len() + value.as_ref().map_or(0, Bytes::len) + 16;
        OVERHEAD_BYTES + bytes(self.key) + bytes(self.value) + self.headers.iter().map(header).sum::<usize>()
    }
}

impl Targets {
    /// The record that goes back, with an operator's changes.
    pub(super) fn back<'a>(&self, letter: &'a Filed, edit: &'a Edit) -> Result<Back<'a>, Refusal> {
        match &letter.found {
            Found::Own(report) => self.to_inbox(letter, report, edit, false),
            Found::Foreign(told) => self.to_origin(letter, told.spelling, edit),
        }
    }

    /// What tells the node of a letter that nothing is to be done about it: it may hold its key. `None` where nobody is to be told.
    pub(super) fn notice<'a>(&self, letter: &'a Filed, edit: &'a Edit) -> Option<Back<'a>> {
        match &letter.found {
            Found::Own(report) if report.class != Class::Undecodable => self.to_inbox(letter, report, edit, true).ok(),
            _ => None,
        }
    }

    fn to_inbox<'a>(
        &self,
        letter: &'a Filed,
        report: &'a Report,
        edit: &'a Edit,
        is_discarded: bool,
    ) -> Result<Back<'a>, Refusal> {
        if self.topology.as_ref() != Some(&report.topology) {
            return Err(Refusal::OtherTopology(report.topology.clone()));
        }
        let origin = &report.origin;
        if origin.offset < 0 {
            return Err(Refusal::Timer);
        }
        if origin
            .topic
            .strip_prefix(report.topology.as_str())
            .is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".inbox"))
        {
            return Err(Refusal::Act(origin.topic.clone()));
        }
        let left_out =
            report.stub.as_ref().filter(|stub| edit.value.is_none() || stub.without.iter().any(|part| part != "value"));
        if let Some(stub) = left_out.filter(|_| !is_discarded) {
            return Err(Refusal::Stub(stub.without.join(", ").into()));
        }
        if report.replays >= self.replays_max && !is_discarded {
            return Err(Refusal::TooOften(report.replays));
        }
        let inbox = inbox_of(&report.topology, &report.node);
        let Some(now) = self.topics.get(&inbox).map(|topic| topic.partitions.max(1)) else {
            return Err(Refusal::NoInbox { node: report.node.clone(), inbox });
        };
        let (failed_in, then) = report.task.ok_or(Refusal::NoPlace)?;
        let key = edit.key.as_deref().or(letter.record.key.as_deref());
        let partition = match key {
            Some(key) if edit.key.is_some() => partition_of(key, now),
            _ if then == now => failed_in,
            // Where nothing is kept any partition will do.
            _ if !self.keeps_state(report) => failed_in % Partition::try_from(now).unwrap_or(Partition::MAX),
            _ => return Err(Refusal::Repartitioned { partition: failed_in, then, now, inbox }),
        };
        let mut place = Vec::with_capacity(64);
        write_origin(
            &RecordRef {
                topic: &origin.topic,
                partition: origin.partition,
                offset: origin.offset,
                timestamp: letter.record.timestamp,
                key,
                value: None,
                headers: &[],
            },
            &mut place,
        );
        let what = match () {
            () if is_discarded => Wanted::Discarded,
            () if report.class == Class::Undecodable && report.stage == Stage::Decode => Wanted::All,
            () if edit.key.is_some() => Wanted::Rekeyed,
            () => Wanted::Node,
        };
        let replays = report.replays.saturating_add(1);
        let (attempts, first_at) = (report.attempts, report.first_at.as_millisecond());
        let replay = Replay { replays, attempts, first_at, what, node: &report.node };
        let all: Vec<_> = letter.record.headers.iter().map(Header::as_ref).collect();
        let given = letter.record.headers[..own_from(&all).unwrap_or(all.len())].iter();
        let given = given.filter(|header| ![ORIGIN_HEADER, REPLAY_HEADER].contains(&header.name.as_str()));
        let mut headers: Vec<_> = given.map(|header| (header.name.as_str(), header.value.clone())).collect();
        headers.push((ORIGIN_HEADER, Some(place.into())));
        headers.push((REPLAY_HEADER, Some(replay.text().into())));
        let value = edit.value.as_deref().or(letter.record.value.as_deref()).filter(|_| !is_discarded);
        self.fitting(Back { topic: inbox, partition, timestamp: letter.record.timestamp, key, value, headers, replays })
    }

    fn keeps_state(&self, report: &Report) -> bool {
        let of = |kind: &str| Text::from(format!("{}.{}.{kind}", report.topology, report.node));
        !report.node.ends_with(".repartition")
            && ["snapshots", "changelog"].iter().any(|kind| self.topics.contains_key(&of(kind)))
    }

    fn to_origin<'a>(&self, letter: &'a Filed, spelling: Spelling, edit: &'a Edit) -> Result<Back<'a>, Refusal> {
        let origin = letter.found.origin();
        let is_engines = origin.topic.starts_with("__") || ENGINES.iter().any(|kind| origin.topic.ends_with(kind));
        if is_engines || origin.topic == letter.record.topic {
            return Err(Refusal::EnginesTopic(origin.topic.clone()));
        }
        let Some(partitions) = self.topics.get(&origin.topic).map(|topic| topic.partitions.max(1)) else {
            return Err(Refusal::NoOrigin(origin.topic.clone()));
        };
        let given = &letter.record.headers;
        let returned =
            given.iter().rev().find(|header| header.name == RETURNS_HEADER).and_then(|header| header.value.as_deref());
        let returned = returned.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0_u32);
        if returned >= self.replays_max {
            return Err(Refusal::TooOften(returned));
        }
        let key = edit.key.as_deref().or(letter.record.key.as_deref());
        let is_there = u32::try_from(origin.partition).is_ok_and(|partition| partition < partitions);
        let partition = match key {
            _ if is_there && edit.key.is_none() => origin.partition,
            Some(key) => partition_of(key, partitions),
            None => 0,
        };
        let replays = returned.saturating_add(1);
        let kept = given.iter().filter(|header| !header.name.starts_with(spelling.prefix()) && header.name != RETURNS_HEADER);
        let mut headers: Vec<_> = kept.map(|header| (header.name.as_str(), header.value.clone())).collect();
        headers.push((RETURNS_HEADER, Some(replays.to_string().into())));
        let value = edit.value.as_deref().or(letter.record.value.as_deref());
        let topic = origin.topic.clone();
        self.fitting(Back { topic, partition, timestamp: letter.record.timestamp, key, value, headers, replays })
    }

    fn fitting<'a>(&self, back: Back<'a>) -> Result<Back<'a>, Refusal> {
        let most = self.bytes_max.get(&back.topic).copied().unwrap_or(usize::MAX);
        let bytes = back.size_bytes();
        if bytes > most { Err(Refusal::TooLarge { bytes, most, topic: back.topic }) } else { Ok(back) }
    }
}

/// The inbox of a node; what fails on its way to a node goes to that node's.
fn inbox_of(topology: &str, node: &str) -> Text {
    format!("{topology}.{}.inbox", node.strip_suffix(".repartition").unwrap_or(node)).into()
}

pub(super) fn header_refs<'a>(headers: &'a [(&'a str, Option<Bytes>)]) -> Vec<HeaderRef<'a>> {
    headers.iter().map(|(name, value)| HeaderRef { name, value: value.as_deref() }).collect()
}

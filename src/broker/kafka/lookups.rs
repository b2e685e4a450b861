//! What a lane finds out about the cluster: committed offsets, ends, partition counts.

use super::context::ReaderContext;
use super::error::About;
use super::properties::Properties;
use super::serve;
use crate::broker::{CommittedOffset, ErrorClass, Isolation, Outcome, Result, Span};
use crate::clock::{Clock, SystemClock};
use crate::record::{Millis, Offset, Text, TopicPartition};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A look-up that waits for an open transaction gives up after so long: the task behind it is only one of several.
const STABLE_TIMEOUT: Duration = Duration::from_millis(500);
/// Other look-ups, and the first one of a client, which has to connect.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

type Reads = BaseConsumer<ReaderContext>;

/// See the module.
pub(super) struct LookUps {
    properties: Arc<Properties>,
    group: Text,
    /// Clients by isolation, made when first needed; `true` after the first answer.
    stable: Option<(Reads, bool)>,
    unstable: Option<(Reads, bool)>,
}

impl LookUps {
    pub(super) fn new(properties: Arc<Properties>, group: Text) -> Self {
        Self { properties, group, stable: None, unstable: None }
    }

    fn about(&self, what: &str) -> About {
        About::new(what).of_group(self.group.clone())
    }

    /// A client for metadata.
    pub(super) fn client(&mut self) -> Result<&Reads> {
        self.reads(Isolation::ReadCommitted).map(|(client, _)| client)
    }

    /// The client for look-ups at an isolation, and the longest wait for it.
    fn reads(&mut self, isolation: Isolation) -> Result<(&Reads, bool)> {
        let about = About::new("starting a client");
        let config = self.properties.reader(&self.group, isolation);
        let slot = match isolation {
            Isolation::ReadCommitted => &mut self.stable,
            Isolation::ReadUncommitted => &mut self.unstable,
        };
        if slot.is_none() {
            let client = config.create_with_context(ReaderContext::default()).map_err(|error| about.error(&error))?;
            *slot = Some((client, false));
        }
        let (client, warm) = slot.as_ref().expect("filled above");
        serve(client);
        Ok((client, *warm))
    }

    fn note_answer(&mut self, isolation: Isolation) {
        let slot = match isolation {
            Isolation::ReadCommitted => &mut self.stable,
            Isolation::ReadUncommitted => &mut self.unstable,
        };
        if let Some((_, warm)) = slot {
            *warm = true;
        }
    }

    pub(super) fn committed(&mut self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Outcome> {
        if partitions.is_empty() {
            return Ok(Outcome::Committed(Vec::new()));
        }
        let about = self.about("reading committed offsets");
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for one in partitions {
            list.add_partition(&one.topic, one.partition);
        }
        let (client, warm) = self.reads(isolation)?;
        let longest = if warm && isolation == Isolation::ReadCommitted { STABLE_TIMEOUT } else { LOOKUP_TIMEOUT };
        let answer = client.committed_offsets(list, longest).map_err(|error| about.error(&error))?;
        let mut committed = Vec::with_capacity(partitions.len());
        for one in answer.elements() {
            let input = TopicPartition::new(one.topic(), one.partition());
            if let Err(error) = one.error() {
                return Err(about.clone().on_topic(input.topic, "Describe").error(&error));
            }
            let found = match one.offset() {
                // The wrapper panics on metadata that is not UTF-8; any client of the group may have written it.
                Place::Offset(offset) => Some(CommittedOffset {
                    offset,
                    metadata: catch_unwind(AssertUnwindSafe(|| Text::from(one.metadata()))).unwrap_or_default(),
                }),
                _ => None,
            };
            committed.push((input, found));
        }
        self.note_answer(isolation);
        Ok(Outcome::Committed(committed))
    }

    pub(super) fn ends(&mut self, partitions: &[TopicPartition], isolation: Isolation) -> Result<Outcome> {
        let starts = self.offsets(partitions.iter().map(|one| (one, Place::Beginning)), isolation)?;
        let ends = self.offsets(partitions.iter().map(|one| (one, Place::End)), isolation)?;
        let spans = starts.into_iter().zip(ends).map(|((one, start), (_, end))| (one, Span { start, end: end.max(start) }));
        Ok(Outcome::Ends(spans.collect()))
    }

    pub(super) fn offsets_at(&mut self, moments: &[(TopicPartition, Millis)]) -> Result<Outcome> {
        let isolation = Isolation::ReadCommitted;
        let at = moments.iter().map(|(one, moment)| (one, Place::Offset((*moment).max(0))));
        let found = self.offsets(at, isolation)?;
        let none = |offset: Offset| offset < 0;
        let missing: Vec<TopicPartition> =
            found.iter().filter(|(_, offset)| none(*offset)).map(|(one, _)| one.clone()).collect();
        let ends = self.offsets(missing.iter().map(|one| (one, Place::End)), isolation)?;
        let mut ends = ends.into_iter();
        let with_ends = found.into_iter().map(|(one, offset)| match none(offset) {
            true => ends.next().unwrap_or((one, 0)),
            false => (one, offset),
        });
        Ok(Outcome::Offsets(with_ends.collect()))
    }

    /// One look-up by place or moment, in the order asked; negative where the answer is "the end".
    fn offsets<'a>(
        &mut self,
        asked: impl Iterator<Item = (&'a TopicPartition, Place)> + Clone,
        isolation: Isolation,
    ) -> Result<Vec<(TopicPartition, Offset)>> {
        let about = self.about("reading offsets of partitions");
        let mut list = TopicPartitionList::new();
        for (one, place) in asked.clone() {
            list.add_partition_offset(&one.topic, one.partition, place).map_err(|error| about.error(&error))?;
        }
        if list.count() == 0 {
            return Ok(Vec::new());
        }
        let (client, _) = self.reads(isolation)?;
        let answer = match client.offsets_for_times(list, LOOKUP_TIMEOUT) {
            Ok(answer) => answer,
            Err(error) => {
                let error = about.error(&error);
                // Which one it is, is not said; only then, and not when the cluster is away, it is worth a look.
                let nameless = matches!(error.class, ErrorClass::Missing(_) | ErrorClass::Denied(_));
                let culprit = nameless.then(|| culprit(client, asked.map(|(one, _)| one))).flatten();
                return Err(culprit.map_or(error, |(topic, code)| about.on_topic(topic, "Describe").code(code)));
            }
        };
        let mut found = Vec::with_capacity(answer.count());
        for (one, _) in asked {
            let about = about.clone().on_topic(one.topic.clone(), "Describe");
            let answered = answer.find_partition(&one.topic, one.partition);
            let answered = answered.ok_or_else(|| about.code(Code::UnknownPartition))?;
            answered.error().map_err(|error| about.error(&error))?;
            let offset = match answered.offset() {
                Place::Offset(offset) => offset,
                _ => -1,
            };
            found.push((one.clone(), offset));
        }
        self.note_answer(isolation);
        Ok(found)
    }

    pub(super) fn counts(&mut self, topics: &[Text]) -> Result<Outcome> {
        let about = self.about("reading partition counts");
        let (client, _) = self.reads(Isolation::ReadCommitted)?;
        let mut counts = Vec::with_capacity(topics.len());
        for topic in topics {
            let about = about.clone().on_topic(topic.clone(), "Describe");
            let answer = client.fetch_metadata(Some(topic), LOOKUP_TIMEOUT).map_err(|error| about.error(&error))?;
            let found = answer.topics().iter().find(|found| found.name() == topic.as_str());
            let count = match found.map(|found| (found.error().map(Code::from), found.partitions().len())) {
                Some((None, partitions)) if partitions > 0 => Some(partitions as u32),
                Some((Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::InvalidTopic), _)) | None => None,
                Some((Some(code), _)) => return Err(about.code(code)),
                // Created, but no partition has a leader yet.
                Some((None, _)) => return Err(about.code(Code::LeaderNotAvailable)),
            };
            counts.push((topic.clone(), count));
        }
        Ok(Outcome::Counts(counts))
    }
}

/// The first of these inputs that the cluster does not have or does not show, and why. All looks together take no longer than
/// one look-up, and a look that fails is the last.
fn culprit<'a>(client: &Reads, inputs: impl Iterator<Item = &'a TopicPartition>) -> Option<(Text, Code)> {
    let mut highest: BTreeMap<&Text, i32> = BTreeMap::new();
    for one in inputs {
        let known = highest.entry(&one.topic).or_insert(one.partition);
        *known = one.partition.max(*known);
    }
    let clock = SystemClock::new();
    for (topic, partition) in highest {
        let answer = client.fetch_metadata(Some(topic), LOOKUP_TIMEOUT.saturating_sub(clock.mono())).ok()?;
        let found = answer.topics().iter().find(|found| found.name() == topic.as_str());
        match found.map(|found| (found.error().map(Code::from), found.partitions().len() as i32)) {
            Some((Some(Code::TopicAuthorizationFailed), _)) => return Some((topic.clone(), Code::TopicAuthorizationFailed)),
            Some((_, partitions)) if partitions > partition => {}
            _ => return Some((topic.clone(), Code::UnknownTopicOrPartition)),
        }
    }
    None
}

//! Committed offsets of groups, and those that wait for the end of a transaction.

use super::log::ProducerId;
use crate::broker::CommittedOffset;
use crate::record::{Text, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

type ByPartition = BTreeMap<TopicPartition, CommittedOffset>;

/// Offsets of all groups.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    groups: BTreeMap<Text, GroupOffsets>,
    /// What the disk does not know yet.
    pub(super) unsaved: BTreeSet<(Text, TopicPartition)>,
}

#[derive(Debug, Default)]
struct GroupOffsets {
    committed: ByPartition,
    pending: BTreeMap<ProducerId, ByPartition>,
}

impl Offsets {
    /// Adds offsets to a producer's transaction; a later one of the same partition replaces the earlier.
    pub(super) fn stage(
        &mut self,
        group: &Text,
        producer: ProducerId,
        offsets: impl Iterator<Item = (TopicPartition, CommittedOffset)>,
    ) {
        self.groups.entry(group.clone()).or_default().pending.entry(producer).or_default().extend(offsets);
    }

    /// Commits offsets that no transaction holds.
    pub(super) fn commit(&mut self, group: &Text, offsets: impl Iterator<Item = (TopicPartition, CommittedOffset)>) {
        let of_group = self.groups.entry(group.clone()).or_default();
        for (partition, offset) in offsets {
            self.unsaved.insert((group.clone(), partition.clone()));
            of_group.committed.insert(partition, offset);
        }
    }

    /// The producer's transaction is over.
    pub(super) fn finish(&mut self, group: &Text, producer: ProducerId, commit: bool) {
        let Some(offsets) = self.groups.get_mut(group) else { return };
        let Some(pending) = offsets.pending.remove(&producer) else { return };
        if commit {
            self.unsaved.extend(pending.keys().map(|partition| (group.clone(), partition.clone())));
            offsets.committed.extend(pending);
        }
    }

    /// What is committed; what is pending does not count.
    pub(super) fn committed(&self, group: &str, partition: &TopicPartition) -> Option<&CommittedOffset> {
        self.groups.get(group)?.committed.get(partition)
    }

    /// Does an open transaction hold an offset of one of these?
    pub(super) fn is_unstable(&self, group: &str, partitions: &[TopicPartition]) -> bool {
        self.groups.get(group).is_some_and(|offsets| {
            offsets.pending.values().any(|pending| partitions.iter().any(|partition| pending.contains_key(partition)))
        })
    }

    /// What a producer's transaction holds, group by group.
    pub(super) fn pending(&self, producer: ProducerId) -> Vec<(Text, TopicPartition, CommittedOffset)> {
        let of_group = |(group, offsets): (&Text, &GroupOffsets)| {
            let pending = offsets.pending.get(&producer)?;
            Some(
                pending
                    .iter()
                    .map(|(partition, offset)| (group.clone(), partition.clone(), offset.clone()))
                    .collect::<Vec<_>>(),
            )
        };
        self.groups.iter().filter_map(of_group).flatten().collect()
    }

    /// Takes a committed offset back from disk.
    pub(super) fn restore(&mut self, group: Text, partition: TopicPartition, offset: CommittedOffset) {
        self.groups.entry(group).or_default().committed.insert(partition, offset);
    }

    /// A topic was deleted, its offsets with it.
    pub(super) fn forget_topic(&mut self, topic: &str) {
        for (group, offsets) in &mut self.groups {
            let gone = offsets.committed.extract_if(.., |partition, _| partition.topic == topic);
            self.unsaved.extend(gone.map(|(partition, _)| (group.clone(), partition)));
            for pending in offsets.pending.values_mut() {
                pending.retain(|partition, _| partition.topic != topic);
            }
        }
    }
}

//! The range assignor: each topic by itself, in consecutive pieces, over the members sorted by name.

use super::group::MemberId;
use crate::record::{Partition, Text, TopicPartition};
use std::collections::BTreeMap;

/// A member as the assignor sees it.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Whose assignment this becomes.
    pub(super) member: MemberId,
    /// What members are sorted by: the static member id, or the member id of a dynamic one.
    pub(super) name: Text,
    /// Topics it subscribes to.
    pub(super) topics: Vec<Text>,
}

/// Partitions of each member, sorted. Co-partitioned only among topics of one partition count and members that subscribe alike.
pub(super) fn range(mut candidates: Vec<Candidate>, counts: &BTreeMap<Text, u32>) -> BTreeMap<MemberId, Vec<TopicPartition>> {
    candidates.sort_by(|a, b| a.name.cmp(&b.name));
    let mut assigned: BTreeMap<MemberId, Vec<TopicPartition>> =
        candidates.iter().map(|candidate| (candidate.member, Vec::new())).collect();
    for (topic, &count) in counts {
        let subscribed: Vec<_> = candidates.iter().filter(|candidate| candidate.topics.contains(topic)).collect();
        if subscribed.is_empty() {
            continue;
        }
        let (share, extra) = (count as usize / subscribed.len(), count as usize % subscribed.len());
        let mut next = 0;
        for (place, candidate) in subscribed.iter().enumerate() {
            let end = next + share + usize::from(place < extra);
            let partitions = assigned.entry(candidate.member).or_default();
            partitions.extend((next..end).map(|partition| TopicPartition::new(topic.clone(), partition as Partition)));
            next = end;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(members: &[(&str, &[&str])], counts: &[(&str, u32)], expected: &[&str]) {
        let candidates = members
            .iter()
            .enumerate()
            .map(|(place, (name, topics))| Candidate {
                member: MemberId(place as u64),
                name: (*name).into(),
                topics: topics.iter().map(|topic| Text::from(*topic)).collect(),
            })
            .collect();
        let counts = counts.iter().map(|(topic, count)| (Text::from(*topic), *count)).collect();
        let assigned = range(candidates, &counts);
        let shown: Vec<String> = assigned
            .values()
            .map(|partitions| partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn range_lays_each_topic_out_by_itself_over_sorted_names() {
        check(&[("00.a", &["t"])], &[("t", 2)], &["t-0 t-1"]);
        check(&[("b", &["t"]), ("a", &["t"])], &[("t", 3)], &["t-2", "t-0 t-1"]);
        check(&[("a", &["t"]), ("b", &["t"]), ("c", &["t"])], &[("t", 2)], &["t-0", "t-1", ""]);
        check(
            &[("a", &["t", "u"]), ("b", &["t", "u"])],
            &[("t", 6), ("u", 4)],
            &["t-0 t-1 t-2 u-0 u-1", "t-3 t-4 t-5 u-2 u-3"],
        );
        check(&[("a", &["t", "u"]), ("b", &["u"])], &[("t", 2), ("u", 2)], &["t-0 t-1 u-0", "u-1"]);
        check(&[("a", &["gone"])], &[("t", 1)], &[""]);
    }

    #[test]
    fn six_partitions_on_two_workers_of_four_threads_spread_evenly_when_the_thread_comes_first() {
        let members: Vec<String> = (0..4).flat_map(|thread| ["a", "b"].map(|worker| format!("{thread:02}.{worker}"))).collect();
        let candidates = members
            .iter()
            .enumerate()
            .map(|(place, name)| Candidate {
                member: MemberId(place as u64),
                name: name.as_str().into(),
                topics: vec!["t".into()],
            })
            .collect();
        let assigned = range(candidates, &BTreeMap::from([("t".into(), 6)]));
        let of = |worker: &str| {
            assigned
                .iter()
                .filter(|(id, _)| members[id.0 as usize].ends_with(worker))
                .map(|(_, parts)| parts.len())
                .sum::<usize>()
        };
        assert_eq!((of("a"), of("b")), (3, 3));
    }
}

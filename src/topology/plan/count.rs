//! How many tasks each part has, as far as the file tells, and what members must agree on.

use super::build::Feed;
use super::{Partitions, Plan, TaskCount};
use crate::topology::model::Topology;

impl Plan {
    pub(super) fn count_tasks(&mut self, feeds: &[Feed]) {
        for index in 0..self.subtopologies.len() {
            let part = &self.subtopologies[index];
            let given: Vec<usize> = part
                .sources
                .iter()
                .copied()
                .filter(|topic| !matches!(self.topics[*topic].partitions, Partitions::OfSubTopology(_)))
                .collect();
            let declared = given.iter().filter_map(|topic| match self.topics[*topic].partitions {
                Partitions::Declared(count) => Some(count),
                _ => None,
            });
            let largest_declared = declared.max();
            let all_declared = given.iter().all(|topic| matches!(self.topics[*topic].partitions, Partitions::Declared(_)));
            let stateful = part.stateful;
            let count = if given.is_empty() && part.patterns.is_empty() {
                let mut base = Vec::new();
                self.base_topics(index, feeds, &mut Vec::new(), &mut base);
                base.sort_unstable();
                base.dedup();
                let counts: Option<Vec<u32>> = base
                    .iter()
                    .map(|topic| match self.topics[*topic].partitions {
                        Partitions::Declared(count) => Some(count),
                        _ => None,
                    })
                    .collect();
                match counts.and_then(|counts| counts.into_iter().max()) {
                    Some(count) => TaskCount::Declared(count),
                    None => TaskCount::Largest(base),
                }
            } else {
                match largest_declared {
                    // The sources of a stateful part agree, so one declared count is that of all.
                    Some(count) if stateful || all_declared && self.subtopologies[index].patterns.is_empty() => {
                        TaskCount::Declared(count)
                    }
                    _ => TaskCount::OfSources,
                }
            };
            self.subtopologies[index].count = count;
        }
    }

    /// The topics that the count of a part follows from, through those that the engine makes.
    fn base_topics(&self, part: usize, feeds: &[Feed], seen: &mut Vec<usize>, base: &mut Vec<usize>) {
        if seen.contains(&part) {
            return;
        }
        seen.push(part);
        let through = |topic: usize, seen: &mut Vec<usize>, base: &mut Vec<usize>| match self.topics[topic].partitions {
            Partitions::OfSubTopology(other) => self.base_topics(other, feeds, seen, base),
            Partitions::Declared(_) | Partitions::Cluster => base.push(topic),
        };
        for topic in &self.subtopologies[part].sources {
            match feeds.iter().find(|feed| feed.to == *topic) {
                Some(feed) => feed.from.iter().for_each(|topic| through(*topic, seen, base)),
                None => through(*topic, seen, base),
            }
        }
    }

    /// The topics that each part reads, one part per line, in an order that does not depend on that of the file; then the types that
    /// each saga takes: a worker that passes over what an instance waits for would lose it.
    pub(super) fn subscription_text(&self, topology: &Topology) -> String {
        let mut lines: Vec<String> = self
            .subtopologies
            .iter()
            .map(|part| {
                let mut names: Vec<String> = part.sources.iter().map(|topic| self.topics[*topic].name.to_string()).collect();
                names.extend(part.patterns.iter().map(|pattern| format!("~{pattern}")));
                names.sort();
                names.join(" ")
            })
            .collect();
        lines.extend(topology.sagas.iter().map(|saga| {
            let types: Vec<&str> = saga.takes.iter().map(|taken| taken.kind.as_str()).collect();
            format!("{}: {}", saga.name, types.join(" "))
        }));
        lines.sort();
        lines.join("\n")
    }
}

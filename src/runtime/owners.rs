//! Who is in the way of a task that is taken over.
//!
//! A task that is held up by an open transaction looks for its owner in the stamps and fences it. Slowness is no proof of such a
//! transaction: a cluster that was away would have every owner fenced by every other. Proof is that stable offsets are refused
//! after unstable ones were answered, or that a changelog's stable end lies before the end that the restore has to reach.

use super::commit::id_of_stamp;
use super::core::Core;
use super::questions::What;
use crate::broker::CommittedOffset;
use crate::record::{Text, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is known so far; tasks by index.
#[derive(Default)]
pub(super) struct Search {
    /// Tasks whose stable offsets were refused, and no progress since.
    unstable: BTreeSet<usize>,
    /// Tasks whose owners are being looked for, and whether they have made no progress since.
    looking: BTreeMap<usize, bool>,
    /// Owners that are fenced when the stable offsets of the task are refused once more.
    suspects: BTreeMap<usize, BTreeSet<Text>>,
}

impl Search {
    /// A task has come a step further: nobody is in its way.
    pub(super) fn progressed(&mut self, task: usize) {
        self.unstable.remove(&task);
        self.suspects.remove(&task);
        if let Some(unmoved) = self.looking.get_mut(&task) {
            *unmoved = false;
        }
    }

    /// What to ask first about a task that makes no progress; nothing while it is being looked into, or is not held up by others.
    pub(super) fn begin(&mut self, task: usize, restores: bool) -> Option<What> {
        if self.looking.contains_key(&task) || self.suspects.contains_key(&task) {
            return None;
        }
        let what = match () {
            () if self.unstable.contains(&task) => What::Stamps(task),
            () if restores => What::StableEnds(task),
            () => return None,
        };
        self.looking.insert(task, true);
        Some(what)
    }

    /// Is the task still looked into, and where it was?
    pub(super) fn is_wanted(&self, task: usize) -> bool {
        self.looking.get(&task) == Some(&true)
    }

    /// The task is looked into no more; tells whether it is where it was.
    pub(super) fn end(&mut self, task: usize) -> bool {
        self.looking.remove(&task) == Some(true)
    }

    /// These have committed the task's inputs last. Gives those that are in its way for sure; the others are suspects.
    fn found(&mut self, task: usize, owners: BTreeSet<Text>) -> BTreeSet<Text> {
        if !self.unstable.contains(&task) {
            return owners;
        }
        self.suspects.insert(task, owners);
        BTreeSet::new()
    }

    /// The stable offsets of a task were refused. Gives the suspects: unstable offsets were answered before this was asked, so an
    /// open transaction is what is in the way.
    pub(super) fn offsets_refused(&mut self, task: usize) -> BTreeSet<Text> {
        self.unstable.insert(task);
        self.suspects.remove(&task).unwrap_or_default()
    }
}

impl Core {
    /// Who committed the inputs of a task last is known.
    pub(super) fn owners_known(&mut self, task: usize, offsets: &[(TopicPartition, Option<CommittedOffset>)], mono: Duration) {
        // Whoever is asked about a task that has moved meanwhile was not in its way.
        if !self.takeover.search.end(task) || !self.takeover.since.contains_key(&task) {
            return;
        }
        let owners = self.owners(offsets);
        let owners = self.takeover.search.found(task, owners);
        self.fence(owners, mono);
    }

    /// The ids in the stamps that are not of this process.
    fn owners(&self, offsets: &[(TopicPartition, Option<CommittedOffset>)]) -> BTreeSet<Text> {
        let topology = &self.parts.program.plan.topology;
        let own = format!("{topology}.{}.", self.parts.worker_id);
        let is_ours = |id: &str| {
            let thread = id.strip_prefix(&own).and_then(|thread| thread.parse::<usize>().ok());
            thread.is_some_and(|thread| thread < self.parts.settings.threads)
        };
        offsets
            .iter()
            .filter_map(|(_, offset)| id_of_stamp(&offset.as_ref()?.metadata))
            // Whoever wrote the metadata, only ids of this topology are touched.
            .filter(|id| id.strip_prefix(topology.as_str()).is_some_and(|rest| rest.starts_with('.')) && !is_ours(id))
            .map(Text::from)
            .collect()
    }

    /// Ends the transactions of these ids, unless a thread of this process has just done so.
    pub(super) fn fence(&mut self, owners: BTreeSet<Text>, mono: Duration) {
        for id in owners {
            if self.parts.registry.may_fence(&id, mono) {
                self.ask(What::Fence(id));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners() -> BTreeSet<Text> {
        BTreeSet::from(["t.b.00".into()])
    }

    #[test]
    fn an_owner_is_fenced_only_on_proof() {
        let mut search = Search::default();
        assert_eq!(search.begin(0, false), None, "slowness alone says nothing");
        assert_eq!(search.begin(0, true), Some(What::StableEnds(0)));
        assert_eq!(search.begin(0, true), None, "it is being looked into");
        assert!(search.is_wanted(0) && search.end(0));
        assert_eq!(search.found(0, owners()), owners(), "its stable end lies before the end");

        assert!(search.offsets_refused(1).is_empty(), "nobody is known yet");
        assert_eq!(search.begin(1, false), Some(What::Stamps(1)));
        assert!(search.end(1));
        assert!(search.found(1, owners()).is_empty(), "they may have committed since");
        assert_eq!(search.begin(1, false), None, "refused once more, they are in the way");
        assert_eq!(search.offsets_refused(1), owners());
    }

    #[test]
    fn a_task_that_came_further_while_its_owner_was_looked_for_has_no_suspects() {
        let mut search = Search::default();
        search.offsets_refused(0);
        search.begin(0, false);
        search.found(0, owners());
        search.progressed(0);
        assert!(!search.is_wanted(0), "the answer under way says nothing any more");
        assert!(!search.end(0));
        assert!(search.offsets_refused(0).is_empty());
    }
}

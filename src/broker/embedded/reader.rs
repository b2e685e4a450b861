//! A reader of whole partitions, outside any group.

use super::client::ClientKey;
use super::cluster::Shared;
use super::faults::{CallKind, PollFault};
use super::fetch::{Fetched, Fetcher};
use crate::broker::{Isolation, Limit, LogReader, Result, Trouble};
use crate::record::{Offset, RecordRef, Text, TopicPartition};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `client.id` of all log readers, for fault plans.
pub const LOG_READER_CLIENT_ID: &str = "log-reader";

pub(super) struct Reader {
    shared: Arc<Shared>,
    key: ClientKey,
    fetcher: Fetcher,
}

impl Reader {
    pub(super) fn new(shared: &Arc<Shared>, isolation: Isolation) -> Self {
        let key = shared.with(|state| state.clients.add(Arc::new(|| {})));
        Self { shared: shared.clone(), key, fetcher: Fetcher::new(isolation) }
    }
}

impl LogReader for Reader {
    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        self.shared.with(|state| {
            state.check_storage()?;
            from.iter().try_for_each(|(partition, _)| state.topics.existing(partition, "reading").map(|_| ()))
        })?;
        self.fetcher.set(from.iter().cloned(), true);
        Ok(())
    }

    fn poll(&mut self, limit: Limit, each: &mut dyn FnMut(RecordRef<'_>)) -> std::result::Result<(), Trouble> {
        let shared = self.shared.clone();
        let until = shared.mono().saturating_add(limit.time);
        let fetched = shared.with(|state| match state.poll_fault(&Text::new_static(LOG_READER_CLIENT_ID), CallKind::Read) {
            Some(PollFault::Nothing) => None,
            Some(PollFault::Trouble(kind)) if let Some(input) = self.fetcher.stop_first() => {
                Some(Fetched::Trouble(Trouble { input, kind }))
            }
            _ => Some(self.fetcher.fetch(state, &BTreeSet::new(), limit.records)),
        });
        match fetched {
            None => Ok(()),
            Some(Fetched::Trouble(trouble)) => Err(trouble),
            Some(Fetched::All | Fetched::Part) => {
                self.fetcher.deliver(limit.records, || shared.mono() > until, each);
                Ok(())
            }
        }
    }

    /// # Panics
    /// For a partition that is not assigned.
    fn position(&self, partition: &TopicPartition) -> Offset {
        self.fetcher.next(partition).expect("the caller asks for partitions that it assigned")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let key = self.key;
        self.shared.with(|state| state.clients.remove(key));
    }
}

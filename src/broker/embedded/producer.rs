//! The plain producer: each record is in the log when `send` returns.

use super::append::{Outgoing, enqueued_bytes};
use super::cluster::Shared;
use crate::broker::{Error, ErrorClass, Producer, Result};
use crate::record::{HeaderRef, Record, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

/// librdkafka's own bound (`message.max.bytes`).
const MESSAGE_BYTES_MAX: usize = 1_000_000;

pub(super) struct PlainProducer {
    shared: Arc<Shared>,
    /// The first delivery that failed since the last flush.
    failure: Option<Error>,
}

impl PlainProducer {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: shared.clone(), failure: None }
    }
}

impl Producer for PlainProducer {
    fn send(&mut self, record: &Record) -> Result<()> {
        let partition = TopicPartition::new(record.topic.clone(), record.partition);
        let size =
            enqueued_bytes(record.headers.iter().map(|header| header.as_ref()), record.key.as_deref(), record.value.as_deref());
        if size > MESSAGE_BYTES_MAX {
            let message = format!("{size} bytes; the client takes {MESSAGE_BYTES_MAX}");
            return Err(Error::new(ErrorClass::TooLarge, format!("producing to {partition}"), message));
        }
        let mut outgoing = Outgoing::new(partition);
        let headers = record.headers.iter().map(|header| -> HeaderRef<'_> { header.as_ref() });
        outgoing.push(size, record.timestamp, record.key.as_deref(), record.value.as_deref(), headers);
        let sent = self.shared.with_unsaved(|state| state.check_storage().and_then(|()| state.append(outgoing, None)));
        if let Err(error) = sent {
            self.failure.get_or_insert(error);
        }
        Ok(())
    }

    fn flush(&mut self, _deadline: Duration) -> Result<()> {
        self.shared.with(|state| state.check_storage())?;
        self.failure.take().map_or(Ok(()), Err)
    }
}

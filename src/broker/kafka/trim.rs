//! Deletes records that nobody needs any more.
//!
//! A lane does not wait for it: a leader answers once all its live followers have moved, and an epoch may be behind it. The request
//! is sent, and the next one finds out what became of it.

use super::context::ReaderContext;
use super::error::About;
use super::properties::{Properties, Role};
use crate::broker::{Error, ErrorClass, Outcome, Result};
use crate::record::{Offset, TopicPartition};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Longest wait for an answer, in the background.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest look at the metadata, for an error that does not name its topic.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

type Answer = KafkaResult<TopicPartitionList>;

/// What a lane has asked to be deleted.
#[derive(Default)]
pub(super) struct Trims {
    /// Made when first needed: most lanes have nothing to delete.
    client: Option<AdminClient<DefaultClientContext>>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    before: Vec<(TopicPartition, Offset)>,
    answer: Pin<Box<dyn Future<Output = Answer>>>,
}

impl Trims {
    /// Sends a request and tells what became of the one before it. While that is still under way nothing is sent.
    pub(super) fn trim(
        &mut self,
        before: Vec<(TopicPartition, Offset)>,
        properties: &Properties,
        reads: &BaseConsumer<ReaderContext>,
    ) -> Result<Outcome> {
        let mut last = Ok(Outcome::Done);
        if let Some(mut under_way) = self.under_way.take() {
            match under_way.answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => last = judge(&under_way.before, answer, reads).map(|()| Outcome::Done),
                Poll::Pending => {
                    self.under_way = Some(under_way);
                    return last;
                }
            }
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let made = properties.plain(Role::Producer).create();
                made.map_err(|error| About::new("starting an admin client").error(&error))?
            }
        };
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        let answer = Box::pin(client.delete_records(&places(&before)?, &options));
        self.under_way = Some(UnderWay { before, answer });
        self.client = Some(client);
        last
    }
}

fn about() -> About {
    About::new("deleting records")
}

/// The offsets in the client's form.
pub(super) fn places(before: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(before.len());
    for (one, offset) in before {
        list.add_partition_offset(&one.topic, one.partition, Place::Offset(*offset)).map_err(|error| about().error(&error))?;
    }
    Ok(list)
}

/// What an answer means. A call fails as a whole where one leader is not known; which one that was, the metadata tells.
pub(super) fn judge(before: &[(TopicPartition, Offset)], answer: Answer, reads: &BaseConsumer<ReaderContext>) -> Result<()> {
    match answer {
        Ok(answer) => {
            let failed =
                answer.elements().into_iter().find_map(|one| one.error().err().map(|error| (one.topic().to_owned(), error)));
            failed.map_or(Ok(()), |(topic, error)| Err(harmless(about().on_topic(topic, "Delete").error(&error))))
        }
        Err(error) => {
            let missing = |one: &TopicPartition| {
                let Ok(answer) = reads.fetch_metadata(Some(&one.topic), LOOKUP_TIMEOUT) else { return false };
                let found = answer.topics().iter().find(|topic| topic.name() == one.topic.as_str());
                found.is_none_or(|topic| topic.partitions().iter().all(|partition| partition.id() != one.partition))
            };
            Err(match before.iter().find(|(one, _)| missing(one)) {
                Some((one, _)) => about().on_topic(one.topic.clone(), "Delete").code(Code::UnknownTopicOrPartition),
                None => harmless(about().error(&error)),
            })
        }
    }
}

/// No client is dead because something was not deleted.
fn harmless(mut error: Error) -> Error {
    if error.class == ErrorClass::Fatal {
        error.class = ErrorClass::Abortable;
    }
    error
}

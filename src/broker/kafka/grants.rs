//! What a principal may do, found out by trying, in ways that change nothing.
//!
//! The client's safe interface does not show the operations that a cluster allows, so each is asked for in a form that the broker refuses
//! after it has looked at the rights, and before anything happens:
//!
//! - *Write*: a record that the topic takes from nobody. A compacted one refuses a record without a key, any other one that is a
//!   byte larger than its bound. Nothing gets into the log, not even a marker.
//! - *Read*: a fetch far behind the end, which is out of range.
//! - *Delete*: records before offset 0, which are none.
//! - *Group*: a commit for a topic that is not there. It does not touch the members of the group, nor their offsets.
//! - *TransactionalId*: a producer is made ready under an id that no worker has. The cluster remembers the id for some days.

use super::admin::KafkaAdmin;
use super::context::{Context, ReaderContext};
use super::error::About;
use super::properties::Properties;
use super::reader::Reader;
use super::serve;
use crate::broker::{
    Access, Admin, ErrorClass, Grant, Guarantee, Isolation, Limit, LogReader, Result, TopicInfo, TransactionSettings,
    TroubleKind,
};
use crate::clock::{Clock, SystemClock};
use crate::record::{Offset, Text, TopicPartition};
use crate::sync::lock;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, NoCustomPartitioner, Producer as _, ProducerContext};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest wait for all answers of a kind.
const TIMEOUT: Duration = Duration::from_secs(12);
/// Longest wait for the coordinator of a group.
const COORDINATOR_TIMEOUT_MS: &str = "6000";
/// Pause between two looks at the deliveries.
const PAUSE: Duration = Duration::from_millis(1);
/// Kafka's default of `max.message.bytes`.
const MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// A topic that takes larger records is not tried: brokers close the connection on a request of 100 MiB.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// An offset that no log reaches.
const BEYOND: Offset = 1 << 60;
/// A topic of nobody's.
const NO_TOPIC: &str = "__skald_contact";

/// The answer to each of these, in their order.
pub(super) fn grants(properties: &Properties, admin: &KafkaAdmin, asked: &[Access]) -> Result<Vec<Grant>> {
    let mut found = vec![Grant::Untold; asked.len()];
    let of = |pick: &dyn Fn(&Access) -> Option<&Text>| -> Vec<(usize, Text)> {
        asked.iter().enumerate().filter_map(|(at, access)| Some((at, pick(access)?.clone()))).collect()
    };
    let writes = of(&|access| if let Access::Write(topic) = access { Some(topic) } else { None });
    let reads = of(&|access| if let Access::Read(topic) = access { Some(topic) } else { None });
    for (at, grant) in may_write(properties, admin, &writes)?.into_iter().chain(may_read(properties, &reads)?) {
        found[at] = grant;
    }
    for (grant, access) in found.iter_mut().zip(asked) {
        *grant = match access {
            Access::Write(_) | Access::Read(_) => continue,
            Access::Delete(topic) => answered(admin.trim(&[(TopicPartition::new(topic.clone(), 0), 0)])),
            Access::Group(group) => may_commit(properties, group)?,
            Access::TransactionalId(id) => may_transact(properties, id)?,
        };
    }
    Ok(found)
}

/// What the outcome of a call tells of the right that it needs.
fn answered<T>(outcome: Result<T>) -> Grant {
    match outcome {
        Ok(_) => Grant::Given,
        Err(error) if matches!(error.class, ErrorClass::Denied(_)) => Grant::Denied,
        Err(_) => Grant::Untold,
    }
}

/// Answers to records, by the opaque number that each was sent with.
#[derive(Debug, Default)]
struct Trials(Mutex<Vec<(usize, Grant)>>);

impl ProducerContext<NoCustomPartitioner> for Context<Trials> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, trial: usize) {
        self.notes.note_served();
        let grant = match result {
            Ok(_) => Grant::Given,
            Err((error, _)) => match error.rdkafka_error_code() {
                Some(Code::TopicAuthorizationFailed) => Grant::Denied,
                // Refused for what it is, as it was meant to be.
                Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidRecord | Code::InvalidMessage) => {
                    Grant::Given
                }
                _ => Grant::Untold,
            },
        };
        lock(&self.role.0).push((trial, grant));
    }
}

fn may_write(properties: &Properties, admin: &KafkaAdmin, topics: &[(usize, Text)]) -> Result<Vec<(usize, Grant)>> {
    let names: Vec<Text> = topics.iter().map(|(_, topic)| topic.clone()).collect();
    let there = if names.is_empty() { Vec::new() } else { admin.describe(&names)? };
    let tried: Vec<(usize, &TopicInfo, Option<usize>)> = topics
        .iter()
        .filter_map(|(at, topic)| {
            let info = there.iter().find(|info| info.name == *topic)?;
            let size = refused_size(info);
            (size.unwrap_or(0) <= MESSAGE_BYTES_MAX).then_some((*at, info, size))
        })
        .collect();
    let Some(largest) = tried.iter().map(|(.., size)| size.unwrap_or(0)).max() else { return Ok(Vec::new()) };
    let about = About::new("starting a producer");
    let client: BaseProducer<Context<Trials>> =
        properties.trial(largest).create_with_context(Context::default()).map_err(|error| about.error(&error))?;
    let bytes = vec![0_u8; largest];
    let mut open = 0;
    for (at, info, size) in &tried {
        let record: BaseRecord<'_, [u8], [u8], usize> = BaseRecord {
            topic: &info.name,
            partition: Some(0),
            payload: Some(&bytes[..size.unwrap_or(0)]),
            key: size.map(|_| &b"skald"[..]),
            timestamp: None,
            headers: None,
            delivery_opaque: *at,
        };
        // One that the client itself does not take tells nothing.
        open += usize::from(client.send(record).is_ok());
    }
    let clock = SystemClock::new();
    while lock(&client.context().role.0).len() < open && clock.mono() < TIMEOUT {
        client.poll(PAUSE);
    }
    Ok(std::mem::take(&mut *lock(&client.context().role.0)))
}

/// The size of a record that the topic is certain to refuse; `None`: it refuses any that has no key.
fn refused_size(info: &TopicInfo) -> Option<usize> {
    let setting = |name: &str| info.config.get(name).map(String::as_str).unwrap_or_default();
    let largest = setting("max.message.bytes").trim().parse().unwrap_or(MESSAGE_BYTES_DEFAULT);
    (!setting("cleanup.policy").contains("compact")).then_some(largest + 1)
}

fn may_read(properties: &Properties, topics: &[(usize, Text)]) -> Result<Vec<(usize, Grant)>> {
    let mut found = Vec::new();
    if topics.is_empty() {
        return Ok(found);
    }
    let mut reader = Reader::new(properties, Isolation::ReadUncommitted)?;
    let places: Vec<(TopicPartition, Offset)> =
        topics.iter().map(|(_, topic)| (TopicPartition::new(topic.clone(), 0), BEYOND)).collect();
    reader.assign(&places)?;
    let clock = SystemClock::new();
    while found.len() < topics.len() && clock.mono() < TIMEOUT {
        let Err(trouble) = reader.poll(Limit { records: 1, time: Duration::from_millis(100) }, &mut |_| {}) else { continue };
        let grant = match trouble.kind {
            TroubleKind::OffsetOutOfRange => Grant::Given,
            TroubleKind::Denied => Grant::Denied,
            TroubleKind::Missing | TroubleKind::Other => Grant::Untold,
        };
        let known = topics.iter().find(|(_, topic)| *topic == trouble.input.topic);
        if let Some((at, _)) = known.filter(|(at, _)| found.iter().all(|(told, _)| told != at)) {
            found.push((*at, grant));
        }
    }
    Ok(found)
}

fn may_commit(properties: &Properties, group: &Text) -> Result<Grant> {
    let about = About::new(format!("trying a commit of group `{group}`")).of_group(group.clone());
    let mut config = properties.reader(group, Isolation::ReadCommitted);
    // So long a commit waits for the coordinator of the group, who may be hidden.
    config.set("session.timeout.ms", COORDINATOR_TIMEOUT_MS);
    let client: BaseConsumer<ReaderContext> =
        config.create_with_context(ReaderContext::default()).map_err(|error| about.error(&error))?;
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(NO_TOPIC, 0, Place::Offset(0)).map_err(|error| about.error(&error))?;
    let outcome = client.commit(&offsets, CommitMode::Sync).map_err(|error| error.rdkafka_error_code());
    serve(&client);
    Ok(match outcome {
        Err(Some(Code::GroupAuthorizationFailed)) => Grant::Denied,
        Ok(()) | Err(Some(Code::TopicAuthorizationFailed | Code::UnknownTopicOrPartition | Code::UnknownMemberId)) => {
            Grant::Given
        }
        Err(_) if client.context().notes.last_reason().contains("Group authorization failed") => Grant::Denied,
        Err(_) => Grant::Untold,
    })
}

fn may_transact(properties: &Properties, id: &Text) -> Result<Grant> {
    let settings = TransactionSettings {
        guarantee: Guarantee::ExactlyOnce,
        group: id.clone(),
        transactional_id: id.clone(),
        client_id: "skald".into(),
        transaction_timeout: TIMEOUT,
        max_message_bytes: MESSAGE_BYTES_DEFAULT,
        max_batch_bytes: MESSAGE_BYTES_DEFAULT,
        wake: Arc::new(|| {}),
    };
    let about = About::new("starting a producer").with_id(id.clone());
    let client: BaseProducer<Context<Trials>> =
        properties.transactional(&settings, id).create_with_context(Context::default()).map_err(|error| about.error(&error))?;
    let outcome: std::result::Result<(), KafkaError> = client.init_transactions(TIMEOUT);
    Ok(answered(outcome.map_err(|error| about.error(&error))))
}

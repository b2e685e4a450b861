//! Topics and groups.

use super::error::About;
use super::properties::{Properties, Role};
use super::{grants, metadata_client, serve, trim};
use crate::broker::{Access, Admin, Error, ErrorClass, Grant, Member, Result, TopicInfo, TopicSpec};
use crate::clock::{Clock, SystemClock};
use crate::record::{Offset, Text, TopicPartition};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// How long the settings of a topic that was listed are asked for again, and how often.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(2);
const SETTINGS_PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait until new settings show.
const CONFIGURED_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait until every broker knows a new topic.
const CREATED_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct KafkaAdmin {
    properties: Arc<Properties>,
    reads: BaseConsumer<super::context::ReaderContext>,
    acts: AdminClient<DefaultClientContext>,
    clock: SystemClock,
}

impl KafkaAdmin {
    pub(super) fn new(properties: &Arc<Properties>) -> Result<Self> {
        let acts = properties.plain(Role::Producer).create();
        Ok(Self {
            properties: properties.clone(),
            reads: metadata_client(properties)?,
            acts: acts.map_err(|error| About::new("starting an admin client").error(&error))?,
            clock: SystemClock::new(),
        })
    }

    /// The error of a call, with the connection's where there is no broker.
    fn error(&self, about: &About, error: &KafkaError) -> Error {
        serve(&self.reads);
        self.unreachable(about.error(error))
    }

    /// Tells of the connection where that is what is wrong.
    fn unreachable(&self, error: Error) -> Error {
        let last = self.reads.context().notes.last_error();
        if error.class == ErrorClass::Retry && !last.is_empty() {
            let context = format!("cannot reach any broker at `{}`", self.properties.bootstrap());
            return Error::new(ErrorClass::Retry, context, last);
        }
        error
    }
}

impl Admin for KafkaAdmin {
    fn topics(&self) -> Result<Vec<TopicInfo>> {
        let about = About::new("listing topics").on_topic("*", "Describe");
        let answer = self.reads.fetch_metadata(None, TIMEOUT).map_err(|error| self.error(&about, &error))?;
        serve(&self.reads);
        let mut topics: Vec<TopicInfo> = answer
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && !topic.partitions().is_empty())
            .map(|topic| TopicInfo {
                name: topic.name().into(),
                partitions: topic.partitions().len() as u32,
                config: BTreeMap::new(),
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    fn describe(&self, topics: &[Text]) -> Result<Vec<TopicInfo>> {
        let mut known = self.topics()?;
        known.retain(|topic| topics.contains(&topic.name));
        if known.is_empty() {
            return Ok(known);
        }
        let asked: Vec<ResourceSpecifier<'_>> = known.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
        let about = About::new("reading topic settings");
        let started = self.clock.mono();
        // One answer to each resource, in the order asked. Every topic has settings: where there are none, the broker has answered
        // with an error, which the wrapper passes over. It does not know a new topic yet, or does not show the settings to us.
        let configs = loop {
            let answer = wait(self.acts.describe_configs(&asked, &options())).map_err(|error| self.error(&about, &error))?;
            let is_whole = answer.iter().flatten().all(|config| !config.entries.is_empty());
            if is_whole || self.clock.mono() - started > SETTINGS_TIMEOUT {
                break answer;
            }
            std::thread::sleep(SETTINGS_PAUSE);
        };
        for (topic, config) in known.iter_mut().zip(configs) {
            let about = about.clone().on_topic(topic.name.clone(), "DescribeConfigs");
            let config = config.map_err(|code| about.code(code))?;
            if config.entries.is_empty() {
                return Err(about.code(Code::TopicAuthorizationFailed));
            }
            topic.config = config.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
        }
        Ok(known)
    }

    fn create(&self, wanted: &[TopicSpec]) -> Result<()> {
        if wanted.is_empty() {
            return Ok(());
        }
        let new: Vec<NewTopic<'_>> = wanted.iter().map(new_topic).collect();
        let about = About::new("creating topics");
        let answer = wait(self.acts.create_topics(&new, &options())).map_err(|error| self.error(&about, &error))?;
        for result in answer {
            match result {
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((topic, code)) => return Err(uncreated(&topic, code)),
            }
        }
        // The controller has them now; whoever produces at once asks a broker.
        let started = self.clock.mono();
        loop {
            let known = self.topics()?;
            let missing = wanted.iter().find(|topic| !known.iter().any(|known| known.name == topic.name));
            match missing {
                None => return Ok(()),
                Some(topic) if self.clock.mono() - started > CREATED_TIMEOUT => {
                    let context = format!("creating topic `{}`", topic.name);
                    return Err(Error::new(ErrorClass::Retry, context, "it does not show up in the cluster's metadata"));
                }
                Some(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn refusals(&self, wanted: &[TopicSpec]) -> Result<Vec<(Text, Error)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let new: Vec<NewTopic<'_>> = wanted.iter().map(new_topic).collect();
        let about = About::new("asking whether topics could be created");
        let answer = wait(self.acts.create_topics(&new, &options().validate_only(true)));
        let answer = answer.map_err(|error| self.error(&about, &error))?;
        let refused = answer.into_iter().filter_map(std::result::Result::err);
        let refused = refused.filter(|(_, code)| *code != Code::TopicAlreadyExists);
        Ok(refused.map(|(topic, code)| (topic.as_str().into(), uncreated(&topic, code))).collect())
    }

    fn grants(&self, asked: &[Access]) -> Result<Vec<Grant>> {
        grants::grants(&self.properties, self, asked)
    }

    fn configure(&self, topic: &str, config: &BTreeMap<String, String>) -> Result<()> {
        let about = About::new(format!("configuring topic `{topic}`")).on_topic(topic, "AlterConfigs");
        let wanted = AlterConfig::new(ResourceSpecifier::Topic(topic));
        let wanted = config.iter().fold(wanted, |wanted, (key, value)| wanted.set(key, value));
        wait(self.acts.alter_configs(&[wanted], &options())).map_err(|error| self.error(&about, &error))?;
        // The wrapper tells of the call, not of the topic: whether the settings are there is what they show.
        let started = self.clock.mono();
        loop {
            let Some(found) = self.describe(&[topic.into()])?.pop() else {
                return Err(about.code(Code::UnknownTopicOrPartition));
            };
            if config.iter().all(|(key, value)| found.config.get(key) == Some(value)) {
                return Ok(());
            }
            if self.clock.mono() - started > CONFIGURED_TIMEOUT {
                let message = "the settings stay as they were: is AlterConfigs granted on it?";
                return Err(Error::new(ErrorClass::Retry, about.what, message));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn trim(&self, before: &[(TopicPartition, Offset)]) -> Result<()> {
        if before.is_empty() {
            return Ok(());
        }
        let answer = wait(self.acts.delete_records(&trim::places(before)?, &options()));
        trim::judge(before, answer, &self.reads).map_err(|error| self.unreachable(error))
    }

    fn members(&self, group: &str) -> Result<Vec<Member>> {
        let about = About::new(format!("listing the members of group `{group}`")).of_group(group);
        let answer = match self.reads.fetch_group_list(Some(group), TIMEOUT) {
            Ok(answer) => answer,
            Err(KafkaError::GroupListFetch(Code::GroupIdNotFound)) => return Ok(Vec::new()),
            Err(error) => return Err(self.error(&about, &error)),
        };
        let found = answer.groups().iter().find(|found| found.name() == group);
        let members = found.map_or(&[][..], |found| found.members());
        Ok(members
            .iter()
            .map(|member| Member { client_id: member.client_id().to_owned(), host: member.client_host().to_owned() })
            .collect())
    }
}

fn new_topic(topic: &TopicSpec) -> NewTopic<'_> {
    let replication = topic.replication.map_or(-1, i32::from);
    // The protocol's −1 is the cluster's default.
    let partitions = match topic.partitions {
        0 => -1,
        partitions => i32::try_from(partitions).unwrap_or(i32::MAX),
    };
    let new = NewTopic::new(&topic.name, partitions, TopicReplication::Fixed(replication));
    topic.config.iter().fold(new, |new, (key, value)| new.set(key, value))
}

/// Why a topic was not created.
fn uncreated(topic: &str, code: Code) -> Error {
    let mut error = About::new(format!("creating topic `{topic}`")).on_topic(topic, "Create").code(code);
    if matches!(code, Code::InvalidConfig | Code::InvalidPartitions | Code::InvalidReplicationFactor)
        || matches!(code, Code::PolicyViolation | Code::InvalidTopic)
    {
        error.class = ErrorClass::Fatal;
    }
    error
}

pub(super) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

/// Blocks until the answer is there; the admin client has a thread of its own that brings it.
pub(super) fn wait<T>(answer: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => std::thread::park(),
        }
    }
}

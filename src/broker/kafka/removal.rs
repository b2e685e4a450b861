//! Taking topics and groups away, for tools that made them for themselves. The engine's own clients never do: it is no part of the
//! boundary, and a worker needs no right to it.

use super::Kafka;
use super::admin::{options, wait};
use super::error::About;
use super::properties::Role;
use crate::broker::Result;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode as Code;

impl Kafka {
    /// Deletes topics; one that is not there is no failure.
    pub fn remove_topics(&self, names: &[&str]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let about = About::new("deleting topics").on_topic("*", "Delete");
        let answer = wait(self.remover(&about)?.delete_topics(names, &options())).map_err(|error| about.error(&error))?;
        let failed = answer.into_iter().filter_map(std::result::Result::err);
        let mut failed = failed.filter(|(_, code)| *code != Code::UnknownTopicOrPartition);
        failed.next().map_or(Ok(()), |(topic, code)| {
            Err(About::new(format!("deleting topic `{topic}`")).on_topic(topic, "Delete").code(code))
        })
    }

    /// Deletes groups; one that is not there is no failure. Those that still have members stay, and are the answer.
    pub fn remove_groups<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let about = About::new("deleting groups");
        let answer = wait(self.remover(&about)?.delete_groups(names, &options())).map_err(|error| about.error(&error))?;
        let mut left = Vec::new();
        for (group, code) in answer.into_iter().filter_map(std::result::Result::err) {
            match code {
                Code::GroupIdNotFound => {}
                Code::NonEmptyGroup => left.extend(names.iter().find(|name| **name == group)),
                _ => return Err(About::new(format!("deleting group `{group}`")).of_group(group).code(code)),
            }
        }
        Ok(left)
    }

    fn remover(&self, about: &About) -> Result<AdminClient<DefaultClientContext>> {
        self.properties.plain(Role::Producer).create().map_err(|error| about.error(&error))
    }
}

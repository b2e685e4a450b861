//! Topics and groups, as tools see them.

use super::cluster::Shared;
use super::config::Config;
use crate::broker::{Access, Admin, Error, ErrorClass, Grant, Member, Result, TopicInfo, TopicSpec};
use crate::record::{Offset, Text, TopicPartition};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct EmbeddedAdmin {
    pub(super) shared: Arc<Shared>,
}

impl Admin for EmbeddedAdmin {
    fn topics(&self) -> Result<Vec<TopicInfo>> {
        self.shared.with(|state| {
            state.check_storage()?;
            let info = |(name, topic): (&Text, &super::topics::Topic)| TopicInfo {
                name: name.clone(),
                partitions: topic.logs.len() as u32,
                config: BTreeMap::new(),
            };
            Ok(state.topics.by_name.iter().map(info).collect())
        })
    }

    fn describe(&self, topics: &[Text]) -> Result<Vec<TopicInfo>> {
        self.shared.with(|state| {
            state.check_storage()?;
            let info = |name: &Text| {
                let topic = state.topics.by_name.get(name)?;
                Some(TopicInfo { name: name.clone(), partitions: topic.logs.len() as u32, config: topic.config.all() })
            };
            Ok(topics.iter().filter_map(info).collect())
        })
    }

    fn create(&self, wanted: &[TopicSpec]) -> Result<()> {
        self.shared.with(|state| {
            state.check_storage()?;
            for spec in wanted {
                if !state.topics.by_name.contains_key(&spec.name) {
                    // Kafka's `num.partitions` is 1 where nobody sets it.
                    state.create_topic(&TopicSpec { partitions: spec.partitions.max(1), ..spec.clone() })?;
                }
            }
            Ok(())
        })
    }

    fn refusals(&self, wanted: &[TopicSpec]) -> Result<Vec<(Text, Error)>> {
        let refusal = |spec: &TopicSpec| {
            let message = Config::read(&spec.config).err()?;
            Some((spec.name.clone(), Error::new(ErrorClass::Fatal, format!("creating topic `{}`", spec.name), message)))
        };
        Ok(wanted.iter().filter_map(refusal).collect())
    }

    /// Everybody may do everything here.
    fn grants(&self, asked: &[Access]) -> Result<Vec<Grant>> {
        Ok(vec![Grant::Given; asked.len()])
    }

    fn configure(&self, topic: &str, config: &BTreeMap<String, String>) -> Result<()> {
        self.shared.with(|state| {
            state.check_storage()?;
            state.topics.configure(topic, config)?;
            state.changed_topics.insert(topic.into());
            Ok(())
        })
    }

    fn trim(&self, before: &[(TopicPartition, Offset)]) -> Result<()> {
        self.shared.with(|state| {
            state.check_storage()?;
            state.trim(before)
        })
    }

    fn members(&self, group: &str) -> Result<Vec<Member>> {
        self.shared.with(|state| {
            state.check_storage()?;
            let Some(group) = state.groups.by_name.get(group) else { return Ok(Vec::new()) };
            let member =
                |member: &super::group::Member| Member { client_id: member.client_id.to_string(), host: "embedded".to_owned() };
            Ok(group.members.values().map(member).collect())
        })
    }
}

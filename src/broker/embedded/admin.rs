//! Topics and groups, as tools see them.

use super::cluster::Shared;
use crate::broker::{Admin, Member, Result, TopicInfo, TopicSpec};
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

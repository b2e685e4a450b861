//! `skald topic`: lists, creates, reads and fills topics, with kcat's habits.

mod cat;
mod format;
mod produce;

use super::cluster::{connect, failed};
use super::text::{plain, table};
use super::{Problem, out, talk};
use crate::broker::{Broker, TopicInfo, TopicSpec};
use crate::config::{Exit, OutputFormat, Topic, TopicCreate, TopicList, TopicWish};
use crate::record::Text;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

pub(super) fn topic(settings: &Topic) -> Result<Exit, Problem> {
    match &settings.wish {
        TopicWish::List(wish) => list(&connect(&settings.cluster)?, wish),
        TopicWish::Create(wish) => create(&connect(&settings.cluster)?, wish),
        TopicWish::Cat(wish) => cat::cat(&settings.cluster, wish),
        TopicWish::Produce(wish) => produce::produce(&settings.cluster, wish),
    }
}

fn missing(topic: &str) -> Problem {
    Problem::new(Exit::NotFound, format!("there is no topic `{}`", plain(topic)))
        .hint("`skald topic list` tells which there are, `skald topic create` makes one")
}

fn list(broker: &dyn Broker, wish: &TopicList) -> Result<Exit, Problem> {
    let admin = broker.admin().map_err(|error| failed(&error))?;
    let mut known = admin.topics().map_err(|error| failed(&error))?;
    if let Some(name) = wish.topics.iter().find(|name| !known.iter().any(|known| known.name.as_str() == **name)) {
        return Err(missing(name));
    }
    known.retain(|known| wish.topics.is_empty() || wish.topics.iter().any(|name| known.name.as_str() == *name));
    if wish.settings {
        let names: Vec<Text> = known.iter().map(|topic| topic.name.clone()).collect();
        known = admin.describe(&names).map_err(|error| failed(&error))?;
    }
    match wish.output {
        OutputFormat::Json => {
            let all: Vec<_> = known.iter().map(|topic| in_json(topic, wish.settings)).collect();
            out(&format!("{:#}\n", serde_json::Value::from(all)));
        }
        OutputFormat::Table if known.is_empty() => talk("no topics\n"),
        OutputFormat::Table if wish.settings => out(&with_settings(&known)),
        OutputFormat::Table => {
            let rows: Vec<_> = known.iter().map(|topic| [topic.partitions.to_string(), plain(&topic.name)]).collect();
            out(&table(["PARTITIONS", "TOPIC"], &rows));
        }
    }
    Ok(Exit::Ok)
}

fn in_json(topic: &TopicInfo, settings: bool) -> serde_json::Value {
    let mut said = json!({"name": topic.name.as_str(), "partitions": topic.partitions});
    if settings {
        said["settings"] = json!(topic.config);
    }
    said
}

fn with_settings(topics: &[TopicInfo]) -> String {
    let mut text = String::new();
    for topic in topics {
        let plural = if topic.partitions == 1 { "" } else { "s" };
        let _ = writeln!(text, "{}, {} partition{plural}", plain(&topic.name), topic.partitions);
        for (key, value) in &topic.config {
            let _ = writeln!(text, "  {}={}", plain(key), plain(value));
        }
    }
    text
}

fn create(broker: &dyn Broker, wish: &TopicCreate) -> Result<Exit, Problem> {
    let admin = broker.admin().map_err(|error| failed(&error))?;
    let known = admin.topics().map_err(|error| failed(&error))?;
    let name = plain(&wish.name);
    if known.iter().any(|known| known.name.as_str() == wish.name) {
        if wish.if_not_exists {
            talk(&format!("topic `{name}` is there already\n"));
            return Ok(Exit::Ok);
        }
        return Err(Problem::new(Exit::Failed, format!("topic `{name}` is there already"))
            .hint("with `--if-not-exists` this is no failure"));
    }
    let mut config = BTreeMap::new();
    for (key, value) in &wish.config {
        if config.insert(key.clone(), value.clone()).is_some() {
            return Err(Problem::new(Exit::Usage, format!("`--config {}` is given twice", plain(key))));
        }
    }
    let spec = TopicSpec {
        name: wish.name.as_str().into(),
        partitions: wish.partitions.unwrap_or_default(),
        replication: wish.replication,
        config,
    };
    admin.create(&[spec]).map_err(|error| failed(&error))?;
    talk(&format!("topic `{name}` created\n"));
    Ok(Exit::Ok)
}

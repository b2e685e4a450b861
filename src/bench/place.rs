//! What a bench makes on the cluster and on this machine, and that it is taken away.

use super::error::{Error, Result};
use super::job::Job;
use super::settings::{Settings, client};
use super::stand::Stand;
use super::subject::Subject;
use crate::broker::kafka::Kafka;
use crate::broker::{Admin, Broker};
use crate::clock::Clock;
use crate::record::Text;
use std::path::PathBuf;
use std::time::Duration;

/// After so long nobody is a member any more.
const MEMBERS_GO_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// Names and folders under one prefix.
pub(super) struct Place {
    pub(super) kafka: Kafka,
    admin: Box<dyn Admin>,
    settings: Settings,
    folder: PathBuf,
    groups: Vec<Text>,
    made: u32,
}

impl Place {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let kafka = client(settings, &[])?;
        let folder = settings.folder.join(&settings.prefix);
        std::fs::create_dir_all(&folder).map_err(Error::machine(format!("creating `{}`", folder.display())))?;
        let admin = kafka.admin()?;
        Ok(Self { kafka, admin, settings: settings.clone(), folder, groups: Vec::new(), made: 0 })
    }

    /// The cluster with these properties too.
    pub(super) fn kafka_with(&self, more: &[(&str, &str)]) -> Result<Kafka> {
        client(&self.settings, more)
    }

    /// A new name for a topic.
    pub(super) fn topic(&mut self, job: Job, name: &str) -> Text {
        self.made += 1;
        format!("{}-{job}-{}-{name}", self.settings.prefix, self.made).into()
    }

    /// A new stand; nothing is made yet.
    pub(super) fn stand(&mut self, job: Job, subject: Subject, input: &Text, partitions: u32) -> Result<Stand> {
        self.made += 1;
        // Nothing that an engine makes under one group's name may be taken for another's, so the number ends in a letter.
        let group = Text::from(format!("{}-{job}-{}{}", self.settings.prefix, self.made, &subject.name()[..1]));
        let output = format!("{}-{job}-{}-out", self.settings.prefix, self.made).into();
        let folder = self.folder.join(group.as_str());
        self.groups.push(group.clone());
        Ok(Stand { job, subject, group, input: input.clone(), output, partitions, folder, fresh: 0 })
    }

    /// Topics that belong to a stand: what its engine has made, and its outputs.
    pub(super) fn topics_of(&self, stand: &Stand) -> Result<Vec<Text>> {
        let names = self.admin.topics()?.into_iter().map(|topic| topic.name);
        Ok(names.filter(|name| name.starts_with(stand.group.as_str()) || *name == stand.output).collect())
    }

    /// Takes away all topics and folders but these topics.
    pub(super) fn clear(&self, keep: &[&Text]) -> Result<()> {
        let failed = |what: &str| Error::machine(format!("{what} `{}`", self.folder.display()));
        for folder in std::fs::read_dir(&self.folder).map_err(failed("reading"))? {
            let removed = folder.and_then(|folder| std::fs::remove_dir_all(folder.path()));
            removed.map_err(failed("emptying"))?;
        }
        let prefix = format!("{}-", self.settings.prefix);
        let topics = self.admin.topics()?;
        let names = topics.iter().map(|topic| &topic.name).filter(|name| name.starts_with(&prefix) && !keep.contains(name));
        let names: Vec<&str> = names.map(Text::as_str).collect();
        Ok(self.kafka.remove_topics(&names)?)
    }

    /// Takes away whatever has the prefix.
    pub(super) fn tidy_up(&self, clock: &dyn Clock) -> Result<()> {
        self.clear(&[])?;
        let removed = std::fs::remove_dir(&self.folder);
        removed.map_err(Error::machine(format!("removing `{}`", self.folder.display())))?;
        let mut groups: Vec<&str> = self.groups.iter().map(Text::as_str).collect();
        // A member with a name of its own keeps its place for a session after its end.
        let begun = clock.mono();
        while !groups.is_empty() && clock.mono().saturating_sub(begun) < MEMBERS_GO_WITHIN {
            groups = self.kafka.remove_groups(&groups)?;
            if !groups.is_empty() {
                std::thread::sleep(BETWEEN_LOOKS);
            }
        }
        Ok(())
    }
}

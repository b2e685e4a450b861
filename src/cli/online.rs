//! What a cluster has against topologies, as findings at their places: `skald check --online`.
//!
//! It asks what `plan` and `run` ask, and tries the rights of a worker as the principal that asks, in ways that leave nothing behind
//! ([`Admin::grants`]). Not seen are the rights on topics whose names are computed, that fit a pattern or that an asker names: which these
//! are, only records tell.

use super::plan::by_hand;
use crate::applied;
use crate::broker::{Access, Admin, ErrorClass, Grant, Result, TopicSpec};
use crate::change::{Operation, Resource, rights, uses};
use crate::record::Text;
use crate::runtime::{self, Survey};
use crate::topology::model::Topology;
use crate::topology::plan::{Owner, Plan, Role};
use crate::topology::{Diagnostic, Finding, Loaded, SourceText, finding};

/// What a cluster said.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What is wrong.
    pub(super) findings: Vec<Diagnostic>,
    /// Rights that could not be tried, as an ACL names them.
    pub(super) untold: Vec<String>,
}

/// Asks about all files that have no errors of their own.
pub(super) fn ask(admin: &dyn Admin, files: &[Loaded]) -> Result<Asked> {
    let mut asked = Asked::default();
    for file in files {
        if let Some((topology, plan)) = &file.checked {
            let source = SourceText::new(&file.file, &file.text);
            Asking { admin, topology, plan, source, asked: &mut asked }.ask()?;
        }
    }
    Ok(asked)
}

struct Asking<'a> {
    admin: &'a dyn Admin,
    topology: &'a Topology,
    plan: &'a Plan,
    source: SourceText,
    asked: &'a mut Asked,
}

impl Asking<'_> {
    fn ask(&mut self) -> Result<()> {
        let survey = match runtime::survey(self.plan, self.admin) {
            Ok(survey) => survey,
            Err(runtime::Error::Broker(error)) => {
                let ErrorClass::Denied(right) = &error.class else { return Err(error) };
                let topic = right.strip_prefix("Topic ").and_then(|rest| rest.rsplit_once(": ")).map(|(topic, _)| topic);
                let found = missing("E511", right).cause("without it nothing else can be said about the topology's topics");
                self.say(topic.unwrap_or_default(), found);
                return Ok(());
            }
            // A survey asks a broker and nothing else.
            Err(error) => unreachable!("{error}"),
        };
        self.topics(&survey)?;
        self.rights(&survey)
    }

    /// Topics that are there and are not what is needed, and those that are not there.
    fn topics(&mut self, survey: &Survey) -> Result<()> {
        for problem in &survey.problems {
            let text = format!("`{}`: expected {}, found {} on the cluster", problem.topic, problem.expected, problem.found);
            self.say(&problem.topic, finding("E509", text).hint(problem.next.clone()));
        }
        let mut absent = Vec::new();
        for (topic, beside) in self.plan.topics.iter().zip(&survey.topics) {
            if beside.found.is_none() {
                let partitions = beside.partitions.unwrap_or(0);
                let (replication, config) = (topic.replication, beside.wanted.clone());
                absent.push(TopicSpec { name: topic.name.clone(), partitions, replication, config });
            }
            if !beside.differing.is_empty() {
                let differing = beside.differing.iter();
                let texts = differing.map(|(name, wanted, found)| format!("{name}={found} on the cluster, here {wanted}"));
                let text = format!("`{}` has {}", topic.name, texts.collect::<Vec<_>>().join("; "));
                self.say(&topic.name, finding("W505", text).hint(by_hand(&topic.name, &beside.differing)));
            }
        }
        let refusals = self.admin.refusals(&absent)?;
        for (topic, error) in &refusals {
            let found = match &error.class {
                ErrorClass::Denied(right) => {
                    missing("W506", right).cause("the topic is not there, and must be made by who may")
                }
                _ => finding("E510", format!("the cluster would not create `{topic}`: {}", error.message)),
            };
            self.say(topic, found);
        }
        let declared = self.plan.topics.iter().filter(|topic| topic.owner == Owner::User);
        for topic in declared.filter(|topic| absent.iter().any(|spec| spec.name == topic.name)) {
            if refusals.iter().all(|(refused, _)| *refused != topic.name) {
                let found = finding("W504", format!("`{}` is not on the cluster", topic.name));
                self.say(
                    &topic.name,
                    found.hint("`skald apply` creates it; without Describe it would be hidden from this principal"),
                );
            }
        }
        Ok(())
    }

    /// What a worker does, tried.
    fn rights(&mut self, survey: &Survey) -> Result<()> {
        let mut trials = Vec::new();
        for right in rights(self.topology, self.plan).iter().filter(|right| !right.provisioning) {
            let name = right.name.as_str();
            trials.push(match right.resource {
                Resource::Group => Trial::new("E511", Access::Group(name.into()), format!("Group {name}: Read")),
                Resource::TransactionalId => {
                    let access = Access::TransactionalId(format!("{name}check").into());
                    let trial = Trial::new("E511", access, format!("TransactionalId {name}* (prefixed): Write"));
                    trial.because("`run --guarantee at_least_once` would do without")
                }
                Resource::Topic => continue,
            });
        }
        for ((topic, done), beside) in self.plan.topics.iter().zip(uses(self.plan)).zip(&survey.topics) {
            for operation in done.into_iter().filter(|_| beside.found.is_some()) {
                trials.push(of_topic(&topic.name, operation, topic.roles.contains(&Role::DeadLetters)));
            }
        }
        let definitions = applied::topic_of(&self.topology.name);
        if self.admin.topics()?.iter().any(|topic| topic.name == definitions) {
            let reads = of_topic(&definitions, Operation::Read, false);
            trials.push(reads.because("`run` looks there for what was applied"));
            let writes = Trial { code: "W506", ..of_topic(&definitions, Operation::Write, false) };
            trials.push(writes.because("what this principal runs is not recorded"));
        }
        let asked: Vec<Access> = trials.iter().map(|trial| trial.access.clone()).collect();
        for (trial, grant) in trials.into_iter().zip(self.admin.grants(&asked)?) {
            match grant {
                Grant::Given => {}
                Grant::Denied => {
                    let found = missing(trial.code, &trial.right);
                    self.say(&trial.topic, trial.cause.into_iter().fold(found, Finding::cause));
                }
                Grant::Untold => self.asked.untold.push(trial.right),
            }
        }
        Ok(())
    }

    /// Says something at the place of a topic: where it is declared, or the node that it is made for; else where the topology has
    /// its name.
    fn say(&mut self, topic: &str, found: Finding) {
        let declared = self.topology.topics.iter().find(|contract| contract.name == topic).map(|contract| &contract.at);
        let own = topic.strip_prefix(self.topology.name.as_str()).and_then(|rest| rest.strip_prefix('.'));
        let node = own.and_then(|rest| rest.split('.').next()).unwrap_or_default();
        let aggregates = self.topology.aggregates.iter().map(|node| (&node.name, &node.at));
        let pipelines = self.topology.pipelines.iter().map(|node| (&node.name, &node.at));
        let sagas = self.topology.sagas.iter().map(|node| (&node.name, &node.at));
        let of_node = aggregates.chain(pipelines).chain(sagas).find(|(name, _)| *name == node).map(|(_, at)| at);
        let (line, column) = declared.or(of_node).map_or_else(|| self.head(), |at| (at.line, at.column));
        self.asked.findings.push(self.source.diagnostic(line, column, found));
    }

    fn head(&self) -> (u32, u32) {
        let line = self.source.text.lines().position(|line| line.starts_with("topology:")).unwrap_or(0);
        (u32::try_from(line).unwrap_or(0) + 1, 1)
    }
}

/// Something to be tried.
struct Trial {
    /// What a denial is told as.
    code: &'static str,
    access: Access,
    /// The right that it needs, as an ACL names it.
    right: String,
    /// The topic, if it is about one.
    topic: Text,
    /// What comes of a denial.
    cause: Option<&'static str>,
}

impl Trial {
    fn new(code: &'static str, access: Access, right: String) -> Self {
        Self { code, access, right, topic: Text::default(), cause: None }
    }

    fn because(self, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..self }
    }
}

/// What is done with the records of a topic.
fn of_topic(topic: &Text, operation: Operation, letters: bool) -> Trial {
    let right = format!("Topic {topic}: {}", operation.name());
    let trial = match operation {
        Operation::Read => Trial::new("E511", Access::Read(topic.clone()), right),
        Operation::Delete => Trial::new("W506", Access::Delete(topic.clone()), right)
            .because("what was read of the topic stays there until its retention is over"),
        _ if letters => {
            Trial::new("E511", Access::Write(topic.clone()), right).because("the first record that fails stops its partition")
        }
        _ => Trial::new("E511", Access::Write(topic.clone()), right),
    };
    Trial { topic: topic.clone(), ..trial }
}

fn missing(code: &'static str, right: &str) -> Finding {
    finding(code, format!("the right `{right}` is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::embedded::{Cluster, Options};
    use crate::broker::{self, Broker as _, Member, TopicInfo};
    use crate::clock::ManualClock;
    use crate::record::{Offset, TopicPartition};
    use crate::topology::{NoSources, codes, load, render};
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    /// An admin whose principal lacks rights: `Write shop.dlq`.
    struct Guarded {
        inner: Box<dyn Admin>,
        denied: Vec<String>,
    }

    impl Guarded {
        fn denies(&self, operation: &str, name: &str) -> bool {
            self.denied.iter().any(|denied| *denied == format!("{operation} {name}"))
        }
    }

    impl Admin for Guarded {
        fn topics(&self) -> broker::Result<Vec<TopicInfo>> {
            self.inner.topics()
        }
        fn describe(&self, topics: &[Text]) -> broker::Result<Vec<TopicInfo>> {
            match topics.iter().find(|topic| self.denies("DescribeConfigs", topic)) {
                Some(topic) => {
                    let right = format!("Topic {topic}: DescribeConfigs");
                    Err(broker::Error::new(ErrorClass::Denied(right.into()), "reading topic settings", "denied"))
                }
                None => self.inner.describe(topics),
            }
        }
        fn create(&self, wanted: &[TopicSpec]) -> broker::Result<()> {
            self.inner.create(wanted)
        }
        fn refusals(&self, wanted: &[TopicSpec]) -> broker::Result<Vec<(Text, broker::Error)>> {
            let mut refused = self.inner.refusals(wanted)?;
            for spec in wanted.iter().filter(|spec| self.denies("Create", &spec.name)) {
                let right = format!("Topic {}: Create", spec.name);
                refused.push((spec.name.clone(), broker::Error::new(ErrorClass::Denied(right.into()), "creating", "denied")));
            }
            Ok(refused)
        }
        fn grants(&self, asked: &[Access]) -> broker::Result<Vec<Grant>> {
            let grant = |access: &Access| match access {
                Access::Group(name) if self.denies("Read", name) => Grant::Denied,
                Access::TransactionalId(name) if self.denies("Write", name) => Grant::Denied,
                Access::Read(name) if self.denies("Read", name) => Grant::Denied,
                Access::Write(name) if self.denies("Write", name) => Grant::Denied,
                Access::Delete(name) if self.denies("Delete", name) => Grant::Denied,
                Access::Write(name) if self.denies("Answer", name) => Grant::Untold,
                _ => Grant::Given,
            };
            Ok(asked.iter().map(grant).collect())
        }
        fn configure(&self, topic: &str, config: &BTreeMap<String, String>) -> broker::Result<()> {
            self.inner.configure(topic, config)
        }
        fn trim(&self, before: &[(TopicPartition, Offset)]) -> broker::Result<()> {
            self.inner.trim(before)
        }
        fn members(&self, group: &str) -> broker::Result<Vec<Member>> {
            self.inner.members(group)
        }
    }

    /// The cluster that the lines `# cluster: TOPIC partitions=N SETTING=VALUE` and `# cluster denies: OPERATION NAME` of a file tell of.
    fn cluster(text: &str) -> Guarded {
        let cluster = Cluster::new(Arc::new(ManualClock::new(0, 1)), Options::default());
        for line in text.lines().filter_map(|line| line.strip_prefix("# cluster: ")) {
            let mut words = line.split(' ');
            let name: Text = words.next().unwrap().into();
            let mut config: BTreeMap<String, String> = words
                .map(|word| word.split_once('=').expect("SETTING=VALUE"))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let partitions = config.remove("partitions").map_or(1, |count| count.parse().unwrap());
            cluster.create_topic(&TopicSpec { name, partitions, replication: None, config }).unwrap();
        }
        let denied = text.lines().filter_map(|line| line.strip_prefix("# cluster denies: ")).map(str::to_owned).collect();
        Guarded { inner: cluster.admin().unwrap(), denied }
    }

    fn asked(name: &str, text: &str) -> Asked {
        let loaded = load(name, text.as_bytes(), &[], &NoSources);
        assert!(loaded.checked.is_some(), "{:?}", loaded.findings);
        ask(&cluster(text), std::slice::from_ref(&loaded)).unwrap()
    }

    #[test]
    fn the_examples_of_every_code_are_what_they_say() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topology/online");
        for (code, _) in codes::of_clusters() {
            let text = |kind: &str| std::fs::read_to_string(folder.join(format!("{code}.{kind}.yaml"))).unwrap();
            let bad = asked("bad.yaml", &text("bad")).findings;
            assert!(!bad.is_empty() && bad.iter().all(|found| found.code == code), "{code}: {bad:?}");
            let (path, said) = (folder.join(format!("{code}.expected")), render::lines(&bad));
            if std::env::var_os("UPDATE_EXPECTED").is_some() {
                std::fs::write(&path, &said).unwrap();
            }
            assert_eq!(said, std::fs::read_to_string(&path).unwrap(), "UPDATE_EXPECTED=1 writes it anew");
            let good = asked("good.yaml", &text("good")).findings;
            assert!(good.is_empty(), "{code}: {good:?}");
        }
    }

    const FILE: &str = "skald: 1
topology: app
topics:
  in: { partitions: 2, key: data.k, types: { a.v1: { type: object, properties: { k: { type: string }, j: { type: string } }, required: [k, j] } } }
aggregates:
  counts:
    from: in
    key: data.j
    initial: { n: 0 }
    evolve: { a.v1: { set: { n: =state.n + 1 } } }
";

    #[test]
    fn every_right_that_is_missing_is_told_where_it_belongs() {
        let topics = "# cluster: in partitions=2\n# cluster: app.counts.repartition partitions=2 retention.ms=-1\n\
                      # cluster: app.counts.snapshots partitions=2 cleanup.policy=compact\n# cluster: app.dlq partitions=2 retention.ms=-1\n\
                      # cluster: app.definitions cleanup.policy=compact\n";
        for (denied, said) in [
            ("Read app", "E511: the right `Group app: Read` is missing"),
            ("Write app.check", "E511: the right `TransactionalId app.* (prefixed): Write` is missing"),
            ("Read in", "E511: the right `Topic in: Read` is missing"),
            ("Read app.counts.snapshots", "E511: the right `Topic app.counts.snapshots: Read` is missing"),
            ("Write app.counts.snapshots", "E511: the right `Topic app.counts.snapshots: Write` is missing"),
            ("Write app.counts.repartition", "E511: the right `Topic app.counts.repartition: Write` is missing"),
            ("Delete app.counts.repartition", "W506: the right `Topic app.counts.repartition: Delete` is missing"),
            ("Write app.dlq", "E511: the right `Topic app.dlq: Write` is missing"),
            ("DescribeConfigs in", "E511: the right `Topic in: DescribeConfigs` is missing"),
            ("Read app.definitions", "E511: the right `Topic app.definitions: Read` is missing"),
            ("Write app.definitions", "W506: the right `Topic app.definitions: Write` is missing"),
        ] {
            let text = format!("{topics}# cluster denies: {denied}\n{FILE}");
            let found = asked("app.yaml", &text);
            let lines: Vec<String> = found.findings.iter().map(|found| format!("{}: {}", found.code, found.message)).collect();
            assert_eq!(lines, [said], "{denied}");
            let place = &text[found.findings[0].range.clone()];
            let expected = match denied.split(' ').next_back().unwrap() {
                "in" => "in",
                name if name.starts_with("app.counts.") => "counts",
                _ => "topology",
            };
            assert_eq!(place, expected, "{denied}");
        }
        // A reader of snapshots only reads, a topic of dead letters is only written.
        let others = format!("{topics}# cluster denies: Read app.dlq\n# cluster denies: Write in\n{FILE}");
        assert!(asked("app.yaml", &others).findings.is_empty());
        let untold = asked("app.yaml", &format!("{topics}# cluster denies: Answer app.dlq\n{FILE}"));
        assert!(untold.findings.is_empty());
        assert_eq!(untold.untold, ["Topic app.dlq: Write"]);
    }
}

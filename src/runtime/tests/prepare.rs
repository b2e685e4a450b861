//! Plans and clusters that fit each other, and those that do not.

use super::engine::checked;
use crate::broker::embedded::{Cluster, Options};
use crate::broker::{self, Admin, Broker, ErrorClass, Member, TopicInfo, TopicSpec};
use crate::clock::ManualClock;
use crate::record::{Offset, Text, TopicPartition};
use crate::runtime::{Error, prepare};
use std::collections::BTreeMap;
use std::sync::Arc;

const TOPOLOGY: &str = "
skald: 1
topology: shop
topics:
  orders: { partitions: 3, key: data.id, types: { order.placed.v1: {} } }
aggregates:
  totals:
    from: orders
    initial: { n: 0 }
    evolve:
      order.placed.v1: { set: { n: =state.n + 1 } }
";

fn cluster() -> Cluster {
    Cluster::new(Arc::new(ManualClock::new(0, 1)), Options::default())
}

fn create(cluster: &Cluster, name: &str, partitions: u32, config: &[(&str, &str)]) {
    let config = config.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    cluster.create_topic(&TopicSpec { name: name.into(), partitions, replication: None, config }).expect("a new topic");
}

/// The problems as text, one per line.
fn problems(cluster: &Cluster, create_declared: bool) -> String {
    let (_, plan) = checked(TOPOLOGY);
    let admin = cluster.admin().expect("there is one");
    match prepare(&plan, &*admin, create_declared) {
        Err(error @ Error::Topics(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_of_the_engine_are_made_to_fit_and_found_again() {
    let cluster = cluster();
    create(&cluster, "orders", 3, &[("max.message.bytes", "2000000")]);
    create(&cluster, "elsewhere", 5, &[]);
    let (_, plan) = checked(TOPOLOGY);
    let admin = cluster.admin().expect("there is one");
    let first = prepare(&plan, &*admin, false).expect("fits");
    assert_eq!(first.created, ["shop.totals.snapshots", "shop.totals.inbox", "shop.dlq", "shop.audit"]);
    assert_eq!(first.tasks, [3]);
    assert_eq!(first.others.get("elsewhere"), Some(&5));

    let snapshots = admin.describe(&["shop.totals.snapshots".into()]).expect("there");
    assert_eq!(snapshots[0].partitions, 3);
    assert_eq!(snapshots[0].config["cleanup.policy"], "compact");
    assert_eq!(snapshots[0].config["max.message.bytes"], (2_000_000 + 65_536).to_string());

    let second = prepare(&plan, &*admin, false).expect("still fits");
    assert_eq!((second.created.len(), &second.topics), (0, &first.topics));
}

#[test]
fn a_declared_topic_that_is_missing_is_named_or_made_when_asked() {
    let found = problems(&cluster(), false);
    assert_eq!(
        found,
        "topic `orders`: expected a topic with 3 partitions, found no such topic; create it, or start with `--create-topics`; one that is \
         there is hidden from a principal without Describe"
    );
    let cluster = cluster();
    let (_, plan) = checked(TOPOLOGY);
    let prepared = prepare(&plan, &*cluster.admin().expect("there is one"), true).expect("made");
    assert_eq!(prepared.created[0], "orders");
}

#[test]
fn topics_that_do_not_fit_are_refused_all_at_once_before_anything_is_made() {
    let cluster = cluster();
    create(&cluster, "orders", 4, &[]);
    create(&cluster, "shop.totals.snapshots", 5, &[("cleanup.policy", "delete")]);
    let found = problems(&cluster, true);
    for part in [
        "topic `orders`: expected 3 partitions, found 4",
        "topic `shop.totals.snapshots`: expected 3 partitions, found 5",
        "topic `shop.totals.snapshots`: expected cleanup.policy=compact, found cleanup.policy=delete",
    ] {
        assert!(found.contains(part), "{found}");
    }
    let dead_letters = cluster.admin().and_then(|admin| admin.describe(&["shop.dlq".into()])).expect("answered");
    assert!(dead_letters.is_empty(), "nothing is made when something does not fit");
}

#[test]
fn dead_letters_that_would_find_no_topic_are_refused_at_the_start() {
    let too_small = cluster();
    create(&too_small, "orders", 3, &[]);
    create(&too_small, "shop.dlq", 1, &[("max.message.bytes", "10000")]);
    assert_eq!(
        problems(&too_small, false),
        "topic `shop.dlq`: expected max.message.bytes of 16384 or more: a dead letter has to fit, found 10000; set it: \
         `kafka-configs --alter --topic shop.dlq --add-config max.message.bytes=1048588`"
    );
    let missing = cluster();
    create(&missing, "orders", 3, &[]);
    let (_, plan) = checked(TOPOLOGY);
    let denied = prepare(&plan, &MayNot { create: Some("shop.dlq"), ..MayNot::of(&missing) }, false);
    let Err(Error::Broker(denied)) = denied else { panic!("{denied:?}") };
    assert_eq!(denied.class, ErrorClass::Denied("Topic shop.dlq: Create".into()));
}

/// An admin whose principal has not all rights.
struct MayNot {
    admin: Box<dyn Admin>,
    /// A topic that it may not create.
    create: Option<&'static str>,
}

impl MayNot {
    fn of(cluster: &Cluster) -> Self {
        Self { admin: cluster.admin().expect("there is one"), create: None }
    }
}

/// Nor may it delete records of any topic.
impl Admin for MayNot {
    fn topics(&self) -> broker::Result<Vec<TopicInfo>> {
        self.admin.topics()
    }
    fn describe(&self, topics: &[Text]) -> broker::Result<Vec<TopicInfo>> {
        self.admin.describe(topics)
    }
    fn create(&self, wanted: &[TopicSpec]) -> broker::Result<()> {
        match wanted.iter().find(|spec| Some(&*spec.name) == self.create) {
            Some(denied) => {
                let right = format!("Topic {}: Create", denied.name);
                Err(broker::Error::new(ErrorClass::Denied(right.into()), "creating topics", "denied"))
            }
            None => self.admin.create(wanted),
        }
    }
    fn refusals(&self, wanted: &[TopicSpec]) -> broker::Result<Vec<(Text, broker::Error)>> {
        self.admin.refusals(wanted)
    }
    fn grants(&self, asked: &[broker::Access]) -> broker::Result<Vec<broker::Grant>> {
        self.admin.grants(asked)
    }
    fn configure(&self, topic: &str, config: &BTreeMap<String, String>) -> broker::Result<()> {
        self.admin.configure(topic, config)
    }
    fn trim(&self, before: &[(TopicPartition, Offset)]) -> broker::Result<()> {
        let right = format!("Topic {}: Delete", before[0].0.topic);
        Err(broker::Error::new(ErrorClass::Denied(right.into()), "deleting records", "denied"))
    }
    fn members(&self, group: &str) -> broker::Result<Vec<Member>> {
        self.admin.members(group)
    }
}

#[test]
fn a_repartition_topic_is_kept_for_ever_only_by_those_who_may_delete_its_records() {
    let keyed_otherwise = TOPOLOGY.replace("    from: orders\n", "    from: orders\n    key: data.customer\n");
    let (_, plan) = checked(&keyed_otherwise);
    for (may_delete, retention) in [(true, "-1"), (false, "604800000")] {
        let cluster = cluster();
        let mut admin = cluster.admin().expect("there is one");
        if !may_delete {
            admin = Box::new(MayNot { admin, create: None });
        }
        prepare(&plan, &*admin, true).expect("an empty cluster takes all");
        let made = admin.describe(&["shop.totals.repartition".into()]).expect("there");
        assert_eq!(made[0].config["retention.ms"], retention);
        assert_eq!(made[0].config["max.message.bytes"], (1_048_588 + 65_536).to_string(), "the rest stays as it was made");
    }
}

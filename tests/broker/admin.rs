//! Topics and groups on a real broker, and the harness itself.

use crate::cluster::{Cluster, can_start};
use crate::drive::{Lane, Member, batch};
use crate::tools::{Input, kafka, produce, read_committed, unique, wait_until};
use skald::broker::{Broker, ErrorClass, Op, Parting, TopicSpec};
use skald::record::TopicPartition;
use std::collections::BTreeMap;
use std::time::Duration;

fn spec(name: &str, partitions: u32, config: &[(&str, &str)]) -> TopicSpec {
    let config: BTreeMap<String, String> = config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    TopicSpec { name: name.into(), partitions, replication: None, config }
}

#[test]
fn topics_are_created_with_their_settings_and_one_that_is_there_is_left_alone() {
    let brokers = brokers!();
    let (name, other) = (unique("made"), unique("made"));
    let admin = kafka(brokers).admin().expect("an admin");
    admin.create(&[spec(&name, 3, &[("cleanup.policy", "compact"), ("max.message.bytes", "70000")])]).expect("created");
    admin.create(&[spec(&name, 9, &[]), spec(&other, 1, &[])]).expect("one is there, the other is new");
    let found = admin.describe(&[name.as_str().into(), unique("gone").into(), other.as_str().into()]).expect("described");
    assert_eq!(found.len(), 2);
    let made = found.iter().find(|topic| topic.name == name.as_str()).expect("it is there");
    assert_eq!(made.partitions, 3);
    let setting = |key: &str| made.config.get(key).map(String::as_str);
    assert_eq!((setting("cleanup.policy"), setting("max.message.bytes")), (Some("compact"), Some("70000")));
    assert!(setting("retention.ms").is_some(), "defaults are there too");
    assert!(admin.topics().expect("listed").iter().any(|topic| topic.name == other.as_str() && topic.partitions == 1));

    let error = admin.create(&[spec(&unique("bad"), 1, &[("cleanup.policy", "never")])]).expect_err("no such policy");
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
    let error = admin.create(&[spec("no/name", 1, &[])]).expect_err("no such name");
    assert_eq!(error.class, ErrorClass::Fatal, "{error}");
}

#[test]
fn records_before_an_offset_are_deleted() {
    let brokers = brokers!();
    let name = unique("trim");
    let admin = kafka(brokers).admin().expect("an admin");
    admin.create(&[spec(&name, 1, &[])]).expect("created");
    produce(brokers, &name, 1, (0..5).map(|number| Input::new("k", number.to_string())));
    admin.trim(&[(TopicPartition::new(name.as_str(), 0), 3)]).expect("trimmed");
    let left: Vec<String> = read_committed(brokers, &name).iter().map(crate::tools::Output::value_text).collect();
    assert_eq!(left, ["3", "4"]);
    let gone = unique("gone");
    let error = admin.trim(&[(TopicPartition::new(gone.as_str(), 0), 3)]).expect_err("no such topic");
    assert!(matches!(error.class, ErrorClass::Missing(_)), "{error:?}");
}

#[test]
fn members_of_a_group_are_listed_by_client_id() {
    let brokers = brokers!();
    let (topic, group) = (unique("in"), unique("group"));
    let admin = kafka(brokers).admin().expect("an admin");
    admin.create(&[spec(&topic, 1, &[])]).expect("created");
    assert_eq!(admin.members(&group).expect("a group that never was"), []);
    let mut member = Member::join(brokers, &group, Some("00.a"), &[&topic]);
    member.take(0);
    let found = admin.members(&group).expect("listed");
    assert_eq!(found.iter().map(|member| member.client_id.as_str()).collect::<Vec<_>>(), ["skald-test"]);
    member.close(Parting::Leave);
    wait_until("the group is empty", Duration::from_secs(10), || admin.members(&group).expect("listed").is_empty());
}

#[test]
fn a_lane_outlives_the_broker_it_talks_to() {
    if !can_start() {
        return;
    }
    let mut cluster = Cluster::start();
    let brokers = cluster.brokers();
    let topic = unique("outage");
    let admin = kafka(&brokers).admin().expect("an admin");
    admin.create(&[spec(&topic, 1, &[])]).expect("created");
    let mut lane = Lane::ready(&brokers, &topic, &unique("id"));
    let values = || read_committed(&brokers, &topic).iter().map(crate::tools::Output::value_text).collect::<Vec<_>>();
    let mut expected = Vec::new();
    for (round, stop) in [Cluster::stop, Cluster::kill].into_iter().enumerate() {
        let (before, doubtful, after) = (format!("before {round}"), format!("doubtful {round}"), format!("after {round}"));
        lane.write(batch(&topic, &[(0, "a", &before)]));
        lane.done(Op::Commit);
        lane.write(batch(&topic, &[(0, "a", &doubtful)]));
        stop(&mut cluster);
        let reply = lane.reply(Op::Commit);
        let error = reply.result.expect_err("nobody is there to commit");
        assert_eq!(error.class, ErrorClass::Retry, "{error}");
        assert!(reply.transport_trouble, "the outage is told");
        cluster.restart();
        wait_until("a rebuild succeeds", Duration::from_secs(60), || lane.reply(Op::Rebuild).result.is_ok());
        // The outcome of the commit was open until then; now it is decided for good.
        expected.push(before);
        expected.extend(values().contains(&doubtful).then_some(doubtful));
        lane.write(batch(&topic, &[(0, "a", &after)]));
        lane.done(Op::Commit);
        expected.push(after);
    }
    assert_eq!(values(), expected);
}

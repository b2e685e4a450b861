//! Definitions recorded and read on the embedded broker.

use super::*;
use crate::broker::embedded::{Cluster, Options};
use crate::clock::ManualClock;
use crate::topology::{NoSources, load};
use std::sync::Arc;

fn definition(start: u32) -> Definition {
    let text = format!(
        "skald: 1\ntopology: app\ntopics:\n  in: {{ key: data.k, types: [a.v1] }}\naggregates:\n  counts:\n    from: in\n    \
         initial: {{ n: {start} }}\n    evolve: {{ a.v1: {{ set: {{ n: =state.n + 1 }} }} }}\n"
    );
    load("app.yaml", text.as_bytes(), &[], &NoSources).definition.unwrap()
}

fn cluster() -> Cluster {
    Cluster::new(Arc::new(ManualClock::new(0, 1)), Options::default())
}

#[test]
fn what_was_recorded_is_read_again() {
    let cluster = cluster();
    assert_eq!(read(&cluster, "app").unwrap(), []);
    let first = Applied { kept: vec!["counts".into()], ..applied("app", 1, &definition(0), 7) };
    record(&cluster, &first, 7).unwrap();
    record(&cluster, &first, 8).unwrap();
    let second = applied("app", 2, &definition(1), 9);
    record(&cluster, &second, 9).unwrap();
    assert_eq!(read(&cluster, "app").unwrap(), [first.clone(), second]);
    assert_eq!(read(&cluster, "other").unwrap(), []);
    assert_eq!(first.reload().unwrap().definition.unwrap().hash(), definition(0).hash());
    let topics = cluster.admin().unwrap().describe(&["app.definitions".into()]).unwrap();
    assert_eq!((topics[0].partitions, topics[0].config["cleanup.policy"].as_str()), (1, "compact"));
}

#[test]
fn the_first_content_of_a_version_holds() {
    let cluster = cluster();
    let (first, second) = (applied("app", 1, &definition(0), 1), applied("app", 1, &definition(1), 2));
    record(&cluster, &first, 1).unwrap();
    assert!(matches!(record(&cluster, &second, 2), Err(Error::Taken { version: 1 })));
    assert_eq!(read(&cluster, "app").unwrap(), [first]);
}

#[test]
fn records_that_are_none_are_passed_over() {
    let cluster = cluster();
    let good = applied("app", 3, &definition(0), 1);
    record(&cluster, &good, 1).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for value in [
        "",
        "null",
        "{}",
        "\u{1b}[31m",
        &text(good.to_bytes()).replace("\"version\":3", "\"version\":-1"),
        &text(good.to_bytes()).replace("\"app\"", "\"other\""),
        &text(good.to_bytes()).replace("\"format\":1", "\"format\":2"),
    ] {
        write(&cluster, &topic_of("app"), 9, value.as_bytes().to_vec(), 2).unwrap();
    }
    assert_eq!(read(&cluster, "app").unwrap(), [good]);
}

#[test]
fn a_file_stands_to_what_was_applied_by_version_and_content() {
    let all = [applied("app", 1, &definition(1), 1), applied("app", 3, &definition(3), 1)];
    assert_eq!(standing(&[], 5, &definition(5)), Standing::First);
    assert_eq!(standing(&all, 3, &definition(3)), Standing::Same(&all[1]));
    assert_eq!(standing(&all, 4, &definition(3)), Standing::Next(&all[1]));
    assert_eq!(standing(&all, 1, &definition(1)), Standing::Earlier(&all[1]));
    for (version, content, hint) in
        [(3, 4, "raise `version` to 4"), (1, 3, "raise `version` to 4"), (2, 2, "raise `version` to 4")]
    {
        let Standing::Refused(text) = standing(&all, version, &definition(content)) else { panic!("{version} {content}") };
        assert!(text.contains(hint), "{text}");
    }
    // The form of an earlier engine gave another hash for the same content.
    let older = [Applied { hash: "other".into(), ..all[0].clone() }];
    assert_eq!(standing(&older, 1, &definition(1)), Standing::Same(&older[0]));
}

fn trips(version: u32, step: &str, kind: &str) -> crate::topology::Loaded {
    let text = format!(
        "skald: 1\ntopology: app\nversion: {version}\ntopics:\n  trips: {{ key: data.trip, types: [asked.v1, {kind}] }}\nsagas:\n  trip:\n    \
         from: trips\n    key: data.trip\n    start: {{ type: asked.v1 }}\n    steps: [{{ name: {step}, success: {{ type: {kind} }} }}]\n"
    );
    let loaded = load("app.yaml", text.as_bytes(), &[], &NoSources);
    assert!(loaded.checked.is_some(), "{:?}", loaded.findings);
    loaded
}

fn of_trips(version: u32, step: &str, kind: &str) -> Applied {
    let loaded = trips(version, step, kind);
    let mut entry = applied("app", version, loaded.definition.as_ref().unwrap(), 1);
    entry.note(&loaded.checked.unwrap().0.sagas);
    entry
}

fn known(all: Vec<Applied>, cluster: &Cluster) -> Known {
    let (topology, plan) = trips(3, "three", "three.v1").checked.unwrap();
    Known::new(all, Arc::new(topology), Arc::new(plan), Arc::new(cluster.clone()), Box::new(NoSources))
}

#[test]
fn the_version_of_an_instance_is_found_by_its_definition() {
    use crate::node::Versions as _;
    let cluster = cluster();
    let (one, two) = (of_trips(1, "one", "one.v1"), of_trips(2, "two", "two.v1"));
    let of = |applied: &Applied| applied.sagas["trip"].iter().next().unwrap().clone();
    let known = known(vec![one.clone()], &cluster);
    assert!(known.takes("trip", "one.v1") && !known.takes("trip", "three.v1") && !known.takes("other", "one.v1"));
    let found = |definition: &str| known.world("trip", definition).map(|world| world.map(|world| world.topology.version));
    assert_eq!(found(&of(&one)), Ok(Some(1)));
    // What was applied in the meantime is looked up.
    assert_eq!(found(&of(&two)), Ok(None));
    record(&cluster, &one, 1).unwrap();
    record(&cluster, &two, 2).unwrap();
    assert_eq!(found(&of(&two)), Ok(Some(2)));
    assert_eq!(known.world("other", &of(&two)).map(|world| world.is_none()), Ok(true));
}

#[test]
fn a_version_that_this_engine_cannot_read_is_named_and_one_without_notes_is_read() {
    use crate::node::Versions as _;
    let cluster = cluster();
    let (mut one, mut two) = (of_trips(1, "one", "one.v1"), of_trips(2, "two", "two.v1"));
    let definition = two.sagas["trip"].iter().next().unwrap().clone();
    one.definition["file"]["skald"] = 99.into();
    let unreadable = one.sagas["trip"].iter().next().unwrap().clone();
    // As builds wrote it that did not note sagas.
    two.sagas.clear();
    record(&cluster, &one, 1).unwrap();
    record(&cluster, &two, 2).unwrap();
    let known = known(read(&cluster, "app").unwrap(), &cluster);
    assert!(known.takes("trip", "two.v1"));
    assert_eq!(known.world("trip", &definition).unwrap().unwrap().topology.version, 2);
    let why = known.world("trip", &unreadable).unwrap_err();
    assert!(why.contains("version 1") && why.contains("E116") && why.contains("skald saga drain"), "{why}");
}

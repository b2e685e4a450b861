//! A cluster in a folder: restarts, crashes, damage.

use super::*;
use crate::broker::ErrorClass;
use crate::record::Record;
use proptest::prelude::*;
use std::fs;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            _ = fs::copy(entry.path(), target).unwrap()
        }
    }
}

#[test]
fn a_restart_finds_topics_records_offsets_and_epochs() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { resident_bytes: 0, ..Options::default() };
    {
        let world = World::open(folder.path(), options.clone());
        world.topic("in", 2, &[("retention.ms", "-1")]);
        world.topic("gone", 1, &[]);
        let mut lane = world.ready("id");
        let mut consumer = world.consumer("group", None, &["in"]);
        assigned(&world, consumer.as_mut());
        let ownership = consumer.ownership();
        lane.open("in", &[("k", "a"), ("k", "b")]);
        lane.done(Op::SendOffsets { offsets: vec![(at("in", 0), 7)], stamp: "stamp".into(), ownership });
        lane.done(Op::Commit);
        lane.abort("in", &[("k", "never")]);
        lane.commit("gone", &[("k", "x")]);
        world.cluster.delete_topic("gone").unwrap();
        world.cluster.admin().unwrap().trim(&[(at("in", 0), 1)]).unwrap();
        lane.open("in", &[("k", "open")]);
        let plain = Record { topic: "in".into(), partition: 0, timestamp: 1, key: None, value: None, headers: Vec::new() };
        world.cluster.producer().unwrap().send(&plain).unwrap();
    }
    for _ in 0..2 {
        let world = World::open(folder.path(), options.clone());
        let described = world.cluster.admin().unwrap().describe(&["in".into(), "gone".into()]).unwrap();
        assert_eq!(described.len(), 1);
        assert_eq!((described[0].partitions, described[0].config["retention.ms"].as_str()), (2, "-1"));
        let read = world.read("in", 1, Isolation::ReadCommitted);
        let shown: Vec<_> = read.iter().map(|(offset, key, value)| format!("{offset}{key}{value}")).collect();
        assert_eq!(shown, ["1kb", "6--"], "the open transaction was aborted");
        let mut lane = world.ready("id");
        assert_eq!(lane.committed("in"), Some((7, "stamp".into())));
        assert_eq!(world.cluster.open_transactions(), Vec::<Text>::new());
    }
}

#[test]
fn a_crash_leaves_whole_transactions_only() {
    let folder = tempfile::tempdir().unwrap();
    let world =
        World::open(&folder.path().join("live"), Options { marker_delay: Duration::from_millis(10), ..Options::default() });
    world.topic("in", 1, &[]);
    world.topic("out", 1, &[]);
    let mut consumer = world.consumer("group", None, &["in"]);
    assigned(&world, consumer.as_mut());
    let mut lane = world.ready("id");
    let ownership = consumer.ownership();
    let ops = |epoch: i64| {
        let value = epoch.to_string();
        [
            Op::Begin,
            Op::Produce(batch("out", &[("k", &value), ("l", &value)])),
            Op::Drain,
            Op::SendOffsets { offsets: vec![(at("in", 0), epoch)], stamp: value.as_str().into(), ownership: ownership.clone() },
            Op::Commit,
        ]
    };
    for (images, op) in (1..).zip(ops(1).into_iter().chain(ops(2))) {
        lane.done(op);
        // What a kill would leave now.
        let image = folder.path().join(images.to_string());
        copy(&folder.path().join("live"), &image);
        let crashed = World::open(&image, Options::default());
        let outputs = crashed.read("out", 0, Isolation::ReadCommitted).len() as i64;
        let offset = crashed.ready("other").committed("in").map_or(0, |(offset, _)| offset);
        assert_eq!(outputs, 2 * offset, "image {images}: outputs and offsets go together");
        let decided = if images >= 10 { 2 } else { i64::from(images >= 5) };
        assert_eq!(offset, decided, "image {images}: what was acknowledged is there, what was not is not");
    }
}

#[test]
fn compaction_and_retention_reach_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { resident_bytes: 1_000, ..Options::default() };
    let before = {
        let world = World::open(folder.path(), options.clone());
        world.topic("table", 1, &[("cleanup.policy", "compact")]);
        world.topic("log", 1, &[("retention.bytes", "5000")]);
        let mut lane = world.ready("id");
        for round in 0..40 {
            let (key, value) = ((round % 3).to_string(), "x".repeat(500));
            lane.commit("table", &[(&key, &value), ("same", &round.to_string())]);
            lane.commit("log", &[(&key, &value)]);
            if round % 10 == 9 {
                world.cluster.clean_topic("table").unwrap();
            }
        }
        world.read("table", 0, Isolation::ReadCommitted)
    };
    assert!(before.len() < 8, "{}", before.len());
    let world = World::open(folder.path(), options);
    assert_eq!(world.read("table", 0, Isolation::ReadCommitted), before);
    let mut lane = world.ready("id");
    let ends = lane.done(Op::Ends { partitions: vec![at("log", 0)], isolation: Isolation::ReadCommitted });
    let Outcome::Ends(ends) = ends else { panic!("{ends:?}") };
    assert!(ends[0].1.start > 0 && ends[0].1.end == 80, "{ends:?}");
    let kept = world.read("log", ends[0].1.start, Isolation::ReadCommitted).len();
    assert!((1..12).contains(&kept), "{kept}");
    world.cluster.clean_topic("table").unwrap();
    assert_eq!(table(&world.read("table", 0, Isolation::ReadCommitted)), table(&before));
}

#[test]
fn a_second_process_in_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), Options::default());
    let clock = world.clock.clone();
    let second = Cluster::open(clock, Options::default(), folder.path());
    assert_eq!(second.err().unwrap().class, ErrorClass::Fatal);
}

#[test]
fn a_reader_from_the_start_reads_from_disk_what_left_memory() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path(), Options { resident_bytes: 10_000, ..Options::default() });
    world.topic("in", 1, &[]);
    let mut lane = world.ready("id");
    let expected: Vec<String> = (0..300).map(|number| format!("{number}-{}", "x".repeat(200))).collect();
    for value in &expected {
        lane.commit("in", &[("k", value)]);
    }
    assert_eq!(world.committed_values("in"), expected);
    let mut reader = world.cluster.log_reader(Isolation::ReadCommitted).unwrap();
    reader.assign(&[(at("in", 0), 0)]).unwrap();
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        let limit = Limit { records: 7, time: Duration::MAX };
        reader.poll(limit, &mut |record| seen.push(String::from_utf8_lossy(record.value.unwrap()).into_owned())).unwrap();
    }
    assert_eq!(seen, expected);
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, u8)>, usize),
    Abort(Vec<(u8, u8)>),
    Send(u8, u8),
    Clean,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let records = || proptest::collection::vec((0..8_u8, 0..5_u8), 1..8);
    prop_oneof![
        6 => (records(), prop_oneof![Just(1), Just(3_000), Just(30_000)]).prop_map(|(records, size)| Step::Commit(records, size)),
        1 => records().prop_map(Step::Abort),
        3 => (0..8_u8, 0..5_u8).prop_map(|(key, value)| Step::Send(key, value)),
        2 => Just(Step::Clean),
        2 => Just(Step::Reopen),
    ]
}

/// Does the step to a cluster that is not reopened by it.
fn act(world: &World, step: &Step) {
    let value = |value: u8, size: usize| if value == 0 { "-".to_owned() } else { value.to_string().repeat(size) };
    let write = |records: &[(u8, u8)], size: usize, commit: bool| {
        let texts: Vec<_> = records.iter().map(|(key, number)| (key.to_string(), value(*number, size))).collect();
        let records: Vec<_> = texts.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut lane = world.ready("id");
        if commit { lane.commit("table", &records) } else { lane.abort("table", &records) }
    };
    match step {
        Step::Commit(records, size) => write(records, *size, true),
        Step::Abort(records) => write(records, 1, false),
        Step::Send(key, number) => {
            let (key, value) = (key.to_string().into(), (*number > 0).then(|| value(*number, 1).into()));
            let record =
                Record { topic: "table".into(), partition: 0, timestamp: 0, key: Some(key), value, headers: Vec::new() };
            world.cluster.producer().unwrap().send(&record).unwrap();
        }
        Step::Clean => {
            world.cluster.clean_topic("table").unwrap();
            world.clock.advance(Duration::from_secs(2));
        }
        Step::Reopen => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_folder_reopened_at_any_time_reads_as_memory_does(steps in proptest::collection::vec(step(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let config = [("cleanup.policy", "compact"), ("delete.retention.ms", "3000")];
        let options = Options { resident_bytes: 20_000, ..Options::default() };
        let memory = World::new(Options::default());
        memory.topic("table", 1, &config);
        let mut disk = World::open(folder.path(), options.clone());
        disk.topic("table", 1, &config);
        for step in &steps {
            act(&memory, step);
            act(&disk, step);
            let read = disk.read("table", 0, Isolation::ReadCommitted);
            if let Step::Reopen = step {
                let now = disk.clock.wall();
                drop(disk);
                disk = World::open(folder.path(), options.clone());
                disk.clock.set_wall(now);
                prop_assert_eq!(&disk.read("table", 0, Isolation::ReadCommitted), &read);
            }
            // Memory lays records out in other slots, so the same pass may leave more or less of what is outdated.
            prop_assert_eq!(table(&read), table(&memory.read("table", 0, Isolation::ReadCommitted)));
        }
        let end = |world: &World| {
            let mut lane = world.ready("id");
            format!("{:?}", lane.done(Op::Ends { partitions: vec![at("table", 0)], isolation: Isolation::ReadUncommitted }))
        };
        prop_assert_eq!(end(&disk), end(&memory));
    }
}

//! Stores on disk: what a killed process leaves, what damage is found, what a full disk does.

use super::*;
use crate::state::{Memory, SimulatedDisk};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::ops::Bound;
use std::process::{Command, Stdio};

const LOG: &str = "shop.orders.snapshots";

fn orders() -> StoreName {
    StoreName::of_node("orders")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn open(path: &Path) -> (Disk, Arc<dyn Store>) {
    let disk = Disk::open(path).expect("opens");
    let store = Stores::open(&disk, &orders(), 0).expect("opens");
    (disk, store)
}

fn put(key: &str, value: impl AsRef<[u8]>) -> Write {
    Write { key: [b"\x01", key.as_bytes()].concat().into(), value: Some(Bytes::copy_from_slice(value.as_ref())) }
}

fn delete(key: &str) -> Write {
    Write { value: None, ..put(key, "") }
}

fn at(next_offset: i64) -> Vec<(crate::record::Text, Checkpoint)> {
    vec![(LOG.into(), Checkpoint { next_offset, applied_at: 0, partitions: 1, format: layout::FORMAT })]
}

fn batch(next_offset: i64, writes: Vec<Write>) -> Batch {
    Batch { writes, checkpoints: at(next_offset) }
}

fn chunk(next_offset: i64, writes: Vec<Write>) -> Chunk {
    Chunk { writes, checkpoints: at(next_offset) }
}

/// Everything with tag 01, and the checkpoint.
fn state(store: &dyn Store) -> (BTreeMap<String, Vec<u8>>, Option<i64>) {
    let mut found = BTreeMap::new();
    let range = (Bound::Included(Bytes::from_static(b"\x01")), Bound::Excluded(Bytes::from_static(b"\x02")));
    store
        .scan(&range, &mut |key, value| {
            found.insert(String::from_utf8(key[1..].to_vec()).expect("text"), value.to_vec());
            true
        })
        .expect("scans");
    (found, store.checkpoint(LOG).expect("reads").map(|checkpoint| checkpoint.next_offset))
}

fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs.iter().map(|(key, value)| ((*key).into(), value.as_bytes().to_vec())).collect()
}

/// The files as a killed process would leave them.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("known").is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

fn files(path: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(path).expect("lists") {
        let entry = entry.expect("lists");
        if entry.file_type().expect("known").is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

#[test]
fn a_killed_process_leaves_what_it_applied_with_its_checkpoint() {
    let root = directory();
    let (disk, store) = open(&root.path().join("live"));
    store.apply(&batch(3, vec![put("a", "1"), put("b", "2")])).expect("applies");
    store.apply(&batch(5, vec![put("a", "3"), delete("b"), put("c", "4")])).expect("applies");
    copy(&root.path().join("live"), &root.path().join("killed"));
    let (_disk, found) = open(&root.path().join("killed"));
    assert_eq!(state(&*found), (entries(&[("a", "3"), ("c", "4")]), Some(5)));
    drop((disk, store));
}

#[test]
fn what_is_ingested_wins_over_older_and_loses_to_later_writes_also_after_opening_again() {
    let root = directory();
    let expected = (entries(&[("b", "new"), ("c", "late"), ("d", "new")]), Some(30));
    {
        let (_disk, store) = open(root.path());
        store.apply(&batch(10, vec![put("a", "old"), put("b", "old")])).expect("applies");
        store.ingest(chunk(20, vec![delete("a"), put("b", "new"), put("c", "new"), put("d", "new")])).expect("ingests");
        store.apply(&batch(30, vec![put("c", "late")])).expect("applies");
        assert_eq!(state(&*store), expected);
    }
    for _ in 0..2 {
        let (_disk, store) = open(root.path());
        assert_eq!(state(&*store), expected);
    }
    let (_disk, store) = open(root.path());
    store.apply(&batch(31, vec![put("d", "later")])).expect("applies");
    assert_eq!(store.get(b"\x01d").expect("reads").as_deref(), Some(&b"later"[..]));
}

#[test]
fn a_killed_process_leaves_a_chunk_or_nothing_of_it() {
    let root = directory();
    let (_disk, store) = open(&root.path().join("live"));
    let writes = (0..1000).map(|number| put(&format!("{number:04}"), [7; 100])).collect();
    copy(&root.path().join("live"), &root.path().join("before"));
    store.ingest(chunk(1000, writes)).expect("ingests");
    copy(&root.path().join("live"), &root.path().join("after"));
    for (name, expected) in [("before", (0, None)), ("after", (1000, Some(1000)))] {
        let (_disk, store) = open(&root.path().join(name));
        let (entries, checkpoint) = state(&*store);
        assert_eq!((entries.len(), checkpoint), expected);
    }
}

#[test]
fn a_store_that_was_cleared_and_filled_again_survives_being_killed() {
    let root = directory();
    let (disk, store) = open(&root.path().join("live"));
    store.apply(&batch(10, vec![put("old", "1")])).expect("applies");
    store.clear().expect("clears");
    assert_eq!(state(&*store), (entries(&[]), None));
    store.ingest(chunk(5, vec![put("a", "1"), put("b", "1")])).expect("a lower checkpoint is right after clear");
    store.apply(&batch(6, vec![put("c", "2")])).expect("applies");
    let expected = (entries(&[("a", "1"), ("b", "1"), ("c", "2")]), Some(6));
    assert_eq!(state(&*store), expected);
    copy(&root.path().join("live"), &root.path().join("killed"));
    let (_killed, found) = open(&root.path().join("killed"));
    assert_eq!(state(&*found), expected);
    drop((disk, store));
    let (_disk, found) = open(&root.path().join("live"));
    assert_eq!(state(&*found), expected);
}

#[test]
fn stores_are_apart_by_node_step_and_partition() {
    let root = directory();
    let disk = Disk::open(root.path()).expect("opens");
    let step = StoreName { node: "orders".into(), step: Some("totals".into()) };
    let names = [(orders(), 0), (orders(), 1), (step, 0)];
    for (place, (name, partition)) in names.iter().enumerate() {
        let store = Stores::open(&disk, name, *partition).expect("opens");
        store.apply(&batch(1, vec![put("k", [place as u8])])).expect("applies");
    }
    disk.set_aside(&names[1].0, 1).expect("sets aside");
    for (place, (name, partition)) in names.iter().enumerate() {
        let store = Stores::open(&disk, name, *partition).expect("opens");
        let found = store.get(b"\x01k").expect("reads").map(|value| value[0] as usize);
        assert_eq!(found, (place != 1).then_some(place));
    }
    for node in ["", "a.b", "..", "a/b", &"x".repeat(200)] {
        assert!(matches!(Stores::open(&disk, &StoreName::of_node(node), 0), Err(Error::Name { .. })), "{node:?}");
    }
}

#[test]
fn a_checkpoint_that_would_fall_is_refused() {
    let root = directory();
    let stores: [Box<dyn Stores>; 3] =
        [Box::new(Disk::open(root.path()).expect("opens")), Box::new(Memory::new()), Box::new(SimulatedDisk::new())];
    for stores in stores {
        let store = stores.open(&orders(), 0).expect("opens");
        store.apply(&batch(10, vec![put("a", "1")])).expect("applies");
        store.apply(&batch(10, vec![put("a", "2")])).expect("the same again, as after a crash");
        assert!(matches!(store.apply(&batch(9, vec![put("a", "3")])), Err(Error::Damaged { .. })));
        assert!(matches!(store.ingest(chunk(9, vec![put("a", "3")])), Err(Error::Damaged { .. })));
        assert_eq!(state(&*store), (entries(&[("a", "2")]), Some(10)));
    }
}

#[test]
fn keys_that_the_files_cannot_hold_are_refused() {
    let root = directory();
    let (_disk, store) = open(root.path());
    for key in [Bytes::new(), Bytes::from(vec![1; 65_536])] {
        let writes = || vec![Write { key: key.clone(), value: Some(Bytes::new()) }];
        assert!(matches!(store.apply(&batch(1, writes())), Err(Error::Refused { .. })));
        assert!(matches!(store.ingest(Chunk { writes: writes(), checkpoints: vec![] }), Err(Error::Refused { .. })));
    }
    assert!(store.get(&vec![1; 100_000]).expect("nothing is there").is_none());
    let longest = Write { key: vec![1; 65_535].into(), value: Some(Bytes::new()) };
    store.apply(&batch(1, vec![put("a", "1"), longest])).expect("fits");
    let long = || Bytes::from(vec![1; 100_000]);
    let count = |range: KeyRange| {
        let mut count = 0;
        store
            .scan(&range, &mut |_, _| {
                count += 1;
                true
            })
            .expect("scans");
        count
    };
    let first = || Bytes::from_static(b"\x01");
    assert_eq!(count((Bound::Included(first()), Bound::Included(long()))), 1);
    assert_eq!(count((Bound::Included(long()), Bound::Unbounded)), 1, "`a` comes later");
    assert_eq!(count((Bound::Excluded(long()), Bound::Excluded(long()))), 0);
}

#[test]
fn a_second_process_is_told_that_the_database_is_taken() {
    let root = directory();
    let (_disk, _store) = open(root.path());
    assert!(matches!(Disk::open(root.path()), Err(Error::Locked { .. })));
}

#[test]
fn a_changed_byte_is_damage_or_changes_nothing() {
    let root = directory();
    let (live, work) = (root.path().join("live"), root.path().join("work"));
    let expected = {
        let (disk, store) = open(&live);
        let writes: Vec<_> = (0..300).map(|number| put(&format!("{number:04}"), [number as u8; 50])).collect();
        store.ingest(chunk(300, writes.clone())).expect("ingests");
        store.apply(&batch(600, writes)).expect("applies");
        disk.rotate().expect("rotates");
        state(&*store)
    };
    let mut found = Vec::new();
    files(&live, &mut found);
    let (mut damaged, mut whole) = (0, 0);
    for file in found {
        let length = std::fs::metadata(&file).expect("there").len() as usize;
        // The journal is preallocated, and its tail is nothing.
        let length = length.min(20_000);
        for place in [0, length / 3, length / 2, length.saturating_sub(5)] {
            let _ = std::fs::remove_dir_all(&work);
            copy(&live, &work);
            let file = work.join(file.strip_prefix(&live).expect("below"));
            let mut bytes = std::fs::read(&file).expect("reads");
            match bytes.get_mut(place) {
                Some(byte) => *byte ^= 0x55,
                None => continue,
            }
            std::fs::write(&file, bytes).expect("writes");
            let result = Disk::open(&work).and_then(|disk| {
                let store = Stores::open(&disk, &orders(), 0)?;
                let mut entries = BTreeMap::new();
                store.scan(&(Bound::Included(Bytes::from_static(b"\x01")), Bound::Unbounded), &mut |key, value| {
                    entries.insert(String::from_utf8_lossy(&key[1..]).into_owned(), value.to_vec());
                    true
                })?;
                Ok((entries, store.checkpoint(LOG)?.map(|checkpoint| checkpoint.next_offset)))
            });
            match result {
                Ok(state) => {
                    assert_eq!(state, expected, "{} at {place}", file.display());
                    whole += 1;
                }
                Err(Error::Damaged { .. }) => damaged += 1,
                Err(error) => panic!("{} at {place}: {error}", file.display()),
            }
        }
    }
    assert!(damaged > 5, "{damaged} of {}", damaged + whole);
}

#[test]
fn a_database_that_is_damaged_as_a_whole_is_moved_aside() {
    let root = directory();
    let path = root.path().join("db");
    for round in 0..2 {
        {
            let (disk, why) = Disk::open_or_set_aside(&path).expect("opens");
            assert_eq!(why.is_some(), round > 0);
            let store = Stores::open(&disk, &orders(), 0).expect("opens");
            assert_eq!(state(&*store), (entries(&[]), None));
            store.apply(&batch(1, vec![put("a", "1")])).expect("applies");
        }
        std::fs::write(path.join("version"), b"junk").expect("writes");
    }
    let (_disk, why) = Disk::open_or_set_aside(&path).expect("opens");
    assert!(matches!(why, Some(Error::Damaged { .. })));
    assert!(root.path().join("db.damaged").is_dir());
}

#[test]
fn a_rotated_store_needs_no_journal() {
    let root = directory();
    let (live, bare) = (root.path().join("live"), root.path().join("bare"));
    let (disk, store) = open(&live);
    store.apply(&batch(2, vec![put("a", "1")])).expect("applies");
    disk.rotate().expect("rotates");
    disk.persist().expect("persists");
    copy(&live, &bare);
    for entry in std::fs::read_dir(&bare).expect("lists") {
        let path = entry.expect("lists").path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            std::fs::File::create(path).expect("emptied");
        }
    }
    let (_disk, found) = open(&bare);
    assert_eq!(state(&*found), (entries(&[("a", "1")]), Some(2)));
}

#[test]
fn a_store_that_has_lost_what_it_had_reached_is_damaged_and_the_others_are_not() {
    let root = directory();
    let disk = Disk::open(root.path()).expect("opens");
    let stores: Vec<_> = (0..2).map(|partition| Stores::open(&disk, &orders(), partition).expect("opens")).collect();
    for store in &stores {
        store.apply(&batch(10, vec![put("a", "1")])).expect("applies");
    }
    // As if the database had come back without its last batch.
    let place = disk.shared.place("orders.0").expect("is open");
    let (_, before) = at(9).remove(0);
    disk.shared
        .write(place, &[], |_, keyspace| keyspace.insert(meta::checkpoint_key(LOG), meta::checkpoint_value(&before)))
        .expect("writes");
    disk.shared.doubtful.store(true, Ordering::Release);
    stores[1].apply(&batch(11, vec![put("b", "1")])).expect("the database is opened anew");
    assert_eq!(state(&*stores[1]), (entries(&[("a", "1"), ("b", "1")]), Some(11)));
    assert!(matches!(stores[0].get(b"\x01a"), Err(Error::Damaged { .. })));
    assert!(matches!(stores[0].apply(&batch(11, vec![])), Err(Error::Damaged { .. })));
    disk.set_aside(&orders(), 0).expect("sets aside");
    assert_eq!(state(&*stores[0]), (entries(&[]), None));
    stores[0].apply(&batch(1, vec![put("c", "1")])).expect("starts anew");
}

#[test]
fn stores_share_the_memory_for_what_is_not_written_out() {
    let root = directory();
    let disk = Disk::open(root.path()).expect("opens");
    let stores: Vec<_> = (0..64).map(|partition| Stores::open(&disk, &orders(), partition).expect("opens")).collect();
    let written_out = || {
        let place = disk.shared.place("orders.0").expect("is open");
        disk.shared.read(place, |keyspace| Ok(keyspace.sealed_memtable_count() + keyspace.table_count())).expect("reads")
    };
    let value = vec![7; 100_000];
    for offset in 1..=10 {
        stores[0].apply(&batch(offset, vec![put(&offset.to_string(), &value)])).expect("applies");
    }
    assert_eq!(written_out(), 0, "below its share of 1 MiB");
    stores[0].apply(&batch(11, vec![put("11", &value)])).expect("applies");
    assert!(written_out() > 0, "above it");
}

#[test]
fn a_store_that_holds_much_fills_a_larger_memtable() {
    let root = directory();
    let disk = Disk::open(root.path()).expect("opens");
    let stores: Vec<_> = (0..32).map(|partition| Stores::open(&disk, &orders(), partition).expect("opens")).collect();
    let place = disk.shared.place("orders.0").expect("is open");
    let written_out = || {
        let count = |keyspace: &fjall::Keyspace| Ok(keyspace.sealed_memtable_count() + keyspace.table_count());
        disk.shared.read(place, count).expect("reads")
    };
    let value = vec![7; 100_000];
    let much: Vec<_> = (0..100).map(|number| put(&format!("{number:03}"), &value)).collect();
    stores[0].ingest(chunk(100, much)).expect("ingests");
    let before = written_out();
    for offset in 101..=120 {
        stores[0].apply(&batch(offset, vec![put(&offset.to_string(), &value)])).expect("applies");
    }
    assert_eq!(written_out(), before, "above the 1 MiB that a store of few entries may have, below 2 MiB");
    stores[0].apply(&batch(121, vec![put("121", &value)])).expect("applies");
    assert!(written_out() > before, "above both");
}

/// Runs one test of this file in a process of its own, which a variable tells that it is that one.
fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("known"));
    command.args([&format!("state::disk::tests::{test}"), "--exact", "--nocapture"]).env("SKALD_TEST_CHILD", path);
    command
}

fn is_child() -> Option<std::path::PathBuf> {
    std::env::var_os("SKALD_TEST_CHILD").map(Into::into)
}

/// The batch of an offset: keys that are all there or all not, with the offset as their value.
fn wide(offset: i64) -> Batch {
    batch(offset, (0..41).map(|key| put(&format!("k{key}"), offset.to_be_bytes())).collect())
}

#[test]
fn a_batch_is_never_torn_by_kill() {
    if let Some(path) = is_child() {
        let (_disk, store) = open(&path);
        let start = state(&*store).1.unwrap_or(0);
        for offset in start + 1.. {
            store.apply(&wide(offset)).expect("applies");
            println!("applied {offset}");
        }
    }
    let root = directory();
    let mut last = 0;
    for _ in 0..3 {
        let mut process = child("a_batch_is_never_torn_by_kill", root.path()).stdout(Stdio::piped()).spawn().expect("starts");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut applied =
            lines.map_while(std::result::Result::ok).filter_map(|line| line.strip_prefix("applied ")?.parse::<i64>().ok());
        last = applied.by_ref().take(300).last().expect("some were applied").max(last);
        process.kill().expect("kills");
        process.wait().expect("ends");
        // What was printed before the signal arrived counts as applied, too.
        last = applied.last().unwrap_or(last);
        let (_disk, store) = open(root.path());
        let (entries, checkpoint) = state(&*store);
        let checkpoint = checkpoint.expect("written");
        assert!(checkpoint >= last, "{checkpoint} is there, {last} was applied");
        assert_eq!(entries.len(), 41);
        assert!(entries.values().all(|value| *value == checkpoint.to_be_bytes()), "a batch was torn");
    }
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // A limit on the size of a file, in a process of its own, stands in for a full disk: the journal can grow no more.
    const JOURNAL: u64 = 64_000_000;
    if let Some(path) = is_child() {
        let ignored = Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(25, ignored).expect("SIGXFSZ is caught");
        let (_disk, store) = open(&path);
        let limit = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(JOURNAL + 100_000), ..limit }).expect("lowered");
        let value = vec![7; 1 << 20];
        let mut offset = 0;
        let refused = loop {
            offset += 1;
            assert!(offset < 80, "the limit holds");
            if let Err(error) = store.apply(&batch(offset, vec![put(&format!("k{offset:03}"), &value)])) {
                break error;
            }
        };
        assert!(matches!(refused, Error::Full { .. }), "{refused}");
        let last = batch(offset, vec![put(&format!("k{offset:03}"), &value)]);
        let reached = || store.checkpoint(LOG).expect("reads").map(|checkpoint| checkpoint.next_offset);
        for _ in 0..3 {
            assert_eq!(reached(), Some(offset - 1), "reads go on");
            assert!(matches!(store.apply(&last), Err(Error::Full { .. })));
        }
        setrlimit(Resource::Fsize, limit).expect("raised");
        store.apply(&last).expect("there is room again");
        assert_eq!(reached(), Some(offset));
        assert_eq!(state(&*store).0.len(), offset as usize);
        println!("waited for room");
        return;
    }
    let root = directory();
    let output = child("a_full_disk_is_waited_for_and_nothing_is_lost", root.path()).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("waited for room"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[derive(Clone, Debug)]
enum Act {
    Apply(Vec<(u8, Option<u8>)>),
    Ingest(BTreeMap<u8, Option<u8>>),
    Clear,
    SetAside,
    Rotate,
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let write = || (0..16_u8, proptest::option::weighted(0.7, any::<u8>()));
    let act = prop_oneof![
        6 => proptest::collection::btree_map(0..16_u8, proptest::option::weighted(0.7, any::<u8>()), 0..6)
            .prop_map(|writes| Act::Apply(writes.into_iter().rev().collect())),
        3 => proptest::collection::vec(write(), 0..12).prop_map(|writes| Act::Ingest(writes.into_iter().collect())),
        1 => Just(Act::Clear),
        1 => Just(Act::SetAside),
        1 => Just(Act::Rotate),
        1 => Just(Act::Reopen),
    ];
    proptest::collection::vec(act, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn all_kinds_of_stores_are_one_to_their_users(acts in acts()) {
        let root = directory();
        let (memory, simulated) = (Memory::new(), SimulatedDisk::new());
        let mut disk = Some(Disk::open(root.path()).expect("opens"));
        let mut offset = 0;
        let write = |(key, value): (u8, Option<u8>)| Write { key: vec![1, key].into(), value: value.map(|value| vec![value].into()) };
        for act in acts {
            offset += 1;
            if matches!(act, Act::Reopen) {
                disk = None;
                simulated.crash(simulated.at_risk());
            }
            let disk = disk.get_or_insert_with(|| Disk::open(root.path()).expect("opens again"));
            let kinds: [&dyn Stores; 3] = [disk, &memory, &simulated];
            let mut seen = Vec::new();
            for stores in kinds {
                let store = stores.open(&orders(), 0).expect("opens");
                match act.clone() {
                    Act::Apply(writes) => store.apply(&batch(offset, writes.into_iter().map(write).collect())).expect("applies"),
                    Act::Ingest(writes) => store.ingest(chunk(offset, writes.into_iter().map(write).collect())).expect("ingests"),
                    Act::Clear => store.clear().expect("clears"),
                    Act::SetAside => stores.set_aside(&orders(), 0).expect("sets aside"),
                    Act::Rotate => stores.rotate().expect("rotates"),
                    Act::Reopen => {}
                }
                let store = stores.open(&orders(), 0).expect("opens");
                let mut all = Vec::new();
                store.scan(&(Bound::Unbounded, Bound::Unbounded), &mut |key, value| { all.push((key.to_vec(), value.to_vec())); true }).expect("scans");
                let mut part = Vec::new();
                let range = (Bound::Excluded(Bytes::from_static(&[1, 3])), Bound::Included(Bytes::from_static(&[1, 9])));
                store.scan(&range, &mut |key, _| { part.push(key.to_vec()); part.len() < 3 }).expect("scans");
                let none = (Bound::Included(Bytes::from_static(&[1, 9])), Bound::Excluded(Bytes::from_static(&[1, 3])));
                store.scan(&none, &mut |_, _| panic!("nothing lies between")).expect("scans");
                let gets: Vec<_> = (0..16).map(|key| store.get(&[1, key]).expect("reads")).collect();
                seen.push((all, part, gets, store.checkpoint(LOG).expect("reads")));
            }
            prop_assert_eq!(&seen[0], &seen[1]);
            prop_assert_eq!(&seen[1], &seen[2]);
        }
    }
}

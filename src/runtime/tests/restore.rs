//! Restores on a reader that follows a script.

use crate::broker::{Limit, LogReader, Result, Span, Trouble, TroubleKind};
use crate::clock::ManualClock;
use crate::record::{Offset, RecordRef, TopicPartition};
use crate::runtime::restore::{Failed, Job, Log, Restore};
use crate::state::layout::Role;
use crate::state::restore::Fill;
use crate::state::{Memory, StoreName, Stores};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Hands no records over; its positions, and its trouble, are what the test says.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    positions: BTreeMap<TopicPartition, Offset>,
    trouble: Option<Trouble>,
    waited: Duration,
}

impl Scripted {
    fn moves_to(&self, changelog: &TopicPartition, position: Offset) {
        self.0.lock().unwrap().positions.insert(changelog.clone(), position);
    }
}

impl LogReader for Scripted {
    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> Result<()> {
        let positions = &mut self.0.lock().unwrap().positions;
        positions.clear();
        positions.extend(from.iter().cloned());
        Ok(())
    }

    fn poll(&mut self, limit: Limit, _: &mut dyn FnMut(RecordRef<'_>)) -> std::result::Result<(), Trouble> {
        let mut script = self.0.lock().unwrap();
        script.waited += limit.time;
        script.trouble.take().map_or(Ok(()), Err)
    }

    fn position(&self, partition: &TopicPartition) -> Offset {
        self.0.lock().unwrap().positions[partition]
    }
}

fn changelog(task: usize) -> TopicPartition {
    TopicPartition::new(format!("t.n{task}.changelog"), 0)
}

/// Store 0 of a task, to be read from 0 to `end`.
fn job(task: usize, end: Offset) -> Job {
    let target = Memory::new().open(&StoreName::of_node(format!("n{task}")), 0).unwrap();
    let log = Log { changelog: changelog(task), role: Role::Changelog, position: 0, end, partitions: 1 };
    let fill = Fill::new(target.clone(), format!("n{task}"), 1 << 20, true);
    Job { task, store: 0, fill, logs: vec![log], target, read: 0, moved: false }
}

const TIME: Duration = Duration::from_millis(20);

#[test]
fn a_restore_that_has_nothing_to_read_takes_no_time_and_is_not_busy() {
    let (script, clock) = (Scripted::default(), ManualClock::new(0, 0));
    let mut restore = Restore::new(Box::new(script.clone()));
    restore.add(job(0, 10));
    assert!(restore.is_busy(), "it has not been looked at yet");
    let slice = restore.slice(TIME, &clock).ok().expect("no failure");
    assert!(slice.moved.is_empty() && slice.finished.is_empty());
    assert!(!restore.is_busy() && !restore.is_idle());
    assert_eq!(script.0.lock().unwrap().waited, Duration::ZERO, "running tasks would wait with it");
    script.moves_to(&changelog(0), 4);
    let slice = restore.slice(TIME, &clock).ok().expect("no failure");
    assert_eq!(slice.moved, [0]);
    assert!(restore.is_busy(), "where something was there may be more");
    script.moves_to(&changelog(0), 10);
    let slice = restore.slice(TIME, &clock).ok().expect("no failure");
    assert_eq!(slice.finished.len(), 1);
    assert!(!restore.is_busy() && restore.is_idle());
}

#[test]
fn only_a_stable_end_before_the_end_to_be_reached_holds_a_restore_up() {
    let mut restore = Restore::new(Box::new(Scripted::default()));
    restore.add(job(0, 10));
    for (stable, held_up) in [(0, true), (9, true), (10, false), (12, false)] {
        let ends = [(changelog(0), Span { start: 0, end: stable })];
        assert_eq!(restore.is_held_up(0, &ends), held_up, "stable to {stable}");
        assert!(!restore.is_held_up(1, &ends), "another task");
    }
    assert!(!restore.is_held_up(0, &[(changelog(1), Span { start: 0, end: 0 })]), "another changelog");
}

#[test]
fn a_changelog_in_trouble_is_told_with_its_task_and_the_others_go_on() {
    let (script, clock) = (Scripted::default(), ManualClock::new(0, 0));
    let mut restore = Restore::new(Box::new(script.clone()));
    restore.add(job(0, 10));
    restore.add(job(1, 10));
    script.0.lock().unwrap().trouble = Some(Trouble { input: changelog(1), kind: TroubleKind::OffsetOutOfRange });
    let failed = restore.slice(TIME, &clock).err();
    assert!(matches!(failed, Some(Failed::Log { task: 1, .. })));
    restore.forget(Some(1));
    assert!(restore.has(0) && !restore.has(1));
    restore.slice(TIME, &clock).ok().expect("no failure");
    script.moves_to(&changelog(0), 10);
    let slice = restore.slice(TIME, &clock).ok().expect("no failure");
    assert_eq!(slice.finished.iter().map(|job| job.task).collect::<Vec<_>>(), [0]);
}

//! Inputs that cannot be read.
//!
//! What only an operator can mend, an offset that is not in the log or a right that is missing, halts the task: it stands still
//! and says which input it is and what to do. Anything else passes by itself more often than not. The task is paused, the topic is
//! looked for, and once it is there reading goes on from the task's own position, later each time in a row. A topic that is looked
//! for in vain again and again is gone.
//!
//! A record that cannot be decoded because its schema is not known yet is decoded again, later each time: its task waits, and
//! whoever looks schemas up asks for as long as it takes.
//!
//! ```text
//!             trouble                  the topic is there
//!  Running ────────────▶ unread ───────────────────────────▶ Running
//!     │                  │    ▲ no answer
//!     │                  │    └───┘
//!     └──────────────────┴──────────────▶ stands still: out of range, denied, gone
//! ```

use super::core::Core;
use super::questions::What;
use super::task::{Standstill, TaskState};
use super::{Halt, Result};
use crate::broker::{self, ErrorClass, Trouble, TroubleKind};
use crate::record::{Offset, Text, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;

/// A task whose input could not be read is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// One that fails again and again is tried less and less often, down to this.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);
/// After so long without trouble the last one is forgotten.
const CALM: Duration = Duration::from_secs(60);
/// A topic that was looked for so often in a row is gone. Once says little: a broker that has just started does not know it yet.
const MISSING_MAX: u32 = 5;
/// So often in a row is more than a passing trouble.
const LASTING: u32 = 5;

/// Troubles of a task in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    times: u32,
    last: Duration,
    /// The topic is looked for again then.
    due: Duration,
    /// Of these, looks that did not find the topic.
    missed: u32,
}

/// A record is decoded again after so long; the next time after twice as long.
const DECODED_AFTER: Duration = Duration::from_millis(5);
/// Down to this often: whoever looks the schema up has pauses of its own.
const DECODED_AFTER_MAX: Duration = Duration::from_secs(1);

/// A task that waits for a schema.
#[derive(Clone, Debug)]
struct Undecoded {
    /// The record that it stands at.
    record: (TopicPartition, Option<Offset>),
    due: Duration,
    wait: Duration,
    waits: bool,
}

/// What the tasks of an assignment have met, by index.
#[derive(Default)]
pub(super) struct Troubles {
    rows: BTreeMap<usize, Row>,
    undecoded: BTreeMap<usize, Undecoded>,
}

impl Troubles {
    /// A task waits for a schema; gives for how long, and whether it is the first time at this record.
    fn undecoded(&mut self, task: usize, halt: &Halt, mono: Duration) -> (Duration, bool) {
        let record = (halt.input.clone(), halt.offset);
        let before = self.undecoded.get(&task).filter(|before| before.record == record);
        let wait = before.map_or(DECODED_AFTER, |before| (before.wait * 2).min(DECODED_AFTER_MAX));
        let is_new = before.is_none();
        self.undecoded.insert(task, Undecoded { record, due: mono + wait, wait, waits: true });
        (wait, is_new)
    }

    /// Tasks that try again now.
    pub(super) fn decode_again(&mut self, mono: Duration) -> Vec<usize> {
        let due = self.undecoded.iter_mut().filter(|(_, one)| one.waits && one.due <= mono);
        due.map(|(task, one)| {
            one.waits = false;
            *task
        })
        .collect()
    }

    /// When the next one does.
    pub(super) fn next_decoding(&self) -> Option<Duration> {
        self.undecoded.values().filter(|one| one.waits).map(|one| one.due).min()
    }

    /// How long to wait after one more of them, and how many that makes.
    fn one_more(&mut self, task: usize, mono: Duration) -> (Duration, u32) {
        let row = self.rows.entry(task).or_default();
        if mono > row.last + CALM {
            *row = Row::default();
        }
        row.last = mono;
        row.times = row.times.saturating_add(1);
        let wait = (AGAIN_AFTER * 2_u32.pow((row.times - 1).min(10))).min(AGAIN_AFTER_MAX);
        row.due = mono + wait;
        (wait, row.times)
    }

    /// Is it this task's turn? Tasks that read one topic look for it together where they met the trouble together.
    fn is_due(&self, task: usize, mono: Duration) -> bool {
        self.rows.get(&task).is_none_or(|row| mono >= row.due)
    }

    /// Was the topic looked for often enough, this time included?
    fn is_gone(&mut self, task: usize) -> bool {
        let row = self.rows.entry(task).or_default();
        row.missed += 1;
        row.missed >= MISSING_MAX
    }
}

fn reason(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::OffsetOutOfRange => {
            "the offset to read is not in the log any more: records are lost; reset the group's offset to go on"
        }
        TroubleKind::Missing => "there is no such topic or partition: make it again, then restart the worker",
        TroubleKind::Denied => "reading it is not allowed: grant Read on the topic, then restart the worker",
        TroubleKind::Other => "it cannot be read for now: it is tried again and again",
    }
}

impl Core {
    /// An input cannot be read.
    pub(super) fn troubled(&mut self, trouble: &Trouble, mono: Duration) -> Result<()> {
        let Some(assignment) = &self.assignment else { return Ok(()) };
        let hit = assignment.inputs.iter().filter(|input| {
            input.partition.topic == trouble.input.topic
                && (trouble.input.partition < 0 || input.partition.partition == trouble.input.partition)
        });
        let mut tasks: Vec<usize> = hit.map(|input| input.task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        let halt = Halt { input: trouble.input.clone(), offset: None, reason: reason(trouble.kind).into() };
        for task in tasks {
            match trouble.kind {
                TroubleKind::OffsetOutOfRange | TroubleKind::Denied => {
                    // Wherever in its life it is.
                    self.restore.forget(Some(task));
                    self.stand_still(task, halt.clone());
                }
                TroubleKind::Missing | TroubleKind::Other => self.put_off(task, &halt, mono),
            }
        }
        Ok(())
    }

    /// A task stands at a record whose schema is not known yet.
    pub(super) fn decode_later(&mut self, at: usize, mono: Duration) {
        let TaskState::Halted(Standstill::Undecoded(halt)) = self.task(at).state.clone() else { return };
        let (_, is_new) = self.troubles.undecoded(at, &halt, mono);
        if is_new {
            let task = self.task(at).id;
            tracing::info!(%task, input = %halt.input, offset = ?halt.offset, reason = %halt.reason, "a task waits");
        }
    }

    /// A task cannot read on for now.
    fn put_off(&mut self, at: usize, halt: &Halt, mono: Duration) {
        let assignment = self.assignment.as_mut().expect("tasks are of an assignment");
        let task = &mut assignment.tasks[at];
        match task.state {
            TaskState::Running | TaskState::Halted(Standstill::LookUp(_)) => {}
            // Its inputs are not read yet, and are looked at before they are; or it reads nothing anyway.
            TaskState::Waiting | TaskState::Restoring | TaskState::Halted(_) => return,
        }
        let (wait, times) = self.troubles.one_more(at, mono);
        if times < LASTING {
            tracing::warn!(task = %task.id, input = %halt.input, again_after = ?wait, "an input cannot be read");
        } else {
            tracing::error!(task = %task.id, input = %halt.input, again_after = ?wait, times, "an input still cannot be read");
        }
        task.state = TaskState::Halted(Standstill::Unread(halt.clone()));
        self.takeover.later.push((mono + wait, What::Presence(halt.input.topic.clone())));
        self.tell_phase(at);
    }

    /// What a topic that could not be read is like now: `Ok(None)` when it is not there. Gives the tasks that read on.
    pub(super) fn presence_known(&mut self, topic: &Text, found: broker::Result<Option<u32>>, mono: Duration) -> Vec<usize> {
        let Some(assignment) = &self.assignment else { return Vec::new() };
        let waits = |state: &TaskState| match state {
            TaskState::Halted(Standstill::Unread(halt)) => halt.input.topic == *topic,
            _ => false,
        };
        let tasks = assignment.tasks.iter().enumerate().filter(|(_, task)| waits(&task.state));
        let tasks: Vec<usize> = tasks.map(|(at, _)| at).filter(|at| self.troubles.is_due(*at, mono)).collect();
        let kind = match found {
            Ok(Some(partitions)) if partitions > 0 => return tasks,
            Ok(_) => TroubleKind::Missing,
            Err(error) if matches!(error.class, ErrorClass::Denied(_)) => TroubleKind::Denied,
            Err(_) => TroubleKind::Other,
        };
        let mut again = None;
        for at in tasks {
            let is_over = match kind {
                TroubleKind::Missing => self.troubles.is_gone(at),
                kind => kind == TroubleKind::Denied,
            };
            if is_over {
                let TaskState::Halted(Standstill::Unread(halt)) = &self.task(at).state else { continue };
                let halt = Halt { reason: reason(kind).into(), ..halt.clone() };
                self.stand_still(at, halt);
            } else {
                let (wait, _) = self.troubles.one_more(at, mono);
                again = again.max(Some(wait));
            }
        }
        if let Some(wait) = again {
            self.takeover.later.push((mono + wait, What::Presence(topic.clone())));
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_in_a_row_are_tried_less_and_less_often_until_there_is_calm() {
        let mut troubles = Troubles::default();
        let mut now = Duration::from_secs(1000);
        let waits: Vec<u128> = (0..10).map(|_| troubles.one_more(3, now).0.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
        assert_eq!(troubles.one_more(4, now), (AGAIN_AFTER, 1), "another task");
        assert!(troubles.is_due(4, now + AGAIN_AFTER) && !troubles.is_due(3, now + AGAIN_AFTER), "each in its turn");
        let at = |offset| Halt { input: TopicPartition::new("in", 0), offset: Some(offset), reason: String::new() };
        let waits: Vec<u128> = (0..9).map(|_| troubles.undecoded(3, &at(7), now).0.as_millis()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000]);
        assert_eq!(troubles.next_decoding(), Some(now + DECODED_AFTER_MAX));
        assert!(troubles.decode_again(now).is_empty());
        assert_eq!(troubles.decode_again(now + DECODED_AFTER_MAX), [3]);
        assert_eq!((troubles.decode_again(now + DECODED_AFTER_MAX), troubles.next_decoding()), (vec![], None), "once");
        assert_eq!(troubles.undecoded(3, &at(8), now), (DECODED_AFTER, true), "another record");
        now += Duration::from_secs(61);
        assert_eq!(troubles.one_more(3, now), (AGAIN_AFTER, 1));
        assert_eq!((0..5).map(|_| troubles.is_gone(3)).collect::<Vec<_>>(), [false, false, false, false, true]);
    }
}

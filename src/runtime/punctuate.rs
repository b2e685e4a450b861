//! What happens without input: timers fire, states and early events expire, marks of answered requests go, records that wait behind
//! a failure are tried.
//!
//! Everything is found by the ordered indexes in the stores, in bounded pieces, and happens in an epoch as a record does: what a
//! timer does and that it is gone become visible together, or not at all and it fires again. An index is read as it is
//! committed, so nothing fires twice within an epoch; and its beginning is known without a read, so what is armed and not due
//! costs nothing.
//!
//! A timer races with records that would take it away. It holds until
//! - the wall clock, as far as it is believed ([`Wall`]), has reached its moment;
//! - the task has processed what was in its inputs when they were assigned (the barrier): what was answered during an outage is
//!   not timed out by it;
//! - the task has processed what was in its inputs when the timer came due, by an end that was asked for after that or by the
//!   times of the records; at the latest half a minute after it was due.
//!
//! A timer whose node fails leaves nothing but a dead letter, whose original is what the timer was set with; a fault of the
//! engine, or a node that stops at failures, halts its task, and the timer fires again when the task runs again.

use super::core::Core;
use super::crash::point;
use super::epoch::Epoch;
use super::handling::{Handling, node_index};
use super::meters::{Note, Tally};
use super::questions::What;
use super::task::{Assignment, Input, Route, Scene, Standstill, Task, TaskState};
use super::wall::Wall;
use super::{Error, Result};
use crate::failure::{Class, Failure, Stage};
use crate::node::{Expired, Firing, Road, Tries};
use crate::record::{Millis, RecordRef, Text};
use crate::state::layout::{Index, Tag, parked, timer};
use crate::state::{self, Due};
use crate::topology::model::Start;
use bytes::Bytes;
use std::time::Duration;

/// What one look lets happen at most, over all stores: one epoch's worth.
const ACTS_MAX: usize = 1000;
/// From so long after its moment on a timer waits no longer for the inputs.
const OVERDUE: Millis = 30_000;
/// What is held is looked at again after so long, when nothing else has happened.
const HELD_FOR: Duration = Duration::from_millis(100);
/// A question that was not answered for so long is put again.
const UNANSWERED_AFTER: Duration = Duration::from_secs(10);
/// Whoever waits for an epoch's outcome does not look at the clock.
const AFTER_THE_EPOCH: Duration = Duration::MAX;

/// When to look, and what is believed.
pub(super) struct Punctual {
    wall: Wall,
    /// Nothing is looked for before.
    next_look: Duration,
    /// The ends of the inputs as they are at this moment were asked for, then, and no answer is there.
    asked: Option<(Millis, Duration)>,
    /// The time as it was last believed, and when.
    last: (Millis, Duration),
    /// Something is due and waits for the inputs.
    pub(super) is_held: bool,
    /// One look lets no more happen for now: an epoch of timers that the cluster refuses is tried in parts.
    acts_max: usize,
    /// Which task comes first at the next look.
    turn: usize,
}

impl Default for Punctual {
    fn default() -> Self {
        Self {
            wall: Wall::default(),
            next_look: Duration::ZERO,
            asked: None,
            last: (0, Duration::ZERO),
            is_held: false,
            acts_max: ACTS_MAX,
            turn: 0,
        }
    }
}

/// Something due: its task and store, by index, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) task: usize,
    pub(super) store: usize,
    pub(super) index: Index,
    pub(super) due: Due,
}

impl Punctual {
    /// An epoch has come to its end, or the ends of the inputs are known.
    pub(super) fn look_soon(&mut self) {
        self.next_look = Duration::ZERO;
    }

    /// Nothing is left of an assignment.
    pub(super) fn forget(&mut self) {
        (self.next_look, self.asked, self.is_held) = (Duration::ZERO, None, false);
    }

    /// The ends of the inputs that were asked for are there, or will not come: the moment that they are of.
    pub(super) fn answered(&mut self) -> Option<Millis> {
        self.look_soon();
        self.asked.take().map(|(moment, _)| moment)
    }

    /// An epoch of nothing but so many acts was refused: the next one has fewer.
    pub(super) fn narrow(&mut self, acts: u64) {
        self.acts_max = usize::try_from(acts / 2).unwrap_or(ACTS_MAX).clamp(1, ACTS_MAX);
    }

    /// An epoch has committed.
    pub(super) fn widen(&mut self) {
        self.acts_max = (self.acts_max * 2).min(ACTS_MAX);
    }

    /// Has an epoch with so many acts as many as it may?
    pub(super) fn is_full(&self, acts: u64) -> bool {
        acts >= self.acts_max as u64
    }
}

impl Core {
    /// The time, as far as the machine's clock is believed.
    pub(super) fn now(&mut self, mono: Duration) -> Millis {
        let inputs = self.assignment.iter().flat_map(|assignment| &assignment.inputs);
        let latest = inputs.map(|input| input.time).max().unwrap_or(Millis::MIN);
        let now = self.punctual.wall.now(self.parts.clock.wall(), mono, latest);
        self.punctual.last = (now, mono);
        now
    }

    /// When something may be due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let first = self.assignment.as_ref()?.first_due()?;
        let (now, at) = self.punctual.last;
        let left = Duration::from_millis(first.saturating_sub(now).max(0).unsigned_abs());
        Some(at.saturating_add(left).max(self.punctual.next_look))
    }

    /// Lets happen what is due.
    pub(super) fn punctuate(&mut self, mono: Duration) -> Result<()> {
        let now = self.now(mono);
        let Some(assignment) = &mut self.assignment else { return Ok(()) };
        if mono < self.punctual.next_look || assignment.first_due().is_none_or(|first| first > now) {
            return Ok(());
        }
        // One that is tried alone is not mixed with records, which would be blamed for it.
        if self.punctual.acts_max == 1 && self.epoch.figures.records_in > 0 {
            self.punctual.next_look = AFTER_THE_EPOCH;
            return Ok(());
        }
        let scene = Scene { program: &self.parts.program, sources: &self.sources, now, mono };
        let mut look = Look { scene, left: self.punctual.acts_max, acted: false, held_since: None, refused: None };
        let tasks = assignment.tasks.len();
        self.punctual.turn = self.punctual.turn.wrapping_add(1);
        for turn in 0..tasks {
            look.at_task(assignment, &mut self.epoch, (self.punctual.turn + turn) % tasks)?;
        }
        let Look { acted, held_since, .. } = look;
        self.punctual.is_held = held_since.is_some();
        self.punctual.next_look = match (acted, held_since) {
            // What is due besides is found when the index says what is left.
            (true, _) => AFTER_THE_EPOCH,
            (false, Some(_)) => mono + HELD_FOR,
            (false, None) => mono,
        };
        if let Some(since) = held_since
            && assignment.ends_of < since
        {
            self.ask_for_ends(now);
        }
        Ok(())
    }

    /// Asks how far the inputs reach, unless that is asked already.
    pub(super) fn ask_for_ends(&mut self, now: Millis) {
        let (_, mono) = self.punctual.last;
        let is_asked = self.punctual.asked.is_some_and(|(_, at)| mono < at + UNANSWERED_AFTER);
        if !is_asked && self.commit.is_idle() {
            self.punctual.asked = Some((now, mono));
            self.ask(What::Lag);
        }
    }
}

impl Assignment {
    /// The first moment at which something may be due, in a task that runs.
    fn first_due(&self) -> Option<Millis> {
        let stores = self.tasks.iter().filter(|task| task.is_running()).flat_map(|task| &task.stores);
        stores.flat_map(|store| store.watched().filter_map(|index| store.slots.known_first(index))).min()
    }
}

impl Task {
    /// May a timer of this moment fire, as far as the inputs are concerned?
    fn has_seen(&self, inputs: &[Input], at: Millis, now: Millis, ends_of: Millis) -> bool {
        self.inputs.iter().map(|input| &inputs[*input]).all(|input| {
            let is_drained = ends_of >= at && input.position >= input.end;
            input.position >= input.barrier && (is_drained || input.time > at || now >= at.saturating_add(OVERDUE))
        })
    }
}

/// One look at what is due.
struct Look<'a> {
    scene: Scene<'a>,
    /// So much more may happen.
    left: usize,
    acted: bool,
    /// The latest moment of what is held by its inputs.
    held_since: Option<Millis>,
    refused: Option<Text>,
}

impl Look<'_> {
    fn at_task(&mut self, assignment: &mut Assignment, epoch: &mut Epoch, at: usize) -> Result<()> {
        for store in 0..assignment.tasks[at].stores.len() {
            let watched: Vec<Index> = assignment.tasks[at].stores[store].watched().collect();
            for index in watched {
                // One thing may have brought the task to a stand.
                if self.left == 0 || !assignment.tasks[at].is_running() {
                    return Ok(());
                }
                let due = match self.due(assignment, (at, store), index) {
                    Ok(due) => due,
                    Err(error) => return unreadable(assignment, (at, store), error),
                };
                for due in due {
                    let act = Act { task: at, store, index, due };
                    if !self.act(assignment, epoch, act)? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// What is due by an index and not held: nothing is read for what is.
    fn due(&mut self, assignment: &mut Assignment, (at, store): (usize, usize), index: Index) -> state::Result<Vec<Due>> {
        let Assignment { tasks, inputs, ends_of, .. } = assignment;
        let now = self.scene.now;
        let Some(first) = tasks[at].stores[store].slots.first(index)?.filter(|first| *first <= now) else {
            return Ok(Vec::new());
        };
        if self.holds(index, first, &tasks[at], inputs, *ends_of) {
            return Ok(Vec::new());
        }
        tasks[at].stores[store].slots.due(index, now, self.left)
    }

    /// Has it to wait for the inputs? A mark that has expired is no mark any more, whether it is there or not, and what waits behind
    /// a failure is in the order of its key already: nothing races with them.
    fn holds(&mut self, index: Index, at: Millis, task: &Task, inputs: &[Input], ends_of: Millis) -> bool {
        let holds = !matches!(index, Index::Marks | Index::Parked) && !task.has_seen(inputs, at, self.scene.now, ends_of);
        if holds {
            self.held_since = self.held_since.max(Some(at));
        }
        holds
    }

    /// Lets one thing happen; false when it is held, or no more may happen, or its task stands still.
    fn act(&mut self, assignment: &mut Assignment, epoch: &mut Epoch, act: Act) -> Result<bool> {
        let Assignment { tasks, inputs, ends_of, refused_acts, .. } = assignment;
        let task = &mut tasks[act.task];
        if self.left == 0 || self.holds(act.index, act.due.at, task, inputs, *ends_of) {
            return Ok(false);
        }
        let input = &inputs[task.inputs[0]];
        self.refused = refused_acts.iter().find(|(refused, _)| *refused == act).map(|(_, reason)| reason.clone());
        epoch.involve(act.task, self.scene.mono);
        let (mark, figures) = (epoch.mark(), epoch.figures);
        let before = task.stores[act.store].slots.savepoint();
        let done = self.happen(task, input, epoch, &act);
        let task = &mut tasks[act.task];
        match done {
            Ok(happened) => {
                self.left = self.left.saturating_sub(happened);
                self.acted = true;
                task.stores[act.store].slots.keep();
                epoch.figures.acts += happened as u64;
                epoch.last_act = Some(act);
                point("c12")?;
                Ok(true)
            }
            Err(why) => {
                epoch.rollback_to(mark);
                epoch.figures = figures;
                task.stores[act.store].slots.rollback_to(before);
                task.state = TaskState::Halted(why);
                Ok(false)
            }
        }
    }

    /// Says how many things have happened: of a parked key several may.
    fn happen(
        &mut self,
        task: &mut Task,
        input: &Input,
        epoch: &mut Epoch,
        act: &Act,
    ) -> std::result::Result<usize, Standstill> {
        let (scene, index, key) = (self.scene, act.index, &act.due.key[..]);
        let store = &mut task.stores[act.store];
        if index == Index::Marks {
            epoch.figures.expired += 1;
            return store.slots.delete(Tag::Mark, key).map(|_| 1).map_err(|_| Standstill::Damaged(act.store));
        }
        let planned = store.planned;
        let plan = &scene.program.plan;
        let node = plan.stores[planned].node;
        let topic = match index {
            Index::States => plan.stores[planned].snapshots.or(plan.stores[planned].changelog),
            _ => plan.stores[planned].changelog,
        };
        let topic = topic.map_or("", |topic| &plan.topics[topic].name);
        let route = Route { node, store: Some(act.store), start: Start::default(), max_age: None, breaker: None };
        let timer = match index {
            Index::Due => store.slots.timer_at(key).map_err(|_| Standstill::Damaged(act.store))?,
            _ => None,
        };
        let identity = timer::read_key(key).ok().filter(|_| timer.is_some());
        // What a dead letter has for its original: it lies in no log.
        let (owner, payload): (&[u8], Option<&Bytes>) = match (&identity, &timer) {
            (Some((owner, _)), Some(timer)) => (owner, Some(&timer.payload)),
            _ => (key, None),
        };
        let record = RecordRef {
            topic,
            partition: task.id.partition,
            offset: NOWHERE,
            timestamp: act.due.at,
            key: Some(owner),
            value: payload.map(|payload| &payload[..]),
            headers: &[],
        };
        let id = task.id.partition;
        let tries = Tries { attempts: 1, first_at: scene.now };
        let mut handling = Handling { scene, epoch, task, input, record: &record, tries, again: None };
        let what = format_args!("what was due at {} in `{topic}` {id}", act.due.at).to_string();
        if let Some(reason) = self.refused.take() {
            return Err(handling.halt(format!("the cluster does not take what follows from {what}: {reason}")));
        }
        if index == Index::Parked {
            let parked = parked::read_standing_key(key).ok_or(Standstill::Damaged(act.store))?;
            return handling.take_turn(&route, parked, self.left).map(|tried| tried.max(1));
        }
        let result = match (&identity, &timer) {
            (Some((owner, name)), Some(timer)) => {
                handling.slots(act.store).delete(Tag::Timer, key).map_err(|_| Standstill::Damaged(act.store))?;
                let firing = Firing {
                    store: planned,
                    owner,
                    name,
                    generation: timer.generation,
                    due: timer.due,
                    payload: &timer.payload,
                };
                handling.attempt(&route, &record, " at a timer", |node, context| node.fire(&firing, context))?
            }
            _ => {
                let expired = Expired { store: planned, tag: index.tag(), key, at: act.due.at };
                handling.attempt(&route, &record, " at what expired", |node, context| node.expired(&expired, context))?
            }
        };
        handling.look_up()?;
        let result = result.and_then(|()| if handling.is_left(act) { Err(not_gone()) } else { Ok(()) });
        handling.epoch.tallies.steps.push((node_index(&route), Tally::Fired));
        let Err(failure) = result else { return Ok(1) };
        let is_stopped = scene.program.nodes[node].road(&failure) == Road::Stop;
        if failure.class() == Class::Engine || is_stopped {
            return Err(handling.halt_for(&failure, format!("{what}: {failure}")));
        }
        handling.take_away(act).map_err(|_| Standstill::Damaged(act.store))?;
        let written = handling.context(&route, &record).write_letter(&failure);
        written.map_err(|error| handling.halt(format!("the dead letter of {what} cannot be written: {error}")))?;
        handling.epoch.tallies.notes.push((node_index(&route), Note::Remark("timer_failed")));
        Ok(1)
    }
}

/// Offset of what comes from no log.
const NOWHERE: i64 = -1;

impl Handling<'_, '_> {
    fn slots(&mut self, store: usize) -> &mut state::Slots {
        &mut self.task.stores[store].slots
    }

    /// Is something still due by the same moment, after its node was told?
    fn is_left(&mut self, act: &Act) -> bool {
        let (key, slots) = (&act.due.key, self.slots(act.store));
        match act.index {
            Index::States => {
                let expires_at = slots.entity(key).ok().flatten().and_then(|entity| entity.expires_at);
                expires_at.is_some_and(|at| at.max(0) == act.due.at)
            }
            Index::Early => {
                let row = slots.expiring(Tag::Early, key).ok().flatten();
                row.is_some_and(|row| row.expires_at.max(0) == act.due.at)
            }
            Index::Due | Index::Marks | Index::Parked => false,
        }
    }

    /// What failed for good is not tried again.
    fn take_away(&mut self, act: &Act) -> state::Result<()> {
        let (key, slots) = (&act.due.key, self.slots(act.store));
        match act.index {
            Index::States => slots.put_entity(key, None),
            index => slots.delete(index.tag(), key).map(drop),
        }
    }
}

fn not_gone() -> Failure {
    Failure::new(Class::Engine, "NOT_GONE", Stage::Step, "what has expired was kept as it was")
}

/// An index, or a row that it names, cannot be read: the store is filled anew, once.
fn unreadable(assignment: &mut Assignment, (at, store): (usize, usize), error: state::Error) -> Result<()> {
    let task = &mut assignment.tasks[at];
    task.state = match error {
        // It was filled anew, and its changelog says the same.
        error @ state::Error::Unreadable { .. } if std::mem::replace(&mut task.read_anew, true) => {
            let input = assignment.inputs[task.inputs[0]].partition.clone();
            TaskState::Halted(Standstill::Record(super::Halt { input, offset: None, reason: error.to_string() }))
        }
        state::Error::Damaged { .. } | state::Error::Unreadable { .. } => TaskState::Halted(Standstill::Damaged(store)),
        error => return Err(Error::State(error)),
    };
    Ok(())
}

//! What nobody has to wait for: single scenarios, without chance.

#![allow(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use crate::check;
use crate::workload::{IN_PARTITIONS, Kind, MID_PARTITIONS};
use crate::world::World;
use skald::broker::embedded::{Call, CallKind, Faults, LaneFault, PollFault};
use skald::broker::{Broker, ErrorClass, TroubleKind};
use skald::clock::{Clock, ManualClock};
use skald::runtime::Figures;
use skald::sync::lock;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NEVER: Duration = Duration::MAX;
const TASKS: usize = (IN_PARTITIONS + MID_PARTITIONS) as usize;
/// Longest wait of a member for its share: a third of the session, a heartbeat, and taking it over.
const SHARE: Duration = Duration::from_secs(5);
/// Beyond `max.poll.interval`, after which the group would have put a member out that does not poll.
const WITHHELD: Duration = Duration::from_secs(100);

/// Loses the answer to one commit of the first process, and refuses its look-ups for a while from then on.
#[derive(Clone)]
struct Withhold {
    clock: Arc<ManualClock>,
    stage: Arc<Mutex<Stage>>,
    fault: LaneFault,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Off,
    Armed,
    Until(Duration),
}

impl Withhold {
    fn in_world(world: &World, fault: LaneFault) -> Self {
        let own = Self { clock: world.clock.clone(), stage: Arc::new(Mutex::new(Stage::Off)), fault };
        world.cluster.set_faults(own.clone());
        own
    }

    fn is_withholding(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Until(_))
    }
}

impl Faults for Withhold {
    fn lane(&mut self, call: Call<'_>) -> Option<LaneFault> {
        if !call.client_id.starts_with("sim.w0.") {
            return None;
        }
        let (now, mut stage) = (self.clock.mono(), lock(&self.stage));
        match (*stage, call.kind) {
            (Stage::Armed, CallKind::Commit) => {
                *stage = Stage::Until(now + WITHHELD);
                Some(self.fault.clone())
            }
            (Stage::Until(until), CallKind::Committed) if now < until => Some(LaneFault::refused(ErrorClass::Retry)),
            _ => None,
        }
    }

    fn poll(&mut self, _: Call<'_>) -> Option<PollFault> {
        None
    }
}

fn send(world: &mut World, numbers: std::ops::RangeInclusive<i64>) {
    let mut producer = world.cluster.producer().unwrap();
    for number in numbers {
        world.send(&mut *producer, &format!("k{}", number % 10), Kind::Good, number).unwrap();
    }
}

/// A world whose first process has everything and has done something. The others start when they are told to.
fn world_at_work(processes: usize) -> World {
    let mut starts = vec![NEVER; processes];
    starts[0] = Duration::ZERO;
    let mut world = World::quiet(&starts);
    send(&mut world, 1..=30);
    world.run_until("the first process is at work", Duration::from_secs(30), is_done_by_first).unwrap();
    world
}

fn is_done_by_first(world: &World) -> bool {
    world.running(0) == TASKS && world.is_drained()
}

fn start(world: &mut World, process: usize) {
    world.processes[process].down_until = world.clock.mono();
}

/// Both ways that a lost answer can have gone.
fn lost_answers() -> [LaneFault; 2] {
    let timeout = Duration::from_secs(1);
    [LaneFault::lost_reply(timeout), LaneFault::lost_request(timeout)]
}

#[test]
fn a_member_gets_its_share_while_the_outcome_of_anothers_epoch_cannot_be_found_out() {
    for fault in lost_answers() {
        let mut world = world_at_work(2);
        let withhold = Withhold::in_world(&world, fault);
        *lock(&withhold.stage) = Stage::Armed;
        send(&mut world, 31..=60);
        world.run_until("an outcome is unknown", Duration::from_secs(5), |_| withhold.is_withholding()).unwrap();
        send(&mut world, 61..=90);
        start(&mut world, 1);
        world.run_until("the second process has its share", SHARE, |world| world.running(1) > 0).unwrap();
        assert!(withhold.is_withholding(), "it did not wait for the outcome");
        world.run_until("everything is done", WITHHELD + SHARE, World::is_done).unwrap();
        check::check(&world).unwrap();
        let Figures { unknown_outcomes, let_go_late, .. } = world.figures();
        assert_eq!((unknown_outcomes, let_go_late), (1, 1));
    }
}

#[test]
fn a_worker_keeps_its_tasks_however_long_an_outcome_cannot_be_found_out() {
    for (fault, rollbacks) in lost_answers().into_iter().zip([0, 1]) {
        let mut world = world_at_work(1);
        let withhold = Withhold::in_world(&world, fault);
        *lock(&withhold.stage) = Stage::Armed;
        send(&mut world, 31..=60);
        world.run_until("an outcome is unknown", Duration::from_secs(5), |_| withhold.is_withholding()).unwrap();
        send(&mut world, 61..=90);
        let mut kept = true;
        let done = |world: &World| {
            kept &= world.running(0) == TASKS;
            world.is_done()
        };
        world.run_until("everything is done", WITHHELD + SHARE, done).unwrap();
        assert!(kept, "the group gave its tasks away");
        check::check(&world).unwrap();
        let figures = world.figures();
        assert_eq!((figures.unknown_outcomes, figures.rollbacks, figures.let_go_late), (1, rollbacks, 0));
        assert_eq!(figures.standstills, 1);
    }
}

#[test]
fn a_member_gets_its_share_while_anothers_disk_is_full() {
    let mut world = world_at_work(2);
    world.processes[0].disk.set_full(true);
    send(&mut world, 31..=60);
    let stands_still = |world: &World| world.figures().standstills > 0;
    world.run_until("what is committed finds no room", Duration::from_secs(5), stands_still).unwrap();
    start(&mut world, 1);
    world.run_until("the second process has its share", SHARE, |world| world.running(1) > 0).unwrap();
    world.processes[0].disk.set_full(false);
    send(&mut world, 61..=90);
    world.run_until("everything is done", Duration::from_secs(30), World::is_done).unwrap();
    check::check(&world).unwrap();
}

/// Stops the first input that is read, so often.
struct Unreadable(TroubleKind, Arc<Mutex<u32>>);

impl Faults for Unreadable {
    fn lane(&mut self, _: Call<'_>) -> Option<LaneFault> {
        None
    }

    fn poll(&mut self, call: Call<'_>) -> Option<PollFault> {
        let mut left = lock(&self.1);
        if call.kind != CallKind::Poll || *left == 0 {
            return None;
        }
        *left -= 1;
        Some(PollFault::Trouble(self.0))
    }
}

#[test]
fn an_input_that_cannot_be_read_for_a_while_is_read_on_from_where_it_was() {
    for kind in [TroubleKind::Other, TroubleKind::Missing] {
        let mut world = world_at_work(1);
        let left = Arc::new(Mutex::new(30));
        world.cluster.set_faults(Unreadable(kind, left.clone()));
        world.run_until("all tasks have met trouble", SHARE, |world| world.running(0) == 0).unwrap();
        send(&mut world, 31..=60);
        world.run_until("everything is done", Duration::from_secs(120), World::is_done).unwrap();
        assert_eq!(*lock(&left), 0);
        check::check(&world).unwrap();
    }
}

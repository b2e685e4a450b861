//! What holds for every saga: it ends once, and what it has done is either meant or undone, whatever is lost, late or repeated.

mod acts;
mod delays;
mod desk;
mod early;
mod editions;
mod exhaustive;
mod golden;
mod node;
mod random;
mod rows;
mod states;

use super::{Act, Deed as ActDeed, Instance, OpState, Place, RunState, Status};
use crate::topology::model::saga::{Action as Doing, Body, Direction};
use desk::{Behaviour, Deed, Desk, Play, Told};

/// The sagas of steps, with the message that starts each.
const LED: [(&str, &str, &str); 3] = [
    (
        "fulfilment.yaml",
        "order.placed.v1",
        r#"{"orderId":"o-1","items":[{"sku":"a","quantity":1},{"sku":"b","quantity":2},{"sku":"c","quantity":1}]}"#,
    ),
    ("travel.yaml", "trip.asked.v1", r#"{"trip":"o-1","legs":["north","south"]}"#),
    ("nested.yaml", "order.placed.v1", r#"{"orderId":"o-1","items":[{"sku":"a"}]}"#),
];

fn begun<'p>(play: &'p Play, kind: &str, data: &str) -> Desk<'p> {
    let mut desk = Desk::new(play);
    let start = desk.event(kind, data);
    desk.queue.push_back(Told::Message(start));
    desk
}

fn operator(deed: ActDeed, number: u32) -> Act {
    Act { id: format!("act-{number}").into(), deed, reason: "by hand".into(), by: "ada".into(), step: None }
}

/// An operator who tries twice, and then does something else.
fn patient(last: ActDeed) -> impl FnMut(&Instance) -> Option<Act> {
    let mut acts = 0;
    move |_| {
        acts += 1;
        Some(operator(if acts <= 2 { ActDeed::Retry } else { last }, acts))
    }
}

/// The end, by all that can be seen of it.
fn check_end(desk: &Desk<'_>) -> Status {
    let Some(instance) = desk.instance() else { panic!("no instance:\n{}", desk.transcript()) };
    let law = |holds: bool, law: &str| assert!(holds, "{law}\n{}", desk.transcript());
    law(instance.status.is_final(), "it ends");
    law(desk.moves.iter().filter(|status| status.is_final()).count() == 1, "it ends once");
    law(desk.moves.last() == Some(&instance.status), "its last move is its end");
    law(desk.log.iter().filter(|line| line.trim_start().starts_with("ended ")).count() == 1, "its history has one end");
    law(desk.timers.is_empty(), "no timer is left");
    law(instance.kept.is_empty(), "nothing is kept");
    let Body::Steps(steps) = &desk.play.saga().body else { return instance.status };
    let Place::Steps(progress) = &instance.place else { panic!("steps") };
    for run in &progress.runs {
        let step = &steps.steps[run.step];
        for (item, op) in run.ops.iter().enumerate() {
            let is_there = desk.effects.contains(&(run.step, item));
            let undoable = step.compensate.is_some();
            match instance.status {
                Status::Compensated if undoable => {
                    let by_hand = op.state == OpState::Undone && desk.log.iter().any(|line| line.contains("by_hand"));
                    law(!is_there || by_hand, &format!("`{}` is undone", step.name));
                    law(!matches!(op.state, OpState::Left | OpState::UndoFailed), "nothing is left in what is compensated");
                }
                Status::Completed if matches!(step.action, Doing::Send(_)) => match op.state {
                    OpState::Done => law(is_there || instance.acts.len() > 2, &format!("`{}` is done", step.name)),
                    OpState::Failed => law(step.optional || run.state == RunState::Skipped, "what is required is done"),
                    _ => law(false, "a completed saga undoes nothing"),
                },
                _ => {}
            }
        }
    }
    instance.status
}

/// All that is done in a run.
fn deeds(desk: &Desk<'_>) -> Vec<Deed> {
    desk.deliveries.keys().copied().collect()
}

fn is_forward((_, _, direction): Deed) -> bool {
    direction == Direction::Forward
}

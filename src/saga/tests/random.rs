//! Random interleavings: any answer may be lost, late, doubled or a refusal, anything may overtake, operators act at random.

use super::*;
use fastrand::Rng;

fn behaviour(rng: &mut Rng) -> Behaviour {
    match rng.u8(..10) {
        0 => Behaviour::Reject("NO"),
        1 => Behaviour::Reject("BUSY"),
        2 => Behaviour::Drop,
        3 => Behaviour::Lose,
        4 => Behaviour::Late,
        5 => Behaviour::Twice,
        _ => Behaviour::Accept,
    }
}

fn one(play: &Play, (kind, data): (&str, &str), seed: u64) -> Status {
    let mut rng = Rng::with_seed(seed);
    let mut desk = begun(play, kind, data);
    desk.doubled = rng.bool();
    let calm = rng.bool();
    let mut troubles = Rng::with_seed(rng.u64(..));
    let mut behave = move |_: Deed, nth: usize| match nth {
        // What is tried often enough succeeds, so that some runs get far.
        3.. if calm => Behaviour::Accept,
        _ => behaviour(&mut troubles),
    };
    let mut acts = 0;
    loop {
        let mut rest = Vec::new();
        while let Some(told) = desk.queue.pop_front() {
            // What is told to the instance comes by several topics: anything may overtake.
            if rng.u8(..4) == 0 && !desk.queue.is_empty() {
                desk.queue.push_back(told);
                continue;
            }
            desk.tell(&told, &mut behave);
            if rng.u8(..8) == 0 {
                rest.push(told);
            }
            if rng.u8(..60) == 0 {
                let cancel = if play.world.topology.name == "agency" { "trip.dropped.v1" } else { "order.cancelled.v1" };
                let cancel = desk.event(cancel, r#"{"orderId":"o-1","trip":"o-1","reason":"CHANGED"}"#);
                desk.queue.push_back(Told::Message(cancel));
            }
        }
        desk.queue.extend(rest);
        if !desk.queue.is_empty() {
            continue;
        }
        let Some(status) = desk.status() else { panic!("seed {seed}: no instance\n{}", desk.transcript()) };
        if status.waits_for_operator() || rng.u8(..40) == 0 {
            acts += 1;
            let deed = match rng.u8(..5) {
                0 => ActDeed::Skip,
                1 => ActDeed::Resolve,
                2 if acts > 3 => ActDeed::Abort,
                _ => ActDeed::Retry,
            };
            desk.tell(&Told::Act(operator(deed, acts)), &mut behave);
            continue;
        }
        let Some((timer, due)) = desk.timers.iter().map(|(timer, due)| (*timer, *due)).min_by_key(|(_, due)| *due) else {
            break;
        };
        desk.timers.remove(&timer);
        desk.now = desk.now.max(due);
        desk.tell(&Told::Timer(timer, due), &mut behave);
    }
    let instance = desk.instance().expect("it has begun");
    assert!(instance.status.is_final(), "seed {seed}\n{}", desk.transcript());
    assert_eq!(desk.moves.iter().filter(|status| status.is_final()).count(), 1, "seed {seed}");
    // By hand anything may be called done; without a hand the laws hold.
    if instance.acts.is_empty() {
        check_end(&desk);
    }
    instance.status
}

fn seeds() -> u64 {
    std::env::var("SKALD_SAGA_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(100)
}

#[test]
fn random_interleavings_end_once_and_leave_nothing_behind() {
    let mut ends = std::collections::BTreeMap::new();
    for (file, kind, data) in LED {
        let play = Play::load(file);
        for seed in 0..seeds() {
            *ends.entry((file, one(&play, (kind, data), seed))).or_insert(0) += 1;
        }
    }
    for (file, ..) in LED {
        for status in [Status::Completed, Status::Compensated] {
            assert!(ends.contains_key(&(file, status)), "no run of {file} ended as {}: {ends:?}", status.name());
        }
    }
}

//! Every saga, every thing that can go wrong with each of its operations, alone and with one that fails.

use super::*;

const TROUBLES: [Behaviour; 6] =
    [Behaviour::Reject("NO"), Behaviour::Reject("BUSY"), Behaviour::Drop, Behaviour::Lose, Behaviour::Late, Behaviour::Twice];

const LAST_ACTS: [ActDeed; 3] = [ActDeed::Skip, ActDeed::Resolve, ActDeed::Abort];

/// One operation is in trouble, at its first delivery or at all.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    deed: Deed,
    behaviour: Behaviour,
    always: bool,
}

fn play_out<'p>(play: &'p Play, start: (&str, &str), troubles: &[Trouble], last: ActDeed, doubled: bool) -> Desk<'p> {
    let mut desk = begun(play, start.0, start.1);
    desk.doubled = doubled;
    let mut behave = |deed: Deed, nth: usize| {
        let trouble = troubles.iter().find(|trouble| trouble.deed == deed && (trouble.always || nth == 1));
        trouble.map_or(Behaviour::Accept, |trouble| trouble.behaviour)
    };
    desk.run(&mut behave, &mut patient(last));
    desk
}

fn each_trouble(deeds: &[Deed]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for deed in deeds {
        for behaviour in TROUBLES {
            troubles.extend([false, true].map(|always| Trouble { deed: *deed, behaviour, always }));
        }
    }
    troubles
}

#[test]
fn every_saga_ends_well_when_nothing_goes_wrong() {
    for (file, kind, data) in LED {
        let play = Play::load(file);
        for doubled in [false, true] {
            let desk = play_out(&play, (kind, data), &[], ActDeed::Abort, doubled);
            assert_eq!(check_end(&desk), Status::Completed, "{file}\n{}", desk.transcript());
        }
    }
}

#[test]
fn whatever_one_operation_meets_what_was_done_is_meant_or_undone() {
    let mut runs = 0;
    for (file, kind, data) in LED {
        let play = Play::load(file);
        let all = deeds(&play_out(&play, (kind, data), &[], ActDeed::Abort, false));
        for trouble in each_trouble(&all) {
            for doubled in [false, true] {
                let desk = play_out(&play, (kind, data), &[trouble], ActDeed::Resolve, doubled);
                let status = check_end(&desk);
                runs += 1;
                let harmless = !trouble.always || matches!(trouble.behaviour, Behaviour::Twice | Behaviour::Late);
                assert!(
                    matches!(status, Status::Completed | Status::Compensated),
                    "{file} {trouble:?} {harmless} ends as {}",
                    status.name()
                );
            }
        }
    }
    assert!(runs > 200, "{runs} runs");
}

#[test]
fn whatever_undoing_meets_nothing_is_called_compensated_that_is_not() {
    let mut ends = std::collections::BTreeMap::new();
    for (file, kind, data) in LED {
        let play = Play::load(file);
        let all = deeds(&play_out(&play, (kind, data), &[], ActDeed::Abort, false));
        for failing in all.into_iter().filter(|deed| is_forward(*deed)) {
            let failing = Trouble { deed: failing, behaviour: Behaviour::Reject("NO"), always: true };
            let undone = deeds(&play_out(&play, (kind, data), &[failing], ActDeed::Abort, false));
            let undone: Vec<Deed> = undone.into_iter().filter(|deed| !is_forward(*deed)).collect();
            for trouble in each_trouble(&undone) {
                for last in LAST_ACTS {
                    let desk = play_out(&play, (kind, data), &[failing, trouble], last, trouble.always);
                    let status = check_end(&desk);
                    *ends.entry(status).or_insert(0) += 1;
                    if status == Status::Failed {
                        assert_eq!(last, ActDeed::Skip, "only what an operator left is left");
                    }
                }
            }
        }
    }
    let all: Vec<Status> = ends.keys().copied().collect();
    assert_eq!(all, [Status::Compensated, Status::Failed, Status::Cancelled], "{ends:?}");
}

#[test]
fn cancelled_at_any_moment_it_is_undone_or_past_that() {
    for (file, kind, data) in LED {
        let play = Play::load(file);
        let whole = play_out(&play, (kind, data), &[], ActDeed::Abort, false).steps;
        let cancel = match file {
            "travel.yaml" => "trip.dropped.v1",
            _ => "order.cancelled.v1",
        };
        for at in 0..whole {
            for lost in [Behaviour::Accept, Behaviour::Drop, Behaviour::Twice] {
                let mut desk = begun(&play, kind, data);
                for _ in 0..at {
                    match desk.queue.pop_front() {
                        Some(told) => desk.tell(&told, &mut |_, _| Behaviour::Accept),
                        None => break,
                    }
                }
                let told = desk.event(cancel, r#"{"orderId":"o-1","trip":"o-1","reason":"CHANGED"}"#);
                // Before what is under way, and after all that was taken.
                desk.queue.push_front(Told::Message(told));
                desk.run(&mut |_, nth| if nth == 1 { lost } else { Behaviour::Accept }, &mut patient(ActDeed::Resolve));
                let status = check_end(&desk);
                assert!(matches!(status, Status::Completed | Status::Compensated), "{}", desk.transcript());
            }
        }
    }
}

#[test]
fn a_saga_that_is_over_time_is_undone_before_the_pivot_and_reported_after_it() {
    let play = Play::load("travel.yaml");
    // Nobody pays, and the wait ends by itself.
    let mut desk = begun(&play, LED[1].1, LED[1].2);
    desk.run(&mut |deed, _| if deed.0 == 2 { Behaviour::Lose } else { Behaviour::Accept }, &mut patient(ActDeed::Abort));
    assert_eq!(check_end(&desk), Status::Compensated);
    assert_eq!(desk.instance().expect("there").reason, "TIMEOUT");

    let play = Play::load("fulfilment.yaml");
    let mut desk = begun(&play, LED[0].1, LED[0].2);
    // Confirmed, which is the pivot; the parcel takes long.
    while let Some(told) = desk.queue.pop_front() {
        desk.tell(&told, &mut |deed, _| if deed.0 == 6 { Behaviour::Lose } else { Behaviour::Accept });
    }
    let due = desk.timers.remove(&crate::saga::Timer::Saga).expect("it has a timeout");
    desk.tell(&Told::Timer(crate::saga::Timer::Saga, due), &mut |_, _| Behaviour::Accept);
    assert_eq!((desk.status(), desk.counts.get("overdue")), (Some(Status::Running), Some(&1)), "{}", desk.transcript());
    desk.run(&mut |_, _| Behaviour::Accept, &mut patient(ActDeed::Abort));
    assert_eq!(check_end(&desk), Status::Completed);
}

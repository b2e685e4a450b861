//! Sagas that follow: every order of what may happen ends them once.

use super::*;

const START: (&str, &str) = ("order.created.v1", r#"{"orderId":"o-1"}"#);

fn journey(kinds: &[&str]) -> (Status, String, Vec<String>) {
    let play = Play::load("journey.yaml");
    let mut desk = Desk::new(&play);
    for kind in kinds {
        let told = desk.event(kind, r#"{"orderId":"o-1","reason":"R"}"#);
        desk.tell(&Told::Message(told), &mut |_, _| Behaviour::Accept);
    }
    desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
    let status = check_end(&desk);
    (status, desk.instance().expect("it began").reason.to_string(), desk.sent.clone())
}

#[test]
fn messages_and_time_lead_from_state_to_state() {
    let cancel = |reason: &str| format!(r#"order.cancel.v1 {{"orderId":"o-1","reason":"{reason}"}}"#);
    let refund = r#"payment.refund.v1 {"orderId":"o-1"}"#.to_owned();
    for (kinds, status, reason, sent) in [
        (&["inventory.reserved.v1", "payment.confirmed.v1"][..], Status::Completed, "", vec![]),
        // In the other order: what a later state wants is kept for it.
        (&["payment.confirmed.v1", "inventory.reserved.v1"], Status::Completed, "", vec![]),
        (&["inventory.failed.v1"], Status::Compensated, "R", vec![cancel("R")]),
        (&["payment.failed.v1"], Status::Compensated, "R", vec![cancel("R")]),
        (&["inventory.failed.v1", "payment.confirmed.v1"], Status::Compensated, "R", vec![cancel("R"), refund.clone()]),
        (&["payment.confirmed.v1", "inventory.failed.v1"], Status::Compensated, "R", vec![cancel("R"), refund.clone()]),
        (&["inventory.reserved.v1"], Status::Compensated, "PAYMENT_TIMEOUT", vec![cancel("PAYMENT_TIMEOUT")]),
        (&[], Status::Compensated, "INVENTORY_TIMEOUT", vec![cancel("INVENTORY_TIMEOUT")]),
    ] {
        // Before the start, and after it.
        let with_start: Vec<&str> = [START.0].into_iter().chain(kinds.iter().copied()).collect();
        let start_last: Vec<&str> = kinds.iter().copied().chain([START.0]).collect();
        for told in [with_start, start_last] {
            assert_eq!(journey(&told), (status, reason.to_owned(), sent.clone()), "{told:?}");
        }
    }
}

#[test]
fn a_repeated_event_leads_on_once_and_the_end_absorbs() {
    let play = Play::load("journey.yaml");
    let mut desk = begun(&play, START.0, START.1);
    desk.doubled = true;
    for kind in ["inventory.reserved.v1", "inventory.reserved.v1", "payment.confirmed.v1", "payment.failed.v1"] {
        let told = desk.event(kind, r#"{"orderId":"o-1","reason":"R"}"#);
        desk.queue.push_back(Told::Message(told));
    }
    desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
    assert_eq!(check_end(&desk), Status::Completed);
    assert_eq!(desk.counts.get("saga_ended"), Some(&3), "{:?}", desk.counts);
    assert_eq!(desk.sent, Vec::<String>::new());
}

#[test]
fn a_failing_expression_ends_it_as_failed() {
    let (status, reason, _) = {
        let play = Play::load("journey.yaml");
        let mut desk = begun(&play, START.0, START.1);
        let told = desk.event("inventory.failed.v1", r#"{"orderId":"o-1"}"#);
        desk.queue.push_back(Told::Message(told));
        desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
        (check_end(&desk), desk.instance().expect("there").reason, ())
    };
    assert_eq!((status, reason.as_str()), (Status::Failed, "EXPRESSION_ERROR"));
}

#[test]
fn random_events_and_times_end_every_journey_once() {
    let play = Play::load("journey.yaml");
    let kinds = ["inventory.reserved.v1", "inventory.failed.v1", "payment.confirmed.v1", "payment.failed.v1"];
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut desk = Desk::new(&play);
        desk.doubled = rng.bool();
        let mut told: Vec<Told> = (0..rng.usize(..8))
            .map(|_| {
                let kind = kinds[rng.usize(..kinds.len())];
                Told::Message(desk.event(kind, r#"{"orderId":"o-1","reason":"R"}"#))
            })
            .collect();
        let start = Told::Message(desk.event(START.0, START.1));
        told.insert(rng.usize(..=told.len()), start);
        for told in told {
            desk.tell(&told, &mut |_, _| Behaviour::Accept);
            let due = desk.timers.iter().map(|(timer, due)| (*timer, *due)).min_by_key(|(_, due)| *due);
            if let Some((timer, due)) = due.filter(|_| rng.u8(..4) == 0) {
                desk.timers.remove(&timer);
                desk.now = due;
                desk.tell(&Told::Timer(timer, due), &mut |_, _| Behaviour::Accept);
            }
        }
        desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
        check_end(&desk);
        // Money that came after all was given back, and only then.
        let refunds = desk.sent.iter().filter(|line| line.starts_with("payment.refund")).count();
        assert!(refunds <= 1, "seed {seed}\n{}", desk.transcript());
    }
}

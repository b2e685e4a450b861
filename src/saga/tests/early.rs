//! What comes before its time: before the start, or before the step that waits for it.

use super::*;
use crate::saga::Row;

#[test]
fn a_message_before_its_saga_is_kept_and_taken_when_its_step_comes() {
    let play = Play::load("travel.yaml");
    let mut desk = Desk::new(&play);
    let paid = desk.event("trip.paid.v1", r#"{"trip":"o-1"}"#);
    desk.tell(&Told::Message(paid), &mut |_, _| Behaviour::Accept);
    assert!(desk.row.is_some() && desk.instance().is_none(), "messages wait, no instance");
    let start = desk.event(LED[1].1, LED[1].2);
    desk.queue.push_back(Told::Message(start));
    desk.run(&mut |deed, _| if deed.0 == 2 { Behaviour::Lose } else { Behaviour::Accept }, &mut |_| None);
    assert_eq!(check_end(&desk), Status::Completed, "{}", desk.transcript());
}

#[test]
fn a_cancel_before_its_saga_undoes_it_at_once() {
    let play = Play::load("travel.yaml");
    let mut desk = Desk::new(&play);
    let dropped = desk.event("trip.dropped.v1", r#"{"trip":"o-1"}"#);
    desk.tell(&Told::Message(dropped), &mut |_, _| Behaviour::Accept);
    let start = desk.event(LED[1].1, LED[1].2);
    desk.queue.push_back(Told::Message(start));
    desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
    assert_eq!(check_end(&desk), Status::Compensated, "{}", desk.transcript());
}

#[test]
fn no_more_are_kept_than_allowed_and_what_nobody_waits_for_is_not() {
    let play = Play::load("travel.yaml");
    let mut desk = Desk::new(&play);
    for _ in 0..101 {
        let paid = desk.event("trip.paid.v1", r#"{"trip":"o-1"}"#);
        desk.tell(&Told::Message(paid), &mut |_, _| Behaviour::Accept);
    }
    assert!(desk.log.last().is_some_and(|line| line.contains("ORPHAN")), "{:?}", desk.log.last());
    let row = crate::saga::decode(desk.row.as_ref().expect("a row"), "o-1", play.saga(), "1").expect("a row");
    let Row::Early(early) = row else { panic!("it has not begun") };
    assert_eq!(early.kept.len(), 100);
}

#[test]
fn a_reply_before_the_start_is_counted_and_ignored() {
    for (file, kind, data) in LED {
        let play = Play::load(file);
        let mut desk = Desk::new(&play);
        let mut stray = desk.event("reply.accepted", "{}");
        stray.causation_id = Some("somebody's".into());
        desk.tell(&Told::Reply(stray.clone()), &mut |_, _| Behaviour::Accept);
        assert_eq!((desk.row.clone(), desk.counts.get("saga_unknown")), (None, Some(&1)));
        let start = desk.event(kind, data);
        desk.queue.extend([Told::Message(start), Told::Reply(stray)]);
        desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
        assert_eq!(check_end(&desk), Status::Completed);
        assert_eq!(desk.counts.get("saga_reply_not_awaited"), Some(&1));
    }
}

#[test]
fn the_same_start_is_the_same_saga_and_another_one_is_refused() {
    let (file, kind, data) = LED[0];
    let play = Play::load(file);
    let mut desk = Desk::new(&play);
    let asks = |mut event: crate::codec::Event| {
        event.metadata.insert("asks".into(), true.into());
        Told::Message(event)
    };
    let accept = &mut |_: Deed, _: usize| Behaviour::Accept;
    let first = asks(desk.event(kind, data));
    desk.tell(&first, accept);
    let row = desk.row.clone();
    // The same one again, then as another message; both wait for the end.
    desk.tell(&first, accept);
    assert_eq!(desk.row, row);
    let second = asks(desk.event(kind, data));
    desk.tell(&second, accept);
    let other = asks(desk.event(kind, r#"{"orderId":"o-1","items":[]}"#));
    desk.tell(&other, accept);
    assert!(desk.answers.len() == 1 && desk.answers[0].ends_with("rejected SAGA_EXISTS"), "{:?}", desk.answers);
    desk.answers.clear();
    desk.run(accept, &mut |_| None);
    assert_eq!(check_end(&desk), Status::Completed);
    assert_eq!(desk.answers.len(), 2, "each who asked, once");
    assert!(desk.answers.iter().all(|line| line.ends_with(r#" accepted {"orderId":"o-1"}"#)), "{:?}", desk.answers);
    // After the end it is told again.
    desk.answers.clear();
    let third = asks(desk.event(kind, data));
    desk.tell(&third, accept);
    assert_eq!(desk.answers.len(), 1);
    assert!(desk.answers[0].ends_with(r#"accepted {"orderId":"o-1"}"#));
}

//! Acts: read with care, done where they fit, in the history in any case.

use super::desk::event;
use super::*;
use crate::record::{Text, Value, json};
use proptest::prelude::*;

fn read(data: &str) -> Result<Act, String> {
    let data = json::read(data.as_bytes()).expect("JSON");
    Act::read(&event("a-1", crate::saga::ACT, data)).map_err(|failure| failure.message().to_owned())
}

#[test]
fn an_act_is_read_or_refused_with_a_reason() {
    let act = read(r#"{"act":"skip","reason":"booked by hand","by":"ada","step":"charge"}"#).expect("an act");
    assert_eq!((act.deed, act.by.as_str(), act.step.as_deref()), (ActDeed::Skip, "ada", Some("charge")));
    assert_eq!(Act::read(&event("a-1", crate::saga::ACT, act.data())), Ok(act));
    assert_eq!(read(r#"{"act":"retry"}"#).expect("an act").deed, ActDeed::Retry);
    let long = format!(r#"{{"act":"abort","reason":"{}"}}"#, "x".repeat(1_025));
    for (data, said) in [
        (r#"{"act":"skip"}"#, "wants a `reason`"),
        (r#"{"act":"skip","reason":"  "}"#, "wants a `reason`"),
        (r#"{"act":"delete"}"#, "one of"),
        (r#"{"act":7}"#, "text"),
        (r#"{}"#, "one of"),
        (r#"[]"#, "is a map"),
        (r#"{"act":"retry","force":true}"#, "alone"),
        (long.as_str(), "at most 1024 bytes"),
    ] {
        let refused = read(data).expect_err(data);
        assert!(refused.contains(said), "{data}: {refused}");
    }
    assert!(Act::read(&event("a-1", "other.v1", Value::Null)).is_err());
}

proptest! {
    #[test]
    fn any_payload_is_read_or_refused(text in "\\PC{0,40}", number in any::<i64>(), field in "act|by|reason|step|x") {
        for value in [Value::from(text.as_str()), Value::Int(number), Value::Null] {
            let data = Value::Map([(Text::from(field.as_str()), value)].into_iter().collect());
            drop(Act::read(&event(&text, crate::saga::ACT, data)));
        }
    }
}

/// The shop, standing where undoing the charge failed.
fn halted(play: &Play) -> Desk<'_> {
    let mut desk = begun(play, LED[0].1, LED[0].2);
    let charge = 1;
    let mut behave = |deed: Deed, _: usize| match deed {
        (4.., ..) => Behaviour::Reject("CLOSED"),
        (step, _, Direction::Back) if step == charge => Behaviour::Reject("NO"),
        _ => Behaviour::Accept,
    };
    desk.run(&mut behave, &mut |_| None);
    while let Some(told) = desk.queue.pop_front() {
        desk.tell(&told, &mut behave);
    }
    desk
}

#[test]
fn a_halted_saga_does_what_its_operator_says() {
    let play = Play::load("fulfilment.yaml");
    for (deed, end) in [
        (ActDeed::Retry, Status::Compensated),
        (ActDeed::Skip, Status::Failed),
        (ActDeed::Resolve, Status::Compensated),
        (ActDeed::Abort, Status::Cancelled),
    ] {
        let mut desk = halted(&play);
        // The saga's own timer may run; nothing but an operator brings it on.
        assert_eq!(desk.status(), Some(Status::CompensationFailed), "{}", desk.transcript());
        let elsewhere = Act { step: Some("reserve".into()), ..operator(deed, 1) };
        if deed != ActDeed::Abort {
            desk.tell(&Told::Act(elsewhere), &mut |_, _| Behaviour::Accept);
            assert_eq!(desk.status(), Some(Status::CompensationFailed), "an act for another step is refused");
            assert!(desk.log.iter().any(|line| line.contains("refused=")), "and in the history");
        }
        let act = Act { step: Some("charge".into()), ..operator(deed, 2) };
        desk.tell(&Told::Act(act.clone()), &mut |_, _| Behaviour::Accept);
        let after = desk.row.clone();
        desk.tell(&Told::Act(act), &mut |_, _| Behaviour::Accept);
        assert_eq!(desk.row, after, "an act counts once");
        desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
        assert_eq!(check_end(&desk), end, "{}", desk.transcript());
    }
}

#[test]
fn a_step_that_fails_after_the_pivot_waits_for_an_operator() {
    let play = Play::load("fulfilment.yaml");
    let yaml = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/saga/fulfilment.yaml")).expect("there");
    let strict = yaml.replace("        timeout: 1h\n        optional: true\n", "        timeout: 1h\n");
    assert_ne!(yaml, strict);
    let play = Play { definition: play.definition.clone(), ..Play::of_text("strict.yaml", strict.as_bytes()) };
    for (deed, end) in
        [(ActDeed::Retry, Status::Completed), (ActDeed::Skip, Status::Completed), (ActDeed::Abort, Status::Cancelled)]
    {
        let mut desk = begun(&play, LED[0].1, LED[0].2);
        let mut behave = |deed: Deed, _: usize| if deed.0 == 6 { Behaviour::Lose } else { Behaviour::Accept };
        desk.run(&mut behave, &mut |_| None);
        let halted = desk.instance().expect("it has begun");
        assert_eq!((halted.status, halted.failed_step.as_str(), halted.overdue), (Status::PivotFailed, "ship", true));
        desk.tell(&Told::Act(operator(deed, 1)), &mut behave);
        // Tried again, the step waits once more; now the message comes.
        let shipped = desk.event("order.shipped.v1", r#"{"orderId":"o-1"}"#);
        desk.queue.push_back(Told::Message(shipped));
        desk.run(&mut behave, &mut |_| None);
        assert_eq!(check_end(&desk), end, "{}", desk.transcript());
    }
}

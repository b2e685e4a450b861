//! Rows: small, readable, and never guessed at.

use super::*;
use crate::record::{Map, Value, json};
use crate::saga::{Error, decode, summary};
use proptest::prelude::*;

#[test]
fn a_running_saga_of_four_steps_takes_less_than_a_kibibyte() {
    let play = Play::load("four-steps.yaml");
    let mut desk =
        begun(&play, "order.placed.v1", r#"{"orderId":"order-4711","items":[{"sku":"chair","quantity":2}],"total":129.5}"#);
    desk.run(&mut |_, _| Behaviour::Accept, &mut |_| None);
    assert_eq!(check_end(&desk), Status::Completed);
    println!("{} bytes at most:\n{}", desk.row_bytes_max, json::text(desk.row.as_ref().expect("a row")).expect("JSON"));
    assert!(desk.row_bytes_max <= 1_024, "{} bytes", desk.row_bytes_max);
}

fn some_row(play: &Play) -> Value {
    let mut desk = begun(play, LED[0].1, LED[0].2);
    for _ in 0..3 {
        let told = desk.queue.pop_front().expect("more to come");
        desk.tell(&told, &mut |_, _| Behaviour::Accept);
    }
    desk.row.expect("it has begun")
}

#[test]
fn an_instance_of_another_definition_is_not_stepped_by_this_one() {
    let play = Play::load("fulfilment.yaml");
    let row = some_row(&play);
    let error = decode(&row, "o-1", play.saga(), "2").expect_err("another definition");
    assert_eq!(error, Error::OtherDefinition { own: "1".into(), loaded: "2".into() });
    assert!(error.to_string().contains("skald saga drain"));
    let failure = crate::failure::Failure::from(error);
    assert_eq!(failure.class(), crate::failure::Class::Engine, "the task halts, nothing is skipped");
    let summary = summary(&row).expect("whoever looks needs no definition");
    assert_eq!((summary.status, summary.definition.as_str()), (Some(Status::Running), "1"));
}

/// The value with the part at a path replaced.
fn changed(value: &Value, path: &[prop::sample::Index], with: &Value) -> Value {
    let Some((first, rest)) = path.split_first() else { return with.clone() };
    match value {
        Value::Map(map) if !map.is_empty() => {
            let (name, inner) = &map.entries()[first.index(map.len())];
            let mut map: Map = map.clone();
            map.insert(name.clone(), changed(inner, rest, with));
            Value::Map(map)
        }
        Value::List(list) if !list.is_empty() => {
            let at = first.index(list.len());
            let mut list = list.to_vec();
            list[at] = changed(&list[at], rest, with);
            Value::list(list)
        }
        _ => with.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_damaged_row_is_read_or_refused_and_never_a_panic(
        path in prop::collection::vec(any::<prop::sample::Index>(), 1..5), number in any::<i64>(), text in "\\PC{0,8}", which in 0..5_u8,
    ) {
        let play = Play::load("fulfilment.yaml");
        let with = match which {
            0 => Value::Null,
            1 => Value::Int(number),
            2 => Value::from(text.as_str()),
            3 => Value::list(vec![Value::Bool(true)]),
            _ => Value::Map(Map::new()),
        };
        let row = changed(&some_row(&play), &path, &with);
        drop(summary(&row));
        drop(decode(&row, "o-1", play.saga(), "1"));
    }
}

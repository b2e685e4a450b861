//! Messages of sagas that are sent later.

use crate::node::testing::Bench;

const FILE: &str = "\
skald: 1
topology: trips
topics:
  trips: { partitions: 4, key: data.trip, types: [trip.asked.v1, trip.paid.v1, trip.moved.v1] }
  mails: { partitions: 4, key: data.trip, types: [mail.reminder.v1, mail.thanks.v1] }
sagas:
  trip:
    from: trips
    key: data.trip
    retain: 1h
    start: { type: trip.asked.v1, state: OPEN }
    states:
      OPEN:
        emit: { type: mail.reminder.v1, data: { trip: =saga.id }, delay: 10s, timer: reminder }
        transitions:
          - { type: trip.moved.v1, emit: { type: mail.reminder.v1, data: { trip: =saga.id }, delay: 30s, timer: reminder } }
          - { type: trip.paid.v1, to: PAID }
          - { after: 5m, to: OVER }
      PAID:
        emit: { type: mail.thanks.v1, data: { trip: =saga.id }, delay: \"=duration('2h')\" }
        final: completed
      OVER: { final: failed }
";

fn bench() -> Bench {
    Bench::of_text(FILE, crate::saga::compile)
}

fn say(bench: &mut Bench, kind: &str) {
    let value = format!(r#"{{"id":"{kind}","type":"{kind}","data":{{"trip":"a"}}}}"#);
    bench.read("trips", Some("a"), Some(&value), &[]);
}

fn mails(bench: &mut Bench) -> usize {
    let mails = bench.memory.sent.iter().filter(|record| record.topic == "mails").count();
    bench.memory.sent.clear();
    mails
}

#[test]
fn a_message_is_sent_when_its_time_has_come_and_one_of_its_name_takes_its_place() {
    let mut bench = bench();
    say(&mut bench, "trip.asked.v1");
    bench.pass(9_000);
    assert_eq!(mails(&mut bench), 0);
    say(&mut bench, "trip.moved.v1");
    bench.pass(29_000);
    assert_eq!(mails(&mut bench), 0, "the first was replaced");
    bench.pass(2_000);
    assert_eq!(mails(&mut bench), 1);
    bench.pass(100_000);
    assert_eq!((mails(&mut bench), bench.failures()), (0, Vec::new()));
}

#[test]
fn what_is_to_be_sent_outlives_the_end_and_the_instance() {
    let mut bench = bench();
    say(&mut bench, "trip.asked.v1");
    say(&mut bench, "trip.paid.v1");
    bench.pass(11_000);
    assert_eq!(mails(&mut bench), 1, "nobody took the reminder back");
    bench.pass(4_000_000);
    assert_eq!(bench.state("trip", "a"), None);
    assert_eq!(mails(&mut bench), 0);
    bench.pass(3_300_000);
    assert_eq!((mails(&mut bench), bench.failures()), (1, Vec::new()));
}

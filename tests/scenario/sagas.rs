//! Sagas in scenarios: what is given stands as if it had come there, participants are played, times run out, and workers die.

use crate::{failures, suite};
use skald::scenario::{Suite, coverage};

const HEAD: &str = "skald-test: 1\ntopology: errand.yaml\ncases:\n";

fn passes(case: &str) -> Suite {
    let suite = suite(&format!("{HEAD}{case}"));
    for case in 0..suite.len() {
        assert_eq!(failures(&suite, case), "", "{}", suite.name(case));
    }
    suite
}

#[test]
fn what_is_given_stands_as_if_it_had_come_there() {
    let given = "{ saga: errand, key: e1, step: bring, data: { who: u } }";
    let led = "[{ type: errand.wanted.v1, data: { id: e1, who: u } }, { answer: thing.fetch.v1, accepted: {} }]";
    for past in [given, led] {
        passes(&format!(
            "  - name: it waits, is answered, and comes to its end
    given: {past}
    when: {{ answer: thing.bring.v1, accepted: {{ at: home }} }}
    then:
      - {{ saga: errand, key: e1, status: completed, data: {{ who: u, at: home }}, exact: true, history: [succeeded, ended] }}
      - none: true
  - name: its time runs out when it would have
    given: {past}
    steps:
      - when: {{ advance: 29999ms }}
        then: [{{ saga: errand, key: e1, step: bring, history: [], exact: true }}, {{ none: true }}]
      - when: {{ advance: 1ms }}
        then:
          - {{ type: thing.return.v1, key: e1 }}
          - {{ saga: errand, key: e1, status: compensating, failed_step: bring, steps: {{ fetch: undoing, note: done }} }}
      - when: {{ answer: thing.return.v1, accepted: {{}} }}
        then: [{{ saga: errand, key: e1, status: compensated, steps: {{ fetch: undone }} }}, {{ none: true }}]
"
        ));
    }
}

#[test]
fn what_is_given_outlives_crashes_and_moves_with_its_partition() {
    for act in ["crash: { disk: lost }", "rebalance: join", "crash: { at: now, down: 10s }"] {
        passes(&format!(
            "  - name: x
    workers: 2
    given:
      - {{ saga: errand, key: e1, step: fetch, data: {{ who: u }} }}
      - {{ saga: errand, key: e2, step: fetch, data: {{ who: u }} }}
      - {{ saga: errand, key: e3, status: compensated, reason: LOST, data: {{ who: u }} }}
    when: [{act}, advance: 59s]
    then:
      - {{ saga: errand, key: e1, status: running, step: fetch, history: [unanswered, sent], exact: true }}
      - {{ saga: errand, key: e2, status: running, step: fetch }}
      - {{ saga: errand, key: e3, status: compensated, reason: LOST, history: [], exact: true }}
      - {{ type: thing.fetch.v1, key: e1 }}
      - {{ type: thing.fetch.v1, key: e2 }}
      - none: true
"
        ));
    }
}

#[test]
fn a_worker_dies_at_every_point_and_each_thing_is_sent_once() {
    for point in
        ["before-commit", "while-writing", "after-writing", "after-offsets", "in-commit", "after-commit", "after-apply"]
    {
        for disk in ["kept", "lost"] {
            passes(&format!(
                "  - name: x
    steps:
      - when: [{{ crash: {{ at: {point}, disk: {disk} }} }}, {{ type: errand.wanted.v1, times: 2, data: {{ id: e1, who: u }} }}]
        then: [{{ type: thing.fetch.v1 }}, {{ saga: errand, key: e1, step: fetch, history: [started, sent], exact: true }}, {{ none: true }}]
      - when: [{{ crash: {{ at: {point}, disk: {disk} }} }}, {{ answer: thing.fetch.v1, accepted: {{}}, times: 2 }}]
        then: [{{ type: thing.note.v1 }}, {{ type: thing.bring.v1 }}, {{ saga: errand, key: e1, step: bring }}, {{ none: true }}]
      - when: [{{ crash: {{ at: {point}, disk: {disk} }} }}, {{ advance: 30s }}]
        then: [{{ type: thing.return.v1 }}, {{ saga: errand, key: e1, status: compensating, reason: TIMEOUT }}, {{ none: true }}]
"
            ));
        }
    }
}

#[test]
fn a_topic_that_is_held_is_read_when_it_is_released() {
    passes(
        "  - name: nothing is heard of what lies there, while time runs on
    given: { saga: errand, key: e1, step: bring, data: { who: u } }
    steps:
      - when: [hold: errand.errand.replies, { answer: thing.bring.v1, accepted: { at: home } }, advance: 29s]
        then: [{ saga: errand, key: e1, status: running, step: bring, history: [], exact: true }, { none: true }]
      - when: { release: errand.errand.replies }
        then: [{ saga: errand, key: e1, status: completed }]
  - name: a worker that comes meanwhile leaves it there too
    steps:
      - when: [hold: errands, { type: errand.wanted.v1, data: { id: e1, who: u } }, rebalance: join, crash: now, advance: 1m]
        then: [{ saga: errand, key: e1, exists: false }, { none: true }]
      - when: { release: errands }
        then: [{ saga: errand, key: e1, step: fetch }, { type: thing.fetch.v1 }]
",
    );
}

#[test]
fn the_first_that_waits_is_answered_and_then_the_last_again() {
    passes(
        "  - name: x
    when:
      - { type: errand.wanted.v1, data: { id: e1, who: u } }
      - { answer: thing.fetch.v1, rejected: BUSY, message: later, delay: 1s }
      - advance: 10s
      - { answer: thing.fetch.v1, accepted: {} }
      - { answer: thing.fetch.v1, rejected: BUSY }
    then:
      - { type: thing.fetch.v1 }
      - { type: thing.fetch.v1 }
      - saga: errand
        key: e1
        step: bring
        history: [sent, { what: rests, reason: BUSY }, { what: sent, try: 2 }, { what: succeeded, try: 2 }]
",
    );
}

#[test]
fn coverage_of_a_saga_tells_which_ways_it_was_not_seen_to_go() {
    let suite = passes(
        "  - name: x
    when: [{ type: errand.wanted.v1, data: { id: e1, who: nobody } }, { answer: thing.fetch.v1, rejected: NO }]
    then: [{ saga: errand, key: e1, status: compensated, reason: NO }]
",
    );
    let covered = coverage::of([&suite]).remove(0);
    let missing: Vec<&str> = covered.missing().map(|place| place.what.as_str()).collect();
    assert_eq!(
        missing,
        [
            "`errand` ends as completed",
            "`errand` is cancelled",
            "`errand` takes longer than its `timeout`",
            "step `fetch` of `errand` is not answered in time",
            "step `fetch` of `errand` is tried again",
            "step `fetch` of `errand` succeeds",
            "step `fetch` of `errand` is undone",
            "step `note` of `errand` is skipped",
            "step `note` of `errand` succeeds",
            "step `bring` of `errand` fails",
            "step `bring` of `errand` is not answered in time",
            "step `bring` of `errand` succeeds",
        ]
    );
}

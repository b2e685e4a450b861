//! Each fault happens, and what it does to a run is what it does in production.

use crate::{failures, suite};

const HEAD: &str = "skald-test: 1\ntopology: till.yaml\ncases:\n";

/// A case that books, with something going wrong on the way.
fn booking(acts: &str, workers: u32) -> String {
    format!(
        "{HEAD}  - name: x
    workers: {workers}
    given:
      - {{ type: till.booked.v1, data: {{ till: a, amount: 5 }} }}
    steps:
      - when:
          - {{ type: till.book.v1, reply_to: x.replies, data: {{ till: a, amount: 7 }} }}
{acts}
        then:
          - type: till.booked.v1
          - type: till.noted.v1
          - accepted: {{ sum: 12 }}
          - state: tills
            key: a
            version: 2
            value: {{ sum: 12 }}
          - none: true
      - when: {{ type: till.book.v1, data: {{ till: a, amount: 1 }} }}
        then:
          - state: tills
            key: a
            version: 3
"
    )
}

#[test]
fn a_worker_dies_at_every_point_and_everything_counts_once() {
    for point in
        ["before-commit", "while-writing", "after-writing", "after-offsets", "in-commit", "after-commit", "after-apply"]
    {
        for disk in ["kept", "lost"] {
            let text = booking(&format!("          - crash: {{ at: {point}, disk: {disk} }}"), 1);
            // A crash that does not happen fails the case, so this is also the proof that it did.
            assert_eq!(failures(&suite(&text), 0), "", "{point}, disk {disk}");
        }
    }
}

#[test]
fn a_worker_dies_while_it_takes_over_and_while_it_restores() {
    let text = booking("          - rebalance: join\n          - crash: while-restoring", 1);
    assert_eq!(failures(&suite(&text), 0), "");
    let text = booking("          - rebalance: join\n          - crash: { at: on-revoke, worker: 1 }", 1);
    assert_eq!(failures(&suite(&text), 0), "");
}

#[test]
fn a_worker_that_dies_at_once_starts_again() {
    assert_eq!(failures(&suite(&booking("          - crash: now", 1)), 0), "");
    assert_eq!(failures(&suite(&booking("          - crash: { at: now, disk: lost, worker: 2 }", 2)), 0), "");
}

#[test]
fn a_worker_that_stays_down_is_taken_over_from_or_missed() {
    assert_eq!(failures(&suite(&booking("          - crash: { at: in-commit, down: 1h }", 2)), 0), "");
    // Alone, nobody does its work until it comes back: that it was down is seen by nothing coming.
    let text = booking("          - crash: { at: now, down: 1h }", 1);
    assert!(failures(&suite(&text), 0).contains("no `till.booked.v1` was emitted"));
    assert_eq!(failures(&suite(&booking("          - crash: { at: now, down: 1h }\n          - advance: 1h", 1)), 0), "");
}

#[test]
fn workers_come_and_go() {
    for (acts, workers) in [
        ("          - rebalance: join", 1),
        ("          - rebalance: leave", 2),
        ("          - rebalance: join\n          - rebalance: leave", 1),
        ("          - rebalance: join\n          - crash: before-commit\n          - rebalance: join", 1),
    ] {
        assert_eq!(failures(&suite(&booking(acts, workers)), 0), "", "{acts}");
    }
}

#[test]
fn what_is_late_comes_when_its_time_has_come() {
    let text = format!(
        "{HEAD}  - name: x
    steps:
      - when:
          - {{ type: till.book.v1, delay: 30s, data: {{ till: a, amount: 7 }} }}
          - {{ type: till.book.v1, data: {{ till: a, amount: 5 }} }}
          - advance: 29s
        then:
          - type: till.booked.v1
            time: 2026-01-01T00:00:00Z
            data: {{ amount: 5 }}
          - type: till.noted.v1
          - none: true
      - when: {{ advance: 1s }}
        then:
          - type: till.booked.v1
            time: 2026-01-01T00:00:00Z
            data: {{ amount: 7 }}
"
    );
    assert_eq!(failures(&suite(&text), 0), "");
}

#[test]
fn a_week_passes_in_no_time() {
    let text = format!(
        "{HEAD}  - name: x
    when:
      - {{ type: till.book.v1, data: {{ till: a, amount: 5 }} }}
      - advance: 7d
      - {{ type: till.book.v1, data: {{ till: a, amount: 6 }} }}
    then:
      - type: till.booked.v1
      - type: till.booked.v1
        time: 2026-01-08T00:00:00Z
      - state: tills
        key: a
        version: 2
"
    );
    assert_eq!(failures(&suite(&text), 0), "");
}

#[test]
fn the_same_record_comes_as_often_as_it_is_told_to() {
    let text = format!(
        "{HEAD}  - name: x
    when:
      - {{ type: till.book.v1, times: 2, data: {{ till: a, amount: 5 }} }}
      - duplicate: 2
    then:
      - state: tills
        key: a
        version: 4
        value: {{ sum: 20 }}
"
    );
    assert_eq!(failures(&suite(&text), 0), "");
}

#[test]
fn a_timer_fires_when_its_time_has_come_and_not_before() {
    let text = "skald-test: 1
topology: parcel.yaml
cases:
  - name: lost
    steps:
      - when: { type: parcel.send.v1, data: { id: p1 } }
        then:
          - type: parcel.sent.v1
          - state: delivery
            key: p1
            value: { status: SENT }
          - none: true
      - when: { advance: 47h59m59s }
        then: [{ none: true }]
      - when: { advance: 1s }
        then:
          - type: mail.v1
            data: { text: p1 is lost }
          - none: true
  - name: lost while nobody was there
    steps:
      - when: { type: parcel.send.v1, data: { id: p1 } }
        then: [{ none: mail.v1 }]
      - when:
          - crash: { at: now, down: 3d, disk: lost }
          - advance: 3d
        then:
          - type: mail.v1
          - none: true
  - name: there
    steps:
      - when: { type: parcel.send.v1, data: { id: p1 } }
        then: [{ none: mail.v1 }]
      - when:
          - advance: 1d
          - { type: parcel.arrive.v1, data: { id: p1 } }
          - crash: after-commit
          - advance: 7d
        then:
          - state: delivery
            key: p1
            value: { status: THERE }
          - none: mail.v1
";
    let suite = suite(text);
    for case in 0..suite.len() {
        assert_eq!(failures(&suite, case), "", "{}", suite.name(case));
    }
}

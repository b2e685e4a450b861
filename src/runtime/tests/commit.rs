//! The commit machine against a lane that answers what a test says.

use crate::broker::{
    self, Batch, CommittedOffset, Error, ErrorClass, Guarantee, NewRecord, Op, Outcome, Ownership, Reply, Transactions,
};
use crate::record::{Text, TopicPartition};
use crate::runtime;
use crate::runtime::commit::{Commit, CommitSettings, Event, Sealed, Verdict, id_of_stamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the lane was asked, by name, and what it will answer.
#[derive(Default)]
struct Script {
    asked: Vec<String>,
    answers: VecDeque<Option<Answer>>,
    waiting: bool,
}

struct Answer {
    took: Duration,
    trouble: bool,
    result: broker::Result<Outcome>,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Transactions for Scripted {
    fn submit(&mut self, op: Op) {
        let mut script = self.0.lock().unwrap();
        assert!(!std::mem::replace(&mut script.waiting, true), "one operation at a time");
        let name = match op {
            Op::Init => "init".into(),
            Op::Begin => "begin".into(),
            Op::Produce(batch) => format!("produce {}", batch.len()),
            Op::Drain => "drain".into(),
            Op::SendOffsets { offsets, stamp, .. } => format!("offsets {} {stamp}", offsets.len()),
            Op::Commit => "commit".into(),
            Op::Abort => "abort".into(),
            Op::Rebuild => "rebuild".into(),
            Op::Committed { .. } => "committed".into(),
            Op::Counts(_) => "counts".into(),
            other => format!("{other:?}"),
        };
        script.asked.push(name);
    }

    fn reply(&mut self) -> Option<Reply> {
        let mut script = self.0.lock().unwrap();
        // `None` in the script is an answer that does not come.
        if matches!(script.answers.front(), Some(None)) {
            return None;
        }
        let answer = script.answers.pop_front().flatten();
        script.waiting = false;
        let Answer { took, trouble, result } = answer.unwrap_or_else(|| {
            let last = script.asked.last().expect("a reply follows a question").as_str();
            let outcome = match last {
                "drain" => Outcome::Drained(vec![(0, 1, Some(12))]),
                "committed" => Outcome::Committed(vec![(place(), None)]),
                _ => Outcome::Done,
            };
            Answer { took: Duration::from_millis(5), trouble: false, result: Ok(outcome) }
        });
        Some(Reply { took, transport_trouble: trouble, result })
    }

    fn abandon(&mut self) {
        let mut script = self.0.lock().unwrap();
        script.asked.push("abandon".into());
        script.answers.pop_front();
        script.waiting = false;
    }
}

impl Scripted {
    fn answers(&self, answers: impl IntoIterator<Item = Option<Answer>>) {
        self.0.lock().unwrap().answers.extend(answers);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

fn ok() -> Option<Answer> {
    Some(Answer { took: Duration::from_millis(5), trouble: false, result: Ok(Outcome::Done) })
}

fn drained() -> Option<Answer> {
    Some(Answer { result: Ok(Outcome::Drained(vec![(0, 1, Some(12))])), ..ok().unwrap() })
}

fn fails(class: ErrorClass) -> Option<Answer> {
    Some(Answer { took: Duration::from_millis(5), trouble: false, result: Err(Error::new(class, "here", "why")) })
}

fn place() -> TopicPartition {
    TopicPartition::new("in", 1)
}

struct Bench {
    lane: Scripted,
    commit: Commit<&'static str>,
    ownership: Ownership,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self::with(Guarantee::ExactlyOnce)
    }

    fn with(guarantee: Guarantee) -> Self {
        let lane = Scripted::default();
        let settings = CommitSettings {
            id: "shop.w.00".into(),
            run: 0xab,
            guarantee,
            session_timeout: Duration::from_secs(8),
            lane_timeout: Duration::from_secs(10),
            write_without_lease: false,
            trust_doubtful_producer: false,
        };
        let commit = Commit::new(Box::new(lane.clone()), settings);
        let mut bench = Self { lane, commit, ownership: Ownership(Arc::new(0_u8)), now: Duration::from_secs(1) };
        assert!(matches!(bench.step(), Some(Event::Ready)));
        assert_eq!(bench.lane.asked(), ["init"]);
        bench
    }

    fn step(&mut self) -> Option<Event<&'static str>> {
        self.commit.step(self.now).expect("the machine goes on")
    }

    fn commit(&mut self) {
        let mut batch = Batch::new(vec!["log".into()]);
        batch.push(NewRecord { topic: 0, partition: 1, timestamp: 0, key: None, value: Some(b"v"), headers: &[] });
        self.commit.commit(Sealed {
            number: 7,
            batch: Arc::new(batch),
            offsets: vec![(place(), 5)],
            ownership: self.ownership.clone(),
            held: vec![(place(), 3)],
            is_first: false,
            floors: vec![(0, 1, 11)],
        });
    }

    /// Steps through pauses until something happens.
    fn verdict(&mut self) -> Verdict {
        for _ in 0..100 {
            match self.step() {
                Some(Event::Verdict(verdict)) => return verdict,
                Some(other) => panic!("{other:?}"),
                None => self.now += Duration::from_secs(1),
            }
        }
        panic!("no verdict");
    }

    fn committed(&mut self) {
        let verdict = self.verdict();
        assert!(matches!(&verdict, Verdict::Committed(ends) if *ends == [(0, 1, Some(12))]), "{verdict:?}");
    }

    fn rolled_back(&mut self) -> ErrorClass {
        match self.verdict() {
            Verdict::RolledBack(cause) => cause.class,
            other => panic!("{other:?}"),
        }
    }
}

const WHOLE: [&str; 5] = ["begin", "produce 1", "drain", "offsets 1 shop.w.00#ab.7", "commit"];

#[test]
fn an_epoch_is_committed_in_the_order_that_makes_it_safe() {
    let mut bench = Bench::new();
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked(), WHOLE);
}

#[test]
fn an_epoch_that_cannot_be_committed_is_aborted_and_rolled_back() {
    let doomed = || fails(ErrorClass::Abortable);
    for (answers, last) in [
        (vec![ok(), doomed()], 2),
        (vec![ok(), ok(), doomed()], 3),
        (vec![ok(), ok(), drained(), doomed()], 4),
        (vec![ok(), ok(), drained(), ok(), doomed()], 5),
    ] {
        let mut bench = Bench::new();
        bench.lane.answers(answers);
        bench.commit();
        assert_eq!(bench.rolled_back(), ErrorClass::Abortable);
        let asked = bench.lane.asked();
        assert_eq!(asked[..last], WHOLE[..last]);
        assert_eq!(asked[last..], ["abort"]);
        // And the next one goes its way.
        bench.commit();
        bench.committed();
        assert_eq!(bench.lane.asked(), WHOLE);
    }
}

#[test]
fn a_dead_producer_before_the_commit_means_rolled_back_and_a_new_producer() {
    for class in [ErrorClass::Fatal, ErrorClass::Fenced] {
        let mut bench = Bench::new();
        bench.lane.answers([ok(), ok(), fails(class.clone())]);
        bench.commit();
        assert_eq!(bench.rolled_back(), class);
        bench.lane.asked();
        bench.commit();
        bench.committed();
        assert_eq!(bench.lane.asked()[0], "rebuild");
    }
}

#[test]
fn an_unknown_outcome_is_found_out_by_the_stamp() {
    let stamped = |stamp: &str| {
        let offset = CommittedOffset { offset: 5, metadata: Text::from(stamp) };
        let outcome = Outcome::Committed(vec![(TopicPartition::new("in", 0), None), (place(), Some(offset))]);
        Some(Answer { result: Ok(outcome), ..ok().unwrap() })
    };
    for class in [ErrorClass::Retry, ErrorClass::Fatal, ErrorClass::Fenced] {
        for (stamp, is_committed) in
            [("shop.w.00#ab.7", true), ("shop.w.00#ab.6", false), ("shop.w.00#aa.7", false), ("shop.v.00#ab.7", false)]
        {
            let mut bench = Bench::new();
            let unanswered = fails(ErrorClass::Retry);
            bench.lane.answers([ok(), ok(), drained(), ok(), fails(class.clone()), ok(), unanswered, stamped(stamp)]);
            bench.commit();
            if is_committed {
                bench.committed()
            } else {
                drop(bench.rolled_back())
            }
            assert_eq!(bench.lane.asked()[5..], ["rebuild", "committed", "committed"], "{class:?} {stamp}");
        }
    }
}

#[test]
fn an_operation_that_hangs_is_given_up_and_its_producer_with_it() {
    // While offsets are sent nothing can have been committed; while the commit is under way nobody knows.
    let mut bench = Bench::new();
    bench.lane.answers([ok(), ok(), drained(), None]);
    bench.commit();
    assert_eq!(bench.rolled_back(), ErrorClass::Retry);
    assert_eq!(bench.lane.asked()[4..], ["abandon"]);

    let mut bench = Bench::new();
    bench.lane.answers([ok(), ok(), drained(), ok(), None]);
    bench.commit();
    assert_eq!(bench.rolled_back(), ErrorClass::Abortable);
    assert_eq!(bench.lane.asked()[5..], ["abandon", "rebuild", "committed"]);
}

#[test]
fn a_producer_in_doubt_is_rebuilt_before_it_begins_again() {
    let slow = || Some(Answer { took: Duration::from_millis(300), ..ok().unwrap() });
    let troubled = || Some(Answer { trouble: true, ..ok().unwrap() });
    for (answers, in_doubt) in [
        (vec![ok(), ok(), drained(), ok(), slow()], true),
        (vec![ok(), ok(), drained(), ok(), troubled()], true),
        (vec![ok(), troubled(), drained(), ok(), ok()], true),
        (vec![slow(), slow(), drained(), slow(), ok()], false),
    ] {
        let mut bench = Bench::new();
        bench.lane.answers(answers);
        bench.commit();
        bench.committed();
        bench.lane.asked();
        bench.commit();
        bench.committed();
        assert_eq!(bench.lane.asked()[0] == "rebuild", in_doubt);
    }
}

#[test]
fn slow_commits_are_no_reason_once_they_are_usual() {
    for (took, rebuilds) in [(vec![200, 800, 2000], 0), (vec![300, 300, 300, 300], 1), (vec![2600, 2600, 2600], 2)] {
        let mut bench = Bench::new();
        for took in &took {
            let answer = Some(Answer { took: Duration::from_millis(*took), ..ok().unwrap() });
            // Makes the producer anew, where that is to be done.
            bench.step();
            bench.lane.answers([ok(), ok(), drained(), ok(), answer]);
            bench.commit();
            bench.committed();
        }
        let asked = bench.lane.asked();
        assert_eq!(asked.iter().filter(|asked| *asked == "rebuild").count(), rebuilds, "{took:?}");
    }
}

#[test]
fn any_error_of_a_commit_with_trouble_leaves_the_outcome_unknown() {
    for class in [ErrorClass::Abortable, ErrorClass::Denied("Group shop: Read".into()), ErrorClass::Refused("out".into())] {
        let mut bench = Bench::new();
        let Some(failed) = fails(class.clone()) else { unreachable!() };
        bench.lane.answers([ok(), ok(), drained(), ok(), Some(Answer { trouble: true, ..failed })]);
        bench.commit();
        assert_eq!(bench.rolled_back(), ErrorClass::Abortable);
        assert_eq!(bench.lane.asked()[5..], ["rebuild", "committed"], "{class:?}");
    }
}

#[test]
fn stamps_that_may_not_be_read_end_the_worker_and_a_client_that_is_dead_is_made_anew() {
    let unknown = || [ok(), ok(), drained(), ok(), fails(ErrorClass::Retry), ok()];
    let mut bench = Bench::new();
    bench.lane.answers(unknown());
    bench.lane.answers([fails(ErrorClass::Denied("Group shop: Describe".into()))]);
    bench.commit();
    let error = bench.commit.step(bench.now).expect_err("this does not pass by itself");
    assert!(matches!(error, runtime::Error::Permanent(_)));

    let mut bench = Bench::new();
    bench.lane.answers(unknown());
    bench.lane.answers([fails(ErrorClass::Fatal)]);
    bench.commit();
    bench.rolled_back();
    assert_eq!(bench.lane.asked()[5..], ["rebuild", "committed", "rebuild", "committed"]);

    let mut bench = Bench::new();
    bench.lane.answers([fails(ErrorClass::Fatal)]);
    bench.commit.ask("how many", Op::Counts(Vec::new()));
    assert!(matches!(bench.step(), Some(Event::Answer("how many", Err(_)))));
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked()[..2], ["counts", "rebuild"]);
}

#[test]
fn epochs_that_fail_in_a_row_wait_longer_each_time() {
    let mut bench = Bench::new();
    let mut waited = Vec::new();
    for _ in 0..8 {
        let from = bench.now;
        bench.lane.answers([fails(ErrorClass::Fatal)]);
        bench.commit();
        loop {
            match bench.step() {
                Some(event) => break assert!(matches!(event, Event::Verdict(Verdict::RolledBack(_)))),
                None => bench.now = bench.commit.deadline().expect("it waits for something"),
            }
        }
        // The producer is made anew at once or after the pause; each time it succeeds.
        bench.lane.answers([ok()]);
        while !bench.commit.is_idle() {
            bench.now = bench.now.max(bench.commit.deadline().unwrap_or_default());
            assert!(bench.step().is_none());
        }
        waited.push(bench.now - from);
    }
    assert!(waited.is_sorted() && waited[7] >= Duration::from_secs(1), "{waited:?}");
}

#[test]
fn a_right_that_is_missing_stops_the_worker_at_the_third_time() {
    let class = ErrorClass::Denied("Topic shop.dlq: Write".into());
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.lane.answers([ok(), fails(class.clone())]);
        bench.commit();
        assert_eq!(bench.rolled_back(), class);
    }
    bench.lane.answers([ok(), fails(class.clone())]);
    bench.commit();
    let error = loop {
        match bench.commit.step(bench.now) {
            Err(error) => break error,
            Ok(event) => assert!(event.is_none(), "{event:?}"),
        }
        bench.now += Duration::from_secs(1);
    };
    assert!(matches!(error, runtime::Error::Permanent(cause) if cause.class == class));
}

#[test]
fn two_processes_with_one_id_do_not_fence_each_other_for_ever() {
    let mut bench = Bench::new();
    // Beginning, and making a producer anew, meet the other one in turn.
    bench.lane.answers([fails(ErrorClass::Fenced)]);
    bench.commit();
    assert_eq!(bench.rolled_back(), ErrorClass::Fenced);
    bench.lane.answers([fails(ErrorClass::Fenced), ok(), fails(ErrorClass::Fenced)]);
    bench.commit();
    assert!(bench.step().is_none(), "the second time");
    bench.now += Duration::from_secs(5);
    let error = bench.commit.step(bench.now).expect_err("three times within a minute");
    assert!(matches!(error, runtime::Error::Fenced { id } if id == "shop.w.00"));
}

#[test]
fn a_changelog_whose_offsets_go_back_is_another_topic() {
    let mut bench = Bench::new();
    let again = Some(Answer { result: Ok(Outcome::Drained(vec![(0, 1, Some(3))])), ..ok().unwrap() });
    bench.lane.answers([ok(), ok(), again]);
    bench.commit();
    let error = bench.commit.step(bench.now).expect_err("the offset fell");
    assert!(matches!(error, runtime::Error::Recreated { before: 11, now: 3, .. }));
}

#[test]
fn an_offset_that_the_client_does_not_know_is_told_as_such() {
    let mut bench = Bench::new();
    let unknown = Some(Answer { result: Ok(Outcome::Drained(vec![(0, 1, None)])), ..ok().unwrap() });
    bench.lane.answers([ok(), ok(), unknown]);
    bench.commit();
    let verdict = bench.verdict();
    assert!(matches!(&verdict, Verdict::Committed(ends) if *ends == [(0, 1, None)]), "{verdict:?}");
}

#[test]
fn questions_wait_for_the_epoch_and_are_answered_in_order() {
    let mut bench = Bench::new();
    bench.commit();
    bench.commit.ask("first", Op::Counts(Vec::new()));
    bench.commit.ask("second", Op::Counts(Vec::new()));
    bench.committed();
    for expected in ["first", "second"] {
        assert!(matches!(bench.step(), Some(Event::Answer(question, Ok(_))) if question == expected));
    }
}

#[test]
fn an_epoch_that_nobody_waits_for_holds_nothing_up() {
    // Not begun, because the one before failed: it is dropped.
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.lane.answers([fails(ErrorClass::Abortable)]);
        bench.commit();
        bench.rolled_back();
    }
    bench.commit();
    assert!(bench.step().is_none(), "it waits");
    bench.lane.asked();
    bench.commit.disown();
    assert!(matches!(bench.step(), Some(Event::Verdict(Verdict::RolledBack(_)))));
    assert_eq!(bench.lane.asked(), [""; 0]);

    // In its transaction: that comes to its end.
    let mut bench = Bench::new();
    bench.lane.answers([ok(), None]);
    bench.commit();
    assert!(bench.step().is_none(), "it is being produced");
    bench.commit.disown();
    bench.lane.0.lock().unwrap().answers.clear();
    bench.committed();
    assert_eq!(bench.lane.asked(), WHOLE);

    // Unknown: it is looked for, once.
    for (look_up, abandoned) in [(fails(ErrorClass::Retry), false), (fails(ErrorClass::Fatal), false), (None, true)] {
        let mut bench = Bench::new();
        bench.lane.answers([ok(), ok(), drained(), ok(), None]);
        bench.commit();
        assert!(bench.step().is_none(), "it is being committed");
        bench.commit.disown();
        bench.lane.0.lock().unwrap().answers.clear();
        bench.lane.answers([fails(ErrorClass::Retry), ok(), look_up]);
        assert!(matches!(bench.verdict(), Verdict::Untold));
        let found = ["rebuild", "committed", "abandon"];
        assert_eq!(bench.lane.asked()[5..], found[..if abandoned { 3 } else { 2 }]);
        bench.now += Duration::from_secs(5);
        bench.commit();
        bench.committed();
    }
}

#[test]
fn the_id_of_a_stamp_is_what_comes_before_the_last_hash() {
    for (stamp, id) in [
        ("shop.w.00#ab.7", Some("shop.w.00")),
        ("a#b#c", Some("a#b")),
        ("", None),
        ("#1.2", None),
        ("written by another tool", None),
    ] {
        assert_eq!(id_of_stamp(stamp), id, "{stamp}");
    }
}

const HELD: [&str; 3] = ["begin", "offsets 1 shop.w.00#ab.held", "commit"];

#[test]
fn without_transactions_nothing_is_written_before_the_group_has_confirmed_the_owner() {
    let mut bench = Bench::with(Guarantee::AtLeastOnce);
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked(), [&HELD[..], &WHOLE[..]].concat());
    // The commit has confirmed it for a quarter of a session, which is 2 s here.
    bench.now += Duration::from_millis(1_900);
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked(), WHOLE);
    bench.now += Duration::from_millis(2_000);
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked(), [&HELD[..], &WHOLE[..]].concat());
    // Another assignment has to be confirmed anew.
    bench.ownership = Ownership(Arc::new(1_u8));
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked(), [&HELD[..], &WHOLE[..]].concat());

    // An owner that was left behind writes nothing.
    bench.now += Duration::from_secs(60);
    bench.lane.answers([ok(), ok(), fails(ErrorClass::Abortable)]);
    bench.commit();
    assert_eq!(bench.rolled_back(), ErrorClass::Abortable);
    assert_eq!(bench.lane.asked(), [&HELD[..], &["abort"]].concat());
}

#[test]
fn without_transactions_a_commit_without_an_answer_is_asked_for_again() {
    let mut bench = Bench::with(Guarantee::AtLeastOnce);
    let held = || [ok(), ok(), ok()];
    bench.lane.answers(held());
    bench.lane.answers([ok(), ok(), drained(), ok(), fails(ErrorClass::Retry), ok(), fails(ErrorClass::Retry)]);
    bench.commit();
    bench.committed();
    assert_eq!(bench.lane.asked()[8..], [WHOLE[3], "commit", WHOLE[3], "commit"]);
}

#[test]
fn without_transactions_what_was_written_and_is_not_committed_is_told() {
    for (answers, last) in [
        (vec![ok(), fails(ErrorClass::Retry)], "abort"),
        (vec![ok(), ok(), fails(ErrorClass::Abortable)], "abort"),
        (vec![ok(), ok(), drained(), ok(), fails(ErrorClass::Abortable)], "abort"),
        (vec![ok(), None], "abandon"),
        // The client is dead, and what it did last is told by the stamps.
        (vec![ok(), ok(), drained(), ok(), fails(ErrorClass::Fatal)], "committed"),
        (vec![ok(), ok(), drained(), ok(), None], "committed"),
    ] {
        let mut bench = Bench::with(Guarantee::AtLeastOnce);
        bench.lane.answers([ok(), ok(), ok()]);
        bench.lane.answers(answers);
        bench.commit();
        let verdict = bench.verdict();
        assert!(matches!(verdict, Verdict::Spilled(_)), "{verdict:?}");
        assert_eq!(bench.lane.asked().last().map(String::as_str), Some(last));
    }
}

#[test]
fn without_transactions_partitions_are_not_let_go_while_records_are_on_their_way() {
    let mut bench = Bench::with(Guarantee::AtLeastOnce);
    bench.lane.answers([ok(), ok(), ok(), ok(), ok(), None]);
    bench.commit();
    assert!(bench.commit.gives_way(), "nothing is written yet");
    assert!(bench.step().is_none(), "the drain is under way");
    assert!(!bench.commit.gives_way());
    bench.now += Duration::from_secs(10);
    let verdict = bench.verdict();
    assert!(matches!(verdict, Verdict::Spilled(_)), "{verdict:?}");
    assert!(bench.commit.gives_way());

    // Disowned before, it writes nothing at all.
    let mut bench = Bench::with(Guarantee::AtLeastOnce);
    bench.lane.answers([None]);
    bench.commit();
    assert!(bench.step().is_none(), "it begins");
    bench.commit.disown();
    bench.lane.0.lock().unwrap().answers.clear();
    assert_eq!(bench.rolled_back(), ErrorClass::Abortable);
    assert_eq!(bench.lane.asked(), ["begin", "abort"]);
}

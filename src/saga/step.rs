//! A step of an instance: a row and an input in, a row and wanted actions out.

use super::action::{Action, Input, Stepped, What, asker, remark};
use super::ending::{answer_at_end, answer_at_start};
use super::ids::input_hash;
use super::instance::{ASKERS_MAX, Early, Instance, Kept, Place, Progress, Row, Start};
use super::stepper::{Setting, Stepper, TRACE};
use super::{Status, Timer};
use crate::failure::{Class, Failure, Stage};
use crate::node::{Answer, Frame, Outcome, Refusal, Way};
use crate::record::{Map, Text, Value};
use crate::topology::model::saga::{Body, Direction, EarlyThen, Taken};

/// Steps the instance `id`.
///
/// Same row and input, same answer: nothing else is looked at. A failure is the record's fault (its `start` cannot be evaluated,
/// it came too early and too many have); then nothing is changed. Whatever fails later fails a step of the saga.
pub fn step(setting: Setting<'_>, id: &Text, row: Option<Row>, input: &Input<'_>) -> Result<Stepped, Failure> {
    match (row, input.what) {
        (Some(Row::Instance(saga)), _) => step_instance(setting, saga, input),
        (row, What::Message(_)) => {
            let early = match row {
                Some(Row::Early(early)) => early,
                _ => Early::default(),
            };
            let taken = setting.saga.taken(&input.event.kind);
            match taken {
                Some(taken) if taken.starts && starts(setting, input)? => start(setting, id, early, input),
                Some(taken) => keep_early(setting, taken, early, input),
                None => Ok(nothing(Some(Row::Early(early)).filter(is_kept), None, Outcome::PassedOver)),
            }
        }
        (row, What::Act(_)) => Ok(nothing(row, Some(remark::ACT), Outcome::PassedOver)),
        (row, _) => Ok(nothing(row, Some(remark::NO_SAGA), Outcome::PassedOver)),
    }
}

fn is_kept(row: &Row) -> bool {
    !matches!(row, Row::Early(early) if early.kept.is_empty())
}

/// Nothing changes.
fn nothing(row: Option<Row>, remark: Option<&'static str>, outcome: Outcome) -> Stepped {
    Stepped { row, actions: remark.map(Action::Count).into_iter().collect(), changed: false, outcome, offers: Vec::new() }
}

fn step_instance(setting: Setting<'_>, saga: Box<Instance>, input: &Input<'_>) -> Result<Stepped, Failure> {
    let (was_over, askers) = (saga.status.is_final(), saga.askers.len());
    let mut stepper = Stepper::new(setting, input, saga);
    let outcome = match input.what {
        What::Message(kept) => match setting.saga.taken(&input.event.kind) {
            Some(taken) if taken.starts && kept.is_none() && starts(setting, input)? => started_again(&mut stepper, taken),
            Some(taken) => stepper.message(taken, kept),
            None => Outcome::PassedOver,
        },
        What::Reply(accepted) => stepper.reply(accepted),
        What::Timer(timer, due) => {
            stepper.timer(timer, due);
            Outcome::Processed
        }
        What::Act(act) => stepper.operator(act),
    };
    // Whatever changes an instance is in its history, and so among the actions.
    let is_change = |action: &Action| !matches!(action, Action::Count(_) | Action::Answer(..));
    let changed = stepper.actions.iter().any(is_change) || stepper.saga.askers.len() != askers;
    // How long it is kept counts from its end, whatever is told to it afterwards.
    if changed && !was_over {
        stepper.saga.changed_at = input.now;
    }
    Ok(finish(stepper, changed, outcome))
}

fn finish(stepper: Stepper<'_>, changed: bool, outcome: Outcome) -> Stepped {
    let offers = stepper.offers();
    Stepped { row: Some(Row::Instance(stepper.saga)), actions: stepper.actions, changed, outcome, offers }
}

fn starts(setting: Setting<'_>, input: &Input<'_>) -> Result<bool, Failure> {
    let Some(when) = &setting.saga.start.when else { return Ok(true) };
    let frame = frame(setting, input);
    let starts = frame.holds(when, Stage::Step)?;
    frame.passed(&when.at, "", if starts { Way::Taken } else { Way::Passed });
    Ok(starts)
}

fn frame<'f>(setting: Setting<'f>, input: &'f Input<'_>) -> Frame<'f> {
    Frame::new(setting.world, input.event, setting.saga.locals).with_record(input.record, input.key_format)
}

fn start(setting: Setting<'_>, id: &Text, early: Early, input: &Input<'_>) -> Result<Stepped, Failure> {
    let event = input.event;
    let data: Map = frame(setting, input).fill_map(&setting.saga.start.data, Stage::Step)?;
    let place = match &setting.saga.body {
        Body::Steps(_) => Place::Steps(Progress::default()),
        Body::States(states) => Place::State { state: states.start, since: input.now },
    };
    let trace = input.record.header(TRACE).and_then(|trace| std::str::from_utf8(trace).ok());
    let begun = Start {
        at: input.now,
        id: event.id.clone(),
        correlation_id: event.correlation_id.clone(),
        input: input_hash(&event.kind, &event.data),
        trace: trace.unwrap_or_default().into(),
    };
    let mut saga = Instance::new(id, setting.definition, begun, data, place);
    (saga.kept, saga.next_kept) = (early.kept, early.next);
    let mut stepper = Stepper::new(setting, input, Box::new(saga));
    stepper.actions.push(Action::Moved(None, Some(Status::Running)));
    for number in stepper.saga.kept.iter().map(|kept| kept.number).collect::<Vec<_>>() {
        stepper.actions.push(Action::Adopt(number));
    }
    // What was kept may be wanted from the first moment.
    stepper.opened = true;
    stepper.entry(
        "started",
        [
            ("by", Some(event.kind.clone().into())),
            ("message", Some(event.id.clone().into())),
            ("definition", Some(setting.definition.clone().into())),
            ("version", Some(Value::Int(setting.world.topology.version.into()))),
        ],
    );
    if let Some(timeout) = setting.saga.timeout {
        let due = stepper.after(timeout);
        stepper.arm(Timer::Saga, due);
    }
    if let Some(asker) = asker(input, id) {
        if setting.saga.answers_at_end() {
            stepper.saga.askers.push(asker);
        } else {
            let answer = answer_at_start(asker, &stepper.saga);
            stepper.actions.push(answer);
        }
    }
    match &setting.saga.body {
        Body::Steps(_) => stepper.advance(),
        Body::States(states) => stepper.enter_at(states.start),
    }
    Ok(finish(stepper, true, Outcome::Processed))
}

/// A start of an instance that is there: a repetition, or a conflict.
fn started_again(stepper: &mut Stepper<'_>, taken: &Taken) -> Outcome {
    let (setting, input) = (stepper.setting, stepper.input);
    let asker = asker(input, &stepper.saga.id);
    let is_same = input_hash(&input.event.kind, &input.event.data) == stepper.saga.start.input;
    if !is_same {
        // The same type may also be one that is waited for.
        if taken.moves || !taken.answers.is_empty() || taken.cancels {
            return stepper.message(taken, None);
        }
        let refusal = exists();
        let code = refusal.code.clone();
        if let Some(asker) = asker {
            stepper.actions.push(Action::Answer(asker, Answer::Rejected(refusal)));
        }
        return Outcome::Refused(code);
    }
    let Some(asker) = asker else { return Outcome::Repeated };
    if !setting.saga.answers_at_end() {
        let answer = answer_at_start(asker, &stepper.saga);
        stepper.actions.push(answer);
    } else if stepper.saga.status.is_final() {
        let answer = answer_at_end(&stepper.saga);
        stepper.actions.push(Action::Answer(asker, answer));
    } else if !stepper.saga.askers.contains(&asker) {
        if stepper.saga.askers.len() < ASKERS_MAX {
            stepper.saga.askers.push(asker);
        } else {
            stepper.count(remark::ASKER);
        }
    }
    Outcome::Repeated
}

/// A message before there is an instance.
fn keep_early(setting: Setting<'_>, taken: &Taken, mut early: Early, input: &Input<'_>) -> Result<Stepped, Failure> {
    let kind = &input.event.kind;
    let policy = setting.saga.early;
    let answers = taken.answers.iter().any(|answered| answered.direction == Direction::Forward);
    if !(answers || taken.cancels || taken.moves) {
        return Ok(nothing(Some(Row::Early(early)).filter(is_kept), None, Outcome::PassedOver));
    }
    if early.kept.len() >= policy.limit as usize {
        return match policy.then {
            EarlyThen::Drop => Ok(nothing(Some(Row::Early(early)).filter(is_kept), Some(remark::FULL), Outcome::PassedOver)),
            EarlyThen::DeadLetter => {
                Err(orphan(format!("{} messages wait for this saga to begin, more are not kept", policy.limit)))
            }
        };
    }
    let number = early.next;
    early.next += 1;
    early.kept.push(Kept { number, kind: kind.clone() });
    let actions = vec![Action::KeepEarly(number)];
    Ok(Stepped { row: Some(Row::Early(early)), actions, changed: true, outcome: Outcome::Processed, offers: Vec::new() })
}

/// What whoever asked for a start is told whose id is taken.
pub(super) fn exists() -> Refusal {
    Refusal::new("SAGA_EXISTS", "a saga of this id began with another input")
}

/// Why a message is a dead letter whose saga did not begin.
pub(super) fn orphan(message: String) -> Failure {
    Failure::new(Class::Permanent, "ORPHAN", Stage::Step, message)
}

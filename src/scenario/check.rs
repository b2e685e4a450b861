//! What was observed against what was expected.
//!
//! Kafka orders the records of a partition and nothing else. So expected messages of one topic and one key come in the order of
//! the list; how they lie to others is not looked at. Values are matched first; where a message is not there as expected, the
//! one that comes nearest is shown beside it.

use super::driver::{Driver, Letter, Message, Observed};
use super::instance;
use super::model::{Emitted, Expected, Halted, Part, State, What};
use super::names::Known;
use super::pattern::{Mismatch, compare, text_of};
use super::record::as_text;
use super::run::{Edit, Failure, Mark};
use crate::record::{Text, Value};
use std::collections::BTreeSet;

/// Compares a round. `standing`: sub-topologies that are known to stand still.
pub(super) fn check(
    then: &[Expected],
    observed: &Observed,
    driver: &Driver<'_>,
    known: &mut Known,
    standing: &mut BTreeSet<usize>,
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    flatten(then, true, &mut wanted);

    let messages: Vec<&Wanted<'_>> = wanted.iter().filter(|wanted| matches!(wanted.expected.what, What::Emitted(_))).collect();
    let taken = matched(&messages, &observed.messages, known, &mut failures);
    let letters: Vec<&Wanted<'_>> = wanted.iter().filter(|wanted| matches!(wanted.expected.what, What::Letter(_))).collect();
    let taken_letters = matched(&letters, &observed.letters, known, &mut failures);

    let mut strict = false;
    for expected in then {
        match &expected.what {
            What::State(wanted) => failures.extend(state(expected, wanted, driver, known)),
            What::Saga(wanted) => failures.extend(instance::check(expected, wanted, observed, driver, known)),
            What::Halted(wanted) => {
                standing.insert(wanted.subtopology);
                failures.extend(halted(expected, wanted, driver, known));
            }
            What::NoneOf(kinds) => failures.extend(none_of(expected, kinds, observed)),
            What::NothingElse => {
                strict = true;
                let others: Vec<&Message> = others(&observed.messages, &taken);
                if !others.is_empty() {
                    let mark = Mark::at(&expected.head, count(others.len(), "further message"));
                    failures.push(
                        Failure::new("messages that were not expected", mark).notes(others.iter().map(|other| told(other))),
                    );
                }
            }
            What::Emitted(_) | What::Letter(_) | What::AnyOrder(_) => {}
        }
    }
    // A record that is set aside, or a partition that stands still, is never a matter of course.
    let unexpected = others(&observed.letters, &taken_letters);
    if !unexpected.is_empty() {
        let title = if strict { "dead letters that were not expected" } else { "records were set aside as dead letters" };
        let notes = unexpected.iter().map(|letter| letter.told());
        failures.push(Failure::bare(title).notes(notes));
    }
    for (subtopology, halt) in driver.halted() {
        if standing.insert(subtopology) {
            failures.push(Failure::bare("a partition stands still").notes([format!("{}: {}", halt.input, halt.reason)]));
        }
    }
    failures
}

/// Something that must have come, and whether its place among the others matters.
struct Wanted<'a> {
    expected: &'a Expected,
    ordered: bool,
}

fn flatten<'a>(then: &'a [Expected], ordered: bool, into: &mut Vec<Wanted<'a>>) {
    for expected in then {
        match &expected.what {
            What::AnyOrder(items) => flatten(items, false, into),
            _ => into.push(Wanted { expected, ordered }),
        }
    }
}

/// What can be matched: messages and letters.
trait Seen {
    fn shown(&self) -> &Value;
    fn lane(&self) -> (&str, Option<&[u8]>);
    /// May it be meant at all?
    fn is_like(&self, what: &What) -> bool;
    fn told(&self) -> String;
    /// What several of them in one lane are called.
    const NAME: &'static str;
}

impl Seen for Message {
    const NAME: &'static str = "messages to";

    fn shown(&self) -> &Value {
        &self.shown
    }

    fn lane(&self) -> (&str, Option<&[u8]>) {
        (&self.topic, self.key.as_deref())
    }

    fn is_like(&self, what: &What) -> bool {
        let What::Emitted(Emitted { kind, topic, .. }) = what else { return false };
        *kind == self.kind && topic.as_ref().is_none_or(|topic| *topic == self.topic)
    }

    fn told(&self) -> String {
        told(self)
    }
}

impl Seen for Letter {
    const NAME: &'static str = "dead letters of";

    fn shown(&self) -> &Value {
        &self.shown
    }

    fn lane(&self) -> (&str, Option<&[u8]>) {
        (&self.topic, self.key.as_deref())
    }

    fn is_like(&self, what: &What) -> bool {
        matches!(what, What::Letter(_))
    }

    fn told(&self) -> String {
        let part = |name: &str| self.shown.get(name).cloned().unwrap_or_default();
        let node = match part("node") {
            Value::Str(node) if !node.is_empty() => format!(" at `{node}`"),
            _ => String::new(),
        };
        let (code, message) = (as_text(&part("code")), as_text(&part("message")));
        let (key, value) = (text_of(&part("key")), text_of(&part("value")));
        format!("dead letter: {code}{node}: {message}; from {} with key {key}: {value}", self.topic)
    }
}

fn parts_of(what: &What) -> &[Part] {
    match what {
        What::Emitted(Emitted { parts, .. }) | What::Letter(parts) => parts,
        _ => &[],
    }
}

fn mismatches(expected: &Expected, seen: &impl Seen, known: &mut Known) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for part in parts_of(&expected.what) {
        let actual = part.path.iter().try_fold(seen.shown(), |value, field| value.get(field));
        compare(&part.tree, actual, expected.exact, &part.path.join("."), known, &mut found);
    }
    found
}

/// Finds for each that is wanted one that was seen; what cannot be found is told. Which ones of those seen were taken.
fn matched<S: Seen>(wanted: &[&Wanted<'_>], seen: &[S], known: &mut Known, failures: &mut Vec<Failure>) -> BTreeSet<usize> {
    let fits: Vec<Vec<bool>> = wanted
        .iter()
        .map(|wanted| {
            let fit = |seen: &S| seen.is_like(&wanted.expected.what) && mismatches(wanted.expected, seen, known).is_empty();
            seen.iter().map(fit).collect()
        })
        .collect();
    let mut owner: Vec<Option<usize>> = vec![None; seen.len()];
    for at in 0..wanted.len() {
        assign(at, &fits, &mut owner, &mut vec![false; seen.len()]);
    }
    let mut place: Vec<Option<usize>> = vec![None; wanted.len()];
    for (seen, owner) in owner.iter().enumerate() {
        if let Some(owner) = owner {
            place[*owner] = Some(seen);
        }
    }
    straighten(wanted, seen, &fits, &mut place);
    failures.extend(out_of_order(wanted, seen, &place));
    let mut taken: BTreeSet<usize> = place.iter().flatten().copied().collect();
    for (_, wanted) in wanted.iter().enumerate().filter(|(at, _)| place[*at].is_none()) {
        let free = (0..seen.len()).filter(|seen_at| !taken.contains(seen_at) && seen[*seen_at].is_like(&wanted.expected.what));
        let nearest =
            free.map(|at| (mismatches(wanted.expected, &seen[at], known), at)).min_by_key(|(found, at)| (found.len(), *at));
        match nearest {
            Some((found, at)) => {
                taken.insert(at);
                failures.push(differs(wanted.expected, found, seen[at].told()));
            }
            None => failures.push(missing(wanted.expected, seen)),
        }
    }
    taken
}

/// A path from one that is wanted to one that is free, others moving on: so that all that can be matched are.
fn assign(at: usize, fits: &[Vec<bool>], owner: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for seen in 0..owner.len() {
        if !fits[at][seen] || std::mem::replace(&mut tried[seen], true) {
            continue;
        }
        if owner[seen].is_none_or(|other| assign(other, fits, owner, tried)) {
            owner[seen] = Some(at);
            return true;
        }
    }
    false
}

/// Two of one lane that could change places and then stand in the order of the list do.
fn straighten<S: Seen>(wanted: &[&Wanted<'_>], seen: &[S], fits: &[Vec<bool>], place: &mut [Option<usize>]) {
    for _ in 0..wanted.len() {
        let mut changed = false;
        for first in 0..wanted.len() {
            for second in first + 1..wanted.len() {
                let (Some(a), Some(b)) = (place[first], place[second]) else { continue };
                let swaps = a > b && fits[first][b] && fits[second][a] && seen[a].lane() == seen[b].lane();
                if swaps && wanted[first].ordered && wanted[second].ordered {
                    place.swap(first, second);
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

fn out_of_order<S: Seen>(wanted: &[&Wanted<'_>], seen: &[S], place: &[Option<usize>]) -> Vec<Failure> {
    let mut failures = Vec::new();
    for (at, later) in wanted.iter().enumerate().filter(|(_, wanted)| wanted.ordered) {
        let Some(b) = place[at] else { continue };
        let before = wanted[..at].iter().zip(place).filter(|(wanted, _)| wanted.ordered);
        let broken = before.filter_map(|(wanted, place)| Some((wanted, (*place)?)));
        let broken = broken.filter(|(_, a)| *a > b && seen[*a].lane() == seen[b].lane()).map(|(wanted, _)| wanted).next();
        if let Some(earlier) = broken {
            let mark = Mark::at(&later.expected.head, "this came first");
            let second = Mark::at(&earlier.expected.head, "this came later");
            let lane = seen[b].lane().0;
            let title = format!("{} `{lane}` came in another order", S::NAME);
            failures.push(Failure::new(title, mark).with(second).notes(["`any_order` takes them as they come".to_owned()]));
        }
    }
    failures
}

fn differs(expected: &Expected, found: Vec<Mismatch>, told: String) -> Failure {
    let first = found.first().map_or_else(String::new, |found| found.path.clone());
    let title = match &expected.what {
        What::Emitted(emitted) => format!("`{}` is not as expected at `{first}`", emitted.kind),
        _ => format!("the dead letter is not as expected at `{first}`"),
    };
    Failure::of(title, found).notes([told])
}

fn missing<S: Seen>(expected: &Expected, seen: &[S]) -> Failure {
    let (title, label) = match &expected.what {
        What::Emitted(emitted) => {
            let to = emitted.topic.as_ref().map_or_else(String::new, |topic| format!(" to `{topic}`"));
            (format!("no `{}` was emitted{to}", emitted.kind), "this did not come")
        }
        _ => ("no dead letter was written".to_owned(), "this did not come"),
    };
    let like = seen.iter().filter(|seen| seen.is_like(&expected.what)).count();
    let mut notes: Vec<String> = seen.iter().map(Seen::told).collect();
    if like > 0 {
        notes.insert(0, format!("{} came, and every one was expected before", count(like, "such message")));
    } else if seen.is_empty() {
        notes.push("nothing came at all".to_owned());
    }
    Failure::new(title, Mark::at(&expected.head, label)).notes(notes)
}

fn others<'s, S>(seen: &'s [S], taken: &BTreeSet<usize>) -> Vec<&'s S> {
    seen.iter().enumerate().filter(|(at, _)| !taken.contains(at)).map(|(_, seen)| seen).collect()
}

fn none_of(expected: &Expected, kinds: &[Text], observed: &Observed) -> Option<Failure> {
    let found: Vec<&Message> = observed.messages.iter().filter(|message| kinds.contains(&message.kind)).collect();
    let first = found.first()?;
    let mark = Mark::at(&expected.head, count(found.len(), "such message"));
    Some(Failure::new(format!("a `{}` was emitted", first.kind), mark).notes(found.iter().map(|message| told(message))))
}

/// A failure about the whole of what was expected.
pub(super) fn bare(expected: &Expected, title: String, label: String) -> Failure {
    Failure::new(title, Mark::at(&expected.head, label))
}

fn state(expected: &Expected, wanted: &State, driver: &Driver<'_>, known: &mut Known) -> Option<Failure> {
    let State { node: aggregate, key, exists, version, value } = wanted;
    let name = driver.node(*aggregate);
    let key = match key.fill(known) {
        Ok(key) => as_text(&key),
        Err((range, why)) => return Some(Failure::new("the key cannot be computed", Mark::at(&range, why))),
    };
    let entity = match driver.state(*aggregate, key.as_bytes()) {
        Ok(entity) => entity,
        Err(why) => return Some(bare(expected, format!("the state of `{name}` `{key}` cannot be read"), why)),
    };
    match entity {
        None if *exists => Some(bare(expected, format!("there is no `{name}` `{key}`"), "this is not there".into())),
        None => None,
        Some(entity) if !exists => {
            let shown = text_of(&entity.value);
            Some(bare(expected, format!("there is a `{name}` `{key}`"), format!("version {}: {shown}", entity.version)))
        }
        Some(entity) => {
            let mut found = Vec::new();
            if let Some(tree) = version {
                let actual = Value::Int(i64::try_from(entity.version).unwrap_or(i64::MAX));
                compare(tree, Some(&actual), expected.exact, "version", known, &mut found);
            }
            if let Some(tree) = value {
                compare(tree, Some(&entity.value), expected.exact, "", known, &mut found);
            }
            let first = found.first()?.path.clone();
            let title = match first.as_str() {
                "" => format!("the state of `{name}` `{key}` is not as expected"),
                path => format!("the state of `{name}` `{key}` is not as expected at `{path}`"),
            };
            let shown = format!("state: version {}, {}", entity.version, text_of(&entity.value));
            Some(Failure::of(title, found).notes([shown]))
        }
    }
}

fn halted(expected: &Expected, wanted: &Halted, driver: &Driver<'_>, known: &mut Known) -> Option<Failure> {
    let Halted { node, subtopology, reason } = wanted;
    let halts = driver.halted();
    let Some((_, halt)) = halts.iter().find(|(standing, _)| standing == subtopology) else {
        return Some(Failure::new(format!("no partition of `{node}` stands still"), Mark::at(&expected.head, "it goes on")));
    };
    let mut found = Vec::new();
    if let Some(tree) = reason {
        compare(tree, Some(&Value::from(halt.reason.as_str())), expected.exact, "reason", known, &mut found);
    }
    found.first()?;
    Some(Failure::of(format!("`{node}` stands still for another reason"), found))
}

fn told(message: &Message) -> String {
    let part = |name: &str| message.shown.get(name).map_or_else(String::new, text_of);
    let kind = if message.kind.is_empty() { "(no type)" } else { &message.kind };
    format!("emitted: {kind} to {} with key {}: {}", message.topic, part("key"), part("data"))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

impl Failure {
    /// One with a mark at every place that differs, and the values that could be written there.
    pub(super) fn of(title: String, found: Vec<Mismatch>) -> Self {
        let mut marks = found.iter().map(|found| Mark::at(&found.range, found.label.clone()));
        let first = marks.next().unwrap_or_else(|| Mark::at(&(0..0), ""));
        let mut failure = Self::new(title, first);
        for mark in marks {
            failure = failure.with(mark);
        }
        let edits = found.into_iter().filter_map(|found| Some(Edit::value(found.range, &found.actual?)));
        failure.edits(edits)
    }
}

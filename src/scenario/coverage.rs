//! What of a topology its scenarios have tried: handlers, rules, branches, conditions; steps, states and ends of sagas.

mod sagas;

use super::Suite;
use crate::node::{Spot, Way};
use crate::record::Text;
use crate::topology::model::{Arm, Message, Operator, Position, Require, Step, Topology};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What of a topology was tried.
#[derive(Debug)]
pub struct Coverage {
    /// The topology file.
    pub file: String,
    /// Everything that can be tried, in the order of the file.
    pub places: Vec<Place>,
}

/// Something that can be tried.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it is, for people.
    pub what: String,
    /// Was it tried?
    pub tried: bool,
}

/// Kinds of what can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A handler of `decide` accepts.
    Decide,
    /// A handler of `evolve` changes the state.
    Evolve,
    /// An upcaster makes an old type, or an old state, the newer one.
    Upcast,
    /// A rule refuses.
    Rule,
    /// A way through a `branch`, a `filter` or a condition.
    Branch,
    /// A step of a saga ends in one of its ways.
    Step,
    /// A step of a saga is undone.
    Compensation,
    /// A state of a saga, or a way between two.
    Transition,
    /// A saga ends, or is made to.
    End,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Decide,
        Self::Evolve,
        Self::Upcast,
        Self::Rule,
        Self::Branch,
        Self::Step,
        Self::Compensation,
        Self::Transition,
        Self::End,
    ];

    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Evolve => "evolve",
            Self::Upcast => "upcasters",
            Self::Rule => "rules",
            Self::Branch => "branches",
            Self::Step => "steps",
            Self::Compensation => "compensations",
            Self::Transition => "transitions",
            Self::End => "ends",
        }
    }
}

/// What was tried so far of the topologies of these suites, one entry for each file.
pub fn of<'s>(suites: impl IntoIterator<Item = &'s Suite>) -> Vec<Coverage> {
    let mut by_file: BTreeMap<&str, (&Topology, BTreeSet<Spot>)> = BTreeMap::new();
    for suite in suites {
        let Some(made) = suite.made.first() else { continue };
        let entry = by_file.entry(&suite.topology).or_insert_with(|| (&made.world.topology, BTreeSet::new()));
        entry.1.extend(suite.trail.spots());
    }
    by_file
        .into_iter()
        .map(|(file, (topology, spots))| Coverage { file: file.to_owned(), places: places(topology, &spots) })
        .collect()
}

impl Coverage {
    /// How many of a kind there are, and how many were tried.
    pub fn count(&self, kind: Option<Kind>) -> (usize, usize) {
        let of_kind = self.places.iter().filter(|place| kind.is_none_or(|kind| place.kind == kind));
        of_kind.fold((0, 0), |(all, tried), place| (all + 1, tried + usize::from(place.tried)))
    }

    /// What was not tried.
    pub fn missing(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.tried)
    }

    /// For people: the share of each kind, and what was not tried, with its place.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let (all, tried) = self.count(None);
        let _ = write!(out, "{}: {} covered", self.file, percent(all, tried));
        for kind in Kind::ALL {
            let (all, tried) = self.count(Some(kind));
            if all > 0 {
                let _ = write!(out, ", {} {tried}/{all}", kind.name());
            }
        }
        out.push('\n');
        for place in self.missing() {
            let _ = writeln!(out, "  {}:{}:{}: not tried: {}", self.file, place.line, place.column, place.what);
        }
        out
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let share = |kind: Option<Kind>| {
            let (all, tried) = self.count(kind);
            json!({ "all": all, "tried": tried })
        };
        let kinds: serde_json::Map<String, Json> =
            Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), share(Some(kind)))).collect();
        let missing: Vec<Json> = self
            .missing()
            .map(|place| json!({ "line": place.line, "column": place.column, "kind": place.kind.name(), "what": place.what }))
            .collect();
        json!({ "topology": self.file, "all": share(None), "kinds": kinds, "missing": missing })
    }
}

fn percent(all: usize, tried: usize) -> String {
    // Never 100 while something is missing.
    format!("{} %", (tried * 100).checked_div(all).unwrap_or(100))
}

struct Walk<'a> {
    spots: &'a BTreeSet<Spot>,
    /// By what they are noted under, so that each stands once.
    found: BTreeMap<Spot, Place>,
}

fn places(topology: &Topology, spots: &BTreeSet<Spot>) -> Vec<Place> {
    let mut walk = Walk { spots, found: BTreeMap::new() };
    for upcaster in &topology.upcasters {
        let (from, to) = (&upcaster.from, &upcaster.to);
        walk.add(&upcaster.at, from, Way::Taken, Kind::Upcast, format!("`{from}` becomes `{to}`"));
    }
    for aggregate in &topology.aggregates {
        let name = &aggregate.name;
        for handler in &aggregate.decide {
            let kind = &handler.kind;
            walk.add(&handler.at, kind, Way::Taken, Kind::Decide, format!("`{name}` accepts `{kind}`"));
            if handler.when.is_some() {
                let what = format!("`{name}` passes `{kind}` over: its `when` does not hold");
                walk.add(&handler.at, kind, Way::Passed, Kind::Branch, what);
            }
            walk.rules(&handler.require, &format!("`{name}` refuses `{kind}`"));
            walk.messages(&handler.emit, name);
        }
        for step in &aggregate.upcast {
            let what = format!("a state of `{name}` of version {} becomes one of the next", step.from);
            walk.add(&step.at, "upcast", Way::Taken, Kind::Upcast, what);
        }
        for handler in &aggregate.evolve {
            let what = format!("`{}` changes the state of `{name}`", handler.kind);
            walk.add(&handler.at, &handler.kind, Way::Taken, Kind::Evolve, what);
        }
        walk.messages(&aggregate.updates, name);
    }
    for saga in &topology.sagas {
        walk.saga(saga);
    }
    for pipeline in &topology.pipelines {
        walk.steps(&pipeline.steps, &pipeline.name);
    }
    let mut places: Vec<Place> = walk.found.into_values().collect();
    places.sort();
    places
}

impl Walk<'_> {
    fn add(&mut self, at: &Position, what: &str, way: Way, kind: Kind, said: String) {
        let spot = (at.line, at.column, Text::new(what), way);
        let tried = self.spots.contains(&spot);
        self.found.insert(spot, Place { line: at.line, column: at.column, kind, what: said, tried });
    }

    fn rules(&mut self, rules: &[Require], whose: &str) {
        for rule in rules {
            self.add(&rule.at, &rule.code, Way::Taken, Kind::Rule, format!("{whose} with `{}`", rule.code));
            self.messages(&rule.emit, whose);
        }
    }

    fn messages(&mut self, messages: &[Message], whose: &str) {
        for message in messages.iter().filter(|message| message.when.is_some()) {
            let kind = match &message.kind {
                crate::topology::model::MessageKind::Named(kind) => kind.as_str(),
                crate::topology::model::MessageKind::Current => "the record",
            };
            self.add(&message.at, "", Way::Taken, Kind::Branch, format!("`{kind}` is sent (`{whose}`)"));
            self.add(&message.at, "", Way::Passed, Kind::Branch, format!("`{kind}` is left out (`{whose}`)"));
        }
    }

    fn steps(&mut self, steps: &[Step], pipeline: &str) {
        for step in steps {
            match &step.operator {
                Some(Operator::Filter(expr)) => {
                    self.add(&expr.at, "", Way::Taken, Kind::Branch, format!("the filter of `{pipeline}` lets through"));
                    self.add(&expr.at, "", Way::Passed, Kind::Branch, format!("the filter of `{pipeline}` holds back"));
                }
                Some(Operator::Require(rules)) => self.rules(rules, &format!("`{pipeline}` refuses")),
                Some(Operator::Emit(messages)) => self.messages(messages, pipeline),
                Some(Operator::Dedupe(dedupe)) => {
                    let (at, name) = (&dedupe.by.at, &dedupe.name);
                    self.add(at, "", Way::Taken, Kind::Branch, format!("`{name}` of `{pipeline}` lets through"));
                    self.add(at, "", Way::Passed, Kind::Branch, format!("`{name}` of `{pipeline}` drops what it has seen"));
                }
                Some(Operator::Branch(arms)) => self.arms(arms, pipeline),
                _ => {}
            }
        }
    }

    fn arms(&mut self, arms: &[Arm], pipeline: &str) {
        for (number, arm) in arms.iter().enumerate() {
            if let Some(at) = arm.at() {
                let at = at.clone();
                self.add(&at, "", Way::Taken, Kind::Branch, format!("arm {} of the branch of `{pipeline}`", number + 1));
            }
            self.steps(&arm.steps, pipeline);
        }
        if let Some(last) = arms.last().filter(|arm| arm.when.is_some()).and_then(Arm::at) {
            let what = format!("no arm of the branch of `{pipeline}` fits");
            self.add(last, "", Way::Passed, Kind::Branch, what);
        }
    }
}

//! A plan to be read: what would be made, what would change, what it means.

use super::{Comparison, Difference, Mark, Part, Right, Side, Verdict};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// Longest value that is shown, in characters.
const VALUE_MAX: usize = 72;

/// Everything that `skald plan` shows of a topology.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The file, as it was named.
    pub file: String,
    /// The topology.
    pub topology: String,
    /// Its version.
    pub version: u32,
    /// What it is compared with, in words; none: with nothing.
    pub against: Option<String>,
    /// What that gave.
    pub comparison: Option<Comparison>,
    /// Nodes with the topics of their states, in the order of the plan.
    pub nodes: Vec<(&'static str, String, Vec<String>)>,
    /// Topics, those that are as they should be included.
    pub topics: Vec<TopicLine>,
    /// Schemas and how they stand to the registry, by subject.
    pub schemas: Vec<TopicLine>,
    /// Rights.
    pub rights: Vec<Right>,
    /// What becomes of the recorded definition.
    pub definition: String,
    /// Would it be recorded anew?
    pub records: bool,
    /// Why it may not be applied, where that is no matter of one node.
    pub refusal: Option<String>,
}

/// A topic, or a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicLine {
    /// What happens to it.
    pub mark: Mark,
    /// Its name.
    pub name: String,
    /// What it is like, or what differs.
    pub text: String,
    /// Does it keep the topology from running?
    pub problem: bool,
    /// What to do.
    pub hint: Option<String>,
}

impl Sheet {
    /// The sheet of one side, still without topics of a cluster and without a comparison.
    pub fn of(file: &str, side: Side<'_>) -> Self {
        let plan = side.plan;
        let nodes = plan.nodes.iter().map(|node| {
            let store = node.store.map(|store| &plan.stores[store]);
            let topics = store.into_iter().flat_map(|store| store.snapshots.into_iter().chain(store.changelog));
            let topics = topics.map(|topic| plan.topics[topic].name.to_string()).collect();
            (node.kind.name(side.topology), node.name.to_string(), topics)
        });
        Self {
            file: file.to_owned(),
            topology: plan.topology.to_string(),
            version: plan.version,
            against: None,
            comparison: None,
            nodes: nodes.collect(),
            topics: Vec::new(),
            schemas: Vec::new(),
            rights: super::rights(side.topology, plan),
            definition: String::new(),
            records: false,
            refusal: None,
        }
    }

    /// Would applying it change anything?
    pub fn has_differences(&self) -> bool {
        let topics = self.topics.iter().chain(&self.schemas).any(|topic| topic.mark != Mark::Same || topic.problem);
        topics || self.records || self.refusal.is_some() || self.comparison.as_ref().is_some_and(|found| !found.is_same())
    }

    /// May it run?
    pub fn is_refused(&self) -> bool {
        let verdict = self.comparison.as_ref().map_or(Verdict::Unchanged, Comparison::verdict);
        self.refusal.is_some()
            || verdict > Verdict::Compatible
            || self.topics.iter().chain(&self.schemas).any(|topic| topic.problem)
    }

    /// For people.
    pub fn text(&self, colour: bool) -> String {
        let mut out = Writer { out: String::new(), colour };
        let _ = write!(out.out, "{}: topology `{}`, version {}", self.file, self.topology, self.version);
        let _ = writeln!(out.out, "{}", self.against.as_ref().map_or(String::new(), |other| format!("; against {other}")));
        out.heading("Nodes");
        self.write_nodes(&mut out);
        if let Some(comparison) = &self.comparison {
            if !comparison.others.is_empty() {
                out.heading("Also in the file");
                comparison.others.iter().for_each(|part| out.part(part, &[]));
            }
            if comparison.regroup {
                let text = "the group reads other topics, or its sagas other types: stop all workers, then start the new ones";
                let _ = writeln!(out.out, "\n  note: {text}; the two do not run beside each other");
            }
        }
        out.lines("Topics", &self.topics);
        out.lines("Schemas", &self.schemas);
        out.heading("Rights of a worker");
        self.rights.iter().filter(|right| !right.provisioning).for_each(|right| out.right(right));
        out.heading("Rights of whoever creates the topics");
        self.rights.iter().filter(|right| right.provisioning).for_each(|right| out.right(right));
        let _ = write!(out.out, "\n{}\n", self.summary());
        if let Some(refusal) = &self.refusal {
            out.marked(Mark::Removed, true, &format!("refused: {refusal}"));
        }
        out.out
    }

    fn write_nodes(&self, out: &mut Writer) {
        let topics = |name: &str| {
            self.nodes.iter().find(|(_, node, _)| node == name).map_or(&[][..], |(_, _, topics)| topics.as_slice())
        };
        match &self.comparison {
            Some(comparison) => comparison.nodes.iter().for_each(|part| out.part(part, topics(&part.name))),
            None => {
                for (kind, name, topics) in &self.nodes {
                    let _ = writeln!(out.out, "    {kind} {name}{}", state(topics));
                }
            }
        }
    }

    /// One line: how many of what.
    pub fn summary(&self) -> String {
        let topics = |test: &dyn Fn(&TopicLine) -> bool| self.topics.iter().filter(|topic| test(topic)).count();
        let (new, other, wrong) = (
            topics(&|topic| topic.mark == Mark::Added && !topic.problem),
            topics(&|topic| topic.mark == Mark::Changed && !topic.problem),
            topics(&|topic| topic.problem),
        );
        let mut parts = vec![format!("{new} topics to create"), format!("{other} that differ")];
        if wrong > 0 {
            parts.push(format!("{wrong} that keep it from running"));
        }
        let mut text = format!("Plan: {}", parts.join(", "));
        if self.topics.is_empty() {
            "Plan: no cluster was asked".clone_into(&mut text);
        }
        if let Some(comparison) = &self.comparison {
            let count = |verdict| comparison.nodes.iter().filter(|node| node.verdict == verdict).count();
            let verdicts = [Verdict::Unchanged, Verdict::Compatible, Verdict::Rebuild, Verdict::Refused];
            let counts: Vec<String> =
                verdicts.iter().map(|verdict| format!("{} {}", count(*verdict), verdict.name())).collect();
            let _ = write!(text, "; nodes: {}", counts.join(", "));
        }
        let _ = write!(text, "; {}.", self.definition);
        text
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let part = |part: &Part| {
            let at = |at: &Option<crate::topology::model::Position>| {
                at.as_ref().map(|at| json!({ "file": at.file.as_str(), "line": at.line, "column": at.column }))
            };
            json!({
                "kind": part.kind,
                "name": part.name,
                "change": change(part.mark),
                "verdict": part.verdict.name(),
                "reasons": part.reasons.iter().map(|reason| json!({
                    "verdict": reason.verdict.name(), "text": reason.text, "at": at(&reason.at),
                })).collect::<Vec<_>>(),
                "differences": part.differences.iter().map(|one| json!({
                    "change": change(one.mark), "path": one.path, "old": one.old, "new": one.new, "at": at(&one.at),
                })).collect::<Vec<_>>(),
            })
        };
        let line = |line: &TopicLine| {
            json!({
                "name": line.name, "change": change(line.mark), "text": line.text, "problem": line.problem, "hint": line.hint,
            })
        };
        let comparison = self.comparison.as_ref();
        json!({
            "file": self.file,
            "topology": self.topology,
            "version": self.version,
            "against": self.against,
            "verdict": comparison.map(|found| found.verdict().name()),
            "refused": self.is_refused(),
            "refusal": self.refusal,
            "differences": self.has_differences(),
            "nodes": comparison.map_or_else(
                || self.nodes.iter().map(|(kind, name, topics)| json!({ "kind": kind, "name": name, "state": topics })).collect(),
                |found| found.nodes.iter().map(part).collect::<Vec<_>>(),
            ),
            "others": comparison.map_or_else(Vec::new, |found| found.others.iter().map(part).collect()),
            "regroup": comparison.is_some_and(|found| found.regroup),
            "topics": self.topics.iter().map(line).collect::<Vec<_>>(),
            "schemas": self.schemas.iter().map(line).collect::<Vec<_>>(),
            "rights": self.rights.iter().map(|right| json!({
                "resource": right.resource.name(),
                "pattern": right.pattern.name(),
                "name": right.name,
                "operations": right.operations.iter().map(|operation| operation.name()).collect::<Vec<_>>(),
                "provisioning": right.provisioning,
            })).collect::<Vec<_>>(),
            "definition": { "records": self.records, "text": self.definition },
        })
    }
}

fn change(mark: Mark) -> &'static str {
    match mark {
        Mark::Added => "added",
        Mark::Changed => "changed",
        Mark::Removed => "removed",
        Mark::Same => "same",
    }
}

fn state(topics: &[String]) -> String {
    if topics.is_empty() { String::new() } else { format!(" (state in {})", topics.join(", ")) }
}

struct Writer {
    out: String,
    colour: bool,
}

impl Writer {
    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.out, "\n{text}");
    }

    fn lines(&mut self, heading: &str, lines: &[TopicLine]) {
        if lines.is_empty() {
            return;
        }
        self.heading(heading);
        let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0).min(48);
        for one in lines {
            let line = format!("  {} {:width$}  {}", one.mark.sign(), one.name, one.text);
            self.marked(one.mark, one.problem, line.trim_end());
            if let Some(hint) = &one.hint {
                let _ = writeln!(self.out, "      hint: {hint}");
            }
        }
    }

    /// A line in the colour of what it tells.
    fn marked(&mut self, mark: Mark, bad: bool, line: &str) {
        let code = match mark {
            _ if bad => "31",
            Mark::Added => "32",
            Mark::Changed => "33",
            Mark::Removed => "31",
            Mark::Same => "",
        };
        let _ = if self.colour && !code.is_empty() {
            writeln!(self.out, "\u{1b}[{code}m{line}\u{1b}[0m")
        } else {
            writeln!(self.out, "{line}")
        };
    }

    fn part(&mut self, part: &Part, topics: &[String]) {
        let verdict = if matches!(part.kind, "topic" | "param" | "file") { "" } else { part.verdict.name() };
        let kind = if part.kind == "file" { "" } else { part.kind };
        let name = format!("{kind} {}{}", part.name, state(topics));
        let line = format!("  {} {}  {verdict}", part.mark.sign(), name.trim_start());
        self.marked(part.mark, part.verdict > Verdict::Compatible, line.trim_end());
        // What is new or gone as a whole is not told in parts.
        part.differences.iter().filter(|one| !one.path.is_empty()).for_each(|one| self.difference(one));
        if part.verdict != Verdict::Compatible || part.mark != Mark::Changed {
            for reason in &part.reasons {
                let _ = writeln!(self.out, "      {}: {}", reason.verdict.name(), reason.text);
            }
        }
    }

    fn difference(&mut self, one: &Difference) {
        let at = one.at.as_ref().map_or(String::new(), |at| format!("  ({}:{}:{})", at.file, at.line, at.column));
        let path = one.path.join("/");
        let line = match (&one.old, &one.new) {
            (Some(old), Some(new)) => format!("      ~ {path}: {} → {}{at}", value(old), value(new)),
            (None, Some(new)) => format!("      + {path}: {}{at}", value(new)),
            (Some(old), None) => format!("      - {path}: {}", value(old)),
            (None, None) => return,
        };
        self.marked(one.mark, false, &line);
    }

    fn right(&mut self, right: &Right) {
        let operations: Vec<&str> = right.operations.iter().map(|operation| operation.name()).collect();
        let (resource, pattern) = (right.resource.name(), right.pattern.name());
        let _ = writeln!(self.out, "    {resource} {pattern} `{}`: {}", right.name, operations.join(", "));
    }
}

/// An expression as people write it; content has it with a blank between any two tokens.
fn spelled(text: &str) -> String {
    let mut text = text.to_owned();
    for (spaced, close) in [(" . ", "."), (" .?", ".?"), (" ( ", "("), (" )", ")"), (" [ ", "["), (" ]", "]"), (" , ", ", ")] {
        text = text.replace(spaced, close);
    }
    text
}

/// A value on one line, cut where it is long; without characters that a terminal acts on.
fn value(value: &Json) -> String {
    let text: String = match value {
        Json::String(text) => json!(spelled(text)).to_string(),
        other => other.to_string(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    match text.char_indices().nth(VALUE_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

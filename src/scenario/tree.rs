//! Values of a scenario file, with their places: literals, and texts that compute (`=…`).

use super::names::{Known, scope};
use crate::expr::{self, Expect, Fuel, Program, Slot};
use crate::record::{Map, Text, Value};
use crate::topology::yaml::{Kind, Node};
use crate::topology::{Findings, finding};
use std::ops::Range;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) kind: Branch,
    pub(super) range: Range<usize>,
}

/// What a tree is.
#[derive(Debug)]
pub(super) enum Branch {
    Literal(Value),
    Computed(Box<Computed>),
    List(Vec<Tree>),
    /// Keys with their places, in the order written.
    Map(Vec<(Text, Range<usize>, Tree)>),
}

/// A text that computes.
#[derive(Debug)]
pub(super) struct Computed {
    pub(super) program: Program,
    /// Does it say of `value` whether it will do? Else it gives the value that is expected.
    pub(super) judges: bool,
}

impl Tree {
    /// Reads a tree. `judging`: may its texts look at `value`, the one that there is?
    pub(super) fn read(node: &Node, judging: bool, findings: &mut Findings) -> Option<Self> {
        let kind = match &node.kind {
            Kind::Scalar(scalar) => match &scalar.value {
                Value::Str(text) if text.starts_with("==") => Branch::Literal(Value::from(&text[1..])),
                Value::Str(text) if text.starts_with('=') => {
                    Branch::Computed(Box::new(computed(node, text, judging, findings)?))
                }
                value => Branch::Literal(value.clone()),
            },
            Kind::List(items) => {
                let read: Vec<Option<Tree>> = items.iter().map(|item| Self::read(item, judging, findings)).collect();
                Branch::List(read.into_iter().collect::<Option<_>>()?)
            }
            Kind::Map(entries) => {
                let read = entries.iter().map(|entry| {
                    let tree = Self::read(&entry.node, judging, findings)?;
                    Some((Text::new(&entry.key), entry.key_range.clone(), tree))
                });
                let read: Vec<Option<_>> = read.collect();
                Branch::Map(read.into_iter().collect::<Option<_>>()?)
            }
        };
        Some(Self { kind, range: node.range.clone() })
    }

    /// A literal that is not written in the file by itself, at a place of it.
    pub(super) fn literal(value: Value, range: Range<usize>) -> Self {
        Self { kind: Branch::Literal(value), range }
    }

    /// Its value where nothing in it computes.
    pub(super) fn constant(&self) -> Option<Value> {
        match &self.kind {
            Branch::Literal(value) => Some(value.clone()),
            Branch::Computed(_) => None,
            Branch::List(items) => items.iter().map(Tree::constant).collect::<Option<Vec<_>>>().map(Value::list),
            Branch::Map(entries) => {
                let entries = entries.iter().map(|(key, _, tree)| Some((key.clone(), tree.constant()?)));
                entries.collect::<Option<Vec<_>>>().map(|entries| Value::Map(Map::from_entries(entries)))
            }
        }
    }

    /// Its value; the error is what cannot be computed, and where.
    pub(super) fn fill(&self, known: &Known) -> Result<Value, (Range<usize>, String)> {
        match &self.kind {
            Branch::Literal(value) => Ok(value.clone()),
            Branch::Computed(computed) => computed.eval(known).map_err(|error| (self.range.clone(), error)),
            Branch::List(items) => items.iter().map(|item| item.fill(known)).collect::<Result<Vec<_>, _>>().map(Value::list),
            Branch::Map(entries) => {
                let entries = entries.iter().map(|(key, _, tree)| Ok((key.clone(), tree.fill(known)?)));
                entries.collect::<Result<Vec<_>, _>>().map(|entries| Value::Map(Map::from_entries(entries)))
            }
        }
    }
}

impl Computed {
    pub(super) fn eval(&self, known: &Known) -> Result<Value, String> {
        self.program.eval(known, &mut Fuel::new()).map_err(|error| error.message)
    }
}

fn computed(node: &Node, text: &str, judging: bool, findings: &mut Findings) -> Option<Computed> {
    let (scope, value) = scope(judging);
    let compiled = expr::compile(text, &scope, &Expect::Any);
    for problem in compiled.findings {
        let source = findings.source().text.clone();
        let place = |at| node.scalar().map_or(node.range.start, |scalar| scalar.locate(&source, &node.range, at));
        let (start, end) = (place(problem.range.start), place(problem.range.end));
        let mut found = finding(problem.code, problem.message);
        found.hint = problem.hint;
        findings.push(start..end.max(start + 1), found);
    }
    let program = compiled.program?;
    let judges = value.is_some_and(|value: Slot| program.reads().iter().any(|read| read.slot == value));
    Some(Computed { program, judges })
}

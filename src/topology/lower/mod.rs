//! From the tree of a file to the checked model, with every problem on the way said.
//!
//! Declarations are read first (params, topics with their types, the names of nodes and the topics that these derive), so that
//! nodes may refer to each other in any order. A part that is wrong is left out of the model and its neighbours are still
//! checked; the model is handed out only when nothing was wrong.

mod aggregate;
mod answers;
mod errors;
mod exprs;
mod fields;
mod fit;
mod head;
mod lets;
mod message;
mod pipeline;
mod proto;
mod repository;
mod require;
mod retry;
mod saga;
mod scalars;
mod schemas;
mod sources;
mod state;
mod state_upcasts;
mod topics;
mod upcasters;
mod usage;

#[cfg(test)]
pub(super) use fields::SHAPES_SEEN;
pub(super) use schemas::registry_name;
pub(super) use sources::whole;

use super::definition::Notes;
use super::diagnostic::{Finding, Findings};
use super::model::{Position, Topology};
use super::sources::Sources;
use super::yaml::{Entry, Node};
use crate::expr::{Scope, Slot, Type, names};
use crate::record::{Map, Text};
use fields::Shape;
use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

/// What a file is lowered with.
pub(super) struct Lower<'a> {
    pub(super) findings: &'a mut Findings,
    pub(super) sources: &'a dyn Sources,
    name: Text,
    params: Map,
    secrets: Vec<Text>,
    /// Could the values of all params be read?
    params_whole: bool,
    topics: topics::Topics,
    /// Types that are other ones when they are read.
    outdated: upcasters::Outdated,
    /// Nodes by name, in the order of the file.
    nodes: Vec<NodeName>,
    /// Most locals of the frame that is being built.
    locals: usize,
    /// Who answers which requests.
    answers: Vec<answers::Answering>,
    /// Types of the results that the pipeline in hand answers with.
    results: Vec<Type>,
    /// Steps of the pipeline in hand that keep something.
    keepers: Vec<Text>,
    /// What is known of `saga.data`, and the place in the saga that is being read.
    saga: Option<(Rc<saga::Data>, saga::Place)>,
    /// Globs of topics that replies may go to.
    reply_to: Vec<Text>,
    notes: Notes,
    /// What compiling has cost so far, and was it said that it is too much.
    spent: Cell<usize>,
    overspent: bool,
}

/// A node that is declared.
struct NodeName {
    name: Text,
    range: Range<usize>,
}

const ROOT: Shape = Shape::new(
    "a topology",
    &[
        "skald",
        "topology",
        "version",
        "description",
        "params",
        "topics",
        "upcasters",
        "aggregates",
        "repositories",
        "pipelines",
        "sagas",
        "errors",
        "reply_to",
    ],
    &["services", "tables", "http"],
);

/// Lowers a file. `overrides` are values for params, as texts of YAML scalars.
///
/// What is handed out when something was wrong lacks the parts that were; it serves further checks and is not to be run.
pub(super) fn lower(
    root: &Node,
    overrides: &[(String, String)],
    findings: &mut Findings,
    sources: &dyn Sources,
) -> Option<(Topology, Notes)> {
    let mut lower = Lower {
        findings,
        sources,
        name: Text::default(),
        params: Map::new(),
        secrets: Vec::new(),
        params_whole: true,
        topics: topics::Topics::default(),
        outdated: upcasters::Outdated::default(),
        nodes: Vec::new(),
        locals: 0,
        answers: Vec::new(),
        results: Vec::new(),
        keepers: Vec::new(),
        saga: None,
        reply_to: Vec::new(),
        notes: Notes::default(),
        spent: Cell::new(0),
        overspent: false,
    };
    let topology = lower.topology(root, overrides)?;
    Some((topology, lower.notes))
}

impl Lower<'_> {
    fn topology(&mut self, root: &Node, overrides: &[(String, String)]) -> Option<Topology> {
        let fields = self.fields(root, &ROOT)?;
        let head = self.head_of(&fields, overrides);
        self.reply_to = head.as_ref().map(|(_, _, _, reply_to)| reply_to.clone()).unwrap_or_default();
        let sections = Sections {
            aggregates: self.section(&fields, "aggregates"),
            repositories: self.section(&fields, "repositories"),
            pipelines: self.section(&fields, "pipelines"),
            sagas: self.section(&fields, "sagas"),
        };
        for entry in sections.all() {
            self.node_name(entry);
        }
        self.outdated_types(&fields);
        self.declared_topics(&fields);
        self.derived_topics(&sections);
        self.untyped_topics();
        let upcasters = self.upcasters(&fields, &sections);

        let defaults = fields.get("errors");
        let mut aggregates = Vec::new();
        for entry in sections.aggregates {
            aggregates.extend(self.aggregate(entry, defaults));
        }
        for entry in sections.repositories {
            aggregates.extend(self.repository(entry, defaults));
        }
        let mut pipelines = Vec::new();
        for entry in sections.pipelines {
            pipelines.extend(self.pipeline(entry, defaults));
        }
        let sagas = self.sagas(sections.sagas, defaults);
        let errors = self.errors_of_file(defaults);
        let unknown = self.notes.unknown.clone();
        let (name, version, description, reply_to) = head?;
        let topics = std::mem::take(&mut self.topics).into_contracts();
        let params = self.params.clone();
        let secrets = self.secrets.clone();
        let topology = Topology {
            name,
            version,
            description,
            params,
            secrets,
            topics,
            upcasters,
            aggregates,
            pipelines,
            sagas,
            errors,
            reply_to,
            unknown,
        };
        // A part that was left out might have been what uses it.
        if !self.findings.has_errors() {
            self.unused(root, &topology);
            self.unreached(&topology);
        }
        Some(topology)
    }

    fn section<'n>(&mut self, fields: &fields::Fields<'n>, name: &'static str) -> &'n [Entry] {
        match fields.get(name) {
            Some(node) if !node.is_null() => self.map(node, name).unwrap_or(&[]),
            _ => &[],
        }
    }

    /// Says what is wrong about a place.
    pub(super) fn say(&mut self, range: Range<usize>, finding: Finding) {
        self.findings.push(range, finding);
    }

    /// A place as the model keeps it.
    fn position(&self, at: usize) -> Position {
        let source = self.findings.source();
        let (line, column) = source.line_column(at);
        Position { file: (&*source.file).into(), line, column }
    }

    /// The list that a field holds; one value stands for a list of one.
    fn one_or_list<'n>(&mut self, node: &'n Node) -> &'n [Node] {
        match &node.kind {
            super::yaml::Kind::List(items) => items,
            _ => std::slice::from_ref(node),
        }
    }

    /// Declares a local of the frame that is being built.
    fn local(&mut self, scope: &mut Scope, name: &str, ty: Type) -> Slot {
        let slot = scope.local(name, ty);
        self.locals = self.locals.max(slot.local().map_or(0, |local| local + 1));
        slot
    }

    /// The names at hand where a message is (`M` of the language).
    fn message_scope(&self, data: Type, key: Type) -> Scope {
        Scope::new()
            .with(names::DATA, data)
            .with(names::EVENT, names::event())
            .with(names::KEY, key)
            .with(names::HEADERS, names::headers())
            .with(names::RECORD, names::record())
            .with(names::PARAMS, self.params_type())
            .with(names::CTX, names::ctx())
    }

    fn params_type(&self) -> Type {
        match Type::of(&crate::record::Value::Map(self.params.clone())) {
            Type::Object(object) if !self.params_whole => {
                let mut object = (*object).clone();
                object.rest = Some(Type::Any);
                object.into()
            }
            ty => ty,
        }
    }
}

/// The sections that declare nodes.
struct Sections<'n> {
    aggregates: &'n [Entry],
    repositories: &'n [Entry],
    pipelines: &'n [Entry],
    sagas: &'n [Entry],
}

impl<'n> Sections<'n> {
    fn all(&self) -> impl Iterator<Item = &'n Entry> + use<'n> {
        self.aggregates.iter().chain(self.repositories).chain(self.pipelines).chain(self.sagas)
    }
}

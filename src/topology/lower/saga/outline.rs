//! The outline of a saga's body: who writes into `saga.data`, and what leads where. It is read before anything is compiled,
//! because what an expression may read depends on what is written elsewhere. Nothing is said here.

use crate::expr::Type;
use crate::record::Text;
use crate::topology::lower::Lower;
use crate::topology::lower::answers::rejection;
use crate::topology::lower::topics::elements;
use crate::topology::model::Source;
use crate::topology::model::saga::End;
use crate::topology::yaml::{Entry, Node};

/// The outline of a saga's body.
#[derive(Default)]
pub(super) struct Outline {
    /// Steps, those within a `parallel` behind it.
    pub(super) steps: Vec<OutlinedStep>,
    /// States by name.
    pub(super) states: Vec<OutlinedState>,
    /// The state that it begins in.
    pub(super) start: Option<usize>,
    /// From a state (`None`: from all that are not final), to a state, and the site of its `set`.
    pub(super) ways: Vec<(Option<usize>, Option<usize>, Option<usize>)>,
    pub(super) has_timeout: bool,
    led: bool,
}

pub(super) struct OutlinedStep {
    pub(super) name: Text,
    /// The step itself, or the `parallel` that holds it.
    pub(super) outermost: usize,
    /// Why it may be that its success is not come by although the saga goes on.
    pub(super) unsure: Option<Unsure>,
}

#[derive(Clone, Copy)]
pub(super) enum Unsure {
    Optional,
    Skipped,
    Each,
}

pub(super) struct OutlinedState {
    pub(super) name: Text,
    pub(super) end: Option<End>,
}

/// Where `saga.data` is written.
pub(super) struct Site<'n> {
    pub(super) set: &'n Node,
    pub(super) by: By,
    /// Type of `data` of the message that is at hand, if there is one.
    pub(super) data: Option<Type>,
    /// The list and the name of the element.
    pub(super) each: Option<(&'n Node, &'n str)>,
}

/// What writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The success of a step.
    Success(usize),
    /// The failure of a step.
    Failure(usize),
    /// An outcome of what undoes a step.
    Undone(usize),
    /// A transition.
    Way,
}

/// The ends of a saga of states, as `final` names them.
pub(super) const ENDS: [(&str, End); 3] =
    [("completed", End::Completed), ("compensated", End::Compensated), ("failed", End::Failed)];

impl Outline {
    /// Is it one of steps?
    pub(super) fn is_led(&self) -> bool {
        self.led
    }

    pub(super) fn state(&self, name: &str) -> Option<usize> {
        self.states.iter().position(|state| state.name == name)
    }
}

impl Lower<'_> {
    /// The outline of a saga, and where `saga.data` is written.
    pub(super) fn outline<'n>(&self, saga: &'n Node, sources: &[Source]) -> (Outline, Vec<Site<'n>>) {
        let mut sites = Vec::new();
        let mut outline = Outline { led: saga.get("states").is_none(), ..Outline::default() };
        outline.has_timeout = saga.get("timeout").is_some();
        if outline.led {
            for step in list(saga.get("steps")) {
                self.outline_step(step, None, sources, &mut outline, &mut sites);
            }
        } else {
            self.outline_states(saga, sources, &mut outline, &mut sites);
        }
        (outline, sites)
    }

    fn outline_step<'n>(
        &self,
        node: &'n Node,
        outer: Option<(usize, Option<Unsure>)>,
        sources: &[Source],
        outline: &mut Outline,
        sites: &mut Vec<Site<'n>>,
    ) {
        // What is no map takes its place too: indexes are those of the model.
        let index = outline.steps.len();
        let name = node.get("name").and_then(Node::scalar).map_or("", |scalar| scalar.text.as_str()).into();
        let is_optional = node.get("optional").and_then(Node::scalar).is_some_and(|scalar| scalar.text != "false");
        let unsure = match (node.get("when"), node.get("for_each")) {
            _ if is_optional => Some(Unsure::Optional),
            (Some(_), _) => Some(Unsure::Skipped),
            (None, Some(_)) => Some(Unsure::Each),
            (None, None) => outer.and_then(|(_, unsure)| unsure),
        };
        let outermost = outer.map_or(index, |(outermost, _)| outermost);
        outline.steps.push(OutlinedStep { name, outermost, unsure });
        let each = node.get("for_each").and_then(|each| Some((each.get("in")?, each.get("as")?.scalar()?.text.as_str())));
        self.outline_outcomes(node, [By::Success(index), By::Failure(index)], each, sources, sites);
        if let Some(compensate) = node.get("compensate") {
            self.outline_outcomes(compensate, [By::Undone(index); 2], each, sources, sites);
        }
        for inner in list(node.get("parallel")) {
            self.outline_step(inner, Some((outermost, unsure)), sources, outline, sites);
        }
    }

    fn outline_outcomes<'n>(
        &self,
        node: &'n Node,
        [success, failure]: [By; 2],
        each: Option<(&'n Node, &'n str)>,
        sources: &[Source],
        sites: &mut Vec<Site<'n>>,
    ) {
        for (name, by, succeeds) in [("success", success, true), ("failure", failure, false)] {
            if let Some(set) = node.get(name).and_then(|outcome| outcome.get("set")) {
                let data = self.answer_data(node, succeeds, sources);
                sites.push(Site { set, by, data, each });
            }
        }
    }

    /// Type of `data` of an answer to a step or a compensation; `None`: it is done at once, without one.
    pub(super) fn answer_data(&self, node: &Node, succeeds: bool, sources: &[Source]) -> Option<Type> {
        let types_of = |outcome: &str| {
            let types = node.get(outcome).and_then(|outcome| outcome.get("type")).map(elements).unwrap_or(&[]);
            types.iter().filter_map(|node| Some(Text::from(node.scalar()?.text.as_str()))).collect::<Vec<_>>()
        };
        let types = types_of(if succeeds { "success" } else { "failure" });
        match node.get("send") {
            _ if !types.is_empty() => Some(self.source_data(sources, Some(&types))),
            Some(_) if !types_of("success").is_empty() => Some(Type::Any),
            Some(send) if succeeds => Some(self.result_of(send)),
            Some(_) => Some(rejection()),
            None => None,
        }
    }

    fn outline_states<'n>(&self, saga: &'n Node, sources: &[Source], outline: &mut Outline, sites: &mut Vec<Site<'n>>) {
        let states: &[Entry] = saga.get("states").and_then(Node::map).unwrap_or(&[]);
        for entry in states {
            let end = entry.node.get("final").and_then(Node::scalar);
            let end = end.and_then(|end| ENDS.iter().find(|(name, _)| *name == end.text)).map(|(_, end)| *end);
            outline.states.push(OutlinedState { name: entry.key.as_str().into(), end });
        }
        let start = saga.get("start").and_then(|start| start.get("state")).and_then(Node::scalar);
        outline.start = start.and_then(|start| outline.state(&start.text));
        for (at, entry) in states.iter().enumerate() {
            for way in list(entry.node.get("transitions")) {
                self.outline_way(way, Some(at), sources, outline, sites);
            }
        }
        for way in list(saga.get("transitions")) {
            self.outline_way(way, None, sources, outline, sites);
        }
    }

    fn outline_way<'n>(
        &self,
        way: &'n Node,
        from: Option<usize>,
        sources: &[Source],
        outline: &mut Outline,
        sites: &mut Vec<Site<'n>>,
    ) {
        let to = way.get("to").and_then(Node::scalar).and_then(|to| outline.state(&to.text));
        let types = way.get("type").map(elements);
        let data = types.map(|types| {
            let kinds: Vec<Text> = types.iter().filter_map(|node| Some(node.scalar()?.text.as_str().into())).collect();
            self.source_data(sources, Some(&kinds))
        });
        let site = way.get("set").map(|set| {
            sites.push(Site { set, by: By::Way, data, each: None });
            sites.len() - 1
        });
        outline.ways.push((from, to, site));
    }
}

fn list(node: Option<&Node>) -> &[Node] {
    node.filter(|node| !node.is_null()).map(elements).unwrap_or(&[])
}

//! Pipelines: their steps in order, and what is known of the record on its way through them.

use super::Lower;
use super::exprs::Want;
use super::fields::{Fields, Shape};
use super::message::{Current, Sender};
use super::scalars::TYPE;
use super::sources::Input;
use super::topics::elements;
use super::usage::Words;
use crate::expr::{Field, Object, Scope, Type, names};
use crate::record::Text;
use crate::topology::diagnostic::finding;
use crate::topology::model::{Arm, Dedupe, Operator, Pipeline, Source, Step};
use crate::topology::yaml::{Entry, Kind, Node};
use jiff::SignedDuration;

const PIPELINE: Shape = Shape::new("a pipeline", &["description", "from", "type", "steps", "replies", "store", "errors"], &[]);
const STEP: Shape = Shape::new(
    "a step",
    &[
        "name",
        "description",
        "let",
        "filter",
        "rekey",
        "flat_map",
        "map",
        "set",
        "validate",
        "require",
        "branch",
        "emit",
        "reply",
        "dedupe",
    ],
    &["call", "join", "window"],
);
const OPERATORS: [&str; 11] =
    ["filter", "rekey", "flat_map", "map", "set", "validate", "require", "branch", "emit", "reply", "dedupe"];
const DEDUPE: Shape = Shape::new("a `dedupe`", &["by", "within"], &[]);
const ARM: Shape = Shape::new("an arm of a branch", &["when", "steps"], &[]);

/// What is known of the record in hand.
#[derive(Clone)]
struct Flow {
    scope: Scope,
    data: Type,
    key: Type,
    /// Its possible types; `None`: not known.
    kinds: Option<Vec<Text>>,
    changed: bool,
    rekeyed: bool,
    /// Has a filter let nothing through?
    ended: bool,
}

impl Flow {
    fn set_data(&mut self, data: Type) {
        self.scope.set(names::DATA, data.clone());
        self.data = data;
        self.changed = true;
    }

    fn sender(&self) -> Sender<'_> {
        Sender::step(Current {
            kinds: self.kinds.as_deref(),
            data: self.data.clone(),
            changed: self.changed,
            rekeyed: self.rekeyed,
        })
    }
}

impl Lower<'_> {
    pub(super) fn pipeline(&mut self, entry: &Entry, defaults: Option<&Node>) -> Option<Pipeline> {
        let fields = self.fields(&entry.node, &PIPELINE)?;
        let from = self.required(&fields, "from", &PIPELINE);
        let input = from.map_or(Input { sources: Vec::new(), keys: Vec::new() }, |node| self.input(node));
        for node in input.keys.iter().flatten() {
            let found = finding("E105", "a source of a pipeline has no `key`").hint("`rekey` is the step that does this");
            self.say(node.range.clone(), found);
        }
        let sources = input.sources;
        let types = fields.get("type").map(|node| self.handled_types(node, &sources));
        let kinds = types.clone().or_else(|| self.source_types(&sources));
        let data = self.source_data(&sources, types.as_deref());
        let key = self.record_key(&sources);
        let scope = self.message_scope(data.clone(), key.clone());
        let steps_scope = scope.clone().with(names::CTX, names::ctx_of_try());
        let mut flow = Flow { scope: steps_scope, data, key, kinds, changed: false, rekeyed: false, ended: false };
        self.locals = 0;
        self.results.clear();
        self.keepers.clear();
        let steps = match self.required(&fields, "steps", &PIPELINE) {
            Some(node) => self.steps(node, &Words::of(node), &mut flow),
            None => Vec::new(),
        };
        let locals = self.locals;
        let results = std::mem::take(&mut self.results);
        let result = (!results.is_empty()).then(|| Type::join_all(results));
        self.answering(&entry.key, &sources, types.clone(), result);
        let errors = self.errors(fields.get("errors").filter(|node| !node.is_null()), defaults, &scope, &Sender::failure());
        Some(Pipeline {
            name: entry.key.as_str().into(),
            description: fields.get("description").and_then(|node| self.text(node)),
            sources,
            types,
            steps,
            locals,
            store: self.store_kind(&fields),
            replies: fields.get("replies").and_then(|node| self.topic_named(node)),
            errors,
            at: self.position(entry.key_range.start),
        })
    }

    fn handled_types(&mut self, node: &Node, sources: &[Source]) -> Vec<Text> {
        let mut types = Vec::new();
        for item in elements(node) {
            if let Some(kind) = self.word(item, &TYPE) {
                self.sourced_type(&kind, item.range.clone(), sources);
                types.push(kind);
            }
        }
        types.sort();
        types.dedup();
        types
    }

    /// Steps of the pipeline or of an arm; `words` are those of the whole pipeline.
    fn steps(&mut self, node: &Node, words: &Words<'_>, flow: &mut Flow) -> Vec<Step> {
        let Kind::List(items) = &node.kind else {
            self.wrong_kind(node, "a list of steps");
            return Vec::new();
        };
        let mut steps = Vec::new();
        for item in items {
            if flow.ended {
                let found = finding("E803", "this step is never reached").cause("the filter before lets nothing through");
                self.say(self.head(item), found);
                flow.ended = false;
            }
            steps.extend(self.step(item, words, flow));
        }
        steps
    }

    fn step(&mut self, node: &Node, words: &Words<'_>, flow: &mut Flow) -> Option<Step> {
        let fields = self.fields(node, &STEP)?;
        let name = fields.get("name").and_then(|node| self.word(node, &super::scalars::NAME));
        if let Some(node) = fields.get("description") {
            self.text(node);
        }
        let mut scope = flow.scope.clone();
        let lets = self.lets(fields.get("let"), words, &mut scope);
        flow.scope = scope;
        let written: Vec<&str> = OPERATORS.iter().copied().filter(|name| fields.get(name).is_some()).collect();
        let unbuilt = STEP.later.iter().any(|name| fields.get(name).is_some());
        let operator = match written.as_slice() {
            [] if fields.get("let").is_some() || unbuilt => None,
            [] => {
                let found = finding("E801", "the step does nothing").hint(format!("one of {}", listed(&OPERATORS)));
                self.say(self.head(node), found);
                return None;
            }
            [only] => Some(self.operator(only, name.as_ref(), &fields, words, flow)?),
            several => {
                let found = finding("E801", format!("{} in one step", listed(several))).hint("write one step for each");
                self.say(fields.key_range(several[1]), found);
                return None;
            }
        };
        Some(Step { name, lets, operator, at: self.position(node.range.start) })
    }

    fn operator(
        &mut self,
        name: &str,
        step: Option<&Text>,
        fields: &Fields<'_>,
        words: &Words<'_>,
        flow: &mut Flow,
    ) -> Option<Operator> {
        let node = fields.get(name)?;
        Some(match name {
            "filter" => {
                let (expr, _) = self.expr(node, &flow.scope, Want::Bool)?;
                flow.ended = expr.text.trim() == "false";
                Operator::Filter(expr)
            }
            "rekey" => {
                let (expr, _) = self.expr(node, &flow.scope, Want::Text)?;
                flow.key = Type::String;
                flow.rekeyed = true;
                flow.scope.set(names::KEY, Type::String);
                Operator::Rekey(expr)
            }
            "flat_map" => {
                let (expr, ty) = self.expr(node, &flow.scope, Want::List)?;
                flow.set_data(match ty {
                    Type::List(element) => (*element).clone(),
                    _ => Type::Any,
                });
                Operator::FlatMap(expr)
            }
            "map" => {
                let compiled = self.template(node, &flow.scope);
                flow.set_data(compiled.as_ref().map_or(Type::Any, |(_, ty)| ty.clone()));
                Operator::Map(compiled?.0)
            }
            "set" => {
                if !flow.data.meets(&Type::map(Type::Any)) {
                    let found = finding("E808", format!("`set` assigns fields of a map, the data is {} here", flow.data));
                    self.say(fields.key_range("set"), found);
                }
                let compiled = self.template(node, &flow.scope);
                let assigned = compiled.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
                self.set_is_map(node, &assigned);
                let data = assigned_to(&flow.data, &assigned);
                flow.set_data(data);
                Operator::Set(compiled?.0)
            }
            "validate" => match self.json_schema(node) {
                Ok(Some(schema)) => {
                    flow.scope.set(names::DATA, schema.ty.clone());
                    flow.data = schema.ty.clone();
                    Operator::Validate(schema)
                }
                Ok(None) => {
                    self.wrong_kind(node, "a schema that says something");
                    return None;
                }
                Err(()) => {
                    flow.scope.set(names::DATA, Type::Any);
                    flow.data = Type::Any;
                    return None;
                }
            },
            "require" => Operator::Require(self.require(node, &flow.scope, &flow.sender())),
            "branch" => Operator::Branch(self.branch(node, words, flow)?),
            "emit" => Operator::Emit(self.messages(node, &flow.scope, &flow.sender())),
            "reply" => {
                let (template, ty) = self.template(node, &flow.scope)?;
                self.results.push(ty);
                Operator::Reply(template)
            }
            "dedupe" => Operator::Dedupe(self.dedupe(node, step, fields, flow)?),
            _ => return None,
        })
    }

    fn dedupe(&mut self, node: &Node, step: Option<&Text>, outer: &Fields<'_>, flow: &Flow) -> Option<Dedupe> {
        if flow.rekeyed {
            let found = finding("E117", "a `dedupe` behind a `rekey` is not in this build");
            let found = found.cause("records of the new key lie in several partitions, and are known again in their own only");
            self.say(outer.key_range("dedupe"), found.hint("put it before, or behind a topic that is keyed so"));
        }
        match step {
            None if outer.get("name").is_none() => {
                let found = finding("E802", "a `dedupe` needs a `name`");
                self.say(
                    outer.key_range("dedupe"),
                    found.cause("what it has seen is found by it").hint("give the step a `name`"),
                );
            }
            Some(name) if self.keepers.contains(name) => {
                let found = finding("E802", format!("another step that keeps something is named `{name}`"));
                let range = outer.get("name").map_or(node.range.clone(), |name| name.range.clone());
                self.say(range, found.cause("what it has seen is found by it").hint("each needs a name of its own"));
            }
            Some(name) => self.keepers.push(name.clone()),
            None => {}
        }
        let fields = self.fields(node, &DEDUPE)?;
        let by = self.required(&fields, "by", &DEDUPE).and_then(|node| self.expr(node, &flow.scope, Want::Any));
        let within = self.required(&fields, "within", &DEDUPE);
        let length = within.and_then(|node| self.duration(node));
        if let (Some(node), Some(SignedDuration::ZERO)) = (within, length) {
            let found =
                finding("E113", "nothing is seen twice within no time").hint("as long as a repetition may come, as `10m`");
            self.say(node.range.clone(), found);
        }
        Some(Dedupe { name: step?.clone(), by: by?.0, within: length? })
    }

    fn branch(&mut self, node: &Node, words: &Words<'_>, flow: &mut Flow) -> Option<Vec<Arm>> {
        let Kind::List(items) = &node.kind else {
            self.wrong_kind(node, "a list of arms, each with `when` and `steps`");
            return None;
        };
        let mut arms = Vec::new();
        let mut ends: Vec<Flow> = Vec::new();
        let mut has_else = false;
        for (at, item) in items.iter().enumerate() {
            let Some(fields) = self.fields(item, &ARM) else { continue };
            let when = self.optional_expr(&fields, "when", &flow.scope, Want::Bool);
            if fields.get("when").is_none() {
                has_else = true;
                if at + 1 < items.len() {
                    let found = finding("E804", "the arm without `when` takes all: those after it are never reached");
                    self.say(self.head(item), found.hint("put it last"));
                }
            }
            let mut inner = flow.clone();
            let steps = match self.required(&fields, "steps", &ARM) {
                Some(node) => self.steps(node, words, &mut inner),
                None => Vec::new(),
            };
            if !inner.ended {
                ends.push(inner);
            }
            arms.push(Arm { when, steps });
        }
        if !has_else || ends.is_empty() {
            ends.push(flow.clone());
        }
        // What goes on after the branch may have come by any of its arms.
        flow.data = Type::join_all(ends.iter().map(|end| end.data.clone()));
        flow.key = Type::join_all(ends.iter().map(|end| end.key.clone()));
        flow.changed = ends.iter().any(|end| end.changed);
        flow.rekeyed = ends.iter().any(|end| end.rekeyed);
        flow.scope.set(names::DATA, flow.data.clone());
        flow.scope.set(names::KEY, flow.key.clone());
        Some(arms)
    }
}

/// Type of data after fields were assigned.
fn assigned_to(data: &Type, assigned: &Type) -> Type {
    match (data, assigned) {
        (Type::Object(data), Type::Object(assigned)) => {
            let mut fields = data.fields.clone();
            for (name, field) in &assigned.fields {
                let (ty, required) = match (&field.ty, fields.get(name)) {
                    // One that may be left out leaves what was there.
                    (ty, Some(known)) if !field.required => (known.ty.join(unwrapped(ty)), known.required),
                    (ty, _) => (unwrapped(ty).clone(), field.required),
                };
                fields.insert(name.clone(), Field { ty, required });
            }
            let rest = match (&data.rest, &assigned.rest) {
                (None, None) => None,
                _ => Some(Type::Any),
            };
            Object { fields, rest }.into()
        }
        (Type::Any, Type::Object(assigned)) => Object { fields: assigned.fields.clone(), rest: Some(Type::Any) }.into(),
        _ => Type::map(Type::Any),
    }
}

fn unwrapped(ty: &Type) -> &Type {
    match ty {
        Type::Optional(inner) => inner,
        ty => ty,
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

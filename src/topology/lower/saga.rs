//! Sagas: what both forms have in common. The steps are in `steps`, the states in `states`, what is known of `saga.data` in
//! `data`.

mod data;
mod durations;
mod graph;
mod outline;
mod states;
mod steps;
mod undo;

pub(super) use data::{Data, Place};
pub(super) use steps::hears_replies;

use super::Lower;
use super::exprs::Want;
use super::fields::{Fields, Shape};
use super::message::Sender;
use super::scalars::TYPE;
use super::sources::Input;
use super::topics::elements;
use crate::expr::{Scope, Type, names};
use crate::record::Text;
use crate::topology::diagnostic::{Finding, finding};
use crate::topology::model::saga::{Body, Early, EarlyThen, End, Ending, Start, Taken};
use crate::topology::model::{Saga, Source, Template};
use crate::topology::yaml::{Entry, Node};
use jiff::SignedDuration;
use std::ops::Range;
use std::rc::Rc;

const SAGA: Shape = Shape::new(
    "a saga",
    &[
        "description",
        "from",
        "key",
        "start",
        "early",
        "compensation",
        "cancel",
        "timeout",
        "retain",
        "completed",
        "compensated",
        "failed",
        "steps",
        "states",
        "transitions",
        "errors",
    ],
    &[],
);
const START: Shape = Shape::new("`start`", &["type", "when", "data"], &[]);
const START_STATE: Shape = Shape::new("`start`", &["type", "when", "data", "state"], &[]);
const EARLY: Shape = Shape::new("`early`", &["within", "limit", "then"], &[]);
const ENDING: Shape = Shape::new("the end of a saga", &["emit", "reply"], &[]);

const RETAIN: SignedDuration = SignedDuration::from_hours(7 * 24);
const EARLY_WITHIN: SignedDuration = SignedDuration::from_mins(10);
const EARLY_LIMIT: u32 = 100;

/// What is at hand while a saga is lowered.
struct Common {
    name: Text,
    sources: Vec<Source>,
    /// Type of a record's key over all sources.
    key: Type,
}

/// The fields of a saga that belong to one form, and the form.
const OF_STEPS: [&str; 2] = ["compensation", "cancel"];
const OF_STATES: [&str; 1] = ["transitions"];

impl Lower<'_> {
    /// The section `sagas`.
    pub(super) fn sagas(&mut self, entries: &[Entry], defaults: Option<&Node>) -> Vec<Saga> {
        for entry in entries {
            self.saga_answers(entry);
        }
        entries.iter().filter_map(|entry| self.saga(entry, defaults)).collect()
    }

    fn saga(&mut self, entry: &Entry, defaults: Option<&Node>) -> Option<Saga> {
        let fields = self.fields(&entry.node, &SAGA)?;
        let led = self.form(&fields, entry)?;
        let from = self.required(&fields, "from", &SAGA);
        let mut input = from.map_or(Input { sources: Vec::new(), keys: Vec::new() }, |node| self.input(node));
        let key_type = self.record_key(&input.sources);
        let common = Common { name: entry.key.as_str().into(), sources: input.sources.clone(), key: key_type.clone() };
        self.locals = 0;

        let (start, start_type) = self.saga_start(&fields, led, &common);
        let (outline, sites) = self.outline(&entry.node, &common.sources);
        let data = Rc::new(self.saga_data(&start_type, outline, &sites, &key_type));
        self.saga = Some((data.clone(), Place::Left));
        let timeout = fields.get("timeout").and_then(|node| self.duration(node));
        let (body, mut takes) = match led {
            true => self.saga_steps(&fields, &common, timeout),
            false => self.saga_states(&fields, &common, &data, timeout),
        };
        let ending = |lower: &mut Self, name: &str, place| lower.ending(&fields, name, place);
        let completed = ending(self, "completed", if led { Place::Done } else { Place::End(End::Completed) });
        let compensated = ending(self, "compensated", if led { Place::Left } else { Place::End(End::Compensated) });
        let failed = ending(self, "failed", Place::End(End::Failed));
        self.saga = None;
        self.never_ends_so(&fields, &body, timeout.is_some());

        for kind in start.iter().flat_map(|start| &start.types) {
            take(&mut takes, kind).starts = true;
        }
        let kinds: Vec<Text> = takes.iter().map(|taken| taken.kind.clone()).collect();
        let key = self.node_keys(&fields, &mut input, &kinds);
        let locals = self.locals;
        let scope = self.message_scope(self.source_data(&input.sources, Some(&kinds)), key_type);
        let errors = fields.get("errors").filter(|node| !node.is_null());
        let errors = self.errors(errors, defaults, &scope, &Sender::failure());
        Some(Saga {
            name: entry.key.as_str().into(),
            description: fields.get("description").and_then(|node| self.text(node)),
            // Known when the whole file is.
            definition: Text::default(),
            sources: input.sources,
            key,
            start: start?,
            early: self.early(&fields),
            body,
            timeout,
            retain: fields.get("retain").and_then(|node| self.duration(node)).unwrap_or(RETAIN),
            completed,
            compensated,
            failed,
            data: data.ty.clone(),
            takes,
            replies: self.topics.find(&self.derived(&entry.key, "replies")),
            history: self.topics.find(&self.derived(&entry.key, "history"))?,
            locals: locals.max(errors.locals),
            errors,
            at: self.position(entry.key_range.start),
        })
    }

    /// E701: is it one of steps?
    fn form(&mut self, fields: &Fields<'_>, entry: &Entry) -> Option<bool> {
        let led = match (fields.get("steps"), fields.get("states")) {
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(_), Some(_)) => {
                let found = finding("E701", format!("`{}` has steps and states", entry.key));
                self.say(fields.key_range("states"), found.hint("two sagas can wait for each other's messages"));
                return None;
            }
            (None, None) => {
                let found = finding("E701", format!("`{}` has neither `steps` nor `states`", entry.key));
                let hint = "`steps` are done one after the other, `states` follow what others do";
                self.say(entry.key_range.clone(), found.hint(hint));
                return None;
            }
        };
        let (foreign, form, hint): (&[&str], _, _) = match led {
            true => (&OF_STATES, "steps", "what others do is waited for by a step with `success` and no action"),
            false => (&OF_STEPS, "states", "a transition in the list `transitions` of the saga holds in every state"),
        };
        for name in foreign.iter().filter(|name| fields.get(name).is_some()) {
            let found = finding("E105", format!("a saga of {form} has no `{name}`")).hint(hint);
            self.say(fields.key_range(name), found);
        }
        Some(led)
    }

    fn saga_start(&mut self, fields: &Fields<'_>, led: bool, common: &Common) -> (Option<Start>, Type) {
        let shape = if led { &START } else { &START_STATE };
        let empty: Type = crate::expr::Object::closed().into();
        let Some(node) = self.required(fields, "start", &SAGA) else { return (None, Type::Any) };
        let Some(fields) = self.fields(node, shape) else { return (None, Type::Any) };
        let types = self.required(&fields, "type", shape).map(|node| self.types_of(node, common)).unwrap_or_default();
        let data = self.source_data(&common.sources, Some(&types));
        let scope = self.message_scope(data, common.key.clone());
        let when = self.optional_expr(&fields, "when", &scope, Want::Bool);
        let (data, ty) = match fields.get("data") {
            None => (Some(self.empty_template(node.range.start)), empty),
            Some(node) => match self.template(node, &scope) {
                Some((template, ty)) => {
                    if !ty.meets(&Type::map(Type::Any)) {
                        self.say(node.range.clone(), finding("E107", format!("`saga.data` is a map, this is {ty}")));
                    }
                    (Some(template), ty)
                }
                None => (None, Type::Any),
            },
        };
        (data.map(|data| Start { types, when, data }), ty)
    }

    fn early(&mut self, fields: &Fields<'_>) -> Early {
        let mut early = Early { within: EARLY_WITHIN, limit: EARLY_LIMIT, then: EarlyThen::DeadLetter };
        let Some(fields) = fields.get("early").and_then(|node| self.fields(node, &EARLY)) else { return early };
        if let Some(within) = fields.get("within").and_then(|node| self.duration(node)) {
            early.within = within;
        }
        if let Some(limit) = fields.get("limit").and_then(|node| self.integer(node, 0..=10_000)) {
            early.limit = u32::try_from(limit).unwrap_or(EARLY_LIMIT);
        }
        let words = [("dead_letter", EarlyThen::DeadLetter), ("drop", EarlyThen::Drop)];
        if let Some(then) = fields.get("then").and_then(|node| self.one_of(node, &words, &[])) {
            early.then = then;
        }
        early
    }

    fn ending(&mut self, fields: &Fields<'_>, name: &str, place: Place) -> Ending {
        let Some(node) = fields.get(name).filter(|node| !node.is_null()) else { return Ending::default() };
        let Some(fields) = self.fields(node, &ENDING) else { return Ending::default() };
        let scope = self.saga_scope(place);
        let emit = fields.get("emit").map(|node| self.messages(node, &scope, &Sender::saga())).unwrap_or_default();
        let reply = fields.get("reply").and_then(|node| self.template(node, &scope)).map(|(template, _)| template);
        Ending { emit, reply }
    }

    /// E709: what is said about an end that never comes.
    fn never_ends_so(&mut self, fields: &Fields<'_>, body: &Body, has_timeout: bool) {
        for (name, end) in outline::ENDS {
            let comes = match body {
                Body::Steps(_) => end != End::Failed,
                Body::States(body) => {
                    body.states.iter().any(|state| state.end == Some(end)) || end == End::Failed && has_timeout
                }
            };
            if comes || fields.get(name).is_none() {
                continue;
            }
            let found = finding("E709", format!("the saga never ends as `{name}`"));
            let found = match body {
                Body::Steps(_) => found.hint("one of steps ends as `completed` or `compensated`"),
                Body::States(_) => found.hint(format!("no state has `final: {name}`")),
            };
            self.say(fields.key_range(name), found);
        }
    }

    /// Message types that must come from the saga's sources; sorted.
    fn types_of(&mut self, node: &Node, common: &Common) -> Vec<Text> {
        let mut types = Vec::new();
        for item in elements(node) {
            if let Some(kind) = self.word(item, &TYPE) {
                self.sourced_type(&kind, item.range.clone(), &common.sources);
                types.push(kind);
            }
        }
        types.sort();
        types.dedup();
        types
    }

    /// The names at a place of a saga (`S` of the language). What is compiled from here on stands there.
    fn saga_scope(&mut self, place: Place) -> Scope {
        let saga = match &mut self.saga {
            Some((data, at)) => {
                *at = place;
                data.saga(place)
            }
            None => Type::Any,
        };
        let scope = Scope::new().with(names::PARAMS, self.params_type()).with(names::CTX, names::ctx());
        scope.with(names::SAGA, saga)
    }

    /// The same with the names of a message.
    fn with_message(&self, scope: &Scope, data: Type, key: Type) -> Scope {
        scope
            .clone()
            .with(names::DATA, data)
            .with(names::EVENT, names::event())
            .with(names::KEY, key)
            .with(names::HEADERS, names::headers())
            .with(names::RECORD, names::record())
    }

    /// A `set` into `saga.data`.
    fn saga_set(&mut self, node: Option<&Node>, scope: &Scope) -> Option<Template> {
        let node = node?;
        let (template, ty) = self.template(node, scope)?;
        self.set_is_map(node, &ty);
        Some(template)
    }

    /// What is said of a field of `saga.data` in place of what is said of any field (E307, W302): E705 and E706. `range` is that
    /// of its name in the text of the expression.
    pub(super) fn saga_field(&self, text: &str, range: Range<usize>, code: &str) -> Option<Finding> {
        let (data, place) = self.saga.as_ref()?;
        let before = text.get(..range.start)?.trim_end().trim_end_matches('?');
        let root = before.strip_suffix(['.', '['])?.trim_end().strip_suffix("saga.data")?;
        if root.ends_with(|letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.')) {
            return None;
        }
        let field = text.get(range)?.trim_matches(['\'', '"']);
        if code == "E307" {
            let found = finding("E705", format!("`saga.data` has no field `{field}`"));
            return Some(found.cause("neither `start.data` nor a `set` writes it"));
        }
        let found = finding("E706", format!("`saga.data.{field}` may not be set here")).cause(data.why_missing(field, *place)?);
        Some(found.hint(format!("ask `has(saga.data.{field})` first, or give it in `start.data`")))
    }

    fn reason(&mut self, fields: &Fields<'_>, scope: &Scope) -> Option<Template> {
        fields.get("reason").and_then(|node| self.text_template(node, scope))
    }
}

/// The entry of a type, made where there is none.
fn take<'t>(takes: &'t mut Vec<Taken>, kind: &Text) -> &'t mut Taken {
    let at = match takes.binary_search_by(|taken| taken.kind.cmp(kind)) {
        Ok(at) => at,
        Err(at) => {
            let taken = Taken { kind: kind.clone(), starts: false, cancels: false, answers: Vec::new(), moves: false };
            takes.insert(at, taken);
            at
        }
    };
    &mut takes[at]
}

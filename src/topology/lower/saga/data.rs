//! What is known of `saga.data`: the type of its fields, and which of them are there at which place.
//!
//! The types are inferred from `start.data` and every `set`, as an aggregate's state is. Whether a field is there follows from
//! what has certainly been done before: of steps those before that are neither optional nor may be skipped, of states what lies
//! on every way from the start. So what a compensation reads was not told by the very answer that may never have come.

use super::outline::{By, Outline, Site, Unsure};
use crate::expr::{Field, Object, Scope, Type, names};
use crate::record::Text;
use crate::topology::lower::Lower;
use crate::topology::lower::state::TypeOfSet;
use crate::topology::model::saga::End;
use std::collections::BTreeSet;

/// A place in a saga where expressions stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::topology::lower) enum Place {
    /// A step, before its answer.
    Step(usize),
    /// What undoes a step.
    Undo(usize),
    /// Behind the last step.
    Done,
    /// Wherever the steps were left: `cancel`, `compensated`.
    Left,
    /// A state, once entered.
    State(usize),
    /// The transitions beside the states.
    Everywhere,
    /// The end of a saga of states.
    End(End),
}

/// What is known of `saga.data`.
pub(in crate::topology::lower) struct Data {
    /// Its type; a field is required that `start` always gives.
    pub(super) ty: Type,
    /// The fields that `start.data` has, where it says all of them.
    start: Option<BTreeSet<Text>>,
    writers: Vec<Writer>,
    outline: Outline,
    /// Of each state, what is there once it is entered; `None`: it is never entered.
    entered: Vec<Option<BTreeSet<Text>>>,
}

struct Writer {
    by: By,
    /// Fields that it always writes.
    always: BTreeSet<Text>,
    /// Fields that it may write.
    may: BTreeSet<Text>,
}

impl Lower<'_> {
    /// What is known of the data of a saga that begins with data of this type.
    pub(super) fn saga_data(&self, start: &Type, outline: Outline, sites: &[Site<'_>], key: &Type) -> Data {
        let led = outline.is_led();
        let type_of_set = |lower: &Self, site: &Site<'_>, data: &Type| {
            let mut scope = lower.outcome_scope(site.data.clone(), key, names::saga(data.clone(), led));
            if let Some((list, name)) = site.each {
                let element = match lower.trial_type(list, &scope) {
                    Type::List(element) => (*element).clone(),
                    _ => Type::Any,
                };
                if scope.check_name(name).is_none() {
                    scope.local(name, element);
                }
            }
            lower.trial_template(site.set, &scope)
        };
        let closures: Vec<Box<TypeOfSet<'_, '_>>> = sites
            .iter()
            .map(|site| Box::new(move |lower: &Self, data: &Type| type_of_set(lower, site, data)) as Box<_>)
            .collect();
        let ty = self.inferred_state(start, &closures);
        drop(closures);
        let names = |ty: &Type, all: bool| match ty {
            Type::Object(object) => {
                object.fields.iter().filter(|(_, field)| all || field.required).map(|(name, _)| name.clone()).collect()
            }
            _ => BTreeSet::new(),
        };
        let writers: Vec<Writer> = sites
            .iter()
            .map(|site| {
                let written = type_of_set(self, site, &ty);
                // A field whose value may be none is then left as it was.
                Writer { by: site.by, always: names(&without_optionals(&written), false), may: names(&written, true) }
            })
            .collect();
        let closed = match start {
            Type::Object(object) => object.rest.is_none().then(|| names(start, true)),
            _ => None,
        };
        let mut data = Data { ty, start: closed, writers, outline, entered: Vec::new() };
        data.enter(names(start, false));
        data
    }

    /// `saga`, `params`, `ctx`, and the names of a message, if there is one.
    fn outcome_scope(&self, message: Option<Type>, key: &Type, saga: Type) -> Scope {
        let scope = match message {
            Some(message) => self.message_scope(message, key.clone()),
            None => Scope::new().with(names::PARAMS, self.params_type()).with(names::CTX, names::ctx()),
        };
        scope.with(names::SAGA, saga)
    }
}

fn without_optionals(ty: &Type) -> Type {
    match ty {
        Type::Object(object) => {
            let field = |field: &Field| Field { ty: field.ty.clone(), required: field.required && !field.ty.is_optional() };
            let fields = object.fields.iter().map(|(name, known)| (name.clone(), field(known))).collect();
            Object { fields, rest: object.rest.clone() }.into()
        }
        ty => ty.clone(),
    }
}

impl Data {
    /// A state by its name.
    pub(super) fn state(&self, name: &str) -> Option<usize> {
        self.outline.state(name)
    }

    /// The names of all states.
    pub(super) fn states(&self) -> impl Iterator<Item = &str> {
        self.outline.states.iter().map(|state| state.name.as_str())
    }

    /// `saga` at a place.
    pub(super) fn saga(&self, place: Place) -> Type {
        names::saga(self.at(place), self.outline.is_led())
    }

    /// `saga.data` at a place: what is certainly there is required.
    fn at(&self, place: Place) -> Type {
        let Type::Object(object) = &self.ty else { return self.ty.clone() };
        let there = self.there(place);
        let mut fields = object.fields.clone();
        for (name, field) in &mut fields {
            field.required |= there.contains(name);
        }
        Object { fields, rest: object.rest.clone() }.into()
    }

    /// What was written for certain before a place, beside what `start` gives.
    fn there(&self, place: Place) -> BTreeSet<Text> {
        let before = match place {
            Place::State(state) => return self.entered.get(state).cloned().flatten().unwrap_or_default(),
            Place::End(end) => return self.ended(end),
            Place::Left | Place::Everywhere => return BTreeSet::new(),
            Place::Step(step) | Place::Undo(step) => self.outline.steps[step].outermost,
            Place::Done => usize::MAX,
        };
        let done = |writer: &&Writer| match writer.by {
            By::Success(step) => {
                let step = &self.outline.steps[step];
                step.outermost < before && step.unsure.is_none()
            }
            _ => false,
        };
        self.writers.iter().filter(done).flat_map(|writer| writer.always.iter().cloned()).collect()
    }

    /// What is there at an end, whichever state it is.
    fn ended(&self, end: End) -> BTreeSet<Text> {
        // It fails from wherever it is when its time is over.
        if end == End::Failed && self.outline.has_timeout {
            return BTreeSet::new();
        }
        let states = self.outline.states.iter().zip(&self.entered).filter(|(state, _)| state.end == Some(end));
        let entered: Vec<&BTreeSet<Text>> = states.filter_map(|(_, entered)| entered.as_ref()).collect();
        let Some((first, others)) = entered.split_first() else { return BTreeSet::new() };
        first.iter().filter(|name| others.iter().all(|other| other.contains(*name))).cloned().collect()
    }

    /// Follows all ways from the start until nothing is known to be there that may be missing.
    fn enter(&mut self, at_start: BTreeSet<Text>) {
        self.entered = vec![None; self.outline.states.len()];
        let Some(start) = self.outline.start.filter(|start| *start < self.entered.len()) else { return };
        self.entered[start] = Some(at_start);
        let mut changed = vec![start];
        while let Some(from) = changed.pop() {
            if self.outline.states[from].end.is_some() {
                continue;
            }
            let there = self.entered[from].clone().unwrap_or_default();
            for (origin, to, site) in &self.outline.ways {
                let Some(to) = to.filter(|_| origin.is_none_or(|origin| origin == from)) else { continue };
                let mut then = there.clone();
                then.extend(site.iter().flat_map(|site| self.writers[*site].always.iter().cloned()));
                let known = &mut self.entered[to];
                let less = match known {
                    None => then,
                    Some(known) => known.intersection(&then).cloned().collect(),
                };
                if known.as_ref() != Some(&less) {
                    *known = Some(less);
                    changed.push(to);
                }
            }
        }
    }

    /// Why a field that something writes may not be there; `None` where `start` may give it, or nothing is known.
    pub(super) fn why_missing(&self, field: &str, place: Place) -> Option<String> {
        let start = self.start.as_ref()?;
        if start.contains(field) {
            return None;
        }
        let writer = self.writers.iter().filter(|writer| writer.may.contains(field)).min_by_key(|writer| match writer.by {
            By::Success(step) => (0, step),
            By::Failure(step) | By::Undone(step) => (1, step),
            By::Way => (2, 0),
        })?;
        Some(self.why(writer, field, place))
    }

    fn why(&self, writer: &Writer, field: &str, place: Place) -> String {
        let step = match writer.by {
            By::Way => return "nothing sets it on some way to here".to_owned(),
            By::Failure(step) => return format!("only the failure of `{}` sets it", self.outline.steps[step].name),
            By::Undone(step) => return format!("only what undoes `{}` sets it", self.outline.steps[step].name),
            By::Success(step) => step,
        };
        let outlined = &self.outline.steps[step];
        let name = &outlined.name;
        let here = match place {
            Place::Undo(here) if here == step => return "the answer of the step that is undone sets it".to_owned(),
            Place::Step(here) if here == step => return "the answer of this step sets it".to_owned(),
            Place::Step(here) | Place::Undo(here) => Some(self.outline.steps[here].outermost),
            Place::Left => return format!("the saga may not have come to step `{name}`, which sets it"),
            _ => None,
        };
        match here {
            Some(here) if outlined.outermost > here => format!("step `{name}`, which sets it, comes later"),
            Some(here) if outlined.outermost == here => format!("step `{name}`, which sets it, is done beside this one"),
            _ => match outlined.unsure {
                Some(Unsure::Optional) => format!("step `{name}`, which sets it, is optional"),
                Some(Unsure::Skipped) => format!("step `{name}`, which sets it, may be skipped"),
                Some(Unsure::Each) => format!("step `{name}`, which sets it, is done for each element, and there may be none"),
                None => format!("what step `{name}` sets `{field}` to may be none"),
            },
        }
    }
}

//! What is known of an aggregate's state: declared, or inferred from `initial` and every `set`.

use super::Lower;
use crate::expr::{Field, Object, Type};
use crate::record::Text;
use crate::topology::yaml::Node;
use std::collections::BTreeMap;

/// How often inference goes round before what still changes is taken for anything.
const ROUNDS_MAX: usize = 4;

/// A `set` to infer from: its template, and its type under a given state.
pub(super) type TypeOfSet<'s, 'l> = dyn Fn(&Lower<'l>, &Type) -> Type + 's;

impl<'l> Lower<'l> {
    /// The type of the state, from that of `initial` and those of all `set`s. Fields that only a `set` writes may be missing.
    pub(super) fn inferred_state(&self, initial: &Type, sets: &[Box<TypeOfSet<'_, 'l>>]) -> Type {
        let Type::Object(initial) = widened(initial) else { return Type::map(Type::Any) };
        let mut fields = initial.fields.clone();
        let mut open = initial.rest.is_some();
        for round in 0..=ROUNDS_MAX {
            // While it is not known yet, fields of other `set`s are anything.
            let rest = if open || round == 0 { Some(Type::Any) } else { None };
            let state: Type = Object { fields: fields.clone(), rest }.into();
            let mut next = fields.clone();
            for set in sets {
                match widened(&set(self, &state)) {
                    Type::Object(assigned) => {
                        open |= assigned.rest.is_some();
                        for (name, field) in &assigned.fields {
                            join_into(&mut next, name, &field.ty);
                        }
                    }
                    // Fields that cannot be told.
                    _ => open = true,
                }
            }
            if next == fields {
                break;
            }
            if round == ROUNDS_MAX {
                for (name, field) in &mut next {
                    if fields.get(name).map(|known| &known.ty) != Some(&field.ty) {
                        field.ty = Type::Any;
                    }
                }
            }
            fields = next;
        }
        Object { fields, rest: open.then_some(Type::Any) }.into()
    }

    /// Fields that a schema of the state demands and nothing writes (E405).
    pub(super) fn never_set(&self, schema: &Type, initial: &Type, sets: &[(&Node, Type)]) -> Vec<Text> {
        let Type::Object(schema) = schema else { return Vec::new() };
        let writes = |ty: &Type, name: &Text| match ty {
            Type::Object(object) => object.fields.contains_key(name) || object.rest.is_some(),
            _ => true,
        };
        let required = schema.fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name);
        required.filter(|name| !writes(initial, name) && !sets.iter().any(|(_, ty)| writes(ty, name))).cloned().collect()
    }
}

fn join_into(fields: &mut BTreeMap<Text, Field>, name: &Text, ty: &Type) {
    let ty = match ty {
        Type::Optional(inner) => (**inner).clone(),
        ty => ty.clone(),
    };
    match fields.get_mut(name) {
        Some(known) => known.ty = known.ty.join(&ty),
        None => {
            fields.insert(name.clone(), Field { ty, required: false });
        }
    }
}

/// The type that a literal stands for when it is only the first of many values: an empty map or list may hold anything later,
/// and so may what is null at first.
fn widened(ty: &Type) -> Type {
    match ty {
        Type::Null => Type::Any,
        Type::Object(object) => {
            let widen = |field: &Field| Field { ty: inner_widened(&field.ty), required: field.required };
            let fields = object.fields.iter().map(|(name, field)| (name.clone(), widen(field))).collect();
            Object { fields, rest: object.rest.clone() }.into()
        }
        ty => ty.clone(),
    }
}

fn inner_widened(ty: &Type) -> Type {
    match ty {
        Type::Null => Type::Any,
        Type::Object(object) if object.fields.is_empty() && object.rest.is_none() => Type::map(Type::Any),
        Type::Object(_) => widened(ty),
        ty => ty.clone(),
    }
}

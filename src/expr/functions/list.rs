//! Functions over lists.

use super::{Function, Kinds, Style, element, function, int_of, list_of};
use crate::expr::Type;
use crate::expr::code::Val;
use crate::expr::error::{Kind, Res, fail};
use crate::expr::eval;
use crate::expr::fuel::Fuel;
use crate::expr::ops;
use crate::record::{Text, Value};
use rustc_hash::FxHashSet;

const L: Kinds = Kinds::LIST;

pub(super) const FUNCTIONS: &[Function] = &[
    function("sort", Style::Member, &[L], same, sort),
    function("distinct", Style::Member, &[L], same, distinct),
    function("flatten", Style::Member, &[L], |types| Type::list(element(&element(&types[0]))), flatten),
    function("slice", Style::Member, &[L, Kinds::INT, Kinds::INT], same, slice),
    function("reverse", Style::Member, &[L], same, reverse),
    function(
        "first",
        Style::Member,
        &[L],
        |types| Type::optional(element(&types[0])),
        |args, fuel| Ok(list_of("first", &args[0], fuel)?.first().cloned().unwrap_or_default()),
    ),
    function(
        "last",
        Style::Member,
        &[L],
        |types| Type::optional(element(&types[0])),
        |args, fuel| Ok(list_of("last", &args[0], fuel)?.last().cloned().unwrap_or_default()),
    ),
];

fn same(types: &[Type]) -> Type {
    Type::list(element(&types[0]))
}

fn sort(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let items = list_of("sort", &args[0], fuel)?;
    fuel.build_elements(items.len())?;
    let mut items = items.to_vec();
    eval::sort(&mut items, |item| item, fuel)?;
    Ok(Value::list(items))
}

/// What decides the equality of a value without looking at others, where there is such a thing.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Null,
    Bool(bool),
    Int(i64),
    Bits(u64),
    Text(Text),
}

fn key(value: &Value) -> Option<Key> {
    Some(match value {
        Value::Null => Key::Null,
        Value::Bool(truth) => Key::Bool(*truth),
        Value::Int(number) => Key::Int(*number),
        // A double that is an integer equals that integer.
        Value::Double(number) if *value == Value::Int(*number as i64) => Key::Int(*number as i64),
        Value::Double(number) if !number.is_nan() => Key::Bits(number.to_bits()),
        Value::Str(text) => Key::Text(text.clone()),
        _ => return None,
    })
}

/// The first of equal elements, in order. Scalars are found by hash; lists and maps by comparing, which costs steps.
fn distinct(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let items = list_of("distinct", &args[0], fuel)?;
    fuel.build_elements(items.len())?;
    let mut seen = FxHashSet::default();
    let mut others: Vec<&Value> = Vec::new();
    let mut kept = Vec::new();
    'items: for item in items {
        if let Some(key) = key(item) {
            if let Key::Text(text) = &key {
                fuel.scan(text.len())?;
            }
            if !seen.insert(key) {
                continue;
            }
        } else {
            for other in &others {
                fuel.burn(1)?;
                if ops::equal(item, other, fuel)? {
                    continue 'items;
                }
            }
            others.push(item);
        }
        kept.push(item.clone());
    }
    Ok(Value::list(kept))
}

/// One level: elements that are lists are replaced by theirs.
fn flatten(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let mut flat = Vec::new();
    for item in list_of("flatten", &args[0], fuel)? {
        match item {
            Value::List(inner) => {
                fuel.build_elements(inner.len())?;
                flat.extend(inner.iter().cloned());
            }
            other => {
                fuel.build_elements(1)?;
                flat.push(other.clone());
            }
        }
    }
    Ok(Value::list(flat))
}

/// From `a` to before `b`.
fn slice(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let items = list_of("slice", &args[0], fuel)?;
    let (from, to) = (int_of("slice", &args[1])?, int_of("slice", &args[2])?);
    let part = usize::try_from(from).ok().zip(usize::try_from(to).ok()).and_then(|(from, to)| items.get(from..to));
    match part {
        Some(part) => {
            fuel.build_elements(part.len())?;
            Ok(Value::list(part.to_vec()))
        }
        None => fail(Kind::Index, format!("the part {from} to {to} is outside a list of {}", items.len())),
    }
}

fn reverse(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let items = list_of("reverse", &args[0], fuel)?;
    fuel.build_elements(items.len())?;
    Ok(Value::list(items.iter().rev().cloned().collect()))
}

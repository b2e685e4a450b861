//! Runs compiled expressions.
//!
//! Values are walked by reference; only what an expression builds is owned. Recursion follows the tree of the expression,
//! whose depth was bounded when it was compiled.

use super::ast::Compare;
use super::code::{Code, Loop, LoopKind, Op, Val};
use super::error::{EvalError, Kind, Res, fail};
use super::fuel::{ELEMENT_BYTES, Fuel, RESULT_BYTES_MAX};
use super::names::Slot;
use super::ops;
use crate::record::{Map, Text, Value, json};

/// Where an expression finds the values of its names.
///
/// References, so that a value can be made on first use and kept (`OnceCell`): a payload that no expression reads is never
/// built, a `let` is evaluated at most once.
pub trait Names {
    /// The value of a name; its error is that of the expression which reads it.
    fn value(&self, slot: Slot) -> Result<&Value, EvalError>;
}

/// What an evaluation needs beside the code.
#[derive(Clone, Copy)]
pub(super) struct Context<'v> {
    pub(super) names: &'v dyn Names,
    pub(super) fuel: &'v Fuel,
    pub(super) variables: [Option<&'v Value>; 2],
}

/// Evaluates; an error that has no place yet gets that of the innermost part.
pub(super) fn eval<'v>(code: &'v Code, context: &Context<'v>) -> Res<Val<'v>> {
    run(code, context).map_err(|mut error| {
        if error.range.end == 0 {
            error.range = code.span.range();
        }
        error
    })
}

fn run<'v>(code: &'v Code, context: &Context<'v>) -> Res<Val<'v>> {
    let fuel = context.fuel;
    Ok(match &code.op {
        Op::Const(value) => Val::Ref(value),
        Op::Name(slot) => Val::Ref(context.names.value(*slot)?),
        Op::Variable(place) => {
            Val::Ref(context.variables[usize::from(*place)].expect("the checker numbers variables within their loops"))
        }
        Op::Fields(of, fields) => match eval(of, context)? {
            Val::Ref(root) => {
                let mut value = root;
                for name in fields {
                    value = ops::field(value, name)?;
                }
                Val::Ref(value)
            }
            Val::Own(root) => {
                let mut value = &root;
                for name in fields {
                    value = ops::field(value, name)?;
                }
                Val::Own(value.clone())
            }
        },
        Op::OptionalFields(of, fields) => match eval(of, context)? {
            Val::Ref(root) => optional_fields(root, fields)?.map_or(Val::Own(Value::Null), Val::Ref),
            Val::Own(root) => Val::Own(optional_fields(&root, fields)?.cloned().unwrap_or_default()),
        },
        Op::Has(of, field) => {
            let of = eval(of, context)?;
            let there = match &*of {
                Value::Map(map) => map.get(field).is_some_and(|value| !value.is_null()),
                Value::Null => return fail(Kind::MissingField, format!("field `{field}` of null was asked for")),
                other => return ops::no_overload("has", &[other]),
            };
            Val::Own(Value::Bool(there))
        }
        Op::Index(two) => {
            let [of, key] = &**two;
            let (of, key) = (eval(of, context)?, eval(key, context)?);
            match of {
                Val::Ref(of) => Val::Ref(ops::index(of, &key)?.ok_or_else(|| ops::absent(of, &key))?),
                Val::Own(of) => Val::Own(ops::index(&of, &key)?.ok_or_else(|| ops::absent(&of, &key))?.clone()),
            }
        }
        Op::OptionalIndex(two) => {
            let [of, key] = &**two;
            let (of, key) = (eval(of, context)?, eval(key, context)?);
            match of {
                _ if of.is_null() => Val::Own(Value::Null),
                Val::Ref(of) => ops::index(of, &key)?.map_or(Val::Own(Value::Null), Val::Ref),
                Val::Own(of) => Val::Own(ops::index(&of, &key)?.cloned().unwrap_or_default()),
            }
        }
        Op::Not(of) => Val::Own(Value::Bool(!truth("!", &*eval(of, context)?)?)),
        Op::Negate(of) => Val::Own(ops::negate(&*eval(of, context)?)?),
        Op::And(terms) => Val::Own(Value::Bool(junction("&&", terms, false, context)?)),
        Op::Or(terms) => Val::Own(Value::Bool(junction("||", terms, true, context)?)),
        Op::Compare(compare, two) => {
            let [a, b] = &**two;
            let (a, b) = (eval(a, context)?, eval(b, context)?);
            Val::Own(Value::Bool(compared(*compare, &a, &b, fuel)?))
        }
        Op::Arithmetic(first, rest) => {
            let mut value = eval(first, context)?;
            for (operator, operand) in rest {
                let operand = eval(operand, context)?;
                value = Val::Own(ops::arithmetic(*operator, &value, &operand, fuel)?);
            }
            value
        }
        Op::Conditional(three) => {
            let [when, then, other] = &**three;
            let chosen = if truth("?:", &*eval(when, context)?)? { then } else { other };
            eval(chosen, context)?
        }
        Op::List(items) => {
            fuel.build_elements(items.len())?;
            let mut list = Vec::with_capacity(items.len());
            for (item, optional) in items {
                let item = eval(item, context)?;
                if !(*optional && item.is_null()) {
                    list.push(item.into_owned());
                }
            }
            Val::Own(Value::list(list))
        }
        Op::Map(entries) => {
            fuel.build_elements(entries.len())?;
            let mut map = Vec::with_capacity(entries.len());
            for (key, value, optional) in entries {
                let key: Text = match &*eval(key, context)? {
                    Value::Str(key) => key.clone(),
                    other => return ops::no_overload("a key", &[other]),
                };
                let value = eval(value, context)?;
                if !(*optional && value.is_null()) {
                    map.push((key, value.into_owned()));
                }
            }
            Val::Own(Value::Map(Map::from_entries(map)))
        }
        Op::Call(native, args) => Val::Own(call(*native, args, context)?),
        Op::Matches(text, regex) => match &*eval(text, context)? {
            Value::Str(text) => {
                fuel.scan(text.len())?;
                Val::Own(Value::Bool(regex.is_match(text)))
            }
            other => return ops::no_overload("matches", &[other]),
        },
        Op::Loop(inner) => Val::Own(comprehension(inner, context)?),
        Op::OrElse(two) => {
            let [first, second] = &**two;
            let value = eval(first, context)?;
            if value.is_null() { eval(second, context)? } else { value }
        }
        Op::HasValue(of) => Val::Own(Value::Bool(!eval(of, context)?.is_null())),
        Op::Value(of) => {
            let value = eval(of, context)?;
            if value.is_null() {
                return fail(Kind::MissingField, "the value of an empty optional was read");
            }
            value
        }
    })
}

fn truth(what: &str, value: &Value) -> Res<bool> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => ops::no_overload(what, &[other]),
    }
}

/// `&&` (decided by false) and `||` (by true): the deciding value absorbs errors before and after it, save that fuel ran out.
fn junction(what: &str, terms: &[Code], decides: bool, context: &Context<'_>) -> Res<bool> {
    let mut failed = None;
    for term in terms {
        match eval(term, context).and_then(|value| truth(what, &value)) {
            Ok(value) if value == decides => return Ok(decides),
            Ok(_) => {}
            Err(error) if error.kind == Kind::Fuel => return Err(error),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(!decides), Err)
}

pub(super) fn compared(compare: Compare, a: &Value, b: &Value, fuel: &Fuel) -> Res<bool> {
    Ok(match compare {
        Compare::Equal => ops::equal(a, b, fuel)?,
        Compare::NotEqual => !ops::equal(a, b, fuel)?,
        Compare::In => ops::contains(a, b, fuel)?,
        Compare::Less => ops::order("<", a, b, fuel)?.is_some_and(std::cmp::Ordering::is_lt),
        Compare::LessOrEqual => ops::order("<=", a, b, fuel)?.is_some_and(std::cmp::Ordering::is_le),
        Compare::Greater => ops::order(">", a, b, fuel)?.is_some_and(std::cmp::Ordering::is_gt),
        Compare::GreaterOrEqual => ops::order(">=", a, b, fuel)?.is_some_and(std::cmp::Ordering::is_ge),
    })
}

fn optional_fields<'v>(root: &'v Value, fields: &[Text]) -> Res<Option<&'v Value>> {
    let mut value = root;
    for name in fields {
        value = match value {
            Value::Map(map) => match map.get(name) {
                Some(value) => value,
                None => return Ok(None),
            },
            Value::Null => return Ok(None),
            other => return ops::no_overload(&format!(".?{name}"), &[other]),
        };
    }
    Ok(Some(value))
}

fn call(native: super::code::Native, args: &[Code], context: &Context<'_>) -> Res<Value> {
    // Most calls have few arguments: no list on the heap for them.
    match args {
        [] => native(&[], context.fuel),
        [a] => native(&[eval(a, context)?], context.fuel),
        [a, b] => native(&[eval(a, context)?, eval(b, context)?], context.fuel),
        args => {
            let args = args.iter().map(|arg| eval(arg, context)).collect::<Res<Vec<_>>>()?;
            native(&args, context.fuel)
        }
    }
}

fn comprehension(inner: &Loop, context: &Context<'_>) -> Res<Value> {
    let over = eval(&inner.over, context)?;
    match &*over {
        Value::List(items) => looped(inner, items.iter(), items.len(), context),
        // Over a map the variable is the key.
        Value::Map(map) => {
            context.fuel.build_elements(map.len())?;
            let keys: Vec<Value> = map.iter().map(|(key, _)| Value::Str(key.clone())).collect();
            looped(inner, keys.iter(), keys.len(), context)
        }
        other => ops::no_overload("a comprehension", &[other]),
    }
}

fn looped<'i>(inner: &Loop, items: impl Iterator<Item = &'i Value>, count: usize, context: &Context<'_>) -> Res<Value> {
    let fuel = context.fuel;
    let mut found = 0_usize;
    let mut failed = None;
    let mut list = Vec::new();
    let mut ordered = Vec::new();
    for item in items {
        fuel.burn(inner.cost)?;
        let mut context = Context { names: context.names, fuel, variables: context.variables };
        context.variables[usize::from(inner.variable)] = Some(item);
        if let Some(filter) = &inner.filter
            && !truth("map", &*eval(filter, &context)?)?
        {
            continue;
        }
        let body = eval(&inner.body, &context);
        match inner.kind {
            LoopKind::All | LoopKind::Exists => {
                // As with `&&` and `||`: the element that decides absorbs the errors of the others.
                let decides = inner.kind == LoopKind::Exists;
                match body.and_then(|value| truth("a condition", &value)) {
                    Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                    Ok(_) => {}
                    Err(error) if error.kind == Kind::Fuel => return Err(error),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            LoopKind::ExistsOne => found += usize::from(truth("exists_one", &*body?)?),
            LoopKind::Map => {
                let value = body?.into_owned();
                fuel.build(ELEMENT_BYTES)?;
                list.push(value);
            }
            LoopKind::Filter => {
                if truth("filter", &*body?)? {
                    fuel.build(ELEMENT_BYTES)?;
                    list.push(item.clone());
                }
            }
            LoopKind::SortBy => {
                fuel.build(2 * ELEMENT_BYTES)?;
                ordered.push((body?.into_owned(), item.clone()));
            }
        }
    }
    match inner.kind {
        LoopKind::All | LoopKind::Exists => failed.map_or(Ok(Value::Bool(inner.kind == LoopKind::All)), Err),
        LoopKind::ExistsOne => Ok(Value::Bool(found == 1)),
        LoopKind::Map | LoopKind::Filter => Ok(Value::list(list)),
        LoopKind::SortBy => {
            debug_assert_eq!(ordered.len(), count);
            sort(&mut ordered, |(key, _)| key, fuel)?;
            Ok(Value::list(ordered.into_iter().map(|(_, item)| item).collect()))
        }
    }
}

/// Sorts by comparable keys of one kind, equal ones in the order given.
pub(super) fn sort<T>(items: &mut [T], key: impl Fn(&T) -> &Value, fuel: &Fuel) -> Res<()> {
    let levels = (usize::BITS - items.len().leading_zeros()) as usize;
    let bytes: usize = items.iter().map(|item| key(item).as_str().map_or(0, str::len)).sum();
    fuel.burn(items.len().saturating_mul(levels))?;
    fuel.scan(bytes.saturating_mul(levels))?;
    // Rust's sort may panic on what is no order, so the keys are asked beforehand: all of one kind, no NaN. And it is paid
    // for beforehand, since running dry half-way would be no order either.
    let paid = Fuel::steps(u32::MAX);
    for pair in items.windows(2) {
        if ops::order("sort", key(&pair[0]), key(&pair[1]), &paid)?.is_none() {
            return fail(Kind::NotFinite, "NaN has no place in an order");
        }
    }
    items.sort_by(|a, b| {
        let order = ops::order("sort", key(a), key(b), &paid);
        order.ok().flatten().expect("keys of one kind, none of them NaN, and enough fuel")
    });
    Ok(())
}

/// Walks a result: bounded in size and depth (however often parts of it are shared), and is it made of JSON's kinds alone?
pub(super) fn measure(value: &Value, left: &mut usize, depth: usize) -> Res<bool> {
    let size = match value {
        Value::Str(text) => text.len() + 2,
        Value::BigInt(digits) => digits.len() + 2,
        Value::Bytes(bytes) => bytes.len() + 2,
        _ => 4,
    };
    match left.checked_sub(size) {
        Some(rest) => *left = rest,
        None => return fail(Kind::TooLarge, format!("the result is larger than {} KiB", RESULT_BYTES_MAX >> 10)),
    }
    if depth > json::DEPTH_MAX {
        return fail(Kind::TooLarge, format!("the result is nested more than {} deep", json::DEPTH_MAX));
    }
    let mut plain = true;
    match value {
        Value::List(items) => {
            for item in items.iter() {
                plain &= measure(item, left, depth + 1)?;
            }
        }
        Value::Map(map) => {
            for (key, item) in map.iter() {
                *left = left.saturating_sub(key.len() + 3);
                plain &= measure(item, left, depth + 1)?;
            }
        }
        Value::Bytes(_) | Value::Timestamp(_) | Value::Duration(_) => plain = false,
        Value::Double(number) => plain = number.is_finite(),
        _ => {}
    }
    Ok(plain)
}

//! Operators over values: equality, order, arithmetic, membership, indexing.

use super::ast::Operator;
use super::error::{EvalError, Kind, Res, fail};
use super::fuel::Fuel;
use crate::record::{Map, Value};
use std::cmp::Ordering;

/// No meaning for these kinds; an integer beyond 64 bits among them is the reason where there is one.
#[cold]
pub(super) fn no_overload<T>(what: &str, operands: &[&Value]) -> Res<T> {
    if operands.iter().any(|operand| matches!(operand, Value::BigInt(_))) {
        return fail(Kind::NumberRange, "an integer beyond 64 bits cannot be computed with");
    }
    let kinds: Vec<_> = operands.iter().map(|operand| operand.kind()).collect();
    fail(Kind::NoOverload, format!("`{what}` has no meaning for {}", kinds.join(" and ")))
}

#[cold]
fn overflow<T>() -> Res<T> {
    fail(Kind::Overflow, "the result does not fit 64 bits")
}

/// Equality that never fails but for fuel: values of different kinds are unequal, numbers are equal by value.
pub(super) fn equal(a: &Value, b: &Value, fuel: &Fuel) -> Res<bool> {
    match (a, b) {
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            fuel.burn(a.len())?;
            for (a, b) in a.iter().zip(b.iter()) {
                if !equal(a, b, fuel)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            fuel.burn(a.len())?;
            for ((a_key, a), (b_key, b)) in a.iter().zip(b.iter()) {
                if a_key != b_key || !equal(a, b, fuel)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::Str(a), Value::Str(b)) => {
            fuel.scan(a.len())?;
            Ok(a == b)
        }
        (a, b) => Ok(a == b),
    }
}

/// Order of two values of one kind; numbers are compared by value, NaN with nothing.
pub(super) fn order(what: &str, a: &Value, b: &Value, fuel: &Fuel) -> Res<Option<Ordering>> {
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => order_int_double(*a, *b),
        (Value::Double(a), Value::Int(b)) => order_int_double(*b, *a).map(Ordering::reverse),
        (Value::Str(a), Value::Str(b)) => {
            fuel.scan(a.len().min(b.len()))?;
            Some(a.as_str().cmp(b.as_str()))
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            fuel.scan(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => return no_overload(what, &[a, b]),
    })
}

/// Exact: the integer is not rounded to meet the double.
fn order_int_double(int: i64, double: f64) -> Option<Ordering> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        None
    } else if double >= LIMIT {
        Some(Ordering::Less)
    } else if double < -LIMIT {
        Some(Ordering::Greater)
    } else {
        // Truncation is exact within the limits; what it cut off decides between equals.
        Some(int.cmp(&(double as i64)).then(0.0_f64.partial_cmp(&double.fract())?))
    }
}

pub(super) fn arithmetic(operator: Operator, a: &Value, b: &Value, fuel: &Fuel) -> Res<Value> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => ints(operator, *a, *b),
        (Value::Double(a), Value::Double(b)) => doubles(operator, *a, *b),
        (Value::Int(a), Value::Double(b)) => doubles(operator, *a as f64, *b),
        (Value::Double(a), Value::Int(b)) => doubles(operator, *a, *b as f64),
        _ => match operator {
            Operator::Add => add(a, b, fuel),
            Operator::Subtract => subtract(a, b),
            _ => no_overload(operator.text(), &[a, b]),
        },
    }
}

fn ints(operator: Operator, a: i64, b: i64) -> Res<Value> {
    let result = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide | Operator::Remainder if b == 0 => return by_zero(),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder => a.checked_rem(b),
    };
    result.map_or_else(overflow, |result| Ok(Value::Int(result)))
}

fn doubles(operator: Operator, a: f64, b: f64) -> Res<Value> {
    Ok(Value::Double(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide if b == 0.0 => return by_zero(),
        Operator::Divide => a / b,
        Operator::Remainder => return fail(Kind::NoOverload, "`%` has a meaning for two ints only"),
    }))
}

#[cold]
fn by_zero<T>() -> Res<T> {
    fail(Kind::DivideByZero, "division by zero")
}

fn add(a: &Value, b: &Value, fuel: &Fuel) -> Res<Value> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => {
            fuel.build(a.len() + b.len())?;
            let mut text = String::with_capacity(a.len() + b.len());
            text.push_str(a);
            text.push_str(b);
            Ok(text.into())
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            fuel.build(a.len() + b.len())?;
            Ok(Value::Bytes([a.as_ref(), b.as_ref()].concat().into()))
        }
        (Value::List(a), Value::List(b)) => {
            fuel.build_elements(a.len() + b.len())?;
            Ok(Value::list(a.iter().chain(b.iter()).cloned().collect()))
        }
        (Value::Timestamp(moment), Value::Duration(length)) | (Value::Duration(length), Value::Timestamp(moment)) => {
            moment.checked_add(*length).map_or_else(|_| calendar(), |sum| Ok(Value::Timestamp(sum)))
        }
        (Value::Duration(a), Value::Duration(b)) => a.checked_add(*b).map_or_else(calendar, |sum| Ok(Value::Duration(sum))),
        _ => no_overload("+", &[a, b]),
    }
}

fn subtract(a: &Value, b: &Value) -> Res<Value> {
    match (a, b) {
        (Value::Timestamp(a), Value::Timestamp(b)) => Ok(Value::Duration(a.duration_since(*b))),
        (Value::Timestamp(moment), Value::Duration(length)) => {
            moment.checked_sub(*length).map_or_else(|_| calendar(), |sum| Ok(Value::Timestamp(sum)))
        }
        (Value::Duration(a), Value::Duration(b)) => a.checked_sub(*b).map_or_else(calendar, |rest| Ok(Value::Duration(rest))),
        _ => no_overload("-", &[a, b]),
    }
}

#[cold]
fn calendar<T>() -> Res<T> {
    fail(Kind::Overflow, "the result is beyond the calendar")
}

pub(super) fn negate(value: &Value) -> Res<Value> {
    match value {
        Value::Int(number) => number.checked_neg().map_or_else(overflow, |number| Ok(Value::Int(number))),
        Value::Double(number) => Ok(Value::Double(-number)),
        other => no_overload("-", &[other]),
    }
}

/// `x in list`, `'k' in map`.
pub(super) fn contains(item: &Value, container: &Value, fuel: &Fuel) -> Res<bool> {
    match (item, container) {
        (_, Value::List(items)) => {
            for other in items.iter() {
                fuel.burn(1)?;
                if equal(item, other, fuel)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        (Value::Str(key), Value::Map(map)) => Ok(map.contains_key(key)),
        // Keys are texts: nothing else is among them, and equality never fails.
        (_, Value::Map(_)) => Ok(false),
        _ => no_overload("in", &[item, container]),
    }
}

/// Place of an index in a list, `None` where it is outside; an integral double will do, as in CEL.
pub(super) fn list_index(index: &Value, length: usize) -> Res<Option<usize>> {
    let index = match index {
        Value::Int(index) => *index,
        Value::Double(index) if index.fract() == 0.0 && index.abs() < 9e15 => *index as i64,
        other => return no_overload("[]", &[other]),
    };
    Ok(usize::try_from(index).ok().filter(|index| *index < length))
}

/// A field that must be there.
pub(super) fn field<'v>(of: &'v Value, name: &str) -> Res<&'v Value> {
    match of {
        Value::Map(map) => match map.get(name) {
            Some(value) => Ok(value),
            None => missing(name),
        },
        Value::Null => fail(Kind::MissingField, format!("field `{name}` of null was read")),
        other => no_overload(&format!(".{name}"), &[other]),
    }
}

#[cold]
pub(super) fn missing<T>(name: &str) -> Res<T> {
    fail(Kind::MissingField, format!("field `{name}` is missing"))
}

/// `of[key]` by reference; the error of a missing key or index is the caller's to make.
pub(super) fn index<'v>(of: &'v Value, key: &Value) -> Res<Option<&'v Value>> {
    match (of, key) {
        (Value::Map(map), Value::Str(key)) => Ok(map.get(key)),
        (Value::List(items), key) => Ok(list_index(key, items.len())?.map(|place| &items[place])),
        (of, key) => no_overload("[]", &[of, key]),
    }
}

/// The error of an index or key that is not there.
#[cold]
pub(super) fn absent(of: &Value, key: &Value) -> Box<EvalError> {
    Box::new(match (of, key) {
        (Value::List(items), Value::Int(index)) => {
            EvalError::new(Kind::Index, format!("index {index} is outside a list of {}", items.len()))
        }
        (Value::List(items), _) => EvalError::new(Kind::Index, format!("the index is outside a list of {}", items.len())),
        (_, Value::Str(key)) if key.len() <= 64 => EvalError::new(Kind::MissingField, format!("key `{key}` is missing")),
        _ => EvalError::new(Kind::MissingField, "the key is missing"),
    })
}

/// The map, of a map; else no overload.
pub(super) fn map_of<'v>(what: &str, value: &'v Value) -> Res<&'v Map> {
    match value {
        Value::Map(map) => Ok(map),
        other => no_overload(what, &[other]),
    }
}

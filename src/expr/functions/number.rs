//! Functions over numbers and lists of them.

use super::{Function, Kinds, Style, element, function, int_of, list_of};
use crate::expr::Type;
use crate::expr::ast::Operator;
use crate::expr::code::Val;
use crate::expr::error::{Kind, Res, fail};
use crate::expr::fuel::Fuel;
use crate::expr::ops;
use crate::record::Value;
use std::cmp::Ordering;

const N: Kinds = Kinds::NUMBER;
const L: Kinds = Kinds::LIST;

pub(super) const FUNCTIONS: &[Function] = &[
    function("sum", Style::Global, &[L], |types| number(&element(&types[0])), sum),
    function(
        "min",
        Style::Global,
        &[L],
        |types| number(&element(&types[0])),
        |args, fuel| best("min", list_of("min", &args[0], fuel)?, Ordering::Less, fuel),
    ),
    function(
        "max",
        Style::Global,
        &[L],
        |types| number(&element(&types[0])),
        |args, fuel| best("max", list_of("max", &args[0], fuel)?, Ordering::Greater, fuel),
    ),
    function("avg", Style::Global, &[L], |_| Type::Double, avg),
    function("round", Style::Global, &[N, Kinds::INT], |types| number(&types[0]), round).optional(1),
    function("floor", Style::Global, &[N], |types| number(&types[0]), |args, _| whole("floor", &args[0], f64::floor)),
    function("ceil", Style::Global, &[N], |types| number(&types[0]), |args, _| whole("ceil", &args[0], f64::ceil)),
    function("abs", Style::Global, &[N], |types| number(&types[0]), abs),
    function("least", Style::Global, &[N], numbers, |args, fuel| best_of("least", args, Ordering::Less, fuel)).repeated(),
    function("greatest", Style::Global, &[N], numbers, |args, fuel| best_of("greatest", args, Ordering::Greater, fuel))
        .repeated(),
];

/// The same kind of number, where it is known.
fn number(ty: &Type) -> Type {
    match ty {
        Type::Int | Type::Double => ty.clone(),
        _ => Type::Any,
    }
}

fn numbers(types: &[Type]) -> Type {
    number(&Type::join_all(types.iter().cloned()))
}

fn numeric<'v>(what: &str, value: &'v Value) -> Res<&'v Value> {
    match value {
        Value::Int(_) | Value::Double(_) => Ok(value),
        other => ops::no_overload(what, &[other]),
    }
}

fn sum(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    list_of("sum", &args[0], fuel)?
        .iter()
        .try_fold(Value::Int(0), |sum, item| ops::arithmetic(Operator::Add, &sum, numeric("sum", item)?, fuel))
}

fn avg(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let items = list_of("avg", &args[0], fuel)?;
    if items.is_empty() {
        return empty("avg");
    }
    let mut sum = 0.0;
    for item in items {
        sum += match item {
            Value::Int(number) => *number as f64,
            Value::Double(number) => *number,
            other => return ops::no_overload("avg", &[other]),
        };
    }
    Ok(Value::Double(sum / items.len() as f64))
}

fn empty<T>(what: &str) -> Res<T> {
    fail(Kind::Empty, format!("`{what}` of an empty list"))
}

fn best(what: &str, items: &[Value], wanted: Ordering, fuel: &Fuel) -> Res<Value> {
    let Some((first, rest)) = items.split_first() else { return empty(what) };
    let mut best = numeric(what, first)?;
    for item in rest {
        if ops::order(what, numeric(what, item)?, best, fuel)? == Some(wanted) {
            best = item;
        }
    }
    Ok(best.clone())
}

fn best_of(what: &str, args: &[Val<'_>], wanted: Ordering, fuel: &Fuel) -> Res<Value> {
    let items: Vec<Value> = args.iter().map(|arg| (**arg).clone()).collect();
    best(what, &items, wanted, fuel)
}

fn whole(what: &str, value: &Value, run: fn(f64) -> f64) -> Res<Value> {
    match value {
        Value::Int(number) => Ok(Value::Int(*number)),
        Value::Double(number) => Ok(Value::Double(run(*number))),
        other => ops::no_overload(what, &[other]),
    }
}

fn abs(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    match &*args[0] {
        Value::Int(number) => match number.checked_abs() {
            Some(number) => Ok(Value::Int(number)),
            None => fail(Kind::Overflow, "the result does not fit 64 bits"),
        },
        other => whole("abs", other, f64::abs),
    }
}

/// Half away from zero, as people round: of the decimal digits that the double is written with, so that 1.005 to two digits
/// is 1.01 although the double lies below it.
fn round(args: &[Val<'_>], _: &Fuel) -> Res<Value> {
    let digits = args.get(1).map_or(Ok(0), |digits| int_of("round", digits))?;
    if !(0..=15).contains(&digits) {
        return fail(Kind::Index, "`round` keeps 0 to 15 digits");
    }
    match &*args[0] {
        Value::Double(number) if digits > 0 => Ok(Value::Double(round_decimal(*number, digits as usize))),
        other => whole("round", other, f64::round),
    }
}

fn round_decimal(number: f64, digits: usize) -> f64 {
    let text = number.abs().to_string();
    let Some((whole, fraction)) = text.split_once('.') else { return number };
    if fraction.len() <= digits {
        return number;
    }
    // Rounding up in the text: add one to the kept digits when the first one cut off is 5 or more.
    let mut kept: Vec<u8> = whole.bytes().chain(fraction.bytes().take(digits)).collect();
    if fraction.as_bytes()[digits] >= b'5' {
        let mut place = kept.len();
        loop {
            if place == 0 {
                kept.insert(0, b'1');
                break;
            }
            place -= 1;
            if kept[place] == b'9' {
                kept[place] = b'0';
            } else {
                kept[place] += 1;
                break;
            }
        }
    }
    let point = kept.len() - digits;
    let text: String = kept[..point].iter().chain(b".").chain(&kept[point..]).map(|byte| char::from(*byte)).collect();
    let rounded: f64 = text.parse().expect("digits with a point");
    rounded.copysign(number)
}

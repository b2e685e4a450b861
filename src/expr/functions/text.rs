//! Functions over text.

use super::{Function, Kinds, Style, built, function, int_of, list_of, text_of};
use crate::expr::Type;
use crate::expr::code::Val;
use crate::expr::error::{Kind, Res, fail};
use crate::expr::fuel::Fuel;
use crate::record::Value;
use regex::{Regex, RegexBuilder};

const S: Kinds = Kinds::STRING;

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "contains",
        Style::Member,
        &[S, S],
        |_| Type::Bool,
        |args, fuel| two(args, "contains", fuel, |s, t| s.contains(t)),
    ),
    function(
        "startsWith",
        Style::Member,
        &[S, S],
        |_| Type::Bool,
        |args, fuel| two(args, "startsWith", fuel, |s, t| s.starts_with(t)),
    ),
    function(
        "endsWith",
        Style::Member,
        &[S, S],
        |_| Type::Bool,
        |args, fuel| two(args, "endsWith", fuel, |s, t| s.ends_with(t)),
    ),
    function("matches", Style::Member, &[S, S], |_| Type::Bool, matches),
    function("split", Style::Member, &[S, S], |_| Type::list(Type::String), split),
    function("join", Style::Member, &[Kinds::LIST, S], |_| Type::String, join),
    function(
        "lowerAscii",
        Style::Member,
        &[S],
        |_| Type::String,
        |args, fuel| one(args, "lowerAscii", fuel, |text| text.to_ascii_lowercase()),
    ),
    function(
        "upperAscii",
        Style::Member,
        &[S],
        |_| Type::String,
        |args, fuel| one(args, "upperAscii", fuel, |text| text.to_ascii_uppercase()),
    ),
    function(
        "trim",
        Style::Member,
        &[S],
        |_| Type::String,
        |args, fuel| one(args, "trim", fuel, |text| text.trim().to_owned()),
    ),
    function("replace", Style::Member, &[S, S, S], |_| Type::String, replace),
    function("substring", Style::Member, &[S, Kinds::INT, Kinds::INT], |_| Type::String, substring).optional(1),
    function("indexOf", Style::Member, &[S, S], |_| Type::Int, index_of),
];

fn one(args: &[Val<'_>], what: &str, fuel: &Fuel, run: impl Fn(&str) -> String) -> Res<Value> {
    built(run(text_of(what, &args[0], fuel)?), fuel)
}

fn two(args: &[Val<'_>], what: &str, fuel: &Fuel, run: impl Fn(&str, &str) -> bool) -> Res<Value> {
    Ok(Value::Bool(run(text_of(what, &args[0], fuel)?, text_of(what, &args[1], fuel)?)))
}

/// Length of a regular expression that is made from data.
pub(in crate::expr) const REGEX_BYTES_MAX: usize = 1024;

/// A regular expression whose automaton is bounded; it matches in linear time.
pub(in crate::expr) fn regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(1 << 20).dfa_size_limit(1 << 20).nest_limit(64).build()
}

/// With a pattern that was computed; constant ones are compiled before the start.
fn matches(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    // Building the automaton may take as long as many steps.
    fuel.burn(1_000)?;
    let pattern = text_of("matches", &args[1], fuel)?;
    if pattern.len() > REGEX_BYTES_MAX {
        return fail(Kind::TooLarge, "the regular expression is too long");
    }
    let Ok(regex) = regex(pattern) else { return fail(Kind::Conversion, "this string is no regular expression") };
    Ok(Value::Bool(regex.is_match(text_of("matches", &args[0], fuel)?)))
}

fn split(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let (text, by) = (text_of("split", &args[0], fuel)?, text_of("split", &args[1], fuel)?);
    // By nothing: into characters, without the empty edges that Rust gives.
    let parts: Box<dyn Iterator<Item = &str>> =
        if by.is_empty() { Box::new(text.split("").filter(|part| !part.is_empty())) } else { Box::new(text.split(by)) };
    let mut list = Vec::new();
    for part in parts {
        fuel.build_elements(1)?;
        list.push(Value::from(part));
    }
    Ok(Value::list(list))
}

fn join(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let (items, by) = (list_of("join", &args[0], fuel)?, text_of("join", &args[1], fuel)?);
    let mut length = by.len().saturating_mul(items.len().saturating_sub(1));
    for item in items {
        length = length.saturating_add(text_of("join", item, fuel)?.len());
    }
    fuel.build(length)?;
    let mut text = String::with_capacity(length);
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push_str(by);
        }
        text.push_str(item.as_str().expect("asked in the loop before"));
    }
    Ok(text.into())
}

fn replace(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let text = text_of("replace", &args[0], fuel)?;
    let (from, to) = (text_of("replace", &args[1], fuel)?, text_of("replace", &args[2], fuel)?);
    let hits = text.matches(from).count();
    let length = text.len().saturating_sub(hits.saturating_mul(from.len())).saturating_add(hits.saturating_mul(to.len()));
    fuel.build(length)?;
    Ok(text.replace(from, to).into())
}

/// By characters; an index outside is an error, not a shorter text.
fn substring(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let text = text_of("substring", &args[0], fuel)?;
    let from = int_of("substring", &args[1])?;
    let to = args.get(2).map(|to| int_of("substring", to)).transpose()?;
    // The byte of each asked character; the end of the text is one too.
    let place = |index: i64| {
        let index = usize::try_from(index).ok()?;
        text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
    };
    let end = to.map_or(Some(text.len()), place);
    match (place(from), end) {
        (Some(start), Some(end)) if start <= end => built(text[start..end].to_owned(), fuel),
        _ => fail(Kind::Index, "the part is outside the text"),
    }
}

fn index_of(args: &[Val<'_>], fuel: &Fuel) -> Res<Value> {
    let (text, part) = (text_of("indexOf", &args[0], fuel)?, text_of("indexOf", &args[1], fuel)?);
    Ok(Value::Int(text.find(part).map_or(-1, |at| text[..at].chars().count() as i64)))
}

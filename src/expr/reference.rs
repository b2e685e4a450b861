//! The page of functions, made from the table that the checker uses; each example on it was evaluated.

use super::check::{MACROS, NoNames};
use super::functions::{self, Function};
use super::{Expect, Fuel, Scope, compile};
use crate::record::json;
use std::fmt::Write as _;

/// What the page says of a function: its name, what it gives, and an expression with it that needs no names.
type Line = (&'static str, &'static str, &'static str);

/// What the compiler makes itself has no signature in the table: name, how it is called, and the rest of its line.
type MacroLine = (&'static str, &'static str, &'static str, &'static str);

/// A part of the page: its title, what is to be said of all its functions, and their lines.
struct Part {
    title: &'static str,
    about: &'static str,
    lines: &'static [Line],
}

const PARTS: &[Part] = &[
    Part {
        title: "Kinds, and from one to another",
        about: "What does not convert is an error of the record, `CONVERSION`.",
        lines: &[
            ("size", "characters of a text, bytes, elements of a list, fields of a map", "size('Größe')"),
            ("int", "a whole number; of a double what is before the point; of a moment its seconds since 1970", "int('42')"),
            ("double", "a number with a point", "double('2.5')"),
            ("string", "the text of it", "string(2.5)"),
            ("bool", "a truth value of `true` or `false`", "bool('true')"),
            ("bytes", "the bytes of a text, in UTF-8; as JSON they are Base64", "bytes('Ö')"),
            ("timestamp", "a moment, of RFC 3339 text or of seconds since 1970", "timestamp('2026-03-01T10:00:00Z')"),
            ("duration", "a length of time, of `h`, `m`, `s`, `ms`, `us`, `ns`", "duration('1h30m')"),
            ("type", "the name of its kind", "type(2.0)"),
            ("uuid5", "an id that follows from all the values given, and is the same every time", "uuid5('orders', 'o-17')"),
            ("sha256", "the hash of its text, as hexadecimal digits", "sha256('a')"),
            ("hash01", "a number in [0, 1) that follows from its text: for samples and simulated luck", "hash01('o-17')"),
            ("toJson", "the value as JSON text", "toJson({'a': [1, 2]})"),
            ("parseJson", "the value of JSON text, of any type", "parseJson('[1, 2]')"),
        ],
    },
    Part {
        title: "Text",
        about: "Places count characters from 0.",
        lines: &[
            ("contains", "is it in there", "'order.created.v1'.contains('created')"),
            ("startsWith", "does it begin so", "'order.created.v1'.startsWith('order.')"),
            ("endsWith", "does it end so", "'order.created.v1'.endsWith('.v1')"),
            ("matches", "does the regular expression find anything in it; `^…$` for the whole", "'o-17'.matches('^o-[0-9]+$')"),
            ("split", "its parts between the separators", "'a,b,c'.split(',')"),
            ("join", "the texts of a list in one, with the separator between", "['a', 'b'].join('-')"),
            ("lowerAscii", "`A` to `Z` made small", "'Ada'.lowerAscii()"),
            ("upperAscii", "`a` to `z` made large", "'Ada'.upperAscii()"),
            ("trim", "without the blanks at both ends", "'  a '.trim()"),
            ("replace", "each of the one replaced by the other", "'a-b-c'.replace('-', '/')"),
            ("substring", "from a place, up to before another", "'2026-03-01'.substring(0, 7)"),
            ("indexOf", "the place where it is first found, or -1", "'a-b'.indexOf('-')"),
        ],
    },
    Part {
        title: "Lists",
        about: "",
        lines: &[
            ("sort", "in order; elements of one kind", "[3, 1, 2].sort()"),
            ("distinct", "each value once, where it first stood", "[1, 2, 1].distinct()"),
            ("flatten", "the elements of the lists in it, one level", "[[1], [2, 3]].flatten()"),
            ("slice", "from a place, up to before another", "[1, 2, 3, 4].slice(1, 3)"),
            ("reverse", "backwards", "[1, 2, 3].reverse()"),
            ("first", "the first, as an optional", "[1, 2].first().orValue(0)"),
            ("last", "the last, as an optional", "[1, 2].last().orValue(0)"),
        ],
    },
    Part {
        title: "Maps",
        about: "",
        lines: &[
            ("merge", "the fields of all; the later ones win", "merge({'a': 1}, {'a': 2, 'b': 3})"),
            ("pick", "these fields and no others", "pick({'a': 1, 'b': 2}, ['a'])"),
            ("omit", "all fields but these", "omit({'a': 1, 'b': 2}, ['a'])"),
            ("keys", "names of its fields, in order", "keys({'a': 1, 'b': 2})"),
            ("values", "values of its fields, in the order of their names", "values({'a': 1, 'b': 2})"),
            ("entries", "a list of `{key, value}`", "entries({'a': 1})"),
            ("from_entries", "the map of such a list", "from_entries([{'key': 'a', 'value': 1}])"),
        ],
    },
    Part {
        title: "Numbers",
        about: "Of integers they give integers, but for `avg`. Overflow is an error of the record.",
        lines: &[
            ("sum", "of the elements; of none 0", "sum([1, 2, 3])"),
            ("min", "the least element; of none an error, `EMPTY`", "min([3, 1, 2])"),
            ("max", "the greatest element, likewise", "max([3, 1, 2])"),
            ("avg", "their mean", "avg([1, 2])"),
            ("round", "to so many digits behind the point, or none; halves away from 0", "round(2.345, 2)"),
            ("floor", "the whole number below", "floor(2.7)"),
            ("ceil", "the whole number above", "ceil(2.1)"),
            ("abs", "without its sign", "abs(-3)"),
            ("least", "the least of the values given", "least(3, 1, 2)"),
            ("greatest", "the greatest of the values given", "greatest(3, 1, 2)"),
        ],
    },
    Part {
        title: "Time",
        about: "Of a moment they give a part of it, in UTC or in the zone given (`Europe/Berlin`, `+02:00`); of a length of time the \
                whole length in that unit.",
        lines: &[
            ("getFullYear", "the year", "timestamp('2026-03-01T10:30:00Z').getFullYear()"),
            ("getMonth", "the month, from 0", "timestamp('2026-03-01T10:30:00Z').getMonth()"),
            ("getDate", "the day of the month, from 1", "timestamp('2026-03-01T10:30:00Z').getDate()"),
            ("getDayOfMonth", "the day of the month, from 0", "timestamp('2026-03-01T10:30:00Z').getDayOfMonth()"),
            ("getDayOfWeek", "the day of the week, Sunday is 0", "timestamp('2026-03-01T10:30:00Z').getDayOfWeek()"),
            ("getDayOfYear", "the day of the year, from 0", "timestamp('2026-03-01T10:30:00Z').getDayOfYear()"),
            ("getHours", "hours", "timestamp('2026-03-01T10:30:00Z').getHours('+02:00')"),
            ("getMinutes", "minutes", "duration('1h30m').getMinutes()"),
            ("getSeconds", "seconds", "duration('1h30m').getSeconds()"),
            ("getMilliseconds", "milliseconds", "timestamp('2026-03-01T10:30:00.250Z').getMilliseconds()"),
        ],
    },
];

const MACRO_LINES: &[MacroLine] = &[
    ("has", "has(a.b)", "is the field there, and not null", "has(parseJson('{}').b)"),
    ("all", "list.all(x, condition)", "does it hold for every element", "[1, 2].all(n, n > 0)"),
    ("exists", "list.exists(x, condition)", "does it hold for one at least", "[1, 2].exists(n, n > 1)"),
    ("exists_one", "list.exists_one(x, condition)", "does it hold for exactly one", "[1, 2].exists_one(n, n > 1)"),
    ("map", "list.map(x, value)", "a value made of each", "[1, 2].map(n, n * 2)"),
    ("filter", "list.filter(x, condition)", "those for which it holds", "[1, 2, 3].filter(n, n > 1)"),
    ("sortBy", "list.sortBy(x, value)", "in the order of a value made of each", "['bb', 'a'].sortBy(text, size(text))"),
    ("orValue", "optional.orValue(value)", "what it holds, else the value", "parseJson('{}').?a.orValue(0)"),
    ("hasValue", "optional.hasValue()", "does it hold anything", "parseJson('{}').?a.hasValue()"),
    ("value", "optional.value()", "what it holds; an error where that is nothing", "parseJson('[1]')[?0].value()"),
    ("or", "optional.or(optional)", "the first of the two that holds anything", "[1].first().or([2].first()).orValue(0)"),
];

/// `docs/reference/functions.md`, from the table of functions.
///
/// # Errors
/// A function of the table without a line, a line without a function, an example that cannot be evaluated.
pub fn reference_page() -> Result<String, String> {
    let mut page = String::from(
        "# Functions\n\nMade from the table of functions that the checker uses; `UPDATE=1 cargo test --test docs functions` writes it anew. \
         Each result below was\ncomputed by its example. What expressions are, and which names they see, is in \
         [the reference of the language](../topology-reference.md#templates-and-expressions).\n\n\
         `int?` may be left out, `…` may go on. `skald eval` tries an expression:\n\n```sh\nskald eval \"'a,b,c'.split(',')\"\n```\n",
    );
    let mut told = Vec::new();
    for part in PARTS {
        section(&mut page, part.title, part.about);
        for (name, about, example) in part.lines {
            let function = functions::all().find(|function| function.name == *name);
            let call = function.map(Function::usage).ok_or_else(|| format!("no function `{name}`"))?;
            row(&mut page, &call, about, example)?;
            told.push(*name);
        }
    }
    section(
        &mut page,
        "Elements and optionals",
        "`x` names the element; of a map its keys are gone through. `a.?b` and `a[?k]` give optionals: what is missing, or null, is empty.",
    );
    for (name, call, about, example) in MACRO_LINES {
        row(&mut page, call, about, example)?;
        told.push(*name);
    }
    match functions::all().map(|function| function.name).chain(MACROS.iter().copied()).find(|name| !told.contains(name)) {
        Some(name) => Err(format!("nothing is told of `{name}`")),
        None => Ok(page),
    }
}

fn section(page: &mut String, title: &str, about: &str) {
    let about = if about.is_empty() { String::new() } else { format!("{about}\n\n") };
    write!(page, "\n## {title}\n\n{about}| function | gives | example | result |\n|---|---|---|---|\n")
        .expect("a String takes it");
}

fn row(page: &mut String, call: &str, about: &str, example: &str) -> Result<(), String> {
    let compiled = compile(example, &Scope::new(), &Expect::Any);
    let program = compiled.program.ok_or_else(|| format!("`{example}`: {:?}", compiled.findings))?;
    let result = program.eval(&NoNames, &mut Fuel::new()).map_err(|error| format!("`{example}`: {error}"))?;
    let result = json::text(&result).map_err(|error| format!("`{example}`: {error}"))?;
    writeln!(page, "| `{call}` | {about} | `{example}` | `{result}` |").expect("a String takes it");
    Ok(())
}

//! The `cel` crate's interpreter as reference: generated expressions over generated values give the same in both.
//!
//! Generated is what both speak. What the language has otherwise (each † of `language.md` §3) is left out here and looked at
//! in `language.rs`:
//! - ints and doubles mix in arithmetic; in generated arithmetic both sides are of one kind;
//! - ints are compared with doubles by value, where the crate rounds large ones: only small ones meet here;
//! - doubles that are not a number compare as false, where the crate has no overload for them: none is compared here;
//! - division by zero is an error of doubles too: such cases are passed over;
//! - `has`, `.?` and `[?]` treat null as missing: no generated field is null;
//! - no `uint`; `type(x)` gives a string; durations also in days;
//! - functions of our own (`sum`, `merge`, `sha256`, …), and those that the crate has under a feature that is not built
//!   (`matches`, moments and lengths of time);
//! - what is certain to fail is refused before the start (E311), where the interpreter may absorb it.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

/// Generated expressions of one depth, by what they give.
#[derive(Clone)]
struct Level {
    int: BoxedStrategy<String>,
    double: BoxedStrategy<String>,
    text: BoxedStrategy<String>,
    bool: BoxedStrategy<String>,
    list: BoxedStrategy<String>,
}

fn leaves() -> Level {
    let pick = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned).boxed();
    Level {
        int: pick(&["0", "1", "-1", "2", "7", "9223372036854775807", "data.i", "data.j", "data.k", "data.m.a", "data.missing"]),
        double: pick(&["0.5", "1.0", "-2.25", "1e300", "data.d", "data.e", "data.m.d"]),
        text: pick(&["''", "'a'", "'äb'", "\"x\\ny\"", "r'\\n'", "data.s", "data.u", "data['s']", "data.m.s"]),
        bool: pick(&[
            "true",
            "false",
            "data.t",
            "has(data.i)",
            "has(data.missing)",
            "has(data.m.zzz)",
            "('a' in data.m)",
            "('z' in data.m)",
        ]),
        list: pick(&["[]", "[1, 2, 3]", "data.l", "data.n", "data.m.l"]),
    }
}

/// Puts generated parts into a pattern: `$0`, `$1`, `$2`.
fn filled(pattern: &'static str, parts: [&BoxedStrategy<String>; 3]) -> BoxedStrategy<String> {
    let [a, b, c] = parts.map(BoxedStrategy::clone);
    (a, b, c).prop_map(move |(a, b, c)| pattern.replace("$0", &a).replace("$1", &b).replace("$2", &c)).boxed()
}

fn deeper(below: &Level) -> Level {
    let Level { int: i, double: d, text: s, bool: b, list: l } = below;
    let one_of = |kept: &BoxedStrategy<String>, more: Vec<BoxedStrategy<String>>| {
        let more: Vec<_> = more.into_iter().map(|strategy| (2, strategy)).chain([(3, kept.clone())]).collect();
        prop::strategy::Union::new_weighted(more).boxed()
    };
    let int = vec![
        filled("($0 + $1)", [i, i, i]),
        filled("($0 - $1 - $2)", [i, i, i]),
        filled("($0 * $1)", [i, i, i]),
        filled("($0 / $1)", [i, i, i]),
        filled("($0 % $1)", [i, i, i]),
        filled("($0 ? $1 : $2)", [b, i, i]),
        filled("-($0)", [i, i, i]),
        filled("size($0)", [l, l, l]),
        filled("size($0)", [s, s, s]),
        filled("$0[$1]", [l, i, i]),
        filled("int($0)", [d, d, d]),
        filled("int(string($0))", [i, i, i]),
    ];
    let double = vec![
        filled("($0 + $1)", [d, d, d]),
        filled("($0 - $1)", [d, d, d]),
        filled("($0 * $1)", [d, d, d]),
        filled("($0 / $1)", [d, d, d]),
        filled("($0 ? $1 : $2)", [b, d, d]),
        filled("double($0)", [i, i, i]),
        filled("-($0)", [d, d, d]),
    ];
    let text = vec![
        filled("($0 + $1)", [s, s, s]),
        filled("($0 ? $1 : $2)", [b, s, s]),
        filled("string($0)", [i, i, i]),
        filled("string($0)", [b, b, b]),
    ];
    let bool = vec![
        filled("($0 && $1)", [b, b, b]),
        filled("($0 || $1 || $2)", [b, b, b]),
        filled("($0 && $1 && $2)", [b, b, b]),
        filled("!($0)", [b, b, b]),
        filled("($0 ? $1 : $2)", [b, b, b]),
        filled("($0 < $1)", [i, i, i]),
        filled("($0 == $0 && $1 == $1 && $0 >= $1)", [d, d, d]),
        filled("($0 <= $1)", [s, s, s]),
        filled("($0 > $1)", [b, b, b]),
        filled("($0 == $1)", [i, i, i]),
        filled("(size($0) == $1)", [l, d, d]),
        filled("($0 != $1)", [d, d, d]),
        filled("($0 == $1)", [s, i, i]),
        filled("($0 == $1)", [l, l, l]),
        filled("({'a': $0} == {'a': $1})", [i, i, i]),
        filled("($0 in $1)", [i, l, l]),
        filled("$0.contains($1)", [s, s, s]),
        filled("$0.startsWith($1)", [s, s, s]),
        filled("$0.endsWith($1)", [s, s, s]),
        filled("$0.exists(x, x > $1)", [l, i, i]),
        filled("$0.exists(x, $1 / x == 1)", [l, i, i]),
        filled("$0.all(x, x != $1)", [l, i, i]),
        filled("$0.all(x, $1 % x < 2)", [l, i, i]),
        filled("$0.exists_one(x, x == $1)", [l, i, i]),
        filled("data.m.all(k, k != $0)", [s, s, s]),
    ];
    let list = vec![
        filled("[$0, $1]", [i, i, i]),
        filled("($0 + $1)", [l, l, l]),
        filled("($0 ? $1 : $2)", [b, l, l]),
        filled("$0.map(x, x + $1)", [l, i, i]),
        filled("$0.map(x, x > $1, x * 2)", [l, i, i]),
        filled("$0.filter(x, x <= $1)", [l, i, i]),
        filled("[{'k': $0}.k, {'k': [$1]}.k[0]]", [i, i, i]),
    ];
    Level {
        int: one_of(i, int),
        double: one_of(d, double),
        text: one_of(s, text),
        bool: one_of(b, bool),
        list: one_of(l, list),
    }
}

fn expressions() -> BoxedStrategy<String> {
    let Level { int, double, text, bool, list } = deeper(&deeper(&deeper(&leaves())));
    prop_oneof![int, double, text, bool, list].boxed()
}

fn ints() -> BoxedStrategy<i64> {
    prop_oneof![-3..4_i64, any::<i64>(), Just(i64::MIN), Just(i64::MAX)].boxed()
}

fn doubles() -> BoxedStrategy<f64> {
    prop_oneof![(-3..4_i32).prop_map(f64::from), -1e3..1e3_f64, Just(1e308)].boxed()
}

fn payloads() -> BoxedStrategy<Value> {
    let ints_in_list =
        || prop::collection::vec(ints(), 0..5).prop_map(|items| Value::list(items.into_iter().map(Value::Int).collect()));
    let text = || prop_oneof![Just(String::new()), "[aäb]{0,3}"].prop_map(Value::from);
    let map = |entries: Vec<(&str, Value)>| Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect());
    let inner = (ints(), doubles(), text(), ints_in_list())
        .prop_map(move |(a, d, s, l)| map(vec![("a", a.into()), ("d", d.into()), ("s", s), ("l", l)]));
    ((ints(), ints(), ints()), (doubles(), doubles()), (text(), text()), any::<bool>(), (ints_in_list(), ints_in_list()), inner)
        .prop_map(move |((i, j, k), (d, e), (s, u), t, (l, n), m)| {
            map(vec![
                ("i", i.into()),
                ("j", j.into()),
                ("k", k.into()),
                ("d", d.into()),
                ("e", e.into()),
                ("s", s),
                ("u", u),
                ("t", t.into()),
                ("l", l),
                ("n", n),
                ("m", m),
            ])
        })
        .boxed()
}

fn theirs(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Int(number) => cel::Value::Int(*number),
        Value::Double(number) => cel::Value::Float(*number),
        Value::Str(text) => cel::Value::String(Arc::new(text.to_string())),
        Value::List(items) => cel::Value::List(Arc::new(items.iter().map(theirs).collect())),
        Value::Map(map) => {
            let entries: HashMap<String, cel::Value> =
                map.iter().map(|(key, value)| (key.to_string(), theirs(value))).collect();
            cel::Value::Map(entries.into())
        }
        other => panic!("payloads have no {}", other.kind()),
    }
}

fn ours(value: &cel::Value) -> Value {
    match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => Value::Bool(*truth),
        cel::Value::Int(number) => Value::Int(*number),
        cel::Value::Float(number) => Value::Double(*number),
        cel::Value::String(text) => Value::from(text.as_str()),
        cel::Value::List(items) => Value::list(items.iter().map(ours).collect()),
        other => panic!("generated expressions do not give {other:?}"),
    }
}

/// Equal and of one kind; NaN is NaN.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        (a, b) => a.kind() == b.kind() && a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn generated_expressions_give_what_the_reference_gives(text in expressions(), data in payloads()) {
        let compiled = compile(&text, &any_data(), &Expect::Any);
        let Some(program) = compiled.program else {
            let found = codes(&compiled.findings);
            // Certain failures, what is too long or too deep, and variables within variables of the same name.
            prop_assert!(found.iter().all(|code| matches!(*code, "E311" | "E308" | "E309" | "W303" | "W305")), "{:?}", compiled.findings);
            return Ok(());
        };
        let mut context = cel::Context::default();
        context.add_variable_from_value("data", theirs(&data));
        let reference = cel::Program::compile(&text).expect("what we parse they parse").execute(&context);
        let result = program.eval(&Given(HashMap::from([(names::DATA, data)])), &mut Fuel::new());
        match (result, reference) {
            (Ok(result), Ok(reference)) => {
                let reference = ours(&reference);
                prop_assert!(same(&result, &reference), "ours {result:?}, theirs {reference:?}");
            }
            (Err(_), Err(_)) => {}
            // Division of doubles by zero.
            (Err(error), Ok(_)) if error.kind == Kind::DivideByZero => {}
            (result, reference) => prop_assert!(false, "ours {result:?}, theirs {reference:?}"),
        }
    }
}

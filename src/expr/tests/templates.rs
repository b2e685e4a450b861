//! Templates: what each form gives, and what is said of it.

use super::*;

fn scope() -> Scope {
    let data: Type = Object::open().with("id", Type::String).with("n", Type::Int).into();
    Scope::new()
        .with(names::DATA, data)
        .with(names::KEY, Type::String)
        .with(names::CTX, names::ctx())
        .with(names::STATE, Type::Any)
}

fn values() -> Given {
    let time = Value::Timestamp("2026-11-21T08:00:00Z".parse().unwrap());
    let ctx = Value::Map([("time".into(), time), ("id".into(), "c".into())].into_iter().collect());
    let mut given = given(r#"{"id": "o-1", "n": 3, "x": {"y": [1, 2.0]}, "null": null, "list": ["a"], "brace": "{}"}"#);
    given.0.extend([
        (names::KEY, "k 1".into()),
        (names::CTX, ctx),
        (names::STATE, json::read(b"{\"status\":\"open\"}").unwrap()),
    ]);
    given
}

/// A template from JSON, scalars numbered in the order of the text.
fn source(value: &Value, next: &mut u32) -> TemplateSource {
    match value {
        Value::Str(text) => {
            *next += 1;
            TemplateSource::Text { text: text.to_string(), place: *next - 1 }
        }
        Value::List(items) => TemplateSource::List(items.iter().map(|item| source(item, next)).collect()),
        Value::Map(map) => TemplateSource::Map(map.iter().map(|(key, item)| (key.clone(), source(item, next))).collect()),
        other => TemplateSource::Literal(other.clone()),
    }
}

fn compiled(template: &str) -> (Option<Template>, Type, Vec<Placed>) {
    let value = json::read(template.as_bytes()).expect("the test's JSON");
    Template::compile(&source(&value, &mut 0), &scope())
}

fn gives(template: &str) -> String {
    let (template, _, findings) = compiled(template);
    let Some(template) = template else { return format!("{:?}", found(&findings)) };
    match template.eval(&values(), &mut Fuel::new()) {
        Ok(Some(value)) => json::text(&value).expect("the JSON model"),
        Ok(None) => "nothing".into(),
        Err(error) => format!("{} at {:?}", error.kind.name(), error.place),
    }
}

fn found(findings: &[Placed]) -> Vec<(u32, &'static str)> {
    findings.iter().map(|placed| (placed.place, placed.finding.code)).collect()
}

#[test]
fn each_form_gives_what_the_language_says() {
    for (template, expected) in [
        (r#""plain""#, r#""plain""#),
        ("1", "1"),
        ("null", "null"),
        (r#""=data.n""#, "3"),
        (r#""= data.x ""#, r#"{"y":[1,2.0]}"#),
        (r#""==data.n""#, r#""=data.n""#),
        (r#""order {data.id} has {data.n}""#, r#""order o-1 has 3""#),
        (r#""{{x}} {data.n}""#, r#""{x} 3""#),
        (r#""{{x}}""#, r#""{x}""#),
        (r#""a } b""#, r#""a } b""#),
        (r#""{data.n}}}""#, r#""3}""#),
        (r#""{{{data.n}}}""#, r#""{3}""#),
        (r#""{'}' + data.id + \"{\"}!""#, r#""}o-1{!""#),
        (r#""{ {'a': 'b'}.a } and {[1, 2][1]}""#, r#""b and 2""#),
        (r#""{data.brace}{data.n}""#, r#""{}3""#),
        (r#""{r'\\'}{data.n}""#, r#""\\3""#),
        (r#""at {ctx.time} in {duration('90s')}""#, r#""at 2026-11-21T08:00:00Z in 90s""#),
        (r#"{"b": "=data.n", "a": ["x", "={'t': ctx.time}"]}"#, r#"{"a":["x",{"t":"2026-11-21T08:00:00Z"}],"b":3}"#),
        (
            r#"{"a": "=data.?x", "b": "=data.?nope", "c": ["=data.?nope", 1], "d": "=data[?'null']"}"#,
            r#"{"a":{"y":[1,2.0]},"c":[1]}"#,
        ),
        (r#"{"a": "=data['null']"}"#, r#"{"a":null}"#),
        (r#""=data.?nope""#, "nothing"),
        (r#""=b'\\xff'""#, r#""/w==""#),
        (r#""=duration('1h30m')""#, r#""5400s""#),
        (r#""=[double(data.n)]""#, "[3.0]"),
        (r#"["=double('NaN')"]"#, "NOT_FINITE at Some(0)"),
        (r#"["x", "=double('-inf') * data.n"]"#, "NOT_FINITE at Some(1)"),
        (r#"["x", "n {data.nope}"]"#, "MISSING_FIELD at Some(1)"),
        (r#"["=data.n", "=data.nope"]"#, "MISSING_FIELD at Some(1)"),
        (r#""{data.list}""#, "NO_OVERLOAD at Some(0)"),
        (r#"{}"#, "{}"),
    ] {
        assert_eq!(gives(template), expected, "{template}");
    }
}

#[test]
fn findings_bring_back_the_scalar_and_its_bytes() {
    for (template, expected) in [
        (r#"["x", "=data.n + 'a'"]"#, vec![(1, "E305")]),
        (r#"["={", "{nope} and {data.id"]"#, vec![(0, "E301"), (1, "E302"), (1, "E301")]),
        (r#""{}""#, vec![(0, "E301")]),
        (r#""{\"a\": 1}""#, vec![(0, "E301")]),
        (r#""{data.n} }""#, vec![(0, "E301")]),
        (r#""{data.?n} x""#, vec![(0, "E304")]),
        (r#""{[1]} x""#, vec![(0, "E304")]),
        (r#""{data.id}""#, vec![(0, "W304")]),
        (r#""data.id""#, vec![(0, "W301")]),
        (r#""state.status""#, vec![(0, "W301")]),
        (r#""state['status'] == 'open'""#, vec![(0, "W301")]),
        (r#""size(data.id)""#, vec![(0, "W301")]),
        (
            r#"["data", "key", "error.id", "see data. Then", "my.data.id", "about data.id and more", "/data.id", "3 - 1"]"#,
            vec![],
        ),
        (r#""==data.id""#, vec![]),
        (r#""=""#, vec![(0, "E301")]),
    ] {
        assert_eq!(found(&compiled(template).2), expected, "{template}: {:?}", compiled(template).2);
    }
    let text = "ä {data.id} {nope}";
    let (_, _, findings) = compiled(&json::text(&text.into()).unwrap());
    assert_eq!(&text[findings[0].finding.range.clone()], "nope");
}

#[test]
fn types_of_templates_are_of_the_json_model() {
    let (_, ty, _) = compiled(r#"{"n": "=data.n", "t": "=ctx.time", "o": "=data.?x", "s": "{data.id}!", "l": [1, "=data.n"]}"#);
    let expected: Type = Object::closed()
        .with("n", Type::Int)
        .with("t", Type::String)
        .with_optional("o", Type::Any)
        .with("s", Type::String)
        .with("l", Type::list(Type::Int))
        .into();
    assert_eq!(ty, expected);
}

#[test]
fn templates_tell_what_they_read_and_what_is_constant() {
    let (template, _, _) = compiled(r#"{"a": "{data.id}-{key}", "b": ["=data.n"], "c": "x"}"#);
    let slots: Vec<_> = template.expect("compiles").reads().iter().map(|read| (read.slot, read.fields.clone())).collect();
    assert_eq!(slots, [(names::DATA, Fields::Some(vec!["id".into(), "n".into()])), (names::KEY, Fields::All)]);
    let (template, _, _) = compiled(r#"{"a": ["x", "=1 + 1"]}"#);
    assert!(template.expect("compiles").as_const().is_some());
}

#[test]
fn a_result_is_bounded_however_it_is_put_together() {
    let big = "x".repeat(600_000);
    let mut given = values();
    given.0.insert(names::KEY, big.into());
    for template in [r#"["=key", "=key"]"#, r#""{key}{key}""#, r#"{"a": "=[key, key]"}"#] {
        let (template, _, _) = compiled(template);
        let error = template.expect("compiles").eval(&given, &mut Fuel::new()).expect_err("1.2 MB");
        assert_eq!(error.kind, Kind::TooLarge);
    }
}

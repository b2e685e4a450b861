//! Findings: their codes, places and hints.

use super::*;

fn scope() -> Scope {
    let order: Type = Object::closed()
        .with("id", Type::String)
        .with("total", Type::Double)
        .with("count", Type::Int)
        .with("items", Type::list(Object::closed().with("sku", Type::String).with("n", Type::Int).into()))
        .with("any", Type::Any)
        .with_optional("note", Type::String)
        .with_optional("address", Object::closed().with("city", Type::String).with_optional("zip", Type::String).into())
        .into();
    let mut scope = Scope::new()
        .with(names::DATA, order)
        .with(names::STATE, Object::open().with("quantity", Type::Int).into())
        .with(names::CTX, names::ctx())
        .with(names::PARAMS, Object::closed().with("rate", Type::Double).into());
    scope.local("held", Type::Bool);
    scope.local("customer", Type::optional(Object::open().with("email", Type::String).into()));
    scope
}

/// Code and the text that a finding is about, for all findings of an expression.
fn findings(text: &str) -> Vec<(&'static str, String)> {
    let found = compile(text, &scope(), &Expect::Any).findings;
    found.iter().map(|finding| (finding.code, text[finding.range.clone()].to_owned())).collect()
}

#[track_caller]
fn table(rows: &[(&str, &[(&str, &str)])]) {
    let mut wrong = String::new();
    for (text, expected) in rows {
        let found = findings(text);
        let same = found.len() == expected.len() && found.iter().zip(*expected).all(|(a, b)| a.0 == b.0 && a.1 == b.1);
        if !same {
            wrong += &format!("\n{text}\n  gives {found:?}\n  not   {expected:?}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn names_fields_and_functions_that_are_not_there() {
    table(&[
        ("data.id", &[]),
        ("= data.id", &[]),
        ("=data.idd + dat.x", &[("E307", "idd"), ("E302", "dat")]),
        ("response.status", &[("E313", "response")]),
        ("data.items[0].skuu", &[("E307", "skuu")]),
        ("data['idd']", &[("E307", "'idd'")]),
        ("data.?idd.hasValue()", &[("E307", "idd")]),
        ("has(data.idd)", &[("E307", "idd")]),
        ("state.anything", &[]),
        ("siz(data.items)", &[("E303", "siz")]),
        ("data.id.len()", &[("E303", "len")]),
        ("sha256(data.idd)", &[("E307", "idd")]),
        ("data.id.sha256()", &[("E303", "sha256")]),
        ("contains(data.id, 'x')", &[("E303", "contains")]),
        ("now()", &[("E303", "now")]),
        ("count()", &[("E312", "count")]),
        ("top(3, data.total)", &[("E312", "top")]),
        ("distinct(data.items)", &[("E312", "distinct")]),
        ("x && y", &[("E302", "x"), ("E302", "y")]),
    ]);
}

#[test]
fn kinds_that_do_not_fit() {
    table(&[
        ("data.id + 1", &[("E305", "data.id + 1")]),
        ("data.id - 'a'", &[("E305", "data.id - 'a'")]),
        ("-data.id", &[("E305", "-data.id")]),
        ("!data.count", &[("E305", "data.count")]),
        ("held && data.id", &[("E305", "data.id")]),
        ("data.id ? 1 : 2", &[("E305", "data.id")]),
        ("data.id < data.count", &[("E305", "data.id < data.count")]),
        ("data.items < data.items", &[("E305", "data.items < data.items")]),
        ("'a' in data.id", &[("E305", "'a' in data.id")]),
        ("data.id.x", &[("E305", "x")]),
        ("data.count[0]", &[("E305", "data.count[0]")]),
        ("data.items['a']", &[("E304", "'a'")]),
        ("data.total % 2", &[("E305", "data.total % 2")]),
        ("size(data.count)", &[("E304", "data.count")]),
        ("data.id.contains(1)", &[("E304", "1")]),
        ("size()", &[("E304", "size()")]),
        ("size(data.id, 1)", &[("E304", "size(data.id, 1)")]),
        ("data.items.map(x)", &[("E304", "data.items.map(x)")]),
        ("data.items.map(x.y, 1)", &[("E304", "x.y")]),
        ("data.count.map(x, x)", &[("E305", "data.count")]),
        ("data.items.sortBy(x, x)", &[("E304", "x")]),
        ("{1: 2}", &[("E304", "1")]),
        ("has(data)", &[("E304", "data")]),
        ("data.any + data.any.x.y - 1 < data.any[data.any]", &[]),
        ("data.items.all(x, x.n > 0) && data.items.map(x, x.sku).join(',') != ''", &[]),
    ]);
}

#[test]
fn optionals_are_used_as_such() {
    table(&[
        ("customer.value().email", &[]),
        ("customer.?email.orValue('')", &[]),
        ("customer.email.orValue('')", &[]),
        ("customer == null", &[("E305", "customer == null")]),
        ("customer.email + 'x'", &[("E305", "customer.email + 'x'")]),
        ("size(customer)", &[("E304", "customer")]),
        ("[customer]", &[("E304", "customer")]),
        ("[?customer]", &[]),
        ("[?data.id]", &[("E304", "data.id")]),
        ("{'a': customer}", &[("E304", "customer")]),
        ("data.items.map(x, data.?note)", &[("E304", "data.?note")]),
        ("data.id.orValue('x')", &[("E304", "orValue")]),
        ("customer.orValue(customer)", &[("E304", "customer")]),
        ("customer.or('x')", &[("E304", "'x'")]),
        ("held ? data.?note : 'x'", &[("E305", "held ? data.?note : 'x'")]),
        ("held ? data.?note : null", &[]),
        ("customer.hasValue() && held", &[]),
        ("customer && held", &[("E305", "customer")]),
    ]);
}

#[test]
fn a_field_that_may_be_missing_warns_unless_it_was_asked_for() {
    table(&[
        ("data.note", &[("W302", "note")]),
        ("data['note']", &[("W302", "'note'")]),
        ("data.?note", &[]),
        ("data[?'note']", &[]),
        ("has(data.note)", &[]),
        ("has(data.note) && data.note == ''", &[]),
        ("data.note == '' && has(data.note)", &[("W302", "note")]),
        ("has(data.note) || data.note == ''", &[("W302", "note")]),
        ("!has(data.note) || data.note == ''", &[]),
        ("has(data.note) ? data.note : ''", &[]),
        ("!has(data.note) ? '' : data.note", &[]),
        ("has(data.note) ? '' : data.note", &[("W302", "note")]),
        ("'note' in data && data.note == ''", &[]),
        ("data.?note.hasValue() && data.note == ''", &[]),
        ("!(has(data.note) && held) || data.note == ''", &[]),
        ("has(data.address) && data.address.city == ''", &[]),
        ("has(data.address) && data.address.zip == ''", &[("W302", "zip")]),
        ("has(data.address.zip) && data.address.zip == ''", &[("W302", "address"), ("W302", "address")]),
        ("(has(data.note) && held) && data.note == data.note", &[]),
    ]);
}

#[test]
fn what_is_probably_not_meant_warns() {
    table(&[
        ("data.any / 2", &[("W303", "data.any / 2")]),
        ("7 / 2", &[("W303", "7 / 2")]),
        ("data.count / 2", &[]),
        ("data.any / data.count", &[]),
        ("data.total / 2", &[]),
        ("2 / data.total", &[]),
        ("int(data.any) / 2", &[]),
        ("data.count == '1'", &[("W305", "data.count == '1'")]),
        ("data.count != '1'", &[("W305", "data.count != '1'")]),
        ("data.id == null", &[("W305", "data.id == null")]),
        ("data.count == 1.5", &[]),
        ("data.any == '1'", &[]),
        ("1 in ['a']", &[("W305", "1 in ['a']")]),
        ("data.items == ['a']", &[]),
    ]);
}

#[test]
fn constants_that_always_fail() {
    table(&[
        ("data.id.matches('(')", &[("E311", "'('")]),
        ("data.total / 0", &[("E311", "data.total / 0")]),
        ("data.count + 1 / 0", &[("E311", "1 / 0")]),
        ("timestamp('yesterday') < ctx.time", &[("E311", "timestamp('yesterday')")]),
        ("duration('90')", &[("E311", "duration('90')")]),
        ("ctx.time.getHours('Nowhere/X')", &[("E311", "'Nowhere/X'")]),
        ("[1, 2][5]", &[("E311", "[1, 2][5]")]),
        ("int('x')", &[("E311", "int('x')")]),
        ("9223372036854775807 + 1", &[("E311", "9223372036854775807 + 1")]),
        ("held || 1 / 0 == 1", &[("E311", "1 / 0")]),
    ]);
}

#[test]
fn syntax_is_told_with_its_place_and_what_was_meant() {
    for (text, code, at, hint) in [
        ("data.id = 'x'", "E301", "=", Some("`==`")),
        ("held and held", "E301", "and", Some("`&&`")),
        ("data.count +", "E301", "", None),
        ("(data.count", "E301", "(", Some("double quotes")),
        ("data.count)", "E301", ")", None),
        ("data.id == 'a", "E301", "'a", Some("double quotes")),
        ("", "E301", "", None),
        ("data.in", "E301", "in", Some("x['in']")),
        ("data.x == 1u", "E301", "1u", Some("`1`")),
        ("Order{id: 1}", "E301", "{", Some("map")),
        ("'ä' + for", "E310", "for", Some("x['for']")),
        ("data.id == 'ä' + foo", "E302", "foo", None),
        ("'ä' + data.idd", "E307", "idd", Some("did you mean `id`")),
        ("data.items.map(if, 1)", "E310", "if", None),
        ("data.items.map(data, 1)", "E309", "data", None),
        ("data.items.map(x, data.items.map(x, 1))", "E309", "x", None),
        ("data.id;", "E301", ";", Some("let")),
        ("uuid5(1", "E301", "(", None),
    ] {
        let found = compile(text, &scope(), &Expect::Any).findings;
        let Some(first) = found.first() else { panic!("{text}: nothing found") };
        assert_eq!((first.code, &text[first.range.clone()]), (code, at), "{text}: {found:?}");
        if let Some(expected) = hint {
            assert!(first.hint.as_deref().unwrap_or_default().contains(expected), "{text}: {found:?}");
        }
    }
}

#[test]
fn a_result_must_be_what_its_place_wants() {
    for (text, expect, code) in [
        ("data.id", Expect::Type(Type::Bool), Some("E306")),
        ("data.count", Expect::Type(Type::Double), None),
        ("data.any", Expect::Type(Type::Bool), None),
        ("data.?note", Expect::Type(Type::String), Some("E306")),
        ("data.total", Expect::Key, Some("E306")),
        ("data.count", Expect::Key, None),
        ("data.id", Expect::Elements, Some("E306")),
        ("data.items", Expect::Elements, None),
        ("data.?note", Expect::Any, None),
    ] {
        let found = compile(text, &scope(), &expect).findings;
        assert_eq!(found.first().map(|finding| finding.code), code, "{text}: {found:?}");
    }
}

#[test]
fn types_of_results_are_inferred() {
    for (text, ty) in [
        ("data.total * data.count", "double"),
        ("data.count / 2", "int"),
        ("data.items.map(x, x.n)", "list(int)"),
        ("sum(data.items.map(x, x.n))", "int"),
        ("data.items.first()", "optional(map)"),
        ("data.items.first().sku", "optional(string)"),
        ("merge(data, {'x': 1}).x", "int"),
        ("pick(data, ['id']).id", "string"),
        ("ctx.time - ctx.time", "duration"),
        ("ctx.time + duration('1s')", "timestamp"),
        ("held ? 1 : 2", "int"),
        ("held ? 1 : 'a'", "any"),
        ("[1, 'a']", "list(any)"),
        ("{data.id: 1}", "map(string, int)"),
        ("data.id + data.any", "string"),
    ] {
        let compiled = compile(text, &scope(), &Expect::Any);
        assert!(compiled.program.is_some(), "{text}: {:?}", compiled.findings);
        assert_eq!(compiled.ty.to_string(), ty, "{text}");
    }
    assert_eq!(codes(&compile("omit(data, ['id']).id", &scope(), &Expect::Any).findings), ["E307"]);
}

#[test]
fn programs_tell_what_they_read() {
    let reads =
        |text| compile(text, &scope(), &Expect::Any).program.map(|program| program.reads().to_vec()).unwrap_or_default();
    let some = |slot, fields: &[&str]| Read { slot, fields: Fields::Some(fields.iter().map(|f| (*f).into()).collect()) };
    assert_eq!(reads("data.id + data['id']"), [some(names::DATA, &["id"])]);
    assert_eq!(
        reads("data.count > 1 && state.quantity > 1 && has(data.note)"),
        [some(names::DATA, &["count", "note"]), some(names::STATE, &["quantity"])]
    );
    assert_eq!(reads("keys(data)"), [Read { slot: names::DATA, fields: Fields::All }]);
    assert_eq!(reads("data.id + data[data.id]"), [Read { slot: names::DATA, fields: Fields::All }]);
    assert_eq!(reads("data.items.map(x, x.n)"), [some(names::DATA, &["items"])]);
    assert_eq!(reads("1 + 1"), []);
}

#[test]
fn new_names_are_checked() {
    let code = |name: &str| scope().check_name(name).map(|finding| finding.code);
    assert_eq!(code("total"), None);
    assert_eq!(code("data"), Some("E309"));
    assert_eq!(code("held"), Some("E309"));
    assert_eq!(code("in"), Some("E310"));
    assert_eq!(code("while"), Some("E310"));
    assert_eq!(code("1a"), Some("E114"));
    assert_eq!(code(""), Some("E114"));
    assert_eq!(code("a-b"), Some("E114"));
}

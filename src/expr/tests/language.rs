//! Results of operators and functions, as tables: the JSON text of the result, or the kind of the error.

use super::*;

#[track_caller]
fn table(data: &str, rows: &[(&str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .map(|(text, expected)| (text, outcome(text, data), expected))
        .filter(|(_, given, expected)| given != *expected)
        .map(|(text, given, expected)| format!("{text}\n  gives {given}\n  not   {expected}"))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const DATA: &str = r#"{
    "i": 7, "z": 0, "d": 2.5, "whole": 2.0, "s": "text", "empty": "", "t": true, "n": null, "big": 12345678901234567890,
    "max": 9223372036854775807, "min": -9223372036854775808,
    "l": [3, 1, 2], "mixed": [1, 2.5, 2], "words": ["b", "a", "b"], "none": [], "nested": [[1], [2, [3]], 4],
    "items": [{"sku": "a", "n": 2}, {"sku": "b", "n": 3}],
    "m": {"b": 2, "a": 1, "nothing": null}, "o": {}, "in": 1, "content-type": "json", "time": "2026-11-21T08:15:30.250Z"
}"#;

#[test]
fn arithmetic_mixes_ints_and_doubles() {
    table(
        DATA,
        &[
            ("1 + 2 * 3", "7"),
            ("10 - 2 - 3", "5"),
            ("data.i / 2", "3"),
            ("-data.i / 2", "-3"),
            ("data.i % 4", "3"),
            ("-7 % 4", "-3"),
            ("data.i / 2.0", "3.5"),
            ("data.i + data.d", "9.5"),
            ("data.d * 2", "5.0"),
            ("data.max + 1", "OVERFLOW"),
            ("data.min - 1", "OVERFLOW"),
            ("data.max * 2", "OVERFLOW"),
            ("-data.min", "OVERFLOW"),
            ("data.min / -1", "OVERFLOW"),
            ("data.min % -1", "OVERFLOW"),
            ("data.i / data.z", "DIVIDE_BY_ZERO"),
            ("data.i % data.z", "DIVIDE_BY_ZERO"),
            ("data.d / data.z", "DIVIDE_BY_ZERO"),
            ("data.d % 2", "NO_OVERLOAD"),
            ("data.s - data.s", "NO_OVERLOAD"),
            ("data.s + data.i", "NO_OVERLOAD"),
            ("data.s + data.s", "\"texttext\""),
            ("data.l + [4]", "[3,1,2,4]"),
            ("b'ab' + b'c' == b'abc'", "true"),
            ("data.n + 1", "NO_OVERLOAD"),
            ("data.big + 1", "NUMBER_RANGE"),
            ("-data.big", "NUMBER_RANGE"),
            ("data.big", "12345678901234567890"),
            ("data.i / 0", "[\"E311\"]"),
            ("0x10 + 1", "17"),
            ("--data.i", "7"),
        ],
    );
}

#[test]
fn equality_never_fails_and_order_needs_one_kind() {
    table(
        DATA,
        &[
            ("data.whole == 2", "true"),
            ("2 == data.whole", "true"),
            ("data.i == '7'", "false"),
            ("data.i != '7'", "true"),
            ("data.n == null", "true"),
            ("data.s == null", "false"),
            ("data.big == data.big", "true"),
            ("data.big == 1", "false"),
            ("data.l == [3, 1, 2]", "true"),
            ("data.l == [3.0, 1, 2]", "true"),
            ("data.m == {'a': 1, 'b': 2, 'nothing': null}", "true"),
            ("data.m == data.o", "false"),
            ("data.i < 7.5", "true"),
            ("data.max < 9223372036854775808.0", "true"),
            ("data.d >= 2.5", "true"),
            ("data.s < 'u'", "true"),
            ("false < true", "true"),
            ("data.s < data.i", "NO_OVERLOAD"),
            ("data.big < 1", "NUMBER_RANGE"),
            ("data.l < data.l", "NO_OVERLOAD"),
            ("2 in data.l", "true"),
            ("2.0 in data.l", "true"),
            ("'a' in data.m", "true"),
            ("'nothing' in data.m", "true"),
            ("'x' in data.m", "false"),
            ("1 in data.m", "false"),
            ("'a' in data.s", "NO_OVERLOAD"),
        ],
    );
}

#[test]
fn the_deciding_side_of_and_and_or_absorbs_errors() {
    table(
        DATA,
        &[
            ("data.missing && false", "false"),
            ("false && data.missing", "false"),
            ("data.missing || true", "true"),
            ("true || data.missing", "true"),
            ("data.missing && true", "MISSING_FIELD"),
            ("false || data.missing", "MISSING_FIELD"),
            ("data.i && true", "NO_OVERLOAD"),
            ("data.i && false", "false"),
            ("!data.t", "false"),
            ("!data.i", "NO_OVERLOAD"),
            ("!!data.t", "true"),
            ("data.t ? 1 : data.missing", "1"),
            ("data.i ? 1 : 2", "NO_OVERLOAD"),
            ("data.n ? 1 : 2", "NO_OVERLOAD"),
            ("data.l.exists(x, x / (x - 3) == -1 || x == 1)", "true"),
            ("data.mixed.all(x, x == data.missing)", "MISSING_FIELD"),
            ("[1, 0].all(x, 1 / x == 2)", "false"),
            ("[0, 1].exists(x, 1 / x == 1)", "true"),
            ("[0, 2].exists(x, 1 / x == 1)", "DIVIDE_BY_ZERO"),
        ],
    );
}

#[test]
fn missing_and_null_are_told_as_the_language_says() {
    table(
        DATA,
        &[
            ("data.x", "MISSING_FIELD"),
            ("data.o.x.y", "MISSING_FIELD"),
            ("data.n.x", "MISSING_FIELD"),
            ("data.s.x", "NO_OVERLOAD"),
            ("data['content-type']", "\"json\""),
            ("data['in']", "1"),
            ("data.m['x']", "MISSING_FIELD"),
            ("has(data.x)", "false"),
            ("has(data.n)", "false"),
            ("has(data.i)", "true"),
            ("has(data.m.a)", "true"),
            ("has(data.x.y)", "MISSING_FIELD"),
            ("has(data.?x.y)", "false"),
            ("data.?i.hasValue()", "true"),
            ("data.?x.hasValue()", "false"),
            ("data.?n.hasValue()", "false"),
            ("data.?x.orValue('d')", "\"d\""),
            ("data.?n.orValue('d')", "\"d\""),
            ("data.?i.orValue(1 / 0 == 1)", "[\"E311\"]"),
            ("data.?i.orValue(data.x)", "7"),
            ("data.?i.value()", "7"),
            ("data.?x.value()", "MISSING_FIELD"),
            ("data.?x.or(data.?i).value()", "7"),
            ("data.?m.a.value()", "1"),
            ("data.?x.a.b.hasValue()", "false"),
            ("data.?s.a.hasValue()", "NO_OVERLOAD"),
            ("data.m[?'a'].value()", "1"),
            ("data.m[?data.s].hasValue()", "false"),
            ("data.l[?0].value()", "3"),
            ("data.l[?9].hasValue()", "false"),
            ("data.l[1]", "1"),
            ("data.l[1.0]", "1"),
            ("data.l[3]", "INDEX"),
            ("data.l[-1]", "INDEX"),
            ("data.l['a']", "NO_OVERLOAD"),
            ("[?data.?x, 1, ?data.?i]", "[1,7]"),
            ("{?'x': data.?x, ?'i': data.?i}", "{\"i\":7}"),
            ("data.?x", "null"),
            ("{data.s: 1}", "{\"text\":1}"),
            ("{data.i: 1}", "NO_OVERLOAD"),
        ],
    );
}

#[test]
fn conversions_convert_or_say_so() {
    table(
        DATA,
        &[
            ("int(2.9)", "2"),
            ("int(-2.9)", "-2"),
            ("int('12')", "12"),
            ("int(data.s)", "CONVERSION"),
            ("int(data.d * 1e30)", "CONVERSION"),
            ("int(timestamp(12))", "12"),
            ("int(data.t)", "NO_OVERLOAD"),
            ("int(data.big)", "NUMBER_RANGE"),
            ("double(data.i)", "7.0"),
            ("double('1.5')", "1.5"),
            ("double(data.s)", "CONVERSION"),
            ("string(data.i)", "\"7\""),
            ("string(data.d)", "\"2.5\""),
            ("string(data.whole)", "\"2\""),
            ("string(data.t)", "\"true\""),
            ("string(b'abc')", "\"abc\""),
            ("string(duration('90m'))", "\"5400s\""),
            ("string(data.n)", "NO_OVERLOAD"),
            ("string(data.big)", "NUMBER_RANGE"),
            ("string(data.l)", "NO_OVERLOAD"),
            ("bool('true')", "true"),
            ("bool(data.s)", "CONVERSION"),
            ("size(bytes('ä'))", "2"),
            ("timestamp(data.time)", "\"2026-11-21T08:15:30.25Z\""),
            ("timestamp('2026-11-21T09:15:30+01:00') == timestamp('2026-11-21T08:15:30Z')", "true"),
            ("timestamp(1)", "\"1970-01-01T00:00:01Z\""),
            ("timestamp(data.s)", "CONVERSION"),
            ("timestamp(data.max)", "OVERFLOW"),
            ("duration('1d2h')", "\"93600s\""),
            ("duration(data.s)", "CONVERSION"),
            ("type(data.i)", "\"int\""),
            ("type(data.n) == null_type", "true"),
            ("type(data.d) == double && type(data.m) == map && type(data.l) == list", "true"),
        ],
    );
}

#[test]
fn functions_over_text() {
    table(
        DATA,
        &[
            ("size('äöü')", "3"),
            ("'äöü'.size()", "3"),
            ("data.s.contains('ex')", "true"),
            ("data.s.startsWith('te') && data.s.endsWith('xt')", "true"),
            ("data.i.contains('x')", "NO_OVERLOAD"),
            ("data.s.matches('e.t$')", "true"),
            ("data.s.matches('^x')", "false"),
            ("data.s.matches(data.s)", "true"),
            ("data.s.matches(data.s + '(')", "CONVERSION"),
            ("data.s.matches('(')", "[\"E311\"]"),
            ("'a,b,,c'.split(',')", "[\"a\",\"b\",\"\",\"c\"]"),
            ("'äb'.split('')", "[\"ä\",\"b\"]"),
            ("''.split(',')", "[\"\"]"),
            ("data.words.join('-')", "\"b-a-b\""),
            ("data.none.join('-')", "\"\""),
            ("data.l.join('-')", "NO_OVERLOAD"),
            ("'AbÄ'.lowerAscii()", "\"abÄ\""),
            ("'abä'.upperAscii()", "\"ABä\""),
            ("'  a '.trim()", "\"a\""),
            ("'aXbX'.replace('X', '--')", "\"a--b--\""),
            ("'ab'.replace('', '-')", "\"-a-b-\""),
            ("'äöü'.substring(1)", "\"öü\""),
            ("'äöü'.substring(1, 2)", "\"ö\""),
            ("'äöü'.substring(3)", "\"\""),
            ("data.s.substring(5)", "INDEX"),
            ("data.s.substring(2, 1)", "INDEX"),
            ("data.s.substring(-1)", "INDEX"),
            ("'äöü'.indexOf('ü')", "2"),
            ("'abc'.indexOf('x')", "-1"),
        ],
    );
}

#[test]
fn functions_over_lists_and_comprehensions() {
    table(
        DATA,
        &[
            ("size(data.l)", "3"),
            ("data.l.map(x, x * 2)", "[6,2,4]"),
            ("data.l.map(x, x > 1, x * 2)", "[6,4]"),
            ("data.l.filter(x, x > 1)", "[3,2]"),
            ("data.m.map(k, k)", "[\"a\",\"b\",\"nothing\"]"),
            ("data.m.filter(k, data.m[k] == 2)", "[\"b\"]"),
            ("data.m.all(k, k != '')", "true"),
            ("data.items.sortBy(x, -x.n).map(x, x.sku)", "[\"b\",\"a\"]"),
            ("data.words.sort()", "[\"a\",\"b\",\"b\"]"),
            ("data.mixed.sort()", "[1,2,2.5]"),
            ("[1, data.s].sort()", "NO_OVERLOAD"),
            ("[data.n, data.n].sort()", "NO_OVERLOAD"),
            ("[double('NaN'), data.d].sort()", "NOT_FINITE"),
            ("data.words.distinct()", "[\"b\",\"a\"]"),
            ("[1, 1.0, data.d, 2.5, [1], [1.0], data.n, null].distinct()", "[1,2.5,[1],null]"),
            ("data.nested.flatten()", "[1,2,[3],4]"),
            ("data.l.slice(1, 3)", "[1,2]"),
            ("data.l.slice(1, 4)", "INDEX"),
            ("data.l.slice(2, 1)", "INDEX"),
            ("data.l.reverse()", "[2,1,3]"),
            ("data.l.first().value()", "3"),
            ("data.l.last().orValue(0)", "2"),
            ("data.none.first().hasValue()", "false"),
            ("data.l.exists_one(x, x > 2)", "true"),
            ("data.l.exists_one(x, x > 1)", "false"),
            ("data.none.all(x, false)", "true"),
            ("data.none.exists(x, true)", "false"),
            ("data.i.map(x, x)", "NO_OVERLOAD"),
            ("data.items.map(x, data.l.map(y, y * x.n))", "[[6,2,4],[9,3,6]]"),
            ("data.l.map(x, data.l.map(y, data.l.map(z, z)))", "[\"E308\"]"),
        ],
    );
}

#[test]
fn functions_over_numbers() {
    table(
        DATA,
        &[
            ("sum(data.l)", "6"),
            ("sum(data.mixed)", "5.5"),
            ("sum([])", "0"),
            ("sum([data.max, 1])", "OVERFLOW"),
            ("sum(data.words)", "NO_OVERLOAD"),
            ("min(data.mixed)", "1"),
            ("max(data.mixed)", "2.5"),
            ("min(data.none)", "EMPTY"),
            ("max(data.none)", "EMPTY"),
            ("avg(data.l)", "2.0"),
            ("avg(data.none)", "EMPTY"),
            ("round(2.5)", "3.0"),
            ("round(-2.5)", "-3.0"),
            ("round(1.005, 2)", "1.01"),
            ("round(-1.005, 2)", "-1.01"),
            ("round(9.999, 2)", "10.0"),
            ("round(data.i, 2)", "7"),
            ("round(2.5, data.i + 10)", "INDEX"),
            ("floor(-2.5)", "-3.0"),
            ("ceil(2.1)", "3.0"),
            ("abs(-7)", "7"),
            ("abs(-2.5)", "2.5"),
            ("abs(data.min)", "OVERFLOW"),
            ("least(3, 1.5, 2)", "1.5"),
            ("greatest(3, 1.5, 2)", "3"),
            ("greatest(data.s, 1)", "NO_OVERLOAD"),
        ],
    );
}

#[test]
fn functions_over_maps() {
    table(
        DATA,
        &[
            ("merge(data.m, {'a': 9, 'c': 3})", r#"{"a":9,"b":2,"c":3,"nothing":null}"#),
            ("merge(data.o)", "{}"),
            ("merge({'x': 1}, {'y': 2}, {'x': 3})", r#"{"x":3,"y":2}"#),
            ("merge(data.m, data.l)", "NO_OVERLOAD"),
            ("pick(data.m, ['a', 'x'])", r#"{"a":1}"#),
            ("omit(data.m, ['a', 'x'])", r#"{"b":2,"nothing":null}"#),
            ("keys(data.m)", r#"["a","b","nothing"]"#),
            ("values(data.m)", "[1,2,null]"),
            ("entries({'a': 1})", r#"[{"key":"a","value":1}]"#),
            ("from_entries(entries(data.m)) == data.m", "true"),
            ("from_entries([{'key': 1, 'value': 2}])", "[\"E311\"]"),
            ("from_entries(data.items)", "MISSING_FIELD"),
        ],
    );
}

#[test]
fn functions_of_time() {
    let data = r#"{"t": "2026-11-21T23:15:30.250Z", "zone": "nowhere"}"#;
    table(
        data,
        &[
            ("timestamp(data.t).getFullYear()", "2026"),
            ("timestamp(data.t).getMonth()", "10"),
            ("timestamp(data.t).getDate()", "21"),
            ("timestamp(data.t).getDayOfMonth()", "20"),
            ("timestamp(data.t).getDayOfWeek()", "6"),
            ("timestamp(data.t).getDayOfYear()", "324"),
            ("timestamp(data.t).getHours()", "23"),
            ("timestamp(data.t).getMinutes()", "15"),
            ("timestamp(data.t).getSeconds()", "30"),
            ("timestamp(data.t).getMilliseconds()", "250"),
            ("timestamp(data.t).getDate('+02:00')", "22"),
            ("timestamp(data.t).getHours('-08:30')", "14"),
            ("timestamp(data.t).getHours('UTC')", "23"),
            ("timestamp(data.t).getHours(data.zone)", "CONVERSION"),
            ("timestamp(data.t).getHours('nowhere')", "[\"E311\"]"),
            ("duration('90m').getHours()", "1"),
            ("duration('90m').getMinutes()", "90"),
            ("duration('1.5s').getMilliseconds()", "1500"),
            ("timestamp(data.t) - timestamp('2026-11-21T23:15:00Z')", "\"30.25s\""),
            ("timestamp('2026-11-21T23:15:00Z') + duration('1h')", "\"2026-11-22T00:15:00Z\""),
            ("duration('1h') + timestamp('2026-11-21T23:15:00Z')", "\"2026-11-22T00:15:00Z\""),
            ("timestamp('2026-11-21T00:00:00Z') - duration('1s')", "\"2026-11-20T23:59:59Z\""),
            ("duration('1h') - duration('90m')", "\"-1800s\""),
            ("timestamp(data.t) + duration('106751d') + duration('106751d')", "\"2611-06-10T23:15:30.25Z\""),
            ("timestamp('9999-12-30T00:00:00Z') + duration('3d')", "[\"E311\"]"),
        ],
    );
}

#[test]
fn digests_and_json_text() {
    table(
        DATA,
        &[
            ("sha256('abc')", "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""),
            ("sha256(b'abc') == sha256('abc')", "true"),
            ("uuid5('python.org')", "\"886313e1-3b8a-5372-9b90-0c9aee199e5d\""),
            ("uuid5('a', 1) == uuid5('a/1')", "true"),
            // 0xba7816bf8f01cfea, the first 64 bits of the digest above, without the last 11, over 2^53.
            ("hash01('abc')", "0.7283949105904021"),
            ("hash01(7) == hash01('7')", "true"),
            ("toJson(data.m)", r#""{\"a\":1,\"b\":2,\"nothing\":null}""#),
            ("toJson(timestamp(1))", r#""\"1970-01-01T00:00:01Z\"""#),
            ("toJson(data.d / double('NaN'))", "NOT_FINITE"),
            ("parseJson('{\"a\": [1, 2.0]}')", r#"{"a":[1,2.0]}"#),
            ("parseJson(data.s)", "CONVERSION"),
            ("parseJson(toJson(data)) == data", "true"),
        ],
    );
}

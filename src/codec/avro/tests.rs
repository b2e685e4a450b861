//! Avro against the reference crate, against values as JSON has them, and against bytes that nobody wrote in good faith.

use super::*;
use crate::record::{Value, json};
use apache_avro::types::Value as Theirs;
use proptest::prelude::*;
use serde_json::json;

fn schema(document: &serde_json::Value) -> Schema {
    Schema::parse(&document.to_string(), &[]).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn value(text: &str) -> Value {
    json::read(text.as_bytes()).expect("JSON")
}

fn text(value: &Value) -> String {
    json::text(value).expect("writable")
}

fn write(schema: &Schema, value: Value) -> Vec<u8> {
    let accepted = schema.accept(value).expect("it fits");
    let mut bytes = Vec::new();
    schema.write(&accepted, &mut bytes).expect("it was accepted");
    bytes
}

/// As JSON text: what is written, or where it does not fit.
fn accepted(document: &serde_json::Value, given: &str) -> String {
    match schema(document).accept(value(given)) {
        Ok(value) => text(&value),
        Err(why) => why,
    }
}

fn read(writer: &serde_json::Value, reader: &serde_json::Value, bytes: &[u8]) -> Result<Value, String> {
    Plan::new(&schema(writer), &schema(reader))?.read(bytes)
}

fn order(fields: serde_json::Value) -> serde_json::Value {
    json!({"type": "record", "name": "shop.Order", "fields": fields})
}

#[test]
fn values_are_accepted_as_their_readers_find_them() {
    let long = |schema| order(json!([{"name": "x", "type": schema}]));
    let logical = |carrier: &str, logical: &str| json!({"type": carrier, "logicalType": logical});
    let money = json!({"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2});
    let status = json!({"type": "enum", "name": "S", "symbols": ["NEW", "PAID"]});
    let cases = [
        (json!("int"), "7", r#"{"x":7}"#),
        (json!("int"), "7.0", r#"{"x":7}"#),
        (json!("int"), "3000000000", "at `/x`: an int where an int is wanted"),
        (json!("long"), "1.5", "at `/x`: a double where a long is wanted"),
        (json!("double"), "1", r#"{"x":1.0}"#),
        (json!("float"), "0.1", r#"{"x":0.10000000149011612}"#),
        (json!("float"), "1e300", "at `/x`: a double where a float is wanted"),
        (json!("string"), "1", "at `/x`: an int where a string is wanted"),
        (json!(["null", "string"]), "null", r#"{"x":null}"#),
        (json!(["null", "string"]), "\"a\"", r#"{"x":"a"}"#),
        (json!(["int", "double"]), "5", r#"{"x":5}"#),
        (json!(["int", "double"]), "5000000000", r#"{"x":5000000000.0}"#),
        (json!(["null", "int"]), "true", "at `/x`: a bool where a union is wanted"),
        (status.clone(), "\"PAID\"", r#"{"x":"PAID"}"#),
        (status, "\"LOST\"", "at `/x`: a string where an enum is wanted"),
        (money.clone(), "\"12.5\"", r#"{"x":"12.50"}"#),
        (money.clone(), "12.5", r#"{"x":"12.50"}"#),
        (money.clone(), "-3", r#"{"x":"-3.00"}"#),
        (money.clone(), "\"12.345\"", "at `/x`: a string where a decimal is wanted"),
        (money, "12345.0", "at `/x`: a double where a decimal is wanted"),
        (logical("int", "date"), "\"2026-11-21\"", r#"{"x":"2026-11-21T00:00:00Z"}"#),
        (logical("int", "date"), "\"2026-11-21T10:00:00Z\"", r#"{"x":"2026-11-21T00:00:00Z"}"#),
        (logical("long", "timestamp-millis"), "\"2026-11-21T10:00:00.123456Z\"", r#"{"x":"2026-11-21T10:00:00.123Z"}"#),
        (logical("long", "timestamp-micros"), "\"2026-11-21T10:00:00.123456Z\"", r#"{"x":"2026-11-21T10:00:00.123456Z"}"#),
        (logical("long", "timestamp-millis"), "12", "at `/x`: an int where a timestamp is wanted"),
        (
            logical("string", "uuid"),
            "\"6BA7B811-9DAD-11D1-80B4-00C04FD430C8\"",
            r#"{"x":"6ba7b811-9dad-11d1-80b4-00c04fd430c8"}"#,
        ),
        (json!({"type": "array", "items": "int"}), "[1, 2]", r#"{"x":[1,2]}"#),
        (json!({"type": "array", "items": "int"}), "[1, \"2\"]", "at `/x/1`: a string where an int is wanted"),
        (json!({"type": "map", "values": "int"}), r#"{"a": 1}"#, r#"{"x":{"a":1}}"#),
    ];
    for (shape, given, expected) in cases {
        assert_eq!(accepted(&long(shape.clone()), &format!("{{\"x\":{given}}}")), expected, "{shape} of {given}");
    }
}

#[test]
fn what_is_missing_gets_its_default_and_what_is_unknown_is_refused() {
    let document = order(json!([
        {"name": "id", "type": "string"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "count", "type": "int", "default": 3},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
    ]));
    assert_eq!(accepted(&document, r#"{"id":"a"}"#), r#"{"count":3,"id":"a","note":null,"tags":[]}"#);
    assert_eq!(accepted(&document, r#"{"count":1}"#), "at `/id`: the field is missing");
    assert_eq!(accepted(&document, r#"{"id":"a","idd":1}"#), "at `/idd`: the schema has no such field");
}

/// The example of the specification of Avro (`{"a": 27, "b": "foo"}` is `36 06 66 6f 6f`), and others worked out by hand.
#[test]
fn bytes_are_those_of_the_specification() {
    let test =
        json!({"type": "record", "name": "test", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "string"}]});
    assert_eq!(write(&schema(&test), value(r#"{"a": 27, "b": "foo"}"#)), [0x36, 0x06, 0x66, 0x6f, 0x6f]);
    let list = json!({"type": "array", "items": "long"});
    assert_eq!(write(&schema(&list), value("[3, 27]")), [0x04, 0x06, 0x36, 0x00]);
    let union = json!(["null", "string"]);
    assert_eq!(write(&schema(&union), Value::Null), [0]);
    assert_eq!(write(&schema(&union), value("\"a\"")), [0x02, 0x02, 0x61]);
    let cases = [
        (0, vec![0]),
        (-1, vec![1]),
        (1, vec![2]),
        (-64, vec![0x7f]),
        (64, vec![0x80, 1]),
        (i64::MIN, {
            let mut bytes = vec![0xff; 9];
            bytes.push(1);
            bytes
        }),
    ];
    for (number, bytes) in cases {
        assert_eq!(write(&schema(&json!("long")), Value::Int(number)), bytes, "{number}");
        assert_eq!(read(&json!("long"), &json!("long"), &bytes), Ok(Value::Int(number)));
    }
    // Blocks with their size in front, as writers that pass data on write them.
    assert_eq!(read(&list, &list, &[0x03, 0x04, 0x06, 0x36, 0x00]), Ok(value("[3, 27]")));
}

#[test]
fn a_reader_finds_its_own_fields_whatever_the_writer_has() {
    let v1 = order(json!([
        {"name": "id", "type": "string"},
        {"name": "total", "type": "int"},
        {"name": "gone", "type": {"type": "array", "items": {"type": "map", "values": ["null", "string"]}}},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["NEW", "LOST"]}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]));
    let v2 = order(json!([
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["OTHER", "NEW"], "default": "OTHER"}},
        {"name": "amount", "type": "double", "aliases": ["total"]},
        {"name": "currency", "type": "string", "default": "EUR"},
        {"name": "id", "type": ["null", "string"]},
    ]));
    let given = r#"{"id":"o1","total":12,"gone":[{"a":"x","b":null}],"status":"LOST","at":"2026-11-21T10:00:00Z"}"#;
    let bytes = write(&schema(&v1), value(given));
    let found = read(&v1, &v2, &bytes).expect("compatible");
    let expected = r#"{"amount":12.0,"at":"2026-11-21T10:00:00Z","currency":"EUR","id":"o1","status":"OTHER"}"#;
    assert_eq!(text(&found), expected);
}

#[test]
fn schemas_that_do_not_fit_are_told_before_a_record_is_read() {
    let base = json!([{"name": "id", "type": "string"}]);
    let cases = [
        (
            order(json!([{"name": "id", "type": "string"}, {"name": "n", "type": "int"}])),
            "the writer has no field `n` of `shop.Order`, and it has no default",
        ),
        (order(json!([{"name": "id", "type": "int"}])), "field `id` of `shop.Order`: `string` where the reader has `int`"),
        (json!({"type": "record", "name": "Other", "fields": base}), "record `shop.Order` where the reader has record `Other`"),
    ];
    for (reader, why) in cases {
        assert_eq!(Plan::new(&schema(&order(base.clone())), &schema(&reader)).map(drop), Err(why.to_owned()));
    }
    let scale = |scale: i32| json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": scale});
    assert!(Plan::new(&schema(&scale(2)), &schema(&scale(3))).is_err(), "another scale is another number");
    assert!(Plan::new(&schema(&json!("int")), &schema(&json!(["null", "int"]))).is_ok());
    let union = Plan::new(&schema(&json!(["null", "int"])), &schema(&json!("int"))).expect("some values can be read");
    assert_eq!(union.read(&[2, 8]), Ok(Value::Int(4)));
    assert_eq!(union.read(&[0]), Err("byte 1: `null` where the reader has `int`".into()));
}

#[test]
fn schemas_refer_to_others() {
    let money = json!({"type": "record", "name": "shop.Money", "fields": [{"name": "cents", "type": "long"}]}).to_string();
    let order = order(json!([{"name": "price", "type": "shop.Money"}, {"name": "paid", "type": "Money"}])).to_string();
    let schema = Schema::parse(&order, &[&money]).expect("both are sound");
    let bytes = write(&schema, value(r#"{"price": {"cents": 5}, "paid": {"cents": 4}}"#));
    assert_eq!(bytes, [10, 8]);
    assert_eq!(text(&Plan::of_writer(&schema).unwrap().read(&bytes).unwrap()), r#"{"paid":{"cents":4},"price":{"cents":5}}"#);
    assert!(Schema::parse(&order, &[]).is_err(), "without it nothing is known of money");
}

#[test]
fn hostile_bytes_end_in_an_error_soon() {
    let list = json!({"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]});
    let endless = json!({"type": "record", "name": "Endless", "fields": [{"name": "next", "type": "Endless"}]});
    let nulls = json!({"type": "array", "items": "null"});
    let many = |count: i64| {
        let mut bytes = Vec::new();
        write::put_long(count, &mut bytes);
        bytes
    };
    let cases = [
        (list.clone(), vec![2; 10_000], "byte 64: nested more than 128 deep"),
        (endless, vec![], "byte 0: nested more than 128 deep"),
        (nulls.clone(), many(i64::MAX), "byte 10: more values than a record of this size may have"),
        (nulls.clone(), many(i64::MIN), "byte 10: a block of too many items"),
        (json!({"type": "array", "items": "long"}), many(i64::MAX), "byte 10: more values than a record of this size may have"),
        (json!("bytes"), many(i64::MAX), "byte 10: the bytes end within a value"),
        (json!("string"), many(-1), "byte 1: a size that is negative"),
        (json!("string"), vec![2, 0xff], "byte 2: a string that is not UTF-8"),
        (json!("long"), vec![0xff; 11], "byte 10: a number of more than 64 bits"),
        (json!("int"), many(1 << 40), "byte 6: an int of more than 32 bits"),
        (json!("boolean"), vec![2], "byte 1: no boolean"),
        (json!(["null", "int"]), vec![4], "byte 1: a union has no such variant"),
        (json!("null"), vec![0], "byte 0: 1 bytes are left over"),
        (json!("long"), vec![], "byte 0: the bytes end within a value"),
        (json!({"type": "long", "logicalType": "timestamp-millis"}), many(i64::MAX), "byte 10: no timestamp"),
        (
            json!({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
            [many(1000), vec![1; 1000]].concat(),
            "byte 1002: no decimal",
        ),
    ];
    for (document, bytes, why) in cases {
        assert_eq!(read(&document, &document, &bytes), Err(why.into()), "{document}");
    }
    // A value of the same kind, to be written.
    let mut deep = Value::Null;
    for _ in 0..1_000 {
        deep = value("{}").as_map().map(|_| Value::Map([("next".into(), deep.clone())].into_iter().collect())).unwrap();
    }
    assert_eq!(schema(&list).accept(deep), Err("nested more than 128 deep".into()));
}

#[test]
fn unions_that_contain_themselves_are_not_tried_for_ever() {
    let inner = |name: &str| json!({"type": "record", "name": name, "fields": [{"name": "x", "type": ["null", "A", "B"]}]});
    let a = json!({"type": "record", "name": "A", "fields": [{"name": "x", "type": ["null", "A", inner("B")]}]});
    let document = json!(["null", a]);
    let mut deep = value("17");
    for _ in 0..40 {
        deep = Value::Map([("x".into(), deep)].into_iter().collect());
    }
    assert!(schema(&document).accept(deep).is_err());
}

#[test]
fn decimals_keep_their_digits() {
    let cases = ["0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "99999999999999999999999999999999999999"];
    for digits in cases {
        let bytes = decimal::bytes(digits, None).expect("any size");
        assert_eq!(decimal::text(&bytes, 0).as_deref(), Some(digits));
        assert_eq!(decimal::bytes(digits, Some(20)).map(|bytes| bytes.len()), Some(20));
        assert_eq!(decimal::text(&decimal::bytes(digits, Some(20)).unwrap(), 0).as_deref(), Some(digits));
    }
    assert_eq!(decimal::bytes("128", None), Some(vec![0, 128]));
    assert_eq!(decimal::bytes("-128", None), Some(vec![0x80]));
    assert_eq!(decimal::bytes("128", Some(1)), None);
    assert_eq!(decimal::text(&[0xff, 0x85], 2).as_deref(), Some("-1.23"));
    assert_eq!(decimal::text(&[], 2).as_deref(), Some("0.00"));
}

fn theirs_of(schema: &apache_avro::Schema, value: Theirs) -> apache_avro::AvroResult<Vec<u8>> {
    apache_avro::writer::datum::GenericDatumWriter::builder(schema).build()?.write_value_to_vec(value)
}

fn ours_of(schema: &apache_avro::Schema, mut bytes: &[u8]) -> apache_avro::AvroResult<Theirs> {
    apache_avro::reader::datum::GenericDatumReader::builder(schema).build()?.read_value(&mut bytes)
}

/// A schema, and values of it as the crate has them.
fn anything() -> impl Strategy<Value = (serde_json::Value, Theirs)> {
    let leaf = prop_oneof![
        Just((json!("null"), Theirs::Null)),
        any::<bool>().prop_map(|truth| (json!("boolean"), Theirs::Boolean(truth))),
        any::<i32>().prop_map(|number| (json!("int"), Theirs::Int(number))),
        any::<i64>().prop_map(|number| (json!("long"), Theirs::Long(number))),
        (-1e30_f32..1e30).prop_map(|number| (json!("float"), Theirs::Float(number))),
        (-1e300..1e300).prop_map(|number| (json!("double"), Theirs::Double(number))),
        any::<Vec<u8>>().prop_map(|bytes| (json!("bytes"), Theirs::Bytes(bytes))),
        ".{0,12}".prop_map(|text| (json!("string"), Theirs::String(text))),
        (-100_000_i32..100_000).prop_map(|days| (json!({"type": "int", "logicalType": "date"}), Theirs::Date(days))),
        (-1_000_000_000_000_i64..4_000_000_000_000).prop_map(|millis| {
            (json!({"type": "long", "logicalType": "timestamp-millis"}), Theirs::TimestampMillis(millis))
        }),
        (0..86_400_000_000_i64)
            .prop_map(|micros| { (json!({"type": "long", "logicalType": "time-micros"}), Theirs::TimeMicros(micros)) }),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|((schema, value), count)| (
                json!({"type": "array", "items": schema}),
                Theirs::Array(vec![value; count])
            )),
            (inner.clone(), proptest::collection::hash_map("[a-z]{1,4}", Just(()), 0..4)).prop_map(
                |((schema, value), keys)| {
                    let map = keys.into_keys().map(|key| (key, value.clone())).collect();
                    (json!({"type": "map", "values": schema}), Theirs::Map(map))
                }
            ),
            (inner.clone(), any::<bool>()).prop_map(|((schema, value), some)| match (&schema, some) {
                (serde_json::Value::Array(_), _) => (schema, value),
                (serde_json::Value::String(kind), _) if kind == "null" => (schema, value),
                (_, true) => (json!(["null", schema]), Theirs::Union(1, Box::new(value))),
                (_, false) => (json!(["null", schema]), Theirs::Union(0, Box::new(Theirs::Null))),
            }),
            proptest::collection::vec(inner, 0..4).prop_map(|fields| {
                let name = |place| format!("f{place}");
                let schemas =
                    fields.iter().enumerate().map(|(place, (schema, _))| json!({"name": name(place), "type": schema}));
                let schema = json!({"type": "record", "name": "R", "fields": schemas.collect::<Vec<_>>()});
                (
                    schema,
                    Theirs::Record(fields.into_iter().enumerate().map(|(place, (_, value))| (name(place), value)).collect()),
                )
            }),
        ]
    })
    .prop_map(|(schema, value)| {
        let mut number = 0;
        (numbered(schema, &mut number), value)
    })
}

/// Every record with a name of its own.
fn numbered(schema: serde_json::Value, number: &mut u32) -> serde_json::Value {
    use serde_json::Value as Json;
    match schema {
        Json::Object(fields) => {
            let is_record = fields.get("type").and_then(Json::as_str) == Some("record");
            *number += 1;
            let name = format!("R{number}");
            let own =
                |(key, value)| if is_record && key == "name" { (key, json!(name)) } else { (key, numbered(value, number)) };
            Json::Object(fields.into_iter().map(own).collect())
        }
        Json::Array(items) => items.into_iter().map(|item| numbered(item, number)).collect(),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The crate is the reference: it reads what we wrote of what we read of what it wrote.
    #[test]
    fn bytes_mean_to_us_what_they_mean_to_the_reference((document, theirs) in anything()) {
        let reference = apache_avro::Schema::parse(&document).expect("a sound schema");
        let bytes = theirs_of(&reference, theirs.clone()).expect("a value of it");
        let ours = schema(&document);
        let plan = Plan::of_writer(&ours).expect("like itself");
        let found = plan.read(&bytes).expect("what the reference wrote");
        let accepted = ours.accept(found.clone()).expect("what was read fits");
        prop_assert_eq!(&accepted, &found);
        let mut written = Vec::new();
        ours.write(&accepted, &mut written).expect("it was accepted");
        prop_assert_eq!(plan.read(&written).expect("what we wrote"), found);
        let back = ours_of(&reference, &written).expect("what we wrote");
        prop_assert_eq!(back, theirs);
    }

    #[test]
    fn damaged_bytes_end_in_a_value_or_an_error((document, theirs) in anything(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let reference = apache_avro::Schema::parse(&document).expect("a sound schema");
        let mut bytes = theirs_of(&reference, theirs).expect("a value of it");
        let plan = Plan::of_writer(&schema(&document)).expect("like itself");
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            drop(plan.read(&bytes));
            drop(plan.read(&bytes[..at]));
        }
    }

    #[test]
    fn any_bytes_end_in_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let list = json!({"type": "record", "name": "List", "fields": [
            {"name": "items", "type": {"type": "array", "items": ["null", "List", {"type": "map", "values": "List"}]}},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "default": ""},
        ]});
        drop(Plan::of_writer(&schema(&list)).expect("like itself").read(&bytes));
    }
}

//! JSON Schemas as types of expressions.

use super::*;
use serde_json::json;

fn strict(document: Json) -> Type {
    assert_eq!(usable(&document).err(), None);
    type_of(&document, Unnamed::Unknown)
}

#[test]
fn keywords_become_types() {
    for (document, expected) in [
        (json!({}), Type::Any),
        (json!(true), Type::Any),
        (json!({"type": "string", "format": "date-time"}), Type::String),
        (json!({"type": "integer"}), Type::Int),
        (json!({"type": "number", "minimum": 0}), Type::Double),
        (json!({"type": ["string"]}), Type::String),
        (json!({"type": ["string", "null"]}), Type::Any),
        (json!({"enum": ["a", "b"]}), Type::String),
        (json!({"enum": ["a", 1]}), Type::Any),
        (json!({"const": 1}), Type::Int),
        (json!({"type": "array", "items": {"type": "integer"}}), Type::list(Type::Int)),
        (json!({"type": "array"}), Type::list(Type::Any)),
        (json!({"type": "object"}), Type::map(Type::Any)),
        (json!({"type": "object", "additionalProperties": {"type": "integer"}}), Type::map(Type::Int)),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}),
            Object::closed().with("a", Type::String).with_optional("b", Type::Any).into(),
        ),
        (
            json!({"properties": {"a": {"type": "string"}}, "required": ["c"], "additionalProperties": true}),
            Object::open().with_optional("a", Type::String).with("c", Type::Any).into(),
        ),
        (
            json!({"oneOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]}]}),
            Object::closed().with_optional("a", Type::String).with_optional("b", Type::String).into(),
        ),
        (
            json!({"allOf": [{"$ref": "#/$defs/id"}], "type": "object", "properties": {"n": {"type": "integer"}},
                   "$defs": {"id": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}}),
            Object::closed().with("id", Type::String).with_optional("n", Type::Int).into(),
        ),
    ] {
        assert_eq!(strict(document.clone()), expected, "{document}");
    }
}

#[test]
fn unnamed_fields_are_known_of_values_from_elsewhere_only() {
    let document = json!({"type": "object", "properties": {"a": {}}});
    assert_eq!(type_of(&document, Unnamed::Unknown), Object::closed().with_optional("a", Type::Any).into());
    assert_eq!(type_of(&document, Unnamed::Allowed), Object::open().with_optional("a", Type::Any).into());
    let closed = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false});
    assert_eq!(type_of(&closed, Unnamed::Allowed), Object::closed().with_optional("a", Type::Any).into());
}

#[test]
fn a_schema_that_refers_to_itself_ends_in_anything() {
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}});
    let inner = Type::list(Type::Any);
    assert_eq!(strict(tree), Object::closed().with_optional("children", inner).into());
}

#[test]
fn references_that_multiply_are_cut_off() {
    let mut definitions = serde_json::Map::new();
    definitions.insert("d0".to_owned(), json!({"type": "string"}));
    for level in 1..20 {
        let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
        let fields = json!({"a": below, "b": below, "c": below});
        definitions.insert(format!("d{level}"), json!({"type": "object", "properties": fields}));
    }
    let document = json!({"$ref": "#/$defs/d19", "$defs": definitions});
    let mut parts = 0;
    fn count(ty: &Type, parts: &mut usize) {
        *parts += 1;
        if let Type::Object(object) = ty {
            object.fields.values().for_each(|field| count(&field.ty, parts));
        }
    }
    count(&type_of(&document, Unnamed::Unknown), &mut parts);
    assert!(parts < 20_000, "{parts}");
}

#[test]
fn documents_that_are_no_schema_are_refused() {
    for document in [
        json!([]),
        json!("x"),
        json!({"type": "strin"}),
        json!({"$ref": "https://example.com/a.json"}),
        json!({"$ref": "other.json#/a"}),
        json!({"$ref": "#/$defs/none"}),
        json!({"type": "string", "pattern": "("}),
        json!({"properties": {"a": {"minimum": "x"}}}),
    ] {
        assert!(usable(&document).is_err(), "{document}");
    }
    assert!(usable(&json!({"properties": {"$ref": {"type": "string"}}, "default": {"$ref": 1}})).is_ok());
}
